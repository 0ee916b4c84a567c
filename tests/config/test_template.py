"""The commented configuration that `kalshi init` writes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.units import Money
from kalshi_cli.config.sources import load
from kalshi_cli.config.template import EXAMPLE_HEAD, filled, template, write


def test_answers_become_values_and_every_comment_stays(tmp_path: Path) -> None:
    text = filled(
        template(),
        {
            "env": "demo",
            "risk.max_daily_loss": "25",
            "credentials.demo.key_id": "abc",
            "credentials.demo.private_key_path": "/keys/demo.key",
            "alerts.channels": {"main": {"url": "https://a.example/x", "tiers": ["critical"]}},
        },
    )
    path = tmp_path / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    config = load(path, {}, {})
    assert (config.env, config.risk.max_daily_loss) == ("demo", Money(25_000_000))
    assert (config.credential.key_id, config.credential.private_key_path) == ("abc", Path("/keys/demo.key"))
    assert config.alerts.channels["main"].tiers == ("critical",)
    assert config.credentials.prod.key_id == ""
    kept = [line.strip() for line in text.splitlines()]
    comments = [line.strip() for line in template().splitlines()[2:] if line.strip().startswith("#")]
    assert [line for line in comments if line not in kept] == []


def test_what_nobody_answered_stays_a_default(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(filled(template(), {"env": "demo", "risk.max_daily_loss": "25"}))
    assert yaml.safe_load(path.read_text()) == {"env": "demo", "risk": {"max_daily_loss": "25"}}
    assert yaml.safe_load(filled(template(), {})) is None
    assert load(path, {}, {}).risk.max_exposure == load(None, {}, {}).risk.max_exposure


def test_a_default_is_set_by_removing_the_sign_before_it_and_before_its_section() -> None:
    lines = filled(template(), {}).splitlines()
    for number, line in enumerate(lines):
        if line in ("# risk:", "  # max_order_count: 100 # contracts in one order"):
            lines[number] = line.replace("# ", "", 1)
    assert yaml.safe_load("\n".join(lines)) == {"risk": {"max_order_count": 100}}


def test_the_file_says_what_it_is() -> None:
    text = filled(template(), {})
    assert text.startswith("# Written by `kalshi init`.")
    assert template().startswith(EXAMPLE_HEAD), "the example's own head is replaced"
    assert "Copy this file" not in text


def test_an_answer_for_what_is_not_there_is_an_error_not_a_lost_answer() -> None:
    with pytest.raises(ValueError, match="does not contain risk"):
        filled(template(), {"risk.max_los": "1"})


@given(key_id=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=80))
def test_whatever_is_typed_can_be_nothing_but_that_value(tmp_path_factory: Any, key_id: str) -> None:
    path = tmp_path_factory.mktemp("typed") / "config.yaml"
    path.write_text(filled(template(), {"env": "demo", "credentials.demo.key_id": key_id}))
    assert load(path, {}, {}).credential.key_id == key_id


def test_the_file_is_its_owners_alone_and_an_older_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.yaml"
    assert write(path, "env: sim\n") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = write(path, "env: demo\n")
    assert kept is not None
    assert (kept.read_text(), path.read_text()) == ("env: sim\n", "env: demo\n")
    again = write(path, "env: prod\n")
    assert again is not None
    assert (kept.read_text(), again.read_text(), path.read_text()) == ("env: sim\n", "env: demo\n", "env: prod\n")
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "config.yaml", "config.yaml.before", "config.yaml.before.2",
    ]  # fmt: skip
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Cannot write"):
        write(tmp_path / "file" / "config.yaml", "env: sim\n")


def test_nothing_takes_the_place_of_what_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(ConfigError, match="is not a file"):
            write(path, "env: sim\n")
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]
