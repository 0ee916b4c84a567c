"""Money, prices, counts and times as integers: parse, format, convert. The only module that uses Decimal.

    Price   1e-4 dollar     "0.4700" <-> 4700
    Qty     1e-2 contract   "10.00"  <-> 1000
    Money   1e-6 dollar     Price * Qty is Money, exactly
    Ts      milliseconds since 1970 UTC

Three kinds of text are separate: fixed-point strings of the exchange (`parse_*`, strict and fast), user input
(`price_from_user` and others, which explain a refusal), and text for display (`show_*`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from operator import index
from typing import TYPE_CHECKING, NewType

from kalshi_cli.base.errors import UsageError

if TYPE_CHECKING:
    from decimal import Decimal

Price = NewType("Price", int)
Qty = NewType("Qty", int)
Money = NewType("Money", int)
Ts = NewType("Ts", int)

ONE_DOLLAR = Price(10_000)
ONE_CONTRACT = Qty(100)
DOLLAR = Money(1_000_000)

__all__ = [
    "DOLLAR", "ONE_CONTRACT", "ONE_DOLLAR", "Money", "Price", "Qty", "Ts", "cents", "contracts", "dollars",
    "duration_from_user", "format_money", "format_price", "format_qty", "format_ts", "money_from_user", "notional",
    "parse_money", "parse_price", "parse_qty", "parse_ts", "pluralize", "price_from_user", "qty_from_user",
    "show_exact", "show_money", "show_price", "show_qty",
]  # fmt: skip

_CENT = 10_000  # of Money

_LONGEST = 24  # maximum characters of an outside number; a longer one is not an amount


def cents(value: int | str) -> Price:
    """Return a price in cents: `cents(47)` is $0.47, `cents("4.5")` is $0.045. UsageError for a float."""
    return Price(value * 100 if type(value) is int else _exact("cents", value, 2))


def contracts(value: int | str) -> Qty:
    """Return a count of contracts: `contracts(10)` is 10, `contracts("2.5")` is 2.5. UsageError for a float."""
    return Qty(value * 100 if type(value) is int else _exact("contracts", value, 2))


def dollars(value: str | int) -> Money:
    """Return dollars as Money: `dollars("12.50")`, `dollars(5)`. UsageError for a float."""
    return Money(value * 1_000_000 if type(value) is int else _exact("dollars", value, 6))


def _exact(name: str, value: object, scale: int) -> int:
    """Return a number as typed, or a whole one of any type, as an integer of 10**-scale."""
    from decimal import Decimal

    try:
        if isinstance(value, str | Decimal):
            return _fixed(str(value), scale)
        if not isinstance(value, bool):
            return index(value) * int(10**scale)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(f"{name}: {error}", hint=f"write {name}(10) or {name}('2.5')") from error
    except TypeError:
        pass
    typed = f"{name}('{value}')" if isinstance(value, float) else f"{name}(10) or {name}('2.5')"
    raise UsageError(f"{name} takes a whole number or a text, not {value!r:.60}", hint=f"write {typed}")


def notional(price: int, qty: int) -> Money:
    """Return price times count, exactly."""
    return Money(price * qty)


# -- strings of the exchange --------------------------------------------------------------------------------------


def _fixed(text: str, scale: int) -> int:
    """Return a decimal string as an integer of 10**-scale; ValueError if it is invalid or would need rounding."""
    whole, dot, part = text.partition(".")
    digits = whole[1:] if whole[:1] in "+-" else whole
    number = digits + part
    if len(text) > _LONGEST or not (number.isascii() and number.isdigit()) or (dot and not part):
        raise ValueError(f"invalid number: {text[:_LONGEST]!r}")
    if part[scale:].strip("0"):
        raise ValueError(f"more than {scale} decimals: {text!r}")
    value = int((digits or "0") + part[:scale].ljust(scale, "0"))
    return -value if whole[:1] == "-" else value


def parse_price(text: str) -> Price:
    """Parse a price: `"0.4700"` -> Price(4700). At most four decimals may be non-zero."""
    return Price(_fixed(text, 4))


def parse_qty(text: str) -> Qty:
    """Parse a count: `"10.00"` -> Qty(1000). It may be negative (deltas, positions)."""
    return Qty(_fixed(text, 2))


def parse_money(text: str) -> Money:
    """Parse an amount: `"0.017500"` -> Money(17500)."""
    return Money(_fixed(text, 6))


def _whole(value: object) -> int:
    """Return a whole number of units of any integer type. A float would be shown as another amount."""
    if not isinstance(value, bool | float) and hasattr(value, "__index__"):
        return index(value)
    raise UsageError(
        f"{value!r:.60} is not a Price, Qty or Money",
        hint="cents('4.5') makes a Price, contracts('2.5') a Qty, dollars('12.50') a Money",
    )


def _text(value: int, scale: int) -> str:
    if type(value) is not int:
        value = _whole(value)
    digits = str(value).zfill(scale + (2 if value < 0 else 1))  # zfill keeps a sign in front
    return f"{digits[:-scale]}.{digits[-scale:]}"


def format_price(price: int) -> str:
    """Format a price: Price(4700) -> "0.4700"."""
    return _text(price, 4)


def format_qty(qty: int) -> str:
    """Format a count: Qty(1000) -> "10.00"."""
    return _text(qty, 2)


def format_money(money: int) -> str:
    """Format an amount: Money(12345600) -> "12.345600"."""
    return _text(money, 6)


def parse_ts(text: str) -> Ts:
    """Parse RFC 3339 with 0 to 9 fractional digits and `Z` or an offset; return milliseconds, floored."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"invalid time: {text[:40]!r}") from error
    if moment.tzinfo is None:
        raise ValueError(f"time zone missing: {text[:40]!r}")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return Ts((delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000)


def is_within(ts: Ts, since: Ts | None, until: Ts | None) -> bool:
    """Return whether a time is in a period: `since` belongs to it, `until` does not; None has no end there."""
    return (since is None or ts >= since) and (until is None or ts < until)


@lru_cache(maxsize=4_096)  # the closing times of a list of markets repeat
def format_ts(ts: int) -> str:
    """Format a time: "2026-06-11T06:29:30.164Z"; a whole second has no fraction."""
    seconds, ms = divmod(ts, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms:03d}Z" if ms else f"{text}Z"


# -- user input ---------------------------------------------------------------------------------------------------


def _decimal(text: str) -> Decimal:
    """Return a typed number; an ArithmeticError (InvalidOperation) if it is invalid or has too many digits.

    Decimal limits neither length nor exponent, and converting a huge number to an integer takes time.
    """
    from decimal import Decimal, InvalidOperation  # not needed by `kalshi --help`, of which it takes a sixtieth

    is_plain = len(text) <= _LONGEST and text.isascii() and "_" not in text  # Python reads 1_0 as 10
    value = Decimal(text if is_plain else "invalid")
    if value.is_finite() and abs(value.adjusted()) > _LONGEST:
        raise InvalidOperation
    return value


def price_from_user(text: str) -> Price:
    """Parse `0.47`, `$0.47`, `47c` or `47¢`. A bare `47` is refused, because it could mean 47 cents or 47 dollars."""
    typed = text.strip()
    try:
        if typed.lower().endswith(("c", "¢")):
            value = _decimal(typed[:-1]) / 100
        else:
            value = _decimal(typed.removeprefix("$"))
            if "." not in typed and not typed.startswith("$") and 1 <= value < 100:
                raise ValueError(f"prices are in dollars; did you mean 0.{int(value):02d}?")
    except ArithmeticError as error:
        shell, _, digits = typed.rpartition(".")
        if shell.endswith("sh") and digits.isdigit():
            text = f"the shell replaced $0 by its own name ({typed[:20]!r})"
            raise ValueError(f"{text}; type 0.{digits[:4]} without the dollar sign, or quote the price") from error
        raise ValueError(f"invalid price: {typed[:20]!r}; use dollars (0.47) or cents (47c)") from error
    if not value.is_finite() or not 0 < value < 1:
        raise ValueError(f"{typed[:20]} is out of range; a price is between $0.0001 and $0.9999, as 0.47 or 47c")
    ticks = value * ONE_DOLLAR
    if ticks != int(ticks):
        raise ValueError(f"{typed[:20]} is off the price grid; the smallest step is $0.0001")
    return Price(int(ticks))


def is_zero(text: str) -> bool:
    """Return whether a typed price or count is zero: `0`, `0c`, `$0.00`."""
    try:
        return _decimal(text.strip().lower().removesuffix("c").removeprefix("$")) == 0
    except ArithmeticError:
        return False


def distance_from_user(text: str) -> Price:
    """Parse a distance between prices, like `price_from_user`; it may be zero."""
    typed = text.strip()
    if is_zero(typed):
        return Price(0)
    try:
        return price_from_user(typed)
    except ValueError as error:
        raise ValueError(str(error).replace("a price is between $0.0001", "a distance is between $0")) from error


def money_from_user(text: str) -> Money:
    """Parse `25`, `25.00` or `$25` as dollars above zero, in steps of $0.0001; refuse cents and thousands marks."""
    typed = text.strip()
    digits = typed.removeprefix("$")
    if digits[-1:] in ("c", "C") and digits[:-1].isdecimal() and len(digits) < 10:
        whole, cent = divmod(int(digits[:-1]), 100)
        raise ValueError(f"amounts are in dollars, not cents; did you mean {whole}.{cent:02d}?")
    if "," in digits and digits.replace(",", "").replace(".", "").isdigit():
        raise ValueError(f"remove the thousands separators; did you mean {digits.replace(',', '')[:20]}?")
    try:
        value = Money(_fixed(digits, 6))
    except ValueError as error:
        raise ValueError(f"invalid amount: {typed[:20]!r}; use dollars, such as 25 or 25.00") from error
    if value <= 0:
        raise ValueError(f"the amount must be greater than zero, not {typed[:20]}")
    if value > 1_000_000_000 * DOLLAR:
        raise ValueError(f"the amount {typed[:20]} exceeds one billion dollars")
    if value % 100:
        raise ValueError(f"{typed[:20]} is too precise; the smallest step is $0.0001")
    return value


def qty_from_user(text: str) -> Qty:
    """Parse `10` or `2.5` contracts: positive, in steps of 0.01."""
    typed = text.strip()
    try:
        value = _decimal(typed)
    except ArithmeticError as error:
        raise ValueError(f"invalid count: {typed[:20]!r}; use contracts, such as 10 or 2.5") from error
    if not value.is_finite() or value <= 0:
        raise ValueError(f"the count must be greater than zero, not {typed[:20]}")
    if value > 1_000_000:
        raise ValueError(f"the count {typed[:20]} exceeds one million contracts")
    hundredths = value * ONE_CONTRACT
    if hundredths != int(hundredths):
        raise ValueError(f"{typed[:20]} is too precise; the smallest step is 0.01 contracts")
    return Qty(int(hundredths))


_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_NEXT_PART = re.compile(r"(?<=[dhms])(?=\s*[0-9])")


def duration_from_user(text: str) -> float:
    """Parse `100ms`, `5m20s` or `7d` into seconds, above zero and at most ten years. The unit is never guessed."""
    typed = text.strip().lower()
    parts = _NEXT_PART.split(typed)
    numbers = [part.rstrip("dhms") for part in parts]
    units = [part[len(number) :] for part, number in zip(parts, numbers, strict=True)]
    try:
        amounts = [float(_decimal(number)) for number in numbers]
        if units not in ([""], [unit for unit in _MILLISECONDS if unit in units]):
            raise ArithmeticError
    except ArithmeticError as error:
        raise ValueError(f"invalid duration: {typed[:20]!r}; use 100ms, 90s, 10m, 5m20s, 24h or 7d") from error
    if units == [""] and 0 < amounts[0] < float("inf"):
        number = typed[:20]
        raise ValueError(f"add a unit: {number}s, {number}m, {number}h or {number}d")
    value = sum(amount * _MILLISECONDS.get(unit, 0) for amount, unit in zip(amounts, units, strict=True)) / 1000
    if not 0 < value <= 10 * 365 * 86_400:
        raise ValueError(f"the duration must be greater than zero and at most ten years, not {typed[:20]}")
    return value


# -- display ------------------------------------------------------------------------------------------------------


def show_price(price: int | None) -> str:
    """Show a price: Price(4700) -> "$0.47"; Price(985) -> "$0.0985"; Price(-50) -> "-$0.005"; None -> an em dash."""
    if price is None:
        return "—"
    text = format_price(abs(_whole(price)))
    return f"{'-' if price < 0 else ''}${text[:-2]}{text[-2:].rstrip('0')}"


def show_qty(qty: int | None) -> str:
    """Show a count: Qty(1000) -> "10"; Qty(250) -> "2.5"; None -> an em dash."""
    return "—" if qty is None else format_qty(qty).rstrip("0").rstrip(".")


def show_most(money: int) -> str:
    """Show a maximum, rounded up to the cent: Money(152400) -> "$0.16"."""
    return show_money(-(-money // _CENT) * _CENT)


def show_least(money: int, *, signed: bool = False) -> str:
    """Show a minimum, rounded down to the cent: Money(-152400) -> "-$0.16"."""
    return show_money(money // _CENT * _CENT, signed=signed)


def show_money(money: int | None, *, signed: bool = False) -> str:
    """Show an amount to the cent, rounded half away from zero: Money(-1234567) -> "-$1.23"; None -> an em dash."""
    if money is None:
        return "—"
    cent = (abs(_whole(money)) + 5_000) // 10_000
    sign = "-" if money < 0 and cent else "+" if signed and money > 0 and cent else ""
    return f"{sign}${cent // 100:,}.{cent % 100:02d}"


def show_exact(money: int) -> str:
    """Show an amount with the decimals that it has, at least two: Money(882000) -> "$0.882"."""
    dollars, part = divmod(abs(_whole(money)), 1_000_000)
    text = f"{part:06d}"
    return f"{'-' if money < 0 else ''}${dollars:,}.{text[:2]}{text[2:].rstrip('0')}"


def adds_up(*parts: int) -> bool:
    """Return whether amounts that are each shown to the cent add up to their sum as it is shown."""
    return sum(map(_nearest, parts)) == _nearest(sum(parts))


def show_sum(*parts: int) -> list[str]:
    """Show amounts and, last, their sum: to the cent if they add up so, else with the decimals that they have."""
    show = show_money if adds_up(*parts) else show_exact
    return [show(amount) for amount in (*parts, sum(parts))]


def show_most_sum(*parts: int) -> list[str]:
    """Show maximums and, last, their sum, as `show_sum` does, but rounded up to the cent."""
    up = [-(-part // _CENT) * _CENT for part in parts]
    total = -(-sum(parts) // _CENT) * _CENT
    return show_sum(*up) if sum(up) == total else [show_exact(amount) for amount in (*parts, sum(parts))]


def _nearest(money: int) -> int:
    """Return the cents that `show_money` shows."""
    cents = (abs(_whole(money)) + _CENT // 2) // _CENT
    return -cents if money < 0 else cents


def pluralize(number: int, what: str) -> str:
    """Return a number with its noun: `1 note`, `2 notes`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def __dir__() -> list[str]:
    return __all__
