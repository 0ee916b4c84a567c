"""The one loop of every mode: feed -> engine -> store -> venue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from kalshi_cli.base.errors import HaltedError, KalshiError
from kalshi_cli.core.model.effects import AmendOrder, Effect, SubmitOrder
from kalshi_cli.core.model.messages import AmendEnded, ExternalOrders, Message, OrderRejected
from kalshi_cli.store.records import ConcurrentChangeError

MAX_CASCADE = 10_000
"""The most messages that one feed message may trigger; more means a loop that triggers itself."""


class EngineProtocol(Protocol):
    """The pure core: it returns the effects of each message."""

    def step(self, message: Message) -> Iterable[Effect]:
        """Return the effects of a message."""
        ...


class VenueProtocol(Protocol):
    """The destination of effects and the source of their replies."""

    def observe(self, message: Message) -> Iterable[Message]:
        """Return the messages that became due with this one: replies, fills, results of look-ups."""
        ...

    def perform(self, effect: Effect) -> Iterable[Message]:
        """Perform an effect once and return the replies."""
        ...


class RecorderProtocol(Protocol):
    """The part of the store that the loop needs."""

    def record(self, effect: Effect) -> None:
        """Save an effect before it is performed."""
        ...


def run(
    feed: Iterable[Message],
    engine: EngineProtocol,
    venue: VenueProtocol,
    store: RecorderProtocol,
    done: Callable[[Message], None] | None = None,
) -> None:
    """Drive the loop until the feed ends.

    `done` is called for each message after all of its effects have settled.
    """
    for message in feed:
        replies = (*venue.observe(message),)
        if replies:
            process_messages((*replies, message), engine, venue, store)
        elif effects := engine.step(message):
            process_messages((), engine, venue, store, effects)
        if done is not None:
            done(message)


def process_messages(
    messages: Iterable[Message],
    engine: EngineProtocol,
    venue: VenueProtocol,
    store: RecorderProtocol,
    before: Iterable[Effect] = (),
) -> None:
    """Pass messages, and all messages that they trigger, through the engine; first, perform the effects `before`.

    Replies come before the next message, or the engine would decide on stale order state. They also come, with all
    their effects, before the next order or amend is sent: they may stop it. Every effect is recorded before it is
    performed: no commit, no order. Where recording or performing fails, the engine still takes the replies that had
    arrived, so that it knows which orders are live, and nothing more is performed.
    """
    coming, replies, effects = deque(messages), deque[Message](), deque(before)
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
            f"One message triggered more than {MAX_CASCADE} others",
            hint="a strategy or a control triggers itself; please report this bug",
        )


def _act_unless_halted(effect: Effect, venue: VenueProtocol, store: RecorderProtocol) -> Iterable[Message]:
    """Perform an effect like `perform_effects`, unless another process has halted or changed trading.

    An order that is not sent for that reason is over, and an order that is not amended keeps its terms. Orders that the
    other process placed count from here on.
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
    """Record the effect, perform it, and return the replies, which the engine has not processed yet."""
    store.record(effect)
    return venue.perform(effect)
