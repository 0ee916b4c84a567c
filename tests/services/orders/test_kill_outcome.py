"""What the kill switch may call a success: nothing rests, nothing may trade yet, and that is proven."""

from __future__ import annotations

import msgspec
import pytest

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.account.reconciliation import provable_at
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.wire.quotes import RfqQuote
from kalshi_cli.services.orders.cancel_all import _unclean
from kalshi_cli.services.orders.kill_switch import KillSwitchResult

CLEAN = KillSwitchResult(canceled=1, remaining_orders=(), is_verified=True, seconds=1.0)
ORDER = Order(
    client_order_id="c1", order_id="o1", ticker="A", side=BID, price=cents(40), qty=contracts(1),
    status=OrderStatus.RESTING, created=Ts(1), updated=Ts(1),
)  # fmt: skip
QUOTE = RfqQuote(
    quote_id="q1", rfq_id="r1", ticker="A", yes_bid=cents(40), no_bid=None, yes_qty=contracts(1), no_qty=contracts(0),
    target=None, status="accepted", accepted_side="yes", rest_remainder=False, post_only=False, creator_id="me",
    rfq_creator_id="you", is_mine=True, subaccount=0, order_id="", reason="", created=Ts(1), updated=Ts(1),
    accepted=Ts(1), confirmed=None, executed=None, cancelled=None,
)  # fmt: skip


def test_an_empty_fresh_list_is_a_success() -> None:
    assert CLEAN.is_clean


@pytest.mark.parametrize(
    "change",
    [{"is_verified": False}, {"remaining_orders": (ORDER,)}, {"agreed": (QUOTE,)}],
    ids=["no proof", "an order", "a quote that may trade"],
)
def test_nothing_less_is(change: dict[str, object]) -> None:
    assert not msgspec.structs.replace(CLEAN, **change).is_clean


def test_orders_that_ended_with_their_group_are_not_said_to_be_uncanceled() -> None:
    outcome = msgspec.structs.replace(CLEAN, canceled=5, is_verified=False, is_answered=False, triggered=("g1",))
    said = _unclean(outcome, halt="", now=Ts(1)).message
    assert "triggered 1 order group, and 5 orders ended with that" in said
    assert "orders outside of the groups may be live" in said
    alone = _unclean(msgspec.structs.replace(outcome, canceled=0, triggered=()), halt="", now=Ts(1)).message
    assert alone.endswith("the exchange answered no cancel of this run")


def test_the_hint_about_an_unconfirmed_order_names_the_time_of_its_proof_only_while_that_is_to_come() -> None:
    lost = msgspec.structs.replace(ORDER, order_id="", status=OrderStatus.UNKNOWN)
    outcome = msgspec.structs.replace(CLEAN, is_verified=False, in_doubt=(lost,))
    due = provable_at(lost)
    assert "`kalshi order reconcile` after 1970-01-01T" in _unclean(outcome, halt="", now=Ts(due - 1)).hint
    assert _unclean(outcome, halt="", now=due).hint == "run `kalshi order reconcile`; then run this again"
