"""Alerting in the state file: incidents, windows and silences, the outbox, and the state of the channels.

Deciding and queuing the notices is one transaction, so that no notice is lost or made twice, whatever process dies. A
notice is sent between two transactions: one claims the channel for a while, the other saves the result. A process that
dies between them leaves a claim that expires, and the same notice (with the same id) is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.alert_board import Board, Decision
from kalshi_cli.core.monitoring.incidents import HALT, REDUCING, AlertSilence, GroupingWindow, Incident
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.store import rows
from kalshi_cli.store.closed_tables import FILLS_OF, SETTLEMENT_OF, HistoryTables
from kalshi_cli.store.database import Database
from kalshi_cli.store.records import Undelivered
from kalshi_cli.store.state_store import RESUMED

STOPPED, FLATTEN = "stopped", "flatten"
"""Marks: an alert stopped trading, or asked for the positions to be closed, until trading is resumed."""

LAST_RESUME = "last_resume"
"""The mark of the time of the last resume that alerting saw."""

MAX_WAITING = 1_000
"""The most queued notices, for all channels; the oldest of the lowest tier are dropped first, and counted."""

MAX_DEAD, MAX_DELIVERED, MAX_SILENCES = 500, 200, 200
"""The most rows kept for display; the oldest are deleted first."""

CLAIM_MS = 30_000
"""The life of a claim, longer than one attempt.

A claim that ends later than this was made before the clock was set back, and is ignored.
"""


class QueuedNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice for one channel: `waiting`, `delivered` or `dead`.

    `moved` is the time of the last change, `error` its cause.
    """

    number: int
    notice_id: str
    sink: str
    status: str
    created: Ts
    tries: int
    moved: Ts
    error: str
    tier: str
    body: bytes

    @property
    def notice(self) -> Notice:
        """Return the notice itself."""
        return msgspec.json.decode(self.body, type=prepared(Notice))


class AlertChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a channel: failures in a row, the time of the next attempt, and the end of the current claim."""

    sink: str
    failures: int = 0
    retry_at: Ts = Ts(0)
    claimed_until: Ts = Ts(0)
    last_delivered: Ts | None = None
    last_failed: Ts | None = None
    error: str = ""

    def is_claimed(self, now: Ts) -> bool:
        """Return whether a program delivers to this channel now.

        A claim further ahead than any that is ever written was written before the clock was set back, and is ignored.
        The margin is double, because `now` was read before another program's `now`, whose transaction came first.
        """
        return 0 < self.claimed_until - now <= 2 * CLAIM_MS


def recover_notices(path: Path) -> tuple[list[QueuedNotice], bool]:
    """Return the undelivered notices of an unusable state file, and whether these are all. Raises nothing."""
    return rows.recover(path, _WAITING, _readable)


def _readable(found: tuple[object, ...]) -> QueuedNotice:
    letter = rows.read(QueuedNotice, found)
    letter.notice  # noqa: B018 - what cannot be read cannot be sent
    return letter


class AlertStore:
    """The alerting tables of a state file. Use it from the thread that opened the file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.numbered_after = HistoryTables(database).numbered_after
        """Returns fills and settlements booked after a number, in the order of booking."""

    # -- deciding -------------------------------------------------------------------------------------------------

    def load(self, board: Board) -> None:
        """Fill an empty board from the file, to show it: a stop that was resumed since the last look is over."""
        self._fill(board, self._database.read)
        for incident in self.incidents():
            board.put(incident)

    def incidents(self) -> list[Incident]:
        """Return every saved incident; a stop that was resumed since the last look is over."""
        resumed = Ts(self.mark(RESUMED))
        found = [rows.read(Incident, each) for each in self._database.read(_MATTERS)]
        return [
            msgspec.structs.replace(each, ended=resumed)
            if each.source in (HALT, REDUCING) and each.ended is None and each.since <= resumed
            else each
            for each in found
        ]

    def decide(
        self, board: Board, rule: Callable[[], Decision], hearers: Callable[[Notice], Sequence[str]], now: Ts
    ) -> Decision:
        """Fill the board, apply the rule, save the board, and queue each notice for its channels."""
        with self._database.together(), self._database.writing(durable=True) as execute:
            self._fill(board, lambda sql, values=(): execute(sql, values).fetchall())
            matters, windows = {(m.code, m.subject): m for m in board.all()}, dict(board.windows)
            silences = board.silences
            decision = rule()
            self._keep_matters(execute, matters, {(m.code, m.subject): m for m in board.all()})
            for code in windows.keys() - board.windows.keys():
                execute("DELETE FROM alert_windows WHERE code = ?", (code,))
            for silence in silences:
                if silence not in board.silences:
                    execute(_DELETE_SILENCE, (silence.code, silence.subject))
            for code, window in board.windows.items():
                if windows.get(code) != window:
                    execute(_PUT_WINDOW, rows.row(window))
            for notice in decision.notices:
                for sink in hearers(notice):
                    _post(execute, notice, sink, now)
            if decision.notices:
                _trim(execute)
        return decision

    def _fill(self, board: Board, read: Callable[..., list[tuple[object, ...]]]) -> None:
        for found in read(_MATTERS):
            board.put(rows.read(Incident, found))
        board.windows = {str(found[0]): rows.read(GroupingWindow, found) for found in read(_WINDOWS)}
        board.silences = [rows.read(AlertSilence, found) for found in read(_SILENCES)]

    def together(self) -> AbstractContextManager[None]:
        """Combine reads and writes into one transaction, in which no other program writes."""
        return self._database.together()

    def is_sent(self, code: str) -> bool:
        """Return whether a condition of this code lasts and a notice of it was written."""
        query = "SELECT 1 FROM matters WHERE code = ? AND told IS NOT NULL AND ended IS NULL LIMIT 1"
        return bool(self._database.read(query, (code,)))

    @staticmethod
    def _keep_matters(
        execute: rows.Execute, before: dict[tuple[str, str], Incident], after: dict[tuple[str, str], Incident]
    ) -> None:
        for key in before.keys() - after.keys():
            execute("DELETE FROM matters WHERE code = ? AND subject = ?", key)
        for key, matter in after.items():
            if before.get(key) != matter:
                execute(_PUT_MATTER, rows.row(matter))

    # -- what is new in the state file ----------------------------------------------------------------------------

    def mark(self, name: str) -> int:
        """Return a saved number, such as how far something was read; 0 if there was never one."""
        found = self._database.read("SELECT value FROM alert_marks WHERE name = ?", (name,))
        return int(found[0][0]) if found else 0

    def set_mark(self, name: str, value: int) -> None:
        """Save a number; part of the transaction of `decide` when its rule calls it."""
        if value == self.mark(name):
            return
        with self._database.writing(durable=False) as execute:
            execute(rows.PUT_MARK, (name, value))

    def last_resume(self) -> Ts:
        """Return when the user last resumed trading, also if it was paused or halted since; 0 if never."""
        return Ts(max(self.mark(RESUMED), self.mark(LAST_RESUME)))

    def last_alert(self) -> int:
        """Return the number of the newest recorded alert."""
        return int(self._database.read("SELECT COALESCE(MAX(id), 0) FROM alerts")[0][0])

    def alerts_after(self, number: int, limit: int) -> list[tuple[int, AlertRaised]]:
        """Return recorded alerts with their numbers, oldest first."""
        found = self._database.read(_ALERTS_AFTER, (number, limit))
        return [(int(each[0]), rows.read(AlertRaised, each[1:])) for each in found]

    def last_booked(self) -> int:
        """Return the number of the newest booked fill or settlement."""
        return int(self._database.read("SELECT COALESCE(MAX(number), 0) FROM booked")[0][0])

    def entries_of(self, ticker: str) -> list[Fill | Settlement]:
        """Return all fills and settlements of a market."""
        fills: list[Fill | Settlement] = [rows.read(Fill, found) for found in self._database.read(FILLS_OF, (ticker,))]
        return fills + [rows.read(Settlement, found) for found in self._database.read(SETTLEMENT_OF, (ticker,))]

    def shard_of(self, subject: str) -> int | None:
        """Return the shard of a market, an order or a group, from known orders and groups; None without any."""
        found = self._database.read(_SHARD_OF, (subject, subject, subject, subject))
        return int(found[0][0]) if found and int(found[0][0]) >= 0 else None

    # -- the outbox -----------------------------------------------------------------------------------------------

    def post(self, notice: Notice, sink: str, now: Ts) -> None:
        """Queue a notice for a channel, without a decision."""
        with self._database.writing(durable=True) as execute:
            _post(execute, notice, sink, now)

    def record_delivered(self, notice: Notice, sink: str) -> None:
        """Record a notice that a channel received at its time, without this file; `sink` may be empty, if unknown."""
        with self._database.writing(durable=True) as execute:
            if sink:
                execute(_PUT_SINK, rows.row(received(self.sinks(), sink, notice.ts)))
            _post(execute, notice, sink, notice.ts)
            execute("UPDATE outbox SET status = 'delivered' WHERE notice_id = ? AND sink = ?", (notice.notice_id, sink))

    def claim_notice(self, sinks: Sequence[str], now: Ts) -> tuple[QueuedNotice, AlertChannelState] | None:
        """Return the next notice of a channel that may be tried now and that no other program claims; claim it.

        The most severe notice comes first, and channels that accepted their last notice come before others.
        """
        with self._database.writing(durable=False) as execute:
            states = {
                state.sink: state for found in execute(_SINKS) for state in (rows.read(AlertChannelState, found),)
            }
            free = [states.get(name, AlertChannelState(sink=name)) for name in sinks]
            for state in sorted(filter(lambda each: _is_free(each, now), free), key=lambda each: each.failures):
                found = execute(_NEXT_LETTER, (state.sink,)).fetchone()
                if found is not None:
                    claimed = msgspec.structs.replace(state, claimed_until=Ts(now + CLAIM_MS))
                    execute(_PUT_SINK, rows.row(claimed))
                    return rows.read(QueuedNotice, found), claimed
        return None

    def settle(self, letter: QueuedNotice, state: AlertChannelState, *, fallback: str = "") -> None:
        """Save the result of a notice and the state of its channel, and end the claim.

        `fallback` gets a copy, if it has none.
        """
        with self._database.writing(durable=letter.status != "waiting") as execute:
            execute(
                "UPDATE outbox SET status = ?, tries = ?, moved = ?, error = ? WHERE number = ?",
                (letter.status, letter.tries, letter.moved, letter.error, letter.number),
            )
            execute(_PUT_SINK, rows.row(state))
            if fallback:
                _post(execute, letter.notice, fallback, letter.moved)
            _trim(execute)

    def letters(self, status: str, limit: int = 1_000) -> list[QueuedNotice]:
        """Return the notices of one status, newest first."""
        return [rows.read(QueuedNotice, found) for found in self._database.read(_LETTERS, (status, limit))]

    def undelivered(self, since: Ts, before: Ts, critical_before: Ts) -> tuple[Undelivered, ...]:
        """Return by channel the notices that were given up since `since`, or wait since before `before`.

        A critical one that no channel has accepted counts from `critical_before` on.
        """
        accepted = {letter.notice_id for letter in self.letters("delivered")}
        late = [letter for letter in self.letters("dead") if letter.moved >= since]
        for letter in self.letters("waiting"):
            is_unheard = letter.tier == "critical" and letter.notice_id not in accepted
            late += [letter] if letter.created < (critical_before if is_unheard else before) else []
        found: dict[str, Undelivered] = {}
        for letter in late:
            known = found.get(letter.sink, Undelivered(letter.sink, 0, letter.error))
            found[letter.sink] = Undelivered(letter.sink, known.count + 1, known.error or letter.error)
        return tuple(found.values())

    def count_waiting(self, sinks: Sequence[str]) -> int:
        """Return the number of notices that these channels have not accepted yet."""
        found = self._database.read("SELECT sink, COUNT(*) FROM outbox WHERE status = 'waiting' GROUP BY sink")
        return sum(int(count) for sink, count in found if sink in sinks)

    def retry_dead(self, now: Ts) -> int:
        """Queue dead notices again as new ones and try their channels at once; return the number of notices."""
        with self._database.writing(durable=True) as execute:
            execute("UPDATE alert_sinks SET retry_at = 0, failures = 0 WHERE sink IN (SELECT sink FROM outbox)")
            return execute(
                "UPDATE outbox SET status = 'waiting', created = ?, tries = 0, moved = ? WHERE status = 'dead'",
                (now, now),
            ).rowcount

    def discard_orphaned(self, sinks: Sequence[str], before: Ts, now: Ts) -> int:
        """Mark notices dead that are older than that and belong to none of these channels; return their number."""
        known = ", ".join("?" * len(sinks))
        with self._database.writing(durable=True) as execute:
            return execute(
                "UPDATE outbox SET status = 'dead', moved = ?, error = 'there is no such channel any more'"  # noqa: S608
                f" WHERE status = 'waiting' AND created < ? AND sink NOT IN ({known})",
                (now, before, *sinks),
            ).rowcount

    def sinks(self) -> list[AlertChannelState]:
        """Return the state of each channel that was ever tried."""
        return [rows.read(AlertChannelState, found) for found in self._database.read(_SINKS)]

    # -- silences -------------------------------------------------------------------------------------------------

    def silence(self, silence: AlertSilence) -> None:
        """Save a silence; it replaces one for the same code and subject."""
        with self._database.writing(durable=True) as execute:
            execute("DELETE FROM silences WHERE until <= ?", (silence.created,))
            execute(_PUT_SILENCE, rows.row(silence))
            execute("DELETE FROM silences WHERE rowid <= (SELECT MAX(rowid) FROM silences) - ?", (MAX_SILENCES,))

    def unsilence(self, code: str, subject: str) -> int:
        """Remove a silence and return how many there were."""
        with self._database.writing(durable=True) as execute:
            return execute(_DELETE_SILENCE, (code, subject)).rowcount


MAX_RETRY_MS = 900_000


def _is_free(state: AlertChannelState, now: Ts) -> bool:
    """Return whether a channel may be tried now; a retry too far ahead is ignored, as a claim is."""
    return not state.is_claimed(now) and not 0 < state.retry_at - now <= 2 * MAX_RETRY_MS


def received(states: Iterable[AlertChannelState], sink: str, at: Ts) -> AlertChannelState:
    """Return the state of a channel that received a notice at that time, at the latest."""
    state = next((each for each in states if each.sink == sink), AlertChannelState(sink=sink))
    return msgspec.structs.replace(state, last_delivered=max(at, state.last_delivered or at))


def _post(execute: rows.Execute, notice: Notice, sink: str, now: Ts) -> None:
    execute(_ADD_LETTER, (notice.notice_id, sink, now, now, notice.tier, msgspec.json.encode(notice)))


def _trim(execute: rows.Execute) -> None:
    waiting = execute("SELECT COUNT(*) FROM outbox WHERE status = 'waiting'").fetchone()[0]
    if waiting > MAX_WAITING:
        execute(_DROP_LEAST, (waiting - MAX_WAITING,))
        execute(_COUNT_DROPPED, (waiting - MAX_WAITING,))
    for status, most in (("dead", MAX_DEAD), ("delivered", MAX_DELIVERED)):
        execute(_TRIM_LETTERS, (status, most))


_MATTERS = f"SELECT {rows.columns(Incident)} FROM matters"  # noqa: S608 - constants, as below
_WINDOWS = f"SELECT {rows.columns(GroupingWindow)} FROM alert_windows"  # noqa: S608
_SILENCES = f"SELECT {rows.columns(AlertSilence)} FROM silences"  # noqa: S608
_SINKS = f"SELECT {rows.columns(AlertChannelState)} FROM alert_sinks"  # noqa: S608
_LETTER = f"SELECT {rows.columns(QueuedNotice)} FROM outbox WHERE status"  # noqa: S608
_GRAVITY = "CASE tier WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END"
_NEXT_LETTER = _LETTER + f" = 'waiting' AND sink = ? ORDER BY {_GRAVITY}, number LIMIT 1"
_WAITING = _LETTER + " = 'waiting' ORDER BY number"
_LETTERS = _LETTER + " = ? ORDER BY number DESC LIMIT ?"
_PUT_MATTER = rows.insert("matters", Incident, verb="INSERT OR REPLACE")
_PUT_WINDOW = rows.insert("alert_windows", GroupingWindow, verb="INSERT OR REPLACE")
_DELETE_SILENCE = "DELETE FROM silences WHERE code = ? AND subject = ?"
_PUT_SILENCE = rows.insert("silences", AlertSilence, verb="INSERT OR REPLACE")
_PUT_SINK = rows.insert("alert_sinks", AlertChannelState, verb="INSERT OR REPLACE")
_ADD_LETTER = (
    "INSERT OR IGNORE INTO outbox (notice_id, sink, status, created, tries, moved, error, tier, body)"
    " VALUES (?, ?, 'waiting', ?, 0, ?, '', ?, ?)"
)
_DROP_LEAST = (
    "DELETE FROM outbox WHERE number IN (SELECT number FROM outbox WHERE status = 'waiting'"  # noqa: S608
    f" ORDER BY {_GRAVITY} DESC, number LIMIT ?)"
)
_COUNT_DROPPED = (
    "INSERT INTO alert_marks (name, value) VALUES ('dropped', ?)"
    " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
)
_TRIM_LETTERS = (
    "DELETE FROM outbox WHERE number IN"
    " (SELECT number FROM outbox WHERE status = ? ORDER BY number DESC LIMIT -1 OFFSET ?)"
)
_ALERTS_AFTER = f"SELECT id, {rows.columns(AlertRaised)} FROM alerts WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
_SHARD_OF = (
    "SELECT exchange_index FROM orders WHERE ticker = ? OR client_order_id = ? OR order_id = ?"
    " UNION ALL SELECT exchange_index FROM run_groups WHERE group_id = ? LIMIT 1"
)
