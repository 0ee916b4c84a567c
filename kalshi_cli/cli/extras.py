"""The parts that the screens share: accounts for their threads, and the check of the extra that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.version import install_hint
from kalshi_cli.cli.options import load_config

if TYPE_CHECKING:
    import typer

    from kalshi_cli.app.event_source import OpenWithNotes


def account_opener(ctx: typer.Context) -> OpenWithNotes:
    """Load the configuration, and return what opens the account that it chooses: once for each thread of a screen.

    What the account would write to the terminal would spoil the screen: it is dropped, or given to `note`.
    """
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.app.kalshi import Kalshi

    config = load_config(ctx)
    return lambda note=lambda _text: None: Kalshi(Environment(config, note, note))


def require_extra(extra: str, *modules: str) -> None:
    """Raise UsageError, with the line that installs it, where a package of an extra is missing."""
    from importlib.util import find_spec

    if missing := [name for name in modules if find_spec(name) is None]:
        raise UsageError(
            f"This command needs {', '.join(missing)}, which is not installed",
            hint=install_hint(extra),
        )
