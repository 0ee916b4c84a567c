"""A period of a recording: what came before it in short, then its messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from kalshi_cli.base.units import Ts, format_ts, is_within
from kalshi_cli.core.market.order_book import OrderBook, follow
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import BookSnapshot, FeedState, MarketChange, Message
from kalshi_cli.core.model.order_terms import ASK, BID


class TapePeriod:
    """Cuts the messages of a recording to the times from `since` to before `until`.

    The first messages, at `since`, are the connection, the markets and the order books as they were then. Trades,
    tickers, gaps and external inputs before `since` are left out. A book that was unusable at `since` has no snapshot,
    so its market is not traded before its next one. A period cuts one feed.
    """

    def __init__(self, since: Ts | None, until: Ts | None) -> None:
        self.since = Ts(0) if since is None else since
        self.until = until
        self.has_messages = False
        """True after the first message between `since` and `until`."""
        self.markets: dict[str, Market] = {}
        """The markets that were passed on, as they were last."""
        self._first: Ts | None = None
        self._last: Ts | None = None
        self._next: Ts | None = None
        self._state: FeedState | None = None
        self._changes: dict[str, MarketChange] = {}
        self._books: dict[str, OrderBook] = {}

    def has(self, ts: Ts) -> bool:
        """Return whether a time belongs to the period."""
        return is_within(ts, self.since, self.until)

    def of(self, messages: Iterable[Message], move_to: Callable[[Ts], None]) -> Iterator[Message]:
        """Yield the messages of the period, and first the state at its start. `move_to` gets each earlier time."""
        for message in messages:
            if message.ts < self.since:
                self._first = self._first or message.ts
                self._last = message.ts
                self._keep(message)
                move_to(message.ts)
                continue
            if self.until is not None and message.ts >= self.until:
                self._next = message.ts
                return
            if not self.has_messages:
                self.has_messages = True
                yield from map(self._passed, self._in_short())
            yield self._passed(message)

    def missing(self) -> str:
        """Return in words where the recording is, if it has no message of the period."""
        if self._last is not None and self._next is not None:
            return f"nothing came between {format_ts(self._last)} and {format_ts(self._next)}"
        if self._next is not None:
            return f"it begins {format_ts(self._next)}"
        if self._first is None or self._last is None:
            return "it has no message"
        return f"it covers {format_ts(self._first)} to {format_ts(self._last)}"

    def __str__(self) -> str:
        """Return the times in words."""
        parts = [f"from {format_ts(self.since)}"] if self.since else []
        return " ".join(parts if self.until is None else [*parts, f"to before {format_ts(self.until)}"])

    def _passed(self, message: Message) -> Message:
        if isinstance(message, MarketChange):
            self.markets[message.market.ticker] = message.market
        return message

    def _keep(self, message: Message) -> None:
        """Keep what is still true at the start of the period."""
        follow(self._books, message)
        if isinstance(message, MarketChange):
            known = self._changes.get(message.market.ticker, message)
            self._changes[message.market.ticker] = msgspec.structs.replace(
                message, fees=message.fees or known.fees, family=message.family or known.family
            )
        elif isinstance(message, FeedState):
            self._state = message

    def _in_short(self) -> Iterator[Message]:
        if self._state is not None:
            yield msgspec.structs.replace(self._state, ts=self.since)
        for change in self._changes.values():
            if change.market.close_time <= self.since:
                continue  # The replay has closed it: its close was due before this message.
            yield msgspec.structs.replace(change, ts=self.since)
        for ticker, book in sorted(self._books.items()):
            if book.is_usable:
                yield BookSnapshot(self.since, ticker, tuple(book.levels(BID)), tuple(book.levels(ASK)))
        self._changes, self._books = {}, {}
