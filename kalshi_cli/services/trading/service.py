"""Trading status, pauses, halts and market locks as planned and executed calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from kalshi_cli.base.checked import check_number, check_text, check_tickers
from kalshi_cli.base.errors import KalshiError, StateFileError, UsageError
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.config.config import refuse_read_only
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.services.plans import PlanningService
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.trading.halts import MarketLockService, TradingControl, describe, describe_cause, resume_hint
from kalshi_cli.services.trading.reports.live_events import follow, top_rows
from kalshi_cli.services.trading.reports.status import run_status, stalled_notes, status_view
from kalshi_cli.services.trading.run_order_groups import RESET_GROUPS, reset_groups_of_loops
from kalshi_cli.views.done import DoneView
from kalshi_cli.views.formats import TradingStateCell, TruncatableText, format_time, short_ids
from kalshi_cli.views.halts import HaltView, ResumeView, StopView
from kalshi_cli.views.live import LiveEvent, TopRow
from kalshi_cli.views.locks import LockRow
from kalshi_cli.views.plans import ControlPlan
from kalshi_cli.views.runs import StatusView

HALT_CODE = "MANUAL"
MAX_LOCK_S = 366 * 86_400

R = TypeVar("R")

PAUSE_FACT = "A running loop cancels its own orders and places no new ones. Open positions and manual orders stay"


class TradingService(PlanningService):
    """Pauses, resumes and halts trading of an account and locks markets; each action is planned, then executed."""

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        self._control = TradingControl(resources)
        self._locks = MarketLockService(resources)

    def status(self) -> StatusView:
        """Return the status of the trading loop from the state file; sends no request."""
        return status_view(run_status(self._resources))

    def events(
        self, tickers: Sequence[str] = (), home: Home | None = None, wait: Callable[[float], object] | None = None
    ) -> Iterator[LiveEvent]:
        """Yield the events of the running loop without end; where none runs, the account every few seconds.

        `tickers` are markets whose order books are needed. The loop shown is that of `status`, or of `home`. An event
        comes at least every few seconds; `silent_s` says how long the loop has sent nothing. Where none runs, `wait` is
        called with the seconds until the next event, which comes as soon as it returns.
        """
        return follow(self._resources, home, tuple(ticker.upper() for ticker in check_tickers(tickers)), wait)

    def best_prices(self, tickers: Sequence[str]) -> tuple[TopRow, ...]:
        """Read the best prices of these markets from the exchange; an unknown one is left out."""
        names = [ticker.upper() for ticker in check_tickers(tickers)]
        return top_rows({}, {market.ticker: market for market in self._resources.client.markets(tickers=names)})

    def halt(self) -> HaltView:
        """Return the most severe halt or pause now in effect."""
        return HaltView.of(self._control.now())

    def halt_description(self) -> str:
        """Return the trading state in one sentence."""
        return describe(self._control.now())

    def triggered_groups(self) -> Sequence[str]:
        """Return the ids of the order groups of loops that were triggered, and so accept no orders."""
        return self._control.triggered_groups()

    def locks(self) -> Sequence[LockRow]:
        """Return the locked markets."""
        return [LockRow.of(lock) for lock in self._locks.now()]

    def plan_pause(self, reason: str = "") -> ControlPlan[HaltView]:
        """Plan to stop new orders until a resume. A running loop cancels its own orders and keeps watching."""
        text = _text(reason)

        def execute() -> HaltView:
            halt = self._control.pause(text)
            if halt.is_final:  # the halt is what a resume must look at, and what every reader shows
                self._resources.note(f"{describe_cause(halt)}. The halt remains: {resume_hint(halt)}")
            else:
                self._resources.note("Paused. No new orders until `kalshi resume --reason TEXT`")
            return HaltView.of(halt)

        return self._plan("pause", execute, text, PAUSE_FACT)

    def plan_halt(self, reason: str) -> ControlPlan[HaltView]:
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

    def resume_doubts(self) -> Sequence[str]:
        """Return why a resume may be unsafe now; asks the exchange where trading is halted."""
        return self._control.doubts()

    def plan_resume(
        self, reason: str, *, reset_groups: bool = False, is_described: bool = False
    ) -> ControlPlan[ResumeView]:
        """Plan to end every halt and pause. A reason is required. ReadOnlyError where writes are switched off.

        `reset_groups` also resets the triggered order groups of loops; without it the plan warns of them. With
        `is_described` it has the `resume_doubts` as warnings too.
        """
        refuse_read_only(self._resources.config)
        text = _reason(reason)
        groups = self.triggered_groups()

        def execute() -> ResumeView:
            view = self._resume(text)
            if reset_groups:
                reset_groups_of_loops(self._resources, groups)
            return view

        facts, warnings = [describe(self._control.now())], [*self.resume_doubts()] if is_described else []
        what = f"{pluralize(len(groups), 'triggered order group')} ({', '.join(short_ids(groups))})"
        if groups and reset_groups:
            facts.append(f"Reset {what}")
        elif groups:
            blocked = "a loop can place no order there, not even an exit"
            warnings.append(f"This leaves {what}: {blocked}, until {RESET_GROUPS}")
        return self._plan("resume", execute, text, *facts, warnings=tuple(warnings))

    def _resume(self, reason: str) -> ResumeView:
        is_daily_loss, paused = self._control.is_daily_loss(), self._control.pause_below()
        before, now, note = self._control.resume(reason), self._resources.clock.now(), self._resources.note
        was_active = before.state is TradingState.ACTIVE
        note(
            "Trading was already active"
            if was_active
            else f"Trading is active again. {describe_cause(before, 'had been')}"
        )
        if paused is not None and before.is_final:
            note(f"The pause since {format_time(paused.since, now)} ended too: {paused.reason or 'no reason given'}")
        if remark := self._control.would_halt_again(before, is_daily_loss=is_daily_loss):
            self._resources.tell(remark)
        for remark in self._control.leftovers():
            note(remark)
        state, why = TradingStateCell("active"), TruncatableText(reason)
        since = self._control.now().since or now  # as `kalshi status` shows it
        return ResumeView.of(before, state=state, code="RESUMED", reason=why, since=since)

    def plan_stop(self) -> ControlPlan[StopView]:
        """Plan to stop every running loop gracefully and wait for it; each cancels its own orders first.

        Executing raises OutcomeUnknownError if a loop does not end, or orders of one may be live.
        """

        def execute() -> StopView:
            with suppress(KalshiError):  # without a usable state file, too, the loop is asked to stop
                status = run_status(self._resources, self._resources.home)
                for remark in stalled_notes(status, self._resources.clock.now()):
                    self._resources.tell(remark)
            note, stopped = self._resources.note, self._control.stop()
            for pid in stopped:
                note(f"The loop (pid {pid}) has stopped. None of its orders is live")
            status = run_status(self._resources, self._resources.home)
            if stopped and status.is_at_exchange and (held := status.open_positions):
                stay = f"{pluralize(held, 'position')} {'stays' if held == 1 else 'stay'} open without a loop"
                note(f"{stay}; to close all positions: `kalshi flatten`")
            if not stopped:
                note("No trading loop is running")
            if not stopped and status.rest:
                check = "check with `kalshi order list`; cancel with `kalshi cancel-all`"
                note(f"According to the state file, {status.rest}: {check}")
            return StopView.of(status, signal="SIGTERM" if stopped else None, pids=tuple(stopped))

        return self._plan("stop", execute)

    def plan_lock(self, ticker: str, lasts_s: float, reason: str = "") -> ControlPlan[LockRow]:
        """Plan to block new positions in a market for `lasts_s` seconds; positions can still be reduced.

        NotFoundError for an unknown market, UsageError for one whose trading has ended.
        """
        check_number("lasts_s", lasts_s)
        if not 0 < lasts_s <= MAX_LOCK_S:
            raise UsageError("A lock lasts at most 366d", hint="the duration must be more than zero and at most 366d")
        name, text = check_text("ticker", ticker).upper(), _text(reason)
        self._locks.require_market(name)
        until = format_time(Ts(self._resources.clock.now() + int(1000 * lasts_s)), None)

        def execute() -> LockRow:
            return LockRow.of(self._locks.lock(name, lasts_s, text))

        return self._plan("lock", execute, text, f"until {until}", ticker=name, lasts_s=lasts_s)

    def plan_unlock(self, ticker: str) -> ControlPlan[DoneView]:
        """Plan to remove the lock of a market; executing it returns `unlocked`, or `nothing` if there was none.

        ReadOnlyError where writes are switched off.
        """
        refuse_read_only(self._resources.config)
        name = check_text("ticker", ticker).upper()

        def execute() -> DoneView:
            done = "unlocked" if self._locks.unlock(name) else "nothing"
            return DoneView(done=done, subject=TruncatableText(name))

        return self._plan("unlock", execute, ticker=name)

    def _plan(
        self, action: str, execute: Callable[[], R], reason: str = "", *facts: str, **fields: Any
    ) -> ControlPlan[R]:
        what = f"{self._env}: {action} {fields.get('ticker', 'trading')}"
        return self._book.add(
            ControlPlan,
            lambda _age_s: execute(),
            lambda: self._plan(action, execute, reason, *facts, **fields),
            subject=what,
            facts=(what, *facts, *([f"Reason: {reason}"] if reason else [])),
            action=action,
            reason=TruncatableText(reason),
            **fields,
        )


def _text(reason: str) -> str:
    if not isinstance(reason, str):
        raise UsageError(f"reason must be a text, not {reason!r:.60}")
    return reason.strip()


def _reason(reason: str) -> str:
    text = _text(reason)
    if not text:
        raise UsageError("A reason is required", hint="add --reason TEXT; it is saved with the state", code="no_reason")
    return text
