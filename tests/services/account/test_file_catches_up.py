"""What the fills on file say of an order is written down at the next start, whoever booked them."""

from __future__ import annotations

from pathlib import Path

import msgspec
from support.simulation import Simulation

from kalshi_cli.base.units import cents
from kalshi_cli.core.model.effects import FillBooked
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import load_engine


def test_an_order_whose_fill_another_program_booked_does_not_rest_on_file_for_ever(tmp_path: Path) -> None:
    sim = Simulation(tmp_path)
    try:
        sim.market()
        order = sim.place(price=cents(42))
        assert order.status is OrderStatus.RESTING
        sim.take(BID.opposite, 42, 10)
        for fill in sim.client.all_fills():
            sim.store.record(FillBooked(msgspec.structs.replace(fill, client_order_id="")))
        found = sim.store.order(order.client_order_id)
        assert found is not None
        assert found.status is OrderStatus.RESTING, "only the fill was booked"
        load_engine(sim.client, sim.store, sim.clock, RiskLimits(), markets=(), fees={}, new_id=sim.new_id)
        found = sim.store.order(order.client_order_id)
        assert found is not None
        assert (found.status, found.filled) == (OrderStatus.FILLED, 1000)
        assert sim.store.live_orders() == ()
    finally:
        sim.close()
