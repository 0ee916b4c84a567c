"""Edge kept against edge expected, in standard deviations: fair values that are fair, and such that are not."""

from __future__ import annotations

import math
import random

import pytest
from support.values import NOW, make_fill

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, cents, contracts
from kalshi_cli.core.account.realized_edge import (
    MIN_EVENTS,
    MIN_FILLS,
    EdgeRealization,
    EdgeSample,
    bets_of,
    edge_of,
    market_edges,
)
from kalshi_cli.core.model.order_terms import ASK, BID


def bet(qty: int, fair: int, at: int = 0) -> EdgeSample:
    return EdgeSample(ts=Ts(NOW + at), qty=contracts(qty), fair=cents(fair))


def world(bias: int, *, seed: int, events: int = 200) -> EdgeRealization:
    """Each event settles by a chance that walks; the strategy sees it `bias` cents too high, and buys three times."""
    dice = random.Random(seed)
    bets: dict[str, list[EdgeSample]] = {}
    values: dict[str, Price] = {}
    for number in range(events):
        chance, ticker = dice.uniform(0.2, 0.8), f"KX{number}-1"
        for step in range(3):
            bets.setdefault(ticker, []).append(bet(10, round(100 * chance) + bias, step))
            chance = min(0.95, max(0.05, chance + dice.choice((-0.05, 0.05))))
        values[ticker] = ONE_DOLLAR if dice.random() < chance else Price(0)
    return edge_of(market_edges(bets, values, {}))


def test_fair_values_that_are_fair_stay_within_chance() -> None:
    sigmas = [world(0, seed=seed).sigma for seed in range(200)]
    assert all(sigma is not None for sigma in sigmas)
    found = [sigma for sigma in sigmas if sigma is not None]
    mean = sum(found) / len(found)
    deviation = math.sqrt(sum((sigma - mean) ** 2 for sigma in found) / len(found))
    assert abs(mean) < 0.25
    assert 0.8 < deviation < 1.2


def test_fair_values_that_promise_ten_cents_too_much_are_found() -> None:
    sigmas = [world(10, seed=seed).sigma for seed in range(20)]
    assert max(sigma for sigma in sigmas if sigma is not None) < 0
    assert sum(sigma < -2 for sigma in sigmas if sigma is not None) >= 15


def test_one_settled_market_is_counted_by_hand() -> None:
    """Ten bought at a fair 40 and ten more at a fair 50, settled YES: 10 x 10 cents, then 20 x 50 cents."""
    ten = {f"KX{number}-1": [bet(10, 40), bet(10, 50, 1), bet(0, 50, 2)] for number in range(MIN_EVENTS)}
    kept = edge_of(market_edges(ten, dict.fromkeys(ten, ONE_DOLLAR), {}))
    luck = 10 * 10 + 20 * 50
    spread = math.sqrt((10 * 10) ** 2 + 20**2 * 50 * 50)
    assert (kept.fills, kept.events) == (30, 10)
    assert kept.sigma == pytest.approx(math.sqrt(10) * luck / spread)


def test_what_was_bought_and_sold_again_counts_without_a_settlement() -> None:
    closed = {f"KX{number}-1": [bet(10, 40), bet(-10, 44, 1), bet(5, 44, 2), bet(-5, 44, 3)] for number in range(10)}
    kept = edge_of(market_edges(closed, {}, {}))
    assert (kept.fills, kept.events) == (40, 10)
    assert kept.sigma == pytest.approx(math.sqrt(10))


def test_what_is_open_says_nothing_yet() -> None:
    found = {f"KX{number}-1": [bet(10, 40)] * 3 for number in range(10)}
    assert edge_of(market_edges(found, {}, {})) == EdgeRealization(sigma=None, fills=0, events=0)


@pytest.mark.parametrize(("events", "each"), [(MIN_EVENTS, 2), (MIN_EVENTS - 1, MIN_FILLS)])
def test_a_sample_that_is_too_small_says_nothing(events: int, each: int) -> None:
    found = {f"KX{number}-1": [bet(10, 40)] * each for number in range(events)}
    kept = edge_of(market_edges(found, dict.fromkeys(found, ONE_DOLLAR), {}))
    assert kept.sigma is None
    assert (kept.fills, kept.events) == (events * each, events)


def test_a_thousand_fills_on_markets_of_one_event_are_one_bet() -> None:
    found = {f"KXA-{number}": [bet(1, 40)] * 100 for number in range(20)}
    kept = edge_of(market_edges(found, dict.fromkeys(found, ONE_DOLLAR), dict.fromkeys(found, "KXA")))
    assert (kept.sigma, kept.events) == (None, 1)


def test_bets_on_what_is_certain_have_no_deviation_to_count_in() -> None:
    found = {f"KX{number}-1": [bet(1, 100)] * 3 for number in range(10)}
    assert edge_of(market_edges(found, dict.fromkeys(found, ONE_DOLLAR), {})).sigma is None


def test_a_bet_is_a_fill_of_an_order_that_had_a_fair_value() -> None:
    fills = [
        make_fill("t2", order_id="b", side=ASK, ts=NOW + 1),
        make_fill("t1", order_id="a", side=BID),
        make_fill("t3", order_id="by hand"),
    ]
    found = bets_of(fills, {"a": cents(44), "b": cents(47)})
    assert found == {"KXA-1": [bet(10, 44), bet(-10, 47, 1)]}
