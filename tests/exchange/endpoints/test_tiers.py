"""The client over both tiers of the simulated exchange: complete whenever the line moves, also while it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import DAY_MS, OTHER, T0, TICKER, Simulation

from kalshi_cli.base.errors import NotFoundError, UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Ts
from kalshi_cli.core.model.markets import Candle, MarketDetails
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.simulator.model.listing import ExchangeOptions

MINUTE = 60_000
HISTORY = ExchangeOptions(
    read_rate=0, write_rate=0, clock_past_ms=10**12, history_after_ms=20 * DAY_MS, orders_after_ms=10 * DAY_MS
)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulation]:
    """Ten round trips of alice's, an hour apart, in a market that pays out after a day; a short position stays open."""
    one = Simulation(tmp_path, options=HISTORY)
    for hour in range(10):
        one.clock.advance(3600)
        one.market(40, 44)
        one.quote(BID, 44, one_lot(hour), who="alice")
        one.quote(ASK, 40, one_lot(hour), who="alice")
        one.take(BID, 44, 2)
    one.exchange.set_close_time(OTHER, Ts(T0 + 99 * DAY_MS), one.clock.now())
    one.market(50, 55, ticker=OTHER)
    one.quote(ASK, 50, 10, who="alice", ticker=OTHER)
    one.clock.advance(86_400)
    one.exchange.settle(TICKER, ONE_DOLLAR, one.clock.now())
    one.exchange.advance(Ts(one.clock.now() + 2 * MINUTE))
    one.clock.advance(120)
    yield one
    one.close()


def one_lot(hour: int) -> int:
    return 1 + hour % 3


def later(sim: Simulation, days: float) -> None:
    sim.clock.advance(days * 86_400)
    sim.exchange.advance(sim.clock.now())


READS: dict[str, Callable[[KalshiClient], list[str]]] = {
    "fills": lambda client: [fill.trade_id for fill in client.all_fills()],
    "trades": lambda client: [trade.trade_id for trade in client.all_trades()],
    "orders": lambda client: [order.order_id for order in client.all_orders()],
}


@pytest.mark.parametrize("kind", READS)
def test_a_list_over_both_tiers_is_the_same_whenever_it_is_read(sim: Simulation, kind: str) -> None:
    whole = READS[kind](sim.client)
    assert len(whole) == len(set(whole)) >= 2
    seen = set()
    for _ in range(5):
        later(sim, 4.6)
        assert READS[kind](sim.client) == whole
        seen.add(len(live_only(sim.client, kind)) < len(whole))
    assert seen == {False, True}


def live_only(client: KalshiClient, kind: str) -> list[object]:
    return list({"fills": client.fills, "trades": client.trades, "orders": client.orders}[kind]())  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["fills", "trades", "orders"])
@pytest.mark.parametrize("days", [9.5, 19.5])
def test_nothing_is_lost_when_the_line_moves_between_the_two_reads(sim: Simulation, kind: str, days: float) -> None:
    whole = READS[kind](sim.client)
    later(sim, days)
    moved: list[Any] = []

    def move(request: httpx.Request) -> None:
        is_live = request.url.path.endswith(("/portfolio/fills", "/markets/trades", "/portfolio/orders"))
        if is_live and not moved:
            moved.append(request.url.path)
            later(sim, 30)

    sim.wire.after = move
    assert READS[kind](sim.client) == whole
    assert moved


def test_only_what_is_young_is_read_without_asking_where_the_line_is(sim: Simulation) -> None:
    later(sim, 30)
    sim.wire.sent.clear()
    sim.client.all_fills(min_ts=Ts(sim.clock.now() - DAY_MS))
    assert [path for _, path in sim.wire.sent] == ["/trade-api/v2/portfolio/fills"]
    sim.wire.sent.clear()
    found = sim.client.all_fills(min_ts=Ts(sim.clock.now() - 15 * DAY_MS))
    assert found == []
    assert [path.rsplit("/", 1)[1] for _, path in sim.wire.sent] == ["fills", "cutoff"]


def test_the_newest_trades_are_the_newest_of_both_tiers(sim: Simulation) -> None:
    whole = sim.client.all_trades(TICKER)
    for days in (0, 19.9, 3):
        later(sim, days)
        assert sim.client.all_trades(TICKER, limit=7) == whole[:7]
        assert sim.client.all_trades(TICKER, limit=10_000) == whole


def test_orders_of_a_status_are_of_that_status_in_both_tiers(sim: Simulation) -> None:
    before = {status: sim.client.all_orders(status) for status in ("canceled", "executed", "resting")}
    later(sim, 40)
    for status, whole in before.items():
        assert sim.client.all_orders(status) == whole
    assert {order.status for order in before["executed"]} == {OrderStatus.FILLED}


def test_a_market_is_found_in_whichever_tier_has_it(sim: Simulation) -> None:
    before = sim.client.market(TICKER)
    later(sim, 30)
    after = sim.client.market(TICKER)
    assert isinstance(after, MarketDetails)
    assert (after.ticker, after.result, after.settlement_ts) == (before.ticker, "yes", before.settlement_ts)
    assert not list(sim.client.markets(tickers=[TICKER]))
    assert [market.ticker for market in sim.client.historical_markets(event="KXSIM-26JUN")] == [TICKER]
    with pytest.raises(NotFoundError, match="No market KXNONE"):
        sim.client.market("KXNONE")


@pytest.mark.parametrize("interval", [1, 60, 1440])
def test_candles_are_the_same_from_either_tier(sim: Simulation, interval: int) -> None:
    market = sim.client.market(TICKER)
    end = Ts(T0 + 2 * DAY_MS)

    def read() -> list[Candle]:
        return sim.client.all_candles(sim.client.market(TICKER), T0, end, interval)

    whole = read()
    assert sum(candle.volume for candle in whole) == market.volume
    later(sim, 30)
    assert read() == whole
    with pytest.raises(NotFoundError):
        sim.client.candles("KXSIM", TICKER, T0, end, interval)


def test_candles_of_a_market_that_moves_over_while_it_is_looked_at_are_found_there(sim: Simulation) -> None:
    later(sim, 19.5)
    market = sim.client.market(TICKER)
    whole = sim.client.all_candles(market, T0, Ts(T0 + 2 * DAY_MS), 60)
    later(sim, 5)
    assert sim.client.all_candles(market, T0, Ts(T0 + 2 * DAY_MS), 60) == whole


def test_a_long_span_of_candles_is_asked_for_in_parts_and_comes_whole(sim: Simulation) -> None:
    end = Ts(T0 + 20 * DAY_MS)
    sim.wire.sent.clear()
    one = sim.client.candles("KXSIM", TICKER, T0, end, 1)
    assert len(sim.wire.sent) == 3
    assert [candle.end for candle in one] == sorted({candle.end for candle in one})
    batch = sim.client.batch_candles([TICKER, OTHER, "KXNONE"], T0, end, 1)
    assert set(batch) == {TICKER, OTHER}
    assert batch[TICKER] == one
    event = sim.client.event_candles("KXSIM", TICKER.rpartition("-")[0], T0, end, 1)
    assert event == {TICKER: one}


def test_a_span_without_end_is_refused_before_anything_is_sent(sim: Simulation) -> None:
    sim.wire.sent.clear()
    with pytest.raises(UsageError, match="Too many candles for one request"):
        sim.client.candles("KXSIM", TICKER, Ts(0), Ts(T0 * 10), 1)
    assert sim.wire.sent == []


def test_events_and_series_are_read(sim: Simulation) -> None:
    client = sim.client
    events = list(client.events(with_markets=True))
    assert sorted(market.ticker for event in events for market in event.markets) == sorted([TICKER, OTHER])
    assert [event.event_ticker for event in client.events(status="settled")] == [TICKER.rpartition("-")[0]]
    assert [series.ticker for series in client.series_list(category="Financials", with_volume=True)] == ["KXSIM"]
    assert client.series("KXSIM", with_volume=True).volume == sum(
        market.volume for event in events for market in event.markets
    )
    assert client.event_metadata(events[0].event_ticker).markets[0].market_ticker in (TICKER, OTHER)
    assert list(client.multivariate_events()) == []
    assert list(client.event_fee_changes()) == client.series_fee_changes() == []
    assert client.forecast_history("KXSIM", events[0].event_ticker, [5000], T0, Ts(T0 + MINUTE), 60) == []
    for missing in (client.event, client.series):
        with pytest.raises(NotFoundError, match=r"^No "):
            missing("KXNONE")
    with pytest.raises(UsageError):
        client.forecast_history("KXSIM", "E", list(range(11)), T0, T0, 1)
    with pytest.raises(UsageError):
        client.events(tickers=["E"] * 101)


def test_a_short_position_across_the_tiers_has_its_fills(sim: Simulation) -> None:
    later(sim, 30)
    assert [fill.side for fill in sim.client.all_fills(OTHER)] == [ASK]
    assert list(sim.client.fills(OTHER)) == []
