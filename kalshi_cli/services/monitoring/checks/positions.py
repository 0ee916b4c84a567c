"""Check that every position is within its limits, assuming that all resting orders fill."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import pluralize
from kalshi_cli.core.account.exposure import CLASSIC
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.model.markets import Event, Family, FeeSchedule, Market, Series
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, report
from kalshi_cli.core.monitoring.limits_check import LimitUsage, MarketExposure, uses
from kalshi_cli.exchange.live.families import MAX_SERIES, current_fees
from kalshi_cli.services.account.summary import market_exposures
from kalshi_cli.services.monitoring.checks.readings import CheckData, confirm_by_second_read, measured, run_part
from kalshi_cli.services.monitoring.checks.unsold import unclosed_stop_positions

FIRST = "limit_used_pct"

EVENTS_A_CALL = 100


class _EventData(NamedTuple):
    """The family of an event for the limits, and the fees of its markets."""

    family: Family
    fees: FeeSchedule


def examine(readings: CheckData) -> CheckReport:
    """Check the limits of each market, event, category and the total; the measure is the one of the nearest limit.

    While no loop runs, also check for positions that a stop-loss would close.
    """
    used: list[LimitUsage] = []

    def look() -> list[Breach]:
        used[:] = _used(readings)
        measure = measured("limit_used_pct", 0.0, readings.checks.limit_used_pct, "%")
        over = [breach for use in used for breach in use.breach(measure)]
        return over + run_part("stop-loss", lambda: unclosed_stop_positions(readings, lambda: _markets(readings)))

    breaches = confirm_by_second_read(readings, look, "resting", "positions", "markets", "events")
    nearest = used[0] if used else None
    pct = nearest.pct if nearest is not None else 0.0
    measure = measured("limit_used_pct", pct, readings.checks.limit_used_pct, "%")
    held = {ticker for (_, ticker), position in readings.positions.items() if position.position}
    summary = f"{pluralize(len(held), 'position')}, {pluralize(len(readings.resting), 'resting order')}"
    if nearest is not None:
        summary += f"; nearest limit: {nearest.subject} {nearest.shown} of {nearest.shown_limit}"
    return report("positions", summary, breaches, [measure])


def _used(readings: CheckData) -> list[LimitUsage]:
    """Return the use of each limit; events, if read for their limits, also give the fees of resting orders."""
    stakes, limits = _stakes(readings), readings.limits
    if limits.max_event_exposure is None and limits.max_category_exposure is None:
        return uses(stakes, limits, {})
    events = _event_data(readings, stakes)
    charged = [
        msgspec.structs.replace(stake, fees=events[stake.ticker].fees) if stake.ticker in events else stake
        for stake in stakes
    ]
    return uses(charged, limits, {ticker: each.family for ticker, each in events.items()})


def _stakes(readings: CheckData) -> list[MarketExposure]:
    """Return the exposure by market. Orders are read first: a fill between the reads counts twice, not never."""
    resting = readings.resting
    held = [
        Position(ticker, each.position, each.exposure, subaccount=number)
        for (number, ticker), each in readings.positions.items()
    ]
    return [stake for stake in market_exposures(held, resting, {}) if stake.qty or stake.orders]


def _markets(readings: CheckData) -> list[Market]:
    """Return the markets with positions or resting orders."""
    tickers = sorted({stake.ticker for stake in _stakes(readings)})
    return readings.once("markets", lambda: list(readings.client.markets(tickers=tickers)))


def _event_data(readings: CheckData, stakes: list[MarketExposure]) -> dict[str, _EventData]:
    """Return by market the data of its event."""
    if not stakes:
        return {}
    markets = _markets(readings)
    resting = {stake.ticker for stake in stakes if stake.orders}
    events = readings.once("events", lambda: _read_events(readings, markets, resting))
    return {market.ticker: events[market.event_ticker] for market in markets if market.event_ticker in events}


def _read_events(readings: CheckData, markets: list[Market], resting: set[str]) -> dict[str, _EventData]:
    """Read the events of markets, and their series if orders rest there or a limit needs a missing category."""
    tickers = sorted({market.event_ticker for market in markets})
    batches = [tickers[at : at + EVENTS_A_CALL] for at in range(0, len(tickers), EVENTS_A_CALL)]
    events = [event for batch in batches for event in readings.client.events(tickers=batch)]
    charging = {market.event_ticker for market in markets if market.ticker in resting}
    wanted = set(sorted({event.series_ticker for event in events if event.event_ticker in charging})[:MAX_SERIES])
    if readings.limits.max_category_exposure is not None:
        wanted |= {event.series_ticker for event in events if not event.category}
    series = {ticker: readings.client.series(ticker) for ticker in sorted(wanted)}
    return {event.event_ticker: _data_of(event, series.get(event.series_ticker)) for event in events}


def _data_of(event: Event, series: Series | None) -> _EventData:
    family = Family(
        event_ticker=event.event_ticker,
        series_ticker=event.series_ticker,
        category=event.category or (series.category if series is not None else ""),
        is_exclusive=event.mutually_exclusive,
    )
    return _EventData(family, current_fees(event, series) if series is not None else CLASSIC)
