"""Questions and progress, on stderr: stdout is data."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

from kalshi_cli.cli.output import ask, tell
from kalshi_cli.errors import RefusedError
from kalshi_cli.text import safe_text

T = TypeVar("T")


def confirm(question: str, facts: Sequence[str], *, yes: bool) -> None:
    """Show the facts and ask. RefusedError unless a person says yes; without a terminal nobody can."""
    if yes:
        return
    for fact in facts:
        tell(fact)
    if not sys.stdin.isatty():
        raise RefusedError("not confirmed: there is no terminal to ask on", hint="add --yes", code="not_confirmed")
    if ask(f"{question} [y/N]").lower() not in ("y", "yes"):
        raise RefusedError("not confirmed; nothing was sent", hint="answer y, or add --yes", code="not_confirmed")


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """The items, with a bar on stderr while they come; just the items where stderr is no terminal."""
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, safe_text(label), total=total, console=Console(stderr=True), transient=True)
