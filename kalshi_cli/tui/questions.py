"""Questions about a plan: how long the plan may still be executed, whether it is still true, and what was answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Money, Ts, show_money, show_qty
from kalshi_cli.views.plans import CloseAllPlan, Plan
from kalshi_cli.views.portfolio import HoldingRow

LOOK_S = 0.2
"""Seconds after which a question sees that the screen is over."""

GRACE_S = 1.0
"""Seconds after the end of a plan in which an answer given just before may arrive."""


class Consent(Enum):
    """The end of a question: agreed, refused, or too late."""

    YES = auto()
    NO = auto()
    EXPIRED = auto()


class Question:
    """Waits in the thread of actions for the answer of the user to a plan. `is_over` says that the screen ends."""

    def __init__(self, clock: Clock, is_over: threading.Event) -> None:
        self._clock = clock
        self._is_over = is_over
        self._answered = threading.Event()
        self._is_agreed = False
        self.is_closed = False
        self.has_told = False
        """True after the screen has said that a plan waits until the user has finished typing."""

    def take(self, answer: bool | None) -> None:
        """Take the answer."""
        self._is_agreed = bool(answer)
        self._answered.set()

    def wait(self, plan: Plan[Any]) -> Consent:
        """Return the answer; EXPIRED if none came while the plan could be executed."""
        while not self._answered.wait(LOOK_S) and not self._is_over.is_set():
            if seconds_left(plan, self._clock.now()) < -GRACE_S:
                self.is_closed = True
                return Consent.EXPIRED
        return Consent.YES if self._is_agreed else Consent.NO


def seconds_left(plan: Plan[Any], now: Ts) -> float:
    """Return for how many seconds a plan may still be executed; negative once it has expired."""
    return (plan.expires - now) / 1000


class Change(NamedTuple):
    """Changed positions of a plan that is on the screen. With `is_void` nothing is left to do."""

    words: str = ""
    is_void: bool = False


Changes = Callable[[], Change]
"""Returns what has changed until now."""


def change_of(plan: Plan[Any], before: Sequence[HoldingRow], now: Sequence[HoldingRow]) -> Change:
    """Compare the positions that a plan closes with those of the screen when it was shown, and with those of now.

    A screen that was late when the plan was shown, and then shows the same as the plan, is no change.
    """
    if not isinstance(plan, CloseAllPlan):
        return Change()
    found: list[str] = []
    gone = 0
    for each in plan.positions:
        was, held = ([row for row in rows if row.ticker == each.ticker] for rows in (before, now))
        amounts = [(row.side, row.count) for row in held]
        if amounts == [(row.side, row.count) for row in was] or (each.side, each.count) in amounts:
            continue
        gone += not any(side == each.side for side, _ in amounts)
        said = " and ".join(f"{show_qty(count)} {side.upper()}" for side, count in amounts) or "nothing"
        found.append(f"{each.ticker}: you now hold {said}, not {show_qty(each.count)} {each.side.upper()}")
    return Change("; ".join(found), bool(plan.positions) and gone == len(plan.positions))


def total_of(plan: Plan[Any]) -> str:
    """Return the amounts of a plan that closes several positions, in one line; empty for any other plan."""
    if not isinstance(plan, CloseAllPlan) or len(plan.positions) < 2:
        return ""
    rows = [row for row in plan.positions if row.worst_price is not None]
    expected = Money(sum(row.expected for row in rows))
    least = Money(sum(row.least for row in rows))
    fees = Money(sum(row.fees for row in rows))
    return (
        f"{len(rows)} of {len(plan.positions)} positions can be closed now: proceeds {show_money(expected)} for the "
        f"contracts available, at least {show_money(least)} for all, fees about {show_money(fees)}"
    )
