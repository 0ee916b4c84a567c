"""Checks that a configuration is usable, as far as this machine can tell; sends no request."""

from __future__ import annotations

from collections.abc import Mapping

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ConfigError
from kalshi_cli.config.config import Config, refuse_other_hosts


def check_config(config: Config, machine: Clock) -> list[str]:
    """Return the sections of strategies that are neither built in nor installed.

    Raises ConfigError with every problem of the alert channels and strategies.
    """
    from kalshi_cli.strategies.config_section import section_problems

    refuse_other_hosts(config, "exchange.rest_url", "exchange.ws_url")
    of_strategies, unknown = section_problems(config.strategies, config.allotments)
    _refuse({"docs/alerts.md": channel_problems(config, machine), "docs/strategies.md": of_strategies})
    return list(unknown)


def require_valid_strategies(config: Config) -> None:
    """Raise ConfigError with every problem of the sections of built-in strategies; quick, without other code."""
    if not (config.strategies or config.allotments):
        return
    from kalshi_cli.strategies.config_section import section_problems

    problems, _ = section_problems(config.strategies, config.allotments, runs_code=False)
    _refuse({"docs/strategies.md": problems})


def require_usable_channels(config: Config, machine: Clock) -> None:
    """Raise ConfigError with every problem of the alert channels."""
    _refuse({"docs/alerts.md": channel_problems(config, machine)})


def channel_problems(config: Config, machine: Clock) -> list[str]:
    """Return the alert channels that cannot receive notices, each with the reason."""
    alerts = config.alerts
    if not alerts.channels and not alerts.fallback:
        return []
    from kalshi_cli.notify.notifier import Notifier

    problems = [f"alerts.channels.{name}: {why}" for name, why in Notifier(alerts.channels, machine).problems().items()]
    if alerts.fallback and alerts.fallback not in alerts.channels:
        problems.append(f"alerts.fallback: no such alert channel: {alerts.fallback}")
    return problems


def _refuse(by_page: Mapping[str, list[str]]) -> None:
    """Raise ConfigError with all problems, and the pages that describe the sections that have any."""
    problems = [problem for found in by_page.values() for problem in found]
    if problems:
        pages = " and ".join(page for page, found in by_page.items() if found)
        raise ConfigError(problems[0], more=problems[1:], hint=f"see {pages}, then run `kalshi config check`")
