"""Orders and fills in the words of the user, whatever the exchange calls them."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace
from support.values import make_fill, make_order

from kalshi_cli.base.units import Money, Qty, cents, contracts, dollars
from kalshi_cli.cli.screen.brief import fill_lines
from kalshi_cli.core.account.tax_lots import tax_lots
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.views.orders import QueueRow, change_view, order_row
from kalshi_cli.views.own_terms import held_by_market, in_own_terms, order_terms
from kalshi_cli.views.portfolio import HoldingRow
from kalshi_cli.views.positions import fill_parts, fill_row


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


def test_a_typed_order_has_its_terms_whatever_is_held() -> None:
    order = make_order(ticker="T", side=ASK, price=cents(38), outcome="yes")
    for held in ({}, {(0, "T"): contracts(5)}, {(0, "T"): contracts(-5)}):
        row = in_own_terms(order_row(order), held)
        assert (row.typed_side, row.action, row.side, row.price) == ("yes", "sell", "yes", cents(38))
        queued = QueueRow.of(order, ahead=None, typed_side="no")
        assert (order_terms(queued, held).words, order_terms(queued, held).price) == ("buy NO", cents(62))
    amended = change_view(replace(order, outcome="no"), replace(order, price=cents(30)))
    row = in_own_terms(amended, {(0, "T"): contracts(5)})
    assert (row.action, row.side, row.price, row.price_before) == ("buy", "no", cents(70), cents(62))


def test_a_fill_has_the_words_of_its_order_and_two_parts_where_it_crosses_zero() -> None:
    fill = make_fill(side=ASK, price=cents(44), qty=contracts(34), fee=Money(578_001))

    def parts(held: int, typed: Literal["", "yes", "no"] = "") -> list[tuple[str, int, int]]:
        found = fill_parts(fill_row(fill, Qty(held), typed))
        return [(each.words, each.price // 100, each.count // 100) for each in found]

    assert parts(0) == [("buy NO", 56, 34)]
    assert parts(500) == [("sell YES", 44, 5), ("buy NO", 56, 29)]
    assert parts(9_000) == [("sell YES", 44, 34)]
    assert parts(9_000, "no") == [("buy NO (closes)", 56, 34)]
    assert parts(0, "no") == [("buy NO", 56, 34)]
    assert parts(500, "yes") == [("sell YES", 44, 5), ("sell YES (opens)", 44, 29)]
    row = fill_row(fill, Qty(500), "no")
    assert (row.action, row.side, row.typed_side, row.closed) == ("sell", "yes", "no", contracts(5))
    fees = [line.fee for line in reversed(fill_lines([row]))]
    lots = tax_lots([make_fill(price=cents(44), qty=contracts(5), fee=Money(0), trade_id="t0"), fill])
    assert fees == [lot.fees for lot in lots] == [85_000, 493_001], "as the tax lots share it"


def test_positions_are_signed() -> None:
    fields = {"title": None, "average_price": None, "mark": None, "cost": 0, "value": None, "unrealized": None}
    rows = [
        HoldingRow(ticker=name, subaccount=number, side=side, count=contracts(5), max_payout=0, **fields)  # type: ignore[arg-type]
        for name, number, side in (("A", 0, "yes"), ("B", 2, "no"))
    ]
    assert held_by_market(rows) == {(0, "A"): Qty(500), (2, "B"): Qty(-500)}
