"""Signals to the kill switch: the first one never prevents the cancels.

Loaded before the rest of the program, so that a signal is heard from the beginning.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from kalshi_cli.base.errors import OutcomeUnknownError, TerminationRequested

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_COMMAND = "cancel-all"
_GOES_ON = "the cancels go on; another signal ends them, and what rests then is not verified"

_early: list[int] = []
"""Signals that came while the program was loaded."""
_before: dict[signal.Signals, Any] = {}


def hold_early(words: Sequence[str]) -> None:
    """Hold every signal back while the program is loaded, where this command line is the kill switch's."""
    if _COMMAND not in words:
        return
    before, last = [], ""
    for word in words[: words.index(_COMMAND)]:
        if not word.startswith("-") and not last.startswith("--"):  # neither an option nor the value of one
            before.append(word)
        last = word
    if before not in ([], ["order"]):
        return  # another command, with this word among its own
    _before.update(_handled(lambda number, _frame: _early.append(number)))


def _handled(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Any]:
    """Install the handler; return those before it. What `nohup` ignores stays ignored."""
    return {
        number: signal.signal(number, handler) for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN
    }


class KillSignals:
    """Hold the first signal back until the exchange has answered every cancel; the next one interrupts at once.

    An interrupt ends with the doubt (7) until `close`, which is called once nothing is in doubt any more.
    """

    def __init__(self) -> None:
        self._heard = 0
        self._is_held = True
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> KillSignals:
        self._before = _handled(self._hear) | _before
        _before.clear()
        if _early:
            self._hear(_early[0], None)
            _early.clear()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._before and isinstance(error, KeyboardInterrupt):
            self.close()
            raise OutcomeUnknownError(
                "interrupted before it was verified that nothing rests: orders may be live", hint="run it again"
            ) from error
        self.close()

    def close(self) -> None:
        """Give the signals back."""
        while self._before:
            signal.signal(*self._before.popitem())

    def hold(self) -> None:
        """Hold the first signal back again: there is more to cancel."""
        self._is_held = True
        if not self._before:
            self.__enter__()

    def let_go(self) -> None:
        """Interrupt where a signal was held back; from now on each one does at once."""
        self._is_held = False
        if self._heard:
            self._interrupt()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        is_first, self._heard = not self._heard, number
        if not (is_first and self._is_held):
            self._interrupt()
        with suppress(OSError):  # past the stream, which may be in use
            os.write(2, f"{signal.Signals(number).name}: {_GOES_ON}\n".encode())

    def _interrupt(self) -> None:
        raise KeyboardInterrupt if self._heard == signal.SIGINT else TerminationRequested
