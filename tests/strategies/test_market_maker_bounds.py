"""The market maker whatever the books do: bounded, one quote a side, never crossing; and on the seeded world."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.tape import NO_LIMITS, T0, TICKER, StrategyHarness, market

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.effects import AmendOrder, CancelOrder, Effect, FillBooked, SubmitOrder
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import BookSnapshot, FairValue, MarketChange
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order
from kalshi_cli.strategies.market_maker import MarketMaker, MarketMakerParams, QuoteTarget
from verification.strategies import session

PARAMS = MarketMakerParams(
    size=contracts(5),
    max_inventory=contracts(8),
    pause_s=1.0,
    life_s=20.0,
    calm_s=2.0,
    quiet_s=20.0,
    exit_s=10.0,
    source="model",
)


class Watched(StrategyHarness):
    """Holds every order against the book of the moment at which it is decided."""

    def record(self, effect: Effect) -> None:
        super().record(effect)
        order = wanted_by(effect)
        if order is None or order.tif is not TimeInForce.GTC:
            return
        book = self.engine.state.books[TICKER]
        assert order.post_only
        if order.side is BID:
            assert book.best_ask is None or order.price < book.best_ask
        else:
            assert book.best_bid is None or order.price > book.best_bid

    def check(self) -> None:
        live = self.engine.state.orders.live(TICKER)
        assert len({order.side for order in live}) == len(live), "two quotes on one side"
        held, (bids, asks) = self.engine.state.held(TICKER), self.engine.state.orders.worst_case(TICKER)
        assert held + bids <= PARAMS.max_inventory
        assert asks - held <= PARAMS.max_inventory


def wanted_by(effect: Effect) -> Order | None:
    if isinstance(effect, SubmitOrder):
        return effect.order
    return effect.wanted if isinstance(effect, AmendOrder) else None


def watched(latency_ms: int, strategy: MarketMaker | None = None) -> Watched:
    played = Watched(strategy or MarketMaker(PARAMS), limits=NO_LIMITS, latency_ms=latency_ms)
    played.play(MarketChange(T0, market(close_time=Ts(T0 + 120_000)), FeeSchedule()))
    return played


steps = st.one_of(
    st.tuples(st.just("book"), st.integers(5, 90), st.integers(1, 9), st.integers(1, 400)),
    st.tuples(st.just("book"), st.integers(40, 44), st.integers(3, 6), st.integers(1, 400)),
    st.tuples(st.just("trade"), st.integers(-5, 8), st.integers(1, 900), st.sampled_from([BID, ASK])),
    st.tuples(st.just("tick"), st.sampled_from([0.2, 1.0, 3.0, 11.0]), st.none(), st.none()),
    st.tuples(st.just("fair"), st.integers(20, 80), st.none(), st.none()),
    st.tuples(st.just("one side"), st.integers(5, 90), st.none(), st.none()),
)


def play(played: Watched, script: list[Any]) -> Iterator[list[Effect]]:
    mid = 42
    for kind, first, second, third in script:
        if kind == "book":
            mid = first
            played.at += 1
            sides = ((cents(first), contracts(third)),), ((cents(first + second), contracts(1 + third // 3)),)
            yield played.play(BookSnapshot(played.now, TICKER, *sides))
        elif kind == "trade":
            yield played.trade(min(99, max(1, mid + first)), second, third)
        elif kind == "fair":
            yield played.play(FairValue(played.now, TICKER, cents(first), "model", Ts(played.now + 5_000)))
        elif kind == "one side":
            yield played.play(BookSnapshot(played.now, TICKER, ((cents(first), contracts(10)),), ()))
        else:
            yield played.tick(first)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=4, max_size=60), st.sampled_from([0, 150, 2_000]))
def test_inventory_is_bounded_there_is_one_quote_a_side_and_none_crosses(script: list[Any], latency_ms: int) -> None:
    played = watched(latency_ms)
    for _ in play(played, script):
        played.check()
    event(f"fills: {min(3, sum(isinstance(effect, FillBooked) for effect in played.effects))}")


def random_script(rng: random.Random) -> list[Any]:
    at, script = 42, list[Any]()
    for _ in range(90):
        at = min(60, max(25, at + rng.choice([-5, -1, 0, 0, 0, 1, 5])))
        script.append(("book", at, rng.randint(3, 6), rng.randint(50, 200)))
        script.append(("trade", rng.choice([-3, 0, 1, 2, 6]), rng.randint(1, 300), rng.choice([BID, ASK])))
        script.append(("tick", rng.choice([0.2, 1.0]), None, None))
    return script


def test_the_property_meets_fills_full_inventories_amends_pulls_and_exits() -> None:
    rng, seen = random.Random(3), Counter[str]()
    for _ in range(12):
        played = watched(150)
        for effects in play(played, random_script(rng)):
            played.check()
            seen["full"] += abs(played.position) == PARAMS.max_inventory
            for effect in effects:
                order = wanted_by(effect)
                seen["taken"] += order is not None and order.tif is TimeInForce.IOC
                seen[type(effect).__name__] += 1
                if isinstance(effect, CancelOrder):
                    seen[effect.reason] += 1
    wanted = ("full", "taken", "FillBooked", "AmendOrder", "one-sided trading", "no quote on this side")
    assert all(seen[name] >= 5 for name in wanted), seen


class Greedy(MarketMaker):
    """A broken variant: it forgets what it holds."""

    def _wanted(self, *args: Any, **more: Any) -> QuoteTarget | None:
        return super()._wanted(*args[:4], Qty(0), *args[5:], **more)  # type: ignore[arg-type, call-arg]


class Crossing(MarketMaker):
    """A broken variant: it does not look at the other side of the book."""

    def _wanted(self, *args: Any, **more: Any) -> QuoteTarget | None:
        found = super()._wanted(*args, **more)
        side, fair = args[2], args[3]
        price = Price(min(ONE_DOLLAR - 100, max(100, (fair - side.sign * 200) // 100 * 100)))
        return found and found._replace(price=price)


class Doubling(MarketMaker):
    """A broken variant: it sees no orders of its own."""

    def _tend(self, view: Any, ticker: str, side: Side, track: Any, own: Any, *rest: Any) -> Any:
        return super()._tend(view, ticker, side, track, [], *rest)


@pytest.mark.parametrize("broken", [Greedy, Crossing, Doubling])
def test_the_property_finds_variants_that_are_broken(broken: type[MarketMaker]) -> None:
    rng = random.Random(3)
    with pytest.raises(AssertionError):  # noqa: PT012
        for _ in range(12):
            played = watched(150, broken(msgspec.structs.replace(PARAMS)))
            for _ in play(played, [("book", 40, 3, 9), ("fair", 70, None, None), *random_script(rng)]):
                played.check()


# -- on the seeded world ----------------------------------------------------------------------------------------------


def test_on_the_seeded_world_it_trades_stays_bounded_and_its_attribution_adds_up(tmp_path: Path) -> None:
    played = session._Session(("market-maker",), 7, tmp_path)
    (strategy,) = played.strategies
    seen: set[int] = set()
    played.stage.after_each_step(
        lambda _now: seen.update(abs(position.qty) for position in played.engine.state.ledger.positions.values())
    )
    try:
        played.play(2.0)
        result = played.result(2.0)
    finally:
        played.close()
    assert result.wrong == []
    assert result.fills > 0
    assert 0 < max(seen) <= strategy.params.max_inventory
    assert result.by_strategy == {"market-maker": result.net}
