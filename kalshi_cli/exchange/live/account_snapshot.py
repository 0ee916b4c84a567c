"""The account at the exchange: one complete and dated read, which everything else is compared with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.account.order_index import is_id_taken
from kalshi_cli.core.market.order_book import book_without
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import AccountSnapshot, BookSnapshot, MarksUpdate, Message
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.dates import limit_future_times

T = TypeVar("T")

OVERLAP_MS = 60_000
"""How far a read of fills reaches back before the last one; booking is idempotent."""

SETTLED_OVERLAP_MS = 86_400_000
"""The same for settlements: one can become readable long after its own time."""

NEW_MS = 900_000
"""Maximum age of a fill whose unknown order is looked up; a lost file is not rebuilt order by order."""

MARKETS_ONE_BY_ONE = 3
"""Orders of more markets than this are looked up in one list: after a long gap all orders of a loop have ended."""

MAX_ELSEWHERE = 300
"""Markets outside of trading whose prices one read requests."""


def account_snapshot(
    client: KalshiClient,
    clock: Clock,
    *,
    since: Ts,
    live: Iterable[Order] = (),
    known: Callable[[str], Order | None] | None = None,
    within_s: float = math.inf,
) -> AccountSnapshot:
    """Return a complete read of the account, or raise; `live` are the orders that kalshi considers live.

    Those of them that the list of resting orders does not show are looked up among all orders of their market,
    including the historical tier; for many markets, in one list of the whole account. An order found in neither is left
    to the caller: absence proves something only if `as_of` is late enough. Orders of new fills that are not `known` are
    looked up too, because an order that traded at once never rested. `as_of` is requested first, so that every later
    read is at least as new.
    """

    def look_up(missing: dict[str | None, Ts]) -> None:
        if len(missing) > MARKETS_ONE_BY_ONE:
            missing = {None: min(missing.values())}
        for ticker, oldest in missing.items():
            for order in client.all_orders(ticker=ticker, min_ts=Ts(oldest - OVERLAP_MS) if oldest else None):
                orders[order.order_id] = order

    with client.reading_within(within_s):
        as_of = client.user_data_timestamp()
        orders = {order.order_id: order for order in client.orders(status="resting")}
        look_up(_missing(orders.values(), live))
        fills = tuple(client.all_fills(min_ts=since))
        if known is not None:
            new = (fill for fill in fills if fill.ts > as_of - NEW_MS and fill.order_id not in orders)
            look_up(_oldest((fill.ticker, fill.ts) for fill in new if known(fill.order_id) is None))
        settlements = tuple(client.settlements(min_ts=Ts(max(0, since - SETTLED_OVERLAP_MS))))
        now, there = clock.now(), client.max_server_time(clock.monotonic())
        return AccountSnapshot(
            now,
            as_of=as_of,
            since=since,
            orders=tuple(limit_future_times(order, now, there) for order in orders.values()),
            fills=tuple(limit_future_times(fill, now, there) for fill in fills),
            settlements=tuple(limit_future_times(settlement, now, there) for settlement in settlements),
            positions=tuple(client.positions()),
            balance=client.balance(),
        )


def marks_update(client: KalshiClient, clock: Clock, tickers: Sequence[str], own: Iterable[Order]) -> list[Message]:
    """Return current prices of these markets without `own` orders; those beyond the limit are not read."""
    if not tickers:
        return []
    return [MarksUpdate(clock.now(), tuple(external_markets(client, tickers[:MAX_ELSEWHERE], own)))]


def external_markets(client: KalshiClient, tickers: Sequence[str], own: Iterable[Order]) -> list[Market]:
    """Return markets whose best prices leave out own resting orders, which a close cannot trade with.

    The order book is read only where own orders are all that a best price has.
    """
    found = list(client.markets(tickers=tickers)) if tickers else []
    resting = [order for order in own if order.status is OrderStatus.RESTING]
    sizes: Counter[tuple[str, Side, Price]] = Counter()
    for order in resting:
        sizes[order.ticker, order.side, order.price] += order.remaining
    tops = {
        market.ticker: ((BID, market.yes_bid, market.yes_bid_size), (ASK, market.yes_ask, market.yes_ask_size))
        for market in found
    }
    alone = [
        ticker
        for ticker, both in tops.items()
        if any(price is not None and 0 < size <= sizes[ticker, side, price] for side, price, size in both)
    ]
    books = {seen.ticker: seen for seen in client.orderbooks(alone)}
    return [_without(market, books.get(market.ticker), resting) for market in found]


def _without(market: Market, seen: BookSnapshot | None, own: Iterable[Order]) -> Market:
    """Return a market with the best prices that its book has without own orders."""
    if seen is None:
        return market
    bid, bid_size, ask, ask_size = book_without(seen, own).top
    return msgspec.structs.replace(
        market, yes_bid=bid, yes_bid_size=Qty(bid_size), yes_ask=ask, yes_ask_size=Qty(ask_size)
    )


def _missing(resting: Iterable[Order], live: Iterable[Order]) -> dict[str | None, Ts]:
    """Return the markets with live orders that do not rest, each with the creation time of the oldest.

    An order without an exchange id is matched by its client order id; external orders may have none. If the client
    order id was taken already, the order that has it may be of any age.
    """
    ids, client_ids = set(), set()
    for order in resting:
        ids.add(order.order_id)
        client_ids.add(order.client_order_id)
    return _oldest(
        (order.ticker, Ts(0) if is_id_taken(order) else order.created)
        for order in live
        if not (order.order_id in ids if order.order_id else order.client_order_id in client_ids)
    )


def _oldest(found: Iterable[tuple[str, Ts]]) -> dict[str | None, Ts]:
    """Return the earliest time of each market."""
    oldest: dict[str | None, Ts] = {}
    for ticker, ts in found:
        oldest[ticker] = min(ts, oldest.get(ticker, ts))
    return oldest
