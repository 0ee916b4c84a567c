"""What the commands print: one typed struct for each kind of row, its fields named as in JSON.

A field's declared type decides how it is written (see `cells`); `shown` names the columns of a terminal table, the most
important first, where the row has more than a screen is wide. Names and types are a contract: adding is free, renaming
is not. Constructors are pure: what the domain knows, turned into what a person typed and reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from kalshi_cli.cli.cells import Gain, Prose, Ratio, Verdict
from kalshi_cli.config import Setting
from kalshi_cli.core.ledger import Position
from kalshi_cli.core.messages import Level
from kalshi_cli.core.model import ASK, BID, Balance, Fill, Market, Order, Side
from kalshi_cli.core.pnl import Pnl
from kalshi_cli.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional

Outcome = Literal["yes", "no"]
Action = Literal["buy", "sell"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything printed."""

    shown: ClassVar[tuple[str, ...]] = ()


# -- market data --------------------------------------------------------------------------------------------------


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

    shown = ("ticker", "title", "yes_bid", "yes_ask", "last", "volume_24h", "close_time")


def market_row(market: Market) -> MarketRow:
    return MarketRow(
        ticker=market.ticker,
        event_ticker=market.event_ticker,
        title=Prose(full_title(market)),
        status=market.status.value,
        yes_bid=market.yes_bid,
        yes_ask=market.yes_ask,
        last=market.last,
        volume=market.volume,
        volume_24h=market.volume_24h,
        open_interest=market.open_interest,
        close_time=market.close_time,
    )


def full_title(market: Market) -> str:
    """The question, with the part that tells this market from its siblings where that is kept apart."""
    if market.subtitle and market.subtitle not in market.title:
        return f"{market.title} ({market.subtitle})"
    return market.title


class Band(Row, frozen=True, kw_only=True):
    """From `start` to `end` prices come in steps of `step`."""

    start: Price
    end: Price
    step: Price


class MarketView(Row, frozen=True, kw_only=True):
    """One market on one screen."""

    ticker: str
    event_ticker: str
    title: Prose
    status: str
    result: str | None
    yes_bid: Price | None
    yes_bid_size: Qty
    yes_ask: Price | None
    yes_ask_size: Qty
    last: Price | None
    volume: Qty
    volume_24h: Qty
    open_interest: Qty
    open_time: Ts
    close_time: Ts
    expected_expiration_time: Ts | None
    can_close_early: bool
    early_close_condition: Prose | None
    strike_type: str | None
    floor_strike: float | None
    cap_strike: float | None
    fee_type: str
    fee_multiplier: float
    settlement_sources: tuple[str, ...]
    rules_primary: Prose
    rules_secondary: Prose | None
    price_grid: tuple[Band, ...]


def market_view(market: Market, *, fee_type: str, fee_multiplier: int, settlement_sources: Sequence[str]) -> MarketView:
    """`fee_multiplier` in thousandths, as in `FeeSchedule`."""
    return MarketView(
        ticker=market.ticker,
        event_ticker=market.event_ticker,
        title=Prose(full_title(market)),
        status=market.status.value,
        result=market.result or None,
        yes_bid=market.yes_bid,
        yes_bid_size=market.yes_bid_size,
        yes_ask=market.yes_ask,
        yes_ask_size=market.yes_ask_size,
        last=market.last,
        volume=market.volume,
        volume_24h=market.volume_24h,
        open_interest=market.open_interest,
        open_time=market.open_time,
        close_time=market.close_time,
        expected_expiration_time=market.expected_expiration_time,
        can_close_early=market.can_close_early,
        early_close_condition=Prose(market.early_close_condition) if market.early_close_condition else None,
        strike_type=market.strike_type or None,
        floor_strike=market.floor_strike,
        cap_strike=market.cap_strike,
        fee_type=fee_type,
        fee_multiplier=fee_multiplier / 1000,
        settlement_sources=tuple(settlement_sources),
        rules_primary=Prose(market.rules_primary),
        rules_secondary=Prose(market.rules_secondary) if market.rules_secondary else None,
        price_grid=tuple(Band(start=band.start, end=band.end, step=band.step) for band in market.grid.bands),
    )


class OrderbookView(Row, frozen=True, kw_only=True):
    """Levels on the YES scale, best first; the asks are those implied by bids for NO."""

    ticker: str
    yes_bids: tuple[Level, ...]
    yes_asks: tuple[Level, ...]
    best_bid: Price | None
    best_ask: Price | None
    spread: Price | None
    mid: Price | None


def orderbook_view(ticker: str, bids: Sequence[Level], asks: Sequence[Level], depth: int) -> OrderbookView:
    """`bids` and `asks` on the YES scale in any order; `mid` is rounded down to the scale of prices."""
    yes_bids = tuple(sorted(bids, reverse=True))
    yes_asks = tuple(sorted(asks))
    bid = yes_bids[0][0] if yes_bids else None
    ask = yes_asks[0][0] if yes_asks else None
    quoted = (bid, ask) if bid is not None and ask is not None else None
    return OrderbookView(
        ticker=ticker,
        yes_bids=yes_bids[:depth],
        yes_asks=yes_asks[:depth],
        best_bid=bid,
        best_ask=ask,
        spread=Price(quoted[1] - quoted[0]) if quoted else None,
        mid=Price(sum(quoted) // 2) if quoted else None,
    )


class LevelRow(Row, frozen=True, kw_only=True):
    """A level of a book; `total` is the count from the best price to here."""

    side: str
    price: Price
    count: Qty
    total: Qty


class ExchangeView(Row, frozen=True, kw_only=True):
    exchange_active: bool
    trading_active: bool
    estimated_resume: Ts | None
    schedule: Prose | None = None
    next_maintenance: Ts | None = None


# -- orders and account -------------------------------------------------------------------------------------------


class OrderRow(Row, frozen=True, kw_only=True):
    """`side` and `action` as typed, `price` the price of that side; `book_side` is the side of the YES book."""

    order_id: str | None
    client_order_id: str | None
    ticker: str
    side: Outcome
    action: Action
    book_side: Side
    price: Price
    count: Qty
    filled: Qty
    remaining: Qty
    status: str
    average_fill_price: Price | None
    fees: Money

    shown = ("order_id", "ticker", "action", "side", "price", "filled", "remaining", "status")


def order_row(order: Order, typed: tuple[Outcome, Action] | None = None) -> OrderRow:
    """The order as it was typed where that is known, else as a purchase or a sale of YES.

    The exchange keeps one book: it does not remember whether an ask meant "sell YES" or "buy NO".
    """
    side, action = typed or ("yes", "buy" if order.side is BID else "sell")
    return OrderRow(
        order_id=order.order_id or None,
        client_order_id=order.client_order_id or None,
        ticker=order.ticker,
        side=side,
        action=action,
        book_side=order.side,
        price=_of(side, order.price),
        count=order.qty,
        filled=order.filled,
        remaining=order.remaining,
        status=order.status.value,
        average_fill_price=_of(side, _per(order.fill_cost, order.filled)) if order.filled else None,
        fees=order.fees,
    )


def _of(side: Outcome, price: Price) -> Price:
    """A YES price as the price of this side."""
    return price if side == "yes" else Price(ONE_DOLLAR - price)


def _per(amount: Money, count: Qty) -> Price:
    """Money over contracts, to the nearest price."""
    return Price((2 * amount + count) // (2 * count))


class PositionRow(Row, frozen=True, kw_only=True):
    """`position` is signed, plus for YES; prices and `mark` are those of the `side` that is held."""

    ticker: str
    position: Qty
    side: Outcome
    count: Qty
    average_price: Price | None
    cost: Money
    mark: Price | None
    value: Money | None
    unrealized: Gain | None
    realized: Gain
    fees: Money

    shown = ("ticker", "side", "count", "average_price", "mark", "value", "unrealized", "realized", "fees")


def position_row(position: Position, mark: Price | None) -> PositionRow:
    """`mark` on the YES scale: what the position could be closed at; None where nobody quotes."""
    side: Outcome = "yes" if position.qty >= 0 else "no"
    unrealized = position.unrealized(mark)
    return PositionRow(
        ticker=position.ticker,
        position=position.qty,
        side=side,
        count=Qty(abs(position.qty)),
        average_price=position.average_price,
        cost=position.cost,
        mark=None if mark is None else _of(side, mark),
        value=position.value(mark),
        unrealized=None if unrealized is None else Gain(unrealized),
        realized=Gain(position.realized),
        fees=position.fees,
    )


class FillRow(Row, frozen=True, kw_only=True):
    """A trade of ours; `price` on the YES scale, `cost` what left the account for it before the fee."""

    trade_id: str
    order_id: str
    ticker: str
    book_side: Side
    price: Price
    count: Qty
    cost: Money
    fee: Money
    is_taker: bool
    time: Ts

    shown = ("time", "ticker", "book_side", "price", "count", "fee", "is_taker")


def fill_row(fill: Fill) -> FillRow:
    paid = fill.price if fill.side is not ASK else Price(ONE_DOLLAR - fill.price)
    return FillRow(
        trade_id=fill.trade_id,
        order_id=fill.order_id,
        ticker=fill.ticker,
        book_side=fill.side,
        price=fill.price,
        count=fill.qty,
        cost=notional(paid, fill.qty),
        fee=fill.fee,
        is_taker=fill.is_taker,
        time=fill.ts,
    )


class BalanceView(Row, frozen=True, kw_only=True):
    cash: Money
    portfolio_value: Money
    total: Money
    as_of: Ts


def balance_view(balance: Balance) -> BalanceView:
    return BalanceView(
        cash=balance.cash,
        portfolio_value=balance.portfolio_value,
        total=Money(balance.cash + balance.portfolio_value),
        as_of=balance.ts,
    )


class PnlRow(Row, frozen=True, kw_only=True):
    key: str
    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain


class PnlView(Row, frozen=True, kw_only=True):
    """The whole and its parts; `realized + unrealized - fees = net`, in every row and in the sum."""

    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain
    rows: tuple[PnlRow, ...]


def pnl_view(whole: Pnl, parts: Mapping[str, Pnl]) -> PnlView:
    return PnlView(
        realized=Gain(whole.realized),
        unrealized=Gain(whole.unrealized),
        fees=whole.fees,
        net=Gain(whole.net),
        rows=tuple(
            PnlRow(
                key=key,
                realized=Gain(part.realized),
                unrealized=Gain(part.unrealized),
                fees=part.fees,
                net=Gain(part.net),
            )
            for key, part in parts.items()
        ),
    )


class CancelAllView(Row, frozen=True, kw_only=True):
    canceled: int
    remaining: int
    halted: bool
    seconds: float


# -- trading and operations ---------------------------------------------------------------------------------------


class TradeSummary(Row, frozen=True, kw_only=True):
    """One run of `trade`, or a backtest; `denied` counts refusals by code."""

    strategy: str
    env: str
    mode: str
    cycles: int
    intents: int
    orders: int
    fills: int
    denied: dict[str, int]
    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain
    balance: Money | None
    maker_fills: int
    taker_fills: int
    stopped_by: str


class BacktestMarketRow(Row, frozen=True, kw_only=True):
    ticker: str
    fills: int
    count: Qty
    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain


class BacktestReport(Row, frozen=True, kw_only=True):
    strategy: str
    messages: int
    start: Ts
    end: Ts
    intents: int
    orders: int
    fills: int
    denied: dict[str, int]
    win_rate: Ratio | None
    max_drawdown: Money
    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain
    rows: tuple[BacktestMarketRow, ...]


class HealthRow(Row, frozen=True, kw_only=True):
    check: str
    status: Verdict
    latency_ms: float | None
    detail: Prose
    hint: Prose | None


class StatusView(Row, frozen=True, kw_only=True):
    """What runs here, and how it is doing."""

    env: str
    running: bool
    pid: int | None
    mode: str | None
    strategy: str | None
    state: str
    state_reason: Prose | None
    started: Ts | None
    last_cycle: Ts | None
    cycles: int
    open_positions: int
    unknown_orders: int
    day_pnl: Gain | None
    cash: Money | None


class SettingRow(Row, frozen=True, kw_only=True):
    """A configured value and who said so: flag, variable, file or default."""

    path: str
    value: Prose
    origin: Prose


def setting_row(setting: Setting) -> SettingRow:
    return SettingRow(path=setting.path, value=Prose(setting.value), origin=Prose(setting.origin))


class PathRow(Row, frozen=True, kw_only=True):
    what: str
    path: str
    exists: bool


def path_row(what: str, path: Path) -> PathRow:
    return PathRow(what=what, path=str(path), exists=path.exists())
