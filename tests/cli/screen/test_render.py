"""Rows in every format: exact for programs, readable for people, harmless whatever is inside."""

from __future__ import annotations

import csv
import io
import json
import pkgutil
import re
import sys
import unicodedata
from collections.abc import Iterator
from importlib import import_module

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kalshi_cli.views as all_rows
from kalshi_cli.base.local_time import set_time_zone
from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.cli.screen.brief import (
    FilledOrderLine,
    FillLine,
    LotLine,
    OrderStatusLine,
    PositionLine,
    SettlementLine,
    UpcomingLine,
    lot_lines,
)
from kalshi_cli.cli.screen.live import folded
from kalshi_cli.cli.screen.output import Format
from kalshi_cli.cli.screen.render import MAX_TABLE_ROWS, render_book, render_one, render_rows
from kalshi_cli.cli.screen.tables import fit, show_differences
from kalshi_cli.core.account.tax_lots import Lot
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.services.orders.place import OrderTicket
from kalshi_cli.views import runs as run_rows
from kalshi_cli.views import scan as scan_rows
from kalshi_cli.views.alerts import AlertRow, SilenceRow
from kalshi_cli.views.cash import SettlementRow, UpcomingRow
from kalshi_cli.views.checks import HealthRow
from kalshi_cli.views.exports import LotExport
from kalshi_cli.views.formats import (
    MinGain,
    OutputColumn,
    Ratio,
    SignedMoney,
    TruncatableText,
    Verdict,
    cell,
    columns,
    format_clock,
    format_time,
    short_ids,
    to_machine,
    to_text,
)
from kalshi_cli.views.markets import MarketRow
from kalshi_cli.views.order_book import OrderbookView, orderbook_view
from kalshi_cli.views.orders import CancelAllView, OrderRow, ReconciledRow, order_row
from kalshi_cli.views.positions import PnlRow, PnlView, PositionRow
from kalshi_cli.views.quotes import QuoteRow
from kalshi_cli.views.row import Action, Outcome, OutputRow
from kalshi_cli.views.settings import SettingRow
from kalshi_cli.views.strategies import ParameterRow, StrategyRow
from kalshi_cli.views.why import RefusedOrdersRow

CLOSE = Ts(1_781_159_370_164)


def market(ticker: str = "KXHIGHNY-26NOV21-B53.5", title: str = "High in NYC?", **more: object) -> MarketRow:
    given = {
        "ticker": ticker,
        "event_ticker": "KXHIGHNY-26NOV21",
        "title": TruncatableText(title),
        "status": "active",
        "yes_bid": cents(47),
        "yes_ask": None,
        "last": Price(985),
        "volume": contracts(10),
        "volume_24h": Qty(250),
        "open_interest": contracts(0),
        "close_time": CLOSE,
    }
    return MarketRow(**(given | more))  # type: ignore[arg-type]


def pnl_row(key: str, *, realized: int = 0, wins: int = 0) -> PnlRow:
    net = SignedMoney(Money(realized))
    return PnlRow(key=key, realized=net, unrealized=SignedMoney(Money(0)), fees=Money(0), net=net, wins=wins, losses=0)


def listed(title: str = "", subtitle: str = "") -> Market:
    return Market(
        ticker="KX", event_ticker="KX", title=title, subtitle=subtitle, status=MarketStatus.ACTIVE, grid=CENT_GRID,
        yes_bid=None, yes_bid_size=Qty(0), yes_ask=None, yes_ask_size=Qty(0), last=None, volume=Qty(0),
        volume_24h=Qty(0), open_interest=Qty(0), open_time=Ts(0), close_time=Ts(0),
    )  # fmt: skip


class Every(OutputRow, frozen=True, kw_only=True):
    """A field of every type that a row may declare."""

    words: str
    prose: TruncatableText
    verdict: Verdict | None
    price: Price | None
    qty: Qty
    money: Money
    gain: SignedMoney | None
    ts: Ts
    ratio: Ratio | None
    number: float
    count: int
    claim: bool
    side: Side
    levels: tuple[tuple[Price, Qty], ...]
    codes: dict[str, int]


EVERY = Every(
    words="KX",
    prose=TruncatableText("t"),
    verdict=Verdict("OK"),
    price=cents(5),
    qty=Qty(1),
    money=Money(12_345_600),
    gain=SignedMoney(Money(-1_500_000)),
    ts=Ts(0),
    ratio=Ratio(0.5),
    number=12.5,
    count=3,
    claim=True,
    side=BID,
    levels=((cents(5), contracts(1)),),
    codes={"MIN_EDGE": 2},
)


# -- for programs -------------------------------------------------------------------------------------------------


def test_a_least_gain_is_rounded_down_and_has_its_sign() -> None:
    shown = [to_text(MinGain)(Money(amount)) for amount in (-1_452_300, 1_459_900, 0)]
    assert shown == ["-$1.46", "+$1.45", "$0.00"]


def test_json_has_fixed_scales_utc_times_and_null(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(MarketRow, [market()], Format.JSON)
    [row] = json.loads(capsys.readouterr().out)
    assert row == {
        "ticker": "KXHIGHNY-26NOV21-B53.5",
        "event_ticker": "KXHIGHNY-26NOV21",
        "title": "High in NYC?",
        "status": "active",
        "yes_bid": "0.4700",
        "yes_ask": None,
        "last": "0.0985",
        "volume": "10.00",
        "volume_24h": "2.50",
        "open_interest": "0.00",
        "close_time": "2026-06-11T06:29:30.164Z",
    }


def test_every_type_has_its_json(capsys: pytest.CaptureFixture[str]) -> None:
    render_one(EVERY, Format.JSON)
    assert json.loads(capsys.readouterr().out) == {
        "words": "KX",
        "prose": "t",
        "verdict": "OK",
        "price": "0.0500",
        "qty": "0.01",
        "money": "12.345600",
        "gain": "-1.500000",
        "ts": "1970-01-01T00:00:00Z",
        "ratio": 0.5,
        "number": 12.5,
        "count": 3,
        "claim": True,
        "side": "bid",
        "levels": [["0.0500", "1.00"]],
        "codes": {"MIN_EDGE": 2},
    }


def test_numbers_that_are_none_become_null_and_a_dash() -> None:
    assert to_machine(Ratio | None)(float("nan")) is None
    assert to_machine(float)(float("inf")) is None
    assert to_text(float)(float("nan")) == "—"
    assert to_text(Price | None)(None) == "—"


def test_a_type_nobody_can_write_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="bytes"):
        to_machine(bytes)
    with pytest.raises(TypeError, match="bytes"):
        to_text(bytes)


def test_an_error_half_way_leaves_no_half_document(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Iterator[MarketRow]:
        yield market()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        render_rows(MarketRow, broken(), Format.JSON)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("form", "out"), [(Format.JSON, "[]\n"), (Format.NDJSON, ""), (Format.PLAIN, "")])
def test_nothing_is_an_empty_document_and_a_remark(form: Format, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(MarketRow, [], form, empty="No matching markets")
    shown = capsys.readouterr()
    assert shown.out == out
    assert shown.err == ("No matching markets\n" if form is Format.PLAIN else "")


def test_ndjson_of_a_feed_arrives_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.StringIO):
        """What has been flushed is what the reader of a pipe sees."""

        seen = 0

        def flush(self) -> None:
            self.seen = len(self.getvalue().splitlines())

    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    seen_before = []

    def feed() -> Iterator[MarketRow]:
        for number in range(3):
            seen_before.append(pipe.seen)
            yield market(f"T{number}")

    render_rows(MarketRow, feed(), Format.NDJSON)
    assert seen_before == [0, 1, 2]
    assert [json.loads(line)["ticker"] for line in pipe.getvalue().splitlines()] == ["T0", "T1", "T2"]


@given(st.lists(st.text() | st.sampled_from(["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", " =1", "＝1", '"', "a,b"])))
def test_csv_reads_back_and_no_text_is_a_formula(titles: list[str]) -> None:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        render_rows(MarketRow, [market(title=title) for title in titles], Format.CSV)
    header, *lines = csv.reader(io.StringIO(out.getvalue()))
    assert header == [column.name for column in columns(MarketRow)]
    assert len(lines) == len(titles)
    assert all(line[2].lstrip()[:1] not in tuple("=+-@＝＋－＠") or line[2] == "" for line in lines)


def test_csv_quotes_everything_and_leaves_negative_numbers_alone(capsys: pytest.CaptureFixture[str]) -> None:
    row = pnl_row("-KX", realized=-5, wins=1)
    render_rows(PnlRow, [row], Format.CSV)
    _, line = capsys.readouterr().out.splitlines()
    assert line == '"\'-KX","-0.000005","0.000000","0.000000","-0.000005","1","0"'


def test_csv_of_an_object_with_rows_is_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    part = pnl_row("KX", realized=1, wins=1)
    whole = PnlView(
        realized=SignedMoney(Money(1)),
        unrealized=SignedMoney(Money(0)),
        fees=Money(0),
        net=SignedMoney(Money(1)),
        wins=1,
        losses=0,
        rows=(part,),
    )
    render_one(whole, Format.CSV)
    assert capsys.readouterr().out.splitlines()[1].startswith('"KX"')
    render_one(whole, Format.PLAIN)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["realized", "$0.00"]
    assert lines[-2].split() == ["group", "realized", "unrealized", "fees", "net", "closes", "won", "closes", "lost"]


# -- for people ---------------------------------------------------------------------------------------------------


def test_plain_cuts_nothing_and_has_the_headings_of_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    title = "x" * 300
    render_rows(MarketRow, [market(title=title)], Format.PLAIN)
    header, line = capsys.readouterr().out.splitlines()
    assert re.split(r" {2,}", header) == [column.label for column in columns(MarketRow)]
    assert "yes bid" in header
    assert line.split() == [
        "KXHIGHNY-26NOV21-B53.5", "KXHIGHNY-26NOV21", title, "active", "$0.47", "—", "$0.0985", "10", "2.5", "0",
        "2026-06-11T06:29:30.164Z",
    ]  # fmt: skip


def test_piped_output_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(MarketRow, [market()])
    assert capsys.readouterr().out.startswith("ticker ")


@pytest.mark.parametrize(("term", "first"), [("xterm-256color", "ticker "), ("dumb", "ticker ")])
def test_a_terminal_gets_a_table_unless_it_is_dumb(term: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "120")
    render_rows(MarketRow, [market()])
    assert ("event ticker" in out.getvalue()) is (term == "dumb")
    assert ("\x1b[" in out.getvalue()) is (term != "dumb")


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.usefixtures("colours")
def test_bids_are_green_asks_red_and_losses_too(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(MarketRow, [market(yes_ask=cents(49))], Format.TABLE)
    out = capsys.readouterr().out
    assert "\x1b[32m$0.47" in out.replace(" ", "")
    assert "\x1b[31m$0.49" in out.replace(" ", "")
    render_one(EVERY, Format.TABLE)
    assert "\x1b[31m-$1.50" in capsys.readouterr().out


@pytest.mark.usefixtures("colours")
def test_no_color_is_honoured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    render_rows(MarketRow, [market(yes_ask=cents(49))], Format.TABLE)
    assert "\x1b[3" not in capsys.readouterr().out


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_table_fits_its_screen_and_never_cuts_a_ticker(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    render_rows(MarketRow, [market(title="a very long question " * 5)], Format.TABLE)
    shown = capsys.readouterr()
    assert "KXHIGHNY-26NOV21-B53.5" in shown.out
    assert max(len(line.rstrip()) for line in shown.out.splitlines()) <= max(width, 22)
    assert ("terminal is too narrow" in shown.err) is (60 <= width < 100)


def test_a_phone_shows_every_value_with_its_heading(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = order(ticker="KXQUICKSETTLE-26NOV23H0052-1")
    first = msgspec.structs.replace(order_row(long), order_id="2597b999-f887-4195-8bac-c3f97a1f2021")
    second = msgspec.structs.replace(first, order_id="3697b999-f887-4195-8bac-c3f97a1f2021", status="canceled")
    render_rows(OrderRow, [first, second], Format.TABLE)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert [line.rstrip() for line in shown.out.splitlines()] == [
        "2597b999",
        "  ticker: KXQUICKSETTLE-26NOV23H0052-1",
        "  action: buy  side: YES  price: $0.40",
        "  left: 10  filled: 0  status: resting",
        "  created: 1970-01-01 00:00 UTC",
        "3697b999",
        "  ticker: KXQUICKSETTLE-26NOV23H0052-1",
        "  action: buy  side: YES  price: $0.40",
        "  left: 10  filled: 0  status: canceled",
        "  created: 1970-01-01 00:00 UTC",
    ]


def test_an_alert_says_what_happened_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = AlertRow(
        tier="critical", code="ORDER_UNKNOWN_LONG", subject=TruncatableText("2597b999-f887-4195-8bac-c3f97a1f2021"),
        state="firing", since=CLOSE, count=1, told=CLOSE, waiting=0, silenced=False, source="loop",
        value=TruncatableText(""), limit=TruncatableText(""), unit="",
        text=TruncatableText("unconfirmed since noon, expected a response within 30 s"),
    )  # fmt: skip
    render_rows(AlertRow, [row], Format.TABLE, now=CLOSE)
    words = set(capsys.readouterr().out.split())
    assert {"ORDER_UNKNOWN_LONG", "firing", "unconfirmed", "expected"} <= words


@pytest.mark.parametrize(("of", "is_whole"), [(ParameterRow, True), (StrategyRow, True), (SettingRow, False)])
def test_what_a_list_is_for_goes_on_below_where_it_does_not_fit(
    of: type[OutputRow], is_whole: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"word{number}" for number in range(20)]
    monkeypatch.setenv("COLUMNS", "80")
    prose = [column.name for column in columns(of) if column.is_prose]
    texts = dict.fromkeys(of.__struct_fields__, "1") | {prose[-1]: TruncatableText(" ".join(words))}
    render_rows(of, [of(**texts)], Format.TABLE)
    shown = capsys.readouterr().out
    assert all(word in shown.split() for word in words) is is_whole
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80


@settings(max_examples=200)
@given(st.lists(st.integers(1, 60), min_size=11, max_size=11), st.integers(20, 300))
def test_fitting_keeps_numbers_whole_and_uses_no_more_than_there_is(sizes: list[int], room: int) -> None:
    fields = columns(MarketRow)
    widths = {column.name: size for column, size in zip(fields, sizes, strict=True)}
    found = fit(fields, widths, room)
    assert all(
        found[column.name] == widths[column.name] for column in fields if column.name in found and not column.is_prose
    )
    assert fields[0].name in found
    assert sum(found.values()) + 2 * (len(found) - 1) <= room or len(found) == 1
    if sum(sizes) + 2 * 10 <= room:
        assert found == widths


@pytest.mark.parametrize("width", [60, 70, 80])
def test_a_wrapped_table_breaks_no_name_of_a_setting(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = RefusedOrdersRow(
        by="kalshi", code="COOLDOWN", count=2, ticker="KXHIGHNY-26NOV21-B53.5", last=None,
        decided_by=TruncatableText("risk.min_time_to_close_s, risk.cooldown_after_loss_s"),
        detail=TruncatableText("cooling down until 2026-11-23 13:08:24 UTC after 1 losing trade"),
    )  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(width))
    render_rows(RefusedOrdersRow, [row], Format.TABLE)
    shown = capsys.readouterr().out
    assert {"risk.min_time_to_close_s,", "risk.cooldown_after_loss_s"} <= set(shown.split())
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width


def test_a_block_leaves_out_what_is_empty(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    silence = SilenceRow(
        code="HEARTBEAT_LOST", subject="*" * 60, until=Ts(1_780_000_000_000), reason=TruncatableText("")
    )
    monkeypatch.setenv("COLUMNS", "50")
    render_rows(SilenceRow, [silence], Format.TABLE)
    assert "reason" not in capsys.readouterr().out


def test_a_narrow_column_stands_in_the_room_that_a_wide_one_could_not_use() -> None:
    fields = [column for column in columns(OrderRow) if column.name in ("ticker", "price", "count", "status")]
    widths = {"ticker": 20, "price": 6, "count": 20, "status": 8}
    assert set(fit(fields, widths, 40)) == {"ticker", "price", "status"}
    assert set(fit(fields, widths, 40, {"status"})) == {"ticker", "price", "status"}
    assert set(fit([fields[0], fields[2], fields[1]], widths, 30)) == {"ticker", "price"}


def test_a_terminal_shows_the_words_that_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    row = pnl_row("(none)")
    render_rows(PnlRow, [row], Format.TABLE)
    head, line = capsys.readouterr().out.splitlines()
    assert (head.split()[0], line.split()[0]) == ("group", "manual")
    render_rows(PnlRow, [row], Format.PLAIN)
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == "manual", "a pipe reads the same word"
    render_rows(PnlRow, [row], Format.NDJSON)
    assert '"key":"(none)"' in capsys.readouterr().out


# As wide as they come: a ticker, an id of the exchange's, a moment, and numbers as wide as their labels at least.
WIDE = {"ticker": 24, "order_id": 36, "client_order_id": 36, "quote_id": 36, "time": 26, "created": 26, "status": 8}
WIDE |= {"key": 26, "strategy": 14, "found": 13, "close_time": 26, "expected_time": 26}


@pytest.mark.parametrize(
    ("of", "at_80", "at_60"),
    [
        (OrderRow, "order_id ticker action side price remaining status", "order_id ticker action side status"),
        (ReconciledRow, "ticker action side price found filled", "ticker action side price"),
        (PositionLine, "ticker quantity value unrealized average_price mark", "quantity average_price mark unrealized"),
        (FillLine, "time ticker side price count", "time ticker side"),
        (SettlementRow, "ticker result net time", "ticker result net"),
        (SettlementLine, "ticker held net gain time", "ticker held net time"),
        (OrderStatusLine, "order_id ticker side status created", "order_id status created"),
        (FilledOrderLine, "order_id ticker side average_fill_price filled", "order_id side average_fill_price"),
        (UpcomingRow, "ticker side count pays expected_time state", "ticker side count"),
        (UpcomingLine, "ticker quantity pays expected_time state", "ticker quantity pays state"),
        (QuoteRow, "buy_yes buy_no status quote_id", "buy_yes buy_no status"),
        (scan_rows.ArbitrageRow, "event_ticker kind profit legs profit_share", "event_ticker profit legs"),
        (scan_rows.SpreadRow, "ticker title spread maker_keeps yes_bid", "ticker spread maker_keeps"),
        (scan_rows.MoverRow, "ticker title change previous last yes_bid", "ticker change previous last"),
        (scan_rows.CheapRow, "ticker title side price count fee_share", "ticker side price count"),
        (scan_rows.ClosingRow, "ticker title close_time yes_bid yes_ask", "ticker close_time yes_bid yes_ask"),
        (run_rows.StrategyPartRow, "strategy net realized unrealized fees at_risk", "strategy net realized unrealized"),
        (PnlRow, "key realized unrealized fees net", "key realized unrealized net"),
        (scan_rows.VenueRow, "ticker buy_edge sell_edge profit kalshi_bid", "ticker buy_edge sell_edge profit"),
    ],
)
def test_a_narrow_table_keeps_what_a_person_decides_by(of: type[OutputRow], at_80: str, at_60: str) -> None:
    by_name = {column.name: column for column in columns(of)}
    fields = [by_name[name] for name in of.shown or by_name]
    wide = {column.name: 8 if column.is_short_id else WIDE.get(column.name, 6) for column in fields}
    widths = {column.name: max(len(column.label), wide[column.name]) for column in fields}
    for room, wanted in ((80, at_80), (60, at_60)):
        assert set(wanted.split()) <= set(fit(fields, widths, room, of.vital)), room


@pytest.mark.parametrize("width", [60, 80])
def test_what_closes_soon_has_both_prices_and_the_time_on_a_narrow_screen(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    now = Ts(1_795_000_000_000)
    row = scan_rows.ClosingRow(
        ticker="KXQUICKSETTLE-26NOV21H1218-2", event_ticker="KXQUICKSETTLE-26NOV21H1218",
        title=TruncatableText("ETH " * 20),
        close_time=Ts(now + 780_000), yes_bid=cents(15), yes_ask=Price(2580), last=cents(16),
        volume_24h=contracts(10), open_interest=contracts(10),
    )  # fmt: skip
    render_rows(scan_rows.ClosingRow, [row], Format.TABLE, now=now)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert {"in", "13m", "$0.15", "$0.258", row.ticker} <= set(lines[1].split())


@pytest.mark.parametrize("width", [60, 70, 80, 90, 100, 120])
def test_a_table_has_the_same_columns_a_few_minutes_later(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    headings = []
    for later in (0, 7_000, 47_000, 11 * 60_000):
        render_rows(MarketRow, [market()], Format.TABLE, now=Ts(CLOSE + later))
        headings.append(capsys.readouterr().out.splitlines()[0].split())
    assert len(set(map(tuple, headings))) == 1


STATUS = (
    "sim spike,market-maker on sim: up 8 s, 9 cycles\n"
    "  realized -$0.12, unrealized -$2.29, net -$3.28, today -$3.28, fees $0.88, balance $983.27"
)


def test_a_status_that_is_too_wide_goes_on_below_between_its_parts() -> None:
    assert folded(STATUS, 100) == STATUS
    assert folded(STATUS, 60).splitlines() == [
        "sim spike,market-maker on sim: up 8 s, 9 cycles",
        "  realized -$0.12, unrealized -$2.29, net -$3.28,",
        "    today -$3.28, fees $0.88, balance $983.27",
    ]


def test_a_part_that_is_wider_than_the_screen_loses_nothing() -> None:
    words = folded(f"  HALTED, {'x' * 70} for a reason: resume", 40)
    assert max(map(len, words.splitlines())) <= 40
    assert "".join(words.split()) == f"HALTED,{'x' * 70}forareason:resume"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_sentence_that_is_wider_than_the_screen_breaks_between_words_and_keeps_its_commands_whole(width: int) -> None:
    line = (
        "  REDUCE-ONLY: API_GUARD: Lost $9.01 today; the limit is $9.00 (risk.max_daily_loss) and strategies send "
        "closing orders. If `kalshi exchange` and `kalshi order reconcile` succeed, run: `kalshi resume --reason TEXT`"
    )
    lines = folded(line, width).splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == line.strip()
    for command in ("`kalshi exchange`", "`kalshi order reconcile`", "`kalshi resume --reason TEXT`"):
        assert any(command in line for line in lines)


def test_a_command_that_is_wider_than_the_screen_is_broken_between_words() -> None:
    assert folded("  refused: `kalshi resume --reason TEXT --reset-groups`", 30).splitlines() == [
        "  refused: `kalshi resume",
        "    --reason TEXT",
        "    --reset-groups`",
    ]


def test_a_hint_of_several_rows_is_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    hints = {"exchange": "check the network", "clock": "check the network", "disk": "free space", "key": None}
    rows = [
        HealthRow(
            check=name, status=Verdict("UNKNOWN"), latency_ms=1.0, detail=TruncatableText("no usable response " * 4),
            hint=None if hint is None else TruncatableText(hint),
        )
        for name, hint in hints.items()
    ]  # fmt: skip
    render_rows(HealthRow, rows, Format.TABLE)
    assert capsys.readouterr().err.splitlines() == ["exchange, clock: check the network", "disk: free space"]


@pytest.mark.parametrize(("width", "told"), [(80, 1), (200, 0)])
def test_a_hint_that_a_narrow_table_cuts_is_told_whole_so_that_its_command_can_be_copied(
    width: int, told: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = "sudo timedatectl set-ntp true, then look at it again with: kalshi health-check --env prod"
    found = HealthRow(
        check="clock",
        status=Verdict("CRITICAL"),
        latency_ms=1.0,
        detail=TruncatableText("off"),
        hint=TruncatableText(hint),
    )
    fine = HealthRow(check="disk", status=Verdict("OK"), latency_ms=1.0, detail=TruncatableText("12 GB"), hint=None)
    monkeypatch.setenv("COLUMNS", str(width))
    render_rows(HealthRow, [found, fine], Format.TABLE)
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"clock: {hint}"] * told
    assert (hint in shown.out) is not bool(told)


def test_siblings_differ_where_a_narrow_table_cuts_their_titles() -> None:
    long = listed(title="Bitcoin price on November 21, 2026 at 2pm EST?", subtitle="$86,250 or above")
    assert MarketRow.of(long).title.startswith("$86,250 or above: Bitcoin")
    whole = listed(title="Rain above 1 inch?", subtitle="above 1 inch")
    assert MarketRow.of(whole).title == "Rain above 1 inch?"


def test_titles_that_differ_only_at_the_end_keep_the_part_that_differs() -> None:
    cells = [{"title": f"Highest temperature in NYC on Nov {day}, 2026?"} for day in (21, 22)] + [{"title": "Rain?"}]
    show_differences(cells, "title", 20)
    assert [line["title"] for line in cells] == ["Highest te…21, 2026?", "Highest te…22, 2026?", "Rain?"]


def test_a_narrow_title_keeps_the_name_of_yes_and_the_subtitle() -> None:
    game = "Atlanta at Golden State Winner?"
    cells = [{"title": f"{game} – Golden State"}]
    show_differences(cells, "title", 20)
    assert [line["title"] for line in cells] == ["Atlanta…Golden State"]
    days = [{"title": f"{low}: Highest temperature on Nov {day}, 2026?"} for day in (21, 22) for low in ("49°", "51°")]
    show_differences(days, "title", 12)
    assert len({line["title"][:3] for line in days}) == 2


def test_a_list_of_markets_on_a_small_terminal_shows_prices_and_closing_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ticker, title = "KXNBAGAME-26NOV23ATLGSW-GSW", "Atlanta at Golden State Winner?"
    quotes = {"yes_bid": cents(53), "yes_ask": cents(57), "last": cents(55)}
    game = msgspec.structs.replace(listed(title, "Golden State"), ticker=ticker, close_time=CLOSE, **quotes)
    render_rows(MarketRow, [MarketRow.of(game)], Format.TABLE, now=Ts(game.close_time - 3_600_000))
    out = capsys.readouterr().out
    assert all(text in out for text in (game.ticker, "Golden State", "yes bid", "yes ask", "in 1h"))
    assert max(map(len, out.splitlines())) <= 80


def test_tax_lots_on_a_small_terminal_show_what_was_gained_and_the_total(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    year_ago = Ts(CLOSE - 365 * 86_400_000)
    lots = [
        Lot(ticker="KXNBAGAME-26NOV23ATLGSW-GSW", subaccount=0, outcome="yes", qty=contracts(10), opened=year_ago,
            cost=dollars(6), fees=dollars("0.1"), closed=CLOSE, closed_by="trade", proceeds=dollars(8)),
        Lot(ticker="KXNBAGAME-26NOV23ATLGSW-GSW", subaccount=0, outcome="no", qty=contracts(5), opened=CLOSE,
            cost=dollars(2), fees=dollars(0)),
        Lot(ticker="KXRAIN", subaccount=0, outcome="no", qty=contracts(1), opened=CLOSE, closed=CLOSE,
            cost=dollars("0.5"), fees=dollars("0.05"), proceeds=dollars(0), closed_by="settlement"),
    ]  # fmt: skip
    render_rows(LotLine, lot_lines([LotExport.of(lot) for lot in lots], CLOSE), Format.TABLE, now=CLOSE)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[0] == ["ticker", "quantity", "closed", "cost", "proceeds", "fees", "gain"], "which add up"
    assert shown[1][1:] == ["10", "YES", "Jun", "11", "$6.00", "$8.00", "$0.10", "+$1.90"]
    assert shown[2][1:] == ["5", "NO", "open", "$2.00", "—", "$0.00", "—"]
    assert shown[-1] == ["Total", "closed", "$6.50", "$8.00", "$0.15", "+$1.35"]


def test_the_outcome_that_a_taker_bought_is_not_an_answer() -> None:
    assert cell(OutputColumn("taker", str), "no", None) == "NO"
    assert cell(OutputColumn("is_block", bool), False, None) == "no"


def test_a_narrow_list_of_orders_keeps_the_ids(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ids = ("2597b999-f887-4195-8bac-c3f97a1f2021", "2597b999-0887-4195-8bac-c3f97a1f2021")
    rows = [msgspec.structs.replace(order_row(order()), order_id=each) for each in ids]
    render_rows(OrderRow, rows, Format.TABLE)
    out = capsys.readouterr().out
    assert all(each in out for each in short_ids(ids))


def test_a_long_list_is_not_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(MarketRow, [market()] * (MAX_TABLE_ROWS + 1), Format.TABLE)
    assert capsys.readouterr().out.startswith("ticker ")
    render_rows(MarketRow, [market()] * MAX_TABLE_ROWS, Format.TABLE)
    assert "yes_bid" not in capsys.readouterr().out


def test_times_are_told_from_now() -> None:
    now = Ts(1_781_148_600_000)
    assert format_time(CLOSE, now) == "Jun 11 06:29 UTC (in 2h)"
    assert format_time(Ts(now - 90_000), now) == "Jun 11 03:28 UTC (1m ago)"
    assert format_time(now, now) == "Jun 11 03:30 UTC (now)"
    assert format_time(Ts(0), now).startswith("1970-01-01 00:00 UTC (")
    assert format_time(CLOSE, None) == "2026-06-11 06:29 UTC"


def test_times_of_tables_are_in_the_chosen_zone_and_json_stays_utc(capsys: pytest.CaptureFixture[str]) -> None:
    set_time_zone("America/New_York")
    try:
        assert format_time(CLOSE, None) == "2026-06-11 02:29 EDT"
        assert format_clock(CLOSE).endswith(" EDT")
        render_rows(MarketRow, [market()], Format.JSON)
        assert "Z" in json.loads(capsys.readouterr().out)[0]["close_time"]
    finally:
        set_time_zone("UTC")


# -- whatever is inside -------------------------------------------------------------------------------------------

HOSTILE = st.text() | st.sampled_from(
    [
        "\x1b[31mred",
        "\x1b]8;;https://evil.example\x07x",
        "a\u202eb",
        "\u200b\u2066",
        "[/]",
        "[bold]x[/bold]",
        "[link=https://evil.example]x[/link]",
        ":smile:",
        "\ud800",
        "\x9b2J",
        "line\nbreak",
    ]
)


@settings(max_examples=150, deadline=None)
@given(HOSTILE, st.sampled_from(Format))
def test_no_format_lets_a_control_character_through(text: str, form: Format) -> None:
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setenv("COLUMNS", "200")
        render_rows(MarketRow, [market(ticker=text, title=text)], form, title=text, empty=text)
        render_rows(MarketRow, [], form, empty=text)
        render_one(market(title=text), form, title=text)
        render_book(orderbook_view(BookSnapshot(Ts(0), text, ((cents(1), Qty(1)),), ()), 5), form)
    written = out.getvalue() + err.getvalue()
    assert [char for char in written if unicodedata.category(char)[0] == "C" and char != "\n"] == []
    written.encode()


def test_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    render_rows(MarketRow, [market(title="[bold]x[/] :smile:")], Format.TABLE)
    assert "[bold]x[/] :smile:" in capsys.readouterr().out


# -- the rows -----------------------------------------------------------------------------------------------------

CONTRACT = {
    MarketRow: "ticker event_ticker title status yes_bid yes_ask last volume volume_24h open_interest close_time",
    OrderbookView: "ticker yes_bids yes_asks best_bid best_ask spread mid",
    OrderRow: "order_id client_order_id ticker side action book_side price count filled remaining status "
    "average_fill_price fees",
    PositionRow: "ticker position side count average_price cost mark value unrealized realized fees subaccount",
    CancelAllView: "canceled remaining halted seconds",
    PnlView: "realized unrealized fees net rows",
    run_rows.TradeSummary: "strategy env mode cycles intents orders fills denied realized unrealized fees net balance "
    "maker_fills taker_fills stopped_by",
}


@pytest.mark.parametrize("row", CONTRACT)
def test_a_row_has_the_fields_that_scripts_rely_on(row: type[OutputRow]) -> None:
    assert set(CONTRACT[row].split()) <= set(row.__struct_fields__)


def every_row() -> list[type[OutputRow]]:
    return [
        kind
        for module in pkgutil.iter_modules(all_rows.__path__)
        for kind in vars(import_module(f"{all_rows.__name__}.{module.name}")).values()
        if isinstance(kind, type) and issubclass(kind, OutputRow) and kind is not OutputRow
    ]


@pytest.mark.parametrize("row", every_row())
def test_every_field_of_every_row_can_be_written(row: type[OutputRow]) -> None:
    for field in msgspec.structs.fields(row):
        assert callable(to_machine(field.type))
    assert all(callable(to_text(column.kind)) for column in columns(row))
    assert set(row.shown) <= {column.name for column in columns(row)}


FORTY = cents(40)


def order(side: Side = BID, price: Price = FORTY, **more: object) -> Order:
    given = {
        "client_order_id": "mine",
        "ticker": "KX",
        "side": side,
        "price": price,
        "qty": contracts(10),
        "status": OrderStatus.RESTING,
        "created": Ts(0),
        "updated": Ts(0),
    }
    return Order(**(given | more))  # type: ignore[arg-type]


@given(
    st.sampled_from(["yes", "no"]),
    st.sampled_from(["buy", "sell"]),
    st.integers(min_value=1, max_value=99).map(cents),
)
def test_an_order_reads_back_as_it_was_typed(outcome: Outcome, action: Action, price: Price) -> None:
    placed = OrderTicket(ticker="KX", outcome=outcome, action=action, qty=contracts(1), price=price).intent(listed())
    row = order_row(order(placed.side, placed.price), (outcome, action))
    assert (row.side, row.action, row.price, row.book_side) == (outcome, action, price, placed.side)


def test_an_order_nobody_remembers_typing_is_shown_on_the_yes_scale() -> None:
    row = order_row(order(ASK, cents(60)))
    assert (row.side, row.action, row.price) == ("yes", "sell", cents(60))


def test_the_average_fill_price_is_that_of_the_side() -> None:
    filled = order(ASK, cents(60), filled=contracts(3), fill_cost=Money(3 * cents(62) * 100))
    assert order_row(filled).average_fill_price == cents(62)
    assert order_row(filled, ("no", "buy")).average_fill_price == cents(38)
    assert order_row(order()).average_fill_price is None


def snapshot() -> BookSnapshot:
    bids = ((cents(46), contracts(5)), (cents(47), contracts(10)))
    return BookSnapshot(Ts(0), "KX", bids, ((cents(52), contracts(20)), (cents(50), contracts(2))))


def test_an_order_book_is_best_first_with_spread_and_mid(capsys: pytest.CaptureFixture[str]) -> None:
    render_book(orderbook_view(snapshot(), depth=1), Format.JSON)
    assert json.loads(capsys.readouterr().out) == {
        "ticker": "KX",
        "yes_bids": [["0.4700", "10.00"]],
        "yes_asks": [["0.5000", "2.00"]],
        "best_bid": "0.4700",
        "best_ask": "0.5000",
        "spread": "0.0300",
        "mid": "0.4850",
        "to_fill": [],
    }


def test_filling_a_size_costs_more_than_the_best_price() -> None:
    buy, sell = orderbook_view(snapshot(), depth=10, size=contracts(12)).to_fill
    assert (buy.fills, buy.notional, buy.worst_price) == (contracts(12), Money(6_200_000), cents(52))
    assert buy.slippage == Price(167)
    assert (sell.average_price, sell.slippage) == (Price(4683), Price(17))


def test_a_book_is_drawn_from_the_highest_price_down(capsys: pytest.CaptureFixture[str]) -> None:
    for form in (Format.TABLE, Format.PLAIN):
        render_book(orderbook_view(snapshot(), depth=10), form)
        out = capsys.readouterr().out
        assert sorted(("$0.52", "$0.50", "$0.47", "$0.46"), key=out.index) == ["$0.52", "$0.50", "$0.47", "$0.46"]
    render_book(orderbook_view(BookSnapshot(Ts(0), "KX", (), ()), depth=10), Format.TABLE)
    assert "No quotes for KX" in capsys.readouterr().err


def test_order_rows_of_the_exchange_have_no_ids_until_it_told_them(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(OrderRow, [order_row(order(client_order_id=""))], Format.JSON)
    [row] = json.loads(capsys.readouterr().out)
    assert row["order_id"] is None
    assert row["client_order_id"] is None


def test_what_a_terminal_shows_of_a_row_is_a_column_of_it() -> None:
    """Rows inside a row follow it by themselves: to name them as a line of it is a mistake."""
    for module in pkgutil.iter_modules(all_rows.__path__):
        import_module(f"{all_rows.__name__}.{module.name}")
    kinds = list(every(OutputRow))
    assert {OrderRow, PnlView} < set(kinds)
    for kind in kinds:
        names = {column.name for column in columns(kind)}
        assert names.issuperset((*kind.shown, *kind.screen)), kind.__name__


def every(kind: type[OutputRow]) -> Iterator[type[OutputRow]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from every(narrower)


def test_a_table_shortens_order_ids_no_further_than_they_differ() -> None:
    assert short_ids(["0123456789", "abcdefghij"]) == ["01234567", "abcdefgh"]
    assert short_ids(["0123456789a", "0123456789b"]) == ["0123456789a", "0123456789b"]
    assert short_ids(["0123456789a", "0123456789a"]) == ["01234567", "01234567"]
    assert short_ids([]) == []


class AllLines(OutputRow, frozen=True, kw_only=True):
    """A view that shows every field."""

    pid: int | None
    state: str


class ChosenLines(AllLines, frozen=True, kw_only=True):
    """A view that chooses its lines."""

    screen = ("pid", "state")


def test_plain_text_leaves_out_missing_values_of_a_view_that_chooses_its_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    render_one(ChosenLines(pid=None, state="active"), Format.PLAIN)
    assert capsys.readouterr().out == "state  active\n"
    render_one(AllLines(pid=None, state="active"), Format.PLAIN)
    assert capsys.readouterr().out == "pid    —\nstate  active\n"


class Sentences(AllLines, frozen=True, kw_only=True):
    """A view with texts that each fill a line."""

    unknown: tuple[str, ...]
    markets: tuple[str, ...] = ("A", "B")

    sentences = ("unknown",)


@pytest.mark.parametrize(
    ("unknown", "lines"),
    [
        (("fees of 1, 2", "a result"), "unknown  fees of 1, 2\nunknown  a result\n"),
        (("a\nfee",), "unknown  a fee\n"),
        ((), "unknown  —\n"),
    ],
)
def test_plain_text_has_a_line_for_each_sentence(
    unknown: tuple[str, ...], lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    render_one(Sentences(pid=None, state="active", unknown=unknown), Format.PLAIN)
    assert capsys.readouterr().out == f"pid      —\nstate    active\n{lines}markets  A, B\n"


@pytest.mark.parametrize(
    ("title", "heading"),
    [("Profit and loss by strategy", "strategy"), ("by market", "market"), ("trend", "group"), ("", "group")],
)
def test_rows_are_headed_by_what_they_are_grouped_by(
    title: str, heading: str, capsys: pytest.CaptureFixture[str]
) -> None:
    row = pnl_row("x")
    render_rows(PnlRow, [row], Format.TABLE, title=title)
    assert f"\n{heading} " in "\n" + capsys.readouterr().out
