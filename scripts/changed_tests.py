"""Print the tests of the files that changed, for `make check`: `python scripts/changed_tests.py [BASE]`.

The base is HEAD for uncommitted changes, plus the commits since the main branch. A file maps to its tests by the mirror
rule: `kalshi_cli/a/b.py` is tested by `tests/a/test_b.py`, by `tests/a/b/`, or else by all of `tests/a/`. The tests of
rules (layers, documents, wording, structure) always run, because any change can break them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAIN_BRANCHES = ("origin/main", "main", "origin/master", "master")
ALWAYS = ("tests/test_architecture.py", "tests/test_structure.py", "tests/test_documents.py", "tests/test_wording.py")
GOLDEN = "tests/cli/golden/"


def find_tests(path: str, root: Path = ROOT) -> list[str]:
    """Return the tests of one changed file, as paths below the root; empty if only the rules cover it."""
    if path.startswith(GOLDEN):
        return existing(root, "tests/cli/test_golden.py")
    if path.startswith("tests/"):
        return existing(root, path) if is_test(path) else mirrored(Path(path).parent.relative_to("tests"), root)
    if path.startswith("kalshi_cli/") and path.endswith(".py"):
        return find_module_tests(Path(path).relative_to("kalshi_cli"), root)
    if path.startswith("scripts/") and path.endswith(".py"):
        return existing(root, f"tests/test_{Path(path).name}") or existing(root, "tests/test_scripts.py")
    if path.startswith("scripts/"):
        return existing(root, "tests/test_scripts.py")
    if path.startswith("verification/"):
        return existing(root, "tests/verification/test_mutants_slice.py")
    if path.startswith("runbooks/"):
        return existing(root, "tests/services/monitoring/test_runbooks.py")
    return []


def find_module_tests(module: Path, root: Path) -> list[str]:
    """Return the tests of a module of the package by the mirror rule."""
    if module.name != "__init__.py":
        own = existing(
            root,
            f"tests/{module.parent / f'test_{module.name}'}",
            f"tests/{module.with_suffix('')}",
        )
        if own:
            return own
    return mirrored(module.parent, root)


def mirrored(folder: Path, root: Path) -> list[str]:
    """Return the nearest folder of tests that mirrors this one; empty for the top, which would be every test."""
    for each in (folder, *folder.parents):
        if each != Path() and (root / "tests" / each).is_dir() and each.parts[0] != "support":
            return [f"tests/{each}"]
    return []


def is_test(path: str) -> bool:
    """Return whether pytest collects this file."""
    return path.endswith(".py") and Path(path).name.startswith("test_")


def existing(root: Path, *paths: str) -> list[str]:
    """Return those of these paths that exist."""
    return [path for path in paths if (root / path).exists()]


def selection(changed: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return the tests of all changed files, without those inside of a folder that runs anyway."""
    found = set(existing(root, *ALWAYS))
    for path in changed:
        found.update(find_tests(path, root))
    folders = {each for each in found if not each.endswith(".py")}
    return sorted(each for each in found if not any(str(up) in folders for up in Path(each).parents))


def changed_files(base: str = "", root: Path = ROOT) -> list[str]:
    """Return the files that differ from the base: since the main branch, not yet committed, or new."""
    start = base or next(
        (each for each in MAIN_BRANCHES if git(root, "rev-parse", "--verify", "--quiet", each)), "HEAD"
    )
    fork = git(root, "merge-base", start, "HEAD") or ["HEAD"]
    found = git(root, "diff", "--name-only", fork[0]) + git(root, "ls-files", "--others", "--exclude-standard")
    return sorted(set(found))


def git(root: Path, *words: str) -> list[str]:
    """Return the lines that git prints; none if it fails."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


if __name__ == "__main__":
    sys.stdout.write(" ".join(selection(changed_files(*sys.argv[1:2]))) + "\n")
