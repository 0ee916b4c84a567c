"""Fade a sudden move of one market that nothing outside explains."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.state import AHEAD_MS
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, above, within
from kalshi_cli.strategies.order_edges import exit_at_best

MAX_POINTS = 2_000
"""Mids remembered per market; a busier window is thinned at its old end."""

EXIT = "target"
"""The reason of an exit that rests."""


class SpikeParams(StrategyParams, frozen=True):
    """Prices in ten-thousandths of a dollar inside; typed as dollars or cents (`move=0.03`, `move=3c`)."""

    move: Annotated[Price, within(10, 5_000, "fade a move of the mid of at least this")] = cents(3)
    move_pct: Annotated[float, above(0, 100, "... and of at least this many percent of it")] = 3.0
    window_s: Annotated[float, within(1, 3_600, "within this many seconds")] = 60.0
    reference_pct: Annotated[float, above(0, 100, "a move of the outside index by this many percent explains it")] = (
        0.05
    )
    size: Annotated[Qty, within(1, 1_000_000, "contracts an order")] = contracts(5)
    target: Annotated[Price, within(10, 5_000, "take profit this far from the entry")] = cents(2)
    stop: Annotated[Price, within(10, 9_000, "get out this far against the entry")] = cents(8)
    hold_s: Annotated[float, within(1, 86_400, "get out after this many seconds")] = 120.0
    rest_s: Annotated[float, within(1, 3_600, "take back an unfilled entry after this long")] = 20.0
    cooldown_s: Annotated[float, within(0, 86_400, "leave the market alone after an exit")] = 30.0
    min_price: Annotated[Price, within(1, 5_000, "no entry nearer than this to 0 or 1")] = cents(5)


class Point(NamedTuple):
    """The mid and the outside index at one time."""

    ts: Ts
    mid: Price
    reference: int | None


class SpikeState(msgspec.Struct):
    """What is remembered of one market: recent (ts, mid, reference) points, and the open trade if any."""

    points: deque[Point]
    has_reference: bool = False
    """An index behind it was heard once: without a fresh one nobody knows what explains a move."""
    entered: Ts | None = None
    entry: Price = Price(0)
    taken: Ts = Ts(0)
    quiet_until: Ts = Ts(0)


class Spike(Strategy):
    """Fade a move of the mid beyond a threshold within a window that the reference did not make.

    Enters post-only at the near side of the book, believing in the mid from before the move. Rests its exit at the
    target; at the stop, or after `hold_s`, takes what is there.
    """

    name = "spike"
    Params = SpikeParams
    params: SpikeParams

    def __init__(self, params: SpikeParams) -> None:
        super().__init__(params)
        self._tracks: dict[str, SpikeState] = {}

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        mid = view.book(ticker).mid
        if mid is None:
            return
        track = self._tracks.setdefault(ticker, SpikeState(deque(maxlen=MAX_POINTS)))
        if track.points and track.points[-1].ts > view.now + AHEAD_MS:
            track.points.clear()  # from before the clock was set back
        if track.entered is not None or view.position(ticker) or view.orders(ticker):
            yield from self._tend(view, ticker, track)
        else:
            yield from self._enter(view, ticker, track, mid)
        self._remember(view, ticker, track, mid)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Quiet markets are left in time, too."""
        for ticker, track in self._tracks.items():
            if track.entered is not None or view.position(ticker) or view.orders(ticker):
                yield from self._tend(view, ticker, track)

    # -- getting in -----------------------------------------------------------------------------------------------

    def _remember(self, view: StrategyContext, ticker: str, track: SpikeState, mid: Price) -> None:
        points, reference = track.points, view.reference(ticker)
        track.has_reference = track.has_reference or reference is not None
        if not points or points[-1].mid != mid:
            points.append(Point(view.now, mid, reference))
        # The last point before the window still says what the mid was when the window began.
        begin = view.now - int(self.params.window_s * 1000)
        while len(points) > 1 and points[1].ts <= begin:
            points.popleft()

    def _enter(self, view: StrategyContext, ticker: str, track: SpikeState, mid: Price) -> Iterator[Intent]:
        params = self.params
        if view.now < track.quiet_until or not track.points:
            return
        low = min(track.points, key=lambda point: point.mid)
        high = max(track.points, key=lambda point: point.mid)
        side, before = (ASK, low) if mid - low.mid >= high.mid - mid else (BID, high)
        if not self._is_spike(track, before, mid, view.reference(ticker)):
            return
        book = view.book(ticker)
        price = book.best_ask if side is ASK else book.best_bid
        if price is None or not params.min_price <= price <= ONE_DOLLAR - params.min_price:
            return
        qty = view.size(ticker, side, price, before.mid, params.size)
        if not qty:
            return
        track.entered, track.entry = view.now, price
        reason = f"mid {before.mid / 100:g}c -> {mid / 100:g}c within {params.window_s:g} s"
        yield Place(ticker, side, price, qty, fair=before.mid, reason=reason, post_only=True)

    def _is_spike(self, track: SpikeState, before: Point, mid: Price, reference: int | None) -> bool:
        moved = abs(mid - before.mid)
        if moved < self.params.move or moved * 100 < self.params.move_pct * before.mid:
            return False
        if before.reference is None or reference is None:
            return not track.has_reference
        return abs(reference - before.reference) * 100 < self.params.reference_pct * before.reference

    # -- getting out ----------------------------------------------------------------------------------------------

    def _tend(self, view: StrategyContext, ticker: str, track: SpikeState) -> Iterator[Intent]:
        """Look after an open trade: the entry that rests, the exit, the stop, the clock."""
        params, held, orders = self.params, view.position(ticker), view.orders(ticker)
        if track.entered is None:  # taken over from an earlier run
            track.entered, track.entry = view.now, view.book(ticker).mid or Price(ONE_DOLLAR // 2)
        age_s = (view.now - track.entered) / 1000
        if not held:
            exits = [order for order in orders if order.reason == EXIT]
            if not orders:
                self._forget(view, track)
            elif exits:  # somebody else closed what they were for: filled now, they would open the other side
                yield from _cancel_all(exits, "nothing left to exit")
            elif age_s > params.rest_s:
                yield from _cancel_all(orders, "entry not filled in time")
            return
        why = "time" if age_s >= params.hold_s else "stop" if self._is_stopped(view, ticker, track, held) else ""
        if why:
            yield from _cancel_all(orders, why)
            if not orders:
                yield from self._take(view, ticker, track, held, why)
            return
        side = ASK if held > 0 else BID
        if age_s > params.rest_s:
            yield from _cancel_all([order for order in orders if order.side is not side], "entry not filled in time")
        covered = sum(order.remaining for order in orders if order.side is side)
        if covered > abs(held):
            yield from _cancel_all([order for order in orders if order.side is side], "more than is held")
        elif covered < abs(held):
            yield from self._rest_exit(view, ticker, track, side, Qty(abs(held) - covered))

    def _is_stopped(self, view: StrategyContext, ticker: str, track: SpikeState, held: Qty) -> bool:
        book = view.book(ticker)
        if held > 0:
            return book.best_bid is not None and track.entry - book.best_bid >= self.params.stop
        return book.best_ask is not None and book.best_ask - track.entry >= self.params.stop

    def _rest_exit(
        self, view: StrategyContext, ticker: str, track: SpikeState, side: Side, qty: Qty
    ) -> Iterator[Intent]:
        """Rest at the target, or just outside the market where that has already moved past it."""
        book = view.book(ticker)
        if side is ASK:
            price = view.snap(ticker, ASK, max(track.entry + self.params.target, (book.best_bid or 0) + 1))
        else:
            price = view.snap(ticker, BID, min(track.entry - self.params.target, (book.best_ask or ONE_DOLLAR) - 1))
        if price is not None:
            yield Place(ticker, side, price, qty, reason=EXIT, post_only=True)

    def _take(self, view: StrategyContext, ticker: str, track: SpikeState, held: Qty, why: str) -> Iterator[Intent]:
        """Leave at the price that is there; not more than once a second."""
        place = exit_at_best(view, ticker, held, why)
        if place is not None and abs(view.now - track.taken) >= 1_000:
            track.taken = view.now
            yield place

    def _forget(self, view: StrategyContext, track: SpikeState) -> None:
        track.entered = None
        track.points.clear()
        track.quiet_until = Ts(view.now + int(self.params.cooldown_s * 1000))


def _cancel_all(orders: Iterable[Order], reason: str) -> Iterator[Intent]:
    return (Cancel(order.client_order_id, reason=reason) for order in orders)
