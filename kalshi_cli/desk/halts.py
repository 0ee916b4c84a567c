"""Pause, resume, stop: what a person says to whatever runs on this account, from another process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import HaltedError, OutcomeUnknownError, RefusedError
from kalshi_cli.base.units import format_ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.halt_file import beside, remove_halt_file
from kalshi_cli.store.lock import LockHolder, holder
from kalshi_cli.store.pause import unpause
from kalshi_cli.store.records import NO_HALT, Halt, MovedError
from kalshi_cli.store.sqlite_store import Store

BEYOND_BUDGET_S = 15.0
"""How much longer than its stop budget a loop may take to end: a call that had begun, and its last words."""

_LOOK_S = 0.05


def gravest(halts: list[Halt]) -> Halt:
    """Of several, the one that a person has to know of first."""
    ranks = (lambda halt: halt.is_final, lambda halt: halt.is_pause, lambda halt: halt.state is TradingState.REDUCING)
    return next((halt for is_so in ranks for halt in halts if is_so(halt)), halts[0] if halts else NO_HALT)


def words(halt: Halt) -> str:
    """The trading state in one sentence: which it is, since when, its code and its reason."""
    what = "paused" if halt.is_pause else halt.state.value
    return f"trading is {what} since {format_ts(halt.since)}: {halt.code} {halt.reason}".rstrip()


def way_out(halt: Halt) -> str:
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
        raise MovedError(
            f"only orders that reduce are taken since: {halt.code} {halt.reason}".rstrip(), code="REDUCING"
        )


def refuse_to_start(store: Store) -> None:
    """No loop starts into a halt. It may start into a pause, and waits for its end."""
    halt = store.halt()
    if halt.is_final:
        raise _halted(halt)


def _halted(halt: Halt) -> HaltedError:
    return HaltedError(words(halt), hint=way_out(halt))


def resume(home: Path, store: Store | None, reason: str, clock: Clock) -> Halt:
    """Leave halt and pause of one state directory; what it was. Where the halt cannot be left, the pause stays too."""
    before = (store.halt() if store is not None else beside(home)) or NO_HALT
    if store is None:
        remove_halt_file(home)
    elif before.state is not TradingState.ACTIVE:
        store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", reason, clock.now()))
    unpause(home)
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
