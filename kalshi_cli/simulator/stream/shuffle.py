"""The message orders that the exchange does not guarantee: across channels, and of a reply and its messages.

The real exchange does not document them: a fill can arrive before the 201 of its order. Only the messages of one
subscription keep their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeVar

from kalshi_cli.simulator.model.seeded_random import SeededRandom

T = TypeVar("T")


class MessageShuffler:
    """Draws such orders; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._drawn = 0

    def is_reply_first(self) -> bool:
        """Return whether a reply is sent before the messages that it causes."""
        return self._rng().chance(0.5)

    def mix(self, items: Iterable[tuple[int, T]]) -> list[T]:
        """Shuffle (subscription, message) pairs; the messages of one subscription keep their order."""
        queues: dict[int, deque[T]] = {}
        turns = []
        for sid, item in items:
            queues.setdefault(sid, deque()).append(item)
            turns.append(sid)
        rng = self._rng()
        for place in range(len(turns) - 1, 0, -1):
            other = rng.below(place + 1)
            turns[place], turns[other] = turns[other], turns[place]
        return [queues[sid].popleft() for sid in turns]

    def _rng(self) -> SeededRandom:
        self._drawn += 1
        return SeededRandom(self.seed, "shuffle", self._drawn)
