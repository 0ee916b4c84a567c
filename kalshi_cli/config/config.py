"""The configuration as one typed value, with the source of each part."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from kalshi_cli.base.errors import ConfigError, HostError, ReadOnlyError
from kalshi_cli.base.text import is_loopback
from kalshi_cli.config import schema
from kalshi_cli.config.hosts import OWN_HOSTS, OtherHost, other_hosts
from kalshi_cli.core.account.sizing import StrategyAllocation

Env = Literal["sim", "demo", "prod"]
HOSTS: dict[str, tuple[str, str]] = {
    "demo": (
        "https://external-api.demo.kalshi.co/trade-api/v2",
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
    ),
    "prod": ("https://external-api.kalshi.com/trade-api/v2", "wss://external-api-ws.kalshi.com/trade-api/ws/v2"),
}
"""REST and WebSocket addresses of each environment, as the exchange recommends them since 2026; `sim` has none."""


class Problem(msgspec.Struct, frozen=True):
    """An error in the configuration."""

    path: tuple[str, ...]
    text: str
    origin: str

    def __str__(self) -> str:
        where = f" ({self.origin})" if self.origin != "flag" else ""
        return f"{'.'.join(self.path) or 'the file'}: {self.text}{where}"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, validated. `origins` maps the dotted path of each value to its source."""

    env: Env = "sim"
    state: Path | None = None
    read_only: bool = False
    day_zone: str = "America/New_York"
    credentials: schema.CredentialsByEnv = schema.CredentialsByEnv()
    exchange: schema.ExchangeConfig = schema.ExchangeConfig()
    risk: schema.RiskConfig = schema.RiskConfig()
    trade: schema.TradeConfig = schema.TradeConfig()
    checks: schema.ChecksConfig = schema.ChecksConfig()
    alerts: schema.AlertsConfig = schema.AlertsConfig()
    heartbeat: schema.HeartbeatConfig = schema.HeartbeatConfig()
    logs: schema.LogsConfig = schema.LogsConfig()
    metrics: schema.MetricsConfig = schema.MetricsConfig()
    web: schema.WebConfig = schema.WebConfig()
    spot: schema.SpotConfig = schema.SpotConfig()
    sim: schema.SimulatorConfig = schema.SimulatorConfig()
    display: schema.DisplayConfig = schema.DisplayConfig()
    references: dict[str, str] = msgspec.field(default_factory=lambda: {"KXBTC": "BRTI", "KXETH": "ETHUSD_RTI"})
    strategies: dict[str, dict[str, Any]] = {}
    """Parameters of each strategy."""
    allotments: dict[str, StrategyAllocation] = {}
    """Budget and sizing of each strategy that sets any; they stand below `strategies` too."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts beyond the environment's own that a key may sign for; a file cannot name any."""
    file: Path | None = None
    origins: dict[str, str] = {}
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()
    """Old names in use that were renamed."""
    mistyped: tuple[str, ...] = ()
    """A line for each variable that nothing reads, and that resembles one that something does."""
    unread_limits: tuple[str, ...] = ()
    """The lines of those that were meant to be a limit; the kill switch never has any."""

    @property
    def credential(self) -> schema.Credentials:
        """Return the key of the environment in use; empty if none is configured."""
        found: schema.Credentials = getattr(self.credentials, self.env)
        return found

    @property
    def rest_url(self) -> str:
        """Return the REST address without a trailing slash; empty for a `sim` without a configured address."""
        return self.exchange.rest_url or HOSTS.get(self.env, ("", ""))[0]

    @property
    def ws_url(self) -> str:
        """Return the WebSocket address; empty for a `sim` without a configured address."""
        return self.exchange.ws_url or HOSTS.get(self.env, ("", ""))[1]

    @property
    def other_hosts(self) -> tuple[OtherHost, ...]:
        """Return the hosts in use that are not the environment's own; those of `sim` are on this machine."""
        addresses = {"exchange.rest_url": self.rest_url, "exchange.ws_url": self.ws_url}
        return other_hosts(self.env, addresses, self.origins)


def config_dir() -> Path:
    """Return the user's configuration directory; it may not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("kalshi"))


def state_dir(config: Config, mode: str = "") -> Path:
    """Return the state directory of the environment; each `mode` with separate state has its own."""
    import platformdirs

    base = config.state or Path(platformdirs.user_state_dir("kalshi"))
    return base.absolute() / (f"{config.env}-{mode}" if mode else config.env)


MAX_SOCKET_PATH = 100
"""Bytes of the path of a Unix socket that every system allows."""


def event_socket(folder: Path, runtime_dir: str) -> Path | None:
    """Return the path on which the loop of a state directory publishes its events; None if none is short enough.

    It is in the state directory, or in `runtime_dir` (XDG_RUNTIME_DIR) where that path would be too long.
    """
    own = folder / "events.sock"
    if len(os.fsencode(own)) <= MAX_SOCKET_PATH:
        return own
    import hashlib

    name = f"kalshi-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.sock"
    other = Path(runtime_dir) / name
    return other if runtime_dir and len(os.fsencode(other)) <= MAX_SOCKET_PATH else None


def log_folder(config: Config, home: Path) -> Path:
    """Return the folder of the log and tables of a state directory; a configured folder has a subfolder for each."""
    return home / "logs" if config.logs.folder is None else config.logs.folder.expanduser() / home.name


def refuse_unread_limits(config: Config) -> None:
    """Raise ConfigError if a variable was meant to be a limit or the read-only mode, and nothing reads it."""
    if config.unread_limits:
        raise ConfigError(
            f"Refused, because a limit would be missing. {config.unread_limits[0]}",
            hint="correct the name of the variable, or unset it",
        )


def refuse_read_only(config: Config) -> None:
    """Raise ReadOnlyError while KALSHI_READ_ONLY is set."""
    if config.read_only:
        raise ReadOnlyError


def refuse_other_hosts(config: Config, *settings: str) -> None:
    """Raise HostError if one of these addresses is not of the environment, not on this machine, and not allowed."""
    for other in config.other_hosts:
        if other.setting not in settings or is_loopback(other.host) or other.host in config.allow_hosts:
            continue
        own = ", ".join(OWN_HOSTS[config.env]) or "only this machine"
        raise HostError(
            f"{other} is not a host of {config.env}; nothing was sent there",
            hint=f"hosts of {config.env}: {own}. To trust this host with your key: --allow-host {other.host}",
        )
