"""Alerts end to end: a real loop on the simulated exchange, real receivers, and `kalshi alerts` beside it."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.receivers import Receiver, receiving
from support.served import (
    KEY_ID,
    ME,
    TWO_SIDED,
    Ended,
    Served,
    eventually,
    finish,
    program,
    said,
    served,
    set_variables,
    start,
)

from kalshi_cli.cli.main import main
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.monitoring.alerts import alerting
from kalshi_cli.store.records import Halt, Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.alerts import ADD_CHANNEL, NO_CHANNEL

SECRET = "T0PSECRETPATH123"

STRATEGY = """
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.strategies.base import Strategy
from kalshi_cli.base.units import cents, contracts


class Clumsy(Strategy):
    \"\"\"Rests an order, and raises once it does.\"\"\"

    name = "clumsy"

    def on_tick(self, view):
        if view.orders():
            raise LookupError("lost my way")
        for ticker in view.tickers:
            yield Place(ticker, BID, cents(40), contracts(2), fair=cents(44), reason="to have something resting")
"""


@pytest.fixture
def phone() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "clumsy.py").write_text(STRATEGY)
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


def configure(exchange: Served, *lines: str, **urls: str) -> None:
    """Sinks by name, and other lines of the section `alerts`."""
    sinks = "".join(f"    {name}: {{url: '{url}'}}\n" for name, url in urls.items())
    more = "".join(f"  {line}\n" for line in lines)
    path = exchange.home / "config.yaml"
    path.write_text(f"alerts:\n{more}  channels:\n{sinks}")
    path.chmod(0o600)


def told(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(asked.body) for asked in receiver.asked]


def codes(receiver: Receiver) -> list[str]:
    return [notice["code"] for notice in told(receiver)]


def kinds_by_key(receiver: Receiver, code: str) -> list[list[str]]:
    """The kinds of the notices of a code, one list per key."""
    found: dict[str, list[str]] = {}
    for notice in told(receiver):
        if notice["code"] == code:
            found.setdefault(notice["key"], []).append(notice["kind"])
    return list(found.values())


def happened(exchange: Served, *alerts: tuple[str, str], tier: str = "warning", home: str = "sim") -> None:
    """A loop recorded these, a code and a subject each."""
    with state(exchange, home) as store, store.together():
        for code, subject in alerts:
            store.record(AlertRaised(exchange.clock.now(), tier, code, subject, "so it is"))


@contextmanager
def state(exchange: Served, home: str = "sim") -> Iterator[Store]:
    account = KEY_ID if home == "sim" else "paper"
    with Store.open(exchange.state / home / "state.db", account=account, environment="sim") as store:
        yield store


@contextmanager
def loop(exchange: Served, *words: str, first: str = "") -> Iterator[subprocess.Popen[str]]:
    process = start(
        ("trade", "--strategy", "./clumsy.py:Clumsy", "--ticker", TWO_SIDED, "--interval", "0.1s", *words),
        exchange.variables(), exchange.home, first=first,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def heard_all(process: subprocess.Popen[str], receiver: Receiver, wanted: Sequence[str]) -> None:
    eventually(lambda: set(wanted) <= set(codes(receiver)) or process.poll() is not None)
    assert set(wanted) <= set(codes(receiver)), said(process)


def stopped(process: subprocess.Popen[str]) -> Ended:
    process.send_signal(signal.SIGTERM)
    return finish(process)


# -- a loop -------------------------------------------------------------------------------------------------------


def test_a_loop_tells_what_happened_and_pauses_where_that_is_wished(exchange: Served, phone: Receiver) -> None:
    configure(exchange, "on_critical: pause", phone=phone.url("200"))
    with loop(exchange) as process:
        heard_all(process, phone, ["STRATEGY_FAILED"])
        with state(exchange) as store:
            assert store.halt().state is TradingState.ACTIVE, "the other strategies go on"
        happened(exchange, ("DRIFT", TWO_SIDED), tier="critical")
        heard_all(process, phone, ["DRIFT", "PAUSED_BY_ALERT"])
        eventually(lambda: not exchange.resting())
        stopped(process)
    assert codes(phone).count("STRATEGY_FAILED") == 1
    (failed,) = (notice for notice in told(phone) if notice["code"] == "STRATEGY_FAILED")
    assert (failed["tier"], failed["subject"], failed["runbook"]) == ("critical", "clumsy", "guard-tripped")
    with state(exchange) as store:
        assert store.halt().is_pause
        assert "DRIFT" in store.halt().reason


def test_an_alert_can_flatten_and_nothing_resumes_by_itself(exchange: Served, phone: Receiver) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "30")
    bought = ("--side", "yes", "--action", "buy", "--count", "30", "--price", "0.45")
    assert program("order", "place", TWO_SIDED, *bought).code == 0
    configure(exchange, "on_critical: flatten", phone=phone.url("200"))
    with loop(exchange) as process:
        heard_all(process, phone, ["STRATEGY_FAILED"])
        happened(exchange, ("DRIFT", TWO_SIDED), tier="critical")
        heard_all(process, phone, ["DRIFT", "PAUSED_BY_ALERT", "FLATTENED"])
        stopped(process)
    assert program("positions", "--json").json == []
    assert exchange.resting() == []
    with state(exchange) as store:
        assert store.halt().is_pause
        assert store.alert_book.mark("flatten") == 0
    (flattened,) = (notice for notice in told(phone) if notice["code"] == "FLATTENED")
    assert flattened["text"] == f"closed {TWO_SIDED}"


def test_on_paper_an_alert_pauses_paper_and_closes_nothing(exchange: Served, phone: Receiver) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "30")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "30")
    configure(exchange, "on_critical: flatten", phone=phone.url("200"))
    with loop(exchange, "--paper") as process:
        heard_all(process, phone, ["STRATEGY_FAILED"])
        happened(exchange, ("DRIFT", TWO_SIDED), tier="critical", home="sim-paper")
        heard_all(process, phone, ["DRIFT", "PAUSED_BY_ALERT"])
        stopped(process)
    assert [row["position"] for row in program("positions", "--json").json] == ["30.00"]
    assert "FLATTENED" not in codes(phone)
    assert program("alerts", "--paper", "--json").json["alerts"] != []
    assert program("alerts", "--json").json["alerts"] == []


def test_a_loop_whose_sink_hangs_ends_all_the_same_and_what_it_could_not_tell_is_told_later(
    exchange: Served, phone: Receiver
) -> None:
    configure(exchange, "on_critical: none", phone=phone.url("never"))
    briefly = "from kalshi_cli.services.monitoring import alerting; alerting.ATTEMPT_S = 1.0"
    with loop(exchange, first=briefly) as process:
        eventually(lambda: phone.asked or process.poll() is not None)
        stopped(process)
    shown = program("alerts", "--json").json
    assert (shown["undelivered"], shown["letters"][0]["code"]) == (1, "STRATEGY_FAILED")
    configure(exchange, phone=phone.url("200"))
    eventually(lambda: program("alerts", "retry").code == 0)
    assert len({notice["notice_id"] for notice in told(phone)}) == 1, "the same notice, whoever sends it"


def test_an_error_that_ends_a_loop_is_told(exchange: Served, phone: Receiver) -> None:
    configure(exchange, phone=phone.url("200"))
    ended = program("trade", "--strategy", "./clumsy.py:Clumsy", "--ticker", "KXNOSUCH-1")
    assert ended.code == 4
    assert codes(phone) == ["LOOP_FAILED"]
    assert "KXNOSUCH-1" in told(phone)[0]["text"]


@pytest.mark.parametrize("is_checked", [False, True])
def test_a_start_after_a_kill_is_told_once_by_a_check_or_by_the_next_loop(
    exchange: Served, phone: Receiver, is_checked: bool
) -> None:
    configure(exchange, phone=phone.url("200"))
    now = exchange.clock.now()
    with state(exchange) as store:
        last = Heartbeat(
            run_id="p", pid=4069, mode="sim", strategy="x", started=now, completed=now, cycles=1, is_running=True
        )
        store.beat(last)
    if is_checked:
        assert program("check", "heartbeat").code == 2
    wanted = "HEARTBEAT_LOST" if is_checked else "LOOP_KILLED"
    with loop(exchange) as process:
        heard_all(process, phone, ["STRATEGY_FAILED", wanted])
        stopped(process)
    assert ("LOOP_KILLED" in codes(phone), codes(phone).count(wanted)) == (not is_checked, 2 if is_checked else 1)
    (first,) = [notice for notice in told(phone) if notice["code"] == wanted and notice["kind"] != "resolved"]
    assert "killed" in first["text"]
    assert (first["runbook"], first["tier"]) == ("heartbeat-lost", "critical" if is_checked else "warning")
    with loop(exchange) as process:
        stopped(process)
    assert codes(phone).count("LOOP_KILLED") == (not is_checked), "the run before this one stopped gracefully"


def test_a_loop_that_cannot_open_its_state_file_sends_that_once_until_a_start_succeeds(
    exchange: Served, phone: Receiver
) -> None:
    configure(exchange, phone=phone.url("200"))
    home = exchange.state / "sim"
    with state(exchange):
        pass
    good = (home / "state.db").read_bytes()
    words = ("trade", "--strategy", "./clumsy.py:Clumsy", "--ticker", TWO_SIDED, "--interval", "0.1s")

    def damage() -> None:
        for name in ("state.db-wal", "state.db-shm"):
            (home / name).unlink(missing_ok=True)
        (home / "state.db").write_bytes(b"no state file " * 1_000)

    damage()
    assert [program(*words).code for _ in range(2)] == [8, 8]
    assert [(each["code"], each["tier"], each["subject"]) for each in told(phone)] == [
        ("LOOP_FAILED", "critical", "./clumsy.py:Clumsy")
    ]
    assert "could not start" in told(phone)[0]["text"]
    (home / "state.db").write_bytes(good)
    assert program(*words, "--duration", "0.3s").code in (0, 1)
    damage()
    assert program(*words).code == 8
    assert kinds_by_key(phone, "LOOP_FAILED") == [["firing", "resolved", "firing"]], "the next damage is news"
    (home / "state.db").write_bytes(good)
    assert program("check", "disk").code == 0, "a check ends it too"
    assert kinds_by_key(phone, "LOOP_FAILED") == [["firing", "resolved"] * 2]
    program("check", "disk")
    assert kinds_by_key(phone, "LOOP_FAILED") == [["firing", "resolved"] * 2], "once"


def test_a_failed_start_on_paper_ends_with_a_start_on_paper(exchange: Served, phone: Receiver) -> None:
    configure(exchange, phone=phone.url("200"))
    words = ("trade", "--paper", "--strategy", "./clumsy.py:Clumsy", "--ticker", TWO_SIDED, "--duration", "0.3s")
    database = exchange.state / "sim-paper" / "state.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no state file " * 1_000)
    assert program(*words).code == 8
    assert program("check", "disk").code == 0
    assert kinds_by_key(phone, "LOOP_FAILED") == [["firing"]], "the check looks at the state file of the account"
    database.unlink()
    assert program(*words).code in (0, 1)
    assert kinds_by_key(phone, "LOOP_FAILED") == [["firing", "resolved"]]


def test_what_was_sent_again_without_a_state_file_after_its_end_ends_again(exchange: Served, phone: Receiver) -> None:
    """The finding fires and ends through the state file, then twice without one, and each start has its end."""
    configure(exchange, phone=phone.url("200"))
    database, words = exchange.state / "sim" / "state.db", ("check", "balance")
    low, enough = ("-c", "500000:"), ("-c", "0:")

    for bounds in (low, enough):
        program(*words, *bounds)
    wanted = ["firing", "resolved"]
    assert kinds_by_key(phone, "LOW_BALANCE") == [wanted]
    for _ in range(2):
        good = database.read_bytes()
        for name in ("state.db-wal", "state.db-shm"):
            database.with_name(name).unlink(missing_ok=True)
        database.write_bytes(b"no state file " * 1_000)
        for _ in range(2):
            program(*words, *low)
        wanted = [*wanted, "firing"]
        assert kinds_by_key(phone, "LOW_BALANCE") == [wanted], "once"
        database.write_bytes(good)
        program(*words, *low)
        assert kinds_by_key(phone, "LOW_BALANCE") == [wanted], "it was sent already"
        for _ in range(2):
            program(*words, *enough)
        wanted = [*wanted, "resolved"]
        assert kinds_by_key(phone, "LOW_BALANCE") == [wanted], "and over, once"


@pytest.mark.parametrize("is_restored", [False, True])
def test_an_alert_ends_after_a_rebuild_or_a_restore(exchange: Served, phone: Receiver, is_restored: bool) -> None:
    configure(exchange, phone=phone.url("200"))
    database, words = exchange.state / "sim" / "state.db", ("check", "balance", "-c")
    program("check", "disk")
    older = database.read_bytes()
    program(*words, "500000:")
    for name in ("state.db-wal", "state.db-shm"):
        database.with_name(name).unlink(missing_ok=True)
    database.write_bytes(older if is_restored else b"no state file " * 1_000)
    assert is_restored or program("state", "rebuild").code == 0
    program(*words, "500000:")
    assert kinds_by_key(phone, "LOW_BALANCE") == [["firing"]], "it is not sent as new"
    for _ in range(2):
        program(*words, "0:")
    assert kinds_by_key(phone, "LOW_BALANCE") == [["firing", "resolved"]], "once"


def test_a_killed_loop_that_was_sent_without_a_state_file_is_not_sent_again_by_the_next_one(
    exchange: Served, phone: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalshi_cli.services.monitoring.check_notices.BUSY_MS", 100)
    configure(exchange, phone=phone.url("200"))
    now = exchange.clock.now()
    with state(exchange) as store:
        store.beat(
            Heartbeat(
                run_id="p", pid=4069, mode="sim", strategy="x", started=now, completed=now, cycles=1, is_running=True
            )
        )
    with closing(sqlite3.connect(exchange.state / "sim" / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # as on a full disk: it can be read
        assert program("check", "heartbeat").code == 2
    assert codes(phone) == ["HEARTBEAT_LOST"]
    with loop(exchange) as process:
        heard_all(process, phone, ["STRATEGY_FAILED", "HEARTBEAT_LOST"])
        stopped(process)
    assert kinds_by_key(phone, "HEARTBEAT_LOST") == [["firing", "resolved"]]
    assert "LOOP_KILLED" not in codes(phone)


def test_a_second_loop_that_finds_the_first_one_running_sends_nothing(exchange: Served, phone: Receiver) -> None:
    from kalshi_cli.store.lock import lock

    configure(exchange, phone=phone.url("200"))
    with lock(exchange.state / "sim" / "trade.lock", exchange.clock):
        assert program("trade", "--strategy", "./clumsy.py:Clumsy", "--ticker", TWO_SIDED).code == 10
    assert codes(phone) == []


# -- storms, and two at once --------------------------------------------------------------------------------------


def test_ten_thousand_alerts_are_three_notices_at_most(exchange: Served, phone: Receiver) -> None:
    configure(exchange, phone=phone.url("200"))
    happened(exchange, *(("BOOK_DISPUTED", f"KX{number}") for number in range(10_000)))
    assert program("alerts", "retry").code == 0
    assert 1 <= len(phone.asked) <= 3
    assert sum(notice["count"] for notice in told(phone)) > 1


def test_two_programs_that_tell_at_once_send_one_copy_each(exchange: Served, phone: Receiver) -> None:
    from support.resources import open_resources

    from kalshi_cli.config.sources import load

    configure(exchange, phone=phone.url("slow"))
    happened(exchange, *((f"CODE_{number}", "KXA") for number in range(8)))
    config = load(exchange.home / "config.yaml", exchange.variables(), {})
    at_once = threading.Barrier(2)

    def tell() -> None:
        with open_resources(config) as app, alerting(app) as one:
            at_once.wait()
            one.look()
            while one.deliver(5.0):
                pass

    threads = [threading.Thread(target=tell) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes(phone)) == [f"CODE_{number}" for number in range(8)]


# -- kalshi alerts ------------------------------------------------------------------------------------------------


def test_the_list_says_what_fires_who_is_told_and_nothing_of_an_address(exchange: Served, phone: Receiver) -> None:
    configure(exchange, phone=phone.url(f"200/{SECRET}"))
    with state(exchange) as store:
        store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", exchange.clock.now()))
    assert program("alerts", "retry").code == 0
    shown = program("alerts", "--json")
    (alert,), (sink,) = shown.json["alerts"], shown.json["sinks"]
    assert (alert["code"], alert["state"], alert["silenced"]) == ("CANCEL_ALL", "firing", False)
    assert alert["told"] is not None
    assert sink["last_delivered"] is not None
    plain = program("alerts", "list", "--format", "plain")
    assert SECRET not in shown.out + shown.err + plain.out + plain.err


def test_without_a_state_file_nothing_is_listed_and_none_is_made(exchange: Served) -> None:
    exchange.leave_no_trace()
    shown = program("alerts", "--json").json
    assert (shown["firing"], shown["alerts"], shown["sinks"]) == (0, [], [])
    assert not exchange.state.exists()


def test_a_test_notice_reaches_every_sink_or_says_which_it_did_not(exchange: Served, phone: Receiver) -> None:
    configure(exchange, phone=phone.url("200"), chat=phone.url(f"500/{SECRET}"))
    ended = program("alerts", "test", "--json")
    assert (ended.code, ended.error["code"], ended.error["message"]) == (1, "not_delivered", "Not delivered: chat")
    assert {row["sink"]: row["delivered"] for row in ended.json} == {"phone": True, "chat": False}
    assert [row["channel"] for row in ended.json] == [row["sink"] for row in ended.json]
    assert SECRET not in ended.out + ended.err
    assert [notice["kind"] for notice in told(phone)] == ["test", "test"]
    assert program("alerts", "test", "phone").code == 0
    assert {notice["host"] for notice in told(phone)} == {socket.gethostname()}
    assert program("alerts", "test", "nobody").code == 2


def test_without_a_sink_there_is_nobody_to_try(exchange: Served) -> None:
    refused = program("alerts", "test", "--json").error
    assert (refused["code"], refused["hint"]) == ("no_sinks", ADD_CHANNEL)


def test_every_command_says_the_same_next_step_where_there_is_no_channel(exchange: Served) -> None:
    happened(exchange, ("DRIFT", "KXA"))
    assert program("alerts", "retry").code == 0
    assert program("alerts").err.count(f"{NO_CHANNEL}: alerts are only listed here, not sent. Next: {ADD_CHANNEL}") == 1
    assert f"Next: {ADD_CHANNEL}" in program("alerts", "add", TWO_SIDED, "--above", "0.90").err
    rows = {row["check"]: row for row in program("health-check", "--json").json}
    assert (rows["sinks"]["detail"], rows["sinks"]["hint"]) == (NO_CHANNEL.lower(), ADD_CHANNEL)


def test_a_silence_is_for_a_time_and_ends_before_if_a_person_says_so(exchange: Served, phone: Receiver) -> None:
    configure(exchange, phone=phone.url("200"))
    assert program("alerts", "silence", "drift:KX*", "--for", "2h", "--reason", "known").code == 0
    happened(exchange, ("DRIFT", "KXA"), ("LATE_ORDER", "KXA"))
    assert program("alerts", "retry").code == 0
    assert codes(phone) == ["LATE_ORDER"]
    shown = program("alerts", "--json").json
    assert [(row["code"], row["subject"], row["reason"]) for row in shown["silences"]] == [("DRIFT", "KX*", "known")]
    assert {row["code"]: row["silenced"] for row in shown["alerts"]} == {"DRIFT": True, "LATE_ORDER": False}
    assert program("alerts", "silences", "--json").json == shown["silences"]
    assert program("alerts", "unsilence", "DRIFT:KX*").code == 0
    assert program("alerts", "silences", "--json").json == []
    again = program("alerts", "unsilence", "DRIFT:KX*")
    assert (again.code, again.out) == (0, "")
    assert again.err == "Nothing was silenced: no silence for DRIFT KX*. `kalshi alerts` lists the silences\n"
    assert program("alerts", "unsilence", "DRIFFT").code == 2
    happened(exchange, ("DRIFT", "KXA"))
    assert program("alerts", "retry").code == 0
    assert codes(phone) == ["LATE_ORDER", "DRIFT"]


@pytest.mark.parametrize("words", [("DRIFT", "--for", "60d"), (":KX*", "--for", "1h")])
def test_a_silence_without_a_code_or_for_ever_is_none(exchange: Served, words: Sequence[str]) -> None:
    assert program("alerts", "silence", *words).code == 2


def test_a_retry_says_what_waits_for_another_reason(exchange: Served, phone: Receiver) -> None:
    configure(exchange, phone=phone.url("503"))
    happened(exchange, ("DRIFT", "KXA"), ("DRIFT", "KXB"))
    assert "still not delivered" in program("alerts", "retry").err
    configure(exchange, own=phone.url("200"))
    said = program("alerts", "retry").err
    assert program("alerts", "--json").json["undelivered"] == 1
    assert "1 notice waiting for a channel that is no longer configured" in said


def test_a_dead_letter_is_listed_and_taken_up_again(exchange: Served, phone: Receiver) -> None:
    configure(exchange, phone=phone.url("410"))
    happened(exchange, ("DRIFT", "KXA"))
    program("alerts", "retry")
    shown = program("alerts", "--json").json
    assert (shown["dead"], shown["letters"][0]["status"], shown["letters"][0]["code"]) == (1, "dead", "DRIFT")
    assert program("alerts", "retry", "--json").code == 0, "nothing waits: it is dead again"
    configure(exchange, phone=phone.url("200"))
    assert main(["alerts", "retry"]) == 0
    assert program("alerts", "--json").json["dead"] == 0
