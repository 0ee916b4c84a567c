"""Views of runbooks. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class RunbookRow(OutputRow, frozen=True, kw_only=True):
    """A runbook in a list."""

    name: str
    title: TruncatableText

    wraps = True


class RunbookView(RunbookRow, frozen=True, kw_only=True):
    """A runbook, for programs; `lines` are Markdown."""

    lines: tuple[str, ...]
