"""The use of each configured limit, from the account as the exchange reports it, if all resting orders fill.

The sums are those of `core/account/exposure.py`, over positions that were not counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from kalshi_cli.base.units import Money, Qty, show_money, show_qty
from kalshi_cli.core.account.worst_case import OutcomeLosses, event_max_loss, live_part, max_loss
from kalshi_cli.core.model.markets import Family, FeeSchedule
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring.check_report import Breach, Measure
from kalshi_cli.core.state.limits import RiskLimits

K = TypeVar("K", bound=Hashable)

MAX_PCT = 1_000_000.0
"""The use in percent of a limit of zero."""


class MarketExposure(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a subaccount in a market: signed contracts, their cost, resting orders and the fee schedule."""

    ticker: str
    subaccount: int
    qty: Qty
    cost: Money
    orders: tuple[Order, ...] = ()
    fees: FeeSchedule = FeeSchedule()

    @property
    def most_held(self) -> Qty:
        """Return the largest position, on either side, after all orders of one side filled."""
        bids = sum(order.remaining for order in self.orders if order.side is BID)
        asks = sum(order.remaining for order in self.orders if order.side is not BID)
        return Qty(max(self.qty + bids, asks - self.qty))

    @property
    def outcomes(self) -> OutcomeLosses:
        """Return the maximum losses for each outcome; negative is a gain."""
        return max_loss(self.qty, self.cost, [live_part(order, self.fees) for order in self.orders])


class LimitUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The use of one limit, in its units and as text; `now` is the use without resting orders, empty if it is equal."""

    code: str
    subject: str
    used: int
    limit: int
    shown: str
    shown_limit: str
    now: str = ""

    @property
    def unit(self) -> str:
        """Return the unit of the limit: $, contracts, orders or markets."""
        counts = {"POSITION_LIMIT": "contracts", "LIVE_ORDERS": "orders", "OPEN_POSITIONS": "markets"}
        return counts.get(self.code, "$")

    @property
    def share(self) -> float:
        """Return the use divided by the limit."""
        if self.limit:
            return self.used / self.limit
        return MAX_PCT / 100 if self.used > 0 else 0.0

    @property
    def pct(self) -> float:
        """Return the use in percent of the limit, rounded to one decimal."""
        return round(100 * self.share, 1)

    def breach(self, measure: Measure) -> tuple[Breach, ...]:
        """Return a breach if the use violates the thresholds of a percent measure."""
        own = msgspec.structs.replace(measure, value=self.pct)
        share = f" ({self.pct:g} %)" if self.limit else ""  # Of a limit of zero there is no share.
        value = f"{self.shown}{share}"
        if self.now:
            value = f"{self.shown} if its resting orders fill{share}, now {self.now}"
        found = own.breach(self.code, self.subject, value)
        return tuple(msgspec.structs.replace(breach, limit=self.shown_limit, unit=self.unit) for breach in found)


def uses(stakes: Sequence[MarketExposure], limits: RiskLimits, families: Mapping[str, Family]) -> list[LimitUsage]:
    """Return the use of every configured limit, the most used first.

    `families` are the known families by ticker.
    """
    by_market = _grouped(stakes, lambda stake: stake.ticker)
    kin = {family.event_ticker: family for family in families.values()}
    by_event = _grouped([s for s in stakes if s.ticker in families], lambda s: families[s.ticker].event_ticker)
    lost = {event: event_exposure(held, is_exclusive=kin[event].is_exclusive) for event, held in by_event.items()}
    in_category = {
        category: sum(money for event, money in lost.items() if kin[event].category in ("", category))
        for category in sorted({kin[event].category for event in lost})
    }
    live = sum(len(stake.orders) for stake in stakes)
    found = [
        *(_position_use(ticker, held, limits.max_position) for ticker, held in by_market.items()),
        *(
            _use("MARKET_EXPOSURE", ticker, _lost(held), limits.max_market_exposure, show_money)
            for ticker, held in by_market.items()
        ),
        _use("OPEN_POSITIONS", "open positions", len(by_market), limits.max_open_positions, str),
        *(_use("EVENT_EXPOSURE", event, used, limits.max_event_exposure, show_money) for event, used in lost.items()),
        *(
            _use("CATEGORY_EXPOSURE", category or "unknown category", used, limits.max_category_exposure, show_money)
            for category, used in in_category.items()
        ),
        _use("EXPOSURE", "all markets", _lost(stakes), limits.max_exposure, show_money),
        _use("LIVE_ORDERS", "resting orders", live, limits.max_live_orders, str),
    ]
    return sorted((use for use in found if use is not None), key=lambda use: -use.pct)


def event_exposure(stakes: Iterable[MarketExposure], *, is_exclusive: bool) -> Money:
    """Return the maximum loss of an event's markets together; subaccounts do not net."""
    by_subaccount = _grouped(stakes, lambda stake: stake.subaccount).values()
    return Money(
        sum(event_max_loss([stake.outcomes for stake in held], is_exclusive=is_exclusive) for held in by_subaccount)
    )


def _position_use(ticker: str, held: Sequence[MarketExposure], limit: Qty | None) -> LimitUsage | None:
    most, now = Qty(sum(stake.most_held for stake in held)), Qty(sum(abs(stake.qty) for stake in held))
    return _use("POSITION_LIMIT", ticker, most, limit, show_qty, "" if now == most else show_qty(now))


def _lost(stakes: Iterable[MarketExposure]) -> Money:
    """Return the maximum loss of markets that do not offset each other."""
    return Money(sum(stake.outcomes.worst for stake in stakes))


def _grouped(stakes: Iterable[MarketExposure], key: Callable[[MarketExposure], K]) -> dict[K, list[MarketExposure]]:
    found: dict[K, list[MarketExposure]] = {}
    for stake in stakes:
        found.setdefault(key(stake), []).append(stake)
    return found


def _use(
    code: str, subject: str, used: int, limit: int | None, show: Callable[[Any], str], now: str = ""
) -> LimitUsage | None:
    """Return the use of a limit; None without one."""
    if limit is None:
        return None
    shown, shown_limit = show(used), show(limit)
    return LimitUsage(code=code, subject=subject, used=used, limit=limit, shown=shown, shown_limit=shown_limit, now=now)
