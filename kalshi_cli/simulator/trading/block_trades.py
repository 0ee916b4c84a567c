"""Block trades: agreed on outside, accepted by both parties, and traded past the book (API.md section 4).

What is published are the fields of a proposal. UNVERIFIED, and so here: one of the parties proposes, which does not
accept for it; the trade happens with the second acceptance; it pays taker and maker fees like any other.

Only the statuses that the specification declares are used: 400 during a pause too, and for a market or a party that
does not exist.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import NewOrder, OrderRejection
from kalshi_cli.simulator.model.quote_records import EXECUTED, OPEN, BlockRecord
from kalshi_cli.simulator.trading.order_gateway import OrderGateway
from kalshi_cli.simulator.trading.order_groups import NOT_FOUND

EXPIRED = "expired"
Party = tuple[str, int]
"""A user id and a subaccount."""


class BlockTrades:
    """Proposals, and the trades that come of them."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        self.state = state
        self.floor = floor

    def propose(
        self,
        account: str,
        ticker: str,
        price: Price,
        qty: Qty,
        now: Ts,
        *,
        buyer: Party,
        seller: Party,
        maker_side: str,
        expires: Ts,
    ) -> BlockRecord | OrderRejection:
        """Write down a proposal; only one of its parties may make it."""
        market = self.state.markets.get(ticker)
        names = {member.record.user_id: name for name, member in self.state.members.items()}
        if market is None or buyer[0] not in names or seller[0] not in names:
            return OrderRejection(400, "invalid_parameters", "no such market or user")
        if account not in (names[buyer[0]], names[seller[0]]):
            return OrderRejection(403, "forbidden", "only a party of the trade may propose it")
        if (paused := self.floor.paused(market, now)) is not None:
            return _declared(paused)
        if buyer[0] == seller[0] or expires <= now:
            return OrderRejection(400, "invalid_parameters", "the parties must differ, and the expiration lie ahead")
        if not market.spec.grid.is_valid(price):
            return OrderRejection(400, "invalid_price")
        block = BlockRecord(
            block_id=self.state.new_id(),
            number=self.state.talks.count,
            proposer=account,
            buyer=names[buyer[0]],
            seller=names[seller[0]],
            buyer_subaccount=buyer[1],
            seller_subaccount=seller[1],
            ticker=ticker,
            price=price,
            qty=qty,
            maker_side=maker_side,
            expires=expires,
            created=now,
            updated=now,
        )
        self.state.talks.take(block)
        self._keep(block, now)
        return block

    def accept(self, account: str, block_id: str, subaccount: int | None, now: Ts) -> OrderRejection | None:
        """One party accepts, for this subaccount or that of the proposal; with the second one it trades."""
        block = self.state.talks.blocks.get(block_id)
        if block is None or account not in (block.buyer, block.seller):
            return NOT_FOUND
        if block.status == OPEN and now >= block.expires:
            block.status = EXPIRED
            self._keep(block, now)
        if block.status != OPEN:
            return OrderRejection(400, "invalid_parameters", f"the proposal is {block.status}")
        is_buyer = account == block.buyer
        proposed = block.buyer_subaccount if is_buyer else block.seller_subaccount
        number = proposed if subaccount is None else subaccount
        if not self.state.members[account].has_subaccount(number):
            return OrderRejection(400, "invalid_parameters", "subaccount")
        if not self.floor.could_pay(account, self._order(block, BID if is_buyer else ASK, number), now):
            return OrderRejection(400, "insufficient_balance")
        before = (block.buyer_accepted, block.buyer_subaccount, block.seller_accepted, block.seller_subaccount)
        if is_buyer:
            block.buyer_accepted, block.buyer_subaccount = now, number
        else:
            block.seller_accepted, block.seller_subaccount = now, number
        if block.buyer_accepted is not None and block.seller_accepted is not None:
            refusal = self._execute(block, now)
            if refusal is not None:
                block.buyer_accepted, block.buyer_subaccount, block.seller_accepted, block.seller_subaccount = before
                return _declared(refusal)
        self._keep(block, now)
        return None

    def _execute(self, block: BlockRecord, now: Ts) -> OrderRejection | None:
        buy = self._order(block, BID, block.buyer_subaccount)
        sell = self._order(block, ASK, block.seller_subaccount)
        is_buyer_maker = block.maker_side == "yes"
        maker = (block.buyer, buy) if is_buyer_maker else (block.seller, sell)
        taker = (block.seller, sell) if is_buyer_maker else (block.buyer, buy)
        outcome = self.floor.cross(maker, taker, now)
        if isinstance(outcome, OrderRejection):
            return outcome
        made, took = outcome
        block.buyer_order_id, block.seller_order_id = (made, took) if is_buyer_maker else (took, made)
        block.status, block.executed = EXECUTED, now
        return None

    def _order(self, block: BlockRecord, side: Side, subaccount: int) -> NewOrder:
        return NewOrder(
            ticker=block.ticker, side=side, price=block.price, qty=block.qty, tif=TimeInForce.FOK, subaccount=subaccount
        )

    def _keep(self, block: BlockRecord, now: Ts) -> None:
        block.updated = now
        self.state.keep(f"block/{block.block_id}", block)


def _declared(refusal: OrderRejection) -> OrderRejection:
    """Return the same refusal with a 400."""
    return msgspec.structs.replace(refusal, status=400)
