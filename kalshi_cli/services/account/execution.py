"""Execution quality of orders, read from the state file alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from kalshi_cli.base.units import Ts
from kalshi_cli.core.account.execution_quality import (
    ExecutionQuality,
    FillSample,
    PlacementSample,
    match,
    parts,
    summarize,
    trend,
)
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.execution import ExecutionRow, ExecutionView
from kalshi_cli.views.formats import SignedMoney


def begun(store: Store | None, since: Ts) -> list[Order]:
    """Return the orders that were decided on since then."""
    return [order for order in store.orders(since) if order.created >= since] if store is not None else []


def read(store: Store | None, since: Ts) -> tuple[list[PlacementSample], list[FillSample]]:
    """Return own orders that were decided on since then, and their booked fills."""
    return carried_out(store, begun(store, since), since)


def carried_out(
    store: Store | None, orders: Sequence[Order], since: Ts
) -> tuple[list[PlacementSample], list[FillSample]]:
    """Return the placement and the fills of these orders, which were decided on since then."""
    if store is None:
        return [], []
    return match(orders, store.fills(since), store.history.placements(order.client_order_id for order in orders))


def median_placement_ms(store: Store, since: Ts) -> int | None:
    """Return the median time from sending an order to its response, of orders decided on since then; None without."""
    times = sorted(store.history.placements(order.client_order_id for order in begun(store, since)).values())
    return times[(len(times) - 1) // 2] if times else None


def executed(store: Store | None, by: str, *, since: Ts, within_ms: int, now: Ts, zone: ZoneInfo) -> ExecutionView:
    """Return execution quality by strategy, market or day of the decision, and recent against earlier orders.

    An order is in time where it traded within `within_ms` of its decision.
    """
    keys: dict[str, Callable[[Order], str]] = {
        "strategy": lambda order: order.strategy or "(none)",
        "market": lambda order: order.ticker,
        "day": lambda order: day_of(order.created, zone),
    }
    sent, traded = read(store, since)
    change = trend(sent, traded, now, within_ms)
    return ExecutionView.of(
        _row("all", summarize(sent, traded, now, within_ms)),
        since=since,
        within_s=within_ms / 1000,
        rows=tuple(_row(key, part) for key, part in parts(sent, traded, keys[by], now, within_ms).items()),
        trend=(_row("last", change.recent), _row("before", change.before)),
        worse=tuple(drop.name for drop in change.drops),
    )


def _row(key: str, found: ExecutionQuality) -> ExecutionRow:
    return ExecutionRow.of(
        found,
        key=key,
        timed=len(found.latencies),
        edge_total=SignedMoney(found.kept),
        placement_median_ms=found.placement_ms(50),
        placement_p99_ms=found.placement_ms(99),
    )
