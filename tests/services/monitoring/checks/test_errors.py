"""`kalshi check errors` in its four states: what a loop recorded, and sinks that did not take an alert."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.notice_receiver import receiving
from support.served import KEY_ID, Ended, Served, program, served, set_variables

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.error_check import OVER_MS
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.store.lock import lock
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import Halt, Heartbeat
from kalshi_cli.store.sqlite_store import Store

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("errors")) as found:
        yield found


@pytest.fixture(autouse=True)
def place(one: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, tmp_path, one.variables(home=tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The state file of the account."""
    found = Store.open(tmp_path / "state" / "sim" / "state.db", account=KEY_ID, environment="sim")
    yield found
    found.close()


def check(*words: str) -> Ended:
    return program("check", "errors", "--json", *(words or ("--no-notify",)))


def found(ended: Ended) -> list[tuple[str, str, str]]:
    return [(each["severity"], each["code"], each["subject"]) for each in ended.json["breaches"]]


def alarm(store: Store, code: str = "BLIND", subject: str = "account", ago_ms: int = 1_000) -> None:
    store.record(AlertRaised(Ts(SystemClock().now() - ago_ms), "critical", code, subject, "why"))


def test_where_nothing_was_recorded_all_is_fine() -> None:
    ended = check()
    assert (ended.code, ended.json["summary"]) == (0, "no trading loop is running; 0 errors in the last hour")


def test_of_a_loop_that_runs_nothing_else_is_said(store: Store, tmp_path: Path) -> None:
    with lock(tmp_path / "state" / "sim" / "trade.lock", SystemClock()):
        assert check().json["summary"] == "0 errors in the last hour"


def test_what_is_older_than_an_hour_or_no_error_is_fine(store: Store) -> None:
    alarm(store, ago_ms=HOUR_MS + 1_000)
    store.record(AlertRaised(SystemClock().now(), "warning", "FEED_DOWN", "stream", "why"))
    assert check().code == 0


@pytest.mark.parametrize(("count", "code", "severity"), [(3, 1, "warning"), (11, 2, "critical")])
def test_errors_of_the_last_hour_warn_and_many_are_critical(store: Store, count: int, code: int, severity: str) -> None:
    for _ in range(count):
        alarm(store)
    ended = check()
    assert (ended.code, found(ended)) == (code, [(severity, "RECENT_ERRORS", "BLIND account")])
    assert ended.json["breaches"][0]["value"].startswith(f"{count} times, last at ")
    assert check("--no-notify", "-w", "20", "-c", "30").code == 0


def test_a_strategy_that_the_loop_runs_on_without_is_critical_however_long_ago(store: Store, tmp_path: Path) -> None:
    now = SystemClock().now()
    alarm(store, "STRATEGY_FAILED", "spike", ago_ms=2 * HOUR_MS)
    cycle = Heartbeat(
        run_id="r", pid=os.getpid(), mode="sim", strategy="spike", started=Ts(now - 3 * HOUR_MS), completed=now,
        cycles=10, is_running=True,
    )  # fmt: skip
    store.beat(cycle)
    assert check().code == 0  # no loop is there any more
    with lock(tmp_path / "state" / "sim" / "trade.lock", SystemClock()):
        ended = check()
    assert found(ended) == [("critical", "STRATEGY_OUT", "spike")]
    assert " by STRATEGY_FAILED: " in ended.json["breaches"][0]["value"]


@pytest.mark.parametrize("is_told", [True, False])
def test_a_strategy_that_failed_is_told_once_by_the_loop_or_by_the_check(
    store: Store, tmp_path: Path, *, is_told: bool
) -> None:
    now = SystemClock().now()
    cycle = Heartbeat(
        run_id="r", pid=os.getpid(), mode="sim", strategy="spike", started=Ts(now - 60_000), completed=now, cycles=10,
        is_running=True,
    )  # fmt: skip
    store.beat(cycle)
    with receiving() as sink, lock(tmp_path / "state" / "sim" / "trade.lock", SystemClock()):
        if is_told:  # The dispatcher of the loop sends it; any look does.
            check("--notify", sink.url)
        alarm(store, "STRATEGY_FAILED", "spike")
        if is_told:
            program("check", "disk", "--notify", sink.url)
        assert [found(check("--notify", sink.url))[0] for _ in range(2)] == [("critical", "STRATEGY_OUT", "spike")] * 2
        told = [code for kind, code in sink.changes if code.startswith("STRATEGY")]
        assert told == ["STRATEGY_FAILED", *([] if is_told else ["STRATEGY_OUT"])], "no check is before both"
        store.beat(replace(cycle, run_id="s", started=Ts(SystemClock().now() + 1)))
        check("--notify", sink.url)
    assert sink.changes[-1] == ("resolved", told[-1])


def test_a_sink_that_did_not_take_an_alert_warns(tmp_path: Path, store: Store) -> None:
    with receiving() as sink:
        sink.status = 410
        assert program("check", "balance", "-c", "5000:", "--notify", sink.url).code == 2
        ended = check()
        ((severity, code, subject),) = found(ended)
        assert (ended.code, severity, code) == (1, "warning", "ALERT_UNDELIVERED")
        assert subject in ended.json["summary"]
    assert ended.json["runbook"] == "alert-undelivered"


def waiting(store: Store, tier: str, ago_s: int, *channels: str) -> None:
    """A notice of that age waits for these channels."""
    then = Ts(SystemClock().now() - ago_s * 1_000)
    notice = Notice(
        notice_id="n", kind="firing", tier=tier, event="error", code="BLIND", subject="account", text="why",
        env="sim", since=then, ts=then,
    )  # fmt: skip
    for channel in channels:
        store.alert_book.post(notice, channel, then)


@pytest.mark.parametrize(("minutes", "code"), [(14, 0), (16, 1)])
def test_an_alert_that_waits_for_longer_than_any_pause_between_two_tries_warns(
    store: Store, minutes: int, code: int
) -> None:
    waiting(store, "warning", minutes * 60, "me")
    ended = check()
    assert (ended.code, found(ended)) == (code, [("warning", "ALERT_UNDELIVERED", "me")] if code else [])


@pytest.mark.parametrize(("ago_s", "code"), [(0, 0), (61, 1)])
def test_a_critical_alert_that_no_channel_accepted_within_a_minute_warns(store: Store, ago_s: int, code: int) -> None:
    waiting(store, "critical", ago_s, "me")
    ended = check()
    assert (ended.code, found(ended)) == (code, [("warning", "ALERT_UNDELIVERED", "me")] if code else [])


def test_a_critical_alert_that_one_channel_accepted_may_wait_for_another(store: Store) -> None:
    waiting(store, "critical", 61, "me", "you")
    letter, state = store.alert_book.claim_notice(["you"], SystemClock().now()) or pytest.fail("nothing waits")
    store.alert_book.settle(replace(letter, status="delivered"), replace(state, claimed_until=Ts(0)))
    assert check().code == 0


@pytest.mark.parametrize(("failures", "code"), [(2, 0), (3, 1)])
def test_a_channel_that_keeps_failing_warns_as_its_alert_does(
    store: Store, tmp_path: Path, failures: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text("alerts: {channels: {me: {url: 'http://127.0.0.1:9/x'}}}")
    (tmp_path / "config.yaml").chmod(0o600)
    monkeypatch.setenv("KALSHI_CONFIG", str(tmp_path / "config.yaml"))
    waiting(store, "warning", 1, "me")
    letter, state = store.alert_book.claim_notice(["me"], SystemClock().now()) or pytest.fail("nothing waits")
    store.alert_book.settle(letter, replace(state, claimed_until=Ts(0), failures=failures, error="status 500"))
    ended = check()
    assert (ended.code, found(ended)) == (code, [("warning", "ALERT_UNDELIVERED", "me")] if code else []), ended.err


@pytest.mark.parametrize("code", ["PAUSED", "DAILY_LOSS"])
def test_what_a_resume_settled_stays_settled_in_a_later_pause_or_halt(store: Store, tmp_path: Path, code: str) -> None:
    now = SystemClock().now()
    alarm(store, "GROUP_TRIGGERED", "g", ago_ms=3_000)
    alarm(store, "CLOCK", ago_ms=2 * OVER_MS)
    store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "looked", Ts(now - 2_000)))
    assert check().code == 0
    program("check", "disk", "--notify", "http://127.0.0.1:9/x")  # it takes note of the resume
    if code == "PAUSED":
        pause(tmp_path / "state" / "sim", "lunch")
    else:
        store.set_halt(Halt(TradingState.HALTED, code, "why", SystemClock().now()))
    assert found(check()) == []


def test_errors_are_shown_and_not_told_again_to_those_who_heard_of_them(store: Store) -> None:
    alarm(store)
    with receiving() as sink:
        assert [check("--notify", sink.url).code for _ in range(2)] == [1, 1]
        told = [code for kind, code in sink.changes if kind == "firing"]
    assert (told.count("BLIND"), told.count("RECENT_ERRORS")) == (1, 0)


def test_a_broken_state_file_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sim" / "state.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no state file " * 500)
    ended = check()
    assert (ended.code, found(ended)) == (3, [("unknown", "STATE_UNUSABLE", "errors")])


def test_the_loop_on_paper_has_errors_of_its_own(tmp_path: Path, store: Store) -> None:
    with Store.open(tmp_path / "state" / "sim-paper" / "state.db", account="paper", environment="sim") as paper:
        alarm(paper)
    assert (check("--no-notify", "--paper").code, check().code) == (1, 0)
