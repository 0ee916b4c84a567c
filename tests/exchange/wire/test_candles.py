"""Bodies of candles, cutoffs, events, series and fee changes; and the half of a market that lists leave unread."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import yaml
from support.places import SHARED
from support.specification import SPECS, specs_or_skip

from kalshi_cli.base.units import Price, Qty, Ts, parse_ts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType, MarketDetails, OhlcPrices
from kalshi_cli.exchange.endpoints.history import spans
from kalshi_cli.exchange.wire import candles as wire_candles
from kalshi_cli.exchange.wire import events as wire_events
from kalshi_cli.exchange.wire import markets as wire_markets
from kalshi_cli.exchange.wire.values import ResponseFormatError

needs_recordings = pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded data is not beside the repository")


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def quotes(suffix: str, value: str) -> dict[str, str]:
    return {f"{name}{suffix}": value for name in ("open", "low", "high", "close")}


LIVE = {
    "end_period_ts": 1_767_225_600,
    "yes_bid": quotes("_dollars", "0.4500"),
    "yes_ask": quotes("_dollars", "1.0000"),
    "price": quotes("_dollars", "0.4600") | {"mean_dollars": "0.4633", "previous_dollars": "0.4500"},
    "volume_fp": "120.00",
    "open_interest_fp": "900.00",
}
OLD = {
    "end_period_ts": 1_767_225_600,
    "yes_bid": quotes("", "0.4500"),
    "yes_ask": quotes("", "1.0000"),
    "price": quotes("", "0.4600") | {"mean": "0.4633", "previous": "0.4500"},
    "volume": "120.00",
    "open_interest": "900.00",
}


def test_both_dialects_of_a_candle_say_the_same() -> None:
    (live,) = wire_candles.read_candles(body({"ticker": "T", "candlesticks": [LIVE]}))
    (old,) = wire_candles.read_historical_candles(body({"ticker": "T", "candlesticks": [OLD]}))
    assert live == old
    assert live.price == OhlcPrices(*[Price(4600)] * 4)
    assert (live.mean, live.previous, live.volume) == (Price(4633), Price(4500), Qty(12_000))
    assert live.yes_ask == OhlcPrices()  # a dollar is no offer


@pytest.mark.parametrize(
    "price", [{}, {"previous_dollars": "0.4500"}, {"open_dollars": None, "close_dollars": None}], ids=str
)
def test_a_period_without_a_trade_has_no_price(price: dict[str, str | None]) -> None:
    (candle,) = wire_candles.read_candles(body({"candlesticks": [LIVE | {"price": price, "volume_fp": "0.00"}]}))
    assert candle.price == OhlcPrices()
    assert candle.previous == (Price(4500) if price.get("previous_dollars") else None)


@pytest.mark.parametrize("wrong", [{"volume_fp": "-1.00"}, {"yes_bid": {}}, {"end_period_ts": "soon"}], ids=str)
def test_a_candle_that_cannot_be_read_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ResponseFormatError):
        wire_candles.read_candles(body({"candlesticks": [LIVE | wrong]}))


def test_the_historical_dialect_is_not_taken_for_the_live_one() -> None:
    with pytest.raises(ResponseFormatError):
        wire_candles.read_candles(body({"candlesticks": [OLD]}))


def test_the_candles_of_an_event_come_by_market_and_say_where_they_were_cut() -> None:
    read = wire_candles.read_event_candles(
        body({"market_tickers": ["A", "B"], "market_candlesticks": [[LIVE], []], "adjusted_end_ts": 1_767_225_600})
    )
    assert {ticker: len(candles) for ticker, candles in read.markets.items()} == {"A": 1, "B": 0}
    assert read.until == Ts(1_767_225_600_000)
    with pytest.raises(ResponseFormatError, match="2 markets but 1 lists"):
        wire_candles.read_event_candles(
            body({"market_tickers": ["A", "B"], "market_candlesticks": [[]], "adjusted_end_ts": 1})
        )


def test_a_cutoff_may_say_nothing_of_positions() -> None:
    moments = dict.fromkeys(("market_settled_ts", "trades_created_ts", "orders_updated_ts"), "2026-08-01T00:00:00Z")
    assert wire_candles.read_cutoff(body(moments)).positions is None
    with pytest.raises(ResponseFormatError):
        wire_candles.read_cutoff(body(moments | {"orders_updated_ts": None}))


@pytest.mark.parametrize(("start", "end", "most"), [(0, 600, 3), (5, 605, 10), (7, 7, 1), (0, 1, 1), (60, 59, 5)])
def test_requests_cover_a_span_once_and_ask_for_no_more_than_is_allowed(start: int, end: int, most: int) -> None:
    found = spans(Ts(start * 1000), Ts(end * 1000), 1, most)
    covered = [ts for one in found for ts in range(int(str(one["start_ts"])), int(str(one["end_ts"])) + 1)]
    assert covered == list(range(start, end + 1))
    assert all(
        sum(ts % 60 == 0 for ts in range(int(str(o["start_ts"])), int(str(o["end_ts"])) + 1)) <= most for o in found
    )


# -- events, series, fees -----------------------------------------------------------------------------------------

EVENT = {
    "event_ticker": "KXHIGHNY-26NOV21",
    "series_ticker": "KXHIGHNY",
    "title": "Highest temperature in NYC?",
    "sub_title": "On Nov 21",
    "mutually_exclusive": True,
    "collateral_return_type": "MECNET",
    "settlement_sources": [{"name": "NWS", "url": "https://www.weather.gov"}],
    "strike_date": "2026-11-22T04:59:00Z",
    "product_metadata": {"cadence": {"daily": [1, 2]}},
    "last_updated_ts": "2026-11-20T10:00:00Z",
    "exchange_index": 3,
}


def test_an_event_is_read_whole() -> None:
    event = wire_events.read_event(body({"event": EVENT, "markets": []}))
    assert (event.sub_title, event.collateral_return, event.exchange_index) == ("On Nov 21", "MECNET", 3)
    assert event.strike_date == parse_ts("2026-11-22T04:59:00Z")
    assert event.product_metadata == {"cadence": {"daily": [1, 2]}}
    assert event.markets == ()


def test_the_series_may_be_ten_thousand_and_come_at_once() -> None:
    one = {"ticker": "S", "fee_type": "quadratic", "fee_multiplier": 0.5, "tags": ["NBA"], "volume_fp": "12.50"}
    found = wire_events.read_series_list(body({"series": [one | {"ticker": f"S{n}"} for n in range(10_001)]}))
    assert len(found) == 10_001
    assert (found[0].tags, found[0].volume, found[0].fees.multiplier) == (("NBA",), Qty(1250), 500)


def test_a_fee_change_of_an_event_may_be_the_end_of_its_override() -> None:
    change = {"id": "1", "event_ticker": "E", "series_ticker": "S", "scheduled_ts": "2026-12-01T00:00:00Z"}
    ends = change | {"fee_type_override": None, "fee_multiplier_override": None}
    begins = change | {"fee_type_override": "flat", "fee_multiplier_override": 2}
    read = wire_events.read_event_fee_changes(body({"event_fee_changes": [ends, begins], "cursor": ""}))
    assert [one.fees for one in read.items] == [None, FeeSchedule(FeeType.FLAT, 2000)]
    with pytest.raises(ResponseFormatError, match="fee change"):
        wire_events.read_event_fee_changes(body({"event_fee_changes": [begins | {"fee_multiplier_override": None}]}))


# -- markets ------------------------------------------------------------------------------------------------------


@needs_recordings
def test_a_recorded_market_of_production_is_read_whole() -> None:
    recorded = json.loads((SHARED / "data/rest/prod-202608-market-single.json").read_text())["single"]
    market = wire_markets.read_market(body(recorded))
    assert isinstance(market, MarketDetails)
    wire = recorded["market"]
    assert market.created == parse_ts(wire["created_time"])
    assert market.settlement_timer_s == wire["settlement_timer_seconds"]
    assert market.no_subtitle == wire["no_sub_title"]
    assert market.notional == Price(10_000)


@pytest.mark.parametrize(
    ("name", "reader", "left_out"),
    [
        # What the two prices of NO say follows from those of YES; the subtitle is that of YES.
        ("Market", wire_markets.MarketDetailsBody, {"no_bid_dollars", "no_ask_dollars", "subtitle"}),
        ("EventData", wire_events.EventBody, set()),
        ("Series", wire_events.SeriesBody, set()),
    ],
)
def test_every_documented_field_is_read(name: str, reader: type, left_out: set[str]) -> None:
    specs_or_skip()
    schemas = yaml.load((SPECS / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader)["components"]["schemas"]
    read = {field.encode_name for field in msgspec.structs.fields(reader)}
    assert set(schemas[name]["properties"]) - read == left_out


@needs_recordings
def test_recorded_candles_of_production_are_read() -> None:
    raw = gzip.decompress((SHARED / "data/candles/prod-202608-candlesticks-mlb.json.gz").read_bytes())
    markets = json.loads(raw)["markets"]
    read = {ticker: wire_candles.read_candles(body(market)) for ticker, market in markets.items()}
    assert [len(candles) for candles in read.values()] == [16, 16, 16]
    quiet = [candle for candles in read.values() for candle in candles if not candle.volume]
    assert quiet
    assert all(candle.price == OhlcPrices() and candle.previous for candle in quiet)
    ends = [candle.end for candle in next(iter(read.values()))]
    assert {b - a for a, b in pairwise(ends)} == {60_000}
