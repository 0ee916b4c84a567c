"""The curve of profit and loss, on a terminal and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import with_fade
from support.served import Served, program, served, set_variables

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.cli.screen.curve import HEIGHT, draw_curve, svg_curve
from kalshi_cli.services.research import backtest

Points = list[tuple[Ts, Money]]


def points(*gains: int) -> Points:
    return [(Ts(at * 60_000), Money(gain)) for at, gain in enumerate(gains)]


def test_a_staircase_with_its_ends_and_zero_marked() -> None:
    assert draw_curve(points(0, 2_000_000, -1_000_000), 44) == [
        "     $2.00 ┤             ╭─────────────╮",
        "           ┤             │             │",
        "           ┤             │             │",
        "     $1.25 ┤             │             │",
        "           ┤             │             │",
        "           ┤             │             │",
        "     $0.50 ┤             │             │",
        "           ┤             │             │",
        "           ┤─────────────╯·············│",
        "    -$0.25 ┤                           │",
        "           ┤                           │",
        "           ┤                           │",
        "    -$1.00 ┤                           ╰",
        "            Jan 01 00:00    Jan 01 00:02 UTC",
    ]


def test_a_curve_of_a_minute_tells_its_ends_apart_by_their_seconds() -> None:
    drawn = [(Ts(61_000), Money(0)), (Ts(101_000), Money(5))]
    assert draw_curve(drawn, 80)[-1].split() == ["Jan", "01", "00:01:01", "Jan", "01", "00:01:41", "UTC"]
    for moment in ("1970-01-01 00:01:01 UTC", "1970-01-01 00:01:41 UTC"):
        assert moment in svg_curve(drawn, "a minute")


def test_one_point_is_no_curve() -> None:
    assert draw_curve(points(5), 80) == []


@given(
    gains=st.lists(st.integers(-(10**15), 10**15), min_size=2, max_size=50),
    width=st.integers(45, 300),
)
def test_every_curve_fits_and_ends_where_the_money_is(gains: list[int], width: int) -> None:
    lines = draw_curve(points(*gains), width)
    assert len(lines) == HEIGHT + 1
    assert all(len(line) <= width for line in lines)
    drawn = ElementTree.fromstring(svg_curve(points(*gains), "p&l <of> everything"))
    assert drawn[1].text == "p&l <of> everything"


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path) as one:
        set_variables(monkeypatch, one.home, one.variables())
        yield one


def test_pnl_draws_here_or_into_a_file_or_says_why_not(exchange: Served, tmp_path: Path) -> None:
    assert "No trades" in program("pnl", "--plot").err
    exchange.trade_a_little()
    drawn = program("pnl", "--plot")
    assert drawn.out.startswith("Profit and loss: ")
    assert drawn.out.count("┤") == HEIGHT
    path = tmp_path / "curve.svg"
    assert program("pnl", "--plot", str(path)).code == 0
    assert "Profit and loss: " in path.read_text()
    assert program("pnl", "--plot", str(path), "--json").json == program("pnl", "--json").json
    for words, said in (
        (("curve.svg",), "--plot curve.svg"),
        (("--plot", "x.png"), "must end in .svg"),
        (("--plot", "--json"), "--plot cannot be combined"),
        (("--plot", "--fields", "net"), "--plot and --fields cannot be combined"),
    ):
        ended = program("pnl", *words)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err


FADE = ("backtest", "--strategy", "./fade.py:Fade", "--data", "tape.jsonl", "--param", "limit=30c")


def test_a_backtest_draws_its_curve_in_recorded_time(exchange: Served) -> None:
    with_fade(exchange)
    drawn = program(*FADE, "--plot", "curve.svg", "--json")
    assert drawn.code == 0, drawn.err
    path = exchange.home / "curve.svg"
    assert f"Profit and loss: ${float(drawn.json['net']):.2f}" in path.read_text()
    assert "2026-05-28 20:27:10 UTC" in path.read_text()
    assert program(*FADE, "--plot", "curve.svg").out.startswith("strategy"), "the report is shown as ever"
    for words in (("--plot", "--json"), ("curve.svg",)):
        assert program(*FADE, *words).code == 2


def test_a_curve_without_end_is_kept_with_fewer_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "MAX_POINTS", 10)
    curve: Points = []
    for at in range(1_000):
        backtest.add_point(curve, Ts(at), Money(at // 2))
        assert len(curve) <= 10
    assert curve[0] == (0, 0)
    assert [ts for ts, _ in curve] == sorted({ts for ts, _ in curve})
    assert all(money == ts // 2 for ts, money in curve)
    assert len(curve) > 4
