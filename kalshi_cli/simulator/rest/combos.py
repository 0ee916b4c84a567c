"""Combos: markets that members make of markets, from what a collection allows (multivariate event collections).

A combo pays the product of what its legs pay, each on its chosen side: a dollar if all win, nothing if one loses, and
something between where a leg was settled between. That is how the exchange describes its collections in words; no
formula is published, and fractions of a cent are dropped. It is determined as soon as its legs decide it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from itertools import count
from operator import itemgetter

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.calendar import local
from kalshi_cli.simulator.model.listing import CollectionSpec, EventSpec, LegSpec, MarketSpec
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.simulator.model.records import MarketRecord
from kalshi_cli.simulator.protocol.replies import Json, invalid, not_found, too_many
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, public, route
from kalshi_cli.simulator.protocol.shapes import ranges, rfc3339
from kalshi_cli.simulator.rest.market_reads import whole_market
from kalshi_cli.simulator.trading.lifecycle import Lifecycle

STRUCTURE = "center_deci_edge_centi_cent"
"""The price structure of all combos (API.md section 6)."""
SHARD = 1
"""Where combos trade, if the exchange has so many shards."""
TIMER_S = 5
MAX_A_WEEK = 5_000
"""New combos of one member."""
WEEK_MS = 7 * 86_400_000
COLLECTIONS_A_PAGE = 200


class _Selected(msgspec.Struct):
    market_ticker: str
    event_ticker: str
    side: str


class _Create(msgspec.Struct):
    selected_markets: list[_Selected]
    with_market_payload: bool = False


_COLLECTIONS = "/multivariate_event_collections"
_COLLECTION = f"{_COLLECTIONS}/:collection_ticker"
_CREATE = "CreateMarketInMultivariateEventCollection"


class ComboService(Routes):
    """The collections, the markets made from them, and how those end."""

    def __init__(self, state: SimulatorState, life: Lifecycle) -> None:
        super().__init__(state)
        self._life = life
        self._made: dict[str, deque[Ts]] = {}

    def list_collection(self, spec: CollectionSpec) -> None:
        """KeyError where its series is not listed."""
        self._state.series[spec.series_ticker]
        self._state.collections[spec.ticker] = spec
        self._state.touch(f"collection/{spec.ticker}", spec)

    # -- endpoints --

    @public(_COLLECTIONS, "GetMultivariateEventCollections")
    def collections(self, call: RouteCall) -> Json:
        query = call.query
        status = query.one_of("status", ("unopened", "open", "closed"))
        event, series = query.text("associated_event_ticker"), query.text("series_ticker")
        found = (
            (number, spec)
            for number, spec in zip(count(), self._state.collections.values())
            if series in (None, spec.series_ticker)
            and status in (None, _status(spec, call.now))
            and (event is None or event in self._events(spec, call.now))
        )

        def show(item: tuple[int, CollectionSpec]) -> Json:
            return self._collection_json(item[1], call.now)

        return query.listing("multivariate_contracts", found, show, itemgetter(0), most=COLLECTIONS_A_PAGE)

    @public(_COLLECTION, "GetMultivariateEventCollection")
    def collection(self, call: RouteCall) -> Json:
        return {"multivariate_contract": self._collection_json(self._find(call), call.now)}

    @route("POST", _COLLECTION, _CREATE, is_private=True)
    def create(self, call: RouteCall) -> Json:
        """The market of these legs, made if there is none yet."""
        spec = self._find(call)
        body = call.read(_Create, f"{_CREATE}Request")
        legs = self._legs(spec, body.selected_markets, call.now)
        event, ticker = _names(spec, legs)
        if ticker not in self._state.markets:
            self._count(call.caller, call.now)
            self._list(spec, legs, event, ticker, call.now)
        made: Json = {"event_ticker": event, "market_ticker": ticker}
        if body.with_market_payload:
            made["market"] = whole_market(self._state, self._state.markets[ticker], call.now)
        return made

    def _find(self, call: RouteCall) -> CollectionSpec:
        spec = self._state.collections.get(call.path[0])
        if spec is None:
            raise not_found()
        return spec

    def _legs(self, spec: CollectionSpec, selected: list[_Selected], now: Ts) -> tuple[LegSpec, ...]:
        """What was selected, if the collection allows it."""
        if _status(spec, now) != "open":
            raise invalid("the collection is not open")
        if not spec.least <= len(selected) <= spec.most:
            raise invalid(f"between {spec.least} and {spec.most} markets can be selected")
        if len({one.event_ticker for one in selected}) < len(selected):
            raise invalid("one market of each event can be selected")
        events = self._events(spec, now)
        for one in selected:
            market = self._state.markets.get(one.market_ticker)
            if market is None or market.spec.event_ticker != one.event_ticker or one.event_ticker not in events:
                raise invalid(f"{one.market_ticker} of {one.event_ticker} is not in this collection")
            if market.status(now) is not MarketStatus.ACTIVE:
                raise invalid(f"{one.market_ticker} is not open")
            if one.side not in ("yes", "no"):
                raise invalid("side is yes or no")
        return tuple(
            LegSpec(event_ticker=one.event_ticker, market_ticker=one.market_ticker, side=one.side) for one in selected
        )

    def _count(self, account: str, now: Ts) -> None:
        made = self._made.setdefault(account, deque(maxlen=MAX_A_WEEK))
        if len(made) == MAX_A_WEEK and made[0] > now - WEEK_MS:
            raise too_many()
        made.append(now)

    def _list(self, spec: CollectionSpec, legs: tuple[LegSpec, ...], event: str, ticker: str, now: Ts) -> None:
        parts = [self._state.markets[leg.market_ticker] for leg in legs]
        names = [part.spec.yes_sub_title or part.spec.title for part in parts]
        words = ", ".join(f"{leg.side} {name}" for leg, name in zip(legs, names, strict=True))
        if event not in self._state.events:
            self._life.list_event(EventSpec(event_ticker=event, series_ticker=spec.series_ticker, title=words))
        close = max(part.close_time for part in parts)
        latest = max(part.spec.latest_expiration_time or part.close_time for part in parts)
        market = MarketSpec(
            ticker=ticker,
            event_ticker=event,
            title=words,
            yes_sub_title=words,
            no_sub_title=words,
            exchange_index=SHARD if self._state.options.shards > SHARD else 0,
            price_structure=STRUCTURE,
            grid=STRUCTURES[STRUCTURE],
            open_time=now,
            close_time=close,
            latest_expiration_time=latest,
            settlement_timer_s=TIMER_S,
            can_close_early=True,
            early_close_condition="This market closes when its legs decide it.",
            rules_primary=f"If all of these come true, then the market resolves to Yes: {words}.",
            rules_secondary="Where a leg is settled at a price, the market pays the product of what its legs pay.",
            collection=spec.ticker,
            legs=legs,
        )
        self._life.list_market(market, now)
        self._state.keep(f"market/{ticker}", self._state.markets[ticker])  # unlike the world's, nobody makes it again

    # -- how they end --

    def advance(self, now: Ts) -> None:
        """Settle what the legs decide that were paid since the last time."""
        paid, self._life.paid = set(self._life.paid), []
        if not paid:
            return
        for market in list(self._state.markets.values()):
            if market.determined is None and any(leg.market_ticker in paid for leg in market.spec.legs):
                self._fill_in(market, now)

    def _fill_in(self, market: MarketRecord, now: Ts) -> None:
        legs = tuple(self._known(leg) for leg in market.spec.legs)
        market.spec = msgspec.structs.replace(market.spec, legs=legs)
        self._state.touch_market(market, now)
        value = payout_value(legs)
        if value is not None:
            self._life.settle(market.spec.ticker, value, now)

    def _known(self, leg: LegSpec) -> LegSpec:
        """With its value, where it was paid."""
        market = self._state.markets.get(leg.market_ticker)
        if market is None or market.settled is None:
            return leg
        return msgspec.structs.replace(leg, value=market.value)

    # -- parts --

    def _events(self, spec: CollectionSpec, now: Ts) -> list[str]:
        """The events of which a market can be a leg now."""
        found = (
            market.spec.event_ticker
            for market in self._state.markets.values()
            if market.status(now) is MarketStatus.ACTIVE
            and self._state.events[market.spec.event_ticker].series_ticker in spec.leg_series
        )
        return list(dict.fromkeys(found))

    def _collection_json(self, spec: CollectionSpec, now: Ts) -> Json:
        events = self._events(spec, now)
        associated: list[Json] = [
            {"ticker": event, "is_yes_only": False, "size_min": None, "size_max": 1, "active_quoters": []}
            for event in events
        ]
        return {
            "collection_ticker": spec.ticker,
            "series_ticker": spec.series_ticker,
            "exchange_index": SHARD if self._state.options.shards > SHARD else 0,
            "title": spec.title,
            "description": spec.description,
            "open_date": rfc3339(spec.opens),
            "close_date": rfc3339(spec.closes),
            "associated_events": associated,
            "associated_event_tickers": events,
            "is_ordered": False,
            "is_single_market_per_event": True,
            "is_all_yes": False,
            "size_min": spec.least,
            "size_max": spec.most,
            "functional_description": "The market pays the product of what its legs pay on their chosen sides.",
            "price_level_structure": STRUCTURE,
            "price_ranges": ranges(STRUCTURES[STRUCTURE]),
        }


def payout_value(legs: tuple[LegSpec, ...]) -> Price | None:
    """What one YES of a combo pays, in whole cents; None while its legs do not decide it."""
    paid = list(_paid(legs))
    if 0 in paid:
        return Price(0)
    if len(paid) < len(legs):
        return None
    value = int(ONE_DOLLAR)
    for one in paid:
        value = value * one // ONE_DOLLAR
    return Price(value // 100 * 100)


def _paid(legs: tuple[LegSpec, ...]) -> Iterator[int]:
    """What each known leg pays on its chosen side."""
    for leg in legs:
        if leg.value is not None:
            yield leg.value if leg.side == "yes" else ONE_DOLLAR - leg.value


def _status(spec: CollectionSpec, now: Ts) -> str:
    return "unopened" if now < spec.opens else "open" if now < spec.closes else "closed"


def _names(spec: CollectionSpec, legs: tuple[LegSpec, ...]) -> tuple[str, str]:
    """Event and market of these legs: the same whatever their order, and whoever asks."""
    key = "/".join(sorted(f"{leg.market_ticker}:{leg.side}" for leg in legs))
    digest = blake2b(f"{spec.ticker}/{key}".encode(), digest_size=10).hexdigest().upper()
    event = f"{spec.series_ticker}-S{local(spec.opens).year}{digest[:11]}"
    return event, f"{event}-{digest[11:]}"
