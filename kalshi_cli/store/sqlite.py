"""The state file: SQLite, opened with care.

Every write is one short `BEGIN IMMEDIATE` transaction (one that starts by reading and then upgrades fails at once,
whatever the timeout). Intents, fills, settlements and halts are on the disk when a method returns; what the exchange
can tell us again, and what only informs, survives `kill -9` but not a power cut, and costs no wait for the disk.
Use a store from the thread that opened it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from kalshi_cli.core.messages import (
    Alert,
    AmendOrder,
    CloseOrder,
    Denied,
    Effect,
    FillBooked,
    OrderChanged,
    SettlementBooked,
    StateChanged,
    SubmitOrder,
)
from kalshi_cli.core.model import Fill, Order, Settlement, TradingState
from kalshi_cli.errors import HaltedError, StateError
from kalshi_cli.store import migrations, rows
from kalshi_cli.store.base import EVER, NO_HALT, Cycle, Halt, Memory
from kalshi_cli.units import Ts

BUSY_TIMEOUT_MS = 5_000
"""How long a write waits for another program to finish its own."""

MAX_DENIALS = 50_000
MAX_ALERTS = 10_000
"""Rows kept; the oldest go first."""

MAX_UNWRITTEN_DENIALS = 1_000
"""Causes counted in memory before they are written, however long the next heartbeat takes."""

_CAUTION = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class Database:
    """One SQLite file. Every failure is a StateError that names the file and says what to do."""

    is_read_through = True  # when it is opened; not a cache, whose damage may be met later

    def __init__(
        self, path: Path, steps: Sequence[migrations.Migration], *, create: bool = True, is_handed_over: bool = False
    ) -> None:
        """Open, check, and bring up to date. Without `create` a missing file is a StateError `state_missing`.

        Only the thread that opened it may use it, unless it `is_handed_over` to another one: never two at a time.
        """
        self.path = path
        _ensure_file(path, create=create)
        self._is_durable: bool | None = None
        with self._explained():
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=BUSY_TIMEOUT_MS / 1000,
                check_same_thread=not is_handed_over,
            )
        try:
            with self._explained():
                self._prepare(steps)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, steps: Sequence[migrations.Migration]) -> None:
        """Nothing is written before the file has proven to be ours, whole, and not newer than this program."""
        execute = self._connection.execute
        execute("BEGIN")  # one view of both, or a file that another program is just creating looks like a stranger's
        version, tables = self._version(), execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        execute("ROLLBACK")
        if version > len(steps):
            raise StateError(
                f"{self.path} was written by a newer version of this program (format {version}, known: {len(steps)})",
                hint="install the newer version again; the file was left as it is",
                code="state_newer",
            )
        if version == 0 and tables:
            raise StateError(f"{self.path} is not a file of this program", hint="move it away", code="state_unusable")
        if self.is_read_through and (found := execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise _damaged(self.path, found)
        self._switch_to_wal()
        execute("PRAGMA foreign_keys = ON")
        if 0 < version < len(steps):
            self._back_up(version)
        if version < len(steps):
            self._migrate(steps)

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _switch_to_wal(self) -> None:
        """The switch does not wait for another program that is switching too; BEGIN IMMEDIATE does."""
        for _ in range(10):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if _primary(error) != sqlite3.SQLITE_BUSY:
                    raise
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute("ROLLBACK")
        self._connection.execute("PRAGMA journal_mode = WAL")

    def _back_up(self, version: int) -> None:
        """A copy of the file as it was, beside it; of several programs that bring it up to date, any one's will do."""
        copy = self.path.with_name(f"{self.path.name}.format{version}")
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        _create_private(draft)
        try:
            self._connection.execute("VACUUM INTO ?", (str(draft),))
            if _format_of(draft) == version:  # else another program was faster, and has kept its own copy
                draft.replace(copy)
        finally:
            draft.unlink(missing_ok=True)

    def _migrate(self, steps: Sequence[migrations.Migration]) -> None:
        """Take every step that is missing, all or none: no other program ever sees a file half way."""
        with self.writing(durable=True) as execute:
            version = self._version()
            for step in steps[version:]:
                step(execute)
            if version < len(steps):  # another program, and a newer one, may have been faster
                execute(f"PRAGMA user_version = {len(steps)}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a bug of ours, such as a second thread; not a fault of the file
        except sqlite3.DatabaseError as error:
            raise _explain(self.path, error) from error

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """One transaction, all or nothing; `durable` waits until it is on the disk. Yields `execute`."""
        connection = self._connection
        try:
            if durable is not self._is_durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._is_durable = durable
            connection.execute("BEGIN IMMEDIATE")
            yield connection.execute
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                with suppress(sqlite3.DatabaseError):
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError):
                raise _explain(self.path, error) from error
            raise

    def read(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT."""
        with self._explained():
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Let go of the file. Closing twice is fine."""
        with self._explained():
            self._connection.close()


class SqliteStore:
    """Implements `Store`: one account of one environment in one file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen_halt: Halt | None = None
        self._unwritten: dict[tuple[int, str, str, str], tuple[int, Ts, str]] = {}
        self._writers: dict[type[Effect], Callable[[Any], None]] = {
            SubmitOrder: self._intend,
            CloseOrder: self._intend,
            AmendOrder: self._amend,
            OrderChanged: self._put_order,
            FillBooked: self._book_fill,
            SettlementBooked: self._book_settlement,
            StateChanged: self._change_state,
            Denied: self._count_denial,
            Alert: self._add_alert,
        }

    @classmethod
    def open(cls, path: Path, *, account: str, environment: str, create: bool = True) -> SqliteStore:
        """Open the state file of this account; a file of another account or environment is refused.

        Without `create` a missing file is a StateError with the code `state_missing`, and nothing is created.
        """
        database = Database(path, migrations.STATE, create=create)
        try:
            found = database.read("SELECT account, environment FROM identity")  # whoever only looks waits for nobody
            if not found:
                with database.writing(durable=True) as execute:
                    values = (account, environment)
                    execute("INSERT OR IGNORE INTO identity (id, account, environment) VALUES (1, ?, ?)", values)
                found = database.read("SELECT account, environment FROM identity")
            owner = found[0]
            if owner != (account, environment):
                raise StateError(
                    f"{path} belongs to account {_ending(owner[0])} on {owner[1]}, "
                    f"not to {_ending(account)} on {environment}",
                    hint="use --state with another directory for each account",
                    code="state_other_account",
                )
        except BaseException:
            database.close()
            raise
        return cls(database)

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- what is written down -------------------------------------------------------------------------------------

    def record(self, effect: Effect) -> None:
        """Commit what must survive; anything else costs one look-up."""
        write = self._writers.get(type(effect))
        if write is not None:
            write(effect)

    def _intend(self, effect: SubmitOrder | CloseOrder) -> None:
        """An intent is new or it is a mistake: an id that is already on file must not be sent a second time.

        In one transaction with a look at the halt: once another process committed it, no order begins but one that
        can only close.
        """
        order = effect.order
        try:
            with self._database.writing(durable=True) as execute:
                if not isinstance(effect, CloseOrder):
                    _refuse_if_halted(execute)
                execute(rows.INSERT_INTENT, (order.client_order_id, *rows.row(order)))
        except StateError as error:
            if isinstance(error.__cause__, sqlite3.IntegrityError):
                raise StateError(
                    f"an order with the client order id {order.client_order_id} is already on file; it was not sent",
                    hint=f"look it up: kalshi order show {order.client_order_id}",
                    code="state_duplicate_intent",
                ) from error
            raise

    def _amend(self, effect: AmendOrder) -> None:
        """The order counts as the worse of both from here on. Like an intent: on the disk, and not while halted."""
        with self._database.writing(durable=True) as execute:
            _refuse_if_halted(execute)
            _put(execute, effect.doubtful)

    def _put_order(self, effect: OrderChanged) -> None:
        """Write the order as it is now. Not durable: the exchange can tell it again, and the intent is on the disk."""
        with self._database.writing(durable=False) as execute:
            _put(execute, effect.order)

    def _book_fill(self, effect: FillBooked) -> None:
        with self._database.writing(durable=True) as execute:
            execute(rows.BOOK_FILL, rows.row(effect.fill))

    def _book_settlement(self, effect: SettlementBooked) -> None:
        with self._database.writing(durable=True) as execute:
            execute(rows.PUT_SETTLEMENT, rows.row(effect.settlement))

    def _change_state(self, effect: StateChanged) -> None:
        """Follow the engine, but never loosen what another program tightened since we last looked (`cancel-all`)."""
        after = Halt(effect.state, effect.code, effect.reason, effect.ts)
        with self._database.writing(durable=True) as execute:
            found = execute(rows.HALT).fetchone()
            before = rows.read(Halt, found) if found else NO_HALT
            if _CAUTION[after.state] < _CAUTION[before.state] and before != self._seen_halt:
                return
            execute(rows.PUT_HALT, (1, *rows.row(after)))
        self._seen_halt = after

    def _count_denial(self, effect: Denied) -> None:
        """Counted in memory, written with the heartbeat: a control that refuses on every delta must cost nothing."""
        key = (effect.ts // 60_000, effect.code, effect.strategy, effect.ticker)
        count = self._unwritten[key][0] if key in self._unwritten else 0
        self._unwritten[key] = (count + 1, effect.ts, effect.detail)
        if len(self._unwritten) >= MAX_UNWRITTEN_DENIALS:
            self._write_denials()

    def _write_denials(self) -> None:
        if not self._unwritten:
            return
        with self._database.writing(durable=False) as execute:
            for key, counted in self._unwritten.items():
                execute(rows.ADD_DENIALS, (*key, *counted))
            execute(rows.TRIM_DENIALS, (MAX_DENIALS,))
        self._unwritten.clear()

    def _add_alert(self, effect: Alert) -> None:
        with self._database.writing(durable=False) as execute:
            execute(rows.ADD_ALERT, rows.row(effect))
            execute(rows.TRIM_ALERTS, (MAX_ALERTS,))

    def set_halt(self, halt: Halt) -> None:
        """Move the durable trading state, whatever it was: what a person decided."""
        with self._database.writing(durable=True) as execute:
            execute(rows.PUT_HALT, (1, *rows.row(halt)))
        self._seen_halt = halt

    def beat(self, cycle: Cycle) -> None:
        """Write the heartbeat row, and the refusals counted since the last."""
        self._write_denials()
        with self._database.writing(durable=False) as execute:
            execute(rows.PUT_CYCLE, (1, *rows.row(cycle)))

    # -- what is remembered ---------------------------------------------------------------------------------------

    def load(self) -> Memory:
        """All fills and settlements, and the orders that are live or changed since the oldest fill not yet settled."""
        return Memory(
            orders=self._select(Order, rows.ORDERS_OF_OPEN_POSITIONS),
            fills=self.fills(),
            settlements=self.settlements(),
            halt=self.halt(),
        )

    def halt(self) -> Halt:
        """The trading state as of now; ACTIVE where nobody ever moved it."""
        found = self._select(Halt, rows.HALT)
        self._seen_halt = found[0] if found else NO_HALT
        return self._seen_halt

    def last_cycle(self) -> Cycle | None:
        """The heartbeat row, if any loop ever completed a cycle here."""
        found = self._select(Cycle, rows.CYCLE)
        return found[0] if found else None

    def order(self, any_id: str) -> Order | None:
        """The order with this id, ours or theirs."""
        found = self._select(Order, rows.ORDER_BY_ID, (any_id,))
        return found[0] if found else None

    def orders(self, since: Ts = EVER, ticker: str = "") -> tuple[Order, ...]:
        """Orders that changed since then, oldest first; of one market or of all."""
        return self._select(Order, rows.ORDERS_SINCE, (since, ticker))

    def live_orders(self) -> tuple[Order, ...]:
        """Orders that may still trade, as far as was written down."""
        return self._select(Order, rows.LIVE_ORDERS)

    def fills(self, since: Ts = EVER) -> tuple[Fill, ...]:
        """Fills since then, in the order of their time."""
        return self._select(Fill, rows.FILLS, (since,))

    def settlements(self, since: Ts = EVER) -> tuple[Settlement, ...]:
        """Settlements since then, in the order of their time."""
        return self._select(Settlement, rows.SETTLEMENTS, (since,))

    def denials(self, since: Ts, ticker: str = "") -> dict[str, int]:
        """How often each control refused, by code, from the minute of `since` on; in one market or in all."""
        self._write_denials()
        return dict(self._database.read(rows.COUNT_DENIALS, (since // 60_000, ticker)))

    def last_denials(self, since: Ts, ticker: str = "") -> tuple[Denied, ...]:
        """The latest refusal of each minute and cause, newest first; at most 100."""
        self._write_denials()
        return self._select(Denied, rows.DENIED, (since, ticker, 100))

    def alerts(self, since: Ts = EVER) -> tuple[Alert, ...]:
        """Alerts since then, newest first; at most 1,000."""
        return self._select(Alert, rows.ALERTS, (since, 1_000))

    def _select(self, kind: type[rows.T], sql: str, values: Sequence[object] = ()) -> tuple[rows.T, ...]:
        try:
            return tuple(rows.read(kind, found) for found in self._database.read(sql, values))
        except msgspec.ValidationError as error:
            raise _damaged(self._database.path, f"{kind.__name__}: {error}") from error

    def close(self) -> None:
        """Write what was only counted, and let go of the file."""
        try:
            self._write_denials()
        finally:
            self._database.close()


# -- orders, within a transaction ---------------------------------------------------------------------------------


def _refuse_if_halted(execute: Callable[..., sqlite3.Cursor]) -> None:
    found = execute(rows.HALT).fetchone()
    if found and rows.read(Halt, found).state is TradingState.HALTED:
        raise HaltedError("trading was halted meanwhile; the order was not sent", hint="kalshi status")


def _put(execute: Callable[..., sqlite3.Cursor], order: Order) -> None:
    """Two programs may know one order, the one that placed it and a trade loop that met it as foreign. It is one row,
    and it stays the row of the one that placed it.
    """
    key = order.order_id if order.is_foreign else order.client_order_id
    twin = execute(rows.TWIN, (order.order_id, key)).fetchone()
    if twin is not None and order.is_foreign:
        key, strategy, fair, reason = twin
        order = msgspec.structs.replace(order, is_foreign=False, strategy=strategy, fair=fair, reason=reason)
    elif twin is not None:
        execute("DELETE FROM orders WHERE key = ?", (twin[0],))
    execute(rows.PUT_ORDER, (key, *rows.row(order)))


# -- failures, in words -------------------------------------------------------------------------------------------


def _ensure_file(path: Path, *, create: bool) -> None:
    try:
        if path.is_symlink():
            raise StateError(f"{path} is a symbolic link", hint="state is kept in a plain file", code="state_unusable")
        if path.exists():
            return
        if not create:
            raise StateError(f"there is no state file {path}", hint="nothing ran here yet", code="state_missing")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create_private(path)
    except FileExistsError:
        return  # another program was first
    except OSError as error:
        raise StateError(
            f"cannot create {path}: {error.strerror}",
            hint="choose a writable directory with --state or KALSHI_STATE",
            code="state_unwritable",
        ) from error


def _create_private(path: Path) -> None:
    """An empty file that only its owner can read. FileExistsError where there is one."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))


def _format_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def _primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code; its extended codes carry more in the upper bits."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _damaged(path: Path, detail: object) -> StateError:
    return StateError(
        f"the state file {path} is damaged: {detail}",
        hint=f"it was left as it is; after `mv {path} {path}.damaged` the next start rebuilds from the exchange "
        "(a halt is not rebuilt: repeat it)",
        code="state_damaged",
    )


def _explain(path: Path, error: sqlite3.DatabaseError) -> StateError:
    """A StateError that says which file, what happened and what to do."""
    found = _primary(error)
    if found in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, error)
    if found in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateError(
            f"{path} is locked: another program has been writing to it for more than {BUSY_TIMEOUT_MS // 1000} s",
            hint="close other programs that use it (a sqlite3 shell?) and try again",
            code="state_locked",
        )
    if found == sqlite3.SQLITE_FULL:
        return StateError(f"no room left to write {path}", hint="free some disk space", code="state_full")
    if found in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StateError(
            f"cannot write {path}: {error}",
            hint="check who owns the file and its directory, or choose another with --state",
            code="state_unwritable",
        )
    return StateError(f"the state file {path} failed: {error}", hint="see kalshi health-check")


def _ending(account: str) -> str:
    """Enough of an account id to recognise it."""
    return f"…{account[-4:]}" if len(account) > 8 else account
