"""What `close` and `flatten` print; prices are those of what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.units import Money, Price, Qty
from kalshi_cli.views.formats import Prose
from kalshi_cli.views.orders import CancelAllView
from kalshi_cli.views.row import Outcome, Row

if TYPE_CHECKING:
    from kalshi_cli.desk.close import Closing, Plan


class PlanRow(Row, frozen=True, kw_only=True):
    """A position and what closing it should bring, before fees; `fillable` is what the book has within the bound."""

    ticker: str
    side: Outcome
    count: Qty
    price: Price | None
    worst_price: Price | None
    fillable: Qty
    expected: Money
    least: Money
    fees: Money
    detail: Prose | None


def plan_row(plan: Plan) -> PlanRow:
    return PlanRow(
        ticker=plan.market.ticker,
        side=plan.outcome,
        count=plan.qty,
        price=None if plan.touch is None else plan.own(plan.touch),
        worst_price=None if plan.worst is None else plan.own(plan.worst),
        fillable=plan.fillable,
        expected=plan.expected,
        least=plan.least,
        fees=plan.fee,
        detail=Prose(plan.refusal.message) if plan.refusal else None,
    )


class CloseRow(Row, frozen=True, kw_only=True):
    """What became of a position; `average_price` and `fees` are missing where the fills could not be read."""

    ticker: str
    side: Outcome
    closed: Qty
    left: Qty
    average_price: Price | None
    fees: Money | None
    detail: Prose | None


def close_row(closing: Closing) -> CloseRow:
    plan = closing.plan
    return CloseRow(
        ticker=plan.market.ticker,
        side=plan.outcome,
        closed=closing.closed,
        left=closing.left,
        average_price=None if closing.average is None else plan.own(closing.average),
        fees=closing.fees,
        detail=Prose(closing.error.message) if closing.error else None,
    )


class FlattenView(CancelAllView, frozen=True, kw_only=True):
    """The kill switch, and what became of each position after it."""

    positions: tuple[CloseRow, ...]
