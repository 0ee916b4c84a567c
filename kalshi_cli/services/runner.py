"""The one loop of every mode: feed -> engine -> store -> venue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from kalshi_cli.base.errors import HaltedError, KalshiError
from kalshi_cli.core.model.effects import AmendOrder, Effect, SubmitOrder
from kalshi_cli.core.model.messages import AccountVisibility, AmendEnded, ExternalOrders, Message, OrderRejected
from kalshi_cli.store.records import ConcurrentChangeError

MAX_CASCADE = 10_000
"""The most messages that one feed message may trigger; more means a loop that triggers itself."""


NOT_SENT = "not_sent"
"""The code of an order that was not sent, because it or something before it could not be saved or performed."""


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
    their effects, before the next order or amend is sent: they may stop it. An account that cannot be read is reported
    at once, because each cancel may wait for its timeout. Every effect is recorded before it is
    performed: no commit, no order. Where recording or performing fails, nothing more is performed, but the engine still
    takes the replies that had arrived, and learns what was not sent, so that it knows which orders are live.
    """
    coming, replies, effects = deque(messages), deque[Message](), deque(before)
    steps = 0
    try:
        while effects or replies or coming:
            if replies and isinstance(replies[-1], AccountVisibility):
                effects.extendleft(reversed(list(engine.step(replies.pop()))))
                continue
            if effects and not (replies and isinstance(effects[0], SubmitOrder | AmendOrder)):
                refusals = _record(effects[0], store)
                effect = effects.popleft()  # Until it is recorded, it counts as not sent.
                replies.extend(venue.perform(effect) if refusals is None else refusals)
                continue
            if steps == MAX_CASCADE:
                break
            steps += 1
            effects.extendleft(reversed(list(engine.step((replies or coming).popleft()))))
    except BaseException as error:
        _settle(engine, (*replies, *coming), effects, str(error) or type(error).__name__)
        raise
    if replies or coming:
        raise KalshiError(
            f"One message triggered more than {MAX_CASCADE} others",
            hint="a strategy or a control triggers itself; please report this bug",
        )


def _settle(engine: EngineProtocol, messages: Iterable[Message], unsent: Iterable[Effect], why: str) -> None:
    """Pass the last messages through the engine without performing anything.

    No order and no amend is sent any more, neither those in `unsent` nor those that a message triggers.
    """
    left, effects = deque(messages), deque(unsent)
    for _ in range(MAX_CASCADE):
        if effects:
            left.extend(_ended(effects.popleft(), NOT_SENT, why))
        elif left:
            effects.extend(engine.step(left.popleft()))
        else:
            break


def _record(effect: Effect, store: RecorderProtocol) -> Sequence[Message] | None:
    """Record an effect, or return what the engine must know if another process has halted or changed trading.

    Orders that the other process placed count from here on.
    """
    try:
        store.record(effect)
    except HaltedError as error:
        ended = _ended(effect, error.code.upper(), error.message)
        if not ended:
            raise
        beside = error.orders if isinstance(error, ConcurrentChangeError) else ()
        return ExternalOrders(ended[0].ts, beside), *ended
    return None


def _ended(effect: Effect, code: str, why: str) -> tuple[Message, ...]:
    """Return the end of an order or an amend that is not sent: the order is over, or keeps its terms."""
    if isinstance(effect, SubmitOrder):
        order = effect.order
        return (OrderRejected(order.created, order.client_order_id, code, why),)
    if isinstance(effect, AmendOrder):
        return (AmendEnded(effect.doubtful.updated, effect.before, code, why),)
    return ()


def perform_effects(effect: Effect, venue: VenueProtocol, store: RecorderProtocol) -> Iterable[Message]:
    """Record the effect, perform it, and return the replies, which the engine has not processed yet."""
    store.record(effect)
    return venue.perform(effect)
