"""Of what a recording holds from outside, strategies hear what they ask for, and a backtest without it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, cents
from kalshi_cli.core.model.inputs import FairInput, Input, SignalInput, SpotInput
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal, SpotPrice, SpotUnavailable, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.input_filter import InputFilter

T0 = Ts(1_780_000_000_000)
BTC, ETH = (SpotPrice(T0, coin, 80_000_0000, "coinbase", 1) for coin in ("BTC", "ETH"))
LOST, OTHER = SpotUnavailable(T0, "BTC"), SpotUnavailable(T0, "ETH")
FAIR = FairValue(T0, "KXA-1", cents(40), "fairs.csv", Ts(T0 + 300_000))
NEWS = NewsSignal(T0, "n1", "KXA*", BID, 5_000)
TICK = Tick(T0)
EVERYTHING: list[Message] = [BTC, LOST, ETH, OTHER, FAIR, NEWS, TICK]
SPOT, MODEL, NEWSROOM = (
    SpotInput(symbol="BTC"),
    FairInput(source="-", every_s=30, valid_s=60),
    SignalInput(source="-"),
)
REQUEST = BacktestRequest(strategies=("mine",), files=(Path("somewhere/tape.jsonl"),))


@pytest.mark.parametrize(
    ("asked", "heard"),
    [([], []), ([SPOT], [BTC, LOST]), ([MODEL], [FAIR]), ([NEWSROOM], [NEWS]), ([NEWSROOM, SPOT], [BTC, LOST, NEWS])],
)
def test_what_nobody_asks_for_is_not_heard_and_what_the_exchange_says_always_is(
    asked: list[Input], heard: list[Message]
) -> None:
    hearing = InputFilter(asked)
    assert list(hearing.of(EVERYTHING)) == [*heard, TICK]
    hearing.require_inputs(REQUEST)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (SPOT, "No outside price of BTC in tape.jsonl"),
        (MODEL, "No probability in tape.jsonl"),
        (NEWSROOM, "No news in tape.jsonl"),
    ],
)
def test_a_recording_without_what_is_asked_for_is_refused(asked: Input, words: str) -> None:
    hearing = InputFilter([asked])
    assert list(hearing.of([LOST, TICK]))[-1:] == [TICK], "that a price was lost is no price"
    with pytest.raises(UsageError, match=words) as refused:
        hearing.require_inputs(REQUEST)
    assert (refused.value.code, refused.value.exit_code) == ("nothing_heard", 2)
    assert "--strategy mine" in refused.value.hint


@pytest.mark.parametrize("symbol", ["btc", "SOL"])
def test_the_coins_of_the_data_are_named_where_another_one_is_requested(symbol: str) -> None:
    hearing = InputFilter([SpotInput(symbol=symbol)])
    list(hearing.of([BTC, ETH]))
    with pytest.raises(UsageError, match=f"No outside price of {symbol} in tape.jsonl, only of BTC and ETH") as refused:
        hearing.require_inputs(REQUEST)
    assert "name a file of prices after its coin, such as btcusd.csv" in refused.value.hint


def test_one_of_two_coins_is_enough_and_both_are_judged() -> None:
    hearing = InputFilter([SPOT, SpotInput(symbol="ETH")])
    list(hearing.of([ETH]))
    hearing.require_inputs(REQUEST)
    assert hearing.gaps.coins == ("BTC", "ETH")


def test_a_probability_without_an_end_holds_for_as_long_as_the_strategy_says() -> None:
    endless = FairValue(T0, "KXA-1", cents(40), "history.csv")
    (heard,) = InputFilter([MODEL]).of([endless])
    assert heard == FairValue(T0, "KXA-1", cents(40), "history.csv", Ts(T0 + 60_000))
