"""What every check has in common: its line, its ranges, its turn, its time, and who hears of it."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.notice_receiver import Receiver, receiving
from support.served import KEY_ID, Served, finish, program, served, set_variables, start

from kalshi_cli.app.environment import opened
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.commands.check import MIN_TIME_S, WITHIN_S, left_s, show, show_unknown
from kalshi_cli.cli.global_options import GlobalOptions
from kalshi_cli.cli.screen.output import Format
from kalshi_cli.config.limits import digest_of
from kalshi_cli.config.sources import load
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Verdict, breach, report
from kalshi_cli.services.monitoring import check_notices, check_runner
from kalshi_cli.services.monitoring.alerting import LOOP_LIMITS
from kalshi_cli.services.monitoring.alerts import alerting
from kalshi_cli.services.monitoring.check_notices import keep_sent
from kalshi_cli.services.monitoring.check_runner import ALL, run_checks
from kalshi_cli.services.monitoring.check_turns import MAX_SKIPPED
from kalshi_cli.services.monitoring.checks.readings import CheckRequest
from kalshi_cli.services.monitoring.open_alerts import SentBreach
from kalshi_cli.services.resources import Home
from kalshi_cli.store import database
from kalshi_cli.store.database import BUSY_TIMEOUT_MS
from kalshi_cli.store.lock import lock
from kalshi_cli.store.sqlite_store import Store

CHECK = ("check", "balance")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FaultProxy]]:
    with served(tmp_path_factory.mktemp("frame")) as one, fault_proxy(one.server.rest_url) as proxy:
        yield one, proxy


@pytest.fixture
def proxy(shared: tuple[Served, FaultProxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """The way to the exchange, straight again in each test, and a state directory of its own."""
    one, found = shared
    found.edits.clear()
    found.faults.clear()
    set_variables(monkeypatch, tmp_path, one.variables(found.moved(one.server.rest_url), home=tmp_path))
    return found


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "sim"


def cut(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, path: str = "") -> None:
    """Nothing gets an answer any more, and it is given up soon: a check that came near its deadline would end this
    process."""
    monkeypatch.setenv("KALSHI_EXCHANGE__TOTAL_TIMEOUT_S", "0.5")
    proxy.faults.append(Fault("reset", "GET", path, times=1_000))


# -- what is shown ------------------------------------------------------------------------------------------------


def test_the_first_line_is_for_machines_and_all_of_it_is_plain(proxy: FaultProxy) -> None:
    ended = program(*CHECK)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "KALSHI BALANCE OK - cash $1,000.00, value at last prices $0.00 | cash_usd=1000;;\n"


def test_ranges_of_the_line_take_the_place_of_the_configured(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_CHECKS__CASH_USD__WARN", "2000:")
    warned, lifted = program(*CHECK), program(*CHECK, "-w", "500:")
    assert (warned.code, lifted.code) == (1, 0)
    critical = program(*CHECK, "-c", "@500:1500", "--json")
    assert (critical.code, critical.json["status"]) == (2, "CRITICAL")
    assert critical.json["breaches"] == [
        {"subject": "cash", "value": "$1,000.00", "limit": "@500:1500", "severity": "critical", "code": "LOW_BALANCE"}
    ]
    (measure,) = critical.json["measures"]
    assert measure == {
        "label": "cash_usd", "value": 1000.0, "text": "1000.0000", "unit": "", "warn": "2000:", "crit": "@500:1500",
    }  # fmt: skip
    assert critical.json["runbook"] == "low-balance"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-w", "5:x"), "Invalid range"),
        (("--nonsense",), "No such option"),
        (("--config", "none.yaml"), "No configuration file"),
    ],
)
def test_what_was_typed_wrong_is_unknown_in_one_line_and_not_a_verdict(
    proxy: FaultProxy, words: tuple[str, ...], why: str
) -> None:
    ended = program(*CHECK, *words)
    assert ended.code == 3
    assert ended.out.startswith("KALSHI BALANCE UNKNOWN - ")
    assert len(ended.out.splitlines()) == 1
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert why in line
    as_json = program(*CHECK, *words, "--json")
    assert (as_json.code, as_json.json["status"], as_json.error["exit_code"]) == (3, "UNKNOWN", 3)


def test_a_check_that_does_not_exist_is_unknown(proxy: FaultProxy) -> None:
    ended = program("check", "balanse")
    assert (ended.code, ended.out.partition(" - ")[0]) == (3, "KALSHI BALANSE UNKNOWN")
    assert "balance" in ended.err
    ended = program("check", "--format", "plain", "nope")
    assert (ended.code, ended.out.partition(" - ")[0]) == (3, "KALSHI NOPE UNKNOWN")
    assert "positions" in ended.err


def test_no_name_is_no_verdict(proxy: FaultProxy) -> None:
    ended = program("check")
    assert (ended.code, ended.out.splitlines()[0]) == (3, "KALSHI CHECK UNKNOWN - Usage: kalshi check NAME")


def test_a_breach_is_a_line_that_nothing_pads_or_cuts(proxy: FaultProxy) -> None:
    ended = program(*CHECK, "-c", "5000:", "--no-notify")
    assert ended.out.splitlines()[1] == "CRITICAL LOW_BALANCE cash: $1,000.00 (limit 5000:)"
    assert ended.out.startswith("KALSHI BALANCE CRITICAL - LOW_BALANCE cash: $1,000.00 (limit 5000:); cash $1,000.00")


# -- all ----------------------------------------------------------------------------------------------------------


def test_all_is_the_worst_of_each_in_a_line_each(proxy: FaultProxy) -> None:
    ended = program("check", "all", "--no-notify")
    assert ended.code == 2
    first, *lines = ended.out.splitlines()
    assert first.startswith("KALSHI ALL CRITICAL - ")
    assert "heartbeat" in first.partition(" | ")[0]
    assert [line.partition(":")[0].split()[1] for line in lines[: len(ALL)]] == [*ALL]
    assert len(ended.out.splitlines()) + len(ended.err.splitlines()) <= 20


def test_all_reads_what_it_shares_once(proxy: FaultProxy) -> None:
    proxy.answers.clear()
    assert program("check", "all", "--no-notify", "--json").json["check"] == "all"
    asked = [answer.path.partition("?")[0] for answer in proxy.answers]
    assert asked.count("/trade-api/v2/portfolio/fills") == 1
    assert asked.count("/trade-api/v2/portfolio/orders") == 1


def test_all_in_json_has_the_outcome_of_each(proxy: FaultProxy) -> None:
    found = program("check", "all", "--no-notify", "--json").json
    each = {check["check"]: check for check in found["checks"]}
    assert set(each) == {*ALL}
    assert (each["balance"]["status"], each["heartbeat"]["status"]) == ("OK", "CRITICAL")
    assert each["heartbeat"]["breaches"][0]["code"] == "HEARTBEAT_LOST"


def test_an_exchange_that_does_not_answer_is_asked_once_and_everything_about_it_is_unknown(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    balance = Fault("reset", "GET", "balance", times=1_000)
    proxy.faults.append(balance)
    cut(proxy, monkeypatch)
    found = program("check", "all", "--no-notify", "--json").json
    assert balance.hits == 0
    status = {check["check"]: check["status"] for check in found["checks"]}
    assert {status[name] for name in ("positions", "pnl", "balance")} == {"UNKNOWN"}
    assert status["heartbeat"] == "CRITICAL"


# -- turns --------------------------------------------------------------------------------------------------------


def test_runs_that_find_one_at_work_are_unknown_and_critical_if_there_are_too_many(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path
) -> None:
    words = (*CHECK, "--notify", sink.url)
    with lock(state(tmp_path) / "checks" / "balance.lock", SystemClock()):
        for _ in range(MAX_SKIPPED):
            ended = program(*words)
            assert (ended.code, ended.out.partition(" (pid ")[0]) == (3, "KALSHI BALANCE UNKNOWN - already running")
            assert f"(pid {os.getpid()}" in ended.out
        assert program("check", "positions").code == 0
        ended = program(*words, "--json")
        assert (ended.code, [breach["code"] for breach in ended.json["breaches"]]) == (2, ["CHECK_SKIPPED"])
    assert (program(*words).code, program(*words).code) == (0, 0)
    with lock(state(tmp_path) / "checks" / "balance.lock", SystemClock()):
        again = program(*words, "--json")  # they are counted anew
        assert (again.code, again.json["status"], again.json["runbook"]) == (3, "UNKNOWN", "could-not-look")
    assert sink.changes == [("firing", "CHECK_SKIPPED"), ("resolved", "CHECK_SKIPPED")]


def test_a_check_that_may_not_lock_still_looks(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_STATE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no directory")
    ended = program(*CHECK, "--no-notify")
    assert (ended.code, ended.out.partition(" - ")[0]) == (0, "KALSHI BALANCE OK")
    assert "may overlap" in ended.err


# -- time ---------------------------------------------------------------------------------------------------------


def test_an_exchange_that_takes_requests_and_says_nothing_is_unknown_in_time(
    tmp_path: Path, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("KALSHI_REST_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/trade-api/v2")
        monkeypatch.setenv("KALSHI_EXCHANGE__TOTAL_TIMEOUT_S", "0.5")
        ended = program("check", "positions", "--no-notify", "--json")
    assert (ended.code, ended.json["status"]) == (3, "UNKNOWN")
    assert ended.json["breaches"][0]["code"] == "COULD_NOT_LOOK"


def test_nobody_who_reads_holds_a_check_up(proxy: FaultProxy, tmp_path: Path) -> None:
    """Its output goes into a pipe that is full."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 65_536)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    try:
        process = start([*CHECK, "--no-notify", "--within", "1s"], dict(os.environ), tmp_path, stdout=writing)
        assert finish(process).code == 3
    finally:
        os.close(reading)
        os.close(writing)


def silent_exchange(monkeypatch: pytest.MonkeyPatch, silent: socket.socket) -> None:
    """Whoever connects is taken, and hears nothing, for REST and for the stream."""
    port = silent.getsockname()[1]
    monkeypatch.setenv("KALSHI_REST_URL", f"http://127.0.0.1:{port}/trade-api/v2")
    monkeypatch.setenv("KALSHI_WS_URL", f"ws://127.0.0.1:{port}/trade-api/ws/v2")


def test_where_the_exchange_hangs_what_is_known_without_it_is_shown_and_told(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_exchange(monkeypatch, silent)
        words, began_s = ["check", "all", "--json", "--notify", sink.url], SystemClock().monotonic()
        ended = finish(start(words, dict(os.environ), tmp_path), within_s=30.0)
        assert SystemClock().monotonic() - began_s < 15.0, "what is promised to monitoring systems"
    status = {each["check"]: each["status"] for each in ended.json["checks"]}
    assert (ended.code, status["heartbeat"], status["errors"]) == (2, "CRITICAL", "OK")
    assert {status[name] for name in ("exchange", "positions", "balance")} == {"UNKNOWN"}
    assert status["api"] == "CRITICAL", "whether the exchange answers is its whole question"
    assert status["feed"] in ("CRITICAL", "UNKNOWN"), "a busy machine may have no time left to try the stream"
    assert ("firing", "HEARTBEAT_LOST") in sink.changes


def test_the_time_of_a_check_counts_from_the_start_of_the_program() -> None:
    assert (left_s(13.0, 5.0), left_s(13.0, 0.0), left_s(13.0, 60.0)) == (8.0, 13.0, MIN_TIME_S)
    assert GlobalOptions(started_s=SystemClock().monotonic() - 5.0).age_s >= 5.0
    assert GlobalOptions().age_s == 0.0, "a call within another program"


def test_a_program_that_came_up_late_has_little_left_to_look(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = (
        "import sys; from kalshi_cli.base.clock import SystemClock; from kalshi_cli.cli.main import main; "
        "sys.exit(main(started_s=SystemClock().monotonic() - 300))"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_exchange(monkeypatch, silent)
        for limit in ("READ", "TOTAL"):
            monkeypatch.setenv(f"KALSHI_EXCHANGE__{limit}_TIMEOUT_S", "120")
        words = [sys.executable, "-c", late, *CHECK, "--within", "300s", "--no-notify"]
        ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert (ended.returncode, ended.stdout.partition(" - ")[0]) == (3, "KALSHI BALANCE UNKNOWN")


def held_up(name: str, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A check of this name that comes back only once that is said."""
    go_on, module = threading.Event(), ModuleType(name)
    module.__dict__["examine"] = lambda _readings: (go_on.wait(60), report(name, "looked"))[1]
    monkeypatch.setitem(sys.modules, f"kalshi_cli.services.monitoring.checks.{name}", module)
    return go_on


def test_a_look_that_is_held_up_loses_nothing_of_what_the_others_found(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is held up by: here by nothing that any limit of ours knows of."""
    go_on = held_up("held", monkeypatch)
    monkeypatch.setattr(check_runner, "KNOWING", 0.2)
    shown: list[CheckReport] = []
    left: list[Verdict] = []

    def leave(verdict: Verdict) -> None:
        left.append(verdict)
        go_on.set()

    def show(_whole: CheckReport, parts: Sequence[CheckReport]) -> None:
        shown.extend(parts)

    with opened(load(None, dict(os.environ), {}), lambda _text: None) as app:
        wanted = CheckRequest(name="all", checks=("heartbeat", "held", "errors"), within_s=10.0, notify=sink.url)
        verdict = run_checks(app, wanted, show, leave)
    assert (verdict, left) == (Verdict.CRITICAL, [Verdict.CRITICAL])
    assert [(each.check, each.verdict.name) for each in shown] == [
        ("heartbeat", "CRITICAL"), ("held", "UNKNOWN"), ("errors", "UNKNOWN"),
    ]  # fmt: skip
    assert sink.changes == [("firing", "HEARTBEAT_LOST")]
    assert (state(tmp_path) / "checks" / "all.counts").exists()


def test_a_disk_that_is_full_takes_nothing_from_the_verdict(proxy: FaultProxy, sink: Receiver, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        words = [*CHECK, "-w", "5000:", "--notify", sink.url]
        ended = finish(start(words, dict(os.environ), tmp_path, stdout=full.fileno()))
        assert (ended.code, "Could not write the result" in ended.err, "Traceback" in ended.err) == (1, True, False)
        assert sink.changes == [("firing", "LOW_BALANCE")]
        ended = finish(start([*CHECK, "--nonsense"], dict(os.environ), tmp_path, stdout=full.fileno()))
        assert (ended.code, "Traceback" in ended.err) == (3, False)


def test_a_check_that_is_told_to_end_is_unknown(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_exchange(monkeypatch, silent)
        process = start(["check", "feed", "--no-notify"], dict(os.environ), tmp_path)
        taken, _ = silent.accept()  # it looks
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
        taken.close()
    assert (ended.code, ended.out) == (3, "KALSHI FEED UNKNOWN - terminated\n")


# -- who hears of it ----------------------------------------------------------------------------------------------


def test_a_breach_is_told_once_and_once_when_it_is_over(proxy: FaultProxy, sink: Receiver) -> None:
    words = (*CHECK, "--notify", sink.url)
    codes = [program(*words, "-c", limit).code for limit in ("5000:", "5000:", "5:")]
    assert codes == [2, 2, 0]
    assert sink.changes == [("firing", "LOW_BALANCE"), ("resolved", "LOW_BALANCE")]
    first = sink.notices[0]
    assert (first["tier"], first["subject"], first["value"], first["limit"]) == (
        "critical", "cash", "$1,000.00", "5000:",
    )  # fmt: skip
    assert (first["runbook"], first["command"]) == ("low-balance", "kalshi balance")


def test_the_sinks_of_the_configuration_hear_of_it(proxy: FaultProxy, sink: Receiver, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"alerts:\n  channels:\n    me:\n      url: {sink.url}\n")
    (tmp_path / "config.yaml").chmod(0o600)
    assert program(*CHECK, "-w", "5000:").code == 1
    assert sink.changes == [("firing", "LOW_BALANCE")]


def test_nobody_hears_of_it_and_nothing_is_kept_where_that_is_wished(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path
) -> None:
    assert program(*CHECK, "-c", "5000:", "--notify", sink.url, "--no-notify").code == 2
    assert program(*CHECK, "-c", "5000:").code == 2
    assert sink.notices == []
    assert not (state(tmp_path) / "state.db").exists()


def test_the_verdict_does_not_depend_on_who_could_be_told(proxy: FaultProxy, sink: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ended = program(*CHECK, "-w", "5000:", "--notify", f"http://127.0.0.1:{port}/secret-path")
    assert (ended.code, ended.out.splitlines()[0].partition(" - ")[0]) == (1, "KALSHI BALANCE WARNING")
    (line,) = [line for line in ended.err.splitlines() if "Not delivered" in line]
    assert "secret-path" not in line
    sink.status = 410
    assert program(*CHECK, "-w", "5:", "--notify", sink.url).code == 0


def test_not_having_been_able_to_look_is_told_the_second_time_and_ends_nothing(
    proxy: FaultProxy, sink: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*CHECK, "--notify", sink.url)
    assert program(*words, "-w", "5000:").code == 1
    cut(proxy, monkeypatch)
    assert [program(*words).code, len(sink.notices)] == [3, 1]
    assert [program(*words).code, len(sink.notices)] == [3, 2]
    proxy.faults.clear()
    monkeypatch.delenv("KALSHI_EXCHANGE__TOTAL_TIMEOUT_S")
    assert program(*words, "-w", "5000:").code == 1
    assert sink.changes == [("firing", "LOW_BALANCE"), ("firing", "COULD_NOT_LOOK"), ("resolved", "COULD_NOT_LOOK")]


def test_where_the_state_file_is_broken_it_is_told_all_the_same_and_again_after_a_while(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state(tmp_path) / "checks").mkdir(parents=True)
    (state(tmp_path) / "checks" / "sent-directly.json").write_bytes(b'{"\xff": 1}')  # damaged as well
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    words = (*CHECK, "-w", "5000:", "--notify", sink.url)
    ended = program(*words)
    assert (ended.code, "Alert history unavailable" in ended.err) == (1, True)
    assert program(*words).code == 1
    assert sink.changes == [("firing", "LOW_BALANCE")], "it was sent a moment ago"
    assert "repeated at most every 240 minutes because the state file cannot be used" in sink.notices[0]["text"]
    monkeypatch.setenv("KALSHI_ALERTS__REPEAT_S", "0.001")
    assert program(*words).code == 1
    assert sink.changes == [("firing", "LOW_BALANCE")] * 2
    (state(tmp_path) / "state.db").unlink()
    assert program(*words).code == 1, "with a state file it is sent and kept there"
    assert not (state(tmp_path) / "checks" / "sent-directly.json").exists()


def test_what_was_sent_before_the_state_file_became_unusable_is_not_sent_again_without_it(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_ALERTS__CHANNELS__PHONE__URL", sink.url)
    monkeypatch.setenv("KALSHI_CHECKS__CASH_USD__WARN", "5000:")
    assert program(*CHECK).code == 1
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    assert program(*CHECK).code == 1
    assert sink.changes == [("firing", "LOW_BALANCE")], "it was sent a moment ago, through the state file"
    monkeypatch.setenv("KALSHI_CHECKS__CASH_USD__CRIT", "5000:")
    assert program(*CHECK).code == 2
    assert sink.changes == [("firing", "LOW_BALANCE")] * 2, "a graver one is sent"


def test_two_programs_that_send_without_a_state_file_at_once_keep_what_both_sent(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path
) -> None:
    (state(tmp_path) / "checks").mkdir(parents=True)
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    home, slow = Home(folder=state(tmp_path), account="", name="live"), breach("warning", "API_SLOW", "api", "9ms", "1")
    sink.before_answer = lambda _: keep_sent(home, "check api", slow, SystemClock().now(), ["phone"])
    words = (*CHECK, "-w", "5000:", "--notify", sink.url)
    assert program(*words).code == 1
    kept = (state(tmp_path) / "checks" / "sent-directly.json").read_text()
    assert ("LOW_BALANCE" in kept, "API_SLOW" in kept) == (True, True)


def test_what_another_program_sends_without_the_state_file_during_a_delivery_is_not_forgotten(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path
) -> None:
    home, slow = Home(folder=state(tmp_path), account="", name="live"), breach("warning", "API_SLOW", "api", "9ms", "1")
    sink.before_answer = lambda _: keep_sent(home, "check api", slow, SystemClock().now(), ["phone"])
    assert program(*CHECK, "-w", "5000:", "--notify", sink.url).code == 1
    assert "API_SLOW" in (state(tmp_path) / "checks" / "sent-directly.json").read_text()


def test_where_that_disk_takes_no_file_the_temporary_directory_bounds_repeats_and_the_notice_says_how_often(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other disk"
    other.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(other))
    (state(tmp_path) / "checks" / "sent-directly.json").mkdir(parents=True)
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    words = (*CHECK, "-w", "5000:", "--notify", sink.url)
    assert [program(*words).code for _ in range(2)] == [1, 1]
    assert sink.changes == [("firing", "LOW_BALANCE")]
    assert "repeated at most every 240 minutes" in sink.notices[0]["text"]
    monkeypatch.setattr("tempfile.tempdir", str(state(tmp_path) / "state.db"))
    assert [program(*words).code for _ in range(2)] == [1, 1]
    assert sink.changes == [("firing", "LOW_BALANCE")] * 3
    assert "repeated at every run, without an end, because the state file" in sink.notices[-1]["text"]


def test_a_file_in_the_temporary_directory_from_a_full_disk_hides_no_newer_one(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other disk").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "other disk"))
    blocker = state(tmp_path) / "checks" / "sent-directly.json"
    blocker.mkdir(parents=True)
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    words = (*CHECK, "-w", "5000:", "--notify", sink.url)
    assert program(*words).code == 1
    blocker.rmdir()
    monkeypatch.setenv("KALSHI_ALERTS__REPEAT_S", "0.001")
    assert program(*words).code == 1
    (older,) = (tmp_path / "other disk").rglob("sent-directly.json")
    newer = msgspec.json.decode(blocker.read_bytes(), type=list[SentBreach])
    old = [msgspec.structs.replace(each, at=Ts(each.at - 3_600_000)) for each in newer]
    older.write_bytes(msgspec.json.encode(old))
    monkeypatch.setenv("KALSHI_ALERTS__REPEAT_S", "1800")
    assert program(*words).code == 1
    assert sink.changes == [("firing", "LOW_BALANCE")] * 2, "it was sent a moment ago"


def wait_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a state file that another program holds to the end."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    for module in (check_notices, check_runner):
        monkeypatch.setattr(module, "BUSY_MS", 50)


def test_a_state_file_that_is_locked_holds_a_check_up_for_a_moment_only(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 2_000 * WITHIN_S > 3 * BUSY_TIMEOUT_MS, "the usual wait leaves time for the rest"
    wait_briefly(monkeypatch)
    assert program("check", "pnl", "--notify", sink.url).code == 0
    with closing(sqlite3.connect(state(tmp_path) / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ended = program("check", "pnl", "--notify", sink.url, "--json")
    assert (ended.code, ended.json["breaches"][0]["code"]) == (3, "STATE_UNUSABLE")
    assert "Alert history unavailable, so this alert may be a repeat\n" in ended.err, "the finding says why"


def test_a_loop_on_paper_needs_no_key_to_be_told_of(
    proxy: FaultProxy, sink: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    words = ("check", "heartbeat", "--paper", "--notify", sink.url)
    assert [program(*words).code, program(*words).code] == [2, 2]
    assert sink.changes == [("firing", "HEARTBEAT_LOST")]


def test_a_doubt_is_told_without_the_state_file_too_and_not_the_first(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path
) -> None:
    state(tmp_path).mkdir(parents=True, exist_ok=True)
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    words = ("check", "drift", "--notify", sink.url)
    assert [program(*words).code, len(sink.notices)] == [3, 0]
    assert [program(*words).code, sink.changes] == [3, [("firing", "STATE_UNUSABLE")]]


def test_a_damaged_state_file_is_critical_at_once_for_channels_where_a_loop_may_have_traded(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path
) -> None:
    with lock(state(tmp_path) / "trade.lock", SystemClock()):
        pass  # as a killed loop leaves it
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    ended = program("check", "heartbeat", "--notify", sink.url, "--json")
    assert (ended.code, ended.json["status"]) == (3, "UNKNOWN"), "the check could not look"
    (notice,) = sink.notices
    assert (notice["code"], notice["tier"], notice["runbook"]) == ("STATE_UNUSABLE", "critical", "state-file")
    assert "may be unmanaged" in notice["text"]


def test_the_first_check_with_a_usable_state_file_sends_the_end_of_what_was_sent_without_one(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path
) -> None:
    with lock(state(tmp_path) / "trade.lock", SystemClock()):
        pass
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    words = ("check", "heartbeat", "--allow-stopped", "--notify", sink.url)
    assert program(*words).code == 3
    (state(tmp_path) / "state.db").unlink()
    assert [program(*words).code for _ in range(2)] == [0, 0]
    assert sink.changes == [("firing", "STATE_UNUSABLE"), ("resolved", "STATE_UNUSABLE")]
    assert len({(each["key"], each["subject"]) for each in sink.notices}) == 1, "an incident tool closes what it opened"


def test_what_was_sent_without_a_state_file_is_not_listed_as_undelivered(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_CHECKS__CASH_USD__CRIT", "1000000:")
    state(tmp_path).mkdir(parents=True, exist_ok=True)
    (state(tmp_path) / "state.db").write_bytes(b"this is no state file" * 100)
    assert program("check", "balance", "--notify", sink.url).code == 2
    (state(tmp_path) / "state.db").unlink()
    assert program("check", "balance", "--notify", sink.url).code == 2
    assert sink.changes == [("firing", "LOW_BALANCE")]
    (alert,) = program("alerts", "--json").json["alerts"]
    assert (alert["code"], alert["state"], alert["told"] is not None) == ("LOW_BALANCE", "firing", True)


def test_a_state_directory_that_cannot_be_looked_into_is_one_report_and_not_critical(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of another user; a name that is too long stops root too."""
    monkeypatch.setenv("KALSHI_STATE", str(tmp_path / ("x" * 300)))
    ended = program("check", "heartbeat", "--notify", sink.url)
    assert (ended.code, ended.out.count("KALSHI HEARTBEAT UNKNOWN")) == (3, 1)
    assert [each["tier"] for each in sink.notices] == ["warning"]
    assert "error: " not in ended.err


def test_a_state_file_that_is_locked_for_a_moment_is_not_critical_and_one_that_stays_locked_is(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_briefly(monkeypatch)
    assert program("check", "pnl", "--no-notify").code == 0
    with lock(state(tmp_path) / "trade.lock", SystemClock()):
        pass
    tiers = []
    with closing(sqlite3.connect(state(tmp_path) / "state.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            assert program("check", "pnl", "--notify", sink.url).code == 3
            tiers.append([each["tier"] for each in sink.notices])
    assert tiers == [[], ["critical"]]


def test_bounds_of_the_line_never_stop_trading_and_what_they_found_stops_it_once_the_configured_do(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_ALERTS__ON_CRITICAL", "pause")
    words, pause = ("check", "positions", "--notify", sink.url), state(tmp_path) / ".pause"
    assert program(*words).code == 0
    assert [program(*words, "-c", "~:-1").code for _ in range(2)] == [2, 2]
    assert (sink.changes, pause.exists()) == ([("event", "EXPOSURE")] * 2, False), "no end follows"
    assert [notice["tier"] for notice in sink.notices] == ["critical", "critical"]
    monkeypatch.setenv("KALSHI_CHECKS__LIMIT_USED_PCT__CRIT", "~:-1")
    assert (program(*words).code, pause.exists()) == (2, True)


def test_a_limit_that_only_a_check_has_never_stops_a_loop_and_is_named_with_its_source(
    proxy: FaultProxy, sink: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_ALERTS__ON_CRITICAL", "pause")
    words, pause = ("check", "positions", "--notify", sink.url), state(tmp_path) / ".pause"
    assert program(*words).code == 0
    with Store.open(state(tmp_path) / "state.db", account=KEY_ID, environment="sim") as store:
        store.alert_book.set_mark(LOOP_LIMITS, digest_of({}))  # as a loop does at its start
    monkeypatch.setenv("KALSHI_CHECKS__LIMIT_USED_PCT__CRIT", "~:-1")
    ended = program(*words)
    assert (ended.code, pause.exists(), sink.changes) == (2, False, [("event", "EXPOSURE")])
    assert "checks.limit_used_pct.crit (variable KALSHI_CHECKS__LIMIT_USED_PCT__CRIT)" in " ".join(ended.err.split())
    with opened(load(None, dict(os.environ), {}), print) as resources, alerting(resources) as loop:
        loop.begin(0)
    assert (program(*words).code, pause.exists()) == (2, True), "the loop has the same limit"


# -- a bare environment -------------------------------------------------------------------------------------------


def test_cron_s_environment_is_enough(tmp_path: Path) -> None:
    """No HOME, no TZ, no PATH, no terminal, a relative path: the exchange is our own."""
    words = [Path(sys.executable).with_name("kalshi"), "check", "all", "--allow-stopped", "--state", "here"]
    ended = subprocess.run(words, env={}, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)  # type: ignore[arg-type]
    assert (ended.returncode, ended.stdout.partition(" - ")[0]) == (0, "KALSHI ALL OK"), ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr
    assert (tmp_path / "here" / "sim" / "checks").is_dir()


def test_what_is_missing_in_cron_s_environment_is_named(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    monkeypatch.delenv("HOME")
    ended = program(*CHECK)
    assert (ended.code, ended.out.partition(" - ")[0]) == (3, "KALSHI BALANCE UNKNOWN")
    assert "API key" in ended.out


def test_a_terminal_shows_findings_last_and_names_them_below(capsys: pytest.CaptureFixture[str]) -> None:
    lost = Breach(subject="the loop", value="never ran", limit="a loop", severity="critical", code="HEARTBEAT_LOST")
    parts = (report("heartbeat", "none", [lost]), report("disk", "free"), report("pnl", "none"))
    show(report("all", "2 of 3 OK", [lost]), Format.TABLE, parts)
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()[1:4]] == ["disk", "pnl", "heartbeat"]
    assert "CRITICAL: heartbeat; 2 of 3 checks OK\n" in shown.err
    late = msgspec.structs.replace(lost, severity="warning", code="PAUSED")
    show(report("all", "1 of 3 OK", [lost, late]), Format.TABLE, (*parts[:2], report("errors", "none", [late])))
    assert "CRITICAL: heartbeat; WARNING: errors; 1 of 3 checks OK\n" in capsys.readouterr().err
    show(report("all", "2 of 2 OK"), Format.TABLE, parts[1:])
    assert "\n2 of 2 checks OK\n" in "\n" + capsys.readouterr().err


def test_a_check_that_cannot_start_says_why_once_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    show_unknown(["pnl"], "no such key", is_json=False)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (
        "", "UNKNOWN: the check could not start. What to do: kalshi runbook could-not-look\n"
    )  # fmt: skip
    show_unknown(["pnl"], "no such key", is_json=True)
    assert '"summary": "no such key"' in capsys.readouterr().out


@pytest.mark.parametrize("form", [Format.TABLE, Format.PLAIN])
def test_a_cause_of_several_unknown_checks_is_shown_once(capsys: pytest.CaptureFixture[str], form: Format) -> None:
    """Each has its line, which names the check with the cause, and keeps what it found itself."""

    def unknown(check: str, summary: str) -> CheckReport:
        why = Breach(
            subject=check, value="The state file is damaged", limit="a response", severity="unknown",
            code="STATE_UNUSABLE",
        )  # fmt: skip
        return report(check, summary, [why])

    parts = [unknown("heartbeat", "The state file is damaged"), unknown("positions", "4 positions")]
    show(report("all", "0 of 2 OK", [each for part in parts for each in part.breaches], of="heartbeat"), form, parts)
    out = capsys.readouterr().out
    assert "positions: STATE_UNUSABLE, the same cause as heartbeat; 4 positions" in out.replace("  UNKNOWN  ", ": ")
    assert out.count("is damaged") == (1 if form is Format.TABLE else 2), out
    assert "STATE_UNUSABLE positions" not in out
