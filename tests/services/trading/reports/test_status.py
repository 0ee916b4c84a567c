"""What `status` and the block of a running loop say of what a person has to do something about."""

from __future__ import annotations

import io
import os
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from support.simulation import TICKER, Simulation
from support.trading import NO_EDGE, TradingSession

from kalshi_cli.base.errors import UnreachableError
from kalshi_cli.base.units import Money, Ts, cents, contracts
from kalshi_cli.cli.screen.render import status_block
from kalshi_cli.cli.screen.watch import draw_status
from kalshi_cli.core.model.effects import AlertRaised, OrderChanged, StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.services.trading.reports.status import (
    RunStatus,
    read_status,
    status_notes,
    status_view,
    urgent_notes,
)
from kalshi_cli.store.lock import lock
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import PAUSED, Halt, Heartbeat, RunGroup
from kalshi_cli.store.state_store import ACCOUNT_READ
from kalshi_cli.views.formats import format_clock, format_time, to_machine
from kalshi_cli.views.runs import StatusView, status_brief


def status(sim: Simulation) -> RunStatus:
    """The status, as of a file that has records."""
    found = read_status(sim.path.parent, sim.store, "sim", "2026-05-28", sim.clock.now())
    return msgspec.structs.replace(found, is_new=False)


def said(sim: Simulation) -> str:
    return "\n".join(status_notes(status(sim), sim.clock.now()))


def on_file(sim: Simulation, name: str, expires_in_s: float | None, **changes: object) -> None:
    now = sim.clock.now()
    order = Order(
        client_order_id=name, order_id=f"their-{name}", ticker=TICKER, side=BID, price=cents(40), qty=contracts(1),
        status=OrderStatus.RESTING, created=now, updated=now, strategy="bidder",
        expires=None if expires_in_s is None else Ts(now + int(expires_in_s * 1000)),
    )  # fmt: skip
    sim.store.record(OrderChanged(msgspec.structs.replace(order, **changes)))


def beat(sim: Simulation, *, is_running: bool = True, pid: int | None = None) -> None:
    """The tenth cycle of a loop that makes one in two seconds."""
    now = sim.clock.now()
    sim.store.beat(
        Heartbeat(
            run_id="r", pid=pid or os.getpid(), mode="live", strategy="bidder", started=Ts(now - 20_000),
            completed=now, cycles=10, is_running=is_running,
        )
    )  # fmt: skip


# -- a strategy that failed ------------------------------------------------------------------------------------------


def test_a_strategy_that_failed_in_the_last_run_is_named_with_its_code_and_its_error(sim: Simulation) -> None:
    now = sim.clock.now()
    sim.store.record(AlertRaised(Ts(now - 30_000), "critical", "STRATEGY_FAILED", "spike", "of the run before"))
    beat(sim)
    assert status_view(status(sim)).failed_strategies == ()
    sim.store.record(AlertRaised(now, "warning", "STRATEGY_FLOOD", "spike", "only loud"))
    sim.store.record(
        AlertRaised(now, "critical", "STRATEGY_FAILED", "fade", "LookupError: lost my way (fade.py line 7)")
    )
    assert status_view(status(sim)).failed_strategies == ("fade STRATEGY_FAILED",)
    told = (
        f"Strategy fade has been disabled since {format_time(now, None)}: "
        "STRATEGY_FAILED LookupError: lost my way (fade.py line 7)"
    )
    assert f"{told}\nWhat to do: kalshi runbook guard-tripped" in said(sim)


@pytest.mark.parametrize(
    ("expires_s", "left"),
    [
        (None, "no resting order on record. Next: `kalshi order list`"),
        (90, "when the last one expires. Next: `kalshi order list`"),
        (3600, "Next: `kalshi order list`; to halt trading and cancel them: `kalshi cancel-all`"),
    ],
)
def test_the_next_step_fits_what_a_killed_loop_left(sim: Simulation, expires_s: int | None, left: str) -> None:
    beat(sim)
    if expires_s is not None:
        on_file(sim, "a", expires_s)
    first, what_to_do = said(sim).splitlines()
    assert list(urgent_notes(status(sim), sim.clock.now())) == [first]
    assert first.endswith(left)
    assert ("cancel-all" in first) is (expires_s == 3600)
    assert what_to_do == "What to do: kalshi runbook heartbeat-lost"
    sim.store.record(StateChanged(sim.clock.now(), TradingState.HALTED, "CANCEL_ALL", "asked for"))
    assert said(sim).count("kalshi runbook") == 1, "a halt has one of its own"


def test_a_run_that_left_orders_live_leads_to_the_runbook_of_its_exit_code(sim: Simulation) -> None:
    beat(sim)
    on_file(sim, "a", 90)
    cycle = sim.store.last_cycle()
    assert cycle is not None
    sim.store.beat(msgspec.structs.replace(cycle, stopped_by="the key was rejected", exit_code=7))
    assert said(sim).splitlines()[-1] == "What to do: kalshi runbook unknown-order"


# -- what a killed loop leaves behind ---------------------------------------------------------------------------------


def test_after_a_loop_was_killed_its_orders_are_told_and_when_the_last_of_them_expires(sim: Simulation) -> None:
    beat(sim)
    on_file(sim, "a", 60)
    on_file(sim, "b", 90)
    on_file(sim, "being-sent", 90, order_id="", status=OrderStatus.SUBMITTED)
    found = status(sim)
    last = Ts(sim.clock.now() + 90_000)
    assert (found.resting_orders, found.resting_until, found.unknown_orders) == (2, last, 1)
    assert said(sim) == (
        f"The last run did not stop gracefully; its last cycle was on {format_time(sim.clock.now(), sim.clock.now())}: "
        f"2 orders may be resting until {format_clock(last)}, "
        "1 unconfirmed order. Next: `kalshi order reconcile`\n"
        "What to do: kalshi runbook heartbeat-lost"
    )
    sim.clock.advance(60)
    assert status(sim).resting_orders == 1
    assert "1 order may be resting until" in said(sim)
    sim.clock.advance(30)
    assert (status(sim).resting_orders, status(sim).resting_until) == (0, None)


def test_an_order_without_an_end_rests_until_it_is_canceled(sim: Simulation) -> None:
    beat(sim)
    on_file(sim, "a", 60)
    on_file(sim, "b", None)
    assert (status(sim).resting_orders, status(sim).resting_until) == (2, None)
    assert "2 orders may be resting until canceled" in said(sim)


@pytest.mark.parametrize("is_running", [True, False])
def test_an_external_order_is_counted_and_named(sim: Simulation, *, is_running: bool) -> None:
    on_file(sim, "of-somebody", None, is_foreign=True)
    on_file(sim, "over", -1, is_foreign=True)
    beat(sim, is_running=is_running)
    view = status_view(status(sim))
    assert (view.resting_orders, view.external_orders) == (1, 1)
    assert "1 order (1 external) may be resting until canceled" in said(sim)
    on_file(sim, "own", 60)
    view = status_view(status(sim))
    assert (view.resting_orders, view.external_orders) == (2, 1)


def test_without_a_loop_the_counts_have_their_source_and_age_and_a_running_loop_needs_no_word(sim: Simulation) -> None:
    on_file(sim, "a", 600)
    beat(sim, is_running=False)
    then = sim.clock.now()
    sim.clock.advance(300)
    assert (status(sim).as_of, status_view(status(sim)).as_of) == (then, then)
    assert said(sim) == (
        f"No loop is running. By the state file, as of {format_time(then, sim.clock.now())}, 1 order may be resting "
        f"until {format_clock(Ts(then + 600_000))}. `kalshi order list` and `kalshi positions` read the exchange"
    )
    assert "(5m ago)" in said(sim)
    beat(sim)
    with lock(sim.path.parent / "trade.lock", sim.clock):
        assert (status(sim).is_running, said(sim)) == (True, "")


def test_the_counts_are_as_old_as_the_newest_record_of_any_kind(sim: Simulation) -> None:
    assert status(sim).as_of is None
    on_file(sim, "a", None)
    placed = sim.clock.now()
    sim.clock.advance(60)
    assert status(sim).as_of == placed
    sim.store.alert_book.set_mark(ACCOUNT_READ, Ts(placed + 10_000))
    assert status(sim).as_of == placed + 10_000
    beat(sim, is_running=False)
    assert status(sim).as_of == placed + 60_000


def test_on_paper_the_state_file_is_the_account(sim: Simulation) -> None:
    beat(sim, is_running=False)
    now = sim.clock.now()
    found = read_status(sim.path.parent, sim.store, "sim", "2026-05-28", now, mode="paper", is_at_exchange=False)
    assert list(status_notes(found, now)) == []


def test_a_run_whose_strategies_are_all_disabled_says_that_nothing_is_traded(sim: Simulation) -> None:
    cycle = Heartbeat(
        run_id="r", pid=os.getpid(), mode="live", strategy="spike,fade", started=Ts(sim.clock.now() - 20_000),
        completed=sim.clock.now(), cycles=10, is_running=True,
    )  # fmt: skip
    sim.store.beat(cycle)
    with lock(sim.path.parent / "trade.lock", sim.clock):
        sim.store.record(AlertRaised(sim.clock.now(), "critical", "STRATEGY_FAILED", "spike", "KeyError"))
        assert "No strategy is enabled" not in said(sim), "the other one trades"
        sim.store.record(AlertRaised(sim.clock.now(), "critical", "STRATEGY_HUNG", "fade", "no answer"))
        assert said(sim).splitlines()[-1] == (
            "No strategy is enabled: nothing will be traded until a new run. Next: `kalshi stop`, fix the strategy, "
            "then `kalshi trade`. Until then the loop applies limits and exits only"
        )
    assert "No strategy is enabled" not in said(sim), "no loop runs"


def test_of_a_run_that_ended_the_end_is_shown_and_nothing_that_holds_only_while_it_runs(sim: Simulation) -> None:
    live = ("uptime_s", "feed_age_s", "feed_lag_s", "no_book", "waiting", "cash", "day_pnl")
    beat(sim)
    cycle = sim.store.last_cycle()
    assert cycle is not None
    told = msgspec.structs.replace(
        cycle,
        feed_age_ms=900,
        feed_lag_ms=30,
        no_book="KXA gap",
        waiting="fade: 1 of 30 samples in KXA",
        cash=Money(7),
        day_pnl=Money(-7),
    )
    sim.store.beat(told)
    with lock(sim.path.parent / "trade.lock", sim.clock):
        view = status_view(status(sim))
        assert all(getattr(view, name) is not None for name in live)
        assert (view.ended, view.ended_in_order) == (None, None)
        sim.store.beat(msgspec.structs.replace(told, pid=1))
        assert status_view(status(sim)).cash is None, "of the run before, while this one starts"
    sim.clock.advance(60)
    for is_running in (True, False):
        sim.store.beat(msgspec.structs.replace(told, is_running=is_running))
        view = status_view(status(sim))
        assert [getattr(view, name) for name in live] == [None] * len(live)
        assert (view.ended, view.ended_in_order) == (cycle.completed, not is_running)
        assert (view.strategy, view.cycles) == ("bidder", 10)


def test_of_a_killed_loop_on_paper_nothing_is_sought_at_the_exchange(sim: Simulation) -> None:
    beat(sim)
    on_file(sim, "a", 60)
    now = sim.clock.now()
    found = read_status(sim.path.parent, sim.store, "sim", "2026-05-28", now, mode="paper", is_at_exchange=False)
    assert list(status_notes(found, now)) == ["The last run did not stop gracefully; it left no orders on the exchange"]


# -- stalled, paused, triggered ---------------------------------------------------------------------------------------


def test_a_loop_that_holds_its_lock_and_completes_no_cycle_is_stalled(sim: Simulation) -> None:
    beat(sim)
    last = sim.clock.now()
    with lock(sim.path.parent / "trade.lock", sim.clock):
        sim.clock.advance(15)
        assert (status(sim).stalled_since, said(sim)) == (None, "")
        assert list(urgent_notes(status(sim), sim.clock.now())) == []
        sim.clock.advance(26)
        assert status(sim).stalled_since == last
        stalled = f"The loop (pid {os.getpid()}) is stalled: its last cycle was 41 s ago"
        assert said(sim).startswith(f"{stalled}. Its orders may be live: `kalshi cancel-all`")
        assert list(urgent_notes(status(sim), sim.clock.now())) == said(sim).splitlines()[:1]
        beat(sim, pid=1)
        sim.clock.advance(60)
        assert status(sim).stalled_since is None, "that was another loop; this one has not begun yet"


def test_a_stalled_loop_has_no_live_orders_once_the_kill_switch_recorded_the_end_of_each(sim: Simulation) -> None:
    beat(sim)
    sim.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", sim.clock.now()))
    with lock(sim.path.parent / "trade.lock", sim.clock):
        sim.clock.advance(41)
        assert "may be live" not in said(sim)
        on_file(sim, "being-sent", 90, order_id="", status=OrderStatus.SUBMITTED)
        assert "Its orders may be live: `kalshi cancel-all` cancels them" in said(sim)
        assert status(sim).unknown_orders == 1, "the stalled loop does not learn what became of it"


def test_an_account_that_cannot_be_read_is_said_with_its_runbook(sim: Simulation) -> None:
    beat(sim)
    with lock(sim.path.parent / "trade.lock", sim.clock):
        now = sim.clock.now()
        assert list(status_notes(msgspec.structs.replace(status(sim), blind_since=now), now)) == [
            f"The account has been unreadable since {format_clock(now)}: no new positions; nothing watches its resting "
            "orders",
            "What to do: kalshi runbook BLIND",
        ]


def test_an_account_that_cannot_be_read_is_not_shown_as_active(sim: Simulation) -> None:
    beat(sim)
    with lock(sim.path.parent / "trade.lock", sim.clock):
        blind = msgspec.structs.replace(status(sim), blind_since=sim.clock.now())
        assert (status(sim).state, blind.state) == ("active", "blind")
        assert to_machine(StatusView)(status_view(blind))["state"] == "active", (
            "its JSON stays; `blind_since` is beside it"
        )


def test_a_pause_of_the_exchange_is_said_until_it_ends(sim: Simulation) -> None:
    beat(sim)
    now = sim.clock.now()
    text = "Trading is paused until it resumes: new orders are rejected, cancels still work"
    sim.store.record(AlertRaised(now, "info", "EXCHANGE_RESUMED", "shard 0", "Orders and cancels are accepted again"))
    sim.store.record(AlertRaised(Ts(now + 1), "critical", "TRADING_PAUSED", "shard 0", text))
    assert said(sim).startswith("The last run did not stop gracefully"), "no running loop sees a pause"
    with lock(sim.path.parent / "trade.lock", sim.clock):
        assert said(sim) == f"Shard 0: {text}. What to do: kalshi runbook TRADING_PAUSED"
        sim.store.record(AlertRaised(Ts(now + 2), "info", "EXCHANGE_RESUMED", "shard 0", "accepted again"))
        assert said(sim) == ""


def test_an_unconfirmed_order_of_a_command_is_said_with_what_settles_it(sim: Simulation) -> None:
    on_file(sim, "being-sent", 90, order_id="", status=OrderStatus.SUBMITTED)
    told = "1 unconfirmed order may be live: `kalshi order reconcile`, then `kalshi runbook unknown-order`"
    assert said(sim).splitlines()[1:] == [told]
    with lock(sim.path.parent / "trade.lock", sim.clock):
        assert said(sim) == "", "a running loop settles it by itself"


def test_a_watched_status_says_what_needs_the_user_and_cuts_no_label(sim: Simulation) -> None:
    view = msgspec.structs.replace(status_view(status(sim)), triggered_groups=("0" * 36,))
    notes = ("HALTED: no new orders until `kalshi resume --reason TEXT`; first: `kalshi runbook kill-switch`",)

    def drawn(height: int) -> str:
        console = Console(file=io.StringIO(), width=50, color_system=None)
        console.print(draw_status(view, notes, sim.clock.now(), 50, height))
        return console.file.getvalue()  # type: ignore[attr-defined]

    lines = drawn(30).splitlines()
    assert [line.rstrip() for line in lines[1:4]] == [
        "HALTED: no new orders until", "`kalshi resume --reason TEXT`; first:", "`kalshi runbook kill-switch`",
    ]  # fmt: skip
    assert any(line.startswith("unconfirmed orders  0") for line in lines)
    assert "…" not in drawn(30), "it is wrapped where lines are free"
    cut = drawn(len(lines) - 1).splitlines()
    assert any(line.startswith("triggered groups") and line.rstrip().endswith("…") for line in cut)
    assert "lines hidden" not in cut[0]
    assert "lines hidden" not in lines[0]
    assert "lines hidden)" in drawn(6)


def test_a_loop_with_long_intervals_is_not_stalled_between_two_cycles(sim: Simulation) -> None:
    beat(sim)
    cycle = sim.store.last_cycle()
    assert cycle is not None
    sim.store.beat(msgspec.structs.replace(cycle, started=Ts(cycle.completed - 600_000)))
    with lock(sim.path.parent / "trade.lock", sim.clock):
        sim.clock.advance(300)
        assert status(sim).stalled_since is None
        sim.clock.advance(1)
        assert status(sim).stalled_since == cycle.completed


def test_a_pause_by_an_empty_file_has_no_reason(sim: Simulation) -> None:
    home: Path = sim.path.parent
    pause(home, "")
    assert status(sim).halt.reason == "no reason given"
    assert "PAUSED: no new orders until `kalshi resume" in said(sim)


def test_a_triggered_order_group_is_told_with_the_command_that_resets_it(sim: Simulation) -> None:
    sim.store.save_order_group(RunGroup("group-1", 0))
    assert (status(sim).triggered_groups, said(sim)) == ((), "")
    sim.store.save_order_group(RunGroup("group-2", 1, is_triggered=True))
    assert status(sim).triggered_groups == ("group-2",)
    assert said(sim).splitlines()[-1].strip() == "kalshi resume --reason TEXT --reset-groups"


# -- the block of a running loop --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trading", "code", "told"),
    [
        (TradingState.HALTED, "CANCEL_ALL", "HALTED: no new orders until {}; first: `kalshi runbook kill-switch`"),
        (
            TradingState.REDUCING,
            "DAILY_LOSS",
            "REDUCE-ONLY: no new positions until {}; first: `kalshi runbook daily-loss`",
        ),
        (TradingState.HALTED, "A_NEW_CODE", "HALTED: no new orders until {}; first: `kalshi runbook halted`"),
    ],
)
def test_a_halt_names_the_command_that_ends_it_and_its_runbook(
    sim: Simulation, trading: TradingState, code: str, told: str
) -> None:
    assert said(sim) == ""
    sim.store.record(StateChanged(sim.clock.now(), trading, code, "why"))
    assert said(sim) == told.format("`kalshi resume --reason TEXT`")
    sim.store.save_order_group(RunGroup("a-group", 0, is_triggered=True))
    assert said(sim).startswith(told.format("`kalshi resume --reason TEXT --reset-groups`"))


@pytest.mark.parametrize(
    ("reason", "end"),
    [("alert DAILY_LOSS account", "; first: `kalshi runbook daily-loss`"), ("alert me later", ""), ("DRIFT", "")],
)
def test_only_a_pause_by_an_alert_names_the_runbook_of_the_alert(sim: Simulation, reason: str, end: str) -> None:
    pause(sim.path.parent, reason)
    assert said(sim) == f"PAUSED: no new orders until `kalshi resume --reason TEXT`{end}"


def test_the_block_of_a_loop_says_why_it_is_reducing_and_which_group_is_triggered(sim: Simulation) -> None:
    run = TradingSession(sim, status_every_s=2.0)

    def spoil(n: int) -> None:
        if n == 1:
            run.engine.state.groups[0] = "group-1"
            run.engine.state.triggered_groups.update({"group-1", "of-somebody"})
            run.engine.state.trading = TradingState.REDUCING
            reduced = StateChanged(sim.clock.now(), TradingState.REDUCING, "API_GUARD", "kalshi resume ends it")
            sim.store.record(reduced)

    run.over(run.ticks(2, spoil))
    before, after = (status_block(summary) for summary in run.shown)
    assert "REDUCING" not in before
    assert "triggered" not in before
    assert "  REDUCE-ONLY: API_GUARD: kalshi resume ends it\n" in after
    assert "Order group group-1 is triggered: no new orders in it, including exits. Run:\n" in after
    assert "    kalshi resume --reason TEXT --reset-groups" in after.splitlines()
    assert "of-somebody" not in after


def test_the_block_of_a_run_names_the_strategy_that_it_goes_on_without(sim: Simulation) -> None:
    run = TradingSession(sim, status_every_s=2.0)
    run.over(run.ticks(2))
    summary = msgspec.structs.replace(run.shown[-1], failed=("fade: LookupError: lost my way",))
    assert "\n  disabled: fade: LookupError: lost my way" in status_block(summary)
    assert "out:" not in status_block(run.shown[-1])


def test_a_run_that_starts_while_only_closing_is_allowed_says_so_once(sim: Simulation) -> None:
    sim.store.record(StateChanged(sim.clock.now(), TradingState.REDUCING, "API_GUARD", "no answers"))
    run = TradingSession(sim)
    run.over(run.ticks(3))
    assert [line for line in sim.said if "REDUCE-ONLY" in line] == ["TRADING IS REDUCE-ONLY: API_GUARD no answers"]


def test_a_run_whose_day_turns_out_lost_at_the_start_says_so_once(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = TradingSession(sim)
    first.over(first.ticks(3, lambda n: n == 2 and sim.take(ASK, 40, 4)))
    assert sim.store.fills(), "bought at 40, worth 39 now"
    assert not [line for line in sim.said if "REDUCE-ONLY" in line]
    monkeypatch.setattr("support.trading.NO_EDGE", msgspec.structs.replace(NO_EDGE, max_daily_loss=Money(1)))
    second = TradingSession(sim)
    second.over(second.ticks(3))
    (line,) = [line for line in sim.said if "REDUCE-ONLY" in line]
    assert line.startswith("TRADING IS REDUCE-ONLY: DAILY_LOSS The loss of the day was $0.0")
    assert "kalshi resume --reason" in line


# -- how a run ended --------------------------------------------------------------------------------------------------


def ended(sim: Simulation) -> tuple[str | None, int | None]:
    view = status_view(status(sim))
    return view.stopped_by, view.exit_code


@pytest.mark.parametrize(
    ("source", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 143), ("kalshi stop", 0), ("duration", 0)]
)
def test_what_ended_a_run_in_good_order_is_kept_with_its_exit_code(sim: Simulation, source: str, code: int) -> None:
    run = TradingSession(sim)

    def stop(_number: int) -> None:
        assert ended(sim) == (None, None), "it runs"
        run.asked.append(StateCommand(sim.clock.now(), None, source))

    summary = run.over(run.ticks(2, stop))
    assert (ended(sim), int(summary.exit_code)) == ((source, code), code)


@pytest.mark.parametrize("duration_s", [10, None])
def test_a_run_with_a_duration_says_when_it_ends_while_it_runs(sim: Simulation, duration_s: int | None) -> None:
    run, started = TradingSession(sim, duration_s=duration_s), sim.clock.now()
    run.over(run.ticks(2))
    beat(sim)
    with lock(sim.path.parent / "trade.lock", sim.clock):
        assert status_view(status(sim)).ends == (None if duration_s is None else started + 10_000)
    assert status_view(status(sim)).ends is None, "none runs"


def test_a_run_that_left_its_time_to_a_halt_says_so(sim: Simulation) -> None:
    run = TradingSession(sim)
    halt = StateChanged(sim.clock.now(), TradingState.HALTED, "CANCEL_ALL", "by hand")
    run.over(run.ticks(3, lambda number: sim.store.record(halt) if number == 1 else None))
    assert ended(sim) == ("halt", 9)


def test_a_run_that_an_error_ended_says_which(sim: Simulation) -> None:
    run = TradingSession(sim)

    def fail(_number: int) -> None:
        raise UnreachableError("the exchange is gone")

    with pytest.raises(UnreachableError):
        run.over(run.ticks(1, fail))
    assert ended(sim) == ("the exchange is gone", 6)


def test_a_run_with_a_bug_has_the_exit_code_of_one(sim: Simulation) -> None:
    run = TradingSession(sim)

    def fail(_number: int) -> None:
        raise LookupError("lost my way")

    with pytest.raises(LookupError):
        run.over(run.ticks(1, fail))
    assert ended(sim) == ("lost my way", 70)


def test_a_run_that_was_killed_has_no_exit_code(sim: Simulation) -> None:
    beat(sim, pid=99_999)
    assert ended(sim) == ("killed, or it could not write the state file", None)
    with lock(sim.path.parent / "trade.lock", sim.clock):
        assert ended(sim) == ("killed, or still starting", None)
        beat(sim)
        assert ended(sim) == (None, None), "it runs"


def test_of_a_run_of_an_older_version_nobody_knows_what_ended_it(sim: Simulation) -> None:
    beat(sim, is_running=False)
    assert ended(sim) == (None, None)


def test_positions_that_an_alert_wants_closed_are_named_until_they_are_closed_or_a_person_resumed(
    sim: Simulation,
) -> None:
    home, book = sim.path.parent, sim.store.alert_book
    book.set_mark("flatten", sim.clock.now())
    assert (status(sim).flatten_asked, said(sim)) == (None, ""), "nothing is stopped"
    pause(home, "alert DRIFT KXA")
    assert status(sim).flatten_asked == sim.clock.now()
    assert "kalshi flatten" in said(sim)
    book.set_mark("flatten", 0)
    assert status(sim).flatten_asked is None


def test_a_short_status_names_the_first_market_without_an_order_book_and_counts_the_others(sim: Simulation) -> None:
    view = status_view(status(sim))
    for no_book, short in (
        (None, None),
        ("KXA: no snapshot", "KXA: no snapshot"),
        (
            "KXA: the stream ended (1012); KXB: the stream ended (1012); and 45 more",
            "47 markets; KXA: the stream ended (1012)",
        ),
    ):
        assert status_brief(msgspec.structs.replace(view, no_book=no_book)).no_book == short


def test_a_pause_by_an_alert_shows_the_values_of_that_alert(sim: Simulation) -> None:
    now = sim.clock.now()
    lost = "The loss of the day was $3.04; the limit is $3.00 (risk.max_daily_loss). Only closing orders are sent"
    sim.store.record(AlertRaised(Ts(now - 1), "critical", "DAILY_LOSS", "account", lost))
    sim.store.record(AlertRaised(now, "critical", "DRIFT", "account", "not the cause"))
    sim.store.set_halt(Halt(TradingState.HALTED, PAUSED, "alert DAILY_LOSS account", now))
    shown, paused, *_ = said(sim).splitlines()
    assert shown == "DAILY_LOSS: The loss of the day was $3.04; the limit is $3.00 (risk.max_daily_loss)"
    assert paused.startswith("PAUSED: ")
    sim.store.set_halt(Halt(TradingState.HALTED, PAUSED, "DAILY_LOSS account", now))
    assert said(sim).startswith("PAUSED: "), "a manual pause"


def test_a_pause_on_top_of_a_reduce_only_state_shows_both(sim: Simulation) -> None:
    sim.store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "The loss of the day was $3.04", sim.clock.now()))
    assert "Below the pause" not in said(sim)
    pause(sim.path.parent, "lunch")
    first, second, *_ = said(sim).splitlines()
    assert first.startswith("PAUSED: no new orders")
    assert second.startswith("Below the pause: Trading has been reduce-only since ")
    assert second.endswith("(DAILY_LOSS): The loss of the day was $3.04")


def test_a_status_without_records_says_that_the_file_is_new_until_something_traded(sim: Simulation) -> None:
    lost = "If kalshi traded here before, the file was lost: `kalshi runbook state-file`"
    folder, now = sim.path.parent, sim.clock.now()
    for store in (sim.store, None):
        assert lost in "".join(status_notes(read_status(folder, store, "sim", "2026-05-28", now), now))
    beat(sim)
    assert lost not in "".join(status_notes(read_status(folder, sim.store, "sim", "2026-05-28", now), now))


def test_a_late_account_read_of_a_running_loop_is_shown_with_its_age(sim: Simulation) -> None:
    now = sim.clock.now()
    with lock(sim.path.parent / "trade.lock", sim.clock):
        beat(sim)
        for age_ms, is_late in ((14_000, False), (16_000, True), (60_000, False)):  # the last is of the run before
            sim.store.alert_book.set_mark(ACCOUNT_READ, now - age_ms)
            assert ("The account was last read 16 s ago" in said(sim)) is is_late
            assert ("last read" in said(sim)) is is_late
            assert (status(sim).as_of == now - age_ms) is is_late, "the numbers have the same age"
