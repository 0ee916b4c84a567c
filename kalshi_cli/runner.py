"""The one loop of every mode: feed -> engine -> store -> venue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from kalshi_cli.core.messages import Effect, Message
from kalshi_cli.errors import KalshiError

MAX_CASCADE = 10_000
"""Messages that one feed message may set off; more is a loop that feeds itself."""


class Feed(Protocol):
    """Where messages come from. Ends after a stop was asked for, or when a recording does."""

    def __iter__(self) -> Iterator[Message]: ...


class Engine(Protocol):
    """The pure core: what follows from what happened."""

    def step(self, message: Message) -> Iterable[Effect]: ...


class Venue(Protocol):
    """Where effects go, and where their replies come from."""

    def observe(self, message: Message) -> Iterable[Message]:
        """What became due now that this happened: replies, fills, the answer of a look-up."""
        ...

    def perform(self, effect: Effect) -> Iterable[Message]:
        """Do it, once, and say what came of it."""
        ...


class Recorder(Protocol):
    """The part of the store the loop needs."""

    def record(self, effect: Effect) -> None: ...


def run(
    feed: Iterable[Message],
    engine: Engine,
    venue: Venue,
    store: Recorder,
    done: Callable[[Message], None] | None = None,
) -> None:
    """Drive the loop until the feed ends.

    Replies go through the engine before the next feed message, or it would decide on stale order state. Everything is
    recorded before it is performed: no commit, no order. `done` is told of each feed message once all that it set off
    has settled.
    """
    for message in feed:
        todo = deque((*venue.observe(message), message))
        handled = 0
        while todo:
            handled += 1
            if handled > MAX_CASCADE:
                raise KalshiError(
                    f"one message set off more than {MAX_CASCADE} others",
                    hint="a strategy or a control feeds itself; this is a bug, please report it",
                )
            for effect in engine.step(todo.popleft()):
                store.record(effect)
                todo.extend(venue.perform(effect))
        if done is not None:
            done(message)
