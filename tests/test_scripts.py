"""What runs this program unattended: the crontab with its wrapper, the units of systemd."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.examples import problems
from support.places import ROOT
from support.processes import write_short_cut

from kalshi_cli.base.errors import ExitCode

SCRIPTS = ROOT / "scripts"
ENVIRONMENT = SCRIPTS / "systemd/kalshi.env"
PROGRAM = Path(sys.executable).parent / "kalshi"
UNITS = sorted((SCRIPTS / "systemd").glob("kalshi-*"))


def cron(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The wrapper as cron runs it: with nothing but what the crontab names."""
    return subprocess.run(
        ["/bin/sh", str(SCRIPTS / "cron/kalshi-cron"), *words],
        env={"PATH": "/usr/bin:/bin", **variables}, cwd=home, capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, begin: Callable[[Path], None]) -> dict[str, str]:
    """What cron is told; its program is a fork."""
    begin(tmp_path / "state")
    program = write_short_cut(tmp_path) / "kalshi"
    return {"KALSHI_BIN": str(program), "KALSHI_ENV": "sim", "KALSHI_STATE": str(tmp_path / "state")}


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
    bare = cron(tmp_path, "--self-test", **settings, HOME=str(tmp_path))
    assert bare.returncode == 1, bare.stdout + bare.stderr
    assert "no configuration file, defaults apply" in bare.stderr
    assert "no alert channel is configured" in bare.stderr
    assert "everything works" not in bare.stdout
    (tmp_path / "told.yaml").write_text('alerts: {sinks: {main: {url: "https://127.0.0.1/x", allow_private: true}}}\n')
    (tmp_path / "told.yaml").chmod(0o600)
    installed = settings | {"KALSHI_BIN": str(PROGRAM), "KALSHI_CONFIG": str(tmp_path / "told.yaml")}
    ended = cron(tmp_path, "--self-test", **installed)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr.count("kalshi-cron: ") == 0
    assert "everything works from cron" in ended.stdout
    (tmp_path / "config.yaml").write_text("risk: {max_position: lots}\n")
    ended = cron(tmp_path, "--self-test", **settings, KALSHI_CONFIG=str(tmp_path / "config.yaml"))
    assert ended.returncode == 3
    assert "the configuration has errors" in ended.stderr


def test_the_crontab_tries_itself_with_its_own_variables() -> None:
    text = (SCRIPTS / "cron/kalshi.crontab").read_text()
    tried, used = text.split("SHELL=", 1)
    (path,) = {line for line in used.splitlines() if line.startswith("PATH=")}
    assert f" {path} " in tried
    assert "KALSHI_" not in used, "kalshi-cron reads /etc/kalshi/kalshi.env"


def installed(script: Path, folder: Path) -> Path:
    """A copy of a script for this user, that reads and runs files in the folder, as it would those of a server."""
    text = script.read_text().replace("/etc/kalshi/", f"{folder}/").replace("!= kalshi ]", f"!= {folder.owner()} ]")
    copy = folder / script.name
    copy.write_text(text.replace("/opt/kalshi/bin/kalshi", f"{folder}/program"))
    copy.chmod(0o700)
    (folder / "program").write_text('#!/bin/sh\necho "$KALSHI_ENV $KALSHI_CONFIG $KALSHI_STATE: $*"\nexit 7\n')
    (folder / "program").chmod(0o700)
    return copy


@pytest.mark.parametrize("script", ["systemd/kalshi", "cron/kalshi-cron"])
def test_a_manual_command_and_cron_use_the_account_of_the_units(tmp_path: Path, script: str) -> None:
    copy = installed(SCRIPTS / script, tmp_path)
    names = dict(line.split("=", 1) for line in ENVIRONMENT.read_text().splitlines() if line.startswith("KALSHI_"))
    lines = [f"{name}={value}" for name, value in names.items()]
    lines[1:] = [f"KALSHI_CONFIG={ENVIRONMENT}", f"KALSHI_STATE={tmp_path}/state"]
    (tmp_path / "kalshi.env").write_text("\n".join(lines) + "\n")
    bare = {"PATH": "/usr/bin:/bin", "KALSHI_BIN": str(tmp_path / "program")}
    ended = subprocess.run([copy, "cancel-all", "--json"], env=bare, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 7
    assert ended.stdout.startswith(f"demo {ENVIRONMENT} {tmp_path}/state: cancel-all --json")


def test_without_its_variables_the_command_runs_nothing(tmp_path: Path) -> None:
    copy = installed(SCRIPTS / "systemd/kalshi", tmp_path)
    ended = subprocess.run([copy, "status"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"cannot read {tmp_path}/kalshi.env" in ended.stderr


def test_a_python_that_the_service_user_cannot_run_is_named(tmp_path: Path) -> None:
    copy = installed(SCRIPTS / "systemd/kalshi", tmp_path)
    copy.write_text(copy.read_text().replace("/opt/kalshi/bin/python", f"{tmp_path}/python"))
    (tmp_path / "kalshi.env").write_text("KALSHI_ENV=demo\n")
    for target, code in (("/nowhere/python3.11", 2), ("/bin/sh", 7)):
        (tmp_path / "python").symlink_to(target)
        bare = {"PATH": "/usr/bin:/bin"}
        ended = subprocess.run([copy, "status"], env=bare, capture_output=True, text=True, timeout=60)
        assert ended.returncode == code
        assert ("cannot run /nowhere/python3.11" in ended.stderr) == (code == 2)
        (tmp_path / "python").unlink()


def test_every_unit_uses_the_same_account() -> None:
    services = [path.read_text() for path in UNITS if path.suffix == ".service"]
    assert len(services) == 3
    for text in services:
        assert text.count("EnvironmentFile=/etc/kalshi/kalshi.env\n") == 1
        assert not {"KALSHI_ENV", "KALSHI_CONFIG", "KALSHI_STATE"} & set(
            re.findall(r"^Environment=(\w+)", text, re.MULTILINE)
        )


@pytest.fixture
def saying(tmp_path: Path) -> dict[str, str]:
    """A program that says what is in the file `said`, and ends with what is in the file `code`."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/said"\nexit "$(cat "{tmp_path}/code")"\n')
    program.chmod(0o700)
    return {"KALSHI_BIN": str(program), "KALSHI_ENV": "sim", "KALSHI_STATE": str(tmp_path / "state")}


def test_what_lasts_is_mailed_when_it_begins_when_it_changes_and_hourly_and_so_is_its_end(
    tmp_path: Path, saying: dict[str, str]
) -> None:
    def mailed(code: int, said: str, *words: str) -> str:
        (tmp_path / "said").write_text(f"{said}\n")
        (tmp_path / "code").write_text(str(code))
        ended = cron(tmp_path, *(words or ("check", "all")), **saying)
        assert (ended.returncode, ended.stderr) == (code, "")
        return ended.stdout

    assert mailed(0, "KALSHI ALL OK") == ""
    assert "EXPOSURE" in mailed(1, "KALSHI ALL WARNING - EXPOSURE 401.50 of 500 | usd=401.50")
    assert mailed(1, "KALSHI ALL WARNING - EXPOSURE 402.25 of 500 | usd=402.25 more=1") == ""
    assert "EXPOSURE" in mailed(1, "KALSHI ALL WARNING - EXPOSURE 402.25 of 500", "check", "positions"), "other words"
    assert "DRIFT" in mailed(1, "KALSHI ALL WARNING - DRIFT 1 of 500")
    assert "DRIFT" in mailed(2, "KALSHI ALL WARNING - DRIFT 1 of 500"), "another code"
    (kept,) = [file for file in (tmp_path / "state/cron").iterdir() if file.read_text().splitlines()[1][0] == "2"]
    assert kept.stat().st_mode & 0o077 == 0
    since, gist = kept.read_text().splitlines()
    kept.write_text(f"{int(since) - 3_600}\n{gist}\n")
    assert "DRIFT" in mailed(2, "KALSHI ALL WARNING - DRIFT 1 of 500"), "an hour later"
    assert mailed(2, "KALSHI ALL WARNING - DRIFT 1 of 500") == ""
    for _ in range(2):
        assert "UNKNOWN" in mailed(3, "KALSHI ALL UNKNOWN - no answer")
    assert mailed(3, "KALSHI ALL UNKNOWN - already running (pid 1)") == "", "who did not look does not know"
    assert mailed(2, "KALSHI ALL CRITICAL - CHECK_SKIPPED all: 4 in a row; already running (pid 1)"), "too often"
    assert mailed(0, "KALSHI ALL OK") == "OK again: kalshi check all (sim)\n"
    assert mailed(0, "KALSHI ALL OK") == ""


def test_of_a_table_the_rows_that_are_not_ok_say_whether_it_is_news(tmp_path: Path, saying: dict[str, str]) -> None:
    def mailed(*rows: str) -> str:
        (tmp_path / "said").write_text("\n".join(("check  status  latency_ms  detail", *rows, "")))
        (tmp_path / "code").write_text("1")
        return cron(tmp_path, "health-check", **saying).stdout

    assert "halted" in mailed("clock  OK  1.5  fine", "state  WARNING  2.0  halted")
    assert mailed("clock  OK  9.25  right", "state  WARNING  12  halted") == ""
    assert "slow" in mailed("clock  WARNING  9.25  slow", "state  WARNING  12  halted")


def test_what_was_said_is_kept_of_so_many_commands_only(tmp_path: Path, saying: dict[str, str]) -> None:
    (tmp_path / "said").write_text("KALSHI ALL WARNING\n")
    (tmp_path / "code").write_text("1")
    folder = tmp_path / "state/cron"
    folder.mkdir(parents=True)
    for number in range(200):
        (folder / f"{number}-1").write_text("0\n1 x\n")
    assert cron(tmp_path, "check", "all", **saying).returncode == 1
    assert len(list(folder.iterdir())) == 50


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
    assert ExitCode.UNKNOWN_OUTCOME in codes, "it hides a halt, and a restart would trade on"
    assert ExitCode.UNREACHABLE not in codes


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units, as installed: with the program where it is here."""
    for path in UNITS:
        text = path.read_text()
        assert problems("\n".join(line.replace("/opt/kalshi/bin/", "") for line in text.splitlines())) == []
        (tmp_path / path.name).write_text(text.replace("/opt/kalshi/bin/kalshi", str(PROGRAM)))
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


def test_the_dashboard_cannot_change_the_state_directory(units: list[str]) -> None:
    """What the mount then does is tested in tests/store/test_read_only_mount.py and tests/web/test_server.py."""
    (unit,) = [unit for unit in units if unit.endswith("kalshi-dashboard.service")]
    lines = Path(unit).read_text().splitlines()
    assert {"ProtectSystem=strict", "ReadOnlyPaths=/var/lib/kalshi", "Environment=KALSHI_READ_ONLY=true"} <= set(lines)
    writable = " ".join(line.partition("=")[2] for line in lines if line.startswith("ReadWritePaths=")).split()
    assert writable
    assert all(Path(path).name == "pace" for path in writable), "the counters of the rate limit, and nothing else"
    assert not any(line.startswith("StateDirectory=") for line in lines), "systemd would make it writable"
    ended = analyzed("security", "--offline=true", "--json=short", "--threshold=20", unit)
    assert ended.returncode == 0, ended.stdout
