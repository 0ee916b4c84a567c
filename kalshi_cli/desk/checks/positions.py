"""Is every position within its limits, as the exchange states it, with everything that rests filled?"""

from __future__ import annotations

from kalshi_cli.core.checks import Breach, CheckReport, counted, report
from kalshi_cli.core.limits_check import Stake, Use, uses
from kalshi_cli.core.model import Family, Market, Order
from kalshi_cli.desk.checks.readings import Readings, confirmed, measured
from kalshi_cli.units import Money, Qty

FIRST = "limit_used_pct"

EVENTS_A_CALL = 100


def examine(readings: Readings) -> CheckReport:
    """Each market, each event, each category and the total; the measure is that of the limit that is nearest."""
    used: list[Use] = []

    def look() -> list[Breach]:
        used[:] = _used(readings)
        measure = measured("limit_used_pct", 0.0, readings.checks.limit_used_pct, "%")
        return [breach for use in used for breach in use.breach(measure)]

    breaches = confirmed(readings, look, "resting", "positions", "markets of positions", "families of positions")
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
    stakes, limits = _stakes(readings), readings.limits
    is_kin_needed = limits.max_event_exposure is not None or limits.max_category_exposure is not None
    return uses(stakes, limits, _families(readings, stakes) if is_kin_needed else {})


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


def _families(readings: Readings, stakes: list[Stake]) -> dict[str, Family]:
    """The kin of each market; that never changes. Only where a limit asks for categories are series read, too."""
    tickers = sorted({stake.ticker for stake in stakes})
    if not tickers:
        return {}
    markets = readings.once("markets of positions", lambda: list(readings.client.markets(tickers=tickers)))
    families = readings.once("families of positions", lambda: _read_families(readings, markets))
    return {market.ticker: families[market.event_ticker] for market in markets if market.event_ticker in families}


def _read_families(readings: Readings, markets: list[Market]) -> dict[str, Family]:
    """By event."""
    tickers = sorted({market.event_ticker for market in markets})
    batches = [tickers[at : at + EVENTS_A_CALL] for at in range(0, len(tickers), EVENTS_A_CALL)]
    events = [event for batch in batches for event in readings.client.events(tickers=batch)]
    nameless = {event.series_ticker for event in events if not event.category}
    wanted = sorted(nameless) if readings.limits.max_category_exposure is not None else []
    categories = {ticker: readings.client.series(ticker).category for ticker in wanted}
    return {
        event.event_ticker: Family(
            event_ticker=event.event_ticker,
            series_ticker=event.series_ticker,
            category=event.category or categories.get(event.series_ticker, ""),
            is_exclusive=event.mutually_exclusive,
        )
        for event in events
    }
