"""The global options, which every command takes before and after its name.

`kalshi --help` imports this module, so it imports little itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import typer
from typer.core import TyperOption

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.option_values import option_name, refuse_values
from kalshi_cli.cli.screen.output import Format, set_quiet

ENVIRONMENTS = ("sim", "demo", "prod")


class GlobalOptions(SimpleNamespace):  # not a dataclass, whose import takes a fiftieth of `kalshi --help`
    """The global options of this invocation: `ctx.obj` of every command. None means "not given"."""

    env: str | None = None
    config: Path | None = None
    state: Path | None = None
    form: Format | None = None
    fields: tuple[str, ...] = ()
    tz: str | None = None
    verbose: bool = False
    allow_hosts: list[str]
    started_s: float | None = None
    """The start of the program, on the monotonic clock."""
    order_id: str = ""
    """The order that the command placed or changed, for the error of a lost output."""
    may_write: bool = False
    """Says whether the command may send a write. The output of a write must not be lost."""

    def __init__(self, **given: Any) -> None:
        """Set the options that were given."""
        super().__init__(**{"allow_hosts": [], **given})

    @property
    def wants_data(self) -> bool:
        """Return whether a format or fields were asked for, so that a sentence is not enough."""
        return self.form is not None or bool(self.fields)

    @property
    def age_s(self) -> float:
        """Return the seconds since the program started; 0 for a call from another program."""
        return SystemClock().monotonic() - self.started_s if self.started_s is not None else 0.0


_JSON = "kalshi_cli.json_option"
"""The key of the parser's context that is there once `--json` was given."""


def choice(text: str, choices: Sequence[str]) -> str:
    """Return the word. BadParameter with the nearest choice for any other word."""
    if text not in choices:
        near = get_close_matches(text, choices, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise typer.BadParameter(f"{text!r} is invalid; use one of {', '.join(choices)}{meant}")
    return text


_CONVERT: dict[str, tuple[str, Callable[[Any], object]]] = {
    "env": ("env", lambda text: choice(text, ENVIRONMENTS)),
    "config": ("config", Path),
    "state": ("state", Path),
    "format": ("form", lambda text: Format(choice(text, tuple(Format)))),
    "json": ("form", lambda _: Format.JSON),
    "fields": ("fields", lambda text: tuple(dict.fromkeys(name.strip() for name in text.split(",")))),
    "tz": ("tz", str),
    "verbose": ("verbose", bool),
}
"""The name of an option -> the flag that it sets, and the conversion of its value."""
TAKES_VALUE = ("--env", "--config", "--state", "--format", "--fields", "--tz", "--allow-host")
"""The options that the word after them belongs to."""
GLOBAL = frozenset({*_CONVERT, "quiet", "allow_host"})


def _keep(ctx: typer.Context, param: typer.CallbackParam, value: object) -> None:
    """Set the flag if the option was given. UsageError for another value than before the name of the command."""
    if value and param.name == "quiet":
        set_quiet(True)
    elif value and param.name == "allow_host":
        ctx.obj.allow_hosts.extend(value)
    elif value or (param.name == "fields" and value is not None):
        flag, convert = _CONVERT[param.name or ""]
        chosen = convert(value)
        before = vars(ctx.obj).get(flag, chosen)
        if param.name == "json":
            ctx.meta[_JSON] = True
        if _JSON in ctx.meta and flag == "form" and before is not chosen:
            other = before if chosen is Format.JSON else chosen
            raise UsageError(f"--json and --format {other} cannot be combined", hint="give one of them")
        refuse_values(option_name(param), (before, chosen))
        setattr(ctx.obj, flag, chosen)


def global_options() -> list[TyperOption]:
    """Return new option objects; every command and group has its own."""

    def option(*names: str, is_flag: bool = False, **more: Any) -> TyperOption:
        return TyperOption(
            param_decls=list(names), is_flag=is_flag, expose_value=False, callback=_keep, show_default=False, **more
        )

    return [
        option("--env", metavar="ENV", help="Environment: sim (no account needed), demo or prod [default: sim]"),
        option("--config", metavar="FILE", help="Configuration file"),
        option("--state", metavar="DIR", help="State directory, which also has the recorded data"),
        option(
            "--allow-host", metavar="HOST", multiple=True,
            help="Also connect to this host, and send it signed requests [repeatable]",
        ),
        option(
            "--format", metavar="FORMAT",
            help=f"Output format: {', '.join(Format)} (default: table on a terminal, plain when piped)",
        ),
        option("--json", is_flag=True, help="Same as --format json"),
        option("--fields", metavar="FIELDS", help="Print only these fields, in this order: ticker,yes_bid,yes_ask"),
        option(
            "--tz", metavar="ZONE",
            help="Time zone of tables, also in a pipe: local, UTC or a name such as America/New_York [default: local]",
        ),
        option("-v", "--verbose", is_flag=True, help="Show more detail on stderr"),
        option("-q", "--quiet", is_flag=True, help="Suppress notices and warnings on stderr"),
    ]  # fmt: skip
