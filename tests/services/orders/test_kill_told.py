"""`kalshi cancel-all` tells every alert channel itself, within seconds, and no channel delays it."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.receivers import Receiver, receiving
from support.served import ME, TWO_SIDED, Ended, Served, program, served, set_variables, start

from kalshi_cli import Kalshi
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.services.monitoring.alerts import alerting
from kalshi_cli.services.orders import cancel_all, kill_alert
from kalshi_cli.services.orders.halt_marker import CODE, REASON
from kalshi_cli.services.orders.kill_alert import telling
from kalshi_cli.services.trading.halts import TradingControl
from kalshi_cli.store import database

TOLD_WITHIN_S = 5.0
BOUND_S = 7.0  # of the whole command: the five seconds, and what a busy machine adds


@pytest.fixture
def channels() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path, shards=1) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        one.submit(ME, TWO_SIDED, BID, "0.4100", "2")
        for command in ("cancel-all --ticker KXNONE*", "alerts test"):  # what is loaded once is not measured
            program(*command.split())
        yield one


def configure(exchange: Served, **urls: str) -> None:
    path = exchange.home / "config.yaml"
    path.write_text("alerts:\n  channels:\n" + "".join(f"    {name}: {{url: '{url}'}}\n" for name, url in urls.items()))
    path.chmod(0o600)


def wait_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a channel that never answers."""
    monkeypatch.setattr(kill_alert, "WITHIN_S", 3.0)
    monkeypatch.setattr(kill_alert, "RESULT_WITHIN_S", 2.0)


def timed(*words: str) -> tuple[Ended, float, float]:
    """How it ended, when it began, and how long it took."""
    begun = time.monotonic()
    ended = program("cancel-all", *words, "--json")
    return ended, begun, time.monotonic() - begun


def told(channels: Receiver) -> list[tuple[str, str, str]]:
    """Of each notice: its channel, code and tier."""
    notices = [(asked.path, json.loads(asked.body)) for asked in channels.asked]
    return sorted((path.split("/")[-1], notice["code"], notice["tier"]) for path, notice in notices)


def last(channels: Receiver) -> float:
    """When the last channel was told of the halt."""
    return max(asked.at for asked in channels.asked if json.loads(asked.body)["code"] == "CANCEL_ALL")


def all_told(*names: str) -> list[tuple[str, str, str]]:
    """The halt and the result, at each channel."""
    return [(name, code, "critical") for name in sorted(names) for code in ("CANCEL_ALL", "CANCEL_ALL_RESULT")]


def results(channels: Receiver) -> list[str]:
    """The texts of the notices about the result."""
    notices = [json.loads(asked.body) for asked in channels.asked]
    return [notice["text"] for notice in notices if notice["code"] == "CANCEL_ALL_RESULT"]


def test_every_channel_is_told_after_the_cancels_and_once(exchange: Served, channels: Receiver) -> None:
    configure(exchange, **{name: channels.url(f"200/{name}") for name in ("chat", "mail", "phone")})
    canceled: list[float] = []
    handle = exchange.exchange.handle

    def watched(request: Any, now: Any) -> Any:
        if request.method == "DELETE":
            canceled.append(time.monotonic())
        return handle(request, now)

    exchange.exchange.handle = watched  # type: ignore[method-assign]
    ended, begun, _ = timed()
    assert (ended.code, exchange.resting()) == (0, [])
    assert told(channels) == all_told("chat", "mail", "phone"), ended.err
    assert min(asked.at for asked in channels.asked) > canceled[0]
    assert last(channels) - begun < TOLD_WITHIN_S
    assert results(channels) == ["the kill switch canceled 1 order, and none remains"] * 3
    errors = program("check", "errors", "--no-notify", "--json")
    assert (errors.code, errors.json["breaches"]) == (0, []), "what worked is no error"
    assert program("cancel-all").code == 0
    assert [code for _, code, _ in told(channels)].count("CANCEL_ALL") == 3, "it is the same halt"
    assert len(results(channels)) == 6, "each run has its own result"


def test_with_the_exchange_down_every_channel_is_told_within_five_seconds(
    exchange: Served, channels: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(exchange, chat=channels.url("200/chat"), phone=channels.url("200/phone"))
    monkeypatch.setenv("KALSHI_REST_URL", "http://127.0.0.1:9/trade-api/v2")
    ended, begun, took = timed("--within", "3s")
    assert ended.code == 7
    assert told(channels) == all_told("chat", "phone")
    assert last(channels) - begun < min(took, 3.0), "nobody waits for the end"
    assert len(results(channels)) == 2
    assert all("did NOT verify" in text and "may be live" in text for text in results(channels))


@pytest.mark.parametrize("dead", ["never", "500"])
def test_a_dead_channel_changes_no_exit_code_and_its_notice_is_kept(
    exchange: Served, channels: Receiver, monkeypatch: pytest.MonkeyPatch, dead: str
) -> None:
    wait_less(monkeypatch)
    configure(exchange, dead=channels.url(f"{dead}/dead"), phone=channels.url("slow/phone"))
    ended, begun, took = timed()
    assert (ended.code, ended.json["halted"], exchange.resting()) == (0, True, [])
    assert took < BOUND_S
    assert told(channels) == [("dead", "CANCEL_ALL", "critical"), *all_told("phone")]
    assert last(channels) - begun < TOLD_WITHIN_S, "one channel waits for no other"
    assert "Notice not confirmed yet: dead" in ended.err
    letters = program("alerts", "--json").json["letters"]
    assert [(letter["sink"], letter["code"], letter["status"]) for letter in letters] == [
        ("dead", "CANCEL_ALL_RESULT", "waiting"),
        ("dead", "CANCEL_ALL", "waiting"),
    ]


@pytest.mark.parametrize(("is_paused", "signals"), [(False, 1), (True, 2)], ids=["all canceled", "an order left"])
def test_an_interrupt_ends_the_wait_for_the_channels_and_not_the_truth_about_the_orders(
    exchange: Served, channels: Receiver, monkeypatch: pytest.MonkeyPatch, is_paused: bool, signals: int
) -> None:
    configure(exchange, dead=channels.url("never/dead"))
    if is_paused:
        exchange.call(lambda: exchange.exchange.pause("exchange", exchange.clock.now()))
    join = threading.Thread.join

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name == "kill alert":
            sent.append(time.monotonic())
            for _ in range(signals):  # where orders may be live, the first one is held back
                signal.raise_signal(signal.SIGINT)
        join(thread, timeout)

    sent: list[float] = []
    monkeypatch.setattr(threading.Thread, "join", interrupted)
    ended, _, _ = timed("--within", "1s")
    assert time.monotonic() - sent[0] < 1, "it does not wait for the rest of the time"
    assert (ended.code, ended.json["remaining"], ended.json["halted"]) == ((7, 1, True) if is_paused else (0, 0, True))
    assert "Notice not confirmed yet: dead" in ended.err


def test_what_is_left_with_7_is_told_too(exchange: Served, channels: Receiver) -> None:
    configure(exchange, phone=channels.url("200/phone"))
    exchange.call(lambda: exchange.exchange.pause("exchange", exchange.clock.now()))
    ended, _, _ = timed("--within", "1s")
    assert (ended.code, told(channels)) == (7, all_told("phone"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds the state file to the end."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 200)
    monkeypatch.setattr(cancel_all, "HALT_WAITS_MS", 100)
    monkeypatch.setattr(kill_alert, "BUSY_MS", 100)
    wait_less(monkeypatch)


@pytest.mark.usefixtures("impatient")
def test_a_state_file_that_cannot_be_used_holds_up_no_notice(exchange: Served, channels: Receiver) -> None:
    assert program("order", "reconcile").code == 0
    configure(exchange, dead=channels.url("never/dead"), phone=channels.url("200/phone"))
    other = sqlite3.connect(exchange.state / "sim" / "state.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    ended, begun, took = timed()
    other.execute("ROLLBACK")
    other.close()
    assert (ended.code, exchange.resting()) == (0, [])
    assert told(channels) == all_told("dead", "phone")
    assert last(channels) - begun < TOLD_WITHIN_S
    assert took < BOUND_S


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("other", ["200/chat", "500/chat"])
def test_a_halt_that_every_channel_received_without_the_state_file_is_not_told_again(
    exchange: Served, channels: Receiver, other: str
) -> None:
    assert program("order", "reconcile").code == 0
    configure(exchange, chat=channels.url(other), phone=channels.url("200/phone"))
    locked = sqlite3.connect(exchange.state / "sim" / "state.db", isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")
    timed()
    locked.execute("ROLLBACK")
    locked.close()
    channels.asked.clear()
    program("check", "disk")
    assert (CODE in [code for _, code, _ in told(channels)]) is other.startswith("500")
    (halt,) = [each for each in program("alerts", "--json").json["alerts"] if each["code"] == CODE]
    assert halt["state"] == "firing", "its end will be sent"


def test_where_the_halt_cannot_be_written_it_is_told_all_the_same(exchange: Served, channels: Receiver) -> None:
    configure(exchange, phone=channels.url("200/phone"))
    (exchange.state / "sim" / ".halted").mkdir()
    for file in (exchange.state / "sim").glob("state.db*"):
        file.unlink()
    (exchange.state / "sim" / "state.db").mkdir()
    ended, _, _ = timed()
    assert (ended.code, exchange.resting()) == (8, [])
    assert told(channels) == all_told("phone")


@pytest.mark.parametrize("words", [("--no-halt",), ("--ticker", "KX*")])
def test_what_halts_nothing_is_told_to_nobody(exchange: Served, channels: Receiver, words: tuple[str, ...]) -> None:
    configure(exchange, phone=channels.url("200/phone"))
    ended, _, _ = timed(*words)
    assert (ended.code, told(channels)) == (0, [])


def test_a_notice_that_another_program_delivers_is_waited_for(exchange: Served, channels: Receiver) -> None:
    """A loop may take the notice first; it answers a moment later."""
    configure(exchange, phone=channels.url("200/phone"))
    said: list[str] = []
    with Kalshi.open(warn=said.append) as kalshi:
        resources = kalshi.resources
        TradingControl(resources).halt(CODE, REASON)
        with alerting(resources) as beside:
            beside.look()
            claimed = beside.book.claim_notice(["phone"], resources.clock.now())
            assert claimed is not None
            letter, state = claimed
            with telling(resources, does_halt=True):
                time.sleep(0.5)
                beside.book.settle(replace(letter, status="delivered"), replace(state, claimed_until=Ts(0)))
    assert [text for text in said if "phone" in text] == []
    assert channels.asked == [], "it is not told twice"


def test_a_loop_beside_tells_nothing_twice(exchange: Served, channels: Receiver) -> None:
    configure(exchange, chat=channels.url("200/chat"), phone=channels.url("200/phone"))
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.1s")
    loop = start(words, exchange.variables(), exchange.home)
    try:
        for line in loop.stderr or ():
            if "Ctrl-C to stop gracefully" in line:
                break
        ended, _, _ = timed()
        assert ended.code == 0
        loop.communicate(timeout=60)
    finally:
        loop.kill()
        loop.communicate()
    assert [each for each in told(channels) if each[1].startswith("CANCEL_ALL")] == all_told("chat", "phone")
