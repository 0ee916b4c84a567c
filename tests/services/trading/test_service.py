"""What a program says to everything that trades here: each a plan, executed once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.served import KEY_ID, TWO_SIDED, Served, program
from support.values import make_fill

from kalshi_cli import Kalshi
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import NotFoundError, RefusedError, UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import FillBooked
from kalshi_cli.services.trading.service import PAUSE_FACT, TradingService
from kalshi_cli.store.records import Heartbeat, RunGroup
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.halts import HaltView, ResumeView


@pytest.fixture
def trading(exchange: Served) -> Iterator[TradingService]:
    with Kalshi.open() as kalshi:
        yield kalshi.trading


def test_a_pause_and_a_halt_hold_until_a_resume_with_a_reason(trading: TradingService) -> None:
    assert (trading.status().state, trading.halt().state) == ("active", "active")
    plan = trading.plan_pause("before the report")
    assert trading.halt().state == "active", "a plan does nothing"
    assert plan.facts[1:] == (PAUSE_FACT, "Reason: before the report")
    paused = trading.execute(plan)
    assert isinstance(paused, HaltView)
    assert (paused.state, paused.reason) == ("paused", "before the report")
    with pytest.raises(RefusedError, match="executed already"):
        trading.execute(plan)
    trading.execute(trading.plan_halt("odd fills"))
    assert (trading.halt().state, trading.halt().code) == ("halted", "MANUAL")
    with pytest.raises(UsageError, match="A reason is required"):
        trading.plan_resume(" ")
    resume = trading.plan_resume("looked into it")
    assert "odd fills" in " ".join(resume.facts)
    resumed = trading.execute(resume)
    assert isinstance(resumed, ResumeView)
    assert (resumed.state, resumed.was_reason, trading.halt().state) == ("active", "odd fills", "active")
    assert (resumed.was, resumed.was_paused) == ("halted", False)
    again = trading.execute(trading.plan_resume("once more"))
    assert resumed.since == again.since == trading.halt().since, "the time that `kalshi status` shows"
    trading.execute(trading.plan_pause("lunch"))
    back = trading.execute(trading.plan_resume("after lunch"))
    assert (back.was, back.was_paused, back.was_reason) == ("paused", True, "lunch")


def test_a_resume_warns_of_triggered_order_groups_or_resets_them(exchange: Served, trading: TradingService) -> None:
    group_id = program("order", "group", "create", "--limit", "10", "--json").json["order_group_id"]
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup(group_id, 0))
        store.save_order_group(RunGroup("gone-from-the-exchange", 1, is_triggered=True))
    assert program("cancel-all").code == 0
    leaves = trading.plan_resume("checked")
    (warning,) = leaves.warnings
    assert "This leaves 2 triggered order groups" in warning
    assert "`kalshi resume --reason TEXT --reset-groups`" in warning
    resets = trading.plan_resume("checked", reset_groups=True)
    assert resets.warnings == ()
    assert "Reset 2 triggered order groups" in " ".join(resets.facts)
    assert group_id[:8] in " ".join(resets.facts)
    trading.execute(leaves)
    assert len(trading.triggered_groups()) == 2
    trading.execute(resets)
    assert trading.triggered_groups() == []
    assert program("order", "group", "show", group_id, "--json").json["is_triggered"] is False


@pytest.mark.usefixtures("exchange")
def test_a_resume_from_a_halt_names_the_pause_that_it_ends_too() -> None:
    assert program("pause", "--reason", "before the report").code == 0
    assert program("cancel-all").code == 0
    resumed = " ".join(program("resume", "--reason", "looked", "--yes").err.split())
    assert "(CANCEL_ALL): kill switch The pause since " in resumed
    assert "ended too: before the report" in resumed
    assert program("pause", "--reason", "lunch").code == 0
    assert "ended too" not in program("resume", "--reason", "back").err


def test_a_market_is_locked_and_unlocked(trading: TradingService) -> None:
    trading.execute(trading.plan_lock(TWO_SIDED.lower(), 3600, "the forecast is being revised"))
    assert [(row.ticker, row.reason) for row in trading.locks()] == [(TWO_SIDED, "the forecast is being revised")]
    assert trading.execute(trading.plan_unlock(TWO_SIDED)).done == "unlocked"
    assert trading.locks() == []
    assert trading.execute(trading.plan_unlock(TWO_SIDED)).done == "nothing"
    with pytest.raises(UsageError, match="ticker"):
        trading.plan_unlock("")
    with pytest.raises(NotFoundError):
        trading.execute(trading.plan_lock("KXNONE-1", 60))
    with pytest.raises(UsageError, match="A lock lasts at most 366d") as caught:
        trading.plan_lock(TWO_SIDED, 0)
    assert caught.value.hint == "the duration must be more than zero and at most 366d"


def test_a_stop_first_says_that_the_loop_is_stalled_and_last_which_positions_stay_open(
    exchange: Served, trading: TradingService
) -> None:
    home = exchange.state / "sim"
    trading.execute(trading.plan_lock(TWO_SIDED, 60))  # so that there is a state file
    holds = "import sys, time; from pathlib import Path; from kalshi_cli.base.clock import SystemClock; "
    holds += "from kalshi_cli.store.lock import lock\n"
    holds += "with lock(Path(sys.argv[1]), SystemClock()): print('held', flush=True); time.sleep(60)"
    line = [sys.executable, "-c", holds, str(home / "trade.lock")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdout is not None
        assert loop.stdout.readline() == "held\n"
        now = SystemClock().now()
        beat = Heartbeat(
            run_id="r", pid=loop.pid, mode="sim", strategy="spike", started=Ts(now - 50_000),
            completed=Ts(now - 40_000), cycles=10, is_running=True,
        )  # fmt: skip
        with Store.open(home / "state.db", account=KEY_ID, environment="sim") as store:
            store.beat(beat)
            store.record(FillBooked(make_fill()))
        ended = program("stop")
    first, second, *_ = ended.err.splitlines()
    assert first.startswith(f"The loop (pid {loop.pid}) is stalled: its last cycle was 4")
    assert second.startswith(f"Stop requested (pid {loop.pid}")
    stays = "1 position stays open without a loop; to close all positions: `kalshi flatten`"
    assert stays in " ".join(ended.err.split())
