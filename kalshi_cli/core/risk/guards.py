"""Guards that stop a run or raise an alert before a problem costs more. They receive changes and return effects.

Each class watches one condition. To stop trading, `tighten` makes the trading state stricter, durably and before any
further order; only the user loosens it again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

import msgspec

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Money, Price, Qty, Ts, show_money, show_price, show_qty
from kalshi_cli.core.account.order_index import OWN_ID, is_as_sent
from kalshi_cli.core.market.fees import estimate, fees_now
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderChanged, ResyncBook
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import AmendEnded, Message, OrderAccepted, OrderRejected, OrderUnknown, ReadFailed
from kalshi_cli.core.model.order_terms import own_terms
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.risk.loss_guards import Drawdown, LossLimit, Tighten
from kalshi_cli.core.state.back_off import API_GUARD, back_off_of
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import MINUTE_MS
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.trading_day import TradingDayTotals

MAX_UNANSWERED = 3
"""The number of consecutive orders without a usable response that stops further orders."""

MAX_POST_ONLY_CROSSES = 3
"""The number of post-only orders rejected at one price within a minute that makes the book unreliable."""

UNCONFIRMED_ALERT_MS = 30_000
"""Time that an order may be unconfirmed, or a fill missing, before an alert."""

FEE_TOLERANCE = Money(10_000)
FEE_STEP = Money(100)
"""The rounding that the fee of an order may have above its estimate: $0.01, and $0.0001 for each fill but the first."""

MAX_WATCHED = 1_000
"""The most orders that one guard remembers; beyond it the oldest is dropped."""

Known = Callable[[str, str], Order | None]
"""Finds the order with an exchange id or a client order id, also if only the state file has it."""

_GIVEN_UP = frozenset({OrderStatus.NEVER_ARRIVED, OrderStatus.REJECTED})
_NO_FAULT_OF_OURS = re.compile(
    "post.?only|fill.?or.?kill|inactive|paused|order.?group|credentials|unreachable|rate.?limited|halted"
)
"""Rejections that a correct program can also receive, because of the market's state or the rate limit. Orders that were
never sent have codes in capitals."""

UNCONFIRMED_STATUSES = frozenset({OrderStatus.UNKNOWN, OrderStatus.SUBMITTED})
"""Sent, but not yet confirmed."""


class Guards:
    """All guards. The engine reports events and performs the returned effects."""

    def __init__(self, state: EngineState, limits: RiskLimits, tighten: Tighten, known: Known) -> None:
        self._state = state
        self.responses = _ResponseGuard(state, limits, tighten)
        self._crossings = _PostOnlyGuard(state)
        self.fees = _Fees(state)
        self.external = _ExternalOrderGuard(state, tighten, known)
        self._doubts = _UnconfirmedOrderGuard(state)
        self.day = TradingDayTotals(state, limits)
        self._loss = LossLimit(state, limits, tighten, self.day)
        self._drawdown = Drawdown(state, limits.max_drawdown, tighten, self.day)

    def on_restored(self) -> None:
        """Start after the state file was restored: entries before its last one raise no alerts."""
        self.external.since = self._state.last_entry or self._state.now

    def order(self, message: Message, before: Order | None, order: Order | None) -> list[Effect]:
        """Check a report about an order: the order before, and after, which stays None if nothing changed."""
        effects = self.responses.on_order_message(message) + self.external.doubles()
        if order is None:
            return effects
        effects += self._crossings.on_order(message, order) + self.fees.ended(order)
        if before is None:
            return effects + (self.external.met(order) if order.is_foreign else [])
        return effects + self._late(before, order) + self.external.named(before, order)

    def _late(self, before: Order, order: Order) -> list[Effect]:
        """Raise an alert for an order that counted as lost or rejected and exists after all."""
        if before.status not in _GIVEN_UP or not _counts(order):
            return []
        text = f"{self._state.order_words(order)}: recorded as {before.status.value}, now {order.status.value}"
        return [AlertRaised(self._state.now, "critical", "LATE_ORDER", order.client_order_id, text)]

    def loss(self) -> list[Effect]:
        """Check the day's loss and the drawdown, and stop risk-adding trading if one is too large."""
        return self._loss.check() + self._drawdown.check()

    def unread(self, message: ReadFailed) -> list[Effect]:
        """Count a failed account read, unless the exchange reports that it is paused."""
        exchange = self._state.exchange
        is_paused = exchange is not None and not exchange.exchange_active
        return [] if is_paused else self.responses.failed(message.reason)

    def day_net(self) -> Money:
        """Return the P&L of the trading day at external prices, open positions included, counted now."""
        return Money(self._loss.count() - self.day.held_up())

    def gained(self) -> Money | None:
        """Return the P&L since the first fill at external prices; None while a position has no price."""
        gained, is_certain = self.day.net_since_first_fill()
        return Money(gained - self.day.held_up()) if is_certain else None

    def tick(self) -> list[Effect]:
        """Check conditions that depend on time."""
        return self.loss() + self._doubts.look() + self.external.look()

    def resumed(self) -> list[Effect]:
        """Reset after the user resumed trading: errors of the exchange are forgotten, today's loss is not."""
        self.responses.forget()
        self._state.back_off = None
        self._drawdown.accept()
        return self.loss()


class _ResponseGuard:
    """API_GUARD: the exchange does not respond, or rejects everything. The user must look at it.

    It trips after three consecutive orders without a response (each may be live, and the next would be the same), after
    `max_api_errors` consecutive requests without one, account reads included, or after as many consecutive rejected
    orders.
    """

    def __init__(self, state: EngineState, limits: RiskLimits, tighten: Tighten) -> None:
        self._state = state
        self._limit = limits.max_api_errors
        self._tighten = tighten
        self.forget()

    def forget(self) -> None:
        """Reset all counts."""
        self._creates = self._failures = self._refusals = 0
        self._last = ""

    def answered(self) -> None:
        """Note a successful account read."""
        self._failures = 0

    def on_order_message(self, message: Message) -> list[Effect]:
        """Count a response to an order, or its absence."""
        if isinstance(message, OrderAccepted):
            self.forget()
        is_taken = isinstance(message, OrderAccepted) or (isinstance(message, AmendEnded) and not message.code)
        if is_taken and self._state.back_off is not None:
            self._state.back_off.succeeded(self._state.now)
        if isinstance(message, OrderRejected):
            return self._refused(message)
        # the orders of a batch share one response
        if not isinstance(message, OrderUnknown) or message.reason == self._last:
            return []
        self._creates, self._last = self._creates + 1, message.reason
        effects = self.failed(message.reason)
        if self._creates != MAX_UNANSWERED:
            return effects
        return effects + self._trip(f"{MAX_UNANSWERED} orders in a row got no usable response")

    def failed(self, reason: str) -> list[Effect]:
        """Count a request without a usable response."""
        self._failures += 1
        if self._failures != self._limit:
            return []
        return self._trip(f"{self._failures} requests in a row got no usable response ({safe_text(reason)[:200]})")

    def _refused(self, refusal: OrderRejected) -> list[Effect]:
        said = f"{refusal.code} {refusal.detail}"
        if refusal.code.isupper() or _NO_FAULT_OF_OURS.search(said):
            return []
        self._refusals += 1
        if self._refusals != self._limit:
            return []
        return self._trip(f"the exchange rejected {self._refusals} orders in a row ({safe_text(said)[:200]})")

    def _trip(self, what: str) -> list[Effect]:
        state = self._state
        state.back_off = state.back_off or back_off_of(API_GUARD, state.now)
        closing = "strategies send closing orders 1 to 60 s apart"
        if state.trading is TradingState.HALTED:  # Perhaps by a pause, which becomes a halt now.
            closing = "trading is halted now, so no closing orders either"
        text = (
            f"{what}; no new orders. Cancels continue, and {closing}. If `kalshi exchange` and `kalshi order "
            "reconcile` succeed, run: kalshi resume --reason TEXT"
        )
        return self._tighten(TradingState.REDUCING, API_GUARD, "orders", text)


class _PostOnlyGuard:
    """POST_ONLY_CROSS: post-only orders keep being rejected because they would take. The local book is then wrong."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._refused: deque[tuple[Ts, str, Price]] = deque()

    def on_order(self, message: Message, order: Order) -> list[Effect]:
        """Count a post-only order that was rejected because it would take liquidity."""
        said = f"{order.code} {message.detail if isinstance(message, OrderRejected) else ''}"
        if not order.post_only or "postonlycross" not in said.lower().replace(" ", "").replace("_", ""):
            return []
        now, book = self._state.now, self._state.books.get(order.ticker)
        while self._refused and (self._refused[0][0] <= now - MINUTE_MS or len(self._refused) >= MAX_WATCHED):
            self._refused.popleft()
        self._refused.append((now, order.ticker, order.price))
        same = [entry for entry in self._refused if entry[1:] == (order.ticker, order.price)]
        if len(same) < MAX_POST_ONLY_CROSSES or book is None:
            return []
        self._refused = deque(entry for entry in self._refused if entry not in same)
        book.invalidate("post-only orders keep crossing")
        price = show_price(order.price)
        text = f"{MAX_POST_ONLY_CROSSES} post-only orders at {price} would have taken; reading the order book again"
        return [
            ResyncBook(order.ticker, book.unusable_reason),
            AlertRaised(now, "warning", "POST_ONLY_CROSS", order.ticker, text),
        ]


class _FeeTotals(msgspec.Struct):
    """The fills of one order, and their estimated fees."""

    qty: Qty = Qty(0)
    fees: Money = Money(0)
    estimate: Money = Money(0)
    fills: int = 0


class _Fees:
    """FEE_MISMATCH: the exchange charged other fees than estimated, so edges are wrong."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._charged: dict[str, _FeeTotals] = {}

    def charged(self, fill: Fill, order: Order) -> list[Effect]:
        """Count the fee of a booked fill whose order is known."""
        schedule = self._state.fees.get(fill.ticker)
        if schedule is None or order.is_foreign:
            return []
        sums = self._charged.setdefault(fill.order_id, _FeeTotals())
        sums.qty = Qty(sums.qty + fill.qty)
        sums.fees = Money(sums.fees + fill.fee)
        charged = fees_now(self._state.seen(fill.ticker), schedule, fill.ts)
        sums.estimate = Money(sums.estimate + estimate(charged, fill.price, fill.qty, is_taker=fill.is_taker))
        sums.fills += 1
        if len(self._charged) > MAX_WATCHED:
            del self._charged[next(iter(self._charged))]
        return self.ended(order)

    def ended(self, order: Order) -> list[Effect]:
        """Compare fees with the estimate once the order has ended and all of its fills are booked."""
        sums = self._charged.get(order.order_id)
        if sums is None or order.status.is_live or sums.qty != order.filled:
            return []
        del self._charged[order.order_id]
        if abs(sums.fees - sums.estimate) <= FEE_TOLERANCE + (sums.fills - 1) * FEE_STEP:
            return []
        text = f"{order.ticker}: charged {show_money(sums.fees)}, expected {show_money(sums.estimate)}"
        return [AlertRaised(self._state.now, "warning", "FEE_MISMATCH", order.client_order_id, text)]


def external_origin(client_order_id: str) -> tuple[str, str]:
    """Return the alert code of an order that is not in the state file, and who placed it."""
    if client_order_id.startswith(OWN_ID):
        return "OTHER_INSTANCE", "kalshi on another machine or with another state file"
    return "FOREIGN_ACTIVITY", "another program or the web site"


class _ExternalOrderGuard:
    """Orders and fills of the account that this program did not place. They count, but are never changed.

    FOREIGN_ACTIVITY is the user or another program. OTHER_INSTANCE is kalshi on another machine, or before its state
    file was lost. DOUBLE_ORDER and ID_CLASH should be impossible, so they stop everything.
    """

    def __init__(self, state: EngineState, tighten: Tighten, known: Known) -> None:
        self._state = state
        self._tighten = tighten
        self._known = known
        self._unowned: dict[str, tuple[Ts, Fill]] = {}
        self._seconds: dict[str, Order] = {}
        self.since = state.now

    def met(self, order: Order) -> list[Effect]:
        """Check an order that matches none of our requests."""
        own = self._state.orders.get(order.client_order_id)
        is_second = own is not None and own.order_id not in ("", order.order_id)
        if own is not None and is_second and (not own.is_foreign or order.client_order_id.startswith(OWN_ID)):
            if self._state.orders.is_proven(own):
                return self._double(own, order)
            self._seconds[order.order_id] = order
            if len(self._seconds) > MAX_WATCHED:
                del self._seconds[next(iter(self._seconds))]
            return []
        if not _counts(order):
            return []
        words = self._state.order_words(order)
        return self._told(order.order_id, order.client_order_id, words, is_over=not order.status.is_live)

    def doubles(self) -> list[Effect]:
        """Report second orders once the exchange confirmed the first: the id in a response may be wrong."""
        effects: list[Effect] = []
        for order_id, order in list(self._seconds.items()):
            own = self._state.orders.get(order.client_order_id)
            is_second = own is not None and own.order_id not in ("", order_id)
            if own is not None and is_second and not self._state.orders.is_proven(own):
                continue
            del self._seconds[order_id]
            if own is not None and is_second:
                latest = self._state.orders.by_order_id(order_id) or order
                effects += [*self._double(own, latest), OrderChanged(latest)]
        return effects

    def _double(self, own: Order, order: Order) -> list[Effect]:
        words = self._state.order_words(order)
        text = f"{words} in addition to {own.order_id}: two orders for one order request. See `kalshi order list`"
        return self._tighten(TradingState.HALTED, "DOUBLE_ORDER", order.order_id, text)

    def is_undecided(self, order: Order) -> bool:
        """Return whether it may be a second order. It is stored only once that is known; a crash loses nothing."""
        return order.order_id in self._seconds

    def named(self, before: Order, order: Order) -> list[Effect]:
        """Check the terms of an order when the exchange first reports one of our client order ids."""
        if before.order_id or not order.order_id or is_as_sent(before, order):
            return []
        words, ours = self._state.order_words(order), self._state.order_words(before)
        text = f"{words} uses the client order id of {ours}. Is there another or an older state file?"
        return self._tighten(TradingState.HALTED, "ID_CLASH", order.order_id, text)

    def traded(self, fill: Fill) -> None:
        """Remember a fill of an unknown order."""
        if fill.ts >= self.since and len(self._unowned) < MAX_WATCHED:
            self._unowned.setdefault(fill.order_id, (self._state.now, fill))

    def look(self) -> list[Effect]:
        """Report fills whose order stays unknown. A fill can arrive before the response that names its order."""
        effects: list[Effect] = []
        for order_id, (ts, fill) in list(self._unowned.items()):
            if self._known(order_id, fill.client_order_id) is None:
                is_maybe_ours = any(not order.order_id for order in self._state.orders.live(fill.ticker))
                if self._state.now - ts <= UNCONFIRMED_ALERT_MS or is_maybe_ours:
                    continue
                what = f"{own_terms(fill.side, fill.price, None).text(fill.qty, fill.ticker)} traded"
                effects += self._told(order_id, fill.client_order_id, what)
            del self._unowned[order_id]
        return effects

    def _told(self, order_id: str, client_order_id: str, what: str, *, is_over: bool = False) -> list[Effect]:
        code, who = external_origin(client_order_id)
        counts = "It is over: its fills count" if is_over else "It counts toward the limits and is not canceled"
        text = f"{what}: placed by {who}. {counts}"
        return [AlertRaised(self._state.now, "critical", code, order_id, text)]


class _UnconfirmedOrderGuard:
    """ORDER_UNKNOWN_LONG and FILLS_MISSING: an order stayed unconfirmed, or its fills missing, for too long."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._told: set[str] = set()
        self._missing: dict[str, Ts] = {}

    def look(self) -> list[Effect]:
        """Raise an alert once for each lasting case."""
        now, orders = self._state.now, self._state.orders
        live, lacking = orders.live(), orders.untold()
        if not live and not lacking:
            self._told, self._missing = set(), {}
            return []
        long = [
            order
            for order in live
            if order.status in UNCONFIRMED_STATUSES and now - order.updated > UNCONFIRMED_ALERT_MS
        ]
        untold = {order.order_id: (order, qty) for order, qty in lacking}
        self._missing = {order_id: self._missing.get(order_id, now) for order_id in untold}
        missing = [untold[order_id] for order_id, since in self._missing.items() if now - since > UNCONFIRMED_ALERT_MS]
        found = {f"order {order.client_order_id}": self._unknown(order) for order in long}
        found |= {f"fills {order.order_id}": self._lacking(order, qty) for order, qty in missing}
        alerts: list[Effect] = [alert for key, alert in found.items() if key not in self._told]
        self._told = set(found)
        return alerts

    def _unknown(self, order: Order) -> AlertRaised:
        since_s = (self._state.now - order.updated) // 1000
        words = self._state.order_words(order)
        text = f"{words} may be live; unconfirmed for {since_s} s: run `kalshi order reconcile`"
        return AlertRaised(self._state.now, "critical", "ORDER_UNKNOWN_LONG", order.client_order_id, text)

    def _lacking(self, order: Order, qty: Qty) -> AlertRaised:
        since_s = (self._state.now - self._missing[order.order_id]) // 1000
        words = self._state.order_words(order)
        text = f"{words} traded {show_qty(qty)} contracts without matching fills for {since_s} s"
        return AlertRaised(self._state.now, "warning", "FILLS_MISSING", order.client_order_id, text)


def _counts(order: Order) -> bool:
    """Return whether the order may still trade or has traded."""
    return order.status.is_live or order.filled > 0
