"""The other members of the simulated exchange: makers and takers.

A maker quotes around its last view, with a delay, and less on the side of its position. The takers trade at random;
where the book differs from their view they sweep it, whether the view moved with the reference (a lasting change) or
with a mood (a temporary one). The trades alone do not show which of the two it was.
"""

from __future__ import annotations

import math

import msgspec

from kalshi_cli.base.units import ONE_CONTRACT, ONE_DOLLAR, Price, Qty, Ts
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.price_grid import PriceGrid
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import NewOrder
from kalshi_cli.simulator.model.seeded_random import SeededRandom

CENT = 100.0
"""A cent in units of Price, as a float, for prices before they are snapped to the grid."""

_ILLIQUID = 0.1
"""Below this pace makers often avoid one or both sides of a market."""

_SURPRISE = 3 * CENT
"""A maker updates its quotes at once when the view has moved this far."""

_MISPRICED = 2 * CENT
_MAX_HELD = 3_000 * ONE_CONTRACT


class MarketContext(msgspec.Struct):
    """A market at a moment, as traders see it: `view` is its fair value to them, in units of Price."""

    ticker: str
    grid: PriceGrid
    view: float
    pace: float
    life_left: float
    """The remaining share of the market's life: 1 at the opening, 0 at the close."""


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """The style of a maker: distances in units of Price, `size` in contracts; `lag` is the weight of its old view."""

    account: str
    half_spread: float
    gap: float
    levels: int
    size: float
    every_ms: int
    lag: float


STYLES = (
    Style(account="maker-1", half_spread=0.9 * CENT, gap=CENT, levels=2, size=25, every_ms=3_000, lag=0.4),
    Style(account="maker-2", half_spread=1.7 * CENT, gap=CENT, levels=3, size=80, every_ms=6_000, lag=0.5),
    Style(account="maker-3", half_spread=3.5 * CENT, gap=2 * CENT, levels=4, size=300, every_ms=10_000, lag=0.6),
)
CROWD = ("crowd-1", "crowd-2", "sweeper")


class Maker:
    """An account that quotes every market, each at its own times."""

    def __init__(self, exchange: SimulatedExchange, seed: int, style: Style) -> None:
        self._exchange = exchange
        self._seed = seed
        self._style = style
        self._views: dict[str, float] = {}
        self._due: dict[str, int] = {}

    def forget(self, ticker: str) -> None:
        """Forget a market that ended."""
        self._views.pop(ticker, None)
        self._due.pop(ticker, None)

    def quote(self, market: MarketContext, now: Ts) -> None:
        """Move the quotes to their new prices if this maker looks at this market now."""
        style, ticker = self._style, market.ticker
        view = self._views.get(ticker, market.view)
        if now < self._due.get(ticker, 0) and abs(market.view - view) < _SURPRISE:
            return
        rng = SeededRandom(self._seed, style.account, ticker, now)
        self._due[ticker] = now + int(style.every_ms * rng.between(0.5, 1.5) / max(0.3, market.pace))
        view = self._views[ticker] = style.lag * view + (1 - style.lag) * market.view
        wanted, at = self._wanted(market, view, now, rng), _moment(self._exchange, now)
        for order_id, side, price, left in self._exchange.resting(style.account, ticker):
            size = wanted.pop((side, price), None)
            if size is None:
                self._exchange.cancel(style.account, order_id, at)
            elif left * 4 < size:  # mostly filled: quote the full size again
                self._exchange.cancel(style.account, order_id, at)
                wanted[(side, price)] = size
        for (side, price), size in wanted.items():
            # A refusal is fine: the order would cross a slower maker, and the next update tries again.
            order = NewOrder(ticker=ticker, side=side, price=price, qty=size, post_only=True)
            self._exchange.submit(style.account, order, at)

    def _wanted(self, market: MarketContext, view: float, now: Ts, rng: SeededRandom) -> dict[tuple[Side, Price], Qty]:
        style = self._style
        held = self._exchange.position(style.account, market.ticker)
        skew = max(-3.0, min(3.0, held / ONE_CONTRACT / style.size / 3)) * CENT
        chance = view / ONE_DOLLAR
        narrow = 0.3 + 0.7 * 4 * chance * (1 - chance)  # prices near 0 and 1 move less, so their quotes are tighter
        wide = 1.0 if market.life_left > 0.1 else 1.0 + 10 * (0.1 - market.life_left)
        half = style.half_spread * narrow * wide
        away = self._away(market, now)
        found: dict[tuple[Side, Price], Qty] = {}
        for side in (BID, ASK):
            if side in away or held * side.sign > _MAX_HELD:
                continue
            for level in range(style.levels):
                at = view - skew - side.sign * (half + level * style.gap * narrow)
                price = market.grid.snap(side, Price(round(min(max(at, 0.0), float(ONE_DOLLAR)))))
                if price is not None:
                    found.setdefault((side, price), _size(rng, style.size))
        return found

    def _away(self, market: MarketContext, now: Ts) -> tuple[Side, ...]:
        """Return the sides that this maker avoids in this half minute."""
        rng = SeededRandom(self._seed, "away", self._style.account, market.ticker, now // 30_000)
        if not rng.chance(0.6 if market.pace < _ILLIQUID else 0.03):
            return ()
        return ((BID,), (ASK,), (BID, ASK))[rng.below(3)]


class TakerFlow:
    """The takers: two accounts that trade at random, and one that sweeps mispriced levels."""

    def __init__(self, exchange: SimulatedExchange, seed: int) -> None:
        self._exchange = exchange
        self._seed = seed

    def trade(self, market: MarketContext, now: Ts, seconds: float) -> None:
        """Trade in a market for the last `seconds`."""
        rng = SeededRandom(self._seed, "crowd", market.ticker, now)
        bid, ask = self._exchange.top(market.ticker)
        if ask is not None and ask[0] < market.view - _MISPRICED:
            self._sweep(market, BID, now, rng)
        elif bid is not None and bid[0] > market.view + _MISPRICED:
            self._sweep(market, ASK, now, rng)
        elif rng.chance(1 - math.exp(-seconds * market.pace / 12)):
            self._take_or_rest(market, bid and bid[0], ask and ask[0], now, rng)

    def _sweep(self, market: MarketContext, side: Side, now: Ts, rng: SeededRandom) -> None:
        """Take everything up to a cent short of the view, as far as one order reaches."""
        limit = market.grid.snap(side, Price(round(market.view - side.sign * CENT)))
        if limit is not None and rng.chance(0.7):
            qty = _whole(rng.heavy(60, 2_000))
            order = NewOrder(ticker=market.ticker, side=side, price=limit, qty=qty, tif=TimeInForce.IOC)
            self._exchange.submit("sweeper", order, _moment(self._exchange, now))

    def _take_or_rest(
        self, market: MarketContext, bid: Price | None, ask: Price | None, now: Ts, rng: SeededRandom
    ) -> None:
        account, now = CROWD[rng.below(2)], _moment(self._exchange, now)
        held = self._exchange.position(account, market.ticker)
        side = BID if rng.chance(0.5 - max(-0.4, min(0.4, held / _MAX_HELD))) else ASK
        qty, best = _size(rng, rng.heavy(6, 400)), ask if side is BID else bid
        if rests := rng.chance(0.25) and bid is not None and ask is not None:
            price = market.grid.snap(side, Price(round(rng.between(bid, ask))))
        elif best is not None:
            limit = Price(round(best + side.sign * CENT * rng.below(3)))
            price = market.grid.snap(side, Price(min(max(limit, 1), ONE_DOLLAR - 1)))
        else:
            price = None
        if price is not None:
            order = NewOrder(ticker=market.ticker, side=side, price=price, qty=qty, tif=TimeInForce.IOC)
            if rests:
                order.tif, order.post_only = TimeInForce.GTC, True
                order.expires = Ts(now + 1000 * (15 + rng.below(60)))
            self._exchange.submit(account, order, now)


def _moment(exchange: SimulatedExchange, now: Ts) -> Ts:
    """Return the time of an action that was drawn for `now`, not before the time of the exchange."""
    return Ts(max(now, exchange.time))


def _whole(count: float) -> Qty:
    return Qty(max(1, round(count)) * ONE_CONTRACT)


def _size(rng: SeededRandom, typical: float) -> Qty:
    """Return a size around the typical one; one in six has a fraction, because some trade for a dollar amount."""
    count = typical * rng.between(0.5, 1.6)
    if rng.chance(1 / 6):
        return Qty(max(1, round(count * ONE_CONTRACT)))
    return _whole(count)
