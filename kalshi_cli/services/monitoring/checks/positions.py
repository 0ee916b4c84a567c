"""Is every position within its limits, as the exchange states it, with everything that rests filled?"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import Money, Qty, pluralize
from kalshi_cli.core.account.exposure import CLASSIC
from kalshi_cli.core.model.markets import Event, Family, FeeSchedule, Market, Series
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, report
from kalshi_cli.core.monitoring.limits_check import LimitUsage, MarketExposure, uses
from kalshi_cli.exchange.live.families import current_fees
from kalshi_cli.services.monitoring.checks.readings import CheckData, confirm_by_second_read, measured, run_part
from kalshi_cli.services.monitoring.checks.unsold import unclosed_stop_positions

FIRST = "limit_used_pct"

EVENTS_A_CALL = 100

MAX_SERIES = 20
"""Each is a request. What rests in others is taken to be charged as most series charge."""


class _Kin(NamedTuple):
    """What limits need to know of an event, and how its markets charge."""

    family: Family
    fees: FeeSchedule


def examine(readings: CheckData) -> CheckReport:
    """Each market, each event, each category and the total; the measure is that of the limit that is nearest. And what
    a loop would have to sell, where none runs.
    """
    used: list[LimitUsage] = []

    def look() -> list[Breach]:
        used[:] = _used(readings)
        measure = measured("limit_used_pct", 0.0, readings.checks.limit_used_pct, "%")
        over = [breach for use in used for breach in use.breach(measure)]
        return over + run_part("stop-loss", lambda: unclosed_stop_positions(readings, lambda: _markets(readings)))

    breaches = confirm_by_second_read(
        readings, look, "resting", "positions", "markets of positions", "families of positions"
    )
    nearest = used[0] if used else None
    measure = measured(
        "limit_used_pct", nearest.pct if nearest is not None else 0.0, readings.checks.limit_used_pct, "%"
    )
    held = {ticker for (_, ticker), position in readings.positions.items() if position.position}
    summary = f"{pluralize(len(held), 'position')}, {pluralize(len(readings.resting), 'resting order')}"
    if nearest is not None:
        summary += f"; nearest limit: {nearest.subject} {nearest.shown} of {nearest.shown_limit}"
    return report("positions", summary, breaches, [measure])


def _used(readings: CheckData) -> list[LimitUsage]:
    """Where events are read for a limit of theirs, they say how what rests is charged, too."""
    stakes, limits = _stakes(readings), readings.limits
    if limits.max_event_exposure is None and limits.max_category_exposure is None:
        return uses(stakes, limits, {})
    kin = _kin(readings, stakes)
    charged = [
        msgspec.structs.replace(stake, fees=kin[stake.ticker].fees) if stake.ticker in kin else stake
        for stake in stakes
    ]
    return uses(charged, limits, {ticker: each.family for ticker, each in kin.items()})


def _stakes(readings: CheckData) -> list[MarketExposure]:
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
        found.append(MarketExposure(ticker=ticker, subaccount=subaccount, qty=qty, cost=cost, orders=resting))
    return [stake for stake in found if stake.qty or stake.orders]


def _markets(readings: CheckData) -> list[Market]:
    """Those in which anything is held or rests."""
    tickers = sorted({stake.ticker for stake in _stakes(readings)})
    return readings.once("markets of positions", lambda: list(readings.client.markets(tickers=tickers)))


def _kin(readings: CheckData, stakes: list[MarketExposure]) -> dict[str, _Kin]:
    """Of each market; that hardly ever changes."""
    if not stakes:
        return {}
    markets = _markets(readings)
    resting = {stake.ticker for stake in stakes if stake.orders}
    kin = readings.once("families of positions", lambda: _read_kin(readings, markets, resting))
    return {market.ticker: kin[market.event_ticker] for market in markets if market.event_ticker in kin}


def _read_kin(readings: CheckData, markets: list[Market], resting: set[str]) -> dict[str, _Kin]:
    """By event. A series is read, once, where something rests in it, and where a limit asks for its category."""
    tickers = sorted({market.event_ticker for market in markets})
    batches = [tickers[at : at + EVENTS_A_CALL] for at in range(0, len(tickers), EVENTS_A_CALL)]
    events = [event for batch in batches for event in readings.client.events(tickers=batch)]
    charging = {market.event_ticker for market in markets if market.ticker in resting}
    wanted = set(sorted({event.series_ticker for event in events if event.event_ticker in charging})[:MAX_SERIES])
    if readings.limits.max_category_exposure is not None:
        wanted |= {event.series_ticker for event in events if not event.category}
    series = {ticker: readings.client.series(ticker) for ticker in sorted(wanted)}
    return {event.event_ticker: _kin_of(event, series.get(event.series_ticker)) for event in events}


def _kin_of(event: Event, series: Series | None) -> _Kin:
    family = Family(
        event_ticker=event.event_ticker,
        series_ticker=event.series_ticker,
        category=event.category or (series.category if series is not None else ""),
        is_exclusive=event.mutually_exclusive,
    )
    return _Kin(family, current_fees(event, series) if series is not None else CLASSIC)
