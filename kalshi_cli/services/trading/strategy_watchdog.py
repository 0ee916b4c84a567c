"""The watchdog of hung strategies: a thread that interrupts them and cancels the loop's orders if that fails.

The loop is one thread, so a hook that hangs stops everything: fills, cancels, the heartbeat. The watchdog sees that
`hooks.asked` stays the same call and interrupts the hook with a signal whose handler raises there. If that does not
help (C code that never returns, a bare `except` in a loop), it cancels the loop's orders itself and says so. Code that
never releases Python's lock stops the watchdog as well: then the orders end by their short expiry.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.base.units import pluralize
from kalshi_cli.core.engine.strategy_runner import StrategyCall, StrategyTimeoutError
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.messages import CancelFailed
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.client import KalshiClient

CHECKS_PER_LIMIT = 10
"""Checks of a call within its time limit. Checks are counted, not seconds: a suspended process makes no checks, and the
strategy had no time to return either."""

MAX_CHECKS_AFTER_INTERRUPT = 3
"""Checks after the first interrupt; then the strategy counts as one that cannot be interrupted."""

INTERRUPT_SIGNAL = signal.SIGURG
"""Ignored by default, so that a late one does no harm; sockets raise it only on request."""


@dataclass(eq=False, repr=False)
class Watchdog:
    """Watches the hooks of one loop: `with Watchdog(...).watching():` in the main thread.

    `asked` returns the strategy call in progress. Once a strategy cannot be interrupted, the watchdog's thread calls
    `withdraw` at each check until it returns True (nothing left to cancel), and `remember` saves the alert.
    """

    asked: Callable[[], StrategyCall | None]
    limit_s: float
    clock: Clock
    _: KW_ONLY
    tell: Callable[[str], None]
    remember: Callable[[AlertRaised], None]
    withdraw: Callable[[], bool]

    def __post_init__(self) -> None:
        self._hung: StrategyCall | None = None
        self._is_over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the context ends. Call it in the main thread, where signal handlers run."""
        before = signal.signal(INTERRUPT_SIGNAL, self._interrupt)
        thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join(self.limit_s)  # It may be canceling orders; as a daemon it does not delay the exit.
            signal.signal(INTERRUPT_SIGNAL, before)

    def _interrupt(self, _number: int, _frame: object) -> None:
        """Raise StrategyTimeoutError in the hook if the hung call is still in progress.

        This handler runs in the main thread between two instructions, so nothing happens between check and raise.
        """
        if self._hung is not None and self.asked() == self._hung:
            raise StrategyTimeoutError(f"no response for {self.limit_s:g} s")

    def _watch(self, main: int) -> None:
        seen: StrategyCall | None = None
        checks, is_withdrawn = 0, False
        while not self._is_over.wait(self.limit_s / CHECKS_PER_LIMIT):
            asked = self.asked()
            checks = checks + 1 if asked is not None and asked == seen else 0
            seen = asked
            if asked is None or checks < CHECKS_PER_LIMIT:
                is_withdrawn = False
                continue
            if checks == CHECKS_PER_LIMIT:
                hung = f"CRITICAL STRATEGY_HUNG {asked.strategy}"
                self.tell(f"{hung}: no response for {self.limit_s:g} s; interrupting it")
            self._hung = asked
            signal.pthread_kill(main, INTERRUPT_SIGNAL)
            if checks == CHECKS_PER_LIMIT + MAX_CHECKS_AFTER_INTERRUPT:
                self._report_stuck(asked)
            if checks >= CHECKS_PER_LIMIT + MAX_CHECKS_AFTER_INTERRUPT and not is_withdrawn:
                is_withdrawn = self.withdraw()

    def _report_stuck(self, asked: StrategyCall) -> None:
        text = f"cannot be interrupted, and the loop is blocked: kill -9 {os.getpid()}; its orders are being canceled"
        alert = AlertRaised(self.clock.now(), "critical", "STRATEGY_STUCK", asked.strategy, text)
        self.tell(alert.line)
        try:
            self.remember(alert)
        except StateFileError as error:
            self.tell(f"This could not be saved: {error.message}")


def cancel_orders(client: KalshiClient, live: Callable[[], list[Order]], tell: Callable[[str], None]) -> bool:
    """Cancel the resting orders of a blocked loop; return whether none is left. Safe in any thread.

    `live` returns the loop's orders, among others. The loop's own state does not change: if the loop continues, it
    learns of the cancels from the exchange.
    """
    try:
        own = [order for order in live() if order.strategy and order.order_id]
    except RuntimeError:  # The orders changed during the iteration, so the loop runs again.
        return False
    try:
        failed = [each for each in client.cancel_orders(own) if isinstance(each, CancelFailed)]
    except KalshiError as error:
        tell(f"The loop's orders could not be canceled: {error.message}")
        return False
    left = sum(each.code != "not_found" for each in failed)
    tell(f"{pluralize(len(own) - left, 'order')} of the loop canceled or ended, {left} could not be canceled")
    return not left
