"""Output of views to stdout, in every format.

    render_rows(MarketRow, rows, format)     a list
    render_one(balance_view(...), format)    one object: keys and values, or one JSON object
    render_book(view, format)                an order book, with depth bars on a terminal

The declared type of a field decides how its value is written. JSON is complete or absent, never half a document; NDJSON
and CSV are written row by row, with memory for one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from kalshi_cli.base.text import csv_line, csv_text, one_line, redact
from kalshi_cli.base.units import Qty, Ts, show_money
from kalshi_cli.cli.screen.output import Format, chosen_fields, default_format, info, write_out
from kalshi_cli.core.model.messages import Level
from kalshi_cli.views import formats, order_book
from kalshi_cli.views.row import OutputRow

if TYPE_CHECKING:
    from kalshi_cli.services.trading.reports.run_summary import RunSummary
    from kalshi_cli.views.runs import StrategyPartRow

MAX_IN_MEMORY_LENGTH = 8 * 1024 * 1024
"""Bytes of a JSON document that are held in memory until its end; a longer one goes to a temporary file."""

_CHUNK = 64 * 1024

ALIGN_ROWS = 1_000
"""Rows of a plain list that are aligned together."""

TABULATE_PADDING = 2
"""The characters by which tabulate makes a column wider than its header."""

MAX_TABLE_ROWS = 200
"""Longer lists are written as plain text, which takes a tenth of the time of a table."""


def render_rows(
    of: type[Struct],
    rows: Iterable[Struct],
    form: Format | None = None,
    *,
    title: str = "",
    empty: str = "No results",
    now: Ts | None = None,
) -> None:
    """Print a list. Tables have a `title` and ages relative to `now`; `empty` is the notice for no rows.

    NDJSON and CSV of an iterator are flushed row by row, so that the reader of a live feed sees each row at once.
    """
    form = form or default_format()
    if names := chosen_fields():
        from kalshi_cli.cli.screen.picked import pick_rows

        of, rows = pick_rows(of, rows, names, has_cells=form not in (Format.JSON, Format.NDJSON))
    _rows(of, rows, form, title=title, empty=empty, now=now)


def _rows(
    of: type[Struct],
    rows: Iterable[Struct],
    form: Format,
    *,
    title: str = "",
    empty: str = "No results",
    now: Ts | None = None,
    group: str = "",
) -> None:
    """Print a list with all of its fields."""
    if form in (Format.NDJSON, Format.CSV):
        write = _ndjson if form is Format.NDJSON else _csv
        write(of, rows, is_live=not isinstance(rows, Sequence))
        return
    if form is Format.JSON:
        _json(of, rows)
        return
    coming = iter(rows)
    first = list(islice(coming, MAX_TABLE_ROWS + 1))
    if not first:
        info(empty)
    elif form is Format.TABLE and len(first) <= MAX_TABLE_ROWS:
        from kalshi_cli.cli.screen.tables import draw_rows

        draw_rows(of, first, title, now, group)
    else:
        _plain(of, chain(first, coming), group or formats.group_of(title))


def render_one(row: OutputRow, form: Format | None = None, *, title: str = "", now: Ts | None = None) -> None:
    """Print one object. Its inner rows follow as tables; in CSV only those of its `listed` field, if it has that."""
    form = form or default_format()
    if names := chosen_fields():
        from kalshi_cli.cli.screen.picked import has_all, pick, picked

        rows_of = dict(formats.inner_rows(type(row))).get(row.listed)
        if rows_of and has_all(rows_of, names) and (form is Format.CSV or not has_all(type(row), names)):
            heading = type(row).rows_title or title
            render_rows(rows_of, getattr(row, row.listed), form, title=heading, now=now)
            return
        row = pick(row, picked(type(row), names, has_cells=form is Format.CSV))
    _one(row, form, title, now)


def _one(row: OutputRow, form: Format, title: str, now: Ts | None) -> None:
    """Print one object with all of its fields."""
    of = type(row)
    parts = [(name, kind, getattr(row, name)) for name, kind in formats.inner_rows(of)]
    if form is Format.JSON:
        write_out(msgspec.json.format(msgspec.json.encode(formats.to_machine(of)(row)), indent=2).decode() + "\n")
    elif form in (Format.NDJSON, Format.CSV):
        listed = dict(formats.inner_rows(of)).get(of.listed)
        if listed and form is Format.CSV:
            _rows(listed, getattr(row, of.listed), form)
        else:
            _rows(of, [row], form)
    else:
        if formats.columns(of) and form is Format.TABLE:
            from kalshi_cli.cli.screen.tables import draw_one

            draw_one(row, title, now)
        elif formats.columns(of):
            _plain_one(row)
        group = formats.group_of(of.rows_title or title)
        filled = [part for part in parts if part[2]]
        for name, kind, rows in filled:
            if formats.columns(of) or name != filled[0][0]:
                write_out("\n")
            heading = of.rows_title if name == "rows" else formats.label_of(name) if len(filled) > 1 else ""
            if heading and len(filled) > 1 and form is Format.PLAIN:
                write_out(f"{heading}\n")
            _rows(kind, rows, form, title=heading, now=now, group=group if name == "rows" else formats.label_of(name))


def render_book(
    view: order_book.BookView, form: Format | None = None, own: order_book.OwnLevels = order_book.NO_LEVELS
) -> None:
    """Print an order book: a ladder on a terminal, the object as JSON, else its levels from the highest price down.

    The ladder marks the levels of `own` orders.
    """
    form = form or default_format()
    bids, asks = levels_of("bid", view.bids), levels_of("ask", view.asks)
    if form in (Format.JSON, Format.NDJSON):
        render_one(view, form)
    elif form is Format.TABLE and (bids or asks):
        from kalshi_cli.cli.screen.tables import draw_book

        draw_book(view, bids, asks, own)
    else:
        _rows(order_book.LevelRow, _ladder(view), form, empty=f"No quotes for {view.ticker}")
    if view.to_fill and form in (Format.TABLE, Format.PLAIN):
        write_out("\n")
        _rows(order_book.FillCostRow, view.to_fill, form)


def render_books(
    views: Sequence[order_book.BookView], form: Format | None = None, own: order_book.OwnLevels = order_book.NO_LEVELS
) -> None:
    """Print several books, one after the other; as JSON a list, unless there is only one.

    Chosen fields are those of the books, or else those of their levels.
    """
    form, names = form or default_format(), chosen_fields()
    of = type(views[0])
    is_of_books = set(names) <= set(of.__struct_fields__)
    if names and len(views) == 1 and is_of_books:
        render_one(views[0], form)
    elif len(views) == 1 and not names:
        if form is Format.PLAIN and of is order_book.NoOrderbookView:
            write_out(f"{book_title(views[0])}\n")
        render_book(views[0], form, own)
    elif is_of_books and (names or form in (Format.JSON, Format.NDJSON)):
        render_rows(of, views, form)
    elif names or form is Format.CSV:
        rows = [order_book.MarketLevelRow.of(row, ticker=view.ticker) for view in views for row in _ladder(view)]
        render_rows(order_book.MarketLevelRow, rows, form)
    else:
        for number, view in enumerate(views):
            write_out(("\n" if number else "") + (f"{book_title(view)}\n" if form is Format.PLAIN else ""))
            render_book(view, form)


def book_title(view: order_book.BookView) -> str:
    """Return the heading of an order book: its market, and the outcome of its prices."""
    return f"{view.ticker}  {view.outcome.upper()}"


def _ladder(view: order_book.BookView) -> list[order_book.LevelRow]:
    return [*reversed(levels_of("ask", view.asks)), *levels_of("bid", view.bids)]


def levels_of(side: str, levels: Sequence[Level]) -> list[order_book.LevelRow]:
    """Return the levels, best first, with their size and the cumulative size."""
    rows, total = [], Qty(0)
    for price, count in levels:
        total = Qty(total + count)
        rows.append(order_book.LevelRow(side=side, price=price, count=count, total=total))
    return rows


# -- machine formats ----------------------------------------------------------------------------------------------


def _lines(of: type[Struct], rows: Iterable[Struct]) -> Iterator[str]:
    """Yield one JSON object per row."""
    write, encode = formats.to_machine(of), msgspec.json.Encoder().encode
    return (encode(write(row)).decode() for row in rows)


def _json(of: type[Struct], rows: Iterable[Struct]) -> None:
    """Write one JSON document after the last row has been read; until then the text is held, a long one on disk."""
    from tempfile import SpooledTemporaryFile

    with SpooledTemporaryFile(max_size=MAX_IN_MEMORY_LENGTH, mode="w+", encoding="utf-8", newline="") as draft:
        before = "[\n  "
        for line in _lines(of, rows):
            draft.write(before + line)
            before = ",\n  "
        draft.write("[]\n" if before.startswith("[") else "\n]\n")
        draft.seek(0)
        while text := draft.read(_CHUNK):
            write_out(text)


def _ndjson(of: type[Struct], rows: Iterable[Struct], *, is_live: bool) -> None:
    for line in _lines(of, rows):
        write_out(line + "\n", flush=is_live)


def _csv(of: type[Struct], rows: Iterable[Struct], *, is_live: bool) -> None:
    """Write quoted CSV with fixed-scale numbers; text that a spreadsheet would run as a formula gets an apostrophe."""
    writers = [(column.name, _csv_cell(column.kind)) for column in formats.columns(of)]
    write_out(csv_line(name for name, _ in writers))
    for row in rows:
        write_out(csv_line(write(getattr(row, name)) for name, write in writers), flush=is_live)


@cache
def _csv_cell(kind: Any) -> Callable[[Any], str]:
    write, is_guarded = formats.to_machine(kind), formats.is_text(kind)

    def cell(value: Any) -> str:
        written = write(value)
        if written is None:
            return ""
        text = written if isinstance(written, str) else msgspec.json.encode(written).decode()
        return csv_text(text) if is_guarded else text

    return cell


# -- plain text --------------------------------------------------------------------------------------------------


def _plain(of: type[Struct], rows: Iterable[Struct], group: str) -> None:
    """Write aligned columns under the headings of a terminal, with nothing cut, and every column unless the view chose.

    A long list is aligned part by part, so columns may become wider on the way down. Parts after the first are only
    padded: tabulate takes eight times as long.
    """
    from tabulate import tabulate

    fields = formats.headed(formats.columns(of), group)
    if piped := getattr(of, "piped", ()):
        by_name = {column.name: column for column in fields}
        fields = [by_name[name] for name in piped]
    shows = [(column.name, formats.to_plain(column)) for column in fields]
    are_numbers = [formats.is_number(column.kind) for column in fields]
    aligned = ["right" if is_right else "left" for is_right in are_numbers]
    names = formats.plain_headings(fields)
    widths, coming, is_first = [len(name) + TABULATE_PADDING for name in names], iter(rows), True
    while part := [[show(getattr(row, name)) for name, show in shows] for row in islice(coming, ALIGN_ROWS)]:
        widths = [max(width, *map(len, cells)) for width, cells in zip(widths, zip(*part, strict=True), strict=True)]
        if is_first:
            text = tabulate(part, headers=names, tablefmt="plain", disable_numparse=True, colalign=aligned)
            lines: Iterable[str] = text.splitlines()
        else:
            form = "  ".join(f"{{:{'>' if right else '<'}{w}}}" for right, w in zip(are_numbers, widths, strict=True))
            lines = (form.format(*cells) for cells in part)
        write_out("".join(f"{line.rstrip()}\n" for line in lines))
        is_first = False


def _plain_one(row: OutputRow) -> None:
    """Write the fields of one object; a view with chosen lines for a screen has no missing values here either."""
    fields = formats.columns(type(row))
    lines = [
        (name, text)
        for name, column in zip(formats.plain_headings(fields), fields, strict=True)
        for text in _texts(row, column)
    ]
    width = max(len(name) for name, _ in lines)
    write_out(
        "".join(f"{name:<{width}}  {text}\n" for name, text in lines if text != formats.MISSING or not row.screen)
    )


def _texts(row: OutputRow, column: formats.OutputColumn) -> list[str]:
    """Return the lines of a field: one, or one for each of several sentences."""
    value, show = getattr(row, column.name), formats.to_text(column.kind)
    return [show((each,)) for each in value] if value and column.name in row.sentences else [show(value)]


# -- the status of a running loop ----------------------------------------------------------------------------------


def _part_line(part: StrategyPartRow) -> str:
    """Return the line of one of several strategies."""
    of_budget = "" if part.budget is None else f" of {show_money(part.budget)}"
    return (
        f"  {part.strategy or 'manual'}: net {show_money(part.net, signed=True)}, {part.live_orders} live orders, "
        f"at risk {show_money(part.at_risk)}{of_budget}"
    )


def status_block(now: RunSummary) -> str:
    """Return the status of a run: three lines, one for each of several strategies, and any problems."""
    from kalshi_cli.services.trading.reports.status import triggered_group_text

    won = "" if now.win_rate is None else f"; closes won {now.win_rate:.0%}"
    gains = {"realized": now.realized, "unrealized change": now.unrealized, "net": now.net, "today": now.day_net}
    lines = [
        f"{now.mode} {now.strategy} on {now.env}: up {now.uptime_s:.0f} s, {now.cycles} cycles",
        f"  orders sent {now.orders} ({now.intents} requested), {now.live_orders} live; "
        f"fills {now.fills} ({now.maker_fills} maker, {now.taker_fills} taker{won}); positions {now.open_positions}",
        f"  {', '.join(f'{name} {show_money(gain, signed=True)}' for name, gain in gains.items())}, "
        f"fees {show_money(now.fees)}, balance {show_money(now.balance)}",
    ]
    if len(now.strategies) > 1:
        lines += (_part_line(part) for part in now.strategies)
    if now.halt or now.is_paused:
        why = f"HALTED, {now.halt}" if now.halt else "PAUSED"
        resume = f"kalshi resume --reason TEXT{' --reset-groups' if now.triggered_groups else ''}"
        lines.append(f"  {why}: no orders until `{resume}`")
    if now.reducing:
        lines.append(f"  REDUCE-ONLY: {now.reducing}")
    lines += (f"  disabled: {failure}" for failure in now.failed)
    for group_id in now.triggered_groups:
        remark, remedy = triggered_group_text(group_id)
        lines += [f"  {remark}", remedy]
    if now.denied:
        lines.append("  refused: " + ", ".join(f"{code} {count}" for code, count in sorted(now.denied.items())))
    return "\n".join(one_line(redact(line)) for line in lines)
