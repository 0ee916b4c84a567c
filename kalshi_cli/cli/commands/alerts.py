"""`kalshi alerts`: firing, undelivered and silenced alerts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.cli.commands import price_alerts
from kalshi_cli.cli.options import flags_of, home_of, is_terse, open_services, show_done, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, argument, duration_option, flag, option
from kalshi_cli.cli.screen.output import info, warn
from kalshi_cli.views.alerts import ADD_CHANNEL, NO_CHANNEL, AlertRow, AlertsView, DeliveryRow, RetriedView, SilenceRow
from kalshi_cli.views.formats import TruncatableText, format_time

if TYPE_CHECKING:
    from kalshi_cli.cli.screen.brief import AlertsScreen

app = CommandGroup(
    "Show, test and silence alerts.\n\n"
    "Show what is firing and what was not delivered, test the alert channels, and silence alerts for a time.",
    default="list",
)

What = Annotated[str, argument("CODE[:SUBJECT]", "Alert code, optionally with a subject; * matches any text")]

MAX_RUNBOOKS = 3
"""Codes of active alerts whose runbook is named, the gravest first."""

MAX_ENDED, MAX_ENDED_LENGTH = 5, 80
"""Alerts that are not active on a terminal without -v, and the characters of their texts."""


@app.command("list")
def list_(ctx: typer.Context, paper: price_alerts.Paper = False) -> None:
    """List alerts, undelivered notices and silences.

    List active and recent alerts, notices that a channel did not receive, silences, and the state of each alert
    channel. Nothing is sent. A notice is undeliverable after `alerts.give_up_s`, or when its channel was removed.

    \b
    kalshi alerts
    kalshi alerts list --json
    """
    with open_services(ctx) as kalshi:
        home = home_of(kalshi.resources, paper=paper)
        view = kalshi.monitoring.alerts(home)
        show_view(ctx, brief(view) if is_terse(ctx) else view, title="alerts", now=kalshi.now)
        ended = sum(each.state != "firing" for each in view.alerts)
        if is_terse(ctx) and ended > MAX_ENDED:
            info(f"{ended - MAX_ENDED} older alerts that ended are hidden; -v shows them, and all in full")
        firing = [each for each in view.alerts if each.state == "firing" and not each.silenced]
        if view.alerts and not kalshi.resources.config.alerts.channels:
            info(f"{NO_CHANNEL}: alerts are only listed here, not sent. Next: {ADD_CHANNEL}")
        elif untold := undelivered(firing):
            info(f"Active, and not delivered: {', '.join(untold)}")
        info(*ends_due(view.alerts, kalshi.now), *repeats_due(firing, kalshi.now))
        names = kalshi.monitoring.runbook_names(_codes(firing), home)
        info(*(f"What to do: kalshi runbook {name}" for name in names[:MAX_RUNBOOKS]))
        if waiting := len(kalshi.monitoring.price_alerts(home).list()):
            info(f"Not fired yet: {pluralize(waiting, 'price or fill alert')}; `kalshi alerts prices` lists them")


def ends_due(alerts: Iterable[AlertRow], now: Ts) -> Iterator[str]:
    """Yield a line for each alert that is over and whose end was not sent yet."""
    for each in alerts:
        if each.end_due is not None:
            when = f"after {format_time(each.end_due, now)}" if each.end_due > now else "now"
            yield f"Over: {each.code} {each.short_subject}. The loop or the next check sends its end {when}"


def repeats_due(firing: Iterable[AlertRow], now: Ts) -> Iterator[str]:
    """Yield a line for each alert that is held back because it returns again and again."""
    for each in firing:
        if each.last_sent is not None and each.next_due is not None:
            when = f"after {format_time(each.next_due, now)}" if each.next_due > now else "now"
            yield (
                f"Held back, because it returns again and again: {each.code} {each.short_subject}, last sent"
                f" {format_time(each.last_sent, now)}. While it lasts, the loop or the next check sends it again {when}"
            )


def brief(view: AlertsView) -> AlertsScreen:
    """Return the first sentence of the newest alerts that ended, then the active ones in full, the gravest last."""
    from kalshi_cli.cli.screen.brief import AlertLine, AlertsScreen

    ended = [each for each in view.alerts if each.state != "firing"]
    shown = sorted(ended, key=lambda each: each.since, reverse=True)[:MAX_ENDED]
    lines = []
    for each in reversed(view.alerts):
        if each.state == "firing" or each in shown:
            text = each.text if each.state == "firing" else _first_sentence(each.text)
            state = f"{each.state} (held back)" if each.is_held_back else each.state
            named = TruncatableText(f"{each.code} {each.short_subject}: {text}")
            lines.append(AlertLine.of(each, state=state, alert=named))
    return AlertsScreen.of(view, alerts=tuple(lines))


def _first_sentence(text: str) -> str:
    first = text.split(". ")[0]
    return first if len(first) <= MAX_ENDED_LENGTH else f"{first[: MAX_ENDED_LENGTH - 1]}…"


@app.command("test")
def try_(
    ctx: typer.Context,
    sink: Annotated[str, argument("[CHANNEL]", "Only this alert channel")] = "",
) -> None:
    """Send a test notice to the alert channels.

    Send a test notice to each configured alert channel now. Exit code 0 only if every channel accepted it.

    \b
    kalshi alerts test
    kalshi alerts test phone
    """
    with open_services(ctx, warn) as kalshi:
        rows = kalshi.monitoring.send_test_notices(sink)
        if not rows:
            raise KalshiError(
                f"{NO_CHANNEL} (alerts.channels is empty)",
                hint=ADD_CHANNEL,
                code="no_sinks",
            )
        show_list(ctx, DeliveryRow, rows)
        if failed := [row.sink for row in rows if not row.delivered]:
            raise KalshiError(
                f"Not delivered: {', '.join(failed)}",
                hint="run `kalshi runbook alert-undelivered`",
                code="not_delivered",
            )


@app.command("silence")
def silence(
    ctx: typer.Context,
    what: What,
    lasts: Annotated[Any, duration_option("--for", "How long, at most 30d")] = None,
    until_over: Annotated[
        bool, flag("--until-over", "Only the alerts active now, until they end, at most 7d or --for")
    ] = False,
    reason: Annotated[str, option("--reason", "TEXT", "Reason, shown by `kalshi alerts list`")] = "",
    paper: price_alerts.Paper = False,
) -> None:
    """Silence alerts for a time, or until they end.

    Silence matching alerts for a time. They are still counted and listed, and alerts that stop trading still stop it.
    A condition that still holds when the silence ends is sent then; the end of a condition that was reported before is
    sent at once.

    `--until-over` acknowledges an alert: no reminders follow, its end is sent, and then the silence is gone. Alerts
    that begin later are sent, also those of the same code.

    \b
    kalshi alerts silence HEARTBEAT_LOST --until-over
    kalshi alerts silence FEED_DOWN --for 2h --reason "router is replaced"
    kalshi alerts silence 'POSITION_LIMIT:KXHIGH*' --for 1d
    """
    from kalshi_cli.services.monitoring.service import UNTIL_OVER_S

    code, subject = _named(what)
    if lasts is None and not until_over:
        raise UsageError("Say how long: --for 2h, or --until-over (until the active alerts end)")
    with open_services(ctx) as kalshi:
        home = home_of(kalshi.resources, paper=paper)
        lasts = UNTIL_OVER_S if lasts is None else lasts
        made = kalshi.monitoring.silence(code, subject, lasts, reason.strip(), home, until_over=until_over)
        if flags_of(ctx).wants_data:
            show_view(ctx, made)
        ends = "until it is over, at the latest" if until_over else "until"
        info(f"{code} {subject} is silenced {ends} {format_time(made.until, None)}")


@app.command("silences")
def silences(ctx: typer.Context, paper: price_alerts.Paper = False) -> None:
    """List silences.

    \b
    kalshi alerts silences
    """
    with open_services(ctx) as kalshi:
        found = kalshi.monitoring.alerts(home_of(kalshi.resources, paper=paper)).silences
        show_list(ctx, SilenceRow, found, empty="Nothing is silenced")


@app.command("unsilence")
def unsilence(ctx: typer.Context, what: What, paper: price_alerts.Paper = False) -> None:
    """End a silence.

    End a silence before its time. Exit code 0 also where nothing was silenced.

    \b
    kalshi alerts unsilence 'POSITION_LIMIT:KXHIGH*'
    """
    code, subject = _named(what)
    with open_services(ctx) as kalshi:
        if kalshi.monitoring.unsilence(code, subject, home_of(kalshi.resources, paper=paper)):
            info(f"{code} {subject} is no longer silenced")
        else:
            info(f"Nothing was silenced: no silence for {code} {subject}. `kalshi alerts` lists the silences")
        show_done(ctx, "unsilenced", f"{code}:{subject}")


@app.command("retry")
def retry(ctx: typer.Context, paper: price_alerts.Paper = False) -> None:
    """Send undelivered notices again.

    Put undeliverable notices back in the queue, and send everything that has not been delivered yet.

    \b
    kalshi alerts retry
    """
    with open_services(ctx, warn) as kalshi:
        woken, waiting = kalshi.monitoring.retry_alerts(home_of(kalshi.resources, paper=paper))
        view = kalshi.monitoring.alerts(home_of(kalshi.resources, paper=paper))
        is_sent = woken and not waiting and not view.undelivered
        info(f"{pluralize(woken, 'undeliverable notice')} queued again" + (" and sent" if is_sent else ""))
        if view.undelivered and not waiting:
            info(f"{pluralize(view.undelivered, 'notice')} waiting for a channel that is no longer configured")
        if unsent := sum(each.waiting > 0 for each in view.alerts):
            info(f"{pluralize(unsent, 'alert')} not sent yet: sent with the next notice of its code (alerts.group_s)")
        if flags_of(ctx).wants_data:
            show_view(ctx, RetriedView(queued=woken, waiting=waiting))
        if waiting:
            raise KalshiError(
                f"{pluralize(waiting, 'notice')} still not delivered",
                hint="`kalshi alerts` shows the reason; without one, an attempt is in progress: run this again in 30 s",
                code="not_delivered",
            )


app.add_typer(price_alerts.app)


def _codes(alerts: Iterable[AlertRow]) -> list[str]:
    return list(dict.fromkeys(each.code for each in alerts))


def undelivered(firing: Sequence[AlertRow]) -> list[str]:
    """Return the codes that no channel accepted; with its subject each alert whose code was delivered for another.

    One that is held back because it returns again and again was delivered before.
    """
    taken = {each.code for each in firing if each.told is not None}
    rest = [each for each in firing if each.told is None and each.next_due is None]
    names = (f"{each.code} {each.short_subject}" if each.code in taken else each.code for each in rest)
    return list(dict.fromkeys(names))


def _named(what: str) -> tuple[str, str]:
    code, _, subject = what.partition(":")
    if not code:
        raise UsageError("Name an alert code", hint="kalshi alerts silence FEED_DOWN --for 2h")
    return code.upper(), subject or "*"
