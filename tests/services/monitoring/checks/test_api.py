"""`kalshi check api` in its four states: what it measures itself, and what a loop left for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import KEY_ID, TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.request_traffic import RequestMinute
from kalshi_cli.store.sqlite_store import Store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FaultProxy]]:
    with (
        served(tmp_path_factory.mktemp("api"), clock_window_ms=3_600_000) as one,
        fault_proxy(one.server.rest_url) as proxy,
    ):
        yield one, proxy


@pytest.fixture
def proxy(shared: tuple[Served, FaultProxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    one, found = shared
    found.edits.clear()
    found.faults.clear()
    one.clock.shift_s = 0.0
    set_variables(monkeypatch, tmp_path, one.variables(found.moved(one.server.rest_url), home=tmp_path))
    monkeypatch.setenv("KALSHI_CHECKS__API_P99_MS__WARN", "60000")  # a slow machine is no slow exchange
    monkeypatch.setenv("KALSHI_CHECKS__API_P99_MS__CRIT", "60000")
    return found


def fail(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Nothing is answered as it should be, and what is not answered is given up soon."""
    if kind == "hung":
        monkeypatch.setenv("KALSHI_EXCHANGE__READ_TIMEOUT_S", "0.3")
        monkeypatch.setenv("KALSHI_EXCHANGE__TOTAL_TIMEOUT_S", "0.5")
    proxy.faults.append(replace(FAILURES[kind]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The state file of the account."""
    found = Store.open(tmp_path / "state" / "sim" / "state.db", account=KEY_ID, environment="sim")
    yield found
    found.close()


def check(*words: str) -> Ended:
    return program("check", "api", "--no-notify", "--json", *words)


def found(ended: Ended) -> tuple[int, list[tuple[str, str, str]]]:
    return ended.code, [(each["severity"], each["code"], each["subject"]) for each in ended.json["breaches"]]


def measures(ended: Ended) -> dict[str, float]:
    return {each["label"]: each["value"] for each in ended.json["measures"]}


def minute(ago: int = 0) -> int:
    return SystemClock().now() // 60_000 - ago


def test_an_exchange_that_answers_is_fine_and_ten_reads_say_so(proxy: FaultProxy) -> None:
    proxy.answers.clear()
    ended = check()
    assert found(ended) == (0, [])
    assert {answer.path.rpartition("/")[2] for answer in proxy.answers} == {"status", "balance"}
    assert len(proxy.answers) == 10
    assert measures(ended)["api_errors_pct"] == 0
    assert measures(ended)["clock_skew_s"] <= 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("-w", "0"), (1, "warning")), (("-c", "0"), (2, "critical"))],
)
def test_answers_that_take_too_long_are_held_against_the_range(
    proxy: FaultProxy, words: tuple[str, ...], expected: tuple[int, str]
) -> None:
    proxy.faults.append(Fault("delay", "GET", "/exchange/status", delay_s=0.05))
    ended = check(*words)
    assert found(ended) == (expected[0], [(expected[1], "API_SLOW", "requests")])
    assert ended.json["runbook"] == "api-guard"
    assert measures(ended)["api_p99_ms"] >= 50
    assert ended.json["breaches"][0]["value"].endswith("ms in the last 3 minutes")
    assert " ms in the last 3 minutes, 0 of 10 requests in the last hour failed" in ended.json["summary"]


@pytest.mark.parametrize(("failures", "code", "severity"), [(1, 1, "warning"), (3, 2, "critical")])
def test_requests_without_a_usable_answer_are_counted_each_try_of_them(
    proxy: FaultProxy, failures: int, code: int, severity: str
) -> None:
    proxy.faults.append(Fault("status_500", "GET", "", times=failures))
    assert found(check()) == (code, [(severity, "API_ERRORS", "requests")])


def test_an_exchange_that_answers_with_nothing_but_errors_is_critical(proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("status_500", "GET", "", times=1_000))
    ended = check()
    assert found(ended) == (2, [("critical", "API_ERRORS", "requests")])
    assert measures(ended)["api_errors_pct"] == 100


FAILURES = {
    "429": Fault("status", "GET", "", times=1_000, status=429, body=b'{"error": "too many requests"}'),
    "500": Fault("status_500", "GET", "", times=1_000),
    "hung": Fault("hang_request", "GET", "", times=1_000),
    "reset": Fault("reset", "GET", "", times=1_000),
    "cut short": Fault("truncate", "GET", "", times=1_000),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_check_that_saw_only_failures_is_critical_whatever_their_kind(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    fail(proxy, monkeypatch, kind)
    ended = check()
    assert ended.code == 2
    assert ("critical", "API_ERRORS", "requests") in found(ended)[1]


@pytest.mark.parametrize("kind", FAILURES)
def test_failures_now_are_critical_however_well_it_went_before(
    proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """One hour of good answers must not outweigh an exchange that has stopped answering."""
    store.add_traffic([RequestMinute(minute=minute(at), requests=300, p99_ms=40) for at in range(4, 60)])
    fail(proxy, monkeypatch, kind)
    ended = check()
    assert (ended.code, ("critical", "API_ERRORS", "requests") in found(ended)[1]) == (2, True)


@pytest.mark.parametrize("kind", FAILURES)
def test_where_only_the_loop_gets_answers_the_check_could_not_find_out(
    proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    store.add_traffic([RequestMinute(minute=minute(at), requests=3_000, p99_ms=40) for at in range(60)])
    fail(proxy, monkeypatch, kind)
    assert found(check()) == (3, [("unknown", "COULD_NOT_LOOK", "requests")])


def test_requests_that_never_left_say_nothing_about_the_exchange(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("KALSHI_REST_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/trade-api/v2")
        assert found(check()) == (3, [("unknown", "COULD_NOT_LOOK", "requests")])


def test_a_probe_that_was_cut_off_by_the_rate_limit_is_unknown(proxy: FaultProxy) -> None:
    fault = replace(FAILURES["429"], nth=3)
    proxy.faults.append(fault)
    ended = check()
    assert fault.hits > 3
    assert found(ended) == (3, [("unknown", "COULD_NOT_LOOK", "requests")])


@pytest.mark.parametrize(("kind", "is_limited"), [("429", True), ("500", False)])
@pytest.mark.parametrize("nth", [1, 3])
def test_a_refusal_for_the_rate_limit_is_named_once_with_what_to_do(
    proxy: FaultProxy, kind: str, nth: int, *, is_limited: bool
) -> None:
    proxy.faults.append(replace(FAILURES[kind], nth=nth))
    said = [
        each["value"] for each in check().json["breaches"] if "(429): stop other programs of this key" in each["value"]
    ]
    assert len(said) == is_limited


def test_what_the_loop_counted_decides_also_where_we_get_no_answer(proxy: FaultProxy, store: Store) -> None:
    store.add_traffic([RequestMinute(minute=minute(at), requests=30, failures=15, p99_ms=40) for at in range(12)])
    assert found(check()) == (2, [("critical", "API_ERRORS", "requests")])
    proxy.faults.append(Fault("reset", "GET", "", times=1_000))
    ended = check()
    assert ended.code == 2
    assert ("unknown", "COULD_NOT_LOOK", "requests") in found(ended)[1]


def test_what_is_over_is_a_warning_for_a_while(proxy: FaultProxy, store: Store) -> None:
    bad = [RequestMinute(minute=minute(at), requests=30, failures=15) for at in range(10, 14)]
    store.add_traffic([*bad, *(RequestMinute(minute=minute(at), requests=30) for at in range(10))])
    assert found(check()) == (1, [("warning", "API_ERRORS", "requests")])


def test_a_percentile_of_a_loop_counts_while_it_is_new(proxy: FaultProxy, store: Store) -> None:
    store.add_traffic([RequestMinute(minute=minute(10), requests=30, p99_ms=90_000)])
    assert check().code == 0
    store.add_traffic([RequestMinute(minute=minute(), requests=30, p99_ms=90_000)])
    ended = check()
    assert (found(ended), measures(ended)["api_p99_ms"]) == ((2, [("critical", "API_SLOW", "requests")]), 90_000)


@pytest.mark.parametrize(("ago_s", "code"), [(9, 0), (301, 2)])
def test_the_percentile_of_a_loop_does_not_repeat_that_it_was_blind(
    proxy: FaultProxy, store: Store, ago_s: int, code: int
) -> None:
    store.add_traffic([RequestMinute(minute=minute(), requests=30, p99_ms=90_000)])
    sighted = Ts(SystemClock().now() - ago_s * 1_000)
    store.record(AlertRaised(sighted, "info", "SIGHTED", "account", "readable again"))
    assert check().code == code
    proxy.faults.append(Fault("reset", "GET", "", times=1_000))
    assert check().code >= 2, "requests without a response are reported all the same"


def test_the_failures_of_a_loop_do_not_repeat_that_it_was_blind(proxy: FaultProxy, store: Store) -> None:
    store.add_traffic([RequestMinute(minute=minute(at), requests=30, failures=15) for at in range(2, 4)])
    assert found(check()) == (2, [("critical", "API_ERRORS", "requests")])
    for ago, code in ((3, "BLIND"), (2, "SIGHTED")):
        store.record(AlertRaised(Ts(minute(ago) * 60_000), "critical", code, "account", ""))
    assert (check().code, measures(check())["api_errors_pct"]) == (0, 0)
    proxy.faults.append(Fault("status_500", "GET", "", times=3))
    assert found(check()) == (2, [("critical", "API_ERRORS", "requests")])


@pytest.mark.parametrize(("shift_s", "code", "severity"), [(3.5, 1, "warning"), (-30.0, 2, "critical")])
def test_a_clock_that_is_off_is_told(
    shared: tuple[Served, FaultProxy], proxy: FaultProxy, shift_s: float, code: int, severity: str
) -> None:
    shared[0].clock.shift_s = shift_s
    ended = check()
    assert found(ended) == (code, [(severity, "CLOCK", "clock")])
    assert ended.json["runbook"] == "clock-skew"


def test_a_request_refused_for_its_time_is_the_clock_and_not_the_key(proxy: FaultProxy) -> None:
    body = b'{"error": {"code": "header_timestamp_expired", "message": "header timestamp expired"}}'
    proxy.faults.append(Fault("status", "GET", r"/portfolio/balance", times=1_000, status=401, body=body))
    ended = check()
    assert found(ended) == (2, [("critical", "CLOCK", "clock")])
    assert ended.json["runbook"] == "clock-skew"
    other = program("check", "balance", "--no-notify", "--json")
    assert [(each["severity"], each["code"]) for each in other.json["breaches"]] == [("unknown", "CLOCK")]


def test_a_key_that_is_refused_is_critical_and_one_that_is_missing_is_unknown(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-00000000dead")
    ended = check()
    assert found(ended) == (2, [("critical", "CREDENTIALS", "key")])
    assert ended.json["runbook"] == "credentials-refused"
    assert "10 of 10 requests in the last hour failed" in ended.json["summary"]
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    assert check().code == 3


def test_a_loop_leaves_what_it_counted_also_on_paper(proxy: FaultProxy, tmp_path: Path) -> None:
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.1s", "--duration", "0.3s")
    for more, home in (((), "sim"), (("--paper",), "sim-paper")):
        proxy.answers.clear()
        assert program(*words, *more).code == 0
        account = "paper" if more else KEY_ID
        with Store.open(tmp_path / "state" / home / "state.db", account=account, environment="sim") as left:
            counted = left.traffic(SystemClock().now() - 3_600_000)  # type: ignore[arg-type]
        # What comes after the last cycle, to leave nothing behind, is not in it.
        assert 0 < sum(each.requests for each in counted) <= len(proxy.answers)
        assert all(each.p99_ms is not None and each.failures == 0 for each in counted)
