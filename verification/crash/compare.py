"""Compare two ledgers after a crash: the program's state file and the exchange's own records."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from support.served import KEY_ID, ME

from kalshi_cli.base.units import Money
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.simulator.model.records import CANCELED, EXECUTED, RESTING, OrderRecord
from kalshi_cli.store.records import RecoveredState
from kalshi_cli.store.sqlite_store import Store
from verification.crash.stage import EXPIRY_S, MARKETS, Stage

_ENDED = {
    OrderStatus.RESTING: RESTING, OrderStatus.FILLED: EXECUTED,
    OrderStatus.CANCELED: CANCELED, OrderStatus.EXPIRED: CANCELED,
}  # fmt: skip
IN_DOUBT = (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN)


def remembered(path: Path) -> RecoveredState:
    """What the file holds, all of it."""
    with Store.open(path, account=KEY_ID, environment="sim", create=False) as store:
        return RecoveredState(
            orders=store.orders(), fills=store.fills(), settlements=store.settlements(), halt=store.halt()
        )


def is_whole(path: Path) -> list[str]:
    """Whether the file is, right after the kill and before anybody repairs anything."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchone()[0]
        return [] if found == "ok" else [f"file: {found}"]


def their_orders(stage: Stage) -> dict[str, list[OrderRecord]]:
    """Every order of the account the exchange ever took, by client order id."""
    mirror = stage.exchange._state.members[ME].mirror
    assert mirror is not None
    found: dict[str, list[OrderRecord]] = {}
    for order in mirror.at(stage.now).orders.values():
        found.setdefault(order.client_order_id, []).append(order)
    return found


def bounded(stage: Stage) -> list[str]:
    """Rule B: what a killed loop left behind dies by itself, soon."""
    latest = stage.now + int(EXPIRY_S * 1000) + 1_000
    live = [order for order in stage.exchange._state.live.values() if order.account == ME]
    return [
        f"rule B: {order.client_order_id} rests until {order.expires}"
        for order in live
        if order.expires is None or order.expires > latest
    ]


def first(stage: Stage, path: Path) -> list[str]:
    """After the first restart: nothing lost, nothing doubled; what is in doubt is not on the exchange."""
    problems, theirs = _once(stage), their_orders(stage)
    ours = {order.client_order_id: order for order in remembered(path).orders}
    problems += [f"lost: {name} is on the exchange and not on file" for name in theirs if name not in ours]
    for name, order in ours.items():
        if order.status in IN_DOUBT and name in theirs:
            problems.append(f"in doubt after a restart: {name}, and the exchange has it")
    return problems


def whole(stage: Stage, path: Path) -> list[str]:
    """After the wait and the last restart: every intent ended, and both ledgers are one."""
    problems, theirs, memory = _once(stage), their_orders(stage), remembered(path)
    ours = {order.client_order_id: order for order in memory.orders}
    problems += [f"lost: {name} is on the exchange and not on file" for name in theirs if name not in ours]
    problems += [f"foreign: {order.order_id} is not known as ours" for order in memory.orders if order.is_foreign]
    for name, order in ours.items():
        problems += _differences(order, theirs[name][0] if name in theirs else None)
    return problems + _books(stage, memory) + is_whole(path)


def _once(stage: Stage) -> list[str]:
    problems = [f"doubled: {name} is {len(each)} orders" for name, each in their_orders(stage).items() if len(each) > 1]
    return problems + [f"sent twice: {name}, {times} times" for name, times in stage.created.items() if times > 1]


def _differences(ours: Order, theirs: OrderRecord | None) -> list[str]:
    name = ours.client_order_id
    if ours.status in IN_DOUBT:
        return [f"not ended: {name} is {ours.status.value}; the exchange has {theirs.status if theirs else 'nothing'}"]
    if theirs is None:
        known = ours.status in (OrderStatus.NEVER_ARRIVED, OrderStatus.REJECTED)
        return [] if known else [f"imagined: {name} is {ours.status.value} and not on the exchange"]
    if _ENDED.get(ours.status) != theirs.status or ours.filled != theirs.filled:
        return [f"differs: {name} {ours.status.value} {ours.filled}, theirs {theirs.status} {theirs.filled}"]
    return []


def _books(stage: Stage, memory: RecoveredState) -> list[str]:
    """Fills by their id, then what follows from them: positions and cash."""
    mirror = stage.exchange._state.members[ME].mirror
    assert mirror is not None
    theirs, ours = (sorted((fill.trade_id, fill.order_id) for fill in fills) for fills in (mirror.fills, memory.fills))
    problems = [] if theirs == ours else [f"fills: {len(ours)} booked, the exchange has {len(theirs)}"]
    ledger = build_ledger((*memory.fills, *memory.settlements))
    for ticker in MARKETS:
        held, there = ledger.position(ticker).qty, stage.exchange.position(ME, ticker)
        problems += [] if held == there else [f"position: {ticker} {held}, the exchange has {there}"]
    cash, really = Money(stage.start_cash + ledger.cash), stage.exchange.cash(ME)
    return problems + ([] if cash == really else [f"cash: {cash}, the exchange has {really}"])
