"""Intents: what a strategy or a person wants, each with its reason."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.order_terms import SelfTradePrevention, Side, TimeInForce


class Intent(msgspec.Struct, frozen=True):
    """What a strategy wants. `reason` is kept with the order and shown by `why`."""


class Place(Intent, frozen=True):
    """Rest or take `qty` at `price` or better; `fair` is what the strategy believes one YES contract is worth.

    With `expires_in_s` None the engine sets the short expiry of every loop order; 0 asks for good-till-cancelled. It is
    denied where one of those that it `needs` would be, after it: legs that follow, and are yielded when they shall go.
    """

    ticker: str
    side: Side
    price: Price
    qty: Qty
    fair: Price | None = None
    reason: str = ""
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    expires_in_s: float | None = None
    order_group_id: str = ""
    subaccount: int = 0
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.TAKER
    cancel_on_pause: bool = False
    needs: tuple[Place, ...] = ()


class Amend(Intent, frozen=True):
    """Another price, size or expiry for an order that rests: a person's, or a strategy's of its own order.

    `qty` is what shall be left to trade from now on. `expires` None keeps the expiry, 0 takes it away. `fair` is what a
    strategy believes by now; None, what it believed before. Only a smaller size keeps the place in the queue.
    """

    order_id: str
    price: Price
    qty: Qty
    expires: Ts | None = None
    fair: Price | None = None


class Close(Intent, frozen=True):
    """Make a position smaller by `qty` at `price` or better: a person's, never a strategy's.

    `held` is the position of this subaccount as the exchange has just stated it, below zero for NO.
    """

    ticker: str
    price: Price
    qty: Qty
    held: Qty
    subaccount: int = 0

    @property
    def side(self) -> Side:
        """The side that makes it smaller."""
        return Side.ASK if self.held > 0 else Side.BID


class Cancel(Intent, frozen=True):
    """Take back an order of this strategy."""

    client_order_id: str
    reason: str = ""
