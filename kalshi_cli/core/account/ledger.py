"""The ledger: positions and P&L from fills and settlements. The only definition of P&L.

A short position is a long NO position: it cost one dollar less the price, and its value is one dollar less the mark.
Selling a position, buying it back and settling it are all sales of the side held, so only the position has a sign, and
YES and NO are accounted alike.

Each subaccount is separate, because the exchange nets none of them. A settlement names no subaccount: it ends its
market in all of them.

The result depends only on what was booked, not on the order or the number of bookings. The entries of a market are
sorted by time, and a late one makes the market be counted again. Times are often equal, because one order can match
several resting orders at once: then the better price for the taker comes first, and remaining ties are broken by trade
id and order id.

Money is exact. With average cost, a partial sale takes its share of the cost, rounded down to a micro-dollar; the rest
stays with the position. The sum never changes, and a flat position has no cost.

Fees are separate: `net = realized + unrealized - fees`. The fee field of a settlement is not booked: it repeats the sum
of the trade fees (recorded 2026-08), and yes/no settlement is free.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Literal

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement


class Position(msgspec.Struct, frozen=True):
    """The position of one subaccount in a market.

    `qty` is positive for YES and negative for NO. `cost` is never negative and excludes fees.
    """

    ticker: str
    qty: Qty = Qty(0)
    cost: Money = Money(0)
    realized: Money = Money(0)
    fees: Money = Money(0)
    subaccount: int = 0

    @property
    def average_price(self) -> Price | None:
        """Return the average cost per contract as a price of the side held, rounded; None when flat."""
        held = abs(self.qty)
        return Price((2 * self.cost + held) // (2 * held)) if held else None

    def value(self, mark: Price | None) -> Money | None:
        """Return the value at a YES price: 0 when flat, None if a position has no mark."""
        if not self.qty:
            return Money(0)
        return None if mark is None else notional(price_of_side(self.qty, mark), Qty(abs(self.qty)))

    def unrealized(self, mark: Price | None) -> Money | None:
        """Return the value less the cost; None if a position has no mark."""
        value = self.value(mark)
        return None if value is None else Money(value - self.cost)


class _PositionLot:
    """The position of one subaccount in one market, with the lots that make it up."""

    def __init__(self, ticker: str, subaccount: int, *, is_fifo: bool) -> None:
        self.position = Position(ticker, subaccount=subaccount)
        self._is_fifo = is_fifo
        self._lots: deque[tuple[Qty, Money]] = deque()

    def trade(self, change: int, price: Price, fee: Money) -> None:
        """Close as much of the position as the trade closes, and open with the rest."""
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
        """Remove contracts, oldest first, and return their cost."""
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
"""The most results kept for one market; beyond it those in the middle are dropped."""

_Key = tuple[Ts, int, int, str, str]


class _Market:
    """The sorted entries of one market, and each subaccount's position after the first `_done` of them."""

    def __init__(self, ticker: str, *, is_fifo: bool) -> None:
        self._settlement: Settlement | None = None
        self._results: dict[Ts, Settlement] = {}
        self._ticker = ticker
        self._is_fifo = is_fifo
        self._events: list[tuple[_Key, Fill | Settlement]] = []
        self._holdings: dict[int, _PositionLot] = {}
        self._done = 0
        self.changes = 0
        """The number of bookings."""
        self.revisions = 0
        """The number of bookings that changed more than the end of the entries."""

    def events(self, after: int = 0) -> list[Fill | Settlement]:
        return [event for _, event in self._events[after:]]

    def insert(self, event: Fill | Settlement) -> None:
        """Insert an entry at its place; recount the market if later entries were already counted."""
        key = booking_order(event)
        if self._done and key < self._events[self._done - 1][0]:
            self._done = 0
        self.revisions += bool(self._events) and key < self._events[-1][0]
        insort(self._events, (key, event), key=itemgetter(0))
        self.changes += 1

    def settle(self, settlement: Settlement) -> Settlement | None:
        """Book a result and return the settlement that now applies, or None if that did not change.

        The latest result applies, from the time at which it was first reported. The order in which results arrive does
        not matter.
        """
        if settlement.ts in self._results:
            return None
        self._results[settlement.ts] = settlement
        stated = [self._results[ts] for ts in sorted(self._results)]
        if len(stated) > MAX_RESULTS:  # a result may get a new date with each read
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
        self.revisions += self._settlement is not None
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
        """Count the entries that were not counted yet."""
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
    """All positions and totals of the booked entries, with average cost or first in, first out."""

    def __init__(self, method: Literal["average", "fifo"] = "average") -> None:
        self._is_fifo = method == "fifo"
        self._markets: dict[str, _Market] = {}
        self._booked: set[tuple[str, str]] = set()
        self._behind: set[str] = set()
        self.moved: set[str] = set()
        """Markets with a booking since `Exposures` last emptied this set."""
        self._positions: dict[tuple[int, str], Position] = {}
        self._realized = self._fees = self._cost = 0
        self.carried = Money(0)
        """The realized profit less fees of closed markets, whose entries are not here."""

    def carry(self, realized: Money, fees: Money) -> None:
        """Add the result of a closed market, in which no position is left."""
        self._realized += realized
        self._fees += fees
        self.carried = Money(self.carried + realized - fees)

    def book(self, fill: Fill) -> bool:
        """Book a fill; return False if it was booked before."""
        if fill.key in self._booked:
            return False
        self._booked.add(fill.key)
        self._market(fill.ticker).insert(fill)
        return True

    def is_booked(self, fill: Fill) -> bool:
        """Return whether the fill was booked."""
        return fill.key in self._booked

    def settle(self, settlement: Settlement) -> Settlement | None:
        """Settle a market: sell the position at the settlement value. Return the settlement if it is new.

        A market settles once. A later settlement (an amended result) replaces the earlier one. The same time again, or
        the same result at a later time, changes nothing and returns None.
        """
        return self._market(settlement.ticker).settle(settlement)

    def add(self, entry: Fill | Settlement) -> bool:
        """Book a fill or a settlement; return whether it changed anything."""
        return self.book(entry) if isinstance(entry, Fill) else self.settle(entry) is not None

    def entries_of(self, ticker: str, after: int = 0) -> list[Fill | Settlement]:
        """Return the entries of a market, sorted, without the first `after` of them."""
        return self._markets[ticker].events(after) if ticker in self._markets else []

    def has(self, ticker: str) -> bool:
        """Return whether a market has entries here."""
        return ticker in self._markets

    def traded(self, ticker: str, *, since: Ts) -> Qty:
        """Return the contracts bought and sold in a market after a time."""
        return self._markets[ticker].traded(since) if ticker in self._markets else Qty(0)

    def changes(self, ticker: str) -> int:
        """Return a number that grows with every booking in a market."""
        return self._markets[ticker].changes if ticker in self._markets else 0

    def revisions(self, ticker: str) -> int:
        """Return a number that grows with every booking in a market that is not its newest entry."""
        return self._markets[ticker].revisions if ticker in self._markets else 0

    @property
    def entries(self) -> list[Fill | Settlement]:
        """Return all entries, market by market, each sorted."""
        return [event for market in self._markets.values() for event in market.events()]

    def position(self, ticker: str, subaccount: int = 0) -> Position:
        """Return the position of a subaccount in a market; a flat one if there never was one."""
        self._catch_up()
        return self._positions.get((subaccount, ticker)) or Position(ticker, subaccount=subaccount)

    def holdings(self, ticker: str) -> list[Position]:
        """Return the positions of all subaccounts in a market."""
        self._catch_up()
        return self._markets[ticker].positions if ticker in self._markets else []

    @property
    def positions(self) -> Mapping[tuple[int, str], Position]:
        """Return all positions, including flat ones, which have realized profit."""
        self._catch_up()
        return self._positions

    @property
    def realized(self) -> Money:
        """Return the realized profit before fees."""
        self._catch_up()
        return Money(self._realized)

    @property
    def fees(self) -> Money:
        """Return all trade fees charged."""
        self._catch_up()
        return Money(self._fees)

    @property
    def cash(self) -> Money:
        """Return the change of the cash balance: proceeds and payouts less purchases and fees."""
        self._catch_up()
        return Money(self._realized - self._fees - self._cost)

    def before(self, ticker: str, ts: Ts) -> Ledger:
        """Return the ledger of a market's entries before a time."""
        earlier = Ledger("fifo" if self._is_fifo else "average")
        for entry in self.entries_of(ticker):
            if entry.ts >= ts:
                break
            earlier.add(entry)
        return earlier

    def held_before(self, ts: Ts) -> dict[str, Qty]:
        """Return the net position at a time of each market in which a subaccount had one."""
        found = {ticker: self.before(ticker, ts).net_held for ticker in self._markets}
        return {ticker: qty for ticker, qty in found.items() if qty is not None}

    @property
    def net_held(self) -> Qty | None:
        """Return the sum of all open positions, for the ledger of one market; None where all are flat."""
        held = [position.qty for position in self.positions.values() if position.qty]
        return Qty(sum(held)) if held else None

    @property
    def tickers(self) -> list[str]:
        """Return every market with a booking."""
        return list(self._markets)

    def unrealized(self, marks: Mapping[str, Price | None]) -> Money | None:
        """Return value less cost of all open positions at YES prices; None if one has no mark."""
        total = 0
        for position in self.positions.values():
            part = position.unrealized(marks.get(position.ticker))
            if part is None:
                return None
            total += part
        return Money(total)

    def _market(self, ticker: str) -> _Market:
        """Return the market, marked as changed."""
        self._behind.add(ticker)
        self.moved.add(ticker)
        if ticker not in self._markets:
            self._markets[ticker] = _Market(ticker, is_fifo=self._is_fifo)
        return self._markets[ticker]

    def _catch_up(self) -> None:
        """Count the changed markets. Counting on read makes a thousand old fills cost one count."""
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


def booking_order(entry: Fill | Settlement) -> _Key:
    """Return the key that sorts entries as the ledger counts them.

    At the same millisecond, a settlement comes after the fills.
    """
    return (entry.ts, 0, _rank(entry), *entry.key) if isinstance(entry, Fill) else (entry.ts, 1, 0, "", "")


def in_trading_order(fills: Iterable[Fill]) -> list[Fill]:
    """Return fills as they traded; every list of fills has this order. `fills` are listed oldest first.

    Those of one order at one moment are sorted as the ledger counts them. Orders of one moment stay as listed: only the
    exchange knows which of them came first.
    """
    listed, places = list(fills), dict[tuple[Ts, str], int]()
    for place, fill in enumerate(listed):
        places.setdefault((fill.ts, fill.order_id), place)
    return sorted(listed, key=lambda fill: (fill.ts, places[fill.ts, fill.order_id], _rank(fill), fill.key))


def _rank(fill: Fill) -> int:
    """Return the place of a fill among those of one moment: a taker gets the best price first.

    Trade ids carry no order. The first fill decides what an order that crosses flat closes and opens, and so the
    realized profit.
    """
    leg = price_of_side(fill.side.sign, fill.price)
    return leg if fill.is_taker else -leg


def price_of_side(signed: int, price: Price) -> Price:
    """Return a YES price as the price of the side held: one dollar less it for NO."""
    return price if signed > 0 else Price(ONE_DOLLAR - price)


def max_payout(signed: Qty, settlement_value: Price | None) -> Money:
    """Return the most that a position can still be paid: the payout once the settlement value is known."""
    each = ONE_DOLLAR if settlement_value is None else price_of_side(signed, settlement_value)
    return notional(Price(each), Qty(abs(signed)))
