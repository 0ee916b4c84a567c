"""Options and arguments of commands: how they are declared, and those that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from kalshi_cli.base.units import duration_from_user, money_from_user, parse_ts, price_from_user, qty_from_user
from kalshi_cli.cli.global_options import choice

LIMIT_OR_ALL = "--limit N or --all"
HIGHEST_SUBACCOUNT = 63


def typed_by(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser whose ValueError becomes a usage error with the same text."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return convert


def flag(name: str, text: str) -> Any:
    """Return an option without a value."""
    return typer.Option(name, help=text)


def option(name: str, metavar: str, text: str, **more: Any) -> Any:
    """Return an option with a value, which the help calls `metavar`."""
    return typer.Option(name, metavar=metavar, help=text, **more)


def argument(metavar: str, text: str, **more: Any) -> Any:
    """Return an argument, which the help calls `metavar`."""
    return typer.Argument(metavar=metavar, help=text, show_default=False, **more)


def price_option(name: str, text: str) -> Any:
    """Return an option that takes dollars (0.47) or cents (47c); the value is a Price."""
    return option(name, "PRICE", text, parser=typed_by(price_from_user))


def money_option(name: str, text: str) -> Any:
    """Return an option that takes an amount in dollars (25.00); the value is Money."""
    return option(name, "DOLLARS", text, parser=typed_by(money_from_user))


def count_option(name: str, text: str) -> Any:
    """Return an option that takes contracts (10, 2.5); the value is a Qty."""
    return option(name, "COUNT", text, parser=typed_by(qty_from_user))


def duration_option(name: str, text: str) -> Any:
    """Return an option that takes 90s, 5m20s, 24h, 7d; the value is seconds, a float."""
    return option(name, "DURATION", text, parser=typed_by(duration_from_user))


def time_option(name: str, text: str) -> Any:
    """Return an option that takes a time (2026-11-22T15:00:00Z); the value is a Ts."""
    return option(name, "TIME", text, parser=typed_by(parse_ts))


def subaccount_option(text: str) -> Any:
    """Return an option that takes the number of a subaccount."""
    return option("--subaccount", "N", text, min=0, max=HIGHEST_SUBACCOUNT)


def limit_option(text: str) -> Any:
    """Return an option that takes the number of rows to show."""
    return option("--limit", "N", text, min=1, max=1_000_000)


def choice_option(
    name: str, choices: Sequence[str], text: str, *others: str, old: Mapping[str, str] = MappingProxyType({})
) -> Any:
    """Return an option that takes one of a few words and suggests the nearest one; an empty default means none.

    `others` are more names of the option. `old` maps words of earlier versions to the words that replaced them.
    """

    def convert(word: str) -> str:
        return word and choice(old.get(word, word), choices)

    return typer.Option(name, *others, parser=convert, metavar="|".join(choices), help=text)


Paper = Annotated[bool, flag("--paper", "Show paper trading")]
LakeFolder = Annotated[Path | None, option("--lake", "DIR", "Folder of the lake, if not the environment's.")]
Limit = Annotated[int, limit_option("Maximum number of rows")]
All = Annotated[bool, flag("--all", "List all rows")]
Yes = Annotated[bool, flag("--yes", "Skip the confirmation on prod")]
DryRun = Annotated[bool, flag("--dry-run", "Show what would be sent, without sending it")]
TransferId = Annotated[
    str,
    option("--client-transfer-id", "UUID", "Id of an unconfirmed transfer; sending it again applies it at most once"),
]
TickerGlob = Annotated[str, option("--ticker", "GLOB", "Only tickers that match this pattern, such as 'KXBTC*'")]


def ticker() -> Any:
    """Return the argument that names a market."""
    return argument("TICKER", "Market ticker, such as KXHIGHNY-26NOV21-B53.5")


def order_argument() -> Any:
    """Return the argument that names an order."""
    return argument("ID", "Order id, its first 6 or more characters, or client order id")


def watchlist_option() -> Any:
    """Return the option that names a watchlist."""
    return option("--list", "LIST", "The markets of this watchlist (see `kalshi watchlist`)")
