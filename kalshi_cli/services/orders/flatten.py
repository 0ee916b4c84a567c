"""Close all positions because an alert said so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from kalshi_cli.base.errors import ExchangeError, KalshiError, StateFileError
from kalshi_cli.base.units import show_qty
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.services.orders.close import ClosePlan, ClosePolicy, CloseResult, PositionCloser, close_all
from kalshi_cli.services.orders.place import open_order_entry
from kalshi_cli.services.resources import Resources

WAIT_S = 0.2


def flatten(open_own: Callable[[], AbstractContextManager[Resources]]) -> bool:
    """Close all positions because an alert said so, as `kalshi flatten` does, and return whether none is left.

    It has connections of its own, from `open_own`, because it runs beside a loop.

    The loop takes its own orders back first, because trading is paused; that is waited for as long as a stop may take.
    What came of it is recorded as an alert. KalshiError where not even that could be done; StateError where the state
    file did not let it: it is worth another try.
    """
    with open_own() as own:
        until = own.machine.monotonic() + own.config.trade.stop_budget_s
        while any(order.strategy for order in own.store.live_orders()) and own.machine.monotonic() < until:
            own.machine.sleep(WAIT_S)
        closings, errors = _close_everything(own)
        busy = next((error for error in errors if isinstance(error, StateFileError)), None)
        if busy is not None:
            raise busy
        own.store.record(_flattened(own, closings, errors))
        return not errors


def _close_everything(resources: Resources) -> tuple[list[CloseResult], list[KalshiError]]:
    """What is held in the primary subaccount, then in each of the others, whatever became of the ones before.

    A key that is locked to a subaccount closes that one.
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
        # a key of one subaccount may not look at the others
        if not (isinstance(error, ExchangeError) and error.status in (403, 404)):
            errors.append(KalshiError(f"what other subaccounts hold is not known: {error.message}"))
        return closings, errors
    for subaccount in sorted(others):
        close(subaccount)
    return closings, errors


def _flattened(resources: Resources, closings: Sequence[CloseResult], errors: Sequence[KalshiError]) -> AlertRaised:
    done = ", ".join(_name(closing.plan) for closing in closings if closing.is_done)
    text = f"closed {done}" if done else "nothing was closed" if closings or errors else "nothing was held"
    if not errors:
        return AlertRaised(resources.clock.now(), "warning", "FLATTENED", "account", text)
    left = ", ".join(
        f"{show_qty(each.left)} {each.plan.outcome.upper()} of {_name(each.plan)}" for each in closings if each.left
    )
    reasons = dict.fromkeys(error.message for error in errors)
    text = "; ".join([text, *([f"left: {left}"] if left else []), *reasons])
    return AlertRaised(resources.clock.now(), "critical", "FLATTEN_FAILED", "account", text)


def _name(plan: ClosePlan) -> str:
    return f"{plan.market.ticker} in subaccount {plan.subaccount}" if plan.subaccount else plan.market.ticker
