"""The data inputs of strategies in a backtest: a recording without the inputs that its strategies do not use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.inputs import FairInput, Input, SignalInput, SpotInput
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal, SpotPrice, SpotUnavailable
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.report.outside_gaps import OutsideGaps

_WORDS: dict[type[Message], str] = {SpotPrice: "outside price", FairValue: "probability", NewsSignal: "news"}


class InputFilter:
    """A filter that passes the messages of these inputs, and counts the inputs without any message.

    A fair value without an end is valid as long as the input says; only a file with times has such values.
    """

    def __init__(self, inputs: Iterable[Input]) -> None:
        self._asked: dict[type[Message], set[str]] = {}
        self._valid_s = float("inf")
        for wanted in inputs:
            match wanted:
                case SpotInput(symbol=symbol):
                    self._asked.setdefault(SpotPrice, set()).add(symbol)
                case FairInput(valid_s=valid_s):
                    self._asked[FairValue] = {""}
                    self._valid_s = min(self._valid_s, valid_s)
                case SignalInput():
                    self._asked[NewsSignal] = {""}
        self._other_coins: set[str] = set()
        """Coins with prices that no strategy requested."""
        self._heard: dict[type[Message], set[str]] = {kind: set() for kind in self._asked}
        others = [kind for kind in (FairValue, NewsSignal) if kind in self._asked]
        self.gaps = OutsideGaps(self._asked.get(SpotPrice, ()), others)

    def of(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Yield the messages without unused inputs."""
        used = self._used(messages)
        if not self._asked:
            yield from used
            return
        for message in used:
            self.gaps.follow(message)
            yield message

    def _used(self, messages: Iterable[Message]) -> Iterator[Message]:
        for message in messages:
            kind = type(message)
            if isinstance(message, SpotUnavailable):
                if message.symbol not in self._asked.get(SpotPrice, ()):
                    continue
            elif kind in _WORDS:
                subject = message.symbol if isinstance(message, SpotPrice) else ""
                if subject not in self._asked.get(kind, ()):
                    if subject:
                        self._other_coins.add(subject)
                    continue
                self._heard[kind].add(subject)
                if isinstance(message, FairValue) and message.until is None:
                    yield msgspec.structs.replace(message, until=Ts(message.ts + int(self._valid_s * 1000)))
                    continue
            yield message

    def require_inputs(self, request: BacktestRequest) -> None:
        """Raise UsageError if an input has no message at all.

        Without its input, a backtest would not show what the strategy does.
        """
        for kind, subjects in self._asked.items():
            if not self._heard[kind]:
                what = f"{_WORDS[kind]} of {' or '.join(sorted(subjects))}" if subjects != {""} else _WORDS[kind]
                command = f"kalshi record TICKER --file FILE --strategy {','.join(request.strategies)}"
                where, hint = request.sources, f"record it with `{command}`, or add --data FILE.csv"
                if kind is SpotPrice and self._other_coins:
                    where += f", only of {' and '.join(sorted(self._other_coins))}"
                    hint = "request that coin in inputs(), or name a file of prices after its coin, such as btcusd.csv"
                raise UsageError(f"No {what} in {where}", hint=hint, code="nothing_heard")
