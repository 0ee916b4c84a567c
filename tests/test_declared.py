"""What the program imports is declared in pyproject.toml, and locked."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from support.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(text: str) -> set[str]:
    """The packages that a file imports, ours and Python's own left out."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"kalshi_cli"}


def undeclared(packages: set[str], requirements: list[str]) -> set[str]:
    """Those of which no distribution is required."""
    declared = {plain(re.split(r"[<>=!~;\[ ]", line)[0]) for line in requirements}
    by_package = packages_distributions()
    return {name for name in packages if not declared & {plain(each) for each in by_package.get(name, [name])}}


def used() -> set[str]:
    files = [path for path in (ROOT / "kalshi_cli").rglob("*.py") if "template" not in path.parts]
    return set().union(*(imported(path.read_text()) for path in files))


def test_every_import_is_declared() -> None:
    assert {"certifi", "httpx", "yaml", "websocket"} <= used()
    assert undeclared(used(), PROJECT["dependencies"]) == set()


def test_an_import_that_is_not_declared_is_noticed() -> None:
    assert imported("import httpcore.x\nfrom certifi import where\nimport os\nfrom . import y") == {
        "httpcore",
        "certifi",
    }
    assert undeclared({"httpcore", "yaml"}, ["httpx>=0.28", "PyYAML>=6"]) == {"httpcore"}


def test_everything_declared_has_a_lower_bound_and_is_locked_with_hashes() -> None:
    locked = set(re.findall(r"^([\w.-]+)==[^\n]*\\\n +--hash=sha256:", (ROOT / "requirements.lock").read_text(), re.M))
    for line in PROJECT["dependencies"]:
        assert ">=" in line, line
        assert plain(re.split(r"[<>=!~;\[ ]", line)[0]) in {plain(name) for name in locked}, line
