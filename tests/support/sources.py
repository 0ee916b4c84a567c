"""The syntax trees of source files, parsed and walked once for all tests of a process that read them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from typing import Any

parsed = functools.cache(ast.parse)
"""The tree of a text; whoever gets it must not change it."""


@functools.cache
def _by_kind(text: str) -> dict[type[ast.AST], list[ast.AST]]:
    found: dict[type[ast.AST], list[ast.AST]] = {}
    waiting: list[ast.AST] = [parsed(text)]
    for node in waiting:
        found.setdefault(type(node), []).append(node)
        for part in node.__dict__.values():
            if isinstance(part, list):
                waiting += [each for each in part if isinstance(each, ast.AST)]
            elif isinstance(part, ast.AST) and not isinstance(part, ast.expr_context):
                waiting.append(part)
    return found


def nodes_of(text: str, *kinds: type[ast.AST]) -> Iterator[Any]:
    """The nodes of exactly these kinds in the tree of a text, kind by kind."""
    for kind in kinds:
        yield from _by_kind(text).get(kind, ())
