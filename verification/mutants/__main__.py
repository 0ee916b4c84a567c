"""`python -m verification.mutants`: break each safety line in a copy, run its tests, and require that one fails.

With `--by simulate`, sessions of `verification.simulate` must fail instead of tests, for the mutants that
`simulated.py` names: the other mutants break lines that no session runs, or that only report.

It prints the test that caught each mutant. It fails if no test caught a mutant, if a line is not found exactly once, if
tests fail without a mutant, or if they do not end: endless tests catch no mutant, unless a test with its own time limit
fails before that.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from verification.mutants.lines import MUTANTS, Mutant
from verification.mutants.simulated import SIMULATED

ROOT = Path(__file__).parents[2]
COPIED = (
    "kalshi_cli",
    "tests",
    "verification",
    "scripts",
    "pyproject.toml",
    "README.md",
    "config.example.yaml",
    "docs",
)
LONGEST_S = 240.0
"""Of one mutant's tests, or of its sessions, on a busy machine."""

FAILED = 1
"""pytest's exit code where tests failed; 2 and above say that they were not even run."""

TIMED_OUT = -1
"""Instead of an exit code, where the tests did not end."""


class Verdict(NamedTuple):
    mutant: Mutant
    killer: str
    """The first test or session that failed; empty where the mutant survived."""
    trouble: str = ""


Command = Callable[[Mutant], tuple[str, ...]]
"""What is run with `python -m`, in the copy, so that it notices the mutant."""

_NOTICED = re.compile(r"^(?:(?:FAILED|ERROR) (\S+)|(seed \d+: .+))", re.MULTILINE)
"""How pytest tells of a test, and `verification.simulate` of a session."""


def tests(mutant: Mutant) -> tuple[str, ...]:
    """The tests that are named for it."""
    quick = ("-p", "no:cacheprovider", "--hypothesis-profile", "unshrunk")
    return ("pytest", "-x", "-q", *quick, "--no-header", "-rfE", *mutant.tests)


def sessions(seeds: int) -> Command:
    """Sessions full of faults, the same for each mutant, until one breaks an invariant."""
    return lambda _mutant: ("verification.simulate", "--seeds", str(seeds), "--jobs", "1", "--until-one-fails")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose name or file has this text")
    parser.add_argument("--by", choices=["tests", "simulate"], default="tests", help="who must notice them")
    parser.add_argument("--seeds", type=int, default=60, help="sessions of each mutant, with --by simulate")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    is_by_tests = asked.by == "tests"
    among = [mutant for mutant in MUTANTS if is_by_tests or mutant.name in SIMULATED]
    chosen = [mutant for mutant in among if asked.only in mutant.name or asked.only in mutant.file]
    width = max(len(mutant.name) for mutant in MUTANTS)
    verdicts: list[Verdict] = []
    for verdict in play(chosen, asked.jobs, tests if is_by_tests else sessions(asked.seeds)):
        said = verdict.trouble or (f"killed by {verdict.killer}" if verdict.killer else "SURVIVED")
        sys.stdout.write(f"{verdict.mutant.name:<{width}}  {said}\n")
        sys.stdout.flush()
        verdicts.append(verdict)
    survivors = [verdict for verdict in verdicts if not verdict.killer]
    for verdict in survivors:
        sys.stdout.write(f"\n{verdict.mutant.name}: {verdict.mutant.why}\n  {verdict.mutant.file}\n")
    sys.stdout.write(f"\n{len(chosen)} mutants, {len(chosen) - len(survivors)} killed\n")
    return 1 if survivors or not chosen else 0


def play(mutants: list[Mutant], jobs: int, command: Command = tests) -> Iterator[Verdict]:
    """Each mutant against its tests, or against sessions, several at a time, each in a copy of its own."""
    with tempfile.TemporaryDirectory() as home:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            copies.put(copied(Path(home) / str(number)))
        healthy: dict[tuple[str, ...], str] = {}

        def one(mutant: Mutant) -> Verdict:
            copy = copies.get()
            try:
                asked = command(mutant)
                if asked not in healthy:
                    healthy[asked] = outcome(copy, asked)[1]
                if healthy[asked]:
                    return Verdict(mutant, "", f"fails without it: {healthy[asked]}")
                return judge(mutant, copy, command)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(one, mutants)


def copied(home: Path) -> Path:
    """The parts of the repository that tests need, with the published specifications beside them where they are."""
    root = home / "main"
    root.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name)  # with its bytecode, valid as long as a file keeps its time
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, root / name)
    if (ROOT.parent / "shared").is_dir():
        (home / "shared").symlink_to(ROOT.parent / "shared")
    return root


def mutated(mutant: Mutant, text: str) -> str:
    """The file with the line broken. ValueError where the line is not there exactly once: the list is out of date."""
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: found {text.count(mutant.old)} times in {mutant.file}, not once")
    return text.replace(mutant.old, mutant.new)


def judge(mutant: Mutant, root: Path, command: Command = tests) -> Verdict:
    """Break it, run what must notice, mend it."""
    at = root / "kalshi_cli" / mutant.file
    healthy = at.read_text()
    try:
        at.write_text(mutated(mutant, healthy))
        if at.suffix == ".py":
            compile(at.read_text(), str(at), "exec")
        code, first = outcome(root, command(mutant))
    except (ValueError, SyntaxError) as error:
        return Verdict(mutant, "", f"NOT TRIED: {error}")
    finally:
        at.write_text(healthy)
    if code == TIMED_OUT:
        return Verdict(mutant, "", f"NOT CAUGHT: {first}")
    if code not in (0, FAILED):
        return Verdict(mutant, "", f"NOT TRIED: {first}")
    return Verdict(mutant, first)


def outcome(root: Path, command: tuple[str, ...]) -> tuple[int, str]:
    """The exit code, and the first test or session that failed (or the last line, where nothing was run)."""
    # The program is installed in this environment; the copy must come before it.
    variables = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    run = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=root, env=variables,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = run.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)  # with the programs that the tests started
        run.communicate()
        return TIMED_OUT, f"what must notice did not end within {LONGEST_S:.0f} s"
    found = _NOTICED.search(said)
    lines = said.strip().splitlines() or ["it said nothing"]
    return run.returncode, found[1] or found[2] if found else "" if run.returncode == 0 else lines[-1]


if __name__ == "__main__":
    sys.exit(main())
