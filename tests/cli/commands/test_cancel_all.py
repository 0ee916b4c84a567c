"""cancel-all with trouble on this machine, and the order groups of a loop, typed as a person would."""

from __future__ import annotations

import fcntl
import io
import itertools
import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.served import (
    KEY_ID,
    ME,
    ONE_SIDED,
    TWO_SIDED,
    Ended,
    Served,
    eventually,
    program,
    served,
    set_variables,
    start,
)

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.store.lock import KILL_LOCK
from kalshi_cli.store.records import NO_HALT, RunGroup
from kalshi_cli.store.sqlite_store import Store


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path, shards=1) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


def buy(*more: str) -> Ended:
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
    return program(*words, *more, "--json")


def groups(exchange: Served) -> list[str]:
    return [row["order_group_id"] for row in program("order", "group", "list", "--json").json]


def kept(exchange: Served) -> tuple[RunGroup, ...]:
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        return store.groups()


def test_a_state_file_that_another_program_holds_delays_no_cancel(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert buy().code == 0
    monkeypatch.setattr("kalshi_cli.services.orders.cancel_all.HALT_WAITS_MS", 200)
    monkeypatch.setattr("kalshi_cli.store.database.BUSY_TIMEOUT_MS", 200)
    other = sqlite3.connect(exchange.state / "sim" / "state.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    ended = program("cancel-all", "--json")
    other.execute("ROLLBACK")
    other.close()
    assert (ended.code, exchange.resting()) == (0, [])
    assert ended.json | {"seconds": 0} == {
        "canceled": 1, "is_minimum": False, "already_over": 0, "remaining": 0, "halted": True, "seconds": 0,
    }  # fmt: skip
    assert "locked" in ended.err
    assert buy().code != 0


def test_status_agrees_with_the_verified_cancels(exchange: Served) -> None:
    assert buy().code == 0
    assert program("status", "--json").json["resting_orders"] == 1
    assert program("cancel-all", "--json").json["remaining"] == 0
    assert program("status", "--json").json["resting_orders"] == 0


def test_status_agrees_with_the_verified_cancels_beside_a_loop_that_is_stalled(exchange: Served) -> None:
    words = ("trade", "--strategy", "market-maker", "--ticker", TWO_SIDED, "--interval", "0.2s")
    loop = start(words, exchange.variables(), exchange.home)
    try:
        eventually(lambda: program("status", "--json").json["resting_orders"] > 0 or loop.poll() is not None)
        assert buy().code == 0
        loop.send_signal(signal.SIGSTOP)
        assert program("cancel-all", "--json").json["remaining"] == 0
        assert program("status", "--json").json["resting_orders"] == 0
    finally:
        loop.kill()
        loop.communicate(timeout=60)


def test_a_state_file_that_cannot_be_updated_changes_no_result(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalshi_cli.services.orders.cancel_all.UPDATE_WITHIN_S", -1.0)
    assert buy().code == 0
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["remaining"], exchange.resting()) == (0, 0, [])
    assert "The state file was not updated" in ended.err
    assert "kalshi order reconcile" in ended.err
    assert program("status", "--json").json["resting_orders"] == 1


def test_it_says_how_many_positions_stay_open(exchange: Served) -> None:
    assert buy().code == 0
    assert "open; to close" not in program("cancel-all").err, "the order did not fill"
    program("resume", "--reason", "test")
    assert program("buy", TWO_SIDED, "2", "0.47", "--yes", "--json").json["filled"] == "2.00"
    assert "1 position stays open; to close all positions: `kalshi flatten`" in program("cancel-all").err
    assert "open; to close" not in program("cancel-all", "--json").err
    assert "open; to close" not in program("cancel-all", "--ticker", "KXRAIN*").err, "flatten has no such scope"


def test_after_it_closed_positions_nothing_says_that_it_is_still_running(exchange: Served) -> None:
    assert program("buy", TWO_SIDED, "2", "0.47", "--yes", "--json").json["filled"] == "2.00"
    ended = program("cancel-all", "--flatten", "--yes")
    assert (ended.code, "sold 2 of 2" in ended.err) == (0, True), ended.err
    assert program("resume", "--reason", "test").code == 0
    again = program("buy", TWO_SIDED, "2", "0.47", "--yes", "--json")
    assert again.code == 0, again.err


def test_it_says_that_no_order_was_resting(exchange: Served) -> None:
    assert "No order was resting" in program("cancel-all").err
    assert "No matching order was resting" in program("cancel-all", "--ticker", "KXRAIN*").err
    exchange.submit(ME, TWO_SIDED, BID, "0.3900", "1")
    assert "was resting" not in program("cancel-all").err


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (("--ticker", f"{TWO_SIDED}x"), f"No market {TWO_SIDED}X; nothing was canceled"),
        (("--event", "nope"), "No event NOPE; nothing was canceled"),
        (("--event", "NOPE", "--ticker", "KX*"), "No event NOPE; nothing was canceled"),
    ],
)
def test_a_scope_that_the_exchange_does_not_know_is_no_success(
    exchange: Served, scope: tuple[str, ...], message: str
) -> None:
    assert buy().code == 0
    ended = program("-q", "cancel-all", *scope, "--no-halt", "--json")
    assert (ended.code, ended.json["canceled"], len(exchange.resting())) == (4, 0, 1)
    assert json.loads(ended.err)["error"] == {
        "code": "not_found", "message": message, "hint": "to see the orders that rest: `kalshi order list`",
        "exit_code": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    "scope", [("--ticker", ONE_SIDED), ("--ticker", "NOPE*"), ("--event", ONE_SIDED.rpartition("-")[0])]
)
@pytest.mark.usefixtures("exchange")
def test_a_scope_without_a_matching_order_warns_even_with_quiet(scope: tuple[str, ...]) -> None:
    ended = program("-q", "cancel-all", *scope)
    assert (ended.code, ended.err) == (0, "No matching order was resting\n")


def test_a_scope_that_cannot_be_checked_is_a_warning(exchange: Served) -> None:
    handle = exchange.exchange.handle

    def failing(request: Request, now: Ts) -> Response:
        return Response(503, {}, b"{}") if "/events/NOPE" in request.path else handle(request, now)

    exchange.exchange.handle = failing  # type: ignore[method-assign]
    ended = program("-q", "cancel-all", "--event", "NOPE", "--json")
    assert (ended.code, ended.json["remaining"]) == (0, 0)
    assert "could not be asked whether NOPE exists" in ended.err


def test_it_says_how_many_orders_are_not_ours(exchange: Served) -> None:
    assert buy().code == 0
    exchange.submit(ME, TWO_SIDED, BID, "0.3900", "1")
    ended = program("cancel-all")
    assert "Found 2 resting orders, 1 of them external" in ended.err
    assert exchange.resting() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_whoever_interrupts_it_before_it_is_verified_is_told_that_orders_may_be_live(
    exchange: Served, number: signal.Signals
) -> None:
    assert buy().code == 0
    handle = exchange.exchange.handle

    def interrupted(request: Any, now: Any) -> Any:
        if request.method == "DELETE":
            os.kill(os.getpid(), number)
        return handle(request, now)

    exchange.exchange.handle = interrupted  # type: ignore[method-assign]
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.out) == (7, "")
    assert "Orders may be live" in ended.error["message"]
    exchange.exchange.handle = handle  # type: ignore[method-assign]
    assert program("status", "--json").json["state"] == "halted", "that came first, and holds"
    assert program("cancel-all", "--json").code == 0


@contextmanager
def lifting(exchange: Served, times: int, *, after_s: float = 0.0, then_s: float = 0.0) -> Iterator[None]:
    """Lift the halt after so many fresh lists, as an older version of this program would, or a person with `rm` and
    `sqlite3`; and an order is placed at once."""
    path, handle, lists = exchange.state / "sim" / "state.db", exchange.exchange.handle, itertools.count()

    def lift(request: Any, now: Any) -> Any:
        response = handle(request, now)
        if request.method == "GET" and request.path.endswith("/portfolio/orders"):
            number = next(lists)  # the first of two in each round is the count, which may be old
            if number % 2 and number < 2 * times:
                time.sleep(after_s)
                with Store.open(path, account=KEY_ID, environment="sim") as store:
                    store.set_halt(NO_HALT)
                order = NewOrder(ticker=TWO_SIDED, side=BID, price=cents(38), qty=contracts(1))
                assert isinstance(exchange.exchange.submit(ME, order, now), OrderReceipt)
            elif number >= 2 * times:
                time.sleep(then_s)
        return response

    exchange.exchange.handle = lift  # type: ignore[method-assign]
    try:
        yield
    finally:
        exchange.exchange.handle = handle  # type: ignore[method-assign]
    assert (path.parent / ".halted").exists()


def test_a_halt_that_is_gone_at_the_end_is_written_again_and_told(exchange: Served) -> None:
    assert buy().code == 0
    with lifting(exchange, 1):
        ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["halted"]) == (0, True), ended.err
    assert "The halt is GONE" in ended.err
    assert (exchange.resting(), ended.json["canceled"]) == ([], 2), "what was placed in between is canceled too"
    assert buy().code == 3


def test_a_halt_that_is_lifted_again_and_again_verifies_nothing(exchange: Served) -> None:
    assert buy().code == 0
    with lifting(exchange, 2):
        ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["halted"], ended.json["remaining"]) == (7, True, None), ended.err
    assert buy().code == 3


def test_a_halt_that_is_gone_when_the_time_is_up_ends_with_7(exchange: Served) -> None:
    assert buy().code == 0
    with lifting(exchange, 1, after_s=0.5, then_s=2.0):
        ended = program("cancel-all", "--within", "1.5s", "--json")
    assert (ended.code, ended.json["halted"], ended.json["remaining"]) == (7, True, None), ended.err
    assert exchange.resting() == [], "the cancels go out all the same"


def test_the_lock_against_a_resume_is_taken_before_the_cancels_where_it_could_not_be_had_at_first(
    exchange: Served,
) -> None:
    assert buy().code == 0
    handle = exchange.exchange.handle
    with (exchange.state / "sim" / KILL_LOCK).open("w") as resume:
        fcntl.flock(resume, fcntl.LOCK_EX)

        class Watched(io.StringIO):
            """The resume lets go once the halt is written, and the kill switch could not have the lock then."""

            def write(self, text: str) -> int:
                if "Trading is halted" in text:
                    fcntl.flock(resume, fcntl.LOCK_UN)
                return super().write(text)

        def canceling(request: Any, now: Any) -> Any:
            if request.method == "DELETE":
                with pytest.raises(BlockingIOError):
                    fcntl.flock(resume, fcntl.LOCK_EX | fcntl.LOCK_NB)
                seen.append(1)
            return handle(request, now)

        seen: list[int] = []
        exchange.exchange.handle = canceling  # type: ignore[method-assign]
        assert (program("cancel-all", err=Watched()).code, len(seen)) == (0, 1)


def test_what_is_left_is_named_and_ends_with_7(exchange: Served) -> None:
    words = ("--side", "no", "--action", "buy", "--count", "2", "--price", "0.41")
    order_id = program("order", "place", TWO_SIDED, *words, "--json").json["order_id"]
    exchange.call(lambda: exchange.exchange.pause("exchange", exchange.clock.now()))
    ended = program("cancel-all", "--within", "1s", "--json")
    assert (ended.code, ended.json["remaining"], ended.json["halted"]) == (7, 1, True)
    assert order_id in ended.error["message"]
    assert f"{TWO_SIDED} buy 2 NO at $0.41 (" in ended.error["message"]
    assert "accepts no cancels until it resumes" in ended.err


def test_an_unreadable_pause_beside_a_broken_configuration_stops_nothing(exchange: Served) -> None:
    assert buy().code == 0
    (exchange.state / "sim" / ".pause").mkdir()
    Path("config.yaml").write_text("strategies: 17\nrisk: [1]\ntrade:\n  group_limit: many\n")
    assert program("cancel-all", "--json").code == 0
    assert exchange.resting() == []


def test_a_loop_leaves_no_group_behind(exchange: Served) -> None:
    ended = program("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.1s", "--duration", "0.3s")
    assert ended.code == 0, ended.err
    assert (groups(exchange), kept(exchange)) == ([], ())


def ways_to_resume(ended: Ended) -> list[str]:
    return re.findall(r"kalshi resume --reason TEXT(?: --reset-groups)?", " ".join(ended.err.split()))


def test_without_a_triggered_group_the_kill_switch_names_a_plain_resume(exchange: Served) -> None:
    assert ways_to_resume(program("cancel-all")) == ["kalshi resume --reason TEXT"]


def test_after_the_kill_switch_the_group_of_a_loop_waits_for_a_reset(exchange: Served) -> None:
    group_id = program("order", "group", "create", "--limit", "50", "--json").json["order_group_id"]
    assert buy().code == 0  # so that there is a state file
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup(group_id, 0))
    assert buy("--group", group_id).code == 0
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["canceled"]) == (0, 2), "what went with its group before the first look counts"
    assert ways_to_resume(ended) == ["kalshi resume --reason TEXT --reset-groups"]
    assert kept(exchange) == (RunGroup(group_id, 0, is_triggered=True),)
    assert program("resume", "--reason", "test", "--yes").code == 0
    ended = program("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.1s", "--duration", "0.3s")
    assert group_id[:8] in ended.err
    assert "kalshi resume --reason TEXT --reset-groups" in " ".join(ended.err.split())
    assert groups(exchange) == [group_id]
    assert program("order", "group", "reset", group_id).code == 0
    assert kept(exchange) == (RunGroup(group_id, 0),)


def test_an_order_id_that_no_address_can_hold_leaves_the_other_orders_to_be_canceled(exchange: Served) -> None:
    assert buy().code == 0
    real, ghost = exchange.exchange.handle, dict[str, Any]()

    def handle(request: Request, now: Ts) -> Response:
        response = real(request, now)
        found = json.loads(response.body) if response.body else {}
        if request.method == "GET" and "orders" in found:
            ghost.update({**found["orders"][0], "order_id": "x" * 70_000} if found["orders"] else {})
            found["orders"].append(ghost)
            return msgspec.structs.replace(response, body=json.dumps(found).encode())
        return response

    exchange.exchange.handle = handle  # type: ignore[method-assign]
    ended = program("cancel-all", "--within", "1s", "--json")
    assert (ended.code, ended.json["halted"]) == (7, True), ended.err
    assert "Traceback" not in ended.err
    assert exchange.resting() == []


def test_what_could_not_be_verified_is_not_zero(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert buy().code == 0
    monkeypatch.setenv("KALSHI_REST_URL", "http://127.0.0.1:9/trade-api/v2")
    ended = program("cancel-all", "--within", "0.5s", "--json")
    assert (ended.code, ended.json["remaining"], ended.json["halted"]) == (7, None, True)


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_configuration_that_cannot_be_read_says_that_nothing_was_done_unless_the_environment_is_named(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, is_missing: bool
) -> None:
    assert buy().code == 0
    if is_missing:
        monkeypatch.setenv("KALSHI_CONFIG", "moved.yaml")
    else:
        Path("config.yaml").write_text("strategies:\n  spike: [1, 2\n")
    monkeypatch.delenv("KALSHI_ENV", raising=False)
    ended = program("cancel-all", "--json")
    assert (ended.code, len(exchange.resting())) == (2, 1)
    assert "NOTHING WAS DONE" in ended.error["message"]
    assert "--env" in ended.error["hint"]
    ended = program("--env", "sim", "cancel-all", "-q")
    assert (ended.code, exchange.resting()) == (0, [])
    assert "no notice of this run is sent" in ended.err


def test_a_halt_in_a_state_directory_that_may_be_the_wrong_one_says_so(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KALSHI_CONFIG", "moved.yaml")
    assert "NOT halted" not in program("--env", "sim", "cancel-all").err, "KALSHI_STATE names it"
    monkeypatch.delenv("KALSHI_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    ended = program("--env", "sim", "cancel-all", "-q")
    assert str(tmp_path / "other" / "kalshi" / "sim") in ended.err
    assert "NOT halted: run this again with --state DIR" in ended.err


def test_resume_without_a_terminal_leaves_trading_stopped_while_a_group_of_a_loop_is_triggered(
    exchange: Served,
) -> None:
    assert program("pause").code == 0
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup("tripped", 0, is_triggered=True))
    refused = program("resume", "--reason", "test", "--json")
    assert (refused.code, refused.error["code"]) == (3, "not_confirmed")
    assert "1 order group still triggered (tripped)" in refused.error["message"]
    assert "`kalshi resume --reason TEXT --reset-groups`" in refused.error["hint"]
    assert program("status", "--json").json["paused"] is True


def test_resume_says_what_still_holds_up_trading(exchange: Served) -> None:
    assert buy().code == 0
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup("tripped", 0, is_triggered=True))
    said = " ".join(program("resume", "--reason", "test", "--yes").err.split())
    assert "1 order group still triggered (tripped)" in said
    assert "`kalshi resume --reason TEXT --reset-groups`" in said
