"""`kalshi runbook`: numbered steps for incidents, without a network."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import form_of
from kalshi_cli.cli.parameters import CommandGroup, argument
from kalshi_cli.cli.screen.output import Format, chosen_fields, info, write_markdown

app = CommandGroup("Show step-by-step instructions for an incident.")


@app.command("runbook")
def runbook(
    ctx: typer.Context,
    name: Annotated[str, argument("[NAME|CODE]", "Runbook name, alert code or exit code")] = "",
) -> None:
    """Show step-by-step instructions for an incident.

    List the runbooks, or print one. An alert code or an exit code (5, 7, 8, 9) also finds its runbook. No network is
    needed.

    \b
    kalshi runbook
    kalshi runbook kill-switch
    kalshi runbook DAILY_LOSS
    kalshi runbook 7
    """
    from kalshi_cli.cli.screen.render import render_one, render_rows
    from kalshi_cli.services.monitoring import runbooks
    from kalshi_cli.views.runbooks import RunbookRow, RunbookView

    form = form_of(ctx)
    if not name:
        render_rows(RunbookRow, [RunbookRow.of(each) for each in runbooks.runbooks()], form, title="runbooks")
        info("To read one: `kalshi runbook NAME`, or an alert code: `kalshi runbook DAILY_LOSS`")
        return
    found = runbooks.runbook(name)
    if form is Format.PLAIN and not chosen_fields():
        write_markdown(found.text)
    elif form is Format.TABLE and not chosen_fields():
        from kalshi_cli.cli.screen.tables import draw_markdown

        draw_markdown(found.text)
    else:
        render_one(RunbookView.of(found, lines=tuple(found.text.splitlines())), form)
