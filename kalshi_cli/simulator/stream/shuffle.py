"""The orders that the exchange leaves open: of messages across channels, and of a reply and the messages it causes.

Nobody documents them for the real exchange: a fill can arrive before the 201 of its order. Only the messages of one
subscription keep theirs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeVar

from kalshi_cli.simulator.model.seeded_random import SeededRandom

T = TypeVar("T")


class MessageShuffler:
    """Draws one such order after the other; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._drawn = 0

    def is_reply_first(self) -> bool:
        """Whether a reply leaves before what it caused is told."""
        return self._dice().chance(0.5)

    def mix(self, items: Iterable[tuple[int, T]]) -> list[T]:
        """(subscription, message) in an order drawn anew; those of one subscription stay in theirs."""
        queues: dict[int, deque[T]] = {}
        turns = []
        for sid, item in items:
            queues.setdefault(sid, deque()).append(item)
            turns.append(sid)
        dice = self._dice()
        for place in range(len(turns) - 1, 0, -1):
            other = dice.below(place + 1)
            turns[place], turns[other] = turns[other], turns[place]
        return [queues[sid].popleft() for sid in turns]

    def _dice(self) -> SeededRandom:
        self._drawn += 1
        return SeededRandom(self.seed, "shuffle", self._drawn)
