"""`kalshi sim ...` typed as a person would: on an exchange that nobody serves, and on one that another process does."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.served import bare_variables, eventually, finish, program, set_variables, start

from kalshi_cli.base.units import parse_ts


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: Callable[[Path], None]) -> Path:
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    begin(tmp_path / "state")
    return tmp_path


def sim(*words: str) -> Any:
    ended = program("sim", *words, "--json")
    assert ended.code == 0, ended.err
    return ended.json


def a_market(series: str) -> str:
    rows = program("markets", "--series", series, "--json").json
    return str(rows[0]["ticker"])


def test_what_one_command_does_the_next_one_finds() -> None:
    assert sim("pause", "--exchange", "--for", "10m")["paused"] == "exchange"
    shown = sim("status")
    assert (shown["done"], shown["paused"]) == (None, "exchange")
    assert shown["resumes"] is not None
    assert not program("exchange", "--json").json["trading_active"]
    assert sim("resume")["paused"] is None
    assert sim("shuffle", "on", "--seed", "7")["shuffle"] == 7
    assert sim("shuffle", "off")["shuffle"] is None


def test_a_market_through_its_whole_life() -> None:
    ticker = a_market("KXHIGHNY")
    assert sim("halt", ticker.lower())["inactive"] == [ticker]
    placed = program(
        "order", "place", ticker, "--side", "yes", "--action", "buy", "--count", "1", "--price", "0.01", "--json"
    )
    assert placed.code in (3, 4), "neither we nor the exchange take an order there"
    assert sim("resume", "--market", ticker)["inactive"] == []
    sim("close", ticker)
    assert "pays $1.00" in sim("settle", ticker, "--value", "yes")["done"]
    assert sim("dispute", ticker)["disputed"] == [ticker]
    assert "pays $0.63" in sim("amend", ticker, "--value", "0.63")["done"]
    assert program("market", ticker, "--json").json["status"] == "amended"


def test_the_program_lives_in_the_time_of_its_exchange() -> None:
    before = sim("status")
    moved = sim("clock", "--forward", "3h")
    assert moved["clock_ahead_s"] == 10_800
    assert parse_ts(moved["time"]) - parse_ts(before["time"]) >= 10_800_000
    rows = program("markets", "--series", "KXBTCD", "--json").json
    assert rows
    assert all(parse_ts(row["close_time"]) > parse_ts(moved["time"]) for row in rows)
    checks = {row["check"]: row["status"] for row in program("health-check", "--json").json}
    assert checks["clock"] == checks["key"] == checks["account"] == "OK", "signatures are on the machine's time"
    placed = program(
        "order", "place", a_market("KXFEDDECISION"), "--side", "yes", "--action", "buy", "--count", "1",
        "--price", "0.01", "--expires-in", "10m", "--json",
    )  # fmt: skip
    assert placed.code in (0, 3), placed.err
    assert sim("clock", "--reset")["clock_ahead_s"] == 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, begin: Callable[[Path], None]) -> Path:
    """The home of an exchange that no test changes: its process starts once."""
    home = tmp_path_factory.mktemp("shared")
    begin(home / "state")
    return home


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("close NOTHING", 4, "No market NOTHING"),
        ("settle NOTHING --value perhaps", 4, "No market"),
        ("clock --forward 1h --reset", 2, "cannot be combined"),
        ("clock --forward 400d", 2, "More than a year"),
        ("clock --to yesterday", 2, "yesterday"),
        ("clock --to 2020-01-01T00:00:00Z", 4, "must be later"),
        ("shuffle maybe", 2, "on or off"),
        ("spot gone", 2, "off, freeze, junk, cut or wrong"),
        ("stream", 2, "Give either"),
        ("stream --error 10 --channel gossip", 2, "Unknown channel; use one of"),
        ("stream --error 11", 2, "11"),
        ("pause --shard 1", 4, "No shard 1"),
        ("pause --market NOTHING", 4, "No market"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_a_next_step(
    line: str, code: int, text: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, shared, bare_variables(shared))
    ended = program("sim", *line.split(), "-q")
    assert (ended.code, ended.out) == (code, "")
    error, hint = ended.err.splitlines()
    assert error.startswith("error: ")
    assert text in error
    assert hint.startswith("hint: ")


@pytest.fixture
def elsewhere(home: Path) -> Iterator[dict[str, Any]]:
    """The exchange of this state directory, served by another process."""
    process = start(["sim", "serve"], bare_variables(home), home)
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    process.terminate()
    finish(process)


def test_another_process_is_reached_and_follows_the_clock(elsewhere: dict[str, Any], home: Path) -> None:
    assert sim("pause")["paused"] == "trading"
    assert not program("exchange", "--json").json["trading_active"]
    assert sim("resume")["paused"] is None
    ahead = sim("clock", "--forward", "1h")
    assert ahead["clock_ahead_s"] == 3_600
    rows = program("markets", "--series", "KXBTCD", "--json").json
    assert all(parse_ts(row["close_time"]) > parse_ts(ahead["time"]) for row in rows)
    status = sim("status")
    assert 0 <= parse_ts(status["time"]) - parse_ts(status["since"]) < 600_000, "one clock for all its times"
    assert {row["check"]: row["status"] for row in program("health-check", "--json").json}["stream"] == "OK"
    assert program("sim", "close", "NOTHING", "-q").code == 4
    token = home / "state" / "sim" / "exchange" / "control.token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    token.write_text("another")
    refused = program("sim", "pause", "-q")
    assert (refused.code, "token" in refused.err) == (2, True)
    assert program("exchange", "--json").json["trading_active"]


def test_the_clock_stays_moved_from_process_to_process_and_goes_with_the_exchange() -> None:
    sim("clock", "--forward", "2d")
    assert sim("status")["clock_ahead_s"] == 172_800
    eventually(lambda: program("sim", "reset", "-q").code == 0)
    assert sim("status")["clock_ahead_s"] == 0
