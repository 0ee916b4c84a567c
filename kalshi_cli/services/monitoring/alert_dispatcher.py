"""Tells what a loop wrote down, from a thread beside it: trading waits for no sink, whatever a sink does.

The thread has a connection of its own to the state file, where the loop leaves what happened. It looks there twice a
second, and decides; for each sink there is another that delivers, so that one that hangs holds up no decision and no
other sink. Whatever goes wrong here stops no order; what is left undone is in the file, and the next program that
delivers goes on with it. When the loop ends there is one last short try, past the file where that cannot be used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, KalshiError, StateFileError, TerminationRequested
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.services.monitoring.alerting import Alerting
from kalshi_cli.store.alert_tables import FLATTEN

LOOK_S = 0.5
"""Between two looks for what is new."""

REST_LOOKS = 10
"""Looks after which it is decided again though nothing is new: reminders, windows that close, retries."""

DELIVER_S = 10.0
"""One round of deliveries; then it looks again."""

LAST_TRY_S = 4.0
"""For what is left when the loop has ended. Then the next program does it."""

FLATTEN_AGAIN_S, FLATTEN_LONGEST_S = 5.0, 300.0
"""How long after a first attempt that left positions open the next one begins; twice as long each time, up to this."""


class AlertDispatcher:
    """Beside one loop: `with Courier(...).running():`. `opened` is entered in its thread.

    `flatten` closes the positions, in another thread, records what came of it, and returns whether none is left; None
    where there are none at the exchange. `directly` tells the sinks of what could not be written down; it ends within
    seconds.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Alerting]],
        clock: Clock,
        tell: Callable[[str], None],
        flatten: Callable[[], bool] | None,
        directly: Callable[[AlertRaised], None],
        look_s: float = LOOK_S,
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._tell = tell
        self._flatten = flatten
        self._directly = directly
        self._look_s = look_s
        self._posting: list[threading.Thread] = []
        self._closing: threading.Thread | None = None
        self._closing_failed: KalshiError | None = None
        self._is_closed = False
        self._tries = 0
        self._close_at = 0.0
        self._last: AlertRaised | None = None
        self._has_begun = threading.Event()
        self._is_trading = False
        self._count_shards: Callable[[], int] = lambda: 0
        self._is_over = threading.Event()
        self._is_decided = threading.Event()
        self._said = ""

    def begin(self, count_shards: Callable[[], int]) -> None:
        """The loop has read the account, and says anew what holds. How many shards the exchange has is asked for now
        and then, from another thread; 0 while the loop does not know.
        """
        self._count_shards = count_shards
        self._is_trading = True
        self._has_begun.set()

    @contextmanager
    def running(self, subject: str) -> Iterator[None]:
        """For as long as it lasts. An error that ends it is told as well, as one of `subject`."""
        thread = threading.Thread(target=self._run, name="courier", daemon=True)
        thread.start()
        try:
            yield
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt | TerminationRequested):
                is_refused = self._is_trading and isinstance(error, CredentialsError) and error.code != "CLOCK"
                code = "CREDENTIALS" if is_refused else "LOOP_FAILED"
                self._last = AlertRaised(self._clock.now(), "critical", code, subject, _reason(error))
            raise
        finally:
            self._is_over.set()
            thread.join(2 * LAST_TRY_S)  # as a daemon it holds up no exit
            if self._last is not None and not self._is_decided.is_set():
                self._directly(self._last)

    def _run(self) -> None:
        self._with_file(self._carry)

    def _with_file(self, carry: Callable[[Alerting], None]) -> None:
        """Open, and again where that fails: the file may be locked, and a courier that gave up would tell nobody."""
        while True:
            try:
                with self._opened() as alerting:
                    carry(alerting)
                    return
            except StateFileError as error:
                self._say(f"nobody is told of alerts: {error.message}")
            if self._is_over.wait(self._look_s * REST_LOOKS):
                return

    def _carry(self, alerting: Alerting) -> None:
        looks = 0
        postmen = self._postmen(alerting.sinks)
        while not self._is_over.wait(self._look_s):
            if self._has_begun.is_set():
                self._has_begun.clear()
                alerting.begin()
            if looks % REST_LOOKS == 0:
                alerting.record_loop_presence(self._count_shards())
            if looks % REST_LOOKS == 0 or alerting.has_news():
                alerting.look()
            self._obey(alerting)
            looks += 1
        if self._last is not None:
            alerting.record(self._last)
        alerting.look()
        self._tell_unclosed(alerting)
        alerting.look()
        self._is_decided.set()
        until = self._clock.monotonic() + LAST_TRY_S
        for postman in postmen:
            postman.join(max(0.0, until - self._clock.monotonic()))
        try:
            alerting.deliver(until - self._clock.monotonic())  # what one would not take may be for the other by now
        except StateFileError:  # who knows what of it was told
            self._is_decided.clear()
            raise

    def _postmen(self, sinks: Sequence[str]) -> list[threading.Thread]:
        """The threads that deliver, begun; where the file fails they go on by themselves."""
        if not self._posting:
            self._posting = [
                threading.Thread(target=self._post, args=(sink,), name=f"postman {sink}", daemon=True) for sink in sinks
            ]
            for thread in self._posting:
                thread.start()
        return self._posting

    def _post(self, sink: str) -> None:
        def carry(alerting: Alerting) -> None:
            while not self._is_over.is_set():
                alerting.deliver(DELIVER_S, [sink])
                self._is_over.wait(self._look_s)
            if self._is_decided.wait(LAST_TRY_S):
                alerting.deliver(LAST_TRY_S, [sink])

        self._with_file(carry)

    def _obey(self, alerting: Alerting) -> None:
        """Close the positions that an alert wants closed, again and again until none is left or a person resumes."""
        self._learn_of_closing(alerting)
        asked, now = alerting.book.mark(FLATTEN), self._clock.monotonic()
        if not asked:
            self._tries = 0
        elif self._flatten is None or alerting.trading() is not TradingState.HALTED:
            alerting.book.set_mark(FLATTEN, 0)
        elif self._closing is None and (not self._tries or now >= self._close_at):
            self._closing = threading.Thread(target=self._close, name="flatten", daemon=True)
            self._closing.start()

    def _learn_of_closing(self, alerting: Alerting) -> None:
        """What came of an attempt that has ended. A state file that is busy is tried again at once."""
        if self._closing is None or self._closing.is_alive():
            return
        self._closing = None
        failed = self._closing_failed
        if isinstance(failed, StateFileError):
            self._say(f"positions are not closed yet, it is tried again: {failed.message}")
        elif self._is_closed:
            alerting.book.set_mark(FLATTEN, 0)
        else:
            self._close_at = self._clock.monotonic() + min(
                FLATTEN_AGAIN_S * 2 ** min(self._tries, 10), FLATTEN_LONGEST_S
            )
            self._tries += 1
            if failed is not None:
                self._record_open(alerting, f"the positions were not closed: {failed.message}")

    def _close(self) -> None:
        """In its own thread, which may die of what nobody expects."""
        assert self._flatten is not None
        self._is_closed, self._closing_failed = False, KalshiError("the program failed in it")
        try:
            self._is_closed, self._closing_failed = self._flatten(), None
        except KalshiError as error:
            self._closing_failed = error

    def _tell_unclosed(self, alerting: Alerting) -> None:
        """The loop has ended: what it leaves open against the wish of an alert is told."""
        self._learn_of_closing(alerting)
        if alerting.book.mark(FLATTEN) and self._flatten is not None:
            self._tell(_UNCLOSED)
            self._record_open(alerting, _UNCLOSED)

    def _record_open(self, alerting: Alerting, text: str) -> None:
        alerting.record(AlertRaised(self._clock.now(), "critical", "FLATTEN_FAILED", "account", text))

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._tell(text)


_UNCLOSED = (
    "the loop ended before the positions that an alert wants closed were closed; the next loop goes on with it. "
    "Close them now: kalshi flatten; leave them open: kalshi resume --reason TEXT"
)


def _reason(error: BaseException) -> str:
    text = error.message if isinstance(error, KalshiError) else f"{type(error).__name__}: {error}"
    return safe_text(redact(text), 300)
