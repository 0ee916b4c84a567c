"""Runs of one check do not overlap; how often one was skipped, or could not look, in a row.

Beside the state file and not in it: a check must be able to say that the state file is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import AnotherInstanceError, StateFileError
from kalshi_cli.core.monitoring.check_report import CheckReport, Measure, Verdict, report
from kalshi_cli.store.lock import LockHolder, holder, lock
from kalshi_cli.store.shared_counters import SharedCounters

MAX_SKIPPED = 3
"""Runs that find the one before still at work, in a row; more are a breach."""

DOUBTS = 2
"""Runs in a row that could not look: so many are a breach."""


class CheckRun(msgspec.Struct, frozen=True):
    """Whether it is ours; else who holds it."""

    is_ours: bool
    who: LockHolder | None = None


class PreviousRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Whether too many runs were skipped up to this one, and too many up to this one could not find out."""

    was_skipped: bool
    is_doubted: bool


class CheckRunLock:
    """The turns of one check in one environment. `tell` hears where the folder cannot be written."""

    def __init__(self, folder: Path, check: str, clock: Clock, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._check = check
        self._clock = clock
        self._tell = tell

    @contextmanager
    def taken(self) -> Iterator[CheckRun]:
        """Take the turn, or learn who has it. Without a place for a lock the check goes on: it only looks."""
        path = self._folder / f"{self._check}.lock"
        with ExitStack() as stack:
            turn = CheckRun(is_ours=True)
            try:
                stack.enter_context(lock(path, self._clock))
            except AnotherInstanceError:
                turn = CheckRun(is_ours=False, who=holder(path))
            except StateFileError as error:
                self._tell(f"runs of this check may overlap: {error.message}")
            yield turn

    @property
    def source(self) -> str:
        """Under which name it is told that runs are skipped."""
        return f"check {self._check} turns"

    def skipped(self, turn: CheckRun) -> tuple[CheckReport, PreviousRuns]:
        """The outcome of a run that was not let in."""
        times, _ = self._count(lambda skipped, doubts: (skipped + 1, doubts))
        many = Measure(label="skipped", value=times, crit=str(MAX_SKIPPED))
        breaches = many.breach("CHECK_SKIPPED", self._check, f"{times} in a row")
        summary = f"already running ({turn.who or 'it has just ended'})"
        return report(self._check, summary, breaches, [many]), PreviousRuns(
            was_skipped=bool(breaches), is_doubted=False
        )

    def looked(self, verdict: Verdict) -> PreviousRuns:
        """Count a run that was let in."""
        before: list[int] = []

        def change(skipped: int, doubts: int) -> tuple[int, int]:
            before.append(skipped)
            return 0, doubts + 1 if verdict is Verdict.UNKNOWN else 0

        _, doubts = self._count(change)
        return PreviousRuns(was_skipped=before[-1] > MAX_SKIPPED, is_doubted=doubts >= DOUBTS)

    def _count(self, change: Callable[[int, int], tuple[int, int]]) -> tuple[int, int]:
        """The counts after the change. Where they cannot be kept, each run is taken for one too many."""
        numbers = SharedCounters(self._folder / f"{self._check}.counts", 2, self._clock)
        try:
            with numbers.held() as kept:
                kept[:] = change(int(kept[0]), int(kept[1]))
                return int(kept[0]), int(kept[1])
        except StateFileError:
            return change(MAX_SKIPPED, DOUBTS)
        finally:
            numbers.close()
