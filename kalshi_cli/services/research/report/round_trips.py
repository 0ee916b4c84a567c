"""Round trips: which contracts were opened when, at which price, and their profit when they were closed or settled.

First in, first out. Each contract appears once, so that the gains of all round trips add up to the net of the run, in
total and by market, hour, price or time to close. `pnl` uses average cost: its `realized` can differ while a position
is open, its `net` does not.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts, notional
from kalshi_cli.core.account.pnl import LedgerEntry, sort_by_time
from kalshi_cli.core.model.order_terms import Side, leg_price
from kalshi_cli.core.model.orders import Fill


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True):
    """Contracts that were opened together and closed together.

    `side` is the side of the opening order; `entry` and `exit` are prices of the contract that it bought, YES or NO.
    `exit` is the settlement value after a settlement, the mark of an open position, or None without a mark: then the
    position counts at cost. `fees` are those of both fills, in proportion to the contracts. `position` numbers the
    positions of the market: contracts held together, from the first until none is left, have the same number.
    """

    ticker: str
    position: int
    side: Side
    qty: Qty
    opened: Ts
    closed: Ts | None
    entry: Price
    exit: Price | None
    end: Literal["traded", "settled", "open"]
    fees: Money

    @property
    def gross(self) -> Money:
        """Return the profit before fees."""
        return Money(0) if self.exit is None else notional(Price(self.exit - self.entry), self.qty)

    @property
    def net(self) -> Money:
        """Return the profit after fees."""
        return Money(self.gross - self.fees)

    @property
    def traded_value(self) -> Money:
        """Return the dollars traded: the price paid, and the price received if it was sold."""
        sold = self.exit if self.end == "traded" and self.exit is not None else Price(0)
        return notional(Price(self.entry + sold), self.qty)


class _Lot:
    """Open contracts of one fill."""

    __slots__ = ("fees", "fill", "position", "qty")

    def __init__(self, fill: Fill, qty: int, fees: int, position: int) -> None:
        self.fill, self.qty, self.fees, self.position = fill, qty, fees, position

    def close(
        self, qty: int, price: Price | None, fee: int, end: Literal["traded", "settled", "open"], closed: Ts | None
    ) -> RoundTrip:
        """Take contracts out, at a YES price and with the fee of the closing fill."""
        fill = self.fill
        share = self.fees * qty // self.qty
        self.fees -= share
        self.qty -= qty
        return RoundTrip(
            ticker=fill.ticker,
            position=self.position,
            side=fill.side,
            qty=Qty(qty),
            opened=fill.ts,
            closed=closed,
            entry=leg_price(fill.side, fill.price),
            exit=None if price is None else leg_price(fill.side, price),
            end=end,
            fees=Money(share + fee),
        )


def round_trips(entries: Iterable[LedgerEntry], marks: Mapping[str, Price | None]) -> list[RoundTrip]:
    """Return the round trips of all fills and settlements, with open positions at their marks.

    All fills are of one subaccount, as in a backtest.
    """
    lots: dict[str, deque[_Lot]] = {}
    positions: Counter[str] = Counter()
    found: list[RoundTrip] = []
    for entry in sort_by_time(entries):
        held = lots.setdefault(entry.ticker, deque())
        if not isinstance(entry, Fill):
            found += [lot.close(lot.qty, entry.value, 0, "settled", entry.ts) for lot in held]
            held.clear()
            continue
        left, fees = int(entry.qty), int(entry.fee)
        while left and held and held[0].fill.side is not entry.side:
            lot = held[0]
            qty = min(left, lot.qty)
            share = fees * qty // left
            found.append(lot.close(qty, entry.price, share, "traded", entry.ts))
            left, fees = left - qty, fees - share
            if not lot.qty:
                held.popleft()
        if left:
            positions[entry.ticker] += not held
            held.append(_Lot(entry, left, fees, positions[entry.ticker]))
    for ticker, held in lots.items():
        found += [lot.close(lot.qty, marks.get(ticker), 0, "open", None) for lot in held]
    return found
