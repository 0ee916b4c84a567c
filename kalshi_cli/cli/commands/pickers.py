"""A numbered choice on a terminal for a command without its market or order. Never without a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import typer

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.text import safe_text, shorten_title
from kalshi_cli.base.units import show_price, show_qty
from kalshi_cli.cli.options import open_services
from kalshi_cli.cli.parameters import HelpCommand
from kalshi_cli.cli.screen.output import prompt, warn

if TYPE_CHECKING:
    from kalshi_cli.app.kalshi import Kalshi

MAX_CHOICES = 20
MAX_QUESTIONS = 20
"""Answers that are no choice until the command gives up."""


class Pick(NamedTuple):
    """Something to choose: its ticker or id, the text that describes it, and a shorter name to show."""

    value: str
    text: str
    name: str = ""


def pick_market(ctx: typer.Context) -> str:
    """Let the user search for a market and choose it by its number; return its ticker.

    UsageError where there is no terminal, as for any missing argument.
    """
    require_terminal(ctx)
    with open_services(ctx) as kalshi:
        return choose(lambda words: _markets(kalshi, words), "Market: words to search for", "No matching markets")


def pick_order(ctx: typer.Context) -> str:
    """Let the user choose a resting order by its number; return its id. UsageError where there is no terminal."""
    require_terminal(ctx)
    with open_services(ctx) as kalshi:
        if not (found := _orders(kalshi, "")):
            raise KalshiError("No resting orders")
        return choose(lambda words: _orders(kalshi, words), "Order: words to search for", "No matching orders", found)


def choose(search: Callable[[str], Sequence[Pick]], question: str, nothing: str, first: Sequence[Pick] = ()) -> str:
    """Ask for words and then for a number, on stderr, until a choice is made; return its value.

    An answer is a number of the list, or other words. UsageError at the end of input, or after too many answers.
    """
    shown = list(first)
    _show(shown)
    for _ in range(MAX_QUESTIONS):
        numbers = f"1-{len(shown)}" if len(shown) > 1 else "1"
        asked = f"Number {numbers}, or other words" if shown else question
        answer = prompt(f"{asked} (Ctrl-C leaves):")
        number = int(answer) if answer.isascii() and answer.isdigit() and len(answer) < 4 else 0
        if 1 <= number <= len(shown):
            return shown[number - 1].value
        if not answer:
            break
        if shown and number:
            warn(f"There is no number {number}")
            continue
        shown = list(search(answer))
        _show(shown)
        if not shown:
            warn(nothing)
    raise UsageError("Nothing was chosen", hint="name it on the command line")


def _show(choices: Sequence[Pick]) -> None:
    width = _width()
    for number, each in enumerate(choices, 1):
        name = safe_text(f"{number:>3}  {each.name or each.value}  ", width)
        warn(name + shorten_title(safe_text(each.text), width - len(name)), is_wrapped=False)


def _width() -> int:
    try:
        return max(40, os.get_terminal_size(sys.stderr.fileno()).columns)
    except (OSError, ValueError):
        return 80


def require_terminal(ctx: typer.Context) -> None:
    """Raise UsageError where there is no terminal: the error of a missing argument."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        command = cast("HelpCommand", ctx.command)
        missing = next(each.metavar or "" for each in command.params if each.param_type_name == "argument")
        raise UsageError(f"Missing {missing.removesuffix(' | -')}", hint=command.usage_hint(ctx, {}))


def _markets(kalshi: Kalshi, words: str) -> list[Pick]:
    found = kalshi.markets.list(search=words, limit=MAX_CHOICES)
    return [Pick(each.ticker, f"{show_price(each.yes_bid)}/{show_price(each.yes_ask)}  {each.title}") for each in found]


def _orders(kalshi: Kalshi, words: str) -> list[Pick]:
    from kalshi_cli.views.formats import short_ids

    orders = kalshi.orders.in_own_terms(kalshi.orders.list("resting"))
    ids = [each.order_id or each.client_order_id or "" for each in orders]
    choices = [
        Pick(
            value,
            f"{each.action} {show_qty(each.remaining)} {each.side.upper()} at {show_price(each.price)}  {each.ticker}",
            name,
        )
        for each, value, name in zip(orders, ids, short_ids(ids), strict=True)
    ]
    wanted = words.lower().split()
    return [each for each in choices if all(word in each.text.lower() for word in wanted)][:MAX_CHOICES]
