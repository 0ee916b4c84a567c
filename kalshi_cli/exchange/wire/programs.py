"""The REST bodies of what surrounds the markets: milestones, live data, incentives, structured targets, tags.

Nothing here is money but the rewards of incentives. What the exchange leaves open in shape (`details`) stays its own
JSON.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.exchange.wire.values import Moment, Page, maybe_ts, no_negative, read, ts_of

Json = dict[str, object]


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
    id: str
    start_date: Moment
    last_updated_ts: Moment
    category: str = ""
    type: str = ""
    title: str = ""
    end_date: Moment | None = None
    related_event_tickers: tuple[str, ...] = ()
    primary_event_tickers: tuple[str, ...] = ()
    details: Json | None = None


class _MilestoneBody(msgspec.Struct):
    milestone: _Milestone


class _MilestonesBody(msgspec.Struct):
    milestones: list[_Milestone] | None = None
    cursor: str | None = None


class _Live(msgspec.Struct, gc=False):
    type: str
    details: Json
    milestone_id: str = ""
    is_historical: bool = False
    default_range: str = ""
    range_options: tuple[str, ...] | None = None


class _LiveBody(msgspec.Struct):
    live_data: _Live


class _LivesBody(msgspec.Struct):
    live_datas: list[_Live] | None = None


class _Period(msgspec.Struct, gc=False):
    events: list[Json] | None = None


class _Plays(msgspec.Struct, gc=False):
    periods: list[_Period] | None = None


class _PlaysBody(msgspec.Struct):
    pbp: _Plays | None = None


class _Point(msgspec.Struct, gc=False):
    t: int
    status: str
    v: float | None = None
    contributors: int | None = None


class _WeatherBody(msgspec.Struct):
    city: str
    units: str
    timeseries: list[_Point]
    config_version: str = ""


class _CalibrationsBody(msgspec.Struct):
    calibrations: list[Json] | None = None


def _milestone(wire: _Milestone) -> Milestone:
    return Milestone(
        milestone_id=wire.id,
        category=wire.category,
        type=wire.type,
        title=wire.title,
        start=ts_of(wire.start_date),
        end=maybe_ts(wire.end_date),
        event_tickers=wire.related_event_tickers,
        primary_event_tickers=wire.primary_event_tickers,
        details=wire.details or {},
        updated=ts_of(wire.last_updated_ts),
    )


def _live(wire: _Live) -> LiveData:
    return LiveData(
        type=wire.type,
        details=wire.details,
        milestone_id=wire.milestone_id,
        is_historical=wire.is_historical,
        default_range=wire.default_range,
        range_options=wire.range_options or (),
    )


def _weather(wire: _WeatherBody) -> WeatherIndex:
    points = (
        WeatherPoint(ts=Ts(point.t), value=point.v, status=point.status, contributors=point.contributors)
        for point in wire.timeseries
    )
    return WeatherIndex(city=wire.city, units=wire.units, config_version=wire.config_version, points=tuple(points))


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
    id: str
    market_ticker: str
    incentive_type: str
    start_date: Moment
    end_date: Moment
    period_reward: int
    paid_out: bool
    incentive_description: str = ""
    discount_factor_bps: int | None = None
    target_size_fp: str | None = None
    max_reward_per_account: int | None = None


class _IncentivesBody(msgspec.Struct):
    incentive_programs: list[_Incentive] | None = None
    next_cursor: str | None = None


class _Target(msgspec.Struct, gc=False):
    id: str
    name: str = ""
    type: str = ""
    details: Json | None = None
    last_updated_ts: Moment | None = None


class _TargetBody(msgspec.Struct):
    structured_target: _Target


class _TargetsBody(msgspec.Struct):
    structured_targets: list[_Target] | None = None
    cursor: str | None = None


class _TagsBody(msgspec.Struct):
    tags_by_categories: dict[str, tuple[str, ...] | None]


class _Scopes(msgspec.Struct, gc=False):
    scopes: tuple[str, ...] | None = None


class _Sport(msgspec.Struct, gc=False):
    scopes: tuple[str, ...] | None = None
    competitions: dict[str, _Scopes] | None = None


class _SportsBody(msgspec.Struct):
    filters_by_sports: dict[str, _Sport]
    sport_ordering: tuple[str, ...] = ()


def _incentive(wire: _Incentive) -> Incentive:
    """Rewards are in hundredths of a cent (`centi-cents`)."""
    most = wire.max_reward_per_account
    return Incentive(
        incentive_id=wire.id,
        ticker=wire.market_ticker,
        type=wire.incentive_type,
        description=wire.incentive_description,
        start=ts_of(wire.start_date),
        end=ts_of(wire.end_date),
        reward=Money(wire.period_reward * 100),
        most_per_account=None if most is None else Money(most * 100),
        target_qty=None if wire.target_size_fp is None else no_negative(wire.target_size_fp),
        discount_bps=wire.discount_factor_bps,
        is_paid_out=wire.paid_out,
    )


def _target(wire: _Target) -> Target:
    return Target(
        target_id=wire.id,
        name=wire.name,
        type=wire.type,
        details=wire.details or {},
        updated=maybe_ts(wire.last_updated_ts),
    )


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


_milestone_body = msgspec.json.Decoder(_MilestoneBody)
_milestones_body = msgspec.json.Decoder(_MilestonesBody)
_live_body = msgspec.json.Decoder(_LiveBody)
_lives_body = msgspec.json.Decoder(_LivesBody)
_plays_body = msgspec.json.Decoder(_PlaysBody)
_weather_body = msgspec.json.Decoder(_WeatherBody)
_calibrations_body = msgspec.json.Decoder(_CalibrationsBody)
_incentives_body = msgspec.json.Decoder(_IncentivesBody)
_target_body = msgspec.json.Decoder(_TargetBody)
_targets_body = msgspec.json.Decoder(_TargetsBody)
_tags_body = msgspec.json.Decoder(_TagsBody)
_sports_body = msgspec.json.Decoder(_SportsBody)


def read_milestone(body: bytes) -> Milestone:
    """`GET /milestones/{milestone_id}`."""
    return read(_milestone_body, lambda wire: _milestone(wire.milestone), body, "a milestone")


def read_milestones(body: bytes) -> Page[Milestone]:
    """`GET /milestones`."""
    return read(
        _milestones_body,
        lambda w: Page([_milestone(one) for one in w.milestones or ()], w.cursor or ""),
        body,
        "milestones",
    )


def read_live(body: bytes) -> LiveData:
    """`GET /live_data/...` of one milestone or event."""
    return read(_live_body, lambda wire: _live(wire.live_data), body, "live data")


def read_lives(body: bytes) -> list[LiveData]:
    """`GET /live_data/batch`."""
    return read(_lives_body, lambda wire: [_live(one) for one in wire.live_datas or ()], body, "live data")


def read_plays(body: bytes) -> list[list[Json]] | None:
    """`GET /live_data/milestone/{milestone_id}/game_stats`: what happened, by period; None where it is not told."""

    def plays(wire: _PlaysBody) -> list[list[Json]] | None:
        return None if wire.pbp is None else [period.events or [] for period in wire.pbp.periods or ()]

    return read(_plays_body, plays, body, "the plays of a game")


def read_weather(body: bytes) -> WeatherIndex:
    """`GET /live_data/weather/{city}`."""
    return read(_weather_body, _weather, body, "a temperature index")


def read_calibrations(body: bytes) -> list[Json]:
    """`GET /live_data/weather/{city}/calibrations`, in the exchange's own JSON."""
    return read(_calibrations_body, lambda wire: wire.calibrations or [], body, "the calibrations of an index")


def read_incentives(body: bytes) -> Page[Incentive]:
    """`GET /incentive_programs`, whose cursor has a name of its own."""
    return read(
        _incentives_body,
        lambda w: Page([_incentive(one) for one in w.incentive_programs or ()], w.next_cursor or ""),
        body,
        "incentives",
    )


def read_target(body: bytes) -> Target:
    """`GET /structured_targets/{structured_target_id}`."""
    return read(_target_body, lambda wire: _target(wire.structured_target), body, "a structured target")


def read_targets(body: bytes) -> Page[Target]:
    """`GET /structured_targets`."""
    return read(
        _targets_body,
        lambda w: Page([_target(one) for one in w.structured_targets or ()], w.cursor or ""),
        body,
        "structured targets",
    )


def read_tags(body: bytes) -> dict[str, tuple[str, ...]]:
    """`GET /search/tags_by_categories`."""
    return read(
        _tags_body, lambda w: {name: tags or () for name, tags in w.tags_by_categories.items()}, body, "the tags"
    )


def read_sports(body: bytes) -> list[SportFilters]:
    """`GET /search/filters_by_sport`."""
    return read(_sports_body, _sports, body, "the filters by sport")
