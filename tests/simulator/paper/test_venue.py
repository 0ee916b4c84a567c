"""Simulated fills against a real book: never better than the exchange would have given."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.paper import LATENCY_MS, T0, TICKER, Desk, market, told

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.model.effects import ResyncBook
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import (
    FeedGap,
    FeedState,
    Filled,
    MarketChange,
    Message,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderState,
    Settled,
)
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.simulator.paper.queue_position import PAIRED_MS, QueuePlace


@pytest.fixture
def desk() -> Desk:
    """40 bid for 100, 44 asked for 20 and 45 for 30."""
    desk = Desk()
    desk.book({40: 100, 39: 50}, {44: 20, 45: 30})
    return desk


def fills(messages: list[Message]) -> list[tuple[int, int, bool]]:
    """Price in cents, contracts, taker."""
    found = [message.fill for message in messages if isinstance(message, Filled)]
    return [(fill.price // 100, fill.qty // 100, fill.is_taker) for fill in found]


def refusal(messages: list[Message]) -> tuple[str, str]:
    (rejected,) = messages
    assert isinstance(rejected, OrderRejected)
    return rejected.code, rejected.detail


# -- arriving -----------------------------------------------------------------------------------------------------


def test_an_order_is_answered_by_the_first_message_after_its_latency(desk: Desk) -> None:
    desk.order(BID, 40)
    assert desk.wait(LATENCY_MS - 1) == []
    (accepted,) = desk.wait(1)
    assert isinstance(accepted, OrderAccepted)
    assert (accepted.ts, accepted.filled, accepted.remaining) == (T0 + LATENCY_MS, 0, contracts(10))


def test_each_order_arrives_in_its_own_time(desk: Desk) -> None:
    desk.order(BID, 40)
    desk.wait(60)
    desk.order(BID, 40)
    assert told(desk.wait(60)) == ["OrderAccepted"]
    assert told(desk.wait(40)) == ["OrderAccepted"]


def test_an_order_meets_the_book_as_it_is_when_it_arrives(desk: Desk) -> None:
    desk.order(BID, 44)
    desk.delta(ASK, 44, -20)
    assert fills(desk.wait()) == []


def test_an_order_arrives_before_the_message_that_shows_the_time_has_come(desk: Desk) -> None:
    desk.order(BID, 44)
    desk.now = Ts(desk.now + LATENCY_MS)
    assert fills(desk.delta(ASK, 44, -20)) == [(44, 10, True)]


def test_an_order_is_not_matched_between_two_deltas_of_one_event(desk: Desk) -> None:
    desk.order(BID, 44)
    desk.now = Ts(desk.now + LATENCY_MS - 1)
    desk.delta(ASK, 43, 5, has_more=True)
    assert desk.wait(1) == []
    assert fills(desk.delta(ASK, 43, -5)) == []
    assert fills(desk.wait(0)) == [(44, 10, True)]


def test_what_it_can_take_it_takes_level_by_level_at_the_resting_prices(desk: Desk) -> None:
    accepted, *rest = desk.place(BID, 45, 60)
    assert isinstance(accepted, OrderAccepted)
    assert (accepted.filled, accepted.remaining) == (contracts(50), contracts(10))
    assert fills(rest) == [(44, 20, True), (45, 30, True)]


def test_an_ask_takes_the_bids_from_the_best_down(desk: Desk) -> None:
    assert fills(desk.place(ASK, 39, 120)) == [(40, 100, True), (39, 20, True)]


def test_liquidity_that_was_taken_cannot_be_taken_again(desk: Desk) -> None:
    assert fills(desk.place(BID, 44, 15)) == [(44, 15, True)]
    assert fills(desk.place(BID, 44, 15)) == [(44, 5, True)]
    assert fills(desk.place(BID, 44, 15, tif=TimeInForce.IOC)) == []


def test_what_is_added_to_a_taken_level_can_be_taken(desk: Desk) -> None:
    desk.place(BID, 44, 20)
    desk.delta(ASK, 44, 7)
    assert fills(desk.place(BID, 44, 20, tif=TimeInForce.IOC)) == [(44, 7, True)]


def test_a_taken_level_that_went_and_came_back_is_new(desk: Desk) -> None:
    desk.place(BID, 44, 20)
    desk.delta(ASK, 44, -20)
    desk.delta(ASK, 44, 12)
    assert fills(desk.place(BID, 44, 20, tif=TimeInForce.IOC)) == [(44, 12, True)]


def test_a_snapshot_does_not_bring_back_what_was_taken(desk: Desk) -> None:
    desk.place(BID, 44, 20)
    desk.book({40: 100}, {44: 20, 45: 30})
    assert fills(desk.place(BID, 44, 20, tif=TimeInForce.IOC)) == []


def test_the_rest_of_an_ioc_is_gone(desk: Desk) -> None:
    accepted, fill = desk.place(BID, 44, 30, tif=TimeInForce.IOC)
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(fill, Filled)
    assert (accepted.filled, accepted.remaining) == (contracts(20), 0)
    desk.delta(ASK, 44, 10)
    assert fills(desk.wait()) == []


def test_a_fok_trades_whole_or_not_at_all(desk: Desk) -> None:
    assert refusal(desk.place(BID, 44, 21, tif=TimeInForce.FOK)) == ("fill_or_kill_insufficient_resting_volume", "")
    assert fills(desk.place(BID, 44, 20, tif=TimeInForce.FOK)) == [(44, 20, True)]


def test_a_post_only_order_that_would_cross_is_refused(desk: Desk) -> None:
    assert refusal(desk.place(BID, 44, post_only=True)) == ("invalid_order", "post only cross")
    assert told(desk.place(BID, 43, post_only=True)) == ["OrderAccepted"]


def test_an_order_that_would_trade_with_our_own_is_cancelled_where_they_meet(desk: Desk) -> None:
    desk.place(ASK, 45, 10)
    accepted, *rest = desk.place(BID, 46, 100)
    assert isinstance(accepted, OrderAccepted)
    assert (accepted.filled, accepted.remaining) == (contracts(20), 0)
    assert fills(rest) == [(44, 20, True)]
    assert refusal(desk.place(BID, 45, post_only=True)) == ("invalid_order", "post only cross")


def test_a_price_off_the_grid_and_a_used_id_are_refused(desk: Desk) -> None:
    desk.order(price=40, client_order_id="mine")
    assert told(desk.wait()) == ["OrderAccepted"]
    assert refusal(desk.place(client_order_id="mine"))[0] == "order_already_exists"
    desk.see(MarketChange(desk.now, market()))
    bad: dict[str, Any] = {"price": Price(4_050)}
    desk.order(**bad)
    assert refusal(desk.wait())[0] == "invalid_price"


def test_an_order_that_expired_on_its_way_is_refused(desk: Desk) -> None:
    assert refusal(desk.place(expires=Ts(desk.now + 50)))[0] == "invalid_parameters"


# -- money --------------------------------------------------------------------------------------------------------


def test_a_taker_pays_the_fee_and_the_cost(desk: Desk) -> None:
    desk.place(BID, 44, 10)
    assert desk.venue.cash == dollars(1000) - dollars("4.40") - dollars("0.1725")


def test_a_maker_of_a_quadratic_market_pays_no_fee(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    desk.delta(ASK, 41, 10)
    assert desk.venue.cash == dollars(1000) - dollars("4.10")


def test_what_the_cash_does_not_cover_is_refused() -> None:
    desk = Desk(cash=dollars("4.40"))
    desk.book({40: 100}, {44: 20})
    assert refusal(desk.place(BID, 44, 10))[0] == "insufficient_balance"  # the fee is not covered
    assert told(desk.place(BID, 41, 10, post_only=True)) == ["OrderAccepted"]
    assert refusal(desk.place(BID, 40, 1, post_only=True))[0] == "insufficient_balance"  # 4.10 is held back


def test_an_ask_without_a_position_needs_a_dollar_less_its_price() -> None:
    desk = Desk(cash=dollars("5.99"))
    desk.book({39: 100}, {44: 20})
    assert refusal(desk.place(ASK, 40, 10, post_only=True))[0] == "insufficient_balance"
    assert told(desk.place(ASK, 41, 10, post_only=True)) == ["OrderAccepted"]


def test_closing_a_position_needs_no_cash() -> None:
    desk = Desk(cash=dollars("4.60"))
    desk.book({40: 100}, {44: 20})
    desk.place(BID, 44, 10)
    assert told(desk.place(ASK, 43, 10)) == ["OrderAccepted"]
    assert refusal(desk.place(ASK, 43, 10))[0] == "insufficient_balance"


def test_reduce_only_is_capped_by_the_position_and_never_rests(desk: Desk) -> None:
    assert refusal(desk.place(ASK, 40, 10, reduce_only=True))[0] == "invalid_order"
    assert fills(desk.place(ASK, 40, 10, reduce_only=True, tif=TimeInForce.IOC)) == []
    desk.place(BID, 44, 10)
    assert fills(desk.place(ASK, 40, 25, reduce_only=True, tif=TimeInForce.IOC)) == [(40, 10, True)]


# -- queueing -----------------------------------------------------------------------------------------------------


def test_a_trade_takes_those_ahead_first(desk: Desk) -> None:
    desk.place(BID, 40, 10)
    assert desk.trade(40, 100, taker=ASK) == []
    assert fills(desk.trade(40, 4, taker=ASK)) == [(40, 4, False)]
    assert fills(desk.trade(40, 50, taker=ASK)) == [(40, 6, False)]


def test_those_who_join_later_stand_behind(desk: Desk) -> None:
    desk.place(BID, 40, 10)
    desk.delta(BID, 40, 500)
    assert fills(desk.trade(40, 105, taker=ASK)) == [(40, 5, False)]


def test_a_trade_on_the_other_side_or_at_a_better_price_does_not_reach_us(desk: Desk) -> None:
    desk.place(BID, 39, 10)
    assert desk.trade(39, 1000, taker=BID) == []
    assert desk.trade(40, 1000, taker=ASK) == []


def test_a_trade_at_a_worse_price_must_have_met_us(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    assert fills(desk.trade(40, 3, taker=ASK)) == [(41, 3, False)]
    assert fills(desk.trade(39, 50, taker=ASK)) == [(41, 7, False)]


def test_one_trade_is_shared_among_our_orders_not_given_to_each(desk: Desk) -> None:
    desk.place(BID, 42, 10)
    desk.place(BID, 41, 10)
    assert fills(desk.trade(40, 15, taker=ASK)) == [(42, 10, False), (41, 5, False)]


def test_a_level_that_melts_away_does_not_fill_us(desk: Desk) -> None:
    desk.place(BID, 40, 10)
    for _ in range(10):
        assert desk.delta(BID, 40, -10) == []
    desk.wait(PAIRED_MS + 1)
    assert fills(desk.trade(40, 3, taker=ASK)) == [(40, 3, False)]  # but the queue is gone


@pytest.mark.parametrize("trade_first", [True, False])
def test_a_trade_and_the_decrease_it_causes_are_counted_once(desk: Desk, trade_first: bool) -> None:
    desk.place(BID, 40, 10)
    for step in (trade_first, not trade_first):
        assert (desk.trade(40, 60, taker=ASK) if step else desk.delta(BID, 40, -60)) == []
        desk.wait(PAIRED_MS)
    desk.wait(PAIRED_MS)
    assert fills(desk.trade(40, 45, taker=ASK)) == [(40, 5, False)]


def test_the_other_side_reaching_our_price_fills_us_at_our_price_with_what_it_brought(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    assert fills(desk.delta(ASK, 41, 4)) == [(41, 4, False)]
    assert fills(desk.delta(ASK, 41, 2)) == [(41, 2, False)]
    assert fills(desk.delta(ASK, 40, 50)) == []  # crosses the real bid: a book to believe comes first
    assert fills(desk.delta(BID, 40, -100)) == [(41, 4, False)]


def test_the_other_side_passing_through_between_deltas_of_one_event_is_not_believed(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    assert desk.delta(ASK, 41, 4, has_more=True) == []
    assert desk.delta(ASK, 41, -4) == []


def test_a_full_fill_ends_the_order(desk: Desk) -> None:
    order = desk.order(BID, 41, 10)
    desk.wait()
    desk.delta(ASK, 41, 30)
    desk.cancel(order)
    (state,) = desk.wait()
    assert isinstance(state, OrderState)
    assert (state.order.status, state.order.filled) == (OrderStatus.FILLED, contracts(10))
    assert state.order.fill_cost == dollars("4.10")


# -- ends ---------------------------------------------------------------------------------------------------------


def test_a_cancel_takes_as_long_as_an_order(desk: Desk) -> None:
    order = desk.order(BID, 41, 10)
    desk.wait()
    desk.cancel(order)
    assert fills(desk.delta(ASK, 41, 3)) == [(41, 3, False)]
    (canceled,) = desk.wait()
    assert isinstance(canceled, OrderCanceled)
    assert (canceled.client_order_id, canceled.reason) == (order.client_order_id, "no longer wanted")
    assert desk.delta(ASK, 41, 5) == []


def test_a_cancel_of_an_order_of_an_earlier_run_ends_it(desk: Desk) -> None:
    desk.cancel(desk.make())
    assert told(desk.wait()) == ["OrderCanceled"]


def test_an_order_expires_at_its_time(desk: Desk) -> None:
    desk.place(BID, 41, 10, expires=Ts(T0 + 5_000))
    assert desk.wait(4_899) == []
    (state,) = desk.wait(1)
    assert isinstance(state, OrderState)
    assert (state.order.status, state.order.remaining) == (OrderStatus.EXPIRED, 0)
    assert desk.delta(ASK, 41, 5) == []


def test_the_close_cancels_orders_without_a_message(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    (canceled,) = desk.wait(3_600_000)
    assert isinstance(canceled, OrderCanceled)
    assert canceled.reason == "CloseCancel"
    assert refusal(desk.place(BID, 41))[0] == "market_inactive"


def test_a_market_that_closes_early_cancels_orders(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    (canceled,) = desk.see(MarketChange(desk.now, market(status=MarketStatus.CLOSED)))
    assert isinstance(canceled, OrderCanceled)


def test_a_paused_market_fills_nothing_and_loses_its_orders_when_it_comes_back(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    assert desk.see(MarketChange(desk.now, market(status=MarketStatus.INACTIVE))) == []
    assert desk.delta(ASK, 41, 5) == []
    assert desk.trade(41, 5, taker=ASK) == []
    assert refusal(desk.place(BID, 41))[0] == "market_inactive"
    assert told(desk.see(MarketChange(desk.now, market()))) == ["OrderCanceled"]


@pytest.mark.parametrize(
    ("result", "value", "cash"),
    [("yes", None, dollars(1006)), ("no", None, dollars(996)), ("scalar", Price(2_500), dollars("998.50"))],
)
def test_settlement_pays_what_the_position_is_worth(desk: Desk, result: str, value: Price | None, cash: Money) -> None:
    desk.place(BID, 40, 10)
    desk.trade(40, 110, taker=ASK)
    change = market(status=MarketStatus.FINALIZED, result=result, settlement_value=value)
    (settled,) = desk.see(MarketChange(desk.now, change))
    assert isinstance(settled, Settled)
    assert (settled.settlement.yes_qty, settled.settlement.no_qty) == (contracts(10), 0)
    assert desk.venue.cash == cash
    assert desk.see(MarketChange(desk.now, change)) == []


def test_a_short_is_paid_in_no_contracts(desk: Desk) -> None:
    desk.place(ASK, 45, 10)
    desk.trade(45, 40, taker=BID)
    (settled,) = desk.see(MarketChange(desk.now, market(status=MarketStatus.FINALIZED, result="no")))
    assert isinstance(settled, Settled)
    assert (settled.settlement.no_qty, settled.settlement.revenue) == (contracts(10), dollars(10))
    assert desk.venue.cash == dollars("1004.50")


@pytest.mark.parametrize("status", [MarketStatus.CLOSED, MarketStatus.DETERMINED])
def test_a_result_of_its_own_pays_at_the_close_and_that_of_the_exchange_never_again(status: MarketStatus) -> None:
    desk = Desk(results={TICKER: ("yes", ONE_DOLLAR)})
    desk.book({40: 100, 38: 50}, {45: 100, 47: 50})
    desk.place(BID, 40, 10)
    desk.trade(40, 110, taker=ASK)
    *_, settled = desk.see(MarketChange(desk.now, market(status=status)))
    assert isinstance(settled, Settled)
    assert (settled.settlement.result, settled.settlement.value) == ("yes", ONE_DOLLAR)
    assert desk.see(MarketChange(desk.now, market(status=MarketStatus.FINALIZED, result="yes"))) == []
    assert desk.venue.cash == dollars(1006)


def test_a_market_in_which_nothing_is_held_settles_in_silence(desk: Desk) -> None:
    assert desk.see(MarketChange(desk.now, market(status=MarketStatus.FINALIZED, result="yes"))) == []


# -- books that cannot be believed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [FeedGap(T0, (TICKER,), "gap"), FeedGap(T0, (), "overflow"), FeedState(T0, False, "down")]
)
def test_nothing_is_filled_from_a_book_with_a_gap(desk: Desk, loss: Message) -> None:
    desk.place(BID, 41, 10)
    assert desk.see(loss) == []
    assert desk.delta(ASK, 41, 50) == []
    assert desk.trade(41, 50, taker=ASK) == []


def test_after_a_gap_everybody_displayed_is_ahead_again(desk: Desk) -> None:
    desk.place(BID, 40, 10)
    desk.trade(40, 100, taker=ASK)
    desk.see(FeedGap(desk.now, (TICKER,), "gap"))
    assert desk.book({40: 30}, {44: 20}) == []
    assert fills(desk.trade(40, 31, taker=ASK)) == [(40, 1, False)]


def test_a_snapshot_that_reached_our_price_fills_us(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    desk.see(FeedGap(desk.now, (TICKER,), "gap"))
    assert fills(desk.book({38: 30}, {41: 6})) == [(41, 6, False)]


def test_an_order_that_arrives_without_a_book_is_matched_with_the_next_one(desk: Desk) -> None:
    desk.see(FeedGap(desk.now, (TICKER,), "gap"))
    accepted, *rest = desk.place(BID, 45, 30)
    assert isinstance(accepted, OrderAccepted)
    assert (accepted.filled, accepted.remaining, rest) == (0, contracts(30), [])
    assert fills(desk.book({40: 30}, {44: 20, 46: 9})) == [(44, 20, True)]


def test_without_a_book_an_ioc_gets_nothing_a_fok_is_refused_and_post_only_must_not_cross_later(desk: Desk) -> None:
    desk.see(FeedGap(desk.now, (TICKER,), "gap"))
    assert told(desk.place(BID, 45, tif=TimeInForce.IOC)) == ["OrderAccepted"]
    assert told(desk.place(BID, 45, tif=TimeInForce.FOK)) == ["OrderRejected"]
    assert told(desk.place(BID, 45, post_only=True)) == ["OrderAccepted"]
    (canceled,) = desk.book({40: 30}, {44: 20})
    assert isinstance(canceled, OrderCanceled)
    assert canceled.reason == "PostOnlyCrossCancel"


def test_a_book_that_contradicts_itself_fills_nothing(desk: Desk) -> None:
    desk.place(BID, 41, 10)
    desk.delta(BID, 39, -51)
    assert desk.delta(ASK, 41, 50) == []


# -- the account --------------------------------------------------------------------------------------------------


def test_the_snapshot_states_orders_positions_and_cash(desk: Desk) -> None:
    desk.place(BID, 44, 10)
    order = desk.order(BID, 41, 10)
    desk.wait()
    desk.delta(ASK, 41, 4)
    snapshot = desk.venue.snapshot(desk.now)
    assert [(each.client_order_id, each.filled, each.remaining) for each in snapshot.orders] == [
        (order.client_order_id, contracts(4), contracts(6))
    ]
    (position,) = snapshot.positions
    assert (position.position, position.exposure) == (contracts(14), dollars("6.04"))
    assert position.traded == dollars("6.04")
    assert snapshot.balance.cash == desk.venue.cash
    assert snapshot.balance.portfolio_value == cents(40) * contracts(14)
    assert (snapshot.ts, snapshot.as_of, snapshot.fills) == (desk.now, desk.now, ())


def test_a_new_run_goes_on_with_the_money_and_positions_of_the_last_but_not_with_its_orders(desk: Desk) -> None:
    desk.place(BID, 44, 10)
    desk.order(BID, 41, 10)
    desk.wait()
    kept = [message.fill for message in desk.said if isinstance(message, Filled)]
    left = desk.venue.snapshot(desk.now).orders
    again = Desk(fills=kept, stale=left)
    assert again.venue.cash == desk.venue.cash
    snapshot = again.venue.snapshot(desk.now)
    assert [each.position for each in snapshot.positions] == [contracts(10)]
    assert [(each.status, each.remaining) for each in snapshot.orders] == [(OrderStatus.CANCELED, 0)]


def test_effects_that_are_not_orders_are_no_business_of_the_venue(desk: Desk) -> None:
    assert list(desk.venue.perform(ResyncBook(TICKER, "gap"))) == []
    assert desk.wait(10_000) == []


# -- whatever happens ---------------------------------------------------------------------------------------------

sides = st.sampled_from([BID, ASK])
small = st.integers(1, 30)
moves = st.one_of(
    st.tuples(st.just("delta"), sides, st.integers(35, 50), st.integers(-30, 30), st.booleans()),
    st.tuples(st.just("trade"), sides, st.integers(35, 50), small),
    st.tuples(st.just("order"), sides, st.integers(35, 50), small, st.sampled_from(list(TimeInForce)), st.booleans()),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(1, 300)),
    st.tuples(st.just("gap")),
    st.tuples(st.just("book")),
)
plays = st.lists(moves, min_size=5, max_size=60)


def perform(desk: Desk, script: list[Any]) -> list[Order]:
    """Play a script; a delta never takes more than a level has."""
    desk.book({40: 20, 39: 20}, {44: 20, 45: 20})
    sent: list[Order] = []
    for kind, *args in script:
        if kind == "delta":
            side, price, by, has_more = args
            standing = desk.real.qty_at(side, cents(price)) // 100
            desk.delta(side, price, max(by, -standing), has_more=has_more)
        elif kind == "trade":
            desk.trade(args[1], args[2], taker=args[0])
        elif kind == "order":
            side, price, qty, tif, post_only = args
            sent.append(desk.order(side, price, qty, tif=tif, post_only=post_only, expires=Ts(desk.now + 2_000)))
        elif kind == "cancel" and sent:
            desk.cancel(sent[-1 - args[0] % len(sent)])
        elif kind == "wait":
            desk.wait(*args)
        elif kind == "gap":
            desk.see(FeedGap(desk.now, (TICKER,), "gap"))
        elif kind == "book":
            desk.book({40: 20, 39: 20}, {44: 20, 45: 20})
    return sent


STRANGER = "not an order of this run"


@settings(max_examples=150, deadline=None)
@given(plays)
def test_orders_end_once_never_overfill_and_the_cash_adds_up(script: list[Any]) -> None:
    desk = Desk()
    sent = perform(desk, script)
    desk.wait(5_000)
    assert desk.venue.snapshot(desk.now).orders == ()
    filled: Counter[str] = Counter()
    cash, held = dollars(1000), 0
    ended: set[str] = set()
    accepted: dict[str, OrderAccepted] = {}
    for message in desk.said:
        if isinstance(message, OrderAccepted):
            assert message.client_order_id not in accepted
            accepted[message.client_order_id] = message
        elif isinstance(message, Filled):
            fill = message.fill
            assert fill.client_order_id in accepted
            assert fill.client_order_id not in ended
            filled[fill.client_order_id] += fill.qty
            cash = Money(cash - fill.side.sign * fill.price * fill.qty - fill.fee)
            held += fill.side.sign * fill.qty
        elif isinstance(message, OrderCanceled) and message.reason != STRANGER:
            assert message.client_order_id not in ended
            ended.add(message.client_order_id)
    snapshot = desk.venue.snapshot(desk.now)
    assert sum(position.position for position in snapshot.positions) == held
    # A short is a dollar a contract put down, less what it was sold for.
    assert desk.venue.cash == cash - max(0, -held) * 10_000
    for order in sent:
        assert filled[order.client_order_id] <= order.qty
    event(f"fills: {min(len(filled), 3)}")


@settings(max_examples=60, deadline=None)
@given(plays)
def test_the_same_messages_give_the_same_replies(script: list[Any]) -> None:
    first, second = Desk(), Desk()
    perform(first, script)
    perform(second, script)
    assert first.said == second.said


@settings(max_examples=150, deadline=None)
@given(plays)
def test_takers_never_take_more_of_a_level_than_was_ever_there(script: list[Any]) -> None:
    desk = Desk()
    perform(desk, [move for move in script if move[0] not in ("gap", "book")])
    desk.wait()
    offered: Counter[tuple[Side, int]] = Counter({(BID, 40): 20, (BID, 39): 20, (ASK, 44): 20, (ASK, 45): 20})
    for kind, *args in script:
        if kind == "delta" and args[2] > 0:
            offered[args[0], args[1]] += args[2]
    taken: Counter[tuple[Side, int]] = Counter()
    for message in desk.said:
        if isinstance(message, Filled) and message.fill.is_taker:
            taken[message.fill.side.opposite, message.fill.price // 100] += message.fill.qty // 100
    assert all(taken[level] <= offered[level] for level in taken)


def test_those_properties_meet_fills_of_both_kinds_and_every_end() -> None:
    script: list[Any] = [
        ("order", BID, 44, 30, TimeInForce.GTC, False),
        ("wait", 100),
        ("order", BID, 41, 10, TimeInForce.GTC, False),
        ("order", BID, 45, 10, TimeInForce.GTC, True),
        ("wait", 100),
        ("delta", ASK, 44, 5, False),
        ("trade", ASK, 41, 4),
        ("cancel", 1),
        ("wait", 300),
        ("order", ASK, 49, 10, TimeInForce.GTC, False),
        ("wait", 100),
    ]
    desk = Desk()
    perform(desk, script)
    desk.wait(5_000)
    kinds = Counter(told(desk.said))
    assert {"OrderAccepted", "OrderRejected", "OrderCanceled", "OrderState", "Filled"} <= set(kinds)
    takers = {message.fill.is_taker for message in desk.said if isinstance(message, Filled)}
    assert takers == {True, False}


# -- the place in the queue ---------------------------------------------------------------------------------------


pauses = st.sampled_from([0, 1, 2 * PAIRED_MS])


@given(st.integers(0, 1_000), st.lists(st.integers(1, 300), max_size=12))
def test_by_trades_alone_we_get_what_is_left_after_those_ahead(ahead: int, trades: list[int]) -> None:
    place = QueuePlace(Qty(ahead))
    assert sum(place.trade(Qty(qty), T0) for qty in trades) == max(0, sum(trades) - ahead)


@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.lists(st.tuples(st.booleans(), st.integers(1, 100), pauses), max_size=15),
)
def test_an_order_does_not_pass_contracts_that_neither_traded_nor_left(
    ahead: int, behind: int, steps: list[tuple[bool, int, int]]
) -> None:
    place = QueuePlace(Qty(ahead))
    standing = ahead + behind
    traded = gone = reached = 0
    at = T0
    for is_trade, qty, pause in steps:
        at = Ts(at + pause)
        if is_trade:
            traded += qty
            reached += place.trade(Qty(qty), at)
        else:
            qty = min(qty, standing)
            standing -= qty
            gone += qty
            if qty:
                place.shrink(Qty(qty), Qty(standing), at)
        assert place.ahead >= 0
        assert reached <= max(0, traded + gone - ahead)
        assert place.ahead + traded + gone >= ahead


def test_a_queue_shrinks_evenly_without_a_trade_report() -> None:
    place = QueuePlace(contracts(50))
    place.shrink(contracts(40), contracts(60), T0)
    assert place.ahead == contracts(30)


def test_paper_fills_have_ids_of_their_own(desk: Desk) -> None:
    desk.place(BID, 45, 60)
    found: list[Fill] = [message.fill for message in desk.said if isinstance(message, Filled)]
    assert len({fill.trade_id for fill in found}) == len(found) == 2


def test_a_book_that_cannot_be_is_asked_for_again_on_paper_too() -> None:
    asked: list[str] = []
    desk = Desk(resync=asked.append)
    assert list(desk.venue.perform(ResyncBook(TICKER, "crossed"))) == []
    assert asked == [TICKER]
    assert list(Desk().venue.perform(ResyncBook(TICKER, "crossed"))) == [], "a recording has nobody to ask"
