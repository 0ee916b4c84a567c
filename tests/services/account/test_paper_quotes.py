"""Our own quotes are in the books of the exchange that we trade on; on paper nobody sees them, so they are in none."""

from __future__ import annotations

import pytest
from support.simulation import TICKER, Simulation

from kalshi_cli.base.units import Qty, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import BookSnapshot, OrderAccepted
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.paper_account import load_paper
from kalshi_cli.services.account.recovery import load_engine


def on_paper(sim: Simulation) -> TradingEngine:
    engine, _ = load_paper(
        sim.store, sim.clock, RiskLimits(), cash=dollars(100), markets=[sim.client.market(TICKER)], fees={},
        new_id=sim.new_id, strategies=(), references={}, order_expiry_s=None,
    )  # fmt: skip
    return engine


def on_the_account(sim: Simulation) -> TradingEngine:
    return load_engine(
        sim.client, sim.store, sim.clock, RiskLimits(), markets=[sim.client.market(TICKER)], fees={},
        new_id=sim.new_id, strategies=(), order_expiry_s=None,
    )  # fmt: skip


@pytest.mark.parametrize(("load", "best"), [(on_paper, cents(40)), (on_the_account, cents(20))])
def test_what_others_bid_is_told_from_our_own(sim: Simulation, load: object, best: int) -> None:
    """We bid 40 for five, and five are bid there."""
    assert callable(load)
    sim.market(39, 44)
    engine = load(sim)
    now = sim.clock.now()
    engine.step(BookSnapshot(now, TICKER, ((cents(40), contracts(5)), (cents(20), contracts(9))), ()))
    verdict = engine.place(Place(TICKER, BID, cents(40), contracts(5)))
    assert isinstance(verdict, SubmitOrder), verdict
    engine.step(OrderAccepted(now, verdict.order.client_order_id, "o1", Qty(0), contracts(5)))
    assert engine.state.best_external_price(TICKER, BID) == best
