"""The rest of the stream: the channels beside books and fills, every numbered error, limits, faults."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest
from support.exchange import T0, TICKER, Caller, Listener, make_exchange, make_market, order, quote
from support.specification import SPECS, channels, check_command, check_frame

from kalshi_cli.base.units import Ts, contracts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import EventSpec, ExchangeOptions, SeriesSpec
from kalshi_cli.simulator.model.records import GroupChanged, StreamNotification
from kalshi_cli.simulator.stream.commands import ERRORS
from kalshi_cli.simulator.stream.hub import Hub
from kalshi_cli.simulator.stream.subscription import CHANNELS

OTHER = "KXSIM-26JUN-T4.00"


@pytest.fixture
def alice() -> Caller:
    return Caller(make_exchange())


def subscribe(caller: Caller, *names: str, **params: Any) -> tuple[Listener, list[dict[str, Any]]]:
    listener = caller.connect()
    return listener, listener.send("subscribe", channels=list(names), **params)


def codes(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["msg"]["code"] for frame in frames if frame["type"] == "error"]


def test_every_channel_of_the_specification_is_there(alice: Caller) -> None:
    if SPECS.exists():
        assert set(CHANNELS) == channels()
    names = sorted(CHANNELS)
    _, frames = subscribe(alice, *names, market_tickers=[TICKER])
    granted = [frame["msg"] for frame in frames if frame["type"] == "subscribed"]
    assert granted == [{"channel": name, "sid": sid} for sid, name in enumerate(names, 1)]
    assert {frame["id"] for frame in frames if frame["type"] == "subscribed"} == {1}


# -- the lives of markets and events --


def listed_combo(alice: Caller) -> str:
    exchange, ticker = alice.exchange, "KXMVEGAME-26JUN-A"
    exchange.list_series(SeriesSpec(ticker="KXMVEGAME", title="Combos"))
    exchange.list_event(EventSpec(event_ticker="KXMVEGAME-26JUN", series_ticker="KXMVEGAME", title="Both"), T0)
    exchange.list_market(make_market(ticker, event_ticker="KXMVEGAME-26JUN"), T0)
    return ticker


def test_combos_have_a_lifecycle_channel_of_their_own_and_the_others_the_other(alice: Caller) -> None:
    plain, _ = subscribe(alice, "market_lifecycle_v2")
    combos, _ = subscribe(alice, "multivariate_market_lifecycle")
    ticker = listed_combo(alice)
    alice.exchange.pause_market(ticker, T0)
    assert plain.frames() == []
    kinds = [(frame["type"], frame["msg"].get("event_type"), frame["seq"]) for frame in combos.frames()]
    assert kinds == [
        ("event_lifecycle", None, 1),
        ("multivariate_market_lifecycle", "created", 2),
        ("multivariate_market_lifecycle", "deactivated", 3),
    ]
    alice.exchange.pause_market(TICKER, T0)
    assert [frame["msg"]["event_type"] for frame in plain.frames()] == ["deactivated"]
    assert combos.frames() == []


def test_an_event_that_charges_otherwise_says_so_and_so_do_new_terms(alice: Caller) -> None:
    listener, _ = subscribe(alice, "market_lifecycle_v2")
    exchange = alice.exchange
    exchange.set_event_fees("KXSIM-26JUN", FeeSchedule(FeeType.WITH_MAKER, 500), T0)
    exchange.set_event_fees("KXSIM-26JUN", None, T0)
    exchange.set_terms(TICKER, T0, yes_sub_title="Above 3.5", floor_strike=3.5)
    exchange.set_grid(TICKER, "deci_cent", T0)
    dear, usual, terms, grid = listener.frames()
    assert (dear["type"], dear["msg"]) == (
        "event_fee_update",
        {
            "event_ticker": "KXSIM-26JUN",
            "fee_type_override": "quadratic_with_maker_fees",
            "fee_multiplier_override": 0.5,
        },
    )
    assert usual["msg"]["fee_type_override"] is None
    assert (terms["msg"]["event_type"], terms["msg"]["floor_strike"]) == ("metadata_updated", 3.5)
    assert grid["msg"]["price_ranges"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    assert "exchange_index" not in grid["msg"], "it comes with the creation only"


def test_a_maker_is_charged_from_the_change_on(alice: Caller) -> None:
    listener, _ = subscribe(alice, "fill")
    alice.exchange.set_event_fees("KXSIM-26JUN", FeeSchedule(FeeType.WITH_MAKER, 1000), T0)
    alice.place("bid", "0.5", "100")
    alice.exchange.submit("bob", order(ASK, "0.5", "100"), T0)
    assert listener.frames()[0]["msg"]["fee_cost"] == "0.437500"


# -- the account --


def test_a_position_says_how_much_was_traded_and_that_it_was_paid(alice: Caller) -> None:
    listener, _ = subscribe(alice, "market_positions")
    quote(alice.exchange, ASK, "0.5", "3")
    alice.place("bid", "0.5", "2")
    alice.place("ask", "0.4", "1", time_in_force="immediate_or_cancel")
    quote(alice.exchange, BID, "0.4", "1")
    alice.place("ask", "0.4", "1")
    assert [frame["msg"]["volume_fp"] for frame in listener.frames()] == ["2.00", "3.00"]
    alice.exchange.settle(TICKER, alice.exchange.grid(TICKER).bands[-1].end, T0)
    alice.exchange.advance(Ts(T0 + 60_000))
    [paid] = listener.frames()
    assert (paid["msg"]["position_fp"], paid["msg"]["position_cost_dollars"]) == ("0.00", "0.000000")


# -- what other parts tell --


class Ears:
    """A hub without an exchange, and what its streams hear of what is published there."""

    def __init__(self) -> None:
        self.hub = Hub(SimulatorState(lambda: "id", ExchangeOptions(), None))

    def listen(self, account: str, channel: str, **params: Any) -> deque[str]:
        connection = self.hub.connect(account)
        connection.receive(json.dumps({"id": 1, "cmd": "subscribe", "params": {"channels": [channel], **params}}), T0)
        connection.outbox.clear()
        return connection.outbox


def told(outbox: deque[str]) -> list[dict[str, Any]]:
    found = [json.loads(text) for text in outbox]
    outbox.clear()
    return found


def test_order_group_messages_go_to_the_owner_with_a_changed_limit() -> None:
    ears = Ears()
    hers, his = ears.listen("alice", "order_group_updates"), ears.listen("bob", "order_group_updates")
    kinds = ("created", "limit_updated", "triggered", "reset", "deleted")
    ears.hub.publish([GroupChanged(kind, "g1", contracts(5), "alice", T0) for kind in kinds], T0)
    frames = told(hers)
    if SPECS.exists():
        for frame in frames:
            check_frame(frame)
    assert [(frame["msg"]["event_type"], frame["seq"]) for frame in frames] == list(
        zip(kinds, range(1, 6), strict=True)
    )
    assert [frame["msg"].get("contracts_limit_fp") for frame in frames] == ["5.00", "5.00", None, None, None]
    assert told(his) == []


def test_rfqs_go_to_everyone_quotes_to_both_parties_and_each_share_to_its_subscriber() -> None:
    ears = Ears()
    everybody = ears.listen("carol", "communications")
    own_only = ears.listen("carol", "communications", user_filter="self")
    maker = ears.listen("bob", "communications", user_filter="self")
    shares = [ears.listen("dave", "communications", shard_factor=3, shard_key=key) for key in range(3)]
    names = [f"rfq-{number}" for number in range(30)]
    ears.hub.publish([StreamNotification("rfq_created", {"id": name}, name, "alice") for name in names], T0)
    assert [frame["msg"]["id"] for frame in told(everybody)] == names
    assert told(own_only) == told(maker) == []
    dealt = [[frame["msg"]["id"] for frame in told(share)] for share in shares]
    assert sorted(name for share in dealt for name in share) == sorted(names)
    assert all(0 < len(share) < 30 for share in dealt)
    ears.hub.publish(
        [StreamNotification("quote_created", {"id": "q"}, "rfq-1", "alice", frozenset({"alice", "bob"}))], T0
    )
    assert [frame["type"] for frame in told(maker)] == ["quote_created"]
    assert told(everybody) == []


# -- outside values --


def test_the_fast_channel_has_every_tick_once_and_the_other_those_on_the_second(alice: Caller) -> None:
    listener, frames = subscribe(alice, "cfbenchmarks_value", "cfbenchmarks_value_5hz", index_ids=["BRTI"])
    assert [frame["type"] for frame in frames] == ["subscribed", "subscribed"]
    for step, is_fast in ((0, False), (200, True), (200, True), (400, True)):
        alice.exchange.set_index_value("BRTI", 860_001_234 + step, Ts(T0 + step), is_fast=is_fast)
    found = [(frame["type"], frame["seq"]) for frame in listener.frames()]
    assert found == [
        ("cfbenchmarks_value_5hz", 1),
        ("cfbenchmarks_value", 1),
        ("cfbenchmarks_value_5hz", 2),
        ("cfbenchmarks_value_5hz", 3),
    ]
    [listed] = listener.send("update_subscription", 2, sids=[2], action="indexlist")
    assert (listed["type"], listed["msg"]) == ("cfbenchmarks_value_5hz_indexlist", {"index_ids": ["BRTI"]})


def test_pyth_prices_are_sent_by_underlying_and_listed_while_they_are_fresh(alice: Caller) -> None:
    listener, _ = subscribe(alice, "pyth_value")
    exchange = alice.exchange
    exchange.set_pyth_value("Metal.XAU/USD", 24_000_001, T0)
    assert listener.frames() == [], "nothing was asked for yet"
    [ok] = listener.send(
        "update_subscription", 2, sids=[1], action="subscribe_underlyings", underlying_tickers=["Metal.XAU/USD"]
    )
    assert ok["msg"] == {"underlying_tickers": ["Metal.XAU/USD"]}
    exchange.set_pyth_value("Metal.XAG/USD", 1, Ts(T0 + 1))
    exchange.set_pyth_value("Metal.XAU/USD", 24_000_002, T0)
    assert listener.frames() == [], "another underlying, and a time that was there already"
    exchange.set_pyth_value("Metal.XAU/USD", 24_000_002, Ts(T0 + 1))
    [tick] = listener.frames()
    assert (tick["msg"]["value_usd"], tick["seq"]) == ("2400.00020000", 2)
    [listed] = listener.send("update_subscription", 3, sids=[1], action="underlying_list")
    assert listed["msg"] == {"underlying_tickers": ["Metal.XAG/USD", "Metal.XAU/USD"]}
    alice.now = Ts(T0 + 7_200_001)
    [listed] = listener.send("update_subscription", 4, sids=[1], action="underlying_list")
    assert listed["msg"] == {"underlying_tickers": []}


# -- commands --


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"channels": ["communications"], "shard_factor": 0}, 19),
        ({"channels": ["communications"], "shard_key": 1}, 20),
        ({"channels": ["communications"], "shard_factor": 4, "shard_key": 4}, 21),
        ({"channels": ["communications"], "shard_factor": 4, "shard_key": -1}, 21),
        ({"channels": ["communications"], "shard_factor": 101}, 22),
        ({"channels": ["communications"], "shard_factor": "4"}, 11),
        ({"channels": ["communications"], "user_filter": "others"}, 11),
        ({"channels": ["ticker"], "market_ticker": TICKER, "market_tickers": [TICKER]}, 11),
        ({"channels": ["ticker"], "market_tickers": TICKER}, 11),
        ({"channels": ["trade"], "market_id": "00000000-0000-0000-0000-000000000001"}, 11),
        ({"channels": ["orderbook_delta"], "market_tickers": [TICKER], "use_yes_price": "yes"}, 11),
        ({"channels": ["cfbenchmarks_value"], "index_ids": "BRTI"}, 11),
        ({"channels": "ticker"}, 3),
        ({"channels": [7]}, 11),
    ],
)
def test_bad_parameters_have_their_numbers_and_subscribe_to_nothing(
    alice: Caller, params: dict[str, Any], code: int
) -> None:
    listener = alice.connect()
    assert codes(listener.send("subscribe", 5, **params)) == [code]
    assert listener.send("list_subscriptions", 6)[0]["msg"] == []


@pytest.mark.parametrize(
    ("channel", "action", "code"),
    [
        ("cfbenchmarks_value", "subscribe_indices", 24),
        ("cfbenchmarks_value_5hz", "unsubscribe_indices", 24),
        ("pyth_value", "subscribe_underlyings", 28),
        ("pyth_value", "subscribe_indices", 13),
        ("order_group_updates", "add_markets", 13),
        ("trade", "get_snapshot", 13),
    ],
)
def test_an_error_of_a_subscription_carries_its_sid_and_uses_a_number(
    alice: Caller, channel: str, action: str, code: int
) -> None:
    listener, _ = subscribe(alice, channel)
    [error] = listener.send("update_subscription", 2, sids=[1], action=action, market_tickers=[TICKER])
    assert (error["msg"]["code"], error["sid"], error["seq"], error["id"]) == (code, 1, 1, 2)
    assert listener.send("unsubscribe", 3, sids=[1])[0]["seq"] == 2


def test_retired_numbers_never_come_and_the_rest_are_known() -> None:
    assert not {6, 16, 17} & set(ERRORS)
    assert set(ERRORS) | {6, 9, 16, 17, 23} == set(range(1, 29))


def test_an_id_of_zero_is_none(alice: Caller) -> None:
    listener = alice.connect()
    frames = listener.send("subscribe", 0, channels=["trade"])
    frames += listener.send("unsubscribe", 0, sids=[9])
    assert [("id" in frame, frame["type"]) for frame in frames] == [(False, "subscribed"), (False, "error")]


def test_the_ticker_channel_takes_ids_shows_them_again_and_leaves_them_out_where_asked(alice: Caller) -> None:
    alice.exchange.list_market(make_market(OTHER), T0)
    _, frames = subscribe(alice, "orderbook_delta", market_tickers=[TICKER, OTHER])
    ids = [frame["msg"]["market_id"] for frame in frames[1:]]
    listener, frames = subscribe(alice, "ticker", market_id=ids[0], send_initial_snapshot=True)
    assert [frame["msg"].get("market_ticker") for frame in frames] == [None, TICKER]
    [ok, ticker] = listener.send(
        "update_subscription", 2, sid=1, action="add_markets", market_ids=[ids[1]], send_initial_snapshot=True
    )
    assert ok["msg"] == {"market_ids": sorted(ids)}
    assert ticker["msg"]["market_ticker"] == OTHER
    listener, _ = subscribe(alice, "ticker", market_tickers=[TICKER], skip_ticker_ack=True)
    [ok] = listener.send("update_subscription", 2, sid=1, action="add_markets", market_tickers=[OTHER])
    assert ok["msg"] == {}


def test_an_ok_without_numbers_carries_one_only_where_the_switch_says_so() -> None:
    for has_seq in (False, True):
        caller = Caller(make_exchange(ExchangeOptions(ok_has_seq=has_seq)))
        listener, _ = subscribe(caller, "ticker", market_tickers=[TICKER])
        [ok] = listener.send("update_subscription", 2, sids=[1], action="delete_markets", market_tickers=[TICKER])
        assert ("seq" in ok) == has_seq


def test_too_many_markets_and_too_many_commands_are_refused() -> None:
    caller = Caller(make_exchange(ExchangeOptions(market_limit=3, commands_a_second=4)))
    for ticker in ("KXSIM-26JUN-T5.00", OTHER):
        caller.exchange.list_market(make_market(ticker), T0)
    listener, _ = subscribe(caller, "orderbook_delta", "trade", market_tickers=[TICKER])
    assert codes(listener.send("subscribe", 2, channels=["trade"], market_tickers=[TICKER, OTHER])) == [26]
    [ok, _] = listener.send("update_subscription", 3, sids=[1], action="add_markets", market_tickers=[OTHER])
    assert ok["type"] == "ok"
    more = {"action": "add_markets", "market_tickers": ["KXSIM-26JUN-T5.00"]}
    assert codes(listener.send("update_subscription", 4, sids=[1], **more)) == [26]
    assert codes(listener.send("list_subscriptions", 5)) == [27]
    caller.now = Ts(T0 + 1_000)
    assert len(listener.send("list_subscriptions", 6)[0]["msg"]) == 2, "what was there is still there"


# -- faults --


def test_a_command_can_be_made_to_time_out_once(alice: Caller) -> None:
    listener = alice.connect()
    alice.exchange.fail_command(18)
    assert codes(listener.send("subscribe", 1, channels=["trade"])) == [18]
    assert listener.send("subscribe", 2, channels=["trade"])[0]["type"] == "subscribed"


def test_a_channel_that_breaks_ends_its_subscriptions_and_no_others(alice: Caller) -> None:
    listener, _ = subscribe(alice, "orderbook_delta", "ticker", "trade", market_tickers=[TICKER])
    assert alice.exchange.break_channel("orderbook_delta", 10, T0) == 1
    [error] = listener.frames()
    assert (error["msg"]["code"], error["sid"], error["seq"]) == (10, 1, 2)
    alice.exchange.break_channel("ticker", 25, T0)
    [error] = listener.frames()
    assert (error["msg"]["code"], error["sid"], "seq" in error) == (25, 2, False)
    left = listener.send("list_subscriptions", 9)[0]["msg"]
    assert left == [{"channel": "trade", "sid": 3}]


def test_a_stream_that_is_hung_up_on_gets_nothing_more(alice: Caller) -> None:
    listener, _ = subscribe(alice, "trade")
    assert alice.exchange.hang_up("reset") == 1
    assert listener.connection.hung_up == "reset"
    quote(alice.exchange, ASK, "0.5", "1")
    alice.place("bid", "0.5", "1")
    assert listener.frames() == []


def test_the_commands_of_these_tests_are_those_of_the_specification() -> None:
    if not SPECS.exists():
        pytest.skip("the published specifications are not beside this repository")
    check_command(json.dumps({"id": 1, "cmd": "subscribe", "params": {"channels": ["pyth_value"]}}))
    with pytest.raises(AssertionError):
        check_command(json.dumps({"id": 1, "cmd": "subscribe", "params": {"channels": ["gossip"]}}))
