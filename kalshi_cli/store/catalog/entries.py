"""What the local catalogue keeps, in the domain's words. `catalogue.py` is the one implementation.

A catalogue is a cache of what is listed: markets, events and series with the words they are found by. Nothing depends
on it. Where it is missing, broken or somebody else's, the exchange is asked instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

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


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a refresh has come. `since` None: everything is read, not only what changed.

    `step` counts the lists that are done, `cursor` is where to go on in the next one.
    """

    started: Ts
    since: Ts | None
    step: int = 0
    cursor: str = ""


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """What a catalogue holds. `as_of` is None until a refresh was completed; `unfinished` is one that was not."""

    as_of: Ts | None
    unfinished: Progress | None
    markets: int
    events: int
    series: int
    bytes_on_disk: int
    is_indexed: bool


class Narrow(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look: `parent` as in `Entry`, `series` (of markets) that of their event; with `open_at` neither what
    settled nor what closed before then."""

    parent: str = ""
    series: str = ""
    open_at: Ts | None = None


ANYWHERE = Narrow()


class Catalogue(Protocol):
    """The listing of one environment. Every method may raise StateError: then throw it away (`discard`) and go on."""

    def put(self, entries: Iterable[Entry], progress: Progress) -> None:
        """Add or replace these, and note how far the refresh has come: all or nothing."""
        ...

    def finish(self, progress: Progress, *, forget_over_before: Ts, most: int) -> None:
        """The refresh is complete. What it did not meet, if it read everything, goes; so does what settled and closed
        before `forget_over_before`, and beyond `most` entries those that close first."""
        ...

    def extent(self) -> Extent:
        """How much there is, and how old."""
        ...

    def search(
        self, kind: Kind, text: str, *, narrow: Narrow = ANYWHERE, needs_all: bool = True, most: int
    ) -> list[Entry]:
        """Entries with all of these words (or any of them), the best first. Beginnings of words are enough.

        No text: everything, by ticker.
        """
        ...

    def completions(self, kind: Kind, start: str, most: int) -> list[tuple[str, str]]:
        """Tickers that begin so, with their titles; where there are more than `most`, how they go on, without titles.

        "KXB" with thousands of markets gives KXBT, KXBN, ...: the shell finds the common part of what it is given, so
        a list that is cut would complete to something that nobody meant.
        """
        ...

    def titles(self, kind: Kind, tickers: Sequence[str]) -> dict[str, str]:
        """The titles and kin of these, as one text each."""
        ...

    def discard(self) -> None:
        """Close it and delete its file."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
