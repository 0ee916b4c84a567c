"""The live feed: messages of the stream, ticks of the clock and commands of the user, in one order."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, InitVar, dataclass

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ExchangeError, UnreachableError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, Message
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live import dates, market_watch
from kalshi_cli.exchange.stream import frames, inbox, reader, sequencing

SUSPENDED_S = 30.0
"""After such a gap the process was stopped, the host slept, or one message took this long to handle."""

TURN, TURN_S = 1_000, 1.0
"""Maximum number and time of waiting messages between two ticks, so that slow reads do not starve the stream and slow
handling does not delay the ticks."""

MAX_LAG_MS = 10_000
"""A message about an order book of this age comes from a slow stream or a queue that is not emptied fast enough; all
waiting messages are as old. The known skew of the local clock is subtracted."""

CHECK_EVERY_S, MAX_CHECKED = 15.0, 100
"""Order books are verified by a read, one request for this many. Two reads find a book that no longer changes."""

MAX_OUTSIDE = 1_000
"""Messages from outside the exchange that may wait; more come faster than they can be handled."""

DISCOVER_EVERY_S = 60.0
MARKETS_EVERY_S = 30.0

POLLED_FOR_S = 5.0
"""Order books of one read are used for this long. A slower consumer, or a suspended one, reads again."""

GROUP_SILENCE_S = 0.005
"""Without a message for this long, no further delta with the time of the last one is expected."""

SLOW_STEP_S = 0.01
"""Changes that arrive while one message is handled for this long wait behind it: an order is sent, the account read."""

POLL_AFTER_S = 2.0
"""Without a stream for this long, read the books over REST meanwhile."""


@dataclass(eq=False, repr=False)
class LiveFeed:
    """The live feed. Iterate over it once; it ends after giving out a StateCommand without a state.

    `discover` returns tradable markets, some of them new; it is called once a minute, and new ones are followed.
    `charge` reads the fees of a market again when the stream announces a change. `quoted` returns markets with resting
    orders, whose books are verified first. A GroupEnd follows the deltas of one time, unless the last of them is known
    to be the last. WaitingChanges come after a slow step, before what arrived meanwhile.

    Raise the stream's own failure (CredentialsError: the key is rejected) when it has stopped for good. Without a
    stream, which needs a key, the books are polled.
    """

    stream: reader.Stream | None
    client: KalshiClient
    clock: Clock
    _: KW_ONLY
    markets: InitVar[Iterable[Market]]
    interval_s: float = 2.0
    suspended_s: float = SUSPENDED_S
    check_every_s: float = CHECK_EVERY_S
    discover: Callable[[], Iterable[messages.MarketChange]] = tuple
    charge: Callable[[Market], FeeSchedule] | None = None
    quoted: Callable[[], Iterable[str]] = tuple
    tell: Callable[[str], None] = lambda _text: None

    def __post_init__(self, markets: Iterable[Market]) -> None:
        self._tick_at = math.inf
        self._discover_at = self.clock.monotonic() + DISCOVER_EVERY_S
        self._charges_anew: set[str] = set()
        self._check_at = self.clock.monotonic() + self.check_every_s
        self._unchecked: deque[str] = deque()
        self._cannot_check = False
        self._ahead_ms = 0
        self._worst_lag_ms: int | None = None
        self._watch = market_watch.MarketWatch(self.client, self.clock, self.tell)
        self._watch.follow(markets)
        self._inbox: inbox.MessageQueue[sequencing.Said] = (
            self.stream.inbox if self.stream is not None else inbox.MessageQueue(0)
        )
        self._pending: deque[sequencing.Said] = deque()
        self._group: dict[str, Ts] = {}
        """Markets whose last delta may be followed by another with the same time, which is `_group_ts` on the wire."""
        self._group_ts = Ts(0)
        self._group_until = 0.0
        self._commands: deque[messages.StateCommand] = deque()
        self._outside: deque[Message] = deque(maxlen=MAX_OUTSIDE)
        self._down_since: float | None = None
        self._is_polling = False
        self._cannot_poll = False
        self._last_message_at: float | None = None
        self.lag_ms: int | None = None
        """Maximum age of order book messages between the last two ticks."""

    def request(self, command: messages.StateCommand) -> None:
        """Give out this command as the next message. Any thread or signal handler may call it."""
        self._commands.append(command)
        self._inbox.wake()

    def enqueue(self, message: Message) -> None:
        """Give out this message before later ones of the stream, from any thread; beyond the limit the oldest go."""
        self._outside.append(message)
        self._inbox.wake()

    def tick_at(self, at: float) -> None:
        """Give out a tick at this monotonic time too, before the interval is over: a run of a duration ends there."""
        self._tick_at = at

    def follow(self, markets: Iterable[Market]) -> None:
        """Follow these markets too."""
        markets = tuple(markets)
        self._watch.follow(markets)
        if self.stream is not None:
            self.stream.subscribe(market.ticker for market in markets)

    @property
    def last_message_age_s(self) -> float | None:
        """Return the seconds since the last message of the stream; None before the first."""
        at = self._last_message_at
        return None if at is None else self.clock.monotonic() - at

    def __iter__(self) -> Iterator[Message]:
        clock = self.clock
        seen, seen_wall = clock.monotonic(), clock.now()
        next_tick, owed, overdue = seen, 0, seen
        was_outside, was_idle = False, True
        while True:
            now, wall = clock.monotonic(), clock.now()
            # A paused virtual machine may not count the pause, so the wall clock is compared too; if it was set
            # instead, that costs a reconnect only.
            away_s = max(now - seen, (wall - seen_wall) / 1000)
            busy_s, was_idle = 0.0 if was_idle else now - seen, False
            seen, seen_wall = now, wall
            if away_s > self.suspended_s:
                yield self._distrust(f"nothing ran for {away_s:.0f} s")
            yield from self._waiting_after(busy_s)
            while self._commands:
                command = self._commands.popleft()
                yield command
                if command.state is None:
                    return
            if now >= next_tick and (owed <= 0 or not self._pending or now >= overdue):
                next_tick = self._next_tick(now)
                yield from self._on_interval()
                yield messages.Tick(clock.now())
                if not self._pending:
                    self._inbox.take(self._pending)
                owed = min(len(self._pending) + len(self._inbox), TURN)
                overdue = clock.monotonic() + TURN_S
            elif self._group and self._is_group_over(now):
                yield messages.GroupEnd(max(self._group.values()), tuple(self._group))
                self._group.clear()
            elif self._outside and not (was_outside and self._pending):  # alternate: neither starves the other
                was_outside = True
                yield self._outside.popleft()
            elif self._pending:
                was_outside = False
                owed -= 1
                message = self._next(now, wall)
                if message is not None:
                    yield message
            else:
                if self.stream is not None and self.stream.failure is not None and not len(self._inbox):
                    raise self.stream.failure
                until = min(next_tick, self._group_until) if self._group else next_tick
                wake_at = until if len(self._inbox) else min(until, self.client.sign_ahead())
                self._inbox.take(self._pending, max(0.001, wake_at - now))
                was_idle = True

    def _next_tick(self, now: float) -> float:
        """Return when the tick after one at `now` is due."""
        after = now + self.interval_s
        return self._tick_at if now < self._tick_at < after else after

    def _waiting_after(self, busy_s: float) -> Iterator[Message]:
        """Yield the number of changes that waited for a slow step; an order at an earlier book would come too late."""
        if busy_s < SLOW_STEP_S:
            return
        if self._inbox.has_room(len(self._pending), 0):  # both together keep to the limit of the queue
            self._inbox.take(self._pending)
        counts = Counter(said.ticker for said in self._pending if isinstance(said, BookDelta | BookSnapshot))
        if counts:
            yield messages.WaitingChanges(self._pending[0].ts, counts)

    def _next(self, now: float, wall: Ts) -> Message | None:
        """Return the next message of the stream; None if it is not for the engine."""
        said = self._pending.popleft()
        self._last_message_at = now
        if not self._pending:
            self._inbox.take(self._pending)
        ts = said.ts
        if ts > wall + dates.MAX_AHEAD_MS:
            said = dates.limit_future_times(said, wall, self.client.max_server_time(now))
        if isinstance(said, BookDelta | BookSnapshot):
            lag_ms = wall - self._ahead_ms - said.ts
            if self._worst_lag_ms is None or lag_ms > self._worst_lag_ms:
                self._worst_lag_ms = max(0, lag_ms)
                if lag_ms > MAX_LAG_MS:
                    return self._distrust(f"messages are {lag_ms / 1000:.0f} s late")
            return self._grouped(said, ts, now) if isinstance(said, BookDelta) else said
        if isinstance(said, frames.MarketLifecycleEvent):
            return self._live_on(said)
        if isinstance(said, messages.FeedState) and said.is_live:
            self._watch.mark(self._watch.tickers)  # changes during the outage were not announced
        return said

    def _grouped(self, delta: BookDelta, ts: Ts, now: float) -> BookDelta:
        """Mark a delta that another of the same time `ts` follows, or may follow."""
        following = self._pending[0] if self._pending else None
        if isinstance(following, BookDelta) and following.ts == ts and following.ticker == delta.ticker:
            return BookDelta(delta.ts, delta.ticker, delta.side, delta.price, delta.delta, has_more=True)
        if isinstance(following, BookDelta) and following.ts != ts:
            self._group.pop(delta.ticker, None)
            return delta
        self._group[delta.ticker] = delta.ts
        self._group_ts, self._group_until = ts, now + GROUP_SILENCE_S
        return BookDelta(delta.ts, delta.ticker, delta.side, delta.price, delta.delta, may_continue=True)

    def _is_group_over(self, now: float) -> bool:
        """Return whether the next delta has another time, or none came for long enough."""
        following = self._pending[0] if self._pending else None
        if isinstance(following, BookDelta):
            return following.ts != self._group_ts
        return now >= self._group_until

    def _live_on(self, said: frames.MarketLifecycleEvent) -> Message | None:
        """Mark the market for a new read; only an earlier close is applied at once."""
        self._watch.mark((said.ticker,))
        if said.kind == frames.FEES_CHANGED:
            self._charges_anew.add(said.event_ticker)
        return None if said.close_time is None else self._watch.refresh_soon(said.ticker, said.close_time)

    def _distrust(self, reason: str) -> messages.FeedGap:
        """Discard waiting messages and reconnect. Only connection states are kept."""
        self._inbox.take(self._pending)
        self._pending = deque(said for said in self._pending if isinstance(said, messages.FeedState))
        if self.stream is not None:
            self.stream.reconnect(reason)
        self._watch.mark(self._watch.tickers)
        return messages.FeedGap(self.clock.now(), (), reason)

    def _on_interval(self) -> Iterator[Message]:
        self.lag_ms, self._worst_lag_ms = self._worst_lag_ms, None
        self._ahead_ms = self.client.clock_skew_ms or 0
        before = self._watch.tickers
        yield from self._watch.changes()
        final = set(before) - set(self._watch.tickers)
        if final and self.stream is not None:
            self.stream.unsubscribe(final)
        yield from self._read_charges()
        yield from self._find_new()
        yield from self._poll()
        yield from self._check_books()

    def _read_charges(self) -> Iterator[Message]:
        """Read the changed fees of markets; after a failure, again at the next tick."""
        if self.charge is None or not self._charges_anew:
            return
        for market in self._watch.markets:
            if market.event_ticker not in self._charges_anew:
                continue
            try:
                yield messages.MarketChange(self.clock.now(), market, self.charge(market))
            except (ExchangeError, UnreachableError) as error:
                self.tell(f"The current fees of {market.event_ticker} could not be read: {error}")
                return
        self._charges_anew.clear()

    def _find_new(self) -> Iterator[Message]:
        """Follow new markets, because markets close and others open in their place."""
        if self.clock.monotonic() < self._discover_at:
            return
        self._discover_at = self.clock.monotonic() + DISCOVER_EVERY_S
        try:
            found = [change for change in self.discover() if change.market.ticker not in self._watch.tickers]
        except (ExchangeError, UnreachableError) as error:
            self.tell(f"New markets could not be looked up: {error}")
            return
        if found:
            self.follow(change.market for change in found)
            yield from found

    def _check_books(self) -> Iterator[Message]:
        """Verify order books by a read: those with own orders always, the others in turn."""
        now = self.clock.monotonic()
        if self.stream is None or not self.stream.is_live or now < self._check_at:
            return
        self._check_at = now + self.check_every_s
        tickers = self._to_check()
        if not tickers:
            return
        try:
            books = self.client.orderbooks(tickers)
        except (ExchangeError, UnreachableError) as error:
            if not self._cannot_check:
                self.tell(f"Order books could not be verified by REST: {error}")
            self._cannot_check = True
            return
        self._cannot_check = False
        for book in books:
            yield messages.BookVerification(book.ts, book.ticker, book.bids, book.asks)

    def _to_check(self) -> list[str]:
        is_open = {market.ticker for market in self._watch.markets if market.status is MarketStatus.ACTIVE}
        found = dict.fromkeys(ticker for ticker in self.quoted() if ticker in is_open)
        if not self._unchecked:
            self._unchecked.extend(is_open)
        while self._unchecked and len(found) < MAX_CHECKED:
            ticker = self._unchecked.popleft()
            if ticker in is_open:
                found[ticker] = None
        return list(found)[:MAX_CHECKED]

    def _poll(self) -> Iterator[Message]:
        """Read books over REST without a stream; never beside one, whose changes belong to its own snapshots."""
        now = self.clock.monotonic()
        if self.stream is not None:
            if self.stream.is_connected:
                if self._is_polling:
                    self.tell("The stream is connected again")
                self._down_since, self._is_polling = None, False
                return
            self._down_since = now if self._down_since is None else self._down_since
            if now - self._down_since < POLL_AFTER_S or self._pending or len(self._inbox):
                return  # messages from before the cut would be applied to the books read now
        if not self._is_polling:
            self._is_polling = True
            reason = "no stream: order books are polled over REST"
            self.tell(reason)
            yield messages.FeedState(self.clock.now(), False, reason)
        try:
            books = self.client.orderbooks(self._watch.tickers)
        except (ExchangeError, UnreachableError) as error:
            if not self._cannot_poll:
                self.tell(f"Order books could not be read: {error}")
            self._cannot_poll = True
            return
        self._cannot_poll = False
        # Without a stream nothing announces a pause or a moved close.
        self._watch.mark(self._watch.tickers, MARKETS_EVERY_S)
        read, read_wall = self.clock.monotonic(), self.clock.now()
        for book in books:
            age_s = max(self.clock.monotonic() - read, (self.clock.now() - read_wall) / 1000)
            if age_s > POLLED_FOR_S or (self.stream is not None and self.stream.is_connected):
                return
            yield book
