"""The alerts that were sent and are not over, in a file beside the state file.

A rebuilt state file knows no alert, and a restored copy only older ones. Either takes over what this file has, so that
each alert still ends under its key at the receiver.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import read_regular, write_atomically
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.alert_board import Board
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import SEVERITY_RANK, UNCONFIRMED, Incident, from_check
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.store.alert_tables import AlertStore, QueuedNotice

FILE = "open-alerts.json"

WRITTEN = "open_alerts"
"""The mark of the content that the file had when this state file last read or wrote it."""

MAX_BYTES = 16_000_000

TIERS = frozenset(SEVERITY_RANK)
"""The known tiers. An alert with another one, of a later version, would end every decision with an error."""


class SentBreach(msgspec.Struct, frozen=True):
    """A breach that was sent to the channel `sink` without the state file, and the check that found it."""

    source: str
    breach: Breach
    at: Ts
    sink: str

    @property
    def tier(self) -> str:
        """Return the tier of its notice."""
        return "warning" if self.breach.severity == "unknown" else self.breach.severity

    @property
    def key(self) -> tuple[str, ...]:
        """Return the values that identify what a channel received; a graver tier is sent again."""
        return self.sink, self.tier, self.breach.code, self.breach.subject

    def notice(self, env: str, notice_id: str) -> Notice:
        """Return the notice that was sent, as far as it is known."""
        matter = from_check(self.source, self.breach, self.at, "")
        return Notice(
            notice_id=notice_id, kind="firing", tier=matter.tier, event=matter.event, code=matter.code,
            subject=matter.subject, text=matter.text, env=env, since=self.at, ts=self.at,
        )  # fmt: skip


@dataclass(frozen=True)
class OpenAlerts:
    """The file of one account, for the thread that opened `book`."""

    book: AlertStore
    path: Path

    def take_over(self, board: Board, order: Callable[[str], object], now: Ts) -> None:
        """Add what the board does not know, as `add_missing` does, and record its notices as delivered."""
        content = self._read()
        if (digest := _digest(content)) == self.book.mark(WRITTEN):
            return
        self.add_missing(board, order, now)
        received = self.delivered()
        for each in _incidents(content):
            if each.told is not None and received.get((each.code, each.told)) == each.told:
                self.book.record_delivered(_notice(each, each.told), "")
        self.book.set_mark(WRITTEN, digest)

    def add_missing(self, board: Board, order: Callable[[str], object], now: Ts) -> None:
        """Add what the board does not know, as sent, if the file was written for another state file. Saves nothing.

        One whose end waits to be sent has ended. An alert about an unconfirmed order is over if `order` does not find
        it: nothing else could end it.
        """
        content = self._read()
        if _digest(content) == self.book.mark(WRITTEN):
            return
        matters = {(each.code, each.subject): each for each in board.all()}
        ending = {
            (each.notice.code, each.notice.ticket) for each in self._undelivered() if each.notice.kind == "resolved"
        }
        new = [
            each
            for each in _incidents(content)
            if not _is_known(each, matters.get((each.code, each.subject)))
            and (each.code, each.ticket or each.subject) not in ending
        ]
        for each in new:
            board.put(replace(each, untold=0, must_stop=False))
        taken = {each.subject for each in new if each.code in UNCONFIRMED}
        board.confirmed(lambda subject: subject not in taken or order(subject) is not None, now)

    def delivered(self) -> dict[tuple[str, Ts | None], Ts | None]:
        """Return when a channel accepted a notice, by its code and time; those of the file have only the latter."""
        unsent = {(each.notice.code, each.notice.ts) for each in self._undelivered()}
        sent = {(each.code, each.told): each.told for each in _incidents(self._read())}
        accepted = {(each.notice.code, each.notice.ts): each.moved for each in self.book.letters("delivered")}
        return {key: at for key, at in sent.items() if key not in unsent} | accepted

    def _undelivered(self) -> list[QueuedNotice]:
        return [*self.book.letters("waiting"), *self.book.letters("dead")]

    def save(self) -> None:
        """Write the alerts that a channel received and that are not over. Raises nothing: the alerts are sent."""
        with suppress(OSError, StateFileError), self.book.together():  # no other program writes meanwhile
            before = self._read()
            content = msgspec.json.encode(self._open(_incidents(before)))
            if content != before:
                write_atomically(self.path, content)
            self.book.set_mark(WRITTEN, _digest(content))

    def _open(self, before: list[Incident]) -> list[Incident]:
        """Return the open alerts whose start was delivered; the last notice of one in the file may still wait."""
        delivered = {(each.notice.code, each.notice.ts) for each in self.book.letters("delivered")}
        known = {(each.code, each.subject) for each in before}
        return [
            each
            for each in self.book.incidents()
            if each.is_sent and ((each.code, each.told) in delivered or (each.code, each.subject) in known)
        ]

    def _read(self) -> bytes:
        return _content(self.path)


def read_open_alerts(path: Path) -> list[Incident]:
    """Return the open alerts that a state file saved beside it; none if the file is missing or damaged."""
    return _incidents(_content(path))


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_BYTES)
    except OSError:
        return b""


def _notice(sent: Incident, at: Ts) -> Notice:
    """Return the notice of an alert that another state file sent at that time, as far as it is known."""
    return Notice(
        notice_id=f"{sent.code} {sent.subject} {at}", kind="firing", tier=sent.tier, event=sent.event, code=sent.code,
        subject=sent.subject, text=sent.text, env="", since=sent.since, ts=at, ticket=sent.ticket,
    )  # fmt: skip


def _is_known(sent: Incident, known: Incident | None) -> bool:
    """Return whether a state file knows an alert that was sent, or a later notice about it."""
    return known is not None and known.lasts and known.last_sent >= sent.last_sent


def _incidents(content: bytes) -> list[Incident]:
    with suppress(ValueError, RecursionError):  # also bytes that are no text
        found = msgspec.json.decode(content, type=prepared(list[Incident]))
        return [each for each in found if each.is_sent and {each.tier, each.ticket_tier or each.tier} <= TIERS]
    return []


def _digest(content: bytes) -> int:
    """Return a number that identifies the content; 0 for none."""
    return int.from_bytes(hashlib.sha256(content).digest()[:7]) if content else 0
