"""What the program imports is declared in pyproject.toml, and locked."""

from __future__ import annotations

import ast
import functools
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from support.places import ROOT
from support.sources import nodes_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(text: str) -> set[str]:
    """The packages that a file imports, ours and Python's own left out."""
    found = set()
    for node in nodes_of(text, ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"kalshi_cli"}


distributions = functools.cache(packages_distributions)


def undeclared(packages: set[str], requirements: list[str]) -> set[str]:
    """Those of which no distribution is required."""
    declared = {plain(re.split(r"[<>=!~;\[ ]", line)[0]) for line in requirements}
    by_package = distributions()
    return {name for name in packages if not declared & {plain(each) for each in by_package.get(name, [name])}}


EXTRAS = {
    "lake": "research",
    "compiled": "research",
    "services/research": "research",
    "tui": "screens",
    "web": "screens",
}
"""The rooms that may import the packages of an extra."""


@functools.cache
def used() -> dict[str, set[str]]:
    """What each room of the package imports; a room of `EXTRAS` is apart from its parent."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "kalshi_cli").rglob("*.py"):
        place = path.relative_to(ROOT / "kalshi_cli").as_posix()
        if "template" not in path.parts:
            room = next((room for room in EXTRAS if place.startswith(f"{room}/")), "")
            found.setdefault(room, set()).update(imported(path.read_text()))
    return found


def test_every_import_is_declared() -> None:
    assert {"certifi", "httpx", "yaml", "websocket"} <= used()[""]
    for room, packages in used().items():
        extra = PROJECT["optional-dependencies"].get(EXTRAS.get(room, ""), [])
        assert undeclared(packages, [*PROJECT["dependencies"], *extra]) == set(), room


def test_an_import_that_is_not_declared_is_noticed() -> None:
    assert imported("import httpcore.x\nfrom certifi import where\nimport os\nfrom . import y") == {
        "httpcore",
        "certifi",
    }
    assert undeclared({"httpcore", "yaml"}, ["httpx>=0.28", "PyYAML>=6"]) == {"httpcore"}


@pytest.mark.parametrize(
    ("file", "extras"),
    [("requirements.lock", ["build", "screens"]), ("requirements-dev.lock", ["build", "dev", *EXTRAS.values()])],
)
def test_everything_declared_has_a_lower_bound_and_is_locked_with_hashes(file: str, extras: list[str]) -> None:
    locked = set(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==[^\n]*\\\n +--hash=sha256:", (ROOT / file).read_text(), re.M))
    required = [
        *PROJECT["dependencies"],
        *(line for extra in extras for line in PROJECT["optional-dependencies"][extra]),
    ]
    for line in required:
        assert ">=" in line or line.startswith("types-"), line
        assert plain(re.split(r"[<>=!~;\[ ]", line)[0]) in {plain(name) for name in locked}, line
