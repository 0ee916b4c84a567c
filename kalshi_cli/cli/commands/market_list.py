"""What `kalshi markets` shows beside its rows: how old they are, and how many were read so far."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from kalshi_cli.base.units import Ts
from kalshi_cli.cli.screen.output import Format, info
from kalshi_cli.cli.screen.prompts import progress
from kalshi_cli.views.formats import format_time

if TYPE_CHECKING:
    from kalshi_cli.services.markets.market_search import MarketSelection

T = TypeVar("T")

OLD_MS = 86_400_000
"""A catalogue older than this misses what was listed since."""


def print_catalog_age(choice: MarketSelection[Any], search: str, now: Ts) -> None:
    """Where they were found, and how old that is; how to find more where there is no catalogue."""
    if choice.as_of is None:
        if search:
            info("searched the exchange's list by letters; kalshi catalogue refresh makes a catalogue of words")
        return
    old = "; kalshi catalogue refresh brings what is new" if now - choice.as_of > OLD_MS else ""
    info(f"catalogue as of {format_time(choice.as_of, now)}{old}")
    if choice.seen:
        info("a refresh of changes leaves out what only traded: prices are those of each row's as_of")
    if not choice.has_all:
        info("nothing has all of these words; these have some of them")


def shown_while_read(form: Format | None, *, is_long: bool, is_held: bool) -> Callable[[Iterator[T]], Iterable[T]]:
    """A bar on stderr while markets are read, unless the rows themselves go to the same screen meanwhile."""
    is_quiet_on_screen = is_held or form is Format.JSON or not sys.stdout.isatty()
    if (is_long or is_held) and is_quiet_on_screen:
        return lambda found: progress(found, "reading markets")
    return lambda found: found
