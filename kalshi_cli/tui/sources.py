"""The two threads behind the screen: one reads the event stream, one acts. Each has an account of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Any, NamedTuple

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.views.live import LiveEvent
from kalshi_cli.views.plans import Plan

AnyPlan = Plan[Any]
Execute = Callable[[Kalshi, AnyPlan], object]
"""Executes a plan and returns its result."""

OpenAccount = Callable[[], Kalshi]
"""Opens an account for the thread that calls it."""

AGAIN_S = 1.0
MAX_ACTIONS = 8
"""Actions that wait for the one in progress; a further one is refused."""

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
        self._is_old = False
        self.equity: list[int] = []
        self.problem = ""

    def start(self) -> None:
        """Start to read."""
        threading.Thread(target=self._read, name="event stream", daemon=True).start()

    def stop(self) -> None:
        """Read no further."""
        self._is_open = False

    def follow(self, *tickers: str) -> None:
        """Ask for the order books of these markets, and no others."""
        self._tickers = tickers
        self.refresh()

    def refresh(self) -> None:
        """Read the account anew soon, because something was changed; a running loop tells by itself."""
        self._is_old = True

    def newest(self) -> LiveEvent | None:
        """Return the state if it changed since the last call."""
        with self._lock:
            is_new, self._is_new = self._is_new, False
            return self._state if is_new else None

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
            self._is_old = False
            for event in kalshi.trading.events(self._tickers):
                self._take(event)
                if self._is_old or not self._is_open:
                    break

    def _take(self, event: LiveEvent) -> None:
        with self._lock:
            self._state = event.after(self._state)
            self._is_new = True
            self.problem = ""
            equity = event.run.equity if event.run is not None else None
            if equity is not None and (not self.equity or self.equity[-1] != equity):
                self.equity.append(equity)
                del self.equity[:-MAX_POINTS]


class Action(NamedTuple):
    """Something to do: its words, how to plan it, how to execute it, and whether the user must agree first."""

    words: str
    plan: Callable[[Kalshi], AnyPlan]
    execute: Execute
    needs_consent: bool


class ActionThread:
    """Plans and executes one action after the other, over a connection that is open already.

    `ask` is called in this thread with a plan that needs consent, and returns whether the user agreed. `tell` takes a
    line about the result; `is_error` says that it failed.
    """

    def __init__(
        self, open_account: OpenAccount, ask: Callable[[str, AnyPlan], bool], tell: Callable[[str, bool], None]
    ) -> None:
        self._open = open_account
        self._ask = ask
        self._tell = tell
        self._queue: Queue[Action] = Queue(MAX_ACTIONS)
        self._is_open = True

    def start(self) -> None:
        """Open the connection and wait for actions."""
        threading.Thread(target=self._work, name="actions", daemon=True).start()

    def stop(self) -> None:
        """Take no further action; the one in progress is finished."""
        self._is_open = False

    def do(self, action: Action) -> None:
        """Do this after those that wait."""
        try:
            self._queue.put_nowait(action)
        except Full:
            self._tell(f"Not done: {action.words}. {MAX_ACTIONS} actions are waiting", True)

    def _work(self) -> None:
        with self._open() as kalshi:
            self._warm_up(kalshi)
            while self._is_open:
                try:
                    action = self._queue.get(timeout=AGAIN_S)
                except Empty:
                    continue
                self._perform(kalshi, action)

    def _warm_up(self, kalshi: Kalshi) -> None:
        """Connect before the first key, because a cancel must not wait for a handshake."""
        try:
            kalshi.markets.exchange()
        except KalshiError as error:
            self._tell(error.message, True)

    def _perform(self, kalshi: Kalshi, action: Action) -> None:
        try:
            plan = action.plan(kalshi)
            if action.needs_consent and not self._ask(action.words, plan):
                self._tell(f"Not done: {action.words}", False)
            else:
                outcome = action.execute(kalshi, plan)
                error = getattr(outcome, "error", None)
                if error is not None:
                    raise error
                self._tell(f"Done: {action.words}", False)
        except KalshiError as error:
            self._tell(f"{action.words}: {error.message}" + (f" ({error.hint})" if error.hint else ""), True)
