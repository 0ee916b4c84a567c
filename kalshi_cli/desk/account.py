"""The account as the exchange has it, brought together with what we remember: one path for start-up and repair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from kalshi_cli.clock import Clock
from kalshi_cli.core.engine import Engine
from kalshi_cli.core.hooks import Strategy
from kalshi_cli.core.messages import AccountSnapshot
from kalshi_cli.core.model import FeeSchedule, Market, Order, OrderStatus
from kalshi_cli.core.pnl import in_order
from kalshi_cli.core.state import Limits, State
from kalshi_cli.core.stats import Tally
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.venue import account_snapshot
from kalshi_cli.store.base import Memory, Notebook
from kalshi_cli.units import Ts

OVERLAP_MS = 3_600_000
"""Fills are read again from this long before the last one booked; they are booked once by their trade id."""


def load_engine(
    client: KalshiClient,
    store: Notebook,
    clock: Clock,
    limits: Limits,
    *,
    markets: Iterable[Market],
    fees: Mapping[str, FeeSchedule],
    new_id: Callable[[], str],
    strategies: Sequence[Strategy] = (),
    references: Mapping[str, str] | None = None,
    order_expiry_s: float | None = None,
) -> Engine:
    """An engine that remembers everything and agrees with the exchange: load, reconcile, repair."""
    engine = restore(
        store.load(),
        State(markets=markets, fees=fees, references=references, now=clock.now()),
        limits,
        strategies,
        new_id=new_id,
        order_expiry_s=order_expiry_s,
    )
    read_account(client, store, clock, engine)
    engine.tally = Tally()  # what was missed while nobody ran is not this run's doing
    return engine


def restore(
    memory: Memory,
    state: State,
    limits: Limits,
    strategies: Sequence[Strategy],
    *,
    new_id: Callable[[], str],
    order_expiry_s: float | None,
) -> Engine:
    """The engine as the state file left it."""
    engine = Engine(state, limits, strategies, new_id=new_id, order_expiry_s=order_expiry_s)
    engine.recall(memory.orders, in_order((*memory.fills, *memory.settlements)))
    state.trading = memory.halt.state
    return engine


def read_account(
    client: KalshiClient,
    store: Notebook,
    clock: Clock,
    engine: Engine,
    *,
    since: Ts | None = None,
    lookup: Sequence[Order] = (),
) -> AccountSnapshot:
    """Read the whole account and repair what differs; every repair is written down."""
    start = since if since is not None else Ts(max(0, engine.state.last_entry - OVERLAP_MS))
    orders = [*engine.state.orders.live(), *lookup]
    snapshot = account_snapshot(client, clock, since=start, live=orders)
    for effect in engine.step(snapshot):
        store.record(effect)
    return snapshot


def reconcile_unknown(
    client: KalshiClient, store: Notebook, clock: Clock, limits: Limits, new_id: Callable[[], str]
) -> tuple[list[Order], list[Order]]:
    """Orders that were in doubt and are known now, and those that still are not. One fresh, complete read."""
    memory = store.load()
    doubtful = [order for order in memory.orders if order.status in _IN_DOUBT]
    state = State(now=clock.now())
    engine = restore(memory, state, limits, (), new_id=new_id, order_expiry_s=None)
    read_account(client, store, clock, engine)
    found = (state.orders.get(old.client_order_id) or state.orders.by_order_id(old.order_id) for old in doubtful)
    orders = [order for order in found if order is not None]
    return (
        [order for order in orders if order.status not in _IN_DOUBT],
        [order for order in orders if order.status in _IN_DOUBT],
    )


_IN_DOUBT = frozenset({OrderStatus.UNKNOWN, OrderStatus.SUBMITTED})
