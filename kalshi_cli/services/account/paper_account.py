"""A paper account: fills are simulated against the real order books, or against recorded ones in a backtest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import NotFoundError
from kalshi_cli.base.units import Money, show_money
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import StrategyProtocol
from kalshi_cli.core.engine.tally import RunCounters
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import MarketChange, Settled
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.account.opening import use_opening_marks
from kalshi_cli.services.account.recovery import MAX_CLOSED, restore_engine
from kalshi_cli.services.runner import process_messages
from kalshi_cli.simulator.paper.venue import PaperVenue
from kalshi_cli.store.sqlite_store import Store

PAPER_LATENCY_MS = 150
"""The simulated latency of orders on paper, which is that of a backtest by default."""


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
    client: KalshiClient | None = None,
    resync: Callable[[str], None] = lambda _ticker: None,
    read_held: Callable[[Sequence[str]], Iterable[Market]] = lambda _tickers: (),
    tell: Callable[[str], None] = lambda _text: None,
) -> tuple[TradingEngine, PaperVenue]:
    """Return the engine and venue as the last paper run left them; orders that it left live are ended.

    `cash` is the starting cash of the paper account. `read_held` reads the markets of open positions: those that were
    settled since the last run are paid out, and `tell` gets a line about each. `client` reads the prices at the
    start of the trading day.
    """
    store.close_markets(clock.now(), MAX_CLOSED)
    memory = store.load()
    venue = PaperVenue(
        cash=cash,
        fees=lambda ticker: fees.get(ticker, FeeSchedule()),
        new_id=new_id,
        latency_ms=PAPER_LATENCY_MS,
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
    use_opening_marks(state, client, store)
    held = sorted({position.ticker for position in venue.ledger.positions.values() if position.qty})
    current = {market.ticker: market for market in (*read_held(held), *markets)}
    paid = [reply for market in current.values() for reply in venue.observe(MarketChange(state.now, market))]
    process_messages([*paid, venue.snapshot(state.now)], engine, venue, store)
    for each in (reply.settlement for reply in paid if isinstance(reply, Settled)):
        tell(f"Settled since the last paper run: {each.ticker} {each.result}, paid {show_money(each.revenue)}")
    use_opening_marks(state, None, store)
    engine.tally = RunCounters()  # events from before this run do not count for it
    return engine, venue


def markets_held(client: KalshiClient, tickers: Sequence[str], tell: Callable[[str], None]) -> list[Market]:
    """Return the markets of paper positions, also those that settled months ago; `tell` gets the unknown ones."""
    found: dict[str, Market] = {market.ticker: market for market in client.markets(tickers=tickers)} if tickers else {}
    for ticker in tickers:
        try:
            found[ticker] = found[ticker] if ticker in found else client.market(ticker)
        except NotFoundError:
            tell(f"Warning: the exchange does not know {ticker} any more; its paper position stays open")
    return list(found.values())
