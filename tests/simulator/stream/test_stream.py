from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange import DAY, ORDERS, T0, TICKER, Caller, Listener, make_exchange, make_market, order, quote

from kalshi_cli.base.units import Price, Qty, Ts, parse_price, parse_qty
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.simulator.model.listing import EventSpec, ExchangeOptions, NewOrder
from kalshi_cli.simulator.trading.lifecycle import linger_ms

OTHER = "KXSIM-26JUN-T4.00"


@pytest.fixture
def alice() -> Caller:
    return Caller(make_exchange())


def subscribe(caller: Caller, *channels: str, **params: Any) -> tuple[Listener, list[dict[str, Any]]]:
    listener = caller.connect()
    return listener, listener.send("subscribe", channels=list(channels), **params)


def types(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


# -- the book --


def test_a_subscription_is_acknowledged_per_channel_then_the_book_comes(alice: Caller) -> None:
    quote(alice.exchange, BID, "0.47", "3")
    quote(alice.exchange, ASK, "0.52", "2")
    _, frames = subscribe(alice, "orderbook_delta", "trade", market_tickers=[TICKER])
    assert types(frames) == ["subscribed", "orderbook_snapshot", "subscribed"]
    assert [frame["id"] for frame in frames if "id" in frame] == [1, 1]
    assert (frames[0]["msg"]["sid"], frames[2]["msg"]["sid"]) == (1, 2)
    snapshot = frames[1]
    assert snapshot["seq"] == 1
    assert snapshot["msg"]["yes_dollars_fp"] == [["0.4700", "3.00"]]
    assert snapshot["msg"]["no_dollars_fp"] == [["0.4800", "2.00"]], "NO levels are in NO prices"


def test_with_use_yes_price_everything_is_on_the_yes_scale(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.52", "2")
    listener, frames = subscribe(alice, "orderbook_delta", market_tickers=[TICKER], use_yes_price=True)
    assert frames[1]["msg"]["no_dollars_fp"] == [["0.5200", "2.00"]]
    assert "yes_dollars_fp" not in frames[1]["msg"], "the key of an empty side is absent"
    quote(alice.exchange, ASK, "0.53", "1")
    [delta] = listener.frames()
    assert (delta["msg"]["side"], delta["msg"]["price_dollars"], delta["msg"]["delta_fp"]) == ("no", "0.5300", "1.00")


def test_without_it_the_deltas_of_no_are_in_no_prices(alice: Caller) -> None:
    listener, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER])
    quote(alice.exchange, ASK, "0.53", "1")
    [delta] = listener.frames()
    assert (delta["msg"]["side"], delta["msg"]["price_dollars"]) == ("no", "0.4700")
    assert delta["seq"] == 2
    assert delta["sending_ts_ms"] == T0


def test_one_matching_is_several_deltas_of_one_time_and_crosses_in_between(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.50", "1")
    quote(alice.exchange, ASK, "0.51", "1")
    listener, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER], use_yes_price=True)
    alice.exchange.submit("bob", order(BID, "0.52", "3"), Ts(T0 + 7))
    frames = listener.frames()
    assert {frame["msg"]["ts_ms"] for frame in frames} == {T0 + 7}
    assert [(f["msg"]["side"], f["msg"]["price_dollars"], f["msg"]["delta_fp"]) for f in frames] == [
        ("yes", "0.5200", "1.00"),
        ("no", "0.5000", "-1.00"),
        ("no", "0.5100", "-1.00"),
    ]


def test_only_the_owner_sees_the_client_order_id_in_a_delta(alice: Caller) -> None:
    bob = Caller(alice.exchange, "bob")
    hers, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER])
    his, _ = subscribe(bob, "orderbook_delta", market_tickers=[TICKER])
    alice.place("bid", "0.4", "1", client_order_id="secret")
    assert hers.frames()[0]["msg"]["client_order_id"] == "secret"
    assert "client_order_id" not in his.frames()[0]["msg"]


def test_seq_counts_per_sid_across_markets_and_acknowledgements(alice: Caller) -> None:
    alice.exchange.list_market(make_market(OTHER), T0)
    listener, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER])
    frames = listener.send("update_subscription", 2, sids=[1], action="add_markets", market_tickers=[OTHER])
    assert [(frame["type"], frame["seq"]) for frame in frames] == [("ok", 2), ("orderbook_snapshot", 3)]
    assert frames[0]["msg"] == {"market_tickers": [TICKER, OTHER]}
    quote(alice.exchange, BID, "0.4", "1")
    quote(alice.exchange, BID, "0.4", "1", ticker=OTHER)
    assert [frame["seq"] for frame in listener.frames()] == [4, 5]
    frames = listener.send("update_subscription", 3, sids=[1], action="get_snapshot", market_tickers=[OTHER])
    assert [(frame["type"], frame["id"], frame["seq"]) for frame in frames] == [("orderbook_snapshot", 3, 6)]
    frames = listener.send("update_subscription", 4, sid=1, action="delete_markets", market_tickers=[TICKER])
    assert [(frame["type"], frame["seq"]) for frame in frames] == [("ok", 7)]
    quote(alice.exchange, BID, "0.4", "1")
    assert listener.frames() == []
    assert listener.send("list_subscriptions", 5)[0]["msg"] == [{"channel": "orderbook_delta", "sid": 1}]
    assert listener.send("unsubscribe", 6, sids=[1])[0]["seq"] == 8
    assert listener.send("list_subscriptions", 7)[0]["msg"] == []


entries = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob", "maker"]),
        st.sampled_from([BID, ASK]),
        st.integers(45, 55).map(lambda cent: Price(cent * 100)),
        st.integers(1, 20).map(lambda count: Qty(count * 50)),
        st.sampled_from(list(TimeInForce)),
        st.integers(0, 3),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(entries, st.booleans())
def test_snapshot_and_deltas_rebuild_the_book(steps: list[Any], use_yes_price: bool) -> None:
    alice = Caller(make_exchange())
    quote(alice.exchange, BID, "0.48", "5")
    listener, frames = subscribe(alice, "orderbook_delta", market_tickers=[TICKER], use_yes_price=use_yes_price)
    levels: dict[tuple[str, str], int] = {}
    for side, key in (("yes", "yes_dollars_fp"), ("no", "no_dollars_fp")):
        levels |= {(side, price): parse_qty(count) for price, count in frames[1]["msg"].get(key, [])}
    seq, now = 1, T0
    for account, side, price, qty, tif, dt in steps:
        now = Ts(now + dt)
        alice.exchange.submit(account, NewOrder(ticker=TICKER, side=side, price=price, qty=qty, tif=tif), now)
        if dt == 3:
            alice.exchange.cancel_all(account, now)
        for frame in listener.frames():
            seq += 1
            assert frame["seq"] == seq
            level = (frame["msg"]["side"], frame["msg"]["price_dollars"])
            levels[level] = levels.get(level, 0) + parse_qty(frame["msg"]["delta_fp"])
            assert levels[level] >= 0
        shown = {key: qty for key, qty in levels.items() if qty}
        assert shown == _book_of(alice, use_yes_price)


def _book_of(alice: Caller, use_yes_price: bool) -> dict[tuple[str, str], int]:
    book = alice.get(f"/markets/{TICKER}/orderbook")["orderbook_fp"]
    found = {("yes", price): int(parse_qty(count)) for price, count in book["yes_dollars"]}
    for price, count in book["no_dollars"]:
        shown = f"{(10_000 - parse_price(price)) / 10_000:.4f}" if use_yes_price else price
        found["no", shown] = int(parse_qty(count))
    return found


# -- trades, tickers, the account --


def test_a_trade_is_sent_to_everyone_and_a_fill_to_its_owner(alice: Caller) -> None:
    bob = Caller(alice.exchange, "bob")
    quote(alice.exchange, ASK, "0.52", "1")
    channels = ("trade", "fill", "user_orders", "market_positions")
    hers, _ = subscribe(alice, *channels)
    his, _ = subscribe(bob, *channels)
    _, made = alice.place("bid", "0.52", "1", client_order_id="mine")
    assert types(his.frames()) == ["trade"]
    frames = {frame["type"]: frame for frame in hers.frames()}
    assert set(frames) == {"trade", "fill", "market_position", "user_order"}
    fill = frames["fill"]["msg"]
    assert (fill["order_id"], fill["client_order_id"], fill["fee_cost"]) == (made["order_id"], "mine", "0.017500")
    assert (fill["post_position_fp"], fill["trade_id"]) == ("1.00", frames["trade"]["msg"]["trade_id"])
    assert (frames["user_order"]["msg"]["status"], frames["user_order"]["msg"]["last_update_reason"]) == (
        "executed",
        "Trade",
    )
    assert "seq" not in frames["fill"]
    assert frames["trade"]["seq"] == 1


def test_a_maker_receives_its_fill_and_its_cancels(alice: Caller) -> None:
    listener, _ = subscribe(alice, "fill", "user_orders", market_tickers=[TICKER])
    alice.place("ask", "0.52", "2")
    listener.frames()
    alice.exchange.submit("bob", order(BID, "0.52", "1"), T0)
    fill, changed = listener.frames()
    assert (fill["msg"]["is_taker"], fill["msg"]["fee_cost"], fill["msg"]["post_position_fp"]) == (
        False,
        "0.000000",
        "-1.00",
    )
    assert (changed["msg"]["status"], changed["msg"]["remaining_count_fp"]) == ("resting", "1.00")
    alice("DELETE", ORDERS)
    [canceled] = listener.frames()
    assert (canceled["msg"]["status"], canceled["msg"]["fill_count_fp"]) == ("canceled", "1.00")


def test_reasons_say_why_an_order_ended(alice: Caller) -> None:
    listener, _ = subscribe(alice, "user_orders")

    def reason() -> str:
        return str(listener.frames()[-1]["msg"]["last_update_reason"])

    alice.place("bid", "0.4", "1", expiration_time=T0 // 1000 + 1)
    alice.exchange.advance(Ts(T0 + 1_000))
    assert reason() == "ExpiryCancel"
    alice.place("bid", "0.4", "1")
    alice.place("ask", "0.4", "1")
    assert reason() == "SelfTradeCancel"
    alice.exchange.set_close_time(TICKER, Ts(T0 + 5_000), T0)
    alice.exchange.advance(Ts(T0 + 5_000 + linger_ms(TICKER)))
    assert reason() == "CloseCancel"


def test_tickers_are_conflated_and_count_both_sides_of_the_volume(alice: Caller) -> None:
    listener, _ = subscribe(alice, "ticker", market_tickers=[TICKER])
    quote(alice.exchange, ASK, "0.52", "5")
    alice.place("bid", "0.52", "2")
    assert listener.frames() == []
    alice.exchange.advance(Ts(T0 + 1_000))
    [ticker] = listener.frames()
    msg = ticker["msg"]
    assert "seq" not in ticker
    assert (msg["volume_fp"], msg["open_interest_fp"], msg["dollar_volume"]) == ("4.00", "4.00", 2)
    assert (msg["yes_bid_dollars"], msg["yes_ask_dollars"], msg["yes_ask_size_fp"]) == ("0.0000", "0.5200", "3.00")
    quote(alice.exchange, BID, "0.5", "1")
    alice.exchange.advance(Ts(T0 + 1_500))
    assert listener.frames() == []
    alice.exchange.advance(Ts(T0 + 2_000))
    assert len(listener.frames()) == 1
    alice.exchange.advance(Ts(T0 + 9_000))
    assert listener.frames() == [], "nothing changed"


def test_a_ticker_can_be_asked_for_at_once(alice: Caller) -> None:
    _, frames = subscribe(alice, "ticker", market_tickers=[TICKER], send_initial_snapshot=True)
    assert types(frames) == ["subscribed", "ticker"]


# -- lifecycle and indices --


def test_lifecycle_messages_do_not_include_changes_by_the_clock(alice: Caller) -> None:
    listener, _ = subscribe(alice, "market_lifecycle_v2")
    exchange = alice.exchange
    exchange.list_event(EventSpec(event_ticker="KXSIM-27", series_ticker="KXSIM", title="Next"), T0)
    exchange.list_market(make_market(OTHER, event_ticker="KXSIM-27", open_time=Ts(T0 + 1000)), T0)
    exchange.advance(Ts(T0 + 2_000))
    exchange.advance(Ts(T0 + DAY + 2_000))
    exchange.settle(OTHER, Price(10_000), Ts(T0 + DAY + 3_000))
    exchange.advance(Ts(T0 + DAY + 63_000))
    frames = listener.frames()
    assert types(frames) == ["event_lifecycle"] + ["market_lifecycle_v2"] * 3
    assert [frame["msg"]["event_type"] for frame in frames[1:]] == ["created", "determined", "settled"]
    assert [frame["seq"] for frame in frames] == [1, 2, 3, 4]
    assert frames[2]["msg"]["settlement_value"] == "1.0000"


def test_pauses_and_moved_closes_are_published(alice: Caller) -> None:
    listener, _ = subscribe(alice, "market_lifecycle_v2")
    alice.exchange.pause_market(TICKER, T0)
    alice.exchange.resume_market(TICKER, T0)
    alice.exchange.set_close_time(TICKER, Ts(T0 + 60_000), T0)
    events = [frame["msg"]["event_type"] for frame in listener.frames()]
    assert events == ["deactivated", "activated", "close_date_updated"]


def test_a_closed_market_sends_an_empty_snapshot_with_the_next_seq(alice: Caller) -> None:
    quote(alice.exchange, BID, "0.47", "3")
    listener, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER])
    alice.exchange.advance(Ts(T0 + DAY + linger_ms(TICKER)))
    [snapshot] = listener.frames()
    assert (snapshot["type"], snapshot["seq"]) == ("orderbook_snapshot", 2)
    assert not {"yes_dollars_fp", "no_dollars_fp"} & set(snapshot["msg"])


def test_index_values_carry_their_averages(alice: Caller) -> None:
    quarter = Ts(-(-T0 // 900_000) * 900_000)
    listener, frames = subscribe(alice, "cfbenchmarks_value", index_ids=["BRTI"])
    assert types(frames) == ["subscribed"]
    for second, value in ((-61, 100_0000), (-31, 200_0000), (-30, 400_0000)):
        alice.exchange.set_index_value("BRTI", value, Ts(quarter + second * 1000))
    alice.exchange.set_index_value("BRTI", 1, Ts(quarter - 30_000))
    alice.exchange.set_index_value("ETHUSD_RTI", 1, quarter)
    first, second, third = (frame["msg"] for frame in listener.frames())
    assert first["avg_60s_data"] == {
        "value": "100.00000000",
        "window_size": 0,
        "window_start_ts_ms": quarter - 121_000,
        "window_end_ts_exclusive": quarter - 61_000,
    }
    assert "last_60s_windowed_average_15min" not in first
    assert second["last_60s_windowed_average_15min"]["window_size"] == 1
    assert third["avg_60s_data"]["value"] == "150.00000000"
    assert third["last_60s_windowed_average_15min"]["value"] == "300.00000000"
    assert '"value":"400.0000"' in third["data"]


def test_indices_are_listed_added_and_dropped(alice: Caller) -> None:
    listener, _ = subscribe(alice, "cfbenchmarks_value")
    alice.exchange.set_index_value("BRTI", 1, T0)
    assert listener.frames() == []
    [listed] = listener.send("update_subscription", 2, sids=[1], action="indexlist")
    assert (listed["type"], listed["msg"]) == ("cfbenchmarks_value_indexlist", {"index_ids": ["BRTI"]})
    [ok] = listener.send("update_subscription", 3, sids=[1], action="subscribe_indices", index_ids=["all"])
    assert (ok["type"], ok["seq"]) == ("ok", 2)
    alice.exchange.set_index_value("BRTI", 2, Ts(T0 + 1))
    assert types(listener.frames()) == ["cfbenchmarks_value"]
    listener.send("update_subscription", 4, sids=[1], action="unsubscribe_indices", index_ids=["all"])
    alice.exchange.set_index_value("BRTI", 3, Ts(T0 + 2))
    assert listener.frames() == []
    [error] = listener.send("update_subscription", 5, sids=[1], action="subscribe_indices")
    assert error["msg"]["code"] == 24


# -- errors --


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("not json", 1),
        ("[]", 1),
        ('{"id":1,"cmd":"dance","params":{}}', 5),
        ('{"id":1,"cmd":"subscribe"}', 2),
        ('{"id":1,"cmd":"subscribe","params":{}}', 3),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["gossip"]}}', 8),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"]}}', 14),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["trade"],"market_tickers":["KXNO"]}}', 11),
        ('{"id":1,"cmd":"unsubscribe","params":{}}', 4),
        ('{"id":1,"cmd":"unsubscribe","params":{"sids":[9]}}', 7),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1,2]}}', 12),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[9],"action":"add_markets"}}', 7),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1]}}', 15),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1],"action":"dance"}}', 13),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1],"action":"add_markets"}}', 14),
    ],
)
def test_a_bad_command_is_answered_with_its_number(alice: Caller, text: str, expected: int) -> None:
    listener, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER])
    listener.connection.receive(text, T0)
    [error] = listener.frames()
    assert (error["type"], error["msg"]["code"]) == ("error", expected)
    assert len(listener.connection.subscriptions) == 1


def test_a_subscription_with_one_unknown_market_keeps_the_others(alice: Caller) -> None:
    _, frames = subscribe(alice, "orderbook_delta", market_tickers=[TICKER, "KXNO"])
    assert types(frames) == ["subscribed", "orderbook_snapshot", "error"]
    assert frames[2]["msg"]["market_tickers"] == ["KXNO"]


def test_a_full_outbox_ends_the_subscription_and_spares_the_exchange() -> None:
    alice = Caller(make_exchange(ExchangeOptions(outbox_limit=5)))
    listener, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER])
    for _ in range(20):
        quote(alice.exchange, BID, "0.4", "1")
    frames = listener.frames()
    assert types(frames) == ["orderbook_delta"] * 5 + ["error"]
    assert (frames[-1]["msg"]["code"], frames[-1]["sid"]) == (25, 1)
    frames = listener.send("subscribe", 2, channels=["orderbook_delta"], market_tickers=[TICKER])
    assert frames[1]["msg"]["yes_dollars_fp"] == [["0.4000", "20.00"]]


def test_a_closed_connection_is_forgotten(alice: Caller) -> None:
    listener, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER])
    listener.connection.close()
    quote(alice.exchange, BID, "0.4", "1")
    assert listener.frames() == []


def test_who_commands_and_never_reads_is_hung_up_on() -> None:
    alice = Caller(make_exchange(ExchangeOptions(outbox_limit=10, commands_a_second=1_000)))
    connection = alice.connect().connection
    for number in range(1, 100):
        connection.receive(json.dumps({"id": number, "cmd": "list_subscriptions"}), T0)
    assert (len(connection.outbox), connection.hung_up) == (10, "close")


def test_a_snapshot_of_a_market_that_is_not_followed_is_refused(alice: Caller) -> None:
    alice.exchange.list_market(make_market(OTHER), T0)
    listener, _ = subscribe(alice, "orderbook_delta", market_tickers=[TICKER])
    [frame] = listener.send("update_subscription", 2, sids=[1], action="get_snapshot", market_tickers=[OTHER])
    assert (frame["type"], frame["msg"]["code"]) == ("error", 11)
