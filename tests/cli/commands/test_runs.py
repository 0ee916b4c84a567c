"""What commands and the loop leave in the log, what a scrape of a running loop shows, and when it pings."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import socket
import sys
import uuid
from contextlib import closing, redirect_stderr, redirect_stdout
from http.client import HTTPConnection
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from support.notice_receiver import receiving
from support.served import KEY_ID, TWO_SIDED, Served, eventually, finish, program, said, start

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.cli.main import main
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.lock import lock
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import Halt, Heartbeat, RunGroup
from kalshi_cli.store.sqlite_store import Store

LOOP = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "100ms", "--duration", "0.5s")


def log_of(exchange: Served, *events: str) -> list[dict[str, Any]]:
    path = exchange.state / "sim" / "logs" / "kalshi.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in found if not events or line["event"] in events]


def buy() -> str:
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "10", "--price", "0.41")
    order_id: str = program(*words, "--json").json["order_id"]
    return order_id


# -- commands ---------------------------------------------------------------------------------------------------------


def test_a_command_logs_what_it_sent_and_what_became_of_it(exchange: Served) -> None:
    order_id = buy()
    assert program("order", "cancel", order_id).code == 0
    assert [(line["event"], line.get("order_id") or line.get("method")) for line in log_of(exchange)] == [
        ("order_submitted", None),
        ("request", "POST"),
        ("order_acknowledged", order_id),
        ("request", "DELETE"),
        ("order_changed", order_id),
    ]
    submitted, posted, acknowledged, deleted, _ = log_of(exchange)
    assert submitted["limits"]["max_position"] == "100.00"
    assert (submitted["client_order_id"], submitted["price"]) == (acknowledged["client_order_id"], "0.4100")
    assert (posted["path"], posted["status"], deleted["path"]) == (
        "/portfolio/events/orders", 201, f"/portfolio/events/orders/{order_id}",
    )  # fmt: skip
    assert len({line["run_id"] for line in log_of(exchange)}) == 2, "of two invocations"
    assert {(line["env"], line["mode"]) for line in log_of(exchange)} == {("sim", "command")}


def test_halt_pause_and_resume_are_in_the_log_with_their_reasons(exchange: Served) -> None:
    buy()
    assert program("pause", "--reason", "lunch").code == 0
    assert program("resume", "--reason", "back").code == 0
    assert program("cancel-all").code == 0
    assert program("resume", "--reason", "looked into").code == 0
    moved = [(line["state"], line["code"], line.get("reason")) for line in log_of(exchange, "state_changed")]
    assert [each[:2] for each in moved] == [
        ("halted", "PAUSED"), ("active", "RESUMED"), ("halted", "CANCEL_ALL"), ("active", "RESUMED"),
    ]  # fmt: skip
    assert (moved[0][2], moved[1][2], moved[3][2]) == ("lunch", "back", "looked into")


def test_whoever_only_looks_leaves_no_log(exchange: Served) -> None:
    assert program("positions").code == 0
    assert program("orderbook", TWO_SIDED).code == 0
    assert not (exchange.state / "sim" / "logs").exists()


def test_the_log_can_be_switched_off_and_put_elsewhere(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_LOGS__ENABLED", "false")
    buy()
    assert not (exchange.state / "sim" / "logs").exists()
    monkeypatch.setenv("KALSHI_LOGS__ENABLED", "true")
    monkeypatch.setenv("KALSHI_LOGS__FOLDER", str(exchange.home / "var"))
    buy()
    assert not (exchange.state / "sim" / "logs").exists()
    assert (exchange.home / "var" / "sim" / "kalshi.jsonl").exists()


# -- a loop -----------------------------------------------------------------------------------------------------------


def test_a_running_loop_is_scraped_and_pings(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first ping of a completed cycle somebody looks at the metrics, while the loop runs on."""
    out, err = io.StringIO(), io.StringIO()
    scraped: list[str] = []

    def scrape(_ping: object) -> None:
        port = re.search(r"metrics: http://127.0.0.1:(\d+)/metrics", err.getvalue())
        assert port is not None
        connection = HTTPConnection("127.0.0.1", int(port[1]), timeout=30)
        connection.request("GET", "/metrics")
        scraped.append(connection.getresponse().read().decode())
        connection.close()

    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name = f"kalshi-{uuid.uuid4()}"
    notify.bind(f"\0{name}")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with closing(notify), receiving() as there:
        there.before_answer = scrape
        monkeypatch.setenv("KALSHI_HEARTBEAT__URL", f"{there.url}/ping/canary-Secret1")
        monkeypatch.setenv("KALSHI_METRICS__ENABLED", "true")
        monkeypatch.setenv("KALSHI_METRICS__PORT", "0")
        with redirect_stdout(out), redirect_stderr(err):
            assert main(list(LOOP)) == 0
        notify.setblocking(False)
        assert notify.recv(4_096).startswith(b"READY=1\nSTATUS=1 cycles")
        assert notify.recv(4_096) == b"STOPPING=1"
    start, *rest = log_of(exchange, "start", "stop")
    assert (start["strategy"], start["mode"], [line["stopped_by"] for line in rest]) == ("spike", "sim", ["duration"])
    assert {got.path.split("?rid=")[1] for got in there.received} == {start["run_id"]}
    assert set(there.paths) <= {"/ping/canary-Secret1/start", "/ping/canary-Secret1"}
    assert "/ping/canary-Secret1" in there.paths
    found = {
        sample.name: sample.value for family in text_string_to_metric_families(scraped[-1]) for sample in family.samples
    }
    assert (found["trading_balance_usd"], found["trading_blind"], found["trading_run"]) == (1000.0, 0.0, 1.0)
    assert found["trading_cycles"] >= 1
    assert found["trading_api_request_seconds_count"] >= 1
    with pytest.raises(ConnectionRefusedError):
        scrape(None)
    everything = (
        out.getvalue()
        + err.getvalue()
        + "".join(path.read_text(errors="replace") for path in exchange.state.rglob("*") if path.is_file())
    )
    assert "canary" not in everything
    assert KEY_ID not in (exchange.state / "sim" / "logs" / "kalshi.jsonl").read_text()


def test_a_key_that_is_not_taken_pings_nobody_however_often_it_is_tried(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F68: a crash loop must not look alive."""
    monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-000000000bad")
    with receiving() as there:
        monkeypatch.setenv("KALSHI_HEARTBEAT__URL", f"{there.url}/p")
        monkeypatch.setenv("KALSHI_METRICS__ENABLED", "true")
        monkeypatch.setenv("KALSHI_METRICS__PORT", "0")
        ended = [program(*LOOP) for _ in range(3)]
        assert [each.code for each in ended] == [5, 5, 5]
        assert [each for each in ended if "metrics: http" in each.err] == [], "there is nothing to look at"
        assert there.received == []
    assert log_of(exchange, "start") == []


def test_quiet_status_names_the_next_command_of_a_killed_loop_and_nothing_else(exchange: Served) -> None:
    now = SystemClock().now()
    cycle = Heartbeat(
        run_id="r", pid=os.getpid(), mode="live", strategy="spike", started=now, completed=now, cycles=1,
        is_running=False,
    )  # fmt: skip
    shown = []
    for is_running in (False, True):
        with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
            store.beat(replace(cycle, is_running=is_running))
        shown.append(program("status", "-q").err.splitlines())
    assert shown[0] == []
    (line,) = shown[1]
    assert "did not stop gracefully" in line
    assert "`kalshi order list`" in line


def test_a_loop_on_paper_does_not_keep_the_switch_of_the_account_green(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as there:
        monkeypatch.setenv("KALSHI_HEARTBEAT__URL", f"{there.url}/p")
        ended = program(*LOOP, "--paper")
        assert (ended.code, "heartbeat.url is not used on paper" in ended.err) == (0, True), ended.err
        assert there.received == []
        assert program(*LOOP).code == 0
        assert there.received != []


def test_a_port_in_use_is_a_warning_and_trading_goes_on(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("KALSHI_METRICS__ENABLED", "true")
        monkeypatch.setenv("KALSHI_METRICS__PORT", str(taken.getsockname()[1]))
        ended = program(*LOOP)
    assert ended.code == 0
    assert "Warning: no metrics, port" in ended.err


@pytest.mark.parametrize("url", ["ftp://example.com/x", "http://example.com@evil/x"])
def test_a_heartbeat_address_that_nothing_is_sent_to_ends_it_before_it_begins(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("KALSHI_HEARTBEAT__URL", url)
    for words in (LOOP, ("config", "check"), ("balance",)):
        ended = program(*words)
        assert (ended.code, "heartbeat.url" in ended.err) == (2, True)


def test_a_heartbeat_address_that_can_be_posted_to_is_fine(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_HEARTBEAT__URL", "https://hc-ping.com/11111111?create=1")
    assert program("config", "check").code == 0


def test_a_log_that_cannot_be_written_is_a_warning_and_trading_goes_on(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    (exchange.home / "var").write_text("in the way")
    monkeypatch.setenv("KALSHI_LOGS__FOLDER", str(exchange.home / "var"))
    ended = program(*LOOP)
    assert ended.code == 0
    assert ended.err.count("kalshi goes on without it") == 2, "of the log, and of the tables"


def test_a_bug_is_printed_without_secrets(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other place where secrets could leave: the traceback of exit code 70."""
    monkeypatch.setenv("KALSHI_HEARTBEAT__URL", "https://hc-ping.com/canary-Secret2")
    url, key, getpid = os.environ["KALSHI_HEARTBEAT__URL"], exchange.key_path.read_text(), os.getpid

    def broken() -> int:
        if sys._getframe(1).f_code.co_name != "_plan":  # by then the key was read
            return getpid()
        raise ZeroDivisionError(f"{url} {KEY_ID} {key} {key.splitlines()[1]}")

    monkeypatch.setattr("os.getpid", broken)
    ended = program(*LOOP)
    assert ended.code == 70
    assert "ZeroDivisionError" in ended.err
    assert not [secret for secret in ("canary", KEY_ID, key.splitlines()[1]) if secret in ended.err]


class Keyboard(io.StringIO):
    """Standard input of a terminal."""

    def isatty(self) -> bool:
        return True


def test_real_trading_shows_what_it_would_use_before_it_asks(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange.is_real(monkeypatch)
    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    ended = program("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--live")
    assert (ended.code, exchange.resting()) == (3, [])
    for fact in ("Host: http", "Balance: $1,000.00 cash", "Limits: exposure", "Budgets: spike not set", TWO_SIDED):
        assert fact in ended.err, ended.err
    assert ended.err.index("Balance") < ended.err.index("Trade with real money?")


def test_real_trading_without_a_key_names_it_first_and_the_last_resort_of_a_script_is_yes(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--env", "prod", "--live")
    unasked = program(*live)
    assert unasked.code == 3
    assert "hint: run it on a terminal, or, if you have checked what it does, add --yes" in unasked.err
    for name in ("KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY_PATH"):
        monkeypatch.delenv(name)
    without = program(*live)
    assert (without.code, without.err.count("No API key configured for prod")) == (5, 1)
    assert "--yes" not in without.err
    assert exchange.resting() == []


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize(("form", "times"), [("plain", (1, 0)), ("table", (0, 1)), ("json", (1, 1))])
def test_why_says_on_one_of_both_streams_that_no_loop_runs(form: str, times: tuple[int, int]) -> None:
    ended = program("why", "--format", form)
    assert tuple(text.count("No trading loop is running") for text in (ended.out, ended.err)) == times


@pytest.mark.usefixtures("exchange")
def test_a_resume_needs_a_reason_and_its_error_names_the_pause_and_the_command() -> None:
    assert program("pause", "--reason", "jobs report").code == 0
    ended = program("resume")
    assert ended.code == 2
    assert "Trading has been paused" in ended.err
    assert "jobs report" in ended.err
    assert "kalshi resume --reason" in ended.err
    assert program("resume", "the", "report", "is", "out", "--json").json["reason"] == "the report is out"


@pytest.mark.usefixtures("exchange")
def test_a_command_that_is_typed_as_the_reason_resumes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("cancel-all").code == 0
    for answers, code, state in (
        ("clear\n\n", 3, "halted"),
        ("clear\nls\n", 3, "halted"),
        ("checked\ny\n", 0, "active"),
    ):
        monkeypatch.setattr("sys.stdin", Keyboard(answers))
        assert program("resume").code == code
        assert program("status", "--json").json["state"] == state


def test_a_resume_on_a_terminal_offers_to_reset_a_triggered_order_group(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id = program("order", "group", "create", "--limit", "10", "--json").json["order_group_id"]
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup(group_id, 0))
    assert program("cancel-all").code == 0
    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    asked = program("resume", "--reason", "checked")
    said = " ".join(asked.err.split())
    question = f"1 order group still triggered ({group_id[:8]}): a loop can place no order there, not even an exit."
    assert f"{question} Reset too? [Y/n]" in said
    assert "a loop can neither trade nor exit. Let it trade: `kalshi resume --reason TEXT --reset-groups`" in said
    monkeypatch.setattr("sys.stdin", Keyboard(""))
    left = program("resume", "--reason", "checked").err
    assert "can neither trade nor exit" in " ".join(left.split()), "the end of input is no answer"
    monkeypatch.setattr("sys.stdin", Keyboard("\n"))
    assert f"Order group {group_id[:8]} was reset" in program("resume", "--reason", "checked").err
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        assert [group.is_triggered for group in store.groups()] == [False]


def test_a_resume_resets_the_groups_of_the_loops_in_one_step_without_a_terminal(exchange: Served) -> None:
    group_id = program("order", "group", "create", "--limit", "10", "--json").json["order_group_id"]
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup("gone-from-the-exchange", 1, is_triggered=True))
        store.save_order_group(RunGroup(group_id, 0))
    assert program("cancel-all").code == 0
    refused = program("order", "group", "reset", group_id)
    assert (refused.code, "kalshi resume --reason TEXT --reset-groups" in " ".join(refused.err.split())) == (3, True)
    resumed = program("resume", "--reason", "checked", "--reset-groups")
    assert resumed.code == 0, resumed.err
    assert f"Order group {group_id[:8]} was reset" in " ".join(resumed.err.split())
    assert "no longer exists" in " ".join(resumed.err.split())
    assert program("status", "--json").json["state"] == "active"
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        assert store.groups() == (RunGroup(group_id, 0),)


def test_a_group_that_cannot_be_reset_leaves_the_resume_in_effect_and_is_an_error(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("pause").code == 0
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup("some-order-group", 0, is_triggered=True))
    with monkeypatch.context() as silent:
        silent.setenv("KALSHI_REST_URL", "http://127.0.0.1:9/trade-api/v2")
        resumed = program("resume", "--reason", "checked", "--reset-groups")
    assert resumed.code == 6
    assert resumed.err.count("Trading is active, but order group some-ord was not reset") == 1, resumed.err
    assert program("status", "--json").json["state"] == "active"


def test_a_resume_of_a_halt_while_the_exchange_is_silent_needs_consent(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("cancel-all").code == 0
    with monkeypatch.context() as silent:
        silent.setenv("KALSHI_REST_URL", "http://127.0.0.1:9/trade-api/v2")
        refused = program("resume", "--reason", "checked", "--json")
        assert (refused.code, refused.error["code"]) == (3, "not_confirmed")
        assert "The exchange does not respond" in refused.err
        assert program("status", "--json").json["state"] == "halted"
        silent.setattr("sys.stdin", Keyboard("n\n"))
        assert program("resume", "--reason", "checked").code == 3
        silent.setattr("sys.stdin", Keyboard("y\n"))
        assert program("resume", "--reason", "checked").code == 0
        assert program("cancel-all", "--within", "1s", "--yes").code == 7
        assert program("resume", "--reason", "checked", "--yes").code == 0
    assert program("cancel-all").code == 0
    assert program("resume", "--reason", "checked").code == 0


@pytest.mark.parametrize("reason", ["alert DAILY_LOSS account", "lunch", ""])
def test_a_resume_after_a_daily_loss_says_that_a_running_loop_keeps_its_limit(exchange: Served, reason: str) -> None:
    home = exchange.state / "sim"
    with Store.open(home / "state.db", account=KEY_ID, environment="sim") as store:
        store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "lost $3.46", SystemClock().now()))
    if reason:
        pause(home, reason)
    steps = "raise it in the configuration, `kalshi stop`, start the loop again, `kalshi resume --reason TEXT`"
    with lock(home / "trade.lock", SystemClock()):
        assert steps in " ".join(program("resume", "--reason", "raised").err.split())
        assert steps not in " ".join(program("resume", "--reason", "again").err.split()), "there is no loss to resume"


def test_a_recording_is_not_written_to_a_file_named_like_stdout(exchange: Served) -> None:
    ended = program("record", TWO_SIDED, "--file", "-")
    assert (ended.code, "kalshi watch" in ended.err) == (2, True)
    assert not (exchange.home / "-").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_recording_that_a_signal_ends_is_whole_and_says_so_with_its_exit_code(
    exchange: Served, number: signal.Signals, code: int
) -> None:
    tape = exchange.home / "tape of today.jsonl.gz"
    words = ("record", TWO_SIDED, "--file", tape, "--duration", "1h", "--json")
    recorder = start(words, exchange.variables(), exchange.home)
    try:
        eventually(lambda: "Recording 1 market" in said(recorder))
        recorder.send_signal(number)
        ended = finish(recorder)
    finally:
        recorder.kill()
        recorder.communicate()
    assert ended.code == code, ended.err
    with gzip.open(tape, "rt") as lines:
        assert ended.json["lines"] == sum(1 for _ in lines) > 0
    assert f"kalshi backtest '{tape}' --strategy NAME" in ended.err
    assert json.loads(ended.err.splitlines()[-1])["error"]["exit_code"] == code
    assert program("backtest", str(tape), "--strategy", "spike").code == 0


def test_a_backtest_takes_its_files_as_arguments(exchange: Served) -> None:
    ended = program("backtest", "--strategy", "spike")
    assert (ended.code, "No recording given" in ended.err) == (2, True)
    by_name, by_option = (
        program("backtest", *words, "--strategy", "spike") for words in (["none.jsonl"], ["--data", "none.jsonl"])
    )
    assert by_name.code == by_option.code != 0
    assert "none.jsonl" in by_name.err
    assert by_name.err == by_option.err


@pytest.mark.usefixtures("exchange")
def test_a_run_during_a_pause_says_that_the_pause_is_why_it_requested_nothing() -> None:
    assert program("pause", "--reason", "lunch").code == 0
    ended = " ".join(program("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--duration", "0.5s").err.split())
    assert "No orders were requested: trading is paused. `kalshi status` shows why" in ended
    assert "kalshi strategies NAME" not in ended
