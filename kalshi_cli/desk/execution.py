"""How well orders were carried out, from the state file; nothing is asked of the exchange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.account.execution_quality import Execution, Sent, Traded, Trend, match, parts, sum_up, trend
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.store.sqlite_store import Store


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Of orders that were decided on since a moment: the whole, its parts, and the last ones against those before.

    An order is `in_time` where it traded within `within_ms` of its decision.
    """

    since: Ts
    within_ms: int
    whole: Execution
    parts: dict[str, Execution]
    trend: Trend


def begun(store: Store | None, since: Ts) -> list[Order]:
    """Return the orders that were decided on since then."""
    return [order for order in store.orders(since) if order.created >= since] if store is not None else []


def read(store: Store | None, since: Ts) -> tuple[list[Sent], list[Traded]]:
    """Own orders that were decided on since then, and their fills, as far as they are booked."""
    return carried_out(store, begun(store, since), since)


def carried_out(store: Store | None, orders: Sequence[Order], since: Ts) -> tuple[list[Sent], list[Traded]]:
    """Return what became of these orders, which were decided on since then."""
    return match(orders, store.fills(since), store.placements()) if store is not None else ([], [])


def executed(store: Store | None, by: str, *, since: Ts, within_ms: int, now: Ts, zone: ZoneInfo) -> Report:
    """By strategy, market or day of the decision."""
    keys: dict[str, Callable[[Order], str]] = {
        "strategy": lambda order: order.strategy or "(none)",
        "market": lambda order: order.ticker,
        "day": lambda order: day_of(order.created, zone),
    }
    sent, traded = read(store, since)
    return Report(
        since=since,
        within_ms=within_ms,
        whole=sum_up(sent, traded, now, within_ms),
        parts=parts(sent, traded, keys[by], now, within_ms),
        trend=trend(sent, traded, now, within_ms),
    )
