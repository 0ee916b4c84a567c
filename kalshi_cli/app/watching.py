"""The composition of `kalshi watch`: the stream with a key, otherwise REST at intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from kalshi_cli.app.environment import opened
from kalshi_cli.app.trading import RunModes
from kalshi_cli.base.clock import Clock, SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.config.config import Config
from kalshi_cli.core.model.messages import Message, StateCommand
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.services.markets.watch_board import PollingFeed, Told, WatchBoard
from kalshi_cli.services.trading.reports.status import RunStatus, run_status
from kalshi_cli.services.trading.stop_signals import StopSignals

INTERVAL_S = 0.5
"""Seconds between updates of a board without messages."""


OVER_S = 10.0
"""A watch ends after its markets have been closed for so many seconds: the stream may still say that a close moved."""


class WatchSession:
    """A board, and the messages that update it: iterate, and read the board at any time.

    `stopped_by` is the signal that ended it; empty before that, and at the end of its duration. `is_over` says that it
    ended because trading has ended in every market.
    """

    def __init__(self, board: WatchBoard, feed: Iterable[Message], clock: Clock, duration_s: float | None) -> None:
        self.board = board
        self.stopped_by = ""
        self.is_over = False
        self._over_since = math.inf
        self._feed = feed
        self._clock = clock
        self._until = math.inf if duration_s is None else clock.monotonic() + duration_s

    @property
    def now(self) -> Ts:
        """Return the time."""
        return self._clock.now()

    def __iter__(self) -> Iterator[Told | None]:
        """Yield the line of the tape for each message; None if time passed or only details changed.

        Markets that were over before come first, because no message may follow about them.
        """
        yield from [line.quote(self.now) for line in self.board.lines.values() if line.is_over]
        if self.board.is_over:
            self.is_over = True
            return
        for message in self._feed:
            if isinstance(message, StateCommand):
                self.stopped_by = message.source
                return
            yield self.board.take(message, self._clock.now())
            if self._has_ended(self._clock.monotonic()):
                return

    def _has_ended(self, now: float) -> bool:
        self._over_since = min(self._over_since, now) if self.board.is_over else math.inf
        self.is_over = now - self._over_since >= OVER_S
        return self.is_over or now >= self._until


class LiveWatch(RunModes):
    """Live market data: `with LiveWatch(environment).open(...) as watching`."""

    @contextmanager
    def open(
        self, tickers: Sequence[str], duration_s: float | None, tell: Callable[[str], None], *, is_book: bool = False
    ) -> Iterator[WatchSession]:
        """Begin to watch; NotFoundError for an unknown market. `is_book` reads whole order books."""
        from kalshi_cli.exchange.live.live_feed import LiveFeed

        resources = self.environment.open()
        clock = resources.clock
        with ExitStack() as stack:
            markets = run_markets(resources.client, clock.now(), tickers, "")
            stream = self._stream(resources, stack, markets)
            feed: LiveFeed | PollingFeed
            if stream is None:
                feed = PollingFeed(resources.client, clock, markets, is_book=is_book, tell=tell)
            else:
                feed = LiveFeed(stream, resources.client, clock, markets=markets, interval_s=INTERVAL_S, tell=tell)
            with StopSignals(clock, feed.request):
                board = WatchBoard(markets, clock.now(), is_streamed=stream is not None)
                session = WatchSession(board, feed, clock, duration_s)
                if duration_s is not None and isinstance(feed, LiveFeed):
                    feed.tick_at(clock.monotonic() + duration_s)
                yield session


STATUS_EVERY_S = 1.0


class StatusStream:
    """The status of the trading loops, every second until a signal, which is then `stopped_by`."""

    def __init__(self, config: Config, tell: Callable[[str], None], clock: Clock, *, is_paper: bool) -> None:
        self.stopped_by = ""
        self._is_paper = is_paper
        self._config = config
        self._tell = tell
        self._clock = clock

    def stop(self, command: StateCommand) -> None:
        """End the iteration."""
        self.stopped_by = command.source

    def __iter__(self) -> Iterator[tuple[Ts, RunStatus]]:
        while not self.stopped_by:
            # Opened each time, because a state file may appear or go.
            with opened(self._config, self._tell) as resources:
                home = resources.find_home(is_at_exchange=False) if self._is_paper else None
                now, status = resources.clock.now(), run_status(resources, home)
            yield now, status
            until = self._clock.monotonic() + STATUS_EVERY_S
            while not self.stopped_by and self._clock.monotonic() < until:
                self._clock.sleep(0.05)


@contextmanager
def statuses(config: Config, tell: Callable[[str], None], *, is_paper: bool) -> Iterator[StatusStream]:
    """Watch the trading loops, from the state file alone."""
    clock = SystemClock()
    watched = StatusStream(config, tell, clock, is_paper=is_paper)
    with StopSignals(clock, watched.stop):
        yield watched
