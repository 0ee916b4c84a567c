"""The files of a lake by table and series: a list of them, in `.files`, shows a missing or a foreign one.

A lake of an earlier version has no lists; its files are then those on the disk, until the next change of a series.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import read_regular, write_atomically
from kalshi_cli.lake.layout import MAX_US, DataFile, data_file, data_files, days_of, series_folder

FOLDER = ".files"

REREADS = 10
"""Maximum number of readings of a list that a writer keeps replacing."""


def series_in(root: Path, table: str) -> list[str]:
    """Return the series that a table has."""
    listed = (path.name.removesuffix(".json") for path in (root / FOLDER / table).glob("*.json"))
    found = (path.name.removeprefix("series=") for path in (root / f"table={table}").glob("series=*"))
    return sorted({unquote(one) for one in (*listed, *found)})


def listed_files(root: Path, table: str, series: str) -> tuple[DataFile, ...] | None:
    """Return the files that the lake wrote for this series, by time; None without a list."""
    path = _path(root, table, series)
    try:
        status = os.stat(path)
        return _read(path, series_folder(root, table, series), (status.st_ino, status.st_mtime_ns, status.st_size))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise StateFileError(
            f"Unreadable list of files of the lake: {path}: {error}",
            hint="delete it: the lake then has the files that are on the disk",
            code="lake_broken",
        ) from error


@lru_cache(maxsize=1024)
def _read(path: Path, folder: Path, _version: tuple[int, ...]) -> tuple[DataFile, ...]:
    names = msgspec.json.decode(read_regular(path), type=list[str])
    return tuple(sorted((data_file(folder / name) for name in names), key=lambda each: each.first))


def known_files(root: Path, table: str, series: str) -> list[DataFile]:
    """Return the files that a series should have, by time; a listed one may be missing."""
    listed = listed_files(root, table, series)
    if listed is None:
        return [each for folder in days_of(root, table, series) for each in data_files(folder)]
    return list(listed)


def files_of(root: Path, table: str, series: Iterable[str], first: int = 0, last: int = MAX_US) -> Iterator[DataFile]:
    """Yield the files of these series whose range touches these times, a series after the other, each by time.

    Raises StateFileError if one of them is missing.
    """
    for one in series:
        yield from _present(root, table, one, first, last)


def _present(root: Path, table: str, series: str, first: int, last: int) -> list[DataFile]:
    listed = listed_files(root, table, series)
    missing: Path | None = None
    for _ in range(REREADS):
        if listed is None:
            days = days_of(root, table, series, first, last)
            return [each for day in days for each in data_files(day) if each.first <= last and each.last >= first]
        found = [each for each in listed if each.first <= last and each.last >= first]
        missing = next((each.path for each in found if _is_missing(each.path)), None)
        if missing is None:
            return found
        before, listed = listed, listed_files(root, table, series)  # a writer may have replaced it
        if listed == before:
            break
    raise StateFileError(
        f"Missing file in the lake: {missing}", hint="`kalshi data check` names every such file", code="lake_broken"
    )


def _is_missing(path: Path) -> bool:
    """Return whether a file does not exist; one in a folder without permission may."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def note_files(root: Path, added: Iterable[Path], deleted: Iterable[Path]) -> None:
    """Add files to the lists of the lake, and take others off. A second time changes nothing."""
    new, old = _by_series(root, added), _by_series(root, deleted)
    for table, series in dict.fromkeys((*new, *old)):  # in the order of the changes: imports come last
        names = {each.path for each in known_files(root, table, series)}
        names = (names | new.get((table, series), set())) - old.get((table, series), set())
        path, folder = _path(root, table, series), series_folder(root, table, series)
        if names:
            write_atomically(path, msgspec.json.encode(sorted(str(each.relative_to(folder)) for each in names)))
        else:
            path.unlink(missing_ok=True)


def _by_series(root: Path, paths: Iterable[Path]) -> dict[tuple[str, str], set[Path]]:
    found: dict[tuple[str, str], set[Path]] = {}
    for path in paths:
        table, series = path.relative_to(root).parts[:2]
        key = table.removeprefix("table="), unquote(series.removeprefix("series="))
        found.setdefault(key, set()).add(path)
    return found


def _path(root: Path, table: str, series: str) -> Path:
    return root / FOLDER / table / f"{quote(series, safe='')}.json"
