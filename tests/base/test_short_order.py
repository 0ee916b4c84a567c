"""The short form of an order, and the new terms of one."""

from __future__ import annotations

import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.short_order import ShortOrder, price_after_at, read_new_terms, read_short_order
from kalshi_cli.base.units import Price, cents, contracts


@pytest.mark.parametrize("typed", ["@0.24", "0.24", "24c", "@24c", " @$0.24 "])
def test_a_price_may_follow_an_at_sign(typed: str) -> None:
    assert price_after_at(typed) == Price(2_400)


@pytest.mark.parametrize("typed", ["@24", "@", "at 0.24", "@@0.24", "@1.5"])
def test_no_price_is_guessed(typed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        price_after_at(typed)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("buy 10 @0.32", ShortOrder("buy", "yes", contracts(10), cents(32))),
        ("SELL 2.5 70c --no", ShortOrder("sell", "no", contracts("2.5"), cents(70))),
        ("buy --no 10 @$0.32", ShortOrder("buy", "no", contracts(10), cents(32))),
    ],
)
def test_an_order_is_read_as_the_command_line_reads_it(text: str, order: ShortOrder) -> None:
    assert read_short_order(text) == order


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Type buy or sell"), ("10 @0.32", "Type buy or sell"), ("buy 10", "Type buy or sell"),
        ("buy 10 @0.32 --tif ioc", "Type buy or sell"), ("buy 10 @32", "did you mean 0.32"),
        ("buy @0.32 10", "count comes before the price"), ("buy 0.31 @10 --no", "count comes before the price"),
        ("sell 31c 10", "count comes before the price"), ("buy 2.5 10", "did you mean 0.10"),
        ("buy -5 @0.32", "greater than zero"),
        ("buy 10 @0.32 no", "The outcome is not a word of `buy`: no"), ("buy 10 market", "no market orders"),
    ],
)  # fmt: skip
def test_what_is_not_an_order_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_short_order(text)


def test_new_terms_are_a_price_and_perhaps_a_count() -> None:
    assert read_new_terms("0.24") == (cents(24), None)
    assert read_new_terms("@24c 10") == (cents(24), contracts(10))
    for text in ("", "24", "0.24 10 5", "10 0.24"):
        with pytest.raises(UsageError):
            read_new_terms(text)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("buy $20 @0.40", "$20 at 0.40 is 50 contracts, before fees: `buy 50 @0.40`"),
        ("sell $10 33c --no", "$10 at 33c is 30 contracts, before fees: `sell 30 33c`"),
        ("buy $0.20 @0.40", ""),
    ],
)
def test_an_amount_of_dollars_as_the_count_is_refused_with_its_contracts(typed: str, hint: str) -> None:
    with pytest.raises(UsageError, match="The count is in contracts, not in dollars") as caught:
        read_short_order(typed)
    assert caught.value.hint == hint
