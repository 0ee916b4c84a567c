"""An order whose client order id the exchange knows already: is it ours, arrived before, or an older one?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import OTHER, TICKER, Simulation, ticket

from kalshi_cli.base.errors import OutcomeUnknownError, RefusedError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import DUPLICATE_ID, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import reconcile_unknown
from kalshi_cli.services.orders import batch
from kalshi_cli.services.orders.batch import BatchLine
from kalshi_cli.simulator.model.listing import ExchangeOptions, NewOrder, OrderReceipt

HOUR_S = 3_600


def elsewhere(sim: Simulation, price: int = 40, ticker: str = TICKER) -> None:
    """Another program of alice's, with another state file, places an order with the id that ours will have."""
    order = NewOrder(ticker=ticker, side=BID, price=cents(price), qty=contracts(10), client_order_id="job-42")
    assert isinstance(sim.exchange.submit("alice", order, sim.clock.now()), OrderReceipt)


def send_unseen(sim: Simulation) -> None:
    """Place it although the account was read before that id was there: the look before the send finds nothing."""
    desk = sim.desk()

    def hide(request: httpx.Request) -> httpx.Response | None:
        is_list = request.method == "GET" and request.url.path.endswith("/orders")
        return httpx.Response(200, json={"orders": [], "cursor": ""}, request=request) if is_list else None

    sim.wire.before = hide
    engine, proposal = desk.propose(ticket(client_order_id="job-42"))
    sim.wire.before = lambda _request: None
    desk.send(engine, proposal)


def typed_alone(sim: Simulation) -> None:
    sim.place(client_order_id="job-42")


def typed_in_a_batch(sim: Simulation) -> None:
    desk = sim.desk()
    outcome = batch.send(desk, *batch.propose(desk, [BatchLine(1, ticket(client_order_id="job-42"))]))
    if outcome.worst is not None:
        raise outcome.worst


@pytest.mark.parametrize("send", [typed_alone, typed_in_a_batch])
@pytest.mark.parametrize("client_ids", ["forever", "open_only"])
def test_a_typed_id_that_the_exchange_knows_is_refused_before_anything_is_sent(
    tmp_path: Path, client_ids: Any, send: Callable[[Simulation], None]
) -> None:
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, client_ids=client_ids))
    sim.market()
    elsewhere(sim, 44)  # trades at once: it never rests
    sim.clock.advance(HOUR_S)
    sim.market()
    with pytest.raises(RefusedError, match="client order id job-42 is already in use"):
        send(sim)
    assert sim.wire.posts() == 0
    sim.close()


def test_a_typed_id_that_the_exchange_does_not_know_is_sent(sim: Simulation) -> None:
    sim.market()
    typed_in_a_batch(sim)
    assert "job-42" in {order.client_order_id for order in sim.client.orders(status="resting")}


@pytest.mark.parametrize("price", [44, 30])
def test_an_older_order_with_the_id_ends_ours_as_refused_and_is_not_taken_for_it(sim: Simulation, price: int) -> None:
    """It traded an hour ago, or rests since."""
    sim.market()
    elsewhere(sim, price)
    sim.clock.advance(HOUR_S)
    sim.market()
    with pytest.raises(RefusedError) as caught:
        send_unseen(sim)
    assert caught.value.code == "DUPLICATE_ID"
    ours = sim.store.order("job-42")
    assert ours is not None
    assert (ours.status, ours.code, ours.order_id) == (OrderStatus.REJECTED, "DUPLICATE_ID", "")
    sim.clock.advance(60)
    assert reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id) == ([], [])
    assert "LATE_ORDER" not in [alert.code for alert in sim.store.alerts()]


def test_an_order_with_the_id_that_was_made_within_the_send_is_ours(sim: Simulation) -> None:
    """The network sent it twice, and the answer to the first was lost."""
    sim.market()

    def first(request: httpx.Request) -> None:
        if request.method == "POST":
            sim.wire.before = lambda _request: None
            elsewhere(sim)

    desk = sim.desk()
    engine, proposal = desk.propose(ticket(client_order_id="job-42"))
    sim.wire.before = first
    order = desk.send(engine, proposal)
    assert (order.status, order.is_foreign, sim.wire.posts()) == (OrderStatus.RESTING, False, 1)


def test_an_id_that_is_taken_in_another_market_ends_as_refused_not_as_never_arrived(sim: Simulation) -> None:
    """The exchange says that an order of this id is there; it is not ours, or it would be found in this market."""
    sim.market(ticker=OTHER)
    elsewhere(sim, 44, OTHER)
    sim.clock.advance(HOUR_S)
    sim.market()
    with pytest.raises(OutcomeUnknownError):
        sim.place(client_order_id="job-42")
    sim.clock.advance(HOUR_S)
    ended, left = reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)
    assert ([(order.status, order.code) for order in ended], left) == ([(OrderStatus.REJECTED, DUPLICATE_ID)], [])
