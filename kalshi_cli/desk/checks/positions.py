"""Is every position within its limits, as the exchange states it, with everything that rests filled?"""

from __future__ import annotations

from kalshi_cli.core.checks import Breach, CheckReport, counted, report
from kalshi_cli.core.limits_check import Stake, Use, uses
from kalshi_cli.core.model import Order
from kalshi_cli.desk.checks.readings import Readings, confirmed, measured
from kalshi_cli.units import Money, Qty

FIRST = "limit_used_pct"

EVENTS_A_CALL = 100


def examine(readings: Readings) -> CheckReport:
    """Each market, each event and the total; the measure is that of the limit that is nearest."""
    used: list[Use] = []

    def look() -> list[Breach]:
        used[:] = _used(readings)
        measure = measured("limit_used_pct", 0.0, readings.checks.limit_used_pct, "%")
        return [breach for use in used for breach in use.breach(measure)]

    breaches = confirmed(readings, look, "resting", "positions", "markets of positions", "exclusive events")
    nearest = used[0] if used else None
    measure = measured(
        "limit_used_pct", nearest.pct if nearest is not None else 0.0, readings.checks.limit_used_pct, "%"
    )
    held = {ticker for (_, ticker), position in readings.positions.items() if position.position}
    summary = f"{counted(len(held), 'position')}, {counted(len(readings.resting), 'resting order')}"
    if nearest is not None:
        summary += f"; nearest limit: {nearest.subject} {nearest.shown} of {nearest.shown_limit}"
    return report("positions", summary, breaches, [measure])


def _used(readings: Readings) -> list[Use]:
    stakes = _stakes(readings)
    max_event = readings.checks.max_event_exposure
    event_of = _events(readings, stakes) if max_event is not None else {}
    return uses(stakes, readings.limits, max_event, event_of, _exclusive(readings, event_of))


def _stakes(readings: Readings) -> list[Stake]:
    """The orders are read first: what trades between the two reads counts twice rather than not at all."""
    orders: dict[tuple[int, str], list[Order]] = {}
    for order in readings.resting:
        orders.setdefault((order.subaccount, order.ticker), []).append(order)
    stated = readings.positions
    flat = (Qty(0), Money(0))
    found = []
    for key in sorted(orders.keys() | stated.keys()):
        qty, cost = (stated[key].position, stated[key].exposure) if key in stated else flat
        subaccount, ticker = key
        resting = tuple(orders.get(key, ()))
        found.append(Stake(ticker=ticker, subaccount=subaccount, qty=qty, cost=cost, orders=resting))
    return [stake for stake in found if stake.qty or stake.orders]


def _events(readings: Readings, stakes: list[Stake]) -> dict[str, str]:
    """The event of each market; that never changes."""
    tickers = sorted({stake.ticker for stake in stakes})
    if not tickers:
        return {}
    markets = readings.once("markets of positions", lambda: list(readings.client.markets(tickers=tickers)))
    return {market.ticker: market.event_ticker for market in markets}


def _exclusive(readings: Readings, event_of: dict[str, str]) -> set[str]:
    """Events of which at most one market settles YES."""
    events = sorted(set(event_of.values()))
    batches = [events[at : at + EVENTS_A_CALL] for at in range(0, len(events), EVENTS_A_CALL)]

    def look() -> set[str]:
        found = (event for batch in batches for event in readings.client.events(tickers=batch))
        return {event.event_ticker for event in found if event.mutually_exclusive}

    return readings.once("exclusive events", look)
