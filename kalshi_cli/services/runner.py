"""The one loop of every mode: feed -> engine -> store -> venue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

from kalshi_cli.base.errors import HaltedError, KalshiError
from kalshi_cli.core.model.effects import AmendOrder, Effect, SubmitOrder
from kalshi_cli.core.model.messages import AccountVisibility, AmendEnded, ExternalOrders, Message, OrderRejected
from kalshi_cli.store.records import STATE_MOVED, ConcurrentChangeError

MAX_CASCADE = 10_000
"""The most messages that one feed message may trigger; more means a loop that triggers itself."""


MAX_REVIEWS = 3
"""The most reviews of the orders of one message, where other programs of the account keep placing orders."""

NOT_SENT = "not_sent"
"""The code of an order that was not sent, because it or something before it could not be saved or performed."""


class EngineProtocol(Protocol):
    """The pure core: it returns the effects of each message."""

    def step(self, message: Message) -> Iterable[Effect]:
        """Return the effects of a message."""


class VenueProtocol(Protocol):
    """The destination of effects and the source of their replies."""

    def observe(self, message: Message) -> Iterable[Message]:
        """Return the messages that became due with this one: replies, fills, results of look-ups."""

    def perform(self, effect: Effect) -> Iterable[Message]:
        """Perform an effect once and return the replies."""


class RecorderProtocol(Protocol):
    """The part of the store that the loop needs."""

    def record(self, effect: Effect) -> None:
        """Save an effect before it is performed."""


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
    Where another program placed an order in between, all orders that still wait are reviewed again.
    """
    coming, replies, effects = deque(messages), deque[Message](), deque(before)
    steps, reviews = 0, 1
    try:
        while effects or replies or coming:
            if replies and isinstance(replies[-1], AccountVisibility):
                effects.extendleft(reversed(list(engine.step(replies.pop()))))
                continue
            if effects and not (replies and isinstance(effects[0], SubmitOrder | AmendOrder)):
                try:
                    store.record(effects[0])
                except HaltedError as error:
                    refusals, effects = _refused(effects, error, may_review=reviews < MAX_REVIEWS)
                    reviews += 1
                    replies.extend(refusals)
                    continue
                effect = effects.popleft()  # Until it is recorded, it counts as not sent.
                replies.extend(venue.perform(effect))
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
            effect = effects.popleft()
            if isinstance(effect, SubmitOrder | AmendOrder):
                left.append(_ended(effect, NOT_SENT, why))
        elif left:
            effects.extend(engine.step(left.popleft()))
        else:
            break


def _refused(effects: deque[Effect], error: HaltedError, *, may_review: bool) -> tuple[list[Message], deque[Effect]]:
    """Return what the engine must know if another process has halted or changed trading, and the effects left.

    Orders that the other process placed count from here on. No order that waits was reviewed with them: each is
    reviewed again if it `may_review`, and an amend ends. Raises the error if it does not concern an order.
    """
    first = effects[0]
    if not isinstance(first, SubmitOrder | AmendOrder):
        raise error
    is_moved = isinstance(error, ConcurrentChangeError) and error.code == STATE_MOVED
    unsent: list[SubmitOrder | AmendOrder] = [first]
    left = deque[Effect]()
    for each in islice(effects, 1, None):
        if is_moved and isinstance(each, SubmitOrder | AmendOrder):
            unsent.append(each)
        else:
            left.append(each)
    again = tuple(each for each in unsent if isinstance(each, SubmitOrder)) if is_moved and may_review else ()
    ended = [_ended(each, error.code.upper(), error.message) for each in unsent]
    beside = error.orders if isinstance(error, ConcurrentChangeError) else ()
    kept = [end for end in ended if not (again and isinstance(end, OrderRejected))]
    return [ExternalOrders(ended[0].ts, beside, again), *kept], left


def _ended(unsent: SubmitOrder | AmendOrder, code: str, why: str) -> Message:
    """Return the end of an order or an amend that is not sent: the order is over, or keeps its terms."""
    if isinstance(unsent, SubmitOrder):
        order = unsent.order
        return OrderRejected(order.created, order.client_order_id, code, why)
    return AmendEnded(unsent.doubtful.updated, unsent.before, code, why)


def perform_effects(effect: Effect, venue: VenueProtocol, store: RecorderProtocol) -> Iterable[Message]:
    """Record the effect, perform it, and return the replies, which the engine has not processed yet."""
    store.record(effect)
    return venue.perform(effect)
