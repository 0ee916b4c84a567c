"""The base of what services return: one typed struct for each thing, its fields named as in JSON.

A field's declared type decides how it is written (see `formats`); `shown` names the columns of a terminal table, the
most important first, where the row has more than a screen is wide. Names and types are a contract: adding is free,
renaming is not.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price

Outcome = Literal["yes", "no"]
Action = Literal["buy", "sell"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything printed. `shown` are the columns of a list on a terminal, what a person decides by first (a
    narrow one leaves out the last); without them, all. `screen` are the lines of one object there, without those that
    are missing; without it, all. `vital` are columns that stay however narrow the screen is. Prose
    that does not fit is cut; with `wraps` it goes on below.
    """

    shown: ClassVar[tuple[str, ...]] = ()
    screen: ClassVar[tuple[str, ...]] = ()
    vital: ClassVar[tuple[str, ...]] = ()
    wraps: ClassVar[bool] = False

    @classmethod
    def of(cls, source: object, **given: object) -> Self:
        """A row of what `source` calls by the same names, and of what is given."""
        names = (name for name in cls.__struct_fields__ if name not in given)
        return cls(**{name: getattr(source, name) for name in names}, **given)


def own_price(side: Outcome, price: Price) -> Price:
    """A YES price as the price of this side."""
    return price if side == "yes" else Price(ONE_DOLLAR - price)
