"""Write docs/cli.md from the command tree: `python scripts/reference.py`. A test compares the two."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kalshi_cli.base import errors
from kalshi_cli.base.errors import ExitCode
from kalshi_cli.cli.exit_codes import exit_codes_of
from kalshi_cli.cli.fields import views_of
from kalshi_cli.cli.global_options import global_options
from kalshi_cli.cli.main import SECTIONS, root
from kalshi_cli.cli.parameters import OLD_OPTIONS
from kalshi_cli.services.trading.refusals import NEVER_THERE

TARGET = Path(__file__).parents[1] / "docs/cli.md"
PACKAGE = Path(__file__).parents[1] / "kalshi_cli"

HEAD = """# Commands

Generated from the program by `make reference`; `kalshi COMMAND -h` shows the same text. Every command also takes
{flags}, before or after its name.
An option that takes one value is refused with two different ones, also if one of them is before the name.
`--quiet` suppresses notices and warnings; [scripts.md](scripts.md#rules) says what it leaves.
Output formats and exit codes are explained in the [README](../README.md#what-a-command-prints). Every command may also
end with 130 or 143 (interrupted or terminated) and with 70 (a bug).

A DURATION always has a unit: `30s`, `10m`, `24h`, `7d`, `0.5h`. A number without a unit is an error (exit 2; 3 for a
check).

WHEN is such a duration back from now, a date or a time: `24h`, `2026-11-01`, `2026-11-01T15:00`,
`2026-11-01T15:00:00Z`. A date is its midnight. Dates, and times without a zone, are those of the trading day: of
`day_zone` in the configuration, New York unless it says otherwise, whatever `--tz` and `TZ` say.
"""


CODES = """
## Error codes

The `code` of an error, for scripts; codes stay, messages may change. A code in small letters names a kind of failure:
of the command line, a file, the connection, or a rejection of the exchange. A code in capitals names a rule of kalshi
that decided, such as a risk limit, a halt or the state of an order; alerts, `kalshi why` and runbooks use the same.

Not in this table: the codes of the [risk controls](risk.md) (exit code 3), those that the exchange gives for a
rejection, in small letters (`insufficient_balance`, `invalid_price`; exit code 4), also of a key
(`authentication_error`, `header_timestamp_expired`; exit code 5 as for `credentials`), `already_filled` and the like
of `kalshi cancel` (4), and `interrupted` and `terminated` (130, 143). A response without a code of the exchange has
`http_` and its status, such as `http_503`: 6 where it did not answer (a 5xx), 4 for a rejection. `…` is a value.

`check` and `health-check` end with 3 (UNKNOWN) where they could not check, with the same codes: `usage` is then 3.

| code | exit code | an error with it |
|---|---|---|
"""

WEB_CODES = """
The HTTP API of `kalshi serve` gives the same codes, and these of its own for a request that it does not serve:

| code | HTTP status | an error with it |
|---|---|---|
"""

_PLAIN = {"failed": "Failed, none of the others.", "bug": "A bug in kalshi; please report it."}
_WRITTEN = {
    "halted": "Trading is halted. A command that this refuses ends with 3, a loop with 9.",
    "LOCKED": "Refused: the market is locked",
    "REDUCING": "Trading became reduce-only in the meantime; the order was not sent",
    "forbidden": "The key lacks a scope, or is restricted to a subaccount or region",
    "bad_recording": "A recording, or a line of it, cannot be read",
    "bad_strategy": "The code of a strategy cannot be loaded, or is not valid",
    "NOT_RESTING": "Refused: only a resting order can be amended",
    "not_resting": "The order ended before it was amended",
    "STATE_MOVED": "Another program placed or amended an order at the same time; the order was not sent",
}
_SHORT = 90
"""Characters of a message in the table of error codes."""


def error_codes(parse: Callable[[str], ast.Module]) -> dict[str, tuple[str, str]]:
    """Return each code that the program gives an error: its exit codes, and the text of one such error."""
    nodes = [node for path in sorted(PACKAGE.rglob("*.py")) for node in ast.walk(parse(path.read_text()))]
    ends = {name: int(kind.exit_code) for name, kind in vars(errors).items() if hasattr(kind, "default_code")}
    ends["ConcurrentChangeError"] = int(ExitCode.REFUSED)  # `refusals.halted` makes a RefusedError of each
    found: dict[str, tuple[set[int], str]] = {}
    constants: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            constants |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
        if not isinstance(node, ast.ClassDef) or not {node.name, *map(_name, node.bases)} & ends.keys():
            continue
        own = {_name(each.targets[0]): each.value for each in node.body if isinstance(each, ast.Assign)}
        base = next((ends[_name(each)] for each in node.bases if _name(each) in ends), 1)
        ends.setdefault(node.name, int(getattr(ExitCode, own["exit_code"].attr)) if "exit_code" in own else base)
        if "default_code" in own:
            code = str(own["default_code"].value)
            text = _PLAIN.get(code) or (ast.get_docstring(node) or "").partition("\n")[0]
            found.setdefault(code, (set(), text))[0].add(ends[node.name])
    for node in nodes:
        if not isinstance(node, ast.Call) or _name(node.func) not in ends or not node.args:
            continue
        given = next((each.value for each in node.keywords if each.arg == "code"), None)
        if isinstance(given, ast.BoolOp):
            given = given.values[-1]  # the code if the exchange gives none
        code = str(given.value) if isinstance(given, ast.Constant) else constants.get(_name(given), "")
        if code:
            found.setdefault(code, (set(), _text(node.args[0])))[0].add(ends[_name(node.func)])
    for code, kind in NEVER_THERE.items():
        found.setdefault(code, (set(), ""))[0].add(int(kind.exit_code))
    ordered = sorted(found.items(), key=lambda each: each[0].lower())
    return {code: (", ".join(map(str, sorted(known))), _WRITTEN.get(code, text)) for code, (known, text) in ordered}


def web_codes(parse: Callable[[str], ast.Module]) -> dict[str, tuple[int, str]]:
    """Return each code that only the HTTP API gives an error: its HTTP status, and the text of one such error."""
    nodes = [node for path in sorted((PACKAGE / "web").rglob("*.py")) for node in ast.walk(parse(path.read_text()))]
    found: dict[str, tuple[int, str]] = {}
    for node in nodes:
        if not isinstance(node, ast.Call) or _name(node.func) not in ("Refusal", "_problem") or len(node.args) < 3:
            continue
        status, code, text = node.args[:3]
        if isinstance(code, ast.Constant) and code.value != "bug":
            number = status.value if isinstance(status, ast.Constant) else HTTPStatus[_name(status)]
            found.setdefault(str(code.value), (int(number), _text(text)))
    return dict(sorted(found.items()))


def _name(node: ast.expr | None) -> str:
    """Return the last part of a name, empty for any other expression."""
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _text(node: ast.expr) -> str:
    """Return a message as it stands in the code, with `…` for each value."""
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    else:
        text = str(node.value) if isinstance(node, ast.Constant) else "…"
    text = text if len(text) <= _SHORT else text[:_SHORT].rpartition(" ")[0] + " …"
    return text.replace("|", "\\|")


def reference(parse: Callable[[str], ast.Module] = ast.parse) -> str:
    """Return the whole document."""
    flags = ", ".join(f"`{max(option.opts, key=len)}`" for option in global_options())
    parts = [HEAD.format(flags=flags)]
    tree = root()
    for title, entries in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        for name in entries:
            parts += _described(name, tree.get_command(None, name))
    codes = error_codes(parse).items()
    parts.append(CODES + "".join(f"| `{code}` | {ends} | {text} |\n" for code, (ends, text) in codes))
    web = web_codes(parse).items()
    parts.append(WEB_CODES + "".join(f"| `{code}` | {status} | {text} |\n" for code, (status, text) in web))
    return "\n".join(parts).rstrip() + "\n"


def _described(name: str, command: Any) -> Iterator[str]:
    """Yield the section of a command, or of every command of a group."""
    if hasattr(command, "commands"):
        for sub, each in command.commands.items():
            yield from _described(f"{name} {sub}", each)
        return
    text, _, examples = (command.help or "").partition("\b\n")
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    known = {flag for option in global_options() for flag in option.opts}
    options = [p for p in command.params if p not in arguments and not p.hidden and not known & set(p.opts)]
    usage = " ".join(
        [f"kalshi {name}", *(_shown(argument) for argument in arguments), *(["[OPTIONS]"] * bool(options))]
    )
    yield f"### {name}\n\n`{usage}`\n\n{' '.join(text.split())}\n"
    yield "\n".join(["```sh", *(line.strip() for line in examples.splitlines() if line.strip()), "```\n"])
    yield f"Exit codes: {', '.join(str(int(code)) for code in sorted(exit_codes_of(name)))}.\n"
    if views := [view.__name__ for view in views_of(name)]:
        yield f"Fields: {', '.join(f'[{view}](views.md#{view.lower()})' for view in views)}.\n"
    if options:
        rows = [f"| `{_flags(option)}` | {_help(option)} |" for option in options]
        yield "\n".join(["| option | |", "|---|---|", *rows]) + "\n"


def _shown(argument: Any) -> str:
    name = argument.make_metavar(None) if callable(getattr(argument, "make_metavar", None)) else argument.name.upper()
    return str(name)


def _flags(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or 'N'}"
    names = [name for name in (*option.opts, *option.secondary_opts) if name not in OLD_OPTIONS]
    return (", ".join(names) + value).replace("|", "\\|")


def _help(option: Any) -> str:
    needed = " [required]" if option.required else ""
    default = option.default
    shown = "" if default in (None, "", False) or callable(default) or option.is_flag else f" [default: `{default}`]"
    return f"{option.help or ''}{needed}{shown}".replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(reference())
