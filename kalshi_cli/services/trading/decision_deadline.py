"""The deadline between a strategy's decision and its order: a late order is priced on stale data."""

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
    """The decision in progress. It begins when the loop takes a message, and its orders must leave within `limit_s`.

    `stopped_by` returns the signal that requested a stop, "" without one: then no new order is sent.
    """

    def __init__(self, clock: Clock, limit_s: float, stopped_by: Callable[[], str] = str) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._stopped_by = stopped_by
        self._begun: tuple[float, Ts] | None = None

    @property
    def begun_s(self) -> float | None:
        """Return when the decision began, on the monotonic clock; None before the first message."""
        return None if self._begun is None else self._begun[0]

    def over(self, feed: Iterable[Message]) -> Iterator[Message]:
        """Yield the messages of the feed; each begins a new decision."""
        for message in feed:
            self._begun = self._clock.monotonic(), self._clock.now()
            yield message

    def refuse(self, store: Store, reviewed: TradingState) -> None:
        """Raise if trading is halted or the decision is too old. Call it before each attempt to place an order."""
        refuse_if_halted(store, reviewed)
        self.refuse_if_late()

    def refuse_if_late(self) -> None:
        """Raise RefusedError if a stop was requested or the decision is too old; then no request is outstanding.

        A decision gets old when the process was suspended, the exchange did not respond or the rate limit delayed it.
        Before the first message there is no decision, and nothing is refused.
        """
        if self._begun is None:
            return
        if self._stopped_by():
            raise RefusedError(f"Not sent: {self._stopped_by()} requested a stop", code="STOPPING")
        # Linux stops the monotonic clock while the host sleeps, so the wall clock counts as well.
        begun, begun_wall = self._begun
        age_s = max(self._clock.monotonic() - begun, (self._clock.now() - begun_wall) / 1000)
        if age_s > self._limit_s:
            raise RefusedError(
                f"Not sent: the decision is {age_s:.1f} s old, the limit is {self._limit_s:g} s",
                hint="the limit is trade.decision_limit_s",
                code="STALE_DECISION",
            )
