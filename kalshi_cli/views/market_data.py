"""Views of milestones, live data, incentives, targets and tags. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.views.formats import ExchangeJson, TruncatableText
from kalshi_cli.views.row import OutputRow, names


class MilestoneRow(OutputRow, frozen=True, kw_only=True):
    """A scheduled game or announcement, and the events that depend on it."""

    milestone_id: str
    category: str
    type: str
    title: TruncatableText
    start: Ts
    end: Ts | None
    event_tickers: tuple[str, ...]
    primary_event_tickers: tuple[str, ...]
    details: ExchangeJson
    updated: Ts

    shown = ("milestone_id", "start", "title", "type")
    vital = ("start",)


class LiveView(OutputRow, frozen=True, kw_only=True):
    """Live data of an event; `type` names the structure of `details`."""

    type: str
    milestone_id: str | None
    is_historical: bool
    default_range: str | None
    range_options: tuple[str, ...]
    details: ExchangeJson


class WeatherRow(OutputRow, frozen=True, kw_only=True):
    """A minute of a temperature index, in degrees Fahrenheit."""

    time: Ts
    fahrenheit: float | None
    status: str
    contributors: int | None

    named = names(time="ts", fahrenheit="value")


class IncentiveRow(OutputRow, frozen=True, kw_only=True):
    """An incentive program of a market; `reward` is for the whole period."""

    incentive_id: str
    ticker: str
    type: str
    description: TruncatableText
    start: Ts
    end: Ts
    reward: Money
    most_per_account: Money | None
    target_count: Qty | None
    discount_bps: int | None
    paid_out: bool

    named = names(target_count="target_qty", paid_out="is_paid_out")
    shown = ("ticker", "type", "reward", "target_count", "end", "paid_out")
    vital = ("reward", "end")


class TargetRow(OutputRow, frozen=True, kw_only=True):
    """A team, a person or a thing that markets are about."""

    target_id: str
    name: str
    type: str
    details: ExchangeJson
    updated: Ts | None

    shown = ("name", "type", "target_id")


class TagRow(OutputRow, frozen=True, kw_only=True):
    """A tag and its markets."""

    category: str
    tags: tuple[str, ...]


class SportRow(OutputRow, frozen=True, kw_only=True):
    """A sport with its scopes and competitions; `kalshi milestones --competition` takes a competition."""

    sport: str
    scopes: tuple[str, ...]
    competitions: tuple[str, ...]
