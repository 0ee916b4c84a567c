"""`kalshi health-check`: is everything in place to trade?"""

from __future__ import annotations

import typer

from kalshi_cli.cli.options import CommandGroup, open_services, show_list

app = CommandGroup("Is everything in place to trade?")


@app.command("health-check")
@app.command("doctor")
def health_check(ctx: typer.Context) -> None:
    """Key, clock, REST, WebSocket, account, limits, state file, disk, feeds, sinks: one line each, with the remedy.

    Exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, as monitoring plug-ins do.

    \b
    kalshi health-check --env prod
    """
    raise typer.Exit(show_health(ctx))


def show_health(ctx: typer.Context) -> int:
    """Look at everything, print it; the exit code."""
    from kalshi_cli.views.checks import HealthRow

    with open_services(ctx) as kalshi:
        found = kalshi.monitoring.health()
        show_list(ctx, HealthRow, found.rows)
    return found.verdict.value
