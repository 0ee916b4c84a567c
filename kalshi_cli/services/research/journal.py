"""Recording into a lake: a journal that is appended to and synced, and added to the lake as Parquet files.

Each recorder has a journal of its own, and holds its lock. A journal without a holder is what a killed recorder left:
the next one adds it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.files import make_folder, open_regular
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import Message
from kalshi_cli.feeds.recorder import MAX_BYTES, Recorder
from kalshi_cli.lake.lake import Lake
from kalshi_cli.services.research.lake_import import NO_DATA, import_file

SYNC_S = 5.0
"""Seconds between two syncs to the disk: what a killed recorder loses, at most, is twice that."""

ROTATE_S = 3_600.0
"""Seconds after which a journal is closed and added to the lake."""

_FOLDER = "journal"

LOCK_WAIT_S = 60.0
"""Seconds to wait for another writer of the lake."""


class JournalRecorder:
    """A recorder into a lake, used by any thread.

    A new journal starts every hour, with the markets and new snapshots of their books: a gap of about a second. The
    one before is added to the lake in the background. `tell` receives what went wrong with that.
    """

    def __init__(self, lake: Lake, clock: Clock, machine: Clock, tell: Callable[[str], None]) -> None:
        self._lake = lake
        self._clock = clock
        self._machine = machine
        self._tell = tell
        self._watched: dict[str, tuple[Market, FeeSchedule | None, Family | None]] = {}
        self._use_yes_price = True
        self._count = self._lines = 0
        self._adding: threading.Thread | None = None
        self._swap = threading.Lock()
        self.is_full = False
        self._open()

    def _open(self) -> None:
        self._count += 1
        folder = self._lake.root / _FOLDER
        make_folder(folder)
        self.path = folder / f"{self._clock.now()}-{os.getpid()}-{self._count}.jsonl"
        self._recorder = Recorder(self.path, self._clock, max_bytes=MAX_BYTES)
        self._held = hold(self.path)
        self._started = self._synced = self._clock.monotonic()

    @property
    def lines(self) -> int:
        """Return the number of lines of all journals."""
        return self._lines + self._recorder.lines

    def connected(self, *, use_yes_price: bool = True) -> None:
        """Note a new connection (see `Recorder`)."""
        with self._swap:
            self._use_yes_price = use_yes_price
            self._recorder.connected(use_yes_price=use_yes_price)

    def frame(self, raw: bytes | str) -> None:
        """Write a frame unchanged."""
        with self._swap:
            self._recorder.frame(raw)

    def heard(self, message: Message) -> None:
        """Write an external input."""
        with self._swap:
            self._recorder.heard(message)

    def watch(self, market: Market, fees: FeeSchedule | None = None, family: Family | None = None) -> None:
        """Note a market that is followed from now on or that changed."""
        _, known_fees, known_family = self._watched.get(market.ticker, (market, None, None))
        self._watched[market.ticker] = (market, fees or known_fees, family or known_family)
        with self._swap:
            self._recorder.watch(market, fees, family)

    def upkeep(self, resync: Callable[[str], None]) -> None:
        """Sync the journal, or start a new one, when it is time. Raises OSError if the disk fails."""
        now = self._clock.monotonic()
        if now - self._started >= ROTATE_S or self._recorder.is_full:
            self._rotate()
            for ticker in self._watched:
                resync(ticker)
        elif now - self._synced >= SYNC_S:
            self._synced = now
            self._recorder.sync()

    def _rotate(self) -> None:
        with self._swap:
            path, held = self.path, self._held
            self._recorder.close()
            self._lines += self._recorder.lines
            self._open()
            self._watched = {
                ticker: each for ticker, each in self._watched.items() if each[0].status is not MarketStatus.FINALIZED
            }
            for each in self._watched.values():
                self._recorder.watch(*each)
            self._recorder.connected(use_yes_price=self._use_yes_price)
        if self._adding is not None:
            self._adding.join()
        self._adding = threading.Thread(target=self._add, args=(path, held), name="kalshi-lake", daemon=True)
        self._adding.start()

    def close(self) -> None:
        """Write the rest, and add the journal to the lake; a journal that could not be added stays for the next run."""
        if self._held < 0:
            return
        held, self._held = self._held, -1
        try:
            self._recorder.close()
        finally:
            if self._adding is not None:
                self._adding.join()
            self._add(self.path, held)

    def _add(self, path: Path, held: int) -> None:
        try:
            add_journal(self._lake, path, self._machine)
        except KalshiError as error:
            self._tell(f"{error}. The recording stays in {path}; the next `kalshi record` adds it")
        finally:
            os.close(held)


def add_journal(lake: Lake, path: Path, machine: Clock) -> None:
    """Add a journal to the lake and delete it; without any market data it is deleted only.

    Raises KalshiError if it cannot be added now; then it stays.
    """
    try:
        import_file(lake, path, machine, wait_s=LOCK_WAIT_S)
    except KalshiError as error:
        if error.code != NO_DATA:
            raise
    path.unlink()


def journals(lake: Lake) -> list[Path]:
    """Return the journals of running and killed recorders, which are not in the lake yet."""
    return sorted((lake.root / _FOLDER).glob("*.jsonl"))


def add_leftovers(lake: Lake, machine: Clock, tell: Callable[[str], None]) -> None:
    """Add the journals of recorders that were killed."""
    for path in journals(lake):
        held = hold(path)
        if held < 0:
            continue  # Its recorder is at work.
        try:
            add_journal(lake, path, machine)
            tell(f"Added the journal of an interrupted recording: {path.name}")
        except KalshiError as error:
            tell(f"{path} cannot be added to the lake: {error}")
        finally:
            os.close(held)


def hold(path: Path) -> int:
    """Return a descriptor that holds the lock of a journal, or -1 where a process holds it."""
    file = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return -1
    return file
