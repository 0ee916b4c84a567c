"""Every control objects when it must, stays silent when it may, and the worst case is truly the worst."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, combinations, permutations
from typing import Any

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.values import NOW, hold_position, make_book, make_fill, make_market, make_order, make_state

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.effects import OrderRefused, SubmitOrder
from kalshi_cli.core.model.exchange import ExchangeStatus, TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.risk.review import review
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import SentOrder
from kalshi_cli.core.state.state import EngineState


def place(side: Side = BID, price: int = 41, qty: int = 10, **changes: Any) -> Place:
    return Place("KXA-1", side, cents(price), contracts(qty), **changes)


def judge(
    state: EngineState, intent: Place, limits: RiskLimits | None = None, strategy: str = ""
) -> SubmitOrder | OrderRefused:
    return review(state, limits or RiskLimits(), intent, client_order_id="new", strategy=strategy, expiry_s=90)


def code(state: EngineState, intent: Place, limits: RiskLimits | None = None, strategy: str = "") -> str:
    verdict = judge(state, intent, limits, strategy)
    return verdict.code if isinstance(verdict, OrderRefused) else "approved"


@pytest.fixture
def state() -> EngineState:
    state = make_state()
    snapshot = make_book()
    state.books["KXA-1"].load(snapshot.bids, snapshot.asks, snapshot.ts)
    return state


def test_an_ordinary_order_is_approved_with_its_expiry(state: EngineState) -> None:
    verdict = judge(state, place(fair=cents(50), reason="cheap"))
    assert isinstance(verdict, SubmitOrder)
    order = verdict.order
    assert (order.status, order.side, order.price, order.qty) == (OrderStatus.SUBMITTED, BID, cents(41), contracts(10))
    assert order.expires == NOW + 90_000
    assert (order.fair, order.reason) == (cents(50), "cheap")


def test_zero_life_asks_for_good_till_cancelled_and_ioc_never_expires(state: EngineState) -> None:
    for intent in (place(expires_in_s=0), place(tif=TimeInForce.IOC)):
        verdict = judge(state, intent)
        assert isinstance(verdict, SubmitOrder)
        assert verdict.order.expires is None
    named = judge(state, place(expires_in_s=5))
    assert isinstance(named, SubmitOrder)
    assert named.order.expires == NOW + 5_000


def test_a_halt_refuses_everything(state: EngineState) -> None:
    state.trading = TradingState.HALTED
    assert code(state, place()) == "HALTED"


def test_while_the_account_is_out_of_sight_a_strategy_opens_nothing(state: EngineState) -> None:
    state.blind_since = Ts(NOW - 15_000)
    assert code(state, place(), strategy="s") == "BLIND"
    hold_position(state)
    assert code(state, place(ASK, 45), strategy="s") == "BLIND", "what it holds may be another count by now"
    assert code(state, place(ASK, 45, tif=TimeInForce.IOC, reduce_only=True), strategy="s") == "approved", (
        "that cannot open"
    )
    assert code(state, place()) == "approved", "whoever types it looks at the account himself"
    state.blind_since = None
    assert code(state, place(ASK, 45), strategy="s") == "approved"


def test_what_only_reduces_goes_only_where_there_is_something_on_the_other_side(state: EngineState) -> None:
    out = place(ASK, 45, tif=TimeInForce.IOC, reduce_only=True)
    assert code(state, out, strategy="s") == "NOT_CLOSING"
    assert code(state, out) == "approved", "a person may know better"
    hold_position(state, side=ASK)
    assert code(state, out, strategy="s") == "NOT_CLOSING"
    hold_position(state, "s", "t2", qty=contracts(20))
    assert code(state, out, strategy="s") == "approved"


def test_reducing_takes_only_what_makes_the_position_smaller(state: EngineState) -> None:
    state.trading = TradingState.REDUCING
    assert code(state, place(ASK, 45)) == "REDUCING"
    state.ledger.book(make_fill(qty=contracts(10)))
    assert code(state, place(ASK, 45, 10)) == "approved"
    assert code(state, place(ASK, 45, 11)) == "REDUCING"
    assert code(state, place(BID, 40, 1)) == "REDUCING"
    state.ledger.book(make_fill("t2", side=ASK, qty=contracts(20)))
    assert code(state, place(BID, 40, 10)) == "approved"


@pytest.mark.parametrize(
    "limits",
    [
        RiskLimits(min_edge=None),
        RiskLimits(min_edge=None, max_churn=Qty(0)),
        RiskLimits(min_edge=None, max_orders_per_minute=0),
        RiskLimits(min_edge=None, max_position=Qty(0)),
    ],
)
def test_a_strategy_gets_out_of_what_another_has_netted_in_part(state: EngineState, limits: RiskLimits) -> None:
    """It wants to close ten, the account has five, and an order of another rests on that side: the exchange cuts it."""
    hold_position(state)
    hold_position(state, "another", "t2", side=ASK, qty=contracts(5))
    state.orders.add(make_order("another's", side=ASK, price=cents(60)))
    if limits == RiskLimits(min_edge=None):
        state.trading = TradingState.REDUCING
    out: dict[str, Any] = {"side": ASK, "price": 40, "qty": 10, "tif": TimeInForce.IOC}
    assert code(state, place(**out, reduce_only=True), limits, "s") == "approved"
    assert code(state, place(**out), limits, "s") != "approved", "that could open a short"
    money = RiskLimits(min_edge=None, max_exposure=Money(1))
    if state.trading is TradingState.ACTIVE:
        assert code(state, place(**out, reduce_only=True), money, "s") == "EXPOSURE", "what rests opens more after it"
    assert code(state, place(BID, 44, tif=TimeInForce.IOC, reduce_only=True), limits, "s") != "approved", (
        "nothing to reduce"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": MarketStatus.CLOSED}, "MARKET_NOT_OPEN"),
        ({"status": MarketStatus.UNKNOWN}, "MARKET_NOT_OPEN"),
        ({"status": MarketStatus.INACTIVE}, "MARKET_NOT_OPEN"),
        ({"close_time": Ts(NOW + 4_000)}, "MARKET_CLOSING"),
        ({"close_time": Ts(NOW - 1)}, "MARKET_CLOSING"),
    ],
)
def test_a_market_that_is_not_open_is_refused(state: EngineState, changes: Any, expected: str) -> None:
    state.markets["KXA-1"] = make_market(**changes)
    assert code(state, place()) == expected


def test_nothing_is_sent_while_the_exchange_pauses(state: EngineState) -> None:
    state.exchange = ExchangeStatus(exchange_active=True, trading_active=False)
    assert code(state, place()) == "TRADING_PAUSED"
    state.exchange = ExchangeStatus(exchange_active=True, trading_active=True)
    assert code(state, place()) == "approved"


def test_an_unknown_market_is_refused(state: EngineState) -> None:
    assert code(state, Place("KXB-1", BID, cents(40), contracts(1))) == "UNKNOWN_MARKET"


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (place(qty=0), "BAD_COUNT"),
        (place(qty=-1), "BAD_COUNT"),
        (Place("KXA-1", BID, Price(4_150), contracts(1)), "OFF_GRID_PRICE"),
        (Place("KXA-1", BID, Price(0), contracts(1)), "OFF_GRID_PRICE"),
        (Place("KXA-1", ASK, ONE_DOLLAR, contracts(1)), "OFF_GRID_PRICE"),
        (place(reduce_only=True), "BAD_FLAGS"),
        (place(post_only=True, tif=TimeInForce.FOK), "BAD_FLAGS"),
        (place(reduce_only=True, tif=TimeInForce.IOC), "approved"),
    ],
)
def test_nonsense_is_refused(state: EngineState, intent: Place, expected: str) -> None:
    assert code(state, intent) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"qty": float("nan")},
        {"qty": 150.5},
        {"qty": True},
        {"price": 4_000.0},
        {"price": "0.40"},
        {"fair": 0.5},
        {"fair": 10_001},
        {"fair": -1},
        {"side": "yes"},
        {"tif": "gtc"},
        {"post_only": "no"},
        {"reduce_only": 1},
        {"reason": b"x"},
        {"reason": "\ud800"},
        {"expires_in_s": float("inf")},
        {"expires_in_s": float("nan")},
        {"expires_in_s": -1},
        {"expires_in_s": "soon"},
        {"expires_in_s": 1e14},
        {"outcome": "No"},
        {"outcome": None},
        {"side": "ask"},
        {"needs": [place()]},
        {"needs": (None,)},
        {"needs": (place(fair=cents(60)),) * 21},
        {"needs": (place(fair=cents(60), needs=(place(fair=cents(60)),)),)},
    ],
)
def test_only_what_is_exactly_of_its_type_passes(state: EngineState, changes: Any) -> None:
    intent = msgspec.structs.replace(place(fair=cents(60)), **changes)
    assert code(state, intent, strategy="s") == "BAD_INTENT"


def test_what_an_order_needs_is_held_against_the_limits_with_all_before_it_live_and_nothing_of_it_stays(
    state: EngineState,
) -> None:
    limits = RiskLimits(max_position=contracts(25), max_orders_per_minute=10)
    legs = place(needs=(place(), place(qty=5)))
    assert code(state, legs, limits) == "approved"
    more = judge(state, place(needs=(place(), place(qty=6))), limits)
    assert isinstance(more, OrderRefused)
    assert (more.code, more.detail) == (
        "POSITION_LIMIT",
        "the position could reach 26 contracts; the limit is 25, needed by KXA-1",
    )
    hurried = msgspec.structs.replace(limits, max_orders_per_minute=2)
    assert code(state, legs, hurried) == "ORDER_RATE"
    assert (state.orders.count_live, state.total_exposure(), len(state.sent)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("lock", "named", "is_in"),
    [(None, 0, 0), (None, 3, 3), (2, 0, 2), (2, 2, 2), (0, 0, 0), (2, 3, None), (0, 3, None)],
)
def test_an_order_is_of_the_subaccount_that_its_key_is_locked_to(
    state: EngineState, lock: int | None, named: int, is_in: int | None
) -> None:
    state.lock = lock
    verdict = review(
        state, RiskLimits(), place(fair=cents(60), subaccount=named), client_order_id="one", strategy="s", expiry_s=None
    )
    if is_in is None:
        assert isinstance(verdict, OrderRefused)
        assert (verdict.code, verdict.detail) == (
            "BAD_INTENT",
            f"subaccount 3 requested, but the API key is restricted to subaccount {lock}",
        )
    else:
        assert isinstance(verdict, SubmitOrder)
        assert verdict.order.subaccount == is_in


@pytest.mark.parametrize("lock", [None, 0, 2])
def test_the_group_of_a_run_is_for_the_subaccount_of_its_key(state: EngineState, lock: int | None) -> None:
    state.lock = lock
    state.groups[0] = "group"
    verdict = judge(state, place(fair=cents(60)), strategy="s")
    assert isinstance(verdict, SubmitOrder)
    assert (verdict.order.order_group_id, verdict.order.subaccount) == ("group", lock or 0)


def test_what_closes_a_position_is_not_held_up_by_the_order_rate(state: EngineState) -> None:
    state.ledger.book(make_fill(qty=contracts(10)))
    limits = RiskLimits(max_orders_per_minute=0)
    assert code(state, place(ASK, 45, 10), limits) == "approved"
    assert code(state, place(ASK, 45, 11), limits) == "ORDER_RATE"


def test_off_grid_names_the_neighbours(state: EngineState) -> None:
    verdict = judge(state, Place("KXA-1", BID, Price(4_150), contracts(1)))
    assert isinstance(verdict, OrderRefused)
    assert "nearest $0.41 and $0.42" in verdict.detail
    edge = judge(state, Place("KXA-1", ASK, Price(9_950), contracts(1)))
    assert isinstance(edge, OrderRefused)
    assert "$0.99 and none" in edge.detail


def test_no_order_is_priced_from_a_book_that_cannot_be_believed(state: EngineState) -> None:
    limits = RiskLimits(max_book_age_ms=1_000)
    state.now = Ts(NOW + 1_001)
    assert code(state, place(), limits) == "STALE_BOOK"
    state.is_feed_live, state.feed_ts = True, Ts(NOW + 500)
    assert code(state, place(), limits) == "approved", "a quiet market on a living stream is fresh"
    state.books["KXA-1"].apply(BID, cents(44), contracts(1), state.now)
    assert code(state, place(), limits) == "STALE_BOOK", "crossed"
    state.books["KXA-1"].invalidate("gap")
    assert code(state, place(), limits) == "STALE_BOOK"
    assert code(state, place(), RiskLimits(max_book_age_ms=None)) == "approved"
    del state.books["KXA-1"]
    assert code(state, place(), limits) == "STALE_BOOK"


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (place(BID, 54), "approved"),
        (place(BID, 55), "PRICE_COLLAR"),
        (place(BID, 1), "approved"),
        (place(ASK, 30), "approved"),
        (place(ASK, 29), "PRICE_COLLAR"),
        (place(ASK, 99), "approved"),
    ],
)
def test_the_collar_stops_fat_fingers_on_the_side_that_hurts(state: EngineState, intent: Place, expected: str) -> None:
    assert code(state, intent) == expected


def test_the_collar_falls_back_to_own_side_then_to_the_last_price(state: EngineState) -> None:
    state.books["KXA-1"].load(((cents(40), contracts(1)),), (), NOW)
    assert code(state, place(BID, 51)) == "PRICE_COLLAR", "own side"
    state.books["KXA-1"].load((), (), NOW)
    assert code(state, place(BID, 53)) == "PRICE_COLLAR", "last price 42"


@pytest.fixture
def unpriced(state: EngineState) -> EngineState:
    """Nobody quotes, and nothing was ever traded: a fresh market, or a combo that somebody just asked for."""
    state.books["KXA-1"].load((), (), NOW)
    state.markets["KXA-1"] = make_market(last=None)
    return state


def test_in_a_market_without_a_price_a_person_is_the_first_as_far_as_the_worst_loss_may_go(
    unpriced: EngineState,
) -> None:
    assert code(unpriced, place(BID, 99)) == "approved"
    assert code(unpriced, place(BID, 99), RiskLimits(max_order_cost=Money(9_000_000))) == "ORDER_COST"
    assert code(unpriced, place(BID, 99), RiskLimits(max_exposure=Money(9_000_000))) == "EXPOSURE"


def test_in_a_market_without_a_price_a_strategy_is_held_to_what_it_takes_for_fair(unpriced: EngineState) -> None:
    limits = RiskLimits(min_edge=None)
    assert code(unpriced, place(BID, 41), limits, "s") == "PRICE_COLLAR", "it says nothing"
    assert code(unpriced, place(BID, 55, fair=cents(45)), limits, "s") == "approved"
    assert code(unpriced, place(BID, 56, fair=cents(45)), limits, "s") == "PRICE_COLLAR"
    assert code(unpriced, place(ASK, 35, fair=cents(45)), limits, "s") == "approved"
    assert code(unpriced, place(ASK, 34, fair=cents(45)), limits, "s") == "PRICE_COLLAR"
    assert code(unpriced, place(BID, 56), RiskLimits(min_edge=None, price_collar=None), "s") == "approved"


def test_where_there_is_a_price_no_fair_value_moves_the_collar(state: EngineState) -> None:
    assert code(state, place(BID, 55, fair=cents(90)), strategy="s") == "PRICE_COLLAR"
    assert code(state, place(BID, 41), RiskLimits(min_edge=None), "s") == "approved"


def test_size_and_cost_of_one_order_are_bounded(state: EngineState) -> None:
    assert code(state, place(qty=101)) == "ORDER_SIZE"
    assert code(state, place(qty=101), RiskLimits(max_order_qty=None, max_position=None)) == "approved"
    tight = RiskLimits(max_order_cost=Money(4_000_000))
    assert code(state, place(BID, 41, 10), tight) == "ORDER_COST"
    assert code(state, place(BID, 40, 10), tight) == "approved"
    assert code(state, place(ASK, 45, 10), tight) == "ORDER_COST", "an ask costs one dollar less its price"
    assert code(state, place(), RiskLimits(max_order_cost=None)) == "approved"


def test_only_the_contracts_that_could_open_a_position_cost_something(state: EngineState) -> None:
    limits = RiskLimits(max_order_cost=Money(4_000_000), max_order_qty=contracts(20), max_position=None, min_edge=None)
    state.ledger.book(make_fill(qty=contracts(10)))
    assert code(state, place(ASK, 45, 10), limits) == "approved", "a sale of what is held has no cost"
    assert code(state, place(ASK, 45, 17), limits) == "approved", "7 at 55 cents open"
    assert code(state, place(ASK, 45, 18), limits) == "ORDER_COST"
    assert code(state, place(ASK, 45, 21), limits) == "ORDER_SIZE", "the count of a sale is limited"
    state.orders.add(make_order(side=ASK, price=cents(50), qty=contracts(3)))
    assert code(state, place(ASK, 45, 14), limits) == "approved"
    assert code(state, place(ASK, 45, 15), limits) == "ORDER_COST", "another order may sell 3 of them first"
    state.orders.add(make_order("m-2", side=ASK, price=cents(50), qty=contracts(30)))
    assert code(state, place(ASK, 45, 8), limits) == "ORDER_COST", "others may sell all of them first"
    out = place(ASK, 45, 15, tif=TimeInForce.IOC, reduce_only=True)
    assert code(state, out, limits) == "approved", "the exchange cuts it to the position"
    assert code(state, out, limits, "s") == "NOT_CLOSING"
    assert code(state, place(ASK, 45, 8, fair=cents(30)), limits, "s") == "ORDER_COST", "the position is not its own"


def test_a_runaway_loop_meets_the_order_rate(state: EngineState) -> None:
    limits = RiskLimits(max_orders_per_minute=2)
    for ts in (NOW - 60_000, NOW - 59_999, NOW - 1):
        state.count_sent(SentOrder(Ts(ts), "KXA-1"))
    assert code(state, place(), limits) == "ORDER_RATE"
    state.now = Ts(NOW + 1)
    assert code(state, place(), limits) == "approved", "the oldest has left the window"
    for _ in range(5):
        state.count_sent(SentOrder(state.now, "KXA-1"))
    assert code(state, place(), RiskLimits(max_orders_per_minute=None)) == "approved"


def test_one_market_is_not_churned_while_others_may_still_trade(state: EngineState) -> None:
    limits = RiskLimits(max_orders_per_minute=10, max_market_orders_per_minute=2)
    for ticker in ("KXA-1", "KXB-1", "KXB-1"):
        state.count_sent(SentOrder(state.now, ticker))
    assert code(state, place(), limits) == "approved"
    state.count_sent(SentOrder(state.now, "KXA-1"))
    assert code(state, place(), limits) == "MARKET_RATE"
    state.ledger.book(make_fill(qty=contracts(10)))
    assert code(state, place(ASK, 45, 10), limits) == "approved", "what closes may always go"
    state.now = Ts(NOW + 60_000)
    assert code(state, place(), msgspec.structs.replace(limits, max_book_age_ms=None)) == "approved"


def test_what_was_sent_is_forgotten_after_a_minute_also_where_nobody_counts_it(state: EngineState) -> None:
    for minute in range(5):
        state.now = Ts(NOW + minute * 60_000)
        state.count_sent(SentOrder(state.now, "KXA-1"))
    assert len(state.sent) == 1


def test_an_edge_is_asked_of_strategies_only_and_never_to_reduce(state: EngineState) -> None:
    limits = RiskLimits(min_edge=cents(2))
    assert code(state, place(fair=None), limits) == "approved", "a person needs no fair value"
    assert code(state, place(fair=None), limits, "s") == "MIN_EDGE"
    assert code(state, place(BID, 41, fair=cents(44)), limits, "s") == "MIN_EDGE", "the taker fee eats the third cent"
    assert code(state, place(BID, 41, fair=cents(43), post_only=True), limits, "s") == "approved"
    assert code(state, place(BID, 41, fair=cents(42), post_only=True), limits, "s") == "MIN_EDGE"
    assert code(state, place(ASK, 45, fair=cents(43), post_only=True), limits, "s") == "approved"
    assert code(state, place(), RiskLimits(min_edge=None), "s") == "approved"
    state.ledger.book(make_fill("t0"))
    assert code(state, place(ASK, 45), limits, "s") == "MIN_EDGE", "others hold that"
    hold_position(state)
    assert code(state, place(ASK, 45), limits, "s") == "approved"


def test_what_closes_the_position_of_a_strategy_needs_no_edge_whatever_others_have_resting_on_its_side(
    state: EngineState,
) -> None:
    limits = RiskLimits(min_edge=cents(2))
    hold_position(state)
    state.orders.add(make_order("a person's", side=ASK, price=cents(60)))
    assert code(state, place(ASK, 40, tif=TimeInForce.IOC), limits, "s") == "approved", (
        "what both open, the limits hold"
    )
    assert code(state, place(ASK, 40, 11, tif=TimeInForce.IOC), limits, "s") == "MIN_EDGE"
    assert code(state, place(ASK, 40, tif=TimeInForce.IOC, reduce_only=True), limits, "s") == "approved"
    assert code(state, place(ASK, 45, reduce_only=True), limits, "s") == "BAD_FLAGS", "resting, nothing keeps it"


def test_our_bid_never_meets_our_own_offer(state: EngineState) -> None:
    state.orders.add(make_order("mine", side=ASK, price=cents(43)))
    assert code(state, place(BID, 43)) == "SELF_CROSS"
    refused = judge(state, place(BID, 43))
    assert isinstance(refused, OrderRefused)
    assert "it could trade against your own order" in refused.detail, "better offers of others may come first"
    assert refused.detail.endswith("which rests at this price or a better one")
    assert code(state, place(BID, 42)) == "approved"
    assert code(state, place(ASK, 43)) == "approved"
    state.orders.add(make_order("theirs", side=BID, price=cents(41)))
    assert code(state, place(ASK, 41)) == "SELF_CROSS"


def test_the_position_limit_counts_live_orders_as_filled(state: EngineState) -> None:
    limits = RiskLimits(max_position=contracts(20))
    state.ledger.book(make_fill(qty=contracts(5)))
    state.orders.add(make_order("b", qty=contracts(6)))
    assert code(state, place(BID, 41, 9), limits) == "approved"
    assert code(state, place(BID, 41, 10), limits) == "POSITION_LIMIT"
    assert code(state, place(ASK, 45, 20), limits) == "approved"
    assert code(state, place(ASK, 45, 21), limits) == "POSITION_LIMIT", "the five may be closed before it fills"
    assert code(state, place(BID, 41, 99), RiskLimits(max_position=None)) == "approved"


def test_a_close_that_passes_every_limit_leaves_no_more_than_the_limit(state: EngineState) -> None:
    """Five NO are held, and a bid that rests may be for ten in all. Whoever closes the five leaves ten to come."""
    limits = RiskLimits(max_position=contracts(10))
    hold_position(state, side=ASK, qty=contracts(5))
    assert code(state, place(BID, 41, 11), limits) == "POSITION_LIMIT"
    state.orders.add(make_order("b", price=cents(41), qty=contracts(10)))
    out = place(BID, 44, 5, tif=TimeInForce.IOC, reduce_only=True)
    assert code(state, out, limits, "s") == "approved"
    state.ledger.book(make_fill("t2", qty=contracts(5)))
    longest, _ = state.orders.worst_case("KXA-1")
    assert state.held("KXA-1") + longest == limits.max_position


def test_unknown_orders_keep_their_exposure(state: EngineState) -> None:
    limits = RiskLimits(max_exposure=Money(8_336_000))
    state.orders.add(make_order("u", status=OrderStatus.UNKNOWN))
    assert state.total_exposure() == 4_168_000, "with what it is charged if it takes"
    assert code(state, place(BID, 40, 10), limits) == "approved"
    assert code(state, place(BID, 41, 10), limits) == "EXPOSURE"
    assert code(state, place(BID, 41, 10), RiskLimits(max_exposure=None)) == "approved"


def test_what_adds_no_risk_is_allowed_beyond_the_limit(state: EngineState) -> None:
    state.ledger.book(make_fill(qty=contracts(100)))
    limits = RiskLimits(max_exposure=Money(1), max_position=None)
    assert code(state, place(ASK, 45, 50), limits) == "approved"
    assert code(state, place(BID, 40, 1), limits) == "EXPOSURE"


orders = st.lists(
    st.tuples(st.sampled_from([BID, ASK]), st.integers(1, 99), st.integers(1, 30)), min_size=0, max_size=5
)


def true_worst(held: tuple[int, int], live: list[tuple[Side, int, int]]) -> int:
    """The most that can be lost from now, or from any later moment, on: over every sequence that filled by then, every
    subset that fills from then on, and both outcomes. `held` is (signed count, cents)."""
    worst = Fraction(0)
    for filled in chain.from_iterable(permutations(range(len(live)), size) for size in range(len(live) + 1)):
        qty, cost = after(held, [live[number] for number in filled])
        rest = [order for number, order in enumerate(live) if number not in filled]
        for subset in chain.from_iterable(combinations(rest, size) for size in range(len(rest) + 1)):
            for payout in (0, 100):
                gain = sum((payout - p) * q * side.sign for side, p, q in subset)
                worth = abs(qty) * (payout if qty > 0 else 100 - payout)
                worst = max(worst, cost - worth - gain)
    return int(worst * 10_000)


def after(held: tuple[int, int], fills: list[tuple[Side, int, int]]) -> tuple[int, Fraction]:
    """What is held once these traded one after the other, and its cost in cents: what closes takes its share."""
    qty, cost = held[0], Fraction(abs(held[0]) * (held[1] if held[0] > 0 else 100 - held[1]))
    for side, price, count in fills:
        closed = min(count, abs(qty)) if side.sign * qty < 0 else 0
        cost -= cost * closed / abs(qty) if closed else 0
        qty += side.sign * count
        cost += (count - closed) * (price if side is BID else 100 - price)
    return qty, cost


@given(held=st.tuples(st.integers(-30, 30), st.integers(1, 99)), live=orders)
def test_exposure_is_the_worst_over_every_sequence_moment_and_outcome(
    held: tuple[int, int], live: list[tuple[Side, int, int]]
) -> None:
    state = make_state()
    if held[0]:
        side = BID if held[0] > 0 else ASK
        state.ledger.book(make_fill(side=side, price=cents(held[1]), qty=contracts(abs(held[0]))))
    for number, (side, price, qty) in enumerate(live):
        state.orders.add(make_order(f"c{number}", side=side, price=cents(price), qty=contracts(qty)))
    assert state.exposure("KXA-1") == true_worst(held, live)
    event("something at risk" if state.exposure("KXA-1") else "nothing at risk")


def test_a_profit_that_a_fill_takes_makes_up_for_nothing(state: EngineState) -> None:
    """Ten YES at 20 and an ask for thirty at 60: once it filled, twenty NO for $8 are held, and $4 were won. From now
    on no more than $4 can be lost; from then on it is $8."""
    state.ledger.book(make_fill(qty=contracts(10), price=cents(20)))
    state.orders.add(make_order("x", side=ASK, price=cents(60), qty=contracts(30), post_only=True))
    assert state.exposure("KXA-1") == 8_000_000
    assert after((10, 20), [(ASK, 60, 30)]) == (-20, Fraction(800))


def test_the_worst_case_is_not_simply_the_sum_of_costs() -> None:
    """Not vacuous: a sum of order costs would say 8.5 dollars where the worst is 4.5."""
    state = make_state()
    state.ledger.book(make_fill(qty=contracts(10), price=cents(45)))
    state.orders.add(make_order("x", side=ASK, price=cents(60), qty=contracts(10)))
    assert state.exposure("KXA-1") == 4_500_000


@given(intents=st.lists(st.tuples(st.sampled_from([BID, ASK]), st.integers(40, 44), st.integers(1, 40)), max_size=12))
def test_no_sequence_of_approved_orders_can_pass_a_limit(intents: list[tuple[Side, int, int]]) -> None:
    limits = RiskLimits(max_position=contracts(50), max_exposure=Money(30_000_000), max_orders_per_minute=None)
    state = make_state()
    snapshot = make_book()
    state.books["KXA-1"].load(snapshot.bids, snapshot.asks, snapshot.ts)
    denied = 0
    for number, (side, price, qty) in enumerate(intents):
        verdict = review(
            state, limits, place(side, price, qty), client_order_id=f"c{number}", strategy="", expiry_s=None
        )
        if isinstance(verdict, OrderRefused):
            denied += 1
            continue
        state.orders.add(verdict.order)
        longest, shortest = state.orders.worst_case("KXA-1")
        assert longest <= Qty(5_000)
        assert shortest <= Qty(5_000)
        assert state.total_exposure() <= 30_000_000
    event(f"denied some: {denied > 0}")


# -- subaccounts: each holds for itself ----------------------------------------------------------------------------


def elsewhere(side: Side, count: int, *, price: int = 42, subaccount: int = 1) -> Place:
    return Place("KXA-1", side, cents(price), contracts(count), reason="test", subaccount=subaccount)


def test_what_another_subaccount_holds_offsets_no_order(state: EngineState) -> None:
    limits = RiskLimits(max_position=contracts(5))
    state.ledger.book(make_fill(qty=contracts(5), subaccount=1))
    assert code(state, place(ASK, 45, 10), limits) == "POSITION_LIMIT", "it nets with nothing of the primary account"
    assert code(state, place(ASK, 45, 1), limits) == "POSITION_LIMIT", "five and one are six"
    assert code(state, elsewhere(ASK, 5, price=45), limits) == "approved", "there it closes five"
    assert code(state, elsewhere(ASK, 6, price=45), limits) == "POSITION_LIMIT"


def test_what_closes_a_subaccounts_own_position_passes_whatever_others_hold(state: EngineState) -> None:
    state.ledger.book(make_fill(qty=contracts(5)))
    state.ledger.book(make_fill("t2", qty=contracts(50), subaccount=1))
    assert code(state, place(ASK, 45, 5), RiskLimits(max_position=contracts(5))) == "approved"
    assert code(state, place(ASK, 45, 6), RiskLimits(max_position=contracts(5))) == "POSITION_LIMIT"


def test_live_orders_of_another_subaccount_count_with_the_worse_of_their_sides(state: EngineState) -> None:
    state.orders.add(make_order("b", price=cents(30), qty=contracts(3), subaccount=1))
    state.orders.add(make_order("a", side=ASK, price=cents(60), qty=contracts(4), subaccount=1))
    assert code(state, place(BID, 41, 1), RiskLimits(max_position=contracts(5))) == "approved"
    assert code(state, place(BID, 41, 2), RiskLimits(max_position=contracts(5))) == "POSITION_LIMIT"


def test_exposure_is_the_sum_of_the_worst_of_each_subaccount(state: EngineState) -> None:
    state.ledger.book(make_fill(qty=contracts(5)))
    state.ledger.book(make_fill("t2", side=ASK, qty=contracts(5), subaccount=1))
    assert state.exposure("KXA-1") == state.total_exposure() == Money(5_000_000), "2 of YES and 3 of NO"
    limits = RiskLimits(max_exposure=Money(5_000_000), max_position=None)
    assert code(state, place(BID, 42, 1), limits) == "EXPOSURE", "the NO of the other subaccount offsets nothing"
    assert code(state, elsewhere(BID, 1), limits) == "approved", "its own does"
    assert code(state, elsewhere(BID, 1, subaccount=2), limits) == "EXPOSURE"


def test_only_the_own_position_can_be_reduced(state: EngineState) -> None:
    state.trading = TradingState.REDUCING
    state.ledger.book(make_fill(qty=contracts(5), subaccount=1))
    assert code(state, place(ASK, 45, 5)) == "REDUCING"
    assert code(state, elsewhere(ASK, 5, price=45)) == "approved"
    assert code(state, elsewhere(ASK, 6, price=45)) == "REDUCING"
    assert code(state, elsewhere(ASK, 5, price=45, subaccount=2)) == "REDUCING"
