"""The configuration file: plain YAML without tags, duplicate keys or a huge size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalshi_cli import plain_yaml
from kalshi_cli.errors import ConfigError
from kalshi_cli.files import read_regular

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1_000_000

MOST_DIGITS = 40
"""Characters of a number. Converting a longer one takes time by the square: 900 kB of `1:1:1` took 109 s (2026-11)."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

Oddity = tuple[tuple[str, ...], str]
"""Where in the file, and what is wrong there."""


def read(path: Path) -> tuple[object, list[Oddity]]:
    """The document, and what is wrong with its keys. ConfigError where it cannot be read at all."""
    try:
        text = read_regular(path, MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="check --config and KALSHI_CONFIG") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes", hint="is it the right file?")
    try:
        document = plain_yaml.compose(text)
        if document is None:
            return None, []
        oddities = _oddities(document)
        return plain_yaml.construct(document), oddities
    except plain_yaml.PlainYamlError as error:
        line = f" (line {error.line})" if error.line is not None else ""
        raise ConfigError(f"{path}{line}: {error}", hint="config.example.yaml shows how it looks") from None


def is_open_to_others(path: Path) -> bool:
    """Whether more people than its owner may read the file, as far as its permissions say."""
    try:
        return hasattr(os, "geteuid") and bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


def _oddities(document: yaml.Node) -> list[Oddity]:
    """Duplicate keys, of which YAML would silently keep the last, and numbers that would take long to convert."""
    found: list[Oddity] = []
    todo: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while todo:
        key, node = todo.pop()
        if node.id == "scalar":
            found += [(key, text) for text in _unconverted(node)]
        elif node.id == "sequence":
            todo += [(key, below) for below in node.value]
        elif node.id == "mapping":
            names: set[str] = set()
            for name, below in node.value:
                at = (*key, str(name.value))
                if at[-1] in names:
                    found.append((at, f"given twice (line {name.start_mark.line + 1})"))
                names.add(at[-1])
                todo += [(at, name), (at, below)]
    return found


def _unconverted(node: Any) -> Iterator[str]:
    """Turn a number that is too long into text, which nothing converts, and say so."""
    if node.tag in _NUMBERS and len(node.value) > MOST_DIGITS:
        node.tag = "tag:yaml.org,2002:str"
        yield f"a number of more than {MOST_DIGITS} digits (line {node.start_mark.line + 1})"
