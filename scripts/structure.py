"""Measure the structure of the package: `make structure`. `--picture` draws the folders into docs/architecture.md.

Counts are of `kalshi_cli/` alone; a line of code is one that is neither blank, comment nor docstring. Circles of
imports are also looked for in `verification/`, `bench/` and `scripts/`.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kalshi_cli"
FOLDERS = (PACKAGE, ROOT / "verification", ROOT / "bench", ROOT / "scripts")
"""No file in them may import itself through others."""

DOCUMENT = ROOT / "docs/architecture.md"
MARKS = ("<!-- picture: made by `make structure` -->", "<!-- end of the picture -->")
SKIPPED = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


class Source:
    """One file: its `path` below the package `root`, and its text. Without a root the path begins at the repository."""

    def __init__(
        self, path: str, text: str, parse: Callable[[str], ast.Module] = ast.parse, root: str = PACKAGE.name
    ) -> None:
        self.path = path
        self.text = text
        self.tree = parse(text)
        self.root = root

    @property
    def name(self) -> str:
        """Return the dotted name of the path: `core.model.orders`; a package is named like its folder."""
        return self.path.removesuffix(".py").removesuffix("__init__").rstrip("/").replace("/", ".")

    @cached_property
    def imports(self) -> set[str]:
        """Return the dotted names that it imports from below the root, also inside functions and for types."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        prefix = f"{self.root}." if self.root else ""
        return {name.removeprefix(prefix) for name in found if name.startswith(prefix)}

    def count_code(self) -> int:
        """Count the lines that are neither blank, comment nor docstring."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in SKIPPED:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return len(lines)


def read_package(parse: Callable[[str], ast.Module] = ast.parse) -> list[Source]:
    """Read every Python file of the package."""
    return [Source(str(path.relative_to(PACKAGE)), path.read_text(), parse) for path in sorted(PACKAGE.rglob("*.py"))]


def read_folders(parse: Callable[[str], ast.Module] = ast.parse) -> list[Source]:
    """Read every Python file of FOLDERS, named from the repository: `verification.limits`."""
    paths = (path for folder in FOLDERS for path in sorted(folder.rglob("*.py")))
    return [Source(str(path.relative_to(ROOT)), path.read_text(), parse, root="") for path in paths]


def arrows_of(sources: Iterable[Source]) -> dict[str, set[str]]:
    """Return for each file the files that it imports, by dotted name."""
    sources = list(sources)
    known = {source.name for source in sources}

    def file_of(name: str) -> str | None:
        while name and name not in known:
            name = name.rpartition(".")[0]
        return name or None

    return {
        source.name: {target for each in source.imports if (target := file_of(each)) and target != source.name}
        for source in sources
    }


def find_circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return one circle of imports, with its first name again at its end; an empty list without one."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def rooms_of(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return for each room (the first part of a name) the other rooms that it imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, targets in arrows.items():
        room = name.split(".")[0]
        found[room] |= {target.split(".")[0] for target in targets} - {room}
    return dict(found)


def shortest_arrows(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Drop each arrow that a longer path implies; the rest shows the order."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(arrows.get(start, ()))
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += arrows.get(name, ())
        return seen

    return {
        name: {target for target in targets if not any(target in reached(other) for other in targets - {target})}
        for name, targets in arrows.items()
    }


def find_doubles(sources: Iterable[Source]) -> dict[str, list[str]]:
    """Return the public classes that more than one file defines."""
    places: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(source.path)
    return {name: paths for name, paths in sorted(places.items()) if len(paths) > 1}


def longest_function(sources: Iterable[Source]) -> tuple[int, str]:
    """Return the lines of the longest function, and where it is."""
    return max(
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{source.path}: {node.name}")
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef)
    )


def draw(sources: Iterable[Source]) -> str:
    """Return the rooms and their imports as a Mermaid picture."""
    sources = list(sources)
    rooms = rooms_of(arrows_of(source for source in sources if "/" in source.path))
    files = Counter(source.path.split("/")[0] for source in sources if "/" in source.path)
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {room}["{room}<br/>{files[room]} files"]' for room in sorted(rooms)]
    lines += [
        f"    {room} --> {target}"
        for room, targets in sorted(shortest_arrows(rooms).items())
        for target in sorted(targets)
    ]
    return "\n".join([*lines, "```"])


def with_picture(text: str, picture: str) -> str:
    """Return a document with the picture between its marks replaced."""
    begin, end = MARKS
    return re.sub(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{picture}\n{end}", text, flags=re.DOTALL
    )


def report(sources: list[Source], circle: list[str]) -> Iterator[str]:
    """Return the lines that `make structure` prints of the package, and of a circle of imports in FOLDERS."""
    folders = Counter(str(Path(source.path).parent) for source in sources)
    yield f"{'folder':<28} files"
    yield from (f"{folder:<28} {count:>5}" for folder, count in sorted(folders.items()))
    lengths = sorted((source.text.count("\n"), source.path) for source in sources)
    doubles = find_doubles(sources)
    long, where = longest_function(sources)
    yield ""
    code = sum(source.count_code() for source in sources)
    yield f"files {len(sources)}, folders {len(folders)}, lines of code {code}"
    yield f"median file {lengths[len(lengths) // 2][0]} lines, longest {lengths[-1][0]} ({lengths[-1][1]})"
    yield f"longest function {long} lines ({where})"
    where = ", ".join(folder.name for folder in FOLDERS)
    yield f"import circles in {where}: {' -> '.join(circle) or 'none'}"
    yield f"public classes defined twice {len(doubles)}"
    yield from (f"  {name}: {', '.join(paths)}" for name, paths in doubles.items())


def main() -> None:
    """Print the figures; with `--picture` write the picture too."""
    sources = read_package()
    if "--picture" in sys.argv[1:]:
        DOCUMENT.write_text(with_picture(DOCUMENT.read_text(), draw(sources)))
    circle = find_circle(arrows_of(read_folders()))
    sys.stdout.write("\n".join([*report(sources, circle), ""]))


if __name__ == "__main__":
    main()
