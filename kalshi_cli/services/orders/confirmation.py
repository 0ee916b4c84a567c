"""The facts and warnings that are shown before an order is confirmed."""

from __future__ import annotations

from kalshi_cli.base.units import ONE_DOLLAR, Price, show_price, show_qty
from kalshi_cli.services.orders.order_effect import OrderEffect, effect_phrases
from kalshi_cli.services.orders.place import OrderProposal, OrderTicket


def place_facts(env: str, ticket: OrderTicket, proposal: OrderProposal) -> tuple[str, ...]:
    """Return the order, its market with the best prices, what it closes and brings, and what it can cost and pay."""
    market, outcome = proposal.market, ticket.outcome.upper()
    line = f"{ticket.action} {show_qty(ticket.qty)} {outcome} at {show_price(ticket.price)}"
    bid, ask = market.yes_bid, market.yes_ask
    if ticket.outcome == "no":
        bid, ask = _no_price(ask), _no_price(bid)
    return (
        f"{env}: {line} on {ticket.ticker}",
        *([market.full_title] if market.full_title else []),
        f"{outcome}: best bid {show_price(bid)}, best ask {show_price(ask)}",
        *(text[0].upper() + text[1:] for text in effect_phrases(proposal.effect, proposal.fee)),
    )


def _no_price(price: Price | None) -> Price | None:
    return None if price is None else Price(ONE_DOLLAR - price)


def place_warnings(ticket: OrderTicket, proposal: OrderProposal) -> tuple[str, ...]:
    """Return the warnings of an order: no quotes to compare its price with, and what else it does than it says."""
    market, warnings = proposal.market, []
    if market.yes_bid is market.yes_ask is market.last is None:
        warnings.append("This market has no quotes and no trades yet, so the price could not be compared")
    if text := effect_note(ticket, proposal.effect):
        warnings.append(text)
    return tuple(warnings)


def effect_note(ticket: OrderTicket, effect: OrderEffect) -> str:
    """Say what an order sells and buys where its words do not: a purchase that sells, a sale that buys."""
    sold, bought, own, pledged = effect.sold, effect.bought, effect.own, effect.pledged
    if (own == 0 and ticket.action == "buy") or (effect.opened == 0 and ticket.action == "sell"):
        return ""
    purchase = f"buys {show_qty(effect.opened)} {bought} at {show_price(effect.buys)}"
    if own == 0:
        return f"You hold no {sold} of {ticket.ticker}: this order {purchase}, and is listed as `buy {bought}`"
    have = f"{show_qty(own)} {sold} of {ticket.ticker}"
    listed = f"is listed as `sell {sold}`"
    if effect.closed == 0:
        return f"Your open orders already sell your {have}: if they fill first, this order {purchase}. It {listed}"
    others = f", and your open orders sell {show_qty(pledged)} of them" if pledged else ""
    sale = f"sells {show_qty(effect.closed)} {sold} at {show_price(effect.sells)}"
    sale += f", then {purchase}" if effect.opened else ""
    return f"You hold {have}{others}: this order {sale}, and {listed}"
