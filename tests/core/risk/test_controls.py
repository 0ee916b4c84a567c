"""Controls of how much there is, and of when a strategy may open: each binds, each can be switched off, and what only
closes passes it."""

from __future__ import annotations

from typing import Any

import pytest
from support.values import (
    HOUR,
    NOW,
    hold_position,
    make_book,
    make_engine,
    make_fill,
    make_market,
    make_order,
    make_state,
)

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import OrderRefused
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import Family, FeeSchedule, FeeType
from kalshi_cli.core.model.messages import Filled, MarketChange, MarketLocks, MarksUpdate, OrderAccepted
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.risk.controls import CONTROLS, OF_PEOPLE
from kalshi_cli.core.risk.review import review
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext

OPEN = {"min_edge": None, "max_orders_per_minute": None}


def place(side: Side = BID, price: int = 41, qty: int = 10, ticker: str = "KXA-1", **changes: Any) -> Place:
    return Place(ticker, side, cents(price), contracts(qty), **changes)


def code(state: EngineState, intent: Place, strategy: str = "s", **limits: Any) -> str:
    verdict = review(
        state, RiskLimits(**{**OPEN, **limits}), intent, client_order_id="new", strategy=strategy, expiry_s=90
    )
    return verdict.code if isinstance(verdict, OrderRefused) else "approved"


@pytest.fixture
def state() -> EngineState:
    markets = [make_market(f"KXA-{n}") for n in (1, 2)] + [make_market("KXB-1", event_ticker="KXB")]
    families = {
        "KXA": Family(event_ticker="KXA", category="Sports", is_exclusive=True),
        "KXB": Family(event_ticker="KXB", category="Sports"),
    }
    free = FeeSchedule(FeeType.QUADRATIC, 0)
    state = make_state(*markets, families=families, fees={market.ticker: free for market in markets})
    for market in markets:
        snapshot = make_book(ticker=market.ticker)
        state.books[market.ticker].load(snapshot.bids, snapshot.asks, snapshot.ts)
    return state


# -- what is at risk ----------------------------------------------------------------------------------------------


def test_the_markets_of_an_event_are_at_risk_together(state: EngineState) -> None:
    state.orders.add(make_order("other", ticker="KXA-2", status=OrderStatus.UNKNOWN))
    assert state.event_exposure("KXA") == dollars(4)
    assert code(state, place(price=40), max_event_exposure=dollars(8)) == "approved"
    assert code(state, place(price=41), max_event_exposure=dollars(8)) == "EVENT_EXPOSURE"
    assert code(state, place(price=41, ticker="KXB-1"), max_event_exposure=dollars(8)) == "approved"
    assert code(state, place(price=41), strategy="", max_event_exposure=dollars(8)) == "EVENT_EXPOSURE", "people too"


def test_in_an_exclusive_event_only_one_outcome_can_go_against_us(state: EngineState) -> None:
    state.ledger.book(make_fill(ticker="KXA-2", side=ASK, price=cents(60)))
    assert state.event_exposure("KXA") == dollars(4), "ten NO at 40 cents"
    state.ledger.book(make_fill("t2", side=ASK, price=cents(40)))
    assert state.event_exposure("KXA") == 0, "one costs $6 while the other wins $6, or $4 while the other wins $4"
    state.families["KXA"] = Family(event_ticker="KXA")
    assert state.event_exposure("KXA") == dollars(10)


def test_the_events_of_a_category_count_together_and_those_of_none_in_each(state: EngineState) -> None:
    state.orders.add(make_order("other", ticker="KXB-1"))
    limit: dict[str, Any] = {"max_category_exposure": dollars(8)}
    assert code(state, place(price=40), **limit) == "approved"
    assert code(state, place(price=41), **limit) == "CATEGORY_EXPOSURE"
    state.families["KXB"] = Family(event_ticker="KXB", category="Crypto")
    assert code(state, place(price=41), **limit) == "approved"
    del state.families["KXB"]
    assert code(state, place(price=41), **limit) == "CATEGORY_EXPOSURE"


def test_an_order_in_an_event_of_no_known_category_is_held_against_the_fullest(state: EngineState) -> None:
    state.orders.add(make_order("other", ticker="KXB-1"))
    state.families["KXA"] = Family(event_ticker="KXA")
    assert code(state, place(price=40), max_category_exposure=dollars(8)) == "approved"
    assert code(state, place(price=41), max_category_exposure=dollars(8)) == "CATEGORY_EXPOSURE"


def test_an_order_in_a_market_that_nobody_read_is_of_the_event_that_its_ticker_names(state: EngineState) -> None:
    state.orders.add(make_order("typed", ticker="KXA-9"))
    assert state.event_exposure("KXA") >= dollars(4)
    assert state.event_of("NODASH") == "NODASH"


def test_exposure_counts_the_fee_of_what_may_still_trade_and_none_that_was_paid(state: EngineState) -> None:
    state.fees["KXA-1"] = FeeSchedule()
    assert code(state, place(price=40), max_exposure=Money(4_168_000)) == "approved"
    assert code(state, place(price=40), max_exposure=Money(4_167_999)) == "EXPOSURE"
    assert code(state, place(price=40, post_only=True), max_exposure=dollars(4)) == "approved", "makers are not charged"
    state.ledger.book(make_fill(fee=Money(168_000)))
    assert state.total_exposure() == dollars(4)


def test_a_market_whose_fees_were_not_read_has_those_of_its_series(state: EngineState) -> None:
    state.fees["KXA-1"] = FeeSchedule(FeeType.WITH_MAKER)
    state.orders.add(make_order("sibling", ticker="KXA-9"))
    assert state.total_exposure() == dollars(4) + Money(42_000), "0.0175 * 10 * 0.40 * 0.60"
    state.orders.add(make_order("other", ticker="KXAB-1"))
    assert state.total_exposure() == dollars(8) + Money(42_000), "the series KXAB is another one"


def test_what_was_read_of_a_market_since_counts_at_once() -> None:
    engine = make_engine(state=make_state(families={"KXZ": Family(event_ticker="KXZ")}))
    engine.state.orders.add(make_order("other", ticker="KXQ-1", status=OrderStatus.UNKNOWN))
    before = engine.state.event_exposure("KXQ")
    engine.step(MarketChange(NOW, make_market("KXQ-1", event_ticker="KXZ"), FeeSchedule(FeeType.QUADRATIC, 0)))
    assert (engine.state.event_exposure("KXQ"), engine.state.event_exposure("KXZ")) == (0, dollars(4))
    assert before > dollars(4), "with the fee that most series charge"
    engine.state.orders.add(make_order("held", ticker="KXR-1"))
    assert engine.state.event_exposure("KXR") == dollars(4)
    engine.step(MarksUpdate(NOW, (make_market("KXR-1", event_ticker="KXY"),)))
    assert engine.state.event_exposure("KXY") == dollars(4)


# -- how many, how often --------------------------------------------------------------------------------------------


def test_the_number_of_live_orders_is_bounded_over_all_markets(state: EngineState) -> None:
    state.orders.add(make_order("a"))
    state.orders.add(make_order("b", ticker="KXB-1", is_foreign=True, order_id="o9"))
    assert code(state, place(), max_live_orders=3) == "approved"
    assert code(state, place(), max_live_orders=2) == "LIVE_ORDERS"
    hold_position(state)
    assert code(state, place(ASK, 45), max_live_orders=0) == "approved", "it closes"


def test_what_is_traded_in_a_market_within_an_hour_is_bounded(state: EngineState) -> None:
    state.ledger.book(make_fill(qty=contracts(20), ts=Ts(NOW - HOUR + 1)))
    state.ledger.book(make_fill("t2", side=ASK, qty=contracts(20), ts=Ts(NOW - 1)))
    state.orders.add(make_order("rests"))
    limit: dict[str, Any] = {"max_churn": contracts(60)}
    assert code(state, place(qty=10), **limit) == "approved"
    assert code(state, place(qty=11), **limit) == "CHURN"
    assert code(state, place(qty=11, ticker="KXB-1"), **limit) == "approved"
    state.now = Ts(NOW + 1)
    assert code(state, place(qty=11), **limit) == "approved", "an hour ago is not within it"


def test_what_was_traded_and_not_told_yet_is_churn_and_closing_is_not_held_up() -> None:
    engine = make_engine(limits=RiskLimits(min_edge=None, max_churn=contracts(10)))
    engine.step(make_book())
    sent = engine.place(place(price=44, tif=TimeInForce.IOC), "s")
    assert not isinstance(sent, OrderRefused)
    engine.step(OrderAccepted(NOW, sent.order.client_order_id, "o1", contracts(10), Qty(0)))
    refused = engine.place(place(qty=1), "s")
    assert isinstance(refused, OrderRefused)
    assert refused.code == "CHURN"
    engine.step(Filled(NOW, make_fill(client_order_id=sent.order.client_order_id, price=cents(44))))
    assert not isinstance(engine.place(place(ASK, 40), "s"), OrderRefused)


def test_after_a_loss_a_strategy_waits_in_that_market_and_others_do_not() -> None:
    limits = RiskLimits(min_edge=None, cooldown_after_loss_ms=60_000)
    engine: TradingEngine = make_engine(limits=limits, state=make_state(make_market(), make_market("KXB-1")))
    for ticker in ("KXA-1", "KXB-1"):
        engine.step(make_book(ticker=ticker))

    def trade(side: Side, price: int, number: int) -> None:
        sent = engine.place(place(side, price, tif=TimeInForce.IOC), "loser")
        assert not isinstance(sent, OrderRefused), sent
        name = sent.order.client_order_id
        engine.step(OrderAccepted(NOW, name, f"o{number}", contracts(10), Qty(0)))
        fill = make_fill(f"t{number}", order_id=f"o{number}", client_order_id=name, side=side, price=cents(price))
        engine.step(Filled(NOW, fill))

    def verdict(strategy: str, ticker: str = "KXA-1", side: Side = BID) -> str:
        wanted = place(side, 42, 1, ticker=ticker)
        return code(engine.state, wanted, strategy, cooldown_after_loss_ms=60_000, max_book_age_ms=None)

    trade(BID, 40, 1)
    trade(ASK, 41, 2)
    assert verdict("loser") == "approved", "that was no loss"
    trade(BID, 44, 3)
    trade(ASK, 40, 4)
    assert verdict("loser") == "COOLDOWN"
    assert (verdict("other"), verdict(""), verdict("loser", "KXB-1")) == ("approved",) * 3
    engine.state.now = Ts(NOW + 59_999)
    assert verdict("loser") == "COOLDOWN"
    engine.state.now = Ts(NOW + 60_000)
    assert verdict("loser") == "approved"
    engine.state.now = NOW
    engine.state.ledger.book(make_fill("held", qty=contracts(5)))
    assert verdict("loser", side=ASK) == "approved", "it closes"


def test_each_further_loss_doubles_the_cooldown_until_what_was_lost_is_earned_back() -> None:
    state = make_state(make_market(close_time=Ts(NOW + 100 * HOUR)))
    engine: TradingEngine = make_engine(limits=RiskLimits(min_edge=None, cooldown_after_loss_ms=60_000), state=state)
    engine.step(make_book())
    at, number = NOW, 0

    def trade(side: Side, price: int, after_s: int = 0, qty: int = 10, fee: int = 0) -> None:
        nonlocal at, number
        at, number = Ts(at + after_s * 1000 + 1), number + 1
        order = make_order(
            f"c{number}", order_id=f"o{number}", side=side, strategy="loser", status=OrderStatus.CANCELED
        )
        engine.state.orders.add(order)
        fill = make_fill(
            f"t{number}", order_id=f"o{number}", client_order_id=f"c{number}", side=side, price=cents(price), ts=at,
            qty=contracts(qty), fee=Money(fee),
        )  # fmt: skip
        engine.step(Filled(at, fill))

    def waits_s() -> int:
        """How long from the last loss on nothing is opened."""
        for seconds in (0, *(60 * 2**doubled for doubled in range(12))):
            engine.state.now = Ts(at + seconds * 1000)
            wanted = place(BID, 42, 1)
            limits = {"cooldown_after_loss_ms": 60_000, "max_book_age_ms": None, "max_churn": None}
            is_refused = code(engine.state, wanted, "loser", **limits) == "COOLDOWN"
            assert StrategyContext(engine.state, "loser", engine.limits).is_cooling_down(wanted.ticker) is is_refused
            assert not StrategyContext(engine.state, "loser", RiskLimits()).is_cooling_down(wanted.ticker)
            if not is_refused:
                return seconds
        raise AssertionError("it waits for ever")

    found = []
    for _ in range(3):
        trade(BID, 40)
        trade(ASK, 37, qty=5)
        trade(ASK, 36, qty=5)
        found.append(waits_s())
    assert found == [60, 120, 240], "what closes in parts is one loss"
    trade(BID, 40)
    trade(ASK, 41)
    trade(BID, 40)
    trade(ASK, 39)
    assert waits_s() == 480, "a little was earned, not what was lost"
    trade(BID, 40)
    trade(ASK, 60)
    trade(BID, 40)
    trade(ASK, 39)
    assert waits_s() == 60, "it was earned back"
    trade(BID, 40)
    trade(ASK, 40, fee=1)
    assert waits_s() == 120, "the fee alone"
    for _ in range(12):
        trade(BID, 40)
        trade(ASK, 39)
    assert waits_s() == 60 * 512, "no longer than that"
    trade(BID, 40, after_s=86_400)
    trade(ASK, 39)
    assert waits_s() == 60, "a day later"


@pytest.mark.parametrize(
    ("booked", "sides", "cooldown_ms", "expected"),
    [
        (0, (BID,), 60_000, "approved"),  # it opens
        (10, (BID,), 60_000, "approved"),  # it opens more
        (10, (ASK,), 60_000, "COOLDOWN"),
        (10, (ASK,), 0, "approved"),  # no loss is waited for
        (-10, (BID,), 60_000, "COOLDOWN"),
        (0, (BID, ASK), 60_000, "COOLDOWN"),
    ],
)
def test_while_the_fills_of_a_close_are_on_their_way_nothing_is_opened_since_nobody_knows_what_it_lost(
    booked: int, sides: tuple[Side, ...], cooldown_ms: int, expected: str
) -> None:
    engine: TradingEngine = make_engine(limits=RiskLimits(min_edge=None), state=make_state(make_market()))
    engine.step(make_book())

    def trade(side: Side, number: int) -> str:
        sent = engine.place(place(side, 42, tif=TimeInForce.IOC), "s")
        assert not isinstance(sent, OrderRefused), sent
        engine.step(OrderAccepted(NOW, sent.order.client_order_id, f"o{number}", contracts(10), Qty(0)))
        return sent.order.client_order_id

    if booked:
        side = BID if booked > 0 else ASK
        name = trade(side, 0)
        engine.step(Filled(NOW, make_fill("t", order_id="o0", client_order_id=name, side=side, price=cents(42))))
    for number, side in enumerate(sides, 1):
        trade(side, number)

    def verdict(strategy: str) -> str:
        wanted = place(BID if booked >= 0 else ASK, 42, 1)
        return code(engine.state, wanted, strategy, cooldown_after_loss_ms=cooldown_ms, max_book_age_ms=None)

    assert verdict("s") == expected
    assert (verdict("other"), verdict("")) == ("approved", "approved")


# -- when, and at which price, a strategy may open ----------------------------------------------------------------


def test_in_a_wide_market_strategies_open_nothing(state: EngineState) -> None:
    assert code(state, place(), max_spread=cents(4)) == "approved"
    assert code(state, place(), max_spread=cents(3)) == "SPREAD"
    assert code(state, place(), "", max_spread=cents(3)) == "approved", "a person sees it"
    book = state.books["KXA-1"]
    book.load((), ((cents(4), contracts(9)),), NOW)
    assert code(state, place(price=3), max_spread=cents(4)) == "approved", "nobody bids: the end of the scale is at 0"
    book.load(((cents(40), contracts(9)),), (), NOW)
    assert code(state, place(), max_spread=cents(59)) == "SPREAD"
    hold_position(state)
    assert code(state, place(ASK, 45), max_spread=cents(0)) == "approved", "it closes"
    only: dict[str, Any] = {"tif": TimeInForce.IOC, "reduce_only": True}
    assert code(state, place(ASK, 45, **only), max_spread=cents(0)) == "approved"
    assert code(state, place(ASK, 45, 99, **only), max_spread=cents(0)) == "SPREAD", "more than the strategy holds"
    del state.books["KXA-1"]
    assert code(state, place(), max_spread=cents(0), max_book_age_ms=None) == "approved"


def test_shortly_before_a_market_closes_strategies_open_nothing(state: EngineState) -> None:
    limit: dict[str, Any] = {"min_time_to_close_ms": HOUR}
    assert code(state, place(), **limit) == "MARKET_CLOSING", "it closes in an hour"
    assert code(state, place(), "", **limit) == "approved"
    assert code(state, place(), min_time_to_close_ms=HOUR - 1) == "approved"
    hold_position(state)
    assert code(state, place(ASK, 45), **limit) == "approved"


def test_a_price_far_beyond_what_a_strategy_holds_for_fair_is_refused_whatever_others_quote(state: EngineState) -> None:
    assert code(state, place(price=44, fair=cents(33))) == "PRICE_COLLAR"
    assert code(state, place(price=44, fair=cents(34))) == "approved"
    assert code(state, place(ASK, 40, fair=cents(51))) == "PRICE_COLLAR"
    hold_position(state)
    assert code(state, place(ASK, 40, fair=cents(51))) == "approved", "to get out it may"


# -- locks ----------------------------------------------------------------------------------------------------------


def test_a_locked_market_takes_only_what_closes(state: EngineState) -> None:
    state.locks = {"KXA-1": Ts(NOW + 1)}
    assert code(state, place()) == code(state, place(), "") == "LOCKED"
    assert code(state, place(ticker="KXB-1")) == "approved"
    hold_position(state)
    assert code(state, place(ASK, 45)) == "approved"
    assert code(state, place(ASK, 45, 11)) == "LOCKED"
    state.now = Ts(NOW + 1)
    assert code(state, place(ASK, 45, 11)) == "approved"


def test_the_engine_hears_of_locks() -> None:
    engine = make_engine()
    assert engine.step(MarketLocks(NOW, {"KXA-1": Ts(NOW + 9)})) == []
    assert engine.state.locks == {"KXA-1": NOW + 9}
    engine.step(MarketLocks(NOW, {}))
    assert engine.state.locks == {}


# -- all of them -------------------------------------------------------------------------------------------------


def test_each_control_is_asked_once_and_people_are_asked_less() -> None:
    assert len(set(CONTROLS)) == len(CONTROLS)
    assert set(OF_PEOPLE) < set(CONTROLS)


def test_without_limits_nothing_of_this_file_objects(state: EngineState) -> None:
    state.orders.add(make_order("other", qty=contracts(10_000)))
    none = dict.fromkeys(("max_position", "max_exposure", "max_order_qty", "max_order_cost", "price_collar"))
    assert code(state, place(qty=9_999, ticker="KXB-1"), **none) == "approved"  # type: ignore[arg-type]
