"""Views of the configuration. Rules as in `row`."""

from __future__ import annotations

from pathlib import Path

from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row


class SettingRow(Row, frozen=True, kw_only=True):
    """A configured value and who said so: flag, variable, file or default."""

    path: str
    value: Prose
    origin: Prose


class PathRow(Row, frozen=True, kw_only=True):
    what: str
    path: str
    exists: bool


def path_row(what: str, path: Path) -> PathRow:
    return PathRow(what=what, path=str(path), exists=path.exists())
