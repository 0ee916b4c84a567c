"""`kalshi alerts add|prices|remove|run`: price and fill alerts, each of which fires once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import pluralize, show_price
from kalshi_cli.cli.options import flags_of, home_of, open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, argument, duration_option, flag, price_option, ticker
from kalshi_cli.cli.screen.output import Format, info, warn, write_sentence
from kalshi_cli.views.alerts import ADD_CHANNEL, NO_CHANNEL, PriceAlertRow
from kalshi_cli.views.formats import format_clock
from kalshi_cli.views.row import own_price

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kalshi_cli.app.kalshi import Kalshi

app = CommandGroup()

Paper = Annotated[bool, flag("--paper", "Alerts of paper trading")]
MIN_INTERVAL_S, MAX_INTERVAL_S = 1.0, 3600.0


@app.command("add")
def add(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    above: Annotated[Any, price_option("--above", "When the best bid is at or above this price")] = None,
    below: Annotated[Any, price_option("--below", "When the best ask is at or below this price")] = None,
    no: Annotated[bool, flag("--no", "The price is that of NO, not of YES")] = False,
    fills: Annotated[bool, flag("--fills", "When an order of yours fills")] = False,
    paper: Paper = False,
) -> None:
    """Add a price or fill alert.

    The alert goes to the alert channels once, and is then removed. A running loop checks the markets that it follows;
    `kalshi alerts run` checks every market. If neither runs, nothing is checked.

    \b
    kalshi alerts add KXHIGHNY-26NOV21-B53.5 --above 60c
    kalshi alerts add KXHIGHNY-26NOV21-B53.5 --above 60c --no
    kalshi alerts add KXHIGHNY-26NOV21-B53.5 --fills
    """
    with open_services(ctx) as kalshi:
        alerts = kalshi.monitoring.price_alerts(home_of(kalshi.resources, paper=paper))
        if no and fills:
            raise UsageError("--no is for the price of an alert, not for fills", hint="leave out --no")
        row = alerts.add(name.upper(), above=above, below=below, fills=fills, side="no" if no else "yes")
        show_view(ctx, row, title="price alert" if row.price is not None else "fill alert", now=kalshi.now)
        info(_meaning(row), "It is checked while `kalshi alerts run` runs, or a loop that follows this market")
        if met := alerts.met(row):
            info(f"It is met already, and fires with the next check: {met}")
        _warn_without_channel(kalshi, "it is only shown there")


def _warn_without_channel(kalshi: Kalshi, where: str) -> None:
    """Say where an alert is shown if there is no channel to send it to, and how to add one."""
    if not kalshi.resources.config.alerts.channels:
        info(f"{NO_CHANNEL}: {where}. Next: {ADD_CHANNEL}")


def _meaning(row: PriceAlertRow) -> str:
    """Return when an alert fires; a price also as that of the other outcome."""
    if row.price is None or row.side is None:
        return f"It fires once, when an order of yours in {row.ticker} fills"
    at, other_price = show_price(row.price), show_price(own_price("no", row.price))
    side, other = ("YES", "NO") if row.side == "yes" else ("NO", "YES")
    if row.kind == "above":
        return f"It fires once, when the best {side} bid is {at} or more: {other} then costs {other_price} or less"
    return f"It fires once, when the best {side} ask is {at} or less: {other} then sells for {other_price} or more"


@app.command("prices")
def prices(ctx: typer.Context, paper: Paper = False) -> None:
    """List price and fill alerts.

    List the price and fill alerts that have not fired.

    \b
    kalshi alerts prices
    """
    with open_services(ctx) as kalshi:
        rows = kalshi.monitoring.price_alerts(home_of(kalshi.resources, paper=paper)).list()
        show_list(
            ctx,
            PriceAlertRow,
            rows,
            empty="No price or fill alerts; add one with `kalshi alerts add TICKER --above 60c`",
            now=kalshi.now,
        )


@app.command("remove")
def remove(
    ctx: typer.Context,
    ids: Annotated[list[str], argument("ID...", "Ids of `kalshi alerts prices`")],
    paper: Paper = False,
) -> None:
    """Remove price and fill alerts.

    \b
    kalshi alerts remove 1
    """
    with open_services(ctx) as kalshi:
        rows = kalshi.monitoring.price_alerts(home_of(kalshi.resources, paper=paper)).remove(*ids)
        info(f"Removed: {', '.join(row.alert_id for row in rows)}")
        if flags_of(ctx).wants_data:
            show_list(ctx, PriceAlertRow, rows, now=kalshi.now)


@app.command("run")
def run(
    ctx: typer.Context,
    interval: Annotated[Any, duration_option("--interval", "Time between two checks")] = "5s",
    duration: Annotated[Any, duration_option("--duration", "Stop after this time")] = None,
    paper: Paper = False,
) -> None:
    """Check price and fill alerts until Ctrl-C.

    Read prices and fills at intervals and send the alerts that are due, until Ctrl-C. No order is placed. It may run
    beside a loop. Prices that cannot be read for a minute are an alert too (PRICE_ALERT_BLIND).

    \b
    kalshi alerts run
    kalshi alerts run --interval 30s
    """
    from kalshi_cli.cli.screen.live import live_format
    from kalshi_cli.cli.screen.render import render_rows
    from kalshi_cli.services.monitoring.price_alerts import FIRED_CODES
    from kalshi_cli.services.trading.reports.live_events import alert_row
    from kalshi_cli.services.trading.stop_signals import SIGNALS, StopSignals
    from kalshi_cli.views.live import RecentAlertRow

    if not MIN_INTERVAL_S <= interval <= MAX_INTERVAL_S:
        raise UsageError("The interval must be from 1s to 1h", hint="--interval 5s")
    form, stopped = live_format(flags_of(ctx).form), list[str]()
    if form is Format.JSON:
        raise UsageError("Each alert is printed as it fires, not as one JSON document", hint="use --format ndjson")
    with (
        open_services(ctx, warn) as kalshi,
        StopSignals(kalshi.resources.machine, lambda command: stopped.append(command.source)),
    ):
        alerts = kalshi.monitoring.price_alerts(home_of(kalshi.resources, paper=paper))
        count = len(alerts.list())
        info(f"Checking {pluralize(count, 'price or fill alert')} every {interval:g} s; Ctrl-C stops")
        if not count:
            info("Add one, also while this runs: `kalshi alerts add TICKER --above 60c`")
        _warn_without_channel(kalshi, "alerts are only shown here")
        clock = kalshi.resources.machine
        until = math.inf if duration is None else clock.monotonic() + duration
        fired = 0

        def due() -> Iterator[RecentAlertRow]:
            nonlocal fired
            for alert in alerts.run(interval, lambda: bool(stopped) or clock.monotonic() >= until):
                fired += alert.code in FIRED_CODES
                yield alert_row(alert)

        if form in (Format.TABLE, Format.PLAIN):
            for row in due():
                write_sentence(f"{format_clock(row.time)} {row.code} {row.subject}: {row.text}", flush=True)
        else:
            render_rows(RecentAlertRow, due(), form)
        left = len(alerts.list())
        listed = "; `kalshi alerts prices` lists them" if left else ""
        info(f"Stopped checking: {fired} fired, {pluralize(left, 'price or fill alert')} left{listed}")
    if stopped:
        raise typer.Exit(SIGNALS[stopped[0]])
