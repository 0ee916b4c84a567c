"""The facts and warnings that are shown before an order is confirmed."""

from __future__ import annotations

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, notional, show_money, show_price, show_qty
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.services.orders.place import OrderProposal, OrderTicket


def place_facts(env: str, ticket: OrderTicket, proposal: OrderProposal) -> tuple[str, ...]:
    """Return the order, its market with the best prices, and what it can cost and pay."""
    market, outcome = proposal.market, ticket.outcome.upper()
    line = f"{ticket.action} {show_qty(ticket.qty)} {outcome} at {show_price(ticket.price)}"
    bid, ask = market.yes_bid, market.yes_ask
    if ticket.outcome == "no":
        bid, ask = _no_price(ask), _no_price(bid)
    return (
        f"{env}: {line} on {ticket.ticker}",
        *([market.full_title] if market.full_title else []),
        f"{outcome}: best bid {show_price(bid)}, best ask {show_price(ask)}",
        f"Cost {show_money(proposal.cost)}, fee up to {show_money(proposal.fee)}, "
        f"maximum loss {show_money(proposal.worst_loss)}, "
        f"maximum payout {show_money(notional(ONE_DOLLAR, ticket.qty))}",
    )


def _no_price(price: Price | None) -> Price | None:
    return None if price is None else Price(ONE_DOLLAR - price)


def place_warnings(engine: TradingEngine, ticket: OrderTicket, proposal: OrderProposal) -> tuple[str, ...]:
    """Return the warnings of an order: no quotes to compare its price with, and what else it does than it says."""
    market, order, warnings = proposal.market, proposal.submit.order, []
    if market.yes_bid is market.yes_ask is market.last is None:
        warnings.append("This market has no quotes and no trades yet, so the price could not be compared")
    held = engine.state.ledger.position(order.ticker, order.subaccount).qty
    pending = sum(
        each.remaining
        for each in engine.state.orders.live(order.ticker)
        if (each.side, each.subaccount) == (order.side, order.subaccount)
        and each.client_order_id != order.client_order_id  # the engine counts the proposed order too
    )
    if text := effect_note(ticket, held, Qty(pending)):
        warnings.append(text)
    return tuple(warnings)


def effect_note(ticket: OrderTicket, held: Qty, pending: Qty) -> str:
    """Say what an order sells and buys where its words do not: a purchase that sells, a sale that buys.

    `held` is signed, plus for YES. `pending` is the open quantity of other orders on the same side of the book, which
    may sell the position first.
    """
    is_bid = (ticket.outcome == "yes") == (ticket.action == "buy")
    sold, bought = ("NO", "YES") if is_bid else ("YES", "NO")
    own = max(0, -held if is_bid else held)
    pledged = 0 if ticket.reduce_only else min(own, pending)
    closed = min(ticket.qty, own - pledged)
    opened = 0 if ticket.reduce_only else ticket.qty - closed
    if (own == 0 and ticket.action == "buy") or (opened == 0 and ticket.action == "sell"):
        return ""
    typed, other = show_price(ticket.price), show_price(_no_price(ticket.price))
    sells, buys = (other, typed) if ticket.action == "buy" else (typed, other)
    purchase = f"buys {show_qty(Qty(opened))} {bought} at {buys}"
    if own == 0:
        return f"You hold no {sold} of {ticket.ticker}: this order {purchase}, and is listed as `buy {bought}`"
    have = f"{show_qty(Qty(own))} {sold} of {ticket.ticker}"
    listed = f"is listed as `sell {sold}`"
    if closed == 0:
        return f"Your open orders already sell your {have}: if they fill first, this order {purchase}. It {listed}"
    others = f", and your open orders sell {show_qty(Qty(pledged))} of them" if pledged else ""
    sale = f"sells {show_qty(Qty(closed))} {sold} at {sells}" + (f", then {purchase}" if opened else "")
    return f"You hold {have}{others}: this order {sale}, and {listed}"
