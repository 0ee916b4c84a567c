"""What the controls of the simulated exchange print. Rules as in `rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.cli.rows.base import Row
from kalshi_cli.cli.screen.cells import Prose
from kalshi_cli.units import Ts

if TYPE_CHECKING:
    from kalshi_cli.sim.controls import Report


class SimStatus(Row, frozen=True, kw_only=True):
    """How the simulated exchange stands; `done` is what the command did, `paused` trading or the whole exchange.

    `paused_shards` are those paused by themselves, `inactive` the markets; `shuffle` is a seed.
    """

    done: Prose | None
    time: Ts
    clock_ahead_s: float
    paused: str | None
    paused_shards: dict[str, str]
    resumes: Ts | None
    inactive: tuple[str, ...]
    disputed: tuple[str, ...]
    shuffle: int | None
    streams: int
    open_markets: int


def sim_status(report: Report) -> SimStatus:
    return SimStatus(
        done=Prose(report.done) if report.done else None,
        time=report.time,
        clock_ahead_s=report.offset_ms / 1000,
        paused=report.pause or None,
        paused_shards={str(shard): kind for shard, kind in report.shards.items()},
        resumes=report.resumes,
        inactive=report.inactive,
        disputed=report.disputed,
        shuffle=report.shuffle,
        streams=report.streams,
        open_markets=report.markets,
    )
