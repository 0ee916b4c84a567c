"""Every example in a help text and in the README is typed, on the simulated exchange, and does what it is there for."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.examples import Desk, Simulated, by_command, typed
from support.notice_receiver import receiving
from support.polymarket import polymarket
from support.served import bare_variables, eventually, finish, said, served, set_variables, start

from kalshi_cli.cli.main import ENTRIES

pytestmark = pytest.mark.usefixtures("same_clock")

EXAMPLES = by_command()

STREAMS = ("kalshi orderbook KXBTCD-26NOV2114-T86249.99 --side no --watch", "kalshi status --watch")
UNTIL_CTRL_C = (
    *STREAMS,
    "kalshi top --plain",
    "kalshi serve",
    "kalshi serve --allow-stop",
    "kalshi serve --allow-writes",
    "kalshi serve --port 0 --json",
)
"""Examples that end when a person has seen enough: typed in a process of their own."""

ON_A_SCREEN = (
    "kalshi top",
    "kalshi top --list mine",
    "kalshi top --list nfl",
    "kalshi trade --strategy market-maker --screen",
)
"""Examples that need a terminal: tests/tui and tests/cli/test_top.py."""

UNTIL_AN_ALERT = ("kalshi alerts run", "kalshi alerts run --interval 30s")
"""Examples that wait for an alert to fire: tests/services/monitoring."""

CRITICAL = 2
ENDS_OTHERWISE = {
    "kalshi check heartbeat -w 30 -c 120": CRITICAL,
    "kalshi check heartbeat --paper --env prod": CRITICAL,
    "kalshi check all --env prod --json": CRITICAL,
    "kalshi check all": CRITICAL,
}
"""Examples that rightly do not end with 0 here: no loop runs, and they are there to say so."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with served(tmp_path) as one, receiving() as receiver, polymarket() as theirs, ExitStack() as stack:
        set_variables(monkeypatch, one.home, one.variables())
        yield Desk(one, receiver, theirs, stack)


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    return Simulated()


def wrong(desk: Desk | Simulated, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is to be said of those lines that did not end as they should."""
    found = []
    for line in lines:
        if line in (*UNTIL_CTRL_C, *ON_A_SCREEN, *UNTIL_AN_ALERT):
            continue
        desk.prepare(line)
        words = desk.named(line)
        with monkeypatch.context() as variables:
            if line.startswith("kalshi watch "):  # without a key it is live from its first read on
                variables.delenv("KALSHI_API_KEY_ID")
                variables.delenv("KALSHI_PRIVATE_KEY_PATH")
            for ended in typed(words, monkeypatch):
                if ended.code != ENDS_OTHERWISE.get(line, 0):
                    found.append(f"{words}: {ended.code}\n{ended.err}{ended.out[:200]}")
    return found


@pytest.mark.parametrize("command", [name for name in EXAMPLES if name != "sim"])
def test_its_examples_do_what_they_are_there_for(command: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    found = wrong(desk, EXAMPLES[command], monkeypatch)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line", UNTIL_CTRL_C)
def test_an_example_without_an_end_shows_something_until_ctrl_c(line: str, desk: Desk) -> None:
    shown = desk.one.home / "shown"
    with shown.open("w") as stdout:
        process = start(desk.named(line).split()[1:], desk.one.variables(), desk.one.home, stdout=stdout)
    try:
        eventually(lambda: shown.read_text().endswith("\n") or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 130, said(process)
    finally:
        process.kill()
    assert shown.read_text()
    if line in STREAMS:
        assert all(json.loads(each) for each in shown.read_text().splitlines()), "what a pipe gets is NDJSON"


def test_the_examples_of_the_simulated_exchange_do_too(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    unserved = [line for line in EXAMPLES["sim"] if not line.startswith(("kalshi sim serve", "kalshi sim spot"))]
    found = wrong(simulated, unserved, monkeypatch)
    assert not found, "\n".join(found)


def test_it_is_served_as_the_example_says_and_what_its_spot_does_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    (serve,) = [line for line in EXAMPLES["sim"] if line.startswith("kalshi sim serve")]
    process = start(serve.replace("--port 8080", "--port 0").split()[1:], bare_variables(tmp_path), tmp_path)
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), said(process)
        found = wrong(
            Simulated(), [line for line in EXAMPLES["sim"] if line.startswith("kalshi sim spot")], monkeypatch
        )
    finally:
        process.terminate()
        ended = finish(process)
    assert not found, "\n".join(found)
    assert ended.code == 143, ended.err


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("kalshi markets --statsu open", 2),
        ("kalshi market KXNOWHERE", 4),
        ("kalshi orderbok TICKER", 2),
        ("kalshi order place KXHIGHNY-26NOV21-B53.5 --side yes --action buy --count 10 --price 24", 2),
        ("kalshi order list --format csv | cut -d, -f2 | tail -n +2 | kalshi order cancel -", 2),
    ],
)
def test_an_example_that_is_wrong_is_noticed(line: str, code: int, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.order("1", "0.41")
    (problem,) = wrong(desk, [line], monkeypatch)
    assert f": {code}\nerror: " in problem


def test_every_command_of_the_list_has_examples_and_what_is_excused_is_there() -> None:
    everything = [line for lines in EXAMPLES.values() for line in lines]
    assert set(ENTRIES) - {line.split()[1] for line in everything} == set()
    assert set(UNTIL_CTRL_C) | set(ENDS_OTHERWISE) <= set(everything)
    assert len(everything) > 200
