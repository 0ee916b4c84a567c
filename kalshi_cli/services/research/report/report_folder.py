"""The folder of saved reports: which there are, and one of them, for the page of `kalshi serve`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from kalshi_cli.base.errors import KalshiError, NotFoundError, UsageError
from kalshi_cli.base.files import read_regular
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts, format_ts, show_money
from kalshi_cli.services.research.report.charts import thinned
from kalshi_cli.services.research.report.saved import REPORT_FILE
from kalshi_cli.views.backtests import ReportFolderView, SavedReportRow
from kalshi_cli.views.formats import SignedMoney, TruncatableText
from kalshi_cli.views.parsing import from_machine
from kalshi_cli.views.row import OutputRow
from kalshi_cli.views.runs import BacktestView

V = TypeVar("V", bound=OutputRow)

MAX_REPORTS = 100
"""Reports that are listed, the newest first."""

MAX_ENTRIES = 10_000
"""Files of the folder that are looked at."""

MAX_BYTES = 32 * 1024 * 1024
"""Bytes of a report that is shown; `kalshi backtest compare` reads longer ones."""

MAX_LISTED_BYTES = 64 * 1024 * 1024
"""Bytes that are read for a list: the reports after that are listed without their results."""

MAX_TRADES = 500
CURVE_COLUMNS = 300
"""Periods of the curve that is returned, each with at most four points."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+,=-]{0,99}")


class _Head(OutputRow, frozen=True, kw_only=True):
    """The parts of a report that a list shows."""

    strategy: str
    started: Ts | None
    ended: Ts | None
    fills: int
    net: SignedMoney


def list_reports(folder: Path) -> ReportFolderView:
    """Return the newest reports of a folder: its folders of `--out`, and its files of `--json`."""
    found = []
    try:
        for number, entry in enumerate(folder.iterdir()):
            if number >= MAX_ENTRIES:
                break
            name = entry.name.removesuffix(".json")
            file = _file_of(folder, name)
            if file is not None and file in (entry, entry / REPORT_FILE):
                status = file.stat()
                found.append(
                    (Ts(status.st_mtime_ns // 1_000_000), status.st_size, entry.name.removesuffix(".json"), file)
                )
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unreadable(folder, error) from error
    left, rows = MAX_LISTED_BYTES, []
    for modified, size, name, file in sorted(found, reverse=True)[:MAX_REPORTS]:
        left -= size
        rows.append(_row(name, modified, size, file, is_read=size <= MAX_BYTES and left >= 0))
    return ReportFolderView(folder=TruncatableText(str(folder)), reports=tuple(rows))


def earlier_report(folder: Path) -> str:
    """Return in words which report a folder of `--out` has; "" without one."""
    file = folder / REPORT_FILE
    if not file.is_file():
        return ""
    status = file.stat()
    written = Ts(int(status.st_mtime) * 1000)
    row = _row(folder.name, written, status.st_size, file, is_read=status.st_size <= MAX_BYTES)
    if row.problem or row.net is None:
        return f"the {REPORT_FILE} of {format_ts(written)}"
    return f"the report of {row.strategy} of {format_ts(written)}, with net {show_money(row.net, signed=True)}"


def _row(name: str, modified: Ts, size: int, file: Path, *, is_read: bool) -> SavedReportRow:
    head, problem = {}, "too long to be read for a list"
    if is_read:
        try:
            head, problem = msgspec.structs.asdict(_read(_Head, file)), ""
        except (OSError, ValueError, RecursionError) as error:
            problem = safe_text(f"not a report of a backtest: {error}")
    return SavedReportRow(
        name=name, modified=modified, bytes=size, **head, problem=TruncatableText(problem) if problem else None
    )


def _read(view: type[V], file: Path) -> V:
    found: V = from_machine(view)(msgspec.json.decode(read_regular(file, MAX_BYTES)))
    return found


def read_report(folder: Path, name: str) -> BacktestView:
    """Return a report of the folder by its name, with its first MAX_TRADES trades and a curve for a chart.

    NotFoundError for a name that is not in the list; UsageError for a file that is too long or not a report.
    """
    file = _file_of(folder, name)
    if file is None:
        raise NotFoundError(f"No report {safe_text(name, 100)}", hint=f"reports are in {folder} (web.reports)")
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UsageError(
                f"{file} is longer than {MAX_BYTES // 1024**2} MB",
                hint="kalshi backtest compare reads it",
                code="bad_report",
            )
        view = _read(BacktestView, file)
    except OSError as error:
        raise _unreadable(file, error) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{file} is not a report of this version: {error}", hint="write it again with `kalshi backtest --out`",
            code="bad_report",
        ) from error  # fmt: skip
    kept = {point[0] for point in thinned([(row.time, row.net) for row in view.curve], CURVE_COLUMNS)}
    curve = tuple(row for row in view.curve if row.time in kept) if len(kept) < len(view.curve) else view.curve
    first = {"trades": view.trades[:MAX_TRADES], "settlements": view.settlements[:MAX_TRADES]}
    return msgspec.structs.replace(view, **first, curve=curve)


def _file_of(folder: Path, name: str) -> Path | None:
    """Return the file of a report; None for a missing one, or a name or link that leads out of the folder."""
    if not _NAME.fullmatch(name):
        return None
    inside = folder.resolve()
    for path in (folder / name / REPORT_FILE, folder / f"{name}.json"):
        if path.is_file() and path.resolve().is_relative_to(inside):
            return path
    return None


def _unreadable(path: Path, error: OSError) -> KalshiError:
    return KalshiError(f"Cannot read {path}: {error.strerror}", hint="check `web.reports` and the rights of the folder")
