"""`kalshi milestones`, `live`, `incentives`, `targets`, `tags`: what surrounds the markets."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import CommandGroup, choice_option, open_services, show_list, show_view

app = CommandGroup("Milestones, live data, incentives, structured targets, tags.")

INCENTIVE_STATES = ("active", "upcoming", "closed", "paid_out", "all")
INCENTIVE_TYPES = ("liquidity", "volume", "margin_maker_volume", "margin_taker_volume", "all")

Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")]


@app.command("milestones")
def milestones(
    ctx: typer.Context,
    event: Annotated[str, typer.Option(metavar="EVENT", help="Only those that this event follows from.")] = "",
    category: Annotated[str, typer.Option(metavar="NAME", help="Only this category, like Sports.")] = "",
    competition: Annotated[str, typer.Option(metavar="NAME", help="Only this one; see kalshi tags --sports.")] = "",
    kind: Annotated[str, typer.Option("--type", metavar="TYPE", help="Only this type, like basketball_game.")] = "",
    past: Annotated[bool, typer.Option("--past", help="Those that began more than a day ago too.")] = False,
    limit: Limit = 50,
) -> None:
    """What happens outside: games, meetings, and the events that follow from them.

    \b
    kalshi milestones --category Sports
    kalshi milestones --event KXNBAGAME-26NOV21BOSMIA --json
    """
    from kalshi_cli.views.market_data import MilestoneRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.milestones(
            event=event.upper(), category=category, competition=competition, kind=kind, with_past=past, limit=limit
        )
        show_list(ctx, MilestoneRow, found, empty="no milestone fits", now=kalshi.now)


@app.command("live")
def live(
    ctx: typer.Context,
    event: Annotated[
        str, typer.Argument(metavar="[EVENT]", help="An event with a chart: a price, a temperature.")
    ] = "",
    milestone: Annotated[str, typer.Option(metavar="ID", help="A game: its score.")] = "",
    city: Annotated[str, typer.Option("--weather", metavar="CITY", help="A temperature index by the minute.")] = "",
    window: Annotated[str, typer.Option("--range", metavar="RANGE", help="Of a chart: 15min, 1h, 1d.")] = "",
    players: Annotated[bool, typer.Option("--players", help="Of a game: its players too.")] = False,
) -> None:
    """What is known right now of an event, of a milestone, or of the temperature of a city.

    \b
    kalshi live KXBTC15M-26NOV211400 --range 15min
    kalshi live --milestone 2597b999-f887-4195-8bac-c3f97a1f2021
    kalshi live --weather new_york --format csv
    """
    from kalshi_cli.views.market_data import WeatherRow

    if sum(map(bool, (event, milestone, city))) != 1:
        raise UsageError(
            "name one thing to look at", hint="EVENT, --milestone ID (from kalshi milestones) or --weather CITY"
        )
    with open_services(ctx) as kalshi:
        if city:
            found = kalshi.markets.weather(city)
            show_list(ctx, WeatherRow, found, empty="nothing in the last hour", now=kalshi.now)
        elif milestone:
            view = kalshi.markets.milestone_live_data(milestone, with_players=players)
            show_view(ctx, view, title=milestone, now=kalshi.now)
        else:
            view = kalshi.markets.event_live_data(event.upper(), window)
            show_view(ctx, view, title=event.upper(), now=kalshi.now)


@app.command("incentives")
def incentives(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", choices=INCENTIVE_STATES, text="Which of them.")] = "active",
    kind: Annotated[str, choice_option("--type", choices=INCENTIVE_TYPES, text="What is rewarded.")] = "all",
    limit: Limit = 50,
) -> None:
    """Rewards for trading: for resting orders, for volume.

    \b
    kalshi incentives --type liquidity
    """
    from kalshi_cli.views.market_data import IncentiveRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.incentives(status, kind, limit)
        show_list(ctx, IncentiveRow, found, empty="no incentive fits", now=kalshi.now)


@app.command("targets")
def targets(
    ctx: typer.Context,
    kind: Annotated[str, typer.Option("--type", metavar="TYPE", help="Only this type, like basketball_team.")] = "",
    competition: Annotated[str, typer.Option(metavar="NAME", help="Only this league or competition.")] = "",
    limit: Limit = 50,
) -> None:
    """Structured targets: teams, players, candidates that markets are about.

    \b
    kalshi targets --type basketball_team
    """
    from kalshi_cli.views.market_data import TargetRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.targets(kind, competition, limit)
        show_list(ctx, TargetRow, found, empty="no target fits", now=kalshi.now)


@app.command("tags")
def tags(
    ctx: typer.Context,
    sports: Annotated[bool, typer.Option("--sports", help="Sports with their competitions instead.")] = False,
) -> None:
    """The categories of series and their tags.

    \b
    kalshi tags
    kalshi tags --sports
    """
    from kalshi_cli.views.market_data import SportRow, TagRow

    with open_services(ctx) as kalshi:
        if sports:
            show_list(ctx, SportRow, kalshi.markets.sports(), empty="no sports")
        else:
            show_list(ctx, TagRow, kalshi.markets.tags(), empty="no categories")
