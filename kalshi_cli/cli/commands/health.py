"""`kalshi health-check`: the readiness to trade."""

from __future__ import annotations

import typer

from kalshi_cli.cli.options import CommandGroup, open_services, show_list

app = CommandGroup("Check that everything is ready to trade.")


@app.command("health-check")
def health_check(ctx: typer.Context) -> None:
    """Check that everything is ready to trade.

    Check key, clock, REST, WebSocket, account, rate limits, state file, disk, feeds and alert channels; one line each,
    with latency and the fix. With `heartbeat.url`, connect to its host, but send no ping: only a loop says that it is
    alive. Exit codes follow the monitoring plug-in convention: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    \b
    kalshi health-check --env prod
    """
    raise typer.Exit(show_health(ctx))


def show_health(ctx: typer.Context) -> int:
    """Check everything, print one line each, and return the exit code."""
    from kalshi_cli.views.checks import HealthRow

    with open_services(ctx) as kalshi:
        found = kalshi.monitoring.health()
        show_list(ctx, HealthRow, found.rows)
    return found.verdict.value
