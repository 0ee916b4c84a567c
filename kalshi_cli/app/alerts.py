"""Alerting of an account, composed: its state file, its sinks, its clock, and what stops its trading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

from kalshi_cli.app import App
from kalshi_cli.config_sections import Sink
from kalshi_cli.core.alerts import Matter
from kalshi_cli.desk.alerting import Alerting, Terms
from kalshi_cli.ops.notify import Notifier
from kalshi_cli.store.pause import pause
from kalshi_cli.store.sqlite import SqliteStore


@contextmanager
def alerting(
    app: App, *, home: Path | None = None, account: str = "", more: Mapping[str, Sink] | None = None
) -> Iterator[Alerting]:
    """Alerting with a connection of its own, for the thread that enters it: of the account, or of another home.

    `more` are sinks for this time only. The state file is made where there is none.
    """
    home = home or app.state_dir
    alerts = app.config.alerts
    sinks = {**alerts.sinks, **(more or {})}
    terms = Terms(alerts=alerts, sinks=sinks, env=app.config.env, zone=ZoneInfo(app.config.day_zone))

    def stop(cause: Matter) -> None:
        pause(home, f"alert {cause.code} {cause.subject}")

    with SqliteStore.open(home / "state.db", account=account or app.account, environment=app.config.env) as store:
        yield Alerting(store.alert_book, store, terms, Notifier(sinks, app.machine), app.clock, app.new_id, stop)
