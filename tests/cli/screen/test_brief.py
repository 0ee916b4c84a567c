"""Orders and a market as a terminal shows them."""

from __future__ import annotations

import msgspec
import pytest
from support.values import make_fill

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.cli.screen.brief import (
    MAX_TEXT_LENGTH,
    OrderStatusLine,
    fill_lines,
    fill_screen,
    listed_order_screen,
    market_brief,
    order_lines,
    position_lines,
    queue_lines,
)
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.model.price_grid import PriceBand
from kalshi_cli.views.formats import ShortId
from kalshi_cli.views.markets import FeeRow, MarketView
from kalshi_cli.views.orders import ListedOrderRow, QueueRow, order_row
from kalshi_cli.views.own_terms import in_own_terms
from kalshi_cli.views.positions import SubaccountPositionRow, fill_in_table, fill_row, position_row

NOW = Ts(1_781_159_370_164)


def order(side: Side, price: int = 38, closing: Qty | None = None) -> ListedOrderRow:
    listed = order_row(
        Order(
            client_order_id="c", order_id="468d4630-1", ticker="KXRAIN", side=side, price=cents(price),
            qty=contracts(10), filled=contracts(3),
            status=OrderStatus.RESTING, created=NOW, updated=NOW,
        )
    )  # fmt: skip
    return ListedOrderRow.of(listed, closing=closing)


def test_chosen_fields_have_the_side_and_the_price_of_the_table() -> None:
    sold = fill_screen(fill_row(make_fill(side=ASK, price=cents(45), qty=contracts(5)), contracts(5)))
    assert (sold.side, sold.price, sold.count) == ("sell YES", cents(45), contracts(5))
    closes = fill_screen(fill_row(make_fill(side=ASK, price=cents(45), qty=contracts(5)), contracts(5), "no"))
    assert (closes.side, closes.price) == ("buy NO (closes)", cents(55))
    flips = fill_screen(fill_row(make_fill(side=ASK, price=cents(45), qty=contracts(9)), contracts(5), "no"))
    assert (flips.side, flips.price, flips.count) == ("buy NO (closes 5, opens 4)", cents(55), contracts(9))
    meant = in_own_terms(order(ASK), {(1, "KXRAIN"): contracts(5)})
    assert (listed_order_screen(meant).side, listed_order_screen(meant).price) == ("buy NO", cents(62))


def test_an_order_that_expired_says_so_in_a_list_too() -> None:
    ended = msgspec.structs.replace(order(BID), status="canceled", expires=NOW, updated=NOW)
    early = msgspec.structs.replace(ended, expires=Ts(NOW + 1))
    lines = order_lines([ended, early, order(BID)], OrderStatusLine)
    assert [line.status for line in lines if isinstance(line, OrderStatusLine)] == ["expired", "canceled", "resting"]


def test_an_order_has_the_words_of_the_user_and_of_its_subaccount() -> None:
    (line,) = order_lines([in_own_terms(order(ASK), {(1, "KXRAIN"): contracts(5)})], OrderStatusLine)
    assert (line.side, line.price, line.filled) == ("buy NO", cents(62), "3/10")
    assert isinstance(line, OrderStatusLine)
    assert line.status == "resting"
    (line,) = order_lines([in_own_terms(order(ASK), {(0, "KXRAIN"): contracts(5)})])
    assert (line.side, line.price) == ("sell YES", cents(38))


def test_an_order_says_what_it_closes_and_what_it_opens() -> None:
    orders = [
        order(ASK, closing=contracts(7)),
        order(ASK, closing=contracts(5)),
        order(BID, closing=Qty(0)),
        order(BID),
    ]
    effects = [line.effect for line in order_lines(orders)]
    assert effects == ["closes 7 YES", "closes 5 YES, opens 2 NO", "opens 7 YES", None]


def test_an_order_in_its_queue_has_the_same_words() -> None:
    row = QueueRow(
        order_id=ShortId("o"), client_order_id="c", ticker="KXRAIN", side="yes", book_side=BID,
        price=cents(38), remaining=contracts(7),
        ahead=contracts(3), subaccount=2,
    )  # fmt: skip
    shown = [
        (line.side, line.price) for held in ({}, {(2, "KXRAIN"): contracts(-5)}) for line in queue_lines([row], held)
    ]
    assert shown == [("buy YES", cents(38)), ("sell NO", cents(62))]


def test_a_fill_has_the_price_of_the_outcome_that_it_traded() -> None:
    (line,) = fill_lines([fill_row(make_fill(side=ASK, price=cents(38)), Qty(0))])
    assert (line.side, line.price) == ("buy NO", cents(62))


@pytest.mark.parametrize("subaccount", [0, 3])
def test_a_position_has_its_outcome_beside_its_quantity(subaccount: int) -> None:
    held = Position(ticker="KXRAIN", qty=contracts(-20), cost=dollars(15), subaccount=subaccount)
    (line,) = position_lines([position_row(held, cents(30), SubaccountPositionRow)])
    assert (line.quantity, line.mark, line.value) == ("20 NO", cents(70), dollars(14))
    assert ("subaccount" in line.shown) is bool(subaccount)


def view(**changes: object) -> MarketView:
    missing = {field.name: None for field in msgspec.structs.fields(MarketView)}
    values = {
        "ticker": "KXRAIN", "title": "Rain?", "status": "active", "yes_bid": cents(21), "yes_bid_size": contracts(66),
        "yes_ask": cents(25), "yes_ask_size": contracts(28), "no_bid": cents(75), "no_ask": cents(79),
        "volume_24h": Qty(0), "open_interest": Qty(0), "open_time": NOW, "close_time": NOW, "can_close_early": False,
        "price_grid": (PriceBand(cents(0), cents(100), cents(1)),), "fees": (), "fee_changes": (), "rules_primary": "x",
    }  # fmt: skip
    return MarketView(**{**missing, **values, **changes})  # type: ignore[arg-type]


def test_a_market_leads_with_the_prices_of_both_sides() -> None:
    brief = market_brief(view())
    assert (brief.YES, brief.NO) == ("bid $0.21 for 66   ask $0.25 for 28", "bid $0.75 for 28   ask $0.79 for 66")
    assert (brief.price_step, brief.fees_of_100, brief.open_time) == ("$0.01", None, None)
    assert brief.screen.index("YES") < brief.screen.index("close_time") < brief.screen.index("rules_primary")


def test_a_market_marks_the_own_contracts_at_its_best_prices() -> None:
    own = {("bid", cents(21)): contracts(6), ("ask", cents(26)): contracts(3)}
    brief = market_brief(view(), own)
    assert brief.YES == "bid $0.21 for 66 (6 yours)   ask $0.25 for 28"
    assert brief.NO == "bid $0.75 for 28   ask $0.79 for 66 (6 yours)"


def test_a_market_without_quotes_shows_no_price_and_no_size() -> None:
    brief = market_brief(view(yes_bid=None, yes_bid_size=Qty(0), no_ask=None, status="initialized"))
    assert (brief.YES, brief.NO) == ("bid —   ask $0.25 for 28", "bid $0.75 for 28   ask —")
    assert brief.open_time == NOW


def test_a_market_shows_the_fee_of_a_taker_and_all_steps() -> None:
    fee = FeeRow(action="buy yes", role="taker", price=cents(25), count=contracts(100), fee=1_320_000, cost=0)  # type: ignore[arg-type]
    bands = (PriceBand(cents(0), cents(10), Price(10)), PriceBand(cents(10), cents(100), cents(1)))
    brief = market_brief(view(fees=(fee,), price_grid=bands))
    assert (brief.fees_of_100, brief.price_step) == ("$1.32 as taker at $0.25", "$0.001 to $0.01")
    maker = msgspec.structs.replace(fee, role="maker", price=cents(21), fee=330_000)
    assert market_brief(view(fees=(fee, maker))).fees_of_100 == "$1.32 as taker at $0.25, $0.33 as maker at $0.21"
    free = msgspec.structs.replace(maker, fee=0)
    assert market_brief(view(fees=(fee, free))).fees_of_100 == "$1.32 as taker at $0.25, maker free"


def test_long_rules_are_cut_and_say_so() -> None:
    brief = market_brief(view(rules_primary="r" * MAX_TEXT_LENGTH, rules_secondary="r" * (MAX_TEXT_LENGTH + 1)))
    assert brief.rules_primary == "r" * MAX_TEXT_LENGTH
    assert brief.rules_secondary == "r" * (MAX_TEXT_LENGTH - 1) + "… (-v shows all)"


def test_a_fill_has_the_same_price_with_chosen_columns_as_without() -> None:
    """10 NO bought at $0.45, typed as such, against a position in YES."""
    row = fill_row(make_fill(side=ASK, price=cents(55)), contracts(10), "no")
    (line,) = fill_lines([row])
    assert (line.side, line.price) == ("buy NO (closes)", cents(45))
    assert fill_in_table(row, ("time", "price", "count")).price == cents(45)
    assert fill_in_table(row, ("side", "price")).price == cents(55), "beside YES, which it sold"
    assert fill_in_table(row, ("book_side", "price")).price == cents(55)


def test_the_part_that_opened_is_newer_than_the_one_that_closed() -> None:
    lines = fill_lines([fill_row(make_fill(side=ASK, price=cents(55)), contracts(4), "no")])
    assert [(line.side, line.count) for line in lines] == [("buy NO", contracts(6)), ("buy NO (closes)", contracts(4))]
