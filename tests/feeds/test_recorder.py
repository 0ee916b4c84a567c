"""What was recorded is what replay gives back."""

from __future__ import annotations

import itertools
import os
import re
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.recordings import T0, TICKER, Tape, play

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FairValue,
    FeedGap,
    MarketChange,
    Message,
    NewsSignal,
    SpotPrice,
    SpotUnavailable,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.feeds.recorder import FLUSH_S, Recorder
from kalshi_cli.feeds.recording_format import decode_line, read_lines
from kalshi_cli.feeds.replay import MAX_HELD

DELTA = b'{"type":"orderbook_delta","sid":2,"seq":%d,"msg":{"side":"yes",  "ts_ms":%d,"price_dollars":"0.4000",'
DELTA += b'"delta_fp":"1.00","market_ticker":"KXA-26MAY01-T1"}}'
MARKET = Market(
    ticker=TICKER,
    event_ticker="KXA",
    title="Will it — really?",
    status=MarketStatus.ACTIVE,
    grid=CENT_GRID,
    yes_bid=None,
    yes_bid_size=Qty(0),
    yes_ask=None,
    yes_ask_size=Qty(0),
    last=None,
    volume=Qty(0),
    volume_24h=Qty(0),
    open_interest=Qty(0),
    open_time=T0,
    close_time=Ts(T0 + 60_000),
    floor_strike=80_000.5,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(Ts(T0 + 123))


@pytest.fixture(params=["a.jsonl", "a.jsonl.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


@pytest.fixture
def recorder(path: Path, clock: ManualClock) -> Iterator[Recorder]:
    recorder = Recorder(path, clock)
    yield recorder
    recorder.close()


def frames_of(tape: Tape) -> list[bytes]:
    return [bytes(decode_line(line).frame) for line in tape.lines]


def test_a_recording_gives_the_same_messages_as_the_frames_it_was_made_of(
    path: Path, clock: ManualClock, tmp_path: Path
) -> None:
    tape = Tape(skew_ms=123).snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "5.00"})
    tape.delta().quote().delta().delta(40).skip(2).delta(700)
    recorder = Recorder(path, clock)
    recorder.connected(use_yes_price=False)
    for line in tape.lines:
        clock.set(decode_line(line).recv_ts)
        recorder.frame(bytes(decode_line(line).frame))
    recorder.close()
    assert play(path) == play(tape.write(tmp_path / "b.jsonl"))
    assert [type(message) for message in play(path)].count(FeedGap) == 1


def test_the_bytes_of_a_frame_are_not_touched(path: Path, recorder: Recorder) -> None:
    raw = DELTA % (1, T0)
    recorder.connected()
    recorder.frame(raw)
    recorder.frame(raw.decode() + "\n")
    recorder.close()
    lines = [decode_line(line) for _, line in read_lines(path)]
    assert [bytes(line.frame) for line in lines] == [b"", raw, raw]
    assert {line.recv_ts for line in lines} == {T0 + 123}


def test_a_blank_frame_is_not_recorded(path: Path, recorder: Recorder) -> None:
    recorder.frame("\n")
    recorder.close()
    assert list(read_lines(path)) == []


@pytest.mark.parametrize("bad", [b'{"type":"orderbook_delta",', b"<html>\n</html>", b"\xff\xfe"])
def test_a_broken_frame_does_not_break_the_recording(path: Path, recorder: Recorder, bad: bytes) -> None:
    recorder.connected()
    recorder.frame(frames_of(Tape().snapshot(yes={"0.4000": "5.00"}))[0])
    recorder.frame(bad)
    recorder.frame(b'{"type":"ok","sid":2,\n"seq":2}')
    recorder.frame(DELTA % (3, T0))
    recorder.close()
    messages = play(path)
    assert [type(message) for message in messages if isinstance(message, BookDelta | FeedGap)] == [BookDelta]


def test_a_watched_market_comes_back_as_it_was_and_again_when_it_changed(path: Path, recorder: Recorder) -> None:
    settled = msgspec.structs.replace(
        MARKET, status=MarketStatus.FINALIZED, result="yes", settlement_value=Price(ONE_DOLLAR)
    )
    fees, family = FeeSchedule(multiplier=500), Family(event_ticker="KXA", series_ticker="KXA", is_exclusive=True)
    recorder.watch(MARKET, fees, family)
    recorder.connected()
    recorder.frame(frames_of(Tape().snapshot(yes={"0.4000": "5.00"}))[0])
    recorder.watch(settled)
    recorder.close()
    changes = [message for message in play(path) if isinstance(message, MarketChange)]
    assert [change.market for change in changes] == [MARKET, settled]
    assert [(change.fees, change.family) for change in changes] == [(fees, family), (None, None)]


def test_each_connection_starts_its_sequence_anew(path: Path, recorder: Recorder, clock: ManualClock) -> None:
    for _ in range(2):
        recorder.connected()
        recorder.frame(frames_of(Tape().snapshot(yes={"0.4000": "5.00"}))[0])
        clock.advance(1)
    recorder.close()
    messages = [message for message in play(path) if not isinstance(message, Tick)]
    assert [type(message) for message in messages].count(BookSnapshot) == 2
    assert [message.reason for message in messages if isinstance(message, FeedGap)] == ["reconnected"]


def test_an_existing_file_is_never_overwritten(path: Path, clock: ManualClock) -> None:
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        Recorder(path, clock)
    assert path.read_text() == "precious"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(UsageError, match="Cannot write"):
        Recorder(tmp_path / "gone" / "a.jsonl", clock)


@pytest.mark.skipif(os.name == "nt", reason="no such permissions there")
def test_only_the_owner_may_read_a_recording(path: Path, recorder: Recorder) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_older_than_a_second_is_on_disk_though_nobody_closed_the_file(
    path: Path, recorder: Recorder, clock: ManualClock
) -> None:
    recorder.connected()
    recorder.frame(frames_of(Tape().snapshot(yes={"0.4000": "5.00"}))[0])
    for number in range(2, 12):
        clock.advance(FLUSH_S / 4)
        recorder.frame(DELTA % (number, T0 + number))
    assert len([message for message in play(path) if isinstance(message, BookDelta)]) >= 7


def test_recording_stops_at_its_size_between_two_lines(path: Path, clock: ManualClock) -> None:
    recorder = Recorder(path, clock, max_bytes=2_000)
    recorder.connected()
    for number in range(1, 2_000):
        clock.advance(FLUSH_S)
        recorder.frame(DELTA % (number, T0 + number))
    recorder.close()
    assert recorder.is_full
    assert path.stat().st_size < 3_000
    assert len(list(read_lines(path))) == recorder.lines < 2_000


# -- what came from outside the exchange ---------------------------------------------------------------------------

SPOT = SpotPrice(Ts(T0 - 90), "BTC", 801_769_700, "coinbase", 12_345)
FAIR = FairValue(Ts(T0 + 5), TICKER, Price(4_512), "fairs.csv", Ts(T0 + 300_005))
NEWS = NewsSignal(Ts(T0 + 6), "n1", "KXA*", ASK, 6_000, "minutes — dovish")
LOST = SpotUnavailable(Ts(T0 + 1), "BTC")
OUTSIDE = SpotPrice | SpotUnavailable | FairValue | NewsSignal


def test_what_was_heard_outside_comes_back_as_it_was_in_the_order_of_arrival(
    path: Path, recorder: Recorder, clock: ManualClock
) -> None:
    """Its own times are untouched, whatever time it has become: how old a price is decides what is done with it."""
    recorder.connected()
    recorder.frame(frames_of(Tape().snapshot(yes={"0.4000": "5.00"}))[0])
    said: list[Message] = []
    for number, outside in enumerate((SPOT, LOST, FAIR, NEWS), start=2):
        clock.advance(0.5)
        recorder.frame(DELTA % (number, clock.now()))
        recorder.heard(outside)
        said += [outside]
    recorder.close()
    found = [message for message in play(path) if isinstance(message, BookDelta | OUTSIDE)]
    assert [message for message in found if not isinstance(message, BookDelta)] == said
    assert [isinstance(message, BookDelta) for message in found] == [True, False] * 4


@pytest.mark.parametrize("skew_ms", [-252, 0, 563])
def test_what_was_heard_outside_does_not_move_the_books_whatever_the_recorders_clock_says(
    path: Path, recorder: Recorder, clock: ManualClock, skew_ms: int
) -> None:
    recorder.connected()
    recorder.frame(frames_of(Tape().snapshot(yes={"0.4000": "5.00"}))[0])
    for number in range(2, 22):
        clock.set(Ts(T0 + 100 * number + skew_ms))
        recorder.frame(DELTA % (number, T0 + 100 * number))
        recorder.heard(msgspec.structs.replace(SPOT, ts=clock.now()))
    recorder.close()
    played = play(path)
    assert [m.ts - T0 for m in played if isinstance(m, BookDelta)] == [100 * number for number in range(2, 22)]
    assert sum(isinstance(m, SpotPrice) for m in played) == 20


def test_time_passes_while_only_outside_prices_come(path: Path, recorder: Recorder, clock: ManualClock) -> None:
    recorder.connected()
    recorder.frame(frames_of(Tape().snapshot(yes={"0.4000": "5.00"}))[0])
    recorder.frame(DELTA % (2, clock.now()))
    prices = MAX_HELD * 2 + 10
    for _ in range(prices):
        clock.advance(0.05)
        recorder.heard(msgspec.structs.replace(SPOT, ts=clock.now()))
    recorder.frame(DELTA % (3, clock.now()))
    recorder.close()
    played = [message for message in play(path) if isinstance(message, SpotPrice | Tick)]
    at = [index for index, message in enumerate(played) if isinstance(message, Tick)]
    assert len(at) == prices // 20
    assert max(b - a for a, b in itertools.pairwise(at)) <= 22, "a tick each second, among the prices of that second"


def test_a_thread_that_hears_something_after_the_end_writes_nothing_and_fails_at_nothing(
    path: Path, recorder: Recorder
) -> None:
    recorder.close()
    recorder.heard(SPOT)
    assert list(read_lines(path)) == []


def test_threads_that_hear_and_the_stream_do_not_cut_each_others_lines(path: Path, recorder: Recorder) -> None:
    recorder.connected()
    threads = [threading.Thread(target=lambda: [recorder.heard(SPOT) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    assert len([message for message in play(path) if isinstance(message, SpotPrice)]) == 2_000


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_full_disk_is_named_with_the_file_and_leaves_no_empty_one(tmp_path: Path, name: str) -> None:
    path, limits = tmp_path / name, resource.getrlimit(resource.RLIMIT_FSIZE)
    clock = ManualClock(T0)
    recorder = Recorder(path, clock)
    recorder.connected()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match=re.escape(str(path))):
            recorder.sync()
        with pytest.raises(OSError, match=re.escape(str(path))):
            recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
