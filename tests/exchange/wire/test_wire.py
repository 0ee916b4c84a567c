"""REST bodies: the documented ones, every recorded one, and anything else that could come."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.places import SHARED

from kalshi_cli.base.units import Money, Price, Qty, Ts, parse_ts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType, Market, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot, OrderAccepted, PublicTrade
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Balance, ExchangePosition, Settlement
from kalshi_cli.core.model.price_grid import PriceBand, PriceGrid
from kalshi_cli.exchange.wire import account as wire_account
from kalshi_cli.exchange.wire import events as wire_events
from kalshi_cli.exchange.wire import markets, status
from kalshi_cli.exchange.wire import markets as wire_markets
from kalshi_cli.exchange.wire import orders as wire_orders
from kalshi_cli.exchange.wire.replies import read_refusal
from kalshi_cli.exchange.wire.values import ResponseFormatError

NOW = Ts(1_781_159_360_000)
needs_recordings = pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded data is not beside the repository")

MARKET = {
    "ticker": "KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP",
    "event_ticker": "KXWTACHALLENGERMATCH-26JUN11JIMLEP",
    "title": "Will she win?",
    "yes_sub_title": "Varvara Lepchenko",
    "open_time": "2026-06-11T05:39:29Z",
    "close_time": "2026-06-25T16:00:00Z",
    "expected_expiration_time": "2026-06-11T19:00:00Z",
    "status": "active",
    "yes_bid_dollars": "0.4700",
    "yes_bid_size_fp": "3.00",
    "yes_ask_dollars": "0.5200",
    "yes_ask_size_fp": "3.00",
    "last_price_dollars": "0.9900",
    "volume_fp": "2.00",
    "volume_24h_fp": "1.00",
    "open_interest_fp": "2.00",
    "result": "",
    "can_close_early": True,
    "early_close_condition": "...",
    "strike_type": "structured",
    "rules_primary": "...",
    "rules_secondary": "...",
    "price_level_structure": "linear_cent",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    "exchange_index": 2,
}


def market(**changes: object) -> Market:
    return wire_markets.read_market(json.dumps({"market": {**MARKET, **changes}}).encode())


# -- markets ------------------------------------------------------------------------------------------------------


def test_a_market_is_read_with_its_grid_quotes_and_times():
    read = market()
    assert (read.yes_bid, read.yes_ask, read.last) == (4700, 5200, 9900)
    assert (read.yes_bid_size, read.volume, read.exchange_index) == (300, 200, 2)
    assert read.status is MarketStatus.ACTIVE
    assert read.grid == PriceGrid((PriceBand(Price(0), Price(10_000), Price(100)),))
    assert read.close_time == parse_ts("2026-06-25T16:00:00Z")
    assert read.subtitle == "Varvara Lepchenko"
    assert read.settlement_value is None


def test_an_empty_side_is_no_price_and_a_market_without_trades_has_no_last():
    read = market(yes_bid_dollars="0.0000", yes_ask_dollars="1.0000", last_price_dollars="0.0000")
    assert (read.yes_bid, read.yes_ask, read.last) == (None, None, None)


def test_a_negative_size_beside_a_quote_is_nothing_to_trade():
    assert market(yes_bid_size_fp="-3.00").yes_bid_size == 0


def test_a_settlement_at_nothing_is_not_a_missing_one():
    assert market(settlement_value_dollars="0.0000").settlement_value == 0
    assert market(settlement_value_dollars="1.0000").settlement_value == 10_000
    assert market(settlement_value_dollars=None).settlement_value is None


def test_what_the_exchange_adds_later_is_let_pass():
    read = market(status="hibernating", brand_new_field={"a": [1]}, price_level_structure="new_structure")
    assert read.status is MarketStatus.UNKNOWN


MONEY_FIELDS = [
    "yes_bid_dollars",
    "yes_ask_dollars",
    "yes_bid_size_fp",
    "yes_ask_size_fp",
    "last_price_dollars",
    "volume_fp",
    "open_interest_fp",
    "price_ranges",
    "close_time",
]


@pytest.mark.parametrize("name", MONEY_FIELDS)
def test_a_missing_field_of_money_or_time_is_an_error_that_names_it(name):
    body = {key: value for key, value in MARKET.items() if key != name}
    with pytest.raises(ResponseFormatError, match=rf"`{name}` - at `\$.market"):
        wire_markets.read_market(json.dumps({"market": body}).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("yes_bid_dollars", 47),
        ("yes_bid_dollars", "0.47001"),
        ("yes_bid_dollars", "1.5000"),
        ("yes_bid_dollars", "-0.1000"),
        ("yes_bid_dollars", "NaN"),
        ("yes_bid_dollars", None),
        ("volume_fp", "-1.00"),
        ("volume_fp", "1e9"),
        ("price_ranges", []),
        ("price_ranges", [{"start": "0.0000", "end": "1.0000", "step": "0.0000"}]),
        ("close_time", "2026-06-25T16:00:00"),
        ("close_time", 1781159360),
    ],
)
def test_an_impossible_value_is_an_error_never_a_guess(name, value):
    with pytest.raises(ResponseFormatError):
        market(**{name: value})


def test_an_unreadable_market_of_a_page_is_named():
    page = {"markets": [MARKET, {**MARKET, "ticker": "KXBAD", "volume_fp": "?"}]}
    with pytest.raises(ResponseFormatError, match="KXBAD"):
        wire_markets.read_markets(json.dumps(page).encode())
    with pytest.raises(ResponseFormatError, match="KXBAD"):
        wire_markets.read_listed_markets(json.dumps(page).encode())


def same_where_both_have_it(body: bytes) -> list[Market]:
    """Read a page both ways, compare what both have, and return the markets."""
    whole, listed = wire_markets.read_markets(body), wire_markets.read_listed_markets(body)
    assert [market.ticker for market in listed.items] == [market.ticker for market in whole.items]
    assert listed.cursor == whole.cursor
    for lean, market in zip(listed.items, whole.items, strict=True):
        for name in lean.__struct_fields__:
            assert getattr(lean, name) == getattr(market, name), name
        assert lean.full_title == market.full_title
    return whole.items


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"yes_bid_dollars": "0.0000", "yes_ask_dollars": "1.0000", "last_price_dollars": "0.0000"},
        {"status": "a new one", "volume_fp": "12.50", "close_time": "2026-06-25T16:00:00.123987+02:00"},
        {"yes_sub_title": "Above 3"},
    ],
)
def test_a_listed_market_has_the_values_of_the_whole_one(changes):
    same_where_both_have_it(json.dumps({"markets": [{**MARKET, **changes}], "cursor": "next"}).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("yes_bid_dollars", "1.0100"),
        ("last_price_dollars", "-0.1000"),
        ("volume_fp", "-1.00"),
        ("volume_24h_fp", None),
        ("close_time", "2026-06-25T16:00:00"),
        ("close_time", 1781159360),
    ],
)
def test_an_impossible_value_of_a_listed_market_is_an_error(name, value):
    page = {"markets": [{**MARKET, name: value}]}
    with pytest.raises(ResponseFormatError):
        wire_markets.read_listed_markets(json.dumps(page).encode())


# -- events, series, books, trades --------------------------------------------------------------------------------


def test_an_events_fee_override_is_read_and_its_absence_is_none():
    event = {"event_ticker": "E", "series_ticker": "S", "title": "t", "mutually_exclusive": True}
    plain = wire_events.read_event(json.dumps({"event": event, "markets": []}).encode())
    assert (plain.fee_type_override, plain.fee_multiplier_override) == (None, None)
    changed = wire_events.read_event(
        json.dumps({"event": {**event, "fee_type_override": "flat", "fee_multiplier_override": 0.5}}).encode()
    )
    assert (changed.fee_type_override, changed.fee_multiplier_override) == (FeeType.FLAT, 500)


def test_a_fee_type_of_tomorrow_is_unknown():
    series = {"ticker": "S", "fee_type": "cubic", "fee_multiplier": 1, "settlement_sources": None}
    assert wire_events.read_series(json.dumps({"series": series}).encode()).fees == FeeSchedule(FeeType.UNKNOWN, 1000)


def test_bids_for_no_become_offers_of_yes():
    body = (
        b'{"orderbook_fp":{"yes_dollars":[["0.0100","200.00"],["0.4200","13.00"]],"no_dollars":[["0.5600","17.00"]]}}'
    )
    assert markets.read_orderbook(body, "T", NOW) == BookSnapshot(
        NOW,
        "T",
        ((Price(100), Qty(20_000)), (Price(4200), Qty(1300))),
        ((Price(4400), Qty(1700)),),
    )


@pytest.mark.parametrize("side", ["[]", "null"])
def test_a_side_without_bids_is_empty(side):
    body = f'{{"orderbook_fp":{{"yes_dollars":{side}}}}}'.encode()
    assert markets.read_orderbook(body, "T", NOW) == BookSnapshot(NOW, "T", (), ())


def test_a_book_under_another_name_is_an_error_not_an_empty_book():
    with pytest.raises(ResponseFormatError, match="orderbook_fp"):
        markets.read_orderbook(b'{"orderbook":{"yes":[[1,2]]}}', "T", NOW)


def test_a_trade_knows_its_taker():
    body = {
        "trades": [
            {
                "trade_id": "5693",
                "ticker": "T",
                "count_fp": "7.77",
                "yes_price_dollars": "0.0300",
                "taker_outcome_side": "no",
                "taker_book_side": "ask",
                "created_time": "2026-06-15T15:48:42.609997Z",
            }
        ],
        "cursor": None,
    }
    page = markets.read_trades(json.dumps(body).encode())
    assert page.items == [PublicTrade(Ts(1781538522609), "T", "5693", Price(300), Qty(777), ASK)]
    assert page.cursor == ""


# -- the account --------------------------------------------------------------------------------------------------

ORDER = {
    "order_id": "2597b999",
    "client_order_id": "4a75",
    "ticker": "KX-LEP",
    "status": "resting",
    "outcome_side": "no",
    "book_side": "ask",
    "side": "yes",
    "action": "sell",
    "yes_price_dollars": "0.0100",
    "initial_count_fp": "5.00",
    "fill_count_fp": "1.00",
    "remaining_count_fp": "3.00",
    "taker_fill_cost_dollars": "0.990000",
    "maker_fill_cost_dollars": "0.000000",
    "taker_fees_dollars": "0.017500",
    "maker_fees_dollars": "0.000100",
    "created_time": "2026-06-11T06:29:20.866753Z",
    "last_update_time": "2026-06-11T06:29:24.1Z",
    "exchange_index": 2,
}


def order(**changes: object) -> Order:
    return wire_orders.read_order(json.dumps({"order": {**ORDER, **changes}}).encode())


def test_an_order_is_on_the_yes_scale_and_its_counts_add_up():
    read = order()
    assert (read.side, read.price, read.status) == (ASK, 100, OrderStatus.RESTING)
    assert (read.qty, read.filled, read.reduced, read.remaining) == (500, 100, 100, 300)
    assert (read.fees, read.fill_cost) == (17_600, 10_000)
    assert (read.created, read.updated) == (1781159360866, 1781159364100)
    assert read.exchange_index == 2


def test_a_canceled_order_has_nothing_left_and_keeps_what_filled():
    read = order(status="canceled", remaining_count_fp="0.00")
    assert (read.status, read.filled, read.reduced, read.remaining) == (OrderStatus.CANCELED, 100, 400, 0)


def test_an_order_status_of_tomorrow_counts_as_live():
    assert order(status="pondering").status.is_live


def test_an_order_whose_counts_do_not_add_up_is_not_believed():
    with pytest.raises(ResponseFormatError, match="exceed"):
        order(remaining_count_fp="4.50")


@pytest.mark.parametrize("name", [name for name in ORDER if name.endswith(("_dollars", "_fp"))])
def test_an_order_without_a_count_or_an_amount_is_an_error(name):
    with pytest.raises(ResponseFormatError, match=name):
        wire_orders.read_order(json.dumps({"order": {k: v for k, v in ORDER.items() if k != name}}).encode())


def test_an_order_without_a_direction_is_an_error():
    with pytest.raises(ResponseFormatError, match="direction"):
        order(book_side=None, outcome_side=None)
    assert order(book_side=None, outcome_side="yes").side is BID


def test_the_documented_bodies_of_the_account_are_read():
    fills = b"""{"fills":[{"fill_id":"f4a4","trade_id":"f4a4","order_id":"97ec","ticker":"KX","market_ticker":"KX",
      "exchange_index":0,"outcome_side":"yes","book_side":"bid","side":"yes","action":"buy","count_fp":"1.00",
      "yes_price_dollars":"0.5200","no_price_dollars":"0.4800","is_taker":true,"fee_cost":"0.017500",
      "created_time":"2026-06-11T06:29:30.164956Z","ts":1781159370,"subaccount_number":2}],"cursor":""}"""
    assert wire_orders.read_fills(fills).items == [
        Fill(
            trade_id="f4a4",
            order_id="97ec",
            ticker="KX",
            side=BID,
            price=Price(5200),
            qty=Qty(100),
            fee=Money(17_500),
            is_taker=True,
            ts=Ts(1781159370164),
            subaccount=2,
        )
    ]
    positions = b"""{"cursor":"","market_positions":[{"ticker":"KX","exchange_index":0,"position_fp":"-3.00",
      "total_traded_dollars":"2.500000","market_exposure_dollars":"2.500000","realized_pnl_dollars":"-0.100000",
      "fees_paid_dollars":"0.018900","last_updated_ts":"2026-06-11T06:29:30.165032Z"}],"event_positions":[]}"""
    assert wire_account.read_positions(positions).items == [
        ExchangePosition(
            ticker="KX",
            position=Qty(-300),
            exposure=Money(2_500_000),
            realized=Money(-100_000),
            fees=Money(18_900),
            traded=Money(2_500_000),
            updated=Ts(1781159370165),
        )
    ]
    balance = b"""{"balance":9801,"balance_dollars":"98.0186","portfolio_value":198,"updated_ts":1781159348,
      "balance_breakdown":[{"exchange_index":0,"balance":"90.0186"},{"exchange_index":2,"balance":"8.0000"}]}"""
    assert wire_account.read_balance(balance) == Balance(
        cash=Money(98_018_600),
        portfolio_value=Money(1_980_000),
        ts=Ts(1781159348000),
        shards={0: Money(90_018_600), 2: Money(8_000_000)},
    )


@pytest.mark.parametrize(
    ("result", "value", "payout"), [("yes", 100, 10_000), ("no", 0, 0), ("scalar", 37, 3700), ("yes", None, 10_000)]
)
def test_a_settlement_states_what_one_yes_contract_paid(result, value, payout):
    body = {
        "ticker": "KX",
        "event_ticker": "KE",
        "market_result": result,
        "yes_count_fp": "3.00",
        "no_count_fp": "0.00",
        "revenue": 300,
        "settled_time": "2026-06-25T16:05:00Z",
        "fee_cost": "0.018900",
        "value": value,
    }
    read = wire_account.read_settlements(json.dumps({"settlements": [body]}).encode()).items
    assert read == [
        Settlement(
            ticker="KX",
            event_ticker="KE",
            result=result,
            value=Price(payout),
            yes_qty=Qty(300),
            no_qty=Qty(0),
            revenue=Money(3_000_000),
            fee=Money(18_900),
            ts=Ts(1782403500000),
        )
    ]
    if result == "scalar":
        with pytest.raises(ResponseFormatError, match="without a value"):
            wire_account.read_settlements(json.dumps({"settlements": [{**body, "value": None}]}).encode())


def test_a_schedule_lists_the_announced_maintenance():
    body = {
        "schedule": {
            "standard_hours": [{"monday": [{"open_time": "08:00", "close_time": "03:00"}], "sunday": []}],
            "maintenance_windows": [{"start_datetime": "2026-11-26T08:00:00Z", "end_datetime": "2026-11-26T10:00:00Z"}],
        }
    }
    read = status.read_schedule(json.dumps(body).encode())
    assert read.weeks[0].monday[0].open_time == "08:00"
    assert read.maintenance == ((parse_ts("2026-11-26T08:00:00Z"), parse_ts("2026-11-26T10:00:00Z")),)


@pytest.mark.parametrize("body", ['{"usage_tier":"x","read":{"refill_rate":0,"bucket_capacity":1}}', "{}"])
def test_limits_of_nothing_are_not_limits(body):
    with pytest.raises(ResponseFormatError):
        wire_account.read_limits(body.encode())


# -- recordings ---------------------------------------------------------------------------------------------------

Reader = Callable[[bytes], object]

BY_CASE: dict[str, Reader] = {
    "account__endpoint_costs": wire_account.read_costs,
    "account__limits": wire_account.read_limits,
    "auth__balance": wire_account.read_balance,
    "exchange__status": status.read_status,
    "fills__": wire_orders.read_fills,
    "markets__single_filter": wire_markets.read_markets,
    "markets__single": wire_markets.read_market,
    "markets__unauth_single": wire_markets.read_market,
    "markets__": wire_markets.read_markets,
    "orderbook__base": lambda body: markets.read_orderbook(body, "T", NOW),
    "orders__get_after": wire_orders.read_order,
    "orders__stp_resting_after": wire_orders.read_order,
    "orders__legacy": wire_orders.read_order,
    "portfolio__orders_list": wire_orders.read_orders,
    "portfolio__positions": wire_account.read_positions,
    "settlements__": wire_account.read_settlements,
    "trades__": markets.read_trades,
}


def demo_cases() -> Iterator[tuple[str, str, bytes]]:
    with gzip.open(SHARED / "data/rest/demo-rest-20260611.jsonl.gz", "rt") as lines:
        for line in lines:
            case = json.loads(line)
            yield case["case"], str((case["meta"] or {}).get("status", "")), case["body_text"].encode()


@needs_recordings
def test_every_recorded_body_of_the_demo_exchange_is_read():
    read, refused = 0, 0
    for case, _, body in demo_cases():
        reader = next((BY_CASE[start] for start in BY_CASE if case.startswith(start)), None)
        if b'"error"' in body[:12] or b'"msg"' in body[:8] or b'"code"' in body[:9]:
            refusal = read_refusal(body)
            assert refusal.code or refusal.message, case
            refused += 1
        elif case.startswith(("orders__create", "orders__settlement_seed", "orders__stp_s")):
            client_order_id = json.loads(body)["client_order_id"]
            assert isinstance(wire_orders.read_created(body, client_order_id), OrderAccepted), case
            read += 1
        elif reader is not None:
            reader(body)
            read += 1
    assert refused >= 14
    assert read >= 30


@needs_recordings
def test_every_recorded_body_of_the_production_exchange_is_read():
    folder = SHARED / "data/rest"

    def load(name: str) -> Any:
        raw = (folder / name).read_bytes()
        return json.loads(gzip.decompress(raw) if name.endswith(".gz") else raw)

    def dump(value: object) -> bytes:
        return json.dumps(value).encode()

    hourly = wire_markets.read_markets(
        dump({"markets": list(load("prod-20260710-markets-kxbtc-hourly.json.gz").values())})
    )
    assert len(hourly.items) == 188
    listed = dump({"markets": list(load("prod-20260710-markets-kxbtc-hourly.json.gz").values())})
    assert same_where_both_have_it(listed) == hourly.items
    assert any(each.yes_bid is None for each in hourly.items)
    settled = wire_markets.read_markets(dump({"markets": load("prod-202608-markets-settled.json.gz")["markets"]}))
    assert {each.result for each in settled.items} == {"yes", "no", ""}
    assert all(each.settlement_value in (0, 10_000) for each in settled.items if each.result)
    single = load("prod-202608-market-single.json")
    assert wire_markets.read_market(dump(single["single"])).ticker == single["ticker"]
    assert markets.read_orderbook(dump(single["orderbook"]), "T", NOW).bids
    assert len(markets.read_orderbooks(dump({"orderbooks": load("prod-202608-combo-orderbooks.json")}), NOW)) > 10
    assert len(wire_orders.read_fills(dump(load("prod-202608-fills.json"))).items) == 17
    assert len(wire_account.read_settlements(dump(load("prod-202608-settlements.json"))).items) == 11
    fees = {
        ticker: wire_events.read_series(dump(payload)).fees
        for ticker, payload in load("prod-202608-series-fee-fields.json.gz")["payloads"].items()
    }
    assert fees["KXMLBGAME"] == FeeSchedule(FeeType.WITH_MAKER, 500)


@needs_recordings
def test_the_integer_cents_of_january_2026_fail_loudly_instead_of_being_misread():
    with gzip.open(SHARED / "data/rest/prod-cents-202601.jsonl.gz", "rt") as lines:
        cases = {case["case"]: case["response"] for case in map(json.loads, lines)}
    readers = {
        "order": (wire_orders.read_order, lambda r: isinstance(r.get("order"), dict)),
        "fills": (wire_orders.read_fills, lambda r: r.get("fills")),
        "markets": (wire_markets.read_markets, lambda r: r.get("markets")),
        "listed": (wire_markets.read_listed_markets, lambda r: r.get("markets")),
        "market": (wire_markets.read_market, lambda r: isinstance(r.get("market"), dict)),
    }
    failed = 0
    for response in cases.values():
        for reader, applies in readers.values():
            if isinstance(response, dict) and applies(response):
                with pytest.raises(ResponseFormatError, match="missing required field"):
                    reader(json.dumps(response).encode())
                failed += 1
    assert failed >= 5


# -- anything at all ----------------------------------------------------------------------------------------------

READERS: list[Reader] = [
    wire_markets.read_market,
    wire_markets.read_markets,
    wire_markets.read_listed_markets,
    wire_events.read_event,
    wire_events.read_series,
    lambda body: markets.read_orderbook(body, "T", NOW),
    lambda body: markets.read_orderbooks(body, NOW),
    markets.read_trades,
    status.read_status,
    status.read_schedule,
    status.read_user_data_timestamp,
    wire_orders.read_order,
    wire_orders.read_orders,
    wire_orders.read_fills,
    wire_account.read_positions,
    wire_account.read_balance,
    wire_account.read_settlements,
    wire_account.read_limits,
    wire_account.read_costs,
    lambda body: wire_orders.read_created(body, "c"),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MARKET, *ORDER, "order"]), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_value_or_one_typed_error(body):
    for reader in READERS:
        with suppress(ResponseFormatError):
            reader(body)
    read_refusal(body)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(MARKET)), JSON)
def test_any_value_in_any_field_of_a_market_gives_a_market_or_a_typed_error(name, value):
    try:
        read = market(**{name: value})
    except ResponseFormatError:
        return
    assert read.volume >= 0


def test_the_fuzz_reaches_both_outcomes():
    assert market(title="").title == ""
    with pytest.raises(ResponseFormatError):
        market(title=None)


def test_deep_nesting_does_not_overflow():
    for reader in READERS:
        with pytest.raises(ResponseFormatError):
            reader(b"[" * 200_000)
    assert read_refusal(b"[" * 200_000).code == ""


@pytest.mark.parametrize(
    ("body", "code", "message", "details"),
    [
        (b'{"error":{"code":"X_y","message":"m","details":"d","service":"exchange"}}', "x_y", "m", "d"),
        (b'{"code":"bad_request","message":"bad request"}', "bad_request", "bad request", ""),
        (b'{"msg":"Parameter validation failed"}', "", "Parameter validation failed", ""),
        (b'{"error":"too many requests"}', "too_many_requests", "too many requests", ""),
        (b'{"error":"no"}', "", "no", ""),
        (b"<html>502</html>", "", "<html>502</html>", ""),
        (b"", "", "", ""),
        (b"[1]", "", "", ""),
        (b'{"error":{"code":7,"message":null}}', "", "", ""),
    ],
)
def test_all_shapes_of_a_refusal_are_read(body, code, message, details):
    assert tuple(read_refusal(body)) == (code, message, details)
