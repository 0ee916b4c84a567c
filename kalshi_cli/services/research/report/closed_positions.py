"""Closed positions: how many won, the average win and loss, and the share of time with an open position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.services.research.report.round_trips import RoundTrip
from kalshi_cli.views.formats import Ratio, SignedMoney


def closed_nets(trips: Iterable[RoundTrip]) -> list[Money]:
    """Return the net of each closed position of one run, after the fees of all of its fills.

    A position of a market lasts from its first contract until none is left. One that is still open counts nowhere,
    not even with the contracts that it has sold.
    """
    nets: dict[tuple[str, int], int] = {}
    still_open = set()
    for trip in trips:
        key = (trip.ticker, trip.position)
        nets[key] = nets.get(key, 0) + trip.net
        if trip.closed is None:
            still_open.add(key)
    return [Money(net) for key, net in nets.items() if key not in still_open]


def position_fields(nets: Sequence[Money]) -> dict[str, object]:
    """Return the measures of closed positions; a net of zero is a loss. None where nothing is to be measured."""
    wins, losses = [net for net in nets if net > 0], [net for net in nets if net <= 0]
    lost = -sum(losses)
    return {
        "closed_positions": len(nets),
        "winning_positions": len(wins),
        "position_win_rate": Ratio(len(wins) / len(nets)) if nets else None,
        "profit_factor": round(sum(wins) / lost, 6) if lost else None,
        "average_win": SignedMoney(Money(round(sum(wins) / len(wins)))) if wins else None,
        "average_loss": SignedMoney(Money(-round(lost / len(losses)))) if losses else None,
    }


Pauses = Sequence[tuple[Ts, Ts]]
"""Times between recordings, which count nowhere."""


def held_ms(trips: Iterable[RoundTrip], ended: Ts, pauses: Pauses = ()) -> int:
    """Return the milliseconds of one run in which at least one market had an open position."""
    total, until = 0, Ts(0)
    spans = ((trip.opened, ended if trip.closed is None else min(trip.closed, ended)) for trip in trips)
    for start, end in sorted(spans):
        total += _recorded_ms(max(start, until), end, pauses)
        until = max(until, end)
    return total


def _recorded_ms(start: Ts, end: Ts, pauses: Pauses) -> int:
    """Return the milliseconds between two times, less those of pauses."""
    return max(0, end - start) - sum(max(0, min(end, last) - max(start, first)) for first, last in pauses)


def time_in_market(runs: Iterable[tuple[Sequence[RoundTrip], Ts | None, Ts | None, Pauses]]) -> Ratio | None:
    """Return the share of the recorded time of all runs, each from its start to its end, with an open position.

    None if the runs have no time.
    """
    held = whole = 0
    for trips, started, ended, pauses in runs:
        if started is not None and ended is not None:
            held += held_ms(trips, ended, pauses)
            whole += _recorded_ms(started, ended, pauses)
    return Ratio(held / whole) if whole else None
