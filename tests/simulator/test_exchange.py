from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.hashes import SHA256
from support.exchange import (
    DAY,
    ORDERS,
    RSA_KEY,
    T0,
    TICKER,
    Caller,
    create_body,
    make_exchange,
    make_market,
    order,
    quote,
    signed,
)
from support.specification import check_response, specs_or_skip

from kalshi_cli.base.units import Price, Ts, parse_price
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.exchange import STREAM_PATH
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.simulator.trading.lifecycle import linger_ms

IOC = {"time_in_force": "immediate_or_cancel"}
FOK = {"time_in_force": "fill_or_kill"}


@pytest.fixture
def alice() -> Caller:
    return Caller(make_exchange())


def code(body: dict) -> str:  # type: ignore[type-arg]
    return str(body["error"]["code"])


# -- orders --


def test_a_resting_order_is_answered_slim_and_read_back_whole(alice: Caller) -> None:
    status, made = alice.place("bid", "0.0100", "1.00", client_order_id="mine")
    assert status == 201
    order_id = made["order_id"]
    assert made == {
        "order_id": order_id,
        "client_order_id": "mine",
        "fill_count": "0.00",
        "remaining_count": "1.00",
        "ts_ms": T0,
    }
    read = alice.get(f"/portfolio/orders/{order_id}")["order"]
    assert (read["status"], read["yes_price_dollars"], read["no_price_dollars"]) == ("resting", "0.0100", "0.9900")
    assert (read["outcome_side"], read["book_side"]) == ("yes", "bid")
    assert read["taker_fill_cost_dollars"] == "0.000000"


def test_a_taker_gets_the_better_price_of_the_resting_order(alice: Caller) -> None:
    """As recorded: a bid of 0.99 against an ask of 0.52 fills at 0.52 for a fee of 0.0175."""
    quote(alice.exchange, ASK, "0.52", "3")
    status, made = alice.place("bid", "0.99", "1", **IOC)
    assert status == 201
    assert (made["average_fill_price"], made["average_fee_paid"]) == ("0.5200", "0.0175")
    assert (made["fill_count"], made["remaining_count"]) == ("1.00", "0.00")
    [fill] = alice.get("/portfolio/fills")["fills"]
    assert (fill["fee_cost"], fill["yes_price_dollars"], fill["is_taker"]) == ("0.017500", "0.5200", True)
    balance = alice.get("/portfolio/balance")
    assert (balance["balance"], balance["balance_dollars"]) == (99946, "999.4625")
    assert balance["portfolio_value"] == 52
    [position] = alice.get("/portfolio/positions")["market_positions"]
    assert (position["position_fp"], position["market_exposure_dollars"]) == ("1.00", "0.520000")


def test_an_unfilled_ioc_is_accepted_and_leaves_nothing(alice: Caller) -> None:
    status, made = alice.place("bid", "0.5", "1", **IOC)
    assert (status, made["fill_count"], made["remaining_count"]) == (201, "0.00", "0.00")
    assert alice.get(f"/portfolio/orders/{made['order_id']}")["order"]["status"] == "canceled"
    assert alice.exchange.top(TICKER) == (None, None)


def test_an_order_partly_filled_rests_with_the_remainder(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.52", "3")
    _, made = alice.place("bid", "0.52", "5")
    assert (made["fill_count"], made["remaining_count"]) == ("3.00", "2.00")
    assert alice.exchange.top(TICKER) == ((5200, 200), None)


def test_a_fok_that_cannot_fill_is_a_409_and_nothing_happened(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.52", "3")
    status, body = alice.place("bid", "0.52", "5", client_order_id="again", **FOK)
    assert (status, code(body)) == (409, "fill_or_kill_insufficient_resting_volume")
    assert alice.get("/portfolio/orders")["orders"] == []
    assert alice.place("bid", "0.52", "3", client_order_id="again", **FOK)[0] == 201


def test_a_crossing_post_only_order_is_refused_in_the_recorded_words(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.52", "3")
    status, body = alice.place("bid", "0.52", "1", post_only=True)
    assert status == 400
    assert body == {"error": {"code": "invalid_order", "message": "invalid order", "details": "post only cross"}}


def test_reduce_only_is_capped_at_the_position_and_needs_ioc(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.52", "3")
    alice.place("bid", "0.52", "3", **IOC)
    quote(alice.exchange, BID, "0.5", "10")
    status, body = alice.place("ask", "0.5", "5", reduce_only=True)
    assert (status, code(body)) == (400, "invalid_order")
    _, made = alice.place("ask", "0.5", "5", reduce_only=True, **IOC)
    assert (made["fill_count"], alice.exchange.position("alice", TICKER)) == ("3.00", 0)
    status, made = alice.place("ask", "0.5", "5", reduce_only=True, **IOC)
    assert (status, made["fill_count"], made["remaining_count"]) == (201, "0.00", "0.00")


def test_a_self_cross_cancels_the_taker_and_leaves_the_resting_order(alice: Caller) -> None:
    alice.place("bid", "0.48", "1")
    status, made = alice.place("ask", "0.48", "1")
    assert (status, made["fill_count"], made["remaining_count"]) == (201, "0.00", "0.00")
    assert alice.exchange.top(TICKER) == ((4800, 100), None)


def test_a_self_cross_with_maker_prevention_cancels_the_resting_order(alice: Caller) -> None:
    _, resting = alice.place("bid", "0.48", "1")
    _, made = alice.place("ask", "0.48", "1", self_trade_prevention_type="maker")
    assert made["remaining_count"] == "1.00"
    assert alice.get(f"/portfolio/orders/{resting['order_id']}")["order"]["status"] == "canceled"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"price": "0.588"}, "invalid_price"),
        ({"price": "1.0000"}, "invalid_price"),
        ({"price": "0"}, "invalid_price"),
        ({"price": "cheap"}, "invalid_price"),
        ({"count": "0"}, "invalid_order_size"),
        ({"count": "0.001"}, "invalid_order_size"),
        ({"side": "yes"}, "invalid_parameters"),
        ({"time_in_force": None}, "invalid_parameters"),
        ({"self_trade_prevention_type": None}, "invalid_parameters"),
        ({"client_order_id": "a.b"}, "invalid_parameters"),
        ({"expiration_time": T0 // 1000 - 1}, "invalid_order"),
        ({"expiration_time": T0 // 1000 + 60} | IOC, "invalid_order"),
        ({"price": "0.99", "count": "5000"}, "insufficient_balance"),
    ],
)
def test_a_bad_order_is_refused_with_its_code_and_changes_nothing(
    alice: Caller, change: dict[str, object], expected: str
) -> None:
    status, body = alice("POST", ORDERS, create_body("bid", "0.5", "1") | change)
    assert (status, code(body)) == (400, expected)
    assert alice.get("/portfolio/orders")["orders"] == []


def test_an_unknown_market_is_a_404(alice: Caller) -> None:
    status, body = alice("POST", ORDERS, create_body("bid", "0.5", "1", ticker="KXNO"))
    assert (status, code(body)) == (404, "not_found")


def test_a_truth_value_is_not_a_number(alice: Caller) -> None:
    status, body = alice("POST", ORDERS, create_body("bid", "0.5", "1", expiration_time=True))
    assert (status, body["code"]) == (400, "bad_request")


@pytest.mark.parametrize(("field", "value"), [("count", 10), ("price", 0.56)])
def test_a_number_where_a_string_is_due_gets_the_flat_body(alice: Caller, field: str, value: object) -> None:
    status, body = alice("POST", ORDERS, create_body("bid", "0.5", "1") | {field: value})
    assert status == 400
    assert body == {
        "code": "bad_request",
        "message": "bad request",
        "details": f"json: cannot unmarshal number into Go struct field CreateOrderV2Request.{field} of type string",
    }


def test_a_client_order_id_is_used_up_for_ever(alice: Caller) -> None:
    _, made = alice.place("bid", "0.5", "1", client_order_id="once")
    assert alice.place("bid", "0.5", "1", client_order_id="once")[0] == 409
    alice("DELETE", f"{ORDERS}/{made['order_id']}")
    status, body = alice.place("bid", "0.5", "1", client_order_id="once")
    assert (status, body) == (409, {"error": {"code": "order_already_exists", "message": "order already exists"}})
    bob = Caller(alice.exchange, "bob")
    assert bob.place("bid", "0.5", "1", client_order_id="once")[0] == 201, "ids belong to an account"


def test_under_the_other_rule_an_id_is_free_when_its_order_is_over() -> None:
    alice = Caller(make_exchange(ExchangeOptions(client_ids="open_only")))
    _, made = alice.place("bid", "0.5", "1", client_order_id="twice")
    assert alice.place("bid", "0.5", "1", client_order_id="twice")[0] == 409
    alice("DELETE", f"{ORDERS}/{made['order_id']}")
    assert alice.place("bid", "0.5", "1", client_order_id="twice")[0] == 201


def test_a_cancel_says_what_it_took_and_a_second_one_is_a_404(alice: Caller) -> None:
    _, made = alice.place("bid", "0.5", "2", client_order_id="c")
    status, body = alice("DELETE", f"{ORDERS}/{made['order_id']}")
    assert (status, body["reduced_by"], body["client_order_id"]) == (200, "2.00", "c")
    status, body = alice("DELETE", f"{ORDERS}/{made['order_id']}")
    assert (status, body) == (404, {"error": {"code": "not_found", "message": "not found"}})
    assert alice.get(f"/portfolio/orders/{made['order_id']}")["order"]["remaining_count_fp"] == "0.00"


def test_members_cannot_cancel_orders_of_others(alice: Caller) -> None:
    _, made = alice.place("bid", "0.5", "2")
    assert Caller(alice.exchange, "bob")("DELETE", f"{ORDERS}/{made['order_id']}")[0] == 404
    assert len(alice.exchange.resting("alice")) == 1


def test_cancel_all_takes_everything_and_answers_nothing(alice: Caller) -> None:
    for price in ("0.1", "0.2"):
        alice.place("bid", price, "1")
    assert alice("DELETE", ORDERS) == (204, None)
    assert alice.exchange.resting("alice") == []


def test_a_batch_answers_item_by_item(alice: Caller) -> None:
    items = [create_body("bid", "0.5", "1", client_order_id="x"), create_body("bid", "0.588", "1")]
    status, body = alice("POST", f"{ORDERS}/batched", {"orders": items})
    assert status == 201
    assert "error" not in body["orders"][0]
    assert body["orders"][1]["error"]["code"] == "invalid_price"
    order_id = body["orders"][0]["order_id"]
    status, body = alice("DELETE", f"{ORDERS}/batched", {"orders": [{"order_id": order_id}, {"order_id": "no"}]})
    assert [one["reduced_by"] for one in body["orders"]] == ["1.00", "0.00"]
    assert body["orders"][1]["error"] == {"code": "not_found", "message": "not found"}
    assert alice("POST", f"{ORDERS}/batched", {"orders": "none"})[0] == 400


def test_a_batch_that_does_not_fit_the_bucket_is_refused_whole() -> None:
    alice = Caller(make_exchange(ExchangeOptions()))
    items = [create_body("bid", "0.01", "1")] * 11
    assert alice("POST", f"{ORDERS}/batched", {"orders": items})[0] == 429
    assert alice.exchange.resting("alice") == []
    assert alice("POST", f"{ORDERS}/batched", {"orders": items[:10]})[0] == 201


def test_an_order_dies_at_its_expiry(alice: Caller) -> None:
    _, made = alice.place("bid", "0.5", "1", expiration_time=T0 // 1000 + 10)
    alice.now = Ts(T0 + 9_999)
    assert alice.get(f"/portfolio/orders/{made['order_id']}")["order"]["status"] == "resting"
    alice.now = Ts(T0 + 10_000)
    assert alice.get(f"/portfolio/orders/{made['order_id']}")["order"]["status"] == "canceled"


def test_an_expired_order_is_never_traded_even_before_advance(alice: Caller) -> None:
    alice.place("bid", "0.5", "1", expiration_time=T0 // 1000 + 10)
    alice.exchange.submit("maker", order(ASK, "0.5", "1"), Ts(T0 + 10_000))
    assert alice.exchange.position("alice", TICKER) == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/portfolio/orders"), ("DELETE", "/portfolio/orders/x"), ("POST", "/portfolio/orders/x/amend")],
)
def test_the_legacy_routes_are_gone(alice: Caller, method: str, path: str) -> None:
    status, body = alice(method, path, {})
    assert (status, code(body)) == (410, "deprecated_v1_order_endpoint")


# -- signatures and limits --


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_both_kinds_of_key_sign(who: str) -> None:
    assert Caller(make_exchange(), who).get("/portfolio/balance")["balance"] == 100_000


def balance_with(headers: dict[str, str], now: Ts = T0) -> tuple[int, object]:
    response = make_exchange().handle(Request("GET", "/trade-api/v2/portfolio/balance", {}, headers), now)
    return response.status, json.loads(response.body)


PATH = "/trade-api/v2/portfolio/balance"
WRONG = {"code": "authentication_error", "message": "authentication_error"}


@pytest.mark.parametrize("who", ["alice", "bob"])
@pytest.mark.parametrize("path", ["/portfolio/balance", PATH + "?limit=5"])
def test_a_signature_of_another_path_is_incorrect(who: str, path: str) -> None:
    status, body = balance_with(signed(who, "GET", path, T0))
    assert (status, body) == (401, {"error": WRONG | {"details": "INCORRECT_API_KEY_SIGNATURE"}})


@pytest.mark.parametrize("salt", [PSS.MAX_LENGTH, 0, 20])
def test_a_salt_of_another_length_is_incorrect(salt: int) -> None:
    headers = signed("bob", "GET", PATH, T0)
    raw = RSA_KEY.sign(f"{T0}GET{PATH}".encode(), PSS(MGF1(SHA256()), salt), SHA256())
    status, _ = balance_with(headers | {"kalshi-access-signature": base64.b64encode(raw).decode()})
    assert status == 401


def test_an_unknown_key_is_not_found() -> None:
    headers = signed("alice", "GET", PATH, T0) | {"kalshi-access-key": "nobody"}
    assert balance_with(headers) == (401, {"error": WRONG | {"details": "NOT_FOUND"}})


@pytest.mark.parametrize(("skew", "expected"), [(-5_000, 200), (5_000, 200), (-5_001, 401), (300_000, 401)])
def test_timestamps_count_within_five_seconds(skew: int, expected: int) -> None:
    status, body = balance_with(signed("alice", "GET", PATH, T0 + skew))
    assert status == expected
    if expected == 401:
        assert body == {"error": {"code": "header_timestamp_expired", "message": "header timestamp expired"}}


def test_a_missing_signature_is_said_to_be_missing() -> None:
    headers = signed("alice", "GET", PATH, T0)
    del headers["kalshi-access-signature"]
    expected = {"code": "signature_is_missing_from_headers", "message": "signature is missing from headers"}
    assert balance_with(headers) == (401, {"error": expected})
    assert balance_with({}) == (401, {"error": expected})


def test_the_stream_refuses_an_upgrade_without_a_signature() -> None:
    answer = make_exchange().connect({}, STREAM_PATH, T0)
    assert isinstance(answer, Response)
    assert answer.status == 401


def test_writes_are_limited_to_the_bucket_and_a_429_is_bare() -> None:
    alice = Caller(make_exchange(ExchangeOptions()))
    assert [alice.place("bid", "0.01", "1")[0] for _ in range(11)] == [201] * 10 + [429]
    headers = signed("alice", "POST", f"/trade-api/v2{ORDERS}", T0) | {"content-type": "application/json"}
    response = alice.exchange.handle(Request("POST", f"/trade-api/v2{ORDERS}", {}, headers, b"{}"), T0)
    assert response.body == b'{"error":"too many requests"}'
    assert not {"retry-after", "x-ratelimit-limit"} & set(response.headers)
    assert Caller(alice.exchange, "bob").place("bid", "0.01", "1")[0] == 201, "buckets belong to an account"
    assert alice.get("/portfolio/balance")["balance"] == 100_000, "reads have their own bucket"
    alice.now = Ts(T0 + 100)
    assert [alice.place("bid", "0.01", "1")[0] for _ in range(2)] == [201, 429], "100 ms bring 10 tokens"


def test_fifty_cancels_fit_where_ten_creates_do() -> None:
    alice = Caller(make_exchange(ExchangeOptions()))
    assert [alice("DELETE", f"{ORDERS}/x")[0] for _ in range(51)] == [404] * 50 + [429]


def test_the_account_says_its_limits_and_costs(alice: Caller) -> None:
    exchange = make_exchange(ExchangeOptions())
    limits = Caller(exchange).get("/account/limits")
    assert (limits["read"]["refill_rate"], limits["write"]["bucket_capacity"]) == (200, 100)
    costs = Caller(exchange, None).get("/account/endpoint_costs")
    assert {"method": "DELETE", "path": "/trade-api/v2/portfolio/events/orders/:order_id", "cost": 2} in costs[
        "endpoint_costs"
    ]


# -- lists --


def test_pages_follow_each_other_to_an_empty_cursor(alice: Caller) -> None:
    ids = [alice.place("bid", "0.01", "1")[1]["order_id"] for _ in range(5)]
    found, cursor, pages = [], "", 0
    while pages == 0 or cursor:
        body = alice.get("/portfolio/orders", limit=2, cursor=cursor)
        found += [one["order_id"] for one in body["orders"]]
        cursor, pages = body["cursor"], pages + 1
    assert found == ids[::-1], "newest first, each once"
    assert pages == 3


def test_an_order_placed_between_two_pages_repeats_nothing(alice: Caller) -> None:
    ids = [alice.place("bid", "0.01", "1")[1]["order_id"] for _ in range(4)]
    first = alice.get("/portfolio/orders", limit=2)
    alice.place("bid", "0.01", "1")
    second = alice.get("/portfolio/orders", limit=2, cursor=first["cursor"])
    assert [one["order_id"] for one in first["orders"] + second["orders"]] == ids[::-1]


def test_a_limit_over_the_maximum_is_refused_not_clamped(alice: Caller) -> None:
    status, body = alice("GET", "/markets", query={"limit": 1001})
    assert status == 400
    assert body == {
        "msg": "Parameter validation failed for GetMarkets: Key: 'GetMarketsParams.Limit' "
        "Error:Field validation for 'Limit' failed on the 'lte' tag"
    }


def test_a_garbage_cursor_starts_from_the_beginning(alice: Caller) -> None:
    assert len(alice.get("/markets", cursor="garbage-cursor")["markets"]) == 1


def test_markets_are_filtered(alice: Caller) -> None:
    exchange = alice.exchange
    exchange.list_market(make_market("KXSIM-26JUN-T4.00", open_time=Ts(T0 + DAY), close_time=Ts(T0 + 2 * DAY)), T0)

    def tickers(**query: object) -> list[str]:
        return [market["ticker"] for market in alice.get("/markets", **query)["markets"]]

    assert tickers(status="open") == [TICKER]
    assert tickers(status="unopened") == ["KXSIM-26JUN-T4.00"]
    assert tickers(tickers="KXSIM-26JUN-T4.00,KXNO") == ["KXSIM-26JUN-T4.00"]
    assert len(tickers(series_ticker="KXSIM")) == len(tickers(event_ticker="KXSIM-26JUN")) == 2
    assert tickers(series_ticker="KXNO") == []
    assert tickers(max_close_ts=T0 // 1000 + 86_400) == [TICKER]
    assert tickers(mve_filter="only") == []
    assert alice("GET", "/markets", query={"min_close_ts": 1, "min_created_ts": 1})[0] == 400
    assert alice("GET", "/markets", query={"status": "resting"})[0] == 400


def test_a_market_shows_its_book_and_an_empty_side_as_no_offer(alice: Caller) -> None:
    market = alice.get(f"/markets/{TICKER}")["market"]
    assert (market["yes_bid_dollars"], market["yes_ask_dollars"], market["no_ask_dollars"]) == (
        "0.0000",
        "1.0000",
        "1.0000",
    )
    quote(alice.exchange, BID, "0.47", "3")
    quote(alice.exchange, ASK, "0.52", "2")
    market = alice.get(f"/markets/{TICKER}")["market"]
    assert [market[name] for name in ("yes_bid_dollars", "yes_ask_dollars", "no_bid_dollars", "no_ask_dollars")] == [
        "0.4700",
        "0.5200",
        "0.4800",
        "0.5300",
    ]
    assert market["last_price_dollars"] == "0.0000"


def test_a_book_is_bids_of_both_sides_the_best_last(alice: Caller) -> None:
    for price, count in (("0.40", "1"), ("0.42", "13")):
        quote(alice.exchange, BID, price, count)
    quote(alice.exchange, ASK, "0.44", "17")
    assert alice.get(f"/markets/{TICKER}/orderbook")["orderbook_fp"] == {
        "yes_dollars": [["0.4000", "1.00"], ["0.4200", "13.00"]],
        "no_dollars": [["0.5600", "17.00"]],
    }
    assert alice.get(f"/markets/{TICKER}/orderbook", depth=1)["orderbook_fp"]["yes_dollars"] == [["0.4200", "13.00"]]
    books = alice.get("/markets/orderbooks", tickers=[TICKER, "KXNO"])["orderbooks"]
    assert [book["ticker"] for book in books] == [TICKER]


def test_trades_are_public_and_newest_first(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.52", "1")
    quote(alice.exchange, ASK, "0.53", "1")
    alice.place("bid", "0.53", "2")
    trades = Caller(alice.exchange, None).get("/markets/trades", ticker=TICKER)["trades"]
    assert [trade["yes_price_dollars"] for trade in trades] == ["0.5300", "0.5200"]
    assert trades[0]["taker_book_side"] == "bid"
    market = alice.get(f"/markets/{TICKER}")["market"]
    assert (market["volume_fp"], market["volume_24h_fp"], market["open_interest_fp"]) == ("2.00", "2.00", "2.00")


def test_events_series_and_the_exchange_are_as_the_specification_says(alice: Caller) -> None:
    specs_or_skip()
    assert alice.get("/events")["events"][0]["event_ticker"] == "KXSIM-26JUN"
    assert len(alice.get("/events", with_nested_markets="true", status="open")["events"][0]["markets"]) == 1
    assert alice.get("/events", status="settled")["events"] == []
    assert len(alice.get("/events/KXSIM-26JUN")["markets"]) == 1
    assert alice.get("/series")["series"][0]["fee_multiplier"] == 1
    assert alice.get("/series/KXSIM")["series"]["fee_type"] == "quadratic"
    assert alice.get("/exchange/schedule")["schedule"]["maintenance_windows"] == []
    assert alice.get("/exchange/status")["trading_active"] is True
    for path in ("/events/KXNO", "/markets/KXNO", "/portfolio/orders/no"):
        assert alice("GET", path)[0] == 404


def test_the_conformance_check_sees_what_is_missing_and_what_is_too_much(alice: Caller) -> None:
    specs_or_skip()
    body = alice.get(f"/markets/{TICKER}")
    for broken in ({**body["market"], "surprise": 1}, {k: v for k, v in body["market"].items() if k != "result"}):
        with pytest.raises(AssertionError):
            check_response("GET", f"/markets/{TICKER}", 200, {"market": broken})


def test_orders_and_fills_are_filtered(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.5", "1")
    _, filled = alice.place("bid", "0.5", "1")
    _, resting = alice.place("bid", "0.4", "1")

    def ids(**query: object) -> list[str]:
        return [one["order_id"] for one in alice.get("/portfolio/orders", **query)["orders"]]

    assert ids(status="executed") == [filled["order_id"]]
    assert ids(status="resting") == [resting["order_id"]]
    assert ids(ticker="KXNO") == ids(event_ticker="KXNO") == ids(max_ts=T0 // 1000 - 1) == []
    assert len(ids(ticker=TICKER, min_ts=T0 // 1000)) == 2
    assert len(alice.get("/portfolio/fills", ticker=TICKER, order_id=filled["order_id"])["fills"]) == 1
    assert alice.get("/portfolio/fills", order_id=resting["order_id"])["fills"] == []
    assert alice.get(f"/portfolio/orders/{resting['order_id']}/queue_position") == {"queue_position_fp": "0.00"}


# -- time, pauses, settlement --


def test_reads_lag_behind_the_matching_engine() -> None:
    alice = Caller(make_exchange(ExchangeOptions(read_lag_ms=500, read_rate=0, write_rate=0)))
    alice.now = Ts(T0 + 1_000)
    quote(alice.exchange, ASK, "0.5", "1", alice.now)
    _, made = alice.place("bid", "0.5", "1")
    path = f"/portfolio/orders/{made['order_id']}"
    alice.now = Ts(alice.now + 499)
    assert alice("GET", path)[0] == 404
    assert alice.get("/portfolio/fills")["fills"] == []
    assert alice.get("/portfolio/balance")["balance_dollars"] == "1000.0000"
    assert alice.get("/exchange/user_data_timestamp") == {"as_of_time": "2026-05-28T20:26:40.999Z"}
    alice.now = Ts(alice.now + 1)
    assert alice.get(path)["order"]["status"] == "executed"
    assert len(alice.get("/portfolio/fills")["fills"]) == 1
    assert alice.get("/exchange/user_data_timestamp") == {"as_of_time": "2026-05-28T20:26:41Z"}


def test_a_cancelled_order_still_reads_as_resting_for_the_lag() -> None:
    alice = Caller(make_exchange(ExchangeOptions(read_lag_ms=500)))
    _, made = alice.place("bid", "0.5", "1")
    alice.now = Ts(T0 + 1_000)
    assert alice("DELETE", f"{ORDERS}/{made['order_id']}")[0] == 200
    read = alice.get(f"/portfolio/orders/{made['order_id']}")["order"]
    assert (read["status"], read["remaining_count_fp"]) == ("resting", "1.00")
    assert alice("DELETE", f"{ORDERS}/{made['order_id']}")[0] == 404


def test_a_trading_pause_stops_orders_but_not_cancels(alice: Caller) -> None:
    _, kept = alice.place("bid", "0.5", "1")
    alice.place("bid", "0.4", "1", cancel_order_on_pause=True)
    alice.exchange.pause("trading", T0)
    status, body = alice.place("bid", "0.5", "1")
    assert (status, code(body)) == (409, "trading_is_paused")
    assert alice.get("/exchange/status")["trading_active"] is False
    assert [one[0] for one in alice.exchange.resting("alice")] == [kept["order_id"]]
    assert alice("DELETE", f"{ORDERS}/{kept['order_id']}")[0] == 200
    alice.exchange.resume(T0)
    assert alice.place("bid", "0.5", "1")[0] == 201


def test_an_exchange_pause_stops_cancels_too(alice: Caller) -> None:
    _, made = alice.place("bid", "0.5", "1")
    alice.exchange.pause("exchange", T0)
    assert code(alice.place("bid", "0.5", "1")[1]) == "exchange_is_paused"
    for path in (f"{ORDERS}/{made['order_id']}", ORDERS):
        status, body = alice("DELETE", path)
        assert (status, code(body)) == (409, "exchange_is_paused")
    assert len(alice.exchange.resting("alice")) == 1


def test_a_paused_market_loses_its_orders_when_it_comes_back(alice: Caller) -> None:
    alice.place("bid", "0.5", "1")
    alice.exchange.pause_market(TICKER, T0)
    assert alice.get(f"/markets/{TICKER}")["market"]["status"] == "inactive"
    assert code(alice.place("bid", "0.5", "1")[1]) == "trading_is_paused"
    alice.exchange.resume_market(TICKER, T0)
    assert alice.exchange.resting("alice") == []
    assert alice.place("bid", "0.5", "1")[0] == 201


def test_after_the_close_nothing_is_accepted_and_orders_go_shortly_after(alice: Caller) -> None:
    _, made = alice.place("bid", "0.5", "1")
    alice.now = Ts(T0 + DAY)
    assert alice.get(f"/markets/{TICKER}")["market"]["status"] == "closed"
    assert code(alice.place("bid", "0.5", "1")[1]) == "market_inactive"
    status, body = alice("DELETE", f"{ORDERS}/{made['order_id']}")
    assert (status, code(body)) == (400, "market_inactive")
    alice.now = Ts(T0 + DAY + linger_ms(TICKER))
    assert alice.get(f"/portfolio/orders/{made['order_id']}")["order"]["status"] == "canceled"


@pytest.mark.parametrize(
    ("value", "result", "revenue"), [("1.00", "yes", 300), ("0.00", "no", 0), ("0.25", "scalar", 75)]
)
def test_a_settlement_pays_after_its_timer_and_leaves_the_positions(
    alice: Caller, value: str, result: str, revenue: int
) -> None:
    quote(alice.exchange, ASK, "0.5", "3")
    alice.place("bid", "0.5", "3")
    cash = alice.exchange.cash("alice")
    alice.exchange.settle(TICKER, parse_price(value), T0, "3.14")
    market = alice.get(f"/markets/{TICKER}")["market"]
    assert (market["status"], market["result"], market["expiration_value"]) == ("determined", result, "3.14")
    assert alice.exchange.cash("alice") == cash
    alice.now = Ts(T0 + 60_000)
    assert alice.get(f"/markets/{TICKER}")["market"]["status"] == "finalized"
    [settlement] = alice.get("/portfolio/settlements")["settlements"]
    assert (settlement["market_result"], settlement["revenue"], settlement["yes_count_fp"]) == (result, revenue, "3.00")
    assert settlement["yes_total_cost_dollars"] == "1.500000"
    assert alice.exchange.cash("alice") == cash + revenue * 10_000
    assert alice.get("/portfolio/positions")["market_positions"] == []
    assert len(alice.get("/portfolio/positions", settlement_status="settled")["market_positions"]) == 1
    assert len(alice.get("/markets", status="settled", min_settled_ts=1)["markets"]) == 1


def test_an_amended_result_is_paid_once_as_amended(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.5", "3")
    alice.place("bid", "0.5", "3")
    cash = alice.exchange.cash("alice")
    alice.exchange.settle(TICKER, Price(10_000), T0)
    alice.exchange.settle(TICKER, Price(0), Ts(T0 + 30_000))
    alice.now = Ts(T0 + 60_000)
    assert alice.get(f"/markets/{TICKER}")["market"]["status"] == "amended"
    alice.now = Ts(T0 + 90_000)
    assert alice.get("/portfolio/settlements")["settlements"][0]["market_result"] == "no"
    assert alice.exchange.cash("alice") == cash
    with pytest.raises(ValueError, match="already settled"):
        alice.exchange.settle(TICKER, Price(0), alice.now)


def test_a_settlement_in_parts_of_a_cent_is_refused(alice: Caller) -> None:
    with pytest.raises(ValueError, match="whole cents"):
        alice.exchange.settle(TICKER, Price(33), T0)


def test_a_body_that_is_not_json_or_not_said_to_be_is_refused(alice: Caller) -> None:
    assert alice("POST", ORDERS, b"{")[1]["code"] == "bad_request"
    path = f"/trade-api/v2{ORDERS}"
    response = alice.exchange.handle(Request("POST", path, {}, signed("alice", "POST", path, T0), b"{}"), T0)
    assert json.loads(response.body)["error"]["code"] == "invalid_content_type"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ORDERS),
        ("POST", f"{ORDERS}/batched"),
        ("DELETE", f"{ORDERS}/batched"),
        ("POST", "/portfolio/order_groups/create"),
        ("PUT", "/portfolio/order_groups/x/reset"),
        ("PUT", "/communications/quotes/x/confirm"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}])
def test_a_body_that_is_missing_is_refused(alice: Caller, method: str, path: str, headers: dict[str, str]) -> None:
    full = f"/trade-api/v2{path}"
    response = alice.exchange.handle(Request(method, full, {}, signed("alice", method, full, T0) | headers), T0)
    assert (response.status, json.loads(response.body)["error"]["code"]) == (400, "invalid_content_type")


def test_a_cancel_needs_no_body(alice: Caller) -> None:
    _, made = alice.place("bid", "0.10", "1")
    assert alice("DELETE", f"{ORDERS}/{made['order_id']}")[0] == 200
