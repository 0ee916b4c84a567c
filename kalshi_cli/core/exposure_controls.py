"""The controls of how much there is of everything: orders, contracts, money at risk. See `controls.py` for their order.

What is sure to make a position smaller passes all of them: nothing may hold anybody in a position.
"""

from __future__ import annotations

from collections.abc import Callable

from kalshi_cli.core.messages import Place
from kalshi_cli.core.model import BID, Side
from kalshi_cli.core.state import Limits, State
from kalshi_cli.units import Money, Qty, Ts, format_money, format_qty, format_ts

HOUR_MS = 3_600_000

MOST_DOUBLED = 9
"""A cooldown is twice as long after each further loss, up to so many times: from a minute to eight and a half hours."""

Objection = tuple[str, str]
"""A stable code, and `key=value` detail."""

Control = Callable[[State, Limits, Place], Objection | None]

OwnControl = Callable[[State, Limits, Place, str], Objection | None]
"""One that must know which strategy asks."""


def is_reducing(state: State, intent: Place) -> bool:
    """Adds nothing, or is cut by the exchange to what is held: a strategy may hold more than the account, where another
    has the other side. What rests beside it may open more then, so limits of money ask `adds_nothing`."""
    held = state.held(intent.ticker, intent.subaccount)
    return adds_nothing(state, intent) or (intent.reduce_only and held * intent.side.sign < 0)


def adds_nothing(state: State, intent: Place) -> bool:
    """Makes its subaccount's position smaller without crossing zero, even if all live orders on its side fill first."""
    held = state.held(intent.ticker, intent.subaccount)
    longest, shortest = state.orders.worst_case(intent.ticker, intent.subaccount)
    pending = longest if intent.side is BID else shortest
    closing: Side | None = None if held == 0 else (BID.opposite if held > 0 else BID)
    return intent.side is closing and pending + intent.qty <= abs(held)


def order_rate(state: State, limits: Limits, intent: Place) -> Objection | None:
    """Runaway loops: orders within the last minute, of all markets and of one. What only closes may always go.

    A strategy counts up to its share: what it sends beyond that (closes, amends that lower) is at nobody's expense.
    """
    for code, limit, ticker in _rates(limits, intent):
        if limit is None or state.orders_last_minute(ticker) < limit or is_reducing(state, intent):
            continue
        sent, share = state.sent_last_minute(ticker), _share(state, limit)
        if sum(min(count, share) if name in state.strategies else count for name, count in sent.items()) >= limit:
            return code, f"sent={sent.total()} limit={limit} window_s=60"
    return None


def rate_share(state: State, limits: Limits, intent: Place, strategy: str) -> Objection | None:
    """Of several strategies each sends an equal share of those orders at most, so that none of them lacks its own."""
    if len(state.strategies) < 2 or is_reducing(state, intent):
        return None
    for code, limit, ticker in _rates(limits, intent):
        own = state.sent_last_minute(ticker)[strategy]
        if limit is not None and own >= _share(state, limit):
            return code, f"sent={own} share={_share(state, limit)} limit={limit} window_s=60"
    return None


def _rates(limits: Limits, intent: Place) -> tuple[tuple[str, int | None, str | None], ...]:
    """The code, the limit, and in which market; None is all."""
    return (
        ("ORDER_RATE", limits.max_orders_per_minute, None),
        ("MARKET_RATE", limits.max_market_orders_per_minute, intent.ticker),
    )


def _share(state: State, limit: int) -> int:
    """Of one strategy; where there are more of them than orders, one each."""
    return max(min(1, limit), limit // max(1, len(state.strategies)))


def live_orders(state: State, limits: Limits, intent: Place) -> Objection | None:
    """How many orders may still trade, those of others included."""
    limit, live = limits.max_live_orders, state.orders.count_live
    if limit is None or live < limit or is_reducing(state, intent):
        return None
    return "LIVE_ORDERS", f"live={live} limit={limit}"


def churn(state: State, limits: Limits, intent: Place) -> Objection | None:
    """Contracts that were traded in this market within an hour, with everything that rests there filled."""
    if limits.max_churn is None or is_reducing(state, intent):
        return None
    traded = state.ledger.traded(intent.ticker, since=Ts(state.now - HOUR_MS))
    resting = sum(order.remaining for order in state.orders.live(intent.ticker))
    untold = sum(qty for _, qty in state.orders.untold(intent.ticker))
    worst = Qty(traded + untold + resting + intent.qty)
    if worst <= limits.max_churn:
        return None
    return "CHURN", f"worst={format_qty(worst)} limit={format_qty(limits.max_churn)} window_s=3600"


def position_limit(state: State, limits: Limits, intent: Place) -> Objection | None:
    """The position if every live order on this side fills, too, and all that other subaccounts may hold on top of it.

    What only closes the position of its own subaccount adds to nothing. What is held the other way makes no room: a
    close of it passes every limit, and what rests here would open in full then.
    """
    if limits.max_position is None or is_reducing(state, intent):
        return None
    held = max(0, state.held(intent.ticker, intent.subaccount) * intent.side.sign)
    longest, shortest = state.orders.worst_case(intent.ticker, intent.subaccount)
    own = held + (longest if intent.side is BID else shortest) + intent.qty
    worst = Qty(own + state.most_held(intent.ticker, besides=intent.subaccount))
    if worst > limits.max_position:
        return "POSITION_LIMIT", f"worst={format_qty(worst)} limit={format_qty(limits.max_position)}"
    return None


def event_limit(state: State, limits: Limits, intent: Place) -> Objection | None:
    """The most that the markets of one event can lose together."""
    if limits.max_event_exposure is None or adds_nothing(state, intent):
        return None
    event = state.event_of(intent.ticker)
    before, after = state.event_exposure(event), state.event_exposure(event, intent)
    return _exceeded("EVENT_EXPOSURE", before, after, limits.max_event_exposure, f"event={event}")


def category_limit(state: State, limits: Limits, intent: Place) -> Objection | None:
    """The most that all events of a category can lose. An event of no known category counts in each, so it is held
    against the fullest."""
    if limits.max_category_exposure is None or adds_nothing(state, intent):
        return None
    event = state.event_of(intent.ticker)
    category = state.family(event).category
    counted = (category,) if category else {"", *(state.family(other).category for other in state.exposures.events)}
    before = Money(max(state.category_exposure(each) for each in counted))
    after = Money(before - state.event_exposure(event) + state.event_exposure(event, intent))
    name = f"category={category or 'unknown'}"
    return _exceeded("CATEGORY_EXPOSURE", before, after, limits.max_category_exposure, name)


def exposure_limit(state: State, limits: Limits, intent: Place) -> Objection | None:
    """The most that all markets together can lose."""
    if limits.max_exposure is None or adds_nothing(state, intent):
        return None
    before, after = state.total_exposure(), state.total_exposure(intent)
    return _exceeded("EXPOSURE", before, after, limits.max_exposure)


def _exceeded(code: str, before: Money, after: Money, limit: Money, *which: str) -> Objection | None:
    """What does not add to it is always allowed."""
    if after <= before or after <= limit:
        return None
    return code, " ".join((f"worst_loss={format_money(after)}", f"limit={format_money(limit)}", *which))


def cooldown(state: State, limits: Limits, intent: Place, strategy: str) -> Objection | None:
    """A strategy that has just closed at a loss opens nothing in that market for a while, and for twice as long after
    each further loss that it did not earn back: whoever makes the only prices there could sell to it dear and buy back
    cheap for ever. Nor does one whose close has no fills yet, because nobody knows what it lost."""
    if not limits.cooldown_after_loss_ms or not strategy or is_reducing(state, intent):
        return None
    if _is_closing_untold(state, intent.ticker, strategy):
        return "COOLDOWN", "until=fills_of_a_close_are_booked"
    losses = state.losses(strategy, intent.ticker)
    if losses.at is None:
        return None
    doubled = min(max(0, losses.rounds - 1), MOST_DOUBLED)
    until = Ts(losses.at + limits.cooldown_after_loss_ms * 2**doubled)
    return ("COOLDOWN", f"until={format_ts(until)} losses={losses.rounds}") if state.now < until else None


def _is_closing_untold(state: State, ticker: str, strategy: str) -> bool:
    """A reply said that an order of the strategy traded against what it held, and the fills are on their way."""
    untold = [order for order, _ in state.orders.untold(ticker) if order.strategy == strategy]
    if not untold:
        return False
    is_both_ways = len({order.side for order in untold}) > 1
    return is_both_ways or any(
        state.share(ticker, strategy, order.subaccount).qty * order.side.sign < 0 for order in untold
    )
