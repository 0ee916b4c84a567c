"""What the local catalogue keeps, in the domain's words. `sqlite_catalog.py` keeps it.

A catalogue is a cache of what is listed: markets, events and series with the words they are found by. Nothing depends
on it. Where it is missing, broken or somebody else's, the exchange is asked instead.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kalshi_cli.base.units import Ts


class Kind(StrEnum):
    """What an entry is."""

    MARKET = "market"
    EVENT = "event"
    SERIES = "series"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is listed. `parent` is the event of a market, the series of an event.

    `title` and `kin` (the titles of its family) are what it is found by, beside its ticker. `closes` is when its
    trading ends, where it has such a time; `is_over` says that it settled. `body` is the object itself, as JSON, as it
    was at `seen`: when the refresh began that read it last. That is the catalogue's to say; a refresh of changes leaves
    out what only traded, so that its prices may be much older than the catalogue.
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
    """How far a refresh has come. `since` None: everything is read, not only what changed.

    `step` counts the lists that are done, `cursor` is where to go on in the next one.
    """

    started: Ts
    since: Ts | None
    step: int = 0
    cursor: str = ""


class CatalogStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a catalogue holds. `as_of` is None until a refresh was completed; `unfinished` is one that was not."""

    as_of: Ts | None
    unfinished: RefreshProgress | None
    markets: int
    events: int
    series: int
    bytes_on_disk: int
    is_indexed: bool


class CatalogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look: `parent` as in `Entry`, `series` (of markets) that of their event; with `open_at` neither what
    settled nor what closed before then.
    """

    parent: str = ""
    series: str = ""
    open_at: Ts | None = None


ANYWHERE = CatalogFilter()
