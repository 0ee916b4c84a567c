"""What a command works with, opened from a configuration: clock, client, store."""

from __future__ import annotations

from contextlib import AbstractContextManager

from kalshi_cli.app.environment import opened
from kalshi_cli.config.config import Config
from kalshi_cli.services.resources import Resources

__all__ = ["Resources", "open_resources"]


def open_resources(config: Config, warnings: list[str] | None = None) -> AbstractContextManager[Resources]:
    """Open the resources of this configuration; warnings and notices for the user are added to `warnings`."""
    return opened(config, ([] if warnings is None else warnings).append)
