"""The ledger: one result whatever the order of booking, and profit that adds up to the micro-dollar."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.places import SHARED
from support.values import NOW, make_fill, make_settlement

from kalshi_cli.base.units import (
    ONE_DOLLAR,
    Money,
    Price,
    Qty,
    Ts,
    cents,
    contracts,
    dollars,
    notional,
    parse_money,
    parse_qty,
    parse_ts,
)
from kalshi_cli.core.account.ledger import MAX_RESULTS, Ledger, Position
from kalshi_cli.core.market.fees import trade_fee
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement

METHODS = ("average", "fifo")
each_method = pytest.mark.parametrize("method", METHODS)


def fill(trade_id: str, side: Side, price: int, qty: int, ts: int, *, ticker: str = "T", fee: int = 0) -> Fill:
    return Fill(
        trade_id=trade_id,
        order_id="o",
        ticker=ticker,
        side=side,
        price=Price(price),
        qty=Qty(qty),
        fee=Money(fee),
        is_taker=True,
        ts=Ts(ts),
    )


def settlement(value: int, ts: int, *, ticker: str = "T", fee: int = 0) -> Settlement:
    return Settlement(
        ticker=ticker,
        event_ticker="E",
        result={0: "no", 10_000: "yes"}.get(value, "scalar"),
        value=Price(value),
        yes_qty=Qty(0),
        no_qty=Qty(0),
        revenue=Money(0),
        fee=Money(fee),
        ts=Ts(ts),
    )


def booked(events: list[Fill | Settlement], method: Any = "average") -> Ledger:
    ledger = Ledger(method)
    for item in events:
        if isinstance(item, Fill):
            ledger.book(item)
        else:
            ledger.settle(item)
    return ledger


def state(ledger: Ledger) -> tuple[dict[str, Position], int, int, int]:
    return dict(ledger.positions), ledger.realized, ledger.fees, ledger.cash  # type: ignore[arg-type]


sides = st.sampled_from([BID, ASK])
prices = st.integers(1, 9_999)
marks = st.integers(0, 10_000).map(Price)


@st.composite
def histories(draw: st.DrawFn, tickers: tuple[str, ...] = ("T",), max_size: int = 14) -> list[Fill]:
    """Fills with unique ids; times collide often, counts are fractional, sides change."""
    rows = draw(
        st.lists(
            st.tuples(sides, prices, st.integers(1, 700), st.integers(1, 8), st.integers(0, 9_999)), max_size=max_size
        )
    )
    return [
        fill(f"t{number:02d}", side, price, qty, ts, ticker=draw(st.sampled_from(tickers)), fee=fee)
        for number, (side, price, qty, ts, fee) in enumerate(rows)
    ]


def cash_flow(item: Fill) -> int:
    """YES terms: a buyer pays the price, a seller receives it; the fee is paid by both."""
    return -item.side.sign * item.price * item.qty - item.fee


# -- I-FILL -------------------------------------------------------------------------------------------------------


@each_method
@given(data=st.data())
def test_any_order_and_any_repetition_of_the_same_events_gives_the_same_state(method: str, data: st.DataObject) -> None:
    events: list[Fill | Settlement] = [*data.draw(histories(("T", "U")))]
    events += data.draw(st.lists(st.builds(settlement, st.sampled_from([0, 4_300, 10_000]), st.just(5)), max_size=1))
    reference = state(booked(events, method))
    shuffled = data.draw(st.permutations(events * 2))
    ledger = Ledger(method)  # type: ignore[arg-type]
    for item in shuffled:
        booked_now = ledger.book(item) if isinstance(item, Fill) else ledger.settle(item)
        if data.draw(st.booleans()):
            ledger.position("T")  # reading in between must not matter either
        event(f"booked: {booked_now}")
    assert state(ledger) == reference


@each_method
def test_a_late_fill_is_counted_where_it_belongs(method: Any) -> None:
    """Not vacuous: with the times swapped the result differs, so the order of time is what decides."""
    first, second, sale = fill("a", BID, 4_000, 100, 1), fill("b", BID, 6_000, 100, 3), fill("c", ASK, 5_000, 100, 2)
    ledger = booked([first, second, sale], method)
    assert ledger.realized == dollars("0.10")
    assert ledger.position("T").cost == dollars("0.60")
    bought_first = booked([first, fill("b", BID, 6_000, 100, 2), fill("c", ASK, 5_000, 100, 3)], method)
    assert bought_first.realized == (0 if method == "average" else dollars("0.10"))


def test_a_trade_is_booked_once() -> None:
    ledger = Ledger()
    bought = fill("a", BID, 4_000, 100, 1)
    assert ledger.book(bought)
    assert not ledger.book(bought)
    assert ledger.is_booked(bought)
    assert not ledger.is_booked(fill("b", BID, 4_000, 100, 1))
    assert ledger.position("T").qty == 100


@pytest.mark.parametrize("subaccount", [0, 1])
def test_a_trade_between_two_orders_of_ours_is_two_fills_each_booked_once(subaccount: int) -> None:
    bought = fill("a", BID, 4_000, 100, 1)
    sold = msgspec.structs.replace(bought, order_id="other", side=ASK, subaccount=subaccount)
    ledger = Ledger()
    assert [ledger.book(each) for each in (bought, sold, sold, bought)] == [True, True, False, False]
    held = {position.subaccount: position.qty for position in ledger.holdings("T")}
    assert held == ({0: 0} if subaccount == 0 else {0: 100, 1: -100})


# -- I-CONTRACT, I-CASH -------------------------------------------------------------------------------------------


@each_method
@given(fills=histories(("T", "U")))
def test_the_position_is_the_sum_of_signed_fills_and_fees_are_as_charged(method: Any, fills: list[Fill]) -> None:
    ledger = booked([*fills], method)
    for ticker in ("T", "U"):
        assert ledger.position(ticker).qty == sum(item.side.sign * item.qty for item in fills if item.ticker == ticker)
        assert ledger.position(ticker).fees == sum(item.fee for item in fills if item.ticker == ticker)
    assert ledger.fees == sum(item.fee for item in fills)
    assert set(ledger.positions) == {(0, item.ticker) for item in fills}


@each_method
@given(fills=histories(), value=st.integers(0, 10_000))
def test_cash_is_what_was_paid_and_received_to_the_micro_dollar(method: Any, fills: list[Fill], value: int) -> None:
    """On the exchange a short pays one dollar less the price, so one dollar stays bound for each NO contract held."""
    open_ledger = booked([*fills], method)
    bound = max(0, -open_ledger.position("T").qty) * ONE_DOLLAR
    assert open_ledger.cash == sum(map(cash_flow, fills)) - bound

    settled = booked([*fills, settlement(value, 9)], method)
    payout = open_ledger.position("T").qty * value
    assert settled.cash == sum(map(cash_flow, fills)) + payout == settled.realized - settled.fees
    assert settled.position("T").qty == settled.position("T").cost == 0


# -- I-PNL (1) to (6) ---------------------------------------------------------------------------------------------


@given(histories(), marks)
def test_fifo_and_average_differ_only_in_when_profit_is_realized(fills: list[Fill], mark: Price) -> None:
    average, fifo = (booked([*fills], method) for method in METHODS)
    first, second = average.unrealized({"T": mark}), fifo.unrealized({"T": mark})
    assert first is not None
    assert second is not None
    assert average.realized + first == fifo.realized + second
    if average.position("T").qty == 0:
        assert average.realized == fifo.realized
    event(f"realized differs: {average.realized != fifo.realized}")


@each_method
@given(fills=histories(), mark=marks)
def test_profit_is_cash_flow_plus_the_position_at_the_mark(method: Any, fills: list[Fill], mark: Price) -> None:
    ledger = booked([*fills], method)
    position = ledger.position("T")
    unrealized = position.unrealized(mark)
    assert unrealized is not None
    flows = sum(map(cash_flow, fills))
    assert position.realized + unrealized - position.fees == flows + position.qty * mark
    assert position.cost >= 0
    assert (position.cost == 0) == (position.qty == 0)


@each_method
@given(price=prices, qty=st.integers(1, 500), parts=st.lists(st.integers(1, 500), min_size=1, max_size=6), side=sides)
def test_a_round_trip_at_one_price_loses_exactly_the_fees(
    method: Any, price: int, qty: int, parts: list[int], side: Side
) -> None:
    opening = fill("open", side, price, sum(parts) + qty, 1, fee=700)
    closing = [fill(f"c{n}", side.opposite, price, part, 2 + n, fee=30) for n, part in enumerate([*parts, qty])]
    ledger = booked([opening, *closing], method)
    assert ledger.realized == 0
    assert ledger.cash == -ledger.fees == -(700 + 30 * len(closing))


@each_method
@given(fills=histories(), mark=marks)
def test_mirroring_yes_and_no_leaves_profit_unchanged(method: Any, fills: list[Fill], mark: Price) -> None:
    mirrored = [
        fill(item.trade_id, item.side.opposite, ONE_DOLLAR - item.price, item.qty, item.ts, fee=item.fee)
        for item in fills
    ]
    yes, no = booked([*fills], method), booked([*mirrored], method)
    ours, theirs = yes.position("T"), no.position("T")
    assert ours.qty == -theirs.qty
    assert (ours.cost, ours.realized, ours.fees, ours.average_price) == (
        theirs.cost,
        theirs.realized,
        theirs.fees,
        theirs.average_price,
    )
    assert ours.value(mark) == theirs.value(Price(ONE_DOLLAR - mark))
    assert yes.cash == no.cash


@each_method
@given(p_yes=prices, p_no=prices, qty=st.integers(1, 500))
def test_buying_both_sides_locks_what_they_cost_less_than_a_dollar(
    method: Any, p_yes: int, p_no: int, qty: int
) -> None:
    """NO at q is an ask at one dollar less q."""
    ledger = booked([fill("y", BID, p_yes, qty, 1, fee=11), fill("n", ASK, 10_000 - p_no, qty, 2, fee=22)], method)
    assert ledger.cash == (10_000 - p_yes - p_no) * qty - 33
    assert ledger.position("T").qty == 0


@each_method
@given(fills=histories(), value=st.integers(0, 10_000), fee=st.integers(0, 999))
def test_settling_is_selling_at_the_value_and_costs_nothing_more(
    method: Any, fills: list[Fill], value: int, fee: int
) -> None:
    """The fee field of a settlement repeats the trade fees, so booking it would charge them twice."""
    settled = booked([*fills, settlement(value, 9, fee=fee)], method)
    qty = booked([*fills], method).position("T").qty
    closing = [fill("close", ASK if qty > 0 else BID, value, abs(qty), 9)] if qty else []
    assert settled.position("T") == booked([*fills, *closing], method).position("T") or not fills
    assert settled.realized == booked([*fills, *closing], method).realized


# -- by example ---------------------------------------------------------------------------------------------------


@each_method
def test_a_short_costs_a_dollar_less_the_price_and_reads_as_a_no_price(method: Any) -> None:
    position = booked([fill("a", ASK, 3_000, 1_000, 1)], method).position("T")
    assert position.qty == -contracts(10)
    assert position.cost == dollars(7)
    assert position.average_price == cents(70)
    assert position.value(cents(20)) == dollars(8)
    assert position.unrealized(cents(20)) == dollars(1)
    assert position.unrealized(cents(40)) == -dollars(1)


@each_method
def test_one_fill_can_close_a_long_and_open_a_short(method: Any) -> None:
    position = booked([fill("a", BID, 4_000, 500, 1, fee=50), fill("b", ASK, 5_000, 800, 2, fee=80)], method).position(
        "T"
    )
    assert position == Position("T", Qty(-300), dollars("1.50"), dollars("0.50"), Money(130))


def test_fifo_sells_the_oldest_lot_first_and_average_the_mean() -> None:
    trades = [fill("a", BID, 2_000, 100, 1), fill("b", BID, 4_000, 200, 2), fill("c", ASK, 5_000, 200, 3)]
    fifo, average = booked([*trades], "fifo"), booked([*trades], "average")
    assert fifo.realized == dollars("0.40")
    assert fifo.position("T").average_price == cents(40)
    assert average.realized == dollars("0.333334")
    assert average.position("T").cost == dollars("0.333334")
    assert average.position("T").average_price == Price(3_333)


@each_method
@pytest.mark.parametrize("is_taker", [True, False])
@pytest.mark.parametrize("side", [BID, ASK])
def test_what_one_order_met_at_once_is_counted_best_price_first_whatever_the_trade_ids(
    method: Any, side: Side, is_taker: bool
) -> None:
    """The exchange realized it in that order, and its trade ids are random: seen where an order goes through flat."""
    held = fill("held", side.opposite, 5_000, 500, 1)
    best_first = [5_000, 5_200, 5_500] if (side is BID) is is_taker else [5_000, 4_800, 4_500]
    for ids in itertools.permutations("abc"):
        met = [
            msgspec.structs.replace(fill(trade_id, side, price, 250, 2), is_taker=is_taker)
            for trade_id, price in zip(ids, best_first, strict=True)
        ]
        position = booked([held, *met], method).position("T")
        gained = side.sign * 250 * (2 * 5_000 - best_first[0] - best_first[1])
        assert (position.qty, position.realized) == (side.sign * 250, gained)
        assert position.average_price == (best_first[2] if side is BID else ONE_DOLLAR - best_first[2])


def test_what_average_cost_cannot_divide_stays_with_the_rest_and_is_gone_when_flat() -> None:
    trades = [fill("a", BID, 3_333, 1, 1), fill("b", BID, 3_334, 2, 2)]
    sales = [fill(f"s{n}", ASK, 5_000, 1, 3 + n) for n in range(3)]
    costs = [booked([*trades, *sales[:n]]).position("T").cost for n in range(4)]
    assert costs == [10_001, 6_668, 3_334, 0]
    assert booked([*trades, *sales]).realized == 15_000 - 10_001


def test_a_market_nothing_happened_in_is_flat() -> None:
    position = Ledger().position("T")
    assert position == Position("T")
    assert position.average_price is None
    assert position.value(None) == position.unrealized(None) == 0
    assert Ledger().positions == {}


def test_without_a_mark_nothing_is_said_about_what_is_open() -> None:
    ledger = booked([fill("a", BID, 4_000, 100, 1), fill("b", ASK, 4_000, 100, 1, ticker="U")])
    assert ledger.position("T").value(None) is None
    assert ledger.unrealized({"T": cents(50)}) is None
    assert ledger.unrealized({"T": cents(50), "U": None}) is None
    assert ledger.unrealized({"T": cents(50), "U": cents(50)}) == 0
    ledger.settle(settlement(0, 2, ticker="U"))
    assert ledger.unrealized({"T": cents(50)}) == dollars("0.10")


@given(stated=st.permutations([(10_000, 5), (10_000, 6), (0, 7), (10_000, 8), (10_000, 9)]), known=st.integers(0, 5))
def test_the_last_result_holds_since_it_was_first_stated_in_whatever_order_results_are_heard_of(
    stated: list[tuple[int, int]], known: int
) -> None:
    ledger = Ledger()
    for value, ts in stated:
        ledger.settle(settlement(value, ts))
    again = Ledger()
    for value, ts in (*stated[known:], *stated):
        again.settle(settlement(value, ts))
    for each in (ledger, again):
        assert [(entry.value, entry.ts) for entry in each.entries] == [(10_000, 8)]  # type: ignore[union-attr]


def test_a_result_that_is_dated_anew_for_ever_fills_no_memory_and_stays_what_it_was_first() -> None:
    ledger = booked([fill("a", BID, 4_000, 100, 1)])
    assert [bool(ledger.settle(settlement(10_000, ts))) for ts in range(5, 5 + 2 * MAX_RESULTS)].count(True) == 1
    assert [entry.ts for entry in ledger.entries] == [1, 5]
    assert ledger.settle(settlement(0, 5 + 2 * MAX_RESULTS)), "amended"


def test_a_settlement_is_booked_once_and_an_amended_one_replaces_it() -> None:
    ledger = booked([fill("a", BID, 4_000, 100, 1)])
    assert ledger.settle(settlement(10_000, 5))
    assert ledger.realized == dollars("0.60")
    assert not ledger.settle(settlement(10_000, 5))
    assert not ledger.settle(settlement(0, 4)), "older than what we know"
    assert not ledger.settle(settlement(10_000, 6)), "the same under another date"
    assert ledger.settle(settlement(0, 7)), "amended"
    assert ledger.realized == ledger.cash == -dollars("0.40")


def test_a_fill_found_after_the_settlement_is_paid_out_with_it() -> None:
    ledger = booked([fill("a", BID, 4_000, 100, 1), settlement(10_000, 5)])
    assert ledger.realized == dollars("0.60")
    ledger.book(fill("b", BID, 5_000, 100, 5))
    assert ledger.position("T").qty == 0
    assert ledger.realized == dollars("1.10")


def test_settling_what_is_not_held_pays_nothing() -> None:
    ledger = Ledger()
    assert ledger.settle(settlement(10_000, 5))
    assert (ledger.realized, ledger.cash, ledger.position("T").qty) == (0, 0, 0)


def test_totals_add_up_over_markets() -> None:
    ledger = booked([fill("a", BID, 4_000, 100, 1, fee=5), fill("b", ASK, 4_000, 200, 1, ticker="U", fee=7)])
    assert ledger.fees == 12
    assert ledger.cash == -notional(cents(40), contracts(1)) - notional(cents(60), contracts(2)) - 12
    ledger.settle(settlement(0, 2))
    ledger.settle(settlement(0, 2, ticker="U"))
    assert ledger.realized == -dollars("0.40") + dollars("0.80")
    assert ledger.realized == sum(position.realized for position in ledger.positions.values())


# -- recorded -----------------------------------------------------------------------------------------------------


def test_recorded_settlements_state_the_trade_fees_again_and_charge_nothing() -> None:
    """The evidence for not booking a settlement's fee: won or lost, it is exactly what buying the position had cost."""
    path = SHARED / "data" / "rest" / "prod-202608-settlements.json"
    if not path.exists():
        pytest.skip("the recorded exchange data is not beside the repository")
    recorded = json.loads(path.read_text())["settlements"]
    for item in recorded:
        side = "yes" if parse_qty(item["yes_count_fp"]) else "no"
        qty, paid = parse_qty(item[f"{side}_count_fp"]), parse_money(item[f"{side}_total_cost_dollars"])
        schedule = FeeSchedule(multiplier=500 if item["ticker"].startswith("KXMLB") else 1000)
        price = Price(paid // qty)
        assert parse_money(item["fee_cost"]) == trade_fee(schedule, price, qty, is_taker=True)
    assert {item["revenue"] > 0 for item in recorded} == {True, False}


def test_a_recorded_account_is_rebuilt_to_the_micro_dollar() -> None:
    """Two demo accounts before and after one trade: 1000 - 0.52 - 0.0175 is the recorded balance."""
    ledger = booked([fill("a", BID, 5_200, 100, parse_ts("2026-07-06T00:00:00Z"), fee=17_500)])
    assert dollars(1_000) + ledger.cash == dollars("999.4625")


def test_subaccounts_net_nothing_and_a_settlement_ends_all_of_them() -> None:
    """Plus five here and minus five there are two positions, not none."""
    ledger = Ledger()
    ledger.book(make_fill("a", qty=contracts(5)))
    ledger.book(make_fill("b", side=ASK, price=cents(50), qty=contracts(5), subaccount=1))
    held = [(each.subaccount, each.qty, each.cost) for each in ledger.holdings("KXA-1")]
    assert sorted(held) == [(0, contracts(5), dollars(2)), (1, -contracts(5), dollars("2.50"))]
    assert (ledger.realized, ledger.cash) == (0, -dollars("4.50"))
    assert ledger.holdings("KXB-1") == []
    assert ledger.position("KXA-1", 2).qty == 0
    ledger.settle(make_settlement(ts=Ts(NOW + 10)))
    assert [each.qty for each in ledger.holdings("KXA-1")] == [0, 0]
    assert (ledger.realized, ledger.cash) == (dollars("0.50"), dollars("0.50"))
    ledger.book(make_fill("late", qty=contracts(1), price=cents(40), subaccount=2))
    assert ledger.position("KXA-1", 2).realized == dollars("0.60"), "traded before the settlement, told after it"
