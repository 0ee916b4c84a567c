"""Fees that change at a time announced before: of a series, or of one event (API.md section 5.2)."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.records import FeeChangeRecord
from kalshi_cli.simulator.trading.lifecycle import Lifecycle


class FeeChanges:
    """Announces them, and makes them hold when they fall due."""

    def __init__(self, state: SimulatorState, life: Lifecycle) -> None:
        self._state = state
        self._life = life

    def announce(self, series_ticker: str, event_ticker: str, fees: FeeSchedule | None, at: Ts) -> None:
        """From `at` on the series charges like this; with an event, only that one, where None ends its override.

        KeyError where there is no such series or event; ValueError for a series without fees.
        """
        self._state.series[series_ticker]
        if event_ticker:
            self._state.events[event_ticker]
        elif fees is None:
            raise ValueError("a series always has fees")
        change = FeeChangeRecord(
            id=self._state.new_id(),
            number=len(self._state.fee_changes),
            series_ticker=series_ticker,
            event_ticker=event_ticker,
            fees=fees,
            scheduled=at,
        )
        self._state.fee_changes.append(change)
        self._touch(change)

    def advance(self, now: Ts) -> None:
        """Apply what fell due, in the order of its time."""
        due = [change for change in self._state.fee_changes if not change.is_done and change.scheduled <= now]
        for change in sorted(due, key=lambda change: change.scheduled):
            change.is_done = True
            self._touch(change)
            if not change.event_ticker:
                self._set_series(change)
            elif change.event_ticker in self._state.events:
                self._life.set_event_fees(change.event_ticker, change.fees)

    def _set_series(self, change: FeeChangeRecord) -> None:
        state = self._state
        assert change.fees is not None
        series = msgspec.structs.replace(state.series[change.series_ticker], fees=change.fees)
        state.series[change.series_ticker] = series
        state.touch(f"series/{series.ticker}", series)
        of_events = {event.event_ticker for event in state.events.values() if event.series_ticker == series.ticker}
        state.reserve_again(t for t, market in state.markets.items() if market.spec.event_ticker in of_events)

    def _touch(self, change: FeeChangeRecord) -> None:
        self._state.touch(f"fees/{change.number}", change)
