"""The live venue: turns effects into REST calls, their outcomes into messages, and reads the account at intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass
from functools import partial
from typing import TYPE_CHECKING

from kalshi_cli.base import errors
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Qty, Ts, format_ts
from kalshi_cli.core.account.order_index import ID_TAKEN
from kalshi_cli.core.model import markets, messages
from kalshi_cli.core.model.effects import AmendOrder, CancelOrder, CloseOrder, Effect, ResyncBook, SubmitOrder
from kalshi_cli.core.model.exchange import ExchangeStatus, TradingState
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.account_snapshot import OVERLAP_MS, account_snapshot, marks_update
from kalshi_cli.exchange.live.dates import limit_future_times
from kalshi_cli.exchange.wire.replies import SET_CLOCK

if TYPE_CHECKING:
    from kalshi_cli.exchange.stream.reader import Stream

EVERY_S = 8.0
"""Interval of account reads in normal operation: an unannounced change is found within ten seconds, ticks included."""

SOON_S = 1.0
"""The same while an order or a cancel is unconfirmed: at the next tick."""

REFUSALS = 3
"""Rejections of the key in a row, by any call, after which they are accepted as final."""

MAX_PAUSE_S = 30.0
"""Maximum interval after failed reads, each of which holds up the loop."""

MAX_PAUSE_IN_DOUBT_S = 5.0
"""The same while an order is unconfirmed, so that its outcome is known soon after the exchange responds again."""

GET_WITHIN_S = 3.0
"""Time for one response: cancels and the loop's own interval wait as long."""

READ_WITHIN_S = 10.0
"""Time for one read of the account with all its requests."""

UNREADABLE_AFTER_S = 20.0
"""An account that was last read this long ago is reported at the next call without a response: within half a minute,
also where each call waits for its timeout. In normal operation it is read every eight seconds."""

STALE_SNAPSHOT_MS = 30_000
"""Account reads that are older than this count as unreadable; a lag of five seconds is common."""

SKEW_TOLD_MS, SKEW_REFUSED_MS = 1_250, 5_000
"""Limits of the clock skew: beyond the first (a second, and the tolerance of response dates) it is reported; beyond the
second no signature or date is right, and the run ends."""

ELSEWHERE_EVERY_S = 30.0
"""Interval for reading the prices of positions in markets that are not traded."""

_IN_DOUBT = frozenset({OrderStatus.UNKNOWN, OrderStatus.SUBMITTED})


@dataclass(eq=False, repr=False)
class LiveVenue:
    """Performs effects at the exchange.

    `live` returns the orders that the engine considers live, `known` the order with an exchange id; fills and
    settlements up to `since` are booked already. `elsewhere` names markets with positions that are not traded. `tell`
    receives the reason when the account cannot be read.
    """

    client: KalshiClient
    stream: Stream | None
    clock: Clock
    _: KW_ONLY
    live: Callable[[], Iterable[Order]]
    since: InitVar[Ts]
    known: Callable[[str], Order | None] | None = None
    elsewhere: Callable[[], Sequence[str]] = tuple
    every_s: float = EVERY_S
    tell: Callable[[str], None] = lambda _text: None

    def __post_init__(self, since: Ts) -> None:
        self._since = Ts(max(0, since - OVERLAP_MS))
        self._due_at = self.clock.monotonic()
        self._failures = 0
        self._refusal: errors.CredentialsError | None = None
        self._refusals = 0
        self._refused_writes = 0
        self._inactive: set[str] = set()
        self._sighted = self.clock.now()
        self._read_at = self.clock.monotonic()
        self._is_blind = False
        self._status: ExchangeStatus | None = None
        self._status_due_at = self.clock.monotonic()
        self._value_due_at = self.clock.monotonic()
        self._skewed = 0

    # -- effects ----------------------------------------------------------------------------------------------------

    def perform(self, effect: Effect) -> Iterable[Message]:
        """Perform an effect once. Rejections and unknown outcomes are messages, not errors."""
        return [self._no_later(reply) for reply in self._perform(effect)]

    def _no_later(self, reply: Message) -> Message:
        return limit_future_times(reply, self.clock.now(), self.client.max_server_time(self.clock.monotonic()))

    def _perform(self, effect: Effect) -> Iterable[Message]:
        if isinstance(effect, SubmitOrder):
            return self._submit(effect.order, partial(self.client.create_order, reviewed=_reviewed([effect])))
        if isinstance(effect, CloseOrder):
            return self._submit(effect.order, self.client.close_order)
        if isinstance(effect, CancelOrder):
            return self._cancel(effect.order)
        if isinstance(effect, AmendOrder):
            return self._amend(effect)
        if isinstance(effect, ResyncBook):
            return self._resync(effect.ticker)
        return ()

    def _submit(self, order: Order, create: Callable[[Order], messages.OrderAccepted]) -> list[Message]:
        name = order.client_order_id
        try:
            accepted = create(order)
            self._refused_writes = 0
        except errors.OutcomeUnknownError as error:
            self._hurry()
            reason = f"{ID_TAKEN}: {error.message}" if error.code == ID_TAKEN else error.message
            return [messages.OrderUnknown(self.clock.now(), name, reason), *self._unanswered(error)]
        except errors.KalshiError as error:
            # Every other error means that nothing is live.
            self._note_refusal(error, is_write=True)
            rejected = messages.OrderRejected(self.clock.now(), name, _code(error), error.message)
            return [rejected, *self._unanswered(error)]
        return self._with_fills(accepted, order.ticker)

    def submit_batch(self, submits: Sequence[SubmitOrder]) -> list[Message]:
        """Send these orders in one request, once; return the outcome of each. At most the client's `largest_batch()`.

        An order reviewed in the ACTIVE state holds back all of them when trading is reduce-only.
        """
        replies: list[Message] = []
        orders = [submit.order for submit in submits]
        for order, placed in zip(orders, self.client.create_orders(orders, _reviewed(submits)), strict=True):
            if isinstance(placed, messages.OrderUnknown):
                self._hurry()
            replies += (
                self._with_fills(placed, order.ticker) if isinstance(placed, messages.OrderAccepted) else [placed]
            )
        return [self._no_later(reply) for reply in replies]

    def _with_fills(self, accepted: messages.OrderAccepted, ticker: str) -> list[Message]:
        replies: list[Message] = [accepted]
        if accepted.filled and not (self.stream is not None and self.stream.is_live):
            replies += self._fills_of(accepted.order_id, ticker, accepted.ts, accepted.filled)
        return replies

    def _amend(self, effect: AmendOrder) -> list[Message]:
        """Amend an order. A 404 proves nothing: the order may have filled on its new terms, or not be visible yet."""
        try:
            ended = self.client.amend_order(effect.before, effect.wanted, effect.reviewed)
        except (errors.OutcomeUnknownError, errors.NotFoundError) as error:
            self._hurry()
            return self._unanswered(error)
        except errors.KalshiError as error:
            self._note_refusal(error, is_write=True)
            return [messages.AmendEnded(self.clock.now(), effect.before, _code(error), error.message)]
        filled = Qty(ended.order.filled - effect.before.filled)
        if not filled:
            return [ended]
        return [ended, *self._fills_of(ended.order.order_id, ended.order.ticker, ended.ts, filled)]

    def _fills_of(self, order_id: str, ticker: str, ts: Ts, filled: Qty) -> list[Message]:
        """Return the immediate fills of an order without a stream. Reads lag; later fills come with the next read."""
        try:
            fills = [
                fill for fill in self.client.fills(ticker, min_ts=Ts(ts - OVERLAP_MS)) if fill.order_id == order_id
            ]
        except (errors.ExchangeError, errors.UnreachableError):
            fills = []
        if sum(fill.qty for fill in fills) < filled:
            self._hurry()
        return [messages.Filled(fill.ts, fill) for fill in fills]

    def _cancel(self, order: Order) -> list[Message]:
        try:
            canceled = self.client.cancel_order(order)
            self._refused_writes = 0
            if canceled.reduced is not None and canceled.reduced < order.remaining:
                self._hurry()  # the rest traded before; a read of the order shows how much
            return [canceled]
        except errors.KalshiError as error:
            self._note_refusal(error, is_write=True)
            self._hurry()
            failed = messages.CancelFailed(self.clock.now(), order.order_id, order.client_order_id, _code(error))
            return [failed, *self._unanswered(error)]

    def _resync(self, ticker: str) -> list[Message]:
        if self.stream is not None:
            self.stream.resync(ticker)  # without a connection, the next one or polling brings the snapshot
            return []
        try:
            return [self.client.orderbook(ticker)]
        except (errors.ExchangeError, errors.UnreachableError):
            return []  # polling continues

    # -- the account ------------------------------------------------------------------------------------------------

    def observe(self, message: Message) -> Iterable[Message]:
        """Return the account when a read of it is due: at first, after each reconnect, and at intervals.

        Raise CredentialsError if the key is rejected repeatedly, for reads or for writes, and if the local clock is so
        far off that it will be: then nothing can be sent or canceled.
        """
        if self._refusal is not None and max(self._refusals, self._refused_writes) >= REFUSALS:
            raise self._refusal
        is_back = isinstance(message, messages.FeedState) and message.is_live
        if is_back or (isinstance(message, messages.FeedGap) and not message.tickers):
            self._due_at = self.clock.monotonic()  # the private channels do not repeat missed messages
        elif not isinstance(message, messages.Tick):
            self._note(message)
            return ()
        if self.clock.monotonic() < self._due_at:
            return ()
        read = self._read(is_back=not isinstance(message, messages.Tick))
        return [*read, *self._look_at_exchange(), *self._look_elsewhere()]

    def _note(self, message: Message) -> None:
        """Handle events that cancel own orders: a triggered group, or a market that resumed trading."""
        if isinstance(message, messages.GroupChange) and message.change == "triggered":
            self._hurry()
        if isinstance(message, messages.MarketChange):
            ticker, status = message.market.ticker, message.market.status
            if status is markets.MarketStatus.INACTIVE:
                self._inactive.add(ticker)
            elif ticker in self._inactive:
                self._inactive.discard(ticker)
                self._hurry()

    def _read(self, *, is_back: bool) -> list[Message]:
        """Read the whole account or nothing; `is_back` after a reconnect, when no decision may precede a read."""
        self.client.limit_reads(GET_WITHIN_S)
        try:
            snapshot = account_snapshot(
                self.client,
                self.clock,
                since=self._since,
                live=self.live(),
                known=self.known,
                within_s=READ_WITHIN_S,
            )
        except (errors.ExchangeError, errors.UnreachableError) as error:
            return self._unread(error, is_back=is_back)
        if self._failures:
            self.tell("The account can be read again")
        self._failures = self._refusals = 0
        self._since = max(self._since, Ts(min(snapshot.as_of, snapshot.ts) - OVERLAP_MS))
        self._due_at = self.clock.monotonic() + (SOON_S if self._is_in_doubt else self.every_s)
        self._read_at = self.clock.monotonic()
        self._check_clock()
        return [*self._sight(snapshot), snapshot]

    def _sight(self, snapshot: messages.AccountSnapshot) -> list[Message]:
        """Return visibility changes. A snapshot shows the account up to `as_of`; one that is too old shows nothing."""
        was_blind = self._is_blind
        self._is_blind = snapshot.ts - (self.client.clock_skew_ms or 0) - snapshot.as_of > STALE_SNAPSHOT_MS
        if not self._is_blind:
            self._sighted = snapshot.ts
            return [messages.AccountVisibility(snapshot.ts, None)] if was_blind else []
        reason = f"account reads are stuck at {format_ts(snapshot.as_of)}"
        return [] if was_blind else [messages.AccountVisibility(snapshot.ts, self._sighted, reason)]

    @property
    def _is_in_doubt(self) -> bool:
        return any(order.status in _IN_DOUBT for order in self.live())

    def _unread(self, error: errors.ExchangeError | errors.UnreachableError, *, is_back: bool) -> list[Message]:
        """Handle a failed read: the state of the account is unknown, and live orders keep counting as live."""
        now, at = self.clock.now(), self.clock.monotonic()
        self._note_refusal(error)
        if not self._failures:
            self.tell(f"The account could not be read: {error}")
        self._failures += 1
        heard: list[Message] = [messages.AccountStale(now, error.message)] if is_back else []
        if isinstance(error, errors.NoAnswerError):  # not the network, the rate limit or the key
            heard.append(messages.ReadFailed(now, error.message))
        heard += self._out_of_sight(error.message)
        longest = MAX_PAUSE_IN_DOUBT_S if self._is_in_doubt else MAX_PAUSE_S
        self._due_at = at + min(longest, SOON_S * 2 ** min(self._failures, 10))
        if not self._is_blind:  # a read then decides, however long the pause would be
            self._due_at = min(self._due_at, self._read_at + UNREADABLE_AFTER_S)
        return heard

    def _unanswered(self, error: errors.KalshiError) -> list[Message]:
        """Report an account that was not read for too long after a write without a response, as after a failed read.

        Each write waits for its timeout, and a loop that cancels several orders reads nothing meanwhile.
        """
        is_silent = isinstance(error, errors.OutcomeUnknownError | errors.UnreachableError)
        return self._out_of_sight(error.message) if is_silent else []

    def _out_of_sight(self, reason: str) -> list[Message]:
        """Report once that the account was not read for UNREADABLE_AFTER_S; `reason` is the last failure."""
        if self._is_blind or self.clock.monotonic() - self._read_at < UNREADABLE_AFTER_S:
            return []
        self._is_blind = True
        return [messages.AccountVisibility(self.clock.now(), self._sighted, reason)]

    def _look_at_exchange(self) -> list[Message]:
        """Return a change of the exchange's status; after a failed read, it is read next time."""
        if self.clock.monotonic() < self._status_due_at:
            return []
        self._status_due_at = self.clock.monotonic() + self.every_s
        try:
            status = self.client.exchange_status()
            paused = not (status.exchange_active and status.trading_active)
            windows = self.client.schedule().maintenance if paused and status != self._status else ()
        except (errors.ExchangeError, errors.UnreachableError):
            return []
        if status == self._status:
            return []
        self._status = status
        now = self.clock.now()
        return [messages.ExchangeChange(now, status, is_announced=any(start <= now < end for start, end in windows))]

    def _look_elsewhere(self) -> list[Message]:
        """Return prices of positions in markets that are not traded; after a failed read, they are read next time."""
        if self.clock.monotonic() < self._value_due_at:
            return []
        try:
            found = marks_update(self.client, self.clock, self.elsewhere(), self.live())
        except (errors.ExchangeError, errors.UnreachableError):
            return []
        self._value_due_at = self.clock.monotonic() + (ELSEWHERE_EVERY_S if found else 0.0)
        return found

    def _check_clock(self) -> None:
        """Report a clock skew once; two measurements in a row beyond the limit end the run.

        One measurement alone can be a slow response.
        """
        skew = self.client.clock_skew_ms or 0
        way = "ahead of" if skew > 0 else "behind"
        text = f"your clock is {abs(skew) / 1000:.1f} s {way} the exchange's"
        if abs(skew) <= SKEW_TOLD_MS:
            self._skewed = 0
            return
        if not self._skewed:
            self.tell(f"Warning: {text}, and orders expire by the exchange's clock. {SET_CLOCK}")
        self._skewed += 1
        if self._skewed > 1 and abs(skew) > SKEW_REFUSED_MS:
            raise errors.CredentialsError(f"Not ready to trade: {text}", hint=SET_CLOCK, code="CLOCK")

    def _note_refusal(self, error: errors.KalshiError, *, is_write: bool = False) -> None:
        """Count rejections of the key: one 401 can be a clock that was just set or a gateway, several are the key.

        Reads and writes are counted separately: a read-only key is rejected for all writes, between reads that succeed.
        """
        if not isinstance(error, errors.CredentialsError):
            return
        if is_write:
            self._refused_writes += 1
        else:
            self._refusals += 1
        why, hint = "with this key", f"cancel unwanted orders on the web site (Portfolio, Orders); {error.hint}"
        if error.is_clock:
            why, hint = "until the clock is set", error.hint
        self._refusal = errors.CredentialsError(
            f"{error.message}; resting orders cannot be canceled {why}", hint=hint, code=error.code
        )

    def _hurry(self) -> None:
        """Read again soon, because an outcome is unknown, unless reading itself fails."""
        if not self._failures:
            self._due_at = min(self._due_at, self.clock.monotonic() + SOON_S)


def _reviewed(submits: Sequence[SubmitOrder]) -> TradingState:
    """Return the strictest state, short of a halt, in which all of these may still be sent."""
    may_add = any(each.reviewed is TradingState.ACTIVE and not each.order.reduce_only for each in submits)
    return TradingState.ACTIVE if may_add else TradingState.REDUCING


def _code(error: errors.KalshiError) -> str:
    """Return `credentials` for any error of the key, because it will not pass and must be reported."""
    return "credentials" if isinstance(error, errors.CredentialsError) else error.code
