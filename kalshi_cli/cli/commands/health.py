"""`kalshi health-check`: the readiness to trade."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from kalshi_cli.base.units import pluralize
from kalshi_cli.cli.options import open_services, show_list
from kalshi_cli.cli.parameters import CommandGroup
from kalshi_cli.cli.screen.output import info

if TYPE_CHECKING:
    from kalshi_cli.views.checks import HealthRow

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
    """Check everything, print one line each and which ones are not OK, and return the exit code."""
    from kalshi_cli.views.checks import HealthRow

    with open_services(ctx) as kalshi:
        found = kalshi.monitoring.health()
        show_list(ctx, HealthRow, found.rows)
        info(*findings(found.rows))
    return found.verdict.value


def findings(rows: Sequence[HealthRow]) -> list[str]:
    """Return the line that names the checks that failed or have a warning; none if every check is OK."""
    warned = [_word(row) for row in rows if row.status == "WARNING"]
    failed = [_word(row) for row in rows if row.status not in ("OK", "WARNING")]
    parts = [f"{len(failed)} of {pluralize(len(rows), 'check')} failed: {', '.join(failed)}" if failed else ""]
    if warned:
        of = "" if failed else f" of {pluralize(len(rows), 'check')}"
        parts.append(f"{len(warned)}{of} with a warning: {', '.join(warned)}")
    return ["; ".join(filter(None, parts))] if failed or warned else []


def _word(row: HealthRow) -> str:
    """Return the name of a check as the table shows it."""
    from kalshi_cli.views.formats import WORDS

    return WORDS.get(("check", row.check), row.check)
