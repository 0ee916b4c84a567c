"""Intents: order requests of a strategy or of the user."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.order_terms import SelfTradePrevention, Side, TimeInForce


class Intent(msgspec.Struct, frozen=True):
    """An order request. Its `reason` is stored with the order and shown by `kalshi order why`."""


class Place(Intent, frozen=True):
    """Place an order for `qty` contracts at `price` or better.

    `fair` is the strategy's fair value of one YES contract. `expires_in_s` None selects the short default expiration of
    strategy orders, and 0 selects good till canceled. The order is refused if any intent in `needs` would be refused
    after it: list there the following legs of a basket, and yield them when they are due.
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
    """Change the price, size or expiration of a resting order.

    A strategy may amend its own orders, the user any order. `qty` is the quantity that remains to trade from now on.
    `expires` None keeps the expiration and 0 removes it. `fair` None keeps the earlier fair value. Only a smaller size
    keeps the queue position.
    """

    order_id: str
    price: Price
    qty: Qty
    expires: Ts | None = None
    fair: Price | None = None


class Close(Intent, frozen=True):
    """Reduce a position by `qty` contracts at `price` or better. Only the user sends this; strategies do not.

    `held` is the position of this subaccount as the exchange has just reported it, negative for NO.
    """

    ticker: str
    price: Price
    qty: Qty
    held: Qty
    subaccount: int = 0

    @property
    def side(self) -> Side:
        """Return the side that reduces the position."""
        return Side.ASK if self.held > 0 else Side.BID


class Cancel(Intent, frozen=True):
    """Cancel an order of this strategy."""

    client_order_id: str
    reason: str = ""
