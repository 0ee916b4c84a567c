"""The REST bodies of what surrounds the markets: milestones, live data, incentives, structured targets, tags.

Nothing here is money but the rewards of incentives. What the exchange leaves open in shape (`details`) stays its own
JSON.
"""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import field

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.exchange.wire import values
from kalshi_cli.exchange.wire.values import CentiCents, Count, Json, Moment, Names, Object, convert

# -- milestones and live data -------------------------------------------------------------------------------------


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens outside, like a game: when, and which events follow from it."""

    milestone_id: str
    category: str
    type: str
    title: str
    start: Ts
    end: Ts | None
    event_tickers: tuple[str, ...]
    primary_event_tickers: tuple[str, ...]
    details: Json
    updated: Ts


class LiveData(msgspec.Struct, frozen=True, kw_only=True):
    """What is known now of a milestone or an event; `type` says what shape `details` has."""

    type: str
    details: Json
    milestone_id: str = ""
    is_historical: bool = False
    default_range: str = ""
    range_options: tuple[str, ...] = ()


class WeatherPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One minute of a temperature index, in degrees Fahrenheit; no value yet where `status` is incomplete."""

    ts: Ts
    value: float | None
    status: str
    contributors: int | None


class WeatherIndex(msgspec.Struct, frozen=True, kw_only=True):
    city: str
    units: str
    config_version: str
    points: tuple[WeatherPoint, ...]


class _Milestone(msgspec.Struct, gc=False):
    milestone_id: str = field(name="id")
    start: Moment = field(name="start_date")
    updated: Moment = field(name="last_updated_ts")
    category: str = ""
    type: str = ""
    title: str = ""
    end: Moment | None = field(name="end_date", default=None)
    event_tickers: tuple[str, ...] = field(name="related_event_tickers", default=())
    primary_event_tickers: tuple[str, ...] = ()
    details: Object = None


class _Live(msgspec.Struct, gc=False):
    type: str
    details: Json
    milestone_id: str = ""
    is_historical: bool = False
    default_range: str = ""
    range_options: Names = None


class _Period(msgspec.Struct, gc=False):
    events: list[Json] | None = None


class _Plays(msgspec.Struct, gc=False):
    periods: list[_Period] | None = None


class _PlaysBody(msgspec.Struct):
    pbp: _Plays | None = None


class _Point(msgspec.Struct, gc=False):
    ts: Ts = field(name="t")
    status: str
    value: float | None = field(name="v", default=None)
    contributors: int | None = None


class _WeatherBody(msgspec.Struct):
    city: str
    units: str
    timeseries: list[_Point]
    config_version: str = ""


def _plays(wire: _PlaysBody) -> list[list[Json]] | None:
    return None if wire.pbp is None else [period.events or [] for period in wire.pbp.periods or ()]


def _weather(wire: _WeatherBody) -> WeatherIndex:
    return convert(WeatherIndex, wire, points=tuple(convert(WeatherPoint, point) for point in wire.timeseries))


_milestone, _live = partial(convert, Milestone), partial(convert, LiveData)

read_milestone = values.single("milestone", _Milestone, _milestone, "a milestone")
"""`GET /milestones/{milestone_id}`."""
read_milestones = values.paged("milestones", _Milestone, _milestone, "milestones")
"""`GET /milestones`."""
read_live = values.single("live_data", _Live, _live, "live data")
"""`GET /live_data/...` of one milestone or event."""
read_lives = values.listed("live_datas", _Live, _live, "live data")
"""`GET /live_data/batch`."""
read_plays = values.whole(_PlaysBody, _plays, "the plays of a game")
"""`GET /live_data/milestone/{milestone_id}/game_stats`: what happened, by period; None where it is not told."""
read_weather = values.whole(_WeatherBody, _weather, "a temperature index")
"""`GET /live_data/weather/{city}`."""
read_calibrations = values.listed("calibrations", dict[str, object], dict, "the calibrations of an index")
"""`GET /live_data/weather/{city}/calibrations`, in the exchange's own JSON."""


# -- incentives, targets, tags ------------------------------------------------------------------------------------


class Incentive(msgspec.Struct, frozen=True, kw_only=True):
    """A reward for trading in one market, from `start` to `end`. `reward` is for the whole period."""

    incentive_id: str
    ticker: str
    type: str
    description: str
    start: Ts
    end: Ts
    reward: Money
    most_per_account: Money | None
    target_qty: Qty | None
    discount_bps: int | None
    is_paid_out: bool


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something that markets are about: a team, a player, a candidate."""

    target_id: str
    name: str
    type: str
    details: Json
    updated: Ts | None


class SportFilters(msgspec.Struct, frozen=True, kw_only=True):
    """A sport: its scopes, and those of each competition."""

    sport: str
    scopes: tuple[str, ...]
    competitions: dict[str, tuple[str, ...]]


class _Incentive(msgspec.Struct, gc=False):
    incentive_id: str = field(name="id")
    ticker: str = field(name="market_ticker")
    type: str = field(name="incentive_type")
    start: Moment = field(name="start_date")
    end: Moment = field(name="end_date")
    reward: CentiCents = field(name="period_reward")
    is_paid_out: bool = field(name="paid_out")
    description: str = field(name="incentive_description", default="")
    discount_bps: int | None = field(name="discount_factor_bps", default=None)
    target_qty: Count | None = field(name="target_size_fp", default=None)
    most_per_account: CentiCents | None = field(name="max_reward_per_account", default=None)


class _Target(msgspec.Struct, gc=False):
    target_id: str = field(name="id")
    name: str = ""
    type: str = ""
    details: Object = None
    updated: Moment | None = field(name="last_updated_ts", default=None)


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
    """In the exchange's order; what it does not order comes last."""
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


_target = partial(convert, Target)

read_incentives = values.paged(
    "incentive_programs", _Incentive, partial(convert, Incentive), "incentives", cursor="next_cursor"
)
"""`GET /incentive_programs`, whose cursor has a name of its own."""
read_target = values.single("structured_target", _Target, _target, "a structured target")
"""`GET /structured_targets/{structured_target_id}`."""
read_targets = values.paged("structured_targets", _Target, _target, "structured targets")
"""`GET /structured_targets`."""
read_tags = values.single("tags_by_categories", dict[str, tuple[str, ...] | None], _tags, "the tags")
"""`GET /search/tags_by_categories`."""
read_sports = values.whole(_SportsBody, _sports, "the filters by sport")
"""`GET /search/filters_by_sport`."""
