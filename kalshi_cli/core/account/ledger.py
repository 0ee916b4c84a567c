"""Fills and settlements in, positions and profit out. The one definition of P&L.

A short position is a holding of NO: it cost one dollar less the price, and is worth one dollar less the mark. Selling
what is held, buying it back and settling are one thing, a sale of the held side. So nothing here has a sign but the
position, and YES and NO are accounted alike.

Each subaccount holds for itself: the exchange nets none of them with another, so neither does anything here. A
settlement does not say whose it is: it ends its market in all of them.

The result depends on what was booked, never on the order or the number of times it was booked: the events of a market
are kept sorted by time, and a late one makes its market be counted again. Times are often equal, because one order that
meets several trades with all of them at once: then the better price for whoever came was met first, and what is left to
tell apart is told by trade id and order id.

Money is exact. With average cost, a partial sale takes its share of the cost rounded down to a micro-dollar, and the
remainder stays with what is left; the sum of both never changes, and nothing is left once the position is flat.

Fees are kept apart: `net = realized + unrealized - fees`. A settlement's own fee field is not booked: it repeats the
sum of the trade fees (recorded 2026-08), and yes/no settlement is free.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Mapping
from operator import itemgetter
from typing import Literal

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement


class Position(msgspec.Struct, frozen=True):
    """What one subaccount holds in a market: `qty` plus for YES, minus for NO; `cost` what that cost, never below
    zero, no fees.
    """

    ticker: str
    qty: Qty = Qty(0)
    cost: Money = Money(0)
    realized: Money = Money(0)
    fees: Money = Money(0)
    subaccount: int = 0

    @property
    def average_price(self) -> Price | None:
        """Cost per contract in the price of the side held (a NO price for a short), to the nearest; None when flat."""
        held = abs(self.qty)
        return Price((2 * self.cost + held) // (2 * held)) if held else None

    @property
    def worst_loss(self) -> Money:
        """The most that can still be lost on it: what it cost."""
        return self.cost

    def value(self, mark: Price | None) -> Money | None:
        """What it is worth at a YES price; zero when flat, None where there is no mark for what is held."""
        if not self.qty:
            return Money(0)
        return None if mark is None else notional(price_of_side(self.qty, mark), Qty(abs(self.qty)))

    def unrealized(self, mark: Price | None) -> Money | None:
        """Value less cost; None where there is no mark for what is held."""
        value = self.value(mark)
        return None if value is None else Money(value - self.cost)


class _PositionLot:
    """The position of one subaccount in one market, and the lots it was bought in."""

    def __init__(self, ticker: str, subaccount: int, *, is_fifo: bool) -> None:
        self.position = Position(ticker, subaccount=subaccount)
        self._is_fifo = is_fifo
        self._lots: deque[tuple[Qty, Money]] = deque()

    def trade(self, change: int, price: Price, fee: Money) -> None:
        """Close what the change closes, open with the rest."""
        was = self.position
        closing = min(abs(change), abs(was.qty)) if change * was.qty < 0 else 0
        gone = self._take(closing)
        got = price_of_side(was.qty, price) * closing
        opening = abs(change) - closing
        paid = price_of_side(change, price) * opening
        if opening:
            self._put(Qty(opening), Money(paid))
        self.position = Position(
            was.ticker,
            Qty(was.qty + change),
            Money(was.cost - gone + paid),
            Money(was.realized + got - gone),
            Money(was.fees + fee),
            was.subaccount,
        )

    def _put(self, qty: Qty, cost: Money) -> None:
        if self._lots and not self._is_fifo:
            held, paid = self._lots.pop()
            qty, cost = Qty(held + qty), Money(paid + cost)
        self._lots.append((qty, cost))

    def _take(self, qty: int) -> int:
        """Remove contracts, oldest first, and return what they had cost."""
        gone = 0
        while qty:
            held, paid = self._lots.popleft()
            taken = min(qty, held)
            part = paid * taken // held
            if taken < held:
                self._lots.appendleft((Qty(held - taken), Money(paid - part)))
            gone += part
            qty -= taken
        return gone


MAX_RESULTS = 1_000
"""Of one market, under different times; beyond it those in the middle are forgotten."""

_Key = tuple[Ts, int, int, str, str]


class _Market:
    """The events of one market in order, and what each subaccount holds after the first `_done` of them."""

    def __init__(self, ticker: str, *, is_fifo: bool) -> None:
        self._settlement: Settlement | None = None
        self._results: dict[Ts, Settlement] = {}
        self._ticker = ticker
        self._is_fifo = is_fifo
        self._events: list[tuple[_Key, Fill | Settlement]] = []
        self._holdings: dict[int, _PositionLot] = {}
        self._done = 0
        self.changes = 0
        """How often anything was booked."""

    @property
    def events(self) -> list[Fill | Settlement]:
        return [event for _, event in self._events]

    def insert(self, event: Fill | Settlement) -> None:
        """Put an event in its place; if what follows it was counted already, count again from the start."""
        # At one millisecond a settlement comes after the fills.
        key = (event.ts, 0, _rank(event), *event.key) if isinstance(event, Fill) else (event.ts, 1, 0, "", "")
        if self._done and key < self._events[self._done - 1][0]:
            self._done = 0
        insort(self._events, (key, event), key=itemgetter(0))
        self.changes += 1

    def settle(self, settlement: Settlement) -> Settlement | None:
        """Of all results that were ever stated the last one holds, since it was first stated: that, where it is new.

        So it does not matter in which order they were heard of.
        """
        if settlement.ts in self._results:
            return None
        self._results[settlement.ts] = settlement
        stated = [self._results[ts] for ts in sorted(self._results)]
        if len(stated) > MAX_RESULTS:  # a result may be dated anew each time that it is read
            del self._results[stated[MAX_RESULTS // 2].ts]
        holds = stated[-1]
        for earlier in reversed(stated[:-1]):
            if msgspec.structs.replace(earlier, ts=holds.ts) != holds:
                break
            holds = earlier
        if holds == self._settlement:
            return None
        self._events = [entry for entry in self._events if entry[1] is not self._settlement]
        self._done = 0
        self._settlement = holds
        self.insert(holds)
        return holds

    def traded(self, since: Ts) -> Qty:
        total = 0
        for _, event in reversed(self._events):
            if event.ts <= since:
                break
            total += event.qty if isinstance(event, Fill) else 0
        return Qty(total)

    @property
    def positions(self) -> list[Position]:
        return [holding.position for holding in self._holdings.values()]

    def count(self) -> list[Position]:
        """Count what has not been counted yet."""
        if not self._done:
            self._holdings.clear()
        for _, event in self._events[self._done :]:
            if isinstance(event, Fill):
                if event.subaccount not in self._holdings:
                    self._holdings[event.subaccount] = _PositionLot(
                        self._ticker, event.subaccount, is_fifo=self._is_fifo
                    )
                self._holdings[event.subaccount].trade(event.side.sign * event.qty, event.price, event.fee)
            else:
                for holding in self._holdings.values():
                    holding.trade(-holding.position.qty, event.value, Money(0))
        self._done = len(self._events)
        return self.positions


class Ledger:
    """The account: positions and totals from everything booked, with average cost or first in, first out."""

    def __init__(self, method: Literal["average", "fifo"] = "average") -> None:
        self._is_fifo = method == "fifo"
        self._markets: dict[str, _Market] = {}
        self._booked: set[tuple[str, str]] = set()
        self._behind: set[str] = set()
        self.moved: set[str] = set()
        """Markets in which anything was booked since whoever counts exposure took this for read, and emptied it."""
        self._positions: dict[tuple[int, str], Position] = {}
        self._realized = self._fees = self._cost = 0

    def book(self, fill: Fill) -> bool:
        """Book a fill; False where it is booked already."""
        if fill.key in self._booked:
            return False
        self._booked.add(fill.key)
        self._market(fill.ticker).insert(fill)
        return True

    def is_booked(self, fill: Fill) -> bool:
        """Whether it is in the books."""
        return fill.key in self._booked

    def settle(self, settlement: Settlement) -> Settlement | None:
        """Pay out a market: whatever is held is sold at the settlement value. What holds now; None where it did before.

        A market is settled once. A later settlement (an amended result) takes the place of the earlier one; the same
        time again is old news, and so is the same result under a later time.
        """
        return self._market(settlement.ticker).settle(settlement)

    def entries_of(self, ticker: str) -> list[Fill | Settlement]:
        """Everything booked in a market, in order."""
        return self._markets[ticker].events if ticker in self._markets else []

    def traded(self, ticker: str, *, since: Ts) -> Qty:
        """Contracts bought and sold in a market after that."""
        return self._markets[ticker].traded(since) if ticker in self._markets else Qty(0)

    def changes(self, ticker: str) -> int:
        """A number that grows whenever anything is booked in a market."""
        return self._markets[ticker].changes if ticker in self._markets else 0

    @property
    def entries(self) -> list[Fill | Settlement]:
        """Everything booked, market by market, each in order."""
        return [event for market in self._markets.values() for event in market.events]

    def position(self, ticker: str, subaccount: int = 0) -> Position:
        """The position of a subaccount in a market; a flat one where nothing ever happened."""
        self._catch_up()
        return self._positions.get((subaccount, ticker)) or Position(ticker, subaccount=subaccount)

    def holdings(self, ticker: str) -> list[Position]:
        """The positions of all subaccounts in a market."""
        self._catch_up()
        return self._markets[ticker].positions if ticker in self._markets else []

    @property
    def positions(self) -> Mapping[tuple[int, str], Position]:
        """Every subaccount and market ever traded, flat ones included: they carry realized profit."""
        self._catch_up()
        return self._positions

    @property
    def realized(self) -> Money:
        """Profit of what was closed or settled, before fees."""
        self._catch_up()
        return Money(self._realized)

    @property
    def fees(self) -> Money:
        """All trade fees, as charged."""
        self._catch_up()
        return Money(self._fees)

    @property
    def cash(self) -> Money:
        """What all of it did to the cash balance: less what was paid, plus proceeds and payouts, less fees."""
        self._catch_up()
        return Money(self._realized - self._fees - self._cost)

    def net_before(self, ticker: str, ts: Ts) -> Money:
        """What a market had brought by then, realized less fees: a count of its entries older than that."""
        earlier = Ledger("fifo" if self._is_fifo else "average")
        for entry in self._markets[ticker].events if ticker in self._markets else ():
            if entry.ts >= ts:
                break
            if isinstance(entry, Fill):
                earlier.book(entry)
            else:
                earlier.settle(entry)
        return Money(earlier.realized - earlier.fees)

    @property
    def tickers(self) -> list[str]:
        """Every market that anything was ever booked in."""
        return list(self._markets)

    def unrealized(self, marks: Mapping[str, Price | None]) -> Money | None:
        """Value less cost of everything open, at YES prices; None where any open position has no mark."""
        total = 0
        for position in self.positions.values():
            part = position.unrealized(marks.get(position.ticker))
            if part is None:
                return None
            total += part
        return Money(total)

    def _market(self, ticker: str) -> _Market:
        """The market, noted as changed."""
        self._behind.add(ticker)
        self.moved.add(ticker)
        if ticker not in self._markets:
            self._markets[ticker] = _Market(ticker, is_fifo=self._is_fifo)
        return self._markets[ticker]

    def _catch_up(self) -> None:
        """Count the markets that changed. On reading, not on booking: a thousand old fills cost one count."""
        while self._behind:
            market = self._markets[self._behind.pop()]
            for was in market.positions:
                self._add(was, -1)
            for now in market.count():
                self._add(now, 1)
                self._positions[now.subaccount, now.ticker] = now

    def _add(self, position: Position, sign: int) -> None:
        self._realized += sign * position.realized
        self._fees += sign * position.fees
        self._cost += sign * position.cost


def _rank(fill: Fill) -> int:
    """The place of a fill among those of one moment: a taker meets the best price first, and trade ids say nothing.

    Which was first decides what closed and what opened where an order goes through flat, and so what was realized.
    """
    leg = price_of_side(fill.side.sign, fill.price)
    return leg if fill.is_taker else -leg


def price_of_side(signed: int, price: Price) -> Price:
    """A YES price as the price of the side held: itself for YES, one dollar less it for NO."""
    return price if signed > 0 else Price(ONE_DOLLAR - price)
