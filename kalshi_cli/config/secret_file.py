"""An address, or another secret, in a file of its own, read as ssh reads a key."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.file_trust import read_secret

LONGEST = 4_000


def read_address(path: Path) -> str:
    """The first line of the file. ConfigError where it is missing, empty, not ours, or others may read it."""
    hint = "give a file with the address on its first line"
    text = read_secret(path, LONGEST, partial(_refused, path), instead=hint)
    lines = text.decode("utf-8", "replace").split()
    if len(lines) != 1:
        raise _refused(path, "it does not hold one address", "write the address into it, and nothing else")
    return lines[0]


def _refused(path: Path, why: str, hint: str) -> ConfigError:
    return ConfigError(f"the address in {path} cannot be used: {why}", hint=hint)
