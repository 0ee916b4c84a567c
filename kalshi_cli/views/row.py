"""The base of views: one typed struct for each thing, with fields named as in JSON.

A field's declared type decides its format (see `formats`). Names, types and their order are a contract: adding is free,
renaming is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, reduce
from operator import attrgetter
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, get_origin

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.order_terms import outcome_price
from kalshi_cli.views.formats import ShortId, TruncatableText, inner_row, without_none

Outcome = Literal["yes", "no"]
Action = Literal["buy", "sell"]


class OutputRow(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every view.

    `shown` are the columns of a list on a terminal, the most important first (a narrow terminal leaves out the last);
    all, if empty. `piped` are those of a list in a pipe; all, if empty. `screen` are the lines of one object on a
    terminal, without missing values; all, if empty. `vital` are columns that are never left out while they have a
    value, and `together` are shown all or not at all. Long text is cut; with `wraps` it goes on in the next line,
    and `breaks_words` lets that break names and paths too.
    `named` maps a field to the name, or the path like `market.ticker`, that its source uses, and `fields` a column to
    the name that `--fields` takes for it. `rows_title` is the heading of its `rows` on a terminal, and `headings` has
    those of fields that mean something else here. `listed` is the field whose rows are printed as CSV, instead of the
    object, where the view has that field. `sentences` are fields of several texts that a pipe shows one a line.
    """

    shown: ClassVar[tuple[str, ...]] = ()
    piped: ClassVar[tuple[str, ...]] = ()
    screen: ClassVar[tuple[str, ...]] = ()
    vital: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[tuple[str, ...]] = ()
    wraps: ClassVar[bool] = False
    breaks_words: ClassVar[bool] = False
    named: ClassVar[Mapping[str, str]] = MappingProxyType({})
    fields: ClassVar[Mapping[str, str]] = MappingProxyType({})
    rows_title: ClassVar[str] = ""
    headings: ClassVar[Mapping[str, str]] = MappingProxyType({})
    listed: ClassVar[str] = "rows"
    sentences: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def of(cls, source: object, **given: object) -> Self:
        """Return the view of `source`; the given fields replace those of the source.

        An empty text or time is missing where the view allows that; nested objects become views. A source that is a
        base view of this one gives its fields unchanged.
        """
        if isinstance(source, OutputRow) and issubclass(cls, type(source)):
            return source if type(source) is cls and not given else cls(**{**msgspec.structs.asdict(source), **given})
        return cls(**{name: read(source) for name, read in _readers(cls) if name not in given}, **given)


def names(**paths: str) -> MappingProxyType[str, str]:
    """Return the sources of fields, for `named`."""
    return MappingProxyType(paths)


@cache
def _readers(of: type[OutputRow]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    fields = msgspec.structs.fields(of)
    return tuple((field.name, _reader(of.named.get(field.name, field.name), field.type)) for field in fields)


def _reader(path: str, kind: Any) -> Callable[[Any], Any]:
    """Return the function that reads a field of this type; a path through None gives None."""
    names, inner = path.split("."), inner_row(kind)

    def follow(source: Any) -> Any:
        return reduce(lambda part, name: None if part is None else getattr(part, name), names, source)

    find = attrgetter(path) if len(names) == 1 else follow
    if inner is not None and issubclass(inner, OutputRow):
        return lambda source: tuple(map(inner.of, find(source)))
    if get_origin(kind) is tuple and len(names) == 1:
        return lambda source: find(source) or ()
    if without_none(kind) != kind and without_none(kind) in (str, ShortId, TruncatableText, Ts):
        return lambda source: find(source) or None
    return find


def own_price(side: Outcome, price: Price) -> Price:
    """Return a YES price as the price of this side."""
    return outcome_price(side, price)


def own_amount(side: Outcome, amount: Money, count: Qty) -> Money:
    """Return the YES amount of this many contracts as the amount of this side."""
    return amount if side == "yes" else Money(notional(ONE_DOLLAR, count) - amount)
