"""The commented configuration file that `kalshi init` writes: config.example.yaml, with a person's answers in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.files import make_folder

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE / "config.example.yaml", PACKAGE.parent / "config.example.yaml")
"""Inside the installed package; or beside it, in a working copy."""

MAX_BACKUPS = 100

Answer = str | int | float | bool | None | dict[str, object]

_LINE = re.compile(r"(?P<indent> *)(?P<name>[A-Za-z_][\w]*):(?: (?P<value>[^#\n]*?))?(?P<comment> +#.*)?")


def template() -> str:
    """The example as it was shipped."""
    return next(place for place in PLACES if place.is_file()).read_text("utf-8")


EXAMPLE_HEAD = """\
# Every setting with its default. Copy this file to ./config.yaml or to the directory that `kalshi config path` names,
# and keep what you change. A flag beats a variable, a variable beats this file; `kalshi config show` tells which won.
"""
HEAD = """\
# Written by `kalshi init`. What was answered is set. The rest is commented out, with the default that holds: it may
# improve with a new version. To set one, remove the `# ` before it and before the section it is in. A flag beats a
# variable, a variable beats this file; `kalshi config show` tells which won.
"""


def filled(text: str, answers: Mapping[str, Answer]) -> str:
    """The text with the value of each dotted path set, and all others commented out, so that defaults stay defaults.

    Comments stay. A section in which nothing is set is commented out with its header. ValueError where the text has no
    such path. Values are written as JSON, which YAML reads: whatever a person typed cannot become anything but that
    value. Not as ASCII: YAML knows no pairs of surrogates.
    """
    left, lines = dict(answers), []
    path: list[str] = []
    sections = {dotted[:at] for dotted in answers for at, sign in enumerate(dotted) if sign == "."}
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            path[len(found["indent"]) // 2 :] = [found["name"]]
            dotted = ".".join(path)
            if dotted in left:
                value = json.dumps(left.pop(dotted), ensure_ascii=False)
                line = f"{found['indent']}{found['name']}: {value}{found['comment'] or ''}"
            elif dotted not in sections:
                line = f"{found['indent']}# {line.lstrip()}"
        lines.append(line)
    if left:
        raise ValueError(f"the template has no {', '.join(sorted(left))}")
    return HEAD + "\n".join(lines).removeprefix(EXAMPLE_HEAD) + "\n"


def write(path: Path, text: str) -> Path | None:
    """Write the file for its owner alone, whole or not at all; where one was kept aside, if there was one.

    ConfigError where it cannot be written, or where something is there that is no file: a device would be gone.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file", hint="name another with --config FILE")
    kept = _free_name(path) if path.exists() else None
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make_folder(path.parent)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if kept is not None:
            os.link(path, kept)  # at no moment is there no configuration
            kept.chmod(0o600)  # it may hold addresses that are secrets, too
        os.replace(draft, path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint="name another with --config FILE") from error
    return kept


def _free_name(path: Path) -> Path:
    """Where the file that was there is kept: nothing that was kept before is lost. ConfigError after a hundred."""
    names = (f"{path.name}.before", *(f"{path.name}.before.{number}" for number in range(2, MAX_BACKUPS + 1)))
    for name in names:
        if not path.with_name(name).exists():
            return path.with_name(name)
    raise ConfigError(f"{MAX_BACKUPS} configurations are kept beside {path}", hint="delete some of them")
