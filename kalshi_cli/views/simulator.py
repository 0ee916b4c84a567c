"""What the controls of the simulated exchange print. Rules as in `rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from kalshi_cli.sim.announcement import Announcement
    from kalshi_cli.sim.controls import Report


class SimStatus(Row, frozen=True, kw_only=True):
    """How the simulated exchange stands; `done` is what the command did, `paused` trading or the whole exchange.

    `paused_shards` are those paused by themselves, `inactive` the markets; `shuffle` is a seed. `served` is foreground
    or background, and empty, as is all that only a server knows, where no process serves it. `ends` is when that ends
    unless it is used before.
    """

    done: Prose | None
    time: Ts
    clock_ahead_s: float
    paused: str | None
    paused_shards: dict[str, str] | None
    resumes: Ts | None
    inactive: tuple[str, ...] | None
    disputed: tuple[str, ...] | None
    shuffle: int | None
    streams: int | None
    open_markets: int | None
    served: str | None
    pid: int | None
    since: Ts | None
    rest_url: str | None
    connections: int | None
    ends: Ts | None


def sim_status(served: Announcement | None, report: Report | None, now: Ts, offset_ms: int) -> SimStatus:
    return SimStatus(
        done=Prose(report.done) if report and report.done else None,
        time=report.time if report else now,
        clock_ahead_s=(report.offset_ms if report else offset_ms) / 1000,
        paused=(report.pause or None) if report else None,
        paused_shards={str(shard): kind for shard, kind in report.shards.items()} if report else None,
        resumes=report.resumes if report else None,
        inactive=report.inactive if report else None,
        disputed=report.disputed if report else None,
        shuffle=report.shuffle if report else None,
        streams=report.streams if report else None,
        open_markets=report.markets if report else None,
        served=("background" if served.is_background else "foreground") if served else None,
        pid=served.pid if served else None,
        since=served.since if served else None,
        rest_url=served.rest_url if served else None,
        connections=report.connections if report else None,
        ends=report.ends if report else None,
    )
