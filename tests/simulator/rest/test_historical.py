"""The historical tier of the simulated exchange: each record is on exactly one side of the cutoff, in its own shape."""

from __future__ import annotations

from typing import Any

import pytest
from support.exchange import DAY, T0, TICKER, Caller, make_exchange, make_market, order, quote

from kalshi_cli.base.units import ONE_DOLLAR, Ts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import EventSpec, ExchangeOptions
from kalshi_cli.simulator.rest.historical import HistoryCutoff

MINUTE = 60_000
OPEN = "KXSIM-26SEP-T3"
AFTER = 10 * DAY
OPTIONS = ExchangeOptions(read_rate=0, write_rate=0, history_after_ms=AFTER, orders_after_ms=5 * DAY)


def lived(journal: MemoryJournal | None = None) -> SimulatedExchange:
    """Alice bought 5 of a market that paid out on the second day, and 3 of one that goes on; one order rests."""
    made = make_exchange(OPTIONS, journal)
    made.list_event(EventSpec(event_ticker="KXSIM-26SEP", series_ticker="KXSIM", title="In September"), T0)
    made.list_market(make_market(OPEN, event_ticker="KXSIM-26SEP", close_time=Ts(T0 + 99 * DAY)), T0)
    quote(made, ASK, "0.40", "5")
    made.submit("maker", order(ASK, "0.30", "3", ticker=OPEN), T0)
    alice = Caller(made)
    assert alice.place("bid", "0.40", "5")[0] == 201
    assert alice.place("bid", "0.30", "3", ticker=OPEN)[0] == 201
    assert alice.place("bid", "0.10", "1", ticker=OPEN)[0] == 201
    made.settle(TICKER, ONE_DOLLAR, Ts(T0 + DAY))
    made.advance(Ts(T0 + DAY + 2 * MINUTE))
    return made


def at(exchange: SimulatedExchange, days: float, who: str | None = "alice") -> Caller:
    exchange.advance(Ts(int(T0 + days * DAY)))
    caller = Caller(exchange, who)
    caller.now = Ts(int(T0 + days * DAY))
    return caller


LISTS = {
    "fills": ("/portfolio/fills", "/historical/fills"),
    "orders": ("/portfolio/orders", "/historical/orders"),
    "trades": ("/markets/trades", "/historical/trades"),
    "markets": ("/markets", "/historical/markets"),
}


def names(found: list[dict[str, Any]]) -> list[str]:
    return sorted(str(one.get("trade_id") or one.get("order_id") or one["ticker"]) for one in found)


@pytest.mark.parametrize("kind", LISTS)
def test_each_record_is_on_one_side_of_the_cutoff_whenever_one_looks(kind: str) -> None:
    live, historical = LISTS[kind]
    exchange = lived()
    whole = names(at(exchange, 2).get(live)[kind])
    assert len(whole) >= 2
    seen = set()
    for days in (2, 4.9, 5.1, 9.9, 10.1, 11.1, 30):
        caller = at(exchange, days)
        sides = names(caller.get(live)[kind]), names(caller.get(historical)[kind])
        assert sorted([*sides[0], *sides[1]]) == whole
        seen.add((bool(sides[0]), bool(sides[1])))
    assert (True, False) in seen
    assert any(old for _, old in seen)


def test_a_market_that_settled_before_the_cutoff_is_gone_from_every_live_endpoint_with_its_candles() -> None:
    caller = at(lived(), 12, None)
    span = {"start_ts": T0 // 1000, "end_ts": T0 // 1000 + 3600, "period_interval": 60}
    live = f"/series/KXSIM/markets/{TICKER}/candlesticks"
    for path, query in ((f"/markets/{TICKER}", {}), (f"/markets/{TICKER}/orderbook", {}), (live, span)):
        assert caller("GET", path, query=query)[0] == 404
    assert caller.get("/markets/candlesticks", market_tickers=TICKER, **span) == {"markets": []}
    assert caller.get("/markets/orderbooks", tickers=[TICKER, OPEN])["orderbooks"][0]["ticker"] == OPEN
    assert caller.get("/events/KXSIM-26JUN", with_nested_markets="true")["event"]["markets"] == []
    assert caller.get(f"/historical/markets/{TICKER}")["market"]["result"] == "yes"
    (candle,) = caller.get(f"/historical/markets/{TICKER}/candlesticks", **span)["candlesticks"]
    assert candle["price"]["close"] == "0.4000"
    assert candle["volume"] == "5.00"


def test_before_the_cutoff_the_historical_endpoints_do_not_know_the_market() -> None:
    caller = at(lived(), 2, None)
    span = {"start_ts": T0 // 1000, "end_ts": T0 // 1000 + 3600, "period_interval": 60}
    assert caller("GET", f"/historical/markets/{TICKER}")[0] == 404
    assert caller("GET", f"/historical/markets/{TICKER}/candlesticks", query=span)[0] == 404
    assert caller.get(f"/markets/{TICKER}")["market"]["ticker"] == TICKER


def test_positions_move_by_whole_events_and_never_while_one_of_them_is_open() -> None:
    exchange = lived()
    early, late = at(exchange, 2), at(exchange, 12)
    early.now = Ts(T0 + 2 * DAY)
    live = late.get("/portfolio/positions", settlement_status="all")["market_positions"]
    old = late.get("/historical/positions")
    assert [one["ticker"] for one in live] == [OPEN]
    assert [one["ticker"] for one in old["market_positions"]] == [TICKER]
    assert [one["event_ticker"] for one in old["event_positions"]] == ["KXSIM-26JUN"]
    assert late.get("/portfolio/settlements")["settlements"][0]["ticker"] == TICKER


def test_a_resting_order_is_live_however_old_and_a_dead_one_cannot_be_shown_any_more() -> None:
    caller = at(lived(), 30)
    assert [one["status"] for one in caller.get("/portfolio/orders")["orders"]] == ["resting"]
    dead = caller.get("/historical/orders", ticker=OPEN)["orders"][0]
    assert caller("GET", f"/portfolio/orders/{dead['order_id']}")[0] == 404


def test_the_cutoff_says_where_the_line_is_in_whole_seconds() -> None:
    caller = at(lived(), 12, None)
    told = caller.get("/historical/cutoff")
    assert told["market_settled_ts"] == told["trades_created_ts"]
    assert told["orders_updated_ts"] > told["trades_created_ts"]
    assert "." not in told["market_settled_ts"]


def test_the_filters_of_historical_markets_exclude_each_other() -> None:
    caller = at(lived(), 12, None)
    assert caller("GET", "/historical/markets", query={"tickers": TICKER, "event_ticker": "KXSIM-26JUN"})[0] == 400
    assert caller("GET", "/historical/markets", query={"mve_filter": "only"})[0] == 400
    for query in ({"tickers": f"{TICKER},{OPEN}"}, {"event_ticker": "KXSIM-26JUN"}, {"series_ticker": "KXSIM"}):
        assert names(caller.get("/historical/markets", **query)["markets"]) == [TICKER]


def test_the_tiers_are_the_same_after_a_restart() -> None:
    journal = MemoryJournal()
    before = at(lived(journal), 12)
    again = SimulatedExchange(new_id=lambda: "x", options=OPTIONS, journal=journal)
    again.restore()
    after = at(again, 12)
    for live, historical in LISTS.values():
        assert after.get(live) == before.get(live)
        assert after.get(historical) == before.get(historical)


# -- the filter rules of lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"status": "open", "min_created_ts": 1}, 200),
        ({"status": "closed", "min_created_ts": 1}, 400),
        ({"status": "closed", "max_close_ts": 1}, 200),
        ({"status": "open", "max_close_ts": 1}, 400),
        ({"status": "settled", "min_settled_ts": 1}, 200),
        ({"min_created_ts": 1, "min_close_ts": 1}, 400),
        ({"min_updated_ts": 1}, 200),
        ({"min_updated_ts": 1, "status": "open"}, 400),
        ({"min_updated_ts": 1, "mve_filter": "exclude"}, 200),
        ({"min_updated_ts": 1, "mve_filter": "only"}, 400),
        ({"min_updated_ts": 1, "series_ticker": "KXSIM"}, 400),
        ({"min_updated_ts": 1, "series_ticker": "KXSIM", "mve_filter": "exclude"}, 200),
        ({"min_updated_ts": 1, "tickers": TICKER}, 400),
        ({"status": "open,closed"}, 400),
        ({"limit": 1001}, 400),
        ({"limit": 0}, 400),
        ({"cursor": "garbage"}, 200),
    ],
    ids=str,
)
def test_the_rules_of_filters_of_markets(query: dict[str, Any], status: int) -> None:
    assert Caller(make_exchange(), None)("GET", "/markets", query=query)[0] == status


def test_a_trade_does_not_count_as_an_update_of_the_market() -> None:
    exchange = make_exchange()
    quote(exchange, ASK, "0.40", "5", Ts(T0 + DAY // 2))
    exchange.submit("bob", order(BID, "0.40", "5"), Ts(T0 + DAY // 2))
    caller = Caller(exchange, None)
    caller.now = Ts(T0 + DAY // 2)
    assert caller.get("/markets", min_updated_ts=T0 // 1000 + 60)["markets"] == []
    assert len(caller.get("/markets", min_updated_ts=T0 // 1000)["markets"]) == 1


def test_events_page_by_two_hundred_and_lose_none_while_others_go() -> None:
    exchange = make_exchange()
    for number in range(205):
        event = f"KXSIM-E{number:03d}"
        exchange.list_event(EventSpec(event_ticker=event, series_ticker="KXSIM", title=""), T0)
        exchange.list_market(make_market(f"{event}-T1", event_ticker=event), T0)
    caller = Caller(exchange, None)
    assert caller("GET", "/events", query={"limit": 201})[0] == 400
    first = caller.get("/events")
    assert len(first["events"]) == 200
    assert "markets" not in first["events"][0]
    exchange.settle("KXSIM-E000-T1", ONE_DOLLAR, T0)
    exchange.advance(Ts(T0 + 2 * MINUTE))
    exchange.advance(Ts(T0 + 2 * 60 * MINUTE))
    caller.now = Ts(T0 + 2 * 60 * MINUTE)
    exchange.list_event(EventSpec(event_ticker="KXSIM-E205", series_ticker="KXSIM", title=""), T0)
    rest = caller.get("/events", cursor=first["cursor"], with_nested_markets="true")
    tickers = [one["event_ticker"] for one in rest["events"]]
    assert tickers == [f"KXSIM-E{number:03d}" for number in range(199, 206)]
    cursor, one_by_one = first["cursor"], []  # type: ignore[var-annotated]
    while cursor:
        page = caller.get("/events", cursor=cursor, limit=1)
        cursor, one_by_one = page["cursor"], [*one_by_one, *page["events"]]
    assert [one["event_ticker"] for one in one_by_one] == tickers
    assert rest["cursor"] == ""
    assert rest["events"][0]["markets"][0]["ticker"] == "KXSIM-E199-T1"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"status": "open"}, 1),
        ({"status": "settled"}, 0),
        ({"series_ticker": "KXSIM"}, 1),
        ({"series_ticker": "KXNONE"}, 0),
        ({"tickers": "KXSIM-26JUN,KXNONE"}, 1),
        ({"min_close_ts": (T0 + DAY) // 1000}, 1),
        ({"min_close_ts": (T0 + DAY) // 1000 + 1}, 0),
        ({"min_updated_ts": T0 // 1000}, 1),
        ({"min_updated_ts": T0 // 1000 + 1}, 0),
    ],
    ids=str,
)
def test_the_filters_of_events(query: dict[str, Any], count: int) -> None:
    assert len(Caller(make_exchange(), None).get("/events", **query)["events"]) == count


def test_combos_are_listed_apart_from_events() -> None:
    exchange = make_exchange()
    exchange.list_event(EventSpec(event_ticker="KXMVE-1", series_ticker="KXSIM", title="Both"), T0)
    exchange.list_market(make_market("KXMVE-1-A", event_ticker="KXMVE-1"), T0)
    caller = Caller(exchange, None)
    assert [one["event_ticker"] for one in caller.get("/events")["events"]] == ["KXSIM-26JUN"]
    assert [one["event_ticker"] for one in caller.get("/events/multivariate")["events"]] == ["KXMVE-1"]
    assert names(caller.get("/markets", mve_filter="exclude")["markets"]) == [TICKER]
    assert names(caller.get("/markets", mve_filter="only")["markets"]) == ["KXMVE-1-A"]
    both = {"series_ticker": "KXSIM", "collection_ticker": "KXSIM"}
    assert caller("GET", "/events/multivariate", query=both)[0] == 400


def test_series_are_filtered_and_say_their_volume_only_when_asked() -> None:
    exchange = make_exchange()
    quote(exchange, ASK, "0.40", "5")
    exchange.submit("bob", order(BID, "0.40", "5"), T0)
    caller = Caller(exchange, None)
    (one,) = caller.get("/series")["series"]
    assert "volume_fp" not in one
    assert caller.get("/series", include_volume="true")["series"][0]["volume_fp"] == "5.00"
    assert caller.get("/series", category="financials")["series"] == []
    assert caller.get("/series", tags="NBA")["series"] == []
    assert caller("GET", "/events/KXNONE/metadata")[0] == 404
    assert caller.get("/events/KXSIM-26JUN/metadata")["market_details"][0]["market_ticker"] == TICKER


# -- fees that change ---------------------------------------------------------------------------------------------

DEAR = FeeSchedule(FeeType.WITH_MAKER, 2000)


def test_a_change_of_fees_is_announced_and_holds_from_its_time_on() -> None:
    exchange = make_exchange()
    exchange.announce_fees("KXSIM", "", DEAR, Ts(T0 + 2 * MINUTE), T0)
    caller = Caller(exchange, None)
    (change,) = caller.get("/series/fee_changes", series_ticker="KXSIM")["series_fee_change_arr"]
    assert (change["fee_type"], change["fee_multiplier"]) == (DEAR.type.value, 2)
    assert caller.get("/series/KXSIM")["series"]["fee_multiplier"] == 1
    later = at(exchange, 0.01, None)
    assert later.get("/series/KXSIM")["series"]["fee_multiplier"] == 2
    assert later.get("/series/fee_changes")["series_fee_change_arr"] == []
    assert later.get("/series/fee_changes", show_historical="true")["series_fee_change_arr"] == [change]
    assert later.get("/series", min_updated_ts=T0 // 1000 + 1)["series"]


def test_an_override_of_an_event_begins_and_ends_and_the_fill_is_charged_accordingly() -> None:
    journal = MemoryJournal()
    exchange = make_exchange(journal=journal)
    exchange.announce_fees("KXSIM", "KXSIM-26JUN", DEAR, Ts(T0 + MINUTE), T0)
    exchange.announce_fees("KXSIM", "KXSIM-26JUN", None, Ts(T0 + 3 * MINUTE), T0)
    exchange = SimulatedExchange(new_id=iter(map(str, range(10**6))).__next__, options=OPTIONS, journal=journal)
    exchange.restore()
    quote(exchange, ASK, "0.50", "30")
    paid = []
    for minute in (0, 2, 4):
        caller = at(exchange, minute / 1440)
        assert caller.place("bid", "0.50", "10")[0] == 201
        paid.append(caller.get("/portfolio/fills")["fills"][0]["fee_cost"])
    assert paid == ["0.175000", "0.350000", "0.175000"]
    changes = at(exchange, 1 / 24, None).get("/events/fee_changes", event_ticker="KXSIM-26JUN")["event_fee_changes"]
    assert [change["fee_type_override"] for change in changes] == [DEAR.type.value, None]


def test_fees_of_what_is_not_listed_cannot_be_changed() -> None:
    exchange = make_exchange()
    with pytest.raises(KeyError):
        exchange.announce_fees("KXNONE", "", DEAR, T0, T0)
    with pytest.raises(ValueError, match="must have fees"):
        exchange.announce_fees("KXSIM", "", None, T0, T0)


def test_what_happened_at_the_cutoff_itself_is_live() -> None:
    cutoff = HistoryCutoff(T0, T0)
    assert [cutoff.has_moment(Ts(T0 + after)) for after in (-1, 0)] == [True, False]
