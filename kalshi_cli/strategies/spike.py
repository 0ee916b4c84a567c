"""Spike: fade a sudden move of one market that an outside index does not explain."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts, show_price
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.state.order_rate import AHEAD_MS
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, above, within
from kalshi_cli.strategies.order_edges import OrderThrottle, cancel_all, exit_at_best, is_inside

MAX_POINTS = 2_000
"""The most mids remembered per market; in a busier window the oldest are dropped."""

EXIT = "target"
"""The reason of a resting exit."""


class SpikeParams(StrategyParams, frozen=True):
    """Parameters of `spike`. Prices are ten-thousandths of a dollar, entered as `0.03` or `3c`."""

    move: Annotated[Price, within(10, 5_000, "minimum move of the mid to fade")] = cents(3)
    move_pct: Annotated[float, above(0, 100, "... and at least this many percent of the mid")] = 3.0
    window_s: Annotated[float, within(1, 3_600, "within this many seconds")] = 60.0
    reference_pct: Annotated[
        float, above(0, 100, "a move of the outside index by this many percent explains it (no trade)")
    ] = 0.05
    size: Annotated[Qty, within(1, 1_000_000, "contracts per order")] = contracts(5)
    target: Annotated[Price, within(10, 5_000, "take profit from the entry")] = cents(2)
    stop: Annotated[Price, within(10, 9_000, "stop loss from the entry")] = cents(8)
    hold_s: Annotated[float, within(1, 86_400, "maximum holding time, in seconds")] = 120.0
    rest_s: Annotated[float, within(1, 3_600, "cancel an unfilled entry after this time")] = 20.0
    cooldown_s: Annotated[float, within(0, 86_400, "pause in the market after an exit")] = 30.0
    min_price: Annotated[Price, within(1, 5_000, "no entry closer than this to $0 or $1")] = cents(5)


class Point(NamedTuple):
    """The mid and the outside index at one time."""

    ts: Ts
    mid: Price
    reference: int | None


class SpikeState(msgspec.Struct):
    """The state of one market: recent points, and the open trade if any."""

    points: deque[Point] = msgspec.field(default_factory=deque)
    lows: deque[Point] = msgspec.field(default_factory=deque)
    """Points that no later one is below: the first is the lowest, and the earliest of them."""
    highs: deque[Point] = msgspec.field(default_factory=deque)
    has_reference: bool = False
    """Says whether the market has an index. A move without a current index value is then not traded."""
    entered: Ts | None = None
    entry: Price = Price(0)
    quiet_until: Ts = Ts(0)

    def add(self, point: Point) -> None:
        """Add a point; of too many, the oldest goes."""
        if len(self.points) == MAX_POINTS:
            self.drop()
        self.points.append(point)
        while self.lows and self.lows[-1].mid > point.mid:
            self.lows.pop()
        self.lows.append(point)
        while self.highs and self.highs[-1].mid < point.mid:
            self.highs.pop()
        self.highs.append(point)

    def drop(self) -> None:
        """Drop the oldest point."""
        oldest = self.points.popleft()
        for extremes in (self.lows, self.highs):
            if extremes[0] is oldest:
                extremes.popleft()

    def clear(self) -> None:
        """Forget all points."""
        for points in (self.points, self.lows, self.highs):
            points.clear()


class Spike(Strategy):
    """Fade a move of the mid beyond a threshold within a window, unless the reference index moved too.

    The fair value is the mid from before the move. The entry is post-only at the near side of the book, and the exit
    rests at the target. At the stop, or after `hold_s` seconds, the position is closed at the best price.
    """

    name = "spike"
    watches = "price"
    Params = SpikeParams
    params: SpikeParams

    def __init__(self, params: SpikeParams) -> None:
        super().__init__(params)
        self._tracks: dict[str, SpikeState] = {}
        self._exits = OrderThrottle(1_000)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        mid = view.book(ticker).mid
        if mid is None:
            return
        track = self._tracks.setdefault(ticker, SpikeState())
        self._drop_old(view, track)
        if track.entered is not None or view.position(ticker) or view.orders(ticker):
            yield from self._tend(view, ticker, track)
        else:
            yield from self._enter(view, ticker, track, mid)
        self._remember(view, ticker, track, mid)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Close trades in time in quiet markets too, and enter once a cooldown is over."""
        for ticker, track in self._tracks.items():
            book = view.book(ticker)
            if track.entered is not None or view.position(ticker) or view.orders(ticker):
                yield from self._tend(view, ticker, track)
            elif book.is_decidable and book.mid is not None:
                self._drop_old(view, track)
                yield from self._enter(view, ticker, track, book.mid)

    def _remember(self, view: StrategyContext, ticker: str, track: SpikeState, mid: Price) -> None:
        points, reference = track.points, view.reference(ticker)
        track.has_reference = track.has_reference or reference is not None
        if not points or points[-1].mid != mid:
            track.add(Point(view.now, mid, reference))

    def _drop_old(self, view: StrategyContext, track: SpikeState) -> None:
        """Forget the mids before the window, but for the last one: the mid at its start."""
        points, begin = track.points, view.now - int(self.params.window_s * 1000)
        if points and points[-1].ts > view.now + AHEAD_MS:
            track.clear()  # the clock was set back
        while len(points) > 1 and points[1].ts <= begin:
            track.drop()

    def _enter(self, view: StrategyContext, ticker: str, track: SpikeState, mid: Price) -> Iterator[Intent]:
        params = self.params
        if view.now < track.quiet_until or not track.points:
            return
        low, high = track.lows[0], track.highs[0]
        side, before = (ASK, low) if mid - low.mid >= high.mid - mid else (BID, high)
        if not self._is_spike(track, before, mid, view.reference(ticker)):
            return
        book = view.book(ticker)
        price = book.best_ask if side is ASK else book.best_bid
        if price is None or not is_inside(price, params.min_price):
            return
        qty = view.size(ticker, side, price, before.mid, params.size)
        if not qty:
            return
        track.entered, track.entry = view.now, price
        reason = f"mid {show_price(before.mid)} -> {show_price(mid)} within {params.window_s:g} s"
        yield Place(ticker, side, price, qty, fair=before.mid, reason=reason, post_only=True)

    def _is_spike(self, track: SpikeState, before: Point, mid: Price, reference: int | None) -> bool:
        moved = abs(mid - before.mid)
        if moved < self.params.move or moved * 100 < self.params.move_pct * before.mid:
            return False
        if before.reference is None or reference is None:
            return not track.has_reference
        return abs(reference - before.reference) * 100 < self.params.reference_pct * before.reference

    def _tend(self, view: StrategyContext, ticker: str, track: SpikeState) -> Iterator[Intent]:
        """Manage an open trade: its resting entry, exit, stop and holding time."""
        params, held, orders = self.params, view.position(ticker), view.orders(ticker)
        if track.entered is None:  # continued from an earlier run
            track.entered, track.entry = view.now, view.book(ticker).mid or Price(ONE_DOLLAR // 2)
        age_s = (view.now - track.entered) / 1000
        if not held:
            exits = [order for order in orders if order.reason == EXIT]
            if not orders:
                self._forget(view, track)
            elif exits:  # another party closed the position: a filled exit would now open the other side
                yield from cancel_all(exits, "no position to exit")
            elif age_s > params.rest_s:
                yield from cancel_all(orders, "entry not filled in time")
            return
        why = "time" if age_s >= params.hold_s else "stop" if self._is_stopped(view, ticker, track, held) else ""
        if why:
            yield from cancel_all(orders, why)
            if not orders:
                yield from self._exits.send(view, exit_at_best(view, ticker, held, why))
            return
        side = ASK if held > 0 else BID
        if age_s > params.rest_s:
            yield from cancel_all([order for order in orders if order.side is not side], "entry not filled in time")
        covered = sum(order.remaining for order in orders if order.side is side)
        if covered > abs(held):
            yield from cancel_all([order for order in orders if order.side is side], "larger than the position")
        elif covered < abs(held):
            yield from self._rest_exit(view, ticker, track, side, Qty(abs(held) - covered))

    def _is_stopped(self, view: StrategyContext, ticker: str, track: SpikeState, held: Qty) -> bool:
        book, sign = view.book(ticker), 1 if held > 0 else -1
        price = book.best_bid if held > 0 else book.best_ask
        return price is not None and (track.entry - price) * sign >= self.params.stop

    def _rest_exit(
        self, view: StrategyContext, ticker: str, track: SpikeState, side: Side, qty: Qty
    ) -> Iterator[Intent]:
        """Rest an exit at the target, or just outside the market if the market has moved past it."""
        book = view.book(ticker)
        if side is ASK:
            price = view.snap(ticker, ASK, max(track.entry + self.params.target, (book.best_bid or 0) + 1))
        else:
            price = view.snap(ticker, BID, min(track.entry - self.params.target, (book.best_ask or ONE_DOLLAR) - 1))
        if price is not None:
            yield Place(ticker, side, price, qty, reason=EXIT, post_only=True)

    def _forget(self, view: StrategyContext, track: SpikeState) -> None:
        track.entered = None
        track.clear()
        track.quiet_until = Ts(view.now + int(self.params.cooldown_s * 1000))
