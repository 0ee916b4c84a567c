"""Orders and fills in the words of the user, whatever the exchange calls them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.values import make_order

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, cents, contracts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.views.orders import change_view, order_row
from kalshi_cli.views.own_terms import held_by_market, in_own_terms, order_terms, own_terms
from kalshi_cli.views.portfolio import HoldingRow


@pytest.mark.parametrize(
    ("side", "held", "words", "price"),
    [
        (BID, 0, "buy YES", 38),
        (BID, 5, "buy YES", 38),
        (BID, -5, "sell NO", 62),
        (ASK, 0, "buy NO", 62),
        (ASK, -5, "buy NO", 62),
        (ASK, 5, "sell YES", 38),
    ],
)
def test_what_reduces_the_position_sells_it_and_all_else_buys(side: Side, held: int, words: str, price: int) -> None:
    terms = own_terms(side, cents(38), contracts(held))
    assert (terms.words, terms.price) == (words, cents(price))


@given(st.sampled_from(Side), st.integers(1, 99), st.integers(-5, 5))
def test_the_words_mean_the_order_that_the_exchange_has(side: Side, price: int, held: int) -> None:
    terms = own_terms(side, cents(price), contracts(held))
    buys_yes = (terms.action == "buy") == (terms.side == "yes")
    assert buys_yes == (side is BID)
    assert (terms.price if terms.side == "yes" else Price(ONE_DOLLAR - terms.price)) == cents(price)


def test_an_order_typed_as_no_and_the_same_order_read_back_have_the_same_terms() -> None:
    order = make_order(ticker="T", side=ASK, price=cents(38))
    for row in (order_row(order), order_row(order, ("no", "buy")), order_row(order, ("yes", "sell"))):
        assert (order_terms(row, {}).words, order_terms(row, {}).price) == ("buy NO", cents(62))
        assert order_terms(row, {(0, "T"): contracts(5)}).words == "sell YES"
        assert order_terms(row, {(1, "T"): contracts(5)}).words == "buy NO", "another subaccount"


def test_an_order_in_own_terms_has_every_price_of_that_outcome() -> None:
    order = make_order(
        ticker="T", side=ASK, price=cents(38), qty=contracts(10), filled=contracts(2), fill_cost=dollars(1)
    )
    row = in_own_terms(order_row(order), {})
    assert (row.side, row.action, row.price, row.average_fill_price) == ("no", "buy", cents(62), cents(50))
    assert in_own_terms(row, {}) == row
    changed = in_own_terms(change_view(order, replace(order, price=cents(30))), {})
    assert (changed.price, changed.price_before) == (cents(70), cents(62))
    held = {(0, "T"): contracts(5)}
    assert in_own_terms(order_row(order), held) == order_row(order, ("yes", "sell"))


def test_positions_are_signed() -> None:
    fields = {"title": None, "average_price": None, "mark": None, "cost": 0, "value": None, "unrealized": None}
    rows = [
        HoldingRow(ticker=name, subaccount=number, side=side, count=contracts(5), max_payout=0, **fields)  # type: ignore[arg-type]
        for name, number, side in (("A", 0, "yes"), ("B", 2, "no"))
    ]
    assert held_by_market(rows) == {(0, "A"): Qty(500), (2, "B"): Qty(-500)}
