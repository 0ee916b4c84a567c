"""Which of several venues' prices is believed."""

from __future__ import annotations

from kalshi_cli.core.messages import SpotPrice
from kalshi_cli.feeds.spot.belief import Belief
from kalshi_cli.units import Ts

NOW = Ts(1_780_000_000_000)


def belief(*venues: str) -> Belief:
    return Belief(venues or ("one", "two", "three"), max_age_ms=10_000, max_apart_pct=1.0)


def price(venue: str, dollars: float, ts: int = NOW) -> SpotPrice:
    return SpotPrice(Ts(ts), "BTC", round(dollars * 10_000), venue, 1)


def test_the_first_venue_in_the_order_is_believed_while_it_is_fresh() -> None:
    several = belief()
    second = price("two", 100.1)
    assert several.hear(second, NOW) == second, "alone it is better than nothing"
    first = price("one", 100)
    assert several.hear(first, NOW) == first
    assert several.hear(price("two", 100.2, NOW + 1), Ts(NOW + 1)) is None, "one venue at a time"
    assert several.venue(Ts(NOW + 10_000)) == "one"
    assert several.venue(Ts(NOW + 10_001)) == "two"
    later = price("two", 100.3, NOW + 10_001)
    assert several.hear(later, Ts(NOW + 10_001)) == later


def test_an_old_price_is_none_and_so_is_one_from_before_the_newest() -> None:
    one = belief("one")
    assert one.hear(price("one", 100, NOW - 10_001), NOW) is None
    assert one.venue(NOW) is None
    assert not one.is_disputed
    assert one.hear(price("one", 100), NOW) is not None
    assert one.hear(price("one", 99, NOW - 1), NOW) is None
    assert one.hear(price("one", 101), NOW) is not None, "several trades of one moment are all told"


def test_a_price_from_the_future_is_as_old_as_its_arrival() -> None:
    one = belief("one")
    heard = one.hear(price("one", 100, NOW + 3_600_000), NOW)
    assert heard is not None
    assert heard.ts == NOW
    assert one.venue(Ts(NOW + 10_001)) is None


def test_one_that_is_alone_in_what_it_says_is_not_believed() -> None:
    several = belief()
    several.hear(price("two", 100), NOW)
    several.hear(price("three", 100.5), NOW)
    assert several.hear(price("one", 105), NOW) is None
    assert several.venue(NOW) == "two"
    assert not several.is_disputed
    assert several.hear(price("one", 100.9), NOW) is not None, "back among the others it counts again"


def test_of_two_that_contradict_each_other_neither_is_believed() -> None:
    two = belief("one", "two")
    two.hear(price("one", 100), NOW)
    assert two.hear(price("two", 101.5), NOW) is None
    assert (two.venue(NOW), two.is_disputed) == (None, True)
    assert two.hear(price("two", 101), Ts(NOW)) is None
    assert (two.venue(NOW), two.is_disputed) == ("one", False)


def test_three_that_all_contradict_each_other_are_believed_in_nothing_not_even_in_the_middle() -> None:
    several = belief()
    for venue, dollars in (("one", 100), ("two", 110), ("three", 120)):
        several.hear(price(venue, dollars), NOW)
    assert (several.venue(NOW), several.is_disputed) == (None, True)
