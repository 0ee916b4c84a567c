"""The sentences about orders: what traded, and the exact amounts."""

from __future__ import annotations

import pytest
from msgspec.structs import asdict, replace
from support.values import make_order

from kalshi_cli.base.units import Money, Qty, cents, contracts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.views.close import CloseRow
from kalshi_cli.views.formats import MaxMoney, SignedMoney
from kalshi_cli.views.order_text import close_sentence, order_sentence
from kalshi_cli.views.orders import NewOrderView, OrderRow, closed_pnl, order_row
from kalshi_cli.views.own_terms import in_own_terms

FEES = Money(269_400)


def filled_row(side: str, action: str, *, fill_cost: Money, fees: Money = FEES) -> OrderRow:
    """Return a filled order for 20 contracts, whose fills have this amount on the book of YES."""
    typed_no = side == "no"
    order = make_order(
        ticker="T",
        side=BID if (action == "buy") != typed_no else ASK,
        price=cents(26),
        qty=contracts(20),
        filled=contracts(20),
        status=OrderStatus.FILLED,
        fill_cost=fill_cost,
        fees=fees,
        outcome="no" if typed_no else "yes",
    )
    return order_row(order, ("no" if typed_no else "yes", "buy" if action == "buy" else "sell"))


def new_order(row: OrderRow, *, closing: int) -> NewOrderView:
    return NewOrderView(
        **asdict(row),
        cost=Money(0),
        max_fees=MaxMoney(Money(0)),
        max_loss=MaxMoney(Money(0)),
        max_payout=Money(0),
        closing=contracts(closing),
        proceeds=Money(0),
    )


def test_a_fill_has_its_exact_amount_where_the_average_price_is_rounded() -> None:
    row = filled_row("yes", "buy", fill_cost=Money(5_190_667))
    assert order_sentence(row).endswith("is filled: 20 of 20 filled at $0.2595 for $5.19, fees $0.27")


def test_a_fill_of_no_has_the_amount_of_no() -> None:
    row = filled_row("no", "buy", fill_cost=dollars("5.20"))
    assert row.fill_amount == dollars("14.80")
    assert order_sentence(row).endswith("filled at $0.74 for $14.80, fees $0.27")


@pytest.mark.parametrize(
    ("action", "closing", "end"),
    [
        ("buy", 0, "filled at $0.26 for $5.20, fees $0.27, total $5.47"),
        ("sell", 20, "filled at $0.26 for $5.20, fees $0.27, net $4.93"),
        ("sell", 0, "filled at $0.26: bought 20 NO for $14.80, fees $0.27, total $15.07"),
        ("buy", 20, "filled at $0.26: sold 20 NO for $14.80, fees $0.27, net $14.53"),
        ("buy", 5, "filled at $0.26: sold 5 NO for $3.70 and bought 15 YES for $3.90, fees $0.27, total $0.47"),
        ("sell", 15, "filled at $0.26: sold 15 YES for $3.90 and bought 5 NO for $3.70, fees $0.27, total $0.07"),
    ],
)
def test_a_reply_has_the_cash_that_was_paid_or_received(action: str, closing: int, end: str) -> None:
    row = filled_row("yes", action, fill_cost=dollars("5.20"))
    assert order_sentence(new_order(row, closing=closing)).endswith(end)


@pytest.mark.parametrize(
    ("side", "action", "end"),
    [
        ("yes", "sell", "for $5.20, fees $0.27, net $4.93, P&L -$1.07"),
        ("no", "buy", ": sold 20 YES for $5.20, fees $0.27, net $4.93, P&L -$1.07"),
    ],
)
def test_an_order_that_closed_has_its_profit_or_loss(side: str, action: str, end: str) -> None:
    row = new_order(filled_row(side, action, fill_cost=dollars("5.20")), closing=30)
    assert order_sentence(replace(row, closing_cost=dollars("9.00"))).endswith(end), "two thirds of the cost"
    assert "P&L" not in order_sentence(replace(row, closing_cost=None))


@pytest.mark.parametrize(
    ("side", "action", "fill_cost", "pnl", "end"),
    [
        ("yes", "sell", "5.20", "-2.30205", ": sold 15 YES for $3.90 and bought 5 NO for $3.70, fees $0.27, "
         "total $0.07, P&L -$2.30 of the 15 YES"),
        ("no", "buy", "5.20", "-2.30205", ": sold 15 YES for $3.90 and bought 5 NO for $3.70, fees $0.27, "
         "total $0.07, P&L -$2.30 of the 15 YES"),
        ("yes", "sell", "6.00", "-1.70205", ": sold 15 YES for about $4.50 and bought 5 NO for about $3.50, fees "
         "$0.27, net $0.73, P&L -$1.71 or better of the 15 YES"),
    ],
)  # fmt: skip
def test_an_order_that_reversed_a_position_has_the_profit_or_loss_of_the_closed_part(
    side: str, action: str, fill_cost: str, pnl: str, end: str
) -> None:
    row = replace(
        new_order(filled_row(side, action, fill_cost=dollars(fill_cost)), closing=15), closing_cost=dollars(6)
    )
    assert order_sentence(row).endswith(end)
    assert closed_pnl(row) == dollars(pnl)


def test_what_closed_nothing_or_at_an_unknown_cost_has_no_profit_or_loss() -> None:
    row = filled_row("yes", "sell", fill_cost=dollars("5.20"))
    assert closed_pnl(new_order(row, closing=15)) is None
    assert closed_pnl(replace(new_order(row, closing=15), closing_cost=dollars(6), fill_amount=None)) is None
    assert closed_pnl(replace(new_order(row, closing=0), closing_cost=dollars(6))) is None


def test_a_partial_fill_closes_before_it_opens() -> None:
    row = filled_row("no", "buy", fill_cost=dollars("5.20"))
    large = replace(new_order(row, closing=30), count=contracts(40), remaining=contracts(20))
    assert order_sentence(large).endswith("at $0.74: sold 20 YES for $5.20, fees $0.27, net $4.93")


def test_amounts_that_do_not_add_up_to_the_cent_have_all_their_decimals() -> None:
    row = new_order(filled_row("yes", "buy", fill_cost=dollars("5.204"), fees=Money(264_000)), closing=0)
    assert order_sentence(row).endswith("for $5.204, fees $0.264, total $5.468")


def test_an_order_without_fees_has_no_total_and_one_without_fills_no_amount() -> None:
    free = filled_row("yes", "buy", fill_cost=dollars("5.20"), fees=Money(0))
    assert order_sentence(new_order(free, closing=0)).endswith("filled at $0.26 for $5.20, fees $0.00")
    resting = order_row(make_order(ticker="T", qty=contracts(20), filled=Qty(0)))
    assert order_sentence(resting).endswith("0 of 20 filled")


def test_a_close_says_its_proceeds_and_its_profit_or_loss() -> None:
    row = CloseRow(
        ticker="T",
        side="yes",
        closed=contracts(3),
        left=Qty(0),
        average_price=cents(31),
        fees=Money(45_000),
        detail=None,
        proceeds=dollars("0.93"),
        net=SignedMoney(Money(-105_000)),
    )
    assert (
        close_sentence(row)
        == "Closed 3 YES of T at $0.31 on average for $0.93, fees $0.05, P&L -$0.11 after fees, 0 left"
    )
    unread = replace(row, average_price=None, fees=None, proceeds=None, net=None)
    assert close_sentence(unread) == "Closed 3 YES of T, 0 left"


@pytest.mark.parametrize("side", ["yes", "no"])
def test_fills_that_were_not_read_have_no_amount_and_no_price(side: str) -> None:
    row = filled_row(side, "buy", fill_cost=Money(0), fees=Money(0))
    assert (row.fill_amount, row.average_fill_price) == (None, None)
    assert "$0.00" not in order_sentence(row)
    assert "20 of 20 filled; price and fees not read yet: `kalshi order show" in order_sentence(row)
    assert in_own_terms(row, {}).fill_amount is None
