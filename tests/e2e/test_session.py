"""The program against a simulated exchange that another process serves: real sockets, a whole day in a minute.

What trades, records or writes down an order is a process of its own; what only looks is run in this one.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fault_proxy import FaultProxy, fault_proxy
from support.served import Ended, bare_variables, eventually, finish, program, said, set_variables, start
from support.specification import SPECS, check_response

ADDRESS = {"accounts", "rest_url", "ws_url", "key_id", "private_key_path", "pid"}


class Desk:
    """A person at a shell: an exchange that is served, and the program run beside it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.variables = {**bare_variables(home), "KALSHI_RISK__PRICE_COLLAR": "0.9"}  # prices move, and 1c rests
        self.server: subprocess.Popen[str] | None = None
        self.address: dict[str, Any] = {}

    def serve(self, *seed: str) -> None:
        self.server = start(["sim", "serve", "--port", "0", *seed], self.variables, self.home)
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line, finish(self.server).err
        self.address = json.loads(line)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> Ended | None:
        if self.server is None:
            return None
        self.server.send_signal(how)
        server, self.server = self.server, None
        return finish(server)

    def start(self, *words: str | Path, **variables: str) -> subprocess.Popen[str]:
        return start(words, {**self.variables, **variables}, self.home)

    def run(self, *words: str | Path, **variables: str) -> Ended:
        """In a process of its own."""
        return finish(self.start(*words, **variables))

    def look(self, *words: str | Path, **variables: str) -> Any:
        """What a command that changes nothing says."""
        with pytest.MonkeyPatch.context() as patch:
            set_variables(patch, self.home, {**self.variables, **variables})
            return _said_by(program(*words, "--json"))

    def json(self, *words: str | Path, **variables: str) -> Any:
        """What a process of its own says."""
        return _said_by(self.run(*words, "--json", **variables))

    def through(self, proxy: FaultProxy) -> dict[str, str]:
        """The variables of somebody who knows the exchange by its address only, by way of the proxy."""
        return {
            "KALSHI_REST_URL": proxy.moved(self.address["rest_url"]),
            "KALSHI_WS_URL": proxy.moved(self.address["ws_url"]),
            "KALSHI_API_KEY_ID": self.address["key_id"],
            "KALSHI_PRIVATE_KEY_PATH": self.address["private_key_path"],
            "KALSHI_STATE": str(self.home / "elsewhere"),
        }

    def quiet_ticker(self) -> str:
        """A market with a bid well above a cent, so that a bid of one cent rests; open for long."""
        markets = self.look("markets", "--limit", "100")
        fitting = [m for m in markets if m["yes_ask"] and m["yes_bid"] and m["yes_bid"] >= "0.0500"]
        return str(max(fitting, key=lambda market: str(market["close_time"]))["ticker"])


def _said_by(ended: Ended) -> Any:
    assert ended.code == 0, ended.err
    return ended.json


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    if one.server is not None:
        one.server.kill()
        finish(one.server)


@pytest.fixture
def served_desk(desk: Desk) -> Desk:
    desk.serve("--seed", "7")
    return desk


def test_a_day_at_the_exchange_by_way_of_the_published_specification(served_desk: Desk) -> None:
    """Every answer on the way is held against the exchange's published specification."""
    desk = served_desk
    assert set(desk.address) == ADDRESS
    assert desk.server is not None
    assert desk.address["pid"] == desk.server.pid
    with fault_proxy(desk.address["rest_url"]) as proxy:
        shell = desk.through(proxy)
        ticker = desk.quiet_ticker()
        book = desk.look("orderbook", ticker, **shell)
        assert book["best_bid"] == book["yes_bids"][0][0]
        words = ("order", "place", ticker, "--side", "yes", "--action", "buy", "--count", "3", "--price", "0.01")
        placed = desk.json(*words, **shell)
        assert placed["status"] == "resting"
        listed = desk.look("order", "list", **shell)
        assert [row["order_id"] for row in listed] == [placed["order_id"]]
        assert desk.run("order", "cancel", placed["order_id"], **shell).code == 0
        assert desk.look("order", "list", **shell) == []
        assert desk.look("order", "show", placed["client_order_id"], **shell)["status"] == "canceled"
        assert desk.look("positions", **shell) == []
        assert desk.look("pnl", **shell)["net"] == "0.000000"

        traded = desk.run("trade", "--strategy", "spike", "--duration", "1.5s", "--interval", "0.2s", "--json", **shell)
        assert traded.code == 0, traded.err
        assert traded.json["stopped_by"] == "duration"
        assert traded.json["cycles"] >= 2
        assert "SIMULATED EXCHANGE: no real money" in traded.err
        assert "Traceback" not in traded.err

        killed = desk.run("cancel-all", "--json", **shell)
        assert (killed.code, killed.json["remaining"], killed.json["halted"]) == (0, 0, True)
        refused = desk.run("trade", "--strategy", "spike", "--json", **shell)
        assert (refused.code, refused.out, refused.error["code"]) == (9, "", "halted")
        assert desk.look("status", **shell)["state"] == "halted"
        assert desk.run("resume", "--reason", "end of the test", **shell).code == 0
        status = desk.look("status", **shell)
        assert (status["state"], status["running"], status["unknown_orders"]) == ("active", False, 0)
        assert status["strategy"] == "spike"
    assert {(answer.method, answer.status) for answer in proxy.answers} >= {("GET", 200), ("POST", 201)}
    if SPECS.exists():
        for answer in proxy.answers:
            check_response(answer.method, answer.path, answer.status, answer.body)


def test_what_was_acknowledged_outlives_a_kill_minus_nine(served_desk: Desk) -> None:
    desk = served_desk
    ticker = desk.quiet_ticker()
    place = ("order", "place", ticker, "--side", "yes", "--action", "buy")

    def buy() -> float:
        """Prices move meanwhile: an ask may be gone before the order comes."""
        ask = desk.look("orderbook", ticker)["best_ask"]
        if ask is None:
            return 0.0  # for a moment nobody asks
        return float(desk.json(*place, "--count", "2", "--price", ask, "--tif", "ioc")["filled"])

    bought = eventually(buy)
    rests = desk.json(*place, "--count", "3", "--price", "0.01")
    fills, cash = desk.look("fills"), desk.look("balance")["cash"]
    assert sum(float(fill["count"]) for fill in fills) == bought
    desk.stop(signal.SIGKILL)
    desk.serve()
    assert [row["order_id"] for row in desk.look("order", "list")] == [rests["order_id"]]
    assert desk.look("fills") == fills
    assert desk.look("balance")["cash"] == cash
    ended = desk.stop(signal.SIGTERM)
    assert ended is not None
    assert "Traceback" not in ended.err


def test_commands_without_a_server_share_the_exchange_of_their_state_directory(desk: Desk, tmp_path: Path) -> None:
    ticker = desk.quiet_ticker()
    rests = desk.json("order", "place", ticker, "--side", "yes", "--action", "buy", "--count", "1", "--price", "1c")
    assert [row["order_id"] for row in desk.json("order", "list")] == [rests["order_id"]]
    assert desk.look("order", "list", KALSHI_STATE=str(tmp_path / "other")) == []

    desk.serve()  # and whoever comes while it is served is led there by the same directory
    assert [row["order_id"] for row in desk.look("order", "list")] == [rests["order_id"]]
    assert desk.run("sim", "reset").code == 10
    desk.stop()
    assert desk.run("sim", "reset").code == 0
    assert desk.look("order", "list") == []


def test_what_was_recorded_can_be_played_back(served_desk: Desk) -> None:
    desk = served_desk
    ticker = desk.quiet_ticker()
    ended = desk.run("record", ticker, "--out", "tape.jsonl.gz", "--duration", "1.5s")
    assert (ended.code, ended.out) == (0, "")
    assert (desk.home / "tape.jsonl.gz").stat().st_mode & 0o777 == 0o600
    report = desk.look("backtest", "--strategy", "spike", "--data", "tape.jsonl.gz")
    assert report["strategy"] == "spike"
    assert desk.json("backtest", "--strategy", "spike", "--data", "tape.jsonl.gz") == report, "in any process"


def test_a_loop_whose_stream_is_cut_says_that_it_polls_and_takes_the_stream_up_again(served_desk: Desk) -> None:
    desk = served_desk
    with fault_proxy(desk.address["rest_url"]) as proxy:
        shell = desk.through(proxy)
        loop = desk.start("trade", "--strategy", "spike", "--interval", "0.3s", "--json", **shell)
        try:
            wait_until_said(loop, "strategy spike on")
            eventually(lambda: desk.look("status", **shell)["cycles"])
            proxy.cut_stream()
            wait_until_said(loop, "no stream: order books are polled over REST")
            proxy.mend_stream()
            wait_until_said(loop, "The stream is connected again")
            loop.send_signal(signal.SIGTERM)
            ended = finish(loop)
        finally:
            loop.kill()
            loop.communicate()
    assert ended.code == 143, ended.err
    assert ended.json["stopped_by"] == "SIGTERM"


def wait_until_said(process: subprocess.Popen[str], words: str) -> None:
    eventually(lambda: words in said(process) or process.poll() is not None)
    assert words in said(process)
