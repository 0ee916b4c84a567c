"""The two bounds of the queue position, drawn latencies, and one trade for several of our orders."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.paper import Desk, told

from kalshi_cli.base.units import Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.model.messages import Filled, Message
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.simulator.paper.queue_position import PAIRED_MS, FillModel, QueuePlace

MODELS = (FillModel.OPTIMISTIC, FillModel.PROPORTIONAL, FillModel.PESSIMISTIC)


@pytest.mark.parametrize(("model", "ahead"), [("optimistic", 10), ("proportional", 30), ("pessimistic", 50)])
def test_where_cancels_stood_decides_what_is_left_ahead(model: str, ahead: int) -> None:
    """Fifty ahead of us and fifty behind; forty leave without a trade."""
    place = QueuePlace(contracts(50), FillModel(model))
    place.shrink(contracts(40), contracts(60), Ts(0))
    assert place.ahead == contracts(ahead)


@pytest.mark.parametrize("model", MODELS)
def test_no_more_can_be_ahead_than_the_level_has(model: FillModel) -> None:
    place = QueuePlace(contracts(50), model)
    place.shrink(contracts(90), contracts(10), Ts(0))
    assert place.ahead <= contracts(10)


@given(
    st.integers(0, 200),
    st.integers(0, 200),
    st.lists(st.tuples(st.booleans(), st.integers(1, 90), st.sampled_from([0, 1, 2 * PAIRED_MS])), max_size=20),
)
def test_what_reaches_an_order_is_ordered_by_the_models(
    ahead: int, behind: int, steps: list[tuple[bool, int, int]]
) -> None:
    places = [QueuePlace(Qty(ahead), model) for model in MODELS]
    reached, standing, at = [0, 0, 0], ahead + behind, Ts(0)
    for is_trade, qty, pause in steps:
        at = Ts(at + pause)
        if is_trade:
            reached = [before + place.trade(Qty(qty), at) for before, place in zip(reached, places, strict=True)]
        elif gone := min(qty, standing):
            standing -= gone
            for place in places:
                place.shrink(Qty(gone), Qty(standing), at)
        assert reached == sorted(reached, reverse=True)
        assert [place.ahead for place in places] == sorted(place.ahead for place in places)


sides = st.sampled_from([BID, ASK])
moves = st.one_of(
    st.tuples(st.just("delta"), sides, st.integers(37, 47), st.integers(-30, 30)),
    st.tuples(st.just("trade"), sides, st.integers(37, 47), st.integers(1, 40)),
    st.tuples(st.just("order"), sides, st.integers(0, 3), st.integers(1, 30), st.booleans()),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(1, 1_500)),
    st.tuples(st.just("book")),
)
plays = st.lists(moves, min_size=5, max_size=60)


def filled(script: list[Any], model: FillModel) -> list[Counter[str]]:
    """Contracts of each order after each move. Our bids are below our asks, and none is post-only."""
    desk = Desk(cash=dollars(10**6), fill_model=model)
    desk.book({42: 20, 41: 20, 40: 20}, {44: 20, 45: 20})
    sent, found = [], [Counter[str]()]

    def take(said: list[Message]) -> None:
        found.append(found[-1].copy())
        for message in said:
            if isinstance(message, Filled):
                found[-1][message.fill.client_order_id] += message.fill.qty

    for kind, *args in script:
        if kind == "delta":
            side, price, by = args
            take(desk.delta(side, price, max(by, -(desk.real.qty_at(side, cents(price)) // 100))))
        elif kind == "trade":
            take(desk.trade(args[1], args[2], taker=args[0]))
        elif kind == "order":
            side, step, qty, is_ioc = args
            price = 42 - step if side is BID else 44 + step
            sent.append(desk.order(side, price, qty, tif=TimeInForce.IOC if is_ioc else TimeInForce.GTC))
        elif kind == "cancel" and sent:
            desk.cancel(sent[-1 - args[0] % len(sent)])
        elif kind == "wait":
            take(desk.wait(*args))
        elif kind == "book":
            take(desk.book({42: 20, 41: 20, 40: 20}, {44: 20, 45: 20}))
    return found


@settings(max_examples=120, deadline=None)
@given(plays)
def test_the_pessimistic_bound_never_fills_earlier_or_more(script: list[Any]) -> None:
    best, middle, worst = (filled(script, model) for model in MODELS)
    for most, some, least in zip(best, middle, worst, strict=True):
        assert most >= some >= least
    event(f"bounds differ: {best[-1] != worst[-1]}")
    event(f"fills: {min(3, len(worst[-1]))}")


def test_the_bounds_differ_where_cancels_decide() -> None:
    """Twenty ahead and twenty behind; twenty cancel, then twenty-five trade."""
    script = [("order", BID, 0, 10, False), ("wait", 100), ("delta", BID, 42, 20), ("delta", BID, 42, -20)]
    script += [("wait", 1_500), ("trade", ASK, 42, 5)]
    assert [sum(filled(script, model)[-1].values()) for model in MODELS] == [contracts(5), 0, 0]
    script += [("trade", ASK, 42, 20)]
    assert [sum(filled(script, model)[-1].values()) for model in MODELS] == [contracts(10), contracts(10), contracts(5)]


def test_one_trade_behind_others_is_not_given_to_each_of_our_orders() -> None:
    """Three trade with the twenty ahead last: of 23, three reach us, not three for each order."""
    desk = Desk()
    desk.book({40: 20}, {44: 20})
    desk.place(BID, 40, 10)
    desk.place(BID, 40, 10)
    said = desk.trade(40, 23, taker=ASK)
    assert [message.fill.qty for message in said if isinstance(message, Filled)] == [contracts(3)]


def test_messages_about_one_order_do_not_overtake_each_other() -> None:
    """The order takes 500 ms and its cancel 20 ms: the cancel waits for the order."""
    draws = iter([500, 20, 30])
    desk = Desk(latency_ms=lambda: next(draws))
    desk.book({40: 20}, {44: 20})
    slow = desk.order(BID, 40, 10)
    desk.cancel(slow)
    desk.order(BID, 39, 10)
    assert told(desk.wait(30)) == ["OrderAccepted"], "another order is not held up"
    assert told(desk.wait(469)) == []
    assert told(desk.wait(1)) == ["OrderAccepted", "OrderCanceled"]
