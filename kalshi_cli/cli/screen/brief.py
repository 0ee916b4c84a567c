"""Views for a terminal only: orders and fills as the user means them, and a market on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kalshi_cli.base.local_time import local_time
from kalshi_cli.base.units import Money, Price, Qty, Ts, show_money, show_price, show_qty
from kalshi_cli.views.exports import LotExport
from kalshi_cli.views.formats import MISSING, ShortId, SignedMoney, TruncatableText
from kalshi_cli.views.markets import MarketView
from kalshi_cli.views.orders import OrderRow, QueueRow
from kalshi_cli.views.own_terms import HeldByMarket, own_terms
from kalshi_cli.views.positions import AccountFillRow, PositionRow
from kalshi_cli.views.row import OutputRow

MAX_TEXT_LENGTH = 200
"""Characters of a rule on a screen; the rest is shown with `-v`."""


class OrderLine(OutputRow, frozen=True, kw_only=True):
    """An order; `side` and `price` are those of the outcome that the user trades, such as `buy NO`."""

    order_id: ShortId | None
    ticker: str
    side: str
    price: Price
    filled: str


class OrderStatusLine(OrderLine, frozen=True, kw_only=True):
    """An order in a list of several statuses."""

    status: str

    vital = ("status",)


def order_lines(orders: Iterable[OrderRow], kind: type[OrderLine] = OrderLine) -> list[OrderLine]:
    """Return the lines of orders that are as the user means them."""
    return [
        kind.of(
            each,
            side=f"{each.action} {each.side.upper()}",
            filled=f"{show_qty(each.filled)}/{show_qty(each.count)}",
        )
        for each in orders
    ]


class QueueLine(OutputRow, frozen=True, kw_only=True):
    """A resting order in its queue, in the words of `OrderLine`."""

    order_id: ShortId
    ticker: str
    side: str
    price: Price
    remaining: Qty
    ahead: Qty | None


def queue_lines(orders: Iterable[QueueRow], held: HeldByMarket) -> list[QueueLine]:
    """Return the lines of resting orders; `held` has the positions of now."""
    lines = []
    for each in orders:
        terms = own_terms(each.book_side, each.price, held.get((each.subaccount, each.ticker), Qty(0)))
        lines.append(QueueLine.of(each, side=terms.words, price=terms.price))
    return lines


class FillLine(OutputRow, frozen=True, kw_only=True):
    """A trade, in the words of `OrderLine`."""

    time: Ts
    ticker: str
    side: str
    price: Price
    count: Qty
    fee: Money
    is_taker: bool

    vital = ("time",)


def fill_lines(fills: Iterable[AccountFillRow]) -> list[FillLine]:
    """Return the lines of trades."""
    return [FillLine.of(each, side=f"{each.action} {each.side.upper()}", price=each.side_price) for each in fills]


class LotLine(OutputRow, frozen=True, kw_only=True):
    """A tax lot with its days instead of its times, or the total of the closed lots."""

    ticker: str
    quantity: str
    opened: str
    closed: str
    cost: Money
    proceeds: Money | None
    gain: SignedMoney | None
    fees: Money

    vital = ("quantity", "opened", "closed", "cost", "proceeds", "gain")


def lot_lines(lots: Sequence[LotExport], now: Ts) -> list[LotLine]:
    """Return the lines of tax lots, and a last one with the total of those that are closed."""
    lines = [
        LotLine.of(
            lot,
            quantity=f"{show_qty(lot.count)} {lot.outcome.upper()}",
            opened=_day(lot.opened, now),
            closed="open" if lot.closed is None else _day(lot.closed, now),
        )
        for lot in lots
    ]
    closed = [lot for lot in lots if lot.closed is not None]
    total = LotLine(
        ticker="Total closed", quantity="", opened="", closed="", cost=Money(sum(lot.cost for lot in closed)),
        proceeds=Money(sum(lot.proceeds or 0 for lot in closed)), fees=Money(sum(lot.fees for lot in closed)),
        gain=SignedMoney(Money(sum(lot.gain or 0 for lot in closed))),
    )  # fmt: skip
    return [*lines, total] if closed else lines


def _day(ts: Ts, now: Ts) -> str:
    """Return a local day, with its year if that is not the current one."""
    day = local_time(ts)
    return f"{day:%b} {day.day}" if day.year == local_time(now).year else f"{day:%Y-%m-%d}"


class PositionLine(OutputRow, frozen=True, kw_only=True):
    """A position; `quantity` has its outcome, such as `20 NO`."""

    ticker: str
    quantity: str
    average_price: Price | None
    mark: Price | None
    value: Money | None
    unrealized: SignedMoney | None
    realized: SignedMoney
    fees: Money

    vital = ("quantity", "value", "unrealized")


class SubaccountPositionLine(PositionLine, frozen=True, kw_only=True):
    """A position with its subaccount, where not all are in the primary account."""

    subaccount: int

    shown = (
        "ticker", "subaccount", "quantity", "average_price", "mark", "value", "unrealized", "realized", "fees",
    )  # fmt: skip


def position_lines(rows: Sequence[PositionRow]) -> list[PositionLine]:
    """Return the lines of positions."""
    kind = SubaccountPositionLine if any(row.subaccount for row in rows) else PositionLine
    return [kind.of(row, quantity=f"{show_qty(row.count)} {row.side.upper()}") for row in rows]


class MarketBrief(OutputRow, frozen=True, kw_only=True):
    """A market on one screen: prices first, then what decides it."""

    title: str
    status: str
    result: str | None
    YES: str | None
    NO: str | None
    last: Price | None
    volume_24h: Qty
    open_interest: Qty
    fees_of_100: str | None
    price_step: str | None
    fee_changes: str | None
    open_time: Ts | None
    close_time: Ts
    early_close_condition: TruncatableText | None
    rules_primary: TruncatableText
    rules_secondary: TruncatableText | None

    screen = (
        "title", "status", "result", "YES", "NO", "last", "volume_24h", "open_interest", "fees_of_100", "price_step",
        "fee_changes", "open_time", "close_time", "early_close_condition", "rules_primary", "rules_secondary",
    )  # fmt: skip


def market_brief(market: MarketView) -> MarketBrief:
    """Return what decides a trade in this market, with long rules cut; no quotes and fees once trading has ended."""
    steps = sorted({band.step for band in market.price_grid})
    taker = next((row for row in market.fees if row.role == "taker"), None)
    waiting, ended = len(market.fee_changes), market.has_ended
    return MarketBrief.of(
        market,
        YES=None if ended else _quote(market.yes_bid, market.yes_bid_size, market.yes_ask, market.yes_ask_size),
        NO=None if ended else _quote(market.no_bid, market.yes_ask_size, market.no_ask, market.yes_bid_size),
        fees_of_100=None if ended else taker and f"{show_money(taker.fee)} as taker at {show_price(taker.price)}",
        price_step=" to ".join(show_price(step) for step in dict.fromkeys((steps[0], steps[-1]))) if steps else None,
        fee_changes=f"{waiting} scheduled; -v shows them" if waiting else None,
        open_time=None if market.status == "active" else market.open_time,
        early_close_condition=_cut(market.early_close_condition) if market.can_close_early else None,
        rules_primary=_cut(market.rules_primary),
        rules_secondary=_cut(market.rules_secondary),
    )


def _quote(bid: Price | None, bid_size: Qty, ask: Price | None, ask_size: Qty) -> str:
    """Return the best prices with the contracts there."""
    return f"bid {_level(bid, bid_size)}   ask {_level(ask, ask_size)}"


def _level(price: Price | None, size: Qty) -> str:
    return MISSING if price is None else f"{show_price(price)} for {show_qty(size)}"


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_TEXT_LENGTH:
        return text
    return f"{text[: MAX_TEXT_LENGTH - 1].rstrip()}… (-v shows all)"
