"""Commands that a text names, held against those there are."""

from __future__ import annotations

import re

from kalshi_cli.cli.main import ENTRIES, Root, root

COMMAND = re.compile(r"(?:^\s*|[`(|]|\$ |\| )kalshi ((?:--?[\w-]+ )*)([a-z][a-z-]*)((?: [^\s`|#>&;)]+)*)", re.MULTILINE)


def problems(line: str) -> list[str]:
    """What is wrong with the commands of a line of text: unknown ones, and options they do not have."""
    found = []
    for _, name, rest in COMMAND.findall(line):
        if name not in ENTRIES:
            found.append(f"no command {name}")
            continue
        tree: Root = root()
        command = tree.get_command(None, name)
        for word in rest.split():
            if hasattr(command, "commands") and word in command.commands:
                command = command.commands[word]
        if getattr(command, "default", "") and not set(rest.split()) & set(command.commands):
            command = command.commands[command.default]
        known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {
            "-h",
            "--help",
        }
        found += [f"{name} has no {word}" for word in rest.split() if word.startswith("--") and word not in known]
    return found
