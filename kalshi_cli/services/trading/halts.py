"""Halt, pause, resume and stop whatever runs here, at the exchange or beside it, from another process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import HaltedError, KalshiError, OutcomeUnknownError, RefusedError, StateFileError
from kalshi_cli.base.units import format_ts, show_money
from kalshi_cli.core.model.effects import StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.trading_day import day_start
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.store.halt_file import read_halt_file, read_marker_files, remove_halt_file, write_halt_file
from kalshi_cli.store.lock import LockHolder, holder, no_kill
from kalshi_cli.store.pause import pause, read_pause, remove_pause_file
from kalshi_cli.store.records import NO_HALT, PAUSED, ConcurrentChangeError, Halt
from kalshi_cli.store.sqlite_store import Store

BEYOND_BUDGET_S = 15.0
"""How much longer than its stop budget a loop may take to end: a call that had begun, and its last words."""

_LOOK_S = 0.05


def most_severe(halts: list[Halt]) -> Halt:
    """Of several, the one that a person has to know of first."""
    ranks = (lambda halt: halt.is_final, lambda halt: halt.is_pause, lambda halt: halt.state is TradingState.REDUCING)
    return next((halt for is_so in ranks for halt in halts if is_so(halt)), halts[0] if halts else NO_HALT)


def describe(halt: Halt) -> str:
    """The trading state in one sentence: which it is, since when, its code and its reason."""
    what = "paused" if halt.is_pause else halt.state.value
    return f"trading is {what} since {format_ts(halt.since)}: {halt.code} {halt.reason}".rstrip()


def resume_hint(halt: Halt) -> str:
    """What ends it, and what goes on meanwhile."""
    if halt.is_pause:
        return "nothing new is placed until: kalshi resume --reason TEXT"
    if halt.state is TradingState.REDUCING:
        return "only what makes a position smaller is taken until: kalshi resume --reason TEXT"
    return "find out why, then: kalshi resume --reason TEXT"


def refuse_if_halted(store: Store, reviewed: TradingState = TradingState.REDUCING) -> None:
    """A halt outlives every process; only a person ends it. Asked before each order is sent, and before each retry.

    `reviewed` is the state that an order was reviewed for: one reviewed while trading was active does not leave once
    only what reduces is taken (MovedError, REDUCING).
    """
    halt = store.halt()
    if halt.state is TradingState.HALTED:
        raise _halted(halt)
    if halt.state is TradingState.REDUCING and reviewed is TradingState.ACTIVE:
        raise ConcurrentChangeError(
            f"only orders that reduce are taken since: {halt.code} {halt.reason}".rstrip(), code="REDUCING"
        )


def refuse_to_start(store: Store) -> None:
    """No loop starts into a halt. It may start into a pause, and waits for its end."""
    halt = store.halt()
    if halt.is_final:
        raise _halted(halt)


def _halted(halt: Halt) -> HaltedError:
    return HaltedError(describe(halt), hint=resume_hint(halt))


def resume(home: Path, store: Store | None, reason: str, clock: Clock) -> Halt:
    """Leave halt and pause of one state directory; what it was. Where the halt cannot be left, the pause stays too."""
    before = (store.halt() if store is not None else read_marker_files(home)) or NO_HALT
    if store is None:
        remove_halt_file(home)
    elif before.state is not TradingState.ACTIVE:
        store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", reason, clock.now()))
    remove_pause_file(home)
    return before


def stop(
    lock: Path, clock: Clock, within_s: float, told: Callable[[LockHolder], None] = lambda _who: None
) -> int | None:
    """Ask the loop that holds this lock to stop in good order, and wait until it did; its pid, None where none runs.

    By SIGTERM, so that nothing is left behind which the next loop could take for itself. `told` hears which one got
    it, before the wait. OutcomeUnknownError where it has not ended within that time: what it placed may be live.
    """
    who = _sure_holder(lock, clock)
    if who is None:
        return None
    try:
        os.kill(who.pid or 0, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has just ended by itself
    except PermissionError as error:
        raise RefusedError(f"the loop ({who}) belongs to another user", hint=f"as that user: kill {who.pid}") from error
    told(who)
    until = clock.monotonic() + within_s
    while holder(lock) == who:
        if clock.monotonic() >= until:
            raise OutcomeUnknownError(
                f"the loop ({who}) was asked to stop, and has not ended within {within_s:.0f} s",
                hint=f"kalshi cancel-all, then kill -9 {who.pid}",
                code="still_running",
            )
        clock.sleep(_LOOK_S)
    return who.pid


def _sure_holder(lock: Path, clock: Clock) -> LockHolder | None:
    """Who holds the lock, read twice: in the moment after it was taken, the name in it is still that of the last."""
    who = holder(lock)
    while who is not None:
        clock.sleep(_LOOK_S)
        again = holder(lock)
        if again == who and who.pid:
            return who
        who = again
    return None


class TradingControl:
    """What a person says to everything that runs here: `TradingControl(resources).pause(...)`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @property
    def _homes(self) -> list[Home]:
        """Return the home of the account, and each other one in which there ever was anything."""
        own, *others = self._resources.homes
        return [own, *(home for home in others if os.path.isdir(home.folder))]

    def _stores(self) -> Iterator[tuple[Home, Store | None]]:
        return ((home, self._resources.remembered(home)) for home in self._homes)

    def halt(self, code: str, reason: str, *, busy_ms: int | None = None) -> bool:
        """Halt for good; False, and told, where it can be written neither in the state file nor beside it.

        The state file is waited for, for `busy_ms` at most.
        """
        resources, after = self._resources, Halt(TradingState.HALTED, code, reason, self._resources.clock.now())
        _ = resources.account  # without a key nothing can run here, and nothing is written
        is_beside = True
        try:
            write_halt_file(resources.state_dir, after)
        except StateFileError:
            is_beside = False
        try:
            with resources.open_store(resources.home, busy_ms=busy_ms, is_reported=True) as store:
                store.set_halt(after)
        except StateFileError as error:
            if is_beside:
                self._resources.tell(f"the halt is kept beside the state file, and holds: {error.message}")
                return True
            self._resources.tell(f"the halt could NOT be written down: {error.message}")
            with suppress(StateFileError):
                who = holder(self._resources.state_dir / "trade.lock")
                if who is not None:
                    self._resources.tell(f"a loop is running ({who}): to be sure, kill {who.pid or ''}".rstrip())
            return False
        return True

    def holds(self, *, busy_ms: int | None = None) -> bool:
        """Return whether the halt still holds."""
        with suppress(StateFileError):
            if read_halt_file(self._resources.state_dir) is not None:
                return True
            store = self._resources.remembered(busy_ms=busy_ms)
            if store is not None and store.halt().is_final:
                return True
        return False

    def pause(self, reason: str) -> Halt:
        """No new orders until `resume`; what holds them up now, a halt where there is one.

        Needs neither the state file nor a key.
        """
        for home in self._homes:
            pause(home.folder, reason)
        now = self._resources.clock.now()
        self._resources.on_effect(StateChanged(now, TradingState.HALTED, PAUSED, reason), None)
        found = [halt for home in self._homes if (halt := read_pause(home.folder)) is not None]
        with suppress(KalshiError):
            found += [store.halt() for _, store in self._stores() if store is not None]
        return most_severe(found)

    def now(self) -> Halt:
        """What holds up trading here, on the account or on paper: the gravest of them."""
        return most_severe([_halt_of(home, store) for home, store in self._stores()])

    def resume(self, reason: str) -> Halt:
        """Leave every halt and pause; the gravest of them. RefusedError while a kill switch runs."""
        clock = self._resources.clock
        with no_kill(self._resources.state_dir, self._resources.machine):
            left = [resume(home.folder, store, reason, clock) for home, store in self._stores()]
        return most_severe(left)

    def would_halt_again(self, before: Halt) -> str:
        """What to know after a resume on a day that lost too much, whatever held trading up: the same loss stops it
        again; "" otherwise. Where no loop wrote down what the day lost, a DAILY_LOSS of today says it.
        """
        limit, now = self._resources.config.risk.max_daily_loss, self._resources.clock.now()
        midnight = day_start(now, ZoneInfo(self._resources.config.day_zone))
        if limit is None:
            return ""
        cycles = [store.last_cycle() for _, store in self._stores() if store is not None]
        days = [cycle.day_pnl for cycle in cycles if cycle is not None and cycle.completed >= midnight]
        lost = [-day for day in days if day is not None]
        is_known = before.code == "DAILY_LOSS" and before.since >= midnight
        if (lost and max(lost) <= limit) or not (lost or is_known):
            return ""
        return (
            f"this trading day lost more than risk.max_daily_loss, which is {show_money(limit)}: a loop stops again at "
            "once until midnight of day_zone, unless it is started with a higher one"
        )

    def running_loop(self) -> LockHolder | None:
        """The loop that may place orders on the account now; None where none runs, or a halt or pause holds it up."""
        who = holder(self._resources.state_dir / "trade.lock")
        if who is None:
            return None
        halt = _halt_of(self._resources.home, self._resources.remembered())
        return None if halt.state is TradingState.HALTED else who

    def triggered_groups(self) -> list[str]:
        """Return the ids of the order groups that were triggered and accept no orders."""
        stores = [store for _, store in self._stores() if store is not None]
        return [group.group_id for store in stores for group in store.groups() if group.is_triggered]

    def leftovers(self) -> list[str]:
        """What still holds up trading, or is in doubt, after a resume; with what to do."""
        remarks = [
            f"Order group {group_id} is still triggered and accepts no orders: kalshi order group reset {group_id}"
            for group_id in self.triggered_groups()
        ]
        for store in (store for _, store in self._stores() if store is not None):
            doubts = sum(order.status is OrderStatus.UNKNOWN for order in store.live_orders())
            if doubts:
                remarks.append(f"orders in doubt, which count as live: {doubts}; kalshi order reconcile")
        return remarks

    def stop(self) -> list[int]:
        """Stop every loop in good order and wait for it; their pids.

        OutcomeUnknownError where one does not end, or where orders of one may be live.
        """
        stopped, budget_s = [], self._resources.config.trade.stop_budget_s

        def told(who: LockHolder) -> None:
            self._resources.note(f"asked the loop ({who}) to stop: it cancels its own orders, for up to {budget_s:g} s")

        for home in self._homes:
            pid = stop(home.folder / "trade.lock", self._resources.machine, budget_s + BEYOND_BUDGET_S, told)
            if pid is None:
                continue
            stopped.append(pid)
            store = self._resources.remembered(home)
            left = [order for order in store.live_orders() if order.strategy] if store is not None else []
            if left:
                raise OutcomeUnknownError(
                    f"the loop (pid {pid}) has stopped, but orders of it may still be live: {len(left)}",
                    hint="kalshi order reconcile, or kalshi cancel-all",
                )
        return stopped


def _halt_of(home: Home, store: Store | None) -> Halt:
    """Return what holds up trading in a home, by its state file or what is beside it."""
    return (store.halt() if store is not None else read_marker_files(home.folder)) or NO_HALT
