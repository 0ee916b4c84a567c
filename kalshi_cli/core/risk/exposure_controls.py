"""The risk controls of quantities: orders, contracts and maximum loss. `controls.py` has their order.

An order that certainly reduces a position passes all of them, so that a position can always be closed. Only the count
of one order is limited for it too (`order_size` in `controls.py`); `kalshi close` has no such limit. A strategy's
order counts as reducing only if it reduces both the strategy's own position and the account's. Controls that apply only
to strategies look at the strategy's own position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from kalshi_cli.base.units import Money, Qty, Ts, pluralize, show_money, show_qty
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.cooldowns import cooldown_reason
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import AN_ORDER
from kalshi_cli.core.state.state import EngineState

HOUR_MS = 3_600_000

Objection = tuple[str, str]
"""A stable code, and the reason as text."""

Control = Callable[[EngineState, RiskLimits, Place, str], Objection | None]
"""The last argument is the strategy, empty for the user."""


def is_reducing(state: EngineState, intent: Place, strategy: str) -> bool:
    """Return whether an order only closes positions of its strategy and of the account.

    It adds nothing to the account's position, or the exchange cuts it to the position: a strategy may have more than
    the account if another strategy has the opposite side. Resting orders may then open more, so the limits on maximum
    loss use `adds_nothing`.
    """
    held = state.held(intent.ticker, intent.subaccount)
    if intent.reduce_only and held * intent.side.sign < 0:
        return not strategy or closes_own(state, intent, strategy)
    return adds_nothing(state, intent, strategy)


def adds_nothing(state: EngineState, intent: Place, strategy: str) -> bool:
    """Return whether an order reduces the positions of its subaccount and its strategy without crossing zero.

    This holds even if all live orders on its side fill first.
    """
    if _closing_part(state, intent) < intent.qty:
        return False
    return not strategy or closes_own(state, intent, strategy)


def opening_part(state: EngineState, intent: Place, strategy: str) -> Qty:
    """Return the contracts of an order that could open a position; of a strategy's, all or none."""
    if is_reducing(state, intent, strategy):
        return Qty(0)
    return intent.qty if strategy else Qty(intent.qty - _closing_part(state, intent))


def _closing_part(state: EngineState, intent: Place) -> Qty:
    """Return the contracts that only reduce the account's position, even if all live orders on that side fill first."""
    held = state.held(intent.ticker, intent.subaccount) * -intent.side.sign
    longest, shortest = state.orders.worst_case(intent.ticker, intent.subaccount)
    pending = longest if intent.side is BID else shortest
    return Qty(min(intent.qty, max(0, held - pending)))


def closes_own(state: EngineState, intent: Place, strategy: str) -> bool:
    """Return whether an order reduces its strategy's position, even if all the strategy's orders there fill first."""
    owned = state.owned(intent.ticker, strategy, intent.subaccount)
    if owned * intent.side.sign >= 0:
        return False
    own = (order for order in state.orders.live(intent.ticker) if order.strategy == strategy)
    pending = sum(o.remaining for o in own if o.side is intent.side and o.subaccount == intent.subaccount)
    return pending + intent.qty <= abs(owned)


def order_rate(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse more orders per minute than the limits allow, in all markets and in one. Closing orders always pass.

    Each strategy may use what the others leave, except their reserve: half of an equal share each at any time, and the
    full share once a strategy has sent that half. So a strategy gets half of its share at once, and the rest before any
    other as borrowed orders leave the minute.
    """
    if is_reducing(state, intent, strategy):
        return None
    for code, limit, ticker in (
        ("ORDER_RATE", limits.max_orders_per_minute, None),
        ("MARKET_RATE", limits.max_market_orders_per_minute, intent.ticker),
    ):
        if limit is None:
            continue
        sent = state.sent_last_minute(ticker, asked_by=strategy)
        kept = _kept_for_others(state, strategy, limit, sent)
        if sent.total() + kept + AN_ORDER > limit * AN_ORDER:
            used, own, reserved = (f"{count / AN_ORDER:g}" for count in (sent.total(), sent[strategy], kept))
            others = f" and {reserved} reserved for other strategies" if kept else ""
            passed, of = "", ""
            if sent.total() > limit * AN_ORDER:
                passed, of = ", closes and amends that only lower a price or size included", " for all other orders"
            known = f"{used} orders in the last 60 s ({own} of this strategy){passed}{others}"
            return code, f"{known}; the limit{of} is {limit}"
    return None


def _kept_for_others(state: EngineState, strategy: str, limit: int, sent: Counter[str]) -> int:
    """Return the reserve of other strategies that this one may not borrow, in tenths of orders."""
    share = max(min(1, limit), limit // max(1, len(state.strategies))) * AN_ORDER
    half = (share // AN_ORDER + 1) // 2 * AN_ORDER
    if strategy not in state.strategies or sent[strategy] + AN_ORDER <= half:
        return 0
    others = (sent[name] for name in state.strategies if name != strategy)
    return sum(max(0, (half if count < half else share) - count) for count in others)


def live_orders(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse orders above the limit of live orders, which include external ones."""
    limit, live = limits.max_live_orders, state.orders.count_live
    if limit is None or live < limit or is_reducing(state, intent, strategy):
        return None
    return "LIVE_ORDERS", f"{live} live orders; the limit is {limit}"


def churn(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse orders that could bring the contracts traded within an hour above the limit, if all live orders fill."""
    if limits.max_churn is None or is_reducing(state, intent, strategy):
        return None
    traded = state.ledger.traded(intent.ticker, since=Ts(state.now - HOUR_MS))
    resting = sum(order.remaining for order in state.orders.live(intent.ticker))
    untold = sum(qty for _, qty in state.orders.untold(intent.ticker))
    worst = Qty(traded + untold + resting + intent.qty)
    if worst <= limits.max_churn:
        return None
    return (
        "CHURN",
        f"{show_qty(worst)} contracts could trade within the hour; the limit is {show_qty(limits.max_churn)}",
    )


def position_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse orders that could bring the position above the limit, if all live orders on their side fill.

    The positions of other subaccounts are added. An opposite position makes no room: closing it passes every limit, and
    this order would then open in full.
    """
    if limits.max_position is None or is_reducing(state, intent, strategy):
        return None
    held = max(0, state.held(intent.ticker, intent.subaccount) * intent.side.sign)
    longest, shortest = state.orders.worst_case(intent.ticker, intent.subaccount)
    own = held + (longest if intent.side is BID else shortest) + intent.qty
    worst = Qty(own + state.most_held(intent.ticker, besides=intent.subaccount))
    if worst > limits.max_position:
        shown, limit = show_qty(worst), show_qty(limits.max_position)
        return "POSITION_LIMIT", f"the position could reach {shown} contracts; the limit is {limit}"
    return None


def open_positions(state: EngineState, limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Refuse orders in another market once positions or live orders are in as many markets as the limit allows.

    A market with a live order counts, because the order may fill. In a market that counts already, orders always pass.
    """
    limit, counted = limits.max_open_positions, state.exposures.tickers
    if limit is None or intent.ticker in counted or len(counted) < limit:
        return None
    return "OPEN_POSITIONS", f"positions or live orders in {pluralize(len(counted), 'market')}; the limit is {limit}"


def market_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse orders that raise the maximum loss of one market above the limit."""
    if limits.max_market_exposure is None or adds_nothing(state, intent, strategy):
        return None
    before, after = state.exposure(intent.ticker), state.exposure(intent.ticker, intent)
    return exceeded("MARKET_EXPOSURE", f"market {intent.ticker}", before, after, limits.max_market_exposure)


def event_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse orders that raise the maximum loss of an event above the limit."""
    if limits.max_event_exposure is None or adds_nothing(state, intent, strategy):
        return None
    event = state.event_of(intent.ticker)
    before, after = state.event_exposure(event), state.event_exposure(event, intent)
    return exceeded("EVENT_EXPOSURE", f"event {event}", before, after, limits.max_event_exposure)


def category_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse orders that raise the maximum loss of a category above the limit.

    An event of unknown category counts in each, so the category with the highest loss is compared.
    """
    if limits.max_category_exposure is None or adds_nothing(state, intent, strategy):
        return None
    event = state.event_of(intent.ticker)
    category = state.family(event).category
    counted = (category,) if category else {"", *(state.family(other).category for other in state.exposures.events)}
    before = Money(max(state.category_exposure(each) for each in counted))
    after = Money(before - state.event_exposure(event) + state.event_exposure(event, intent))
    name = f"category {category or 'unknown'}"
    return exceeded("CATEGORY_EXPOSURE", name, before, after, limits.max_category_exposure)


def exposure_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse orders that raise the maximum loss of all markets above the limit."""
    if limits.max_exposure is None or adds_nothing(state, intent, strategy):
        return None
    before, after = state.total_exposure(), state.total_exposure(intent)
    return exceeded("EXPOSURE", "the account", before, after, limits.max_exposure)


def exceeded(code: str, what: str, before: Money, after: Money, limit: Money) -> Objection | None:
    """Return an objection if a maximum loss rises above its limit. An order that does not raise it always passes."""
    if after <= before or after <= limit:
        return None
    return code, f"the maximum loss of {what} would be {show_money(after)}; the limit is {show_money(limit)}"


def cooldown(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse opening orders of a strategy in a market where it has just closed at a loss."""
    if not limits.cooldown_after_loss_ms or closes_own(state, intent, strategy):
        return None
    reason = cooldown_reason(state, limits, intent.ticker, strategy)
    return ("COOLDOWN", reason) if reason else None
