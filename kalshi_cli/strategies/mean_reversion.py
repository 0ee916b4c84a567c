"""Trade a market that is unusually far from its own mean back towards it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.state import AHEAD_MS
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, above, within
from kalshi_cli.strategies.order_edges import exit_at_best

MIN_SAMPLES = 30
"""Of fewer mids neither a mean nor a deviation says anything: nothing is traded."""

TAKE_AGAIN_MS = 1_000


class MeanReversionParams(StrategyParams, frozen=True):
    """Prices in ten-thousandths of a dollar inside; typed as dollars or cents (`min_move=0.03`, `min_move=3c`)."""

    window: Annotated[int, within(MIN_SAMPLES, 5_000, "the mean is that of so many mids")] = 120
    sample_s: Annotated[float, within(0.1, 600, "seconds from one of these mids to the next")] = 2.0
    entry_z: Annotated[float, above(0, 20, "enter so many standard deviations from the mean, or more")] = 2.0
    exit_z: Annotated[float, within(0, 20, "get out as near as so many; below entry_z, or it gets out at once")] = 0.5
    min_move: Annotated[Price, within(10, 5_000, "enter no nearer to the mean than this")] = cents(3)
    size: Annotated[Qty, within(1, 1_000_000, "contracts an order")] = contracts(5)
    stop: Annotated[Price, within(10, 9_000, "get out this far against the entry")] = cents(8)
    hold_s: Annotated[float, within(1, 86_400, "get out after this many seconds")] = 180.0
    rest_s: Annotated[float, within(1, 3_600, "take back an unfilled entry after this long")] = 20.0
    cooldown_s: Annotated[float, within(0, 86_400, "leave the market alone after an exit")] = 30.0
    min_price: Annotated[Price, within(1, 5_000, "no entry nearer than this to 0 or 1")] = cents(5)


class MeanStats(NamedTuple):
    """Where the mid usually is, and how far it usually is from there; both in ten-thousandths of a dollar."""

    mean: float
    deviation: float

    def z(self, mid: Price) -> float:
        """How unusual a mid is: in standard deviations, below zero under the mean. Where nothing moves, nothing is."""
        return (mid - self.mean) / self.deviation if self.deviation else 0.0


class MeanReversionState(msgspec.Struct):
    """What is remembered of one market: its mids, and the open trade if any."""

    mids: deque[Price]
    usual: MeanStats | None = None
    """Of these mids; None while there are too few to say."""
    sampled: Ts = Ts(0)
    entered: Ts | None = None
    entry: Price = Price(0)
    taken: Ts = Ts(0)
    quiet_until: Ts = Ts(0)


class MeanReversion(Strategy):
    """Buy what is `entry_z` standard deviations below the mean of its last mids, sell what is as far above it.

    It believes in that mean, enters post-only at the near side of the book, and takes what is there to get out: once
    the mid is back within `exit_z`, at the stop, or after `hold_s`. Where a market found a new price for a good reason,
    the mean is wrong and the stop is what it costs.
    """

    name = "mean-reversion"
    Params = MeanReversionParams
    params: MeanReversionParams

    def __init__(self, params: MeanReversionParams) -> None:
        super().__init__(params)
        self._tracks: dict[str, MeanReversionState] = {}

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        yield from self._look(view, ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """A mid that stands still counts for as long as it stands, and time ends a trade in a quiet market, too."""
        for ticker in view.tickers:
            yield from self._look(view, ticker)
        self.waiting = self._lacks(view)

    def _lacks(self, view: StrategyContext) -> str:
        """The market that is nearest to enough samples, and how many others have too few."""
        counts = {ticker: len(self._tracks[ticker].mids) if ticker in self._tracks else 0 for ticker in view.tickers}
        few = [ticker for ticker, count in counts.items() if count < MIN_SAMPLES]
        if not few:
            return ""
        nearest = max(few, key=lambda ticker: counts[ticker])
        more = f", no more in {len(few) - 1} others" if len(few) > 1 else ""
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
            track.mids.clear()  # a whole window of silence, or a clock set back: what was before says nothing of now
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
        if price is None or not params.min_price <= price <= ONE_DOLLAR - params.min_price:
            return
        fair = Price(round(usual.mean))
        qty = view.size(ticker, side, price, fair, params.size)
        if not qty:
            return
        track.entered, track.entry = view.now, price
        reason = f"mid {mid / 100:g}c, z {usual.z(mid):.1f} of {len(track.mids)}"
        yield Place(ticker, side, price, qty, fair=fair, reason=reason, post_only=True)

    def _tend(self, view: StrategyContext, ticker: str, track: MeanReversionState, mid: Price) -> Iterator[Intent]:
        """Look after an open trade: the entry that rests, and the reasons to get out."""
        params, held, orders = self.params, view.position(ticker), view.orders(ticker)
        if track.entered is None:  # taken over from an earlier run
            track.entered, track.entry = view.now, mid
        age_s = (view.now - track.entered) / 1000
        if not held and not orders:
            track.entered = None
            track.quiet_until = Ts(view.now + int(params.cooldown_s * 1000))
            return
        why = self._why_out(view, ticker, track, held, mid) if held else ""
        if orders and (why or age_s > params.rest_s):
            reason = why or "entry not filled in time"
            yield from (Cancel(order.client_order_id, reason=reason) for order in orders)
        elif why:
            yield from _take(view, ticker, track, held, why)

    def _why_out(self, view: StrategyContext, ticker: str, track: MeanReversionState, held: Qty, mid: Price) -> str:
        """Why a position should be closed; empty where it should not."""
        params, book = self.params, view.book(ticker)
        if track.entered is not None and view.now - track.entered >= params.hold_s * 1000:
            return "time"
        worth = book.best_bid if held > 0 else book.best_ask
        side = BID if held > 0 else ASK
        if worth is not None and side.sign * (track.entry - worth) >= params.stop:
            return "stop"
        is_back = track.usual is not None and side.sign * track.usual.z(mid) >= -params.exit_z
        return "back at its mean" if is_back else ""


def _usual(mids: deque[Price]) -> MeanStats | None:
    if len(mids) < MIN_SAMPLES:
        return None
    mean = sum(mids) / len(mids)
    return MeanStats(mean, math.sqrt(sum((mid - mean) ** 2 for mid in mids) / len(mids)))


def _take(view: StrategyContext, ticker: str, track: MeanReversionState, held: Qty, why: str) -> Iterator[Intent]:
    """Leave at the price that is there; not more than once a second."""
    place = exit_at_best(view, ticker, held, why)
    if place is not None and abs(view.now - track.taken) >= TAKE_AGAIN_MS:
        track.taken = view.now
        yield place
