"""Views for a terminal only: lists that fit it, orders and fills as the user means them, a market on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from kalshi_cli.base.local_time import local_time
from kalshi_cli.base.units import Money, Price, Qty, Ts, show_most, show_price, show_qty
from kalshi_cli.views.alerts import AlertChannelRow, SilenceRow, UndeliveredNoticeRow
from kalshi_cli.views.cash import SettlementRow, UpcomingRow
from kalshi_cli.views.exports import LotExport
from kalshi_cli.views.formats import MISSING, ExactMoney, ShortId, SignedMoney, TruncatableText, short_ids
from kalshi_cli.views.markets import FeeRow, MarketView
from kalshi_cli.views.order_book import NO_LEVELS, OwnLevels
from kalshi_cli.views.order_text import effect_words
from kalshi_cli.views.orders import BatchRow, ListedOrderRow, OrderRow, QueueRow, has_expired
from kalshi_cli.views.own_terms import HeldByMarket, order_terms, typed_terms
from kalshi_cli.views.positions import AccountFillRow, PositionRow, fill_parts
from kalshi_cli.views.row import OutputRow, names, own_price
from kalshi_cli.views.why import WhyView

MAX_TEXT_LENGTH = 200
"""Characters of a rule on a screen; the rest is shown with `-v`."""


class OrderLine(OutputRow, frozen=True, kw_only=True):
    """An order; `side` and `price` are those of the outcome that the user trades, such as `buy NO`."""

    order_id: ShortId | None
    ticker: str
    side: str
    price: Price
    filled: str
    effect: str | None
    expires: Ts | None
    created: Ts

    vital: ClassVar[tuple[str, ...]] = ("ticker", "side", "price", "filled", "effect")
    fields = names(effect="closing")


class OrderStatusLine(OrderLine, frozen=True, kw_only=True):
    """An order in a list of several statuses."""

    status: str
    average_fill_price: Price | None

    shown: ClassVar[tuple[str, ...]] = (
        "order_id", "ticker", "side", "price", "filled", "status", "created", "average_fill_price", "effect", "expires",
    )  # fmt: skip
    vital: ClassVar[tuple[str, ...]] = ("ticker", "side", "price", "filled", "status", "created")


class FilledOrderLine(OrderStatusLine, frozen=True, kw_only=True):
    """A filled order: what it traded at comes before when."""

    shown = ("order_id", "ticker", "side", "price", "average_fill_price", "filled", "created")
    vital = ("ticker", "side", "price", "average_fill_price", "filled")


class OrderScreen(OrderRow, frozen=True, kw_only=True):
    """An order as the user means it: one of NO also has its terms on the book, and one that ended the reason."""

    price: str  # type: ignore[assignment]  # words in place of a price


def order_screen(order: OrderRow, ending: str = "") -> OrderScreen:
    """Return an order that is as the user means it, for a terminal; `ending` says why it ended, if that is known."""
    price = show_price(order.price)
    if order.side == "no":
        book = typed_terms(order.book_side, own_price("no", order.price), "yes")
        price += f" (= {book.words} {show_price(book.price)})"
    return OrderScreen.of(order, price=price, status=f"{order.status} ({ending})" if ending else order.status)


class ListedOrderScreen(ListedOrderRow, frozen=True, kw_only=True):
    """An order for chosen fields on a terminal: its side in the words of `OrderLine`."""

    side: str  # type: ignore[assignment]  # words in place of an outcome


def _side_words(order: OrderRow) -> str:
    return f"{order.action} {order.side.upper()}"


def listed_order_screen(order: ListedOrderRow) -> ListedOrderScreen:
    """Return an order that is as the user means it, with the side in words."""
    return ListedOrderScreen.of(order, side=_side_words(order))


def order_lines(orders: Iterable[ListedOrderRow], kind: type[OrderLine] = OrderLine) -> list[OrderLine]:
    """Return the lines of orders that are as the user means them."""
    return [
        kind.of(
            each,
            side=_side_words(each),
            filled=f"{show_qty(each.filled)}/{show_qty(each.count)}",
            effect=effect_words(each),
            **({"status": "expired"} if has_expired(each) and issubclass(kind, OrderStatusLine) else {}),
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
        terms = order_terms(each, held)
        lines.append(QueueLine.of(each, side=terms.words, price=terms.price))
    return lines


class FillLine(OutputRow, frozen=True, kw_only=True):
    """A trade, in the words of `OrderLine`, or a part of one that crossed zero, with its share of the fee."""

    time: Ts
    ticker: str
    side: str
    price: Price
    count: Qty
    fee: ExactMoney | None
    order_id: str
    is_taker: bool

    vital = ("time", "ticker", "side", "price", "count", "fee")


def fill_lines(fills: Iterable[AccountFillRow]) -> list[FillLine]:
    """Return the lines of trades: two of one that crossed zero, the part that opened first, as it is newer."""
    rows = list(fills)
    return [
        FillLine.of(each, side=part.words, price=part.price, count=part.count, fee=part.fee, order_id=short)
        for each, short in zip(rows, short_ids([row.order_id for row in rows]), strict=True)
        for part in reversed(fill_parts(each))
    ]


class FillScreen(AccountFillRow, frozen=True, kw_only=True):
    """A trade for chosen fields on a terminal: its side in the words of `FillLine`, and their price."""

    side: str  # type: ignore[assignment]  # words in place of an outcome


def fill_screen(fill: AccountFillRow) -> FillScreen:
    """Return a trade in one row: one that crossed zero says how much it closed and opened."""
    first, *rest = fill_parts(fill)
    words = first.words
    if rest:
        parts = ((first, "closes"), (rest[0], "opens"))
        words = f"{words.partition(' (')[0]} ({', '.join(f'{verb} {show_qty(part.count)}' for part, verb in parts)})"
    return FillScreen.of(fill, side=words, price=first.price)


class SettlementLine(OutputRow, frozen=True, kw_only=True):
    """A settled market; `held` are the contracts that were paid, such as `20 NO`, and `gain` less `fee` is `net`.

    `gain` is `revenue` less `cost`, and `sold_before`: it has all parts where there is no room for them.
    """

    ticker: str
    result: str
    held: str
    net: SignedMoney | None
    gain: SignedMoney | None
    fee: Money
    sold_before: SignedMoney | None
    cost: Money | None
    revenue: Money
    time: Ts

    vital = ("held", "net", "gain", "time")
    headings = names(gain="before fees")


def settlement_lines(rows: Iterable[SettlementRow]) -> Iterator[SettlementLine]:
    """Yield the lines of settlements."""
    for row in rows:
        counts = ((row.yes_count, "YES"), (row.no_count, "NO"))
        held = ", ".join(f"{show_qty(qty)} {side}" for qty, side in counts if qty) or MISSING
        gain = None if row.net is None else SignedMoney(Money(row.net + row.fee))
        yield SettlementLine.of(row, held=held, gain=gain)


class UpcomingLine(OutputRow, frozen=True, kw_only=True):
    """A coming settlement; `quantity` has its outcome, such as `20 NO`."""

    ticker: str
    quantity: str
    pays: Money
    expected_time: Ts | None
    state: str | None
    cost: Money
    close_time: Ts | None
    title: TruncatableText | None

    vital = ("quantity", "pays", "expected_time", "state")
    headings = UpcomingRow.headings


def upcoming_lines(rows: Iterable[UpcomingRow]) -> list[UpcomingLine]:
    """Return the lines of coming settlements."""
    return [UpcomingLine.of(row, quantity=f"{show_qty(row.count)} {row.side.upper()}") for row in rows]


class LotLine(OutputRow, frozen=True, kw_only=True):
    """A tax lot with its days instead of its times, or the total of the closed lots."""

    ticker: str
    quantity: str
    opened: str
    closed: str
    cost: Money
    proceeds: Money | None
    fees: Money
    gain: SignedMoney | None

    vital = ("quantity", "cost", "proceeds", "fees", "gain")


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

    vital = ("quantity", "average_price", "mark", "unrealized")


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


class BatchListing(OutputRow, frozen=True, kw_only=True):
    """A line of a batch, in the words of `OrderLine`; `status` has the code of a refusal."""

    line: int
    order_id: ShortId | None
    ticker: str
    side: str
    price: Price
    status: str
    filled: str

    vital = ("status",)


def batch_listings(rows: Iterable[BatchRow]) -> list[BatchListing]:
    """Return the lines of a batch."""
    return [
        BatchListing.of(
            row,
            side=f"{row.action} {row.side.upper()}",
            status=row.status if row.code is None else f"{row.status} {row.code}",
            filled=f"{show_qty(row.filled or Qty(0))}/{show_qty(row.count)}",
        )
        for row in rows
    ]


class SchemaLine(OutputRow, frozen=True, kw_only=True):
    """A view in the list of `kalshi schema`; a long list of commands wraps."""

    view: str
    commands: TruncatableText

    wraps = True


class AlertLine(OutputRow, frozen=True, kw_only=True):
    """An alert; `alert` has its code, its subject and its text."""

    tier: str
    since: Ts
    state: str
    told: Ts | None
    alert: TruncatableText

    vital = ("tier", "since", "told", "alert")
    wraps = True


class AlertsScreen(OutputRow, frozen=True, kw_only=True):
    """The parts of `kalshi alerts`, with a line for each alert: alerts last, where a small terminal shows them."""

    firing: int
    held_back: int
    ended: int
    undelivered: int
    dead: int
    dropped: int
    sinks: tuple[AlertChannelRow, ...]
    silences: tuple[SilenceRow, ...]
    letters: tuple[UndeliveredNoticeRow, ...]
    alerts: tuple[AlertLine, ...]


class RefusedOrdersLine(OutputRow, frozen=True, kw_only=True):
    """A control that refused orders; `latest_refusal` has the ticker and the reason of the latest."""

    by: str
    code: str
    count: int
    latest_refusal: TruncatableText
    decided_by: TruncatableText

    vital = ("code", "latest_refusal", "decided_by")
    wraps = True


class WhyScreen(WhyView, frozen=True, kw_only=True):
    """The funnel, with a line for each control that refused orders."""

    rows: tuple[RefusedOrdersLine, ...]  # type: ignore[assignment]  # a line in place of a row


def why_screen(view: WhyView) -> WhyScreen:
    """Return the funnel for a terminal."""
    lines = (
        RefusedOrdersLine.of(row, latest_refusal=TruncatableText(": ".join(filter(None, (row.ticker, row.detail)))))
        for row in view.rows
    )
    return WhyScreen.of(view, rows=tuple(lines))


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


def market_brief(market: MarketView, own: OwnLevels = NO_LEVELS) -> MarketBrief:
    """Return what decides a trade in this market, with long rules cut; no quotes and fees once trading has ended.

    `own` are the levels of own orders at the prices of YES; the quotes mark them.
    """
    steps = sorted({band.step for band in market.price_grid})
    bid = _size(market.yes_bid_size, own.get(("bid", market.yes_bid)) if market.yes_bid else None)
    ask = _size(market.yes_ask_size, own.get(("ask", market.yes_ask)) if market.yes_ask else None)
    waiting, ended = len(market.fee_changes), market.has_ended
    return MarketBrief.of(
        market,
        YES=None if ended else _quote(market.yes_bid, bid, market.yes_ask, ask),
        NO=None if ended else _quote(market.no_bid, ask, market.no_ask, bid),
        fees_of_100=None if ended else _fees(market.fees),
        price_step=" to ".join(show_price(step) for step in dict.fromkeys((steps[0], steps[-1]))) if steps else None,
        fee_changes=f"{waiting} scheduled; -v shows them" if waiting else None,
        open_time=None if market.status == "active" else market.open_time,
        early_close_condition=_cut(market.early_close_condition) if market.can_close_early else None,
        rules_primary=_cut(market.rules_primary),
        rules_secondary=_cut(market.rules_secondary),
    )


def _fees(rows: Iterable[FeeRow]) -> str | None:
    """Return the first fee of each role; a maker who pays nothing is free."""
    first = {row.role: row for row in reversed(list(rows))}
    found = [first[role] for role in ("taker", "maker") if role in first]
    return ", ".join(_fee(row) for row in found) or None


def _fee(row: FeeRow) -> str:
    is_free = row.role == "maker" and not row.fee
    return "maker free" if is_free else f"{show_most(row.fee)} as {row.role} at {show_price(row.price)}"


def _size(size: Qty, own: Qty | None) -> str:
    """Return the contracts at a price, and how many of them are own orders."""
    return show_qty(size) + (f" ({show_qty(own)} yours)" if own else "")


def _quote(bid: Price | None, bid_size: str, ask: Price | None, ask_size: str) -> str:
    """Return the best prices with the contracts there."""
    return f"bid {_level(bid, bid_size)}   ask {_level(ask, ask_size)}"


def _level(price: Price | None, size: str) -> str:
    return MISSING if price is None else f"{show_price(price)} for {size}"


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_TEXT_LENGTH:
        return text
    return f"{text[: MAX_TEXT_LENGTH - 1].rstrip()}… (-v shows all)"
