"""What `market`, `event`, `events`, `series`, `series-info` and `exchange` print.

Programs get whole objects, people one screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, contracts, notional
from kalshi_cli.core.market.fees import trade_fee
from kalshi_cli.core.model.markets import Event, FeeSchedule, Market, MarketDetails, Series
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.price_grid import PriceGrid
from kalshi_cli.views.formats import Loose, Prose
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from kalshi_cli.desk.exchange import Standing
    from kalshi_cli.desk.screens import EventScreen, MarketScreen, SeriesScreen
    from kalshi_cli.exchange.wire.events import FeeChange

LOT = contracts(100)
"""The size for which `market` says what fees would be."""


class Band(Row, frozen=True, kw_only=True):
    """From `start` to `end` prices come in steps of `step`."""

    start: Price
    end: Price
    step: Price


def bands(grid: PriceGrid) -> tuple[Band, ...]:
    return tuple(Band.of(band) for band in grid.bands)


class FeeRow(Row, frozen=True, kw_only=True):
    """What a lot at the touch would cost in fees: `role` is taker (against the quote) or maker (waiting beside it)."""

    action: str
    role: str
    price: Price
    count: Qty
    fee: Money
    cost: Money


def fee_rows(market: Market, fees: FeeSchedule, now: Ts) -> tuple[FeeRow, ...]:
    """A hundred contracts each way, where there is a quote. While fees are waived they are nothing."""
    is_waived = market.fee_waiver_until is not None and now < market.fee_waiver_until
    cases: list[tuple[Side, str, Price | None]] = [
        (BID, "taker", market.yes_ask),
        (BID, "maker", market.yes_bid),
        (ASK, "taker", market.yes_bid),
        (ASK, "maker", market.yes_ask),
    ]
    return tuple(
        FeeRow(
            action="buy yes" if side is BID else "sell yes",
            role=role,
            price=price,
            count=LOT,
            fee=Money(0) if is_waived else trade_fee(fees, price, LOT, is_taker=role == "taker"),
            cost=notional(price if side is BID else Price(ONE_DOLLAR - price), LOT),
        )
        for side, role, price in cases
        if price is not None
    )


class FeeChangeRow(Row, frozen=True, kw_only=True):
    """Fees from `scheduled` on; an event whose override ends has none of its own from then."""

    scheduled: Ts
    applies_to: str
    fee_type: str | None
    fee_multiplier: float | None
    id: str

    shown = ("scheduled", "applies_to", "fee_type", "fee_multiplier")


def fee_change_rows(changes: Sequence[FeeChange]) -> tuple[FeeChangeRow, ...]:
    return tuple(
        FeeChangeRow(
            scheduled=change.scheduled,
            applies_to=change.event_ticker or change.series_ticker,
            fee_type=change.fees.type.value if change.fees else None,
            fee_multiplier=change.fees.multiplier / 1000 if change.fees else None,
            id=change.id,
        )
        for change in changes
    )


# -- markets ------------------------------------------------------------------------------------------------------


class MarketRow(Row, frozen=True, kw_only=True):
    ticker: str
    event_ticker: str
    title: Prose
    status: str
    yes_bid: Price | None
    yes_ask: Price | None
    last: Price | None
    volume: Qty
    volume_24h: Qty
    open_interest: Qty
    close_time: Ts

    shown: ClassVar[tuple[str, ...]] = ("ticker", "title", "yes_bid", "yes_ask", "last", "volume_24h", "close_time")


def market_row(market: Market) -> MarketRow:
    return MarketRow.of(market, title=full_title(market))


def full_title(market: Market) -> str:
    """The question, behind what tells this market from its siblings where that is kept apart: tables cut the end."""
    if market.subtitle and market.subtitle not in market.title:
        return f"{market.subtitle}: {market.title}"
    return market.title


class LegRow(Row, frozen=True, kw_only=True):
    """One leg of a combo."""

    event_ticker: str
    market_ticker: str
    side: str
    settlement_value: Price | None


class MarketObject(Row, frozen=True, kw_only=True):
    """A market with everything it has."""

    ticker: str
    event_ticker: str
    market_type: str
    title: Prose
    yes_sub_title: Prose | None
    no_sub_title: Prose | None
    status: str
    result: str | None
    yes_bid: Price | None
    yes_bid_size: Qty
    yes_ask: Price | None
    yes_ask_size: Qty
    no_bid: Price | None
    no_ask: Price | None
    last: Price | None
    previous_bid: Price | None
    previous_ask: Price | None
    previous_price: Price | None
    volume: Qty
    volume_24h: Qty
    open_interest: Qty
    notional: Price | None
    created: Ts | None
    updated: Ts | None
    open_time: Ts
    close_time: Ts
    expected_expiration_time: Ts | None
    latest_expiration_time: Ts | None
    expiration_time: Ts | None
    occurrence_time: Ts | None
    can_close_early: bool
    early_close_condition: Prose | None
    settlement_timer_s: int | None
    settlement_value: Price | None
    settlement_ts: Ts | None
    expiration_value: str | None
    settlement_bounds: str | None
    settlement_floor: Price | None
    strike_type: str | None
    floor_strike: float | None
    cap_strike: float | None
    functional_strike: str | None
    custom_strike: Loose | None
    mve_collection: str | None
    mve_legs: tuple[LegRow, ...]
    primary_participant: str | None
    is_provisional: bool
    fee_waiver_until: Ts | None
    exchange_index: int
    price_structure: str | None
    price_grid: tuple[Band, ...]
    rules_primary: Prose
    rules_secondary: Prose | None


def _market_fields(market: MarketDetails) -> dict[str, object]:
    """What a row calls otherwise than the model, or shows as missing where the exchange left it empty."""
    bid, ask = market.yes_bid, market.yes_ask
    names = (
        "result", "early_close_condition", "expiration_value", "settlement_bounds", "strike_type", "functional_strike",
        "mve_collection", "primary_participant", "price_structure", "rules_secondary",
    )  # fmt: skip
    return {name: getattr(market, name) or None for name in names} | {
        "title": full_title(market),
        "yes_sub_title": market.subtitle or None,
        "no_sub_title": market.no_subtitle or None,
        "no_bid": None if ask is None else Price(ONE_DOLLAR - ask),
        "no_ask": None if bid is None else Price(ONE_DOLLAR - bid),
        "mve_legs": tuple(LegRow.of(leg) for leg in market.mve_legs),
        "price_grid": bands(market.grid),
    }


def market_object(market: MarketDetails) -> MarketObject:
    return MarketObject.of(market, **_market_fields(market))


class MarketView(MarketObject, frozen=True, kw_only=True):
    """One market on one screen, with what its event and its series decide."""

    series_ticker: str
    fee_type: str
    fee_multiplier: float
    settlement_sources: tuple[str, ...]
    fees: tuple[FeeRow, ...]
    fee_changes: tuple[FeeChangeRow, ...]

    screen = (
        "ticker", "series_ticker", "event_ticker", "title", "status", "result", "yes_bid", "yes_bid_size", "yes_ask",
        "yes_ask_size", "last", "previous_price", "volume", "volume_24h", "open_interest", "open_time", "close_time",
        "expected_expiration_time", "latest_expiration_time", "can_close_early", "early_close_condition",
        "settlement_timer_s", "settlement_value", "expiration_value", "strike_type", "floor_strike", "cap_strike",
        "functional_strike", "custom_strike", "exchange_index", "fee_type", "fee_multiplier", "fee_waiver_until",
        "settlement_sources", "rules_primary", "rules_secondary",
    )  # fmt: skip


def market_view(screen: MarketScreen, now: Ts) -> MarketView:
    """What the exchange left empty is missing."""
    market, fees = screen.market, screen.fees
    return MarketView.of(
        market,
        **_market_fields(market),
        series_ticker=screen.event.series_ticker,
        fee_type=fees.type.value,
        fee_multiplier=fees.multiplier / 1000,
        settlement_sources=_named(screen.event.settlement_sources),
        fees=fee_rows(market, fees, now),
        fee_changes=fee_change_rows(screen.changes),
    )


def _named(sources: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{name} {url}".strip() for name, url in sources)


# -- events -------------------------------------------------------------------------------------------------------


class EventRow(Row, frozen=True, kw_only=True):
    event_ticker: str
    series_ticker: str
    title: Prose
    sub_title: Prose | None
    category: str | None
    mutually_exclusive: bool
    strike_date: Ts | None
    strike_period: str | None
    collateral_return: str | None
    fee_type_override: str | None
    fee_multiplier_override: float | None
    updated: Ts | None
    exchange_index: int
    product_metadata: Loose | None

    shown = ("event_ticker", "title", "sub_title", "category", "mutually_exclusive", "strike_date")


def _event_fields(event: Event) -> dict[str, object]:
    multiplier = event.fee_multiplier_override
    names = ("sub_title", "category", "strike_period", "collateral_return")
    return {name: getattr(event, name) or None for name in names} | {
        "fee_type_override": event.fee_type_override.value if event.fee_type_override else None,
        "fee_multiplier_override": None if multiplier is None else multiplier / 1000,
    }


def event_row(event: Event) -> EventRow:
    return EventRow.of(event, **_event_fields(event))


class EventView(EventRow, frozen=True, kw_only=True):
    """An event on one screen, its markets as a table."""

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
    """An event with all its markets and all they have, for programs."""

    fee_type: str
    fee_multiplier: float
    settlement_sources: tuple[str, ...]
    competition: str | None
    competition_scope: str | None
    image_url: str | None
    fee_changes: tuple[FeeChangeRow, ...]
    markets: tuple[MarketObject, ...]


def _event_screen(screen: EventScreen) -> dict[str, object]:
    return _event_fields(screen.event) | {
        "fee_type": screen.fees.type.value,
        "fee_multiplier": screen.fees.multiplier / 1000,
        "settlement_sources": _named(screen.event.settlement_sources),
        "competition": screen.metadata.competition or None,
        "competition_scope": screen.metadata.competition_scope or None,
        "fee_changes": fee_change_rows(screen.changes),
    }


def event_view(screen: EventScreen) -> EventView:
    """The markets by what tells them apart: what they have in common is above them."""
    markets = tuple(
        msgspec.structs.replace(market_row(market), title=Prose(market.subtitle or market.title))
        for market in screen.event.markets
    )
    return EventView.of(screen.event, **_event_screen(screen), markets=markets)


def whole_event(screen: EventScreen) -> WholeEvent:
    whole = (market for market in screen.event.markets if isinstance(market, MarketDetails))
    return WholeEvent.of(
        screen.event,
        **_event_screen(screen),
        image_url=screen.metadata.image_url or None,
        markets=tuple(map(market_object, whole)),
    )


# -- series -------------------------------------------------------------------------------------------------------


class SeriesRow(Row, frozen=True, kw_only=True):
    ticker: str
    title: Prose
    category: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    frequency: str
    fee_type: str
    fee_multiplier: float
    volume: Qty | None
    updated: Ts | None
    exchange_index: int

    shown = ("ticker", "title", "category", "frequency", "fee_type", "fee_multiplier")


def series_row(series: Series) -> SeriesRow:
    return SeriesRow.of(series, fee_type=series.fees.type.value, fee_multiplier=series.fees.multiplier / 1000)


class SeriesView(SeriesRow, frozen=True, kw_only=True):
    """A series with everything it has."""

    contract_url: str | None
    contract_terms_url: str | None
    prohibitions: tuple[str, ...]
    product_metadata: Loose | None
    settlement_sources: tuple[str, ...]
    fee_changes: tuple[FeeChangeRow, ...]


def series_view(screen: SeriesScreen) -> SeriesView:
    series = screen.series
    return SeriesView.of(
        series,
        fee_type=series.fees.type.value,
        fee_multiplier=series.fees.multiplier / 1000,
        contract_url=series.contract_url or None,
        contract_terms_url=series.contract_terms_url or None,
        settlement_sources=_named(series.settlement_sources),
        fee_changes=fee_change_rows(screen.changes),
    )


# -- the exchange -------------------------------------------------------------------------------------------------


class ShardRow(Row, frozen=True, kw_only=True):
    exchange_index: int
    description: Prose
    exchange_active: bool
    trading_active: bool
    transfers_active: bool


class HoursRow(Row, frozen=True, kw_only=True):
    """Opening hours of a day of the week, Eastern time."""

    day: str
    hours: str


class MaintenanceRow(Row, frozen=True, kw_only=True):
    """`kind` is announced (by the exchange) or weekly (Thursdays 03:00 to 05:00 Eastern time, announced or not)."""

    kind: str
    starts: Ts
    ends: Ts


class ExchangeView(Row, frozen=True, kw_only=True):
    """Two kinds of pause, of the exchange and by shard; opening hours; the next maintenance, and what is to come."""

    exchange_active: bool
    trading_active: bool
    transfers_active: bool | None
    estimated_resume: Ts | None
    hours_today: Prose | None
    next_maintenance: Ts | None
    maintenance_ends: Ts | None
    maintenance_kind: str | None
    shards: tuple[ShardRow, ...]
    maintenance: tuple[MaintenanceRow, ...]
    hours: tuple[HoursRow, ...]


def exchange_view(standing: Standing) -> ExchangeView:
    ahead = tuple(MaintenanceRow.of(window) for window in standing.maintenance)
    return ExchangeView.of(
        standing.status,
        hours_today=dict(standing.hours).get(standing.today),
        next_maintenance=ahead[0].starts if ahead else None,
        maintenance_ends=ahead[0].ends if ahead else None,
        maintenance_kind=ahead[0].kind if ahead else None,
        shards=tuple(ShardRow.of(shard) for shard in standing.status.shards),
        maintenance=ahead,
        hours=tuple(HoursRow(day=day, hours=hours) for day, hours in standing.hours),
    )
