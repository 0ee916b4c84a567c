"""Mean reversion: trade a market that is unusually far from its mean back toward it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, show_price
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.order_rate import AHEAD_MS
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, above, within
from kalshi_cli.strategies.order_edges import OrderThrottle, cancel_all, exit_at_best, is_inside

MIN_SAMPLES = 30
"""Fewer mids give no meaningful mean or deviation: nothing is traded."""


class MeanReversionParams(StrategyParams, frozen=True):
    """Parameters of `mean-reversion`. Prices are ten-thousandths of a dollar, entered as `0.03` or `3c`."""

    window: Annotated[int, within(MIN_SAMPLES, 5_000, "number of mids in the mean")] = 120
    sample_s: Annotated[float, within(0.1, 600, "seconds between mids")] = 2.0
    entry_z: Annotated[float, above(0, 20, "minimum distance from the mean to enter, in standard deviations")] = 2.0
    exit_z: Annotated[float, within(0, 20, "exit at this distance; must be below entry_z")] = 0.5
    min_move: Annotated[Price, within(10, 5_000, "minimum distance from the mean to enter, in price")] = cents(3)
    size: Annotated[Qty, within(1, 1_000_000, "contracts per order")] = contracts(5)
    stop: Annotated[Price, within(10, 9_000, "stop loss from the entry")] = cents(8)
    hold_s: Annotated[float, within(1, 86_400, "maximum holding time, in seconds")] = 180.0
    rest_s: Annotated[float, within(1, 3_600, "cancel an unfilled entry after this time")] = 20.0
    cooldown_s: Annotated[float, within(0, 86_400, "pause in the market after an exit")] = 30.0
    min_price: Annotated[Price, within(1, 5_000, "no entry closer than this to $0 or $1")] = cents(5)


class MeanStats(NamedTuple):
    """The mean and standard deviation of the mid, in ten-thousandths of a dollar."""

    mean: float
    deviation: float

    def z(self, mid: Price) -> float:
        """Return the distance of a mid from the mean in standard deviations; 0 if nothing moves."""
        return (mid - self.mean) / self.deviation if self.deviation else 0.0


class MeanReversionState(msgspec.Struct):
    """The state of one market: its mids, and the open trade if any."""

    mids: deque[Price]
    usual: MeanStats | None = None
    """The statistics of these mids, None while there are too few."""
    sampled: Ts = Ts(0)
    entered: Ts | None = None
    entry: Price = Price(0)
    quiet_until: Ts = Ts(0)


class MeanReversion(Strategy):
    """Buy `entry_z` standard deviations below the mean of the recent mids, and sell as far above it.

    The mean is the fair value. Entries are post-only at the near side of the book. The position is closed at the best
    price when the mid is back within `exit_z`, at the stop, or after `hold_s` seconds. If a market moved to a new level
    for a good reason, the mean is wrong and the trade costs the stop.
    """

    name = "mean-reversion"
    watches = "price"
    Params = MeanReversionParams
    params: MeanReversionParams

    def __init__(self, params: MeanReversionParams) -> None:
        super().__init__(params)
        self._tracks: dict[str, MeanReversionState] = {}
        self._exits = OrderThrottle(1_000)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        yield from self._look(view, ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Sample unchanged mids too, and close trades in time in quiet markets."""
        for ticker in view.tickers:
            yield from self._look(view, ticker)
        self.waiting = self._lacks(view)

    def _lacks(self, view: StrategyContext) -> str:
        """Return the progress of the market nearest to enough samples, and the number of others that wait."""
        counts = {ticker: len(self._tracks[ticker].mids) if ticker in self._tracks else 0 for ticker in view.tickers}
        few = [ticker for ticker, count in counts.items() if count < MIN_SAMPLES]
        if not few:
            return ""
        nearest = max(few, key=lambda ticker: counts[ticker])
        more = f", fewer in {len(few) - 1} others" if len(few) > 1 else ""
        return f"{counts[nearest]} of {MIN_SAMPLES} samples in {nearest}{more}"

    def _look(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        book = view.book(ticker)
        mid = book.mid if book.is_usable else None
        if mid is None:
            return
        track = self._tracks.setdefault(ticker, MeanReversionState(deque(maxlen=self.params.window)))
        self._sample(view, track, mid)
        if track.entered is not None or view.position(ticker) or view.orders(ticker):
            yield from self._tend(view, ticker, track, mid)
        elif track.usual is not None and view.now >= track.quiet_until:
            yield from self._enter(view, ticker, track, mid, track.usual)

    def _sample(self, view: StrategyContext, track: MeanReversionState, mid: Price) -> None:
        every_ms = self.params.sample_s * 1000
        is_back = view.now < track.sampled - AHEAD_MS
        if view.now - track.sampled < every_ms and not is_back:
            return
        if is_back or view.now - track.sampled > every_ms * self.params.window:
            track.mids.clear()  # a full window without data, or the clock was set back: discard the old mids
        track.sampled = view.now
        track.mids.append(mid)
        track.usual = _usual(track.mids)

    def _enter(
        self, view: StrategyContext, ticker: str, track: MeanReversionState, mid: Price, usual: MeanStats
    ) -> Iterator[Intent]:
        params, book = self.params, view.book(ticker)
        if abs(usual.z(mid)) < params.entry_z or abs(mid - usual.mean) < params.min_move:
            return
        side, price = (BID, book.best_bid) if mid < usual.mean else (ASK, book.best_ask)
        if price is None or not is_inside(price, params.min_price):
            return
        fair = Price(round(usual.mean))
        qty = view.size(ticker, side, price, fair, params.size)
        if not qty:
            return
        track.entered, track.entry = view.now, price
        reason = f"mid {show_price(mid)}, z {usual.z(mid):.1f} of {len(track.mids)}"
        yield Place(ticker, side, price, qty, fair=fair, reason=reason, post_only=True)

    def _tend(self, view: StrategyContext, ticker: str, track: MeanReversionState, mid: Price) -> Iterator[Intent]:
        """Manage an open trade: its resting entry, and the reasons to exit."""
        params, held, orders = self.params, view.position(ticker), view.orders(ticker)
        if track.entered is None:  # continued from an earlier run
            track.entered, track.entry = view.now, mid
        age_s = (view.now - track.entered) / 1000
        if not held and not orders:
            track.entered = None
            track.quiet_until = Ts(view.now + int(params.cooldown_s * 1000))
            return
        why = self._why_out(view, ticker, track, held, mid) if held else ""
        if orders and (why or age_s > params.rest_s):
            reason = why or "entry not filled in time"
            yield from cancel_all(orders, reason)
        elif why:
            yield from self._exits.send(view, exit_at_best(view, ticker, held, why))

    def _why_out(self, view: StrategyContext, ticker: str, track: MeanReversionState, held: Qty, mid: Price) -> str:
        """Return why a position should be closed, empty to keep it."""
        params, book = self.params, view.book(ticker)
        if track.entered is not None and view.now - track.entered >= params.hold_s * 1000:
            return "time"
        worth = book.best_bid if held > 0 else book.best_ask
        side = BID if held > 0 else ASK
        if worth is not None and side.sign * (track.entry - worth) >= params.stop:
            return "stop"
        is_back = track.usual is not None and side.sign * track.usual.z(mid) >= -params.exit_z
        return "returned to the mean" if is_back else ""


def _usual(mids: deque[Price]) -> MeanStats | None:
    if len(mids) < MIN_SAMPLES:
        return None
    mean = sum(mids) / len(mids)
    return MeanStats(mean, math.sqrt(sum((mid - mean) ** 2 for mid in mids) / len(mids)))
