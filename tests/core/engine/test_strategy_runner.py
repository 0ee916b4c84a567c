"""How strategies are asked: what of theirs runs when, and what becomes of one that does not come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
from support.values import NOW

from kalshi_cli.base.units import Ts, cents, contracts, format_ts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.request_fields import fields_text
from kalshi_cli.core.engine.strategy_runner import MAX_WAITING_LENGTH, StrategyCall, StrategyTimeoutError
from kalshi_cli.core.model import intents
from kalshi_cli.core.model.effects import AlertRaised, Effect
from kalshi_cli.core.model.inputs import FairInput, Input, SpotInput
from kalshi_cli.core.model.intents import Amend, Cancel, Intent, Place
from kalshi_cli.core.model.messages import PublicTrade, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams


class Told(Strategy):
    """On a tick, does what the test says."""

    name = "told"

    def __init__(self, do: Callable[[], Any]) -> None:
        super().__init__(StrategyParams())
        self.do = do
        self.ticks = 0

    def on_tick(self, view: StrategyContext) -> Iterable[Intent] | None:
        self.ticks += 1
        answer: Iterable[Intent] | None = self.do()
        return answer


def engine_of(*strategies: Strategy) -> TradingEngine:
    return TradingEngine(EngineState(now=NOW), RiskLimits(), strategies, new_id=lambda: "c", order_expiry_s=90.0)


def alerts(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(effect.code, effect.subject) for effect in effects if isinstance(effect, AlertRaised)]


def test_who_is_asked_is_known_exactly_while_its_own_code_runs() -> None:
    seen: list[StrategyCall | None] = []
    engines: list[TradingEngine] = []

    class Watched(EngineState):
        """Its orders are looked at when an intent to cancel is considered: then our code runs."""

        @property
        def orders(self) -> Any:
            seen.extend(engine.hooks.asked for engine in engines)
            return self._orders

        @orders.setter
        def orders(self, value: Any) -> None:
            self._orders = value

    def answer() -> Iterator[Cancel]:
        seen.append(engine.hooks.asked)
        yield Cancel("nothing")
        seen.append(engine.hooks.asked)

    state = Watched(now=NOW)
    engine = TradingEngine(state, RiskLimits(), [Told(answer)], new_id=lambda: "c", order_expiry_s=90.0)
    engines.append(engine)
    engine.step(Tick(Ts(NOW + 1)))
    assert seen[-3:] == [StrategyCall(1, "told"), None, StrategyCall(1, "told")], "its code, ours, its code"
    assert engine.hooks.asked is None


def test_every_call_of_a_hook_has_a_number_of_its_own() -> None:
    seen: list[StrategyCall | None] = []
    engine = engine_of(Told(lambda: seen.append(engine.hooks.asked)))
    for n in range(3):
        engine.step(Tick(Ts(NOW + n)))
    assert seen == [StrategyCall(1, "told"), StrategyCall(2, "told"), StrategyCall(3, "told")]


def hang() -> None:
    raise StrategyTimeoutError("did not come back")


def hang_between() -> Iterator[Intent]:
    yield Cancel("nothing")
    hang()


@pytest.mark.parametrize("how", [hang, hang_between], ids=["in the hook", "between two intents"])
def test_a_strategy_that_hangs_is_taken_out_and_the_others_go_on(how: Callable[[], Any]) -> None:
    stuck, other = Told(how), Told(lambda: None)
    engine = engine_of(stuck, other)
    assert alerts(engine.step(Tick(NOW))) == [("STRATEGY_HUNG", "told")]
    assert engine.hooks.asked is None
    engine.step(Tick(Ts(NOW + 1)))
    assert (stuck.ticks, other.ticks) == (1, 2)
    assert "did not come back" in engine.failed[0]


def test_what_a_strategy_catches_is_not_what_takes_it_out_when_it_hangs() -> None:
    def swallow() -> None:
        try:
            hang()
        except Exception:
            pytest.fail("a strategy must not be able to swallow this by habit")

    assert alerts(engine_of(Told(swallow)).step(Tick(NOW))) == [("STRATEGY_HUNG", "told")]


@pytest.mark.parametrize(
    "nonsense", [42, "text", [None], [7], [{"ticker": "T"}], iter([object()])], ids=lambda value: str(value)[:20]
)
def test_an_answer_that_makes_no_sense_takes_the_strategy_out_with_a_reason(nonsense: Any) -> None:
    engine = engine_of(Told(lambda: nonsense))
    assert alerts(engine.step(Tick(NOW))) == [("STRATEGY_FAILED", "told")]
    assert "TypeError" in engine.failed[0]


class NoTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        (BaseException("gone"), "BaseException: gone"),
        (GeneratorExit(), "GeneratorExit: "),
        (NoTextError(), "NoTextError: it has no readable text"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
    ],
    ids=["base", "generator", "no text", "surrogate"],
)
def test_whatever_a_strategy_raises_takes_it_out(raised: BaseException, why: str) -> None:
    def fail() -> None:
        raise raised

    assert why in failure(fail)


def test_an_interrupt_in_a_hook_ends_the_program() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine_of(Told(interrupt)).step(Tick(NOW))


def test_strategies_are_named_in_the_order_in_which_they_are_asked() -> None:
    class Another(Told):
        name = "another"

    assert engine_of(Told(lambda: None), Another(lambda: None)).strategies == ("told", "another")


def test_who_lacks_something_to_decide_by_is_named_and_who_was_taken_out_is_not() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    patient, content, gone = Told(lambda: None), Told(lambda: None), Told(fail)
    content.name, gone.name = "content", "gone"  # type: ignore[misc]
    patient.waiting = gone.waiting = "12 of 30 samples"
    engine = engine_of(patient, content, gone)
    assert engine.hooks.waiting == "told: 12 of 30 samples; gone: 12 of 30 samples"
    engine.step(Tick(NOW))
    assert engine.hooks.waiting == "told: 12 of 30 samples"
    patient.waiting = "\x1b" + "x" * 1000
    assert len(engine.hooks.waiting) <= MAX_WAITING_LENGTH
    assert engine.hooks.waiting.isprintable()


def failure(do: Callable[[], Any]) -> str:
    """Return the reason for which a strategy that does this is disabled."""
    engine = engine_of(Told(do))
    engine.step(Tick(Ts(NOW + 1)))
    return engine.failed[0]


def test_a_returned_request_is_reported_with_the_word_that_is_missing() -> None:
    reason = failure(lambda: Place("KXA-1", BID, cents(20), contracts(5)))
    assert "on_tick returned Place; order requests are yielded: `yield Place(...)`" in reason


def test_a_wrong_member_among_the_requests_is_named_with_its_value() -> None:
    requests = [Cancel(client_order_id="a"), 0.47, "x" * 100]
    words = "hooks yield or return Place, Amend or Cancel, not "
    assert f"TypeError: {words}float 0.47 (line " in failure(lambda: requests)
    assert f"TypeError: {words}str 'xxx" in failure(lambda: requests[2:])
    assert "x" * 40 not in failure(lambda: requests[2:])


def test_a_failure_names_a_line_of_the_strategy_even_if_the_error_is_raised_elsewhere() -> None:
    line = Told.on_tick.__code__.co_firstlineno
    when = f" at {format_ts(Ts(NOW + 1))}"
    assert failure(lambda: 7).endswith(f"(line {line} of {__file__}){when}")
    assert failure(lambda: iter(["x"])).endswith(f"(line {line} of {__file__}){when}")
    assert f" of {__file__})" in failure(lambda: int("x"))


def test_a_misspelled_attribute_is_reported_with_the_name_that_was_meant() -> None:
    assert "; did you mean side?" in failure(lambda: Place("KXA-1", BID, cents(20), contracts(5)).sdie)  # type: ignore[attr-defined]


def test_a_hook_that_is_no_function_is_reported_with_the_line_that_failed() -> None:
    def fail(_view: StrategyContext) -> None:
        raise KeyError("x")

    told = Told(lambda: None)
    told.on_tick = partial(fail)  # type: ignore[method-assign]
    engine = engine_of(told)
    engine.step(Tick(NOW))
    assert f"(line {fail.__code__.co_firstlineno + 1} of {__file__}) at " in engine.failed[0]


def test_a_failure_names_the_market_and_the_time() -> None:
    class Trades(Told):
        def on_trade(self, view: StrategyContext, trade: PublicTrade) -> None:
            raise KeyError(trade.trade_id)

    engine = engine_of(Trades(lambda: None))
    engine.step(PublicTrade(Ts(NOW + 2), "KXA-1", "t1", cents(20), contracts(5), BID))
    assert engine.failed[0].endswith(f") in KXA-1 at {format_ts(Ts(NOW + 2))}")


def test_a_wrong_field_of_a_request_is_reported_with_its_class_and_fields() -> None:
    amend = failure(lambda: [Place("KXA-1", BID, cents(20), contracts(5)), Amend("id", cents(20), reason="x")])  # type: ignore[call-arg]
    assert "Unexpected keyword argument 'reason'; Amend takes order_id, price, qty, expires, fair (line " in amend
    assert "; Cancel takes client_order_id, reason (" in failure(lambda: intents.Cancel())  # type: ignore[call-arg]
    assert "; Place takes ticker, side, price, qty, fair, " in failure(lambda: Place("KXA-1"))  # type: ignore[call-arg]
    assert " takes " not in failure(lambda: int("1", bass=2)), "not a request"  # type: ignore[call-overload]
    assert fields_text(TypeError("raised nowhere")) == fields_text(ValueError("another error")) == ""


@pytest.mark.parametrize(
    ("inputs", "read", "missing"),
    [
        ((), lambda view: view.spot("BTC", 5), 'SpotInput(symbol="BTC")'),
        ((SpotInput(symbol="BTC"),), lambda view: view.spot("ETH", 5), 'SpotInput(symbol="ETH")'),
        ((SpotInput(symbol="BTC"),), lambda view: view.spot("BTC", 5), ""),
        ((SpotInput(symbol="BTC"),), lambda view: view.fair("KXA-1"), "FairInput("),
        ((FairInput(source="f.csv", every_s=30, valid_s=300),), lambda view: view.fair("KXA-1"), ""),
    ],
)
def test_a_strategy_that_reads_what_it_does_not_request_is_disabled_with_the_line_to_write(
    inputs: tuple[Input, ...], read: Callable[[StrategyContext], object], missing: str
) -> None:
    class Reads(Told):
        def inputs(self) -> tuple[Input, ...]:
            return inputs

        def on_tick(self, view: StrategyContext) -> None:
            read(view)

    engine = engine_of(Reads(lambda: None))
    assert alerts(engine.step(Tick(NOW))) == ([("STRATEGY_FAILED", "told")] if missing else [])
    assert all(f"`def inputs(self): return ({missing}" in why for why in engine.failed)
    assert not missing or ("(it requests the prices of BTC)" in engine.failed[0]) is ("ETH" in missing)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda view: view.spot("BTC-USD", 5), 'view.spot("BTC-USD", ...): the name of the requested price is "BTC"'),
        (lambda view: view.pos("KXA-1"), "view has no pos; it has book, cash, cost, "),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(read: Callable[[StrategyContext], object], text: str) -> None:
    class Reads(Told):
        def inputs(self) -> tuple[Input, ...]:
            return (SpotInput(symbol="BTC"),)

        def on_tick(self, view: StrategyContext) -> None:
            read(view)

    engine = engine_of(Reads(lambda: None))
    engine.step(Tick(NOW))
    assert text in engine.failed[0]


@pytest.mark.parametrize(("spent_s", "ticks", "slow"), [(0.3, 4, (4, 300)), (0.3, 2, (0, None)), (0.01, 9, (0, None))])
def test_slow_hooks_are_counted_from_the_third_on(spent_s: float, ticks: int, slow: tuple[int, int | None]) -> None:
    """The time between two requests, in which the engine reviews one, is not the strategy's."""
    now = 0.0

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    class Reviewed(EngineState):
        @property
        def orders(self) -> Any:
            pass_time(5.0)
            return self._orders

        @orders.setter
        def orders(self, value: Any) -> None:
            self._orders = value

    def work() -> Iterator[Intent]:
        pass_time(spent_s)
        yield Cancel("c1")

    state = Reviewed(now=NOW)
    engine = TradingEngine(state, RiskLimits(), [Told(work)], new_id=lambda: "c", order_expiry_s=90.0)
    engine.hooks.timer = lambda: now
    for _ in range(ticks):
        engine.step(Tick(NOW))
    assert (engine.hooks.slow_calls, engine.hooks.slowest_ms) == slow
