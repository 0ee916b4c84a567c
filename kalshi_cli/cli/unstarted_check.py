"""The alert of a check that could not start because of its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import ConfigError, KalshiError
from kalshi_cli.cli.options import load_readable_config
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    import typer


@contextmanager
def told_if_not_started(ctx: typer.Context, name: str, notify: str, within_s: float) -> Iterator[None]:
    """Send a configuration error that ends the block to the channels that can be read, and to `notify`."""
    until = SystemClock().monotonic() + within_s
    try:
        yield
    except ConfigError as error:
        from kalshi_cli.app.environment import opened
        from kalshi_cli.services.monitoring.check_runner import could_not_start

        try:
            with opened(load_readable_config(ctx), warn, info) as resources:
                could_not_start(resources, name, error, notify, until)
        except KalshiError as failed:
            warn(f"No alert channel was notified: {failed.message}")
        raise error from None
