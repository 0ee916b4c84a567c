"""What was recorded is what replay gives back."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from recording_build import T0, TICKER, Tape, play

from kalshi_cli.clock import ManualClock
from kalshi_cli.core.messages import BookDelta, BookSnapshot, FeedGap, MarketChange, Tick
from kalshi_cli.core.model import CENT_GRID, Market, MarketStatus
from kalshi_cli.errors import UsageError
from kalshi_cli.feeds.recorder import FLUSH_S, Recorder
from kalshi_cli.feeds.recording import decode_line, read_lines
from kalshi_cli.units import ONE_DOLLAR, Price, Qty, Ts

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
    recorder.watch(MARKET)
    recorder.connected()
    recorder.frame(frames_of(Tape().snapshot(yes={"0.4000": "5.00"}))[0])
    recorder.watch(settled)
    recorder.close()
    changes = [message.market for message in play(path) if isinstance(message, MarketChange)]
    assert changes == [MARKET, settled]


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
    with pytest.raises(UsageError, match="cannot write"):
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
