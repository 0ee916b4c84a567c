"""Plans over HTTP are executed at most once; a repeat gets the reply of the first execution."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from starlette.responses import Response

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import ExitCode, KalshiError, OutcomeUnknownError, RefusedError, UnreachableError
from kalshi_cli.base.units import Ts
from kalshi_cli.views.plans import Plan
from kalshi_cli.web.executions import (
    MAX_PLANS,
    MAX_RESULTS,
    RESULT_S,
    AccountBusyError,
    PlanExecutions,
    UnknownPlanError,
)


def plan(name: str) -> Plan[Any]:
    return Plan(plan_id=name, subject="an order", facts=(), expires=Ts(0), digest=f"digest of {name}")


class Account:
    """Executes plans: counts them, waits for `gate`, and raises `errors` one after the other before it succeeds."""

    def __init__(self, errors: Sequence[KalshiError] = ()) -> None:
        self.executed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._errors = list(errors)

    async def run(self, service: str, made: Plan[Any]) -> Response:
        assert service == "orders"
        await self.gate.wait()
        if self._errors:
            raise self._errors.pop(0)
        self.executed.append(made.plan_id)
        return Response(f"{made.plan_id} {len(self.executed)}")


def play(scene: Callable[[ManualClock, PlanExecutions], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = ManualClock(Ts(0))
        await scene(clock, PlanExecutions(clock))

    asyncio.run(run())


def test_a_repeat_gets_the_reply_of_the_first_execution() -> None:
    async def scene(_clock: ManualClock, executions: PlanExecutions) -> None:
        account = Account()
        executions.add("orders", plan("a"))
        first = await executions.execute("a", "digest of a", account.run)
        again = await executions.execute("a", "digest of a", account.run)
        assert account.executed == ["a"]
        assert (again.status_code, again.body) == (first.status_code, first.body) == (200, b"a 1")

    play(scene)


@pytest.mark.parametrize("error", [OutcomeUnknownError("may be live"), UnreachableError("not sent")])
def test_a_repeat_gets_the_error_of_the_first_execution(error: KalshiError) -> None:
    async def scene(_clock: ManualClock, executions: PlanExecutions) -> None:
        account = Account([error])
        executions.add("orders", plan("a"))
        for _ in range(3):
            with pytest.raises(type(error)) as raised:
                await executions.execute("a", "digest of a", account.run)
            assert raised.value is error
        assert account.executed == []

    play(scene)


def test_a_repeat_waits_for_an_execution_whose_visitor_has_gone() -> None:
    async def scene(_clock: ManualClock, executions: PlanExecutions) -> None:
        account = Account()
        account.gate.clear()
        executions.add("orders", plan("a"))
        gone = asyncio.create_task(executions.execute("a", "digest of a", account.run))
        await asyncio.sleep(0)
        gone.cancel()
        again = asyncio.create_task(executions.execute("a", "digest of a", account.run))
        await asyncio.sleep(0.01)
        assert gone.cancelled()
        assert not again.done()
        account.gate.set()
        assert (await again).body == b"a 1"
        assert account.executed == ["a"]

    play(scene)


def test_a_wrong_digest_does_not_use_the_plan_up() -> None:
    async def scene(_clock: ManualClock, executions: PlanExecutions) -> None:
        account = Account()
        executions.add("orders", plan("a"))
        for wrong in ("digest of b", None, 7):
            with pytest.raises(RefusedError, match="digest") as raised:
                await executions.execute("a", wrong, account.run)
            assert (raised.value.code, raised.value.exit_code) == ("WRONG_DIGEST", ExitCode.REFUSED)
        assert (await executions.execute("a", "digest of a", account.run)).body == b"a 1"
        with pytest.raises(RefusedError, match="digest"):
            await executions.execute("a", "digest of b", account.run)
        assert account.executed == ["a"]

    play(scene)


def test_a_plan_that_was_not_begun_can_be_executed_again() -> None:
    async def scene(_clock: ManualClock, executions: PlanExecutions) -> None:
        account = Account([AccountBusyError("busy")])
        executions.add("orders", plan("a"))
        with pytest.raises(AccountBusyError):
            await executions.execute("a", "digest of a", account.run)
        assert (await executions.execute("a", "digest of a", account.run)).body == b"a 1"

    play(scene)


def test_an_unknown_plan_is_not_said_to_have_sent_nothing() -> None:
    async def scene(_clock: ManualClock, executions: PlanExecutions) -> None:
        with pytest.raises(UnknownPlanError) as raised:
            await executions.execute("a", "digest of a", Account().run)
        error = raised.value
        assert (error.code, error.exit_code) == ("NO_PLAN", ExitCode.UNKNOWN_OUTCOME)
        assert error.message == "This plan is unknown or was executed earlier"
        assert error.hint.startswith("look at the orders before making a new one")

    play(scene)


def test_results_are_kept_for_an_hour_and_in_a_limited_number() -> None:
    async def scene(clock: ManualClock, executions: PlanExecutions) -> None:
        account = Account()
        for number in range(MAX_RESULTS + 2):
            executions.add("orders", plan(str(number)))
            await executions.execute(str(number), f"digest of {number}", account.run)
        with pytest.raises(UnknownPlanError):
            await executions.execute("0", "digest of 0", account.run)
        last = str(MAX_RESULTS + 1)
        clock.advance(RESULT_S)
        assert (await executions.execute(last, f"digest of {last}", account.run)).status_code == 200
        clock.advance(1)
        with pytest.raises(UnknownPlanError):
            await executions.execute(last, f"digest of {last}", account.run)
        assert len(account.executed) == MAX_RESULTS + 2

    play(scene)


def test_a_running_execution_is_never_forgotten() -> None:
    async def scene(clock: ManualClock, executions: PlanExecutions) -> None:
        slow, account = Account(), Account()
        slow.gate.clear()
        executions.add("orders", plan("slow"))
        first = asyncio.create_task(executions.execute("slow", "digest of slow", slow.run))
        await asyncio.sleep(0)
        clock.advance(2 * RESULT_S)
        for number in range(MAX_RESULTS + 2):
            executions.add("orders", plan(str(number)))
            await executions.execute(str(number), f"digest of {number}", account.run)
        slow.gate.set()
        assert (await executions.execute("slow", "digest of slow", slow.run)).body == b"slow 1"
        assert (await first).body == b"slow 1"

    play(scene)


def test_of_the_plans_that_wait_the_oldest_is_dropped() -> None:
    async def scene(_clock: ManualClock, executions: PlanExecutions) -> None:
        account = Account()
        for number in range(MAX_PLANS + 1):
            executions.add("orders", plan(str(number)))
        with pytest.raises(UnknownPlanError):
            await executions.execute("0", "digest of 0", account.run)
        assert (await executions.execute("1", "digest of 1", account.run)).body == b"1 1"

    play(scene)
