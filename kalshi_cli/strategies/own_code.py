"""The code of a strategy file: its `print`, and calls whose results differ between two runs."""

from __future__ import annotations

import ast
import sys
import threading
from contextlib import AbstractContextManager, nullcontext, redirect_stdout

_CHANGING = {
    "time": ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"),
    "datetime.datetime": ("now", "utcnow", "today"),
    "datetime.date": ("today",),
}
"""Functions that read the clock of this machine, by module or class."""


def stdout_to_stderr() -> AbstractContextManager[object]:
    """Return a context in which `print` writes to stderr: stdout has the results of a command, such as `--json`.

    It replaces `sys.stdout` of the whole process, so only the main thread does it.
    """
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return redirect_stdout(sys.stderr)


def unrepeatable_calls(source: bytes) -> tuple[str, ...]:
    """Return the calls of a module that read the clock or unseeded random numbers, such as `random.random`.

    A generator with a seed (`random.Random(7)`) does not count, and no function of `random` after `random.seed(7)`.
    """
    tree = ast.parse(source)
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            full |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [(_full_name(call.func, full), bool(call.args)) for call in calls]
    has_seed = ("random.seed", True) in named
    return tuple(
        dict.fromkeys(name for name, has_args in named if _is_unrepeatable(name, has_args=has_args, has_seed=has_seed))
    )


def _full_name(node: ast.expr, full: dict[str, str]) -> str:
    """Return the name of a called function with its module; empty if it was not imported."""
    text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
    first, dot, rest = text.partition(".")
    return full[first] + dot + rest if first in full else ""


def _is_unrepeatable(name: str, *, has_args: bool, has_seed: bool) -> bool:
    module, _, function = name.rpartition(".")
    if module == "random":
        return not has_args if function == "Random" else not has_seed
    return function in _CHANGING.get(module, ())
