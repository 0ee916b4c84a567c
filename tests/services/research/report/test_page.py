"""The page of a report: whole, self-contained, escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.backtests import losing

from kalshi_cli.base.units import Money, Ts, show_money
from kalshi_cli.services.research.backtest import backtest_view
from kalshi_cli.services.research.report.charts import MAX_COLUMNS, bar_chart, line_chart, thinned
from kalshi_cli.services.research.report.page import report_page
from kalshi_cli.views.formats import SignedMoney
from kalshi_cli.views.runs import BacktestView

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


class Page(HTMLParser):
    """Tags, the text, and whether each tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "path", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def view() -> BacktestView:
    return backtest_view(losing())


def test_the_page_shows_the_net_of_each_phase_of_the_ticks(view: BacktestView) -> None:
    several = msgspec.structs.replace(view, phase_nets=(SignedMoney(Money(-160_000)), SignedMoney(Money(1_330_000))))
    text = Page(report_page(several)).text
    assert "Net with 2 phases of the ticks: -$0.16 to +$1.33; the phase decides its sign" in text
    assert "Each phase: -$0.16, +$1.33" in text
    assert "phases" not in report_page(view)


def test_the_top_of_the_page_has_requests_refusals_warnings_and_what_made_it(view: BacktestView) -> None:
    refused = msgspec.structs.replace(
        view, intents=83, orders=27, denied={"COOLDOWN": 56}, latency="150ms",
        settings={"kalshi": "0.2.0", "interval": "1s", "gaps": "forget"}, recordings=("a.jsonl.gz", "btcusd.csv"),
    )  # fmt: skip
    text = Page(report_page(refused, ["Warning: COOLDOWN refused 56 of 83 order requests"])).text
    top = text[: text.index("Profit and loss over time")]
    assert "83 order requests: 27 sent, 56 refused (COOLDOWN 56)" in top
    assert "Warnings and notesWarning: COOLDOWN refused 56 of 83 order requests" in top
    made = f"fill model {view.fill_model}, latency 150ms; kalshi 0.2.0, interval 1s, gaps forget; "
    assert f"{made}recordings a.jsonl.gz, btcusd.csv" in top
    assert "Warnings and notes" not in report_page(view)


def test_times_in_sentences_are_written_like_those_of_the_tables(view: BacktestView) -> None:
    noted = msgspec.structs.replace(
        view,
        unknown=("the rest of a recording: TRUNCATED after 2026-11-26T01:45:41.105Z",),
        settings={"since": "2026-11-26T01:30:00Z", "until": "2026-11-26T01:50:00Z"},
    )
    shown = report_page(noted, ["Refused 3 by COOLDOWN; first 2026-11-26T01:45:15.250Z KXA"])
    for expected in (
        "TRUNCATED after 2026-11-26 01:45:41 UTC",
        "first 2026-11-26 01:45:15 UTC KXA",
        "since 2026-11-26 01:30:00 UTC, until 2026-11-26 01:50:00 UTC",
    ):
        assert expected in shown
    assert "2026-11-26T" not in shown


def test_the_page_has_every_part_and_loads_nothing(view: BacktestView) -> None:
    text = report_page(view)
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "a", "form"} & {*page.tags}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text
    assert "@import" not in text
    assert page.tags.count("svg") == 6
    for part in (show_money(view.net, signed=True), "Max drawdown", "prefers-color-scheme:dark", "@media print"):
        assert part.lower() in text.lower()
    assert text.count("<tr>") > view.fills
    for title in ("Drawdown", "Ratios", "Profit by market", "Profit by price paid", "Method"):
        assert f"<h2>{title}</h2>" in text
    assert "Market impact is not modeled" in page.text
    bought, taken = (
        sum(is_so) for is_so in zip(*((f.book_side == "bid", f.is_taker) for f in view.trades), strict=True)
    )
    assert text.count('<td class=" ">buy YES</td>') == bought > 0
    assert text.count('<td class=" ">taker</td>') == taken > 0


def test_hostile_names_are_text(view: BacktestView) -> None:
    replace = msgspec.structs.replace
    hostile = replace(
        view,
        strategy=HOSTILE,
        fill_model=HOSTILE,
        latency=HOSTILE,
        unknown=(HOSTILE,),
        rows=tuple(replace(row, key=HOSTILE) for row in view.rows),
        trades=tuple(replace(row, ticker=HOSTILE, strategy=HOSTILE, order_id=HOSTILE) for row in view.trades),
        by_price=tuple(replace(row, part=HOSTILE) for row in view.by_price),
    )
    text = report_page(hostile)
    page = Page(text)
    assert "script" not in page.tags
    assert "<script>alert(1)" in page.text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_page_without_trades_says_so(view: BacktestView) -> None:
    empty = msgspec.structs.replace(
        view, trades=(), curve=(), rows=(), by_hour=(), by_price=(), by_time_to_close=(), started=None, unknown=()
    )
    page = Page(report_page(empty))
    assert "No trades." in page.text
    assert "svg" not in page.tags


points = st.lists(st.tuples(st.integers(0, 10**9), st.integers(-(10**12), 10**12)), min_size=2, max_size=300)


@given(points, st.integers(1, 40))
def test_a_thinned_curve_keeps_its_ends_and_extremes(values: list[tuple[int, int]], columns: int) -> None:
    curve = [(Ts(at), Money(value)) for at, value in sorted(values)]
    kept = thinned(curve, columns)
    assert len(kept) <= max(4 * columns, 4 * (columns + 1))
    assert (kept[0], kept[-1]) == (curve[0], curve[-1])
    assert {min(value for _, value in kept), max(value for _, value in kept)} == {
        min(value for _, value in curve), max(value for _, value in curve)
    }  # fmt: skip
    found = iter(curve)
    assert all(point in found for point in kept), "in the same order"


@given(points)
def test_a_line_stays_within_its_frame(values: list[tuple[int, int]]) -> None:
    drawn = line_chart([(Ts(at), Money(value)) for at, value in sorted(values)], "a curve")
    path = re.findall(r'class="line" d="([^"]+)"', drawn)[0]
    assert all(0 <= float(x) <= 900 for x in re.findall(r"[MH](-?[\d.]+)", path))
    assert all(0 <= float(y) <= 240 for y in re.findall(r"[,V](-?[\d.]+)", path))


def test_one_point_is_no_line() -> None:
    assert line_chart([(Ts(0), Money(1))], "a point") == ""
    assert len(thinned([(Ts(at), Money(at)) for at in range(100_000)])) <= 4 * (MAX_COLUMNS + 1)


def test_bars_begin_at_zero_and_have_the_color_of_their_sign() -> None:
    drawn = bar_chart([("up", Money(30)), ("down", Money(-10))], "bars")
    (up, down) = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="\d+" width="([\d.]+)"', drawn)
    assert (up[0], down[0]) == ("gain", "loss")
    assert float(up[2]) == pytest.approx(3 * float(down[2]), abs=0.2)
    assert float(down[1]) + float(down[2]) == pytest.approx(float(up[1]), abs=0.11)
    assert bar_chart([], "none") == ""
