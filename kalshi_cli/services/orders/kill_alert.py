"""Notify the alert channels of the kill switch, whether or not a loop runs.

The first notice says that trading is halted, while the cancels go on. The second one says what the cancels achieved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import HALT
from kalshi_cli.services.monitoring.alerts import alerting, notify_directly
from kalshi_cli.services.monitoring.check_notices import keep_sent
from kalshi_cli.services.orders.halt_marker import CODE, REASON, RESULT
from kalshi_cli.services.resources import Resources

HEAD_START_S = 1.0
"""The longest wait for the cancels before the first channel is notified."""

WITHIN_S = 4.5
"""The longest wait for the channels. Undelivered notices stay in the outbox."""

RESULT_WITHIN_S = 4.5
"""The longest wait for the channels after the result is known."""

POLL_S = 0.1
"""The time between two looks at a notice that another program delivers."""

BUSY_MS = 500
"""The longest wait for a locked state file. After it the channels are notified without the outbox."""


@contextmanager
def telling(resources: Resources, *, does_halt: bool) -> Iterator[Callable[[str], None]]:
    """Notify every channel of the saved halt, and then of the result, each within seconds.

    Call the yielded function with the result once it is known. The end waits for the channels until WITHIN_S after the
    beginning and RESULT_WITHIN_S after the result. Raises nothing by itself.
    """
    until, are_out = resources.machine.monotonic() + WITHIN_S, threading.Event()
    untold = set(resources.config.alerts.channels) if does_halt else set()
    threads: list[threading.Thread] = []

    def begin(work: Callable[[], None], name: str) -> None:
        threads.append(threading.Thread(target=work, name=name, daemon=True))
        threads[-1].start()

    def result(text: str) -> None:
        nonlocal until
        are_out.set()
        if not does_halt or not resources.config.alerts.channels:
            return
        until = max(until, resources.machine.monotonic() + RESULT_WITHIN_S)
        alert = AlertRaised(resources.clock.now(), "critical", RESULT, "account", text)
        untold.update(resources.config.alerts.channels)
        begin(lambda: _tell(resources, until, untold, alert, is_saved=False), "kill result")

    def halted() -> None:
        are_out.wait(HEAD_START_S)
        text = f"trading is halted: {REASON}. A notice of its own says what was canceled"
        alert = AlertRaised(resources.clock.now(), "critical", CODE, "account", text)
        _tell(resources, until, untold, alert, is_saved=True)

    if untold:
        begin(halted, "kill alert")
    try:
        yield result
    finally:
        are_out.set()
        with suppress(KeyboardInterrupt):  # an interrupt ends the wait but must not hide the result of the cancels
            for thread in threads:
                thread.join(max(0.0, until - resources.machine.monotonic()))
        if untold:
            resources.tell(f"Notice not confirmed yet: {', '.join(sorted(untold))}; see `kalshi alerts`")


def _tell(resources: Resources, until: float, untold: set[str], alert: AlertRaised, *, is_saved: bool) -> None:
    """Decide through the outbox, so that a running loop repeats nothing; then notify each channel in its own thread.

    An alert that is not yet saved is saved first. Without the outbox the alert is sent directly.
    """
    try:
        with alerting(resources, busy_ms=BUSY_MS) as told:
            if not is_saved:
                told.record(alert)
            told.look()
    except KalshiError:
        left_s = until - resources.machine.monotonic()
        channels = notify_directly(resources, alert, left_s, "firing" if is_saved else "event")
        untold.clear()
        if is_saved and channels:  # the halt lasts, so a check with a usable state file would send it again
            halt = Breach(subject=alert.subject, value=alert.text, limit="", severity=alert.tier, code=alert.code)
            keep_sent(resources.home, HALT, halt, alert.ts, channels)
        return

    def deliver(name: str) -> None:
        with suppress(StateFileError), alerting(resources, busy_ms=int(1000 * WITHIN_S)) as told:
            while told.deliver(until - resources.machine.monotonic(), [name]) and told.is_delivering(name):
                if resources.machine.monotonic() >= until:
                    break
                resources.machine.sleep(POLL_S)  # a running loop delivers it
            if not told.deliver(0.0, [name]):
                untold.discard(name)

    names = sorted(resources.config.alerts.channels)
    threads = [threading.Thread(target=deliver, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - resources.machine.monotonic()))
