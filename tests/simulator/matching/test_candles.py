"""Candles of the simulated exchange: what really happened, by all routes, and what every candle must satisfy."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange import DAY, T0, TICKER, Caller, make_exchange, make_market, order, quote

from kalshi_cli.base.units import Price, Qty, Ts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.matching.candles import KEPT, CandleBuilder, period_end
from kalshi_cli.simulator.matching.order_book import MatchingBook
from kalshi_cli.simulator.model.calendar import moment
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.model.records import BookChange, MarketRecord

MINUTE = 60_000
PATH = f"/series/KXSIM/markets/{TICKER}/candlesticks"


def span(start: int, end: int, interval: int = 1, **more: Any) -> dict[str, Any]:
    return {"start_ts": start // 1000, "end_ts": end // 1000, "period_interval": interval, **more}


def candles(exchange: SimulatedExchange, now: int, interval: int = 1, **more: Any) -> list[dict[str, Any]]:
    caller = Caller(exchange, None)
    caller.now = Ts(now)
    found: list[dict[str, Any]] = caller.get(PATH, **span(T0, now + interval * MINUTE, interval, **more))[
        "candlesticks"
    ]
    return found


def take(exchange: SimulatedExchange, side: Any, price: str, count: str, now: int) -> None:
    exchange.submit("bob", order(side, price, count, tif=TimeInForce.IOC), Ts(now))


@pytest.fixture
def exchange() -> SimulatedExchange:
    """Quotes 40/44, then 7 at 44 and 3 at 45 in the first minute, nothing in the second, 1 at 40 in the third."""
    made = make_exchange()
    quote(made, BID, "0.40", "100")
    quote(made, ASK, "0.44", "7")
    quote(made, ASK, "0.45", "50")
    take(made, BID, "0.45", "10", T0 + 5_000)
    take(made, ASK, "0.40", "1", T0 + 2 * MINUTE + 5_000)
    made.advance(Ts(T0 + 2 * MINUTE + 6_000))
    return made


def test_a_candle_tells_open_high_low_close_mean_volume_and_quotes(exchange: SimulatedExchange) -> None:
    first, _, third = candles(exchange, T0 + 2 * MINUTE + 6_000)
    assert first["end_period_ts"] == period_end(T0, 1) // 1000
    assert first["price"] == {
        "open_dollars": "0.4400",
        "low_dollars": "0.4400",
        "high_dollars": "0.4500",
        "close_dollars": "0.4500",
        "mean_dollars": "0.4430",
    }
    assert (first["volume_fp"], first["open_interest_fp"]) == ("10.00", "10.00")
    assert first["yes_ask"]["close_dollars"] == "0.4500"
    assert third["price"]["previous_dollars"] == "0.4500"
    assert third["price"]["close_dollars"] == "0.4000"
    assert third["open_interest_fp"] == "9.00"


def test_a_period_without_a_trade_has_nothing_but_the_price_before_it(exchange: SimulatedExchange) -> None:
    _, second, _ = candles(exchange, T0 + 2 * MINUTE + 6_000)
    assert second["price"] == {"previous_dollars": "0.4500"}
    assert second["volume_fp"] == "0.00"
    assert len(set(second["yes_bid"].values())) == 1


def test_where_the_switch_says_so_quiet_periods_are_left_out_and_the_start_is_made_of_the_one_before() -> None:
    made = make_exchange(ExchangeOptions(read_rate=0, write_rate=0, sparse_candles=True))
    quote(made, BID, "0.40", "100")
    take(made, ASK, "0.40", "1", T0)
    take(made, ASK, "0.40", "1", T0 + 5 * MINUTE)
    assert len(candles(made, T0 + 5 * MINUTE)) == 2
    caller = Caller(made, None)
    caller.now = Ts(T0 + 5 * MINUTE)
    asked = span(T0 + 2 * MINUTE, T0 + 6 * MINUTE)
    assert len(caller.get(PATH, **asked)["candlesticks"]) == 1
    before, _ = caller.get(PATH, **asked, include_latest_before_start="true")["candlesticks"]
    assert before["end_period_ts"] == period_end(Ts(T0 + 2 * MINUTE), 1) // 1000
    assert before["price"] == {"previous_dollars": "0.4000"}


def test_an_hour_and_a_day_are_made_of_the_same_trades(exchange: SimulatedExchange) -> None:
    for interval in (60, 1440):
        (only,) = candles(exchange, T0 + 2 * MINUTE + 6_000, interval)
        assert only["volume_fp"] == "11.00"
        assert only["price"]["open_dollars"] == "0.4400"
        assert only["price"]["close_dollars"] == "0.4000"


def test_a_day_ends_at_midnight_in_new_york_also_when_the_clocks_change() -> None:
    for day, after, hours in (((2026, 3, 8), (2026, 3, 9), 23), ((2026, 11, 1), (2026, 11, 2), 25)):
        start, end = moment(date(*day), 0), moment(date(*after), 0)
        assert end - start == hours * 60 * MINUTE
        assert period_end(start, 1440) == start  # the end of the day before belongs to that day
        assert {period_end(Ts(start + at), 1440) for at in range(1, hours * 60 * MINUTE, 7 * MINUTE)} == {end}


def test_nothing_moves_after_the_close(exchange: SimulatedExchange) -> None:
    exchange.advance(Ts(T0 + DAY + 10 * MINUTE))
    last = candles(exchange, T0 + DAY + 10 * MINUTE, 60)[-1]
    assert last["end_period_ts"] * 1000 <= period_end(Ts(T0 + DAY + MINUTE), 60)


def test_the_batch_and_the_event_say_the_same_as_the_market(exchange: SimulatedExchange) -> None:
    now = Ts(T0 + 3 * MINUTE)
    one = candles(exchange, now)
    caller = Caller(exchange, None)
    caller.now = now
    asked = span(T0, now + MINUTE)
    batch = caller.get("/markets/candlesticks", market_tickers=f"{TICKER},KXNONE", **asked)
    assert batch["markets"] == [{"market_ticker": TICKER, "candlesticks": one}]
    event = caller.get("/series/KXSIM/events/KXSIM-26JUN/candlesticks", **asked)
    assert event == {
        "market_tickers": [TICKER],
        "market_candlesticks": [one],
        "adjusted_end_ts": asked["end_ts"],
    }


def test_an_event_of_many_candles_is_cut_and_says_where() -> None:
    made = make_exchange()
    quote(made, BID, "0.40", "1")
    caller = Caller(made, None)
    caller.now = Ts(T0 + DAY)
    asked = span(T0, T0 + 7 * DAY)
    read = caller.get("/series/KXSIM/events/KXSIM-26JUN/candlesticks", **asked)
    assert T0 // 1000 < read["adjusted_end_ts"] < asked["end_ts"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"period_interval": 5},
        {"period_interval": None},
        {"start_ts": None},
        {"end_ts": 1},
        {"end_ts": T0 // 1000 + 60 * 10_001},
    ],
    ids=str,
)
def test_what_the_exchange_would_not_answer_is_refused(exchange: SimulatedExchange, wrong: dict[str, Any]) -> None:
    asked = {name: value for name, value in (span(T0, T0 + MINUTE) | wrong).items() if value is not None}
    caller = Caller(exchange, None)
    for path, more in ((PATH, {}), ("/markets/candlesticks", {"market_tickers": TICKER})):
        assert caller("GET", path, query=asked | more)[0] == 400
    assert caller("GET", PATH.replace("KXSIM/", "KXOTHER/", 1), query=span(T0, T0))[0] == 404


def test_candles_survive_a_restart_and_go_with_their_market() -> None:
    journal = MemoryJournal()
    made = make_exchange(journal=journal)
    made.add_account("noise", dollars(100))
    quote(made, BID, "0.40", "100")
    made.submit("noise", order(ASK, "0.40", "5"), Ts(T0 + MINUTE))
    made.advance(Ts(T0 + MINUTE))
    before = candles(made, T0 + 2 * MINUTE)
    again = SimulatedExchange(new_id=lambda: "x", options=ExchangeOptions(read_rate=0), journal=journal)
    assert again.restore()
    assert candles(again, T0 + 2 * MINUTE) == before
    assert any(key.startswith("bar/") for key in journal.items)
    again.settle(TICKER, Price(0), Ts(T0 + 3 * MINUTE))
    again.advance(Ts(T0 + 5 * MINUTE))
    again.advance(Ts(T0 + DAY))
    assert TICKER not in again.tickers("")
    assert not [key for key in journal.items if key.startswith("bar/")]


def test_no_more_than_a_bounded_number_of_periods_is_kept_here_and_in_the_journal() -> None:
    kept: dict[str, object] = {}
    bars = CandleBuilder(kept.__setitem__, kept.pop)  # type: ignore[arg-type]
    market = MarketRecord(
        spec=make_market(), market_id="m", number=0, close_time=Ts(T0 + 99 * DAY), created=T0, updated=T0
    )
    for minute in range(KEPT[1] + 50):
        change = BookChange(TICKER, BID, Price(4000), Qty(100), Ts(T0 + minute * MINUTE), "maker", "")
        bars.observe([change], {TICKER: MatchingBook()}, {TICKER: market})
    last = Ts(T0 + (KEPT[1] + 49) * MINUTE)
    found = list(bars.between(TICKER, 1, T0, last, last, is_sparse=True))
    assert len(found) == KEPT[1] - 1  # the period of the last change ends after it
    assert len([key for key in kept if key.startswith("bar/1/")]) == KEPT[1]


def test_a_market_says_what_it_was_a_day_ago() -> None:
    made = make_exchange()
    made.list_market(make_market("KXSIM-26JUN-T9", close_time=Ts(T0 + 9 * DAY)), T0)
    for price, when in (("0.30", T0), ("0.35", T0 + 25 * 60 * MINUTE)):
        new = order(BID, price, "10", ticker="KXSIM-26JUN-T9")
        made.submit("maker", new, Ts(when))
    made.submit("bob", order(ASK, "0.35", "1", ticker="KXSIM-26JUN-T9"), Ts(T0 + 25 * 60 * MINUTE))
    caller = Caller(made, None)
    caller.now = Ts(T0 + 26 * 60 * MINUTE)
    market = caller.get("/markets/KXSIM-26JUN-T9")["market"]
    assert (market["previous_yes_bid_dollars"], market["yes_bid_dollars"]) == ("0.3000", "0.3500")
    assert (market["previous_price_dollars"], market["last_price_dollars"]) == ("0.0000", "0.3500")


# -- whatever happens ---------------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.integers(0, 90_000), st.sampled_from("qt"), st.integers(1, 9), st.booleans()), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_candles_add_up_to_what_was_traded_without_gaps_or_impossible_ranges(moves: list[Any]) -> None:
    made = make_exchange()
    now = int(T0)
    for wait, what, size, is_buy in moves:
        now += wait
        side = BID if is_buy else ASK
        if what == "q":
            made.submit("maker", order(side, f"0.{40 + size if is_buy else 60 - size}", str(size)), Ts(now))
        else:
            take(made, side, "0.60" if is_buy else "0.40", str(size), now)
    for interval in (1, 60, 1440):
        found = candles(made, now, interval)
        total = sum(float(one["volume_fp"]) for one in found)
        caller = Caller(made, None)
        caller.now = Ts(now)
        assert total == float(caller.get(f"/markets/{TICKER}")["market"]["volume_fp"])
        ends = [one["end_period_ts"] for one in found]
        assert all(period_end(Ts(a * 1000 + 1), interval) == b * 1000 for a, b in pairwise(ends))
        for one in found:
            check_ranges(one)


def check_ranges(one: dict[str, Any]) -> None:
    price, parts = one["price"], [one["yes_bid"], one["yes_ask"]]
    if "open_dollars" in price:
        parts.append(price)
        assert price["low_dollars"] <= price["mean_dollars"] <= price["high_dollars"]
    else:
        assert one["volume_fp"] == "0.00"
    for part in parts:
        for name in ("open", "close"):
            assert part["low_dollars"] <= part[f"{name}_dollars"] <= part["high_dollars"]


def test_a_range_that_is_impossible_would_be_seen() -> None:
    upside_down = {f"{name}_dollars": text for name, text in zip(("open", "low", "high", "close"), "4534", strict=True)}
    with pytest.raises(AssertionError):
        check_ranges({"price": {}, "volume_fp": "0.00", "yes_bid": upside_down, "yes_ask": upside_down})


def test_a_forecast_is_where_the_prices_of_thresholds_cross_the_percentile() -> None:
    made = make_exchange()
    for strike, bid, ask in ((10, 79, 81), (20, 49, 51), (30, 9, 11)):
        ticker = f"KXSIM-26JUN-T{strike}"
        made.list_market(make_market(ticker, floor_strike=float(strike)), T0)
        made.submit("maker", order(BID, f"0.{bid:02d}", "5", ticker=ticker), T0)
        made.submit("maker", order(ASK, f"0.{ask:02d}", "5", ticker=ticker), T0)
    made.submit("maker", order(BID, "0.95", "5"), T0)
    made.submit("maker", order(ASK, "0.97", "5"), T0)
    caller = Caller(made)
    path = "/series/KXSIM/events/KXSIM-26JUN/forecast_percentile_history"
    asked = span(T0, T0 + MINUTE, percentiles=[5000, 9000])
    (point,) = caller.get(path, **asked)["forecast_history"]
    assert [(p["percentile"], p["numerical_forecast"]) for p in point["percentile_points"]] == [
        (5000, 20.0),
        (9000, 30.0),
    ]
    assert caller("GET", path, query=asked | {"percentiles": [10_000]})[0] == 400
    assert Caller(made, None)("GET", path, query=asked)[0] == 401
