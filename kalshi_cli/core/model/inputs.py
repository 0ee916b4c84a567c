"""Data inputs from outside the exchange that a strategy can request.

The strategy names an input, and the trading loop delivers its data as messages. A strategy therefore never opens a file
or a socket, and a recording or a simulated market can deliver the same data.
"""

from __future__ import annotations

import msgspec


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A data input from outside the exchange. Equal inputs of several strategies are read once."""


class SpotInput(Input, frozen=True, kw_only=True):
    """Spot prices of a coin (for example `BTC`), delivered as SpotPrice messages."""

    symbol: str


class FairInput(Input, frozen=True, kw_only=True):
    """Fair values by market, delivered as FairValue messages.

    `source` is a CSV or JSON file, an https address, or `command:...` with either format as its output. It is read
    every `every_s` seconds, and each value is valid for `valid_s` seconds. With `before_close_s`, the source is read
    only while a market of the run closes within that time.
    """

    source: str
    every_s: float
    valid_s: float
    before_close_s: float = 0.0


class SignalInput(Input, frozen=True, kw_only=True):
    """News, delivered as NewsSignal messages.

    `source` is a growing file, `-` for standard input, or `webhook:PORT` on this machine. With `from_start`, the
    existing lines of the file are delivered too.
    """

    source: str
    from_start: bool = False
