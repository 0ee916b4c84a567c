"""Tickers in a shell: completed from the catalogue alone, at once, and in silence.

Imported by every command, so it imports nothing itself.
"""

from __future__ import annotations

import os
import re
from typing import Any

from typer.core import TyperOption

MOST = 300
"""Tickers offered; where more begin so, the ways in which they go on are offered instead."""

_NAMED = re.compile(r"\W*(TICKER|T|GLOB|MARKET|EVENT|SERIES)(?![A-Z_])")
_HARMLESS = re.compile(r"[\w.-]+", re.ASCII)
_HARMFUL = re.compile(r"[^\w .,%?+/°-]")
"""zsh evaluates what it is given, and the exchange wrote the titles: no quote, bracket, dollar, backslash in there."""

MAX_TITLE_LENGTH = 60

_KINDS = {"EVENT": "event", "SERIES": "series"}


def complete_tickers(params: list[Any]) -> None:
    """Let those of the parameters that take tickers complete them. What a parameter takes, its metavar says."""
    for param in params:
        named = _NAMED.match(getattr(param, "metavar", None) or "")
        if named is not None:
            kind = _KINDS.get(named[1], "market")
            # An option made for this lends its method: typer takes a completion only where a parameter is declared.
            lender = TyperOption(param_decls=["--lender"], autocompletion=_completer(kind))
            param.shell_complete = lender.shell_complete


def _completer(kind: str) -> Any:
    def complete(ctx: Any, _args: list[str], typed: str) -> list[tuple[str, str] | str]:
        return completions(kind, ctx.obj, typed)

    return complete


def completions(kind: str, flags: Any, typed: str) -> list[tuple[str, str] | str]:
    """Tickers that go on from what was typed, with their titles; of a list with commas, for its last part.

    Whatever is wrong (no catalogue, a broken one, a broken configuration) is no reason to write over a command line.
    """
    from kalshi_cli.base.errors import KalshiError
    from kalshi_cli.config import sources
    from kalshi_cli.services.markets.catalog import completions as known

    before, comma, start = typed.rpartition(",")
    try:
        given = {"env": flags.env, "state": flags.state}
        loaded = sources.load(flags.config, os.environ, given, ("env", "state"))
        sources.judge_state(loaded)
        found = known(loaded, kind, start.upper(), MOST)
    except (KalshiError, OSError):
        return []
    offered: list[tuple[str, str] | str] = []
    for ticker, title in found:
        if _HARMLESS.fullmatch(ticker):
            # What was typed stays as typed: shells drop what does not begin with it, and commands take small letters.
            value = f"{before}{comma}{start}{ticker[len(start) :]}"
            shown = _HARMFUL.sub("", title)[:MAX_TITLE_LENGTH].strip()
            offered.append((value, shown) if shown else value)
    return offered
