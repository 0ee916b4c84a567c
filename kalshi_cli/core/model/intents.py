"""Intents: order requests of a strategy or of the user."""

from __future__ import annotations

from typing import Literal

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.order_terms import SelfTradePrevention, Side, TimeInForce


class Intent(msgspec.Struct, frozen=True):
    """An order request. Its `reason` is stored with the order and shown by `kalshi order why`."""


class Place(Intent, frozen=True):
    """Place an order for `qty` contracts at `price` or better.

    Attributes:
        ticker: The market.
        side: BID buys YES (or sells NO); ASK sells YES (or buys NO).
        price: The limit price of YES, in ten-thousandths of a dollar: `cents(20)`.
        qty: The number of contracts, in hundredths of a contract: `contracts(5)`. A bare 5 is 0.05 contracts.
        fair: The strategy's fair value of one YES contract.
        reason: A short text, stored with the order.
        tif: Good till canceled (GTC), immediate or cancel (IOC), or fill or kill (FOK).
        post_only: Reject the order if it would take liquidity.
        reduce_only: Only reduce a position; needs IOC.
        expires_in_s: Seconds until the exchange cancels the order; None selects the short default of strategy orders,
            and 0 selects good till canceled.
        order_group_id: The order group that the order joins; empty means none.
        subaccount: The subaccount that trades; 0 is the primary one.
        self_trade_prevention: Which of two own orders is canceled when they would trade.
        cancel_on_pause: Cancel the order when trading pauses.
        needs: The following legs of a basket, to yield when they are due: the order is refused if any of them would be
            refused after it.
        outcome: The outcome that the user typed, stored with the order; strategies leave it empty.
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
    outcome: Literal["", "yes", "no"] = ""


class Amend(Intent, frozen=True):
    """Change the price, size or expiration of a resting order.

    A strategy may amend its own orders, the user any order. Only a smaller size keeps the queue position.

    Attributes:
        order_id: The exchange's id of the order.
        price: The new limit price of YES.
        qty: The contracts left to trade from now on.
        expires: When the exchange cancels the order; None keeps the expiration, and 0 removes it.
        fair: The fair value of one YES contract; None keeps the earlier one.
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

    @property
    def outcome(self) -> Literal["yes", "no"]:
        """Return the outcome of the position."""
        return "yes" if self.held > 0 else "no"


class Cancel(Intent, frozen=True):
    """Cancel an order of this strategy."""

    client_order_id: str
    reason: str = ""
