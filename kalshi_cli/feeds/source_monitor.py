"""The state of an external source: its last usable response, or why it has none."""

from __future__ import annotations

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.source_watch import Source

MAX_PROBLEM_LENGTH = 200


class SourceMonitor:
    """The last usable response of one source, aged by the monotonic clock. Safe to share between threads."""

    def __init__(self, name: str, clock: Clock, limit_s: float) -> None:
        self._name = name
        self._clock = clock
        self._limit_s = limit_s
        self._last = (clock.monotonic(), "")

    def answered(self, age_s: float = 0.0) -> None:
        """Note a usable response that is `age_s` seconds old, or that the source need not be read now."""
        self._last = (self._clock.monotonic() - age_s, "")

    def failed(self, problem: str) -> None:
        """Note why there is no usable response."""
        self._last = (self._last[0], safe_text(problem, MAX_PROBLEM_LENGTH))

    @property
    def state(self) -> Source:
        """Return the source as of now."""
        at, problem = self._last
        age_ms = int((self._clock.monotonic() - at) * 1000)
        answered = Ts(self._clock.now() - age_ms)
        return Source(name=self._name, answered=answered, limit_s=self._limit_s, problem=problem)
