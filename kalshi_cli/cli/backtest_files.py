"""The options of `kalshi backtest` for fills, latency, the lake and report files, and `kalshi backtest compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.units import duration_from_user, pluralize, show_money
from kalshi_cli.cli.options import form_of, require_extra, show_list, show_view
from kalshi_cli.cli.parameters import choice_option, duration_option, option
from kalshi_cli.cli.screen.output import Format, chosen_fields, info, warn, write_out
from kalshi_cli.cli.time_options import moment_of, show_period, when_option

if TYPE_CHECKING:
    from kalshi_cli.base.clock import Clock
    from kalshi_cli.config.config import Config
    from kalshi_cli.services.research.backtest import BacktestRequest
    from kalshi_cli.views.row import OutputRow
    from kalshi_cli.views.runs import BacktestView

MAX_LATENCY_MS = 60_000
MAX_RECORDINGS = 20
"""Recordings of separate runs on a screen; JSON and the page have all."""
MAX_DIFFERENCES = 10
"""Orders that differ in two reports, on a screen; JSON has one for each market."""
FILLS = ("proportional", "optimistic", "pessimistic", "both")

Latency = Annotated[
    str | None, option("--latency", "TIME", "Latency to the exchange: 150ms (default), or recorded: a distribution.")
]
PlayedMarkets = Annotated[
    list[str] | None,
    option("--ticker", "TICKER[,TICKER]", "Trade only these markets, or those of these events or series."),
]
LakeSeries = Annotated[
    list[str] | None, option("--series", "SERIES[,SERIES]", "Use the lake's recordings of this series.")
]
LakeSince = Annotated[Any, when_option("--since", "Begin at this recorded time: 2026-05-13, 7d.")]
LakeUntil = Annotated[Any, when_option("--until", "End before this recorded time.")]
Results = Annotated[list[Path] | None, option("--results", "FILE", "Market results; repeatable.")]
TickInterval = Annotated[Any, duration_option("--interval", "Recorded time between ticks, at most 10s (2s).")]
LatencyMs = Annotated[int | None, option("--latency-ms", "N", "The same in milliseconds.", min=0, max=MAX_LATENCY_MS)]
FillChoice = Annotated[Any, choice_option("--fills", FILLS, "Queue position: where canceled contracts stood.")]
Phases = Annotated[
    int, option("--phases", "N", "Play so many phases of the ticks; show the range of the net.", min=1, max=100)
]
PageFile = Annotated[Path | None, option("--html", "FILE", "Write the report as one page with charts.")]
OutFolder = Annotated[Path | None, option("--out", "DIR", "Write trades, equity and markets as Parquet.")]


def latency_of(given: str | None, given_ms: int | None) -> int | None:
    """Return the latency in milliseconds, or None for the recorded distribution; 150 by default.

    `--latency` takes `recorded` or a duration such as 150ms or 0ms; UsageError for anything else.
    """
    if given is None:
        return 150 if given_ms is None else given_ms
    if given_ms is not None:
        raise UsageError("--latency and --latency-ms cannot be combined", hint="keep --latency")
    typed = given.strip().lower()
    if typed == "recorded":
        return None
    if typed.isdecimal():
        raise UsageError(f"--latency {given} has no unit", hint=f"did you mean {typed}ms?")
    number = typed.removesuffix("ms").strip()
    try:
        latency_ms = int(number) if typed.endswith("ms") and number.isdecimal() else duration_from_user(typed) * 1000
    except ValueError as error:
        raise UsageError(f"Invalid --latency: {error}", hint="use recorded, 150ms or 1s") from error
    if latency_ms > MAX_LATENCY_MS:
        raise UsageError(f"--latency is at most {MAX_LATENCY_MS // 1000}s", hint="use recorded, 150ms or 1s")
    return round(latency_ms)


def picture_of(given: list[Path], strategy: str, *, is_plotted: bool, is_from_lake: bool = False) -> Path | None:
    """Take the picture off the end of the recordings. UsageError for missing or unfit options."""
    if not strategy:
        raise UsageError("Missing option --strategy", hint="kalshi backtest FILE... --strategy NAME")
    picture = given.pop() if is_plotted and given and given[-1].suffix == ".svg" else None
    if not is_plotted and given and given[-1].suffix == ".svg":
        raise UsageError(f"{given[-1]} is not a recording", hint="add --plot to draw the equity curve into it")
    if not given and not is_from_lake:
        raise UsageError(
            "No recording given", hint=f"kalshi backtest FILE... --strategy {strategy}, or --series of the lake"
        )
    return picture


def joined(values: Sequence[str] | None) -> str | None:
    """Return the values of a repeated option as one list with commas; None if the option was not given."""
    return ",".join(values) if values else None


def names_of(values: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of a repeated option in upper case."""
    return tuple(name.strip().upper() for name in (joined(values) or "").split(",") if name.strip())


def lake_part(
    config: Config,
    files: Sequence[Path],
    lake: Path | None,
    series: Sequence[str] | None,
    period: tuple[Any, Any],
    tickers: Sequence[str] | None,
    clock: Callable[[], Clock],
) -> dict[str, Any]:
    """Return the fields of a request that select recordings of the lake, or a part of the recordings.

    It says in UTC what the typed times of the period are. The clock is not opened without one.

    Times alone belong to the recordings among the files, if there are any. Warns of a series without a recording.
    UsageError if a recording is among the files of a lake, and for times that are not in order.
    """
    from kalshi_cli.services.research.lake_service import lake_folder
    from kalshi_cli.services.research.recorded_data import recordings_among, refuse_files_beside_lake, tell_unrecorded

    zone = ZoneInfo(config.day_zone)
    since, until = (None if each is None else moment_of(each, clock().now(), zone) for each in period)
    info(*show_period(config, since, until))
    typed = joined(series)
    chosen = {"tickers": names_of(tickers)} if tickers else {}
    if all(each is None for each in (lake, typed, since, until)):
        return chosen
    if lake is None and typed is None and recordings_among(files):
        return {"since": since, "until": until, **chosen}
    refuse_files_beside_lake(files)
    names = names_of(series)
    folder = lake_folder(config, lake)
    tell_unrecorded(folder, names, since, until, warn)
    return {"lake": folder, "series": names, "since": since, "until": until, **chosen}


def require_files(page: Path | None, folder: Path | None) -> None:
    """Raise UsageError before a long run if its report could not be written."""
    if page is not None and page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{page} must end in .html", hint="kalshi backtest ... --html report.html")
    if page is not None and (page.is_dir() or not page.absolute().parent.is_dir()):
        raise UsageError(f"Cannot write {page}: its folder does not exist, or it is a folder", hint="create the folder")
    if folder is not None:
        require_extra("research", "pyarrow")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", hint="--out takes a folder for several files")


def one_run_note(request: BacktestRequest) -> list[str]:
    """Return that several recordings are played as one run, whose results are not those of each recording."""
    from kalshi_cli.services.research.recorded_data import recordings_among

    many = len(recordings_among(request.files))
    return [f"{many} recordings are played as one run; --jobs 1 plays each alone, a line each"] if many > 1 else []


def strategy_failed(texts: Iterable[str]) -> KalshiError:
    """Return the error of strategies that failed, from what each said."""
    return KalshiError(
        f"Strategy failed: {'; '.join(texts)}", hint="fix the strategy, then run it again", code="strategy_failed"
    )


def is_for_screen(ctx: typer.Context) -> bool:
    """Return whether a report is read on a screen, which leaves out its long lists."""
    return form_of(ctx) in (Format.TABLE, Format.PLAIN) and not chosen_fields()


def show_report(
    ctx: typer.Context, view: BacktestView, title: str, page: Path | None, folder: Path | None, notes: Sequence[str]
) -> None:
    """Print the report, and write its files, the page with `notes`.

    A screen shows neither each trade nor the curve: JSON and files do.
    """
    from kalshi_cli.services.research.report.report_folder import earlier_report
    from kalshi_cli.services.research.report.saved import write_folder, write_page

    form, on_screen = form_of(ctx), is_for_screen(ctx)
    shown, below = _for_screen(view, is_table=form is Format.TABLE) if on_screen else (view, [])
    show_view(ctx, shown, title=title)
    info(*below)
    if page is not None:
        earlier = " in place of an earlier file" if page.exists() else ""
        write_page(view, page, notes)
        info(f"Wrote {page}{earlier}")
    if folder is not None:
        earlier = earlier_report(folder)
        write_folder(view, folder)
        info(f"Wrote trades, settlements, equity and by_market (Parquet) and report.json to {folder}")
        if earlier:
            info(f"They replace {earlier}; another name in --out keeps both")
    if on_screen and view.trades and page is None and folder is None:
        info(f"{pluralize(len(view.trades), 'fill')} in detail: --html FILE, --out DIR or --json")


def _for_screen(view: BacktestView, *, is_table: bool) -> tuple[BacktestView, list[str]]:
    """Return the report without its trades and curve, with its first recordings, and notes below it.

    A table leaves out ratios without a value; the report may be longer than the screen, so the result is repeated.
    """
    first, left_out = view.by_recording[:MAX_RECORDINGS], len(view.by_recording) - MAX_RECORDINGS
    shown = msgspec.structs.replace(view, trades=(), settlements=(), curve=(), sent=(), by_recording=first)
    more = [f"{pluralize(left_out, 'more recording')} in --json and --html"] if left_out > 0 else []
    if not is_table:
        return shown, more
    known = tuple(row for row in view.ratios if row.value is not None)
    why = sorted({row.note for row in view.ratios if row.value is None and row.note})
    notes = [*more, *([f"Some ratios are missing: {', '.join(why)}"] if why else [])]
    result = f"net {show_money(view.net, signed=True)}, fees {show_money(view.fees)}, {pluralize(view.fills, 'fill')}"
    notes.append(f"Result: {result}, max drawdown {show_money(view.max_drawdown)}")
    return msgspec.structs.replace(shown, ratios=known), notes


def compare_reports(ctx: typer.Context, paths: Sequence[Path]) -> None:
    """Print two saved reports and their differences."""
    from kalshi_cli.cli.screen.comparison import ComparisonLine, DifferingOrderLine
    from kalshi_cli.services.research.report.differing_orders import FILL, ORDER, without_dates
    from kalshi_cli.services.research.report.saved import column_headings, compare, own_orders, readable
    from kalshi_cli.views.backtests import ComparisonRow

    if len(paths) != 2:
        raise UsageError("compare takes two reports", hint="kalshi backtest compare a.json b.json")
    rows = compare(paths[0], paths[1], warn, info)
    warn(*own_orders(paths, "paper"))
    form = form_of(ctx)
    if form not in (Format.TABLE, Format.PLAIN):
        show_list(ctx, ComparisonRow, rows)
        return
    headings = column_headings(*paths)
    orders = [without_dates(row) for row in rows if row.measure.startswith((ORDER, FILL))]
    what = "fills" if any(row.measure.startswith(FILL) for row in rows) else "orders"
    rows = readable([row for row in rows if not row.measure.startswith((ORDER, FILL))])
    show_list(ctx, _headed(ComparisonLine, headings), rows, title=f"{paths[0]} and {paths[1]}")
    if orders:
        title = f"First {what} that differ ({len(orders):,}), UTC, YES prices"
        write_out("\n" if form is Format.TABLE else f"\n{title}\n")
        of = _headed(DifferingOrderLine, {**headings, "measure": "market"})
        show_list(ctx, of, orders[:MAX_DIFFERENCES], title=title)


def _headed(of: type[OutputRow], headings: dict[str, str]) -> type[OutputRow]:
    """Return the view with these headings."""
    made: type[Any] = msgspec.defstruct(of.__name__, (), bases=(of,), namespace={"headings": headings}, frozen=True)
    return made
