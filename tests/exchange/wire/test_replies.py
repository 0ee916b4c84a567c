"""What a 4xx proves: for each status, kind of body and write, whether the write certainly did not happen."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product

import msgspec
import pytest
from support.scripted_server import NOW, Reply

from kalshi_cli.base.errors import ExchangeError, KalshiError, OutcomeUnknownError, RateLimitedError
from kalshi_cli.base.units import Money, Price, Qty, dollars
from kalshi_cli.core.account.order_index import ID_TAKEN
from kalshi_cli.core.model.messages import CancelFailed, OrderAccepted, OrderRejected, OrderUnknown
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.exchange.wire.replies import is_definite, rejection_error
from kalshi_cli.simulator.model.listing import ExchangeOptions

ORDER = Order(
    client_order_id="11111111-2222-4333-8444-555555555555",
    ticker="KXTEST-26NOV20-T1.5",
    side=BID,
    price=Price(4700),
    qty=Qty(1000),
    status=OrderStatus.SUBMITTED,
    created=NOW,
    updated=NOW,
)
LIVE = msgspec.structs.replace(ORDER, order_id="their-id", status=OrderStatus.RESTING)
CLOSE = msgspec.structs.replace(ORDER, tif=TimeInForce.IOC, reduce_only=True)
GROUP = OrderGroup(group_id="g1", limit=Qty(1000))
CREATED = {
    "order_id": "their-id", "client_order_id": ORDER.client_order_id, "fill_count": "0.00", "remaining_count": "10.00",
    "ts_ms": 1781159360866,
}  # fmt: skip

Write = Callable[[KalshiClient], object]
WRITES: dict[str, Write] = {
    "create": lambda client: client.create_order(ORDER),
    "close": lambda client: client.close_order(CLOSE),
    "amend": lambda client: client.amend_order(LIVE, msgspec.structs.replace(LIVE, price=Price(4800))),
    "decrease by": lambda client: client.decrease_order(LIVE, by=Qty(100)),
    "decrease to": lambda client: client.decrease_order(LIVE, to=Qty(100)),
    "cancel": lambda client: client.cancel_order(LIVE),
    "cancel all": lambda client: client.cancel_all(),
    "create a group": lambda client: client.create_order_group(Qty(1000)),
    "reset a group": lambda client: client.reset_order_group(GROUP),
    "delete a group": lambda client: client.delete_order_group(GROUP),
    "transfer to a shard": lambda client: client.transfer_to_shard(dollars(5), from_shard=0, to_shard=1),
    "transfer to a subaccount": lambda client: client.transfer_to_subaccount(
        Money(50_000), client_transfer_id="t", from_subaccount=0, to_subaccount=1
    ),
    "quote": lambda client: client.create_quote("r1", Price(4000), Price(4000)),
    "accept a quote": lambda client: client.accept_quote("q1", "yes"),
    "raw": lambda client: client.request("POST", "/portfolio/subaccounts", {}, b"{}"),
}


def error(code: str) -> str:
    return json.dumps({"error": {"code": code, "message": code.replace("_", " ")}})


FOREIGN = {
    "html": "<html>403 Forbidden</html>",
    "empty": "",
    "an empty object": "{}",
    "a list": "[]",
    "a gateway's JSON": '{"message":"Forbidden"}',
    "a code that is a number": '{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}',
    "an empty code": '{"error":{"code":"","message":"no"}}',
    "an unknown code": error("brand_new_refusal"),
    "the check of a query": '{"msg":"Parameter validation failed for GetOrders"}',
    "a word": '{"error":"no"}',
}
STATUSES = (400, 401, 403, 404, 409, 410, 429)
"""Those with which the exchange refuses."""


def outcome(client: KalshiClient, write: str) -> object:
    """What the write came to: what it returned, or its error."""
    try:
        return WRITES[write](client)
    except KalshiError as error:
        return error


CASES = [("create", status, body) for status in (*STATUSES, 425) for body in FOREIGN] + [
    (write, status, body) for write in WRITES for status in (400, 403, 404, 409, 429) for body in ("html", "empty")
]


ONCE = ("create", "close", "amend", "decrease by", "create a group", "transfer to a shard", "quote")
"""What may have happened is never sent again."""


def test_a_refusal_that_is_not_in_the_exchanges_words_leaves_every_write_unknown(serve, connect):
    server, wrong = serve(), []
    client = connect(server.url)
    for write, status, body in CASES:
        server.script(*[Reply(status, FOREIGN[body])] * 4)
        found, times = outcome(client, write), len(server.seen)
        is_unknown = isinstance(found, OutcomeUnknownError) and str(status) in str(found) and found.exit_code == 7
        if not is_unknown or (write in ONCE and times != 1):
            wrong.append((write, status, body, found, times))
    assert wrong == []


def test_a_status_with_which_the_exchange_refuses_nothing_proves_nothing(serve, connect):
    server, wrong = serve(), []
    client = connect(server.url)
    for write, status in product(WRITES, (408, 413, 425)):
        server.script(*[Reply(status, error("invalid_order"))] * 4)
        if not isinstance(found := outcome(client, write), OutcomeUnknownError):
            wrong.append((write, status, found))
    assert wrong == []


OWN = (
    (400, error("invalid_parameters")),
    (400, '{"code":"bad_request","message":"bad request","details":"json"}'),
    (401, error("authentication_error")),
    (403, error("forbidden")),
    (404, error("not_found")),
    (409, error("exchange_is_paused")),
    (410, error("deprecated_v1_order_endpoint")),
)


def test_the_exchanges_own_error_ends_a_write_as_refused(serve, connect):
    server, wrong = serve(), []
    client = connect(server.url)
    for write, (status, body) in product(WRITES, OWN):
        server.script(*[Reply(status, body)] * 4)
        found, times = outcome(client, write), len(server.seen)
        if not isinstance(found, ExchangeError) or found.status != status or times != 1:
            wrong.append((write, status, body, found, times))
    assert wrong == []


@pytest.mark.parametrize("body", ['{"error":"too many requests"}', error("too_many_requests")])
def test_the_exchanges_own_429_was_not_processed_and_goes_again(serve, connect, body):
    server = serve(Reply(429, body), Reply(201, json.dumps(CREATED)))
    assert isinstance(connect(server.url).create_order(ORDER), OrderAccepted)
    assert server.count("POST") == 2


@pytest.mark.parametrize("status", [s for s in STATUSES if s != 429])
def test_the_words_for_too_many_requests_prove_nothing_with_another_status(serve, connect, status):
    server = serve(Reply(status, '{"error":"too many requests"}'), Reply(201, json.dumps(CREATED)))
    with pytest.raises(OutcomeUnknownError):
        connect(server.url).create_order(ORDER)
    assert server.count("POST") == 1


@pytest.mark.parametrize("status", [s for s in STATUSES if s != 429])
def test_an_order_that_is_there_already_is_never_refused_whatever_the_status(serve, connect, status):
    with pytest.raises(OutcomeUnknownError) as caught:
        connect(serve(Reply(status, error("order_already_exists"))).url).create_order(ORDER)
    assert caught.value.code == ID_TAKEN


def test_a_batch_is_judged_like_a_single_order(serve, connect):
    server, wrong = serve(), []
    client = connect(server.url)
    for status, body in product((400, 403, 404, 409, 425, 429), FOREIGN):
        server.script(Reply(status, FOREIGN[body]))
        (placed,) = client.create_orders([ORDER])
        server.script(*[Reply(status, FOREIGN[body])] * 3)
        (failed,) = client.cancel_orders([LIVE])
        is_unanswered = isinstance(failed, CancelFailed) and failed.code == "unanswered"
        if not isinstance(placed, OrderUnknown) or not is_unanswered:
            wrong.append((status, body, placed, failed))
    assert wrong == []
    server.script(Reply(403, error("forbidden")))
    (placed,) = client.create_orders([ORDER])
    assert isinstance(placed, OrderRejected)


@pytest.mark.parametrize("body", FOREIGN)
def test_only_the_exchanges_own_conflict_says_that_a_transfer_was_applied(serve, connect, body):
    """An empty object is what a transfer that worked is answered with."""
    with pytest.raises(OutcomeUnknownError):
        WRITES["transfer to a subaccount"](connect(serve(*[Reply(409, FOREIGN[body])] * 4).url))
    taken = serve(Reply(409, error("transfer_already_exists")))
    assert WRITES["transfer to a subaccount"](connect(taken.url)) is False


@pytest.mark.parametrize(("status", "kind"), [(400, ExchangeError), (404, ExchangeError), (429, RateLimitedError)])
@pytest.mark.parametrize("body", ["html", "empty", "the check of a query"])
def test_a_read_changes_nothing_and_fails_plainly(serve, connect, status, kind, body):
    with pytest.raises(KalshiError) as caught:
        connect(serve(*[Reply(status, FOREIGN[body])] * 4).url).order("their-id")
    assert isinstance(caught.value, kind)


SIMULATED = (
    "authentication_error", "available_balance_too_low", "bad_request", "deprecated_v1_order_endpoint",
    "exchange_is_paused", "fill_or_kill_insufficient_resting_volume", "forbidden", "header_timestamp_expired",
    "insufficient_balance", "invalid_content_type", "invalid_order", "invalid_order_size", "invalid_parameters",
    "invalid_price", "market_inactive", "not_found", "order_id_and_client_order_id_mismatch", "order_side_mismatch",
    "order_ticker_mismatch", "rfq_closed", "signature_is_missing_from_headers", "trading_is_paused",
    "user_not_found:_5c0d", ExchangeOptions().triggered_group_code,
)  # fmt: skip
"""What the documents name, and what the simulated exchange refuses with."""


@pytest.mark.parametrize("code", SIMULATED)
def test_every_code_that_is_documented_or_simulated_is_known(code):
    assert is_definite(code)
    assert is_definite(code, 400)
    assert not is_definite(code, 425)
    assert not is_definite(code, 429)


@pytest.mark.parametrize(
    "code", ["", "order_already_exists", "transfer_already_exists", "rfq_already_exists", "strange"]
)
def test_what_exists_already_or_is_not_known_is_no_refusal(code):
    assert not is_definite(code)
    assert not any(is_definite(code, status) for status in range(100, 600))


@pytest.mark.parametrize(
    ("request_line", "words"),
    [
        ("POST /portfolio/events/orders", "The order"),
        ("POST /portfolio/events/orders/o1/amend", "The amend"),
        ("POST /portfolio/events/orders/o1/decrease", "The decrease"),
        ("DELETE /portfolio/events/orders/o1", "The cancel"),
        ("POST /portfolio/events/orders/batched", "The batch"),
        ("GET /portfolio/orders/o1", "GET /portfolio/orders/o1"),
        ("POST /portfolio/order_groups/create", "POST /portfolio/order_groups/create"),
    ],
)
def test_a_rejection_names_what_the_user_asked_for(request_line: str, words: str) -> None:
    error = rejection_error(request_line, 409, b'{"error": {"code": "order_already_exists", "message": "no"}}')
    assert error.message.startswith(f"{words} was rejected (409): ")


def test_the_hint_of_a_429_says_to_wait_and_whose_limit_it_is() -> None:
    error = rejection_error("GET /markets", 429, b'{"error": "too many requests"}')
    assert isinstance(error, RateLimitedError)
    assert "was not processed (429): too many requests" in error.message
    assert error.hint == "wait a few seconds, then repeat it; all programs of the account share its rate limit"
