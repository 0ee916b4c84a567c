"""The controls of how much there is of everything: orders, contracts, money at risk. See `controls.py` for their order.

What is sure to make a position smaller passes all of them: nothing may hold anybody in a position. An order of a
strategy does so where it makes both smaller, what the strategy holds itself and what the account holds: what others
hold is not for the strategy to close. Controls that strategies alone are asked ask only for what the strategy holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from kalshi_cli.base.units import Money, Qty, Ts, format_money, format_qty, format_ts
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import AN_ORDER
from kalshi_cli.core.state.state import EngineState

HOUR_MS = 3_600_000

MAX_DOUBLED = 9
"""A cooldown is twice as long after each further loss, up to so many times: from a minute to eight and a half hours."""

Objection = tuple[str, str]
"""A stable code, and `key=value` detail."""

Control = Callable[[EngineState, RiskLimits, Place, str], Objection | None]
"""The last is the strategy that asks; empty for a person."""


def is_reducing(state: EngineState, intent: Place, strategy: str) -> bool:
    """Return whether an order only closes what its strategy and the account hold.

    Of the account it adds nothing, or is cut by the exchange to what is held: a strategy may hold more than the
    account, where another has the other side. What rests beside it may open more then, so limits of money ask
    `adds_nothing`.
    """
    held = state.held(intent.ticker, intent.subaccount)
    if intent.reduce_only and held * intent.side.sign < 0:
        return not strategy or closes_own(state, intent, strategy)
    return adds_nothing(state, intent, strategy)


def adds_nothing(state: EngineState, intent: Place, strategy: str) -> bool:
    """Return whether an order makes its subaccount's position smaller without crossing zero, and its strategy's.

    Even if all live orders on its side fill first.
    """
    held = state.held(intent.ticker, intent.subaccount)
    longest, shortest = state.orders.worst_case(intent.ticker, intent.subaccount)
    pending = longest if intent.side is BID else shortest
    if held * intent.side.sign >= 0 or pending + intent.qty > abs(held):
        return False
    return not strategy or closes_own(state, intent, strategy)


def closes_own(state: EngineState, intent: Place, strategy: str) -> bool:
    """Return whether an order makes what its strategy holds smaller, even if all its own orders there fill first."""
    owned = state.owned(intent.ticker, strategy, intent.subaccount)
    if owned * intent.side.sign >= 0:
        return False
    own = (order for order in state.orders.live(intent.ticker) if order.strategy == strategy)
    pending = sum(o.remaining for o in own if o.side is intent.side and o.subaccount == intent.subaccount)
    return pending + intent.qty <= abs(owned)


def order_rate(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Runaway loops: orders within the last minute, of all markets and of one. What only closes may always go.

    Of several strategies each may use what the others leave, but for what is kept for them: half of an equal share each
    at any time, and all of it once a strategy has sent that half. So it gets the half at once, and the rest before
    anybody else as borrowed orders leave the minute.
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
            counts = f"sent={sent.total() / AN_ORDER:g} own={sent[strategy] / AN_ORDER:g} kept={kept / AN_ORDER:g}"
            return code, f"{counts} limit={limit} window_s=60"
    return None


def _kept_for_others(state: EngineState, strategy: str, limit: int, sent: Counter[str]) -> int:
    """Return tenths of orders of the limit that other strategies have not used yet and this one may not borrow."""
    share = max(min(1, limit), limit // max(1, len(state.strategies))) * AN_ORDER
    half = (share // AN_ORDER + 1) // 2 * AN_ORDER
    if strategy not in state.strategies or sent[strategy] + AN_ORDER <= half:
        return 0
    others = (sent[name] for name in state.strategies if name != strategy)
    return sum(max(0, (half if count < half else share) - count) for count in others)


def live_orders(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """How many orders may still trade, those of others included."""
    limit, live = limits.max_live_orders, state.orders.count_live
    if limit is None or live < limit or is_reducing(state, intent, strategy):
        return None
    return "LIVE_ORDERS", f"live={live} limit={limit}"


def churn(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Contracts that were traded in this market within an hour, with everything that rests there filled."""
    if limits.max_churn is None or is_reducing(state, intent, strategy):
        return None
    traded = state.ledger.traded(intent.ticker, since=Ts(state.now - HOUR_MS))
    resting = sum(order.remaining for order in state.orders.live(intent.ticker))
    untold = sum(qty for _, qty in state.orders.untold(intent.ticker))
    worst = Qty(traded + untold + resting + intent.qty)
    if worst <= limits.max_churn:
        return None
    return "CHURN", f"worst={format_qty(worst)} limit={format_qty(limits.max_churn)} window_s=3600"


def position_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """The position if every live order on this side fills, too, and all that other subaccounts may hold on top of it.

    What only closes the position of its own subaccount adds to nothing. What is held the other way makes no room: a
    close of it passes every limit, and what rests here would open in full then.
    """
    if limits.max_position is None or is_reducing(state, intent, strategy):
        return None
    held = max(0, state.held(intent.ticker, intent.subaccount) * intent.side.sign)
    longest, shortest = state.orders.worst_case(intent.ticker, intent.subaccount)
    own = held + (longest if intent.side is BID else shortest) + intent.qty
    worst = Qty(own + state.most_held(intent.ticker, besides=intent.subaccount))
    if worst > limits.max_position:
        return "POSITION_LIMIT", f"worst={format_qty(worst)} limit={format_qty(limits.max_position)}"
    return None


def event_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """The most that the markets of one event can lose together."""
    if limits.max_event_exposure is None or adds_nothing(state, intent, strategy):
        return None
    event = state.event_of(intent.ticker)
    before, after = state.event_exposure(event), state.event_exposure(event, intent)
    return _exceeded("EVENT_EXPOSURE", before, after, limits.max_event_exposure, f"event={event}")


def category_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """The most that all events of a category can lose. An event of no known category counts in each, so it is held
    against the fullest.
    """
    if limits.max_category_exposure is None or adds_nothing(state, intent, strategy):
        return None
    event = state.event_of(intent.ticker)
    category = state.family(event).category
    counted = (category,) if category else {"", *(state.family(other).category for other in state.exposures.events)}
    before = Money(max(state.category_exposure(each) for each in counted))
    after = Money(before - state.event_exposure(event) + state.event_exposure(event, intent))
    name = f"category={category or 'unknown'}"
    return _exceeded("CATEGORY_EXPOSURE", before, after, limits.max_category_exposure, name)


def exposure_limit(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """The most that all markets together can lose."""
    if limits.max_exposure is None or adds_nothing(state, intent, strategy):
        return None
    before, after = state.total_exposure(), state.total_exposure(intent)
    return _exceeded("EXPOSURE", before, after, limits.max_exposure)


def _exceeded(code: str, before: Money, after: Money, limit: Money, *which: str) -> Objection | None:
    """What does not add to it is always allowed."""
    if after <= before or after <= limit:
        return None
    return code, " ".join((f"worst_loss={format_money(after)}", f"limit={format_money(limit)}", *which))


def cooldown(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """A strategy that has just closed at a loss opens nothing in that market for a while, and for twice as long after
    each further loss that it did not earn back: whoever makes the only prices there could sell to it dear and buy back
    cheap for ever. Nor does one whose close has no fills yet, because nobody knows what it lost.
    """
    if not limits.cooldown_after_loss_ms or closes_own(state, intent, strategy):
        return None
    if _is_closing_untold(state, intent.ticker, strategy):
        return "COOLDOWN", "until=fills_of_a_close_are_booked"
    losses = state.losses(strategy, intent.ticker)
    if losses.at is None:
        return None
    doubled = min(max(0, losses.rounds - 1), MAX_DOUBLED)
    until = Ts(losses.at + limits.cooldown_after_loss_ms * 2**doubled)
    return ("COOLDOWN", f"until={format_ts(until)} losses={losses.rounds}") if state.now < until else None


def _is_closing_untold(state: EngineState, ticker: str, strategy: str) -> bool:
    """A reply said that an order of the strategy traded against what it held, and the fills are on their way."""
    untold = [order for order, _ in state.orders.untold(ticker) if order.strategy == strategy]
    if not untold:
        return False
    is_both_ways = len({order.side for order in untold}) > 1
    return is_both_ways or any(
        state.share(ticker, strategy, order.subaccount).qty * order.side.sign < 0 for order in untold
    )
