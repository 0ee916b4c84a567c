"""JSON of the exchange, in both directions: one module per subject. Strict about money; unknown fields are ignored.

A subject is imported when it is first used: `wire.funds.read_allocation(...)`. A command reads one or two of them, and
building the decoders of all takes longer than its request.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kalshi_cli.exchange.wire import account as account
    from kalshi_cli.exchange.wire import candles as candles
    from kalshi_cli.exchange.wire import changes as changes
    from kalshi_cli.exchange.wire import combos as combos
    from kalshi_cli.exchange.wire import events as events
    from kalshi_cli.exchange.wire import funds as funds
    from kalshi_cli.exchange.wire import groups as groups
    from kalshi_cli.exchange.wire import markets as markets
    from kalshi_cli.exchange.wire import orders as orders
    from kalshi_cli.exchange.wire import programs as programs
    from kalshi_cli.exchange.wire import quotes as quotes
    from kalshi_cli.exchange.wire import replies as replies
    from kalshi_cli.exchange.wire import status as status

SUBJECTS = (
    "account", "candles", "changes", "combos", "events", "funds", "groups", "markets", "orders", "programs", "quotes",
    "replies", "status",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in SUBJECTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
