"""The report of a backtest as one HTML page: no script, no remote resource, light, dark and in print."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kalshi_cli.base.local_time import show_times
from kalshi_cli.base.units import Money, Ts, pluralize, show_money
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.services.research.backtest import phase_notes
from kalshi_cli.services.research.report.charts import bar_chart, line_chart, moment, text
from kalshi_cli.views.backtests import BacktestTradeRow, FillBoundRow, ProfitPartRow, RatioRow, RecordingPartRow
from kalshi_cli.views.formats import OutputColumn, cell, columns, is_number, style, to_text, without_none
from kalshi_cli.views.positions import PnlRow
from kalshi_cli.views.runs import BacktestView

MAX_TRADES = 20_000
"""Trades on a page, at most; it says how many it leaves out."""
MAX_BARS = 40
"""Bars by market, at most: those with the largest results."""

_TILES = (
    "net", "total_return", "fees", "max_drawdown", "highest_exposure", "turnover", "fills", "maker_share", "fill_rate",
    "closed_positions", "winning_positions", "position_win_rate", "win_rate", "profit_factor",
    "average_win", "average_loss", "time_in_market", "markets", "markets_traded", "starting_balance", "balance",
)  # fmt: skip

_NOT_ON_PAGE = ("event_ticker", "order_id")
"""Columns of trades that are in JSON and Parquet only, so that a line fits on a printed page."""

_SIDES = {Side.BID: "buy YES", Side.ASK: "sell YES"}
"""The sides of a fill, whose price is on the YES scale."""

STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--dim:#57606a;--back:#fff;--panel:#f6f8fa;--rule:#d0d7de;--line:#0969da;
--gain:#1a7f37;--loss:#cf222e}
@media (prefers-color-scheme:dark){:root{--text:#e6edf3;--dim:#9198a1;--back:#0d1117;--panel:#161b22;--rule:#30363d;
--line:#58a6ff;--gain:#3fb950;--loss:#f85149}}
@media print{:root{--text:#000;--dim:#444;--back:#fff;--panel:#fff;--rule:#bbb;--line:#0550ae;--gain:#116329;
--loss:#a40e26}section{break-inside:avoid}.long{break-inside:auto}tr{break-inside:avoid}body{font-size:11px;margin:0}
table{font-size:8px}th,td{padding:.1rem .3rem}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:68rem;margin:2rem auto;
padding:0 1rem;-webkit-print-color-adjust:exact;print-color-adjust:exact}
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2rem 0 .5rem}.dim{color:var(--dim)}
.note{border-left:4px solid var(--line);background:var(--panel);padding:.5rem 1rem;margin:1rem 0}
.note ul{margin:0;padding-left:1.2rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.5rem;margin:1rem 0}
dl div{background:var(--panel);border:1px solid var(--rule);border-radius:6px;padding:.4rem .7rem}
dt{color:var(--dim);font-size:.8rem}dd{margin:0;font-size:1.15rem;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .6rem;text-align:left;border-bottom:1px solid var(--rule);white-space:nowrap}th{color:var(--dim)}
dt::first-letter,th::first-letter{text-transform:uppercase}
.number{text-align:right}.green{color:var(--gain)}.red{color:var(--loss)}
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:var(--dim)}
path{fill:none}.grid{stroke:var(--rule);stroke-dasharray:2 4}.zero{stroke:var(--dim)}
.line{stroke:var(--line);stroke-width:1.6}.fall{stroke:var(--loss);stroke-width:1.6}
rect.gain{fill:var(--gain)}rect.loss{fill:var(--loss)}
"""

MODELS = {
    "proportional": "contracts that leave a level without a trade left in proportion, ahead of the order and behind it",
    "optimistic": "contracts that leave a level without a trade stood ahead of the order",
    "pessimistic": "contracts that leave a level without a trade stood behind the order",
}


def report_page(view: BacktestView, notes: Sequence[str] = ()) -> str:
    """Return the page, with `notes` such as warnings above the results."""
    sections = (
        _phases(view.phase_nets),
        _section("Fill models", _table(FillBoundRow, view.bounds), about=_BOUNDS if view.bounds else ""),
        _section("Profit and loss over time", line_chart(_points(view, "net"), "Profit and loss over time")),
        _section("Drawdown", line_chart(_points(view, "drawdown"), "Drawdown over time", "fall")),
        _section("Ratios", _table(RatioRow, view.ratios), about=_RATIOS),
        _section("Profit by recording", _table(RecordingPartRow, view.by_recording)),
        _by_market(view.rows),
        *(
            _parts(title, rows)
            for title, rows in (
                ("Profit by strategy", view.by_strategy),
                ("Profit by hour of the day, UTC, at which contracts were opened", view.by_hour),
                ("Profit by price paid", view.by_price),
                ("Profit by time to close at the opening", view.by_time_to_close),
            )
        ),
        _trades(view.trades),
        _section("Method", f"<p>{text(_method(view))}</p>"),
    )
    title = text(f"Backtest of {view.strategy}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>\n"
        f'<h1>{title}</h1><p class="dim">{text(_period(view.started, view.ended))}</p>\n'
        f'<p class="dim">{text(" ".join(f"{name}={value}" for name, value in view.params.items()))}</p>\n'
        f'<p class="dim">{text(show_times(_made_with(view)))}</p>\n<p>{text(_requests(view))}</p>\n'
        f"{_list('Not known from the data', view.unknown)}{_list('Warnings and notes', notes)}"
        f"{_tiles(view)}{''.join(sections)}</body></html>\n"
    )


_RATIOS = (
    "Per day (UTC) and per event, not annualized. A value within two standard errors of zero does not show an edge. "
    "The error assumes independent observations."
)
_BOUNDS = (
    "Two runs of the same strategies. With the same orders, the pessimistic run never fills more or earlier. A "
    "strategy that reacts to its fills places other orders: then the two results are not strict bounds."
)


def _period(start: Ts | None, end: Ts | None) -> str:
    return "No data" if start is None or end is None else f"{moment(start)} to {moment(end)}"


def _method(view: BacktestView) -> str:
    model = MODELS.get(view.fill_model, view.fill_model)
    return (
        f"Fill model {view.fill_model}: {model}. Latency {view.latency or 'unknown'}, from decision to exchange. "
        "Fees follow the schedule that the recording has at the time of the fill. Market impact is not modeled: your "
        "orders do not move the recorded market, so that the results of large orders are too good."
    )


def _made_with(view: BacktestView) -> str:
    """Return the assumptions, the settings and the recordings of a report."""
    settings = ", ".join(f"{name} {value}" for name, value in view.settings.items())
    files = f"recordings {', '.join(view.recordings)}" if view.recordings else ""
    assumed = f"fill model {view.fill_model}, latency {view.latency or 'unknown'}"
    return "; ".join(filter(None, (assumed, settings, files)))


def _requests(view: BacktestView) -> str:
    """Return how many orders were requested, sent and refused."""
    refused = sum(view.denied.values())
    codes = ", ".join(f"{code} {count:,}" for code, count in sorted(view.denied.items(), key=lambda each: -each[1]))
    why = f" ({codes})" if codes else ""
    return f"{pluralize(view.intents, 'order request')}: {view.orders:,} sent, {refused:,} refused{why}"


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{text(show_times(line))}</li>" for line in lines)
    return f'<div class="note"><strong>{title}</strong><ul>{items}</ul></div>\n' if lines else ""


def _tiles(view: BacktestView) -> str:
    kinds = {field.name: field.type for field in msgspec.structs.fields(BacktestView)}
    tiles = []
    for name in _TILES:
        value, column = getattr(view, name), OutputColumn(name, kinds[name])
        color = style(name, kinds[name], value)
        tiles.append(
            f'<div><dt>{text(column.label)}</dt><dd class="{color}">{text(to_text(kinds[name])(value))}</dd></div>'
        )
    return f"<dl>{''.join(tiles)}</dl>\n"


def _section(title: str, body: str, *, about: str = "", kind: str = "") -> str:
    """Return a section with its heading; an empty text without a body."""
    told = f'<p class="dim">{text(about)}</p>' if about else ""
    return f'<section class="{kind}"><h2>{text(title)}</h2>{told}{body}</section>\n' if body else ""


def _table(of: type[msgspec.Struct], rows: Sequence[msgspec.Struct], *, hidden: tuple[str, ...] = ()) -> str:
    if not rows:
        return ""
    shown = [column for column in columns(of) if column.name not in hidden]
    headings = {"key": "market"} if of is PnlRow else {"book_side": "side"}
    shown = [column._replace(heading=headings.get(column.name, "")) for column in shown]
    head = "".join(f'<th class="{_align(column)}">{text(column.label)}</th>' for column in shown)
    lines = []
    for row in rows:
        cells = ((column, getattr(row, column.name)) for column in shown)
        lines.append(
            "<tr>"
            + "".join(
                f'<td class="{_align(column)} {style(column.name, column.kind, value)}">'
                f"{text(_cell(column, value))}</td>"
                for column, value in cells
            )
            + "</tr>"
        )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _cell(column: OutputColumn, value: object) -> str:
    is_time = without_none(column.kind) is Ts and isinstance(value, int)
    if is_time and isinstance(value, int):
        return moment(Ts(value))
    return _SIDES.get(value, "") if isinstance(value, Side) else cell(column, value, None)


def _align(column: OutputColumn) -> str:
    return "number" if is_number(column.kind) else ""


def _points(view: BacktestView, name: str) -> list[tuple[Ts, Money]]:
    return [(row.time, Money(getattr(row, name))) for row in view.curve]


def _phases(nets: Sequence[Money]) -> str:
    each = ", ".join(show_money(net, signed=True) for net in nets)
    items = "".join(f"<p>{text(line)}</p>" for line in (*phase_notes(nets), f"Each phase: {each}"))
    return _section("Phases of the ticks", items if nets else "")


def _by_market(rows: Sequence[PnlRow]) -> str:
    largest = sorted(rows, key=lambda row: -abs(row.net))[:MAX_BARS]
    bars = [(row.key, Money(row.net)) for row in sorted(largest, key=lambda row: -row.net)]
    about = f"The {MAX_BARS} largest of {len(rows)} as bars." if len(rows) > MAX_BARS else ""
    body = bar_chart(bars, "Profit by market") + _table(PnlRow, rows)
    return _section("Profit by market", body, about=about, kind="long")


def _parts(title: str, rows: Sequence[ProfitPartRow]) -> str:
    body = bar_chart([(row.part, Money(row.net)) for row in rows], title)
    return _section(title, body + _table(ProfitPartRow, rows))


def _trades(rows: Sequence[BacktestTradeRow]) -> str:
    left_out = len(rows) - MAX_TRADES
    about = f"The first {MAX_TRADES}; {left_out} more are in --out and --json." if left_out > 0 else ""
    body = _table(BacktestTradeRow, rows[:MAX_TRADES], hidden=_NOT_ON_PAGE) or "<p>No trades.</p>"
    return _section(f"Trades: {pluralize(len(rows), 'fill')}", body, about=about, kind="long")
