"""The catalog in SQLite: one table, and a full-text index where this SQLite supports it (FTS5).

It is a cache, so no write waits for the disk and nothing is repaired: the next refresh replaces a file that is broken,
newer or of another exchange; until then it counts as missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import Ts
from kalshi_cli.base.version import __version__
from kalshi_cli.config.config import HOSTS, Config, state_dir
from kalshi_cli.store import rows
from kalshi_cli.store.catalog.entries import ANYWHERE, CatalogFilter, CatalogStats, Entry, Kind, RefreshProgress
from kalshi_cli.store.database import PARTS, Database
from kalshi_cli.store.migrations import step, steps_of

MAX_WORDS = 12
"""The most words of a search; more are ignored."""

_WORD = re.compile(r"[^\W_]+")
_EQUAL = 0.95
"""Matches of one event are equal from this part of the best one's score on: a longer title alone lowers it a little."""
_AS_LISTED = "closes, parent, entries.id"
_RANKED = """(
        SELECT id, score, MIN(score) OVER (PARTITION BY coalesce(nullif(parent, ''), ticker)) AS best FROM (
            SELECT entries.id, parent, entries.ticker, bm25(words, 4.0, 2.0, 1.0) AS score
            FROM words JOIN entries ON entries.id = words.rowid WHERE words MATCH ? AND {where} LIMIT -1
        )
    ) AS ranked JOIN entries ON entries.id = ranked.id
    ORDER BY CASE WHEN score <= {equal} * best THEN best ELSE score END"""

_TABLES, _INDEX = steps_of(Path(__file__).with_name("catalog.sql"))
_PUT = f"""{rows.insert("entries", Entry)}
    ON CONFLICT (kind, ticker) DO UPDATE SET parent = excluded.parent, title = excluded.title, kin = excluded.kin,
    closes = excluded.closes, is_over = excluded.is_over, body = excluded.body, seen = excluded.seen"""


class _Cache(Database):
    """A database that is not checked when opened: reading fifty megabytes takes longer than completing a word may."""

    is_read_through = False


class Catalogue:
    """The catalog of one environment. Every method may raise StateFileError: then `discard` it and continue."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_indexed = _has_index(database)

    @classmethod
    def open(cls, path: Path, source: str, *, create: bool = False, can_index: bool = True) -> Catalogue | None:
        """Return the catalog of `source` (the copied exchange), or None without a usable one.

        With `create` it exists afterwards, whatever file was there before; StateFileError where it cannot be written.
        Without `can_index` words are searched one by one, as where SQLite has no FTS5.
        """
        if not create:
            try:
                return cls._open(path, source, create=False, can_index=can_index)
            except StateFileError:
                return None
        try:
            found = cls._open(path, source, create=True, can_index=can_index)
        except StateFileError as error:
            if error.code in ("state_unwritable", "state_full", "state_locked"):
                raise
            found = None
        if found is None:
            _delete(path)
            found = cls._open(path, source, create=True, can_index=can_index)
        return found

    @classmethod
    def _open(cls, path: Path, source: str, *, create: bool, can_index: bool) -> Catalogue | None:
        """Return None for a file of another exchange, or with an index that this SQLite does not support."""
        database = _Cache(path, (step(_TABLES),), create=create, is_handed_over=True)  # any thread may search
        try:
            owner = database.read("SELECT source FROM listing")
            if not owner and create:
                statements = _INDEX if can_index and _has_fts(database) else ()
                with database.writing(durable=False) as execute:
                    if not execute("SELECT 1 FROM listing").fetchone():
                        for statement in statements:
                            execute(statement)
                        execute("INSERT INTO listing (id, source) VALUES (1, ?)", (source,))
                owner = database.read("SELECT source FROM listing")
            is_ours = owner == [(source,)] and (not _has_index(database) or _has_fts(database))
        except BaseException:
            database.close()
            raise
        if not is_ours:
            database.close()
            return None
        return cls(database)

    # -- a refresh ------------------------------------------------------------------------------------------------

    def put(self, entries: Iterable[Entry], progress: RefreshProgress) -> None:
        """Add or replace these entries and save the progress of the refresh, all or nothing."""
        with self._database.writing(durable=False) as execute:
            for entry in entries:
                execute(_PUT, rows.row(msgspec.structs.replace(entry, seen=progress.started)))
            execute(
                "UPDATE listing SET started = ?, since = ?, step = ?, cursor = ?",
                (progress.started, progress.since, progress.step, progress.cursor),
            )

    def finish(self, progress: RefreshProgress, *, forget_over_before: Ts, most: int) -> None:
        """Complete a refresh and delete old entries.

        Deletes entries that a full refresh did not see, those that settled and closed before `forget_over_before`, and
        beyond `most` entries those that close first.
        """
        with self._database.writing(durable=False) as execute:
            if progress.since is None:
                execute("DELETE FROM entries WHERE seen <> ?", (progress.started,))
            execute("DELETE FROM entries WHERE is_over AND closes < ?", (forget_over_before,))
            kept = execute("SELECT COUNT(*) FROM entries").fetchone()[0]
            if kept > most:
                execute(
                    "DELETE FROM entries WHERE id IN "
                    "(SELECT id FROM entries WHERE kind = 'market' ORDER BY is_over DESC, closes, id LIMIT ?)",
                    (kept - most,),
                )
            execute("UPDATE listing SET as_of = ?, started = NULL", (progress.started,))

    def extent(self) -> CatalogStats:
        """Return the size and the age of the catalog."""
        as_of, *progress = self._database.read("SELECT as_of, started, since, step, cursor FROM listing")[0]
        counts = dict(self._database.read("SELECT kind, COUNT(*) FROM entries GROUP BY kind"))
        unfinished = None if progress[0] is None else rows.read(RefreshProgress, tuple(progress))
        return CatalogStats(
            as_of=as_of,
            unfinished=unfinished,
            markets=counts.get(Kind.MARKET, 0),
            events=counts.get(Kind.EVENT, 0),
            series=counts.get(Kind.SERIES, 0),
            bytes_on_disk=sum(path.stat().st_size for path in _files(self._database.path) if path.exists()),
            is_indexed=self._is_indexed,
        )

    # -- finding --------------------------------------------------------------------------------------------------

    def search(
        self, kind: Kind, text: str, *, narrow: CatalogFilter = ANYWHERE, needs_all: bool = True, most: int
    ) -> list[Entry]:
        """Return the entries that match all words of the text, or any without `needs_all`, the best first.

        Entries match with words that begin with those of the text. After them come entries that have the whole text
        inside a word, as KXNBAGAME has `nba`. If no word begins so, entries with the words anywhere match. Equally good
        matches, such as the strikes of an event, come as the exchange lists them.
        Without text, all entries match, sorted by ticker.
        """
        rules, values = ["entries.kind = ?"], [kind.value]
        if narrow.parent:
            rules.append("parent = ?")
            values.append(narrow.parent)
        if narrow.series:
            rules.append("parent IN (SELECT ticker FROM entries WHERE kind = 'event' AND parent = ?)")
            values.append(narrow.series)
        if narrow.open_at is not None:
            rules.append(f"NOT is_over AND (closes IS NULL OR closes > {int(narrow.open_at)})")
        where = " AND ".join(rules)
        words = list(islice(_WORD.findall(text.casefold()), MAX_WORDS))
        if words:
            return self._find(text.strip().casefold(), words, "AND" if needs_all else "OR", where, values, most)
        # The text has no word, only a dash or an emoji: find nothing rather than everything.
        return [] if text.strip() else self._entries(f"entries WHERE {where} ORDER BY ticker LIMIT ?", values, most)

    def _find(self, text: str, words: list[str], joint: str, where: str, values: list[str], most: int) -> list[Entry]:
        found: list[Entry] = []
        match, other = f" {joint} ".join(f'"{word}"*' for word in words), ""
        if self._is_indexed:
            rest = f"{_RANKED.format(where=where, equal=_EQUAL)}, {_AS_LISTED} LIMIT ?"
            found = self._entries(rest, [match, *values], most)
            other = "AND entries.id NOT IN (SELECT rowid FROM words WHERE words MATCH ?)"
        if len(found) == most:
            return found
        parts = [text] if found else words  # beside good matches "york 31" must not bring every number with a 31 in it
        each = "instr(lower(entries.ticker || ' ' || entries.title || ' ' || entries.kin), ?)"
        matches = f" {joint} ".join([each] * len(parts))
        rest = f"entries WHERE ({matches}) AND {where} {other} ORDER BY {_AS_LISTED} LIMIT ?"
        given = [*parts, *values, *([match] if self._is_indexed else ())]
        return [*found, *self._entries(rest, given, most - len(found))]

    def _entries(self, rest: str, values: Sequence[object], most: int) -> list[Entry]:
        names = ", ".join(f"entries.{name}" for name in Entry.__struct_fields__)
        found = self._database.read(f"SELECT {names} FROM {rest}", (*values, most))  # noqa: S608 - constants
        return [rows.read(Entry, each) for each in found]

    def completions(self, kind: Kind, start: str, most: int) -> list[tuple[str, str]]:
        """Return tickers with this prefix, with their titles; beyond `most`, only the next distinct prefixes.

        "KXB" with thousands of markets gives KXBT, KXBN, ...: a shell completes the common part of its list, so a list
        that is cut would complete to a wrong ticker.
        """
        within = "FROM entries WHERE kind = ? AND ticker >= ? AND ticker < ?"
        bounds = (kind.value, start, start + "\U0010ffff")
        found = self._database.read(f"SELECT ticker, title {within} ORDER BY ticker LIMIT ?", (*bounds, most + 1))
        if len(found) <= most:
            return [(ticker, title) for ticker, title in found]
        low, high = self._database.read(f"SELECT MIN(ticker), MAX(ticker) {within}", bounds)[0]
        shared = next(at for at, (a, b) in enumerate(zip(low, high + " " * len(low), strict=False)) if a != b)
        groups = self._database.read(
            f"SELECT DISTINCT substr(ticker, 1, ?) {within} LIMIT ?", (shared + 1, *bounds, most)
        )
        return [(group, "") for (group,) in groups]

    def titles(self, kind: Kind, tickers: Sequence[str]) -> dict[str, str]:
        """Return the titles and kin of these tickers, as one text each."""
        found: dict[str, str] = {}
        for start in range(0, len(tickers), 500):
            some = tickers[start : start + 500]
            marks = ", ".join("?" * len(some))
            sql = f"SELECT ticker, title, kin FROM entries WHERE kind = ? AND ticker IN ({marks})"  # noqa: S608 - marks
            rows = self._database.read(sql, (kind.value, *some))
            found.update((ticker, f"{title} {kin}".strip()) for ticker, title, kin in rows)
        return found

    # -- the file -------------------------------------------------------------------------------------------------

    def discard(self) -> None:
        """Close the catalog and delete its file."""
        self._database.close()
        _delete(self._database.path)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def delete_catalogue(path: Path) -> bool:
    """Delete the file, whatever it contains; return whether it existed."""
    was_there = path.exists()
    _delete(path)
    return was_there


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + part) for part in PARTS]


def _delete(path: Path) -> None:
    for each in _files(path):
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            raise StateFileError(f"Cannot delete {each}: {error.strerror}", hint="delete it by hand") from error


def _has_fts(database: Database) -> bool:
    return bool(database.read("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"))


def _has_index(database: Database) -> bool:
    return bool(database.read("SELECT 1 FROM sqlite_master WHERE name = 'words'"))


FILE = "catalogue"


def catalogue_path(config: Config) -> Path:
    """Return the path of the catalog, beside the state file. An unusual host of the environment has its own file."""
    given = urlsplit(config.exchange.rest_url)
    own = (
        f"-{given.netloc}"
        if given.netloc and given.netloc != urlsplit(HOSTS.get(config.env, ("", ""))[0]).netloc
        else ""
    )
    return state_dir(config) / f"{FILE}{own}.db"


def open_catalogue(config: Config, *, create: bool = False) -> Catalogue | None:
    """Return the catalog of this environment, if it is usable; with `create` there is one afterwards.

    The catalog of another version of this program may hold objects of another structure: it counts as missing.
    """
    source = f"{config.env} {config.rest_url} {__version__}"
    return Catalogue.open(catalogue_path(config), source, create=create)
