"""Market making: quote both sides of a market around fair value, and lean against the position."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_CONTRACT, ONE_DOLLAR, Price, Qty, Ts, cents, contracts, show_price, show_qty
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.market.order_book import PriceLevel
from kalshi_cli.core.model.inputs import FairInput, Input
from kalshi_cli.core.model.intents import Amend, Cancel, Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule, Market
from kalshi_cli.core.model.messages import FairValue, PublicTrade
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, within
from kalshi_cli.strategies.order_edges import OrderThrottle, cancel_all, exit_at_best, is_inside

RETRY_MS = 10_000
"""The pause after the risk controls refused a request."""

TAKE_AGAIN_MS = 1_000
"""The pause after an exit order."""

READ_EVERY_S, VALID_S = 30.0, 300.0
"""How often the source of fair values is read, and how long each is valid; after that the order book decides."""

MAX_POINTS = 500
"""The most mids remembered per market; of a busier window, the newest."""


class MarketMakerParams(StrategyParams, frozen=True):
    """Parameters of `market-maker`. Prices are ten-thousandths of a dollar, entered as `0.01` or `1c`."""

    source: Annotated[str, about("source of fair values: a file, an https address, or `command:PROGRAM`")] = ""
    half_spread: Annotated[
        Price, within(1, 4_000, "minimum distance of an opening quote from fair value, after the maker fee")
    ] = Price(250)
    size: Annotated[Qty, within(1, 1_000_000, "contracts per quote")] = contracts(5)
    max_inventory: Annotated[Qty, within(1, 1_000_000, "maximum contracts per market, long or short")] = contracts(20)
    skew: Annotated[Price, within(1, 1_000, "shift of both quotes per contract held, against the position")] = Price(20)
    requote: Annotated[Price, within(1, 2_000, "move a quote only if it is off by this")] = cents(1)
    pause_s: Annotated[float, within(0, 600, "minimum time between moves toward the market")] = 5.0
    life_s: Annotated[float, within(5, 3_600, "expiration of a quote")] = 90.0
    smooth_s: Annotated[float, within(0.01, 600, "time constant of the smoothed microprice")] = 2.0
    min_spread: Annotated[Price, within(1, 5_000, "open nothing if the spread is narrower than this")] = cents(1)
    max_spread: Annotated[Price, within(1, 9_999, "... or wider than this")] = cents(10)
    min_price: Annotated[Price, within(1, 5_000, "... or if the fair value is closer than this to $0 or $1")] = cents(
        10
    )
    max_markets: Annotated[int, within(1, 100, "maximum markets with quotes or positions")] = 4
    stale_s: Annotated[float, within(0.5, 600, "cancel quotes if no order book changed for this long")] = 8.0
    jump: Annotated[Price, within(1, 9_999, "cancel quotes if the mid moved by this ...")] = cents(3)
    jump_s: Annotated[float, within(0.1, 600, "... within this many seconds")] = 10.0
    run: Annotated[int, within(2, 1_000, "cancel quotes after this many trades in a row on one side ...")] = 4
    run_s: Annotated[float, within(0.1, 600, "... if none is later than this after the last one")] = 5.0
    calm_s: Annotated[float, within(0, 3_600, "pause after such a move or series of trades")] = 15.0
    quiet_s: Annotated[float, within(0, 86_400, "open nothing this long before the close")] = 180.0
    exit_s: Annotated[float, within(0, 86_400, "close the position this long before the close")] = 60.0
    slippage: Annotated[Price, within(1, 5_000, "... but give up no more than this against fair value")] = cents(5)


class QuoteTarget(NamedTuple):
    """The desired quote of a side: `price` is `ideal` rounded to the grid.

    `most` is the largest quantity within the inventory limit.
    """

    ideal: int
    price: Price
    qty: Qty
    most: Qty


class MarketMakerState(msgspec.Struct):
    """The state of one market. `taker` is the side of the last trades, and `trades` their number in a row."""

    fair: float | None = None
    """The smoothed microprice at time `seen`."""
    seen: Ts = Ts(0)
    mids: deque[tuple[Ts, Price]] = msgspec.field(default_factory=lambda: deque(maxlen=MAX_POINTS))
    away_until: Ts = Ts(0)
    swing: tuple[Price, ...] = ()
    """The lowest and highest mid of the price jumps that it pauses for."""
    taker: Side = BID
    trades: int = 0
    traded: Ts = Ts(0)
    moved: dict[Side, Ts] = msgspec.field(default_factory=dict)
    again: dict[Side, Ts] = msgspec.field(default_factory=dict)
    leaving: set[str] = msgspec.field(default_factory=set)
    """Client order ids of quotes that are being canceled."""


class MarketMaker(Strategy):
    """Rest one post-only bid and one ask around fair value, and earn the difference if both trade.

    The fair value comes from an outside model if there is one, otherwise from the smoothed microprice of the external
    order book. Both quotes lean against the position; at `max_inventory` only the reducing side is quoted. A misplaced
    quote is amended, not replaced: it keeps its queue position until it is off by `requote`, and always when only its
    size falls or its life is extended. All quotes are canceled while the book is stale, after a jump of the mid, and
    after a series of trades on one side, which may be informed. Near the close it only closes its position.

    It loses money when prices move permanently faster than its quotes: it then buys falling markets and sells rising
    ones.
    """

    name = "market-maker"
    watches = "top"
    Params = MarketMakerParams
    params: MarketMakerParams

    def __init__(self, params: MarketMakerParams) -> None:
        super().__init__(params)
        self._tracks: dict[str, MarketMakerState] = {}
        self._active: set[str] = set()
        """Markets with orders, a position or a new request of this strategy."""
        self._changed = Ts(0)
        """The time of the last change of any book."""
        self._exits = OrderThrottle(TAKE_AGAIN_MS)

    def inputs(self) -> tuple[Input, ...]:
        source = self.params.source
        return (FairInput(source=source, every_s=READ_EVERY_S, valid_s=VALID_S),) if source else ()

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        self._changed = max(self._changed, view.book(ticker).ts)
        yield from self._decide(view, ticker)

    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterator[Intent]:
        self._note_changes(view)
        yield from self._decide(view, fair.ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Extend and cancel quotes without a new book too."""
        self._note_changes(view)
        for ticker in view.tickers:
            yield from self._decide(view, ticker)

    def _note_changes(self, view: StrategyContext) -> None:
        """Note the last change of any book, which may have been below its top."""
        self._changed = max(self._changed, *(view.book(ticker).ts for ticker in view.tickers))

    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterator[Intent]:
        """Count consecutive takers of one side; a taker that trades with several orders at once counts once."""
        if trade.is_block or trade.ticker not in self._tracks:
            return
        track, params = self._tracks[trade.ticker], self.params
        if trade.taker_side is track.taker and trade.ts - track.traded <= params.run_s * 1000:
            track.trades += trade.ts != track.traded
        else:
            track.taker, track.trades = trade.taker_side, 1
        track.traded = trade.ts
        if track.trades >= params.run:
            track.trades = 0
            track.away_until = Ts(view.now + int(params.calm_s * 1000))
            yield from self._pull(track, view.orders(trade.ticker), "series of trades on one side")

    def _decide(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        market, held, orders = view.market(ticker), view.position(ticker), view.orders(ticker)
        if held or orders:
            self._active.add(ticker)
        else:
            self._active.discard(ticker)
        if market is None or (ticker not in self._active and len(self._active) >= self.params.max_markets):
            return
        track = self._tracks.setdefault(ticker, MarketMakerState())
        track.leaving &= {order.client_order_id for order in orders}
        book = view.external_book(ticker)
        bid, ask = book.bid, book.ask
        self._remember(view.now, track, bid, ask)
        known = view.fair(ticker) if self.params.source else None  # another strategy's model does not apply
        fair = known
        if fair is None and track.fair is not None:
            known = Price(round(track.fair))
            fair = known if bid is not None and ask is not None else None
        is_last = market.close_time - view.now <= self.params.exit_s * 1000
        is_stale = self._is_stale(view, ticker)
        reasons = {"stale order book": is_stale, "market closes soon": is_last, "no bid or no ask": fair is None}
        why = next((reason for reason, is_so in reasons.items() if is_so), "")
        if self._is_toxic(view.now, track) and not why:
            why = "one-sided trading"
        if why or fair is None or any(order.tif is TimeInForce.IOC for order in orders):
            yield from self._pull(track, orders, why)
            if is_last and not is_stale and known is not None and held and not orders:
                yield from self._take(view, ticker, track, held, known)
            return
        may_open = self._may_open(view.now, market, fair, bid, ask)
        for side in (BID, ASK):
            wanted = self._wanted(view, ticker, side, fair, held, orders, may_open=may_open)
            own = [order for order in orders if order.side is side]
            yield from self._tend(view, ticker, side, track, own, wanted, fair, held)

    def _remember(self, now: Ts, track: MarketMakerState, bid: PriceLevel | None, ask: PriceLevel | None) -> None:
        """Update the smoothed microprice and the recent mids."""
        if bid is None or ask is None:
            return
        micro = (bid.price * ask.qty + ask.price * bid.qty) / (bid.qty + ask.qty)
        elapsed_s = max(0, now - track.seen) / 1000  # the clock may be set back
        weight = 1 - math.exp(-elapsed_s / self.params.smooth_s)
        track.fair = micro if track.fair is None else track.fair + weight * (micro - track.fair)
        track.seen = now
        mid = Price((bid.price + ask.price) // 2)
        if not track.mids or track.mids[-1][1] != mid:
            track.mids.append((now, mid))
        # The last one before the window is the mid at its start.
        while len(track.mids) > 1 and track.mids[1][0] <= now - self.params.jump_s * 1000:
            track.mids.popleft()

    def _is_stale(self, view: StrategyContext, ticker: str) -> bool:
        book = view.book(ticker)
        return not book.is_usable or book.is_crossed or view.now - self._changed > self.params.stale_s * 1000

    def _is_toxic(self, now: Ts, track: MarketMakerState) -> bool:
        """Return whether the mid has just jumped, or a pause is active."""
        mids = [mid for _, mid in track.mids]
        if now >= track.away_until:
            track.swing = ()
        if mids and max(mids) - min(mids) >= self.params.jump:
            swing = (*mids, *track.swing)
            track.swing = (min(swing), max(swing))
            track.away_until = Ts(now + int(self.params.calm_s * 1000))
            track.mids.clear()
            track.mids.append((now, mids[-1]))
        return now < track.away_until

    def _may_open(self, now: Ts, market: Market, fair: Price, bid: PriceLevel | None, ask: PriceLevel | None) -> bool:
        params = self.params
        if market.close_time - now <= params.quiet_s * 1000:
            return False
        if not is_inside(fair, params.min_price):
            return False
        return bid is not None and ask is not None and params.min_spread <= ask.price - bid.price <= params.max_spread

    def _wanted(
        self,
        view: StrategyContext,
        ticker: str,
        side: Side,
        fair: Price,
        held: Qty,
        orders: list[Order],
        *,
        may_open: bool,
    ) -> QuoteTarget | None:
        """Return the price and size of the quote on a side; None for no quote.

        The position shifts both prices against it, by at most the half spread: a position is never sold below fair
        value or bought above it. A quote on the reducing side never exceeds the position.
        """
        params, sign = self.params, side.sign
        lean = max(-params.half_spread, min(params.half_spread, params.skew * held // ONE_CONTRACT))
        price = fair - lean - sign * params.half_spread
        price -= sign * _fee(view.fees(ticker), price)
        book, other = view.book(ticker), [order.price for order in orders if order.side is not side]
        if side is BID:
            price = min([price, *(at - 1 for at in (book.best_ask, *other) if at is not None)])
        else:
            price = max([price, *(at + 1 for at in (book.best_bid, *other) if at is not None)])
        at = view.snap(ticker, side, price)
        if at is None:
            return None
        most, closing = Qty(params.max_inventory - held * sign), Qty(-held * sign)
        if closing > 0:
            return QuoteTarget(price, at, Qty(min(params.size, closing)), most if may_open else closing)
        qty = Qty(min(view.size(ticker, side, at, fair, params.size), most)) if may_open else Qty(0)
        return QuoteTarget(price, at, qty, most) if qty > 0 else None

    def _tend(
        self,
        view: StrategyContext,
        ticker: str,
        side: Side,
        track: MarketMakerState,
        own: list[Order],
        wanted: QuoteTarget | None,
        fair: Price,
        held: Qty,
    ) -> Iterator[Intent]:
        """Bring the quote of one side to its target with one order, amended if it can keep its queue position."""
        if wanted is None:
            yield from self._pull(track, own, "no quote on this side")
            return
        yield from self._pull(track, own[1:], "one quote per side")
        waits = view.now < track.again.get(side, 0)
        if not own:
            if waits:
                return
            self._active.add(ticker)
            reason = f"fair value {show_price(fair)}, position {show_qty(held)}"
            life = self.params.life_s
            yield Place(
                ticker, side, wanted.price, wanted.qty, fair=fair, reason=reason, post_only=True, expires_in_s=life
            )
            self._note(view, track, side, is_taken=any(order.side is side for order in view.orders(ticker)))
            return
        order = own[0]
        if order.client_order_id in track.leaving:
            yield Cancel(order.client_order_id, reason="leaving")  # the last cancel may have failed
        elif order.status is OrderStatus.RESTING:
            amend = self._amend(view.now, order, wanted, fair, track, waits=waits)
            if amend is not None:
                yield amend
                after = next((o for o in view.orders(ticker) if o.order_id == order.order_id), None)
                is_taken = after is None or after.status is not OrderStatus.RESTING
                self._note(view, track, side, is_taken=is_taken, is_move=amend.price != order.price)

    def _amend(
        self, now: Ts, order: Order, wanted: QuoteTarget, fair: Price, track: MarketMakerState, *, waits: bool
    ) -> Amend | None:
        """Return the amend of a quote, None to keep it.

        A move away from the market is sent at once, at the latest when half of the half spread is gone. A move toward
        it, or a larger size, loses the queue position and waits for a pause.
        """
        params, sign, left = self.params, order.side.sign, order.remaining
        off = (wanted.ideal - order.price) * sign
        if off <= -max(1, min(params.requote, params.half_spread // 2)):
            return Amend(order.order_id, wanted.price, Qty(min(left, wanted.qty)), fair=fair)
        if left > wanted.most:
            return Amend(order.order_id, order.price, wanted.qty, fair=fair)
        if waits:
            return None
        if now - track.moved.get(order.side, Ts(0)) >= params.pause_s * 1000 and (
            (off >= params.requote and wanted.price != order.price) or left * 2 < wanted.qty
        ):
            return Amend(order.order_id, wanted.price, wanted.qty, expires=self._ends(now, order), fair=fair)
        expires = self._ends(now, order)
        if expires is None:
            return None
        # A quote with too little edge gets no longer life at its price.
        price, qty = (wanted.price, Qty(min(left, wanted.qty))) if off < 0 else (order.price, left)
        return Amend(order.order_id, price, qty, expires=expires, fair=fair)

    def _ends(self, now: Ts, order: Order) -> Ts | None:
        """Return a later expiration once half of the life has passed, None to keep it."""
        life = int(self.params.life_s * 1000)
        return Ts(now + life) if order.expires is not None and order.expires - now < life // 2 else None

    def _note(
        self, view: StrategyContext, track: MarketMakerState, side: Side, *, is_taken: bool, is_move: bool = True
    ) -> None:
        """Start the pause that follows a request, depending on whether the risk controls accepted it."""
        if not is_taken:
            track.again[side] = Ts(view.now + RETRY_MS)
        elif is_move:
            track.moved[side] = view.now

    def _pull(self, track: MarketMakerState, orders: list[Order], reason: str) -> Iterator[Intent]:
        track.leaving.update(order.client_order_id for order in orders)
        yield from cancel_all(orders, reason)

    def _take(
        self, view: StrategyContext, ticker: str, track: MarketMakerState, held: Qty, fair: Price
    ) -> Iterator[Intent]:
        """Close the position at the best price if it is acceptable, at most once a second.

        The extremes of a price jump count as fair values until it lasts: a party that takes all other bids for a second
        could otherwise set the price.
        """
        place = exit_at_best(view, ticker, held, "market closes soon", fair)
        worst = max((fair, *track.swing)) if held > 0 else min((fair, *track.swing))
        if place is not None and (place.price - worst) * place.side.sign <= self.params.slippage:
            yield from self._exits.send(view, place)


def _fee(schedule: FeeSchedule, price: int) -> int:
    """Return the maker fee of one contract, rounded up to a price."""
    at = Price(max(1, min(ONE_DOLLAR - 1, price)))
    return -(-estimate(schedule, at, ONE_CONTRACT, is_taker=False) // ONE_CONTRACT)
