"""The trading floor: take an order, match it, book the fills; cancel. The rules of API.md sections 5.4, 9 and 11."""

from __future__ import annotations

from kalshi_cli.core.model import MarketStatus, Tif
from kalshi_cli.sim.accounts import book_fill, closable, collateral, leg_price, order_need
from kalshi_cli.sim.agenda import Agenda
from kalshi_cli.sim.listing import NewOrder, Receipt, Refusal
from kalshi_cli.sim.matcher import Plan
from kalshi_cli.sim.member import NONE, Member
from kalshi_cli.sim.records import (
    CANCELED,
    EXECUTED,
    BookChange,
    FillRecord,
    MarketRecord,
    OrderRecord,
    TradeRecord,
)
from kalshi_cli.sim.state import State
from kalshi_cli.units import Money, Qty, Ts, notional

Pocket = tuple[int, int]
"""Which purse of a member: (subaccount, shard)."""

MAX_OPEN_ORDERS = 200_000
NOT_FOUND = Refusal(404, "not_found")


class Floor:
    """Everything that moves orders and money, except settlement."""

    def __init__(self, state: State, agenda: Agenda) -> None:
        self.state = state
        self.agenda = agenda

    # -- placing --

    def submit(self, account: str, new: NewOrder, now: Ts) -> Receipt | Refusal:
        """Place an order. A refusal changes nothing at all."""
        state, member = self.state, self.state.members[account]
        refusal = self._refuse(member, new, now)
        if refusal is not None:
            return refusal
        wanted = new.qty
        shard = state.shard_of(new.ticker)
        if new.reduce_only:
            held = member.purse(new.subaccount, shard).held(new.ticker)
            wanted = Qty(min(new.qty, closable(held, new.side)))
        order = OrderRecord(
            order_id=state.new_id(),
            account=account,
            client_order_id=new.client_order_id,
            ticker=new.ticker,
            side=new.side,
            price=new.price,
            qty=new.qty,
            remaining=wanted,
            tif=new.tif,
            expires=new.expires,
            stp_maker=new.stp_maker,
            cancel_on_pause=new.cancel_on_pause,
            subaccount=new.subaccount,
            exchange_index=shard,
            created=now,
            updated=now,
            rank=state.order_count,
        )
        plan = state.books[new.ticker].plan(order, wanted)
        if new.tif is Tif.FOK and plan.qty < new.qty:
            return Refusal(409, "fill_or_kill_insufficient_resting_volume")
        if not self._can_pay(member, order):
            return Refusal(400, "insufficient_balance")
        state.order_count += 1
        if new.client_order_id:
            member.client_ids[new.client_order_id] = order.order_id
        self._execute(order, plan, wanted, now, is_reduce_only=new.reduce_only)
        return Receipt(
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            filled=order.filled,
            remaining=order.remaining,
            cost=Money(sum(notional(resting.price, qty) for resting, qty in plan.meets)),
            fees=order.taker_fees,
            ts=now,
        )

    def _refuse(self, member: Member, new: NewOrder, now: Ts) -> Refusal | None:
        """What can be said against an order before it is matched."""
        market = self.state.markets.get(new.ticker)
        if market is None:
            return NOT_FOUND
        if new.exchange_index not in (None, market.spec.exchange_index):
            return NOT_FOUND  # that shard does not know the market; UNVERIFIED, as no such request was recorded
        if not member.has_subaccount(new.subaccount):
            return Refusal(400, "invalid_parameters", "subaccount")
        if (paused := self._paused(market, now)) is not None:
            return paused
        if self._is_used(member, new.client_order_id):
            return Refusal(409, "order_already_exists")
        if new.qty <= 0:
            return Refusal(400, "invalid_order_size")
        if not market.spec.grid.is_valid(new.price):
            return Refusal(400, "invalid_price")
        if new.expires is not None and (new.tif is not Tif.GTC or new.expires <= now):
            why = "Expiration timestamp must be in the future" if new.tif is Tif.GTC else "expiration_time needs GTC"
            return Refusal(400, "invalid_order", why)
        if new.reduce_only and new.tif is not Tif.IOC:
            return Refusal(400, "invalid_order", "reduce_only can only be used with IoC or FoK orders")
        if new.post_only and self.state.books[new.ticker].would_cross(new.side, new.price):
            return Refusal(400, "invalid_order", "post only cross")
        if member.open_orders >= MAX_OPEN_ORDERS:
            return Refusal(400, "invalid_order", "too many open orders")
        return None

    def _paused(self, market: MarketRecord, now: Ts) -> Refusal | None:
        if not self.state.switches.is_active:
            return Refusal(409, "exchange_is_paused")
        status = market.status(now)
        if not self.state.switches.is_trading or status is MarketStatus.INACTIVE:
            return Refusal(409, "trading_is_paused")
        if status is not MarketStatus.ACTIVE:
            return Refusal(400, "market_inactive")
        return None

    def _is_used(self, member: Member, client_order_id: str) -> bool:
        """Whether the account has had this id: ever, or (by the other published rule) on an order that still rests."""
        earlier = member.client_ids.get(client_order_id) if client_order_id else None
        if earlier is None:
            return False
        return self.state.options.client_ids == "forever" or earlier in self.state.live

    def _can_pay(self, member: Member, order: OrderRecord) -> bool:
        """Whether the cash covers this order beside everything that rests; what needs nothing more always may."""
        purse, ticker, schedule = member.purse_of(order), order.ticker, self.state.fees_of(order.ticker)
        held, before = purse.held(ticker), purse.reserved.get(ticker, Money(0))
        if held:
            need = collateral((*purse.orders(ticker), order), held, schedule, incoming=order.order_id)
        else:
            need = Money(before + order_need(order, order.remaining, schedule, is_taker=True))
        return need <= before or purse.free + before >= need

    def deposit(self, account: str, amount: Money, now: Ts, *, subaccount: int = 0, exchange_index: int = 0) -> None:
        """New money from outside, into one purse."""
        member = self.state.members[account]
        purse = member.purse(subaccount, exchange_index)
        purse.record.cash = Money(purse.record.cash + amount)
        self.state.touch_purse(member, purse, now)

    def move_cash(self, account: str, source: Pocket, target: Pocket, amount: Money, now: Ts) -> Refusal | None:
        """Move `amount` between two purses, each a (subaccount, shard); what resting orders hold back stays.

        None where it moved, else the reason: 404 where there is no such subaccount or shard, 400 where the amount is
        not positive or not there.
        """
        member = self.state.members[account]
        for subaccount, shard in (source, target):
            if not member.has_subaccount(subaccount) or not 0 <= shard < self.state.options.shards:
                return NOT_FOUND
        if amount <= 0 or source == target:
            return Refusal(
                400, "invalid_parameters", "amount" if amount <= 0 else "source and destination are the same"
            )
        giver, taker = member.purse(*source), member.purse(*target)
        if giver.free < amount:
            return Refusal(400, "insufficient_balance")
        giver.record.cash = Money(giver.record.cash - amount)
        taker.record.cash = Money(taker.record.cash + amount)
        self.state.touch_purse(member, giver, now)
        self.state.touch_purse(member, taker, now)
        return None

    # -- matching --

    def _execute(self, order: OrderRecord, plan: Plan, wanted: Qty, now: Ts, *, is_reduce_only: bool) -> None:
        for own in plan.removes:
            self.take_off(own, "SelfTradeCancel", now)
        left = Qty(wanted - plan.qty)
        rests = order.tif is Tif.GTC and not plan.is_stopped and left > 0
        if rests:
            # Seen on the wire: what an aggressor leaves may be told before what it took (recordings of May 2026).
            self._tell_book(order, left, now)
        for resting, qty in plan.meets:
            self._trade(order, resting, qty, now)
        order.remaining = left
        if rests:
            self.state.add_live(order)
            self.agenda.put(order.expires, "expire", order.order_id)
        elif order.filled == order.qty:
            order.status = EXECUTED
        else:
            order.status, order.remaining = CANCELED, Qty(0)
            order.reason = "SelfTradeCancel" if plan.is_stopped else "ReduceOnlyCancel" if is_reduce_only else ""
        self.state.touch_order(order, now)
        if not plan.meets and not plan.removes:
            self._reserve(order, now, was=NONE)
            return
        concerned = (order, *(own for own in plan.removes), *(resting for resting, _ in plan.meets))
        for one in {(one.account, one.subaccount): one for one in concerned}.values():
            self._reserve(one, now)

    def _trade(self, taker: OrderRecord, maker: OrderRecord, qty: Qty, now: Ts) -> None:
        state, market = self.state, self.state.markets[taker.ticker]
        price = maker.price
        trade = TradeRecord(
            number=state.trade_count,
            trade_id=state.new_id(),
            ticker=taker.ticker,
            price=price,
            qty=qty,
            taker_side=taker.side,
            ts=now,
        )
        state.trade_count += 1
        state.books[taker.ticker].reduce(maker, qty)
        self._tell_book(maker, Qty(-qty), now)
        state.happened.append(trade)
        state.add_trade(trade)
        long_before = self._long(taker, maker)
        self._fill(taker, trade, now, is_taker=True)
        self._fill(maker, trade, now, is_taker=False)
        market.open_interest = Qty(market.open_interest + self._long(taker, maker) - long_before)
        market.volume = Qty(market.volume + qty)
        market.last, market.last_size = price, qty
        _count_minute(market.minutes, now // 60_000, qty)
        state.touch_market(market, now)
        if maker.remaining == 0:
            maker.status = EXECUTED
            self._forget_live(maker)
        state.touch_order(maker, now)

    def _long(self, taker: OrderRecord, maker: OrderRecord) -> int:
        members = self.state.members
        return sum(max(0, members[one.account].purse_of(one).held(one.ticker)) for one in (taker, maker))

    def _fill(self, order: OrderRecord, trade: TradeRecord, now: Ts, *, is_taker: bool) -> None:
        state, member = self.state, self.state.members[order.account]
        purse = member.purse_of(order)
        holding = purse.holding(order.ticker)
        booking = book_fill(holding, order, trade.price, trade.qty, state.fees_of(order.ticker), is_taker=is_taker)
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
        state.touch_purse(member, purse, now)
        state.touch_holding(member, holding, now)
        state.touch("state", state.switches)
        if member.mirror is None:
            return
        fill = FillRecord(
            number=member.fills,
            trade_id=trade.trade_id,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            account=order.account,
            ticker=order.ticker,
            side=order.side,
            price=trade.price,
            qty=trade.qty,
            fee=booking.fee,
            is_taker=is_taker,
            position=holding.qty,
            ts=now,
            subaccount=order.subaccount,
            exchange_index=order.exchange_index,
        )
        member.fills += 1
        state.show(member, f"fill/{order.account}/{fill.number}", fill, now)
        state.happened.extend((fill, holding))

    # -- cancelling --

    def cancel(self, account: str, order_id: str, now: Ts) -> Qty | Refusal:
        """Take an order off the book: what was left of it, or why not."""
        order = self.state.live.get(order_id)
        if order is None or order.account != account:
            return NOT_FOUND
        if not self.state.switches.is_active:
            return Refusal(409, "exchange_is_paused")
        market = self.state.markets[order.ticker]
        if market.status(now) is MarketStatus.CLOSED:
            return Refusal(400, "market_inactive")
        return self.release(order, "", now)

    def cancel_all(self, account: str, now: Ts, ticker: str | None = None) -> int:
        """Cancel what can be cancelled; says how many orders that was."""
        ids = [order.order_id for order in self.state.members[account].orders(ticker)]
        return sum(not isinstance(self.cancel(account, order_id, now), Refusal) for order_id in ids)

    def take_off(self, order: OrderRecord, reason: str, now: Ts, *, is_told: bool = True) -> Qty:
        """Cancel a resting order, whoever wants it; `is_told` sends the change of the book."""
        taken = order.remaining
        self.state.books[order.ticker].reduce(order, taken)
        if is_told:
            self._tell_book(order, Qty(-taken), now)
        order.status, order.reason = CANCELED, reason
        self._forget_live(order)
        self.state.touch_order(order, now)
        return taken

    def _forget_live(self, order: OrderRecord) -> None:
        del self.state.live[order.order_id]
        self.state.members[order.account].forget_live(order)

    def release(self, order: OrderRecord, reason: str, now: Ts, *, is_told: bool = True) -> Qty:
        """Cancel a resting order and let go of what was held back for it."""
        taken = self.take_off(order, reason, now, is_told=is_told)
        self._reserve(order, now, was=taken)
        return taken

    def _reserve(self, order: OrderRecord, now: Ts, was: Qty | None = None) -> None:
        """Reckon what the orders of this one's purse need; where its cash no longer covers it, the newest ones go.

        `was` is what remained of it before, where nothing but this order changed.
        """
        purse, schedule = self.state.members[order.account].purse_of(order), self.state.fees_of(order.ticker)
        if was is None:
            purse.reserve(order.ticker, schedule)
        else:
            purse.reserve(order.ticker, schedule, order, was)
        while purse.reserved_total > max(0, purse.record.cash):
            newest = max(purse.orders(), key=lambda order: order.rank, default=None)
            if newest is None:
                break
            self.take_off(newest, "MarginCancel", now)
            purse.reserve(newest.ticker, self.state.fees_of(newest.ticker))

    def _tell_book(self, order: OrderRecord, delta: Qty, now: Ts) -> None:
        self.state.happened.append(
            BookChange(
                order.ticker,
                order.side,
                order.price,
                delta,
                now,
                order.account,
                order.client_order_id,
                order.subaccount,
            )
        )


def _count_minute(minutes: list[tuple[int, Qty]], minute: int, qty: Qty) -> None:
    """Add to the volume of this minute; minutes older than a day go."""
    if minutes and minutes[-1][0] == minute:
        minutes[-1] = (minute, Qty(minutes[-1][1] + qty))
        return
    minutes.append((minute, qty))
    while minutes[0][0] <= minute - 1440:
        minutes.pop(0)
