"""What `order place` ends with where something answers 4xx: for each status and kind of body, the order forwarded or
not. Only the exchange's own error proves that nothing was placed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.services.orders import place as placing

CREATE = r"/portfolio/events/orders$"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FaultProxy]]:
    with served(tmp_path_factory.mktemp("unproven")) as one, fault_proxy(one.server.rest_url) as proxy:
        yield one, proxy


@pytest.fixture
def world(
    shared: tuple[Served, FaultProxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Served, FaultProxy]]:
    exchange, proxy = shared
    set_variables(monkeypatch, tmp_path, exchange.variables(proxy.moved(exchange.server.rest_url)))
    monkeypatch.setenv("KALSHI_STATE", str(tmp_path / "state"))
    exchange.spare_the_wait(tmp_path / "state")
    monkeypatch.setattr(placing, "RESOLVE_S", 0)  # one look
    proxy.faults.clear()
    yield exchange, proxy
    exchange.call(lambda: exchange.exchange.cancel_all("alice", exchange.clock.now(), TWO_SIDED))


def place(name: str) -> Ended:
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "1", "--price", "0.41")
    return program(*words, "--client-order-id", name, "--json")


def nested(code: str, details: str = "") -> bytes:
    return json.dumps({"error": {"code": code, "message": code.replace("_", " "), "details": details}}).encode()


OWN = {
    "400": (400, nested("invalid_order", "post only cross"), 4),
    "400 flat": (400, b'{"code":"bad_request","message":"bad request","details":"json"}', 4),
    "401": (401, nested("authentication_error", "NOT_FOUND"), 5),
    "403": (403, nested("forbidden"), 5),
    "404": (404, nested("not_found"), 4),
    "409": (409, nested("trading_is_paused"), 4),
    "410": (410, nested("deprecated_v1_order_endpoint"), 4),
}
BODIES = {
    "html": b"<html>Forbidden</html>",
    "empty": b"",
    "foreign": b'{"message":"Forbidden"}',
    "bare": b'{"msg":"Parameter validation failed"}',
    "unknown": nested("brand_new_refusal"),
}

# Each status with one of the bodies, and each body: `exchange/wire/test_replies.py` has all pairs.
FOREIGN = {
    f"{status} {name}": (status, body)
    for place, status in enumerate((400, 401, 403, 404, 409, 410, 425, 429))
    for number, (name, body) in enumerate(BODIES.items())
    if (place + number) % len(BODIES) == 0
} | {
    "408": (408, b""),
    "413": (413, nested("invalid_order")),
    "425": (425, nested("invalid_order")),
    "409 exists": (409, nested("order_already_exists")),
    "400 exists": (400, nested("order_already_exists")),
}


@pytest.mark.parametrize("case", OWN)
def test_a_refusal_in_the_exchanges_own_words_ends_the_order(world: tuple[Served, FaultProxy], case: str) -> None:
    exchange, proxy = world
    status, body, code = OWN[case]
    proxy.faults.append(Fault("status", "POST", CREATE, status=status, body=body, times=9))
    ended = place(f"own-{case.replace(' ', '-')}")
    assert (ended.code, ended.error["exit_code"], proxy.faults[0].hits) == (code, code, 1)
    assert exchange.resting() == []
    assert program("status", "--json").json["unknown_orders"] == 0


@pytest.mark.parametrize("case", FOREIGN)
def test_anything_else_that_was_not_forwarded_is_a_doubt_and_never_sent_again(
    world: tuple[Served, FaultProxy], case: str
) -> None:
    exchange, proxy = world
    status, body = FOREIGN[case]
    proxy.faults.append(Fault("status", "POST", CREATE, status=status, body=body, times=9))
    name = f"lost-{case.replace(' ', '-')}"
    ended = place(name)
    assert (ended.code, ended.error["exit_code"]) == (7, 7), ended.err
    assert name in ended.error["message"]
    assert proxy.faults[0].hits == 1
    assert exchange.resting() == []
    assert program("status", "--json").json["unknown_orders"] == 1


@pytest.mark.parametrize("case", FOREIGN)
def test_anything_else_that_was_forwarded_is_found_to_rest(world: tuple[Served, FaultProxy], case: str) -> None:
    exchange, proxy = world
    status, body = FOREIGN[case]
    proxy.faults.append(Fault("status", "POST", CREATE, status=status, body=body, is_forwarded=True, times=9))
    ended = place(f"kept-{case.replace(' ', '-')}")
    assert (ended.code, ended.json["status"]) == (0, "resting"), ended.err
    assert [order_id for order_id, *_ in exchange.resting()] == [ended.json["order_id"]]
    assert proxy.faults[0].hits == 1
    assert program("status", "--json").json["unknown_orders"] == 0


def test_the_exchanges_own_429_goes_again_and_is_one_order(world: tuple[Served, FaultProxy]) -> None:
    exchange, proxy = world
    proxy.faults.append(Fault("status", "POST", CREATE, status=429, body=b'{"error":"too many requests"}'))
    ended = place("paced")
    assert (ended.code, ended.json["status"], proxy.faults[0].hits) == (0, "resting", 2)
    assert len(exchange.resting()) == 1


@pytest.mark.parametrize("body", ["html", "foreign"])
def test_a_cancel_that_a_gateway_answers_with_404_is_not_gone(world: tuple[Served, FaultProxy], body: str) -> None:
    exchange, proxy = world
    order_id = place(f"stays-{body}").json["order_id"]
    proxy.faults.append(Fault("status", "DELETE", order_id, status=404, body=BODIES[body], times=9))
    ended = program("order", "cancel", order_id, "--json")
    assert (ended.code, ended.json[0]["canceled"]) == (7, False)
    assert [found for found, *_ in exchange.resting()] == [order_id]
