"""The view of the simulated exchange. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow, names


class SimulatorStatusView(OutputRow, frozen=True, kw_only=True):
    """The state of the simulated exchange; `done` is the effect of the command, `paused` trading or the whole exchange.

    `paused_shards` are the shards that are paused separately, `inactive` the inactive markets; `shuffle` is a seed.
    `served` is foreground or background. It is empty while no process serves the exchange, like all fields that only a
    server knows. `ends` is when an unused server ends; all times are those of the exchange's clock.
    """

    done: TruncatableText | None
    time: Ts
    clock_ahead_s: float
    paused: str | None
    paused_shards: dict[int, str] | None
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

    named = names(
        done="report.done", paused="report.pause", paused_shards="report.shards",
        resumes="report.resumes", inactive="report.inactive", disputed="report.disputed",
        shuffle="report.shuffle", streams="report.streams", open_markets="report.markets",
        pid="announced.pid", rest_url="announced.rest_url", connections="report.connections",
    )  # fmt: skip
    screen = (
        "done", "served", "time", "clock_ahead_s", "paused", "paused_shards", "resumes", "inactive", "disputed",
        "shuffle", "streams", "open_markets", "pid", "since", "rest_url", "connections", "ends",
    )  # fmt: skip
