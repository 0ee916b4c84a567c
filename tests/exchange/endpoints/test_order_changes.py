"""Amend, decrease, batches, queue and groups against a real server that misbehaves: what reached it, and how often."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from support.scripted_server import DROP, HANG, NOW, Reply

from kalshi_cli.base.errors import (
    CredentialsError,
    HaltedError,
    NotFoundError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.messages import CancelFailed, OrderAccepted, OrderCanceled, OrderRejected, OrderUnknown
from kalshi_cli.core.model.order_terms import BID, SelfTradePrevention
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.wire.groups import OrderGroup

ORDER = Order(
    client_order_id="11111111-2222-4333-8444-555555555555",
    order_id="their-id",
    ticker="KXTEST-26NOV20-T1.5",
    side=BID,
    price=Price(4700),
    qty=Qty(1000),
    filled=Qty(300),
    status=OrderStatus.RESTING,
    created=NOW,
    updated=NOW,
    expires=Ts(1_767_225_600_000),
    exchange_index=2,
    subaccount=5,
)
PATH = "/trade-api/v2/portfolio/events/orders"
replace = msgspec.structs.replace


def refusal(code: str, status: int = 400) -> Reply:
    return Reply(status, json.dumps({"error": {"code": code, "message": code.replace("_", " ")}}))


def ok(**body: Any) -> Reply:
    return Reply(200, json.dumps(body))


NO_ANSWER = [
    DROP, HANG, Reply(500, ""), Reply(503, "{}"), Reply(200, "<html>"), Reply(200, "{}"),
    Reply(200, '{"order_id": "their-id", "ts_ms": 1, "remaining_count": "1.00"}', is_cut=True),
    ok(order_id="another", ts_ms=1, remaining_count="1.00"),
]  # fmt: skip
"""After each of these nobody knows whether it happened; the last answers for another order (seen in May 2026)."""


# -- amend ----------------------------------------------------------------------------------------------------------


def test_an_amend_sends_the_total_and_names_shard_and_subaccount(serve, connect):
    server = serve(ok(order_id="their-id", ts_ms=1781159360866))
    wanted = replace(ORDER, price=Price(4800), qty=Qty(800), expires=None)
    ended = connect(server.url).amend_order(ORDER, wanted)
    assert server.seen[0].target == f"{PATH}/their-id/amend?subaccount=5"
    assert json.loads(server.seen[0].body) == {
        "ticker": ORDER.ticker, "side": "bid", "price": "0.4800", "count": "8.00",
        "client_order_id": ORDER.client_order_id, "expiration_time": 0, "exchange_index": 2,
    }  # fmt: skip
    assert ended.order == replace(wanted, updated=Ts(1781159360866))


@pytest.mark.parametrize(("expires", "sent"), [(ORDER.expires, None), (Ts(1_767_225_700_999), 1_767_225_700)])
def test_an_expiry_that_stays_is_not_sent(serve, connect, expires, sent):
    server = serve(ok(order_id="their-id", ts_ms=1))
    connect(server.url).amend_order(ORDER, replace(ORDER, qty=Qty(900), expires=expires))
    assert json.loads(server.seen[0].body).get("expiration_time") == sent


@pytest.mark.parametrize(
    ("body", "filled", "status"),
    [
        ({}, 300, OrderStatus.RESTING),
        ({"fill_count": "2.00", "remaining_count": "5.00"}, 500, OrderStatus.RESTING),
        ({"fill_count": "7.00", "remaining_count": "0.00"}, 1000, OrderStatus.FILLED),
        ({"fill_count": "0.00", "remaining_count": "6.00"}, 400, OrderStatus.RESTING),  # one filled just before
        ({"fill_count": None, "remaining_count": None}, 300, OrderStatus.RESTING),
    ],
)
def test_the_counts_of_an_amend_are_those_after_matching(serve, connect, body, filled, status):
    server = serve(ok(order_id="their-id", ts_ms=1, **body))
    after = connect(server.url).amend_order(ORDER, replace(ORDER, price=Price(4800))).order
    assert (after.filled, after.status) == (filled, status)


@pytest.mark.parametrize(
    "reply",
    [
        *NO_ANSWER,
        ok(order_id="their-id", ts_ms=1, fill_count="0.00", remaining_count="0.00"),  # filled, or canceled?
        ok(order_id="their-id", ts_ms=1, fill_count="9.00"),
    ],
)
def test_an_amend_without_a_usable_answer_is_unknown_and_sent_once(serve, connect, reply):
    server = serve(reply, ok(order_id="their-id", ts_ms=1))
    with pytest.raises(OutcomeUnknownError, match="their-id"):
        connect(server.url).amend_order(ORDER, replace(ORDER, price=Price(4800)))
    assert len(server.seen) == 1


def test_an_amend_that_was_refused_for_pace_goes_again(serve, connect):
    server = serve(Reply(429, '{"error":"too many requests"}'), ok(order_id="their-id", ts_ms=1))
    connect(server.url).amend_order(ORDER, replace(ORDER, price=Price(4800)))
    assert len(server.seen) == 2


def test_a_halt_stops_an_amend_but_no_decrease(serve, connect):
    def halted(_reviewed) -> None:
        raise HaltedError("halted")

    server = serve(ok(order_id="their-id", ts_ms=1, remaining_count="1.00"))
    client = connect(server.url, before_create=halted)
    with pytest.raises(HaltedError):
        client.amend_order(ORDER, replace(ORDER, price=Price(4800)))
    assert client.decrease_order(ORDER, to=Qty(100)).remaining == Qty(100)
    assert len(server.seen) == 1


# -- decrease -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "sent"), [({"by": Qty(250)}, "reduce_by"), ({"to": Qty(450)}, "reduce_to")])
def test_a_decrease_says_how_much_goes_or_stays(serve, connect, how, sent):
    server = serve(ok(order_id="their-id", remaining_count="4.50", ts_ms=9))
    after = connect(server.url).decrease_order(ORDER, **how)
    assert server.seen[0].target == f"{PATH}/their-id/decrease?subaccount=5"
    assert json.loads(server.seen[0].body) == {
        sent: "2.50" if "by" in how else "4.50", "market_ticker": ORDER.ticker, "exchange_index": 2,
    }  # fmt: skip
    assert (after.remaining, after.reduced, after.status) == (Qty(450), Qty(250), OrderStatus.RESTING)


def test_a_decrease_to_nothing_is_the_end_of_the_order(serve, connect):
    server = serve(ok(order_id="their-id", remaining_count="0.00", ts_ms=9))
    assert connect(server.url).decrease_order(ORDER, by=Qty(700)).status is OrderStatus.CANCELED


@pytest.mark.parametrize("reply", [DROP, HANG, Reply(500, ""), Reply(503, "{}")])
def test_a_decrease_by_is_never_sent_twice_and_one_to_is(serve, connect, reply):
    server = serve(reply, ok(order_id="their-id", remaining_count="4.50", ts_ms=9))
    with pytest.raises(OutcomeUnknownError):
        connect(server.url).decrease_order(ORDER, by=Qty(250))
    assert len(server.seen) == 1
    server = serve(reply, ok(order_id="their-id", remaining_count="4.50", ts_ms=9))
    assert connect(server.url).decrease_order(ORDER, to=Qty(450)).remaining == Qty(450)
    assert len(server.seen) == 2


@pytest.mark.parametrize("remaining", ["8.00", "-1.00", "x"])
def test_a_decrease_that_leaves_more_than_there_was_is_not_believed(serve, connect, remaining):
    server = serve(ok(order_id="their-id", remaining_count=remaining, ts_ms=9))
    with pytest.raises(OutcomeUnknownError):
        connect(server.url).decrease_order(ORDER, by=Qty(250))


# -- batches --------------------------------------------------------------------------------------------------------

THREE = [replace(ORDER, client_order_id=f"c{n}", order_id="", filled=Qty(0)) for n in (1, 2, 3)]


def placed(n: int, **changes: Any) -> dict[str, Any]:
    body = {
        "order_id": f"o{n}",
        "client_order_id": f"c{n}",
        "fill_count": "0.00",
        "remaining_count": "10.00",
        "ts_ms": n,
    }
    return body | changes


def failed(code: str, **changes: Any) -> dict[str, Any]:
    none = dict.fromkeys(("client_order_id", "fill_count", "remaining_count", "ts_ms"))
    return none | {"order_id": "", "error": {"code": code, "message": code}} | changes


def names(outcomes: list[Any]) -> list[tuple[str, str]]:
    return [(type(each).__name__, each.client_order_id) for each in outcomes]


def test_a_batch_is_one_request_with_an_answer_for_each_order(serve, connect):
    server = serve(Reply(201, json.dumps({"orders": [placed(1), failed("invalid_price"), placed(3)]})))
    terms = replace(
        THREE[0],
        order_group_id="g",
        self_trade_prevention=SelfTradePrevention.MAKER,
        cancel_on_pause=True,
        exchange_index=0,
    )
    outcomes = connect(server.url).create_orders([terms, *THREE[1:]])
    assert names(outcomes) == [("OrderAccepted", "c1"), ("OrderRejected", "c2"), ("OrderAccepted", "c3")]
    assert outcomes[0] == OrderAccepted(Ts(1), "c1", "o1", Qty(0), Qty(1000))
    sent = json.loads(server.seen[0].body)["orders"]
    assert sent[0] == {
        "ticker": ORDER.ticker, "client_order_id": "c1", "side": "bid", "count": "10.00", "price": "0.4700",
        "time_in_force": "good_till_canceled", "self_trade_prevention_type": "maker", "expiration_time": 1_767_225_600,
        "cancel_order_on_pause": True, "order_group_id": "g", "subaccount": 5,
    }  # fmt: skip
    assert [order["exchange_index"] for order in sent[1:]] == [2, 2]


@pytest.mark.parametrize(
    ("items", "unknown"),
    [
        ([placed(1), placed(2)], {"c3"}),
        ([placed(1), placed(3)], {"c2"}),
        ([], {"c1", "c2", "c3"}),
        ([placed(1), placed(9), placed(3)], {"c2"}),
        ([placed(1), failed("order_already_exists"), placed(3)], {"c2"}),
        ([placed(1), failed("internal_error"), placed(3)], {"c2"}),
        ([placed(1), failed(""), placed(3)], {"c2"}),
        ([placed(1), failed("invalid_price", order_id="o2"), placed(3)], {"c2"}),
        ([placed(1), placed(2, order_id=None), placed(3)], {"c2"}),
        ([placed(1), placed(2, fill_count=None), placed(3)], {"c2"}),
        ([placed(3), placed(2), placed(1)], set()),
        ([placed(1), placed(2, order_id="o1"), placed(3)], {"c1", "c2"}),
    ],
)
def test_an_order_that_the_answer_does_not_settle_is_unknown_and_named(serve, connect, items, unknown):
    server = serve(Reply(201, json.dumps({"orders": items})))
    outcomes = connect(server.url).create_orders(THREE)
    assert [each.client_order_id for each in outcomes] == ["c1", "c2", "c3"]
    assert {each.client_order_id for each in outcomes if isinstance(each, OrderUnknown)} == unknown
    assert all(each.order_id == f"o{each.client_order_id[1]}" for each in outcomes if isinstance(each, OrderAccepted))


@pytest.mark.parametrize(
    "reply",
    [DROP, HANG, Reply(500, ""), Reply(201, "<html>"), Reply(201, "{}"), Reply(201, '{"orders": [', is_cut=True),
     Reply(201, json.dumps({"orders": [placed(1, fill_count="-1.00"), placed(2), placed(3)]}))],
)  # fmt: skip
def test_a_batch_without_an_answer_is_unknown_whole_and_never_sent_again(serve, connect, reply):
    server = serve(reply, Reply(201, json.dumps({"orders": [placed(n) for n in (1, 2, 3)]})))
    outcomes = connect(server.url).create_orders(THREE)
    assert names(outcomes) == [("OrderUnknown", f"c{n}") for n in (1, 2, 3)]
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reply", "code"), [(refusal("forbidden", 403), "credentials"), (refusal("bad_request"), "bad_request")]
)
def test_a_batch_that_was_refused_whole_is_refused_for_each(serve, connect, reply, code):
    outcomes = connect(serve(reply).url).create_orders(THREE)
    assert [(type(each), each.code) for each in outcomes] == [(OrderRejected, code)] * 3


def test_a_read_only_client_sends_no_batch(serve, connect):
    server = serve()
    client = connect(server.url, is_read_only=True)
    with pytest.raises(RefusedError):
        client.create_orders(THREE)
    assert server.seen == []


def test_a_batch_takes_as_many_tokens_as_its_orders(serve, connect, clock):
    answer = Reply(201, json.dumps({"orders": [placed(n) for n in (1, 2, 3)]}))
    server = serve(answer, answer, answer, answer)
    client = connect(server.url)
    assert client.largest_batch() == 8, "of 100 tokens ten are kept as head-room and ten for cancels"
    begun = clock.monotonic()
    for _ in range(4):
        client.create_orders(THREE)
    assert clock.monotonic() - begun == pytest.approx((120 - 80) / 100)


# -- cancels --------------------------------------------------------------------------------------------------------

RESTING = [replace(ORDER, client_order_id=f"c{n}", order_id=f"o{n}") for n in (1, 2, 3)]


def test_many_cancels_are_one_delete_that_names_market_and_shard(serve, connect):
    items = [
        {"order_id": "o1", "reduced_by": "7.00", "ts_ms": 5},
        {"order_id": "o2", "reduced_by": "0.00", "error": {"code": "not_found", "message": "not found"}},
    ]
    server = serve(ok(orders=items))
    outcomes = connect(server.url).cancel_orders(RESTING)
    assert outcomes == [
        OrderCanceled(Ts(5), "o1", "c1", reduced=Qty(700)),
        CancelFailed(outcomes[1].ts, "o2", "c2", "not_found"),
        CancelFailed(outcomes[2].ts, "o3", "c3", "unanswered"),
    ]
    seen = server.seen[0]
    assert (seen.method, seen.target, seen.headers["content-type"]) == ("DELETE", f"{PATH}/batched", "application/json")
    assert json.loads(seen.body)["orders"][0] == {
        "order_id": "o1", "market_ticker": ORDER.ticker, "subaccount": 5, "exchange_index": 2,
    }  # fmt: skip


def test_cancels_are_sent_in_batches_that_fit_and_one_that_fails_holds_up_no_other(serve, connect):
    many = [replace(ORDER, order_id=f"o{n}") for n in range(60)]
    rest = [{"order_id": f"o{n}", "reduced_by": "1.00", "ts_ms": 1} for n in range(45, 60)]
    server = serve(refusal("bad_request"), ok(orders=rest))
    outcomes = connect(server.url).cancel_orders(many)
    assert [len(json.loads(seen.body)["orders"]) for seen in server.seen] == [45, 15]
    assert [type(each) for each in outcomes] == [CancelFailed] * 45 + [OrderCanceled] * 15


def test_a_batch_of_cancels_is_sent_again_and_a_key_that_may_not_ends_it(serve, connect):
    server = serve(DROP, ok(orders=[{"order_id": "o1", "reduced_by": "1.00", "ts_ms": 1}]))
    assert isinstance(connect(server.url).cancel_orders(RESTING[:1])[0], OrderCanceled)
    assert len(server.seen) == 2
    with pytest.raises(CredentialsError):
        connect(serve(refusal("forbidden", 403)).url).cancel_orders(RESTING)
    three = serve(DROP, DROP, DROP)
    assert connect(three.url).cancel_orders(RESTING[:1])[0].code == "unanswered"


def test_cancel_all_may_name_a_subaccount(serve, connect):
    server = serve(Reply(204, ""), Reply(204, ""))
    client = connect(server.url)
    client.cancel_all()
    client.cancel_all(subaccount=3)
    assert [seen.target for seen in server.seen] == [PATH, f"{PATH}?subaccount=3"]


# -- reads ----------------------------------------------------------------------------------------------------------


def test_places_in_the_queue_are_asked_for_a_hundred_markets_at_a_time(serve, connect):
    one = {"order_id": "o1", "market_ticker": "A", "queue_position_fp": "12.50"}
    server = serve(ok(queue_positions=[one]), ok(), ok(queue_positions=None))
    client = connect(server.url)
    found = list(client.queue_positions([f"T{n}" for n in range(150)], subaccount=2))
    assert [(each.order_id, each.ticker, each.ahead) for each in found] == [("o1", "A", Qty(1250))]
    assert [target.target.count("%2C") for target in server.seen] == [99, 49]
    assert list(client.queue_positions()) == []
    assert server.seen[2].target.endswith("/queue_positions")


def test_one_place_in_the_queue(serve, connect):
    assert connect(serve(ok(queue_position_fp="3.00")).url).queue_position("o1") == Qty(300)
    with pytest.raises(UnreachableError):
        connect(serve(ok(queue_position_fp="-1.00")).url).queue_position("o1")


def test_the_filters_of_a_list_of_orders_are_sent(serve, connect):
    server = serve(ok(orders=[], cursor=""))
    list(connect(server.url).orders("resting", event="E1,E2", subaccount=0, exchange_index=2))
    assert "status=resting&event_ticker=E1%2CE2&subaccount=0&exchange_index=2" in server.seen[0].target


# -- groups ---------------------------------------------------------------------------------------------------------

GROUPS = "/trade-api/v2/portfolio/order_groups"
GROUP = OrderGroup(group_id="g1", exchange_index=2, subaccount=5)


def test_an_account_without_groups_may_be_answered_with_nothing(serve, connect):
    server = serve(ok(), ok(order_groups=[{"id": "g1", "is_auto_cancel_enabled": False, "exchange_index": 1}]))
    client = connect(server.url)
    assert client.order_groups() == []
    (group,) = client.order_groups(subaccount=0)
    assert (group.group_id, group.limit, group.is_auto_cancel_enabled, group.exchange_index) == ("g1", None, False, 1)
    assert [seen.target for seen in server.seen] == [GROUPS, f"{GROUPS}?subaccount=0"]


def test_a_group_just_made_is_looked_for_again_and_not_for_ever(serve, connect):
    body = {"is_auto_cancel_enabled": True, "contracts_limit_fp": "5.00", "orders": ["a"]}
    found = connect(serve(refusal("not_found", 404), refusal("not_found", 404), ok(**body)).url).order_group("g1")
    assert (found.group_id, found.limit, found.orders) == ("g1", Qty(500), ("a",))
    server = serve(*[refusal("not_found", 404)] * 9)
    with pytest.raises(NotFoundError, match="No order group g1"):
        connect(server.url).order_group("g1")
    assert len(server.seen) == 4


def test_a_group_is_made_once(serve, connect):
    server = serve(Reply(201, json.dumps({"order_group_id": "g1", "subaccount": 5, "exchange_index": 2})))
    made = connect(server.url).create_order_group(Qty(10_050), subaccount=5, exchange_index=2)
    assert made == replace(GROUP, limit=Qty(10_050), orders=())
    assert json.loads(server.seen[0].body) == {"contracts_limit_fp": "100.50", "subaccount": 5, "exchange_index": 2}


@pytest.mark.parametrize("reply", [DROP, HANG, Reply(500, ""), Reply(201, "{}"), Reply(201, '{"order_group_id": ""}')])
def test_a_group_that_may_exist_is_not_made_again(serve, connect, reply):
    server = serve(reply, Reply(201, '{"order_group_id": "g2", "subaccount": 0}'))
    with pytest.raises(OutcomeUnknownError):
        connect(server.url).create_order_group(Qty(100))
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda client: client.limit_order_group(GROUP, Qty(50)), "PUT", "/limit", {"contracts_limit_fp": "0.50"}),
        (lambda client: client.trigger_order_group(GROUP), "PUT", "/trigger", {}),
        (lambda client: client.reset_order_group(GROUP), "PUT", "/reset", {}),
        (lambda client: client.delete_order_group(GROUP), "DELETE", "", None),
    ],
)
def test_what_is_done_to_a_group_names_its_shard_and_subaccount_and_is_repeated(
    serve, connect, call, method, path, body
):
    server = serve(DROP, ok())
    call(connect(server.url))
    assert [(seen.method, seen.target) for seen in server.seen] == [
        (method, f"{GROUPS}/g1{path}?subaccount=5&exchange_index=2")
    ] * 2
    assert (json.loads(server.seen[1].body) if server.seen[1].body else None) == body


def test_a_group_without_a_name_or_an_id_is_not_believed(serve, connect):
    with pytest.raises(UnreachableError):
        connect(serve(ok(order_groups=[{"is_auto_cancel_enabled": True}])).url).order_groups()
    with pytest.raises(UsageError):
        connect(serve().url).order_group("")


def test_a_refusal_of_one_order_that_we_do_not_know_is_no_proof(serve, connect):
    server = serve(refusal("something_new"))
    with pytest.raises(OutcomeUnknownError):
        connect(server.url).create_order(THREE[0])
    (outcome,) = connect(serve(Reply(201, json.dumps({"orders": [failed("something_new")]}))).url).create_orders(
        THREE[:1]
    )
    assert isinstance(outcome, OrderUnknown)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_order(ORDER),
        lambda client: client.create_orders([ORDER, ORDER]),
        lambda client: client.amend_order(ORDER, ORDER),
        lambda client: client.reset_order_group(GROUP),
        lambda client: client.limit_order_group(GROUP, Qty(1_000_000)),
    ],
    ids=["create", "batch", "amend", "reset of a group", "more room in a group"],
)
def test_a_halt_is_seen_before_whatever_could_trade_and_before_its_first_byte(serve, connect, call):
    for halted_at in (1, 2):
        server, asked = serve(ok()), []  # type: ignore[var-annotated]

        def may(_reviewed, asked=asked, halted_at=halted_at) -> None:
            asked.append(len(asked) + 1)
            if asked[-1] == halted_at:
                raise HaltedError("halted")

        with pytest.raises(HaltedError):
            call(connect(server.url, before_create=may))
        assert (asked[-1], len(server.seen)) == (halted_at, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.cancel_order(ORDER),
        lambda client: client.amend_order(ORDER, ORDER),
        lambda client: client.decrease_order(ORDER, to=Qty(100)),
    ],
)
@pytest.mark.parametrize("ids", [{"order_id": "another"}, {"client_order_id": "somebody"}])
def test_a_reply_that_names_another_order_by_either_id_is_not_believed(serve, connect, call, ids):
    """F21: the body is ignored, and the order is read."""
    fields = {"order_id": ORDER.order_id, "client_order_id": ORDER.client_order_id, "reduced_by": "1.00"}
    reply = ok(**(fields | {"remaining_count": "1.00", "fill_count": "0.00", "ts_ms": 1} | ids))
    with pytest.raises(OutcomeUnknownError, match="the response is about"):
        call(connect(serve(reply).url))
