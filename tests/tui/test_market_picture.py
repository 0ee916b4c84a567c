"""The lines of a market: its depth, and what is ours in it."""

from __future__ import annotations

from msgspec.structs import replace
from support.values import make_order

from kalshi_cli.base.units import Price, Qty, cents, contracts, dollars
from kalshi_cli.tui.market_picture import ladder, own_lines
from kalshi_cli.views.formats import SignedMoney, TruncatableText
from kalshi_cli.views.live import LiveEvent
from kalshi_cli.views.order_book import OrderbookView
from kalshi_cli.views.orders import LiveOrderRow, order_row
from kalshi_cli.views.portfolio import HoldingRow


def test_the_own_part_of_a_market_says_in_one_line_what_there_is_none_of() -> None:
    order = LiveOrderRow.of(order_row(make_order(ticker="AAA")), strategy="spike")
    shown = [text.plain for text in own_lines(LiveEvent(orders=(order,)), "AAA", 78)]
    assert shown[0] == "Orders"
    assert shown[-1] == "No open positions, no fills in the last day"
    assert len(own_lines(LiveEvent(orders=(order,)), "BBB", 78)) == 1
    many = own_lines(LiveEvent(orders=(order,) * 5), "AAA", 78, 2)
    assert many[0].plain == "Orders (2 of 5)"
    assert len(many) == 1 + 1 + 2 + 1


def test_the_maximum_payout_of_a_position_is_shown_at_any_width() -> None:
    held = HoldingRow(
        ticker="AAA", title=TruncatableText("A"), subaccount=0, side="yes", count=contracts(10),
        average_price=cents(4), mark=cents(2), cost=dollars("0.4"), value=dollars("0.2"),
        unrealized=SignedMoney(dollars("-0.2")), max_payout=dollars("10"),
    )  # fmt: skip
    state = LiveEvent(positions=(held, replace(held, subaccount=1), replace(held, ticker="BBB")))
    narrow, wide = ([text.plain for text in own_lines(state, "AAA", width)] for width in (46, 110))
    assert narrow[0] == "Positions, max payout $20.00"
    assert wide[0] == "Positions"
    assert "max payout" in wide[1]
    assert "$10.00" in wide[2]


def test_the_ladder_has_asks_above_bids_and_bars_by_size() -> None:
    book = OrderbookView(
        ticker="T", yes_bids=((cents(40), contracts(10)),), yes_asks=((cents(45), contracts(20)), (cents(46), Qty(1))),
        best_bid=cents(40), best_ask=cents(45), spread=cents(5), mid=Price(4250),
    )  # fmt: skip
    shown = [text.plain for text in ladder(book, 64, 11)]
    assert [text.split()[0] for text in shown] == ["$0.46", "$0.45", "spread", "$0.40"]
    assert [text.count("█") for text in shown] == [1, 40, 0, 20]
