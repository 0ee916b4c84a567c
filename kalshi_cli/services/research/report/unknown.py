"""The lines of a report that name what its data does not say. Those of several runs add up."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.base.units import Money, Qty, pluralize, show_money, show_qty

DEFAULT_AGE_S = 10.0
"""The age from which an outside price counts as missing for a strategy that never called `view.spot`."""


class UnknownData(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the data of a run does not say.

    `words` may contain `{missing}` and `{markets}`, the numbers of these markets, `{contracts}`, `{value}`, `{times}`,
    `{gaps}`, `{lost}` and `{lost_of}`, the lost part of `whole_s`; also `{age}`, the largest age that a run accepted,
    `{first}`, what the first run says, and `{others}`, how many more say the like. A market counts once, however many
    runs have it.
    """

    words: str
    missing: frozenset[str] = frozenset()
    markets: frozenset[str] = frozenset()
    qty: Qty = Qty(0)
    value: Money = Money(0)
    times: int = 0
    lost_s: float = 0.0
    whole_s: float = 0.0
    age_s: float = 0.0
    first: str = ""

    @property
    def is_known(self) -> bool:
        """Return whether nothing is missing. Such a part has no line, but its numbers count in a sum of runs."""
        return ("{missing}" in self.words and not self.missing) or ("{lost_of}" in self.words and self.lost_s < 1)

    @property
    def is_whole(self) -> bool:
        """Return whether an input was missing in the whole recording."""
        return "{lost_of}" in self.words and self.lost_s >= self.whole_s

    @property
    def line(self) -> str:
        """Return the words with their numbers."""
        lost = f"{self.lost_s:,.1f} s"
        numbers = {
            "{missing}": str(len(self.missing)),
            "{markets}": pluralize(len(self.markets), "market"),
            "{contracts}": show_qty(self.qty),
            "{value}": show_money(self.value),
            "{times}": pluralize(self.times, "time"),
            "{gaps}": pluralize(self.times, "gap"),
            "{lost}": lost,
            "{lost_of}": f"all {lost}" if self.is_whole else f"{lost} of {self.whole_s:,.1f} s",
            "{age}": f"{self.age_s or DEFAULT_AGE_S:g} s",
            "{first}": self.first,
            "{others}": f"; the same in {pluralize(self.times - 1, 'other run')}" if self.times > 1 else "",
        }
        line = self.words
        for name, number in numbers.items():
            line = line.replace(name, number)
        return line


def add_up(parts: Iterable[UnknownData]) -> tuple[UnknownData, ...]:
    """Return the sum of those with equal words, in the order of the first ones."""
    found: dict[str, UnknownData] = {}
    for part in parts:
        known = found.get(part.words)
        found[part.words] = part if known is None else UnknownData(
            words=part.words,
            missing=known.missing | part.missing,
            markets=known.markets | part.markets,
            qty=Qty(known.qty + part.qty),
            value=Money(known.value + part.value),
            times=known.times + part.times,
            lost_s=known.lost_s + part.lost_s,
            whole_s=known.whole_s + part.whole_s,
            age_s=max(known.age_s, part.age_s),
            first=known.first,
        )  # fmt: skip
    return tuple(found.values())


def lines_of(parts: Iterable[UnknownData]) -> tuple[str, ...]:
    """Return the lines of what is missing; first an input that was missing in the whole recording."""
    found = [part for part in parts if not part.is_known]
    return tuple(part.line for part in sorted(found, key=lambda part: not part.is_whole))
