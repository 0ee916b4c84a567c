"""Reading the configuration file: YAML, but no tags, no aliases, no duplicate keys, nothing huge."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalshi_cli.errors import ConfigError
from kalshi_cli.files import read_regular

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

Oddity = tuple[tuple[str, ...], str]
"""Where in the file, and what is wrong there."""


def read(path: Path) -> tuple[object, list[Oddity]]:
    """The document, and what is wrong with its keys. ConfigError where it cannot be read at all."""
    import yaml

    try:
        text = read_regular(path, MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="check --config and KALSHI_CONFIG") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes", hint="is it the right file?")
    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(path, yaml.parse(text, kind))
        loader = kind(text)
        try:
            document = loader.get_single_node()
            if document is None:
                return None, []
            oddities = _oddities(document)
            return loader.construct_document(document), oddities
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        # Neither here nor in a traceback: what YAML says of a file has lines of it.
        what = re.sub(r"'(?!tag:)[^']{8,}'", "...", what)  # an unquoted password may begin with * or !
        raise ConfigError(f"{path}{line}: {what}", hint="config.example.yaml shows how it looks") from None


def is_open_to_others(path: Path) -> bool:
    """Whether more people than its owner may read the file, as far as its permissions say."""
    try:
        return hasattr(os, "geteuid") and bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


def _check_depth(path: Path, events: Iterator[yaml.Event]) -> None:
    """The C loader recurses without a limit: 100,000 brackets overflow its stack and end the process (2026-11)."""
    depth = 0
    for event in events:
        name = type(event).__name__
        depth += name.endswith("StartEvent")
        depth -= name.endswith("EndEvent")
        if depth > MAX_DEPTH:
            raise ConfigError(f"{path}: nested deeper than {MAX_DEPTH} levels", hint="is it the right file?")


def _oddities(document: yaml.Node) -> list[Oddity]:
    """Duplicate keys, of which YAML would silently keep the last, and aliases, with which a small file becomes huge."""
    found: list[Oddity] = []
    todo: list[tuple[tuple[str, ...], Any]] = [((), document)]
    visited: set[int] = set()
    while todo:
        key, node = todo.pop()
        if id(node) in visited:
            found.append((key, f"an alias (*) is not allowed (line {node.start_mark.line + 1})"))
            continue
        visited.add(id(node))
        if node.id == "sequence":
            todo += [(key, below) for below in node.value]
        elif node.id == "mapping":
            names: set[str] = set()
            for name, below in node.value:
                at = (*key, str(name.value))
                if at[-1] in names:
                    found.append((at, f"given twice (line {name.start_mark.line + 1})"))
                names.add(at[-1])
                todo.append((at, below))
    return found
