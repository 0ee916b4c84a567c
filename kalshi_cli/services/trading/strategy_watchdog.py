"""A strategy that does not come back: noticed from another thread, interrupted, and its orders looked after.

The loop is one thread, so that a hook which hangs stops everything: fills, cancels, the heartbeat. This thread sees it
(`engine.asked` stays the same call), and breaks into the hook by a signal whose handler raises there. Where even that
does not help (C code that never comes back, a bare `except` in a loop), it cancels the orders of the loop itself, and
says so. Code that never lets go of Python's lock stops this thread too: then orders end by their short expiry.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.base.units import pluralize
from kalshi_cli.core.engine.strategy_runner import StrategyCall, StrategyTimeoutError
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.messages import CancelFailed
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.client import KalshiClient

CHECKS_PER_LIMIT = 10
"""Looks at a call within its time. They are pluralize, not the seconds: while the whole process was suspended, nobody
looked, and the strategy had no time to come back either."""

MAX_CHECKS_AFTER_INTERRUPT = 3
"""Looks between the first interruption and believing that none will help."""

INTERRUPT_SIGNAL = signal.SIGURG
"""Ignored by default, so that a late one does no harm; sockets raise it only for those who asked."""


class Watchdog:
    """Watches the hooks of one loop: `with Watchdog(...).watching():` in the main thread.

    `asked` says whose code runs now. Once a strategy cannot be interrupted `cancel_orders` is called, from the thread
    of the watchdog, at each look until it says that nothing is left to cancel; and `remember` keeps the alert.
    """

    def __init__(
        self,
        asked: Callable[[], StrategyCall | None],
        limit_s: float,
        clock: Clock,
        *,
        tell: Callable[[str], None],
        remember: Callable[[AlertRaised], None],
        withdraw: Callable[[], bool],
    ) -> None:
        self._asked = asked
        self._limit_s = limit_s
        self._clock = clock
        self._tell = tell
        self._remember = remember
        self._withdraw = withdraw
        self._hung: StrategyCall | None = None
        self._is_over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For as long as it lasts. In the main thread, which is where signal handlers run."""
        before = signal.signal(INTERRUPT_SIGNAL, self._break_in)
        thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join(self._limit_s)  # it may be in the middle of a cancel; as a daemon it holds up no exit
            signal.signal(INTERRUPT_SIGNAL, before)

    def _break_in(self, _number: int, _frame: object) -> None:
        """Runs in the main thread, between two of its instructions: nothing moves between this check and the raise.

        As soon as that call of the strategy does not run any more there is nothing to raise into.
        """
        if self._hung is not None and self._asked() == self._hung:
            raise StrategyTimeoutError(f"did not come back for {self._limit_s:g} s")

    def _watch(self, main: int) -> None:
        seen: StrategyCall | None = None
        looks, is_withdrawn = 0, False
        while not self._is_over.wait(self._limit_s / CHECKS_PER_LIMIT):
            asked = self._asked()
            looks = looks + 1 if asked is not None and asked == seen else 0
            seen = asked
            if asked is None or looks < CHECKS_PER_LIMIT:
                is_withdrawn = False
                continue
            if looks == CHECKS_PER_LIMIT:
                self._tell(f"CRITICAL STRATEGY_HUNG {asked.strategy}: silent for {self._limit_s:g} s; breaking in")
            self._hung = asked
            signal.pthread_kill(main, INTERRUPT_SIGNAL)
            if looks == CHECKS_PER_LIMIT + MAX_CHECKS_AFTER_INTERRUPT:
                self._say_stuck(asked)
            if looks >= CHECKS_PER_LIMIT + MAX_CHECKS_AFTER_INTERRUPT and not is_withdrawn:
                is_withdrawn = self._withdraw()

    def _say_stuck(self, asked: StrategyCall) -> None:
        text = f"cannot be interrupted, and the loop stands still: kill -9 {os.getpid()}; its orders are being canceled"
        alert = AlertRaised(self._clock.now(), "critical", "STRATEGY_STUCK", asked.strategy, text)
        self._tell(f"CRITICAL {alert.code} {alert.subject}: {alert.text}")
        try:
            self._remember(alert)
        except StateFileError as error:
            self._tell(f"that could not be written down: {error.message}")


def cancel_orders(client: KalshiClient, live: Callable[[], list[Order]], tell: Callable[[str], None]) -> bool:
    """Cancel what a loop that stands still has resting; whether nothing of that is left. From any thread.

    `live` are its orders and others. Nothing of the loop is changed: it hears of it by itself if it ever goes on.
    """
    try:
        own = [order for order in live() if order.strategy and order.order_id]
    except RuntimeError:  # they move: so does the loop
        return False
    try:
        failed = [each for each in client.cancel_orders(own) if isinstance(each, CancelFailed)]
    except KalshiError as error:
        tell(f"the orders of the loop could not be canceled: {error.message}")
        return False
    left = [each for each in failed if each.code != "not_found"]
    gone = pluralize(len(own) - len(left), "order")
    tell(f"{gone} of the loop canceled or over, {len(left)} could not be canceled")
    return not left
