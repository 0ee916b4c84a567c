"""A forked program must be what a fresh start is: its words, variables, streams, exit code, signals and end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.processes import ForkedProgram, run_program, start_program
from support.served import bare_variables

SHOWN = """
import atexit, json, locale, os, random, resource, signal, sys, threading
print(json.dumps({
    "words": sys.argv[1:], "cwd": os.getcwd(), "variables": dict(os.environ), "parent": os.getppid(),
    "open": sorted(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else [],
    "threads": threading.active_count(), "random": random.random(),
    "streams": [
        [each.fileno(), each.encoding, each.errors, each.line_buffering, each.write_through, each.isatty(), each.mode]
        for each in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "signals": {each.name: str(signal.getsignal(each)).split(" at ")[0] for each in signal.Signals},
    "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "limits": [resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_NOFILE)],
    "hooks": [str(sys.excepthook).split(" at ")[0], threading.excepthook.__name__], "umask": os.umask(0o22),
    "path": sys.path[1:],
}))
"""


def shown(home: Path, *, is_fresh: bool, **variables: str) -> dict[str, Any]:
    """What a process that was started so has from its caller."""
    environment = {**os.environ, **bare_variables(home), **variables}
    if is_fresh:
        words = [sys.executable, "-c", SHOWN, "one", "two words"]
        ran = subprocess.run(words, env=environment, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    else:
        ran = run_program(["one", "two words"], environment, home, first=f"{SHOWN}\nsys.exit()")
    assert (ran.returncode, ran.stderr) == (0, "")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_a_fork_has_from_its_caller_what_a_fresh_start_has(tmp_path: Path) -> None:
    fork, fresh = (shown(tmp_path, is_fresh=is_fresh, ONLY_HERE="yes") for is_fresh in (False, True))
    for name in ("parent", "random", "path"):
        fork.pop(name), fresh.pop(name)
    assert fork == fresh
    assert fork["variables"]["ONLY_HERE"] == "yes"


def test_nothing_of_a_fork_reaches_the_next_one(tmp_path: Path) -> None:
    first, second = shown(tmp_path, is_fresh=False, ONLY_ONCE="yes"), shown(tmp_path, is_fresh=False)
    assert "ONLY_ONCE" not in second["variables"]
    assert first["random"] != second["random"]
    assert first["parent"] == second["parent"]


@pytest.mark.parametrize(
    "words", [["--version"], ["nosuch"], ["config", "show", "--json"], ["positions", "--env", "x"]]
)
def test_a_fork_answers_as_a_fresh_start(tmp_path: Path, words: list[str]) -> None:
    environment = {**os.environ, **bare_variables(tmp_path)}
    fork, fresh = (run_program(words, environment, tmp_path, is_fresh=is_fresh) for is_fresh in (False, True))
    assert (fork.returncode, fork.stdout, fork.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


ENDS = {
    "import os; os._exit(77)": (77, ""),
    "import sys; sys.exit('a message')": (1, "a message"),
    "raise ValueError('of the test')": (1, "ValueError: of the test"),
    "raise KeyboardInterrupt": (-signal.SIGINT, "KeyboardInterrupt"),
    "import os; os.kill(os.getpid(), 9)": (-signal.SIGKILL, ""),
    "import atexit; atexit.register(print, 'at the end'); raise SystemExit(3)": (3, ""),
}


@pytest.mark.parametrize("code", ENDS)
def test_whatever_ends_a_fork_is_its_exit_code(tmp_path: Path, code: str) -> None:
    ran = run_program([], os.environ, tmp_path, first=code)
    ended, said = ENDS[code]
    assert (ran.returncode, said in ran.stderr) == (ended, True), ran.stderr
    assert ran.stdout == ("at the end\n" if "atexit" in code else "")


def test_a_signal_reaches_the_fork_and_waiting_has_a_limit(tmp_path: Path) -> None:
    code = "import time; print('ready', flush=True); time.sleep(60)"
    with start_program([], os.environ, tmp_path, first=code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
        assert process.poll() == -signal.SIGTERM


def test_variables_that_the_interpreter_reads_make_a_fresh_start(tmp_path: Path) -> None:
    process = start_program(["--version"], {**os.environ, "PYTHONHASHSEED": "7"}, tmp_path)
    assert not isinstance(process, ForkedProgram)
    assert process.communicate(timeout=60)[0].startswith("kalshi ")


def test_a_fork_on_a_terminal_knows_it(tmp_path: Path) -> None:
    near, far = pty.openpty()
    code = "import sys; print([each.isatty() for each in (sys.stdin, sys.stdout, sys.stderr)]); sys.exit()"
    process = start_program([], os.environ, tmp_path, first=code, stdin=far, stdout=far, stderr=far)
    assert process.wait(60) == 0
    os.close(far)
    assert os.read(near, 100) == b"[True, True, True]\r\n"
    os.close(near)
