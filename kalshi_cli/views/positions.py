"""Views of positions, fills, and profit and loss. Rules as in `row`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.account.pnl import ProfitAndLoss
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.views.formats import SignedMoney
from kalshi_cli.views.row import Outcome, OutputRow, names, own_price


class PositionRow(OutputRow, frozen=True, kw_only=True):
    """A position: `position` is positive for YES; prices and `mark` are those of the position's `side`."""

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

    named = names(position="qty")
    shown: ClassVar[tuple[str, ...]] = (
        "ticker", "side", "count", "value", "unrealized", "average_price", "mark", "realized", "fees",
    )  # fmt: skip


class SubaccountPositionRow(PositionRow, frozen=True, kw_only=True):
    """A position with its subaccount, where not all are in the primary account."""

    shown = ("ticker", "subaccount", *PositionRow.shown[1:])


def position_row(position: Position, mark: Price | None, of: type[PositionRow] = PositionRow) -> PositionRow:
    """Return a position as a row. `mark` is the closing price on the YES scale; None without quotes."""
    side: Outcome = "yes" if position.qty >= 0 else "no"
    return of.of(
        position,
        side=side,
        count=abs(position.qty),
        mark=None if mark is None else own_price(side, mark),
        value=position.value(mark),
        unrealized=position.unrealized(mark),
    )


class FillRow(OutputRow, frozen=True, kw_only=True):
    """A fill of the account; `price` is on the YES scale, `cost` the amount paid before the fee."""

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

    named = names(book_side="side", count="qty", time="ts")
    shown = ("ticker", "book_side", "price", "count", "fee", "time", "is_taker")


class PnlRow(OutputRow, frozen=True, kw_only=True):
    """Profit and loss of one part."""

    key: str
    realized: SignedMoney
    unrealized: SignedMoney
    fees: Money
    net: SignedMoney

    vital = ("net",)


class PnlView(OutputRow, frozen=True, kw_only=True):
    """Total profit and loss, and its parts; `realized + unrealized - fees = net` in every row and in the sum."""

    realized: SignedMoney
    unrealized: SignedMoney
    fees: Money
    net: SignedMoney
    rows: tuple[PnlRow, ...]


def pnl_view(whole: ProfitAndLoss, parts: Mapping[str, ProfitAndLoss]) -> PnlView:
    """Return total profit and loss with its parts."""
    return PnlView.of(whole, rows=tuple(PnlRow.of(part, key=key) for key, part in parts.items()))
