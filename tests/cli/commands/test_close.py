"""close, flatten and cancel-all --flatten, typed as a person would: what is shown, what is asked, how it ends."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import (
    FINE,
    KEY_ID,
    ME,
    ONE_SIDED,
    TWO_SIDED,
    Ended,
    Served,
    Terminal,
    program,
    served,
    set_variables,
)
from support.values import make_order

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import contracts, dollars
from kalshi_cli.core.model.effects import OrderChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store

CREATE = r"/portfolio/events/orders$"


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The account holds ten YES of one market and, sold at 12 cents, twenty NO of another where nobody offers."""
    with served(tmp_path) as one:
        one.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
        one.submit(ME, TWO_SIDED, BID, "0.4500", "10")
        set_variables(monkeypatch, tmp_path, one.variables())
        monkeypatch.setattr("kalshi_cli.services.orders.place.RESOLVE_S", 0.5)
        yield one


@pytest.fixture
def proxy(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        set_variables(monkeypatch, exchange.home, exchange.variables(rest_url=one.moved(exchange.server.rest_url)))
        yield one


def also_no(exchange: Served) -> None:
    exchange.submit(ME, ONE_SIDED, ASK, "0.1200", "20")


def held() -> dict[str, str]:
    return {row["ticker"]: row["position"] for row in program("positions", "--json").json}


def halt(exchange: Served) -> None:
    store = Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim")
    store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", exchange.clock.now()))
    store.close()


def error_of(ended: Ended) -> tuple[int, str]:
    return ended.code, ended.error["code"]


# -- close ------------------------------------------------------------------------------------------------------------


def test_close_shows_the_plan_and_what_came_of_it(exchange: Served) -> None:
    ended = program("close", TWO_SIDED.lower(), "--json")
    assert ended.code == 0, ended.err
    assert (
        "10 YES: best price $0.44, worst allowed $0.39; proceeds $4.40 for the 10 available now, "
        "at least $3.90 if all of it fills" in ended.err
    )
    (row,) = ended.json
    assert row.pop("fees") == "0.172500"
    assert row == {
        "ticker": TWO_SIDED,
        "side": "yes",
        "closed": "10.00",
        "left": "0.00",
        "average_price": "0.4400",
        "proceeds": "4.400000",
        "net": "-0.272500",
        "detail": None,
    }
    assert held() == {}
    assert exchange.resting() == []


def test_the_fill_of_a_close_has_the_side_that_was_closed(exchange: Served) -> None:
    also_no(exchange)
    exchange.submit("maker", ONE_SIDED, ASK, "0.1500", "100")
    assert [program("close", ticker, "--json").code for ticker in (TWO_SIDED, ONE_SIDED)] == [0, 0]
    typed = {row["ticker"]: row["typed_side"] for row in program("fills", "--limit", "2", "--json").json}
    assert typed == {TWO_SIDED: "yes", ONE_SIDED: "no"}


def test_a_count_closes_a_part(exchange: Served) -> None:
    ended = program("close", TWO_SIDED, "--count", "4", "--dry-run", "--json")
    assert (ended.code, ended.json[0]["count"], held()) == (0, "4.00", {TWO_SIDED: "10.00"})
    ended = program("close", TWO_SIDED, "--count", "4", "--json")
    assert (ended.code, ended.json[0]["closed"], ended.json[0]["left"]) == (0, "4.00", "6.00")
    assert "4 of 10 YES: best price $0.44" in ended.err
    refused = program("close", TWO_SIDED, "--count", "6.01", "--json")
    assert (refused.code, refused.out, refused.error["message"]) == (
        2, "", f"Cannot close 6.01: you hold 6 YES of {TWO_SIDED}",
    )  # fmt: skip
    assert held() == {TWO_SIDED: "6.00"}


def test_a_slippage_of_zero_closes_at_the_best_price_only(exchange: Served) -> None:
    for typed in ("0", "0c", "$0.00"):
        ended = program("close", TWO_SIDED, "--max-slippage", typed, "--dry-run", "--json")
        assert (ended.json[0]["price"], ended.json[0]["worst_price"]) == ("0.4400", "0.4400")
    assert program("close", TWO_SIDED, "--max-slippage", "0", "--json").json[0]["closed"] == "10.00"


def test_a_no_position_is_shown_at_prices_of_no(exchange: Served) -> None:
    also_no(exchange)
    exchange.submit("maker", ONE_SIDED, ASK, "0.1500", "100")
    ended = program("close", ONE_SIDED, "--json")
    assert "20 NO: best price $0.85, worst allowed $0.80" in ended.err
    assert (ended.json[0]["side"], ended.json[0]["average_price"]) == ("no", "0.8500")


def test_a_dry_run_sends_nothing_and_leaves_no_trace(exchange: Served) -> None:
    exchange.leave_no_trace()
    ended = program("close", TWO_SIDED, "--dry-run", "--max-slippage", "1c", "--json")
    (row,) = ended.json
    assert (row["price"], row["worst_price"], row["fillable"], row["least"]) == (
        "0.4400",
        "0.4300",
        "10.00",
        "4.300000",
    )
    assert "nothing was sent" in ended.err
    assert held() == {TWO_SIDED: "10.00"}
    assert not exchange.state.exists()


def test_without_a_position_there_is_nothing_to_do(exchange: Served) -> None:
    ended = program("close", FINE, "--json")
    assert (ended.code, ended.json) == (0, [])


def test_manual_orders_that_block_a_close_are_canceled_first_where_that_is_asked(exchange: Served) -> None:
    order_id = exchange.submit(ME, TWO_SIDED, ASK, "0.6000", "4").order_id
    assert program("close", TWO_SIDED, "--count", "6", "--cancel-orders", "--yes").code == 0
    assert [row["order_id"] for row in program("order", "list", "--json").json] == [order_id], "it left room for six"
    exchange.submit(ME, TWO_SIDED, BID, "0.0200", "1")
    dry = program("close", TWO_SIDED, "--cancel-orders", "--dry-run")
    assert f"Cancels first: Order {order_id[:8]} on {TWO_SIDED}" in dry.err
    assert "would be refused" not in dry.err
    assert len(exchange.resting()) == 2
    ended = program("close", TWO_SIDED, "--cancel-orders", "--json")
    assert f"Cancels first: Order {order_id[:8]}" in ended.err
    assert (ended.code, ended.json[0]["closed"], ended.json[0]["left"]) == (0, "4.00", "0.00")
    assert [row["price"] for row in program("order", "list", "--json").json] == ["0.0200"], (
        "the order on the other side blocks nothing"
    )
    for shown in (dry.err, ended.err):
        assert shown.count("Still resting, and opens a position if it fills: ") == 1
        assert "(buy 1 YES at $0.02), 0 of 1 filled" in shown


def test_a_flatten_counts_the_orders_that_stay(exchange: Served) -> None:
    assert "resting" not in program("flatten", "--dry-run").err
    exchange.submit(ME, TWO_SIDED, BID, "0.0200", "1")
    shown = program("flatten", "--dry-run").err
    assert "1 order stays resting and can open a position again; to cancel every order: `kalshi cancel-all" in shown
    exchange.submit(ME, FINE, BID, "0.0100", "1")
    ended = program("flatten")
    assert (ended.code, "2 orders stay resting and can open a position again" in ended.err) == (0, True)
    assert "2 orders stay resting" in program("flatten").err, "no position is left to close"


def test_a_close_of_a_part_names_no_order_that_stays(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, BID, "0.0200", "1")
    assert "Still resting" not in program("close", TWO_SIDED, "--count", "5").err
    assert "Still resting" in program("close", TWO_SIDED).err


def test_no_order_is_canceled_where_those_of_a_strategy_block_the_close_anyway(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, ASK, "0.6000", "4")
    order_id = exchange.submit(ME, TWO_SIDED, ASK, "0.6100", "1").order_id
    with closing(Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim")) as store:
        order = make_order("own", order_id=order_id, ticker=TWO_SIDED, side=ASK, qty=contracts(1), strategy="spike")
        store.record(OrderChanged(order))
    assert error_of(program("close", TWO_SIDED, "--cancel-orders", "--json")) == (3, "NOT_CLOSING")
    assert len(exchange.resting()) == 2


def test_a_close_that_would_meet_an_own_order_names_the_option_that_cancels_it(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))
    mine = exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3").order_id
    below = exchange.submit(ME, TWO_SIDED, BID, "0.4000", "3").order_id
    ended = program("close", TWO_SIDED, "--json")
    assert error_of(ended) == (3, "SELF_CROSS")
    assert ended.error["hint"] == (
        f"cancel that order first: `kalshi cancel {mine[:8]}`, or `kalshi close {TWO_SIDED} --cancel-orders`"
    )
    done = program("close", TWO_SIDED, "--cancel-orders", "--json")
    assert (done.code, done.json[0]["left"]) == (0, "0.00")
    assert [order_id for order_id, *_ in exchange.resting()] == [below], "the one that it does not meet stays"


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault("drop_reply", "DELETE", "/portfolio"), 0), (Fault("status_500", "DELETE", "/portfolio", times=10_000), 7)],
)
def test_nothing_is_closed_while_an_order_that_blocks_it_may_be_live(
    proxy: FaultProxy, exchange: Served, fault: Fault, code: int
) -> None:
    exchange.submit(ME, TWO_SIDED, ASK, "0.6000", "4")
    exchange.submit(ME, TWO_SIDED, ASK, "0.6100", "4")
    proxy.faults.append(replace(fault))
    ended = program("close", TWO_SIDED, "--cancel-orders", "--json")
    assert ended.code == code
    assert (held().get(TWO_SIDED), len(exchange.resting())) == ((None, 0) if code == 0 else ("10.00", 2))


def test_beside_a_running_loop_it_says_that_the_loop_may_trade_against_it_and_how_to_hold_it_up(
    exchange: Served,
) -> None:
    exchange.submit(ME, TWO_SIDED, ASK, "0.6000", "1")
    beside = "A trading loop is running on this account"
    alone = program("close", TWO_SIDED, "--json")
    assert error_of(alone) == (3, "NOT_CLOSING")
    assert beside not in alone.err
    assert f"cancel-all --ticker {TWO_SIDED} --no-halt" in alone.err, "the hint names the market"
    assert "kalshi pause" not in alone.err
    assert "kalshi pause" not in alone.err
    with lock(exchange.state / "sim" / "trade.lock", SystemClock()):
        assert beside in program("flatten", "--dry-run").err
        ended = program("close", TWO_SIDED, "--json")
        assert error_of(ended) == (3, "NOT_CLOSING")
        assert beside in ended.err
        assert f"block closing {TWO_SIDED}" in ended.err
        assert "Run `kalshi pause` (the loop cancels its own orders), then close again" in ended.err
        assert program("pause").code == 0
        assert beside not in program("flatten", "--dry-run").err, "it is held up already"


@pytest.mark.usefixtures("exchange")
def test_an_unknown_market_is_an_error() -> None:
    assert program("close", "KXNONE-1").code == 4


def test_where_nobody_buys_nothing_is_sent_and_the_row_says_why(exchange: Served) -> None:
    also_no(exchange)
    ended = program("close", ONE_SIDED, "--json")
    assert error_of(ended) == (3, "NO_BIDS")
    assert (ended.json[0]["closed"], ended.json[0]["left"]) == ("0.00", "20.00")
    assert "No bids for NO" in ended.json[0]["detail"]


def test_a_paused_market_is_said_and_ends_with_its_own_code(exchange: Served) -> None:
    exchange.call(lambda: exchange.exchange.pause_market(TWO_SIDED, exchange.clock.now()))
    ended = program("close", TWO_SIDED, "--json")
    assert error_of(ended) == (3, "MARKET_NOT_OPEN")
    assert held() == {TWO_SIDED: "10.00"}


def test_a_part_is_a_failure_that_says_what_is_left(exchange: Served) -> None:
    exchange.call(lambda: exchange.exchange.cancel_all("maker", exchange.clock.now(), TWO_SIDED))
    exchange.submit("maker", TWO_SIDED, BID, "0.4400", "4")
    ended = program("close", TWO_SIDED, "--tries", "2", "--json")
    assert error_of(ended) == (1, "not_closed")
    assert f"sold 4 YES of {TWO_SIDED}\n  6 YES of {TWO_SIDED} remaining: No more bids" in ended.error["message"]
    assert (ended.json[0]["closed"], ended.json[0]["left"]) == ("4.00", "6.00")
    assert exchange.resting() == []


def test_one_cent_is_taken_only_by_whoever_says_how_far(exchange: Served) -> None:
    exchange.call(lambda: exchange.exchange.cancel_all("maker", exchange.clock.now(), TWO_SIDED))
    exchange.submit("maker", TWO_SIDED, BID, "0.0100", "50")
    ended = program("close", TWO_SIDED, "--json")
    assert error_of(ended) == (3, "AT_A_CENT")
    assert "is $0.01, and a close sells at $0.01 or less only with --max-slippage" in ended.error["message"]
    assert f"`kalshi close {TWO_SIDED} --max-slippage 1c` sells there" in ended.error["hint"]
    assert held() == {TWO_SIDED: "10.00"}
    assert program("close", TWO_SIDED, "--max-slippage", "1c").code == 0
    assert held() == {}


@pytest.mark.parametrize(
    "words",
    [
        ["--max-slippage", "x"],
        ["--tries", "0"],
        ["--tries", "101"],
        ["--subaccount", "64"],
        ["--within", "x"],
        ["--count", "0"],
    ],
)
@pytest.mark.usefixtures("exchange")
def test_bad_values_are_refused_in_one_line(words: list[str]) -> None:
    ended = program("close", TWO_SIDED, *words)
    assert ended.code == 2
    assert ended.out == ""


def test_own_resting_sales_refuse_a_close_before_its_plan_is_shown(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, ASK, "0.5500", "4")
    dry = program("close", TWO_SIDED, "--dry-run")
    assert dry.code == 0
    assert "A close would be refused now. Refused: closing 10 plus 4 in open orders" in " ".join(dry.err.split())
    terminal = Terminal("close", TWO_SIDED, env=exchange.variables())
    assert terminal.finish() == 3
    assert "NOT_CLOSING" in terminal.text
    assert "best price" not in terminal.text
    ended = program("close", TWO_SIDED, "--json")
    assert (error_of(ended), ended.json[0]["left"]) == ((3, "NOT_CLOSING"), "10.00")


def test_a_dry_run_on_a_terminal_shows_the_sentence_of_the_review(exchange: Served) -> None:
    also_no(exchange)
    exchange.call(lambda: exchange.exchange.cancel_all("maker", exchange.clock.now(), TWO_SIDED))
    exchange.submit("maker", TWO_SIDED, BID, "0.4400", "4")
    terminal = Terminal("flatten", "--dry-run", env=exchange.variables(), size=(80, 24))
    assert terminal.finish() == 0
    words = " ".join(terminal.text.split())
    assert (
        f"{TWO_SIDED}: 10 YES: best price $0.44, worst allowed $0.39; proceeds $1.76 for the 4 available now, at least "
        "$3.90 if all of it fills, fee up to $0.18; P&L -$0.78 or better" in words
    )
    assert f"{ONE_SIDED}: 20 NO: cannot be closed now: No bids for NO in {ONE_SIDED}" in words
    assert "Hidden" not in words


def test_a_close_on_a_terminal_ends_with_its_average_price_and_no_hint_to_repeat_it(exchange: Served) -> None:
    terminal = Terminal("close", TWO_SIDED, "--count", "4", env=exchange.variables(), size=(80, 24))
    assert terminal.finish() == 0
    words = " ".join(terminal.text.split())
    assert f"Closed 4 YES of {TWO_SIDED} at $0.44 on average for $1.76, fees $0.07, P&L" in words
    assert "6 left" in words
    assert "Hidden" not in words


def test_a_failed_close_at_80_columns_hides_nothing(exchange: Served) -> None:
    also_no(exchange)
    terminal = Terminal("flatten", env=exchange.variables(), size=(80, 24))
    assert terminal.finish() == 1
    assert "Hidden" not in terminal.text
    assert "avg price" in terminal.text


# -- flatten ----------------------------------------------------------------------------------------------------------


def test_flatten_closes_what_it_can_and_reports_the_rest(exchange: Served) -> None:
    also_no(exchange)
    ended = program("flatten", "--json")
    assert error_of(ended) == (1, "not_closed")
    rows = {row["ticker"]: (row["closed"], row["left"]) for row in ended.json}
    assert rows == {TWO_SIDED: ("10.00", "0.00"), ONE_SIDED: ("0.00", "20.00")}
    assert f"sold 10 YES of {TWO_SIDED}" in ended.error["message"]
    assert f"20 NO of {ONE_SIDED} remaining: No bids for NO in {ONE_SIDED}" in ended.error["message"]
    assert "nothing was sent" not in ended.err
    assert held() == {ONE_SIDED: "-20.00"}


def test_the_dry_run_of_a_flatten_warns_of_each_refusal(exchange: Served) -> None:
    also_no(exchange)
    exchange.submit(ME, TWO_SIDED, ASK, "0.5500", "4")
    ended = program("flatten", "--dry-run")
    assert ended.code == 0
    words = " ".join(ended.err.split())
    assert f"{TWO_SIDED}: a close would be refused now. Refused: closing 10 plus 4 in open orders exceeds" in words
    assert f"`kalshi cancel-all --ticker {TWO_SIDED} --no-halt`" in words


def test_a_flatten_warns_of_each_refusal_with_its_plan(exchange: Served) -> None:
    also_no(exchange)
    exchange.submit(ME, TWO_SIDED, ASK, "0.5500", "4")
    ended = program("flatten", "--yes")
    plan, _, _ = " ".join(ended.err.split()).partition("error: ")
    assert f"{TWO_SIDED}: a close would be refused now. Refused: closing 10 plus 4 in open orders exceeds" in plan
    assert held() == {TWO_SIDED: "10.00", ONE_SIDED: "-20.00"}


def test_an_unknown_outcome_ends_it_with_7_and_the_order(proxy: FaultProxy, exchange: Served) -> None:
    """The exchange never got it, and cannot prove that: nobody knows."""
    also_no(exchange)
    exchange.submit("maker", ONE_SIDED, ASK, "0.1500", "100")
    proxy.faults.append(Fault("status_500", "POST", CREATE, times=99))
    ended = program("flatten", "--json")
    assert error_of(ended) == (7, "outcome_unknown")
    assert proxy.faults[0].hits == 1, "not tried again, and no other position begun"
    assert sorted(row["closed"] for row in ended.json) == ["0.00", "0.00"]
    assert sorted("Not started" in row["detail"] for row in ended.json) == [False, True]
    assert "client order id" in ended.error["hint"]
    assert held() == {TWO_SIDED: "10.00", ONE_SIDED: "-20.00"}


def test_a_close_names_an_earlier_one_that_is_unconfirmed(proxy: FaultProxy, exchange: Served) -> None:
    words = ("close", TWO_SIDED, "--count", "4", "--json")
    assert "unconfirmed" not in program(*words, "--dry-run").err
    proxy.faults.append(Fault("status_500", "POST", CREATE, times=99))
    (order_id,) = re.findall(r"client order id (\S+?)[,;)]", program(*words).error["hint"])
    for again in ((*words, "--dry-run"), ("flatten", "--dry-run", "--json"), words):
        said = program(*again).err
        assert f"Order {order_id} is unconfirmed: placed" in said
        assert f"to sell 4 YES {TWO_SIDED} at $0.44. It may have filled: first run `kalshi order reconcile`" in said
    assert held() == {TWO_SIDED: "10.00"}


def test_a_lost_answer_is_looked_up_and_nothing_is_sold_twice(proxy: FaultProxy, exchange: Served) -> None:
    proxy.faults.append(Fault("drop_reply", "POST", CREATE))
    ended = program("flatten", "--json")
    assert ended.code == 0, ended.err
    assert ended.json[0]["closed"] == "10.00"
    assert proxy.faults[0].hits == 1
    assert held() == {}
    assert exchange.resting() == []


# -- prod, read-only, halted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("close", TWO_SIDED), ("flatten",)])
def test_on_prod_it_shows_the_plan_and_asks(
    exchange: Served, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.is_real(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    ended = program(*words)
    assert (ended.code, ended.out) == (3, "")
    assert "worst allowed $0.39" in ended.err
    assert "add --yes" in ended.err
    assert held() == {TWO_SIDED: "10.00"}
    assert program(*words, "--yes").code == 0
    assert held() == {}
    assert exchange.resting() == []


@pytest.mark.usefixtures("exchange")
def test_read_only_refuses_it_and_lets_a_dry_run_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_READ_ONLY", "1")
    assert program("close", TWO_SIDED).code == 3
    assert program("flatten", "--dry-run").code == 0
    assert held() == {TWO_SIDED: "10.00"}


def test_a_close_works_while_halted_and_no_order_does(exchange: Served) -> None:
    halt(exchange)
    words = ["order", "place", TWO_SIDED, "--side", "yes", "--action", "sell", "--count", "10", "--price", "0.44"]
    for more in ([], ["--tif", "ioc", "--reduce-only"]):
        refused = program(*words, *more)
        assert refused.code == 3
        assert "Trading has been halted since" in refused.err
    assert held() == {TWO_SIDED: "10.00"}
    assert program("close", TWO_SIDED).code == 0
    assert held() == {}
    assert program("status", "--json").json["state"] == "halted"


# -- cancel-all --flatten ---------------------------------------------------------------------------------------------


def test_the_kill_switch_closes_after_nothing_rests(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, ASK, "0.6000", "10")
    assert program("close", TWO_SIDED).code == 3, "the order that rests would close it too"
    ended = program("cancel-all", "--flatten", "--json")
    assert ended.code == 0, ended.err
    shown = ended.json
    assert (shown["canceled"], shown["remaining"], shown["halted"]) == (1, 0, True)
    assert [(row["ticker"], row["closed"], row["left"]) for row in shown["positions"]] == [(TWO_SIDED, "10.00", "0.00")]
    assert held() == {}


def test_the_kill_switch_says_what_it_could_not_close(exchange: Served) -> None:
    also_no(exchange)
    ended = program("cancel-all", "--flatten", "--json")
    assert error_of(ended) == (1, "not_closed")
    assert len(ended.json["positions"]) == 2
    assert ended.json["halted"] is True


def test_where_zero_is_not_verified_nothing_is_closed(proxy: FaultProxy, exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    proxy.faults.append(Fault("status_500", "DELETE", "/portfolio", times=10_000))
    ended = program("cancel-all", "--flatten", "--within", "2s", "--json")
    assert ended.code == 7
    assert "No position was closed" in ended.err
    assert ended.json["positions"] == []
    assert not any(answer.method == "POST" for answer in proxy.answers)
    assert exchange.call(lambda: exchange.exchange.resting(ME)) != []
    proxy.faults.clear()
    assert held() == {TWO_SIDED: "10.00"}


def test_where_the_halt_cannot_be_written_nothing_is_closed(exchange: Served) -> None:
    exchange.leave_no_trace()
    exchange.state.mkdir()
    (exchange.state / "sim").write_text("a file where the directory should be")
    ended = program("cancel-all", "--flatten", "--json")
    assert ended.code == 8
    assert (ended.json["halted"], ended.json["positions"]) == (False, [])
    assert "No position was closed" in ended.err
    assert exchange.call(lambda: exchange.exchange.resting(ME)) == []


def test_on_prod_the_kill_switch_cancels_unasked_and_closes_only_if_told(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.is_real(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    ended = program("cancel-all", "--flatten", "--json")
    assert error_of(ended) == (3, "not_confirmed")
    assert (ended.json["canceled"], ended.json["positions"]) == (1, [])
    assert held() == {TWO_SIDED: "10.00"}
    assert program("cancel-all", "--flatten", "--yes").code == 0
    assert held() == {}


@pytest.mark.parametrize("words", [["--no-halt"], ["--ticker", "KX*"], ["--event", "KXRAIN-40JAN01"]])
def test_a_flatten_is_of_everything_and_halts(exchange: Served, words: list[str]) -> None:
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    assert program("cancel-all", "--flatten", *words).code == 2
    assert len(exchange.resting()) == 1
    assert held() == {TWO_SIDED: "10.00"}


def test_the_position_of_a_subaccount_is_closed_there(exchange: Served) -> None:
    def funded() -> int:
        number: int = exchange.exchange.add_subaccount(ME)  # type: ignore[assignment]
        exchange.exchange.deposit(ME, dollars(50), subaccount=number)
        return number

    number = exchange.call(funded)
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "3", subaccount=number)
    ended = program("flatten", "--subaccount", str(number), "--json")
    assert [(row["ticker"], row["closed"]) for row in ended.json] == [(TWO_SIDED, "3.00")]
    assert program("close", TWO_SIDED, "--json").json[0]["closed"] == "10.00", "the primary one was left alone"
