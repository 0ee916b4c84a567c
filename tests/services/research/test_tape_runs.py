"""Several recordings, each a run of its own: the same result with one and two processes, and sums that add up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lake import lake_of
from support.recordings import T0
from support.tapes import SETUP, swinging_tapes

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import TradeConfig
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.tape_runs import (
    BacktestSetup,
    DrawdownSum,
    merge_reports,
    run_tape,
    run_tapes,
    split_by_tape,
    without_secrets,
)


def request(*files: Path, strategy: str = "threshold", **params: str) -> BacktestRequest:
    return BacktestRequest(strategies=(strategy,), files=files, params=params)


def test_one_and_two_processes_give_the_same_report_in_the_order_of_the_files(tmp_path: Path) -> None:
    requests = split_by_tape(request(*swinging_tapes(tmp_path)))
    shown: list[tuple[int, int]] = []
    one, two = run_tapes(SETUP, requests, 1), run_tapes(SETUP, requests, 2, lambda *now: shown.append(now))
    assert one == two
    assert shown == [(number, 5) for number in range(1, 6)]
    assert [run.report for run in one] == [run_tape(SETUP, each).report for each in requests]
    merged = merge_reports([run.report for run in one], SETUP.cash)
    assert merged == merge_reports([run.report for run in two], SETUP.cash)
    parts = [run.report.summary for run in one]
    assert merged.summary.fills == sum(part.fills for part in parts) == len(merged.fills) > 0
    assert merged.summary.net == sum(part.net for part in parts) != 0
    assert merged.summary.balance == SETUP.cash + sum((part.balance or 0) - SETUP.cash for part in parts)
    assert sum(part.net for part in merged.markets.values()) == merged.summary.net
    assert sum(part.net for part in merged.summary.strategies) == merged.summary.net
    assert merged.curve[-1][1] == merged.summary.net


def test_a_single_run_is_its_own_sum(tmp_path: Path) -> None:
    run = run_tape(SETUP, request(swinging_tapes(tmp_path)[0]))
    assert merge_reports([run.report], SETUP.cash) == run.report


def test_ticks_come_at_the_interval_of_the_trade_loop_or_of_the_request(tmp_path: Path) -> None:
    tape = request(swinging_tapes(tmp_path)[0])
    slow = msgspec.structs.replace(SETUP, interval_s=4.0)
    every_second = msgspec.structs.replace(tape, interval_s=1.0)
    cycles = run_tape(SETUP, tape).report.summary.cycles
    assert run_tape(slow, tape).report.summary.cycles == cycles // 4 > 1
    assert run_tape(slow, every_second).report.summary.cycles == cycles


def test_the_interval_of_the_configuration_is_that_of_a_backtest() -> None:
    assert BacktestSetup.of(Config(trade=TradeConfig(interval_s=3.0))).interval_s == 3.0


def test_files_of_outside_inputs_belong_to_every_recording(tmp_path: Path) -> None:
    first, second, spot = (tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "spot.csv"))
    found = split_by_tape(request(first, spot, second))
    assert [each.files for each in found] == [(first, spot), (second, spot)]
    with pytest.raises(UsageError, match=r"No recording among spot\.csv"):
        split_by_tape(request(spot))


def test_recordings_of_a_lake_are_split_like_their_files(tmp_path: Path) -> None:
    """By time, whatever the names of the files."""
    tapes = swinging_tapes(tmp_path)
    lake = lake_of(tmp_path, *tapes)
    base = msgspec.structs.replace(request(), lake=lake.root)
    requests = split_by_tape(base)
    assert len({each.sessions for each in requests}) == 5
    assert run_tapes(SETUP, requests, 2) == run_tapes(SETUP, split_by_tape(request(*tapes)), 1)
    later = Ts(T0 + 3 * 86_400_000)
    assert split_by_tape(msgspec.structs.replace(base, since=later)) == [
        msgspec.structs.replace(each, since=later) for each in requests[3:]
    ]
    one = msgspec.structs.replace(base, sessions=requests[1].sessions)
    assert split_by_tape(one) == [requests[1]]
    with pytest.raises(UsageError, match="choose from the lake, not from files such as"):
        split_by_tape(msgspec.structs.replace(one, files=(tapes[4],)))


def test_a_recording_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    tapes = swinging_tapes(tmp_path)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(tapes[1].read_bytes())
    for twice in (tapes[1], copy):
        with pytest.raises(UsageError, match=f"{tapes[1].name} and {twice.name} are the same recording"):
            split_by_tape(request(*tapes, twice))


def test_a_refused_recording_in_a_process_is_the_same_error(tmp_path: Path) -> None:
    tapes = swinging_tapes(tmp_path)
    with pytest.raises(UsageError, match="Recording not found"):
        run_tapes(SETUP, split_by_tape(request(tapes[0], tmp_path / "none.jsonl")), 2)


DIES = """
import os
from kalshi_cli.strategies.api import Strategy
class Dies(Strategy):
    name = "dies"
    def on_tick(self, view):
        os._exit(1)
"""


def test_a_dead_process_is_one_clear_error(tmp_path: Path) -> None:
    code = tmp_path / "dies.py"
    code.write_text(DIES)
    code.chmod(0o600)
    with pytest.raises(KalshiError, match="A worker process ended unexpectedly"):
        run_tapes(SETUP, split_by_tape(request(*swinging_tapes(tmp_path), strategy=str(code))), 2)


def test_variables_of_this_program_are_gone_for_a_time() -> None:
    variables = {"KALSHI_API_KEY_ID": "x", "PATH": "/bin"}
    with without_secrets(variables):
        assert variables == {"PATH": "/bin"}
    assert msgspec.json.encode(variables) == b'{"PATH":"/bin","KALSHI_API_KEY_ID":"x"}'


def drawdown(curve: list[int]) -> int:
    peak = deepest = 0
    for value in curve:
        peak = max(peak, value)
        deepest = max(deepest, peak - value)
    return deepest


@given(st.lists(st.lists(st.integers(-100, 100), min_size=1, max_size=6), min_size=1, max_size=5))
def test_the_drawdown_of_runs_is_that_of_their_joined_curve(runs: list[list[int]]) -> None:
    sums, joined = DrawdownSum(), [0]
    for curve in runs:
        joined += [joined[-1] + value for value in curve]
        start = joined[-1] - curve[-1]
        assert start == sums.net
        sums.add(Money(curve[-1]), Money(drawdown(curve)), Money(max([0, *curve])), Money(min([0, *curve])))
    assert (sums.net, sums.deepest) == (joined[-1], drawdown(joined))
