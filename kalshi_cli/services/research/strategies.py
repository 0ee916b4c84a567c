"""The list of strategies, their parameters, and a template for a new one with its test."""

from __future__ import annotations

import ast
import os
import re
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.files import make_folder
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.own_code import check_with_defaults
from kalshi_cli.views.strategies import ParameterRow, StrategyRow, StrategyView

TEMPLATE = Path(__file__).parents[2] / "template"
"""The folder of `fade.py` and `test_fade.py`, which run unchanged."""

NAME = re.compile(r"[a-z][a-z0-9]{0,30}(-[a-z0-9]{1,30}){0,5}")


def list_strategies() -> list[StrategyRow]:
    """Return the built-in and installed strategies."""
    return [StrategyRow.of(each) for each in registry.all_strategies()]


def describe_strategy(name: str) -> StrategyView:
    """Return a strategy, by its name or as FILE.py:Class, with its parameters. UsageError if it is unknown."""
    kind = registry.load(name)
    check_with_defaults(kind)
    parameters = (*registry.parameters(kind), *registry.ALLOTTED)
    return StrategyView.of(registry.describe(name), rows=tuple(map(ParameterRow.of, parameters)))


def write_strategy(name: str, folder: Path) -> tuple[Path, Path]:
    """Write a strategy called `name` and its test into `folder`, and return both paths.

    A missing folder is created. UsageError for an invalid name or an existing file; nothing is overwritten.
    """
    module, kind = name.replace("-", "_"), "".join(part.capitalize() for part in name.split("-"))
    texts = {file: (TEMPLATE / file).read_text("utf-8") for file in ("fade.py", "test_fade.py")}
    if NAME.fullmatch(name) is None:
        hint = "use lowercase letters, digits and single dashes, starting with a letter: my-idea"
        raise UsageError(f"Invalid strategy name: {name!r}", hint=hint, code="bad_name")
    other = "choose another name, such as my-idea"
    nodes = (node for text in texts.values() for node in ast.walk(ast.parse(text)))
    used = {getattr(node, field, None) for node in nodes for field in ("id", "name")}
    if name in (*registry.BUILT_IN, "new", "show") or (name != "fade" and kind in used):
        raise UsageError(f"The name {name} is already in use", hint=other, code="bad_name")
    paths = folder / f"{module}.py", folder / f"test_{module}.py"
    there = next((path for path in paths if os.path.lexists(path)), None)
    if there is not None:
        raise UsageError(f"{there} already exists", hint="choose another name, or --dir", code="file_exists")
    if iskeyword(module) or find_spec(module) is not None:
        raise UsageError(f"{module} is a reserved word in Python", hint=other, code="bad_name")
    try:
        make_folder(folder)
        for path, text in zip(paths, texts.values(), strict=True):
            # Other users must not be able to write it, whatever the umask: such a file would not be loaded.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
                file.write(text.replace('"fade"', f'"{name}"').replace("Fade", kind).replace("fade", module))
    except OSError as error:
        hint = "choose a directory that you can write: --dir DIR"
        raise UsageError(f"Cannot write {paths[0]}: {error.strerror}", hint=hint, code="cannot_write") from error
    return paths
