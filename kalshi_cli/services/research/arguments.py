"""The arguments of research in Python: what is given is checked here, so that a wrong one is a UsageError."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from kalshi_cli.base.checked import check_period
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.config.schema import MAX_INTERVAL_S

if TYPE_CHECKING:
    from kalshi_cli.services.research.backtest import FillChoice

MAX_LATENCY_MS = 60_000


def strategy_of(given: object) -> str:
    """Return the name of a strategy; UsageError for a class, which no other process could load."""
    if isinstance(given, str):
        return given
    name = given.__name__ if isinstance(given, type) else type(given).__name__
    raise UsageError(
        f"A strategy is named by a text, not by the class {name}: worker processes load it from a file",
        hint=f"write it to a file, such as fade.py (in a notebook with %%writefile), and pass './fade.py:{name}'",
    )


def paths_of(given: object, name: str) -> tuple[Path, ...]:
    """Return paths; one alone may be given without a list. UsageError for anything else."""
    if isinstance(given, str | os.PathLike):
        return (Path(given),)
    found: list[Any] = list(given) if isinstance(given, Iterable) and not isinstance(given, dict | bytes) else [given]
    wrong = next((each for each in found if not isinstance(each, str | os.PathLike)), None)
    if wrong is not None:
        raise UsageError(f"{name} takes paths of files, not {wrong!r:.80}", hint=f"{name}=['file'], or a single path")
    return tuple(map(Path, found))


def latency_of(given: object) -> int | None:
    """Return a latency in milliseconds; None for the recorded distribution. UsageError for anything else."""
    if given is None or given == "recorded":
        return None
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= MAX_LATENCY_MS:
        raise UsageError(
            f"Invalid latency_ms: {given!r:.80}",
            hint=f"use milliseconds up to {MAX_LATENCY_MS}, or None for the recorded distribution",
        )
    return given


def interval_of(given: object) -> float | None:
    """Return the seconds between two ticks; None for those of a run. UsageError for anything else."""
    if given is None:
        return None
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0 < given <= MAX_INTERVAL_S:
        raise UsageError(f"Invalid interval_s: {given!r:.80}", hint=f"use up to {MAX_INTERVAL_S} seconds, as a run")
    return given


def fills_of(given: object) -> FillChoice:
    """Return a fill model. UsageError for an unknown one."""
    from kalshi_cli.services.research.backtest import FillChoice

    if given not in get_args(FillChoice):
        raise UsageError(f"Invalid fills: {given!r:.80}", hint=f"use {', '.join(get_args(FillChoice))}")
    return cast(FillChoice, given)


def ts_of(moment: Any) -> Ts | None:
    """Return the time of a datetime, or of text such as `2026-05-11T15:00:00Z`.

    UsageError for one without a zone, and for anything else.
    """
    if moment is None:
        return None
    if isinstance(moment, str):
        with suppress(ValueError):
            return parse_ts(moment)
    if not isinstance(moment, datetime):
        hint = "datetime(2026, 5, 11, tzinfo=UTC), or text with a zone: 2026-05-11T15:00:00Z"
        raise UsageError(f"{moment!r:.80} is not a time with a zone", hint=hint)
    if moment.tzinfo is None:
        raise UsageError(f"{moment} has no time zone", hint="datetime(2026, 5, 11, tzinfo=UTC)")
    return Ts(int(moment.timestamp() * 1000))


def period_of(since: Any, until: Any) -> tuple[Ts | None, Ts | None]:
    """Return a period of datetimes, or of `Ts` as the command gives them. UsageError if it ends before it starts."""
    start, end = (Ts(each) if type(each) is int else ts_of(each) for each in (since, until))
    check_period(start, end)
    return start, end


def number_of(given: object, name: str, most: int) -> int:
    """Return a whole number from 1 to `most`. UsageError for anything else."""
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= most:
        raise UsageError(f"Invalid {name}: {given!r:.80}", hint=f"use 1 to {most}")
    return given


def texts_of(given: object, name: str) -> tuple[str, ...]:
    """Return texts, such as `buy_below=20c..40c`; one alone may be given without a list. UsageError for others."""
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list | tuple) else None
    if found is None or not all(isinstance(each, str) for each in found):
        raise UsageError(f"{name} takes texts, not {given!r:.80}", hint=f"{name}=['buy_below=20c..40c']")
    return cast("tuple[str, ...]", found)


def names_of(given: object, name: str, accepted: str) -> tuple[str, ...]:
    """Return names, of any collection; one alone may be given as a text. UsageError that shows what is accepted."""
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else None
    if found is None or not all(isinstance(each, str) for each in found):
        raise UsageError(f"{name} takes names, not {given!r:.80}", hint=accepted)
    return cast("tuple[str, ...]", found)
