"""Times from the exchange that are wild, lying or frozen: none moves our clock, and none hides anything."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from support.simulation import DAY_MS, TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.errors import OutcomeUnknownError
from kalshi_cli.base.units import ONE_DOLLAR, Ts, contracts, format_ts
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.exchange.live.dates import MAX_AHEAD_MS

HOUR_MS = 3_600_000
AS_OF = "/trade-api/v2/exchange/user_data_timestamp"
Answer = Callable[[httpx.Request], httpx.Response | None]


def says(as_of: Callable[[], int]) -> Answer:
    """The exchange says that its reads are complete up to then."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != AS_OF:
            return None
        return httpx.Response(200, json={"as_of_time": format_ts(Ts(as_of()))}, request=request)

    return answer


def honest(_request: httpx.Request) -> httpx.Response | None:
    return None


# -- the age of the account's data ---------------------------------------------------------------------------------


def test_data_of_the_account_from_the_future_proves_no_order_absent_that_may_still_arrive(sim: Simulation) -> None:
    sim.market()
    late: list[httpx.Request] = []
    lie = says(lambda: sim.clock.now() + HOUR_MS)

    def unanswered(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST" and not late:
            late.append(request)
            raise httpx.ReadTimeout("slow", request=request)
        return lie(request)

    sim.wire.before = unanswered
    with pytest.raises(OutcomeUnknownError):
        sim.place()
    assert [order.status for order in sim.store.live_orders()] == [OrderStatus.UNKNOWN]


@pytest.mark.parametrize("lie_ms", [0, DAY_MS])
def test_a_fill_is_found_although_one_reply_said_that_the_data_is_of_tomorrow(sim: Simulation, lie_ms: int) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    sim.wire.before = says(lambda: sim.clock.now() + lie_ms)
    loop.ticks(8)
    sim.wire.before = honest
    sim.clock.advance(120)
    assert sim.take(ASK, 40, 3)
    loop.ticks(8)
    assert loop.engine.state.ledger.position(TICKER).qty == contracts(3)


def test_an_account_whose_data_stands_still_is_out_of_sight_told_once_until_it_moves(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim)
    loop.ticks(5)
    stood = sim.clock.now()
    sim.wire.before = says(lambda: stood)
    loop.ticks(14)
    assert loop.alerts("BLIND") == [], "half a minute behind is bad, and not yet blind"
    loop.ticks(40)
    (blind,) = loop.alerts("BLIND")
    assert blind.tier == "critical"
    assert f"account reads are stuck at {format_ts(stood)}" in blind.text
    assert stood <= blind.ts <= stood + 32_000, "since when"
    assert loop.engine.state.blind_since is not None, "and no heart beats meanwhile"
    sim.wire.before = honest
    loop.ticks(6)
    assert [alert.code for alert in loop.alerts("BLIND", "SIGHTED")] == ["BLIND", "SIGHTED"]
    assert loop.engine.state.blind_since is None


def test_data_that_trails_by_five_seconds_is_no_news(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim)
    sim.wire.before = says(lambda: sim.clock.now() - 5_000)
    loop.ticks(60)
    assert loop.alerts("BLIND", "SIGHTED") == []


# -- what happened, dated later than now ----------------------------------------------------------------------------


_DATES = re.compile(rb'"(created_time|last_update_time|settled_time)":\s*"[^"]*"|"(ts_ms)":\s*\d+')


def dated(sim: Simulation, later: Ts) -> Answer:
    """Every order, fill, settlement and reply to a write bears this date."""

    def instead(match: re.Match[bytes]) -> bytes:
        if match[2]:
            return b'"ts_ms": %d' % later
        return b'"%s": "%s"' % (match[1], format_ts(later).encode())

    def answer(request: httpx.Request) -> httpx.Response:
        reply = sim.checked.handle_request(request)
        body = reply.read()
        kept = {name: value for name, value in reply.headers.items() if name == "date"}
        if request.url.path.startswith("/trade-api/v2/portfolio"):
            body = _DATES.sub(instead, body)
        return httpx.Response(reply.status_code, content=body, headers=kept, request=request)

    return answer


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, 400 * DAY_MS])
def test_no_date_of_an_order_or_a_fill_moves_our_clock_or_what_is_read_next(sim: Simulation, ahead_ms: int) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim)
    state = loop.engine.state
    sim.wire.before = dated(sim, Ts(sim.clock.now() + ahead_ms))
    for traded in range(1, 6):
        loop.ticks(7)
        assert sim.take(ASK, 40, 1)
        loop.ticks(7)
        assert state.ledger.position(TICKER).qty == contracts(traded)
        assert max(state.now, state.last_entry) <= sim.clock.now() + MAX_AHEAD_MS
    assert all(fill.ts <= sim.clock.now() + MAX_AHEAD_MS for fill in sim.store.fills())
    mine = [order for order in sim.store.orders() if order.strategy == "quoter"]
    assert max((order.expires or 0) - order.created for order in mine) <= 90_000
    assert all(order.created <= sim.clock.now() for order in mine)


def test_a_market_that_settled_in_the_far_future_is_paid_out_once(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim)
    loop.ticks(7)
    assert sim.take(ASK, 40, 1)
    loop.ticks(7)
    loop.stop()
    loop.ticks(2)
    sim.exchange.settle(TICKER, ONE_DOLLAR, sim.clock.now())
    sim.wire.before = dated(sim, Ts(sim.clock.now() + 400 * DAY_MS))
    loop.ticks(10, every_s=600)
    (paid,) = sim.store.settlements()
    assert loop.engine.state.ledger.position(TICKER).qty == 0
    loop.ticks(20)
    assert sim.store.settlements() == (paid,), "each read would date it anew"
    assert loop.engine.state.last_entry <= paid.ts <= sim.clock.now()
