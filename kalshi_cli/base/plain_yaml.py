"""Plain YAML without anchors, aliases and merges, with limits on depth and size that hold before anything is built.

An alias stands for a whole part of the file, so a few hundred bytes of nested aliases can expand to millions of values.
No file that kalshi reads needs one.
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
    """Text that is not plain YAML. `line` is the position, or None; the message never quotes a value."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


def compose(text: str | bytes) -> yaml.Node | None:
    """Return the document as a tree of nodes, None for an empty file; raise PlainYamlError for anything else."""
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
    """Return the values of a tree from `compose`; raise PlainYamlError for an unknown tag or value."""
    import yaml

    reader = _loader()("")
    try:
        return reader.construct_document(document)
    except (yaml.YAMLError, ValueError) as error:
        raise _explained(error) from None
    finally:
        reader.dispose()


def _check(text: str | bytes) -> None:
    """Reject constructs that would expand, before they are built. The C loader recurses without a limit (2026-11)."""
    import yaml

    depth = nodes = 0
    for event in yaml.parse(text, _loader()):
        line = event.start_mark.line + 1 if event.start_mark else None
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise PlainYamlError("YAML aliases (*) are not supported; repeat the value", line)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise PlainYamlError("YAML anchors (&) are not supported; remove it", line)
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
            raise PlainYamlError("YAML merges (<<) are not supported; write the values themselves", line)
        if depth > MAX_DEPTH:
            raise PlainYamlError(f"nested deeper than {MAX_DEPTH} levels", line)
        if nodes > MAX_NODES:
            raise PlainYamlError(f"more than {MAX_NODES:,} values", line)


def _loader() -> type[yaml.SafeLoader]:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _explained(error: Exception) -> PlainYamlError:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "invalid YAML"
    # YAML errors quote the file, and an unquoted password may begin with * or !
    return PlainYamlError(re.sub(r"'(?!tag:)[^']{8,}'", "...", what), None if mark is None else mark.line + 1)
