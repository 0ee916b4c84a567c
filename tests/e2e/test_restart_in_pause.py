"""Loops that start while the exchange is paused: the pause stays an alert until the exchange opens."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.notice_receiver import Receiver, receiving
from support.served import TWO_SIDED, WATCHFUL, Ended, Served, eventually, finish, program, served, set_variables, start


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path, shards=1) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


@pytest.fixture
def phone(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as one:
        monkeypatch.setenv("KALSHI_ALERTS__CHANNELS__PHONE__URL", one.url)
        yield one


@pytest.fixture
def loop(exchange: Served, phone: Receiver) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start a loop, and wait for its first cycle."""
    loops: list[subprocess.Popen[str]] = []

    def started() -> subprocess.Popen[str]:
        words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.2s")
        variables = {**exchange.variables(), "KALSHI_ALERTS__CHANNELS__PHONE__URL": phone.url}
        process = start(words, variables, exchange.home, first=WATCHFUL)
        loops.append(process)
        cycle(process, 1)
        return process

    yield started
    for process in loops:
        if process.poll() is None:
            process.kill()
            process.communicate()


def cycle(loop: subprocess.Popen[str], more: int) -> None:
    """Wait for so many more cycles of a loop."""

    def cycles() -> int:
        status = program("status", "--json")
        assert loop.poll() is None, finish(loop).err
        return status.json["cycles"] or 0 if status.out and status.json["pid"] == loop.pid else 0

    until = cycles() + more
    eventually(lambda: cycles() >= until)


def pauses(phone: Receiver) -> list[tuple[str, str]]:
    return [change for change in phone.changes if change[1] == "EXCHANGE_PAUSED"]


def ended(errors: Ended) -> list[bool]:
    """Whether each pause that `check errors` finds is over."""
    found = [each["value"] for each in errors.json["breaches"] if "EXCHANGE_PAUSED" in each["subject"]]
    return [value.startswith("over since") for value in found]


def alerts() -> list[dict[str, object]]:
    found: list[dict[str, object]] = program("alerts", "--json").json["alerts"]
    return found


def firing() -> list[object]:
    return [each["code"] for each in alerts() if each["state"] == "firing"]


def paused(exchange: Served) -> None:
    """Pause the exchange, until a notice is delivered and the file says so: a killed loop would send it again."""
    exchange.call(lambda: exchange.exchange.pause("exchange", exchange.clock.now()))
    eventually(lambda: any(each["code"] == "EXCHANGE_PAUSED" and each["told"] for each in alerts()))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=str)
def test_a_pause_that_a_restarted_loop_finds_is_over_once_and_only_when_the_exchange_opens(
    exchange: Served, phone: Receiver, loop: Callable[[], subprocess.Popen[str]], end: signal.Signals
) -> None:
    first = loop()
    paused(exchange)
    first.send_signal(end)
    finish(first)
    second = loop()
    cycle(second, 8)
    assert pauses(phone) == [("firing", "EXCHANGE_PAUSED")]
    assert "EXCHANGE_PAUSED" in firing()
    assert ended(program("check", "errors", "--json")) == [False]
    exchange.call(lambda: exchange.exchange.resume(exchange.clock.now()))
    eventually(lambda: pauses(phone)[1:])
    cycle(second, 6)
    assert pauses(phone) == [("firing", "EXCHANGE_PAUSED"), ("resolved", "EXCHANGE_PAUSED")]
    assert "EXCHANGE_PAUSED" not in firing()
    assert ended(program("check", "errors", "--json")) == [True]


def test_a_pause_that_ended_between_two_loops_is_over_once_the_second_one_has_looked(
    exchange: Served, phone: Receiver, loop: Callable[[], subprocess.Popen[str]]
) -> None:
    first = loop()
    paused(exchange)
    first.kill()
    finish(first)
    exchange.call(lambda: exchange.exchange.resume(exchange.clock.now()))
    loop()
    eventually(lambda: pauses(phone)[1:])
    assert pauses(phone) == [("firing", "EXCHANGE_PAUSED"), ("resolved", "EXCHANGE_PAUSED")]
