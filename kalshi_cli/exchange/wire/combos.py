"""The REST bodies of combos: the collections from which they are made, and the market of some legs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import field

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import ComboLeg, MarketDetails
from kalshi_cli.core.model.price_grid import PriceGrid
from kalshi_cli.exchange.wire import values
from kalshi_cli.exchange.wire.markets import MarketDetailsBody, details_of
from kalshi_cli.exchange.wire.values import Moment, PriceRange, convert, grid_of


class LegEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a collection, and how many of its markets a combo may have; None is no limit."""

    ticker: str
    is_yes_only: bool = False
    size_min: int | None = None
    size_max: int | None = None
    active_quoters: tuple[str, ...] = ()


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """From which events combos can be made, of how many legs. `grid` is None where the exchange does not say it."""

    collection_ticker: str
    series_ticker: str
    title: str
    description: str
    function: str
    opens: Ts
    closes: Ts
    events: tuple[LegEvent, ...]
    is_ordered: bool
    size_min: int
    size_max: int
    exchange_index: int
    price_structure: str
    grid: PriceGrid | None


class CreatedCombo(msgspec.Struct, frozen=True, kw_only=True):
    """The market of some legs; `market` only where it was asked for."""

    event_ticker: str
    market_ticker: str
    market: MarketDetails | None


def combo_body(legs: Sequence[ComboLeg], *, with_market: bool) -> bytes:
    selected = [
        {"market_ticker": leg.market_ticker, "event_ticker": leg.event_ticker, "side": leg.side} for leg in legs
    ]
    return msgspec.json.encode({"selected_markets": selected, "with_market_payload": with_market})


class _Collection(msgspec.Struct, gc=False):
    collection_ticker: str
    series_ticker: str
    opens: Moment = field(name="open_date")
    closes: Moment = field(name="close_date")
    size_min: int
    size_max: int
    title: str = ""
    description: str = ""
    function: str = field(name="functional_description", default="")
    events: tuple[LegEvent, ...] | None = field(name="associated_events", default=None)
    is_ordered: bool = False
    exchange_index: int = 0
    price_structure: str = field(name="price_level_structure", default="")
    price_ranges: tuple[PriceRange, ...] | None = None


class _MadeBody(msgspec.Struct):
    event_ticker: str
    market_ticker: str
    market: MarketDetailsBody | None = None


def _collection(wire: _Collection) -> Collection:
    grid = grid_of(wire.price_ranges) if wire.price_ranges else None
    return convert(Collection, wire, events=wire.events or (), grid=grid)


def _made_combo(wire: _MadeBody) -> CreatedCombo:
    return convert(CreatedCombo, wire, market=None if wire.market is None else details_of(wire.market))


read_collection = values.single("multivariate_contract", _Collection, _collection, "a collection")
"""`GET /multivariate_event_collections/{collection_ticker}`."""
read_collections = values.paged("multivariate_contracts", _Collection, _collection, "collections")
"""`GET /multivariate_event_collections`."""
read_made_combo = values.whole(_MadeBody, _made_combo, "the combo")
"""`POST /multivariate_event_collections/{collection_ticker}`."""
