"""How large an order of a strategy is: fixed, a share of the money, or a capped share of what Kelly would stake."""

from __future__ import annotations

from typing import Any

import pytest
from support.values import NOW, make_balance, make_engine, make_fill, make_order, make_state

from kalshi_cli.base.units import (
    DOLLAR,
    ONE_CONTRACT,
    ONE_DOLLAR,
    Money,
    Price,
    Qty,
    cents,
    contracts,
    dollars,
    notional,
)
from kalshi_cli.core.account.sizing import Sizing, StrategyAllocation, kelly, order_size
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import AccountSnapshot
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext

FREE = FeeSchedule(multiplier=0)
FEES = FeeSchedule()
KELLY = Sizing(kind="kelly", fraction=1.0, max_fraction=1.0)


def sized(sizing: Sizing, side: Side = BID, price: int = 40, fair: int | None = 50, **changes: Any) -> float:
    """In contracts."""
    fields: dict[str, Any] = {"fixed": contracts(5), "money": dollars(1_000), "fees": FREE}
    belief = None if fair is None else cents(fair)
    return order_size(sizing, side, cents(price), belief, **(fields | changes)) / ONE_CONTRACT


def test_fixed_is_what_the_strategy_says_whatever_is_believed_or_owned() -> None:
    assert sized(Sizing()) == 5
    assert sized(Sizing(), fair=None, money=None) == 5
    assert sized(Sizing(), max_qty=contracts(1)) == 5, "an order beyond a limit is denied, and seen"


def test_a_fraction_is_of_the_money_and_in_whole_contracts() -> None:
    assert sized(Sizing(kind="fraction", fraction=0.02)) == 50  # $20 at 40c
    assert sized(Sizing(kind="fraction", fraction=0.0201)) == 50
    assert sized(Sizing(kind="fraction", fraction=0.02), ASK, 60) == 50, "an ask buys NO, at 40c"
    assert sized(Sizing(kind="fraction", fraction=0.5)) == 125, "never more than the cap, a twentieth"


def test_a_fraction_pays_for_the_fee_too() -> None:
    count = sized(Sizing(kind="fraction", fraction=0.02), fees=FEES)
    paid = notional(cents(40), ONE_CONTRACT) + estimate(FEES, cents(40), ONE_CONTRACT, is_taker=True)
    assert count * paid <= dollars(20) < (count + 1) * paid


@pytest.mark.parametrize(
    ("side", "price", "fair", "share"),
    [
        (BID, 40, 50, 1 / 6),  # pays 60c on 40c: (0.50 - 0.40) / 0.60
        (ASK, 60, 50, 1 / 6),  # the same of NO
        (BID, 50, 60, 0.2),  # even money: twice the edge
        (BID, 40, 100, 1.0),  # sure
        (ASK, 60, 0, 1.0),
        (BID, 40, 40, 0.0),
        (BID, 40, 30, 0.0),
        (ASK, 60, 70, 0.0),
    ],
)
def test_kelly_stakes_edge_over_odds_of_the_side_that_is_bought(
    side: Side, price: int, fair: int, share: float
) -> None:
    assert kelly(side, cents(price), cents(fair), FREE) == pytest.approx(share)


def test_kelly_is_the_stake_at_which_money_grows_fastest() -> None:
    """Against the definition: of all stakes the one with the largest expected logarithm."""
    import math

    cost, worth = 0.40, 0.55

    def growth(stake: float) -> float:
        return worth * math.log(1 + stake * (1 - cost) / cost) + (1 - worth) * math.log(1 - stake)

    best = max((stake / 1_000 for stake in range(1, 999)), key=growth)
    assert kelly(BID, cents(40), cents(55), FREE) == pytest.approx(best, abs=0.001)


def test_fees_take_from_the_edge_until_nothing_is_left() -> None:
    assert 0 < kelly(BID, cents(40), cents(50), FEES) < kelly(BID, cents(40), cents(50), FREE)
    assert kelly(BID, cents(40), cents(41), FREE) > 0
    assert kelly(BID, cents(40), cents(41), FEES) == 0


def test_kelly_takes_its_fraction_and_is_capped() -> None:
    assert sized(KELLY) == 416  # a sixth of $1,000 at 40c
    assert sized(Sizing(kind="kelly", fraction=0.25, max_fraction=1.0)) == 104
    assert sized(Sizing(kind="kelly", fraction=0.25, max_fraction=0.01)) == 25


def test_what_kelly_stakes_is_for_all_orders_of_a_market_together() -> None:
    """Asked again every few seconds while the edge is there, it would stake it again and again."""
    whole = sized(KELLY)
    assert sized(KELLY, held=contracts(100)) == whole - 100
    assert sized(KELLY, held=contracts(100), max_qty=contracts(50)) == 50, "the limits are those of one order"
    assert sized(KELLY, held=contracts(1_000)) == 0
    each = Sizing(kind="fraction", fraction=0.02)
    assert sized(each, held=contracts(100)) == sized(each), "a fraction is that of each order"


def test_nothing_is_bought_without_an_edge_a_belief_or_money() -> None:
    assert sized(KELLY, fair=40) == 0
    assert sized(KELLY, fair=None) == 0
    assert sized(KELLY, money=None) == 0
    assert sized(KELLY, money=Money(-1)) == 0
    assert sized(KELLY, money=Money(100_000)) == 0, "ten cents buy no whole contract"


def test_no_more_than_the_limits_of_one_order_would_pass() -> None:
    assert sized(KELLY, max_qty=Qty(1_250)) == 12
    assert sized(KELLY, max_cost=dollars(10)) == 25
    assert sized(KELLY, max_cost=dollars(10), max_qty=contracts(7)) == 7


@pytest.mark.parametrize("price", [Price(0), ONE_DOLLAR])
@pytest.mark.parametrize("side", [BID, ASK])
def test_a_price_that_is_none_buys_nothing(side: Side, price: Price) -> None:
    assert order_size(KELLY, side, price, cents(50), fixed=contracts(5), money=dollars(10), fees=FREE) == 0


def test_a_fair_value_that_is_no_probability_has_no_edge() -> None:
    assert kelly(BID, cents(40), Price(ONE_DOLLAR + 1), FREE) == 0
    assert kelly(ASK, cents(40), Price(-1), FREE) == 0


def account() -> AccountSnapshot:
    """One of $1,000."""
    return AccountSnapshot(
        ts=NOW, as_of=NOW, since=NOW, orders=(), fills=(), settlements=(), positions=(), balance=make_balance()
    )


def test_a_strategy_sees_the_balance_once_the_account_was_read() -> None:
    engine = make_engine()
    view = StrategyContext(engine.state, "one")
    assert view.cash is None
    engine.step(account())
    assert view.cash == engine.cash == 1_000 * DOLLAR


def test_a_strategy_asks_for_its_size_by_what_is_configured_for_it() -> None:
    fraction = StrategyAllocation(sizing=Sizing(kind="fraction", fraction=0.02))
    small = StrategyAllocation(budget=dollars(100), sizing=fraction.sizing)
    limits = RiskLimits(max_order_qty=contracts(40), allotments={"one": fraction, "small": small})
    engine = make_engine(limits=limits, state=make_state(fees={"KXA-1": FREE}))

    def wants(strategy: str) -> float:
        view = StrategyContext(engine.state, strategy, limits)
        return view.size("KXA-1", BID, cents(40), cents(50), contracts(3)) / ONE_CONTRACT

    assert (wants("one"), wants("small"), wants("other")) == (0, 0, 3), "nobody has read the account"
    engine.step(account())
    assert wants("one") == 40, "fifty, and the limit of an order is less"
    assert wants("small") == 5, "of its budget, which is less than the balance"
    assert wants("other") == 3
    assert engine.state.empty_sizes == 2, "those before the account was read"


@pytest.mark.parametrize(("side", "counts"), [(BID, 10), (ASK, 0)])
def test_what_a_strategy_holds_on_that_side_is_taken_off_its_kelly_stake(side: Side, counts: int) -> None:
    limits = RiskLimits(max_order_qty=None, max_order_cost=None, allotments={"one": StrategyAllocation(sizing=KELLY)})
    engine = make_engine(limits=limits, state=make_state(fees={"KXA-1": FREE}))
    engine.step(account())
    view = StrategyContext(engine.state, "one", limits)
    order = make_order(strategy="one", order_id="o1")
    engine.recall([order], [make_fill(order_id="o1", client_order_id="c1")])
    assert view.position("KXA-1") == contracts(10)
    fair = 50 if side is BID else 30
    wanted = view.size("KXA-1", side, cents(40), cents(fair), contracts(3)) / ONE_CONTRACT
    assert wanted == sized(KELLY, side, fair=fair, money=view.cash) - counts > 0
