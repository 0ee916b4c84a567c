"""The REST bodies of combos: the collections from which they are made, and the market of some legs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import MarketDetails, MveLeg
from kalshi_cli.core.model.price_grid import PriceGrid
from kalshi_cli.exchange.wire.markets import Details, details_of
from kalshi_cli.exchange.wire.values import Moment, Page, PriceRange, grid_of, read, ts_of


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


class MadeCombo(msgspec.Struct, frozen=True, kw_only=True):
    """The market of some legs; `market` only where it was asked for."""

    event_ticker: str
    market_ticker: str
    market: MarketDetails | None


def combo_body(legs: Sequence[MveLeg], *, with_market: bool) -> bytes:
    selected = [
        {"market_ticker": leg.market_ticker, "event_ticker": leg.event_ticker, "side": leg.side} for leg in legs
    ]
    return msgspec.json.encode({"selected_markets": selected, "with_market_payload": with_market})


class _Collection(msgspec.Struct, gc=False):
    collection_ticker: str
    series_ticker: str
    open_date: Moment
    close_date: Moment
    size_min: int
    size_max: int
    title: str = ""
    description: str = ""
    functional_description: str = ""
    associated_events: tuple[LegEvent, ...] | None = None
    is_ordered: bool = False
    exchange_index: int = 0
    price_level_structure: str = ""
    price_ranges: tuple[PriceRange, ...] | None = None


class _CollectionBody(msgspec.Struct):
    multivariate_contract: _Collection


class _CollectionsBody(msgspec.Struct):
    multivariate_contracts: list[_Collection] | None = None
    cursor: str | None = None


class _MadeBody(msgspec.Struct):
    event_ticker: str
    market_ticker: str
    market: Details | None = None


def _collection(wire: _Collection) -> Collection:
    return Collection(
        collection_ticker=wire.collection_ticker,
        series_ticker=wire.series_ticker,
        title=wire.title,
        description=wire.description,
        function=wire.functional_description,
        opens=ts_of(wire.open_date),
        closes=ts_of(wire.close_date),
        events=wire.associated_events or (),
        is_ordered=wire.is_ordered,
        size_min=wire.size_min,
        size_max=wire.size_max,
        exchange_index=wire.exchange_index,
        price_structure=wire.price_level_structure,
        grid=grid_of(wire.price_ranges) if wire.price_ranges else None,
    )


def _made_combo(wire: _MadeBody) -> MadeCombo:
    market = None if wire.market is None else details_of(wire.market)
    return MadeCombo(event_ticker=wire.event_ticker, market_ticker=wire.market_ticker, market=market)


_collection_body = msgspec.json.Decoder(_CollectionBody)
_collections_body = msgspec.json.Decoder(_CollectionsBody)
_made_body = msgspec.json.Decoder(_MadeBody)


def read_collection(body: bytes) -> Collection:
    """`GET /multivariate_event_collections/{collection_ticker}`."""
    return read(_collection_body, lambda wire: _collection(wire.multivariate_contract), body, "a collection")


def read_collections(body: bytes) -> Page[Collection]:
    """`GET /multivariate_event_collections`."""
    return read(
        _collections_body,
        lambda w: Page([_collection(one) for one in w.multivariate_contracts or ()], w.cursor or ""),
        body,
        "collections",
    )


def read_made_combo(body: bytes) -> MadeCombo:
    """`POST /multivariate_event_collections/{collection_ticker}`."""
    return read(_made_body, _made_combo, body, "the combo")
