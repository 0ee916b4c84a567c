"""Views of fills and tax lots for a spreadsheet. Rules as in `row`."""

from __future__ import annotations

from msgspec.structs import asdict

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.views.formats import SignedMoney
from kalshi_cli.views.positions import AccountFillRow, FillRow
from kalshi_cli.views.row import Action, Outcome, OutputRow, names


class FillExport(FillRow, frozen=True, kw_only=True):
    """A fill with the fair value of its order, and what it did to the position before it, as in `kalshi fills`.

    `edge` is the fair value of a contract minus its price, before fees, where the order had a fair value.
    """

    subaccount: int
    client_order_id: str
    strategy: str | None
    fair: Price | None
    edge: Price | None
    action: Action
    side: Outcome
    side_price: Price
    value: Money
    closed: Qty
    typed_side: Outcome | None


def fill_export(fill: Fill, order: Order | None, row: AccountFillRow) -> FillExport:
    """Return a fill with the strategy and fair value of its order; `row` is the same fill in `kalshi fills`."""
    fair = order.fair if order is not None else None
    return FillExport(
        **asdict(row),
        subaccount=fill.subaccount,
        client_order_id=fill.client_order_id or (order.client_order_id if order is not None else ""),
        strategy=(order.strategy or None) if order is not None else None,
        fair=fair,
        edge=None if fair is None else Price(fill.side.sign * (fair - fill.price)),
    )


class LotExport(OutputRow, frozen=True, kw_only=True):
    """Contracts bought at one time and sold or settled at another, first in, first out. `gain` is after fees."""

    ticker: str
    subaccount: int
    outcome: str
    count: Qty
    opened: Ts
    closed: Ts | None
    closed_by: str | None
    cost: Money
    proceeds: Money | None
    fees: Money
    gain: SignedMoney | None

    named = names(count="qty")
    shown = ("ticker", "outcome", "count", "opened", "closed", "cost", "fees", "gain")
