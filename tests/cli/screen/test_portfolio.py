"""The portfolio on a terminal: everything that a hand trader decides by, on one screen."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.hostile_text import HOSTILE
from support.values import make_order

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, dollars
from kalshi_cli.cli.screen.output import ROUNDED, wrap
from kalshi_cli.cli.screen.portfolio import draw_portfolio, limit_lines, portfolio_lines, position_lines
from kalshi_cli.cli.screen.tables import draw_rows
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.views.formats import Ratio, SignedMoney, TruncatableText
from kalshi_cli.views.orders import LiveOrderRow, order_row
from kalshi_cli.views.portfolio import HoldingRow, LimitUsageRow, PortfolioView

NOW = Ts(1_795_424_400_000)
TITLE = TruncatableText("45° to 46°: Highest temperature in NYC on Nov 23, 2026?")


def holding(number: int = 0, **changed: object) -> HoldingRow:
    row = HoldingRow(
        ticker=f"KXHIGHNY-26NOV23-B{number}5.5", title=TITLE, subaccount=0, side="no", count=Qty(6502),
        average_price=cents(91), mark=cents(90), cost=dollars("59.17"), value=dollars("58.52"),
        unrealized=SignedMoney(dollars("-0.65")), max_payout=dollars("65.02"),
    )  # fmt: skip
    return replace(row, **changed)


def usage(code: str, share: float, subject: str = "KXHIGHNY-26NOV23-B45.5") -> LimitUsageRow:
    return LimitUsageRow(
        limit_code=code, subject=subject, used=f"{share * 100:.0f}", limit="100", used_share=Ratio(share),
        unit="contracts", used_value=f"{share * 100:.2f}", limit_value="100.00",
    )  # fmt: skip


def portfolio(positions: int, limits: tuple[LimitUsageRow, ...] = ()) -> PortfolioView:
    return PortfolioView(
        cash=dollars("951.37"), positions_value=dollars("47.16"), total=dollars("998.53"), cost=dollars("48.06"),
        unrealized=SignedMoney(dollars("-0.9")), exposure=dollars("115.5"), resting_orders=5,
        pnl_today=SignedMoney(dollars("-1.47")), realized_today=SignedMoney(Money(0)),
        unrealized_today=SignedMoney(dollars("-0.90")), fees_today=dollars("0.57"),
        pnl_today_share=Ratio(-0.00147), wins_today=1, losses_today=2, unpriced_at_open=(), as_of=NOW,
        positions=tuple(map(holding, range(positions))), orders=(), limits=limits,
    )  # fmt: skip


def shown(view: PortfolioView, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in portfolio_lines(view, "Portfolio (sim)", NOW, width, height)]


def test_money_has_names_values_and_limits() -> None:
    lines = shown(portfolio(0, (usage("EXPOSURE", 0.231, "all markets"),)))
    assert lines[1:6] == [
        "cash             $951.37   P&L today       -$1.47 (-0.15%), fees $0.57",
        "positions value   $47.16   realized today  $0.00, unrealized -$0.90",
        "equity           $998.53   closing orders  1 won, 2 lost today",
        "unrealized        -$0.90   exposure        23 of 100 (23.1%)",
        "resting orders         5   daily loss      no limit",
    ]
    assert lines[6:] == ["", "No open positions"]
    assert "exposure        $115.50, no limit" in shown(portfolio(0))[4]


def test_the_equity_is_the_sum_of_what_is_shown_and_other_sums_that_miss_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    uneven = replace(portfolio(0), cash=dollars("1.004"), positions_value=dollars("2.004"))
    amounts = [line.split("   P&L")[0].split()[-1] for line in shown(uneven, width=60)[1:4]]
    assert amounts == ["$1.004", "$2.004", "$3.008"]
    draw_portfolio(portfolio(0), "Portfolio (sim)", NOW)
    assert ROUNDED not in capsys.readouterr().err
    thirds = replace(portfolio(0), realized_today=SignedMoney(Money(4_000)), fees_today=Money(-4_000))
    draw_portfolio(thirds, "Portfolio (sim)", NOW)
    assert ROUNDED in capsys.readouterr().err.replace("\n", " ")


def test_positions_without_a_price_at_midnight_are_named() -> None:
    view = replace(portfolio(1), unpriced_at_open=("KXA-1",))
    text = "P&L today counts no gain of these, their prices at midnight are unknown: KXA-1"
    assert text in shown(view)


def test_a_position_has_its_title_and_every_number_at_80_columns() -> None:
    assert [line.plain for line in position_lines([holding(4)], 80)] == [
        "  quantity  avg price  closing price    cost   value  unrealized  max payout",
        "KXHIGHNY-26NOV23-B45.5  45° to 46°: Highest temperature in NYC on Nov 23, 2026?",
        "  65.02 NO      $0.91          $0.90  $59.17  $58.52      -$0.65      $65.02",
    ]


@pytest.mark.parametrize("width", range(20, 130, 7))
def test_numbers_are_whole_or_left_out_at_any_width(width: int) -> None:
    rows = [holding(), holding(cost=dollars("12345.67"), value=dollars("12345.67"), max_payout=dollars("20000"))]
    lines = [line.plain for line in position_lines(rows, width)]
    whole = [line.plain for line in position_lines(rows, 200)]
    for at in (0, 2, 4):
        assert set(lines[at].split()) <= set(whole[at].split())
    assert len(lines[2]) == len(lines[4]) == len(lines[0])
    assert all(len(line) <= max(width, 40) for line in (lines[0], lines[2], lines[4]))


def test_a_position_of_a_subaccount_says_so() -> None:
    assert position_lines([holding(subaccount=3)], 80)[1].plain.startswith("KXHIGHNY-26NOV23-B05.5 (subaccount 3)  45°")


@pytest.mark.parametrize("positions", range(6))
def test_up_to_five_positions_fit_one_screen_with_the_limits(positions: int) -> None:
    limits = tuple(usage(f"LIMIT_{number}", 0.9 - number / 20) for number in range(15))
    lines = shown(portfolio(positions, limits), height=23)
    assert len(lines) <= 23
    assert all(len(line) <= 80 for line in lines)
    assert "LIMIT_0" in "\n".join(lines)


def test_resting_orders_say_what_they_close_or_open_where_there_is_room() -> None:
    limits = tuple(usage(f"LIMIT_{number}", 0.9 - number / 20) for number in range(15))
    ticker = holding().ticker
    orders = [make_order(ticker=ticker, side=side, price=cents(12), qty=contracts(10)) for side in (BID, ASK)]
    rows = [LiveOrderRow.of(order_row(each), strategy="", closing=None) for each in orders]
    closes, opens = replace(rows[0], closing=contracts(10)), replace(rows[1], closing=Qty(0))
    lines = shown(replace(portfolio(1, limits), orders=(closes, opens)), height=23)
    at = lines.index("resting orders")
    assert lines[at - 1 : at + 4] == [
        "", "resting orders", f"  {ticker}  sell 10 NO at $0.88  closes 10 NO",
        f"  {ticker}  buy 10 NO at $0.88   opens 10 NO", "",
    ]  # fmt: skip
    for positions in range(6):
        lines = shown(replace(portfolio(positions, limits), orders=(opens,) * 20), height=23)
        assert len(lines) <= 23
        assert "LIMIT_0" in "\n".join(lines)
        listed = sum("opens 10 NO" in line for line in lines)
        counted = f"  and {20 - listed} more" if listed else "20 resting orders"
        assert f"{counted}: `kalshi order list`" in lines
    assert listed == 0, "five positions leave no room for an order"


def test_a_small_phone_says_where_the_resting_orders_are() -> None:
    order = make_order(ticker=holding().ticker, side=BID, price=cents(12), qty=contracts(10))
    row = LiveOrderRow.of(order_row(order), strategy="", closing=Qty(0))
    view = replace(portfolio(2, (usage("POSITION_LIMIT", 0.2),)), orders=(row, row))
    assert "2 resting orders: `kalshi order list`" in shown(view, width=48, height=23)


def test_the_price_of_a_resting_order_is_whole_on_a_phone() -> None:
    ticker = "KXHIGHNY-26NOV21-B53.5-AND-MORE"
    orders = [make_order(ticker=ticker, side=BID, price=cents(12), qty=contracts(10))] * 9
    rows = tuple(LiveOrderRow.of(order_row(each), strategy="", closing=Qty(0)) for each in orders)
    view = replace(portfolio(0), orders=rows)
    lines = [line.rstrip() for line in shown(view, width=48, height=60)]
    at = lines.index("resting orders")
    assert lines[at + 1 : at + 3] == [f"  {ticker}", "    buy 10 YES at $0.12  opens 10 YES"]
    for height in range(20, 40):
        lines = shown(view, width=48, height=height)
        assert len(lines) <= height
        listed = sum("opens 10 YES" in line for line in lines)
        assert listed in (0, 9) or f"  and {9 - listed} more: `kalshi order list`" in lines


def test_the_limits_that_have_no_room_are_counted() -> None:
    limits = [usage("POSITION_LIMIT", share) for share in (1.0, 0.5, 0.123, 0.1)]
    assert [line.plain for line in limit_lines(limits, 80, 4)] == [
        "limits, the most used first",
        "  100.0%  100 of 100  KXHIGHNY-26NOV23-B45.5  POSITION_LIMIT",
        "   50.0%  50 of 100   KXHIGHNY-26NOV23-B45.5  POSITION_LIMIT",
        "  and 2 more, used 12.3% at most; -v shows all",
    ]
    assert len(limit_lines(limits, 80, 5)) == 5
    assert "more" not in limit_lines(limits, 80, 5)[-1].plain


def test_a_limit_and_its_market_are_whole_on_a_phone() -> None:
    limits = [usage("POSITION_LIMIT", 1.0), usage("EXPOSURE", 0.5, "all markets")]
    assert [line.plain for line in limit_lines(limits, 48, 9)[1:]] == [
        "  100.0%  100 of 100  POSITION_LIMIT",
        "    KXHIGHNY-26NOV23-B45.5",
        "   50.0%  50 of 100   EXPOSURE",
        "    all markets",
    ]
    assert [line.plain for line in limit_lines(limits * 2, 48, 6)[3:]] == [
        "   50.0%  50 of 100   EXPOSURE",
        "    all markets",
        "  and 2 more, used 100.0% at most; -v shows all",
    ]


def test_the_price_of_an_order_that_just_fits_a_phone_is_not_cut() -> None:
    order = make_order(ticker="KXBTCD-26NOV2511-T88249.99", side=BID, price=cents(5), qty=contracts(1))
    view = replace(portfolio(0), orders=(LiveOrderRow.of(order_row(order), strategy="", closing=Qty(0)),))
    assert "    buy 1 YES at $0.05  opens 1 YES" in shown(view, width=48, height=60)


def test_hostile_text_does_nothing() -> None:
    for text in HOSTILE[::2]:
        view = portfolio(0, (usage("CODE", 0.5, text),))
        rows = (holding(ticker=text, title=TruncatableText(text)),)
        orders = (LiveOrderRow.of(order_row(make_order(ticker=text)), strategy=text),)
        lines = portfolio_lines(replace(view, positions=rows, orders=orders), text, NOW, 80, 24)
        assert all(char.isprintable() for line in lines for char in line.plain), lines


def test_a_position_that_cannot_be_closed_at_its_closing_price_says_why() -> None:
    estimate = holding(mark_source="estimate")
    paid, lost = (holding(mark_source="settlement", value=value) for value in (dollars("65.02"), dollars(0)))
    notes = [position_lines([row], 80)[2].plain.strip() for row in (estimate, paid, lost)]
    assert notes == [
        "no bids for NO: $0.90 is an estimate; sold now, it brings nothing",
        "result known: payout of $65.02 is due",
        "result known: no payout",
    ]
    assert len(position_lines([holding(mark_source="quote")], 80)) == len(position_lines([holding()], 80)) == 3


def test_amounts_with_an_estimate_say_so_below_the_money() -> None:
    view = portfolio(1)
    assert not any("estimate" in line for line in shown(view))
    row = replace(
        view.positions[0], mark_source="estimate", value=dollars("4.5"), unrealized=SignedMoney(dollars("0.5"))
    )
    line = shown(replace(view, positions=(row,)))[6]
    assert line == "estimate: $4.50 of value and equity, +$0.50 of P&L: no bids there"


@pytest.mark.parametrize("width", ["48", "120"])
def test_a_list_of_limits_has_texts_to_read_alone(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    draw_rows(LimitUsageRow, [usage("POSITION", 0.061)], "Limits", NOW)
    shown = capsys.readouterr().out
    assert "6.1%" in shown
    assert not any(name in shown for name in ("unit", "used value", "limit value", "6.10"))


def test_columns_without_room_are_named_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = "Hidden, the terminal is too narrow: cost, value, max payout. To see them: "
    for width, err in (("80", ""), ("50", f"{hidden}`kalshi positions --fields ticker,side,cost,value,max_payout`\n")):
        monkeypatch.setenv("COLUMNS", width)
        draw_portfolio(portfolio(1), "Portfolio", NOW)
        shown = capsys.readouterr().err
        assert " ".join(shown.split()) == err.strip()


@pytest.mark.parametrize("height", [29, 30])
def test_the_notices_below_count_as_lines_of_the_screen(
    height: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("COLUMNS", "52"), ("LINES", str(height)), ("FORCE_COLOR", "1")):
        monkeypatch.setenv(name, value)
    many = tuple(usage("POSITION_LIMIT", 0.5) for _ in range(20))
    draw_portfolio(portfolio(1, many), "Portfolio", NOW)
    shown = capsys.readouterr()
    below = [part for line in shown.err.splitlines() for part in wrap(line, 52).splitlines()]
    assert len(below) == 4
    assert len(shown.out.splitlines()) + len(below) + 1 <= height, "the prompt needs a line"
