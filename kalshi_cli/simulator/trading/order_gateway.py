"""The trading floor: who may place and cancel what, and move which money (API.md sections 5.4, 5.6, 5.13 and 11)."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Qty, Ts, notional
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.simulator.matching.collateral import closable
from kalshi_cli.simulator.matching.matching_engine import MatchingEngine
from kalshi_cli.simulator.matching.member import SimAccount
from kalshi_cli.simulator.matching.order_book import MatchPlan
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.agenda import EventQueue
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt, OrderRejection
from kalshi_cli.simulator.model.records import MarketRecord, OrderRecord
from kalshi_cli.simulator.trading.order_groups import NOT_FOUND, OrderGroups

Pocket = tuple[int, int]
"""Which purse of a member: (subaccount, shard)."""


class OrderGateway:
    """Everything a member does with orders and money, but for amendments."""

    def __init__(self, state: SimulatorState, agenda: EventQueue) -> None:
        self.state = state
        self.engine = MatchingEngine(state, agenda)
        self.groups = OrderGroups(state, self.engine)

    # -- placing --

    def submit(self, account: str, new: NewOrder, now: Ts) -> OrderReceipt | OrderRejection:
        """Place an order. A refusal changes nothing at all."""
        state, member = self.state, self.state.members[account]
        if (refusal := self._refuse(member, new, now)) is not None:
            return refusal
        order = self._order(account, new, now)
        if (refusal := self.groups.refuse(order)) is not None:
            return refusal
        plan = state.books[new.ticker].plan(order, order.remaining)
        if new.tif is TimeInForce.FOK and plan.qty < new.qty:
            return OrderRejection(409, "fill_or_kill_insufficient_resting_volume")
        if new.reduce_only and order.remaining == 0 and state.options.reduce_only_refused:
            return OrderRejection(400, "invalid_order", "no position to reduce")
        if not self.engine.can_pay(order):
            return OrderRejection(400, "insufficient_balance")
        state.order_count += 1
        if new.client_order_id:
            member.client_ids[new.client_order_id] = order.order_id
        self.engine.execute(order, plan, order.remaining, now, is_reduce_only=new.reduce_only)
        self.groups.check_traded(now)
        if order.order_id in state.live and now < member.cancels_until.get(new.subaccount, 0):
            self.engine.release(order, "", now)
        return self.receipt(order, plan, now, Money(0))

    def cross(
        self, maker: tuple[str, NewOrder], taker: tuple[str, NewOrder], now: Ts
    ) -> tuple[str, str] | OrderRejection:
        """Trade two orders of two accounts with each other, past the book: their ids, the maker's first."""
        orders = []
        for account, new in (maker, taker):
            if (refusal := self._refuse(self.state.members[account], new, now)) is not None:
                return refusal
            order = self._order(account, new, now)
            if not self.engine.can_pay(order):
                return OrderRejection(400, "insufficient_balance")
            orders.append(order)
        for order in orders:
            order.rank = self.state.order_count
            self.state.order_count += 1
        self.engine.cross(orders[1], orders[0], now)
        return orders[0].order_id, orders[1].order_id

    def could_pay(self, account: str, new: NewOrder, now: Ts) -> bool:
        """Whether the account has the cash for this order now, which is not placed."""
        return self.engine.can_pay(self._order(account, new, now))

    def _order(self, account: str, new: NewOrder, now: Ts) -> OrderRecord:
        """The order as it would be entered; `remaining` is what it may fill at most."""
        shard, wanted = self.state.shard_of(new.ticker), new.qty
        if new.reduce_only:
            held = self.state.members[account].purse(new.subaccount, shard).held(new.ticker)
            wanted = Qty(min(new.qty, closable(held, new.side)))
        return OrderRecord(
            order_id=self.state.new_id(),
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
            post_only=new.post_only,
            subaccount=new.subaccount,
            exchange_index=shard,
            group_id=new.group_id,
            created=now,
            updated=now,
            rank=self.state.order_count,
        )

    def _refuse(self, member: SimAccount, new: NewOrder, now: Ts) -> OrderRejection | None:
        """What can be said against an order before it is matched."""
        market = self.state.markets.get(new.ticker)
        if market is None or new.exchange_index not in (None, market.spec.exchange_index):
            return NOT_FOUND  # another shard does not know the market: UNVERIFIED, no such request was recorded
        if (paused := self.paused(market, now)) is not None:
            return paused
        if not member.has_subaccount(new.subaccount):
            return OrderRejection(400, "invalid_parameters", "subaccount")
        if self.is_used(member, new.client_order_id):
            return OrderRejection(409, "order_already_exists")
        if new.qty <= 0:
            return OrderRejection(400, "invalid_order_size")
        if not market.spec.grid.is_valid(new.price):
            return OrderRejection(400, "invalid_price")
        if new.expires is not None and (new.tif is not TimeInForce.GTC or new.expires <= now):
            why = (
                "Expiration timestamp must be in the future"
                if new.tif is TimeInForce.GTC
                else "expiration_time needs GTC"
            )
            return OrderRejection(400, "invalid_order", why)
        if new.reduce_only and new.tif is not TimeInForce.IOC:
            return OrderRejection(400, "invalid_order", "reduce_only can only be used with IoC or FoK orders")
        if new.post_only and self.state.books[new.ticker].would_cross(new.side, new.price):
            return OrderRejection(400, "invalid_order", "post only cross")
        if member.open_orders >= self.state.options.max_open_orders:
            return OrderRejection(400, "invalid_order", "too many open orders")
        return None

    def paused(self, market: MarketRecord, now: Ts) -> OrderRejection | None:
        """Why nothing may be placed or amended in a market now."""
        pause = self.state.switches.pause_of(market.spec.exchange_index)
        if pause == "exchange":
            return OrderRejection(409, "exchange_is_paused")
        status = market.status(now)
        if pause or status is MarketStatus.INACTIVE:
            return OrderRejection(409, "trading_is_paused")
        if status is not MarketStatus.ACTIVE:
            return OrderRejection(self.state.options.inactive_status, "market_inactive")
        return None

    def is_used(self, member: SimAccount, client_order_id: str) -> bool:
        """Whether the account has had this id: ever, or (by the other published rule) on an order that still rests."""
        earlier = member.client_ids.get(client_order_id) if client_order_id else None
        if earlier is None:
            return False
        return self.state.options.client_ids == "forever" or earlier in self.state.live

    def receipt(self, order: OrderRecord, plan: MatchPlan, now: Ts, fees_before: Money) -> OrderReceipt:
        """What an execution did at once; the order had paid `fees_before` as a taker before it."""
        unfilled = Qty(order.qty - order.filled)
        shows_rest = order.tif is TimeInForce.IOC and not order.filled and self.state.options.ioc_shows_remainder
        return OrderReceipt(
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            filled=plan.qty,
            remaining=unfilled if shows_rest else order.remaining,
            cost=Money(sum(notional(resting.price, qty) for resting, qty in plan.meets)),
            fees=Money(order.taker_fees - fees_before),
            ts=now,
        )

    # -- cancelling --

    def find(self, account: str, order_id: str, pocket: Pocket | None = None) -> OrderRecord | OrderRejection:
        """A live order of this account; asked for in a purse that is not its own, it is not found."""
        order = self.state.live.get(order_id)
        if order is None or order.account != account:
            return NOT_FOUND
        return order if pocket in (None, (order.subaccount, order.exchange_index)) else NOT_FOUND

    def cancel_refusal(self, order: OrderRecord, now: Ts) -> OrderRejection | None:
        """Why an order cannot be cancelled or made smaller now."""
        if self.state.switches.pause_of(order.exchange_index) == "exchange":
            return OrderRejection(409, "exchange_is_paused")
        if self.state.markets[order.ticker].status(now) not in (MarketStatus.ACTIVE, MarketStatus.INACTIVE):
            return OrderRejection(self.state.options.inactive_status, "market_inactive")
        return None

    def cancel(self, account: str, order_id: str, now: Ts, pocket: Pocket | None = None) -> Qty | OrderRejection:
        """Take an order off the book: what was left of it, or why not."""
        order = self.find(account, order_id, pocket)
        if isinstance(order, OrderRejection):
            return order
        return self.cancel_refusal(order, now) or self.engine.release(order, "", now)

    def cancel_all(self, account: str, now: Ts, ticker: str | None = None, subaccount: int | None = None) -> int:
        """Cancel what can be cancelled, of one market or subaccount or (None) of all; says how many orders that was."""
        ids = [order.order_id for order in self.state.members[account].orders(ticker, subaccount)]
        return sum(not isinstance(self.cancel(account, order_id, now), OrderRejection) for order_id in ids)

    def keep_cancelling(self, account: str, now: Ts, subaccount: int | None = None) -> None:
        """The kill switch may also take what is placed within the minute after it, as is documented."""
        member = self.state.members[account]
        numbers = range(member.record.subaccounts + 1) if subaccount is None else (subaccount,)
        until = Ts(now + self.state.options.cancel_all_lasts_ms)
        member.cancels_until |= dict.fromkeys(numbers, until)

    def release(self, order: OrderRecord, reason: str, now: Ts, *, is_told: bool = True) -> Qty:
        """Cancel a resting order, whoever wants it."""
        return self.engine.release(order, reason, now, is_told=is_told)

    # -- money --

    def deposit(self, account: str, amount: Money, now: Ts, *, subaccount: int = 0, exchange_index: int = 0) -> None:
        """New money from outside, into one purse."""
        member = self.state.members[account]
        purse = member.purse(subaccount, exchange_index)
        purse.record.cash = Money(purse.record.cash + amount)
        self.state.touch_purse(member, purse, now)

    def move_cash(self, account: str, source: Pocket, target: Pocket, amount: Money, now: Ts) -> OrderRejection | None:
        """Move `amount` between two purses, each a (subaccount, shard); what resting orders hold back stays.

        None where it moved, else the reason: 404 where there is no such subaccount or shard, 400 where the amount is
        not positive or not there.
        """
        member = self.state.members[account]
        for subaccount, shard in (source, target):
            if not member.has_subaccount(subaccount) or not 0 <= shard < self.state.options.shards:
                return NOT_FOUND
        if amount <= 0 or source == target:
            why = "amount" if amount <= 0 else "source and destination are the same"
            return OrderRejection(400, "invalid_parameters", why)
        giver, taker = member.purse(*source), member.purse(*target)
        if giver.free < amount:
            return OrderRejection(400, "insufficient_balance")
        giver.record.cash = Money(giver.record.cash - amount)
        taker.record.cash = Money(taker.record.cash + amount)
        self.state.touch_purse(member, giver, now)
        self.state.touch_purse(member, taker, now)
        return None
