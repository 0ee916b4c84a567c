"""The state of the exchange, of its shards, and of our own trading."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kalshi_cli.base.units import Ts


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING only makes positions smaller; HALTED only cancels, until a person resumes."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The same of one matching engine."""

    exchange_index: int
    description: str
    exchange_active: bool
    trading_active: bool
    transfers_active: bool


class ExchangeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Two kinds of pause: with trading off cancels still work, with the exchange off nothing does.

    `transfers_active` is None where the exchange does not say; without `shards` there is only the default one.
    """

    exchange_active: bool
    trading_active: bool
    estimated_resume: Ts | None = None
    transfers_active: bool | None = None
    shards: tuple[ShardStatus, ...] = ()
