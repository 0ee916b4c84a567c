"""What a set-up must find out about a machine before there is a configuration."""

from __future__ import annotations

import stat
from pathlib import Path

from kalshi_cli.exchange.rest.signing import load_key

__all__ = ["is_readable_by_others", "load_key"]


def is_readable_by_others(path: Path) -> bool:
    """Whether a file of ours can be read by others; False where it is not there."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except OSError:
        return False
