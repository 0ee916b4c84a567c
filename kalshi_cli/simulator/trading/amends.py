"""Amends and decreases of resting orders (API.md section 5.6)."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.simulator.matching.order_book import MatchPlan
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import OrderReceipt
from kalshi_cli.simulator.model.records import OrderRecord
from kalshi_cli.simulator.protocol.replies import RejectionError
from kalshi_cli.simulator.trading.order_gateway import BalanceKey, OrderGateway

KEEP = Ts(-1)
"""An unchanged expiry."""


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """The new terms of an order. `qty` is all that it may fill, including what it filled already.

    `expires` is KEEP, a time, or None for never; the client order ids are empty if the request has none.
    """

    ticker: str
    side: Side
    price: Price
    qty: Qty
    expires: Ts | None = KEEP
    client_order_id: str = ""
    updated_client_order_id: str = ""


class Amended(msgspec.Struct, frozen=True):
    """The result of an amendment; without `has_counts` the exchange returns only the id of the order."""

    receipt: OrderReceipt
    has_counts: bool


class OrderAmends:
    """Amends and decreases resting orders. A refusal changes nothing."""

    def __init__(self, state: SimulatorState, gateway: OrderGateway) -> None:
        self.state = state
        self.gateway = gateway
        self.engine = gateway.engine

    def decrease(
        self, account: str, order_id: str, now: Ts, by: Qty | None, to: Qty | None, key: BalanceKey | None = None
    ) -> OrderRecord:
        """Reduce an order at its place in the queue, with exactly one of `by` and `to`; a size of 0 cancels it.

        More than the remaining size may be removed, which is a cancel; an order cannot grow (both UNVERIFIED).
        """
        order = self.gateway.find_changeable(account, order_id, now, key)
        left = Qty(max(0, order.remaining - by)) if by is not None else to
        if left is None or left > order.remaining:
            raise RejectionError(400, "invalid_order_size", "an order cannot be decreased to more than is left of it")
        self.engine.shrink(order, left, "Decrease", now)
        return order

    def amend(self, account: str, order_id: str, wish: Amendment, now: Ts, key: BalanceKey | None = None) -> Amended:
        """Change the price, size or expiry of an order.

        An order keeps its place in the queue only if it gets smaller or changes its expiry. Otherwise it enters the
        book again behind all others, and trades where it crosses.
        """
        order = self.gateway.find(account, order_id, key)
        self._check(order, wish, now)
        left, was = Qty(wish.qty - order.filled), order.remaining
        if wish.price == order.price and left <= was:
            self._rename(order, wish)
            self.engine.shrink(order, left, "Amend", now)
            plan, fees = MatchPlan([], []), order.taker_fees
        else:
            entered = msgspec.structs.replace(order, price=wish.price, qty=wish.qty, remaining=left)
            plan, fees = self.state.books[order.ticker].plan(entered, left), order.taker_fees
            crosses = self.state.books[order.ticker].would_cross(order.side, wish.price)
            if order.post_only and crosses and self.state.options.post_only_amend == "refuse":
                raise RejectionError(400, "invalid_order", "post only cross")
            if not self.engine.can_pay(entered, instead_of=order):
                raise RejectionError(400, "insufficient_balance")
            self._rename(order, wish)
            if order.post_only and crosses:
                plan = MatchPlan([], [])
                self.engine.release(order, "PostOnlyCrossCancel", now)
            else:
                self._enter_again(order, wish, plan, left, now)
        receipt = self.gateway.receipt(order, plan, now, fees)
        has_counts = bool(plan.qty) or order.remaining != was or self.state.options.amend_shows_counts
        return Amended(receipt, has_counts)

    def _check(self, order: OrderRecord, wish: Amendment, now: Ts) -> None:
        market = self.state.markets[order.ticker]
        self.gateway.check_open(market, now)
        mismatches = {
            "order_ticker_mismatch": wish.ticker != order.ticker,
            "order_side_mismatch": wish.side is not order.side,
            "order_id_and_client_order_id_mismatch": wish.client_order_id not in ("", order.client_order_id),
        }
        for code, is_wrong in mismatches.items():
            if is_wrong:
                raise RejectionError(self.state.options.mismatch_status, code)
        if wish.qty <= 0 or wish.qty < order.filled:
            raise RejectionError(400, "invalid_order_size")
        if not market.spec.grid.is_valid(wish.price):
            raise RejectionError(400, "invalid_price")
        if wish.expires not in (KEEP, None) and wish.expires <= now:
            raise RejectionError(400, "invalid_order", "Expiration timestamp must be in the future")
        renamed = wish.updated_client_order_id
        member = self.state.members[order.account]
        if renamed != order.client_order_id and self.gateway.is_used(member, renamed):
            raise RejectionError(409, "order_already_exists")

    def _enter_again(self, order: OrderRecord, wish: Amendment, plan: MatchPlan, left: Qty, now: Ts) -> None:
        self.engine.take_back(order, now)
        order.price, order.qty, order.queued, order.reason = wish.price, wish.qty, self.state.order_count, "Amend"
        self.state.order_count += 1
        self.engine.execute(order, plan, left, now)
        self.gateway.groups.check_traded(now)

    def _rename(self, order: OrderRecord, wish: Amendment) -> None:
        """Set the client order id and the expiry; both ids stay used."""
        if wish.updated_client_order_id:
            order.client_order_id = wish.updated_client_order_id
            self.state.members[order.account].client_ids[wish.updated_client_order_id] = order.order_id
        if wish.expires != KEEP:
            order.expires = wish.expires
            self.engine.queue.put(wish.expires, "expire", order.order_id)
