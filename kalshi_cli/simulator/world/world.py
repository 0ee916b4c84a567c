"""The world behind the simulated exchange: it lists markets, moves their references, trades, closes and settles.

Everything it decides comes from (seed, time), so the same seed and the same clock values give the same world, and a
world that starts again beside a restored exchange goes on along the same paths. It owns no clock: time is told.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, dollars, parse_ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import EventSpec
from kalshi_cli.simulator.protocol.replies import Request
from kalshi_cli.simulator.protocol.routing import BASE
from kalshi_cli.simulator.world.families import BTC, ETH, GOLD, Listing
from kalshi_cli.simulator.world.listings import SERIES, MarketListings
from kalshi_cli.simulator.world.quoters import COMBO_SERIES, MANNERS, RfqMaker, collections
from kalshi_cli.simulator.world.traders import CENT, CROWD, STYLES, Maker, MarketContext, TakerFlow
from kalshi_cli.simulator.world.underlyings import PriceSource, crowd_bias

STEP_MS = 250
"""World time in which everybody moves once, each at a moment of its own."""

_MINUTE_MS = 60_000
_FURTHEST_MS = 2 * _MINUTE_MS
"""A gap longer than this is jumped: what closed is settled, what should be open is listed and quoted, once."""

_COARSE_MS = 5_000
_WARM_UP = 12
"""Coarse steps at a first start, so that nothing looks untouched."""

_LOWEST = 0.2 * CENT
"""Nobody believes in less than this, or in more than a dollar less it."""

_CASH = dollars(50_000_000)

_SOURCES_KEPT = 1_000

_BEFORE_CLOSE = (MarketStatus.INITIALIZED, MarketStatus.ACTIVE, MarketStatus.INACTIVE)

SPOT_SOURCES = {"BTC": BTC, "ETH": ETH}
PYTH_SOURCES = {"Crypto.BTC/USD": BTC, "Metal.XAU/USD": GOLD}


class Move(NamedTuple):
    """The acts of one actor in one market at one moment: the crowd (0), or a maker by its number."""

    at: Ts
    ticker: str
    actor: int
    seconds: float


class MarketSimulation:
    """Drives one exchange. Call `ensure_open` once, then `advance` with every look at the clock.

    `speed` multiplies how much is traded, not time itself.
    """

    def __init__(self, exchange: SimulatedExchange, *, seed: int, start: Ts, speed: float = 1.0) -> None:
        self._exchange = exchange
        self._seed = seed
        self._speed = speed
        self._catalogue = MarketListings(seed, exchange.options.shards)
        self._makers = [Maker(exchange, seed, style) for style in STYLES]
        self._crowd = TakerFlow(exchange, seed)
        self._quoters = [RfqMaker(exchange, seed, manner) for manner in MANNERS]
        self._open: dict[str, Listing] = {}
        self._early: dict[str, Listing] = {}
        self._sources: dict[str, PriceSource | None] = {}
        self._moves: list[Move] = []
        self._scenes: dict[str, MarketContext] = {}
        self._at = Ts(start - start % STEP_MS)
        exchange.follow(self)

    @property
    def seed(self) -> int:
        return self._seed

    def reference(self, event: EventSpec, at: Ts) -> float | None:
        """The value that an event of the world's follows; None where the world never made it."""
        if event.event_ticker not in self._sources:
            if len(self._sources) >= _SOURCES_KEPT:
                self._sources.clear()
            close = Ts((event.strike_date or at) - 1)
            listings = (x for x in self._catalogue.open_at(close) if x.event.event_ticker == event.event_ticker)
            self._sources[event.event_ticker] = next((x.source for x in listings), None)
        source = self._sources[event.event_ticker]
        return None if source is None else self._catalogue.paths.of(source).at(at)

    def spot(self, coin: str, at: Ts) -> float:
        """The price of a coin in dollars, at a moment."""
        return self._catalogue.paths.of(SPOT_SOURCES[coin]).at(at)

    def ensure_open(self, now: Ts) -> None:
        """Make everything tradable as of now; on an exchange without markets, with a minute of history."""
        for series in (*SERIES, *COMBO_SERIES):
            self._exchange.list_series(series)
        for collection in collections(now):
            if not self._exchange.has_collection(collection.ticker):
                self._exchange.list_collection(collection, now)
        there = set(self._exchange.accounts())
        for account in (*(one.account for one in (*STYLES, *MANNERS)), *CROWD):
            if account not in there:
                self._exchange.add_account(account, _CASH, shards=())
            for shard in range(self._exchange.options.shards):
                if self._exchange.cash(account, exchange_index=shard) == 0:
                    self._exchange.deposit(account, _CASH, exchange_index=shard)
        is_first = not self._exchange.tickers("")
        here = now - now % STEP_MS
        for coarse in range(_WARM_UP if is_first else 0, -1, -1):
            self._step(Ts(here - coarse * _COARSE_MS), _COARSE_MS, spread_ms=_COARSE_MS if coarse else 0)
            self._move(Ts(here))

    def advance(self, now: Ts) -> None:
        """Move everything on to `now`, step by step; over a long gap, at one go. A little back changes nothing."""
        if now - self._at > _FURTHEST_MS:
            self._step(Ts(now - now % STEP_MS), _COARSE_MS, spread_ms=0)
        while self._at + STEP_MS <= now:
            step = Ts(self._at + STEP_MS)
            self._move(step)
            self._step(step, STEP_MS, spread_ms=STEP_MS)
        self._move(now)

    def rewind(self, now: Ts) -> None:
        """The world's time was set back to `now`: what happened stays, markets that open later wait for it."""
        self._exchange.rewind(now)
        self._at = Ts(now - now % STEP_MS)
        self._open.clear()
        self._moves.clear()
        self._makers = [Maker(self._exchange, self._seed, style) for style in STYLES]
        self._list_open(now)

    def fair(self, ticker: str) -> Price:
        """What one YES of an open market is worth by its reference, as of the last step. For tests and tools."""
        chance = self._catalogue.chance(self._open[ticker], self._at)
        return Price(round(chance * ONE_DOLLAR))

    def _step(self, now: Ts, length_ms: int, *, spread_ms: int) -> None:
        """Do what time does, and plan one move of everybody, with as many trades as `length_ms` would see.

        The moves are spread over `spread_ms` from now on.
        """
        is_new_second = now // 1000 != self._at // 1000
        is_new_minute = now // _MINUTE_MS != self._at // _MINUTE_MS
        is_start = not self._open
        self._at = now
        if is_new_second or is_start:
            self._exchange.advance(now)
            self._settle_closed(now)
            self._publish(now)
        else:
            self._publish_between(now)
        if is_new_minute or is_start:  # everything here opens on a whole minute
            self._list_open(now)
        if is_new_second or is_start:
            for quoter in self._quoters:
                quoter.answer(self._chance, now)
        self._plan(now, length_ms / 1000 * self._speed, spread_ms)

    def _plan(self, now: Ts, seconds: float, spread_ms: int) -> None:
        """Give the crowd and each maker a moment in each market, drawn from the seed and the time."""
        self._moves = []
        self._scenes.clear()
        for ticker in self._open:
            draw = crc32(f"{self._seed}/{now}/{ticker}".encode())
            for actor in range(len(self._makers) + 1):
                after = 1 + (draw >> 8 * actor & 0xFF) * (spread_ms - 1) // 256 if spread_ms else 0
                self._moves.append(Move(Ts(now + after), ticker, actor, seconds))
        self._moves.sort(key=lambda move: move.at, reverse=True)

    def _move(self, until: Ts) -> None:
        """Do the moves whose moment came by `until`. All those of a market in one step see the same scene."""
        while self._moves and self._moves[-1].at <= until:
            move = self._moves.pop()
            listing = self._open.get(move.ticker)
            if listing is None:
                continue
            scene = self._scenes.get(move.ticker)
            if scene is None:
                scene = self._scenes[move.ticker] = self._scene(listing, move.at)
            if move.actor:
                self._makers[move.actor - 1].quote(scene, move.at)
            else:
                self._crowd.trade(scene, move.at, move.seconds)

    def _chance(self, ticker: str) -> float | None:
        """Of a market that the world lists and that is open."""
        listing = self._open.get(ticker)
        return None if listing is None else self._catalogue.chance(listing, self._at)

    def _scene(self, listing: Listing, now: Ts) -> MarketContext:
        market, close = listing.market, self._exchange.close_time(listing.market.ticker)
        left = max(0.0, (close - now) / max(1, close - market.open_time))
        chance = self._catalogue.chance(listing, now)
        calm = min(1.0, 8 * chance * (1 - chance)) * min(1.0, left * 10)  # no fancies about what is nearly decided
        view = chance * ONE_DOLLAR + calm * crowd_bias(self._seed, market.ticker, now)
        grid = self._exchange.grid(market.ticker)
        return MarketContext(market.ticker, grid, min(max(view, _LOWEST), ONE_DOLLAR - _LOWEST), listing.pace, left)

    def _publish(self, now: Ts) -> None:
        """Once a second: the indices with their averages, and the Pyth prices."""
        for source in (BTC, ETH):
            self._exchange.set_index_value(source.name, self._tick(source, now - now % 1000), now)
        for name, source in PYTH_SOURCES.items():
            self._exchange.set_pyth_value(name, self._tick(source, now - now % 1000), now)

    def _tick(self, source: PriceSource, at: int) -> int:
        """The value of a source as it is published: whole cents, in ten-thousandths of a dollar."""
        return round(self._catalogue.paths.of(source).at(at) * 100) * 100

    def _publish_between(self, now: Ts) -> None:
        """The fast index channel ticks between the seconds too."""
        for source in (BTC, ETH):
            self._exchange.set_index_value(source.name, self._tick(source, now), now, is_fast=True)

    def _list_open(self, now: Ts) -> None:
        known = set(self._exchange.tickers(""))
        for listing in self._catalogue.open_at(now):
            ticker = listing.market.ticker
            if ticker not in known:
                self._exchange.list_event(listing.event, now)
                self._exchange.list_market(listing.market, now)
            if ticker not in self._open and self._exchange.status(ticker) in _BEFORE_CLOSE:
                self._open[ticker] = listing

    def _settle_closed(self, now: Ts) -> None:
        """Determine what is closed, also what a world before this one had listed.

        What somebody closed early is decided by its reference at the close it was made for, or by hand before. As of
        its close, however long ago that was: after a gap it pays at once.
        """
        closed = self._exchange.tickers("closed")
        for ticker in closed:
            if self._exchange.legs(ticker):
                continue  # combos follow from their legs
            listing = self._open.get(ticker) or self._early.get(ticker) or self._earlier(ticker)
            if listing is not None and listing.market.close_time > now:
                self._early[ticker] = listing
            elif listing is not None:
                self._early.pop(ticker, None)
                is_yes, value = self._catalogue.outcome(listing)
                at = Ts(max(self._exchange.close_time(ticker), listing.market.close_time))
                self._exchange.settle(ticker, ONE_DOLLAR if is_yes else Price(0), now, value, at=at)
        if closed:
            self._exchange.advance(now)
        for ticker in [ticker for ticker in self._open if self._exchange.close_time(ticker) <= now]:
            del self._open[ticker]
            for maker in self._makers:
                maker.forget(ticker)

    def _earlier(self, ticker: str) -> Listing | None:
        """A listing made before this process began, made again by the catalogue; None where the world never made it."""
        reply = self._exchange.handle(Request("GET", f"{BASE}/markets/{ticker}"), self._at)
        shown = msgspec.json.decode(reply.body)["market"]
        moments = (Ts(parse_ts(shown["close_time"]) - 1), parse_ts(shown["open_time"]))  # its close may have been moved
        found = (x for at in moments for x in self._catalogue.open_at(at) if x.market.ticker == ticker)
        return next(found, None)
