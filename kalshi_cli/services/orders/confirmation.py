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
    """Return the warnings of an order: no quotes to compare its price with, a sale that opens a short position."""
    market, warnings = proposal.market, []
    if market.yes_bid is market.yes_ask is market.last is None:
        warnings.append("This market has no quotes and no trades yet, so the price could not be compared")
    held = engine.state.ledger.position(ticket.ticker, ticket.subaccount or 0).qty
    if text := short_sale_warning(ticket, held) or closing_note(ticket, held):
        warnings.append(text)
    return tuple(warnings)


def closing_note(ticket: OrderTicket, held: Qty) -> str:
    """Say that a purchase of the other outcome sells the position, and is listed so; empty for any other order."""
    own = max(0, -held if ticket.outcome == "yes" else held)
    if ticket.action != "buy" or own == 0:
        return ""
    sold, closed = "NO" if ticket.outcome == "yes" else "YES", Qty(min(own, ticket.qty))
    price = show_price(_no_price(ticket.price))
    return (
        f"You hold {show_qty(Qty(own))} {sold} of {ticket.ticker}: this order sells {show_qty(closed)} {sold} at "
        f"{price}, and is listed as `sell {sold}`"
    )


def short_sale_warning(ticket: OrderTicket, held: Qty) -> str:
    """Say what a sale of contracts that are not held does; empty where the position covers it or the order buys.

    `held` is signed, plus for YES.
    """
    own = max(0, held if ticket.outcome == "yes" else -held)
    short = Qty(ticket.qty - own)
    if ticket.action != "sell" or ticket.reduce_only or short <= 0:
        return ""
    sold, bought = ("YES", "NO") if ticket.outcome == "yes" else ("NO", "YES")
    price = show_price(_no_price(ticket.price))
    have = f"You hold {show_qty(Qty(own))} {sold}" if own else f"You hold no {sold}"
    return (
        f"{have} of {ticket.ticker}: this sale opens a short position (it buys {show_qty(short)} {bought} at {price})"
    )
