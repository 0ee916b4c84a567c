"""The local market catalog: its refresh, and searches in it.

Shell completion imports this module, so it imports little itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import AnotherInstanceError, StateFileError, UnreachableError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts
from kalshi_cli.config.config import Config
from kalshi_cli.store.catalog.entries import ANYWHERE, CatalogFilter, CatalogStats, Entry, Kind, RefreshProgress
from kalshi_cli.store.catalog.sqlite_catalog import Catalogue, catalogue_path, delete_catalogue, open_catalogue
from kalshi_cli.store.lock import holder, lock

if TYPE_CHECKING:
    from kalshi_cli.core.model.markets import Event, Market, Series
    from kalshi_cli.exchange.client import KalshiClient

MAX_ENTRIES = 300_000
"""Beyond this number the markets that close first are dropped."""

FORGET_OVER_MS = 7 * 86_400_000
"""A market that settled and closed earlier than this is dropped."""

FULL_AGAIN_MS = 7 * 86_400_000
"""After this time everything is read again, because a list of changes would be as long."""

RESUME_WITHIN_MS = 3_600_000
"""An interrupted refresh continues if it began within this time; otherwise it starts again."""

OVERLAP_MS = 300_000
"""Changes are read from a little before the last refresh, because clocks differ and reads lag."""

MAX_PAGES = 5_000

EVERYTHING = (
    (Kind.SERIES, None),
    (Kind.EVENT, "open"),
    (Kind.EVENT, "unopened"),
    (Kind.MARKET, "open"),
    (Kind.MARKET, "unopened"),
    (Kind.MARKET, "paused"),
    (Kind.MARKET, "closed"),
)
"""The lists of a full refresh: all but settled markets. Series and events come first: their titles find markets too."""

CHANGES = ((Kind.SERIES, None), (Kind.EVENT, None), (Kind.MARKET, None))


# -- the file -----------------------------------------------------------------------------------------------------


@contextmanager
def _alone(config: Config, clock: Clock) -> Iterator[None]:
    """Lock the catalog for changes by one process; readers do not wait."""
    path = catalogue_path(config).with_suffix(".lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(path, clock))
        except AnotherInstanceError as error:
            raise AnotherInstanceError(
                f"Another process is refreshing the catalog ({holder(path)})", hint="wait until it has finished"
            ) from error
        yield


def refresh(
    config: Config,
    client: KalshiClient,
    clock: Clock,
    show: Callable[[Iterator[int]], Iterable[int]] = lambda pages: pages,
    *,
    is_full: bool = False,
) -> CatalogRefresh:
    """Create or update the catalog and return what was read. A damaged file is replaced. `show` sees the pages."""
    with _alone(config, clock):
        for is_last_try in (False, True):
            catalogue = open_catalogue(config, create=True)
            assert catalogue is not None
            try:
                one = CatalogRefresh(client, catalogue, clock, is_full=is_full)
                for _ in show(one.pages()):
                    pass
                return one
            except StateFileError as error:
                if is_last_try or error.code not in ("state", "state_damaged"):
                    raise
                delete(catalogue)
            finally:
                catalogue.close()
        raise AssertionError("the second try returns or raises")


def clear(config: Config, clock: Clock) -> Path | None:
    """Delete the catalog and return its path; None if there was no catalog."""
    path = catalogue_path(config)
    if not path.exists():
        return None
    with _alone(config, clock):
        return path if delete_catalogue(path) else None


# -- finding ------------------------------------------------------------------------------------------------------


class CatalogMatches(msgspec.Struct, frozen=True, kw_only=True):
    """The matches of a search, best first. `has_all` is False if no entry has every word and these have some."""

    entries: list[Entry]
    as_of: Ts
    has_all: bool = True

    @property
    def tickers(self) -> list[str]:
        """Return the tickers of the matches."""
        return [entry.ticker for entry in self.entries]


def search(
    catalogue: Catalogue | None, kind: Kind, text: str, *, narrow: CatalogFilter = ANYWHERE, most: int = 1_000
) -> CatalogMatches | None:
    """Return the entries whose ticker and titles have all of these words; without text all, by ticker.

    None without a complete catalog: ask the exchange instead. A damaged file is deleted first.
    """
    if catalogue is None:
        return None
    try:
        as_of = catalogue.extent().as_of
        if as_of is None:
            return None
        found = catalogue.search(kind, text, narrow=narrow, most=most)
        if found or len(text.split()) < 2:
            return CatalogMatches(entries=found, as_of=as_of)
        found = catalogue.search(kind, text, narrow=narrow, needs_all=False, most=most)
        return CatalogMatches(entries=found, as_of=as_of, has_all=not found)
    except StateFileError:
        delete(catalogue)
        return None


def catalog_stats(catalogue: Catalogue | None) -> CatalogStats | None:
    """Return the size and age of the catalog; None without a readable one."""
    if catalogue is None:
        return None
    try:
        return catalogue.extent()
    except StateFileError:
        delete(catalogue)
        return None


def delete(catalogue: Catalogue) -> None:
    """Delete a damaged catalog; the next refresh creates a new one."""
    with suppress(StateFileError):
        catalogue.discard()


def completions(config: Config, kind: str, start: str, most: int) -> list[tuple[str, str]]:
    """Return the tickers that begin with `start`, with their titles; none without a catalog."""
    catalogue = open_catalogue(config)
    if catalogue is None:
        return []
    try:
        return catalogue.completions(Kind(kind), start, most)
    finally:
        catalogue.close()


def cached_market(entry: Entry) -> Market:
    """Return the market of an entry; StateFileError if the entry is damaged."""
    from kalshi_cli.core.model.markets import Market

    try:
        return msgspec.json.decode(entry.body, type=prepared(Market))
    except (msgspec.DecodeError, RecursionError) as error:
        raise StateFileError(
            f"The catalog entry of {entry.ticker} cannot be read", hint="kalshi catalog clear"
        ) from error


# -- the refresh -------------------------------------------------------------------------------------------------


class CatalogRefresh:
    """A refresh: iterate over `pages`. After an interruption the next refresh continues with the missing page."""

    def __init__(self, client: KalshiClient, catalogue: Catalogue, clock: Clock, *, is_full: bool = False) -> None:
        self._client = client
        self._catalogue = catalogue
        self._now = clock.now()
        extent = catalogue.extent()
        self.progress, self.is_resumed = _begin(extent.as_of, extent.unfinished, self._now, is_full=is_full)
        self.counts: dict[str, int] = dict.fromkeys(Kind, 0)
        """The number of entries of each kind that this run read."""

    @property
    def is_full(self) -> bool:
        """Return whether everything is read, not only changes."""
        return self.progress.since is None

    def pages(self) -> Iterator[int]:
        """Read and store page after page; yield the number of entries of each."""
        lists = EVERYTHING if self.is_full else CHANGES
        for step in range(self.progress.step, len(lists)):
            kind, status = lists[step]
            yield from self._read(kind, status, step)
        self._catalogue.finish(self.progress, forget_over_before=Ts(self._now - FORGET_OVER_MS), most=MAX_ENTRIES)

    def _read(self, kind: Kind, status: str | None, step: int) -> Iterator[int]:
        """Read one list to its end. Each page is on disk, with the cursor of the next one, before it is yielded."""
        cursor = self.progress.cursor if step == self.progress.step else ""
        seen = {cursor}
        for _ in range(MAX_PAGES):
            entries, cursor = self._page(kind, cursor, status)
            is_last = not cursor
            started, since = self.progress.started, self.progress.since
            self.progress = RefreshProgress(started=started, since=since, step=step + is_last, cursor=cursor)
            self._catalogue.put(entries, self.progress)
            self.counts[kind] += len(entries)
            yield len(entries)
            if is_last:
                return
            if cursor in seen:
                raise UnreachableError(f"The exchange's list of {kind}s repeats and has no end")
            seen.add(cursor)
        raise UnreachableError(f"The exchange's list of {kind}s has more than {MAX_PAGES} pages")

    def _page(self, kind: Kind, cursor: str, status: str | None) -> tuple[list[Entry], str]:
        since, client, catalogue = self.progress.since, self._client, self._catalogue
        if kind is Kind.SERIES:
            return [_series_entry(series) for series in client.series_list(min_updated=since)], ""
        if kind is Kind.EVENT:
            events = client.event_page(cursor, status, since)
            titles = catalogue.titles(Kind.SERIES, _distinct(event.series_ticker for event in events.items))
            return [_event_entry(event, titles.get(event.series_ticker, "")) for event in events.items], events.cursor
        markets = client.market_page(cursor, status, since)
        titles = catalogue.titles(Kind.EVENT, _distinct(market.event_ticker for market in markets.items))
        return [_market_entry(each, titles.get(each.event_ticker, "")) for each in markets.items], markets.cursor


def _begin(
    as_of: Ts | None, unfinished: RefreshProgress | None, now: Ts, *, is_full: bool
) -> tuple[RefreshProgress, bool]:
    """Return where to begin, and whether that continues an interrupted refresh."""
    is_full = is_full or as_of is None or now - as_of > FULL_AGAIN_MS
    is_fresh = unfinished is not None and now - unfinished.started < RESUME_WITHIN_MS
    if unfinished is not None and is_fresh and (unfinished.since is None or not is_full):
        return unfinished, True
    since = None if is_full or as_of is None else Ts(as_of - OVERLAP_MS)
    return RefreshProgress(started=now, since=since), False


def _distinct(tickers: Iterable[str]) -> Sequence[str]:
    return list(dict.fromkeys(tickers))


def _market_entry(market: Market, kin: str) -> Entry:
    """Return the entry of a market without its rules, which are most of its size and are read live."""
    title = market.title if market.subtitle in market.title else f"{market.title} ({market.subtitle})"
    short = msgspec.structs.replace(market, rules_primary="", rules_secondary="", early_close_condition="")
    return Entry(
        kind=Kind.MARKET,
        ticker=market.ticker,
        parent=market.event_ticker,
        title=title,
        kin=kin,
        closes=market.close_time,
        is_over=market.status.value == "finalized",
        body=msgspec.json.encode(short),
    )


def _event_entry(event: Event, kin: str) -> Entry:
    return Entry(
        kind=Kind.EVENT,
        ticker=event.event_ticker,
        parent=event.series_ticker,
        title=f"{event.title} {event.sub_title}".strip(),
        kin=f"{kin} {event.category}".strip(),
        body=msgspec.json.encode(msgspec.structs.replace(event, markets=())),
    )


def _series_entry(series: Series) -> Entry:
    return Entry(
        kind=Kind.SERIES,
        ticker=series.ticker,
        title=series.title,
        kin=" ".join(dict.fromkeys((series.category, *series.categories, *series.tags))),
        body=msgspec.json.encode(series),
    )
