"""The GET endpoints of events and series, and of how their fees will change. Of the markets of an event only the live
ones are shown, the event itself is listed as long as it is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from kalshi_cli.base.units import Qty, Ts, format_qty
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.records import FeeChangeRecord, MarketRecord
from kalshi_cli.simulator.protocol.replies import Json, invalid, not_found
from kalshi_cli.simulator.protocol.routing import RouteCall, public
from kalshi_cli.simulator.protocol.shapes import event_json, rfc3339, series_json
from kalshi_cli.simulator.rest.historical import TieredRoutes
from kalshi_cli.simulator.rest.market_reads import is_combo, shown_as, whole_market

_STATUSES = ("unopened", "open", "closed", "settled")
EVENTS_A_PAGE = 200


class EventReads(TieredRoutes):
    """Events, series and their fees to come."""

    def __init__(self, state: SimulatorState) -> None:
        super().__init__(state)
        self._numbers: dict[str, int] = {}
        self._next = count()

    # -- events --

    @public("/events", "GetEvents")
    def events(self, call: RouteCall) -> Json:
        """All but combos."""
        query, state = call.query, self._state
        status = query.one_of("status", _STATUSES)
        series, tickers = query.text("series_ticker"), set(query.many("tickers"))
        closing, updated = query.number("min_close_ts"), query.number("min_updated_ts")
        children = self._children()

        def wanted(ticker: str) -> bool:
            event, markets = state.events[ticker], children[ticker]
            if is_combo(ticker) or (series and event.series_ticker != series) or (tickers and ticker not in tickers):
                return False
            if status and status not in {shown_as(market, call.now) for market in markets}:
                return False
            if updated is not None and self._updated(markets) < updated * 1000:
                return False
            return closing is None or any(market.close_time >= closing * 1000 for market in markets)

        shown = self._page(call, filter(wanted, state.events), children, usual=EVENTS_A_PAGE)
        return {"events": shown["events"], "milestones": [], "cursor": shown["cursor"]}

    @public("/events/multivariate", "GetMultivariateEvents")
    def multivariate(self, call: RouteCall) -> Json:
        """Combos, by series or by collection."""
        query = call.query
        series, collection = query.text("series_ticker"), query.text("collection_ticker")
        if series and collection:
            raise invalid("series_ticker and collection_ticker exclude each other")
        children = self._children()
        combos = (
            ticker
            for ticker, event in self._state.events.items()
            if is_combo(ticker)
            and series in (None, event.series_ticker)
            and (collection is None or any(market.spec.collection == collection for market in children[ticker]))
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
        ticker = self._known(call)
        markets = self._children()[ticker]
        return {
            "event": self._event(ticker, markets, call),
            "markets": [whole_market(self._state, market, call.now) for market in self._live(markets, call.now)],
        }

    @public("/events/:event_ticker/metadata", "GetEventMetadata")
    def metadata(self, call: RouteCall) -> Json:
        """No pictures here: the exchange is made of text."""
        ticker = self._known(call)
        series = self._state.series[self._state.events[ticker].series_ticker]
        markets = self._live(self._children()[ticker], call.now)
        return {
            "image_url": "",
            "featured_image_url": "",
            "market_details": [
                {"market_ticker": market.spec.ticker, "image_url": "", "color_code": ""} for market in markets
            ],
            "settlement_sources": [{"name": name, "url": url} for name, url in series.settlement_sources],
            "competition": None,
            "competition_scope": None,
        }

    # -- series --

    @public("/series", "GetSeriesList")
    def series_list(self, call: RouteCall) -> Json:
        """All of them; a list of tags finds those that have any."""
        query = call.query
        category, tags = query.text("category"), set(query.many("tags"))
        updated, with_volume = query.number("min_updated_ts"), query.flag("include_volume")
        found = [
            ticker
            for ticker, spec in self._state.series.items()
            if category in (None, spec.category)
            and (not tags or tags & set(spec.tags))
            and (updated is None or self._changed(ticker) >= updated * 1000)
        ]
        return {"series": [self._series(ticker, with_volume=with_volume) for ticker in found]}

    @public("/series/:series_ticker", "GetSeries")
    def series(self, call: RouteCall) -> Json:
        if call.path[0] not in self._state.series:
            raise not_found()
        return {"series": self._series(call.path[0], with_volume=call.query.flag("include_volume"))}

    # -- fees to come --

    @public("/events/fee_changes", "GetEventFeeChanges")
    def event_fee_changes(self, call: RouteCall) -> Json:
        event = call.query.text("event_ticker")
        changes = (c for c in self._state.fee_changes if c.event_ticker and event in (None, c.event_ticker))
        return call.query.listing("event_fee_changes", changes, _fee_change_json)

    @public("/series/fee_changes", "GetSeriesFeeChanges")
    def series_fee_changes(self, call: RouteCall) -> Json:
        series, with_past = call.query.text("series_ticker"), call.query.flag("show_historical")
        return {
            "series_fee_change_arr": [
                {
                    "id": change.id,
                    "series_ticker": change.series_ticker,
                    "fee_type": change.fees.type.value,
                    "fee_multiplier": change.fees.multiplier / 1000,
                    "scheduled_ts": rfc3339(change.scheduled),
                }
                for change in self._state.fee_changes
                if change.fees is not None
                and not change.event_ticker
                and series in (None, change.series_ticker)
                and (with_past or not change.is_done)
            ]
        }

    # -- parts --

    def _known(self, call: RouteCall) -> str:
        if call.path[0] not in self._state.events:
            raise not_found()
        return call.path[0]

    def _number(self, ticker: str) -> int:
        """The place of an event in lists, which stays while others go: a page begins where the last one ended."""
        if ticker not in self._numbers:
            self._numbers[ticker] = next(self._next)
        return self._numbers[ticker]

    def _children(self) -> dict[str, list[MarketRecord]]:
        """All markets of each event. Events that are gone lose their numbers here."""
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

    def _updated(self, markets: list[MarketRecord]) -> Ts:
        """When the event last got a market."""
        return max((market.created for market in markets), default=Ts(0))

    def _event(self, ticker: str, markets: list[MarketRecord], call: RouteCall) -> Json:
        event = self._state.events[ticker]
        shown = event_json(event, self._state.series[event.series_ticker], self._state.shard_of(ticker))
        shown["last_updated_ts"] = rfc3339(self._updated(markets))
        if call.query.flag("with_nested_markets"):
            shown["markets"] = [whole_market(self._state, market, call.now) for market in self._live(markets, call.now)]
        return shown

    def _series(self, ticker: str, *, with_volume: bool) -> Json:
        state = self._state
        shown = series_json(state.series[ticker], state.shard_of(ticker))
        if changed := self._changed(ticker):
            shown["last_updated_ts"] = rfc3339(changed)
        if with_volume:
            markets = (m for m in state.markets.values() if state.events[m.spec.event_ticker].series_ticker == ticker)
            shown["volume_fp"] = format_qty(Qty(sum(market.volume for market in markets)))
        return shown

    def _changed(self, ticker: str) -> Ts:
        """When a series last changed its fees; 0 where it never did."""
        changes = self._state.fee_changes
        done = (c.scheduled for c in changes if c.is_done and not c.event_ticker and c.series_ticker == ticker)
        return max(done, default=Ts(0))


def _fee_change_json(change: FeeChangeRecord) -> Json:
    return {
        "id": change.id,
        "event_ticker": change.event_ticker,
        "series_ticker": change.series_ticker,
        "fee_type_override": change.fees.type.value if change.fees else None,
        "fee_multiplier_override": change.fees.multiplier / 1000 if change.fees else None,
        "scheduled_ts": rfc3339(change.scheduled),
    }
