"""The configuration as one typed value, with where each part of it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from kalshi_cli.base.errors import HostError
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
"""REST and WebSocket of each environment, as the exchange recommends them since 2026. `sim` has none of its own."""


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with the configuration."""

    path: tuple[str, ...]
    text: str
    origin: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path) or 'the file'}: {self.text} ({self.origin})"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set, checked. `origins` says by dotted path where each value came from."""

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
    spot: schema.SpotConfig = schema.SpotConfig()
    sim: schema.SimulatorConfig = schema.SimulatorConfig()
    display: schema.DisplayConfig = schema.DisplayConfig()
    references: dict[str, str] = msgspec.field(default_factory=lambda: {"KXBTC": "BRTI", "KXETH": "ETHUSD_RTI"})
    strategies: dict[str, dict[str, Any]] = {}
    """Parameters by strategy."""
    allotments: dict[str, StrategyAllocation] = {}
    """What else is below `strategies`: the budget and the sizing of each that has any."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts beyond the environment's own that a key may sign for; no file can name one."""
    file: Path | None = None
    origins: dict[str, str] = {}
    problems: tuple[Problem, ...] = ()

    @property
    def credential(self) -> schema.Credentials:
        """The key of the environment in use; empty where none is configured."""
        found: schema.Credentials = getattr(self.credentials, self.env)
        return found

    @property
    def rest_url(self) -> str:
        """Where REST goes, without a trailing slash; empty for a `sim` that nobody pointed anywhere."""
        return self.exchange.rest_url or HOSTS.get(self.env, ("", ""))[0]

    @property
    def ws_url(self) -> str:
        """Where the WebSocket goes; empty for a `sim` that nobody pointed anywhere."""
        return self.exchange.ws_url or HOSTS.get(self.env, ("", ""))[1]

    @property
    def other_hosts(self) -> tuple[OtherHost, ...]:
        """The hosts in use that are not the environment's own; those of `sim` are on this machine."""
        addresses = {"exchange.rest_url": self.rest_url, "exchange.ws_url": self.ws_url}
        return other_hosts(self.env, addresses, self.origins)


def config_dir() -> Path:
    """The user's configuration directory; it may not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("kalshi"))


def state_dir(config: Config, mode: str = "") -> Path:
    """Where state is kept: a directory for each environment, and another for each `mode` that must not mix with it."""
    import platformdirs

    base = config.state or Path(platformdirs.user_state_dir("kalshi"))
    return base.absolute() / (f"{config.env}-{mode}" if mode else config.env)


def log_folder(config: Config, home: Path) -> Path:
    """Where the log and the tables of a state directory are; a folder that was chosen has one for each of them."""
    return home / "logs" if config.logs.folder is None else config.logs.folder.expanduser() / home.name


def refuse_other_hosts(config: Config, *settings: str) -> None:
    """Raise HostError where one of these addresses is neither the environment's, nor this machine, nor allowed."""
    for other in config.other_hosts:
        if other.setting not in settings or is_loopback(other.host) or other.host in config.allow_hosts:
            continue
        own = ", ".join(OWN_HOSTS[config.env]) or "only this machine"
        raise HostError(
            f"refused: {config.env} does not speak to {other}; nothing was sent there",
            hint=f"its own hosts: {own}. If you trust this one with your key: --allow-host {other.host}",
        )
