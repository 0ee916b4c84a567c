"""What runs this program unattended: the crontab with its wrapper, the units of systemd."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_documents import problems

from kalshi_cli.errors import ExitCode

SCRIPTS = Path(__file__).parents[1] / "scripts"
PROGRAM = Path(sys.executable).parent / "kalshi"
UNITS = sorted((SCRIPTS / "systemd").iterdir())


def cron(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The wrapper as cron runs it: with nothing but what the crontab names."""
    return subprocess.run(
        ["/bin/sh", str(SCRIPTS / "cron/kalshi-cron"), *words],
        env={"PATH": "/usr/bin:/bin", **variables}, cwd=home, capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {"KALSHI_BIN": str(PROGRAM), "KALSHI_ENV": "sim", "KALSHI_STATE": str(tmp_path / "state")}


def test_what_is_missing_for_cron_is_named_and_is_unknown(tmp_path: Path) -> None:
    ended = cron(tmp_path, "check", "positions")
    assert ended.returncode == 3
    for name in ("KALSHI_BIN", "KALSHI_ENV", "KALSHI_STATE"):
        assert name in ended.stderr
    assert cron(tmp_path, "check", "positions", KALSHI_STATE="state").stderr.count("absolute path") == 1


def test_what_is_fine_is_silent_and_what_is_not_is_said_with_its_exit_code(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    ended = cron(tmp_path, "health-check", **settings)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert cron(tmp_path, "cancel-all", **settings).returncode == 0
    ended = cron(tmp_path, "health-check", **settings)
    assert ended.returncode == 1
    assert "CANCEL_ALL" in ended.stdout
    assert "\x1b" not in ended.stdout


def test_the_set_up_tells_whether_it_works(tmp_path: Path, settings: dict[str, str]) -> None:
    ended = cron(tmp_path, "--self-test", **settings)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "all of this works from cron" in ended.stdout
    (tmp_path / "config.yaml").write_text("risk: {max_position: lots}\n")
    ended = cron(tmp_path, "--self-test", **settings, KALSHI_CONFIG=str(tmp_path / "config.yaml"))
    assert ended.returncode == 3
    assert "the configuration is wrong" in ended.stderr


def test_every_line_of_the_crontab_is_a_command_that_exists() -> None:
    lines = [
        line.split("kalshi-cron ", 1)[1]
        for line in (SCRIPTS / "cron/kalshi.crontab").read_text().splitlines()
        if "kalshi-cron " in line and not line.startswith("#")
    ]
    assert len(lines) >= 3
    assert [f"{line}: {wrong}" for line in lines for wrong in problems(f"kalshi {line}")] == []


def test_a_service_manager_does_not_restart_what_a_restart_would_not_mend() -> None:
    text = (SCRIPTS / "systemd/kalshi-trade.service").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("RestartPreventExitStatus=")]
    codes = {ExitCode(int(code)) for code in line.partition("=")[2].split()}
    assert codes >= {ExitCode.HALTED, ExitCode.CREDENTIALS, ExitCode.STATE, ExitCode.USAGE, ExitCode.INSTANCE}
    assert ExitCode.UNREACHABLE not in codes


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units, as installed: with the program where it is here."""
    for path in UNITS:
        text = path.read_text()
        assert problems("\n".join(line.replace("/usr/local/bin/", "") for line in text.splitlines())) == []
        (tmp_path / path.name).write_text(text.replace("/usr/local/bin/kalshi", str(PROGRAM)))
    return [str(tmp_path / path.name) for path in UNITS]


def analyzed(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60)


def test_systemd_finds_nothing_wrong_with_the_units(units: list[str]) -> None:
    ended = analyzed("verify", "--man=no", *units)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_systemd_would_find_something_wrong(tmp_path: Path, units: list[str]) -> None:
    broken = tmp_path / "kalshi-broken.service"
    broken.write_text(Path(units[0]).read_text().replace("Type=oneshot", "Type=oneshot\nProtectSistem=strict"))
    assert "ProtectSistem" in analyzed("verify", "--man=no", str(broken)).stderr


def test_the_loop_can_reach_little_of_the_machine(units: list[str]) -> None:
    (unit,) = [unit for unit in units if unit.endswith("kalshi-trade.service")]
    ended = analyzed("security", "--offline=true", "--json=short", "--threshold=20", unit)
    assert ended.returncode == 0, ended.stdout  # an exposure of at most 2.0 of 10
    assert json.loads(ended.stdout)
