"""Third-party clients trade on the simulated exchange, over real sockets, without any adaptation.

They are installed on demand into an environment of their own: `KALSHI_THIRD_PARTY=1` lets this test ask the package
registry. Without that, or where the registry does not answer, it is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import bare_variables, finish, start

PYKALSHI = "pykalshi==2.0.0"
TYPESCRIPT = "kalshi-typescript@3.30.0"
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


def install(package: str, words: list[str | Path]) -> None:
    """Install a package from its registry, or skip the test."""
    if not os.environ.get("KALSHI_THIRD_PARTY"):
        pytest.skip(f"set KALSHI_THIRD_PARTY=1 to install {package} from its package registry")
    try:
        subprocess.run([*words, package], check=True, capture_output=True, timeout=INSTALL_WITHIN_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{package} cannot be installed here: {str(error)[:200]}")


@pytest.fixture
def pykalshi(tmp_path: Path) -> list[str | Path]:
    """What runs a script in an environment that has pykalshi and nothing of ours."""
    folder = tmp_path / "pykalshi"
    venv.create(folder, with_pip=bool(os.environ.get("KALSHI_THIRD_PARTY")))
    python = folder / "bin" / "python"
    install(PYKALSHI, [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
    return [python, Path(__file__).with_name("trade_pykalshi.py")]


@pytest.fixture
def typescript(tmp_path: Path) -> list[str | Path]:
    """What runs a script that finds kalshi-typescript, and nothing of ours."""
    if (npm := shutil.which("npm")) is None:
        pytest.skip("kalshi-typescript needs node and npm")
    folder = tmp_path / "typescript"
    folder.mkdir()
    install(TYPESCRIPT, [npm, "install", "--silent", "--prefix", folder])
    return ["node", Path(__file__).with_name("trade_typescript.cjs"), folder]


def trades(words: list[str | Path], served_line: str) -> None:
    """See a stranger's script make its calls, at least sixty, all of which succeed."""
    ended = subprocess.run(
        [*words, served_line], capture_output=True, text=True, timeout=TRADE_WITHIN_S, cwd=Path(__file__).parent
    )
    calls = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [call for call in calls if call["error"]] == []
    assert ended.returncode == 0, ended.stderr
    assert len(calls) >= 60


def test_pykalshi_trades_with_the_keys_that_are_served(pykalshi: list[str | Path], served_line: str) -> None:
    trades(pykalshi, served_line)


def test_kalshi_typescript_trades_with_the_keys_that_are_served(typescript: list[str | Path], served_line: str) -> None:
    trades(typescript, served_line)
