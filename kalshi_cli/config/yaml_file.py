"""The configuration file: plain YAML without tags, duplicate keys or a huge size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kalshi_cli.base import plain_yaml
from kalshi_cli.base.errors import ConfigError, Distrust, UntrustedError, refuse
from kalshi_cli.base.file_trust import doubt_file
from kalshi_cli.base.files import open_regular

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1_000_000

MAX_DIGITS = 40
"""Characters of a number. Converting a longer one takes time by the square: 900 kB of `1:1:1` took 109 s (2026-11)."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

Oddity = tuple[tuple[str, ...], str]
"""Where in the file, and what is wrong there."""


class Document(NamedTuple):
    """A file as it was read: its tree, what is wrong with its keys, and whether others may read it."""

    tree: object = None
    oddities: tuple[Oddity, ...] = ()
    is_open_to_others: bool = False


def read(path: Path, distrust: Distrust = refuse) -> Document:
    """Return the document. ConfigError where it cannot be read at all; `distrust` decides where others may write it."""
    text, is_open = _text(path, distrust)
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes", hint="is it the right file?")
    try:
        document = plain_yaml.compose(text)
        if document is None:
            return Document(is_open_to_others=is_open)
        oddities = _oddities(document)
        return Document(plain_yaml.construct(document), tuple(oddities), is_open)
    except plain_yaml.PlainYamlError as error:
        line = f" (line {error.line})" if error.line is not None else ""
        raise ConfigError(f"{path}{line}: {error}", hint="config.example.yaml shows how it looks") from None


def _text(path: Path, distrust: Distrust) -> tuple[bytes, bool]:
    """Return what is in the file, and whether more people than its owner may read it. The open file is judged."""
    try:
        with open(open_regular(path), "rb") as file:
            doubt = doubt_file(path, file.fileno())
            if doubt is not None:
                distrust(UntrustedError(f"refused the configuration {path}: {doubt.why}", hint=doubt.remedy))
            mode = os.fstat(file.fileno()).st_mode
            return file.read(MAX_BYTES + 1), hasattr(os, "geteuid") and bool(mode & 0o077)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="check --config and KALSHI_CONFIG") from error


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
    if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
        node.tag = "tag:yaml.org,2002:str"
        yield f"a number of more than {MAX_DIGITS} digits (line {node.start_mark.line + 1})"
