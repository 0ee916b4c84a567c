"""Order entry: the rules for placing and canceling orders and for moving money (API.md 5.4, 5.6, 5.13 and 11)."""

from __future__ import annotations

from contextlib import suppress

from kalshi_cli.base.units import Money, Qty, Ts, notional
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.simulator.matching import collateral, matching_engine, order_book
from kalshi_cli.simulator.matching.member import SimAccount
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.event_queue import EventQueue
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt, OrderTerms
from kalshi_cli.simulator.model.records import MarketRecord, OrderRecord
from kalshi_cli.simulator.protocol.replies import RejectionError, existing, not_found
from kalshi_cli.simulator.protocol.routing import check_subaccount
from kalshi_cli.simulator.trading.order_groups import OrderGroups

BalanceKey = tuple[int, int]
"""The key of a balance of a member: (subaccount, shard)."""


class OrderGateway:
    """Places and cancels orders, and moves cash."""

    def __init__(self, state: SimulatorState, queue: EventQueue) -> None:
        self.state = state
        self.engine = matching_engine.MatchingEngine(state, queue)
        self.groups = OrderGroups(state, self.engine)

    # -- placing --

    def submit(self, account: str, new: NewOrder, now: Ts) -> OrderReceipt:
        """Place an order. A refusal changes nothing."""
        state, member = self.state, self.state.members[account]
        self._check(member, new, now)
        order = self._order(account, new, now)
        self.groups.check_joins(order)
        plan = state.books[new.ticker].plan(order, order.remaining)
        if new.tif is TimeInForce.FOK and plan.qty < new.qty:
            raise RejectionError(409, "fill_or_kill_insufficient_resting_volume")
        if new.reduce_only and order.remaining == 0 and state.options.reduce_only_refused:
            raise RejectionError(400, "invalid_order", "no position to reduce")
        self._check_pays(order)
        state.order_count += 1
        if new.client_order_id:
            member.client_ids[new.client_order_id] = order.order_id
        self.engine.execute(order, plan, order.remaining, now, is_reduce_only=new.reduce_only)
        self.groups.check_traded(now)
        if order.order_id in state.live and now < member.cancels_until.get(new.subaccount, 0):
            self.engine.release(order, "", now)
        return self.receipt(order, plan, now, Money(0))

    def cross(self, maker: tuple[str, NewOrder], taker: tuple[str, NewOrder], now: Ts) -> tuple[str, str]:
        """Trade two orders of two accounts outside the book; return their ids, that of the maker first."""
        orders = []
        for account, new in (maker, taker):
            self._check(self.state.members[account], new, now)
            orders.append(self._order(account, new, now))
            self._check_pays(orders[-1])
        for order in orders:
            order.rank = self.state.order_count
            self.state.order_count += 1
        self.engine.cross(orders[1], orders[0], now)
        return orders[0].order_id, orders[1].order_id

    def check_could_pay(self, account: str, new: NewOrder, now: Ts) -> None:
        """Refuse if the account lacks the cash for this order now; the order is not placed."""
        self._check_pays(self._order(account, new, now))

    def _check_pays(self, order: OrderRecord) -> None:
        if not self.engine.can_pay(order):
            raise RejectionError(400, "insufficient_balance")

    def _order(self, account: str, new: NewOrder, now: Ts) -> OrderRecord:
        """Return the order as it would be entered; `remaining` is the most it may fill."""
        shard, wanted = self.state.shard_of(new.ticker), new.qty
        if new.reduce_only:
            held = self.state.members[account].purse(new.subaccount, shard).held(new.ticker)
            wanted = Qty(min(new.qty, collateral.closable(held, new.side)))
        return OrderRecord(
            order_id=self.state.new_id(),
            account=account,
            remaining=wanted,
            exchange_index=shard,
            created=now,
            updated=now,
            rank=self.state.order_count,
            **{name: getattr(new, name) for name in OrderTerms.__struct_fields__},
        )

    def _check(self, member: SimAccount, new: NewOrder, now: Ts) -> None:
        """Refuse an invalid order before it is matched."""
        market = self.state.markets.get(new.ticker)
        if market is None or new.exchange_index not in (None, market.spec.exchange_index):
            raise not_found()  # a market is unknown on other shards (UNVERIFIED: no such request was recorded)
        self.check_open(market, now)
        check_subaccount(member, new.subaccount)
        if self.is_used(member, new.client_order_id):
            raise RejectionError(409, "order_already_exists")
        if new.qty <= 0:
            raise RejectionError(400, "invalid_order_size")
        if not market.spec.grid.is_valid(new.price):
            raise RejectionError(400, "invalid_price")
        refusals = {
            "expiration_time needs GTC": new.expires is not None and new.tif is not TimeInForce.GTC,
            "Expiration timestamp must be in the future": new.expires is not None and new.expires <= now,
            "reduce_only can only be used with IoC or FoK orders": new.reduce_only and new.tif is not TimeInForce.IOC,
            "post only cross": new.post_only and self.state.books[new.ticker].would_cross(new.side, new.price),
            "too many open orders": member.open_orders >= self.state.options.max_open_orders,
        }
        for why, is_wrong in refusals.items():
            if is_wrong:
                raise RejectionError(400, "invalid_order", why)

    def check_open(self, market: MarketRecord, now: Ts, *, is_cancel: bool = False) -> None:
        """Refuse orders and amendments, or with `is_cancel` cancels, that the market does not accept now."""
        pause, status = self.state.switches.pause_of(market.spec.exchange_index), market.status(now)
        if pause == "exchange":
            raise RejectionError(409, "exchange_is_paused")
        if not is_cancel and (pause or status is MarketStatus.INACTIVE):
            raise RejectionError(409, "trading_is_paused")
        if status not in (MarketStatus.ACTIVE, MarketStatus.INACTIVE):
            raise RejectionError(self.state.options.inactive_status, "market_inactive")

    def is_used(self, member: SimAccount, client_order_id: str) -> bool:
        """Return whether a client order id is taken: forever, or (option `client_ids`) while its order rests."""
        earlier = member.client_ids.get(client_order_id) if client_order_id else None
        if earlier is None:
            return False
        return self.state.options.client_ids == "forever" or earlier in self.state.live

    def receipt(self, order: OrderRecord, plan: order_book.MatchPlan, now: Ts, fees_before: Money) -> OrderReceipt:
        """Return the immediate result of an execution; `fees_before` are the taker fees of the order before it."""
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

    # -- canceling --

    def find(self, account: str, order_id: str, key: BalanceKey | None = None) -> OrderRecord:
        """Return a live order of this account; for another subaccount or shard than its own it is not found."""
        order = existing(self.state.live.get(order_id))
        if order.account != account or key not in (None, (order.subaccount, order.exchange_index)):
            raise not_found()
        return order

    def find_changeable(self, account: str, order_id: str, now: Ts, key: BalanceKey | None = None) -> OrderRecord:
        """Return a live order that can be canceled or reduced now."""
        order = self.find(account, order_id, key)
        self.check_open(self.state.markets[order.ticker], now, is_cancel=True)
        return order

    def cancel(self, account: str, order_id: str, now: Ts, key: BalanceKey | None = None) -> Qty:
        """Cancel an order, and return its remaining size."""
        return self.engine.release(self.find_changeable(account, order_id, now, key), "", now)

    def cancel_all(self, account: str, now: Ts, ticker: str | None = None, subaccount: int | None = None) -> int:
        """Cancel all orders that can be canceled, of one market or subaccount or of all; return their number."""
        count = 0
        for order_id in [order.order_id for order in self.state.members[account].orders(ticker, subaccount)]:
            with suppress(RejectionError):
                self.cancel(account, order_id, now)
                count += 1
        return count

    def keep_canceling(self, account: str, now: Ts, subaccount: int | None = None) -> None:
        """Cancel orders that are placed soon after a cancel-all too, as documented for the kill switch."""
        member = self.state.members[account]
        numbers = range(member.record.subaccounts + 1) if subaccount is None else (subaccount,)
        member.cancels_until |= dict.fromkeys(numbers, Ts(now + self.state.options.cancel_all_lasts_ms))

    # -- money --

    def add_cash(self, account: str, purse: BalanceKey, amount: Money, now: Ts) -> None:
        """Add money from outside to a purse; a negative amount leaves it."""
        record = self.state.members[account].purse(*purse).record
        record.cash = Money(record.cash + amount)
        self.state.touch_own(record, now)

    def move_cash(self, account: str, source: BalanceKey, target: BalanceKey, amount: Money, now: Ts) -> bool:
        """Move cash between two purses; return False where the free cash of the source is not enough."""
        if self.state.members[account].purse(*source).free < amount:
            return False
        self.add_cash(account, source, Money(-amount), now)
        self.add_cash(account, target, amount, now)
        return True
