"""`scripts/install.sh`, with stand-ins for the commands that change a machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.places import ROOT

STAND_INS = {
    "id": 'case "$1" in -u) echo 0 ;; -un) echo root ;; *) [ -e "$STUBS/made" ] ;; esac',
    "useradd": 'touch "$STUBS/made"',
    "runuser": 'echo "runuser $*"',
    "systemctl": """case "$1" in
is-active) [ "$3" = "${RUNNING:-}" ] ;;
*) [ -d /run/systemd/system ] ;;
esac""",
    # Without an owner, which only root can set.
    "install": f"""for word; do shift; case "$word" in -o|-g|kalshi) ;; *) set -- "$@" "$word" ;; esac; done
exec {shutil.which("install")} "$@" """,
    "python": """[ "$1" = -m ] || exit "${OLD:-0}"
mkdir -p "$3/bin"; printf '#!/bin/sh\\n' >"$3/bin/pip"; chmod 755 "$3/bin/pip"
cp "$3/bin/pip" "$3/bin/kalshi" """,
}
UNIT, SETTINGS = "etc/systemd/system/kalshi-trade.service", "etc/kalshi/kalshi.env"


def install(tmp_path: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    stubs = tmp_path / "stubs"
    stubs.mkdir(exist_ok=True)
    for name, text in STAND_INS.items():
        (stubs / name).write_text(f"#!/bin/sh\n{text}\n")
        (stubs / name).chmod(0o755)
    own = {"STUBS": str(stubs), "PATH": f"{stubs}:{os.environ['PATH']}", "PYTHON": str(stubs / "python")}
    return subprocess.run(
        ["sh", str(ROOT / "scripts/install.sh"), *words], env={**own, "DESTDIR": str(tmp_path / "root"), **variables},
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def commands(ended: subprocess.CompletedProcess[str]) -> list[str]:
    assert ended.returncode == 0, ended.stderr
    return [line for line in ended.stdout.splitlines() if line.startswith("+ ")]


def test_a_dry_run_prints_what_the_run_then_does(tmp_path: Path) -> None:
    planned = install(tmp_path, "--dry-run")
    assert not (tmp_path / "root").exists()
    assert commands(planned) == commands(install(tmp_path))
    assert not any("useradd" in line or "-o kalshi" in line for line in commands(planned)), "only for a trial"
    here = commands(install(tmp_path, "--dry-run", DESTDIR=""))
    assert any(line.startswith("+ useradd") for line in here)
    assert any("-o kalshi -g kalshi" in line and line.endswith("/etc/kalshi/kalshi.env") for line in here)
    root = tmp_path / "root"
    assert (root / "usr/local/bin/kalshi-cron").stat().st_mode & 0o777 == 0o755
    assert [(root / name).stat().st_mode & 0o777 for name in ("etc/kalshi", SETTINGS, UNIT)] == [0o700, 0o600, 0o644]
    assert len(list((root / UNIT).parent.iterdir())) == len(list((ROOT / "scripts/systemd").glob("kalshi-*")))


def test_the_version_is_that_of_the_installed_program_also_where_the_wrapper_has_no_settings(tmp_path: Path) -> None:
    assert commands(install(tmp_path))[-1] == f"+ {tmp_path / 'root'}/opt/kalshi/bin/kalshi --version"
    assert commands(install(tmp_path, "--dry-run", DESTDIR=""))[-1] == "+ /usr/local/bin/kalshi --version"


def test_a_second_run_upgrades_and_keeps_what_you_changed(tmp_path: Path) -> None:
    commands(install(tmp_path))
    root = tmp_path / "root"
    (root / UNIT).write_text("mine")
    again = install(tmp_path)
    assert ((root / UNIT).read_text(), [line for line in again.stdout.splitlines() if "kept" in line]) == (
        "mine",
        [f"kept {root / UNIT}, which differs: diff {root / UNIT} scripts/systemd/kalshi-trade.service"],
    )
    assert not any(word in line for line in commands(again) for word in ("useradd", "venv", SETTINGS, "-m 644"))
    assert sum("bin/pip install" in line for line in commands(again)) == 2


@pytest.mark.parametrize(
    ("words", "variables", "reason"),
    [
        (("--help",), {}, "usage: scripts/install.sh [--dry-run]"),
        ((), {"RUNNING": "kalshi-trade.service"}, "kalshi-trade.service runs: systemctl stop kalshi-trade.service"),
        ((), {"OLD": "1"}, "is not Python 3.11 or newer: set PYTHON"),
    ],
)
def test_it_changes_nothing_where_it_cannot_install(
    tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], reason: str
) -> None:
    ended = install(tmp_path, *words, **variables)
    assert (ended.returncode, reason in ended.stderr, (tmp_path / "root").exists()) == (2, True, False)
