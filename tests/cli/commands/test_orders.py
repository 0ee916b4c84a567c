"""The commands that change orders, typed as a person would: what is asked, what is refused, what happens once."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import KEY_ID, ME, TWO_SIDED, Ended, Served, Terminal, program, set_variables

from kalshi_cli.base.units import parse_price, parse_qty
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store

AMEND, DECREASE, BATCH = r"/amend$", r"/decrease$", r"/portfolio/events/orders/batched$"


@pytest.fixture
def proxy(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        set_variables(monkeypatch, exchange.home, exchange.variables(rest_url=one.moved(exchange.server.rest_url)))
        yield one


def buy(price: str = "0.41", *more: str, count: str = "10") -> Ended:
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", count, "--price", price)
    return program(*words, *more, "--json")


@pytest.fixture
def mine(exchange: Served) -> str:
    """The id of an order that rests: ten YES at 41."""
    found: str = buy().json["order_id"]
    return found


def left(exchange: Served) -> list[tuple[str, str]]:
    """Price and size of what rests."""
    return sorted((f"{price / 10_000:.2f}", f"{qty / 100:g}") for _, _, price, qty in exchange.resting())


def halt(exchange: Served) -> None:
    store = Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim")
    store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", exchange.clock.now()))
    store.close()


def assert_error(ended: Ended, exit_code: int, *says: str) -> None:
    assert ended.code == exit_code, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for words in says:
        assert words in ended.err, ended.err


# -- the terms of an order ------------------------------------------------------------------------------------------


def test_every_flag_of_place_reaches_the_exchange_and_comes_back(exchange: Served) -> None:
    ended = buy("0.41", "--stp", "maker", "--cancel-on-pause", "--expires-in", "10m")
    assert ended.code == 0, ended.err
    shown = program("order", "show", ended.json["order_id"], "--json").json
    for row in (ended.json, shown):
        assert (row["self_trade_prevention"], row["cancel_on_pause"], row["subaccount"]) == ("maker", True, 0)
        assert row["expires"] is not None
    exchange.call(lambda: exchange.exchange.pause("trading", exchange.clock.now()))
    assert exchange.resting() == [], "the exchange knew what to do at a pause"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stp", "both"], "taker, maker"),
        (["--subaccount", "64"], "64"),
        (["--subaccount", "x"], "x"),
        (["--tif", "fuk"], "did you mean fok?"),
    ],
)
def test_terms_that_mean_nothing_are_refused(exchange: Served, words: list[str], says: str) -> None:
    assert_error(buy("0.41", *words), 2, says)


AMOUNTS = ("cost", "max_fees", "max_loss", "max_payout", "closing", "proceeds")


def test_a_new_order_has_its_amounts_also_where_it_closes_a_position(exchange: Served) -> None:
    def amounts(*words: str) -> list[float]:
        shown, placed = (program(*words, *more, "--json").json for more in (["--dry-run"], []))
        assert [shown[name] for name in AMOUNTS] == [placed[name] for name in AMOUNTS]
        assert {shown["status"], shown["fees"]} == {"dry_run", "0.000000"}
        return [float(shown[name]) for name in AMOUNTS if name not in ("max_fees", "max_loss")] + [
            round(float(shown["max_loss"]) - float(shown["max_fees"]), 6)
        ]

    exchange.submit("maker", TWO_SIDED, BID, "0.4600", "8")
    assert amounts("sell", TWO_SIDED, "2", "@0.46", "--tif", "ioc") == [1.08, 2.0, 0.0, 0.0, 1.08]
    assert amounts("buy", TWO_SIDED, "5", "@0.47", "--tif", "ioc") == [1.41, 3.0, 2.0, 1.06, 1.41]
    assert amounts("sell", TWO_SIDED, "9", "@0.46", "--tif", "ioc", "--reduce-only") == [0.0, 0.0, 3.0, 1.38, 0.0]


def test_a_list_is_narrowed_by_event(exchange: Served, mine: str) -> None:
    rows = program("order", "list", "--event", "kxrain-40jan01", "--json").json
    assert [row["order_id"] for row in rows] == [mine]
    assert program("order", "list", "--event", "KXWIND-40JAN01", "--json").json == []


def test_a_used_id_is_refused_with_the_order_that_has_it(exchange: Served) -> None:
    order_id = buy("0.41", "--client-order-id", "daily-1").json["order_id"]
    again = buy("0.41", "--client-order-id", "daily-1")
    assert (again.code, again.error["code"], again.error["order_id"]) == (3, "DUPLICATE_ID", order_id)
    assert "already in use by an order that is resting; no order was placed" in again.error["message"]


def test_a_list_has_the_orders_of_a_period(exchange: Served, mine: str) -> None:
    rows = program("order", "list", "--since", "1h", "--json").json
    assert [row["order_id"] for row in rows] == [mine]
    assert program("order", "list", "--status", "all", "--until", "1h", "--json").json == []


def test_a_list_ends_at_its_limit_and_says_so_on_a_terminal(exchange: Served, mine: str) -> None:
    newest = exchange.submit(ME, TWO_SIDED, BID, "0.0200", "1").order_id
    ended = program("order", "list", "--limit", "1", "--json")
    assert [row["order_id"] for row in ended.json] == [newest] != [mine]
    assert "Showing" not in ended.err
    variables = {**os.environ, **exchange.variables(), "TERM": "xterm-256color"}
    for limit, says in (("1", True), ("2", False)):
        terminal = Terminal("order", "list", "--limit", limit, env=variables)
        assert terminal.finish() == 0
        assert ("Showing the first 1; use a larger --limit" in terminal.text) is says


def test_a_live_order_is_canceled_by_ones_own_id(exchange: Served) -> None:
    order_id = buy("0.41", "--client-order-id", "zz-1").json["order_id"]
    ended = program("order", "cancel", "zz-1", "--json")
    assert (ended.code, ended.json) == (0, [{"order_id": order_id, "canceled": True, "code": None, "detail": None}]), (
        ended.err
    )
    assert exchange.resting() == []


def test_an_order_that_is_named_twice_is_canceled_and_counted_once(exchange: Served) -> None:
    order_id = buy("0.41", "--client-order-id", "zz-1").json["order_id"]
    ended = program("cancel", "zz-1", order_id, "zz-1", "--json")
    assert (ended.code, [row["order_id"] for row in ended.json]) == (0, [order_id]), ended.err
    assert exchange.resting() == []


def test_the_time_zone_of_an_option_holds_in_a_pipe_too(exchange: Served) -> None:
    buy("0.41")
    tokyo = program("order", "list", "--tz", "Asia/Tokyo", "--format", "plain").out
    assert "+09:00" in tokyo
    assert "+09:00" not in program("order", "list", "--format", "plain").out


def test_ids_that_are_json_or_quoted_are_refused_and_nothing_is_canceled(
    exchange: Served, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in (f'{{"order_id":"{mine}"}}\n', f'"order_id"\n"{mine}"\n', json.dumps([{"order_id": mine}] * 99)):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        ended = program("cancel", "-", "--json")
        assert (ended.code, ended.error["code"], len(exchange.resting())) == (2, "usage", 1), ended.err
        assert "no order was canceled" in ended.error["message"]
        assert "jq -r .order_id" in ended.error["hint"]
        assert len(ended.error["message"]) < 200
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{mine}\n"))
    assert (program("cancel", "-", "--json").code, exchange.resting()) == (0, [])


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_input_that_is_not_utf8_is_no_bug_and_keeps_no_order_from_its_cancel(
    exchange: Served, mine: str, monkeypatch: pytest.MonkeyPatch, errors: str
) -> None:
    def typed(text: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", errors=errors))

    typed(b'"\xff\xfe"\n')
    ended = program("api", "POST", "/portfolio/order_groups/create", "--input", "-", "--json")
    assert (ended.code, "not valid JSON" in ended.err) == (2, True)
    typed(b'{"ticker": "\xff"}\n')
    assert program("order", "batch", "-", "--json").code == 2
    typed(f"{mine}\n".encode() + b"\xff\xfe\n")
    ended = program("cancel", "-", "--json")
    assert (ended.code, [row["canceled"] for row in ended.json], exchange.resting()) == (4, [True, False], [])


def test_an_order_is_canceled_though_the_state_file_is_broken(exchange: Served, mine: str) -> None:
    (exchange.state / "sim" / "state.db").write_bytes(b"no database at all")
    ended = program("order", "cancel", mine, "--json")
    assert (ended.code, exchange.resting()) == (0, []), ended.err
    assert "Client order ids and prefixes cannot be used here" in ended.err


# -- batch ------------------------------------------------------------------------------------------------------------


def line(**changes: Any) -> str:
    fields = {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 10, "price": "0.41"}
    return json.dumps(fields | changes)


def batch(monkeypatch: pytest.MonkeyPatch, *lines: str, words: tuple[str, ...] = ()) -> Ended:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    return program("order", "batch", "-", *words)


def test_a_batch_takes_every_key_that_is_a_flag_of_place(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = batch(
        monkeypatch,
        line(client_order_id="a", post_only=True, expires_in="10m", stp="maker", subaccount=0, tif="gtc"),
        "",
        line(**{"client-order-id": "b", "cancel-on-pause": True, "price": 0.4, "count": "2.5"}),
        line(ticker=TWO_SIDED.lower(), side="no", action="sell", price="0.61", tif="ioc", reduce_only=True),
        words=("--json",),
    )
    assert ended.code == 0, ended.err
    assert [(row["line"], row["status"]) for row in ended.json] == [(1, "resting"), (3, "resting"), (4, "canceled")]
    assert left(exchange) == [("0.40", "2.5"), ("0.41", "10")]
    assert program("order", "show", "a", "--json").json["self_trade_prevention"] == "maker"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "line 2: Invalid JSON at character 2: Expecting property name"),
        (line(count=True), "line 2: count: true must be a string or a number"),
        ("[" * 5_000, "line 2: JSON value that an order cannot have"),
        ("7", "line 2: Expected a JSON object"),
        ("[]", "line 2: A JSON array; write one object per line: jq -c '.[]'"),
        (line(sid="yes"), "line 2: unknown key 'sid'; did you mean side?"),
        (line(**{"post-only": True, "post_only": True}), "line 2: Duplicate key: post_only"),
        (line()[:-1] + ', "price": "0.01"}', "line 2: Duplicate key: price"),
        (line(count="1_0"), "line 2: count: invalid count: '1_0'"),
        (line(client_order_id="z.1"), "line 2: client_order_id must have only letters, digits, - and _"),
        (line(client_order_id="a\nc"), "line 2: client_order_id must have only letters, digits, - and _"),
        (line(price=None), "line 2: missing: price"),
        (line(price=47), "line 2: price: prices are in dollars; did you mean 0.47?"),
        (line(price=float("nan")), "line 2: price"),
        (line(count=0), "line 2: count"),
        (line(count=True), "line 2: count"),
        (line(side="up"), "line 2: side: 'up' is invalid; use one of yes, no"),
        (line(side=["yes"]), "line 2: side"),
        (line(post_only="yes"), "line 2: post_only: 'yes' must be true or false"),
        (line(subaccount=64), "line 2: subaccount: 64 must be a number from 0 to 63"),
        (line(ticker=7), "line 2: ticker"),
        (line(client_order_id="x" * 10_000), "line 2: longer than"),
        (line(price="0.415"), "line 2: $0.415 is off the price grid"),
        (line(client_order_id="a"), "Client order id a is used on several lines"),
    ],
)
def test_a_bad_line_is_named_and_nothing_at_all_is_sent(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, bad: str, says: str
) -> None:
    assert_error(batch(monkeypatch, line(client_order_id="a"), bad), 2, says, "nothing was sent")
    assert exchange.resting() == []


def test_an_order_behind_ten_thousand_lines_is_not_left_out_in_silence(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = batch(monkeypatch, line(), *[""] * 10_000, line())
    assert_error(ended, 2, "A batch has at most 10000 lines", "nothing was sent")
    assert exchange.resting() == []


def test_a_line_without_end_is_not_read_to_its_end(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = io.StringIO("x" * 1_000_000)
    monkeypatch.setattr("sys.stdin", endless)
    assert_error(program("order", "batch", "-"), 2, "line 1: longer than 10000 characters", "nothing was sent")
    assert endless.tell() < 20_000


def test_the_reply_has_the_time_of_the_list(exchange: Served) -> None:
    exchange.clock.shift_s = 2  # the exchange's clock runs ahead of this machine's
    placed = program("buy", TWO_SIDED, "1", "@0.30", "--json").json
    (listed,) = program("order", "list", "--json").json
    assert placed["created"] == listed["created"]
    for change in (
        ("amend", "--price", "0.31", "--dry-run"),
        ("amend", "--price", "0.31"),
        ("decrease", "--to", "0.5"),
    ):
        changed = program("order", change[0], placed["order_id"], *change[1:], "--json").json
        assert changed["created"] == listed["created"], change


def test_several_cancels_that_failed_alike_have_one_code(exchange: Served) -> None:
    ids = [program("buy", TWO_SIDED, "1", f"@{price}", "--json").json["order_id"] for price in ("0.30", "0.31")]
    assert program("cancel", *ids).code == 0
    assert program("cancel", ids[0], "0" * 36, "--json").error["code"] == "not_found"


def test_a_market_that_does_not_exist_ends_a_batch_as_it_ends_an_order(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = batch(monkeypatch, line(), line(ticker="NOPE"))
    assert_error(ended, program("buy", "NOPE", "1", "@0.10").code, "line 2: no market NOPE", "nothing was sent")
    assert exchange.resting() == []


def test_a_line_whose_options_do_not_go_together_is_refused_alone_and_one_that_cannot_be_read_sends_nothing(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = batch(monkeypatch, line(post_only=True, tif="ioc"), line(), words=("--json",))
    rows = [(row["status"], row["code"]) for row in ended.json]
    assert (ended.code, rows) == (3, [("denied", "BAD_FLAGS"), ("resting", None)])
    assert_error(batch(monkeypatch, line(), line(price="1.20")), 2, "line 2: price: 1.20", "nothing was sent")
    assert len(exchange.resting()) == 1


def test_the_same_file_with_ids_is_safe_to_send_again(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = line(client_order_id="a"), line(client_order_id="b", count=1_000)
    ended = batch(monkeypatch, *lines, words=("--json",))
    assert ended.code == 3
    assert "1 of 2 orders were placed: the file can be sent again" in ended.err
    again = batch(monkeypatch, *lines, line(client_order_id="c"), words=("--json",))
    assert [(row["status"], row["code"]) for row in again.json] == [
        ("denied", "DUPLICATE_ID"), ("denied", "ORDER_SIZE"), ("resting", None),
    ]  # fmt: skip
    assert (again.code, again.json[0]["order_id"]) == (3, ended.json[0]["order_id"])
    assert again.error["code"] == "ORDER_SIZE", "an id that was used before hides no other refusal"
    assert len(exchange.resting()) == 2
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    assert program("order", "batch", "-", "--dry-run", "--json").error["code"] == "ORDER_SIZE"
    without = batch(monkeypatch, line(), line(client_order_id="d", count=1_000))
    assert "do not send the whole file again" in without.err


@pytest.mark.parametrize("lines", [(), ("", "  ")])
def test_a_batch_of_nothing_is_a_mistake(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...]
) -> None:
    assert_error(batch(monkeypatch, *lines), 2, "The batch has no orders")


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_client_order_id_in_a_batch_is_refused(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert_error(
        batch(monkeypatch, line(client_order_id=name)), 2, "line 1: client_order_id: empty", "nothing was sent"
    )
    assert exchange.resting() == []


def test_a_batch_may_begin_with_the_mark_that_windows_writes(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch(monkeypatch, "\ufeff" + line(), words=("--json",)).code == 0
    assert left(exchange) == [("0.41", "10")]


def test_a_batch_has_an_end(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_error(batch(monkeypatch, *[line()] * 1_001), 2, "at most 1000 orders")


def test_a_file_that_is_not_there_is_said_so(exchange: Served) -> None:
    assert_error(program("order", "batch", "missing.ndjson"), 2, "missing.ndjson")


def test_the_gravest_reason_decides_the_exit_code(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    denied, rejected = line(count=1_000), line(price="0.47", post_only=True)
    ended = batch(monkeypatch, line(), denied, words=("--json",))
    assert (ended.code, [row["status"] for row in ended.json]) == (3, ["resting", "denied"])
    ended = batch(monkeypatch, denied, rejected, words=("--json",))
    assert (ended.code, [row["code"] for row in ended.json]) == (4, ["ORDER_SIZE", "invalid_order"])
    assert ended.error["exit_code"] == 4


@pytest.mark.parametrize("action", ["drop_request", "status_500"])
def test_a_batch_that_got_lost_ends_with_7_and_names_every_order(
    exchange: Served, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, action: Any
) -> None:
    monkeypatch.setattr("kalshi_cli.services.orders.place.RESOLVE_S", 0.1)
    proxy.faults.append(Fault(action, "POST", BATCH))
    ended = batch(monkeypatch, line(client_order_id="a"), line(client_order_id="b"), words=("--json",))
    assert ended.code == 7, ended.err
    assert [(row["client_order_id"], row["status"]) for row in ended.json] == [("a", "unknown"), ("b", "unknown")]
    assert "kalshi order reconcile" in ended.error["hint"]
    assert exchange.resting() == []


def test_a_batch_whose_reply_was_lost_is_found_and_not_doubled(
    exchange: Served, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.faults.append(Fault("drop_reply", "POST", BATCH))
    ended = batch(monkeypatch, line(client_order_id="a"), line(client_order_id="b", price="0.40"))
    assert ended.code == 0, ended.err
    assert left(exchange) == [("0.40", "10"), ("0.41", "10")]


def test_a_dry_run_of_a_batch_leaves_no_trace(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange.leave_no_trace()
    ended = batch(monkeypatch, line(), line(count=1_000), words=("--dry-run", "--json"))
    assert (ended.code, [row["status"] for row in ended.json]) == (3, ["dry_run", "denied"])
    assert "1 of 2 orders would be refused" in ended.error["message"]
    assert "maximum loss $4.27" in ended.err
    assert (exchange.resting(), exchange.state.exists()) == ([], False)


# -- prod, read-only, halted ------------------------------------------------------------------------------------------


def commands(order_id: str) -> dict[str, tuple[str, ...]]:
    return {
        "amend": ("order", "amend", order_id, "--price", "0.42"),
        "decrease": ("order", "decrease", order_id, "--to", "5"),
        "batch": ("order", "batch", "orders.ndjson"),
        "group create": ("order", "group", "create", "--limit", "10"),
    }


@pytest.mark.parametrize("name", commands(""))
def test_on_prod_a_write_asks_and_nobody_is_there_to_say_yes(
    exchange: Served, mine: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (exchange.home / "orders.ndjson").write_text(line())
    exchange.is_real(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert_error(program(*commands(mine)[name]), 3, "prod: ", "add --yes")
    assert left(exchange) == [("0.41", "10")]


class Keyboard(io.StringIO):
    """Standard input of a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", ["place", "amend", "batch", "close"])
def test_on_prod_the_question_says_real_money(
    exchange: Served, mine: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (exchange.home / "orders.ndjson").write_text(line())
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    others = {"place": ("buy", TWO_SIDED, "1", "@0.40"), "close": ("close", TWO_SIDED)}
    exchange.is_real(monkeypatch)
    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    asked = program(*(others | commands(mine))[name])
    assert (asked.code, "with real money? [y/N]" in asked.err) == (3, True), asked.err
    assert left(exchange) == [("0.41", "10")]


@pytest.mark.parametrize("name", ["amend", "decrease", "batch"])
def test_on_prod_yes_is_an_answer(exchange: Served, mine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (exchange.home / "orders.ndjson").write_text(line())
    exchange.is_real(monkeypatch)
    assert program(*commands(mine)[name], "--yes").code == 0
    assert left(exchange) != [("0.41", "10")]


@pytest.mark.parametrize("name", commands(""))
def test_read_only_refuses_every_write(exchange: Served, mine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (exchange.home / "orders.ndjson").write_text(line())
    monkeypatch.setenv("KALSHI_READ_ONLY", "1")
    assert_error(program(*commands(mine)[name]), 3, "READ_ONLY")
    assert left(exchange) == [("0.41", "10")]


def test_a_halt_stops_amend_and_batch_and_lets_a_decrease_pass(exchange: Served, mine: str) -> None:
    (exchange.home / "orders.ndjson").write_text(line())
    halt(exchange)
    assert_error(program(*commands(mine)["amend"]), 3, "Trading has been halted since")
    assert program(*commands(mine)["batch"]).code == 3
    assert program(*commands(mine)["decrease"]).code == 0
    assert left(exchange) == [("0.41", "5")]


# -- amend and decrease -----------------------------------------------------------------------------------------------


def test_an_amend_shows_what_was_and_what_is(exchange: Served, mine: str) -> None:
    ended = program("order", "amend", mine, "--side", "no", "--price", "58c", "--count", "4", "--json")
    assert ended.code == 0, ended.err
    row = ended.json
    assert (row["side"], row["action"], row["price"], row["price_before"]) == ("no", "sell", "0.5800", "0.5900")
    assert (row["remaining"], row["remaining_before"], row["expires_before"]) == ("4.00", "10.00", None)
    assert left(exchange) == [("0.42", "4")]


def test_an_order_is_named_by_the_id_of_ones_own_too(exchange: Served) -> None:
    buy("0.41", "--client-order-id", "mine")
    assert program("order", "amend", "mine", "--count", "3").code == 0
    assert program("order", "decrease", "mine", "--by", "0.5").code == 0
    assert left(exchange) == [("0.41", "2.5")]


def test_an_expiry_is_given_and_taken_away(exchange: Served, mine: str) -> None:
    assert program("order", "amend", mine, "--expires-in", "10m", "--json").json["expires"] is not None
    row = program("order", "amend", mine, "--no-expiry", "--json").json
    assert (row["expires"], row["expires_before"] is not None) == (None, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["amend", "ID"], "Nothing to change"),
        (["amend", "ID", "--price", "0.415"], "nearest valid prices: $0.41 and $0.42"),
        (["amend", "ID", "--price", "41"], "did you mean 0.41?"),
        (["amend", "ID", "--no-expiry", "--expires-in", "1h"], "cannot be combined"),
        (["amend", "ID", "--expires-in", "0.5s"], "at least one second"),
        (["decrease", "ID"], "Give either --by or --to"),
        (["decrease", "ID", "--by", "1", "--to", "1"], "Give either --by or --to"),
        (["decrease", "ID", "--by", "10"], "kalshi order cancel"),
        (["decrease", "ID", "--to", "0"], "`kalshi cancel 00000000-"),
        (["decrease", "ID", "--to", "0.00"], "`kalshi cancel 00000000-"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_sent(
    exchange: Served, mine: str, words: list[str], says: str
) -> None:
    assert_error(program("order", *(mine if word == "ID" else word for word in words)), 2, says)
    assert left(exchange) == [("0.41", "10")]


def test_an_order_that_is_not_there_ends_with_4_and_one_that_is_over_with_3(exchange: Served, mine: str) -> None:
    nobody = "00000000-0000-4000-8000-00000000dead"
    assert program("order", "amend", nobody, "--price", "0.4").code == 4
    assert program("order", "decrease", nobody, "--to", "1").code == 4
    program("order", "cancel", mine)
    assert_error(program("order", "amend", mine, "--price", "0.4"), 3, "canceled")


def test_a_dry_run_of_an_amend_changes_nothing(exchange: Served, mine: str) -> None:
    ended = program("order", "amend", mine, "--price", "0.42", "--dry-run", "--json")
    assert (ended.json["status"], ended.json["price"], ended.json["price_before"]) == ("dry_run", "0.4200", "0.4100")
    assert left(exchange) == [("0.41", "10")]
    assert program("order", "reconcile", "--json").json == [], "nothing is in doubt"


@pytest.mark.parametrize(
    ("words", "path"), [(("amend", "--price", "0.42"), AMEND), (("decrease", "--by", "3"), DECREASE)]
)
@pytest.mark.parametrize("action", ["drop_request", "status_500"])
def test_a_change_that_got_lost_ends_with_7_and_the_way_out(
    exchange: Served, mine: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], path: str, action: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr("kalshi_cli.services.orders.amend.RESOLVE_S", 0.1)
    proxy.faults.append(Fault(action, "POST", path))
    assert_error(program("order", words[0], mine, *words[1:]), 7, "kalshi order reconcile")
    assert left(exchange) == [("0.41", "10")]


@pytest.mark.parametrize(
    ("words", "path", "after"),
    [
        (("amend", "--price", "0.42"), AMEND, ("0.42", "10")),
        (("decrease", "--by", "3"), DECREASE, ("0.41", "7")),
        (("decrease", "--to", "7"), DECREASE, ("0.41", "7")),
    ],
)
def test_a_change_whose_reply_was_lost_is_found_and_not_doubled(
    exchange: Served, mine: str, proxy: FaultProxy, words: tuple[str, ...], path: str, after: tuple[str, str]
) -> None:
    proxy.faults.append(Fault("drop_reply", "POST", path))
    assert program("order", words[0], mine, *words[1:]).code == 0
    assert left(exchange) == [after]


def test_the_reply_to_a_write_speaks_as_the_order_was_typed_and_a_list_of_the_book(exchange: Served) -> None:
    placed = program("buy", TWO_SIDED, "5", "@0.51", "--no", "--json").json
    order_id, typed = placed["order_id"], ("no", "buy")
    for price, words in (
        ("0.5200", ("order", "amend", order_id, "--price", "0.52")),
        ("0.5200", ("order", "amend", order_id, "--count", "4")),
        ("0.5200", ("order", "amend", order_id, "--expires-in", "10m")),
        ("0.5200", ("order", "decrease", order_id, "--by", "1")),
    ):
        row = program(*words, "--json").json
        assert (row["price"], row["side"], row["action"], row["typed_side"]) == (price, *typed, "no"), words
    for row in (program("order", "show", order_id, "--json").json, *program("order", "list", "--json").json):
        assert (row["price"], row["side"], row["action"], row["typed_side"]) == ("0.4800", "yes", "sell", "no")
    asked = program("order", "amend", order_id, "--side", "yes", "--price", "0.49", "--json").json
    assert (asked["price"], asked["side"], asked["price_before"]) == ("0.4900", "yes", "0.4800")


def test_the_reply_about_an_order_typed_elsewhere_speaks_as_the_side_option(exchange: Served) -> None:
    order_id = exchange.submit(ME, TWO_SIDED, BID, "0.4100", "10").order_id
    words = ("order", "amend", order_id)
    no = program(*words, "--side", "no", "--price", "0.58", "--json").json
    assert (no["price"], no["side"], no["action"], no["price_before"]) == ("0.5800", "no", "sell", "0.5900")
    yes = program(*words, "--count", "5", "--json").json
    assert (yes["price"], yes["side"], yes["action"], yes["typed_side"]) == ("0.4200", "yes", "buy", None)


# -- queue ---------------------------------------------------------------------------------------------


def test_the_queue_shows_what_stands_before_an_order(exchange: Served) -> None:
    theirs = exchange.submit("maker", TWO_SIDED, BID, "0.4500", "30")
    first, second = buy("0.45").json["order_id"], buy("0.45").json["order_id"]
    ahead = {row["order_id"]: row["ahead"] for row in program("order", "queue", "--json").json}
    assert ahead == {first: "30.00", second: "40.00"}
    assert [row["ahead"] for row in program("order", "queue", second, "--json").json] == ["40.00"]
    assert program("order", "queue", "--ticker", "NONE*", "--json").json == []
    exchange.call(lambda: exchange.exchange.cancel("maker", theirs.order_id, exchange.clock.now()))
    program("order", "amend", first, "--count", "20")
    ahead = {row["order_id"]: row["ahead"] for row in program("order", "queue", "--json").json}
    assert ahead == {first: "10.00", second: "0.00"}, "a larger order goes to the back"


# -- groups ---------------------------------------------------------------------------------------------


def group(*words: str) -> Ended:
    return program("order", "group", *words)


def test_a_group_lives_from_create_to_delete(exchange: Served) -> None:
    assert group("list", "--json").json == []
    made = group("create", "--limit", "5", "--json").json
    name = made["order_group_id"]
    assert (made["limit"], made["orders"]) == ("5.00", [])
    order = buy("0.41", "--group", name).json
    assert order["order_group_id"] == name
    assert group("show", name, "--json").json["orders"] == [order["order_id"]]
    assert [row["order_group_id"] for row in group("list", "--json").json] == [name]
    assert group("limit", name, "--limit", "50").code == 0
    assert group("show", name, "--json").json["limit"] == "50.00"
    assert group("trigger", name).code == 0
    assert left(exchange) == []
    refused = buy("0.41", "--group", name)
    assert (refused.code, refused.error["code"]) == (4, "order_group_triggered")
    assert group("reset", name).code == 0
    assert buy("0.41", "--group", name).code == 0
    assert group("delete", name).code == 0
    assert (left(exchange), group("list", "--json").json) == ([], [])


def test_a_mistyped_group_stops_nothing(exchange: Served) -> None:
    assert_error(buy("0.41", "--group", "nope"), 4, "not found: order group", "no such group")
    assert program("check", "errors").code == 0
    assert buy("0.41").code == 0


def test_a_resume_ends_the_pause_of_a_group_that_does_not_exist(exchange: Served) -> None:
    buy("0.40")
    store = Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim")
    store.record(AlertRaised(exchange.clock.now(), "critical", "GROUP_TRIGGERED", "nope", "as earlier versions wrote"))
    store.close()
    program("check", "errors")
    assert buy("0.41").code == 3
    assert program("resume", "--reason", "no such group").code == 0
    assert program("check", "errors").code == 0
    assert buy("0.41").code == 0


def test_matching_more_than_the_limit_cancels_the_rest_of_the_group(exchange: Served) -> None:
    name = group("create", "--limit", "5", "--json").json["order_group_id"]
    buy("0.45", "--group", name)
    buy("0.41")
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "6")
    assert left(exchange) == [("0.41", "10")]


@pytest.mark.parametrize("verb", ["show", "trigger", "reset", "delete"])
def test_a_group_that_is_not_there_is_said_so(exchange: Served, verb: str) -> None:
    assert_error(group(verb, "00000000-0000-4000-8000-00000000dead"), 4, "No order group", "--subaccount")


@pytest.mark.parametrize("verb", ["trigger", "delete", "reset"])
def test_on_prod_a_group_is_not_touched_unasked(exchange: Served, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = group("create", "--limit", "5", "--json").json["order_group_id"]
    buy("0.41", "--group", name)
    exchange.is_real(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert_error(group(verb, name), 3, " with 1 order\n", "add --yes")
    assert left(exchange) == [("0.41", "10")]


def test_a_halt_lets_no_group_be_armed_again_or_take_more(exchange: Served) -> None:
    name = group("create", "--limit", "5", "--json").json["order_group_id"]
    buy("0.41", "--group", name)
    halt(exchange)
    assert_error(group("limit", name, "--limit", "6"), 3, "Trading has been halted", "kalshi resume")
    assert group("limit", name, "--limit", "4").code == 0
    assert group("trigger", name).code == 0
    assert_error(group("reset", name), 3, "Trading has been halted", "kalshi resume")
    assert group("show", name, "--json").json["limit"] == "4.00"
    assert buy("0.41", "--group", name).code != 0
    assert group("delete", name).code == 0


def test_a_group_of_a_wrong_limit_is_refused(exchange: Served) -> None:
    assert group("create", "--limit", "0").code == 2
    assert group("create").code == 2
    assert group("create", "--limit", "2000000").code == 2


# -- the kill switch ---------------------------------------------------------------------------------------------


def test_the_kill_switch_triggers_every_group_and_says_how_to_use_them_again(exchange: Served) -> None:
    used, empty = (group("create", "--limit", "50", "--json").json["order_group_id"] for _ in range(2))
    buy("0.41", "--group", used)
    buy("0.40")
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["canceled"], ended.json["remaining"]) == (0, 2, 0)
    assert "2 order groups triggered" in ended.err
    assert "kalshi order group reset" in ended.err
    program("resume", "--reason", "test")
    for name in (used, empty):
        assert buy("0.41", "--group", name).error["code"] == "order_group_triggered"


@pytest.mark.parametrize("words", [("--no-halt",), ("--ticker", "KXRAIN*")])
def test_what_does_not_halt_triggers_no_group(exchange: Served, words: tuple[str, ...]) -> None:
    name = group("create", "--limit", "50", "--json").json["order_group_id"]
    buy("0.41", "--group", name)
    assert program("cancel-all", *words).code == 0
    assert left(exchange) == []
    assert buy("0.41", "--group", name).code == 0


def test_groups_that_cannot_be_listed_hold_up_no_cancel(exchange: Served, mine: str, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("status_500", "GET", r"/order_groups$", times=99))
    assert program("cancel-all").code == 0
    assert exchange.resting() == []


# -- subaccounts and shards ---------------------------------------------------------------------------------------


def test_an_order_in_a_subaccount_is_placed_listed_amended_and_cancelled_there(exchange: Served) -> None:
    number = exchange.call(lambda: exchange.exchange.add_subaccount(ME))
    assert program("subaccounts", "transfer", "--from", "0", "--to", str(number), "--amount", "50.00").code == 0
    placed = buy("0.41", "--subaccount", str(number))
    assert placed.code == 0, placed.err
    name = placed.json["order_id"]
    assert [row["subaccount"] for row in program("order", "list", "--subaccount", str(number), "--json").json] == [
        number
    ]
    assert program("order", "list", "--subaccount", "0", "--json").json == []
    assert [row["ahead"] for row in program("order", "queue", "--json").json] == ["350.00"], "at better prices"
    assert program("order", "amend", name, "--price", "0.42").code == 0
    assert program("order", "decrease", name, "--to", "4").code == 0
    assert exchange.resting()[0][2:] == (parse_price("0.42"), parse_qty("4"))
    assert program("order", "cancel", name).code == 0
    assert exchange.resting() == []


def test_a_group_or_subaccount_that_is_not_there_is_said_so(exchange: Served) -> None:
    assert_error(buy("0.41", "--group", "00000000-0000-4000-8000-00000000dead"), 4, "kalshi order group list")
    assert_error(buy("0.41", "--subaccount", "9"), 4, "kalshi subaccounts list")


def test_a_halt_is_named_below_the_orders_and_the_portfolio_on_a_terminal(exchange: Served) -> None:
    variables = {**os.environ, **exchange.variables(), "TERM": "xterm-256color"}

    def shown(*words: str) -> str:
        terminal = Terminal(*words, env=variables, size=(80, 24))
        assert terminal.finish() == 0
        return " ".join(terminal.text.split())

    assert "no new orders" not in shown("order", "list")
    program("pause", "--reason", "lunch")
    for words in (("order", "list"), ("portfolio",)):
        text = shown(*words)
        assert "Trading has been paused since" in text
        assert "lunch; no new orders until `kalshi resume --reason TEXT`" in text
    assert "lunch" not in shown("portfolio", "-q")


def test_an_amend_and_a_decrease_to_the_terms_of_the_order_send_nothing_and_end_with_0(
    exchange: Served, mine: str
) -> None:
    amend = ("order", "amend", mine, "--price", "0.40", "--json")
    decrease = ("order", "decrease", mine, "--to", "2", "--json")
    for words in (amend, decrease):
        assert program(*words).code == 0
        before = exchange.resting()
        again = program(*words)
        assert (again.code, exchange.resting()) == (0, before)
        assert "already has" in again.err
        assert again.err.endswith("; nothing was sent\n")
        row = again.json
        assert (row["order_id"], row["status"]) == (mine, "resting")
        assert (row["price"], row["remaining"]) == (row["price_before"], row["remaining_before"])
    other = program("order", "amend", mine, "--side", "no", "--price", "0.60", "--json")
    assert (other.code, other.json["side"], other.json["price"]) == (0, "no", "0.6000")


def test_a_cancel_of_a_canceled_order_ends_with_0_and_of_a_filled_one_with_4(exchange: Served, mine: str) -> None:
    assert program("cancel", mine).code == 0
    again = program("cancel", mine, "--json")
    assert (again.code, again.err) == (0, "The order was already canceled\n")
    (row,) = again.json
    assert (row["canceled"], row["code"]) == (False, "already_canceled")
    other = program("buy", TWO_SIDED, "1", "@0.31", "--json").json["order_id"]
    both = program("cancel", mine, other, "--json")
    assert (both.code, both.err) == (0, "1 of 2 orders were already canceled\n")
    filled = program("buy", TWO_SIDED, "1", "@0.50", "--json").json
    assert filled["status"] == "filled"
    for ids in ([filled["order_id"]], [filled["order_id"], mine]):
        assert program("cancel", *ids, "--json").code == 4


def test_portfolio_in_a_pipe_shows_an_order_to_buy_no_as_order_list_does(exchange: Served) -> None:
    placed = program("buy", TWO_SIDED, "1", "0.50", "--no", "--json").json["order_id"]
    cells = [
        re.split(r"  +", line)
        for words in (("portfolio",), ("order", "list"))
        for line in program(*words, "--format", "plain").out.splitlines()
        if line.startswith(placed)
    ]
    assert len(cells) == 2
    assert cells[0][2:7] == cells[1][2:7] == [TWO_SIDED, "no", "buy", "ask", "$0.50"]
    (row,) = program("portfolio", "--json").json["orders"]
    assert (row["side"], row["action"], row["price"], row["typed_side"]) == ("yes", "sell", "0.5000", "no")
