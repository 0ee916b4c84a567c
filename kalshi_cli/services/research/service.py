"""Research in Python: the lake, backtests and recordings as polars frames, and parameter searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.units import pluralize, show_money
from kalshi_cli.base.version import install_hint
from kalshi_cli.config.config import state_dir
from kalshi_cli.services.research import tape_runs
from kalshi_cli.services.research.arguments import (
    fills_of,
    interval_of,
    latency_of,
    names_of,
    number_of,
    paths_of,
    period_of,
    strategy_of,
    ts_of,
)
from kalshi_cli.services.research.backtest import (
    BacktestReport,
    BacktestRequest,
    FillChoice,
    all_refused_text,
    backtest_view,
    is_all_refused,
)
from kalshi_cli.services.research.lake_service import LakeService, lake_folder
from kalshi_cli.services.research.recorded_data import tell_unrecorded
from kalshi_cli.services.research.report.made_with import made_with, settings_of_variants
from kalshi_cli.services.research.report.report_folder import list_reports, read_report
from kalshi_cli.services.research.report.saved import frame_columns
from kalshi_cli.views.backtests import BacktestSettlementRow, BacktestTradeRow, EquityRow, ReportFolderView
from kalshi_cli.views.positions import PnlRow
from kalshi_cli.views.row import OutputRow
from kalshi_cli.views.runs import BacktestView

if TYPE_CHECKING:
    from kalshi_cli.services.research.search.optimize import OptimizeRequest
    from kalshi_cli.views.research import OptimizeView

MAX_PHASES = 100
"""Phases of the ticks that one backtest plays, at most."""
MAX_TAPES = 100_000
"""Recordings that are listed, at most."""


class BacktestResult:
    """The result of a backtest: `view` as `kalshi backtest` shows it, and polars frames.

    The frames are for analysis and charts: amounts and prices are floating-point dollars, times are UTC. Their columns
    are named like the fields of the view, and like those of the Parquet files of `--out`.
    """

    def __init__(self, report: BacktestReport, view: BacktestView | None = None) -> None:
        self.report = report
        self.view: BacktestView = view or backtest_view(report)

    def __repr__(self) -> str:
        """Return the main results on one line, as a notebook shows it."""
        view = self.view
        return (
            f"<BacktestResult {view.strategy}: net {show_money(view.net, signed=True)}, fees {show_money(view.fees)}, "
            f"{pluralize(view.fills, 'fill')}, max drawdown {show_money(view.max_drawdown)}>"
        )

    @cached_property
    def trades(self) -> Any:
        """Return a row for each fill, with the columns of `trades.parquet` (`--out`): time, ticker, price, count..."""
        return _frame_of(BacktestTradeRow, self.view.trades)

    @cached_property
    def equity(self) -> Any:
        """Return a row for each change of the net profit and loss: time, net, drawdown."""
        return _frame_of(EquityRow, self.view.curve)

    @cached_property
    def settlements(self) -> Any:
        """Return a row for each settled position: time, ticker, result, position, payout, realized.

        `realized` of all trades and settlements, less the fees of the trades, is `net` without open positions.
        """
        return _frame_of(BacktestSettlementRow, self.view.settlements)

    @cached_property
    def by_market(self) -> Any:
        """Return a row for each market, whose ticker is `key`: realized, unrealized, fees, net, wins, losses."""
        return _frame_of(PnlRow, self.view.rows)


class ResearchService(LakeService):
    """Backtests, recordings and parameter searches with the limits and strategies of one configuration."""

    @cached_property
    def setup(self) -> tape_runs.BacktestSetup:
        """Return the part of the configuration that backtests use."""
        return tape_runs.BacktestSetup.of(self._resources.config)

    def backtest(
        self,
        strategy: str,
        files: str | Path | Iterable[str | Path] = (),
        *,
        lake: str | Path | bool = False,
        sessions: Iterable[str] = (),
        series: str | Iterable[str] = (),
        tickers: str | Iterable[str] = (),
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        results: str | Path | Iterable[str | Path] = (),
        latency_ms: int | None = 150,
        fills: FillChoice = "proportional",
        interval_s: float | None = None,
        phases: int = 1,
        jobs: int | None = None,
        **params: object,
    ) -> BacktestResult:
        """Run a strategy over recordings and return its result. Keyword arguments are its parameters, as typed.

        `strategy` is a name, or a file with its class: "./fade.py:Fade". A class of a notebook is written to a file
        first (`%%writefile fade.py`), because worker processes load it from there.

        `lake` is the folder of a lake, or True for that of the environment, of which `series` and `sessions` (those of
        `tapes(lake=...)`) choose recordings; without them, all. Recordings come from files or from a lake, not from
        both, and are cut to the times from `since` to before `until`, and to the markets that `tickers` (names of
        markets, events or series) choose. A parameter of one of these names is passed with its strategy:
        `**{"crypto-ta.series": "KXBTC:BTC"}`. `fills` is the assumption about the queue position; without `latency_ms`,
        latencies are drawn from the recorded distribution; a tick comes every `interval_s`, as in a run by default.
        With several `phases`, ticks come at so many moments of their interval, a run each: `view.phase_nets` has the
        net of each, the rest is that of the first. With `jobs`, each recording is a run of its own, so many at a time.
        UsageError for a bad parameter or recording, KalshiError for a strategy that failed; with more than one job, a
        program needs the guard `if __name__ == "__main__":`.
        """
        chosen = _series_of(series, is_from_lake=bool(lake))
        start, end = period_of(since, until)
        request = BacktestRequest(
            strategies=tuple(name.strip() for name in strategy_of(strategy).split(",")),
            files=paths_of(files, "files"),
            lake=self._lake_folder(lake) if lake else None,
            sessions=names_of(sessions, "sessions", "sessions=[...], names of `tapes(lake=True)`, or () for all"),
            series=chosen,
            tickers=_upper(tickers, "tickers"),
            since=start,
            until=end,
            interval_s=interval_of(interval_s),
            results=paths_of(results, "results"),
            params={name: _as_typed(value) for name, value in params.items()},
            latency_ms=latency_of(latency_ms),
            fill_model=fills_of(fills),
        )
        if request.lake is not None:
            tell_unrecorded(request.lake, request.series, request.since, request.until, self._resources.tell)
        report = self._run(request, jobs, phases)
        if report.summary.failed:
            raise KalshiError(
                f"Strategy failed: {'; '.join(report.summary.failed)}",
                hint="fix the strategy and run it again", code="strategy_failed",
            )  # fmt: skip
        if is_all_refused(report):
            self._resources.tell(all_refused_text(report))
        return BacktestResult(report, made_with(report, self._resources.config, request))

    def _run(self, request: BacktestRequest, jobs: int | None, phases: int) -> BacktestReport:
        """Return the report of all recordings as one run, or with `jobs` of separate runs, with each phase."""
        many = None if jobs is None else number_of(jobs, "jobs", tape_runs.MAX_JOBS)
        parts = [request] if many is None else tape_runs.split_by_tape(request, self._resources.tell)
        interval_s = request.interval_s or self.setup.interval_s
        return tape_runs.over_phases(
            lambda phase_ms: tape_runs.run_parts(self.setup, parts, many or 1, phase_ms=phase_ms),
            interval_s,
            number_of(phases, "phases", MAX_PHASES),
        )

    def tapes(self, folder: str | Path = ".", *, lake: str | Path | bool = False) -> Any:
        """Return the recordings of a folder by time, as a polars frame: path, start, bytes. Other files are skipped.

        With `lake`, a folder or True for that of the environment, return those of a lake: session, start, end, series
        (joined by commas), rows.
        """
        if lake:
            return self._lake_tapes(self._lake_folder(lake))
        from kalshi_cli.services.research.search.windows import start_of

        if not Path(folder).is_dir():
            raise UsageError(f"No folder {folder}", hint="name the folder of the recordings; lake=True lists a lake")
        rows = []
        for number, path in enumerate(sorted(Path(folder).glob("*.jsonl*"))):
            if number >= MAX_TAPES:
                raise UsageError(f"More than {MAX_TAPES} files in {folder}")
            try:
                rows.append({"path": str(path), "start": start_of(path), "bytes": path.stat().st_size})
            except UsageError:
                continue
        rows.sort(key=lambda row: (row["start"], row["path"]))
        return _frame(rows, path="str", start="time", bytes="int")

    def book_changes(
        self,
        lake: str | Path | bool = True,
        *,
        markets: Iterable[str] = (),
        series: str | Iterable[str] = (),
        sessions: Iterable[str] = (),
        since: datetime | str | None = None,
        until: datetime | str | None = None,
    ) -> Any:
        """Return the order book changes of a lake in the order of replay, as a polars frame.

        Its columns: ts (microseconds), market, side, price, delta (contracts), seq, and kind: `change`; `reset`, the
        first level of a snapshot, before which the order book is empty; `level`, another one; `lost`, after which the
        order book is not usable until a reset, with neither side, price nor delta. `markets` are tickers, `series`
        all markets of these series, `sessions` recordings; all, if there are none. Warn of each of these markets and
        series that has no changes.
        UsageError without the lake or polars, for a time without zone, and for both markets and series.
        """
        polars = _polars()
        from kalshi_cli.lake.arrays import FIRST, LOST, SNAPSHOT, arrays
        from kalshi_cli.lake.layout import series_of
        from kalshi_cli.lake.reader import Selection

        tickers, recordings = (
            names_of(markets, "markets", "markets=['TICKER']"),
            names_of(sessions, "sessions", "a list"),
        )
        chosen = Selection(_upper(series, "series"), tickers, ts_of(since), ts_of(until), recordings)
        if tickers and chosen.series:
            raise UsageError("markets and series cannot be combined", hint="name the markets, or only their series")
        found = arrays(self.lake(self._lake_folder(lake)), chosen)
        having_changes = {*found.markets, *map(series_of, found.markets)}
        for name in (name for name in (*chosen.series, *chosen.markets) if name not in having_changes):
            self._resources.tell(f"Warning: the lake has no order book changes of {name} in these recordings")
        kinds = {0: "change", SNAPSHOT: "level", SNAPSHOT | FIRST: "reset", LOST: "lost"}

        def named(names: Iterable[str | None], numbers: Any) -> Any:
            known = list(names)
            enum = polars.Enum([name for name in known if name is not None])
            return polars.Series(known, dtype=enum).gather(numbers)

        changes = polars.DataFrame(
            {
                "ts": polars.Series(found.ts_us).cast(polars.Datetime("us", "UTC")),
                "market": named(found.markets, found.codes),
                "side": named(("bid", "ask"), found.side),
                "price": found.price / 10_000,
                "delta": found.delta / 100,
                "seq": found.seq,
                "kind": named(map(kinds.get, range(LOST + 1)), found.flags),
            }
        )
        known = polars.when(polars.col("kind") != "lost")
        return changes.with_columns(known.then(polars.col(name)).alias(name) for name in ("side", "price", "delta"))

    @property
    def report_folder(self) -> Path:
        """Return the folder of saved reports: `web.reports`, or `reports` in the state directory."""
        config = self._resources.config
        return config.web.reports or state_dir(config) / "reports"

    def reports(self) -> ReportFolderView:
        """Return the saved reports of `report_folder`, the newest first."""
        return list_reports(self.report_folder)

    def report(self, name: str) -> BacktestView:
        """Return a saved report by its name, for a screen: with its first trades and a thinned curve."""
        return read_report(self.report_folder, name)

    def _lake_folder(self, lake: str | Path | bool) -> Path:
        return lake_folder(self._resources.config, None if isinstance(lake, bool) else Path(lake))

    def _lake_tapes(self, folder: Path) -> Any:
        from kalshi_cli.lake.reader import Selection, recordings
        from kalshi_cli.lake.upkeep import series_with_data

        lake = self.lake(folder)
        listed = series_with_data(lake)
        rows = [
            {
                "session": each.session, "start": each.from_us // 1000, "end": each.to_us // 1000,
                "series": ",".join(name for name in each.series if name in listed), "rows": each.rows,
            }
            for each in recordings(lake, Selection())
        ]  # fmt: skip
        return _frame(rows, session="str", start="time", end="time", series="str", rows="int")

    def optimize(
        self, request: OptimizeRequest, show: Callable[[int, int], None] = lambda _done, _known: None
    ) -> OptimizeView:
        """Search for parameters and return the report of the study. `show` gets the finished trials and all.

        UsageError for a bad request; the workers are processes, so that a program needs the guard
        `if __name__ == "__main__":`.
        """
        from kalshi_cli.services.research.search.optimize import optimize

        folder = state_dir(self._resources.config) / "studies"
        return optimize(
            self.setup, request, self._resources.machine, folder, show, self._resources.note, self._resources.tell,
            partial(settings_of_variants, self._resources.config),
        )  # fmt: skip


def _upper(given: str | Iterable[str], name: str) -> tuple[str, ...]:
    """Return names in upper case; a text may have several with commas between them."""
    names = given.split(",") if isinstance(given, str) else names_of(given, name, f"{name}='KXBTC15M', or () for all")
    return tuple(each.strip().upper() for each in names if each.strip())


def _series_of(given: str | Iterable[str], *, is_from_lake: bool) -> tuple[str, ...]:
    chosen = _upper(given, "series")
    if chosen and not is_from_lake:
        raise UsageError(
            "series chooses recordings of a lake",
            hint="for markets of a file use tickers; a strategy's parameter is passed as **{'STRATEGY.series': ...}",
        )
    return chosen


def _as_typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _frame(rows: list[dict[str, Any]], /, **kinds: str) -> Any:
    """Return a polars frame with these columns, also where there are no rows. UsageError without polars."""
    polars = _polars()
    return polars.DataFrame(rows, schema={name: _polars_kind(polars, kind) for name, kind in kinds.items()})


def _frame_of(of: type[OutputRow], rows: Sequence[OutputRow]) -> Any:
    """Return a polars frame of views, with the columns of their fields. UsageError without polars."""
    polars, columns = _polars(), list(frame_columns(of, rows))
    schema = {name: _polars_kind(polars, kind) for name, kind, _ in columns}
    return polars.DataFrame({name: values for name, _, values in columns}, schema=schema)


def _polars() -> Any:
    try:
        return import_module("polars")
    except ImportError as error:
        raise UsageError("polars is not installed", hint=install_hint("research"), code="not_installed") from error


def _polars_kind(polars: Any, kind: str) -> Any:
    kinds = {"str": polars.String, "float": polars.Float64, "int": polars.Int64, "bool": polars.Boolean}
    return polars.Datetime("ms", "UTC") if kind == "time" else kinds[kind]
