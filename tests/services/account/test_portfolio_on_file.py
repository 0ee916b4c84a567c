"""A report from the state file and what is newer on the exchange equals one that reads all from the exchange."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.simulation import OTHER, TICKER, Simulation

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account import portfolio
from kalshi_cli.services.account.portfolio import KEYS, Portfolio, group_pnl
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.store.records import ALL_TIME, NEVER

OPTIONS = ExchangeOptions(read_rate=0, write_rate=0, clock_past_ms=10**12, subaccounts_need_advanced=False)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulation]:
    """A market that settled nine days ago, all of it on file, and a position of today, which is not on file."""
    one = Simulation(tmp_path, options=OPTIONS)
    one.exchange.set_close_time(OTHER, Ts(one.clock.now() + 99 * 86_400_000), one.clock.now())
    for ticker in (TICKER, OTHER):
        one.market(40, 44, ticker=ticker)
        one.place(ticker=ticker, price=cents(44), qty=contracts(10))
        one.place(ticker=ticker, price=cents(40), qty=contracts(4), action="sell")
    one.clock.advance(7_200)
    one.exchange.settle(TICKER, cents(100), one.clock.now())
    read(one)
    one.clock.advance(9 * 86_400)
    one.exchange.advance(one.clock.now())
    one.market(60, 62, ticker=OTHER)
    one.place(ticker=OTHER, price=cents(62), qty=contracts(1))
    read(one)
    one.store.close_markets(one.clock.now(), 9)
    assert one.store.closed_market(TICKER) is not None
    one.place(ticker=OTHER, price=cents(62), qty=contracts(2))
    yield one
    one.close()


def read(sim: Simulation) -> None:
    load_engine(sim.client, sim.store, sim.clock, RiskLimits(), markets=(), fees={}, new_id=sim.new_id)


def parts(found: Portfolio, sim: Simulation, by: str, since: Ts | None) -> dict[str, object]:
    strategies = {order.order_id: order.strategy for order in sim.store.orders()}

    def strategy_of(fill: Fill) -> str:
        return strategies.get(fill.order_id, "")

    return dict(
        group_pnl(
            found, by, since=since, zone=ZoneInfo("UTC"), now=sim.clock.now(), strategy_of=strategy_of,
            event_of=lambda ticker: ticker.rpartition("-")[0], series_of=lambda ticker: ticker.partition("-")[0],
        )
    )  # fmt: skip


@pytest.mark.parametrize("by", KEYS)
@pytest.mark.parametrize("days", [None, 3, 30])
def test_every_group_is_the_same(sim: Simulation, by: str, days: int | None) -> None:
    since = None if days is None else Ts(sim.clock.now() - days * 86_400_000)
    start = since if since is not None else ALL_TIME if by in ("day", "month") else NEVER
    found = portfolio.read(sim.client, sim.store, start, by_market=by in ("market", "event", "series"))
    whole = portfolio.read(sim.client)
    assert parts(found, sim, by, since) == parts(whole, sim, by, since)
    assert found.open_positions == whole.open_positions
    assert found.marks == whole.marks
    assert found.drifting == whole.drifting == []


def test_only_newer_bookings_are_read_from_the_exchange(sim: Simulation) -> None:
    asked: list[str] = []
    sim.wire.before = lambda request: asked.append(str(request.url))
    found = portfolio.read(sim.client, sim.store)
    (fills,) = [url for url in asked if "/portfolio/fills" in url]
    assert "min_ts=" in fills
    assert not [url for url in asked if "/historical/" in url]
    assert {fill.ticker for fill in found.fills} == {OTHER}


def test_without_bookings_on_file_everything_is_read(sim: Simulation, tmp_path: Path) -> None:
    other = Simulation(tmp_path / "other", options=OPTIONS)
    assert portfolio.read(sim.client, other.store).ledger.positions == portfolio.read(sim.client).ledger.positions
    other.close()


def test_a_file_that_does_not_explain_the_positions_is_not_used(sim: Simulation) -> None:
    whole = portfolio.read(sim.client)
    with sim.store._database.writing(durable=True) as execute:
        execute("DELETE FROM fills WHERE ticker = ? AND ts = (SELECT MIN(ts) FROM fills)", (OTHER,))
        execute("DELETE FROM fills WHERE trade_id = (SELECT MIN(trade_id) FROM fills WHERE ticker = ?)", (OTHER,))
    found = portfolio.read(sim.client, sim.store)
    assert found.ledger.positions == whole.ledger.positions
    assert found.drifting == []
