"""Settlements, positions and balances as the exchange reports them.

Positions are signed: positive is long YES, negative is long NO.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts

MarkSource = Literal["quote", "estimate", "settlement"]
"""The source of a closing price: the best price that closes the position, an estimate without one, or the payout."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The payout of a market. `value` is the payout of one YES contract, from $0 to $1."""

    ticker: str
    event_ticker: str
    result: str
    value: Price
    yes_qty: Qty
    no_qty: Qty
    revenue: Money
    fee: Money
    ts: Ts


class ExchangePosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position as the exchange reports it, for comparison with our own record only."""

    ticker: str
    position: Qty
    exposure: Money
    realized: Money
    fees: Money
    traded: Money
    updated: Ts


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Cash, by shard if the exchange reports it, and the exchange's value of all positions."""

    cash: Money
    portfolio_value: Money
    ts: Ts
    shards: dict[int, Money] = {}
