"""Endpoints of collections of combos, milestones, live data, incentives, targets and tags.

They are public, except for creating a combo, which is harmless twice: the same legs give the same market.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from kalshi_cli.base.checked import check_limit
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.core.model.markets import ComboLeg
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import NAMES_A_CALL, Endpoints, missing, quote_part
from kalshi_cli.exchange.rest.call import CANCEL, Params
from kalshi_cli.exchange.wire.values import Json

_COLLECTIONS = "/multivariate_event_collections"
_TARGETS = "/structured_targets"
COLLECTIONS_A_PAGE, MILESTONES_A_PAGE = 200, 500
INCENTIVES_A_PAGE, TARGETS_A_PAGE = 10_000, 2_000


class MarketDataEndpoints(Endpoints):
    """Data around the markets."""

    # -- combos --

    def collections(
        self, status: str | None = None, event: str | None = None, limit: int | None = None
    ) -> Iterator[wire.combos.Collection]:
        """Return the collections that combos are made from; `status` is unopened, open or closed."""
        params = {"status": status, "associated_event_ticker": event}
        read = wire.combos.read_collections
        return self._pages(_COLLECTIONS, params, read, limit, is_public=True, most=COLLECTIONS_A_PAGE)

    def collection(self, ticker: str) -> wire.combos.Collection:
        """Return one collection with its events."""
        with missing(f"No collection {ticker}", "kalshi combos"):
            return wire.combos.read_collection(self._public(f"{_COLLECTIONS}/{quote_part(ticker)}"))

    def create_combo(
        self, collection: str, legs: Sequence[ComboLeg], *, with_market: bool = False
    ) -> wire.combos.CreatedCombo:
        """Return the market of these legs, creating it if needed. It must exist before it can be quoted or traded."""
        body = wire.combos.combo_body(legs, with_market=with_market)
        subject, hint = "creating the combo", "run the command again: the same legs give the same market"
        path = f"{_COLLECTIONS}/{quote_part(collection)}"
        return wire.combos.read_made_combo(
            self._rest.call("POST", path, CANCEL, subject=subject, body=body, if_unknown=hint)
        )

    # -- milestones and live data --

    def milestones(
        self,
        event: str | None = None,
        category: str | None = None,
        competition: str | None = None,
        type_: str | None = None,
        min_start: Ts | None = None,
        limit: int | None = None,
    ) -> Iterator[wire.programs.Milestone]:
        """Return milestones by filter; categories and types match exactly."""
        params: Params = {
            "related_event_ticker": event,
            "category": category,
            "competition": competition,
            "type": type_,
            "minimum_start_date": None if min_start is None else format_ts(min_start),
        }
        read = wire.programs.read_milestones
        return self._pages("/milestones", params, read, limit, is_public=True, most=MILESTONES_A_PAGE)

    def milestone(self, milestone_id: str) -> wire.programs.Milestone:
        """Return one milestone."""
        with missing(f"No milestone {milestone_id}", "kalshi milestones"):
            return wire.programs.read_milestone(self._public(f"/milestones/{quote_part(milestone_id)}"))

    def live_data(self, milestone_id: str, type_: str = "", *, with_players: bool = False) -> wire.programs.LiveData:
        """Return the live data of a milestone; with its type, by the older route."""
        kind = f"{quote_part(type_)}/" if type_ else ""
        path = f"/live_data/{kind}milestone/{quote_part(milestone_id)}"
        params = {"include_player_stats": "true" if with_players else None}
        with missing(f"No live data for milestone {milestone_id}", "kalshi milestones"):
            return wire.programs.read_live(self._public(path, params))

    def live_datas(self, milestone_ids: Sequence[str]) -> list[wire.programs.LiveData]:
        """Return the live data of up to a hundred milestones; those without data are missing."""
        if not 1 <= len(milestone_ids) <= NAMES_A_CALL:
            raise UsageError(f"Request between one and {NAMES_A_CALL} milestones")
        return wire.programs.read_lives(self._public("/live_data/batch", {"milestone_ids": list(milestone_ids)}))

    def event_live_data(self, event: str, range_: str | None = None) -> wire.programs.LiveData:
        """Return the live data of an event, such as a price or a temperature; `range_` is 15min, 1h, 1d or similar."""
        with missing(f"No live data for event {event}", f"for a game: kalshi milestones --event {event}"):
            return wire.programs.read_live(self._public(f"/live_data/events/{quote_part(event)}", {"range": range_}))

    def game_plays(self, milestone_id: str) -> list[list[Json]] | None:
        """Return the plays of a game by period; None if there are none."""
        return wire.programs.read_plays(self._public(f"/live_data/milestone/{quote_part(milestone_id)}/game_stats"))

    def weather(self, city: str, last_s: int | None = None) -> wire.programs.WeatherIndex:
        """Return a city's temperature index by the minute, for the last seconds."""
        path = f"/live_data/weather/{quote_part(city)}"
        return wire.programs.read_weather(self._public(path, {"last_sec": last_s}))

    def weather_calibrations(self, city: str) -> list[Json]:
        """Return the past calibrations of that index."""
        return wire.programs.read_calibrations(self._public(f"/live_data/weather/{quote_part(city)}/calibrations"))

    # -- incentives, targets, tags --

    def incentives(
        self,
        status: str | None = None,
        type_: str | None = None,
        description: str | None = None,
        limit: int | None = None,
    ) -> Iterator[wire.programs.Incentive]:
        """Return rewards for trading.

        `status` is active, upcoming, closed, paid_out or all; `type_` is liquidity, volume, ...
        """
        params = {"status": status, "type": type_, "incentive_description": description}
        read = wire.programs.read_incentives
        return self._pages("/incentive_programs", params, read, limit, is_public=True, most=INCENTIVES_A_PAGE)

    def targets(
        self,
        type_: str | None = None,
        competition: str | None = None,
        ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Iterator[wire.programs.Target]:
        """Return subjects of markets: teams, players, candidates. This route has its own name for the page size."""
        params: Params = {
            "type": type_,
            "competition": competition,
            "ids": list(ids) if ids else None,
            "page_size": TARGETS_A_PAGE if limit is None else min(max(limit, 1), TARGETS_A_PAGE),
        }
        pages = self._each_page(_TARGETS, params, wire.programs.read_targets, True, None)
        return islice(chain.from_iterable(pages), check_limit(limit))

    def target(self, target_id: str) -> wire.programs.Target:
        """Return one target."""
        with missing(f"No structured target {target_id}", "kalshi targets"):
            return wire.programs.read_target(self._public(f"{_TARGETS}/{quote_part(target_id)}"))

    def tags(self) -> dict[str, tuple[str, ...]]:
        """Return the tags of series, by category."""
        return wire.programs.read_tags(self._public("/search/tags_by_categories"))

    def sport_filters(self) -> list[wire.programs.SportFilters]:
        """Return sports with their scopes and competitions."""
        return wire.programs.read_sports(self._public("/search/filters_by_sport"))
