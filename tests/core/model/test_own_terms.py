"""Orders and fills in the terms of the user: bought or sold, YES or NO, at the price of that outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import NOW, make_fill

from kalshi_cli.base.units import ONE_DOLLAR, Price, cents, contracts
from kalshi_cli.core.model.effects import FillBooked
from kalshi_cli.core.model.order_terms import ASK, BID, Side, own_terms


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


@pytest.mark.parametrize(("side", "text"), [(BID, "buy 3 YES KXA-1 at $0.38"), (ASK, "sell 3 YES KXA-1 at $0.38")])
def test_without_a_known_position_the_terms_are_those_of_yes(side: Side, text: str) -> None:
    assert own_terms(side, cents(38), None).text(contracts(3), "KXA-1") == text


def test_terms_in_words_have_the_quantity_the_outcome_and_its_price() -> None:
    assert own_terms(ASK, cents(38), contracts(0)).text(contracts(3)) == "buy 3 NO at $0.62"


@given(st.sampled_from(Side), st.integers(1, 99), st.integers(-5, 5))
def test_the_words_mean_the_order_that_the_exchange_has(side: Side, price: int, held: int) -> None:
    terms = own_terms(side, cents(price), contracts(held))
    buys_yes = (terms.action == "buy") == (terms.side == "yes")
    assert buys_yes == (side is BID)
    assert (terms.price if terms.side == "yes" else Price(ONE_DOLLAR - terms.price)) == cents(price)


def test_a_fill_says_what_it_did_to_the_position_that_it_met() -> None:
    fill = make_fill(side=ASK, price=cents(38), ts=NOW)
    bought, sold = FillBooked(fill).terms, FillBooked(fill, None, contracts(5)).terms
    assert (bought.verb, bought.side, bought.price) == ("bought", "no", cents(62))
    assert (sold.verb, sold.side, sold.price) == ("sold", "yes", cents(38))
