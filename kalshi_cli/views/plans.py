"""Plans of writes: what would be done, to be shown and agreed to before it is executed. Rules as in `row`."""

from __future__ import annotations

from typing import Literal

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.views.close import PlanRow
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.orders import BatchRow, OrderChangeView, OrderRow
from kalshi_cli.views.row import OutputRow


class Plan(OutputRow, frozen=True, kw_only=True):
    """A write that is not done yet. Nothing was sent.

    `subject` names it, `facts` and `warnings` are what a person must see before agreeing. A plan is executed once,
    until `expires`, and only as it is: `digest` covers everything in it.
    """

    plan_id: str
    subject: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    expires: Ts
    digest: str = ""


class PricedPlan(Plan, frozen=True, kw_only=True):
    """A plan of orders, if all of it fills: cost, the highest fees, and the payout before fees if it wins."""

    cost: Money
    fees: Money
    max_loss: Money
    max_payout: Money


class OrderPlan(PricedPlan, frozen=True, kw_only=True):
    """One new order; `unknown_orders` counts others whose outcome is unknown: one of them may be the same order."""

    orders: tuple[OrderRow, ...]
    unknown_orders: int

    @property
    def order(self) -> OrderRow:
        return self.orders[0]


class AmendPlan(PricedPlan, frozen=True, kw_only=True):
    """A change of a resting order; cost and fees are those of what is left of it."""

    orders: tuple[OrderChangeView, ...]

    @property
    def order(self) -> OrderChangeView:
        return self.orders[0]


class BatchPlan(PricedPlan, frozen=True, kw_only=True):
    """Many new orders; those that a limit denies will not be sent, and cost nothing."""

    orders: tuple[BatchRow, ...]


class DecreasePlan(Plan, frozen=True, kw_only=True):
    """Contracts to take off a resting order, `by` so many or down `to` so many."""

    orders: tuple[OrderRow, ...]
    by: Qty | None
    to: Qty | None

    @property
    def order(self) -> OrderRow:
        return self.orders[0]


class CancelPlan(Plan, frozen=True, kw_only=True):
    """Orders to cancel, by the exchange's ids or by our own."""

    order_ids: tuple[str, ...]


class CancelAllPlan(Plan, frozen=True, kw_only=True):
    """The kill switch, for the orders of an event or with a ticker like the pattern; empty means all."""

    event: str
    ticker: str
    halts: bool


class CloseAllPlan(Plan, frozen=True, kw_only=True):
    """Positions to close, one after the other."""

    positions: tuple[PlanRow, ...]


class ControlPlan(Plan, frozen=True, kw_only=True):
    """A change of what may trade here: all of it, or one market for a time."""

    action: Literal["pause", "resume", "halt", "lock", "unlock"]
    reason: TruncatableText
    ticker: str | None = None
    lasts_s: float | None = None
