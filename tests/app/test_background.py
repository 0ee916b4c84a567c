"""The simulated exchange as a process of its own: who starts it, who uses it, and when it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import websocket
from support.processes import FRESH
from support.served import bare_variables, eventually, finish, program, said, set_variables, start

from kalshi_cli.app.background import Background
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import AnotherInstanceError, StateFileError, UnreachableError, UsageError
from kalshi_cli.config.schema import SimulatorConfig
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services.simulated_exchange import SimulatorLauncher
from kalshi_cli.simulator.exchange import STREAM_PATH
from kalshi_cli.simulator.serving.announcement import Announcement
from kalshi_cli.store.lock import lock

CLOCK = SystemClock()
IDLE_S = 2.0


class State:
    """A state directory with a simulated exchange, and programs that use it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.variables = bare_variables(home)
        self.folder = home / "state" / "sim" / "exchange"
        self.notes: list[str] = []

    def simulator(self, *, is_seed_chosen: bool = False, **options: Any) -> SimulatorLauncher:
        chosen = msgspec.structs.replace(SimulatorConfig(), **options)
        return SimulatorLauncher(self.folder, chosen, CLOCK, lambda: str(uuid4()), is_seed_chosen=is_seed_chosen)

    def find(self, idle_s: float = 60.0, **options: Any) -> Announcement:
        return Background(self.simulator(**options), CLOCK, self.notes.append, idle_s).find()

    def serving(self) -> Announcement | None:
        return self.simulator().serving()

    def stream(self, found: Announcement) -> websocket.WebSocket:
        """An open stream, which keeps the server in use."""
        signed = Signer(*self.simulator().credentials(), CLOCK).headers("GET", STREAM_PATH)
        return websocket.create_connection(found.ws_url, header=signed, timeout=30)


@pytest.fixture
def state(tmp_path: Path, begin: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> State:
    begin(tmp_path / "state")
    made = State(tmp_path)
    set_variables(monkeypatch, tmp_path, made.variables)
    return made


def test_every_command_says_that_a_configured_key_is_not_used(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is not used" not in program("balance", "--json").err
    for name in ("KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY_PATH"):
        monkeypatch.setenv(name, "/nowhere")
        ended = program("balance", "--json")
        assert ended.code == 0
        assert f"Your key (variable {name}) is not used: the simulated exchange has its own" in ended.err
        monkeypatch.delenv(name)


# -- the process ------------------------------------------------------------------------------------------------------


def test_two_commands_at_the_same_moment_start_one_server_which_outlives_them(state: State) -> None:
    both = [start(["markets", "--limit", "1", "--json"], state.variables, state.home) for _ in range(2)]
    ended = [finish(process) for process in both]
    assert [each.code for each in ended] == [0, 0], ended
    found = state.serving()
    assert found is not None
    assert (found.is_background, os.getsid(found.pid)) == (True, found.pid), "in a session of its own"
    assert (state.folder / "server.log").read_text().count("serves at") == 1
    assert sum("Started the simulated exchange (pid" in each.err for each in ended) == 1
    assert program("balance", "--json").code == 0
    assert state.serving() == found, "the next command uses it"


def test_a_caller_that_reads_the_output_to_its_end_does_not_wait_for_the_server(state: State) -> None:
    process = start(["-q", "markets", "--limit", "1", "--json"], state.variables, state.home)
    assert process.stdout is not None
    rows = json.loads(process.stdout.read())  # to the end of the pipe
    assert state.serving() is not None, "what had kept the pipe open is still there"
    assert len(rows) == 1
    assert finish(process).code == 0


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_no_key_of_the_real_exchange_is_kept_in_it(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", FRESH)  # a fork shows the variables of its fork server
    monkeypatch.setenv("KALSHI_API_KEY_ID", "of-the-real-exchange")
    found = state.find()
    assert b"of-the-real" not in Path(f"/proc/{found.pid}/environ").read_bytes()


def test_closing_a_watch_leaves_the_loop_beside_it_trading(state: State) -> None:
    ticker = program("markets", "--series", "KXFEDDECISION", "--json").json[0]["ticker"]
    watch = start(["watch", ticker, "--format", "ndjson"], state.variables, state.home)
    assert watch.stdout is not None
    assert watch.stdout.readline(), said(watch)
    words = ["trade", "--strategy", "spike", "--interval", "0.2s", "--duration", "1h", "--json"]
    loop = start(words, state.variables, state.home)
    eventually(lambda: (program("status", "--json").json["cycles"] or 0) > 1 or loop.poll() is not None)
    watch.kill()
    finish(watch)
    before = program("status", "--json").json["cycles"]
    eventually(lambda: program("status", "--json").json["cycles"] > before + 2 or loop.poll() is not None)
    loop.send_signal(signal.SIGTERM)
    ended = finish(loop)
    assert (ended.code, ended.json["live_orders"]) == (143, 0), ended.err
    assert "lost" not in ended.err


# -- its end ----------------------------------------------------------------------------------------------------------


def test_it_ends_by_itself_once_it_was_not_used_for_a_while_and_a_stream_is_use(state: State) -> None:
    found = state.find(idle_s=IDLE_S)
    stream = state.stream(found)
    time.sleep(1.25 * IDLE_S)
    assert state.serving() == found, "somebody listens"
    stream.close()
    eventually(lambda: not state.simulator().is_open)
    eventually(lambda: "not used for 2 s" in (state.folder / "server.log").read_text())
    assert not (state.folder / "address.json").exists()


def test_looking_at_it_does_not_keep_it(state: State) -> None:
    state.find(idle_s=IDLE_S)
    shown = program("sim", "status", "--json").json
    assert (shown["served"], shown["streams"], shown["connections"]) == ("background", 0, 0)
    assert shown["ends"] is not None
    until = time.monotonic() + 60
    while (ended := program("sim", "status", "--json")).code == 0 and ended.json["served"]:
        assert time.monotonic() < until, "looking keeps it alive"
        time.sleep(IDLE_S / 10)
    assert ended.code == 0, ended.err
    shown = ended.json
    assert (shown["pid"], shown["paused"], shown["open_markets"]) == (None, None, None)
    assert shown["time"]
    eventually(lambda: not state.simulator().is_open)


def test_stop_ends_it_whatever_is_connected_and_says_where_there_is_none(state: State) -> None:
    found = state.find()
    stream = state.stream(found)
    ended = program("sim", "stop")
    assert (ended.code, f"pid {found.pid} has ended" in ended.err) == (0, True)
    assert not state.simulator().is_open
    stream.close()
    ended = program("sim", "stop")
    assert (ended.code, "is not running" in ended.err) == (0, True)


def test_start_shows_the_server_that_it_started(state: State) -> None:
    shown = program("sim", "start", "--json").json
    found = state.serving()
    assert found is not None
    assert (shown["served"], shown["pid"], shown["rest_url"]) == ("background", found.pid, found.rest_url)


# -- replaced ---------------------------------------------------------------------------------------------------------


def test_one_that_was_killed_is_replaced_at_the_same_address(state: State) -> None:
    killed = state.find()
    os.kill(killed.pid, signal.SIGKILL)
    eventually(lambda: not state.simulator().is_open)
    assert (state.folder / "address.json").exists(), "it had no time to remove it"
    found = state.find()
    assert found.pid != killed.pid
    assert found.rest_url == killed.rest_url, "a loop that used it finds it again"


@pytest.mark.parametrize("is_other_version", [True, False])
def test_one_of_another_version_or_with_other_settings_is_replaced(state: State, is_other_version: bool) -> None:
    before = state.find()
    if is_other_version:
        other = msgspec.structs.replace(before, build=f"00000000{before.build[8:]}")
        (state.folder / "address.json").write_bytes(msgspec.json.encode(other))
    found = state.find() if is_other_version else state.find(speed=2.0)
    assert found.pid != before.pid
    assert found.build != before.build or is_other_version
    assert state.serving() == found


def test_one_with_other_settings_that_is_in_use_stays_and_that_is_said(state: State) -> None:
    before = state.find()
    stream = state.stream(before)
    assert state.find(speed=2.0) == before
    assert "in use and was kept" in state.notes[-1]
    end = "To replace it: kalshi sim stop, which interrupts the loops and recordings that use it"
    assert state.notes[-1].endswith(end)
    stream.close()


def test_another_seed_is_refused_whether_it_is_served_or_not(state: State) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match="created with seed 1, not 8"):
            state.find(seed=8, is_seed_chosen=True)
        before = state.find(seed=8)
        assert before == state.find(), "the seed of the exchange counts, not the default"


def test_one_that_is_stopped_in_its_tracks_is_an_error_with_the_way_out(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalshi_cli.app.background.START_WITHIN_S", 0.5)
    monkeypatch.setattr("kalshi_cli.app.background.ANSWER_WITHIN_S", 0.2)
    with lock(state.folder / "lock", CLOCK), pytest.raises(UnreachableError, match="does not respond") as told:
        state.find()
    assert "kalshi sim stop" in told.value.hint


def test_a_frozen_server_holds_up_the_kill_switch_for_seconds_and_is_no_success(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalshi_cli.app.background.ANSWER_WITHIN_S", 0.2)
    monkeypatch.setattr("kalshi_cli.app.background.SILENT_S", 0.2)
    dear = (each for each in program("markets", "--json").json if each["yes_bid"] and float(each["yes_bid"]) > 0.1)
    market = next(dear)["ticker"]  # so that a bid of a cent rests
    words = ("--side", "yes", "--action", "buy", "--count", "1", "--price", "0.01", "--yes")
    assert program("order", "place", market, *words).code == 0
    pid = state.find().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        ended = program("cancel-all", "--within", "5s")
        assert time.monotonic() - began < 30
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (ended.code, "NOTHING WAS CANCELED" in ended.err) == (7, True), ended.err
    assert program("cancel-all").code == 0


def test_a_start_that_fails_says_why(state: State) -> None:
    (state.folder / "exchange.db").write_bytes(b"this is no database " * 500)
    with pytest.raises(StateFileError, match=r"did not start: The state file .*exchange\.db is damaged") as told:
        state.find()
    assert "server.log" in told.value.hint
    assert not state.simulator().is_open
    ended = program("-q", "balance")
    assert (ended.code, len(ended.err.splitlines())) == (8, 2), ended.err


# -- in the foreground ------------------------------------------------------------------------------------------------


def test_the_background_makes_way_for_a_server_in_the_foreground_which_is_used_as_it_is(state: State) -> None:
    state.find()
    server = start(["sim", "serve", "--speed", "2"], state.variables, state.home)
    assert server.stdout is not None
    line = server.stdout.readline()
    assert line, said(server)
    assert json.loads(line).keys() == {"rest_url", "ws_url", "key_id", "private_key_path", "pid", "accounts"}
    found = state.find()
    assert (found.pid, found.is_background) == (server.pid, False)
    shown = program("sim", "status", "--json").json
    assert (shown["served"], shown["pid"], shown["ends"]) == ("foreground", server.pid, None)
    assert program("sim", "reset").code == 10, "it is not this command's to end"
    server.send_signal(signal.SIGTERM)
    assert finish(server).code == 143
    assert not state.simulator().is_open


def test_a_background_server_that_is_in_use_does_not_make_way(state: State) -> None:
    found = state.find()
    stream = state.stream(found)
    ended = finish(start(["sim", "serve"], state.variables, state.home))
    assert (ended.code, ended.out) == (10, "")
    assert f"pid {found.pid}" in ended.err
    assert "kalshi sim stop" in ended.err
    with pytest.raises(AnotherInstanceError, match="in use"):
        state.simulator().reset()
    assert state.serving() == found
    stream.close()


def test_a_reset_ends_the_server_and_the_next_command_starts_a_new_exchange(state: State) -> None:
    before = state.find()
    program("sim", "pause")
    assert program("sim", "reset").code == 0
    assert not state.simulator().is_open
    assert {path.name for path in state.folder.iterdir()} <= {"lock", "start.lock"}
    assert program("exchange", "--json").json["trading_active"]
    found = state.serving()
    assert found is not None
    assert found.pid != before.pid


def test_a_reset_is_refused_while_a_loop_trades(state: State) -> None:
    found = state.find()
    with lock(state.folder.parent / "trade.lock", CLOCK):
        ended: list[int] = []
        thread = threading.Thread(target=lambda: ended.append(program("-q", "sim", "reset").code))
        thread.start()
        thread.join()
    assert ended == [10]
    assert state.serving() == found
