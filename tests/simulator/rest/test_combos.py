"""Combos: what a collection allows, the market that comes of it, and how it ends; the world's quoters beside."""

from __future__ import annotations

from typing import Any

import pytest
from support.exchange import DAY, T0, Caller, make_exchange, make_market, new_ids

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, contracts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import (
    CollectionSpec,
    EventSpec,
    ExchangeOptions,
    LegSpec,
    NewOrder,
    OrderReceipt,
    SeriesSpec,
)
from kalshi_cli.simulator.rest.combos import payout_value
from kalshi_cli.simulator.world.world import MarketSimulation

BASE = "/multivariate_event_collections"
GAMES = "KXMVESIM-R"
LEGS = ("KXA-1-X", "KXB-1-X", "KXC-1-X")


class Hall:
    """Three events of one market each, and a collection of them; alice makes combos."""

    def __init__(self, options: ExchangeOptions | None = None, journal: MemoryJournal | None = None) -> None:
        self.exchange = make_exchange(options, journal)
        self.alice = Caller(self.exchange)
        fees = FeeSchedule(FeeType.WITH_COMBO_MAKER)
        self.exchange.list_series(SeriesSpec(ticker="KXMVESIM", title="Combos", fees=fees))
        for ticker in LEGS:
            series, event = ticker.split("-")[0], ticker.rpartition("-")[0]
            self.exchange.list_series(SeriesSpec(ticker=series, title=series))
            self.exchange.list_event(EventSpec(event_ticker=event, series_ticker=series, title=series), T0)
            market = make_market(ticker, event_ticker=event, yes_sub_title=series, settlement_timer_s=1)
            self.exchange.list_market(market, T0)
        spec = CollectionSpec(
            ticker=GAMES,
            series_ticker="KXMVESIM",
            title="Some",
            leg_series=("KXA", "KXB", "KXC"),
            opens=T0,
            closes=Ts(T0 + DAY),
        )
        self.exchange.list_collection(spec, T0)

    def create(self, *picks: str, **more: Any) -> tuple[int, Any]:
        """`KXA-1-X:yes`, ..."""
        legs = [pick.split(":") for pick in picks]
        body = {
            "selected_markets": [
                {"market_ticker": leg, "event_ticker": leg.rpartition("-")[0], "side": side} for leg, side in legs
            ]
        }
        return self.alice("POST", f"{BASE}/{GAMES}", body | more)

    def made(self, *picks: str) -> str:
        status, body = self.create(*picks)
        assert status == 200, body
        return str(body["market_ticker"])

    def settle(self, ticker: str, value: int) -> None:
        now = self.alice.now
        self.exchange.settle(ticker, Price(value), now)
        self.alice.now = Ts(now + 10_000)
        self.exchange.advance(self.alice.now)

    def market(self, ticker: str) -> Any:
        return self.alice.get(f"/markets/{ticker}")["market"]


def test_a_collection_shows_the_events_that_can_be_combined() -> None:
    hall = Hall()
    shown = hall.alice.get(f"{BASE}/{GAMES}")["multivariate_contract"]
    assert [event["ticker"] for event in shown["associated_events"]] == ["KXA-1", "KXB-1", "KXC-1"]
    hall.settle(LEGS[0], 10_000)
    listed = hall.alice.get(BASE, status="open", associated_event_ticker="KXB-1")["multivariate_contracts"]
    assert listed[0]["associated_event_tickers"] == ["KXB-1", "KXC-1"]
    assert hall.alice.get(BASE, associated_event_ticker="KXA-1")["multivariate_contracts"] == []
    assert hall.alice("GET", f"{BASE}/KXNOT")[0] == 404


def test_the_same_legs_are_the_same_market_in_any_order() -> None:
    hall = Hall()
    ticker = hall.made("KXA-1-X:yes", "KXB-1-X:no")
    assert hall.made("KXB-1-X:no", "KXA-1-X:yes") == ticker
    assert hall.made("KXB-1-X:yes", "KXA-1-X:yes") != ticker
    assert ticker.startswith("KXMVESIM-S")


def test_a_combo_is_a_market_with_its_legs_on_the_grid_of_combos() -> None:
    hall = Hall(ExchangeOptions(shards=2))
    status, body = hall.create("KXA-1-X:yes", "KXB-1-X:no", with_market_payload=True)
    assert status == 200
    shown = body["market"]
    assert [leg["side"] for leg in shown["mve_selected_legs"]] == ["yes", "no"]
    assert (shown["price_level_structure"], shown["exchange_index"]) == ("center_deci_edge_centi_cent", 1)
    assert (shown["mve_collection_ticker"], shown["yes_sub_title"]) == (GAMES, "yes KXA, no KXB")


def test_combos_are_listed_apart() -> None:
    hall = Hall()
    ticker = hall.made("KXA-1-X:yes", "KXB-1-X:yes")
    for query, is_there in (({}, True), ({"mve_filter": "only"}, True), ({"mve_filter": "exclude"}, False)):
        tickers = [market["ticker"] for market in hall.alice.get("/markets", **query)["markets"]]
        assert (ticker in tickers) is is_there
    assert all(not event["event_ticker"].startswith("KXMVE") for event in hall.alice.get("/events")["events"])
    for query in ({}, {"collection_ticker": GAMES}, {"series_ticker": "KXMVESIM"}):
        assert len(hall.alice.get("/events/multivariate", **query)["events"]) == 1
    assert hall.alice.get("/events/multivariate", collection_ticker="KXMVEOTHER-R")["events"] == []


@pytest.mark.parametrize(
    "picks",
    [
        ["KXA-1-X:yes"],
        ["KXA-1-X:yes", "KXA-1-X:no"],
        ["KXA-1-X:yes", "KXSIM-26JUN-T3.00:yes"],
        ["KXA-1-X:yes", "KXB-1-Y:yes"],
    ],
)
def test_what_a_collection_does_not_allow_is_refused(picks: list[str]) -> None:
    status, body = Hall().create(*picks)
    assert (status, body["error"]["code"]) == (400, "invalid_parameters")


def test_a_leg_that_is_over_cannot_be_combined() -> None:
    hall = Hall()
    hall.settle("KXA-1-X", 0)
    assert hall.create("KXA-1-X:yes", "KXB-1-X:yes")[0] == 400


def test_a_combo_pays_once_all_legs_have_won_and_holders_get_their_dollar() -> None:
    hall = Hall()
    ticker = hall.made("KXA-1-X:yes", "KXB-1-X:no")
    for side, who in ((BID, "alice"), (ASK, "bob")):
        order = NewOrder(ticker=ticker, side=side, price=Price(3_000), qty=contracts(10))
        assert isinstance(hall.exchange.submit(who, order, T0), OrderReceipt)
    before = hall.exchange.cash("alice")
    hall.settle("KXA-1-X", 10_000)
    assert hall.market(ticker)["status"] == "active"
    assert hall.market(ticker)["mve_selected_legs"][0]["yes_settlement_value_dollars"] == "1.0000"
    hall.settle("KXB-1-X", 0)
    assert hall.market(ticker)["result"] == "yes"
    hall.alice.now = Ts(hall.alice.now + 10_000)
    hall.exchange.advance(hall.alice.now)
    assert hall.market(ticker)["status"] == "finalized"
    assert hall.exchange.cash("alice") - before == 10_000_000


def test_one_lost_leg_decides_at_once() -> None:
    hall = Hall()
    ticker = hall.made("KXA-1-X:yes", "KXB-1-X:yes", "KXC-1-X:yes")
    hall.settle("KXB-1-X", 0)
    assert hall.market(ticker)["result"] == "no"


def test_a_leg_settled_between_makes_the_combo_pay_between() -> None:
    hall = Hall()
    ticker = hall.made("KXA-1-X:yes", "KXB-1-X:no")
    hall.settle("KXA-1-X", 5_000)
    hall.settle("KXB-1-X", 2_500)
    shown = hall.market(ticker)
    assert (shown["result"], shown["settlement_value_dollars"]) == ("scalar", "0.3700")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((10_000, 10_000), 10_000),
        ((10_000, None), None),
        ((0, None), 0),
        ((5_000, 5_000), 2_500),
        ((3_300, 3_300), 1000),
    ],
)
def test_a_combo_is_worth_the_product_of_its_legs_in_whole_cents(
    values: tuple[int | None, ...], expected: int | None
) -> None:
    legs = tuple(
        LegSpec(event_ticker="E", market_ticker=str(n), side="yes", value=None if value is None else Price(value))
        for n, value in enumerate(values)
    )
    assert payout_value(legs) == expected


def test_combos_and_what_their_legs_paid_survive_a_restart() -> None:
    journal = MemoryJournal()
    hall = Hall(journal=journal)
    ticker = hall.made("KXA-1-X:yes", "KXB-1-X:yes")
    hall.settle("KXA-1-X", 10_000)
    again = SimulatedExchange(new_id=new_ids(900).__next__, journal=journal)
    assert again.restore()
    now = hall.alice.now
    again.settle("KXB-1-X", ONE_DOLLAR, now)
    again.advance(Ts(now + 10_000))
    caller = Caller(again)
    caller.now = Ts(now + 10_000)
    assert caller.get(f"/markets/{ticker}")["market"]["result"] == "yes"
    assert caller.get(f"{BASE}/{GAMES}")["multivariate_contract"]["title"] == "Some"


def test_a_combo_is_saved_before_the_reply() -> None:
    journal = MemoryJournal()
    hall = Hall(journal=journal)
    ticker = hall.made("KXA-1-X:yes", "KXB-1-X:yes")
    again = SimulatedExchange(new_id=new_ids(900).__next__, journal=journal)
    assert again.restore()
    assert ticker in again.tickers("")


def test_combos_have_a_lifecycle_channel_of_their_own() -> None:
    hall = Hall()
    ear = hall.alice.connect()
    ear.send("subscribe", channels=["multivariate_market_lifecycle"])
    ticker = hall.made("KXA-1-X:yes", "KXB-1-X:yes")
    told = ear.frames()
    assert {frame["type"] for frame in told} == {"event_lifecycle", "multivariate_market_lifecycle"}
    assert any(frame["msg"].get("market_ticker") == ticker for frame in told)
    hall.settle("KXA-1-X", 0)
    changes = [frame["msg"]["event_type"] for frame in ear.frames()]
    assert "determined" in changes


# -- the world ----------------------------------------------------------------------------------------------------


def test_who_is_alone_in_the_world_gets_a_quote_and_its_trade() -> None:
    ids = new_ids()
    exchange = SimulatedExchange(new_id=lambda: next(ids), options=ExchangeOptions(read_rate=0, write_rate=0))
    world = MarketSimulation(exchange, seed=7, start=T0)
    world.ensure_open(T0)
    from support.exchange import KEYS, public_pem

    exchange.add_account("alice", 1_000_000_000)  # type: ignore[arg-type]
    exchange.register_key("alice", KEYS["alice"][0], public_pem(KEYS["alice"][1]))
    alice = Caller(exchange)

    def wait(seconds: int) -> None:
        for _ in range(seconds):
            alice.now = Ts(alice.now + 1_000)
            world.advance(alice.now)

    collection = alice.get(f"{BASE}/KXMVECROSSCATEGORY-R")["multivariate_contract"]
    picks = []
    for event in collection["associated_event_tickers"]:
        market = alice.get("/markets", event_ticker=event, status="open")["markets"][0]
        fair = world.fair(market["ticker"])
        picks.append(
            {"market_ticker": market["ticker"], "event_ticker": event, "side": "yes" if fair > 5_000 else "no"}
        )
    status, made = alice("POST", f"{BASE}/KXMVECROSSCATEGORY-R", {"selected_markets": picks[:2]})
    assert status == 200, made
    body = {"market_ticker": made["market_ticker"], "rest_remainder": False, "target_cost_dollars": "20.00"}
    rfq = alice("POST", "/communications/rfqs", body)[1]["id"]
    wait(3)
    quotes = alice.get("/communications/quotes", rfq_id=rfq, rfq_user_filter="self")["quotes"]
    assert len(quotes) == 2
    best = max(quotes, key=lambda one: one["no_bid_dollars"])
    assert float(best["yes_bid_dollars"]) + float(best["no_bid_dollars"]) < 1
    path = f"/communications/rfqs/{rfq}/quotes/{best['id']}"
    assert alice("PUT", f"{path}/accept", {"accepted_side": "no"})[0] == 204
    wait(3)
    assert alice.get(path)["quote"]["status"] == "executed"
    held = alice.get("/portfolio/positions")["market_positions"]
    assert [(one["ticker"], one["position_fp"]) for one in held] == [(made["market_ticker"], best["no_contracts_fp"])]
