"""Check execution quality: fill rate, placement latency and slippage, also against earlier orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from kalshi_cli.base.units import ONE_DOLLAR, Ts, pluralize
from kalshi_cli.core.account.execution_quality import (
    MIN_RECENT_SAMPLE,
    SIGMAS,
    WITHIN_MS,
    ExecutionQuality,
    QualityDrop,
    trend,
)
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, report, warning
from kalshi_cli.core.monitoring.request_check import denied_share, no_orders, none_taken, of_strategies
from kalshi_cli.services.account.execution import begun, carried_out
from kalshi_cli.services.monitoring.checks.readings import CheckData, LoopRecord, measured

FIRST = "fill_rate_pct"

HOUR_MS, DAY_MS = 3_600_000, 86_400_000

LOOK_BACK_MS = 30 * DAY_MS
"""Age up to which orders are part of the baseline."""

_A_CENT = ONE_DOLLAR // 100

_SHOWN: dict[str, Callable[[float], str]] = {
    "fill rate": lambda missed: f"{100 * (1 - missed):.0f}% filled within {WITHIN_MS // 1000} s",
    "placement": lambda latency: f"placement {latency:.0f} ms",
    "slippage": lambda slippage: f"slippage {slippage / _A_CENT:+.2f} cents",
}


def examine(readings: CheckData) -> CheckReport:
    """Compare the last orders and fills of a loop (at most a day old) with their ranges and with earlier ones."""
    now, loop, since = readings.clock.now(), readings.loop, Ts(readings.clock.now() - LOOK_BACK_MS)
    orders = begun(loop.store, since)
    sent, traded = carried_out(loop.store, orders, since)
    found = trend(sent, traded, now)
    last = found.recent
    breaches, measures = _requests(readings, loop, of_strategies(orders), now)
    remarks = [] if loop.who is not None else ["no trading loop is running"]
    if not last.judged and not last.fills:
        is_new = any(one.order.created > now - DAY_MS for one in sent)
        none = f"no order is older than {WITHIN_MS // 1000} s" if is_new else "no orders in the last 24 hours"
        return report("execution", "; ".join([*remarks, none]), breaches, measures)
    measures += [Measure(label="orders", value=last.judged), Measure(label="fills", value=last.fills)]
    small = []
    for code, subject, size, value, label, unit in _numbers(last):
        if size < MIN_RECENT_SAMPLE or value is None:
            small.append(f"{subject} {size}")
            continue
        measure = measured(label, value, getattr(readings.checks, label), unit)
        measures.append(measure)
        breaches += measure.breach(code, subject, f"{value:g} {unit or 'cents'}")
    if small:
        remarks.append(f"sample too small ({MIN_RECENT_SAMPLE} needed): {', '.join(small)}")
    breaches += [_worse(drop) for drop in found.drops]
    return report("execution", "; ".join([_summary(last), *remarks]), breaches, measures)


def _requests(
    readings: CheckData, loop: LoopRecord, orders: list[Order], now: Ts
) -> tuple[list[Breach], list[Measure]]:
    """Return breaches of the share of refused orders and, for a loop that may trade, of the age of its last order."""
    checks, store, hour_ago = readings.checks, loop.store, Ts(now - HOUR_MS)
    if store is None:
        return [], []
    denials = [codes for strategy, codes in store.denials(hour_ago).items() if strategy]
    denied, share = denied_share(
        sum(map(Counter, denials), Counter()),
        [order for order in orders if order.created >= hour_ago],
        sum(count for strategy, count in store.amends(hour_ago).items() if strategy),
        measured("denied_pct", 0.0, checks.denied_pct, "%"),
    )
    breaches, measures = list(denied), [share] if share is not None else []
    pulse = loop.pulse
    if pulse is None or loop.halt.state is not TradingState.ACTIVE:
        return breaches, measures
    since, bound = Ts(max(pulse.started, loop.halt.since)), measured("no_orders_for", 0.0, checks.no_orders_for, "s")
    late, age = no_orders(since, orders, bound, now, waiting=pulse.waiting)
    taken = none_taken([order for order in orders if order.created >= now - DAY_MS])
    return [*breaches, *late, *taken], [*measures, age]


def _numbers(last: ExecutionQuality) -> tuple[tuple[str, str, int, float | None, str, str], ...]:
    """Return the code, subject, sample size, value, label and unit of each number."""
    rate = None if last.fill_rate is None else round(100 * last.fill_rate, 1)
    slippage = None if last.slippage is None else last.slippage / _A_CENT
    taker = None if last.maker_share is None else round(100 * (1 - last.maker_share), 1)
    return (
        ("FILL_RATE", "fill rate", last.judged, rate, "fill_rate_pct", "%"),
        ("PLACEMENT_SLOW", "placement", len(last.latencies), last.second_slowest_ms, "placement_p99_ms", "ms"),
        ("SLIPPAGE", "slippage", last.valued_fills, slippage, "slippage_cents", ""),
        ("TAKER_SHARE", "taker share", last.fills, taker, "taker_share_pct", "%"),
    )


def _summary(last: ExecutionQuality) -> str:
    text = f"{last.in_time} of the last {pluralize(last.judged, 'order')} filled within {WITHIN_MS // 1000} s"
    if not last.judged:
        text = f"no order is older than {WITHIN_MS // 1000} s"
    if last.latencies:
        text += f", placement median {last.placement_ms(50)} ms"
    if last.second_slowest_ms is not None:
        text += f" (second slowest {last.second_slowest_ms} ms)"
    if last.slippage is not None and last.edge_at_order is not None:
        text += (
            f"; slippage {last.slippage / _A_CENT:+.2f} cents per contract over {pluralize(last.valued_fills, 'fill')}"
            f", expected {-last.edge_at_order / _A_CENT:+.2f}"
        )
    return text


def _worse(drop: QualityDrop) -> Breach:
    now, was = (_SHOWN[drop.name](value) for value in (drop.recent, drop.before))
    return warning("EXECUTION_DROP", drop.name, f"{now}, previously {was}", f"within {SIGMAS:g} standard errors")
