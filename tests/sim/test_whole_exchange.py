"""Nothing of the specification is forgotten: every operation has a route and a call, every message is sent."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from conformance import channels, frame_types, operations, specs_or_skip
from sim_build import DAY, T0, TICKER, Caller, make_exchange, make_market, quote
from whole_exchange import (
    CALLS,
    EXCLUDED,
    TO_COME,
    client_methods,
    driven,
)

from kalshi_cli.core.model import ASK
from kalshi_cli.sim.api import Exchange
from kalshi_cli.sim.listing import CollectionSpec, EventSpec, SeriesSpec
from kalshi_cli.sim.quote_records import QuoteRecord
from kalshi_cli.units import Price, Ts


@pytest.mark.parametrize("name", CALLS)
def test_a_call_sends_what_the_specification_allows_and_reads_the_answer(name: str) -> None:
    specs_or_skip()
    assert driven(name).error == ""


def test_every_method_of_the_client_is_called_here() -> None:
    if "methods" not in TO_COME:
        assert client_methods() == set(CALLS), "add a line to CALLS in tests/whole_exchange.py"


def test_every_operation_has_a_call_of_the_client() -> None:
    specs_or_skip()
    asked = {str(operation) for name in CALLS for operation in driven(name).seen}
    wanted = {str(operation) for operation in operations()} - set(EXCLUDED)
    assert missing("call", wanted - asked) == set()


def test_every_operation_has_a_route_in_the_simulated_exchange() -> None:
    specs_or_skip()
    router = make_exchange()._router
    without = {str(each) for each in operations() if router.find(each.method.upper(), each.template) is None}
    assert missing("route", without - set(EXCLUDED)) == set()


def test_what_is_left_out_is_in_the_specification() -> None:
    specs_or_skip()
    assert set(EXCLUDED) <= {str(operation) for operation in operations()}


def test_every_type_of_message_is_sent_by_the_simulated_exchange() -> None:
    specs_or_skip()
    sent = {str(frame["type"]) for frame in a_busy_day()}
    assert missing("frame", frame_types() - sent) == set()


def test_every_channel_can_be_subscribed_to() -> None:
    specs_or_skip()
    granted = {frame["msg"]["channel"] for frame in a_busy_day() if frame["type"] == "subscribed"}
    assert missing("channel", channels() - granted) == set()


def missing(kind: str, names: set[str]) -> set[str]:
    """Those that are not announced."""
    return {name for name in names if f"{kind} {name}" not in TO_COME}


def talk(exchange: Exchange, alice: Caller) -> None:
    """A combo is made, bob quotes it, alice takes the quote, and it is executed."""
    exchange.list_series(SeriesSpec(ticker="KXMVESIM", title="Combos"))
    exchange.list_market(make_market("KXSIM-27-T1", event_ticker="KXSIM-27"), alice.now)
    collection = CollectionSpec(
        ticker="KXMVESIM-R",
        series_ticker="KXMVESIM",
        title="Some",
        leg_series=("KXSIM",),
        opens=T0,
        closes=Ts(T0 + DAY),
    )
    exchange.list_collection(collection, alice.now)
    legs = [
        {"market_ticker": ticker, "event_ticker": event, "side": "yes"}
        for ticker, event in ((TICKER, "KXSIM-26JUN"), ("KXSIM-27-T1", "KXSIM-27"))
    ]
    made = alice("POST", "/multivariate_event_collections/KXMVESIM-R", {"selected_markets": legs})[1]
    ask = {"market_ticker": made["market_ticker"], "rest_remainder": False, "contracts_fp": "5"}
    rfq = alice("POST", "/communications/rfqs", ask)[1]["id"]
    answer = exchange.quote("bob", rfq, Price(4_000), Price(5_000), alice.now, confirms_ms=500)
    assert isinstance(answer, QuoteRecord)
    alice("PUT", f"/communications/rfqs/{rfq}/quotes/{answer.quote_id}/accept", {"accepted_side": "no"})
    for _ in range(5):
        alice.now = Ts(alice.now + 1_000)
        exchange.advance(alice.now)


@cache
def a_busy_day() -> list[dict[str, Any]]:
    """Everything that can happen, heard by somebody who subscribed to every channel. Each frame is checked."""
    exchange = make_exchange()
    alice = Caller(exchange)
    listener = alice.connect()
    heard = []
    for number, channel in enumerate(sorted(channels()), 1):
        limits: dict[str, Any] = {"market_tickers": [TICKER]} if channel in ("orderbook_delta", "ticker") else {}
        limits |= {"index_ids": ["all"]} if channel.startswith("cfbenchmarks") else {}
        limits |= {"underlying_tickers": ["all"]} if channel == "pyth_value" else {}
        heard += listener.send("subscribe", number, channels=[channel], **limits)
    quote(exchange, ASK, "0.52", "5")
    alice.place("bid", "0.52", "2")
    alice("POST", "/portfolio/order_groups/create", {"contracts_limit": 5})
    exchange.set_index_value("BRTI", 1_234_567, alice.now)
    exchange.set_pyth_value("Metal.XAU/USD", 24_000_000, alice.now)
    exchange.set_event_fees("KXSIM-26JUN", None, alice.now)
    exchange.list_event(EventSpec(event_ticker="KXSIM-27", series_ticker="KXSIM", title="Next"), alice.now)
    for sid, channel in enumerate(sorted(channels()), 1):
        if channel.startswith("cfbenchmarks") or channel == "pyth_value":
            action = "underlying_list" if channel == "pyth_value" else "indexlist"
            heard += listener.send("update_subscription", 80 + sid, sids=[sid], action=action)
    exchange.list_market(make_market("KXSIM-26JUN-T9"), alice.now)
    talk(exchange, alice)
    heard += listener.frames()
    heard += listener.send("list_subscriptions", 90)
    heard += listener.send("unsubscribe", 91, sids=[1])
    return heard + listener.send("nonsense", 92)
