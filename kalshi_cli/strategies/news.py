"""Trade on news: signals with a direction and a confidence, which wear off."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.inputs import Input, SignalInput
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.messages import NewsSignal
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.state.state import AHEAD_MS
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, above, within
from kalshi_cli.strategies.order_edges import edge_after_fee, exit_at_best

RETRY_MS = 3_000
"""After an order in a market the next one is not before this, whatever became of it."""
MAX_SIGNALS = 50
"""Signals remembered per market; of more the oldest go."""
MAX_IDS = 10_000
"""Ids of signals that were heard already; of more the oldest go."""

_SUREST = 0.999  # certainty would outweigh all that is heard later
_FULL = 10_000


class NewsParams(StrategyParams, frozen=True):
    """Prices in ten-thousandths of a dollar inside; typed as dollars or cents (`max_shift=0.10`, `max_shift=10c`)."""

    source: Annotated[str, about("must be given: a file of JSON lines that grows, - for stdin, or webhook:PORT")]
    from_start: Annotated[bool, about("true: also what the file held before the start, as if it were new")] = False
    max_shift: Annotated[Price, within(1, 9_000, "a signal of full confidence moves the fair value so far")] = cents(10)
    half_life_s: Annotated[float, within(1, 604_800, "after so long a signal counts half")] = 120.0
    edge: Annotated[Price, within(1, 5_000, "open at this edge after fees, or more")] = cents(3)
    exit_strength: Annotated[
        float, above(0, 1, "get out when so little is left of the signals, in the direction held")
    ] = 0.1
    target: Annotated[Price, within(10, 9_000, "take profit so far from the entry")] = cents(5)
    stop: Annotated[Price, within(10, 9_000, "get out so far against the entry")] = cents(8)
    hold_s: Annotated[float, within(1, 604_800, "get out after so long")] = 600.0
    rest_s: Annotated[float, within(1, 3_600, "take back an unfilled entry after so long")] = 10.0
    size: Annotated[Qty, within(1, 1_000_000, "contracts an order")] = contracts(5)
    max_markets: Annotated[int, within(1, 1_000, "markets with orders or positions at once")] = 10
    min_price: Annotated[Price, within(1, 5_000, "no entry nearer than this to 0 or 1")] = cents(5)


class ReceivedSignal(NamedTuple):
    """A signal: when it became known, and how sure; below zero where it speaks for NO."""

    ts: Ts
    confidence: float


class NewsState(msgspec.Struct):
    """A market that there was news about: its mid before the first of the signals, and the open trade if any."""

    base: Price
    signals: deque[ReceivedSignal]
    entered: Ts | None = None
    entry: Price = Price(0)
    again: Ts = Ts(0)


class News(Strategy):
    """Move the mid from before the news by what the signals say, and trade while that beats the price after fees.

    A signal of confidence c is worth `max_shift` x c, half of that after `half_life_s`. Several add up as log-odds, so
    that two agreeing ones count for more than either and never for more than certainty; opposite ones cancel. It takes
    what is there; it gets out at the target, at the stop, after `hold_s`, or once the signals have worn off. Signals
    that were traded on are then forgotten: the same news does not open the market again.
    """

    name = "news"
    Params = NewsParams
    params: NewsParams

    def __init__(self, params: NewsParams) -> None:
        super().__init__(params)
        if not params.source.strip():
            raise UsageError(
                "strategy news: source: names nothing",
                hint="for example --param source=signals.jsonl", code="bad_parameter",
            )  # fmt: skip
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
        confidence = min(_SUREST, max(0.0, signal.confidence / _FULL)) * signal.side.sign
        said = min(signal.ts, view.now)
        for ticker in view.tickers:
            if _is_about(signal.ticker, ticker) and self._hear(view, ticker, ReceivedSignal(said, confidence)):
                yield from self._decide(view, ticker)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        if ticker in self._tracks or view.position(ticker):
            yield from self._decide(view, ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Signals wear off, and time passes, also where no book moves."""
        for ticker in view.tickers:
            if ticker in self._tracks or view.position(ticker):
                yield from self._decide(view, ticker)

    # -- what was heard -------------------------------------------------------------------------------------------

    def _hear(self, view: StrategyContext, ticker: str, heard: ReceivedSignal) -> bool:
        """Remember it, where the price from before it is known: without one nobody can say what it changes."""
        track = self._tracks.get(ticker)
        if track is None:
            book = view.book(ticker)
            if book.mid is None or not book.is_usable:
                return False
            track = self._tracks[ticker] = NewsState(book.mid, deque(maxlen=MAX_SIGNALS))
        track.signals.append(heard)
        return True

    def strength(self, track: NewsState, now: Ts) -> float:
        """What is left of the signals together, from -1 (NO for certain) to 1 (YES for certain). Of those from before
        the clock was set back nobody knows how old they are.
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

    # -- what is done ---------------------------------------------------------------------------------------------

    def _decide(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        track, held, orders = self._tracks.get(ticker), view.position(ticker), view.orders(ticker)
        if track is None:  # taken over from an earlier run: whatever news it was for is not known any more
            track = self._tracks[ticker] = NewsState(view.book(ticker).mid or Price(ONE_DOLLAR // 2), deque(maxlen=1))
        if track.entered is None and (held or orders):
            track.entered, track.entry = view.now, track.entry or view.book(ticker).mid or track.base
        why = self._why_out(view, ticker, track, held) if held else ""
        for order in orders:
            is_late = view.now - order.created > self.params.rest_s * 1000
            is_gone = self._edge(view, ticker, order.side, order.price, track) <= 0
            if why or is_late or is_gone:
                reason = why or ("entry not filled in time" if is_late else "the edge is gone")
                yield Cancel(order.client_order_id, reason=reason)
        if orders or 0 < track.again - view.now <= RETRY_MS:  # not after a clock was set back
            return
        intent = None
        if held:
            intent = exit_at_best(view, ticker, held, why) if why else None
        elif track.entered is not None or abs(self.strength(track, view.now)) < self.params.exit_strength:
            del self._tracks[ticker]  # the trade is over, or what was heard has worn off
            return
        else:
            intent = self._enter(view, ticker, track)
        if intent is not None:
            track.again = Ts(view.now + RETRY_MS)
            yield intent

    def _enter(self, view: StrategyContext, ticker: str, track: NewsState) -> Place | None:
        """Take what is there in the direction of the signals; what of it is not there rests for a while."""
        book, params, strength = view.book(ticker), self.params, self.strength(track, view.now)
        side, price = (BID, book.best_ask) if strength > 0 else (ASK, book.best_bid)
        if price is None or not book.is_usable or not params.min_price <= price <= ONE_DOLLAR - params.min_price:
            return None
        edge, fair = self._edge(view, ticker, side, price, track), self._fair(track, view.now)
        if edge < params.edge or self._busy(view, ticker) >= params.max_markets:
            return None
        qty = view.size(ticker, side, price, fair, params.size)
        if not qty:
            return None
        track.entry = price
        reason = f"news moved {track.base / 100:g}c to {fair / 100:g}c, strength {strength:.2f}"
        return Place(ticker, side, price, qty, fair=fair, reason=reason)

    def _why_out(self, view: StrategyContext, ticker: str, track: NewsState, held: Qty) -> str:
        """Why a position should be closed; empty where it should not."""
        params, book, sign = self.params, view.book(ticker), 1 if held > 0 else -1
        price = book.best_bid if held > 0 else book.best_ask
        gained = None if price is None else (price - track.entry) * sign
        if track.entered is not None and view.now - track.entered >= params.hold_s * 1000:
            return "time"
        if gained is not None and gained <= -params.stop:
            return "stop"
        if gained is not None and gained >= params.target:
            return "target"
        return "worn off" if self.strength(track, view.now) * sign < params.exit_strength else ""

    def _edge(self, view: StrategyContext, ticker: str, side: Side, price: Price, track: NewsState) -> int:
        return edge_after_fee(view, ticker, side, price, self._fair(track, view.now), is_taker=True)

    def _busy(self, view: StrategyContext, ticker: str) -> int:
        others = (other for other in view.tickers if other != ticker)
        return sum(bool(view.position(other) or view.orders(other)) for other in others)


def _is_about(named: str, ticker: str) -> bool:
    """`KXFED*` names every market whose ticker begins so."""
    return ticker.startswith(named[:-1]) if named.endswith("*") else ticker == named
