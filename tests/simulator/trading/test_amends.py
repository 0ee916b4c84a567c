"""Amend and decrease: what keeps its place in the queue, what trades, what is told, what is refused (API.md 5.6)."""

from __future__ import annotations

from typing import Any

import pytest
from support.exchange import DAY, ORDERS, T0, TICKER, Caller, killed, make_exchange, order, quote

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import ExchangeOptions

SOON = T0 // 1000 + 60


def caller(**options: Any) -> Caller:
    return Caller(make_exchange(ExchangeOptions(**({"read_rate": 0, "write_rate": 0} | options))))


@pytest.fixture
def alice() -> Caller:
    return caller()


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def rest(alice: Caller, side: str = "bid", price: str = "0.50", count: str = "10", **changes: Any) -> str:
    status, made = alice.place(side, price, count, **changes)
    assert status == 201
    return str(made["order_id"])


def amend(alice: Caller, order_id: str, price: str, count: str, **changes: Any) -> tuple[int, Any]:
    body = {"ticker": TICKER, "side": "bid", "price": price, "count": count} | changes
    return alice("POST", f"{ORDERS}/{order_id}/amend", body)


def decrease(alice: Caller, order_id: str, **body: str) -> tuple[int, Any]:
    return alice("POST", f"{ORDERS}/{order_id}/decrease", body)


def read(alice: Caller, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = alice.get(f"/portfolio/orders/{order_id}")["order"]
    return found


def ahead(alice: Caller, order_id: str) -> str:
    return str(alice.get(f"/portfolio/orders/{order_id}/queue_position")["queue_position_fp"])


def take(alice: Caller, count: str, side: Any = ASK, price: str = "0.50") -> None:
    alice.exchange.submit("bob", order(side, price, count, tif=TimeInForce.IOC), alice.now)


# -- the queue --


@pytest.mark.parametrize(
    ("price", "count", "changes", "expected"),
    [
        ("0.50", "10", {"expiration_time": SOON}, "0.00"),
        ("0.50", "4", {}, "0.00"),
        ("0.50", "4", {"expiration_time": SOON}, "0.00"),
        ("0.50", "10", {}, "0.00"),
        ("0.50", "11", {}, "5.00"),
        ("0.49", "10", {}, "5.00"),
        ("0.51", "4", {}, "0.00"),
    ],
)
def test_only_less_or_another_expiry_keeps_the_place(
    alice: Caller, price: str, count: str, changes: dict[str, Any], expected: str
) -> None:
    """Behind the order lie 5 of somebody else at 0.50; where it loses its place at that price it is behind them."""
    mine = rest(alice)
    quote(alice.exchange, BID, "0.50", "5")
    assert amend(alice, mine, price, count, **changes)[0] == 200
    assert ahead(alice, mine) == expected


def test_a_price_there_and_back_is_the_back_of_the_queue(alice: Caller) -> None:
    mine = rest(alice)
    quote(alice.exchange, BID, "0.50", "5")
    amend(alice, mine, "0.49", "10")
    amend(alice, mine, "0.50", "10")
    assert ahead(alice, mine) == "5.00"
    take(alice, "6")
    assert read(alice, mine)["fill_count_fp"] == "1.00"


def test_a_decrease_keeps_the_place(alice: Caller) -> None:
    mine = rest(alice)
    quote(alice.exchange, BID, "0.50", "5")
    assert decrease(alice, mine, reduce_by="2.50") == (
        200,
        {"order_id": mine, "remaining_count": "7.50", "ts_ms": T0},
    )
    assert decrease(alice, mine, reduce_to="3")[1]["remaining_count"] == "3.00"
    assert ahead(alice, mine) == "0.00"
    assert alice.exchange.levels(TICKER, BID) == [(5000, 800)]


def test_the_queue_after_an_amendment_survives_a_restart() -> None:
    journal = MemoryJournal()
    alice = Caller(make_exchange(journal=journal))
    mine = rest(alice)
    alice.exchange.submit("bob", order(BID, "0.5", "5"), T0)
    amend(alice, mine, "0.50", "11")
    exchange = killed(journal)
    assert ahead(Caller(exchange), mine) == "5.00"
    later = rest(Caller(exchange), count="1")
    assert ahead(Caller(exchange), later) == "16.00", "the counter of places went on"


# -- counts and what is told --


def test_count_is_the_total_with_what_was_filled(alice: Caller) -> None:
    mine = rest(alice)
    take(alice, "4")
    status, body = amend(alice, mine, "0.50", "9")
    assert (status, body["remaining_count"], body["fill_count"]) == (200, "5.00", "0.00")
    shown = read(alice, mine)
    assert [shown[f"{name}_count_fp"] for name in ("initial", "fill", "remaining")] == ["9.00", "4.00", "5.00"]
    assert code(amend(alice, mine, "0.50", "3.99")) == (400, "invalid_order_size")


def test_a_total_of_what_was_filled_cancels_the_rest(alice: Caller) -> None:
    mine = rest(alice)
    take(alice, "4")
    assert amend(alice, mine, "0.50", "4")[1]["remaining_count"] == "0.00"
    assert read(alice, mine)["status"] == "canceled"
    assert alice.exchange.resting("alice") == []


def test_a_price_alone_that_did_not_trade_is_answered_with_the_id_alone(alice: Caller) -> None:
    mine = rest(alice)
    assert amend(alice, mine, "0.49", "10") == (200, {"order_id": mine, "ts_ms": T0})
    assert alice.exchange.resting("alice") == [(mine, BID, 4900, 1000)]
    talkative = caller(amend_shows_counts=True)
    mine = rest(talkative)
    assert amend(talkative, mine, "0.49", "10")[1]["remaining_count"] == "10.00"


def test_an_amendment_that_crosses_trades_as_a_taker_and_tells_what_it_did(alice: Caller) -> None:
    mine = rest(alice, count="10")
    take(alice, "2")
    quote(alice.exchange, ASK, "0.55", "3")
    status, body = amend(alice, mine, "0.60", "12")
    assert status == 200
    assert body == {
        "order_id": mine,
        "fill_count": "3.00",
        "remaining_count": "7.00",
        "average_fill_price": "0.5500",
        "average_fee_paid": "0.0173",
        "ts_ms": T0,
    }
    fills = alice.get("/portfolio/fills")["fills"]
    assert [(fill["count_fp"], fill["is_taker"]) for fill in fills] == [("3.00", True), ("2.00", False)]
    assert alice.exchange.resting("alice") == [(mine, BID, 6000, 700)]
    assert read(alice, mine)["fill_count_fp"] == "5.00"


def test_the_average_of_an_amendment_leaves_out_what_was_taken_before(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.40", "5")
    mine = rest(alice, price="0.50", count="10")
    quote(alice.exchange, ASK, "0.55", "1")
    body = amend(alice, mine, "0.55", "10")[1]
    assert (body["fill_count"], body["average_fill_price"], body["average_fee_paid"]) == ("1.00", "0.5500", "0.0174")


def test_an_amendment_into_an_own_order_follows_its_self_trade_prevention(alice: Caller) -> None:
    rest(alice, "ask", "0.60", "5")
    mine = rest(alice)
    amend(alice, mine, "0.60", "10")
    assert read(alice, mine)["status"] == "canceled"
    other = rest(alice, self_trade_prevention_type="maker")
    assert amend(alice, other, "0.60", "10")[0] == 200
    assert alice.exchange.resting("alice") == [(other, BID, 6000, 1000)]


# -- expiry --


def test_an_expiry_is_kept_set_and_removed(alice: Caller) -> None:
    mine = rest(alice, expiration_time=SOON)
    amend(alice, mine, "0.50", "9")
    assert read(alice, mine)["expiration_time"] == "2026-05-28T20:27:40Z"
    amend(alice, mine, "0.50", "9", expiration_time=SOON + 60)
    assert read(alice, mine)["expiration_time"] == "2026-05-28T20:28:40Z"
    alice.now = Ts(SOON * 1000)
    assert len(alice.get("/portfolio/orders", status="resting")["orders"]) == 1, "the old expiry is over"
    amend(alice, mine, "0.50", "9", expiration_time=0)
    assert "expiration_time" not in read(alice, mine)
    alice.now = Ts((SOON + 3600) * 1000)
    assert len(alice.get("/portfolio/orders", status="resting")["orders"]) == 1


def test_a_new_expiry_is_kept_also_by_an_order_that_enters_again(alice: Caller) -> None:
    mine = rest(alice)
    amend(alice, mine, "0.49", "10", expiration_time=SOON)
    alice.now = Ts(SOON * 1000 - 1)
    assert read(alice, mine)["status"] == "resting"
    alice.now = Ts(SOON * 1000)
    assert read(alice, mine)["status"] == "canceled"


def test_an_expiry_in_the_past_is_refused(alice: Caller) -> None:
    mine = rest(alice)
    assert code(amend(alice, mine, "0.50", "10", expiration_time=T0 // 1000)) == (400, "invalid_order")


# -- client order ids --


def test_an_order_can_be_renamed_and_both_names_stay_used(alice: Caller) -> None:
    mine = rest(alice, client_order_id="first")
    _, body = amend(alice, mine, "0.50", "9", client_order_id="first", updated_client_order_id="second")
    assert body["client_order_id"] == "second"
    assert read(alice, mine)["client_order_id"] == "second"
    for used in ("first", "second"):
        assert code(alice.place("bid", "0.4", "1", client_order_id=used)) == (409, "order_already_exists")
    other = rest(alice)
    assert code(amend(alice, other, "0.50", "9", updated_client_order_id="first")) == (409, "order_already_exists")
    assert amend(alice, mine, "0.50", "8", updated_client_order_id="second")[0] == 200, "its own name is no other's"


# -- refusals, which change nothing --


@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ticker": "KXSIM-26JUN-T4.00"}, "order_ticker_mismatch"),
        ({"side": "ask"}, "order_side_mismatch"),
        ({"client_order_id": "other"}, "order_id_and_client_order_id_mismatch"),
    ],
)
def test_what_is_not_the_orders_is_refused_with_a_status_that_is_a_switch(
    changes: dict[str, Any], expected: str, status: int
) -> None:
    alice = caller(mismatch_status=status)
    mine = rest(alice, client_order_id="mine")
    assert code(amend(alice, mine, "0.49", "10", **changes)) == (status, expected)
    assert alice.exchange.resting("alice") == [(mine, BID, 5000, 1000)]


@pytest.mark.parametrize(
    ("price", "count", "expected"),
    [
        ("0.505", "10", "invalid_price"),
        ("1.00", "10", "invalid_price"),
        ("0.50", "0", "invalid_order_size"),
        ("0.50", "0.001", "invalid_order_size"),
        ("0.99", "5000", "insufficient_balance"),
    ],
)
def test_an_amendment_that_could_not_be_placed_is_refused(alice: Caller, price: str, count: str, expected: str) -> None:
    mine = rest(alice)
    assert code(amend(alice, mine, price, count)) == (400, expected)
    assert alice.exchange.resting("alice") == [(mine, BID, 5000, 1000)]
    assert read(alice, mine)["last_update_time"] == read(alice, mine)["created_time"]


def test_what_the_order_held_back_counts_for_its_amendment(alice: Caller) -> None:
    """1,000 dollars cover 1,800 at 0.51 only because those at 0.50 go."""
    mine = rest(alice, count="1800")
    assert code(alice.place("bid", "0.50", "1800")) == (400, "insufficient_balance")
    assert amend(alice, mine, "0.51", "1800")[0] == 200
    assert alice.exchange._state.members["alice"].purse(0, 0).reserved_total == 918_000_000


def test_dead_and_strange_orders_are_not_found(alice: Caller) -> None:
    mine = rest(alice)
    for other in (Caller(alice.exchange, "bob"),):
        assert code(amend(other, mine, "0.49", "10")) == (404, "not_found")
        assert code(decrease(other, mine, reduce_by="1")) == (404, "not_found")
    alice("DELETE", f"{ORDERS}/{mine}")
    assert code(amend(alice, mine, "0.49", "10")) == (404, "not_found")
    assert code(decrease(alice, mine, reduce_by="1")) == (404, "not_found")


@pytest.mark.parametrize("body", [{}, {"reduce_by": "1", "reduce_to": "1"}])
def test_a_decrease_says_by_or_to_and_not_both(alice: Caller, body: dict[str, str]) -> None:
    assert code(decrease(alice, rest(alice), **body)) == (400, "invalid_parameters")


def test_a_decrease_goes_down_to_nothing_and_never_up(alice: Caller) -> None:
    mine = rest(alice)
    assert code(decrease(alice, mine, reduce_to="10.01")) == (400, "invalid_order_size")
    assert decrease(alice, mine, reduce_by="99")[1]["remaining_count"] == "0.00"
    shown = read(alice, mine)
    assert (shown["status"], shown["remaining_count_fp"]) == ("canceled", "0.00")
    assert alice.exchange.top(TICKER) == (None, None)
    assert alice.exchange._state.members["alice"].purse(0, 0).reserved_total == 0


def test_a_pause_of_trading_stops_amendments_and_lets_decreases_through(alice: Caller) -> None:
    mine = rest(alice)
    alice.exchange.pause("trading", T0)
    assert code(amend(alice, mine, "0.49", "10")) == (409, "trading_is_paused")
    assert decrease(alice, mine, reduce_by="1")[0] == 200
    alice.exchange.pause("exchange", T0)
    assert code(amend(alice, mine, "0.49", "9")) == (409, "exchange_is_paused")
    assert code(decrease(alice, mine, reduce_by="1")) == (409, "exchange_is_paused")


@pytest.mark.parametrize("status", [400, 409])
def test_after_the_close_neither_works(status: int) -> None:
    alice = caller(inactive_status=status)
    mine = rest(alice)
    alice.now = Ts(T0 + DAY)
    assert code(amend(alice, mine, "0.49", "10")) == (status, "market_inactive")
    assert code(decrease(alice, mine, reduce_by="1")) == (status, "market_inactive")
    assert code(alice("DELETE", f"{ORDERS}/{mine}")) == (status, "market_inactive")


# -- post-only --


def test_a_post_only_order_that_would_cross_by_its_amendment_is_cancelled(alice: Caller) -> None:
    stream = alice.connect()
    stream.send("subscribe", channels=["user_orders"])
    mine = rest(alice, post_only=True)
    quote(alice.exchange, ASK, "0.55", "3")
    status, body = amend(alice, mine, "0.55", "10")
    assert (status, body["fill_count"], body["remaining_count"]) == (200, "0.00", "0.00")
    assert read(alice, mine)["status"] == "canceled"
    assert stream.frames()[-1]["msg"]["last_update_reason"] == "PostOnlyCrossCancel"
    assert alice.exchange.levels(TICKER, ASK) == [(5500, 300)], "nothing traded"


def test_or_the_amendment_is_refused_and_the_order_stays() -> None:
    alice = caller(post_only_amend="refuse")
    mine = rest(alice, post_only=True)
    quote(alice.exchange, ASK, "0.55", "3")
    status, body = amend(alice, mine, "0.55", "10")
    assert (status, body["error"]["details"]) == (400, "post only cross")
    assert alice.exchange.resting("alice") == [(mine, BID, 5000, 1000)]
    assert amend(alice, mine, "0.54", "10")[0] == 200


# -- the stream and the money --


def test_the_stream_tells_the_book_and_the_reason(alice: Caller) -> None:
    mine = rest(alice, client_order_id="mine")
    stream = alice.connect()
    stream.send("subscribe", channels=["orderbook_delta", "user_orders"], market_ticker=TICKER, use_yes_price=True)

    def deltas() -> list[tuple[str, str]]:
        found = stream.frames()
        reasons.extend(one["msg"]["last_update_reason"] for one in found if one["type"] == "user_order")
        books = (one["msg"] for one in found if one["type"] == "orderbook_delta")
        return [(msg["price_dollars"], msg["delta_fp"]) for msg in books]

    reasons: list[str] = []
    decrease(alice, mine, reduce_by="3")
    assert deltas() == [("0.5000", "-3.00")]
    amend(alice, mine, "0.50", "5")
    assert deltas() == [("0.5000", "-2.00")]
    amend(alice, mine, "0.49", "5")
    assert deltas() == [("0.5000", "-5.00"), ("0.4900", "5.00")]
    assert reasons == ["Decrease", "Amend", "Amend"]


def test_what_is_held_back_follows_the_order(alice: Caller) -> None:
    purse = alice.exchange._state.members["alice"].purse(0, 0)
    mine = rest(alice)
    assert purse.reserved_total == 5_000_000
    for price, count, expected in (("0.40", "10", 4_000_000), ("0.40", "20", 8_000_000), ("0.40", "5", 2_000_000)):
        amend(alice, mine, price, count)
        assert purse.reserved_total == expected
    decrease(alice, mine, reduce_to="1")
    assert purse.reserved_total == 400_000
    assert alice("DELETE", f"{ORDERS}/{mine}")[1]["reduced_by"] == "1.00"
    assert purse.reserved_total == 0


def test_lists_of_orders_page_the_same_after_an_amendment(alice: Caller) -> None:
    """An amended order is no newer order: pages follow the age of orders, not their places in a queue."""
    ids = [rest(alice, count="1") for _ in range(4)]
    amend(alice, ids[0], "0.49", "1")
    first = alice.get("/portfolio/orders", limit=2)
    second = alice.get("/portfolio/orders", limit=2, cursor=first["cursor"])
    assert [one["order_id"] for one in first["orders"] + second["orders"]] == ids[::-1]
    assert second["cursor"] == ""


# -- places in the queue --


def test_queue_positions_of_all_orders_are_current_and_filtered(alice: Caller) -> None:
    quote(alice.exchange, BID, "0.51", "2")
    quote(alice.exchange, BID, "0.50", "3.5")
    one, two = rest(alice), rest(alice, price="0.49", count="1")
    ask = rest(alice, "ask", "0.60", "1")
    path = "/portfolio/orders/queue_positions"
    assert {row["order_id"]: row["queue_position_fp"] for row in alice.get(path)["queue_positions"]} == {
        one: "5.50",
        two: "15.50",
        ask: "0.00",
    }
    assert len(alice.get(path, market_tickers=f"KXNO,{TICKER}", event_ticker="KXSIM-26JUN")["queue_positions"]) == 3
    assert alice.get(path, market_tickers="KXNO")["queue_positions"] == []
    assert alice.get(path, event_ticker="KXNO")["queue_positions"] == []
    assert alice.get(path, subaccount=1)["queue_positions"] == []
    assert all(ahead(alice, row["order_id"]) == row["queue_position_fp"] for row in alice.get(path)["queue_positions"])
