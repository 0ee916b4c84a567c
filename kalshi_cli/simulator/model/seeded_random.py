"""Randomness as a pure function of a name: the same key gives the same draws in every process.

No state outlives a call, so a restarted world continues where it was. Python's `hash` is salted per process and its
generator carries a state, so neither fits.
"""

from __future__ import annotations

import math
import uuid
from hashlib import blake2b

_MASK = (1 << 64) - 1


class SeededRandom:
    """The draws of one key, such as (seed, "noise", ticker, step)."""

    __slots__ = ("_state",)

    def __init__(self, *key: int | str) -> None:
        name = "/".join(map(str, key)).encode()
        self._state = int.from_bytes(blake2b(name, digest_size=8).digest(), "little")

    def _bits(self) -> int:
        """Return the next 64 bits, by SplitMix64 (Steele, Lea, Flood 2014)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def uniform(self) -> float:
        """Return a number strictly between 0 and 1."""
        return ((self._bits() >> 11) + 0.5) / (1 << 53)

    def between(self, low: float, high: float) -> float:
        """Return a number between two bounds."""
        return low + (high - low) * self.uniform()

    def below(self, count: int) -> int:
        """Return an integer from 0 to count - 1."""
        return self._bits() % count

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.uniform() < probability

    def sign(self) -> int:
        """Return 1 or -1."""
        return 1 if self._bits() >> 63 else -1

    def normal(self) -> float:
        """Return a number with mean 0 and standard deviation 1, by the Box-Muller method."""
        return math.sqrt(-2 * math.log(self.uniform())) * math.cos(2 * math.pi * self.uniform())

    def heavy(self, typical: float, limit: float) -> float:
        """Return a number with a heavy tail: half the draws are below `typical`, none above `limit`."""
        return float(min(limit, typical * (0.5 / self.uniform()) ** 0.7))


def stable_id(*key: str) -> str:
    """Return the UUID of a key, which never changes."""
    return str(uuid.UUID(bytes=blake2b("/".join(key).encode(), digest_size=16).digest(), version=5))
