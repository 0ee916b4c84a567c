"""Time windows of recordings and their scores: parameters are chosen on the past and judged on the next window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Ts, pluralize
from kalshi_cli.feeds.recorded_results import refuse_results
from kalshi_cli.feeds.recording_format import NO_TIME, at_line, decode_line, read_lines
from kalshi_cli.services.research.backtest import BacktestReport, decisive_codes, unknown_data
from kalshi_cli.services.research.report.unknown import UnknownData
from kalshi_cli.services.research.tape_runs import DrawdownSum, extremes

MAX_WINDOWS = 50
"""Time windows of a study, at most."""

FIRST_LINES = 1_000
"""Lines in which the first time of a recording must be."""

FEW_FILLS = 10
"""A chosen variant with fewer fills gets a warning."""

OF_BEST = " of the best variant"
"""The run that a warning of a decisive rule names."""

_COUNTED = ("fees", "orders", "fills", "denied", "intents")
_Variant = TypeVar("_Variant")


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of runs in numbers. `denied_by` are the refusals by code."""

    net: Money
    fees: Money
    max_drawdown: Money
    orders: int
    fills: int
    denied: int = 0
    intents: int = 0
    denied_by: dict[str, int] = {}

    @property
    def doubt(self) -> str | None:
        """Return in short why the result shows little: few fills, or the code that refused most requests."""
        few = [] if self.fills >= FEW_FILLS else ["few fills" if self.fills else "no fills"]
        return ", ".join([*few, *decisive_codes(self.denied_by, self.intents)]) or None


class TapeScore(RunResult, frozen=True, kw_only=True):
    """The result of one recording, small enough to keep for every trial. `high` and `low` are its extreme net.

    `failed` is the error of the strategy; empty if there was none. `unknown` is what the data does not say.
    """

    high: Money
    low: Money
    failed: str = ""
    unknown: tuple[UnknownData, ...] = ()

    @classmethod
    def of(cls, report: BacktestReport) -> TapeScore:
        """Return the score of a report."""
        summary, (high, low) = report.summary, extremes(report)
        return cls(
            net=summary.net, fees=summary.fees, max_drawdown=report.max_drawdown, high=high, low=low,
            orders=summary.orders, fills=summary.fills, denied=sum(summary.denied.values()),
            intents=summary.intents, denied_by=dict(summary.denied),
            failed="; ".join(summary.failed), unknown=unknown_data(report),
        )  # fmt: skip


class WindowScore(RunResult, frozen=True, kw_only=True):
    """The result of the recordings of one window, one after the other."""

    @property
    def score(self) -> Money:
        """Return the net less half of the maximum drawdown."""
        return Money(self.net - self.max_drawdown // 2)

    @classmethod
    def of(cls, tapes: Sequence[TapeScore]) -> WindowScore:
        """Return the sum of these recordings, in order of time."""
        sums, denied_by = DrawdownSum(), Counter[str]()
        for tape in tapes:
            sums.add(tape.net, tape.max_drawdown, tape.high, tape.low)
            denied_by.update(tape.denied_by)
        counts: dict[str, Any] = {name: sum(getattr(tape, name) for tape in tapes) for name in _COUNTED}
        return cls(net=sums.net, max_drawdown=sums.deepest, denied_by=dict(denied_by), **counts)


def median_score(windows: Sequence[WindowScore]) -> Money:
    """Return the median of the scores of these windows."""
    return Money(int(median(window.score for window in windows)))


def rank(found: Iterable[_Variant], of: Callable[[_Variant], tuple[Money, WindowScore]]) -> list[_Variant]:
    """Return variants, the best first. `of` gives the score of each, and its result over all recordings as one.

    The score of all recordings as one decides between equal scores, then the order given. A variant without fills has
    the score 0: it comes after each one that earned, also after one with a deep drawdown.
    """
    ordered = sorted(found, key=lambda each: (-of(each)[0], -of(each)[1].score))
    idle = next((number for number, each in enumerate(ordered) if not of(each)[1].fills), len(ordered))
    return ordered[:idle] + sorted(ordered[idle:], key=lambda each: of(each)[1].net <= 0)


def choice_warnings(fills: int, earned: int) -> list[str]:
    """Return warnings of a chosen variant with few fills, and of a choice between variants none of which earned."""
    none = [] if earned else ["Warning: no variant earned on all recordings together. The best is not to trade"]
    if fills >= FEW_FILLS:
        return none
    traded = f"has {pluralize(fills, 'fill')}: too few to judge it" if fills else "traded nothing"
    return [*none, f"Warning: the best variant {traded}"]


class WindowPlan(msgspec.Struct, frozen=True):
    """Recordings by time: windows for the search, and the latest ones for the holdout. Numbers index `tapes`."""

    tapes: tuple[str, ...]
    windows: tuple[tuple[int, ...], ...]
    holdout: tuple[int, ...]

    def names(self) -> dict[str, str]:
        """Return the recordings of each window and of the holdout, by name; files without their folder."""
        parts = {f"window {number}": window for number, window in enumerate(self.windows, 1)}
        if self.holdout:
            parts["holdout"] = self.holdout
        return {part: ", ".join(Path(self.tapes[each]).name for each in found) for part, found in parts.items()}


def plan_windows(tapes: Sequence[str], starts: Sequence[Ts], windows: int, holdout: float) -> WindowPlan:
    """Split recordings, by name in order of their starts, into windows of nearly equal number and a holdout at the end.

    UsageError if there are fewer recordings than windows and holdout need.
    """
    ordered = [tape for _, tape in sorted(zip(starts, tapes, strict=True))]
    kept = max(1, round(len(ordered) * holdout)) if holdout else 0
    searched = len(ordered) - kept
    if searched < windows:
        raise UsageError(
            f"{pluralize(len(ordered), 'recording')} cannot fill {windows} windows"
            + (f" and a holdout of {kept}" if kept else ""),
            hint="make more recordings, or use fewer windows: --windows N, --holdout 0",
        )
    edges = [number * searched // windows for number in range(windows + 1)]
    return WindowPlan(
        tuple(ordered),
        tuple(tuple(range(first, last)) for first, last in pairwise(edges)),
        tuple(range(searched, len(ordered))),
    )


def shared_between_windows(plan: WindowPlan, markets: Sequence[Iterable[str]]) -> tuple[str, ...]:
    """Return the markets that more than one window or the holdout has. `markets` are those of each recording."""
    windows = [{ticker for tape in window for ticker in markets[tape]} for window in (*plan.windows, plan.holdout)]
    times = Counter(chain.from_iterable(windows))
    return tuple(sorted(ticker for ticker, count in times.items() if count > 1))


def start_of(path: Path) -> Ts:
    """Return the time of the first line of a recording. UsageError if its first lines have none."""
    refuse_results(path)
    for number, line in read_lines(path):
        try:
            found = decode_line(line).recv_ts
        except (msgspec.DecodeError, RecursionError) as error:
            raise at_line(path, number, error) from None
        if found != NO_TIME:
            return found
        if number >= FIRST_LINES:
            break
    raise UsageError(
        f"{path}: no line has a time, so its window is unknown",
        hint="use a file that `kalshi record` wrote",
        code="bad_recording",
    )
