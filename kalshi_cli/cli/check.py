"""`kalshi check ...`: monitoring plug-ins. One line that monitoring systems read, then what was found, then 0 to 3."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import Commands, duration_option, flags_of, opened
from kalshi_cli.cli.screen.output import Format, write_out
from kalshi_cli.core.checks import CheckReport, Verdict

app = Commands("Monitoring checks: exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")

WITHIN_S = 14.0
"""Monitoring systems and cron give a check fifteen seconds."""


@app.command("schema")
def schema(
    ctx: typer.Context,
    public: Annotated[bool, typer.Option("--public", help="Only routes that need no key.")] = False,
    within: Annotated[Any, duration_option("--within", text="Give up after this (14s).")] = None,
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
        report = check_schema(desk, is_public_only=public, within_s=within_s * 0.9)
        show(report, flags_of(ctx).form)
    raise typer.Exit(report.verdict.value)


def show(report: CheckReport, form: Format | None) -> None:
    """The line first; with --json the whole report as one object."""
    from kalshi_cli.cli.rows.check import BreachRow, check_view
    from kalshi_cli.cli.screen.output import default_format, note
    from kalshi_cli.cli.screen.render import render_one, render_rows

    form = form or default_format()
    rows = [BreachRow.of(breach) for breach in report.breaches]
    if form in (Format.JSON, Format.NDJSON):
        render_one(check_view(report), form)
    elif form is Format.CSV:
        render_rows(BreachRow, rows, form)
    else:
        write_out(report.first_line + "\n")
        if rows:
            render_rows(BreachRow, rows[:MOST_ROWS], Format.PLAIN)  # a name that a table would cut is what counts
        if len(rows) > MOST_ROWS:
            note(f"... and {len(rows) - MOST_ROWS} more: --json has all")
        if report.verdict is not Verdict.OK:
            note(f"what to do: runbooks/{report.runbook}.md")


MOST_ROWS = 15
"""Mail and pagers show the beginning of a check's output."""


@contextmanager
def stopped_after(seconds: float, check: str, form: Format | None) -> Iterator[None]:
    """End this process with UNKNOWN after so long, whatever holds it up: a resolver, a lock, a pipe."""

    def give_up() -> None:
        summary = f"nothing known within {seconds:g} s"
        show(CheckReport(check=check, verdict=Verdict.UNKNOWN, summary=summary, runbook=check), form)
        write_out("", flush=True)
        os._exit(Verdict.UNKNOWN.value)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
