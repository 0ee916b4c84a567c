"""Clients that strangers wrote trade on the simulated exchange, over real sockets, with nothing prepared.

They are installed on demand into an environment of their own: `KALSHI_STRANGERS=1` lets this test ask the package
registry. Without that, or where the registry does not answer, it is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import bare_variables, finish, start

PYKALSHI = "pykalshi==2.0.0"
INSTALL_WITHIN_S = 300
TRADE_WITHIN_S = 300


@pytest.fixture
def served_line(tmp_path: Path) -> Iterator[str]:
    """The line of `kalshi sim serve --accounts 2`, in a state directory that is new."""
    process = start(["sim", "serve", "--accounts", "2"], bare_variables(tmp_path), tmp_path)
    assert process.stdout is not None
    yield process.stdout.readline()
    process.terminate()
    finish(process)


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The interpreter of an environment that has pykalshi and nothing of ours."""
    if not os.environ.get("KALSHI_STRANGERS"):
        pytest.skip(f"set KALSHI_STRANGERS=1 to install {PYKALSHI} from the package registry")
    folder = tmp_path / "stranger"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    try:
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYKALSHI],
            check=True,
            capture_output=True,
            timeout=INSTALL_WITHIN_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{PYKALSHI} cannot be installed here: {str(error)[:200]}")
    return python


def test_pykalshi_trades_with_the_key_that_is_served(stranger: Path, served_line: str) -> None:
    script = Path(__file__).with_name("trade_pykalshi.py")
    ended = subprocess.run(
        [stranger, script, served_line], capture_output=True, text=True, timeout=TRADE_WITHIN_S, cwd=script.parent
    )
    calls: list[dict[str, Any]] = [json.loads(line) for line in ended.stdout.splitlines()]
    failed = [call for call in calls if call["error"]]
    assert failed == []
    assert ended.returncode == 0, ended.stderr
    assert len(calls) >= 60
    assert sys.executable != str(stranger)
