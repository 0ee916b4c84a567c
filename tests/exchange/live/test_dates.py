"""Times that the exchange gives, where one of the two clocks is wrong."""

from __future__ import annotations

import pytest

from kalshi_cli.base.units import Money, Ts, cents, contracts
from kalshi_cli.core.model.messages import Filled, OrderState
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.exchange.live.dates import MAX_AHEAD_MS, limit_future_times

HOUR_MS = 3_600_000
NOW = Ts(1_780_000_000_000)


def fill(ts: int) -> Fill:
    return Fill(
        trade_id="t", order_id="o", ticker="KXA", side=BID, price=cents(40), qty=contracts(1), fee=Money(0),
        is_taker=True, ts=Ts(ts),
    )  # fmt: skip


def order(ts: int) -> Order:
    return Order(
        client_order_id="c", ticker="KXA", side=BID, price=cents(40), qty=contracts(1), status=OrderStatus.RESTING,
        created=Ts(ts), updated=Ts(ts),
    )  # fmt: skip


def test_while_our_clock_is_set_back_fills_keep_the_time_and_the_order_in_which_they_happened() -> None:
    behind = Ts(NOW - HOUR_MS)
    said = Filled(NOW, fill(NOW))
    held = limit_future_times(said, behind, NOW)
    assert held.fill.ts == NOW
    assert held.ts == behind + MAX_AHEAD_MS, "what the engine takes for now is never ahead of our clock"
    assert limit_future_times(OrderState(NOW, order(NOW)), behind, NOW).order.updated == behind + MAX_AHEAD_MS


@pytest.mark.parametrize("there", [NOW, Ts(NOW - HOUR_MS)])
def test_a_fill_of_the_future_is_held_to_the_later_of_both_clocks(there: Ts) -> None:
    assert limit_future_times(fill(NOW + HOUR_MS), NOW, there).ts == NOW + MAX_AHEAD_MS


def test_what_can_be_true_is_left_as_it_is() -> None:
    said = Filled(NOW, fill(NOW))
    assert limit_future_times(said, NOW, NOW) is said
