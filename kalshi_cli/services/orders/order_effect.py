"""The effect of an order: the contracts that it closes and those that it opens, in amounts and in words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.local_time import show_times
from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import (
    ONE_DOLLAR,
    Money,
    Price,
    Qty,
    Ts,
    format_ts,
    notional,
    show_least,
    show_money,
    show_most,
    show_most_sum,
    show_price,
    show_qty,
)
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.market.fees import highest_fee
from kalshi_cli.core.market.order_book import FillEstimate, OrderBook
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.order_terms import BID, Side, TimeInForce, leg_price
from kalshi_cli.core.model.orders import Order
from kalshi_cli.services.resources import Resources
from kalshi_cli.views.formats import format_age
from kalshi_cli.views.row import Outcome, own_price


class OrderEffect(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a sale of contracts that are held, as a purchase of the other outcome, or as both.

    Attributes:
        sold: The outcome that the order sells if it is held, "YES" or "NO".
        bought: The other outcome, which the order buys with the rest.
        sells: The limit price of `sold`.
        buys: The limit price of `bought`: one dollar less `sells`.
        own: The contracts of `sold` that are held.
        pledged: Those of them that other open orders sell, perhaps before the resting part of this one.
        closed: The contracts that the order sells: what fills at once, and the rest after the pledged ones.
        opened: The contracts that it buys.
        turned: The contracts of other open orders that close now, and would open a position after this order.
        basis: The cost of the closed contracts without fees; 0 if it is unknown.
        maker_fee: The highest fee if the order rests; None for one that fills at once or never rests.
    """

    sold: str
    bought: str
    sells: Price
    buys: Price
    own: Qty
    pledged: Qty
    closed: Qty
    opened: Qty
    turned: Qty = Qty(0)
    basis: Money
    maker_fee: Money | None = None
    fills_better: bool = False
    """Says whether the order fills at once at a better price than its limit. Its cost is then an upper bound."""

    @property
    def proceeds(self) -> Money:
        """Return what the closed contracts bring at the limit price, before fees."""
        return notional(self.sells, self.closed)

    @property
    def cost(self) -> Money:
        """Return what the opened contracts cost at the limit price, before fees."""
        return notional(self.buys, self.opened)


def order_effect(order: Order, position: Position, pending: Qty, at_once: Qty) -> OrderEffect:
    """Return the effect of what is left of an order.

    `pending` is the open quantity of other orders on the same side of the book, which may sell the position first, but
    for the quantity that fills `at_once`.
    """
    is_bid = order.side is BID
    sold, bought = ("NO", "YES") if is_bid else ("YES", "NO")
    other = Price(ONE_DOLLAR - order.price)
    own = max(0, -position.qty if is_bid else position.qty)
    first = min(own, at_once)
    pledged = 0 if order.reduce_only else min(own - first, pending)
    closed = first + min(order.remaining - at_once, own - first - pledged)
    return OrderEffect(
        sold=sold,
        bought=bought,
        sells=other if is_bid else order.price,
        buys=order.price if is_bid else other,
        own=Qty(own),
        pledged=Qty(pledged),
        closed=Qty(closed),
        opened=Qty(0 if order.reduce_only else order.remaining - closed),
        turned=Qty(max(0, min(own, pending) - (own - closed))),
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
    now = fills_now(order, engine)
    position = engine.state.ledger.position(order.ticker, order.subaccount)
    effect = order_effect(order, position, Qty(pending), filled_at_once(order, now))
    is_better = now is not None and filled_at_once(order, now) > 0 and now.average != order.price
    return msgspec.structs.replace(effect, maker_fee=_maker_fee(order, engine, now), fills_better=is_better)


def _maker_fee(order: Order, engine: TradingEngine, now: FillEstimate | None) -> Money | None:
    if order.tif is not TimeInForce.GTC or now is None or now.filled:
        return None
    schedule = engine.state.fees[order.ticker]
    return highest_fee(schedule, order.price, order.price, order.remaining, is_taker=False)


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


def fills_now(order: Order, engine: TradingEngine) -> FillEstimate | None:
    """Return what the book would fill of an order at once, up to its limit; None without a usable book."""
    book = engine.state.books.get(order.ticker)
    if book is None or not book.is_usable:
        return None
    reached = (qty for price, qty in book.levels(order.side.opposite) if (order.price - price) * order.side.sign >= 0)
    return book.cost(order.side, Qty(min(order.remaining, sum(reached))))


def filled_at_once(order: Order, now: FillEstimate | None) -> Qty:
    """Return how much of an order the book fills at once; 0 without a book, or if its kind forbids the fill."""
    if now is None or order.post_only or (order.tif is TimeInForce.FOK and now.filled < order.remaining):
        return Qty(0)
    return now.filled


def fill_phrase(order: Order, now: FillEstimate, outcome: Outcome) -> str:
    """Say how many contracts of an order the book fills now, at what price, and what becomes of the others."""
    if now.average is None or not filled_at_once(order, now):
        return "Fills nothing now" + (", and rests" if order.tif is TimeInForce.GTC and not now.filled else "")
    average = show_price(own_price(outcome, now.average))
    if now.filled == order.remaining:
        return f"Fills now: all {show_qty(now.filled)} at {average} on average"
    others = "the rest of it rests" if order.tif is TimeInForce.GTC else "the rest of it is canceled"
    return f"Fills now: {show_qty(now.filled)} of {show_qty(order.remaining)} at {average} on average; {others}"


def fill_warnings(order: Order, now: FillEstimate) -> tuple[str, ...]:
    """Warn of an order that cannot do now what its kind says: it would be canceled or rejected as a whole."""
    if order.post_only and now.filled:
        return ("This order is post-only and would fill now, so the exchange rejects it",)
    if order.tif is TimeInForce.IOC and not now.filled:
        return ("Nothing can fill now, and an immediate or cancel order does not rest",)
    if order.tif is TimeInForce.FOK and now.filled < order.remaining:
        there = f"{show_qty(now.filled)} of {show_qty(order.remaining)}"
        return (f"Only {there} can fill now, and a fill or kill order fills as a whole or not at all",)
    return ()


def price_warnings(market: Market, order: Order, outcome: Outcome, collar: int | None) -> tuple[str, ...]:
    """Return a warning about a price that is further than the price collar behind the best price of its side.

    The collar itself guards only the side that trades at once; a price of the other outcome typed by mistake rests.
    """
    is_buy = (order.side is BID) == (outcome == "yes")
    bid, ask = (market.yes_bid, market.yes_ask) if outcome == "yes" else (market.no_bid, market.no_ask)
    best, price = bid if is_buy else ask, own_price(outcome, order.price)
    if best is None or collar is None:
        return ()
    away = best - price if is_buy else price - best
    if away <= collar:
        return ()
    where = f"below the best bid ({show_price(best)})" if is_buy else f"above the best ask ({show_price(best)})"
    return (f"{outcome.upper()} {show_price(price)} is {show_price(away)} {where}",)


def terms_phrase(order: Order) -> str:
    """Return the kind of an order and its end, where it has any: `, post-only, expires 2026-11-24 06:00:00 EST`."""
    terms = (
        {TimeInForce.IOC: "immediate or cancel", TimeInForce.FOK: "fill or kill"}.get(order.tif),
        "post-only" if order.post_only else None,
        "reduce-only" if order.reduce_only else None,
        "canceled if trading pauses" if order.cancel_on_pause else None,
        f"expires {show_times(format_ts(order.expires))}" if order.expires else None,
    )
    return "".join(f", {term}" for term in terms if term)


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

    `fee` is the highest fee of the whole order; each part shows its share.
    """
    phrases, no_risk = [], effect.opened == 0
    all_of_it = effect.closed + effect.opened
    fees = {part: Money(-(-fee * part // all_of_it)) if all_of_it else fee for part in (effect.closed, effect.opened)}
    if effect.closed:
        end = ", no new risk" if no_risk else ""
        phrases.append(
            f"closes {show_qty(effect.closed)} of your {show_qty(effect.own)} {effect.sold}: "
            f"proceeds {show_least(effect.proceeds)} or more, {_fee_phrase(effect, fees[effect.closed])}{end}"
        )
    if effect.closed and effect.basis:
        phrases.append(pnl_phrase(effect.proceeds, effect.basis, fees[effect.closed]))
    if not no_risk:
        opens = f"opens {show_qty(effect.opened)} {effect.bought}: " if effect.closed else ""
        cost, fee_text, loss = show_most_sum(effect.cost, fees[effect.opened])
        bound = "up to " if effect.fills_better else ""
        phrases.append(
            f"{opens}cost {bound}{cost}, {_fee_phrase(effect, fees[effect.opened], fee_text)}, maximum loss {loss}, "
            f"maximum payout {show_most(notional(ONE_DOLLAR, effect.opened))}"
        )
    return tuple(phrases) or (f"{_fee_phrase(effect, fee)}, no new risk",)


def _fee_phrase(effect: OrderEffect, fee: Money, text: str = "") -> str:
    """Return the highest fee of a part of an order, and whether a resting order pays none."""
    if not fee:
        return "no fee"
    return f"fee up to {text or show_most(fee)}" + (" (none if it rests)" if effect.maker_fee == 0 else "")


def effect_warnings(order: Order, action: str, effect: OrderEffect) -> tuple[str, ...]:
    """Warn of what an order does beside its words: it sells the position, opens a position, or can do nothing."""
    sold, warnings = effect.sold, [effect_note(order.ticker, action, effect)]
    if effect.turned:
        turned = show_qty(effect.turned)
        warnings.append(
            f"Once it fills, your open orders to sell {turned} {sold} would buy {turned} {effect.bought} instead"
        )
    if order.reduce_only and not effect.own:
        warnings.append(f"You hold no {sold} of {order.ticker}, so this reduce-only order does nothing")
    return tuple(filter(None, warnings))


def effect_note(ticker: str, action: str, effect: OrderEffect) -> str:
    """Say what an order sells and buys where its words do not: a purchase that sells, a sale that buys."""
    sold, bought, own, pledged = effect.sold, effect.bought, effect.own, effect.pledged
    if (own == 0 and action == "buy") or (effect.opened == 0 and action == "sell"):
        return ""
    purchase = f"buys {show_qty(effect.opened)} {bought} at {show_price(effect.buys)}"
    if own == 0:
        return f"You hold no {sold} of {ticker}: this order {purchase}"
    have = f"{show_qty(own)} {sold} of {ticker}"
    if effect.closed == 0:
        return f"Your open orders already sell your {have}: if they fill first, this order {purchase}"
    claimed = Qty(effect.turned + own - effect.closed) if effect.turned else pledged  # also what this order takes first
    others = f", and your open orders sell {show_qty(claimed)} of them" if pledged else ""
    sale = f"sells {show_qty(effect.closed)} {sold} at {show_price(effect.sells)}"
    sale += f", then {purchase}" if effect.opened else ""
    return f"You hold {have}{others}: this order {sale}"


def effects_phrase(effects: Sequence[OrderEffect], fees: Money) -> str:
    """Return the amounts of several orders together in one phrase."""
    closed, proceeds = Qty(sum(each.closed for each in effects)), sum(each.proceeds for each in effects)
    cost = sum(each.cost for each in effects)
    sale = f"closes {show_qty(closed)} contracts: proceeds {show_least(proceeds)} or more, " if closed else ""
    if closed and not any(each.opened for each in effects):
        return f"{sale}fee up to {show_most(fees)}, no new risk"
    cost_text, fee_text, loss = show_most_sum(cost, fees)
    return f"{sale}cost {cost_text}, fee up to {fee_text}, maximum loss {loss}"


def closing_amounts(effects: Sequence[OrderEffect]) -> dict[str, int]:
    """Return the contracts that orders close, their proceeds and their cost, as fields of a PricedPlan."""
    is_known = all(each.basis for each in effects if each.closed)
    return {
        "closing_cost": Money(sum(each.basis for each in effects) if is_known else 0),
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
        live = store.live_orders() if store is not None else ()
        for order in sorted((*live, *recent), key=lambda each: each.created, reverse=True):
            is_same = _terms(order) == _terms(wanted)
            if is_same and not order.strategy and (order.status.is_live or order.filled):
                name = order.order_id[:SHORT_ID_LENGTH] or order.client_order_id
                state = f"{show_qty(order.filled)} of {show_qty(order.qty)} filled"
                when = format_age(order.created, now)
                return (
                    f"Your order {name} has the same side, count and price (placed {when}, {state}). "
                    "This is a second order",
                )
    return ()


def _terms(order: Order) -> tuple[object, ...]:
    return order.ticker, order.side, order.price, order.qty, order.subaccount
