"""`kalshi check schema`, typed as a person or a monitoring system would, against an exchange behind a proxy."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.notice_receiver import receiving
from support.served import KEY_ID, TWO_SIDED, Served, bare_variables, finish, program, served, set_variables, start

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.store.lock import lock
from kalshi_cli.store.sqlite_store import Store

CHECK = ("check", "schema")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FaultProxy]]:
    with served(tmp_path_factory.mktemp("schema")) as one, fault_proxy(one.server.rest_url) as proxy:
        one.trade_a_little()
        yield one, proxy


@pytest.fixture
def proxy(shared: tuple[Served, FaultProxy], monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """The way to the exchange; what a test bends is straight again in the next."""
    one, found = shared
    found.edits.clear()
    found.faults.clear()
    found.mend_stream()
    set_variables(
        monkeypatch, one.home, one.variables(found.moved(one.server.rest_url), found.moved(one.server.ws_url))
    )
    return found


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own for state and configuration."""
    for name, value in bare_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def first(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    """Do something to the first item of a list in a body."""

    def edit(body: Any) -> Any:
        change(body[name][0])
        return body

    return edit


def test_an_exchange_as_it_should_be_is_ok_in_one_line(proxy: FaultProxy) -> None:
    ended = program(*CHECK)
    assert (ended.code, ended.err) == (0, "")
    line, _, measures = ended.out.rstrip("\n").partition(" | ")
    assert line.startswith("KALSHI SCHEMA OK - ")
    assert "\n" not in measures
    values = dict(measure.split("=") for measure in measures.split())
    assert values["missing"] == "0;;0"
    assert int(values["routes"].rstrip(";")) > 50


def test_a_missing_field_is_critical_and_named(proxy: FaultProxy) -> None:
    proxy.edits[r"/portfolio/fills\?"] = first("fills", lambda fill: fill.pop("fee_cost"))
    ended = program(*CHECK, "--json")
    assert ended.code == 2
    report = ended.json
    assert (report["check"], report["status"], report["exit_code"]) == ("schema", "CRITICAL", 2)
    assert report["runbook"] == "schema"
    (breach,) = report["breaches"]
    assert breach["subject"] == "GET /portfolio/fills.fills[].fee_cost"
    assert (breach["code"], breach["severity"]) == ("MISSING_FIELD", "critical")
    assert set(breach) == {"subject", "value", "limit", "severity", "code"}


def test_what_is_new_is_a_note_and_the_check_is_ok(proxy: FaultProxy) -> None:
    def news(fill: dict[str, Any]) -> None:
        fill["mood"], fill["side"] = "good", "maybe"

    proxy.edits[r"/portfolio/fills\?"] = first("fills", news)
    ended = program(*CHECK, "--json")
    assert ended.code == 0
    assert [breach["code"] for breach in ended.json["breaches"]] == ["UNKNOWN_FIELD", "NEW_VALUE"]
    assert program(*CHECK).out.splitlines()[0].startswith("KALSHI SCHEMA OK - ")


def test_hostile_names_reach_the_terminal_harmless(proxy: FaultProxy) -> None:
    proxy.edits[r"/portfolio/fills\?"] = first("fills", lambda fill: fill.update({"\x1b[31m[/]\u202eevil": 1}))
    for form in ("table", "plain", "json", "csv"):
        ended = program(*CHECK, "--format", form)
        assert ended.code == 0
        assert not set("\x1b\u202e") & set(ended.out + ended.err)


def test_many_findings_are_cut_in_print_and_whole_in_json(proxy: FaultProxy) -> None:
    def emptied(body: Any) -> Any:
        body["fills"] = [{}]
        body["mood"] = "good"
        return body

    proxy.edits[r"/portfolio/(fills|orders)\?"] = emptied
    proxy.edits[r"/portfolio/balance"] = lambda _body: {}
    proxy.edits[r"/markets/[^/]*$"] = lambda _body: {"market": {}}
    printed, whole = program(*CHECK), program(*CHECK, "--json").json
    assert printed.code == 2
    assert len(printed.out.splitlines()) <= 20
    assert f"and {len(whole['breaches']) - 15} more" in printed.err


def test_an_exchange_that_cannot_be_reached_is_unknown_not_ok(proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("reset", "GET", "", times=1_000))
    ended = program(*CHECK, "--json")
    assert ended.code == 3
    assert ended.json["status"] == "UNKNOWN"


def test_a_stream_that_does_not_answer_is_unknown_not_ok(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kalshi_cli.services.monitoring.schema_check.LISTEN_S", 0.5)
    proxy.cut_stream()
    ended = program(*CHECK, "--json")
    assert ended.code == 3
    assert [breach["subject"] for breach in ended.json["breaches"]] == ["stream"]


def test_without_a_key_public_routes_can_still_be_checked(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    assert program(*CHECK).code == 3
    assert program(*CHECK, "--public").code == 0


def test_it_changes_nothing_and_leaves_no_state_behind(proxy: FaultProxy, shared: tuple[Served, FaultProxy]) -> None:
    one, _ = shared
    before = one.resting()
    proxy.answers.clear()
    assert program(*CHECK).code == 0
    assert one.resting() == before
    assert not list(one.state.rglob("state.db"))
    writes = [(answer.method, answer.status) for answer in proxy.answers if answer.method != "GET"]
    assert writes == [("DELETE", 410), ("POST", 410)]


def test_it_is_as_good_where_writes_are_switched_off(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_READ_ONLY", "1")
    proxy.answers.clear()
    assert program(*CHECK).code == 0
    assert {answer.method for answer in proxy.answers} == {"GET"}


def test_a_configuration_that_cannot_be_read_is_unknown(proxy: FaultProxy, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("risk: [")
    ended = program("--config", tmp_path / "config.yaml", *CHECK)
    assert (ended.code, ended.out.partition(" - ")[0]) == (3, "KALSHI SCHEMA UNKNOWN")
    assert "config.yaml" in ended.err.splitlines()[-2]
    assert program(*CHECK, "--nonsense").code == 3


def test_whatever_holds_it_up_it_ends_in_time_and_says_so(tmp_path: Path) -> None:
    """An exchange that takes connections and says nothing, and somebody who configured a lot of patience."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        variables = {
            "KALSHI_REST_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/trade-api/v2",
            "KALSHI_EXCHANGE__READ_TIMEOUT_S": "10",
            "KALSHI_EXCHANGE__TOTAL_TIMEOUT_S": "10",
            **bare_variables(tmp_path),
        }
        words = [*CHECK, "--public", "--within", "1s"]
        ended = finish(start([*words, "--json"], variables, tmp_path), within_s=30.0)
        assert (ended.code, ended.json["status"]) == (3, "UNKNOWN")
        assert ended.json["runbook"] in ("schema", "could-not-look")


def test_what_it_finds_is_told_once_and_its_end_too(proxy: FaultProxy, bare: Path) -> None:
    proxy.edits[r"/portfolio/fills\?"] = first("fills", lambda fill: fill.pop("fee_cost"))
    with receiving() as sink:
        words = (*CHECK, "--notify", sink.url)
        assert [program(*words).code, program(*words).code, program(*words, "--no-notify").code] == [2, 2, 2]
        proxy.edits.clear()
        assert program(*words).code == 0
    assert sink.changes == [("firing", "MISSING_FIELD"), ("resolved", "MISSING_FIELD")]
    assert sink.notices[0]["subject"] == "GET /portfolio/fills.fills[].fee_cost"


def test_what_is_only_new_is_told_nobody(proxy: FaultProxy, bare: Path) -> None:
    proxy.edits[r"/portfolio/fills\?"] = first("fills", lambda fill: fill.update({"mood": "good"}))
    with receiving() as sink:
        assert program(*CHECK, "--notify", sink.url).code == 0
    assert sink.changes == []


def test_two_of_them_do_not_run_at_the_same_time(proxy: FaultProxy, bare: Path) -> None:
    with lock(bare / "state" / "sim" / "checks" / "schema.lock", SystemClock()):
        proxy.answers.clear()
        ended = program(*CHECK)
        assert (ended.code, "already running" in ended.out, proxy.answers) == (3, True, [])
    assert "already running" not in program(*CHECK).out


def test_it_has_no_number_for_a_range(proxy: FaultProxy) -> None:
    for option in ("-w", "-c"):
        ended = program(*CHECK, option, "5")
        assert (ended.code, "No such option" in ended.err) == (3, True)


def test_a_route_that_announces_its_end_is_said_in_normal_use(proxy: FaultProxy) -> None:
    proxy.headers["Sunset"] = "Wed, 02 Dec 2026 00:00:00 GMT"
    try:
        ended = program("market", TWO_SIDED)
    finally:
        proxy.headers.clear()
    assert ended.code == 0
    assert f"CRITICAL ROUTE_ENDS GET /markets/{TWO_SIDED}" in ended.err
    assert "Sunset: Wed, 02 Dec 2026 00:00:00 GMT" in ended.err


def test_a_route_that_announces_its_end_is_an_alert_of_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path) as one, fault_proxy(one.server.rest_url) as way:
        set_variables(monkeypatch, one.home, one.variables(way.moved(one.server.rest_url)))
        way.headers["Deprecation"] = "@1796083200"
        ended = program("trade", "--strategy", "spike", "--interval", "0.1s", "--duration", "0.2s")
        assert ended.code == 0, ended.err
        store = Store.open(one.state / "sim" / "state.db", account=KEY_ID, environment="sim", create=False)
        alerts = [alert for alert in store.alerts() if alert.code == "ROUTE_ENDS"]
        store.close()
    assert {"GET /portfolio/fills", "GET /portfolio/orders"} <= {alert.subject for alert in alerts}
    assert {alert.tier for alert in alerts} == {"critical"}
    assert ended.err.count("ROUTE_ENDS GET /portfolio/fills:") == 1
