"""Block trades: agreed on outside, accepted by both parties, and traded past the book (API.md section 4).

What is published are the fields of a proposal. UNVERIFIED, and so here: one of the parties proposes, which does not
accept for it; the trade happens with the second acceptance; it pays taker and maker fees like any other.

Only the statuses that the specification declares are used: 400 during a pause too, and for a market or a party that
does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import NewOrder
from kalshi_cli.simulator.model.quote_records import EXECUTED, OPEN, BlockRecord, BlockTerms
from kalshi_cli.simulator.protocol.replies import RejectionError, invalid, not_found
from kalshi_cli.simulator.protocol.routing import check_subaccount
from kalshi_cli.simulator.trading.order_gateway import OrderGateway

EXPIRED = "expired"


class BlockTrades:
    """Proposals, and the trades that come of them."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        self.state = state
        self.floor = floor

    def propose(self, account: str, terms: BlockTerms, now: Ts) -> BlockRecord:
        """Write down a proposal; only one of its parties may make it."""
        market = self.state.markets.get(terms.ticker)
        if market is None or not terms.buyer or not terms.seller:
            raise invalid("no such market or user")
        if account not in (terms.buyer, terms.seller):
            raise RejectionError(403, "forbidden", "only a party of the trade may propose it")
        with _declared():
            self.floor.check_open(market, now)
        if terms.buyer == terms.seller or terms.expires <= now:
            raise invalid("the parties must differ, and the expiration lie ahead")
        if not market.spec.grid.is_valid(terms.price):
            raise RejectionError(400, "invalid_price")
        block = BlockRecord(
            block_id=self.state.new_id(),
            number=self.state.talks.count,
            proposer=account,
            created=now,
            updated=now,
            **msgspec.structs.asdict(terms),
        )
        self.state.talks.take(block)
        self._keep(block, now)
        return block

    def accept(self, account: str, block_id: str, subaccount: int | None, now: Ts) -> None:
        """One party accepts, for this subaccount or that of the proposal; with the second one it trades."""
        block = self.state.talks.blocks.get(block_id)
        if block is None or account not in (block.buyer, block.seller):
            raise not_found()
        if block.status == OPEN and now >= block.expires:
            block.status = EXPIRED
            self._keep(block, now)
        if block.status != OPEN:
            raise invalid(f"the proposal is {block.status}")
        is_buyer = account == block.buyer
        proposed = block.buyer_subaccount if is_buyer else block.seller_subaccount
        number = proposed if subaccount is None else subaccount
        check_subaccount(self.state.members[account], number)
        self.floor.check_could_pay(account, self._order(block, BID if is_buyer else ASK, number), now)
        accepted = msgspec.structs.replace(block)
        if is_buyer:
            accepted.buyer_accepted, accepted.buyer_subaccount = now, number
        else:
            accepted.seller_accepted, accepted.seller_subaccount = now, number
        if accepted.buyer_accepted is not None and accepted.seller_accepted is not None:
            with _declared():
                self._execute(accepted, now)
        self.state.talks.blocks[block_id] = accepted
        self._keep(accepted, now)

    def _execute(self, block: BlockRecord, now: Ts) -> None:
        buy = block.buyer, self._order(block, BID, block.buyer_subaccount)
        sell = block.seller, self._order(block, ASK, block.seller_subaccount)
        if block.maker_side == "yes":
            block.buyer_order_id, block.seller_order_id = self.floor.cross(buy, sell, now)
        else:
            block.seller_order_id, block.buyer_order_id = self.floor.cross(sell, buy, now)
        block.status, block.executed = EXECUTED, now

    def _order(self, block: BlockRecord, side: Side, subaccount: int) -> NewOrder:
        return NewOrder(
            ticker=block.ticker, side=side, price=block.price, qty=block.qty, tif=TimeInForce.FOK, subaccount=subaccount
        )

    def _keep(self, block: BlockRecord, now: Ts) -> None:
        block.updated = now
        self.state.keep(f"block/{block.block_id}", block)


@contextmanager
def _declared() -> Iterator[None]:
    """Turn a refusal into the same one with a 400."""
    try:
        yield
    except RejectionError as refusal:
        raise RejectionError(400, refusal.code, refusal.details) from refusal
