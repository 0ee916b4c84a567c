"""A lock against overlapping runs of a check, and counts of skipped and `unknown` runs in a row.

Both are files next to the state file: a check must be able to report that the state file is broken.
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
"""Skipped runs in a row that are no breach: the previous run was still in progress."""

DOUBTS = 2
"""Runs in a row with the verdict `unknown` that are a breach."""


class CheckRun(msgspec.Struct, frozen=True):
    """The result of taking the lock: whether this run has it, else its holder."""

    is_ours: bool
    who: LockHolder | None = None


class PreviousRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The count limits: too many runs before this one were skipped, or too many including it were `unknown`."""

    was_skipped: bool
    is_doubted: bool


class CheckRunLock:
    """The lock and the counts of one check in one environment. `tell` gets a warning if the folder is not writable."""

    def __init__(self, folder: Path, check: str, clock: Clock, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._check = check
        self._clock = clock
        self._tell = tell

    @contextmanager
    def taken(self) -> Iterator[CheckRun]:
        """Take the lock, or return its holder. If no lock can be created the check still runs: it only reads."""
        path = self._folder / f"{self._check}.lock"
        with ExitStack() as stack:
            turn = CheckRun(is_ours=True)
            try:
                stack.enter_context(lock(path, self._clock))
            except AnotherInstanceError:
                turn = CheckRun(is_ours=False, who=holder(path))
            except StateFileError as error:
                self._tell(f"Runs of this check may overlap: {error.message}")
            yield turn

    @property
    def source(self) -> str:
        """Return the name under which skipped runs are reported."""
        return f"check {self._check} turns"

    def skipped(self, turn: CheckRun) -> tuple[CheckReport, PreviousRuns]:
        """Count a skipped run and return its report, which is `unknown`, or critical after too many."""
        times, _ = self._count(lambda skipped, doubts: (skipped + 1, doubts))
        many = Measure(label="skipped", value=times, crit=str(MAX_SKIPPED))
        breaches = many.breach("CHECK_SKIPPED", self._check, f"{times} in a row")
        summary = f"already running ({turn.who or 'just ended'})"
        found = report(self._check, summary, breaches, [many])
        if not breaches:  # It knows nothing, and one overlap needs no notice.
            found = msgspec.structs.replace(found, verdict=Verdict.UNKNOWN, runbook="could-not-look")
        return found, PreviousRuns(was_skipped=bool(breaches), is_doubted=False)

    def looked(self, verdict: Verdict) -> PreviousRuns:
        """Count a run that was not skipped."""
        before: list[int] = []

        def change(skipped: int, doubts: int) -> tuple[int, int]:
            before.append(skipped)
            return 0, doubts + 1 if verdict is Verdict.UNKNOWN else 0

        _, doubts = self._count(change)
        return PreviousRuns(was_skipped=before[-1] > MAX_SKIPPED, is_doubted=doubts >= DOUBTS)

    def _count(self, change: Callable[[int, int], tuple[int, int]]) -> tuple[int, int]:
        """Change the counts and return them. If they cannot be saved, each run counts as one too many."""
        numbers = SharedCounters(self._folder / f"{self._check}.counts", 2, self._clock)
        try:
            with numbers.held() as kept:
                kept[:] = change(int(kept[0]), int(kept[1]))
                return int(kept[0]), int(kept[1])
        except StateFileError:
            return change(MAX_SKIPPED, DOUBTS)
        finally:
            numbers.close()
