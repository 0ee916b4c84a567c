"""Replies that are no answer are kept, short and without secrets; what the server closed is not written to."""

from __future__ import annotations

import json
import socket
import time

import pytest
from support.scripted_rest import order_body
from support.scripted_server import NOW, Reply

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import OutcomeUnknownError, UnreachableError
from kalshi_cli.base.text import mask
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.messages import OrderUnknown
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.rest.call import Timeouts

ORDER = Order(
    client_order_id="mine", ticker="A", side=BID, price=cents(47), qty=contracts(10),
    status=OrderStatus.SUBMITTED, created=NOW, updated=NOW,
)  # fmt: skip
CREATED = json.dumps(
    {"order_id": "theirs", "client_order_id": "mine", "fill_count": "0.00", "remaining_count": "10.00", "ts_ms": NOW}
)
STATUS = '{"exchange_active":true,"trading_active":true}'


@pytest.mark.parametrize("body", ["<html>back soon</html>", '{"error":{"code":"strange"}}', CREATED[:-20], "nonsense"])
def test_what_came_instead_of_an_order_is_kept_with_it(serve, connect, body):
    """F07: whoever looks later finds what the exchange really said."""
    with pytest.raises(OutcomeUnknownError) as caught:
        connect(serve(Reply(200, body)).url).create_order(ORDER)
    assert f"response: {body}" in caught.value.message


def test_it_is_kept_with_every_order_of_a_batch(serve, connect):
    outcomes = connect(serve(Reply(200, "<html>")).url).create_orders([ORDER, ORDER])
    assert [isinstance(each, OrderUnknown) and "response: <html>" in each.reason for each in outcomes] == [True] * 2


def test_what_is_kept_is_short_and_has_neither_secrets_nor_control_characters(serve, connect):
    mask("a-very-secret-word")
    with pytest.raises(OutcomeUnknownError) as caught:
        connect(serve(Reply(201, "<html>a-very-secret-word\x1b[31m" + "x" * 9_000)).url).create_order(ORDER)
    assert len(caught.value.message) < 2_000
    assert "secret-word" not in caught.value.message
    assert "\x1b" not in caught.value.message


def test_an_order_that_was_not_asked_for_is_no_answer(serve, connect):
    """F21, where an order is read: a reply about another one must not decide what becomes of this one."""
    body = json.dumps({"order": order_body("another", "mine")})
    with pytest.raises(UnreachableError, match="Requested order theirs, but the exchange returned another"):
        connect(serve(Reply(200, body)).url).order("theirs")


def test_a_connection_that_the_server_closed_while_idle_is_not_written_to(serve, connect):
    """F11: the order goes out once, on a connection of its own."""
    server = serve(Reply(200, STATUS), Reply(201, CREATED))
    client = connect(server.url, timeouts=Timeouts(connect=1, read=2, total=10))
    client.exchange_status()
    for each in server._open:
        each.shutdown(socket.SHUT_RDWR)  # as a server does with connections that have been idle for long enough
    time.sleep(0.05)
    assert client.create_order(ORDER).order_id == "theirs"
    assert (server.count("POST"), server.connections) == (1, 2)


def test_a_read_that_hangs_holds_a_loop_up_for_its_bound_and_no_longer(serve, connect):
    """F42: `bound_reads` is the loop's; a cancel keeps the whole time of a call."""
    server = serve(Reply(200, STATUS, pause_s=0.05))
    clock = SystemClock()
    client = connect(server.url, clock=clock, signer=None, timeouts=Timeouts(connect=1, read=2, total=30))
    client.limit_reads(0.3)
    started = clock.monotonic()
    with pytest.raises(UnreachableError):
        client.exchange_status()
    assert clock.monotonic() - started < 20
