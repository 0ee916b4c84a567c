"""A paper position whose market settled between two runs is paid at the start of the next run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from support.simulation import OTHER, T0, TICKER, Simulation

from kalshi_cli.base.units import ONE_DOLLAR, Money, Ts, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import FillBooked
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.paper_account import load_paper, markets_held


def bought(sim: Simulation, ticker: str, side: Side, price: int) -> None:
    """An earlier paper run bought three contracts, with a fee of two cents each."""
    fill = Fill(
        trade_id=f"t-{ticker}", order_id=f"o-{ticker}", ticker=ticker, side=side, price=cents(price), qty=contracts(3),
        fee=Money(60_000), is_taker=True, ts=Ts(T0 + 1),
    )  # fmt: skip
    sim.store.record(FillBooked(fill))


def started(sim: Simulation, *traded: str) -> TradingEngine:
    engine, venue = load_paper(
        sim.store, sim.clock, RiskLimits(), cash=dollars(100), markets=[sim.client.market(each) for each in traded],
        fees={}, new_id=sim.new_id, strategies=(), references={}, order_expiry_s=None,
        read_held=partial(markets_held, sim.client, tell=sim.said.append), tell=sim.said.append,
    )  # fmt: skip
    assert venue.cash == engine.cash
    return engine


def test_the_next_run_of_another_market_pays_the_settled_ones(sim: Simulation) -> None:
    bought(sim, TICKER, BID, 60)
    bought(sim, OTHER, ASK, 70)
    sim.clock.advance(3600)
    sim.exchange.settle(TICKER, ONE_DOLLAR, sim.clock.now())
    sim.exchange.settle(OTHER, cents(0), sim.clock.now())
    sim.clock.advance(7200)  # the settlement timer of the exchange
    sim.exchange.advance(sim.clock.now())
    engine = started(sim)
    assert engine.cash == dollars(100) - cents(1) * 100 * (180 + 90 + 12) + dollars(6)
    assert [each.qty for each in engine.state.ledger.positions.values() if each.qty] == []
    assert [settled.ticker for settled in sim.store.load().settlements] == [OTHER, TICKER]
    assert sorted(sim.said) == [
        f"Settled since the last paper run: {OTHER} no, paid $3.00",
        f"Settled since the last paper run: {TICKER} yes, paid $3.00",
    ]
    assert engine.tally.win_rate is None, "it is no trade of this run"
    sim.said.clear()
    assert started(sim).cash == engine.cash, "and it is paid once"
    assert sim.said == []


def test_a_run_of_the_settled_market_itself_pays_it(sim: Simulation) -> None:
    bought(sim, TICKER, BID, 60)
    sim.exchange.settle(TICKER, cents(0), sim.clock.now())
    engine = started(sim, TICKER)
    assert engine.cash == dollars(100) - Money(1_860_000)
    assert sim.said == [f"Settled since the last paper run: {TICKER} no, paid $0.00"]


def test_a_market_that_still_trades_stays_open(sim: Simulation) -> None:
    bought(sim, TICKER, BID, 60)
    engine = started(sim, OTHER)
    assert [(each.ticker, each.qty) for each in engine.state.ledger.positions.values()] == [(TICKER, contracts(3))]
    assert sim.said == []


def test_a_market_that_the_list_lacks_is_looked_up_and_an_unknown_one_named(sim: Simulation) -> None:
    asked: list[Sequence[str]] = []

    class Listing:
        def markets(self, tickers: Sequence[str]) -> list[Market]:
            asked.append(tickers)
            return []

        market = staticmethod(sim.client.market)

    found = markets_held(Listing(), [TICKER, "KXGONE-1"], sim.said.append)  # type: ignore[arg-type]
    assert [market.ticker for market in found] == [TICKER]
    assert asked == [[TICKER, "KXGONE-1"]]
    assert sim.said == ["Warning: the exchange does not know KXGONE-1 any more; its paper position stays open"]
