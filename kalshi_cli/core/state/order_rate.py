"""The orders and amends of the last minute, for the order rate limit."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.orders import Order

AN_ORDER, AN_AMEND_IN_PLACE = 10, 1
"""The weight of a request, in tenths of an order."""

MINUTE_MS = 60_000

AHEAD_MS = 5_000
"""An entry further than this in the future is from before the clock was set back."""


class SentOrder(NamedTuple):
    """A request that counts against the order rate."""

    ts: Ts
    ticker: str
    strategy: str = ""
    tenths: int = AN_ORDER
    is_exempt: bool = False
    """The order was sent regardless of the rate, so it counts only against its own strategy."""
    client_order_id: str = ""
    """The id of a new order, which may be released; empty for an amend."""

    @classmethod
    def of(cls, order: Order) -> SentOrder:
        """Return the entry of a stored order. The program that placed it checked it against the rate."""
        return cls(order.created, order.ticker, order.strategy, AN_ORDER, order.reduce_only, order.client_order_id)


class SentOrders:
    """Requests in the order in which they were sent; each is dropped after a minute."""

    def __init__(self) -> None:
        self._entries: deque[SentOrder] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, sent: SentOrder, now: Ts) -> None:
        """Count a request that was sent or is about to be sent."""
        self._entries.append(sent)
        self._forget(now)

    def take_back(self, order: Order) -> None:
        """Stop counting an order that was not sent."""
        found = next((sent for sent in self._entries if sent.client_order_id == order.client_order_id), None)
        if found is not None:
            self._entries.remove(found)

    def by_strategy(self, now: Ts, ticker: str | None, asked_by: str) -> Counter[str]:
        """Return tenths of orders by strategy, in one market or in all.

        The empty name stands for the user and other programs. Exempt orders count only for `asked_by`.
        """
        self._forget(now)
        counts: Counter[str] = Counter()
        for sent in self._entries:
            if ticker in (None, sent.ticker) and (not sent.is_exempt or sent.strategy == asked_by):
                counts[sent.strategy] += sent.tenths
        return counts

    def _forget(self, now: Ts) -> None:
        if self._entries and self._entries[0].ts - now > AHEAD_MS:
            self._entries = deque(sent._replace(ts=min(sent.ts, now)) for sent in self._entries)
        while self._entries and self._entries[0].ts <= now - MINUTE_MS:
            self._entries.popleft()
