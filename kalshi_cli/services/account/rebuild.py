"""Rebuild the state file: keep the unusable one, read the account from the exchange, and stay halted.

Data that only the old file had is lost: which orders were our own and of which strategy (they count in every limit, as
external ones), alerts, refusals. Undelivered notices and locked markets are kept as far as they can be read. Trading
therefore starts halted, until the user has checked it.
"""

from __future__ import annotations

from functools import partial

import msgspec

from kalshi_cli.base.errors import RefusedError, StateFileError
from kalshi_cli.base.units import Money, format_ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.account.recovery import EXTERNAL, load_engine, read_account
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.alert_tables import recover_notices
from kalshi_cli.store.halt_file import read_halt_file, write_halt_file
from kalshi_cli.store.lock import lock
from kalshi_cli.store.quarantine import quarantine, recover_locks
from kalshi_cli.store.records import Halt

"""Alerts of orders that the lost file may have known. The halt asks the user to compare them; a later pause for the
same orders would say nothing new."""

_REBUILDABLE = ("state_missing", "state_damaged", "state_unusable", "state_newer")


class StateRebuild(msgspec.Struct, frozen=True, kw_only=True):
    """The cause of the rebuild, the place of the old file, and the data read from the exchange."""

    why: str
    kept: str
    halt: Halt
    orders: int
    fills: int
    settlements: int
    positions: int
    cash: Money | None
    notices: int
    """Undelivered notices of the old file: they are sent from the new one."""
    are_notices_lost: bool
    """True if other notices could not be read."""
    locks: int
    """Locked markets of the old file that are still locked."""
    are_locks_lost: bool
    """True if other locks could not be read."""


def rebuild(resources: Resources) -> StateRebuild:
    """Rebuild the state file of this account. An earlier halt stays; otherwise the rebuild itself halts trading.

    Raises RefusedError where the file is usable, and AnotherInstanceError while a loop runs. Where the account cannot
    be read, there is a new file and the halt; the next start reads the rest.
    """
    home, path = resources.state_dir, resources.state_dir / "state.db"
    with lock(home / "trade.lock", resources.clock):
        why = _what_is_wrong(resources)
        now = resources.clock.now()
        if read_halt_file(home) is None:
            reason = "State file rebuilt: compare positions and open orders with the web site"
            write_halt_file(home, Halt(TradingState.HALTED, "REBUILT", reason, now))
        kept = quarantine(path, "unusable-" + format_ts(now).replace(":", "").replace(" ", "T"))
        halt = resources.store.halt()
        resources.store.set_halt(halt)
        letters, are_all = recover_notices(kept) if kept is not None else ([], False)
        locks, are_all_locks = recover_locks(kept) if kept is not None else ([], False)
        with resources.open_store(resources.home) as store:
            for letter in letters:
                store.alert_book.post(letter.notice, letter.sink, letter.created)
            for market in locks:
                store.lock_market(market)
        engine = load_engine(
            learn_key(resources, resources.store), resources.store, resources.clock, resources.limits,
            markets=(), fees={}, new_id=resources.new_id, agree=partial(read_account, expected=EXTERNAL),
        )  # fmt: skip
    ledger = engine.state.ledger
    return StateRebuild(
        why=why,
        kept=str(kept or ""),
        halt=halt,
        orders=len(engine.state.orders.live()),
        fills=len(resources.store.fills()),
        settlements=len(resources.store.settlements()),
        positions=sum(1 for position in ledger.positions.values() if position.qty),
        cash=engine.cash,
        notices=len(letters),
        are_notices_lost=not are_all,
        locks=sum(1 for market in locks if market.until > now),
        are_locks_lost=not are_all_locks,
    )


def _what_is_wrong(resources: Resources) -> str:
    """Return the fault in words. RefusedError for a usable file; other faults are raised unchanged."""
    path = resources.state_dir / "state.db"
    try:
        with resources.open_store(resources.home, create=False) as store:
            store.load()
            store.orders()
    except StateFileError as error:
        if error.code not in _REBUILDABLE:
            raise
        return error.message
    raise RefusedError(
        f"{path} is usable; nothing was done",
        hint="missing data is read at the next start, or by `kalshi order reconcile`. If the file was lost "
        "and a command has created this one: `kalshi runbook state-file`, step 3",
        code="STATE_IS_WHOLE",
    )
