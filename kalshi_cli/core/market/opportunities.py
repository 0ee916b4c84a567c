"""What is worth a look among all open markets, net of fees: rules over one market or one event each.

Every rule says what it found, or None; nothing here ranks, limits or reads. Prices are those of the list, on the YES
scale, so a book may have moved on since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kalshi_cli.base.units import ONE_CONTRACT, ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.market.baskets import Basket, EventRelation, MarketOffer, candidates
from kalshi_cli.core.market.fees import estimate, trade_fee
from kalshi_cli.core.model.markets import Event, FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import Level
from kalshi_cli.core.model.order_terms import BID, Side

REFERENCE_SIZE = Qty(100 * ONE_CONTRACT)
"""For what a maker keeps: fees round up to $0.0001 an order, which on one contract would hide what they are."""

MAX_LEGS = 20
"""Of one basket."""

NO_FEES = FeeSchedule(multiplier=0)


class ScannedMarket(msgspec.Struct, frozen=True):
    """An open market, its event, and what trades of it are charged now."""

    market: Market
    event: Event
    fees: FeeSchedule


def fees_now(market: Market, fees: FeeSchedule, now: Ts) -> FeeSchedule:
    """The schedule, but nothing while the fees of this market are waived."""
    return NO_FEES if market.fee_waiver_until is not None and now < market.fee_waiver_until else fees


# -- one market ---------------------------------------------------------------------------------------------------


class SpreadMatch(msgspec.Struct, frozen=True):
    """`share` of the middle; `keeps` is what a maker of both sides is left with for each contract, after fees."""

    listed: ScannedMarket
    bid: Price
    ask: Price
    keeps: Price

    @property
    def width(self) -> Price:
        return Price(self.ask - self.bid)

    @property
    def share(self) -> float:
        return 2 * self.width / (self.ask + self.bid)


def spread(listed: ScannedMarket) -> SpreadMatch | None:
    """Nothing of a market that only one side quotes, nor of a crossed one."""
    bid, ask = listed.market.yes_bid, listed.market.yes_ask
    if bid is None or ask is None or ask <= bid:
        return None
    fees = sum(trade_fee(listed.fees, price, REFERENCE_SIZE, is_taker=False) for price in (bid, ask))
    return SpreadMatch(listed, bid, ask, Price((notional(Price(ask - bid), REFERENCE_SIZE) - fees) // REFERENCE_SIZE))


class PriceMove(msgspec.Struct, frozen=True):
    """The last trade against the last a day ago."""

    listed: ScannedMarket
    previous: Price
    last: Price

    @property
    def change(self) -> int:
        """In ten-thousandths of a dollar, below zero where it fell."""
        return self.last - self.previous


def move(listed: ScannedMarket) -> PriceMove | None:
    """Nothing of what did not trade in the last day: its last price is not news."""
    market = listed.market
    if market.last is None or market.previous_price is None or not market.volume_24h:
        return None
    return PriceMove(listed, market.previous_price, market.last) if market.last != market.previous_price else None


class LowPriceMatch(msgspec.Struct, frozen=True):
    """A side that can be bought: `price` of that side, `size` what stands there, `fee` for all of it."""

    listed: ScannedMarket
    side: str
    price: Price
    size: Qty
    fee: Money

    @property
    def fee_share(self) -> float:
        """Of the price."""
        return self.fee / notional(self.price, self.size)


def cheap(listed: ScannedMarket, below: Price) -> Iterator[LowPriceMatch]:
    """YES, NO, both or neither: what is offered at less than `below`."""
    market = listed.market
    sides = (
        ("yes", market.yes_ask, market.yes_ask_size),
        ("no", None if market.yes_bid is None else Price(ONE_DOLLAR - market.yes_bid), market.yes_bid_size),
    )
    for side, price, size in sides:
        if price is not None and 0 < price < below and size:
            yield LowPriceMatch(listed, side, price, size, estimate(listed.fees, price, size, is_taker=True))


def mid_price(market: Market) -> Price | None:
    """Between the quotes, rounded down; the last trade where one is missing."""
    if market.yes_bid is None or market.yes_ask is None:
        return market.last
    return Price((market.yes_bid + market.yes_ask) // 2)


def is_undecided(market: Market, now: Ts, within_ms: int, margin: Price) -> bool:
    """Whether it closes within that time and is priced at least `margin` away from zero and from one dollar."""
    price = mid_price(market)
    return now < market.close_time <= now + within_ms and price is not None and margin <= price <= ONE_DOLLAR - margin


# -- one event ----------------------------------------------------------------------------------------------------


def open_markets(event: Event) -> list[Market]:
    return [market for market in event.markets if market.status is MarketStatus.ACTIVE]


def listed_offer(listed: ScannedMarket) -> MarketOffer:
    """What the list says of a book: its best prices, with what stands there."""
    market = listed.market

    def level(price: Price | None, size: Qty) -> Sequence[Level]:
        return ((price, size),) if price is not None and size else ()

    bids, asks = level(market.yes_bid, market.yes_bid_size), level(market.yes_ask, market.yes_ask_size)
    return MarketOffer(market, bids, asks, listed.fees)


def legs_of(event: Event, offers: Sequence[MarketOffer]) -> set[str]:
    """Tickers whose books have to be read: those of all baskets that would pay before fees by these prices."""
    found = candidates(EventRelation(is_exclusive=event.mutually_exclusive), offers, MAX_LEGS)
    return {offer.market.ticker for candidate in found for offer, _ in candidate.legs}


def disjoint(baskets: Iterable[Basket]) -> list[Basket]:
    """Of baskets that share legs only the first: what is left can all be done, if nobody is faster."""
    taken: set[str] = set()
    chosen = []
    for basket in baskets:
        legs = {leg.ticker for leg in basket.legs}
        if taken.isdisjoint(legs):
            taken |= legs
            chosen.append(basket)
    return chosen


# -- another venue ------------------------------------------------------------------------------------------------


class VenueQuote(msgspec.Struct, frozen=True):
    """Best prices of the same question somewhere, on the YES scale of our market; None where nobody quotes."""

    bid: Level | None
    ask: Level | None


class CrossVenueEdge(msgspec.Struct, frozen=True):
    """What `qty` contracts leave that are bought on one venue and sold on the other, after the fees of both."""

    qty: Qty
    net: Money

    @property
    def each(self) -> Price:
        """For each contract, rounded down."""
        return Price(self.net // self.qty)


def edge(
    ours: Level | None, side: Side, fees: FeeSchedule, theirs: Level | None, fee_rate: int
) -> CrossVenueEdge | None:
    """Trade at `ours` (BID buys YES at our ask) and the other way at `theirs`; None where either has nobody.

    `fee_rate` is theirs, in ten-thousandths: rate * contracts * price * (1 - price), rounded up.
    """
    if ours is None or theirs is None:
        return None
    (price, standing), (other, there) = ours, theirs
    qty = Qty(min(standing, there))
    if not qty:
        return None
    gain = other - price if side is BID else price - other
    raw = fee_rate * qty * other * (ONE_DOLLAR - other)
    their_fee = -(-raw // (ONE_DOLLAR * ONE_DOLLAR))
    return CrossVenueEdge(qty, Money(gain * qty - estimate(fees, price, qty, is_taker=True) - their_fee))
