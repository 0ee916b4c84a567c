"""The first orders that differ in two saved reports."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.backtests import losing

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, Ts, cents, contracts, show_price
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.services.research.backtest import backtest_view
from kalshi_cli.services.research.report.differing_orders import (
    FILL,
    SAME_TIME_MS,
    first_differences,
    order_rows,
    without_dates,
)
from kalshi_cli.services.research.report.saved import compare
from kalshi_cli.services.trading.reports.sent_orders import MAX_SENT
from kalshi_cli.views.formats import to_machine
from kalshi_cli.views.runs import BacktestView, RunFillRow, SentOrderRow

START = Ts(1_780_000_000_000)
"""2026-05-28 20:26:40 UTC."""


def sent(ticker: str, after_s: float, price: int = 20, *, count: int = 10, is_amend: bool = False) -> SentOrderRow:
    return SentOrderRow(
        time=Ts(START + round(after_s * 1000)), ticker=ticker, strategy="fade", is_amend=is_amend, book_side=Side.BID,
        price=cents(price), count=contracts(count),
    )  # fmt: skip


@pytest.fixture(scope="module")
def view() -> BacktestView:
    return backtest_view(losing())


def test_only_the_first_difference_of_a_market_is_listed_and_the_earliest_market_first() -> None:
    a = [sent("A", 0), sent("B", 1), sent("A", 30), sent("A", 40)]
    b = [sent("A", 2), sent("B", 2, price=21), sent("A", 31, is_amend=True), sent("A", 40, count=2)]
    found = first_differences(a, b)
    assert [each.ticker for each in found] == ["B", "A"]
    assert found[1].a == a[2]
    assert found[1].b == b[2]
    assert first_differences(a, a) == []


def test_an_order_that_one_report_lacks_or_that_comes_much_later_differs() -> None:
    assert first_differences([sent("A", 0)], [])[0].b is None
    late = sent("A", SAME_TIME_MS / 1000 + 1)
    assert first_differences([sent("A", 0)], [late])[0].b == late
    assert not first_differences([sent("A", 0)], [sent("A", SAME_TIME_MS / 1000)])


def test_an_order_after_the_end_of_a_cut_list_is_not_missing() -> None:
    a, b = [sent("A", 0)] * MAX_SENT, [*[sent("A", 0)] * MAX_SENT, sent("A", 60)]
    assert not order_rows([{"sent": a}, {"sent": b}])
    assert order_rows([{"sent": a[2:]}, {"sent": b[2:]}])


def test_the_orders_are_shown_with_time_side_count_and_price() -> None:
    (row,) = order_rows([{"sent": [sent("A", 0)]}, {"sent": [sent("A", 1, is_amend=True)]}])
    assert (row.measure, row.a, row.b) == (
        "order A", "2026-05-28T20:26:40Z buy 10 at $0.20", "2026-05-28T20:26:41Z amend to buy 10 at $0.20",
    )  # fmt: skip
    short = without_dates(row)
    assert (short.measure, short.a, short.b) == ("A", "20:26:40 buy 10 at $0.20", "20:26:41 amend to buy 10 at $0.20")


def test_where_all_orders_are_the_same_the_first_fills_that_differ_are_listed(
    view: BacktestView, tmp_path: Path
) -> None:
    files = [tmp_path / "run.json", tmp_path / "b.json"]
    first, *others = view.trades
    cheaper = msgspec.structs.replace(first, time=Ts(first.time + 331), price=Price(first.price - 200))
    files[1].write_bytes(msgspec.json.encode(to_machine(BacktestView)(view)))
    report = msgspec.json.decode(files[1].read_bytes())
    rows = to_machine(BacktestView)(msgspec.structs.replace(view, trades=(cheaper, *others)))["trades"]
    names = RunFillRow.__struct_fields__
    run = {
        "strategy": "fade", "net": "0.00", "mode": "paper", "stopped_by": "duration", "sent": report["sent"],
        "run_fills": [{name: row[name] for name in names} for row in rows],
    }  # fmt: skip
    files[0].write_bytes(msgspec.json.encode(run))
    said = list[str]()
    (row,) = (row for row in compare(files[0], files[1], note=said.append) if row.measure.startswith(FILL))
    assert said[0].endswith("at most 5 s apart. Their fills differ")
    assert row.measure == f"fill {first.ticker}"
    assert (row.a or "").endswith(f"at {show_price(cheaper.price)}")
    assert (row.b or "").endswith(f"at {show_price(first.price)}")
    assert f".{cheaper.time % 1000:03d} " in (without_dates(row).a or "")
    del run["run_fills"]
    files[0].write_bytes(msgspec.json.encode(run))
    assert not [row for row in compare(files[0], files[1]) if row.measure.startswith(FILL)]


def test_a_report_lists_the_first_orders_that_were_sent_and_compare_reads_them(
    view: BacktestView, tmp_path: Path
) -> None:
    assert len(view.sent) == min(view.orders, MAX_SENT) > 1
    first = next(trade for trade in view.trades if trade.ticker == view.sent[0].ticker)
    assert (view.sent[0].price, view.sent[0].count) == (first.price, first.count)
    assert view.sent[0].time <= first.time
    changed = msgspec.structs.replace(view.sent[0], count=contracts(3))
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, each in zip(files, (view, msgspec.structs.replace(view, sent=(changed, *view.sent[1:]))), strict=True):
        file.write_bytes(msgspec.json.encode(to_machine(BacktestView)(each)))
    said = list[str]()
    assert not [row for row in compare(files[0], files[0], note=said.append) if row.measure.startswith("order ")]
    assert "have the same side, price and count" in said[0]
    rows = [row for row in compare(files[0], files[1], note=said.append) if row.measure.startswith("order ")]
    assert [row.measure for row in rows] == [f"order {changed.ticker}"]
    assert "buy 3 at" in (rows[0].b or "")
    assert len(said) == 1
    assert "Their fills differ" not in said[0]
    files[1].write_text(files[1].read_text().replace('"book_side":"bid"', '"book_side":"x"'))
    with pytest.raises(UsageError, match="is not a report"):
        compare(files[0], files[1])
