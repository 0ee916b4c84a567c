"""The peers, each in a virtual environment of its own under `.bench/`, made on first use."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv

from bench.contest import ROOT, ContestError

HOME = ROOT / ".bench"

SDK = "kalshi_python_sync==3.2.0"
PYKALSHI = "pykalshi==2.0.0"
SQLALCHEMY = "sqlalchemy==2.0.44"
NAUTILUS = "nautilus_trader==1.221.0"
HFTBACKTEST = "hftbacktest==2.4.4"
RICH = "rich==14.2.0"

_LONGEST_INSTALL_S = 600


def python_with(requirement: str) -> str:
    """The interpreter of the environment that has it; ContestError where it cannot be installed."""
    home = HOME / requirement.partition("==")[0]
    python = home / "bin" / "python"
    installed = home / ".installed"
    if installed.is_file() and installed.read_text() == requirement:
        return str(python)
    print(f"installing {requirement} for the comparison ...", file=sys.stderr, flush=True)
    if home.exists():
        shutil.rmtree(home)
    try:
        venv.create(home, with_pip=True, symlinks=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        subprocess.run(pip, check=True, capture_output=True, timeout=_LONGEST_INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise ContestError(f"{requirement} could not be installed") from error
    installed.write_text(requirement)
    return str(python)
