"""The configuration file: plain YAML without tags or duplicate keys, and of limited size."""

from __future__ import annotations

import os
import re
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
"""Maximum characters of a number. Conversion time grows quadratically: 900 kB of `1:1:1` took 109 s (2026-11)."""
_is_not_decimal = re.compile(r"[-+]?0[0-9_bx]|.*:").match
"""YAML 1.1 reads `010` as 8, `0x10` as 16 and the range `10:20` as 620; kalshi reads them as a variable is read."""
_TEXT = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

Oddity = tuple[tuple[str, ...], str]
"""A position in the file, and the error there."""


class Document(NamedTuple):
    """A parsed file: its tree, the errors in its keys, and whether other users can read it."""

    tree: object = None
    oddities: tuple[Oddity, ...] = ()
    is_open_to_others: bool = False


def read(path: Path, distrust: Distrust = refuse) -> Document:
    """Return the document; ConfigError if the file cannot be read.

    `distrust` decides about a file that other users may write.
    """
    text, is_open = _text(path, distrust)
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes", hint="check that it is the right file")
    try:
        document = plain_yaml.compose(text)
        if document is None:
            return Document(is_open_to_others=is_open)
        oddities = _oddities(document)
        return Document(plain_yaml.construct(document), tuple(oddities), is_open)
    except plain_yaml.PlainYamlError as error:
        line = f" (line {error.line})" if error.line is not None else ""
        hint = _commented_section(text) or "see config.example.yaml for the format"
        raise ConfigError(f"{path}{line}: {error}", hint=hint) from None


def _commented_section(text: bytes) -> str:
    """Return the hint for the first indented value whose section is still a comment; "" without one."""
    section = ""
    for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
        if re.match(r"[^\s#]", line):
            section = ""
        elif header := re.match(r"# ?(\w+):\s*(?:#.*)?$", line):
            section = header[1]
        elif section and re.match(r" +[^\s#]", line):
            return f"line {number} is in the commented section `# {section}:`; remove the `# ` before `{section}:` too"
    return ""


def _text(path: Path, distrust: Distrust) -> tuple[bytes, bool]:
    """Return the contents of the file, and whether users other than its owner can read it."""
    try:
        with open(open_regular(path), "rb") as file:
            doubt = doubt_file(path, file.fileno())
            if doubt is not None:
                distrust(UntrustedError(f"Untrusted configuration {path}: {doubt.why}", hint=doubt.remedy))
            mode = os.fstat(file.fileno()).st_mode
            return file.read(MAX_BYTES + 1), hasattr(os, "geteuid") and bool(mode & 0o077)
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}", hint="check --config and KALSHI_CONFIG") from error


def _oddities(document: yaml.Node) -> list[Oddity]:
    """Return duplicate keys, of which YAML would silently keep the last, and numbers that are too long to convert."""
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
                    found.append((at, f"duplicate key (line {name.start_mark.line + 1})"))
                names.add(at[-1])
                todo += [(at, name), (at, below)]
    return found


def _unconverted(node: Any) -> Iterator[str]:
    """Turn a number that is not decimal, or too long, into text; yield the error of one that is too long."""
    if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
        node.tag = _TEXT
        yield f"a number of more than {MAX_DIGITS} digits (line {node.start_mark.line + 1})"
    elif node.tag in _NUMBERS and _is_not_decimal(node.value):
        node.tag = _TEXT
