"""Runs that share a decoded recording: each gives the bytes of a separate run."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from support.lake import lake_of
from support.recordings import T0, TICKER, Tape
from support.tapes import SETUP, swinging_tapes

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.core.model.messages import Message
from kalshi_cli.services.research.backtest import BacktestReport, BacktestRequest, FillChoice, backtest_view
from kalshi_cli.services.research.feed_memory import FeedMemory
from kalshi_cli.services.research.recorded_data import BacktestFeed, replay_of
from kalshi_cli.services.research.tape_runs import run_backtest, run_tapes

VALUES = {
    "threshold": [{"buy_below": each, "sell_above": "50c"} for each in ("40c", "46c")],
    "market-maker": [{"size": each} for each in ("1", "5")],
}
OTHER = "KXB-26MAY01-T2"


def busy_tape(path: Path) -> Path:
    """Two markets whose prices wander, with groups of changes, trades, tickers, a gap and a second connection."""
    numbers, tape, mids = random.Random(7), Tape(skew_ms=40), {TICKER: 45, OTHER: 60}
    for ticker in mids:
        tape.watch(ticker, close_in_s=400)
    _snapshots(tape, mids)
    for number in range(500):
        ticker = numbers.choice(list(mids))
        if number == 300:
            tape.skip(3)
        if number == 350:
            _snapshots(tape, mids)
        if number == 450:
            _snapshots(tape.reconnect(), mids)
        step = numbers.choice((-1, 0, 0, 1)) if 20 < mids[ticker] < 80 else 0
        after, mids[ticker] = numbers.choice((0, 40, 900)), mids[ticker] + step
        low, high = mids[ticker] - 2, 100 - mids[ticker] - 2
        old = (low - step, high + step)
        if step:
            tape.delta(after, "yes", f"0.{old[0]:02}00", "-50.00", ticker)
            tape.delta(0, "no", f"0.{old[1]:02}00", "-50.00", ticker)
        tape.delta(0 if step else after, "yes", f"0.{low:02}00", "50.00" if step else "1.00", ticker)
        tape.delta(0, "no", f"0.{high:02}00", "50.00" if step else "1.00", ticker)
        if not number % 9:
            tape.quote(ticker=ticker)
            price, no = f"0.{low:02}00", f"0.{100 - low:02}00"
            sides = {"taker_side": "no", "yes_price_dollars": price, "no_price_dollars": no}
            tape.news("trade", market_ticker=ticker, trade_id=f"t{number}", count_fp="70.00", ts_ms=tape.now, **sides)
    tape.delta(10, "yes", "0.0100", f"{10**19}.00")  # more than 64 bits
    return tape.delta(10).write(path)


def _snapshots(tape: Tape, mids: dict[str, int]) -> None:
    for ticker, mid in mids.items():
        tape.snapshot({f"0.{mid - 2:02}00": "50.00"}, {f"0.{100 - mid - 2:02}00": "50.00"}, ticker)


def bytes_of(report: BacktestReport) -> bytes:
    return msgspec.json.encode(backtest_view(report))


def requests_over(*files: Path) -> list[BacktestRequest]:
    bounds: tuple[FillChoice, ...] = ("optimistic", "pessimistic")
    models = zip(bounds * 3, (0, 150, None) * 2, (0, 500, 500, 500, 0, 0), strict=True)
    return [
        BacktestRequest(
            strategies=(name,), files=files, params=params, fill_model=fills, latency_ms=latency, phase_ms=phase,
        )
        for fills, latency, phase in models
        for name, values in VALUES.items()
        for params in values
    ]  # fmt: skip


def test_every_run_over_a_kept_recording_has_the_bytes_of_a_separate_run(tmp_path: Path) -> None:
    memory, requests = FeedMemory(), requests_over(busy_tape(tmp_path / "tape.jsonl.gz"))
    separate = [run_backtest(SETUP, each) for each in requests]
    assert len({bytes_of(each) for each in separate}) > len(requests) / 4, "the runs differ"
    assert all(any(each.fills for each in separate if each.summary.strategy == name) for name in VALUES)
    assert separate[0].holes
    together = [run_backtest(SETUP, each, open_feed=memory.open) for each in requests]
    for request, one, other in zip(requests, separate, together, strict=True):
        assert one == other, request
        assert bytes_of(one) == bytes_of(other), request


def test_processes_that_keep_recordings_change_no_result(tmp_path: Path) -> None:
    tapes = swinging_tapes(tmp_path)[:3]
    requests = [
        BacktestRequest(strategies=("threshold",), files=(tape,), params={"buy_below": value, "sell_above": "50c"})
        for value in ("10c", "25c", "35c")
        for tape in tapes
    ]
    separate = run_tapes(SETUP, requests, 1)
    assert (
        separate == run_tapes(SETUP, requests, 1, has_repeats=True) == run_tapes(SETUP, requests, 2, has_repeats=True)
    )


def messages_of(feed: BacktestFeed, clock: ManualClock) -> list[tuple[Message, Ts]]:
    return [(message, clock.now()) for message in feed.messages]


def test_a_kept_recording_gives_the_same_immutable_messages_at_the_same_times(tmp_path: Path) -> None:
    fairs = tmp_path / "fairs.csv"
    fairs.write_text(f"time,ticker,probability\n{format_ts(Ts(T0 + 5_000))},{TICKER},0.60\n")
    memory, tape = FeedMemory(), busy_tape(tmp_path / "tape.jsonl")
    whole = BacktestRequest(strategies=(), files=(tape, fairs))
    for request in (whole, replace(whole, since=Ts(T0 + 3_000), until=Ts(T0 + 90_000), tickers=(OTHER,))):
        clocks = [ManualClock(Ts(0)) for _ in range(3)]
        expected = messages_of(replay_of(request, clocks[0], 1.0), clocks[0])
        assert len({type(message) for message, _ in expected}) > 5
        for clock in clocks[1:]:
            feed = memory.open(request, clock, 1.0)
            assert messages_of(feed, clock) == expected
            assert clock.now() == clocks[0].now()
        assert all(isinstance(hash(message), int) for message, _ in expected), "no part of a message can change"


def test_a_recording_is_decoded_again_only_if_its_file_has_changed(tmp_path: Path) -> None:
    memory, tape = FeedMemory(), busy_tape(tmp_path / "tape.jsonl")
    request, read = BacktestRequest(strategies=("threshold",), files=(tape,)), list[int]()
    first = run_backtest(SETUP, request, open_feed=memory.open)
    found = tape.stat()
    tape.write_bytes(b"x" * found.st_size)
    os.utime(tape, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert run_backtest(SETUP, request, read.append, memory.open) == first
    assert sum(read) == found.st_size, "progress counts what is not read again"
    swinging_tapes(tmp_path)[0].rename(tape)
    other = run_backtest(SETUP, request, open_feed=memory.open)
    assert other == run_backtest(SETUP, request) != first


def test_a_recording_that_does_not_fit_is_decoded_for_each_run(tmp_path: Path) -> None:
    tape, small = busy_tape(tmp_path / "tape.jsonl"), FeedMemory(max_bytes=20_000)
    request = BacktestRequest(strategies=("threshold",), files=(tape,))
    expected = run_backtest(SETUP, request)
    for _ in range(2):
        assert run_backtest(SETUP, request, open_feed=small.open) == expected
    found = tape.stat()
    tape.write_bytes(b"x" * found.st_size)
    os.utime(tape, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(UsageError):
        run_backtest(SETUP, request, open_feed=small.open)


def test_a_lake_and_other_ticks_are_feeds_of_their_own(tmp_path: Path) -> None:
    memory, tapes = FeedMemory(), swinging_tapes(tmp_path)[:1]
    of_files = BacktestRequest(strategies=("threshold",), files=tapes, params={"buy_below": "35c"})
    of_lake = replace(of_files, files=(), lake=lake_of(tmp_path, *tapes).root)
    for request in (of_files, of_lake, of_files, of_lake, replace(of_files, interval_s=0.5)):
        assert run_backtest(SETUP, request, open_feed=memory.open) == run_backtest(SETUP, request)
