"""Which writes go again after a lost answer, and which never do: each of them, against a server that hangs up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from support.scripted_server import DROP, HANG, NOW, Reply

from kalshi_cli.base.errors import OutcomeUnknownError, RateLimitedError
from kalshi_cli.base.units import Price, Qty
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient

LIVE = Order(
    client_order_id="c1", order_id="their-id", ticker="A", side=BID, price=Price(4700), qty=Qty(1000),
    status=OrderStatus.RESTING, created=NOW, updated=NOW,
)  # fmt: skip
NEW = msgspec.structs.replace(LIVE, order_id="", status=OrderStatus.SUBMITTED)
CLOSING = msgspec.structs.replace(NEW, reduce_only=True, tif=TimeInForce.IOC)
LARGER = msgspec.structs.replace(LIVE, qty=Qty(1100))

Call = Callable[[KalshiClient], object]

NEVER_AGAIN: dict[str, Call] = {
    "create": lambda client: client.create_order(NEW),
    "close": lambda client: client.close_order(CLOSING),
    "batch of creates": lambda client: client.create_orders([NEW]),
    "amend": lambda client: client.amend_order(LIVE, LARGER),
    "decrease by": lambda client: client.decrease_order(LIVE, by=Qty(100)),
}
AGAIN: dict[str, Call] = {
    "cancel": lambda client: client.cancel_order(LIVE),
    "batch of cancels": lambda client: client.cancel_orders([LIVE]),
    "cancel of all": lambda client: client.cancel_all(),
    "decrease to": lambda client: client.decrease_order(LIVE, to=Qty(100)),
}
LOST = [DROP, HANG, Reply(500, ""), Reply(502, ""), Reply(503, ""), Reply(504, "")]


@pytest.mark.parametrize("lost", LOST, ids=str)
@pytest.mark.parametrize("call", NEVER_AGAIN.values(), ids=NEVER_AGAIN)
def test_what_could_trade_twice_is_never_sent_again(serve, connect, call: Call, lost: Reply) -> None:
    server = serve(*[lost] * 9)
    with suppress(OutcomeUnknownError):  # a batch says so of each of its orders
        call(connect(server.url))
    assert len(server.seen) == 1


@pytest.mark.parametrize("lost", LOST, ids=str)
@pytest.mark.parametrize("call", AGAIN.values(), ids=AGAIN)
def test_what_takes_risk_away_is_sent_again(serve, connect, call: Call, lost: Reply) -> None:
    server = serve(lost, *[DROP] * 9)  # each further answer that never comes would be waited for
    with suppress(OutcomeUnknownError):
        call(connect(server.url))
    assert len(server.seen) > 1


# -- pace -----------------------------------------------------------------------------------------------------------

BALANCE = Reply(200, '{"balance": 1, "balance_dollars": "0.0100", "portfolio_value": 0, "updated_ts": 1}')
TOO_MANY = Reply(429, '{"error": {"code": "too_many_requests", "message": "too many requests"}}')


def test_a_call_takes_three_refusals_for_pace_and_no_more(serve, connect) -> None:
    server = serve(*[TOO_MANY] * 9)
    with pytest.raises(RateLimitedError):
        connect(server.url).balance()
    assert len(server.seen) == 3, "a read has four tries; many programs that use them all make a storm"


def test_after_a_refusal_for_pace_the_local_bucket_is_empty(serve, connect, clock) -> None:
    server = serve(TOO_MANY, *[BALANCE] * 11)
    client = connect(server.url)
    client.balance()
    began = clock.monotonic()
    for _ in range(10):
        client.balance()
    assert clock.monotonic() - began >= 0.4, (
        "ten tokens each, two hundred a second: a full bucket would let them all go"
    )
