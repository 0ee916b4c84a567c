"""Closed markets: what remains of a market's history once nothing in it can change.

A market is closed if no position of any strategy is left, no order is live, no fill is missing, and its last booking is
older than `FINAL_MS`. Then its result by strategy is enough: the entries stay in the state file and are read again only
if a late booking reopens the market.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.account.pnl import build_ledger, group_by, total
from kalshi_cli.core.account.realized_edge import MarketEdge, bets_of, market_edges
from kalshi_cli.core.account.strategy_positions import UNOWNED_STRATEGY, StrategyPositions
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement

FINAL_MS = 2 * 86_400_000
"""The age of a market's last booking from which it may be closed: longer than any trading day, in any zone, and than
the overlap of any account read."""


class StrategyResult(msgspec.Struct, frozen=True):
    """The result of a strategy in closed markets, in its own ledger; without a name, of manual trades.

    `realized` is before fees; `wins` and `losses` count as in `ProfitAndLoss`.
    """

    strategy: str
    realized: Money
    fees: Money
    wins: int = 0
    losses: int = 0


class ClosedTotals(msgspec.Struct, frozen=True):
    """The statistics of a closed market over the whole account, so that no report needs its entries.

    `first` and `last` are the times of its entries. `wins` and `losses` count as in `ProfitAndLoss`; `bets`, `earned`
    and `deviation` are those of `MarketEdge`.
    """

    event_ticker: str
    first: Ts
    last: Ts
    wins: int
    losses: int
    bets: int = 0
    earned: float = 0.0
    deviation: float = 0.0


class ClosedMarket(msgspec.Struct, frozen=True):
    """The history of a closed market, to reopen it: its entries, the orders of its fills, and its results."""

    orders: tuple[Order, ...]
    entries: tuple[Fill | Settlement, ...]
    results: tuple[StrategyResult, ...]


class FillOwners:
    """The strategies of fills, by the orders that they name."""

    def __init__(self, orders: Iterable[Order]) -> None:
        self._strategies: dict[str, str] = {}
        for order in sorted(orders, key=lambda order: (order.is_foreign, order.created), reverse=True):
            for name in filter(None, (order.client_order_id, order.order_id)):
                self._strategies[name] = order.strategy

    def strategy(self, fill: Fill) -> str:
        """Return the strategy of a fill; "" without one, or if its order is unknown."""
        found = self._strategies.get(fill.client_order_id) if fill.client_order_id else None
        return found if found is not None else self._strategies.get(fill.order_id, UNOWNED_STRATEGY)


def closing_totals(entries: Sequence[Fill | Settlement], orders: Sequence[Order]) -> ClosedTotals:
    """Return the statistics of one market, which has entries and is not open."""
    paid = [entry for entry in entries if isinstance(entry, Settlement)]
    whole = total(group_by(entries, {}, lambda ticker, _: ticker).values())
    fairs = {order.order_id: order.fair for order in orders if order.order_id and order.fair is not None}
    bets = bets_of((entry for entry in entries if isinstance(entry, Fill)), fairs)
    values, events = ({one.ticker: one.value for one in paid}, {one.ticker: one.event_ticker for one in paid})
    edge = next(market_edges(bets, values, events), MarketEdge("", 0, 0.0, 0.0))
    return ClosedTotals(
        event_ticker=paid[-1].event_ticker if paid else entries[0].ticker,
        first=min(entry.ts for entry in entries),
        last=max(entry.ts for entry in entries),
        wins=whole.wins,
        losses=whole.losses,
        bets=edge.fills,
        earned=edge.earned,
        deviation=edge.deviation,
    )


def closing_results(entries: Sequence[Fill | Settlement], orders: Sequence[Order]) -> tuple[StrategyResult, ...] | None:
    """Return the results of one market by strategy; None if it is still open.

    `orders` are the orders of its fills. Every strategy has its own ledger, as in `pnl --by strategy`.
    """
    owners = FillOwners(orders)
    traded = Counter[str]()
    for fill in entries:
        if isinstance(fill, Fill):
            traded[fill.order_id] += fill.qty
    if any(order.status.is_live or order.filled > traded[order.order_id] for order in orders):
        return None
    names = {owners.strategy(entry) for entry in entries if isinstance(entry, Fill)} or {UNOWNED_STRATEGY}
    results = []
    for name in sorted(names):
        own = [entry for entry in entries if isinstance(entry, Settlement) or owners.strategy(entry) == name]
        if any(position.qty for position in build_ledger(own).positions.values()):
            return None
        part = total(group_by(own, {}, lambda ticker, _: ticker).values())
        results.append(StrategyResult(name, part.realized, part.fees, part.wins, part.losses))
    is_flat = StrategyPositions(build_ledger(entries).entries, owners.strategy).is_flat
    return tuple(results) if is_flat else None
