"""The lake as a service: imports, lists, checks, exports and prunes the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from kalshi_cli.base.checked import check_period
from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.config.config import Config
from kalshi_cli.lake.extra import require_research
from kalshi_cli.services.research.arguments import paths_of
from kalshi_cli.services.resources import Resources
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.lake import (
    LakeDownloadRow,
    LakeExportView,
    LakeFileRow,
    LakeImportRow,
    LakeProblemRow,
    LakeSeriesRow,
)

if TYPE_CHECKING:
    from kalshi_cli.lake.lake import Lake
    from kalshi_cli.lake.layout import DataFile
    from kalshi_cli.services.research.lake_import import ImportedFile, Watch

    WatchFiles = Callable[[Iterable[DataFile]], Iterable[DataFile]]


def lake_folder(config: Config, given: str | Path | None) -> Path:
    """Return the folder of the lake: the given one, or that of the environment.

    That is in the state directory where one was chosen (`--state`), else in the platform's data directory.
    """
    if given is not None:
        return Path(given).expanduser().absolute()
    return _default_folder(config.env) if config.state is None else config.state.absolute() / "lake" / config.env


def _default_folder(env: str) -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("kalshi")) / "lake" / env


class LakeService:
    """Recordings, prices and results in a lake. `folder` of each method is another lake than the environment's."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def lake(self, folder: str | Path | None = None, *, is_new: bool = False) -> Lake:
        """Open the lake; with `is_new`, create it if it does not exist. UsageError without the extra `research`."""
        require_research()
        from kalshi_cli.lake.lake import open_lake

        config = self._resources.config
        root, default = lake_folder(config, folder), _default_folder(config.env)
        if folder is None and not root.exists() and default.exists():
            self._resources.note(
                f"The lake is in the state directory that was chosen: {root}. Another lake is in {default}: to use "
                f"it, add --lake {default}, or move it to {root}"
            )
        return open_lake(root, is_new=is_new)

    def data_import(
        self,
        files: str | Path | Iterable[str | Path],
        results: str | Path | Iterable[str | Path] = (),
        *,
        folder: str | Path | None = None,
        watch: Watch = lambda chunks: chunks,
    ) -> list[LakeImportRow]:
        """Add recordings, histories (`.csv`) and results (`.json`) to the lake. What it has already adds nothing.

        Each file is added whole or not at all; the files before an invalid one stay.
        """
        lake = self.lake(folder, is_new=True)
        from kalshi_cli.services.research.lake_import import import_file
        from kalshi_cli.services.research.recorded_data import cut_text

        clock = self._resources.machine
        found = [import_file(lake, path, clock, watch=watch) for path in paths_of(files, "files")]
        for cut in (each for each in found if each.cut_at is not None):
            self._resources.tell(f"Warning: {cut_text(cut.source, cut.cut_at)}; the rest is not covered")
        found += [import_file(lake, path, clock, is_results=True, watch=watch) for path in paths_of(results, "results")]
        for each in (each for each in found if each.changed):
            (ticker, before, now), *others = each.changed
            more = f", and of {pluralize(len(others), 'other market')}" if others else ""
            change = f"the result of {ticker} from {before} to {now}{more}"
            self._resources.tell(f"Warning: {each.source} changes {change}; the last one counts")
        return [_import_row(each) for each in found]

    def data_download(
        self,
        series: Iterable[str],
        since: Ts,
        until: Ts | None = None,
        *,
        has_own: bool = False,
        folder: str | Path | None = None,
        show: Callable[[int, int], None] = lambda _done, _known: None,
    ) -> list[LakeDownloadRow]:
        """Add the past of these series to the lake: settled markets, trades, candles; with `has_own` the own fills.

        What the lake has is not read again, and any end keeps what was read. `show` gets the periods of a series that
        were read, and all. NotFoundError for an unknown series, UsageError for a period in the future.
        """
        require_research()
        from kalshi_cli.services.research.download.history import DownloadRequest, check_request, download

        resources = self._resources
        now = resources.clock.now()
        account = resources.account if has_own else ""
        requests = [
            check_request(DownloadRequest(series=name, since=since, until=until or now, account=account), now)
            for name in dict.fromkeys(series)
        ]
        details = [resources.client.series(request.series) for request in requests]
        lake = self.lake(folder, is_new=True)
        try:
            found = [
                download(resources.client, lake, resources.machine, detail, request, show)
                for detail, request in zip(details, requests, strict=True)
            ]
        except KeyboardInterrupt:
            resources.note("Stopped. What was read is in the lake; repeat the command to continue")
            raise
        return found

    def data_list(self, folder: str | Path | None = None) -> list[LakeSeriesRow]:
        """Return what the lake has of each series. A note says how many recordings are not in it yet."""
        lake = self.lake(folder)
        from kalshi_cli.lake.upkeep import statistics
        from kalshi_cli.services.research.journal import journals

        waiting = len(journals(lake))
        if waiting:
            self._resources.note(
                f"{pluralize(waiting, 'recording')} not in the list yet: running ones are added every hour and at the "
                "end, interrupted ones by the next `kalshi record`"
            )
        return [
            LakeSeriesRow(
                series=each.series, from_time=_ms(each.first), to_time=_ms(each.last), recordings=each.recordings,
                markets=each.markets, results=each.results, changes=each.rows["book_changes"],
                trades=each.rows["trades"], candles=each.rows["candles"], own_fills=each.rows["own_fills"],
                inputs=sum(each.rows[name] for name in ("spot", "fair", "news")), holes=each.holes,
                covered_h=round(each.covered_us / 3.6e9, 2), bytes=each.size,
            )
            for each in statistics(lake)
        ]  # fmt: skip

    def data_check(
        self, folder: str | Path | None = None, watch: WatchFiles = lambda paths: paths
    ) -> list[LakeProblemRow]:
        """Read every file of the lake, and return those that cannot be used."""
        lake = self.lake(folder)
        from kalshi_cli.lake.upkeep import check, unlisted

        count = unlisted(lake)
        if count:
            self._resources.note(
                f"The lake does not list {pluralize(count, 'file')}, because an earlier kalshi wrote them: a missing "
                "one is not noticed. The next import into a series lists its files"
            )
        return [
            LakeProblemRow(file=TruncatableText(str(each.path)), problem=TruncatableText(each.text))
            for each in check(lake, watch)
        ]

    def data_export(
        self,
        table: str,
        target: str | Path,
        *,
        series: str = "",
        since: Ts | None = None,
        until: Ts | None = None,
        folder: str | Path | None = None,
    ) -> LakeExportView:
        """Write the rows of a table to one Parquet or CSV file. Warn if there are none."""
        check_period(since, until)
        lake = self.lake(folder)
        from kalshi_cli.lake.reader import Selection
        from kalshi_cli.lake.upkeep import export

        chosen = Selection(series=(series,) if series else (), since=since, until=until)
        rows = export(lake, table, chosen, Path(target))
        if not rows:
            of = f" of {series}" if series else ""
            self._resources.tell(
                f"Warning: the lake has no rows of {table}{of} in this period; `kalshi data list` shows what it has"
            )
        return LakeExportView(file=TruncatableText(str(target)), table=table, rows=rows)

    def data_prune(
        self, before: Ts, *, series: str = "", folder: str | Path | None = None, is_dry: bool = False
    ) -> list[LakeFileRow]:
        """Delete the files of whole days (UTC) before this time. What is known of markets stays. Return the files."""
        lake = self.lake(folder)
        from kalshi_cli.lake.upkeep import old_files

        paths = old_files(lake, before * 1000, series)
        rows = [
            LakeFileRow(
                file=TruncatableText(str(path.relative_to(lake.root))),
                bytes=path.stat().st_size if path.exists() else 0,
            )
            for path in paths
        ]
        if paths and not is_dry:
            with lake.writing(self._resources.machine) as changes:
                if paths != old_files(lake, before * 1000, series):
                    raise StateFileError("The lake changed meanwhile; nothing was deleted", code="lake_busy")
                for path in paths:
                    changes.delete(path)
        return rows


def _import_row(each: ImportedFile) -> LakeImportRow:
    found, session = each.found, each.found.session
    return LakeImportRow(
        file=TruncatableText(each.source), kind=each.kind, rows=found.rows, changes=found.changes, known=found.known,
        markets=len({one.market for one in found.covered}) if each.kind == "recording" else 0,
        holes=found.holes,
        unknown_books=found.unknown_books, from_time=_ms(session.from_us) if session else None,
        to_time=_ms(session.to_us) if session else None,
    )  # fmt: skip


def _ms(us: int) -> Ts | None:
    return Ts(us // 1000) if us else None
