"""The simulated exchange beside recordings of the real one: fields of fills, closes, timestamps, buckets."""

from __future__ import annotations

import functools
import gzip
import json
import statistics
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
from support.exchange import (
    ED_KEY,
    KEYS,
    ORDERS,
    T0,
    TICKER,
    Caller,
    make_exchange,
    make_market,
    new_ids,
    public_pem,
    quote,
)
from support.places import SHARED

from kalshi_cli.base.units import Price, Ts, dollars, parse_ts
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.protocol.replies import Request
from kalshi_cli.simulator.world.world import MarketSimulation

DATA = SHARED / "data"
TAPES = DATA / "tapes"
needs_recordings = pytest.mark.skipif(not DATA.is_dir(), reason="no recordings beside the repository (shared/data)")

# -- fills --


@pytest.mark.parametrize("asks_read_as", ["sell_yes", "buy_no"])
def test_a_fill_says_buy_where_it_opens_and_sell_where_it_closes(asks_read_as: str) -> None:
    alice = Caller(make_exchange())
    stream = alice.connect()
    stream.send("subscribe", channels=["fill"])
    quote(alice.exchange, ASK, "0.50", "1")
    alice.place("bid", "0.50", "1")  # opens YES
    quote(alice.exchange, BID, "0.49", "2")
    alice.place("ask", "0.49", "1")  # closes YES
    alice.place("ask", "0.49", "1")  # opens NO
    quote(alice.exchange, ASK, "0.51", "1")
    alice.place("bid", "0.51", "1")  # closes NO
    expected = [("buy", "yes", "bid"), ("sell", "no", "ask"), ("buy", "no", "ask"), ("sell", "yes", "bid")]
    told = [frame["msg"] for frame in stream.frames()]
    read = list(reversed(alice.get("/portfolio/fills")["fills"]))
    for fills in (told, read):
        assert [(fill["action"], fill["side"], fill["book_side"]) for fill in fills] == expected
        assert all(fill["side"] == fill["outcome_side"] for fill in fills)


def test_a_fill_that_turns_a_position_around_says_buy() -> None:
    alice = Caller(make_exchange())
    quote(alice.exchange, ASK, "0.50", "1")
    alice.place("bid", "0.50", "1")
    quote(alice.exchange, BID, "0.49", "3")
    alice.place("ask", "0.49", "3")
    newest = alice.get("/portfolio/fills")["fills"][0]
    assert (newest["action"], newest["side"], newest["count_fp"]) == ("buy", "no", "3.00")


def recorded_fills() -> Iterator[dict[str, Any]]:
    """Every fill of the recordings of May, June, July and August 2026."""
    yield from json.loads((DATA / "rest" / "prod-202605-fills.json").read_text())
    yield from fills_in(json.loads((DATA / "rest" / "prod-202608-fills.json").read_text()))
    for line in (DATA / "rest" / "demo-rfq-20260706-accept-yes.jsonl").read_text().splitlines():
        yield from fills_in(json.loads(line))
    with gzip.open(DATA / "rest" / "demo-rest-20260611.jsonl.gz", "rt") as lines:
        for line in lines:
            body = json.loads(line)["body_text"]
            yield from fills_in(json.loads(body) if body.startswith("{") else None)


def fills_in(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict) and {"trade_id", "action", "side"} <= set(found):
        yield found
    elif isinstance(found, dict | list):
        for inner in found.values() if isinstance(found, dict) else found:
            yield from fills_in(inner)


@needs_recordings
def test_the_recorded_fills_read_as_ours_do() -> None:
    fills = list(recorded_fills())
    assert len(fills) >= 70
    for fill in fills:
        if "outcome_side" in fill:
            assert fill["side"] == fill["outcome_side"]
    held: dict[str, int] = {}
    closes = 0
    for fill in json.loads((DATA / "rest" / "prod-202605-fills.json").read_text()):
        sign = 1 if fill["side"] == "yes" else -1
        before = held.get(fill["ticker"], 0)
        count = round(float(fill["count_fp"]) * 100)
        if fill["action"] == "sell":
            assert before * sign <= 0, fill  # a sale goes against what is held, as far as that was recorded
            closes += before != 0
        held[fill["ticker"]] = before + sign * count
    assert closes >= 15


# -- buckets --


@pytest.mark.parametrize(
    ("tier", "rates", "capacities"),
    [
        ("basic", (200, 100), (400, 100)),
        ("advanced", (300, 300), (600, 600)),
        ("expert", (600, 600), (600, 1_200)),
    ],
)
def test_read_buckets_hold_two_seconds_up_to_advanced(
    tier: Literal["basic", "advanced", "expert"], rates: tuple[int, int], capacities: tuple[int, int]
) -> None:
    """Basic as recorded in July, all of them as documented in August 2026."""
    options = ExchangeOptions(usage_tier=tier, read_rate=rates[0], write_rate=rates[1])
    alice = Caller(make_exchange(options))
    limits = alice.get("/account/limits")
    assert [limits[name]["bucket_capacity"] for name in ("read", "write")] == list(capacities)
    alice.now = Ts(T0 + 10_000)
    allowed = [alice("GET", "/portfolio/balance")[0] for _ in range(capacities[0] // 10 + 1)]
    assert allowed == [200] * (capacities[0] // 10) + [429]


@needs_recordings
def test_the_recorded_bucket_of_june_is_a_switch() -> None:
    with gzip.open(DATA / "rest" / "demo-rest-20260611.jsonl.gz", "rt") as lines:
        bodies = [json.loads(line) for line in lines]
    recorded = json.loads(next(body["body_text"] for body in bodies if body["case"] == "account__limits"))
    alice = Caller(make_exchange(ExchangeOptions(read_capacity=recorded["read"]["bucket_capacity"])))
    assert alice.get("/account/limits") == recorded


# -- fields of markets and events --


def a_world(start: Ts = T0) -> tuple[SimulatedExchange, MarketSimulation]:
    ids = new_ids()
    exchange = SimulatedExchange(new_id=lambda: next(ids), options=ExchangeOptions(read_rate=0, write_rate=0))
    world = MarketSimulation(exchange, seed=1, start=start)
    world.ensure_open(start)
    return exchange, world


@functools.cache
def listed() -> SimulatedExchange:
    """The exchange of a world, for reads alone."""
    return a_world()[0]


def public(exchange: SimulatedExchange, path: str, now: Ts) -> Any:
    query = {name: [value] for name, value in parse_qsl(urlsplit(path).query)}
    request = Request("GET", f"/trade-api/v2{urlsplit(path).path}", query)
    return json.loads(exchange.handle(request, now).body)


def test_markets_and_events_have_the_fields_of_the_recorded_ones() -> None:
    exchange = listed()
    markets = public(exchange, "/markets?limit=1000", T0)["markets"]
    assert len(markets) > 40
    for market in markets:
        assert market["created_time"] < market["open_time"] < market["close_time"]
        assert market["occurrence_datetime"] == market["expected_expiration_time"], "as all recorded ones"
        has_number = "floor_strike" in market or "cap_strike" in market
        assert ("custom_strike" in market) is not has_number
        assert (market["strike_type"] in ("structured", "custom")) is not has_number
    targets = {one["id"] for one in public(exchange, "/structured_targets", T0)["structured_targets"]}
    teams = [market["custom_strike"] for market in markets if market["strike_type"] == "structured"]
    assert teams
    assert all(set(strike.values()) <= targets for strike in teams)
    events = public(exchange, "/events", T0)["events"]
    assert all(event["strike_period"] == "" for event in events), "as recorded where there is a strike date"


def test_a_combo_names_its_legs_as_its_custom_strike() -> None:
    exchange, _ = a_world()
    [collection, *_] = public(exchange, "/multivariate_event_collections", T0)["multivariate_contracts"]
    exchange.add_account("alice", dollars(100))
    exchange.register_key("alice", KEYS["alice"][0], public_pem(ED_KEY))
    events = collection["associated_events"][:2]
    legs = []
    for event in events:
        market = public(exchange, f"/events/{event['ticker']}", T0)["markets"][0]["ticker"]
        legs.append({"event_ticker": event["ticker"], "market_ticker": market, "side": "yes"})
    alice = Caller(exchange)
    status, made = alice(
        "POST", f"/multivariate_event_collections/{collection['collection_ticker']}", {"selected_markets": legs}
    )
    assert status == 200, made
    strike = alice.get(f"/markets/{made['market_ticker']}")["market"]["custom_strike"]
    assert strike["Associated Markets"] == ",".join(leg["market_ticker"] for leg in legs)
    assert strike["Associated Market Sides"] == "yes,yes"
    assert strike["Multivariate Event Ticker"] == made["event_ticker"]


# -- the close --


@pytest.mark.parametrize("is_decided", [False, True])
def test_orders_linger_six_to_eight_seconds_in_a_closed_market(is_decided: bool) -> None:
    alice = Caller(make_exchange())
    exchange = alice.exchange
    stream = alice.connect()
    stream.send("subscribe", channels=["orderbook_delta"], market_tickers=[TICKER])
    _, made = alice.place("bid", "0.40", "5")
    alice.now = close = Ts(T0 + 60_000)
    exchange.set_close_time(TICKER, close, close)
    if is_decided:
        exchange.settle(TICKER, Price(0), close)
    stream.frames()
    for after in range(0, 6_000, 500):
        alice.now = Ts(close + after)
        exchange.advance(alice.now)
        for answer in (alice("DELETE", f"{ORDERS}/{made['order_id']}"), alice.place("bid", "0.30", "1")):
            assert (answer[0], answer[1]["error"]["code"]) == (400, "market_inactive")
        assert alice.get(f"/portfolio/orders/{made['order_id']}")["order"]["status"] == "resting"
    assert stream.frames() == []
    alice.now = Ts(close + 8_000)
    exchange.advance(alice.now)
    [cleared] = stream.frames()
    assert cleared["type"] == "orderbook_snapshot"
    assert not {"yes_dollars_fp", "no_dollars_fp"} & set(cleared["msg"])
    order = alice.get(f"/portfolio/orders/{made['order_id']}")["order"]
    left = parse_ts(order["last_update_time"]) - close
    assert (order["status"], 6_000 <= left <= 8_000) == ("canceled", True)


def test_a_payout_does_not_wait_for_lingering_orders() -> None:
    alice = Caller(make_exchange())
    alice.exchange.list_market(make_market("KXSIM-26JUN-QUICK", settlement_timer_s=2), T0)
    _, made = alice.place("bid", "0.40", "5", ticker="KXSIM-26JUN-QUICK")
    alice.exchange.settle("KXSIM-26JUN-QUICK", Price(0), T0)
    alice.now = Ts(T0 + 2_000)
    assert alice.get("/markets/KXSIM-26JUN-QUICK")["market"]["status"] == "finalized"
    assert alice.get(f"/portfolio/orders/{made['order_id']}")["order"]["status"] == "canceled"
    assert alice.exchange.cash("alice") == dollars(1_000)


def test_a_market_of_two_minutes_is_not_paid_before_its_book_is_empty() -> None:
    markets = public(listed(), "/markets?series_ticker=KXQUICKSETTLE", T0)["markets"]
    assert markets
    assert all(market["settlement_timer_seconds"] > 8 for market in markets)


@needs_recordings
def test_recorded_books_are_emptied_some_seconds_after_the_close() -> None:
    closes = {one["ticker"]: parse_ts(one["close_time"]) for one in json.loads((TAPES / "results.json").read_text())}
    waits = []
    for tape in sorted(TAPES.glob("*.jsonl.gz"))[:6]:
        offsets: list[float] = []
        for number, line in enumerate(gzip.decompress(tape.read_bytes()).decode().splitlines()):
            # One change in ten is enough for the median of the delays.
            if ('"orderbook_delta"' not in line or number % 10) and '"orderbook_snapshot"' not in line:
                continue
            recorded = json.loads(line)
            frame, at = recorded["frame"], recorded["recv_ns"] / 1e6
            if frame["type"] == "orderbook_delta" and "ts_ms" in frame["msg"]:
                offsets.append(at - frame["msg"]["ts_ms"])
            elif frame["type"] == "orderbook_snapshot" and not any("dollars_fp" in key for key in frame["msg"]):
                waits.append(at - statistics.median(offsets) - closes[frame["msg"]["market_ticker"]])
    assert len(waits) >= 2
    assert all(5_500 <= wait <= 8_500 for wait in waits), waits


# -- times of events --


class Spread(NamedTuple):
    """How the times of book changes lie: their milliseconds within a quarter second, and their microseconds."""

    quarters: int
    largest_share: float
    has_micros: float


def spread_of(stamps: list[str]) -> Spread:
    micros = [datetime.fromisoformat(stamp.replace("Z", "+00:00")).microsecond for stamp in stamps]
    quarters = Counter(one // 1_000 % 250 for one in micros)
    return Spread(
        len(quarters), max(quarters.values()) / len(micros), sum(one % 1_000 != 0 for one in micros) / len(micros)
    )


@functools.cache
def changes_of_ten_seconds(looks_ms: int) -> list[dict[str, Any]]:
    """The book changes that a stream hears in ten seconds of the world, which is moved on every `looks_ms`."""
    exchange, world = a_world()
    exchange.add_account("alice", dollars(100))
    exchange.register_key("alice", KEYS["alice"][0], public_pem(ED_KEY))
    stream = Caller(exchange).connect()
    stream.send("subscribe", channels=["orderbook_delta"], market_tickers=exchange.tickers())
    found = []
    for after in range(looks_ms, 10_001, looks_ms):
        world.advance(Ts(T0 + after))
        found += [frame["msg"] for frame in stream.frames() if frame["type"] == "orderbook_delta"]
    return found


def test_book_changes_are_spread_over_the_microseconds() -> None:
    changes = changes_of_ten_seconds(100)
    stamps = [change["ts"] for change in changes]
    spread = spread_of(stamps)
    assert len(stamps) > 1_000
    assert spread.quarters > 150
    assert spread.largest_share < 0.1
    assert spread.has_micros > 0.95
    assert [change["ts_ms"] for change in changes] == sorted(change["ts_ms"] for change in changes)
    assert all(parse_ts(change["ts"]) == change["ts_ms"] for change in changes), "its millisecond floor, as recorded"


def test_the_same_seed_and_clock_give_the_same_times_for_any_number_of_reads() -> None:
    one, other = changes_of_ten_seconds(100), changes_of_ten_seconds(2_500)
    names = ("market_ticker", "ts", "price_dollars", "delta_fp")
    assert [[change[name] for name in names] for change in one] == [
        [change[name] for name in names] for change in other
    ]


@needs_recordings
def test_recorded_book_changes_are_spread_like_ours() -> None:
    tape = sorted(TAPES.glob("*.jsonl.gz"))[0]
    lines = gzip.decompress(tape.read_bytes()).decode().splitlines()
    stamps = [json.loads(line)["frame"]["msg"].get("ts") for line in lines if '"orderbook_delta"' in line]
    spread = spread_of([stamp for stamp in stamps if stamp])
    assert spread.quarters > 150
    assert spread.largest_share < 0.1
    assert spread.has_micros > 0.95
