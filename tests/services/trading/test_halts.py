"""What a person says to whatever runs here: which pid is asked to stop, and what of several halts is told."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import OutcomeUnknownError, StateFileError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.services.trading.halts import most_severe, resume, stop
from kalshi_cli.store.lock import LockHolder, lock
from kalshi_cli.store.pause import pause, read_pause
from kalshi_cli.store.records import NO_HALT, PAUSED, Halt
from kalshi_cli.store.sqlite_store import Store

CLOCK = SystemClock()
HOLD = """
import signal, sys, time
from pathlib import Path
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.store.lock import lock
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with lock(Path(sys.argv[1]), SystemClock()):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "trade.lock"), request.param]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("held", ["obedient"], indirect=True)
def test_a_stop_ends_the_process_that_holds_the_lock_and_waits_for_it(
    tmp_path: Path, held: subprocess.Popen[str]
) -> None:
    told: list[LockHolder] = []
    assert stop(tmp_path / "trade.lock", CLOCK, 10.0, told.append) == held.pid
    assert [who.pid for who in told] == [held.pid]
    assert held.wait() == -signal.SIGTERM
    assert stop(tmp_path / "trade.lock", CLOCK, 60.0) is None


@pytest.mark.parametrize("held", ["stubborn"], indirect=True)
def test_one_that_does_not_stop_in_time_may_have_something_live(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    with pytest.raises(OutcomeUnknownError, match="still running") as caught:
        stop(tmp_path / "trade.lock", CLOCK, 0.1)
    assert f"kill -9 {held.pid}" in caught.value.hint
    assert held.poll() is None


def test_a_name_that_a_dead_loop_left_in_the_lock_is_never_signalled(tmp_path: Path) -> None:
    """In the moment after a new loop took the lock its file still names the last: that pid may be anybody's by now."""
    path = tmp_path / "trade.lock"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        path.write_bytes(msgspec.json.encode(LockHolder(bystander.pid, Ts(1))))
        file = os.open(path, os.O_RDWR)
        fcntl.flock(file, fcntl.LOCK_EX)  # taken, and not yet written

        class Waiting(SystemClock):
            """The new holder writes its name while we look."""

            def sleep(self, seconds: float) -> None:
                os.ftruncate(file, 0)
                os.close(file)

        assert stop(path, Waiting(), 0.1) is None
        assert bystander.poll() is None
        bystander.kill()


def test_without_a_lock_file_nothing_runs(tmp_path: Path) -> None:
    assert stop(tmp_path / "trade.lock", CLOCK, 1.0) is None
    with lock(tmp_path / "trade.lock", CLOCK):
        pass
    assert stop(tmp_path / "trade.lock", CLOCK, 1.0) is None


def test_of_several_halts_the_gravest_is_told() -> None:
    active, reducing = NO_HALT, Halt(TradingState.REDUCING, "", "", Ts(1))
    halted, paused = Halt(TradingState.HALTED, "DAILY_LOSS", "", Ts(1)), Halt(TradingState.HALTED, PAUSED, "", Ts(1))
    everything = [active, reducing, paused, halted]
    for most in (halted, paused, reducing, active):
        assert most_severe(everything) == most
        everything.remove(most)
    assert most_severe([]) == NO_HALT


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize(
    ("state", "is_kept"), [(TradingState.REDUCING, False), (TradingState.HALTED, True), (TradingState.ACTIVE, True)]
)
def test_a_resume_out_of_reducing_counts_a_drawdown_from_there(
    tmp_path: Path, state: TradingState, is_kept: bool, is_paused: bool
) -> None:
    """Also where a pause hides it, and no pause by itself does."""
    with Store.open(tmp_path / "state.db", account="a", environment="sim") as store:
        store.update_account_high(Money(5), CLOCK.now())
        store.set_halt(Halt(state, "DRAWDOWN", "fell", CLOCK.now()))
        if is_paused:
            pause(tmp_path, "lunch")
        resume(tmp_path, store, "seen", CLOCK)
        assert (store.load().best is not None) is is_kept


def test_a_resume_leaves_halt_and_pause_and_says_what_it_was(tmp_path: Path) -> None:
    pause(tmp_path, "lunch")
    assert resume(tmp_path, None, "had lunch", CLOCK).reason == "lunch"
    assert read_pause(tmp_path) is None
    with Store.open(tmp_path / "state.db", account="a", environment="sim") as store:
        pause(tmp_path, "lunch")
        store.set_halt(Halt(TradingState.HALTED, "DAILY_LOSS", "lost 100", Ts(5)))
        assert resume(tmp_path, store, "looked at it", CLOCK).code == "DAILY_LOSS"
        after = store.halt()
        assert (after.state, after.code, after.reason) == (TradingState.ACTIVE, "RESUMED", "looked at it")
        assert resume(tmp_path, store, "again", CLOCK) == after, "nothing to leave"
        assert store.halt() == after


def test_a_resume_is_announced_after_the_pause_has_ended(tmp_path: Path) -> None:
    seen = []
    with Store.open(tmp_path / "state.db", account="a", environment="sim") as store:
        pause(tmp_path, "lunch")
        store.on_record = lambda _effect, seen_by: seen.append(seen_by.halt().state)
        resume(tmp_path, store, "had lunch", CLOCK)
    assert seen == [TradingState.ACTIVE]


def test_a_resume_that_is_cut_off_before_the_pause_ends_leaves_trading_paused_and_announces_nothing(
    tmp_path: Path,
) -> None:
    """A directory in place of the file cannot be removed: the resume ends there, as after a power cut."""
    seen = []
    with Store.open(tmp_path / "state.db", account="a", environment="sim") as store:
        store.set_halt(Halt(TradingState.HALTED, "DRIFT", "differs", Ts(5)))
        (tmp_path / ".pause").mkdir()
        store.on_record = lambda effect, _store: seen.append(effect)
        with pytest.raises(StateFileError, match="Cannot remove"):
            resume(tmp_path, store, "checked", CLOCK)
        assert (store.halt().is_pause, seen) == (True, [])
        (tmp_path / ".pause").rmdir()
        pause(tmp_path, "lunch")
        assert resume(tmp_path, store, "checked again", CLOCK).is_pause
        assert (store.halt().reason, len(seen)) == ("checked again", 1)
