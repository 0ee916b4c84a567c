"""No order begins that was reviewed before the state file knew of something: another order, or a stricter state."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.values import NOW, Open, full_order

from kalshi_cli.base.units import contracts
from kalshi_cli.core.account.open_amends import worse_case_terms
from kalshi_cli.core.model.effects import AmendOrder, CloseOrder, OrderChanged, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.store.records import ConcurrentChangeError
from kalshi_cli.store.state_store import ReadOnlyStore


def amended(reviewed: TradingState = TradingState.ACTIVE, **changes: Any) -> AmendOrder:
    before = full_order("mine", order_id="o1", status=OrderStatus.RESTING, **changes)
    wanted = full_order("mine", order_id="o1", status=OrderStatus.RESTING, **{**changes, "qty": contracts(99)})
    return AmendOrder(before, wanted, worse_case_terms(before, wanted, NOW), reviewed)


def closing(name: str) -> CloseOrder:
    return CloseOrder(full_order(name, reduce_only=True, tif=TimeInForce.IOC, strategy="", post_only=False))


def test_an_order_that_was_reviewed_before_another_program_placed_its_own_does_not_begin(open_store: Open) -> None:
    one, other = open_store(), open_store()
    one.load()
    other.load()
    other.record(SubmitOrder(full_order("theirs")))
    with pytest.raises(ConcurrentChangeError) as caught:
        one.record(SubmitOrder(full_order("mine")))
    assert (caught.value.code, one.order("mine")) == ("STATE_MOVED", None)
    assert caught.value.orders == (full_order("theirs"),), "and it says what there is to count"
    one.record(SubmitOrder(full_order("mine")))
    one.record(SubmitOrder(full_order("another of mine")))
    assert [order.client_order_id for order in other.news()] == ["another of mine", "mine"]
    other.record(SubmitOrder(full_order("theirs too")))


def test_an_amend_is_held_up_by_what_others_placed_and_holds_up_what_others_place(open_store: Open) -> None:
    one, other = open_store(), open_store()
    other.record(OrderChanged(amended().before))
    one.load()
    other.load()
    other.record(SubmitOrder(full_order("theirs")))
    with pytest.raises(ConcurrentChangeError):
        one.record(amended())
    one.record(amended())
    with pytest.raises(ConcurrentChangeError) as caught:
        other.record(SubmitOrder(full_order("theirs too")))
    assert amended().doubtful in caught.value.orders
    assert other.news() == ()


def test_an_amend_of_an_order_that_is_not_ours_is_told_too(open_store: Open) -> None:
    one, other = open_store(), open_store()
    other.load()
    strange = amended(is_foreign=True)
    one.record(strange)
    assert other.news() == (strange.doubtful,)


def test_a_close_begins_whatever_others_placed_and_what_they_placed_is_still_news(open_store: Open) -> None:
    one, other = open_store(), open_store()
    one.load()
    other.record(SubmitOrder(full_order("theirs")))
    one.record(closing("out"))
    with pytest.raises(ConcurrentChangeError) as caught:
        one.record(SubmitOrder(full_order("mine")))
    assert "theirs" in [order.client_order_id for order in caught.value.orders]


def test_what_was_begun_before_a_program_looked_is_no_news(open_store: Open) -> None:
    one, other = open_store(), open_store()
    other.record(SubmitOrder(full_order("theirs")))
    one.load()
    one.record(SubmitOrder(full_order("mine")))
    assert one.news() == ()
    assert ReadOnlyStore(None).news() == ReadOnlyStore(one).news() == ()


@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.FILLED, OrderStatus.EXPIRED])
def test_an_order_that_ended_after_the_review_does_not_live_on_on_file(open_store: Open, status: OrderStatus) -> None:
    store = open_store()
    over = full_order("mine", order_id="o1", status=status)
    store.record(OrderChanged(over))
    with pytest.raises(ConcurrentChangeError) as caught:
        store.record(amended())
    assert (caught.value.code, store.order("mine")) == ("NOT_RESTING", over)
    other = amended()
    other = msgspec.structs.replace(
        other,
        before=msgspec.structs.replace(other.before, client_order_id="c2", order_id="o2"),
        doubtful=msgspec.structs.replace(other.doubtful, client_order_id="c2", order_id="o2"),
    )
    store.record(OrderChanged(other.before))
    store.record(other)
    assert store.live_orders() == (other.doubtful,)


@pytest.mark.parametrize("reviewed", [TradingState.ACTIVE, TradingState.REDUCING])
def test_while_reducing_only_what_was_reviewed_as_such_begins(open_store: Open, reviewed: TradingState) -> None:
    one, other = open_store(), open_store()
    one.record(OrderChanged(amended().before))
    one.load()
    other.record(StateChanged(NOW, TradingState.REDUCING, "DAILY_LOSS", ""))
    effects = (SubmitOrder(full_order("c9"), reviewed), amended(reviewed))
    if reviewed is TradingState.REDUCING:
        for effect in effects:
            one.record(effect)
        return
    for effect in effects:
        with pytest.raises(ConcurrentChangeError) as caught:
            one.record(effect)
        assert caught.value.code == "REDUCING"
    assert (one.order("c9"), one.order("o1")) == (None, amended().before)
    one.record(closing("out"))
    assert one.order("out") is not None
