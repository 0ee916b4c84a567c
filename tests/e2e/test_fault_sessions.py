"""Sessions in which the exchange, the network or the clock do what they should not, from start to settlement.

Row numbers are those of the fault matrix (RELIABILITY.md).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import httpx
import pytest
from support.simulation import DAY_MS, T0, TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.clock import ManualClock, ShiftedClock
from kalshi_cli.base.errors import CredentialsError, ExchangeError, UnreachableError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, cents, contracts, parse_ts
from kalshi_cli.core.model.messages import ExchangeChange, Filled, Tick
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.exchange.live.account_snapshot import account_snapshot
from kalshi_cli.services.trading.reports.status import read_status
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Heartbeat


def down(_request: httpx.Request) -> httpx.Response | None:
    raise httpx.ConnectError("nobody there")


def up(_request: httpx.Request) -> httpx.Response | None:
    return None


# -- F43: an outage of an hour ----------------------------------------------------------------------------------------


def test_in_an_outage_of_an_hour_nothing_is_dropped_and_somebody_is_told_once(sim: Simulation, tmp_path: Path) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    loop.ticks(3)
    (mine,) = loop.live
    before = sim.clock.now()
    sim.wire.before = down
    loop.ticks(180, every_s=20)
    assert [order.order_id for order in loop.live] == [mine.order_id], "no answer is not an order that is gone"
    (blind,) = loop.alerts("BLIND")
    assert (blind.tier, before - 10_000 <= blind.ts <= before) == ("critical", True)
    assert sim.wire.posts() == 1, "and nothing was placed on top of it"
    sim.wire.before = up
    sim.take(ASK, 40, 4)
    loop.ticks(20)
    assert [alert.code for alert in loop.alerts("BLIND", "SIGHTED")] == ["BLIND", "SIGHTED"]
    assert loop.engine.state.ledger.position(TICKER).qty == contracts(4)
    assert loop.live[0].filled == contracts(4)


def test_status_says_since_when_a_running_loop_is_blind(sim: Simulation, tmp_path: Path) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim)
    now = sim.clock.now()
    cycle = Heartbeat(
        run_id="r", pid=1, mode="live", strategy="quoter", started=now, completed=now, cycles=1, is_running=True
    )
    sim.store.beat(cycle)
    seen = []
    for gone in (up, down, up):
        sim.wire.before = gone
        loop.ticks(30)
        with lock(tmp_path / "trade.lock", sim.clock):
            seen.append(read_status(tmp_path, sim.store, "sim", "2026-05-28", sim.clock.now()).blind_since)
    assert (seen[0], seen[2]) == (None, None)
    assert seen[1] is not None
    nobody_runs = read_status(tmp_path, sim.store, "sim", "2026-05-28", sim.clock.now())
    assert nobody_runs.blind_since is None


# -- F25, F24, F23: fills ---------------------------------------------------------------------------------------------


def test_a_fill_that_no_message_told_is_found_and_booked_within_ten_seconds(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    waits = []
    for count in range(1, 6):
        loop.ticks(4 + count)
        assert sim.take(ASK, 40, 1)
        since = sim.clock.now()
        for _ in range(10):
            loop.ticks(1)
            if loop.engine.state.ledger.position(TICKER).qty == contracts(count):
                break
        waits.append(sim.clock.now() - since)
    assert max(waits) <= 10_000, waits
    assert len(sim.store.fills()) == 5


def test_a_fill_that_comes_before_the_reply_to_its_order_and_again_later_is_booked_once(sim: Simulation) -> None:
    """F24, F23: while the reply is on its way the stream tells of the fill, twice; the account read tells it too."""
    sim.market(39, 40)
    loop = TradingLoop(sim)

    def early(request: httpx.Request) -> None:
        if request.method == "POST":
            order_id = json.loads(request.content)["client_order_id"]
            (fill,) = sim.client.fills()
            loop.engine.step(Filled(fill.ts, fill))
            loop.engine.step(Filled(fill.ts, fill))
            assert loop.engine.state.orders.get(order_id) is not None

    sim.wire.after = early
    loop.ticks(1)
    sim.wire.after = lambda _: None
    loop.engine.is_stopping = True
    loop.ticks(10)
    assert loop.engine.state.ledger.position(TICKER).qty == contracts(10)
    assert loop.engine.state.by_strategy["quoter"].position(TICKER).qty == contracts(10)
    assert loop.engine.tally.fills == 1
    (order,) = (order for order in sim.store.orders() if order.strategy == "quoter")
    assert (order.status, order.filled) == (OrderStatus.FILLED, contracts(10))


# -- F19-F22: cancels -------------------------------------------------------------------------------------------------


def test_a_cancel_that_a_fill_outran_ends_as_the_order_record_says(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim)
    loop.ticks(2)
    (mine,) = loop.live

    def race(request: httpx.Request) -> None:
        if request.method == "DELETE":
            sim.wire.before = up
            sim.take(ASK, 40, 10)

    sim.wire.before = race
    loop.stop()
    assert [order.order_id for order in loop.live] == [mine.order_id], "404 to the cancel proves nothing"
    loop.ticks(3)
    ended = loop.engine.state.orders.by_order_id(mine.order_id)
    assert ended is not None
    assert (ended.status, ended.filled, ended.remaining) == (OrderStatus.FILLED, contracts(10), 0)
    assert loop.engine.state.ledger.position(TICKER).qty == contracts(10)


@pytest.mark.parametrize("fault", ["lost", "not_found", "another"])
def test_a_cancel_without_a_believable_answer_is_asked_again_until_the_order_is_seen_to_be_over(
    sim: Simulation, fault: str
) -> None:
    """F20, F21: a reply that is lost, a 404 for an order that rests, the reply to somebody else's cancel (May 2026)."""
    sim.market(39, 44)
    loop = TradingLoop(sim)
    loop.ticks(2)
    (mine,) = loop.live
    other = {"order_id": "another", "reduced_by": "10.00", "ts_ms": T0}
    answers = {
        "not_found": lambda: httpx.Response(404, json={"error": {"code": "not_found", "message": "not found"}}),
        "another": lambda: httpx.Response(200, json=other),
    }
    wrong = iter(range(2))

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.method != "DELETE" or next(wrong, None) is None:
            return None
        if fault == "lost":
            raise httpx.ReadTimeout("late")
        return answers[fault]()

    sim.wire.before = before
    loop.stop()
    if fault != "lost":  # which the client itself repeats
        assert [order.order_id for order in loop.live] == [mine.order_id], "it rests, whatever the answer said"
    loop.ticks(5)
    assert loop.live == []
    assert sim.exchange.resting("alice") == []
    ended = loop.engine.state.orders.by_order_id(mine.order_id)
    assert ended is not None
    assert ended.status is OrderStatus.CANCELED


@pytest.mark.parametrize("first", range(11))
@pytest.mark.parametrize("is_late", [False, True])
def test_what_is_left_is_always_what_was_asked_for_less_what_filled_and_was_taken_off(
    sim: Simulation, first: int, is_late: bool
) -> None:
    """F22, I-ORDER: ten contracts, of which some fill before the cancel, seen or unseen by us."""
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    loop.ticks(2)
    (mine,) = loop.live
    if first:
        sim.take(ASK, 40, first)
    if not is_late:
        loop.engine.is_stopping = False
        loop.ticks(5)
    loop.stop()
    loop.ticks(6)
    ended = loop.engine.state.orders.by_order_id(mine.order_id)
    assert ended is not None
    assert (ended.filled, ended.reduced, ended.remaining) == (contracts(first), contracts(10 - first), 0)
    assert ended.qty == ended.filled + ended.remaining + ended.reduced
    assert loop.engine.state.ledger.position(TICKER).qty >= contracts(first)
    assert sim.exchange.resting("alice") == []


# -- F39, F40: lists --------------------------------------------------------------------------------------------------


def crowded(sim: Simulation, number: int) -> None:
    for n in range(number):
        sim.quote(BID, 1 + n % 30, 1, who="alice")


def test_twelve_hundred_and_five_orders_are_read_to_the_last_one(sim: Simulation) -> None:
    crowded(sim, 1_205)
    snapshot = account_snapshot(sim.client, sim.clock, since=Ts(0))
    assert len({order.order_id for order in snapshot.orders}) == 1_205


@pytest.mark.parametrize("fault", ["page_fails", "cursor_repeats"])
def test_a_list_that_is_cut_short_is_no_snapshot(sim: Simulation, fault: str) -> None:
    crowded(sim, 1_205)

    def before(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("/portfolio/orders"):
            return None
        if fault == "page_fails":
            return httpx.Response(500) if "cursor" in request.url.params else None
        body = json.loads(sim.checked.handle_request(request).read())
        return httpx.Response(200, json=body | {"cursor": "again"})

    sim.wire.before = before
    with pytest.raises(UnreachableError):
        account_snapshot(sim.client, sim.clock, since=Ts(0))


@pytest.mark.parametrize("lag_ms", [0, 500, 2_000, 5_000])
def test_reads_that_trail_never_make_an_order_or_a_position_vanish(tmp_path: Path, lag_ms: int) -> None:
    """F40: what was placed a moment ago is in no list yet, and counts all the same at every moment."""
    one = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=lag_ms))
    one.market(39, 44)
    loop = TradingLoop(one, expiry_s=7_200)
    counted = []
    for n in range(12):
        loop.ticks(1)
        if n == 2:
            one.take(ASK, 40, 4)
        state = loop.engine.state
        counted.append(state.ledger.position(TICKER).qty + sum(order.remaining for order in loop.live))
    assert counted == [contracts(10)] * 12
    assert one.wire.posts() == 1
    assert not loop.alerts("DRIFT")
    one.close()


# -- F44, F46: the end of a market ------------------------------------------------------------------------------------


def test_an_order_of_a_market_that_closed_is_left_to_the_exchange_and_polled(sim: Simulation) -> None:
    """F44: even cancels are refused after the close; a second later the exchange takes all that rests away."""
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    loop.ticks(2)
    (mine,) = loop.live
    sim.exchange.set_close_time(TICKER, sim.clock.now(), sim.clock.now())
    deleted = loop.sent("DELETE")
    inactive = httpx.Response(400, json={"error": {"code": "market_inactive", "message": "closed"}})
    sim.wire.before = lambda request: inactive if request.method == "DELETE" else None
    loop.stop()
    loop.ticks(10)
    assert loop.sent("DELETE") - deleted == 1, "no loop of cancels"
    ended = loop.engine.state.orders.by_order_id(mine.order_id)
    assert ended is not None
    assert ended.status is OrderStatus.CANCELED


def test_as_long_as_it_shows_as_resting_it_counts_and_a_cancel_is_tried_twice_a_minute(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    loop.ticks(2)
    inactive = httpx.Response(400, json={"error": {"code": "market_inactive", "message": "closed"}})
    sim.wire.before = lambda request: inactive if request.method == "DELETE" else None
    deleted = loop.sent("DELETE")
    loop.stop()
    loop.ticks(60)
    assert 3 <= loop.sent("DELETE") - deleted <= 5
    assert len(loop.live) == 1


@pytest.mark.parametrize("value", [ONE_DOLLAR, Price(0), cents(37)])
@pytest.mark.parametrize("is_amended", [False, True])
def test_a_settlement_is_booked_once_when_it_is_paid_and_at_its_last_value(
    sim: Simulation, value: Price, is_amended: bool
) -> None:
    """F46: determined, disputed, determined again; until the market is final nothing is realized."""
    sim.market(39, 40)
    loop = TradingLoop(sim)
    loop.ticks(1)
    loop.engine.is_stopping = True
    loop.ticks(5)
    sim.exchange.settle(TICKER, cents(99) if is_amended else value, sim.clock.now())
    if is_amended:
        sim.exchange.dispute(TICKER, sim.clock.now())
        loop.ticks(2)
        sim.clock.advance(3 * 3_600)
        loop.ticks(2)
        sim.exchange.settle(TICKER, value, sim.clock.now())
    assert loop.engine.state.ledger.realized == 0
    assert sim.store.settlements() == ()
    sim.clock.advance(3_600)
    sim.exchange.advance(sim.clock.now())
    loop.ticks(30)
    (booked,) = sim.store.settlements()
    assert booked.value == value
    ledger = loop.engine.state.ledger
    assert ledger.realized == contracts(10) * (value - cents(40))
    assert loop.engine.cash == sim.exchange.cash("alice")
    assert not loop.alerts("DRIFT")


# -- F47: pauses ------------------------------------------------------------------------------------------------------


def test_in_a_pause_of_trading_nothing_is_placed_cancels_work_and_the_kind_is_told_once(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=20)
    loop.ticks(3)
    sim.exchange.pause("trading", sim.clock.now())
    loop.ticks(6)
    posts = sim.wire.posts()
    loop.ticks(60)
    assert sim.wire.posts() == posts, "the order expired, and none took its place"
    (told,) = loop.alerts("TRADING_PAUSED")
    assert told.tier == "warning", "as in `kalshi check exchange`"
    assert "cancels still work" in told.text
    (denied,) = sim.store.denials(Ts(0)).values()
    assert denied["TRADING_PAUSED"] > 0
    sim.exchange.resume(sim.clock.now())
    loop.ticks(8)
    assert sim.wire.posts() == posts + 1
    assert len(loop.alerts("EXCHANGE_RESUMED")) == 1


def test_in_a_pause_of_trading_what_rests_can_be_taken_back(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim)
    loop.ticks(3)
    sim.exchange.pause("trading", sim.clock.now())
    loop.stop()
    assert sim.exchange.resting("alice") == []


def test_in_a_pause_of_the_exchange_cancels_wait_and_are_done_on_its_resumption(sim: Simulation) -> None:
    sim.market(39, 44)
    loop = TradingLoop(sim, expiry_s=7_200)
    loop.ticks(3)
    sim.exchange.pause("exchange", sim.clock.now())
    loop.stop()
    loop.ticks(60)
    assert len(sim.exchange.resting("alice")) == 1
    assert loop.sent("DELETE") <= 6, "not at every tick"
    (told,) = loop.alerts("EXCHANGE_PAUSED")
    assert "new orders and cancels are rejected until it resumes" in told.text
    sim.exchange.resume(sim.clock.now())
    loop.ticks(6)
    assert sim.exchange.resting("alice") == []
    assert loop.live == []


def test_the_announced_maintenance_is_no_incident(tmp_path: Path) -> None:
    """Thursdays 03:00 to 05:00 in New York."""
    one = Simulation(
        tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, maintenance=True, clock_past_ms=10**12)
    )
    one.exchange.set_close_time(TICKER, Ts(T0 + 30 * DAY_MS), T0)
    one.market(39, 44)
    loop = TradingLoop(one)
    one.clock.set(parse_ts("2026-06-04T06:59:30Z"))
    loop.ticks(30)
    changes = [message for message in loop.heard if isinstance(message, ExchangeChange)]
    assert [change.is_announced for change in changes] == [False, True]
    assert {alert.tier for alert in loop.alerts("TRADING_PAUSED", "EXCHANGE_PAUSED")} == {"info"}
    one.close()


# -- F50, F51: what a person is told ----------------------------------------------------------------------------------


REFUSALS = {
    "unknown key": (401, {"code": "authentication_error", "message": "no", "details": "NOT_FOUND"}, "key id"),
    "wrong signature": (
        401, {"code": "authentication_error", "message": "no", "details": "INCORRECT_API_KEY_SIGNATURE"}, "private key",
    ),
    "read-only key": (403, {"code": "forbidden", "message": "missing scope write::trade"}, "scope"),
    "stale time": (401, {"code": "header_timestamp_expired", "message": "expired"}, "clock"),
}  # fmt: skip


def test_each_way_of_being_refused_has_words_and_advice_of_its_own(sim: Simulation) -> None:
    told = {}
    for name, (status, body, word) in REFUSALS.items():
        refusal = httpx.Response(status, json={"error": body})
        sim.wire.before = lambda _, refusal=refusal: refusal  # type: ignore[misc]
        with pytest.raises(ExchangeError) as error:
            sim.client.balance()
        assert error.value.exit_code == 5
        assert word in f"{error.value.message} {error.value.hint}", name
        told[name] = error.value.hint
    assert len(set(told.values())) == len(REFUSALS)


# -- T19: whose clock an expiry is of ---------------------------------------------------------------------------------


@pytest.mark.parametrize("off_s", [-4, 4])
def test_an_expiry_is_sent_as_our_clock_has_it_and_the_exchange_ends_the_order_by_its_own(
    tmp_path: Path, off_s: int
) -> None:
    """Never corrected silently: with a clock four seconds off an order lives four seconds longer or shorter."""
    one = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0))
    one.market(39, 44)
    true = one.clock
    one.clock = cast(ManualClock, ShiftedClock(true, lambda: off_s * 1000))
    one.client = one.connect()
    loop = TradingLoop(one, expiry_s=90)
    loop.take(one.client.orderbook(TICKER), Tick(one.clock.now()))
    (mine,) = loop.live
    assert mine.expires is not None
    assert mine.expires - true.now() == pytest.approx((90 + off_s) * 1000, abs=1_000)
    for age_s, is_there in ((90 + off_s - 2, 1), (90 + off_s + 1, 0)):
        true.set(Ts(T0 + age_s * 1000))
        one.exchange.advance(true.now())
        assert len(one.exchange.resting("alice")) == is_there
    loop.take(Tick(one.clock.now()))
    assert loop.live == [], "and what the exchange says counts, not our clock"
    one.close()


@pytest.mark.parametrize("off_s", [-3_600, -37, -6, -4, 0, 4, 6, 37, 3_600])
def test_an_order_is_neither_signed_nor_dated_by_a_clock_that_is_off_by_more_than_five_seconds(
    tmp_path: Path, off_s: int
) -> None:
    one = Simulation(
        tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, clock_past_ms=10**9, clock_future_ms=10**9)
    )
    one.market(39, 44)
    one.clock = cast(ManualClock, ShiftedClock(one.clock, lambda: off_s * 1000))
    one.client = one.connect()
    if abs(off_s) <= 5:
        assert one.place().status is OrderStatus.RESTING
    else:
        way = "ahead of" if off_s > 0 else "behind"
        with pytest.raises(CredentialsError, match=rf"your clock is [\d.]+ s {way} the exchange") as error:
            one.place()
        assert float(error.value.message.split("clock is ")[1].split()[0]) == pytest.approx(abs(off_s), abs=0.6)
        assert one.wire.posts() == 0
    one.close()
