"""The drill with a wrong clock ends as its page says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT
from support.served import bare_variables, finish, start

PAGE = (ROOT / "docs/simulated-exchange.md").read_text()
BLOCK = PAGE.partition("## Practice with a wrong clock")[2].partition("```sh\n")[2].partition("```")[0]
LINES = re.findall(r"^((?:faketime|kalshi cancel).*?) +#.*exit code (\d)", BLOCK, re.MULTILINE)


def test_each_command_with_a_wrong_clock_ends_with_the_code_of_the_page(tmp_path: Path) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not here")
    variables = bare_variables(tmp_path)
    command = tmp_path / "kalshi"  # a fresh interpreter, because a fork would keep the right clock
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m kalshi_cli "$@"\n')
    command.chmod(0o755)
    server = start(["sim", "serve"], variables, tmp_path)
    assert server.stdout is not None
    assert json.loads(server.stdout.readline())["rest_url"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    try:
        for line, code in LINES:
            ended = subprocess.run(
                ["sh", "-c", line], env={**variables, "PATH": path}, capture_output=True, text=True, timeout=120
            )
            assert ended.returncode == int(code), f"{line}: {ended.stdout}{ended.stderr}"
            assert ("clock" in ended.stdout + ended.stderr) == line.startswith("faketime")
    finally:
        server.terminate()
        finish(server)
    assert len(LINES) == 5
