"""What a venue is to us: where it is, what is sent to it, and how what it says is read.

Reading is pure: bytes in, prices out, or a SpotError. Prices are integers, exactly what the venue wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.core.model.messages import SpotPrice

PRICE_DECIMALS, SIZE_DECIMALS = 4, 8
"""Prices are in ten-thousandths of a dollar, sizes in hundred-millionths of a coin."""

_MAX_NUMBER_LENGTH = 40
"""Digits."""
_MAX_DIGITS = 12
"""Before or after the point: no price and no size is so large, and `1e999999` must not become a number here."""

_MS_FROM, _MS_UNTIL = 10**12, 10**13
"""Milliseconds since 1970 from 2001 to 2286: seconds or microseconds in their place are noticed."""


class SpotError(Exception):
    """A venue said something that gives no price. `kind` is `junk`, what nobody can read, or `refused`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, safe_text(text, 200))
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])


class TradingPair(msgspec.Struct, frozen=True):
    """What is asked for: our name of the coin (`BTC`), and the venue's of the pair (`BTC-USD`)."""

    symbol: str
    name: str


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """One venue. `pair` has COIN where the coin goes. A read of `rest_path` gives recent trades, or the last one."""

    name: str
    ws_url: str
    rest_url: str
    pair: str
    subscribe: Callable[[TradingPair], str]
    read_frame: Callable[[bytes, TradingPair], list[SpotPrice]]
    rest_path: Callable[[TradingPair], str]
    read_answer: Callable[[bytes, TradingPair], list[SpotPrice]]

    def pair_of(self, symbol: str, pattern: str = "") -> TradingPair:
        """The pair of a coin, by a pattern of one's own or by the venue's."""
        return TradingPair(symbol, (pattern or self.pair).replace("COIN", symbol))


def parse_fixed(number: Decimal | str, decimals: int) -> int:
    """A decimal number, not below zero, as an integer of `decimals` places. SpotError where that is not exact."""
    try:
        value = Decimal(number)
    except InvalidOperation:
        value = Decimal("NaN")
    is_short = len(value.as_tuple().digits) <= _MAX_NUMBER_LENGTH
    if not value.is_finite() or value < 0 or abs(value.adjusted()) > _MAX_DIGITS or not is_short:
        raise SpotError("junk", f"not a number: {str(number)[:_MAX_NUMBER_LENGTH]!r}")
    above, below = value.as_integer_ratio()
    scale: int = 10**decimals
    whole, rest = divmod(above * scale, below)
    if rest:
        raise SpotError("junk", f"more than {decimals} decimals: {str(number)[:_MAX_NUMBER_LENGTH]}")
    return whole


def trade(pair: TradingPair, venue: str, price: Decimal | str, size: Decimal | str, ts: Ts) -> SpotPrice:
    """One trade as a message; SpotError where a number is none."""
    found = parse_fixed(price, PRICE_DECIMALS)
    if not found:
        raise SpotError("junk", "a price of nothing")
    return SpotPrice(ts, pair.symbol, found, venue, parse_fixed(size, SIZE_DECIMALS))


def time_of(text: str) -> Ts:
    """RFC 3339 as milliseconds; SpotError where it is no time."""
    try:
        return parse_milliseconds(parse_ts(text))
    except (ValueError, OverflowError):
        raise SpotError("junk", f"not a time: {text[:_MAX_NUMBER_LENGTH]!r}") from None


def parse_milliseconds(value: int) -> Ts:
    """Milliseconds since 1970; SpotError where it must be something else."""
    if not _MS_FROM <= value < _MS_UNTIL:
        raise SpotError("junk", f"not a time in milliseconds: {str(value)[:_MAX_NUMBER_LENGTH]}")
    return Ts(value)


Read = TypeVar("Read")


def decoded(decoder: msgspec.json.Decoder[Read], raw: bytes) -> Read:
    """The JSON of a venue in the shape that is expected; SpotError where it has another one."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError, InvalidOperation) as error:
        raise SpotError("junk", str(error)) from None
