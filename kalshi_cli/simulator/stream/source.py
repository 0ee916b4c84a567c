"""What a connection of the stream reads of the exchange."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.stream import frames
from kalshi_cli.simulator.stream.subscription import FAST_INDEX, PYTH

LISTED_FOR_MS = 7_200_000
"""An underlying that ticked no later than this ago is listed."""


class StreamSource:
    """Offers the state of the exchange to all connections, and what goes for all of them alike."""

    def __init__(self, state: SimulatorState) -> None:
        self.state = state
        self.is_collecting = False
        """Frames wait for a shuffle instead of going out at once."""
        self.fails_next = 0
        """The code of an error that the next command is answered with; 0 where it is done."""
        self.indices: dict[str, frames.IndexMessages] = {}
        self.fast: dict[str, Ts] = {}
        self.underlyings: dict[str, Ts] = {}

    def snapshot(self, ticker: str, *, use_yes_price: bool) -> Json:
        """Return the message with the whole order book of a market."""
        return frames.snapshot_msg(self.state.markets[ticker], self.state.books[ticker], use_yes_price=use_yes_price)

    def ticker(self, ticker: str, now: Ts) -> Json:
        """Return the message with the top of a market's book."""
        return frames.ticker_msg(self.state.markets[ticker], self.state.books[ticker], now)

    def names(self, channel: str, now: Ts) -> list[str]:
        """Return the indices or underlyings of a channel, as its listing shows them."""
        if channel == PYTH:
            return sorted(name for name, at in self.underlyings.items() if at > now - LISTED_FOR_MS)
        return sorted(self.fast if channel == FAST_INDEX else self.indices)

    def forget_names(self) -> None:
        """Start the listings anew: the time of the world went back."""
        self.indices.clear()
        self.fast.clear()
        self.underlyings.clear()
