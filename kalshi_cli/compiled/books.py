"""Order books over the arrays of the compiled loop, and what it must know of orders and strategies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.compiled import loop as c
from kalshi_cli.compiled.rows import BookRows
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.market.order_book import OrderBook, PriceLevel
from kalshi_cli.core.model.messages import Level
from kalshi_cli.core.model.order_terms import BID, Side
from kalshi_cli.simulator.paper.market import PaperMarket
from kalshi_cli.simulator.paper.queue_position import FillModel

MODES: Mapping[Watches | None, int] = {None: c.NOTHING, "price": c.PRICE, "top": c.TOP, "depth": c.DEPTH}
MODELS: Mapping[FillModel, int] = {
    FillModel.PROPORTIONAL: c.PROPORTIONAL,
    FillModel.OPTIMISTIC: c.OPTIMISTIC,
    FillModel.PESSIMISTIC: c.PESSIMISTIC,
}


class CompiledBook(OrderBook):
    """A book whose levels are in an array. The loop's changes become visible by `show`."""

    __slots__ = ("_ask_qty", "_bid_qty", "_code", "_compiled", "_who")

    def __init__(self, compiled: CompiledBooks, who: int, ticker: str) -> None:
        super().__init__(ticker)
        self._compiled = compiled
        self._who = who
        self._code = compiled.code(ticker)
        self._bid_qty = self._ask_qty = 0

    def show(self, bid: int, bid_qty: int, ask: int, ask_qty: int, ts: int) -> None:
        """Take over the top of the book and the time of its last change."""
        self.best_bid = bid if bid != c.NO_BID else None  # type: ignore[assignment]
        self.best_ask = ask if ask != c.NO_ASK else None  # type: ignore[assignment]
        self._bid_qty, self._ask_qty, self.ts = bid_qty, ask_qty, ts  # type: ignore[assignment]

    def read(self) -> None:
        """Take over the top of the book from the arrays."""
        bid, ask, _, ts = self._compiled.tops[self._who, self._code].tolist()
        levels = self._compiled.levels[self._who, self._code]
        bid_qty, ask_qty = levels[0, bid] if bid != c.NO_BID else 0, levels[1, ask] if ask != c.NO_ASK else 0
        self.show(bid, int(bid_qty), ask, int(ask_qty), ts)

    def _side(self, side: Side) -> Any:
        return self._compiled.levels[self._who, self._code, 0 if side is BID else 1]

    def _store(self) -> None:
        """Write the best prices and the time into the array of tops, and read the quantities."""
        levels = self._compiled.levels[self._who, self._code]
        self._bid_qty = 0 if self.best_bid is None else int(levels[0, self.best_bid])
        self._ask_qty = 0 if self.best_ask is None else int(levels[1, self.best_ask])
        self._compiled.tops[self._who, self._code] = (
            c.NO_BID if self.best_bid is None else self.best_bid,
            c.NO_ASK if self.best_ask is None else self.best_ask,
            self.is_usable,
            self.ts,
        )

    def load(self, bids: Iterable[Level], asks: Iterable[Level], ts: Ts) -> None:
        super().load(bids, asks, ts)
        levels = self._compiled.levels[self._who, self._code]
        levels[:] = 0
        for number, side in enumerate((self._bids, self._asks)):
            if side:
                prices = np.fromiter(side, np.int64)
                levels[number, prices] = list(side.values())
                counts = np.bincount(prices >> c.BLOCK_BITS)
                levels[number, c.BLOCKS : c.BLOCKS + len(counts)] = counts
        self._bids, self._asks = {}, {}
        self._store()
        self._compiled.unsee(self._code)

    def apply(self, side: Side, price: Price, delta: Qty, ts: Ts) -> None:
        if not self.is_usable:
            return
        qty = int(self._side(side)[price]) + delta if 0 < price < c.ONE else -1
        if qty < 0:
            self.ts = ts
            self._lost(price, delta)
            return
        levels, top = self._compiled.levels[self._who, self._code], self._compiled.tops[self._who, self._code]
        c.apply(levels, top, 0 if side is BID else 1, int(price), qty)
        top[c.TS] = ts
        self.read()

    def invalidate(self, reason: str) -> None:
        super().invalidate(reason)
        self._compiled.levels[self._who, self._code] = 0
        self._store()
        self._compiled.unsee(self._code)

    @property
    def bid(self) -> PriceLevel | None:
        return None if self.best_bid is None else PriceLevel(self.best_bid, Qty(self._bid_qty))

    @property
    def ask(self) -> PriceLevel | None:
        return None if self.best_ask is None else PriceLevel(self.best_ask, Qty(self._ask_qty))

    @property
    def top(self) -> tuple[Price | None, int, Price | None, int]:
        return self.best_bid, self._bid_qty, self.best_ask, self._ask_qty

    def levels(self, side: Side, depth: int | None = None) -> list[Level]:
        best = self.best_bid if side is BID else self.best_ask
        if best is None:
            return []
        found, most = self._compiled.found, c.ONE if depth is None else depth
        count = c.walk(self._side(side), 0 if side is BID else 1, int(best), most, found)
        return [(Price(price), Qty(qty)) for price, qty in found[:count].tolist()]

    def qty_at(self, side: Side, price: Price) -> Qty:
        return Qty(int(self._side(side)[price])) if 0 < price < c.ONE else Qty(0)


class CompiledBooks:
    """The arrays of all markets. `advance` runs the loop; `arm` and `judged` tell it what Python changed."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._tickers: list[str] = []
        self._books: list[tuple[CompiledBook | None, CompiledBook | None, str]] = []
        """The venue's and the engine's book of each market, if they exist yet, and its ticker."""
        self._mode, self._look_at = c.NOTHING, c.NEVER
        self._forced: set[str] = set()
        self._armed: dict[int, PaperMarket] = {}
        self._late: set[int] = set()
        """Markets whose changes the venue's books do not show yet."""
        self.last_ts = 0
        """The time of the last row that was applied."""
        self.judged_market = ""
        """The market after whose change the loop stopped."""
        self._rows: tuple[object, int, Any] = (None, 0, None)
        self.levels = np.zeros((2, 0, 2, c.WIDTH), np.int64)
        self.tops = np.zeros((2, 0, c.FIELDS), np.int64)
        self._notes = np.zeros((0, c.NOTES), np.int64)
        self._orders = np.zeros((0, c.MAX_ORDERS, c.ORDER_FIELDS), np.int64)
        self._taken = np.zeros((0, 2, c.ONE + 2), np.int8)
        self._changed = np.zeros((0, c.SHOWN), np.int64)
        self.found = np.zeros((c.ONE, 2), np.int64)
        """The levels that a book reads."""
        self._control = np.zeros(c.STATES, np.int64)

    # -- markets --------------------------------------------------------------------------------------------------

    def venue_book(self, ticker: str) -> OrderBook:
        """Return the venue's book of a market."""
        return self._book(c.VENUE, ticker)

    def engine_book(self, ticker: str) -> OrderBook:
        """Return the book of a market as strategies see it."""
        return self._book(c.ENGINE, ticker)

    def _book(self, who: int, ticker: str) -> CompiledBook:
        code = self.code(ticker)
        venue, engine, _ = self._books[code]
        book = venue if who == c.VENUE else engine
        if book is None:
            book = CompiledBook(self, who, ticker)
            self._books[code] = (book, engine, ticker) if who == c.VENUE else (venue, book, ticker)
        return book

    def code(self, ticker: str) -> int:
        """Return the number of a market in the arrays, which grow."""
        code = self._codes.get(ticker)
        if code is None:
            code = self._codes[ticker] = len(self._tickers)
            self._tickers.append(ticker)
            self._books.append((None, None, ticker))
            if code >= len(self._notes):
                self._grow(max(4, 2 * code))
        return code

    def _grow(self, size: int) -> None:
        more = size - len(self._notes)
        self.levels = np.concatenate([self.levels, np.zeros((2, more, *self.levels.shape[2:]), np.int64)], axis=1)
        tops = np.zeros((2, more, c.FIELDS), np.int64)
        tops[:, :, c.BID], tops[:, :, c.ASK] = c.NO_BID, c.NO_ASK
        self.tops = np.concatenate([self.tops, tops], axis=1)
        notes = np.zeros((more, c.NOTES), np.int64)
        notes[:, c.MODE], notes[:, c.LOOK_AT], notes[:, c.SEEN_BID] = self._mode, self._look_at, c.UNSEEN
        self._notes = np.concatenate([self._notes, notes])
        self._orders = np.concatenate([self._orders, np.zeros((more, *self._orders.shape[1:]), np.int64)])
        self._taken = np.concatenate([self._taken, np.zeros((more, *self._taken.shape[1:]), np.int8)])
        self._changed = np.zeros((size, c.SHOWN), np.int64)

    def unsee(self, code: int) -> None:
        """Forget the top at the last judgement: the book was replaced."""
        self._notes[code, c.SEEN_BID] = c.UNSEEN

    # -- what Python changed --------------------------------------------------------------------------------------

    def watch(self, watches: Watches | None, *, is_timed: bool) -> None:
        """Set which changes of books the engine must judge; with `is_timed`, also as `look_again` says."""
        self._mode, self._look_at = MODES[watches], 0 if is_timed else c.NEVER
        self._notes[:, c.MODE], self._notes[:, c.LOOK_AT] = self._mode, self._look_at

    def force(self, due: set[str]) -> None:
        """Set the markets whose next end of a group is judged, whatever changed."""
        if due != self._forced:
            for ticker in due ^ self._forced:
                self._notes[self.code(ticker), c.FORCED] = ticker in due
            self._forced = set(due)

    def look_again(self, ticker: str, at: Ts) -> None:
        """Set the time from which the next end of a group in a market is judged, whatever changed."""
        self._notes[self._codes[ticker], c.LOOK_AT] = at

    def judged(self, ticker: str) -> None:
        """Remember the top of a book that the engine has judged itself."""
        book, code = self.engine_book(ticker), self.code(ticker)
        if book.is_usable:
            bid, bid_qty, ask, ask_qty = book.top
            self._notes[code, c.SEEN_BID : c.SEEN_ASK_QTY + 1] = (
                c.NO_BID if bid is None else bid, bid_qty, c.NO_ASK if ask is None else ask, ask_qty,
            )  # fmt: skip

    def arm(self, markets: Mapping[str, PaperMarket]) -> None:
        """Take over our orders at the venue, their queue positions, and what they took from levels."""
        with_orders = dict(self._armed)
        for ticker, paper in markets.items():
            if paper.orders or paper.taken.is_any:
                with_orders[self.code(ticker)] = paper
        for code, paper in with_orders.items():
            self._notes[code, c.ORDERS] = len(paper.orders)
            for number, placed in enumerate(paper.orders[: c.MAX_ORDERS]):
                order, queue = placed.order, placed.queue
                place = (0, 0, 0, 0, 0) if queue is None else (MODELS[queue.model], *queue.state)
                self._orders[code, number] = (order.side is not BID, order.price, queue is not None, *place)
            self._taken[code] = 0
            for side, price in paper.taken.levels:
                self._taken[code, 0 if side is BID else 1, price] = 1
        self._armed = {code: paper for code, paper in with_orders.items() if paper.orders or paper.taken.is_any}

    def wake_at(self, wake: Ts, now: Ts) -> None:
        """Stop before the first row at which the venue's time, `now` so far, reaches `wake`."""
        self._control[c.WAKE], self._control[c.NOW] = wake, now

    # -- the loop -------------------------------------------------------------------------------------------------

    def advance(self, batch: BookRows, start: int) -> tuple[int, int]:
        """Apply rows from `start` until a stop, and show the engine's changed books; return the next row, and why."""
        tickers, known, codes = self._rows
        if tickers is not batch.tickers or known < len(batch.tickers):
            codes = self._codes_of(batch)
        at, why, self.last_ts, count, judged, *first = c.advance(
            batch.rows, start, codes, self.levels, self.tops, self._notes, self._orders, self._taken,
            self._control, self._changed,
        )  # fmt: skip
        late, books = self._late, self._books
        for code, *top in (first,) if count == 1 else self._changed[:count].tolist():
            late.add(code)
            engine = books[code][1]
            if engine is not None and engine.is_usable:
                engine.show(*top)
        self.judged_market = self._tickers[judged]
        return at, why

    def show_venue(self, markets: Mapping[str, PaperMarket]) -> None:
        """Show the venue's books that changed since, and give our orders their queue positions."""
        for code in self._late:
            book, _, ticker = self._books[code]
            paper = markets.get(ticker)
            if book is None or paper is None:
                continue
            if book.is_usable:
                book.read()
            note = self._notes[code]
            paper.is_between = bool(note[c.BETWEEN])
            if note[c.SHRUNK]:
                note[c.SHRUNK] = 0
                self._restore(code, paper)
        self._late.clear()

    def _restore(self, code: int, paper: PaperMarket) -> None:
        """Give our orders their queue positions."""
        for number, placed in enumerate(paper.orders):
            if placed.queue is not None:
                placed.queue.state = tuple(self._orders[code, number, c.O_AHEAD :].tolist())

    def _codes_of(self, batch: BookRows) -> Any:
        """Return the numbers of a tape's markets here. A tape's list of tickers only grows."""
        codes = np.array([self.code(ticker) for ticker in batch.tickers], np.int64)
        self._rows = batch.tickers, len(batch.tickers), codes
        return codes
