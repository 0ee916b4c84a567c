"""The commented configuration file that `kalshi init` writes: config.example.yaml with the user's answers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.files import make_folder

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE / "config.example.yaml", PACKAGE.parent / "config.example.yaml")
"""Inside the installed package, or next to it in a working copy."""

MAX_BACKUPS = 100

Answer = str | int | float | bool | None | dict[str, Any] | list[Any]
KeyPath = tuple[str, ...]
"""The path of a value in the file: sections, then name."""

_LINE = re.compile(r"(?P<indent> *)(?P<name>[A-Za-z_][\w]*):(?: (?P<value>[^#\n]*?))?(?P<comment> +#.*)?")


def template() -> str:
    """Return the example as shipped."""
    return next(place for place in PLACES if place.is_file()).read_text("utf-8")


EXAMPLE_HEAD = """\
# Every setting with its default. Copy this file to ./config.yaml or to the directory that `kalshi config path` shows,
# and keep what you change. Precedence: option, variable, file, default; `kalshi config show` shows each value's source.
"""
HEAD = """\
# Written by `kalshi init`. Your answers are set. Everything else is commented out with its default, which may change in
# a newer version. To change a setting, remove the `# ` before it and before its section. Precedence: option, variable,
# file, default; `kalshi config show` shows the source of every value.
"""


def _settings(text: str) -> Iterator[tuple[str, re.Match[str] | None, str]]:
    """Yield each line of the text, with the match and the dotted path of a setting or section."""
    path: list[str] = []
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            path[len(found["indent"]) // 2 :] = [found["name"]]
        yield line, found, ".".join(path)


def values_of(tree: object, text: str) -> tuple[dict[str, Answer], dict[KeyPath, Answer]]:
    """Return the values of a parsed configuration by the dotted paths of the text, and those without a line in it."""
    known = [dotted for _, found, dotted in _settings(text) if found is not None]
    sections = {dotted.rpartition(".")[0] for dotted in known}
    values: dict[str, Answer] = {}
    others: dict[KeyPath, Answer] = {}
    todo: list[tuple[KeyPath, Any]] = [((), tree)]
    while todo:
        path, value = todo.pop()
        dotted = ".".join(path)
        if dotted in sections and isinstance(value, dict):
            todo += [((*path, str(name)), below) for name, below in reversed(value.items())]
        elif dotted in known and dotted not in sections:
            values[dotted] = value
        elif path and not (dotted in sections and value is None):
            others[path] = value
    return values, others


def filled(text: str, answers: Mapping[str, Answer], others: Mapping[KeyPath, Answer] | None = None) -> str:
    """Return the text with these dotted paths set and all other values commented out, so that defaults stay defaults.

    Comments stay. A section in which nothing is set is commented out with its header. Values are written as JSON, which
    YAML reads, so that an answer cannot become anything but that value; not as ASCII, because YAML has no surrogate
    pairs. ValueError for a path that the text does not contain; `others` are added to their section, or at the end.
    """
    left, lines = dict(answers), []
    added: dict[str, list[str]] = {}
    for path, value in (others or {}).items():
        pair = f"{'  ' * (len(path) - 1)}{_written(path[-1])}: {_written(value)}"
        added.setdefault(".".join(path[:-1]), []).append(pair)
    dotteds = [*answers, *(f"{section}." for section in added if section)]
    sections = {dotted[:at] for dotted in dotteds for at, sign in enumerate(dotted) if sign == "."}
    for line, found, dotted in _settings(text):
        kept = line
        if found is not None and dotted in left:
            kept = f"{found['indent']}{found['name']}: {_written(left.pop(dotted))}{found['comment'] or ''}"
        elif found is not None and dotted not in sections:
            kept = f"{found['indent']}# {line.lstrip()}"
        lines.append(kept)
        if found is not None:
            lines += added.pop(dotted, [])
    lines += added.pop("", [])
    if left:
        raise ValueError(f"the template does not contain {', '.join(sorted(left))}")
    return HEAD + "\n".join(lines).removeprefix(EXAMPLE_HEAD) + "\n"


def _written(value: Answer) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def write(path: Path, text: str) -> Path | None:
    """Write the file atomically for its owner only; return where the previous file was kept, if there was one.

    ConfigError if it cannot be written, or if the path is not a file: writing would destroy a device.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file", hint="use another file with --config FILE")
    kept = _free_name(path) if path.exists() else None
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make_folder(path.parent)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if kept is not None:
            os.link(path, kept)  # so that a configuration exists at every moment
            kept.chmod(0o600)  # the old file may contain secret addresses too
        os.replace(draft, path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ConfigError(
            f"Cannot write {path}: {error.strerror}", hint="use another file with --config FILE"
        ) from error
    return kept


def _free_name(path: Path) -> Path:
    """Return a free name for the previous file, so that no earlier backup is lost; ConfigError after a hundred."""
    names = (f"{path.name}.before", *(f"{path.name}.before.{number}" for number in range(2, MAX_BACKUPS + 1)))
    for name in names:
        if not path.with_name(name).exists():
            return path.with_name(name)
    raise ConfigError(f"{MAX_BACKUPS} backup configurations already exist next to {path}", hint="delete some of them")
