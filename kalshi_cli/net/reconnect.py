"""Pauses between connection attempts, which grow while connections do not last."""

from __future__ import annotations

import random


class Backoff:
    """Pauses that double from `first_s` to `longest_s`; after a connection of `healthy_s` seconds they start over.

    Each pause is shortened by up to half at random, so that clients do not reconnect in step.
    """

    def __init__(self, first_s: float, longest_s: float, healthy_s: float, rng: random.Random) -> None:
        self._first_s, self._longest_s, self._healthy_s = first_s, longest_s, healthy_s
        self._rng = rng
        self._attempt = 0

    def next_pause(self, lived_s: float | None) -> float:
        """Return the seconds to wait after a connection that lasted `lived_s` seconds (None: it failed)."""
        if lived_s is not None and lived_s >= self._healthy_s:
            self._attempt = 0
        pause = min(self._longest_s, self._first_s * 2.0 ** min(self._attempt, 20))
        self._attempt += 1
        return pause * (0.5 + self._rng.random() / 2)
