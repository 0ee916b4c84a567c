"""Book changes as rows of an array: a tape is a list of rows and of the messages between them, in the feed's order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts
from kalshi_cli.core.model.messages import BookDelta, Message
from kalshi_cli.core.model.order_terms import ASK, BID

ROW = np.dtype(
    [("ts", "i8"), ("delta", "i8"), ("market", "i4"), ("price", "i4"), ("side", "i1"), ("has_more", "i1")], align=True
)
"""A change: milliseconds, hundredths of a contract, the market's number in `tickers`, the YES price in ten-thousandths
of a dollar, 0 for bids and 1 for asks, and whether another change of the same time and market follows."""

MAX_ROWS = 65_536
"""The most changes that are collected before they are replayed, so that memory stays flat over any tape."""

_SIDES = (BID, ASK)


class BookRows:
    """Changes of books that no other message interrupts."""

    __slots__ = ("rows", "tickers")

    def __init__(self, rows: np.ndarray[Any, Any], tickers: Sequence[str]) -> None:
        self.rows = rows
        self.tickers = tickers

    def delta(self, number: int) -> BookDelta:
        """Return a row as the message that it was."""
        ts, delta, market, price, side, has_more = self.rows[number].item()
        return BookDelta(Ts(ts), self.tickers[market], _SIDES[side], Price(price), Qty(delta), bool(has_more))


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
    *,
    ts_us: np.ndarray[Any, Any],
    market: np.ndarray[Any, Any],
    side: np.ndarray[Any, Any],
    price: np.ndarray[Any, Any],
    delta: np.ndarray[Any, Any],
    are_no_prices: bool = True,
) -> np.ndarray[Any, Any]:
    """Return rows of columns: microseconds, number in `tickers`, 0 yes or 1 no, price, hundredths of a contract.

    The changes are in the order of the stream, and their times never go back. `are_no_prices`: levels of NO are at
    prices of NO. As in a recording, the changes of a market within one millisecond are one group.
    """
    rows = np.zeros(len(ts_us), ROW)
    rows["ts"] = ts_us // 1000
    if len(rows) and (np.diff(rows["ts"]).min(initial=0) < 0 or not 0 <= market.min() <= market.max() < len(tickers)):
        raise ValueError("book changes must be in the order of time, and name known markets")
    rows["market"], rows["side"], rows["delta"] = market, side, delta
    rows["price"] = np.where((side == 1) & are_no_prices, int(ONE_DOLLAR) - price, price)
    order = np.lexsort((np.arange(len(rows)), rows["market"], rows["ts"]))
    grouped = rows[order]
    is_same = (grouped["ts"][1:] == grouped["ts"][:-1]) & (grouped["market"][1:] == grouped["market"][:-1])
    rows["has_more"][order[:-1]] = is_same
    return rows
