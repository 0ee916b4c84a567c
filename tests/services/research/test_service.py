"""Backtests in Python, beyond those of docs/notebook.md."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import pytest
from msgspec.structs import replace
from support.backtests import losing
from support.recordings import T0, TICKER, Tape
from support.served import TWO_SIDED, Served, program

from kalshi_cli import Kalshi, __version__, errors
from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, dollars
from kalshi_cli.config.sources import load
from kalshi_cli.core.account.pnl import sort_by_time
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.lake.lake import open_lake
from kalshi_cli.services.research import service
from kalshi_cli.services.research.lake_import import lake_results
from kalshi_cli.services.research.lake_service import lake_folder
from kalshi_cli.services.research.report.saved import write_folder
from kalshi_cli.services.research.service import BacktestResult
from kalshi_cli.views.backtests import BacktestSettlementRow, BacktestTradeRow
from kalshi_cli.views.formats import to_machine
from kalshi_cli.views.runs import BacktestView


@pytest.mark.usefixtures("exchange")
def test_an_unknown_fill_model_is_refused_by_name() -> None:
    unfit: Any = "both"
    with Kalshi.open(env="sim") as kalshi, pytest.raises(errors.UsageError, match="Invalid fills: 'both'"):
        kalshi.research.backtest("spike", [], fills=unfit)


@pytest.mark.usefixtures("exchange")
def test_series_without_a_lake_is_refused_and_tickers_choose_markets_of_a_file(tmp_path: Path) -> None:
    path = Tape().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "5.00"}).delta().write(tmp_path / "tape.jsonl")
    with Kalshi.open(env="sim") as kalshi:
        with pytest.raises(errors.UsageError, match="series chooses recordings of a lake"):
            kalshi.research.backtest("threshold", path, series="KXA")
        with pytest.raises(errors.UsageError, match=r"No market KXB in tape\.jsonl"):
            kalshi.research.backtest("threshold", path, tickers="kxa,kxb")
        assert kalshi.research.backtest("threshold", path, tickers=["kxa"]).view.markets == 1


@pytest.mark.usefixtures("exchange")
def test_a_report_names_its_settings_and_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_SPREAD", "0.05")
    monkeypatch.setenv("KALSHI_RISK__MAX_DAILY_LOSS", "5")
    path = Tape().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "5.00"}).delta().write(tmp_path / "tape.jsonl")
    code = tmp_path / "fade.py"
    code.write_text(
        "from kalshi_cli.strategies.api import *\nclass Fade(Strategy):\n    name, Params = 'fade', StrategyParams\n"
    )
    with Kalshi.open(env="sim") as kalshi:
        view = kalshi.research.backtest(str(code), path, interval_s=1, tickers="kxa").view
    checksum = hashlib.sha256(code.read_bytes()).hexdigest()[:16]
    assert view.settings == {
        "kalshi": __version__, "interval": "1s", "code": f"fade.py (sha256 {checksum})", "risk.max_spread": "0.0500",
        "gaps": "forget", "markets": "KXA",
    }  # fmt: skip
    assert view.recordings == ("tape.jsonl",)


@pytest.mark.usefixtures("exchange")
def test_a_backtest_in_python_plays_several_phases_of_its_ticks(tmp_path: Path) -> None:
    path = Tape().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "5.00"}).delta().write(tmp_path / "tape.jsonl")
    with Kalshi.open(env="sim") as kalshi:
        usual, several = (kalshi.research.backtest("threshold", path, phases=many).view for many in (1, 3))
        assert usual.phase_nets == ()
        assert (len(several.phase_nets), several.phase_nets[0]) == (3, usual.net)
        assert len(kalshi.research.backtest("threshold", path, phases=2, jobs=1).view.phase_nets) == 2
        with pytest.raises(errors.UsageError, match="Invalid phases: 0"):
            kalshi.research.backtest("threshold", path, phases=0)


def test_a_result_prints_its_main_numbers() -> None:
    report = losing()
    shown = repr(BacktestResult(report))
    assert shown.startswith(f"<BacktestResult {report.summary.strategy}: net -$")
    assert f"{report.summary.fills} fills" in shown


@pytest.mark.usefixtures("exchange")
def test_changes_of_order_books_are_a_frame_in_dollars_and_contracts(tmp_path: Path) -> None:
    tape = Tape().watch().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "2.50"}).delta(5, "yes", "0.4100", "1.00")
    start = datetime.fromtimestamp(T0 / 1000, UTC)
    with Kalshi.open(env="sim") as kalshi:
        kalshi.research.data_import([tape.write(tmp_path / "a.jsonl")], folder=tmp_path / "lake")
        found = kalshi.research.book_changes(tmp_path / "lake").drop("ts", "seq").rows()
        assert found == [
            (TICKER, None, None, None, "lost"),  # a connection begins without order books
            (TICKER, "bid", 0.40, 5.0, "reset"),
            (TICKER, "ask", 0.44, 2.5, "level"),
            (TICKER, "bid", 0.41, 1.0, "change"),
        ]
        later = kalshi.research.book_changes(tmp_path / "lake", since=start + timedelta(hours=1))
        assert later.is_empty()
        with pytest.raises(errors.UsageError, match="has no time zone"):
            kalshi.research.book_changes(tmp_path / "lake", since=start.replace(tzinfo=None))


@pytest.mark.usefixtures("exchange")
def test_a_market_or_series_without_rows_in_the_lake_is_told(tmp_path: Path) -> None:
    """A mistyped name would otherwise be an empty frame or file without a reason."""
    tape = Tape().watch().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "2.50"})
    told: list[str] = []
    with Kalshi.open(env="sim", warn=told.append) as kalshi:
        lake, research = tmp_path / "lake", kalshi.research
        research.data_import([tape.write(tmp_path / "a.jsonl")], folder=lake)
        assert research.book_changes(lake, markets=[TICKER]).height
        assert research.data_export("book_snapshots", tmp_path / "a.csv", folder=lake).rows
        assert told == []
        whole = research.book_changes(lake, markets=[TICKER, "KXNONE-1"])
        series = TICKER.partition("-")[0]
        assert whole.height == research.book_changes(lake, series=series.lower()).height > 0
        assert research.book_changes(lake, series=[series, "KXNONE"]).equals(whole)
        with pytest.raises(errors.UsageError, match="markets and series cannot be combined"):
            research.book_changes(lake, markets=[TICKER], series=series)
        assert research.data_export("trades", tmp_path / "b.csv", series="KXNONE", folder=lake).rows == 0
    assert told == [
        "Warning: the lake has no order book changes of KXNONE-1 in these recordings",
        "Warning: the lake has no order book changes of KXNONE in these recordings",
        "Warning: the lake has no rows of trades of KXNONE in this period; `kalshi data list` shows what it has",
    ]


def test_the_frames_of_a_result_are_the_saved_tables(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars", reason="the extra research is not installed")
    result = BacktestResult(losing())
    write_folder(result.view, tmp_path)
    for name in ("trades", "equity", "by_market"):
        frame, saved = getattr(result, name), polars.read_parquet(tmp_path / f"{name}.parquet")
        assert frame.height
        assert frame.schema == saved.schema
        assert frame.equals(saved)
    assert result.trades["book_side"].unique().to_list() in (["bid"], ["ask"], ["bid", "ask"], ["ask", "bid"])


def test_the_frames_of_a_result_without_a_trade_have_their_columns() -> None:
    pytest.importorskip("polars", reason="the extra research is not installed")
    frame = service._frame_of(BacktestTradeRow, ())
    assert frame.columns == list(BacktestTradeRow.__struct_fields__)
    assert frame.height == 0


def test_the_lake_is_in_the_state_directory_that_was_chosen(tmp_path: Path) -> None:
    def folder(**given: object) -> Path:
        return lake_folder(load(None, {}, {"env": "demo", **given}, ("env", "state")), None)

    assert folder(state=tmp_path) == tmp_path / "lake" / "demo"
    assert folder() == Path(platformdirs.user_data_dir("kalshi")) / "lake" / "demo"
    config = load(None, {}, {"state": tmp_path}, ("env", "state"))
    assert lake_folder(config, tmp_path / "mine") == tmp_path / "mine"


def test_an_earlier_lake_elsewhere_is_named(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(exchange.home / "data"))
    earlier = exchange.home / "data" / "kalshi" / "lake" / "sim"
    open_lake(earlier, is_new=True)
    ended = program("data", "list")
    assert ended.code == ExitCode.USAGE
    assert f"Another lake is in {earlier}: to use it, add --lake {earlier}" in ended.err
    assert program("data", "list", "--lake", str(earlier), "--json").json == []


@pytest.mark.usefixtures("exchange")
def test_an_import_that_changes_a_result_says_so_and_counts(tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    files = {"one": {"KXA-1": "yes", "KXA-2": "no"}, "two": {"KXA-1": "no", "KXA-2": "yes"}, "three": {"KXA-3": "yes"}}
    for name, results in files.items():
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(results))
    (tmp_path / "close.json").write_bytes(
        msgspec.json.encode([{"ticker": "KXA-1", "result": "yes", "close_time": "2026-05-13T13:00:00Z"}])
    )
    warned = []
    for name in ("one", "one", "three", "two", "one", "two", "close"):
        ended = program("data", "import", str(tmp_path / f"{name}.json"), "--lake", lake)
        assert ended.code == ExitCode.OK
        warned.append([line for line in ended.err.splitlines() if "changes the result" in line])
    change = "changes the result of KXA-1 from {} to {}"
    assert [line[0].partition(".json ")[2].partition(",")[0] if line else "" for line in warned] == [
        "", "", "", change.format("yes", "no"), change.format("no", "yes"), change.format("yes", "no"),
        change.format("no", "yes") + "; the last one counts",
    ]  # fmt: skip
    found = lake_results(open_lake(tmp_path / "lake"))
    assert {ticker: one.result for ticker, one in found.items()} == {"KXA-1": "yes", "KXA-2": "yes", "KXA-3": "yes"}


@pytest.mark.usefixtures("exchange")
def test_the_import_of_a_recording_that_ends_in_the_middle_says_so_and_covers_no_more(tmp_path: Path) -> None:
    tape = Tape().watch().snapshot(yes={"0.4000": "5.00"})
    for _ in range(100):
        tape.delta(10, "yes", "0.4100", "1.00")
    path, lake = tape.write(tmp_path / "a.jsonl.gz"), str(tmp_path / "lake")
    path.write_bytes(path.read_bytes()[:-100])
    ended = program("data", "import", str(path), "--lake", lake, "--json")
    assert "Warning: a.jsonl.gz ends in the middle: TRUNCATED after 2026-" in ended.err
    assert [row["holes"] for row in ended.json] == [1]
    assert [row["holes"] for row in program("data", "list", "--lake", lake, "--json").json] == [1]
    (covered,) = open_lake(tmp_path / "lake").coverage("book")
    assert (covered.ended, covered.last < int(tape.now) * 1000) == ("truncated", True)


@pytest.mark.usefixtures("exchange")
def test_a_series_that_was_only_named_in_news_is_not_listed(tmp_path: Path) -> None:
    tape = Tape().watch().snapshot(yes={"0.4000": "5.00"}).delta(5, "yes", "0.4100", "1.00")
    tape.news("market_lifecycle_v2", market_ticker="KXNEWS-1", event_type="determined", result="yes")
    with Kalshi.open(env="sim") as kalshi:
        kalshi.research.data_import([tape.write(tmp_path / "a.jsonl")], folder=tmp_path / "lake")
        assert (tmp_path / "lake" / "table=lifecycle" / "series=KXNEWS").is_dir()
        assert [row.series for row in kalshi.research.data_list(tmp_path / "lake")] == ["KXA"]
        assert kalshi.research.tapes(lake=tmp_path / "lake")["series"].to_list() == ["KXA"]


@pytest.mark.usefixtures("exchange")
def test_a_backtest_takes_the_recordings_of_a_series_and_of_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lake, start = tmp_path / "lake", datetime.fromtimestamp(T0 / 1000, UTC)
    tape = Tape().watch().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "2.50"}).delta(5_000, "yes", "0.4100", "1.00")
    with Kalshi.open(env="sim") as kalshi:
        kalshi.research.data_import([tape.write(tmp_path / "a.jsonl")], folder=lake)

        def cycles(**chosen: Any) -> int:
            return kalshi.research.backtest("threshold", lake=lake, **chosen).report.summary.cycles

        assert cycles(series="kxa", since=start, interval_s=1.0) == 5
        assert cycles(series=["KXA"], interval_s=2.0) == 2
        assert "Warning" not in caplog.text
        assert cycles(series=["KXA", "KXB"], interval_s=2.0) == 2
        assert "Warning: no recording of KXB at these times" in caplog.text
        for unfit in ({"series": "KXB"}, {"since": start + timedelta(days=1)}, {"until": start - timedelta(days=1)}):
            with pytest.raises(errors.UsageError, match="No recording"):
                cycles(**unfit)
        refused: list[tuple[dict[str, Any], str]] = [
            ({"since": "2026-05-28"}, "'2026-05-28' is not a time"),
            ({"interval_s": 0}, "Invalid interval_s: 0"),
            ({"interval_s": 11}, "Invalid interval_s: 11"),
        ]
        for given, message in refused:
            with pytest.raises(errors.UsageError, match=message):
                cycles(**given)
        with pytest.raises(errors.UsageError, match="series chooses recordings of a lake"):
            kalshi.research.backtest("threshold", [tmp_path / "a.jsonl"], series="KXA")


def test_a_series_is_recorded_and_the_list_names_what_is_not_in_it_yet(exchange: Served) -> None:
    series = TWO_SIDED.partition("-")[0]
    refused = program("record", "--duration", "1s")
    assert (refused.code, "No market to record" in refused.err) == (ExitCode.USAGE, True)
    assert program("record", TWO_SIDED, "--series", series).code == ExitCode.USAGE
    ended = program("record", "--series", "KXNONE", "--series", series.lower(), "--duration", "1s", "--json")
    assert TWO_SIDED in ended.json["tickers"]
    assert f"Recording {len(ended.json['tickers'])} market" in ended.err
    assert f"--series {series}`" in ended.err
    assert [line for line in ended.err.splitlines() if "Warning" in line] == [
        "Warning: no series KXNONE; check the spelling (`kalshi series`)"
    ]
    listed = program("data", "list", "--json")
    assert [row["series"] for row in listed.json if row["markets"]] == [series]
    assert "not in the list yet" not in listed.err
    took_an_option = program("backtest", "--strategy", "threshold", "--lake", "--series", series)
    assert took_an_option.code == ExitCode.USAGE
    assert "--lake needs a value; --series looks like an option" in took_an_option.err
    words = ("backtest", "--strategy", "threshold", "--json", "--series", "KXNONE", "--series", series)
    beside = program(*words)
    assert beside.json["markets"] == len(ended.json["tickers"])
    assert beside.err.count("Warning: no recording of KXNONE at these times in the lake") == 1
    alone = program("backtest", "--strategy", "threshold", "--json", "--series", series)
    assert (alone.json, "Warning" in alone.err) == (beside.json, False)
    search = ("optimize", "threshold", "--series", f"{series},KXNONE", "--param", "buy_below=20c,30c", "--trials", "1")
    assert "Warning: no recording of KXNONE" in program(*search).err
    (exchange.home / "state" / "lake" / "sim" / "journal" / "1-1-1.jsonl").touch()
    assert "1 recording not in the list yet" in program("data", "list", "--json").err


@pytest.mark.usefixtures("exchange")
def test_a_search_takes_its_strategy_as_a_backtest_does(tmp_path: Path) -> None:
    tape = str(tmp_path / "gone.jsonl")
    named = program("optimize", tape, "--strategy", "threshold", "--param", "buy_below=20c,30c")
    assert (named.code, named.err) == (
        ExitCode.USAGE, program("optimize", "threshold", tape, "--param", "buy_below=20c,30c").err
    )  # fmt: skip
    assert "gone.jsonl" in named.err
    assert "No strategy given" in program("optimize").err


def test_net_is_rebuilt_from_the_frames_of_trades_and_settlements() -> None:
    pytest.importorskip("polars", reason="the extra research is not installed")
    report = losing()
    first, *_ = report.fills
    bought = replace(first, ticker="KXPAID-1", side=BID, price=cents(40), qty=contracts(5), trade_id="a", fee=Money(0))
    sold = replace(bought, side=ASK, price=cents(45), qty=contracts(2), trade_id="b", ts=Ts(first.ts + 1))
    paid = Settlement(
        ticker="KXPAID-1", event_ticker="KXPAID", result="yes", value=cents(100), yes_qty=contracts(3), no_qty=Qty(0),
        revenue=dollars(3), fee=Money(0), ts=Ts(first.ts + 2),
    )  # fmt: skip
    entries = tuple(sort_by_time((*report.facts.entries, bought, sold, paid)))
    result = BacktestResult(replace(report, facts=replace(report.facts, entries=entries)))
    assert result.settlements.drop("time").rows() == [("KXPAID-1", "yes", 3.0, 3.0, 1.8)]
    assert [row["realized"] for row in to_machine(BacktestView)(result.view)["settlements"]] == ["1.800000"]
    assert result.settlements.columns == list(BacktestSettlementRow.__struct_fields__)
    net = result.trades["realized"].sum() + result.settlements["realized"].sum() - result.trades["fee"].sum()
    assert net == pytest.approx(report.summary.net / 10**6 + 2 * 0.05 + 3 * 0.60)
