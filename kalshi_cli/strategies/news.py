"""News: trade on signals with a direction and a confidence, which decay over time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts, show_price
from kalshi_cli.core.model.inputs import Input, SignalInput
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.messages import NewsSignal
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.order_rate import AHEAD_MS
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies import order_edges
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, above, within

MAX_SIGNALS = 50
"""The most signals remembered per market; beyond it the oldest are dropped."""
MAX_IDS = 10_000
"""The most signal ids remembered to drop duplicates; beyond it the oldest are dropped."""

_SUREST = 0.999  # certainty would outweigh every later signal
_FULL = 10_000


class NewsParams(StrategyParams, frozen=True):
    """Parameters of `news`. Prices are ten-thousandths of a dollar, entered as `0.10` or `10c`."""

    source: Annotated[
        str,
        about("required, except in backtests: a file of JSON lines that grows, - for standard input, or webhook:PORT"),
    ] = ""
    from_start: Annotated[bool, about("true: also use the signals that are already in the file")] = False
    min_confidence: Annotated[float, within(0, 1, "ignore signals of less confidence")] = 0.0
    max_shift: Annotated[Price, within(1, 9_000, "shift of the fair value by a signal of full confidence")] = cents(10)
    half_life_s: Annotated[float, within(1, 604_800, "half-life of a signal")] = 120.0
    edge: Annotated[Price, within(1, 5_000, "minimum edge to open, after fees")] = cents(3)
    exit_strength: Annotated[float, above(0, 1, "exit when the remaining signal strength falls below this")] = 0.1
    target: Annotated[Price, within(10, 9_000, "take profit from the entry")] = cents(5)
    stop: Annotated[Price, within(10, 9_000, "stop loss from the entry")] = cents(8)
    hold_s: Annotated[float, within(1, 604_800, "maximum holding time")] = 600.0
    rest_s: Annotated[float, within(1, 3_600, "cancel an unfilled entry after this time")] = 10.0
    size: Annotated[Qty, within(1, 1_000_000, "contracts per order")] = contracts(5)
    max_markets: Annotated[int, within(1, 1_000, "maximum markets with orders or positions")] = 10
    min_price: Annotated[Price, within(1, 5_000, "no entry closer than this to $0 or $1")] = cents(5)


class ReceivedSignal(NamedTuple):
    """A signal: its time, and its confidence, negative for NO."""

    ts: Ts
    confidence: float


class NewsState(msgspec.Struct):
    """The state of a market with news: its mid before the first signal, and the open trade if any."""

    base: Price
    signals: deque[ReceivedSignal]
    entered: Ts | None = None
    entry: Price = Price(0)


class News(Strategy):
    """Shift the mid from before the news by the signals, and trade while that beats the price after fees.

    A signal of confidence c shifts the fair value by `max_shift` x c, and by half of that after `half_life_s` seconds.
    Several signals add up as log-odds: agreeing ones count more than each alone but never exceed certainty, and
    opposite ones cancel. Entries take liquidity. The position is closed at the target, at the stop, after `hold_s`
    seconds, or once the signals have decayed. Its signals are then forgotten, so the same news does not open the market
    again.
    """

    name = "news"
    watches = "price"
    Params = NewsParams
    params: NewsParams

    def __init__(self, params: NewsParams) -> None:
        super().__init__(params)
        self._throttle = order_edges.OrderThrottle()
        self._tracks: dict[str, NewsState] = {}
        self._ids: dict[str, None] = {}

    def inputs(self) -> tuple[Input, ...]:
        return (SignalInput(source=self.params.source, from_start=self.params.from_start),)

    def on_signal(self, view: StrategyContext, signal: NewsSignal) -> Iterator[Intent]:
        if signal.signal_id in self._ids:
            return
        self._ids[signal.signal_id] = None
        if len(self._ids) > MAX_IDS:
            del self._ids[next(iter(self._ids))]
        if signal.confidence < self.params.min_confidence * _FULL:
            return
        confidence = min(_SUREST, max(0.0, signal.confidence / _FULL)) * signal.side.sign
        said = min(signal.ts, view.now)
        for ticker in view.tickers:
            if _is_about(signal.ticker, ticker) and self._add(view, ticker, ReceivedSignal(said, confidence)):
                yield from self._decide(view, ticker)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        if ticker in self._tracks or view.position(ticker):
            yield from self._decide(view, ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Decide without a new book too, because signals decay and time passes."""
        for ticker in view.tickers:
            if ticker in self._tracks or view.position(ticker):
                yield from self._decide(view, ticker)

    def _add(self, view: StrategyContext, ticker: str, signal: ReceivedSignal) -> bool:
        """Remember a signal if the price before it is known; otherwise its effect cannot be judged."""
        track = self._tracks.get(ticker)
        if track is None:
            book = view.book(ticker)
            if book.mid is None or not book.is_usable:
                return False
            track = self._tracks[ticker] = NewsState(book.mid, deque(maxlen=MAX_SIGNALS))
        track.signals.append(signal)
        return True

    def strength(self, track: NewsState, now: Ts) -> float:
        """Return the remaining strength of all signals, from -1 (NO for certain) to 1 (YES for certain).

        Signals from before the clock was set back have an unknown age and do not count.
        """
        odds = 0.0
        for ts, confidence in track.signals:
            if now < ts - AHEAD_MS:
                continue
            left = 0.5 ** (max(0, now - ts) / 1000 / self.params.half_life_s)
            odds += math.atanh(confidence * left)  # half of the log-odds of (1 + confidence) / 2
        return math.tanh(odds)

    def _fair(self, track: NewsState, now: Ts) -> Price:
        shifted = track.base + round(self.params.max_shift * self.strength(track, now))
        return Price(max(1, min(ONE_DOLLAR - 1, shifted)))

    def _decide(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        track, held, orders = self._tracks.get(ticker), view.position(ticker), view.orders(ticker)
        if track is None:  # continued from an earlier run, whose news are unknown
            track = self._tracks[ticker] = NewsState(view.book(ticker).mid or Price(ONE_DOLLAR // 2), deque(maxlen=1))
        if track.entered is None and (held or orders):
            track.entered, track.entry = view.now, track.entry or view.book(ticker).mid or track.base
        why = self._why_out(view, ticker, track, held) if held else ""
        fair = self._fair(track, view.now)
        for order in orders:
            reason = why or order_edges.cancel_reason(view, order, fair, self.params.rest_s)
            if reason:
                yield Cancel(order.client_order_id, reason=reason)
        if orders or self._throttle.is_waiting(view, ticker):
            return
        if held:
            yield from self._throttle.send(view, order_edges.exit_at_best(view, ticker, held, why) if why else None)
        elif track.entered is not None or abs(self.strength(track, view.now)) < self.params.exit_strength:
            del self._tracks[ticker]  # the trade is over, or the signals have decayed
        else:
            yield from self._throttle.send(view, self._enter(view, ticker, track, fair))

    def _enter(self, view: StrategyContext, ticker: str, track: NewsState, fair: Price) -> Place | None:
        """Return an order that takes the side of the signals; its unfilled part rests for a while."""
        book, params, strength = view.book(ticker), self.params, self.strength(track, view.now)
        side, price = (BID, book.best_ask) if strength > 0 else (ASK, book.best_bid)
        if price is None or not book.is_usable or not order_edges.is_inside(price, params.min_price):
            return None
        others = (other for other in view.tickers if other != ticker)
        is_low = order_edges.edge_after_fee(view, ticker, side, price, fair) < params.edge
        if is_low or order_edges.count_active(view, others) >= params.max_markets:
            return None
        qty = view.size(ticker, side, price, fair, params.size)
        if not qty:
            return None
        track.entry = price
        moved = f"{show_price(track.base)} to {show_price(fair)}"
        return Place(
            ticker, side, price, qty, fair=fair, reason=f"news moved fair value from {moved}, strength {strength:.2f}"
        )

    def _why_out(self, view: StrategyContext, ticker: str, track: NewsState, held: Qty) -> str:
        """Return why a position should be closed, empty to keep it."""
        params, book, sign = self.params, view.book(ticker), 1 if held > 0 else -1
        price = book.best_bid if held > 0 else book.best_ask
        gained = None if price is None else (price - track.entry) * sign
        if track.entered is not None and view.now - track.entered >= params.hold_s * 1000:
            return "time"
        if gained is not None and gained <= -params.stop:
            return "stop"
        if gained is not None and gained >= params.target:
            return "target"
        return "signal expired" if self.strength(track, view.now) * sign < params.exit_strength else ""


def _is_about(named: str, ticker: str) -> bool:
    """Return whether a signal is about a market; `KXFED*` matches every ticker with that prefix."""
    return ticker.startswith(named[:-1]) if named.endswith("*") else ticker == named
