"""The screen as lines: widths, marks, old numbers, hostile text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.hostile_text import HOSTILE
from support.values import make_fill, make_order

from kalshi_cli.base.units import Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.tui.curve import area, chart
from kalshi_cli.tui.head import attention, header
from kalshi_cli.tui.key_line import ALWAYS, KEYS_SHOWN, OF_LIST, PAGE_KEYS, fitting
from kalshi_cli.tui.list_panel import title_of
from kalshi_cli.tui.market_page import NO_BOOK, NO_LOOP, READING, no_book
from kalshi_cli.tui.picture import (
    PANELS,
    below,
    has_strategies,
    hidden_columns,
    line,
    list_lines,
    matching,
    new_settlements,
    news,
    text_lines,
    time_of_day,
)
from kalshi_cli.views.formats import SignedMoney, TradingStateCell, TruncatableText, format_time
from kalshi_cli.views.live import (
    LiveEvent,
    LiveFillRow,
    LiveRunView,
    LiveSettlementRow,
    RecentAlertRow,
    TopRow,
    live_fill,
)
from kalshi_cli.views.orders import LiveOrderRow, order_row
from kalshi_cli.views.portfolio import HoldingRow

NOW = Ts(1_795_000_000_000)
POSITIONS, ORDERS, FILLS, STRATEGIES, ALERTS, MARKETS = PANELS


def run(**changed: Any) -> LiveRunView:
    fields: dict[str, Any] = {
        "env": "prod", "mode": "live", "host": "api.elections.kalshi.com", "real_money": True,
        "running": True, "pid": 4242,
        "strategy": "spike", "started": NOW, "cycles": 3, "state": TradingStateCell("active"), "state_code": None,
        "state_reason": None, "paused": False, "time": NOW, "cash": dollars(100), "equity": dollars(120),
        "day_pnl": SignedMoney(dollars(-2)), "exposure": dollars(20), "exposure_limit": dollars(500),
        "daily_loss_limit": None, "feed_age_s": 0.2, "feed_lag_ms": 3, "waiting": None, "denied": {}, "problem": None,
    }  # fmt: skip
    return LiveRunView(**(fields | changed))


def plain_head(event: LiveEvent, now: Ts = NOW, width: int = 80) -> list[str]:
    return [text.plain for text in header(event, now, attention(event, 0.0), width)]


def test_the_head_says_where_money_is_and_fits_80_columns() -> None:
    head = plain_head(LiveEvent(run=run()))
    assert head[0].startswith(" PROD LIVE REAL MONEY api.elections.kalshi.com   spike is running")
    assert "equity $120.00" in head[1]
    assert "P&L today -$2.00" in head[1]
    assert "exposure $20.00 of $500.00" in head[1]
    assert all(len(text) <= 80 for text in head)
    assert "until" not in head[0]
    ends = Ts(NOW + 3_600_000)
    assert plain_head(LiveEvent(run=run(ends=ends)), width=120)[0].endswith(f"until {format_time(ends, None)}")
    assert "until" not in plain_head(LiveEvent(run=run(ends=ends, running=False)), width=120)[0]


@pytest.mark.parametrize(
    ("changed", "age_s", "said"),
    [
        ({}, 3.0, ""),
        ({}, 7.0, "OLD NUMBERS: 7 s"),
        ({"running": False}, 2.5, ""),
        ({"running": False}, 4.0, "OLD NUMBERS: 4 s. The exchange does not answer"),
        ({"problem": TruncatableText("timed out")}, 4.0, "OLD NUMBERS: 4 s. timed out"),
        ({"problem": TruncatableText("no route to host")}, 0.0, "PROBLEM: no route to host"),
        ({"paused": True, "state": TradingStateCell("paused")}, 0.0, "PAUSED: no reason given"),
        ({"state": TradingStateCell("halted"), "state_code": "DAILY_LOSS"}, 0.0, "HALTED: DAILY_LOSS"),
        ({"waiting": TruncatableText("spike: 10 prices")}, 0.0, "waiting: spike: 10 prices"),
    ],
)
def test_the_third_line_has_what_matters_most(changed: dict[str, Any], age_s: float, said: str) -> None:
    event = LiveEvent(run=run(**changed))
    text = header(event, NOW, attention(event, age_s), 80)[2]
    assert text.plain.startswith(said)
    assert bool(text.plain) == bool(said)
    assert ("red" in str(text.style)) == ("OLD" in said or "PROBLEM" in said or "HALTED" in said)


def test_without_a_loop_there_is_no_feed_whose_age_could_be_shown() -> None:
    wide = plain_head(LiveEvent(run=run(running=False)), width=200)[1]
    assert "feed" not in wide
    assert "lag" not in wide
    money = plain_head(LiveEvent(run=run(running=False)))[1]
    assert money.endswith("exposure $20.00 of $500.00  cash $100.00")
    assert money.startswith("equity $120.00  P&L today -$2.00")


def test_the_head_of_a_narrow_screen_keeps_the_clock_the_exposure_and_the_cash() -> None:
    sim = {"env": "sim", "mode": "sim", "host": "127.0.0.1:43211", "real_money": False}
    head = plain_head(LiveEvent(run=run(**sim, running=False)), width=48)
    assert head[0] == f" SIM 127.0.0.1:43211   no strategy  {time_of_day(NOW)}"
    assert head[1:3] == ["equity $120.00  P&L today -$2.00", "exposure $20.00 of $500.00  cash $100.00"]
    assert all(len(text) <= 48 for text in head)


def position(ticker: str, side: str) -> HoldingRow:
    return HoldingRow(
        ticker=ticker, title=TruncatableText(f"Title of {ticker}"), subaccount=0, side=side, count=contracts(5),  # type: ignore[arg-type]
        average_price=cents(40), mark=cents(42), cost=dollars(2), value=dollars("2.1"),
        unrealized=SignedMoney(dollars("0.1")), max_payout=dollars(5),
    )  # fmt: skip


def test_orders_and_fills_have_the_words_of_the_user() -> None:
    event = LiveEvent(
        positions=(position("YYY", "yes"), position("NNN", "no")),
        orders=tuple(
            LiveOrderRow.of(order_row(make_order(ticker=ticker, side=side, price=cents(38))), strategy="")
            for ticker, side in (("AAA", ASK), ("YYY", ASK), ("NNN", BID))
        ),
        fills=(live_fill(make_fill(ticker="AAA", side=ASK, price=cents(38)), "", Qty(0)),),
    )
    assert [row.cells[1:3] for row in ORDERS.rows(event)] == [
        ("buy NO", "$0.62"), ("sell YES", "$0.38"), ("sell NO", "$0.62"),
    ]  # fmt: skip
    assert [row.cells[2:4] for row in FILLS.rows(event)] == [("buy NO", "$0.62")]
    old = msgspec.structs.replace((event.fills or ())[0], action=None, side=None, side_price=None, parts=())
    rows = FILLS.rows(LiveEvent(fills=(old,)))
    assert [(*row.cells[2:4], row.cells[5]) for row in rows] == [("sell YES", "$0.38", "$0.00")], "an older loop"


def test_an_order_says_what_it_would_close_or_open() -> None:
    order = order_row(make_order(ticker="YYY", side=ASK, qty=contracts(10), price=cents(38)))
    orders = [LiveOrderRow.of(order, strategy="", closing=closing) for closing in (contracts(10), contracts(4), None)]
    rows = ORDERS.rows(LiveEvent(orders=tuple(orders)))
    assert [row.cells[4] for row in rows] == ["closes 10 YES", "closes 4 YES, opens 6 NO", ""]
    heading, *lines = (each.plain for each in list_lines(ORDERS, rows, 60, None))
    assert "effect" in heading
    assert "closes 10 YES" in lines[0], "more useful than its status, which has no room"


def test_a_fill_that_crossed_zero_has_two_rows_that_share_its_fee() -> None:
    fill = make_fill(ticker="AAA", side=BID, price=cents(56), qty=contracts(30), fee=dollars("0.5"))
    rows = FILLS.rows(LiveEvent(fills=(live_fill(fill, "", Qty(-2_000), "no"),)))
    assert [row.cells[2:6] for row in rows] == [
        ("sell NO (opens)", "$0.44", "10", "$0.166667"), ("sell NO", "$0.44", "20", "$0.333333"),
    ]  # fmt: skip
    assert len({row.key for row in rows}) == 2
    assert "sell NO (opens)" in list_lines(FILLS, rows, 78, None)[1].plain


def test_a_row_knows_the_title_of_its_market_and_the_line_below_fits() -> None:
    event = LiveEvent(
        positions=(position("YYY", "yes"),),
        orders=tuple(LiveOrderRow.of(order_row(make_order(ticker=name)), strategy="") for name in ("YYY", "AAA")),
    )
    assert [row.title for row in (*POSITIONS.rows(event), *ORDERS.rows(event))] == ["Title of YYY"] * 2 + [""]
    assert below("Title of YYY", "", 40).plain == "Title of YYY"
    assert below("Title of YYY", "3/90", 40).plain == "Title of YYY  3/90"
    assert below("Title of YYY", "3/90", 16).plain == "Title o…  3/90"
    assert below("", "3/90", 40).plain == "3/90"
    assert below("", "", 40).plain == ""


def test_a_list_keeps_its_width_and_marks_the_selected_row() -> None:
    order = make_order(ticker="KXBTCD-26NOV2214-T86249.99", strategy="market-maker")
    event = LiveEvent(orders=(LiveOrderRow.of(order_row(order), strategy=order.strategy),))
    for width in (30, 60, 78, 138):
        head, row = list_lines(ORDERS, ORDERS.rows(event), width, 0)
        assert len(head.plain) <= width
        assert len(row.plain) <= width
        assert row.plain.startswith("> KXBTCD-26NOV2214-T86249.99" if width > 30 else "> KXBTC…86249.99 buy YES $0.40")
        assert "reverse" in str(row.style)


def test_what_needs_the_user_is_said_below_a_halt_and_above_what_is_waited_for() -> None:
    event = LiveEvent(run=run(attention=TruncatableText("killed \x1b[2J"), waiting=TruncatableText("samples")))
    assert plain_head(event)[2] == "killed [2J"
    halted = run(state=TradingStateCell("halted"), state_code="MANUAL", attention=TruncatableText("killed"))
    assert plain_head(LiveEvent(run=halted))[2].startswith("HALTED")


def test_an_empty_list_says_so() -> None:
    assert list_lines(FILLS, [], 78, None)[1].plain == "  No fills in the last day"


def test_hostile_text_does_nothing() -> None:
    for text in HOSTILE:
        _show(text)


def _show(text: str) -> None:
    event = LiveEvent(
        run=run(problem=TruncatableText(text)),
        alerts=(RecentAlertRow(time=NOW, tier="critical", code="X", subject=text, text=TruncatableText(text)),),
        markets=(TopRow(ticker="T", title=TruncatableText(text), bid=None, bid_count=None, ask=None, ask_count=None),),
        fills=(live_fill(make_fill(), text, Qty(0)),),
    )
    lines = [*header(event, NOW, attention(event, 0.0), 80)]
    for panel in (ALERTS, MARKETS, FILLS):
        lines += list_lines(panel, panel.rows(event), 78, 0)
    for each in lines:
        assert "\n" not in each.plain
        assert all(char.isprintable() for char in each.plain), each.plain
        assert each.spans == [] or not any("link" in str(span.style) for span in each.spans)


def test_rows_are_found_by_words_in_any_order() -> None:
    fills = tuple(live_fill(make_fill(ticker=name), s, Qty(0)) for name, s in (("AAA", "spike"), ("BBB", "")))
    rows = FILLS.rows(LiveEvent(fills=fills))
    assert [row.ticker for row in matching(rows, "SPIKE aa")] == ["AAA"]
    assert [row.ticker for row in matching(rows, "manual")] == ["BBB"]
    assert matching(rows, "") == rows


def test_columns_without_room_are_left_out() -> None:
    assert line(("abc", "1"), (ORDERS.columns[0]._replace(width=3), ORDERS.columns[2]._replace(width=8)), 4) == "abc"


def test_the_name_of_a_market_makes_room_for_what_matters() -> None:
    fill = live_fill(make_fill(ticker="KXQUICKSETTLE-26NOV23H0912-2"), "", Qty(0))
    rows = FILLS.rows(LiveEvent(fills=(fill,)))
    head, row = list_lines(FILLS, rows, 56, None)
    assert head.plain.split() == ["time", "ticker", "side", "price", "quantity"]
    assert row.plain.split()[1:] == ["KXQUICK…26NOV23H0912-2", "buy", "YES", "$0.40", "10"]
    assert "KXQUICKSETTLE-26NOV23H0912-2" in list_lines(FILLS, rows, 78, None)[1].plain, "cut only where it must be"
    assert "KXQUI…23H0912-2 buy YES $0.40" in list_lines(FILLS, rows, 40, None)[1].plain, "no cut makes room for all"


def test_a_phone_shows_quantity_and_gain_of_markets_that_differ_at_their_end() -> None:
    tickers = ("KXBTCD-26NOV2214-T86249.99", "KXBTCD-26NOV2214-T87249.99")
    event = LiveEvent(positions=tuple(position(each, "yes") for each in tickers))
    head, *rows = [text.plain for text in list_lines(POSITIONS, POSITIONS.rows(event), 38, None)]
    assert head.split() == ["ticker", "quantity", "unrealized"]
    assert [row.split() for row in rows] == [
        ["KXBTC…-T86249.99", "5", "YES", "+$0.10"], ["KXBTC…-T87249.99", "5", "YES", "+$0.10"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("list_name", "at_48"),
    [
        ("positions", "x close  p pause  K kill  ? keys  q quit"),
        ("orders", "e change  c cancel  K kill  ? keys  q quit"),
        ("markets", "o order  p pause  K kill  ? keys  q quit"),
        ("fills", "x close  p pause  K kill  ? keys  q quit"),
    ],
)
def test_a_narrow_line_keeps_the_keys_of_its_list_and_those_that_stop_and_explain(list_name: str, at_48: str) -> None:
    kept = (*OF_LIST.get(list_name, ()), *ALWAYS)
    assert fitting(KEYS_SHOWN, 48, kept) == at_48
    assert fitting(KEYS_SHOWN, 200, kept).startswith("/ search  Enter market  o order")
    for width in range(14, 120):
        shown = fitting(KEYS_SHOWN, width, kept)
        assert len(shown) <= width
        assert {"K kill", "? keys"} <= set(shown.split("  "))


def test_a_narrow_market_page_names_every_key_that_trades() -> None:
    assert fitting(PAGE_KEYS, 48) == "o order  x close  c cancel all  K kill  Esc back"
    assert fitting(PAGE_KEYS, 80).startswith("l lock  ? keys  o order")


def test_a_text_that_would_be_a_few_letters_is_left_out() -> None:
    order = make_order(ticker="KXHIGHNY-26NOV23-B47.5", strategy="market-maker")
    rows = ORDERS.rows(LiveEvent(orders=(LiveOrderRow.of(order_row(order), strategy=order.strategy),)))
    assert "str" not in list_lines(ORDERS, rows, 58, None)[0].plain


def test_an_alert_names_its_whole_market_where_the_row_has_room() -> None:
    alert = RecentAlertRow(
        time=NOW, tier="critical", code="POSITION_LIMIT", subject="KXHIGHNY-26NOV21-B53.5", state="firing",
        text=TruncatableText("100 contracts are held"),
    )  # fmt: skip
    row = list_lines(ALERTS, ALERTS.rows(LiveEvent(alerts=(alert,))), 80, None)[1].plain
    assert "POSITION_LIMIT KXHIGHNY-26NOV21-B53.5 100 contr" in row
    long = msgspec.structs.replace(alert, subject="KXHIGHNY-26NOV21-B53.5 below $0.90 (alert 1)")
    row = list_lines(ALERTS, ALERTS.rows(LiveEvent(alerts=(long,))), 80, None)[1].plain
    assert "POSITION_LIMIT KXHIGHNY-26NOV21-B53.5 below… 100 con" in row


def test_the_selected_alert_has_its_whole_text_below_the_list() -> None:
    alert = RecentAlertRow(time=NOW, tier="warning", code="PRICE_ALERT", subject="T", text=TruncatableText("long " * 9))
    group = msgspec.structs.replace(alert, code="GROUP_TRIGGERED", subject="0123456789")
    row, triggered = ALERTS.rows(LiveEvent(alerts=(alert, group)))
    assert (triggered.cells[4], triggered.ticker) == ("01234567", "")
    assert row.title == f"PRICE_ALERT T: {'long ' * 9}"
    assert [each.plain for each in text_lines(row.title, 40, 20)] == [
        "  PRICE_ALERT T: long long long long", "  long long long long long",
    ]  # fmt: skip
    assert [each.plain for each in text_lines("word " * 40, 30, 4)][-1].endswith(" …")
    assert text_lines("", 40, 20) == []


def test_an_alert_that_is_over_does_not_look_like_one_that_fires_and_those_are_counted() -> None:
    over = RecentAlertRow(
        time=NOW, tier="critical", code="FEED_STALE", subject="stream", text=TruncatableText("x"), state="over"
    )
    state = LiveEvent(run=run(), alerts=(msgspec.structs.replace(over, state="firing"), over))
    rows = ALERTS.rows(state)
    assert [(row.cells[1], row.style) for row in rows] == [("firing", "bold red"), ("over", "dim")]
    assert all("FEED_STALE" in line.plain and row.cells[1] in line.plain
               for row, line in zip(rows, list_lines(ALERTS, rows, 78, None)[1:], strict=True))  # fmt: skip
    assert " 1 firing  spike is running" in plain_head(state)[0]
    assert "firing" not in plain_head(LiveEvent(run=run(), alerts=(over,)))[0]
    assert [title_of(ALERTS, each) for each in (state, LiveEvent(alerts=(over,)), None)] == [
        "5 Alerts (1)", "5 Alerts", "5 Alerts",
    ]  # fmt: skip


def test_a_loop_without_an_enabled_strategy_is_not_called_running() -> None:
    disabled = run(strategy="spike,news", attention=TruncatableText("No strategy is enabled"))
    assert "spike, news are disabled" in plain_head(LiveEvent(run=disabled))[0]
    killed = run(running=False, attention=TruncatableText("The last run was killed"))
    assert "no strategy is running" in plain_head(LiveEvent(run=killed), width=100)[0]


def test_what_needs_attention_is_in_two_lines_where_one_is_too_short() -> None:
    text = "The last run was killed after 14:03:22; 12 orders resting: `kalshi order list`, `kalshi cancel-all`"
    head = plain_head(LiveEvent(run=run(running=False, attention=TruncatableText(text))))
    assert len(head) == 4
    assert " ".join(head[2:]) == text
    assert all(len(line) <= 80 for line in head)
    assert len(plain_head(LiveEvent(run=run(running=False, attention=TruncatableText(text * 3))))) == 4
    assert len(plain_head(LiveEvent(run=run()))) == 3


def test_alerts_of_one_market_are_rows_of_their_own() -> None:
    first = RecentAlertRow(
        time=NOW, tier="info", code="PRICE_ALERT", subject="KXA-1 above $0.60 (alert 1)", text=TruncatableText("x")
    )
    rows = ALERTS.rows(LiveEvent(alerts=(first, msgspec.structs.replace(first, subject="KXA-1 above $0.70 (alert 2)"))))
    assert [row.ticker for row in rows] == ["KXA-1", "KXA-1"], "a key acts on the market"
    assert rows[0].key != rows[1].key


def test_a_curve_goes_from_its_lowest_to_its_highest() -> None:
    assert "".join(area([1, 2, 8], 10, 1)) == "▁▂█"
    assert "".join(area([5, 5], 10, 1)) == "▁▁"
    assert "".join(area([5], 10, 1)) == ""
    assert "".join(area(list(range(100)), 8, 1)) == "▁▂▃▄▅▆▇█"


def test_a_number_is_whole_or_left_out() -> None:
    columns = (ORDERS.columns[0]._replace(width=6), ORDERS.columns[2]._replace(width=8), ORDERS.columns[3])
    assert line(("KXRAIN", "$1234.56", "0/5"), columns, 14) == "KXRAIN"
    assert line(("KXRAIN", "$1234.56", "0/5"), columns, 15) == "KXRAIN $1234.56"
    for width in range(20, 160):
        money = plain_head(LiveEvent(run=run()), width=width)[1]
        assert len(money) <= width
        assert money.endswith(("equity $120.00", "today -$2.00", "of $500.00", "feed 0.2 s", "cash $100.00", "—", "ms"))


def test_equity_that_settles_is_marked() -> None:
    assert "equity $120.00 settling  P&L today" in plain_head(LiveEvent(run=run(settling=True)))[1]


def test_a_chart_has_its_highest_and_lowest_value_and_keeps_its_size() -> None:
    shown = [text.plain for text in chart([100, 900, 500], 20, 3, lambda value: f"${value}")]
    assert shown == ["$900  █ ", "      █▄", "$100 ▁██"]
    assert area([1, 1], 10, 2) == ["  ", "▁▁"]
    assert chart([5], 20, 3, str) == []
    for height in (1, 2, 5, 9):
        assert len(chart(list(range(500)), 60, height, str)) == height
        assert all(len(text.plain) <= 60 for text in chart(list(range(500)), 60, height, str))


def settlement(**changed: Any) -> LiveSettlementRow:
    """Six YES, bought at $0.44, that paid $6."""
    fields: dict[str, Any] = {
        "ticker": "KXA-1", "result": "yes", "value": cents(100), "yes_count": contracts(6), "no_count": Qty(0),
        "revenue": dollars(6), "net": SignedMoney(dollars(3)), "time": Ts(NOW + 2),
    }  # fmt: skip
    return LiveSettlementRow(**(fields | changed))


def test_a_settlement_is_a_row_among_the_fills_with_payout_and_profit() -> None:
    fills = tuple(live_fill(make_fill(trade_id=str(at), ts=Ts(NOW + at)), "", Qty(0)) for at in (3, 1))
    rows = FILLS.rows(LiveEvent(fills=fills, settlements=(settlement(),)))
    assert [row.cells[2] for row in rows] == ["buy YES", "settled YES", "buy YES"], "by their time"
    assert rows[1].cells[1:] == ("KXA-1", "settled YES", "$1.00", "6", "", "", "P&L +$3.00")
    assert rows[1].title == "Settled KXA-1: YES, payout $6.00, P&L +$3.00"
    held_no = settlement(value=cents(0), result="no", yes_count=Qty(0), no_count=contracts(6))
    assert FILLS.rows(LiveEvent(settlements=(held_no,)))[0].cells[2:5] == ("settled NO", "$1.00", "6")
    held_both = settlement(no_count=contracts(1))
    assert FILLS.rows(LiveEvent(settlements=(held_both,)))[0].cells[3] == "—"


def test_a_settlement_is_announced_once_and_not_if_it_was_there_before_the_screen() -> None:
    old, new = settlement(), settlement(ticker="KXB-1")
    known, both = LiveEvent(settlements=(old,)), LiveEvent(settlements=(new, old))
    assert new_settlements(LiveEvent(), known) == []
    assert new_settlements(known, both) == ["Settled KXB-1: YES, payout $6.00, P&L +$3.00"]
    assert new_settlements(both, both) == []


def test_the_fills_of_a_resting_manual_order_are_announced_once() -> None:
    def fill(name: str, strategy: str = "", **changed: Any) -> LiveFillRow:
        return live_fill(make_fill(trade_id=name, order_id="2597b999-1", **changed), strategy, Qty(0))

    old = LiveEvent(fills=(fill("t0"),))
    both = LiveEvent(fills=(fill("t2", qty=contracts(3)), fill("t1", qty=contracts(4)), fill("t0")))
    assert news(LiveEvent(), old) == []
    assert news(old, both) == ["Order 2597b999 on KXA-1 filled: buy YES, 7 at $0.40"]
    assert news(both, both) == []
    taken = LiveEvent(fills=(fill("t3", is_taker=True), fill("t4", strategy="spike"), fill("t0")))
    assert news(old, taken) == [], "the key that placed it says so; strategies have their list"
    assert news(LiveEvent(fills=(), settlements=()), LiveEvent(settlements=(settlement(),))) == [
        "Settled KXA-1: YES, payout $6.00, P&L +$3.00"
    ]


def test_the_list_of_strategies_is_for_accounts_with_a_strategy() -> None:
    assert not has_strategies(LiveEvent(run=run(running=False), strategies=()))
    assert has_strategies(LiveEvent(run=run(running=True), strategies=()))
    assert has_strategies(LiveEvent(run=run(running=False, denied={"ORDER_SIZE": 1}), strategies=()))


def test_each_fill_of_an_order_has_its_own_place() -> None:
    fills = tuple(live_fill(make_fill(trade_id=name, order_id="one"), "", Qty(0)) for name in ("t1", "t2"))
    assert len({row.key for row in FILLS.rows(LiveEvent(fills=fills))}) == 2


def test_columns_without_room_are_named() -> None:
    fill = live_fill(make_fill(ticker="KXRAIN-40JAN01-T1.0"), "", Qty(0))
    rows = FILLS.rows(LiveEvent(fills=(fill,)))
    assert hidden_columns(FILLS, rows, 200) == ""
    named = hidden_columns(FILLS, rows, 56)
    heading = list_lines(FILLS, rows, 56, None)[0].plain
    assert named.startswith("Fills: ")
    left_out = named.removeprefix("Fills: ").split(", ")
    assert heading.split() == [each.name for each in FILLS.columns if each.name not in left_out]


def test_only_a_market_in_an_alert_can_be_opened() -> None:
    def alert(subject: str) -> RecentAlertRow:
        return RecentAlertRow(time=NOW, tier="critical", code="X", subject=subject, text=TruncatableText("text"))

    subjects = ("the loop", "account", "shard 0", "KXRAIN-40JAN01-T1.0", "KXRAIN-40JAN01-T1.0 subaccount 2")
    rows = ALERTS.rows(LiveEvent(alerts=tuple(map(alert, subjects))))
    assert [row.ticker for row in rows] == ["", "", "", "KXRAIN-40JAN01-T1.0", "KXRAIN-40JAN01-T1.0"]


def test_an_order_that_expires_says_when() -> None:
    orders = [make_order("c1", expires=NOW), make_order("c2")]
    event = LiveEvent(orders=tuple(LiveOrderRow.of(order_row(each), strategy="") for each in orders))
    first, second = (row.cells for row in ORDERS.rows(event))
    assert len(first[6]) == len("12:00:00")
    assert second[6] == ""


def test_on_a_narrow_screen_a_fill_shows_its_price_and_quantity_and_a_short_side() -> None:
    ticker = "KXBTCD-26NOV2315-T85249.99"
    fill = live_fill(make_fill(ticker=ticker), "", contracts(-40), "yes")
    state = LiveEvent(fills=(fill,), settlements=(settlement(ticker=ticker),))
    heading, settled, bought = (text.plain for text in list_lines(FILLS, FILLS.rows(state), 46, None))
    assert heading.split() == ["time", "ticker", "side", "price", "quantity"]
    assert bought.split()[2:] == ["buy", "YES…", "$0.40", "10"], "a mark for the rest"
    sold = live_fill(make_fill(ticker=ticker, side=ASK), "", contracts(40))
    assert "sell YES " in list_lines(FILLS, FILLS.rows(LiveEvent(fills=(fill, sold))), 46, None)[2].plain, "whole"
    assert settled.split()[2:] == ["settled…", "$1.00", "6"]
    assert "buy YES (closes)" in list_lines(FILLS, FILLS.rows(state), 120, None)[2].plain


def test_without_a_loop_an_order_book_is_being_read() -> None:
    assert no_book(LiveEvent()) == READING
    assert no_book(LiveEvent(run=run(running=False))) == READING
    assert no_book(LiveEvent(run=run(running=False, host=""))) == NO_LOOP
    assert no_book(LiveEvent(run=run(running=True))) == NO_BOOK
