"""Recordings that have the same market at the same time: separate runs would count its changes more than once."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, format_ts, is_within
from kalshi_cli.feeds.recording_format import NO_TIME, decode_line, read_lines

EDGE_LINES = 1_000
"""Lines at the beginning and at the end of a recording in which its first and last times are searched."""

_TICKER = re.compile(rb'"market_ticker"\s*:\s*"([^"\\]{1,200})"')


class _Span(NamedTuple):
    start: Ts
    end: Ts
    path: Path


def refuse_overlaps(paths: Sequence[Path], since: Ts | None, until: Ts | None) -> None:
    """Raise UsageError if two recordings have a market in common, and both have times from `since` to before `until`.

    A recording without times cannot be compared, and passes; so does one that cannot be read, which its run reports.
    """
    if len(paths) < 2:
        return
    spans = sorted(filter(None, (_span(path, since, until) for path in paths)))
    tickers: dict[Path, set[str]] = {}
    for number, later in enumerate(spans):
        for earlier in spans[:number]:
            if later.start >= earlier.end:
                continue
            for path in (earlier.path, later.path):
                if path not in tickers:
                    tickers[path] = recorded_tickers(path)
            common = sorted(tickers[earlier.path] & tickers[later.path])
            if common:
                times = f"{format_ts(later.start)} to {format_ts(min(earlier.end, later.end))}"
                raise UsageError(
                    f"{earlier.path} and {later.path} both have {common[0]} from {times}",
                    hint="give one of them, or cut them apart with --since and --until; `kalshi data import` of both "
                    "keeps each change once",
                    code="overlap",
                )


def _span(path: Path, since: Ts | None, until: Ts | None) -> _Span | None:
    """Return the first and the last time received of a recording, cut to a period; None without a time."""
    first: list[bytes] = []
    last: deque[bytes] = deque(maxlen=EDGE_LINES)
    try:
        for number, line in read_lines(path):
            if number <= EDGE_LINES:
                first.append(line)
            last.append(line)
    except UsageError:
        return None
    start, end = _first_time(first), _first_time(reversed(last))
    if start is None or end is None:
        return None
    return _Span(Ts(max(start, since or 0)), end if until is None else min(end, until), path)


def _first_time(lines: Iterable[bytes]) -> Ts | None:
    """Return the time of the first line that has one. The last line of a recording that was cut may be incomplete."""
    for line in lines:
        try:
            found = decode_line(line).recv_ts
        except (msgspec.DecodeError, RecursionError):
            continue
        if found != NO_TIME:
            return found
    return None


BOOK = b'"orderbook_'
"""The type of messages about an order book begins so."""


def recorded_tickers(path: Path, since: Ts | None = None, until: Ts | None = None, *, having: bytes = b"") -> set[str]:
    """Return the markets of a recording with a line received from `since` to before `until`; no frame is decoded.

    Only lines `having` these bytes count: `BOOK` gives the markets whose books the recording follows.
    """
    return {
        found.decode(errors="replace")
        for _, line in read_lines(path)
        if having in line and (tickers := _TICKER.findall(line)) and _is_between(line, since, until)
        for found in tickers
    }


def _is_between(line: bytes, since: Ts | None, until: Ts | None) -> bool:
    """Return whether a line was received in a period; true without a period, and for a line without a time."""
    if since is None and until is None:
        return True
    at = _first_time([line])
    return at is None or is_within(at, since, until)
