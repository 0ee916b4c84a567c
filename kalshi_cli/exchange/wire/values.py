"""Single values in JSON: prices, counts, times, sides; and reading a whole body of them.

Strict where money is: a missing or unreadable price, count or time is a WireError that names the field, never a zero.
Unknown fields are skipped, unknown enum values become UNKNOWN. The functions for single values raise ValueError for
what they cannot read exactly; `read` turns that into a WireError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Generic, NamedTuple, TypeVar

import msgspec

from kalshi_cli.base.errors import NoAnswerError
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, format_qty, parse_money, parse_price, parse_qty
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.model.price_grid import Band, PriceGrid

T = TypeVar("T")
W = TypeVar("W")


class WireError(NoAnswerError):
    """A reply that cannot be read: broken, cut short, or without a field that we will not guess."""

    default_code = "unreadable_reply"
    said = ""
    """How the reply began, as far as it is shown and kept; without secrets."""


LONGEST_SAID = 1_000
"""Bytes kept of a reply that cannot be read."""


class Page(NamedTuple, Generic[T]):
    """Part of a list. An empty cursor means that it was the last."""

    items: list[T]
    cursor: str


_witness: ContextVar[list[tuple[type, bytes]] | None] = ContextVar("witness", default=None)


@contextmanager
def witnessed() -> Iterator[list[tuple[type, bytes]]]:
    """Every body that is read meanwhile, and the struct it is read as: for `desk.schema`, which looks closer."""
    seen: list[tuple[type, bytes]] = []
    token = _witness.set(seen)
    try:
        yield seen
    finally:
        _witness.reset(token)


def read(decoder: msgspec.json.Decoder[W], convert: Callable[[W], T], body: bytes, what: str) -> T:
    """Decode and convert, or WireError: no other exception comes out of a reply, whatever its bytes."""
    seen = _witness.get()
    if seen is not None:
        seen.append((decoder.type, body))
    try:
        return convert(decoder.decode(body))
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        unreadable = WireError(
            f"the exchange's answer about {what} cannot be read: {str(error)[:300]}",
            hint="try again; if it stays, the exchange changed its format and this program needs an update",
        )
        unreadable.said = safe_text(redact(body[: 4 * LONGEST_SAID].decode(errors="replace")), LONGEST_SAID)
        raise unreadable from error


class _Done(msgspec.Struct):
    error: object = None


_done_body = msgspec.json.Decoder(_Done)


def read_done(body: bytes, what: str) -> None:
    """Check `{}`, by which the exchange says that a write was done. An empty reply is a gateway's."""

    def convert(wire: _Done) -> None:
        if wire.error is not None:
            raise ValueError("it holds an error")

    read(_done_body, convert, body, what)


# A stream repeats itself: 19 of 20 values were seen before, and looking one up costs a tenth of reading it. Bounded,
# because what an ill-meaning stream sends must not fill the memory.
_MAX_KNOWN = 20_000
known_prices: dict[str, Price] = {}
known_counts: dict[str, Qty] = {}


def level_price(text: str) -> Price:
    """A price that can rest in a book: strictly between zero and one dollar."""
    price = known_prices.get(text)
    if price is None:
        price = parse_price(text)
        if not 0 < price < ONE_DOLLAR:
            raise ValueError(f"a price outside (0, 1): {text!r}")
        if len(known_prices) < _MAX_KNOWN:
            known_prices[text] = price
    return price


@lru_cache(maxsize=_MAX_KNOWN)  # three of them in every market of a list of fifty thousand
def outcome_price(text: str) -> Price:
    """A price from zero to one dollar, both included: what a settled contract is worth."""
    price = parse_price(text)
    if not 0 <= price <= ONE_DOLLAR:
        raise ValueError(f"a price outside [0, 1]: {text!r}")
    return price


def quote_price(text: str) -> Price | None:
    """A price of a summary. The exchange writes an empty side as 0.0000 or 1.0000, which are not prices."""
    price = outcome_price(text)
    return price if 0 < price < ONE_DOLLAR else None


def count(text: str) -> Qty:
    """`"-3.00"` -> Qty(-300)."""
    qty = known_counts.get(text)
    if qty is None:
        qty = parse_qty(text)
        if len(known_counts) < _MAX_KNOWN:
            known_counts[text] = qty
    return qty


def no_negative(text: str) -> Qty:
    """A count that is an amount, not a change."""
    qty = count(text)
    if qty < 0:
        raise ValueError(f"a negative count: {text!r}")
    return qty


def quote_size(text: str) -> Qty:
    """The size beside a quote. The demo exchange has shown negative ones (14 June 2026), which are nothing to trade."""
    return max(count(text), Qty(0))


def integer_cents(value: int) -> Money:
    """The leftovers in whole cents: `balance`, `portfolio_value`, settlement `revenue`."""
    return Money(value * 10_000)


def seconds(value: int) -> Ts:
    """Unix seconds -> milliseconds."""
    return Ts(value * 1000)


def book_side(book: str | None, outcome: str | None) -> Side:
    """The direction of an order, fill or print. `book_side` and `outcome_side` say the same in two vocabularies."""
    if book == "bid" or (book is None and outcome == "yes"):
        return BID
    if book == "ask" or (book is None and outcome == "no"):
        return ASK
    raise ValueError(f"no direction in book_side={book!r} outcome_side={outcome!r}")


def order_status(status: str, why: str = "") -> OrderStatus:
    """The exchange's word; one it adds later is UNKNOWN, which counts as live until a read says otherwise."""
    if status == "canceled":
        return OrderStatus.EXPIRED if why == "ExpiryCancel" else OrderStatus.CANCELED
    return {"resting": OrderStatus.RESTING, "executed": OrderStatus.FILLED}.get(status, OrderStatus.UNKNOWN)


def reduced(status: OrderStatus, initial: Qty, filled: Qty, remaining: Qty) -> Qty:
    """Contracts taken off without a trade. A dead order shows nothing remaining, so all that never filled went."""
    gone = Qty(initial - filled - (remaining if status.is_live else 0))
    if gone < 0:
        raise ValueError(f"filled {format_qty(filled)} + remaining exceed the {format_qty(initial)} asked for")
    return gone


class PriceRange(msgspec.Struct, frozen=True, gc=False):
    """A band of the price grid, on the wire."""

    start: str
    end: str
    step: str


@lru_cache(maxsize=256)  # a dozen grids serve fifty thousand markets
def yes_cost(side: Side, filled: Qty, *paid: str) -> Money:
    """What fills cost at YES prices. The exchange states what was paid for them, and an ask pays the price of NO."""
    total = sum(parse_money(part) for part in paid)
    return Money(total if side is BID else ONE_DOLLAR * filled - total)


def grid_of(ranges: tuple[PriceRange, ...]) -> PriceGrid:
    """The valid prices. Only the bands count: the exchange adds structure names, and has changed what they mean."""
    if not ranges:
        raise ValueError("no band of prices")
    bands = []
    for each in ranges:
        start, end, step = outcome_price(each.start), outcome_price(each.end), outcome_price(each.step)
        if start > end or step == 0:
            raise ValueError(f"an impossible band of prices: {each.start} to {each.end} in steps of {each.step}")
        bands.append(Band(start, end, step))
    return PriceGrid(tuple(bands))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 on the wire; a time without a zone is refused."""


def ts_of(moment: datetime) -> Ts:
    """Milliseconds since 1970, floored."""
    return Ts((moment - _EPOCH) // _MILLISECOND)


def maybe_ts(moment: datetime | None) -> Ts | None:
    return None if moment is None else ts_of(moment)
