"""A recording as a feed: the messages of the stream in recorded time.

The time of a frame is the exchange's own if it has one, and never goes back. Frames without a time (snapshots, gaps)
are placed between their neighbors: a recorder's clock may be off by half a second either way (recorded May 2026: -252
to +563 ms), which would move the deltas that follow.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import cast

import msgspec

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, format_ts
from kalshi_cli.core.model import messages, recorded
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, Message
from kalshi_cli.core.model.price_grid import CENT_GRID, PriceBand, PriceGrid
from kalshi_cli.core.model.recorded import ChangeRows, LaneEvent, RecordedConnection, RecordedInput, WatchNote
from kalshi_cli.feeds.period import TapePeriod
from kalshi_cli.feeds.recorded_events import FrameDecoder, recorded_events
from kalshi_cli.feeds.recorded_results import MarketResult, is_history, read_history
from kalshi_cli.feeds.recording_format import NO_TIME

NO_CLOSE = Ts(253_402_300_799_000)
"""Close time of a market if the recording has none (the end of the year 9999)."""

MAX_HELD = 1_000
"""Messages of one millisecond that are searched for the end of a group of deltas, at most."""
LONG_SILENCE_MS = 3_600_000
"""Longest silence that is filled with ticks; a longer one lies between two recordings."""

RECONNECTED = "reconnected"
"""Reason of the gap between two connections of a recording, in contrast to a gap in a sequence."""

ENDED = "the recording ended"
"""Reason of the gap after a recording, where another one continues."""

_TAIL = cents(10)
_CENT = cents(1)
_DECI_TAILS = PriceGrid(
    (
        PriceBand(Price(0), _TAIL, Price(10)),
        PriceBand(_TAIL, Price(ONE_DOLLAR - _TAIL), _CENT),
        PriceBand(Price(ONE_DOLLAR - _TAIL), ONE_DOLLAR, Price(10)),
    )
)
_DECI = PriceGrid((PriceBand(Price(0), ONE_DOLLAR, Price(10)),))
_CENTI = PriceGrid((PriceBand(Price(0), ONE_DOLLAR, Price(1)),))
_GRIDS = (CENT_GRID, _DECI_TAILS, _DECI, _CENTI)


def coarsest_grid(prices: Iterable[Price]) -> PriceGrid:
    """Return the coarsest usual grid with all these prices: whole cents, tenths in the tails, tenths, hundredths.

    A coarse grid is the safe guess: its prices are valid on every finer grid (API.md section 6).
    """
    seen = tuple(prices)
    return next((grid for grid in _GRIDS if all(grid.is_valid(price) for price in seen)), _CENTI)


def is_chosen(ticker: str, names: Iterable[str]) -> bool:
    """Return whether names of markets, events or series choose a market."""
    return any(ticker == name or ticker.startswith(f"{name}-") for name in names)


_Received = tuple[Ts, Message | ChangeRows]


class Replay:
    """Recordings, merged by time, as one feed. After the last line and `RecordingEnded`, markets with a result settle.

    `files` are streams (`*.jsonl`, `*.jsonl.gz`; the format is in `recording_format.py`) and external inputs with times
    (`*.csv[.gz]`; see `read_history`). `new_decoder` is called for each recorded connection with the `use_yes_price` of
    its subscription: the recorder's note, else false (other recordings have NO levels in NO prices). At its close time
    a market becomes CLOSED, and after the last line FINALIZED with its result in `results`: until then strategies learn
    only the results that the recording itself has, when it has them. Markets that the recording does not have whole are
    built from the recorder's notes and the prices of the first message. `lanes` are recordings that another reader (the
    lake) opens, each lane one after the other, and `histories` external inputs; a single lane may have rows of changes,
    and so has the feed then. Iterating raises UsageError where two files have the order book of a market at the same
    time. A Tick comes every `interval_s` of recorded time, all of them `phase_ms` earlier (less than an interval), and
    `clock`, if given, is advanced.
    `period` cuts files, but no lanes, which their reader cuts. With `tickers`, only the markets that these names choose
    are played; rows of lanes have no others. `on_read` gets the number of bytes of files that were read since its last
    call. The feed can be iterated once.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        new_decoder: Callable[[bool], FrameDecoder],
        results: Mapping[str, MarketResult] | None = None,
        lanes: Iterable[Iterable[Iterable[LaneEvent]]] = (),
        histories: Iterable[Iterable[Message]] = (),
        interval_s: float = 1.0,
        phase_ms: int = 0,
        clock: ManualClock | None = None,
        period: TapePeriod | None = None,
        tickers: Collection[str] = (),
        on_read: Callable[[int], None] = lambda _size: None,
    ) -> None:
        own = [path for path in files if not is_history(path)]
        self.cut: dict[str, Ts] = {}
        """The files that ended in the middle, with the time received of their last line."""
        self.turned_back: dict[str, tuple[Ts, Ts]] = {}  # files whose times received go back, from and to
        self.last_line = Ts(0)
        """The time received of the latest last line of the files that were read to their end."""
        self._lanes: list[Iterable[Iterable[LaneEvent]]] = [
            *(
                [
                    recorded_events(
                        path,
                        new_decoder,
                        on_cut=partial(self.cut.__setitem__, path.name),
                        on_end=self._on_end,
                        on_read=on_read,
                        on_back=partial(self.turned_back.setdefault, path.name),
                    )
                ]
                for path in own
            ),
            *lanes,
        ]
        self._files = [path.name for path in own]
        self._tickers = tuple(tickers)
        self.left_out: set[str] = set()
        """The markets that `tickers` did not choose."""
        self._recorded_by: dict[str, int] = {}
        """The number of the file, of those that have not ended, that has the order book of a market."""
        if not self._lanes:
            raise UsageError("No recording given", hint="name at least one .jsonl or .jsonl.gz file")
        outside = [*(read_history(path) for path in files if is_history(path)), *histories]
        heard = heapq.merge(*outside, key=lambda row: row.ts)
        self._period = period
        self._history = heard if period is None else (row for row in heard if period.has(row.ts))
        self.results = dict(results or {})
        """The results from outside the recordings."""
        self._notes: dict[str, WatchNote] = {}
        self._made_up: set[str] = set()
        self._interval_ms = max(1, round(interval_s * 1000))
        self._phase_ms = phase_ms
        self._clock = clock
        self._open_lanes = 0
        self._now = Ts(0)
        self._newest = Ts(-1)
        """The latest time of the exchange so far; messages that are not later belong to the same millisecond."""
        self.markets: dict[str, Market] = {}
        """Every market seen so far, in its current state."""
        self._closings: list[tuple[Ts, str]] = []
        self._next_tick = NO_TIME
        self._next_heard = next(self._history, None)
        self._next_due = Ts(0)

    def __iter__(self) -> Iterator[Message]:
        """Yield the messages, and any rows of the lanes, which are no message but replace some."""
        for message in self._of_period():
            if type(message) is not BookDelta and isinstance(message, ChangeRows):
                yield from self._between_dues(message)  # type: ignore[misc]
                continue
            if message.ts >= self._next_due:
                for due in self._due(message.ts):
                    yield self._moved(due)
            yield self._moved(message)
        if self._now and (self._period is None or self._period.has_messages):
            yield messages.RecordingEnded(self._now)
        markets = self.markets if self._period is None else self._period.markets
        for market in sorted(markets.values(), key=lambda market: market.close_time):
            if market.ticker in self.results and not market.result:
                at = self._now if market.close_time == NO_CLOSE else max(self._now, market.close_time)
                yield self._moved(self._ended(at, market, self.results[market.ticker]))

    def _of_period(self) -> Iterator[Message | ChangeRows]:
        found = self._in_time(self._merged())
        return found if self._period is None else self._period.of(cast(Iterator[Message], found), self._skip_to)

    def _on_end(self, ts: Ts) -> None:
        if ts != NO_TIME:
            self.last_line = max(self.last_line, ts)

    def _skip_to(self, ts: Ts) -> None:
        self._now = ts

    def _between_dues(self, rows: ChangeRows) -> Iterator[Message | ChangeRows]:
        """Yield rows, cut where a tick, a close or an external input is due."""
        while len(rows):
            stop = rows.count_before(self._next_due)
            if stop:
                now, rows = rows.cut(0, stop), rows.cut(stop, len(rows))
                self._move_to(now.last_ts)
                yield now
            else:
                yield from map(self._moved, self._due(rows.ts))

    def _move_to(self, ts: Ts) -> None:
        self._now = ts
        if self._clock is not None:
            self._clock.set(ts)

    def _moved(self, message: Message) -> Message:
        self._move_to(message.ts)
        return message.said if type(message) is RecordedInput else message

    # -- lines to messages ----------------------------------------------------------------------------------------

    def _merged(self) -> Iterator[_Received]:
        """Yield all streams merged by the time received; each keeps its own order."""
        if len(self._lanes) == 1:
            return self._in_turn(self._lanes[0])
        return heapq.merge(*map(self._in_turn, self._lanes, count()), key=itemgetter(0))

    def _in_turn(self, lane: Iterable[Iterable[LaneEvent]], number: int = 0) -> Iterator[_Received]:
        """Yield the recordings of a lane. One that ends before another does is a gap: nothing updates its books."""
        self._open_lanes += 1
        coming = iter(lane)
        events = next(coming, None)
        while events is not None:
            followed: set[str] = set()
            recv_ts = NO_TIME
            for recv_ts, message in self._received(events, followed):
                yield recv_ts, message
                if type(message) is BookSnapshot and number < len(self._files):
                    self._require_alone(message.ticker, number, recv_ts)
            events = next(coming, None)
            self._open_lanes -= events is None
            self._recorded_by = {ticker: each for ticker, each in self._recorded_by.items() if each != number}
            if followed and (events is not None or self._open_lanes):
                yield recv_ts, messages.FeedGap(recv_ts, tuple(sorted(followed)), ENDED)

    def _require_alone(self, ticker: str, number: int, recv_ts: Ts) -> None:
        """Raise UsageError if another file has the changes of this order book as well: each would count twice."""
        other = self._recorded_by.setdefault(ticker, number)
        if other != number:
            at = "" if recv_ts == NO_TIME else f" at {format_ts(recv_ts)}"
            raise UsageError(
                f"{self._files[other]} and {self._files[number]} both have the order book of {ticker}{at}",
                hint="give one of them; `kalshi data import` of both keeps each change once",
                code="overlap",
            )

    def _received(self, events: Iterable[LaneEvent], followed: set[str]) -> Iterator[_Received]:
        """Yield the messages of one recording with the time received, and each market before its first message."""
        for recv_ts, item, _ in filter(self._is_chosen, map(self._of_chosen, events)) if self._tickers else events:
            if type(item) is BookDelta:
                if item.price % _CENT and item.ticker in self._made_up:
                    yield from self._refined(recv_ts, item.ticker, item.price)
            elif isinstance(item, ChangeRows):
                yield from self._of_rows(recv_ts, item)
                continue
            elif isinstance(item, WatchNote):
                self._notes[item.ticker] = item
                continue
            elif isinstance(item, RecordedConnection):
                yield from _connected(recv_ts, item.number, followed)
                continue
            elif isinstance(item, messages.MarketChange):
                market = self._learn(item.market)
                yield recv_ts, item if market is item.market else msgspec.structs.replace(item, market=market)
                continue
            elif isinstance(item, recorded.ContinuationNote):
                followed -= item.tickers
                continue
            elif isinstance(item, recorded.LifecycleNote):
                continue
            else:
                yield from self._introduced(recv_ts, item, followed)
            yield recv_ts, item

    def _of_chosen(self, event: LaneEvent) -> LaneEvent:
        """Return an event, a gap without the markets that are not chosen."""
        recv_ts, item, raw = event
        if not isinstance(item, messages.FeedGap):
            return event
        tickers = tuple(ticker for ticker in item.tickers if is_chosen(ticker, self._tickers))
        return recv_ts, msgspec.structs.replace(item, tickers=tickers), raw

    def _is_chosen(self, event: LaneEvent) -> bool:
        """Return whether an event concerns a chosen market, or no market."""
        _, item, _ = event
        ticker = item.market.ticker if isinstance(item, messages.MarketChange) else getattr(item, "ticker", None)
        if ticker is None or is_chosen(ticker, self._tickers):
            return True
        self.left_out.add(ticker)
        return False

    def _of_rows(self, recv_ts: Ts, rows: ChangeRows) -> Iterator[_Received]:
        """Yield rows, and before the first one off its market's grid that market with a finer grid."""
        begin = 0
        for at, ticker, price in rows.off_step(_CENT):
            if ticker in self._made_up and not self.markets[ticker].grid.is_valid(price):
                yield from self._whole(recv_ts, rows.cut(begin, at))
                yield from self._refined(rows.received(at), ticker, price)
                begin = at
        yield from self._whole(recv_ts, rows.cut(begin, len(rows)))

    def _whole(self, recv_ts: Ts, rows: ChangeRows) -> Iterator[_Received]:
        """Yield the rows of whole milliseconds as rows, and those that share theirs with other messages one by one."""
        first, last = rows.place(Ts(max(self._newest, self._now)), MAX_HELD)
        for delta in rows.cut(0, first):
            yield recv_ts, delta
        if first < last:
            yield recv_ts, rows.cut(first, last)
        for delta in rows.cut(last, len(rows)):
            yield recv_ts, delta

    # -- markets --------------------------------------------------------------------------------------------------

    def _introduced(self, recv_ts: Ts, message: Message, followed: set[str]) -> Iterator[_Received]:
        """Yield the market before its first message."""
        if isinstance(message, BookSnapshot):
            followed.add(message.ticker)
        if not isinstance(message, BookSnapshot | messages.Quote | messages.PublicTrade):
            return
        if message.ticker not in self.markets:
            yield recv_ts, messages.MarketChange(recv_ts, self._learn(self._make_up(recv_ts, message)))

    def _make_up(self, recv_ts: Ts, first: BookSnapshot | messages.Quote | messages.PublicTrade) -> Market:
        """Build a market from the recorder's note, the results and the prices of its first message."""
        self._made_up.add(first.ticker)
        note = self._notes.pop(first.ticker, None) or WatchNote(ticker=first.ticker)
        prices = [price for price, _ in first.bids + first.asks] if isinstance(first, BookSnapshot) else []
        return Market(
            ticker=first.ticker,
            event_ticker=first.ticker.rpartition("-")[0] or first.ticker,
            title=first.ticker,
            status=MarketStatus(note.status),
            grid=coarsest_grid(prices),
            yes_bid=None,
            yes_bid_size=Qty(0),
            yes_ask=None,
            yes_ask_size=Qty(0),
            last=None,
            volume=Qty(0),
            volume_24h=Qty(0),
            open_interest=Qty(0),
            open_time=recv_ts if recv_ts != NO_TIME else Ts(0),
            close_time=NO_CLOSE if note.close_time is None else note.close_time,
            floor_strike=note.strike,
        )

    def _refined(self, recv_ts: Ts, ticker: str, price: Price) -> Iterator[_Received]:
        """Yield the market with a finer grid if a price shows that the first guess was too coarse."""
        market = self.markets[ticker]
        if not market.grid.is_valid(price):
            grid = max(market.grid, coarsest_grid((price,)), key=_GRIDS.index)
            yield recv_ts, messages.MarketChange(recv_ts, self._learn(msgspec.structs.replace(market, grid=grid)))

    def _learn(self, market: Market) -> Market:
        """Keep the current state of a market and schedule its close."""
        outcome = self.results.get(market.ticker)
        if market.close_time == NO_CLOSE and outcome is not None and outcome.close_time is not None:
            market = msgspec.structs.replace(market, close_time=outcome.close_time)
        self.markets[market.ticker] = market
        heapq.heappush(self._closings, (market.close_time, market.ticker))
        self._next_due = min(self._next_due, market.close_time)
        return market

    def _ended(self, now: Ts, market: Market, outcome: MarketResult | None = None) -> Message:
        """Return the market closed, or with its result."""
        ended = msgspec.structs.replace(market, status=MarketStatus.CLOSED)
        if outcome is not None:
            ended = msgspec.structs.replace(
                market,
                status=MarketStatus.FINALIZED,
                result=outcome.result,
                settlement_value=outcome.value,
                settlement_ts=now,
            )
        self.markets[market.ticker] = ended
        if self._period is not None:
            self._period.markets[market.ticker] = ended
        return messages.MarketChange(now, ended)

    # -- time -----------------------------------------------------------------------------------------------------

    def _in_time(self, received: Iterable[_Received]) -> Iterator[Message | ChangeRows]:
        """Place every message in time, and mark the deltas that another delta of the same matching event follows.

        A ticker message may come between two deltas of one event (33 times in the recordings of May 2026), so all
        messages of the same millisecond decide, not only the next line.
        """
        held: list[Message] = []
        last: dict[str, int] = {}
        for recv_ts, message in received:
            at = message.ts
            is_delta = type(message) is BookDelta
            if not is_delta and isinstance(message, ChangeRows):
                yield from self._placed(held, at)
                held, last, self._newest = [], {}, message.last_ts
                yield message
                continue
            if is_delta or at != recv_ts:
                if at > self._newest:
                    yield from self._placed(held, at)
                    held, last, self._newest = [], {}, at
                if is_delta:
                    delta = cast(BookDelta, message)
                    index = last.get(delta.ticker)
                    if index is not None:
                        held[index] = msgspec.structs.replace(held[index], has_more=True)
                    last[delta.ticker] = len(held)
            held.append(message)  # type: ignore[arg-type]
            if len(held) == MAX_HELD:
                is_silent = type(message) is RecordedInput  # Only external inputs came, and nothing of the exchange.
                yield from self._placed(held, NO_TIME if is_silent or self._newest < 0 else self._newest)
                held, last = [], {}
        yield from self._placed(held, NO_TIME)

    def _placed(self, held: list[Message], until: Ts) -> Iterator[Message]:
        for message in held:
            at = max(self._now, min(message.ts, until))
            if at >= NO_TIME:
                at = self._now
            yield message if at == message.ts else msgspec.structs.replace(message, ts=at)

    def _due(self, until: Ts) -> Iterator[Message]:
        """Yield ticks, closes and external inputs up to a time, in order."""
        if self._next_tick == NO_TIME:
            self._next_tick = Ts(until + self._interval_ms - self._phase_ms)
        elif until - self._next_tick > LONG_SILENCE_MS:
            self._next_tick = Ts(until + (self._interval_ms - self._phase_ms) % self._interval_ms)
        while True:
            heard_at = NO_TIME if self._next_heard is None else self._next_heard.ts
            close_at = self._closings[0][0] if self._closings else NO_TIME
            at = min(heard_at, close_at, self._next_tick)
            if at > until:
                self._next_due = at
                return
            now = max(at, self._now)
            if self._next_heard is not None and at == heard_at:
                yield msgspec.structs.replace(self._next_heard, ts=now)
                self._next_heard = next(self._history, None)
            elif at == close_at:
                market = self.markets[heapq.heappop(self._closings)[1]]
                is_over = market.status is MarketStatus.CLOSED or market.result
                if market.close_time == at and not is_over:  # the exchange knows the result seconds to hours later
                    yield self._ended(now, market)
            else:
                yield messages.Tick(now)
                self._next_tick = Ts(self._next_tick + self._interval_ms)


def _connected(recv_ts: Ts, conn: int, followed: set[str]) -> Iterator[_Received]:
    """Yield the start of a connection, and a gap for the markets followed on the previous one."""
    if followed:
        yield recv_ts, messages.FeedGap(recv_ts, tuple(sorted(followed)), RECONNECTED)
        followed.clear()
    yield recv_ts, messages.FeedState(recv_ts, True, f"connection {conn}")
