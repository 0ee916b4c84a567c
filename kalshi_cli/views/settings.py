"""Views of the configuration. Rules as in `row`."""

from __future__ import annotations

from pathlib import Path

from kalshi_cli.views.formats import TruncatableText, Verdict
from kalshi_cli.views.row import OutputRow


class SettingRow(OutputRow, frozen=True, kw_only=True):
    """A configured value as it is written in the file, and its origin: flag, variable, file or default."""

    path: str
    value: TruncatableText | None
    origin: TruncatableText


class ConfigCheckView(OutputRow, frozen=True, kw_only=True):
    """A configuration without errors; `unknown_strategies` are sections of strategies that are not installed."""

    status: Verdict
    env: str
    file: str | None
    unknown_strategies: tuple[str, ...]


class FilePathRow(OutputRow, frozen=True, kw_only=True):
    """A path that kalshi uses."""

    what: str
    path: str
    exists: bool


def path_row(what: str, path: Path) -> FilePathRow:
    """Return a path and whether it exists."""
    return FilePathRow(what=what, path=str(path), exists=path.exists())
