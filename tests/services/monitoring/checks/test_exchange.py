"""`kalshi check exchange` in its four states, over sockets; and on the exchange of this machine, whose clock moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import Served, bare_variables, program, served, set_variables

from kalshi_cli.base.units import parse_ts
from kalshi_cli.exchange.wire.status import Schedule, TradingHours, Week
from kalshi_cli.services.markets.exchange_hours import is_within_hours

CHECK = ("check", "exchange", "--no-notify")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FaultProxy]]:
    with served(tmp_path_factory.mktemp("open")) as one, fault_proxy(one.server.rest_url) as proxy:
        yield one, proxy


@pytest.fixture
def proxy(shared: tuple[Served, FaultProxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    one, found = shared
    found.edits.clear()
    found.faults.clear()
    one.call(lambda: one.exchange.resume(one.clock.now()))
    set_variables(monkeypatch, tmp_path, one.variables(found.moved(one.server.rest_url), home=tmp_path))
    # Whatever day the tests run on: the hours of the exchange say nothing, and nothing is announced.
    scheduled(found)
    return found


def pause(shared: tuple[Served, FaultProxy], kind: str, shard: int | None = None) -> None:
    one, _ = shared
    one.call(lambda: one.exchange.pause(kind, one.clock.now(), shard=shard))


def scheduled(proxy: FaultProxy, *windows: tuple[float, float], hours: dict[str, Any] | None = None) -> None:
    """Maintenance is announced, as hours from now; the exchange keeps these hours."""

    def moment(hours: float) -> str:
        return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()

    announced = [{"start_datetime": moment(begin), "end_datetime": moment(end)} for begin, end in windows]
    body = {"schedule": {"standard_hours": [hours] if hours else [], "maintenance_windows": announced}}
    proxy.edits[r"/exchange/schedule"] = lambda _body: body


def found(*words: str) -> tuple[int, list[tuple[str, str, str]]]:
    ended = program(*CHECK, "--json", *words)
    return ended.code, [(each["severity"], each["code"], each["subject"]) for each in ended.json["breaches"]]


def test_an_open_exchange_is_fine(proxy: FaultProxy) -> None:
    ended = program(*CHECK)
    assert (ended.code, ended.out.partition(" - ")[0]) == (0, "KALSHI EXCHANGE OK")
    assert "open for trading" in ended.out


@pytest.fixture
def no_maintenance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run in the two hours of a Thursday in which every pause is planned."""
    now = datetime.now(UTC)
    if now.weekday() == 3 and 6 <= now.hour < 11:
        pytest.skip("the weekly maintenance is near: what is a pause then is told by tests with a clock of their own")


@pytest.mark.usefixtures("no_maintenance")
def test_a_pause_that_nobody_announced_warns_and_without_cancels_it_is_critical(
    proxy: FaultProxy, shared: tuple[Served, FaultProxy]
) -> None:
    pause(shared, "trading")
    assert found() == (1, [("warning", "TRADING_PAUSED", f"shard {at}") for at in (0, 1)])
    pause(shared, "exchange")
    assert found() == (2, [("critical", "EXCHANGE_PAUSED", f"shard {at}") for at in (0, 1)])
    assert program(*CHECK, "--json").json["runbook"] == "exchange-paused"


@pytest.mark.usefixtures("no_maintenance")
def test_one_shard_that_stands_still_is_named(proxy: FaultProxy, shared: tuple[Served, FaultProxy]) -> None:
    pause(shared, "exchange", shard=1)
    assert found() == (2, [("critical", "EXCHANGE_PAUSED", "shard 1")])


def test_announced_maintenance_is_fine_and_said(proxy: FaultProxy, shared: tuple[Served, FaultProxy]) -> None:
    pause(shared, "exchange")
    scheduled(proxy, (-0.5, 0.5))
    ended = program(*CHECK, "--json")
    assert (ended.code, ended.json["status"]) == (0, "OK")
    assert "as scheduled: paused, cancels are rejected too (announced maintenance until " in ended.json["summary"]
    assert {breach["severity"] for breach in ended.json["breaches"]} == {"note"}


def test_a_range_is_held_against_the_paused_shards_announced_or_not(
    proxy: FaultProxy, shared: tuple[Served, FaultProxy], tmp_path: Path
) -> None:
    assert found("-w", "0", "-c", "1") == (0, [])
    pause(shared, "exchange", shard=1)
    scheduled(proxy, (-0.5, 0.5))
    note = ("note", "EXCHANGE_PAUSED", "shard 1")
    assert found("-w", "0", "-c", "1") == (1, [("warning", "TRADING_PAUSED", "paused shards"), note])
    assert found() == (0, [note])
    (tmp_path / "config.yaml").write_text("checks: {paused_shards: {crit: '0'}}\n")
    assert found()[0] == 2


@pytest.mark.usefixtures("no_maintenance")
def test_maintenance_that_lasts_longer_than_announced_is_an_incident(
    proxy: FaultProxy, shared: tuple[Served, FaultProxy]
) -> None:
    pause(shared, "exchange")
    scheduled(proxy, (-2.0, -0.01))
    assert found()[0] == 2


def test_maintenance_of_the_next_day_is_said_before(proxy: FaultProxy) -> None:
    scheduled(proxy, (3.0, 4.0))
    ended = program(*CHECK, "--json")
    assert ended.code == 0
    assert "; announced maintenance from " in ended.json["summary"]


def test_trading_that_is_paused_outside_of_its_hours_is_fine(
    proxy: FaultProxy, shared: tuple[Served, FaultProxy]
) -> None:
    pause(shared, "trading")
    scheduled(proxy, hours={"start_time": "2020-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z"})
    ended = program(*CHECK, "--json")
    assert (ended.code, "outside trading hours" in ended.json["summary"]) == (0, True)


def test_an_exchange_that_does_not_answer_is_unknown(proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("reset", "GET", "", times=1_000))
    assert found("--within", "4s") == (3, [("unknown", "COULD_NOT_LOOK", "exchange")])


@pytest.mark.parametrize("is_readable", [True, False])
def test_what_is_wrong_with_the_key_is_told_of_the_key_and_not_of_the_exchange(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_readable: bool
) -> None:
    if is_readable:
        monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-00000000dead")
    else:
        monkeypatch.setenv("KALSHI_PRIVATE_KEY_PATH", str(tmp_path / "none.pem"))
    assert found() == (0, [])
    ended = program("health-check", "--json")
    status = {each["check"]: (each["status"], each["detail"]) for each in ended.json}
    assert {status[name][0] for name in ("exchange", "clock")} == {"OK"}
    assert [name for name, (verdict, _) in status.items() if verdict == "CRITICAL"] == [
        "account" if is_readable else "key"
    ]
    assert (status["limits"], status["stream"]) == (("UNKNOWN", "not checked: requires a valid API key"),) * 2


def test_without_a_key_only_the_key_is_at_fault(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    status = {row["check"]: (row["status"], row["detail"]) for row in program("health-check", "--json").json}
    assert [name for name, (verdict, _) in status.items() if verdict == "CRITICAL"] == ["key"]
    assert status["state"] == ("UNKNOWN", "not checked: requires a valid API key"), "its folder has the name of the key"


def test_a_schedule_that_cannot_be_read_takes_nothing_from_what_is_so(proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("status_500", "GET", "/exchange/schedule", times=1_000))
    ended = program(*CHECK, "--json")
    assert (ended.code, "schedule unavailable" in ended.json["summary"]) == (0, True)


def next_thursday(hour: int, minute: int) -> str:
    """At this time in New York, on the first Thursday from tomorrow on."""
    tomorrow = datetime.now(ZoneInfo("America/New_York")) + timedelta(days=1)
    day = tomorrow + timedelta(days=(3 - tomorrow.weekday()) % 7)
    return day.replace(hour=hour, minute=minute, second=0).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_pause_in_the_weekly_maintenance_is_no_incident_and_after_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the exchange that comes with the program: its clock can be set."""
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    assert program("sim", "clock", "--to", next_thursday(3, 30)).code == 0
    assert program("sim", "pause", "--exchange").code == 0
    assert found() == (0, [("note", "EXCHANGE_PAUSED", "shard 0")])
    assert program("sim", "clock", "--forward", "91m").code == 0
    assert found() == (2, [("critical", "EXCHANGE_PAUSED", "shard 0")])
    assert [program("sim", *words).code for words in (("resume",), ("pause",))] == [0, 0]
    assert found() == (1, [("warning", "TRADING_PAUSED", "shard 0")])


@pytest.mark.parametrize(
    ("monday", "tuesday", "now", "is_open"),
    [
        ([], [], "2026-11-24T15:00:00Z", False),  # a Tuesday, 10:00 in New York
        ([], [("08:00", "16:00")], "2026-11-24T15:00:00Z", True),
        ([], [("08:00", "16:00")], "2026-11-24T21:01:00Z", False),
        ([], [("00:00", "00:00")], "2026-11-24T15:00:00Z", True),
        ([("08:00", "03:00")], [], "2026-11-24T07:59:00Z", True),  # Monday's session, which ends on Tuesday
        ([("08:00", "03:00")], [], "2026-11-24T08:01:00Z", False),
        ([], [("08:00", "03:00")], "2026-11-25T04:59:00Z", True),
        ([], [("??", "")], "2026-11-24T15:00:00Z", True),  # what cannot be read closes nothing
    ],
)
def test_the_hours_of_the_week_say_when_it_should_be_open(
    monday: list[tuple[str, str]], tuesday: list[tuple[str, str]], now: str, is_open: bool
) -> None:
    week = Week(
        monday=tuple(TradingHours(*session) for session in monday),
        tuesday=tuple(TradingHours(*session) for session in tuesday),
    )
    assert is_within_hours(Schedule((week,), ()), parse_ts(now)) is is_open
    assert is_within_hours(Schedule((), ()), parse_ts(now))
