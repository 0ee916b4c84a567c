"""`kalshi check ...`: monitoring plug-ins. One line that monitoring systems read, then what was found, then 0 to 3."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import Parameter, Signature
from itertools import pairwise
from typing import Annotated, Any

import typer

from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.cli.options import CommandGroup, Paper, duration_option, flags_of, home_of, open_services
from kalshi_cli.cli.screen.output import Format, close_out, default_format, info, warn, write_out
from kalshi_cli.core.monitoring.check_report import CheckReport, Verdict

app = CommandGroup("Monitoring checks: exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.", needs_name=True)

WITHIN_S = 13.0
"""Monitoring systems and cron give a check fifteen seconds. These count from the start of the program; what is left is
for Python to come up before, and for the last word after."""

MIN_TIME_S = 1.0
"""What is left to look where the program took all that time to start."""

OUTPUT_RESERVE_S = 0.5
"""How long the last word of a check may take that has no more time."""

MAX_LINE_LENGTH = 4_000
"""What monitoring systems take of a line, with all its numbers."""

MAX_LINES = 18
"""Mail and pagers show the beginning of a check's output; two more lines are on stderr."""


# -- the options --------------------------------------------------------------------------------------------------


def _range(text: str) -> str:
    from kalshi_cli.core.monitoring.ranges import parse_range

    try:
        return parse_range(text).text
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _bound(name: str, *names: str, text: str) -> Parameter:
    text = f"{text} outside of this, instead of as configured; stops no trading. Like 10, 10:, ~:10, 10:20, @10:20."
    return _option(name, Any, typer.Option(*names, parser=_range, metavar="RANGE", help=text))


def _option(name: str, kind: Any, option: Any, default: object = None) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _flag(name: str, option: str, text: str) -> Parameter:
    return _option(name, bool, typer.Option(option, help=text), False)


EACH = (
    _option("within", Any, duration_option("--within", text="Give up after this, from its start (13s).")),
    _option(
        "notify", str,
        typer.Option("--notify", metavar="URL", help="One more sink for this run; http on this machine."), "",
    ),
    _flag("no_notify", "--no-notify", "Tell nobody, and remember nothing of it for the alerts."),
)  # fmt: skip
"""What every check takes."""

BOUNDS = (_bound("warn", "-w", "--warn", text="Warn"), _bound("crit", "-c", "--crit", text="Critical"))
"""What a check takes that has a number to be held against a range."""

PAPER = Parameter("is_paper", Parameter.KEYWORD_ONLY, default=False, annotation=Paper)
ALLOW_STOPPED = _flag(
    "is_stop_allowed", "--allow-stopped", "That no loop runs is fine, if the last one ended in good order."
)
ACCEPT = _flag("is_accepted", "--accept", "The cash there is now is right: from here on its drift is counted.")
PUBLIC = _flag("is_public_only", "--public", "Only routes that need no key.")


# -- the checks ---------------------------------------------------------------------------------------------------


def _check(*taken: Parameter) -> Callable[[Callable[[], None]], None]:
    """`kalshi check NAME`, which takes these options; the function has nothing but its name and its help."""

    def add(of: Callable[[], None]) -> None:
        name = of.__name__.removesuffix("_")

        def check(ctx: typer.Context, **given: Any) -> None:
            _run(ctx, name, **given)

        of_context = Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        check.__signature__ = Signature([of_context, *taken])  # type: ignore[attr-defined]
        app.command(name, help=of.__doc__)(check)

    return add


# Of the account and of the exchange.


@_check(*BOUNDS, *EACH)
def positions() -> None:
    """Is every position within its limits?

    Each market, each event, each category and the total against the limits in risk, read from the exchange and not
    from what is remembered here, with every resting order filled. Of an event in which only one market can win, the
    worst outcome counts. -w and -c are percent of a limit, of whichever is nearest.

    \b
    kalshi check positions
    kalshi check positions -w 50 -c 90 --json
    """


@_check(*BOUNDS, *EACH)
def pnl() -> None:
    """What did the trading day lose, and how far below its best is the account?

    The day of day_zone, from the exchange's fills and settlements, fees and what is open included, in percent of
    risk.max_daily_loss. The drawdown is in dollars below the best that was seen by this check or by a loop
    (checks.drawdown_usd); money that you pay in or take out changes neither. -w and -c are percent of the limit.

    \b
    kalshi check pnl
    kalshi check pnl -w 40 -c 80 --json
    """


@_check(*BOUNDS, *EACH)
def orders() -> None:
    """Is any order in doubt, left over, a stranger's, or refused?

    The exchange's list against the state file. Critical: in doubt for more than 30 s, at rest beyond its expiry, of a
    strategy without a loop for longer than trade.order_expiry_s, in a group that is triggered. Warning: an order that
    was not placed from here, a group that takes no orders. -w and -c are percent of the last hour's orders that the
    exchange refused, once there were 10.

    \b
    kalshi check orders
    kalshi check orders -w 5 -c 20 --json
    """


@_check(*BOUNDS, *EACH)
def balance() -> None:
    """Is there money, and no debt?

    Cash of all subaccounts and shards, as the exchange states it, against a range that you name or configure
    (checks.cash_usd). Below zero anywhere is critical.

    \b
    kalshi check balance -w 100: -c 20:
    """


@_check(*BOUNDS, *EACH)
def exchange() -> None:
    """Is the exchange open, or closed as it was announced?

    Critical: it is paused, and takes no cancels. Warning: trading is paused. Maintenance, weekly or announced, and what
    is outside of the exchange's hours is fine and said. -w and -c are how many shards stand still, as announced or not
    (checks.paused_shards).

    \b
    kalshi check exchange
    kalshi check exchange -c 0
    """


# Of what a loop left behind, whether it runs or not: they can be told which one.


@_check(*BOUNDS, *EACH, PAPER)
def api() -> None:
    """Does the exchange answer, soon enough, with our key, and at our time?

    Up to ten reads, with and without the key, and what the loop counted in the last hour: the 99th percentile of their
    time (checks.api_p99_ms), the share without a usable answer, and how far the clocks differ. Failures are critical
    where they were too many in the last 2 minutes and in the last 10, a warning in the last 15 and in the last 60; and
    where nothing else was seen in the last 2. A key that is refused is critical. -w and -c are milliseconds.

    \b
    kalshi check api
    kalshi check api -w 800 -c 3000 --json
    """


@_check(*BOUNDS, *EACH, PAPER)
def execution() -> None:
    """Do orders trade, are they placed in time, at what price? Worse than before?

    The last 50 orders and fills of the loop, of not more than a day: how many of a hundred traded within 30 s of their
    decision, the slowest placement, and slippage, what a contract cost beyond its fair value, fees included. A number
    of fewer than 20 says nothing. Warning: any of them got worse than it was in the 500 before, beyond chance; most
    order requests of the last hour were denied here (checks.denied_pct); a running loop has sent no order for a day
    (checks.no_orders_for). -w and -c are percent of orders that traded. Where only a loop on paper was ever started,
    that is the one.

    \b
    kalshi check execution
    kalshi check execution -w 20: -c 5: --json
    """


@_check(*BOUNDS, *EACH, PAPER)
def errors() -> None:
    """What went wrong in the last hour, and was everybody told?

    Critical alerts of the loop, by what happened and to what; -w and -c are how many. Critical: a strategy failed, and
    the loop runs on without it. Warning: a sink did not take an alert. Where only a loop on paper was ever started,
    that is the one.

    \b
    kalshi check errors
    kalshi check errors -w 2 -c 5 --paper
    """


@_check(*BOUNDS, *EACH, PAPER)
def feed() -> None:
    """Does the loop hear the exchange? Where none runs: would one?

    The age of its last message in seconds, how late messages about books come (checks.feed_lag_ms), how often it had to
    begin anew, markets without a book that can be believed, an account that it cannot read, and how long ago each model
    or news source answered (checks.model_age). Without a loop the stream is tried: does it let us in, does it answer?
    While the exchange is paused quiet is fine. -w and -c are seconds.

    \b
    kalshi check feed
    kalshi check feed -w 20 -c 90 --paper
    """


# Of a running loop: they can be told which, and that none need run.


@_check(*BOUNDS, *EACH, PAPER, ALLOW_STOPPED)
def heartbeat() -> None:
    """Does the loop that should run complete its cycles?

    The age of the last cycle that was completed with the account in sight, in seconds. Critical: no loop runs, the
    last one was killed, trading is halted or reducing; a pause is a warning. Where only a loop on paper was ever
    started, that is the one.

    \b
    kalshi check heartbeat -w 30 -c 120
    kalshi check heartbeat --allow-stopped
    kalshi check heartbeat --paper --env prod
    """


# With an option of their own, and all at once.


@_check(*BOUNDS, *EACH, ACCEPT)
def drift() -> None:
    """Is what we remember of the account what the exchange states, to the contract and the cent?

    Each fill and each position of the state file against the exchange's, and the cash against what there was, what
    trading did to it, and what was paid in and out: from the first run of this check, or from --accept. What differs
    has to differ twice in a row. And what strategies earned against what their fair values promised, in standard
    deviations, once 30 fills in 10 events are settled or closed. -w and -c are dollars of cash.

    \b
    kalshi check drift
    kalshi check drift --accept
    """


@_check(*EACH, PUBLIC)
def schema() -> None:
    """Does the exchange still send what this program reads?

    Reads one sample of each route in use, with the account's own data where it has any, and the first frames of the
    stream. Critical: a field that is missing or of another type, a route that is gone or announces its end, a legacy
    order route that answers again (asked with requests that can do nothing). What is new is a note. What could not be
    looked at is UNKNOWN, never OK. There is no number to be held against a range: no -w, no -c.

    \b
    kalshi check schema
    kalshi check schema --env prod --public --json
    """


@_check(*EACH, PAPER, ALLOW_STOPPED)
def all_() -> None:
    """Every check but `schema`, within one deadline: the worst verdict, then one line for each.

    They share what they read, so that this asks less of the exchange than one after the other would. It takes no -w and
    no -c, because each has numbers of its own: their ranges are in `checks` of the configuration.

    \b
    kalshi check all --allow-stopped
    kalshi check all --env prod --json
    """


def left_s(wanted_s: float, age_s: float) -> float:
    """What is left of the time of a check in a program of that age."""
    return max(MIN_TIME_S, wanted_s - age_s)


def _run(
    ctx: typer.Context, name: str, *, within: float | None, no_notify: bool, is_paper: bool = False, **wanted: Any
) -> None:
    flags, wanted_s = flags_of(ctx), within or WITHIN_S
    within_s = left_s(wanted_s, flags.age_s)
    with stopped_after(within_s, name, flags.form, of_s=wanted_s) as stop, open_services(ctx) as kalshi:

        def told(found: CheckReport, parts: Sequence[CheckReport]) -> None:
            try:
                show(found, flags.form, parts)
                write_out("", flush=True)
            except OSError as error:  # nobody may be reading, a disk may be full: others are told all the same
                close_out()
                warn(f"what was found cannot be written: {error.strerror}")
            stop.verdict, stop.is_shown = found.verdict, True

        view = kalshi.monitoring.check(
            name,
            within_s=within_s,
            is_told=not no_notify,
            home=home_of(kalshi.resources, paper=is_paper),
            show=told,
            leave=lambda verdict: os._exit(verdict.value),
            **wanted,
        )
    raise typer.Exit(view.exit_code)


# -- what is shown ------------------------------------------------------------------------------------------------


def show(found: CheckReport, form: Format | None, parts: Sequence[CheckReport] = ()) -> None:
    """The line first; with --json the whole report as one object. Of several checks a line each."""
    from kalshi_cli.cli.screen.render import render_one, render_rows
    from kalshi_cli.views.checks import BreachRow, CheckLine, CheckView

    form = form or default_format()
    if form in (Format.JSON, Format.NDJSON):
        render_one(CheckView.of(found, checks=tuple(map(CheckLine.of, parts))), form)
    elif form is Format.CSV:
        render_rows(BreachRow, [BreachRow.of(breach) for breach in found.breaches], form)
    else:
        write_out(f"{safe_text(redact(found.first_line), MAX_LINE_LENGTH)}\n")
        for part in parts:
            write_out(f"{part.verdict.name} {part.check}: {safe_text(redact(part.summary), MAX_LINE_LENGTH)}\n")
        most = MAX_LINES - 3 - len(parts)
        for breach in found.breaches[:most]:  # in no columns: what a table would cut is what counts
            write_out(f"{breach.severity.upper()} {safe_text(redact(breach.text), MAX_LINE_LENGTH)}\n")
        if len(found.breaches) > most:
            info(f"... and {len(found.breaches) - most} more: --json has all")
        if found.verdict is not Verdict.OK:
            info(f"what to do: kalshi runbook {found.runbook}")


_TAKES_VALUE = (
    "--env", "--config", "--state", "--format", "--allow-host", "-w", "--warn", "-c", "--crit", "--within", "--notify",
)  # fmt: skip


def show_unknown(words: Sequence[str], why: str, *, is_json: bool) -> None:
    """The line of a check that could not even begin: `words` are what stood after `kalshi check`."""
    pairs = pairwise(["", *words])
    name = next((word for before, word in pairs if word.isalpha() and before not in _TAKES_VALUE), "check")
    show(_unknown(name, why), Format.JSON if is_json else Format.PLAIN)


def _unknown(check: str, why: str) -> CheckReport:
    return CheckReport(check=check, verdict=Verdict.UNKNOWN, summary=redact(why), runbook="could-not-look")


class TimeoutResult:
    """What is known when the time is over, and whether it was shown."""

    verdict = Verdict.UNKNOWN
    is_shown = False


@contextmanager
def stopped_after(seconds: float, check: str, form: Format | None, *, of_s: float) -> Iterator[TimeoutResult]:
    """End this process with UNKNOWN after so long, whatever holds it up: a resolver, a lock, a pipe; and when it is
    told to end. `of_s` is how long it may take in all, with its start.

    With the verdict, where that is known and shown, and only telling others of it takes too long.
    """
    stop = TimeoutResult()

    def say(why: str) -> None:
        if stop.is_shown:
            info(f"not everybody could be told: {why}")
        else:
            show(_unknown(check, why), form)
            write_out("", flush=True)

    def give_up(why: str) -> None:
        saying = threading.Thread(target=say, args=(why,), daemon=True)
        saying.start()
        saying.join(OUTPUT_RESERVE_S)  # nobody may be reading
        os._exit(stop.verdict.value)

    timer = threading.Timer(seconds, give_up, (f"nothing known within {of_s:g} s",))
    timer.daemon = True
    timer.start()
    before = signal.signal(signal.SIGTERM, lambda *_: give_up("terminated"))
    try:
        yield stop
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)
