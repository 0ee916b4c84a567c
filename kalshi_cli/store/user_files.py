"""Small JSON files of the user in the state directory: watchlists, and price and fill alerts.

They are not in the state file, because they are no part of the account's records. Several programs may change one: each
change holds a lock, and replaces the whole file.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import make_folder, open_own, read_regular, write_atomically
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.core.monitoring.price_alerts import PriceAlert

MAX_BYTES = 1_000_000
BUSY = "state_busy"
_BETWEEN_S = 0.02


class Watchlists(msgspec.Struct, frozen=True):
    """Market tickers by the name of their list."""

    lists: dict[str, tuple[str, ...]] = {}


class PriceAlerts(msgspec.Struct, frozen=True):
    """The price and fill alerts that have not fired, and the number of the next one."""

    next_number: int = 1
    alerts: tuple[PriceAlert, ...] = ()


T = TypeVar("T", bound=msgspec.Struct)


class UserFileDraft(Generic[T]):
    """The content of a file while it is changed: `value` is written if it is replaced."""

    def __init__(self, value: T) -> None:
        self.value = value


class UserFile(Generic[T]):
    """A JSON file of one type. A missing file reads as the empty value."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        self.path = path
        self._kind = kind

    def read(self) -> T:
        """Return the content. StateFileError if the file cannot be read or is damaged."""
        try:
            content = read_regular(self.path, MAX_BYTES, os.O_RDONLY | os.O_NOFOLLOW)
            return msgspec.json.decode(content, type=prepared(self._kind))
        except FileNotFoundError:
            return self._kind()
        except OSError as error:
            raise StateFileError(f"Cannot read {self.path}: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise StateFileError(
                f"{self.path} is damaged", hint="move it away, and add its entries again", code="state_damaged"
            ) from error

    @contextmanager
    def changing(self, clock: Clock, within_s: float) -> Iterator[UserFileDraft[T]]:
        """Read the file and write it again if the draft was changed; an error in the context leaves it as it was.

        StateFileError with the code BUSY if another program holds the file for longer than `within_s` seconds, and
        StateFileError if it cannot be read or written.
        """
        try:
            make_folder(self.path.parent)
            lock = open_own(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StateFileError(f"Cannot write to {self.path.parent}: {error.strerror}") from error
        try:
            self._take(lock, clock, within_s)
            before = self.read()
            draft = UserFileDraft(before)
            yield draft
            if draft.value is not before:
                try:
                    write_atomically(self.path, msgspec.json.format(msgspec.json.encode(draft.value)))
                except OSError as error:
                    raise StateFileError(f"Cannot write {self.path}: {error.strerror}") from error
        finally:
            os.close(lock)

    def _take(self, lock: int, clock: Clock, within_s: float) -> None:
        until = clock.monotonic() + within_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock.monotonic() >= until:
                    raise StateFileError(f"{self.path} is in use by another program", code=BUSY) from None
                clock.sleep(_BETWEEN_S)
            except OSError as error:
                raise StateFileError(f"Cannot lock {self.path}: {error.strerror}") from error
            else:
                return


def watchlist_file(home: Path) -> UserFile[Watchlists]:
    """Return the watchlists of a state directory."""
    return UserFile(home / "watchlists.json", Watchlists)


def price_alert_file(home: Path) -> UserFile[PriceAlerts]:
    """Return the price and fill alerts of a state directory."""
    return UserFile(home / "price_alerts.json", PriceAlerts)
