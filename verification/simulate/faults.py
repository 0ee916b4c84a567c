"""The planned faults that are due, and their counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from verification.simulate.plan import Fault, Kind
from verification.simulate.vtime import Timeline


class Faults:
    """The plan, as it is used up."""

    def __init__(self, faults: Iterable[Fault], timeline: Timeline) -> None:
        self._left: list[list[Any]] = [[fault, fault.count] for fault in faults]
        self._timeline = timeline
        self.outage_until = 0.0
        self.cached_until = 0.0
        self.answered: dict[str, list[httpx.Response]] = {}
        """What each question was answered with, the last twenty times: the cache on the way of all programs."""
        self.is_over = False
        self.missing = 0
        """So many more are wanted where the plan found too little to befall: replies to reads are lost."""

    def take(self, kinds: Mapping[str, Kind], targets: set[str]) -> Fault | None:
        """The first fault of these kinds that is due and fits one of the targets; it is used up by one."""
        if self.is_over:
            return None
        now = self._timeline.seconds
        if now < self.outage_until and "outage" in kinds:
            return Fault(at=now, kind="refuse", target="any")
        if now < self.cached_until and "cache" in kinds:
            return Fault(at=now, kind="cache", target="any")
        for entry in self._left:
            fault, left = entry
            if left and fault.target and fault.at <= now and fault.kind in kinds and fault.target in targets:
                entry[1] -= 1
                return fault
        if self.missing and "drop_reply" in kinds and "read" in targets:
            self.missing -= 1
            return Fault(at=now, kind="drop_reply", target="read")
        return None

    def add(self, fault: Fault) -> None:
        """One that nobody had planned."""
        self._left.append([fault, fault.count])

    def use(self, fault: Fault) -> bool:
        """Use up one that begins by itself; False where it is gone already."""
        for entry in self._left:
            if entry[0] is fault and entry[1]:
                entry[1] -= 1
                return True
        return False

    def starts(self, kinds: Mapping[str, Kind]) -> list[Fault]:
        """Those that begin by themselves, at their time."""
        return [fault for fault, _ in self._left if fault.kind in kinds]
