"""A day on which the simulated exchange sends every type of message that there is."""

from __future__ import annotations

from functools import cache
from typing import Any

from kalshi_cli.base.units import Price, Ts
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import CollectionSpec, EventSpec, SeriesSpec
from kalshi_cli.simulator.model.quote_records import QuoteRecord
from support.exchange import DAY, T0, TICKER, Caller, make_exchange, make_market, quote
from support.specification import channels


def talk(exchange: SimulatedExchange, alice: Caller) -> None:
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
