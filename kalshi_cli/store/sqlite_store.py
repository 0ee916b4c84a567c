"""The state file of one account in one environment.

Every write is one short `BEGIN IMMEDIATE` transaction (a transaction that reads first and then upgrades fails at once,
whatever the timeout). Order requests, fills, settlements and halts are on the disk when a method returns. Data that the
exchange can repeat, or that only informs, survives `kill -9` but not a power cut. Use a store in one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from kalshi_cli.base.errors import HaltedError, StateFileError
from kalshi_cli.base.units import Money, Price, Ts, format_ts
from kalshi_cli.core.account.closed_markets import ClosedMarket, StrategyResult
from kalshi_cli.core.model import effects
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.request_traffic import RequestMinute
from kalshi_cli.core.state.back_off import API_GUARD
from kalshi_cli.store import closed_tables, halt_file, migrations, records, rows
from kalshi_cli.store.alert_tables import AlertStore
from kalshi_cli.store.database import Database
from kalshi_cli.store.records import Halt, Heartbeat
from kalshi_cli.store.state_store import RESUMED

MAX_DENIALS, MAX_ALERTS, MAX_PLACEMENTS = 50_000, 10_000, 100_000
"""The most rows kept; the oldest are deleted first."""

MAX_MINUTES = 120
"""The minutes of traffic that are kept."""

MAX_UNWRITTEN_DENIALS = 1_000
"""The most causes that are counted in memory between two heartbeats."""

MAX_PER_BEAT = (2, 1_000)
"""The most markets that are closed with one heartbeat, and the most fills of each: it must stay short."""

_CAUTION = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}

_NOT_STOPPED = (None, TradingState.ACTIVE.value)
"""The state on file where trading was never stopped, and where it was resumed."""

OnRecord = Callable[[Effect, "Store"], None]
"""Takes an effect that is on the disk, and the store that wrote it."""


class Store(rows.StructReader):
    """The state file. Every method may raise StateFileError; no data is lost silently."""

    def __init__(self, database: Database, on_record: OnRecord | None = None) -> None:
        super().__init__(database)
        self.alert_book = AlertStore(database)
        self.history = closed_tables.HistoryTables(database)
        self.kept_copy = database.kept_copy
        self._home = database.path.parent
        self._seen_intent: int | None = None
        """The last intent that this program knows of; None before it looked, when there is nothing that it reviewed."""
        self._unwritten: dict[tuple[int, str, str, str], tuple[int, Ts, str]] = {}
        self.on_record = on_record or (lambda _effect, _store: None)
        """Called with each effect once it is written down, and with each halt that is set or lifted manually."""
        self._writers: dict[type[Effect], Callable[[Any], None]] = {
            effects.SubmitOrder: self._intend,
            effects.CloseOrder: self._intend,
            effects.AmendOrder: self._amend,
            effects.OrderChanged: self._put_order,
            effects.FillBooked: self._book_fill,
            effects.SettlementBooked: self._book_settlement,
            effects.StateChanged: self._change_state,
            effects.OrderGroupStateChanged: self._switch_group,
            effects.OrderRefused: self._count_denial,
            effects.AlertRaised: self._add_alert,
        }

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        account: str,
        environment: str,
        create: bool = True,
        busy_ms: int | None = None,
        on_record: OnRecord | None = None,
        is_handed_over: bool = False,
    ) -> Store:
        """Open the state file of this account; refuse a file of another account or environment.

        Without `create` a missing file is a StateFileError with the code `state_missing`, and nothing is created.
        """
        database = Database(path, migrations.STATE, create=create, busy_ms=busy_ms, is_handed_over=is_handed_over)
        try:
            found = database.read("SELECT account, environment FROM identity")  # a reader never waits
            if not found:
                with database.writing(durable=True) as execute:
                    values = (account, environment)
                    execute("INSERT OR IGNORE INTO identity (id, account, environment) VALUES (1, ?, ?)", values)
                found = database.read("SELECT account, environment FROM identity")
            owner = found[0]
            if owner != (account, environment):
                raise StateFileError(
                    f"The API key {_ending(account)} on {environment} is not that of the state file: "
                    f"{path} belongs to account {_ending(owner[0])} on {owner[1]}",
                    hint="if the key id is mistyped, correct it (`kalshi health-check` tests the key); another account"
                    " needs a directory of its own: --state DIR",
                    code="state_other_account",
                )
        except BaseException:
            database.close()
            raise
        return cls(database, on_record)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # -- what is written down -------------------------------------------------------------------------------------

    def record(self, effect: Effect) -> None:
        """Commit data that must survive; for other effects this costs one look-up.

        Returns only after order requests, fills, settlements and halts are on disk. HaltedError where an order may not
        be sent any more, ConcurrentChangeError where it must be reviewed again first.
        """
        write = self._writers.get(type(effect))
        if write is not None:
            write(effect)
        self.on_record(effect, self)

    def together(self) -> AbstractContextManager[None]:
        """Commit all effects recorded in the block at its end, all or nothing."""
        return self._database.together()

    def _intend(self, effect: effects.SubmitOrder | effects.CloseOrder) -> None:
        """Save a new order. An id that is already on file must not be sent a second time, unless it was never sent.

        The same transaction checks the changes of other programs since the review: after one of them committed a halt,
        or another order, only a close may be sent.
        """
        order = effect.order
        try:
            with self._database.writing(durable=True) as execute:
                if not isinstance(effect, effects.CloseOrder):
                    self._refuse_if_moved(execute, effect)
                execute(rows.DROP_NEVER_SENT, (order.client_order_id,))
                execute(rows.INSERT_INTENT, (order.client_order_id, *rows.row(order)))
                number = execute(rows.ADD_INTENT, (order.client_order_id,)).lastrowid
            self._count_own(number)
        except StateFileError as error:
            if isinstance(error.__cause__, sqlite3.IntegrityError):
                raise StateFileError(
                    f"Client order id {order.client_order_id} is already on record; the order was not sent",
                    hint=f"see `kalshi order show {order.client_order_id}`",
                    code=records.DUPLICATE_INTENT,
                ) from error
            raise

    def _amend(self, effect: effects.AmendOrder) -> None:
        """Save an amend; the order counts as the worse of both terms from here on. Durable, and refused while halted.

        An order that ended between the review and now must not become live again on file.
        """
        with self._database.writing(durable=True) as execute:
            self._refuse_if_moved(execute, effect)
            filed = execute("SELECT status FROM orders WHERE key = ?", (rows.key_of(effect.before),)).fetchone()
            if filed is not None and not OrderStatus(filed[0]).is_live:
                raise records.ConcurrentChangeError(f"Order is now {filed[0]}; it was not amended", code="NOT_RESTING")
            rows.put_order(execute, effect.doubtful)
            number = execute(rows.ADD_AMEND, (rows.key_of(effect.doubtful), effect.doubtful.updated)).lastrowid
        self._count_own(number)

    def _refuse_if_moved(
        self, execute: Callable[..., sqlite3.Cursor], effect: effects.SubmitOrder | effects.AmendOrder
    ) -> None:
        order = effect.order if isinstance(effect, effects.SubmitOrder) else effect.doubtful
        beside = execute(rows.CHANGES_BESIDE, (order.ticker, order.updated, effect.knew_lock))
        halted, locked_until, last_intent = beside.fetchone()
        on_file = records.NO_HALT if halted in _NOT_STOPPED else rows.halt_on_file(execute)
        state = self._or_beside(on_file).state
        if state is TradingState.HALTED:
            raise HaltedError("Trading was halted in the meantime; the order was not sent", hint="kalshi status")
        if _CAUTION[state] > _CAUTION[effect.reviewed]:
            raise records.ConcurrentChangeError(
                "Trading became reduce-only in the meantime; the order was not sent", code="REDUCING"
            )
        if locked_until is not None and not order.reduce_only:
            what = f"{order.ticker} was locked until {format_ts(locked_until)} in the meantime; the order was not sent"
            raise records.ConcurrentChangeError(what, code="LOCKED")
        if self._seen_intent not in (None, last_intent):
            what = "Another program placed or amended an order at the same time; the order was not sent"
            raise records.ConcurrentChangeError(what, code=records.STATE_MOVED, orders=self.news())

    def _count_own(self, number: int | None) -> None:
        """Skip our own order request in `news`; an earlier one of another program stays in it."""
        if number is not None and self._seen_intent == number - 1:
            self._seen_intent = number

    def _or_beside(self, halt: Halt) -> Halt:
        """Return the state of the marker files where no halt is on file: it was lost, or there is a pause."""
        return halt if halt.state is TradingState.HALTED else halt_file.read_marker_files(self._home) or halt

    def _put_order(self, effect: effects.OrderChanged) -> None:
        """Write the current order. Not durable: the exchange can repeat it, and the order request is on the disk."""
        with self._database.writing(durable=False) as execute:
            rows.put_order(execute, effect.order, is_repaired=effect.repaired != "")

    def _book_fill(self, effect: effects.FillBooked) -> None:
        with self._database.writing(durable=True) as execute:
            execute(rows.BOOK_FILL, rows.row(effect.fill))
            if effect.order is not None:
                rows.put_order(execute, effect.order)

    def _book_settlement(self, effect: effects.SettlementBooked) -> None:
        self._write(rows.PUT_SETTLEMENT, rows.row(effect.settlement))

    def _change_state(self, effect: effects.StateChanged) -> None:
        """Follow the engine where it is stricter than the file; the first cause stays.

        A pause is its own file. A mark records that and when API_GUARD tripped, even as a later cause: its back-off
        survives a restart. A loop never loosens the state: it continues because of a manual resume (`set_halt`), and by
        the time it records that, another program may have halted.
        """
        after = Halt(effect.state, effect.code, effect.reason, effect.ts)
        if after.is_pause:
            return
        self._keep_beside(after)
        with self._database.writing(durable=True) as execute:
            if _CAUTION[after.state] > _CAUTION[rows.halt_on_file(execute).state]:
                execute(rows.PUT_HALT, (1, *rows.row(after)))
            if after.code == API_GUARD:
                execute(rows.PUT_MARK, (API_GUARD, after.since))

    def _count_denial(self, effect: effects.OrderRefused) -> None:
        """Count a refusal in memory, to write it with the heartbeat.

        A control that refuses on every delta must be cheap.
        """
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

    def _add_alert(self, effect: effects.AlertRaised) -> None:
        with self._database.writing(durable=False) as execute:
            execute(rows.ADD_ALERT, rows.row(effect))
            execute(rows.TRIM_ALERTS, (MAX_ALERTS,))

    def set_halt(self, halt: Halt) -> None:
        """Set the durable trading state as the user decided, whatever it was. No other method loosens it.

        From reduce-only to active, the next gain is the high, also below a pause. ACTIVE ends the pause, last of all.
        """
        self._keep_beside(halt)
        with self._database.writing(durable=True) as execute:
            if halt.state is TradingState.ACTIVE and rows.halt_on_file(execute).state is TradingState.REDUCING:
                execute(rows.FORGET_BEST)
            execute(rows.PUT_HALT, (1, *rows.row(halt)))
            if halt.state is TradingState.ACTIVE:
                execute(rows.PUT_MARK, (RESUMED, halt.since))
                execute(rows.DROP_MARK, (API_GUARD,))
        if halt.state is not TradingState.HALTED:
            halt_file.remove_halt_file(self._home, with_pause=halt.state is TradingState.ACTIVE)
        self.on_record(effects.StateChanged(halt.since, halt.state, halt.code, halt.reason), self)

    def _keep_beside(self, halt: Halt) -> None:
        """Write a halt to its marker file before the state file, and remove it from there last: it never ends early.

        Where only one of them can be written, that one counts.
        """
        if halt.state is TradingState.HALTED:
            with suppress(StateFileError):
                halt_file.write_halt_file(self._home, halt)

    def lock_market(self, lock: records.MarketLock) -> None:
        """Save a lock durably."""
        with self._database.writing(durable=True) as execute:
            execute(rows.DROP_PAST_LOCKS, (lock.since,))
            execute(rows.PUT_MARKET_LOCK, rows.row(lock))

    def unlock_market(self, ticker: str) -> bool:
        """Remove a lock; return whether one existed."""
        return self._write(rows.DROP_MARKET_LOCK, (ticker,)) > 0

    def market_locks(self) -> tuple[records.MarketLock, ...]:
        """Return all locks that were not removed, by market."""
        return self._select(records.MarketLock, rows.MARKET_LOCKS)

    def _switch_group(self, effect: effects.OrderGroupStateChanged) -> None:
        with halt_file.keep_trigger(self._home, effect.order_group_id, is_triggered=effect.is_triggered):
            self._write(rows.SWITCH_GROUP, (effect.is_triggered, effect.order_group_id))

    def save_order_group(self, group: records.RunGroup) -> None:
        """Save an order group of a run durably: a forgotten one stays at the exchange."""
        self._write(rows.PUT_GROUP, rows.row(group))

    def forget_group(self, group_id: str) -> None:
        """Forget an order group that no longer exists at the exchange."""
        self._write(rows.DROP_GROUP, (group_id,))

    def beat(self, cycle: Heartbeat) -> None:
        """Write the heartbeat row, and the refusals counted since the last one."""
        self._write_denials()
        with self._database.writing(durable=False) as execute:
            execute(rows.PUT_CYCLE, (1, *rows.row(cycle)))
            closed_tables.close_markets(execute, cycle.completed, *MAX_PER_BEAT)
            if cycle.gained is not None:
                execute(rows.SEE_BEST, (1, cycle.gained, cycle.completed))

    def add_traffic(self, minutes: Sequence[RequestMinute]) -> None:
        """Add these counts to those of the same minutes."""
        with self._database.writing(durable=False) as execute:
            for minute in minutes:
                execute(rows.ADD_TRAFFIC, rows.row(minute))
            execute(rows.TRIM_TRAFFIC, (MAX_MINUTES,))

    def record_placement(self, client_order_id: str, latency_ms: int) -> None:
        """Save the time from the decision on an order to the exchange's answer."""
        with self._database.writing(durable=False) as execute:
            execute(rows.ADD_PLACEMENT, (client_order_id, latency_ms))
            execute(rows.TRIM_PLACEMENTS, (MAX_PLACEMENTS,))

    def update_account_high(self, gained: Money, ts: Ts) -> records.AccountHigh:
        """Save the gain where it is the highest so far; return the highest."""
        with self._database.writing(durable=False) as execute:
            execute(rows.SEE_BEST, (1, gained, ts))
        return self._select(records.AccountHigh, rows.BEST)[0]

    def opening_marks(self, start: Ts, marks: Mapping[str, Price] | None = None) -> dict[str, Price]:
        """Save closing prices at the start of a trading day, where none is saved; return all that are."""
        if marks:
            with self._database.writing(durable=False) as execute:
                for ticker, mark in marks.items():
                    execute(rows.PUT_OPENING_MARK, (start, ticker, mark))
        return dict(self._database.read(rows.OPENING_MARKS, (start,)))

    def cash_base(self) -> records.CashBaseline | None:
        """Return the baseline of cash drift, if there is one."""
        return next(iter(self._select(records.CashBaseline, rows.CASH_BASE)), None)

    def set_cash_base(self, base: records.CashBaseline) -> None:
        """Set the baseline of cash drift."""
        self._write(rows.PUT_CASH_BASE, (1, *rows.row(base)))

    def key_lock(self, key_id: str) -> records.KeyRestriction | None:
        """Return the saved restriction of this key; None where the exchange was never asked."""
        return next(iter(self._select(records.KeyRestriction, rows.KEY_LOCK, (key_id,))), None)

    def keep_key_lock(self, lock: records.KeyRestriction) -> None:
        """Save the restriction of a key, which never changes."""
        self._write(rows.PUT_KEY_LOCK, rows.row(lock), durable=False)

    # -- what is remembered ---------------------------------------------------------------------------------------

    def load(self) -> records.RecoveredState:
        """Return the fills and settlements of open markets, the results of closed ones, and the orders for a start.

        These are orders that are live, that traded in an open market or within the last hour of trading, or that are
        among the latest thousand.
        """
        with self._database.snapshot():  # a market that is closed meanwhile is in both parts, or in neither
            self._seen_intent = self._last_intent()
            return records.RecoveredState(
                orders=self._select(Order, rows.ORDERS_TO_REMEMBER),
                fills=self._select(Fill, closed_tables.OPEN_FILLS),
                settlements=self._select(Settlement, closed_tables.OPEN_SETTLEMENTS),
                closed=self._select(StrategyResult, closed_tables.RESULTS),
                halt=self.halt(),
                locks=self.market_locks(),
                best=next(iter(self._select(records.AccountHigh, rows.BEST)), None),
                api_guard_at=Ts(self.alert_book.mark(API_GUARD)) or None,
            )

    def close_markets(self, now: Ts, limit: int) -> None:
        """Close up to `limit` markets that are final, so that the next start reads only their results."""
        if self._database.read(closed_tables.ANY_DUE, (now,)):
            with self._database.writing(durable=False) as execute:
                closed_tables.close_markets(execute, now, limit, records.ALL_FILLS)

    def closed_market(self, ticker: str) -> ClosedMarket | None:
        """Return the history of a market that was closed, to reopen it; None for any other."""
        with self._database.snapshot() as execute:
            is_closed = execute(closed_tables.CLOSED, (ticker,)).fetchone() is not None
            return closed_tables.market_of(execute, ticker) if is_closed else None

    def news(self) -> tuple[Order, ...]:
        """Return orders placed or amended since `load` or the last call; our own may be among them."""
        seen, self._seen_intent = self._seen_intent, self._last_intent()
        return self._select(Order, rows.ORDERS_BESIDE, (seen,)) if seen != self._seen_intent else ()

    def _last_intent(self) -> int:
        return int(self._database.read(rows.LAST_INTENT)[0][0])

    def halt(self) -> Halt:
        """Return the current trading state; ACTIVE where it was never changed."""
        found = self._select(Halt, rows.HALT)
        return self._or_beside(found[0] if found else records.NO_HALT)

    def stop_under_pause(self) -> Halt:
        """Return the halt or the reduce-only state, even under a pause; ACTIVE without either."""
        stop = (*self._select(Halt, rows.HALT), records.NO_HALT)[0]
        return stop if stop.state is TradingState.HALTED else halt_file.read_halt_file(self._home) or stop

    def groups(self) -> tuple[records.RunGroup, ...]:
        """Return the order groups of runs, by shard."""
        return halt_file.with_triggers(self._home, self._select(records.RunGroup, rows.GROUPS))

    def traffic(self, since: Ts) -> tuple[RequestMinute, ...]:
        """Return the requests that loops counted in each minute from that of `since` on, oldest first."""
        return self._select(RequestMinute, rows.TRAFFIC, (since // 60_000,))

    def last_cycle(self) -> Heartbeat | None:
        """Return the heartbeat row, if a loop ever completed a pass here."""
        return next(iter(self._select(Heartbeat, rows.CYCLE)), None)

    def order(self, any_id: str) -> Order | None:
        """Return the order with this client order id or exchange id."""
        return next(iter(self._select(Order, rows.ORDER_BY_ID, (any_id,))), None)

    def orders(self, since: Ts = records.ALL_TIME, ticker: str = "") -> tuple[Order, ...]:
        """Return the orders that changed since then, oldest first, of one market or of all."""
        return self._select(Order, rows.ORDERS_SINCE, (since, ticker))

    def live_orders(self) -> tuple[Order, ...]:
        """Return the orders that may still trade by this file."""
        return self._select(Order, rows.LIVE_ORDERS)

    def fills(self, since: Ts = records.ALL_TIME) -> tuple[Fill, ...]:
        """Return the fills since then, in the order of their time."""
        return self._select(Fill, rows.FILLS, (since,))

    def settlements(self, since: Ts = records.ALL_TIME) -> tuple[Settlement, ...]:
        """Return the settlements since then, in the order of their time."""
        return self._select(Settlement, rows.SETTLEMENTS, (since,))

    def denials(self, since: Ts, ticker: str = "") -> dict[str, dict[str, int]]:
        """Return how often each control refused each strategy ("" for manual orders), by code, most frequent first.

        Counts from the minute of `since` on, in one market or in all.
        """
        self._write_denials()
        found: dict[str, dict[str, int]] = {}
        for strategy, code, count in self._database.read(rows.COUNT_DENIALS, (since // 60_000, ticker)):
            found.setdefault(strategy, {})[code] = count
        return found

    def amends(self, since: Ts, ticker: str = "") -> dict[str, int]:
        """Return how many amends each strategy sent since then ("" for manual orders), in one market or in all."""
        return dict(self._database.read(rows.COUNT_AMENDS, (since, ticker)))

    def last_denials(self, since: Ts, ticker: str = "") -> tuple[effects.OrderRefused, ...]:
        """Return the latest refusal of each minute and cause, newest first; at most 100."""
        self._write_denials()
        return self._select(effects.OrderRefused, rows.DENIED, (since, ticker, 100))

    def alerts(self, since: Ts = records.ALL_TIME) -> tuple[effects.AlertRaised, ...]:
        """Return the alerts since then, newest first; at most 1,000."""
        return self._select(effects.AlertRaised, rows.ALERTS, (since, 1_000))

    def _write(self, sql: str, values: Sequence[object], *, durable: bool = True) -> int:
        """Run one statement in a transaction of its own, and return how many rows it changed."""
        with self._database.writing(durable=durable) as execute:
            return execute(sql, values).rowcount

    def close(self) -> None:
        """Write the counts in memory and close the file."""
        try:
            self._write_denials()
        finally:
            self._database.close()


def _ending(account: str) -> str:
    """Return enough of an account id to recognize it."""
    return f"…{account[-4:]}" if len(account) > 8 else account
