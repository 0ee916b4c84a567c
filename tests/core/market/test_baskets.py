"""Baskets: what they find, what they leave alone, and that no outcome and no rounding makes one lose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from kalshi_cli import testing
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.market.baskets import (
    Basket,
    BasketLeg,
    EventRelation,
    MarketOffer,
    find,
    may_pay,
    min_payout,
    offer,
    threshold_chains,
)
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import FeeSchedule, FeeType, Market
from kalshi_cli.core.model.order_terms import ASK, BID, Side, leg_price
from kalshi_cli.simulator.matching import collateral
from kalshi_cli.simulator.model.records import OrderRecord, PositionRecord

FREE = FeeSchedule(FeeType.QUADRATIC, 0)
EXCLUSIVE = EventRelation(is_exclusive=True)
Book = Sequence[tuple[int, int]]


def market(suffix: str, **changes: Any) -> Market:
    return testing.market(f"KXA-1-{suffix}", **({"event_ticker": "KXA-1"} | changes))


def above(strike: float, suffix: str = "", kind: str = "greater") -> Market:
    return market(suffix or f"T{strike:g}", strike_type=kind, floor_strike=strike)


def below(strike: float) -> Market:
    return market(f"T{strike:g}", strike_type="less", cap_strike=strike)


def at(which: Market | str, bids: Book = (), asks: Book = (), fees: FeeSchedule = FREE) -> MarketOffer:
    """Prices in cents, counts in contracts, the best first."""
    named = market(which) if isinstance(which, str) else which
    bought, sold = ([(cents(price), contracts(count)) for price, count in side] for side in (bids, asks))
    return MarketOffer(named, bought, sold, fees)


def orders(basket: Basket) -> list[tuple[str, str, int]]:
    return [(leg.ticker.rpartition("-")[2], leg.side.value, leg.price // 100) for leg in basket.legs]


# -- what they find ---------------------------------------------------------------------------------------------------


def test_no_of_all_markets_of_an_exclusive_event_pays_all_dollars_but_one() -> None:
    [best, fewer] = find(EXCLUSIVE, [at("A", [(52, 9)]), at("B", [(50, 6)]), at("C", [(3, 7)])])
    assert (best.kind, best.pays, best.qty) == ("no", 20_000, contracts(6))
    assert orders(best) == [("B", "ask", 50), ("C", "ask", 3), ("A", "ask", 52)], "the thinnest first"
    assert best.cost == Money(6 * (480_000 + 500_000 + 970_000))
    assert best.fees == Money(30_000), "a cent for each leg, for orders that fill in parts"
    assert (best.net, best.edge) == (Money(270_000), Price(450))
    assert [leg.ticker for leg in fewer.legs] == ["KXA-1-B", "KXA-1-A"]


def test_a_leg_that_is_not_worth_its_own_fee_is_left_out() -> None:
    dear = FeeSchedule(FeeType.QUADRATIC, 20_000)
    offers = [at("A", [(60, 50)]), at("B", [(50, 50)]), at("C", [(2, 50)], fees=dear)]
    assert orders(find(EXCLUSIVE, offers)[0]) == [("A", "ask", 60), ("B", "ask", 50)]


def test_bids_of_an_event_that_is_not_exclusive_are_no_basket() -> None:
    offers = [at("A", [(80, 5)]), at("B", [(70, 5)])]
    assert find(EventRelation(), offers) == []
    assert len(find(EXCLUSIVE, offers)) == 1, "companion: of an exclusive one they are"


@pytest.mark.parametrize(("bid", "found"), [(50, 0), (54, 1)])
def test_fees_are_paid_out_of_it_before_it_counts(bid: int, found: int) -> None:
    """Two legs at one half cost 1.75 cents each, and a cent each for parts over ten contracts."""
    fees = FeeSchedule()
    assert len(find(EXCLUSIVE, [at("A", [(bid, 10)], fees=fees), at("B", [(50, 10)], fees=fees)])) == found


def test_yes_of_every_market_is_a_basket_only_where_the_operator_says_that_one_must_win() -> None:
    offers = [at("A", asks=[(40, 5)]), at("B", asks=[(30, 5)]), at("C", asks=[(20, 5)])]
    assert find(EXCLUSIVE, offers) == []
    [basket] = find(EventRelation(exhaustive=3), offers)
    assert (basket.kind, basket.pays, basket.net) == ("yes", 10_000, Money(5 * 100_000 - 30_000))
    assert find(EventRelation(exhaustive=4), offers) == [], "a market that is not here could be the one"
    assert find(EventRelation(exhaustive=3), [*offers[:2], at("C")]) == [], "nobody sells the third"
    assert find(EventRelation(exhaustive=3), offers, max_legs=2) == []


def test_a_ladder_buys_the_lower_rung_and_sells_the_higher_one() -> None:
    rungs = [
        at(above(30), [(56, 5)], [(60, 5)]),
        at(above(10), [(40, 5)], [(51, 5)]),
        at(above(20), [(45, 5)], [(47, 8)]),
        at(above(25), [(46, 5)], [(50, 8)]),
    ]
    [basket] = find(EventRelation(), rungs)
    assert (basket.kind, basket.pays, basket.qty) == ("ladder", 10_000, contracts(5))
    assert orders(basket) == [("T30", "ask", 56), ("T20", "bid", 47)], "the cheaper of the two below"


def test_a_ladder_of_below_goes_the_other_way_round() -> None:
    assert len(find(EventRelation(), [at(below(10), [(56, 5)]), at(below(20), asks=[(50, 5)])])) == 1
    assert find(EventRelation(), [at(below(20), [(56, 5)]), at(below(10), asks=[(50, 5)])]) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (above(10, "LAL10"), above(20, "GSW20")),  # two teams
        (above(64_000, "1"), above(65_000, "2")),  # two coins, counted
        (above(10), above(20, "TN20")),
        (above(10), below(20)),
        (above(10, kind="structured"), above(20)),
        (above(10), above(10, "10", "greater_or_equal")),
        (market("T1", strike_type="greater"), above(20)),
        (market("T1", strike_type="less"), below(20)),
    ],
)
def test_markets_that_do_not_ask_about_one_quantity_are_no_ladder(first: Market, second: Market) -> None:
    for low, high in ((first, second), (second, first)):
        assert find(EventRelation(), [at(low, asks=[(20, 5)]), at(high, [(80, 5)])]) == []
        assert min_payout(EventRelation(), [(low, BID), (high, ASK)]) == 0


def test_players_of_one_event_have_a_ladder_each() -> None:
    one, other = (above(20, f"{name}-20") for name in ("JAMES", "CURRY"))
    high = above(30, "JAMES-30")
    assert len(find(EventRelation(), [at(one, asks=[(20, 5)]), at(other, asks=[(10, 5)]), at(high, [(60, 5)])])) == 1
    assert find(EventRelation(), [at(other, asks=[(10, 5)]), at(high, [(60, 5)])]) == []


def test_strikes_below_zero_and_halves_are_strikes() -> None:
    low, high = above(-1.5, "TN1.5"), above(19.5, "20")
    assert min_payout(EventRelation(), [(low, BID), (high, ASK)]) == 10_000
    assert min_payout(EventRelation(), [(high, BID), (low, ASK)]) == 0


def test_a_pair_needs_a_crossed_book() -> None:
    [basket] = find(EventRelation(), [at("A", [(55, 5)], [(50, 5)])])
    assert (basket.kind, orders(basket)) == ("pair", [("A", "bid", 50), ("A", "ask", 55)])
    assert find(EventRelation(), [at("A", [(50, 5)], [(50, 5)])]) == []


def test_books_are_walked_as_long_as_the_next_contract_leaves_enough() -> None:
    offers = [at("A", [(60, 5), (50, 5), (49, 100)]), at("B", [(55, 7), (52, 100)])]
    [basket] = find(EXCLUSIVE, offers, at_least=cents(2))
    assert basket.qty == contracts(10)
    assert basket.net == Money(5 * 150_000 + 2 * 50_000 + 3 * 20_000 - 20_000)
    assert orders(basket) == [("A", "ask", 50), ("B", "ask", 52)]
    assert [leg.standing for leg in basket.legs] == [contracts(10), contracts(107)]
    assert find(EXCLUSIVE, offers, at_least=cents(2), most=contracts(6))[0].qty == contracts(6)
    assert find(EXCLUSIVE, offers, at_least=cents(16)) == []
    assert find(EXCLUSIVE, [at("A", [(60, 5)]), at("B", [(55, 5)])])[0].qty == contracts(5), "to the end of the books"


def test_a_look_at_the_best_prices_tells_whether_there_can_be_a_basket() -> None:
    one, two, none = cents(47), cents(54), None
    steps = threshold_chains([above(20), above(10)])
    assert steps == [[1, 0]]
    assert may_pay(EXCLUSIVE, [], [one, two], [none, none])
    assert not may_pay(EXCLUSIVE, [], [one, none], [two, two])
    assert may_pay(EventRelation(exhaustive=2), [], [none, none], [one, one])
    assert not may_pay(EventRelation(exhaustive=2), [], [none, none], [one, none])
    assert not may_pay(EventRelation(exhaustive=2), [], [none, none], [one, two])
    assert may_pay(EventRelation(), steps, [two, none], [none, one])
    assert not may_pay(EventRelation(), steps, [none, two], [one, two])
    three = threshold_chains([above(30), above(20), above(10)])
    assert may_pay(EventRelation(), three, [cents(50), none, none], [none, two, one]), "a dearer rung between"
    assert not may_pay(EventRelation(), [], [two, none], [none, one])


def test_the_walk_ends_where_the_next_contract_only_pays_its_fees() -> None:
    """Three and a half cents for two legs near one half: the second level leaves two before them."""
    levels, fees = [(56, 10), (51, 10)], FeeSchedule()
    [basket] = find(EXCLUSIVE, [at("A", levels, fees=fees), at("B", levels, fees=fees)])
    assert basket.qty == contracts(10)
    [without] = find(EXCLUSIVE, [at("A", levels), at("B", levels)])
    assert without.qty == contracts(20)


def test_what_is_too_small_for_its_own_rounding_is_left_alone() -> None:
    tiny = [MarketOffer(market(name), [(cents(51), Qty(50))], [], FREE) for name in "AB"]
    assert find(EXCLUSIVE, tiny) == []


def test_only_so_many_legs_are_taken() -> None:
    offers = [at(name, [(40, 5)]) for name in "ABCDE"]
    assert [len(basket.legs) for basket in find(EXCLUSIVE, offers)] == [5, 4, 3]
    assert [len(basket.legs) for basket in find(EXCLUSIVE, offers, max_legs=3)] == [3]


def test_a_book_is_an_offer_of_all_its_levels() -> None:
    book = OrderBook("KXA-1-A")
    nothing = offer(market("A"), book, FREE)
    assert (len(nothing.bids), len(nothing.asks)) == (0, 0)
    book.load([(cents(40), Qty(5)), (cents(41), Qty(6))], [(cents(50), Qty(7))], Ts(1))
    whole = offer(market("A"), book, FREE)
    assert list(whole.bids) == [(cents(41), Qty(6)), (cents(40), Qty(5))]
    assert list(whole.asks) == [(cents(50), Qty(7))]


def test_no_costs_what_yes_leaves_of_a_dollar() -> None:
    assert (leg_price(BID, cents(40)), leg_price(ASK, cents(40))) == (cents(40), cents(60))


def test_what_is_held_pays_nothing_for_sure_unless_it_is_a_basket() -> None:
    low, high = above(10), above(20)
    for legs in ([], [(low, BID)], [(low, ASK)], [(low, BID), (high, BID)], [(low, ASK), (high, BID)]):
        assert min_payout(EventRelation(), legs) == 0
    assert min_payout(EXCLUSIVE, [(low, ASK)]) == 0
    assert min_payout(EXCLUSIVE, [(low, ASK), (high, ASK)]) == 10_000
    assert min_payout(EventRelation(exhaustive=2), [(low, BID), (high, BID)]) == 10_000
    assert min_payout(EventRelation(exhaustive=3), [(low, BID), (high, BID)]) == 0
    assert min_payout(EventRelation(), [(high, ASK), (low, BID)]) == 10_000
    assert min_payout(EventRelation(), [(low, ASK), (low, BID)]) == 10_000


# -- whatever happens -------------------------------------------------------------------------------------------------

STRIKES = (10, 20, 30, 40)


def outcomes(kin: EventRelation, count: int) -> list[tuple[int, ...]]:
    """Every way in which the markets can settle: 1 for YES."""
    if kin.exhaustive or kin.is_exclusive:
        one = [tuple(int(place == winner) for place in range(count)) for winner in range(count)]
        return one if kin.exhaustive else [*one, (0,) * count]
    return [tuple(int(value > strike) for strike in STRIKES[:count]) for value in (5, 15, 25, 35, 45)]


kins = st.sampled_from(["exclusive", "exhaustive", "ladder"])
levels = st.lists(st.tuples(st.integers(1, 9_999), st.integers(1, 3_000)), max_size=4)
schedules = st.builds(FeeSchedule, st.sampled_from(FeeType), st.sampled_from([0, 500, 1000, 2000]))


def book_of(drawn: list[tuple[int, int]], side: Side) -> list[tuple[Price, Qty]]:
    found = {Price(price): Qty(qty) for price, qty in drawn}
    return sorted(found.items(), reverse=side is BID)


@st.composite
def events(draw: st.DrawFn) -> tuple[EventRelation, list[MarketOffer]]:
    kind, count = draw(kins), draw(st.integers(2, 4))
    kin = EventRelation(is_exclusive=kind != "ladder", exhaustive=count if kind == "exhaustive" else 0)
    names = [above(strike) for strike in STRIKES] if kind == "ladder" else [market(name) for name in "ABCD"]
    fees = draw(schedules)
    offers = []
    for each in names[:count]:
        bids, asks = book_of(draw(levels), BID), book_of(draw(levels), ASK)
        offers.append(MarketOffer(each, bids, asks, fees))
    return kin, offers


def bought(leg: BasketLeg, each: MarketOffer, qty: Qty, parts: int) -> Money:
    """What the exchange takes for a leg: down the levels, each of them in so many fills."""
    order = OrderRecord(
        order_id="1",
        account="me",
        client_order_id="1",
        ticker=leg.ticker,
        side=leg.side,
        price=leg.price,
        qty=qty,
        remaining=qty,
        created=Ts(0),
        updated=Ts(0),
        rank=1,
    )
    holding, paid, left = PositionRecord(account="me", ticker=leg.ticker), 0, int(qty)
    for price, standing in each.bids if leg.side is ASK else each.asks:
        takes = min(left, standing)
        left -= takes
        assert not takes or (price - leg.price) * leg.side.sign <= 0, "no further than its limit"
        for part in range(parts):
            some = Qty(takes // parts + (part < takes % parts))
            if some:
                booking = collateral.book_fill(
                    holding, order, price, some, collateral.FeeTerms(each.fees), is_taker=True
                )
                order.rounding = booking.rounding
                paid -= booking.cash
    assert left == 0
    return Money(paid)


def worst(kin: EventRelation, offers: Sequence[MarketOffer], basket: Basket, parts: int) -> Money:
    """What a basket leaves in its worst outcome, after what the exchange charged."""
    places = {each.market.ticker: place for place, each in enumerate(offers)}
    paid = sum(bought(leg, offers[places[leg.ticker]], basket.qty, parts) for leg in basket.legs)
    wins = (
        sum((leg.side is BID) == bool(outcome[places[leg.ticker]]) for leg in basket.legs)
        for outcome in outcomes(kin, len(offers))
    )
    return Money(min(wins) * ONE_DOLLAR * basket.qty - paid)


@settings(max_examples=120, deadline=None)
@given(events(), st.integers(1, 12), st.sampled_from([None, 150, 2_000]), st.sampled_from([0, 100, 300]))
def test_a_completed_basket_never_loses(
    told: tuple[EventRelation, list[MarketOffer]], parts: int, most: int | None, least: int
) -> None:
    kin, offers = told
    found = find(kin, offers, at_least=Price(least), most=None if most is None else Qty(most))
    tops = [[side[0][0] if side else None for side in (each.bids, each.asks)] for each in offers]
    quick = may_pay(kin, threshold_chains([each.market for each in offers]), *zip(*tops, strict=True))
    assert quick or all(basket.kind == "pair" for basket in found)
    for basket in found:
        assert worst(kin, offers, basket, parts) >= basket.net > 0
        assert basket.net >= least * basket.qty
        assert most is None or basket.qty <= most
        markets = {each.market.ticker: each.market for each in offers}
        assert min_payout(kin, [(markets[leg.ticker], leg.side) for leg in basket.legs]) == basket.pays
    event(f"baskets: {sorted({basket.kind for basket in found})}")


def test_the_property_meets_every_kind_and_outcomes_in_which_nothing_is_left_over() -> None:
    """And a basket that was reckoned without its fees loses."""
    fees = FeeSchedule()
    told = [
        (EXCLUSIVE, [at("A", [(60, 10)], fees=fees), at("B", [(50, 10)], fees=fees)]),
        (
            EventRelation(is_exclusive=True, exhaustive=2),
            [at("A", asks=[(40, 10)], fees=fees), at("B", asks=[(50, 10)], fees=fees)],
        ),
        (EventRelation(), [at(above(10), asks=[(40, 10)], fees=fees), at(above(20), [(50, 10)], fees=fees)]),
        (EventRelation(), [at(above(10), [(60, 10)], [(50, 10)], fees=fees), at(above(20))]),
    ]
    seen = {}
    for kin, offers in told:
        [basket] = find(kin, offers)
        left = worst(kin, offers, basket, 1)
        assert 0 <= left - basket.net < 2 * 10_000 + 2 * 200, "the cent of each leg that was not needed"
        seen[basket.kind] = left
    assert seen.keys() == {"no", "yes", "ladder", "pair"}
    thin = [at("A", [(51, 10)], fees=fees), at("B", [(50, 10)], fees=fees)]
    [careless] = find(EXCLUSIVE, [at("A", [(51, 10)]), at("B", [(50, 10)])])
    assert worst(EXCLUSIVE, thin, careless, 1) < 0
