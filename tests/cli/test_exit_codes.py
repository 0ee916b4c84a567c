"""Every exit code of the contract, reached as a person would reach it.

Not here: 70 needs a bug, and there is no honest way to ask for one (tests/cli/test_main.py reaches it with a command
made to fail). 130 and 143 of a running `trade` are in tests/e2e, with processes and signals.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fault_proxy import Action, Fault, FaultProxy, fault_proxy
from support.served import TWO_SIDED, Ended, Served, command_of, program, served, set_variables

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import ONE_DOLLAR, Ts
from kalshi_cli.cli.exit_codes import ENDS
from kalshi_cli.core.account import reconciliation
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.services.orders import place as placing
from kalshi_cli.store.lock import lock

CREATE = r"/portfolio/events/orders$"


@pytest.fixture
def proxy(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        monkeypatch.setenv("KALSHI_REST_URL", one.moved(exchange.server.rest_url))
        yield one


def place(*more: str, ticker: str = TWO_SIDED, price: str = "0.41", count: str = "10") -> Ended:
    words = ("order", "place", ticker, "--side", "yes", "--action", "buy", "--count", count, "--price", price)
    return program(*words, "--client-order-id", "exit-code", *more, "--json")


def assert_error(ended: Ended, exit_code: int, code: str, *says: str) -> None:
    """The exit code, one error object on stderr, nothing on stdout, no traceback."""
    assert ended.code == exit_code, ended.err
    assert ended.out == ""
    assert set(ended.error) - {"details"} == {"code", "message", "hint", "exit_code"}
    assert "details" not in ended.error or exit_code in (4, 5), "the exchange's own text"
    assert (ended.error["code"], ended.error["exit_code"]) == (code, exit_code)
    assert "Traceback" not in ended.err
    for words in says:
        assert words in ended.error["message"] + " " + ended.error["hint"]


def test_0_an_order_that_rests(exchange: Served) -> None:
    ended = place()
    assert (ended.code, ended.json["status"]) == (0, "resting")
    assert exchange.resting() == [(ended.json["order_id"], BID, 4100, 1000)]


def test_2_a_word_that_means_nothing(exchange: Served) -> None:
    assert_error(place("--tif", "forever"), 2, "usage", "forever", "gtc, ioc, fok")
    assert_error(program("order", "lsit", "--json"), 2, "usage", "did you mean `kalshi order list`?")
    assert_error(program("order", "palce", "--json"), 2, "usage", "did you mean place? See `kalshi order place -h`")


def test_3_an_order_beyond_a_limit(exchange: Served) -> None:
    assert_error(place(count="101"), 3, "ORDER_SIZE", "risk.max_order_count")
    assert exchange.resting() == []


def test_3_an_order_while_halted(exchange: Served) -> None:
    assert program("cancel-all").code == 0
    assert_error(place(), 3, "HALTED", "kalshi resume")
    assert exchange.resting() == []


@pytest.mark.parametrize(
    "words",
    [
        ("order", "place", TWO_SIDED, "--count", "1", "--price", "0.20", "--side", "yes", "--action", "buy"),
        ("subaccounts", "transfer", "--from", "0", "--to", "1", "--amount", "5.00"),
        ("allocation", "set", "0=50", "1=50"),
    ],
)
def test_2_a_mistyped_read_only_lets_no_money_move(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("KALSHI_READONLY", "1")
    assert_error(program(*words, "--json"), 2, "config", "KALSHI_READ_ONLY")


def test_3_every_write_while_read_only(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_READ_ONLY", "1")
    assert_error(place(), 3, "READ_ONLY", "KALSHI_READ_ONLY")
    order_id = exchange.submit("alice", TWO_SIDED, BID, "0.41", "1").order_id
    for words in (
        ("order", "cancel", order_id), ("order", "group", "create", "--limit", "5"), ("close", TWO_SIDED),
        ("api", "DELETE", f"/portfolio/events/orders/{order_id}"), ("cancel-all",), ("resume", "--reason", "y"),
        ("unlock", TWO_SIDED), ("sim", "reset"), ("sim", "settle", TWO_SIDED, "--value", "yes"),
    ):  # fmt: skip
        assert_error(program(*words, "--json"), 3, "READ_ONLY", "KALSHI_READ_ONLY")
    assert len(exchange.resting()) == 1
    assert program("status", "--json").json["state_code"] == "CANCEL_ALL", "the kill switch halts"
    assert program("pause", "--reason", "lunch").code == 0, "it only makes trading safer"


@pytest.mark.parametrize("name", ["KALSHI_READONLY", "KALSHI_RISK_MAX_ORDER_COUNT"])
def test_2_a_limit_whose_variable_is_mistyped_stops_what_trades_and_nothing_else(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    order_ids = [exchange.submit("alice", TWO_SIDED, BID, "0.41", "1").order_id for _ in range(2)]
    monkeypatch.setenv(name, "1")
    line = f"Nothing reads the variable {name}: did you mean KALSHI_R"
    refused: tuple[tuple[str, ...], ...] = (
        ("buy", TWO_SIDED, "1", "@0.41"),
        ("order", "amend", order_ids[0], "--price", "0.42"),
        ("close", TWO_SIDED),
        ("trade", "--strategy", "spike", "--duration", "1s"),
        ("api", "POST", "/portfolio/events/orders", "-f", "ticker=X", "--no-limits"),
        ("config", "check"),
    )
    for words in refused:
        ended = program(*words, "--json")
        assert_error(ended, 2, "config", line)
        assert ended.err.startswith(line)
    assert len(exchange.resting()) == 2
    going_on: tuple[tuple[str, ...], ...] = (
        ("order", "list"),
        ("check", "exchange"),
        ("cancel", order_ids[0]),
        ("cancel-all",),
        ("pause", "--reason", "x"),
    )
    for words in going_on:
        ended = program("-q", *words)
        assert (ended.code, ended.err.count(line)) == (0, 1), words
    assert exchange.resting() == []


def test_2_an_empty_environment_variable_is_no_choice(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    (exchange.home / "config.yaml").write_text("env: demo\n")
    monkeypatch.setenv("KALSHI_ENV", "")
    assert_error(place(), 2, "config", "KALSHI_ENV", "is a variable of the shell unset?")
    assert_error(program("cancel-all", "--json"), 2, "config", "KALSHI_ENV")
    assert place("--env", "sim").code == 0
    assert len(exchange.resting()) == 1


def test_3_a_resume_without_a_reason(exchange: Served) -> None:
    ended = program("resume", "--json")
    assert_error(ended, 2, "no_reason", "--reason")
    assert ended.error["message"] == "A reason is required to resume. Trading is active"


def test_4_refused_by_the_exchange(exchange: Served) -> None:
    ended = place("--post-only", price="0.47")
    assert_error(ended, 4, "invalid_order", "post only cross", "No order was placed")
    assert exchange.resting() == []
    again = place()
    assert_error(again, 3, "DUPLICATE_ID", "not on the exchange, which rejected it: use another client order id")
    shown = program("order", "show", "exit-code", "--json")
    assert_error(shown, 4, "not_found", "Order exit-code is not on the exchange, which rejected it")


def test_4_not_found_there(exchange: Served) -> None:
    assert_error(program("market", "KXNOWHERE", "--json"), 4, "not_found", "KXNOWHERE")
    assert_error(program("order", "show", "nobody", "--json"), 4, "not_found", "nobody")


def test_5_a_key_that_the_exchange_does_not_know(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-00000000dead")
    assert_error(program("balance", "--json"), 5, "authentication_error", "does not know this key id")


@pytest.mark.parametrize(
    "line",
    [
        "lock KXA --for 1h",
        "alerts silence HALTED --for 1h --reason x",
        "alerts unsilence HALTED",
        "alerts retry",
        "init --env demo --key-id 00000000-0000-4000-8000-0000000000b0 --key /nope",
    ],
)
def test_5_a_command_of_the_account_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    set_variables(monkeypatch, tmp_path, {"KALSHI_ENV": "demo", "KALSHI_REST_URL": "http://127.0.0.1:9/x"})
    assert program(*line.split()).code == 5


def test_4_a_lock_of_a_market_that_does_not_exist(exchange: Served) -> None:
    assert_error(program("lock", "KXNOWHERE", "--for", "1h", "--json"), 4, "not_found", "KXNOWHERE")


def test_2_a_lock_of_a_market_whose_trading_has_ended(exchange: Served) -> None:
    now = exchange.clock.now()
    exchange.call(lambda: exchange.exchange.settle(TWO_SIDED, ONE_DOLLAR, now))
    line = ("lock", TWO_SIDED, "--for", "1h", "--json")
    assert_error(program(*line), 2, "usage", f"Trading in {TWO_SIDED} has ended (determined): there")
    exchange.call(lambda: exchange.exchange.advance(Ts(now + 3_600_000)))
    assert_error(program(*line), 2, "usage", f"{TWO_SIDED} has settled YES: there is nothing to lock")
    assert program("lock", "--json").json == []


def test_6_nobody_answers(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_REST_URL", "http://127.0.0.1:9/trade-api/v2")
    assert_error(program("balance", "--json"), 6, "unreachable", "127.0.0.1")
    assert_error(place(), 6, "unreachable", "127.0.0.1")


def test_6_an_order_that_never_left_is_not_in_doubt(exchange: Served, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("status_500", "GET", r"/orderbook", times=99))
    assert_error(place(), 6, "http_500", "500")
    assert program("status", "--json").json["unknown_orders"] == 0


@pytest.mark.parametrize("action", ["drop_reply", "hang"])
def test_0_the_answer_was_lost_but_the_order_is_there(
    exchange: Served, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    monkeypatch.setenv("KALSHI_EXCHANGE__READ_TIMEOUT_S", "0.5")
    proxy.faults.append(Fault(action, "POST", CREATE))
    ended = place()
    assert (ended.code, ended.json["status"]) == (0, "resting")
    assert [order_id for order_id, *_ in exchange.resting()] == [ended.json["order_id"]]
    assert proxy.faults[0].hits == 1


def test_0_a_cancel_whose_answer_was_lost_is_repeated_and_found_done(exchange: Served, proxy: FaultProxy) -> None:
    order_id = place().json["order_id"]
    proxy.faults.append(Fault("drop_reply", "DELETE", order_id))
    ended = program("order", "cancel", order_id, "--json")
    assert (ended.code, ended.json) == (0, [{"order_id": order_id, "canceled": True, "code": None, "detail": None}])
    assert exchange.resting() == []
    assert proxy.faults[0].hits == 2
    again = program("order", "cancel", order_id, "--json")
    assert (again.code, again.json[0]["canceled"], again.json[0]["code"]) == (0, False, "already_canceled")
    assert again.json[0]["detail"] == f"order {order_id[:8]} is already canceled"
    unknown = program("order", "cancel", "00000000-0000-4000-8000-00000000dead", "--json")
    assert (unknown.code, unknown.json[0]["code"]) == (4, "not_found")


def test_7_a_cancel_that_is_never_answered(exchange: Served, proxy: FaultProxy) -> None:
    order_id = place().json["order_id"]
    proxy.faults.append(Fault("status_500", "DELETE", order_id, times=99))
    ended = program("order", "cancel", order_id, "--json")
    assert (ended.code, ended.json[0]["canceled"], ended.error["code"]) == (7, False, "outcome_unknown")
    assert ended.json[0]["code"] == "outcome_unknown"
    assert len(exchange.resting()) == 1


@pytest.mark.parametrize("action", ["drop_request", "reset", "status_500"])
def test_6_the_order_was_lost_and_the_exchange_proves_that_it_never_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    """The proof is that the exchange's own data is newer than the send by a margin, which is a moment here."""
    monkeypatch.setattr(reconciliation, "NEVER_ARRIVED_MARGIN_MS", 200)
    monkeypatch.setattr(placing, "LOOK_EVERY_S", 0.1)
    with served(tmp_path) as exchange, fault_proxy(exchange.server.rest_url) as proxy:
        set_variables(monkeypatch, tmp_path, exchange.variables(proxy.moved(exchange.server.rest_url)))
        proxy.faults.append(Fault(action, "POST", CREATE))
        assert_error(place(), 6, "never_arrived", "exit-code")
        assert exchange.resting() == []
        assert proxy.faults[0].hits == 1
        assert program("status", "--json").json["unknown_orders"] == 0


def test_7_an_order_that_nobody_can_find(exchange: Served, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one way to prove that it never arrived takes half a minute; the command waits for less."""
    monkeypatch.setattr(placing, "RESOLVE_S", 0)
    proxy.faults.append(Fault("drop_request", "POST", CREATE))
    assert_error(place(), 7, "outcome_unknown", "exit-code", "kalshi order reconcile")
    assert exchange.resting() == []
    assert program("status", "--json").json["unknown_orders"] == 1
    again = program("order", "reconcile", "--wait", "0.1s", "--json")
    assert again.code == 7
    assert [row["client_order_id"] for row in again.json] == ["exit-code"]


def test_8_a_state_file_that_is_no_database(exchange: Served) -> None:
    place()
    state = exchange.state / "sim" / "state.db"
    state.write_bytes(b"this was a database once" * 500)
    assert_error(program("status", "--json"), 8, "state_damaged", str(state))
    ended = place(price="0.40")
    assert ended.code == 8
    assert len(exchange.resting()) == 1
    assert state.read_bytes().startswith(b"this was")


def test_0_the_kill_switch_works_with_a_broken_state_file_and_halts_beside_it(exchange: Served) -> None:
    place()
    (exchange.state / "sim" / "state.db").write_bytes(b"this was a database once" * 500)
    ended = program("cancel-all", "--json")
    assert ended.code == 0
    assert ended.json | {"seconds": 0} == {
        "canceled": 1,
        "is_minimum": False,
        "already_over": 0,
        "remaining": 0,
        "halted": True,
        "seconds": 0,
    }
    assert "The halt is saved next to the state file" in ended.err
    assert exchange.resting() == []


def test_8_the_kill_switch_works_where_nothing_can_be_written_and_says_that_it_did_not_halt(exchange: Served) -> None:
    exchange.submit("alice", TWO_SIDED, BID, "0.41", "3")
    exchange.leave_no_trace()
    exchange.state.mkdir()
    (exchange.state / "sim").write_text("a file where the directory should be")
    ended = program("cancel-all", "--json")
    assert ended.code == 8
    assert ended.json | {"seconds": 0} == {
        "canceled": 1,
        "is_minimum": False,
        "already_over": 0,
        "remaining": 0,
        "halted": False,
        "seconds": 0,
    }
    assert "could NOT be saved" in ended.err
    assert ended.error["message"].startswith("1 order canceled and none remains, but the halt could NOT be saved")
    assert str(exchange.state / "sim") in ended.error["hint"]
    assert "kalshi stop" in ended.error["hint"]
    assert exchange.resting() == []


def test_8_a_state_file_of_another_account(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    place()
    monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-0000000000b0")
    assert_error(program("status", "--json"), 8, "state_other_account", "--state")


def test_9_a_loop_while_halted(exchange: Served) -> None:
    assert program("cancel-all").code == 0
    ended = program("trade", "--strategy", "spike", "--json")
    assert_error(ended, 9, "halted", "CANCEL_ALL", "kalshi resume --reason")
    assert program("resume", "--reason", "looked at it").code == 0
    assert program("trade", "--strategy", "spike", "--interval", "0.1s", "--duration", "0.1s").code == 0


def test_10_a_second_loop_on_the_account(exchange: Served) -> None:
    with lock(exchange.state / "sim" / "trade.lock", SystemClock()):
        ended = program("trade", "--strategy", "spike", "--json")
    assert_error(ended, 10, "another_instance", "pid", "kalshi status")


@pytest.mark.parametrize(
    ("setting", "exit_code", "verdict"),
    [(("KALSHI_REST_URL", "http://127.0.0.1:9/x"), 3, "UNKNOWN"), (("KALSHI_API_KEY_ID", "x" * 36), 2, "CRITICAL")],
)
def test_the_health_check_ends_as_monitoring_plugins_do(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, setting: tuple[str, str], exit_code: int, verdict: str
) -> None:
    assert program("health-check").code == 0
    monkeypatch.setenv(*setting)
    ended = program("health-check", "--json")
    assert ended.code == exit_code
    assert verdict in {row["status"] for row in ended.json}


def test_a_health_check_that_cannot_even_start_is_unknown_not_usage(exchange: Served) -> None:
    Path("config.yaml").write_text("nonsense: [\n")
    assert program("health-check").code == 3
    assert program("health-check", "--frobnicate").code == 3


def test_reconcile_says_of_each_order_what_it_found(
    exchange: Served, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a person meets it: one reply got lost on its way back, one order on its way there."""
    monkeypatch.setattr(placing, "RESOLVE_S", 0)
    proxy.faults.append(Fault("drop_request", "POST", CREATE))
    assert place().code == 7
    assert program("order", "reconcile", "--wait", "0.1s", "--json").json[0]["found"] == "still_unknown"
    monkeypatch.setattr(reconciliation, "NEVER_ARRIVED_MARGIN_MS", 200)
    ended = program("order", "reconcile", "--json")
    assert (ended.code, [row["found"] for row in ended.json]) == (0, ["never_arrived"])
    assert program("order", "reconcile", "--json").json == [], "and twice changes nothing"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("order place X --side yes", "order place"),
        ("--env sim alerts --json", "alerts list"),
        ("transfer --from 0", "transfer send"),
        ("strategies spike", "strategies show"),
        ("order group list", "order group list"),
        ("order", ""),
        ("--help", ""),
        ("no-such-command", ""),
    ],
)
def test_a_line_is_held_against_the_codes_of_the_command_that_it_names(line: str, name: str) -> None:
    assert command_of(line.split()) == name


def test_a_code_that_is_not_said_of_a_command_is_noticed(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENDS, "market", frozenset({0}))
    assert program("market", TWO_SIDED).code == 0
    with pytest.raises(AssertionError, match="market is not said to end with 4"):
        program("market", "KXNOWHERE")
