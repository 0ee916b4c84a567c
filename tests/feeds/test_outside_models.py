"""The whole way of a model's probabilities and of news: from files, commands, addresses, posts and standard input,
through the readers and the loop, to trades on the simulated exchange."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest
from support.places import ROOT
from support.processes import start_program
from support.receivers import receiving
from support.resources import Resources, open_resources
from support.served import bare_variables, eventually, program, set_variables
from support.simulation import TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.app.inputs import run_inputs
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import ExitCode, KalshiError, UsageError
from kalshi_cli.base.text import redact
from kalshi_cli.base.units import Ts, contracts
from kalshi_cli.config.config import Config
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal
from kalshi_cli.feeds.fair_sources import read_file
from kalshi_cli.feeds.fair_values import FairReader
from kalshi_cli.feeds.news_signals import FileFollower, SignalReader
from kalshi_cli.net.address_guard import parse_web_address, resolve_here
from kalshi_cli.net.guarded_client import PinnedHttpClient
from kalshi_cli.strategies import registry

HOUR_MS, HALF_MS, DAY_MS = 3_600_000, 1_800_000, 86_400_000


def _script() -> Any:
    path = ROOT / "scripts/sim_model.py"
    found = importlib.util.spec_from_file_location("sim_model", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


sim_model = _script()


# -- over sockets, on the seeded world ----------------------------------------------------------------------------


class Sim:
    """A simulated exchange on which it is half past the hour; `now` is its time."""

    def __init__(self, folder: Path, ahead_ms: int) -> None:
        self.folder = folder
        self._ahead_ms = ahead_ms

    def now(self) -> Ts:
        return Ts(SystemClock().now() + self._ahead_ms)

    def trade(self, strategy: str, *params: str, stdin: IO[str] | int = subprocess.DEVNULL) -> dict[str, Any]:
        """The summary of a run that is ended as soon as something has traded."""
        given = [word for param in params for word in ("--param", param)]
        words = ("trade", "--strategy", strategy, "--series", "KXBTCD", "--json", *given)
        with (self.folder / "said").open("w+") as said:
            loop = start_program(words, os.environ, self.folder, stdin=stdin, stderr=said)
            try:
                eventually(lambda: self._has_traded() or loop.poll() is not None)
            finally:
                loop.terminate()
                out, _ = loop.communicate(timeout=60)
            assert loop.returncode == ExitCode.TERMINATED, said.seek(0) or said.read()
        found: dict[str, Any] = json.loads(out)
        return found

    def _has_traded(self) -> bool:
        path = self.folder / "state" / "sim" / "state.db"
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
            return bool(file.execute("SELECT 1 FROM fills").fetchone())
        return False  # the file is being made


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sim:
    set_variables(monkeypatch, tmp_path, {**bare_variables(tmp_path), "KALSHI_ENV": "sim", "KALSHI_SIM__SPEED": "3"})
    ahead_s = (HALF_MS + HOUR_MS - SystemClock().now() % HOUR_MS) // 1000
    assert program("sim", "clock", "--forward", f"{ahead_s}s").code == 0
    return Sim(tmp_path, ahead_s * 1000)


def test_model_edge_trades_on_the_worlds_own_chances_from_a_file(running: Sim) -> None:
    (running.folder / "fairs.csv").write_text("\n".join(sim_model.fairs(1, running.now(), 0.2)) + "\n")
    summary = running.trade("model-edge", "source=fairs.csv", "every_s=1", "edge=0.02")
    assert summary["fills"], summary
    assert summary["live_orders"] == 0


def test_news_trades_on_what_comes_over_standard_input(running: Sim) -> None:
    """Each second's signals are new ones: what comes before there are books is not traded on."""
    reading, writing = os.pipe()
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.wait(0.25):
            number += 1
            line = {"id": number, "ticker": "KXBTCD*", "side": "yes", "confidence": 0.9}
            os.write(writing, json.dumps(line).encode() + b"\n")

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading) as stdin:
        try:
            summary = running.trade("news", "source=-", "max_shift=0.20", "max_markets=50", stdin=stdin)
        finally:
            over.set()
            thread.join()
            os.close(writing)
    assert summary["fills"], summary
    assert summary["live_orders"] == 0


def test_the_newsroom_of_the_script_knows_which_way_the_crowd_goes() -> None:
    now = Ts(1_780_000_000_000)
    lines = [json.loads(line) for line in sim_model.news(7, now, 240)]
    assert lines
    assert len({line["id"] for line in lines}) == len(lines)
    assert {line["direction"] for line in lines} == {"up", "down"}


# -- in virtual time ----------------------------------------------------------------------------------------------


def test_a_file_of_probabilities_opens_and_closes_a_position_in_a_loop(sim: Simulation, tmp_path: Path) -> None:
    path = tmp_path / "fairs.csv"
    sim.market(40, 44)
    loop = TradingLoop(sim, registry.make("model-edge", {"source": str(path)}))
    heard: list[FairValue] = []
    reader = FairReader(path.name, lambda: read_file(path, sim.clock), sim.clock, heard.append, every_s=30, valid_s=300)

    def read(text: str, ticks: int) -> int:
        path.write_text(text)
        os.utime(path, (0, sim.clock.now() / 1000))
        for _ in range(ticks):
            reader.read()
            loop.take(*heard)
            heard.clear()
            loop.ticks(1)
        return loop.engine.state.held(TICKER)

    assert read(f"{TICKER},0.52\n", 4) == contracts(10), "another five each three seconds"
    sim.market(54, 58)
    assert read(f"{TICKER},0.52\n", 4) == 0
    assert {fill.is_taker for fill in sim.store.fills()} == {True}


def test_a_line_of_news_opens_a_position_in_a_loop_and_its_fading_closes_it(sim: Simulation, tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    path.touch()
    sim.market(48, 52)
    loop = TradingLoop(sim, registry.make("news", {"source": str(path), "max_shift": "0.20", "half_life_s": "30"}))
    loop.ticks(1)
    heard: list[NewsSignal] = []
    tail, reader = FileFollower(path), SignalReader(path.name, sim.clock, heard.append)
    line = json.dumps({"id": "n1", "ticker": f"{TICKER[:5]}*", "direction": "up", "confidence": 0.7}) + "\n"
    path.write_text(line * 2)
    for found in tail.look():
        reader.take(found)
    tail.close()
    loop.take(*heard)
    loop.ticks(2)
    assert loop.engine.state.held(TICKER) == contracts(5)
    loop.ticks(50)
    assert loop.engine.state.held(TICKER) == 0
    assert len(sim.store.fills()) == 2


# -- how an input is listened to ----------------------------------------------------------------------------------


class Desk:
    """An app, and what it hears and says while it listens."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.heard: list[Message] = []
        self.said: list[str] = []

    @contextmanager
    def listening(self, strategy: str, markets: tuple[Market, ...] = (), **params: str) -> Iterator[Resources]:
        asking = registry.make(strategy, params)
        config = Config(state=self.state, env="demo")
        with open_resources(config, self.said) as app, run_inputs(app, [asking], self.heard.append, lambda: markets):
            yield app

    def fairs(self) -> dict[str, int]:
        return {message.ticker: message.fair for message in self.heard if isinstance(message, FairValue)}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "state")


def test_a_command_is_run_without_a_shell(desk: Desk, tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1] + ',0.5')"
    source = f"command:{sys.executable} -S -c \"{code}\" 'KX$HOME'"
    with desk.listening("model-edge", source=source):
        eventually(lambda: desk.said)
    assert "1 line cannot be read" in desk.said[0], "no shell made a path of it"
    with desk.listening("model-edge", source=source.replace("$HOME", "A-1")):
        eventually(lambda: desk.fairs() == {"KXA-1": 5_000})


def test_an_address_on_this_machine_is_read(desk: Desk) -> None:
    with receiving() as receiver:
        receiver.reply = b"KXA-1,0.25\n"
        with desk.listening("model-edge", source=receiver.url("200/fairs.csv?token=abcDEF123456")):
            eventually(desk.fairs)
    assert desk.fairs() == {"KXA-1": 2_500}
    assert {message.source for message in desk.heard if isinstance(message, FairValue)} == {"127.0.0.1"}
    assert "abcDEF123456" not in redact("GET /200/fairs.csv?token=abcDEF123456")


def test_of_a_page_that_is_too_long_nothing_is_kept() -> None:
    with receiving() as receiver:
        receiver.reply = b"x" * 100
        sink = PinnedHttpClient(parse_web_address(receiver.url("200/x")), SystemClock(), resolve_here)
        fits, is_too_long = sink.read(100), sink.read(99)
    assert (fits.is_whole, fits.body) == (True, b"x" * 100)
    assert (is_too_long.is_whole, is_too_long.body) == (False, b"")
    assert "larger than 99 bytes" in is_too_long.delivery.text


@pytest.mark.parametrize("path", ["302/x", "500/x", "404/x", "garbage/x", "huge/x"])
def test_an_address_that_answers_otherwise_gives_nothing_and_is_told(desk: Desk, path: str) -> None:
    with receiving() as receiver, desk.listening("model-edge", source=receiver.url(path)):
        eventually(lambda: desk.said)
    assert "127.0.0.1: no update: " in desk.said[0]
    assert desk.heard == []


@pytest.mark.parametrize(
    "source",
    [
        "http://example.com/fairs.csv",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.7/fairs.csv",
        "https://[::ffff:127.0.0.1]/x",
        "https://2130706433/x",
        "https://user:password@example.com/x",
        "command:",
        "command:model 'half",
    ],
)
def test_a_source_that_must_not_be_read_is_refused_at_the_start(desk: Desk, source: str) -> None:
    with pytest.raises(UsageError), desk.listening("model-edge", source=source):
        pass


def test_two_sources_of_probabilities_in_one_run_are_refused_and_one_for_two_strategies_is_not(
    desk: Desk, tmp_path: Path
) -> None:
    """Both would be heard by both, and the last one that was read would be believed."""
    (tmp_path / "one.csv").write_text("KXA-1,0.5\n")

    def started(source: str) -> None:
        asking = [registry.make(name, {"source": str(tmp_path / "one.csv")}) for name in ("market-maker", "model-edge")]
        asking.append(registry.make("model-edge", {"source": source}))
        config = Config(state=desk.state, env="demo")
        with open_resources(config, desk.said) as app, run_inputs(app, asking, desk.heard.append, tuple):
            eventually(lambda: desk.heard)

    started(str(tmp_path / "one.csv"))
    assert len(desk.heard) == 1
    with pytest.raises(UsageError, match="must share one source of fair values"):
        started("other.csv")


def test_a_file_is_read_only_in_the_window_before_a_close(desk: Desk, sim: Simulation, tmp_path: Path) -> None:
    path = tmp_path / "fairs.csv"
    path.write_text("KXA-1,0.5\n")
    now = SystemClock().now()
    some = sim.client.market(TICKER)
    far, near = (msgspec.structs.replace(some, close_time=Ts(now + ms)) for ms in (DAY_MS, HALF_MS))
    for markets, is_read in (((), False), ((far,), False), ((far, near), True)):
        desk.heard.clear()
        with desk.listening("model-edge", markets, source=str(path), before_close_s="3600", every_s="1"):
            if is_read:
                eventually(desk.fairs)
        assert bool(desk.heard) is is_read


def test_news_may_be_posted_with_the_token_of_a_file_that_only_we_can_read(desk: Desk) -> None:
    def post(port: int, token: str, body: dict[str, object]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", "/signals", json.dumps(body), headers)
        status = connection.getresponse().status
        connection.close()
        return status

    with desk.listening("news", source="webhook:0") as app:
        port = int(desk.said[0].split(":")[2].split("/")[0])
        token_file = app.state_dir / "webhook.token"
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        token = token_file.read_text().strip()
        assert len(token) >= 32
        assert token not in desk.said[0]
        assert token not in redact(f"it is {token}")
        good = {"id": "n1", "ticker": "KXA-1", "side": "no", "confidence": 0.5}
        assert post(port, "wrong", good) == 401
        assert post(port, token, good) == 202
        assert post(port, token, {"id": "n2"}) == 400
    assert [message.signal_id for message in desk.heard if isinstance(message, NewsSignal)] == ["n1"]
    with desk.listening("news", source="webhook:0"):
        assert token_file.read_text().strip() == token, "the next run has the same"
    token_file.chmod(0o644)
    with pytest.raises(KalshiError, match="accessible by other users"), desk.listening("news", source="webhook:0"):
        pass


@pytest.mark.parametrize("port", ["", "x", "-1", "65536", "99999999", "٣"])
def test_a_port_that_is_none_is_refused(desk: Desk, port: str) -> None:
    with pytest.raises(UsageError, match="Invalid port"), desk.listening("news", source=f"webhook:{port}"):
        pass


def test_without_standard_input_there_is_no_news_from_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="Standard input is not available"), desk.listening("news", source="-"):
        pass
