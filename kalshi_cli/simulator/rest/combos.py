"""Combos: markets that members create from the markets of a collection (multivariate event collections).

A combo pays the product of the payouts of its legs on their sides: a dollar if all win, nothing if one loses, and a
part of it if a leg settles in between. The exchange describes its collections this way; it publishes no formula, and
fractions of a cent are dropped. A combo is determined as soon as its legs decide it.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from operator import itemgetter

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import calendar, price_grids, records
from kalshi_cli.simulator.model.listing import CollectionSpec, EventSpec, LegSpec, MarketSpec
from kalshi_cli.simulator.protocol.replies import Json, existing, invalid, too_many
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, public, route
from kalshi_cli.simulator.protocol.shapes import ranges, show
from kalshi_cli.simulator.rest.market_reads import whole_market
from kalshi_cli.simulator.trading.lifecycle import Lifecycle

STRUCTURE = "center_deci_edge_centi_cent"
"""The price structure of all combos (API.md section 6)."""
SHARD = 1
"""The shard of combos, if it exists."""
TIMER_S = 5
MAX_A_WEEK = 5_000
"""The most new combos of one member."""
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
    """The collections, the markets created from them, and their settlement."""

    def __init__(self, state: SimulatorState, life: Lifecycle) -> None:
        super().__init__(state)
        self._life = life
        self._made: dict[str, deque[Ts]] = {}

    def list_collection(self, spec: CollectionSpec) -> None:
        """List a collection; KeyError for an unknown series."""
        self._state.series[spec.series_ticker]
        self._state.collections[spec.ticker] = spec
        self._state.touch(f"collection/{spec.ticker}", spec)

    # -- endpoints --

    @public(_COLLECTIONS, "GetMultivariateEventCollections")
    def collections(self, call: RouteCall) -> Json:
        """Return the collections."""
        query = call.query
        status = query.one_of("status", ("unopened", "open", "closed"))
        event, series = query.text("associated_event_ticker"), query.text("series_ticker")
        found = (
            (number, self._collection_json(spec, call.now))
            for number, spec in enumerate(self._state.collections.values())
            if series in (None, spec.series_ticker)
            and status in (None, _status(spec, call.now))
            and (event is None or event in self._events(spec, call.now))
        )
        return query.listing("multivariate_contracts", found, itemgetter(1), itemgetter(0), most=COLLECTIONS_A_PAGE)

    @public(_COLLECTION, "GetMultivariateEventCollection")
    def collection(self, call: RouteCall) -> Json:
        """Return one collection."""
        return {"multivariate_contract": self._collection_json(self._find(call), call.now)}

    @route("POST", _COLLECTION, _CREATE, is_private=True)
    def create(self, call: RouteCall) -> Json:
        """Return the market of these legs; create it if it does not exist."""
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
        return existing(self._state.collections.get(call.path[0]))

    def _legs(self, spec: CollectionSpec, selected: list[_Selected], now: Ts) -> tuple[LegSpec, ...]:
        """Return the selected legs if the collection allows them."""
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
        return tuple(msgspec.convert(selected, prepared(list[LegSpec]), from_attributes=True))

    def _count(self, account: str, now: Ts) -> None:
        made = self._made.setdefault(account, deque(maxlen=MAX_A_WEEK))
        if len(made) == MAX_A_WEEK and made[0] > now - 7 * calendar.DAY:
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
            exchange_index=self._shard,
            price_structure=STRUCTURE,
            grid=price_grids.STRUCTURES[STRUCTURE],
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
        self._state.keep(f"market/{ticker}", self._state.markets[ticker])  # the world does not list a combo again

    # -- settlement --

    def advance(self, now: Ts) -> None:
        """Settle the combos that are decided by markets that paid since the last call."""
        paid, self._life.paid = set(self._life.paid), []
        if not paid:
            return
        for market in list(self._state.markets.values()):
            if market.determined is None and any(leg.market_ticker in paid for leg in market.spec.legs):
                self._fill_in(market, now)

    def _fill_in(self, market: records.MarketRecord, now: Ts) -> None:
        legs = tuple(self._known(leg) for leg in market.spec.legs)
        market.spec = msgspec.structs.replace(market.spec, legs=legs)
        self._state.touch_market(market, now)
        value = payout_value(legs)
        if value is not None:
            self._life.settle(market.spec.ticker, value, now)

    def _known(self, leg: LegSpec) -> LegSpec:
        """Return a leg with its settlement value, if its market has paid."""
        market = self._state.markets.get(leg.market_ticker)
        is_paid = market is not None and market.settled is not None
        return msgspec.structs.replace(leg, value=market.value) if market is not None and is_paid else leg

    # -- parts --

    @property
    def _shard(self) -> int:
        return SHARD if self._state.options.shards > SHARD else 0

    def _events(self, spec: CollectionSpec, now: Ts) -> list[str]:
        """Return the events whose markets can be legs now."""
        events = self._state.events
        active = (
            one.spec.event_ticker for one in self._state.markets.values() if one.status(now) is MarketStatus.ACTIVE
        )
        return list(dict.fromkeys(event for event in active if events[event].series_ticker in spec.leg_series))

    def _collection_json(self, spec: CollectionSpec, now: Ts) -> Json:
        events = self._events(spec, now)
        same: Json = {"is_yes_only": False, "size_min": None, "size_max": 1, "active_quoters": []}
        return {
            **show(spec, "collection_ticker series_ticker title description open_date close_date size_min size_max"),
            "exchange_index": self._shard,
            "associated_events": [{"ticker": event} | same for event in events],
            "associated_event_tickers": events,
            "is_ordered": False,
            "is_single_market_per_event": True,
            "is_all_yes": False,
            "functional_description": "The market pays the product of what its legs pay on their chosen sides.",
            "price_level_structure": STRUCTURE,
            "price_ranges": ranges(price_grids.STRUCTURES[STRUCTURE]),
        }


def payout_value(legs: tuple[LegSpec, ...]) -> Price | None:
    """Return the payout of one YES of a combo in whole cents, or None while its legs do not decide it."""
    values = (leg.value if leg.side == "yes" or leg.value is None else ONE_DOLLAR - leg.value for leg in legs)
    paid = [value for value in values if value is not None]
    if 0 in paid:
        return Price(0)
    if len(paid) < len(legs):
        return None
    value = int(ONE_DOLLAR)
    for one in paid:
        value = value * one // ONE_DOLLAR
    return Price(value // 100 * 100)


def _status(spec: CollectionSpec, now: Ts) -> str:
    return "unopened" if now < spec.opens else "open" if now < spec.closes else "closed"


def _names(spec: CollectionSpec, legs: tuple[LegSpec, ...]) -> tuple[str, str]:
    """Return the event and the market ticker of these legs; they do not depend on the order or the member."""
    key = "/".join(sorted(f"{leg.market_ticker}:{leg.side}" for leg in legs))
    digest = blake2b(f"{spec.ticker}/{key}".encode(), digest_size=10).hexdigest().upper()
    event = f"{spec.series_ticker}-S{calendar.local(spec.opens).year}{digest[:11]}"
    return event, f"{event}-{digest[11:]}"
