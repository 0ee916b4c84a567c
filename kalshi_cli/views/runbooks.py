"""Views of runbooks. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row


class RunbookRow(Row, frozen=True, kw_only=True):
    name: str
    title: Prose


class RunbookView(RunbookRow, frozen=True, kw_only=True):
    """One runbook, for programs; `lines` are Markdown."""

    lines: tuple[str, ...]
