"""Fair values from an external model, read periodically into FairValue messages.

A table of fair values is CSV (`ticker,probability[,until]`) or JSON text; its source is a parameter (`fair_sources.py`
has files and commands). An invalid line is counted and reported; the other lines are used. A table older than its
validity is not used, however often it is read.
"""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, parse_ts, pluralize
from kalshi_cli.core.model.messages import FairValue
from kalshi_cli.feeds.source_monitor import SourceMonitor

MAX_BYTES = 1_000_000
"""Size limit of one table."""
MAX_MARKETS = 500
"""Markets in one table, at most: half of the external messages that may wait in the queue."""
MAX_READ_S = 10.0
"""Time that the end of a run waits for a read in progress."""
TELL_EVERY_S = 60.0
"""Minimum interval between two warnings about a source."""

HEADINGS = (["ticker", "probability"], ["ticker", "probability", "until"])
"""The headings of a CSV table; a heading is optional."""

TICKER = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,99}")
_NUMBER = re.compile(r"(?=.{1,60}\Z)([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_NAMES = re.compile(r"[\w .-]{0,15}([,;|\t][\w .-]{0,15}){0,9}", re.ASCII)
_JSON = msgspec.json.Decoder(float_hook=Decimal)


class SourceError(ValueError):
    """External text that is invalid, or a source that gave none. The message is one safe line."""


def wrong_heading(found: str, expected: str) -> SourceError:
    """Return the error for a CSV with a wrong first line; it quotes that line only if it looks like column names.

    A wrong path may lead to a file with keys, and the message is logged.
    """
    names = f" is {found!r}, and" if _NAMES.fullmatch(found) else ""
    return SourceError(f"the first line{names} must be {expected}")


class FairValueEntry(NamedTuple):
    """The fair value of one YES contract; `until` is when it ends, if the source says so."""

    fair: Price
    until: Ts | None = None


class FairValueTable(NamedTuple):
    """Fair values by ticker (the last line of each counts), the number of invalid lines, and the first error."""

    fairs: dict[str, FairValueEntry]
    junk: int = 0
    first_junk: str = ""


class FairValuePage(NamedTuple):
    """The content of a source, and its age in seconds."""

    body: bytes
    age_s: float = 0.0


# -- reading a table ----------------------------------------------------------------------------------------------


def read_table(body: bytes) -> FairValueTable:
    """Parse a table: CSV, or JSON as {"TICKER": 0.45} or [{"ticker", "probability", "until"}].

    Raises SourceError if nothing in it is readable.
    """
    text = text_of(body, MAX_BYTES)
    rows = _json_rows(text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text)
    fairs: dict[str, FairValueEntry] = {}
    junk, first = 0, ""
    for where, row in rows:
        try:
            ticker, fair = read_row(row)
        except SourceError as error:
            junk, first = junk + 1, first or f"{where}: {error}"
            continue
        fairs[ticker] = fair
        if len(fairs) > MAX_MARKETS:
            raise SourceError(f"more than {MAX_MARKETS} markets")
    return FairValueTable(fairs, junk, first)


def text_of(body: bytes, max_bytes: int) -> str:
    """Return external text. Raises SourceError if it is too long or not UTF-8."""
    if len(body) > max_bytes:
        raise SourceError(f"larger than {max_bytes} bytes")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError("not valid UTF-8") from None


def time_with_zone(text: str) -> Ts | None:
    """Return a time, None for blank text. Raises SourceError if it is invalid or has no zone."""
    try:
        return parse_ts(text.strip()) if text.strip() else None
    except (ValueError, OverflowError):
        raise SourceError(f"time without a zone: {safe_text(text, 40)!r}") from None


def probability(value: object) -> Price:
    """Return a probability from 0 to 1 (text or JSON number), rounded to 1e-4. Raises SourceError otherwise."""
    text = str(value).strip() if isinstance(value, str | Decimal) else ""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1:
        text = "1" if value else "0"
    if _NUMBER.fullmatch(text) is None or Decimal(text) > 1:
        raise SourceError(f"not a probability from 0 to 1: {safe_text(text, 12)!r}")
    return Price(int((Decimal(text) * ONE_DOLLAR).to_integral_value(ROUND_HALF_EVEN)))


def _csv_rows(text: str) -> Iterator[tuple[str, list[object]]]:
    """Yield the rows that are not empty, without the heading."""
    lines = csv.reader(text.splitlines(), skipinitialspace=True)
    number = 0
    while True:
        number += 1
        try:
            row = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise SourceError(f"line {number}: {safe_text(str(error), 100)}") from None
        if row and number == 1 and not any(map(str.isdigit, "".join(row))):  # Without digits it is a heading.
            if [cell.strip().lower() for cell in row] not in HEADINGS:
                raise wrong_heading(",".join(row), " or ".join(map(",".join, HEADINGS)))
        elif row:
            yield f"line {number}", list(row)


def _json_rows(text: str) -> Iterator[tuple[str, list[object]]]:
    try:
        found = _JSON.decode(text)
    except (msgspec.MsgspecError, RecursionError, ArithmeticError) as error:
        raise SourceError(f"invalid JSON: {safe_text(str(error), 100)}") from None
    if isinstance(found, dict):
        for ticker, value in found.items():
            yield safe_text(ticker, 40), [ticker, value]
        return
    for number, row in enumerate(found, start=1):
        if isinstance(row, dict):
            ends = row.get("until")
            yield f"row {number}", [row.get("ticker"), row.get("probability"), *([] if ends is None else [ends])]
        else:
            yield f"row {number}", []


def read_row(row: Sequence[object]) -> tuple[str, FairValueEntry]:
    """Parse a row `ticker, probability[, until]`. Raises SourceError for any other row."""
    if len(row) not in (2, 3):
        raise SourceError("expected a ticker, a probability and an optional time")
    ticker = row[0].strip().upper() if isinstance(row[0], str) else ""
    if TICKER.fullmatch(ticker) is None:
        raise SourceError("ticker missing or invalid")
    until = row[2] if len(row) == 3 else ""
    if not isinstance(until, str):
        raise SourceError("the time must be text")
    ends = time_with_zone(until)
    return ticker, FairValueEntry(probability(row[1]), ends)


# -- periodic reading ---------------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class FairReader:
    """A reader of one source. `fetch` returns its content or raises SourceError, every `every_s` while `is_open`.

    A fair value is valid for `valid_s` after its table was made, and never beyond its own end. A market that is missing
    in a new table keeps its value until it expires. `bring` gets the messages, `tell` a warning whenever the problems
    change. `tickers` returns the markets of the run, if known: a source with none of them counts as failed.
    """

    name: str
    fetch: Callable[[], FairValuePage]
    clock: Clock
    bring: Callable[[FairValue], None]
    _: KW_ONLY
    every_s: float
    valid_s: float
    is_open: Callable[[], bool] = lambda: True
    tickers: Callable[[], Collection[str]] = frozenset
    tell: Callable[[str], None] = lambda _text: None

    def __post_init__(self) -> None:
        self._last_problem = ""
        self._quiet_until = self.clock.monotonic()
        self.source = SourceMonitor(f"model {self.name}", self.clock, max(self.valid_s, 2 * self.every_s))

    @contextmanager
    def run_in_thread(self, stopping: threading.Event) -> Iterator[FairReader]:
        """Read in a thread until the context ends; then set `stopping` to end a read in progress."""
        thread = threading.Thread(target=self._follow, args=(stopping,), name=f"fairs-{self.name}", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stopping.set()
            thread.join(MAX_READ_S)

    def _follow(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            if self.is_open():
                self.read()
            else:
                self.source.answered()
            stopping.wait(self.every_s)

    def read(self) -> None:
        """Read the source once."""
        try:
            page = self.fetch()
            table = read_table(page.body)
        except SourceError as error:
            self.source.failed(str(error))
            self._warn(f"no update: {error}")
            return
        now, left_s = self.clock.now(), self.valid_s - page.age_s
        if left_s <= 0:
            old = f"fair values are {page.age_s:.0f} s old and valid for {self.valid_s:g} s; not used"
            self.source.failed(old)
            self._warn(old)
            return
        ends = Ts(now + int(left_s * 1000))
        over = 0
        for ticker, (fair, until) in table.fairs.items():
            until = ends if until is None else min(ends, until)
            over += until <= now
            self.bring(FairValue(now, ticker, fair, self.name, until))
        problems = []
        if table.junk:
            problems.append(f"{pluralize(table.junk, 'line')} cannot be read; first error: {table.first_junk}")
        if over:
            problems.append(f"{pluralize(over, 'market')} past their end time")
        known = self.tickers()
        is_foreign = bool(table.fairs and known) and table.fairs.keys().isdisjoint(known)
        if is_foreign:
            example = safe_text(next(iter(table.fairs)), 40)
            problems.append(f"none of its markets is in this run, for example {example}")
        problem = "; ".join(problems) or ("" if table.fairs else "no markets listed")
        if is_foreign or over == len(table.fairs):
            self.source.failed(problem)
        else:
            self.source.answered(page.age_s)
        self._warn(problem)

    def _warn(self, problem: str) -> None:
        """Warn if the problem changed; a recovery is silent."""
        now = self.clock.monotonic()
        if problem == self._last_problem or (problem and now < self._quiet_until):
            return
        self._last_problem = problem
        if problem:
            self._quiet_until = now + TELL_EVERY_S
            self.tell(f"{self.name}: {problem}")
