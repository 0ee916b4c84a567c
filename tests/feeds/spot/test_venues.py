"""What the venues' own documents show is read as they mean it; whatever else comes is one error, never a crash."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.core.model.messages import SpotPrice
from kalshi_cli.feeds.spot.binance import BINANCE, BINANCE_US
from kalshi_cli.feeds.spot.coinbase import COINBASE
from kalshi_cli.feeds.spot.kraken import KRAKEN
from kalshi_cli.feeds.spot.venue import SpotError, TradingPair, Venue, parse_fixed

VENUES = (COINBASE, KRAKEN, BINANCE, BINANCE_US)
BTC, MATIC, BNB = TradingPair("BTC", "BTC-USD"), TradingPair("MATIC", "MATIC/USD"), TradingPair("BNB", "BNBBTC")

MATCH = {
    "type": "match", "trade_id": 10, "sequence": 50, "maker_order_id": "ac928c66-ca53-498f-9c13-a110027a60e8",
    "taker_order_id": "132fb6ae-456b-4654-b4e0-d681ac05cea1", "time": "2014-11-07T08:19:27.028459Z",
    "product_id": "BTC-USD", "size": "5.23512", "price": "400.23", "side": "sell",
}  # fmt: skip
KRAKEN_TRADES = b"""{"channel": "trade", "type": "update", "data": [
  {"symbol": "MATIC/USD", "side": "buy", "price": 0.5147, "qty": 6423.46326, "ord_type": "limit",
   "trade_id": 4665846, "timestamp": "2023-09-25T07:48:36.925533Z"},
  {"symbol": "MATIC/USD", "side": "buy", "price": 0.5147, "qty": 1136.19677815, "ord_type": "limit",
   "trade_id": 4665847, "timestamp": "2023-09-25T07:49:36.925603Z"}]}"""
BINANCE_TRADE = {
    "e": "trade", "E": 1672515782136, "s": "BNBBTC", "t": 12345, "p": "0.001", "q": "100", "T": 1672515782136,
    "m": True, "M": True,
}  # fmt: skip


def frame(venue: Venue, said: Any, pair: TradingPair) -> list[SpotPrice]:
    return venue.read_frame(said if isinstance(said, bytes) else json.dumps(said).encode(), pair)


def test_a_match_of_coinbase_is_a_trade_and_so_is_the_last_one_before_the_subscription() -> None:
    expected = SpotPrice(parse_ts("2014-11-07T08:19:27.028Z"), "BTC", 4_002_300, "coinbase", 523_512_000)
    assert frame(COINBASE, MATCH, BTC) == [expected]
    assert frame(COINBASE, {**MATCH, "type": "last_match"}, BTC) == [expected]


def test_trades_of_kraken_come_several_at_once_and_are_read_as_decimals_not_as_floats() -> None:
    first, second = frame(KRAKEN, KRAKEN_TRADES, MATIC)
    assert first == SpotPrice(parse_ts("2023-09-25T07:48:36.925Z"), "MATIC", 5_147, "kraken", 642_346_326_000)
    assert (second.size, second.ts) == (113_619_677_815, parse_ts("2023-09-25T07:49:36.925Z"))
    tiny = KRAKEN_TRADES.replace(b"6423.46326", b"1e-08")
    assert frame(KRAKEN, tiny, MATIC)[0].size == 1


@pytest.mark.parametrize("venue", [BINANCE, BINANCE_US])
def test_a_trade_of_binance_carries_its_time_in_milliseconds(venue: Venue) -> None:
    assert frame(venue, BINANCE_TRADE, BNB) == [SpotPrice(Ts(1_672_515_782_136), "BNB", 10, venue.name, 10_000_000_000)]


def test_what_is_no_trade_of_the_pair_gives_nothing() -> None:
    heartbeat = {"type": "heartbeat", "sequence": 90, "last_trade_id": 20, "product_id": "BTC-USD", "time": "x"}
    status = {"channel": "status", "type": "update", "data": [{"system": "online", "version": "2.0.0"}]}
    result = {"channel": "trade", "snapshot": True, "symbol": "MATIC/USD"}
    for venue, pair, said in (
        (COINBASE, BTC, heartbeat),
        (COINBASE, BTC, {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}]}),
        (COINBASE, BTC, {"type": "of a later year", "anything": [1]}),
        (COINBASE, BTC, {**MATCH, "product_id": "ETH-USD"}),
        (KRAKEN, MATIC, {"channel": "heartbeat"}),
        (KRAKEN, MATIC, status),
        (KRAKEN, MATIC, {"method": "subscribe", "result": result, "success": True, "time_in": "x"}),
        (KRAKEN, TradingPair("BTC", "BTC/USD"), KRAKEN_TRADES),
        (BINANCE, BNB, {"result": None, "id": 1}),
        (BINANCE, BNB, {**BINANCE_TRADE, "s": "BTCUSDT"}),
        (BINANCE, BNB, {**BINANCE_TRADE, "e": "aggTrade"}),
    ):
        assert frame(venue, said, pair) == []


@pytest.mark.parametrize(
    ("venue", "said"),
    [
        (COINBASE, {"type": "error", "message": "Failed to subscribe", "reason": "BTC-NIL is not a valid product"}),
        (KRAKEN, {"error": "Currency pair not supported BTC/NIL", "method": "subscribe", "success": False}),
        (BINANCE, {"code": 2, "msg": "Invalid request: too many parameters"}),
        (BINANCE, {"error": {"code": 2, "msg": "Invalid request"}, "id": 1}),
        (BINANCE, {"e": "serverShutdown", "E": 1770123456789}),
    ],
)
def test_a_refusal_is_an_error_of_its_own_kind(venue: Venue, said: Any) -> None:
    with pytest.raises(SpotError) as caught:
        frame(venue, said, BTC)
    assert caught.value.kind == "refused"
    assert str(caught.value).strip()


@pytest.mark.parametrize(
    "said",
    [
        {**MATCH, "price": "0"}, {**MATCH, "price": "-1"}, {**MATCH, "price": "NaN"}, {**MATCH, "price": "Infinity"},
        {**MATCH, "price": "1e999999"}, {**MATCH, "price": "1.00001"}, {**MATCH, "price": ""},
        {**MATCH, "price": 400.23}, {**MATCH, "price": "1." + "0" * 5_000 + "1"}, {**MATCH, "size": "-0.1"},
        {**MATCH, "time": "yesterday"}, {**MATCH, "time": "2014-11-07T08:19:27"},
        {**MATCH, "time": "0001-01-01T00:00Z"},
        [], 7, None, b"", b"\xff\xfe", b"[" * 100_000, b'{"type": "match"',
    ],
    ids=lambda said: str(said)[-40:],
)  # fmt: skip
def test_a_trade_that_says_nothing_sensible_is_junk(said: Any) -> None:
    with pytest.raises(SpotError) as caught:
        frame(COINBASE, said, BTC)
    assert caught.value.kind == "junk"


def test_seconds_or_microseconds_are_not_taken_for_milliseconds() -> None:
    for at in (1_672_515_782, 1_672_515_782_136_000):
        with pytest.raises(SpotError):
            frame(BINANCE, {**BINANCE_TRADE, "T": at}, BNB)


def test_what_they_answer_over_rest_is_the_same_trade() -> None:
    ticker = {"ask": "6267.71", "bid": "6265.15", "volume": "53602", "trade_id": 86326522, "price": "6268.48",
              "size": "0.00698254", "time": "2020-03-20T00:22:57.833Z"}  # fmt: skip
    assert COINBASE.read_answer(json.dumps(ticker).encode(), BTC) == [
        SpotPrice(parse_ts("2020-03-20T00:22:57.833Z"), "BTC", 62_684_800, "coinbase", 698_254)
    ]
    kraken = b"""{"error": [], "result": {"XXBTZUSD": [
      ["30243.40000", "0.34507674", 1688669597.8277369, "b", "m", "", 61044952],
      ["30243.30000", "0.00376960", 1688669598.2804112, "s", "l", "", 61044953]], "last": "1688671969993150842"}}"""
    found = KRAKEN.read_answer(kraken, BTC)
    assert [(one.price, one.size, one.ts) for one in found] == [
        (302_434_000, 34_507_674, 1_688_669_597_827),
        (302_433_000, 376_960, 1_688_669_598_280),
    ]
    binance = b"""[{"id": 28457, "price": "4.00000100", "qty": "12.00000000", "quoteQty": "48.000012",
      "time": 1499865549590, "isBuyerMaker": true, "isBestMatch": true}]"""
    with pytest.raises(SpotError, match="more than 4 decimals"):
        BINANCE.read_answer(binance, BNB)  # a price that is no dollar price is not rounded into one
    assert BINANCE.read_answer(binance.replace(b"4.00000100", b"4.00010000"), BNB) == [
        SpotPrice(Ts(1_499_865_549_590), "BNB", 40_001, "binance", 1_200_000_000)
    ]


def test_an_error_over_rest_is_a_refusal() -> None:
    with pytest.raises(SpotError) as caught:
        KRAKEN.read_answer(b'{"error": ["EQuery:Unknown asset pair"]}', BTC)
    assert (caught.value.kind, "Unknown asset pair" in str(caught.value)) == ("refused", True)


def test_every_venue_is_asked_for_a_pair_by_its_own_name_of_it() -> None:
    asked = {venue.name: (json.loads(venue.subscribe(pair)), venue.rest_path(pair)) for venue in VENUES
             for pair in [venue.pair_of("BTC")]}  # fmt: skip
    assert asked["coinbase"] == (
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches", "heartbeat"]},
        "/products/BTC-USD/ticker",
    )
    params = {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": False}
    assert asked["kraken"] == ({"method": "subscribe", "params": params}, "/0/public/Trades?pair=XBTUSD&count=100")
    assert asked["binance"] == asked["binance_us"]
    assert asked["binance"][0] == {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}
    assert KRAKEN.rest_path(KRAKEN.pair_of("ETH")).startswith("/0/public/Trades?pair=ETHUSD&")
    assert BINANCE.pair_of("BTC", "COINUSDC") == TradingPair("BTC", "BTCUSDC")


@given(st.integers(0, 10**12), st.integers(0, 8))
def test_a_decimal_becomes_an_integer_exactly_or_not_at_all(units: int, places: int) -> None:
    text = f"{Decimal(units).scaleb(-places):f}"
    if len(str(units)) - places > 12:
        return
    if units * 10**4 % 10**places:
        with pytest.raises(SpotError):
            parse_fixed(text, 4)
    else:
        assert parse_fixed(text, 4) == units * 10**4 // 10**places


SEEDS = [json.dumps(MATCH).encode(), KRAKEN_TRADES, json.dumps(BINANCE_TRADE).encode()]


@given(st.sampled_from(VENUES), st.sampled_from(SEEDS), st.integers(0, 400), st.binary(max_size=12))
@example(COINBASE, SEEDS[0], 0, b"\x00")
def test_no_bytes_whatever_raise_anything_but_the_one_error(venue: Venue, seed: bytes, at: int, noise: bytes) -> None:
    for raw in (noise, seed[:at], seed[:at] + noise + seed[at + len(noise) :]):
        for read in (venue.read_frame, venue.read_answer):
            try:
                found = read(raw, venue.pair_of("BTC"))
            except SpotError:
                continue
            assert all(price.price > 0 and price.size is not None and price.size >= 0 for price in found)
