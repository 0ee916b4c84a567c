"""The short form of an order, for the command line and the screen: `buy 10 @0.24 --no`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple, TypeVar, cast

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, Qty, price_from_user, qty_from_user

T = TypeVar("T")


class ShortOrder(NamedTuple):
    """An order without its market; `price` is that of `outcome`."""

    action: Literal["buy", "sell"]
    outcome: Literal["yes", "no"]
    qty: Qty
    price: Price


def price_after_at(text: str) -> Price:
    """Read `@0.24`, `0.24`, `24c` or `@24c` as a price. ValueError for anything else."""
    typed = text.strip().removeprefix("@")
    if typed.lower() in ("market", "mkt"):
        how = "give your worst price and, on the command line, --tif ioc"
        raise ValueError(f"there are no market orders; to fill at once or never, {how}")
    return price_from_user(typed)


def refuse_outcome(path: str, words: Sequence[str]) -> None:
    """Refuse an outcome as one of the words after `path`, with the right line. `words` begin with market or count."""
    for word in words:
        if word.lower() in ("yes", "no"):
            line = " ".join(each for each in (path, *words) if each != word)
            hint = f"without --no it trades YES: `{line}`" if word.lower() == "yes" else f"for NO: `{line} --no`"
            raise UsageError(f"The outcome is not a word of `{path}`: {word}", hint=hint)


def refuse_swapped(path: str, count: str, price: str) -> None:
    """Refuse a price where the count belongs, such as `0.31 @10`, with the right line."""
    number, digits = price.removeprefix("@"), count.removeprefix("@").removeprefix("$").lower().removesuffix("c")
    is_price = count[:1] in "@$" or count[-1:] in "cC" or digits.startswith(("0.", "."))
    if number.isdigit() and int(number) and is_price and digits.replace(".", "", 1).isdigit():
        hint = f"`{path} {number} @{count.removeprefix('@')}`"
        raise UsageError(f"The count comes before the price: {count} {price}", hint=hint)


def refuse_dollars(path: str, count: str, price: str) -> None:
    """Refuse an amount of money where the count belongs, such as `$20 @0.40`, with the line of so many contracts."""
    if not count.startswith("$"):
        return
    with suppress(ValueError):
        number = qty_from_user(count.removeprefix("$")) * 100 // price_after_at(price)
        hint = f"{count} at {price.removeprefix('@')} is {number} contracts, before fees: `{path} {number} {price}`"
        raise UsageError(f"The count is in contracts, not in dollars: {count}", hint=hint if number else "")


def read_short_order(text: str) -> ShortOrder:
    """Read `buy 10 @0.24` or `sell 5 @70c --no`. UsageError for anything else."""
    action, *rest = text.lower().split() or [""]
    words = [word for word in rest if word != "--no"]
    if action in ("buy", "sell"):
        refuse_outcome(action, words)
    if action not in ("buy", "sell") or len(words) != 2:
        raise UsageError("Type buy or sell, the count and the price", hint="such as buy 10 @0.32; for NO, add --no")
    refuse_swapped(action, *words)
    refuse_dollars(action, *words)
    return ShortOrder(
        cast(Literal["buy", "sell"], action),
        "no" if "--no" in rest else "yes",
        _read(qty_from_user, words[0]),
        _read(price_after_at, words[1]),
    )


def read_new_terms(text: str) -> tuple[Price, Qty | None]:
    """Read `0.24`, or `0.24 10` with the count left to trade. UsageError for anything else."""
    words = text.split()
    if len(words) not in (1, 2):
        raise UsageError("Type the new price, then the count if it changes too", hint="such as 0.32, or 0.32 10")
    return _read(price_after_at, words[0]), _read(qty_from_user, words[1]) if words[1:] else None


def _read(parse: Callable[[str], T], word: str) -> T:
    try:
        return parse(word)
    except ValueError as error:
        raise UsageError(str(error)) from error
