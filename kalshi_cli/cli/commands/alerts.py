"""`kalshi alerts ...`: what is firing, what nobody got, who is told, and who is not to be told for a while."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.cli.options import CommandGroup, duration_option, home_of, open_app, show_list, show_view
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
    from kalshi_cli.services.monitoring.alerting import alerts_view
    from kalshi_cli.services.monitoring.alerts import overview

    with open_app(ctx) as desk:
        view = alerts_view(overview(desk, home_of(desk, paper=paper)), desk.config.alerts.sinks)
        show_view(ctx, view, title="alerts", now=desk.clock.now())


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
    from kalshi_cli.services.monitoring.alerts import send_test_notices
    from kalshi_cli.views.alerts import DeliveryRow
    from kalshi_cli.views.formats import TruncatableText

    with open_app(ctx) as desk:
        rows = [
            DeliveryRow(sink=name, delivered=each.outcome == "delivered", detail=TruncatableText(each.text))
            for name, each in send_test_notices(desk, sink).items()
        ]
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
    from kalshi_cli.base.units import Ts, format_ts
    from kalshi_cli.core.monitoring.incidents import AlertSilence
    from kalshi_cli.services.monitoring.alerts import alerting

    if not 0 < lasts <= MAX_SILENCE_S:
        raise UsageError("a silence lasts up to 30d", hint="--for 2h")
    code, subject = _named(what)
    _refuse_unknown(code)
    with open_app(ctx) as desk, alerting(desk, home_of(desk, paper=paper)) as told:
        now = desk.clock.now()
        until = Ts(now + int(lasts * 1000))
        told.book.silence(AlertSilence(code, subject, until, reason.strip(), now))
        info(f"nobody is told of {code} {subject} until {format_ts(until)}")


@app.command("unsilence")
def unsilence(ctx: typer.Context, what: What, paper: Paper = False) -> None:
    """End a silence before its time.

    \b
    kalshi alerts unsilence 'POSITION_LIMIT:KXHIGH*'
    """
    from kalshi_cli.services.monitoring.alerts import alerting

    code, subject = _named(what)
    with open_app(ctx) as desk, alerting(desk, home_of(desk, paper=paper)) as told:
        if not told.book.unsilence(code, subject):
            raise KalshiError(f"there is no silence of {code} {subject}", hint="kalshi alerts")
        info(f"{code} {subject} is told again")


@app.command("retry")
def retry(ctx: typer.Context, paper: Paper = False) -> None:
    """Take dead letters up again, and tell now whatever nobody was told of yet.

    \b
    kalshi alerts retry
    """
    from kalshi_cli.base.units import pluralize
    from kalshi_cli.services.monitoring.alerts import alerting

    with open_app(ctx) as desk, alerting(desk, home_of(desk, paper=paper)) as told:
        told.look()
        woken = told.book.retry_dead(desk.clock.now())
        info(f"{pluralize(woken, 'dead letter')} taken up again")
        waiting = told.deliver(RETRY_S)
        if waiting:
            raise KalshiError(
                f"{pluralize(waiting, 'notice')} still not delivered", hint="kalshi alerts", code="not_delivered"
            )


RETRY_S = 30.0


def _named(what: str) -> tuple[str, str]:
    code, _, subject = what.partition(":")
    if not code:
        raise UsageError("a silence names a code", hint="kalshi alerts silence FEED_DOWN --for 2h")
    return code.upper(), subject or "*"


def _refuse_unknown(code: str) -> None:
    """A silence of what is never told silences nothing, and whoever typed it believes that it does."""
    from difflib import get_close_matches
    from fnmatch import filter as matching

    from kalshi_cli.core.monitoring.runbook_index import REMEDIES

    if not matching(REMEDIES, code):
        near = get_close_matches(code, REMEDIES, 1, cutoff=0.0)[0]
        raise UsageError(f"there is no alert {code}", hint=f"did you mean {near}?", code="no_code")
