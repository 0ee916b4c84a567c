"""Events, series, markets, trades, candles and books on the command line, as people and programs see them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.served import EMPTY, ME, ONE_SIDED, TWO_SIDED, Ended, Served, Terminal, program, served, set_variables
from support.specification import SPECS, specs_or_skip

from kalshi_cli.base.units import Price, Qty, Ts, format_ts, parse_ts
from kalshi_cli.cli.screen.chart import HEIGHT, draw
from kalshi_cli.core.model.markets import Candle, FeeSchedule, FeeType, OhlcPrices
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.markets.exchange_hours import weekly_maintenance
from kalshi_cli.views.market_history import CandleRow

EVENT = "KXRAIN-40JAN01"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as one:
        one.trade_a_little()
        yield one


@pytest.fixture(autouse=True)
def variables(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, exchange.home, exchange.variables())


def assert_refused(ended: Ended, code: int, *says: str) -> None:
    lines = [line for line in ended.err.splitlines() if not line.startswith("this is the simulated")]
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], ended.err
    assert all(words in ended.err for words in says), ended.err


# -- whole objects ------------------------------------------------------------------------------------------------


def test_the_json_of_a_market_has_everything_the_object_has() -> None:
    shown = program("market", TWO_SIDED, "--json").json
    assert (shown["ticker"], shown["no_bid"], shown["no_ask"]) == (TWO_SIDED, "0.5300", "0.5600")
    assert shown["price_grid"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]
    assert {row["role"]: row["fee"] for row in shown["fees"] if row["action"] == "buy yes"} == {
        "taker": "1.743700",
        "maker": "0.000000",
    }


def test_no_field_of_a_market_of_the_specification_is_missing_in_json() -> None:
    specs_or_skip()
    import yaml

    spec = yaml.load((SPECS / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    documented = set(spec["components"]["schemas"]["Market"]["properties"])
    ours = {
        "yes_bid_dollars": "yes_bid", "yes_ask_dollars": "yes_ask", "no_bid_dollars": "no_bid",
        "no_ask_dollars": "no_ask",
        "yes_bid_size_fp": "yes_bid_size", "yes_ask_size_fp": "yes_ask_size", "last_price_dollars": "last",
        "volume_fp": "volume", "volume_24h_fp": "volume_24h", "open_interest_fp": "open_interest",
        "notional_value_dollars": "notional", "previous_yes_bid_dollars": "previous_bid",
        "previous_yes_ask_dollars": "previous_ask", "previous_price_dollars": "previous_price",
        "created_time": "created", "updated_time": "updated", "occurrence_datetime": "occurrence_time",
        "settlement_timer_seconds": "settlement_timer_s", "settlement_value_dollars": "settlement_value",
        "settlement_bounds_type": "settlement_bounds", "settlement_floor_dollars": "settlement_floor",
        "fee_waiver_expiration_time": "fee_waiver_until", "mve_collection_ticker": "mve_collection",
        "mve_selected_legs": "mve_legs", "primary_participant_key": "primary_participant",
        "price_level_structure": "price_structure", "price_ranges": "price_grid", "subtitle": "yes_sub_title",
    }  # fmt: skip
    shown = program("market", TWO_SIDED, "--json").json
    assert {ours.get(name, name) for name in documented} - set(shown) == set()


def test_the_json_of_an_event_has_its_markets_whole_and_the_table_their_prices() -> None:
    whole = program("event", EVENT, "--json").json
    assert [market["ticker"] for market in whole["markets"]] == [TWO_SIDED, ONE_SIDED, EMPTY]
    assert whole["markets"][0]["rules_primary"].startswith("If it is more than")
    table = program("event", EVENT.lower(), "--format", "plain").out
    assert "$0.47" in table
    assert "rules_primary" not in table


def test_fees_of_a_market_without_a_quote_are_those_of_half_a_dollar(exchange: Served) -> None:
    fees = program("market", EMPTY, "--json").json["fees"]
    assert [(row["role"], row["price"], row["fee"]) for row in fees] == [
        ("taker", "0.5000", "1.750000"), ("maker", "0.5000", "0.000000"),
    ]  # fmt: skip


def test_fees_of_a_market_follow_its_event_and_what_is_announced_is_told(exchange: Served) -> None:
    now = exchange.clock.now()
    soon = Ts((now // 1000 + 3600) * 1000)
    dear = FeeSchedule(FeeType.WITH_MAKER, 2000)
    past = Ts(now - 1000)  # the exchange's clock is up to five milliseconds ahead of the program's
    exchange.call(lambda: exchange.exchange.announce_fees("KXWIND", "", dear, soon, now))
    exchange.call(lambda: exchange.exchange.announce_fees("KXWIND", "KXWIND-40JAN01", dear, past, now))
    shown = program("market", "KXWIND-40JAN01-T5", "--json").json
    assert (shown["fee_type"], shown["fee_multiplier"]) == (dear.type.value, 2.0)
    assert [(row["applies_to"], row["scheduled"]) for row in shown["fee_changes"]] == [("KXWIND", format_ts(soon))]
    maker = next(row for row in shown["fees"] if row["role"] == "maker")
    assert maker["fee"] != "0.000000"
    event = program("event", "KXWIND-40JAN01", "--json").json
    assert event["fee_type_override"] == dear.type.value
    assert [row["fee_multiplier"] for row in program("series-info", "KXWIND", "--json").json["fee_changes"]] == [2.0]


# -- lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "tickers"),
    [
        (["events"], ["KXRAIN-40JAN01", "KXWIND-40JAN01"]),
        (["events", "--status", "all"], ["KXRAIN-40JAN01", "KXRAIN-24JUN01", "KXWIND-40JAN01"]),
        (["events", "--status", "closed"], ["KXRAIN-24JUN01"]),
        (["events", "--series", "kxwind"], ["KXWIND-40JAN01"]),
        (["events", "--search", "new WIND"], ["KXWIND-40JAN01"]),
        (["events", "--closing-within", "30d"], []),
        (["events", "--closing-within", "3650d", "--series", "KXWIND"], []),
        (["events", "--limit", "1"], ["KXRAIN-40JAN01"]),
    ],
    ids=str,
)
def test_events_are_filtered(words: list[str], tickers: list[str]) -> None:
    assert [row["event_ticker"] for row in program(*words, "--json").json] == tickers


@pytest.mark.parametrize("words", [("events",), ("trades", TWO_SIDED)])
def test_a_list_that_was_cut_at_a_limit_of_the_user_says_so_on_a_terminal(
    exchange: Served, words: tuple[str, ...]
) -> None:
    variables = {**os.environ, **exchange.variables(), "TERM": "xterm-256color"}
    terminal = Terminal(*words, "--limit", "1", env=variables)
    assert terminal.finish() == 0
    assert "Showing the first 1" in terminal.text
    assert "Showing" not in program(*words, "--limit", "1").err
    assert "cut" not in program("events", "--all").err


def test_series_are_filtered_and_have_a_volume_where_it_is_asked_for() -> None:
    assert [row["ticker"] for row in program("series", "--json").json] == ["KXRAIN", "KXWIND"]
    assert program("series", "--category", "Sports", "--json").json == []
    assert program("series", "--tag", "NBA", "--json").json == []
    (rain,) = program("series", "--search", "rain", "--volume", "--json").json
    assert rain["volume"] == "34.00"


def test_trades_are_bounded_in_time() -> None:
    whole = program("trades", TWO_SIDED, "--json").json
    assert [(row["price"], row["count"], row["taker"]) for row in whole] == [
        ("0.4400", "4.00", "no"),
        ("0.4500", "10.00", "yes"),
    ]
    assert program("trades", TWO_SIDED, "--since", "1h", "--json").json == whole
    assert program("trades", TWO_SIDED, "--until", "1h", "--json").json == []
    assert program("trades", EMPTY, "--json").json == []


def test_several_books_come_from_one_request_and_one_book_stays_an_object() -> None:
    several = program("orderbook", TWO_SIDED, EMPTY, TWO_SIDED, "--json").json
    assert [book["ticker"] for book in several] == [TWO_SIDED, EMPTY, TWO_SIDED]
    assert program("orderbook", TWO_SIDED, "--json").json == several[0]


def test_a_book_of_no_has_the_other_side_of_each_price() -> None:
    yes = program("orderbook", TWO_SIDED, "--depth", "2", "--size", "3", "--json").json
    no = program("orderbook", TWO_SIDED, "--depth", "2", "--size", "3", "--side", "no", "--json").json
    for of_no, of_yes in (("no_bids", "yes_asks"), ("no_asks", "yes_bids")):
        assert no[of_no] == [[f"{1 - float(price):.4f}", count] for price, count in yes[of_yes]] != []
    assert (no["best_bid"], no["best_ask"], no["spread"]) == ("0.5300", "0.5600", yes["spread"])
    assert [(row["action"], row["worst_price"]) for row in no["to_fill"]] == [
        ("buy no", "0.5600"),
        ("sell no", "0.5300"),
    ]
    both = program("orderbook", TWO_SIDED, EMPTY, "--side", "no", "--json").json
    assert ([book["ticker"] for book in both], both[1]["no_bids"]) == ([TWO_SIDED, EMPTY], [])
    for words in ((), (EMPTY,)):
        assert f"{TWO_SIDED}  NO" in program("orderbook", TWO_SIDED, *words, "--side", "no").out
    assert program("orderbook", TWO_SIDED, "--side", "no", "--fields", "best_bid", "--json").json == {
        "best_bid": "0.5300"
    }
    assert program("orderbook", TWO_SIDED, "--side", "maybe").code == 2


def test_a_watch_in_lines_takes_the_prices_of_no_and_data_has_those_of_yes() -> None:
    watched = ("watch", TWO_SIDED, "--side", "no", "--duration", "1s", "--format")
    assert f"{TWO_SIDED} NO bid $0.53" in program(*watched, "plain").out
    refused = program(*watched, "ndjson")
    assert (refused.code, "prices of YES" in refused.error["message"]) == (2, True)
    book = ("orderbook", TWO_SIDED, "--watch", "--side", "no", "--duration", "1s", "--format")
    assert program(*book, "plain").out.startswith(f"{TWO_SIDED}  NO\n")
    assert '"no_bids":[["0.5300"' in program(*book, "ndjson").out


# -- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["event", "KXNONE-1"], 4, "No event KXNONE-1"),
        (["series-info", "KXNONE"], 4, "No series KXNONE"),
        (["market", "KXNONE-1-A"], 4, "No market KXNONE-1-A"),
        (["trades", "KXNONE-1-A"], 4, "No market KXNONE-1-A"),
        (["candles", "KXNONE-1-A"], 4, "No market KXNONE-1-A"),
        (["orderbook", TWO_SIDED, "KXNONE-1-A"], 4, "No order book for KXNONE-1-A"),
        (["candles", TWO_SIDED, "--plot", "--fields", "close"], 2, "--plot and --fields cannot be combined"),
        (["candles", TWO_SIDED, "--interval", "5m"], 2, "'5m' is invalid; use one of 1m, 1h, 1d"),
        (["candles", TWO_SIDED, "--since", "yesterday"], 2, "is not a time"),
        (["candles", TWO_SIDED, "--interval", "1m", "--since", "3650d"], 2, "Too many candles"),
        (["events", "--status", "closd"], 2, "did you mean closed"),
        (["event", ""], 2, "EVENT needs a value"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line_with_a_next_step(words: list[str], code: int, says: str) -> None:
    assert_refused(program(*words), code, says)


# -- the chart ----------------------------------------------------------------------------------------------------


def candle(
    at: int, prices: str | None, *, bid: int | None = None, ask: int | None = None, volume: int = 0
) -> CandleRow:
    """`prices` is open, low, high, close in cents."""
    ohlc = OhlcPrices(*(Price(int(cents) * 100) for cents in prices.split())) if prices else OhlcPrices()
    quotes = [OhlcPrices(*[None if cents is None else Price(cents * 100)] * 4) for cents in (bid, ask)]
    found = Candle(
        end=Ts(parse_ts("2026-11-21T00:00:00Z") + at * 60_000),
        yes_bid=quotes[0],
        yes_ask=quotes[1],
        price=ohlc,
        mean=ohlc.close,
        previous=None,
        volume=Qty(volume * 100),
        open_interest=Qty(0),
    )
    return CandleRow.of(found)


def test_a_chart_shows_range_close_gaps_and_volume() -> None:
    lines = draw([candle(0, "40 40 60 60", volume=8), candle(1, None, bid=48, ask=52), candle(2, None)], 80)
    assert len(lines) == HEIGHT + 4
    assert lines[0].endswith("┤█")
    assert lines[0].startswith("  $0.60")
    assert lines[HEIGHT - 1].startswith("  $0.40 ┤│")
    columns = ["".join(line[9 + at : 10 + at] for line in lines[:HEIGHT]) for at in range(3)]
    assert columns[0] == "█" + "│" * (HEIGHT - 1)
    assert columns[1].strip() == "·"
    assert columns[2].strip() == ""
    assert lines[HEIGHT + 1].split() == ["volume", "█"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw([], 80) == []
    assert draw([candle(0, None)], 80) == []


prices = st.tuples(*[st.integers(1, 99)] * 4).map(lambda p: f"{p[0]} {min(p)} {max(p)} {p[3]}")
tape = st.lists(st.tuples(st.none() | prices, st.integers(0, 10**6)), min_size=1, max_size=400)


@given(tape, st.integers(20, 200))
def test_a_chart_is_never_wider_than_the_terminal_and_every_price_has_its_place(moves: list[Any], width: int) -> None:
    candles = [candle(at, shown, volume=volume) for at, (shown, volume) in enumerate(moves)]
    lines = draw(candles, width)
    assert all(len(line) <= width for line in lines)
    assert bool(lines) == any(shown for shown, _ in moves)
    if lines and len(candles) <= width - 9:
        closes = sum(line.count("█") for line in lines[:HEIGHT])
        assert closes == sum(1 for shown, _ in moves if shown)


def test_a_chart_is_text_without_escapes_and_no_data_for_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    drawn = program("candles", TWO_SIDED, "--interval", "1d", "--plot")
    assert "█ close" in drawn.out
    assert "\x1b" not in drawn.out
    assert all(len(line) <= 80 for line in drawn.out.splitlines())
    ended = program("candles", TWO_SIDED, "--interval", "1d", "--plot", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.error["message"] == "--plot cannot be combined with this output format"


# -- the weekly maintenance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "starts"),
    [
        ("2026-11-21T12:00:00Z", "2026-11-26T08:00:00Z"),
        ("2026-11-26T09:59:59Z", "2026-11-26T08:00:00Z"),
        ("2026-11-26T10:00:00Z", "2026-12-03T08:00:00Z"),
        ("2026-07-15T12:00:00Z", "2026-07-16T07:00:00Z"),
        ("2026-11-26T04:59:59Z", "2026-11-26T08:00:00Z"),
    ],
)
def test_the_weekly_maintenance_is_on_thursday_from_three_to_five_in_new_york(now: str, starts: str) -> None:
    found = weekly_maintenance(parse_ts(now))
    assert (format_ts(found.starts), found.ends - found.starts) == (starts, 2 * 3_600_000)


def test_candles_of_several_markets_and_of_an_event_are_those_of_each() -> None:
    alone = {name: program("candles", name, "--json").json for name in (TWO_SIDED, ONE_SIDED)}
    assert all(alone.values())
    both = program("candles", TWO_SIDED, ONE_SIDED, "--json").json
    of_event = program("candles", "--event", EVENT, "--json").json
    for name, candles in alone.items():
        for found in (both, of_event):
            mine = [
                {key: value for key, value in row.items() if key != "ticker"} for row in found if row["ticker"] == name
            ]
            assert mine == candles
    assert {row["ticker"] for row in both} == set(alone)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "Give one or more markets, or --event EVENT"),
        ([TWO_SIDED, "--event", EVENT], 2, "Give one or more markets, or --event EVENT"),
        ([TWO_SIDED, ONE_SIDED, "--plot"], 2, "--plot shows one market at a time"),
        ([TWO_SIDED, "KXNONE-1-A"], 4, "No market KXNONE-1-A"),
        (["--event", "KXNONE-1"], 4, "No event KXNONE-1"),
    ],
)
def test_candles_of_nothing_in_particular_are_refused(words: list[str], code: int, says: str) -> None:
    assert_refused(program("candles", *words), code, says)


def test_a_search_that_finds_nothing_says_how_to_go_on(exchange: Served) -> None:
    searched = program("markets", "--search", "ran abvoe")
    assert searched.code == 0
    assert "No matching markets. Check the spelling, or try one word; `kalshi series` lists" in searched.err
    filtered = program("markets", "--event", EVENT, "--min-volume", "1000000")
    assert filtered.err.rstrip().endswith("No matching markets")


@pytest.mark.parametrize("data", [(), ("--json",), ("--format", "csv")])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("markets", "--series", "kxnope"), "No series KXNOPE"),
        (("markets", "--event", "kxnope-1"), "No event KXNOPE-1"),
        (("markets", "--series", "kxnope", "--search", "rain"), "No series KXNOPE"),
        (("markets", "--series", "kxnope", "--all", "--sort", "volume"), "No series KXNOPE"),
        (("events", "--series", "kxnope"), "No series KXNOPE"),
    ],
)
@pytest.mark.usefixtures("exchange")
def test_a_list_of_a_series_or_event_that_does_not_exist_is_an_error(
    words: tuple[str, ...], says: str, data: tuple[str, ...]
) -> None:
    ended = program(*words, *data)
    assert (ended.code, ended.out) == (4, "")
    assert says in ended.err


def test_an_empty_list_of_an_existing_series_is_no_error(exchange: Served) -> None:
    closed = program("markets", "--series", "KXRAIN", "--status", "unopened")
    assert (closed.code, closed.err) == (0, "No matching markets\n")
    data = program("markets", "--series", "KXRAIN", "--status", "unopened", "--json")
    assert (data.code, data.json, data.err) == (0, [], "")


def test_an_empty_list_of_events_says_why(exchange: Served) -> None:
    closed = program("events", "--series", "kxrain", "--status", "unopened")
    all_of_them = "see all with `kalshi events --series KXRAIN --status all`"
    assert (closed.code, closed.err) == (0, f"No matching events (unopened); {all_of_them}\n")
    assert program("events", "--status", "unopened").err == "No matching events\n"


@pytest.mark.parametrize(("side", "bid", "ask"), [("yes", "$0.43", "$0.48"), ("no", "$0.52", "$0.57")])
def test_an_order_book_on_a_terminal_marks_the_levels_of_own_orders(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, side: str, bid: str, ask: str
) -> None:
    words = ("orderbook", TWO_SIDED, "--side", side, "--format", "table")
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))
    assert "yours" not in program(*words).out
    for book_side, price, count in ((BID, "0.4300", "5"), (BID, "0.4300", "2"), (ASK, "0.4800", "3")):
        exchange.submit(ME, TWO_SIDED, book_side, price, count)
    rows = [line.split() for line in program(*words).out.splitlines()]
    assert ["price", "quantity", "total", "yours"] in rows
    own_bid, own_ask = ("7", "3") if side == "yes" else ("3", "7")
    assert [row[4] for row in rows if row[:2] == ["bid", bid]] == [own_bid]
    assert [row[4] for row in rows if row[:2] == ["ask", ask]] == [own_ask]
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    keyless = program(*words)
    assert (keyless.code, keyless.err) == (0, "")
    assert "yours" not in keyless.out
