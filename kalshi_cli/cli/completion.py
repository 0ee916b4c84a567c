"""Shell completion of option values and arguments: fast, from local files only, and silent on any error.

Every command imports this module, so it imports little itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from typer.core import TyperOption

from kalshi_cli.base.errors import KalshiError

MOST = 300
"""The most tickers that are offered; of more, only their common beginnings."""

MAX_ORDERS = 200

_HARMLESS = re.compile(r"[\w.-]+", re.ASCII)
_SAFE = re.compile(r"[\w./,+-]+", re.ASCII)
_HARMFUL = re.compile(r"[^\w .,%?+/°-]")
"""Characters that are removed from titles: zsh evaluates what it gets, and the titles come from outside."""

MAX_TITLE_LENGTH = 60

Offered = list[tuple[str, str] | str]
_KINDS = {"EVENT": "event", "SERIES": "series"}
_TICKER = re.compile(r"\W*(TICKER|T|GLOB|MARKET|EVENT|SERIES)(?![A-Z_])")
_WORD = re.compile(r"[a-z0-9_-]+")


def add_completion(params: list[Any]) -> None:
    """Add completion to the parameters whose values are known here. The metavar says what a parameter takes."""
    for param in params:
        complete = _completer(getattr(param, "metavar", None) or "", param.param_type_name == "argument")
        if complete is not None:
            # typer takes a completion only where a parameter is declared, so this option lends its method.
            param.shell_complete = TyperOption(param_decls=["--lender"], autocompletion=complete).shell_complete


def _completer(metavar: str, is_argument: bool) -> Any:
    named = _TICKER.match(metavar)
    if named is not None:
        kind = _KINDS.get(named[1], "market")
        return lambda ctx, _args, typed: _held_first(ctx, typed) or completions(kind, ctx.obj, typed)
    if metavar == "FIELDS":
        return lambda ctx, _args, typed: _begin_so(_fields(ctx.command_path), typed)
    if metavar.startswith("[VIEW|COMMAND]"):
        return lambda ctx, _args, typed: _begin_so(_views(ctx.params.get("name") or ()), typed)
    word = metavar.split(" ")[0]
    find = _FINDERS.get(word) or _FINDERS.get(word.rstrip("."))
    if find is not None and (is_argument or find is not _orders):
        return lambda ctx, _args, typed: _matching(find, ctx.obj, typed)
    words = [word for word in metavar.split("|") if _WORD.fullmatch(word)] if "|" in metavar else []
    return (lambda _ctx, _args, typed: _begin_so(words, typed)) if words else None


def _begin_so(words: Iterable[str], typed: str) -> Offered:
    """Return the words that go on from what was typed; in a list with commas, for its last part."""
    before, comma, start = typed.rpartition(",")
    return [f"{before}{comma}{word}" for word in words if word.startswith(start)]


def _matching(find: Callable[[Any], Iterable[str]], flags: Any, typed: str) -> Offered:

    try:
        return [word for word in _begin_so(find(flags), typed) if _SAFE.fullmatch(str(word))]
    except (KalshiError, OSError):
        return []


def _fields(command: str) -> Iterable[str]:
    from kalshi_cli.cli.fields import fields_of

    return fields_of(command)


def _views(before: Sequence[str]) -> Iterable[str]:
    """Return the words that may come next: the views, and the next word of each command with fields."""
    from kalshi_cli.cli.fields import commands_of
    from kalshi_cli.views.schema import all_views

    views, at = all_views(), len(before)
    commands = [command.split() for view in views.values() for command in commands_of(view)]
    after = {words[at] for words in commands if len(words) > at and words[:at] == list(before)}
    return [*([] if before else views), *sorted(after)]


def _strategies(_flags: Any) -> Iterable[str]:
    from kalshi_cli.services.research.strategies import list_strategies

    return [row.name for row in list_strategies()]


def _runbooks(_flags: Any) -> Iterable[str]:
    from kalshi_cli.services.monitoring.runbooks import runbooks

    return [each.name for each in runbooks()]


def _zones(_flags: Any) -> Iterable[str]:
    from zoneinfo import available_timezones

    return ["local", *sorted(available_timezones())]


def _orders(flags: Any) -> Iterable[str]:
    """Return the ids of the live orders in the state file; nothing is asked of the exchange."""
    from kalshi_cli.app.environment import Environment

    with Environment(_load(flags), lambda _text: None) as environment:
        store = environment.open().remembered(busy_ms=0)
        orders = () if store is None else store.live_orders()
    return [order.order_id or order.client_order_id for order in orders[:MAX_ORDERS]]


def _held_first(ctx: Any, typed: str) -> Offered:
    """Return the tickers of positions that go on from what was typed after `kalshi close`; none for other commands."""
    found = _matching(_positions, ctx.obj, typed.upper()) if ctx.info_name == "close" else []
    return [typed + str(ticker)[len(typed) :] for ticker in found]  # what was typed stays: shells drop other words


def _positions(flags: Any) -> Iterable[str]:
    """Return the markets with a position by the state file; nothing is asked of the exchange."""
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.services.account.portfolio import markets_held

    with Environment(_load(flags), lambda _text: None) as environment:
        store = environment.open().remembered(busy_ms=0)
        return [] if store is None else markets_held(store)


def _watchlists(flags: Any) -> Iterable[str]:
    from kalshi_cli.config.config import state_dir
    from kalshi_cli.services.markets.watchlists import names

    return names(state_dir(_load(flags)))


_FINDERS: dict[str, Callable[[Any], Iterable[str]]] = {
    "ENV": lambda _flags: ("sim", "demo", "prod"),
    "FORMAT": lambda _flags: ("table", "plain", "json", "ndjson", "csv"),
    "ID": _orders,
    "[NAME]": _strategies,
    "LIST": _watchlists,
    "[LIST]": _watchlists,
    "NAME[,NAME]": _strategies,
    "[NAME|CODE]": _runbooks,
    "ZONE": _zones,
}
"""The metavar of a parameter -> its values. `ID` is an order only as an argument."""


def _load(flags: Any) -> Any:
    """Load the part of the configuration that says where the state is."""
    from kalshi_cli.config import sources

    loaded = sources.load(flags.config, os.environ, {"env": flags.env, "state": flags.state}, ("env", "state"))
    sources.judge_state(loaded)
    return loaded


def completions(kind: str, flags: Any, typed: str) -> Offered:
    """Return the tickers that go on from what was typed, with titles; in a list with commas, for its last part.

    Without a usable catalog or configuration there are none: an error message would overwrite the command line.
    """
    from kalshi_cli.services.markets.catalog import completions as known

    before, comma, start = typed.rpartition(",")
    try:
        found = known(_load(flags), kind, start.upper(), MOST)
    except (KalshiError, OSError):
        return []
    offered: Offered = []
    for ticker, title in found:
        if _HARMLESS.fullmatch(ticker):
            # The typed part stays as typed: shells drop other words, and commands accept lower case.
            value = f"{before}{comma}{start}{ticker[len(start) :]}"
            shown = _HARMFUL.sub("", title)[:MAX_TITLE_LENGTH].strip()
            offered.append((value, shown) if shown else value)
    return offered
