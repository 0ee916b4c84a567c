"""The same question on two venues: the profit of buying on one and selling on the other, after both fees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.market.fees import fees_now
from kalshi_cli.core.market.opportunities import CrossVenueEdge, edge
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import Level
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.families import EventFamilyCache
from kalshi_cli.feeds.fair_values import SourceError
from kalshi_cli.feeds.market_map import MarketPair
from kalshi_cli.feeds.polymarket import PolymarketQuote
from kalshi_cli.views.scan import VenueRow


class VenuePair(NamedTuple):
    """The profit in each direction; None without a quote. `buy` buys YES on Kalshi, `sell` sells it on Kalshi."""

    pair: MarketPair
    market: Market
    heard: PolymarketQuote
    buy: CrossVenueEdge | None
    sell: CrossVenueEdge | None

    @property
    def best(self) -> Money | None:
        """Return the result of the better direction, which may be a loss."""
        return max((way.net for way in (self.buy, self.sell) if way is not None), default=None)


def venue_row(found: VenuePair, now: Ts) -> VenueRow:
    """Return both venues side by side."""
    quote, made = found.heard.quote, found.heard.made
    return VenueRow.of(
        found,
        side="yes" if found.pair.is_yes else "no",
        polymarket_bid=quote.bid[0] if quote.bid else None,
        polymarket_ask=quote.ask[0] if quote.ask else None,
        age_s=None if made is None else max(0.0, (now - made) / 1000),
    )


def compare_venues(
    client: KalshiClient,
    families: EventFamilyCache,
    pairs: Sequence[MarketPair],
    hear: Callable[[MarketPair], PolymarketQuote],
    fee_rate: int,
    now: Ts,
    show: Callable[[Sequence[MarketPair]], Iterable[MarketPair]],
    tell: Callable[[str], None],
) -> list[VenuePair]:
    """Compare the pairs, best result first; pairs that cannot be compared are reported and left out.

    `fee_rate` is in ten-thousandths. Kalshi is read last, a hundred markets per request, so that its prices are the
    newest.
    """
    heard: dict[str, PolymarketQuote] = {}
    for pair in show(pairs):
        try:
            heard[pair.ticker] = hear(pair)
        except SourceError as error:
            tell(f"{pair.ticker}: {error}")
    markets = {market.ticker: market for market in client.markets(tickers=list(heard))} if heard else {}
    found = []
    for pair in pairs:
        if pair.ticker not in heard:
            continue
        market = markets.get(pair.ticker)
        if market is None:
            tell(f"{pair.ticker}: no such market on Kalshi")
        elif market.status is not MarketStatus.ACTIVE:
            tell(f"{pair.ticker}: not open ({market.status})")
        else:
            found.append(_compared(families, pair, market, heard[pair.ticker], fee_rate, now))
    return sorted(found, key=lambda each: (each.best is None, -(each.best or 0), each.pair.ticker))


def _compared(
    families: EventFamilyCache, pair: MarketPair, market: Market, heard: PolymarketQuote, fee_rate: int, now: Ts
) -> VenuePair:
    fees = fees_now(market, families.fees(market), now)
    bid, ask = _level(market.yes_bid, market.yes_bid_size), _level(market.yes_ask, market.yes_ask_size)
    buy = edge(ask, BID, fees, heard.quote.bid, fee_rate)
    sell = edge(bid, ASK, fees, heard.quote.ask, fee_rate)
    return VenuePair(pair, market, heard, buy, sell)


def _level(price: Price | None, size: Qty) -> Level | None:
    return None if price is None else (price, size)
