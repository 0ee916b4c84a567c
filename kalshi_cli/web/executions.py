"""Plans that wait for their execution, and what became of those that were executed: a repeat executes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import OutcomeUnknownError, RateLimitedError, RefusedError
from kalshi_cli.views.plans import Plan

MAX_PLANS = 32
"""Plans that wait for their execution; the oldest is dropped first."""

MAX_RESULTS = 500
RESULT_S = 3_600.0
"""Executions whose result is kept, and for how long."""

Run = Callable[[str, Plan[Any]], Awaitable[Response]]
"""Executes the plan of a service and returns the reply."""


class AccountBusyError(RateLimitedError):
    """Too many requests wait for the account; this one was not begun."""


class UnknownPlanError(OutcomeUnknownError):
    """A plan that is not known any more: its orders may be live, if it was executed earlier."""

    default_code = "NO_PLAN"


class _Execution:
    """An execution of a plan: its reply or its error, once it has ended at `ended_s`."""

    def __init__(self, digest: str, reply: asyncio.Task[Response]) -> None:
        self.digest = digest
        self.reply = reply
        self.ended_s: float | None = None


class PlanExecutions:
    """Executes each plan at most once; a repeat waits for the first execution and gets the same reply."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._plans: dict[str, tuple[str, Plan[Any]]] = {}
        self._executions: dict[str, _Execution] = {}

    def add(self, service: str, plan: Plan[Any]) -> None:
        """Keep a plan of a service for its execution."""
        self._plans[plan.plan_id] = (service, plan)
        while len(self._plans) > MAX_PLANS:
            del self._plans[next(iter(self._plans))]

    async def execute(self, plan_id: str, digest: object, run: Run) -> Response:
        """Execute a plan, or return the reply of its execution, or raise the error of that.

        RefusedError for a wrong digest, which leaves the plan as it is. UnknownPlanError where nothing is known of the
        plan. AccountBusyError where it was not begun: it may be executed again.
        """
        self._forget()
        execution = self._executions.get(plan_id)
        kept = self._plans.get(plan_id)
        if execution is None and kept is None:
            raise UnknownPlanError(
                "This plan is unknown or was executed earlier",
                hint="look at the orders before making a new one: GET /api/v1/orders?status=all",
            )
        if digest != (execution.digest if execution is not None else kept[1].digest if kept is not None else None):
            raise RefusedError(
                "The digest is not that of this plan; this request sent nothing",
                hint="send the `digest` that the reply to POST /api/v1/plans had",
                code="WRONG_DIGEST",
            )
        if execution is None:
            assert kept is not None
            del self._plans[plan_id]
            # A task of its own goes on when its visitor has gone.
            reply = asyncio.create_task(self._run(plan_id, kept, run))
            reply.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # every visitor may be gone
            execution = self._executions[plan_id] = _Execution(kept[1].digest, reply)
        return await asyncio.shield(execution.reply)

    async def _run(self, plan_id: str, kept: tuple[str, Plan[Any]], run: Run) -> Response:
        try:
            return await run(*kept)
        except AccountBusyError:
            del self._executions[plan_id]
            self._plans[plan_id] = kept
            raise
        finally:
            if plan_id in self._executions:
                self._executions[plan_id].ended_s = self._clock.monotonic()

    def _forget(self) -> None:
        """Drop results that are old or too many, the oldest first. A running execution stays."""
        now = self._clock.monotonic()
        ended = [(name, each.ended_s) for name, each in self._executions.items() if each.ended_s is not None]
        surplus = len(ended) - MAX_RESULTS
        for at, (name, ended_s) in enumerate(sorted(ended, key=lambda each: each[1])):
            if at < surplus or now - ended_s > RESULT_S:
                del self._executions[name]
