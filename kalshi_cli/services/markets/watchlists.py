"""Watchlists: named lists of markets, in a file of the state directory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from kalshi_cli.base.checked import check_tickers
from kalshi_cli.base.errors import NotFoundError, UsageError
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.user_files import Watchlists, watchlist_file
from kalshi_cli.views.watchlists import WatchlistRow

MAX_LISTS = 50
MAX_TICKERS = 200
"""Markets of one list."""

BUSY_S = 5.0
"""Seconds to wait for another program that changes the file."""


def listed(resources: Resources) -> Sequence[WatchlistRow]:
    """Return the watchlists by name."""
    found = watchlist_file(resources.state_dir).read().lists
    return [WatchlistRow(name=name, tickers=tickers) for name, tickers in sorted(found.items())]


def names(state_dir: Path) -> Sequence[str]:
    """Return the names of the watchlists in a state directory."""
    return sorted(watchlist_file(state_dir).read().lists)


def tickers(resources: Resources, name: str) -> Sequence[str]:
    """Return the tickers of a watchlist. NotFoundError for an unknown name."""
    return _found(watchlist_file(resources.state_dir).read(), name.lower())


def wanted_row(resources: Resources, name: str, wanted: Sequence[str]) -> WatchlistRow:
    """Return what `add` would add. UsageError for an invalid name, NotFoundError for an unknown market."""
    name = name.lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", name):
        raise UsageError(f"Invalid watchlist name: {name}", hint="use up to 32 letters, digits, - and _, such as nfl")
    more = tuple(ticker.upper() for ticker in check_tickers(wanted))
    try:
        run_markets(resources.client, resources.clock.now(), list(more), "")
    except NotFoundError as error:
        raise NotFoundError(f"{error.message}; nothing was added to {name}", hint=error.hint) from error
    return WatchlistRow(name=name, tickers=more)


def add(resources: Resources, name: str, wanted: Sequence[str]) -> WatchlistRow:
    """Add markets to a watchlist. UsageError for an invalid name or too many, NotFoundError for an unknown market."""
    row = wanted_row(resources, name, wanted)
    name, more = row.name, row.tickers
    with watchlist_file(resources.state_dir).changing(resources.machine, BUSY_S) as draft:
        lists = draft.value.lists
        kept = tuple(dict.fromkeys((*lists.get(name, ()), *more)))
        if len(kept) > MAX_TICKERS or len({*lists, name}) > MAX_LISTS:
            raise UsageError(
                f"At most {MAX_LISTS} watchlists with {MAX_TICKERS} markets each",
                hint=f"kalshi watchlist remove {name}",
            )
        draft.value = Watchlists({**lists, name: kept})
    return WatchlistRow(name=name, tickers=kept)


def remove(resources: Resources, name: str, unwanted: Sequence[str]) -> WatchlistRow | None:
    """Remove markets, or without any the whole watchlist; return what is left. NotFoundError if one is not there."""
    name, gone = name.lower(), {ticker.upper() for ticker in check_tickers(unwanted)}
    with watchlist_file(resources.state_dir).changing(resources.machine, BUSY_S) as draft:
        before = _found(draft.value, name)
        if missing := sorted(gone - set(before)):
            raise NotFoundError(f"Not in {name}: {', '.join(missing)}", hint=f"kalshi watchlist list {name}")
        kept = tuple(ticker for ticker in before if gone and ticker not in gone)
        others = {each: found for each, found in draft.value.lists.items() if each != name}
        draft.value = Watchlists({**others, name: kept} if kept else others)
    return WatchlistRow(name=name, tickers=kept) if kept else None


def _found(watchlists: Watchlists, name: str) -> tuple[str, ...]:
    if name not in watchlists.lists:
        known = ", ".join(sorted(watchlists.lists))
        hint = f"watchlists: {known}" if known else "create it: run `kalshi watchlist add NAME TICKER`"
        raise NotFoundError(f"No watchlist {name}", hint=hint)
    return watchlists.lists[name]
