"""Settlements, positions and balances as the exchange reports them.

Positions are signed: plus is long YES, minus is long NO.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """A market paid out. `value` is the payout of one YES contract in dollars (a Price from 0 to 1)."""

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
    """A position as the exchange states it, to be compared with ours, never to replace it."""

    ticker: str
    position: Qty
    exposure: Money
    realized: Money
    fees: Money
    traded: Money
    updated: Ts


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Cash and the value the exchange puts on the positions; cash by shard where it says so."""

    cash: Money
    portfolio_value: Money
    ts: Ts
    shards: dict[int, Money] = {}
