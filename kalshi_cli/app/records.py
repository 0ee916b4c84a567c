"""What tells on how a command or a loop is doing: which log, tables, metrics and pings there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.config.config import log_folder
from kalshi_cli.desk import portfolio
from kalshi_cli.desk.decision import DecisionDeadline
from kalshi_cli.desk.journal import Journal, Outputs
from kalshi_cli.store.state_store import Store
from kalshi_cli.telemetry.systemd import Supervisor

if TYPE_CHECKING:
    from kalshi_cli.app import App
    from kalshi_cli.telemetry.heartbeat import Heartbeat
    from kalshi_cli.telemetry.logs import Log
    from kalshi_cli.telemetry.metrics import Metrics


def journal_of_command(app: App) -> Journal:
    """A command writes log lines of what it sends, and nothing else."""
    line = _line(app, app.stack, app.state_dir, "command")
    return Journal(
        app.clock, app.limits, Outputs(line=line),
        find=lambda any_id: app.store.order(any_id), placed=lambda *placement: app.store.placed(*placement),
    )  # fmt: skip


def journal_of_loop(
    app: App, stack: ExitStack, home: Path, store: Store, *, mode: str, strategy: str, decision: DecisionDeadline
) -> Journal:
    """Everything that is switched on, for one run; what it opened is let go of with `stack`."""
    from kalshi_cli.telemetry.tables import Tables

    config, zone = app.config, ZoneInfo(app.config.day_zone)
    places: list[str] = []

    def opened() -> None:
        for place in places:
            app.note(place)

    outputs = Outputs(
        line=_line(app, stack, home, mode),
        tables=Tables(log_folder(config, home), app.tell) if config.logs.enabled else None,
        metrics=_metrics(app, stack, mode, strategy, places) if config.metrics.enabled else None,
        heartbeat=_heartbeat(app, mode) if config.heartbeat.url else None,
        service=Supervisor(os.environ, os.getpid(), app.machine),
        opened=opened,
    )
    return Journal(
        app.clock, app.limits, outputs,
        find=store.order, decided_s=lambda: decision.begun_s, placed=store.placed,
        day_of=lambda ts: portfolio.day_of(ts, zone),
    )  # fmt: skip


def _line(app: App, stack: ExitStack, home: Path, mode: str) -> Callable[..., None]:
    """Writes a line; what that needs is made for the first one."""
    logs = app.config.logs
    if not logs.enabled:
        return lambda _event, **_fields: None

    @cache
    def log() -> Log:
        from kalshi_cli.telemetry.logs import LOG, LineFile, Log

        file = LineFile(log_folder(app.config, home) / LOG, logs.max_bytes, logs.files, app.tell)
        stack.callback(file.close)
        return Log(file, app.clock, run_id=app.run_id, env=app.config.env, mode=mode)

    def line(event: str, **fields: Any) -> None:
        log().line(event, **fields)

    return line


def _metrics(app: App, stack: ExitStack, mode: str, strategy: str, places: list[str]) -> Metrics:
    """Where it is read goes to `places`. A port that somebody has is said, and trading goes on without."""
    from kalshi_cli import __version__
    from kalshi_cli.telemetry.metrics import Metrics, MetricsServer

    metrics = Metrics(version=__version__, env=app.config.env, mode=mode, strategy=strategy)
    try:
        server = MetricsServer(metrics.registry, app.config.metrics.port)
    except OSError as error:
        app.tell(f"warning: no metrics: port {app.config.metrics.port} on this machine: {error.strerror}")
        return metrics
    stack.callback(server.stop)
    places.append(f"metrics: http://127.0.0.1:{server.port}/metrics")
    return metrics


def _heartbeat(app: App, mode: str) -> Heartbeat | None:
    """None on paper: the switch is for money, and must not stay green on the strength of a game."""
    if mode == "paper":
        app.note("no pings to heartbeat.url on paper: it watches the loop that trades on the account")
        return None
    from kalshi_cli.net.address_guard import AddressError
    from kalshi_cli.telemetry.heartbeat import Heartbeat

    chosen = app.config.heartbeat
    try:
        return Heartbeat(
            chosen.url, app.run_id, chosen.every_s, app.machine, app.tell, allow_private=chosen.allow_private
        )
    except AddressError as error:
        raise ConfigError(f"heartbeat.url cannot be used: {error}", hint="kalshi config show") from error
