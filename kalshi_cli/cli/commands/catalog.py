"""`kalshi catalogue`: the local list of markets, events and series, for searching and for completing tickers."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import CommandGroup, open_services, show_view
from kalshi_cli.cli.screen.output import info

app = CommandGroup("The local catalogue of markets, events and series: for searching, and for completing tickers.")


@app.command("refresh")
def refresh(
    ctx: typer.Context, full: Annotated[bool, typer.Option("--full", help="Everything, not only what changed.")] = False
) -> None:
    """Make the catalogue, or bring it up to date by what changed since. Interrupted, the next one goes on from there.

    \b
    kalshi catalogue refresh
    kalshi catalogue refresh --full --env prod
    """
    from kalshi_cli.cli.screen.prompts import progress

    with open_services(ctx) as kalshi:
        done = kalshi.markets.refresh_catalog(
            is_full=full, progress=lambda pages: progress(pages, "reading the listing", size=lambda entries: entries)
        )
        show_view(ctx, done, title="catalogue")


@app.command("status")
def status(ctx: typer.Context) -> None:
    """How old the catalogue is, what it holds, where it lies.

    \b
    kalshi catalogue status --json
    """
    with open_services(ctx) as kalshi:
        view = kalshi.markets.catalog()
        if view.search is None:
            info("there is no catalogue; make one: kalshi catalogue refresh")
        elif view.search == "letters":
            info("this SQLite has no full-text search (FTS5): letters are compared instead of words")
        show_view(ctx, view, title="catalogue", now=kalshi.now)


@app.command("clear")
def clear(ctx: typer.Context) -> None:
    """Delete the catalogue. Nothing is lost: the next refresh makes it anew.

    \b
    kalshi catalogue clear
    """
    with open_services(ctx) as kalshi:
        path = kalshi.markets.clear_catalog()
        info(f"deleted {path}" if path is not None else "there was no catalogue")
