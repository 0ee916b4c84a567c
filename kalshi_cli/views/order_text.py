"""The result of an order, a cancel or a close in one sentence, for a terminal and the page."""

from __future__ import annotations

from msgspec.structs import replace

from kalshi_cli.base.local_time import show_times
from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import (
    ONE_DOLLAR,
    Qty,
    format_ts,
    notional,
    pluralize,
    show_least,
    show_money,
    show_price,
    show_qty,
    show_sum,
)
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.views.close import CloseRow
from kalshi_cli.views.orders import (
    CancelAllView,
    ListedOrderRow,
    NewOrderView,
    OrderChangeView,
    OrderRow,
    closed_pnl,
    closed_proceeds,
)
from kalshi_cli.views.own_terms import HeldByMarket, OwnTerms, in_own_terms
from kalshi_cli.views.plans import AmendPlan, OrderPlan, PlanOutcome, new_order_view


def outcome_text(outcome: object, held: HeldByMarket, plan: object = None) -> str:
    """Return what came of an executed `plan`; empty where its success says everything.

    `held` has the positions, which tell how the user means an order that was canceled.
    """
    if isinstance(outcome, OrderChangeView):
        return change_sentence(outcome, plan if isinstance(plan, AmendPlan) else None)
    if isinstance(outcome, OrderRow):
        if isinstance(plan, OrderPlan):
            return order_sentence(new_order_view(outcome, plan))
        return order_sentence(outcome)
    if isinstance(outcome, PlanOutcome):
        return closes_text(outcome) or "; ".join(cancel_sentence(in_own_terms(each, held)) for each in outcome.orders)
    return ""


def canceled_count(count: int, *, is_minimum: bool) -> str:
    """Return how many orders were canceled: "2 orders", or "at least 2 orders" where there may be more."""
    if is_minimum:
        return f"at least {pluralize(count, 'order')}" if count else "an unknown number of orders"
    return pluralize(count, "order")


def kill_sentence(done: CancelAllView) -> str:
    """Return what the kill switch canceled and what is left, in one sentence."""
    halted = "Trading is halted; " if done.halted else ""
    left = "unknown whether any is left" if done.remaining is None else f"{done.remaining} left"
    return f"{halted}canceled {canceled_count(done.canceled, is_minimum=done.is_minimum)}, {left}"


def closes_text(outcome: object) -> str:
    """Return how much of each position a plan closed, or what the kill switch proved; empty for any other plan."""
    rows = outcome.rows if isinstance(outcome, PlanOutcome) else ()
    closed = [close_sentence(row) for row in rows if isinstance(row, CloseRow)]
    return "; ".join([*closed, *(kill_sentence(row) for row in rows if isinstance(row, CancelAllView))])


def close_sentence(row: CloseRow) -> str:
    """Return how much of a position was closed, in one sentence."""
    average = f" at {show_price(row.average_price)} on average" if row.average_price is not None else ""
    amounts = f" for {show_money(row.proceeds)}, fees {show_money(row.fees or 0)}" if row.proceeds is not None else ""
    net = f", P&L {show_money(row.net, signed=True)} after fees" if row.net is not None else ""
    closed = f"Closed {show_qty(row.closed)} {row.side.upper()} of {row.ticker}{average}{amounts}{net}"
    return f"{closed}, {show_qty(row.left)} left"


def order_sentence(order: OrderRow) -> str:
    """Return what happened to an order in one sentence."""
    average = f" at {show_price(order.average_fill_price)}" if order.average_fill_price is not None else ""
    amounts = _amounts(order) if order.filled else ""
    ends = order.expires if order.status == "resting" else None
    expires = f", expires {show_times(format_ts(ends))}" if ends else ""
    return f"{order_words(order)} is {order.status}: {_filled(order)}{average}{amounts}{expires}"


def _amounts(order: OrderRow) -> str:
    """Return the amount of the fills, their fees, and what was paid or received in all.

    An amount at the price of the typed side is no cash if the fills bought the other outcome, or sold what was held of
    it: then the contracts are named as they were bought and sold, each part at the average price. The part that closed
    a position filled first, at the best prices: beside a part that opened one, its P&L is a bound where prices differ.
    """
    if order.fill_amount is None:
        return f"; price and fees not read yet: `kalshi order show {(order.order_id or '')[:SHORT_ID_LENGTH]}`"
    plain = f" for {show_money(order.fill_amount)}, fees {show_money(order.fees)}"
    if not isinstance(order, NewOrderView):
        return plain
    closed = min(order.filled, order.closing)
    opened = order.filled - closed
    is_buy = order.action == "buy"
    proceeds = closed_proceeds(order)
    share = notional(ONE_DOLLAR, Qty(closed)) - proceeds if is_buy else proceeds
    cost = order.fill_amount - share if is_buy else notional(ONE_DOLLAR, Qty(opened)) - (order.fill_amount - share)
    shown = [text.lstrip("-") for text in show_sum(proceeds, -cost, -order.fees)]
    net = proceeds - cost - order.fees
    sold, bought = ("NO", "YES") if order.book_side is BID else ("YES", "NO")
    # The exchange says what all fills brought, and the parts share it: exact where all filled at one price.
    is_exact = not (closed and opened) or order.fill_amount == notional(order.price, order.filled)
    gain = ""
    if (pnl := closed_pnl(order)) is not None:
        gain = f", P&L {show_money(pnl, signed=True) if is_exact else show_least(pnl, signed=True) + ' or better'}"
        gain += f" of the {show_qty(Qty(closed))} {sold}" if opened else ""
    fees, total = f"fees {shown[2]}", f"{'net' if net > 0 else 'total'} {shown[3]}"
    if not (closed if is_buy else opened):
        amount = shown[1] if is_buy else shown[0]
        return f" for {amount}, {fees}, {total}{gain}" if order.fees or gain else plain
    trades = (("sold", closed, sold, shown[0]), ("bought", opened, bought, shown[1]))
    parts = [
        f"{verb} {show_qty(Qty(count))} {outcome} for {'' if is_exact else 'about '}{amount}"
        for verb, count, outcome, amount in trades
        if count
    ]
    return f": {' and '.join(parts)}, {fees}, {total}{gain}"


def change_sentence(order: OrderChangeView, plan: AmendPlan | None = None) -> str:
    """Return an order after an amend or a decrease, and what changed, in one or two sentences.

    With the `plan` of an amend, what all fills cost or brought is named as for a new order, unless some came before.
    """
    changes = []
    if order.price != order.price_before:
        changes.append(f"price {show_price(order.price_before)} to {show_price(order.price)}")
    if order.remaining != order.remaining_before and (order.remaining or not order.filled):
        changes.append(f"quantity left {show_qty(order.remaining_before)} to {show_qty(order.remaining)}")
    if order.expires != order.expires_before:
        changes.append("expiration")
    # The count of a reduced order still has the contracts that were removed.
    now: OrderRow = replace(order, count=Qty(order.filled + order.remaining)) if order.remaining else order
    if plan is not None and not plan.order.filled:
        now = new_order_view(OrderRow(**{name: getattr(now, name) for name in OrderRow.__struct_fields__}), plan)
    return order_sentence(now) + (f". Changed: {', '.join(changes)}" if changes else ". Nothing changed")


def cancel_sentence(order: OrderRow) -> str:
    """Return which order was canceled, in one sentence."""
    return f"{order_words(order)} is canceled: {_filled(order)}"


def resting_words(order: OrderRow) -> str:
    """Return a resting order with what is left of it, in one phrase."""
    return f"{order_words(replace(order, count=order.remaining))}, {_filled(order)}"


def effect_words(order: ListedOrderRow) -> str | None:
    """Return what a resting order does to the position when it fills: `closes 10 YES, opens 5 NO`; None if unknown."""
    if order.closing is None:
        return None
    sold, bought = ("NO", "YES") if order.book_side is BID else ("YES", "NO")
    opening = Qty(order.remaining - order.closing)
    parts = (("closes", order.closing, sold), ("opens", opening, bought))
    return ", ".join(f"{verb} {show_qty(count)} {outcome}" for verb, count, outcome in parts if count)


def _filled(order: OrderRow) -> str:
    return f"{show_qty(order.filled)} of {show_qty(order.count)} filled"


def order_words(order: OrderRow) -> str:
    """Return the order with its terms: `Order 2597b999 on TICKER (buy 10 YES at $0.24)`."""
    # A client order id begins like all others of this program, and does not name the order if it is cut.
    name = (order.order_id or "")[:SHORT_ID_LENGTH] or order.client_order_id
    terms = OwnTerms(order.action, order.side, order.price)
    return f"Order {name} on {order.ticker} ({terms.text(order.count)})"
