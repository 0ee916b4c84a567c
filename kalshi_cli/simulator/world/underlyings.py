"""The outside values behind the markets (spot prices, a temperature, an index, a score, a rate), and the moods.

Each path is a pure function of (seed, name, time), so a restart continues it, and a strike can be the value at the
opening of a market. The floats never become money directly: a fair value becomes an integer price, an index value an
integer of ten-thousandths.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate, repeat
from operator import truediv

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.seeded_random import SeededRandom

_BLOCK_S = float(1 << 17)
"""The seconds of a block of a path (36 hours); finer points are interpolated inside."""

_LEVELS = 19
"""The halvings of a block: the finest points of a path are a quarter of a second apart."""

_MOOD_S = 240
"""The seconds of a slot, which has one spike per market at most."""

_MOOD_CHANCE = 0.6

_PATHS_KEPT = 64
_POINTS_KEPT = 256


class PriceSource(msgspec.Struct, frozen=True, kw_only=True):
    """The behavior of a path: around `level`, with `daily_sd` (of the logarithm if `is_log`), and sudden jumps.

    `jump_sd` is the size of a jump on the scale of `daily_sd`; one jump happens every `jump_every_s`.
    """

    name: str
    level: float
    daily_sd: float
    is_log: bool = False
    jump_sd: float
    jump_every_s: int


class PricePath:
    """The path of one source under one seed."""

    def __init__(self, seed: int, source: PriceSource) -> None:
        self.source = source
        self._seed = seed
        self._rate = source.daily_sd / math.sqrt(86_400)  # standard deviation per square root of a second
        first = self._rate * math.sqrt(_BLOCK_S) / 2
        self._scales = list(accumulate(repeat(math.sqrt(2), _LEVELS - 1), truediv, initial=first))  # of each level
        self._end_sd = self._rate * math.sqrt(_BLOCK_S / 2)
        # The last draws, because time moves in small steps: of the ends of a block, and of a tent of each level.
        self._block, self._ends = math.nan, (0.0, 0.0)
        self._tents: list[tuple[float, float]] = [(math.nan, 0.0)] * _LEVELS
        self._slot = (math.nan, 0.0, 0.0)  # the last slot of jumps, its jump and when in it
        self._points: dict[float, float] = {}  # offsets, because several markets use the same moments
        # The last outlook, which many strikes use.
        self._known: tuple[tuple[int, Ts, int], tuple[float, float]] | None = None

    def at(self, ts: int) -> float:
        """Return the value at a moment, in the unit of the source."""
        return self._value(self._offset(ts / 1000))

    def average(self, end: Ts, seconds: int) -> float:
        """Return the mean of the values at the last `seconds` whole seconds up to `end`."""
        return sum(self.at(end - 1000 * back) for back in range(seconds)) / seconds

    def chance(self, now: int, close: Ts, low: float, high: float, average_s: int) -> float:
        """Return the probability that the average before `close` is in [low, high), by a normal model."""
        asked = (now, close, average_s)
        if self._known is None or self._known[0] != asked:
            self._known = (asked, self._outlook(now, close, average_s))
        mean, sd = self._known[1]
        return _normal_cdf((self._scaled(high) - mean) / sd) - _normal_cdf((self._scaled(low) - mean) / sd)

    def _outlook(self, now: int, close: Ts, average_s: int) -> tuple[float, float]:
        """Return the mean and standard deviation of the final average, as an offset from the level."""
        left = max(0.0, (close - now) / 1000)
        here = self._offset(now / 1000)
        if left < average_s:  # part of the average is known already
            known = average_s - math.ceil(left)
            past = sum(self._offset(now // 1000 - back) for back in range(known))
            mean = (past + here * (average_s - known)) / average_s
            spread = self._rate * math.sqrt(left**3 / 3) / average_s
            jumps = self.source.jump_sd * (left / average_s) * math.sqrt(left / self.source.jump_every_s)
        else:
            mean = here
            spread = self._rate * math.sqrt(left - average_s * 2 / 3)
            jumps = self.source.jump_sd * math.sqrt(min(1.0, left / self.source.jump_every_s))
        return mean, max(math.hypot(spread, jumps), 1e-9)

    def _offset(self, t: float) -> float:
        """Return the distance from the level at a moment in seconds."""
        if t not in self._points:
            if len(self._points) >= _POINTS_KEPT:
                self._points.clear()
            self._points[t] = self._reckoned(t)
        return self._points[t]

    def _reckoned(self, t: float) -> float:
        """Return the offset by Lévy's construction of Brownian motion: straight lines between blocks, then finer tents.

        The ends of the blocks are independent draws around zero with half the variance of a block each, so a path
        neither drifts away over the years nor loses its volatility within a day.
        """
        block = math.floor(t / _BLOCK_S)
        share = t / _BLOCK_S - block
        if self._block != block:
            self._block, self._ends = block, (self._draw("end", block), self._draw("end", block + 1))
        value = self._end_sd * ((1 - share) * self._ends[0] + share * self._ends[1])
        place, first = share, block  # in tents of this level, and the number of the first one of the block
        for level, scale in enumerate(self._scales):  # the hot loop of a world: nothing is called without need
            number = first + int(place)
            inside = place % 1.0
            known = self._tents[level]
            if known[0] != number:
                known = self._tents[level] = (number, self._draw(str(level), number))
            value += scale * ((inside if inside < 0.5 else 1.0 - inside) * 2) * known[1]
            place, first = place * 2, first * 2
        return value + self._jump(t)

    def _draw(self, stream: str, index: int) -> float:
        return SeededRandom(self._seed, self.source.name, stream, index).normal()

    def _jump(self, t: float) -> float:
        """Return one jump per slot, offset by a slow drift over the slot: within minutes it is permanent."""
        slot, inside = divmod(t, self.source.jump_every_s)
        if self._slot[0] != slot:
            rng = SeededRandom(self._seed, self.source.name, "jump", int(slot))
            self._slot = (slot, self.source.jump_sd * rng.normal(), rng.between(0.1, 0.9))
        _, size, at = self._slot
        share = inside / self.source.jump_every_s
        return size * ((share >= at) - share)

    def _value(self, offset: float) -> float:
        source = self.source
        return source.level * math.exp(offset) if source.is_log else source.level + offset

    def _scaled(self, value: float) -> float:
        """Return a bound as an offset; minus infinity where there is no logarithm."""
        source = self.source
        if not source.is_log:
            return value - source.level
        return math.log(value / source.level) if value > 0 else -math.inf


class Paths:
    """The paths of one seed, by source. Only the last few are kept; each can be computed again."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._kept: dict[str, PricePath] = {}

    def of(self, source: PriceSource) -> PricePath:
        """Return the path of a source."""
        found = self._kept.pop(source.name, None) or PricePath(self.seed, source)
        self._kept[source.name] = found
        if len(self._kept) > _PATHS_KEPT:
            del self._kept[next(iter(self._kept))]
        return found


class PriceSpike(msgspec.Struct, frozen=True):
    """A push of a market away from its fair value at `at`, which fades with the time constant `decay_s`."""

    at: Ts
    size: float
    decay_s: float


def spike(seed: int, ticker: str, ts: int) -> PriceSpike | None:
    """Return the spike of the slot that includes this moment, if any. `size` is in units of Price, signed."""
    return _spike_of(seed, ticker, ts // (_MOOD_S * 1000))


@lru_cache(maxsize=1024)  # every market uses it at every step
def _spike_of(seed: int, ticker: str, slot: int) -> PriceSpike | None:
    rng = SeededRandom(seed, "spike", ticker, slot)
    if not rng.chance(_MOOD_CHANCE):
        return None
    at = Ts((slot * _MOOD_S + rng.below(_MOOD_S // 2)) * 1000)  # ends well before the slot does
    return PriceSpike(at, rng.sign() * rng.between(500, 1_300), rng.between(10, 30))


def crowd_bias(seed: int, ticker: str, ts: int) -> float:
    """Return the distance of the takers' view from the fair value, in units of Price."""
    push = spike(seed, ticker, ts)
    if push is None or ts < push.at:
        return 0.0
    return push.size * math.exp((push.at - ts) / 1000 / push.decay_s)


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))
