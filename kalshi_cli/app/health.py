"""Whether everything is in place to trade, and whether the exchange still sends what we read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.app import App
from kalshi_cli.base.errors import ConfigError
from kalshi_cli.config.hosts import refuse_other_hosts
from kalshi_cli.core.monitoring.check_report import Verdict
from kalshi_cli.desk import health
from kalshi_cli.desk.alerting import Overview

if TYPE_CHECKING:
    from kalshi_cli.core.monitoring.check_report import CheckReport


NEED_KEY = ("account", "limits", "stream")


def health_of(app: App) -> list[health.Finding]:
    """Every check, in the order in which things depend on each other. What is wrong with the key is told once."""
    refuse_other_hosts(app.config, "exchange.rest_url", "exchange.ws_url")
    checks: dict[str, health.Check] = {
        "host": lambda: health.hosts(app.config.env, app.config.other_hosts),
        "exchange": lambda: health.exchange(app.public),
        "clock": lambda: health.clock_skew(app.public),
        "key": lambda: health.key(app.signer, app.config.env),
        "account": lambda: _account(app),
        "limits": lambda: health.limits(app.client),
        "stream": lambda: health.stream(app.ws_url, app.signer, app.clock, app.rng),
        "state": lambda: health.state(app.store),
        "disk": lambda: health.disk(app.state_dir),
        "feeds": lambda: _feeds(app),
        "sinks": lambda: _sinks(app),
    }
    if not app.config.other_hosts:
        del checks["host"]
    findings: list[health.Finding] = []
    for name, check in checks.items():
        is_refused = any(each.check in ("key", "account") and each.verdict is Verdict.CRITICAL for each in findings)
        is_held_up = is_refused and name in NEED_KEY
        findings.append(health.examine(name, app.clock, health.needs_key if is_held_up else check))
    return findings


def _account(app: App) -> tuple[Verdict, str, str]:
    return health.account(app.learn_key())


def _feeds(app: App) -> tuple[Verdict, str, str]:
    from kalshi_cli.app.account import status_of

    status = status_of(app)
    return health.feeds(status.cycle, is_running=status.is_running)


def _sinks(app: App) -> tuple[Verdict, str, str]:
    """Usable as far as this machine can tell; nothing is sent."""
    from kalshi_cli.app.alerts import overview
    from kalshi_cli.app.sinks import refuse_unusable_sinks

    try:
        refuse_unusable_sinks(app.config)
    except ConfigError as error:
        return Verdict.CRITICAL, error.message, error.hint
    names = tuple(app.config.alerts.sinks)
    return health.sinks(names, overview(app, is_paper=False) if names else Overview(), app.clock.now())


def check_schema(app: App, *, is_public_only: bool, within_s: float) -> CheckReport:
    """Whether the exchange still sends what we read; only reads, and probes that can do nothing."""
    from kalshi_cli.desk import schema

    signer, ws_url = app.signer, app.ws_url
    client = app.connected(lambda _reviewed: None)  # a probe that is told "410", as it should be, is no alert
    client.bound_reads(within_s / 2)  # one that hangs leaves time to say so

    def frames(ticker: str) -> list[bytes]:
        assert signer is not None
        return schema.first_frames(ws_url, signer, app.clock, app.rng, ticker)

    return schema.examine(
        client,
        app.clock,
        within_s=within_s,
        is_keyed=signer is not None,
        is_public_only=is_public_only,
        is_real_money=app.needs_confirmation,
        frames=frames if signer is not None and ws_url else None,
    )
