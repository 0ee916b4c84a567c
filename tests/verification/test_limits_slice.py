"""The limits in the fault simulation (`limits`, `simulate.admission`): reckoned right, and able to fail."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

import verification.simulate.session as session
from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.sizing import StrategyAllocation
from kalshi_cli.core.account.worst_case import LiveOrderRisk, OutcomeLosses, event_max_loss, max_loss
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.risk import review
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from verification.limits import NO_SLACK, Losses, Open, losses, objections, of_event
from verification.simulate.exchange import ME, TICKERS, open_exchange
from verification.simulate.plan import ALL_ON, draw
from verification.simulate.strategies import Troubled, make

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
        live = [LiveOrderRisk(order.side, order.price, order.qty) for order in resting]
        assert losses(qty, cost, resting) == max_loss(qty, Money(cost), live), (held, cost, resting)


def test_the_worst_of_an_event_is_its_worst_winner() -> None:
    dice = random.Random(8)
    for _ in range(500):
        markets: list[Losses] = [(dice.randint(-50, 50), dice.randint(-50, 50)) for _ in range(dice.randint(1, 4))]
        theirs = [OutcomeLosses(Money(if_no), Money(if_yes)) for if_no, if_yes in markets]
        for is_exclusive in (True, False):
            assert of_event(markets, is_exclusive=is_exclusive) == event_max_loss(theirs, is_exclusive=is_exclusive)


def test_a_close_at_a_profit_gives_the_win_away() -> None:
    """Ten YES at 20 cents win eight dollars; offered at 50 they win nothing any more, and lose what is bought anew."""
    ask = Open("1", "KXA-1", Side.ASK, Price(5_000), Qty(1_500))
    assert losses(1_000, 2_000_000, []) == (2_000_000, -8_000_000)
    assert losses(1_000, 2_000_000, [ask]) == (2_000_000, 2_500_000)


BUDGET = RiskLimits(allotments={"maker": StrategyAllocation(budget=dollars(4))})
NOON = Ts(1_772_971_200_000)


def opened() -> SimulatedExchange:
    return open_exchange(draw(9), NOON)


def placed(exchange: SimulatedExchange, name: str, ticker: str, side: Side, price: int, account: str = ME) -> str:
    """Place five contracts; return the exchange's id of the order."""
    order = NewOrder(client_order_id=name, ticker=ticker, side=side, price=cents(price), qty=contracts(5))
    receipt = exchange.submit(account, order, NOON)
    assert isinstance(receipt, OrderReceipt)
    return receipt.order_id


def beyond_its_budget(exchange: SimulatedExchange, wanted: Open, *unseen: str) -> list[str]:
    owners = {"known": "maker", "copy": "maker"}
    return objections(exchange, ME, BUDGET, wanted, NOON, owners, NO_SLACK._replace(unseen=frozenset(unseen)))


def test_a_copy_that_no_read_can_have_shown_takes_nothing_of_a_budget() -> None:
    """The reply told of another copy, which was refused. The strategy may lose $4, and this alone takes $3.15 of it."""
    exchange = opened()
    placed(exchange, "known", TICKERS[0], BID, 31)
    copy = placed(exchange, "copy", TICKERS[0], ASK, 37)
    wanted = Open("", TICKERS[1], ASK, cents(64), contracts(5), "maker")
    assert beyond_its_budget(exchange, wanted, copy) == []
    assert "maker can lose 4950000" in beyond_its_budget(exchange, wanted)[0], "a read has shown it"
    larger = wanted._replace(qty=contracts(7))
    assert "maker can lose 4070000" in beyond_its_budget(exchange, larger, copy)[0], "too much without it, too"


def test_a_copy_that_traded_unseen_takes_nothing_of_a_budget_either() -> None:
    exchange = opened()
    copy = placed(exchange, "copy", TICKERS[0], ASK, 37)
    placed(exchange, "", TICKERS[0], BID, 37, account="bob")
    assert exchange.position(ME, TICKERS[0]) == contracts(-5)
    wanted = Open("", TICKERS[1], ASK, cents(64), contracts(5), "maker")
    assert beyond_its_budget(exchange, wanted, copy) == []
    assert "maker can lose 4950000" in beyond_its_budget(exchange, wanted)[0]


def test_what_a_copy_heard_of_from_the_stream_makes_harmless_may_go() -> None:
    """The program counts the copy then, and a bid in its market adds nothing to the worse outcome of that."""
    exchange = opened()
    copy = placed(exchange, "copy", TICKERS[0], ASK, 37)
    placed(exchange, "known", TICKERS[1], ASK, 30)
    wanted = Open("", TICKERS[0], BID, cents(31), contracts(5), "maker")
    assert beyond_its_budget(exchange, wanted) == []
    assert beyond_its_budget(exchange, wanted, copy) == []


@pytest.mark.parametrize(
    ("missing", "seed", "said"),
    [
        ({"order_rate"}, 209, "orders that open within a minute"),
        ({"live_orders"}, 459, "live orders:"),
        ({"churn"}, 19, "can churn"),
        ({"open_positions"}, 299, "open positions:"),
        ({"market_limit"}, 59, "KXSIM-26JUL-T3 can lose"),
        ({"event_limit"}, 299, "KXSIM-26JUN can lose"),
        ({"category_limit"}, 29, "Financials can lose"),
        ({"budget"}, 99, "market-maker can lose"),
        ({"exposure_limit"}, 9, "the account can lose"),
        ({"position_limit"}, 29, "can come to"),
    ],
)
def test_without_a_control_a_session_of_all_strategies_goes_beyond_its_limit(
    missing: set[str], seed: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`seed` is one in which that showed soon; a change of a strategy makes another session of it."""

    def left(controls: tuple[Callable[..., object], ...]) -> tuple[Callable[..., object], ...]:
        return tuple(control for control in controls if control.__name__ not in missing)

    monkeypatch.setattr(review, "CONTROLS", left(review.CONTROLS))  # type: ignore[attr-defined]
    found = (text for each in (seed, *ALL_STRATEGIES) for text in session.run(each).violations)
    assert any("I-RISK" in text and said in text for text in found)


def test_what_a_strategy_says_of_itself_is_said_of_it_in_trouble_too() -> None:
    names = ("arbitrage", "crypto-ta", "taker")
    inner = [make(name, random.Random(1)) for name in names]
    troubled = [Troubled(each, lambda: "") for each in inner]
    assert [(each.name, each.is_hedged) for each in troubled] == list(zip(names, (True, False, False), strict=True))
    assert [each.waiting for each in troubled] == [each.waiting for each in inner]
    assert [each.inputs() for each in troubled] == [each.inputs() for each in inner] != [()] * len(inner)
