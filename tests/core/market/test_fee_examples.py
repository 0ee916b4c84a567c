"""Every worked example of the published fees, to the digit: in both ledgers, and through fills over the wire.

The table is that of API.md section 9. `core.fees` and `sim.accounts` were written apart from each other, so each row is
asked of both; then the trade itself is made, by the real client, and read back from fills and balance.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.simulation import DAY_MS, T0, Simulation

from kalshi_cli.base.units import Money, Price, Qty, Ts, dollars, notional, parse_price, parse_qty
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.market.fees import FeeCharge, RoundingAccumulator, trade_fee
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.simulator.matching import collateral
from kalshi_cli.simulator.matching.collateral import FeeTerms
from kalshi_cli.simulator.model.listing import (
    EventSpec,
    ExchangeOptions,
    MarketSpec,
    NewOrder,
    OrderReceipt,
    SeriesSpec,
)
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.simulator.model.records import OrderRecord, PositionRecord

DIRECT, INTERMEDIARY = Money(100), Money(10_000)
CENT = Money(10_000)
QUADRATIC = FeeSchedule()
HALF = FeeSchedule(multiplier=500)
WITH_MAKER = FeeSchedule(FeeType.WITH_MAKER)
WITH_COMBO_MAKER = FeeSchedule(FeeType.WITH_COMBO_MAKER)


class Example(NamedTuple):
    """A row of the table: `direct` and `cent` are what a direct and a $0.01 member are charged for one buy of YES."""

    schedule: FeeSchedule
    qty: str
    price: str
    is_taker: bool
    raw: str
    direct: str
    cent: str | None


TABLE = [
    Example(QUADRATIC, "1", "0.52", True, "0.017472", "0.0175", "0.02"),
    Example(QUADRATIC, "1", "0.99", True, "0.000693", "0.0007", "0.01"),
    Example(QUADRATIC, "100", "0.25", True, "1.3125", "1.3125", "1.32"),
    Example(HALF, "100", "0.50", True, "0.875", "0.8750", "0.88"),
    Example(WITH_MAKER, "100", "0.50", False, "0.4375", "0.4375", "0.44"),
    Example(QUADRATIC, "0.01", "0.41", True, "0.00016933", "0.0002", None),
    Example(QUADRATIC, "2.5", "0.475", True, "0.043640625", "0.0437", None),
    Example(QUADRATIC, "0.03", "0.3301", True, "0.000464", "0.0005", None),
    # The same formula, where the table has no row: the other k of makers, and makers who pay nothing.
    Example(WITH_COMBO_MAKER, "100", "0.50", False, "0.875", "0.8750", "0.88"),
    Example(QUADRATIC, "100", "0.50", False, "0", "0", "0"),
]


def _name(row: Example) -> str:
    who = "taker" if row.is_taker else "maker"
    return f"{who}-{row.qty}@{row.price}-{row.schedule.type.name}-{row.schedule.multiplier}"


rows = pytest.mark.parametrize("row", TABLE, ids=_name)

FeeOf = Callable[..., Money]


def fees_that_are_off(fee_of: FeeOf) -> list[Example]:
    """The rows that a trade fee gets wrong."""
    return [
        row
        for row in TABLE
        if fee_of(row.schedule, parse_price(row.price), parse_qty(row.qty), is_taker=row.is_taker)
        != dollars(row.direct)
    ]


@pytest.mark.parametrize("fee_of", [trade_fee, collateral.trade_fee], ids=["core", "exchange"])
def test_both_ledgers_charge_what_the_table_says(fee_of: FeeOf) -> None:
    assert fees_that_are_off(fee_of) == []


def test_a_wrong_fee_is_found_by_the_table() -> None:
    """Not vacuous: no row passes by accident where the rounding, the side or the multiplier is wrong."""

    def to_the_cent(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
        return Money(-(-trade_fee(schedule, price, qty, is_taker=is_taker) // CENT) * CENT)

    def down(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
        return Money(max(0, trade_fee(schedule, price, qty, is_taker=is_taker) - 100))

    def takers_all(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
        return trade_fee(schedule, price, qty, is_taker=True)

    def full_price(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
        return trade_fee(FeeSchedule(schedule.type), price, qty, is_taker=is_taker)

    found = [len(fees_that_are_off(wrong)) for wrong in (to_the_cent, down, takers_all, full_price)]
    assert found == [9, 9, 3, 1]


# -- one fill -----------------------------------------------------------------------------------------------------


def ours(row: Example, precision: Money) -> Money:
    """The net fee as `core.fees` reckons it."""
    price, qty = parse_price(row.price), parse_qty(row.qty)
    fee = trade_fee(row.schedule, price, qty, is_taker=row.is_taker)
    return RoundingAccumulator(precision).charge(Money(-notional(price, qty)), fee).net


def theirs(row: Example, precision: Money) -> Money:
    """The net fee as the exchange books it."""
    return book(make_record(row), row, precision, PositionRecord(account="a", ticker="T")).fee


def make_record(row: Example, side: Side = BID) -> OrderRecord:
    price, qty = parse_price(row.price), parse_qty(row.qty)
    return OrderRecord(
        order_id="o",
        account="a",
        client_order_id="",
        ticker="T",
        side=side,
        price=price,
        qty=qty,
        remaining=qty,
        created=Ts(0),
        updated=Ts(0),
        rank=0,
    )


def book(order: OrderRecord, row: Example, precision: Money, holding: PositionRecord) -> collateral.FillBooking:
    """One fill of the row, booked by the exchange's ledger."""
    terms = FeeTerms(row.schedule, precision=precision)
    booking = collateral.book_fill(holding, order, order.price, parse_qty(row.qty), terms, is_taker=row.is_taker)
    order.rounding = booking.rounding
    return booking


@pytest.mark.parametrize("row", [row for row in TABLE if row.cent is not None], ids=_name)
def test_a_member_behind_an_intermediary_pays_the_rounding_to_the_cent_too(row: Example) -> None:
    assert row.cent is not None
    assert ours(row, INTERMEDIARY) == theirs(row, INTERMEDIARY) == dollars(row.cent)


@rows
def test_the_raw_formula_is_what_is_rounded_up(row: Example) -> None:
    fee = trade_fee(row.schedule, parse_price(row.price), parse_qty(row.qty), is_taker=row.is_taker)
    raw = float(row.raw) * 1_000_000
    assert raw - 1e-6 <= fee < raw + 100


@pytest.mark.parametrize("precision", [DIRECT, INTERMEDIARY])
@rows
def test_both_ledgers_agree_on_the_balance(row: Example, precision: Money) -> None:
    booking = book(make_record(row), row, precision, PositionRecord(account="a", ticker="T"))
    paid = notional(parse_price(row.price), parse_qty(row.qty))
    assert booking.cash == -paid - ours(row, precision)
    assert booking.cash % precision == 0


def test_the_recorded_balance_of_a_fractional_buy_comes_out() -> None:
    """2.5 @ 0.475: the balance moves by -1.2312."""
    row = next(row for row in TABLE if row.qty == "2.5")
    booking = book(make_record(row), row, DIRECT, PositionRecord(account="a", ticker="T"))
    assert (booking.cash, booking.fee) == (-dollars("1.2312"), dollars("0.0437"))
    assert -notional(parse_price(row.price), parse_qty(row.qty)) - ours(row, DIRECT) == -dollars("1.2312")


# -- three fills of one order -------------------------------------------------------------------------------------

THIRD = next(row for row in TABLE if row.price == "0.3301")
ROUNDED = dollars("0.000097")
NETS = {
    DIRECT: [dollars("0.000597")] * 3,
    INTERMEDIARY: [dollars("0.010097"), ROUNDED, ROUNDED],
}
CASH = {
    DIRECT: [-dollars("0.0105")] * 3,
    INTERMEDIARY: [-dollars("0.02"), -dollars("0.01"), -dollars("0.01")],
}


def test_the_published_three_fills_in_their_parts() -> None:
    price, qty = parse_price(THIRD.price), parse_qty(THIRD.qty)
    paid, fee = Money(-notional(price, qty)), trade_fee(QUADRATIC, price, qty, is_taker=True)
    assert fee == dollars("0.0005")

    direct = RoundingAccumulator()
    assert [direct.charge(paid, fee) for _ in range(3)] == [FeeCharge(fee, ROUNDED, Money(0))] * 3

    intermediary = RoundingAccumulator(INTERMEDIARY)
    charges = [intermediary.charge(paid, fee) for _ in range(3)]
    assert [charge.net for charge in charges] == NETS[INTERMEDIARY]
    assert [charge.rebate for charge in charges] == [Money(0), CENT, CENT]
    assert {paid - charge.trade_fee - charge.rounding_fee for charge in charges} == {-dollars("0.02")}


@pytest.mark.parametrize("precision", [DIRECT, INTERMEDIARY])
def test_the_exchange_books_the_published_three_fills(precision: Money) -> None:
    holding, order = PositionRecord(account="a", ticker="T"), make_record(THIRD)
    bookings = [book(order, THIRD, precision, holding) for _ in range(3)]
    assert [booking.fee for booking in bookings] == NETS[precision]
    assert [booking.cash for booking in bookings] == CASH[precision]
    assert holding.fees == sum(NETS[precision])


def test_a_rebate_waits_until_more_than_a_cent_has_gathered() -> None:
    half = Money(5_000)
    order = RoundingAccumulator(INTERMEDIARY)
    assert [order.charge(half, Money(0)).rebate for _ in range(3)] == [Money(0), Money(0), CENT]
    assert order.gathered == half
    record, holding = make_record(THIRD), PositionRecord(account="a", ticker="T")
    record.rounding = Money(CENT - ROUNDED)
    exactly = book(record, THIRD, DIRECT, holding)
    assert (exactly.cash, exactly.rounding) == (-dollars("0.0105"), CENT)
    over = book(record, THIRD, DIRECT, holding)
    assert (over.cash, over.fee, over.rounding) == (-dollars("0.0005"), ROUNDED + dollars("0.0005") - CENT, ROUNDED)


# -- over the wire ------------------------------------------------------------------------------------------------


class Wired:
    """The examples as trades of the real client: one market with the finest grid for each schedule."""

    def __init__(self, folder: Path, precision: Money) -> None:
        options = ExchangeOptions(read_rate=0, write_rate=0, balance_precision=precision)
        self.sim = Simulation(folder, options=options)
        self.exchange, self.client = self.sim.exchange, self.sim.client
        self.markets: dict[FeeSchedule, str] = {}
        for number, schedule in enumerate((QUADRATIC, HALF, WITH_MAKER, WITH_COMBO_MAKER)):
            series, ticker = f"KXFEE{number}", f"KXFEE{number}-A-T1"
            self.exchange.list_series(SeriesSpec(ticker=series, title="Fees", fees=schedule))
            self.exchange.list_event(EventSpec(event_ticker=f"{series}-A", series_ticker=series, title="Fees"), T0)
            structure = "center_centi_edge_centi_cent"
            spec = MarketSpec(
                ticker=ticker,
                event_ticker=f"{series}-A",
                title="A fee?",
                open_time=T0,
                close_time=Ts(T0 + DAY_MS),
                price_structure=structure,
                grid=STRUCTURES[structure],
            )
            self.exchange.list_market(spec, T0)
            self.markets[schedule] = ticker
        self.exchange.advance(T0)

    def other(self, ticker: str, side: Side, price: Price, qty: Qty, tif: TimeInForce = TimeInForce.GTC) -> None:
        """Bob rests an order, or takes what rests."""
        receipt = self.exchange.submit("bob", NewOrder(ticker=ticker, side=side, price=price, qty=qty, tif=tif), T0)
        assert isinstance(receipt, OrderReceipt), receipt

    def place(self, ticker: str, side: Side, price: Price, qty: Qty, *, subaccount: int = 0) -> str:
        """Alice's order, over the wire; its id."""
        now = self.sim.clock.now()
        order = Order(
            client_order_id=self.sim.new_id(),
            ticker=ticker,
            side=side,
            price=price,
            qty=qty,
            status=OrderStatus.SUBMITTED,
            created=now,
            updated=now,
        )
        return self.client.create_order(order).order_id

    def trade(self, row: Example, *, times: int = 1) -> list[Fill]:
        """Alice buys YES as the row says, in so many fills of one order; her fills in their order."""
        ticker, price, qty = self.markets[row.schedule], parse_price(row.price), parse_qty(row.qty)
        all_of_it = Qty(qty * times)
        if row.is_taker:
            for _ in range(times):
                self.other(ticker, ASK, price, qty)
            self.place(ticker, BID, price, all_of_it)
        else:
            self.place(ticker, BID, price, all_of_it)
            for _ in range(times):
                self.other(ticker, ASK, price, qty, TimeInForce.IOC)
        return list(self.client.fills())[::-1]

    def cash(self) -> Money:
        return self.client.balance().cash


@pytest.fixture
def wired(tmp_path: Path, precision: Money) -> Iterator[Wired]:
    made = Wired(tmp_path, precision)
    yield made
    made.sim.close()


@pytest.mark.parametrize("precision", [DIRECT, INTERMEDIARY], ids=["direct", "cent"])
@rows
def test_a_fill_over_the_wire_is_charged_and_leaves_the_balance(wired: Wired, row: Example, precision: Money) -> None:
    before = wired.cash()
    (fill,) = wired.trade(row)
    assert (fill.qty, fill.price, fill.is_taker) == (parse_qty(row.qty), parse_price(row.price), row.is_taker)
    stated = row.direct if precision == DIRECT else row.cent
    if stated is not None and precision == INTERMEDIARY:
        assert fill.fee == dollars(stated)
    assert fill.fee == ours(row, precision) == theirs(row, precision)
    assert wired.cash() - before == -notional(fill.price, fill.qty) - fill.fee
    ledger = Ledger()
    ledger.book(fill)
    assert ledger.cash == wired.cash() - before
    (position,) = wired.client.positions()
    assert (position.position, position.fees) == (fill.qty, fill.fee)
    if precision == DIRECT and not fill.qty % 100:
        assert fill.fee == dollars(row.direct), "whole contracts have no rounding fee"


@pytest.mark.parametrize("precision", [DIRECT], ids=["direct"])
def test_the_reply_to_a_create_says_the_fee_of_a_contract(wired: Wired) -> None:
    """Recorded: 0.01 @ 0.41 was answered with an average fee of 0.0200 a contract."""
    ticker = wired.markets[QUADRATIC]
    wired.other(ticker, ASK, parse_price("0.41"), Qty(1))
    body = {
        "ticker": ticker,
        "side": "bid",
        "count": "0.01",
        "price": "0.4100",
        "time_in_force": "immediate_or_cancel",
        "self_trade_prevention_type": "taker_at_cross",
    }
    reply = json.loads(wired.client.request("POST", "/portfolio/events/orders", body=json.dumps(body).encode()))
    assert (reply["fill_count"], reply["average_fee_paid"], reply["average_fill_price"]) == ("0.01", "0.0200", "0.4100")


@pytest.mark.parametrize("precision", [DIRECT, INTERMEDIARY], ids=["direct", "cent"])
def test_three_fills_of_one_order_over_the_wire(wired: Wired, precision: Money) -> None:
    before = wired.cash()
    fills = wired.trade(THIRD, times=3)
    assert [fill.fee for fill in fills] == NETS[precision]
    assert [-notional(fill.price, fill.qty) - fill.fee for fill in fills] == CASH[precision]
    assert wired.cash() - before == sum(CASH[precision])
    order = next(iter(wired.client.orders()))
    assert (order.status, order.fees) == (OrderStatus.FILLED, sum(NETS[precision]))
