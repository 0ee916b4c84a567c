"""RFQs, quotes and block trades as JSON, for REST and the `communications` channel (API.md 5.12, 7.3).

Members know each other by a public communications id. Only the owner sees user ids, subaccounts and order ids. The
channel names a subaccount only if it is not the primary one.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from kalshi_cli.base.units import Price, Qty, Ts, format_price, format_qty
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import OrderReceipt
from kalshi_cli.simulator.model.quote_records import DECLINED, EXECUTED, OPEN, BlockRecord, QuoteRecord, RfqRecord
from kalshi_cli.simulator.model.records import MarketRecord, StreamNotification
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.protocol.shapes import combo_json, rfc3339, show


def communications_id(user_id: str) -> str:
    """Return the public id of a member: stable, and not reversible to the user id."""
    return blake2b(user_id.encode(), digest_size=16, person=b"communications").hexdigest()


_QUOTE = """
    id rfq_id creator_id rfq_creator_id market_ticker contracts_fp yes_bid_dollars no_bid_dollars yes_contracts_fp
    no_contracts_fp status rest_remainder created_ts updated_ts
"""
_OF_QUOTE = "accepted_side cancellation_reason accepted_ts confirmed_ts executed_ts cancelled_ts"
_BLOCK = """
    id proposer_user_id buyer_user_id seller_user_id market_ticker price_centi_cents centicount maker_side
    expiration_ts status created_ts updated_ts buyer_accepted seller_accepted
"""


def rfq_json(rfq: RfqRecord, state: SimulatorState, viewer: str) -> Json:
    """Return an RFQ as a member sees it."""
    is_own = rfq.account == viewer
    shown: Json = {
        "id": rfq.rfq_id,
        "creator_id": "" if not is_own and _is_hidden(rfq) else _member_id(rfq.account, state),
        "contracts_fp": format_qty(rfq.qty or Qty(0)),
        "status": "open" if rfq.closed is None else "closed",
        **show(rfq, "market_ticker rest_remainder created_ts updated_ts"),
        **_target(rfq, "target_cost_dollars"),
        **_legs(state.markets.get(rfq.ticker)),
        **_fees_excluded(rfq),
    }
    if rfq.closed is not None:
        shown |= {"cancellation_reason": rfq.reason, "cancelled_ts": rfc3339(rfq.closed)}
    if is_own:
        user_id = state.members[rfq.account].record.user_id
        shown |= {"creator_user_id": user_id, "creator_subaccount": rfq.subaccount}
    return shown


def quote_json(quote: QuoteRecord, rfq: RfqRecord, state: SimulatorState, viewer: str) -> Json:
    """Return a quote as its maker or its requester sees it."""
    hides_requester = rfq.is_obscured and viewer != rfq.account and quote.status != EXECUTED
    shown = show(
        quote,
        _QUOTE,
        id=quote.quote_id,
        creator_id=_member_id(quote.account, state),
        rfq_creator_id="" if hides_requester else _member_id(rfq.account, state),
        market_ticker=rfq.ticker,
        contracts_fp=format_qty(rfq.qty or Qty(0)),
    )
    shown |= _target(rfq, "rfq_target_cost_dollars") | _fees_excluded(rfq) | show(quote, "", _OF_QUOTE)
    parties: dict[str, tuple[QuoteRecord | RfqRecord, str]] = {
        "creator": (quote, quote.order_id),
        "rfq_creator": (rfq, quote.rfq_order_id),
    }
    for role, (party, order_id) in parties.items():
        if viewer == party.account:
            user_id = state.members[viewer].record.user_id
            shown |= {f"{role}_user_id": user_id, f"{role}_subaccount": party.subaccount}
            shown |= {f"{role}_order_id": order_id} if order_id else {}
    return shown | ({"post_only": quote.post_only} if viewer == quote.account else {})


def block_json(block: BlockRecord, state: SimulatorState, viewer: str) -> Json:
    """Return a block trade as one of its parties sees it: the other party and its order stay empty."""
    users = {name: state.members[name].record.user_id for name in (block.proposer, block.buyer, block.seller)}
    own = [side for side in ("buyer", "seller") if viewer == getattr(block, side)]
    shown = show(
        block,
        _BLOCK,
        "buyer_accepted_ts seller_accepted_ts executed_ts",
        id=block.block_id,
        proposer_user_id=users[block.proposer],
        buyer_user_id=users[block.buyer] if "buyer" in own else "",
        seller_user_id=users[block.seller] if "seller" in own else "",
        price_centi_cents=block.price,
        centicount=block.qty,
        buyer_accepted=block.buyer_accepted is not None,
        seller_accepted=block.seller_accepted is not None,
    )
    return shown | show(block, "", " ".join(f"{side}_order_id" for side in own))


# -- the channel --------------------------------------------------------------------------------------------------


def rfq_msg(kind: str, rfq: RfqRecord, state: SimulatorState, now: Ts) -> StreamNotification:
    """Return `rfq_created` or `rfq_deleted`, for everyone. The former hides the requester (seen in 2026)."""
    msg: Json = {"id": rfq.rfq_id, "creator_id": "", **show(rfq, "market_ticker event_ticker")}
    msg |= _target(rfq, "target_cost_dollars")
    if rfq.qty is not None:
        msg["contracts_fp"] = format_qty(rfq.qty)
    if kind == "rfq_created":
        msg |= {"created_ts": rfc3339(now), **_legs(state.markets.get(rfq.ticker))}
    else:
        creator = "" if _is_hidden(rfq) else _member_id(rfq.account, state)
        msg |= {"deleted_ts": rfc3339(now), "creator_id": creator}
    return StreamNotification(kind, msg, rfq.rfq_id, rfq.account)


def quote_msgs(
    kind: str,
    quote: QuoteRecord,
    rfq: RfqRecord,
    state: SimulatorState,
    now: Ts,
    orders: Mapping[str, OrderReceipt] | None = None,
) -> list[StreamNotification]:
    """Return the messages of a quote: one for the maker, one for the requester.

    `kind` is `quote_created`, `quote_accepted` or `quote_executed`. `orders` has the order of each account.
    """
    found = []
    for account, subaccount in ((quote.account, quote.subaccount), (rfq.account, rfq.subaccount)):
        msg = _quote_msg(kind, quote, rfq, state, account)
        if orders is not None:
            order = orders[account]
            msg |= {"order_id": order.order_id, "client_order_id": order.client_order_id, "executed_ts": rfc3339(now)}
        if subaccount:
            msg["subaccount"] = subaccount
        found.append(StreamNotification(kind, msg, rfq.rfq_id, rfq.account, frozenset({account})))
    return found


def _quote_msg(kind: str, quote: QuoteRecord, rfq: RfqRecord, state: SimulatorState, account: str) -> Json:
    whole = quote_json(quote, rfq, state, account)
    msg: Json = {
        "quote_id": quote.quote_id,
        "rfq_id": quote.rfq_id,
        "quote_creator_id": whole["creator_id"],
        "rfq_creator_id": whole["rfq_creator_id"],
        "market_ticker": rfq.ticker,
    }
    if kind == "quote_executed":
        return msg
    msg |= {"event_ticker": rfq.event_ticker, "yes_bid_dollars": whole["yes_bid_dollars"]}
    msg |= {"no_bid_dollars": whole["no_bid_dollars"]}
    for side, bid, qty in (("yes", quote.yes_bid, quote.yes_qty), ("no", quote.no_bid, quote.no_qty)):
        if bid != DECLINED:
            msg[f"{side}_contracts_offered_fp"] = format_qty(qty)
    msg |= _target(rfq, "rfq_target_cost_dollars")
    if quote.status == OPEN:
        return msg | {"created_ts": rfc3339(quote.created)}
    msg["accepted_side"] = quote.accepted_side
    if rfq.qty is not None:  # absent for an RFQ by cost (recorded in July 2026)
        msg["contracts_accepted_fp"] = format_qty(rfq.qty)
    return msg


def _is_hidden(rfq: RfqRecord) -> bool:
    """Return whether others may not see the requester."""
    return rfq.is_obscured and rfq.reason != EXECUTED


def _member_id(account: str, state: SimulatorState) -> str:
    return communications_id(state.members[account].record.user_id)


def _target(rfq: RfqRecord, name: str) -> Json:
    return {} if rfq.target is None else {name: format_price(Price(rfq.target // 100))}


def _fees_excluded(rfq: RfqRecord) -> Json:
    return {"target_cost_excludes_fees": True} if rfq.excludes_fees else {}


def _legs(market: MarketRecord | None) -> Json:
    return combo_json(market.spec) if market is not None else {}
