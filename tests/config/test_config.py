"""Paths that follow from the configuration."""

from __future__ import annotations

from pathlib import Path

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
