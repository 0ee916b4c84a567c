"""The effect of an order: the contracts that it closes and those that it opens, in amounts and in words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import (
    ONE_DOLLAR,
    Money,
    Price,
    Qty,
    Ts,
    notional,
    show_least,
    show_money,
    show_most,
    show_qty,
)
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.market.fees import highest_fee
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.order_terms import BID, Side, leg_price
from kalshi_cli.core.model.orders import Order
from kalshi_cli.services.resources import Resources
from kalshi_cli.views.formats import format_age


class OrderEffect(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a sale of contracts that are held, as a purchase of the other outcome, or as both.

    Attributes:
        sold: The outcome that the order sells if it is held, "YES" or "NO".
        bought: The other outcome, which the order buys with the rest.
        sells: The limit price of `sold`.
        buys: The limit price of `bought`: one dollar less `sells`.
        own: The contracts of `sold` that are held.
        pledged: Those of them that other open orders sell, perhaps first.
        closed: The contracts that the order sells, after the pledged ones.
        opened: The contracts that it buys.
        basis: The cost of the closed contracts without fees; 0 if it is unknown.
    """

    sold: str
    bought: str
    sells: Price
    buys: Price
    own: Qty
    pledged: Qty
    closed: Qty
    opened: Qty
    basis: Money

    @property
    def proceeds(self) -> Money:
        """Return what the closed contracts bring at the limit price, before fees."""
        return notional(self.sells, self.closed)

    @property
    def cost(self) -> Money:
        """Return what the opened contracts cost at the limit price, before fees."""
        return notional(self.buys, self.opened)


def order_effect(order: Order, position: Position, pending: Qty) -> OrderEffect:
    """Return the effect of what is left of an order.

    `pending` is the open quantity of other orders on the same side of the book, which may sell the position first.
    """
    is_bid = order.side is BID
    sold, bought = ("NO", "YES") if is_bid else ("YES", "NO")
    other = Price(ONE_DOLLAR - order.price)
    own = max(0, -position.qty if is_bid else position.qty)
    pledged = 0 if order.reduce_only else min(own, pending)
    closed = min(order.remaining, own - pledged)
    return OrderEffect(
        sold=sold,
        bought=bought,
        sells=other if is_bid else order.price,
        buys=order.price if is_bid else other,
        own=Qty(own),
        pledged=Qty(pledged),
        closed=Qty(closed),
        opened=Qty(0 if order.reduce_only else order.remaining - closed),
        basis=Money(position.cost * closed // own if own else 0),
    )


def effect_at(engine: TradingEngine, order: Order) -> OrderEffect:
    """Return the effect of an order on the account as the engine knows it."""
    pending = sum(
        each.remaining
        for each in engine.state.orders.live(order.ticker)
        if (each.side, each.subaccount) == (order.side, order.subaccount)
        and each.client_order_id != order.client_order_id  # the engine counts the proposed order too
    )
    return order_effect(order, engine.state.ledger.position(order.ticker, order.subaccount), Qty(pending))


def best_for(book: OrderBook, side: Side) -> Price | None:
    """Return the best price that an order on this side would meet."""
    return book.best_ask if side is BID else book.best_bid


def price_of(order: Order, engine: TradingEngine) -> tuple[Money, Money]:
    """Return the cost of what is left of an order if it fills at its limit, and its highest fee.

    It fills anywhere from the best price in the book to its limit; post-only, and with nothing to meet, at its limit.
    """
    book = engine.state.books.get(order.ticker)
    best = None if book is None or order.post_only else best_for(book, order.side)
    if best is None or (order.price - best) * order.side.sign < 0:
        best = order.price
    schedule, qty = engine.state.fees[order.ticker], order.remaining
    fee = highest_fee(schedule, best, order.price, qty, is_taker=not order.post_only)
    return notional(leg_price(order.side, order.price), qty), fee


def pnl_phrase(proceeds: Money, basis: Money, fee: Money) -> str:
    """Return the least P&L of a sale: of contracts that cost `basis`, for `proceeds` or more and at most this fee."""
    pnl = show_least(proceeds - basis - fee, signed=True)
    return f"P&L {pnl} or better against their cost of {show_money(basis)}, after this fee"


def sale_phrase(least: Money, basis: Money, fee: Money) -> str:
    """Return the least that a close brings and its highest fee, with the P&L where the cost is known."""
    text = f"at least {show_least(least)} if all of it fills, fee up to {show_most(fee)}"
    return f"{text}; {pnl_phrase(least, basis, fee)}" if basis else text


def effect_phrases(effect: OrderEffect, fee: Money) -> tuple[str, ...]:
    """Return the amounts of an order in phrases: what it closes and brings, what it opens and risks.

    `fee` is the highest fee of the whole order.
    """
    phrases, no_risk = [], effect.opened == 0
    if effect.closed:
        fees = f", fee up to {show_most(fee)}, no new risk" if no_risk else ""
        phrases.append(
            f"closes {show_qty(effect.closed)} of your {show_qty(effect.own)} {effect.sold}: "
            f"proceeds {show_least(effect.proceeds)} or more{fees}"
        )
    if effect.closed and effect.basis and no_risk:
        phrases.append(pnl_phrase(effect.proceeds, effect.basis, fee))
    if not no_risk:
        opens = f"opens {show_qty(effect.opened)} {effect.bought}: " if effect.closed else ""
        phrases.append(
            f"{opens}cost {show_most(effect.cost)}, fee up to {show_most(fee)}, "
            f"maximum loss {show_most(effect.cost + fee)}, "
            f"maximum payout {show_most(notional(ONE_DOLLAR, effect.opened))}"
        )
    return tuple(phrases) or (f"fee up to {show_most(fee)}, no new risk",)


def effects_phrase(effects: Sequence[OrderEffect], fees: Money) -> str:
    """Return the amounts of several orders together in one phrase."""
    closed, proceeds = Qty(sum(each.closed for each in effects)), sum(each.proceeds for each in effects)
    cost = sum(each.cost for each in effects)
    sale = f"closes {show_qty(closed)} contracts: proceeds {show_least(proceeds)} or more, " if closed else ""
    if closed and not any(each.opened for each in effects):
        return f"{sale}fee up to {show_most(fees)}, no new risk"
    return f"{sale}cost {show_most(cost)}, fee up to {show_most(fees)}, maximum loss {show_most(cost + fees)}"


def closing_amounts(effects: Sequence[OrderEffect]) -> dict[str, int]:
    """Return the contracts that orders close, and their proceeds, as fields of a PricedPlan."""
    return {
        "closing": Qty(sum(each.closed for each in effects)),
        "proceeds": Money(sum(each.proceeds for each in effects)),
    }


REPEAT_MS = 60_000
"""The time after a manual order in which an equal one may be a repeated line."""


def repeat_warnings(resources: Resources, wanted: Order) -> tuple[str, ...]:
    """Name an equal manual order that rests, or filled within REPEAT_MS, by the state file; empty without one."""
    now = resources.clock.now()
    with suppress(StateFileError):
        store = resources.remembered()
        recent = store.orders(Ts(now - REPEAT_MS), wanted.ticker) if store is not None else ()
        for order in (*(store.live_orders() if store is not None else ()), *recent):
            is_same = _terms(order) == _terms(wanted)
            if is_same and not order.strategy and (order.status.is_live or order.filled):
                name = order.order_id[:SHORT_ID_LENGTH] or order.client_order_id
                state = f"{show_qty(order.filled)} of {show_qty(order.qty)} filled"
                when = format_age(order.created, now)
                return (f"You placed the same order {when}: order {name}, {state}. This is another one",)
    return ()


def _terms(order: Order) -> tuple[object, ...]:
    return order.ticker, order.side, order.price, order.qty, order.subaccount
