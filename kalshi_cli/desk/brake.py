"""The first act of the kill switch: the halt beside the state file, written before anything else is even loaded.

The rest of the program takes a third of a second to load, and every loop looks for this file before each order.
"""

from __future__ import annotations

from contextlib import suppress

from kalshi_cli.clock import SystemClock
from kalshi_cli.config import Config, state_dir
from kalshi_cli.core.model import TradingState
from kalshi_cli.errors import StateError
from kalshi_cli.store.base import Halt
from kalshi_cli.store.halt_file import write_halt_file

CODE, REASON = "CANCEL_ALL", "kill switch"


def pull(config: Config) -> None:
    """Halt this environment, if anything ever ran in it. Where that fails nothing is said yet: `App` tries it again, in
    every way."""
    home = state_dir(config)
    with suppress(StateError):
        if home.is_dir():
            write_halt_file(home, Halt(TradingState.HALTED, CODE, REASON, SystemClock().now()))
