"""Candles of each market by the minute, the hour and the New York day.

A period ends at a whole minute or hour, or at midnight in New York (recorded in January 2026: 04:00 or 05:00 UTC), and
includes its end. Only periods with activity are stored, a bounded number of each length. The quotes do not change in
between, so the remaining candles follow from the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Self

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.matching.order_book import MatchingBook
from kalshi_cli.simulator.model.calendar import DAY, HOUR, MINUTE, local, moment
from kalshi_cli.simulator.model.records import BookChange, Happening, MarketRecord, TradeRecord

KEPT = {1: 2_880, 60: 2_160, 1440: 1_100}
"""Stored periods by length in minutes: two days, ninety days, three years. The journal overwrites the oldest."""


class Ohlc(msgspec.Struct):
    """The open, low, high and close of a price."""

    open: Price
    low: Price
    high: Price
    close: Price

    @classmethod
    def at(cls, price: Price) -> Self:
        """Return an interval that starts at a price."""
        return cls(price, price, price, price)

    def add(self, price: Price) -> None:
        """Include a price."""
        self.low, self.high, self.close = min(self.low, price), max(self.high, price), price


class BarRecord(msgspec.Struct, kw_only=True):
    """A period of a market; `interval` is in minutes.

    An empty bid side is 0 and an empty ask side a dollar, as on the wire. `paid` is price times contracts of all
    trades.
    """

    ticker: str
    interval: int
    end: Ts
    bid: Ohlc
    ask: Ohlc
    price: Ohlc | None = None
    paid: Money = Money(0)
    volume: Qty = Qty(0)
    previous: Price | None = None
    open_interest: Qty = Qty(0)

    @property
    def number(self) -> int:
        """Return the sort key of the bar in the journal."""
        return self.end

    @property
    def last(self) -> Price | None:
        """Return the last trade price up to the end of the period."""
        return self.price.close if self.price is not None else self.previous

    def after(self, end: Ts) -> BarRecord:
        """Return a later period without activity."""
        return BarRecord(
            ticker=self.ticker,
            interval=self.interval,
            end=end,
            bid=Ohlc.at(self.bid.close),
            ask=Ohlc.at(self.ask.close),
            previous=self.last,
            open_interest=self.open_interest,
        )


class CandleBuilder:
    """The candles of all markets. `touch` and `forget` write to the journal."""

    def __init__(self, touch: Callable[[str, msgspec.Struct], None], forget: Callable[[str], None]) -> None:
        self._touch = touch
        self._forget = forget
        self._bars: dict[str, dict[int, dict[Ts, BarRecord]]] = {}
        self._seen: dict[str, tuple[Price, Price, int]] = {}

    def observe(
        self, happened: Sequence[Happening], books: dict[str, MatchingBook], markets: dict[str, MarketRecord]
    ) -> None:
        """Update the candles from what just happened, with the books after it.

        The removal of the book of a closed market adds no candle.
        """
        moments: dict[str, Ts] = {}
        prints: dict[str, list[TradeRecord]] = {}
        for happening in happened:
            if isinstance(happening, TradeRecord):
                prints.setdefault(happening.ticker, []).append(happening)
            if isinstance(happening, BookChange | TradeRecord):
                moments[happening.ticker] = happening.ts
        for ticker, now in moments.items():
            if ticker not in markets:
                continue
            traded, seen = prints.get(ticker, ()), (*_top(books[ticker]), now // MINUTE)
            if traded or self._seen.get(ticker) != seen:  # most changes of a book do not change its best prices
                self._seen[ticker] = seen
                self._add(ticker, now, books[ticker], traded, markets[ticker].open_interest)

    def _add(self, ticker: str, now: Ts, book: MatchingBook, traded: Sequence[TradeRecord], open_interest: Qty) -> None:
        bid, ask = _top(book)
        for interval in KEPT:
            bar = self._current(ticker, interval, now, book)
            bar.bid.add(bid)
            bar.ask.add(ask)
            for trade in traded:
                _print(bar, trade)
            bar.open_interest = open_interest
            self._touch(_key(bar), bar)

    def take(self, bar: BarRecord) -> None:
        """Add a bar from the journal, which yields the oldest first."""
        self._bars.setdefault(bar.ticker, {}).setdefault(bar.interval, {})[bar.end] = bar

    def drop(self, ticker: str) -> None:
        """Forget a market."""
        self._seen.pop(ticker, None)
        for bars in self._bars.pop(ticker, {}).values():
            for bar in bars.values():
                self._forget(_key(bar))

    # -- reading --

    def between(
        self, ticker: str, interval: int, start: Ts, end: Ts, until: Ts, *, is_sparse: bool
    ) -> Iterator[BarRecord]:
        """Yield the periods that end from `start` to `end`, oldest first; none begins after `until`.

        With `is_sparse` only periods with activity are included.
        """
        known = self._bars.get(ticker, {}).get(interval, {})
        last: BarRecord | None = None
        for bar in known.values():
            if last is not None and not is_sparse:
                yield from _flat(last, start, min(end, Ts(bar.end - 1)))
            if start <= bar.end <= end:
                yield bar
            last = bar
        if last is not None and not is_sparse:
            yield from _flat(last, start, min(end, period_end(until, interval)))

    def before(self, ticker: str, interval: int, start: Ts) -> BarRecord | None:
        """Return the newest period with activity that ends before `start`."""
        found = None
        for bar in self._bars.get(ticker, {}).get(interval, {}).values():
            if bar.end >= start:
                break
            found = bar
        return found

    # -- parts --

    def _current(self, ticker: str, interval: int, now: Ts, book: MatchingBook) -> BarRecord:
        bars = self._bars.setdefault(ticker, {}).setdefault(interval, {})
        last = bars[next(reversed(bars))] if bars else None
        end = period_end(now, interval)
        if last is not None and last.end >= end:
            return last
        if last is not None:
            bar = last.after(end)
        else:
            bid, ask = _top(book)
            bar = BarRecord(ticker=ticker, interval=interval, end=end, bid=Ohlc.at(bid), ask=Ohlc.at(ask))
        bars[end] = bar
        if len(bars) > KEPT[interval]:
            oldest = bars.pop(next(iter(bars)))
            if _key(oldest) != _key(bar):
                self._forget(_key(oldest))
        return bar


def period_end(ts: Ts, interval: int) -> Ts:
    """Return the end of the period that includes `ts`."""
    if interval < 1440:
        length = MINUTE if interval == 1 else HOUR
        return Ts(-(-ts // length) * length)
    day = local(ts - 1).date()
    # Return the next day, also for a day of 23 or 25 hours.
    return moment(local(moment(day, 0) + DAY + 2 * HOUR).date(), 0)


def _flat(last: BarRecord, start: Ts, until: Ts) -> Iterator[BarRecord]:
    """Yield the empty periods after `last` that end from `start` to `until`."""
    end = period_end(Ts(max(last.end + 1, start)), last.interval)
    while end <= until:
        yield last.after(end)
        end = period_end(Ts(end + 1), last.interval)


def _top(book: MatchingBook) -> tuple[Price, Price]:
    bid, ask = book.top(BID), book.top(ASK)
    return bid[0] if bid else Price(0), ask[0] if ask else ONE_DOLLAR


def _print(bar: BarRecord, trade: TradeRecord) -> None:
    if bar.price is None:
        bar.price = Ohlc.at(trade.price)
    bar.price.add(trade.price)
    bar.paid = Money(bar.paid + notional(trade.price, trade.qty))
    bar.volume = Qty(bar.volume + trade.qty)


def _key(bar: BarRecord) -> str:
    """Return the journal key; the keys of each length form a ring."""
    length = bar.interval * MINUTE
    return f"bar/{bar.interval}/{bar.end // length % KEPT[bar.interval]}/{bar.ticker}"
