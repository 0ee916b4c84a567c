"""The threshold strategy: below one price it buys, above another it sells, and no further than its position."""

from __future__ import annotations

import pytest
from support.tape import StrategyHarness, submitted_orders

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, cents, contracts
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.strategies import registry


def tape(**given: object) -> StrategyHarness:
    return StrategyHarness(registry.make("threshold", given))


def test_below_one_price_it_takes_the_offer() -> None:
    played = tape()
    (order,) = submitted_orders(played.book(28, 30))
    assert (order.side, order.price, order.qty, order.tif) == (BID, cents(30), contracts(5), TimeInForce.IOC)
    assert order.reason == "at $0.30, fair value $0.50"


def test_above_another_it_takes_the_bid() -> None:
    (order,) = submitted_orders(tape().book(70, 72))
    assert (order.side, order.price) == (ASK, cents(70))


def test_in_between_it_does_nothing() -> None:
    played = tape()
    assert submitted_orders(played.book(29, 31)) == []
    assert submitted_orders(played.book(69, 71)) == []


@pytest.mark.parametrize(
    ("given", "fair"),
    [({}, cents(50)), ({"fair": "41c"}, cents(41)), ({"buy_below": "0.3", "sell_above": "0.395"}, Price(3_475))],
)
def test_the_belief_is_the_one_that_was_given_or_the_middle(given: dict[str, str], fair: Price) -> None:
    (order,) = submitted_orders(tape(**given).book(28, 30))
    assert order.fair == fair


@pytest.mark.parametrize(
    "given", [{"buy_below": "70c"}, {"sell_above": "30c"}, {"fair": "30c"}, {"fair": "71c"}, {"buy_below": "90c"}]
)
def test_prices_that_do_not_rise_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="must be in rising order") as refused:
        tape(**given)
    assert refused.value.code == "bad_parameter"


def test_a_fair_value_is_a_price_as_a_person_types_it() -> None:
    with pytest.raises(UsageError, match="fair"):
        tape(fair="120c")
    (fair,) = [one for one in registry.parameters(registry.load("threshold")) if one.name == "fair"]
    assert (fair.default, fair.minimum, fair.maximum) == ("", "", "")


def test_it_goes_on_up_to_its_position_and_not_further() -> None:
    played = tape(max_position="8")
    assert [order.qty for order in submitted_orders(played.book(28, 30))] == [contracts(5)]
    assert submitted_orders(played.book(28, 30)) == [], "not twice within three seconds"
    assert [order.qty for order in submitted_orders(played.tick(3))] == [contracts(3)]
    played.tick()
    assert played.position == contracts(8)
    assert submitted_orders(played.book(28, 30, after=3)) == []


def test_what_was_bought_below_is_sold_above_all_of_it() -> None:
    played = tape()
    played.book(28, 30)
    played.book(28, 30, after=3)
    played.tick()
    assert played.position == contracts(10)
    (order,) = submitted_orders(played.book(72, 74, after=3))
    assert (order.side, order.qty, order.reduce_only, order.reason) == (ASK, contracts(10), True, "crossed back")
    played.tick()
    assert played.position == 0
    (order,) = submitted_orders(played.book(72, 74, after=3))
    assert (order.side, order.reduce_only) == (ASK, False), "and then the other way"


def test_near_the_ends_nothing_is_opened_but_what_is_held_is_closed() -> None:
    assert submitted_orders(tape(min_price="10c").book(7, 9)) == []
    played = tape()
    played.book(28, 30)
    (order,) = submitted_orders(played.book(98, 99, after=3))
    assert (order.price, order.reason) == (cents(98), "crossed back")
