"""REST bodies of milestones, live data, incentives, structured targets and tags.

Only the rewards of incentives are money. Objects without a fixed shape (`details`) stay JSON.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import field

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.exchange.wire import values

# -- milestones and live data -------------------------------------------------------------------------------------


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled occurrence outside of the exchange, such as a game: its time, and the events that depend on it."""

    milestone_id: str = field(name="id")
    category: str = ""
    type: str = ""
    title: str = ""
    start: values.TsOfMoment = field(name="start_date")
    end: values.OptionalTsOfMoment = field(name="end_date")
    event_tickers: tuple[str, ...] = field(name="related_event_tickers", default=())
    primary_event_tickers: tuple[str, ...] = ()
    details: values.JsonOrNull
    updated: values.TsOfMoment = field(name="last_updated_ts")


class LiveData(msgspec.Struct, frozen=True, kw_only=True):
    """Current live data of a milestone or an event; `type` determines the shape of `details`."""

    type: str
    details: values.Json
    milestone_id: str = ""
    is_historical: bool = False
    default_range: str = ""
    range_options: Annotated[tuple[str, ...], values.Wire(values.Names)] = ()


class WeatherPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A minute of a temperature index in degrees Fahrenheit; no value yet if `status` is incomplete."""

    ts: Ts = field(name="t")
    value: Annotated[float | None, values.Wire(float | None, None)] = field(name="v")
    status: str
    contributors: Annotated[int | None, values.Wire(int | None, None)]


class WeatherIndex(msgspec.Struct, frozen=True, kw_only=True):
    """The temperature index of a city."""

    city: str
    units: str
    config_version: str = ""
    points: Annotated[tuple[WeatherPoint, ...], values.many(WeatherPoint)] = field(name="timeseries")


class _Period(msgspec.Struct, gc=False):
    events: list[values.Json] | None = None


class _Plays(msgspec.Struct, gc=False):
    periods: list[_Period] | None = None


class _PlaysBody(msgspec.Struct):
    pbp: _Plays | None = None


def _plays(wire: _PlaysBody) -> list[list[values.Json]] | None:
    return None if wire.pbp is None else [period.events or [] for period in wire.pbp.periods or ()]


_MILESTONE, _LIVE = values.of(Milestone), values.of(LiveData)

read_milestone = values.single("milestone", *_MILESTONE, "a milestone")
"""`GET /milestones/{milestone_id}`."""
read_milestones = values.paged("milestones", *_MILESTONE, "milestones")
"""`GET /milestones`."""
read_live = values.single("live_data", *_LIVE, "live data")
"""`GET /live_data/...` of one milestone or event."""
read_lives = values.listed("live_datas", *_LIVE, "live data")
"""`GET /live_data/batch`."""
read_plays = values.whole(_PlaysBody, _plays, "the plays of a game")
"""`GET /live_data/milestone/{milestone_id}/game_stats`: plays by period; None if there are none."""
read_weather = values.whole(*values.of(WeatherIndex), "a temperature index")
"""`GET /live_data/weather/{city}`."""
read_calibrations = values.listed("calibrations", dict[str, object], dict, "the calibrations of an index")
"""`GET /live_data/weather/{city}/calibrations`, in the exchange's own JSON."""


# -- incentives, targets, tags ------------------------------------------------------------------------------------


class Incentive(msgspec.Struct, frozen=True, kw_only=True):
    """A reward for trading in one market, from `start` to `end`. `reward` is for the whole period."""

    incentive_id: str = field(name="id")
    ticker: str = field(name="market_ticker")
    type: str = field(name="incentive_type")
    description: str = field(name="incentive_description", default="")
    start: values.TsOfMoment = field(name="start_date")
    end: values.TsOfMoment = field(name="end_date")
    reward: Annotated[Money, values.Wire(values.CentiCents)] = field(name="period_reward")
    most_per_account: Annotated[Money | None, values.Wire(values.CentiCents | None, None)] = field(
        name="max_reward_per_account"
    )
    target_qty: Annotated[Qty | None, values.Wire(values.Count | None, None)] = field(name="target_size_fp")
    discount_bps: int | None = field(name="discount_factor_bps", default=None)
    is_paid_out: bool = field(name="paid_out")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The subject of markets: a team, a player, a candidate."""

    target_id: str = field(name="id")
    name: str = ""
    type: str = ""
    details: values.JsonOrNull
    updated: values.OptionalTsOfMoment = field(name="last_updated_ts")


class SportFilters(msgspec.Struct, frozen=True, kw_only=True):
    """A sport with its scopes, and those of each competition."""

    sport: str
    scopes: tuple[str, ...]
    competitions: dict[str, tuple[str, ...]]


class _Scopes(msgspec.Struct, gc=False):
    scopes: tuple[str, ...] | None = None


class _Sport(msgspec.Struct, gc=False):
    scopes: tuple[str, ...] | None = None
    competitions: dict[str, _Scopes] | None = None


class _SportsBody(msgspec.Struct):
    filters_by_sports: dict[str, _Sport]
    sport_ordering: tuple[str, ...] = ()


def _tags(wire: dict[str, tuple[str, ...] | None]) -> dict[str, tuple[str, ...]]:
    return {name: tags or () for name, tags in wire.items()}


def _sports(wire: _SportsBody) -> list[SportFilters]:
    """Return the sports in the exchange's order, unordered ones last."""
    names = dict.fromkeys((*wire.sport_ordering, *wire.filters_by_sports))
    found = ((name, wire.filters_by_sports[name]) for name in names if name in wire.filters_by_sports)
    return [
        SportFilters(
            sport=name,
            scopes=sport.scopes or (),
            competitions={key: one.scopes or () for key, one in (sport.competitions or {}).items()},
        )
        for name, sport in found
    ]


_TARGET = values.of(Target)

read_incentives = values.paged("incentive_programs", *values.of(Incentive), "incentives", cursor="next_cursor")
"""`GET /incentive_programs`, whose cursor has its own name."""
read_target = values.single("structured_target", *_TARGET, "a structured target")
"""`GET /structured_targets/{structured_target_id}`."""
read_targets = values.paged("structured_targets", *_TARGET, "structured targets")
"""`GET /structured_targets`."""
read_tags = values.single("tags_by_categories", dict[str, tuple[str, ...] | None], _tags, "the tags")
"""`GET /search/tags_by_categories`."""
read_sports = values.whole(_SportsBody, _sports, "the filters by sport")
"""`GET /search/filters_by_sport`."""
