"""`kalshi watch`: live markets, on a screen or as lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from kalshi_cli.base.errors import NotFoundError, UnreachableError, UsageError
from kalshi_cli.cli.commands.pickers import pick_market
from kalshi_cli.cli.options import environment_of, flags_of, load_config, open_services
from kalshi_cli.cli.parameters import CommandGroup, argument, choice_option, duration_option, watchlist_option
from kalshi_cli.cli.screen.output import Format, chosen_fields, info, require_reader, write_out

if TYPE_CHECKING:
    from kalshi_cli.app.watching import WatchSession
    from kalshi_cli.core.market.order_book import OrderBook
    from kalshi_cli.views.order_book import BookView
    from kalshi_cli.views.row import Outcome
    from kalshi_cli.views.watch import StreamRow

T = TypeVar("T")

PriceSide = Annotated[Any, choice_option("--side", ("yes", "no"), "Show the prices of YES or of NO")]

app = CommandGroup("Stream live prices and trades of markets.")


@app.command("watch")
def watch(
    ctx: typer.Context,
    tickers: Annotated[list[str] | None, argument("TICKER...", "One or more market tickers")] = None,
    list_name: Annotated[str, watchlist_option()] = "",
    side: PriceSide = "yes",
    duration: Annotated[Any, duration_option("--duration", "Stop after this time")] = None,
) -> None:
    """Stream live prices and trades of markets.

    Stream prices, sizes and trades of markets until Ctrl-C, and show whether the feed is current. On a terminal this
    is a live screen; piped, it is NDJSON with one object per line of type `quote`, `trade`, `feed` or `gap`. The
    `status` of a quote says when trading ends; when it has ended in every market, so does the watch, with exit code 0.
    With `--duration` the exit code is 6 if the feed is not live at the end.
    Without an API key there is no stream, and prices are read every two seconds. `--side no` shows the prices of NO, on
    a screen or with `--format plain`; data always has the prices of YES. Without a market or a list, a terminal offers
    a choice.

    \b
    kalshi watch KXBTCD-26NOV2114-T86249.99 KXETHD-26NOV2114-T2979.99
    kalshi watch --list nfl
    kalshi watch KXBTCD-26NOV2114-T86249.99 --side no --format plain
    kalshi watch KXBTCD-26NOV2114-T86249.99 --duration 1m --format ndjson | jq .yes_bid
    """
    from kalshi_cli.app.watching import LiveWatch
    from kalshi_cli.cli.screen.live import live_format
    from kalshi_cli.cli.screen.render import render_rows
    from kalshi_cli.views.watch import StreamRow

    form = live_format(flags_of(ctx).form)
    if form is Format.JSON and duration is None:
        raise UsageError("--format json needs an end", hint="add --duration 1m, or use --format ndjson")
    if side == "no" and form not in (Format.TABLE, Format.PLAIN):
        raise UsageError(
            "The data of a watch has the prices of YES",
            hint="--side no needs a terminal or --format plain; a bid for NO is 1 - yes_ask",
        )
    names = list(dict.fromkeys(name.upper() for name in _wanted(ctx, tickers or [], list_name)))
    is_screen = form is Format.TABLE
    with (
        _watchlist_hint(ctx, tickers or []),
        environment_of(ctx) as environment,
        LiveWatch(environment).open(names, duration, ignore_message if is_screen else info) as watching,
    ):
        if is_screen:
            from kalshi_cli.cli.screen.watch import show_board

            show_board(watching, environment.config.env, side)
        elif form is Format.PLAIN:
            _write_lines(_tape(watching), side)
        else:
            render_rows(StreamRow, _tape(watching), form)
    _end(watching)


@contextmanager
def _watchlist_hint(ctx: typer.Context, typed: Sequence[str]) -> Iterator[None]:
    """Name `--list` in the error for an unknown market whose name is that of a watchlist."""
    try:
        yield
    except NotFoundError as error:
        with open_services(ctx) as kalshi:
            lists = {row.name.lower(): row.name for row in kalshi.markets.watchlists()}
        name = next((lists[word.lower()] for word in typed if word.lower() in lists), "")
        if not name:
            raise
        hint = f"to watch your watchlist: `kalshi watch --list {name}`"
        raise NotFoundError(error.message, hint=hint, code=error.code) from error


def _wanted(ctx: typer.Context, tickers: list[str], list_name: str) -> list[str]:
    """Return the markets of the arguments and of the watchlist; without either, those that the user picks."""
    if not list_name:
        return tickers or [pick_market(ctx)]
    with open_services(ctx) as kalshi:
        return [*tickers, *kalshi.markets.watchlist(list_name)]


def watch_book(
    ctx: typer.Context, names: Sequence[str], depth: int, size: object, duration: float | None, side: Outcome
) -> None:
    """Run `kalshi orderbook TICKER --watch`: a live ladder; in a pipe the order book after each change."""
    from kalshi_cli.app.watching import LiveWatch
    from kalshi_cli.cli.screen.live import live_format
    from kalshi_cli.cli.screen.render import book_title, render_book, render_rows
    from kalshi_cli.views.order_book import NoOrderbookView, OrderbookView, book_view, no_book_view

    of: type[BookView] = OrderbookView if side == "yes" else NoOrderbookView
    view_of = book_view if side == "yes" else no_book_view
    form = live_format(flags_of(ctx).form)
    if len(names) > 1 or size is not None:
        raise UsageError(
            "--watch takes one market and cannot be combined with --size",
            hint="to watch several markets, use `kalshi watch`",
        )
    if not set(chosen_fields()) <= set(of.__struct_fields__):
        raise UsageError("--watch prints whole order books", hint=f"choose from {', '.join(of.__struct_fields__)}")
    if form in (Format.JSON, Format.CSV):
        raise UsageError(f"A live order book cannot be written as {form}", hint="use --format ndjson")
    is_screen = form is Format.TABLE
    tell = ignore_message if is_screen else info
    with (
        environment_of(ctx) as environment,
        LiveWatch(environment).open([names[0].upper()], duration, tell, is_book=True) as watching,
    ):
        if is_screen:
            from kalshi_cli.cli.screen.watch import show_ladder

            show_ladder(watching, environment.config.env, depth, view_of)
        elif form is Format.PLAIN:
            for view in _books(watching, depth, view_of):
                write_out(f"{book_title(view)}\n" if side == "no" else "")
                render_book(view, form)
                write_out("\n", flush=True)
        else:
            render_rows(of, _books(watching, depth, view_of), form)
    _end(watching)


def _end(watching: WatchSession) -> None:
    """Say that trading has ended; leave with the exit code of the signal that ended the watch.

    UnreachableError where the watch was not live when its duration ended.
    """
    from kalshi_cli.services.trading.stop_signals import SIGNALS

    if watching.is_over:
        lines = list(watching.board.lines.values())
        one = f"{lines[0].ticker} is {lines[0].status}" if len(lines) == 1 else f"all {len(lines)} markets are closed"
        info(f"Trading has ended: {one}")
    if watching.stopped_by:
        raise typer.Exit(SIGNALS[watching.stopped_by])
    if not (watching.is_over or watching.board.is_current):
        raise UnreachableError(
            f"The feed was not live when the watch ended: {watching.board.state}",
            hint="the prices before that stay true; to watch on, run it again",
        )


def _books(watching: WatchSession, depth: int, view_of: Callable[[OrderBook, int], BookView]) -> Iterator[BookView]:
    """Yield the order book after each change. A book that is not current is reported and not yielded."""
    line = next(iter(watching.board.lines.values()))
    before, was_stale = None, False
    for _ in _while_read(watching):
        is_stale = watching.board.stale_since(line, watching.now) is not None
        if is_stale and not was_stale:
            why = f"ended: the market is {line.status}" if line.is_over else f"STALE: {watching.board.state}"
            info(f"Order book of {line.ticker}: {why}")
        was_stale = is_stale
        if is_stale or line.heard is None or line.is_midway:
            continue
        view = view_of(line.book, depth)
        if view != before:
            before = view
            yield view


def watch_status(ctx: typer.Context, *, is_paper: bool) -> None:
    """Run `kalshi status --watch`: read the state file every second."""
    from kalshi_cli.app.watching import statuses
    from kalshi_cli.cli.screen.live import live_format, screen
    from kalshi_cli.cli.screen.render import render_one, render_rows
    from kalshi_cli.services.trading.reports.feed_silence import with_silence
    from kalshi_cli.services.trading.reports.status import status_notes, status_view
    from kalshi_cli.services.trading.stop_signals import SIGNALS
    from kalshi_cli.views.runs import StatusView

    form, config = live_format(flags_of(ctx).form), load_config(ctx)
    bound = config.checks.feed_age_s
    if form is Format.JSON:
        raise UsageError("--watch cannot write one JSON document", hint="use --format ndjson")
    with statuses(config, info, is_paper=is_paper) as watched:
        if form is Format.TABLE:
            from kalshi_cli.cli.screen.watch import draw_status

            with screen() as (console, draw):
                for now, status in _while_read(watched):
                    notes = tuple(status_notes(status, now))
                    view = with_silence(status_view(status), bound, now)
                    draw(draw_status(view, notes, now, console.width, console.height))
        elif form is Format.PLAIN:
            for now, status in _while_read(watched):
                render_one(with_silence(status_view(status), bound, now), form, now=now)
                info(*status_notes(status, now))
                write_out("\n", flush=True)
        else:
            render_rows(StatusView, (status_view(status) for _, status in _while_read(watched)), form)
    if watched.stopped_by:
        raise typer.Exit(SIGNALS[watched.stopped_by])


def ignore_message(_text: str) -> None:
    """Do nothing: the screen already shows the state of the connection."""


def _while_read(items: Iterable[T]) -> Iterator[T]:
    """Yield the items; BrokenPipeError once stdout has no reader, even if a quiet market has no next line to write."""
    for item in items:
        require_reader()
        yield item


def _tape(watching: WatchSession) -> Iterator[StreamRow]:
    from kalshi_cli.views.watch import tape_rows

    for told in _while_read(watching):
        if told is not None:
            line = watching.board.lines.get(getattr(told, "ticker", ""))
            yield from tape_rows(told, line.status if line is not None else None)


def _write_lines(rows: Iterable[StreamRow], side: Outcome) -> None:
    """Write lines without columns, because the width of the next one is unknown."""
    from kalshi_cli.views.watch import text_line

    for row in rows:
        write_out(text_line(row, side) + "\n", flush=True)
