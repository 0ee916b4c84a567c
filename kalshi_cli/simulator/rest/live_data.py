"""Live data of outside events: games with their plays, price charts, temperatures.

Everything is computed from `OutsideData`, the references of the markets, so a live score and the price of its market
agree. The shapes of `details` are ours: the specification leaves them open.
"""

from __future__ import annotations

import math
from typing import Protocol

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.calendar import DAY, HOUR, MINUTE, local
from kalshi_cli.simulator.model.listing import EventSpec
from kalshi_cli.simulator.model.seeded_random import SeededRandom
from kalshi_cli.simulator.protocol.replies import Json

GAME_MS = 3 * HOUR
"""The time from the start of a game to the close of its market."""
RANGES = {"15min": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "1d": DAY}
_POINTS = 60
STATIONS = ("KEWR", "KJFK", "KLGA", "KNYC")
"""The stations of the temperature index."""
INDEX_VERSION = "new-york-temperature-v1.0"
_LATE_MS = 2 * MINUTE
"""The longest delay of a reading."""


class OutsideData(Protocol):
    """The references of the markets."""

    @property
    def seed(self) -> int:
        """Return the seed of all random values."""

    def reference(self, event: EventSpec, at: Ts) -> float | None:
        """Return the value behind an event at a moment, or None if it is unknown."""


class Sport(msgspec.Struct, frozen=True):
    """The rules of a game: `points` of both sides together, in `periods` of `turns` plays each."""

    type: str
    competition: str
    sport: str
    team_type: str
    league: str
    points: float
    periods: int
    turns: int


SPORTS = {
    "KXNBAGAME": Sport("basketball_game", "Pro Basketball (M)", "Basketball", "basketball_team", "NBA", 224, 4, 24),
    "KXMLBGAME": Sport("baseball_game", "Pro Baseball", "Baseball", "baseball_team", "MLB", 9, 9, 2),
}


class GamePlay(msgspec.Struct, frozen=True):
    """The score after a turn."""

    period: int
    away: int
    home: int


def starts(event: EventSpec) -> Ts:
    """Return the start of a game."""
    return Ts((event.strike_date or Ts(0)) - GAME_MS)


def plays(sport: Sport, event: EventSpec, outside: OutsideData, now: Ts) -> list[GamePlay]:
    """Return the turns of a game so far; scores only rise, and the winner is that of the market."""
    total, found = sport.periods * sport.turns, []
    away = home = 0
    for turn in range(1, total + 1):
        at = Ts(starts(event) + GAME_MS * turn // total)
        margin = outside.reference(event, at) if at <= now else None
        if margin is None:
            break
        both = sport.points * turn / total
        margin = max(-both, min(both, margin * sport.points / 224))
        away, home = max(away, int((both - margin) / 2)), max(home, int((both + margin) / 2))
        if turn == total:
            last = outside.reference(event, at) or 0.0
            away, home = (away, max(home, away + 1)) if last >= 0 else (max(away, home + 1), home)
        found.append(GamePlay((turn - 1) // sport.turns + 1, away, home))
    return found


def game_json(sport: Sport, event: EventSpec, outside: OutsideData, now: Ts) -> Json:
    """Return the state of a game: scheduled, in_progress or final."""
    so_far, length = plays(sport, event, outside, now), sport.periods * sport.turns
    last = so_far[-1] if so_far else GamePlay(1, 0, 0)
    status = "scheduled" if now < starts(event) else "final" if len(so_far) == length else "in_progress"
    return {
        "status": status,
        "period": 0 if status == "scheduled" else last.period,
        "away_points": last.away,
        "home_points": last.home,
        "league": sport.league,
    }


def play_by_play(sport: Sport, event: EventSpec, outside: OutsideData, now: Ts) -> Json:
    """Return the turns that scored, by period."""
    so_far = plays(sport, event, outside, now)
    before = GamePlay(1, 0, 0)
    periods: list[list[Json]] = [[] for _ in range(so_far[-1].period if so_far else 0)]
    for play in so_far:
        for who, scored in (("away", play.away - before.away), ("home", play.home - before.home)):
            if scored:
                shown = {"team": who, "points": scored, "away_points": play.away, "home_points": play.home}
                periods[play.period - 1].append(shown)
        before = play
    return {"periods": [{"events": events} for events in periods]}


def chart_json(event: EventSpec, outside: OutsideData, now: Ts, span: int) -> list[Json]:
    """Return values at even steps up to now, or to the end of the event."""
    end = Ts(min(now, event.strike_date or now))
    found = []
    for back in range(_POINTS, -1, -1):
        at = Ts(end - span * back // _POINTS)
        value = outside.reference(event, at)
        if value is not None:
            found.append({"ts": at, "value": round(value, 2)})
    return found


def temperature(event: EventSpec | None, outside: OutsideData, at: Ts) -> float:
    """Return degrees Fahrenheit in New York: the high of the day in the afternoon, the low before dawn.

    A day without an event has the usual temperature of its season.
    """
    moment = local(at)
    usual = 62 - 23 * math.cos((moment.timetuple().tm_yday - 22) / 365 * 2 * math.pi)
    known = None if event is None else outside.reference(event, at)
    high = usual if known is None else known
    hour = moment.hour + moment.minute / 60
    return high - 7 * (1 - math.cos((hour - 15.5) / 24 * 2 * math.pi))


def weather_point(value: float, outside: OutsideData, minute: Ts, now: Ts, *, is_detailed: bool) -> Json | None:
    """Return one minute of the index, or None if it is not published yet."""
    is_open = minute > now - _LATE_MS
    if is_open and not is_detailed:
        return None
    readings = []
    for station in STATIONS:
        rng = SeededRandom(outside.seed, "weather", station, minute)
        reading = value + 0.8 * rng.normal()
        code = "pending" if is_open else "ok" if rng.chance(0.98) else "missing"
        shown: Json = {"station_id": station, "code": code}
        if code != "missing":
            shown |= {"source": "hf_asos", "temp_f": round(reading, 4), "received_at_ms": minute + 45_000}
        readings.append(shown)
    members = [reading for reading in readings if reading["code"] == "ok"]
    point: Json = {"t": minute, "status": "incomplete"}
    if not is_open:
        mean = sum(reading["temp_f"] for reading in members) / max(1, len(members))
        if not members:
            return None
        point |= {
            "v": round(mean, 2),
            "status": "normal" if len(members) == len(STATIONS) else "degraded",
            "contributors": len(members),
        }
    return point | ({"stations": readings} if is_detailed else {})
