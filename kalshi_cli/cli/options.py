"""What every command shares: the global options, before or after the command, and prices as a person types them.

A command file starts with `app = Commands("help")` and adds functions:

    @app.command("balance")
    def balance(ctx: typer.Context) -> None:
        ...

Light on purpose: `kalshi --help` imports this and little else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import Distrust, ExitCode, UsageError, refuse
from kalshi_cli.base.units import Ts, duration_from_user, money_from_user, parse_ts, price_from_user, qty_from_user
from kalshi_cli.cli.completion import complete_tickers
from kalshi_cli.cli.exit_codes import ENDS
from kalshi_cli.cli.screen.output import Format, info, set_quiet, warn, write_out

if TYPE_CHECKING:
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.base.units import Ts
    from kalshi_cli.config.config import Config
    from kalshi_cli.services.account.service import AccountService
    from kalshi_cli.services.markets.service import MarketService
    from kalshi_cli.services.monitoring.service import MonitoringService
    from kalshi_cli.services.resources import Home, Resources
    from kalshi_cli.views.row import OutputRow

ENVIRONMENTS = ("sim", "demo", "prod")


@dataclass
class GlobalOptions:
    """The global options of this invocation: `ctx.obj` of every command. None is "not given"."""

    env: str | None = None
    config: Path | None = None
    state: Path | None = None
    form: Format | None = None
    verbose: bool = False
    allow_hosts: list[str] = field(default_factory=list)
    started_s: float | None = None
    """When the program was started, on the monotonic clock."""

    @property
    def age_s(self) -> float:
        """How long the program has been running; 0 where this is a call within another program."""
        return SystemClock().monotonic() - self.started_s if self.started_s is not None else 0.0


def flags_of(ctx: typer.Context) -> GlobalOptions:
    """The global options, wherever on the line they stood."""
    flags = ctx.obj
    assert isinstance(flags, GlobalOptions)
    return flags


def load_config(
    ctx: typer.Context,
    needed: Sequence[str] | None = None,
    more: Mapping[str, object] | None = None,
    distrust: Distrust = refuse,
) -> Config:
    """The configuration with the global options applied; says so on stderr where nobody chose an environment.

    Where `needed` names paths, problems elsewhere do not matter; `more` are options of this command, by dotted path.
    `distrust` decides about a configuration and a state directory that others may write.
    """
    from kalshi_cli.config import sources

    flags = flags_of(ctx)
    given = {"env": flags.env, "state": flags.state, "allow_hosts": flags.allow_hosts, **(more or {})}
    loaded = sources.load(flags.config, os.environ, given, needed, distrust)
    sources.judge_state(loaded, distrust)
    if loaded.origins["env"] == "default" and not loaded.rest_url:
        info("this is the simulated exchange: no account, no network. Choose another with --env or KALSHI_ENV")
    return loaded


def environment_of(
    ctx: typer.Context, needed: Sequence[str] | None = None, flags: Mapping[str, object] | None = None
) -> Environment:
    """Return the environment that the global options and `flags` choose, for a command that runs parts of it."""
    from kalshi_cli.app.environment import Environment

    return Environment(load_config(ctx, needed, flags), warn, info)


@contextmanager
def open_app(
    ctx: typer.Context, *, needed: Sequence[str] | None = None, flags: Mapping[str, object] | None = None
) -> Iterator[Resources]:
    """Open what the global options and `flags` choose: `with open_app(ctx) as resources:`."""
    with environment_of(ctx, needed, flags) as environment:
        yield environment.open()


class OpenServices:
    """The services of what a command opened, each made when it is first asked for."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    @property
    def now(self) -> Ts:
        """Return the exchange's time."""
        return self.resources.clock.now()

    @property
    def env(self) -> str:
        return self.resources.config.env

    @cached_property
    def markets(self) -> MarketService:
        from kalshi_cli.services.markets.service import MarketService

        return MarketService(self.resources)

    @cached_property
    def account(self) -> AccountService:
        from kalshi_cli.services.account.service import AccountService

        return AccountService(self.resources)

    @cached_property
    def monitoring(self) -> MonitoringService:
        from kalshi_cli.services.monitoring.service import MonitoringService

        return MonitoringService(self.resources)


@contextmanager
def open_services(ctx: typer.Context) -> Iterator[OpenServices]:
    """Open the services of what the global options choose: `with open_services(ctx) as kalshi:`."""
    with open_app(ctx) as resources:
        yield OpenServices(resources)


def home_of(resources: Resources, *, paper: bool) -> Home | None:
    """Return the home of trading on paper where that was asked for; without, the service chooses."""
    return resources.find_home(is_at_exchange=False) if paper else None


# -- what commands show and ask -----------------------------------------------------------------------------------


def show_view(ctx: typer.Context, view: OutputRow, title: str = "", now: Ts | None = None) -> None:
    """Print one object in the format of the global options; see `render_one`."""
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
    """Print what was found as views, at most `limit` of them, and say where the list was cut; see `render_rows`.

    Nothing is written before all was read, unless it `is_live`.
    """
    from itertools import islice

    from kalshi_cli.cli.screen.render import render_rows

    coming = iter(found)
    views = map(of.of, islice(coming, limit))
    render_rows(of, views if is_live else list(views), form or flags_of(ctx).form, **shown)
    if limit is not None and next(coming, None) is not None:
        info(f"the list was cut at {limit}; see more with {more}")


def ago(kalshi: OpenServices, seconds: float | None) -> Ts | None:
    """Return the moment that long ago; None where none is given."""
    return None if seconds is None else Ts(kalshi.now - int(seconds * 1000))


def agreed(resources: Resources | Environment, question: str, *facts: str, yes: bool) -> bool:
    """Show the facts and ask, where the environment wants that; return whether a person was asked.

    RefusedError where nobody agrees.
    """
    from kalshi_cli.cli.screen.prompts import confirm

    if not resources.needs_confirmation:
        return False
    confirm(question, facts, hosts=resources.config.other_hosts, yes=yes)
    return not yes


def note_unsent(*facts: str) -> None:
    """Show the facts of what a dry run does not send."""
    info(*facts, "dry run: nothing was sent")


_UNLOCKS = frozenset({"resume", "unlock", "stop", "state rebuild", "catalogue clear"})


def is_harmless(command: str) -> bool:
    """Return whether a mistyped name may be corrected to this command: one that sends no order and ends no halt."""
    ends = ENDS.get(command, frozenset())
    return ExitCode.UNKNOWN_OUTCOME not in ends and command not in _UNLOCKS


# -- the global options -------------------------------------------------------------------------------------------


def _choice(text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        near = get_close_matches(text, choices, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(choices)}{meant}")
    return text


_CONVERT: dict[str, tuple[str, Callable[[Any], object]]] = {
    "env": ("env", lambda text: _choice(text, ENVIRONMENTS)),
    "config": ("config", Path),
    "state": ("state", Path),
    "format": ("form", lambda text: Format(_choice(text, tuple(Format)))),
    "json": ("form", lambda _: Format.JSON),
    "verbose": ("verbose", bool),
}
"""The name of an option -> the flag it sets, and how."""
_GLOBAL = frozenset({*_CONVERT, "quiet", "allow_host"})


def _keep(ctx: typer.Context, param: typer.CallbackParam, value: object) -> None:
    """Set the flag if the option was given; the one further right on the line wins."""
    if value and param.name == "quiet":
        set_quiet(True)
    elif value and param.name == "allow_host":
        flags_of(ctx).allow_hosts.extend(value)  # type: ignore[arg-type]
    elif value:
        flag, convert = _CONVERT[param.name or ""]
        setattr(flags_of(ctx), flag, convert(value))


def global_options() -> list[TyperOption]:
    """New option objects; every command and group has its own."""

    def option(*names: str, is_flag: bool = False, **more: Any) -> TyperOption:
        return TyperOption(
            param_decls=list(names), is_flag=is_flag, expose_value=False, callback=_keep, show_default=False, **more
        )

    return [
        option("--env", metavar="ENV", help=f"{', '.join(ENVIRONMENTS)}; sim needs no account."),
        option("--config", metavar="FILE", help="The configuration file."),
        option("--state", metavar="DIR", help="Where state is kept."),
        option("--allow-host", metavar="HOST", multiple=True, help="Speak to this host too, with your key."),
        option("--format", metavar="FORMAT", help=f"{', '.join(Format)}; table on a terminal, else plain."),
        option("--json", is_flag=True, help="Short for --format json."),
        option("-v", "--verbose", is_flag=True, help="Say more on stderr."),
        option("-q", "--quiet", is_flag=True, help="No remarks on stderr."),
    ]


def _write_options(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    """Arguments, own options, global options: three sections of the help."""
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Global options": []}
    for param in command.get_params(ctx):
        line = param.get_help_record(ctx)
        if line is not None:
            kind = "Options" if param.name not in _GLOBAL else "Global options"
            sections["Arguments" if param.param_type_name == "argument" else kind].append(line)
    for name, lines in sections.items():
        if lines:
            with formatter.section(name):
                formatter.write_dl(lines)


class HelpCommand(TyperCommand):
    """A command that takes the global options too."""

    def __init__(self, *args: Any, params: list[Any], **more: Any) -> None:
        complete_tickers(params)
        super().__init__(*args, params=[*params, *global_options()], **more)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            missing = _missing(self, ctx, typed)
            if len(missing) < 2 or type(error) is typer.BadParameter:
                raise
            raise UsageError(f"missing: {', '.join(missing)}", hint=f"see `{ctx.command_path} -h`") from error

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self, ctx, formatter)


def _missing(command: TyperCommand, ctx: Any, args: list[str]) -> list[str]:
    """Return the required arguments and options that a command line does not give."""
    given, _, _ = command.make_parser(ctx).parse_args(args)
    required = [param for param in command.get_params(ctx) if param.required]
    absent = [param for param in required if given.get(param.name or "") in (None, ())]
    return [param.opts[0] if param.param_type_name == "option" else param.make_metavar(ctx) for param in absent]


class HelpGroup(TyperGroup):
    """A group that takes the global options too, and suggests the nearest command.

    Where no command is named it runs the `default` one, else it shows its help, or refuses (`needs_name`). With
    `takes_words` a word that is no command is for the default one.
    """

    default = ""
    takes_words = False
    needs_name = False

    def __init__(self, *, params: list[Any], **more: Any) -> None:
        super().__init__(params=[*params, *global_options()], **more)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_bare = not args or (args[0].startswith("-") and not set(args) & {"-h", "--help", *self.commands})
        is_word = self.takes_words and bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        if self.default and (is_bare or is_word) and not ctx.resilient_parsing:
            args = [self.default, *args]
        if not args and self.needs_name and not ctx.resilient_parsing:
            names = self.list_commands(ctx)
            raise UsageError(f"usage: {ctx.command_path} NAME", hint=f"NAME is one of {', '.join(names)}")
        if not args and not ctx.resilient_parsing:
            write_out(ctx.get_help() + "\n")
            raise typer.Exit(0)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(args[0], names, 1, cutoff=0.5)
            near = [name for name in near if is_harmless(f"{ctx.command_path} {name}".partition(" ")[2])]
            raise UsageError(
                f"there is no command `{ctx.command_path} {args[0]}`",
                hint=f"did you mean `{ctx.command_path} {near[0]}`?" if near else self._known_names(ctx, names),
            )
        return super().resolve_command(ctx, args)

    def _known_names(self, ctx: Any, names: Sequence[str]) -> str:
        return f"it is one of {', '.join(names)}" if self.needs_name else f"see `{ctx.command_path} -h`"


class CommandGroup(typer.Typer):
    """The commands of one file. The `default` one runs where the file is a group and none of them is named."""

    def __init__(
        self, text: str = "", *, default: str = "", takes_words: bool = False, needs_name: bool = False
    ) -> None:
        kind = type("Group", (HelpGroup,), {"default": default, "takes_words": takes_words, "needs_name": needs_name})
        super().__init__(cls=kind, help=text, add_completion=False, rich_markup_mode=None)

    def command(self, name: str | None = None, **more: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=HelpCommand, **more)


# -- values -------------------------------------------------------------------------------------------------------


def _typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser whose refusal reaches the person with its reason."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return convert


def price_option(*names: str, text: str) -> Any:
    """An option that takes dollars (0.47) or cents (47c); the value is a Price."""
    return typer.Option(*names, parser=_typed(price_from_user), metavar="DOLLARS", help=text)


def money_option(*names: str, text: str) -> Any:
    """An option that takes an amount in dollars (25.00); the value is Money."""
    return typer.Option(*names, parser=_typed(money_from_user), metavar="DOLLARS", help=text)


def count_option(*names: str, text: str) -> Any:
    """An option that takes contracts (10, 2.5); the value is a Qty."""
    return typer.Option(*names, parser=_typed(qty_from_user), metavar="COUNT", help=text)


def duration_option(*names: str, text: str) -> Any:
    """An option that takes 90s, 10m, 24h, 7d; the value is seconds, a float."""
    return typer.Option(*names, parser=_typed(duration_from_user), metavar="DURATION", help=text)


def time_option(*names: str, text: str) -> Any:
    """An option that takes a moment (2026-11-22T15:00:00Z); the value is a Ts."""
    return typer.Option(*names, parser=_typed(parse_ts), metavar="TIME", help=f"{text} Like 2026-11-22T15:00:00Z.")


def choice_option(*names: str, choices: Sequence[str], text: str) -> Any:
    """An option that takes one of a few words, and suggests the nearest to another; an empty default means none."""
    return typer.Option(
        *names, parser=lambda word: word and _choice(word, choices), metavar="|".join(choices), help=text
    )


Paper = Annotated[bool, typer.Option("--paper", help="The loop that trades on paper.")]


def ticker() -> Any:
    """The argument that names a market."""
    return typer.Argument(metavar="TICKER", help="Market ticker, like KXHIGHNY-26NOV21-B53.5.", show_default=False)
