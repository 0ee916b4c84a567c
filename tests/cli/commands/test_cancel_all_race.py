"""The halt of a kill switch while it runs: nobody lifts it, several run at once, and what is gone is not reported."""

from __future__ import annotations

import fcntl
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import (
    KEY_ID,
    TWO_SIDED,
    Ended,
    Served,
    eventually,
    finish,
    program,
    said,
    served,
    set_variables,
    start,
)

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.halt_file import FILE
from kalshi_cli.store.lock import KILL_LOCK
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store

WITHOUT_THE_PROOF = "from kalshi_cli.services.orders import cancel; cancel.MARGIN_MS = -1_000"
"""The proof that lists are current waits for the next second: it is tested in virtual time."""


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path, shards=1) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
        assert program(*words).code == 0
        yield one


@pytest.fixture
def proxy(exchange: Served) -> Iterator[FaultProxy]:
    """Lets no list of orders through before its fault is taken away."""
    with fault_proxy(exchange.server.rest_url) as one:
        one.faults.append(Fault("hang_request", "GET", "/portfolio/orders", times=1_000))
        yield one


def home(exchange: Served) -> Path:
    return exchange.state / "sim"


@contextmanager
def killing(exchange: Served, proxy: FaultProxy, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A kill switch that is held up after its halt, and reads anew half a second later."""
    variables = exchange.variables(proxy.moved(exchange.server.rest_url)) | {"KALSHI_EXCHANGE__READ_TIMEOUT_S": "0.5"}
    process = start(
        ("cancel-all", "--within", "50s", "--json", *more), variables, exchange.home, first=WITHOUT_THE_PROOF
    )
    try:
        eventually(
            lambda: ("Trading is halted" in said(process) and proxy.faults[0].hits) or process.poll() is not None
        )
        assert process.poll() is None, said(process)
        yield process
    finally:
        process.kill()
        process.communicate()


def on_file(exchange: Served) -> Halt:
    with Store.open(home(exchange) / "state.db", account=KEY_ID, environment="sim") as store:
        return store.halt()


def released(proxy: FaultProxy, process: subprocess.Popen[str]) -> Ended:
    proxy.faults.clear()
    return finish(process)


def test_a_resume_is_refused_while_the_kill_switch_runs(exchange: Served, proxy: FaultProxy) -> None:
    with killing(exchange, proxy) as process:
        refused = program("resume", "--reason", "impatient", "--json")
        assert (refused.code, refused.error["code"]) == (3, "KILL_RUNS"), refused.err
        assert f"pid {process.pid}" in refused.error["message"]
        assert "wait until `kalshi cancel-all` has ended" in refused.error["hint"]
        assert f"kill -9 {process.pid}" in refused.error["hint"]
        assert (on_file(exchange).code, (home(exchange) / FILE).exists()) == ("CANCEL_ALL", True)
        ended = released(proxy, process)
    assert (ended.code, ended.json["halted"], exchange.resting()) == (0, True, []), ended.err
    assert on_file(exchange).code == "CANCEL_ALL"
    assert program("resume", "--reason", "it has ended").code == 0
    assert on_file(exchange).state is TradingState.ACTIVE


def test_nothing_else_that_lets_trading_go_on_is_done_while_it_runs(
    exchange: Served, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id = program("order", "group", "create", "--limit", "50", "--json").json["order_group_id"]
    with killing(exchange, proxy):
        lift(exchange)  # so that it is the lock which refuses
        refused = program("order", "group", "reset", group_id, "--json")
        assert (refused.code, refused.error["code"]) == (3, "KILL_RUNS"), refused.err
        monkeypatch.delenv("KALSHI_REST_URL")
        refused = program("sim", "reset", "--json")
        assert (refused.code, refused.error["code"]) == (3, "KILL_RUNS"), refused.err
        assert (home(exchange) / "state.db").exists()


def test_a_kill_switch_that_was_killed_holds_up_no_resume(exchange: Served, proxy: FaultProxy) -> None:
    with killing(exchange, proxy) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert program("status", "--json").json["state_code"] == "CANCEL_ALL"
    assert program("resume", "--reason", "looked at it").code == 0


def test_several_kill_switches_run_at_once_and_a_resume_waits_for_the_last(exchange: Served, proxy: FaultProxy) -> None:
    with killing(exchange, proxy) as first, killing(exchange, proxy) as second:
        alone = finish(start(("cancel-all", "--json"), exchange.variables(), exchange.home, first=WITHOUT_THE_PROOF))
        assert (alone.code, alone.json["halted"]) == (0, True), alone.err
        second.kill()
        second.wait()
        refused = program("resume", "--reason", "impatient", "--json")
        assert (refused.code, refused.error["code"]) == (3, "KILL_RUNS")
        assert f"pid {first.pid}" in refused.error["message"], "the newest of them that still runs"
        ended = released(proxy, first)
    assert (ended.code, ended.json["halted"]) == (0, True)
    assert program("resume", "--reason", "all have ended").code == 0


def lift(exchange: Served) -> None:
    """As an older version of this program would, or a person with `rm` and `sqlite3`."""
    with Store.open(home(exchange) / "state.db", account=KEY_ID, environment="sim") as store:
        store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "by other means", Ts(1)))
    assert not (home(exchange) / FILE).exists()


def test_a_halt_that_is_gone_and_cannot_be_written_again_is_not_reported(exchange: Served, proxy: FaultProxy) -> None:
    with killing(exchange, proxy) as process:
        home(exchange).rename(exchange.state / "moved-away")
        home(exchange).touch()
        ended = released(proxy, process)
    assert (ended.code, ended.json["halted"], ended.json["remaining"]) == (8, False, 0), ended.err
    assert "the halt could NOT be saved" in ended.err


def test_a_kill_switch_does_not_wait_for_a_resume_that_is_under_way(exchange: Served) -> None:
    """A resume that somebody stopped in the middle: it holds the lock, and lifts the halt once it goes on."""
    with (home(exchange) / KILL_LOCK).open("w") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        ended = program("cancel-all", "--json")
        assert (ended.code, ended.json["halted"]) == (0, True)
        refused = program("resume", "--reason", "a second one", "--json")
        assert (refused.code, refused.error["code"]) == (3, "KILL_RUNS")


def test_a_scoped_cancel_and_one_that_does_not_halt_hold_up_no_resume(exchange: Served) -> None:
    assert program("cancel-all", "--no-halt").code == 0
    assert not (home(exchange) / KILL_LOCK).exists()
