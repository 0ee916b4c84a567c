"""Views of markets: whole objects for programs, one screen for people."""

from __future__ import annotations

from typing import ClassVar

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, contracts, notional
from kalshi_cli.core.market.fees import trade_fee
from kalshi_cli.core.model.markets import ENDED, ComboLeg, FeeSchedule, Market
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.price_grid import PriceBand
from kalshi_cli.views.formats import ExchangeJson, MaxMoney, TruncatableText
from kalshi_cli.views.row import OutputRow, names

LOT = contracts(100)
"""The number of contracts for which `market` shows fees."""

HALF_DOLLAR = Price(ONE_DOLLAR // 2)


class FeeRow(OutputRow, frozen=True, kw_only=True):
    """The fee of a lot at the best price, or at 50 cents without one; `role` is taker (against the quote) or maker."""

    action: str
    role: str
    price: Price
    count: Qty
    fee: MaxMoney
    cost: Money


def fee_rows(market: Market, fees: FeeSchedule, now: Ts) -> tuple[FeeRow, ...]:
    """Return the fees of a hundred contracts each way, where there is a quote; zero while fees are waived.

    Without any quote they are those at 50 cents, where the usual fee is highest.
    """
    is_waived = market.fee_waiver_until is not None and now < market.fee_waiver_until
    cases: list[tuple[Side, str, Price | None]] = [
        (BID, "taker", market.yes_ask),
        (BID, "maker", market.yes_bid),
        (ASK, "taker", market.yes_bid),
        (ASK, "maker", market.yes_ask),
    ]
    if market.yes_bid is None and market.yes_ask is None:
        cases = [(BID, "taker", HALF_DOLLAR), (BID, "maker", HALF_DOLLAR)]
    return tuple(
        FeeRow(
            action="buy yes" if side is BID else "sell yes",
            role=role,
            price=price,
            count=LOT,
            fee=MaxMoney(Money(0) if is_waived else trade_fee(fees, price, LOT, is_taker=role == "taker")),
            cost=notional(price if side is BID else Price(ONE_DOLLAR - price), LOT),
        )
        for side, role, price in cases
        if price is not None
    )


class FeeChangeRow(OutputRow, frozen=True, kw_only=True):
    """Fees from `scheduled` on; an event whose override ends has no fees of its own from then."""

    scheduled: Ts
    applies_to: str
    fee_type: str | None
    fee_multiplier: float | None
    id: str

    named = names(fee_type="fees.type", fee_multiplier="fees.factor")
    shown = ("scheduled", "applies_to", "fee_type", "fee_multiplier")


class MarketRow(OutputRow, frozen=True, kw_only=True):
    """A market in a list."""

    ticker: str
    event_ticker: str
    title: TruncatableText
    status: str
    yes_bid: Price | None
    yes_ask: Price | None
    last: Price | None
    volume: Qty
    volume_24h: Qty
    open_interest: Qty
    close_time: Ts

    named = names(title="full_title")
    shown: ClassVar[tuple[str, ...]] = ("ticker", "title", "yes_bid", "yes_ask", "last", "volume_24h", "close_time")
    vital: ClassVar[tuple[str, ...]] = ("yes_bid", "yes_ask", "close_time")


class CachedMarketRow(MarketRow, frozen=True, kw_only=True):
    """A market as of `as_of`: the start of the refresh that last read it."""

    as_of: Ts

    shown = ("ticker", "title", "yes_bid", "yes_ask", "last", "as_of", "volume_24h", "close_time")


class MarketDetailsRow(OutputRow, frozen=True, kw_only=True):
    """A market with all its fields."""

    ticker: str
    event_ticker: str
    market_type: str
    title: TruncatableText
    yes_sub_title: TruncatableText | None
    no_sub_title: TruncatableText | None
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
    early_close_condition: TruncatableText | None
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
    custom_strike: ExchangeJson | None
    mve_collection: str | None
    mve_legs: tuple[ComboLeg, ...]
    primary_participant: str | None
    is_provisional: bool
    fee_waiver_until: Ts | None
    exchange_index: int
    price_structure: str | None
    price_grid: tuple[PriceBand, ...]
    rules_primary: TruncatableText
    rules_secondary: TruncatableText | None

    named = names(
        title="full_title", yes_sub_title="subtitle", no_sub_title="no_subtitle", price_grid="grid.bands",
    )  # fmt: skip


class MarketView(MarketDetailsRow, frozen=True, kw_only=True):
    """A market on one screen, with data of its event and its series."""

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

    @property
    def has_ended(self) -> bool:
        """Return whether trading has stopped for good."""
        return self.status in ENDED
