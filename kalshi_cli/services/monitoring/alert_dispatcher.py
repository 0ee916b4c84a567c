"""Sends the alerts of a loop from separate threads: trading never waits for an alert channel.

The loop saves what happened in the state file. The dispatcher's thread has its own connection to that file; it checks
the file twice a second and decides what to send. Another thread for each channel delivers, so that a channel that hangs
delays neither decisions nor other channels. A failure here stops no order: undelivered notices stay in the file for the
next program that delivers. When the loop ends there is one short last attempt, without the file if that is unusable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from kalshi_cli.base import errors
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.services.monitoring.alerting import Alerting
from kalshi_cli.services.monitoring.runbooks import runbook_of_error
from kalshi_cli.store.alert_tables import FLATTEN

LOOK_S = 0.5
"""Seconds between two checks for new events."""

REST_LOOKS = 10
"""Checks after which alerts are decided again without new events: reminders, closing windows, retries."""

DELIVER_S = 10.0
"""Seconds of one round of deliveries."""

LAST_TRY_S = 4.0
"""Seconds for the last deliveries after the loop has ended; the next program continues."""

FLATTEN_AGAIN_S, FLATTEN_LONGEST_S = 5.0, 300.0
"""Pause after a first attempt that left positions open; it doubles with each attempt, up to the maximum."""


@dataclass(eq=False, repr=False)
class AlertDispatcher:
    """Sends the alerts of one loop: `with AlertDispatcher(...).running(subject):`. `opened` is entered in its thread.

    `flatten` closes all positions in another thread, saves the result and returns whether none is left; None if no
    position is on the exchange. `directly` sends an alert that could not be saved; it ends within seconds.
    """

    opened: Callable[[], AbstractContextManager[Alerting]]
    clock: Clock
    tell: Callable[[str], None]
    flatten: Callable[[], bool] | None
    directly: Callable[[AlertRaised], object]
    look_s: float = LOOK_S

    def __post_init__(self) -> None:
        self._senders: list[threading.Thread] = []
        self._closing: threading.Thread | None = None
        self._closing_failed: errors.KalshiError | None = None
        self._is_closed = False
        self._tries = 0
        self._close_at = 0.0
        self._last: AlertRaised | None = None
        self._last_alert: int | None = None
        self._is_trading = False
        self._count_shards: Callable[[], int] = lambda: 0
        self._is_over = threading.Event()
        self._is_decided = threading.Event()
        self._last_warning = ""

    def begin(self, count_shards: Callable[[], int]) -> None:
        """Treat the loop as trading: it has read the account.

        `count_shards` is called from another thread now and then; it returns 0 while the number is unknown.
        """
        self._count_shards = count_shards
        self._is_trading = True

    def end_last(self, last: int) -> None:
        """End the alerts of the last loop: this one has reported its state, in the alerts after the number `last`."""
        self._last_alert = last

    @contextmanager
    def running(self, subject: str) -> Iterator[None]:
        """Send alerts until the context ends; an error that ends it becomes an alert about `subject`."""
        thread = threading.Thread(target=self._with_file, args=(self._dispatch,), name="alert-dispatcher", daemon=True)
        thread.start()
        try:
            yield
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt | errors.TerminationRequested):
                is_refused = self._is_trading and isinstance(error, errors.CredentialsError) and not error.is_clock
                code = "CREDENTIALS" if is_refused else "LOOP_FAILED"
                reason = error.message if isinstance(error, errors.KalshiError) else f"{type(error).__name__}: {error}"
                if isinstance(error, errors.OutcomeUnknownError) and error.hint:  # a phone shows no stderr
                    reason = f"{reason}: {error.hint}"
                text, named = safe_text(redact(reason), 300), runbook_of_error(error)
                text = f"{text}. See `kalshi runbook {named}`" if named and code == "LOOP_FAILED" else text
                self._last = AlertRaised(self.clock.now(), "critical", code, subject, text)
            raise
        finally:
            self._is_over.set()
            thread.join(2 * LAST_TRY_S)  # As a daemon it does not delay the exit.
            if self._last is not None and not self._is_decided.is_set():
                self.directly(self._last)

    def _with_file(self, work: Callable[[Alerting], None]) -> None:
        """Do `work` with the state file open; open it again after an error, for example while it is locked."""
        while True:
            try:
                with self.opened() as alerting:
                    work(alerting)
                    return
            except errors.StateFileError as error:
                self._warn_once(
                    f"Alerts wait for the state file, except one about the end of the loop: {error.message}"
                )
            if self._is_over.wait(self.look_s * REST_LOOKS):
                return

    def _dispatch(self, alerting: Alerting) -> None:
        looks = 0
        senders = self._started_senders(alerting.sinks)
        while not self._is_over.wait(self.look_s):
            if self._last_alert is not None:
                alerting.begin(self._last_alert)
                self._last_alert = None
            if looks % REST_LOOKS == 0:
                alerting.record_loop_presence(self._count_shards())
            if looks % REST_LOOKS == 0 or alerting.has_news():
                alerting.look()
            self._flatten_if_asked(alerting)
            looks += 1
        if self._last is not None:
            alerting.record(self._last)
        alerting.look()
        self._report_unclosed(alerting)
        alerting.look()
        self._is_decided.set()
        until = self.clock.monotonic() + LAST_TRY_S
        for sender in senders:
            sender.join(max(0.0, until - self.clock.monotonic()))
        try:
            alerting.deliver(until - self.clock.monotonic())  # A failed channel may have queued for its fallback.
        except errors.StateFileError:  # It is unknown which notices were sent.
            self._is_decided.clear()
            raise

    def _started_senders(self, sinks: Sequence[str]) -> list[threading.Thread]:
        """Return the delivery threads, started once; they recover from a broken file on their own."""
        if not self._senders:
            self._senders = [
                threading.Thread(target=self._send, args=(sink,), name=f"alert-sender {sink}", daemon=True)
                for sink in sinks
            ]
            for thread in self._senders:
                thread.start()
        return self._senders

    def _send(self, sink: str) -> None:
        def deliver(alerting: Alerting) -> None:
            while not self._is_over.is_set():
                alerting.deliver(DELIVER_S, [sink])
                self._is_over.wait(self.look_s)
            if self._is_decided.wait(LAST_TRY_S):
                alerting.deliver(LAST_TRY_S, [sink])

        self._with_file(deliver)

    def _flatten_if_asked(self, alerting: Alerting) -> None:
        """Close all positions if an alert requested it; retry until none is left or the user resumes trading."""
        self._finish_closing(alerting)
        asked, now = alerting.book.mark(FLATTEN), self.clock.monotonic()
        if not asked:
            self._tries = 0
        elif self.flatten is None or alerting.trading() is not TradingState.HALTED:
            alerting.book.set_mark(FLATTEN, 0)
        elif self._closing is None and (not self._tries or now >= self._close_at):
            self._closing = threading.Thread(target=self._close, name="flatten", daemon=True)
            self._closing.start()

    def _finish_closing(self, alerting: Alerting) -> None:
        """Save the result of an attempt that has ended and plan the next one; at once if the state file was busy."""
        if self._closing is None or self._closing.is_alive():
            return
        self._closing = None
        failed = self._closing_failed
        if isinstance(failed, errors.StateFileError):
            self._warn_once(f"Positions are not closed yet; trying again: {failed.message}")
        elif self._is_closed:
            alerting.book.set_mark(FLATTEN, 0)
        else:
            self._close_at = self.clock.monotonic() + min(
                FLATTEN_AGAIN_S * 2 ** min(self._tries, 10), FLATTEN_LONGEST_S
            )
            self._tries += 1
            if failed is not None:
                self._record_open(alerting, f"positions were not closed; run: kalshi flatten. {failed.message}")

    def _close(self) -> None:
        """Close the positions; an unexpected error ends only this thread and leaves `Internal error` as the cause."""
        assert self.flatten is not None
        self._is_closed, self._closing_failed = False, errors.KalshiError("Internal error")
        try:
            self._is_closed, self._closing_failed = self.flatten(), None
        except errors.KalshiError as error:
            self._closing_failed = error

    def _report_unclosed(self, alerting: Alerting) -> None:
        """Report positions that an alert wanted closed and that stay open after the loop."""
        self._finish_closing(alerting)
        if alerting.book.mark(FLATTEN) and self.flatten is not None:
            self.tell(_UNCLOSED)
            self._record_open(alerting, _UNCLOSED)

    def _record_open(self, alerting: Alerting, text: str) -> None:
        alerting.record(AlertRaised(self.clock.now(), "critical", "FLATTEN_FAILED", "account", text))

    def _warn_once(self, text: str) -> None:
        if text != self._last_warning:
            self._last_warning = text
            self.tell(text)


_UNCLOSED = (
    "the loop ended before it closed all positions, as an alert requested; the next loop continues. Close them now: "
    "kalshi flatten; keep them: kalshi resume --reason TEXT"
)
