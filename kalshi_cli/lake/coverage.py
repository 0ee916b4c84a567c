"""Coverage: which markets were followed without a gap, from when to when. Times are microseconds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

HOLE_ENDS = frozenset({"gap", "reconnected", "truncated"})
"""Reasons of an end after which messages of a market are missing; `truncated`: its file ends in the middle."""


def count_holes(covered: Iterable[Covered]) -> int:
    """Return the number of ends after which messages of a market are missing, and no other range continues it."""
    ranges = list(covered)
    lost = [one for one in ranges if one.ended in HOLE_ENDS]
    return len(lost) - len(continued(lost, ranges))


def continued(some: Iterable[Covered], ranges: Iterable[Covered]) -> list[Covered]:
    """Return those ranges after whose end the market goes on to be covered without a gap, by another range."""
    known = CoveredTimes(ranges)
    return [one for one in some if known.has(one.market, one.last + 1)]


class Covered(NamedTuple):
    """A market that was followed without a gap from `first` to `last`, and the reason of the end."""

    market: str
    first: int
    last: int
    ended: str = ""


class CoverageTracker:
    """Collects the coverage of a recording: from a snapshot of a market to a gap, or to the end.

    A loss after the close of a market is no gap: the reason is then `closed`.
    """

    def __init__(self) -> None:
        self.found: list[Covered] = []
        self._since: dict[str, int] = {}
        self._closes: dict[str, int] = {}

    def closes(self, market: str, at: int) -> None:
        """Note when a market closes: no message of it is missing after that."""
        self._closes[market] = at

    def followed(self, market: str, at: int) -> None:
        """Note a snapshot of a market; a later one changes nothing."""
        self._since.setdefault(market, at)

    def lost(self, markets: Iterable[str], last: int, reason: str, begin: int = 0) -> None:
        """Note that messages of these markets were lost: they are covered to `last`, and none is missing to `begin`."""
        for market in markets:
            since = self._since.pop(market, None)
            if since is not None:
                is_closed = market in self._closes and begin >= self._closes[market]
                why = "closed" if is_closed and reason in HOLE_ENDS else reason
                self.found.append(Covered(market, since, max(since, last), why))

    def end(self, last: int, reason: str, noticed: int = 0) -> None:
        """Note the end of a connection or of the recording, which was noticed at `noticed`."""
        self.lost(sorted(self._since), last, reason, max(last, noticed))


class CoveredTimes:
    """The ranges of each market that a lake has, to ask whether a time is among them."""

    def __init__(self, ranges: Iterable[Covered]) -> None:
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        for each in sorted(ranges, key=lambda one: one.first):
            known = self._ranges.setdefault(each.market, [])
            if known and each.first <= known[-1][1]:
                known[-1] = known[-1][0], max(known[-1][1], each.last)
            else:
                known.append((each.first, each.last))

    def __contains__(self, market: str) -> bool:
        return market in self._ranges

    def has(self, market: str, at: int) -> bool:
        """Return whether the market is covered at this time."""
        ranges = self._ranges.get(market)
        if ranges is None:
            return False
        index = bisect_right(ranges, at, key=lambda each: each[0])
        return index > 0 and at <= ranges[index - 1][1]

    def end_before(self, market: str, at: int) -> int:
        """Return the end of the last range of a market that begins by then; `at` without one."""
        begun = [last for first, last in self._ranges.get(market, ()) if first <= at]
        return min(begun[-1], at) if begun else at

    def missing(self, market: str, first: int, last: int) -> list[tuple[int, int]]:
        """Return the parts of a range that are not covered, by time; both ends are included."""
        found: list[tuple[int, int]] = []
        for covered_first, covered_last in self._ranges.get(market, ()):
            if covered_last < first:
                continue
            if covered_first > last:
                break
            if covered_first > first:
                found.append((first, covered_first - 1))
            first = covered_last + 1
        return [*found, (first, last)] if first <= last else found
