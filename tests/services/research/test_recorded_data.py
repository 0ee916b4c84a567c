"""A backtest from the lake is the backtest of its files; gaps are counted, and refused or ignored where asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.lake import lake_of
from support.places import SHARED
from support.recordings import TICKER, Tape
from support.trading import PLAN

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import contracts, dollars
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.research.backtest import BacktestReport, BacktestRequest, backtest_warnings
from kalshi_cli.services.research.recorded_run import HOOK_LIMIT_S, over_recordings
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams

BOOK: dict[str, Any] = {"yes": {"0.4000": "50.00"}, "no": {"0.5600": "50.00"}}
TAPES = list((SHARED / "data" / "tapes").glob("*.jsonl.gz")) if SHARED.is_dir() else []


class Buyer(Strategy):
    """Buys a contract at the ask at each tick."""

    name = "buyer"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        ask = view.book(TICKER).best_ask if view.market(TICKER) is not None else None
        if ask is not None and not view.orders(TICKER):
            yield Place(TICKER, BID, ask, contracts(1), reason="an offer")


def run(strategy: Strategy | None = None, *, hook_limit_s: float = HOOK_LIMIT_S, **request: Any) -> BacktestReport:
    ids = itertools.count(1)
    given = {"files": (), **request}
    return over_recordings(
        BacktestRequest(strategies=("buyer",), **given), PLAN, RiskLimits(min_edge=None),
        [strategy or Buyer(StrategyParams())], cash=dollars(1_000), new_id=lambda: f"c{next(ids)}", references={},
        order_expiry_s=90.0, interval_s=1.0, hook_limit_s=hook_limit_s,
    )  # fmt: skip


def holed() -> Tape:
    """Changes before, within and after a hole of five seconds."""
    tape = Tape().snapshot(**BOOK)
    for _ in range(3):
        tape.delta(1_000)
    tape.skip(4)
    for _ in range(5):
        tape.delta(1_000)
    tape.snapshot(yes={"0.3000": "50.00"}, no={"0.6600": "50.00"})
    for _ in range(3):
        tape.delta(1_000)
    return tape


def test_a_backtest_from_the_lake_is_the_backtest_of_its_file(tmp_path: Path) -> None:
    path = holed().write(tmp_path / "tape.jsonl")
    results = tmp_path / "results.json"
    results.write_bytes(msgspec.json.encode({TICKER: "yes"}))
    lake = lake_of(tmp_path, path, results)
    report = run(lake=lake.root)
    assert report == run(files=(path,), results=(results,))
    assert report.summary.fills > 3


def test_news_of_markets_changes_no_backtest_from_the_lake(tmp_path: Path) -> None:
    """Of a market of the recording and of another series, between two recorded series."""
    tape = Tape().snapshot(**BOOK).snapshot(**BOOK, ticker="KXB-1")
    for second, ticker in enumerate((TICKER, "KXNEWS-1") * 4):
        tape.news("market_lifecycle_v2", event_type="determined", market_ticker=ticker, result="yes")
        tape.delta(1_000, ticker=(TICKER, "KXB-1")[second % 2])
    path = tape.write(tmp_path / "tape.jsonl")
    lake = lake_of(tmp_path, path)
    of_file = run(files=(path,))
    assert of_file.holes == 0
    assert of_file.summary.fills > 3
    assert run(lake=lake.root) == run(lake=lake.root, series=("KXA", "KXB")) == of_file


def test_without_results_and_fees_the_report_says_so_first(tmp_path: Path) -> None:
    report = run(files=(holed().write(tmp_path / "tape.jsonl"),))
    lines = backtest_warnings(report, "forget")
    assert [line.partition(" of ")[0] for line in lines] == [
        "1 gap in the data, 5.0 s without a book (summed over markets): no trading in a market until its next snapshot",
        "Unknown: fees and fee waivers", "Unknown: result",
        "Unknown: public trades: the data has none, so resting orders fill only where the book shows it",
        "Unknown: No price for 1 market with an open position: valued at cost",
    ]  # fmt: skip


def test_nothing_is_traded_in_a_hole_unless_it_is_ignored(tmp_path: Path) -> None:
    path = holed().write(tmp_path / "tape.jsonl")
    forgotten, ignored = run(files=(path,)), run(files=(path,), holes="ignore")
    assert ignored.holes == forgotten.holes == 1
    assert ignored.summary.fills > forgotten.summary.fills
    assert backtest_warnings(ignored, "ignore")[0].endswith(": ignored")


def test_a_hole_is_refused_where_asked(tmp_path: Path) -> None:
    path = holed().write(tmp_path / "tape.jsonl")
    with pytest.raises(UsageError, match=r"A gap in the data at 2026-.*expected seq 5 of sid 2, got 9") as caught:
        run(files=(path,), holes="refuse")
    assert caught.value.code == "hole"
    whole = Tape().snapshot(**BOOK).delta(1_000).delta(1_000)
    assert run(files=(whole.write(tmp_path / "whole.jsonl"),), holes="refuse").holes == 0


def test_a_recording_that_ends_in_the_middle_says_so_first(tmp_path: Path) -> None:
    path = holed().write(tmp_path / "tape.jsonl.gz")
    assert not any("TRUNCATED" in text for text in run(files=(path,)).facts.unknown)
    path.write_bytes(path.read_bytes()[:-20])
    report = run(files=(path,))
    first, *_ = report.facts.unknown
    assert first.startswith("the rest of a recording: tape.jsonl.gz ends in the middle: TRUNCATED after 2026-")
    assert f"Unknown: {first}" in backtest_warnings(report, "forget")


def test_results_of_other_markets_are_named_where_a_result_is_missing(tmp_path: Path) -> None:
    path, results = holed().write(tmp_path / "tape.jsonl"), tmp_path / "results.json"
    warning = "Warning: --results has the result of KXTYPO-1 and of 1 other market, which the data does not have"
    results.write_bytes(msgspec.json.encode({"KXTYPO-1": "yes", "KXTYPO-2": "no"}))
    assert warning in backtest_warnings(run(files=(path,), results=(results,)), "forget")
    results.write_bytes(msgspec.json.encode({"KXTYPO-1": "yes", TICKER: "no"}))
    assert run(files=(path,), results=(results,)).unused_results == ()


class Hangs(Strategy):
    """Does not return from its third tick."""

    name = "hangs"
    ticks = 0

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        self.ticks += 1
        while self.ticks > 2:
            pass
        yield from ()


def test_a_hook_that_does_not_return_ends_its_strategy(tmp_path: Path) -> None:
    report = run(Hangs(StrategyParams()), files=(holed().write(tmp_path / "tape.jsonl"),), hook_limit_s=0.2)
    assert report.summary.failed[0].startswith("hangs: StrategyTimeoutError: no response for 0.2 s")


def test_a_lake_without_such_a_recording_is_named(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, holed().write(tmp_path / "tape.jsonl"))
    with pytest.raises(UsageError, match="No recording of KXNONE at these times in the lake"):
        run(lake=lake.root, series=("KXNONE",))


@pytest.mark.skipif(not TAPES, reason="no recordings beside the repository")
def test_a_tape_of_the_exchange_gives_the_same_report_from_the_lake(tmp_path: Path) -> None:
    """With the strategy that looks at the book after every change."""
    results = SHARED / "data" / "tapes" / "results.json"
    tape = min(TAPES, key=lambda path: path.stat().st_size)
    lake = lake_of(tmp_path, tape, results)
    first, second = (
        run(registry.make("market-maker", {}), lake=lake.root),
        run(registry.make("market-maker", {}), files=(tape,), results=(results,)),
    )
    assert first == second
    assert first.summary.fills > 0
