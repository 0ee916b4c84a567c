"""The world behind the simulated exchange: it lists markets, moves references, trades, closes and settles.

Every decision follows from (seed, time), so the same seed and clock values give the same world, and a restarted world
continues along the same paths. It has no clock: its calls bring the time.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, dollars, parse_ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import EventSpec
from kalshi_cli.simulator.protocol import replies, routing
from kalshi_cli.simulator.world.families import BTC, ETH, GOLD, Listing
from kalshi_cli.simulator.world.listings import SERIES, MarketListings
from kalshi_cli.simulator.world.quoters import COMBO_SERIES, MAKER_STYLES, RfqMaker, collections
from kalshi_cli.simulator.world.traders import CENT, CROWD, STYLES, Maker, MarketContext, TakerFlow
from kalshi_cli.simulator.world.underlyings import PriceSource, crowd_bias

STEP_MS = 250
"""The step of world time in which every actor moves once, each at its own moment."""

_MINUTE_MS = 60_000
_FURTHEST_MS = 2 * _MINUTE_MS
"""The longest gap that is simulated step by step; a longer one takes a single step."""

_COARSE_MS = 5_000
_WARM_UP = 12
"""The coarse steps at a first start, which give the markets a history."""

_LOWEST = 0.2 * CENT
"""The lowest view of a trader; the highest is a dollar less it."""

_CASH = dollars(50_000_000)

_SOURCES_KEPT = 1_000

_BEFORE_CLOSE = (MarketStatus.INITIALIZED, MarketStatus.ACTIVE, MarketStatus.INACTIVE)

SPOT_SOURCES = {"BTC": BTC, "ETH": ETH}
PYTH_SOURCES = {"Crypto.BTC/USD": BTC, "Metal.XAU/USD": GOLD}


class Move(NamedTuple):
    """The actions of one actor in one market at one moment: the takers (0), or a maker by its number."""

    at: Ts
    ticker: str
    actor: int
    seconds: float


class MarketSimulation:
    """Drives one exchange. Call `ensure_open` once, then `advance` regularly.

    `speed` multiplies the trading, not the time.
    """

    def __init__(self, exchange: SimulatedExchange, *, seed: int, start: Ts, speed: float = 1.0) -> None:
        self._exchange = exchange
        self._seed = seed
        self._speed = speed
        self._catalogue = MarketListings(seed, exchange.options.shards)
        self._makers = [Maker(exchange, seed, style) for style in STYLES]
        self._crowd = TakerFlow(exchange, seed)
        self._quoters = [RfqMaker(exchange, seed, style) for style in MAKER_STYLES]
        self._open: dict[str, Listing] = {}
        self._early: dict[str, Listing] = {}
        self._sources: dict[str, PriceSource | None] = {}
        self._moves: list[Move] = []
        self._contexts: dict[str, MarketContext] = {}
        self._at = Ts(start - start % STEP_MS)
        exchange.follow(self)

    @property
    def seed(self) -> int:
        """Return the seed of all random values."""
        return self._seed

    def reference(self, event: EventSpec, at: Ts) -> float | None:
        """Return the value behind an event of the world, or None for other events."""
        if event.event_ticker not in self._sources:
            if len(self._sources) >= _SOURCES_KEPT:
                self._sources.clear()
            close = Ts((event.strike_date or at) - 1)
            listings = (x for x in self._catalogue.open_at(close) if x.event.event_ticker == event.event_ticker)
            self._sources[event.event_ticker] = next((x.source for x in listings), None)
        source = self._sources[event.event_ticker]
        return None if source is None else self._catalogue.paths.of(source).at(at)

    def spot(self, coin: str, at: Ts) -> float:
        """Return the price of a coin in dollars, at a moment."""
        return self._catalogue.paths.of(SPOT_SOURCES[coin]).at(at)

    def ensure_open(self, now: Ts) -> None:
        """Make everything tradable at `now`; an exchange without markets gets a minute of history."""
        for series in (*SERIES, *COMBO_SERIES):
            self._exchange.list_series(series)
        for collection in collections(now):
            if not self._exchange.has_collection(collection.ticker):
                self._exchange.list_collection(collection, now)
        accounts = set(self._exchange.accounts())
        for account in (*(one.account for one in (*STYLES, *MAKER_STYLES)), *CROWD):
            if account not in accounts:
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
        """Advance everything to `now`, step by step; a long gap takes one step. A small step back changes nothing."""
        if now - self._at > _FURTHEST_MS:
            self._step(Ts(now - now % STEP_MS), _COARSE_MS, spread_ms=0)
        while self._at + STEP_MS <= now:
            step = Ts(self._at + STEP_MS)
            self._move(step)
            self._step(step, STEP_MS, spread_ms=STEP_MS)
        self._move(now)

    def rewind(self, now: Ts) -> None:
        """Set the time of the world back to `now`: past events stay, later markets wait for their opening."""
        self._exchange.rewind(now)
        self._at = Ts(now - now % STEP_MS)
        self._open.clear()
        self._moves.clear()
        self._makers = [Maker(self._exchange, self._seed, style) for style in STYLES]
        self._list_open(now)

    def fair(self, ticker: str) -> Price:
        """Return the fair value of one YES of an open market at the last step. For tests and tools."""
        chance = self._catalogue.chance(self._open[ticker], self._at)
        return Price(round(chance * ONE_DOLLAR))

    def _step(self, now: Ts, length_ms: int, *, spread_ms: int) -> None:
        """Do everything timed, and plan one move of each actor, with the trades of `length_ms`.

        The moves are spread over `spread_ms` from now on.
        """
        is_new_second = now // 1000 != self._at // 1000
        is_new_minute = now // _MINUTE_MS != self._at // _MINUTE_MS
        is_start = not self._open
        self._at = now
        if is_new_second or is_start:
            self._exchange.advance(now)
            self._settle_closed(now)
        self._publish(now, is_fast=not (is_new_second or is_start))
        if is_new_minute or is_start:  # all markets open on a whole minute
            self._list_open(now)
        if is_new_second or is_start:
            for quoter in self._quoters:
                quoter.answer(self._chance, now)
        self._plan(now, length_ms / 1000 * self._speed, spread_ms)

    def _plan(self, now: Ts, seconds: float, spread_ms: int) -> None:
        """Give the takers and each maker a moment in each market, drawn from the seed and the time."""
        self._moves = []
        self._contexts.clear()
        for ticker in self._open:
            draw = crc32(f"{self._seed}/{now}/{ticker}".encode())
            for actor in range(len(self._makers) + 1):
                after = 1 + (draw >> 8 * actor & 0xFF) * (spread_ms - 1) // 256 if spread_ms else 0
                self._moves.append(Move(Ts(now + after), ticker, actor, seconds))
        self._moves.sort(key=lambda move: move.at, reverse=True)

    def _move(self, until: Ts) -> None:
        """Do the moves that are due by `until`. All moves in one market in one step see the same context."""
        while self._moves and self._moves[-1].at <= until:
            move = self._moves.pop()
            listing = self._open.get(move.ticker)
            if listing is None:
                continue
            market = self._contexts.get(move.ticker)
            if market is None:
                market = self._contexts[move.ticker] = self._context(listing, move.at)
            if move.actor:
                self._makers[move.actor - 1].quote(market, move.at)
            else:
                self._crowd.trade(market, move.at, move.seconds)

    def _chance(self, ticker: str) -> float | None:
        """Return the probability of YES of an open market of the world, or None."""
        listing = self._open.get(ticker)
        return None if listing is None else self._catalogue.chance(listing, self._at)

    def _context(self, listing: Listing, now: Ts) -> MarketContext:
        market, close = listing.market, self._exchange.close_time(listing.market.ticker)
        left = max(0.0, (close - now) / max(1, close - market.open_time))
        chance = self._catalogue.chance(listing, now)
        calm = min(1.0, 8 * chance * (1 - chance)) * min(1.0, left * 10)  # no mood swings in nearly decided markets
        view = chance * ONE_DOLLAR + calm * crowd_bias(self._seed, market.ticker, now)
        grid = self._exchange.grid(market.ticker)
        return MarketContext(market.ticker, grid, min(max(view, _LOWEST), ONE_DOLLAR - _LOWEST), listing.pace, left)

    def _publish(self, now: Ts, *, is_fast: bool) -> None:
        """Publish the outside values: once a second, and fast index ticks between the seconds."""
        at = now if is_fast else now - now % 1000
        for source in (BTC, ETH):
            self._exchange.set_index_value(source.name, self._tick(source, at), now, is_fast=is_fast)
        for name, source in () if is_fast else PYTH_SOURCES.items():
            self._exchange.set_pyth_value(name, self._tick(source, at), now)

    def _tick(self, source: PriceSource, at: int) -> int:
        """Return the published value of a source: whole cents, in ten-thousandths of a dollar."""
        return round(self._catalogue.paths.of(source).at(at) * 100) * 100

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
        """Determine the closed markets, including those that an earlier world listed.

        A market that was closed early is determined by its reference at its scheduled close, or manually before. The
        determination is as of the close: after a gap the market pays at once.
        """
        closed = self._exchange.tickers("closed")
        for ticker in closed:
            if self._exchange.legs(ticker):
                continue  # combos settle with their legs
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
        """Return the listing of a market from before this process, or None for a market of another origin."""
        reply = self._exchange.handle(replies.Request("GET", f"{routing.BASE}/markets/{ticker}"), self._at)
        shown = msgspec.json.decode(reply.body)["market"]
        moments = (Ts(parse_ts(shown["close_time"]) - 1), parse_ts(shown["open_time"]))  # the close may have moved
        found = (x for at in moments for x in self._catalogue.open_at(at) if x.market.ticker == ticker)
        return next(found, None)
