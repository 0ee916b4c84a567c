"""Effects: instructions from the engine to the runner.

Every effect has passed all risk controls and is stored before it is performed.
"""

from __future__ import annotations

import re

import msgspec

from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import Qty, Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import OwnTerms, TimeInForce, fill_terms
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement

_ORDER_GROUP = re.compile(rf"(GROUP_TRIGGERED \S{{{SHORT_ID_LENGTH}}})\S*")


class Effect(msgspec.Struct, frozen=True):
    """An instruction to the runner, to be performed at once."""


class SubmitOrder(Effect, frozen=True):
    """Send this order once.

    Only `risk.review` creates the order, and the runner commits it to the store before sending it. `reviewed` is the
    trading state at the time of the review: the order must not be sent under a stricter state, nor when a lock of its
    market ends later than `knew_lock`. `intent` is the request that was reviewed, for another review.
    """

    order: Order
    reviewed: TradingState = TradingState.ACTIVE
    knew_lock: Ts = Ts(0)
    intent: Place | None = None


class CloseOrder(Effect, frozen=True):
    """Send this closing order once, even while trading is halted.

    Only `risk.review_close` creates one. Raises ValueError for an order that could do more than immediately reduce a
    manually held position.
    """

    order: Order

    def __post_init__(self) -> None:
        if not self.order.reduce_only or self.order.tif is not TimeInForce.IOC or self.order.strategy:
            raise ValueError(f"order {self.order.client_order_id} could do more than close the position")


class AmendOrder(Effect, frozen=True):
    """Ask the exchange to change the order `before` into `wanted`.

    Only `risk.review_amend` creates one. Until the outcome is known, `doubtful` is stored and counted: it combines the
    worse terms of both orders. `reviewed` and `knew_lock` have the meaning they have in `SubmitOrder`.
    """

    before: Order
    wanted: Order
    doubtful: Order
    reviewed: TradingState = TradingState.ACTIVE
    knew_lock: Ts = Ts(0)


class CancelOrder(Effect, frozen=True):
    """Ask the exchange to cancel an order. Safe to repeat."""

    order: Order
    reason: str


class OrderChanged(Effect, frozen=True):
    """The new state of an order of the account. `repaired` describes the wrong record that it replaces, if any."""

    order: Order
    repaired: str = ""


class FillBooked(Effect, frozen=True):
    """A new fill, and the order as the fill left it (None if the order did not change). Both are stored together.

    `held_before` is the position that it met, negative for NO; it is not stored.
    """

    fill: Fill
    order: Order | None = None
    held_before: Qty = Qty(0)

    @property
    def terms(self) -> OwnTerms:
        """Return the fill as its order was typed, else what it did to the position."""
        outcome = self.order.outcome if self.order is not None else ""
        return fill_terms(self.fill.side, self.fill.price, self.held_before, outcome)


class OrderGroupStateChanged(Effect, frozen=True):
    """An order group stopped accepting orders (`is_triggered`) or accepts them again. A restart resets no group."""

    order_group_id: str
    is_triggered: bool


class SettlementBooked(Effect, frozen=True):
    """A new settlement, or a correction of an earlier one."""

    settlement: Settlement


class OrderRefused(Effect, frozen=True):
    """A risk control refused an intent. The refusal is recorded; nothing is sent."""

    ts: Ts
    strategy: str
    ticker: str
    code: str
    detail: str


class ResyncBook(Effect, frozen=True):
    """Fetch a fresh snapshot, because the order book of this market is unreliable."""

    ticker: str
    reason: str


class AlertRaised(Effect, frozen=True):
    """Notify the operator. `code` is stable; `tier` is critical, warning or info."""

    ts: Ts
    tier: str
    code: str
    subject: str
    text: str

    @property
    def line(self) -> str:
        """Return the alert as one line for people: `CRITICAL DAILY_LOSS account: ...`."""
        return f"{self.tier.upper()} {self.code} {shown_subject(self.code, self.subject)}: {self.text}"


def shown_subject(code: str, subject: str) -> str:
    """Return the subject of an alert as people read it: of an order group the short id, which commands accept."""
    return _ORDER_GROUP.sub(r"\1", f"{code} {subject}").removeprefix(f"{code} ")


class StateChanged(Effect, frozen=True):
    """The trading state changed. HALTED is durable: it is stored before any other effect is performed."""

    ts: Ts
    state: TradingState
    code: str
    reason: str
