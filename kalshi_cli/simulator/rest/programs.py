"""The GET endpoints of milestones, live data, incentives, structured targets and search filters.

Everything follows from the listed events and their references; nothing is stored. Without references (`follow` was not
called) milestones have no live data.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from operator import itemgetter

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.calendar import DAY, MINUTE, day_code
from kalshi_cli.simulator.model.listing import EventSpec
from kalshi_cli.simulator.model.records import MarketRecord
from kalshi_cli.simulator.model.seeded_random import stable_id
from kalshi_cli.simulator.protocol.replies import Json, existing, invalid, not_found, refusing
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, public
from kalshi_cli.simulator.protocol.shapes import rfc3339
from kalshi_cli.simulator.rest import live_data
from kalshi_cli.simulator.rest.live_data import INDEX_VERSION, RANGES, SPORTS, STATIONS, Sport, starts

CITY = "new_york"
MAX_MS_LENGTH = 2 * DAY
"""The longest window of a temperature index in one reply."""
_RATES = "KXFEDDECISION"
_TEMPERATURE = "KXHIGHNY"
_INCENTIVES = ("all", "liquidity", "volume", "margin_maker_volume", "margin_taker_volume")
_STATES = ("all", "active", "upcoming", "closed", "paid_out")


_MILESTONE = "/live_data/milestone/:milestone_id"


class Programs(Routes):
    """Milestones, live data, incentives, structured targets and filters."""

    outside: live_data.OutsideData | None = None

    # -- milestones --

    @public("/milestones", "GetMilestones")
    def milestones(self, call: RouteCall) -> Json:
        """Return the milestones."""
        query = call.query
        query.needed("limit")
        since = _moment(query.text("minimum_start_date"))
        wanted = {name: query.text(name) for name in ("category", "type", "source_id")}
        event, competition = query.text("related_event_ticker"), query.text("competition")

        def is_wanted(shown: Json) -> bool:
            if any(value not in (None, shown.get(name)) for name, value in wanted.items()):
                return False
            if event is not None and event not in shown["related_event_tickers"]:
                return False
            return competition in (None, shown["details"].get("competition"))

        found = (
            (number, shown)
            for number, spec in enumerate(self._happenings())
            if _start(spec) >= since and is_wanted(shown := self._milestone(spec))
        )
        return query.listing("milestones", found, itemgetter(1), itemgetter(0), most=500)

    @public("/milestones/:milestone_id", "GetMilestone")
    def milestone(self, call: RouteCall) -> Json:
        """Return one milestone."""
        return {"milestone": self._milestone(self._event(call.path[0]))}

    def _happenings(self) -> list[EventSpec]:
        """Return the events that depend on a scheduled game or announcement, the earliest first."""
        found = (event for event in self._state.events.values() if event.series_ticker in (*SPORTS, _RATES))
        return sorted(found, key=lambda event: (_start(event), event.event_ticker))

    def _event(self, milestone_id: str) -> EventSpec:
        events = self._happenings()
        return existing(next((one for one in events if stable_id("milestone", one.event_ticker) == milestone_id), None))

    def _milestone(self, event: EventSpec) -> Json:
        sport = SPORTS.get(event.series_ticker)
        end = event.strike_date or Ts(0)
        markets = self._markets(event.event_ticker)
        details: Json = {}
        if sport is not None and len(markets) == 2:
            away, home = (stable_id("target", sport.team_type, market.spec.yes_sub_title) for market in markets)
            details = {"league": sport.league, "competition": sport.competition}
            details |= {"away_team_id": away, "home_team_id": home}
        return {
            "id": stable_id("milestone", event.event_ticker),
            "category": "Sports" if sport else "Economics",
            "type": sport.type if sport else "fed_meeting",
            "start_date": rfc3339(_start(event)),
            "end_date": rfc3339(end),
            "related_event_tickers": [event.event_ticker],
            "primary_event_tickers": [event.event_ticker],
            "title": event.title.removesuffix(" Winner?"),
            "notification_message": "",
            "source_id": stable_id("source", event.event_ticker),
            "details": details,
            "last_updated_ts": rfc3339(max((market.created for market in markets), default=end)),
        }

    def _markets(self, event_ticker: str) -> list[MarketRecord]:
        return [market for market in self._state.markets.values() if market.spec.event_ticker == event_ticker]

    # -- live data --

    @public(_MILESTONE, "GetLiveDataByMilestone")
    def live(self, call: RouteCall) -> Json:
        """Return the live data of a milestone."""
        return {"live_data": self._live(call.path[-1], call.now)}

    @public("/live_data/:type/milestone/:milestone_id", "GetLiveData")
    def live_of_type(self, call: RouteCall) -> Json:
        """Return the live data of a milestone of this type."""
        found = self._live(call.path[1], call.now)
        if found["type"] != call.path[0]:
            raise not_found()
        return {"live_data": found}

    @public("/live_data/batch", "GetLiveDatas")
    def live_batch(self, call: RouteCall) -> Json:
        """Return the live data of several milestones; those without live data are left out."""
        wanted = call.query.repeated("milestone_ids")
        games = [event for event in self._happenings() if event.series_ticker in SPORTS and self.outside is not None]
        known = {stable_id("milestone", event.event_ticker) for event in games}
        return {"live_datas": [self._live(one, call.now) for one in wanted if one in known]}

    @public(f"{_MILESTONE}/game_stats", "GetGameStats")
    def game_stats(self, call: RouteCall) -> Json:
        """Return the plays of a game; nothing for other milestones."""
        event = self._event(call.path[0])
        sport = SPORTS.get(event.series_ticker)
        if sport is None or self.outside is None:
            return {}
        return {"pbp": live_data.play_by_play(sport, event, self.outside, call.now)}

    def _live(self, milestone_id: str, now: Ts) -> Json:
        event = self._event(milestone_id)
        sport: Sport | None = SPORTS.get(event.series_ticker)
        if sport is None or self.outside is None:
            raise not_found()
        details = live_data.game_json(sport, event, self.outside, now)
        return {"type": sport.type, "milestone_id": milestone_id, "details": details}

    @public("/live_data/events/:event_ticker", "GetEventLiveData")
    def live_event(self, call: RouteCall) -> Json:
        """Return the chart behind a crypto or temperature event; 404 for other events."""
        event = self._state.events.get(call.path[0])
        category = self._state.series[event.series_ticker].category if event is not None else ""
        kind = {"Crypto": "crypto", "Climate and Weather": "weather"}.get(category)
        if event is None or kind is None or self.outside is None:
            raise not_found()
        usual = "15min" if kind == "crypto" else "1d"
        span = RANGES.get(call.query.text("range") or usual, RANGES[usual])
        chart = live_data.chart_json(event, self.outside, call.now, span)
        if not chart:
            raise not_found()
        shown: Json = {"type": kind, "details": {"timeseries": chart, "last": chart[-1]["value"]}}
        if kind == "crypto":
            shown["is_historical"] = event.strike_date is not None and call.now >= event.strike_date
        return {"live_data": shown | {"default_range": usual, "range_options": list(RANGES)}}

    @public("/live_data/weather/:city", "GetWeatherIndex")
    def weather(self, call: RouteCall) -> Json:
        """Return the temperature index of a city by the minute."""
        start, end = self._window(call)
        points = []
        if self.outside is not None:
            for at in range(-(-start // MINUTE) * MINUTE, min(end, call.now) + 1, MINUTE):
                event = self._state.events.get(f"{_TEMPERATURE}-{day_code(at)}")
                value = live_data.temperature(event, self.outside, Ts(at))
                is_detailed = call.query.flag("detailed")
                point = live_data.weather_point(value, self.outside, Ts(at), call.now, is_detailed=is_detailed)
                points += [] if point is None else [point]
        version = INDEX_VERSION if points else ""
        return {"city": CITY, "config_version": version, "units": "fahrenheit", "timeseries": points}

    @public("/live_data/weather/:city/calibrations", "GetWeatherIndexCalibrations")
    def calibrations(self, call: RouteCall) -> Json:
        """Return the stations of the temperature index."""
        _check_city(call.path[0])
        first = {"config_version": INDEX_VERSION, "stations": list(STATIONS), "valid_from": "2026-01-01T00:00:00Z"}
        return {"city": CITY, "units": "fahrenheit", "calibrations": [first]}

    def _window(self, call: RouteCall) -> tuple[int, int]:
        """Return the window of a request in milliseconds, both ends included; refuse an invalid one (400)."""
        _check_city(call.path[0])
        query = call.query
        last, start, end = query.number("last_sec", least=1), query.number("from"), query.number("to")
        if last is not None and (start is not None or end is not None):
            raise invalid("last_sec excludes from and to")
        if last is not None:
            start, end = call.now - last * 1000, call.now
        elif end is None:
            if start is not None:
                raise invalid("from needs to")
            end = call.now
        start = end - DAY if start is None else start
        if start > end or end - start > MAX_MS_LENGTH:
            raise invalid("the window is empty or too long")
        return start, end

    # -- incentives --

    @public("/incentive_programs", "GetIncentivePrograms")
    def incentives(self, call: RouteCall) -> Json:
        """Return the incentive programs."""
        query = call.query
        status, kind = query.one_of("status", _STATES) or "all", query.one_of("type", _INCENTIVES) or "all"
        description = query.text("incentive_description")
        found = (
            (market.number, shown)
            for market in self._state.markets.values()
            if (shown := self._incentive(market)) is not None
            and status in ("all", _incentive_status(market, call.now))
            and kind in ("all", shown["incentive_type"])
            and description in (None, shown["incentive_description"])
        )
        page, cursor = query.page(found, itemgetter(0), most=10_000)
        return {"incentive_programs": [shown for _, shown in page], "next_cursor": cursor}

    def _incentive(self, market: MarketRecord) -> Json | None:
        """Return the program of a market; one market in five has one."""
        ticker = market.spec.ticker
        draw = int.from_bytes(blake2b(ticker.encode(), digest_size=4, person=b"incentive").digest(), "big")
        if draw % 5 or market.spec.legs:
            return None
        reward = (10 + draw % 40) * 10_000 * 5
        kind, description = "liquidity", "Rewards resting orders near the best price."
        terms: Json = {"discount_factor_bps": 5_000, "target_size_fp": f"{500 + draw % 1_500}.00"}
        if draw % 3 == 0:
            kind, description, terms = "volume", "Rewards contracts traded.", {"max_reward_per_account": reward // 4}
        return {
            "id": stable_id("incentive", ticker),
            "market_id": market.market_id,
            "market_ticker": ticker,
            "incentive_type": kind,
            "incentive_description": description,
            "start_date": rfc3339(market.spec.open_time),
            "end_date": rfc3339(market.close_time),
            "period_reward": reward,
            "paid_out": market.settled is not None,
            **terms,
        }

    # -- structured targets --

    @public("/structured_targets", "GetStructuredTargets")
    def targets(self, call: RouteCall) -> Json:
        """Return the structured targets."""
        query = call.query
        ids, kind = query.repeated("ids", least=0, most=2_000), query.text("type")
        competition = query.text("competition")
        found = (
            (number, shown)
            for number, shown in enumerate(self._targets())
            if (not ids or shown["id"] in ids)
            and kind in (None, shown["type"])
            and competition in (None, shown["details"]["league"], shown["details"]["competition"])
        )
        return query.listing("structured_targets", found, itemgetter(1), itemgetter(0), most=2_000, size="page_size")

    @public("/structured_targets/:structured_target_id", "GetStructuredTarget")
    def target(self, call: RouteCall) -> Json:
        """Return one structured target."""
        found = (shown for shown in self._targets() if shown["id"] == call.path[0])
        return {"structured_target": existing(next(found, None))}

    def _targets(self) -> list[Json]:
        """Return the teams of the listed games."""
        games = [event for event in self._happenings() if event.series_ticker in SPORTS]
        found: dict[str, Json] = {}
        for market in (market for event in games for market in self._markets(event.event_ticker)):
            sport = SPORTS[self._state.events[market.spec.event_ticker].series_ticker]
            key = sport.team_type, market.spec.yes_sub_title
            code = market.spec.ticker.rpartition("-")[2]
            target: Json = {
                "id": stable_id("target", *key),
                "name": market.spec.yes_sub_title,
                "type": sport.team_type,
                "details": {"league": sport.league, "competition": sport.competition, "abbreviation": code},
                "source_id": stable_id("source", *key),
                "last_updated_ts": rfc3339(market.created),
            }
            found.setdefault(target["id"], target)
        return list(found.values())

    # -- search --

    @public("/search/tags_by_categories", "GetTagsForSeriesCategories")
    def tags(self, _: RouteCall) -> Json:
        """Return the tags of each series category."""
        found: dict[str, dict[str, None]] = {}
        for spec in self._state.series.values():
            found.setdefault(spec.category, {}).update(dict.fromkeys(spec.tags))
        return {"tags_by_categories": {category: list(tags) for category, tags in sorted(found.items())}}

    @public("/search/filters_by_sport", "GetFiltersForSports")
    def sports(self, _: RouteCall) -> Json:
        """Return the search filters of each listed sport."""
        listed = [sport for series, sport in SPORTS.items() if series in self._state.series]
        filters = {
            sport.sport: {"scopes": ["Games"], "competitions": {sport.competition: {"scopes": ["Games"]}}}
            for sport in listed
        }
        return {"filters_by_sports": filters, "sport_ordering": [sport.sport for sport in listed]}


def _start(event: EventSpec) -> Ts:
    return starts(event) if event.series_ticker in SPORTS else event.strike_date or Ts(0)


def _moment(text: str | None) -> Ts:
    if text is None:
        return Ts(0)
    with refusing(invalid("minimum_start_date is not RFC 3339")):
        at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise invalid("minimum_start_date has no zone")
    return Ts(int(at.timestamp() * 1000))


def _check_city(city: str) -> None:
    if city != CITY:
        raise invalid(f"unknown city {city[:40]}")


def _incentive_status(market: MarketRecord, now: Ts) -> str:
    if market.settled is not None:
        return "paid_out"
    if now >= market.close_time:
        return "closed"
    return "active" if now >= market.spec.open_time else "upcoming"
