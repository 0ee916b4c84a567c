"""What a command works with, opened from a configuration: clock, client, store, simulator."""

from __future__ import annotations

from kalshi_cli.app import App as Resources
from kalshi_cli.config.config import Config

__all__ = ["Resources", "open_resources"]


def open_resources(config: Config, warnings: list[str] | None = None) -> Resources:
    """Open the resources of this configuration; warnings and notices for the user are added to `warnings`."""
    said = [] if warnings is None else warnings
    return Resources(config, said.append)
