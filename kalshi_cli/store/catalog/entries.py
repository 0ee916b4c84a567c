"""Entries of the local catalog; `sqlite_catalog.py` stores them.

The catalog is a cache of markets, events and series with the words to find them by. No other part depends on it: where
it is missing, broken or of another exchange, the exchange is asked instead.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kalshi_cli.base.units import Ts


class Kind(StrEnum):
    """The kind of an entry."""

    MARKET = "market"
    EVENT = "event"
    SERIES = "series"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A listed market, event or series. `parent` is the event of a market, the series of an event.

    `title` and `kin` (the titles of its family) are searched, beside the ticker. `closes` is the end of trading, if
    any; `is_over` means that it settled. `body` is the object as JSON, as of `seen`, the start of the refresh that last
    read it. A refresh of changes leaves out markets that only traded, so prices may be much older than the catalog.
    """

    kind: Kind
    ticker: str
    parent: str = ""
    title: str = ""
    kin: str = ""
    closes: Ts | None = None
    is_over: bool = False
    body: bytes = b""
    seen: Ts = Ts(0)


class RefreshProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a refresh. Without `since` everything is read, not only changes.

    `step` counts the completed lists, `cursor` is the position in the next one.
    """

    started: Ts
    since: Ts | None
    step: int = 0
    cursor: str = ""


class CatalogStats(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a catalog. `as_of` is empty until a refresh completes; `unfinished` is one that did not."""

    as_of: Ts | None
    unfinished: RefreshProgress | None
    markets: int
    events: int
    series: int
    bytes_on_disk: int
    is_indexed: bool


class CatalogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The range of a search: `parent` as in `Entry`, and the `series` of a market's event.

    With `open_at` it leaves out entries that settled, or closed before then.
    """

    parent: str = ""
    series: str = ""
    open_at: Ts | None = None


ANYWHERE = CatalogFilter()
