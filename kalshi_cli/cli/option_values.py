"""The refusal of options that have two values or none, and of empty values of options and arguments.

Of two values the parser would keep the last one and drop the other silently. An empty value is what a shell makes of an
unset variable: a command that ignored `--client-order-id "$ID"`, `order list --ticker "$TICKER"` or `close "$TICKER"`
would do more than was meant. Without quotes the shell makes nothing of it, and the parser takes the next option as the
value: `--client-order-id $ID --dry-run` would send an order.
Every command imports this module, so it imports little itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.text import redact, safe_text

_ALL_VALUES = {"store": "append", "store_const": "append_const"}
"""Actions of click's parser that keep the last value -> those that keep all values."""

_OF_VARIABLES = frozenset({"--env", "--config", "--state"})
"""Options that have a variable each: an alias sets the variable, and the option still chooses something else."""

_MAY_BE_EMPTY = frozenset({"--config"})
"""Options whose empty value means "not given": earlier runbooks of the kill switch have it, which nothing may stop."""

_WITHOUT_VALUE = {"--lake": "omit --lake for the lake of the environment"}
"""The hints of options that users type without a value."""

_OPTION = re.compile(r"-[A-Za-z]+|--[A-Za-z][\w-]*(=.*)?", re.DOTALL)
"""A word that looks like an option, also like a mistyped one; a negative number and a lone `-` do not."""


class _EveryValue:
    """A parser of options that keep every value."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def add_option(self, *, action: str, **option: Any) -> None:
        """Add the option, in place of the one that keeps its last value."""
        self._parser.add_option(action=_ALL_VALUES.get(action, action), **option)


def refuse_option_values(command: Any, ctx: Any, words: Sequence[str]) -> None:
    """Raise UsageError for a missing or empty value, two values for one, and a limit of a whole list.

    The same value twice is harmless.
    """
    if ctx.resilient_parsing:
        return  # the shell completes a line that is not finished
    parser = command.make_parser(ctx)
    params = command.get_params(ctx)
    single = [each for each in params if each.param_type_name == "option" and not each.multiple]
    for option in single:
        option.add_to_parser(_EveryValue(parser), ctx)
    given, _, _ = parser.parse_args(list(words))
    for param in params:
        is_option = param.param_type_name == "option"
        name = option_name(param) if is_option else _argument_name(param.make_metavar(ctx))
        values = _texts(given.get(param.name))
        if is_option:
            _refuse_options(name, [value for value in values if value in words])
        _refuse_empty(name, values)
    for option in single:
        values = given.get(option.name, ())
        if option.metavar == "SERIES":  # with a comma these are several, and the exchange knows none of that name
            values = [name for value in values for name in value.split(",")]
        if option.secondary_opts and len(set(values)) > 1:
            both = f"{option.opts[0]} and {option.secondary_opts[0]}"
            raise UsageError(f"{both} cannot be combined", hint="use one of them")
        refuse_values(option_name(option), values, is_list="[," in (option.metavar or ""))
    if {"limit", "everything"} <= given.keys():
        raise UsageError("--limit and --all cannot be combined", hint="use one of them")


def missing_values(command: Any, ctx: Any, given: Mapping[str, Any]) -> list[str]:
    """Return the required arguments and options that a command line does not give."""
    required = [param for param in command.get_params(ctx) if param.required]
    absent = [param for param in required if given.get(param.name or "") in (None, ())]
    return [param.opts[0] if param.param_type_name == "option" else param.make_metavar(ctx) for param in absent]


def _texts(values: Any) -> list[str]:
    """Return the texts among the values of an option or argument, each of which may be a pair."""
    listed = values if isinstance(values, list | tuple) else (values,)
    words = (word for value in listed for word in (value if isinstance(value, tuple) else (value,)))
    return [word for word in words if isinstance(word, str)]


def _refuse_options(name: str, values: Sequence[str]) -> None:
    """Raise UsageError if one of these values looks like an option."""
    for value in values:
        if _OPTION.fullmatch(value):
            shown = safe_text(redact(value), 60)
            usual = f"is a variable of the shell unset? To give this value: {name}={shown}"
            raise UsageError(
                f"{name} needs a value; {shown} looks like an option", hint=_WITHOUT_VALUE.get(name, usual)
            )


def _refuse_empty(name: str, values: Sequence[str]) -> None:
    """Raise UsageError if one of these values is empty or blank."""
    if name not in _MAY_BE_EMPTY and not all(value.strip() for value in values):
        raise UsageError(f"{name} needs a value; it is empty", hint="is a variable of the shell unset?")


def _argument_name(metavar: str) -> str:
    """Return the name of an argument: `TICKER` for `[TICKER]...`."""
    name = metavar.removesuffix("...")
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def refuse_values(name: str, values: Sequence[Any], *, is_list: bool = False) -> None:
    """Raise UsageError if these values of one option differ. An option `is_list` takes several joined with commas."""
    different = list(dict.fromkeys(values))
    if len(different) > 1:
        words = (" ".join(value) if isinstance(value, tuple) else str(value) for value in different)
        shown = ", ".join(safe_text(redact(each), 60) for each in words)
        variable = f"; an alias can set KALSHI_{name.lstrip('-').upper()} instead" if name in _OF_VARIABLES else ""
        hint = f"separate them with commas: {name} {shown.replace(', ', ',')}" if is_list else "give one value"
        raise UsageError(f"{name} takes one value, not {len(different)}: {shown}", hint=f"{hint}{variable}")


def option_name(option: Any) -> str:
    """Return the long name of an option, such as `--warn`."""
    return next((name for name in option.opts if name.startswith("--")), str(option.opts[0]))


def with_placeholders(example: str) -> str:
    """Return an example of the help for a hint, without its tickers: by then their markets may have closed."""
    return _EVENT.sub("EVENT", _MARKET.sub("TICKER", example))


_EVENT = re.compile(r"\bKX[A-Z0-9]+-\d\d[A-Z]{3}\w+")
_MARKET = re.compile(_EVENT.pattern + r"-[\w.]+")
