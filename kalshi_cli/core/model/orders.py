"""Orders and fills. Immutable, with integer amounts.

`side` refers to the YES book: BID buys YES (or sells NO), ASK sells YES (or buys NO at one dollar less the price).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts, notional
from kalshi_cli.core.model import order_terms
from kalshi_cli.core.model.order_terms import OwnTerms, SelfTradePrevention, Side, TimeInForce


class OrderStatus(StrEnum):
    """The status of an order.

    DENIED means refused by kalshi, REJECTED by the exchange. UNKNOWN counts as live until proven otherwise.
    """

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
        """Return whether the order may still trade, as far as is known."""
        return self in _LIVE


_LIVE = frozenset({OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.RESTING})


DUPLICATE_ID = "DUPLICATE_ID"
"""The code of an order that was rejected because an older order has its id."""

NEVER_SENT = ("unreachable", "rate_limited", "kill_switch", "halted", "not_sent", "REDUCING", "STATE_MOVED", "LOCKED")
"""Codes of rejections which prove that the exchange took no request with the order: nothing left this machine, or each
attempt was answered with its 429. No code of the exchange is equal to one of them."""

_HERE = ("halted", "kill_switch", "not_sent", "read_only", "refused", "state")
"""Prefixes of the codes of orders that kalshi refused after their review; its other codes are in capitals."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the account. The open quantity is `qty - filled - reduced`.

    The exchange assigns `order_id`, which is empty until it is known. `client_order_id` is ours and may be empty on an
    order of another program (`is_foreign`). `self_trade_prevention` stays None if the exchange does not report it.
    `outcome` is the outcome as typed here, which the exchange does not store; empty for all other orders. `best` is the
    best price that the order could take when it was decided on; None without one, and for orders of other programs.
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
    outcome: Literal["", "yes", "no"] = ""
    best: Price | None = None

    @property
    def remaining(self) -> Qty:
        """Return the quantity that may still trade, 0 after the order has ended."""
        return Qty(self.qty - self.filled - self.reduced) if self.status.is_live else Qty(0)

    def rests_at(self, now: Ts) -> bool:
        """Return whether a live order may be resting on the exchange: confirmed, and not expired."""
        return bool(self.order_id) and (self.expires is None or self.expires > now)

    def terms(self, held: Qty | None) -> OwnTerms:
        """Return the terms as typed here, else those of `own_terms` with the position `held`."""
        if self.outcome:
            return order_terms.typed_terms(self.side, self.price, self.outcome)
        return order_terms.own_terms(self.side, self.price, held)


def was_never_sent(order: Order) -> bool:
    """Return whether an order provably never reached the exchange, so that its client order id is free again."""
    return order.status is OrderStatus.REJECTED and not order.order_id and order.code in NEVER_SENT


def is_refused_here(order: Order) -> bool:
    """Return whether kalshi refused an order after its review: it was never sent."""
    return order.status is OrderStatus.REJECTED and is_own_code(order.code)


def is_own_code(code: str) -> bool:
    """Return whether a code of a rejection is from kalshi, which did not send the request; "" is of the exchange."""
    return code.startswith(_HERE) or (code.isupper() and code != DUPLICATE_ID)


def as_typed(stated: Order, filed: Order | None) -> Order:
    """Return an order of the exchange with the typed outcome of its row on file; unchanged for any other row."""
    if filed is None or not filed.outcome or not stated.client_order_id:
        return stated
    if (filed.client_order_id, filed.ticker, filed.side) != (stated.client_order_id, stated.ticker, stated.side):
        return stated
    return msgspec.structs.replace(stated, outcome=filed.outcome)


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of one of our orders. `fee` is the amount charged, which always replaces an estimate."""

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
        """Return the amount paid before the fee; a sale of YES counts as a purchase of NO."""
        return notional(order_terms.leg_price(self.side, self.price), self.qty)

    @property
    def key(self) -> tuple[str, str]:
        """Return the trade id and the order id.

        Both are needed: if two of our orders trade with each other, each has a fill of the same trade.
        """
        return (self.trade_id, self.order_id)
