"""`kalshi check`: monitoring plug-ins. They print one line for the monitoring system, then details, and exit 0 to 3."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from inspect import Parameter, Signature
from itertools import pairwise
from typing import Annotated, Any

import typer

from kalshi_cli.base.local_time import show_times
from kalshi_cli.base.ranges import parse_range
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.cli.global_options import TAKES_VALUE
from kalshi_cli.cli.options import flags_of, home_of, open_services
from kalshi_cli.cli.parameters import CommandGroup, duration_option, option, typed_by
from kalshi_cli.cli.screen import output
from kalshi_cli.cli.unstarted_check import told_if_not_started
from kalshi_cli.core.monitoring import check_report
from kalshi_cli.core.monitoring.check_report import CheckReport, Verdict

app = CommandGroup(
    "Run monitoring checks of account, loop and exchange.\n\n"
    "Run monitoring checks. Exit codes follow the monitoring plug-in convention: 0 OK, 1 WARNING, 2 CRITICAL, "
    "3 UNKNOWN.",
    needs_name=True,
)

WITHIN_S = 13.0
"""The default time limit, from the start of the program. Monitoring systems and cron stop a check after 15 seconds; the
rest is for the start of Python and for the output."""

MIN_TIME_S = 1.0
"""The least time of a check, even if the start of the program took all of it."""

OUTPUT_RESERVE_S = 0.5
"""The time that the output of a check may take after its time limit."""

MAX_LINE_LENGTH = 4_000
"""The longest line that monitoring systems read."""

MAX_LINES = 18
"""Mail and pagers show only the beginning of the output. Two more lines go to stderr."""


# -- the options --------------------------------------------------------------------------------------------------


def _range(text: str) -> str:
    return parse_range(text).text


def _bound(name: str, *names: str, text: str) -> Parameter:
    text = f"{text} if the value is outside this range, instead of the configured one; does not stop trading"
    return _option(name, Any, typer.Option(*names, parser=typed_by(_range), metavar="RANGE", help=text))


def _option(name: str, kind: Any, option: Any, default: object = None) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _flag(name: str, option: str, text: str) -> Parameter:
    return _option(name, bool, typer.Option(option, help=text), False)


EACH = (
    _option("within", Any, duration_option("--within", "Time limit from the start of the program [default: 13s]")),
    _option(
        "notify", str,
        option("--notify", "URL", "Also notify this URL in this run; http:// only on this machine"),
        "",
    ),
    _flag("no_notify", "--no-notify", "Send no alerts, and do not record the result"),
)  # fmt: skip
"""Options of every check."""

BOUNDS = (_bound("warn", "-w", "--warn", text="WARNING"), _bound("crit", "-c", "--crit", text="CRITICAL"))
"""Options of a check that compares a number with a range."""

RANGES = """A range is `10` (0 to 10), `10:` (10 or more), `~:10` (10 or less) or `10:20` (10 to 20); the check alerts
when the value is outside it. `@10:20` alerts when the value is inside 10 to 20."""

PAPER = _flag("is_paper", "--paper", "Check the paper trading loop")
ALLOW_STOPPED = _flag("is_stop_allowed", "--allow-stopped", "OK without a loop, unless the last one was killed")
ACCEPT = _flag("is_accepted", "--accept", "Accept the current cash balance as correct and measure from here")
PUBLIC = _flag("is_public_only", "--public", "Only routes that need no API key")


# -- the checks ---------------------------------------------------------------------------------------------------


def _check(*taken: Parameter) -> Callable[[Callable[[], None]], None]:
    """Add `kalshi check NAME` with these options; the decorated function gives only the name and the help."""

    def add(of: Callable[[], None]) -> None:
        name = of.__name__.removesuffix("_")

        def check(ctx: typer.Context, **given: Any) -> None:
            _run(ctx, name, **given)

        of_context = Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        check.__signature__ = Signature([of_context, *taken])  # type: ignore[attr-defined]
        app.command(name, help=of.__doc__, epilog=RANGES if taken[:2] == BOUNDS else None)(check)

    return add


# Checks of the account and of the exchange.


@_check(*BOUNDS, *EACH)
def positions() -> None:
    """Check positions against your risk limits.

    Check the exposure of each market, each event, each category and the total against the risk limits, as if every
    resting order had filled. Positions are read from the exchange, not from local state. In an event where only one
    market can resolve YES, the worst outcome counts.

    `-w` and `-c` are percent of the nearest limit.

    \b
    kalshi check positions
    kalshi check positions -w 50 -c 90 --json
    """


@_check(*BOUNDS, *EACH)
def pnl() -> None:
    """Check today's loss and the drawdown.

    Check the loss of the trading day and the drawdown of the account. The day follows `day_zone`; the loss is computed
    from the exchange's fills and settlements, with fees and the change of open positions since midnight, in percent of
    `risk.max_daily_loss`. The drawdown is in dollars below the highest value that this check or a loop has seen since
    the last resume from reduce-only (`checks.drawdown_usd`); deposits and withdrawals do not change it.

    `-w` and `-c` are percent of the daily loss limit.

    \b
    kalshi check pnl
    kalshi check pnl -w 40 -c 80 --json
    """


@_check(*BOUNDS, *EACH)
def orders() -> None:
    """Check for stuck, orphaned or rejected orders.

    Compare the exchange's order list with the state file. CRITICAL: unconfirmed for more than 30 s; resting beyond its
    expiration; resting longer than `trade.order_expiry_s` for a strategy that has no running loop; or in a triggered
    order group. WARNING: an order placed by another program, or an order group that accepts no orders.

    `-w` and `-c` are the percentage of the last hour's orders that the exchange rejected; at least 10 orders are
    needed.

    \b
    kalshi check orders
    kalshi check orders -w 5 -c 20 --json
    """


@_check(*BOUNDS, *EACH)
def balance() -> None:
    """Check the cash balance.

    Check the cash of all subaccounts and shards, as the exchange reports it, against your range (`checks.cash_usd`). A
    negative balance anywhere is CRITICAL.

    \b
    kalshi check balance -w 100: -c 20:
    """


@_check(*BOUNDS, *EACH)
def exchange() -> None:
    """Check that the exchange is open as scheduled.

    Check whether the exchange is open. CRITICAL: the exchange is paused and accepts no cancels. WARNING: trading is
    paused.

    Announced or weekly maintenance and hours outside the schedule are OK, and are reported.

    `-w` and `-c` are the number of paused shards, whether announced or not (`checks.paused_shards`).

    \b
    kalshi check exchange
    kalshi check exchange -c 0
    """


@_check(*BOUNDS, *EACH, PAPER)
def disk() -> None:
    """Check free disk space and free inodes.

    Check the file system of the state directory, and that of the log directory if it is elsewhere, without a request.
    An order that cannot be saved is not sent, so a full disk stops trading.

    `-w` and `-c` are gigabytes (10^9 bytes) of free space; inodes have `checks.disk_free_inodes`.

    \b
    kalshi check disk
    kalshi check disk -w 5: -c 1: --json
    """


@_check(*BOUNDS, *EACH, PAPER)
def api() -> None:
    """Check API latency, errors, key and clock.

    Check whether the exchange responds in time, accepts your key, and agrees with your clock: up to ten requests, with
    and without the key, plus the loop's counts of the last hour. It reports the 99th percentile of latency
    (`checks.api_p99_ms`), the error rate and the clock difference. A rejected key is CRITICAL.

    Too many failures in both the last 2 and the last 10 minutes are CRITICAL; in both the last 15 and the last 60
    minutes, WARNING.

    `-w` and `-c` are milliseconds.

    \b
    kalshi check api
    kalshi check api -w 800 -c 3000 --json
    """


@_check(*BOUNDS, *EACH, PAPER)
def execution() -> None:
    """Check fill rate, latency and slippage.

    Check the last 50 orders and fills of the loop, at most one day old: the percentage that filled within 30 s, the
    second slowest placement, and slippage per contract against the fair value, fees included. WARNING: any of them is
    worse than in the 500 before, beyond chance. A sample below 20 is not judged.

    `-w` and `-c` are percent of orders that filled.

    If only paper trading ever ran, that loop is checked.

    \b
    kalshi check execution
    kalshi check execution -w 20: -c 5: --json
    """


@_check(*BOUNDS, *EACH, PAPER)
def errors() -> None:
    """Check recent errors and alert delivery.

    Check the critical alerts of the loop in the last hour, counted by code and subject. CRITICAL: a strategy failed
    and the loop continues without it. WARNING: an alert channel did not accept an alert.

    `-w` and `-c` are the number of critical alerts.

    If only paper trading ever ran, that loop is checked.

    \b
    kalshi check errors
    kalshi check errors -w 2 -c 5 --paper
    """


@_check(*BOUNDS, *EACH, PAPER)
def feed() -> None:
    """Check that the market data feed is current.

    Check the loop's market data feed: the age of its last message in seconds, the delay of order book messages
    (`checks.feed_lag_ms`), reconnects, markets without a reliable order book, and an account that it cannot read. If
    no loop runs, the check connects to the stream itself. Silence while the exchange is paused is OK.

    `-w` and `-c` are seconds.

    \b
    kalshi check feed
    kalshi check feed -w 20 -c 90 --paper
    """


@_check(*BOUNDS, *EACH, PAPER, ALLOW_STOPPED)
def heartbeat() -> None:
    """Check that the trading loop is alive.

    Check the age, in seconds, of the last cycle that the loop completed while it could read the account. CRITICAL: no
    loop runs, the last one was killed, or trading is halted or reduce-only. WARNING: trading is paused.

    If only paper trading ever ran, that loop is checked.

    \b
    kalshi check heartbeat -w 30 -c 120
    kalshi check heartbeat --allow-stopped
    kalshi check heartbeat --paper --env prod
    """


# Checks with an option of their own, and all checks at once.


@_check(*BOUNDS, *EACH, ACCEPT)
def drift() -> None:
    """Check local records against the exchange.

    Compare each fill and position of the state file with the exchange, and the cash balance with the expected one: the
    starting balance plus trading results, deposits and withdrawals since the first run or the last `--accept`. A
    difference is reported only when it appears twice in a row. It also compares what the strategies earned with what
    their fair values promised, in standard deviations, from 30 fills in 10 events that have settled or closed.

    `-w` and `-c` are dollars of cash.

    \b
    kalshi check drift
    kalshi check drift --accept
    """


@_check(*EACH, PUBLIC)
def schema() -> None:
    """Check that the exchange's API has not changed.

    Read one sample of every API route in use, with your account's own data where it has any, and the first messages of
    the stream. CRITICAL: a field is missing or has another type, a route is gone or announces its end, or a legacy
    order route answers again (tested with requests that have no effect). New fields are notes, and anything that could
    not be read is UNKNOWN, never OK.

    There is no `-w` or `-c`, because no value is compared with a range.

    \b
    kalshi check schema
    kalshi check schema --env prod --public --json
    """


@_check(*EACH, PAPER, ALLOW_STOPPED)
def all_() -> None:
    """Run all checks except schema.

    Run every check except `schema` within one time limit, and print the worst result and one line per check. The
    checks share their requests, so this uses fewer requests than running them one by one. There is no `-w` or `-c`;
    the ranges are in the section `checks` of the configuration.

    \b
    kalshi check all --allow-stopped
    kalshi check all --env prod --json
    """


def left_s(wanted_s: float, age_s: float) -> float:
    """Return the remaining time of a check, for a program that has run for `age_s`."""
    return max(MIN_TIME_S, wanted_s - age_s)


def _run(
    ctx: typer.Context, name: str, *, within: float | None, no_notify: bool, is_paper: bool = False, **wanted: Any
) -> None:
    flags, wanted_s = flags_of(ctx), within or WITHIN_S
    within_s = left_s(wanted_s, flags.age_s)
    with ExitStack() as stack:
        stop = stack.enter_context(stopped_after(within_s, name, flags.form, of_s=wanted_s))
        if not no_notify:
            stack.enter_context(told_if_not_started(ctx, name, wanted["notify"], within_s))
        kalshi = stack.enter_context(open_services(ctx, output.warn))

        def shown(found: CheckReport, parts: Sequence[CheckReport]) -> None:
            try:
                show(found, flags.form, parts)
                output.write_out("", flush=True)
            except OSError as error:  # no reader, or a full disk: notify all the same
                output.close_out()
                output.warn(f"Could not write the result of the check: {error.strerror}")
            stop.verdict, stop.is_shown = found.verdict, True

        view = kalshi.monitoring.check(
            name,
            within_s=within_s,
            is_told=not no_notify,
            home=home_of(kalshi.resources, paper=is_paper),
            show=shown,
            leave=lambda verdict: os._exit(verdict.value),
            **wanted,
        )
    raise typer.Exit(view.exit_code)


# -- output ------------------------------------------------------------------------------------------------------


def show(found: CheckReport, form: output.Format | None, parts: Sequence[CheckReport] = ()) -> None:
    """Print the first line, then a line for each check and breach; with --json the whole report as one object.

    A terminal gets a table of checks instead, without the numbers for monitoring systems.
    """
    from kalshi_cli.cli.screen.render import render_one, render_rows
    from kalshi_cli.views.checks import BreachRow, CheckLine, CheckView

    form, breaches = form or output.default_format(), check_report.each_cause_once(found.breaches)
    if form in (output.Format.JSON, output.Format.NDJSON) or (output.chosen_fields() and form is not output.Format.CSV):
        render_one(CheckView.of(found, checks=tuple(map(CheckLine.of, parts))), form)
    elif form is output.Format.CSV:
        render_rows(BreachRow, [BreachRow.of(breach) for breach in found.breaches], form)
    else:
        if form is output.Format.TABLE:
            # Findings come last, so that they stay on a small screen.
            ordered = check_report.without_repeated_causes(
                sorted(parts or (found,), key=lambda part: part.verdict is not Verdict.OK)
            )
            rows = [CheckLine.of(part, summary=redact(part.summary)) for part in ordered]
            render_rows(CheckLine, rows, form)
        else:
            output.write_out(f"{_shown(found.first_line)}\n")
            ordered = check_report.without_repeated_causes(parts)
            for part in ordered:
                output.write_out(f"{part.verdict.name} {part.check}: {_shown(part.summary)}\n")
        breaches = [each for each in breaches if not any(each.text in part.summary for part in ordered)]
        most = MAX_LINES - 3 - len(parts)
        for breach in breaches[:most]:  # no table: it would cut the text
            output.write_sentence(f"{breach.severity.upper()} {_shown(breach.text)}")
        if len(breaches) > most:
            output.info(f"... and {len(breaches) - most} more; --json shows all")
        if form is output.Format.TABLE and parts:
            output.info(check_report.counts_by_verdict(parts))
        if found.verdict is not Verdict.OK:
            output.info(f"What to do: kalshi runbook {found.runbook}")


def _shown(text: str) -> str:
    """Return a text of a check as one line for people, with local times and without secrets."""
    return show_times(safe_text(redact(text), MAX_LINE_LENGTH))


_TAKES_VALUE = (*TAKES_VALUE, "-w", "--warn", "-c", "--crit", "--within", "--notify")


def show_unknown(words: Sequence[str], why: str, *, is_json: bool) -> None:
    """Print the result of a check with the arguments `words` that could not start; on a terminal the error says why."""
    if output.default_format() is output.Format.TABLE and not is_json:
        output.info(f"UNKNOWN: the check could not start. What to do: kalshi runbook {_unknown('', why).runbook}")
        return
    pairs = pairwise(["", *words])
    name = next((word for before, word in pairs if word.isalpha() and before not in _TAKES_VALUE), "check")
    show(_unknown(name, why), output.Format.JSON if is_json else output.Format.PLAIN)


def _unknown(check: str, why: str) -> CheckReport:
    return CheckReport(check=check, verdict=Verdict.UNKNOWN, summary=redact(why), runbook="could-not-look")


class TimeoutResult:
    """The result of a check when its time is over, and whether it was printed."""

    verdict = Verdict.UNKNOWN
    is_shown = False


@contextmanager
def stopped_after(seconds: float, check: str, form: output.Format | None, *, of_s: float) -> Iterator[TimeoutResult]:
    """End this process with UNKNOWN after `seconds`, or on SIGTERM, even if a resolver, a lock or a pipe blocks it.

    `of_s` is the time limit from the start of the program. If the verdict is already printed and only notifications
    take too long, the process ends with the verdict.
    """
    stop = TimeoutResult()

    def say(why: str) -> None:
        if stop.is_shown:
            output.info(f"Some notifications failed: {why}")
        else:
            show(_unknown(check, why), form)
            output.write_out("", flush=True)

    def give_up(why: str) -> None:
        saying = threading.Thread(target=say, args=(why,), daemon=True)
        saying.start()
        saying.join(OUTPUT_RESERVE_S)  # stdout may have no reader
        os._exit(stop.verdict.value)

    timer = threading.Timer(seconds, give_up, (f"No result within {of_s:g} s",))
    timer.daemon = True
    timer.start()
    before = signal.signal(signal.SIGTERM, lambda *_: give_up("terminated"))
    try:
        yield stop
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)
