"""Nothing of the specification is forgotten: every operation has a route and a call, every message is sent."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from conformance import channels, frame_types, operations, specs_or_skip
from sim_build import T0, TICKER, Caller, make_exchange, make_market, quote
from whole_exchange import (
    CALLS,
    EXCLUDED,
    TO_COME,
    client_methods,
    driven,
)

from kalshi_cli.core.model import ASK
from kalshi_cli.sim.listing import EventSpec
from kalshi_cli.units import Ts


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
    exchange.set_index_value("BRTI", 1_234_567, alice.now)
    exchange.set_pyth_value("Metal.XAU/USD", 24_000_000, alice.now)
    exchange.set_event_fees("KXSIM-26JUN", None, alice.now)
    exchange.list_event(EventSpec(event_ticker="KXSIM-27", series_ticker="KXSIM", title="Next"), alice.now)
    for sid, channel in enumerate(sorted(channels()), 1):
        if channel.startswith("cfbenchmarks") or channel == "pyth_value":
            action = "underlying_list" if channel == "pyth_value" else "indexlist"
            heard += listener.send("update_subscription", 80 + sid, sids=[sid], action=action)
    exchange.list_market(make_market("KXSIM-26JUN-T9"), alice.now)
    alice.now = Ts(T0 + 5_000)
    exchange.advance(alice.now)
    heard += listener.frames()
    heard += listener.send("list_subscriptions", 90)
    heard += listener.send("unsubscribe", 91, sids=[1])
    return heard + listener.send("nonsense", 92)
