"""`kalshi catalog`: the local list of markets, events and series, for search and completion."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import open_services, show_done, show_view
from kalshi_cli.cli.parameters import CommandGroup, flag
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "Manage the local market catalog, for search and completion.\n\n"
    "Manage the local copy of the list of markets, events and series. It is used to search, and to complete tickers in "
    "the shell."
)


@app.command("refresh")
def refresh(
    ctx: typer.Context,
    full: Annotated[bool, flag("--full", "Download everything, not only changes")] = False,
) -> None:
    """Create or update the local market catalog.

    Create the local catalog, or update it with what changed since the last refresh. An interrupted refresh continues
    where it stopped.

    \b
    kalshi catalog refresh
    kalshi catalog refresh --full --env prod
    """
    from kalshi_cli.cli.screen.prompts import progress

    with open_services(ctx) as kalshi:
        done = kalshi.markets.refresh_catalog(
            is_full=full,
            progress=lambda pages: progress(pages, "Reading the market list", size=lambda entries: entries),
        )
        show_view(ctx, done, title="Catalog refreshed")


@app.command("status")
def status(ctx: typer.Context) -> None:
    """Show the age, size and location of the catalog.

    Show how old the local catalog is, how many markets, events and series it holds, and where it is stored.

    \b
    kalshi catalog status --json
    """
    with open_services(ctx) as kalshi:
        view = kalshi.markets.catalog()
        if view.search is None:
            info("No local catalog; create it with `kalshi catalog refresh`")
        elif view.search == "letters":
            info("This SQLite has no full-text search (FTS5); search matches text instead of words")
        show_view(ctx, view, title="catalog", now=kalshi.now)


@app.command("clear")
def clear(ctx: typer.Context) -> None:
    """Delete the local market catalog.

    Delete the local catalog. Nothing is lost: the next `kalshi catalog refresh` creates it again.

    \b
    kalshi catalog clear
    """
    with open_services(ctx) as kalshi:
        path = kalshi.markets.clear_catalog()
        info(f"Deleted {path}" if path is not None else "No local catalog to delete")
        show_done(ctx, "nothing" if path is None else "deleted", None if path is None else str(path))
