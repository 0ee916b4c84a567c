from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.places import SHARED

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    Filled,
    OrderState,
    PublicTrade,
    Quote,
    ReferencePrice,
)
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.exchange.stream.frames import (
    DeltaFrame,
    ErrorFrame,
    FrameError,
    MarketLifecycleEvent,
    OkFrame,
    OtherFrame,
    SubscribedFrame,
    decode_frame,
    to_message,
)
from kalshi_cli.exchange.wire import values

RECV = Ts(1_781_159_490_000)
needs_recordings = pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded data is not beside the repository")

DELTA = {
    "market_ticker": "KX-LEP",
    "market_id": "f5ed38e2",
    "price_dollars": "0.4700",
    "delta_fp": "-3.00",
    "side": "yes",
    "ts": "2026-06-11T06:31:29.957081Z",
    "ts_ms": 1781159489957,
}


def frame(kind: str, body: object, **envelope: object) -> bytes:
    return json.dumps({"type": kind, "sid": 1, "seq": 2, "msg": body, **envelope}).encode()


def message(kind: str, body: object, *, use_yes_price: bool = True) -> object:
    decoded = decode_frame(frame(kind, body))
    assert decoded is not None
    return to_message(decoded, recv_ts=RECV, use_yes_price=use_yes_price)


def test_a_delta_changes_one_level_of_the_yes_book():
    assert message("orderbook_delta", DELTA) == BookDelta(Ts(1781159489957), "KX-LEP", BID, Price(4700), Qty(-300))


@pytest.mark.parametrize(("use_yes_price", "sent"), [(True, "0.5200"), (False, "0.4800")])
def test_a_no_bid_is_a_yes_offer_under_both_price_conventions(use_yes_price, sent):
    no = {**DELTA, "side": "no", "price_dollars": sent}
    assert message("orderbook_delta", no, use_yes_price=use_yes_price) == BookDelta(
        Ts(1781159489957), "KX-LEP", ASK, Price(5200), Qty(-300)
    )
    book = {"market_ticker": "KX-LEP", "no_dollars_fp": [[sent, "2.00"]]}
    assert message("orderbook_snapshot", book, use_yes_price=use_yes_price) == BookSnapshot(
        RECV, "KX-LEP", (), ((Price(5200), Qty(200)),)
    )


def test_a_snapshot_without_sides_empties_the_book():
    assert message("orderbook_snapshot", {"market_ticker": "T"}) == BookSnapshot(RECV, "T", (), ())


def test_a_quote_knows_its_empty_sides():
    body = {
        "market_ticker": "T",
        "price_dollars": "0.0000",
        "yes_bid_dollars": "0.0000",
        "yes_ask_dollars": "1.0000",
        "yes_bid_size_fp": "0.00",
        "yes_ask_size_fp": "0.00",
        "volume_fp": "33896.00",
        "ts_ms": 1669149841000,
    }
    assert message("ticker", body) == Quote(Ts(1669149841000), "T", None, Qty(0), None, Qty(0), None, Qty(3_389_600))


def test_a_trade_and_its_taker():
    body = {
        "trade_id": "d91b",
        "market_ticker": "T",
        "yes_price_dollars": "0.3600",
        "count_fp": "136.00",
        "taker_book_side": "ask",
        "ts_ms": 5,
    }
    assert message("trade", body) == PublicTrade(Ts(5), "T", "d91b", Price(3600), Qty(13_600), ASK)


def test_a_fill_carries_the_fee_and_our_id():
    body = {
        "trade_id": "d91b",
        "order_id": "ee58",
        "client_order_id": "mine",
        "market_ticker": "T",
        "is_taker": True,
        "book_side": "bid",
        "yes_price_dollars": "0.7500",
        "count_fp": "278.00",
        "fee_cost": "0.010000",
        "ts_ms": 1671899397000,
    }
    filled = message("fill", body)
    assert isinstance(filled, Filled)
    assert (filled.ts, filled.fill.client_order_id, filled.fill.fee) == (1671899397000, "mine", 10_000)
    with pytest.raises(FrameError, match="fee_cost"):
        message("fill", {key: value for key, value in body.items() if key != "fee_cost"})


USER_ORDER = {
    "order_id": "ee58",
    "ticker": "T",
    "status": "resting",
    "book_side": "bid",
    "yes_price_dollars": "0.3500",
    "initial_count_fp": "10.00",
    "fill_count_fp": "4.00",
    "remaining_count_fp": "5.00",
    "taker_fill_cost_dollars": "1.400000",
    "maker_fill_cost_dollars": "0.000000",
    "taker_fees_dollars": "0.010000",
    "maker_fees_dollars": "0.002000",
    "client_order_id": "mine",
    "created_ts_ms": 1733047200000,
    "last_updated_ts_ms": 1733047201000,
    "expiration_ts_ms": 1733050800000,
    "exchange_index": 2,
}


def test_an_order_is_stated_whole():
    state = message("user_order", USER_ORDER)
    assert isinstance(state, OrderState)
    order = state.order
    assert (state.ts, order.status, order.remaining, order.reduced) == (1733047201000, OrderStatus.RESTING, 500, 100)
    assert (order.fees, order.fill_cost, order.expires) == (12_000, 1_400_000, 1733050800000)


@pytest.mark.parametrize(
    ("status", "why", "expected"),
    [
        ("canceled", "ExpiryCancel", OrderStatus.EXPIRED),
        ("canceled", "HaltCancel", OrderStatus.CANCELED),
        ("canceled", None, OrderStatus.CANCELED),
        ("executed", "Trade", OrderStatus.FILLED),
        ("unknown", None, OrderStatus.UNKNOWN),
        ("pondering", "NewReason", OrderStatus.UNKNOWN),
    ],
)
def test_an_order_says_why_it_ended(status, why, expected):
    body = {**USER_ORDER, "status": status, "last_update_reason": why}
    state = message("user_order", body)
    assert isinstance(state, OrderState)
    assert (state.order.status, state.order.code) == (expected, why or "")


def test_a_reference_price_is_read_out_of_the_providers_own_json():
    data = '{"type":"value","id":"BRTI","time":1710000000100,"value":"68000.12349"}'
    body = {"index_id": "BRTI", "received_at": 1710000000123, "data": data}
    assert message("cfbenchmarks_value", body) == ReferencePrice(Ts(1710000000100), "BRTI", 680_001_234)
    with pytest.raises(FrameError):
        message("cfbenchmarks_value", {**body, "data": "no json"})


def test_a_lifecycle_tells_what_changed():
    changed = {"event_type": "close_date_updated", "market_ticker": "T", "close_ts": 1694721600}
    assert message("market_lifecycle_v2", changed) == MarketLifecycleEvent(
        ts=RECV, ticker="T", kind="close_date_updated", close_time=Ts(1694721600000)
    )
    settled = {"event_type": "determined", "market_ticker": "T", "result": "yes", "settlement_value": "1.0000"}
    told = message("market_lifecycle_v2", settled)
    assert isinstance(told, MarketLifecycleEvent)
    assert (told.result, told.settlement_value) == ("yes", 10_000)
    grid = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    made = {
        "event_type": "created",
        "market_ticker": "T",
        "price_ranges": grid,
        "additional_metadata": {"event_ticker": "E"},
    }
    told = message("market_lifecycle_v2", made)
    assert isinstance(told, MarketLifecycleEvent)
    assert told.event_ticker == "E"
    assert told.grid is not None
    assert told.grid.is_valid(Price(4710))
    event = message("event_lifecycle", {"event_ticker": "E", "title": "t"})
    assert event == MarketLifecycleEvent(ts=RECV, ticker="", kind="event_created", event_ticker="E")


def test_replies_carry_their_envelope_and_say_nothing_to_the_core():
    subscribed = decode_frame(b'{"type":"subscribed","id":1,"msg":{"channel":"ticker","sid":2}}')
    assert isinstance(subscribed, SubscribedFrame)
    assert (subscribed.type, subscribed.id, subscribed.msg.channel, subscribed.msg.sid) == (
        "subscribed",
        1,
        "ticker",
        2,
    )
    ok = decode_frame(b'{"type":"ok","id":2,"sid":1,"seq":222,"msg":{"market_tickers":["A","B"]}}')
    assert isinstance(ok, OkFrame)
    assert (ok.sid, ok.seq) == (1, 222)
    listed = decode_frame(b'{"type":"ok","id":6,"msg":[{"channel":"orderbook_delta","sid":1}]}')
    assert isinstance(listed, OkFrame)
    assert isinstance(listed.msg, list)
    gone = decode_frame(b'{"type":"unsubscribed","id":5,"sid":2,"seq":7,"sending_ts_ms":1}')
    assert gone is not None
    assert to_message(gone, recv_ts=RECV) is None


@pytest.mark.parametrize(("code", "is_terminal"), [(7, False), (10, True), (25, True), (99, False)])
def test_an_error_is_terminal_or_not(code, is_terminal):
    error = decode_frame(frame("error", {"code": code, "msg": "text"}))
    assert isinstance(error, ErrorFrame)
    assert error.is_terminal is is_terminal


def test_a_type_of_tomorrow_still_counts_in_the_sequence():
    other = decode_frame(frame("brand_new", {"a": 1}))
    assert other == OtherFrame("brand_new", sid=1, seq=2)
    assert to_message(other, recv_ts=RECV) is None


@pytest.mark.parametrize("raw", [b"", b"\n", " \r\n"])
def test_blank_lines_are_nothing(raw):
    assert decode_frame(raw) is None


BROKEN = {
    "not json": b"{",
    "not an object": b"[1]",
    "no type": b'{"sid":1}',
    "a number for a type": b'{"type":3}',
    "invalid utf-8": b'{"type":"orderbook_delta","msg":"\xff\xfe"}',
    "no body": b'{"type":"orderbook_delta","sid":1,"seq":1}',
    "no price": frame("orderbook_delta", {k: v for k, v in DELTA.items() if k != "price_dollars"}),
    "no count": frame("orderbook_delta", {k: v for k, v in DELTA.items() if k != "delta_fp"}),
    "a number for a price": frame("orderbook_delta", {**DELTA, "price_dollars": 0.47}),
    "a side of tomorrow": frame("orderbook_delta", {**DELTA, "side": "maybe"}),
    "a price of a dollar": frame("orderbook_delta", {**DELTA, "price_dollars": "1.0000"}),
    "a price of nothing": frame("orderbook_delta", {**DELTA, "price_dollars": "0.0000"}),
    "a negative price": frame("orderbook_delta", {**DELTA, "price_dollars": "-0.4700"}),
    "an exponent": frame("orderbook_delta", {**DELTA, "delta_fp": "1e5"}),
    "underscores": frame("orderbook_delta", {**DELTA, "delta_fp": "1_0.00"}),
    "other digits": frame("orderbook_delta", {**DELTA, "delta_fp": "٣.00"}),
    "a negative level": frame("orderbook_snapshot", {"market_ticker": "T", "yes_dollars_fp": [["0.4700", "-1.00"]]}),
    "half a level": frame("orderbook_snapshot", {"market_ticker": "T", "yes_dollars_fp": [["0.4700"]]}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_corrupt_frame_is_one_typed_error(what):
    def read() -> None:
        decoded = decode_frame(BROKEN[what])
        assert decoded is not None
        to_message(decoded, recv_ts=RECV)

    with pytest.raises(FrameError):
        read()


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.fixed_dictionaries({**{key: st.just(value) | st.text(max_size=6) for key, value in DELTA.items()}}).map(
        lambda body: frame("orderbook_delta", body)
    )
)
def test_any_bytes_give_a_frame_or_one_typed_error(raw):
    with suppress(FrameError):
        decoded = decode_frame(raw)
        if decoded is not None:
            to_message(decoded, recv_ts=RECV)


def test_an_ill_meaning_stream_does_not_fill_the_memory():
    values.known_counts.clear()  # what other tests of this process read is in there too
    for number in range(25_000):
        message("orderbook_delta", {**DELTA, "delta_fp": f"{number}.00"})
    assert 0 < len(values.known_counts) <= 20_000
    told = message("orderbook_delta", {**DELTA, "delta_fp": "24999.00"})
    assert isinstance(told, BookDelta)
    assert told.delta == 2_499_900


def recorded() -> Iterator[tuple[str, bytes]]:
    for path in sorted((SHARED / "data/ws").glob("frames-*.jsonl")):
        for line in path.read_bytes().splitlines():
            value = json.loads(line)
            yield path.name, json.dumps(value["frame"]).encode() if "frame" in value else line


@needs_recordings
def test_every_recorded_frame_is_read_and_the_sequence_has_no_gap():
    kinds: Counter[str] = Counter()
    last: dict[tuple[str, int | None], int] = {}
    for name, raw in recorded():
        decoded = decode_frame(raw)
        assert decoded is not None
        kinds[decoded.type] += 1
        to_message(decoded, recv_ts=RECV, use_yes_price="yes" in name)
        if decoded.seq is not None:
            assert decoded.seq == last.get((name, decoded.sid), 0) + 1
            last[name, decoded.sid] = decoded.seq
    assert kinds == {"subscribed": 5, "orderbook_snapshot": 14, "orderbook_delta": 251, "ok": 11}


@needs_recordings
def test_recorded_production_captures_are_read():
    path = SHARED / "data/ws/kxbtc15m-20260511T0531Z.jsonl.gz"
    messages: Counter[str] = Counter()
    with gzip.open(path) as lines:
        for line in lines:
            value = json.loads(line)
            if "frame" in value:
                decoded = decode_frame(json.dumps(value["frame"]))
                assert decoded is not None
                assert not isinstance(decoded, OtherFrame)
                messages[type(to_message(decoded, recv_ts=RECV)).__name__] += 1
    assert messages["BookDelta"] == 2964
    assert messages["Quote"] == 29


def test_a_frame_knows_its_type():
    decoded = decode_frame(frame("orderbook_delta", DELTA))
    assert isinstance(decoded, DeltaFrame)
    assert decoded.type == "orderbook_delta"
