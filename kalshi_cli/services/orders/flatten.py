"""Close all positions because an alert demands it, and say what several closes left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ExchangeError, KalshiError, OutcomeUnknownError, RefusedError, StateFileError
from kalshi_cli.base.units import Qty, pluralize, show_qty
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.orders import Order, as_typed
from kalshi_cli.services.account.recovery import unconfirmed_on_file
from kalshi_cli.services.orders.cancel import WORDS_S, with_typed
from kalshi_cli.services.orders.close import NOTHING_SENT, ClosePlan, ClosePolicy, CloseResult, PositionCloser
from kalshi_cli.services.orders.place import open_order_entry
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.refusals import SEVERAL_BLOCKED
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.formats import format_age
from kalshi_cli.views.order_text import resting_words
from kalshi_cli.views.orders import order_row
from kalshi_cli.views.own_terms import in_own_terms

WAIT_S = 0.2

CANCELS_S = 5.0
"""Seconds that `kalshi flatten` waits for a paused loop to cancel its orders."""


def flatten(open_own: Callable[[], AbstractContextManager[Resources]]) -> bool:
    """Close all positions as `kalshi flatten` does, because an alert demands it; return whether none is left.

    It opens its own connections with `open_own`, because it runs beside a loop. It first waits for the loop to cancel
    its own orders, which it does because trading is paused, at most as long as a stop may take. The result is recorded
    as an alert. KalshiError where even that failed; StateFileError where the state file was busy and another attempt is
    worthwhile.
    """
    with open_own() as own:
        await_cancels(own.store, own.machine, own.config.trade.stop_budget_s)
        closings, errors = _close_everything(own)
        busy = next((error for error in errors if isinstance(error, StateFileError)), None)
        if busy is not None:
            raise busy
        own.store.record(_flattened(own, closings, errors))
        return not errors


def await_cancels(store: Store, clock: Clock, within_s: float) -> bool:
    """Wait for a paused loop to cancel its own orders; return whether none is left."""
    until = clock.monotonic() + within_s
    while is_left := any(order.strategy for order in store.live_orders()):
        if clock.monotonic() >= until:
            break
        clock.sleep(WAIT_S)
    return not is_left


def _close_everything(resources: Resources) -> tuple[list[CloseResult], list[KalshiError]]:
    """Close the positions of the primary subaccount, then of each other one, whatever failed before.

    A key that is locked to a subaccount closes that one only.
    """
    closings: list[CloseResult] = []
    errors: list[KalshiError] = []

    def close(subaccount: int | None) -> None:
        def planned() -> tuple[PositionCloser, list[ClosePlan]]:
            closer = PositionCloser(open_order_entry(resources), ClosePolicy(), resources.note, subaccount)
            return closer, closer.plans()

        done, error = close_all(planned, lambda _plans: None)
        closings.extend(done)
        errors.extend([error] if error is not None else [])

    close(None)
    if resources.client.lock is not None:
        return closings, errors
    try:
        others = {pocket.subaccount for pocket in resources.client.subaccount_balances()} - {0}
    except KalshiError as error:
        # a key of one subaccount may not read the others
        if not (isinstance(error, ExchangeError) and error.status in (403, 404)):
            errors.append(KalshiError(f"Positions of other subaccounts are unknown: {error.message}"))
        return closings, errors
    for subaccount in sorted(others):
        close(subaccount)
    return closings, errors


def _flattened(resources: Resources, closings: Sequence[CloseResult], errors: Sequence[KalshiError]) -> AlertRaised:
    done = ", ".join(_name(closing.plan) for closing in closings if closing.is_done)
    text = f"closed {done}" if done else "no position was closed" if closings or errors else "no open positions"
    if not errors:
        return AlertRaised(resources.clock.now(), "warning", "FLATTENED", "account", text)
    left = ", ".join(
        f"{show_qty(each.left)} {each.plan.outcome.upper()} of {_name(each.plan)}" for each in closings if each.left
    )
    reasons = dict.fromkeys("; ".join(map(str.strip, error.message.splitlines())) for error in errors)
    text = "; ".join([text, *([f"left: {left}"] if left else []), *reasons])
    return AlertRaised(resources.clock.now(), "critical", "FLATTEN_FAILED", "account", text)


def _name(plan: ClosePlan) -> str:
    return f"{plan.market.ticker} in subaccount {plan.subaccount}" if plan.subaccount else plan.market.ticker


def close_all(
    plan: Callable[[], tuple[PositionCloser, list[ClosePlan]]], agree: Callable[[Sequence[ClosePlan]], None]
) -> tuple[list[CloseResult], KalshiError | None]:
    """Close positions after the user agreed. Return the error: the caller must also report what was canceled before."""
    try:
        closer, plans = plan()
        agree(plans)
        closings = closer.close(plans)
    except KalshiError as error:
        return [], error
    return closings, failure(closings)


def blocking_orders(resources: Resources, plan: ClosePlan) -> Sequence[Order]:
    """Return the resting manual orders that block a close: too many that close too, or those that it would meet.

    None where orders of strategies alone block it: then it is refused.
    """
    found = [order for order in _resting_orders(resources, plan) if order.side is plan.side or _is_met(order, plan)]
    store = resources.remembered()
    filed = [None if store is None else store.order(each.client_order_id or each.order_id) for each in found]
    manual = [
        order if known is None else as_typed(order, known)
        for order, known in zip(found, filed, strict=True)
        if known is None or not known.strategy
    ]
    pending, own = (sum(each.remaining for each in orders if each.side is plan.side) for orders in (found, manual))
    room, met = plan.size - plan.qty, [order for order in manual if order.side is not plan.side]
    if pending - own > room or len(met) < sum(order.side is not plan.side for order in found):
        return ()
    return manual if pending > room else met


def _is_met(order: Order, plan: ClosePlan) -> bool:
    """Return whether the first order of a close would trade against this one."""
    at_touch = plan.touch is not None and (plan.touch - order.price) * plan.side.sign >= 0
    return order.side is not plan.side and at_touch


def opening_after(resources: Resources, plan: ClosePlan, canceled: Sequence[Order]) -> tuple[str, ...]:
    """Name the orders that open a position once this close has left none, as far as they are read within WORDS_S."""
    if plan.refusal is not None or plan.count is not None:
        return ()
    gone = {order.order_id for order in canceled}
    with suppress(KalshiError), resources.client.reading_within(WORDS_S):
        left = [order for order in _resting_orders(resources, plan) if order.order_id not in gone]
        held = {(plan.subaccount, plan.market.ticker): plan.held}
        rows = [in_own_terms(order_row(order), held) for order in with_typed(resources, left)]
        return tuple(f"Still resting, and opens a position if it fills: {resting_words(row)}" for row in rows)
    return ()


def unconfirmed(resources: Resources, plans: Sequence[ClosePlan]) -> tuple[str, ...]:
    """Name each order on file that is unconfirmed and may have closed a part of one of these positions."""
    planned = {(plan.market.ticker, plan.subaccount, plan.side): plan for plan in plans}
    now = resources.clock.now()
    return tuple(
        f"Order {order.order_id or order.client_order_id} is unconfirmed: placed {format_age(order.created, now)}, to "
        f"{order.terms(plan.held).text(order.remaining, order.ticker)}. It may have filled: first run "
        "`kalshi order reconcile`"
        for order in unconfirmed_on_file(resources)
        if (plan := planned.get((order.ticker, order.subaccount, order.side)))
    )


def left_resting(resources: Resources, subaccount: int | None) -> tuple[str, ...]:
    """Count the orders that stay when all positions are closed, as far as they are read within WORDS_S."""
    with suppress(KalshiError), resources.client.reading_within(WORDS_S):
        whose = resources.client.whose(subaccount) or 0
        found = [order for order in resources.client.all_orders(status="resting") if order.subaccount == whose]
        if found:
            stay = f"{pluralize(len(found), 'order')} {'stays' if len(found) == 1 else 'stay'} resting"
            return (f"{stay} and can open a position again; to cancel every order: `kalshi cancel-all --no-halt`",)
    return ()


def _resting_orders(resources: Resources, plan: ClosePlan) -> Sequence[Order]:
    found = resources.client.all_orders(status="resting", ticker=plan.market.ticker)
    return [order for order in found if order.subaccount == plan.subaccount]


def failure(closings: Sequence[CloseResult]) -> KalshiError | None:
    """Return the error of the command, which says what was closed and why each other position is left; None if all was.

    An unknown outcome comes first, then an error that stopped everything. Where some positions were closed, or several
    reasons apply, it is a plain failure (exit 1).
    """
    failed = [(closing, closing.error) for closing in closings if closing.error is not None]
    if not failed:
        return None
    stopper = next((error for closing, error in failed if closing.stops), None)
    if isinstance(stopper, OutcomeUnknownError):
        return stopper
    first = stopper or failed[0][1]
    closed = [closing for closing in closings if closing.closed]
    is_alone = not closed and (stopper is not None or len({type(error) for _, error in failed}) == 1)
    if is_alone and (len(failed) == 1 or stopper is not None):
        return first
    was_sent = any(closing.was_sent for closing in closings)
    hint = _joined_hints([error for _, error in failed], was_sent=was_sent)
    kept = [(closing, error) for closing, error in failed if closing.left]
    if not kept:
        return KalshiError(f"Unknown whether any position remains. {first.message}", hint=hint, code="not_proven")
    sold = f"sold {', '.join(_words(each, each.closed) for each in closed)}" if closed else "nothing was sold"
    bare = [error.message.removeprefix("Nothing was sent. ") for _, error in kept]  # true of this position at most
    reasons = [f"{_words(each, each.left)} remaining: {text}" for (each, _), text in zip(kept, bare, strict=True)]
    text, code = f"Not fully closed: {sold}", first.code if is_alone else "not_closed"
    if is_alone and isinstance(first, RefusedError):
        return RefusedError(text, hint=hint, code=code, more=reasons)
    if is_alone and isinstance(first, ExchangeError):
        return ExchangeError("; ".join((text, *reasons)), hint=hint, code=code, status=first.status)
    return KalshiError(text, hint=hint, code=code, more=reasons)


def _words(closing: CloseResult, qty: Qty) -> str:
    return f"{show_qty(qty)} {closing.plan.outcome.upper()} of {closing.plan.market.ticker}"


def _joined_hints(errors: Sequence[KalshiError], *, was_sent: bool) -> str:
    """Return each remedy once; "nothing was sent" comes last, and only where that is true of all positions."""
    remedies: dict[str, None] = {}
    is_shared = sum(error.code == "NOT_CLOSING" for error in errors) > 1
    for error in errors:
        hint = SEVERAL_BLOCKED if is_shared and error.code == "NOT_CLOSING" else error.hint
        remedies |= dict.fromkeys(part for part in hint.split("; ") if part)
    is_claimed = remedies.pop(NOTHING_SENT, True) is None
    return "; ".join([*remedies, *([NOTHING_SENT] if is_claimed and not was_sent else [])])
