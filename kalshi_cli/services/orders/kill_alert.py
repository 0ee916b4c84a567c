"""Notify the alert channels of the kill switch, while the cancels go on and whether or not a loop runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.services.monitoring.alerts import alerting, notify_directly
from kalshi_cli.services.orders.halt_marker import CODE, REASON
from kalshi_cli.services.resources import Resources

HEAD_START_S = 1.0
"""The longest wait for the cancels before the first channel is notified."""

WITHIN_S = 4.5
"""The longest wait for the channels. Undelivered notices stay in the outbox."""

POLL_S = 0.1
"""The time between two looks at a notice that another program delivers."""

BUSY_MS = 500
"""The longest wait for a locked state file. After it the channels are notified without the outbox."""


@contextmanager
def telling(resources: Resources, *, does_halt: bool) -> Iterator[Callable[[], None]]:
    """Notify every channel of the saved halt, within seconds.

    Call the yielded function once the cancels are sent. The end waits for the channels until WITHIN_S after the
    beginning. Raises nothing by itself.
    """
    until, are_out = resources.machine.monotonic() + WITHIN_S, threading.Event()
    untold = set(resources.config.alerts.channels) if does_halt else set()
    thread = threading.Thread(target=_tell, args=(resources, are_out, until, untold), name="kill alert", daemon=True)
    if untold:
        thread.start()
    try:
        yield are_out.set
    finally:
        are_out.set()
        if thread.ident is not None:
            with suppress(KeyboardInterrupt):  # an interrupt ends the wait but must not hide the result of the cancels
                thread.join(max(0.0, until - resources.machine.monotonic()))
        if untold:
            resources.tell(f"Notice not confirmed yet: {', '.join(sorted(untold))}; see `kalshi alerts`")


def _tell(resources: Resources, are_out: threading.Event, until: float, untold: set[str]) -> None:
    """Decide through the outbox, so that a running loop repeats nothing; then notify each channel in its own thread."""
    are_out.wait(HEAD_START_S)
    try:
        with alerting(resources, busy_ms=BUSY_MS) as told:
            told.look()
    except KalshiError:
        alert = AlertRaised(resources.clock.now(), "critical", CODE, "account", f"trading is halted: {REASON}")
        notify_directly(resources, alert, until - resources.machine.monotonic())
        untold.clear()
        return

    def deliver(name: str) -> None:
        with suppress(StateFileError), alerting(resources, busy_ms=int(1000 * WITHIN_S)) as told:
            while told.deliver(until - resources.machine.monotonic(), [name]) and told.is_delivering(name):
                if resources.machine.monotonic() >= until:
                    break
                resources.machine.sleep(POLL_S)  # a running loop delivers it
            if not told.deliver(0.0, [name]):
                untold.discard(name)

    threads = [threading.Thread(target=deliver, args=(name,), daemon=True) for name in sorted(untold)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - resources.machine.monotonic()))
