"""The thread behind the screen that acts, one action after the other, over an account of its own."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Any, NamedTuple

from kalshi_cli.app.event_source import OpenWithNotes
from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.errors import KalshiError, RefusedError
from kalshi_cli.tui.questions import Consent
from kalshi_cli.views.close import no_position
from kalshi_cli.views.order_text import closes_text, outcome_text
from kalshi_cli.views.orders import OrderRow
from kalshi_cli.views.plans import CloseAllPlan, Plan

AnyPlan = Plan[Any]
Execute = Callable[[Kalshi, AnyPlan], object]
"""Executes a plan and returns its result."""

FINISH_S = 60.0
"""Seconds to wait, at most, for the actions that were asked before the end."""
AGAIN_S = 1.0
MAX_ACTIONS = 8
"""Actions that wait for the one in progress; a further one is refused."""


_KEYS = (
    (r"run `kalshi resume --reason TEXT(?: --reset-groups)?`", "press r"),
    (r"no new orders until `kalshi resume --reason TEXT(?: --reset-groups)?`", "press r to resume"),
    (r", or `kalshi close \S+ --cancel-orders`", ""),
    (r"`kalshi cancel-all --ticker \S+ --no-halt`", "c on the market page (Enter)"),
    (r"`kalshi cancel [^`]+`", "c in the list of orders (2)"),
    (r"`kalshi order list`", "the list of orders (2)"),
    (r"^kalshi order show \S+", "look at the list of orders (2)"),
    (r"change --price, --count, --expires-in or --no-expiry", "press e and type another price or count"),
    (r"`kalshi positions`", "the list of positions (1)"),
    (r"`kalshi (?:orderbook|market) [^`]+`", "the market page (Enter)"),
)
"""Commands that have a key on the screen, with that key."""


def with_keys(hint: str) -> str:
    """Return a hint that names keys in place of the commands that have one."""
    for command, key in _KEYS:
        hint = re.sub(command, key, hint)
    return hint


def error_text(error: KalshiError) -> str:
    """Return an error and its hint in one line."""
    hint = with_keys(error.hint or "")
    return error.message + (f". {hint[:1].upper()}{hint[1:]}" if hint else "")


def resuming(reason: str) -> Callable[[Kalshi], AnyPlan]:
    """Return how to plan a resume with this reason, which also resets the order groups of loops."""
    return lambda kalshi: kalshi.trading.plan_resume(reason, reset_groups=True, is_described=True)


class Action(NamedTuple):
    """Something to do: its words, how to plan it, how to execute it, and how the user is asked first.

    `ask` is called in the thread of actions with the words and the plan; None where the user has agreed already. `key`
    is the key that asks for it again.
    """

    words: str
    plan: Callable[[Kalshi], AnyPlan]
    execute: Execute
    ask: Callable[[str, AnyPlan], Consent] | None = None
    key: str = ""


class ActionThread:
    """Plans and executes one action after the other, over a connection that is open already.

    `tell` takes a line about the result; `is_error` says that it failed.
    """

    def __init__(self, open_account: OpenWithNotes, tell: Callable[[str, bool], None]) -> None:
        self._open = open_account
        self._tell = tell
        self._queue: Queue[Action] = Queue(MAX_ACTIONS)
        self._notes: list[str] | None = None
        """The notes of the action in progress that asks nothing; None for any other."""
        self._is_open = True

    def start(self) -> None:
        """Open the connection and wait for actions."""
        threading.Thread(target=self._work, name="actions", daemon=True).start()

    def stop(self) -> None:
        """Take no further action."""
        self._is_open = False

    def finish(self) -> None:
        """Stop, and wait for what was asked before: the end of the program would cut it off."""
        self.stop()
        with self._queue.all_tasks_done:
            self._queue.all_tasks_done.wait_for(lambda: not self._queue.unfinished_tasks, FINISH_S)

    def do(self, action: Action) -> None:
        """Do this after those that wait."""
        try:
            self._queue.put_nowait(action)
        except Full:
            self._tell(f"Not done: {action.words}. {MAX_ACTIONS} actions are waiting", True)

    def _work(self) -> None:
        try:
            self._act_until_stopped()
        except KalshiError as error:  # the account could not be opened, or not be closed
            self._tell(error.message, True)

    def _act_until_stopped(self) -> None:
        with self._open(self._note) as kalshi:
            self._warm_up(kalshi)
            while self._is_open or self._queue.unfinished_tasks:
                try:
                    action = self._queue.get(timeout=AGAIN_S)
                except Empty:
                    continue
                try:
                    self._perform(kalshi, action)
                finally:
                    self._queue.task_done()

    def _warm_up(self, kalshi: Kalshi) -> None:
        """Connect before the first key, because a cancel must not wait for a handshake."""
        try:
            kalshi.markets.exchange()
        except KalshiError as error:
            self._tell(error.message, True)

    def _note(self, text: str) -> None:
        """Show the first note of an action that asks nothing, which says what is done, and the newest."""
        if self._notes is not None:
            self._notes.append(with_keys(text))
            waits = "Waiting for the exchange" if len(self._notes) == 1 else self._notes[-1]
            self._tell(f"{self._notes[0]}. {waits} ...", False)

    def _perform(self, kalshi: Kalshi, action: Action) -> None:
        self._notes = [] if action.ask is None else None
        try:
            plan = action.plan(kalshi)
            answer = Consent.YES if action.ask is None else action.ask(action.words, plan)
            if answer is Consent.NO:
                self._tell(f"Not done: {action.words}", False)
            elif answer is Consent.EXPIRED:
                self._tell(f"Not done: {action.words}. The plan expired; press {action.key} again", True)
            else:
                outcome = action.execute(kalshi, plan)
                error = getattr(outcome, "error", None)
                if error is not None:
                    raise error
                said = outcome_text(outcome, {}, plan) if isinstance(outcome, OrderRow) else closes_text(outcome)
                self._tell(said or f"Done: {action.words}", False)
        except KalshiError as error:
            done = "".join(f"{text}. " for text in (self._notes or ())[:1])
            self._tell(f"{action.words}: {done}{error_text(error)}", True)
        finally:
            self._notes = None


def control(kalshi: Kalshi, plan: AnyPlan) -> object:
    """Execute a plan of `trading`."""
    return kalshi.trading.execute(plan)


def orders(kalshi: Kalshi, plan: AnyPlan) -> object:
    """Execute a plan of `orders`."""
    return kalshi.orders.execute(plan)


def close_plan(kalshi: Kalshi, ticker: str | None) -> CloseAllPlan:
    """Plan to close the position in a market, or all; RefusedError without a position."""
    plan = kalshi.orders.plan_close(ticker, is_reviewed=True, cancel_orders=ticker is not None)
    if not plan.positions:
        raise RefusedError("No open positions" if ticker is None else no_position(ticker), code="NO_POSITION")
    return plan


def lock_plan(kalshi: Kalshi, ticker: str, lasts_s: float) -> Plan[Any]:
    """Plan to lock a market."""
    return kalshi.trading.plan_lock(ticker, lasts_s, "from kalshi top")
