"""A program that starts worker processes without the guard of its file is refused before they start."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from kalshi_cli.services.research.search.main_guard import GUARD, require_main_guard

SAID = f"search.py starts worker processes without the guard `{GUARD}`"
CALL = "require_main_guard()"
OPEN = "with trial_cluster(1) as cluster: print(cluster.workers)"


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = folder / "search.py"
    file.write_text(
        "from kalshi_cli.services.research.search.main_guard import require_main_guard\n"
        "from kalshi_cli.services.research.search.cluster import trial_cluster\n"
        f"print('top', flush=True)\n{text}\n"
    )
    return subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=False)


def test_a_program_without_a_guard_is_refused(tmp_path: Path) -> None:
    ended = run(tmp_path, f"def main():\n    {CALL}\n\nmain()")
    assert (ended.returncode, ended.stdout) == (1, "top\n")
    assert SAID in ended.stderr.splitlines()[-2]


def test_the_guard_and_a_module_of_python_pass(tmp_path: Path) -> None:
    require_main_guard()
    assert run(tmp_path, f"{GUARD}\n    {CALL}").returncode == 0


@pytest.mark.skipif(find_spec("distributed") is None, reason="the extra research is not installed")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (OPEN, SAID),
        (f"print(__name__)\n{OPEN}", "The worker processes did not start: "),
    ],
)
def test_a_search_without_a_guard_names_it(text: str, problem: str, tmp_path: Path) -> None:
    ended = run(tmp_path, text)
    assert ended.returncode == 1
    assert problem in ended.stderr.splitlines()[-2]
    assert f"put the call below `{GUARD}`" in ended.stderr.splitlines()[-1]
