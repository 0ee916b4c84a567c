"""Halts, pauses, market locks and stops of every trading program on this machine, live or on paper."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Ts, pluralize, show_money
from kalshi_cli.core.model.effects import StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.markets import ENDED, Market, MarketStatus
from kalshi_cli.core.model.messages import MarketLocks, Message, Tick
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.trading_day import day_start
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.trading.loop_limit import loop_limit
from kalshi_cli.store.halt_file import read_halt_file, read_marker_files, remove_halt_file, write_halt_file
from kalshi_cli.store.lock import LockHolder, holder, no_kill
from kalshi_cli.store.pause import pause, read_pause
from kalshi_cli.store.records import NO_HALT, PAUSED, ConcurrentChangeError, Halt, MarketLock
from kalshi_cli.views.formats import format_time

if TYPE_CHECKING:
    from kalshi_cli.store.sqlite_store import Store

BEYOND_BUDGET_S = 15.0
"""Seconds that a loop may take to end beyond its stop budget: for a request in progress and its final output."""

ASK_WITHIN_S = 3.0
"""The longest time that a resume waits for the exchange."""

_POLL_S = 0.05


def most_severe(halts: list[Halt]) -> Halt:
    """Return the halt to show first: a final halt before a pause, a pause before reduce-only."""
    ranks = (lambda halt: halt.is_final, lambda halt: halt.is_pause, lambda halt: halt.state is TradingState.REDUCING)
    return next((halt for is_so in ranks for halt in halts if is_so(halt)), halts[0] if halts else NO_HALT)


def describe(halt: Halt, verb: str = "has been") -> str:
    """Return the trading state in one sentence: state, time, code and reason, which may end with a command."""
    if halt == NO_HALT:
        return "Trading is active"
    code = "" if halt.is_pause else f" ({halt.code})"
    text = f"Trading {verb} {state_word(halt)} since {format_time(halt.since, None)}{code}: {halt.reason}"
    return text.removesuffix(": ")


def describe_cause(halt: Halt, verb: str = "has been") -> str:
    """Return `describe` without the commands that a guard's reason ends with: for a text that gives its own."""
    is_advice = "kalshi resume" in halt.reason
    return describe(msgspec.structs.replace(halt, reason=halt.reason.partition(". ")[0]) if is_advice else halt, verb)


def state_word(halt: Halt) -> str:
    """Return the word that people read for a trading state: `paused`, `reduce-only` or the state's own value."""
    if halt.is_pause:
        return "paused"
    return "reduce-only" if halt.state is TradingState.REDUCING else halt.state.value


def resume_hint(halt: Halt) -> str:
    """Return the command that ends a halt, and which orders are accepted until then."""
    if halt.is_pause:
        return "no new orders until `kalshi resume --reason TEXT`"
    if halt.state is TradingState.REDUCING:
        return "only orders that reduce a position are accepted until `kalshi resume --reason TEXT`"
    return "find the cause, then run `kalshi resume --reason TEXT`"


def refuse_if_halted(store: Store, reviewed: TradingState = TradingState.REDUCING) -> None:
    """Raise HaltedError while trading is halted. Call it before each order is sent and before each retry.

    A halt outlives every process; only `kalshi resume` ends it. `reviewed` is the trading state under which the order
    was reviewed: an order reviewed as ACTIVE is not sent under REDUCING (ConcurrentChangeError with that code).
    """
    halt = store.halt()
    if halt.state is TradingState.HALTED:
        raise _halted(halt)
    if halt.state is TradingState.REDUCING and reviewed is TradingState.ACTIVE:
        raise ConcurrentChangeError(
            f"Trading became reduce-only in the meantime: {halt.code} {halt.reason}".rstrip(), code="REDUCING"
        )


def refuse_to_start(store: Store) -> None:
    """Raise HaltedError while trading is halted. A loop may start during a pause; it waits for the pause to end."""
    halt = store.halt()
    if halt.is_final:
        raise _halted(halt)


def _halted(halt: Halt) -> errors.HaltedError:
    return errors.HaltedError(describe(halt), hint=resume_hint(halt))


def resume(home: Path, store: Store | None, reason: str, clock: Clock) -> Halt:
    """End the halt and the pause of one state directory; return the previous state.

    The pause ends last: a resume that fails or is cut off before that leaves trading paused.
    """
    before = (store.halt() if store is not None else read_marker_files(home)) or NO_HALT
    if store is None:
        remove_halt_file(home, with_pause=True)
    elif before.state is not TradingState.ACTIVE:
        store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", reason, clock.now()))
    return before


def stop(
    lock: Path, clock: Clock, within_s: float, requested: Callable[[LockHolder], None] = lambda _who: None
) -> int | None:
    """Ask the loop that holds this lock to stop gracefully and wait for it; return its pid, None if no loop runs.

    The request is a SIGTERM: a marker file could stop the next loop as well. `requested` is called with the loop before
    the wait. Raises OutcomeUnknownError if the loop still runs after `within_s` seconds: its orders may be live.
    """
    who = _confirmed_holder(lock, clock)
    if who is None:
        return None
    try:
        os.kill(who.pid or 0, signal.SIGTERM)
    except ProcessLookupError:
        pass  # The loop has just ended.
    except PermissionError as error:
        raise errors.RefusedError(
            f"The loop ({who}) belongs to another user", hint=f"as that user, run `kill {who.pid}`"
        ) from error
    requested(who)
    until = clock.monotonic() + within_s
    while holder(lock) == who:
        if clock.monotonic() >= until:
            raise errors.OutcomeUnknownError(
                f"The loop ({who}) was asked to stop but is still running after {within_s:.0f} s",
                hint=f"run `kalshi cancel-all`, then `kill -9 {who.pid}`",
                code="still_running",
            )
        clock.sleep(_POLL_S)
    return who.pid


def _confirmed_holder(lock: Path, clock: Clock) -> LockHolder | None:
    """Return the holder of the lock after two equal reads: a lock just taken still names its previous holder."""
    who = holder(lock)
    while who is not None:
        clock.sleep(_POLL_S)
        again = holder(lock)
        if again == who and who.pid:
            return who
        who = again
    return None


class TradingControl:
    """Pauses, halts, resumes and stops every trading program of this state folder, live and on paper."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @property
    def _homes(self) -> list[Home]:
        """Return the home of the account, and each other home that exists on disk."""
        own, *others = self._resources.homes
        return [own, *(home for home in others if os.path.isdir(home.folder))]

    def _stores(self) -> Iterator[tuple[Home, Store | None]]:
        return ((home, self._resources.remembered(home)) for home in self._homes)

    def halt(self, code: str, reason: str, *, busy_ms: int | None = None) -> bool:
        """Halt trading until a resume; return False if the halt could not be saved.

        The halt goes into a file next to the state file and into the state file itself. Another program that writes to
        the state file is waited for, `busy_ms` at most.
        """
        resources, after = self._resources, Halt(TradingState.HALTED, code, reason, self._resources.clock.now())
        _ = resources.account  # Without a key nothing can trade here, and nothing is saved.
        is_beside = True
        try:
            write_halt_file(resources.state_dir, after)
        except errors.StateFileError:
            is_beside = False
        try:
            with resources.open_store(resources.home, busy_ms=busy_ms, is_reported=True) as store:
                store.set_halt(after)
        except errors.StateFileError as error:
            if is_beside:
                resources.tell(f"The halt is saved next to the state file and is in effect: {error.message}")
                return True
            resources.tell(f"The halt could NOT be saved: {error.message}")
            with suppress(errors.StateFileError):
                who = holder(resources.state_dir / "trade.lock")
                if who is not None:
                    resources.tell(f"A trading loop is running ({who}). To be sure, run: kill {who.pid or ''}".rstrip())
            return False
        return True

    def holds(self, *, busy_ms: int | None = None) -> bool:
        """Return whether the halt is still in effect."""
        with suppress(errors.StateFileError):
            if read_halt_file(self._resources.state_dir) is not None:
                return True
            store = self._resources.remembered(busy_ms=busy_ms)
            if store is not None and store.halt().is_final:
                return True
        return False

    def pause(self, reason: str) -> Halt:
        """Stop new orders until `resume`; return the most severe halt or pause now in effect.

        Needs neither the state file nor a key.
        """
        for home in self._homes:
            pause(home.folder, reason)
        now = self._resources.clock.now()
        self._resources.on_effect(StateChanged(now, TradingState.HALTED, PAUSED, reason), None)
        found = [halt for home in self._homes if (halt := read_pause(home.folder)) is not None]
        with suppress(errors.KalshiError):
            found += [store.halt() for _, store in self._stores() if store is not None]
        return most_severe(found)

    def now(self) -> Halt:
        """Return the most severe halt or pause, of the account or of paper trading."""
        return most_severe([_halt_of(home, store) for home, store in self._stores()])

    def pause_below(self) -> Halt | None:
        """Return the oldest pause of this state folder, also below a halt."""
        with suppress(errors.StateFileError):
            found = [halt for home in self._homes if (halt := read_pause(home.folder)) is not None]
            return min(found, key=lambda halt: halt.since, default=None)
        return None

    def resume(self, reason: str) -> Halt:
        """End every halt and pause; return the most severe one. Raises RefusedError while `cancel-all` runs."""
        clock = self._resources.clock
        with no_kill(self._resources.state_dir, self._resources.machine):
            left = [resume(home.folder, store, reason, clock) for home, store in self._stores()]
        return most_severe(left)

    def is_daily_loss(self) -> bool:
        """Return whether a daily loss stopped trading, also below a pause."""
        stores = [store for _, store in self._stores() if store is not None]
        return any("DAILY_LOSS" in (store.halt().alert, store.stop_under_pause().code) for store in stores)

    def would_halt_again(self, before: Halt, *, is_daily_loss: bool) -> str:
        """Return a warning if today's loss exceeds the daily limit, or may exceed that of a running loop; "" otherwise.

        The loss is the one that a loop saved today. Without one, a DAILY_LOSS stop of today shows that the loss was
        above the limit of then, which may have been lower.
        """
        now, stores = self._resources.clock.now(), dict(self._stores())
        midnight = day_start(now, ZoneInfo(self._resources.config.day_zone))
        cycles = [store.last_cycle() for store in stores.values() if store is not None]
        days = [cycle.day_pnl for cycle in cycles if cycle is not None and cycle.completed >= midnight]
        lost = [-day for day in days if day is not None]
        for home, store in stores.items() if is_daily_loss else ():
            who, of_loop = holder(home.folder / "trade.lock"), loop_limit(store.alert_book) if store else None
            if who is not None and not (lost and of_loop is not None and max(lost) <= of_loop):
                return (
                    f"The loop ({who}) still has the risk.max_daily_loss of its start, and stops again at once while "
                    "today's loss exceeds it. To trade with a higher limit, in this order: raise it in the "
                    "configuration, `kalshi stop`, start the loop again, `kalshi resume --reason TEXT`"
                )
        limit = self._resources.config.risk.max_daily_loss
        if limit is None:
            return ""
        is_known = is_daily_loss and before.since >= midnight
        if (lost and max(lost) <= limit) or not (lost or is_known):
            return ""
        if not lost:
            return (
                f"If today's loss exceeds risk.max_daily_loss ({show_money(limit)}), only orders that reduce a "
                "position are accepted until midnight (day_zone), and a loop halts again at once"
            )
        return (
            f"Today's loss exceeds risk.max_daily_loss ({show_money(limit)}). A loop halts again at once until "
            "midnight (day_zone), unless it starts with a higher limit"
        )

    def running_loop(self) -> LockHolder | None:
        """Return the loop that may place orders on the account now; None if none runs or trading is stopped."""
        who = holder(self._resources.state_dir / "trade.lock")
        if who is None:
            return None
        halt = _halt_of(self._resources.home, self._resources.remembered())
        return None if halt.state is TradingState.HALTED else who

    def is_loop_paused(self) -> bool:
        """Return whether a loop runs while trading is halted or paused: it cancels its orders."""
        return holder(self._resources.state_dir / "trade.lock") is not None and self.running_loop() is None

    def triggered_groups(self) -> list[str]:
        """Return the ids of the order groups that were triggered and accept no orders."""
        stores = [store for _, store in self._stores() if store is not None]
        return [group.group_id for store in stores for group in store.groups() if group.is_triggered]

    def doubts(self) -> list[str]:
        """Return why lifting a halt may be unsafe now: the exchange does not respond, or orders are unconfirmed.

        RefusedError while a kill switch runs. A pause has no doubts: a loop checks the account before it trades.
        """
        resources = self._resources
        if not self.now().is_final:
            return []
        with no_kill(resources.state_dir, resources.machine):
            pass
        found = self.leftovers()
        try:
            with resources.client.reading_within(ASK_WITHIN_S):
                resources.client.exchange_status()
        except errors.CredentialsError:
            return found  # Without a key nothing can trade.
        except errors.KalshiError as error:
            found.append(f"The exchange does not respond, so no order can be checked or canceled: {error.message}")
        return found

    def leftovers(self) -> list[str]:
        """Return what is unconfirmed after a resume, each with its command."""
        remarks = []
        for store in (store for _, store in self._stores() if store is not None):
            unknown = sum(order.status is OrderStatus.UNKNOWN for order in store.live_orders())
            if unknown:
                remarks.append(f"Unconfirmed orders, counted as live: {unknown}. Run `kalshi order reconcile`")
        return remarks

    def stop(self) -> list[int]:
        """Stop every loop gracefully and wait for it; return their process ids.

        Raises OutcomeUnknownError if a loop does not end, or if orders of one may be live.
        """
        stopped, budget_s = [], self._resources.config.trade.stop_budget_s

        def requested(who: LockHolder) -> None:
            self._resources.note(
                f"Stop requested ({who}). The loop cancels its own orders, for up to {budget_s:g} s. If it is still "
                f"running after {budget_s + BEYOND_BUDGET_S:g} s: `kalshi cancel-all`, then `kill -9 {who.pid}`"
            )

        for home in self._homes:
            pid = stop(home.folder / "trade.lock", self._resources.machine, budget_s + BEYOND_BUDGET_S, requested)
            if pid is None:
                continue
            stopped.append(pid)
            store = self._resources.remembered(home)
            if store is not None:
                _record_stop(store, pid)
            left = [order for order in store.live_orders() if order.strategy] if store is not None else []
            if left:
                raise errors.OutcomeUnknownError(
                    f"The loop (pid {pid}) has stopped, but {pluralize(len(left), 'order')} of it may be live",
                    hint="run `kalshi order reconcile`, or `kalshi cancel-all`",
                )
        return stopped


def _record_stop(store: Store, pid: int) -> None:
    """Record that `kalshi stop` sent the signal that ended this loop: the loop cannot know it."""
    with suppress(errors.StateFileError):
        last = store.last_cycle()
        if last is not None and (last.pid, last.is_running, last.stopped_by) == (pid, False, "SIGTERM"):
            store.beat(msgspec.structs.replace(last, stopped_by="kalshi stop (SIGTERM)"))


def _halt_of(home: Home, store: Store | None) -> Halt:
    """Return the halt of a home: from its state file, or from the marker files if it has none."""
    return (store.halt() if store is not None else read_marker_files(home.folder)) or NO_HALT


# -- markets ------------------------------------------------------------------------------------------------------


def with_locks(feed: Iterable[Message], store: Store) -> Iterator[Message]:
    """Yield the messages of a feed, and before a tick the market locks if they changed."""
    known = store.market_locks()
    for message in feed:
        if isinstance(message, Tick) and (found := store.market_locks()) != known:
            known = found
            yield MarketLocks(message.ts, {lock.ticker: lock.until for lock in found})
        yield message


def _ended(market: Market) -> str:
    """Say that a market has settled, or that its trading has ended."""
    if market.status is MarketStatus.FINALIZED:
        return " ".join(filter(None, (market.ticker, "has settled", market.result.upper())))
    return f"Trading in {market.ticker} has ended ({market.status.value})"


class MarketLockService:
    """Blocks new positions in a market, for every trading program: `MarketLockService(resources).lock(...)`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def _stores(self, *, create: bool) -> list[Store]:
        """Open the state files of all homes; with `create`, make the account's file if it is to hold the lock."""
        resources = self._resources
        others = [store for home in resources.homes[1:] if (store := resources.remembered(home)) is not None]
        has_key = bool(resources.home.account)
        own = resources.store if create and (has_key or not others) else resources.remembered() if has_key else None
        return [*([own] if own is not None else []), *others]

    def require_market(self, ticker: str) -> None:
        """Raise NotFoundError for an unknown market, UsageError for one whose trading has ended for good.

        An exchange that cannot be reached stops no lock.
        """
        try:
            market = self._resources.client.market(ticker)
        except errors.UnreachableError as error:
            self._resources.note(f"The lock is made without checking that the market exists: {error.message}")
            return
        if market.status in ENDED:
            hint = "`kalshi markets` lists the open markets"
            raise errors.UsageError(f"{_ended(market)}: there is nothing to lock", hint=hint)

    def lock(self, ticker: str, lasts_s: float, reason: str) -> MarketLock:
        """Block new positions in a market for `lasts_s` seconds."""
        now = self._resources.clock.now()
        lock = MarketLock(ticker, Ts(now + int(lasts_s * 1000)), reason, now)
        for store in self._stores(create=True):
            store.lock_market(lock)
        return lock

    def unlock(self, ticker: str) -> bool:
        """Remove the lock of a market; return whether one existed."""
        ended = [store.unlock_market(ticker) for store in self._stores(create=False)]
        return any(ended)

    def now(self) -> list[MarketLock]:
        """Return the locks in effect, by market; if several homes lock a market, the longest."""
        found: dict[str, MarketLock] = {}
        for lock in (lock for store in self._stores(create=False) for lock in store.market_locks()):
            known = found.setdefault(lock.ticker, lock)
            found[lock.ticker] = max(known, lock, key=lambda each: each.until)
        return [found[ticker] for ticker in sorted(found) if found[ticker].until > self._resources.clock.now()]
