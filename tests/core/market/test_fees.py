"""Fees against the recorded fills, and what must hold for every fill. The published table is in `test_fee_examples`."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.places import SHARED

from kalshi_cli.base.units import (
    ONE_DOLLAR,
    Money,
    Price,
    Qty,
    contracts,
    dollars,
    notional,
    parse_money,
    parse_price,
    parse_qty,
)
from kalshi_cli.core.market.fees import DIRECT, INTERMEDIARY, RoundingAccumulator, estimate, highest_fee, trade_fee
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import ASK, BID, Side

QUADRATIC = FeeSchedule()
HALF = FeeSchedule(multiplier=500)
CENT = Money(10_000)

schedules = st.builds(FeeSchedule, st.sampled_from(FeeType), st.sampled_from([0, 500, 1000, 1500]))
prices = st.integers(1, 9_999).map(Price)
counts = st.integers(1, 100_000).map(Qty)
precisions = st.sampled_from([DIRECT, INTERMEDIARY])


def revenue(side: Side, price: Price, qty: Qty) -> Money:
    """What opening does to cash: a bid pays the price, an ask one dollar less it."""
    return Money(-notional(price if side is BID else Price(ONE_DOLLAR - price), qty))


# -- types of fees ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fee_type", "taker", "maker"),
    [
        (FeeType.QUADRATIC, "1.75", "0"),
        (FeeType.WITH_MAKER, "1.75", "0.4375"),
        (FeeType.WITH_COMBO_MAKER, "1.75", "0.875"),
        (FeeType.FLAT, "1.75", "1.75"),
        (FeeType.UNKNOWN, "1.75", "1.75"),
    ],
)
def test_a_hundred_contracts_at_half_a_dollar(fee_type: FeeType, taker: str, maker: str) -> None:
    schedule, price, qty = FeeSchedule(fee_type), Price(5_000), contracts(100)
    assert trade_fee(schedule, price, qty, is_taker=True) == dollars(taker)
    assert trade_fee(schedule, price, qty, is_taker=False) == dollars(maker)


# -- recorded fills -----------------------------------------------------------------------------------------------


def test_every_recorded_fill_was_charged_as_the_model_says() -> None:
    path = SHARED / "data" / "rest" / "prod-202608-fills.json"
    if not path.exists():
        pytest.skip("the recorded exchange data is not beside the repository")
    fills = json.loads(path.read_text())["fills"]
    rounded = 0
    for fill in fills:
        schedule = HALF if fill["ticker"].startswith("KXMLB") else QUADRATIC
        price, qty = parse_price(fill["yes_price_dollars"]), parse_qty(fill["count_fp"])
        fee = trade_fee(schedule, price, qty, is_taker=fill["is_taker"])
        charge = RoundingAccumulator().charge(revenue(Side(fill["book_side"]), price, qty), fee)
        assert charge.net == parse_money(fill["fee_cost"]), fill
        assert charge.net <= estimate(schedule, price, qty, is_taker=fill["is_taker"])
        rounded += charge.rounding_fee > 0
    assert len(fills) == 17
    assert rounded >= 2, "the recordings hold fills with a rounding fee, or this test shows less than it seems to"


# -- what always holds --------------------------------------------------------------------------------------------


@given(schedules, prices, counts, st.booleans())
def test_the_fee_is_the_formula_rounded_up_to_a_hundredth_of_a_cent(
    schedule: FeeSchedule, price: Price, qty: Qty, is_taker: bool
) -> None:
    dearest = (Fraction(7, 100), Fraction(7, 100))
    rates = {
        FeeType.QUADRATIC: (Fraction(7, 100), Fraction(0)),
        FeeType.WITH_MAKER: (Fraction(7, 100), Fraction(7, 400)),
        FeeType.WITH_COMBO_MAKER: (Fraction(7, 100), Fraction(7, 200)),
    }
    k = rates.get(schedule.type, dearest)[0 if is_taker else 1]
    p = Fraction(price, 10_000)
    exact = k * Fraction(schedule.multiplier, 1000) * Fraction(qty, 100) * p * (1 - p)
    fee = Fraction(trade_fee(schedule, price, qty, is_taker=is_taker), 1_000_000)
    assert exact <= fee < exact + Fraction(1, 10_000)
    assert (fee * 10_000).denominator == 1


@given(schedules, prices, counts, st.booleans())
def test_yes_and_no_pay_the_same_fee(schedule: FeeSchedule, price: Price, qty: Qty, is_taker: bool) -> None:
    mirror = Price(ONE_DOLLAR - price)
    assert trade_fee(schedule, price, qty, is_taker=is_taker) == trade_fee(schedule, mirror, qty, is_taker=is_taker)


@given(prices, counts, st.booleans())
def test_an_unknown_schedule_is_never_estimated_below_a_known_one(price: Price, qty: Qty, is_taker: bool) -> None:
    dearest = estimate(FeeSchedule(FeeType.UNKNOWN), price, qty, is_taker=is_taker)
    assert all(estimate(FeeSchedule(known), price, qty, is_taker=is_taker) <= dearest for known in FeeType)


@given(schedules, prices, counts, st.booleans(), st.sampled_from([BID, ASK]))
def test_the_estimate_is_not_below_what_a_single_fill_is_charged(
    schedule: FeeSchedule, price: Price, qty: Qty, is_taker: bool, side: Side
) -> None:
    fee = trade_fee(schedule, price, qty, is_taker=is_taker)
    charged = RoundingAccumulator().charge(revenue(side, price, qty), fee).net
    assert charged <= estimate(schedule, price, qty, is_taker=is_taker) < charged + DIRECT


@given(prices, st.integers(1, 1_000).map(contracts), st.sampled_from([BID, ASK]))
def test_whole_contracts_of_a_direct_member_have_no_rounding_fee(price: Price, qty: Qty, side: Side) -> None:
    fee = trade_fee(QUADRATIC, price, qty, is_taker=True)
    assert RoundingAccumulator().charge(revenue(side, price, qty), fee).rounding_fee == 0


trades = st.tuples(prices, st.integers(1, 500).map(Qty), st.booleans())


@given(schedules, precisions, st.sampled_from([BID, ASK]), st.lists(trades, min_size=1, max_size=12))
def test_the_balance_keeps_its_precision_and_the_order_pays_no_less_than_its_trade_fees(
    schedule: FeeSchedule, precision: Money, side: Side, fills: list[tuple[Price, Qty, bool]]
) -> None:
    order, balance, net = RoundingAccumulator(precision), 0, 0
    for price, qty, is_taker in fills:
        paid = revenue(side, price, qty)
        charge = order.charge(paid, trade_fee(schedule, price, qty, is_taker=is_taker))
        balance += paid - charge.net
        net += charge.net
        assert balance % precision == 0
        assert 0 <= order.gathered <= CENT
        assert 0 <= charge.rounding_fee < precision
    fees = sum(trade_fee(schedule, price, qty, is_taker=taker) for price, qty, taker in fills)
    assert net == fees + order.gathered >= 0


@given(schedules, precisions, st.sampled_from([BID, ASK]), prices, st.lists(counts, min_size=2, max_size=8))
def test_splitting_a_fill_never_makes_it_cheaper_and_hardly_dearer(
    schedule: FeeSchedule, precision: Money, side: Side, price: Price, parts: list[Qty]
) -> None:
    """At most a cent, plus the rounding up of each further trade fee."""

    def net(pieces: list[Qty]) -> int:
        order = RoundingAccumulator(precision)
        return sum(
            order.charge(revenue(side, price, qty), trade_fee(schedule, price, qty, is_taker=True)).net
            for qty in pieces
        )

    dearer = net(parts) - net([Qty(sum(parts))])
    assert 0 <= dearer <= CENT + DIRECT * (len(parts) - 1)


@given(
    schedules,
    st.lists(st.tuples(prices, st.integers(1, 50).map(contracts)), min_size=1, max_size=8),
    st.none() | st.tuples(prices, st.integers(1, 99).map(Qty)),
    st.booleans(),
)
def test_no_fills_between_two_prices_cost_more_than_the_highest_fee(
    schedule: FeeSchedule, fills: list[tuple[Price, Qty]], rest: tuple[Price, Qty] | None, is_taker: bool
) -> None:
    """Fills of whole contracts, and of a part of one where the order has a part."""
    fills = [*fills, *([rest] if rest is not None else [])]
    order, reached, count = RoundingAccumulator(), [price for price, _ in fills], Qty(sum(qty for _, qty in fills))
    charged = sum(
        order.charge(revenue(BID, price, qty), trade_fee(schedule, price, qty, is_taker=is_taker)).net
        for price, qty in fills
    )
    for best, limit in ((min(reached), max(reached)), (max(reached), min(reached))):
        assert charged <= highest_fee(schedule, best, limit, count, is_taker=is_taker)


@pytest.mark.parametrize(
    ("best", "limit", "count", "fee"),
    [
        (7_300, 8_100, "85", "1.1730"),  # nearer to half a dollar than the limit: the best price costs more
        (8_100, 7_300, "85", "1.1730"),
        (4_000, 6_000, "10", "0.1750"),
        (4_100, 4_100, "10", "0.1700"),
        (4_100, 4_100, "2.5", "0.0428"),
    ],
)
def test_the_highest_fee_is_that_of_the_price_nearest_to_half_a_dollar(
    best: int, limit: int, count: str, fee: str
) -> None:
    highest = highest_fee(QUADRATIC, Price(best), Price(limit), contracts(count), is_taker=True)
    assert highest == dollars(fee)


@given(schedules, prices, prices, counts)
def test_a_better_price_saves_more_than_it_adds_to_the_fee(
    schedule: FeeSchedule, one: Price, other: Price, qty: Qty
) -> None:
    """So the risk limits, which use the fee at the limit price, count the highest loss."""
    better, limit = sorted((one, other))
    paid = [notional(at, qty) + estimate(schedule, at, qty, is_taker=True) for at in (better, limit)]
    assert paid[0] <= paid[1] + 2 * DIRECT, "but for the rounding of both"


def test_a_single_fill_can_be_paid_back_more_than_it_costs() -> None:
    """Contrary to the documentation's "net fee is always >= 0", which holds for an order and not for each fill."""
    order = RoundingAccumulator(INTERMEDIARY)
    order.charge(Money(9_900), Money(0))
    assert order.charge(Money(200), Money(0)).net == 200 - CENT < 0
