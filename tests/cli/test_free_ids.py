"""A client order id whose order was provably never sent is free again; any other one stays refused. Real sockets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from subprocess import DEVNULL
from typing import Any

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.processes import start_program
from support.served import TWO_SIDED, Ended, Served, program

from kalshi_cli import Kalshi
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.exchange.wire.replies import CHECK_NETWORK, WAIT_FOR_LIMIT
from kalshi_cli.services.orders import place as placing

CREATE = r"/portfolio/events/orders$"
WORDS = ("buy", TWO_SIDED, "1", "@0.41", "--json", "--client-order-id", "mine")
BUSY = b'{"error": "too many requests"}'


@pytest.fixture
def proxy(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        monkeypatch.setenv("KALSHI_REST_URL", one.moved(exchange.server.rest_url))
        monkeypatch.setattr(placing, "RESOLVE_S", 0)
        yield one


def error_of(ended: Ended) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.err.splitlines()[-1])["error"]
    return found


def buy_while_gone(proxy: FaultProxy) -> dict[str, Any]:
    """Buy where the exchange is gone between the review and the send; return the error."""
    with Kalshi.open(env="sim") as kalshi:
        terms: dict[str, Any] = {"side": "yes", "action": "buy", "count": "1", "price": "0.41"}
        plan = kalshi.orders.plan_place(TWO_SIDED, **terms, client_order_id="mine")
        proxy.refuse()
        with pytest.raises(KalshiError) as caught:
            kalshi.orders.execute(plan)
    proxy.listen()
    error = caught.value
    return {"code": error.code, "hint": error.hint, "message": error.message, "exit_code": error.exit_code}


def buy_while_busy(proxy: FaultProxy) -> dict[str, Any]:
    proxy.faults.append(Fault("status", "POST", CREATE, status=429, body=BUSY, times=3))
    return error_of(program(*WORDS))


@pytest.mark.parametrize("buy_unsent", [buy_while_gone, buy_while_busy])
def test_the_id_of_an_order_that_was_never_sent_is_free_until_one_was_sent(
    exchange: Served, proxy: FaultProxy, buy_unsent: Any
) -> None:
    for _ in range(2):
        assert buy_unsent(proxy)["exit_code"] == 6
        assert "Order mine is not on the exchange, because it was not sent" in program("order", "show", "mine").err
    assert exchange.resting() == []
    assert program(*WORDS).code == 0
    assert len(exchange.resting()) == 1
    again = program(*WORDS)
    assert (again.code, "DUPLICATE_ID" in again.err) == (3, True)
    assert len(exchange.resting()) == 1


def test_a_batch_frees_the_ids_of_lines_that_were_never_sent(exchange: Served, proxy: FaultProxy) -> None:
    line = f'{{"ticker": "{TWO_SIDED}", "side": "yes", "action": "buy", "count": "1", "price": "0.41"'
    file = exchange.home / "orders.ndjson"
    file.write_text(f'{line}, "client_order_id": "one"}}\n{line}, "client_order_id": "two"}}\n')
    proxy.faults.append(Fault("status", "POST", r"/batched$", status=429, body=BUSY, times=3))
    assert [program("order", "batch", file, "--yes").code for _ in range(3)] == [6, 0, 3]
    assert len(exchange.resting()) == 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("drop_request", "POST", CREATE), 7),
        (Fault("reset", "POST", CREATE), 7),
        (Fault("status_500", "POST", CREATE), 7),
        (Fault("status", "POST", CREATE, status=429, body=b"slow down"), 7),
        (Fault("status", "POST", CREATE, status=429, body=BUSY, is_forwarded=True, times=3), 6),
        (Fault("status", "POST", CREATE, status=400, body=b'{"error": {"code": "invalid_order"}}'), 4),
        (Fault("status", "POST", CREATE, status=401, body=b'{"error": {"code": "authentication_error"}}'), 5),
    ],
)
def test_the_id_of_any_other_order_stays_refused(exchange: Served, proxy: FaultProxy, fault: Fault, code: int) -> None:
    proxy.faults.append(fault)
    assert program(*WORDS).code == code
    before = exchange.resting()
    assert program(*WORDS).code == 3
    assert exchange.resting() == before
    assert len(before) == fault.is_forwarded


def test_two_programs_at_once_place_one_order_with_an_id_that_is_free_again(
    exchange: Served, proxy: FaultProxy
) -> None:
    assert buy_while_busy(proxy)["exit_code"] == 6
    running = [start_program(WORDS, os.environ, exchange.home, stdout=DEVNULL, stderr=DEVNULL) for _ in range(3)]
    assert sorted(one.wait(60) for one in running) == [0, 3, 3]
    assert len(exchange.resting()) == 1


def test_an_order_that_was_not_sent_says_what_to_do_and_is_not_called_rejected(proxy: FaultProxy) -> None:
    gone = buy_while_gone(proxy)
    assert (gone["code"], gone["hint"]) == ("unreachable", CHECK_NETWORK)
    busy = buy_while_busy(proxy)
    assert (busy["code"], busy["hint"]) == ("rate_limited", WAIT_FOR_LIMIT)
    assert "was not processed (429): too many requests. Your order was not sent" in busy["message"]
    assert "rejected" not in busy["message"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_response_that_proves_nothing_is_named_with_its_status(proxy: FaultProxy, status: int) -> None:
    proxy.faults.append(Fault("status", "POST", CREATE, status=status, body=b"slow down"))
    message = error_of(program(*WORDS))["message"]
    assert str(status) in message
    assert "No response" not in message
    assert message.endswith("Order mine is not visible on the exchange yet. It may be live")
