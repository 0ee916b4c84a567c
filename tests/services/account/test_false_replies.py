"""F77: replies that are well formed and false. The exchange's own record decides, and the repair is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from support.simulation import TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import OrderState
from kalshi_cli.core.model.order_terms import ASK, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import reconcile_unknown

NOWHERE = "00000000-0000-4000-8000-00000000dead"
MARGIN_S = NEVER_ARRIVED_MARGIN_MS / 1000

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def falsify(sim: Simulation, method: str, edit: Edit, *, ending: str = "", times: int = 1) -> None:
    """The exchange does what it is asked; the body of its answer goes through `edit`."""
    left = iter(range(times))

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.method != method or not request.url.path.endswith(ending) or next(left, None) is None:
            return None
        answer = sim.checked.handle_request(request)
        return httpx.Response(answer.status_code, json=edit(json.loads(answer.read())), headers={"date": ""})

    sim.wire.before = before


def reconcile(sim: Simulation, wait_s: float = 60.0) -> tuple[list[Order], list[Order], dict[str, str]]:
    told: dict[str, str] = {}
    settled, open_ = reconcile_unknown(
        sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id,
        wait_s=wait_s, repaired=lambda order, text: told.update({order.client_order_id: text}),
    )  # fmt: skip
    return settled, open_, told


def on_file(sim: Simulation, name: str) -> Order:
    found = sim.store.order(name)
    assert found is not None
    return found


def resting(sim: Simulation) -> list[tuple[str, int]]:
    return [(order_id, qty) for order_id, _, _, qty in sim.exchange.resting("alice")]


# -- creates ------------------------------------------------------------------------------------------------------


def test_a_false_order_id_is_repaired_once_a_fresh_read_shows_the_order_under_another(sim: Simulation) -> None:
    sim.market(39, 44)
    falsify(sim, "POST", lambda body: body | {"order_id": NOWHERE})
    placed = sim.place(client_order_id="mine")
    assert (placed.order_id, placed.status) == (NOWHERE, OrderStatus.RESTING)
    [(true_id, _)] = resting(sim)
    settled, open_, told = reconcile(sim)
    assert [order.order_id for order in settled] == [true_id]
    assert open_ == []
    assert NOWHERE in told["mine"]
    assert true_id in told["mine"]
    assert on_file(sim, "mine").order_id == on_file(sim, true_id).order_id == true_id
    assert sim.store.order(NOWHERE) is None
    assert [order.client_order_id for order in sim.store.live_orders()] == ["mine"]
    assert sim.store.halt().state is TradingState.ACTIVE
    assert [alert.code for alert in sim.store.alerts()] == ["ORDER_REPAIRED"]
    assert reconcile(sim) == ([], [], {}), "repaired once"


def test_until_it_is_proven_both_count_and_the_dispute_stays_open(sim: Simulation) -> None:
    sim.market(39, 44)
    falsify(sim, "POST", lambda body: body | {"order_id": NOWHERE})
    sim.place(client_order_id="mine")
    _, open_, told = reconcile(sim, wait_s=0)
    assert ([order.order_id for order in open_], told) == ([NOWHERE], {})
    engine = sim.desk().engine([sim.client.market(TICKER)])
    assert engine.state.orders.worst_case(TICKER) == (contracts(20), 0)
    assert sim.store.halt().state is TradingState.ACTIVE, "one of the two may be the mistake of a reply"


def test_an_order_that_filled_under_a_false_id_gets_its_fills(sim: Simulation) -> None:
    sim.market(39, 44)
    falsify(sim, "POST", lambda body: body | {"order_id": NOWHERE})
    sim.place(client_order_id="mine", price=cents(44), tif=TimeInForce.IOC)
    settled, open_, told = reconcile(sim)
    (order,) = settled
    assert (order.filled, order.status, order.code) == (contracts(10), OrderStatus.FILLED, "")
    assert (open_, list(told)) == ([], ["mine"])
    (fill,) = sim.store.fills()
    assert fill.order_id == order.order_id
    engine = sim.desk().engine([sim.client.market(TICKER)])
    assert engine.state.orders.untold() == []
    assert engine.state.ledger.position(TICKER).qty == contracts(10)


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.IOC])
@pytest.mark.parametrize("claimed", ["10.00", "4.00"])
def test_a_false_fill_count_is_lowered_to_the_record(sim: Simulation, tif: TimeInForce, claimed: str) -> None:
    sim.market(39, 44)
    left = f"{10 - float(claimed):.2f}"
    falsify(sim, "POST", lambda body: body | {"fill_count": claimed, "remaining_count": left})
    sim.place(client_order_id="mine", tif=tif)
    assert on_file(sim, "mine").filled == contracts(int(float(claimed)))
    settled, open_, told = reconcile(sim)
    assert open_ == []
    (order,) = settled
    over = OrderStatus.RESTING if tif is TimeInForce.GTC else OrderStatus.CANCELED
    assert (order.filled, order.status) == (0, over)
    assert "filled was" in told["mine"]
    assert on_file(sim, "mine") == order
    assert sim.store.fills() == ()
    loop = TradingLoop(sim)
    assert loop.engine.state.orders.untold() == []


def test_an_order_that_is_said_to_be_over_and_rests_comes_back(sim: Simulation) -> None:
    sim.market(39, 44)
    falsify(sim, "POST", lambda body: body | {"remaining_count": "0.00"})
    sim.place(client_order_id="mine")
    assert on_file(sim, "mine").status is OrderStatus.CANCELED
    sim.clock.advance(MARGIN_S + 1)
    ((order,), open_, told) = reconcile(sim)
    assert (order.status, order.remaining, open_) == (OrderStatus.RESTING, contracts(10), [])
    assert "status was canceled, is resting" in told["mine"]
    assert on_file(sim, "mine").status is OrderStatus.RESTING


def test_an_order_that_the_exchange_never_had_is_ended_and_said_to_be(sim: Simulation) -> None:
    """Something answered 201 for the exchange, which got nothing."""
    sim.market(39, 44)
    body = {"order_id": NOWHERE, "client_order_id": "mine", "fill_count": "0.00", "remaining_count": "10.00"}
    reply = body | {"ts_ms": sim.clock.now()}
    sim.wire.before = lambda r: httpx.Response(201, json=reply) if r.method == "POST" else None
    sim.place(client_order_id="mine", expires_in_s=30)
    settled, open_, told = reconcile(sim)
    assert ([order.status for order in settled], open_) == ([OrderStatus.NEVER_ARRIVED], [])
    assert NOWHERE in told["mine"]
    assert sim.store.live_orders() == ()
    assert resting(sim) == []


def test_a_reply_about_another_order_of_ours_is_no_acknowledgement(sim: Simulation) -> None:
    """F21: the id is one that we know. The order is looked for under our own id."""
    sim.market(39, 44)
    first = sim.place(client_order_id="first")
    falsify(sim, "POST", lambda body: body | {"order_id": first.order_id})
    second = sim.place(client_order_id="second", price=cents(38))
    assert second.order_id not in ("", first.order_id)
    assert {order_id for order_id, _ in resting(sim)} == {first.order_id, second.order_id}
    assert on_file(sim, "first").price == cents(40)
    assert reconcile(sim) == ([], [], {})


@pytest.mark.parametrize("ts", [1, 1_700_000_000_000, 9_000_000_000_000])
def test_a_false_time_delays_a_repair_and_prevents_none(sim: Simulation, ts: int) -> None:
    sim.market(39, 44)
    falsify(sim, "POST", lambda body: body | {"ts_ms": ts, "fill_count": "10.00", "remaining_count": "0.00"})
    sim.place(client_order_id="mine")
    sim.clock.advance(MARGIN_S + 10)
    ((order,), _, _) = reconcile(sim)
    assert (order.filled, order.status) == (0, OrderStatus.RESTING)


def test_false_averages_are_not_read(sim: Simulation) -> None:
    sim.market(39, 44)
    falsify(sim, "POST", lambda body: body | {"average_fill_price": "0.9900", "average_fee_paid": "5.0000"})
    sim.place(client_order_id="mine", price=cents(44), tif=TimeInForce.IOC)
    assert reconcile(sim) == ([], [], {})
    assert [(fill.price, fill.qty) for fill in sim.store.fills()] == [(cents(44), contracts(10))]


# -- changes and cancels ------------------------------------------------------------------------------------------


def test_a_cancel_that_did_not_happen_brings_the_order_back(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    loop.ticks(2)
    (mine,) = loop.live
    done = {"order_id": mine.order_id, "reduced_by": "10.00", "ts_ms": sim.clock.now()}
    told = iter(range(1))
    sim.wire.before = lambda r: (
        httpx.Response(200, json=done) if r.method == "DELETE" and next(told, None) is not None else None
    )
    loop.stop()
    assert loop.live == []
    loop.ticks(40)
    assert resting(sim) == [], "it was seen to rest, and canceled again"
    assert [alert.code for alert in loop.alerts("ORDER_REPAIRED")] == ["ORDER_REPAIRED"]
    assert on_file(sim, mine.client_order_id).status is OrderStatus.CANCELED


def test_terms_that_a_change_stated_falsely_and_dated_later_are_repaired(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    loop.ticks(2)
    (mine,) = loop.live
    false = msgspec.structs.replace(mine, reduced=contracts(7), updated=sim.clock.now())
    loop.take(OrderState(sim.clock.now(), false))
    assert loop.live[0].remaining == contracts(3)
    loop.ticks(40)
    assert loop.live[0].remaining == contracts(10)
    assert "remaining was 3, is 10" in loop.alerts("ORDER_REPAIRED")[0].text


# -- the loop -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body | {"order_id": NOWHERE},
        lambda body: body | {"fill_count": "10.00", "remaining_count": "0.00"},
        lambda body: body | {"order_id": NOWHERE, "fill_count": "10.00", "remaining_count": "0.00"},
        lambda body: body | {"remaining_count": "0.00"},
    ],
    ids=["id", "filled", "id and filled", "over"],
)
def test_a_running_loop_repairs_it_at_its_periodic_read_and_trades_on(sim: Simulation, edit: Edit) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    falsify(sim, "POST", edit)
    loop.ticks(60)
    assert sim.store.halt().state is TradingState.ACTIVE
    assert len(loop.alerts("ORDER_REPAIRED")) == 1
    assert sorted(order.order_id for order in loop.live) == sorted(order_id for order_id, _ in resting(sim))
    assert loop.engine.state.orders.untold() == []
    sim.take(ASK, 40, 10)
    loop.ticks(6)
    assert loop.engine.state.by_strategy["quoter"].position(TICKER).qty == contracts(10)


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body | {"order_id": NOWHERE},
        lambda body: body | {"fill_count": "10.00", "remaining_count": "0.00"},
        lambda body: body | {"order_id": NOWHERE, "fill_count": "10.00", "remaining_count": "0.00"},
    ],
    ids=["id", "filled", "id and filled"],
)
def test_a_start_repairs_it_rather_than_refusing(sim: Simulation, edit: Edit) -> None:
    sim.market(39, 44)
    falsify(sim, "POST", edit)
    sim.place(client_order_id="mine")
    loop = TradingLoop(sim)
    (line,) = [line for line in loop.said if line.startswith("  repaired: Order ")]
    assert "(buy 10 YES at $0.40) is resting: 0 of 10 filled; an earlier reply was wrong: " in line
    assert " was " in line
    assert any("1 order repaired" in line for line in loop.said)
    assert [order.order_id for order in loop.live] == [order_id for order_id, _ in resting(sim)]


def test_a_true_second_order_still_halts(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    loop.ticks(6)
    (mine,) = loop.live
    loop.take(OrderState(sim.clock.now(), msgspec.structs.replace(mine, order_id="twin", is_foreign=True)))
    assert sim.store.halt().code == "DOUBLE_ORDER"
