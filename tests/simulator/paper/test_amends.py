"""Amends on paper: what only makes an order smaller keeps its place, everything else enters again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.paper import T0, Desk, market, told

from kalshi_cli.base.units import Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.open_amends import worse_case_terms
from kalshi_cli.core.model.effects import AmendOrder
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import AmendEnded, Filled, MarketChange, Message, OrderCanceled, OrderState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus

S = OrderStatus


@pytest.fixture
def desk() -> Desk:
    """Twenty at 40 bid, ten each at 44 and 45 offered."""
    desk = Desk()
    desk.book({40: 20}, {44: 10, 45: 10})
    return desk


def rest(desk: Desk, price: int = 40, qty: int = 10, **changes: Any) -> Order:
    """A bid of ours that rests."""
    sent = desk.order(BID, price, qty, **changes)
    desk.wait()
    (found,) = [
        order for order in desk.venue.snapshot(desk.now).orders if order.client_order_id == sent.client_order_id
    ]
    return found


def send(desk: Desk, before: Order, price: int, qty: int, **changes: Any) -> list[Message]:
    """Ask for `qty` to be left at `price`; it is still on its way."""
    wanted = msgspec.structs.replace(before, price=cents(price), qty=Qty(before.filled + contracts(qty)), **changes)
    return list(desk.venue.perform(AmendOrder(before, wanted, worse_case_terms(before, wanted, desk.now))))


def amend(desk: Desk, before: Order, price: int, qty: int, **changes: Any) -> list[Message]:
    send(desk, before, price, qty, **changes)
    return desk.wait()


def ended(messages: list[Message]) -> AmendEnded:
    (found,) = [message for message in messages if isinstance(message, AmendEnded)]
    return found


def resting(desk: Desk) -> list[tuple[int, int]]:
    return [(order.price // 100, order.remaining // 100) for order in desk.venue.snapshot(desk.now).orders]


def reached(desk: Desk, price: int, qty: int) -> int:
    """Contracts that reach us of a trade."""
    return sum(said.fill.qty for said in desk.trade(price, qty, ASK) if isinstance(said, Filled)) // 100


def test_an_amend_takes_as_long_as_an_order(desk: Desk) -> None:
    before = rest(desk)
    send(desk, before, 41, 10)
    assert desk.wait(99) == []
    assert resting(desk) == [(40, 10)]
    assert ended(desk.wait(1)).order.price == cents(41)
    assert resting(desk) == [(41, 10)]


def test_a_smaller_order_keeps_its_place(desk: Desk) -> None:
    before = rest(desk)
    desk.delta(BID, 40, 30)
    after = ended(amend(desk, before, 40, 6)).order
    assert (after.status, after.remaining) == (S.RESTING, contracts(6))
    assert reached(desk, 40, 20) == 0
    assert reached(desk, 40, 9) == 6, "behind the twenty that were there first, and before those who came later"


@pytest.mark.parametrize(("price", "qty"), [(40, 12), (41, 10)])
def test_any_other_change_goes_to_the_end_of_the_queue(desk: Desk, price: int, qty: int) -> None:
    before = rest(desk)
    desk.delta(BID, price, 30)
    amend(desk, before, price, qty)
    ahead = 50 if price == 40 else 30
    assert reached(desk, price, ahead) == 0
    assert reached(desk, price, 5) == 5


def test_an_expiry_alone_keeps_the_place_and_is_obeyed(desk: Desk) -> None:
    before = rest(desk)
    desk.delta(BID, 40, 30)
    amend(desk, before, 40, 10, expires=Ts(desk.now + 5_000))
    assert reached(desk, 40, 21) == 1
    (over,) = desk.wait(5_000)
    assert isinstance(over, OrderState)
    assert over.order.status is S.EXPIRED


def test_an_amend_that_crosses_trades_and_the_rest_stays(desk: Desk) -> None:
    before = rest(desk)
    said = amend(desk, before, 44, 15)
    assert told(said) == ["AmendEnded", "Filled"]
    assert (ended(said).order.filled, ended(said).order.remaining) == (contracts(10), contracts(5))
    assert resting(desk) == [(44, 5)]
    assert desk.venue.ledger.position("KXA-1").qty == contracts(10)


def test_an_amend_that_trades_whole_ends_the_order(desk: Desk) -> None:
    before = rest(desk)
    assert ended(amend(desk, before, 45, 20)).order.status is S.FILLED
    assert resting(desk) == []


def test_what_filled_before_counts_in_the_new_size(desk: Desk) -> None:
    before = rest(desk)
    assert reached(desk, 40, 24) == 4
    after = ended(amend(desk, before, 41, 10)).order  # ten in all: it was sent before the four were known
    assert (after.filled, after.remaining) == (contracts(4), contracts(6))


def test_post_only_that_would_cross_is_cancelled(desk: Desk) -> None:
    before = rest(desk, post_only=True)
    (said,) = amend(desk, before, 44, 10)
    assert isinstance(said, OrderCanceled)
    assert (said.reason, resting(desk)) == ("PostOnlyCrossCancel", [])
    assert desk.venue.ledger.position("KXA-1").qty == 0


def test_an_order_of_ours_on_the_other_side_ends_it_where_they_meet(desk: Desk) -> None:
    before = rest(desk)
    desk.place(ASK, 43)
    said = amend(desk, before, 43, 10)
    assert ended(said).order.status is S.CANCELED
    assert resting(desk) == [(43, 10)], "the ask"


@pytest.mark.parametrize(
    ("price", "qty", "changes", "code"),
    [
        (40, 5, {"expires": T0}, "invalid_parameters"),
        (41, 10, {"expires": T0}, "invalid_parameters"),
        (40, -10, {}, "invalid_order_size"),
        (41, 3_000, {}, "insufficient_balance"),
    ],
)
def test_a_refusal_leaves_the_order_and_its_place(
    desk: Desk, price: int, qty: int, changes: dict[str, Any], code: str
) -> None:
    before = rest(desk)
    second = rest(desk)
    said = ended(amend(desk, before, price, qty, **changes))
    assert (said.code, said.order) == (code, before)
    assert resting(desk) == [(40, 10), (40, 10)]
    assert reached(desk, 40, 35) == 15, "ten for the first and five for the second: twenty stood ahead of both"
    assert second.filled == 0


def test_an_order_does_not_pay_twice_for_its_own_place() -> None:
    desk = Desk(cash=dollars(5))
    desk.book({40: 20}, {60: 10})
    before = rest(desk, 40, 10, post_only=True)
    assert ended(amend(desk, before, 45, 10)).code == ""
    assert resting(desk) == [(45, 10)]


def test_nothing_is_amended_in_a_closed_market(desk: Desk) -> None:
    before = rest(desk)
    desk.see(MarketChange(desk.now, market(status=MarketStatus.INACTIVE)))
    assert ended(amend(desk, before, 40, 5)).code == "market_inactive"


def test_an_amend_that_came_too_late_is_answered_with_what_became_of_the_order(desk: Desk) -> None:
    before = rest(desk)
    desk.cancel(before)
    send(desk, before, 41, 10)
    said = desk.wait()
    assert told(said) == ["OrderCanceled", "OrderState"]
    assert isinstance(said[1], OrderState)
    assert said[1].order.status is S.CANCELED
