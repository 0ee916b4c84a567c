"""Guards: what must stop a run, or be told, before it costs more. They hear what changed and answer with effects.

Each class watches for one thing. Where trading must stop, `tighten` makes the trading state stricter, durably and
before any further order, and only a person loosens it again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

import msgspec

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Money, Price, Qty, Ts, show_money, show_price, show_qty
from kalshi_cli.core.account.order_index import OWN_ID, is_as_sent
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderChanged, ResyncBook
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import AmendEnded, Message, OrderAccepted, OrderRejected, OrderUnknown, ReadFailed
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.risk.loss_guards import Drawdown, LossLimit, Tighten
from kalshi_cli.core.state.back_off import API_GUARD, back_off_of
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import MINUTE_MS, EngineState
from kalshi_cli.core.state.trading_day import TradingDayTotals

MAX_UNANSWERED = 3
"""Creates in a row without a usable answer after which no more are sent."""

MAX_POST_ONLY_CROSSES = 3
"""Post-only orders refused at one price within a minute after which the book is not believed."""

UNCONFIRMED_ALERT_MS = 30_000
"""How long an order may be in doubt, or a fill be missing, until somebody is told."""

FEE_TOLERANCE = Money(10_000)
FEE_STEP = Money(100)
"""What rounding may add to the estimate of an order: $0.01, and $0.0001 for each fill but the first."""

MAX_WATCHED = 1_000
"""Orders that one guard keeps in mind; beyond it the oldest goes."""

Known = Callable[[str, str], Order | None]
"""The order that the exchange's id and ours name, also where only the state file has it."""

_GIVEN_UP = frozenset({OrderStatus.NEVER_ARRIVED, OrderStatus.REJECTED})
_NO_FAULT_OF_OURS = re.compile(
    "post.?only|fill.?or.?kill|inactive|paused|order.?group|credentials|unreachable|rate.?limited|halted"
)
"""Refusals that a sound program meets as well: of the market's state, of its pace. Those that never left this machine
have codes in capitals."""

UNCONFIRMED_STATUSES = frozenset({OrderStatus.UNKNOWN, OrderStatus.SUBMITTED})
"""Sent, and it is not known whether they are there."""


class Guards:
    """All of them. The engine tells what happened; what must be done comes back."""

    def __init__(self, state: EngineState, limits: RiskLimits, tighten: Tighten, known: Known) -> None:
        self._state = state
        self._answers = _ResponseGuard(state, limits, tighten)
        self._crossings = _PostOnlyGuard(state)
        self._fees = _Fees(state)
        self._strangers = _ExternalOrderGuard(state, tighten, known)
        self._doubts = _UnconfirmedOrderGuard(state)
        self._day = TradingDayTotals(state, limits)
        self._loss = LossLimit(state, limits.max_daily_loss, tighten, self._day)
        self._drawdown = Drawdown(state, limits.max_drawdown, tighten, self._day)

    def on_restored(self) -> None:
        """The state file was taken back: what happened before its last entry is nobody's news."""
        self._strangers.since = self._state.last_entry or self._state.now

    def order(self, message: Message, before: Order | None, order: Order | None) -> list[Effect]:
        """News of an order: as it was, and as it is, or None where the news changed nothing."""
        effects = self._answers.heard(message) + self._strangers.doubles()
        if order is None:
            return effects
        effects += self._crossings.heard(message, order) + self._fees.ended(order)
        if before is None:
            return effects + (self._strangers.met(order) if order.is_foreign else [])
        return effects + self._late(before, order) + self._strangers.named(before, order)

    def is_undecided(self, order: Order) -> bool:
        """Return whether it may be a second order under an id of ours, rather than one whose reply had a false id."""
        return self._strangers.is_undecided(order)

    def _late(self, before: Order, order: Order) -> list[Effect]:
        """What was given up, or refused, is there all the same and counts again."""
        if before.status not in _GIVEN_UP or not _counts(order):
            return []
        text = f"{_words(order)}: it counted as {before.status.value}, and now it is {order.status.value}"
        return [AlertRaised(self._state.now, "critical", "LATE_ORDER", order.client_order_id, text)]

    def owned(self, fill: Fill, order: Order) -> list[Effect]:
        """A fill was booked, and whose order it was is known."""
        return self._fees.charged(fill, order)

    def on_unmatched_fill(self, fill: Fill) -> None:
        """A fill was booked of an order that nobody here knows yet."""
        self._strangers.traded(fill)

    def booked(self, entry: Fill | Settlement) -> None:
        """Something new is in the ledger; `loss` says what follows, once all that came with it is there as well."""
        self._day.booked(entry)

    def loss(self) -> list[Effect]:
        """Count the day, and the fall from the best; stop what adds risk where too much was lost."""
        return self._loss.check() + self._drawdown.check()

    def unread(self, message: ReadFailed) -> list[Effect]:
        """A read of the account got no usable answer. While the exchange is paused, and says so, it need not answer."""
        exchange = self._state.exchange
        is_paused = exchange is not None and not exchange.exchange_active
        return [] if is_paused else self._answers.failed(message.reason)

    def read(self) -> None:
        """The account was read."""
        self._answers.answered()

    def day_net(self) -> Money:
        """What the trading day has brought so far, what is open included; counted now."""
        return self._loss.count()

    def gained(self) -> Money | None:
        """What the account gained since its first fill, at what others quote; None while something that is open has no
        price.
        """
        gained, is_certain = self._day.net_since_first_fill()
        return Money(gained - self._day.held_up()) if is_certain else None

    def tick(self) -> list[Effect]:
        """Time passed."""
        return self.loss() + self._doubts.look() + self._strangers.look()

    def resumed(self) -> list[Effect]:
        """A person trades on: what was held against the exchange is forgotten, what was lost today is not."""
        self._answers.forget()
        self._state.back_off = None
        self._drawdown.accept()
        return self.loss()


class _ResponseGuard:
    """API_GUARD: an exchange that does not answer, or that refuses whatever is sent. A person must look at it.

    Three creates in a row without an answer: each may be live, and the next would be the same. `max_api_errors`
    requests in a row without one, reads of the account included, between which the venue backs off. As many orders in a
    row that were refused for what they are.
    """

    def __init__(self, state: EngineState, limits: RiskLimits, tighten: Tighten) -> None:
        self._state = state
        self._limit = limits.max_api_errors
        self._tighten = tighten
        self.forget()

    def forget(self) -> None:
        self._creates = self._failures = self._refusals = 0
        self._last = ""

    def answered(self) -> None:
        """A read succeeded."""
        self._failures = 0

    def heard(self, message: Message) -> list[Effect]:
        if isinstance(message, OrderAccepted):
            self.forget()
        is_taken = isinstance(message, OrderAccepted) or (isinstance(message, AmendEnded) and not message.code)
        if is_taken and self._state.back_off is not None:
            self._state.back_off.succeeded(self._state.now)
        if isinstance(message, OrderRejected):
            return self._refused(message)
        if not isinstance(message, OrderUnknown) or message.reason == self._last:  # the orders of a batch share theirs
            return []
        self._creates, self._last = self._creates + 1, message.reason
        effects = self.failed(message.reason)
        if self._creates != MAX_UNANSWERED:
            return effects
        return effects + self._trip(f"{MAX_UNANSWERED} orders in a row got no usable answer")

    def failed(self, reason: str) -> list[Effect]:
        """A request got no usable answer."""
        self._failures += 1
        if self._failures != self._limit:
            return []
        return self._trip(f"{self._failures} requests in a row got no usable answer ({safe_text(reason)[:200]})")

    def _refused(self, refusal: OrderRejected) -> list[Effect]:
        said = f"{refusal.code} {refusal.detail}"
        if refusal.code.isupper() or _NO_FAULT_OF_OURS.search(said):
            return []
        self._refusals += 1
        if self._refusals != self._limit:
            return []
        return self._trip(f"the exchange refused {self._refusals} orders in a row ({safe_text(said)[:200]})")

    def _trip(self, what: str) -> list[Effect]:
        state = self._state
        state.back_off = state.back_off or back_off_of(API_GUARD, state.now)
        text = (
            f"{what}; no new orders. Cancels go on, and strategies send what closes 1 to 60 s apart. Once `kalshi "
            "exchange` is well and `kalshi order reconcile` ends: kalshi resume --reason TEXT"
        )
        return self._tighten(TradingState.REDUCING, API_GUARD, "orders", text)


class _PostOnlyGuard:
    """POST_ONLY_CROSS: orders that must not take keep being refused because they would. Then our book is wrong."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._refused: deque[tuple[Ts, str, Price]] = deque()

    def heard(self, message: Message, order: Order) -> list[Effect]:
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
        text = f"{MAX_POST_ONLY_CROSSES} post-only orders at {price} would have traded; the book is read again"
        return [
            ResyncBook(order.ticker, book.unusable_reason),
            AlertRaised(now, "warning", "POST_ONLY_CROSS", order.ticker, text),
        ]


class _FeeTotals(msgspec.Struct):
    """The fills of one order, and what they were expected to cost."""

    qty: Qty = Qty(0)
    fees: Money = Money(0)
    estimate: Money = Money(0)
    fills: int = 0


class _Fees:
    """FEE_MISMATCH: the exchange charged something else than we reckon with, so edges are not what they seem."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._charged: dict[str, _FeeTotals] = {}

    def charged(self, fill: Fill, order: Order) -> list[Effect]:
        schedule = self._state.fees.get(fill.ticker)
        if schedule is None or order.is_foreign:
            return []
        sums = self._charged.setdefault(fill.order_id, _FeeTotals())
        sums.qty = Qty(sums.qty + fill.qty)
        sums.fees = Money(sums.fees + fill.fee)
        sums.estimate = Money(sums.estimate + estimate(schedule, fill.price, fill.qty, is_taker=fill.is_taker))
        sums.fills += 1
        if len(self._charged) > MAX_WATCHED:
            del self._charged[next(iter(self._charged))]
        return self.ended(order)

    def ended(self, order: Order) -> list[Effect]:
        """Compare, once the order is over and all of its fills are here."""
        sums = self._charged.get(order.order_id)
        if sums is None or order.status.is_live or sums.qty != order.filled:
            return []
        del self._charged[order.order_id]
        if abs(sums.fees - sums.estimate) <= FEE_TOLERANCE + (sums.fills - 1) * FEE_STEP:
            return []
        text = f"{order.ticker}: charged {show_money(sums.fees)}, expected {show_money(sums.estimate)}"
        return [AlertRaised(self._state.now, "warning", "FEE_MISMATCH", order.client_order_id, text)]


class _ExternalOrderGuard:
    """Orders and fills of the account that were not made here. They count; they are never touched.

    FOREIGN_ACTIVITY is a person or another program. OTHER_INSTANCE is this program, on another machine or before its
    state file was lost. DOUBLE_ORDER and ID_CLASH must not be possible, so they stop everything.
    """

    def __init__(self, state: EngineState, tighten: Tighten, known: Known) -> None:
        self._state = state
        self._tighten = tighten
        self._known = known
        self._unowned: dict[str, tuple[Ts, Fill]] = {}
        self._seconds: dict[str, Order] = {}
        self.since = state.now

    def met(self, order: Order) -> list[Effect]:
        """An order joined that no intent of ours is for."""
        own = self._state.orders.get(order.client_order_id)
        is_second = own is not None and own.order_id not in ("", order.order_id)
        if own is not None and is_second and (not own.is_foreign or order.client_order_id.startswith(OWN_ID)):
            if self._state.orders.is_proven(own):
                return self._double(own, order)
            self._seconds[order.order_id] = order
            if len(self._seconds) > MAX_WATCHED:
                del self._seconds[next(iter(self._seconds))]
            return []
        return self._told(order.order_id, order.client_order_id, _words(order)) if _counts(order) else []

    def doubles(self) -> list[Effect]:
        """Second orders, once the exchange itself showed the first: the id in a reply may be false."""
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
        text = f"{_words(order)}, besides {own.order_id}: two orders of one intent. See `kalshi order list`"
        return self._tighten(TradingState.HALTED, "DOUBLE_ORDER", order.order_id, text)

    def is_undecided(self, order: Order) -> bool:
        """Return whether it may be a second order. It is written only once that is known; a crash loses nothing."""
        return order.order_id in self._seconds

    def named(self, before: Order, order: Order) -> list[Effect]:
        """An order under an id of ours is met on the exchange for the first time: is it the one we sent?"""
        if before.order_id or not order.order_id or is_as_sent(before, order):
            return []
        text = f"{_words(order)} is under the id of our {_words(before)}: is there another state file, or an old one?"
        return self._tighten(TradingState.HALTED, "ID_CLASH", order.order_id, text)

    def traded(self, fill: Fill) -> None:
        if fill.ts >= self.since and len(self._unowned) < MAX_WATCHED:
            self._unowned.setdefault(fill.order_id, (self._state.now, fill))

    def look(self) -> list[Effect]:
        """A fill can come before the reply that tells whose it is; after a while it is nobody's here."""
        effects: list[Effect] = []
        for order_id, (ts, fill) in list(self._unowned.items()):
            if self._known(order_id, fill.client_order_id) is None:
                is_maybe_ours = any(not order.order_id for order in self._state.orders.live(fill.ticker))
                if self._state.now - ts <= UNCONFIRMED_ALERT_MS or is_maybe_ours:
                    continue
                what = f"{fill.side.value} {show_qty(fill.qty)} {fill.ticker} at {show_price(fill.price)} traded"
                effects += self._told(order_id, fill.client_order_id, what)
            del self._unowned[order_id]
        return effects

    def _told(self, order_id: str, client_order_id: str, what: str) -> list[Effect]:
        code, who = "FOREIGN_ACTIVITY", "another program or a person"
        if client_order_id.startswith(OWN_ID):
            code, who = "OTHER_INSTANCE", "this program, on another machine or with another state file"
        return [
            AlertRaised(self._state.now, "critical", code, order_id, f"{what}: placed by {who}. It counts, and is left")
        ]


class _UnconfirmedOrderGuard:
    """ORDER_UNKNOWN_LONG and FILLS_MISSING: what should have been resolved by now was not."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._told: set[str] = set()
        self._missing: dict[str, Ts] = {}

    def look(self) -> list[Effect]:
        now, orders = self._state.now, self._state.orders
        long = [
            order
            for order in orders.live()
            if order.status in UNCONFIRMED_STATUSES and now - order.updated > UNCONFIRMED_ALERT_MS
        ]
        untold = {order.order_id: (order, qty) for order, qty in orders.untold()}
        self._missing = {order_id: self._missing.get(order_id, now) for order_id in untold}
        missing = [untold[order_id] for order_id, since in self._missing.items() if now - since > UNCONFIRMED_ALERT_MS]
        found = {f"order {order.client_order_id}": self._unknown(order) for order in long}
        found |= {f"fills {order.order_id}": self._lacking(order, qty) for order, qty in missing}
        alerts: list[Effect] = [alert for key, alert in found.items() if key not in self._told]
        self._told = set(found)
        return alerts

    def _unknown(self, order: Order) -> AlertRaised:
        since_s = UNCONFIRMED_ALERT_MS // 1000
        text = f"{_words(order)} may be live, and nobody knows since {since_s} s: kalshi order reconcile"
        return AlertRaised(self._state.now, "critical", "ORDER_UNKNOWN_LONG", order.client_order_id, text)

    def _lacking(self, order: Order, qty: Qty) -> AlertRaised:
        since_s = UNCONFIRMED_ALERT_MS // 1000
        text = f"{_words(order)} traded {show_qty(qty)} more than there are fills of since {since_s} s"
        return AlertRaised(self._state.now, "warning", "FILLS_MISSING", order.client_order_id, text)


def _counts(order: Order) -> bool:
    """It may still trade, or has."""
    return order.status.is_live or order.filled > 0


def _words(order: Order) -> str:
    """The order, in words."""
    return f"{order.side.value} {show_qty(order.qty)} {order.ticker} at {show_price(order.price)}"
