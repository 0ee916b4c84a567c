"""A secret address in its own file, which is read under the same rules as a private key."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.file_trust import read_secret

LONGEST = 4_000


def read_address(path: Path) -> str:
    """Return the first line of the file; ConfigError if it is missing, empty, or accessible by other users."""
    hint = "use a file with the address on its first line"
    text = read_secret(path, LONGEST, partial(_refused, path), instead=hint)
    lines = text.decode("utf-8", "replace").split()
    if len(lines) != 1:
        raise _refused(path, "does not contain exactly one address", "put the address in it, and nothing else")
    return lines[0]


def _refused(path: Path, why: str, hint: str) -> ConfigError:
    return ConfigError(f"Cannot use the address in {path}: {why}", hint=hint)
