"""Single values in JSON: prices, counts, times, sides; and readers of whole bodies.

Strict about money: a missing or unreadable price, count or time is a ResponseFormatError that names the field, never a
zero. Unknown fields are skipped, unknown enum values become UNKNOWN. The functions for single values raise ValueError
for text that they cannot read exactly; `read` turns it into a ResponseFormatError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from typing import Annotated, Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar, get_args, get_type_hints

import msgspec

from kalshi_cli.base.errors import NoAnswerError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, format_qty, parse_money, parse_price, parse_qty
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.model.price_grid import PriceBand, PriceGrid

P = ParamSpec("P")
T = TypeVar("T")
W = TypeVar("W")
S = TypeVar("S", bound=msgspec.Struct)


class ResponseFormatError(NoAnswerError):
    """An unreadable response: broken, cut short, or without a field that must not be guessed."""

    default_code = "unreadable_reply"
    said = ""
    """Beginning of the response, as far as it is shown and stored, with secrets hidden."""


MAX_ERROR_TEXT = 1_000
"""Bytes kept of an unreadable response."""


class Page(NamedTuple, Generic[T]):
    """Part of a list. An empty cursor marks the last page."""

    items: list[T]
    cursor: str


_witness: ContextVar[list[tuple[type, bytes]] | None] = ContextVar("witness", default=None)


@contextmanager
def capture_bodies() -> Iterator[list[tuple[type, bytes]]]:
    """Collect every body that is read inside the block, with the struct it is read as, for `kalshi check schema`."""
    seen: list[tuple[type, bytes]] = []
    token = _witness.set(seen)
    try:
        yield seen
    finally:
        _witness.reset(token)


def read(decoder: msgspec.json.Decoder[W], convert: Callable[[W], T], body: bytes, what: str) -> T:
    """Decode and convert a body; every failure raises ResponseFormatError, whatever the bytes."""
    seen = _witness.get()
    if seen is not None:
        seen.append((decoder.type, body))
    try:
        return convert(decoder.decode(body))
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        unreadable = ResponseFormatError(
            f"The exchange's response about {what} cannot be read: {str(error)[:300]}",
            hint="try again; if the error persists, the exchange changed its format and kalshi needs an update",
        )
        unreadable.said = safe_text(redact(body[: 4 * MAX_ERROR_TEXT].decode(errors="replace")), MAX_ERROR_TEXT)
        raise unreadable from error


class _Done(msgspec.Struct):
    error: object = None


_done_body = msgspec.json.Decoder(prepared(_Done))


def read_done(body: bytes, what: str) -> None:
    """Check `{}`, with which the exchange confirms a write. An empty response comes from a gateway."""

    def convert(wire: _Done) -> None:
        """Make a struct from the wire fields of the same name, each by its unit, and from the values already `made`."""
        if wire.error is not None:
            raise ValueError("it contains an error")

    read(_done_body, convert, body, what)


# A stream repeats itself: 19 of 20 values were seen before, and a lookup costs a tenth of parsing. The size is bounded
# so that a hostile stream cannot fill the memory.
_MAX_KNOWN = 20_000
known_prices: dict[str, Price] = {}
known_counts: dict[str, Qty] = {}


class ParsedTexts(dict[str, T]):
    """A parser that remembers: `prices["0.4700"]` parses a text once. For lists, whose values repeat as well."""

    def __init__(self, parse: Callable[[str], T]) -> None:
        self._parse = parse

    def __missing__(self, text: str) -> T:
        value = self._parse(text)
        if len(self) < _MAX_KNOWN:
            self[text] = value
        return value


def parse_book_price(text: str) -> Price:
    """Return a price that can rest in an order book: strictly between zero and one dollar."""
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
    """Return a price from zero to one dollar, both included, as of a settled contract."""
    price = parse_price(text)
    if not 0 <= price <= ONE_DOLLAR:
        raise ValueError(f"a price outside [0, 1]: {text!r}")
    return price


def quote_price(text: str) -> Price | None:
    """Return a price of a summary. The exchange writes an empty side as 0.0000 or 1.0000, which become None."""
    price = outcome_price(text)
    return price if 0 < price < ONE_DOLLAR else None


def count(text: str) -> Qty:
    """Return a count that may be negative: `"-3.00"` -> Qty(-300)."""
    qty = known_counts.get(text)
    if qty is None:
        qty = parse_qty(text)
        if len(known_counts) < _MAX_KNOWN:
            known_counts[text] = qty
    return qty


def parse_non_negative_count(text: str) -> Qty:
    """Return a count that is an amount, not a change."""
    qty = count(text)
    if qty < 0:
        raise ValueError(f"a negative count: {text!r}")
    return qty


def quote_size(text: str) -> Qty:
    """Return the size of a quote; negative ones, which the demo exchange has shown (14 June 2026), become zero."""
    return max(count(text), Qty(0))


def integer_cents(value: int) -> Money:
    """Convert whole cents: `balance`, `portfolio_value`, settlement `revenue`."""
    return Money(value * 10_000)


def seconds(value: int) -> Ts:
    """Convert Unix seconds to milliseconds."""
    return Ts(value * 1000)


def book_side(book: str | None, outcome: str | None) -> Side:
    """Return the side of an order, fill or trade from `book_side`, or else from `outcome_side`."""
    if book == "bid" or (book is None and outcome == "yes"):
        return BID
    if book == "ask" or (book is None and outcome == "no"):
        return ASK
    raise ValueError(f"no direction in book_side={book!r} outcome_side={outcome!r}")


def order_status(status: str, why: str = "") -> OrderStatus:
    """Return the status of an order; an unknown one is UNKNOWN, which counts as live until a read says otherwise."""
    if status == "canceled":
        return OrderStatus.EXPIRED if why == "ExpiryCancel" else OrderStatus.CANCELED
    return {"resting": OrderStatus.RESTING, "executed": OrderStatus.FILLED}.get(status, OrderStatus.UNKNOWN)


def reduced(status: OrderStatus, initial: Qty, filled: Qty, remaining: Qty) -> Qty:
    """Return the contracts removed without a trade. An ended order has none remaining, so all unfilled ones count."""
    gone = Qty(initial - filled - (remaining if status.is_live else 0))
    if gone < 0:
        raise ValueError(f"filled {format_qty(filled)} + remaining exceed the requested {format_qty(initial)}")
    return gone


class PriceRange(msgspec.Struct, frozen=True, gc=False):
    """A band of the price grid in JSON."""

    start: str
    end: str
    step: str


class ShardAmount(msgspec.Struct):
    """Dollars on one shard, in JSON."""

    exchange_index: int
    balance: str


def by_shard(amounts: Sequence[ShardAmount] | None) -> dict[int, Money]:
    """Return the amount on each shard."""
    return {each.exchange_index: parse_money(each.balance) for each in amounts or ()}


def yes_cost(side: Side, filled: Qty, *paid: str) -> Money:
    """Return the cost of fills at YES prices. The exchange states the amount paid, and an ask pays the price of NO."""
    total = sum(parse_money(part) for part in paid)
    return Money(total if side is BID else ONE_DOLLAR * filled - total)


@lru_cache(maxsize=256)  # a dozen grids serve fifty thousand markets
def grid_of(ranges: tuple[PriceRange, ...]) -> PriceGrid:
    """Return the valid prices. Only the bands count: structure names were added and changed their meaning."""
    if not ranges:
        raise ValueError("no price band")
    bands = []
    for each in ranges:
        start, end, step = outcome_price(each.start), outcome_price(each.end), outcome_price(each.step)
        if start > end or step == 0:
            raise ValueError(f"impossible price band: {each.start} to {each.end} in steps of {each.step}")
        bands.append(PriceBand(start, end, step))
    return PriceGrid(tuple(bands))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ts_of(moment: datetime) -> Ts:
    """Return milliseconds since 1970, floored."""
    since = moment - _EPOCH
    return Ts((since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000)


def parse_optional_time(moment: datetime | None) -> Ts | None:
    """Return the time in milliseconds, or None."""
    return None if moment is None else ts_of(moment)


# -- whole structs ------------------------------------------------------------------------------------------------


class Unit(NamedTuple):
    """Conversion of a wire field to a core field: by `convert`, or `empty` if the exchange sends null."""

    convert: Callable[[Any], object]
    empty: object = None


Moment = Annotated[datetime, msgspec.Meta(tz=True), Unit(ts_of)]
"""RFC 3339 in JSON; a time without a zone is refused."""
Seconds = Annotated[int, Unit(seconds)]
Cents = Annotated[int, Unit(integer_cents)]
CentiCents = Annotated[int, Unit(lambda value: Money(value * 100))]
Dollars = Annotated[str, Unit(parse_money)]
Count = Annotated[str, Unit(parse_non_negative_count)]
Text = Annotated[str | None, Unit(str, "")]
Number = Annotated[int | None, Unit(int, 0)]
Names = Annotated[tuple[str, ...] | None, Unit(tuple, ())]
OptionalPrice = Annotated[str | None, Unit(lambda text: outcome_price(text) if text else None)]
OptionalGrid = Annotated[tuple[PriceRange, ...] | None, Unit(lambda ranges: grid_of(ranges) if ranges else None)]
Json = dict[str, object]
Object = Annotated[Json | None, Unit(dict, {})]


class Wire(NamedTuple):
    """The JSON type of a field, and its default if it is missing."""

    hint: Any
    default: Any = msgspec.NODEFAULT


TsOfMoment = Annotated[Ts, Wire(Moment)]
OptionalTsOfMoment = Annotated[Ts | None, Wire(Moment | None, None)]
TsOfSeconds = Annotated[Ts, Wire(Seconds)]
OptionalTsOfSeconds = Annotated[Ts | None, Wire(Seconds | None, None)]
MoneyOfCents = Annotated[Money, Wire(Cents)]
MoneyOfDollars = Annotated[Money, Wire(Dollars)]
QtyOfCount = Annotated[Qty, Wire(Count)]
TextOrNull = Annotated[str, Wire(Text, None)]
JsonOrNull = Annotated[Json, Wire(Object, None)]


@cache
def wire_of(kind: Any, *more: tuple[Any, ...]) -> type[Any]:
    """Return the struct that JSON of this struct is decoded as: each field in its `Wire` type, else in its own.

    `more` are fields of the JSON that the struct itself does not have: name, type, and default unless required.
    """
    hints = get_type_hints(kind, include_extras=True)
    fields = [*more]
    for each in msgspec.structs.fields(kind):
        given = getattr(hints[each.name], "__metadata__", ())
        wire = next((part for part in given if isinstance(part, Wire)), Wire(hints[each.name]))
        default = wire.default if each.default is msgspec.NODEFAULT else each.default
        fields.append((each.name, wire.hint, msgspec.field(name=each.encode_name, default=default)))
    return msgspec.defstruct(f"{kind.__name__}Body", fields, kw_only=True, gc=False)


def of(kind: type[S]) -> tuple[type[Any], Callable[[Any], S]]:
    """Return the wire struct of a struct, and the conversion to it."""
    return wire_of(kind), partial(convert, kind)


def many(kind: type[msgspec.Struct]) -> Wire:
    """Return the wire type of a tuple of such structs."""
    wire, make = of(kind)
    return Wire(Annotated[list[wire], Unit(lambda found: tuple(map(make, found)))])  # type: ignore[valid-type]


def convert(kind: type[S], wire: msgspec.Struct, /, **made: object) -> S:
    """Make a struct of ours: from the fields of the same name, each by its unit, and from those already `made`."""
    for name, unit in _units(type(wire), kind):
        if name not in made:
            value = getattr(wire, name)
            if unit is not None:
                value = unit.empty if value is None else unit.convert(value)
            made[name] = value
    return kind(**made)


@cache
def _units(wire: type[msgspec.Struct], kind: Any) -> list[tuple[str, Unit | None]]:
    """Return the fields that both structs have, in the order of `kind`."""
    hints = get_type_hints(wire, include_extras=True)
    return [(name, _unit(hints[name])) for name in kind.__struct_fields__ if name in hints]


def _unit(hint: Any) -> Unit | None:
    """Return the unit of a field, also of an optional one."""
    parts = (hint, *get_args(hint))
    return next((each for part in parts for each in getattr(part, "__metadata__", ()) if isinstance(each, Unit)), None)


# -- whole bodies -------------------------------------------------------------------------------------------------
# A decoder is made when first used: all of them take 4 ms, and a command needs one or two.

encoder = msgspec.json.Encoder()


def body_of(fields: Json, **optional: object) -> bytes:
    """Return the body of a request: these fields, and the optional ones that are not empty, zero or false."""
    return encoder.encode(fields | {name: value for name, value in optional.items() if value})


def whole(wire: type[W], make: Callable[Concatenate[W, P], T], what: str) -> Callable[Concatenate[bytes, P], T]:
    """Return the reader of a body that is one object; what it is given besides the body goes to `make`."""
    decoder = cache(lambda: msgspec.json.Decoder(prepared(wire)))

    def read_body(body: bytes, /, *known: P.args, **more: P.kwargs) -> T:
        return read(decoder(), lambda found: make(found, *known, **more), body, what)

    return read_body


def single(key: str, wire: type[W], make: Callable[[W], T], what: str) -> Callable[[bytes], T]:
    """Return the reader of a body with one object below `key`."""
    decoder = _decoder((key, wire))
    return lambda body: read(decoder(), lambda found: make(getattr(found, key)), body, what)


def listed(
    key: str, wire: type[W], make: Callable[[W], T], what: str, *, is_required: bool = False
) -> Callable[[bytes], list[T]]:
    """Return the reader of a body with a whole list below `key`; null or a missing key is an empty list."""
    decoder = _decoder(_items(key, wire, is_required))
    return lambda body: read(decoder(), lambda found: [make(each) for each in getattr(found, key) or ()], body, what)


def paged(
    key: str, wire: type[W], make: Callable[[W], T], what: str, *, is_required: bool = False, cursor: str = "cursor"
) -> Callable[[bytes], Page[T]]:
    """Return the reader of a body with a part of a list below `key`, and the cursor of the next part."""
    decoder = _decoder(_items(key, wire, is_required), (cursor, str | None, None))

    def page(found: Any) -> Page[T]:
        return Page([make(each) for each in getattr(found, key) or ()], getattr(found, cursor) or "")

    return lambda body: read(decoder(), page, body, what)


def _items(key: str, wire: Any, is_required: bool) -> tuple[Any, ...]:
    return (key, list[wire]) if is_required else (key, list[wire] | None, None)


def _decoder(*fields: tuple[Any, ...]) -> Callable[[], msgspec.json.Decoder[Any]]:
    return cache(lambda: msgspec.json.Decoder(prepared(msgspec.defstruct("Body", fields))))
