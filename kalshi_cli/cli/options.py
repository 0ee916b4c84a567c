"""The parts that all commands share: the global options, the opening of an account, and the output.

A command file starts with `app = CommandGroup("List line.")` and adds functions:

    @app.command("balance")
    def balance(ctx: typer.Context) -> None:
        ...

The first sentence of the group's text or of the function's docstring is the line in lists of commands. `kalshi --help`
imports this module, so it imports little itself.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import ConfigError, Distrust, KalshiError, UsageError, refuse
from kalshi_cli.base.local_time import set_time_zone
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.completion import add_completion
from kalshi_cli.cli.exit_codes import may_write, only_reads
from kalshi_cli.cli.global_options import GLOBAL, GlobalOptions, global_options
from kalshi_cli.cli.option_values import missing_values, refuse_option_values, with_placeholders
from kalshi_cli.cli.screen.help_text import WholeNames, write_list
from kalshi_cli.cli.screen.output import Format, default_format, info, set_command, warn, write_out
from kalshi_cli.cli.unknown_commands import hint_for

if TYPE_CHECKING:
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.app.event_source import OpenWithNotes
    from kalshi_cli.app.kalshi import Kalshi
    from kalshi_cli.config.config import Config
    from kalshi_cli.services.account.paper_reads import PaperAccountService
    from kalshi_cli.services.account.service import AccountService
    from kalshi_cli.services.resources import Home, Resources
    from kalshi_cli.views.row import OutputRow

OLD_OPTIONS = ("--exchange-index", "--sink", "--holes")
"""Names of options that were renamed. They still work; the help does not list them."""


def flags_of(ctx: typer.Context) -> GlobalOptions:
    """Return the global options of this command line."""
    flags = ctx.obj
    assert isinstance(flags, GlobalOptions)
    return flags


def form_of(ctx: typer.Context) -> Format:
    """Return the output format that was chosen, or that of the terminal or pipe."""
    return flags_of(ctx).form or default_format()


def load_config(
    ctx: typer.Context,
    needed: Sequence[str] | None = None,
    more: Mapping[str, object] | None = None,
    distrust: Distrust = refuse,
) -> Config:
    """Load the configuration with the global options applied.

    `needed` names the paths whose problems matter (default: all); `more` are options of this command, by dotted path.
    `distrust` decides about a configuration and a state directory that other users may write. Without a choice of
    the environment, a notice says that this is the simulated exchange.
    """
    from kalshi_cli.config import sources

    gc.freeze()  # modules stay to the end: the collector, which `run` disabled, need not visit them again
    gc.enable()
    flags = flags_of(ctx)
    loaded = sources.load(flags.config, os.environ, {**_given(flags), **(more or {})}, needed, distrust)
    sources.judge_state(loaded, distrust)
    warn(*loaded.mistyped)
    info(*loaded.notices, *(unread_elsewhere() if sys.stderr.isatty() else ()))
    set_time_zone(loaded.display.time_zone, is_asked=bool(flags.tz))
    if loaded.origins["env"] == "default" and not loaded.rest_url and sys.stderr.isatty():
        _show_default_environment(loaded)
    return loaded


def unread_elsewhere() -> list[str]:
    """Return a line for each variable that nothing reads and that resembles no other, at most five."""
    from kalshi_cli.config.sources import unread_variables

    return [str(each) for each in unread_variables(os.environ) if not (each.near or each.is_limit)][:5]


def _given(flags: GlobalOptions) -> dict[str, object]:
    """Return the global options that are settings, by dotted path."""
    return {"env": flags.env, "state": flags.state, "allow_hosts": flags.allow_hosts, "display.time_zone": flags.tz}


def load_readable_config(ctx: typer.Context) -> Config:
    """Return the configuration without the values that have errors; the defaults if no file can be read."""
    from kalshi_cli.config import sources
    from kalshi_cli.config.config import Config

    flags = flags_of(ctx)
    try:
        return sources.load(flags.config, os.environ, _given(flags), ("env", "state"))
    except ConfigError:
        return Config()


def _show_default_environment(config: Config) -> None:
    """Say that this is the simulated exchange: once a day, or every time until there is a state directory."""
    from kalshi_cli.base.files import open_regular
    from kalshi_cli.config.config import state_dir

    shown = state_dir(config) / ".environment-shown"
    with suppress(OSError):
        if SystemClock().now() / 1000 - shown.stat().st_mtime < 86_400:
            return
    info("Simulated exchange: no account, no real money. To change: kalshi init, --env")
    with suppress(OSError, KalshiError):
        if shown.parent.is_dir():
            os.close(open_regular(shown, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            os.utime(shown)


def environment_of(
    ctx: typer.Context, flags: Mapping[str, object] | None = None, *, tell: Callable[[str], None] = warn
) -> Environment:
    """Return the environment of the global options and `flags`. `tell` shows warnings: `info` not with `--quiet`."""
    from kalshi_cli.app.environment import Environment

    return Environment(load_config(ctx, more=flags), tell, info)


@contextmanager
def open_app(ctx: typer.Context) -> Iterator[Resources]:
    """Open the resources that the global options choose, for use in a `with`.

    `--quiet` suppresses the warnings too: a script that reads the error from stderr needs it alone.
    """
    with environment_of(ctx, tell=info) as environment:
        yield environment.open()


def open_services(ctx: typer.Context, tell: Callable[[str], None] = info) -> Kalshi:
    """Open the account that the global options choose, for use in a `with`.

    A command that stops trading, sends alerts or runs on passes `warn`, so that its warnings stay with `--quiet`.
    """
    from kalshi_cli.app.kalshi import Kalshi

    return Kalshi(environment_of(ctx, tell=tell))


def account_of(kalshi: Kalshi, *, paper: bool) -> AccountService | PaperAccountService:
    """Return the account to read; without `paper` that of the exchange, with a notice if the last run was on paper."""
    if paper:
        return kalshi.paper
    from kalshi_cli.services.account.paper_reads import paper_notice

    if notice := paper_notice(kalshi.resources):
        info(notice)
    return kalshi.account


def home_of(resources: Resources, *, paper: bool) -> Home | None:
    """Return the home of paper trading; without `paper` None, and the service chooses."""
    return resources.find_home(is_at_exchange=False) if paper else None


# -- output and confirmation --------------------------------------------------------------------------------------


def show_view(ctx: typer.Context, view: OutputRow, title: str = "", now: Ts | None = None) -> None:
    """Print one object in the format of the global options (see `render_one`)."""
    from kalshi_cli.cli.screen.render import render_one

    render_one(view, flags_of(ctx).form, title=title, now=now)


def show_list(
    ctx: typer.Context,
    of: type[OutputRow],
    found: Iterable[object],
    *,
    limit: int | None = None,
    more: str = "--limit N",
    is_live: bool = False,
    form: Format | None = None,
    **shown: Any,
) -> None:
    """Print rows as views, at most `limit` of them, and say if there are more (see `render_rows`).

    Nothing is written before everything is read, unless `is_live`. The user's own limit is named on a terminal only.
    """
    from kalshi_cli.cli.screen.render import render_rows

    coming = iter(found)
    views = map(of.of, islice(coming, limit))
    render_rows(of, views if is_live else list(views), form or flags_of(ctx).form, **shown)
    if limit is not None and next(coming, None) is not None:
        if getattr(ctx.get_parameter_source("limit"), "name", "") != "COMMANDLINE":
            warn(f"Showing the first {limit}; use {more}")
        elif default_format() is Format.TABLE:
            info(f"Showing the first {limit}; use {more.replace('--limit N', 'a larger --limit')}")


def show_done(ctx: typer.Context, done: str, subject: str | None = None) -> None:
    """Print what a command did, where a format or fields were asked for: its notice says it to people."""
    if flags_of(ctx).wants_data:
        from kalshi_cli.views.done import DoneView
        from kalshi_cli.views.formats import TruncatableText

        show_view(ctx, DoneView(done=done, subject=None if subject is None else TruncatableText(subject)))


def asks(resources: Resources | Environment) -> bool:
    """Return whether commands ask before they change anything: on prod, elsewhere with `display.confirm`."""
    return resources.needs_confirmation or resources.config.display.confirm


def agreed(resources: Resources | Environment, question: str, *facts: str, yes: bool) -> bool:
    """Show the facts and ask for confirmation where that is due; return whether the user was asked.

    Raise RefusedError if the user does not agree.
    """
    from kalshi_cli.cli.screen.prompts import confirm

    if not asks(resources):
        return False
    if not resources.needs_confirmation:
        question = question.replace(" with real money", "")
    confirm(question, facts, hosts=resources.config.other_hosts, yes=yes)
    return not yes


def note_unsent(*facts: str) -> None:
    """Show the facts of a request that a dry run does not send."""
    info(*facts, "Dry run: nothing was sent")


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


def account_opener(ctx: typer.Context) -> OpenWithNotes:
    """Load the configuration, and return what opens the account that it chooses: once for each thread of a screen.

    What the account would write to the terminal would spoil the screen: it is dropped, or given to `note`.
    """
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.app.kalshi import Kalshi

    config = load_config(ctx)
    return lambda note=lambda _text: None: Kalshi(Environment(config, note, note))


def require_extra(extra: str, *modules: str) -> None:
    """Raise UsageError, with the line that installs it, where a package of an extra is missing."""
    from importlib.util import find_spec

    from kalshi_cli.base.version import install_hint

    if missing := [name for name in modules if find_spec(name) is None]:
        raise UsageError(f"This command needs {', '.join(missing)}, which is not installed", hint=install_hint(extra))
