"""The event stream of an account, read in a thread of its own: what a screen shows is the newest state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Ts
from kalshi_cli.views.live import LiveEvent

OpenAccount = Callable[[], Kalshi]
"""Opens an account for the thread that calls it."""


class OpenWithNotes(Protocol):
    """Opens an account for the thread that calls it; `note` takes what a command would write to the terminal."""

    def __call__(self, note: Callable[[str], None] = ..., /) -> Kalshi:
        """Open the account."""
        ...


AGAIN_S = 1.0
"""Seconds until another attempt after an error."""

MAX_POINTS = 2_000
"""Points of the equity curve."""


class EventSource:
    """Reads the event stream in a thread, and keeps the newest state and the equity since the start."""

    def __init__(self, open_account: OpenAccount, clock: Clock) -> None:
        self._open = open_account
        self._clock = clock
        self._lock = threading.Lock()
        self._state = LiveEvent()
        self._is_new = False
        self._tickers: tuple[str, ...] = ()
        self._is_open = True
        self._is_old = threading.Event()
        self.equity: list[int] = []
        self.problem = ""
        self._ahead_ms = 0

    def start(self) -> None:
        """Start to read."""
        threading.Thread(target=self._read, name="event stream", daemon=True).start()

    def stop(self) -> None:
        """Read no further."""
        self._is_open = False
        self.refresh()

    def follow(self, *tickers: str) -> None:
        """Ask for the order books of these markets, and no others."""
        self._tickers = tickers
        self.refresh()

    def refresh(self) -> None:
        """Read the account anew, now and at the next event: the exchange's lists may not show yet what was changed."""
        self._is_old.set()

    def newest(self) -> LiveEvent | None:
        """Return the state if it changed since the last call."""
        with self._lock:
            is_new, self._is_new = self._is_new, False
            return self._state if is_new else None

    @property
    def now(self) -> Ts:
        """Return the time of the account, which a simulated exchange can move."""
        return Ts(self._clock.now() + self._ahead_ms)

    def _read(self) -> None:
        while self._is_open:
            try:
                with self._open() as kalshi:
                    self._follow(kalshi)
            except KalshiError as error:
                self.problem = error.message
            self._clock.sleep(AGAIN_S)

    def _follow(self, kalshi: Kalshi) -> None:
        while self._is_open:
            is_changed = self._is_old.is_set()
            self._is_old.clear()
            for number, event in enumerate(kalshi.trading.events(self._tickers, wait=self._is_old.wait)):
                self._take(event)
                self._ahead_ms = kalshi.now - self._clock.now()
                if self._is_old.is_set() or not self._is_open or (is_changed and number):
                    break

    def _take(self, event: LiveEvent) -> None:
        with self._lock:
            self._state = event.after(self._state)
            self._is_new = True
            self.problem = ""
            run = event.run
            equity = None if run is None or (run.settling and not run.running) else run.equity
            if equity is not None and (not self.equity or self.equity[-1] != equity):
                self.equity.append(equity)
                del self.equity[:-MAX_POINTS]
