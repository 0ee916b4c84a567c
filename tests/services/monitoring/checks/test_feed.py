"""`kalshi check feed` in its four states: of a loop by what it wrote down, and without one by trying the stream."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.fault_proxy import FaultProxy, fault_proxy
from support.served import (
    KEY_ID,
    TWO_SIDED,
    Ended,
    Served,
    eventually,
    finish,
    program,
    served,
    set_variables,
    start,
)

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.request_traffic import RequestMinute
from kalshi_cli.services.monitoring import health
from kalshi_cli.store.lock import LockHolder, lock
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FaultProxy]]:
    with served(tmp_path_factory.mktemp("feed")) as one, fault_proxy(one.server.rest_url) as proxy:
        yield one, proxy


@pytest.fixture
def variables(shared: tuple[Served, FaultProxy], tmp_path: Path) -> dict[str, str]:
    one, proxy = shared
    proxy.edits.clear()
    proxy.faults.clear()
    proxy.mend_stream()
    return one.variables(proxy.moved(one.server.rest_url), proxy.moved(one.server.ws_url), home=tmp_path)


@pytest.fixture
def proxy(
    shared: tuple[Served, FaultProxy], variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FaultProxy:
    one, found = shared
    one.call(lambda: one.exchange.resume(one.clock.now()))
    set_variables(monkeypatch, tmp_path, variables)
    return found


@pytest.fixture
def store(proxy: FaultProxy, tmp_path: Path) -> Iterator[Store]:
    """The state file of the account."""
    found = Store.open(tmp_path / "state" / "sim" / "state.db", account=KEY_ID, environment="sim")
    yield found
    found.close()


@pytest.fixture
def running(store: Store, tmp_path: Path) -> Iterator[None]:
    """A loop holds the account."""
    with lock(tmp_path / "state" / "sim" / "trade.lock", SystemClock()):
        yield


def beat(store: Store, ago_s: float = 0.0, **changes: Any) -> None:
    """The loop completed a cycle."""
    now = SystemClock().now()
    fields: dict[str, Any] = {
        "run_id": "r", "pid": os.getpid(), "mode": "sim", "strategy": "spike", "started": Ts(now - 3_600_000),
        "completed": Ts(now - int(ago_s * 1000)), "cycles": 10, "is_running": True, "feed_age_ms": 500,
        "feed_lag_ms": 20,
    }  # fmt: skip
    store.beat(Heartbeat(**(fields | changes)))


def check(*words: str) -> Ended:
    return program("check", "feed", "--no-notify", "--json", *words)


def found(ended: Ended) -> tuple[int, list[tuple[str, str, str]]]:
    return ended.code, [(each["severity"], each["code"], each["subject"]) for each in ended.json["breaches"]]


def measures(ended: Ended) -> dict[str, float]:
    return {each["label"]: each["value"] for each in ended.json["measures"]}


# -- of a loop ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("running")
def test_a_loop_that_hears_is_fine(store: Store) -> None:
    beat(store)
    ended = check("-w", "100", "-c", "200")
    assert found(ended) == (0, [])
    assert set(measures(ended)) == {"feed_age_s", "feed_lag_ms", "feed_gaps", "no_book"}
    assert measures(ended)["feed_lag_ms"] == 20


@pytest.mark.parametrize(
    ("ago_s", "feed_age_ms", "code"), [(0.0, 15_000, 1), (0.0, 90_000, 2), (90.0, 500, 2), (0.0, None, 2)]
)
@pytest.mark.usefixtures("running")
def test_the_age_of_the_last_message_counts_with_that_of_the_cycle(
    store: Store, ago_s: float, feed_age_ms: int | None, code: int
) -> None:
    beat(store, ago_s, feed_age_ms=feed_age_ms)
    ended = check()
    severity = {1: "warning", 2: "critical"}[code]
    assert found(ended) == (code, [(severity, "FEED_STALE", "stream")])
    assert ended.json["runbook"] == "feed-stale"


@pytest.mark.usefixtures("running")
def test_a_loop_with_the_longest_interval_is_not_called_deaf_between_two_cycles(store: Store) -> None:
    beat(store, 9.0, feed_age_ms=5_000)
    assert measures(check())["feed_age_s"] < 14


@pytest.mark.parametrize(("lag_ms", "code"), [(3_000, 1), (20_000, 2)])
@pytest.mark.usefixtures("running")
def test_messages_that_come_late_are_told(store: Store, lag_ms: int, code: int) -> None:
    beat(store, feed_lag_ms=lag_ms)
    ended = check("-w", "100", "-c", "200")
    assert (ended.code, found(ended)[1][0][1:]) == (code, ("FEED_LATE", "stream"))


@pytest.mark.usefixtures("running")
def test_markets_without_a_book_are_named_and_a_stream_that_does_not_hold_is_told(store: Store) -> None:
    beat(store, no_book="KXA-1: no snapshot yet; KXA-2: it broke; and 3 more")
    store.add_traffic([RequestMinute(minute=SystemClock().now() // 60_000, gaps=6)])
    ended = check("-w", "100", "-c", "200")
    assert found(ended) == (
        1,
        [
            ("warning", "FEED_GAPS", "stream"),
            ("warning", "BOOK_MISSING", "KXA-1"),
            ("warning", "BOOK_MISSING", "KXA-2"),
        ],
    )
    assert measures(ended)["no_book"] == 5


@pytest.mark.parametrize(("started_ago_s", "opened_ago_s", "code"), [(5, 900, 0), (900, 5, 0), (900, 900, 1)])
@pytest.mark.usefixtures("running")
def test_a_market_or_a_loop_that_has_only_just_begun_need_not_have_a_book_yet(
    store: Store, proxy: FaultProxy, started_ago_s: int, opened_ago_s: int, code: int
) -> None:
    now = SystemClock().now()

    def opened(body: Any) -> Any:
        for market in body["markets"]:
            market["open_time"] = format_ts(Ts(now - opened_ago_s * 1000))
        return body

    proxy.edits[r"/markets\?"] = opened
    beat(store, started=Ts(now - started_ago_s * 1000), no_book=f"{TWO_SIDED}: no snapshot yet")
    assert found(check("-w", "100", "-c", "200")) == (
        code, [("warning" if code else "note", "BOOK_MISSING", TWO_SIDED)],
    )  # fmt: skip


@pytest.mark.usefixtures("running")
def test_a_loop_that_cannot_read_the_account_is_blind_until_it_can(store: Store) -> None:
    beat(store)
    now = SystemClock().now()
    store.record(AlertRaised(Ts(now - 5_000), "critical", "BLIND", "account", "why"))
    assert found(check("-w", "100", "-c", "200")) == (2, [("critical", "BLIND", "account")])
    store.record(AlertRaised(now, "info", "SIGHTED", "account", "again"))
    assert check("-w", "100", "-c", "200").code == 0


@pytest.mark.usefixtures("running")
def test_quiet_while_the_exchange_is_paused_is_no_incident(store: Store, shared: tuple[Served, FaultProxy]) -> None:
    one, _ = shared
    beat(store, feed_age_ms=90_000, no_book="KXA-1: no snapshot yet")
    one.call(lambda: one.exchange.pause("trading", one.clock.now()))
    ended = check()
    assert (ended.code, "trading is paused" in ended.json["summary"]) == (0, True)
    assert {breach["severity"] for breach in ended.json["breaches"]} == {"note"}


@pytest.mark.usefixtures("running")
def test_a_loop_that_starts_is_not_judged_by_the_run_before(store: Store) -> None:
    beat(store, 10_000.0, is_running=False)
    ended = check()
    assert (ended.code, ended.json["summary"]) == (0, "The loop has not completed a cycle yet")


def test_a_loop_that_never_completes_a_cycle_is_unknown(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "state" / "sim" / "trade.lock"
    for started, code in ((SystemClock().now() - 25_000, 0), (SystemClock().now() - 31_000, 3), (None, 3)):
        with lock(path, SystemClock()):
            path.write_bytes(msgspec.json.encode(LockHolder(os.getpid(), started)))  # type: ignore[arg-type]
            ended = check()
        assert found(ended) == (code, [("unknown", "COULD_NOT_LOOK", "stream")] if code else [])
        assert "The loop has not completed a cycle yet" in ended.json["summary"]


def test_a_broken_state_file_is_unknown(proxy: FaultProxy, tmp_path: Path) -> None:
    path = tmp_path / "state" / "sim" / "state.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no state file " * 500)
    assert found(check()) == (3, [("unknown", "STATE_UNUSABLE", "feed")])


def test_the_loop_on_paper_polls_its_books_without_a_key(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked of the exchange: what a loop without a stream left is enough."""
    monkeypatch.setenv("KALSHI_ENV", "demo")
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    home = tmp_path / "state" / "demo-paper"
    with (
        lock(home / "trade.lock", SystemClock()),
        Store.open(home / "state.db", account="paper", environment="demo") as paper,
    ):
        beat(paper, mode="paper", feed_age_ms=None, feed_lag_ms=None)
        ended = check("--paper", "-w", "100", "-c", "200")
    assert (ended.code, ended.json["summary"].partition(",")[0]) == (0, "order books are polled"), ended


# -- in `health-check` --------------------------------------------------------------------------------------------


def feeds() -> tuple[str, str]:
    """The status and the detail of the line about feeds."""
    (row,) = [row for row in program("health-check", "--json").json if row["check"] == "feeds"]
    return row["status"], row["detail"]


@pytest.mark.parametrize(
    ("ago_s", "feed_age_ms", "status", "detail"),
    [
        (0.0, 500, "OK", "last message"),
        (0.0, 15_000, "WARNING", "(limit 10 s)"),
        (0.0, 90_000, "CRITICAL", "(limit 60 s)"),
        (90.0, 500, "CRITICAL", "the loop is stalled, last cycle"),
        (0.0, None, "CRITICAL", "last message 36"),
    ],
)
@pytest.mark.usefixtures("running")
def test_the_health_check_measures_the_feed_against_now_as_the_check_does(
    store: Store, ago_s: float, feed_age_ms: int | None, status: str, detail: str
) -> None:
    beat(store, ago_s, feed_age_ms=feed_age_ms, cycles=1_000)
    found = feeds()
    assert (found[0], detail in found[1]) == (status, True), found
    if status != "OK":
        assert program("health-check").code == {"WARNING": 1, "CRITICAL": 2}[status]


@pytest.mark.usefixtures("running")
def test_a_loop_that_hangs_is_not_healthy_however_wide_the_range(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_CHECKS__FEED_AGE_S__WARN", "5000")
    monkeypatch.setenv("KALSHI_CHECKS__FEED_AGE_S__CRIT", "5000")
    beat(store, 90.0, cycles=1_000)
    assert feeds()[0] == "WARNING"


@pytest.mark.usefixtures("running")
def test_the_health_check_names_a_market_without_a_book(store: Store) -> None:
    beat(store, no_book="KXA-1: gap")
    assert feeds() == ("WARNING", "no usable order book: KXA-1: gap")


@pytest.mark.usefixtures("running")
def test_a_pause_of_the_exchange_excuses_a_silent_feed_but_not_a_loop_that_hangs(
    store: Store, shared: tuple[Served, FaultProxy]
) -> None:
    one, _ = shared
    one.call(lambda: one.exchange.pause("trading", one.clock.now()))
    beat(store, feed_age_ms=90_000)
    found = feeds()
    assert (found[0], "trading is paused" in found[1]) == ("OK", True), found
    beat(store, 90.0, cycles=1_000)
    assert feeds()[0] == "CRITICAL"


def test_a_loop_without_a_cycle_is_healthy_only_while_it_starts(store: Store, tmp_path: Path) -> None:
    beat(store, 10_000.0, is_running=False)
    path = tmp_path / "state" / "sim" / "trade.lock"
    for started, status in ((SystemClock().now(), "OK"), (SystemClock().now() - 31_000, "UNKNOWN"), (None, "UNKNOWN")):
        with lock(path, SystemClock()):
            path.write_bytes(msgspec.json.encode(LockHolder(os.getpid(), started)))  # type: ignore[arg-type]
            assert feeds() == (status, "the loop has not completed a cycle yet")
    assert feeds() == ("OK", "no trading loop is running, so there is no feed")


# -- without a loop -----------------------------------------------------------------------------------------------


def test_without_a_loop_a_stream_that_answers_is_fine(proxy: FaultProxy) -> None:
    ended = check()
    assert (found(ended), ended.json["summary"]) == (
        (0, []), "no trading loop is running; stream: connected and subscribed",
    )  # fmt: skip


def test_without_a_loop_a_stream_that_does_not_answer_is_critical_but_for_a_pause(
    proxy: FaultProxy, shared: tuple[Served, FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "STREAM_WITHIN_S", 0.8)
    proxy.cut_stream()
    one, _ = shared
    assert found(check()) == (2, [("critical", "FEED_DOWN", "stream")])
    one.call(lambda: one.exchange.pause("exchange", one.clock.now()))
    ended = check()
    assert (ended.code, "the exchange is paused" in ended.json["summary"]) == (0, True)


def test_without_a_loop_and_a_key_it_is_unknown(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    ended = check()
    assert ended.code == 3


# -- with a loop in another process -------------------------------------------------------------------------------


def test_all_of_them_look_at_a_loop_of_another_process(
    proxy: FaultProxy, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_CHECKS__API_P99_MS__WARN", "60000")  # a slow machine is no slow exchange
    monkeypatch.setenv("KALSHI_CHECKS__API_P99_MS__CRIT", "60000")
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.2s")
    loop = start(words, variables, tmp_path)
    try:
        wide = ("-w", "60", "-c", "120")
        eventually(lambda: "last message" in check(*wide).json["summary"])
        eventually(lambda: check(*wide).code == 0)
        for name in ("api", "orders", "errors"):
            ended = program("check", name, "--no-notify", "--json")
            assert ended.code == 0, ended.out
        eventually(lambda: measures(program("check", "feed", "--no-notify", "--json", *wide))["no_book"] == 0)
    finally:
        loop.send_signal(signal.SIGTERM)
        ended = finish(loop)
    assert ended.code in (0, 143), ended.err
