"""`kalshi alerts add|prices|remove|run`, and the alerts that a loop checks: each fires once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.served import (
    CLOSED,
    EMPTY,
    ME,
    ONE_SIDED,
    TWO_SIDED,
    Served,
    Terminal,
    eventually,
    finish,
    program,
    said,
    start,
)

from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import Ts, cents
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.monitoring.price_alerts import PriceAlert, TopPrices
from kalshi_cli.services.trading.price_alerts import PriceAlertWatch
from kalshi_cli.store.user_files import PriceAlerts, price_alert_file


def left() -> list[tuple[str, str, str | None]]:
    return [(row["ticker"], row["kind"], row["price"]) for row in program("alerts", "prices", "--json").json]


def raised(*codes: str) -> list[tuple[str, str]]:
    rows = program("alerts", "--json").json["alerts"]
    return [(row["code"], row["subject"]) for row in rows if row["code"] in codes]


def running(exchange: Served, *words: str) -> subprocess.Popen[str]:
    return start(["alerts", "run", "--interval", "1s", *words], exchange.variables(), exchange.home)


def test_an_alert_says_when_it_fires_also_at_the_price_of_no(exchange: Served) -> None:
    above = program("alerts", "add", TWO_SIDED, "--above", "60c").err
    assert "the best YES bid is $0.60 or more: NO then costs $0.40 or less" in above


def test_an_alert_may_name_the_price_of_no(exchange: Served) -> None:
    above = program("alerts", "add", TWO_SIDED, "--above", "50c", "--no")
    assert "the best NO bid is $0.50 or more: YES then costs $0.50 or less" in above.err
    assert "met already, and fires with the next check: the best NO bid is $0.53" in " ".join(above.err.split())
    below = program("alerts", "add", TWO_SIDED, "--below", "40c", "--no").err
    assert "the best NO ask is $0.40 or less: YES then sells for $0.60 or more" in below
    assert "met already" not in below
    rows = program("alerts", "prices", "--json").json
    assert [(row["kind"], row["side"], row["price"]) for row in rows] == [
        ("above", "no", "0.5000"), ("below", "no", "0.4000"),
    ]  # fmt: skip
    refused = program("alerts", "run", "--duration", "2s", "--json")
    assert (refused.code, refused.error["message"]) == (
        2,
        "Each alert is printed as it fires, not as one JSON document",
    )
    ended = program("alerts", "run", "--interval", "1s", "--duration", "0.5s", "--format", "plain")
    assert re.fullmatch(r"\d\d:\d\d:\d\d \S+ PRICE_ALERT .*the best NO bid is \$0.53, at or above \$0.50\n", ended.out)
    assert "Stopped checking: 1 fired, 1 price or fill alert left" in " ".join(ended.err.split())
    assert program("alerts", "add", TWO_SIDED, "--fills", "--no").code == ExitCode.USAGE


@pytest.mark.usefixtures("exchange")
def test_an_alert_that_exists_is_not_added_again() -> None:
    words = ("alerts", "add", TWO_SIDED, "--above", "60c", "--json")
    first, again = program(*words), program(*words)
    assert (again.code, again.json["alert_id"]) == (0, first.json["alert_id"])
    assert f"Alert {first.json['alert_id']} is the same; none was added" in again.err
    assert program(*words[:-1], "--no", "--json").json["alert_id"] != first.json["alert_id"], "another side"
    assert len(program("alerts", "prices", "--json").json) == 2


def test_alerts_are_added_listed_and_removed(exchange: Served) -> None:
    added = program("alerts", "add", TWO_SIDED.lower(), "--above", "60c", "--json").json
    assert {name: added[name] for name in ("alert_id", "ticker", "kind", "price")} == {
        "alert_id": "1", "ticker": TWO_SIDED, "kind": "above", "price": "0.6000",
    }  # fmt: skip
    below = program("alerts", "add", TWO_SIDED, "--below", "0.30").err
    assert "the best YES ask is $0.30 or less: NO then sells for $0.70 or more" in below
    assert f"when an order of yours in {EMPTY} fills" in program("alerts", "add", EMPTY, "--fills").err
    assert left() == [(TWO_SIDED, "above", "0.6000"), (TWO_SIDED, "below", "0.3000"), (EMPTY, "fills", None)]
    assert program("alerts", "remove", "2", "9").code == ExitCode.REJECTED
    assert len(left()) == 3, "a wrong id removes nothing"
    assert program("alerts", "remove", "2", "--json").json[0]["alert_id"] == "2"
    assert [each[1] for each in left()] == ["above", "fills"]
    assert program("alerts", "add", TWO_SIDED, "--fills", "--json").json["alert_id"] == "4", "no id comes twice"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((TWO_SIDED,), ExitCode.USAGE),
        ((TWO_SIDED, "--above", "60c", "--fills"), ExitCode.USAGE),
        ((TWO_SIDED, "--above", "0"), ExitCode.USAGE),
        ((TWO_SIDED, "--below", "1.00"), ExitCode.USAGE),
        (("KXNONE-1", "--above", "60c"), ExitCode.REJECTED),
    ],
)
def test_an_alert_that_could_never_fire_is_refused(exchange: Served, words: tuple[str, ...], code: int) -> None:
    ended = program("alerts", "add", *words)
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert left() == []


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("what", [("--above", "60c"), ("--fills",)])
def test_an_alert_in_a_market_that_has_ended_is_refused(what: tuple[str, ...]) -> None:
    ended = program("alerts", "add", CLOSED, *what)
    assert (ended.code, ended.out) == (ExitCode.USAGE, ""), ended.err
    assert f"{CLOSED} is closed: trading has ended, and the alert could never fire" in " ".join(ended.err.split())
    assert left() == []


def test_what_is_due_fires_once_and_is_removed_and_nothing_is_placed(exchange: Served) -> None:
    program("alerts", "add", TWO_SIDED, "--above", "44c")
    program("alerts", "add", TWO_SIDED, "--above", "45c")
    program("alerts", "add", ONE_SIDED, "--below", "99c")
    program("alerts", "add", TWO_SIDED, "--fills")
    before = exchange.resting()
    run = running(exchange)
    try:
        eventually(lambda: (TWO_SIDED, "above", "0.4400") not in left())
        assert len(left()) == 3, "nobody offers in the second market, and nothing traded"
        exchange.submit("maker", TWO_SIDED, ASK, "0.4400", "1")
        exchange.submit(ME, TWO_SIDED, BID, "0.4700", "1", client_order_id="mine")
        eventually(lambda: (TWO_SIDED, "fills", None) not in left())
    finally:
        os.kill(run.pid, signal.SIGINT)
        ended = finish(run)
    assert ended.code == ExitCode.INTERRUPTED, ended.err
    assert left() == [(TWO_SIDED, "above", "0.4500"), (ONE_SIDED, "below", "0.9900")]
    assert ended.out.count("PRICE_ALERT") == ended.out.count("FILL_ALERT") == 1, ended.out
    assert sorted(raised("PRICE_ALERT", "FILL_ALERT")) == [
        ("FILL_ALERT", f"{TWO_SIDED} fills (alert 4)"), ("PRICE_ALERT", f"{TWO_SIDED} above $0.44 (alert 1)"),
    ]  # fmt: skip
    assert exchange.resting() == before


def test_prices_that_cannot_be_read_are_reported_at_once_and_again_when_they_can(exchange: Served) -> None:
    program("alerts", "add", TWO_SIDED, "--above", "99c")
    run = running(exchange)
    try:
        eventually(lambda: "Checking 1" in said(run))
        exchange.vanish()
        eventually(lambda: "cannot be checked" in said(run))
        assert run.poll() is None
    finally:
        run.kill()
        finish(run)


def test_two_alerts_that_differ_in_their_price_are_both_shown(exchange: Served) -> None:
    program("alerts", "add", TWO_SIDED, "--above", "43c")
    program("alerts", "add", TWO_SIDED, "--above", "44c")
    run = start_on_terminal(exchange, "alerts", "run", "--interval", "1s", "--duration", "0.5s")
    assert run.finish() == 0
    lines = run.text.replace("\r\n", "\n")
    assert max(map(len, lines.splitlines())) <= 80
    assert re.search(r"PRICE_ALERT \S+ above \$0\.44 \(alert 2\): the best YES bid is", " ".join(lines.split()))
    assert "\nbest YES bid" in lines or "\nYES bid" in lines or "\nbid is" in lines, "broken between words"
    assert len(raised("PRICE_ALERT")) == 2
    shown = start_on_terminal(exchange, "alerts")
    assert shown.finish() == 0
    words = " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.text).split())
    assert "severity" in words
    assert words.count(TWO_SIDED) == words.count("warning") == 2
    assert "above $0.43 (alert 1)" in words
    assert "above $0.44 (alert 2)" in words


def start_on_terminal(exchange: Served, *words: str) -> Terminal:
    variables = {**os.environ, **exchange.variables(), "TERM": "xterm-256color", "TZ": "UTC"}
    for name in ("COLUMNS", "LINES"):
        variables.pop(name, None)
    return Terminal(*words, env=variables, size=(80, 24))


def test_only_one_runs_for_an_account(exchange: Served) -> None:
    run = running(exchange)
    try:
        eventually(lambda: (exchange.state / "sim" / "alerts.lock").exists())
        other = eventually(lambda: (e := program("alerts", "run", "--interval", "1s")).code == ExitCode.INSTANCE and e)
        assert "already running" in other.err
    finally:
        run.terminate()
        assert finish(run).code == ExitCode.TERMINATED


def looped(exchange: Served) -> subprocess.Popen[str]:
    words = ["trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.3s", "--yes"]
    return start(words, exchange.variables(), exchange.home)


def test_a_loop_checks_the_markets_that_it_follows(exchange: Served) -> None:
    loop = looped(exchange)
    try:
        program("alerts", "add", TWO_SIDED, "--above", "44c")
        program("alerts", "add", ONE_SIDED, "--above", "1c")
        program("alerts", "add", TWO_SIDED, "--fills")
        eventually(lambda: len(left()) == 2 or loop.poll() is not None)
        assert left() == [(ONE_SIDED, "above", "0.0100"), (TWO_SIDED, "fills", None)], said(loop)
        exchange.submit(ME, TWO_SIDED, BID, "0.4700", "1", client_order_id="mine")
        eventually(lambda: len(left()) == 1 or loop.poll() is not None)
        assert left() == [(ONE_SIDED, "above", "0.0100")], said(loop)
        assert eventually(lambda: raised("PRICE_ALERT")) == [("PRICE_ALERT", f"{TWO_SIDED} above $0.44 (alert 1)")]
    finally:
        loop.kill()
        finish(loop)


def test_a_damaged_file_does_not_harm_a_loop(exchange: Served) -> None:
    path: Path = exchange.state / "sim" / "price_alerts.json"
    path.write_text("{")
    loop = looped(exchange)
    try:
        found: Any = eventually(lambda: loop.poll() is not None or (exchange.state / "sim" / "events.sock").exists())
        eventually(lambda: loop.poll() is not None or program("status", "--json").json["cycles"])
        assert found
        assert loop.poll() is None, said(loop)
    finally:
        loop.terminate()
        assert finish(loop).code == ExitCode.TERMINATED
    assert path.read_text() == "{"
    assert program("alerts", "prices").code == ExitCode.STATE


class Reader:
    """What a loop, or `kalshi alerts run`, would read: prices by market, and reasons for those without."""

    def __init__(self) -> None:
        self.unread: dict[str, str] = {}

    def __call__(self, alerts: tuple[PriceAlert, ...]) -> tuple[dict[str, TopPrices], dict[str, str]]:
        return {
            each.ticker: TopPrices(cents(90), None) for each in alerts if each.ticker not in self.unread
        }, self.unread


def an_alert(home: Path, ticker: str = "KXA-1") -> None:
    with price_alert_file(home).changing(SystemClock(), 5.0) as draft:
        alert = PriceAlert(alert_id="1", ticker=ticker, kind="above", price=cents(50), created=Ts(0))
        draft.value = PriceAlerts(2, (*draft.value.alerts, alert))


def test_an_alert_that_could_not_be_recorded_stays_and_fires_again(tmp_path: Path) -> None:
    an_alert(tmp_path)
    watch = PriceAlertWatch(tmp_path, (), SystemClock())
    cut_off = watch.look(Reader())
    assert next(cut_off).code == "PRICE_ALERT"
    cut_off.close()  # type: ignore[attr-defined]  # as an error while it is recorded does
    assert len(price_alert_file(tmp_path).read().alerts) == 1
    assert [alert.code for alert in watch.look(Reader())] == ["PRICE_ALERT"]
    assert price_alert_file(tmp_path).read().alerts == ()
    assert list(watch.look(Reader())) == []


def test_of_two_programs_only_one_fires_an_alert(tmp_path: Path) -> None:
    an_alert(tmp_path)
    one, other = (PriceAlertWatch(tmp_path, (), SystemClock()) for _ in range(2))
    first = one.look(Reader())
    assert next(first).code == "PRICE_ALERT"
    assert list(other.look(Reader())) == [], "the first one holds the file"
    assert list(first) == []
    assert list(other.look(Reader())) == []


def test_prices_unread_for_a_minute_and_a_damaged_file_are_alerts(tmp_path: Path) -> None:
    an_alert(tmp_path)
    clock, reader = ManualClock(Ts(1_780_000_000_000)), Reader()
    watch = PriceAlertWatch(tmp_path, (), clock)
    reader.unread = {"KXA-1": "the exchange does not answer"}
    assert list(watch.look(reader)) == []
    clock.advance(60)
    assert [(each.code, each.subject) for each in watch.look(reader)] == [("PRICE_ALERT_BLIND", "KXA-1")]
    (tmp_path / "price_alerts.json").write_text("{")
    assert [each.code for each in watch.look(reader)] == ["PRICE_ALERT_SIGHTED"]
    clock.advance(60)
    (alert,) = watch.look(reader)
    assert (alert.code, alert.subject) == ("PRICE_ALERT_BLIND", "price alerts")
    assert "damaged" in alert.text
