"""Folders that the program makes belong to its user alone, the missing parents included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import Served, program, set_variables

from kalshi_cli.base.files import make_folder


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Take nothing away from the modes that the program asks for."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(top: Path) -> dict[str, str]:
    """Every folder from `top` down that others may use, with its mode."""
    folders = [top, *(each for each in top.rglob("*") if each.is_dir())]
    found = {str(each.relative_to(top.parent)): f"{each.stat().st_mode & 0o777:04o}" for each in folders}
    return {name: mode for name, mode in found.items() if mode != "0700"}


def test_each_missing_parent_is_for_its_owner_alone(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert modes(tmp_path / "a") == {}


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    make_folder(tmp_path / "a" / "b")
    assert modes(tmp_path / "a") == {"a": "0755"}


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a")
    for path in (tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        with pytest.raises(NotADirectoryError):
            make_folder(path)


@pytest.mark.parametrize(
    "line",
    [
        "order place KXRAIN-40JAN01-T1.0 --side yes --action buy --count 1 --price 0.10",
        "trade --strategy spike --duration 1s",
        "cancel-all",
        "pause --reason x",
        "catalog refresh",
    ],
)
def test_a_command_opens_no_folder_of_its_state_to_others(
    exchange: Served, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_STATE", str(exchange.home / "new" / "state"))
    monkeypatch.setenv("KALSHI_LOGS__FOLDER", str(exchange.home / "new-logs" / "kalshi"))
    assert program(*line.split()).code == 0
    made = [exchange.home / name for name in ("new", "new-logs") if (exchange.home / name).exists()]
    assert made
    assert [modes(each) for each in made] == [{}] * len(made)


def test_the_folders_of_a_simulated_exchange_and_of_a_configuration_are_not_open_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, tmp_path, {"HOME": str(tmp_path), "KALSHI_STATE": str(tmp_path / "new" / "state")})
    program("init", "--config", tmp_path / "new" / "etc" / "config.yaml", "--env", "sim")
    program("strategies", "new", "dip", "--dir", tmp_path / "new" / "own" / "strategies")
    assert (tmp_path / "new" / "etc" / "config.yaml").exists()
    assert (tmp_path / "new" / "own" / "strategies" / "dip.py").exists()
    assert (tmp_path / "new" / "state" / "sim").exists()
    assert modes(tmp_path / "new") == {}
