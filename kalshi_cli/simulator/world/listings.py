"""The market catalog: the series, and the markets that are open at a moment.

Everything is a pure function of (seed, time), so a restarted world finds the strikes and outcomes of its earlier
markets.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.simulator.model.listing import SeriesSpec
from kalshi_cli.simulator.world import families, underlyings
from kalshi_cli.simulator.world.families import BTC, ETH, Listing

_CF = ("CF Benchmarks", "https://www.cfbenchmarks.com/")
_FEES = FeeSchedule(FeeType.QUADRATIC, 1000)
_HALF_FEES = FeeSchedule(FeeType.QUADRATIC, 500)
_MAKER_FEES = FeeSchedule(FeeType.WITH_MAKER, 1000)

_NWS = ("National Weather Service", "https://www.weather.gov/okx/")
_SP = ("S&P Global", "https://www.spglobal.com/")
_NBA, _MLB = ("NBA", "https://www.nba.com/"), ("MLB", "https://www.mlb.com/")
_FED = ("Federal Reserve", "https://www.federalreserve.gov/")
_UP_OR_DOWN = "up or down in 15 minutes"
_WEATHER = "Climate and Weather"
_CRYPTO, _GAMES = 2, 3
_SERIES = (
    ("KXBTCD", "Bitcoin price above", "Crypto", "hourly", _CF, _FEES, _CRYPTO, "BTC", "Hourly"),
    ("KXETHD", "Ethereum price above", "Crypto", "hourly", _CF, _FEES, _CRYPTO, "ETH", "Hourly"),
    ("KXBTC15M", f"Bitcoin {_UP_OR_DOWN}", "Crypto", "fifteen_min", _CF, _FEES, _CRYPTO, "BTC", "15 min"),
    ("KXETH15M", f"Ethereum {_UP_OR_DOWN}", "Crypto", "fifteen_min", _CF, _FEES, _CRYPTO, "ETH", "15 min"),
    ("KXQUICKSETTLE", "Quick settle: up or down in two minutes", "Crypto", "custom", _CF, _FEES, _CRYPTO, "BTC", "ETH"),
    ("KXHIGHNY", "Highest temperature in NYC", _WEATHER, "daily", _NWS, _FEES, 0, "Daily temperature"),
    ("KXINX", "S&P 500 range", "Financials", "daily", _SP, _HALF_FEES, 0, "S&P", "Daily"),
    ("KXNBAGAME", "Professional basketball game", "Sports", "custom", _NBA, _MAKER_FEES, _GAMES, "Basketball"),
    ("KXMLBGAME", "Professional baseball game", "Sports", "custom", _MLB, _HALF_FEES, _GAMES, "Baseball"),
    ("KXFEDDECISION", "Fed decision", "Economics", "custom", _FED, _FEES, 0, "Fed"),
)
"""Ticker, title, category, frequency, source, fees, shard, tags.

The shard applies if it exists, as announced for new events (API.md section 5.13).
"""
SHARDS = {ticker: shard for ticker, _, _, _, _, _, shard, *_ in _SERIES if shard}
SERIES = tuple(
    SeriesSpec(
        ticker=ticker,
        title=title,
        category=category,
        frequency=frequency,
        tags=tuple(tags),
        fees=fees,
        settlement_sources=(source,),
    )
    for ticker, title, category, frequency, source, fees, _, *tags in _SERIES
)


class MarketListings:
    """The open markets, their fair values and their outcomes."""

    def __init__(self, seed: int, shards: int = 1) -> None:
        self.paths = underlyings.Paths(seed)
        self._shards = {series: shard for series, shard in SHARDS.items() if shard < shards}

    def open_at(self, now: Ts) -> list[Listing]:
        """Return the markets with open_time <= now < close_time."""
        found = [x for x in self._candidates(now) if x.market.open_time <= now < x.market.close_time]
        return [self._on_shard(listing) for listing in found] if self._shards else found

    def _on_shard(self, listing: Listing) -> Listing:
        shard = self._shards.get(listing.event.series_ticker, 0)
        return msgspec.structs.replace(listing, market=msgspec.structs.replace(listing.market, exchange_index=shard))

    def _candidates(self, now: Ts) -> Iterator[Listing]:
        paths = self.paths
        yield from families.thresholds(paths, now, "KXBTCD", "Bitcoin", BTC, 250, ("linear_cent",) * 11)
        yield from families.thresholds(paths, now, "KXETHD", "Ethereum", ETH, 10, families.SPREAD)
        yield families.quarter_hour(paths, now, "KXBTC15M", "BTC", BTC, "tapered_deci_cent")
        yield families.quarter_hour(paths, now, "KXETH15M", "ETH", ETH, "center_deci_edge_centi_cent")
        yield from families.quick_settle(paths, now)
        yield from families.temperature(paths, now)
        yield from families.index_range(paths, now)
        yield from families.games(paths, now)
        yield from families.rate_decision(paths, now)

    def chance(self, listing: Listing, now: int) -> float:
        """Return the fair probability of YES at this moment."""
        path, close = self.paths.of(listing.source), listing.market.close_time
        return path.chance(now, close, listing.low, listing.high, listing.average_s)

    def outcome(self, listing: Listing) -> tuple[bool, str]:
        """Return whether the market ends as YES, and the value that decides, as text."""
        value = self.paths.of(listing.source).average(listing.market.close_time, listing.average_s)
        return listing.low <= value < listing.high, f"{value:.2f}"
