"""The sinks of a configuration, before anything has to be told: better now than in the night."""

from __future__ import annotations

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ConfigError
from kalshi_cli.config.config import Config


def channel_problems(config: Config, machine: Clock) -> list[str]:
    """Each sink that nothing can be delivered to, and why. Asks nobody outside."""
    if not config.alerts.channels and not config.alerts.fallback:
        return []
    from kalshi_cli.notify.notifier import Notifier

    problems = [
        f"alerts.channels.{name}: {why}" for name, why in Notifier(config.alerts.channels, machine).problems().items()
    ]
    if config.alerts.fallback and config.alerts.fallback not in config.alerts.channels:
        problems.append(f"alerts.fallback: there is no sink {config.alerts.fallback}")
    return problems


def require_usable_channels(config: Config, machine: Clock) -> None:
    """ConfigError that names each of them."""
    problems = channel_problems(config, machine)
    if problems:
        raise ConfigError(problems[0], more=problems[1:], hint="docs/alerts.md; then: kalshi config check")
