"""model-edge on scripted probabilities and books: when it buys, when it keeps its hands off, and when it gets out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.tape import NO_LIMITS, T0, TICKER, StrategyHarness, cancel_reasons, market, submitted_orders

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Price, Ts, cents, contracts, dollars
from kalshi_cli.core.account.sizing import Sizing, StrategyAllocation
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.inputs import FairInput
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import FairValue, MarketChange, PublicTrade
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.model_edge import ModelEdge, ModelEdgeParams


class Model:
    """A tape, a strategy that hears a model, and what the model says."""

    def __init__(self, *, allotment: StrategyAllocation | None = None, **params: Any) -> None:
        limits = NO_LIMITS
        if allotment is not None:
            limits = msgspec.structs.replace(NO_LIMITS, allotments={"model-edge": allotment})
        self.tape = StrategyHarness(ModelEdge(ModelEdgeParams(**({"source": "fair.csv"} | params))), limits=limits)

    def say(self, fair: int, *, for_s: float = 1_000.0, ticker: str = TICKER) -> list[Effect]:
        ends = Ts(self.tape.now + int(for_s * 1000))
        return self.tape.play(FairValue(self.tape.now, ticker, cents(fair), "fair.csv", ends))

    def book(self, bid: int, ask: int, **more: Any) -> list[Effect]:
        return self.tape.book(bid, ask, **({"after": 4.0} | more))

    @property
    def held(self) -> int:
        """The position, once what was submitted_orders has arrived."""
        self.tape.tick(0.001)
        return self.tape.position


def test_it_asks_for_its_source() -> None:
    strategy = registry.make("model-edge", {"source": "fair.csv", "every_s": "5", "before_close_s": "3600"})
    assert strategy.inputs() == (FairInput(source="fair.csv", every_s=5, valid_s=300, before_close_s=3_600),)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"source": "a", "take": "perhaps"}, "take"),
        ({"source": "a", "on_stale": "pray"}, "on_stale"),
    ],
)
def test_parameters_that_mean_nothing_are_refused_at_the_start(given: dict[str, str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        registry.make("model-edge", given)


def test_it_buys_yes_where_the_model_thinks_more_of_it_and_says_so() -> None:
    model = Model()
    assert submitted_orders(model.book(40, 44)) == [], "nobody said anything yet"
    [order] = submitted_orders(model.say(50))
    assert (order.side, order.price, order.qty, order.fair) == (BID, cents(44), contracts(5), cents(50))
    assert "fair value $0.50" in order.reason
    assert model.held == contracts(5)


def test_it_buys_no_where_the_model_thinks_less_of_yes() -> None:
    model = Model()
    model.book(56, 60)
    [order] = submitted_orders(model.say(50))
    assert (order.side, order.price) == (ASK, cents(56))
    assert model.held == -contracts(5)


def test_within_the_fee_and_the_wanted_edge_it_does_nothing() -> None:
    """At 45 cents a taker pays 1.74 cents a contract: the edge of 5 is one of 3.26."""
    for ask, edge, trades in ((45, 3, True), (46, 3, False), (45, 4, False)):
        model = Model(edge=cents(edge))
        model.book(ask - 2, ask)
        assert (submitted_orders(model.say(50)) != []) is trades, (ask, edge)


def test_post_only_it_joins_the_best_price_and_pays_no_fee_of_takers() -> None:
    model = Model(take=False)
    model.book(46, 50)
    [order] = submitted_orders(model.say(50))
    assert (order.side, order.price, order.post_only) == (BID, cents(46), True)
    assert model.held == 0
    model.tape.play(PublicTrade(model.tape.now, TICKER, "p1", cents(45), contracts(500), ASK))
    assert model.held == contracts(5)


def test_resting_it_never_turns_a_position_around() -> None:
    """With 56 asked the other side would have an edge of 6, and this one has one of 2 at 48."""
    model = Model(take=False)
    model.book(46, 50)
    model.say(50)
    model.tape.play(PublicTrade(model.tape.now, TICKER, "p1", cents(45), contracts(500), ASK))
    assert model.held == contracts(5)
    assert submitted_orders(model.book(48, 56)) == []
    flat = Model(take=False)
    flat.book(48, 56)
    assert [order.side for order in submitted_orders(flat.say(50))] == [ASK]


def test_it_adds_up_to_the_most_that_may_be_held_and_no_further() -> None:
    model = Model(max_held=contracts(12))
    model.say(50)
    for _ in range(6):
        model.book(40, 44)
    assert model.held == contracts(12)


def test_how_much_is_what_the_sizing_says() -> None:
    """Kelly of 60 against 44 cents and a fee of 1.73: (0.6 - 0.4573) / (1 - 0.4573) = 26 % of $1,000, of which 10 %."""
    kelly = StrategyAllocation(budget=dollars(1_000), sizing=Sizing(kind="kelly", fraction=0.1, max_fraction=0.5))
    model = Model(max_held=contracts(500), allotment=kelly)
    model.tape.engine.state.cash_besides = Money(dollars(10_000))
    model.book(40, 44, size=1_000)
    [order] = submitted_orders(model.say(60))
    assert order.qty == contracts(57)


def test_a_position_is_closed_when_the_market_pays_what_it_is_worth() -> None:
    model = Model()
    model.say(50)
    model.book(40, 44)
    assert model.held == contracts(5)
    assert submitted_orders(model.book(49, 51)) == [], "after the fee 49 is less than 50"
    [order] = submitted_orders(model.book(52, 54))
    assert (order.side, order.price, order.tif, order.reduce_only) == (ASK, cents(52), TimeInForce.IOC, True)
    assert model.held == 0


def test_a_model_that_changes_its_mind_is_followed_out_and_then_in_again_on_the_other_side() -> None:
    model = Model()
    model.say(50)
    model.book(40, 44)
    assert model.held == contracts(5)
    model.tape.at += 4
    [closing] = submitted_orders(model.say(30))
    assert (closing.side, closing.reduce_only) == (ASK, True)
    assert model.held == 0
    [opening] = submitted_orders(model.book(40, 44))
    assert (opening.side, opening.reduce_only) == (ASK, False)


def test_with_an_exit_edge_it_leaves_for_a_little_less_than_the_worth() -> None:
    assert [len(submitted_orders(_held(exit_edge=edge).book(49, 51))) for edge in (Price(0), cents(3))] == [0, 1]


def test_it_gets_out_also_right_after_the_clock_was_set_back() -> None:
    """The pause between two orders would last for the hour that it was set back by."""
    model = Model()
    model.book(40, 44)
    model.say(50)
    assert model.held == contracts(5)
    model.tape.tick(-3_600)
    assert [order.reduce_only for order in submitted_orders(model.say(30))] == [True]


def test_a_probability_that_is_over_opens_nothing_and_takes_back_what_rests() -> None:
    model = Model(take=False)
    model.book(46, 50)
    assert len(submitted_orders(model.say(50, for_s=10))) == 1
    assert cancel_reasons(model.tape.tick(9)) == []
    assert cancel_reasons(model.tape.tick(1.1)) == ["no valid probability"]
    assert submitted_orders(model.book(46, 50)) == []
    assert len(submitted_orders(model.say(50))) == 1


@pytest.mark.parametrize(("on_stale", "left"), [("hold", contracts(5)), ("close", 0)])
def test_what_is_held_when_no_probability_is_valid_is_kept_or_closed(on_stale: str, left: int) -> None:
    model = Model(on_stale=on_stale)
    model.say(50, for_s=6)
    model.book(40, 44)
    assert model.held == contracts(5)
    model.book(40, 44)
    assert model.held == left


def test_an_order_whose_edge_is_gone_is_taken_back() -> None:
    model = Model()
    model.book(40, 44, size=2)
    model.say(50)
    assert model.held == contracts(2), "three rest"
    assert cancel_reasons(model.say(44)) == ["edge is gone"]


def test_what_does_not_fill_in_time_is_taken_back() -> None:
    model = Model(rest_s=5)
    model.book(40, 44, size=2)
    model.say(50)
    assert cancel_reasons(model.tape.tick(4.9)) == []
    assert cancel_reasons(model.tape.tick(0.2)) == ["not filled in time"]


def test_it_opens_only_so_long_before_the_close() -> None:
    model = Model(before_close_s=60)
    model.tape.play(MarketChange(model.tape.now, market(close_time=Ts(T0 + 70_000)), FeeSchedule()))
    model.say(50)
    assert submitted_orders(model.book(40, 44)) == []
    assert len(submitted_orders(model.tape.tick(7))) == 1


@pytest.mark.parametrize("case", ["min price", "unknown market", "no book", "gap"])
def test_it_keeps_its_hands_off(case: str) -> None:
    model = Model(min_price=cents(45)) if case == "min price" else Model()
    if case == "unknown market":
        model.book(40, 44)
        assert submitted_orders(model.say(50, ticker="KXB-9")) == []
        return
    if case == "min price":
        model.book(40, 44)
    assert submitted_orders(model.say(50)) == []
    if case == "gap":
        model.say(0)
        model.book(40, 44)
        model.tape.engine.state.books[TICKER].invalidate("gap")
        assert submitted_orders(model.say(50)) == []


def _held(**params: Any) -> Model:
    model = Model(**params)
    model.say(50)
    model.book(40, 44)
    assert model.held == contracts(5)
    return model
