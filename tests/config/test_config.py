"""Paths that follow from the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.config import yaml_file
from kalshi_cli.config.config import event_socket


def test_a_long_socket_path_is_replaced_by_one_in_the_runtime_folder() -> None:
    short, long = Path("/var/lib/kalshi/sim"), Path("/var/lib") / ("d" * 100)
    assert event_socket(short, "") == short / "events.sock"
    assert event_socket(long, "") is None
    found = event_socket(long, "/run/user/1000")
    assert found is not None
    assert found.parent == Path("/run/user/1000")
    assert found != event_socket(long / "x", "/run/user/1000")
    assert event_socket(long, "/run/" + "r" * 100) is None


def test_a_value_below_a_section_that_is_still_a_comment_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "env: sim\n# risk: # limits\n  # max_position: 100\n  max_daily_loss: 30\ntrade:\n  interval_s: 2\n"
    )
    with pytest.raises(ConfigError) as error:
        yaml_file.read(path)
    assert error.value.hint == "line 4 is in the commented section `# risk:`; remove the `# ` before `risk:` too"
    path.write_text("env: sim\nrisk:\n  max_daily_loss: 30\n   max_position: 10\n")
    with pytest.raises(ConfigError) as error:
        yaml_file.read(path)
    assert error.value.hint == "see config.example.yaml for the format"


def test_a_number_in_the_file_means_what_it_means_in_a_variable(tmp_path: Path) -> None:
    """YAML 1.1 alone reads the range `10:20` as 620, which would never alert, and `010` as 8."""
    path = tmp_path / "config.yaml"
    texts = ["10:20", "-1:30", "1:30.5", "010", "0x10", "0b11"]
    path.write_text(f"a: [{', '.join(texts)}]\nb: [0, 10, 0.10, -0.5, 1_000]\n")
    found = yaml_file.read(path)
    assert (found.tree, found.oddities) == ({"a": texts, "b": [0, 10, 0.1, -0.5, 1000]}, ())
