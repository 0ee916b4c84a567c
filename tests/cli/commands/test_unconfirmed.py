"""Commands about an order that may be live: none of them ends as if nothing were outstanding."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import TWO_SIDED, Ended, Served, program, set_variables


@pytest.fixture
def proxy(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    monkeypatch.setattr("kalshi_cli.services.orders.place.RESOLVE_S", 0.1)
    with fault_proxy(exchange.server.rest_url) as one:
        set_variables(monkeypatch, exchange.home, exchange.variables(rest_url=one.moved(exchange.server.rest_url)))
        yield one


@pytest.fixture
def unseen(exchange: Served, proxy: FaultProxy) -> str:
    """The client order id of an order that rests, whose reply was lost, and which no list shows yet."""
    proxy.faults.append(Fault("drop_reply", "POST", r"/portfolio/events/orders$"))
    proxy.edits[r"/portfolio/orders\?"] = lambda body: body | {"orders": [], "cursor": ""}
    ended = program("buy", TWO_SIDED, "1", "@0.41", "--json")
    assert (ended.code, len(exchange.resting())) == (7, 1), ended.err
    proxy.faults.clear()
    return str(ended.error["message"]).partition(". Order ")[2].split()[0]


def assert_unconfirmed(ended: Ended, client_order_id: str) -> None:
    assert (ended.code, ended.error["code"], ended.out) == (7, "outcome_unknown", ""), ended.err
    assert client_order_id in ended.error["message"]


def test_a_reconcile_that_cannot_read_ends_with_7_while_an_order_is_unconfirmed(proxy: FaultProxy, unseen: str) -> None:
    proxy.refuse()
    ended = program("order", "reconcile", "--wait", "1s", "--json")
    assert_unconfirmed(ended, unseen)
    assert "kalshi order reconcile" in ended.error["hint"]
    proxy.listen()
    proxy.faults.append(Fault("status", "GET", r"/portfolio/", status=401, body=b"{}", times=1_000))
    assert_unconfirmed(program("order", "reconcile", "--json"), unseen)
    proxy.faults.clear()
    proxy.edits.clear()
    found = program("order", "reconcile", "--json")
    assert (found.code, found.json[0]["found"]) == (0, "adopted"), found.err


def test_a_reconcile_that_cannot_read_ends_with_6_if_no_order_is_unconfirmed(proxy: FaultProxy) -> None:
    assert program("buy", TWO_SIDED, "1", "@0.41", "--json").code == 0
    proxy.refuse()
    ended = program("order", "reconcile", "--json")
    assert (ended.code, ended.error["code"]) == (6, "unreachable"), ended.err


@pytest.mark.parametrize("words", [("order", "show"), ("order", "amend", "--count", "2"), ("cancel",)], ids=" ".join)
def test_an_unconfirmed_order_is_not_said_to_be_absent(proxy: FaultProxy, unseen: str, words: tuple[str, ...]) -> None:
    for any_id in (unseen, unseen[:10]):
        ended = program(*words, any_id, "--json")
        assert (ended.code, ended.error["code"]) == (7, "outcome_unknown"), ended.err
        assert unseen in ended.error["message"]
        assert "kalshi order reconcile" in ended.error["hint"]


def test_an_unconfirmed_order_that_is_listed_is_canceled_by_its_client_order_id(
    exchange: Served, proxy: FaultProxy, unseen: str
) -> None:
    proxy.edits.clear()
    ended = program("cancel", unseen, "--json")
    assert (ended.code, exchange.resting()) == (0, []), ended.err
