"""`kalshi catalogue`: the local list of markets, events and series, for searching and for completing tickers."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import CommandGroup, open_app, show_view
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
    from kalshi_cli.services.markets import catalog

    with open_app(ctx) as desk:
        began = desk.clock.monotonic()
        done = catalog.refresh(
            desk.config,
            desk.client,
            desk.clock,
            lambda pages: progress(pages, "reading the listing", size=lambda entries: entries),
            is_full=full,
        )
        show_view(ctx, catalog.refresh_view(done, desk.clock.monotonic() - began), title="catalogue")


@app.command("status")
def status(ctx: typer.Context) -> None:
    """How old the catalogue is, what it holds, where it lies.

    \b
    kalshi catalogue status --json
    """
    from kalshi_cli.services.markets.catalog import catalog_stats, catalogue_view

    with open_app(ctx) as desk:
        extent, now = catalog_stats(desk.catalogue), desk.clock.now()
        if extent is None:
            info("there is no catalogue; make one: kalshi catalogue refresh")
        elif not extent.is_indexed:
            info("this SQLite has no full-text search (FTS5): letters are compared instead of words")
        show_view(ctx, catalogue_view(desk.config, extent, now), title="catalogue", now=now)


@app.command("clear")
def clear(ctx: typer.Context) -> None:
    """Delete the catalogue. Nothing is lost: the next refresh makes it anew.

    \b
    kalshi catalogue clear
    """
    from kalshi_cli.services.markets.catalog import clear

    with open_app(ctx) as desk:
        path = clear(desk.config, desk.clock)
        info(f"deleted {path}" if path is not None else "there was no catalogue")
