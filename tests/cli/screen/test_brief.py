"""Orders and a market as a terminal shows them."""

from __future__ import annotations

import msgspec
import pytest

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts
from kalshi_cli.cli.screen.brief import MAX_TEXT_LENGTH, OrderStatusLine, market_brief, no_terms, order_lines
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.model.price_grid import PriceBand
from kalshi_cli.views.markets import FeeRow, MarketView
from kalshi_cli.views.orders import OrderRow, order_row

NOW = Ts(1_781_159_370_164)


def order(side: Side, price: int = 38) -> OrderRow:
    return order_row(
        Order(
            client_order_id="c", order_id="468d4630-1", ticker="KXRAIN", side=side, price=cents(price),
            qty=contracts(10), filled=contracts(3),
            status=OrderStatus.RESTING, created=NOW, updated=NOW,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("side", "held", "text"),
    [
        (ASK, 0, "buy $0.62"),
        (ASK, -5, "buy $0.62"),
        (ASK, 5, None),
        (BID, 0, None),
        (BID, 5, None),
        (BID, -5, "sell $0.62"),
    ],
)
def test_an_order_is_shown_in_no_unless_it_trades_held_yes(side: Side, held: int, text: str | None) -> None:
    assert no_terms(order(side), contracts(held)) == text


def test_an_order_typed_as_no_is_shown_in_no_once() -> None:
    assert no_terms(order_row_typed(), Qty(0)) == "buy $0.62"


def test_an_order_that_no_longer_rests_is_not_shown_in_no() -> None:
    ended = msgspec.structs.replace(order(ASK), status="filled")
    assert no_terms(ended, Qty(0)) is None, "the position of today says nothing about that time"


def order_row_typed() -> OrderRow:
    return msgspec.structs.replace(order(ASK), side="no", action="buy", price=cents(62))


def test_positions_of_another_subaccount_do_not_count() -> None:
    (line,) = order_lines([order(ASK)], {(1, "KXRAIN"): contracts(5)}, OrderStatusLine)
    assert (line.order, line.price, line.as_no, line.filled) == ("sell YES", cents(38), "buy $0.62", "3/10")
    assert isinstance(line, OrderStatusLine)
    assert line.status == "resting"
    (line,) = order_lines([order(ASK)], {(0, "KXRAIN"): contracts(5)})
    assert line.as_no is None


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


def test_a_market_without_quotes_shows_no_price_and_no_size() -> None:
    brief = market_brief(view(yes_bid=None, yes_bid_size=Qty(0), no_ask=None, status="initialized"))
    assert (brief.YES, brief.NO) == ("bid —   ask $0.25 for 28", "bid $0.75 for 28   ask —")
    assert brief.open_time == NOW


def test_a_market_shows_the_fee_of_a_taker_and_all_steps() -> None:
    fee = FeeRow(action="buy yes", role="taker", price=cents(25), count=contracts(100), fee=1_320_000, cost=0)  # type: ignore[arg-type]
    bands = (PriceBand(cents(0), cents(10), Price(10)), PriceBand(cents(10), cents(100), cents(1)))
    brief = market_brief(view(fees=(fee,), price_grid=bands))
    assert (brief.fees_of_100, brief.price_step) == ("$1.32 as taker at $0.25", "$0.001 to $0.01")


def test_long_rules_are_cut_and_say_so() -> None:
    brief = market_brief(view(rules_primary="r" * MAX_TEXT_LENGTH, rules_secondary="r" * (MAX_TEXT_LENGTH + 1)))
    assert brief.rules_primary == "r" * MAX_TEXT_LENGTH
    assert brief.rules_secondary == "r" * (MAX_TEXT_LENGTH - 1) + "… (-v shows all)"
