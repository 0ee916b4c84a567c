"""Execution quality: counts that add up, numbers by hand, and drops that chance does not explain."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import NOW, make_fill, make_order

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.account.execution_quality import (
    BASELINE_SAMPLE,
    MIN_BASELINE_SAMPLE,
    MIN_RECENT_SAMPLE,
    NEWEST_MS,
    RECENT_SAMPLE,
    WITHIN_MS,
    ExecutionQuality,
    match,
    parts,
    summarize,
    trend,
)
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus

LATER = Ts(NOW + 3_600_000)
ADDED = [name for name in ExecutionQuality.__struct_fields__ if name != "latencies"]


def order(number: int, **changes: Any) -> Order:
    fields = {"order_id": f"o{number}", "strategy": "spike", "fair": cents(44), "created": Ts(NOW + number)}
    return make_order(f"c{number}", **(fields | changes))


def fill(number: int, **changes: Any) -> Fill:
    return make_fill(f"t{number}", **({"order_id": f"o{number}", "ts": Ts(NOW + number)} | changes))


def summed(orders: list[Order], fills: list[Fill], latencies: dict[str, int] | None = None) -> ExecutionQuality:
    return summarize(*match(orders, fills, latencies or {}), LATER)


# -- by hand ------------------------------------------------------------------------------------------------------


def test_a_bid_below_its_fair_value_keeps_the_difference_less_the_fee() -> None:
    """Ten bought at a limit of 41, filled at 40, worth 44 by then; the fee is 5 cents."""
    found = summed([order(1, price=cents(41))], [fill(1, fee=Money(50_000))])
    assert found.edge_at_order == cents(3)
    assert found.edge_kept == Price(350)
    assert found.slippage == Price(-350)


def test_an_ask_above_its_fair_value_does_too() -> None:
    found = summed([order(1, side=ASK, price=cents(46))], [fill(1, side=ASK, price=cents(47))])
    assert (found.edge_at_order, found.edge_kept) == (cents(2), cents(3))


def test_slippage_to_best_is_against_the_best_price_at_the_decision_whatever_the_fair_value_is() -> None:
    """A bold fair value makes no slippage better, and an exit without a fair value has one."""
    orders = [
        order(1, price=cents(45), best=cents(42), fair=cents(90)), order(2, side=ASK, best=cents(40), fair=None),
        order(3, best=cents(41)), order(4),
    ]  # fmt: skip
    swept = [fill(1, price=cents(42)), fill(5, order_id="o1", price=cents(44))]
    found = summed(orders, [*swept, fill(2, side=ASK, price=cents(39)), fill(3, price=cents(38)), fill(4)])
    assert (found.fills, found.compared_fills, found.compared) == (5, 4, contracts(40))
    assert found.slippage_to_best == Price((0 + 200 + 100 - 300) // 4) == 0
    assert summed(orders[:1], swept).slippage_to_best == cents(1)
    assert summed(orders[1:2], [fill(2, side=ASK, price=cents(39))]).slippage_to_best == cents(1)
    assert summed(orders[3:], [fill(4)]).slippage_to_best is None


def test_averages_are_over_contracts_and_leave_out_what_nobody_valued() -> None:
    orders = [order(1), order(2, price=cents(43)), order(3, fair=None)]
    fills = [fill(1, qty=contracts(30)), fill(2, price=cents(43), qty=contracts(10)), fill(3, qty=contracts(60))]
    found = summed(orders, fills)
    assert (found.edge_at_order, found.fills, found.valued_fills) == (Price(325), 3, 2)
    assert (found.contracts, found.valued) == (contracts(100), contracts(40))


def test_the_fill_time_is_from_the_decision_to_the_first_fill() -> None:
    fills = [fill(1, ts=Ts(NOW + 1_001)), fill(3, order_id="o1", ts=Ts(NOW + 9_001)), fill(2, ts=Ts(NOW + 2_002))]
    assert summed([order(1), order(2), order(4)], fills).avg_fill_time_s == 1.5
    assert summed([order(1)], [fill(1, ts=Ts(NOW - 5_000))]).avg_fill_time_s == 0, "the exchange's clock is behind"
    assert summed([order(1)], []).avg_fill_time_s is None


def test_maker_share_is_of_contracts() -> None:
    fills = [fill(1, qty=contracts(3)), fill(2, qty=contracts(1), is_taker=True)]
    assert summed([order(1), order(2)], fills).maker_share == 0.75


def test_an_order_counts_once_it_is_old_enough_and_well_where_it_traded_by_then() -> None:
    orders = [order(0), order(1, created=NOW), order(2, created=NOW), order(3, created=Ts(NOW + 1))]
    fills = [
        fill(0, ts=Ts(NOW + WITHIN_MS)),
        fill(1, ts=Ts(NOW + WITHIN_MS + 1)),
        fill(3, ts=Ts(NOW + 2)),
        fill(9, order_id="o0", ts=Ts(NOW + WITHIN_MS + 5)),
    ]
    found = summarize(*match(orders, fills, {}), Ts(NOW + WITHIN_MS))
    assert (found.orders, found.orders_filled, found.judged, found.in_time) == (4, 3, 3, 1)
    assert found.fill_rate == pytest.approx(1 / 3)


def test_an_order_that_traded_as_it_was_placed_counts_before_its_fill_is_booked() -> None:
    done = order(1, filled=contracts(10), status=OrderStatus.FILLED, updated=Ts(NOW + 50))
    found = summed([done], [])
    assert (found.in_time, found.fills) == (1, 0)


def test_placement_is_told_by_the_nearest_rank() -> None:
    orders = [order(number) for number in range(200)]
    found = summed(orders, [], {f"c{number}": number + 1 for number in range(200)})
    assert (found.placement_ms(50), found.placement_ms(99), found.placement_ms(100)) == (100, 198, 200)
    one = summed(orders[:1], [], {"c0": 7})
    assert (one.placement_ms(50), one.second_slowest_ms, found.second_slowest_ms) == (7, None, 199)
    assert summed(orders[:3], [], {"c0": 7, "c1": 9, "c2": 8}).placement_ms(50) == 8


def test_what_was_not_taken_or_is_not_ours_is_in_nothing() -> None:
    orders = [order(1, order_id=""), order(2, is_foreign=True)]
    found = summed(orders, [fill(2), fill(3)], {"c1": 5, "c2": 5})
    assert found == summarize([], [], LATER)
    assert (found.fill_rate, found.maker_share, found.slippage, found.placement_ms(99)) == (None,) * 4


# -- for whatever happened ----------------------------------------------------------------------------------------

SOME = st.lists(
    st.tuples(
        st.sampled_from(["spike", "fade", ""]),
        st.sampled_from([None, 38, 40, 44]),
        st.sampled_from([BID, ASK]),
        st.lists(st.tuples(st.integers(1, 500), st.integers(1, 99), st.integers(0, 60_000), st.booleans()), max_size=3),
        st.none() | st.integers(0, 5_000),
        st.booleans(),
    ),
    max_size=12,
)


def happened(some: list[Any]) -> tuple[list[Order], list[Fill], dict[str, int]]:
    orders, fills, latencies = [], [], {}
    for number, (strategy, fair, side, traded, latency, is_foreign) in enumerate(some):
        fair = None if fair is None else cents(fair)
        orders.append(order(number, strategy=strategy, fair=fair, side=side, is_foreign=is_foreign))
        if latency is not None:
            latencies[f"c{number}"] = latency
        for at, (qty, price, after_ms, is_taker) in enumerate(traded):
            fills.append(
                fill(
                    number * 10 + at, order_id=f"o{number}", side=side, qty=Qty(qty), price=cents(price), fee=Money(at),
                    ts=Ts(NOW + number + after_ms), is_taker=is_taker,
                )
            )  # fmt: skip
    return orders, fills, latencies


@given(SOME, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_changes_anything(some: list[Any], dice: random.Random) -> None:
    orders, fills, latencies = happened(some)
    sent, traded = match(orders, fills, latencies)
    orders, fills = orders * 2, fills * 2
    dice.shuffle(orders)
    dice.shuffle(fills)
    assert match(orders, fills, latencies) == (sent, traded)


@given(SOME)
def test_the_parts_add_up_to_the_whole(some: list[Any]) -> None:
    sent, traded = match(*happened(some))
    found = parts(sent, traded, lambda one: one.strategy, LATER)
    whole = summarize(sent, traded, LATER)
    for name in ADDED:
        assert sum(getattr(part, name) for part in found.values()) == getattr(whole, name), name
    assert sorted(one for part in found.values() for one in part.latencies) == list(whole.latencies)


@given(SOME)
def test_every_fill_of_an_own_order_is_counted_once(some: list[Any]) -> None:
    orders, fills, latencies = happened(some)
    own = {one.order_id for one in orders if not one.is_foreign}
    whole = summarize(*match(orders, fills, latencies), LATER)
    assert whole.fills == sum(one.order_id in own for one in fills)
    assert whole.contracts == sum(one.qty for one in fills if one.order_id in own)
    assert whole.orders == len(own) >= whole.judged >= whole.in_time
    assert whole.orders_filled >= whole.in_time


def test_orders_and_fills_are_counted_by_any_key_of_their_order() -> None:
    orders = [order(1, strategy="b"), order(2, strategy="a"), order(3, strategy="b")]
    found = parts(*match(orders, [fill(1), fill(2)], {}), lambda one: one.strategy, LATER)
    assert [(name, part.orders, part.fills) for name, part in found.items()] == [("a", 1, 1), ("b", 2, 1)]


def test_the_properties_look_at_something() -> None:
    """A fill that is left out, and one that is counted twice, make them fail."""
    orders, fills = [order(1), order(2)], [fill(1), fill(2)]
    sent, traded = match(orders, fills, {})
    whole = summarize(sent, traded, LATER)
    assert (
        summarize(sent, traded[1:], LATER).contracts
        < whole.contracts
        < summarize(sent, [*traded, traded[0]], LATER).contracts
    )


# -- drops --------------------------------------------------------------------------------------------------------


def run(
    recent: dict[str, Any], before: dict[str, Any], *, last: int = RECENT_SAMPLE, older: int = BASELINE_SAMPLE
) -> list[str]:
    """What got worse. Of each: the share that trades, the latency and its spread (ms), the price paid for 44 cents."""
    dice = random.Random(1)
    orders, fills, latencies = [], [], {}
    for number in range(older + last):
        now = before if number < older else recent
        orders.append(order(number, price=cents(now.get("price", 40)), created=Ts(NOW + number * 1000)))
        latencies[f"c{number}"] = max(1, round(dice.gauss(now.get("latency", 100), now.get("spread", 20))))
        if dice.random() < now.get("rate", 0.5):
            price = Price(cents(now.get("price", 40)) + dice.randint(-50, 50))
            fills.append(fill(number, price=price, ts=Ts(NOW + number * 1000 + 500)))
    ends = Ts(NOW + (older + last) * 1000 + WITHIN_MS)
    return [drop.name for drop in trend(*match(orders, fills, latencies), ends).drops]


def test_what_is_as_it_was_is_no_drop() -> None:
    assert run({}, {}) == []


@pytest.mark.parametrize(
    ("recent", "name"),
    [
        ({"rate": 0.1}, ["fill rate"]),
        ({"latency": 300}, ["placement"]),
        ({"price": 42, "rate": 1.0}, ["slippage"]),
        ({"price": 42, "rate": 1.0, "latency": 900}, ["placement", "slippage"]),
    ],
)
def test_what_got_worse_is_named(recent: dict[str, Any], name: list[str]) -> None:
    assert run(recent, {"rate": 0.9 if recent.get("rate") == 1.0 else 0.5}) == name


@pytest.mark.parametrize("recent", [{"rate": 0.9}, {"latency": 20}, {"price": 38, "rate": 1.0}])
def test_what_got_better_is_no_drop(recent: dict[str, Any]) -> None:
    assert run(recent, {}) == []


def test_what_is_certain_but_small_is_no_drop() -> None:
    assert run({"latency": 110}, {"spread": 0}) == []
    assert run({"rate": 0.95}, {"rate": 1.0}) == []


def test_what_is_large_but_may_be_chance_is_no_drop() -> None:
    assert run({"rate": 0.35}, {"rate": 0.5}, last=MIN_RECENT_SAMPLE) == []
    assert run({"latency": 300}, {"spread": 1_000}) == []


@pytest.mark.parametrize(
    ("timed", "timed_before", "drops"),
    [
        (MIN_RECENT_SAMPLE, MIN_BASELINE_SAMPLE, ["placement"]),
        (MIN_RECENT_SAMPLE - 1, BASELINE_SAMPLE, []),
        (RECENT_SAMPLE, MIN_BASELINE_SAMPLE - 1, []),
    ],
)
def test_a_sample_that_is_too_small_says_nothing(timed: int, timed_before: int, drops: list[str]) -> None:
    orders = [order(number) for number in range(BASELINE_SAMPLE + RECENT_SAMPLE)]
    latencies = {f"c{number}": 100 + number % 10 for number in range(timed_before)}
    latencies |= {f"c{BASELINE_SAMPLE + number}": 900 for number in range(timed)}
    assert [drop.name for drop in trend(*match(orders, [], latencies), LATER).drops] == drops


@pytest.mark.parametrize(("of", "drops"), [(1, []), (RECENT_SAMPLE, ["slippage"])])
def test_many_fills_of_one_order_are_one_observation(of: int, drops: list[str]) -> None:
    """Fifty fills, three cents worse than those before: of one order, and of fifty."""
    orders = [
        order(number, price=cents(43 if number >= BASELINE_SAMPLE else 40)) for number in range(BASELINE_SAMPLE + of)
    ]
    fills = [fill(number) for number in range(BASELINE_SAMPLE)]
    fills += [
        fill(BASELINE_SAMPLE + at, order_id=f"o{BASELINE_SAMPLE + at % of}", price=cents(43))
        for at in range(RECENT_SAMPLE)
    ]
    assert [drop.name for drop in trend(*match(orders, fills, {}), LATER).drops] == drops


def test_the_last_are_of_one_day_and_the_baseline_is_whatever_came_before() -> None:
    orders = [order(number) for number in range(100)]
    sent, traded = match(orders, [fill(1)], {})
    fresh = trend(sent, traded, LATER)
    assert (fresh.recent.orders, fresh.before.orders) == (RECENT_SAMPLE, 50)
    old = trend(sent, traded, Ts(NOW + NEWEST_MS + 90))
    assert (old.recent.orders, old.before.orders) == (9, 91)
    assert (old.recent.fills, old.before.fills) == (0, 1)
    many, traded = match([order(number) for number in range(BASELINE_SAMPLE + RECENT_SAMPLE + 10)], [], {})
    assert trend(many, traded, LATER).before.orders == BASELINE_SAMPLE


def test_an_order_without_a_fair_value_has_no_slippage_to_fall() -> None:
    orders = [order(number, fair=None) for number in range(200)]
    fills = [fill(number, price=cents(40 if number < 150 else 90)) for number in range(200)]
    assert trend(*match(orders, fills, {}), LATER).drops == ()
