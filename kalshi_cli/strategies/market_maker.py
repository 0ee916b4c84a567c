"""Quote both sides of a market around what it is worth, and lean against what is held."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_CONTRACT, ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.market.order_book import OrderBook, PriceLevel
from kalshi_cli.core.model.inputs import FairInput, Input
from kalshi_cli.core.model.intents import Amend, Cancel, Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule, Market
from kalshi_cli.core.model.messages import FairValue, PublicTrade
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, within
from kalshi_cli.strategies.order_edges import exit_at_best

RETRY_MS = 10_000
"""What the controls refused is asked for again after this long."""

TAKE_AGAIN_MS = 1_000
READ_EVERY_S, VALID_S = 30.0, 300.0
"""How often fair values of the source are read, and how long each is believed: after that it is the book again."""

MAX_POINTS = 500
"""Mids remembered per market; of a busier window the newest."""


class MarketMakerParams(StrategyParams, frozen=True):
    """Prices in ten-thousandths of a dollar inside; typed as dollars or cents (`requote=0.01`, `requote=1c`)."""

    source: Annotated[str, about("fair values to believe: a file, an https address, `command:PROGRAM`")] = ""
    half_spread: Annotated[
        Price, within(1, 4_000, "a quote that opens is better than fair by this, after a maker's fee")
    ] = Price(250)
    size: Annotated[Qty, within(1, 1_000_000, "contracts a quote")] = contracts(5)
    max_inventory: Annotated[Qty, within(1, 1_000_000, "contracts held in a market at most, long or short")] = (
        contracts(20)
    )
    skew: Annotated[Price, within(1, 1_000, "both quotes lean by this for each contract held, against it")] = Price(20)
    requote: Annotated[Price, within(1, 2_000, "a quote moves only where it is off by this")] = cents(1)
    pause_s: Annotated[float, within(0, 600, "it moves towards the market no sooner than this after its last move")] = (
        5.0
    )
    life_s: Annotated[float, within(5, 3_600, "a quote that nobody looks after expires after this")] = 90.0
    smooth_s: Annotated[float, within(0.01, 600, "time constant of the smoothed microprice")] = 2.0
    min_spread: Annotated[Price, within(1, 5_000, "where the others' bid and ask are closer, nothing is opened")] = (
        cents(1)
    )
    max_spread: Annotated[Price, within(1, 9_999, "... nor where they are further apart")] = cents(10)
    min_price: Annotated[Price, within(1, 5_000, "... nor where fair is nearer to 0 or 1")] = cents(10)
    max_markets: Annotated[int, within(1, 100, "markets with quotes or positions at once")] = 4
    stale_s: Annotated[float, within(0.5, 600, "pull where no book has changed for this long")] = 8.0
    jump: Annotated[Price, within(1, 9_999, "pull where the mid moved by this ...")] = cents(3)
    jump_s: Annotated[float, within(0.1, 600, "... within this many seconds")] = 10.0
    run: Annotated[int, within(2, 1_000, "pull after so many trades in a row on one side ...")] = 4
    run_s: Annotated[float, within(0.1, 600, "... none longer than this after the last")] = 5.0
    calm_s: Annotated[float, within(0, 3_600, "stay away so long after such a jump or run")] = 15.0
    quiet_s: Annotated[float, within(0, 86_400, "open nothing so long before the close")] = 180.0
    exit_s: Annotated[float, within(0, 86_400, "take what is there so long before the close")] = 60.0
    slippage: Annotated[Price, within(1, 5_000, "... but give way by no more than this against fair")] = cents(5)


class QuoteTarget(NamedTuple):
    """What should rest on a side: at `ideal`, which `price` is on the grid.

    `most` is how much may rest there without passing the limit of inventory.
    """

    ideal: int
    price: Price
    qty: Qty
    most: Qty


class MarketMakerState(msgspec.Struct):
    """What is remembered of one market. `taker` is the side of the last trades, `trades` how many in a row."""

    fair: float | None = None
    """The smoothed microprice, as of `seen`."""
    seen: Ts = Ts(0)
    mids: deque[tuple[Ts, Price]] = msgspec.field(default_factory=lambda: deque(maxlen=MAX_POINTS))
    away_until: Ts = Ts(0)
    swing: tuple[Price, ...] = ()
    """The lowest and the highest mid of the jumps that it stays away for."""
    taker: Side = BID
    trades: int = 0
    traded: Ts = Ts(0)
    moved: dict[Side, Ts] = msgspec.field(default_factory=dict)
    again: dict[Side, Ts] = msgspec.field(default_factory=dict)
    leaving: set[str] = msgspec.field(default_factory=set)
    """Client order ids of quotes whose cancel was asked for: nothing else is wanted of them."""
    taken: Ts = Ts(0)


class MarketMaker(Strategy):
    """Rests one bid and one ask around fair, post-only, and earns the difference where both trade.

    Fair is what an outside model says, where there is one, else the smoothed microprice of the others' book. Both
    quotes lean against what is held; at `max_inventory` only the side that reduces it is quoted. A quote that should
    stand elsewhere is amended, never replaced: until it is off by `requote` it keeps its place in the queue, and a
    smaller size or a longer life never costs it. All quotes are pulled while the book is stale, after a jump of the
    mid, and after a run of trades on one side: who trades then may know more. Before the close it only gets rid of
    what it holds.

    It loses where prices move for good faster than its quotes do: then it buys what falls and sells what rises.
    """

    name = "market-maker"
    Params = MarketMakerParams
    params: MarketMakerParams

    def __init__(self, params: MarketMakerParams) -> None:
        super().__init__(params)
        self._tracks: dict[str, MarketMakerState] = {}
        self._active: set[str] = set()
        """Markets in which it had orders or a position when it last looked, or asked for an order since."""
        self._changed = Ts(0)
        """When any book last changed."""

    def inputs(self) -> tuple[Input, ...]:
        source = self.params.source
        return (FairInput(source=source, every_s=READ_EVERY_S, valid_s=VALID_S),) if source else ()

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        self._changed = max(self._changed, view.book(ticker).ts)
        yield from self._decide(view, ticker)

    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterator[Intent]:
        yield from self._decide(view, fair.ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Lives are prolonged, and what grew stale is pulled, also where no book moves."""
        for ticker in view.tickers:
            yield from self._decide(view, ticker)

    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterator[Intent]:
        """Count takers of one side in a row: one that trades with many at once is one."""
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
            yield from self._pull(track, view.orders(trade.ticker), "a run of trades on one side")

    # -- what should be ---------------------------------------------------------------------------------------------

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
        bid, ask = _others(view.book(ticker), orders)
        self._remember(view.now, track, bid, ask)
        known = view.fair(ticker) if self.params.source else None  # another strategy's model is not its own
        fair = known
        if fair is None and track.fair is not None:
            known = Price(round(track.fair))
            fair = known if bid is not None and ask is not None else None
        is_last = market.close_time - view.now <= self.params.exit_s * 1000
        is_stale = self._is_stale(view, ticker)
        why = "stale book" if is_stale else "close is near" if is_last else "" if fair is not None else "no two sides"
        if self._is_toxic(view.now, track) and not why:
            why = "the flow is toxic"
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
        """Move the smoothed microprice, and keep the mids of the last while."""
        if bid is None or ask is None:
            return
        micro = (bid.price * ask.qty + ask.price * bid.qty) / (bid.qty + ask.qty)
        elapsed_s = max(0, now - track.seen) / 1000  # a clock that was set goes back
        weight = 1 - math.exp(-elapsed_s / self.params.smooth_s)
        track.fair = micro if track.fair is None else track.fair + weight * (micro - track.fair)
        track.seen = now
        mid = Price((bid.price + ask.price) // 2)
        if not track.mids or track.mids[-1][1] != mid:
            track.mids.append((now, mid))
        # The last one before the window still says what the mid was when the window began.
        while len(track.mids) > 1 and track.mids[1][0] <= now - self.params.jump_s * 1000:
            track.mids.popleft()

    def _is_stale(self, view: StrategyContext, ticker: str) -> bool:
        book = view.book(ticker)
        return not book.is_usable or book.is_crossed or view.now - self._changed > self.params.stale_s * 1000

    def _is_toxic(self, now: Ts, track: MarketMakerState) -> bool:
        """Whether the mid has just jumped, or something else told it to stay away for a while."""
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
        if not params.min_price <= fair <= ONE_DOLLAR - params.min_price:
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
        """Price and size of the quote on a side; None where there should be none.

        What it holds moves both prices against it, by no more than the half spread: nothing is sold below fair, or
        bought above, to get rid of it. A quote on the side that reduces is never for more than is held.
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

    # -- getting there ----------------------------------------------------------------------------------------------

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
        """Bring one side to what is wanted: one order, amended where that is worth its place in the queue."""
        if wanted is None:
            yield from self._pull(track, own, "nothing wanted on this side")
            return
        yield from self._pull(track, own[1:], "one quote a side")
        waits = view.now < track.again.get(side, 0)
        if not own:
            if waits:
                return
            self._active.add(ticker)
            reason = f"worth {fair / 100:g}c, holds {held / ONE_CONTRACT:g}"
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
        """What to change of a quote; None to leave it where it is.

        Away from the market it goes at once, at the latest when half of its half spread is gone; towards it, or larger,
        only after a pause, for that costs its place.
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
        # What rests with too little of an edge gets no longer life there.
        price, qty = (wanted.price, Qty(min(left, wanted.qty))) if off < 0 else (order.price, left)
        return Amend(order.order_id, price, qty, expires=expires, fair=fair)

    def _ends(self, now: Ts, order: Order) -> Ts | None:
        """A new end, once half of a life is over; None to leave it."""
        life = int(self.params.life_s * 1000)
        return Ts(now + life) if order.expires is not None and order.expires - now < life // 2 else None

    def _note(
        self, view: StrategyContext, track: MarketMakerState, side: Side, *, is_taken: bool, is_move: bool = True
    ) -> None:
        """Whether the controls let it pass decides when it may be asked for again."""
        if not is_taken:
            track.again[side] = Ts(view.now + RETRY_MS)
        elif is_move:
            track.moved[side] = view.now

    def _pull(self, track: MarketMakerState, orders: Iterable[Order], reason: str) -> Iterator[Intent]:
        for order in orders:
            track.leaving.add(order.client_order_id)
            yield Cancel(order.client_order_id, reason=reason)

    def _take(
        self, view: StrategyContext, ticker: str, track: MarketMakerState, held: Qty, fair: Price
    ) -> Iterator[Intent]:
        """Get out at the price that is there, if it is not too bad; not more than once a second. What a jump says that
        it is worth counts once it lasts: whoever takes all other bids for a second would name the price.
        """
        place = exit_at_best(view, ticker, held, "close is near", fair)
        worth = max((fair, *track.swing)) if held > 0 else min((fair, *track.swing))
        if place is None or (place.price - worth) * place.side.sign > self.params.slippage:
            return
        if abs(view.now - track.taken) >= TAKE_AGAIN_MS:  # a clock that was set goes back
            track.taken = view.now
            yield place


def _fee(schedule: FeeSchedule, price: int) -> int:
    """What a maker pays for one contract, rounded up to a price."""
    at = Price(max(1, min(ONE_DOLLAR - 1, price)))
    return -(-estimate(schedule, at, ONE_CONTRACT, is_taker=False) // ONE_CONTRACT)


def _others(book: OrderBook, orders: list[Order]) -> tuple[PriceLevel | None, PriceLevel | None]:
    """Best bid and ask without our own orders.

    A book that does not show them (on paper, or a moment ago) may lose as much of others' there: their price counts a
    little less, never more.
    """
    if not book.is_usable:
        return None, None
    own: dict[tuple[Side, Price], int] = {}
    for order in orders:
        own[order.side, order.price] = own.get((order.side, order.price), 0) + order.remaining
    found: list[PriceLevel | None] = []
    for side, best in ((BID, book.bid), (ASK, book.ask)):
        ours = own.get((side, best.price), 0) if best is not None else 0
        if best is not None and ours == best.qty:
            best = next((PriceLevel(*level) for level in book.levels(side, 2)[1:]), None)
        elif best is not None and ours < best.qty:
            best = PriceLevel(best.price, Qty(best.qty - ours))
        found.append(best)
    return found[0], found[1]
