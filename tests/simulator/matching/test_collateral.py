from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange import T0, TICKER, make_exchange, order, quote, total
from support.specification import SPECS

from kalshi_cli.base.units import Money, Price, Qty, Ts, dollars, parse_money, parse_price, parse_qty
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.matching.collateral import FeeTerms, book_fill, collateral, payout
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.simulator.model.records import OrderRecord, PositionRecord
from kalshi_cli.simulator.protocol.replies import RejectionError

QUADRATIC = FeeSchedule()
TERMS = FeeTerms()


def make_order(side: Side = BID, price: str = "0.5000", count: str = "1", **changes: object) -> OrderRecord:
    values: dict[str, object] = {
        "order_id": "o",
        "account": "a",
        "client_order_id": "",
        "ticker": "T",
        "side": side,
        "price": parse_price(price),
        "qty": parse_qty(count),
        "remaining": parse_qty(count),
        "created": Ts(0),
        "updated": Ts(0),
        "rank": 0,
    }
    return OrderRecord(**(values | changes))  # type: ignore[arg-type]


def test_the_recorded_fills_were_charged_what_we_charge() -> None:
    """17 production fills of August 2026: cost and fee together are what our booking takes from the cash."""
    path = SPECS.parent / "data" / "rest" / "prod-202608-fills.json"
    if not path.exists():
        pytest.skip("the recorded fills (shared/data) are not beside this repository")
    recorded = json.loads(path.read_text())
    fills = recorded["fills"] if isinstance(recorded, dict) else recorded
    checked = 0
    for fill in fills:
        price, count = parse_price(fill["yes_price_dollars"]), parse_qty(fill["count_fp"])
        side = BID if fill["outcome_side"] == "yes" else ASK
        if not fill["is_taker"]:
            continue
        fees = set()
        for multiplier in (500, 1000):
            holding = PositionRecord(account="a", ticker="T")
            terms = FeeTerms(FeeSchedule(multiplier=multiplier))
            fees.add(book_fill(holding, make_order(side), price, count, terms, is_taker=True).fee)
        assert parse_money(fill["fee_cost"]) in fees
        checked += 1
    assert checked > 5


def test_closing_needs_no_cash_and_opening_the_other_side_needs_its_own_price() -> None:
    held = parse_qty("10")
    assert collateral([make_order(ASK, "0.6", "10")], held, TERMS) == 0
    assert collateral([make_order(ASK, "0.6", "15")], held, TERMS) == 0, "what the closing brings pays the rest"
    assert collateral([make_order(ASK, "0.1", "15")], held, TERMS) == dollars("3.50")
    assert collateral([make_order(BID, "0.6", "10")], Qty(0), TERMS) == dollars("6")
    taking = make_order(BID, "0.6", "10")
    assert collateral([taking], Qty(0), TERMS, incoming="o") == dollars("6.168")


def test_a_payout_is_the_value_for_yes_and_the_rest_of_a_dollar_for_no() -> None:
    yes = PositionRecord(account="a", ticker="T", qty=parse_qty("10"))
    no = PositionRecord(account="a", ticker="T", qty=parse_qty("-10"))
    assert payout(yes, parse_price("0.3")) == dollars("3")
    assert payout(no, parse_price("0.3")) == dollars("7")


def test_a_round_trip_at_one_price_costs_the_fees_alone() -> None:
    exchange = make_exchange()
    quote(exchange, ASK, "0.5", "100")
    bought = exchange.submit("alice", order(BID, "0.5", "100", tif=TimeInForce.IOC), T0)
    quote(exchange, BID, "0.5", "100")
    sold = exchange.submit("alice", order(ASK, "0.5", "100", tif=TimeInForce.IOC), T0)
    assert isinstance(bought, OrderReceipt)
    assert isinstance(sold, OrderReceipt)
    assert exchange.position("alice", TICKER) == 0
    assert exchange.cash("alice") == dollars(1000) - bought.fees - sold.fees == dollars("996.50")


def test_what_cannot_be_paid_is_refused_with_everything_else_that_rests_counted() -> None:
    exchange = make_exchange()
    assert isinstance(exchange.submit("alice", order(BID, "0.6", "1000"), T0), OrderReceipt)
    refused = exchange.submit("alice", order(BID, "0.5", "1000"), T0)
    assert isinstance(refused, RejectionError)
    assert (refused.status, refused.code) == (400, "insufficient_balance")
    assert len(exchange.resting("alice")) == 1


def test_what_a_closing_order_brings_pays_for_the_next() -> None:
    exchange = make_exchange()
    exchange.add_account("poor", dollars("5.20"))
    quote(exchange, ASK, "0.5", "10")
    exchange.submit("poor", order(BID, "0.5", "10", tif=TimeInForce.IOC), T0)
    assert isinstance(exchange.submit("poor", order(ASK, "0.9", "10"), T0), OrderReceipt)
    quote(exchange, BID, "0.4", "10")
    assert isinstance(exchange.submit("poor", order(ASK, "0.4", "10", tif=TimeInForce.IOC), T0), OrderReceipt)
    assert exchange.position("poor", TICKER) == 0
    assert len(exchange.resting("poor")) == 1


def test_an_order_that_the_cash_no_longer_covers_is_cancelled() -> None:
    """Fees are rounded up for each fill, so an order filled in crumbs costs more than was held back for it."""
    exchange = make_exchange(fees=FeeSchedule(FeeType.WITH_MAKER))
    exchange.add_account("poor", dollars("0.5175"))
    first = exchange.submit("poor", order(BID, "0.5", "1"), T0)
    assert isinstance(first, OrderReceipt)
    assert isinstance(exchange.submit("poor", order(BID, "0.4", "0.03"), T0), OrderReceipt)
    for _ in range(90):
        quote(exchange, ASK, "0.5", "0.01")
    assert [order_id for order_id, *_ in exchange.resting("poor")] == [first.order_id], "the newest went"
    assert exchange.cash("poor") >= 0


submissions = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob", "maker"]),
        st.sampled_from([BID, ASK]),
        st.integers(1, 99).map(lambda cent: Price(cent * 100)),
        st.integers(1, 500_00).map(Qty),
        st.sampled_from(list(TimeInForce)),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)
SCHEDULES = st.sampled_from([FeeSchedule(FeeType.WITH_MAKER), FeeSchedule(multiplier=500), QUADRATIC])


@settings(max_examples=60, deadline=None)
@given(submissions, SCHEDULES, st.sampled_from([0, 3000, 10_000]))
def test_money_and_contracts_are_conserved(entries: list, schedule: FeeSchedule, value: int) -> None:  # type: ignore[type-arg]
    exchange = make_exchange(fees=schedule)
    start = total(exchange)
    for account, side, price, qty, tif, stp_maker in entries:
        exchange.submit(
            account, NewOrder(ticker=TICKER, side=side, price=price, qty=qty, tif=tif, stp_maker=stp_maker), T0
        )
        assert total(exchange) == start
        assert sum(exchange.position(name, TICKER) for name in exchange.accounts()) == 0
        bid, ask = exchange.top(TICKER)
        assert bid is None or ask is None or bid[0] < ask[0]
        assert all(exchange.cash(name) >= -100_000 for name in exchange.accounts()), "deep in debt"
        assert all(exchange.cash(name) % 100 == 0 for name in exchange.accounts()), "finer than the balance precision"
    exchange.settle(TICKER, Price(value), T0)
    exchange.advance(Ts(T0 + 60_000))
    assert sum(exchange.cash(name) for name in exchange.accounts()) + exchange.fees_collected() == start


@settings(max_examples=60, deadline=None)
@given(submissions, SCHEDULES)
def test_what_is_held_back_is_what_all_orders_together_need(entries: list, schedule: FeeSchedule) -> None:  # type: ignore[type-arg]
    """Reckoned order by order where that is enough, it stays what reckoning everything again would give."""
    exchange = make_exchange(fees=schedule)
    members = exchange._state.members
    for number, (account, side, price, qty, tif, stp_maker) in enumerate(entries):
        exchange.submit(
            account, NewOrder(ticker=TICKER, side=side, price=price, qty=qty, tif=tif, stp_maker=stp_maker), T0
        )
        if number % 5 == 4:
            for order_id, *_ in exchange.resting(account)[:1]:
                exchange.cancel(account, order_id, T0)
        for member in members.values():
            for purse in member.purses.values():
                assert purse.reserved_total == collateral(purse.orders(), purse.held(TICKER), FeeTerms(schedule))


def test_the_conservation_property_trades() -> None:
    """Not vacuous: entries as generated above do trade, pay fees, and leave positions."""
    exchange = make_exchange()
    start = total(exchange)
    quote(exchange, ASK, "0.4", "10")
    exchange.submit("alice", order(BID, "0.5", "20"), T0)
    assert exchange.fees_collected() > 0
    assert exchange.position("alice", TICKER) == 1000
    assert total(exchange) == start != total(exchange) - exchange.fees_collected()


def test_recorded_settlements_pay_what_we_pay() -> None:
    path = SPECS.parent / "data" / "rest" / "prod-202608-settlements.json"
    if not path.exists():
        pytest.skip("the recorded settlements (shared/data) are not beside this repository")
    recorded = json.loads(path.read_text())
    rows = recorded["settlements"] if isinstance(recorded, dict) else recorded
    assert rows
    for row in rows:
        value = Price(row["value"] * 100)
        yes = PositionRecord(account="a", ticker="T", qty=parse_qty(row["yes_count_fp"]))
        no = PositionRecord(account="a", ticker="T", qty=Qty(-parse_qty(row["no_count_fp"])))
        assert (payout(yes, value) + payout(no, value)) // 10_000 == row["revenue"]


@pytest.mark.parametrize(("rounding", "rebate"), [(10_000, 0), (10_001, 10_000)])
def test_a_cent_comes_back_when_the_roundings_exceed_it_and_not_at_a_cent_exactly(rounding: int, rebate: int) -> None:
    order = make_order(BID)
    order.rounding = Money(rounding)
    terms = FeeTerms(FeeSchedule(multiplier=0))
    booking = book_fill(
        PositionRecord(account="a", ticker="T"), order, parse_price("0.5"), parse_qty("1"), terms, is_taker=True
    )
    assert (booking.fee, booking.rounding) == (-rebate, rounding - rebate)
