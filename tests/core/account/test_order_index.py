"""The order index: late, doubled and contradicting news about orders, and what may still trade meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.order_index import MAX_ENDED_ORDERS, MAX_HELD_FILLS, TRANSITIONS, OrderRegistry
from kalshi_cli.core.model.messages import (
    CancelFailed,
    Filled,
    Message,
    OrderAccepted,
    OrderCanceled,
    OrderNeverArrived,
    OrderRejected,
    OrderState,
    OrderUnknown,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus

SUBMITTED, UNKNOWN, RESTING = OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.RESTING
FILLED, CANCELED, EXPIRED = OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED
REJECTED, NEVER_ARRIVED, DENIED = OrderStatus.REJECTED, OrderStatus.NEVER_ARRIVED, OrderStatus.DENIED
OVER = {FILLED, CANCELED, EXPIRED}


def intent(
    client_order_id: str = "c1",
    *,
    side: Side = BID,
    qty: int = 1_000,
    tif: TimeInForce = TimeInForce.GTC,
    ticker: str = "T",
) -> Order:
    return Order(
        client_order_id=client_order_id,
        ticker=ticker,
        side=side,
        price=Price(4_700),
        qty=Qty(qty),
        status=SUBMITTED,
        created=Ts(100),
        updated=Ts(100),
        tif=tif,
        strategy="fade",
        reason="cheap",
    )


def stated(
    status: OrderStatus = RESTING,
    *,
    filled: int = 0,
    reduced: int = 0,
    updated: int = 50,
    order_id: str = "x1",
    client_order_id: str = "c1",
    qty: int = 1_000,
    price: int = 4_700,
    side: Side = BID,
    ticker: str = "T",
    fees: int = 0,
    code: str = "",
) -> OrderState:
    """As the exchange states it; its clock may well be behind ours."""
    order = Order(
        client_order_id=client_order_id,
        order_id=order_id,
        ticker=ticker,
        side=side,
        price=Price(price),
        qty=Qty(qty),
        filled=Qty(filled),
        reduced=Qty(reduced),
        status=status,
        created=Ts(40),
        updated=Ts(updated),
        fees=Money(fees),
        code=code,
    )
    return OrderState(Ts(updated), order)


def accepted(filled: int = 0, remaining: int = 1_000, *, order_id: str = "x1", client_order_id: str = "c1") -> Message:
    return OrderAccepted(Ts(110), client_order_id, order_id, Qty(filled), Qty(remaining))


def fill(trade_id: str, qty: int, *, order_id: str = "x1", client_order_id: str = "", fee: int = 10) -> Filled:
    trade = Fill(
        trade_id=trade_id,
        order_id=order_id,
        ticker="T",
        side=BID,
        price=Price(4_600),
        qty=Qty(qty),
        fee=Money(fee),
        is_taker=True,
        ts=Ts(120),
        client_order_id=client_order_id,
    )
    return Filled(trade.ts, trade)


def after(messages: Sequence[Message], order: Order | None = None) -> OrderRegistry:
    index = OrderRegistry()
    index.add(order or intent())
    for message in messages:
        index.apply(message)
    return index


def ours(index: OrderRegistry) -> Order:
    order = index.get("c1")
    assert order is not None
    return order


# -- the graph, and what always holds -----------------------------------------------------------------------------


def test_every_status_has_its_transitions_and_what_is_over_has_none() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)
    assert all(not TRANSITIONS[status] for status in (*OVER, DENIED))
    assert all(status not in after for status, after in TRANSITIONS.items())
    assert TRANSITIONS[RESTING] == OVER, "the exchange cannot refuse or lose what it named"


few = st.sampled_from([0, 100, 400, 1_000])
messages = st.one_of(
    st.builds(accepted, few, few, order_id=st.sampled_from(["x1", "x1", "x1", "x2"])),
    st.just(OrderRejected(Ts(111), "c1", "invalid_order")),
    st.just(OrderUnknown(Ts(111), "c1", "timeout")),
    st.just(OrderNeverArrived(Ts(111), "c1")),
    st.builds(
        stated,
        st.sampled_from([RESTING, RESTING, FILLED, CANCELED, EXPIRED, UNKNOWN]),
        filled=few,
        reduced=few,
        updated=st.integers(40, 60),
        order_id=st.sampled_from(["x1", "x1", "x1", "x2"]),
        price=st.sampled_from([4_700, 4_800]),
    ),
    st.builds(OrderCanceled, st.just(Ts(130)), st.sampled_from(["x1", ""]), st.sampled_from(["c1", "", "c9"])),
    st.just(CancelFailed(Ts(130), "x1", "c1", "not_found")),
    st.builds(
        fill,
        st.sampled_from("abcdefg"),
        st.sampled_from([100, 300]),
        order_id=st.sampled_from(["x1", "x1", "x2"]),
        client_order_id=st.sampled_from(["c1", ""]),
    ),
    st.just(Tick(Ts(140))),
)


@settings(max_examples=400)
@given(st.lists(messages, max_size=12), st.sampled_from(TimeInForce))
def test_whatever_arrives_an_order_keeps_its_sum_and_its_graph(news: list[Message], tif: TimeInForce) -> None:
    """I-ORDER: initial = filled + remaining + reduced, filled never falls, statuses follow the graph."""
    index = OrderRegistry()
    index.add(intent(tif=tif))
    for message in news:
        before = {id_: index.by_order_id(id_) for id_ in ("x1", "x2")} | {"c1": index.get("c1")}
        changed = index.apply(message)
        if changed is not None:
            assert changed in (ours(index), index.by_order_id("x1"), index.by_order_id("x2"))
        for key, was in before.items():
            now = ours(index) if key == "c1" else index.by_order_id(key)
            if was is None or now is None:
                assert was is None, "an order is not forgotten"
                continue
            assert now.filled >= was.filled
            assert now.status is was.status or now.status in reachable(was.status)
            if now.status.is_live or now.status in OVER:
                assert now.qty == now.filled + now.remaining + now.reduced
            else:
                assert now.remaining == 0
            assert 0 <= now.filled <= now.qty
            assert now.reduced >= 0
            assert now.remaining >= 0
            if changed is None:
                assert msgspec.structs.replace(now, updated=was.updated) == was
        live = [order for order in (ours(index), twin(index)) if order is not None and order.status.is_live]
        assert index.live() == index.live("T") == live
        assert index.worst_case("T") == (sum(order.remaining for order in live), 0)
    event(f"ends {ours(index).status}")
    event(f"twin: {twin(index) is not None}")


def reachable(status: OrderStatus) -> set[OrderStatus]:
    """Within one message an order can also complete: its status moves and its fills end it."""
    return set(TRANSITIONS[status]).union(*(TRANSITIONS[step] for step in TRANSITIONS[status] if step.is_live))


def twin(index: OrderRegistry) -> Order | None:
    """The other order that was found under our id, if the news held one."""
    named = [order for order in (index.by_order_id("x1"), index.by_order_id("x2")) if order is not None]
    return next((order for order in named if order.is_foreign), None)


@given(st.data())
def test_fills_and_their_acknowledgement_in_any_order_and_twice_count_the_same(data: st.DataObject) -> None:
    """F23, F24: by REST (no client id), by WebSocket (with it), before or after the reply, again after a reconnect."""
    news: list[Message] = [accepted(100, 900), stated(filled=300, updated=60)]
    news += [fill(trade_id, 100, client_order_id=data.draw(st.sampled_from(["", "c1"]))) for trade_id in "abcde"]
    index = after(data.draw(st.permutations(news * 2)))
    order = ours(index)
    assert (order.status, order.filled, order.remaining) == (RESTING, 500, 500)
    assert (order.fees, order.fill_cost) == (50, 500 * 4_600)
    assert all(index.apply(message) is None for message in news), "the second time changes nothing"


@given(st.data())
def test_an_order_that_is_over_reaches_one_state_whatever_the_order_of_its_news(data: st.DataObject) -> None:
    """F19: a cancel races fills; the record, the fills and the cancel reply come in any order."""
    news = [
        accepted(0, 1_000),
        stated(filled=200, updated=55),
        OrderCanceled(Ts(130), "x1", "c1"),
        stated(CANCELED, filled=300, reduced=700, updated=60),
        *[fill(trade_id, 100) for trade_id in "abc"],
    ]
    order = ours(after(data.draw(st.permutations(news))))
    assert (order.status, order.filled, order.reduced, order.remaining) == (CANCELED, 300, 700, 0)


# -- one message at a time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filled", "remaining", "tif", "status", "left"),
    [
        (0, 1_000, TimeInForce.GTC, RESTING, 1_000),
        (400, 600, TimeInForce.GTC, RESTING, 600),
        (1_000, 0, TimeInForce.GTC, FILLED, 0),
        (0, 0, TimeInForce.GTC, CANCELED, 0),  # self-trade prevention: the incoming order was cancelled
        (400, 0, TimeInForce.IOC, CANCELED, 0),
        (0, 1_000, TimeInForce.IOC, CANCELED, 0),  # decide by what filled, not by what the reply says is left
        (1_000, 0, TimeInForce.IOC, FILLED, 0),
        (1_000, 0, TimeInForce.FOK, FILLED, 0),
    ],
)
def test_the_reply_to_an_order(filled: int, remaining: int, tif: TimeInForce, status: OrderStatus, left: int) -> None:
    order = ours(after([accepted(filled, remaining)], intent(tif=tif)))
    assert (order.status, order.filled, order.remaining, order.order_id) == (status, filled, left, "x1")
    assert (order.strategy, order.reason, order.is_foreign) == ("fade", "cheap", False)


def test_a_refusal_ends_it_with_its_code() -> None:
    index = after([OrderRejected(Ts(111), "c1", "insufficient_balance")])
    assert (ours(index).status, ours(index).code) == (REJECTED, "insufficient_balance")
    assert index.live() == []


def test_an_unknown_outcome_keeps_the_whole_exposure() -> None:
    index = after([OrderUnknown(Ts(111), "c1", "timeout")])
    assert ours(index).status is UNKNOWN
    assert index.worst_case("T") == (1_000, 0)


def test_only_a_sent_order_without_an_answer_becomes_unknown() -> None:
    for known in (accepted(), OrderNeverArrived(Ts(111), "c1"), OrderUnknown(Ts(111), "c1", "timeout")):
        assert after([known]).apply(OrderUnknown(Ts(112), "c1", "timeout")) is None


def test_never_arrived_releases_the_exposure_and_late_delivery_takes_it_back() -> None:
    """F04, by whatever the news of it is."""
    for late, status, left in [
        (stated(), RESTING, 1_000),
        (accepted(100, 900), RESTING, 900),
        (fill("a", 100, client_order_id="c1"), UNKNOWN, 900),
        (fill("a", 1_000, client_order_id="c1"), FILLED, 0),
        (stated(UNKNOWN), UNKNOWN, 1_000),
    ]:
        index = after([OrderUnknown(Ts(111), "c1", "timeout"), OrderNeverArrived(Ts(112), "c1")])
        assert ours(index).status is NEVER_ARRIVED
        assert index.worst_case("T") == (0, 0)
        changed = index.apply(late)
        assert changed == ours(index)
        assert (changed.status, changed.remaining, changed.is_foreign) == (status, left, False)
        assert index.worst_case("T") == (left, 0)


def test_a_refused_order_that_the_exchange_shows_resting_counts_again() -> None:
    """A gateway can answer 403 for an order that went through; hiding it would hide exposure."""
    index = after([OrderRejected(Ts(111), "c1", "forbidden"), stated()])
    assert ours(index).status is RESTING
    assert index.worst_case("T") == (1_000, 0)


def test_once_the_exchange_named_it_an_order_cannot_have_been_refused_or_lost() -> None:
    for proof in (stated(), accepted(), fill("a", 100, client_order_id="c1")):
        index = after([proof])
        assert index.apply(OrderRejected(Ts(111), "c1", "order_already_exists")) is None
        assert index.apply(OrderNeverArrived(Ts(111), "c1")) is None
        assert ours(index).status.is_live


def test_a_fill_before_the_reply_leaves_the_order_waiting_for_it() -> None:
    index = after([fill("a", 400, client_order_id="c1")])
    assert (ours(index).status, ours(index).order_id, ours(index).remaining) == (SUBMITTED, "x1", 600)
    assert ours(after([OrderUnknown(Ts(111), "c1", "timeout"), fill("a", 400, client_order_id="c1")])).status is UNKNOWN


def test_a_fill_that_names_only_their_id_is_held_until_the_reply_tells_whose_it_is() -> None:
    index = after([])
    assert index.apply(fill("a", 400)) is None
    assert index.apply(fill("a", 400)) is None
    assert ours(index).filled == 0
    index.apply(accepted(400, 600))
    assert ours(index).filled == 400
    assert index.apply(fill("a", 400)) is None, "it was counted from the held ones"


def test_both_fills_of_a_trade_between_two_orders_of_ours_are_held_for_their_order() -> None:
    index = OrderRegistry()
    index.add(intent())
    index.add(msgspec.structs.replace(intent(), client_order_id="c2", side=ASK))
    for order_id in ("x1", "x2"):
        index.apply(fill("a", 400, order_id=order_id))
    for number in "12":
        index.apply(accepted(remaining=600, order_id=f"x{number}", client_order_id=f"c{number}"))
        order = index.get(f"c{number}")
        assert order is not None
        assert order.filled == 400


def test_held_fills_are_bounded_and_the_next_statement_makes_up_for_a_lost_one() -> None:
    index = after([fill("a", 1), fill("b", 1)])
    for number in range(MAX_HELD_FILLS - 1):
        index.apply(fill(str(number), 1, order_id="another"))
    index.apply(accepted(0, 1_000))
    assert ours(index).filled == 1, "the oldest had to go"
    index.apply(stated(filled=2, updated=60))
    assert ours(index).filled == 2


def test_the_cumulative_count_and_the_single_fills_are_not_added_up() -> None:
    index = after([accepted(), stated(filled=500, updated=60), fill("a", 200), fill("b", 300)])
    assert ours(index).filled == 500
    index.apply(fill("c", 100))
    assert ours(index).filled == 600


def test_a_late_fill_raises_what_a_cancelled_order_filled_but_not_beyond_its_size() -> None:
    index = after([accepted(), OrderCanceled(Ts(130), "x1", "c1", "user")])
    assert (ours(index).status, ours(index).reduced, ours(index).code) == (CANCELED, 1_000, "user")
    index.apply(fill("a", 400))
    assert (ours(index).status, ours(index).filled, ours(index).reduced) == (CANCELED, 400, 600)
    index.apply(fill("b", 900))
    assert (ours(index).status, ours(index).filled, ours(index).reduced) == (CANCELED, 1_000, 0)


def test_a_cancel_that_took_back_less_than_was_left_ends_nothing_until_the_fill_is_heard_of() -> None:
    took_back = OrderCanceled(Ts(130), "x1", "c1", reduced=Qty(600))
    index = after([accepted(), took_back])
    assert (ours(index).status, ours(index).remaining) == (RESTING, 1_000)
    index.apply(fill("a", 400))
    index.apply(took_back)
    assert (ours(index).status, ours(index).filled, ours(index).reduced) == (CANCELED, 400, 600)


def test_fills_up_to_the_size_end_an_order() -> None:
    index = after([accepted(), fill("a", 400), fill("b", 600)])
    assert ours(index).status is FILLED
    assert index.live() == []
    reduced = after([accepted(), stated(reduced=600, updated=60), fill("a", 400)])
    assert (ours(reduced).status, ours(reduced).filled, ours(reduced).reduced) == (FILLED, 400, 600)
    assert ours(after([accepted(), stated(reduced=1_000, updated=60)])).status is CANCELED


def test_a_cancel_that_failed_proves_nothing() -> None:
    index = after([accepted()])
    assert index.apply(CancelFailed(Ts(130), "x1", "c1", "not_found")) is None
    assert index.worst_case("T") == (1_000, 0)


def test_a_cancel_reply_about_another_order_is_ignored() -> None:
    """F21."""
    index = after([accepted()])
    index.add(intent("c2"))
    index.apply(accepted(order_id="x2", client_order_id="c2"))
    for reply in (
        OrderCanceled(Ts(130), "x1", "c2"),
        OrderCanceled(Ts(130), "x9", "c1"),
        OrderCanceled(Ts(130), "x9", "c9"),
    ):
        assert index.apply(reply) is None
    assert len(index.live("T")) == 2
    assert index.apply(OrderCanceled(Ts(130), "x1", "")) == ours(index)
    assert index.apply(OrderCanceled(Ts(130), "x1", "c1")) is None, "the second time changes nothing"
    assert index.apply(OrderCanceled(Ts(130), "", "c2")) == index.get("c2")
    assert index.live() == []


def test_an_older_statement_is_ignored_unless_it_says_that_the_order_is_over() -> None:
    """F40: reads lag. Our own clock plays no part: the first statement is older than the order's creation here."""
    index = after([stated(updated=60, price=4_800, filled=200)])
    assert ours(index).price == 4_800
    assert index.apply(stated(updated=59, price=4_700, filled=100, reduced=300)) is None
    assert index.apply(stated(updated=60, price=4_800, filled=200)) is None
    ended = index.apply(stated(EXPIRED, updated=58, price=4_700, filled=300, code="ExpiryCancel"))
    assert ended is not None
    assert (ended.status, ended.price, ended.filled, ended.code) == (EXPIRED, 4_800, 300, "ExpiryCancel")
    assert index.apply(stated(RESTING, updated=99, filled=300)) is None, "what is over stays over"


def test_a_newer_statement_moves_price_size_and_expiry() -> None:
    index = after([accepted()])
    news = stated(updated=60, price=4_800, qty=1_500, reduced=200)
    index.apply(OrderState(news.ts, msgspec.structs.replace(news.order, expires=Ts(9_000), exchange_index=2)))
    order = ours(index)
    assert (order.price, order.qty, order.remaining, order.expires, order.exchange_index) == (
        4_800,
        1_500,
        1_300,
        9_000,
        2,
    )
    index.apply(stated(updated=61, price=4_800, qty=1_500, reduced=200))
    assert ours(index).expires == 9_000, "a statement without an expiry does not take it away"


def test_an_order_filled_as_we_counted_that_somebody_made_larger_elsewhere_counts_again() -> None:
    index = after([stated(updated=60), fill("a", 1_000)])
    assert ours(index).status is FILLED
    index.apply(stated(qty=1_000, updated=65))
    assert ours(index).status is FILLED, "news from before the fill changes nothing"
    index.apply(stated(qty=1_500, updated=55))
    assert ours(index).status is FILLED, "nor does what is older than what we know"
    index.apply(stated(qty=1_500, filled=1_000, updated=70))
    assert (ours(index).status, ours(index).remaining) == (RESTING, 500)
    assert index.worst_case("T") == (500, 0)


def test_fees_are_the_exchange_s_sum_until_our_fills_cover_the_order() -> None:
    index = after([accepted(), stated(filled=300, fees=999, updated=60), fill("a", 100)])
    assert ours(index).fees == 999
    index.apply(fill("b", 200))
    assert (ours(index).fees, ours(index).fill_cost) == (20, 300 * 4_600)
    index.apply(stated(CANCELED, filled=200, fees=1, updated=61))
    assert ours(index).fees == 20
    unseen = after([accepted(), stated(filled=300, fees=999, updated=60), stated(filled=200, fees=1, updated=61)])
    assert ours(unseen).fees == 999, "a count that lags has lagging fees"


def test_a_statement_about_another_market_or_side_is_about_another_order() -> None:
    index = after([accepted()])
    assert index.apply(stated(ticker="U", updated=60, filled=500)) is None
    assert index.apply(stated(CANCELED, side=ASK, updated=60)) is None
    assert index.live() == [ours(index)]
    assert index.worst_case("T") == (1_000, 0)


# -- orders that we did not place ---------------------------------------------------------------------------------


def test_an_order_we_did_not_place_joins_as_foreign_and_counts() -> None:
    """F26."""
    index = OrderRegistry()
    adopted = index.adopt(stated(client_order_id="", side=ASK, filled=100, updated=60).order)
    assert adopted is not None
    assert adopted.is_foreign
    assert index.by_order_id("x1") == adopted
    assert index.worst_case("T") == (0, 900)
    index.apply(stated(client_order_id="", side=ASK, filled=300, updated=61))
    index.apply(fill("a", 100))
    assert index.worst_case("T") == (0, 700)
    assert index.adopt(stated(client_order_id="", side=ASK, filled=100, updated=60).order) is None


def test_what_a_foreign_order_trades_under_our_eyes_counts_until_its_fills_are_there() -> None:
    """A person's order trades, and the news of that comes before the fill: it is live no more, and in no position."""
    index = OrderRegistry()
    index.adopt(stated(client_order_id="").order)
    assert index.worst_case("T") == (1_000, 0)
    index.apply(stated(FILLED, client_order_id="", filled=1_000, updated=61))
    assert [qty for _, qty in index.untold("T")] == [1_000]
    index.apply(fill("a", 400))
    assert [qty for _, qty in index.untold("T")] == [600]
    index.apply(fill("b", 600))
    assert index.untold() == []


def test_what_a_foreign_order_had_traded_before_may_never_be_read_and_is_not_waited_for() -> None:
    index = OrderRegistry()
    index.adopt(stated(client_order_id="", filled=300, updated=130).order)
    assert index.untold() == []
    index.apply(fill("old", 100))
    assert index.untold() == [], "read after all: it is of those that were there"
    index.apply(stated(client_order_id="", filled=500, updated=131))
    assert [qty for _, qty in index.untold()] == [200]
    index.apply(fill("late", 200))
    assert [qty for _, qty in index.untold()] == [200], "of those that were there, too"


def test_a_foreign_order_counts_the_fills_held_for_it() -> None:
    index = OrderRegistry()
    index.apply(fill("a", 400))
    adopted = index.adopt(stated(client_order_id="theirs").order)
    assert adopted is not None
    assert adopted.filled == 400
    assert index.get("theirs") == adopted


def test_our_own_order_is_adopted_as_ours() -> None:
    index = after([OrderUnknown(Ts(111), "c1", "timeout")])
    adopted = index.adopt(stated().order)
    assert adopted == ours(index) == index.by_order_id("x1")
    assert (adopted.status, adopted.is_foreign, adopted.strategy) == (RESTING, False, "fade")


def test_a_second_order_under_our_id_counts_beside_the_first() -> None:
    """F09: the network delivered the request twice and the exchange took both. A reply alone may be false."""
    index = after([accepted(1_000, 0)])
    assert index.apply(accepted(0, 1_000, order_id="x2")) is None
    found = index.apply(stated(order_id="x2", updated=60))
    assert found is not None
    assert (found.order_id, found.is_foreign, found.strategy, found.filled) == ("x2", True, "fade", 0)
    assert ours(index).order_id == "x1"
    assert index.worst_case("T") == (1_000, 0)
    assert index.apply(accepted(0, 1_000, order_id="x2")) is None
    index.apply(OrderCanceled(Ts(130), "x2", "c1"))
    assert index.live() == []


def test_what_a_second_order_had_traded_when_first_seen_counts_until_its_fills_are_there() -> None:
    """Its fills are as new as the request, so a read will bring them: until then no order may close them again."""
    index = after([accepted(0, 1_000)])
    index.apply(stated(FILLED, order_id="x2", updated=60, filled=1_000))
    assert [(order.order_id, qty) for order, qty in index.untold("T")] == [("x2", 1_000)]
    index.apply(fill("a", 1_000, order_id="x2"))
    assert index.untold() == []


def test_a_second_order_whose_fills_came_first_lacks_none() -> None:
    index = after([accepted(0, 1_000)])
    index.apply(fill("a", 1_000, order_id="x2"))
    index.apply(stated(FILLED, order_id="x2", updated=60, filled=1_000))
    assert index.untold() == []


def test_an_order_under_our_id_with_other_terms_is_not_ours() -> None:
    """F08: compare before adopting. Both count until a person has looked."""
    index = after([OrderUnknown(Ts(111), "c1", "order_already_exists")])
    found = index.adopt(stated(side=ASK).order)
    assert found is not None
    assert found.is_foreign
    assert ours(index).status is UNKNOWN
    assert index.worst_case("T") == (1_000, 1_000)


def test_news_about_orders_nobody_knows_changes_nothing() -> None:
    index = OrderRegistry()
    for message in (
        accepted(),
        OrderRejected(Ts(1), "c1", "x"),
        OrderUnknown(Ts(1), "c1", "x"),
        OrderNeverArrived(Ts(1), "c1"),
        OrderCanceled(Ts(1), "x1", "c1"),
        CancelFailed(Ts(1), "x1", "c1", "x"),
        Tick(Ts(1)),
    ):
        assert index.apply(message) is None
    assert (index.get("c1"), index.by_order_id("x1"), index.live(), index.live("T")) == (None, None, [], [])
    assert index.worst_case("T") == (0, 0)


# -- the index ----------------------------------------------------------------------------------------------------


def test_an_id_is_used_once() -> None:
    index = after([accepted()])
    with pytest.raises(ValueError, match="order c1 is already known"):
        index.add(intent())
    with pytest.raises(ValueError, match="order x1 is already known"):
        index.add(stated(client_order_id="").order)


def test_orders_come_back_from_the_store_with_their_fills() -> None:
    """After a restart: the order says 500, its trades are replayed, and a new one is counted on top."""
    remembered = msgspec.structs.replace(intent(), order_id="x1", status=RESTING, filled=Qty(500))
    index = after([fill("a", 200), fill("b", 300), fill("c", 100)], remembered)
    assert ours(index).filled == 600


def test_orders_from_the_store_that_are_over_do_not_count() -> None:
    index = OrderRegistry()
    ended = msgspec.structs.replace(intent(), order_id="x1", status=CANCELED, filled=Qty(100), reduced=Qty(900))
    assert index.add(ended) == ended
    assert index.live() == []


def test_live_orders_are_listed_by_market() -> None:
    index = OrderRegistry()
    for number, (ticker, side) in enumerate([("T", BID), ("U", ASK), ("T", ASK), ("T", BID)]):
        index.add(intent(f"c{number}", side=side, ticker=ticker, qty=100 * (number + 1)))
    assert [order.client_order_id for order in index.live("T")] == ["c0", "c2", "c3"]
    assert [order.client_order_id for order in index.live()] == ["c0", "c2", "c3", "c1"]
    assert index.worst_case("T") == (500, 300)
    assert index.worst_case("U") == (0, 200)
    assert index.worst_case("V") == (0, 0)


def test_only_so_many_orders_are_remembered_after_their_end() -> None:
    index = after([accepted(), OrderCanceled(Ts(130), "x1", "c1")])
    index.add(intent("back"))
    index.apply(OrderNeverArrived(Ts(131), "back"))
    index.apply(stated(order_id="late", client_order_id="back"))
    for number in range(MAX_ENDED_ORDERS - 2):
        index.adopt(stated(CANCELED, order_id=f"y{number}", client_order_id="").order)
    assert index.get("c1") is not None
    for number in range(3):
        index.adopt(stated(CANCELED, order_id=f"z{number}", client_order_id="").order)
    assert index.get("c1") is index.by_order_id("x1") is index.by_order_id("y0") is None
    assert index.by_order_id("y1") is not None
    assert index.get("back") in index.live(), "it came back, so its old end is no reason to forget it"


def test_a_reply_that_tells_of_more_trades_makes_the_cost_unknown_until_their_fills_come() -> None:
    index = after([accepted(), fill("a", 300), accepted(500, 500)])
    assert (ours(index).filled, ours(index).fill_cost) == (500, 0)
    index.apply(fill("b", 200))
    assert ours(index).fill_cost == 500 * 4_600
