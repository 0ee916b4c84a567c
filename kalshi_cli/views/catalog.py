"""What `kalshi catalogue` prints. Rules as in `rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from pathlib import Path

    from kalshi_cli.desk.catalogue import Refresh
    from kalshi_cli.store.catalog.entries import Extent


class RefreshView(Row, frozen=True, kw_only=True):
    """What one run of a refresh read: everything, or what changed. `resumed`: an earlier run had read a part of it."""

    read: str
    resumed: bool
    series: int
    events: int
    markets: int
    seconds: float


def refresh_view(done: Refresh, seconds: float) -> RefreshView:
    return RefreshView(
        read="everything" if done.is_full else "changes",
        resumed=done.is_resumed,
        series=done.counts["series"],
        events=done.counts["event"],
        markets=done.counts["market"],
        seconds=round(seconds, 1),
    )


class CatalogueView(Row, frozen=True, kw_only=True):
    """`as_of` and `age_s` are those of the last complete refresh, `unfinished_since` one that was interrupted."""

    path: Prose
    as_of: Ts | None
    age_s: float | None
    unfinished_since: Ts | None
    markets: int
    events: int
    series: int
    bytes: int
    search: str | None


def catalogue_view(path: Path, extent: Extent | None, now: Ts) -> CatalogueView:
    """Without a catalogue everything is none."""
    as_of = extent.as_of if extent else None
    return CatalogueView(
        path=Prose(str(path)),
        as_of=as_of,
        age_s=None if as_of is None else (now - as_of) / 1000,
        unfinished_since=extent.unfinished.started if extent and extent.unfinished else None,
        markets=extent.markets if extent else 0,
        events=extent.events if extent else 0,
        series=extent.series if extent else 0,
        bytes=extent.bytes_on_disk if extent else 0,
        search=None if extent is None else "words" if extent.is_indexed else "letters",
    )
