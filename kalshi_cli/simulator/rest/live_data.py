"""What is told of the outside world while it happens: games with their plays, charts of prices, temperatures.

All of it is reckoned from `OutsideData`, the references that the markets follow, so that a live score and the price of
the market beside it are two views of one thing. Shapes of `details` are our own: the specification leaves them open.
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
"""A game begins so long before its market closes."""
RANGES = {"15min": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "1d": DAY}
_POINTS = 60
STATIONS = ("KEWR", "KJFK", "KLGA", "KNYC")
"""Members of the temperature index."""
INDEX_VERSION = "new-york-temperature-v1.0"
_LATE_MS = 2 * MINUTE
"""A reading may come so long after its minute."""


class OutsideData(Protocol):
    """The references behind the markets."""

    @property
    def seed(self) -> int:
        """Of everything that is drawn."""

    def reference(self, event: EventSpec, at: Ts) -> float | None:
        """The value that an event follows, at a moment; None where nothing is known of it."""


class Sport(msgspec.Struct, frozen=True):
    """How a game goes: `points` are both sides' together, in `periods` of `turns` plays each."""

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
    """When a game begins."""
    return Ts((event.strike_date or Ts(0)) - GAME_MS)


def plays(sport: Sport, event: EventSpec, outside: OutsideData, now: Ts) -> list[GamePlay]:
    """The turns of a game so far; scores only rise, and at the end the one wins whose market does."""
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
    """The state of a game: scheduled, in_progress or final."""
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
    """The turns in which somebody scored, by period."""
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
    """Values at even steps up to now, or to the end of the event."""
    end = Ts(min(now, event.strike_date or now))
    found = []
    for back in range(_POINTS, -1, -1):
        at = Ts(end - span * back // _POINTS)
        value = outside.reference(event, at)
        if value is not None:
            found.append({"ts": at, "value": round(value, 2)})
    return found


def temperature(event: EventSpec | None, outside: OutsideData, at: Ts) -> float:
    """Degrees Fahrenheit in New York: the day's high in the afternoon, the least before dawn; without an event of the
    day, what is usual.
    """
    moment = local(at)
    usual = 62 - 23 * math.cos((moment.timetuple().tm_yday - 22) / 365 * 2 * math.pi)
    known = None if event is None else outside.reference(event, at)
    high = usual if known is None else known
    hour = moment.hour + moment.minute / 60
    return high - 7 * (1 - math.cos((hour - 15.5) / 24 * 2 * math.pi))


def weather_point(value: float, outside: OutsideData, minute: Ts, now: Ts, *, is_detailed: bool) -> Json | None:
    """One minute of the index; None for one that is not published yet."""
    is_open = minute > now - _LATE_MS
    if is_open and not is_detailed:
        return None
    readings = []
    for station in STATIONS:
        dice = SeededRandom(outside.seed, "weather", station, minute)
        reading = value + 0.8 * dice.normal()
        code = "pending" if is_open else "ok" if dice.chance(0.98) else "missing"
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
