"""`make check` runs the tests of what changed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.places import ROOT


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("changed_tests", ROOT / "scripts/changed_tests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["changed_tests"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "tests/core/risk/test_controls.py", "tests/core/risk/test_other.py", "tests/core/engine/test_it.py",
        "tests/cli/test_golden.py", "tests/cli/golden/a.txt", "tests/test_scripts.py", "tests/test_pages.py",
        "tests/support/values.py", "tests/verification/test_mutants_slice.py", "tests/net/socket/test_a.py",
        "tests/services/monitoring/test_runbooks.py", "tests/test_documents.py",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("kalshi_cli/core/risk/controls.py", ["tests/core/risk/test_controls.py"]),
        ("kalshi_cli/core/risk/budget.py", ["tests/core/risk"]),
        ("kalshi_cli/core/risk/__init__.py", ["tests/core/risk"]),
        ("kalshi_cli/core/engine/deep/new.py", ["tests/core/engine"]),
        ("kalshi_cli/net/socket.py", ["tests/net/socket"]),
        ("kalshi_cli/__init__.py", []),
        ("tests/core/risk/test_other.py", ["tests/core/risk/test_other.py"]),
        ("tests/core/risk/test_gone.py", []),
        ("tests/core/risk/conftest.py", ["tests/core/risk"]),
        ("tests/support/values.py", []),
        ("tests/cli/golden/a.txt", ["tests/cli/test_golden.py"]),
        ("scripts/pages.py", ["tests/test_pages.py"]),
        ("scripts/cron/kalshi-cron", ["tests/test_scripts.py"]),
        ("verification/mutants/lines.py", ["tests/verification/test_mutants_slice.py"]),
        ("runbooks/halted.md", ["tests/services/monitoring/test_runbooks.py"]),
        ("README.md", []),
    ],
)
def test_a_changed_file_leads_to_its_tests(script: ModuleType, tree: Path, changed: str, tests: list[str]) -> None:
    assert script.find_tests(changed, tree) == tests


def test_the_rules_always_run_and_a_folder_covers_its_files(script: ModuleType, tree: Path) -> None:
    changed = ["kalshi_cli/core/risk/controls.py", "kalshi_cli/core/risk/budget.py", "README.md"]
    assert script.selection(changed, tree) == ["tests/core/risk", "tests/test_documents.py"]


def test_committed_uncommitted_and_new_files_count_as_changed(script: ModuleType, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *author, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for name in ("same.py", "edited.py"):
        (tmp_path / name).write_text("")
    git("add", ".")
    git("commit", "-qm", "one")
    assert script.changed_files(root=tmp_path) == []
    git("checkout", "-qb", "work")
    (tmp_path / "committed.py").write_text("")
    git("add", ".")
    git("commit", "-qm", "two")
    (tmp_path / "edited.py").write_text("x = 1\n")
    (tmp_path / "new.py").write_text("")
    assert script.changed_files(root=tmp_path) == ["committed.py", "edited.py", "new.py"]
    assert script.changed_files("HEAD", tmp_path) == ["edited.py", "new.py"]


def test_every_test_that_always_runs_exists(script: ModuleType) -> None:
    assert script.existing(ROOT, *script.ALWAYS) == list(script.ALWAYS)
