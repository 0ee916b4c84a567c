"""An account older than the live tier adds up: every fill counts, also of subaccounts, also where an engine begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.simulation import DAY_MS, OTHER, T0, TICKER, Simulation

from kalshi_cli.base.units import Money, Ts, cents, contracts, dollars
from kalshi_cli.core.account.pnl import group_by, total
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account import portfolio
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.simulator.model.listing import ExchangeOptions, NewOrder
from kalshi_cli.store.sqlite_store import Store

OPTIONS = ExchangeOptions(
    read_rate=0, write_rate=0, clock_past_ms=10**12, history_after_ms=20 * DAY_MS, subaccounts_need_advanced=False
)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulation]:
    """A market that paid out at a loss, and an open position that was sold in part; all of it forty days ago."""
    one = Simulation(tmp_path, options=OPTIONS)
    one.exchange.set_close_time(OTHER, Ts(T0 + 99 * DAY_MS), T0)
    for ticker in (TICKER, OTHER):
        one.market(40, 44, ticker=ticker)
        one.place(ticker=ticker, price=cents(44), qty=contracts(10))
        one.place(ticker=ticker, price=cents(40), qty=contracts(4), action="sell")
    one.clock.advance(7_200)
    one.exchange.settle(TICKER, cents(0), one.clock.now())
    one.clock.advance(40 * 86_400)
    one.exchange.advance(one.clock.now())
    one.market(60, 62, ticker=OTHER)
    yield one
    one.close()


def test_profit_and_loss_of_an_old_account_is_what_its_balance_says(sim: Simulation) -> None:
    found = portfolio.read(sim.client)
    net = total(group_by(found.entries, found.marks, lambda ticker, _: ticker).values()).net
    worth = 6 * cents(60) * 100
    assert net == sim.exchange.cash("alice") + worth - dollars(10_000)
    assert found.drifting == []
    assert [held.qty for held in found.open_positions] == [contracts(6)]


def test_from_the_live_tier_alone_it_would_not_add_up(sim: Simulation) -> None:
    assert list(sim.client.fills()) == []
    assert len(portfolio.read(sim.client).fills) == 4


def test_an_engine_that_begins_on_an_old_account_knows_its_positions(sim: Simulation, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "fresh.db", account="alice", environment="sim")
    engine = load_engine(
        sim.client,
        store,
        sim.clock,
        RiskLimits(),
        markets=[sim.client.market(OTHER)],
        fees={},
        new_id=sim.new_id,
    )
    assert engine.state.ledger.position(OTHER).qty == contracts(6)
    assert engine.state.ledger.position(OTHER).realized != Money(0)
    store.close()


def test_what_subaccounts_hold_counts_where_their_fills_do(sim: Simulation) -> None:
    number = sim.client.create_subaccount()
    sim.client.transfer_to_subaccount(
        dollars(100), client_transfer_id=sim.new_id(), from_subaccount=0, to_subaccount=number
    )
    order = NewOrder(ticker=OTHER, side=BID, price=cents(62), qty=contracts(3), subaccount=number)
    sim.exchange.submit("alice", order, sim.clock.now())
    found = portfolio.read(sim.client)
    assert [(held.subaccount, held.qty) for held in found.open_positions] == [(0, contracts(6)), (number, contracts(3))]
    assert found.stated[number, OTHER].position == contracts(3)
    assert found.drifting == []
    assert [held.position for held in sim.client.positions()] == [contracts(6)]
