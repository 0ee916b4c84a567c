"""One time for everything: the exchange's, and the machine's clocks, which may differ from it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from kalshi_cli.base.units import Ts


class Timeline:
    """The exchange's time, with what is due when. Whoever waits passes it, and everything due happens on the way.

    Passing time inside of something that is due is allowed: another program of the account waits for its replies while
    the loop waits for its own.
    """

    def __init__(self, start: Ts) -> None:
        self.start = start
        self._ms = float(start)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()

    def now(self) -> Ts:
        return Ts(int(self._ms))

    @property
    def seconds(self) -> float:
        """Since the start."""
        return (self._ms - self.start) / 1000

    def next_ms(self) -> Ts:
        """The next millisecond. No two things at the exchange share one: whoever reads fills could not order them."""
        self._ms += 1
        return self.now()

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Do it at this many seconds after the start; what is late is done at the next chance."""
        heapq.heappush(self._agenda, (self.start + seconds * 1000, next(self._count), do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do it so many seconds from now."""
        self.at(self.seconds + seconds, do)

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.until(self._ms + max(0.0, seconds) * 1000)

    def until(self, target: float, *, is_done: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass to this millisecond, or until it is done; whether it was."""
        while self._agenda and self._agenda[0][0] <= target:
            due, _, do = heapq.heappop(self._agenda)
            self._ms = max(self._ms, due)
            do()
            if is_done():
                return True
        self._ms = max(self._ms, target)
        return is_done()


class MachineClock:
    """The clocks of the machine that the program runs on: the wall clock can be set, the other stops in its sleep."""

    def __init__(self, timeline: Timeline, alive: Callable[[], None]) -> None:
        self._timeline = timeline
        self._alive = alive
        self.ahead_ms = 0
        self.slept_s = 0.0
        self.owed_s: list[tuple[float, bool]] = []
        """Stops of the process that are due: seconds, and whether the whole host sleeps."""
        self.is_stopped = False
        self.when_it_goes_on: list[Callable[[], None]] = []
        """What other threads of the process were to do meanwhile."""

    def now(self) -> Ts:
        return Ts(self._timeline.now() + self.ahead_ms)

    def monotonic(self) -> float:
        return 1_000.0 + self._timeline.seconds - self.slept_s

    def sleep(self, seconds: float) -> None:
        self._alive()
        self._timeline.pass_(seconds)
        self.stop_if_due()
        self._alive()

    def stop_if_due(self) -> None:
        """The process does not run for a while; what is outside goes on."""
        while self.owed_s:
            seconds, is_host = self.owed_s.pop()
            self.is_stopped = True
            self._timeline.pass_(seconds)
            self.is_stopped = False
            if is_host:
                self.slept_s += seconds
            waiting, self.when_it_goes_on = self.when_it_goes_on, []
            for do in waiting:
                do()
