"""`kalshi data`: recordings, prices and results as Parquet files, for backtests and notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.units import pluralize
from kalshi_cli.cli.backtest_files import Results, joined
from kalshi_cli.cli.options import open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, LakeFolder, argument, flag, option
from kalshi_cli.cli.screen.output import info
from kalshi_cli.cli.time_options import Since, when, when_option

app = CommandGroup(
    "Manage the lake of research data.\n\n"
    "Manage recordings, outside prices and results as Parquet files, which `kalshi backtest --lake`, duckdb and polars "
    "read. It needs the extra `research`: pip install '.[research]' in the folder of the clone"
)

Series = Annotated[str | None, option("--series", "SERIES", "Only this series.")]


@app.command("import")
def import_files(
    ctx: typer.Context,
    files: Annotated[list[Path], argument("FILE...", "Recordings, .csv of outside prices, .json of results.")],
    results: Results = None,
    lake: LakeFolder = None,
) -> None:
    """Import recordings, outside prices and results.

    Add files to the lake: recordings of `kalshi record` (also .gz), histories of outside prices, fair values or news
    (.csv), and results of markets (.json). Data that the lake has already is left out, so that the same file or range
    twice adds nothing. Each file is added whole or not at all.

    \b
    kalshi data import tape.jsonl.gz
    kalshi data import tapes/*.jsonl.gz btcusd.csv.gz results.json --lake ./lake
    """
    from kalshi_cli.cli.screen.prompts import progress
    from kalshi_cli.views.lake import LakeImportRow

    with open_services(ctx) as kalshi:
        found = kalshi.research.data_import(
            files, results or (), folder=lake, watch=lambda chunks: progress(chunks, "Reading events", size=len)
        )
    show_list(ctx, LakeImportRow, found, title="import")
    for row in found:
        if row.unknown_books:
            info(f"{row.file}: no snapshot, so no usable order book, of {', '.join(row.unknown_books)}")


@app.command("download")
def download(
    ctx: typer.Context,
    series: Annotated[list[str], option("--series", "SERIES[,SERIES]", "One series, or several separated by commas.")],
    since: Annotated[Any, when_option("--since", "From this time: 30d or a date such as 2026-11-01.")],
    until: Annotated[Any, when_option("--until", "Only before this time (now).")] = None,
    own: Annotated[bool, flag("--own", "Your own fills too; needs an API key.")] = False,
    lake: LakeFolder = None,
) -> None:
    """Download past trades, candles and results.

    Read the markets of a series that were open in a period: results and fees of settled ones, trades, and candles of a
    minute, from the full history. With --own, also the fills of your account.

    What the lake has is not read again. Ctrl-C, a lost connection or a full disk keep what was read before; repeat the
    command to continue. Reads keep to the rate limit of your account.

    \b
    kalshi data download --series KXBTC15M --since 30d
    kalshi data download --series KXHIGHNY --since 2026-10-01 --until 2026-11-01 --own
    """
    from kalshi_cli.cli.screen.progress import progress
    from kalshi_cli.views.lake import LakeDownloadRow

    names = [name.strip().upper() for name in (joined(series) or "").split(",") if name.strip()]
    if not names:
        raise UsageError("--series names no series", hint="kalshi data download --series KXBTC15M --since 30d")
    with open_services(ctx) as kalshi:
        start, end = when(kalshi, since) or kalshi.now, when(kalshi, until)
        with progress("periods", SystemClock().monotonic) as show:
            found = kalshi.research.data_download(names, start, end, has_own=own, folder=lake, show=show)
        show_list(ctx, LakeDownloadRow, found, title="download")
    for row in found:
        if row.missing:
            info(f"{row.series}: the exchange no longer has all data of {', '.join(row.missing[:5])}")


@app.command("list")
def list_series(ctx: typer.Context, lake: LakeFolder = None) -> None:
    """List the series in the lake.

    List what the lake has of each series: times, recordings, markets, results, order book changes, trades, gaps and
    size. A gap is a time in which messages of a market were lost.

    \b
    kalshi data list
    """
    from kalshi_cli.views.lake import LakeSeriesRow

    with open_services(ctx) as kalshi:
        found = kalshi.research.data_list(lake)
        show_list(ctx, LakeSeriesRow, found, title="lake", empty="The lake is empty")


@app.command("check")
def check(ctx: typer.Context, lake: LakeFolder = None) -> None:
    """Read every file of the lake.

    Read every file of the lake and list those that cannot be used: missing, unreadable, with foreign columns, with
    times of another file, out of order, or not written by the lake. The exit code is 1 if there is one.

    \b
    kalshi data check
    """
    from kalshi_cli.cli.screen.prompts import progress
    from kalshi_cli.views.lake import LakeProblemRow

    with open_services(ctx) as kalshi:
        found = kalshi.research.data_check(lake, lambda paths: progress(paths, "Reading files"))
    show_list(ctx, LakeProblemRow, found, title="problems", empty="Every file of the lake is usable")
    if found:
        raise KalshiError(
            f"{pluralize(len(found), 'file')} of the lake cannot be used",
            hint="import the recordings into a new lake (--lake FOLDER), or delete these days with "
            "`kalshi data prune` and import them again; move files away that are not of the lake",
            code="lake_broken",
        )


@app.command("export")
def export(
    ctx: typer.Context,
    table: Annotated[str, argument("TABLE", "book_changes, trades, tickers, markets, ...")],
    out: Annotated[Path, option("--out", "FILE", "File to write, .parquet or .csv.")],
    series: Series = None,
    since: Since = None,
    until: Annotated[Any, when_option("--until", "Only before this time: 2026-11-02, 2h.")] = None,
    lake: LakeFolder = None,
) -> None:
    """Export a table of the lake to one file.

    \b
    kalshi data export trades --series KXBTC15M --since 2026-05-13 --out trades.csv
    """
    with open_services(ctx) as kalshi:
        view = kalshi.research.data_export(
            table, out, series=(series or "").upper(), since=when(kalshi, since), until=when(kalshi, until), folder=lake
        )
        show_view(ctx, view, title="export")


@app.command("prune")
def prune(
    ctx: typer.Context,
    before: Annotated[Any, when_option("--before", "Delete whole days (UTC) before this: 2026-11-01, 30d.")],
    series: Series = None,
    dry_run: Annotated[bool, flag("--dry-run", "List the files; delete nothing.")] = False,
    yes: Annotated[bool, flag("--yes", "Skip the confirmation.")] = False,
    lake: LakeFolder = None,
) -> None:
    """Delete old days from the lake.

    Delete the files of whole days. What is known of markets (results, fees, strikes) stays.

    \b
    kalshi data prune --before 2026-05-14 --dry-run
    """
    from kalshi_cli.cli.screen.prompts import confirm
    from kalshi_cli.views.lake import LakeFileRow

    with open_services(ctx) as kalshi:
        end = when(kalshi, before) or kalshi.now
        chosen = (series or "").upper()
        found = kalshi.research.data_prune(end, series=chosen, folder=lake, is_dry=True)
        text = f"{pluralize(len(found), 'file')}, {sum(row.bytes for row in found):,} bytes"
        if found and not dry_run:
            confirm(f"Delete {text}?", (), hosts=(), yes=yes)
            found = kalshi.research.data_prune(end, series=chosen, folder=lake)
        show_list(ctx, LakeFileRow, found, title="files", empty="The lake has no files of these days")
        info(f"Dry run: nothing was deleted; {text}" if dry_run else f"Deleted {text}")
