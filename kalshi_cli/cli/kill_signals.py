"""Signals during the kill switch: the first one never prevents the cancels."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from kalshi_cli.base.errors import OutcomeUnknownError, TerminationRequested
from kalshi_cli.base.twin_signals import STOPS, TWIN_S

_COMMAND = "cancel-all"
_GOES_ON = "the cancels continue; another signal ends them, and then it is not verified that no order remains"

_early: list[int] = []
"""Signals that arrived before the kill switch began."""
_before: dict[signal.Signals, Any] = {}


def install(handlers: Mapping[signal.Signals, Any], words: Sequence[str], held: list[int]) -> None:
    """Install the handlers of signals once the program is loaded; `held` are the signals that arrived before.

    If this command line runs the kill switch, it takes the held signals and goes on holding them back.
    """
    if not _runs_kill_switch(words):
        for number, handler in handlers.items():
            signal.signal(number, handler)
        return
    _before.update(handlers)
    for number in handlers:
        signal.signal(number, lambda number, _frame: _early.append(number))
    _early.extend(held)
    held.clear()


def _runs_kill_switch(words: Sequence[str]) -> bool:
    if _COMMAND not in words:
        return False
    before, last = [], ""
    for word in words[: words.index(_COMMAND)]:
        if not word.startswith("-") and not last.startswith("--"):  # neither an option nor its value
            before.append(word)
        last = word
    return before in ([], ["order"])  # otherwise another command has this word among its arguments


def _handled(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Any]:
    """Install the handler and return the earlier ones. Signals that `nohup` ignores stay ignored."""
    return {
        number: signal.signal(number, handler) for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN
    }


class KillSignals:
    """Holds the first signal back until the exchange has answered every cancel; the next one interrupts at once.

    The same signal within TWIN_S is no other one, but for Ctrl-C, which people send twice. Until `close`, which is
    called when every outcome is known, an interrupt ends with exit code 7.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._received = 0
        self._received_at = 0.0
        self._is_held = True
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> KillSignals:
        self._before = _handled(self._receive) | _before
        _before.clear()
        if _early:
            self._receive(_early[0], None)
            _early.clear()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._before and isinstance(error, KeyboardInterrupt):
            self.close()
            raise OutcomeUnknownError(
                "Interrupted before it was verified that no order remains. Orders may be live",
                hint="run `kalshi cancel-all` again",
            ) from error
        self.close()

    def close(self) -> None:
        """Restore the earlier signal handlers."""
        while self._before:
            signal.signal(*self._before.popitem())

    def hold(self) -> None:
        """Hold the first signal back again, because there are more orders to cancel."""
        self._is_held = True
        if not self._before:
            self.__enter__()

    def let_go(self) -> None:
        """Interrupt now if a signal was held back; from now on a signal interrupts at once."""
        self._is_held = False
        if self._received:
            self._interrupt()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        now = self._monotonic()
        if number == self._received != signal.SIGINT and now - self._received_at < TWIN_S:
            return
        is_first, self._received, self._received_at = not self._received, number, now
        if not (is_first and self._is_held):
            self._interrupt()
        with suppress(OSError):  # not through sys.stderr, which may be in use
            os.write(2, f"{signal.Signals(number).name}: {_GOES_ON}\n".encode())

    def _interrupt(self) -> None:
        raise KeyboardInterrupt if self._received == signal.SIGINT else TerminationRequested
