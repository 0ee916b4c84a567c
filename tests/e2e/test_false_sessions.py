"""F77 by the program itself, over sockets: the proxy makes the reply to a create false, the exchange acts as always."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.core.account import reconciliation

CREATE = r"/portfolio/events/orders$"
NOWHERE = "00000000-0000-4000-8000-00000000dead"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Served, FaultProxy]]:
    monkeypatch.setattr(reconciliation, "NEVER_ARRIVED_MARGIN_MS", 100)
    with served(tmp_path) as exchange, fault_proxy(exchange.server.rest_url) as proxy:
        set_variables(monkeypatch, tmp_path, exchange.variables(proxy.moved(exchange.server.rest_url)))
        yield exchange, proxy


def place(price: str, *more: str) -> Ended:
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "10", "--price", price)
    return program(*words, "--client-order-id", "false-one", *more, "--json")


def check(name: str) -> tuple[int, list[str]]:
    ended = program("check", name, "--no-notify", "--json")
    return ended.code, [breach["code"] for breach in ended.json["breaches"]]


CASES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "another id": ({"order_id": NOWHERE}, "0.41", ()),
    "more filled": ({"fill_count": "10.00", "remaining_count": "0.00"}, "0.41", ()),
    "some filled": ({"fill_count": "4.00", "remaining_count": "6.00"}, "0.41", ()),
    "over": ({"remaining_count": "0.00"}, "0.41", ()),
    "another id, and it filled": ({"order_id": NOWHERE}, "0.50", ("--tif", "ioc")),
    "filled, and it did not": ({"fill_count": "10.00"}, "0.41", ("--tif", "ioc")),
}


def begin(world: tuple[Served, FaultProxy], case: str) -> None:
    exchange, proxy = world
    changes, price, more = CASES[case]
    edit: Callable[[Any], Any] = lambda body: body | changes  # noqa: E731
    proxy.faults.append(Fault("rewrite", "POST", CREATE, edit=edit))
    place(price, *more)
    assert proxy.faults[0].hits >= 1
    assert len(exchange.resting()) + bool(more) == 1


def assert_right(exchange: Served) -> None:
    """The file, the program and the exchange say the same."""
    listed = program("order", "list", "--json").json
    assert [row["order_id"] for row in listed] == [order_id for order_id, *_ in exchange.resting()]
    shown = program("order", "show", "false-one", "--json")
    assert (shown.code, shown.json["order_id"] != NOWHERE) == (0, True)
    assert check("orders") == (0, [])
    assert check("drift") == (0, [])
    assert program("status", "--json").json["state"] == "active"


@pytest.mark.parametrize("case", CASES)
def test_the_checks_see_it_and_reconcile_repairs_it_and_says_so(world: tuple[Served, FaultProxy], case: str) -> None:
    exchange, _ = world
    begin(world, case)
    if case != "another id, and it filled":  # there the fill is missing besides, and under whose id nobody knows
        assert check("drift") == (2, ["ORDER_DIFFERS"])
    assert check("orders") == (2, ["ORDER_DIFFERS"])
    ended = program("order", "reconcile", "--json")
    assert ended.code == 0, ended.err
    (row,) = ended.json
    assert (row["client_order_id"], row["found"]) == ("false-one", "repaired")
    assert row["repaired"] in ended.err
    assert_right(exchange)
    assert program("order", "reconcile", "--json").json == []


@pytest.mark.parametrize("case", CASES)
def test_a_trade_loop_starts_and_repairs_it(world: tuple[Served, FaultProxy], case: str) -> None:
    exchange, _ = world
    begin(world, case)
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--duration", "0.3s", "--interval", "0.2s")
    ended = program(*words, "--json")
    assert ended.code == 0, ended.err
    assert "1 order repaired" in ended.err
    assert "\n  repaired: Order " in ended.err
    assert_right(exchange)


def test_what_is_proven_later_is_open_until_then(
    world: tuple[Served, FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "NEVER_ARRIVED_MARGIN_MS", 45_000)
    begin(world, "another id")
    ended = program("order", "reconcile", "--wait", "1s", "--json")
    assert (ended.code, ended.json[0]["found"], ended.json[0]["repaired"]) == (7, "still_unknown", None)
    assert program("status", "--json").json["state"] == "active", "no halt: one of the two ids is a mistake"
