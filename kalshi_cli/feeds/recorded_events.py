"""The events of a recording, in the order of its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.recorded import RecordedConnection, RecordedEvent, RecordedInput, RecordedItem, WatchNote
from kalshi_cli.feeds.recording_format import NO_TIME, at_line, decode_line, read_lines

MAX_BACK_MS = 1_000
"""Milliseconds by which the clock of a recorder may be set back without a word."""

FrameDecoder = Callable[[bytes, Ts], Iterable[RecordedItem]]
"""Decodes the frames of one connection and checks their sequence. A message without a time gets the given one."""


class _Watched(msgspec.Struct):
    """The note about a followed market; this program's recorder adds the whole market, its fees and its family."""

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


_decode_note = msgspec.json.Decoder(prepared(_Note)).decode
_decode_watched = msgspec.json.Decoder(prepared(_Watched)).decode


def recorded_events(
    path: Path,
    new_decoder: Callable[[bool], FrameDecoder],
    *,
    on_cut: Callable[[Ts], None] = lambda _at: None,
    on_end: Callable[[Ts], None] = lambda _at: None,
    on_read: Callable[[int], None] = lambda _size: None,
    on_back: Callable[[tuple[Ts, Ts]], object] = lambda _times: None,
) -> Iterator[RecordedEvent]:
    """Yield what a recording says, each with the time received, which is also the `ts` of a message without one.

    `new_decoder` is called for each connection with the `use_yes_price` of its subscription: the recorder's note, else
    false. An incomplete last line, whose writer was killed, is ignored. Of a file that ends in the
    middle, `on_cut` gets the time received of the last line; `on_end` gets that of any file, and
    `on_read` now and then the number of bytes read. `on_back` gets the times between which a recorder's clock goes
    back. Raises UsageError with the location of an invalid line.
    """
    use_yes_price = False
    recv_ts = NO_TIME
    newest = Ts(0)
    decoders: dict[int, FrameDecoder] = {}
    lines = read_lines(path, lambda: on_cut(recv_ts), on_read)
    for number, raw in lines:
        try:
            line = decode_line(raw)
            recv_ts = line.recv_ts
            if recv_ts < newest - MAX_BACK_MS:
                on_back((newest, recv_ts))
            newest = recv_ts if recv_ts != NO_TIME else newest
            if raw_note := bytes(line.note):
                note = _decode_note(raw_note)
                if note.use_yes_price is not None:
                    use_yes_price = note.use_yes_price
                if note.event == "watch_market":
                    yield recv_ts, _watched(recv_ts, _decode_watched(raw_note)), b""
                elif said := note.spot or note.lost or note.fair or note.signal:
                    yield recv_ts, RecordedInput(recv_ts, said), b""
                continue
            decode = decoders.get(line.conn)
            if decode is None:
                decode = decoders[line.conn] = new_decoder(use_yes_price)
                yield recv_ts, RecordedConnection(recv_ts, line.conn), b""
            frame = bytes(line.frame) or raw
            for message in decode(frame, recv_ts):
                yield recv_ts, message, frame
        except (ValueError, RecursionError) as error:
            if raw[-1:] != b"\n":
                on_cut(recv_ts)
                break  # The writer was killed within its last line.
            raise at_line(path, number, error) from error
    on_end(recv_ts)


class NotedMarket(NamedTuple):
    """A note of a recorder about a market, with the time received."""

    recv_ts: Ts
    ticker: str
    close_time: Ts | None
    has_result: bool


def watched_markets(path: Path) -> Iterator[NotedMarket]:
    """Yield the markets that a recorder noted; no frame is decoded.

    A line that cannot be read is left out: the run of the recording reports it.
    """
    for _, raw in read_lines(path, lambda: None):
        if b'"watch_market"' not in raw:
            continue
        try:
            line = decode_line(raw)
            note = _decode_watched(bytes(line.note))
            close = parse_ts(note.close_time) if note.close_time else None
        except (ValueError, RecursionError):
            continue
        market = note.market
        if market is None:
            yield NotedMarket(line.recv_ts, note.market_ticker, close, has_result=False)
        else:
            yield NotedMarket(line.recv_ts, market.ticker, market.close_time, bool(market.result))


def _watched(recv_ts: Ts, note: _Watched) -> RecordedItem:
    if note.market is not None:
        return messages.MarketChange(recv_ts, note.market, note.fees, note.family)
    close_time = parse_ts(note.close_time) if note.close_time else None
    return WatchNote(ticker=note.market_ticker, close_time=close_time, strike=note.strike, status=note.status)
