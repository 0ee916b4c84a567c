"""Saved reports: a folder for notebooks, and two of them compared."""

from __future__ import annotations

import json
import re
import resource
from pathlib import Path

import msgspec
import pytest
from support.backtests import losing

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Ts, contracts, dollars
from kalshi_cli.services.research.backtest import backtest_view
from kalshi_cli.services.research.report.saved import (
    SAME_TIME_MS,
    column_headings,
    compare,
    own_orders,
    readable,
    write_folder,
    write_page,
)
from kalshi_cli.views.backtests import BacktestSettlementRow, ProfitPartRow
from kalshi_cli.views.formats import SignedMoney, to_machine
from kalshi_cli.views.runs import BacktestView, StrategyRefusalsRow


@pytest.fixture(scope="module")
def view() -> BacktestView:
    return backtest_view(losing())


def save(view: BacktestView, path: Path) -> Path:
    path.write_bytes(msgspec.json.encode(to_machine(BacktestView)(view)))
    return path


def test_a_folder_has_the_tables_that_a_notebook_reads(view: BacktestView, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars", reason="the extra research is not installed")
    write_folder(view, tmp_path / "run")
    write_folder(view, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "by_market.parquet", "equity.parquet", "report.json", "settlements.parquet", "trades.parquet",
    ]  # fmt: skip
    trades = polars.read_parquet(tmp_path / "run" / "trades.parquet")
    assert trades.height == view.fills
    assert trades["fee"].sum() == pytest.approx(view.fees / 1_000_000)
    assert trades["price"][0] == pytest.approx(view.trades[0].price / 10_000)
    assert trades["count"][0] == pytest.approx(view.trades[0].count / 100)
    assert trades["time"].dtype == polars.Datetime("ms", "UTC")
    assert polars.read_parquet(tmp_path / "run" / "by_market.parquet")["net"].sum() == pytest.approx(view.net / 10**6)
    assert polars.read_parquet(tmp_path / "run" / "equity.parquet")["net"][-1] == pytest.approx(view.net / 10**6)


def test_two_reports_side_by_side(view: BacktestView, tmp_path: Path) -> None:
    other = backtest_view(losing(seed=5))
    first, second = save(view, tmp_path / "a.json"), save(other, tmp_path / "b.json")
    rows = {row.measure: row for row in compare(first, second)}
    assert float(rows["net"].difference or 0) == pytest.approx((other.net - view.net) / 10**6)
    assert rows["fills"].difference == str(other.fills - view.fills)
    assert (rows["strategy"].a, rows["strategy"].difference) == (view.strategy, None)
    assert "sharpe_by_day" not in rows, "missing in both"
    assert "runs" not in rows, "equal"
    separate = save(msgspec.structs.replace(other, runs=3), tmp_path / "c.json")
    (runs,) = [row for row in compare(first, separate) if row.measure == "runs"]
    assert (runs.a, runs.b, runs.difference) == ("1", "3", "2")
    assert rows["started"].a == "2026-05-28T20:26:40Z"
    markets = [name for name in rows if name.startswith("net ")]
    assert len(markets) == 2
    assert all(row.difference in (None, "0", "0.000000") for row in compare(first, first))


def test_a_market_of_only_one_report_has_no_difference(view: BacktestView, tmp_path: Path) -> None:
    first = save(view, tmp_path / "a.json")
    second = save(msgspec.structs.replace(view, rows=view.rows[:1]), tmp_path / "b.json")
    row = compare(first, second)[-1]
    assert (row.b, row.difference) == (None, None)
    assert row.a is not None


def test_parameters_that_differ_are_named(view: BacktestView, tmp_path: Path) -> None:
    first = save(msgspec.structs.replace(view, params={"hold_s": "5", "limit": "20c"}), tmp_path / "a.json")
    second = save(msgspec.structs.replace(view, params={"hold_s": "10", "limit": "20c", "x": "1"}), tmp_path / "b.json")
    rows = [(row.measure, row.a, row.b, row.difference) for row in readable(compare(first, second))]
    assert rows[1:3] == [("param hold_s", "5", "10", None), ("param x", None, "1", None)]
    assert "limit" not in str(rows)
    old = save(msgspec.structs.replace(view, params={}), tmp_path / "old.json")
    assert not [row for row in compare(first, old) if row.measure.startswith("param")], "it did not keep them"


def test_a_run_and_its_backtest_side_by_side(view: BacktestView, tmp_path: Path) -> None:
    """Only the measures of both are compared, so a run without markets adds no empty lines."""
    run = tmp_path / "run.json"
    run.write_text(
        json.dumps({"strategy": "fade", "mode": "sim", "stopped_by": "duration", "net": "1.000001", "fills": 7})
    )
    rows = {
        row.measure: row for row in compare(run, save(msgspec.structs.replace(view, denied={}), tmp_path / "a.json"))
    }
    assert list(rows) == ["strategy", "net", "fills"]
    assert float(rows["net"].difference or 0) == pytest.approx(view.net / 10**6 - 1.000001)
    assert rows["fills"].difference == str(view.fills - 7)


@pytest.mark.parametrize(
    ("run", "backtest", "is_told"),
    [
        ({"latency": "15ms"}, "150ms", True),
        ({"latency": "15ms"}, "20ms", False),
        ({"latency": "140ms"}, "150ms", False),
        ({"latency": "15ms"}, "recorded", False),
        ({"latency": None}, "150ms", False),
    ],
)
def test_a_latency_that_is_not_that_of_the_run_is_told(
    view: BacktestView, tmp_path: Path, run: dict[str, object], backtest: str, is_told: bool
) -> None:
    file, said = tmp_path / "run.json", list[str]()
    file.write_text(json.dumps({"strategy": "fade", "mode": "sim", "stopped_by": "duration", "net": "1.0"} | run))
    other = save(msgspec.structs.replace(view, latency=backtest), tmp_path / "a.json")
    rows = {row.measure: (row.a, row.b) for row in compare(file, other, said.append)}
    assert rows.get("latency") == ((run["latency"], backtest) if run["latency"] else None)
    assert any("kalshi backtest --latency 15ms" in line for line in said) is is_told
    again = list[str]()
    compare(other, file, again.append)
    assert again == said, "in either order"


def run_report(path: Path, **fields: object) -> Path:
    summary = {"strategy": "fade", "mode": "sim", "stopped_by": "duration", "net": "1.0"}
    path.write_text(json.dumps(summary | fields))
    return path


def test_latencies_of_a_paper_run_and_another_run_or_its_backtest_are_told(view: BacktestView, tmp_path: Path) -> None:
    paper = run_report(tmp_path / "paper.json", mode="paper", latency="150ms")
    sim, said = run_report(tmp_path / "sim.json", latency="30ms"), list[str]()
    rows = {row.measure: (row.a, row.b) for row in compare(paper, sim, said.append)}
    assert rows["latency"] == ("150ms", "30ms")
    assert said == [
        "The latency differs: 150ms (paper) and 30ms (sim). Later orders meet other prices, so the results differ too"
    ]
    compare(paper, save(msgspec.structs.replace(view, latency="50ms"), tmp_path / "a.json"), said.append)
    assert said[1].startswith("The latency differs: that of the run is 150ms, the backtest assumes 50ms. `kalshi")
    compare(paper, save(msgspec.structs.replace(view, latency="150ms"), tmp_path / "a.json"), said.append)
    assert len(said) == 2


def test_a_position_that_only_one_report_settled_is_told(view: BacktestView, tmp_path: Path) -> None:
    last = view.trades[-1]
    ticker = last.ticker
    held = msgspec.structs.replace(last, position_after=contracts(5))
    paid = BacktestSettlementRow(
        time=last.time, ticker=ticker, result="yes", position=contracts(5), payout=dollars(5),
        realized=SignedMoney(dollars(1)),
    )  # fmt: skip
    open_view = msgspec.structs.replace(view, trades=(held,), settlements=())
    before = save(open_view, tmp_path / "open.json")
    after = save(msgspec.structs.replace(open_view, settlements=(paid,)), tmp_path / "settled.json")
    for one in (before, run_report(tmp_path / "run.json", open_positions=1, fills=1)):
        for pair in ((one, after), (after, one)):
            said = list[str]()
            compare(*pair, said.append)
            (line,) = [text for text in said if "settlement" in text]
            assert line.startswith(f"{after} ends with the settlement of {ticker}, {one} ends before it with an open")
    closed = run_report(tmp_path / "closed.json", open_positions=0, fills=2)
    for pair in ((after, after), (before, before), (closed, after), (closed, before)):
        said = list[str]()
        compare(*pair, said.append)
        assert not [text for text in said if "settlement" in text]


def test_the_columns_of_a_comparison_are_headed_by_file_and_mode(view: BacktestView, tmp_path: Path) -> None:
    run, other = run_report(tmp_path / "run.json", mode="paper"), save(view, tmp_path / "a.json")
    assert column_headings(run, other) == {"a": "run.json (paper)", "b": "a.json (backtest)"}
    (tmp_path / "b").mkdir()
    same = save(view, tmp_path / "b" / "a.json")
    assert column_headings(other, same) == {"a": f"{other} (backtest)", "b": f"{same} (backtest)"}


@pytest.mark.parametrize(("traded", "played", "is_told"), [(6, 14, True), (6, 6, False), (6, 5, False)])
def test_a_backtest_of_more_markets_than_its_run_is_told(
    view: BacktestView, tmp_path: Path, traded: int, played: int, is_told: bool
) -> None:
    file, said = tmp_path / "run.json", list[str]()
    summary = {"strategy": "fade", "mode": "sim", "stopped_by": "duration", "net": "1.0", "markets": traded}
    file.write_text(json.dumps(summary))
    other = save(msgspec.structs.replace(view, markets=played), tmp_path / "a.json")
    compare(file, other, said.append)
    told = [line for line in said if "The run traded 6 markets, the backtest 14 markets" in line]
    assert bool(told) is is_told
    compare(other, other, said.append)
    assert len(said) == len(told)


def test_slow_hooks_of_a_run_are_told(view: BacktestView, tmp_path: Path) -> None:
    file, said = tmp_path / "run.json", list[str]()
    summary = {"strategy": "fade", "mode": "sim", "stopped_by": "duration", "net": "1.0"}
    file.write_text(json.dumps(summary | {"slow_hooks": 9, "slowest_hook_ms": 310}))
    compare(file, save(view, tmp_path / "a.json"), said.append)
    assert [line for line in said if "9 hook calls were slow, the slowest took 310 ms" in line]


@pytest.mark.parametrize(
    ("mode", "orders", "is_told"), [("sim", 3, True), ("live", 3, True), ("sim", 0, False), ("paper", 3, False)]
)
def test_a_recording_has_the_orders_of_a_run_on_an_exchange(
    view: BacktestView, tmp_path: Path, mode: str, orders: int, is_told: bool
) -> None:
    file = tmp_path / "run.json"
    summary = {"strategy": "fade", "mode": mode, "stopped_by": "duration", "net": "1.0", "orders": orders}
    file.write_text(json.dumps(summary))
    backtest = save(view, tmp_path / "a.json")
    assert json.loads(backtest.read_text())["orders"]
    assert list(own_orders([backtest, backtest], "paper")) == []
    told = own_orders([backtest, file], "paper")
    assert [("the resting orders of the run itself" in line) for line in told] == [True] * is_told


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (
            {"open_positions": 11, "fills": 0, "strategies": [{"strategy": "(none)", "net": "0.150000"}]},
            "+$0.15 of the net is of positions and trades outside its strategies; a backtest begins without positions",
        ),
        (
            {"open_positions": 2, "fills": 1, "strategies": [{"strategy": "fade", "net": "0.150000"}]},
            "the run began with positions: 2 are open after 1 fill; a backtest begins without positions",
        ),
        ({"open_positions": 1, "fills": 1, "strategies": [{"strategy": "(none)", "net": "0.000000"}]}, ""),
        (
            {"open_positions": 0, "fills": 4, "starting_positions": [{"ticker": "A"}, {"ticker": "B"}]},
            "the run began with 2 open positions; a backtest begins without positions",
        ),
        ({"open_positions": 2, "fills": 1, "starting_positions": []}, ""),
    ],
)
def test_a_run_that_began_with_positions_is_told(
    view: BacktestView, tmp_path: Path, run: dict[str, object], text: str
) -> None:
    file, said = tmp_path / "run.json", list[str]()
    file.write_text(json.dumps({"strategy": "spike", "mode": "paper", "stopped_by": "duration", "net": "0.15"} | run))
    compare(file, save(view, tmp_path / "a.json"), said.append)
    assert said == ([f"{file}: {text}"] if text else [])


def test_refusals_are_compared_by_code(view: BacktestView, tmp_path: Path) -> None:
    """A cooldown from before a run refuses orders that its backtest sends."""
    run = tmp_path / "run.json"
    summary = {"strategy": "fade", "mode": "sim", "stopped_by": "duration", "net": "1.0", "denied": {"COOLDOWN": 12}}
    run.write_text(json.dumps(summary))
    other = save(msgspec.structs.replace(view, denied={"PRICE_COLLAR": 2}), tmp_path / "a.json")
    rows = [(row.measure, row.a, row.b, row.difference) for row in readable(compare(run, other))]
    assert rows[-2:] == [("refused COOLDOWN", "12", "0", "-12"), ("refused PRICE_COLLAR", "0", "2", "2")]
    assert [row.measure for row in compare(run, other)][-2:] == ["denied COOLDOWN", "denied PRICE_COLLAR"]


def test_the_net_and_the_refusals_of_several_strategies_are_compared(view: BacktestView, tmp_path: Path) -> None:
    parts = {"fade": "1.5", "quote": "-0.5", "(none)": "0.1"}
    run = {
        "strategy": "fade,quote", "mode": "sim", "stopped_by": "duration", "net": "1.1", "denied": {"COOLDOWN": 12},
        "strategies": [{"strategy": name, "net": net} for name, net in parts.items()],
        "denied_by_strategy": [{"strategy": "fade", "code": "COOLDOWN", "denied": 12}],
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(run))
    row = ProfitPartRow(
        part="fade", round_trips=1, count=contracts(1), gross=SignedMoney(Money(0)), fees=Money(0),
        net=SignedMoney(Money(1_000_000)),
    )  # fmt: skip
    several = msgspec.structs.replace(
        view,
        by_strategy=(row, msgspec.structs.replace(row, part="quote")),
        denied={"COOLDOWN": 3},
        denied_by_strategy=(StrategyRefusalsRow(strategy="quote", code="COOLDOWN", denied=3),),
    )
    rows = compare(tmp_path / "run.json", save(several, tmp_path / "a.json"))
    assert [(row.measure, row.a, row.b, row.difference) for row in readable(rows)][-5:] == [
        ("net (fade)", "+$1.50", "+$1.00", "-$0.50"),
        ("net (quote)", "-$0.50", "+$1.00", "+$1.50"),
        ("refused COOLDOWN", "12", "3", "-9"),
        ("refused COOLDOWN (fade)", "12", "0", "-12"),
        ("refused COOLDOWN (quote)", "0", "3", "3"),
    ]
    unsplit = save(msgspec.structs.replace(several, denied_by_strategy=()), tmp_path / "b.json")
    assert [row.measure for row in compare(tmp_path / "run.json", unsplit)][-1] == "denied COOLDOWN"


def test_a_comparison_on_a_terminal_has_dollars_and_words(view: BacktestView, tmp_path: Path) -> None:
    near = msgspec.structs.replace(view, net=Money(view.net + 300), fees=Money(view.fees + 2_000_000), total_return=0.5)
    first, second = save(view, tmp_path / "a.json"), save(near, tmp_path / "b.json")
    rows = {row.measure: row for row in readable(compare(first, second))}
    assert rows["net"].difference == "+$0.0003", "exact: below a cent it is still a difference"
    assert rows["fees"].difference == "+$2.00"
    assert rows["starting balance"].a == "$1,000.00"
    assert rows["total return"].b == "50.0%"
    assert (rows["total return"].difference or "").endswith(" points")
    assert rows["started UTC"].a == "05-28 20:26:40"
    later = save(msgspec.structs.replace(view, started=Ts((view.started or 0) + 366 * 86_400_000)), tmp_path / "c.json")
    (started,) = [row for row in readable(compare(first, later)) if row.measure == "started UTC"]
    assert (started.a, started.b) == ("2026-05-28 20:26:40", "2027-05-29 20:26:40")
    assert rows["requested"].a == str(view.intents)
    assert {row.difference for row in rows.values() if row.measure.startswith("net K")} == {"$0.00"}


_SUMMARY = '{"strategy":"a","net":"1","mode":"sim","stopped_by":"x",'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        _SUMMARY + '"strategies":[{}]}',
        _SUMMARY + '"strategies":[{"strategy":"a","net":"x"}]}',
        _SUMMARY + '"open_positions":"2"}',
        "{}",
        '{"net": 5}',
        "[" * 5_000,
        '{"strategy":"a","net":"1","rows":[{}]}',
        '{"stopped_by": "x"}',
        '{"study": "x.db", "params": "size=5"}',
    ],
)
def test_what_is_no_report_is_refused_by_name(text: str, view: BacktestView, tmp_path: Path) -> None:
    good, bad = save(view, tmp_path / "a.json"), tmp_path / "bad.json"
    bad.write_text(text)
    with pytest.raises(UsageError, match=r"bad\.json is not a report"):
        compare(good, bad)
    bad.write_text("")
    with pytest.raises(UsageError, match="it is empty; the run has not ended, or was killed"):
        compare(good, bad)
    with pytest.raises(UsageError, match=r"Cannot read .*none\.json"):
        compare(tmp_path / "none.json", good)


def test_a_page_replaces_the_old_one_and_leaves_no_draft(view: BacktestView, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("old")
    write_page(view, page)
    assert page.read_text().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert json.loads(save(view, tmp_path / "a.json").read_text())["unknown"] == []


def test_each_setting_that_differs_is_listed(view: BacktestView, tmp_path: Path) -> None:
    code = "lead.py (sha256 1f0c)"
    settings = {"kalshi": "0.2.0", "interval": "2s", "code": code, "gaps": "forget"}
    made = msgspec.structs.replace(view, settings=settings, recordings=("a.jsonl", "b.jsonl"))
    changed = {**settings, "interval": "1s", "gaps": "ignore", "risk.max_spread": "off"}
    other = msgspec.structs.replace(view, settings=changed, recordings=("a.jsonl",))
    first, second = save(made, tmp_path / "a.json"), save(other, tmp_path / "b.json")
    rows = {row.measure: (row.a, row.b, row.difference) for row in compare(first, second)}
    assert {name: row for name, row in rows.items() if name.startswith("setting ")} == {
        "setting interval": ("2s", "1s", None),
        "setting gaps": ("forget", "ignore", None),
        "setting risk.max_spread": (None, "off", None),
    }
    assert rows["recordings"] == ("a.jsonl, b.jsonl", "a.jsonl", None)
    assert {"interval", "risk.max_spread"} <= {row.measure for row in readable(compare(first, second))}
    earlier = save(view, tmp_path / "earlier.json")
    assert not [row for row in compare(earlier, second) if row.measure.startswith(("setting", "recordings"))]


def test_a_run_and_its_backtest_of_other_code_are_told_apart(view: BacktestView, tmp_path: Path) -> None:
    made = msgspec.structs.replace(view, settings={"code": "lead.py (sha256 1f0c)", "gaps": "forget"})
    first, run = save(made, tmp_path / "a.json"), tmp_path / "run.json"
    summary = {"strategy": "lead", "net": "0.00", "mode": "paper", "stopped_by": "duration"}
    run.write_text(json.dumps(summary | {"settings": {"code": "lead.py (sha256 77aa)", "risk.max_exposure": "5"}}))
    rows = {row.measure: (row.a, row.b) for row in compare(run, first) if row.measure.startswith("setting")}
    assert rows == {
        "setting code": ("lead.py (sha256 77aa)", "lead.py (sha256 1f0c)"),
        "setting risk.max_exposure": ("5", None),
    }


def test_reports_of_different_times_or_with_a_disabled_strategy_are_named(view: BacktestView, tmp_path: Path) -> None:
    assert view.started is not None
    assert view.ended is not None
    later = msgspec.structs.replace(view, ended=Ts(view.ended + SAME_TIME_MS + 1))
    near = msgspec.structs.replace(view, started=Ts(view.started - SAME_TIME_MS))
    first = save(view, tmp_path / "a.json")
    run = tmp_path / "run.json"
    run.write_text(
        json.dumps(
            {"strategy": "fade", "net": "1.000000", "mode": "paper", "stopped_by": "duration",
             "failed_strategies": ["fade: ZeroDivisionError: division by zero"]}
        )
    )  # fmt: skip
    said: list[str] = []
    compare(first, save(near, tmp_path / "b.json"), said.append)
    assert said == []
    compare(first, save(later, tmp_path / "b.json"), said.append)
    assert len(said) == 1
    assert "cover different times" in said[0]
    said.clear()
    compare(run, first, said.append)
    assert len(said) == 1
    assert said[0].endswith("fade: ZeroDivisionError: division by zero")


def test_a_full_disk_is_named_with_the_file_and_leaves_no_empty_folder(view: BacktestView, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the extra research is not installed")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "own").mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        for folder in (tmp_path / "new", tmp_path / "own"):
            with pytest.raises(OSError, match=re.escape(str(folder / "trades.parquet"))):
                write_folder(view, folder)
        with pytest.raises(OSError, match=re.escape(str(tmp_path / "report.html"))):
            write_page(view, tmp_path / "report.html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
    assert list((tmp_path / "own").iterdir()) == []
