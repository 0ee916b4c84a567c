"""Whether an order that was decided on may still leave: a late one is priced on what is not true any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import RefusedError
from kalshi_cli.core.model.messages import Message


class DecisionDeadline:
    """The decision in progress. It began when the message was taken on which it rests, and has to be sent soon after.

    `stopped_by` says who asked for a stop, if anybody did: then nothing new begins, wherever the loop is.
    """

    def __init__(self, clock: Clock, limit_s: float, stopped_by: Callable[[], str] = str) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._stopped_by = stopped_by
        self._begun, self._begun_wall = clock.monotonic(), clock.now()

    @property
    def begun_s(self) -> float:
        """When it began, on the monotonic clock."""
        return self._begun

    def over(self, feed: Iterable[Message]) -> Iterator[Message]:
        """The messages of the feed; each begins a decision."""
        for message in feed:
            self._begun, self._begun_wall = self._clock.monotonic(), self._clock.now()
            yield message

    def refuse_if_late(self) -> None:
        """Asked before each attempt to place an order. RefusedError: nothing is sent, and nothing outstanding.

        The process may have been suspended since, the exchange may not have answered, or the rate limit made it wait.
        """
        if self._stopped_by():
            raise RefusedError(f"not sent: {self._stopped_by()} asked for a stop", code="STOPPING")
        # Linux stops the monotonic clock while the host sleeps, so the wall clock is asked too.
        age_s = max(self._clock.monotonic() - self._begun, (self._clock.now() - self._begun_wall) / 1000)
        if age_s > self._limit_s:
            raise RefusedError(
                f"not sent: decided {age_s:.1f} s ago, and that may be at most {self._limit_s:g} s",
                hint="the limit is trade.decision_limit_s in the configuration",
                code="STALE_DECISION",
            )
