"""Views of planned writes: shown first, executed after the user agrees. Rules as in `row`."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec.structs import asdict, replace

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import ONE_DOLLAR, Money, Qty, Ts, notional
from kalshi_cli.views.close import CloseRow, PlanRow
from kalshi_cli.views.formats import MaxMoney, TruncatableText
from kalshi_cli.views.orders import (
    BatchRow,
    CancelAllView,
    CancelRow,
    NewOrderView,
    OrderChangeView,
    OrderRow,
    closed_pnl,
)
from kalshi_cli.views.quotes import QuoteTradeRow
from kalshi_cli.views.row import OutputRow

T = TypeVar("T")
R = TypeVar("R")


class Plan(OutputRow, Generic[R], frozen=True, kw_only=True):
    """A write that was not sent yet. Executing it returns an `R`.

    Show `subject`, `facts` and `warnings` to the user before executing. A plan is executed once, before `expires`, and
    unchanged: `digest` covers every field.
    """

    plan_id: str
    subject: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    expires: Ts
    digest: str = ""


class PlanOutcome(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """The result of a plan with several parts, one row each.

    `error` is the most severe failure, None where every part succeeded. `errors` has the error of each row, `orders`
    those that a cancel ended, as far as the exchange stated them.
    """

    rows: tuple[R, ...]
    error: KalshiError | None = None
    errors: tuple[KalshiError | None, ...] = ()
    orders: tuple[OrderRow, ...] = ()


class RequestPlan(Plan[R], Generic[T, R], frozen=True, kw_only=True):
    """A request that places no order. `terms` are the values that it sends."""

    action: str
    terms: T


class PricedPlan(Plan[R], Generic[R], frozen=True, kw_only=True):
    """A plan of orders. The amounts assume that every order fills; the payout is before fees.

    `cost`, `max_loss` and `max_payout` count every order as a purchase, of NO where it sells YES. Of these contracts,
    `closing` are held and sold instead: they bring `proceeds` before fees, at the limit price, and add no risk.
    `closing_cost` is what they cost, without fees; 0 if that is unknown.
    """

    cost: Money
    fees: Money
    max_loss: Money
    max_payout: Money
    closing: Qty = Qty(0)
    proceeds: Money = Money(0)
    closing_cost: Money = Money(0)


class OrderPlan(PricedPlan[OrderRow], frozen=True, kw_only=True):
    """A new order. `unknown_orders` counts unconfirmed orders: one of them may be the same order."""

    orders: tuple[OrderRow, ...]
    unknown_orders: int

    @property
    def order(self) -> OrderRow:
        """Return the planned order."""
        return self.orders[0]


class OrderAmounts(OutputRow, frozen=True, kw_only=True):
    """The amounts of planned orders, as `NewOrderView` has them."""

    cost: Money
    max_fees: MaxMoney
    max_loss: MaxMoney
    max_payout: Money
    closing: Qty
    proceeds: Money
    closing_cost: Money | None = None


def amounts_of(plan: PricedPlan[Any], *, is_reduce_only: bool) -> OrderAmounts:
    """Return the amounts of a plan; a reduce-only order buys nothing."""
    opened = 0 if is_reduce_only else plan.max_payout - notional(ONE_DOLLAR, plan.closing)
    cost = Money(plan.cost - notional(ONE_DOLLAR, plan.closing) + plan.proceeds if opened else 0)
    return OrderAmounts(
        cost=cost,
        max_fees=MaxMoney(plan.fees),
        max_loss=MaxMoney(Money(cost + plan.fees)),
        max_payout=Money(opened),
        closing=plan.closing,
        proceeds=plan.proceeds,
        closing_cost=plan.closing_cost or None,
    )


def new_order_view(order: OrderRow, plan: PricedPlan[Any], *, is_reduce_only: bool = False) -> NewOrderView:
    """Return an order with the amounts of its plan."""
    view = NewOrderView(**asdict(order), **asdict(amounts_of(plan, is_reduce_only=is_reduce_only)))
    return replace(view, pnl=closed_pnl(view))


class QuotePlan(PricedPlan[R], Generic[R], frozen=True, kw_only=True):
    """A quote to create, accept or confirm, with the orders that the exchange would enter for it."""

    action: Literal["create", "accept", "confirm"]
    orders: tuple[QuoteTradeRow, ...]


class AmendPlan(PricedPlan[OrderChangeView], frozen=True, kw_only=True):
    """A change of a resting order. Cost and fees are those of its remaining contracts."""

    orders: tuple[OrderChangeView, ...]

    @property
    def order(self) -> OrderChangeView:
        """Return the order as it would be after the change."""
        return self.orders[0]


class BatchPlan(PricedPlan[PlanOutcome[BatchRow]], frozen=True, kw_only=True):
    """Several new orders. Orders that a limit refuses are not sent and not counted in the amounts."""

    orders: tuple[BatchRow, ...]


class DecreasePlan(Plan[OrderChangeView], frozen=True, kw_only=True):
    """A decrease of a resting order `by` or `to` a number of contracts."""

    orders: tuple[OrderRow, ...]
    by: Qty | None
    to: Qty | None

    @property
    def order(self) -> OrderRow:
        """Return the order as it is now."""
        return self.orders[0]


class CancelPlan(Plan[PlanOutcome[CancelRow]], frozen=True, kw_only=True):
    """Orders to cancel, by order id or client order id. `nothing_rests`: each was read, and none rests."""

    order_ids: tuple[str, ...]
    nothing_rests: bool = False


class CancelAllPlan(Plan[PlanOutcome[CancelAllView]], frozen=True, kw_only=True):
    """The kill switch for an event or a ticker pattern; for every order where both are empty."""

    event: str
    ticker: str
    halts: bool


class CloseAllPlan(Plan[PlanOutcome[CloseRow]], frozen=True, kw_only=True):
    """Positions to close, one after the other. `cancels` names the orders that are canceled first, one a line."""

    positions: tuple[PlanRow, ...]
    cancels: tuple[str, ...] = ()


class ControlPlan(Plan[R], Generic[R], frozen=True, kw_only=True):
    """A change of what may trade here: everything, or one market for a limited time."""

    action: Literal["pause", "resume", "halt", "stop", "lock", "unlock"]
    reason: TruncatableText
    ticker: str | None = None
    lasts_s: float | None = None
