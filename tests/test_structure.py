"""`make structure`: what it counts, and what it finds."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import pytest
from support.places import ROOT
from support.sources import parsed

_SPEC = importlib.util.spec_from_file_location("structure", ROOT / "scripts/structure.py")
assert _SPEC is not None
assert _SPEC.loader is not None
structure = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(structure)
Source = structure.Source
package = functools.cache(functools.partial(structure.read_package, parse=parsed))


def test_a_line_of_code_is_neither_blank_comment_nor_docstring() -> None:
    text = (
        '"""Says what it is.\n\nTwice."""\n\n# why\nONE = (\n    1\n)\n\n\ndef f():\n    """Do."""\n    return "text"\n'
    )
    assert Source("a.py", text).count_code() == 5


def test_an_import_of_a_name_is_an_arrow_to_its_file_also_for_types() -> None:
    sources = [
        Source("core/__init__.py", ""),
        Source("core/money.py", ""),
        Source(
            "app/run.py",
            "def f():\n    from kalshi_cli.core.money import Money\n    from kalshi_cli.core import money\n",
        ),
    ]
    arrows = structure.arrows_of(sources)
    assert arrows == {"core": set(), "core.money": set(), "app.run": {"core.money"}}
    assert structure.rooms_of(arrows) == {"core": set(), "app": {"core"}}


def test_files_outside_the_package_are_named_from_the_repository_and_may_import_it() -> None:
    sources = [
        Source("verification/run.py", "from bench import works\nimport kalshi_cli.core.money\n", root=""),
        Source("bench/works.py", "import os\n", root=""),
        Source("kalshi_cli/core/money.py", "", root=""),
    ]
    assert structure.arrows_of(sources) == {
        "verification.run": {"bench.works", "kalshi_cli.core.money"},
        "bench.works": set(),
        "kalshi_cli.core.money": set(),
    }


def test_a_circle_is_found_and_a_diamond_is_none() -> None:
    assert structure.find_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
    assert structure.find_circle({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


def test_the_picture_leaves_out_an_arrow_that_a_longer_way_replaces() -> None:
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert structure.shortest_arrows(arrows) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_a_public_class_in_two_files_is_named_and_a_private_one_is_not() -> None:
    text = "class Book: ...\nclass _Row: ...\n"
    assert structure.find_doubles([Source("a.py", text), Source("b.py", text)]) == {"Book": ["a.py", "b.py"]}


def test_no_file_imports_itself_through_others() -> None:
    sources = structure.read_folders(parsed)
    assert {source.path.split("/")[0] for source in sources} == {"kalshi_cli", "verification", "bench", "scripts"}
    assert structure.find_circle(structure.arrows_of(sources)) == []


BESIDE_THE_PACKAGE = {"cli/golden", "e2e", "third_party", "support", "verification"}
TESTED_ELSEWHERE = {"template"}
"""What `kalshi strategies new` copies, by `services/research/test_strategies.py`."""


def folders(root: Path) -> set[str]:
    """The folders with code of their own."""
    none = ("__init__.py", "conftest.py")
    return {str(path.parent.relative_to(root)) for path in root.rglob("*.py") if path.name not in none}


def test_the_tests_mirror_the_package_folder_by_folder() -> None:
    ours, tests = folders(structure.PACKAGE), folders(structure.ROOT / "tests")
    assert ours - tests - TESTED_ELSEWHERE == set()
    assert {name for name in tests - ours if not any(name.startswith(one) for one in BESIDE_THE_PACKAGE)} == set()


def test_the_picture_goes_between_its_marks() -> None:
    begin, end = structure.MARKS
    assert structure.with_picture(f"a\n{begin}\nold\n{end}\nz", "new") == f"a\n{begin}\nnew\n{end}\nz"


@pytest.mark.skipif(not structure.DOCUMENT.exists(), reason="docs/architecture.md is not written yet")
def test_the_picture_in_the_document_is_of_this_package() -> None:
    text = structure.DOCUMENT.read_text()
    assert structure.with_picture(text, structure.draw(package())) == text, "make structure"
