"""The limits in the fault simulation (`proofs.limits`, `simulate.admission`): reckoned right, and able to fail."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

import proofs.simulate.session as session
from kalshi_cli.base.units import Money, Price, Qty, cents, contracts
from kalshi_cli.core.account.worst_case import Live, Outcomes, at_worst, event_at_worst
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.risk.review import review
from proofs.limits import Losses, Open, losses, of_event
from proofs.simulate.plan import ALL_ON
from proofs.simulate.strategies import Troubled, make

ALL_STRATEGIES = range(ALL_ON, 300, 10)


def orders(dice: random.Random) -> list[Open]:
    return [
        Open(str(n), "KXA-1", dice.choice((BID, ASK)), cents(dice.randint(1, 99)), contracts(dice.randint(1, 20)))
        for n in range(dice.randint(0, 4))
    ]


def test_the_worst_of_a_market_is_what_the_program_counts_in_its_own_way() -> None:
    dice = random.Random(7)
    for _ in range(2_000):
        held, resting = dice.randint(-20, 20), orders(dice)
        qty, cost = contracts(held), abs(held) * 100 * dice.randint(100, 9_900)
        live = [Live(order.side, order.price, order.qty) for order in resting]
        assert losses(qty, cost, resting) == at_worst(qty, Money(cost), live), (held, cost, resting)


def test_the_worst_of_an_event_is_its_worst_winner() -> None:
    dice = random.Random(8)
    for _ in range(500):
        markets: list[Losses] = [(dice.randint(-50, 50), dice.randint(-50, 50)) for _ in range(dice.randint(1, 4))]
        theirs = [Outcomes(Money(if_no), Money(if_yes)) for if_no, if_yes in markets]
        for is_exclusive in (True, False):
            assert of_event(markets, is_exclusive=is_exclusive) == event_at_worst(theirs, is_exclusive=is_exclusive)


def test_a_close_at_a_profit_gives_the_win_away() -> None:
    """Ten YES at 20 cents win eight dollars; offered at 50 they win nothing any more, and lose what is bought anew."""
    ask = Open("1", "KXA-1", Side.ASK, Price(5_000), Qty(1_500))
    assert losses(1_000, 2_000_000, []) == (2_000_000, -8_000_000)
    assert losses(1_000, 2_000_000, [ask]) == (2_000_000, 2_500_000)


@pytest.mark.parametrize(
    ("missing", "seed", "said"),
    [
        ({"order_rate"}, 229, "orders that open within a minute"),
        ({"live_orders"}, 219, "live orders:"),
        ({"churn"}, 19, "can churn"),
        ({"event_limit"}, 299, "KXSIM-26JUN can lose"),
        ({"category_limit"}, 229, "Financials can lose"),
        ({"budget"}, 99, "market-maker can lose"),
        ({"exposure_limit"}, 129, "the account can lose"),
        ({"position_limit"}, 29, "can come to"),
    ],
)
def test_without_a_control_a_session_of_all_strategies_goes_beyond_its_limit(
    missing: set[str], seed: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`seed` is one in which that showed soon; a change of a strategy makes another session of it."""

    def left(controls: tuple[Callable[..., object], ...]) -> tuple[Callable[..., object], ...]:
        return tuple(control for control in controls if control.__name__ not in missing)

    monkeypatch.setattr(review, "CONTROLS", left(review.CONTROLS))
    found = (text for each in (seed, *ALL_STRATEGIES) for text in session.run(each).violations)
    assert any("I-RISK" in text and said in text for text in found)


def test_what_a_strategy_says_of_itself_is_said_of_it_in_trouble_too() -> None:
    names = ("arbitrage", "crypto-ta", "taker")
    inner = [make(name, random.Random(1)) for name in names]
    troubled = [Troubled(each, lambda: "") for each in inner]
    assert [(each.name, each.is_hedged) for each in troubled] == list(zip(names, (True, False, False), strict=True))
    assert [each.waiting for each in troubled] == [each.waiting for each in inner]
