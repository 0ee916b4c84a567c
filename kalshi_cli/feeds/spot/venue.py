"""A venue of spot prices: its addresses, its requests and the parsing of its responses.

Parsing is pure: bytes in, prices out, or a SpotError. Prices are integers, exactly the venue's values.
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
"""Digits of a number, at most."""
_MAX_DIGITS = 12
"""Digits before or after the point, at most: no price or size has more, and `1e999999` must not be expanded."""

_MS_FROM, _MS_UNTIL = 10**12, 10**13
"""Milliseconds since 1970, from 2001 to 2286: seconds or microseconds are outside this range."""


class SpotError(Exception):
    """A response without a price. `kind` is `junk` (invalid) or `refused`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, safe_text(text, 200))
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])


class TradingPair(msgspec.Struct, frozen=True):
    """The symbol of a coin (`BTC`), and the venue's name of the pair (`BTC-USD`)."""

    symbol: str
    name: str


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue. `pair` has the placeholder COIN for the coin. `rest_path` has recent trades, or the last one."""

    name: str
    ws_url: str
    rest_url: str
    pair: str
    subscribe: Callable[[TradingPair], str]
    read_frame: Callable[[bytes, TradingPair], list[SpotPrice]]
    rest_path: Callable[[TradingPair], str]
    read_answer: Callable[[bytes, TradingPair], list[SpotPrice]]

    def pair_of(self, symbol: str, pattern: str = "") -> TradingPair:
        """Return the pair of a coin, by the given pattern or by the venue's."""
        return TradingPair(symbol, (pattern or self.pair).replace("COIN", symbol))


def parse_fixed(number: Decimal | str, decimals: int) -> int:
    """Return a decimal number >= 0 as an integer with `decimals` places. Raises SpotError if that is not exact."""
    try:
        value = Decimal(number)
    except InvalidOperation:
        value = Decimal("NaN")
    is_short = len(value.as_tuple().digits) <= _MAX_NUMBER_LENGTH
    if not value.is_finite() or value < 0 or abs(value.adjusted()) > _MAX_DIGITS or not is_short:
        raise SpotError("junk", f"invalid number: {str(number)[:_MAX_NUMBER_LENGTH]!r}")
    above, below = value.as_integer_ratio()
    scale: int = 10**decimals
    whole, rest = divmod(above * scale, below)
    if rest:
        raise SpotError("junk", f"more than {decimals} decimals: {str(number)[:_MAX_NUMBER_LENGTH]}")
    return whole


def trade(pair: TradingPair, venue: str, price: Decimal | str, size: Decimal | str, ts: Ts) -> SpotPrice:
    """Return a trade as a message. Raises SpotError for an invalid number."""
    found = parse_fixed(price, PRICE_DECIMALS)
    if not found:
        raise SpotError("junk", "price of zero")
    return SpotPrice(ts, pair.symbol, found, venue, parse_fixed(size, SIZE_DECIMALS))


def time_of(text: str) -> Ts:
    """Parse an RFC 3339 time. Raises SpotError if it is invalid."""
    try:
        return parse_milliseconds(parse_ts(text))
    except (ValueError, OverflowError):
        raise SpotError("junk", f"invalid time: {text[:_MAX_NUMBER_LENGTH]!r}") from None


def parse_milliseconds(value: int) -> Ts:
    """Check a time in milliseconds since 1970. Raises SpotError if it is in another unit."""
    if not _MS_FROM <= value < _MS_UNTIL:
        raise SpotError("junk", f"invalid time in milliseconds: {str(value)[:_MAX_NUMBER_LENGTH]}")
    return Ts(value)


Read = TypeVar("Read")


def decoded(decoder: msgspec.json.Decoder[Read], raw: bytes) -> Read:
    """Decode the JSON of a venue. Raises SpotError if it does not have the expected form."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError, InvalidOperation) as error:
        raise SpotError("junk", str(error)) from None
