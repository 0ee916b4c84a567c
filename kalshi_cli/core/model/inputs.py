"""What a strategy needs to hear from outside the exchange. It names it; the loop brings it, as messages.

So a strategy never opens a file or a socket, and a recording or a simulated world can bring the same.
"""

from __future__ import annotations

import msgspec


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Something outside to listen to. Equal ones of several strategies are listened to once."""


class SpotInput(Input, frozen=True, kw_only=True):
    """Outside prices of a coin (`BTC`), as SpotPrice messages."""

    symbol: str


class FairInput(Input, frozen=True, kw_only=True):
    """Probabilities by market, as FairValue messages: from a CSV or JSON file, an https address, or `command:...` whose
    output is either. Read again every `every_s`; each holds for `valid_s` after it was made.

    With `before_close_s` they are read only while a market of the run closes within so long.
    """

    source: str
    every_s: float
    valid_s: float
    before_close_s: float = 0.0


class SignalInput(Input, frozen=True, kw_only=True):
    """News, as NewsSignal messages: a file that grows, `-` for standard input, or `webhook:PORT` on this machine.

    `from_start`: also what the file holds already.
    """

    source: str
    from_start: bool = False
