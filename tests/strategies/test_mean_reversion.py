"""The mean-reversion strategy: what it enters, what it leaves alone, and how it gets out."""

from __future__ import annotations

from typing import Any

import pytest
from support.tape import TICKER, StrategyHarness, cancel_reasons, held, market, old_order, submitted_orders

from kalshi_cli.base.units import Price, Qty, cents, contracts
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import BookDelta, MarketChange, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.mean_reversion import MIN_SAMPLES


def tape(**given: Any) -> StrategyHarness:
    return StrategyHarness(registry.make("mean-reversion", {"sample_s": "1", **given}))


def settled(samples: int = 40, **given: Any) -> StrategyHarness:
    """A market that went to and fro between 44/46 and 46/48: mean 46, deviation 1."""
    played = tape(**given)
    for step in range(samples):
        assert submitted_orders(played.book(*((44, 46) if step % 2 else (46, 48)))) == []
    return played


def entered(**given: Any) -> StrategyHarness:
    """Long 5 from 40."""
    played = settled(**given)
    assert len(submitted_orders(played.book(40, 42))) == 1
    played.trade(40, 105, ASK)
    assert played.position == contracts(5)
    return played


def test_far_below_its_mean_it_is_bought_at_the_bid() -> None:
    (order,) = submitted_orders(settled().book(40, 42))
    assert (order.side, order.price, order.qty) == (BID, cents(40), contracts(5))
    assert (order.post_only, order.tif) == (True, TimeInForce.GTC)
    assert order.reason == "mid $0.41, z -3.9 of 41"


def test_far_above_its_mean_it_is_sold_at_the_ask() -> None:
    (order,) = submitted_orders(settled().book(50, 52))
    assert (order.side, order.price) == (ASK, cents(52))


def test_the_belief_is_the_mean_of_the_window() -> None:
    (order,) = submitted_orders(settled().book(40, 42))
    mids = [47, 45] * 20 + [41]
    assert order.fair == Price(round(100 * sum(mids) / len(mids)))


@pytest.mark.parametrize("samples", [1, MIN_SAMPLES - 2])
def test_before_thirty_samples_nothing_is_traded(samples: int) -> None:
    assert submitted_orders(settled(samples).book(30, 32)) == []


def test_with_the_thirtieth_sample_it_trades() -> None:
    assert len(submitted_orders(settled(MIN_SAMPLES - 1).book(30, 32))) == 1


def test_until_then_it_says_how_many_it_has() -> None:
    played = tape()
    played.tick()
    assert played.engine.hooks.waiting == f"mean-reversion: 0 of 30 samples in {TICKER}"
    played = settled(11)
    played.tick()
    assert played.engine.hooks.waiting == f"mean-reversion: 12 of 30 samples in {TICKER}"
    played = settled(MIN_SAMPLES)
    played.tick()
    assert played.engine.hooks.waiting == ""


def test_of_several_markets_it_names_the_one_that_is_nearest() -> None:
    played = settled(11)
    for name in ("KXOTHER-1", "KXOTHER-2"):
        played.play(MarketChange(played.now, market(name), FeeSchedule()))
    played.tick()
    assert played.engine.hooks.waiting == f"mean-reversion: 12 of 30 samples in {TICKER}, fewer in 2 others"


def test_books_that_come_faster_than_samples_are_no_samples() -> None:
    played = tape(sample_s="10")
    for step in range(60):
        assert submitted_orders(played.book(*((44, 46) if step % 2 else (46, 48)))) == []
    assert submitted_orders(played.book(30, 32)) == [], "a minute has six samples"


def test_time_samples_a_market_that_stands_still() -> None:
    played = tape()
    played.book(44, 46)
    for _ in range(MIN_SAMPLES):
        played.tick()
    assert len(submitted_orders(played.book(36, 38))) == 1


def test_an_unusable_book_is_no_sample_and_no_reason() -> None:
    played = settled()
    wrong = BookDelta(played.now, TICKER, BID, cents(44), Qty(-contracts(10_000)))
    played.play(wrong)
    assert not played.engine.state.books[TICKER].is_usable
    assert submitted_orders(played.play(Tick(played.now))) == []


def test_after_the_clock_was_set_back_it_begins_anew() -> None:
    played = settled()
    played.tick(-3_600)
    assert submitted_orders(played.book(40, 42)) == [], "the mean is that of an hour nobody knows"


def test_after_a_hole_of_a_whole_window_it_begins_anew() -> None:
    played = settled(window="30")
    assert submitted_orders(played.book(40, 42, after=31)) == []
    assert len(submitted_orders(settled(window="30").book(40, 42, after=29))) == 1, (
        "companion: a shorter hole changes nothing"
    )


@pytest.mark.parametrize(
    ("given", "orders"), [({}, 1), ({"entry_z": "8"}, 0), ({"min_move": "6c"}, 0), ({"min_move": "4c"}, 1)]
)
def test_far_is_both_in_deviations_and_in_cents(given: dict[str, str], orders: int) -> None:
    assert len(submitted_orders(settled(**given).book(40, 42))) == orders  # type: ignore[arg-type]


def test_where_nothing_ever_moved_the_first_sample_off_it_counts() -> None:
    played = tape()
    played.book(45, 47)
    for _ in range(40):
        assert submitted_orders(played.tick()) == [], "no deviation, no reason"
    assert len(submitted_orders(played.book(40, 42))) == 1


def test_nothing_is_entered_near_the_ends_or_without_two_sides() -> None:
    assert submitted_orders(settled(min_price="41c").book(40, 42)) == []
    assert len(submitted_orders(settled(min_price="40c").book(40, 42))) == 1


def test_it_takes_what_is_there_once_the_mid_is_back() -> None:
    played = entered()
    assert submitted_orders(played.book(41, 43)) == [], "not yet"
    (out,) = submitted_orders(played.book(45, 47))
    assert (out.side, out.price, out.tif, out.reduce_only) == (ASK, cents(45), TimeInForce.IOC, True)
    assert out.reason == "returned to the mean"
    played.tick()
    assert played.position == 0


def test_exit_z_says_how_near_is_back() -> None:
    assert len(submitted_orders(entered(exit_z="1.9").book(43, 45))) == 1
    assert submitted_orders(entered(exit_z="0").book(43, 45)) == []


@pytest.mark.parametrize(("side", "book"), [(BID, (36, 37)), (ASK, (55, 57))])
def test_the_stop_takes_the_price_that_is_there(side: Side, book: tuple[int, int]) -> None:
    played = settled(stop="4c")
    played.book(*((40, 42) if side is BID else (50, 52)))
    played.trade(40 if side is BID else 52, 105, side.opposite)
    (out,) = submitted_orders(played.book(*book))
    assert (out.side, out.reason, out.reduce_only) == (side.opposite, "stop", True)


def test_time_ends_a_trade_even_when_nothing_moves() -> None:
    played = entered(hold_s="30", stop="50c")
    assert submitted_orders(played.tick(20)) == []
    (out,) = submitted_orders(played.tick(11))
    assert out.reason == "time"


def test_leaving_is_tried_once_a_second() -> None:
    played = entered(hold_s="10")
    played.book(40, 42, size=1)
    assert len(submitted_orders(played.tick(10))) == 1
    assert submitted_orders(played.tick(0.5)) == []
    assert len(submitted_orders(played.tick(1))) == 1, "only one contract was there; the rest is tried again"


def test_an_unfilled_entry_is_taken_back_and_the_market_left_alone_for_a_while() -> None:
    played = settled(rest_s="20", cooldown_s="30")
    played.book(40, 42)
    assert cancel_reasons(played.tick(21)) == ["entry not filled in time"]
    played.tick()
    played.tick()
    assert submitted_orders(played.book(38, 40)) == [], "the cooldown"
    played.tick(31)
    assert len(submitted_orders(played.book(30, 32))) == 1


def test_the_rest_of_an_entry_is_taken_back_before_it_gets_out() -> None:
    played = settled()
    played.book(40, 42)
    played.trade(40, 102, ASK)
    assert played.position == contracts(2)
    assert cancel_reasons(played.book(45, 47)) == ["returned to the mean"]
    (out,) = submitted_orders(played.tick())
    assert (out.qty, out.reason) == (contracts(2), "returned to the mean")


def test_a_position_of_an_earlier_run_is_looked_after() -> None:
    played = tape(hold_s="30")
    played.recall([old_order(strategy="mean-reversion")], [held()])
    assert submitted_orders(played.book(39, 41)) == []
    (out,) = submitted_orders(played.tick(31))
    assert (out.side, out.qty, out.reason) == (ASK, contracts(5), "time")
