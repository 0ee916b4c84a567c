"""Tables at 80 columns: what identifies a row, and what a person decides by, is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from support.values import make_fill

from kalshi_cli.base.local_time import set_time_zone
from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.cli.screen.brief import (
    BatchListing,
    FillLine,
    OrderLine,
    PositionLine,
    RefusedOrdersLine,
    SettlementLine,
    UpcomingLine,
    batch_listings,
    settlement_lines,
    upcoming_lines,
    why_screen,
)
from kalshi_cli.cli.screen.output import Format
from kalshi_cli.cli.screen.picked import pick_rows
from kalshi_cli.cli.screen.render import render_rows
from kalshi_cli.core.account.pnl import ProfitAndLoss
from kalshi_cli.views.cash import SettlementRow, UpcomingRow
from kalshi_cli.views.exports import FillExport
from kalshi_cli.views.formats import (
    ExactMoney,
    ShortId,
    SignedMoney,
    TruncatableText,
    columns,
    plain_headings,
)
from kalshi_cli.views.market_data import IncentiveRow, MilestoneRow
from kalshi_cli.views.markets import MarketRow
from kalshi_cli.views.orders import BatchRow
from kalshi_cli.views.positions import AccountFillRow, PnlRow, fill_row
from kalshi_cli.views.quotes import RfqRow
from kalshi_cli.views.row import OutputRow
from kalshi_cli.views.watchlists import WatchlistRow
from kalshi_cli.views.why import RefusedOrdersRow, WhyView

NOW = Ts(1_795_462_000_000)
Capture = pytest.CaptureFixture[str]

TICKER = "KXBTCD-26NOV2315-T85249.99"
BATCH = BatchRow(
    line=1, order_id=ShortId("2597b999-f887-4195-8bac-c3f97a1f2021"), client_order_id="c", ticker=TICKER, side="yes",
    action="buy", price=cents(5), count=contracts(3), filled=contracts(1), remaining=contracts(2), status="resting",
    code=None, detail=None,
)  # fmt: skip
DENIED = msgspec.structs.replace(
    BATCH, line=2, order_id=None, filled=None, remaining=None, status="denied", code="ORDER_SIZE", count=Qty(30_000_000)
)
REFUSED = RefusedOrdersRow(
    by="kalshi", code="PRICE_COLLAR", count=2, ticker=TICKER, last=None,
    decided_by=TruncatableText("risk.price_collar"),
    detail=TruncatableText("NO $0.01 is more than $0.10 from the market"),
)  # fmt: skip

UPCOMING = UpcomingRow(
    ticker=TICKER, event_ticker=None, title=TruncatableText("Bitcoin price " * 5), subaccount=0, side="yes",
    count=contracts(10), cost=dollars(4), pays=dollars(10), state="active", close_time=Ts(NOW + 1_200_000),
    expected_time=Ts(NOW + 1_200_000),
)  # fmt: skip


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    set_time_zone("UTC")


def drawn(of: type[OutputRow], rows: Sequence[OutputRow], capsys: Capture, now: Ts | None = None) -> tuple[str, str]:
    """Return the table, of which no line is wider than the screen, and what was said below it."""
    render_rows(of, rows, Format.TABLE, now=now)
    shown = capsys.readouterr()
    assert max(len(line.rstrip()) for line in shown.out.splitlines()) <= 80
    return shown.out, shown.err


def test_headings_of_plain_text_are_words_and_each_is_there_once(capsys: Capture) -> None:
    for of in (AccountFillRow, FillExport):
        heads = plain_headings(columns(of))
        assert len(set(heads)) == len(heads)
        assert {"order id", "quantity", "price", "side price"} <= set(heads)
        assert "is taker" in heads, "its values are yes and no"
    render_rows(UpcomingRow, [UPCOMING], Format.PLAIN)
    assert re.split(r" {2,}", capsys.readouterr().out.splitlines()[0])[-2:] == ["close time", "expected time"]
    render_rows(UpcomingRow, [UPCOMING], Format.CSV)
    assert '"close_time","expected_time"' in capsys.readouterr().out, "programs read CSV"


def test_a_batch_shows_the_ids_of_its_orders_and_why_others_were_refused(capsys: Capture) -> None:
    out, _ = drawn(BatchListing, batch_listings([BATCH, DENIED]), capsys)
    assert "2597b999 " in out
    assert "denied ORDER_SIZE" in out
    out, err = drawn(BatchListing, batch_listings([BATCH]), capsys)
    assert "1/3" in out
    assert err == ""
    assert "2597b999 " in drawn(BatchRow, [BATCH, DENIED], capsys)[0], "also with -v"


def test_a_refusal_names_its_market(capsys: Capture) -> None:
    view = WhyView(
        mode="sim", since=Ts(0), ticker=None, intents=2, denied=2, sent=0, amends=0, rejected=0, in_doubt=0, live=0,
        ended=0, filled=0, remarks=(), strategies=(),
        rows=(REFUSED, msgspec.structs.replace(REFUSED, detail=TruncatableText(""))),
    )  # fmt: skip
    lines = why_screen(view).rows
    out, err = drawn(RefusedOrdersLine, lines, capsys)
    assert f"{TICKER}:" in out
    assert {"PRICE_COLLAR", "risk.price_collar", *REFUSED.detail.split()} <= set(out.split())
    assert err == ""
    assert [line.latest_refusal for line in lines] == [f"{TICKER}: {REFUSED.detail}", TICKER]


def test_rows_that_no_table_of_this_width_can_hold_are_drawn_one_below_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    line = RefusedOrdersLine.of(REFUSED, latest_refusal=TruncatableText(f"{TICKER}: {REFUSED.detail}"))
    render_rows(RefusedOrdersLine, [line], Format.TABLE)
    out = capsys.readouterr().out
    assert max(len(each.rstrip()) for each in out.splitlines()) <= 60
    assert {"PRICE_COLLAR", f"{TICKER}:", "risk.price_collar", *REFUSED.detail.split()} <= set(out.split())


def test_a_position_that_waits_for_its_settlement_has_its_time(capsys: Capture) -> None:
    assert {"in", "20m", "$4.00"} <= set(drawn(UpcomingLine, upcoming_lines([UPCOMING]), capsys, NOW)[0].split())


def test_the_row_of_a_settlement_adds_up_although_contracts_were_sold_before(capsys: Capture) -> None:
    paid = SettlementRow(
        ticker=TICKER, event_ticker="E", result="yes", value=Price(10_000), yes_count=contracts(6),
        yes_cost=dollars("2.7"), no_count=Qty(0), no_cost=dollars(0), revenue=dollars(6), fee=dollars("0.24"),
        net=SignedMoney(dollars("3.02")), exchange_index=0, time=NOW, cost=dollars("2.7"),
        sold_before=SignedMoney(dollars("-0.04")),
    )  # fmt: skip
    heading, row = drawn(SettlementLine, list(settlement_lines([paid])), capsys, NOW)[0].splitlines()[:2]
    assert heading.split() == ["ticker", "result", "held", "net", "before", "fees", "fee", "time"]
    assert row.split() == [TICKER, "yes", "6", "YES", "+$3.02", "+$3.26", "$0.24", "now"]


LATER = Ts(NOW + 7_200_000)
ID = "2597b999-f887-4195-8bac-c3f97a1f2021"


@pytest.mark.parametrize(
    ("of", "given", "words"),
    [
        (RfqRow, {"rfq_id": ID, "count": contracts(10), "status": "open", "created": NOW}, {ID, TICKER, "10"}),
        (
            IncentiveRow,
            {"type": "liquidity", "reward": dollars(75), "target_count": contracts(1645), "end": LATER},
            {TICKER, "$75.00", "2h"},
        ),
        (
            MilestoneRow,
            {"milestone_id": ID, "start": LATER, "title": TruncatableText("New York at Brooklyn"), "type": "game"},
            {ID, "2h", "York", "Brooklyn"},
        ),
    ],
)
def test_a_list_keeps_its_market_and_its_time(
    of: type[OutputRow], given: dict[str, Any], words: set[str], capsys: Capture
) -> None:
    values = {field.name: False if field.type is bool else None for field in msgspec.structs.fields(of)}
    row = of(**values | {"ticker": TICKER} | given) if "ticker" in values else of(**values | given)
    assert words <= set(drawn(of, [row], capsys, NOW)[0].split())


def test_a_price_that_no_market_has_keeps_its_column(capsys: Capture) -> None:
    none = dict.fromkeys(MarketRow.__struct_fields__)
    row = MarketRow(**none | {
        "ticker": TICKER, "title": TruncatableText("Bitcoin price " * 5), "status": "active", "yes_bid": Price(9_900),
        "volume": Qty(0), "volume_24h": Qty(4_600), "open_interest": Qty(0), "close_time": Ts(NOW + 1_200_000),
    })  # type: ignore[arg-type]  # fmt: skip
    out, _ = drawn(MarketRow, [row], capsys, NOW)
    assert "yes ask" in out, "nobody offers: that decides too"


@pytest.mark.parametrize("width", [48, 80])
def test_a_watchlist_shows_every_market(capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    tickers = tuple(f"KXBTCD-26NOV2315-T8{number}249.99" for number in range(9))
    render_rows(WatchlistRow, [WatchlistRow(name="btc", tickers=tickers)], Format.TABLE, now=NOW)
    ended = capsys.readouterr()
    assert ended.err == ""
    assert all(ticker in ended.out for ticker in tickers)
    assert max(map(len, ended.out.splitlines())) <= width


LONG = "KXNBAGAME-26NOV26PHILADELPHIACLEVELAND-PHI"
SHORT = "KXA-1"


@pytest.mark.parametrize("ticker", [SHORT, TICKER, LONG])
@pytest.mark.parametrize("effect", ["opens 8 NO", "closes 12 YES, opens 8 NO"])
def test_a_list_of_orders_has_the_same_columns_whatever_is_in_it(ticker: str, effect: str, capsys: Capture) -> None:
    line = OrderLine(
        order_id=ShortId(ID), ticker=ticker, side="sell YES", price=cents(46), filled="10/20", effect=effect,
        expires=None, created=NOW,
    )  # fmt: skip
    out, _ = drawn(OrderLine, [line], capsys, NOW)
    assert out.split()[:6] == ["order", "id", "ticker", "side", "price", "filled"]
    assert {"2597b999", "$0.46", "10/20"} <= set(out.split())
    assert all(part in out for part in effect.split(" ")), "what it opens may be in a line of its own"
    assert ticker[-8:] in out, "the end of a ticker tells it from its neighbors"
    assert ticker in out or ticker == LONG, "a ticker is copied from here"


@pytest.mark.parametrize("ticker", [SHORT, TICKER, LONG])
@pytest.mark.parametrize("side", ["buy NO", "sell YES (closes)"])
def test_a_list_of_fills_has_the_same_columns_whatever_is_in_it(ticker: str, side: str, capsys: Capture) -> None:
    line = FillLine(
        time=Ts(NOW - 120_000), ticker=ticker, side=side, price=cents(45), count=Qty(1323),
        fee=ExactMoney(dollars("0.229300")), order_id="2597b999", is_taker=True,
    )  # fmt: skip
    out, _ = drawn(FillLine, [line], capsys, NOW)
    assert out.split()[:6] == ["time", "ticker", "side", "price", "quantity", "fee"]
    assert {"$0.45", "13.23", "$0.2293"} <= set(out.split())
    assert side in out


def test_chosen_columns_fit(capsys: Capture) -> None:
    row = fill_row(make_fill(ticker=LONG, ts=NOW, order_id=ID), Qty(0))
    of, rows = pick_rows(AccountFillRow, [row], ("time", "ticker", "price", "count", "fee"), has_cells=True)
    assert drawn(of, list(rows), capsys, NOW)[0].split()[:5] == ["time", "ticker", "price", "quantity", "fee"]


def test_wins_are_shown_with_losses_or_not_at_all(capsys: Capture) -> None:
    part = ProfitAndLoss(realized=dollars("1234.56"), fees=dollars("12.34"), wins=5, losses=12)
    out, err = drawn(PnlRow, [PnlRow.of(part, key=TICKER)], capsys)
    assert "closes won" not in out
    assert "closes won, closes lost" in err


@pytest.mark.parametrize("ticker", [SHORT, TICKER, LONG])
def test_a_coming_settlement_shows_payout_time_and_state(ticker: str, capsys: Capture) -> None:
    row = msgspec.structs.replace(UPCOMING, ticker=ticker, state="determined")
    words = set(drawn(UpcomingLine, upcoming_lines([row]), capsys, NOW)[0].split())
    assert {"YES", "10", "$10.00", "expected", "20m", "determined"} <= words
    assert {"max", "payout"} <= words, "it may also pay nothing"
    assert "pays" not in words


@pytest.mark.parametrize("ticker", [SHORT, TICKER, LONG])
def test_a_position_shows_the_price_at_which_it_counts(ticker: str, capsys: Capture) -> None:
    line = PositionLine(
        ticker=ticker, quantity="1,234.56 YES", average_price=cents(45), mark=cents(43), value=dollars("530.86"),
        unrealized=SignedMoney(dollars("-24.69")), realized=SignedMoney(dollars("-1012.34")), fees=dollars("12.34"),
    )  # fmt: skip
    out, err = drawn(PositionLine, [line], capsys)
    assert {"$0.45", "$0.43", "-$24.69"} <= set(out.split())
    assert ("$530.86" in out) or "value" in err.split("To see")[0]
    assert ticker in out or ticker == LONG


def test_three_markets_with_long_tickers_show_the_average_price_and_their_tickers(capsys: Capture) -> None:
    game = "KXNBAGAME-26NOV25DALMIA-DAL"
    line = PositionLine(
        ticker=game, quantity="21 NO", average_price=cents(53), mark=cents(50), value=dollars("10.5"),
        unrealized=SignedMoney(dollars("-0.63")), realized=SignedMoney(Money(0)), fees=dollars("0.37"),
    )  # fmt: skip
    out, err = drawn(PositionLine, [line] * 3, capsys)
    assert [row.split() for row in out.splitlines()[1:]] == [[game, "21", "NO", "$0.53", "$0.50", "-$0.63"]] * 3
    assert err.replace("\n", " ").startswith("Hidden, the terminal is too narrow: value, realized, fees.")
