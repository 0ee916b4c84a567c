"""The live feed: what the stream says, what the clock says, and what a person says, in one order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from kalshi_cli.clock import Clock
from kalshi_cli.core.messages import BookDelta, Command, FeedGap, FeedState, MarketChange, Message, Tick
from kalshi_cli.core.model import FeeSchedule, Market
from kalshi_cli.errors import ExchangeError, UnreachableError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.stream.frames import FEES_CHANGED, Lifecycle
from kalshi_cli.exchange.stream.inbox import Inbox
from kalshi_cli.exchange.stream.market_watch import MarketWatch
from kalshi_cli.exchange.stream.reader import Stream
from kalshi_cli.exchange.stream.subscriptions import Said

SUSPENDED_S = 30.0
"""Nothing ran for so long: the process was stopped, the host slept, or one message took as long to handle."""

TURN = 1_000
"""Messages that waited during a tick come before the next one, up to so many: slow reads must not starve the stream."""

DISCOVER_EVERY_S = 60.0
MARKETS_EVERY_S = 30.0

POLL_AFTER_S = 2.0
"""The stream is down for so long: read the books over REST meanwhile."""


class LiveFeed:
    """Iterate over it once. Ends after a Command without a state was given out.

    `discover` gives markets worth trading that may be new; it is asked once a minute, and those that are get followed.
    `charge` reads anew what a market charges, when the stream says that this changed.
    Raises the stream's own failure (CredentialsError: the key is not let in) when it has stopped for good. Without a
    stream, which needs a key, the books are polled.
    """

    def __init__(
        self,
        stream: Stream | None,
        client: KalshiClient,
        clock: Clock,
        *,
        markets: Iterable[Market],
        interval_s: float = 2.0,
        suspended_s: float = SUSPENDED_S,
        discover: Callable[[], Iterable[MarketChange]] = tuple,
        charge: Callable[[Market], FeeSchedule] | None = None,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._stream = stream
        self._client = client
        self._clock = clock
        self._interval_s = interval_s
        self._suspended_s = suspended_s
        self._discover = discover
        self._discover_at = clock.monotonic() + DISCOVER_EVERY_S
        self._charge = charge
        self._charges_anew: set[str] = set()
        self._tell = tell
        self._watch = MarketWatch(client, clock, tell)
        self._watch.follow(markets)
        self._inbox: Inbox[Said] = stream.inbox if stream is not None else Inbox(0)
        self._pending: deque[Said] = deque()
        self._commands: deque[Command] = deque()
        self._down_since: float | None = None
        self._is_polling = False
        self._cannot_poll = False
        self._last_message_at: float | None = None

    def request(self, command: Command) -> None:
        """Give this out as the next message. Any thread may call it, and any signal handler."""
        self._commands.append(command)
        self._inbox.wake()

    def follow(self, markets: Iterable[Market]) -> None:
        """Follow these markets too."""
        markets = tuple(markets)
        self._watch.follow(markets)
        if self._stream is not None:
            self._stream.subscribe(market.ticker for market in markets)

    @property
    def last_message_age_s(self) -> float | None:
        """Seconds since the stream last said something; None before it did."""
        at = self._last_message_at
        return None if at is None else self._clock.monotonic() - at

    def __iter__(self) -> Iterator[Message]:
        clock = self._clock
        seen, seen_wall = clock.monotonic(), clock.now()
        next_tick, owed = seen, 0
        while True:
            now, wall = clock.monotonic(), clock.now()
            # A virtual machine that was paused may not have counted it, so the wall clock is asked too; that it may
            # have been set instead costs no more than a reconnect.
            away_s = max(now - seen, (wall - seen_wall) / 1000)
            seen, seen_wall = now, wall
            if away_s > self._suspended_s:
                yield self._distrust(f"nothing ran for {away_s:.0f} s")
            while self._commands:
                command = self._commands.popleft()
                yield command
                if command.state is None:
                    return
            if now >= next_tick and (owed <= 0 or not self._pending):
                next_tick = now + self._interval_s
                yield from self._on_interval()
                yield Tick(clock.now())
                self._inbox.take(self._pending)
                owed = min(len(self._pending), TURN)
            elif self._pending:
                owed -= 1
                message = self._next()
                if message is not None:
                    yield message
            else:
                if self._stream is not None and self._stream.failure is not None and not len(self._inbox):
                    raise self._stream.failure
                self._inbox.take(self._pending, max(0.001, next_tick - now))

    def _next(self) -> Message | None:
        """The next thing the stream said; None where it is not for the engine."""
        said = self._pending.popleft()
        self._last_message_at = self._clock.monotonic()
        if not self._pending:
            self._inbox.take(self._pending)
        if isinstance(said, Lifecycle):
            self._watch.mark((said.ticker,))
            if said.kind == FEES_CHANGED:
                self._charges_anew.add(said.event_ticker)
            return None
        if isinstance(said, FeedState) and said.is_live:
            self._watch.mark(self._watch.tickers)  # what changed meanwhile was not said
        if isinstance(said, BookDelta) and self._pending:
            following = self._pending[0]
            if isinstance(following, BookDelta) and following.ts == said.ts and following.ticker == said.ticker:
                return BookDelta(said.ts, said.ticker, said.side, said.price, said.delta, has_more=True)
        return said

    def _distrust(self, reason: str) -> FeedGap:
        """Whatever waits is from before; begin again."""
        self._inbox.take(self._pending)
        self._pending.clear()
        if self._stream is not None:
            self._stream.reconnect(reason)
        self._watch.mark(self._watch.tickers)
        return FeedGap(self._clock.now(), (), reason)

    def _on_interval(self) -> Iterator[Message]:
        before = self._watch.tickers
        yield from self._watch.changes()
        final = set(before) - set(self._watch.tickers)
        if final and self._stream is not None:
            self._stream.unsubscribe(final)
        yield from self._read_charges()
        yield from self._find_new()
        yield from self._poll()

    def _read_charges(self) -> Iterator[Message]:
        """What the markets charge whose events said that it changed; asked again at the next tick where that fails."""
        if self._charge is None or not self._charges_anew:
            return
        for market in self._watch.markets:
            if market.event_ticker not in self._charges_anew:
                continue
            try:
                yield MarketChange(self._clock.now(), market, self._charge(market))
            except (ExchangeError, UnreachableError) as error:
                self._tell(f"what {market.event_ticker} charges now could not be read: {error}")
                return
        self._charges_anew.clear()

    def _find_new(self) -> Iterator[Message]:
        """Markets close and others open in their place."""
        if self._clock.monotonic() < self._discover_at:
            return
        self._discover_at = self._clock.monotonic() + DISCOVER_EVERY_S
        try:
            found = [change for change in self._discover() if change.market.ticker not in self._watch.tickers]
        except (ExchangeError, UnreachableError) as error:
            self._tell(f"new markets could not be looked for: {error}")
            return
        if found:
            self.follow(change.market for change in found)
            yield from found

    def _poll(self) -> Iterator[Message]:
        """Books over REST while there is no stream; never beside one: its changes belong to its own snapshots."""
        now = self._clock.monotonic()
        if self._stream is not None:
            if self._stream.is_connected:
                if self._is_polling:
                    self._tell("the stream is back")
                self._down_since, self._is_polling = None, False
                return
            self._down_since = now if self._down_since is None else self._down_since
            if now - self._down_since < POLL_AFTER_S:
                return
        if not self._is_polling:
            self._is_polling = True
            reason = "no stream: order books are read over REST, at intervals"
            self._tell(reason)
            yield FeedState(self._clock.now(), False, reason)
        try:
            books = self._client.orderbooks(self._watch.tickers)
        except (ExchangeError, UnreachableError) as error:
            if not self._cannot_poll:
                self._tell(f"order books could not be read: {error}")
            self._cannot_poll = True
            return
        self._cannot_poll = False
        self._watch.mark(self._watch.tickers, MARKETS_EVERY_S)  # no stream says that one paused or moved its close
        if self._stream is None or not self._stream.is_connected:
            yield from books
