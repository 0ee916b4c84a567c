"""A venue for paper trading and backtests: our orders against a real or recorded book that does not see them.

An order, an amend or a cancel arrives `latency_ms` after it was sent: with the first message at or after that time,
before that message changes the book. The order takes what it can, level by level at the resting prices; the remainder
queues (rules in queue_position.py). A resting order fills when trades reach it, or when the best price of the other
side reaches its price, because that order would have met us first. Nothing is decided from a book that is unusable,
crossed, or between two deltas of one matching event.

Not simulated: market impact, collateral return across the markets of an event, and orders that a later shortage of cash
would cancel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.market.fees import estimate, fees_now, trade_fee
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.effects import AmendOrder, CancelOrder, Effect, ResyncBook, SubmitOrder
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.order_terms import BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.state import mark
from kalshi_cli.simulator.paper.account import PaperAccount
from kalshi_cli.simulator.paper.market import FAR_FUTURE, PaperMarket, Placed
from kalshi_cli.simulator.paper.queue_position import FillModel, QueuePlace, reaches

MAX_ENDED = 10_000
"""Ended orders that are kept, so that a late cancel gets their final state."""

_S = MarketStatus
_OVER = frozenset({_S.CLOSED, _S.DETERMINED, _S.DISPUTED, _S.AMENDED, _S.FINALIZED})
_Sent = SubmitOrder | CancelOrder | AmendOrder
_VALUES = {"yes": Price(ONE_DOLLAR), "no": Price(0)}


def _about(effect: _Sent) -> Order:
    """Return the order that a message is about."""
    return effect.before if isinstance(effect, AmendOrder) else effect.order


class PaperVenue:
    """Performs effects against observed books. Deterministic: the same messages and ids give the same replies.

    `cash` is the starting cash of the account, before the `fills` and `settlements` of earlier runs. `stale` are orders
    that earlier runs left live: paper orders end with their process, and `snapshot` reports that. `results` pay a
    market at its close. `fees` returns the schedule of a ticker, `new_id` the ids of orders and trades. `resync`
    requests a new book of a market. `latency_ms` may be drawn anew for each message; those about one order stay in
    order.
    """

    def __init__(
        self,
        *,
        cash: Money,
        fees: Callable[[str], FeeSchedule],
        new_id: Callable[[], str],
        latency_ms: int | Callable[[], int] = 150,
        fill_model: FillModel = FillModel.PROPORTIONAL,
        fills: Iterable[Fill] = (),
        settlements: Iterable[Settlement] = (),
        stale: Iterable[Order] = (),
        results: Mapping[str, tuple[str, Price]] | None = None,
        resync: Callable[[str], None] = lambda _ticker: None,
        new_book: Callable[[str], OrderBook] = OrderBook,
    ) -> None:
        self._resync = resync
        self._fees = fees
        self._new_id = new_id
        self._latency_ms = latency_ms
        self._model = fill_model
        self._results = results or {}
        self._now = Ts(0)
        self._new_book = new_book
        self._markets: dict[str, PaperMarket] = {}
        self._on_the_way: deque[tuple[Ts, _Sent]] = deque()
        self._wake = FAR_FUTURE
        self._live: dict[str, Placed] = {}
        self._ended: dict[str, Order] = {}
        self._stale = tuple(order for order in stale if order.status.is_live)
        self._account = PaperAccount(cash, fills, settlements)
        self.ledger = self._account.ledger
        self._reactions: dict[type[messages.Message], Callable[[Any], Iterable[messages.Message]]] = {
            messages.BookDelta: self._on_delta,
            messages.BookSnapshot: self._on_snapshot,
            messages.PublicTrade: self._on_trade,
            messages.FeedGap: self._on_gap,
            messages.FeedState: self._on_feed_state,
            messages.MarketChange: self._on_market,
            messages.RecordingEnded: self._on_end,
        }

    @property
    def cash(self) -> Money:
        """Return the cash of the account, including reservations for resting orders."""
        return self._account.cash

    @property
    def now(self) -> Ts:
        """Return the latest time that it has seen."""
        return self._now

    @property
    def wake(self) -> Ts:
        """Return the time of the next arrival, expiry or close of a market with resting orders."""
        return self._wake

    @property
    def markets(self) -> Mapping[str, PaperMarket]:
        """Return the markets with a book or an order."""
        return self._markets

    def observe(self, message: messages.Message) -> Iterable[messages.Message]:
        """Return the replies that are due, then the effects of the message on our orders."""
        if message.ts > self._now or type(message) is messages.Tick:
            self._now = message.ts
        due = self._due() if self._now >= self._wake else ()
        react = self._reactions.get(type(message))
        if react is None:
            return due
        return (*due, *react(message)) if due else react(message)

    def perform(self, effect: Effect) -> Iterable[messages.Message]:
        """Send an effect; its reply arrives with a later message."""
        if isinstance(effect, _Sent):
            arrives = self._arrival(effect)
            self._on_the_way.append((arrives, effect))
            self._wake = min(self._wake, arrives)
        elif isinstance(effect, ResyncBook):
            self._resync(effect.ticker)
        return ()

    def _arrival(self, effect: _Sent) -> Ts:
        """Return when a message arrives; never before an earlier one about the same order."""
        latency = self._latency_ms
        if isinstance(latency, int):
            return Ts(self._now + latency)
        name = _about(effect).client_order_id
        before = (at for at, sent in self._on_the_way if _about(sent).client_order_id == name)
        return Ts(max(self._now + latency(), max(before, default=0)))

    def snapshot(self, now: Ts) -> messages.AccountSnapshot:
        """Return a complete snapshot of the paper account, for start-up and reconciliation."""
        resting = [placed.order for placed in self._live.values()]
        ended = [
            msgspec.structs.replace(
                order, status=OrderStatus.CANCELED, reduced=Qty(order.qty - order.filled), updated=now
            )
            for order in self._stale
        ]
        return self._account.snapshot(now, (*resting, *ended), self._mark)

    def _mark(self, ticker: str, qty: Qty) -> Price | None:
        paper = self._markets.get(ticker)
        return mark(paper.book, paper.market, qty) if paper is not None else None

    # -- arrivals and expiries ------------------------------------------------------------------------------------

    def _due(self) -> list[messages.Message]:
        replies: list[messages.Message] = []
        waiting: deque[tuple[Ts, _Sent]] = deque()
        for arrives, effect in self._on_the_way:
            order = _about(effect)
            paper = self._at(order.ticker)
            if arrives > self._now or paper.is_between:
                waiting.append((arrives, effect))
            elif isinstance(effect, SubmitOrder):
                replies += self._arrive(paper, order)
            elif isinstance(effect, AmendOrder):
                replies += self._amend(paper, effect)
            else:
                replies.append(self._cancel(paper, effect))
        self._on_the_way = waiting
        ends = [FAR_FUTURE]
        for placed in tuple(self._live.values()):
            paper = self._at(placed.order.ticker)
            end = min(placed.order.expires or FAR_FUTURE, paper.close_time)
            if end > self._now:
                ends.append(end)
            elif paper.close_time <= self._now:
                replies.append(self._withdraw(paper, placed, "CloseCancel"))
            else:
                replies.append(messages.OrderState(self._now, self._end(paper, placed, OrderStatus.EXPIRED)))
        self._wake = min(min(ends), min((arrives for arrives, _ in waiting), default=FAR_FUTURE))
        return replies

    def _arrive(self, paper: PaperMarket, order: Order) -> Iterator[messages.Message]:
        """Process a create like the exchange: refuse it, or match it and queue the remainder."""
        closable = self._closable(order.ticker, order.side)
        wanted = Qty(min(order.qty, closable)) if order.reduce_only else order.qty
        takes, is_self_cross = paper.takes(order, wanted)
        order = msgspec.structs.replace(
            order, order_id=self._new_id(), status=OrderStatus.RESTING, filled=Qty(0), updated=self._now
        )
        placed = Placed(order, self._opening(paper, order, wanted))
        refusal = self._refusal(paper, placed, wanted, takes, is_self_cross)
        if order.client_order_id in self._live or order.client_order_id in self._ended:
            refusal = "order_already_exists", ""
        if refusal is not None:
            yield messages.OrderRejected(self._now, order.client_order_id, *refusal)
            return
        filled = sum(qty for _, qty in takes)
        rests = order.tif is TimeInForce.GTC and filled < wanted and not is_self_cross
        left = Qty(wanted - filled if rests else 0)
        yield messages.OrderAccepted(self._now, order.client_order_id, order.order_id, Qty(filled), left)
        self._live[order.client_order_id] = placed
        yield from self._enter(paper, placed, takes, rests=rests)

    def _enter(
        self, paper: PaperMarket, placed: Placed, takes: list[messages.Level], *, rests: bool
    ) -> Iterator[messages.Message]:
        """Take the available size; the remainder rests behind all others, or ends."""
        order = placed.order
        if rests:
            paper.rest(placed)
            self._wake = min(self._wake, order.expires or FAR_FUTURE, paper.close_time)
        yield from self._take(paper, placed, takes)
        if not rests and placed.left:
            self._end(paper, placed, OrderStatus.CANCELED)
        elif rests and paper.is_decidable:
            placed.queue = QueuePlace(paper.book.qty_at(order.side, order.price), self._model)

    def _amend(self, paper: PaperMarket, effect: AmendOrder) -> Iterator[messages.Message]:
        """Process an amend like the exchange.

        An order that gets smaller or changes only its expiry keeps its place. Any other order enters again; a post-only
        order that would trade is canceled.
        """
        wanted, placed = effect.wanted, self._live.get(effect.before.client_order_id)
        if placed is None:
            yield self._over(effect.before)
            return
        before, place = placed.order, paper.orders.index(placed)
        left, queue = Qty(wanted.qty - before.filled), placed.queue
        order = msgspec.structs.replace(
            before, price=wanted.price, qty=wanted.qty, expires=wanted.expires, updated=self._now
        )
        if order.price == before.price and 0 < left <= placed.left:
            refusal = self._closed_to(paper, order)
            if refusal is None:
                placed.order = order
                self._wake = min(self._wake, order.expires or FAR_FUTURE)
            yield messages.AmendEnded(self._now, placed.order, *(refusal or ()))
            return
        del paper.orders[place]  # an order does not block itself
        takes, is_self_cross = paper.takes(order, left)
        opening, placed.opening = placed.opening, self._opening(paper, order, left)
        placed.order, placed.queue = order, None
        crosses = order.post_only and bool(takes or is_self_cross)
        refusal = self._refusal(paper, placed, left, [] if crosses else takes, is_self_cross and not crosses)
        if left <= 0:
            refusal = "invalid_order_size", ""
        if refusal is not None or crosses:
            placed.order, placed.opening, placed.queue = before, opening, queue
            paper.orders.insert(place, placed)
            if refusal is not None:
                yield messages.AmendEnded(self._now, before, *refusal)
            else:
                yield self._withdraw(paper, placed, "PostOnlyCrossCancel")
            return
        rests = sum(qty for _, qty in takes) < left and not is_self_cross
        fills = list(self._enter(paper, placed, takes, rests=rests))
        yield messages.AmendEnded(self._now, self._ended.get(order.client_order_id, placed.order))
        yield from fills

    def _refusal(
        self, paper: PaperMarket, placed: Placed, wanted: Qty, takes: list[messages.Level], is_self_cross: bool
    ) -> tuple[str, str] | None:
        """Return the refusal of the exchange, if any: its code (API.md section 10) and the detail."""
        order = placed.order
        closed = self._closed_to(paper, order)
        if closed is not None:
            return closed
        if order.reduce_only and order.tif is TimeInForce.GTC:
            return "invalid_order", "reduce_only can only be used with IoC or FoK orders"
        if order.post_only and (takes or is_self_cross):
            return "invalid_order", "post only cross"
        if order.tif is TimeInForce.FOK and sum(qty for _, qty in takes) < wanted:
            return "fill_or_kill_insufficient_resting_volume", ""
        if not placed.opening:
            return None  # closing a position brings more cash than its fee
        fees = fees_now(paper.market, self._fees(order.ticker), self._now)
        fee = estimate(fees, order.price, wanted, is_taker=not order.post_only)
        free = self.cash - sum(other.reserved for other in self._live.values() if other is not placed)
        return ("insufficient_balance", "") if placed.reserved + fee > free else None

    def _closed_to(self, paper: PaperMarket, order: Order) -> tuple[str, str] | None:
        """Return why the market takes no order of this price and expiry now, or None."""
        if not paper.is_open(self._now):
            return "market_inactive", ""
        if paper.market is not None and not paper.market.grid.is_valid(order.price):
            return "invalid_price", ""
        if order.expires is not None and order.expires <= self._now:
            return "invalid_parameters", "Expiration timestamp must be in the future"
        return None

    def _opening(self, paper: PaperMarket, order: Order, wanted: Qty) -> Qty:
        """Return how many of these contracts would open a position, after our other resting orders of this side."""
        closable = self._closable(order.ticker, order.side) - sum(other.left for other in paper.on(order.side))
        return Qty(max(0, wanted - max(0, closable)))

    def _closable(self, ticker: str, side: Side) -> int:
        """Return the contracts of the position that an order on this side would close."""
        return max(0, -side.sign * self.ledger.position(ticker).qty)

    def _cancel(self, paper: PaperMarket, effect: CancelOrder) -> messages.Message:
        """Process a cancel like the exchange. A late cancel gets the final state of the order."""
        placed = self._live.get(effect.order.client_order_id)
        return self._over(effect.order) if placed is None else self._withdraw(paper, placed, effect.reason)

    def _over(self, order: Order) -> messages.Message:
        """Return the final state of an order that no longer rests."""
        ended = self._ended.get(order.client_order_id)
        if ended is not None:
            return messages.OrderState(self._now, ended)
        return messages.OrderCanceled(self._now, order.order_id, order.client_order_id, "not an order of this run")

    # -- resting orders -------------------------------------------------------------------------------------------

    def _on_delta(self, message: messages.BookDelta) -> Iterable[messages.Message]:
        paper = self._at(message.ticker)
        book = paper.book
        paper.is_between = message.has_more
        if not book.is_usable:
            return ()
        book.apply(message.side, message.price, message.delta, message.ts)
        if paper.taken.is_any:
            paper.taken.follow(book, message.side, message.price)
        if not paper.orders:
            return ()
        if message.delta < 0 and book.is_usable:
            left = book.qty_at(message.side, message.price)
            for placed in paper.on(message.side):
                if placed.queue is not None and placed.order.price == message.price:
                    placed.queue.shrink(Qty(-message.delta), left, self._now)
        return self._meet(paper)

    def _on_snapshot(self, message: messages.BookSnapshot) -> Iterable[messages.Message]:
        """Load a book. Events since the last book are unknown, so everything displayed is ahead of us again."""
        paper = self._at(message.ticker)
        paper.is_between = False
        paper.book.load(message.bids, message.asks, message.ts)
        paper.taken.follow_all(paper.book)
        for placed in paper.orders:
            if placed.queue is not None:
                placed.queue = QueuePlace(paper.book.qty_at(placed.order.side, placed.order.price), self._model)
        return self._meet(paper)

    def _meet(self, paper: PaperMarket) -> list[messages.Message]:
        """Fill orders that the other side has reached, and give a position to those without one."""
        replies: list[messages.Message] = []
        if not paper.orders or not paper.is_decidable or not paper.is_open(self._now):
            return replies
        for placed in tuple(paper.orders):
            order = placed.order
            best = paper.book.best_ask if order.side is BID else paper.book.best_bid
            is_reached = best is not None and reaches(order.side, order.price, best)
            takes = paper.taken.available(paper.book, order.side, order.price, placed.left) if is_reached else []
            if placed.queue is not None:
                replies += self._take(paper, placed, takes, is_taker=False)
            elif takes and order.post_only:
                replies.append(self._withdraw(paper, placed, "PostOnlyCrossCancel"))
            else:
                replies += self._take(paper, placed, takes)
                placed.queue = QueuePlace(paper.book.qty_at(order.side, order.price), self._model)
        return replies

    def _on_trade(self, message: messages.PublicTrade) -> list[messages.Message]:
        """Fill our orders from a public trade: contracts ahead of us first, and us before worse prices."""
        paper = self._at(message.ticker)
        side, left = message.taker_side.opposite, message.qty
        replies: list[messages.Message] = []
        if not paper.orders or not paper.book.is_usable or not paper.is_open(self._now):
            return replies
        for placed in paper.on(side):
            price = placed.order.price
            if placed.queue is not None and reaches(side, price, message.price):
                if price == message.price:  # contracts ahead of us took theirs; only the rest is shared among us
                    left = Qty(min(left, placed.queue.trade(message.qty, self._now)))
                if qty := Qty(min(left, placed.left)):
                    left = Qty(left - qty)
                    replies.append(self._fill(paper, placed, price, qty, is_taker=False))
        return replies

    def _on_gap(self, message: messages.FeedGap) -> Iterable[messages.Message]:
        for ticker in message.tickers or tuple(self._markets):
            paper = self._at(ticker)
            paper.is_between = False
            paper.book.invalidate(message.reason)
        return ()

    def _on_feed_state(self, message: messages.FeedState) -> Iterable[messages.Message]:
        return () if message.is_live else self._on_gap(messages.FeedGap(message.ts, (), message.reason))

    def _on_end(self, _message: messages.RecordingEnded) -> Iterable[messages.Message]:
        """Drop what has not arrived: no book is known any more that could fill it."""
        self._on_the_way.clear()
        return ()

    def _on_market(self, message: messages.MarketChange) -> list[messages.Message]:
        market = message.market
        paper = self._at(market.ticker)
        was, paper.market = paper.market, market
        is_reopened = was is not None and was.status is MarketStatus.INACTIVE and market.status is MarketStatus.ACTIVE
        replies: list[messages.Message] = []
        if market.status in _OVER or is_reopened:  # a reopened market has no resting orders (API.md, 2026)
            why = "CloseCancel" if market.status in _OVER else "HaltCancel"
            replies += [self._withdraw(paper, placed, why) for placed in tuple(paper.orders)]
        if paper.orders:
            self._wake = min(self._wake, market.close_time)
        result, value = market.result, market.settlement_value
        if not result and market.status in _OVER:
            result, value = self._results.get(market.ticker, ("", None))
        if result and (value := _VALUES.get(result) if value is None else value) is not None:
            replies += self._settle(market, result, value)
        return replies

    def _settle(self, market: Market, result: str, value: Price) -> Iterator[messages.Message]:
        """Pay out at once. The real payout comes after the settlement timer, with the same amount."""
        position = self.ledger.position(market.ticker)
        yes, no = Qty(max(0, position.qty)), Qty(max(0, -position.qty))
        settlement = Settlement(
            ticker=market.ticker,
            event_ticker=market.event_ticker,
            result=result,
            value=value,
            yes_qty=yes,
            no_qty=no,
            revenue=Money(notional(value, yes) + notional(Price(ONE_DOLLAR - value), no)),
            fee=position.fees,
            ts=self._now,
        )
        if position.qty and self.ledger.settle(settlement):
            yield messages.Settled(self._now, settlement)

    # -- parts ----------------------------------------------------------------------------------------------------

    def _at(self, ticker: str) -> PaperMarket:
        return self._markets.get(ticker) or self._markets.setdefault(ticker, PaperMarket(self._new_book(ticker)))

    def _take(
        self, paper: PaperMarket, placed: Placed, takes: list[messages.Level], *, is_taker: bool = True
    ) -> list[messages.Message]:
        """Fill against levels of the real book: a taker at their prices, a maker at once and at its own price."""
        for price, qty in takes:
            paper.taken.take(placed.order.side.opposite, price, qty)
        if takes and not is_taker:
            takes = [(placed.order.price, Qty(sum(qty for _, qty in takes)))]
        return [self._fill(paper, placed, price, qty, is_taker=is_taker) for price, qty in takes]

    def _fill(self, paper: PaperMarket, placed: Placed, price: Price, qty: Qty, *, is_taker: bool) -> messages.Filled:
        order = placed.order
        amount = notional(price, qty)
        fees = fees_now(paper.market, self._fees(order.ticker), self._now)
        fee = trade_fee(fees, price, qty, is_taker=is_taker)
        fill = Fill(
            trade_id=self._new_id(),
            order_id=order.order_id,
            ticker=order.ticker,
            side=order.side,
            price=price,
            qty=qty,
            fee=placed.rounding.charge(Money(-order.side.sign * amount), fee).net,
            is_taker=is_taker,
            ts=self._now,
            client_order_id=order.client_order_id,
        )
        self._account.book(fill)
        placed.order = msgspec.structs.replace(
            order,
            filled=Qty(order.filled + qty),
            fees=Money(order.fees + fill.fee),
            fill_cost=Money(order.fill_cost + amount),
            updated=self._now,
        )
        if not placed.left:
            self._end(paper, placed, OrderStatus.FILLED)
        return messages.Filled(self._now, fill)

    def _withdraw(self, paper: PaperMarket, placed: Placed, reason: str) -> messages.OrderCanceled:
        order = self._end(paper, placed, OrderStatus.CANCELED)
        return messages.OrderCanceled(self._now, order.order_id, order.client_order_id, reason)

    def _end(self, paper: PaperMarket, placed: Placed, status: OrderStatus) -> Order:
        """Remove an order from the market and remember how it ended."""
        order = msgspec.structs.replace(placed.order, status=status, reduced=placed.left, updated=self._now)
        if placed in paper.orders:
            paper.orders.remove(placed)
        del self._live[order.client_order_id]
        self._ended[order.client_order_id] = order
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        return order
