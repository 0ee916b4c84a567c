"""Scan rules that find opportunities in one market or one event, net of fees.

Each rule returns a match or None; it does not rank, limit or read. Prices come from the list of markets, on the YES
scale, so the order book may have moved since.
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
"""The order size for a maker's profit: fees round up to $0.0001 an order, which would distort one contract."""

MAX_LEGS = 20
"""The most legs of one basket."""


class ScannedMarket(msgspec.Struct, frozen=True):
    """An open market, its event, and its current fees."""

    market: Market
    event: Event
    fees: FeeSchedule


# -- one market ---------------------------------------------------------------------------------------------------


class SpreadMatch(msgspec.Struct, frozen=True):
    """A spread to make. `keeps` is the maker's profit per contract after fees when both sides fill."""

    listed: ScannedMarket
    bid: Price
    ask: Price
    keeps: Price

    @property
    def width(self) -> Price:
        """Return the ask less the bid."""
        return Price(self.ask - self.bid)

    @property
    def share(self) -> float:
        """Return the width as a share of the mid price."""
        return 2 * self.width / (self.ask + self.bid)


def spread(listed: ScannedMarket) -> SpreadMatch | None:
    """Return the spread of a market with both quotes; None without one of them, or if they cross."""
    bid, ask = listed.market.yes_bid, listed.market.yes_ask
    if bid is None or ask is None or ask <= bid:
        return None
    fees = sum(trade_fee(listed.fees, price, REFERENCE_SIZE, is_taker=False) for price in (bid, ask))
    return SpreadMatch(listed, bid, ask, Price((notional(Price(ask - bid), REFERENCE_SIZE) - fees) // REFERENCE_SIZE))


class PriceMove(msgspec.Struct, frozen=True):
    """The last price, and the last price a day ago."""

    listed: ScannedMarket
    previous: Price
    last: Price

    @property
    def change(self) -> int:
        """Return the change in ten-thousandths of a dollar, negative for a fall."""
        return self.last - self.previous


def move(listed: ScannedMarket) -> PriceMove | None:
    """Return the price move of a market that traded in the last day, None if it did not or is unchanged."""
    market = listed.market
    if market.last is None or market.previous_price is None or not market.volume_24h:
        return None
    return PriceMove(listed, market.previous_price, market.last) if market.last != market.previous_price else None


class LowPriceMatch(msgspec.Struct, frozen=True):
    """A side that can be bought at `price`. `size` is the quantity on offer, and `fee` the fee for all of it."""

    listed: ScannedMarket
    side: str
    price: Price
    size: Qty
    fee: Money

    @property
    def fee_share(self) -> float:
        """Return the fee as a share of the cost."""
        return self.fee / notional(self.price, self.size)


def cheap(listed: ScannedMarket, below: Price) -> Iterator[LowPriceMatch]:
    """Yield the sides of a market that are offered below a price: YES, NO, both or neither."""
    market = listed.market
    sides = (("yes", market.yes_ask, market.yes_ask_size), ("no", market.no_ask, market.yes_bid_size))
    for side, price, size in sides:
        if price is not None and 0 < price < below and size:
            yield LowPriceMatch(listed, side, price, size, estimate(listed.fees, price, size, is_taker=True))


def mid_price(market: Market) -> Price | None:
    """Return the middle of the quotes, rounded down, or the last trade if a quote is missing."""
    if market.yes_bid is None or market.yes_ask is None:
        return market.last
    return Price((market.yes_bid + market.yes_ask) // 2)


def is_undecided(market: Market, now: Ts, within_ms: int, margin: Price) -> bool:
    """Return whether a market closes within a time, priced at least `margin` away from $0 and $1."""
    price = mid_price(market)
    return now < market.close_time <= now + within_ms and price is not None and margin <= price <= ONE_DOLLAR - margin


# -- one event ----------------------------------------------------------------------------------------------------


def open_markets(event: Event) -> list[Market]:
    """Return the active markets of an event."""
    return [market for market in event.markets if market.status is MarketStatus.ACTIVE]


def listed_offer(listed: ScannedMarket) -> MarketOffer:
    """Return the best prices and sizes of a market from the list as an offer."""
    market = listed.market

    def level(price: Price | None, size: Qty) -> Sequence[Level]:
        return ((price, size),) if price is not None and size else ()

    bids, asks = level(market.yes_bid, market.yes_bid_size), level(market.yes_ask, market.yes_ask_size)
    return MarketOffer(market, bids, asks, listed.fees)


def legs_of(event: Event, offers: Sequence[MarketOffer]) -> set[str]:
    """Return the tickers of all baskets that are profitable before fees: their books must be read."""
    found = candidates(EventRelation(is_exclusive=event.mutually_exclusive), offers, MAX_LEGS)
    return {offer.market.ticker for candidate in found for offer, _ in candidate.legs}


def disjoint(baskets: Iterable[Basket]) -> list[Basket]:
    """Return the baskets that share no leg with an earlier one, so that all of them can be executed."""
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
    """The best prices of the same question on another venue, on our YES scale; None without a quote."""

    bid: Level | None
    ask: Level | None


class CrossVenueEdge(msgspec.Struct, frozen=True):
    """The profit of buying `qty` contracts on one venue and selling them on the other, after the fees of both."""

    qty: Qty
    net: Money

    @property
    def each(self) -> Price:
        """Return the profit per contract, rounded down."""
        return Price(self.net // self.qty)


def edge(
    ours: Level | None, side: Side, fees: FeeSchedule, theirs: Level | None, fee_rate: int
) -> CrossVenueEdge | None:
    """Return the profit of trading at `ours` (BID buys YES at our ask) and the opposite at `theirs`.

    None if either venue has no quote. The other venue's fee is rate * contracts * price * (1 - price), rounded up, with
    `fee_rate` in ten-thousandths.
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
