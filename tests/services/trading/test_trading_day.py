"""The day's loss, from the fills to the refusal: in whose zone, over a restart, without a state file."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from support.simulation import OTHER, TICKER, Simulation

from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.trading_day import TradingDayTotals, day_start
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account import portfolio
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.account.summary import pnl_today
from kalshi_cli.services.runner import process_messages
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store

NEW_YORK = ZoneInfo("America/New_York")


def limits(loss: Money | None = None) -> RiskLimits:
    """A dollar, days of New York; the collar does not stop the falls of these tests."""
    return RiskLimits(
        max_daily_loss=loss or dollars(1), price_collar=None, day_start=lambda ts: day_start(ts, NEW_YORK)
    )


def refused(sim: Simulation, **changes: object) -> str:
    with pytest.raises(RefusedError) as caught:
        sim.place(limits(), **changes)
    return caught.value.code


def lose(sim: Simulation) -> None:
    """Ten contracts bought at 44 are worth 30 each: $1.40 of loss, and the fee."""
    sim.market(40, 44)
    sim.place(limits(), price=cents(44))
    sim.market(30, 34)


def counted(sim: Simulation) -> Money | None:
    """The day so far, as a new process sees it."""
    return sim.desk(limits()).engine([sim.client.market(TICKER)]).state.day_net


def realize(sim: Simulation) -> None:
    lose(sim)
    sim.place(limits(), action="sell", price=cents(30))


class Buyer:
    """A strategy that bids on whatever happens, as long as it is let."""

    name = "buyer"
    is_hedged = False
    watches: Watches = "depth"

    def _bid(self, _view: StrategyContext, *_what: object) -> list[Place]:
        return [Place(TICKER, BID, cents(29), contracts(1))]

    on_book = on_trade = on_fill = on_tick = _bid


# -- whose day ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "autumn_h", "spring_h"),
    [
        ("America/New_York", 25, 23),
        ("America/Los_Angeles", 25, 23),
        ("America/Havana", 25, 23),  # its clocks change at midnight itself
        ("UTC", 24, 24),
        ("Europe/London", 24, 24),
        ("Asia/Kolkata", 24, 24),
    ],
)
def test_every_moment_is_in_exactly_one_day_also_on_days_of_23_and_25_hours(
    zone: str, autumn_h: int, spring_h: int
) -> None:
    place = ZoneInfo(zone)
    for date, hours in (((2026, 11, 1), autumn_h), ((2027, 3, 14), spring_h)):
        noon = datetime(*date, 12, tzinfo=place)
        start, end = (day_start(Ts(int(at.timestamp() * 1000)), place) for at in (noon, noon + timedelta(days=1)))
        assert (end - start) / 3_600_000 == hours
        moments = [*range(start, end, 900_000), end - 1]
        assert {day_start(Ts(moment), place) for moment in moments} == {start}
        assert day_start(Ts(start - 1), place) < start
        assert day_start(end, place) == end


@pytest.mark.parametrize(("date", "hours"), [((2026, 11, 1), 25), ((2027, 3, 14), 23)])
def test_a_fill_an_hour_before_the_end_of_a_long_or_short_day_is_of_that_day(
    date: tuple[int, int, int], hours: int
) -> None:
    start = Ts(int(datetime(*date, tzinfo=NEW_YORK).timestamp() * 1000))
    state = EngineState(now=Ts(start + (hours - 1) * 3_600_000))
    day = TradingDayTotals(state, limits())

    def trade(number: int, at: int) -> None:
        fill = Fill(
            trade_id=f"t{number}", order_id="o", ticker="T", side=BID if number % 2 else ASK, price=Price(4_000),
            qty=Qty(100), fee=Money(1 << number), is_taker=True, ts=Ts(at),
        )  # fmt: skip
        state.ledger.book(fill)
        day.booked(fill)

    for number, at in enumerate((start - 1, start, state.now, start + hours * 3_600_000)):
        trade(number, at)
    assert day.net() == -(2 + 4 + 8), "what came before is not of today; what is of tomorrow has not been yet"
    state.now = Ts(start + hours * 3_600_000)
    assert day.net() == -8


# -- crossed --------------------------------------------------------------------------------------------------------


def test_a_person_is_refused_beyond_the_days_loss_and_may_still_close(sim: Simulation) -> None:
    lose(sim)
    assert refused(sim) == "DAILY_LOSS"
    halt = sim.store.halt()
    assert (halt.state, halt.code) == (TradingState.REDUCING, "DAILY_LOSS")
    assert "DAILY_LOSS" in [alert.code for alert in sim.store.alerts()]
    closed = sim.place(limits(), action="sell", price=cents(30))
    assert closed.filled == contracts(10)


def test_below_the_limit_nothing_is_refused(sim: Simulation) -> None:
    lose(sim)
    sim.place(limits(dollars(2)), price=cents(30))
    assert sim.store.halt().state is TradingState.ACTIVE


def test_a_loss_in_another_market_counts_at_what_it_is_worth_now(sim: Simulation) -> None:
    lose(sim)
    sim.market(40, 44, ticker=OTHER)
    assert refused(sim, ticker=OTHER) == "DAILY_LOSS"


def test_a_resume_does_not_lift_a_loss_that_is_still_there(sim: Simulation) -> None:
    realize(sim)
    assert refused(sim) == "DAILY_LOSS"
    sim.store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "let me", sim.clock.now()))
    assert refused(sim) == "DAILY_LOSS"
    assert sim.store.halt().state is TradingState.REDUCING


def test_neither_a_restart_nor_a_lost_state_file_resets_the_days_loss(sim: Simulation) -> None:
    realize(sim)
    sim.store.close()
    for path in sim.path.parent.glob("state.db*"):
        path.unlink()
    sim.store = Store.open(sim.path, account="alice", environment="sim")
    assert refused(sim) == "DAILY_LOSS", "counted again from the fills that the exchange has"
    assert len(sim.store.fills()) == 2


def test_in_a_loop_no_order_begins_after_the_breach_is_on_file_and_what_rests_is_cancelled(sim: Simulation) -> None:
    sim.market(40, 44)
    market = sim.client.market(TICKER)
    allowed = msgspec.structs.replace(limits(), min_edge=None, max_orders_per_minute=None)
    engine = load_engine(
        sim.client, sim.store, sim.clock, allowed, markets=[market], fees={TICKER: FeeSchedule()},
        new_id=sim.new_id, strategies=[Buyer()], order_expiry_s=90,  # type: ignore[list-item]
    )  # fmt: skip
    orders = engine.state.orders
    venue = LiveVenue(sim.client, None, sim.clock, live=orders.live, known=orders.by_order_id, since=Ts(0))
    states: list[TradingState] = []

    def look(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            states.append(sim.store.halt().state)
        return None

    sim.wire.before = look

    def go_on(seconds: float = 2.0) -> None:
        sim.clock.advance(seconds)
        book, tick = sim.client.orderbook(TICKER), Tick(sim.clock.now())
        for message in (book, tick):
            process_messages([*venue.observe(message), message], engine, venue, sim.store)

    for _ in range(5):
        go_on()
    bought = sim.place(limits(), price=cents(44))
    assert bought.filled == contracts(10)
    before = len(states)
    assert len(sim.exchange.resting("alice")) > 5, "companion: the strategy does bid"
    sim.market(28, 34)
    for _ in range(10):
        go_on()
    assert sim.store.halt().code == "DAILY_LOSS"
    assert set(states) == {TradingState.ACTIVE}
    assert len(states) < before + 10, "it stopped"
    assert sim.exchange.resting("alice") == []
    assert orders.live() == []


def test_over_midnight_the_halt_stays_and_the_loss_is_of_yesterday(sim: Simulation) -> None:
    """A restart at 23:59 neither resets nor doubles it; the day after, a person may resume."""
    realize(sim)
    before = counted(sim)
    assert before is not None
    assert before < -dollars(1)
    midnight = day_start(Ts(sim.clock.now() + 86_400_000), NEW_YORK)
    sim.clock.advance((midnight - sim.clock.now()) / 1000 - 60)
    assert (refused(sim), counted(sim)) == ("DAILY_LOSS", before)
    sim.clock.advance(61)
    assert counted(sim) == 0
    assert refused(sim) == "REDUCING", "nobody resumed"
    sim.store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "a new day", sim.clock.now()))
    assert sim.place(limits(), price=cents(30)).remaining == contracts(10)


# -- carried over midnight ------------------------------------------------------------------------------------------


def pass_midnight(sim: Simulation) -> Ts:
    """Go on to a second after midnight in New York; the exchange's candles go along."""
    midnight = day_start(Ts(sim.clock.now() + 86_400_000), NEW_YORK)
    sim.clock.advance((midnight - sim.clock.now()) / 1000 + 1)
    sim.exchange.advance(sim.clock.now())
    return midnight


def today(sim: Simulation, store: Store | None) -> tuple[Money, tuple[str, ...]]:
    """The day as `portfolio`, `top`, the web page and `check pnl` show it."""
    found, midnight = portfolio.read(sim.client, store), day_start(sim.clock.now(), NEW_YORK)
    result, unpriced = pnl_today(found, midnight, sim.client, store)
    return result.net, unpriced


def candles_fail(request: httpx.Request) -> httpx.Response | None:
    return httpx.Response(503) if request.url.path.endswith("/candlesticks") else None


def test_the_unrealized_loss_of_yesterday_is_not_of_today_in_any_program(sim: Simulation) -> None:
    lose(sim)
    assert today(sim, sim.store) == (-dollars("1.4") - fee(sim), ())
    pass_midnight(sim)
    assert (counted(sim), today(sim, sim.store)) == (0, (0, ())), "nothing has moved since midnight"
    sim.place(limits(), price=cents(20))  # last night's loss stops nobody in the morning
    sim.market(24, 28)
    assert (counted(sim), today(sim, sim.store)) == (-dollars("0.6"), (-dollars("0.6"), ()))


def fee(sim: Simulation) -> Money:
    return Money(sum(fill.fee for fill in sim.store.fills()))


def test_the_unrealized_gain_of_yesterday_hides_no_loss_of_today(sim: Simulation) -> None:
    sim.market(40, 44)
    sim.place(limits(), price=cents(44))
    sim.market(80, 84)
    pass_midnight(sim)
    sim.market(60, 64)
    assert today(sim, sim.store)[0] == -dollars(2)
    assert refused(sim) == "DAILY_LOSS"


def test_the_price_of_midnight_is_read_once_and_again_after_the_file_was_lost(sim: Simulation) -> None:
    lose(sim)
    midnight = pass_midnight(sim)
    assert counted(sim) == 0
    assert sim.store.opening_marks(midnight) == {TICKER: cents(30)}
    sim.market(24, 28)
    sim.wire.before = candles_fail
    assert (counted(sim), today(sim, sim.store)[0]) == (-dollars("0.6"), -dollars("0.6"))
    sim.wire.before = lambda _request: None
    sim.store.close()
    for path in sim.path.parent.glob("state.db*"):
        path.unlink()
    assert today(sim, None) == (-dollars("0.6"), ())
    sim.store = Store.open(sim.path, account="alice", environment="sim")
    assert counted(sim) == -dollars("0.6")


def test_where_the_price_of_midnight_is_unknown_the_loss_counts_and_is_named(sim: Simulation) -> None:
    lose(sim)
    pass_midnight(sim)
    sim.wire.before = candles_fail
    assert (counted(sim), today(sim, sim.store)) == (-dollars("1.4"), (-dollars("1.4"), (TICKER,)))
    sim.market(80, 84)
    assert (counted(sim), today(sim, sim.store)) == (0, (0, (TICKER,))), "a gain may be of yesterday"


def test_each_day_has_its_part_of_an_open_position(sim: Simulation) -> None:
    lose(sim)
    midnight = pass_midnight(sim)
    assert counted(sim) == 0
    sim.market(24, 28)
    openings = sim.store.history.opening_marks()

    def by(key: str, since: Ts | None) -> dict[str, Money]:
        parts = portfolio.group_pnl(
            portfolio.read(sim.client, sim.store, Ts(0)), key, since=since, openings=openings, zone=NEW_YORK,
            now=sim.clock.now(), strategy_of=lambda _fill: "", event_of=str, series_of=str,
        )  # fmt: skip
        return {name: part.net for name, part in parts.items()}

    assert by("day", None) == {"2026-05-28": -dollars("1.4") - fee(sim), "2026-05-29": -dollars("0.6")}
    assert by("month", None) == {"2026-05": -dollars(2) - fee(sim)}
    for key in portfolio.KEYS:
        assert sum(by(key, midnight).values()) == today(sim, sim.store)[0]
