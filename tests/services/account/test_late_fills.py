"""Fills that the exchange shows late, dated before one that is booked already: the next start finds them too."""

from __future__ import annotations

import pytest
from support.simulation import TICKER, Simulation

from kalshi_cli.base.units import contracts
from kalshi_cli.core.model.effects import FillBooked
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import load_engine


@pytest.mark.parametrize("minutes", [0.5, 5, 55])
def test_a_start_books_a_fill_that_is_older_than_the_last_one_booked(sim: Simulation, minutes: float) -> None:
    sim.quote(BID, 40, 3, who="alice")
    sim.take(ASK, 40, 3)
    sim.clock.advance(minutes * 60)
    sim.quote(BID, 41, 5, who="alice")
    sim.take(ASK, 41, 5)
    sim.clock.advance(10)
    newest, oldest = sim.client.fills(TICKER)
    sim.store.record(FillBooked(newest, None))
    engine = load_engine(
        sim.client, sim.store, sim.clock, RiskLimits(),
        markets=[sim.client.market(TICKER)], fees={}, new_id=sim.new_id,
    )  # fmt: skip
    assert {fill.trade_id for fill in sim.store.fills()} == {newest.trade_id, oldest.trade_id}
    assert engine.state.ledger.position(TICKER).qty == contracts(8)
