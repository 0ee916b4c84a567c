"""`kalshi watch`: markets as they move, on a screen or as lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.cli.options import Commands, duration_option, flags_of, opened
from kalshi_cli.cli.output import Format, note, write_out
from kalshi_cli.errors import UsageError

if TYPE_CHECKING:
    from kalshi_cli.app.watch import Watching
    from kalshi_cli.cli.watch_rows import TapeRow

app = Commands("Markets as they move.")


@app.command("watch")
def watch(
    ctx: typer.Context,
    tickers: Annotated[list[str], typer.Argument(metavar="TICKER...", help="Markets to watch.")],
    duration: Annotated[Any, duration_option("--duration", text="Stop after this.")] = None,
) -> None:
    """Watch markets move, until Ctrl-C: prices, counts, trades, and whether the feed can be believed.

    On a terminal a screen; in a pipe NDJSON, one object a line: type quote, trade, feed or gap. Without an API key
    there is no stream, and prices are read every two seconds.

    \b
    kalshi watch KXBTCD-26NOV2114-T86249.99 KXETHD-26NOV2114-T2979.99
    kalshi watch KXBTCD-26NOV2114-T86249.99 --duration 1m --format ndjson | jq .yes_bid
    """
    from kalshi_cli.app.watch import Watch
    from kalshi_cli.cli.live import SIGNALS, live_format
    from kalshi_cli.cli.render import render_rows
    from kalshi_cli.cli.watch_rows import TapeRow

    form = live_format(flags_of(ctx).form)
    if form is Format.JSON and duration is None:
        raise UsageError("one JSON document needs an end", hint="add --duration 1m, or use --format ndjson")
    names = list(dict.fromkeys(name.upper() for name in tickers))
    is_screen = form is Format.TABLE
    with opened(ctx) as desk, Watch(desk).open(names, duration, unheard if is_screen else note) as watching:
        if is_screen:
            from kalshi_cli.cli.watch_screen import show_board

            show_board(watching, desk.config.env)
        elif form is Format.PLAIN:
            _write_lines(_tape(watching))
        else:
            render_rows(TapeRow, _tape(watching), form)
    if watching.stopped_by:
        raise typer.Exit(SIGNALS[watching.stopped_by])


def unheard(_text: str) -> None:
    """The screen shows the state of the connection itself."""


def _tape(watching: Watching) -> Iterator[TapeRow]:
    from kalshi_cli.cli.watch_rows import tape_rows

    for told in watching:
        if told is not None:
            yield from tape_rows(told)


def _write_lines(rows: Iterable[TapeRow]) -> None:
    """A line as it comes, without columns: nobody knows how wide the next one is."""
    from kalshi_cli.cli.watch_rows import line_of

    for row in rows:
        write_out(line_of(row) + "\n", flush=True)
