"""Keeps the wording plain: the patterns of `tests/reading.txt` match nothing that a person reads."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from support.places import ROOT
from support.sources import nodes_of

PACKAGE = ROOT / "kalshi_cli"
RULES = [line.split(": ", 1) for line in (ROOT / "tests/reading.txt").read_text().splitlines() if line[:1] not in "# "]
OPENING = re.compile("|".join(pattern for kind, pattern in RULES if kind == "open"), re.IGNORECASE)
WORDS = re.compile("|".join(pattern for kind, pattern in RULES if kind == "word"), re.IGNORECASE)
ROOMS = sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")})
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("runbooks/*.md"), ROOT / "config.example.yaml"]
)


def docstrings(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every docstring of a module."""
    for node in nodes_of(text, ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef):
        said = ast.get_docstring(node)
        if said:
            yield node.body[0].lineno, said


def faults(text: str) -> list[str]:
    """List the docstrings, comments and strings of Python source that match a pattern."""
    found = [f"{line}: opens with {said[:60]!r}" for line, said in docstrings(text) if OPENING.match(said)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline) if WORDS.search(text) else ()
    for token in tokens:
        spoken = token.type in (tokenize.COMMENT, tokenize.STRING) or tokenize.tok_name[token.type] == "FSTRING_MIDDLE"
        match = WORDS.search(token.string) if spoken else None
        if match:
            found.append(f"{token.start[0]}: {match.group()!r}")
    return found


def files_of(room: str) -> list[Path]:
    """Return the sources of one room of the package, or the file of that name."""
    at = PACKAGE / room
    return [at] if at.suffix else sorted(path for path in at.rglob("*.py") if not path.name.startswith("test_"))


def undocumented(module: ModuleType) -> Iterator[str]:
    """Yield the public methods of a module's public classes that have no docstring and override nothing."""
    for name, kind in vars(module).items():
        if not inspect.isclass(kind) or kind.__module__ != module.__name__ or name.startswith("_"):
            continue
        for method, body in vars(kind).items():
            body = body.fget if isinstance(body, property) else getattr(body, "__func__", body)
            own = not method.startswith("_") and isinstance(body, FunctionType) and body.__name__ == method
            if own and not body.__doc__ and not any(hasattr(base, method) for base in kind.__mro__[1:]):
                yield f"{name}.{method}"


@pytest.mark.parametrize("room", ROOMS)
def test_public_methods_that_override_nothing_have_a_docstring(room: str) -> None:
    found = []
    for path in files_of(room):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        found += [f"{path.relative_to(ROOT)}: {name}" for name in undocumented(module)]
    assert found == []


def test_a_method_without_a_docstring_is_caught() -> None:
    module = ModuleType("sample")
    exec("class A:\n def f(self): pass\n def _g(self): pass\nclass B(A):\n def f(self): pass", vars(module))
    module.A.__module__ = module.B.__module__ = "sample"
    assert list(undocumented(module)) == ["A.f"]


@pytest.mark.parametrize("room", ROOMS)
def test_code_says_things_plainly(room: str) -> None:
    found = [f"{path.relative_to(ROOT)}:{fault}" for path in files_of(room) for fault in faults(path.read_text())]
    assert found == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_say_things_plainly(path: Path) -> None:
    # A test of its own reads Python; `console` quotes an earlier version of the program.
    text = re.sub(
        r"```(?:python|console)\n.*?```",
        lambda code: "\n" * code.group().count("\n"),
        path.read_text(),
        flags=re.DOTALL,
    )
    lines = enumerate(text.splitlines(), 1)
    assert [f"{number}: {match.group()}" for number, line in lines if (match := WORDS.search(line))] == []


def test_a_riddle_and_a_private_word_are_caught() -> None:
    assert len(faults('"""What rests on the book."""\n')) == 2
    assert len(faults("x = 1  # nobody knows\n")) == 1
    assert len(faults("x = f'{y} is told'\n")) == 1
    assert faults('"""Return the resting orders."""\n') == []
    assert len(RULES) == 8
