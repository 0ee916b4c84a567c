"""Checks of order books: impossible books, books that a REST read contradicts, and orders without a book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kalshi_cli.base.units import Price, Ts, show_price, show_qty
from kalshi_cli.core.market.order_book import OrderBook, PriceLevel
from kalshi_cli.core.model.effects import AlertRaised, Effect, ResyncBook
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import BookVerification, Level
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState

CROSSED_MS = 1_000
"""How long a book may look crossed. The deltas of one matching event share a `ts` and may cross in between (recorded
May 2026); a book that is still crossed a second later is wrong."""

FIRST_PAUSE_MS, MAX_PAUSE_MS = 1_000, 60_000
"""The wait after a snapshot request until the next one if the book is still wrong; it doubles each time."""

FORGET_MS = 60_000
"""A book that was reliable for this long is trusted again; the next problem raises a new alert."""


ACCOUNT_AGE_MS = 10_000
"""The oldest account read that counts as recent. A run reads the account every eight seconds, at the next tick."""

MAX_NAMED = 5
"""The most markets without a book that a message names."""

MAX_LEVELS = 100
"""The most levels per side that are compared with a REST read, the best first."""


class _Doubt:
    """The retry schedule of an unreliable book."""

    __slots__ = ("again_at", "last", "pause_ms")

    def __init__(self, now: Ts) -> None:
        self.last = now
        self.pause_ms = FIRST_PAUSE_MS
        self.again_at = now + FIRST_PAUSE_MS


class _Spot(NamedTuple):
    """A compared value: the best price of a side, or the level at a price."""

    side: Side
    price: Price | None = None


class _Pair(NamedTuple):
    """A compared value in the local book and in the exchange's REST read."""

    ours: PriceLevel | None
    theirs: PriceLevel | None


class BookWatch:
    """A watch that detects unreliable books, requests snapshots at growing intervals, and raises one alert each."""

    def __init__(self, state: EngineState, limits: RiskLimits) -> None:
        self._state = state
        self._limits = limits
        self.crossed: dict[str, Ts] = {}
        """Books that look crossed, and the time since when."""
        self._doubts: dict[str, _Doubt] = {}
        self.differing: dict[str, dict[_Spot, _Pair]] = {}
        """The differences from the last REST read that nothing has explained since."""
        self._blind: dict[str, Ts] = {}

    def check_changed_book(self, book: OrderBook) -> list[Effect]:
        """Handle a changed book that is unusable or crossed."""
        if not book.is_usable:
            return self._distrust(book, "BOOK_IMPOSSIBLE", book.unusable_reason)
        if book.ts - self.crossed.setdefault(book.ticker, book.ts) <= CROSSED_MS:
            return []
        return self._cross(book)

    def _cross(self, book: OrderBook) -> list[Effect]:
        views = f"the local order book is crossed: bid {_shown(book.bid)}, ask {_shown(book.ask)}"
        book.invalidate("crossed")
        return self._distrust(book, "BOOK_IMPOSSIBLE", views)

    def check(self, message: BookVerification) -> list[Effect]:
        """Compare a book with a REST read.

        A book is contradicted if the same value differs in two successive reads without changing locally in between. A
        value that changed may differ only because the read took time.
        """
        book = self._state.books.get(message.ticker)
        before = self.differing.pop(message.ticker, {})
        if book is None or not book.is_usable:
            return []
        pairs = _pairs(BID, book, message.bids) | _pairs(ASK, book, message.asks)
        differing = {spot: pair for spot, pair in pairs.items() if pair.ours != pair.theirs}
        wrong = {spot: pair for spot, pair in differing.items() if spot in before and before[spot].ours == pair.ours}
        if not wrong:
            if differing:
                self.differing[message.ticker] = differing
            return []
        told: dict[Side, str] = {}  # the first of each side is its best, if that differs
        for (side, _), (ours, theirs) in wrong.items():
            told.setdefault(side, f"{side.value} {_shown(ours)} on the stream, {_shown(theirs)} by REST")
        book.invalidate("a REST read contradicts it")
        return self._distrust(book, "BOOK_DISPUTED", "; ".join(told.values()))

    def moved(self, ticker: str, side: Side, price: Price) -> None:
        """Drop a difference at a level that changed after the read: the read was only earlier or later."""
        spots = self.differing.get(ticker)
        if spots:
            spots.pop(_Spot(side, price), None)

    def _distrust(self, book: OrderBook, code: str, views: str) -> list[Effect]:
        now, doubt = self._state.now, self._doubts.get(book.ticker)
        self.crossed.pop(book.ticker, None)
        if doubt is not None and now - doubt.last <= FORGET_MS:
            doubt.last = now
            return []  # a snapshot is already requested, and an alert was raised
        self._doubts[book.ticker] = _Doubt(now)
        quote = self._state.quotes.get(book.ticker)
        if quote is not None and code == "BOOK_IMPOSSIBLE":
            views += f"; the ticker channel last reported {show_price(quote.bid)} and {show_price(quote.ask)}"
        return [ResyncBook(book.ticker, book.unusable_reason), AlertRaised(now, "warning", code, book.ticker, views)]

    def tick(self) -> list[Effect]:
        """Request snapshots again for wrong books, and check crossed books that do not change."""
        now, effects = self._state.now, list[Effect]()
        for ticker, since in list(self.crossed.items()):
            if now - since > CROSSED_MS:
                del self.crossed[ticker]
                book = self._state.books[ticker]
                effects += self._cross(book) if book.is_crossed else []
        for ticker, doubt in list(self._doubts.items()):
            book = self._state.books[ticker]
            if now - doubt.last > max(FORGET_MS, 2 * doubt.pause_ms):
                del self._doubts[ticker]
            elif not book.is_usable and not doubt.again_at - doubt.pause_ms <= now < doubt.again_at:
                doubt.pause_ms = min(2 * doubt.pause_ms, MAX_PAUSE_MS)
                doubt.last, doubt.again_at = now, now + doubt.pause_ms
                effects.append(ResyncBook(ticker, book.unusable_reason))
        return effects

    def orders_to_cancel(self) -> list[tuple[Order, str]]:
        """Return the orders of strategies that must not rest: their book is unreliable, or their market is closing."""
        state, limit = self._state, self._limits.max_book_age_ms
        blind, found = dict[str, Ts](), list[tuple[Order, str]]()
        for order in state.orders.live():
            ticker, market = order.ticker, state.markets.get(order.ticker)
            if not order.strategy:
                continue
            if market is not None and state.now >= market.close_time - self._limits.close_margin_ms:
                found.append((order, "the market is closing"))
            age = state.book_age_ms(ticker)
            if limit is None or (age is not None and age <= limit):
                continue
            blind[ticker] = min(state.now, self._blind.get(ticker, state.now))
            if age is not None or state.now - blind[ticker] > limit:
                found.append((order, "no reliable order book"))
        self._blind = blind
        return found


def markets_without_book(state: EngineState) -> str:
    """Return the open markets without a reliable book and the reasons; empty if there are none."""
    found = [
        f"{ticker}: {book.unusable_reason}"
        for ticker, book in state.books.items()
        if not book.is_usable and (market := state.markets.get(ticker)) and market.status is MarketStatus.ACTIVE
    ]
    more = f"; and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return "; ".join(found[:MAX_NAMED]) + more


def can_trade(state: EngineState, now: Ts, max_book_age_ms: int | None) -> bool:
    """Return whether the account was read recently and the book of an open market, if there is one, is fresh."""
    is_read = state.account_read is not None and abs(now - state.account_read) <= ACCOUNT_AGE_MS
    ages = [
        state.book_age_ms(ticker)
        for ticker in state.books
        if (market := state.markets.get(ticker)) and market.status is MarketStatus.ACTIVE
    ]
    is_fed = any(age is not None and (max_book_age_ms is None or age <= max_book_age_ms) for age in ages)
    return is_read and state.blind_since is None and (is_fed or not ages)


def _pairs(side: Side, book: OrderBook, read: Sequence[Level]) -> dict[_Spot, _Pair]:
    """Return the best price of a side and each level down to the end of the shallower view."""
    views = [PriceLevel(*level) for level in book.levels(side, MAX_LEVELS)]
    reads = [PriceLevel(*level) for level in sorted(read, reverse=side is BID)[:MAX_LEVELS]]
    pairs = {_Spot(side): _Pair(views[0] if views else None, reads[0] if reads else None)}
    if views and reads:
        ours, theirs = {at.price: at for at in views}, {at.price: at for at in reads}
        pick = max if side is BID else min
        last = pick(views[-1].price, reads[-1].price)
        for price in sorted(ours.keys() | theirs.keys(), reverse=side is BID):
            if pick(price, last) == price:
                pairs[_Spot(side, price)] = _Pair(ours.get(price), theirs.get(price))
    return pairs


def _shown(quoted: PriceLevel | None) -> str:
    return "nothing" if quoted is None else f"{show_qty(quoted.qty)} at {show_price(quoted.price)}"
