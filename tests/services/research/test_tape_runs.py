"""Several recordings, each a run of its own: the same result with one and two processes, and sums that add up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lake import lake_of
from support.recordings import T0, TICKER
from support.tapes import SETUP, swinging_tape, swinging_tapes

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.units import Money, Ts, contracts, format_ts
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import TradeConfig
from kalshi_cli.services.research.backtest import BacktestRequest, backtest_notes, backtest_view, unknown_lines
from kalshi_cli.services.research.report.measures import BacktestFacts
from kalshi_cli.services.research.tape_runs import (
    BacktestSetup,
    DrawdownSum,
    merge_facts,
    merge_reports,
    run_tape,
    run_tapes,
    split_by_tape,
    without_secrets,
)
from kalshi_cli.views.backtests import ProfitPartRow


def request(*files: Path, strategy: str = "threshold", **params: str) -> BacktestRequest:
    return BacktestRequest(strategies=(strategy,), files=files, params=params)


def test_one_and_two_processes_give_the_same_report_in_the_order_of_the_files(tmp_path: Path) -> None:
    requests = split_by_tape(request(*swinging_tapes(tmp_path)))
    shown: list[tuple[int, int]] = []
    one, two = run_tapes(SETUP, requests, 1), run_tapes(SETUP, requests, 2, lambda *now: shown.append(now))
    assert one == two
    assert shown == [(number, 5) for number in range(1, 6)]
    assert one == [run_tape(SETUP, each) for each in requests]
    merged = merge_reports(one, SETUP.cash)
    assert merged == merge_reports(two, SETUP.cash)
    parts = [run.summary for run in one]
    assert merged.summary.fills == sum(part.fills for part in parts) == len(merged.fills) > 0
    assert merged.summary.net == sum(part.net for part in parts) != 0
    assert merged.summary.balance == SETUP.cash + sum((part.balance or 0) - SETUP.cash for part in parts)
    assert sum(part.net for part in merged.markets.values()) == merged.summary.net
    assert sum(part.net for part in merged.summary.strategies) == merged.summary.net
    assert merged.curve[-1][1] == merged.summary.net
    names = [each.recording for each in requests]
    assert names == [each.files[0].name for each in requests]
    rows = backtest_view(merge_reports(one, SETUP.cash, names)).by_recording
    assert [row.recording for row in rows] == names
    assert [(row.fills, row.net) for row in rows] == [(part.fills, part.net) for part in parts]
    assert backtest_view(one[0]).by_recording == ()
    exposures = [backtest_view(run).highest_exposure for run in one]
    assert backtest_view(merged).highest_exposure == max(exposures) > 0, "the runs have accounts of their own"


def test_the_missing_data_of_separate_runs_adds_up(tmp_path: Path) -> None:
    """Two markets in three recordings: each market counts once, contracts and dollars are those of all runs."""
    tapes = [swinging_tape(tmp_path / f"{day}.jsonl", day, 20, 70) for day in range(2)]
    other = tmp_path / "other.jsonl"
    other.write_bytes(tapes[0].read_bytes().replace(TICKER.encode(), b"KXOTHER-1"))
    reports = run_tapes(SETUP, split_by_tape(request(*tapes, other)), 1)
    merged = merge_reports(reports, SETUP.cash)
    assert [len(report.facts.tickers) for report in reports] == [1, 1, 1]
    fees, result, *_ = unknown_lines(merged)
    assert fees.startswith("fees and fee waivers of 2 of 2 markets")
    assert result.startswith("result of 2 of 2 markets")
    assert [each.words for each in merged.facts.unknown] == [each.words for each in reports[0].facts.unknown]


def test_a_report_says_from_where_on_live_trading_would_have_been_stopped(tmp_path: Path) -> None:
    """One order of the strategy reaches this limit in 15 s; live, its order group would be triggered."""
    setup = msgspec.structs.replace(SETUP, group_limit=contracts(5))
    requests = split_by_tape(request(*swinging_tapes(tmp_path)))
    reports = run_tapes(setup, requests, 1)
    merged = merge_reports(reports, SETUP.cash)
    first, *others = [report.fills[0] for report in reports if report.fills]
    line, *rest = backtest_view(merged).unknown
    assert line.startswith(f"trading after {format_ts(first.ts)}: {first.ticker}: ")
    assert line.endswith(f"(GROUP_LIMIT; the same in {len(others)} other runs)")
    assert not any("GROUP_LIMIT" in text for text in rest)
    assert merged.summary == merge_reports(run_tapes(SETUP, requests, 1), SETUP.cash).summary
    assert BacktestSetup.of(Config(trade=TradeConfig(group_limit=contracts(7)))).group_limit == contracts(7)


@pytest.mark.parametrize("source", [{}, {"source": "ignored.csv"}])
def test_a_backtest_needs_no_source_because_the_data_has_what_it_gave(tmp_path: Path, source: dict[str, str]) -> None:
    tape = swinging_tape(tmp_path / "tape.jsonl", 0, 20, 70)
    fairs = tmp_path / "fairs.csv"
    fairs.write_text(f"time,ticker,probability\n{format_ts(T0)},{TICKER},0.60\n")
    assert run_tape(SETUP, request(tape, fairs, strategy="model-edge", **source)).fills
    with pytest.raises(UsageError, match=r"No probability in tape\.jsonl"):
        run_tape(SETUP, request(tape, strategy="model-edge", **source))


def test_what_a_strategy_prints_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noisy = tmp_path / "noisy.py"
    noisy.write_text(
        "from kalshi_cli.strategies.api import Strategy\n\n\nclass Noisy(Strategy):\n    name = 'noisy'\n\n"
        "    def on_tick(self, view):\n        print('debug')\n"
    )
    noisy.chmod(0o644)
    run_tape(SETUP, request(swinging_tapes(tmp_path)[0], strategy=str(noisy)))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "debug\n" in printed.err


def by_part(rows: Iterable[ProfitPartRow]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        sums = found.setdefault(row.part, [0] * 5)
        for number, value in enumerate((row.round_trips, row.count, row.gross, row.fees, row.net)):
            sums[number] += value
    return found


def test_separate_runs_of_one_market_are_summed_and_share_no_position(tmp_path: Path) -> None:
    """Some of the runs end with an open position, which the next one neither has nor sells."""
    reports = [run_tape(SETUP, each) for each in split_by_tape(request(*swinging_tapes(tmp_path)))]
    views, merged = list(map(backtest_view, reports)), backtest_view(merge_reports(reports, SETUP.cash))
    assert 0 < sum(view.trades[-1].position_after != 0 for view in views if view.trades) < len(views)
    assert merged.trades == tuple(row for view in views for row in view.trades)
    assert (merged.markets, merged.markets_traded) == (1, 1)
    assert (merged.runs, {view.runs for view in views}) == (5, {1})
    assert merged.turnover == sum(view.turnover for view in views)
    for name in ("by_hour", "by_price", "by_time_to_close"):
        assert by_part(getattr(merged, name)) == by_part(row for view in views for row in getattr(view, name))
        assert sum(row.net for row in getattr(merged, name)) == merged.net
    assert "Sum of 5 separate runs, each with its own cash and positions" in backtest_notes(
        merge_reports(reports, SETUP.cash)
    )
    assert merged.closed_positions == sum(view.closed_positions or 0 for view in views) > 0
    shares = [view.time_in_market or 0 for view in views]
    assert min(shares) < (merged.time_in_market or 0) < max(shares)
    days, events = (next(row.observations for row in merged.ratios if row.per == per) for per in ("day", "event"))
    assert (days, events) == (5, 1)


def test_runs_of_one_day_are_one_day_with_the_sum_of_their_gains() -> None:
    one, two = BacktestFacts(days={7: Money(5), 8: Money(1)}), BacktestFacts(days={7: Money(-9)})
    assert merge_facts([one, two], Money(0)).days == {7: -4, 8: 1}


def test_the_strategies_of_separate_runs_keep_their_own_fills(tmp_path: Path) -> None:
    """The runs give their fills the same ids."""
    reports = []
    for name, each in zip("ab", split_by_tape(request(*swinging_tapes(tmp_path)[:3:2])), strict=True):
        report = run_tape(SETUP, each)
        facts = msgspec.structs.replace(report.facts, strategies=dict.fromkeys(report.facts.strategies, name))
        reports.append(msgspec.structs.replace(report, facts=facts))
    merged = backtest_view(merge_reports(reports, SETUP.cash))
    assert [(row.part, row.net) for row in merged.by_strategy] == [
        (name, report.summary.net) for name, report in zip("ab", reports, strict=True)
    ]
    assert all(report.fills for report in reports)


def test_recordings_without_data_of_the_period_are_left_out_and_named(tmp_path: Path) -> None:
    tapes, told = swinging_tapes(tmp_path), list[str]()
    day = 86_400_000
    cut = msgspec.structs.replace(request(*tapes), since=Ts(T0 + day), until=Ts(T0 + 3 * day))
    found = split_by_tape(cut, told.append)
    assert [each.files for each in found] == [(tapes[1],), (tapes[2],)]
    line, shared = told
    assert shared.startswith(f"Warning: 1 market is in more than one recording: {TICKER}. ")
    assert line.startswith("Left out 3 of 5 recordings without data from ")
    assert line.endswith(f": {tapes[0].name}, {tapes[3].name}, {tapes[4].name}")
    assert len(run_tapes(SETUP, found, 1)) == 2
    spot = tmp_path / "spot.csv"
    spot.write_text("time,price\n")
    assert split_by_tape(msgspec.structs.replace(cut, files=(*tapes, spot))) == [
        msgspec.structs.replace(each, files=(*each.files, spot)) for each in found
    ]
    nothing = msgspec.structs.replace(cut, since=Ts(T0 + 9 * day), until=None)
    with pytest.raises(
        UsageError,
        match=f"No recorded data from .* in 5 recordings. {tapes[0].name}: it covers .*; {tapes[1].name}: it covers ",
    ):
        split_by_tape(nothing, told.append)
    assert len(told) == 2
    many = msgspec.structs.replace(cut, files=(*tapes[3:], *(tmp_path / f"x{n}.jsonl" for n in range(5)), tapes[1]))
    for n in range(5):
        swinging_tape(tmp_path / f"x{n}.jsonl", 20 + n, 20, 70)
    split_by_tape(many, told.append)
    assert told[-1].endswith(": 6.jsonl, 5.jsonl, x0.jsonl, x1.jsonl, x2.jsonl, and 2 more")


@pytest.mark.parametrize("is_lake", [False, True])
def test_each_separate_run_plays_the_named_markets_that_its_recording_has(tmp_path: Path, is_lake: bool) -> None:
    tapes = list(swinging_tapes(tmp_path)[:3])
    for number, name in enumerate(("KXB-1", "KXC-1"), 1):
        tapes[number].write_bytes(tapes[number].read_bytes().replace(TICKER.encode(), name.encode()))
    source = {"files": (), "lake": lake_of(tmp_path, *tapes).root} if is_lake else {}
    base = msgspec.structs.replace(request(*tapes), tickers=(TICKER, "KXB"), **source)
    told: list[str] = []
    parts = split_by_tape(base, told.append)
    assert [each.tickers for each in parts] == [(TICKER,), ("KXB",)]
    assert [run_tape(SETUP, each).facts.tickers for each in parts] == [{TICKER}, {"KXB-1"}]
    assert len(told) == 1
    assert told[0].startswith(f"Left out 1 of 3 recordings without {TICKER}, KXB: ")
    assert is_lake or told[0].endswith(tapes[2].name)
    begun_later = msgspec.structs.replace(base, since=Ts(T0 + 86_400_000))
    with pytest.raises(UsageError, match=f"No market {TICKER} in "):
        split_by_tape(begun_later)
    with pytest.raises(UsageError, match="No market KXD in ") as caught:
        split_by_tape(msgspec.structs.replace(base, tickers=("KXB", "KXD")))
    assert caught.value.hint == f"it has {TICKER}, KXB-1, KXC-1"


def test_a_single_run_is_its_own_sum(tmp_path: Path) -> None:
    run = run_tape(SETUP, request(swinging_tapes(tmp_path)[0]))
    assert merge_reports([run], SETUP.cash) == run


def test_ticks_come_at_the_interval_of_the_trade_loop_or_of_the_request(tmp_path: Path) -> None:
    tape = request(swinging_tapes(tmp_path)[0])
    slow = msgspec.structs.replace(SETUP, interval_s=4.0)
    every_second = msgspec.structs.replace(tape, interval_s=1.0)
    cycles = run_tape(SETUP, tape).summary.cycles
    assert run_tape(slow, tape).summary.cycles == cycles // 4 > 1
    assert run_tape(slow, every_second).summary.cycles == cycles


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


def test_recordings_of_one_market_at_the_same_time_are_refused_as_separate_runs(tmp_path: Path) -> None:
    """Jobs, comparisons and searches all split their recordings here."""
    tapes = [swinging_tape(tmp_path / f"{number}.jsonl", 3, 20 + number, 70) for number in range(2)]
    with pytest.raises(UsageError, match=r"0\.jsonl and .*1\.jsonl both have") as caught:
        split_by_tape(request(*tapes))
    assert caught.value.code == "overlap"


@pytest.mark.parametrize("is_lake", [False, True])
def test_a_warning_names_the_markets_that_several_separate_runs_can_trade(tmp_path: Path, is_lake: bool) -> None:
    first, second, third = swinging_tapes(tmp_path)[:3]
    third.write_bytes(third.read_bytes().replace(TICKER.encode(), b"KXOTHER-1"))
    told: list[str] = []

    def tell_of(*files: Path, **fields: Any) -> None:
        whole = request(*files, strategy="threshold")
        if is_lake:
            whole = request(strategy="threshold")
            fields["lake"] = lake_of(tmp_path / str(len(files)), *files).root
        split_by_tape(msgspec.structs.replace(whole, **fields), told.append)

    tell_of(first, third)
    assert told == []
    tell_of(first, second, third)
    (line,) = told
    assert line.startswith(f"Warning: 1 market is in more than one recording: {TICKER}. Each recording is a run of its")
    tell_of(first, second, third, tickers=("KXOTHER-1",))
    assert [text for text in told[1:] if "more than one" in text] == []
