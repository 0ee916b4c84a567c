"""What signals mean to a run: an orderly stop, at once, a pause."""

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
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.store.pause import pause, remove_pause_file


@contextmanager
def in_flight(what: str) -> Iterator[None]:
    """Answer for an order from before it is sent until its outcome is known: a signal in between leaves a doubt."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise OutcomeUnknownError(
            f"interrupted while {what} was on the way: it may be live", hint="kalshi order reconcile"
        ) from error


WAY_OUT = (
    "kalshi order reconcile, or kalshi cancel-all; where the key is refused, cancel on the web site (Portfolio, Orders)"
)
"""What to do about orders that a run left behind."""


def orders_left_live(count: int | StateFileError, cause: BaseException | None = None) -> OutcomeUnknownError:
    """Make the error of a run that is over while so many of its orders may be live, whatever ended it (`cause`).

    A StateError in place of the count says why they could not be counted.
    """
    is_asked = cause is None or isinstance(cause, KeyboardInterrupt)
    why = "" if is_asked else f"; the run ended by: {str(cause) or type(cause).__name__}"
    more = f". {cause.hint}" if isinstance(cause, CredentialsError) and cause.hint else ""
    return OutcomeUnknownError(f"orders of this run may still be live: {count}{why}", hint=WAY_OUT + more)


def truthful(error: BaseException, live: int | StateFileError, tell: Callable[[str], None]) -> BaseException:
    """Return what a run ends with that `error` ended: that its orders may be live comes before every other reason.

    They may be where they could not be counted: `live` is then the error of the state file.
    """
    if live:
        return error if isinstance(error, OutcomeUnknownError) else orders_left_live(live, error)
    if isinstance(error, KeyboardInterrupt):
        tell("nothing of this run is live")
        return type(error)()
    return error


class RunEnd:
    """Answers for the end of a run, whatever goes wrong with it: that orders may be live comes before every reason.

    Use it as a context manager. Until `count_with` is called there is nothing to answer for.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._count: Callable[[], int] | None = None

    def count_with(self, count: Callable[[], int]) -> None:
        """Count the orders that the run leaves with this, from here on."""
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
    """What the program ends with after a run: an order that may be live is worst, then what a person asked for."""
    if live:
        return ExitCode.UNKNOWN_OUTCOME
    if stopped_by in SIGNALS:
        return SIGNALS[stopped_by]
    if is_halted:
        return ExitCode.HALTED
    return ExitCode.FAILED if has_failed else ExitCode.OK


def exit_code_of(error: BaseException) -> ExitCode:
    """What the program ends with where a run raised this."""
    if isinstance(error, KalshiError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.TERMINATED if isinstance(error, TerminationRequested) else ExitCode.INTERRUPTED
    return ExitCode.FAILED if isinstance(error, OSError) else ExitCode.BUG


SIGNALS = {"SIGINT": ExitCode.INTERRUPTED, "SIGTERM": ExitCode.TERMINATED, "SIGHUP": ExitCode.TERMINATED}
"""Signals that end a run in good order."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP ask for an orderly stop; a second SIGINT interrupts at once. `nohup` is respected.

    Without `ask` there is nothing to put in order yet: the first one interrupts then (KeyboardInterrupt), and for
    SIGTERM and SIGHUP that is a TerminatedError.
    """

    def __init__(self, clock: Clock, ask: Callable[[StateCommand], None] | None = None) -> None:
        self._ask = ask
        self.heard = ""
        """The first one, once it came."""
        self._clock = clock
        self._before: dict[signal.Signals, object] = {}

    @property
    def is_passed_on(self) -> bool:
        """Return whether a signal asks for an orderly stop, rather than interrupts."""
        return self._ask is not None

    def pass_to(self, ask: Callable[[StateCommand], None]) -> None:
        """Ask for an orderly stop with this, from here on."""
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
            # What is live is told next, and a third must not cut that off.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            raise KeyboardInterrupt
        self._ask(StateCommand(self._clock.now(), None, name))


class PauseSignal:
    """SIGUSR1 pauses, and lifts a pause; a halt it never lifts. What it does is on the disk when it returns."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._before: object = None

    def __enter__(self) -> PauseSignal:
        self._before = signal.signal(signal.SIGUSR1, self._toggle)
        return self

    def __exit__(self, *_exc: object) -> None:
        signal.signal(signal.SIGUSR1, self._before)  # type: ignore[arg-type]

    def _toggle(self, _number: int, _frame: FrameType | None) -> None:
        """Anything may be interrupted by this: it must not raise, nor print by way of a stream in use."""
        try:
            if not remove_pause_file(self._home):
                pause(self._home, "SIGUSR1")
        except KalshiError as error:
            with suppress(OSError):
                os.write(2, f"{error.message}\n".encode())
