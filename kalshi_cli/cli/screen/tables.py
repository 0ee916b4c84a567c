"""Tables for a terminal, by rich. Imported only once one is drawn.

Outside text goes in as `Text`, never as markup: in rich 15 escape bytes pass through `escape()`, and a stray `[/]`
raises. Numbers are right-aligned; where the screen is narrow, prose is cut (wrapped, where a row type wants that)
and then columns are left out, but a ticker, an id or a number is never shortened.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Qty, Ts, show_price, show_qty
from kalshi_cli.cli.screen.output import info, write_out
from kalshi_cli.views.formats import (
    MISSING,
    OutputColumn,
    cell,
    columns,
    format_age,
    is_moment,
    is_number,
    short_ids,
    style,
)
from kalshi_cli.views.order_book import LevelRow, OrderbookView
from kalshi_cli.views.row import OutputRow

GAP = 2
MIN_PROSE_LENGTH, MIN_LINE_LENGTH = 12, 16
"""The least of a prose that is cut, and of one that goes on below."""
MAX_BAR_LENGTH = 40


def draw_rows(kind: type[Struct], rows: Sequence[Struct], title: str, now: Ts | None) -> None:
    """A list, with the columns that the row type shows, as many as fit; of what is no view, all."""
    of = kind if issubclass(kind, OutputRow) else OutputRow
    by_name = {column.name: column for column in columns(kind)}
    fields = [by_name[name] for name in of.shown or by_name]
    cells = [{column.name: cell(column, getattr(row, column.name), now) for column in fields} for row in rows]
    for column in (each for each in fields if each.is_short_id):
        for line, short in zip(cells, short_ids([line[column.name] for line in cells]), strict=True):
            line[column.name] = short
    console = _console()
    shortest = MIN_LINE_LENGTH if of.wraps else MIN_PROSE_LENGTH
    fitted = fit(fields, _widths(fields, cells), console.width, of.vital, shortest)
    if of.vital and now is not None and len(fitted) < len(fields):
        for row, line in zip(rows, cells, strict=True):
            moments = {name: getattr(row, name) for name in of.vital if is_moment(by_name[name].kind)}
            line |= {name: format_age(ts, now) for name, ts in moments.items() if ts is not None}
        fitted = fit(fields, _widths(fields, cells), console.width, of.vital, shortest)
    console.width = max(console.width, sum(fitted.values()) + GAP * (len(fitted) - 1))
    shown = [column for column in fields if column.name in fitted]
    table = _grid()
    for column in shown:
        table.add_column(
            Text(column.label),
            justify="right" if is_number(column.kind) else "left",
            no_wrap=not (of.wraps and column.is_prose),
            overflow=("fold" if of.wraps else "ellipsis") if column.is_prose else "crop",
            width=fitted[column.name],
        )
    for row, line in zip(rows, cells, strict=True):
        table.add_row(*(Text(line[c.name], style=style(c.name, c.kind, getattr(row, c.name))) for c in shown))
    _draw(console, title, table)
    for line in cells:
        hint = line.get("hint", MISSING)
        if hint != MISSING and cell_len(hint) > fitted.get("hint", 0):
            info(f"{line[fields[0].name]}: {hint}")  # whole: a command in it is there to be copied
    if len(shown) < len(fields):
        left_out = ", ".join(column.label for column in fields if column.name not in fitted)
        info(f"too narrow for: {left_out} (a wider terminal or --format plain shows them)")


def draw_markdown(text: str) -> None:
    """Text of ours, with headings, steps and commands made visible, as wide as the screen."""
    from rich.markdown import Markdown

    _draw(_console(), "", Markdown(text, hyperlinks=False))


def _widths(fields: Sequence[OutputColumn], cells: Sequence[dict[str, str]]) -> dict[str, int]:
    return {c.name: max(cell_len(c.label), *(cell_len(line[c.name]) for line in cells)) for c in fields}


def fit(
    fields: Sequence[OutputColumn],
    widths: dict[str, int],
    room: int,
    vital: Collection[str] = (),
    shortest: int = MIN_PROSE_LENGTH,
) -> dict[str, int]:
    """The width of each column that is shown: prose gives way first, then columns are left out from the right, those
    that are vital never.
    """
    kept = list(fields)
    while True:
        prose = sorted((column.name for column in kept if column.is_prose), key=widths.__getitem__)
        found = {column.name: widths[column.name] for column in kept}
        left = room - GAP * (len(kept) - 1) - sum(found[c.name] for c in kept if not c.is_prose)
        for sharing, name in zip(range(len(prose), 0, -1), prose, strict=True):
            found[name] = min(widths[name], max(left // sharing, shortest))
            left -= found[name]
        loose = [column for column in kept[1:] if column.name not in vital]
        droppable = [column for column in loose if not column.is_prose] or loose
        if left >= 0 or not droppable:
            return found
        kept.remove(droppable[-1])


def draw_one(row: OutputRow, title: str, now: Ts | None) -> None:
    """One object as key and value; long text is wrapped, not cut."""
    _draw(_console(), title, one_grid(row, now))


def one_grid(row: OutputRow, now: Ts | None) -> Table:
    """An object as `draw_one` draws it."""
    grid = _grid(has_header=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    by_name = {column.name: column for column in columns(type(row))}
    for column in (by_name[name] for name in row.screen or by_name):
        value = getattr(row, column.name)
        if row.screen and value is None:
            continue
        colour = style(column.name, column.kind, value)
        grid.add_row(Text(column.label, style="dim"), Text(cell(column, value, now), style=colour))
    return grid


def draw_book(view: OrderbookView, bids: Sequence[LevelRow], asks: Sequence[LevelRow]) -> None:
    """Asks above bids, the best prices in the middle, bars as long as what stands there."""
    console = _console()
    _draw(console, view.ticker, ladder(view, bids, asks, console.width))


def ladder(view: OrderbookView, bids: Sequence[LevelRow], asks: Sequence[LevelRow], width: int) -> Table:
    """A book as `draw_book` draws it."""
    largest = max((row.count for row in chain(bids, asks)), default=Qty(1))
    table = _grid()
    for name in ("price", "count", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column()
    room = max(8, min(MAX_BAR_LENGTH, width - 40))
    for row in (*reversed(asks), None, *bids):
        if row is None:
            text = f"spread {show_price(view.spread)}   mid {show_price(view.mid)}"
            table.add_row("", "", "", Text(text, style="dim"))
            continue
        colour = "green" if row.side == "bid" else "red"
        bar = "█" * max(1, room * row.count // largest)
        table.add_row(
            Text(show_price(row.price), style=colour),
            Text(show_qty(row.count)),
            Text(show_qty(row.total), style="dim"),
            Text(bar, style=colour),
        )
    return table


def _grid(*, has_header: bool = True) -> Table:
    return Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold", show_header=has_header)


def _console() -> Console:
    """Colours, width and NO_COLOR as rich finds them for stdout."""
    return Console(highlight=False, emoji=False, markup=False)


def _draw(console: Console, title: str, body: RenderableType) -> None:
    with console.capture() as drawn:
        if title:
            console.print(Text(safe_text(title), style="bold"), no_wrap=True, overflow="ellipsis")
        console.print(body, crop=False)
    write_out(drawn.get())
