"""The view of a command whose effect has no other view. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class DoneView(OutputRow, frozen=True, kw_only=True):
    """The effect of a command in one word, such as `unlocked`, and its subject; `nothing` if there was none."""

    done: str
    subject: TruncatableText | None = None
