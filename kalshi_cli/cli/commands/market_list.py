"""Notices and progress of `kalshi markets`: the age of the rows, and the number that was read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from kalshi_cli.base.units import Ts
from kalshi_cli.cli.screen.output import Format, info
from kalshi_cli.cli.screen.prompts import progress
from kalshi_cli.views.formats import format_time

if TYPE_CHECKING:
    from kalshi_cli.app.kalshi import Kalshi
    from kalshi_cli.services.markets.market_search import MarketSelection

T = TypeVar("T")

OLD_MS = 3_600_000
"""A catalog older than an hour misses the markets of this hour, and soon those of today."""


def none_found(kalshi: Kalshi, search: str, as_of: Ts | None = None, *, what: str = "markets") -> str:
    """Return the text of an empty list; after a search also how to find the market.

    `as_of` is the time of the catalog that was searched.
    """
    if search and as_of is not None and kalshi.now - as_of > OLD_MS:
        return f"No matching {what} in an old catalog, which misses newer {what}: `kalshi catalog refresh`, then search"
    ways = ". Check the spelling, or try one word; `kalshi series` lists the subjects" if search else ""
    if search and as_of is not None:
        ways += f". The catalog misses {what} that opened after it: `kalshi catalog refresh`"
    return f"No matching {what}{ways}"


def print_catalog_age(choice: MarketSelection[Any], search: str, now: Ts) -> None:
    """Print the source of the rows and its age, or how to create a catalog."""
    if choice.as_of is None:
        if search:
            info("Showing exact text matches. For word search: kalshi catalog refresh")
        return
    old = "; run `kalshi catalog refresh` to update it" if now - choice.as_of > OLD_MS else ""
    info(f"Catalog as of {format_time(choice.as_of, now)}{old}")
    if choice.seen:
        info("An incremental refresh skips markets that only traded; each row shows prices as of its `as_of` time")
    if not choice.has_all:
        info("No exact match; showing partial matches")


def shown_while_read(form: Format | None, *, is_long: bool, is_held: bool) -> Callable[[Iterator[T]], Iterable[T]]:
    """Return a progress bar on stderr for long reads, unless rows appear on the same screen at the same time."""
    is_quiet_on_screen = is_held or form is Format.JSON or not sys.stdout.isatty()
    if (is_long or is_held) and is_quiet_on_screen:
        return lambda found: progress(found, "Reading markets")
    return lambda found: found
