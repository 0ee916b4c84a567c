"""Upkeep of a lake: its statistics, a check of every file, the export of a table, and the removal of old days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from kalshi_cli.base.errors import StateFileError, UsageError
from kalshi_cli.lake.coverage import count_holes
from kalshi_cli.lake.lake import Lake, has_pending_changes
from kalshi_cli.lake.layout import DAY_US, DataFile, day_text, days_of
from kalshi_cli.lake.listing import files_of, known_files, listed_files, series_in
from kalshi_cli.lake.reader import Selection
from kalshi_cli.lake.tables import SCHEMAS, open_file, open_writer, reason_of, unreadable

TABLES = tuple(SCHEMAS)


_ABOUT = ("lifecycle", "coverage", "sessions")
"""Tables about recordings and news of markets, which are no data of a series."""


class SeriesStatistics(NamedTuple):
    """The statistics of a series: times in microseconds, rows by table, bytes, markets, gaps and hours covered."""

    series: str
    first: int
    last: int
    recordings: int
    rows: Counter[str]
    size: int
    markets: int
    results: int
    holes: int
    covered_us: int


def series_with_data(lake: Lake) -> set[str]:
    """Return the series of the lake, without those that the exchange only named in its news of markets."""
    return {one for table in TABLES if table not in _ABOUT for one in series_in(lake.root, table)}


def statistics(lake: Lake) -> list[SeriesStatistics]:
    """Return the statistics of each series with data, from the footers of its files.

    A series that the exchange only named in its news of markets, while another one was recorded, is left out.
    """
    sessions = lake.sessions()
    found = []
    for series in sorted(series_with_data(lake)):
        rows: Counter[str] = Counter()
        size = 0
        for table in TABLES:
            for each in files_of(lake.root, table, [series]):
                rows[table] += _count(each.path)
                size += each.path.stat().st_size
        if not any(rows[table] for table in TABLES if table not in _ABOUT):
            continue
        own = [
            one
            for one in sessions
            if series in one.series or any(name.partition("/")[2] == series for name in one.inputs)
        ]
        dated = [one for one in own if one.kind != "results"] or own  # a result may have the time of its import only
        covered = lake.coverage("book", [series])
        markets = lake.rows("markets", [series])
        found.append(
            SeriesStatistics(
                series, min((one.from_us for one in dated), default=0), max((one.to_us for one in dated), default=0),
                sum(one.kind == "recording" for one in own), rows, size,
                len({row["market"] for row in markets} | {one.market for one in covered}),
                len({row["market"] for row in markets if row["result"]}),
                count_holes(covered),
                sum(one.last - one.first for one in covered),
            )
        )  # fmt: skip
    return found


def _count(path: Path) -> int:
    try:
        with open_file(path) as file:
            return int(file.metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


class LakeProblem(NamedTuple):
    """A file that cannot be used, and why."""

    path: Path
    text: str


def check(lake: Lake, watch: Callable[[Iterable[DataFile]], Iterable[DataFile]] = iter) -> list[LakeProblem]:
    """Read every file, and return what is wrong: missing, unreadable, a foreign schema or file, overlaps, disorder.

    `watch` sees the files pass, to show progress.
    """
    found: list[LakeProblem] = []
    before = DataFile(Path(), 0, -1)
    seen: set[Path] = set()
    for each in watch(each for table, series in _all_series(lake) for each in known_files(lake.root, table, series)):
        seen.add(each.path)
        if each.path.parent == before.path.parent and each.first <= before.last:
            found.append(LakeProblem(each.path, "its times overlap those of another file"))
        before = each
        found += [LakeProblem(each.path, text) for text in _wrong(each.path)]
    if not has_pending_changes(lake.root):
        others = sorted({*lake.root.rglob("*.parquet")} - seen)
        found += [LakeProblem(path, "not a file of the lake, which does not read it") for path in others]
    return found


def unlisted(lake: Lake) -> int:
    """Return the number of files of series without a list, in which a missing one is not noticed."""
    return sum(len(known_files(lake.root, *key)) for key in _all_series(lake) if listed_files(lake.root, *key) is None)


def _all_series(lake: Lake) -> Iterator[tuple[str, str]]:
    return ((table, series) for table in TABLES for series in series_in(lake.root, table))


def _wrong(path: Path) -> Iterator[str]:
    table = path.parents[2].name.removeprefix("table=")
    try:
        with open_file(path) as file:
            if file.schema_arrow.names != SCHEMAS[table].names:
                yield f"its columns are {', '.join(file.schema_arrow.names)}"
                return
            before: dict[str, int] = {}
            for number in range(file.num_row_groups):
                group = file.read_row_group(number)
                if table == "book_changes":
                    yield from _disorder(group, before)
    except FileNotFoundError:
        yield "missing"
    except (OSError, pa.ArrowException) as error:
        yield f"unreadable: {reason_of(error)}"


def _disorder(group: pa.Table, before: dict[str, int]) -> Iterator[str]:
    """Yield a line if the rows of a session are not in the order of its recording."""
    for session in pc.unique(group.column("session")).to_pylist():
        rows = group.filter(pc.equal(group.column("session"), session)).column("row").to_numpy()
        if (rows[1:] <= rows[:-1]).any() or (len(rows) and rows[0] <= before.get(session, -1)):
            yield f"the rows of {session} are out of order"
        before[session] = int(rows[-1])


def export(lake: Lake, table: str, chosen: Selection, target: Path) -> int:
    """Write the selected rows of a table to one file, `.parquet` or `.csv`, and return their number.

    Raises UsageError for another name or an existing file; a failed export leaves no file.
    """
    if table not in SCHEMAS:
        raise UsageError(f"{table!r} is not a table", hint=f"use one of {', '.join(TABLES)}")
    if target.suffix not in (".parquet", ".csv"):
        raise UsageError(f"{target} is neither .parquet nor .csv", hint="name a file that ends with one of them")
    if target.exists():
        raise UsageError(f"{target} already exists", hint="choose another name", code="file_exists")
    written = target.with_name(f".{target.name}.new")
    rows = 0
    try:
        with (_CsvWriter if target.suffix == ".csv" else open_writer)(written, table) as writer:
            series = [one for one in series_in(lake.root, table) if chosen.has(one)]
            for part in lake.tables(table, series, chosen.first_us, chosen.last_us):
                time = part.column("ts_us" if "ts_us" in part.column_names else "from_us")
                is_in = pc.and_(pc.greater_equal(time, chosen.first_us), pc.less_equal(time, chosen.last_us))
                if chosen.markets and "market" in part.column_names:
                    is_in = pc.and_(is_in, pc.is_in(part.column("market").cast(pa.string()), pa.array(chosen.markets)))
                kept = part.filter(is_in)
                writer.write_table(kept.cast(writer.schema))
                rows += kept.num_rows
        written.rename(target)
    except OSError as error:
        raise StateFileError(f"Cannot write {target}: {error.strerror or error}", code="unwritable") from error
    finally:
        written.unlink(missing_ok=True)
    return rows


class _CsvWriter:
    """Writes a table as CSV; a list is its numbers with spaces between them."""

    def __init__(self, path: Path, table: str) -> None:
        fields = [
            (
                field.name,
                pa.string() if pa.types.is_list(field.type) or pa.types.is_dictionary(field.type) else field.type,
            )
            for field in SCHEMAS[table]
        ]
        self.schema = SCHEMAS[table]
        self._flat = pa.schema(fields)
        self._writer = pyarrow.csv.CSVWriter(path, self._flat)

    def write_table(self, part: pa.Table) -> None:
        """Write these rows."""
        columns = [
            pa.array([None if each is None else " ".join(map(str, each)) for each in column.to_pylist()], pa.string())
            if pa.types.is_list(column.type)
            else column.cast(self._flat.field(index).type)
            for index, column in enumerate(part.columns)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._flat))

    def __enter__(self) -> _CsvWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._writer.close()


def old_files(lake: Lake, before_us: int, series: str = "") -> list[Path]:
    """Return the files of whole days before this time, except what is known of markets."""
    first = day_text(before_us // DAY_US)
    found: list[Path] = []
    for table in TABLES:
        if table == "markets":
            continue
        for one in [series] if series else series_in(lake.root, table):
            paths = {path for folder in days_of(lake.root, table, one) for path in folder.glob("*.parquet")}
            paths |= {each.path for each in known_files(lake.root, table, one)}  # a missing one is forgotten
            found += sorted(path for path in paths if path.parent.name < f"day={first}" and not path.is_dir())
    return found
