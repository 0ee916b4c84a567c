"""The base of what services return: one typed struct for each thing, its fields named as in JSON.

A field's declared type decides how it is written (see `formats`). Names, types and their order are a contract: adding
is free, renaming is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, reduce
from operator import attrgetter
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, get_origin

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.views.formats import ShortId, TruncatableText, inner_row, without_none

Outcome = Literal["yes", "no"]
Action = Literal["buy", "sell"]


class OutputRow(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every view. `shown` are the columns of a list on a terminal, what a person decides by first (a narrow
    one leaves out the last); without them, all. `screen` are the lines of one object there, without those that are
    missing; without it, all. `vital` are columns that stay however narrow the screen is. Prose that does not fit is
    cut; with `wraps` it goes on below. `named` says where a field is found that its source calls otherwise: a name,
    or a path like `market.ticker`.
    """

    shown: ClassVar[tuple[str, ...]] = ()
    screen: ClassVar[tuple[str, ...]] = ()
    vital: ClassVar[tuple[str, ...]] = ()
    wraps: ClassVar[bool] = False
    named: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @classmethod
    def of(cls, source: object, **given: object) -> Self:
        """Return the view of `source`, with the fields that are given instead of its own.

        An empty text or moment is missing where the view allows that; what is inside becomes views of its own. A view
        of which this is a kind gives its fields as they are.
        """
        if isinstance(source, OutputRow) and issubclass(cls, type(source)):
            return source if type(source) is cls and not given else cls(**{**msgspec.structs.asdict(source), **given})
        return cls(**{name: read(source) for name, read in _readers(cls) if name not in given}, **given)


def names(**paths: str) -> MappingProxyType[str, str]:
    """Return where fields are found, for `named`."""
    return MappingProxyType(paths)


@cache
def _readers(of: type[OutputRow]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    fields = msgspec.structs.fields(of)
    return tuple((field.name, _reader(of.named.get(field.name, field.name), field.type)) for field in fields)


def _reader(path: str, kind: Any) -> Callable[[Any], Any]:
    """Return what reads a field of this type; nothing comes of a path through nothing."""
    names, inner = path.split("."), inner_row(kind)

    def follow(source: Any) -> Any:
        return reduce(lambda part, name: None if part is None else getattr(part, name), names, source)

    find = attrgetter(path) if len(names) == 1 else follow
    if inner is not None and issubclass(inner, OutputRow):
        return lambda source: tuple(map(inner.of, find(source)))
    if get_origin(kind) is tuple and len(names) == 1:
        return lambda source: find(source) or ()
    if without_none(kind) is not kind and without_none(kind) in (str, ShortId, TruncatableText, Ts):
        return lambda source: find(source) or None
    return find


def own_price(side: Outcome, price: Price) -> Price:
    """Return a YES price as the price of this side."""
    return price if side == "yes" else Price(ONE_DOLLAR - price)
