"""A backtest from the lake is the backtest of its files; gaps are counted, and refused or ignored where asked."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support.lake import lake_of
from support.places import SHARED
from support.recordings import T0, TICKER, Tape
from support.trading import PLAN

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, Ts, cents, contracts, dollars, parse_money
from kalshi_cli.core.model.inputs import Input, SpotInput
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule, MarketStatus
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.model.recorded import ChangeRows
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.lake.upkeep import statistics
from kalshi_cli.services.research import recorded_data
from kalshi_cli.services.research.backtest import (
    BacktestReport,
    BacktestRequest,
    backtest,
    backtest_notes,
    backtest_view,
    backtest_warnings,
    unknown_lines,
)
from kalshi_cli.services.research.recorded_data import replay_of, unknown_of
from kalshi_cli.services.research.recorded_run import HOOK_LIMIT_S, over_recordings, set_up
from kalshi_cli.services.research.report.page import report_page
from kalshi_cli.services.research.report.unknown import lines_of
from kalshi_cli.services.research.tape_runs import merge_reports
from kalshi_cli.simulator.paper.queue_position import FillModel
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.testing import market

BOOK: dict[str, Any] = {"yes": {"0.4000": "50.00"}, "no": {"0.5600": "50.00"}}
TAPES = list((SHARED / "data" / "tapes").glob("*.jsonl.gz")) if SHARED.is_dir() else []


class Buyer(Strategy):
    """Buys a contract at the ask at each tick."""

    name = "buyer"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        ask = view.book(TICKER).best_ask if view.market(TICKER) is not None else None
        if ask is not None and not view.orders(TICKER):
            yield Place(TICKER, BID, ask, contracts(1), reason="an offer")


def run(*strategies: Strategy, hook_limit_s: float = HOOK_LIMIT_S, **request: Any) -> BacktestReport:
    ids = itertools.count(1)
    given = {"files": (), **request}
    return over_recordings(
        BacktestRequest(strategies=("buyer",), **given), PLAN, RiskLimits(min_edge=None),
        strategies or [Buyer(StrategyParams())], cash=dollars(1_000), new_id=lambda: f"c{next(ids)}", references={},
        order_expiry_s=90.0, interval_s=1.0, hook_limit_s=hook_limit_s,
        inputs=[wanted for strategy in strategies for wanted in strategy.inputs()],
    )  # fmt: skip


def untimed(report: BacktestReport) -> BacktestReport:
    """The report without how long hooks took: on a busy machine any of them can be slow."""
    return replace(report, summary=replace(report.summary, slow_hooks=0, slowest_hook_ms=None))


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


OTHER = "KXB-1"


def of_two_markets() -> Tape:
    """The changes of `holed` without its hole, and changes of another market in between."""
    tape = Tape().snapshot(**BOOK).snapshot(**BOOK, ticker=OTHER)
    for _ in range(6):
        tape.delta(500).delta(500, ticker=OTHER)
    return tape


class Listing(Buyer):
    """A buyer that keeps the markets that it saw."""

    def __init__(self) -> None:
        super().__init__(StrategyParams())
        self.seen: set[str] = set()

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        self.seen.update(view.tickers)
        yield from super().on_tick(view)


@pytest.mark.parametrize("is_lake", [False, True])
@pytest.mark.parametrize("name", [TICKER, TICKER.partition("-")[0]])
def test_a_part_of_the_markets_of_a_recording_is_played_by_market_or_series(
    tmp_path: Path, name: str, is_lake: bool
) -> None:
    path = of_two_markets().write(tmp_path / "tape.jsonl")
    source: dict[str, Any] = {"lake": lake_of(tmp_path, path).root} if is_lake else {"files": (path,)}
    some, all_of_them = Listing(), Listing()
    report = run(some, **source, tickers=(name,))
    assert run(all_of_them, **source).summary.fills == report.summary.fills > 3
    assert (some.seen, all_of_them.seen) == ({TICKER}, {TICKER, OTHER})
    assert report.holes == 0


@pytest.mark.parametrize("since", [None, Ts(T0 + 1_600)])
def test_a_part_of_the_markets_of_a_lake_has_the_rows_of_the_compiled_loop_and_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: Ts | None
) -> None:
    path = of_two_markets().write(tmp_path / "tape.jsonl")
    source: dict[str, Any] = {"lake": lake_of(tmp_path, path).root, "tickers": (TICKER,), "since": since}
    expected = run(**source)
    monkeypatch.setattr(recorded_data, "COMPILED_ROWS", 0)
    request = BacktestRequest(strategies=(), files=(), **source)
    feed, _, is_compiled, _ = replay_of(request, ManualClock(Ts(0)), 1.0)
    rows = [each for each in feed if isinstance(each, ChangeRows)]
    assert is_compiled
    assert {row.ticker for each in rows for row in each} == {TICKER}
    report = run(**source)
    assert report == expected
    assert report.summary.fills > 2


def test_a_gap_counts_only_for_the_chosen_markets(tmp_path: Path) -> None:
    path = of_two_markets().skip(4).delta(1_000).write(tmp_path / "tape.jsonl")
    assert (run(files=(path,)).holes, run(files=(path,), tickers=(TICKER,)).holes) == (2, 1)


def test_a_name_that_chooses_no_market_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    path = of_two_markets().write(tmp_path / "tape.jsonl")
    with pytest.raises(UsageError, match=r"No market KX in tape\.jsonl") as caught:
        run(files=(path,), tickers=(TICKER, "KX"))
    assert caught.value.hint == f"it has {TICKER}, {OTHER}"


class Rester(Strategy):
    """Places one bid of ten contracts at the best price, and keeps it."""

    name = "rester"
    is_done = False

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        if not self.is_done and view.market(TICKER) is not None:
            self.is_done = True
            yield Place(TICKER, BID, cents(40), contracts(10), expires_in_s=0, reason="waits")


def queued() -> Tape:
    """50 contracts ahead of an order and 50 behind it; 40 of them are canceled, then 35 are traded."""
    tape = Tape().snapshot(**BOOK).delta(1_000, price="0.3000").delta(1_000, price="0.3000")
    tape.delta(1_000, by="50.00").delta(1_000, by="-40.00").delta(1_000, price="0.3000").delta(2_000, price="0.3000")
    terms = {"yes_price_dollars": "0.4000", "count_fp": "35.00", "taker_book_side": "ask"}
    tape.news("trade", trade_id="t1", market_ticker=TICKER, ts_ms=tape.now, **terms)
    return tape.delta(10, by="-35.00").delta(1_000, price="0.3000")


@pytest.mark.parametrize("size", [0, 2**60], ids=["compiled", "reference"])
def test_the_fill_model_is_that_of_the_request_for_recordings_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(recorded_data, "COMPILED_FROM", size)
    path, filled = queued().write(tmp_path / "tape.jsonl"), {}
    assert replay_of(BacktestRequest(strategies=(), files=(path,)), ManualClock(Ts(0)), 1.0).is_compiled == (not size)
    for model in FillModel:
        report = run(Rester(StrategyParams()), files=(path,), fill_model=model.value)
        assert report.fill_model == model
        filled[model] = sum(fill.qty for fill in report.fills)
    assert filled == {
        FillModel.PROPORTIONAL: contracts(5), FillModel.OPTIMISTIC: contracts(10), FillModel.PESSIMISTIC: 0
    }  # fmt: skip


def test_both_bounds_without_public_trades_say_that_they_are_none(tmp_path: Path) -> None:
    for tape, is_told in ((queued(), False), (holed(), True)):
        report = run(Rester(StrategyParams()), files=(tape.write(tmp_path / "tape.jsonl"),), fill_model="pessimistic")
        assert not any("bounds" in line for line in unknown_lines(report)), "nobody asked for bounds"
        both = msgspec.structs.replace(report, bounds=(report, report))
        merged = merge_reports([report, report], dollars(1_000))
        for each in (both, msgspec.structs.replace(merged, bounds=(merged, merged))):
            assert any("bounds of --fills both could not be" in line for line in unknown_lines(each)) == is_told
            assert any("bounds of --fills both could" in line for line in backtest_view(each).unknown) == is_told


class Repeater(Strategy):
    """Buys a contract of the second market after each change of its book."""

    name = "repeater"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        ask = view.book(ticker).best_ask
        if ticker == "KXB-1" and ask is not None:
            yield Place(ticker, BID, ask, contracts(1), reason="again")


@pytest.mark.parametrize("size", [0, 2**60], ids=["compiled", "reference"])
@pytest.mark.parametrize("latency_ms", [0, 150])
def test_results_make_no_fill_of_an_order_that_is_in_flight_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, latency_ms: int
) -> None:
    """The first market settles an hour before the second one closes."""
    monkeypatch.setattr(recorded_data, "COMPILED_FROM", size)
    tape = Tape().watch(close_in_s=60).watch("KXB-1", close_in_s=3_600)
    tape.snapshot(**BOOK).snapshot(**BOOK, ticker="KXB-1")
    for _ in range(4):
        tape.delta(1_000).delta(0, ticker="KXB-1")
    path, results = tape.write(tmp_path / "tape.jsonl"), tmp_path / "results.json"
    results.write_bytes(msgspec.json.encode({TICKER: "yes"}))
    request: dict[str, Any] = {"files": (path,), "latency_ms": latency_ms}
    without = run(Repeater(StrategyParams()), **request)
    with_one = run(Repeater(StrategyParams()), **request, results=(results,))
    assert without.summary.fills > 2
    assert with_one.fills == without.fills
    assert (with_one.summary.intents, with_one.summary.net) == (without.summary.intents, without.summary.net)
    assert {fill.ts > tape.now for fill in with_one.fills} == {False}


class Onlooker(Buyer):
    """Notes at each tick the state of the market that it trades, and its position."""

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        self.seen: list[tuple[MarketStatus, str, bool]] = []

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        market = view.market(TICKER)
        assert market is not None
        self.seen.append((market.status, market.result, view.position(TICKER) != 0))
        yield from super().on_tick(view)


@pytest.mark.parametrize("size", [0, 2**60], ids=["compiled", "reference"])
def test_a_result_from_a_file_pays_at_the_close_and_no_strategy_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(recorded_data, "COMPILED_FROM", size)
    tape = Tape().watch(close_in_s=120).snapshot(**BOOK)
    for _ in range(14):
        tape.delta(10_000)
    path, results = tape.write(tmp_path / "tape.jsonl"), tmp_path / "results.json"
    results.write_bytes(msgspec.json.encode({TICKER: "yes"}))
    strategy = Onlooker(StrategyParams())
    report = run(strategy, files=(path,), results=(results,))
    assert set(strategy.seen[:100]) == {(MarketStatus.ACTIVE, "", False), (MarketStatus.ACTIVE, "", True)}
    assert set(strategy.seen[-10:]) == {(MarketStatus.CLOSED, "", False)}
    (settled,) = (each for each in report.facts.entries if isinstance(each, Settlement))
    assert (settled.ts, settled.result) == (T0 + 120_000, "yes")
    assert not any("result of" in line for line in unknown_lines(report))


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
    lines = backtest_warnings(report)
    assert [line.partition(" of ")[0] for line in lines] == [
        "Unknown: 1 gap in the data, 5.0 s without a book (summed over markets): "
        "no trading in a market until its next snapshot",
        "Unknown: fees and fee waivers", "Unknown: result",
        "Unknown: public trades: the data has none, so resting orders fill only where the book shows it",
        "Unknown: price to close 4 contracts in 1 market at: no usable price; valued at $1.36 by the price",
    ]  # fmt: skip


OTHER = "KXB-26NOV20-T1"


class Once(Strategy):
    """Buys five contracts at the ask, once in each market."""

    name = "once"

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        self.bought: set[str] = set()

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for ticker in (TICKER, OTHER):
            ask = view.book(ticker).best_ask
            if ask is not None and ticker not in self.bought:
                self.bought.add(ticker)
                yield Place(ticker, BID, ask, contracts(5), reason="an offer")


def closed(*, last: str | None = None) -> Tape:
    """A market that is bought at 44 cents, falls to 10 bid and 12 ask, and closes; then its orders are canceled."""
    tape = Tape().watch(close_in_s=10).snapshot(**BOOK)
    for _ in range(5):
        tape.delta(1_000)
    tape.snapshot(yes={"0.1000": "50.00"}, no={"0.8800": "50.00"}).snapshot(**BOOK, ticker=OTHER)
    tape.delta(1_000, price="0.0900")
    if last is not None:
        tape.quote(last=last)
        tape.delta(1, by="-50.00", price="0.1000").delta(0, by="-1.00", price="0.0900")
    tape.delta(4_000, price="0.3000", ticker=OTHER)
    tape.delta(0, by="-50.00", side="no", price="0.8800").snapshot()
    for _ in range(5):
        tape.delta(1_000, price="0.3000", ticker=OTHER)
    return tape


@pytest.mark.parametrize("size", [0, 2**60], ids=["compiled", "reference"])
@pytest.mark.parametrize(
    ("last", "value"),
    [(None, "$0.50"), ("0.4200", "$0.60"), ("0.0200", "$0.10")],
    ids=["last bid", "no bid", "no bid, lower last price"],
)
def test_a_closed_market_without_a_result_is_valued_at_its_last_known_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, last: str | None, value: str
) -> None:
    monkeypatch.setattr(recorded_data, "COMPILED_FROM", size)
    report = run(Once(StrategyParams()), files=(closed(last=last).write(tmp_path / "tape.jsonl"),))
    paid = dollars(5 * 44) // 100
    assert report.markets[TICKER].unrealized == parse_money(value.strip("$")) - paid
    assert unknown_lines(report)[-1] == (
        f"price to close 5 contracts in 1 market at: no open order book at the end; "
        f"valued at {value} by the last known prices"
    )
    worst = min(net for _, net in report.curve)
    assert report.curve[-1][1] == report.summary.net
    assert worst <= report.markets[TICKER].unrealized - report.summary.fees, "the loss stays to the end"


def test_a_second_recording_does_not_change_the_value_of_a_position_of_the_first(tmp_path: Path) -> None:
    first, second = Tape().watch(close_in_s=60).snapshot(**BOOK), Tape().snapshot(**BOOK, ticker=OTHER)
    for _ in range(5):
        first.delta(1_000, price="0.3000")
    first.delta(1_000, by="-50.00")
    for _ in range(90):
        second.delta(1_000, price="0.3000", ticker=OTHER)
    paths = first.write(tmp_path / "a.jsonl"), second.write(tmp_path / "b.jsonl")
    alone, both = run(Once(StrategyParams()), files=paths[:1]), run(Once(StrategyParams()), files=paths)
    assert alone.markets[TICKER].unrealized == 5 * (cents(30) - cents(44)) * 100
    assert both.markets[TICKER] == alone.markets[TICKER]


def test_all_tables_add_up_to_the_net_where_nothing_is_known_but_the_fills(tmp_path: Path) -> None:
    """Average cost, first in first out and cost by strategy differ: one value per contract is the same for all."""

    class Second(Buyer):
        name = "second"

    report = run(Buyer(StrategyParams()), Second(StrategyParams()), files=(holed().write(tmp_path / "tape.jsonl"),))
    view = backtest_view(report)
    assert "by the price of the last fill" in view.unknown[-1]
    assert len({row.price for row in view.trades}) > 1
    for rows in (view.rows, view.by_strategy, view.by_hour, view.by_price, view.by_time_to_close):
        assert sum(row.net for row in rows) == report.summary.net != 0


def test_a_book_that_is_lost_to_the_end_is_counted_to_the_end_and_said_everywhere(tmp_path: Path) -> None:
    tape = Tape().snapshot(**BOOK)
    for _ in range(3):
        tape.delta(1_000)
    tape.skip(1)
    for _ in range(90):
        tape.delta(1_000)
    report = run(files=(tape.write(tmp_path / "tape.jsonl"),))
    assert report.holes == 1
    assert report.lost_s == pytest.approx(90, abs=1.5)
    assert backtest_view(report).unknown[0].startswith(f"1 gap in the data, {report.lost_s:.1f} s without a book")
    assert backtest_view(report).unknown[0] in report_page(backtest_view(report))


def rotated(close_in_s: int) -> Tape:
    """A market followed for 20 s; then the recorder connects anew and follows another market for 20 s."""
    tape = Tape().watch(close_in_s=close_in_s).snapshot(**BOOK)
    for _ in range(20):
        tape.delta(1_000)
    tape.reconnect().watch("KXB-1", close_in_s=3_600).snapshot(**BOOK, ticker="KXB-1")
    for _ in range(20):
        tape.delta(1_000, ticker="KXB-1")
    return tape


@pytest.mark.parametrize("since", [None, Ts(T0 + 15_000)], ids=["whole", "cut"])
def test_a_gap_of_a_market_that_has_closed_is_none(tmp_path: Path, since: Ts | None) -> None:
    path = rotated(close_in_s=10).write(tmp_path / "tape.jsonl")
    lake = lake_of(tmp_path, path)
    for report in (run(files=(path,), holes="refuse", since=since), run(lake=lake.root, holes="refuse", since=since)):
        assert (report.holes, report.lost_s) == (0, 0)
    assert [row.holes for row in statistics(lake)] == [0, 0]


def test_a_gap_counts_to_the_close_at_most(tmp_path: Path) -> None:
    path = rotated(close_in_s=30).write(tmp_path / "tape.jsonl")
    report = run(files=(path,))
    assert (report.holes, report.lost_s) == (1, pytest.approx(10, abs=1.1))
    assert [row.holes for row in statistics(lake_of(tmp_path, path))] == [1, 0]
    with pytest.raises(UsageError, match=rf"reconnected \({TICKER}\)"):
        run(files=(path,), holes="refuse")


def test_a_book_whose_recording_ended_counts_to_the_close_while_another_recording_goes_on(tmp_path: Path) -> None:
    """The next recording does not have the market: nothing of it is known until it closes."""
    first, second = Tape().watch(close_in_s=50).snapshot(**BOOK), Tape()
    for _ in range(20):
        first.delta(1_000)
    second.now = Ts(first.now + 10_000)
    second.watch("KXB-1", close_in_s=3_600).snapshot(**BOOK, ticker="KXB-1")
    for _ in range(90):
        second.delta(1_000, ticker="KXB-1")
    paths = first.write(tmp_path / "a.jsonl"), second.write(tmp_path / "b.jsonl")
    report = run(files=paths)
    assert (report.holes, report.lost_s) == (1, pytest.approx(30, abs=1.1))


def test_numbers_that_are_missing_since_before_the_close_are_a_gap(tmp_path: Path) -> None:
    """The next frame of the book comes after the close: the missing ones may be of the time before."""
    tape = Tape().watch(close_in_s=10).snapshot(**BOOK)
    for _ in range(8):
        tape.delta(1_000)
    tape.skip(500)
    tape.now = Ts(tape.now + 6_000)
    tape.quote().snapshot()
    path = tape.write(tmp_path / "tape.jsonl")
    lake = lake_of(tmp_path, path)
    for report in (run(files=(path,)), run(lake=lake.root)):
        assert (report.holes, report.lost_s) == (1, pytest.approx(2, abs=0.1))
    assert [row.holes for row in statistics(lake)] == [1]
    with pytest.raises(UsageError, match=rf"expected seq 10 of sid 2, got 510 \({TICKER}\)"):
        run(files=(path,), holes="refuse")


def test_a_book_that_is_lost_to_the_close_is_counted_to_it_where_no_message_follows(tmp_path: Path) -> None:
    tape = Tape().watch(close_in_s=10).snapshot(**BOOK).delta(1_000).delta(1_000).skip(1)
    for _ in range(60):
        tape.delta(1_000)
    assert run(files=(tape.write(tmp_path / "a.jsonl"),)).lost_s == pytest.approx(8, abs=1.1)


def test_a_market_without_a_bid_at_the_end_is_said_to_be_estimated(tmp_path: Path) -> None:
    tape = Tape().snapshot(**BOOK).delta(1_000).delta(1_000).delta(1_000)
    whole = run(files=(tape.write(tmp_path / "whole.jsonl"),))
    assert not any("by estimate" in line for line in unknown_lines(whole))
    tape.delta(1_000, by="-53.00").delta(1_000, side="no", price="0.2000")
    report = run(files=(tape.write(tmp_path / "tape.jsonl"),))
    held = sum(fill.qty for fill in report.fills) // 100
    line = f"price to close {held} contracts in 1 market at: no bid at the end; valued at ${held * 0.44:.2f} by"
    assert held > 1
    assert any(each.startswith(line) for each in backtest_view(report).unknown), report.facts.unknown


class Watcher(Strategy):
    """Waits for an ask of 10 cents, which never comes."""

    name = "watcher"
    lowest = cents(99)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        ask = view.book(ticker).best_ask
        if ask is not None:
            self.lowest = min(self.lowest, ask)
            if ask <= cents(10):
                yield Place(ticker, BID, ask, contracts(1), reason="cheap")


@pytest.mark.parametrize("size", [0, 2**60], ids=["compiled", "reference"])
def test_the_range_of_prices_is_what_the_strategy_saw_between_two_ticks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(recorded_data, "COMPILED_FROM", size)
    tape = Tape().snapshot(**BOOK)
    for _ in range(3):
        tape.delta(1_300, side="no", price="0.5800").delta(100, side="no", price="0.5800", by="-1.00")
    strategy = Watcher(StrategyParams())
    report = run(strategy, files=(tape.write(tmp_path / "tape.jsonl"),))
    assert report.facts.asks == (strategy.lowest, cents(44)) == (cents(42), cents(44))
    assert "the asks were $0.42 to $0.44" in backtest_notes(report)[0]


@pytest.mark.parametrize("size", [0, 2**60], ids=["compiled", "reference"])
def test_the_time_between_two_recordings_is_no_time_in_the_market(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Two recordings of 10 s, of which the second begins after ten minutes."""
    monkeypatch.setattr(recorded_data, "COMPILED_FROM", size)
    tapes = [Tape(), Tape()]
    tapes[1].now = Ts(T0 + 610_000)
    for number, tape in enumerate(tapes):
        ticker = f"KXB-{number}"
        tape.watch(ticker, close_in_s=3_600).snapshot(**BOOK, ticker=ticker)
        for _ in range(10):
            tape.delta(1_000, ticker=ticker)
    paths = [tape.write(tmp_path / f"{number}.jsonl") for number, tape in enumerate(tapes)]
    lake = lake_of(tmp_path, *paths)
    for report in (
        run(Repeater(StrategyParams()), files=tuple(paths)),
        run(Repeater(StrategyParams()), lake=lake.root),
    ):
        ((first, last),) = report.facts.pauses
        assert last - first == pytest.approx(600_000, abs=1_000)
        assert backtest_view(report).time_in_market == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("size", [0, 2**60], ids=["compiled", "reference"])
def test_older_outside_prices_and_later_results_are_no_recorded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(recorded_data, "COMPILED_FROM", size)
    tape = Tape().watch(close_in_s=3_600).snapshot(**BOOK)
    for _ in range(10):
        tape.delta(1_000)
    path, spot, results = tape.write(tmp_path / "a.jsonl"), tmp_path / "spot.csv", tmp_path / "results.json"
    minutes = (T0 + number * 60_000 for number in range(-1_440, 60))
    spot.write_text("recv_ns,price\n" + "".join(f"{at}000000,80000\n" for at in minutes))
    results.write_bytes(msgspec.json.encode({TICKER: "yes"}))
    base = run(Buyer(StrategyParams()), files=(path,))
    lake = lake_of(tmp_path, path, spot)
    for report in (
        run(Buyer(StrategyParams()), files=(path, spot)),
        run(Buyer(StrategyParams()), files=(path,), results=(results,)),
        run(Buyer(StrategyParams()), files=(path, spot), results=(results,)),
        run(Buyer(StrategyParams()), lake=lake.root, results=(results,)),
    ):
        assert report.fills == base.fills
        assert (report.facts.started, report.facts.ended) == (base.facts.started, base.facts.ended) == (T0, tape.now)
        assert backtest_view(report).time_in_market == backtest_view(base).time_in_market


class Follower(Strategy):
    """Reads the price of Bitcoin at each tick, not older than three seconds."""

    name = "follower"

    def inputs(self) -> tuple[Input, ...]:
        return (SpotInput(symbol="BTC"),)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        view.spot("BTC", 3)
        return iter(())


@pytest.mark.parametrize("holes", ["forget", "ignore"])
def test_the_time_without_an_outside_price_is_named_by_the_age_that_the_strategy_accepts(
    tmp_path: Path, holes: str
) -> None:
    tape = Tape().watch(close_in_s=3_600).snapshot(**BOOK)
    for _ in range(20):
        tape.delta(1_000)
    path, spot = tape.write(tmp_path / "a.jsonl"), tmp_path / "btcusd.csv"
    spot.write_text("recv_ns,price\n" + "".join(f"{T0 + second * 1000}000000,80000\n" for second in range(5)))
    line = next(iter(unknown_lines(run(Follower(StrategyParams()), files=(path, spot), holes=holes))))
    assert line.startswith("outside price of BTC: none of the last 3 s in 13.0 s of 20.0 s of recording")
    spot.write_text(f"recv_ns,price\n{T0 - 60_000}000000,80000\n")
    first, *_ = unknown_lines(run(Follower(StrategyParams()), files=(path, spot), holes=holes))
    assert first.startswith("outside price of BTC: none of the last 3 s in all 20.0 s of recording")
    report = run(Follower(StrategyParams()), files=(path, spot), holes=holes)
    assert backtest_notes(report)[0].startswith(f"No orders were requested: {first}")


def test_a_file_of_prices_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path, spot = Tape().snapshot(**BOOK).write(tmp_path / "a.jsonl"), tmp_path / "btcusd.csv"
    spot.write_text(f"recv_ns,price\n{T0}000000,80000\n")
    with pytest.raises(UsageError, match=r"btcusd\.csv and btcusd\.csv are the same data"):
        run(Follower(StrategyParams()), files=(path, spot, spot))


class Flooder(Strategy):
    """Requests a thousand orders in one call."""

    name = "flooder"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for _ in range(1_000):
            yield Place(TICKER, BID, cents(1), contracts(1), reason="more")


def test_requests_that_were_discarded_are_said(tmp_path: Path) -> None:
    tape = Tape().snapshot(**BOOK).delta(1_000).delta(1_000)
    report = run(Flooder(StrategyParams()), files=(tape.write(tmp_path / "tape.jsonl"),))
    found = [each for each in unknown_lines(report) if "STRATEGY_FLOOD" in each]
    assert found == [
        "order requests of flooder beyond 100 in one call of a hook: the rest was discarded "
        f"{report.summary.intents // 100} times (STRATEGY_FLOOD)"
    ]


class HalfRefused(Rester):
    """Of its three requests of ten contracts, one is off the price grid and one is too large."""

    name = "half-refused"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for place in super().on_tick(view):
            yield msgspec.structs.replace(place, price=cents(44))
            yield msgspec.structs.replace(place, price=Price(1))
            yield msgspec.structs.replace(place, qty=contracts(10**7))


def test_the_fill_rate_is_that_of_sent_orders_and_refused_requests_are_counted_beside_it(tmp_path: Path) -> None:
    report = run(HalfRefused(StrategyParams()), files=(queued().write(tmp_path / "tape.jsonl"),))
    view = backtest_view(report)
    assert (view.intents, view.orders, sum(view.denied.values())) == (3, 1, 2)
    assert view.fill_rate == pytest.approx(1.0)


def test_nothing_is_traded_in_a_hole_unless_it_is_ignored(tmp_path: Path) -> None:
    path = holed().write(tmp_path / "tape.jsonl")
    forgotten, ignored = run(files=(path,)), run(files=(path,), holes="ignore")
    assert ignored.holes == forgotten.holes == 1
    assert ignored.summary.fills > forgotten.summary.fills
    assert backtest_warnings(ignored)[0].endswith(": ignored")


def test_a_hole_is_refused_where_asked(tmp_path: Path) -> None:
    path = holed().write(tmp_path / "tape.jsonl")
    with pytest.raises(UsageError, match=r"A gap in the data at 2026-.*expected seq 5 of sid 2, got 9") as caught:
        run(files=(path,), holes="refuse")
    assert caught.value.code == "hole"
    whole = Tape().snapshot(**BOOK).delta(1_000).delta(1_000)
    assert run(files=(whole.write(tmp_path / "whole.jsonl"),), holes="refuse").holes == 0


def test_a_recording_that_ends_in_the_middle_says_so_first(tmp_path: Path) -> None:
    path = holed().write(tmp_path / "tape.jsonl.gz")
    assert not any("TRUNCATED" in text for text in unknown_lines(run(files=(path,))))
    path.write_bytes(path.read_bytes()[:-20])
    report = run(files=(path,))
    first, *_ = report.facts.unknown
    assert first.line.startswith("the rest of a recording: tape.jsonl.gz ends in the middle: TRUNCATED after 2026-")
    assert f"Unknown: {first.line}" in backtest_warnings(report)


def test_a_recording_that_goes_back_in_time_says_so(tmp_path: Path) -> None:
    path = holed().write(tmp_path / "tape.jsonl")
    assert not any("goes back" in text for text in unknown_lines(run(files=(path,))))
    path.write_bytes(path.read_bytes() * 2)
    report = run(files=(path,))
    first, *_ = report.facts.unknown
    assert re.match(r"the order of a recording: tape\.jsonl goes back from 2026-\S+ to 2026-\S+; ", first.line)
    assert f"Unknown: {first.line}" in backtest_warnings(report)


def test_results_of_other_markets_are_named_where_a_result_is_missing(tmp_path: Path) -> None:
    path, results = holed().write(tmp_path / "tape.jsonl"), tmp_path / "results.json"
    warning = "Warning: --results has the result of KXTYPO-1 and of 1 other market, which the data does not have"
    results.write_bytes(msgspec.json.encode({"KXTYPO-1": "yes", "KXTYPO-2": "no"}))
    assert warning in backtest_warnings(run(files=(path,), results=(results,)))
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
    assert untimed(first) == untimed(second)
    assert first.summary.fills > 0


class Taker(Strategy):
    """Takes all that one level has, once."""

    name = "taker"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        ask = view.book(ticker).best_ask
        if ask is not None and not view.position(ticker) and not view.orders(ticker):
            yield Place(ticker, BID, ask, contracts(90), tif=TimeInForce.IOC, reason="an offer")


@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_cut_recording_trades_from_the_book_at_the_cut(tmp_path: Path, is_compiled: bool) -> None:
    """Both loops: no order before the cut, fills at the book of then, and the trades of the lake's cut."""
    if is_compiled:
        pytest.importorskip("numba", reason="the extra research is not installed")
    tape = Tape().watch(close_in_s=900).snapshot(yes={"0.4000": "50.00"}, no={"0.5600": "50.00"})
    tape.delta(1_000, side="no", price="0.5700", by="3.00").delta(1_000, side="no", price="0.5800", by="4.00")
    for _ in range(20):
        tape.delta(1_000, side="no", price="0.5800", by="1.00")
    path, since = tape.write(tmp_path / "a.jsonl"), Ts(T0 + 5_500)
    until = Ts(T0 + 9_000)
    request = BacktestRequest(strategies=("taker",), files=(path,), since=since, until=until, latency_ms=0)
    clock = ManualClock(Ts(0))
    replay, _, _, period = replay_of(request, clock, 1.0)
    ids = itertools.count(1)
    engine, venue, drive = set_up(
        RiskLimits(min_edge=None), [Taker(StrategyParams())], cash=dollars(1_000), new_id=lambda: f"c{next(ids)}",
        references={}, order_expiry_s=90.0, latency_ms=0, is_compiled=is_compiled,
    )  # fmt: skip
    report = backtest(PLAN, engine, replay, venue, clock, drive)
    assert period is not None
    assert period.has_messages
    (fill,) = [(each.price, each.qty) for each in report.fills]
    assert fill == (cents(42), contracts(7)), "4 and three deltas of 1 were there at the cut"
    assert since <= report.fills[0].ts < until
    assert report.curve[-1][0] < until


@pytest.mark.parametrize(
    ("result", "value", "lines"),
    [
        ("yes", 0, ["the payout of 1 of 1 market is that of the opposite result; the payout counts"]),
        ("no", 10_000, ["the payout of 1 of 1 market is that of the opposite result; the payout counts"]),
        ("yes", 10_000, []), ("no", 0, []), ("yes", 3_500, []), ("scalar", 0, []), ("yes", None, []),
    ],
)  # fmt: skip
def test_a_recorded_result_that_contradicts_its_payout_is_said(
    result: str, value: int | None, lines: list[str]
) -> None:
    ended = market(result=result, settlement_value=None if value is None else Price(value))
    parts = unknown_of({TICKER: ended}, {TICKER: FeeSchedule()}, has_trades=True)
    assert list(lines_of(parts)) == lines
