"""The world behind the simulated exchange: it lists markets, moves their references, trades, closes and settles.

Everything it decides comes from (seed, time), so the same seed and the same clock values give the same world, and a
world that starts again beside a restored exchange goes on along the same paths. It owns no clock: time is told.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.sim.api import Exchange
from kalshi_cli.sim.families import BTC, ETH, Listing
from kalshi_cli.sim.listings import SERIES, Catalogue
from kalshi_cli.sim.replies import Request
from kalshi_cli.sim.routing import BASE
from kalshi_cli.sim.traders import CENT, CROWD, STYLES, Crowd, Maker, Scene
from kalshi_cli.sim.underlyings import mood
from kalshi_cli.units import ONE_DOLLAR, Price, Ts, dollars, parse_ts

STEP_MS = 250
"""World time between two moves of everybody."""

_MINUTE_MS = 60_000
_FURTHEST_MS = 2 * _MINUTE_MS
"""A gap longer than this is jumped: what closed is settled, what should be open is listed and quoted, once."""

_COARSE_MS = 5_000
_WARM_UP = 12
"""Coarse steps at a first start, so that nothing looks untouched."""

_LOWEST = 0.2 * CENT
"""Nobody believes in less than this, or in more than a dollar less it."""

_CASH = dollars(50_000_000)


class World:
    """Drives one exchange. Call `ensure_open` once, then `advance` with every look at the clock.

    `speed` multiplies how much is traded, not time itself: clocks, signatures and closes stay those of the machine.
    """

    def __init__(self, exchange: Exchange, *, seed: int, start: Ts, speed: float = 1.0) -> None:
        self._exchange = exchange
        self._seed = seed
        self._speed = speed
        self._catalogue = Catalogue(seed)
        self._makers = [Maker(exchange, seed, style) for style in STYLES]
        self._crowd = Crowd(exchange, seed)
        self._open: dict[str, Listing] = {}
        self._at = Ts(start - start % STEP_MS)

    def ensure_open(self, now: Ts) -> None:
        """Make everything tradable as of now; on an exchange without markets, with a minute of history."""
        for series in SERIES:
            self._exchange.list_series(series)
        there = set(self._exchange.accounts())
        for account in (*(style.account for style in STYLES), *CROWD):
            if account not in there:
                self._exchange.add_account(account, _CASH, shards=())
            for shard in range(self._exchange.options.shards):
                if self._exchange.cash(account, exchange_index=shard) == 0:
                    self._exchange.deposit(account, _CASH, exchange_index=shard)
        is_first = not self._exchange.tickers("")
        here = now - now % STEP_MS
        for coarse in range(_WARM_UP if is_first else 0, -1, -1):
            self._step(Ts(here - coarse * _COARSE_MS), _COARSE_MS)

    def advance(self, now: Ts) -> None:
        """Move everything on to `now`, step by step; over a long gap, at one go. Time going back changes nothing."""
        if now - self._at > _FURTHEST_MS:
            self._step(Ts(now - now % STEP_MS), _COARSE_MS)
        while self._at + STEP_MS <= now:
            self._step(Ts(self._at + STEP_MS), STEP_MS)

    def fair(self, ticker: str) -> Price:
        """What one YES of an open market is worth by its reference, as of the last step. For tests and tools."""
        chance = self._catalogue.chance(self._open[ticker], self._at)
        return Price(round(chance * ONE_DOLLAR))

    def _step(self, now: Ts, length_ms: int) -> None:
        """One move of everybody, with as many trades as `length_ms` would see."""
        is_new_second = now // 1000 != self._at // 1000
        is_new_minute = now // _MINUTE_MS != self._at // _MINUTE_MS
        self._at = now
        if is_new_second or not self._open:
            self._exchange.advance(now)
            self._settle_closed(now)
            self._publish(now)
        if is_new_minute or not self._open:  # everything here opens on a whole minute
            self._list_open(now)
        for listing in self._open.values():
            scene = self._scene(listing, now)
            self._crowd.trade(scene, now, length_ms / 1000 * self._speed)
            for maker in self._makers:
                maker.quote(scene, now)

    def _scene(self, listing: Listing, now: Ts) -> Scene:
        market = listing.market
        left = max(0.0, (market.close_time - now) / (market.close_time - market.open_time))
        chance = self._catalogue.chance(listing, now)
        calm = min(1.0, 8 * chance * (1 - chance)) * min(1.0, left * 10)  # no fancies about what is nearly decided
        view = chance * ONE_DOLLAR + calm * mood(self._seed, market.ticker, now)
        return Scene(market.ticker, market.grid, min(max(view, _LOWEST), ONE_DOLLAR - _LOWEST), listing.pace, left)

    def _publish(self, now: Ts) -> None:
        for source in (BTC, ETH):
            value = self._catalogue.paths.of(source).at(now - now % 1000)
            self._exchange.set_index_value(source.name, round(value * 100) * 100, now)

    def _list_open(self, now: Ts) -> None:
        known = set(self._exchange.tickers(""))
        for listing in self._catalogue.open_at(now):
            ticker = listing.market.ticker
            if ticker not in known:
                self._exchange.list_event(listing.event, now)
                self._exchange.list_market(listing.market, now)
            if ticker not in self._open:
                self._open[ticker] = listing

    def _settle_closed(self, now: Ts) -> None:
        """Determine what is closed, also what a world before this one had listed."""
        for ticker in self._exchange.tickers("closed"):
            listing = self._open.get(ticker) or self._earlier(ticker)
            if listing is not None:
                is_yes, value = self._catalogue.outcome(listing)
                self._exchange.settle(ticker, ONE_DOLLAR if is_yes else Price(0), now, value)
        for ticker in [ticker for ticker, listing in self._open.items() if listing.market.close_time <= now]:
            del self._open[ticker]
            for maker in self._makers:
                maker.forget(ticker)

    def _earlier(self, ticker: str) -> Listing | None:
        """A listing made before this process began, made again by the catalogue; None where the world never made it."""
        reply = self._exchange.handle(Request("GET", f"{BASE}/markets/{ticker}"), self._at)
        close = parse_ts(msgspec.json.decode(reply.body)["market"]["close_time"])
        return next((x for x in self._catalogue.open_at(Ts(close - 1)) if x.market.ticker == ticker), None)
