"""Checks of a machine before there is a configuration."""

from __future__ import annotations

import stat
from pathlib import Path

from kalshi_cli.exchange.rest.signing import load_key

__all__ = ["is_readable_by_others", "load_key"]


def is_readable_by_others(path: Path) -> bool:
    """Return whether other users can read a file; False where it does not exist."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except OSError:
        return False
