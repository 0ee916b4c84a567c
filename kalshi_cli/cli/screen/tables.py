"""Tables for a terminal. Imported only when one is drawn.

Text from outside is a `Text`, never markup: in rich 15 escape bytes pass through `escape()`, and a stray `[/]` raises.
Numbers are right-aligned. On a narrow screen prose is cut (or wrapped, if the row type says so), then columns are left
out. The vital columns stay: where they have no room, tickers are cut in the middle, or else rows are drawn one below
the other. An id or a number is never shortened.
"""

from __future__ import annotations

import os
import pydoc
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, zip_longest

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from kalshi_cli.base.text import MIN_NAME_WIDTH, NAME_MARK, safe_text, shorten_name, shorten_title
from kalshi_cli.base.units import Qty, Ts, show_price, show_qty
from kalshi_cli.cli.screen.output import command_to_repeat, info, write_out
from kalshi_cli.views import formats
from kalshi_cli.views.formats import style
from kalshi_cli.views.order_book import NO_LEVELS, BookView, LevelRow, OwnLevels
from kalshi_cli.views.row import OutputRow

GAP = 2
MIN_PROSE_LENGTH, MIN_LINE_LENGTH = 12, 16
"""The least width of prose that is cut, and of prose that is wrapped."""
MAX_WORD_LENGTH = 32
"""A longer word, such as an id or a path, may be broken by the end of a line."""
MIN_TABLE_WIDTH = 60
"""On a narrower screen, such as that of a phone, rows that do not fit are drawn one below the other, in full."""
MIN_TEXT_LENGTH = 24
"""Sentences in a narrower column read badly: where it is vital, rows are drawn one below the other."""
MAX_BAR_LENGTH = 40
LONGEST_AGE, LONGEST_TIME = len("in 59m"), len("Jun 11 06:29 EDT (in 59m)")
"""Room for a time, whatever it is now: columns must not come and go from one minute to the next."""


def draw_rows(kind: type[Struct], rows: Sequence[Struct], title: str, now: Ts | None, group: str = "") -> None:
    """Draw a list with as many columns of the row type as fit; a type that is not a view shows all columns.

    `group` is the heading of `key`; the default is the word after "by" in the title.
    """
    of = kind if issubclass(kind, OutputRow) else OutputRow
    by_name = {
        column.name: column for column in formats.headed(formats.columns(kind), group or formats.group_of(title))
    }
    fields = every = formats.distinct([by_name[name] for name in of.shown or by_name])
    cells = [{column.name: formats.cell(column, getattr(row, column.name), now) for column in fields} for row in rows]
    shorten_ids(fields, cells)
    console = _console()
    keeps_words = of.wraps and not of.breaks_words
    shortest = {column.name: _shortest(column, cells) if keeps_words else MIN_PROSE_LENGTH for column in fields}
    vital = {*of.vital, *(column.name for column in fields if column.is_short_id)}
    if _needed(_widths(fields, cells)) > console.width:
        empty = {c.name for c in fields[1:] if all(line[c.name] == formats.MISSING for line in cells)}
        fields = [c for c in fields if c.name in of.vital or c.name not in empty]
        vital -= empty
        if _needed(_widths(fields, cells)) > console.width:
            fields = [c for c in fields if c.name != "hint"]  # Below the table it does not narrow the other columns.
    fitted = fit(fields, _widths(fields, cells), console.width, vital, shortest)
    if of.vital and now is not None and (len(fitted) < len(fields) or _needed(fitted) > console.width):
        for row, line in zip(rows, cells, strict=True):
            moments = {name: getattr(row, name) for name in of.vital if formats.is_moment(by_name[name].kind)}
            line |= {name: formats.format_age(ts, now) for name, ts in moments.items() if ts is not None}
        fitted = fit(fields, _widths(fields, cells), console.width, vital, shortest)
    fitted = _whole_groups(fitted, of.together)
    is_narrow = console.width < MIN_TABLE_WIDTH or _reads_badly(of, fitted, _widths(fields, cells))
    is_cut = len(fitted) < len(fields) or _needed(fitted) > console.width
    is_narrow |= len(fitted) < len(fields) and command_to_repeat() == ""  # a write must not be repeated to see more
    room = console.width
    if (is_narrow and is_cut) or not (_fold_effects(cells, fitted, room) or _cut_tickers(cells, fitted, room)):
        console.width = max(console.width, *(cell_len(line[fields[0].name]) for line in cells))
        _draw(console, title, Group(*(_block(every, line, console.width) for line in cells)))
        return
    if not of.wraps:
        for name in (column.name for column in fields if column.is_prose and column.name in fitted):
            show_differences(cells, name, fitted[name])
    console.width = max(console.width, sum(fitted.values()) + GAP * (len(fitted) - 1))
    shown = [column for column in fields if column.name in fitted]
    table = _grid()
    for column in shown:
        table.add_column(
            Text(column.label),
            justify="right" if formats.is_number(column.kind) else "left",
            no_wrap=not (of.wraps and column.is_prose),
            overflow=("fold" if of.wraps else "ellipsis") if column.is_prose else "crop",
            width=fitted[column.name],
        )
    for row, line in zip(rows, cells, strict=True):
        table.add_row(*(Text(line[c.name], style=style(c.name, c.kind, getattr(row, c.name))) for c in shown))
    _draw(console, title, table)
    _show_hints(rows, [line[fields[0].name] for line in cells], fitted.get("hint", 0))
    if len(shown) < len(fields):
        hidden = [column for column in fields if column.name not in fitted]
        known = [each.name for each in fields if each is fields[0] or each.name in ("ticker", "side")]
        names = [of.fields.get(name, name) for name in (*known, *(each.name for each in hidden))]
        info(hidden_line([each.label for each in hidden], names if _can_choose(names) else ()))


def _can_choose(names: Sequence[str]) -> bool:
    """Return whether the running command takes these names for `--fields`; it does not for rows inside an object."""
    from kalshi_cli.cli.fields import takes_fields

    command = command_to_repeat()
    return command is None or takes_fields(command, names)


def hidden_line(labels: Sequence[str], names: Sequence[str] = (), command: str = "") -> str:
    """Return the line that names the columns without room, and says how to see them: with `--fields` and `names`.

    `command` is another one that takes those names.
    """
    fields = f"--fields {','.join(names)}"
    remedy = f"To see them: {f'`{command} {fields}`' if command else fields}" if names else "Use a wider terminal"
    return f"Hidden, the terminal is too narrow: {', '.join(labels)}. {remedy}"


def _whole_groups(fitted: dict[str, int], together: Sequence[str]) -> dict[str, int]:
    """Return the columns without those that belong `together` where one of them has no room."""
    return {name: width for name, width in fitted.items() if name not in together or {*together} <= fitted.keys()}


def _fold_effects(cells: Sequence[dict[str, str]], fitted: dict[str, int], room: int) -> bool:
    """Put what an order closes above what it opens if the columns fit then, and return whether they fit.

    A ticker is copied, so it is cut only where this does not help.
    """
    missing = _needed(fitted) - room
    if missing <= 0 or "effect" not in fitted:
        return missing <= 0
    folded = [line["effect"].replace(", ", ",\n") for line in cells]
    width = max(map(cell_len, ("effect", *chain.from_iterable(map(str.splitlines, folded)))))
    if fitted["effect"] - width < missing:
        return False
    fitted["effect"] = width
    for line, text in zip(cells, folded, strict=True):
        line["effect"] = text
    return True


def _cut_tickers(cells: Sequence[dict[str, str]], fitted: dict[str, int], room: int) -> bool:
    """Cut tickers in the middle where the columns have no room; return whether the columns fit then."""
    missing = _needed(fitted) - room
    width = fitted.get("ticker", 0) - missing
    if missing > 0 and width >= MIN_NAME_WIDTH:
        fitted["ticker"] = width
        for line in cells:
            line["ticker"] = shorten_name(line["ticker"], width)
    return missing <= 0 or width >= MIN_NAME_WIDTH


def _reads_badly(of: type[OutputRow], fitted: dict[str, int], widths: dict[str, int]) -> bool:
    """Return whether a wrapped column that must be shown is too narrow for its sentences."""
    return of.wraps and any(fitted[name] < min(MIN_TEXT_LENGTH, widths[name]) for name in fitted if name in of.vital)


def _show_hints(rows: Sequence[Struct], names: Sequence[str], room: int) -> None:
    """Print hints that the table cuts in full, so that a command in them can be copied; the same hint only once."""
    of: dict[str, list[str]] = {}
    for row, name in zip(rows, names, strict=True):
        hint = getattr(row, "hint", None)
        if hint and cell_len(hint) > room:
            of.setdefault(safe_text(hint), []).append(name)
    info(*(f"{', '.join(named)}: {hint}" for hint, named in of.items()))


def _block(fields: Sequence[formats.OutputColumn], line: dict[str, str], width: int) -> Text:
    """Return a row as its first cell and, below it, its other values with their headings, in lines of this width."""
    text, room = Text(line[fields[0].name], style="bold", end=""), 0
    for column in fields[1:]:
        if line[column.name] in ("", formats.MISSING):
            continue
        label = f"{column.label}:"
        length = GAP + cell_len(label) + 1 + cell_len(line[column.name])
        if length > room:
            text.append("\n")
            room = width
        text.append(" " * GAP)
        text.append(label, style="dim not bold")
        head = GAP + cell_len(label)
        value = textwrap.fill(
            line[column.name], width, initial_indent=" " * (head + 1), subsequent_indent=" " * 2 * GAP,
            break_on_hyphens=False, break_long_words=False,
        )  # fmt: skip
        text.append(value[head:], style="not bold")
        room -= length
    text.end = "\n"
    return text


def shorten_ids(fields: Sequence[formats.OutputColumn], cells: Sequence[dict[str, str]]) -> None:
    """Show order ids as prefixes: commands accept a unique prefix of an order id."""
    for column in (each for each in fields if each.is_short_id):
        for line, short in zip(cells, formats.short_ids([line[column.name] for line in cells]), strict=True):
            line[column.name] = short


def show_differences(cells: Sequence[dict[str, str]], name: str, width: int) -> None:
    """Cut texts in the middle that would look the same after a cut at the end: keep the part that differs.

    The name of YES at the end of a title differs, as does the subtitle before it.
    """
    alike: dict[str, set[str]] = {}
    for line in cells:
        if NAME_MARK in line[name]:
            line[name] = shorten_title(line[name], width)
        if cell_len(line[name]) > width:
            alike.setdefault(line[name][: width - 1], set()).add(line[name])
    for line in cells:
        texts = alike.get(line[name][: width - 1], set())
        if len(texts) > 1 and line[name] in texts:
            first, last = min(texts), max(texts)
            common = next(at for at, pair in enumerate(zip_longest(first, last)) if pair[0] != pair[1])
            tail = line[name][line[name].rfind(" ", 0, common) + 1 :]
            room = max(0, width - 1 - len(tail))
            if line[name].find(": ") <= room:  # The subtitle before the title says more than the date in it.
                line[name] = f"{line[name][:room]}…{tail}"


def draw_markdown(text: str) -> None:
    """Draw Markdown text of this program, as wide as the screen; longer than the screen, in the pager (`PAGER`)."""
    from rich.markdown import Markdown

    console = _console()
    with console.capture() as drawn:
        console.print(Markdown(text, hyperlinks=False), crop=False)
    if console.is_terminal and sys.stdin.isatty() and drawn.get().count("\n") >= console.height:
        # As git does: colors, and the text stays on the screen. P is the prompt.
        os.environ.setdefault("LESS", "FRXPsspace = more, q = end$")
        pydoc.pager(drawn.get())
    else:
        write_out(drawn.get())


def _needed(widths: dict[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _widths(fields: Sequence[formats.OutputColumn], cells: Sequence[dict[str, str]]) -> dict[str, int]:
    return {c.name: max(cell_len(c.label), *(_room_for(c, line[c.name]) for line in cells)) for c in fields}


def _shortest(column: formats.OutputColumn, cells: Sequence[dict[str, str]]) -> int:
    """Return the least width of a wrapped column: no name of a setting is broken."""
    longest = max((len(word) for line in cells for word in line[column.name].split()), default=0)
    return max(MIN_LINE_LENGTH, min(longest, MAX_WORD_LENGTH))


def _room_for(column: formats.OutputColumn, text: str) -> int:
    if not formats.is_moment(column.kind) or text == formats.MISSING:
        return cell_len(text)
    return max(cell_len(text), LONGEST_TIME if text.endswith(")") else LONGEST_AGE)


def fit(
    fields: Sequence[formats.OutputColumn],
    widths: dict[str, int],
    room: int,
    vital: Collection[str] = (),
    shortest: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Return the width of each visible column. Prose becomes narrower first, then columns are left out.

    Prose becomes no narrower than its `shortest`, by default MIN_PROSE_LENGTH. Columns are left out from the right;
    vital ones never. Those that fit into the room that is left come back.
    """
    kept = list(fields)
    least = {each.name: min(widths[each.name], (shortest or {}).get(each.name, MIN_PROSE_LENGTH)) for each in fields}
    while True:
        prose = sorted((column.name for column in kept if column.is_prose), key=widths.__getitem__)
        found = {column.name: widths[column.name] for column in kept}
        left = room - GAP * (len(kept) - 1) - sum(found[c.name] for c in kept if not c.is_prose)
        for index, name in enumerate(prose):
            share = min(left // (len(prose) - index), left - sum(least[after] for after in prose[index + 1 :]))
            found[name] = min(widths[name], max(share, least[name]))
            left -= found[name]
        loose = [column for column in kept[1:] if column.name not in vital]
        droppable = [column for column in loose if not column.is_prose] or loose
        if left >= 0 or not droppable:
            for column in (each for each in fields if each not in kept and not each.is_prose):
                if widths[column.name] + GAP <= left:
                    found[column.name] = widths[column.name]
                    left -= widths[column.name] + GAP
            return found
        kept.remove(droppable[-1])


def draw_one(row: OutputRow, title: str, now: Ts | None) -> None:
    """Draw one object as keys and values; long text is wrapped, not cut."""
    _draw(_console(), title, one_grid(row, now))


def one_grid(row: OutputRow, now: Ts | None, *, width: int | None = None) -> Table:
    """Return the grid of keys and values of one object; long text is wrapped.

    With a `width` each value is one line, cut at that width, and missing values are left out.
    """
    lines: list[tuple[Text, Text]] = []
    by_name = {column.name: column for column in formats.columns(type(row))}
    for column in (by_name[name] for name in row.screen or by_name):
        value = getattr(row, column.name)
        text = formats.cell(column, value, now)
        if (row.screen or width) and text == formats.MISSING:
            continue
        lines.append((Text(column.label, style="dim"), Text(text, style=style(column.name, column.kind, value))))
    labels = max((label.cell_len for label, _ in lines), default=0)
    grid = _grid(has_header=False)
    grid.add_column(no_wrap=True, min_width=labels)
    if width:
        grid.add_column(overflow="ellipsis", no_wrap=True, max_width=max(1, width - labels - GAP))
    else:
        grid.add_column(overflow="fold")
    for line in lines:
        grid.add_row(*line)
    return grid


def draw_book(view: BookView, bids: Sequence[LevelRow], asks: Sequence[LevelRow], own: OwnLevels) -> None:
    """Draw asks above bids, with the best prices in the middle and bars for the sizes."""
    console = _console()
    widest = None if console.is_terminal else MAX_BAR_LENGTH
    _draw(console, f"{view.ticker}  {view.outcome.upper()}", ladder(view, bids, asks, console.width, widest, own))


def ladder(
    view: BookView,
    bids: Sequence[LevelRow],
    asks: Sequence[LevelRow],
    width: int,
    widest: int | None = None,
    own: OwnLevels = NO_LEVELS,
) -> Table:
    """Return an order book as a grid. Its bars take the width that is left, but at most `widest` if that is given.

    The column of own quantities is left out if these levels have none.
    """
    largest = max((row.count for row in chain(bids, asks)), default=Qty(1))
    table = _grid()
    table.add_column()
    has_own = any((row.side, row.price) in own for row in chain(bids, asks))
    headings = ("price", "quantity", "total", *(("yours",) if has_own else ()))
    for name in headings:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column()

    def texts(row: LevelRow) -> list[str]:
        yours = own.get((row.side, row.price))
        shown = [show_price(row.price), show_qty(row.count), show_qty(row.total), show_qty(yours) if yours else ""]
        return shown[: len(headings)]

    numbers = [list(map(len, texts(row))) for row in (*bids, *asks)]
    used = len("ask") + GAP + sum(max(lengths) + GAP for lengths in zip(map(len, headings), *numbers, strict=True))
    room = max(8, width - used - 1) if widest is None else max(8, min(widest, width - 40))
    for row in (*reversed(asks), None, *bids):
        if row is None:
            text = f"spread {show_price(view.spread)}   mid {show_price(view.mid)}"
            table.add_row(*[""] * (len(headings) + 1), Text(text, style="dim"))
            continue
        colour = "green" if row.side == "bid" else "red"
        bar = "█" * max(1, room * row.count // largest)
        styles = (colour, "", "dim", "bold")
        cells = (Text(text, style=style) for text, style in zip(texts(row), styles, strict=False))
        table.add_row(Text(row.side, style=colour), *cells, Text(bar, style=colour))
    return table


def _grid(*, has_header: bool = True) -> Table:
    return Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold", show_header=has_header)


def _console() -> Console:
    """Return the console of stdout; rich reads colors, width and NO_COLOR."""
    return Console(highlight=False, emoji=False, markup=False)


def _draw(console: Console, title: str, body: RenderableType) -> None:
    with console.capture() as drawn:
        if title:
            console.print(Text(safe_text(title), style="bold"), no_wrap=True, overflow="ellipsis")
        console.print(body, crop=False)
    write_out(drawn.get())
