"""Money, prices, counts and times as integers: parse, format, convert. The only module that knows Decimal.

    Price   1e-4 dollar     "0.4700" <-> 4700
    Qty     1e-2 contract   "10.00"  <-> 1000
    Money   1e-6 dollar     Price * Qty is Money, exactly
    Ts      milliseconds since 1970 UTC

Three kinds of text are kept apart: the wire's fixed-point strings (`parse_*`, strict and fast), what a person types
(`price_from_user` and its kin, with the reason when refused), and what a person reads (`show_*`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NewType

Price = NewType("Price", int)
Qty = NewType("Qty", int)
Money = NewType("Money", int)
Ts = NewType("Ts", int)

ONE_DOLLAR = Price(10_000)
ONE_CONTRACT = Qty(100)
DOLLAR = Money(1_000_000)

_LONGEST = 24  # characters of the longest number taken from outside; a longer one is garbage, not money


def cents(value: int) -> Price:
    """`cents(47)` is a price of $0.47."""
    return Price(value * 100)


def contracts(value: int) -> Qty:
    """`contracts(10)` is a count of 10."""
    return Qty(value * 100)


def dollars(text: str | int) -> Money:
    """`dollars("12.50")` as Money."""
    return parse_money(str(text))


def notional(price: Price, qty: Qty) -> Money:
    """Price times count, exactly."""
    return Money(price * qty)


# -- the wire's strings -------------------------------------------------------------------------------------------


def _fixed(text: str, scale: int) -> int:
    """A decimal string as an integer of 10**-scale; ValueError where it is not one, or would need rounding."""
    whole, dot, part = text.partition(".")
    digits = whole[1:] if whole[:1] in "+-" else whole
    if len(text) > _LONGEST or not (digits + part).isascii() or not (digits or part) or (dot and not part):
        raise ValueError(f"not a fixed-point number: {text[:_LONGEST]!r}")
    if (digits and not digits.isdigit()) or (part and not part.isdigit()):
        raise ValueError(f"not a fixed-point number: {text[:_LONGEST]!r}")
    if part[scale:].strip("0"):
        raise ValueError(f"more than {scale} decimals: {text!r}")
    value = int((digits or "0") + part[:scale].ljust(scale, "0"))
    return -value if whole[:1] == "-" else value


def parse_price(text: str) -> Price:
    """`"0.4700"` -> Price(4700). At most four decimals that are not zero."""
    return Price(_fixed(text, 4))


def parse_qty(text: str) -> Qty:
    """`"10.00"` -> Qty(1000). May be negative (deltas, positions)."""
    return Qty(_fixed(text, 2))


def parse_money(text: str) -> Money:
    """`"0.017500"` -> Money(17500)."""
    return Money(_fixed(text, 6))


def _text(value: int, scale: int) -> str:
    sign, value = ("-", -value) if value < 0 else ("", value)
    unit = int(10**scale)
    return f"{sign}{value // unit}.{value % unit:0{scale}d}"


def format_price(price: Price) -> str:
    """Price(4700) -> "0.4700"."""
    return _text(price, 4)


def format_qty(qty: Qty) -> str:
    """Qty(1000) -> "10.00"."""
    return _text(qty, 2)


def format_money(money: Money) -> str:
    """Money(12345600) -> "12.345600"."""
    return _text(money, 6)


def parse_ts(text: str) -> Ts:
    """RFC 3339 with 0 to 9 fractional digits and `Z` or an offset -> milliseconds, floored."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"not a time: {text[:40]!r}") from error
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {text[:40]!r}")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return Ts((delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000)


def format_ts(ts: Ts) -> str:
    """Milliseconds -> "2026-06-11T06:29:30.164Z"; a whole second has no fraction."""
    seconds, ms = divmod(ts, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms:03d}Z" if ms else f"{text}Z"


# -- what a person types ------------------------------------------------------------------------------------------


def _decimal(text: str) -> Decimal:
    """Return a number that a person typed. InvalidOperation where it is none, or has more digits than any of ours.

    Neither the length nor the exponent of a decimal number is limited by itself, and an integer of it takes time.
    """
    value = Decimal(text if len(text) <= _LONGEST else "too long")
    if value.is_finite() and abs(value.adjusted()) > _LONGEST:
        raise InvalidOperation
    return value


def price_from_user(text: str) -> Price:
    """`0.47`, `$0.47` or `47c`. A bare `47` is refused: nobody should guess between 47 cents and 47 dollars."""
    typed = text.strip()
    try:
        if typed.lower().endswith("c"):
            value = _decimal(typed[:-1]) / 100
        else:
            value = _decimal(typed.removeprefix("$"))
            if "." not in typed and not typed.startswith("$") and value >= 1:
                cent = f"0.{int(value):02d}" if 0 < value < 100 else "0.47"
                raise ValueError(f"a price is typed in dollars; did you mean {cent}?")
    except InvalidOperation as error:
        raise ValueError(f"{typed[:20]!r} is not a price; type dollars (0.47) or cents (47c)") from error
    if not value.is_finite() or not 0 < value < 1:
        raise ValueError(f"{typed[:20]} is outside the range of a price, 0.0001 to 0.9999 dollars")
    ticks = value * ONE_DOLLAR
    if ticks != int(ticks):
        raise ValueError(f"{typed[:20]} is finer than any price here; the smallest step is 0.0001")
    return Price(int(ticks))


def money_from_user(text: str) -> Money:
    """`25`, `25.00` or `$25` are dollars, above zero, in steps of $0.0001. Cents and thousands marks are refused."""
    typed = text.strip()
    digits = typed.removeprefix("$")
    if digits[-1:] in ("c", "C") and digits[:-1].isdecimal() and len(digits) < 10:
        whole, cent = divmod(int(digits[:-1]), 100)
        raise ValueError(f"an amount is typed in dollars, not cents; did you mean {whole}.{cent:02d}?")
    if "," in digits and digits.replace(",", "").replace(".", "").isdigit():
        raise ValueError(f"an amount has no thousands marks; did you mean {digits.replace(',', '')[:20]}?")
    try:
        value = Money(_fixed(digits, 6))
    except ValueError as error:
        raise ValueError(f"{typed[:20]!r} is not an amount; type dollars, like 25 or 25.00") from error
    if value <= 0:
        raise ValueError(f"an amount is above zero, not {typed[:20]}")
    if value > 1_000_000_000 * DOLLAR:
        raise ValueError(f"an amount of {typed[:20]} is beyond a billion dollars")
    if value % 100:
        raise ValueError(f"an amount has steps of 0.0001 dollars, not {typed[:20]}")
    return value


def qty_from_user(text: str) -> Qty:
    """`10` or `2.5` contracts: positive, in steps of 0.01."""
    typed = text.strip()
    try:
        value = _decimal(typed)
    except InvalidOperation as error:
        raise ValueError(f"{typed[:20]!r} is not a count; type contracts, like 10 or 2.5") from error
    if not value.is_finite() or value <= 0:
        raise ValueError(f"a count is above zero, not {typed[:20]}")
    if value > 1_000_000:
        raise ValueError(f"a count of {typed[:20]} is beyond one million contracts")
    hundredths = value * ONE_CONTRACT
    if hundredths != int(hundredths):
        raise ValueError(f"a count has steps of 0.01, not {typed[:20]}")
    return Qty(int(hundredths))


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_from_user(text: str) -> float:
    """`2s`, `10m`, `24h`, `7d` -> seconds, above zero and at most ten years. The unit is never guessed."""
    typed = text.strip().lower()
    unit = _SECONDS.get(typed[-1:], 0)
    try:
        amount = float(_decimal(typed[:-1] if unit else typed))
    except InvalidOperation as error:
        raise ValueError(f"{typed[:20]!r} is not a duration; type 90s, 10m, 24h or 7d") from error
    if not unit and 0 < amount < float("inf"):
        number = typed[:20]
        raise ValueError(f"{number} what? type {number}s, {number}m, {number}h or {number}d")
    value = amount * unit
    if not 0 < value <= 10 * 365 * 86_400:
        raise ValueError(f"a duration is above zero and at most ten years, not {typed[:20]}")
    return value


# -- what a person reads ------------------------------------------------------------------------------------------


def show_price(price: Price | None) -> str:
    """Price(4700) -> "$0.47"; Price(985) -> "$0.0985"; Price(-50) -> "-$0.005"; None -> an em dash."""
    if price is None:
        return "—"
    text = format_price(Price(abs(price)))
    return f"{'-' if price < 0 else ''}${text[:-2]}{text[-2:].rstrip('0')}"


def show_qty(qty: Qty | None) -> str:
    """Qty(1000) -> "10"; Qty(250) -> "2.5"; None -> an em dash."""
    return "—" if qty is None else format_qty(qty).rstrip("0").rstrip(".")


def show_money(money: Money | None, *, signed: bool = False) -> str:
    """Money(-1234567) -> "-$1.23", to the cent, half away from zero; None -> an em dash."""
    if money is None:
        return "—"
    cent = (abs(money) + 5_000) // 10_000
    sign = "-" if money < 0 and cent else "+" if signed and money > 0 and cent else ""
    return f"{sign}${cent // 100:,}.{cent % 100:02d}"


def pluralize(number: int, what: str) -> str:
    """`1 note`, `2 notes`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
