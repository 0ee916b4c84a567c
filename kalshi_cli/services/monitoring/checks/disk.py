"""Check the free disk space and the free inodes of the directories that a loop writes to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, report
from kalshi_cli.services.monitoring.checks.readings import CheckData, measured, run_part

FIRST = "disk_free_gb"

GB = 1_000_000_000


def examine(readings: CheckData) -> CheckReport:
    """Check the file system of each directory, without a request; the measures are those of the fullest one.

    An order that cannot be saved is not sent, so a full disk stops trading.
    """
    space: list[Measure] = []
    inodes: list[Measure] = []
    breaches: list[Breach] = []

    for folder in once_per_file_system(readings.folders, _device):

        def look(folder: Path = folder) -> list[Breach]:
            free, left = _free(folder)
            space.append(measured("disk_free_gb", round(free / GB, 2), readings.checks.disk_free_gb))
            found = [*space[-1].breach("DISK_SPACE", str(folder), f"{free / GB:.2f} GB free")]
            if left is not None:
                inodes.append(measured("disk_free_inodes", left, readings.checks.disk_free_inodes))
                found += inodes[-1].breach("DISK_INODES", str(folder), f"{left:,} free inodes")
            return found

        breaches += run_part(str(folder), look)
    measures = [min(each, key=lambda measure: measure.value) for each in (space, inodes) if each]
    said = ", ".join(
        f"{measure.value:.2f} GB free" if measure.label == "disk_free_gb" else f"{measure.value:,} free inodes"
        for measure in measures
    )
    return report("disk", said or "could not be read", breaches, measures)


def once_per_file_system(folders: Iterable[Path], device: Callable[[Path], int | None]) -> list[Path]:
    """Return the first folder of each file system, so that one full disk is one alert; all whose device is unknown."""
    found: dict[object, Path] = {}
    for folder in folders:
        number = device(folder)
        found.setdefault(folder if number is None else number, folder)
    return list(found.values())


def _device(folder: Path) -> int | None:
    try:
        return _existing(folder).stat().st_dev
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    """Return the directory, or its nearest parent that exists."""
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


def _free(folder: Path) -> tuple[int, int | None]:
    """Return the free bytes and inodes for a user without privileges; no inodes where a file system has no limit.

    A directory that does not exist yet is that of its nearest parent. Raises StateFileError if it cannot be read.
    """
    at = _existing(folder)
    try:
        found = os.statvfs(at)
    except OSError as error:
        raise StateFileError(f"Cannot read the file system of {at}: {error.strerror}") from error
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
