"""The client against a real server that misbehaves. What counts is what reached the server, above all: which POSTs."""

from __future__ import annotations

import gzip
import json
import random
import socket
from email.utils import formatdate
from urllib.parse import parse_qs

import httpx
import msgspec
import pytest
from support.scripted_server import DROP, HANG, NOW, Reply
from support.simulation import Simulation

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import (
    ConfigError,
    CredentialsError,
    ExchangeError,
    HaltedError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.messages import OrderAccepted
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.endpoints.base import MAX_EMPTY_PAGES
from kalshi_cli.exchange.rest import call
from kalshi_cli.exchange.rest.call import Timeouts
from kalshi_cli.exchange.rest.rate_limits import RateLimiter
from kalshi_cli.exchange.wire.account import ApiLimits, TokenBucketLimits
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.exchange.wire.values import ResponseFormatError

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
LIVE = msgspec.structs.replace(ORDER, order_id="their-id", exchange_index=2)
CREATED = json.dumps(
    {
        "order_id": "their-id",
        "client_order_id": ORDER.client_order_id,
        "fill_count": "3.00",
        "remaining_count": "7.00",
        "ts_ms": 1781159360866,
    }
)
CANCELED = '{"order_id":"their-id","reduced_by":"7.00","ts_ms":1781159364112}'
STATUS = '{"exchange_active":true,"trading_active":true}'
TOO_MANY = Reply(429, '{"error":"too many requests"}')


def refusal(code: str, details: str = "") -> str:
    return json.dumps({"error": {"code": code, "message": code.replace("_", " "), "details": details}})


# -- creates: at most one that may have arrived -------------------------------------------------------------------


def test_a_create_is_one_post_with_text_for_numbers_and_never_without_self_trade_prevention(serve, connect):
    server = serve(Reply(201, CREATED))
    accepted = connect(server.url).create_order(ORDER)
    assert accepted == OrderAccepted(Ts(1781159360866), ORDER.client_order_id, "their-id", Qty(300), Qty(700))
    assert [(seen.method, seen.target) for seen in server.seen] == [("POST", "/trade-api/v2/portfolio/events/orders")]
    assert json.loads(server.seen[0].body) == {
        "ticker": "KXTEST-26NOV20-T1.5",
        "client_order_id": ORDER.client_order_id,
        "side": "bid",
        "count": "10.00",
        "price": "0.4700",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    assert server.seen[0].headers["content-type"] == "application/json"


def test_every_option_of_an_order_reaches_the_wire(serve, connect):
    server = serve(Reply(201, CREATED))
    connect(server.url).create_order(
        msgspec.structs.replace(
            ORDER,
            side=ASK,
            qty=Qty(250),
            tif=TimeInForce.IOC,
            post_only=True,
            reduce_only=True,
            expires=Ts(1_767_225_600_999),
            exchange_index=2,
        )
    )
    sent = json.loads(server.seen[0].body)
    assert sent["side"] == "ask"
    assert sent["count"] == "2.50"
    assert sent["time_in_force"] == "immediate_or_cancel"
    assert sent["post_only"] is True
    assert sent["reduce_only"] is True
    assert sent["expiration_time"] == 1_767_225_600
    assert sent["exchange_index"] == 2


UNKNOWN_ENDS = {
    "the connection drops before the reply": DROP,
    "the reply never comes": HANG,
    "the reply is cut short": Reply(201, CREATED, is_cut=True),
    "500": Reply(500, refusal("internal_server_error")),
    "502 from a gateway": Reply(502, "<html>Bad Gateway</html>"),
    "503": Reply(503, ""),
    "504": Reply(504, ""),
    "408 from a gateway": Reply(408, ""),
    "a redirect": Reply(307, "", {"Location": "http://127.0.0.1:1/"}),
    "200 with an HTML page": Reply(200, "<html>hello</html>"),
    "200 with an error inside": Reply(200, refusal("something")),
    "201 without an order id": Reply(201, '{"order_id":"","fill_count":"0.00","remaining_count":"0.00","ts_ms":1}'),
    "201 without counts": Reply(201, '{"order_id":"their-id","ts_ms":1}'),
    "201 about another order": Reply(201, CREATED.replace(ORDER.client_order_id, "somebody-else")),
    "204 with nothing": Reply(204, ""),
    "409 the id exists": Reply(409, refusal("order_already_exists")),
    "409 of a kind we do not know": Reply(409, refusal("brand_new_conflict")),
    "gzip that is none": Reply(201, "not gzip", {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("end", UNKNOWN_ENDS)
def test_a_create_with_an_unknown_outcome_is_sent_once_and_names_the_order(serve, connect, end):
    server = serve(UNKNOWN_ENDS[end], Reply(201, CREATED))
    with pytest.raises(OutcomeUnknownError) as caught:
        connect(server.url).create_order(ORDER)
    assert server.count("POST") == 1
    assert ORDER.client_order_id in caught.value.message
    assert "kalshi order reconcile" in caught.value.hint
    assert caught.value.exit_code == 7


def test_a_create_that_never_connected_is_tried_again_and_ends_as_nothing_outstanding(connect, clock):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = clock.monotonic()
    with pytest.raises(UnreachableError) as caught:
        connect(f"http://127.0.0.1:{port}/trade-api/v2").create_order(ORDER)
    assert caught.value.exit_code == 6
    assert clock.monotonic() > started, "it paused between its attempts"


def test_a_create_arrives_when_the_server_comes_up_between_two_attempts(serve, rsa_key, connect, clock):
    server = serve(Reply(201, CREATED))
    real = connect(server.url)._rest._transport  # only to have something that answers

    class DownAtFirst(httpx.BaseTransport):
        left = 2

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if self.left:
                self.left -= 1
                raise httpx.ConnectError("connection refused")
            return real.handle_request(request)

    assert connect(server.url, transport=DownAtFirst()).create_order(ORDER).order_id == "their-id"
    assert server.count("POST") == 1


def test_a_create_refused_for_pace_goes_again_signed_afresh(serve, connect):
    server = serve(TOO_MANY, Reply(201, CREATED))
    assert connect(server.url).create_order(ORDER).order_id == "their-id"
    assert server.count("POST") == 2
    first, second = (seen.headers["kalshi-access-timestamp"] for seen in server.seen)
    assert int(second) > int(first)
    assert server.seen[0].body == server.seen[1].body


def test_a_create_refused_for_pace_three_times_gives_up_with_nothing_outstanding(serve, connect):
    server = serve(*[TOO_MANY] * 9)
    with pytest.raises(RateLimitedError) as caught:
        connect(server.url).create_order(ORDER)
    assert server.count("POST") == 3
    assert caught.value.exit_code == 6


def test_a_429_followed_by_a_lost_reply_is_unknown(serve, connect):
    server = serve(TOO_MANY, DROP, Reply(201, CREATED))
    with pytest.raises(OutcomeUnknownError):
        connect(server.url).create_order(ORDER)
    assert server.count("POST") == 2


def test_a_429_that_says_how_long_to_wait_is_heard(serve, connect, clock):
    server = serve(Reply(429, '{"error":"too many requests"}', {"Retry-After": "2"}), Reply(201, CREATED))
    started = clock.monotonic()
    connect(server.url).create_order(ORDER)
    assert clock.monotonic() - started >= 2


def test_a_429_of_a_gateway_is_no_proof_and_delays_what_is_harmless_twice(serve, connect, clock):
    gateway = Reply(429, "", {"Retry-After": "2"})
    server = serve(gateway, Reply(201, CREATED))
    with pytest.raises(OutcomeUnknownError):
        connect(server.url).create_order(ORDER)
    assert server.count("POST") == 1
    server, started = serve(gateway, Reply(200, CANCELED)), clock.monotonic()
    assert connect(server.url).cancel_order(LIVE).order_id == "their-id"
    assert clock.monotonic() - started >= 2


def test_every_attempt_to_place_asks_first_whether_it_still_may(serve, connect):
    """A halt can come while a create waits for its next try, or while it connects."""
    for halted_at, sent in ((3, 1), (2, 0)):
        server = serve(TOO_MANY, Reply(201, CREATED))
        asked: list[int] = []

        def may(_reviewed, server=server, asked=asked, halted_at=halted_at) -> None:
            asked.append(server.count("POST"))
            if len(asked) == halted_at:
                raise HaltedError("halted meanwhile")

        client = connect(server.url, before_create=may)
        with pytest.raises(HaltedError):
            client.create_order(ORDER)
        assert asked == [0, 0, 1][:halted_at], "before an attempt, and before its first byte is written"
        assert server.count("POST") == sent


@pytest.mark.parametrize("is_connected", [False, True])
def test_an_order_whose_time_is_over_before_its_first_byte_is_not_sent(serve, connect, clock, is_connected):
    """The process was suspended while it connected, or with the connection that it had."""
    server = serve(Reply(200, STATUS), Reply(201, CREATED)) if is_connected else serve(Reply(201, CREATED))
    waited: list[float] = []

    def sleep_through(_reviewed) -> None:
        if not waited:
            waited.append(60.0)
            clock.advance(60.0)

    client = connect(server.url, before_create=sleep_through)
    if is_connected:
        client.exchange_status()
    with pytest.raises(UnreachableError, match="before anything was sent"):
        client.create_order(ORDER)
    assert server.count("POST") == 0


def test_reads_and_cancels_do_not_ask(serve, connect):
    def never(_reviewed) -> None:
        raise HaltedError("not for you")

    server = serve(Reply(200, STATUS), Reply(200, CANCELED))
    client = connect(server.url, before_create=never)
    client.exchange_status()
    client.cancel_order(LIVE)
    assert len(server.seen) == 2


DEFINITE = {
    "invalid_price": (400, refusal("invalid_price"), ExchangeError, "invalid_price", "grid"),
    "no money": (400, refusal("insufficient_balance"), ExchangeError, "insufficient_balance", "shard"),
    "post only": (400, refusal("invalid_order", "post only cross"), ExchangeError, "invalid_order", "--post-only"),
    "flat body": (400, '{"code":"bad_request","message":"bad request"}', ExchangeError, "bad_request", ""),
    "fill or kill": (409, refusal("fill_or_kill_insufficient_resting_volume"), ExchangeError, None, "nothing traded"),
    "paused": (409, refusal("trading_is_paused"), ExchangeError, "trading_is_paused", "cancels still work"),
    "market closed": (409, refusal("market_inactive"), ExchangeError, "market_inactive", "closed"),
    "gone": (410, refusal("deprecated_v1_order_endpoint"), ExchangeError, None, "update"),
    "unknown market": (404, refusal("not_found"), NotFoundError, "not_found", "spelling"),
    "scope": (403, refusal("insufficient_scope"), CredentialsError, "insufficient_scope", "scope"),
    "unknown key": (401, refusal("authentication_error", "NOT_FOUND"), CredentialsError, None, "KALSHI_API_KEY_ID"),
    "wrong key": (
        401,
        refusal("authentication_error", "INCORRECT_API_KEY_SIGNATURE"),
        CredentialsError,
        None,
        "KALSHI_PRIVATE_KEY_PATH",
    ),
}


@pytest.mark.parametrize("case", DEFINITE)
def test_a_definite_refusal_ends_a_create_with_the_exchanges_code_and_advice(serve, connect, case):
    status, body, kind, code, hint = DEFINITE[case]
    server = serve(Reply(status, body), Reply(201, CREATED))
    with pytest.raises(kind) as caught:
        connect(server.url).create_order(ORDER)
    assert type(caught.value) is kind
    assert server.count("POST") == 1
    assert caught.value.status == status
    assert caught.value.code == (code or caught.value.code)
    assert hint in caught.value.hint


@pytest.mark.parametrize(("behind_s", "words"), [(37, "37 s behind"), (-120, "120 s ahead")])
def test_a_stale_timestamp_says_how_far_the_clock_is_off_and_which_way(serve, connect, clock, behind_s, words):
    clock.advance(0.5)  # `Date` is cut to whole seconds; in the middle of one that costs nothing
    there = formatdate(clock.now() / 1000 + behind_s, usegmt=True)
    server = serve(Reply(401, refusal("header_timestamp_expired"), {"Date": there}))
    client = connect(server.url)
    assert client.clock_skew_ms is None
    with pytest.raises(CredentialsError, match=words) as caught:
        client.balance()
    assert caught.value.exit_code == 5
    assert client.clock_skew_ms == pytest.approx(-behind_s * 1000, abs=501)


# -- cancels ------------------------------------------------------------------------------------------------------


def test_a_cancel_names_the_market_and_its_shard(serve, connect):
    server = serve(Reply(200, CANCELED))
    canceled = connect(server.url).cancel_order(LIVE)
    assert (canceled.order_id, canceled.client_order_id) == ("their-id", ORDER.client_order_id)
    path, _, query = server.seen[0].target.partition("?")
    assert path == "/trade-api/v2/portfolio/events/orders/their-id"
    assert query == "market_ticker=KXTEST-26NOV20-T1.5&exchange_index=2"


def test_an_id_that_no_address_can_hold_is_one_error_and_sends_nothing(serve, connect):
    server = serve()
    with pytest.raises(UnreachableError) as caught:
        connect(server.url).cancel_order(msgspec.structs.replace(LIVE, order_id="x" * 70_000))
    assert (caught.value.code, len(server.seen)) == ("invalid_address", 0)
    assert "nothing was sent" in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("end", [DROP, HANG, Reply(500, ""), Reply(503, ""), TOO_MANY])
def test_a_cancel_without_an_answer_is_repeated(serve, connect, end):
    server = serve(end, Reply(200, CANCELED))
    assert connect(server.url).cancel_order(LIVE).order_id == "their-id"
    assert server.count("DELETE") == 2


def test_a_cancel_that_is_never_answered_has_an_unknown_outcome(serve, connect):
    server = serve(*[DROP] * 9)
    with pytest.raises(OutcomeUnknownError, match="their-id"):
        connect(server.url).cancel_order(LIVE)
    assert server.count("DELETE") == 3


def test_a_cancel_once_lost_stays_unknown_whatever_the_last_attempt_met(serve, connect):
    server = serve(DROP, TOO_MANY, TOO_MANY)
    with pytest.raises(OutcomeUnknownError):
        connect(server.url).cancel_order(LIVE)
    assert server.count("DELETE") == 3


@pytest.mark.parametrize("status", [400, 401, 403, 409])
def test_a_write_once_lost_stays_unknown_though_its_next_try_is_refused(serve, connect, status):
    server = serve(DROP, Reply(status, refusal("exchange_is_paused")))
    with pytest.raises(OutcomeUnknownError, match="their-id") as error:
        connect(server.url).cancel_order(LIVE)
    assert "exchange is paused" in str(error.value.__cause__)
    assert server.count("DELETE") == 2


def test_a_write_once_lost_stays_unknown_though_a_halt_stops_its_next_try(serve, connect):
    server, asked = (
        serve(DROP),
        iter([None, None, HaltedError("halted")]),
    )  # asked before a try, and before its first byte

    def may_go(_reviewed):
        if (error := next(asked, None)) is not None:
            raise error

    with pytest.raises(OutcomeUnknownError, match="changing order group g1 \\(reset\\)"):
        connect(server.url, before_create=may_go).reset_order_group(OrderGroup(group_id="g1"))


def test_a_cancel_of_what_is_not_there_is_not_found_and_not_repeated(serve, connect):
    server = serve(Reply(404, refusal("not_found")))
    with pytest.raises(NotFoundError):
        connect(server.url).cancel_order(LIVE)
    assert server.count("DELETE") == 1


def test_a_cancel_reply_about_another_order_is_not_believed(serve, connect):
    server = serve(Reply(200, CANCELED.replace("their-id", "another")))
    with pytest.raises(OutcomeUnknownError, match="another"):
        connect(server.url).cancel_order(LIVE)


@pytest.mark.parametrize("order_id", ["", ".", ".."])
def test_a_cancel_without_an_id_never_becomes_the_cancel_of_everything(serve, connect, order_id):
    server = serve(Reply(204, ""))
    with pytest.raises(UsageError):
        connect(server.url).cancel_order(msgspec.structs.replace(LIVE, order_id=order_id))
    assert server.seen == []


def test_an_id_with_odd_characters_stays_one_part_of_the_path(serve, connect):
    server = serve(Reply(404, refusal("not_found")))
    with pytest.raises(NotFoundError):
        connect(server.url).order("a/../b?c")
    assert server.seen[0].target == "/trade-api/v2/portfolio/orders/a%2F..%2Fb%3Fc"


def test_cancel_all_is_one_delete_of_the_collection(serve, connect):
    server = serve(Reply(204, b""))
    connect(server.url).cancel_all()
    assert [(seen.method, seen.target) for seen in server.seen] == [("DELETE", "/trade-api/v2/portfolio/events/orders")]


# -- what is never sent -------------------------------------------------------------------------------------------


def test_read_only_refuses_every_write_before_anything_is_sent(serve, connect):
    server = serve(Reply(200, STATUS))
    client = connect(server.url, is_read_only=True)
    for write in (
        lambda: client.create_order(ORDER),
        lambda: client.cancel_order(LIVE),
        client.cancel_all,
        lambda: client.request("PUT", "/portfolio/order_groups/x/trigger"),
    ):
        with pytest.raises(RefusedError):
            write()
    assert server.connections == 0
    assert client.exchange_status().trading_active, "reads still work"


def test_without_a_key_public_reads_work_and_private_ones_say_how_to_set_one(serve, connect):
    server = serve(Reply(200, STATUS))
    client = connect(server.url, signer=None)
    client.exchange_status()
    assert not any(name.startswith("kalshi-access") for name in server.seen[0].headers)
    with pytest.raises(CredentialsError) as caught:
        client.create_order(ORDER)
    assert "KALSHI_API_KEY_ID" in caught.value.hint
    with pytest.raises(CredentialsError):
        client.request("GET", "/portfolio/balance")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "url", ["http://external-api.kalshi.com/trade-api/v2", "ftp://127.0.0.1", "kalshi", "http://[", "https://", ""]
)
def test_plain_http_is_for_loopback_only(url, connect):
    with pytest.raises(ConfigError):
        connect(url)


def test_https_and_loopback_addresses_are_taken(connect):
    for url in ("https://external-api.kalshi.com/trade-api/v2", "http://localhost:1/x", "http://[::1]:9/x"):
        connect(url)


@pytest.mark.parametrize("path", ["portfolio", "/a?b=c", "/a/../b", "/a#b"])
def test_a_raw_call_takes_a_path_and_nothing_else(connect, path):
    with pytest.raises(UsageError):
        connect("http://127.0.0.1:1/trade-api/v2").request("GET", path)


def test_a_raw_write_is_never_repeated_on_an_unknown_outcome(serve, connect):
    server = serve(DROP, Reply(201, "{}"))
    with pytest.raises(OutcomeUnknownError, match="POST /portfolio/order_groups/create"):
        connect(server.url).request("POST", "/trade-api/v2/portfolio/order_groups/create")
    assert server.count("POST") == 1
    assert server.seen[0].body == b"{}", "an empty body is refused by the exchange as having no content type"


# -- reads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", [DROP, HANG, Reply(500, ""), Reply(502, "<html>"), TOO_MANY, Reply(200, STATUS, is_cut=True)]
)
def test_a_read_is_repeated_until_it_is_answered(serve, connect, end):
    server = serve(end, end, Reply(200, STATUS))
    assert connect(server.url).exchange_status().trading_active
    assert server.count("GET") == 3


def test_a_read_that_is_never_answered_ends_after_a_bounded_number_of_tries(serve, connect):
    server = serve(*[DROP] * 20)
    with pytest.raises(UnreachableError) as caught:
        connect(server.url).balance()
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert server.count("GET") == 4


def test_pauses_between_tries_grow_and_are_jittered(serve, connect, clock):
    pauses = []

    def run(seed: int) -> float:
        server = serve(*[DROP] * 4)
        started = clock.monotonic()
        with pytest.raises(UnreachableError):
            connect(server.url, rng=random.Random(seed)).balance()
        return clock.monotonic() - started

    pauses = [run(seed) for seed in range(3)]
    assert all(0.35 <= pause <= 1.05 for pause in pauses), "0.1 + 0.2 + 0.4, half to one and a half times"
    assert len(set(pauses)) == 3


def test_a_server_that_drips_bytes_is_given_up_at_the_deadline_of_the_whole_call(serve, connect):
    server = serve(*[Reply(200, STATUS, pause_s=0.2)] * 9)
    client = connect(server.url, clock=SystemClock(), timeouts=Timeouts(connect=3, read=5, total=1))
    with pytest.raises(UnreachableError, match=r"timed out|exceeded its time limit"):
        client.exchange_status()
    assert server.count("GET") == 1


def test_a_pause_that_would_end_after_the_time_of_the_call_is_not_made(serve, connect, clock):
    server, started = serve(Reply(429, "", {"Retry-After": "9"}), Reply(200, STATUS)), clock.monotonic()
    with pytest.raises(RateLimitedError):
        connect(server.url, timeouts=Timeouts(connect=3, read=5, total=8)).exchange_status()
    assert (server.count("GET"), clock.monotonic() - started) == (1, 0)


def test_redirects_are_refused_not_followed(serve, connect):
    elsewhere = serve(Reply(200, STATUS))
    server = serve(*[Reply(302, "", {"Location": elsewhere.url})] * 9)
    with pytest.raises(UnreachableError, match="redirect"):
        connect(server.url).exchange_status()
    assert elsewhere.seen == []


def test_a_reply_longer_than_the_cap_is_refused(serve, connect, monkeypatch):
    monkeypatch.setattr(call, "MAX_REPLY_LENGTH", 1000)
    bomb = gzip.compress(b"0" * 1_000_000)
    server = serve(*[Reply(200, bomb, {"Content-Encoding": "gzip"})] * 9)
    with pytest.raises(UnreachableError, match="longer than 1000 bytes"):
        connect(server.url).exchange_status()


def test_a_compressed_reply_is_read(serve, connect):
    server = serve(Reply(200, gzip.compress(STATUS.encode()), {"Content-Encoding": "gzip"}))
    assert connect(server.url).exchange_status().exchange_active


def test_the_exchanges_status_is_read_even_when_it_comes_with_503(serve, connect):
    server = serve(Reply(503, '{"exchange_active":false,"trading_active":false}'))
    assert not connect(server.url).exchange_status().exchange_active


def test_nothing_comes_from_the_environment(serve, connect, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server = serve(Reply(200, STATUS))
    assert connect(server.url).exchange_status().trading_active


def test_the_signature_covers_the_full_path_without_the_query(serve, connect, rsa_key):
    import base64

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    server = serve(Reply(200, '{"fills":[],"cursor":""}'))
    assert list(connect(server.url).fills(ticker="A B", min_ts=Ts(1999))) == []
    seen = server.seen[0]
    assert seen.target.startswith("/trade-api/v2/portfolio/fills?ticker=A+B&min_ts=1&limit=")
    rsa_key.public_key().verify(
        base64.b64decode(seen.headers["kalshi-access-signature"]),
        f"{seen.headers['kalshi-access-timestamp']}GET/trade-api/v2/portfolio/fills".encode(),
        padding.PSS(padding.MGF1(hashes.SHA256()), 32),
        hashes.SHA256(),
    )


# -- lists --------------------------------------------------------------------------------------------------------


def page_of_fills(ids: list[str], cursor: str) -> Reply:
    fills = [
        {
            "trade_id": each,
            "order_id": "o",
            "ticker": "T",
            "count_fp": "1.00",
            "yes_price_dollars": "0.5200",
            "is_taker": True,
            "fee_cost": "0.017500",
            "created_time": "2026-06-11T06:29:30.164956Z",
            "book_side": "bid",
        }
        for each in ids
    ]
    return Reply(200, json.dumps({"fills": fills, "cursor": cursor}))


def test_a_list_is_read_to_its_last_page_with_the_filters_on_each(serve, connect):
    server = serve(page_of_fills(["a", "b"], "c1"), page_of_fills([], "c2"), page_of_fills(["c"], ""))
    assert [fill.trade_id for fill in connect(server.url).fills(ticker="T")] == ["a", "b", "c"]
    (size,) = {parse_qs(seen.target)["limit"][0] for seen in server.seen}
    assert [seen.target.partition("?")[2] for seen in server.seen] == [
        f"ticker=T&limit={size}",
        f"ticker=T&limit={size}&cursor=c1",
        f"ticker=T&limit={size}&cursor=c2",
    ]


def test_no_list_of_the_account_is_asked_for_in_the_words_of_the_one_before(serve, connect, clock):
    """Whatever on the way keeps replies must ask the exchange."""
    many = 300
    server = serve(*[page_of_fills([], "")] * many, *[Reply(200, '{"trades":[],"cursor":""}')] * 2)
    client = connect(server.url)
    for _ in range(many):
        assert list(client.fills()) == []
        clock.advance(1.0)
    asked = [int(parse_qs(seen.target.partition("?")[2])["limit"][0]) for seen in server.seen]
    assert len(set(asked)) == many
    assert all(600 < size <= 1000 for size in asked), "and a page is never larger than it may be"
    assert {seen.headers["cache-control"] for seen in server.seen} == {"no-cache, no-store"}
    assert [list(client.trades()) for _ in range(2)] == [[], []]
    assert server.seen[-1].target == server.seen[-2].target, "what is public may be kept"


def test_a_cursor_that_comes_twice_is_an_error_not_an_end(serve, connect):
    server = serve(*[page_of_fills(["a"], cursor) for cursor in ("c1", "c2", "c1", "c2")])
    with pytest.raises(ResponseFormatError, match="the list repeats"):
        list(connect(server.url).fills())
    assert server.count("GET") == 3


def test_a_list_without_end_is_an_error(serve, connect, monkeypatch):
    monkeypatch.setattr("kalshi_cli.exchange.endpoints.base.MAX_PAGES", 3)
    server = serve(*[page_of_fills(["a"], f"c{page}") for page in range(9)])
    with pytest.raises(ResponseFormatError, match="more than 3 pages"):
        list(connect(server.url).fills())


def test_pages_that_say_nothing_are_an_error_after_a_while(serve, connect):
    server = serve(*[page_of_fills([], f"c{page}") for page in range(2 * MAX_EMPTY_PAGES)])
    with pytest.raises(ResponseFormatError, match="the list repeats"):
        list(connect(server.url).fills())
    assert server.count("GET") == MAX_EMPTY_PAGES


def test_a_list_of_more_orders_than_can_rest_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("kalshi_cli.exchange.endpoints.orders.MAX_OPEN_ORDERS", 1)
    sim = Simulation(tmp_path)
    for price in (10, 11):
        sim.quote(BID, price, 1, who="alice")
    with pytest.raises(ResponseFormatError, match="more than 1 items"):
        list(sim.client.orders(status="resting"))
    assert len(list(sim.client.orders())) == 2, "among all orders of two weeks there can be more"
    sim.close()


def test_reads_that_may_take_so_long_together_end_then(serve, connect, clock):
    server = serve(*[page_of_fills(["a"], f"c{page}") for page in range(9)])
    client = connect(server.url)
    with client.reading_within(2.0), pytest.raises(UnreachableError, match="exceeded its time limit") as caught:
        [clock.advance(0.9) for _ in client.fills()]
    assert (caught.value.code, server.count("GET")) == ("too_slow", 3)
    assert next(client.fills()).trade_id, "afterwards they take their own time"


def test_a_list_whose_second_page_fails_is_an_error(serve, connect):
    server = serve(page_of_fills(["a"], "c1"), *[Reply(500, "")] * 9)
    with pytest.raises(UnreachableError):
        list(connect(server.url).fills())


def test_a_limit_asks_for_no_more_than_it_needs(serve, connect):
    server = serve(Reply(200, '{"trades":[],"cursor":""}'))
    assert list(connect(server.url).trades("T", limit=7)) == []
    assert "limit=7" in server.seen[0].target


def test_markets_leave_out_combos_unless_asked(serve, connect):
    empty = Reply(200, '{"markets":[],"cursor":""}')
    server = serve(empty, empty, empty, empty)
    client = connect(server.url)
    list(client.markets(status="open", series="KXS", event="E", min_close=Ts(5000), max_close=Ts(7999)))
    list(client.markets(combos=True))
    list(client.markets(tickers=[f"T{n}" for n in range(101)]))
    queries = [seen.target.partition("?")[2] for seen in server.seen]
    assert queries[0] == (
        "status=open&series_ticker=KXS&event_ticker=E&min_close_ts=5&max_close_ts=7&mve_filter=exclude&limit=1000"
    )
    assert queries[1] == "limit=1000"
    assert queries[3] == "tickers=T100&limit=1000"


def test_books_are_asked_for_by_a_repeated_parameter_a_hundred_at_a_time(serve, connect):
    one = Reply(200, '{"orderbooks":[{"ticker":"T0","orderbook_fp":{"yes_dollars":[["0.4200","13.00"]]}}]}')
    server = serve(one, one)
    books = connect(server.url).orderbooks([f"T{n}" for n in range(101)])
    assert server.seen[0].target.endswith("&tickers=T98&tickers=T99")
    assert server.seen[1].target.endswith("?tickers=T100")
    assert books[0].bids == ((Price(4200), Qty(1300)),)
    assert books[0].ts == NOW


# -- pace ---------------------------------------------------------------------------------------------------------


def test_limits_read_from_the_account_set_the_pace(serve, connect, clock):
    bucket = {"refill_rate": 10, "bucket_capacity": 100}
    limits = json.dumps({"usage_tier": "x", "read": bucket, "write": bucket})
    server = serve(
        Reply(200, limits),
        Reply(200, '{"default_cost":50,"endpoint_costs":[]}'),
        *[Reply(200, '{"as_of_time":"2026-06-11T06:29:30Z"}')] * 2,
    )
    client = connect(server.url)
    assert client.refresh_limits().usage_tier == "x"
    started = clock.monotonic()
    client.user_data_timestamp()
    client.user_data_timestamp()
    assert clock.monotonic() - started > 2, "fifty tokens at ten a second"


def test_a_call_that_would_wait_past_its_deadline_is_not_sent(serve, connect, clock):
    server = serve(*[Reply(201, CREATED)] * 20)
    slow = RateLimiter(clock, ApiLimits("t", TokenBucketLimits(100, 100), TokenBucketLimits(1, 100)))
    client = connect(server.url, timeouts=Timeouts(total=5), limiter=slow)

    def create_until_refused() -> None:
        for _ in range(20):
            client.create_order(ORDER)

    with pytest.raises(RateLimitedError, match="not sent"):
        create_until_refused()
    assert 5 <= server.count("POST") <= 9


def test_the_client_lets_go_of_its_connections(serve, clock):
    server = serve(Reply(200, STATUS))
    with KalshiClient(server.url, clock=clock, rng=random.Random(1)) as client:
        client.exchange_status()


# -- routes that end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "notice"),
    [
        (Reply(200, STATUS, {"Deprecation": "@1796083200"}), "Deprecation: @1796083200"),
        (Reply(200, STATUS, {"Sunset": "Wed, 02 Dec 2026 00:00:00 GMT"}), "Sunset: Wed, 02 Dec 2026 00:00:00 GMT"),
    ],
)
def test_a_polite_answer_that_announces_the_end_of_its_route_is_passed_on_once(serve, connect, reply, notice):
    server = serve(reply, reply)
    heard = []
    client = connect(server.url, on_notice=lambda route, text: heard.append((route, text)))
    assert client.exchange_status().exchange_active  # the answer itself is as good as ever
    client.exchange_status()
    assert heard == [("GET /exchange/status", notice)]
    assert client.notices == dict(heard)


def test_a_route_that_is_gone_is_passed_on_and_refused(serve, connect):
    server = serve(Reply(410, refusal("endpoint_removed")))
    heard = []
    with pytest.raises(ExchangeError, match="has removed"):
        connect(server.url, on_notice=lambda *said: heard.append(said)).exchange_status()
    assert heard == [("GET /exchange/status", "410 Gone")]


def test_an_ordinary_answer_announces_nothing(serve, connect):
    client = connect(serve(Reply(200, STATUS)).url)
    client.exchange_status()
    assert client.notices == {}
