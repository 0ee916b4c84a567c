"""The matching engine: the effect of a planned execution on books, orders, positions and cash (API.md 9 and 11).

Nothing is refused here: `simulator/trading/order_gateway.py` and `simulator/trading/amends.py` have the rules.
"""

from __future__ import annotations

from kalshi_cli.base.units import Money, Qty, Ts, notional
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.simulator.matching.collateral import book_fill, collateral, leg_price, order_need
from kalshi_cli.simulator.matching.member import NONE
from kalshi_cli.simulator.matching.order_book import MatchPlan
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import event_queue, records

_OF_ORDER = ("order_id", "client_order_id", "account", "ticker", "side", "subaccount", "exchange_index")
"""The attributes that a fill copies from its order."""
GROUP_WINDOW_MS = 15_000
"""The length of the rolling window in which an order group counts matched contracts."""


class MatchingEngine:
    """Moves orders, contracts and money. Every method leaves books, balances and reservations consistent."""

    def __init__(self, state: SimulatorState, queue: event_queue.EventQueue) -> None:
        self.state = state
        self.queue = queue

    def can_pay(self, order: records.OrderRecord, instead_of: records.OrderRecord | None = None) -> bool:
        """Return whether the balance covers this order beside all resting ones.

        An order that needs no more cash always passes. `instead_of` is a resting order that it would replace.
        """
        purse = self.state.members[order.account].purse_of(order)
        ticker, terms = order.ticker, self.state.terms(order.ticker)
        held, before = purse.held(ticker), purse.reserved.get(ticker, Money(0))
        if held:
            others = [other for other in purse.orders(ticker) if other is not instead_of]
            need = collateral((*others, order), held, terms, incoming=order.order_id)
        else:
            freed = order_need(instead_of, instead_of.remaining, terms, is_taker=False) if instead_of else 0
            need = Money(before - freed + order_need(order, order.remaining, terms, is_taker=True))
        return need <= before or purse.free + before >= need

    # -- executing --

    def execute(
        self, order: records.OrderRecord, plan: MatchPlan, wanted: Qty, now: Ts, *, is_reduce_only: bool = False
    ) -> None:
        """Execute the plan for `wanted` contracts of an order outside the book; rest the remainder if allowed."""
        for own in plan.removes:
            self.cancel_order(own, "SelfTradeCancel", now)
        left = Qty(wanted - plan.qty)
        rests = order.tif is TimeInForce.GTC and not plan.is_stopped and left > 0
        if rests:
            # Recorded in May 2026: the remainder of a taker may be published before its trades.
            self._publish_book(order, left, now)
        for resting, qty in plan.meets:
            self._trade(order, resting, qty, now)
        order.remaining = left
        if rests:
            self.state.add_live(order)
            self.queue.put(order.expires, "expire", order.order_id)
        elif order.filled == order.qty:
            order.status = records.EXECUTED
        else:
            order.status, order.remaining = records.CANCELED, Qty(0)
            order.reason = "SelfTradeCancel" if plan.is_stopped else "ReduceOnlyCancel" if is_reduce_only else ""
        self.state.touch_order(order, now)
        if not plan.meets and not plan.removes:
            self.reserve(order, now, was=NONE)
            return
        concerned = (order, *plan.removes, *(resting for resting, _ in plan.meets))
        for one in {(one.account, one.subaccount): one for one in concerned}.values():
            self.reserve(one, now)

    def cross(self, taker: records.OrderRecord, maker: records.OrderRecord, now: Ts) -> None:
        """Trade two orders with each other completely, outside the book: a block trade."""
        self._trade(taker, maker, taker.qty, now, is_block=True)
        taker.status, taker.remaining = records.EXECUTED, NONE
        self.state.touch_order(taker, now)
        for order in (taker, maker):
            self.reserve(order, now)

    def _trade(
        self, taker: records.OrderRecord, maker: records.OrderRecord, qty: Qty, now: Ts, *, is_block: bool = False
    ) -> None:
        state, market = self.state, self.state.markets[taker.ticker]
        price = maker.price
        trade = records.TradeRecord(
            number=state.trade_count,
            trade_id=state.new_id(),
            ticker=taker.ticker,
            price=price,
            qty=qty,
            taker_side=taker.side,
            is_block=is_block,
            ts=now,
        )
        state.trade_count += 1
        if is_block:
            maker.remaining = Qty(maker.remaining - qty)
        else:
            state.books[taker.ticker].reduce(maker, qty)
            self._publish_book(maker, Qty(-qty), now)
        state.happened.append(trade)
        state.add_trade(trade)
        long_before = self._long(taker, maker)
        self._fill(taker, trade, now, is_taker=True)
        self._fill(maker, trade, now, is_taker=False)
        market.open_interest = Qty(market.open_interest + self._long(taker, maker) - long_before)
        market.volume = Qty(market.volume + qty)
        market.last, market.last_size = price, qty
        _count_minute(market.minutes, now // 60_000, qty)
        state.touch(f"market/{market.spec.ticker}", market)  # a trade does not change `updated`
        if maker.remaining == 0:
            maker.status = records.EXECUTED
            if not is_block:
                self._forget_live(maker)
        state.touch_order(maker, now)

    def _long(self, taker: records.OrderRecord, maker: records.OrderRecord) -> int:
        members = self.state.members
        return sum(max(0, members[one.account].purse_of(one).held(one.ticker)) for one in (taker, maker))

    def _fill(self, order: records.OrderRecord, trade: records.TradeRecord, now: Ts, *, is_taker: bool) -> None:
        state, member = self.state, self.state.members[order.account]
        purse = member.purse_of(order)
        holding = purse.holding(order.ticker)
        terms = state.terms(order.ticker, now)
        booking = book_fill(holding, order, trade.price, trade.qty, terms, is_taker=is_taker)
        purse.record.cash = Money(purse.record.cash + booking.cash)
        state.switches.fees_collected = Money(state.switches.fees_collected + booking.fee)
        cost = notional(leg_price(order.side, trade.price), trade.qty)
        if is_taker:
            order.taker_cost = Money(order.taker_cost + cost)
            order.taker_fees = Money(order.taker_fees + booking.fee)
        else:
            order.maker_cost = Money(order.maker_cost + cost)
            order.maker_fees = Money(order.maker_fees + booking.fee)
        order.filled = Qty(order.filled + trade.qty)
        order.rounding = booking.rounding
        order.reason = "Trade"
        if order.group_id in state.groups:
            state.groups[order.group_id].matched.append((now, trade.qty))
            state.traded_groups[order.group_id] = None
        state.touch_own(purse.record, now)
        state.touch_own(holding, now)
        state.touch("state", state.switches)
        if member.mirror is None:
            return
        fill = records.FillRecord(
            number=member.fills,
            trade_id=trade.trade_id,
            price=trade.price,
            qty=trade.qty,
            fee=booking.fee,
            is_taker=is_taker,
            position=holding.qty,
            ts=now,
            **{name: getattr(order, name) for name in _OF_ORDER},
        )
        member.fills += 1
        state.show(member, f"fill/{order.account}/{fill.number}", fill, now)
        state.happened.extend((fill, holding))

    # -- taking off --

    def release(self, order: records.OrderRecord, reason: str, now: Ts, *, is_published: bool = True) -> Qty:
        """Cancel a resting order and free its reservation; `is_published` publishes the change of the book."""
        taken = self.cancel_order(order, reason, now, is_published=is_published)
        self.reserve(order, now, was=taken)
        return taken

    def cancel_order(self, order: records.OrderRecord, reason: str, now: Ts, *, is_published: bool = True) -> Qty:
        """Cancel a resting order; the caller updates the reservation."""
        taken = self._lift(order, now, is_published=is_published)
        order.status, order.reason = records.CANCELED, reason
        self.state.touch_order(order, now)
        return taken

    def take_back(self, order: records.OrderRecord, now: Ts) -> Qty:
        """Remove a resting order from the book without ending it, so that it can be entered again."""
        taken = self._lift(order, now)
        self.reserve(order, now, was=taken)
        return taken

    def shrink(self, order: records.OrderRecord, left: Qty, reason: str, now: Ts) -> None:
        """Leave only `left` of a resting order, at its place in the queue; a size of 0 cancels it."""
        was = order.remaining
        order.qty = Qty(order.filled + left)
        if left == 0:
            self.release(order, reason, now)
            return
        if left < was:
            self.state.books[order.ticker].reduce(order, Qty(was - left))
            self._publish_book(order, Qty(left - was), now)
        order.reason = reason
        self.state.touch_order(order, now)
        self.reserve(order, now, was=was)

    def _lift(self, order: records.OrderRecord, now: Ts, *, is_published: bool = True) -> Qty:
        taken = order.remaining
        self.state.books[order.ticker].reduce(order, taken)
        if is_published:
            self._publish_book(order, Qty(-taken), now)
        self._forget_live(order)
        return taken

    def _forget_live(self, order: records.OrderRecord) -> None:
        del self.state.live[order.order_id]
        self.state.members[order.account].forget_live(order)

    def reserve(self, order: records.OrderRecord, now: Ts, was: Qty | None = None) -> None:
        """Update the reservation for the orders of a balance; cancel the newest orders that its cash no longer covers.

        `was` is the earlier remaining size of the order, if nothing else changed.
        """
        purse, terms = self.state.members[order.account].purse_of(order), self.state.terms(order.ticker)
        purse.reserve(order.ticker, terms, order, was)
        while purse.reserved_total > max(0, purse.record.cash):
            newest = max(purse.orders(), key=lambda order: order.rank, default=None)
            if newest is None:
                break
            self.cancel_order(newest, "MarginCancel", now)
            purse.reserve(newest.ticker, self.state.terms(newest.ticker))

    def _publish_book(self, order: records.OrderRecord, delta: Qty, now: Ts) -> None:
        owner = order.account, order.client_order_id, order.subaccount
        self.state.happened.append(records.BookChange(order.ticker, order.side, order.price, delta, now, *owner))


def _count_minute(minutes: list[tuple[int, Qty]], minute: int, qty: Qty) -> None:
    """Add to the volume of this minute, and drop minutes older than a day."""
    if minutes and minutes[-1][0] == minute:
        minutes[-1] = (minute, Qty(minutes[-1][1] + qty))
        return
    minutes.append((minute, qty))
    while minutes[0][0] <= minute - 1440:
        minutes.pop(0)
