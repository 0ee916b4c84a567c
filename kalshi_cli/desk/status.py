"""What runs on this account and how it is doing, as the state file tells it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kalshi_cli.core.model import OrderStatus
from kalshi_cli.core.pnl import fold
from kalshi_cli.store.base import NO_HALT, Cycle, Halt, Store
from kalshi_cli.store.halt_file import beside
from kalshi_cli.store.lock import holder
from kalshi_cli.units import Ts


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`pid` is that of the process that holds the account's lock now; `cycle` the last completed one of any run."""

    env: str
    trading_day: str
    pid: int | None
    is_running: bool
    halt: Halt
    cycle: Cycle | None
    open_positions: int
    unknown_orders: int
    blind_since: Ts | None
    """The running loop cannot read the account since then; None where it can, or where none runs."""


def read_status(home: Path, store: Store | None, env: str, trading_day: str) -> Status:
    """Of one state directory. Without a state file nothing ever ran here, but it may be paused."""
    who = holder(home / "trade.lock")
    cycle = store.last_cycle() if store is not None else None
    ledger = fold((*store.fills(), *store.settlements())) if store is not None else fold(())
    live = store.live_orders() if store is not None else ()
    halt = store.halt() if store is not None else beside(home) or NO_HALT
    return Status(
        env=env,
        trading_day=trading_day,
        pid=who.pid if who is not None else None,
        is_running=who is not None,
        halt=halt,
        cycle=cycle,
        open_positions=sum(1 for position in ledger.positions.values() if position.qty),
        unknown_orders=sum(1 for order in live if order.status is OrderStatus.UNKNOWN),
        blind_since=_blind_since(store, cycle) if store is not None and cycle is not None and who is not None else None,
    )


def _blind_since(store: Store, cycle: Cycle) -> Ts | None:
    """When the account was last seen, if the newest alert of this run about it says that it is not."""
    about = (alert for alert in store.alerts(cycle.started) if alert.code in ("BLIND", "SIGHTED"))
    newest = next(about, None)
    return newest.ts if newest is not None and newest.code == "BLIND" else None
