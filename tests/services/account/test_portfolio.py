"""Positions and P&L: the parts add up to what the account gained, in every grouping and on every day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.simulation import DAY_MS, OTHER, TICKER, Simulation

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account import pnl
from kalshi_cli.core.account.pnl import build_ledger, total
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import ExchangePosition, Settlement
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.state.trading_day import day_of, day_start
from kalshi_cli.services.account import portfolio
from kalshi_cli.services.account.portfolio import KEYS, Portfolio
from kalshi_cli.simulator.model.listing import NewOrder


def open_market(ticker: str) -> Market:
    return Market(
        ticker=ticker,
        event_ticker=ticker.rpartition("-")[0],
        title="",
        status=MarketStatus.ACTIVE,
        grid=CENT_GRID,
        yes_bid=cents(47),
        yes_bid_size=contracts(1),
        yes_ask=cents(52),
        yes_ask_size=contracts(1),
        last=None,
        volume=Qty(0),
        volume_24h=Qty(0),
        open_interest=Qty(0),
        open_time=Ts(0),
        close_time=Ts(9 * DAY_MS),
    )


NEW_YORK = ZoneInfo("America/New_York")
HAVANA = ZoneInfo("America/Havana")


def traded(sim: Simulation) -> None:
    """A round trip, a settled market, an open position, over two days."""
    sim.market(40, 44)
    sim.market(60, 63, ticker=OTHER)
    sim.place(price=cents(44), tif=TimeInForce.IOC)
    sim.place(price=cents(63), tif=TimeInForce.IOC, ticker=OTHER)
    sim.clock.advance(3_600)
    sim.market(50, 53)
    sim.place(action="sell", price=cents(50), qty=contracts(4), tif=TimeInForce.IOC)
    sim.exchange.settle(OTHER, Price(0), sim.clock.now())
    sim.clock.advance(20 * 3_600)
    sim.exchange.advance(sim.clock.now())
    sim.market(47, 49)


def by(sim: Simulation, found: Portfolio, key: str, since: Ts | None = None) -> Money:
    strategies = {fill.trade_id: "spike" if fill.ticker == TICKER else "" for fill in found.fills}
    parts = portfolio.group_pnl(
        found,
        key,
        since=since,
        zone=NEW_YORK,
        now=sim.clock.now(),
        strategy_of=lambda fill: strategies[fill.trade_id],
        event_of=lambda ticker: ticker.rpartition("-")[0],
        series_of=lambda ticker: ticker.partition("-")[0],
    )
    assert len(parts) == {"market": 2, "event": 2, "series": 1, "strategy": 2, "day": 2, "month": 1}[key]
    return total(parts.values()).net


@pytest.mark.parametrize("key", KEYS)
def test_the_parts_add_up_to_the_change_of_the_account(sim: Simulation, key: str) -> None:
    traded(sim)
    found = portfolio.read(sim.client)
    (held,) = found.open_positions
    assert (held.ticker, held.qty) == (TICKER, contracts(6))
    worth = Money(held.qty * cents(47))
    assert by(sim, found, key) == sim.exchange.cash("alice") + worth - dollars(10_000)
    assert found.drifting == []


def test_pnl_since_a_time_counts_only_what_came_after(sim: Simulation) -> None:
    traded(sim)
    found = portfolio.read(sim.client)
    parts = portfolio.group_pnl(
        found,
        "market",
        since=Ts(sim.clock.now() + 1),
        zone=NEW_YORK,
        now=sim.clock.now(),
        strategy_of=lambda _: "",
        event_of=str,
        series_of=str,
    )
    assert parts.keys() == {TICKER}
    assert (parts[TICKER].realized, parts[TICKER].fees) == (0, 0)
    assert parts[TICKER].unrealized == 6 * 30_000


def test_a_market_that_does_not_add_up_is_flagged(sim: Simulation) -> None:
    traded(sim)
    found = portfolio.read(sim.client)
    assert msgspec.structs.replace(found, ledger=build_ledger(())).drifting == [TICKER]
    stated = found.stated[0, TICKER]
    more = msgspec.structs.replace(stated, position=contracts(7))
    assert msgspec.structs.replace(found, stated={(0, TICKER): more}).drifting == [TICKER]
    none = ExchangePosition(
        ticker=OTHER,
        position=Qty(0),
        exposure=Money(0),
        realized=Money(0),
        fees=Money(0),
        traded=Money(0),
        updated=Ts(0),
    )
    assert msgspec.structs.replace(found, stated={**found.stated, (1, OTHER): none}).drifting == []


def test_an_account_that_never_traded_is_empty(sim: Simulation) -> None:
    found = portfolio.read(sim.client)
    assert (found.entries, found.open_positions, found.marks, found.drifting) == ([], [], {}, [])


MARKETS = {ticker: open_market(ticker) for ticker in ("KXA-1-T1", "KXA-2-T1", "KXB-1-T1")}

entries = st.lists(
    st.tuples(
        st.sampled_from(["KXA-1-T1", "KXA-2-T1", "KXB-1-T1"]),
        st.sampled_from([BID, ASK]),
        st.integers(1, 99),
        st.integers(1, 20),
        st.integers(0, 5 * DAY_MS),
        st.sampled_from(["", "one", "two"]),
    ),
    max_size=10,
)


@given(entries, st.sets(st.sampled_from(["KXA-1-T1", "KXB-1-T1"])))
def test_every_grouping_adds_up_to_the_same(
    trades: list[tuple[str, Side, int, int, int, str]], settled: set[str]
) -> None:
    fills = tuple(
        Fill(
            trade_id=str(number),
            order_id=name,
            ticker=ticker,
            side=side,
            price=cents(at),
            qty=contracts(qty),
            fee=Money(at * 100),
            is_taker=True,
            ts=Ts(ts),
        )
        for number, (ticker, side, at, qty, ts, name) in enumerate(trades)
    )
    settlements = tuple(
        Settlement(
            ticker=ticker,
            event_ticker="KX",
            result="yes",
            value=ONE_DOLLAR,
            yes_qty=Qty(0),
            no_qty=Qty(0),
            revenue=Money(0),
            fee=Money(0),
            ts=Ts(6 * DAY_MS),
        )
        for ticker in sorted(settled)
    )
    ledger = build_ledger((*fills, *settlements))
    found = Portfolio(fills=fills, settlements=settlements, ledger=ledger, markets=MARKETS, stated={})
    worth = total(pnl.group_by(found.entries, found.marks, lambda ticker, _: ticker).values())
    event_of: Callable[[str], str] = lambda ticker: ticker.rpartition("-")[0]  # noqa: E731
    for key in KEYS:
        parts = portfolio.group_pnl(
            found,
            key,
            since=None,
            zone=NEW_YORK,
            now=Ts(7 * DAY_MS),
            strategy_of=lambda fill: fill.order_id,
            event_of=event_of,
            series_of=lambda ticker: ticker[:3],
        )
        whole = total(parts.values())
        assert (whole.fees, whole.net) == (ledger.fees, worth.net), key


# -- days -----------------------------------------------------------------------------------------------------------


def at(zone: ZoneInfo, *when: int, fold: int = 0) -> Ts:
    return Ts(int(datetime(*when, fold=fold, tzinfo=zone).timestamp() * 1000))  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 6, 1), 24)])
def test_a_day_has_as_many_hours_as_it_has(day: tuple[int, int, int], hours: int) -> None:
    start = at(NEW_YORK, *day)
    tomorrow = datetime(*day, tzinfo=NEW_YORK) + timedelta(days=1)
    end = Ts(int(tomorrow.timestamp() * 1000))
    assert end - start == hours * 3_600_000
    for moment in range(start, end, 600_000):
        assert day_start(Ts(moment), NEW_YORK) == start
        assert day_of(Ts(moment), NEW_YORK) == f"{day[0]}-{day[1]:02d}-{day[2]:02d}"
    assert day_start(end, NEW_YORK) == end
    assert day_start(Ts(start - 1), NEW_YORK) < start


def test_where_clocks_go_back_at_midnight_a_day_begins_once() -> None:
    first = at(HAVANA, 2026, 11, 1, 0, 0)
    for when in (at(HAVANA, 2026, 11, 1, 0, 30), at(HAVANA, 2026, 11, 1, 0, 30, fold=1), at(HAVANA, 2026, 11, 1, 12)):
        assert day_start(when, HAVANA) == first


@given(st.integers(1_700_000_000_000, 1_900_000_000_000), st.sampled_from(["America/New_York", "Asia/Tokyo", "UTC"]))
def test_every_moment_is_in_the_day_that_began_before_it(ts: int, name: str) -> None:
    zone = ZoneInfo(name)
    start = day_start(Ts(ts), zone)
    assert 0 <= ts - start < 25 * 3_600_000
    assert day_of(start, zone) == day_of(Ts(ts), zone)
    assert day_of(Ts(start - 1), zone) < day_of(start, zone)


def test_yes_here_and_no_in_a_subaccount_are_two_positions_and_nothing_is_realized(sim: Simulation) -> None:
    number = sim.exchange.add_subaccount("alice")
    assert number is not None
    sim.exchange.deposit("alice", dollars(10), subaccount=number)
    sim.market(40, 44)
    sim.place(price=cents(44), qty=contracts(5), tif=TimeInForce.IOC)
    there = NewOrder(ticker=TICKER, side=ASK, price=cents(40), qty=contracts(5), subaccount=number)
    sim.exchange.submit("alice", there, sim.clock.now())
    found = portfolio.read(sim.client)
    assert [(held.subaccount, held.qty) for held in found.open_positions] == [
        (0, contracts(5)),
        (number, -contracts(5)),
    ]
    assert (found.ledger.realized, found.drifting) == (0, [])
    assert total(pnl.group_by(found.entries, found.marks, lambda ticker, _: ticker).values()).realized == 0
    swapped = {(number - key[0], key[1]): stated for key, stated in found.stated.items()}
    assert msgspec.structs.replace(found, stated=swapped).drifting == [TICKER], "the sums agree, the parts do not"
