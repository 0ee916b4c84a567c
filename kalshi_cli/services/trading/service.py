"""Trading status, pauses, halts and market locks as planned and executed calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kalshi_cli.base.errors import RefusedError, StateFileError, UsageError
from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.services.plans import PlanBook
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.halts import MarketLockService, TradingControl, describe
from kalshi_cli.services.trading.status import run_status, status_view
from kalshi_cli.views.formats import TradingStateCell, TruncatableText
from kalshi_cli.views.halts import HaltView, ResumeView
from kalshi_cli.views.locks import LockRow
from kalshi_cli.views.plans import ControlPlan
from kalshi_cli.views.runs import StatusView

HALT_CODE = "MANUAL"
MAX_LOCK_S = 366 * 86_400


class TradingService:
    """Pauses, resumes and halts trading of an account and locks markets; each action is planned, then executed."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._control = TradingControl(resources)
        self._locks = MarketLockService(resources)
        self._book = PlanBook(resources.machine, resources.new_id)

    def status(self) -> StatusView:
        """Return the status of the trading loop from the state file; sends no request."""
        return status_view(run_status(self._resources))

    def halt(self) -> HaltView:
        """Return the most severe halt or pause now in effect."""
        return HaltView.of(self._control.now())

    def locks(self) -> Sequence[LockRow]:
        """Return the locked markets."""
        return [LockRow.of(lock) for lock in self._locks.now()]

    def plan_pause(self, reason: str = "") -> ControlPlan:
        """Plan to stop new orders until a resume. A running loop cancels its own orders and keeps watching."""
        text = reason.strip()
        return self._plan("pause", lambda: HaltView.of(self._control.pause(text)), text)

    def plan_halt(self, reason: str) -> ControlPlan:
        """Plan to halt trading until a resume. Resting orders stay: see `orders.plan_cancel_all`."""
        text = _reason(reason)

        def execute() -> HaltView:
            if not self._control.halt(HALT_CODE, text):
                raise StateFileError(
                    "The halt could NOT be saved; a running program may place orders again",
                    hint="stop it with `kalshi stop`",
                )
            return self.halt()

        return self._plan("halt", execute, text)

    def plan_resume(self, reason: str) -> ControlPlan:
        """Plan to end every halt and pause. A reason is required."""
        text = _reason(reason)
        return self._plan("resume", lambda: self._resume(text), text, describe(self._control.now()))

    def _resume(self, reason: str) -> ResumeView:
        before, now = self._control.resume(reason), self._resources.clock.now()
        state, why = TradingStateCell("active"), TruncatableText(reason)
        return ResumeView.of(before, state=state, code="RESUMED", reason=why, since=now)

    def plan_lock(self, ticker: str, lasts_s: float, reason: str = "") -> ControlPlan:
        """Plan to block new positions in a market for `lasts_s` seconds; positions can still be reduced."""
        if not 0 < lasts_s <= MAX_LOCK_S:
            raise UsageError(f"A lock lasts at most 366d, not {lasts_s:g} s", hint="give --for, at most 366d")
        name, text = ticker.upper(), reason.strip()
        until = format_ts(Ts(self._resources.clock.now() + int(1000 * lasts_s)))

        def execute() -> LockRow:
            return LockRow.of(self._locks.lock(name, lasts_s, text))

        return self._plan("lock", execute, text, f"until {until}", ticker=name, lasts_s=lasts_s)

    def plan_unlock(self, ticker: str) -> ControlPlan:
        """Plan to remove the lock of a market."""
        name = ticker.upper()

        def execute() -> None:
            if not self._locks.unlock(name):
                raise RefusedError(f"{name} is not locked", hint="kalshi lock", code="NOT_LOCKED")

        return self._plan("unlock", execute, ticker=name)

    def execute(self, plan: ControlPlan) -> HaltView | ResumeView | LockRow | None:
        """Execute a plan once and return the new state. Raises RefusedError if the plan is stale or changed."""
        done: Any = self._book.execute(plan)
        return done  # type: ignore[no-any-return]

    def _plan(
        self, action: str, execute: Callable[[], object], reason: str = "", *facts: str, **fields: Any
    ) -> ControlPlan:
        what = f"{self._resources.config.env}: {action} {fields.get('ticker', 'trading')}"
        return self._book.add(
            ControlPlan,
            lambda _age_s: execute(),
            lambda: self._plan(action, execute, reason, *facts, **fields),
            subject=what,
            facts=(what, *facts, *([reason] if reason else [])),
            action=action,
            reason=TruncatableText(reason),
            **fields,
        )


def _reason(text: str) -> str:
    if not text.strip():
        raise UsageError("A reason is required", hint="add --reason TEXT; it is saved with the state", code="no_reason")
    return text.strip()
