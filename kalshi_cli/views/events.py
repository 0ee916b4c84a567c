"""Views of events and series: whole objects for programs, one screen for people."""

from __future__ import annotations

from kalshi_cli.base.units import Qty, Ts
from kalshi_cli.views.formats import ExchangeJson, TruncatableText
from kalshi_cli.views.markets import FeeChangeRow, MarketDetailsRow, MarketRow
from kalshi_cli.views.row import OutputRow, names


class EventRow(OutputRow, frozen=True, kw_only=True):
    """An event in a list."""

    event_ticker: str
    series_ticker: str
    title: TruncatableText
    sub_title: TruncatableText | None
    category: str | None
    mutually_exclusive: bool
    strike_date: Ts | None
    strike_period: str | None
    collateral_return: str | None
    fee_type_override: str | None
    fee_multiplier_override: float | None
    updated: Ts | None
    exchange_index: int
    product_metadata: ExchangeJson | None

    named = names(fee_multiplier_override="own_factor")
    shown = ("event_ticker", "title", "sub_title", "category", "mutually_exclusive", "strike_date")


class EventView(EventRow, frozen=True, kw_only=True):
    """An event on one screen, with a table of its markets."""

    fee_type: str
    fee_multiplier: float
    settlement_sources: tuple[str, ...]
    competition: str | None
    competition_scope: str | None
    fee_changes: tuple[FeeChangeRow, ...]
    markets: tuple[MarketRow, ...]

    screen = (
        "event_ticker", "series_ticker", "title", "sub_title", "category", "mutually_exclusive", "strike_date",
        "strike_period", "fee_type", "fee_multiplier", "fee_type_override", "settlement_sources", "competition",
        "updated", "exchange_index",
    )  # fmt: skip


class WholeEvent(EventRow, frozen=True, kw_only=True):
    """An event with all fields of all its markets, for programs."""

    fee_type: str
    fee_multiplier: float
    settlement_sources: tuple[str, ...]
    competition: str | None
    competition_scope: str | None
    image_url: str | None
    fee_changes: tuple[FeeChangeRow, ...]
    markets: tuple[MarketDetailsRow, ...]


class SeriesRow(OutputRow, frozen=True, kw_only=True):
    """A series in a list."""

    ticker: str
    title: TruncatableText
    category: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    frequency: str
    fee_type: str
    fee_multiplier: float
    volume: Qty | None
    updated: Ts | None
    exchange_index: int

    named = names(fee_type="fees.type", fee_multiplier="fees.factor")
    shown = ("ticker", "title", "category", "frequency", "fee_type", "fee_multiplier")


class SeriesView(SeriesRow, frozen=True, kw_only=True):
    """A series with all its fields."""

    contract_url: str | None
    contract_terms_url: str | None
    prohibitions: tuple[str, ...]
    product_metadata: ExchangeJson | None
    settlement_sources: tuple[str, ...]
    fee_changes: tuple[FeeChangeRow, ...]
