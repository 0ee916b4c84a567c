"""Which of several venues' prices is believed."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import SpotPrice
from kalshi_cli.feeds.spot.price_consensus import PriceConsensus

NOW = Ts(1_780_000_000_000)


def belief(*venues: str) -> PriceConsensus:
    return PriceConsensus(venues or ("one", "two", "three"), max_age_ms=10_000, max_apart_pct=1.0)


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


def test_after_the_clock_was_set_back_no_price_from_before_is_fresh_and_new_ones_are() -> None:
    one = belief("one")
    assert one.hear(price("one", 100), NOW) is not None
    back = Ts(NOW - 3_600_000)
    assert one.venue(back) is None, "it would be fresh for an hour"
    assert one.hear(price("one", 90, back), back) == price("one", 90, back)
    assert one.venue(Ts(NOW - 500)) is None
    assert belief("one").hear(price("one", 100, NOW + 500), Ts(NOW)) is not None


def test_a_jump_of_a_venue_that_is_alone_is_believed_once_it_has_lasted() -> None:
    several = belief("one", "two")
    assert several.hear(price("one", 100), NOW) is not None
    for second in range(1, 11):
        later = Ts(NOW + second * 1000)
        assert several.hear(price("one", 1_000, later), later) is None, "nobody confirms it"
        assert several.is_disputed
    later = Ts(NOW + 10_001)
    assert several.hear(price("one", 1_000, later), later) is not None


def test_a_jump_that_another_venue_made_as_well_is_believed_at_once_and_so_is_its_end() -> None:
    several = belief("one", "two")
    assert several.hear(price("one", 100), NOW) is not None
    assert several.hear(price("two", 110, NOW + 1), Ts(NOW + 1)) is None
    assert several.hear(price("one", 110, NOW + 2), Ts(NOW + 2)) is not None
    alone = belief("one")
    assert alone.hear(price("one", 100), NOW) is not None
    assert alone.hear(price("one", 10, NOW + 1), Ts(NOW + 1)) is None
    assert alone.hear(price("one", 100.2, NOW + 2), Ts(NOW + 2)) is not None


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
