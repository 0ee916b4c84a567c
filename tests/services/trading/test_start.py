"""Before any strategy acts the account agrees with the exchange, or nothing starts; a person reads what differed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import msgspec
import pytest
from support.simulation import DAY_MS, OTHER, T0, TICKER, Simulation, intend

from kalshi_cli.base.errors import CredentialsError, OutcomeUnknownError, RefusedError, UnreachableError
from kalshi_cli.base.units import ONE_DOLLAR, Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import OrderChanged, SubmitOrder
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import Filled
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.trading.start import reconcile_at_start
from kalshi_cli.simulator.model.listing import ExchangeOptions, NewOrder
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.views.formats import format_time


class Start:
    """A loop's start, as far as the account goes; `said` is what a person reads."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.said: list[str] = []

    def __call__(self, *tickers: str, last: Heartbeat | None = None) -> TradingEngine:
        one = self.sim

        def settle(*parts: Any) -> None:
            reconcile_at_start(*parts, tell=self.said.append, note=self.said.append, last=last)

        markets = [one.client.market(ticker) for ticker in tickers or (TICKER,)]
        return load_engine(
            one.client, one.store, one.clock, RiskLimits(), markets=markets, fees={}, new_id=one.new_id, agree=settle
        )

    @property
    def text(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def start(sim: Simulation) -> Start:
    return Start(sim)


def answering(sim: Simulation, path: str, answer: Callable[[Any], Any]) -> None:
    """From now on the exchange's JSON for a GET of this path is changed on its way."""

    def changed(request: httpx.Request) -> httpx.Response | None:
        if request.method != "GET" or not request.url.path.endswith(path):
            return None
        response = sim.checked.handle_request(request)
        return httpx.Response(response.status_code, json=answer(json.loads(response.read())), request=request)

    sim.wire.before = changed


def test_where_nothing_differs_nothing_is_waited_for(sim: Simulation, start: Start) -> None:
    start()
    assert start.said == ["Reconciled: no differences"]
    assert sim.clock.now() == T0


def test_everything_that_happened_meanwhile_is_booked_and_shown_as_a_list(sim: Simulation, start: Start) -> None:
    for ticker in (TICKER, OTHER):
        sim.market(39, 44, ticker=ticker)
    sim.place(price=cents(44), qty=contracts(3), tif=TimeInForce.IOC, ticker=OTHER)
    sim.client.create_order(intend(sim, "filled"))
    sim.client.create_order(intend(sim, "rests", price=cents(38)))
    intend(sim, "lost", price=cents(30))
    sim.quote(BID, 20, 3, who="alice")
    sim.take(ASK, 40, 10)
    sim.exchange.settle(OTHER, ONE_DOLLAR, sim.clock.now())
    sim.clock.advance(7_200)
    engine = start(TICKER, OTHER)
    head, *lines = start.said
    assert head == ("Reconciled: 1 fill, 1 settlement, 1 order external, 2 orders adopted, 1 order never arrived")
    assert sorted(line.split()[0].rstrip(":") for line in lines) == [
        "adopted", "adopted", "bought", "external", "never", "settled",
    ]  # fmt: skip
    names = {order.client_order_id: order.order_id[:8] for order in sim.client.orders()}
    filled, rests = (names[each] for each in ("filled", "rests"))
    (line,) = (each for each in lines if "is filled" in each)
    assert line.startswith(f"  adopted: Order {filled} on {TICKER} (buy 10 YES at $0.40) is filled: 10 of 10 filled")
    assert f"  adopted: Order {rests} on {TICKER} (buy 10 YES at $0.38) is resting: 0 of 10 filled" in lines
    assert f"  never arrived: Order lost on {TICKER} (buy 10 YES at $0.30)" in lines
    assert engine.state.ledger.position(TICKER).qty == contracts(10)
    assert engine.cash == sim.exchange.cash("alice")
    again = Start(sim)
    again(TICKER, OTHER)
    assert again.said == ["Reconciled: no differences"]


def killed(sim: Simulation) -> Heartbeat:
    """The last cycle of a loop that was killed a minute ago."""
    now = sim.clock.now()
    return Heartbeat(
        run_id="r", pid=77, mode="live", strategy="bidder", started=Ts(now - 90_000), completed=Ts(now - 60_000),
        cycles=9, is_running=True,
    )  # fmt: skip


def test_after_a_kill_each_order_of_the_killed_run_has_its_fate(sim: Simulation, start: Start) -> None:
    sim.market(39, 44)
    for name in ("rests", "gone"):
        sim.client.create_order(intend(sim, name, price=cents(38), strategy="bidder"))
    intend(sim, "lost", price=cents(30), strategy="bidder")
    start()
    gone = sim.store.order("gone")
    assert gone is not None
    sim.client.cancel_order(gone)
    assert "Reconciled: 2 orders adopted, 1 order never arrived" in start.said, "two are on file as resting now"
    start.said.clear()
    start(last=killed(sim))
    told = "; 1 order ended (above). To cancel one: `kalshi cancel ID`"
    when = format_time(Ts(sim.clock.now() - 60_000), sim.clock.now())
    assert start.said[0] == "Reconciled: 1 order ended"
    assert "  ended: Order" in start.said[1]
    at = start.said.index(
        f"The last run (pid 77) was killed; its last cycle was on {when}. This run takes over 1 order{told}"
    )
    rests = sim.store.order("rests").order_id[:8]  # type: ignore[union-attr]
    assert start.said[at + 1 :] == [
        f"  still resting: Order {rests} on {TICKER} (buy 10 YES at $0.38) is resting: 0 of 10 filled"
    ]


def test_what_the_exchange_rounds_and_dates_anew_is_no_difference(sim: Simulation, start: Start) -> None:
    """The loop was killed after the reply to its order, before the exchange's own record of it came."""
    sim.market(39, 44)
    ours = intend(sim, "rests", price=cents(38), strategy="bidder", expires=Ts(sim.clock.now() + 60_789))
    sim.client.create_order(ours)
    start()
    filed = sim.store.order("rests")
    assert filed is not None
    sim.store.record(OrderChanged(msgspec.structs.replace(filed, expires=ours.expires, updated=Ts(filed.updated - 3))))
    start.said.clear()
    start(last=killed(sim))
    assert "Reconciled: no differences" in start.said
    assert start.said[-1].startswith("  still resting: ")


def test_a_killed_run_without_orders_and_a_run_that_ended_by_itself(sim: Simulation, start: Start) -> None:
    start(last=killed(sim))
    assert start.said[-1].endswith("None of its orders is resting")
    start.said.clear()
    start(last=msgspec.structs.replace(killed(sim), is_running=False))
    assert start.said == ["Reconciled: no differences"]


def test_a_manual_order_is_not_one_of_the_killed_run(sim: Simulation, start: Start) -> None:
    sim.market(39, 44)
    sim.client.create_order(intend(sim, "by-hand", price=cents(38), strategy=""))
    start()
    start.said.clear()
    start(last=killed(sim))
    assert start.said[-1].endswith("None of its orders is resting")


def test_where_the_account_cannot_be_read_the_orders_of_a_killed_run_are_unknown(sim: Simulation, start: Start) -> None:
    answering(sim, "/portfolio/orders", lambda _answer: {"orders": "?"})
    with pytest.raises(UnreachableError):
        start(last=killed(sim))
    assert start.said[-1].endswith("Its orders are unknown: the account could not be read. `kalshi order list`")


@pytest.mark.parametrize(
    ("held", "side", "words"),
    [
        ("yes", ASK, "sell 10 YES at $0.42"),
        ("no", BID, "sell 10 NO at $0.60"),
        ("", ASK, "buy 10 NO at $0.58"),
    ],
)
@pytest.mark.parametrize("is_filled", [False, True])
def test_an_order_is_named_as_the_user_means_it(
    sim: Simulation, held: str, side: Side, words: str, is_filled: bool
) -> None:
    sim.market(39, 44)
    if held:
        sim.place(outcome=held, price=cents(44 if held == "yes" else 61), tif=TimeInForce.IOC)
    price = cents(42 if side is ASK else 40)
    sim.client.create_order(intend(sim, "mine", side=side, price=price))
    if is_filled:
        sim.take(side.opposite, 42 if side is ASK else 40, 10)
    start = Start(sim)
    start()
    assert f"({words}) is {'filled' if is_filled else 'resting'}" in start.text


def test_an_order_that_ended_is_named_by_the_position_that_it_met(sim: Simulation, start: Start) -> None:
    sim.market(39, 44)
    sim.client.create_order(intend(sim, "mine"))
    start()
    sim.take(ASK, 40, 10)
    sim.exchange.submit("alice", NewOrder(ticker=TICKER, side=ASK, price=cents(39), qty=contracts(25)), sim.clock.now())
    start()
    assert "(buy 10 YES at $0.40) is filled" in start.said[-4], start.said
    assert start.said[-1] == (
        "1 open position ($9.15) belongs to no strategy: no exits, no stop loss; to close one: `kalshi close TICKER`"
    )


def test_positions_of_strategies_are_not_among_those_of_none(sim: Simulation, start: Start) -> None:
    sim.market(39, 44)
    sim.client.create_order(intend(sim, "mine"))
    sim.take(ASK, 40, 10)
    start()
    assert "Reconciled: 1 fill" in start.text
    assert "no strategy" not in start.text


def test_after_weeks_an_order_that_only_history_has_is_over_and_its_fills_are_booked(sim: Simulation) -> None:
    """F14: orders leave the live endpoint two weeks after their end, with what we never heard of them."""
    sim.market(39, 44)
    sim.exchange.set_close_time(TICKER, Ts(T0 + 90 * DAY_MS), T0)
    sim.client.create_order(intend(sim, "unheard", expires=Ts(T0 + 90_000)))
    sim.place(price=cents(38), qty=contracts(7), client_order_id="rested", expires_in_s=60)
    sim.take(ASK, 40, 4)
    sim.clock.advance(20 * 86_400)
    sim.exchange.advance(sim.clock.now())
    start = Start(sim)
    engine = start()
    assert list(sim.client.orders()) == [], "the live endpoint knows none of them"
    orders = engine.state.orders
    found = {name: order for name in ("unheard", "rested") if (order := orders.get(name)) is not None}
    assert {name: order.status for name, order in found.items()} == dict.fromkeys(found, OrderStatus.CANCELED)
    assert found["unheard"].filled == contracts(4)
    assert engine.state.ledger.position(TICKER).qty == contracts(4)
    assert engine.state.orders.live() == []


# -- doubt ------------------------------------------------------------------------------------------------------------


def test_an_order_in_doubt_is_waited_for_until_a_fresh_read_proves_that_it_never_arrived(
    sim: Simulation, start: Start
) -> None:
    intend(sim, "lost", expires=Ts(T0 + 90_000))
    engine = start()
    assert engine.state.orders.live() == []
    assert 90_000 < sim.clock.now() - T0 < 100_000
    assert start.said[0] == "Waiting up to 91 s for the outcome of lost"
    assert start.said[1].startswith("Reconciled: 1 order never arrived")


def test_an_order_that_lands_while_the_start_waits_is_adopted(sim: Simulation, start: Start) -> None:
    sim.market(39, 44)
    late = intend(sim, "late", expires=Ts(T0 + 90_000))

    def land(request: httpx.Request) -> None:
        if sim.clock.now() > T0 + 20_000 and sim.wire.posts() == 0:
            sim.client.create_order(late)

    sim.wire.after = land
    engine = start()
    order = engine.state.orders.get("late")
    assert order is not None
    assert order.status is OrderStatus.RESTING
    assert sim.clock.now() < T0 + 30_000, "and then there is nothing left to wait for"


def test_an_order_that_lives_for_days_keeps_its_exposure_reserved_and_the_start_goes_on(
    sim: Simulation, start: Start
) -> None:
    intend(sim, "long", strategy="", expires=Ts(T0 + DAY_MS))
    engine = start()
    assert engine.state.orders.worst_case(TICKER) == (contracts(10), 0)
    assert sim.clock.now() == T0
    assert "Unconfirmed until 2026-05-29" in start.text


def test_where_reads_stay_stale_the_doubt_stays_and_nothing_starts(sim: Simulation, start: Start) -> None:
    """F40: "not there" of a list that is not newer than the send proves nothing, however often it is read."""
    intend(sim, "lost", expires=Ts(T0 + 90_000))
    answering(sim, "/user_data_timestamp", lambda _: {"as_of_time": "2026-05-28T20:26:40Z"})
    with pytest.raises(
        OutcomeUnknownError, match="Not started: orders stay unconfirmed after a fresh read of the account: los"
    ):
        start()
    order = sim.store.order("lost")
    assert order is not None
    assert order.status.is_live


# -- reads that are not complete --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/user_data_timestamp", "/orders", "/fills", "/settlements", "/positions", "/balance"]
)
def test_an_account_that_cannot_be_read_whole_is_waited_for_and_then_there_is_no_start(
    sim: Simulation, start: Start, path: str
) -> None:
    broken = httpx.Response(503, json={"error": "down"})
    sim.wire.before = lambda request: broken if request.url.path.endswith(path) else None
    with pytest.raises(UnreachableError, match="Not started: the account could not be read for 60 s"):
        start()
    assert start.said[0].startswith("Cannot read the account yet")
    assert len(start.said) == 2, "the second is what was reconciled"
    assert sim.clock.now() - T0 >= 50_000


def test_once_it_can_be_read_the_start_goes_on(sim: Simulation, start: Start) -> None:
    broken = httpx.Response(503, json={"error": "down"})
    sim.wire.before = lambda _: broken if sim.clock.now() < T0 + 20_000 else None
    sim.quote(BID, 30, 4, who="alice")
    engine = start.sim and load_later(sim, start)
    assert len(engine.state.orders.live()) == 1  # type: ignore[union-attr]
    assert "1 order external" in start.text


def load_later(sim: Simulation, start: Start) -> TradingEngine:
    """As a start does whose markets were read before the exchange went away."""
    return load_engine(
        sim.client, sim.store, sim.clock, RiskLimits(), markets=[], fees={}, new_id=sim.new_id,
        agree=lambda *parts: reconcile_at_start(*parts, tell=start.said.append, note=start.said.append),
    )  # fmt: skip


def test_a_key_that_is_refused_is_not_waited_for(sim: Simulation, start: Start) -> None:
    refused = httpx.Response(401, json={"error": {"code": "authentication_error", "message": "no"}})
    sim.wire.before = lambda request: refused if request.url.path.endswith("/balance") else None
    with pytest.raises(CredentialsError):
        start()
    assert sim.clock.now() == T0


# -- positions that nobody can explain --------------------------------------------------------------------------------


def hidden(body: Any) -> Any:
    return {"fills": [], "cursor": ""}


def test_a_position_that_the_fills_do_not_explain_is_not_traded(sim: Simulation, start: Start) -> None:
    sim.market()
    sim.quote(BID, 44, 10, who="alice")
    answering(sim, "/portfolio/fills", hidden)
    with pytest.raises(RefusedError, match=f"{TICKER}: local fills add up to 0, the exchange reports 10") as error:
        start()
    assert (error.value.code, "--ticker" in error.value.hint) == ("DRIFT", True)


def test_elsewhere_it_is_said_and_the_other_markets_are_traded(sim: Simulation, start: Start) -> None:
    sim.market()
    sim.quote(BID, 44, 10, who="alice")
    answering(sim, "/portfolio/fills", hidden)
    start(OTHER)
    assert f"so {TICKER} is not traded" in start.text


def test_fills_that_trail_the_positions_by_a_moment_are_waited_for(sim: Simulation, start: Start) -> None:
    sim.market()
    sim.quote(BID, 44, 10, who="alice")
    answering(sim, "/portfolio/fills", lambda body: body if sim.clock.now() > T0 + 3_000 else hidden(body))
    assert start().state.ledger.position(TICKER).qty == contracts(10)


def test_a_fill_from_before_the_overlap_is_found_by_the_position_that_it_explains(
    sim: Simulation, start: Start
) -> None:
    """The usual read begins an hour before the last fill booked; where that does not explain it, all is read again."""
    sim.market()
    sim.quote(BID, 44, 10, who="alice")
    sim.clock.advance(3 * 3_600)
    sim.market()
    sim.quote(BID, 44, 5, who="alice")
    newest = next(sim.client.fills())
    from kalshi_cli.core.model.effects import FillBooked

    sim.store.record(FillBooked(newest))
    assert start().state.ledger.position(TICKER).qty == contracts(15)


def test_reads_that_trail_the_matching_engine_do_not_stop_a_start(tmp_path: Any) -> None:
    one = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=2_000))
    one.market()
    one.place(price=cents(44), tif=TimeInForce.IOC)
    start = Start(one)
    assert start().state.ledger.position(TICKER).qty == contracts(10)
    one.close()


def test_no_strategy_is_asked_before_the_account_is_agreed_upon(sim: Simulation) -> None:
    """It is told of the fills it missed by its view, once it may act: what it wanted now could not be sent."""

    class Eager(Strategy):
        name = "eager"

        def on_fill(self, view: StrategyContext, fill: Fill) -> Iterable[Intent]:
            yield Place(TICKER, BID, cents(30), contracts(1), fair=cents(50), reason="at once")

    sim.market(39, 44)
    sim.client.create_order(intend(sim, "filled", strategy="eager"))
    sim.take(ASK, 40, 10)
    limits = RiskLimits(max_book_age_ms=None, price_collar=None)
    engine = load_engine(
        sim.client, sim.store, sim.clock, limits,
        markets=[sim.client.market(TICKER)], fees={TICKER: FeeSchedule()}, new_id=sim.new_id,
        strategies=[Eager(StrategyParams())],
    )  # fmt: skip
    assert [order.client_order_id for order in sim.store.orders()] == ["filled"]
    assert engine.state.by_strategy["eager"].position(TICKER).qty == contracts(10)
    (first,) = sim.store.fills()
    later = msgspec.structs.replace(first, trade_id="later", qty=contracts(1))
    assert any(isinstance(effect, SubmitOrder) for effect in engine.step(Filled(later.ts, later))), "but from now on"
