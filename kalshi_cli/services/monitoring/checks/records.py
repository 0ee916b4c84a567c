"""Orders on file held against the exchange's own records of them: what a false reply left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from kalshi_cli.base.errors import NotFoundError
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.order_check import Resting, differing
from kalshi_cli.services.monitoring.checks.readings import CheckData
from kalshi_cli.store.sqlite_store import Store

READ = ("as of", "resting", "records")
"""What is read for it, to be forgotten before a second look."""

LATELY_MS = 86_400_000
"""Orders that changed so lately are held against their fills."""

MOST = 20
"""Orders whose records one run asks for, the newest first; it says how many more there are."""

Records = tuple[tuple[Resting, ...], tuple[Order, ...], int]
"""Records with what is on file of them; orders on file of which there is no record; how many were not looked up."""


def false_on_file(readings: CheckData) -> list[Breach]:
    """Return the orders that are on file otherwise than at the exchange. Both checks that tell of it read it once."""
    store = readings.store
    if store is None:
        return []
    as_of = readings.once("as of", lambda: readings.account.user_data_timestamp())
    records, absent, more = readings.once("records", lambda: _records(readings, store))
    return differing(records, absent, as_of) + _not_compared(more)


def _not_compared(more: int) -> list[Breach]:
    """A warning, so that it must show in both looks, and does not make the first one stand."""
    if not more:
        return []
    value = f"{pluralize(more, 'more order')} on file not compared with the exchange"
    return [
        Breach(
            subject="orders on file", value=value, limit=str(MOST), severity="warning", code="COULD_NOT_LOOK",
            unit="orders a run",
        )
    ]  # fmt: skip


def on_file(store: Store | None, order: Order) -> Order | None:
    """Return what is on file of an order that the exchange lists."""
    if store is None:
        return None
    return store.order(order.order_id) or (store.order(order.client_order_id) if order.client_order_id else None)


def _records(readings: CheckData, store: Store) -> Records:
    """What rests, and what the file says rests or filled and neither the list nor its fills bear out."""
    records = [Resting(order, _own_first(store, order)) for order in readings.resting]
    shown = {each.known.client_order_id for each in records if each.known is not None}
    absent = []
    unexplained = _unexplained(store, Ts(readings.clock.now() - LATELY_MS), shown)
    for known in unexplained[:MOST]:
        try:
            record = readings.account.order(known.order_id)
        except NotFoundError:
            absent.append(known)
            continue
        is_same = record.client_order_id in ("", known.client_order_id)
        records += [Resting(record, known)] if is_same else []
        absent += [] if is_same else [known]
    return tuple(records), tuple(absent), len(unexplained[MOST:])


def _own_first(store: Store, order: Order) -> Order | None:
    """Under a false id an order of ours and the same one, met as a stranger's, can both be on file."""
    named = store.order(order.client_order_id) if order.client_order_id else None
    return named if named is not None and not named.is_foreign else on_file(store, order)


def _unexplained(store: Store, since: Ts, shown: Set[str]) -> list[Order]:
    """Return own orders that are live or filled on file, and that neither the list (`shown`) nor fills bear out."""
    traded: Counter[str] = Counter()
    for fill in store.fills():
        traded[fill.order_id] += fill.qty
    filled = (order for order in store.orders(since) if order.filled > traded[order.order_id])
    found = {order.order_id: order for order in (*store.live_orders(), *filled)}
    own = [order for order_id, order in found.items() if order_id and not order.is_foreign]
    unseen = [order for order in own if order.client_order_id not in shown]
    return sorted(unseen, key=lambda order: order.updated, reverse=True)
