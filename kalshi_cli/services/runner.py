"""The one loop of every mode: feed -> engine -> store -> venue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from kalshi_cli.base.errors import HaltedError, KalshiError
from kalshi_cli.core.model.effects import AmendOrder, Effect, SubmitOrder
from kalshi_cli.core.model.messages import AmendEnded, ExternalOrders, Message, OrderRejected
from kalshi_cli.store.records import ConcurrentChangeError

MAX_CASCADE = 10_000
"""Messages that one feed message may set off; more is a loop that feeds itself."""


class FeedProtocol(Protocol):
    """Where messages come from. Ends after a stop was asked for, or when a recording does."""

    def __iter__(self) -> Iterator[Message]: ...


class EngineProtocol(Protocol):
    """The pure core: what follows from what happened."""

    def step(self, message: Message) -> Iterable[Effect]: ...


class VenueProtocol(Protocol):
    """Where effects go, and where their replies come from."""

    def observe(self, message: Message) -> Iterable[Message]:
        """What became due now that this happened: replies, fills, the answer of a look-up."""
        ...

    def perform(self, effect: Effect) -> Iterable[Message]:
        """Do it, once, and say what came of it."""
        ...


class RecorderProtocol(Protocol):
    """The part of the store the loop needs."""

    def record(self, effect: Effect) -> None: ...


def run(
    feed: Iterable[Message],
    engine: EngineProtocol,
    venue: VenueProtocol,
    store: RecorderProtocol,
    done: Callable[[Message], None] | None = None,
) -> None:
    """Drive the loop until the feed ends; `done` is told of each message once all that it set off has settled."""
    for message in feed:
        process_messages((*venue.observe(message), message), engine, venue, store)
        if done is not None:
            done(message)


def process_messages(
    messages: Iterable[Message], engine: EngineProtocol, venue: VenueProtocol, store: RecorderProtocol
) -> None:
    """Take messages through the engine, and everything that they set off.

    Replies are taken before the next message, or the engine would decide on stale order state. They are also taken, and
    all that follows is done, before the next order or amend is sent: what they bring may stop it. Every effect is
    recorded before it is performed: no commit, no order. Where recording or performing fails, the replies that had come
    by then are still taken, so that the engine knows what is live, and nothing more is performed.
    """
    coming, replies, effects = deque(messages), deque[Message](), deque[Effect]()
    steps = 0
    try:
        while effects or replies or coming:
            if effects and not (replies and isinstance(effects[0], SubmitOrder | AmendOrder)):
                replies.extend(_act_unless_halted(effects.popleft(), venue, store))
                continue
            if steps == MAX_CASCADE:
                break
            steps += 1
            effects.extendleft(reversed(list(engine.step((replies or coming).popleft()))))
    except BaseException:
        for message in (*replies, *coming):
            engine.step(message)
        raise
    if replies or coming:
        raise KalshiError(
            f"one message set off more than {MAX_CASCADE} others",
            hint="a strategy or a control feeds itself; this is a bug, please report it",
        )


def _act_unless_halted(effect: Effect, venue: VenueProtocol, store: RecorderProtocol) -> Iterable[Message]:
    """As `perform_effects`. An order that is not sent because of what another process has just done is over, not live,
    and one that is not amended is as it was.

    What that process placed counts from here on.
    """
    try:
        return perform_effects(effect, venue, store)
    except HaltedError as error:
        beside = error.orders if isinstance(error, ConcurrentChangeError) else ()
        code, text = error.code.upper(), error.message
        if isinstance(effect, SubmitOrder):
            order = effect.order
            return ExternalOrders(order.created, beside), OrderRejected(
                order.created, order.client_order_id, code, text
            )
        if isinstance(effect, AmendOrder):
            ts = effect.doubtful.updated
            return ExternalOrders(ts, beside), AmendEnded(ts, effect.before, code, text)
        raise


def perform_effects(effect: Effect, venue: VenueProtocol, store: RecorderProtocol) -> Iterable[Message]:
    """Record it, then perform it; the replies, not yet taken."""
    store.record(effect)
    return venue.perform(effect)
