"""`kalshi check ...`: monitoring plug-ins. One line that monitoring systems read, then what was found, then 0 to 3."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import Commands, duration_option, flags_of, opened
from kalshi_cli.cli.screen.output import Format, close_out, default_format, note, tell, write_out
from kalshi_cli.core.checks import CheckReport, Verdict
from kalshi_cli.text import redact, safe_text

app = Commands("Monitoring checks: exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.", needs_name=True)

WITHIN_S = 13.0
"""Monitoring systems and cron give a check fifteen seconds; the program has to start and to end in them too."""

SAYING_S = 0.5
"""How long the last word of a check may take that has no more time."""

LONGEST_LINE = 4_000
"""What monitoring systems take of a line, with all its numbers."""

MOST_LINES = 18
"""Mail and pagers show the beginning of a check's output; two more lines are on stderr."""


# -- the options of all ------------------------------------------------------------------------------------------


def _range(text: str) -> str:
    from kalshi_cli.core.ranges import parse_range

    try:
        return parse_range(text).text
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _range_option(*names: str, text: str) -> Any:
    return typer.Option(*names, parser=_range, metavar="RANGE", help=f"{text} Like 10, 10:, ~:10, 10:20, @10:20.")


Warn = Annotated[
    Any, _range_option("-w", "--warn", text="Warn outside of this, instead of as configured; stops no trading.")
]
Crit = Annotated[
    Any, _range_option("-c", "--crit", text="Critical outside of this, instead of as configured; stops no trading.")
]
Within = Annotated[Any, duration_option("--within", text="Give up after this (13s).")]
Notify = Annotated[
    str, typer.Option("--notify", metavar="URL", help="One more sink for this run; http on this machine.")
]
NoNotify = Annotated[bool, typer.Option("--no-notify", help="Tell nobody, and remember nothing of it for the alerts.")]
Paper = Annotated[bool, typer.Option("--paper", help="The loop that trades on paper.")]
AllowStopped = Annotated[
    bool, typer.Option("--allow-stopped", help="That no loop runs is fine, if the last one ended in good order.")
]


# -- the checks ---------------------------------------------------------------------------------------------------

ACCOUNT = {
    "positions": """Is every position within its limits?

    Each market, each event (checks.max_event_exposure) and the total against the limits in risk, read from the
    exchange and not from what is remembered here, with every resting order filled. Of an event in which only one
    market can win, the worst outcome counts. -w and -c are percent of a limit, of whichever is nearest.

    \b
    kalshi check positions
    kalshi check positions -w 50 -c 90 --json
    """,
    "pnl": """What did the trading day lose, and how far below its best is the account?

    The day of day_zone, from the exchange's fills and settlements, fees and what is open included, in percent of
    risk.max_daily_loss. The drawdown is in dollars below the best that was seen by this check or by a loop
    (checks.drawdown_usd); money that you pay in or take out changes neither. -w and -c are percent of the limit.

    \b
    kalshi check pnl
    kalshi check pnl -w 40 -c 80 --json
    """,
    "orders": """Is any order in doubt, left over, a stranger's, or refused?

    The exchange's list against the state file. Critical: in doubt for more than 30 s, at rest beyond its expiry, of a
    strategy without a loop for longer than trade.order_expiry_s, in a group that is triggered. Warning: an order that
    was not placed from here, a group that takes no orders. -w and -c are percent of the last hour's orders that the
    exchange refused, once there were 10.

    \b
    kalshi check orders
    kalshi check orders -w 5 -c 20 --json
    """,
    "balance": """Is there money, and no debt?

    Cash of all subaccounts and shards, as the exchange states it, against a range that you name or configure
    (checks.cash_usd). Below zero anywhere is critical.

    \b
    kalshi check balance -w 100: -c 20:
    """,
}
"""Checks that look at the account and at the exchange: the help of each."""

UNRANGED = {
    "exchange": """Is the exchange open, or closed as it was announced?

    Critical: it is paused, and takes no cancels. Warning: trading is paused. Maintenance, weekly or announced, and what
    is outside of the exchange's hours is fine and said.

    \b
    kalshi check exchange
    """,
}
"""Checks of the exchange, without a number that could be held against a range."""

EITHER_LOOP = {
    "api": """Does the exchange answer, soon enough, with our key, and at our time?

    Up to ten reads, with and without the key, and what the loop counted in the last hour: the 99th percentile of their
    time (checks.api_p99_ms), the share without a usable answer, and how far the clocks differ. Failures are critical
    where they were too many in the last 2 minutes and in the last 10, a warning in the last 15 and in the last 60. A
    key that is refused is critical. -w and -c are milliseconds.

    \b
    kalshi check api
    kalshi check api -w 800 -c 3000 --json
    """,
    "execution": """Do orders trade, are they placed in time, at what price? Worse than before?

    The last 50 orders and fills of the loop, of not more than a day: how many of a hundred traded within 30 s of their
    decision, the slowest placement, and slippage, what a contract cost beyond its fair value, fees included. A number
    of fewer than 20 says nothing. Warning: any of them got worse than it was in the 500 before, beyond chance. -w and
    -c are percent of orders that traded. Where only a loop on paper ever ran, that is the one.

    \b
    kalshi check execution
    kalshi check execution -w 20: -c 5: --json
    """,
    "errors": """What went wrong in the last hour, and was everybody told?

    Critical alerts of the loop, by what happened and to what; -w and -c are how many. Critical: a strategy failed, and
    the loop runs on without it. Warning: a sink did not take an alert. Where only a loop on paper ever ran, that is the
    one.

    \b
    kalshi check errors
    kalshi check errors -w 2 -c 5 --paper
    """,
    "feed": """Does the loop hear the exchange? Where none runs: would one?

    The age of its last message in seconds, how late messages about books come (checks.feed_lag_ms), how often it had to
    begin anew, markets without a book that can be believed, an account that it cannot read. Without a loop the stream
    is tried: does it let us in, does it answer? While the exchange is paused quiet is fine. -w and -c are seconds.

    \b
    kalshi check feed
    kalshi check feed -w 20 -c 90 --paper
    """,
}
"""Checks of what a loop left behind, whether it runs or not: they can be told which one."""

LOOP = {
    "heartbeat": """Does the loop that should run complete its cycles?

    The age of the last cycle that was completed with the account in sight, in seconds. Critical: no loop runs, the
    last one was killed, trading is halted or reducing; a pause is a warning. Where only a loop on paper ever ran, that
    is the one.

    \b
    kalshi check heartbeat -w 30 -c 120
    kalshi check heartbeat --allow-stopped
    kalshi check heartbeat --paper --env prod
    """,
}
"""Checks of a running loop: they can be told which, and that none need run."""


def _of_account(name: str) -> Callable[..., None]:
    def check(
        ctx: typer.Context,
        warn: Warn = None,
        crit: Crit = None,
        within: Within = None,
        notify: Notify = "",
        no_notify: NoNotify = False,
    ) -> None:
        _run(ctx, name, within, warn=warn, crit=crit, notify=notify, is_told=not no_notify)

    return check


def _of_exchange(name: str) -> Callable[..., None]:
    def check(ctx: typer.Context, within: Within = None, notify: Notify = "", no_notify: NoNotify = False) -> None:
        _run(ctx, name, within, notify=notify, is_told=not no_notify)

    return check


def _of_either_loop(name: str) -> Callable[..., None]:
    def check(
        ctx: typer.Context,
        warn: Warn = None,
        crit: Crit = None,
        within: Within = None,
        notify: Notify = "",
        no_notify: NoNotify = False,
        paper: Paper = False,
    ) -> None:
        _run(ctx, name, within, warn=warn, crit=crit, notify=notify, is_told=not no_notify, is_paper=paper)

    return check


def _of_loop(name: str) -> Callable[..., None]:
    def check(
        ctx: typer.Context,
        warn: Warn = None,
        crit: Crit = None,
        within: Within = None,
        notify: Notify = "",
        no_notify: NoNotify = False,
        paper: Paper = False,
        allow_stopped: AllowStopped = False,
    ) -> None:
        loop = {"is_paper": paper, "is_stop_allowed": allow_stopped}
        _run(ctx, name, within, warn=warn, crit=crit, notify=notify, is_told=not no_notify, **loop)

    return check


@app.command("drift")
def drift(
    ctx: typer.Context,
    warn: Warn = None,
    crit: Crit = None,
    within: Within = None,
    notify: Notify = "",
    no_notify: NoNotify = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="The cash there is now is right: from here on its drift is counted.")
    ] = False,
) -> None:
    """Is what we remember of the account what the exchange states, to the contract and the cent?

    Each fill and each position of the state file against the exchange's, and the cash against what there was, what
    trading did to it, and what was paid in and out: from the first run of this check, or from --accept. What differs
    has to differ twice in a row. And what strategies earned against what their fair values promised, in standard
    deviations, once 30 fills in 10 events are settled or closed. -w and -c are dollars of cash.

    \b
    kalshi check drift
    kalshi check drift --accept
    """
    _run(ctx, "drift", within, warn=warn, crit=crit, notify=notify, is_told=not no_notify, is_accepted=accept)


for _name, _help in ACCOUNT.items():
    app.command(_name, help=_help)(_of_account(_name))
for _name, _help in UNRANGED.items():
    app.command(_name, help=_help)(_of_exchange(_name))
for _name, _help in EITHER_LOOP.items():
    app.command(_name, help=_help)(_of_either_loop(_name))
for _name, _help in LOOP.items():
    app.command(_name, help=_help)(_of_loop(_name))
ALL = (*LOOP, "errors", "execution", *UNRANGED, *ACCOUNT, "drift", "api", "feed")
"""In this order: first what needs no exchange; last `feed`, which may have to wait for a stream."""


@app.command("all")
def everything(
    ctx: typer.Context,
    within: Within = None,
    notify: Notify = "",
    no_notify: NoNotify = False,
    paper: Paper = False,
    allow_stopped: AllowStopped = False,
) -> None:
    """Every check but `schema`, within one deadline: the worst verdict, then one line for each.

    They share what they read, so that this asks less of the exchange than one after the other would.

    \b
    kalshi check all --allow-stopped
    kalshi check all --env prod --json
    """
    loop = {"is_paper": paper, "is_stop_allowed": allow_stopped}
    _run(ctx, "all", within, notify=notify, is_told=not no_notify, **loop)


@app.command("schema")
def schema(
    ctx: typer.Context,
    public: Annotated[bool, typer.Option("--public", help="Only routes that need no key.")] = False,
    within: Within = None,
) -> None:
    """Does the exchange still send what this program reads?

    Reads one sample of each route in use, with the account's own data where it has any, and the first frames of the
    stream. Critical: a field that is missing or of another type, a route that is gone or announces its end, a legacy
    order route that answers again (asked with requests that can do nothing). What is new is a note. What could not be
    looked at is UNKNOWN, never OK.

    \b
    kalshi check schema
    kalshi check schema --env prod --public --json
    """
    from kalshi_cli.app.health import check_schema

    within_s = within or WITHIN_S
    with stopped_after(within_s, "schema", flags_of(ctx).form), opened(ctx) as desk:
        found = check_schema(desk, is_public_only=public, within_s=within_s * 0.9)
        show(found, flags_of(ctx).form)
    raise typer.Exit(found.verdict.value)


def _run(ctx: typer.Context, name: str, within: float | None, **options: Any) -> None:
    from kalshi_cli.app.checks import Wanted, run_checks

    within_s, form = within or WITHIN_S, flags_of(ctx).form
    checks = ALL if name == "all" else (name,)
    with stopped_after(within_s, name, form) as stop, opened(ctx) as desk:

        def told(found: CheckReport, parts: Sequence[CheckReport]) -> None:
            try:
                show(found, form, parts)
                write_out("", flush=True)
            except OSError as error:  # nobody may be reading, a disk may be full: others are told all the same
                close_out()
                tell(f"what was found cannot be written: {error.strerror}")
            stop.verdict, stop.is_shown = found.verdict, True

        verdict = run_checks(
            desk,
            Wanted(name=name, checks=checks, within_s=within_s, **options),
            told,
            lambda found: os._exit(found.value),
        )
    raise typer.Exit(verdict.value)


# -- what is shown ------------------------------------------------------------------------------------------------


def show(found: CheckReport, form: Format | None, parts: Sequence[CheckReport] = ()) -> None:
    """The line first; with --json the whole report as one object. Of several checks a line each."""
    from kalshi_cli.cli.rows.check import BreachRow, check_view
    from kalshi_cli.cli.screen.render import render_one, render_rows

    form = form or default_format()
    if form in (Format.JSON, Format.NDJSON):
        render_one(check_view(found, parts), form)
    elif form is Format.CSV:
        render_rows(BreachRow, [BreachRow.of(breach) for breach in found.breaches], form)
    else:
        write_out(f"{safe_text(redact(found.first_line), LONGEST_LINE)}\n")
        for part in parts:
            write_out(f"{part.verdict.name} {part.check}: {safe_text(redact(part.summary), LONGEST_LINE)}\n")
        most = MOST_LINES - 3 - len(parts)
        for breach in found.breaches[:most]:  # in no columns: what a table would cut is what counts
            write_out(f"{breach.severity.upper()} {safe_text(redact(breach.text), LONGEST_LINE)}\n")
        if len(found.breaches) > most:
            note(f"... and {len(found.breaches) - most} more: --json has all")
        if found.verdict is not Verdict.OK:
            note(f"what to do: kalshi runbook {found.runbook}")


_TAKES_VALUE = (
    "--env", "--config", "--state", "--format", "-w", "--warn", "-c", "--crit", "--within", "--notify",
)  # fmt: skip


def show_unknown(words: Sequence[str], why: str, *, is_json: bool) -> None:
    """The line of a check that could not even begin: `words` are what stood after `kalshi check`."""
    pairs = pairwise(["", *words])
    name = next((word for before, word in pairs if word.isalpha() and before not in _TAKES_VALUE), "check")
    show(_unknown(name, why), Format.JSON if is_json else Format.PLAIN)


def _unknown(check: str, why: str) -> CheckReport:
    return CheckReport(check=check, verdict=Verdict.UNKNOWN, summary=redact(why), runbook="could-not-look")


class Stop:
    """What is known when the time is over, and whether it was shown."""

    verdict = Verdict.UNKNOWN
    is_shown = False


@contextmanager
def stopped_after(seconds: float, check: str, form: Format | None) -> Iterator[Stop]:
    """End this process with UNKNOWN after so long, whatever holds it up: a resolver, a lock, a pipe; and when it is
    told to end.

    With the verdict, where that is known and shown, and only telling others of it takes too long.
    """
    stop = Stop()

    def say(why: str) -> None:
        if stop.is_shown:
            note(f"not everybody could be told: {why}")
        else:
            show(_unknown(check, why), form)
            write_out("", flush=True)

    def give_up(why: str) -> None:
        saying = threading.Thread(target=say, args=(why,), daemon=True)
        saying.start()
        saying.join(SAYING_S)  # nobody may be reading
        os._exit(stop.verdict.value)

    timer = threading.Timer(seconds, give_up, (f"nothing known within {seconds:g} s",))
    timer.daemon = True
    timer.start()
    before = signal.signal(signal.SIGTERM, lambda *_: give_up("terminated"))
    try:
        yield stop
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)
