"""Signals to `kalshi cancel-all`: the first one never prevents the cancels; whatever is not verified ends with 7."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import ME, TWO_SIDED, Ended, Served, eventually, finish, program, said, served, set_variables, start

from kalshi_cli.base.twin_signals import STOPS as SIGNALS
from kalshi_cli.base.twin_signals import TWIN_S
from kalshi_cli.core.model.order_terms import BID

STOPS = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)

LOADING = """
import builtins, os, sys
load, (number, *words) = builtins.__import__, sys.argv[1:]
sys.argv = ["kalshi", *words]

def loading(name, *rest, **more):
    if name == "kalshi_cli.cli.main":
        os.kill(os.getpid(), int(number))
    return load(name, *rest, **more)

builtins.__import__ = loading
from kalshi_cli.__main__ import run
run()
"""
"""Runs a command line, with a signal each time that the command tree is loaded."""


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path, shards=1) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
        assert program(*words).code == 0
        one.submit(ME, TWO_SIDED, BID, "0.3900", "1")
        yield one


@pytest.fixture
def proxy(exchange: Served) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        yield one


@STOPS
def test_a_signal_while_the_halt_is_written_prevents_no_cancel(exchange: Served, number: signal.Signals) -> None:
    """The state file is held by another program, so that the halt beside it comes long before the cancels."""
    home = exchange.state / "sim"
    other = sqlite3.connect(home / "state.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    process = start(("cancel-all", "--json"), exchange.variables(), exchange.home)
    eventually(lambda: (home / ".halted").exists() or process.poll() is not None)
    process.send_signal(number)
    eventually(lambda: "the cancels continue" in said(process) or process.poll() is not None)
    other.execute("ROLLBACK")
    other.close()
    ended = finish(process)
    assert exchange.resting() == [], ended
    assert (ended.code, ended.out, "Orders may be live" in ended.error["message"]) == (7, "", True), ended.err
    assert program("status", "--json").json["state_code"] == "CANCEL_ALL"


LINES = ("cancel-all", "--env sim order cancel-all", "-q --env sim cancel-all --no-halt")


@pytest.mark.parametrize(("number", "words"), list(zip(SIGNALS, LINES, strict=True)))
def test_signals_while_the_program_is_loaded_prevent_no_cancel(
    exchange: Served, number: signal.Signals, words: str
) -> None:
    line = [sys.executable, "-c", LOADING, str(int(number)), *words.split()]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert exchange.resting() == [], ended
    assert (ended.returncode, "the cancels continue" in ended.stderr) == (7, True), ended.stderr


@pytest.mark.parametrize(
    ("number", "when", "is_json"),
    [
        (signal.SIGINT, "kalshi_cli.base.clock", False),
        (signal.SIGINT, "kalshi_cli.cli.main", True),
        (signal.SIGTERM, "kalshi_cli.base.clock", True),
        (signal.SIGTERM, "kalshi_cli.cli.main", False),
        (signal.SIGHUP, "kalshi_cli.cli.main", True),
    ],
)
def test_a_signal_while_any_other_command_is_loaded_ends_it_with_one_line(
    number: signal.Signals, when: str, is_json: bool
) -> None:
    code, word = (130, "interrupted") if number is signal.SIGINT else (143, "terminated")
    words, wanted = (["strategies", "--json"], f'"code": "{word}"') if is_json else (["strategies"], word)
    line = [sys.executable, "-c", LOADING.replace("kalshi_cli.cli.main", when), str(int(number)), *words]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (code, "", 1), ended
    assert wanted in ended.stderr


def test_another_command_that_names_it_is_interrupted_as_ever(exchange: Served) -> None:
    line = [sys.executable, "-c", LOADING, str(int(signal.SIGTERM)), "resume", "--reason", "cancel-all"]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "the cancels continue" not in ended.stderr


def test_without_an_answer_to_the_cancels_the_first_signal_is_held_and_the_second_ends_it_with_7(
    exchange: Served, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault("hang_request", "DELETE", "", times=1_000))
    process = start(("cancel-all", "--json"), exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)
    try:
        eventually(lambda: proxy.faults[0].hits or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        eventually(lambda: "SIGTERM: the cancels continue" in said(process) or process.poll() is not None)
        assert process.poll() is None, said(process)
        time.sleep(1.5 * TWIN_S)
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
    finally:
        process.kill()
        process.communicate()
    assert (ended.code, ended.out) == (7, ""), ended.err
    assert "before it was verified that no order remains. Orders may be live" in ended.error["message"]
    assert len(exchange.resting()) == 2


def assert_nothing_rests(exchange: Served, ended: Ended) -> None:
    """Every order is canceled: the held signal ended the program (7), or the last list had proved it already (0).

    Where the faults end in the middle of a round, its list can prove that nothing rests before each cancel is answered.
    """
    assert exchange.resting() == [], ended.err
    assert ended.code == 7 or (ended.code, ended.json["remaining"]) == (0, 0), ended.err


def test_the_signal_that_timeout_sends_twice_prevents_no_cancel(exchange: Served, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("status", "DELETE", "", times=1_000))
    process = start(("cancel-all", "--json"), exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)
    try:
        eventually(lambda: proxy.faults[0].hits or process.poll() is not None)
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)  # two signals that wait are one
        assert process.poll() is None, said(process)
        proxy.faults.clear()
        ended = finish(process)
    finally:
        process.kill()
        process.communicate()
    assert_nothing_rests(exchange, ended)


def test_a_signal_that_is_held_while_a_cancel_fails_ends_it_once_that_is_answered(
    exchange: Served, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault("status", "DELETE", "", times=1_000))
    process = start(("cancel-all", "--json"), exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)
    try:
        eventually(lambda: proxy.faults[0].hits or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        eventually(lambda: "SIGINT: the cancels continue" in said(process) or process.poll() is not None)
        proxy.faults.clear()
        ended = finish(process)
    finally:
        process.kill()
        process.communicate()
    assert_nothing_rests(exchange, ended)
