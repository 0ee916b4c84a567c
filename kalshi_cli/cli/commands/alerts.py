"""`kalshi alerts ...`: what is firing, what nobody got, who is told, and who is not to be told for a while."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.cli.options import CommandGroup, duration_option, home_of, open_services, show_list, show_view
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "What is firing, what could not be delivered, and whom to tell of nothing for a while.", default="list"
)

What = Annotated[
    str,
    typer.Argument(
        metavar="CODE[:SUBJECT]", help="A code, and a subject after a colon; * stands for any text.", show_default=False
    ),
]
Paper = Annotated[bool, typer.Option("--paper", help="Those of trading on paper.")]

MAX_SILENCE_S = 30 * 86_400
"""A silence that outlives a month is one that nobody remembers."""


@app.command("list")
def list_(ctx: typer.Context, paper: Paper = False) -> None:
    """What is firing and what happened lately, notices that a sink did not get, silences, and how the sinks do.

    Nothing is sent. A dead letter is a notice that was given up (after alerts.give_up_s, or because the sink is gone).

    \b
    kalshi alerts
    kalshi alerts list --json
    """
    with open_services(ctx) as kalshi:
        view = kalshi.monitoring.alerts(home_of(kalshi.resources, paper=paper))
        show_view(ctx, view, title="alerts", now=kalshi.now)


@app.command("test")
def try_(
    ctx: typer.Context,
    sink: Annotated[str, typer.Argument(metavar="[SINK]", help="Only this one.", show_default=False)] = "",
) -> None:
    """Send a test notice to each sink of the configuration, now. Exit 0 only if every one took it.

    \b
    kalshi alerts test
    kalshi alerts test phone
    """
    from kalshi_cli.views.alerts import DeliveryRow

    with open_services(ctx) as kalshi:
        rows = kalshi.monitoring.send_test_notices(sink)
        if not rows:
            raise KalshiError(
                "there is nobody to tell: alerts.sinks is empty", hint="see config.example.yaml", code="no_sinks"
            )
        show_list(ctx, DeliveryRow, rows)
        if failed := [row.sink for row in rows if not row.delivered]:
            raise KalshiError(f"not delivered: {', '.join(failed)}", hint="kalshi config show", code="not_delivered")


@app.command("silence")
def silence(
    ctx: typer.Context,
    what: What,
    lasts: Annotated[Any, duration_option("--for", text="How long (at most 30d).")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown by list.")] = "",
    paper: Paper = False,
) -> None:
    """Tell nobody of these alerts for a while. They are still counted and listed, and what stops trading stops it.

    What still holds afterwards is told then; the end of what was told before is told at once.

    \b
    kalshi alerts silence FEED_DOWN --for 2h --reason "router is replaced"
    kalshi alerts silence 'POSITION_LIMIT:KXHIGH*' --for 1d
    """
    from kalshi_cli.base.units import format_ts

    if not 0 < lasts <= MAX_SILENCE_S:
        raise UsageError("a silence lasts up to 30d", hint="--for 2h")
    code, subject = _named(what)
    with open_services(ctx) as kalshi:
        home = home_of(kalshi.resources, paper=paper)
        made = kalshi.monitoring.silence(code, subject, lasts, reason.strip(), home)
        info(f"nobody is told of {code} {subject} until {format_ts(made.until)}")


@app.command("unsilence")
def unsilence(ctx: typer.Context, what: What, paper: Paper = False) -> None:
    """End a silence before its time.

    \b
    kalshi alerts unsilence 'POSITION_LIMIT:KXHIGH*'
    """
    code, subject = _named(what)
    with open_services(ctx) as kalshi:
        kalshi.monitoring.unsilence(code, subject, home_of(kalshi.resources, paper=paper))
        info(f"{code} {subject} is told again")


@app.command("retry")
def retry(ctx: typer.Context, paper: Paper = False) -> None:
    """Take dead letters up again, and tell now whatever nobody was told of yet.

    \b
    kalshi alerts retry
    """
    from kalshi_cli.base.units import pluralize

    with open_services(ctx) as kalshi:
        woken, waiting = kalshi.monitoring.retry_alerts(home_of(kalshi.resources, paper=paper))
        info(f"{pluralize(woken, 'dead letter')} taken up again")
        if waiting:
            raise KalshiError(
                f"{pluralize(waiting, 'notice')} still not delivered", hint="kalshi alerts", code="not_delivered"
            )


def _named(what: str) -> tuple[str, str]:
    code, _, subject = what.partition(":")
    if not code:
        raise UsageError("a silence names a code", hint="kalshi alerts silence FEED_DOWN --for 2h")
    return code.upper(), subject or "*"
