"""Write docs/cli.md from the command tree: `python scripts/reference.py`. A test compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kalshi_cli.cli.exit_codes import exit_codes_of
from kalshi_cli.cli.fields import views_of
from kalshi_cli.cli.global_options import global_options
from kalshi_cli.cli.main import SECTIONS, root
from kalshi_cli.cli.options import OLD_OPTIONS

TARGET = Path(__file__).parents[1] / "docs/cli.md"

HEAD = """# Commands

Generated from the program by `make reference`; `kalshi COMMAND -h` shows the same text. Every command also takes
{flags}, before or after its name.
An option that takes one value is refused with two different ones, also if one of them is before the name.
Output formats and exit codes are explained in the [README](../README.md#what-a-command-prints). Every command may also
end with 130 or 143 (interrupted or terminated) and with 70 (a bug).

A DURATION always has a unit: `30s`, `10m`, `24h`, `7d`, `0.5h`. A number without a unit is an error (exit 2; 3 for a
check).
"""


def reference() -> str:
    """Return the whole document."""
    flags = ", ".join(f"`{max(option.opts, key=len)}`" for option in global_options())
    parts = [HEAD.format(flags=flags)]
    tree = root()
    for title, entries in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        for name in entries:
            parts += _described(name, tree.get_command(None, name))
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
