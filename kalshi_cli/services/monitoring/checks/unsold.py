"""Positions of strategies below `risk.stop_loss_pct` while no loop runs to close them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kalshi_cli.base.units import Qty, show_money, show_qty
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.account.strategy_positions import UNOWNED_STRATEGY, StrategyPositions
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.monitoring.check_report import Breach, critical
from kalshi_cli.core.risk.exits import is_spread
from kalshi_cli.core.state.state import mark
from kalshi_cli.services.monitoring.checks.readings import CheckData
from kalshi_cli.store.records import RecoveredState
from kalshi_cli.strategies.registry import BUILT_IN, load


def unclosed_stop_positions(readings: CheckData, read_markets: Callable[[], Sequence[Market]]) -> list[Breach]:
    """Return a breach for each position beyond its stop-loss, by the exchange's best prices (own quotes included)."""
    stop, store, loop = readings.limits.stop_loss_pct, readings.store, readings.loop
    if stop is None or store is None or (loop.is_of_account and loop.who is not None):
        return []
    held = list(_held(readings, store.load()))
    markets = {market.ticker: market for market in read_markets()} if held else {}
    found: list[Breach] = []
    for strategy, position in held:
        market = markets.get(position.ticker)
        if market is not None and market.status is MarketStatus.ACTIVE:
            found += _look(strategy, position, market, stop)
    return found


def _held(readings: CheckData, memory: RecoveredState) -> Iterator[tuple[str, Position]]:
    """Yield the positions by strategy from the state file, if the exchange confirms them."""
    strategies = {order.order_id: order.strategy for order in memory.orders if order.order_id}

    def owner_of(fill: Fill) -> str:
        return strategies.get(fill.order_id, UNOWNED_STRATEGY)

    names = {name for name in strategies.values() if name and not (name in BUILT_IN and load(name).is_hedged)}
    for (subaccount, ticker), stated in readings.positions.items():
        fills = [fill for fill in memory.fills if fill.ticker == ticker]
        shares = StrategyPositions([*fills, *(paid for paid in memory.settlements if paid.ticker == ticker)], owner_of)
        for name in sorted(names):
            qty = shares.of(name, subaccount)
            if qty * stated.position > 0:
                yield name, Position(ticker, qty, shares.cost_of(name, subaccount), subaccount=subaccount)


def _look(strategy: str, position: Position, market: Market, stop: int) -> Iterator[Breach]:
    """Yield a breach by the stop-loss rule of `core/risk/exits.py`."""
    is_long = position.qty > 0
    value = position.value(mark(None, market, position.qty))
    ask = position.value(market.yes_ask if is_long else market.yes_bid)
    if value is None or value * 100 >= position.cost * stop or is_spread(position, value, ask):
        return
    held = f"{show_qty(Qty(abs(position.qty)))} {'YES' if is_long else 'NO'} of {strategy}"
    prices = f"cost {show_money(position.cost)}, current value {show_money(value)}"
    said = f"{held} {prices}; no trading loop is running to close it: kalshi close {position.ticker}"
    yield critical("STOP_LOSS_STUCK", position.ticker, said, f"{stop}% of the cost")
