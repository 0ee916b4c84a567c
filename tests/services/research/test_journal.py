"""What a recorder wrote is in the lake after a kill, but for the last seconds; several record at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.lake import NOW, lake_of, play_lake
from support.places import ROOT
from support.recordings import Tape

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import BookDelta, FeedGap
from kalshi_cli.feeds.recording_format import decode_line
from kalshi_cli.lake.lake import Lake
from kalshi_cli.services.research.journal import ROTATE_S, SYNC_S, JournalRecorder, add_leftovers
from kalshi_cli.testing import market

WRITER = """
import sys, time
from pathlib import Path
from support.recordings import Tape
from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.feeds.recording_format import decode_line
from kalshi_cli.lake.lake import open_lake
from kalshi_cli.services.research.journal import JournalRecorder, SYNC_S
tape = Tape().snapshot(yes={"0.4000": "5.00"})
clock = ManualClock(tape.now)
recorder = JournalRecorder(open_lake(Path(sys.argv[1])), clock, SystemClock(), print)
recorder.connected(use_yes_price=False)
recorder.frame(bytes(decode_line(tape.lines[0]).frame))
for number in range(1, 10**6):
    tape.delta(100)
    clock.sleep(0.1)
    recorder.frame(bytes(decode_line(tape.lines[-1]).frame))
    recorder.upkeep(print)
    if number % 100 == 0:
        print(number, flush=True)
    if number > 1_000:
        time.sleep(0.001)
"""


def frames(recorder: JournalRecorder, tape: Tape, clock: ManualClock) -> None:
    for line in map(decode_line, tape.lines):
        clock.set(line.recv_ts)
        recorder.frame(bytes(line.frame))


def deltas(lake: Lake) -> int:
    return sum(isinstance(message, BookDelta) for message in play_lake(lake))


def test_a_killed_recorder_loses_at_most_ten_seconds(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(lake.root)], stdout=subprocess.PIPE, text=True, env=variables, cwd=ROOT
    )
    assert writer.stdout is not None
    written = 0
    try:
        while written < 700:
            written = int(writer.stdout.readline())
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait(timeout=20)
        writer.stdout.close()
    told: list[str] = []
    add_leftovers(lake, ManualClock(NOW), told.append)
    assert told[0].startswith("Added the journal of an interrupted recording")
    assert deltas(lake) >= written - 100, "ten seconds are a hundred changes"
    assert not list((lake.root / "journal").iterdir())
    add_leftovers(lake, ManualClock(NOW), told.append)
    assert len(told) == 1


def test_lines_reach_the_disk_though_nothing_more_is_written(tmp_path: Path) -> None:
    lake, clock = lake_of(tmp_path), ManualClock(NOW)
    recorder = JournalRecorder(lake, clock, clock, print)
    tape = Tape().snapshot(yes={"0.4000": "5.00"}).delta(10)
    frames(recorder, tape, clock)
    assert recorder.path.stat().st_size == 0
    clock.sleep(SYNC_S + 0.1)
    recorder.upkeep(print)
    assert recorder.path.read_bytes().count(b"\n") == 2
    recorder.close()


def test_a_journal_in_use_is_left_alone_and_two_recorders_have_two(tmp_path: Path) -> None:
    lake, clock, told = lake_of(tmp_path), ManualClock(NOW), list[str]()
    first = JournalRecorder(lake, clock, clock, told.append)
    clock.sleep(0.01)
    second = JournalRecorder(lake, clock, clock, told.append)
    frames(first, Tape().snapshot(yes={"0.4000": "5.00"}).delta(10), clock)
    frames(second, Tape().snapshot(yes={"0.4000": "5.00"}, ticker="KXB-1").delta(10, ticker="KXB-1"), clock)
    add_leftovers(lake, clock, told.append)
    assert first.path.exists()
    first.close()
    second.close()
    assert told == []
    assert deltas(lake) == 2
    assert {each.series for each in lake.sessions()} == {("KXA",), ("KXB",)}


def test_a_new_journal_begins_every_hour_with_the_snapshots_it_asks_for(tmp_path: Path) -> None:
    lake, clock = lake_of(tmp_path), ManualClock(NOW)
    recorder = JournalRecorder(lake, clock, clock, print)
    recorder.connected(use_yes_price=False)
    tape = Tape().snapshot(yes={"0.4000": "5.00"}).delta(10).delta(10)
    frames(recorder, tape, clock)
    before = recorder.path
    clock.sleep(ROTATE_S + 1)
    recorder.upkeep(print)
    assert recorder.path != before
    tape.lines.clear()
    tape.now = type(tape.now)(tape.now + 3_602_000)
    frames(recorder, tape.delta().snapshot(yes={"0.4100": "7.00"}).delta(10), clock)
    recorder.close()
    assert len(lake.sessions()) == 2
    gaps = [message for message in play_lake(lake) if isinstance(message, FeedGap)]
    assert gaps
    assert deltas(lake) == 3
    assert not list((lake.root / "journal").iterdir())


def test_a_new_journal_notes_no_settled_market(tmp_path: Path) -> None:
    clock, asked = ManualClock(NOW), list[str]()
    recorder = JournalRecorder(lake_of(tmp_path), clock, clock, print)
    recorder.watch(market("KXA-1"))
    recorder.watch(market("KXA-2"))
    recorder.watch(market("KXA-1", status=MarketStatus.FINALIZED))
    clock.sleep(ROTATE_S + 1)
    recorder.upkeep(asked.append)
    assert asked == ["KXA-2"]
    recorder._recorder.sync()
    assert "KXA-1" not in recorder.path.read_text()
    recorder.close()


def test_a_recording_without_data_leaves_nothing(tmp_path: Path) -> None:
    lake, clock = lake_of(tmp_path), ManualClock(NOW)
    recorder = JournalRecorder(lake, clock, clock, pytest.fail)
    recorder.connected()
    recorder.close()
    assert not list((lake.root / "journal").iterdir())
    assert lake.sessions() == []
