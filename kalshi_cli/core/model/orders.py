"""Orders and fills. Immutable; money is integer.

The `side` is one of the YES book: BID buys YES (or sells NO), ASK sells YES (or buys NO at one dollar less the price).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.order_terms import SelfTradePrevention, Side, TimeInForce


class OrderStatus(StrEnum):
    """Where an order of ours is. DENIED is us, REJECTED the exchange; UNKNOWN counts as live until proven otherwise."""

    DENIED = "denied"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    RESTING = "resting"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    NEVER_ARRIVED = "never_arrived"

    @property
    def is_live(self) -> bool:
        """May still trade, as far as we know."""
        return self in _LIVE


_LIVE = frozenset({OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.RESTING})


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the account. `qty` is what was asked for; what is left is `qty - filled - reduced`.

    `order_id` is theirs and empty until they told us; `client_order_id` is ours and may be empty on an order that
    another program placed (then `is_foreign`). `self_trade_prevention` is None where the exchange does not say it.
    """

    client_order_id: str
    order_id: str = ""
    ticker: str
    side: Side
    price: Price
    qty: Qty
    filled: Qty = Qty(0)
    reduced: Qty = Qty(0)
    status: OrderStatus
    created: Ts
    updated: Ts
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    expires: Ts | None = None
    exchange_index: int = 0
    fees: Money = Money(0)
    fill_cost: Money = Money(0)
    strategy: str = ""
    fair: Price | None = None
    reason: str = ""
    code: str = ""
    is_foreign: bool = False
    order_group_id: str = ""
    subaccount: int = 0
    self_trade_prevention: SelfTradePrevention | None = SelfTradePrevention.TAKER
    cancel_on_pause: bool = False

    @property
    def remaining(self) -> Qty:
        """What may still trade; nothing once the order is over."""
        return Qty(self.qty - self.filled - self.reduced) if self.status.is_live else Qty(0)


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of one of our orders, known by `key`. `fee` is what the exchange charged, and always wins over an
    estimate.
    """

    trade_id: str
    order_id: str
    ticker: str
    side: Side
    price: Price
    qty: Qty
    fee: Money
    is_taker: bool
    ts: Ts
    client_order_id: str = ""
    subaccount: int = 0

    @property
    def cost(self) -> Money:
        """What left the account for it before the fee: a sale of YES buys NO."""
        return notional(self.price if self.side is Side.BID else Price(ONE_DOLLAR - self.price), self.qty)

    @property
    def key(self) -> tuple[str, str]:
        """Its trade and its order: two orders of ours that trade with one another have a fill each, of one trade."""
        return (self.trade_id, self.order_id)
