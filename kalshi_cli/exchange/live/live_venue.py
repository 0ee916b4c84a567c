"""The live venue: effects become REST calls, their outcome messages; and the account is read again, now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass
from functools import partial
from typing import TYPE_CHECKING

from kalshi_cli.base import errors
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Qty, Ts, format_ts
from kalshi_cli.core.account.order_index import ID_TAKEN
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.effects import AmendOrder, CancelOrder, CloseOrder, Effect, ResyncBook, SubmitOrder
from kalshi_cli.core.model.exchange import ExchangeStatus, TradingState
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.account_snapshot import OVERLAP_MS, account_snapshot, marks_update
from kalshi_cli.exchange.live.dates import limit_future_times

if TYPE_CHECKING:
    from kalshi_cli.exchange.stream.reader import Stream

EVERY_S = 8.0
"""How often the account is read while all is well: what no message told is found within ten seconds, ticks included."""

SOON_S = 1.0
"""... and while an order or a cancel is in doubt: at the next tick."""

REFUSALS = 3
"""Refusals of the key in a row, by any call, after which it is believed."""

MAX_PAUSE_S = 30.0
"""... and, at most, after reads that failed: each of them holds up the loop."""

MAX_PAUSE_IN_DOUBT_S = 5.0
"""... and while an order is in doubt: what became of it is known soon after the exchange answers again."""

GET_WITHIN_S = 3.0
"""How long a loop waits for one answer, of whatever it reads: cancels and its own interval wait as long."""

READ_WITHIN_S = 10.0
"""How long a loop waits for one read of the account, all its requests together."""

UNREADABLE_AFTER_S = 15.0
"""The account could not be read for about so long: somebody is told, well within half a minute."""

STALE_SNAPSHOT_MS = 30_000
"""Reads of the account that are no newer than this tell nothing of it; five seconds behind is common."""

SKEW_TOLD_MS, SKEW_REFUSED_MS = 1_250, 5_000
"""How far our clock may be off: the first, a second and what the dates of replies leave open, is told; beyond the
second nothing is signed or dated rightly, and the run ends."""

ELSEWHERE_EVERY_S = 30.0
"""How often is read what the positions are worth in markets that are not traded."""

_SET_CLOCK = "set the clock: sudo timedatectl set-ntp true"

_IN_DOUBT = frozenset({OrderStatus.UNKNOWN, OrderStatus.SUBMITTED})


@dataclass(eq=False, repr=False)
class LiveVenue:
    """Performs effects at the exchange.

    `live` gives the orders that the engine believes to be live, `known` the one with an id of the exchange; `since` is
    the time up to which fills and settlements are booked already. `elsewhere` names the markets that are held and not
    traded. `tell` hears, in plain words, why the account cannot be read.
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
        self._failing_since: float | None = None
        self._is_blind = False
        self._status: ExchangeStatus | None = None
        self._status_due_at = self.clock.monotonic()
        self._value_due_at = self.clock.monotonic()
        self._skewed = 0

    # -- effects ----------------------------------------------------------------------------------------------------

    def perform(self, effect: Effect) -> Iterable[Message]:
        """Do it, once. Refusals and doubts are messages, not errors."""
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
            return [messages.OrderUnknown(self.clock.now(), name, reason)]
        except errors.KalshiError as error:
            # Everything else in the tree says for certain that nothing is live.
            self._note_refusal(error, is_write=True)
            return [messages.OrderRejected(self.clock.now(), name, _code(error), error.message)]
        return self._with_fills(accepted, order.ticker)

    def submit_batch(self, submits: Sequence[SubmitOrder]) -> list[Message]:
        """Send these in one request, once; what became of each. Never more than the client's `largest_batch()`.

        One that was reviewed while trading was active holds back all of them once only what reduces is taken.
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
        """A 404 is no proof: the order may have filled on its new terms, or not be visible yet."""
        try:
            ended = self.client.amend_order(effect.before, effect.wanted, effect.reviewed)
        except (errors.OutcomeUnknownError, errors.NotFoundError):
            self._hurry()
            return []
        except errors.KalshiError as error:
            self._note_refusal(error, is_write=True)
            return [messages.AmendEnded(self.clock.now(), effect.before, _code(error), error.message)]
        filled = Qty(ended.order.filled - effect.before.filled)
        if not filled:
            return [ended]
        return [ended, *self._fills_of(ended.order.order_id, ended.order.ticker, ended.ts, filled)]

    def _fills_of(self, order_id: str, ticker: str, ts: Ts, filled: Qty) -> list[Message]:
        """What an order did at once, where no stream tells. Reads trail: what is not there yet comes with the next."""
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
                self._hurry()  # the rest of it traded before: the order itself will say how much
            return [canceled]
        except errors.KalshiError as error:
            self._note_refusal(error, is_write=True)
            self._hurry()
            return [messages.CancelFailed(self.clock.now(), order.order_id, order.client_order_id, _code(error))]

    def _resync(self, ticker: str) -> list[Message]:
        if self.stream is not None:
            self.stream.resync(ticker)  # while it is down, its next connection brings the snapshot, or polling does
            return []
        try:
            return [self.client.orderbook(ticker)]
        except (errors.ExchangeError, errors.UnreachableError):
            return []  # polling goes on

    # -- the account ------------------------------------------------------------------------------------------------

    def observe(self, message: Message) -> Iterable[Message]:
        """The account as it is now, when a read of it is due: at first, after each reconnect, and at intervals.

        Raises CredentialsError where the key is refused again and again, for reads or for writes, and where our clock
        is so far off that it will be: nothing can be sent, and nothing cancelled.
        """
        if self._refusal is not None and max(self._refusals, self._refused_writes) >= REFUSALS:
            raise self._refusal
        is_back = isinstance(message, messages.FeedState) and message.is_live
        if is_back or (isinstance(message, messages.FeedGap) and not message.tickers):
            self._due_at = self.clock.monotonic()  # the private channels do not repeat what was missed
        elif not isinstance(message, messages.Tick):
            self._note(message)
            return ()
        if self.clock.monotonic() < self._due_at:
            return ()
        read = self._read(is_back=not isinstance(message, messages.Tick))
        return [*read, *self._look_at_exchange(), *self._look_elsewhere()]

    def _note(self, message: Message) -> None:
        """What takes orders of ours away without asking: a group that trips, a market that trades again."""
        if isinstance(message, messages.GroupChange) and message.change == "triggered":
            self._hurry()
        if isinstance(message, messages.MarketChange):
            ticker, status = message.market.ticker, message.market.status
            if status is MarketStatus.INACTIVE:
                self._inactive.add(ticker)
            elif ticker in self._inactive:
                self._inactive.discard(ticker)
                self._hurry()

    def _read(self, *, is_back: bool) -> list[Message]:
        """A whole read or none; `is_back` after a reconnect, when nobody may decide without one."""
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
            self.tell("the account can be read again")
        self._failures = self._refusals = 0
        self._since = max(self._since, Ts(min(snapshot.as_of, snapshot.ts) - OVERLAP_MS))
        self._due_at = self.clock.monotonic() + (SOON_S if self._is_in_doubt else self.every_s)
        self._check_clock()
        self._failing_since = None
        return [*self._sight(snapshot), snapshot]

    def _sight(self, snapshot: messages.AccountSnapshot) -> list[Message]:
        """What it shows is the account as it was up to `as_of`: one that stands still is no sight of it."""
        was_blind = self._is_blind
        self._is_blind = snapshot.ts - (self.client.clock_skew_ms or 0) - snapshot.as_of > STALE_SNAPSHOT_MS
        if not self._is_blind:
            self._sighted = snapshot.ts
            return [messages.AccountVisibility(snapshot.ts, None)] if was_blind else []
        reason = f"reads of the account stand still at {format_ts(snapshot.as_of)}"
        return [] if was_blind else [messages.AccountVisibility(snapshot.ts, self._sighted, reason)]

    @property
    def _is_in_doubt(self) -> bool:
        return any(order.status in _IN_DOUBT for order in self.live())

    def _unread(self, error: errors.ExchangeError | errors.UnreachableError, *, is_back: bool) -> list[Message]:
        """It is not known how the account is. Whatever was live counts as live, for however long this lasts."""
        now, at = self.clock.now(), self.clock.monotonic()
        self._note_refusal(error)
        if not self._failures:
            self.tell(f"the account could not be read: {error}")
        self._failing_since = at if self._failing_since is None else self._failing_since
        self._failures += 1
        heard: list[Message] = [messages.AccountStale(now, error.message)] if is_back else []
        if isinstance(error, errors.NoAnswerError):  # not our network, our pace or our key
            heard.append(messages.ReadFailed(now, error.message))
        if not self._is_blind and at - self._failing_since >= UNREADABLE_AFTER_S - SOON_S:
            self._is_blind = True
            heard.append(messages.AccountVisibility(now, self._sighted, error.message))
        longest = MAX_PAUSE_IN_DOUBT_S if self._is_in_doubt else MAX_PAUSE_S
        self._due_at = at + min(longest, SOON_S * 2 ** min(self._failures, 10))
        return heard

    def _look_at_exchange(self) -> list[Message]:
        """Whether it is paused, where that is news; what cannot be read now is read next time."""
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
        """What is held and not traded, as it is worth now; what cannot be read now is read next time."""
        if self.clock.monotonic() < self._value_due_at:
            return []
        try:
            found = marks_update(self.client, self.clock, self.elsewhere())
        except (errors.ExchangeError, errors.UnreachableError):
            return []
        self._value_due_at = self.clock.monotonic() + (ELSEWHERE_EVERY_S if found else 0.0)
        return found

    def _check_clock(self) -> None:
        """Told from a second on, once; two measures in a row beyond five end the run: one can be a slow reply."""
        skew = self.client.clock_skew_ms or 0
        way = "ahead of" if skew > 0 else "behind"
        text = f"your clock is {abs(skew) / 1000:.1f} s {way} the exchange"
        if abs(skew) <= SKEW_TOLD_MS:
            self._skewed = 0
            return
        if not self._skewed:
            self.tell(f"warning: {text}; orders expire by the exchange's clock. {_SET_CLOCK}")
        self._skewed += 1
        if self._skewed > 1 and abs(skew) > SKEW_REFUSED_MS:
            raise errors.CredentialsError(f"not fit to trade: {text}", hint=_SET_CLOCK, code="CLOCK")

    def _note_refusal(self, error: errors.KalshiError, *, is_write: bool = False) -> None:
        """One 401 can be a clock that was just set, or a gateway; several in a row are the key.

        Reads and writes are counted apart: a key that may only read is refused all writes, between reads that succeed.
        """
        if not isinstance(error, errors.CredentialsError):
            return
        if is_write:
            self._refused_writes += 1
        else:
            self._refusals += 1
        self._refusal = errors.CredentialsError(
            f"{error.message}; resting orders cannot be canceled with this key",
            hint=f"cancel on the web site (Portfolio, Orders) what must not rest. {error.hint}",
            code=error.code,
        )

    def _hurry(self) -> None:
        """Something is in doubt: read again soon, unless reading itself fails."""
        if not self._failures:
            self._due_at = min(self._due_at, self.clock.monotonic() + SOON_S)


def _reviewed(submits: Sequence[SubmitOrder]) -> TradingState:
    """The strictest state in which all of these may still leave, short of a halt."""
    may_add = any(each.reviewed is TradingState.ACTIVE and not each.order.reduce_only for each in submits)
    return TradingState.ACTIVE if may_add else TradingState.REDUCING


def _code(error: errors.KalshiError) -> str:
    """`credentials` whatever the key's trouble is, because it will not pass and somebody must be told."""
    return "credentials" if isinstance(error, errors.CredentialsError) else error.code
