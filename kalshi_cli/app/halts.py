"""Halting, pausing, resuming and stopping what runs in an environment, whether on the account or on paper."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

from kalshi_cli.app import App
from kalshi_cli.base.errors import KalshiError, OutcomeUnknownError, StateError
from kalshi_cli.base.units import show_money
from kalshi_cli.config.config import state_dir
from kalshi_cli.core.model.effects import StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.trading_day import day_start
from kalshi_cli.desk import halts
from kalshi_cli.store.halt_file import beside, read_halt_file, write_halt_file
from kalshi_cli.store.lock import LockHolder, holder, no_kill
from kalshi_cli.store.pause import pause, read_pause
from kalshi_cli.store.records import NO_HALT, PAUSED, Halt
from kalshi_cli.store.sqlite_store import SqliteStore
from kalshi_cli.store.state_store import Store


class Halts:
    """What a person says to everything that runs here: `Halts(app).pause(...)`."""

    def __init__(self, app: App) -> None:
        self.app = app

    def _homes(self) -> Iterator[tuple[Path, str | None]]:
        """The state directory of the account, and that of trading on paper where there ever was any; whose they are."""
        yield self.app.state_dir, None
        paper = state_dir(self.app.config, "paper")
        if os.path.isdir(paper):
            yield paper, "paper"

    def _store(self, home: Path, account: str | None) -> Store | None:
        return self.app.remembered(home, account)

    def halt(self, code: str, reason: str, *, busy_ms: int | None = None) -> bool:
        """Halt for good; False, and told, where it can be written neither in the state file nor beside it.

        The state file is waited for, for `busy_ms` at most.
        """
        path, after = self.app.state_dir / "state.db", Halt(TradingState.HALTED, code, reason, self.app.clock.now())
        account = self.app.account  # without a key nothing can run here, and nothing is written
        is_beside = True
        try:
            write_halt_file(self.app.state_dir, after)
        except StateError:
            is_beside = False
        try:
            with SqliteStore.open(
                path, account=account, environment=self.app.config.env, busy_ms=busy_ms, on_record=self.app.journal.note
            ) as store:
                store.set_halt(after)
        except StateError as error:
            if is_beside:
                self.app.tell(f"the halt is kept beside the state file, and holds: {error.message}")
                return True
            self.app.tell(f"the halt could NOT be written down: {error.message}")
            with suppress(StateError):
                who = holder(self.app.state_dir / "trade.lock")
                if who is not None:
                    self.app.tell(f"a loop is running ({who}): to be sure, kill {who.pid or ''}".rstrip())
            return False
        return True

    def holds(self, *, busy_ms: int | None = None) -> bool:
        """Return whether the halt still holds."""
        with suppress(StateError):
            if read_halt_file(self.app.state_dir) is not None:
                return True
            store = self.app.remembered(busy_ms=busy_ms)
            if store is not None and store.halt().is_final:
                return True
        return False

    def pause(self, reason: str) -> Halt:
        """No new orders until `resume`; what holds them up now, a halt where there is one.

        Needs neither the state file nor a key.
        """
        for home, _ in self._homes():
            pause(home, reason)
        now = self.app.clock.now()
        self.app.journal.note(StateChanged(now, TradingState.HALTED, PAUSED, reason))
        found = [halt for home, _ in self._homes() if (halt := read_pause(home)) is not None]
        with suppress(KalshiError):
            stores = [self._store(*home) for home in self._homes()]
            found += [store.halt() for store in stores if store is not None]
        return halts.gravest(found)

    def now(self) -> Halt:
        """What holds up trading here, on the account or on paper: the gravest of them."""
        stores = [(home, self._store(home, whose)) for home, whose in self._homes()]
        return halts.gravest(
            [(store.halt() if store is not None else beside(home)) or NO_HALT for home, store in stores]
        )

    def resume(self, reason: str) -> Halt:
        """Leave every halt and pause; the gravest of them. RefusedError while a kill switch runs."""
        clock = self.app.clock
        with no_kill(self.app.state_dir, self.app.machine):
            left = [halts.resume(home, self._store(home, whose), reason, clock) for home, whose in self._homes()]
        return halts.gravest(left)

    def trips_again(self, before: Halt) -> str:
        """What to know after a resume on a day that lost too much, whatever held trading up: the same loss stops it
        again; "" otherwise. Where no loop wrote down what the day lost, a DAILY_LOSS of today says it."""
        limit, now = self.app.config.risk.max_daily_loss, self.app.clock.now()
        midnight = day_start(now, ZoneInfo(self.app.config.day_zone))
        if limit is None:
            return ""
        cycles = [store.last_cycle() for home in self._homes() if (store := self._store(*home)) is not None]
        days = [cycle.day_pnl for cycle in cycles if cycle is not None and cycle.completed >= midnight]
        lost = [-day for day in days if day is not None]
        is_known = before.code == "DAILY_LOSS" and before.since >= midnight
        if (lost and max(lost) <= limit) or not (lost or is_known):
            return ""
        return (
            f"this trading day lost more than risk.max_daily_loss, which is {show_money(limit)}: a loop stops again at "
            "once until midnight of day_zone, unless it is started with a higher one"
        )

    def loop_beside(self) -> LockHolder | None:
        """The loop that may place orders on the account now; None where none runs, or a halt or pause holds it up."""
        who = holder(self.app.state_dir / "trade.lock")
        if who is None:
            return None
        store = self.app.remembered()
        halt = (store.halt() if store is not None else beside(self.app.state_dir)) or NO_HALT
        return None if halt.state is TradingState.HALTED else who

    def leftovers(self) -> list[str]:
        """What still holds up trading, or is in doubt, after a resume; with what to do."""
        remarks = []
        for store in filter(None, (self._store(*home) for home in self._homes())):
            for group in store.groups():
                if group.is_triggered:
                    text = "order group still triggered, and nothing is placed in it: kalshi order group reset"
                    remarks.append(f"{text} {group.group_id}")
            doubts = sum(order.status is OrderStatus.UNKNOWN for order in store.live_orders())
            if doubts:
                remarks.append(f"orders in doubt, which count as live: {doubts}; kalshi order reconcile")
        return remarks

    def stop(self) -> list[int]:
        """Stop every loop in good order and wait for it; their pids.

        OutcomeUnknownError where one does not end, or where orders of one may be live.
        """
        stopped, budget_s = [], self.app.config.trade.stop_budget_s

        def told(who: LockHolder) -> None:
            self.app.note(f"asked the loop ({who}) to stop: it cancels its own orders, for up to {budget_s:g} s")

        for home, whose in self._homes():
            pid = halts.stop(home / "trade.lock", self.app.machine, budget_s + halts.BEYOND_BUDGET_S, told)
            if pid is None:
                continue
            stopped.append(pid)
            store = self._store(home, whose)
            left = [order for order in store.live_orders() if order.strategy] if store is not None else []
            if left:
                raise OutcomeUnknownError(
                    f"the loop (pid {pid}) has stopped, but orders of it may still be live: {len(left)}",
                    hint="kalshi order reconcile, or kalshi cancel-all",
                )
        return stopped
