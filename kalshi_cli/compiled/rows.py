"""Book changes as rows of an array: a tape is a list of rows and of the messages between them, in the feed's order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.compiled.loop import place
from kalshi_cli.core.model.messages import BookDelta, Message
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.recorded import ChangeRows

ROW = np.dtype(
    [("ts", "i8"), ("delta", "i8"), ("market", "i4"), ("price", "i4"), ("side", "i1"), ("has_more", "i1")], align=True
)
"""A change: milliseconds, hundredths of a contract, the market's number in `tickers`, the YES price in ten-thousandths
of a dollar, 0 for bids and 1 for asks, and whether another change of the same time and market follows."""

MAX_ROWS = 65_536
"""The most changes that are collected before they are replayed, so that memory stays flat over any tape."""

_SIDES = (BID, ASK)


class BookRows(ChangeRows):
    """Changes of books that no other message interrupts."""

    __slots__ = ("recv_ms", "rows", "tickers")

    def __init__(
        self, rows: np.ndarray[Any, Any], tickers: Sequence[str], recv_ms: np.ndarray[Any, Any] | None = None
    ) -> None:
        self.rows = rows
        self.tickers = tickers
        self.recv_ms = rows["ts"] if recv_ms is None else recv_ms

    def delta(self, number: int) -> BookDelta:
        """Return a row as the message that it was."""
        ts, delta, market, price, side, has_more = self.rows[number].item()
        return BookDelta(Ts(ts), self.tickers[market], _SIDES[side], Price(price), Qty(delta), bool(has_more))

    @property
    def ts(self) -> Ts:
        return Ts(int(self.rows[0]["ts"]))

    @property
    def last_ts(self) -> Ts:
        return Ts(int(self.rows[-1]["ts"]))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[BookDelta]:
        return map(self.delta, range(len(self.rows)))

    def received(self, position: int) -> Ts:
        return Ts(int(self.recv_ms[position]))

    def cut(self, start: int, stop: int) -> Self:
        return type(self)(self.rows[start:stop], self.tickers, self.recv_ms[start:stop])

    def count_before(self, ts: Ts) -> int:
        return bisect_left(self.rows["ts"], ts)

    def off_step(self, step: Price) -> list[tuple[int, str, Price]]:
        prices = self.rows["price"]
        positions = np.flatnonzero(prices % step)
        first: dict[tuple[int, int], int] = {}
        markets = self.rows["market"][positions].tolist()
        for at, market, price in zip(positions.tolist(), markets, prices[positions].tolist(), strict=True):
            first.setdefault((market, price), at)
        return [(at, self.tickers[market], Price(price)) for (market, price), at in first.items()]

    def place(self, after: Ts, limit: int) -> tuple[int, int]:
        first, last = place(self.rows, after, limit, np.full(len(self.tickers), -1, np.int64))
        return first, last


TapeItem = BookRows | Message


def pack(feed: Iterable[TapeItem], tickers: list[str] | None = None) -> Iterator[TapeItem]:
    """Yield a feed with its book changes as rows; rows and the other messages stay as they are.

    `tickers` numbers the markets and grows; a list of the same feed can be replayed any number of times.
    """
    names: list[str] = [] if tickers is None else tickers
    codes = {ticker: code for code, ticker in enumerate(names)}
    held: list[tuple[int, int, int, int, bool, bool]] = []
    for message in feed:
        if isinstance(message, BookDelta):
            code = codes.get(message.ticker)
            if code is None:
                code = codes[message.ticker] = len(names)
                names.append(message.ticker)
            held.append((message.ts, message.delta, code, message.price, message.side is ASK, message.has_more))
            if len(held) < MAX_ROWS:
                continue
        if held:
            yield BookRows(np.array(held, ROW), names)
            held = []
        if not isinstance(message, BookDelta):
            yield message
    if held:
        yield BookRows(np.array(held, ROW), names)


def from_columns(
    tickers: Sequence[str],
    recv_ms: np.ndarray[Any, Any],
    ts: np.ndarray[Any, Any],
    market: np.ndarray[Any, Any],
    side: np.ndarray[Any, Any],
    price: np.ndarray[Any, Any],
    delta: np.ndarray[Any, Any],
) -> BookRows:
    """Return rows of columns with the units of `ROW`. No row says yet that another one follows: `place` does."""
    rows = np.zeros(len(ts), ROW)
    for name, column in (("ts", ts), ("market", market), ("side", side), ("price", price), ("delta", delta)):
        rows[name] = column
    return BookRows(rows, tickers, recv_ms)
