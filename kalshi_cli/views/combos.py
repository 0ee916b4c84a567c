"""Views of combos. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import ComboLeg as ComboLeg
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow, names


class CollectionRow(OutputRow, frozen=True, kw_only=True):
    """A collection, with the number of its events that a combo may have."""

    collection: str
    series_ticker: str
    title: TruncatableText
    size_min: int
    size_max: int
    events: int
    opens: Ts
    closes: Ts

    named = names(collection="collection_ticker")
    shown = ("collection", "title", "size_min", "size_max", "events", "closes")


class LegEventRow(OutputRow, frozen=True, kw_only=True):
    """An event whose markets can be legs; None means no limit."""

    event_ticker: str
    title: TruncatableText | None
    yes_only: bool
    size_min: int | None
    size_max: int | None

    named = names(event_ticker="ticker", yes_only="is_yes_only")
    shown = ("event_ticker", "title", "size_max", "yes_only")


class CollectionView(OutputRow, frozen=True, kw_only=True):
    """A collection with the events whose markets can be legs."""

    collection: str
    series_ticker: str
    title: str
    description: str
    function: str
    opens: Ts
    closes: Ts
    size_min: int
    size_max: int
    is_ordered: bool
    exchange_index: int
    price_structure: str
    events: tuple[LegEventRow, ...]

    named = names(collection="collection_ticker")


class ComboView(OutputRow, frozen=True, kw_only=True):
    """The market of a combo."""

    ticker: str
    event_ticker: str
    collection: str
    title: str
    status: str
    exchange_index: int | None
    close_time: Ts | None
    legs: tuple[ComboLeg, ...]
