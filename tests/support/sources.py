"""The syntax trees of source files, parsed once for all tests of a process that read them."""

from __future__ import annotations

import ast
import functools

parsed = functools.cache(ast.parse)
"""The tree of a text; whoever gets it must not change it."""
