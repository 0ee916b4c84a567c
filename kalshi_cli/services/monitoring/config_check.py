"""Whether a configuration can be used, as far as this machine can tell; nobody outside is asked."""

from __future__ import annotations

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ConfigError
from kalshi_cli.config.config import Config, refuse_other_hosts
from kalshi_cli.services.monitoring.alert_channels import channel_problems
from kalshi_cli.strategies.config_section import section_problems


def check_config(config: Config, machine: Clock) -> list[str]:
    """Return the sections of strategies that are neither built in nor installed.

    ConfigError with everything that is wrong with alert channels and strategies.
    """
    refuse_other_hosts(config, "exchange.rest_url", "exchange.ws_url")
    of_strategies, unknown = section_problems(config.strategies, config.allotments)
    problems = [*channel_problems(config, machine), *of_strategies]
    if problems:
        hint = "docs/alerts.md, docs/strategies.md; then: kalshi config check"
        raise ConfigError(problems[0], more=problems[1:], hint=hint)
    return list(unknown)
