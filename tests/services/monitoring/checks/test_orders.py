"""`kalshi check orders` in its four states, against a served exchange and a state file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import KEY_ID, ME, TWO_SIDED, Served, program, served, set_variables

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Price, Ts, contracts
from kalshi_cli.core.model.effects import OrderChanged
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.store.lock import lock
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import RunGroup
from kalshi_cli.store.sqlite_store import Store

NOW = SystemClock().now()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FaultProxy, str]]:
    """One order rests on the account; its id comes with it."""
    with served(tmp_path_factory.mktemp("orders")) as one, fault_proxy(one.server.rest_url) as proxy:
        receipt = one.submit(ME, TWO_SIDED, BID, "0.4000", "5", client_order_id="low")

        yield one, proxy, receipt.order_id


@pytest.fixture
def proxy(shared: tuple[Served, FaultProxy, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    one, found, _ = shared
    found.edits.clear()
    found.faults.clear()
    set_variables(monkeypatch, tmp_path, one.variables(found.moved(one.server.rest_url), home=tmp_path))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The state file of the account."""
    one = Store.open(tmp_path / "state" / "sim" / "state.db", account=KEY_ID, environment="sim")
    yield one
    one.close()


@pytest.fixture
def resting(shared: tuple[Served, FaultProxy, str]) -> str:
    """The id of the order that rests."""
    return shared[2]


def remember(store: Store, client_order_id: str = "low", **changes: Any) -> None:
    """An order is on file."""
    fields: dict[str, Any] = {
        "ticker": TWO_SIDED, "side": BID, "price": Price(4_000), "qty": contracts(5), "status": OrderStatus.RESTING,
        "created": NOW, "updated": NOW,
    }  # fmt: skip
    store.record(OrderChanged(Order(client_order_id=client_order_id, **(fields | changes))))


def listed(proxy: FaultProxy, **changes: Any) -> None:
    """The exchange lists the order so."""

    def edit(body: Any) -> Any:
        for order in body["orders"]:
            order.update(changes)
        return body

    proxy.edits[r"/portfolio/orders"] = edit


def found(*words: str) -> tuple[int, list[tuple[str, str, str]]]:
    ended = program("check", "orders", "--no-notify", "--json", *words)
    return ended.code, [(each["severity"], each["code"], each["subject"]) for each in ended.json["breaches"]]


def test_an_order_of_a_person_that_is_on_file_is_fine(proxy: FaultProxy, store: Store, resting: str) -> None:
    remember(store, order_id=resting)
    ended = program("check", "orders", "--no-notify")
    assert (ended.code, ended.out.partition(";")[0]) == (
        0, "KALSHI ORDERS OK - 1 resting order, none needs attention",
    )  # fmt: skip


def test_an_order_that_was_not_placed_from_here_warns(proxy: FaultProxy, resting: str) -> None:
    assert found() == (1, [("warning", "FOREIGN_ACTIVITY", resting)])
    listed(proxy, client_order_id="kcli0123")
    assert found() == (1, [("warning", "OTHER_INSTANCE", resting)])


def test_an_order_in_doubt_is_critical_even_where_the_exchange_cannot_be_asked(
    proxy: FaultProxy, store: Store, resting: str
) -> None:
    remember(store, order_id=resting)
    remember(store, "gone", status=OrderStatus.UNKNOWN, updated=Ts(NOW - 31_000))
    assert found() == (2, [("critical", "ORDER_UNKNOWN_LONG", "gone")])
    proxy.faults.append(Fault("reset", "GET", "", times=1_000))
    assert found("--within", "4s") == (
        2, [("critical", "ORDER_UNKNOWN_LONG", "gone"), ("unknown", "COULD_NOT_LOOK", "resting orders")],
    )  # fmt: skip
    assert program("check", "orders", "--no-notify", "--json").json["runbook"] == "unknown-order"


def test_an_order_beyond_its_expiry_is_critical(proxy: FaultProxy, store: Store, resting: str) -> None:
    remember(store, order_id=resting)
    listed(proxy, expiration_time="2026-01-01T00:00:00Z")
    assert found() == (2, [("critical", "ORDER_STALE", resting)])


def test_what_a_loop_left_behind_is_critical_and_what_a_loop_looks_after_is_fine(
    proxy: FaultProxy, store: Store, resting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(store, order_id=resting, strategy="spike")
    listed(proxy, created_time="2026-01-01T00:00:00Z")
    with lock(tmp_path / "state" / "sim" / "trade.lock", SystemClock()):
        assert found() == (0, [])
    assert found() == (2, [("critical", "ORDER_STALE", resting)])


def test_an_order_in_a_group_that_takes_none_is_critical(proxy: FaultProxy, store: Store, resting: str) -> None:
    remember(store, order_id=resting)
    store.save_order_group(RunGroup("11111111-0000-4000-8000-000000000000", 0, is_triggered=True))
    assert found() == (1, [("warning", "GROUP_TRIGGERED", "11111111-0000-4000-8000-000000000000")])
    listed(proxy, order_group_id="11111111-0000-4000-8000-000000000000")
    assert found()[0] == 2
    assert found()[1][0] == ("critical", "GROUP_TRIGGERED", resting)


@pytest.mark.parametrize(("refused", "code"), [(1, 0), (2, 1), (4, 2)])
def test_refusals_of_the_last_hour_are_held_against_a_range(
    proxy: FaultProxy, store: Store, resting: str, refused: int, code: int
) -> None:
    remember(store, order_id=resting)
    for number in range(9):
        status = OrderStatus.REJECTED if number < refused else OrderStatus.CANCELED
        remember(store, f"c{number}", status=status, code="invalid_price", side=ASK)
    remember(store, "old", status=OrderStatus.REJECTED, created=Ts(NOW - 3_700_000))
    assert found() == (code, [("warning" if code == 1 else "critical", "REJECT_RATE", "orders")] if code else [])
    assert found("-w", "50", "-c", "60")[0] == 0


@pytest.mark.parametrize("code", ["STATE_MOVED", "halted", "rate_limited", "unreachable", "exchange_is_paused"])
def test_what_the_exchange_did_not_refuse_for_what_it_is_is_no_refusal(
    proxy: FaultProxy, store: Store, resting: str, code: str
) -> None:
    remember(store, order_id=resting)
    for number in range(20):
        remember(store, f"c{number}", status=OrderStatus.REJECTED, code=code)
    assert found() == (0, [])
    (line,) = program("check", "orders", "--no-notify").out.splitlines()
    assert "21 orders in the last hour, 20 of them refused by kalshi or not decided by the exchange" in line


def test_a_fill_or_a_cancel_between_two_looks_is_no_breach(proxy: FaultProxy, resting: str) -> None:
    looks = iter(["once"])

    def edit(body: Any) -> Any:
        return body if next(looks, "") else body | {"orders": []}

    proxy.edits[r"/portfolio/orders"] = edit
    assert found() == (0, [])
    assert next(looks, "") == ""


def quoting(proxy: FaultProxy, store: Store, count: int) -> None:
    """The list shows `count` orders of a loop, all newer than any other order on file."""

    def edit(body: Any) -> Any:
        if "orders" not in body:  # the record of one order
            return body
        (order,) = body["orders"]
        quotes = [order | {"order_id": f"at-{number}", "client_order_id": f"q{number}"} for number in range(count)]
        return body | {"orders": quotes}

    proxy.edits[r"/portfolio/orders"] = edit
    for number in range(count):
        remember(store, f"q{number}", order_id=f"at-{number}")


def test_a_false_fill_is_found_behind_a_loop_that_quotes_twenty_orders(
    proxy: FaultProxy, store: Store, resting: str
) -> None:
    quoting(proxy, store, 20)
    remember(
        store, order_id=resting, updated=Ts(NOW - 60_000), status=OrderStatus.FILLED, filled=contracts(5),
    )  # fmt: skip
    assert found() == (2, [("critical", "ORDER_DIFFERS", resting)])


def test_orders_beyond_those_that_one_run_looks_up_are_reported(proxy: FaultProxy, store: Store) -> None:
    quoting(proxy, store, 1)
    for number in range(23):
        remember(store, f"g{number}", order_id=f"gone-{number}", updated=Ts(NOW + 3_600_000))
    assert found() == (1, [("warning", "COULD_NOT_LOOK", "orders on file")])
    assert "3 more saved orders not compared with the exchange" in program("check", "orders", "--no-notify").out


def test_orders_that_cannot_be_read_are_unknown(proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("reset", "GET", "/portfolio/orders", times=1_000))
    assert found("--within", "4s") == (3, [("unknown", "COULD_NOT_LOOK", "resting orders")])


def test_a_broken_state_file_is_unknown(proxy: FaultProxy, tmp_path: Path) -> None:
    path = tmp_path / "state" / "sim" / "state.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no state file " * 500)
    assert found() == (3, [("unknown", "STATE_UNUSABLE", "orders")])


def test_a_triggered_group_of_a_trading_loop_is_critical(proxy: FaultProxy, store: Store, tmp_path: Path) -> None:
    group = "11111111-0000-4000-8000-000000000000"
    store.save_order_group(RunGroup(group, 0, is_triggered=True))
    with lock(tmp_path / "state" / "sim" / "trade.lock", SystemClock()):
        assert found()[1][0] == ("critical", "GROUP_TRIGGERED", group)
        ended = program("check", "orders", "--no-notify", "--json")
        assert (ended.json["runbook"], "cannot trade or exit" in ended.json["summary"]) == ("group-triggered", True)
        pause(tmp_path / "state" / "sim", "lunch")
        assert ("warning", "GROUP_TRIGGERED", group) in found()[1]
