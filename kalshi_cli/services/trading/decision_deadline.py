"""Whether an order that was decided on may still leave: a late one is priced on what is not true any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import Message
from kalshi_cli.services.trading.halts import refuse_if_halted
from kalshi_cli.store.sqlite_store import Store


class DecisionDeadline:
    """The decision in progress. It began when the message was taken on which it rests, and has to be sent soon after.

    `stopped_by` says who asked for a stop, if anybody did: then nothing new begins, wherever the loop is.
    """

    def __init__(self, clock: Clock, limit_s: float, stopped_by: Callable[[], str] = str) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._stopped_by = stopped_by
        self._begun: tuple[float, Ts] | None = None

    @property
    def begun_s(self) -> float | None:
        """When it began, on the monotonic clock; None before the first message."""
        return None if self._begun is None else self._begun[0]

    def over(self, feed: Iterable[Message]) -> Iterator[Message]:
        """The messages of the feed; each begins a decision."""
        for message in feed:
            self._begun = self._clock.monotonic(), self._clock.now()
            yield message

    def refuse(self, store: Store, reviewed: TradingState) -> None:
        """Raise where trading is halted, or where the decision is too old. Asked before each attempt to place."""
        refuse_if_halted(store, reviewed)
        self.refuse_if_late()

    def refuse_if_late(self) -> None:
        """Asked before each attempt to place an order. RefusedError: nothing is sent, and nothing outstanding.

        Before the first message nothing is decided, and nothing refused.

        The process may have been suspended since, the exchange may not have answered, or the rate limit made it wait.
        """
        if self._begun is None:
            return
        if self._stopped_by():
            raise RefusedError(f"not sent: {self._stopped_by()} asked for a stop", code="STOPPING")
        # Linux stops the monotonic clock while the host sleeps, so the wall clock is asked too.
        begun, begun_wall = self._begun
        age_s = max(self._clock.monotonic() - begun, (self._clock.now() - begun_wall) / 1000)
        if age_s > self._limit_s:
            raise RefusedError(
                f"not sent: decided {age_s:.1f} s ago, and that may be at most {self._limit_s:g} s",
                hint="the limit is trade.decision_limit_s in the configuration",
                code="STALE_DECISION",
            )
