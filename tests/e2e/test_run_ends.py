"""Whatever ends a run of the loop: exit 7 while an order of it may be live, and `status` says so.

The loop is the real program in a process of its own, behind a proxy that breaks the wire; what rests is read from the
exchange's own ledger.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import (
    ME,
    TWO_SIDED,
    WATCHFUL,
    Ended,
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

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import ExitCode
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.store.halt_file import write_halt_file
from kalshi_cli.store.records import Halt

MANY = """
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.strategies.base import Strategy
from kalshi_cli.base.units import cents, contracts


class Many(Strategy):
    name = "many"

    def on_book(self, view, ticker):
        if not view.orders(ticker):
            for price in range(35, 40):
                yield Place(ticker, BID, cents(price), contracts(1), fair=cents(44), reason="to have some resting")
"""
ORDERS = 5
FOREVER = 10**6
QUICK = f"""{WATCHFUL}
from kalshi_cli.exchange.live import live_venue
live_venue.GET_WITHIN_S = live_venue.MAX_PAUSE_S = 1.0
"""
"""For `first`: a loop that soon gives up a read, and soon reads again."""
PATIENT = {"KALSHI_TRADE__STOP_BUDGET_S": "10"}
"""For an end that succeeds, however slow the machine."""


class Loops:
    """An exchange, a proxy before it, and loops that reach it through the proxy."""

    def __init__(self, exchange: Served, proxy: FaultProxy) -> None:
        self.exchange = exchange
        self.proxy = proxy
        self.started: list[subprocess.Popen[str]] = []

    def start(self, **variables: str) -> subprocess.Popen[str]:
        server = self.exchange.server
        through = self.exchange.variables(self.proxy.moved(server.rest_url), self.proxy.moved(server.ws_url))
        through |= {"KALSHI_TRADE__STOP_BUDGET_S": "0.5", **variables}
        words = ("trade", "--strategy", "./many.py:Many", "--ticker", TWO_SIDED, "--interval", "0.2s", "--json")
        self.started.append(start(words, through, self.exchange.home, first=QUICK))
        return self.started[-1]

    def resting(self, **variables: str) -> subprocess.Popen[str]:
        """A loop all of whose orders rest, at the exchange and on file."""
        loop = self.start(**variables)
        eventually(lambda: written(self.exchange).count("resting") == ORDERS or loop.poll() is not None)
        assert loop.poll() is None, said(loop)
        assert self.live() == ORDERS
        return loop

    def killed(self) -> None:
        """A loop that was killed and left its orders behind."""
        loop = self.resting()
        loop.kill()
        loop.communicate()
        assert self.live() == ORDERS

    def live(self) -> int:
        """Orders of the account that rest, by the exchange's own ledger."""
        return len(self.exchange.resting())

    def refuse(self, status: int, body: bytes) -> None:
        """From now on every request is answered so, and the exchange sees none."""
        for method in ("GET", "POST", "PUT", "DELETE"):
            self.proxy.faults.append(Fault("status", method, "", times=FOREVER, status=status, body=body))


@pytest.fixture
def loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loops]:
    (tmp_path / "many.py").write_text(MANY)
    with served(tmp_path) as exchange, fault_proxy(exchange.server.rest_url) as proxy:
        set_variables(monkeypatch, tmp_path, exchange.variables())
        one = Loops(exchange, proxy)
        try:
            yield one
        finally:
            for loop in one.started:
                loop.kill()
                loop.wait()
                if loop.stdout is not None:
                    loop.stdout.close()


REFUSED = b'{"error": {"code": "authentication_error", "message": "NOT_FOUND"}}'


def assert_left(loops: Loops, ended: Ended, *, stopped_by: str, unknown: int = 0, left: int = ORDERS) -> None:
    """It says that orders may be live, and so says `status`."""
    assert ended.code == ExitCode.UNKNOWN_OUTCOME, ended.err
    assert loops.live() == left
    assert (ended.error["code"], ended.error["exit_code"]) == ("outcome_unknown", 7)
    assert f"Orders of this run may still be live: {left + unknown}" in ended.error["message"]
    assert "web site" in ended.error["hint"]
    assert "Traceback" not in ended.err
    status = program("status", "--json")
    assert (status.json["running"], status.json["ended_in_order"], status.json["exit_code"]) == (False, False, 7)
    assert (status.json["resting_orders"], status.json["unknown_orders"]) == (left, unknown)
    assert stopped_by in status.json["stopped_by"]
    next_step = "kalshi order reconcile" if unknown else "kalshi order list"  # the orders expire by themselves soon
    assert f"Next: `{next_step}`" in status.err


def assert_clean(loops: Loops, ended: Ended, code: int, stopped_by: str) -> None:
    """It ended with its own code, because nothing of it rests."""
    assert (ended.code, loops.live()) == (code, 0), ended.err
    assert "Traceback" not in ended.err
    status = program("status", "--json").json
    own = status["resting_orders"] - status["external_orders"]
    assert (status["ended_in_order"], status["exit_code"], own) == (True, code, 0)
    assert stopped_by in status["stopped_by"]


def halt(loops: Loops) -> None:
    """Halt trading as another program does, without a cancel."""
    home = loops.exchange.state / "sim"
    write_halt_file(home, Halt(TradingState.HALTED, "MANUAL", "a person", SystemClock().now()))


# -- mid-run -------------------------------------------------------------------------------------------------------


def test_a_key_that_is_refused_mid_run_leaves_orders_live_and_the_end_says_so(loops: Loops) -> None:
    loop = loops.resting()
    loops.refuse(401, REFUSED)
    ended = finish(loop)
    assert_left(loops, ended, stopped_by="was rejected (401)")
    assert "was rejected (401)" in ended.error["message"], "the cause is told, too"


def test_a_key_that_is_refused_while_the_run_stops_is_exit_7(loops: Loops) -> None:
    loop = loops.resting()
    loops.proxy.faults.append(Fault("status", "DELETE", "", times=FOREVER, status=401, body=REFUSED))
    loop.send_signal(signal.SIGHUP)
    assert_left(loops, finish(loop), stopped_by="SIGHUP")


@pytest.mark.parametrize("shift_s", [20.0, -20.0])
def test_a_clock_that_steps_leaves_orders_live_and_the_end_says_so(loops: Loops, shift_s: float) -> None:
    """The exchange refuses what is signed by a clock that is 20 s off, cancels too. Ours is never corrected."""
    loop = loops.resting()
    loops.exchange.clock.shift_s = shift_s
    ended = finish(loop)
    assert_left(loops, ended, stopped_by="")


def test_a_stop_that_reaches_nobody_is_exit_7(loops: Loops) -> None:
    loop = loops.resting()
    loops.proxy.refuse()
    loop.send_signal(signal.SIGTERM)
    assert_left(loops, finish(loop), stopped_by="SIGTERM")


def test_a_second_interrupt_is_exit_7_while_orders_are_live(loops: Loops) -> None:
    loop = loops.resting(KALSHI_TRADE__STOP_BUDGET_S="20")
    loops.refuse(503, b"{}")
    loop.send_signal(signal.SIGINT)
    eventually(lambda: "Stopping: canceling" in said(loop))
    loop.send_signal(signal.SIGINT)
    assert_left(loops, finish(loop), stopped_by="interrupted again")


def test_a_halt_with_orders_that_cannot_be_canceled_is_exit_7_and_not_9(loops: Loops) -> None:
    loop = loops.resting()
    loops.proxy.faults.append(Fault("status", "DELETE", "", times=FOREVER, status=503))
    halt(loops)
    loop.send_signal(signal.SIGTERM)
    assert_left(loops, finish(loop), stopped_by="SIGTERM")


def test_a_reader_who_leaves_does_not_turn_live_orders_into_success(loops: Loops) -> None:
    """A run ends by its duration, its cancels are refused, and nobody reads the summary: exit 7 all the same."""
    loop = loops.resting()
    loops.proxy.faults.append(Fault("status", "DELETE", "", times=FOREVER, status=401, body=REFUSED))
    assert loop.stdout is not None
    loop.stdout.close()
    loop.send_signal(signal.SIGTERM)
    assert loop.wait(60) == ExitCode.UNKNOWN_OUTCOME, said(loop)


# -- while it starts -----------------------------------------------------------------------------------------------

POINTS = {
    "fitness": r"/exchange/status$",
    "reconciliation": r"/portfolio/orders\?",
    "order groups": r"/portfolio/order_groups",
}
"""Requests of a start, in this order: a signal comes while one of them waits for its answer."""


def at(loops: Loops, point: str, **variables: str) -> subprocess.Popen[str]:
    """A loop that starts, and waits at this point."""
    fault = Fault("hang", "GET", POINTS[point])
    loops.proxy.faults.append(fault)
    loop = loops.start(KALSHI_EXCHANGE__READ_TIMEOUT_S="4", **variables)
    eventually(lambda: fault.hits or loop.poll() is not None)
    assert loop.poll() is None, said(loop)
    return loop


@pytest.mark.parametrize("point", POINTS)
def test_a_signal_while_it_starts_cancels_what_an_earlier_run_left(loops: Loops, point: str) -> None:
    loops.killed()
    foreign = loops.exchange.submit(ME, TWO_SIDED, BID, "0.0500", "1").order_id
    loop = at(loops, point, **PATIENT)
    loop.send_signal(signal.SIGTERM)
    ended = finish(loop)
    assert [order_id for order_id, *_ in loops.exchange.resting()] == [foreign]
    assert loops.exchange.call(lambda: loops.exchange.exchange.cancel(ME, foreign, loops.exchange.clock.now()))
    assert_clean(loops, ended, 143, "SIGTERM")


@pytest.mark.parametrize(
    ("number", "point"),
    [(signal.SIGTERM, "reconciliation"), (signal.SIGINT, "fitness")],
    ids=str,
)
def test_a_signal_while_it_starts_is_exit_7_where_nothing_could_be_canceled(
    loops: Loops, number: signal.Signals, point: str
) -> None:
    loops.killed()
    loop = at(loops, point)
    loops.refuse(503, b"{}")
    loop.send_signal(number)
    assert_left(loops, finish(loop), stopped_by=number.name)


def test_a_signal_while_it_waits_for_the_proof_of_an_order_cancels_the_others(loops: Loops) -> None:
    """As it was found: some orders live and one unknown, and a start that waits for what became of that one."""
    lost = Fault("drop_request", "POST", "/portfolio/events/orders$", nth=ORDERS)
    loops.proxy.faults.append(lost)
    loop = loops.start()
    eventually(lambda: written(loops.exchange).count("unknown") == 1 or loop.poll() is not None)
    loop.kill()
    loop.communicate()
    assert loops.live() == ORDERS - 1
    again = loops.start(KALSHI_TRADE__STOP_BUDGET_S="2")
    eventually(lambda: "Waiting up to" in said(again) or again.poll() is not None)
    again.send_signal(signal.SIGTERM)
    assert_left(loops, finish(again), stopped_by="SIGTERM", left=0, unknown=1)


def test_without_anything_left_a_signal_while_it_starts_is_its_own_exit_code_and_is_written_down(loops: Loops) -> None:
    loop = at(loops, "reconciliation", **PATIENT)
    loop.send_signal(signal.SIGTERM)
    assert_clean(loops, finish(loop), 143, "SIGTERM")


def refuse_key(loops: Loops) -> None:
    loops.refuse(401, REFUSED)


def vanish(loops: Loops) -> None:
    loops.proxy.refuse()


@pytest.mark.parametrize("trouble", [refuse_key, vanish])
def test_a_start_that_is_refused_is_exit_7_while_an_earlier_run_has_orders_live(
    loops: Loops, trouble: Callable[[Loops], None]
) -> None:
    loops.killed()
    trouble(loops)
    assert_left(loops, finish(loops.start()), stopped_by="")


def test_a_start_into_a_halt_cancels_what_an_earlier_run_left(loops: Loops) -> None:
    loops.killed()
    halt(loops)
    assert_clean(loops, finish(loops.start(**PATIENT)), 9, "MANUAL")


def test_a_second_loop_answers_for_nothing_of_the_first(loops: Loops) -> None:
    loop = loops.resting()
    assert finish(loops.start()).code == 10
    assert loop.poll() is None
    status = program("status", "--json").json
    assert (status["running"], status["stopped_by"], status["exit_code"]) == (True, None, None)
