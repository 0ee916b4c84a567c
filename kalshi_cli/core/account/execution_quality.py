"""Execution quality: placement latency, fill rate, and fill prices compared with fair values and best prices.

The edge of a fill is the difference between its price and the fair value that the strategy stated with the order,
positive when good. The edge promised uses the limit price; the edge kept uses the fill price and subtracts the fee;
slippage is the edge kept with the opposite sign, and follows the fair value. The slippage to the best price does not:
it compares the fill with the best price that the order could take when it was decided on, before fees. Averages are per
contract. An order without a fair value has no edge, and one without a best price no slippage to it.

A drop compares the last orders with the earlier ones: the difference of two averages, in standard errors, assuming that
the last are like the earlier. The fills of one order count as one observation, because they share one decision. A drop
must also be large: over many orders, even one millisecond is statistically significant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.orders import Fill, Order

WITHIN_MS = 30_000
"""An order that trades within this time of its decision is in time."""

RECENT_SAMPLE = 50
BASELINE_SAMPLE = 500
"""The number of recent orders (or fills), and of earlier ones that they are compared with."""

NEWEST_MS = 86_400_000
"""Orders and fills older than a day are not recent."""

MIN_RECENT_SAMPLE = 20
MIN_BASELINE_SAMPLE = 50
"""Smaller samples are not judged."""

SIGMAS = 3.0
WORSE_RATE = 0.1
WORSE_PLACEMENT = 0.5
WORSE_SLIPPAGE = 50
"""A drop exceeds this many standard errors, and 10 of 100 orders, half of the latency, or half a cent."""


T = TypeVar("T")


class PlacementSample(msgspec.Struct, frozen=True):
    """An own order that the exchange accepted.

    `latency_ms` stays None if it was not measured. `filled_at` is the time of the first fill, or of the last update of
    a traded order without a booked fill.
    """

    order: Order
    latency_ms: int | None
    filled_at: Ts | None

    def is_in_time(self, within_ms: int) -> bool:
        """Return whether the order traded within this time of its decision."""
        return self.filled_at is not None and self.filled_at - self.order.created <= within_ms


class FillSample(msgspec.Struct, frozen=True):
    """A fill and its order."""

    fill: Fill
    order: Order

    def edge(self, price: Price) -> Money:
        """Return the edge of the contracts at a price, before the fee; 0 if the order has no fair value."""
        fair = self.order.fair if self.order.fair is not None else price
        return Money(notional(Price(fair - price), self.fill.qty) * self.fill.side.sign)

    @property
    def beyond_best(self) -> Money:
        """Return the cost beyond the best price at the decision, before the fee; 0 without one, negative if better."""
        best = self.order.best if self.order.best is not None else self.fill.price
        return Money(notional(Price(self.fill.price - best), self.fill.qty) * self.fill.side.sign)

    @property
    def kept(self) -> Money:
        """Return the edge at the price of the fill, after the fee."""
        return Money(self.edge(self.fill.price) - self.fill.fee)


class ExecutionQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Counts that can be added up over strategies, markets and days. `latencies` are sorted milliseconds.

    `fill_time_ms` is the sum of the times from decision to first fill. `judged` orders are old enough to have traded in
    time. `valued` contracts, in `valued_fills`, have a fair value; `promised` and `kept` refer to them. `compared`
    contracts, in `compared_fills`, have a best price at their decision; `beyond_best` refers to them.
    """

    orders: int
    orders_filled: int
    fill_time_ms: int
    judged: int
    in_time: int
    latencies: tuple[int, ...]
    fills: int
    contracts: Qty
    maker_contracts: Qty
    valued_fills: int
    valued: Qty
    promised: Money
    kept: Money
    compared_fills: int
    compared: Qty
    beyond_best: Money

    @property
    def avg_fill_time_s(self) -> float | None:
        """Return the average time from decision to first fill in seconds; None without a fill."""
        return round(self.fill_time_ms / self.orders_filled / 1000, 3) if self.orders_filled else None

    @property
    def fill_rate(self) -> float | None:
        """Return the share of orders that traded in time."""
        return self.in_time / self.judged if self.judged else None

    def placement_ms(self, percent: int) -> int | None:
        """Return the placement latency at a percentile, in milliseconds."""
        return self.latencies[-(-percent * len(self.latencies) // 100) - 1] if self.latencies else None

    @property
    def second_slowest_ms(self) -> int | None:
        """Return the second highest placement latency: of few orders, the 99th percentile is a single slow response."""
        return self.latencies[-2] if len(self.latencies) > 1 else None

    @property
    def maker_share(self) -> float | None:
        """Return the share of contracts that traded as maker."""
        return self.maker_contracts / self.contracts if self.contracts else None

    @property
    def edge_at_order(self) -> Price | None:
        """Return the edge per contract at the limit price, before fees."""
        return self._for_one(self.promised)

    @property
    def edge_kept(self) -> Price | None:
        """Return the edge per contract at the fill price, after fees."""
        return self._for_one(self.kept)

    @property
    def slippage(self) -> Price | None:
        """Return how far a contract was below its fair value, after fees; negative is good."""
        return self._for_one(Money(-self.kept))

    @property
    def slippage_to_best(self) -> Price | None:
        """Return how much worse a contract traded than the best price at its decision; negative is better."""
        return Price(round(self.beyond_best / self.compared)) if self.compared else None

    def _for_one(self, money: Money) -> Price | None:
        return Price(round(money / self.valued)) if self.valued else None


class QualityDrop(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that became significantly worse.

    The metric is the share of orders that did not trade in time, the placement latency in milliseconds, or the slippage
    per contract in ten-thousandths of a dollar.
    """

    name: str
    recent: float
    before: float


class QualityTrend(msgspec.Struct, frozen=True, kw_only=True):
    """The recent orders and fills, the earlier ones, and the metrics that became worse."""

    recent: ExecutionQuality
    before: ExecutionQuality
    drops: tuple[QualityDrop, ...]


def match(
    orders: Iterable[Order], fills: Iterable[Fill], latencies: Mapping[str, int]
) -> tuple[list[PlacementSample], list[FillSample]]:
    """Return accepted own orders and their fills, each once, oldest first.

    `latencies` are in milliseconds by client order id.
    """
    own = {order.order_id: order for order in orders if order.order_id and not order.is_foreign}
    booked = {fill.key: fill for fill in fills if fill.order_id in own}
    first: dict[str, Ts] = {}
    for fill in booked.values():
        first[fill.order_id] = min(fill.ts, first.get(fill.order_id, fill.ts))
    sent = [
        PlacementSample(
            order, latencies.get(order.client_order_id), first.get(name, order.updated if order.filled else None)
        )
        for name, order in own.items()
    ]
    traded = [FillSample(fill, own[fill.order_id]) for fill in booked.values()]
    sent.sort(key=lambda one: (one.order.created, one.order.order_id))
    traded.sort(key=lambda one: (one.fill.ts, one.fill.key))
    return sent, traded


def summarize(
    sent: Sequence[PlacementSample], traded: Sequence[FillSample], now: Ts, within_ms: int = WITHIN_MS
) -> ExecutionQuality:
    """Count the orders and the fills."""
    judged = [one for one in sent if _is_old_enough(one, now, within_ms)]
    valued = [one for one in traded if one.order.fair is not None]
    compared = [one for one in traded if one.order.best is not None]
    return ExecutionQuality(
        orders=len(sent),
        orders_filled=sum(one.filled_at is not None for one in sent),
        fill_time_ms=sum(max(0, one.filled_at - one.order.created) for one in sent if one.filled_at is not None),
        judged=len(judged),
        in_time=sum(one.is_in_time(within_ms) for one in judged),
        latencies=tuple(sorted(one.latency_ms for one in sent if one.latency_ms is not None)),
        fills=len(traded),
        contracts=Qty(sum(one.fill.qty for one in traded)),
        maker_contracts=Qty(sum(one.fill.qty for one in traded if not one.fill.is_taker)),
        valued_fills=len(valued),
        valued=Qty(sum(one.fill.qty for one in valued)),
        promised=Money(sum(one.edge(one.order.price) for one in valued)),
        kept=Money(sum(one.kept for one in valued)),
        compared_fills=len(compared),
        compared=Qty(sum(one.fill.qty for one in compared)),
        beyond_best=Money(sum(one.beyond_best for one in compared)),
    )


def parts(
    sent: Sequence[PlacementSample],
    traded: Sequence[FillSample],
    key: Callable[[Order], str],
    now: Ts,
    within_ms: int = WITHIN_MS,
) -> dict[str, ExecutionQuality]:
    """Count orders and fills by any key of an order; a fill has the key of its order."""
    found: dict[str, tuple[list[PlacementSample], list[FillSample]]] = {}
    for one in sent:
        found.setdefault(key(one.order), ([], []))[0].append(one)
    for each in traded:
        found.setdefault(key(each.order), ([], []))[1].append(each)
    return {name: summarize(*found[name], now, within_ms) for name in sorted(found)}


def trend(
    sent: Sequence[PlacementSample], traded: Sequence[FillSample], now: Ts, within_ms: int = WITHIN_MS
) -> QualityTrend:
    """Compare the recent orders and fills with the earlier ones; both come oldest first, from `match`."""
    judged = [one for one in sent if _is_old_enough(one, now, within_ms)]
    last, before = _split(judged, lambda one: one.order.created, now)
    last_fills, fills_before = _split(traded, lambda one: one.fill.ts, now)
    found = (
        _worse("fill rate", _missed(last, within_ms), _missed(before, within_ms), lambda _: WORSE_RATE),
        _worse("placement", _waited(last), _waited(before), lambda was: WORSE_PLACEMENT * was),
        _worse("slippage", _lost(last_fills), _lost(fills_before), lambda _: WORSE_SLIPPAGE),
    )
    return QualityTrend(
        recent=summarize(last, last_fills, now, within_ms),
        before=summarize(before, fills_before, now, within_ms),
        drops=tuple(drop for drop in found if drop is not None),
    )


_Seen = tuple[int, int]
"""An observation: an amount, and the quantity that it refers to."""


def _is_old_enough(one: PlacementSample, now: Ts, within_ms: int) -> bool:
    return now - one.order.created >= within_ms


def _split(found: Sequence[T], ts_of: Callable[[T], Ts], now: Ts) -> tuple[list[T], list[T]]:
    last = [one for one in found[-RECENT_SAMPLE:] if ts_of(one) > now - NEWEST_MS]
    older = found[: len(found) - len(last)]
    return last, list(older[-BASELINE_SAMPLE:])


def _missed(sent: Sequence[PlacementSample], within_ms: int) -> list[_Seen]:
    return [(0 if one.is_in_time(within_ms) else 1, 1) for one in sent]


def _waited(sent: Sequence[PlacementSample]) -> list[_Seen]:
    return [(one.latency_ms, 1) for one in sent if one.latency_ms is not None]


def _lost(traded: Sequence[FillSample]) -> list[_Seen]:
    """Return the slippage and the contracts by order."""
    found: dict[str, _Seen] = {}
    for one in traded:
        if one.order.fair is not None:
            lost, count = found.get(one.order.order_id, (0, 0))
            found[one.order.order_id] = (lost - one.kept, count + one.fill.qty)
    return list(found.values())


def _worse(
    name: str, recent: Sequence[_Seen], before: Sequence[_Seen], least: Callable[[float], float]
) -> QualityDrop | None:
    """Return a drop if the average rose by at least `least` and beyond chance; larger is worse."""
    if len(recent) < MIN_RECENT_SAMPLE or len(before) < MIN_BASELINE_SAMPLE:
        return None
    (now, whole), (was, whole_before) = _average(recent), _average(before)
    spread = sum((amount - was * of) ** 2 for amount, of in before) / len(before)
    error = math.sqrt(spread * (len(recent) / whole**2 + len(before) / whole_before**2))
    if now - was < least(was) or now - was <= SIGMAS * error:
        return None
    return QualityDrop(name=name, recent=now, before=was)


def _average(seen: Sequence[_Seen]) -> tuple[float, int]:
    whole = sum(of for _, of in seen)
    return sum(amount for amount, _ in seen) / whole, whole
