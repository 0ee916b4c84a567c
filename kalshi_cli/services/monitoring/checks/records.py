"""Comparison of saved orders with the exchange's records, to find the effects of wrong replies."""

from __future__ import annotations

from collections.abc import Set

from kalshi_cli.base.errors import NotFoundError
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring.check_report import Breach, warning
from kalshi_cli.core.monitoring.order_check import Resting, differing
from kalshi_cli.services.monitoring.checks.readings import CheckData
from kalshi_cli.store.sqlite_store import Store

READ = ("as of", "resting", "records")
"""Names of the reads to drop before a second read."""

LATELY_MS = 86_400_000
"""Age up to which changed orders are compared with their fills."""

MOST = 20
"""Orders that one run looks up on the exchange, newest first; the report counts the rest."""

Records = tuple[tuple[Resting, ...], tuple[Order, ...], int]
"""Records with the saved orders; saved orders without a record; the number of orders not looked up."""


def false_on_file(readings: CheckData) -> list[Breach]:
    """Return breaches for saved orders that differ from the exchange's records. Two checks share one read."""
    store = readings.store
    if store is None:
        return []
    as_of = readings.once("as of", lambda: readings.account.user_data_timestamp())
    records, absent, more = readings.once("records", lambda: _records(readings, store))
    return differing(records, absent, as_of) + _not_compared(more)


def _not_compared(more: int) -> list[Breach]:
    """Return a warning for orders not looked up; as a warning it must occur in both reads."""
    if not more:
        return []
    value = f"{pluralize(more, 'more saved order')} not compared with the exchange"
    return [warning("COULD_NOT_LOOK", "orders on file", value, str(MOST), "orders per run")]


def on_file(store: Store | None, order: Order) -> Order | None:
    """Return the saved order for an order that the exchange lists."""
    if store is None:
        return None
    return store.order(order.order_id) or (store.order(order.client_order_id) if order.client_order_id else None)


def _records(readings: CheckData, store: Store) -> Records:
    """Return the listed orders, and the records of saved orders that the list and the fills do not confirm."""
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
    """Return the saved own order, if any: after a reply with a wrong id the same order may be saved as external too."""
    named = store.order(order.client_order_id) if order.client_order_id else None
    return named if named is not None and not named.is_foreign else on_file(store, order)


def _unexplained(store: Store, since: Ts, shown: Set[str]) -> list[Order]:
    """Return own orders saved as live or filled that neither the list (`shown`) nor the fills confirm."""
    traded = store.history.traded(since)
    filled = (order for order in store.orders(since) if order.filled > traded.get(order.order_id, 0))
    found = {order.order_id: order for order in (*store.live_orders(), *filled)}
    own = [order for order_id, order in found.items() if order_id and not order.is_foreign]
    unseen = [order for order in own if order.client_order_id not in shown]
    return sorted(unseen, key=lambda order: order.updated, reverse=True)
