"""A paper account: fills are simulated against the real order books, or against recorded ones in a backtest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Money
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import StrategyProtocol
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import MarketChange
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.services.account.recovery import MAX_CLOSED, restore_engine
from kalshi_cli.services.runner import process_messages
from kalshi_cli.simulator.paper.venue import PaperVenue
from kalshi_cli.store.sqlite_store import Store


def load_paper(
    store: Store,
    clock: Clock,
    limits: RiskLimits,
    *,
    cash: Money,
    markets: Sequence[Market],
    fees: Mapping[str, FeeSchedule],
    new_id: Callable[[], str],
    strategies: Sequence[StrategyProtocol],
    references: Mapping[str, str],
    families: Mapping[str, Family] | None = None,
    order_expiry_s: float | None,
    resync: Callable[[str], None] = lambda _ticker: None,
) -> tuple[TradingEngine, PaperVenue]:
    """Return the engine and venue as the last paper run left them; orders that it left live are ended.

    `cash` is the starting cash of the paper account.
    """
    store.close_markets(clock.now(), MAX_CLOSED)
    memory = store.load()
    venue = PaperVenue(
        cash=cash,
        fees=lambda ticker: fees.get(ticker, FeeSchedule()),
        new_id=new_id,
        fills=memory.fills,
        settlements=memory.settlements,
        stale=memory.orders,
        resync=resync,
    )
    for result in memory.closed:
        venue.ledger.carry(result.realized, result.fees)
    state = EngineState(
        markets=markets,
        fees=fees,
        references=references,
        families=families,
        are_own_in_books=False,
        now=clock.now(),
    )
    engine = restore_engine(
        memory,
        state,
        limits,
        strategies,
        new_id=new_id,
        order_expiry_s=order_expiry_s,
        closed=store.closed_market,
    )
    for market in markets:
        venue.observe(MarketChange(state.now, market))
    process_messages([venue.snapshot(state.now)], engine, venue, store)
    return engine, venue
