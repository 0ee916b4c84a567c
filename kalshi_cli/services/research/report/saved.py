"""Saved reports: an HTML page, a folder for notebooks, and the comparison of two of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.files import make_folder, naming, read_regular
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Money, Price, Qty, Ts, format_money, parse_money, parse_ts, pluralize
from kalshi_cli.services.research.report.differing_orders import fill_rows, fills_of, order_rows
from kalshi_cli.services.research.report.made_with import OF_RECORDINGS
from kalshi_cli.services.research.report.page import report_page
from kalshi_cli.views.backtests import BacktestSettlementRow, BacktestTradeRow, ComparisonRow, EquityRow
from kalshi_cli.views.formats import OutputColumn, Ratio, SignedMoney, columns, to_machine, to_text, without_none
from kalshi_cli.views.parsing import from_machine
from kalshi_cli.views.positions import PnlRow
from kalshi_cli.views.runs import BacktestView, SentOrderRow

REPORT_FILE = "report.json"
MAX_REPORT_LENGTH = 512 * 1024 * 1024
"""Bytes of a saved report that are read, at most."""

_REPORTS = "name a file of `kalshi backtest --json` or `kalshi trade --json`, or a folder of `backtest --out`"

_COMPARED = (
    "strategy", "fill_model", "latency", "started", "ended", "markets", "markets_traded", "starting_balance", "net",
    "total_return", "realized", "unrealized", "fees", "max_drawdown", "highest_exposure", "turnover", "time_in_market",
    "closed_positions", "winning_positions", "position_win_rate", "win_rate", "profit_factor",
    "average_win", "average_loss", "intents", "orders", "fills", "maker_share", "fill_rate", "balance",
)  # fmt: skip


_TIMES = ("started", "ended")

SAME_TIME_MS = 5_000
"""The most by which the starts, and the ends, of two reports of the same time differ."""

SAME_LATENCY_MS = 10
"""The most by which short latencies differ; long ones may differ by a quarter."""

_PARAM = "param "
"""The beginning of a measure that is a parameter."""
_SETTING = "setting "
"""The beginning of a measure that is another setting of a run."""
_DENIED = "denied "
"""The beginning of a measure that counts the refusals with a code."""
_NO_STRATEGY = "(none)"
"""The row of a summary for what its strategies did not trade."""


def write_page(view: BacktestView, path: Path, notes: Sequence[str] = ()) -> None:
    """Write the report as one HTML page with `notes`; an existing file is replaced at once, never half."""
    _write(path, report_page(view, notes).encode())


def write_folder(view: BacktestView, folder: Path) -> None:
    """Write trades, settlements, equity curve and results by market as Parquet, and the whole report as JSON.

    Amounts are dollars and contracts as floating-point numbers, times are UTC; `report.json` has the exact decimals.
    """
    is_new = not folder.exists()
    make_folder(folder)
    try:
        for name, of, rows in (
            ("trades", BacktestTradeRow, view.trades),
            ("settlements", BacktestSettlementRow, view.settlements),
            ("equity", EquityRow, view.curve),
            ("by_market", PnlRow, view.rows),
        ):
            _write(folder / f"{name}.parquet", _parquet(of, rows))
        _write(folder / REPORT_FILE, msgspec.json.format(msgspec.json.encode(to_machine(BacktestView)(view))))
    except OSError:
        with suppress(OSError):  # it has files that were written before
            if is_new:
                folder.rmdir()
        raise


def _write(path: Path, data: bytes) -> None:
    """Replace a file by way of a new one beside it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with naming(path), open(descriptor, "wb") as file:
            file.write(data)
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


_SCALES: dict[Any, int] = {Money: 1_000_000, SignedMoney: 1_000_000, Price: 10_000, Qty: 100}


_KINDS: dict[Any, str] = {Ts: "time", int: "int", float: "float", Ratio: "float", bool: "bool"}


def frame_columns(of: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield the columns of a data frame of these views: name, kind (time, int, float, bool, str), values.

    Amounts are dollars and contracts as floating-point numbers, times are milliseconds.
    """
    for column in columns(of):
        kind = without_none(column.kind)
        values, scale = [getattr(row, column.name) for row in rows], _SCALES.get(kind)
        name = "float" if scale else _KINDS.get(kind, "str")
        if scale or name == "str":
            values = [None if value is None else value / scale if scale else str(value) for value in values]
        yield column.name, name, values


def _parquet(of: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> bytes:
    import pyarrow as arrow
    from pyarrow import parquet

    kinds = {
        "time": arrow.timestamp("ms", "UTC"), "int": arrow.int64(), "float": arrow.float64(), "bool": arrow.bool_(),
        "str": arrow.string(),
    }  # fmt: skip
    arrays = {name: arrow.array(values, kinds[kind]) for name, kind, values in frame_columns(of, rows)}
    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(arrays), sink, compression="zstd")
    return bytes(sink.getvalue())


# -- comparison ---------------------------------------------------------------------------------------------------


def compare(
    first: Path,
    second: Path,
    tell: Callable[[str], None] = lambda _text: None,
    note: Callable[[str], None] = lambda _text: None,
) -> list[ComparisonRow]:
    """Return the measures of two saved reports and their differences, then the net of each market of either.

    Then, for each market, the first order requests that differ, or without one the first fills. Parameters, settings,
    recordings, and the numbers of separate runs, are listed where they differ, refusals by code. Of several strategies
    the net and the refusals of each follow.

    A measure that both reports lack is left out. A report is a JSON file of `kalshi backtest --json`, a folder of
    `--out`, or the summary of a run, a JSON file of `kalshi trade --json`. With a summary, which has fewer measures
    and no markets, only the measures of both are compared. `tell` gets a line where the two should not be compared as
    they are: they cover different times, a strategy of one was disabled, or a run began with positions; `note` that no
    order differs. UsageError for anything else.
    """
    reports = [_read(path) for path in (first, second)]
    for line in _doubts((first, second), reports):
        tell(line)
    has_run = not all("rows" in each for each in reports)
    pairs: list[tuple[str, list[Any]]] = [(name, [each.get(name) for each in reports]) for name in _COMPARED]
    runs = [each.get("runs") for each in reports]
    pairs[1:1] = [*_settings(reports), *([("runs", runs)] if None not in runs and runs[0] != runs[1] else [])]
    pairs += [*_strategy_nets(reports), *_refusals(reports)]
    ratios = [_ratios(each) for each in reports]
    pairs += [(name, [each.get(name) for each in ratios]) for name in dict.fromkeys((*ratios[0], *ratios[1]))]
    nets = [{row["key"]: row["net"] for row in each.get("rows", ())} for each in reports]
    pairs += [(f"net {name}", [each.get(name) for each in nets]) for name in sorted({*nets[0], *nets[1]})]
    rows = [
        ComparisonRow(measure=name, a=_shown(name, a), b=_shown(name, b), difference=_difference(name, a, b))
        for name, (a, b) in pairs
        if (None not in (a, b) if has_run and not name.startswith((_PARAM, _SETTING)) else (a, b) != (None, None))
    ]
    orders = order_rows(reports)
    if orders or not all(each.get("sent") for each in reports):
        return rows + orders
    count, fills = pluralize(min(len(each["sent"]) for each in reports), "order"), fill_rows(reports)
    same = " Their fills differ" if fills else ""
    note(f"The {count} that both list have the same side, price and count, and times at most 5 s apart.{same}")
    return rows + fills


def _strategy_nets(reports: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the net of each strategy, where a report has several."""
    rows = [each.get("strategies" if "stopped_by" in each else "by_strategy", ()) for each in reports]
    nets = [{row.get("part") or row["strategy"]: row["net"] for row in each} for each in rows]
    names = sorted({*nets[0], *nets[1]} - {_NO_STRATEGY})
    for name in names if len(names) > 1 else ():
        yield f"net ({name})", [each.get(name) for each in nets]


def _refusals(reports: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the refusals by code, each followed by those of its strategies where both reports have them."""
    denied = [each.get("denied", {}) for each in reports]
    rows = [each.get("denied_by_strategy", ()) for each in reports]
    split = [{(row["code"], row["strategy"]): row["denied"] for row in each} for each in rows]
    is_split = all(bool(each) == bool(of_all) for each, of_all in zip(split, denied, strict=True))
    for code in sorted({*denied[0], *denied[1]}):
        yield _DENIED + code, [each.get(code, 0) for each in denied]
        for of_code, name in sorted({*split[0], *split[1]}) if is_split else ():
            if of_code == code:
                yield f"{_DENIED}{code} ({name})", [each.get((code, name), 0) for each in split]


def own_orders(paths: Sequence[Path], without_traces: str) -> Iterator[str]:
    """Yield that the recording beside a run has the run's own orders, unless its mode leaves no traces."""
    run, other = sorted(map(_read, paths), key=lambda each: "stopped_by" not in each)
    is_run, is_other_run = ("stopped_by" in each for each in (run, other))
    if is_run and not is_other_run and run.get("orders") and run.get("mode") != without_traces:
        yield (
            "The recorded order books have the resting orders of the run itself and lack what it took, so the backtest "
            f"of a strategy that quotes decides differently; a run on {without_traces} leaves no traces"
        )


def column_headings(first: Path, second: Path) -> dict[str, str]:
    """Return the headings of the columns of a comparison: the name and the mode of each report."""
    names = [path.name if first.name != second.name else str(path) for path in (first, second)]
    modes = [report["mode"] if "stopped_by" in report else "backtest" for report in map(_read, (first, second))]
    return {field: f"{name} ({mode})" for field, name, mode in zip("ab", names, modes, strict=True)}


def _doubts(paths: Sequence[Path], reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield why the numbers of two reports are not those of the same time, or of a whole run."""
    for path, report in zip(paths, reports, strict=True):
        for text in report.get("failed_strategies", ()):
            yield f"{path}: a strategy was disabled during the run, so its numbers are not those of a whole run: {text}"
        if report.get("slow_hooks"):
            slowest = f"the slowest took {report.get('slowest_hook_ms')} ms"
            yield f"{path}: {report['slow_hooks']} hook calls were slow, {slowest}; a backtest does not model that time"
        yield from _positions_before(path, report)
    yield from _latencies(reports)
    yield from _settled_in_one(paths, reports)
    yield from _markets(reports)
    for name in _TIMES:
        one, other = (each.get(name) for each in reports)
        if one and other and abs(parse_ts(one) - parse_ts(other)) > SAME_TIME_MS:
            spans = (f"{each.get('started')} to {each.get('ended')}" for each in reports)
            hint = "`kalshi backtest --since TIME --until TIME` cuts the recording to the times of the run"
            yield f"The reports cover different times: {' and '.join(spans)}. {hint}"
            return


def _positions_before(path: Path, report: dict[str, Any]) -> Iterator[str]:
    """Yield that the net of a run includes positions from before it, which its backtest does not have."""
    if "stopped_by" not in report:
        return
    backtest, began = "a backtest begins without positions", report.get("starting_positions")
    if began:
        yield f"{path}: the run began with {pluralize(len(began), 'open position')}; {backtest}"
    for row in report.get("strategies", ()):
        if row["strategy"] == _NO_STRATEGY and parse_money(row["net"]):
            gain = _worded(SignedMoney, row["net"])
            yield f"{path}: {gain} of the net is of positions and trades outside its strategies; {backtest}"
            return
    held, fills = report.get("open_positions", 0), report.get("fills", 0)
    if began is None and held > fills:  # a summary of an earlier version does not say it
        yield f"{path}: the run began with positions: {held} are open after {pluralize(fills, 'fill')}; {backtest}"


def _latencies(reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield that two runs, or a run and its backtest, have different latencies."""
    run, other = sorted(reports, key=lambda each: "stopped_by" not in each)
    times = [str(each.get("latency") or "").removesuffix("ms") for each in (run, other)]
    if "stopped_by" not in run or not all(map(str.isdigit, times)):
        return
    one, two = map(int, times)
    if abs(one - two) <= max(SAME_LATENCY_MS, one // 4):
        return
    if "stopped_by" in other:
        of_runs = " and ".join(f"{time}ms ({each['mode']})" for time, each in zip(times, (run, other), strict=True))
        yield f"The latency differs: {of_runs}. Later orders meet other prices, so the results differ too"
    else:
        yield (
            f"The latency differs: that of the run is {one}ms, the backtest assumes {two}ms. "
            f"`kalshi backtest --latency {one}ms` repeats it with that of the run"
        )


def _settled_in_one(paths: Sequence[Path], reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield that a position is settled in a backtest, and still open at the end of the other report."""
    for one, other in ((0, 1), (1, 0)):
        settled = {row["ticker"]: row["time"] for row in reports[other].get("settlements", ())}
        open_here = _open_markets(reports[one])
        found = sorted(open_here & settled.keys())
        if "stopped_by" in reports[one]:  # a summary has their number only
            count = max(0, reports[one].get("open_positions", 0) - len(_open_markets(reports[other])))
            found = sorted(settled, key=lambda ticker: settled[ticker])[-count:] if count else []
        if found:
            yield (
                f"{paths[other]} ends with the settlement of {', '.join(found)}, {paths[one]} ends before it with an "
                "open position: realized, balance and positions won differ for this reason"
            )


def _open_markets(report: dict[str, Any]) -> set[str]:
    """Return the markets in which a backtest ended with an open position."""
    last = {row["ticker"]: float(row["position_after"]) for row in report.get("trades", ())}
    return {ticker for ticker, held in last.items() if held} - {row["ticker"] for row in report.get("settlements", ())}


def _markets(reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield that a backtest played more markets than the run that it is compared with."""
    run, other = sorted(reports, key=lambda each: "stopped_by" not in each)
    traded, played = (each.get("markets") or 0 for each in (run, other))
    if "stopped_by" in run and "stopped_by" not in other and played > traded > 0:
        yield (
            f"The run traded {pluralize(traded, 'market')}, the backtest {pluralize(played, 'market')}. "
            "`kalshi backtest --ticker NAME` plays only the markets, events or series of the run"
        )


def _settings(reports: Sequence[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Return the parameters, recordings and other settings that differ, as far as both reports have any of them.

    Only a backtest has the settings of its recordings.
    """
    has_run = any("stopped_by" in each for each in reports)
    found = []
    for start, field in ((_PARAM, "params"), (_SETTING, "settings")):
        first, second = (each.get(field) or {} for each in reports)
        names = [name for name in dict.fromkeys((*first, *second)) if first.get(name) != second.get(name)]
        names = [name for name in names if not (has_run and name in OF_RECORDINGS)] if first and second else []
        found += [(start + name, [first.get(name), second.get(name)]) for name in names]
    files = [", ".join(each.get("recordings") or ()) for each in reports]
    return [*found, ("recordings", [*files])] if all(files) and files[0] != files[1] else found


def readable(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Return the rows of a comparison for a terminal: amounts in dollars, ratios in percent, fields in words.

    Amounts are exact, because a difference below a cent decides whether two reports agree.
    """
    kinds = {column.name: without_none(column.kind) for column in columns(BacktestView)}
    return [
        ComparisonRow(
            measure=_label(row.measure),
            a=_worded(kind, row.a),
            b=_worded(kind, row.b),
            difference=_worded(kind, row.difference, is_difference=True),
        )
        for row in map(_with_short_times, rows)
        for kind in [SignedMoney if row.measure.startswith("net ") else kinds.get(row.measure)]
    ]


def _with_short_times(row: ComparisonRow) -> ComparisonRow:
    """Return times without a year that both have: with the longest ticker and a difference they fit on 80 columns."""
    if row.measure not in _TIMES or not row.a or not row.b or row.a[:4] != row.b[:4]:
        return row
    return msgspec.structs.replace(row, a=row.a[5:], b=row.b[5:])


def _label(measure: str) -> str:
    if measure in _TIMES:
        return f"{measure} UTC"
    if measure.startswith(_DENIED):
        return f"refused {measure.removeprefix(_DENIED)}"
    if measure.startswith(_SETTING):
        return measure.removeprefix(_SETTING)
    return measure if measure.startswith(_PARAM) else OutputColumn(measure, str).label


def _worded(kind: object, value: str | None, *, is_difference: bool = False) -> str | None:
    if value is None:
        return None
    if kind == Ts:
        return value.replace("T", " ").removesuffix("Z")
    if kind is Ratio:
        points = to_text(Ratio)(Ratio(float(value)))
        return f"{points[:-1]} points" if is_difference else points
    if kind in (Money, SignedMoney):
        sign = "-" if value.startswith("-") else "+" if parse_money(value) and (is_difference or kind != Money) else ""
        whole, _, part = value.lstrip("-").partition(".")
        return f"{sign}${int(whole):,}.{part.rstrip('0'):0<2}"
    return value


def _ratios(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in report.get("ratios", ()):
        name = f"{row['measure']}_by_{row['per']}"
        found |= {name: row["value"], f"{name}_error": row["standard_error"]}
    return found


class _SavedRatio(msgspec.Struct):
    measure: str
    per: str
    value: float | None
    standard_error: float | None


class _SavedMarket(msgspec.Struct):
    key: str
    net: str


class _SavedStrategy(msgspec.Struct):
    strategy: str
    net: Annotated[str, msgspec.Meta(pattern=r"^-?\d+\.\d+$")]


class _SavedPart(msgspec.Struct):
    part: str
    net: str


class _SavedRefusals(msgspec.Struct):
    strategy: str
    code: str
    denied: int


class _Saved(msgspec.Struct, kw_only=True):
    """The parts that a report and a summary have."""

    strategy: str
    net: str
    params: dict[str, str] = {}
    denied: dict[str, int] = {}
    denied_by_strategy: list[_SavedRefusals] = []


class _SavedParts(_Saved, kw_only=True):
    """The parts of a report that a comparison cannot do without."""

    rows: list[_SavedMarket]
    ratios: list[_SavedRatio]
    by_strategy: list[_SavedPart] = []


class _SavedSummary(_Saved, kw_only=True):
    """The parts of the summary of a run that tell it from other JSON."""

    mode: str
    stopped_by: str
    failed_strategies: list[str] = []
    strategies: list[_SavedStrategy] = []
    starting_positions: list[dict[str, str]] | None = None
    open_positions: int = 0
    fills: int = 0


def _read(path: Path) -> dict[str, Any]:
    file = path / REPORT_FILE if path.is_dir() else path
    try:
        data = read_regular(file, MAX_REPORT_LENGTH)
        if not data:
            raise ValueError("it is empty; the run has not ended, or was killed")
        found: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
        if "study" in found:
            raise ValueError("it is that of a search; give `kalshi backtest` its parameters, and save that report")
        msgspec.convert(found, type=prepared(_SavedSummary if "stopped_by" in found else _SavedParts))
        if "sent" in found:
            found["sent"] = from_machine(tuple[SentOrderRow, ...])(found["sent"])
            found["run_fills"] = fills_of(found)
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror or error}", hint=_REPORTS, code="bad_report") from error
    except (ValueError, RecursionError) as error:
        text = f"{file} is not a report of a backtest or a run: {error}"
        raise UsageError(text, hint=_REPORTS, code="bad_report") from error
    return found


def _shown(name: str, value: object) -> str | None:
    """Return a value as text, a time to the second."""
    if name in _TIMES and isinstance(value, str):
        return f"{value[:19]}Z"
    return None if value is None else str(value)


def _difference(name: str, a: object, b: object) -> str | None:
    """Return the second less the first: exactly for integers and amounts, rounded for ratios; None for other values."""
    if isinstance(a, bool) or isinstance(b, bool) or name.startswith((_PARAM, _SETTING)):
        return None
    if isinstance(a, int | float) and isinstance(b, int | float):
        return str(b - a) if isinstance(a, int) and isinstance(b, int) else f"{b - a:.6f}"
    if isinstance(a, str) and isinstance(b, str):
        with suppress(ValueError):
            return format_money(Money(parse_money(b) - parse_money(a)))
    return None
