"""Block trades: negotiated outside, accepted by both parties, and traded outside the book (API.md section 4).

Only the fields of a proposal are published. UNVERIFIED, and so here: one of the parties proposes, which does not accept
for it; the second acceptance trades; the trade pays taker and maker fees like any other.

Only the statuses of the specification are used: 400 also during a pause, and for an unknown market or party.
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
from kalshi_cli.simulator.protocol.replies import RejectionError, existing, invalid, not_found
from kalshi_cli.simulator.protocol.routing import check_subaccount
from kalshi_cli.simulator.trading.order_gateway import OrderGateway

EXPIRED = "expired"


class BlockTrades:
    """Proposals and their trades."""

    def __init__(self, state: SimulatorState, gateway: OrderGateway) -> None:
        self.state = state
        self.gateway = gateway

    def propose(self, account: str, terms: BlockTerms, now: Ts) -> BlockRecord:
        """Save a proposal; only one of its parties may make it."""
        market = self.state.markets.get(terms.ticker)
        if market is None or not terms.buyer or not terms.seller:
            raise invalid("no such market or user")
        if account not in (terms.buyer, terms.seller):
            raise RejectionError(403, "forbidden", "only a party of the trade may propose it")
        with _declared():
            self.gateway.check_open(market, now)
        if terms.buyer == terms.seller or terms.expires <= now:
            raise invalid("the parties must differ, and the expiration lie ahead")
        if not market.spec.grid.is_valid(terms.price):
            raise RejectionError(400, "invalid_price")
        block = self.state.talks.add(BlockRecord, terms, now, block_id=self.state.new_id(), proposer=account)
        self._keep(block, now)
        return block

    def accept(self, account: str, block_id: str, subaccount: int | None, now: Ts) -> None:
        """Accept for one party, with this subaccount or that of the proposal; the second acceptance trades."""
        block = existing(self.state.talks.blocks.get(block_id))
        if account not in (block.buyer, block.seller):
            raise not_found()
        if block.status == OPEN and now >= block.expires:
            block.status = EXPIRED
            self._keep(block, now)
        if block.status != OPEN:
            raise invalid(f"the proposal is {block.status}")
        party, side = ("buyer", BID) if account == block.buyer else ("seller", ASK)
        number = getattr(block, f"{party}_subaccount") if subaccount is None else subaccount
        check_subaccount(self.state.members[account], number)
        self.gateway.check_could_pay(account, self._order(block, side, number), now)
        accepted = msgspec.structs.replace(block, **{f"{party}_accepted": now, f"{party}_subaccount": number})
        if accepted.buyer_accepted is not None and accepted.seller_accepted is not None:
            with _declared():
                self._execute(accepted, now)
        self.state.talks.blocks[block_id] = accepted
        self._keep(accepted, now)

    def _execute(self, block: BlockRecord, now: Ts) -> None:
        buy = block.buyer, self._order(block, BID, block.buyer_subaccount)
        sell = block.seller, self._order(block, ASK, block.seller_subaccount)
        if block.maker_side == "yes":
            block.buyer_order_id, block.seller_order_id = self.gateway.cross(buy, sell, now)
        else:
            block.seller_order_id, block.buyer_order_id = self.gateway.cross(sell, buy, now)
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
    """Turn a refusal into the same one with status 400."""
    try:
        yield
    except RejectionError as refusal:
        raise RejectionError(400, refusal.code, refusal.details) from refusal
