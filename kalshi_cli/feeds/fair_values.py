"""Probabilities by market that somebody else's model says, read again and again into FairValue messages.

A table of them is text, CSV (`ticker,probability[,until]`) or JSON; where it comes from is handed in
(`fair_sources.py` has files and commands). A line that cannot be read is counted and told, and is no reason to leave
out the others. What was made longer ago than it holds for is as good as nothing, however often it is read.
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
"""Of one table."""
MAX_MARKETS = 500
"""Of one table: half of the messages from outside that may wait."""
MAX_READ_S = 10.0
"""The end of a run waits no longer for a read that is at hand."""
TELL_EVERY_S = 60.0
"""What is wrong with a source is told at most so often."""

HEADINGS = (["ticker", "probability"], ["ticker", "probability", "until"])
"""Of a table in CSV, which may be without one."""

TICKER = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,99}")
_NUMBER = re.compile(r"(?=.{1,60}\Z)([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_NAMES = re.compile(r"[\w .-]{0,15}([,;|\t][\w .-]{0,15}){0,9}", re.ASCII)
_JSON = msgspec.json.Decoder(float_hook=Decimal)


class SourceError(ValueError):
    """Text from outside that cannot be read, or a source that gave none. The text says why, in one safe line."""


def wrong_heading(found: str, expected: str) -> SourceError:
    """Of a CSV: what stands in its first line, where all of it is short, and what would be right.

    A path may lead, by a link or a slip, to a file with keys, and what is told is written down.
    """
    names = f" is {found!r}, and" if _NAMES.fullmatch(found) else ""
    return SourceError(f"its first line{names} must be {expected}")


class FairValueEntry(NamedTuple):
    """What one YES is worth; `until` where the source itself says when that ends."""

    fair: Price
    until: Ts | None = None


class FairValueTable(NamedTuple):
    """By ticker; of a ticker that is there twice the last line counts. `first_junk` is what is wrong with the first of
    the `junk` lines.
    """

    fairs: dict[str, FairValueEntry]
    junk: int = 0
    first_junk: str = ""


class FairValuePage(NamedTuple):
    """What a source said, and how many seconds ago that was made."""

    body: bytes
    age_s: float = 0.0


# -- reading a table ----------------------------------------------------------------------------------------------


def read_table(body: bytes) -> FairValueTable:
    """CSV, or JSON where the first character is one of `{[`: {"TICKER": 0.45} or [{"ticker", "probability", "until"}].

    SourceError where nothing of it can be read.
    """
    if len(body) > MAX_BYTES:
        raise SourceError(f"it is longer than {MAX_BYTES} bytes")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError("it is not text in UTF-8") from None
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
            raise SourceError(f"it has more than {MAX_MARKETS} markets")
    return FairValueTable(fairs, junk, first)


def probability(value: object) -> Price:
    """From 0 to 1, as text or as a number of JSON, to the nearest ten-thousandth; SourceError for anything else."""
    text = str(value).strip() if isinstance(value, str | Decimal) else ""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1:
        text = "1" if value else "0"
    if _NUMBER.fullmatch(text) is None:
        raise SourceError(f"no probability from 0 to 1: {safe_text(text, 12)!r}")
    number = Decimal(text)
    if number > 1:
        raise SourceError(f"no probability from 0 to 1: {safe_text(text, 12)}")
    return Price(int((number * ONE_DOLLAR).to_integral_value(ROUND_HALF_EVEN)))


def _csv_rows(text: str) -> Iterator[tuple[str, list[object]]]:
    """Lines that are not empty, without the heading."""
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
        if row and number == 1 and not any(map(str.isdigit, "".join(row))):  # words alone, so a heading
            if [cell.strip().lower() for cell in row] not in HEADINGS:
                raise wrong_heading(",".join(row), " or ".join(map(",".join, HEADINGS)))
        elif row:
            yield f"line {number}", list(row)


def _json_rows(text: str) -> Iterator[tuple[str, list[object]]]:
    try:
        found = _JSON.decode(text)
    except (msgspec.MsgspecError, RecursionError, ArithmeticError) as error:
        raise SourceError(f"it is not JSON: {safe_text(str(error), 100)}") from None
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
    """`ticker, probability[, until]`; SourceError for anything else."""
    if len(row) not in (2, 3):
        raise SourceError("not a ticker, a probability, and at most a time")
    ticker = row[0].strip().upper() if isinstance(row[0], str) else ""
    if TICKER.fullmatch(ticker) is None:
        raise SourceError("no ticker")
    until = row[2] if len(row) == 3 else ""
    if not isinstance(until, str):
        raise SourceError("no time")
    try:
        ends = parse_ts(until.strip()) if until.strip() else None
    except (ValueError, OverflowError):
        raise SourceError(f"no time with a zone: {safe_text(until, 40)!r}") from None
    return ticker, FairValueEntry(probability(row[1]), ends)


# -- reading a source again and again -----------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class FairReader:
    """One source. `fetch` says what it has now, or raises SourceError; it is asked every `every_s` while `is_open`.

    What it says holds for `valid_s` after it was made, and never longer than the source itself says. What it names no
    more is not taken back; it ends by itself. `bring` gets the messages, `tell` what is wrong, whenever that changes.
    `tickers` are the markets of the run, where they are known: a source that names none of them moves nothing.
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
        self._said = ""
        self._quiet_until = self.clock.monotonic()
        self.source = SourceMonitor(f"model {self.name}", self.clock, max(self.valid_s, 2 * self.every_s))

    @contextmanager
    def run_in_thread(self, stopping: threading.Event) -> Iterator[FairReader]:
        """Read in a thread until the context ends, and sets `stopping` for whatever is read at that moment."""
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
        """Once, and now."""
        try:
            page = self.fetch()
            table = read_table(page.body)
        except SourceError as error:
            self.source.failed(str(error))
            self._say(f"nothing new: {error}")
            return
        now, left_s = self.clock.now(), self.valid_s - page.age_s
        if left_s <= 0:
            old = f"what it says is {page.age_s:.0f} s old, and holds for {self.valid_s:g} s: not used"
            self.source.failed(old)
            self._say(old)
            return
        ends = Ts(now + int(left_s * 1000))
        over = 0
        for ticker, (fair, until) in table.fairs.items():
            until = ends if until is None else min(ends, until)
            over += until <= now
            self.bring(FairValue(now, ticker, fair, self.name, until))
        problems = []
        if table.junk:
            problems.append(f"{pluralize(table.junk, 'line')} cannot be read, the first is {table.first_junk}")
        if over:
            problems.append(f"{pluralize(over, 'market')} whose time is over")
        known = self.tickers()
        is_foreign = bool(table.fairs and known) and table.fairs.keys().isdisjoint(known)
        if is_foreign:
            problems.append(f"no market that it names is in this run, such as {safe_text(next(iter(table.fairs)), 40)}")
        said = "; ".join(problems) or ("" if table.fairs else "it names no market")
        if is_foreign or over == len(table.fairs):
            self.source.failed(said)
        else:
            self.source.answered(page.age_s)
        self._say(said)

    def _say(self, what: str) -> None:
        """Whatever changed; that all is well again only by being silent."""
        now = self.clock.monotonic()
        if what == self._said or (what and now < self._quiet_until):
            return
        self._said = what
        if what:
            self._quiet_until = now + TELL_EVERY_S
            self.tell(f"{self.name}: {what}")
