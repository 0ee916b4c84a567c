"""The first step of the kill switch: write the halt beside the state file before other modules are loaded.

The rest of the program takes a third of a second to load, and every loop checks this file before each order.
"""

from __future__ import annotations

import os
from contextlib import suppress

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import Ts
from kalshi_cli.config.config import Config, state_dir
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.halt_file import write_halt_file
from kalshi_cli.store.lock import KillLock
from kalshi_cli.store.records import Halt

CODE, REASON = "CANCEL_ALL", "kill switch"
RESULT = "CANCEL_ALL_RESULT"
"""The code of the notice that says what the cancels achieved."""


def write_halt_marker(config: Config, now: Ts) -> KillLock:
    """Halt this environment, if a program ever ran in it; return the lock that keeps the halt from being lifted.

    A failure is not reported here: `TradingControl` tries again.
    """
    home = state_dir(config)
    lock = KillLock(home)
    with suppress(StateFileError):
        if os.path.isdir(home):
            lock.hold(now)
            write_halt_file(home, Halt(TradingState.HALTED, CODE, REASON, now))
    return lock
