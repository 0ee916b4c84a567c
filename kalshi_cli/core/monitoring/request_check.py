"""Checks of order flow: the share of requests that kalshi refuses, the time of the last order, and acceptance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.orders import Order, is_refused_here
from kalshi_cli.core.monitoring.check_report import Breach, Measure, critical
from kalshi_cli.core.monitoring.order_check import MIN_ORDERS_SENT

FEWEST = 20
"""Fewer order requests give no meaningful share of refusals."""


def of_strategies(orders: Sequence[Order]) -> list[Order]:
    """Return the orders that strategies placed."""
    return [order for order in orders if order.strategy and not order.is_foreign]


def denied_share(
    denials: Mapping[str, int], orders: Sequence[Order], amends: int, measure: Measure
) -> tuple[tuple[Breach, ...], Measure | None]:
    """Return the share of order requests that kalshi refused, in percent; no measure if there were too few.

    `denials` counts by code the requests that became no order or amend; `orders` are those that became one, `amends`
    the number of amends that were sent.
    """
    codes = Counter(denials)
    codes.update(order.code for order in orders if is_refused_here(order))
    denied = sum(codes.values())
    requests = sum(denials.values()) + len(orders) + amends
    if requests < FEWEST:
        return (), None
    measure = replace(measure, value=round(100 * denied / requests, 1))
    text = f"{denied} of {requests} order requests of the last hour refused by kalshi"
    if denied:
        code, count = min(codes.items(), key=lambda item: (-item[1], item[0]))
        text += f", most often {code} ({count})"
    return measure.breach("DENIED_RATE", "order requests", text), measure


def no_orders(
    since: Ts, orders: Sequence[Order], measure: Measure, now: Ts, *, waiting: str
) -> tuple[tuple[Breach, ...], Measure]:
    """Return the time since a running loop sent its last order, in seconds.

    `since` is when it started, or could trade again. `waiting` is the data that its strategies wait for.
    """
    last = max([since, *(order.created for order in orders if not is_refused_here(order))])
    measure = replace(measure, value=max(0.0, round((now - last) / 1000, 1)))
    text = f"no order sent for {measure.value / 3_600:.1f} h"
    return measure.breach("NO_ORDERS", "loop", f"{text}; {waiting}" if waiting else text), measure


def none_taken(orders: Sequence[Order]) -> list[Breach]:
    """Return a breach if the exchange accepted none of a loop's orders, once there are enough."""
    sent = [order for order in orders if not is_refused_here(order)]
    if len(sent) < MIN_ORDERS_SENT or any(order.order_id for order in sent):
        return []
    value = f"the exchange accepted none of {len(sent)} orders of the last day"
    return [critical("NO_ORDERS", "loop", value, "an accepted order")]
