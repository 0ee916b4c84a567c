"""What ends, pauses and holds up a running loop from outside, and from inside: another shell, a signal, a suspended
process, a strategy that hangs. The loop is the real program in a process of its own, in real time."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.served import TWO_SIDED, Ended, Served, eventually, finish, program, said, served, set_variables, start

STRATEGIES = """
import ctypes
import os
import signal
import time

from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.strategies.base import Strategy
from kalshi_cli.base.units import cents, contracts


class Quoter(Strategy):
    name = "quoter"

    def on_tick(self, view):
        for ticker in view.tickers:
            if not view.orders(ticker):
                yield Place(ticker, BID, cents(40), contracts(2), fair=cents(44), reason="to have something resting")


class Sleeper(Quoter):
    name = "sleeper"

    def on_tick(self, view):
        if view.orders():
            time.sleep(600)
        yield from super().on_tick(view)


class Spinner(Strategy):
    name = "spinner"

    def on_tick(self, view):
        while True:
            pass


class Stubborn(Strategy):
    name = "stubborn"

    def on_tick(self, view):
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                pass


class Stuck(Quoter):
    name = "stuck"

    def on_tick(self, view):
        if view.orders():
            lock, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
            libc.pthread_mutex_lock(lock)
            libc.pthread_mutex_lock(lock)  # never comes back, whatever the signal
        yield from super().on_tick(view)


class Suspended(Strategy):
    name = "suspended"
    looks = 0

    def on_tick(self, view):
        self.looks += 1
        if self.looks == 3:
            os.kill(os.getpid(), signal.SIGSTOP)
        if self.looks >= 3 and not view.orders():
            yield Place(view.tickers[0], BID, cents(40), contracts(2), fair=cents(44), reason="one order")
"""


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "several.py").write_text(STRATEGIES)
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


@contextmanager
def loop(exchange: Served, names: str, *words: str, **trade: str) -> Iterator[subprocess.Popen[str]]:
    """A loop with these strategies and settings of `trade`, killed at the end if need be."""
    spec = ",".join(f"./several.py:{name}" for name in names.split(","))
    settings = {f"KALSHI_TRADE__{name.upper()}": value for name, value in trade.items()}
    settings["KALSHI_ALERTS__ON_CRITICAL"] = "none"  # a strategy that fails would pause the others
    process = start(
        ("trade", "--strategy", spec, "--ticker", TWO_SIDED, "--interval", "0.1s", "--json", *words),
        {**exchange.variables(), **settings},
        exchange.home,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], what: Callable[[], Any]) -> Any:
    """The first true answer, while the process runs."""
    found = eventually(lambda: what() or process.poll() is not None)
    assert process.poll() is None, said(process)
    return found


def requests(exchange: Served) -> list[tuple[float, str, str]]:
    """Every request from now on, as it arrives: when, and what."""
    handle, seen = exchange.exchange.handle, []

    def noted(request: Any, now: Any) -> Any:
        seen.append((time.monotonic(), request.method, request.path))
        return handle(request, now)

    exchange.exchange.handle = noted  # type: ignore[method-assign]
    return seen


def creates(seen: list[tuple[float, str, str]]) -> list[float]:
    return [at for at, method, path in seen if method == "POST" and path.endswith("/events/orders")]


PLACE = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "1", "--price", "0.40", "--json")


# -- pause, resume, stop ------------------------------------------------------------------------------------------


def test_a_pause_takes_the_orders_back_and_a_resume_lets_the_same_loop_go_on(exchange: Served) -> None:
    with loop(exchange, "Quoter") as process:
        until(process, exchange.resting)
        assert program("pause", "--reason", "lunch").code == 0
        until(process, lambda: not exchange.resting())
        before = program("status", "--json").json
        assert (before["running"], before["state"], before["state_code"], before["state_reason"]) == (
            True, "halted", "PAUSED", "lunch",
        )  # fmt: skip
        refused = program(*PLACE)
        assert (refused.code, refused.error["code"]) == (3, "HALTED")
        until(process, lambda: cycles(exchange) > before["cycles"])
        assert exchange.resting() == []
        assert program("resume", "--reason", "had lunch").code == 0
        until(process, exchange.resting)
        stopped = program("stop", "--json")
        assert (stopped.code, stopped.json["pids"], stopped.json["signal"]) == (0, [process.pid], "SIGTERM")
        assert f"Stop requested (pid {process.pid}" in stopped.err
        assert "The loop cancels its own orders, for up to" in stopped.err
        ended = finish(process)
    assert (ended.code, ended.json["stopped_by"], ended.json["live_orders"]) == (143, "SIGTERM", 0)
    assert program("status", "--json").json["stopped_by"] == "kalshi stop (SIGTERM)"
    assert "TRADING IS PAUSED: lunch" in ended.err
    assert exchange.resting() == []


def test_a_stop_does_not_stop_the_next_loop_and_a_loop_started_into_a_pause_waits(exchange: Served) -> None:
    nothing = program("stop")
    assert (nothing.code, nothing.err.strip()) == (0, "No trading loop is running")
    (exchange.state / "sim").mkdir(parents=True, exist_ok=True)
    pause = exchange.state / "sim" / ".pause"
    pause.touch()
    with loop(exchange, "Quoter") as process:
        until(process, lambda: "TRADING IS PAUSED" in said(process))
        pause.unlink()
        until(process, exchange.resting)
        process.send_signal(signal.SIGUSR1)
        until(process, lambda: not exchange.resting())
        assert pause.read_text() == "SIGUSR1"
        process.send_signal(signal.SIGUSR1)
        until(process, exchange.resting)
        assert not pause.exists()


def test_a_halt_ends_with_9_and_no_signal_lifts_it(exchange: Served) -> None:
    pause = exchange.state / "sim" / ".pause"
    with loop(exchange, "Quoter", "--duration", "6s") as process:
        until(process, exchange.resting)
        assert program("cancel-all", "--json").json["halted"] is True
        process.send_signal(signal.SIGUSR1)  # a pause on top of it
        until(process, pause.exists)
        process.send_signal(signal.SIGUSR1)  # and back
        until(process, lambda: not pause.exists())
        ended = finish(process)
    assert (ended.code, ended.json["stopped_by"]) == (9, "duration")
    assert ended.error["code"] == "halted"
    assert "kalshi resume" in ended.error["hint"]
    assert exchange.resting() == []
    assert program("status", "--json").json["state_code"] == "CANCEL_ALL"


def test_no_create_reaches_the_exchange_after_a_pause_whoever_sends_it(exchange: Served) -> None:
    """Two shells that place orders as fast as they can, and a third that pauses."""
    seen = requests(exchange)

    def hammer(_shell: int) -> Ended:
        for _ in range(100):
            ended = finish(start(PLACE, exchange.variables(), exchange.home))
            if ended.code:
                return ended
        raise AssertionError("nobody paused")

    with ThreadPoolExecutor(2) as shells:
        running = [shells.submit(hammer, shell) for shell in range(2)]
        eventually(lambda: len(creates(seen)) >= 2)
        assert program("pause").code == 0
        paused = time.monotonic()
        ends = [each.result() for each in running]
    assert [ended.code for ended in ends] == [3, 3]
    assert max(creates(seen)) < paused
    assert program("resume", "--reason", "tested").code == 0
    assert program(*PLACE).code == 0, "it was the pause that held them up"
    assert max(creates(seen)) > paused


# -- a process that was suspended -----------------------------------------------------------------------------------


def test_what_was_decided_before_the_process_was_suspended_is_not_sent_after(exchange: Served) -> None:
    """SIGSTOP in the middle of a decision. Then the account is read before anybody is asked again."""
    seen = requests(exchange)
    patience = {"decision_limit_s": "0.5", "suspended_after_s": "1", "strategy_limit_s": "1"}
    with loop(exchange, "Suspended", **patience) as process:
        eventually(lambda: _state(process.pid) == "T")
        time.sleep(1.5)
        woken = time.monotonic()
        process.send_signal(signal.SIGCONT)
        until(process, exchange.resting)
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
    assert (ended.code, ended.json["live_orders"]) == (143, 0), ended.err
    # A busy machine may hold up the next decision for as long: that one is not sent either.
    assert set(look(exchange, "SELECT code FROM orders WHERE status = 'rejected'")) == {"STALE_DECISION"}
    assert len(creates(seen)) == 1
    (sent,) = creates(seen)
    since = [path.removeprefix("/trade-api/v2/portfolio/") for at, method, path in seen if woken < at < sent]
    assert {"orders", "fills", "positions", "settlements", "balance"} <= set(since), since
    assert "STRATEGY_HUNG" not in ended.err, "it had no time to come back, and hung no more than its watchdog did"


@pytest.mark.parametrize(
    ("number", "code", "said_last"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_before_the_loop_began_ends_it_without_a_trace(
    exchange: Served, number: signal.Signals, code: int, said_last: str
) -> None:
    handle = exchange.exchange.handle
    started: list[subprocess.Popen[str]] = []

    def interrupting(request: Any, now: Any) -> Any:
        if request.path.endswith("/exchange/status"):
            started[0].send_signal(number)
        return handle(request, now)

    exchange.exchange.handle = interrupting  # type: ignore[method-assign]
    with loop(exchange, "Quoter") as process:
        started.append(process)
        ended = finish(process)
    assert (ended.code, ended.out) == (code, "")
    assert ended.error["code"] == said_last
    assert "Traceback" not in ended.err
    assert exchange.resting() == []


def _state(pid: int) -> str:
    """T for stopped, as the kernel has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def look(exchange: Served, sql: str) -> list[Any]:
    """One column of the state file."""
    with closing(sqlite3.connect(exchange.state / "sim" / "state.db")) as connection:
        return [value for (value,) in connection.execute(sql)]


def cycles(exchange: Served) -> int:
    """The heartbeat."""
    (count,) = look(exchange, "SELECT cycles FROM cycle")
    return int(count)


# -- strategies that hang ---------------------------------------------------------------------------------------------


def test_strategies_that_hang_are_taken_out_and_the_others_go_on(exchange: Served) -> None:
    names = "Sleeper,Spinner,Stubborn,Quoter"
    with loop(exchange, names, strategy_limit_s="0.5") as process:
        for name in ("sleeper", "spinner", "stubborn"):
            until(process, lambda name=name: f"CRITICAL STRATEGY_HUNG {name}: StrategyTimeoutError" in said(process))  # type: ignore[misc]
        beats = cycles(exchange)
        until(process, lambda: cycles(exchange) > beats)
        until(process, exchange.resting)
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
    assert (ended.code, ended.json["orders"]) == (143, 2), "an order of the sleeper, and one of the quoter"
    assert exchange.resting() == []


def test_a_strategy_that_cannot_be_interrupted_loses_its_orders_all_the_same(exchange: Served) -> None:
    with loop(exchange, "Stuck", strategy_limit_s="0.3") as process:
        until(process, lambda: "STRATEGY_STUCK" in said(process))
        until(process, lambda: not exchange.resting())
        beats = cycles(exchange)
        time.sleep(0.5)
        assert cycles(exchange) == beats, "no heartbeat of a loop that stands still"
        assert f"kill -9 {process.pid}" in said(process)
        assert look(exchange, "SELECT code FROM alerts")[-1] == "STRATEGY_STUCK"
