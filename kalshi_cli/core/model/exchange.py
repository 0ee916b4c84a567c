"""The trading state, and the status of the exchange and its shards."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kalshi_cli.base.units import Ts


class TradingState(StrEnum):
    """The trading state.

    ACTIVE allows every order, REDUCING only orders that make a position smaller, and HALTED only cancels, until the
    operator resumes trading.
    """

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one shard (matching engine)."""

    exchange_index: int
    description: str
    exchange_active: bool
    trading_active: bool
    transfers_active: bool


class ExchangeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of the exchange.

    While trading is paused, cancels still work; while the exchange is paused, they are rejected too. `transfers_active`
    stays None if the exchange does not report it. `shards` is empty if there is only the default shard.
    """

    exchange_active: bool
    trading_active: bool
    estimated_resume: Ts | None = None
    transfers_active: bool | None = None
    shards: tuple[ShardStatus, ...] = ()
