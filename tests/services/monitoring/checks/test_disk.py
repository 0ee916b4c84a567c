"""`kalshi check disk`: the file systems of the state and log directories, with and without room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.served import Ended, bare_variables, program, set_variables

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.services.monitoring.checks.disk import once_per_file_system
from kalshi_cli.services.monitoring.checks.readings import could_not_read

CONFIG = "env: sim\nlogs: {{folder: {folder}}}\nchecks: {{disk_free_gb: {gb}, disk_free_inodes: {inodes}}}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, tmp_path, {**bare_variables(tmp_path), "KALSHI_ENV": "sim"})


def check(*words: str) -> Ended:
    return program("check", "disk", "--json", "--no-notify", *words)


def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **ranges: str) -> None:
    fields = {"folder": tmp_path / "logs", "gb": "{warn: null, crit: null}", "inodes": "{warn: null, crit: null}"}
    path = tmp_path / "disk.yaml"
    path.write_text(CONFIG.format(**(fields | ranges)))
    path.chmod(0o600)
    monkeypatch.setenv("KALSHI_CONFIG", str(path))


def found(ended: Ended) -> list[tuple[str, str]]:
    return [(each["severity"], each["code"]) for each in ended.json["breaches"]]


def test_free_space_is_what_the_system_says(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free / 1e9
    ended = check("-w", "0:", "-c", "0:")
    (measure,) = (each for each in ended.json["measures"] if each["label"] == "disk_free_gb")
    assert measure["value"] == pytest.approx(free, rel=0.05, abs=0.5)


def test_too_little_space_is_critical_or_a_warning() -> None:
    assert (check("-w", "0:", "-c", "1000000000:").code, check("-w", "1000000000:", "-c", "0:").code) == (2, 1)
    ended = check("-c", "1000000000:")
    assert found(ended)[0] == ("critical", "DISK_SPACE")
    assert (ended.json["runbook"], "GB free" in ended.json["summary"]) == ("disk-full", True)


@pytest.mark.skipif(not os.statvfs("/").f_files, reason="this file system has no number of inodes")
def test_too_few_inodes_are_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(tmp_path, monkeypatch, inodes='{warn: "10000000000000:", crit: null}')
    ended = check()
    assert set(found(ended)) == {("warning", "DISK_INODES")}


def test_two_directories_of_one_full_disk_are_one_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(tmp_path, monkeypatch, gb='{warn: "1000000000:", crit: null}')
    subjects: list[Any] = [each["subject"] for each in check().json["breaches"]]
    assert subjects == [str(tmp_path / "state" / "sim")]


def test_each_file_system_is_examined_and_one_that_cannot_be_read_too() -> None:
    devices = {Path("/state"): 1, Path("/state/logs"): 1, Path("/var/log"): 2, Path("/gone"): None, Path("/lost"): None}
    found = once_per_file_system(devices, devices.__getitem__)
    assert list(map(str, found)) == ["/state", "/var/log", "/gone", "/lost"]


def test_the_log_directory_is_among_those_that_are_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [Path(each) for each in ("/dev/shm", "/tmp", "/var/tmp", Path.home()) if Path(each).is_dir()]
    other = next((each for each in others if each.stat().st_dev != tmp_path.stat().st_dev), None)
    if other is None:
        pytest.skip("this machine has one file system")
    configured(tmp_path, monkeypatch, gb='{warn: "1000000000:", crit: null}', folder=str(other / "kalshi-test-logs"))
    subjects = [each["subject"] for each in check().json["breaches"]]
    assert subjects == [str(tmp_path / "state" / "sim"), str(other / "kalshi-test-logs" / "sim")]


def test_a_directory_that_cannot_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_path: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", broken)
    ended = check()
    assert (ended.code, found(ended)) == (3, [("unknown", "STATE_UNUSABLE")])


@pytest.mark.parametrize(("code", "runbook"), [("state_full", "disk-full"), ("state_locked", ""), ("", "")])
def test_a_state_file_without_room_has_the_runbook_of_the_full_disk(code: str, runbook: str) -> None:
    found = could_not_read("positions", StateFileError("No space left to write state.db", code=code))
    assert (found.code, found.severity, found.runbook) == ("STATE_UNUSABLE", "unknown", runbook)


def test_an_unusable_state_file_is_named_with_the_next_step() -> None:
    error = StateFileError("The state file state.db is damaged", hint="run `kalshi state rebuild`")
    found = could_not_read("stop-loss", error)
    assert (found.value, found.limit) == (
        "The state file state.db is damaged; run `kalshi state rebuild`", "a usable file",
    )  # fmt: skip
