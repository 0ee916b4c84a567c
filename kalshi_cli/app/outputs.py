"""The outputs of a command or a loop: log, tables, metrics and heartbeat pings."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.config.config import log_folder
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.trading.reports.run_reporter import LogOutputs
from kalshi_cli.telemetry.systemd import SystemdNotifier

if TYPE_CHECKING:
    from kalshi_cli.telemetry.heartbeat import HeartbeatPinger
    from kalshi_cli.telemetry.logs import Log
    from kalshi_cli.telemetry.metrics import Metrics


def outputs_of_loop(resources: Resources, stack: ExitStack, home: Home, strategy: str) -> LogOutputs:
    """Open the enabled outputs of one run; `stack` closes them."""
    from kalshi_cli.telemetry.tables import Tables

    config = resources.config
    places: list[str] = []

    def opened() -> None:
        for place in places:
            resources.note(place)

    return LogOutputs(
        line=log_line(resources, stack, home.folder, home.name),
        is_debug=config.logs.level == "debug",
        tables=Tables(log_folder(config, home.folder), resources.tell) if config.logs.enabled else None,
        metrics=_metrics(resources, stack, home, strategy, places) if config.metrics.enabled else None,
        heartbeat=_heartbeat(resources, home) if config.heartbeat.url else None,
        service=SystemdNotifier(os.environ, os.getpid(), resources.machine),
        opened=opened,
    )


def log_line(resources: Resources, stack: ExitStack, folder: Path, mode: str) -> Callable[..., None]:
    """Return the writer of log lines, which opens the file for the first line."""
    logs = resources.config.logs
    if not logs.enabled:
        return lambda _event, **_fields: None

    @cache
    def log() -> Log:
        from kalshi_cli.telemetry.logs import LOG, LineFile, Log

        path = log_folder(resources.config, folder) / LOG
        file = LineFile(path, logs.max_bytes, logs.files, resources.tell)
        stack.callback(file.close)
        return Log(file, resources.clock, run_id=resources.run_id, env=resources.config.env, mode=mode)

    def line(event: str, **fields: Any) -> None:
        log().line(event, **fields)

    return line


def _metrics(resources: Resources, stack: ExitStack, home: Home, strategy: str, places: list[str]) -> Metrics:
    """Serve the metrics and add the address to `places`; warn if the port is in use, and try it again."""
    from kalshi_cli.base.version import __version__
    from kalshi_cli.telemetry.metrics import RETRY_S, Metrics, MetricsEndpoint

    config = resources.config
    metrics = Metrics(version=__version__, env=config.env, mode=home.name, strategy=strategy)

    port = config.metrics.port

    def failed(cause: str) -> None:
        resources.tell(
            f"Warning: no metrics, port {port} is not available: {cause}. Trading goes on; the port is tried again"
            f" every {RETRY_S:.0f} s"
        )

    def recovered() -> None:
        resources.note(f"Port {port} is available again: metrics are served")

    endpoint = MetricsEndpoint(metrics.registry, port, failed, recovered)
    stack.callback(endpoint.stop)
    if endpoint.port is not None:
        places.append(f"metrics: http://127.0.0.1:{endpoint.port}/metrics")
    return metrics


def _heartbeat(resources: Resources, home: Home) -> HeartbeatPinger | None:
    """Return the heartbeat pings; None on paper, because the pings stand for live trading."""
    if not home.is_at_exchange:
        resources.note("heartbeat.url is not used on paper; it monitors live trading only")
        return None
    from kalshi_cli.net.address_guard import AddressError
    from kalshi_cli.telemetry.heartbeat import HeartbeatPinger

    chosen = resources.config.heartbeat
    try:
        return HeartbeatPinger(
            chosen.url, resources.run_id, chosen.every_s, resources.machine, resources.tell,
            allow_private=chosen.allow_private,
        )  # fmt: skip
    except AddressError as error:
        raise ConfigError(f"Invalid heartbeat.url: {error}", hint="kalshi config show") from error
