"""When strategies are asked: not while trading is halted, and again once it is not."""

from __future__ import annotations

import pytest
from support.values import NOW, Scripted, make_engine

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import StateCommand, Tick
from kalshi_cli.core.model.order_terms import BID


@pytest.mark.parametrize(
    ("state", "is_asked"),
    [(TradingState.ACTIVE, True), (TradingState.REDUCING, True), (TradingState.HALTED, False)],
)
def test_no_strategy_is_asked_while_trading_is_halted(state: TradingState, *, is_asked: bool) -> None:
    strategy = Scripted("one")
    engine = make_engine(strategy)
    engine.step(StateCommand(NOW, state, "KILL_SWITCH", "a test"))
    strategy.wants = [Place("KXA-1", BID, cents(40), contracts(1), reason="a bid")]
    engine.step(Tick(Ts(NOW + 1)))
    assert (strategy.wants == []) is is_asked
    engine.step(StateCommand(Ts(NOW + 2), TradingState.ACTIVE, "RESUMED", "a test"))
    engine.step(Tick(Ts(NOW + 3)))
    assert strategy.wants == []
