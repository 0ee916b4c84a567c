"""Orders and fills in the words of the user, whatever the exchange calls them."""

from __future__ import annotations

from msgspec.structs import replace
from support.values import make_order

from kalshi_cli.base.units import Qty, cents, contracts, dollars
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.views.orders import change_view, order_row
from kalshi_cli.views.own_terms import held_by_market, in_own_terms, order_terms
from kalshi_cli.views.portfolio import HoldingRow


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
