"""`kalshi milestones`, `live`, `incentives`, `targets`, `tags`: data about the events behind markets."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, Limit, argument, choice_option, flag, option

app = CommandGroup("List milestones, live data, incentives, targets and tags.")

INCENTIVE_STATES = ("active", "upcoming", "closed", "paid_out", "all")
INCENTIVE_TYPES = ("liquidity", "volume", "margin_maker_volume", "margin_taker_volume", "all")


@app.command("milestones")
def milestones(
    ctx: typer.Context,
    event: Annotated[str, option("--event", "EVENT", "Only milestones of this event")] = "",
    category: Annotated[str, option("--category", "NAME", "Filter by category, such as Sports")] = "",
    competition: Annotated[
        str, option("--competition", "NAME", "Filter by competition (see `kalshi tags --sports`)")
    ] = "",
    kind: Annotated[str, option("--type", "TYPE", "Filter by type, such as basketball_game")] = "",
    past: Annotated[bool, flag("--past", "Include milestones that started more than a day ago")] = False,
    limit: Limit = 50,
) -> None:
    """List scheduled games and announcements.

    List milestones: scheduled games, meetings and announcements, and the events that depend on them.

    \b
    kalshi milestones --category Sports
    kalshi milestones --event KXNBAGAME-26NOV21BOSMIA --json
    """
    from kalshi_cli.views.market_data import MilestoneRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.milestones(
            event=event.upper(), category=category, competition=competition, kind=kind, with_past=past, limit=limit
        )
        show_list(ctx, MilestoneRow, found, empty="No matching milestones", now=kalshi.now)


@app.command("live")
def live(
    ctx: typer.Context,
    event: Annotated[str, argument("[EVENT]", "Event that publishes a chart, such as a price or temperature")] = "",
    milestone: Annotated[str, option("--milestone", "ID", "A game (see `kalshi milestones`): its score")] = "",
    city: Annotated[str, option("--weather", "CITY", "A city: its temperature index by the minute")] = "",
    window: Annotated[str, option("--range", "RANGE", "Chart range: 15min, 1h or 1d")] = "",
    players: Annotated[bool, flag("--players", "Include player statistics of a game")] = False,
) -> None:
    """Show live event data and scores.

    Show the live data of an event, the score of a game, or the temperature index of a city.

    \b
    kalshi live KXBTC15M-26NOV211400 --range 15min
    kalshi live --milestone 2597b999-f887-4195-8bac-c3f97a1f2021
    kalshi live --weather new_york --format csv
    """
    from kalshi_cli.views.market_data import WeatherRow

    if sum(map(bool, (event, milestone, city))) != 1:
        raise UsageError(
            "Choose one: EVENT, --milestone ID or --weather CITY", hint="`kalshi milestones` lists milestone ids"
        )
    with open_services(ctx) as kalshi:
        if city:
            found = kalshi.markets.weather(city)
            show_list(ctx, WeatherRow, found, empty="No data in the last hour", now=kalshi.now)
        elif milestone:
            view = kalshi.markets.milestone_live_data(milestone, with_players=players)
            show_view(ctx, view, title=milestone, now=kalshi.now)
        else:
            view = kalshi.markets.event_live_data(event.upper(), window)
            show_view(ctx, view, title=event.upper(), now=kalshi.now)


@app.command("incentives")
def incentives(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", INCENTIVE_STATES, "Filter by status")] = "active",
    kind: Annotated[str, choice_option("--type", INCENTIVE_TYPES, "Filter by type of reward")] = "all",
    limit: Limit = 50,
) -> None:
    """List incentive programs.

    List incentive programs, which pay for resting orders or for volume.

    \b
    kalshi incentives --type liquidity
    """
    from kalshi_cli.views.market_data import IncentiveRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.incentives(status, kind, limit)
        show_list(ctx, IncentiveRow, found, empty="No matching incentive programs", now=kalshi.now)


@app.command("targets")
def targets(
    ctx: typer.Context,
    kind: Annotated[str, option("--type", "TYPE", "Filter by type, such as basketball_team")] = "",
    competition: Annotated[str, option("--competition", "NAME", "Filter by league or competition")] = "",
    limit: Limit = 50,
) -> None:
    """List teams, players and candidates.

    List structured targets: the teams, players and candidates that markets refer to.

    \b
    kalshi targets --type basketball_team
    """
    from kalshi_cli.views.market_data import TargetRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.targets(kind, competition, limit)
        show_list(ctx, TargetRow, found, empty="No matching targets", now=kalshi.now)


@app.command("tags")
def tags(
    ctx: typer.Context,
    sports: Annotated[bool, flag("--sports", "List sports and their competitions instead")] = False,
) -> None:
    """List series categories, tags and sports.

    List the categories of series and their tags.

    \b
    kalshi tags
    kalshi tags --sports
    """
    from kalshi_cli.views.market_data import SportRow, TagRow

    with open_services(ctx) as kalshi:
        if sports:
            show_list(ctx, SportRow, kalshi.markets.sports(), empty="No sports")
        else:
            show_list(ctx, TagRow, kalshi.markets.tags(), empty="No categories")
