"""Orders and fills in the terms of the user: bought or sold, YES or NO, at the price of that outcome."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import NOW, make_fill, make_order

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, cents, contracts
from kalshi_cli.core.model.effects import FillBooked
from kalshi_cli.core.model.order_terms import ASK, BID, Side, book_terms, outcome_price, own_terms, typed_terms
from kalshi_cli.core.model.orders import as_typed


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


@given(st.sampled_from(Side), st.sampled_from(["yes", "no"]), st.one_of(st.none(), st.integers(-5, 5)))
def test_a_typed_order_keeps_its_words_whatever_is_held(side: Side, outcome: str, held: int | None) -> None:
    order = make_order(side=side, price=cents(38), outcome=outcome)
    terms = order.terms(None if held is None else contracts(held))
    assert (terms.side, terms.price) == (outcome, cents(38 if outcome == "yes" else 62))
    assert ((terms.action == "buy") == (outcome == "yes")) == (side is BID), "the order that the exchange has"


def test_a_purchase_of_no_stays_one_while_yes_is_held() -> None:
    terms = make_order(side=ASK, price=cents(38), outcome="no").terms(contracts(5))
    assert (terms.words, terms.price) == ("buy NO", cents(62))


def test_an_order_that_was_not_typed_here_has_the_words_of_its_position() -> None:
    order = make_order(side=ASK, price=cents(38))
    assert [order.terms(held).words for held in (None, contracts(0), contracts(5))] == [
        "sell YES",
        "buy NO",
        "sell YES",
    ]


def test_the_typed_outcome_is_taken_from_the_row_of_the_same_order_only() -> None:
    stated = make_order(client_order_id="c1", ticker="T", side=ASK)
    filed = make_order(client_order_id="c1", ticker="T", side=ASK, outcome="no")
    assert as_typed(stated, filed).outcome == "no"
    others = (
        None,
        make_order(client_order_id="c1", ticker="T", side=ASK),
        make_order(client_order_id="c2", ticker="T", side=ASK, outcome="no"),
        make_order(client_order_id="c1", ticker="U", side=ASK, outcome="no"),
        make_order(client_order_id="c1", ticker="T", side=BID, outcome="no"),
    )
    assert [as_typed(stated, each) for each in others] == [stated] * 5
    unnamed = make_order(client_order_id="", ticker="T", side=ASK)
    assert as_typed(unnamed, make_order(client_order_id="", ticker="T", side=ASK, outcome="no")) == unnamed


def test_a_fill_says_what_it_did_to_the_position_that_it_met() -> None:
    fill = make_fill(side=ASK, price=cents(38), ts=NOW)
    bought, sold = FillBooked(fill).terms, FillBooked(fill, None, contracts(5)).terms
    assert (bought.verb, bought.side, bought.price) == ("bought", "no", cents(62))
    assert (sold.verb, sold.side, sold.price) == ("sold", "yes", cents(38))


@pytest.mark.parametrize(
    ("outcome", "action", "expected"),
    [
        ("yes", "buy", (BID, cents(30))), ("yes", "sell", (ASK, cents(30))),
        ("no", "buy", (ASK, cents(70))), ("no", "sell", (BID, cents(70))),
    ],
)  # fmt: skip
def test_each_order_as_typed_has_one_place_on_the_book(
    outcome: Literal["yes", "no"], action: str, expected: tuple[Side, Price]
) -> None:
    side, price = book_terms(outcome, action, cents(30))
    assert (side, price) == expected
    terms = typed_terms(side, price, outcome)
    assert (terms.action, terms.side, terms.price) == (action, outcome, cents(30))


@pytest.mark.parametrize(
    ("outcome", "action"), [("No", "buy"), ("YES", "buy"), ("", "sell"), ("yes", "BUY"), ("no", "")]
)
def test_no_other_word_has_a_place_on_the_book(outcome: str, action: str) -> None:
    with pytest.raises(UsageError, match="Unknown order"):
        book_terms(outcome, action, cents(30))


@pytest.mark.parametrize("outcome", ["No", "YES", "", "maybe"])
def test_a_price_is_of_yes_or_of_no(outcome: Any) -> None:
    with pytest.raises(UsageError, match="Unknown outcome"):
        outcome_price(outcome, cents(30))
    with pytest.raises(UsageError, match="Unknown outcome"):
        typed_terms(BID, cents(30), outcome)
