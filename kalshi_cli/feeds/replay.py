"""A recording as a feed: the same messages that the stream gave, in recorded time.

Time is the exchange's own where a frame carries it, and never goes back. What carries none (snapshots, gaps) is placed
between its neighbours, because a recorder's clock may be off by half a second either way (recorded May 2026: -252 to
+563 ms) and would move the deltas behind it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import cast

import msgspec

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, parse_ts
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, Message
from kalshi_cli.core.model.price_grid import CENT_GRID, PriceBand, PriceGrid
from kalshi_cli.feeds.recorded_results import MarketResult, is_history, read_history
from kalshi_cli.feeds.recording_format import NO_TIME, at_line, decode_line, read_lines

FrameDecoder = Callable[[bytes, Ts], Iterable[Message]]
"""One connection's frames to messages, with its sequence checked. What has no time of its own gets the time given."""

NO_CLOSE = Ts(253_402_300_799_000)
"""Close time of a market whose recording does not say (the end of the year 9999)."""

MAX_HELD = 1_000
"""Messages of one millisecond that are looked through for the end of a group of deltas."""
LONG_SILENCE_MS = 3_600_000
"""Ticks are not made up for a longer silence than this: it lies between two recordings."""

RECONNECTED = "reconnected"
"""Reason of the gap between two connections of a recording, as opposed to a hole in a sequence."""

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
    """The coarsest usual grid that holds all these prices: whole cents, tenths in the tails, tenths, hundredths.

    Coarse is the safe guess: a price valid on it is valid on every finer grid (API.md section 6).
    """
    seen = tuple(prices)
    return next((grid for grid in _GRIDS if all(grid.is_valid(price) for price in seen)), _CENTI)


class _Watched(msgspec.Struct):
    """The note of a recorder that starts to follow a market; ours carries the whole market, and what is known of it."""

    market_ticker: str
    close_time: str | None = None
    strike: float | None = None
    status: str = "active"
    market: Market | None = None
    fees: FeeSchedule | None = None
    family: Family | None = None


class _Note(msgspec.Struct):
    event: str = ""
    use_yes_price: bool | None = None
    spot: messages.SpotPrice | None = None
    lost: messages.SpotUnavailable | None = None
    fair: messages.FairValue | None = None
    signal: messages.NewsSignal | None = None


class _Heard(Message, frozen=True):
    """Something from outside the exchange in its place, `ts`: when it came. What it says of time is by other clocks."""

    said: Message


_decode_note = msgspec.json.Decoder(_Note).decode
_decode_watched = msgspec.json.Decoder(_Watched).decode

_Received = tuple[Ts, Message]


class Replay:
    """Recordings, merged by time, as one feed. Ends after the last line; then markets with a known result settle.

    `files` are streams (`*.jsonl`, `*.jsonl.gz`; the format is in recording.py) and what was heard from outside the
    exchange, with times (`*.csv[.gz]`; see `read_history`).
    `new_decoder` is called for each recorded connection, with the `use_yes_price` of its subscription: what the
    recorder noted, else the one given here (recordings of others hold NO levels in NO prices). `results` say how
    markets ended: at its close time a market turns FINALIZED with its result, or CLOSED where nobody knows. `markets`
    are used as they are; for others a Market is made up from the recorder's notes and the prices of the first message.
    A Tick comes every `interval_s` of recorded time. `clock`, if given, is moved along. It can be iterated once.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        new_decoder: Callable[[bool], FrameDecoder],
        use_yes_price: bool = False,
        results: Mapping[str, MarketResult] | None = None,
        markets: Iterable[Market] = (),
        interval_s: float = 1.0,
        clock: ManualClock | None = None,
    ) -> None:
        self._streams = [path for path in files if not is_history(path)]
        if not self._streams:
            raise UsageError("no recording to replay", hint="name at least one .jsonl or .jsonl.gz file")
        self._history = heapq.merge(*(read_history(path) for path in files if is_history(path)), key=lambda row: row.ts)
        self._new_decoder = new_decoder
        self._use_yes_price = use_yes_price
        self._results = dict(results or {})
        self._given = {market.ticker: market for market in markets}
        self._notes: dict[str, _Watched] = {}
        self._made_up: set[str] = set()
        self._interval_ms = max(1, round(interval_s * 1000))
        self._clock = clock
        self._now = Ts(0)
        self.markets: dict[str, Market] = {}
        """Every market that appeared so far, as it is now."""
        self._closings: list[tuple[Ts, str]] = []
        self._next_tick = NO_TIME
        self._next_heard = next(self._history, None)
        self._next_due = Ts(0)

    def __iter__(self) -> Iterator[Message]:
        for message in self._in_time(self._merged()):
            if message.ts >= self._next_due:
                for due in self._due(message.ts):
                    yield self._moved(due)
            yield self._moved(message)
        for market in sorted(self.markets.values(), key=lambda market: market.close_time):
            if market.ticker in self._results:
                at = self._now if market.close_time == NO_CLOSE else max(self._now, market.close_time)
                yield from map(self._moved, self._close(at, market))

    def _moved(self, message: Message) -> Message:
        self._now = message.ts
        if self._clock is not None:
            self._clock.set(message.ts)
        return message.said if type(message) is _Heard else message

    # -- lines to messages ----------------------------------------------------------------------------------------

    def _merged(self) -> Iterator[_Received]:
        """All streams by the time received; each in its own order, whatever its clock says."""
        if len(self._streams) == 1:
            return self._received(self._streams[0])
        return heapq.merge(*map(self._received, self._streams), key=itemgetter(0))

    def _received(self, path: Path) -> Iterator[_Received]:
        """The messages of one stream with the time each was received; that is also its `ts` where it has none."""
        decoders: dict[int, FrameDecoder] = {}
        followed: set[str] = set()
        use_yes_price = self._use_yes_price
        for number, raw in read_lines(path):
            try:
                line = decode_line(raw)
                recv_ts = line.recv_ts
                if raw_note := bytes(line.note):
                    note = _decode_note(raw_note)
                    if note.use_yes_price is not None:
                        use_yes_price = note.use_yes_price
                    if note.event == "watch_market":
                        yield from self._watched(recv_ts, raw_note)
                    elif said := note.spot or note.lost or note.fair or note.signal:
                        yield recv_ts, _Heard(recv_ts, said)
                    continue
                decode = decoders.get(line.conn)
                if decode is None:
                    decode = decoders[line.conn] = self._new_decoder(use_yes_price)
                    yield from _connected(recv_ts, line.conn, followed)
                for message in decode(bytes(line.frame) or raw, recv_ts):
                    if type(message) is BookDelta:
                        if message.price % _CENT and message.ticker in self._made_up:
                            yield from self._refined(recv_ts, message)
                    else:
                        yield from self._introduced(recv_ts, message, followed)
                    yield recv_ts, message
            except (ValueError, RecursionError) as error:
                if raw[-1:] != b"\n":
                    return  # the writer was killed in the middle of its last line
                raise at_line(path, number, error) from error

    # -- markets --------------------------------------------------------------------------------------------------

    def _watched(self, recv_ts: Ts, raw: bytes) -> Iterator[_Received]:
        note = _decode_watched(raw)
        if note.market is not None:
            yield recv_ts, messages.MarketChange(recv_ts, self._learn(note.market), note.fees, note.family)
        else:
            self._notes[note.market_ticker] = note

    def _introduced(self, recv_ts: Ts, message: Message, followed: set[str]) -> Iterator[_Received]:
        """The market itself, before the first that is heard of it."""
        if isinstance(message, messages.MarketChange):
            self._learn(message.market)
            return
        if isinstance(message, BookSnapshot):
            followed.add(message.ticker)
        if (
            isinstance(message, BookSnapshot | messages.Quote | messages.PublicTrade)
            and message.ticker not in self.markets
        ):
            market = self._given.get(message.ticker) or self._make_up(recv_ts, message)
            yield recv_ts, messages.MarketChange(recv_ts, self._learn(market))

    def _make_up(self, recv_ts: Ts, first: BookSnapshot | messages.Quote | messages.PublicTrade) -> Market:
        """A market from what is known: the recorder's note, the results, the prices of the first message."""
        self._made_up.add(first.ticker)
        note = self._notes.pop(first.ticker, None) or _Watched(first.ticker)
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
            close_time=parse_ts(note.close_time) if note.close_time else NO_CLOSE,
            floor_strike=note.strike,
        )

    def _refined(self, recv_ts: Ts, delta: BookDelta) -> Iterator[_Received]:
        """A finer grid, once a price shows that the first guess was too coarse."""
        market = self.markets[delta.ticker]
        if not market.grid.is_valid(delta.price):
            grid = max(market.grid, coarsest_grid((delta.price,)), key=_GRIDS.index)
            yield recv_ts, messages.MarketChange(recv_ts, self._learn(msgspec.structs.replace(market, grid=grid)))

    def _learn(self, market: Market) -> Market:
        """Keep a market as it is now, and plan its close."""
        outcome = self._results.get(market.ticker)
        if market.close_time == NO_CLOSE and outcome is not None and outcome.close_time is not None:
            market = msgspec.structs.replace(market, close_time=outcome.close_time)
        self.markets[market.ticker] = market
        heapq.heappush(self._closings, (market.close_time, market.ticker))
        self._next_due = min(self._next_due, market.close_time)
        return market

    def _close(self, now: Ts, market: Market) -> Iterator[Message]:
        """The market at its close: paid out where the result is known. Real payouts come minutes to hours later."""
        if market.status is MarketStatus.CLOSED or market.result:
            return
        outcome = self._results.get(market.ticker)
        if outcome is None:
            closed = msgspec.structs.replace(market, status=MarketStatus.CLOSED)
        else:
            closed = msgspec.structs.replace(
                market,
                status=MarketStatus.FINALIZED,
                result=outcome.result,
                settlement_value=outcome.value,
                settlement_ts=now,
            )
        self.markets[market.ticker] = closed
        yield messages.MarketChange(now, closed)

    # -- time -----------------------------------------------------------------------------------------------------

    def _in_time(self, received: Iterable[_Received]) -> Iterator[Message]:
        """Put every message at its time, and mark the deltas which another of the same matching event follows.

        A ticker message may stand between two deltas of one event (33 times in the recordings of May 2026), so it is
        not the next line that decides but everything of the same millisecond.
        """
        held: list[Message] = []
        last: dict[str, int] = {}
        newest = Ts(-1)
        for recv_ts, message in received:
            at = message.ts
            is_delta = type(message) is BookDelta
            if is_delta or at != recv_ts:
                if at > newest:
                    yield from self._placed(held, at)
                    held, last, newest = [], {}, at
                if is_delta:
                    delta = cast(BookDelta, message)
                    index = last.get(delta.ticker)
                    if index is not None:
                        held[index] = msgspec.structs.replace(held[index], has_more=True)
                    last[delta.ticker] = len(held)
            held.append(message)
            if len(held) == MAX_HELD:
                is_silent = type(message) is _Heard  # so much from outside, and nothing of the exchange
                yield from self._placed(held, NO_TIME if is_silent or newest < 0 else newest)
                held, last = [], {}
        yield from self._placed(held, NO_TIME)

    def _placed(self, held: list[Message], until: Ts) -> Iterator[Message]:
        for message in held:
            at = max(self._now, min(message.ts, until))
            if at >= NO_TIME:
                at = self._now
            yield message if at == message.ts else msgspec.structs.replace(message, ts=at)

    def _due(self, until: Ts) -> Iterator[Message]:
        """Ticks, closes and what was heard outside up to a time, in their order."""
        if self._next_tick == NO_TIME:
            self._next_tick = Ts(until + self._interval_ms)
        elif until - self._next_tick > LONG_SILENCE_MS:
            self._next_tick = until
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
                if market.close_time == at:
                    yield from self._close(now, market)
            else:
                yield messages.Tick(now)
                self._next_tick = Ts(self._next_tick + self._interval_ms)


def _connected(recv_ts: Ts, conn: int, followed: set[str]) -> Iterator[_Received]:
    """A connection replaces the one before: what that one followed is not known until a snapshot."""
    if followed:
        yield recv_ts, messages.FeedGap(recv_ts, tuple(sorted(followed)), RECONNECTED)
        followed.clear()
    yield recv_ts, messages.FeedState(recv_ts, True, f"connection {conn}")
