"""The other members of the simulated exchange: makers that quote, and a crowd that takes.

A maker quotes around what it last believed, a little late and tired of what it holds. The crowd trades at random; and
where the book is off the crowd's own view it sweeps, whether the view moved with the reference (that stays) or with a
mood (that passes). From the tape alone nobody can tell which of the two it was.
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
"""A cent in units of Price, as a float: what traders think in, before a price is snapped to the grid."""

_ILLIQUID = 0.1
"""Below this pace a market's makers stay away from a side, or from both, much of the time."""

_SURPRISE = 3 * CENT
"""A maker looks at once when the view has moved this far from what it believed."""

_MISPRICED = 2 * CENT
_MAX_HELD = 3_000 * ONE_CONTRACT


class MarketContext(msgspec.Struct):
    """One market at one moment, as traders see it: `view` is what they believe, in units of Price."""

    ticker: str
    grid: PriceGrid
    view: float
    pace: float
    life_left: float
    """The share of the market's life that is left, 1 at the opening, 0 at the close."""


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How a maker quotes. Distances in units of Price, `size` in contracts, `lag` the share of its view it keeps."""

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
    """One account that quotes every market, each in its own time."""

    def __init__(self, exchange: SimulatedExchange, seed: int, style: Style) -> None:
        self._exchange = exchange
        self._seed = seed
        self._style = style
        self._believes: dict[str, float] = {}
        self._due: dict[str, int] = {}

    def forget(self, ticker: str) -> None:
        """The market is over."""
        self._believes.pop(ticker, None)
        self._due.pop(ticker, None)

    def quote(self, scene: MarketContext, now: Ts) -> None:
        """Move the quotes to where they should be, if this maker looks at this market now."""
        style, ticker = self._style, scene.ticker
        believed = self._believes.get(ticker, scene.view)
        if now < self._due.get(ticker, 0) and abs(scene.view - believed) < _SURPRISE:
            return
        dice = SeededRandom(self._seed, style.account, ticker, now)
        self._due[ticker] = now + int(style.every_ms * dice.between(0.5, 1.5) / max(0.3, scene.pace))
        believed = self._believes[ticker] = style.lag * believed + (1 - style.lag) * scene.view
        wanted, at = self._wanted(scene, believed, now, dice), _moment(self._exchange, now)
        for order_id, side, price, left in self._exchange.resting(style.account, ticker):
            size = wanted.pop((side, price), None)
            if size is None:
                self._exchange.cancel(style.account, order_id, at)
            elif left * 4 < size:  # mostly eaten: show a whole one again
                self._exchange.cancel(style.account, order_id, at)
                wanted[(side, price)] = size
        for (side, price), size in wanted.items():
            # A refusal is fine: it would cross somebody slower, and is tried again at the next look.
            order = NewOrder(ticker=ticker, side=side, price=price, qty=size, post_only=True)
            self._exchange.submit(style.account, order, at)

    def _wanted(
        self, scene: MarketContext, believed: float, now: Ts, dice: SeededRandom
    ) -> dict[tuple[Side, Price], Qty]:
        style = self._style
        held = self._exchange.position(style.account, scene.ticker)
        tired = max(-3.0, min(3.0, held / ONE_CONTRACT / style.size / 3)) * CENT
        chance = believed / ONE_DOLLAR
        narrow = 0.3 + 0.7 * 4 * chance * (1 - chance)  # tails are quoted tighter: less can happen there
        wide = 1.0 if scene.life_left > 0.1 else 1.0 + 10 * (0.1 - scene.life_left)
        half = style.half_spread * narrow * wide
        away = self._away(scene, now)
        found: dict[tuple[Side, Price], Qty] = {}
        for side in (BID, ASK):
            if side in away or held * side.sign > _MAX_HELD:
                continue
            for level in range(style.levels):
                at = believed - tired - side.sign * (half + level * style.gap * narrow)
                price = scene.grid.snap(side, Price(round(min(max(at, 0.0), float(ONE_DOLLAR)))))
                if price is not None:
                    found.setdefault((side, price), _size(dice, style.size))
        return found

    def _away(self, scene: MarketContext, now: Ts) -> tuple[Side, ...]:
        """The sides this maker stays away from in this half minute."""
        dice = SeededRandom(self._seed, "away", self._style.account, scene.ticker, now // 30_000)
        if not dice.chance(0.6 if scene.pace < _ILLIQUID else 0.03):
            return ()
        return ((BID,), (ASK,), (BID, ASK))[dice.below(3)]


class TakerFlow:
    """Takers: two accounts that trade at random, and one that sweeps what is mispriced."""

    def __init__(self, exchange: SimulatedExchange, seed: int) -> None:
        self._exchange = exchange
        self._seed = seed

    def trade(self, scene: MarketContext, now: Ts, seconds: float) -> None:
        """What the crowd does in this market during the last `seconds`."""
        dice = SeededRandom(self._seed, "crowd", scene.ticker, now)
        bid, ask = self._exchange.top(scene.ticker)
        if ask is not None and ask[0] < scene.view - _MISPRICED:
            self._sweep(scene, BID, now, dice)
        elif bid is not None and bid[0] > scene.view + _MISPRICED:
            self._sweep(scene, ASK, now, dice)
        elif dice.chance(1 - math.exp(-seconds * scene.pace / 12)):
            self._take_or_rest(scene, bid and bid[0], ask and ask[0], now, dice)

    def _sweep(self, scene: MarketContext, side: Side, now: Ts, dice: SeededRandom) -> None:
        """Take everything up to a cent short of the view, as far as one order goes."""
        limit = scene.grid.snap(side, Price(round(scene.view - side.sign * CENT)))
        if limit is not None and dice.chance(0.7):
            qty = _whole(dice.heavy(60, 2_000))
            order = NewOrder(ticker=scene.ticker, side=side, price=limit, qty=qty, tif=TimeInForce.IOC)
            self._exchange.submit("sweeper", order, _moment(self._exchange, now))

    def _take_or_rest(
        self, scene: MarketContext, bid: Price | None, ask: Price | None, now: Ts, dice: SeededRandom
    ) -> None:
        account, now = CROWD[dice.below(2)], _moment(self._exchange, now)
        held = self._exchange.position(account, scene.ticker)
        side = BID if dice.chance(0.5 - max(-0.4, min(0.4, held / _MAX_HELD))) else ASK
        qty = _size(dice, dice.heavy(6, 400))
        if dice.chance(0.25) and bid is not None and ask is not None:
            price = scene.grid.snap(side, Price(round(dice.between(bid, ask))))
            if price is None:
                return
            expires = Ts(now + 1000 * (15 + dice.below(60)))
            order = NewOrder(ticker=scene.ticker, side=side, price=price, qty=qty, post_only=True, expires=expires)
        else:
            best = ask if side is BID else bid
            if best is None:
                return
            slack = Price(round(best + side.sign * CENT * dice.below(3)))
            price = scene.grid.snap(side, Price(min(max(slack, 1), ONE_DOLLAR - 1)))
            if price is None:
                return
            order = NewOrder(ticker=scene.ticker, side=side, price=price, qty=qty, tif=TimeInForce.IOC)
        self._exchange.submit(account, order, now)


def _moment(exchange: SimulatedExchange, now: Ts) -> Ts:
    """Return when something happens that was drawn for `now`: never before what has happened already."""
    return Ts(max(now, exchange.time))


def _whole(count: float) -> Qty:
    return Qty(max(1, round(count)) * ONE_CONTRACT)


def _size(dice: SeededRandom, typical: float) -> Qty:
    """Around the typical size; one in six has a fraction, as many here trade for an amount of dollars."""
    count = typical * dice.between(0.5, 1.6)
    if dice.chance(1 / 6):
        return Qty(max(1, round(count * ONE_CONTRACT)))
    return _whole(count)
