"""Market data messages: they update the state, and strategies are called when a reliable book changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from kalshi_cli.core.engine.book_validity import BookWatch
from kalshi_cli.core.engine.strategy_runner import StrategyRunner
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.effects import AlertRaised, Effect
from kalshi_cli.core.model.markets import ENDED
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.risk.guards import Guards
from kalshi_cli.core.state.state import EngineState


@dataclass(eq=False, repr=False)
class MarketUpdates:
    """Handlers of all messages about neither our orders nor the account. `reactions` maps message types to them."""

    state: EngineState
    book_watch: BookWatch
    hooks: StrategyRunner
    guards: Guards
    look_at_exits: Callable[[str], list[Effect]]

    def __post_init__(self) -> None:
        self.reactions: dict[type[Message], Callable[[Any], list[Effect]]] = {
            messages.BookDelta: self._on_delta,
            messages.WaitingChanges: self._on_waiting,
            messages.GroupEnd: self._on_group_end,
            messages.BookChanged: self._on_changed,
            messages.BookSnapshot: self._on_snapshot,
            messages.Quote: self._on_quote,
            messages.PublicTrade: partial(self.hooks.ask_all, "on_trade"),
            messages.ReferencePrice: self._on_reference,
            messages.SpotPrice: self._on_spot,
            messages.SpotUnavailable: self._on_spot_lost,
            messages.FairValue: self._on_fair,
            messages.NewsSignal: partial(self.hooks.ask_all, "on_signal"),
            messages.FeedGap: self._on_gap,
            messages.FeedState: self._on_feed_state,
            messages.MarketChange: self._on_market,
            messages.MarksUpdate: self._on_valued,
            messages.MarketLocks: self._on_locks,
        }

    def _on_delta(self, message: messages.BookDelta) -> list[Effect]:
        state = self.state
        state.feed_ts = message.ts
        if state.waiting_changes:
            self._take_waiting(message.ticker)
        book = state.books.get(message.ticker)
        if book is None or not book.is_usable:
            return []
        book.apply(message.side, message.price, message.delta, message.ts)
        if self.book_watch.differing:
            self.book_watch.moved(message.ticker, message.side, message.price)
        return [] if message.has_more else self._decide(book, is_end=not message.may_continue)

    def _on_waiting(self, message: messages.WaitingChanges) -> list[Effect]:
        self.state.waiting_changes = dict(message.counts)
        return []

    def _take_waiting(self, ticker: str) -> None:
        """Count a change that waited as applied; the one after the last of its market did not wait."""
        left = self.state.waiting_changes.pop(ticker, 0) - 1
        if left > 0:
            self.state.waiting_changes[ticker] = left

    def _on_group_end(self, message: messages.GroupEnd) -> list[Effect]:
        effects: list[Effect] = []
        for ticker in message.tickers:
            book = self.state.books.get(ticker)
            if book is not None and book.is_decidable:
                effects += self.hooks.on_book(book)
        return effects

    def _on_changed(self, message: messages.BookChanged) -> list[Effect]:
        self.state.feed_ts = message.ts
        return self._decide(self.state.books[message.ticker])

    def _on_snapshot(self, message: messages.BookSnapshot) -> list[Effect]:
        self.state.feed_ts = message.ts
        self._take_waiting(message.ticker)
        book = self.state.books.get(message.ticker)
        if book is None:
            return []
        self.state.keep_prices(book, is_lost=not (message.bids or message.asks))
        book.load(message.bids, message.asks, message.ts)
        self.book_watch.crossed.pop(message.ticker, None)
        return self._decide(book)

    def _decide(self, book: OrderBook, *, is_end: bool = True) -> list[Effect]:
        """Check the exits after a change of a reliable book, and call the strategies at the end of a group."""
        if not book.is_decidable:
            return self.book_watch.check_changed_book(book)
        if self.book_watch.crossed:
            self.book_watch.crossed.pop(book.ticker, None)
        exits = self.look_at_exits(book.ticker)
        effects = self.hooks.on_book(book) if is_end else []
        return exits + effects if exits else effects

    def _on_quote(self, message: messages.Quote) -> list[Effect]:
        if message.ticker in self.state.books:
            self.state.quotes[message.ticker] = message
            market = self.state.markets[message.ticker]
            if message.last not in (None, market.last):  # a position without a bid is valued by it, as `pnl` does
                self.state.markets[message.ticker] = msgspec.structs.replace(market, last=message.last)
        return []

    def _on_reference(self, message: messages.ReferencePrice) -> list[Effect]:
        self.state.indexes[message.index] = message
        return []

    def _on_spot(self, message: messages.SpotPrice) -> list[Effect]:
        self.state.spots[message.symbol] = message
        return self.hooks.ask_all("on_spot", message)

    def _on_spot_lost(self, message: messages.SpotUnavailable) -> list[Effect]:
        self.state.spots.pop(message.symbol, None)
        return []

    def _on_fair(self, message: messages.FairValue) -> list[Effect]:
        self.state.fairs[message.ticker] = message
        return self.hooks.ask_all("on_fair", message)

    def _on_gap(self, message: messages.FeedGap) -> list[Effect]:
        if not message.tickers:
            self.state.waiting_changes = {}  # the feed discards them
        for ticker in message.tickers or tuple(self.state.books):
            if ticker in self.state.books:
                self.state.keep_prices(self.state.books[ticker])
                self.state.books[ticker].invalidate(message.reason)
        return []

    def _on_feed_state(self, message: messages.FeedState) -> list[Effect]:
        self.state.is_feed_live = message.is_live
        if message.is_live:
            self.state.feed_ts = message.ts
            return []
        return [AlertRaised(message.ts, "warning", "FEED_DOWN", "stream", message.reason)]

    def _on_market(self, message: messages.MarketChange) -> list[Effect]:
        market = message.market
        known = self.state.books.get(market.ticker)
        if known is not None and market.status in ENDED:
            self.state.keep_prices(known)
        self.state.markets[market.ticker] = market
        if message.fees is not None:
            self.state.fees[market.ticker] = message.fees
        if message.family is not None:
            self.state.families[market.event_ticker] = message.family
        self.state.exposures.refresh((market.ticker,))
        if market.ticker not in self.state.books:
            self.state.books[market.ticker] = self.state.new_book(market.ticker)
        self.hooks.forget(market.ticker)
        return self.guards.loss()

    def _on_locks(self, message: messages.MarketLocks) -> list[Effect]:
        self.state.locks = dict(message.until)
        return []

    def _on_valued(self, message: messages.MarksUpdate) -> list[Effect]:
        self.state.valued.update({market.ticker: market for market in message.markets})
        self.state.exposures.refresh(market.ticker for market in message.markets)
        return self.guards.loss()
