"""Plain YAML: no anchors, no aliases, no merges, and a limit on depth and size that holds before anything is built.

An alias stands for a whole part of the file, so that a few hundred bytes of aliases to aliases stand for millions of
values. Nothing that this program reads needs one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

MAX_DEPTH = 20
MAX_NODES = 20_000
"""Values and keys of one file; each takes up to a thousand bytes while it is read."""


class PlainYamlError(ValueError):
    """Text that is not plain YAML. `line` is where, or None; the message has no value of the file in it."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


def compose(text: str | bytes) -> yaml.Node | None:
    """Return the one document as a tree of nodes, None for an empty file. Raise PlainYamlError for anything else."""
    import yaml

    loader = _loader()
    try:
        _check(text)
        reader = loader(text)
        try:
            return reader.get_single_node()
        finally:
            reader.dispose()
    except (yaml.YAMLError, UnicodeError) as error:
        raise _explained(error) from None


def construct(document: yaml.Node) -> object:
    """Return the values of a tree that `compose` made. Raise PlainYamlError for a tag or a value that is unknown."""
    import yaml

    reader = _loader()("")
    try:
        return reader.construct_document(document)
    except (yaml.YAMLError, ValueError) as error:
        raise _explained(error) from None
    finally:
        reader.dispose()


def _check(text: str | bytes) -> None:
    """Refuse what would grow, before it is built. The C loader recurses without a limit as it builds (2026-11)."""
    import yaml

    depth = nodes = 0
    for event in yaml.parse(text, _loader()):
        line = event.start_mark.line + 1 if event.start_mark else None
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise PlainYamlError("an alias (*) is not allowed: write the value again", line)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise PlainYamlError("an anchor (&) is not allowed: write the value without it", line)
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
            raise PlainYamlError("a merge (<<) is not allowed: write the values themselves", line)
        if depth > MAX_DEPTH:
            raise PlainYamlError(f"nested deeper than {MAX_DEPTH} levels", line)
        if nodes > MAX_NODES:
            raise PlainYamlError(f"more than {MAX_NODES:,} values", line)


def _loader() -> type[yaml.SafeLoader]:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _explained(error: Exception) -> PlainYamlError:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    # What YAML says of a file has lines of it, and an unquoted password may begin with * or !
    return PlainYamlError(re.sub(r"'(?!tag:)[^']{8,}'", "...", what), None if mark is None else mark.line + 1)
