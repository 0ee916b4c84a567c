"""Views of the catalog. Rules as in `row`."""

from __future__ import annotations

from types import MappingProxyType

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow, names


class RefreshView(OutputRow, frozen=True, kw_only=True):
    """The objects that a refresh read: all, or the changed ones. `resumed`: an earlier run had read a part of them."""

    read: str
    resumed: bool
    series: int
    events: int
    markets: int
    seconds: float

    headings = MappingProxyType({"read": "downloaded", "resumed": "continued an interrupted refresh"})


class CatalogView(OutputRow, frozen=True, kw_only=True):
    """The catalog. `as_of` and `age_s` are of the last complete refresh, `unfinished_since` of an interrupted one."""

    path: TruncatableText
    as_of: Ts | None = None
    age_s: float | None = None
    unfinished_since: Ts | None = None
    markets: int = 0
    events: int = 0
    series: int = 0
    bytes: int = 0
    search: str | None = None

    named = names(unfinished_since="unfinished.started", bytes="bytes_on_disk")
