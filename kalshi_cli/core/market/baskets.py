"""Baskets: legs in markets of one event that together pay at least a known amount in every outcome.

All prices are on the YES scale: a BID leg buys YES at the asks, an ASK leg buys NO at one dollar less the bids.

    pair     YES and NO of one market pay $1: profitable if the bid exceeds the ask (a crossed book). The exchange
             matches those itself, so they appear only between two deltas, and strategies never see them.
    no       NO of n markets, at most one of which settles YES, pay n - 1 dollars: profitable if the n bids add up
             to more than $1.
    yes      YES of all markets, one of which must settle YES, pay $1: profitable if the asks add up to less than
             $1. The exchange never says that one must; the user has to (`EventRelation.exhaustive`).
    ladder   "above 10" and "above 20" of one quantity: YES of the first and NO of the second pay $1, or $2 in
             between: profitable if the bid of the second exceeds the ask of the first.

This assumes that one-dollar contracts settle at YES or NO. If a market settles at a value in between, the bounds hold
only if the values of an event add up to at most $1 and fall along a ladder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_CONTRACT, ONE_DOLLAR, Money, Price, Qty
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import FeeSchedule, Market
from kalshi_cli.core.model.messages import Level
from kalshi_cli.core.model.order_terms import ASK, BID, Side, leg_price

A_CENT = Money(10_000)
"""Added to the fee of each leg: an order that fills in up to fifty parts may be charged this much more than one that
fills at once (see `core/market/fees.py`)."""

NOTHING = Price(0)

_STRIKE = re.compile(r"T?(N?)(\d+(?:\.\d+)?)", re.ASCII)
_HALF = 0.5
"""The largest difference between the strike in a ticker and the market's own: "20 or more" has the floor 19.5."""


class EventRelation(msgspec.Struct, frozen=True):
    """The relation of an event's markets. `exhaustive`: their number if one of them must settle YES, otherwise 0."""

    is_exclusive: bool = False
    exhaustive: int = 0


class MarketOffer(msgspec.Struct, frozen=True):
    """The book levels at which a market can be traded now, best first."""

    market: Market
    bids: Sequence[Level]
    asks: Sequence[Level]
    fees: FeeSchedule = FeeSchedule()


def offer(market: Market, book: OrderBook, fees: FeeSchedule) -> MarketOffer:
    """Return the levels of a book; an unusable book has none."""
    return MarketOffer(market, book.levels(BID), book.levels(ASK), fees)


class BasketLeg(NamedTuple):
    """An order of a basket.

    `price` is the last level that it needs, `standing` the quantity offered up to that level, `cost` the amount paid
    without fees, and `fee` the highest possible fee.
    """

    ticker: str
    side: Side
    price: Price
    standing: Qty
    cost: Money
    fee: Money


class Basket(msgspec.Struct, frozen=True):
    """`qty` contracts of each leg, which together pay at least `pays` (ten-thousandths of a dollar) per contract.

    `legs` start with the leg that has the least quantity on offer. `pays` exceeds one dollar for several NO legs.
    """

    kind: str
    legs: tuple[BasketLeg, ...]
    qty: Qty
    pays: int

    @property
    def cost(self) -> Money:
        """Return the cost of all legs, without fees."""
        return Money(sum(leg.cost for leg in self.legs))

    @property
    def fees(self) -> Money:
        """Return the highest possible fees of all legs."""
        return Money(sum(leg.fee for leg in self.legs))

    @property
    def net(self) -> Money:
        """Return the profit in the worst outcome, after fees."""
        return Money(self.pays * self.qty - self.cost - self.fees)

    @property
    def edge(self) -> Price:
        """Return the net profit per contract, rounded down."""
        return Price(self.net // self.qty)


class BasketCandidate(NamedTuple):
    """Legs that are profitable at their best prices, before fees."""

    kind: str
    legs: tuple[tuple[MarketOffer, Side], ...]
    pays: int


def find(
    kin: EventRelation,
    offers: Sequence[MarketOffer],
    *,
    at_least: Price = NOTHING,
    most: Qty | None = None,
    max_legs: int | None = None,
) -> list[Basket]:
    """Return the baskets of one event that earn at least `at_least` per contract after fees, the best first.

    Each is as large as the books allow, up to `most`. Baskets may share legs, so buying one can remove another.
    """
    walked = (fill_basket(candidate, at_least=at_least, most=most) for candidate in candidates(kin, offers, max_legs))
    return sorted((basket for basket in walked if basket is not None), key=lambda basket: -basket.net)


def candidates(
    kin: EventRelation, offers: Sequence[MarketOffer], max_legs: int | None = None
) -> Iterator[BasketCandidate]:
    """Yield the legs that are profitable before fees, judged by best prices alone."""
    for each in offers:
        if each.bids and each.asks and each.bids[0][0] > each.asks[0][0]:
            yield BasketCandidate("pair", ((each, BID), (each, ASK)), ONE_DOLLAR)
    if kin.is_exclusive:
        yield from _all_no(offers, max_legs)
    asks = [each.asks[0][0] for each in offers if each.asks]
    is_few = max_legs is None or len(offers) <= max_legs
    if is_few and _is_whole(kin, len(offers)) and len(asks) == len(offers) and sum(asks) < ONE_DOLLAR:
        yield BasketCandidate("yes", tuple((each, BID) for each in offers), ONE_DOLLAR)
    for rungs in threshold_chains([each.market for each in offers]):
        yield from _two_rungs([offers[place] for place in rungs])


def _all_no(offers: Sequence[MarketOffer], max_legs: int | None) -> Iterator[BasketCandidate]:
    """Yield NO legs of the highest bids, from two legs upwards.

    Each further leg adds its bid, but also its own fee and depth.
    """
    bid_for = sorted((each for each in offers if each.bids), key=lambda each: (-each.bids[0][0], each.market.ticker))
    together = 0
    for count, each in enumerate(bid_for[:max_legs], 1):
        together += each.bids[0][0]
        if count > 1 and together > ONE_DOLLAR:
            yield BasketCandidate("no", tuple((chosen, ASK) for chosen in bid_for[:count]), (count - 1) * ONE_DOLLAR)


def _two_rungs(rungs: Sequence[MarketOffer]) -> Iterator[BasketCandidate]:
    """Yield pairs of NO of a rung with YES of the cheapest lower rung. Each rung implies all lower ones."""
    lower: list[MarketOffer] = []
    cheapest: MarketOffer | None = None
    at: float | None = None
    for rung in rungs:
        strike = _strike(rung.market)[1]
        if strike != at:  # two rungs of the same strike do not imply each other
            for each in lower:
                if cheapest is None or each.asks[0][0] < cheapest.asks[0][0]:
                    cheapest = each
            lower, at = [], strike
        if cheapest is not None and rung.bids and rung.bids[0][0] > cheapest.asks[0][0]:
            yield BasketCandidate("ladder", ((cheapest, BID), (rung, ASK)), ONE_DOLLAR)
        if rung.asks:
            lower.append(rung)


def threshold_chains(markets: Sequence[Market]) -> list[list[int]]:
    """Return lists of indices of markets that ask about one quantity, each from the easiest strike to the hardest."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, market in enumerate(markets):
        kind, _ = _strike(market)
        if kind:
            found.setdefault((kind, _stem(market)), []).append(place)
    for (kind, _), places in found.items():
        places.sort(key=lambda place: _strike(markets[place])[1], reverse=kind == "less")
    return list(found.values())


def _stem(market: Market) -> str:
    return market.ticker.rpartition("-")[0]


def _strike(market: Market) -> tuple[str, float]:
    """Return the direction and the strike of a threshold market, or ("", 0.0) if it is not a threshold.

    One event may ask about several quantities, such as the points of several players, or two coins. Markets of one
    quantity differ only in their strike, so the last part of the ticker must be exactly that strike: `T69.5`, `TN0.1`
    (negative) or `20`.
    """
    named = _STRIKE.fullmatch(market.ticker.rpartition("-")[2])
    kind, strike = "", None
    if market.strike_type in ("greater", "greater_or_equal"):
        kind, strike = "greater", market.floor_strike
    elif market.strike_type in ("less", "less_or_equal"):
        kind, strike = "less", market.cap_strike
    if named is None or strike is None:
        return "", 0.0
    number = -float(named[2]) if named[1] else float(named[2])
    return (kind, strike) if abs(number - strike) <= _HALF else ("", 0.0)


def _is_whole(kin: EventRelation, count: int) -> bool:
    return count == kin.exhaustive > 0


def min_payout(kin: EventRelation, legs: Sequence[tuple[Market, Side]]) -> int:
    """Return the known minimum payout of one contract of each leg together, in ten-thousandths of a dollar."""
    sides = {side for _, side in legs}
    if sides == {ASK} and kin.is_exclusive:
        return (len(legs) - 1) * ONE_DOLLAR
    if sides == {BID} and _is_whole(kin, len(legs)):
        return int(ONE_DOLLAR)
    if len(legs) == 2 and len(sides) == 2:
        (bought, _), (sold, _) = sorted(legs, key=lambda leg: leg[1] is ASK)
        (kind, yes), (other, no) = _strike(bought), _strike(sold)
        is_implied = no > yes if kind == "greater" else no < yes
        if bought.ticker == sold.ticker or (kind and kind == other and _stem(bought) == _stem(sold) and is_implied):
            return int(ONE_DOLLAR)
    return 0


def may_pay(
    kin: EventRelation, rungs: Sequence[Sequence[int]], bids: Sequence[Price | None], asks: Sequence[Price | None]
) -> bool:
    """Return whether `candidates` could find anything but pairs. Fast enough for every change of a best price.

    `rungs` is the result of `threshold_chains`; `bids` and `asks` are the best prices, None without a quote.
    """
    if kin.is_exclusive and sum(bid for bid in bids if bid is not None) > ONE_DOLLAR:
        return True
    known = [ask for ask in asks if ask is not None]
    if _is_whole(kin, len(asks)) and len(known) == len(asks) and sum(known) < ONE_DOLLAR:
        return True
    for places in rungs:
        cheapest: int = ONE_DOLLAR
        for place in places:
            bid, ask = bids[place], asks[place]
            if bid is not None and bid > cheapest:
                return True
            if ask is not None and ask < cheapest:
                cheapest = ask
    return False


def fill_basket(candidate: BasketCandidate, *, at_least: Price = NOTHING, most: Qty | None = None) -> Basket | None:
    """Return the largest basket that earns `at_least` per contract after fees, None without profit."""
    levels = [each.bids if side is ASK else each.asks for each, side in candidate.legs]
    taken: list[list[int]] = [[0] for _ in levels]
    qty = 0
    while most is None or qty < most:
        if any(len(done) > len(there) for done, there in zip(taken, levels, strict=True)):
            break
        now = [there[len(done) - 1] for done, there in zip(taken, levels, strict=True)]
        if _left(candidate, [price for price, _ in now]) < at_least * ONE_CONTRACT:
            break
        step = min(standing - done[-1] for done, (_, standing) in zip(taken, now, strict=True))
        step = step if most is None else min(step, most - qty)
        qty += step
        for done, (_, standing) in zip(taken, now, strict=True):
            done[-1] += step
            if done[-1] == standing:
                done.append(0)
    if not qty:
        return None
    legs = [
        _leg(each, side, list(zip(there, done, strict=False)))
        for (each, side), there, done in zip(candidate.legs, levels, taken, strict=True)
    ]
    basket = Basket(candidate.kind, tuple(sorted(legs, key=lambda leg: leg.standing)), Qty(qty), candidate.pays)
    return basket if basket.net > 0 and basket.net >= at_least * qty else None


def _left(candidate: BasketCandidate, prices: Sequence[Price]) -> int:
    """Return the profit of one contract of each leg after fees, in millionths of a dollar."""
    left = candidate.pays * ONE_CONTRACT
    for (each, side), price in zip(candidate.legs, prices, strict=True):
        left -= leg_price(side, price) * ONE_CONTRACT + estimate(each.fees, price, ONE_CONTRACT, is_taker=True)
    return left


def _leg(each: MarketOffer, side: Side, taken: list[tuple[Level, int]]) -> BasketLeg:
    used = [(price, standing, qty) for (price, standing), qty in taken if qty]
    cost = sum(leg_price(side, price) * qty for price, _, qty in used)
    fee = sum(estimate(each.fees, price, Qty(qty), is_taker=True) for price, _, qty in used)
    standing = Qty(sum(standing for _, standing, _ in used))
    return BasketLeg(each.market.ticker, side, used[-1][0], standing, Money(cost), Money(fee + A_CENT))
