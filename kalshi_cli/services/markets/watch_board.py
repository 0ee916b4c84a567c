"""The markets that `kalshi watch` follows: current prices, and whether they are still valid."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ExchangeError, UnreachableError
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.markets import Market
from kalshi_cli.exchange.client import KalshiClient

MAX_TRADES = 200
"""Trades that a board keeps."""

POLL_S = 2.0
"""Seconds between reads of markets without a stream."""

POLLING = f"no API key: reading every {POLL_S:.0f} s"
"""The state of a watch without a stream, after a read that succeeded."""

PATIENCE_MS = 10_000
"""Without a stream, prices older than this are stale."""

TRADES_A_POLL = 50

OVER = ("closed", "determined", "disputed", "amended", "finalized")


Told = messages.Quote | messages.PublicTrade | messages.FeedState | messages.FeedGap
"""A changed quote, a trade, a connection that opened or closed, or markets whose prices are not valid for now."""


class WatchedMarket:
    """A watched market. Prices are current or None.

    `heard` is the time of the last confirmation, None before the first one; `stale_since` is when they became stale.
    """

    def __init__(self, market: Market) -> None:
        self.ticker = market.ticker
        self.title = market.full_title
        self.status = market.status.value
        self.value = market.settlement_value
        self.book = OrderBook(market.ticker)
        self.bid: Price | None = None
        self.bid_size = Qty(0)
        self.ask: Price | None = None
        self.ask_size = Qty(0)
        self.last = market.last
        self.volume = market.volume
        self.traded = Ts(0)
        """The time of the last trade that the stream reported."""
        self.changed: Ts | None = None
        self.heard: Ts | None = None
        self.stale_since: Ts | None = None
        self.is_midway = False
        """Return whether more changes of the same match belong to this state of the order book."""

    @property
    def is_over(self) -> bool:
        """Return whether trading has ended, so that missing prices are no failure."""
        return self.status in OVER

    def quote(self, ts: Ts) -> messages.Quote:
        """Return the current quote as a message; without prices where trading has ended."""
        if self.is_over:
            return messages.Quote(ts, self.ticker, None, Qty(0), None, Qty(0), self.last, self.volume)
        return messages.Quote(ts, self.ticker, self.bid, self.bid_size, self.ask, self.ask_size, self.last, self.volume)


class WatchBoard:
    """The state of the watched markets, from the messages of a feed in their order. Times are those of this machine.

    With a stream, volume is the volume of REST plus the trades since: the ticker channel counts both sides of every
    trade (recordings of May 2026), although the documentation says otherwise.
    """

    def __init__(self, markets: Iterable[Market], now: Ts, *, is_streamed: bool) -> None:
        self._is_streamed = is_streamed
        self.lines = {market.ticker: WatchedMarket(market) for market in markets}
        self.trades: deque[messages.PublicTrade] = deque(maxlen=MAX_TRADES)
        self.is_live = False
        self.state = "connecting"
        self.since = now
        """The time when the stream became live or was lost."""

    @property
    def is_over(self) -> bool:
        """Return whether trading has ended in every market."""
        return all(line.is_over for line in self.lines.values())

    @property
    def is_current(self) -> bool:
        """Return whether the stream is live, or without one the last read succeeded."""
        return self.is_live or self.state == POLLING

    def stale_since(self, line: WatchedMarket, now: Ts) -> Ts | None:
        """Return when the prices of this market became stale; None if they are valid, or if there were never any.

        With a stream they are valid until it says otherwise; without one, as long as they are read again.
        """
        if line.stale_since is not None or line.heard is None:
            return line.stale_since
        return line.heard if not self.is_live and now - line.heard > PATIENCE_MS else None

    def take(self, message: messages.Message, now: Ts) -> Told | None:
        """Apply a message and return the line for the tape; None if only details or nothing changed."""
        if isinstance(message, messages.FeedState):
            return self._connect(message, now)
        if isinstance(message, messages.FeedGap):
            for ticker in message.tickers or tuple(self.lines):
                self._distrust(ticker, message.reason, now)
            return message
        line = self.lines.get(getattr(message, "ticker", "") or getattr(getattr(message, "market", None), "ticker", ""))
        if line is None:
            return None
        if isinstance(message, messages.PublicTrade):
            self.trades.append(message)
            line.last, line.traded, line.changed = message.price, message.ts, now
            if self._is_streamed:
                line.volume = Qty(line.volume + message.qty)
            return message
        return line.quote(message.ts) if self._update(line, message, now) else None

    def _connect(self, message: messages.FeedState, now: Ts) -> messages.FeedState | None:
        state = "live" if message.is_live else message.reason or "no connection"
        if (self.is_live, self.state) == (message.is_live, state):
            return None
        if self.is_live is not message.is_live:
            self.since = now
        self.is_live, self.state = message.is_live, state
        return message

    def _distrust(self, ticker: str, reason: str, now: Ts) -> None:
        line = self.lines.get(ticker)
        if line is None:
            return
        line.book.invalidate(reason)
        if line.heard is not None and line.stale_since is None:
            line.stale_since = now

    def _update(self, line: WatchedMarket, message: messages.Message, now: Ts) -> bool:
        """Apply a message to its market; return whether anything visible changed."""
        before = _shown(line)
        if isinstance(message, messages.MarketChange):
            line.status, line.value = message.market.status.value, message.market.settlement_value
            _catch_up(line, message.market.last, message.market.volume)
        elif isinstance(message, messages.Quote):
            # With an order book, the ticker channel adds only the other fields; it has no sequence number.
            if self._is_streamed:
                line.last = message.last if message.ts >= line.traded else line.last
            else:
                _catch_up(line, message.last, message.volume)
            if not line.book.ts:
                self._show(line, message.bid, message.bid_size, message.ask, message.ask_size, now)
        elif isinstance(message, messages.BookSnapshot | messages.BookDelta):
            if isinstance(message, messages.BookSnapshot):
                line.book.load(message.bids, message.asks, message.ts)
            else:
                line.book.apply(message.side, message.price, message.delta, message.ts)
            line.is_midway = isinstance(message, messages.BookDelta) and message.has_more
            if line.is_midway:
                return False
            if not line.book.is_usable:
                self._distrust(line.ticker, line.book.unusable_reason, now)
                return False
            best = ((each.price, each.qty) if each else (None, Qty(0)) for each in (line.book.bid, line.book.ask))
            (bid, bid_size), (ask, ask_size) = best
            self._show(line, bid, bid_size, ask, ask_size, now)
        is_news = before != _shown(line)
        if is_news:
            line.changed = now
        return is_news

    @staticmethod
    def _show(line: WatchedMarket, bid: Price | None, bid_size: Qty, ask: Price | None, ask_size: Qty, now: Ts) -> None:
        line.bid, line.bid_size, line.ask, line.ask_size = bid, bid_size, ask, ask_size
        line.heard, line.stale_since = now, None


def _catch_up(line: WatchedMarket, last: Price | None, volume: Qty) -> None:
    """Take the last price and the volume of a read, which may be older than the stream: a volume never falls."""
    if volume > line.volume:
        line.last, line.volume = last, volume


def _shown(line: WatchedMarket) -> tuple[object, ...]:
    """Return the values whose change is a new line; the first message of a market counts, even without quotes."""
    is_heard = line.heard is not None
    return line.quote(Ts(0)), line.stale_since, is_heard, line.status


# -- without a stream ---------------------------------------------------------------------------------------------


class PollingFeed:
    """The same messages from REST, for use without a key: quotes at intervals, and trades when the volume rose.

    With `is_book` it yields whole order books instead of quotes. It ends after a StateCommand.
    """

    def __init__(
        self,
        client: KalshiClient,
        clock: Clock,
        markets: Iterable[Market],
        *,
        is_book: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._client = client
        self._clock = clock
        self._volumes = {market.ticker: market.volume for market in markets}
        self._is_book = is_book
        self._tell = tell
        self._commands: deque[messages.StateCommand] = deque()
        self._since = clock.now()
        self._seen: deque[str] = deque(maxlen=1_000)
        self._is_failing = False

    def request(self, command: messages.StateCommand) -> None:
        """Yield this as the last message, within a moment."""
        self._commands.append(command)

    def __iter__(self) -> Iterator[messages.Message]:
        while True:
            yield from self._read()
            until = self._clock.monotonic() + POLL_S
            while self._clock.monotonic() < until:
                if self._commands:
                    yield self._commands.popleft()
                    return
                yield messages.Tick(self._clock.now())
                self._clock.sleep(0.1)

    def _read(self) -> Iterator[messages.Message]:
        now, tickers = self._clock.now(), list(self._volumes)
        try:
            markets = list(self._client.markets(tickers=tickers))
            books = self._client.orderbooks(tickers) if self._is_book else []
            traded = [market.ticker for market in markets if market.volume > self._volumes[market.ticker]]
            trades = [trade for ticker in traded for trade in self._new_trades(ticker)]
        except (ExchangeError, UnreachableError) as error:
            if not self._is_failing:
                self._tell(f"Cannot read the exchange: {error}")
            self._is_failing = True
            yield messages.FeedState(now, False, f"cannot be read: {error}")
            return
        self._is_failing = False
        yield messages.FeedState(now, False, POLLING)
        for market in markets:
            self._volumes[market.ticker] = market.volume
            yield messages.MarketChange(now, market)
            if not self._is_book:
                yield messages.Quote(
                    now, market.ticker, market.yes_bid, market.yes_bid_size,
                    market.yes_ask, market.yes_ask_size, market.last, market.volume,
                )  # fmt: skip
        yield from books
        yield from sorted(trades, key=lambda trade: trade.ts)

    def _new_trades(self, ticker: str) -> list[messages.PublicTrade]:
        """Return the new trades since the start."""
        found = [
            trade
            for trade in self._client.trades(ticker, min_ts=self._since, limit=TRADES_A_POLL)
            if trade.ts >= self._since and trade.trade_id not in self._seen
        ]
        self._seen.extend(trade.trade_id for trade in found)
        return found
