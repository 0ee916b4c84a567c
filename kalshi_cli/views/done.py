"""The views of commands whose effect has no other view. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class DoneView(OutputRow, frozen=True, kw_only=True):
    """The effect of a command in one word, such as `unlocked`, and its subject; `nothing` if there was none."""

    done: str
    subject: TruncatableText | None = None


class ServeView(OutputRow, frozen=True, kw_only=True):
    """The addresses of a running `kalshi serve`: `link` opens the page once."""

    link: str
    api: str
