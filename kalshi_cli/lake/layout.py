"""The paths of a lake: `table=T/series=S/day=YYYY-MM-DD/<from>-<to>.parquet`, with disjoint ranges of time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAME = re.compile(r"\d{6}\.\d{6}-\d{6}\.\d{6}\.parquet", re.ASCII)
DAY_US = 86_400_000_000
MAX_US = 253_402_300_799_999_999
"""The end of the year 9999, in microseconds."""


class Partition(NamedTuple):
    """A table, a series (or the symbol of a coin), and a day, counted from 1970."""

    table: str
    series: str
    day: int

    def folder(self, root: Path) -> Path:
        """Return the folder of this partition."""
        return series_folder(root, self.table, self.series) / f"day={day_text(self.day)}"


class DataFile(NamedTuple):
    """A file, and the range of its times in microseconds, both ends included."""

    path: Path
    first: int
    last: int


def series_of(ticker: str) -> str:
    """Return the series of a market, or of a pattern of tickers: the text before the first hyphen."""
    return ticker.partition("-")[0].rstrip("*")


def series_folder(root: Path, table: str, series: str) -> Path:
    """Return the folder of all days of a series; characters that a path cannot have are quoted."""
    return root / f"table={table}" / f"series={quote(series, safe='')}"


def day_text(day: int) -> str:
    """Return a day as YYYY-MM-DD."""
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d")


def file_name(first: int, last: int) -> str:
    """Return the name of a file with these times."""
    return f"{_clock(first)}-{_clock(last)}.parquet"


def _clock(us: int) -> str:
    return (_EPOCH + us * _MICROSECOND).strftime("%H%M%S.%f")


def _us(day: int, clock: str) -> int:
    return day * DAY_US + (int(clock[:2]) * 60 + int(clock[2:4])) * 60_000_000 + int(clock[4:].replace(".", ""))


def data_file(path: Path) -> DataFile:
    """Return a file of a partition with the times of its name; raise ValueError if it has another name."""
    day = (datetime.fromisoformat(path.parent.name.removeprefix("day=")).replace(tzinfo=UTC) - _EPOCH).days
    if not _NAME.fullmatch(path.name):
        raise ValueError(f"not the name of a file of a lake: {path}")
    first, _, last = path.stem.partition("-")
    return DataFile(path, _us(day, first), _us(day, last))


def data_files(folder: Path) -> list[DataFile]:
    """Return the files of a partition by time; one within the range of another was superseded by it, and is omitted."""
    found = [data_file(path) for path in folder.glob("*.parquet") if _NAME.fullmatch(path.name)]
    found.sort(key=lambda each: (each.first, -each.last))
    kept: list[DataFile] = []
    for each in found:
        if not kept or each.last > kept[-1].last:
            kept.append(each)
    return kept


def days_of(root: Path, table: str, series: str, first: int = 0, last: int = MAX_US) -> Iterator[Path]:
    """Yield the folders of a series by day, of the days with these times."""
    lowest, highest = day_text(first // DAY_US), day_text(min(last, MAX_US) // DAY_US)
    for folder in sorted(series_folder(root, table, series).glob("day=*")):
        if lowest <= folder.name.removeprefix("day=") <= highest:
            yield folder
