"""A running loop and the outside world: signals, a second instance, a halt from another shell, a disk that is full.

The loop is the real program in a process of its own; what another shell types is run in this one.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import (
    ONE_SIDED,
    TWO_SIDED,
    Served,
    eventually,
    finish,
    program,
    said,
    served,
    set_variables,
    start,
    written,
)

from kalshi_cli import Kalshi
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.services.trading.reports.live_events import account_event

QUOTER = """
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.strategies.base import Strategy
from kalshi_cli.base.units import cents, contracts


class Quoter(Strategy):
    name = "quoter"

    def on_book(self, view, ticker):
        if not view.orders(ticker):
            yield Place(ticker, BID, cents(40), contracts(2), fair=cents(44), reason="to have something resting")
"""


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "quoter.py").write_text(QUOTER)
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


@pytest.fixture
def loop(exchange: Served) -> Iterator[subprocess.Popen[str]]:
    """A loop with one order resting, as the exchange has it and as the state file has it."""
    words = ("trade", "--strategy", "./quoter.py:Quoter", "--ticker", TWO_SIDED, "--interval", "0.2s", "--json")
    # A test places an order beside the loop, which would pause it.
    process = start(words, {**exchange.variables(), "KALSHI_ALERTS__ON_CRITICAL": "none"}, exchange.home)
    try:
        eventually(lambda: "resting" in written(exchange) or process.poll() is not None)
        assert process.poll() is None, finish(process).err
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)], ids=str
)
def test_a_signal_ends_the_loop_in_good_order(
    exchange: Served, loop: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    foreign = exchange.submit("alice", ONE_SIDED, BID, "0.05", "1").order_id
    loop.send_signal(number)
    ended = finish(loop)
    assert ended.code == code, ended.err
    assert [order_id for order_id, *_ in exchange.resting()] == [foreign]
    assert (ended.json["stopped_by"], ended.json["live_orders"]) == (number.name, 0)
    assert ended.json["orders"] >= 1
    assert "SIMULATED EXCHANGE: no real money" in ended.err
    assert "Traceback" not in ended.err
    status = program("status", "--json").json
    assert (status["running"], status["state"], status["unknown_orders"]) == (False, "active", 0)


def test_however_often_it_is_interrupted_it_ends_with_its_exit_code_and_without_a_traceback(
    loop: subprocess.Popen[str],
) -> None:
    """Also in the moment after the command is done, where Python by itself ends by the raw signal."""

    def gone() -> bool:
        loop.send_signal(signal.SIGINT)
        return loop.poll() is not None

    eventually(gone)
    ended = finish(loop)
    assert ended.code == (7 if " LIVE " in ended.err else 130), ended.err
    assert "Traceback" not in ended.err


def test_a_second_loop_is_turned_away_and_the_first_goes_on(exchange: Served, loop: subprocess.Popen[str]) -> None:
    second = program("trade", "--strategy", "spike", "--json")
    assert (second.code, second.out, second.error["code"]) == (10, "", "another_instance")
    assert str(loop.pid) in second.error["message"]
    status = program("status", "--json").json
    assert (status["running"], status["pid"]) == (True, loop.pid)
    assert len(exchange.resting()) == 1


def test_the_kill_switch_of_another_shell_stops_a_running_loop_from_ordering(
    exchange: Served, loop: subprocess.Popen[str]
) -> None:
    killed = program("cancel-all", "--json")
    assert (killed.code, killed.json["remaining"], killed.json["halted"]) == (0, 0, True)
    before = program("status", "--json").json["cycles"]
    eventually(lambda: program("status", "--json").json["cycles"] != before or loop.poll() is not None)
    assert exchange.resting() == []
    loop.send_signal(signal.SIGTERM)
    ended = finish(loop)
    assert exchange.resting() == []
    assert program("trade", "--strategy", "spike", "--json").code == 9
    assert ended.json["live_orders"] == 0


def test_an_order_that_a_halt_forbade_at_the_last_moment_is_not_taken_for_live(exchange: Served) -> None:
    """Between two ticks the loop has not heard of the halt yet; the state file is asked before every send."""
    words = ("trade", "--strategy", "./quoter.py:Quoter", "--ticker", TWO_SIDED, "--interval", "10s", "--json")
    loop = start(words, exchange.variables(), exchange.home)
    try:
        eventually(lambda: "resting" in written(exchange) or loop.poll() is not None)
        assert loop.poll() is None, said(loop)
        ((order_id, *_),) = exchange.resting()
        assert program("pause").code == 0
        assert program("order", "cancel", order_id).code == 0
        exchange.submit("maker", TWO_SIDED, BID, "0.43", "1")  # the book moves, and the strategy wants to order
        eventually(lambda: "rejected" in written(exchange) or loop.poll() is not None)
        assert loop.poll() is None, said(loop)
        loop.send_signal(signal.SIGTERM)
        ended = finish(loop)
    finally:
        loop.kill()
        loop.communicate()
    assert (ended.code, ended.json["live_orders"]) == (143, 0)
    assert "STILL LIVE" not in ended.err
    assert exchange.resting() == []


def test_a_killed_loop_leaves_orders_that_the_next_start_knows(exchange: Served, loop: subprocess.Popen[str]) -> None:
    loop.kill()
    loop.communicate()
    ((order_id, *_),) = exchange.resting()
    told = program("status", "--json")
    assert (told.json["running"], told.json["resting_orders"]) == (False, 1)
    assert "The last run did not stop gracefully; its last cycle was on " in told.err
    assert "(now): 1 order may be resting until" in told.err
    with Kalshi.open() as kalshi:
        run = account_event(kalshi.resources, kalshi.resources.home, ()).run
    assert run is not None
    assert run.attention is not None
    assert "; 1 order resting: `kalshi order list`, `kalshi cancel-all`" in run.attention
    assert "1 order may be resting until" in program("stop").err
    assert program("order", "show", order_id, "--json").json["status"] == "resting"
    words = ("trade", "--strategy", "./quoter.py:Quoter", "--ticker", TWO_SIDED, "--interval", "0.2s")
    ended = program(*words, "--duration", "0.5s", "--json")
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    at = next(
        n for n, line in enumerate(lines) if line.startswith(f"The last run (pid {loop.pid}) was killed; its last")
    )
    killed, left = lines[at : at + 2]
    assert killed.endswith("This run takes over 1 order. To cancel one: `kalshi cancel ID`")
    assert left.startswith(f"  still resting: Order {order_id[:8]} on {TWO_SIDED} (buy ")
    assert exchange.resting() == []
    again = program(*words, "--duration", "0.5s")
    assert "was killed" not in again.err


def test_a_full_disk_behind_stdout_is_a_failure_not_a_bug(exchange: Served) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        ended = finish(start(("markets", "--json"), exchange.variables(), exchange.home, stdout=full))
    assert ended.code == 1
    assert ended.error["message"].startswith("No space left")
    assert "Traceback" not in ended.err
