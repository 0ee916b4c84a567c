"""What surrounds the markets: milestones, live data that agrees with how the markets end, incentives, targets, tags."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from support.exchange import T0, Caller, make_exchange, new_ids

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import EventSpec, ExchangeOptions
from kalshi_cli.simulator.rest.live_data import SPORTS, plays
from kalshi_cli.simulator.world.world import MarketSimulation

HOUR = 3_600_000


@cache
def stage() -> tuple[Caller, MarketSimulation]:
    ids = new_ids()
    exchange = SimulatedExchange(new_id=lambda: next(ids), options=ExchangeOptions(read_rate=0, write_rate=0))
    world = MarketSimulation(exchange, seed=11, start=T0)
    world.ensure_open(T0)
    return Caller(exchange, None), world


def anybody(now: int = T0) -> Caller:
    caller = Caller(stage()[0].exchange, None)
    caller.now = Ts(now)
    return caller


def games() -> list[Any]:
    found: list[Any] = anybody().get("/milestones", limit=100, category="Sports")["milestones"]
    assert found
    return found


def seconds_of(text: str) -> int:
    from kalshi_cli.base.units import parse_ts

    return parse_ts(text)


def test_milestones_are_found_by_every_filter() -> None:
    caller, first = anybody(), games()[0]
    event = first["primary_event_tickers"][0]
    assert caller.get(f"/milestones/{first['id']}")["milestone"] == first
    for filters in (
        {"related_event_ticker": event},
        {"source_id": first["source_id"]},
        {"type": first["type"], "competition": first["details"]["competition"]},
        {"minimum_start_date": first["start_date"]},
    ):
        assert first in caller.get("/milestones", limit=50, **filters)["milestones"]
    assert caller.get("/milestones", limit=50, category="Elections")["milestones"] == []
    assert caller("GET", "/milestones")[0] == 400, "a limit is needed"
    assert caller("GET", "/milestones/nobody")[0] == 404
    pages = caller.get("/milestones", limit=1)
    assert len(pages["milestones"]) == 1
    assert pages["cursor"]


def test_a_game_is_scheduled_then_played_then_final_and_scores_only_rise() -> None:
    game = games()[0]
    start, end = seconds_of(game["start_date"]), seconds_of(game["end_date"])
    told = [
        anybody(at).get(f"/live_data/milestone/{game['id']}")["live_data"]["details"]
        for at in (start - 1, start + HOUR, start + 2 * HOUR, end)
    ]
    assert [one["status"] for one in told] == ["scheduled", "in_progress", "in_progress", "final"]
    points = [(one["away_points"], one["home_points"]) for one in told]
    assert points == sorted(points)
    assert points[0] == (0, 0) != points[1]
    assert len(anybody(end).get(f"/live_data/milestone/{game['id']}/game_stats")["pbp"]["periods"]) >= 4


def test_the_final_score_names_the_winner_of_the_market() -> None:
    _, world = stage()
    for game in games():
        end = seconds_of(game["end_date"])
        details = anybody(end).get(f"/live_data/milestone/{game['id']}")["live_data"]["details"]
        listing = next(
            x for x in world._catalogue.open_at(Ts(end - 1)) if x.event.event_ticker == game["primary_event_tickers"][0]
        )
        away_wins, _ = world._catalogue.outcome(listing)
        assert (details["away_points"] > details["home_points"]) is away_wins


@pytest.mark.parametrize("series", SPORTS)
def test_the_turns_of_a_game_never_take_points_back(series: str) -> None:
    class Wild:
        seed = 1

        def reference(self, event: EventSpec, at: Ts) -> float:
            return ((at // 1000) % 37) - 18.0

    event = EventSpec(event_ticker="E", series_ticker=series, title="A at B", strike_date=Ts(T0))
    found = plays(SPORTS[series], event, Wild(), Ts(T0))
    assert len(found) == SPORTS[series].periods * SPORTS[series].turns
    for before, after in pairwise(found):
        assert before.away <= after.away
        assert before.home <= after.home
    assert found[-1].away != found[-1].home, "games here have a winner"


def test_the_three_ways_to_ask_for_a_game_agree() -> None:
    caller, game = anybody(), games()[0]
    one = caller.get(f"/live_data/milestone/{game['id']}")["live_data"]
    assert caller.get(f"/live_data/{game['type']}/milestone/{game['id']}")["live_data"] == one
    assert caller("GET", f"/live_data/hockey_match/milestone/{game['id']}")[0] == 404
    assert caller.get("/live_data/batch", milestone_ids=[game["id"], "nobody"])["live_datas"] == [one]


def test_the_chart_of_a_crypto_event_ends_with_the_index() -> None:
    caller, world = anybody(), stage()[1]
    event = caller.get("/events", series_ticker="KXBTC15M")["events"][0]["event_ticker"]
    shown = caller.get(f"/live_data/events/{event}", range="15min")["live_data"]
    assert shown["type"] == "crypto"
    assert shown["is_historical"] is False
    points = shown["details"]["timeseries"]
    assert points[-1]["ts"] - points[0]["ts"] == 15 * 60_000
    spec = world._exchange._state.events[event]
    assert shown["details"]["last"] == round(world.reference(spec, T0) or 0, 2)
    assert caller("GET", "/live_data/events/KXNOT")[0] == 404


def test_the_temperature_index_is_by_the_minute_and_its_last_minutes_are_still_open() -> None:
    caller = anybody()
    plain = caller.get("/live_data/weather/new_york", last_sec=3_600)
    assert {point["status"] for point in plain["timeseries"]} <= {"normal", "degraded"}
    assert all(b["t"] - a["t"] == 60_000 for a, b in pairwise(plain["timeseries"]))
    whole = caller.get("/live_data/weather/new_york", last_sec=3_600, detailed="true")["timeseries"]
    assert [point["status"] for point in whole][-2:] == ["incomplete", "incomplete"]
    assert len(whole) == len(plain["timeseries"]) + 2
    values = [point["v"] for point in plain["timeseries"]]
    assert max(values) - min(values) < 15
    for wrong in ({"from": 5}, {"last_sec": 60, "to": 7}, {"from": 9, "to": 8}):
        assert caller("GET", "/live_data/weather/new_york", query=wrong)[0] == 400
    assert caller("GET", "/live_data/weather/atlantis")[0] == 400
    assert caller.get("/live_data/weather/new_york/calibrations")["calibrations"]


def test_incentives_have_pages_with_a_cursor_of_another_name() -> None:
    caller = anybody()
    everything = caller.get("/incentive_programs", limit=10_000)
    assert everything["next_cursor"] == ""
    programs = everything["incentive_programs"]
    assert len(programs) > 2
    seen, cursor = [], None
    while cursor != "":
        page = caller.get("/incentive_programs", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += page["incentive_programs"]
        cursor = page["next_cursor"]
    assert seen == programs
    assert {one["incentive_type"] for one in programs} == {"liquidity", "volume"}
    active = caller.get("/incentive_programs", status="active", type="volume")["incentive_programs"]
    assert active
    assert all(one["incentive_type"] == "volume" for one in active)
    assert caller("GET", "/incentive_programs", query={"status": "soon"})[0] == 400


def test_targets_are_the_teams_of_the_games() -> None:
    caller, game = anybody(), games()[0]
    teams = caller.get("/structured_targets", page_size=2_000)["structured_targets"]
    ids = [team["id"] for team in teams]
    assert len(set(ids)) == len(ids)
    home = caller.get(f"/structured_targets/{game['details']['home_team_id']}")["structured_target"]
    assert home["id"] in ids
    assert home["name"] in game["title"]
    assert caller.get("/structured_targets", ids=ids[:2])["structured_targets"] == teams[:2]
    assert caller.get("/structured_targets", type="tennis_player")["structured_targets"] == []
    assert len(caller.get("/structured_targets", page_size=1)["structured_targets"]) == 1
    assert caller("GET", "/structured_targets/nobody")[0] == 404


def test_tags_and_sports_are_those_of_the_series() -> None:
    caller = anybody()
    assert caller.get("/search/tags_by_categories")["tags_by_categories"]["Sports"] == ["Basketball", "Baseball"]
    sports = caller.get("/search/filters_by_sport")
    assert sports["sport_ordering"] == ["Basketball", "Baseball"]


def test_an_exchange_without_a_world_tells_nothing_and_breaks_nowhere() -> None:
    caller = Caller(make_exchange(), None)
    for path, query, key in (
        ("/milestones", {"limit": 5}, "milestones"),
        ("/live_data/batch", {"milestone_ids": ["x"]}, "live_datas"),
        ("/structured_targets", {}, "structured_targets"),
        ("/live_data/weather/new_york", {}, "timeseries"),
    ):
        assert caller.get(path, **query)[key] == []
