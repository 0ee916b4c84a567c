"""Effects: what the runner must do or store. Each has passed every control, and is stored before it is performed."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement


class Effect(msgspec.Struct, frozen=True):
    """Something the shell must do, now."""


class SubmitOrder(Effect, frozen=True):
    """Send this order, once. Only `risk.review` makes the order inside; it is committed before it is sent.

    `reviewed` is the trading state that the controls knew of: under a stricter one it must not be sent. So with a lock
    of its market that lasts for longer than `knew_lock`.
    """

    order: Order
    reviewed: TradingState = TradingState.ACTIVE
    knew_lock: Ts = Ts(0)


class CloseOrder(Effect, frozen=True):
    """Send this order, once, also while trading is halted. Only `risk.review_close` makes one.

    ValueError where the order could do anything but make a position of a person's smaller, at once.
    """

    order: Order

    def __post_init__(self) -> None:
        if not self.order.reduce_only or self.order.tif is not TimeInForce.IOC or self.order.strategy:
            raise ValueError(f"order {self.order.client_order_id} could do more than close")


class AmendOrder(Effect, frozen=True):
    """Ask the exchange to make `before` into `wanted`. Only `risk.review_amend` makes one.

    Until it is known what came of it, `doubtful` is what counts and what is on file: the worse of the two. `reviewed`
    and `knew_lock` as of a SubmitOrder.
    """

    before: Order
    wanted: Order
    doubtful: Order
    reviewed: TradingState = TradingState.ACTIVE
    knew_lock: Ts = Ts(0)


class CancelOrder(Effect, frozen=True):
    """Ask the exchange to cancel. Safe to repeat."""

    order: Order
    reason: str


class OrderChanged(Effect, frozen=True):
    """An order of the account is like this now, by the state machine of `orders.py`; `repaired`: what was false."""

    order: Order
    repaired: str = ""


class FillBooked(Effect, frozen=True):
    """A fill that was not known before, and its order as it is now, where that changed: one step, on file as well."""

    fill: Fill
    order: Order | None = None


class OrderGroupStateChanged(Effect, frozen=True):
    """An order group takes no more orders (`is_triggered`), or takes them again. A restart resets none."""

    order_group_id: str
    is_triggered: bool


class SettlementBooked(Effect, frozen=True):
    """A settlement that was not known before, or that amends an earlier one."""

    settlement: Settlement


class OrderRefused(Effect, frozen=True):
    """A control refused an intent. Recorded, never sent."""

    ts: Ts
    strategy: str
    ticker: str
    code: str
    detail: str


class ResyncBook(Effect, frozen=True):
    """The book of this market cannot be trusted: fetch a fresh snapshot."""

    ticker: str
    reason: str


class AlertRaised(Effect, frozen=True):
    """Somebody should know. `code` is stable; `tier` is critical, warning or info."""

    ts: Ts
    tier: str
    code: str
    subject: str
    text: str


class StateChanged(Effect, frozen=True):
    """The trading state moved; HALTED is durable and is written down before anything else happens."""

    ts: Ts
    state: TradingState
    code: str
    reason: str
