"""Views of positions, fills, and profit and loss. Rules as in `row`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, Literal

from msgspec.structs import replace

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, adds_up, notional, show_money, show_price
from kalshi_cli.core.account.ledger import Position, max_payout
from kalshi_cli.core.account.pnl import ProfitAndLoss
from kalshi_cli.core.model.order_terms import OwnTerms, Side, fill_terms, own_terms
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import MarkSource
from kalshi_cli.views.formats import ExactMoney, ShortId, SignedMoney
from kalshi_cli.views.portfolio import HoldingRow
from kalshi_cli.views.row import Action, Outcome, OutputRow, names, own_price


class PositionRow(OutputRow, frozen=True, kw_only=True):
    """A position: `position` is positive for YES; prices and `mark` are those of the position's `side`.

    `mark_source` says whether `mark` is a `quote` at which the position could be closed, an `estimate` because there is
    no bid for that side, or the `settlement` value. `max_payout` is then the payout.
    """

    ticker: str
    position: Qty
    side: Outcome
    count: Qty
    average_price: Price | None
    cost: Money
    mark: Price | None
    value: Money | None
    unrealized: SignedMoney | None
    realized: SignedMoney
    fees: Money
    subaccount: int
    mark_source: MarkSource | None = None
    max_payout: Money

    named = names(position="qty")
    shown: ClassVar[tuple[str, ...]] = (
        "ticker", "side", "count", "average_price", "mark", "value", "unrealized", "realized", "fees",
    )  # fmt: skip
    vital: ClassVar[tuple[str, ...]] = ("average_price", "unrealized")


class SubaccountPositionRow(PositionRow, frozen=True, kw_only=True):
    """A position with its subaccount, where not all are in the primary account."""

    shown = ("ticker", "subaccount", *PositionRow.shown[1:])


def position_row(
    position: Position,
    mark: Price | None,
    of: type[PositionRow] = PositionRow,
    source: MarkSource | None = None,
) -> PositionRow:
    """Return a position as a row. `mark` is the closing price on the YES scale, from `source`; None without quotes."""
    side: Outcome = "yes" if position.qty >= 0 else "no"
    return of.of(
        position,
        side=side,
        count=abs(position.qty),
        mark=None if mark is None else own_price(side, mark),
        value=position.value(mark),
        unrealized=position.unrealized(mark),
        mark_source=source,
        max_payout=max_payout(position.qty, mark if source == "settlement" else None),
    )


def mark_note(row: PositionRow | HoldingRow) -> str:
    """Say in a few words why a position cannot be closed at its closing price; empty where it can."""
    if row.mark_source == "settlement":
        return f"result known: payout of {show_money(row.value)} is due" if row.value else "result known: no payout"
    if row.mark_source == "estimate":
        return f"no bids for {row.side.upper()}: {show_price(row.mark)} is an estimate; sold now, it brings nothing"
    return ""


class FillRow(OutputRow, frozen=True, kw_only=True):
    """A fill of the account; `price` is on the YES scale.

    `cost` counts a sale as the purchase of the other outcome, as the exchange's book does: `count` times `price` for a
    bid, `count` times $1 minus `price` for an ask.
    """

    trade_id: str
    order_id: ShortId
    ticker: str
    book_side: Side
    price: Price
    count: Qty
    cost: Money
    fee: ExactMoney
    is_taker: bool
    time: Ts

    named = names(book_side="side", count="qty", time="ts")
    shown: ClassVar[tuple[str, ...]] = ("ticker", "book_side", "price", "count", "fee", "time", "is_taker")


class AccountFillRow(FillRow, frozen=True, kw_only=True):
    """A trade, and what it did to the position before it: a BID bought YES, or sold NO where NO was held.

    `side_price` is the price of that side, and `value` the cash that it took for a purchase, or brought for a sale,
    before the fee. `closed` are the contracts that reduced the position: fewer than `count` where the trade crossed
    zero, and the rest then bought the other side: their cost is taken off `value`, which is negative if it is more.
    `typed_side` is that of the order, from the state file; null if it was not typed here.
    """

    action: Action
    side: Outcome
    side_price: Price
    value: Money
    closed: Qty = Qty(0)
    typed_side: Outcome | None = None

    shown = (
        "order_id", "ticker", "action", "side", "side_price", "count", "closed", "fee", "time", "is_taker",
        "typed_side",
    )  # fmt: skip
    vital = ("time",)


def fill_row(fill: Fill, held_before: Qty, typed: Literal["", "yes", "no"] = "") -> AccountFillRow:
    """Return a fill as a row; `held_before` is the position that it met, signed, plus for YES."""
    terms = own_terms(fill.side, fill.price, held_before)
    closed = Qty(min(fill.qty, abs(held_before))) if terms.action == "sell" else Qty(0)
    opened = Qty(fill.qty - closed) if closed else Qty(0)
    return AccountFillRow.of(
        fill,
        action=terms.action,
        side=terms.side,
        side_price=terms.price,
        value=Money(notional(terms.price, fill.qty) - notional(ONE_DOLLAR, opened)),
        closed=closed,
        typed_side=typed or None,
    )


def fill_in_table(row: AccountFillRow, names: Collection[str]) -> AccountFillRow:
    """Return a fill for a table of these columns: its `price` is that of the side shown beside it.

    Without a side, it is that of the side that was typed, as in the table without chosen columns.
    """
    if "side" in names:
        return replace(row, price=row.side_price)
    if "book_side" in names and "typed_side" not in names:
        return row
    return replace(row, price=own_price(row.typed_side or row.side, row.price))


class FillPart(OutputRow, frozen=True, kw_only=True):
    """A fill, or the part of it on one side of zero: its words such as `sell YES`, their price, contracts and fee.

    `fee` is the share of the fill's fee; missing in an event of an older loop.
    """

    words: str
    price: Price
    count: Qty
    fee: Money | None = None


def fill_parts(row: AccountFillRow) -> list[FillPart]:
    """Return a fill as typed, else as what it did to the position: in two parts where it crossed zero.

    The parts share the fee by their contracts, as in tax lots: the first share is rounded down.
    `(closes)` and `(opens)` mark the typed words of a purchase that reduced a position, and of a sale that opened one.
    """
    opened, parts, closing = Qty(row.count - row.closed), [], Money(row.fee * row.closed // row.count)
    sides = ((row.closed, closing, None, "closes"), (opened, Money(row.fee - closing), Qty(0), "opens"))
    for count, fee, held, effect in sides:
        terms = fill_terms(row.book_side, row.price, held, row.typed_side)
        if not row.typed_side and held is None:
            terms = OwnTerms(row.action, row.side, row.side_price)
        is_plain = (terms.action == "sell") is (effect == "closes")
        if count:
            words = terms.words if is_plain else f"{terms.words} ({effect})"
            parts.append(FillPart(words=words, price=terms.price, count=count, fee=fee))
    return parts


class PnlRow(OutputRow, frozen=True, kw_only=True):
    """Profit and loss of one part."""

    key: str
    realized: SignedMoney
    unrealized: SignedMoney
    fees: Money
    net: SignedMoney
    wins: int
    losses: int

    vital = ("net",)
    together = ("wins", "losses")


class PnlView(OutputRow, frozen=True, kw_only=True):
    """Total profit and loss, and its parts; `realized + unrealized - fees = net` in every row and in the sum."""

    realized: SignedMoney
    unrealized: SignedMoney
    fees: Money
    net: SignedMoney
    wins: int
    losses: int
    rows: tuple[PnlRow, ...]

    @property
    def adds_up(self) -> bool:
        """Return whether every row and every column adds up as shown, to the cent."""
        lines: tuple[PnlRow | PnlView, ...] = (self, *self.rows)
        parts = [(row.realized, row.unrealized, -row.fees) for row in lines]
        columns = zip(*((row.realized, row.unrealized, row.fees, row.net) for row in self.rows), strict=True)
        return all(adds_up(*amounts) for amounts in (*parts, *columns))


def pnl_view(whole: ProfitAndLoss, parts: Mapping[str, ProfitAndLoss]) -> PnlView:
    """Return total profit and loss with its parts."""
    return PnlView.of(whole, rows=tuple(PnlRow.of(part, key=key) for key, part in parts.items()))
