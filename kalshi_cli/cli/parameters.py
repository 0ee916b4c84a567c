"""Declaring a command: its group, its options and arguments, and its help.

A command file starts with `app = CommandGroup("List line.")` and adds functions:

    @app.command("balance")
    def balance(ctx: typer.Context) -> None:
        ...

The first sentence of the group's text or of the function's docstring is the line in lists of commands. `kalshi --help`
imports this module, so it imports little itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import duration_from_user, money_from_user, parse_ts, price_from_user, qty_from_user
from kalshi_cli.cli.completion import add_completion
from kalshi_cli.cli.exit_codes import may_write, only_reads
from kalshi_cli.cli.global_options import GLOBAL, choice, global_options
from kalshi_cli.cli.option_values import missing_values, refuse_option_values, with_placeholders
from kalshi_cli.cli.options import flags_of
from kalshi_cli.cli.screen.help_text import WholeNames, write_list
from kalshi_cli.cli.screen.output import set_command, write_out
from kalshi_cli.cli.unknown_commands import hint_for

OLD_OPTIONS = ("--exchange-index", "--sink", "--holes")
"""Names of options that were renamed. They still work; the help does not list them."""

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


TIFS = ("gtc", "ioc", "fok")
STPS = ("taker", "maker")

ExpiresIn = Annotated[Any, duration_option("--expires-in", "Cancel at the exchange after this time.")]

_TERMS: dict[str, tuple[Any, Any, Any]] = {
    "tif": (str, choice_option("--tif", TIFS, "Good till canceled, immediate or cancel, or fill or kill."), "gtc"),
    "post_only": (bool, flag("--post-only", "Reject if it would take liquidity"), False),
    "reduce_only": (bool, flag("--reduce-only", "Only reduce a position; requires --tif ioc"), False),
    "expires_in": (*get_args(ExpiresIn), None),
    "client_order_id": (
        str,
        option("--client-order-id", "ID", "Your own id (letters, digits, -, _); used for one order only"),
        "",
    ),
    "group": (str, option("--group", "ID", "Add the order to this order group"), ""),
    "stp": (
        str,
        choice_option("--stp", STPS, "Self-trade prevention: which order is canceled, taker or maker."),
        "taker",
    ),
    "cancel_on_pause": (bool, flag("--cancel-on-pause", "Cancel when trading pauses"), False),
    "subaccount": (int | None, subaccount_option("Place the order in this subaccount."), None),
    "yes": (*get_args(Yes), False),
    "dry_run": (*get_args(DryRun), False),
}
"""The options of every command that places one order: name -> type, option and default."""


def takes_order_terms(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `_TERMS` in place of its `**terms`."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    terms = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, term], default=default)
        for name, (kind, term, default) in _TERMS.items()
    ]
    parameters = [each for each in own if each.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = inspect.Signature([*parameters, *terms])  # type: ignore[attr-defined]
    return command


# -- the help of a command ------------------------------------------------------------------------------------------


def _without_period(text: str) -> str:
    """Return the help text of an option without the period of a single sentence, which may precede `[default: ...]`."""
    words, gap, extra = text.partition("  [")
    return (words if ". " in words else words.removesuffix(".")) + gap + extra


def _write_options(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    """Write the arguments, the command's own options and the global options as three sections of the help.

    Only `kalshi -h` explains the global options: with them, the help of a short command would not fit a terminal.
    """
    common = "Global options (the same in every command)"
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], common: []}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None:
            flags, text = record
            for old in OLD_OPTIONS:
                flags = flags.replace(f", {old}", "")
            kind = "Options" if param.name not in GLOBAL else common
            text = "Show this help" if param.name == "help" else _without_period(text)
            sections["Arguments" if param.param_type_name == "argument" else kind].append((flags, text))
    if ctx.parent is not None:
        known = ", ".join(flags.partition(", --")[0] for flags, _ in sections.pop(common))
        sections["Options"].append(("global options", f"{known}: see `kalshi -h`"))
    for name, lines in sections.items():
        if lines:
            with formatter.section(name):
                write_list(formatter, lines)


class HelpCommand(WholeNames, TyperCommand):
    """A command that also takes the global options."""

    def __init__(self, *args: Any, params: list[Any], **more: Any) -> None:
        params = [*params, *global_options()]
        add_completion(params)
        super().__init__(*args, params=params, **more)

    def invoke(self, ctx: Any) -> Any:
        name = ctx.command_path.removeprefix("kalshi ")
        flags_of(ctx).may_write = may_write(name, ctx.params)
        set_command(ctx.command_path if only_reads(name, ctx.params) else "")
        if flags_of(ctx).fields:
            from kalshi_cli.cli.fields import choose_fields

            choose_fields(ctx.command_path, flags_of(ctx).fields)  # before anything is read or sent
        return super().invoke(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        typed = list(args)
        try:
            left = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            refuse_option_values(self, ctx, typed)  # an empty price is not a bad price
            if type(error) is typer.BadParameter:
                raise
            given, _, _ = self.make_parser(ctx).parse_args(typed)
            missing = missing_values(self, ctx, given)
            if not missing:
                raise
            raise UsageError(f"Missing {', '.join(missing)}", hint=self.usage_hint(ctx, given)) from error
        refuse_option_values(self, ctx, typed)
        return left

    def usage_hint(self, ctx: Any, given: Mapping[str, Any]) -> str:  # noqa: ARG002 - commands may use them
        """Return the hint of a command line without a required value: an example from the help."""
        lines = (line.strip() for line in (self.help or "").splitlines())
        example = next((line for line in lines if line.startswith(f"{ctx.command_path} ")), "")
        return (f"for example `{with_placeholders(example)}`; " if example else "") + f"see `{ctx.command_path} -h`"

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self, ctx, formatter)


class HelpGroup(WholeNames, TyperGroup):
    """A group that also takes the global options, and suggests the nearest command.

    Without a command it runs the `default` one. Without a default it shows its help, or with `needs_name` refuses. With
    `takes_words` a word that is not a command is an argument of the default one.
    """

    default = ""
    takes_words = False
    needs_name = False

    def __init__(self, *, params: list[Any], **more: Any) -> None:
        params = [*params, *global_options()]
        add_completion(params)
        super().__init__(params=params, **more)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        if ctx.parent is None:
            _write_options(self, ctx, formatter)
            return
        from textwrap import fill

        shared = ", ".join(param.opts[0] for param in self.params if param.name in GLOBAL)
        text = (  # and no table of options, so that the commands fit a screen of 24 lines
            f"`{ctx.command_path} COMMAND -h` shows the options and examples of a command, `kalshi -h` explains the "
            f"global options: {shared}."
        )
        lines = fill(text, formatter.width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        formatter.write(f"\n{lines}\n")

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        found = super().shell_complete(ctx, incomplete)
        taken = self.commands[self.default].params if self.takes_words else ()
        arguments = [param for param in taken if param.param_type_name == "argument"]
        return found + [each for param in arguments for each in param.shell_complete(ctx, incomplete)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_bare = not args or (args[0].startswith("-") and not set(args) & {"-h", "--help", *self.commands})
        is_word = self.takes_words and bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        if is_word and args[1:] and not args[1].startswith("-"):  # two words: rather a mistyped command
            is_word = not get_close_matches(args[0], self.commands, 1)
        if self.default and (is_bare or is_word) and not ctx.resilient_parsing:
            args = [self.default, *args]
        if not args and self.needs_name and not ctx.resilient_parsing:
            names = self.list_commands(ctx)
            raise UsageError(f"Usage: {ctx.command_path} NAME", hint=f"NAME is one of {', '.join(names)}")
        if not args and not ctx.resilient_parsing:
            write_out(ctx.get_help() + "\n")
            raise typer.Exit(0)
        typed = list(args)
        try:
            left = super().parse_args(ctx, args)
        except typer.BadParameter:
            refuse_option_values(self, ctx, typed)
            raise
        refuse_option_values(self, ctx, typed)
        return left

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UsageError(
                f"Unknown command: {ctx.command_path} {args[0]}",
                hint=hint_for(ctx.command_path, args, names) or self._known_names(ctx, names),
            )
        return super().resolve_command(ctx, args)

    def _known_names(self, ctx: Any, names: Sequence[str]) -> str:
        return f"use one of {', '.join(names)}" if self.needs_name else f"see `{ctx.command_path} -h`"


class CommandGroup(typer.Typer):
    """The commands of one file. If the file is a group, `default` is the command that runs without a name."""

    def __init__(
        self, text: str = "", *, default: str = "", takes_words: bool = False, needs_name: bool = False
    ) -> None:
        kind = type("Group", (HelpGroup,), {"default": default, "takes_words": takes_words, "needs_name": needs_name})
        super().__init__(cls=kind, help=text, add_completion=False, rich_markup_mode=None)

    def command(self, name: str | None = None, **more: Any) -> Callable[[Any], Any]:
        return super().command(name, **{"cls": HelpCommand, **more})
