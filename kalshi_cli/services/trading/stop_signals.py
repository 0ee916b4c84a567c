"""Signals of a run: a graceful stop, an immediate stop, a pause."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import (
    CredentialsError,
    ExitCode,
    KalshiError,
    OutcomeUnknownError,
    StateFileError,
    TerminationRequested,
)
from kalshi_cli.base.twin_signals import STOPS
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.store.pause import pause, remove_pause_file


@contextmanager
def in_flight(what: str) -> Iterator[None]:
    """Turn an interrupt while a request is in progress into OutcomeUnknownError: its order may be live."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise OutcomeUnknownError(
            f"Interrupted while {what} was being sent. It may be live", hint="run `kalshi order reconcile`"
        ) from error


WAY_OUT = (
    "run `kalshi order reconcile`, or `kalshi cancel-all`; if the key is rejected, cancel on the web site (Portfolio, "
    "Orders)"
)
"""The hint for orders that a run left behind."""


def orders_left_live(count: int | StateFileError, cause: BaseException | None = None) -> OutcomeUnknownError:
    """Return the error of a run that ended by `cause` while `count` of its orders may be live.

    `count` is a StateFileError if the orders could not be counted.
    """
    is_asked = cause is None or isinstance(cause, KeyboardInterrupt)
    why = "" if is_asked else f"; the run ended by: {str(cause) or type(cause).__name__}"
    hint = WAY_OUT
    if isinstance(cause, CredentialsError) and cause.is_clock:
        hint = f"{cause.hint}; then {WAY_OUT.split(';')[0]}. If it cannot be set now, cancel on the web site"
    elif isinstance(cause, CredentialsError) and "web site" in cause.hint:
        hint = f"{cause.hint}; then {WAY_OUT.split(';')[0]}"
    elif isinstance(cause, CredentialsError) and cause.hint:
        hint = f"{WAY_OUT}. {cause.hint}"
    return OutcomeUnknownError(f"Orders of this run may still be live: {count}{why}", hint=hint)


def truthful(error: BaseException, live: int | StateFileError, tell: Callable[[str], None]) -> BaseException:
    """Return the error to end a run with: orders that may be live come before every other reason.

    `live` is their number, or the error of the state file if they could not be counted.
    """
    if live:
        return error if isinstance(error, OutcomeUnknownError) else orders_left_live(live, error)
    if isinstance(error, KeyboardInterrupt):
        tell("No order of this run is live")
        return type(error)()
    return error


class RunEnd:
    """A context that replaces the error of a run if orders of it may be live: that comes before every other reason.

    Until `count_with` is called, errors pass unchanged.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._count: Callable[[], int] | None = None

    def count_with(self, count: Callable[[], int]) -> None:
        """Set the function that counts the orders left by the run."""
        self._count = count

    def __enter__(self) -> RunEnd:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _at: object) -> None:
        if error is None or self._count is None:
            return
        try:
            ended = truthful(error, self._count(), self._tell)
        except StateFileError as uncounted:
            ended = truthful(error, uncounted, self._tell)
        if ended is not error:
            raise ended from error


def exit_code(stopped_by: str, *, live: int, is_halted: bool, has_failed: bool) -> ExitCode:
    """Return the exit code of a run: orders that may be live come first, then the signal, a halt, a failed strategy."""
    if live:
        return ExitCode.UNKNOWN_OUTCOME
    if stopped_by in SIGNALS:
        return SIGNALS[stopped_by]
    if is_halted:
        return ExitCode.HALTED
    return ExitCode.FAILED if has_failed else ExitCode.OK


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code of a run that raised this error."""
    if isinstance(error, KalshiError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.TERMINATED if isinstance(error, TerminationRequested) else ExitCode.INTERRUPTED
    return ExitCode.FAILED if isinstance(error, OSError) else ExitCode.BUG


SIGNALS = {"SIGINT": ExitCode.INTERRUPTED, "SIGTERM": ExitCode.TERMINATED, "SIGHUP": ExitCode.TERMINATED}
"""Signals that stop a run gracefully."""


class StopSignals:
    """A graceful stop on SIGINT, SIGTERM and SIGHUP; a second SIGINT interrupts at once. `nohup` is respected.

    Without `ask` there is nothing to stop gracefully yet: the first signal raises KeyboardInterrupt, for SIGTERM and
    SIGHUP its subclass TerminationRequested.
    """

    def __init__(self, clock: Clock, ask: Callable[[StateCommand], None] | None = None) -> None:
        self._ask = ask
        self.heard = ""
        """Name of the first signal received; empty before."""
        self._clock = clock
        self._before: dict[signal.Signals, object] = {}

    @property
    def is_passed_on(self) -> bool:
        """Return whether a signal requests a graceful stop instead of interrupting."""
        return self._ask is not None

    def pass_to(self, ask: Callable[[StateCommand], None]) -> None:
        """Set the function that requests a graceful stop."""
        self._ask = ask

    def __enter__(self) -> StopSignals:
        heard = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._stop) for number in heard}
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        is_first, name = not self.heard, signal.Signals(number).name
        self.heard = self.heard or name
        if self._ask is None:
            raise KeyboardInterrupt if number == signal.SIGINT else TerminationRequested
        if number == signal.SIGINT and not is_first:
            # The live orders are shown next; a third SIGINT must not cut that off.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            raise KeyboardInterrupt
        self._ask(StateCommand(self._clock.now(), None, name))


class PauseSignal:
    """A pause on SIGUSR1; a second one ends it, but never a halt. The change is on disk when the handler returns."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._before: object = None

    def __enter__(self) -> PauseSignal:
        self._before = signal.signal(signal.SIGUSR1, self._toggle)
        return self

    def __exit__(self, *_exc: object) -> None:
        signal.signal(signal.SIGUSR1, self._before)  # type: ignore[arg-type]

    def _toggle(self, _number: int, _frame: FrameType | None) -> None:
        """Toggle the pause. A handler can interrupt any code: it must not raise or write to a stream in use."""
        try:
            if not remove_pause_file(self._home):
                pause(self._home, "SIGUSR1")
        except KalshiError as error:
            with suppress(OSError):
                os.write(2, f"{error.message}\n".encode())
