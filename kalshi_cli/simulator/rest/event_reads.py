"""The GET endpoints of events, series and their future fees.

Of the markets of an event only the live ones are shown; the event itself stays listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from kalshi_cli.base.units import Qty, Ts, format_qty
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import is_combo
from kalshi_cli.simulator.model.records import FeeChangeRecord, MarketRecord
from kalshi_cli.simulator.protocol.replies import Json, existing, invalid, matching, oldest
from kalshi_cli.simulator.protocol.routing import RouteCall, public
from kalshi_cli.simulator.protocol.shapes import event_json, fees_json, rfc3339, series_json, show
from kalshi_cli.simulator.rest import historical, market_reads

_STATUSES = ("unopened", "open", "closed", "settled")
EVENTS_A_PAGE = 200


class EventReads(historical.TieredRoutes):
    """Events, series and their future fees."""

    def __init__(self, state: SimulatorState) -> None:
        super().__init__(state)
        self._numbers: dict[str, int] = {}
        self._next = count()

    # -- events --

    @public("/events", "GetEvents")
    def events(self, call: RouteCall) -> Json:
        """Return all events that are not combos."""
        query, state = call.query, self._state
        status = query.one_of("status", _STATUSES)
        series, tickers = query.text("series_ticker"), set(query.many("tickers"))
        closing, updated = query.number("min_close_ts"), query.number("min_updated_ts")
        children = self._children()

        def wanted(ticker: str) -> bool:
            event, markets = state.events[ticker], children[ticker]
            if is_combo(ticker) or (series and event.series_ticker != series) or (tickers and ticker not in tickers):
                return False
            if status and status not in {market_reads.shown_as(market, call.now) for market in markets}:
                return False
            if updated is not None and _updated(markets) < updated * 1000:
                return False
            return closing is None or any(market.close_time >= closing * 1000 for market in markets)

        page = self._page(call, filter(wanted, state.events), children, usual=EVENTS_A_PAGE)
        return page | {"milestones": []}

    @public("/events/multivariate", "GetMultivariateEvents")
    def multivariate(self, call: RouteCall) -> Json:
        """Return combos, by series or by collection."""
        series, collection = call.query.text("series_ticker"), call.query.text("collection_ticker")
        if series and collection:
            raise invalid("series_ticker and collection_ticker exclude each other")
        children = self._children()
        combos = (
            event.event_ticker
            for event in matching(self._state.events.values(), series_ticker=series)
            if is_combo(event.event_ticker)
            and (collection is None or any(one.spec.collection == collection for one in children[event.event_ticker]))
        )
        return self._page(call, combos, children)

    def _page(
        self, call: RouteCall, tickers: Iterable[str], children: dict[str, list[MarketRecord]], usual: int = 100
    ) -> Json:
        def show(ticker: str) -> Json:
            return self._event(ticker, children[ticker], call)

        return call.query.listing("events", tickers, show, self._number, usual=usual, most=EVENTS_A_PAGE)

    @public("/events/:event_ticker", "GetEvent")
    def event(self, call: RouteCall) -> Json:
        """Return an event with its live markets."""
        ticker = self._known(call)
        markets = self._children()[ticker]
        return {"event": self._event(ticker, markets, call), "markets": self._shown(markets, call)}

    @public("/events/:event_ticker/metadata", "GetEventMetadata")
    def metadata(self, call: RouteCall) -> Json:
        """Return the metadata of an event; this exchange has no pictures."""
        ticker = self._known(call)
        series = self._state.series[self._state.events[ticker].series_ticker]
        return {
            "image_url": "",
            "featured_image_url": "",
            "market_details": [
                {"market_ticker": market.spec.ticker, "image_url": "", "color_code": ""}
                for market in self._live(self._children()[ticker], call.now)
            ],
            "settlement_sources": [{"name": name, "url": url} for name, url in series.settlement_sources],
            "competition": None,
            "competition_scope": None,
        }

    # -- series --

    @public("/series", "GetSeriesList")
    def series_list(self, call: RouteCall) -> Json:
        """Return the series; a list of tags selects those with any of them."""
        query = call.query
        category, tags = query.text("category"), set(query.many("tags"))
        updated, with_volume = query.number("min_updated_ts"), query.flag("include_volume")
        found = [
            spec.ticker
            for spec in matching(self._state.series.values(), category=category)
            if (not tags or tags & set(spec.tags)) and (updated is None or self._changed(spec.ticker) >= updated * 1000)
        ]
        return {"series": [self._series(ticker, with_volume=with_volume) for ticker in found]}

    @public("/series/:series_ticker", "GetSeries")
    def series(self, call: RouteCall) -> Json:
        """Return one series."""
        spec = existing(self._state.series.get(call.path[0]))
        return {"series": self._series(spec.ticker, with_volume=call.query.flag("include_volume"))}

    # -- future fees --

    @public("/events/fee_changes", "GetEventFeeChanges")
    def event_fee_changes(self, call: RouteCall) -> Json:
        """Return the announced fee changes of events."""
        changes = matching(self._state.fee_changes, event_ticker=call.query.text("event_ticker"))
        found = (change for change in changes if change.event_ticker)
        return call.query.listing("event_fee_changes", found, _event_fee_change_json, oldest)

    @public("/series/fee_changes", "GetSeriesFeeChanges")
    def series_fee_changes(self, call: RouteCall) -> Json:
        """Return the announced fee changes of series; on request also those that happened."""
        series, is_done = call.query.text("series_ticker"), None if call.query.flag("show_historical") else False
        changes = matching(self._state.fee_changes, event_ticker="", series_ticker=series, is_done=is_done)
        return {
            "series_fee_change_arr": [
                show(change, "id series_ticker scheduled_ts") | fees_json(change.fees) for change in changes
            ]
        }

    # -- parts --

    def _known(self, call: RouteCall) -> str:
        return existing(self._state.events.get(call.path[0])).event_ticker

    def _number(self, ticker: str) -> int:
        """Return the place of an event in lists; it stays while other events end, so pages continue correctly."""
        if ticker not in self._numbers:
            self._numbers[ticker] = next(self._next)
        return self._numbers[ticker]

    def _children(self) -> dict[str, list[MarketRecord]]:
        """Return all markets of each event, and forget the numbers of events that no longer exist."""
        state = self._state
        for gone in self._numbers.keys() - state.events.keys():
            del self._numbers[gone]
        for ticker in state.events:
            self._number(ticker)
        children: dict[str, list[MarketRecord]] = {ticker: [] for ticker in state.events}
        for market in state.markets.values():
            children[market.spec.event_ticker].append(market)
        return children

    def _live(self, markets: list[MarketRecord], now: Ts) -> list[MarketRecord]:
        cutoff = self.cutoff(now)
        return [market for market in markets if not cutoff.has_market(market)]

    def _shown(self, markets: list[MarketRecord], call: RouteCall) -> list[Json]:
        return [market_reads.whole_market(self._state, market, call.now) for market in self._live(markets, call.now)]

    def _event(self, ticker: str, markets: list[MarketRecord], call: RouteCall) -> Json:
        event = self._state.events[ticker]
        shown = event_json(event, self._state.series[event.series_ticker], self._state.shard_of(ticker))
        shown["last_updated_ts"] = rfc3339(_updated(markets))
        return shown | ({"markets": self._shown(markets, call)} if call.query.flag("with_nested_markets") else {})

    def _series(self, ticker: str, *, with_volume: bool) -> Json:
        state = self._state
        shown = series_json(state.series[ticker], state.shard_of(ticker))
        if changed := self._changed(ticker):
            shown["last_updated_ts"] = rfc3339(changed)
        if with_volume:
            volumes = (market.volume for market in state.markets.values() if self.series_of(market) == ticker)
            shown["volume_fp"] = format_qty(Qty(sum(volumes)))
        return shown

    def _changed(self, ticker: str) -> Ts:
        """Return the time of the last fee change of a series, or 0."""
        done = matching(self._state.fee_changes, event_ticker="", series_ticker=ticker, is_done=True)
        return max((change.scheduled for change in done), default=Ts(0))


def _updated(markets: list[MarketRecord]) -> Ts:
    """Return the time at which an event got its newest market."""
    return max((market.created for market in markets), default=Ts(0))


def _event_fee_change_json(change: FeeChangeRecord) -> Json:
    return show(change, "id event_ticker series_ticker scheduled_ts") | fees_json(change.fees, "_override")
