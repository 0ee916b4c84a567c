"""REST bodies of combos: their collections, and the market of a set of legs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec
from msgspec import field

from kalshi_cli.core.model.markets import ComboLeg, MarketDetails
from kalshi_cli.core.model.price_grid import PriceGrid
from kalshi_cli.exchange.wire import markets, values
from kalshi_cli.exchange.wire.values import TsOfMoment, Unit, Wire, convert


class LegEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a collection, and how many of its markets a combo may contain; None is no limit."""

    ticker: str
    is_yes_only: bool = False
    size_min: int | None = None
    size_max: int | None = None
    active_quoters: tuple[str, ...] = ()


_LegEvents = Annotated[tuple[LegEvent, ...] | None, Unit(tuple, ())]


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """Events that combos can be made from, and the number of legs. `grid` may be missing."""

    collection_ticker: str
    series_ticker: str
    title: str = ""
    description: str = ""
    function: str = field(name="functional_description", default="")
    opens: TsOfMoment = field(name="open_date")
    closes: TsOfMoment = field(name="close_date")
    events: Annotated[tuple[LegEvent, ...], Wire(_LegEvents, None)] = field(name="associated_events")
    is_ordered: bool = False
    size_min: int
    size_max: int
    exchange_index: int = 0
    price_structure: str = field(name="price_level_structure", default="")
    grid: Annotated[PriceGrid | None, Wire(values.OptionalGrid, None)] = field(name="price_ranges")


class CreatedCombo(msgspec.Struct, frozen=True, kw_only=True):
    """The market of a set of legs; `market` is set only if it was requested."""

    event_ticker: str
    market_ticker: str
    market: MarketDetails | None


def combo_body(legs: Sequence[ComboLeg], *, with_market: bool) -> bytes:
    """Return the body of `POST /multivariate_event_collections/{collection_ticker}`."""
    selected = [
        {"market_ticker": leg.market_ticker, "event_ticker": leg.event_ticker, "side": leg.side} for leg in legs
    ]
    return msgspec.json.encode({"selected_markets": selected, "with_market_payload": with_market})


class _MadeBody(msgspec.Struct):
    event_ticker: str
    market_ticker: str
    market: Annotated[markets.MarketDetailsBody | None, Unit(markets.details_of)] = None


_COLLECTION = values.of(Collection)

read_collection = values.single("multivariate_contract", *_COLLECTION, "a collection")
"""`GET /multivariate_event_collections/{collection_ticker}`."""
read_collections = values.paged("multivariate_contracts", *_COLLECTION, "collections")
"""`GET /multivariate_event_collections`."""
read_made_combo = values.whole(_MadeBody, partial(convert, CreatedCombo), "the combo")
"""`POST /multivariate_event_collections/{collection_ticker}`."""
