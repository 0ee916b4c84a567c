"""What is told, to whom, and that nothing is lost or told twice: over a real state file, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alert_desk import DOWN, EVERYTHING, GONE, PHONE, AlertDesk, breach

from kalshi_cli.config_sections import Sink

Open = Callable[..., AlertDesk]


@pytest.fixture
def desk_of(tmp_path: Path) -> Iterator[Open]:
    opened: list[AlertDesk] = []

    def open_desk(**more: Any) -> AlertDesk:
        opened.append(AlertDesk(tmp_path, **more))
        return opened[-1]

    yield open_desk
    for each in opened:
        each.close()


def test_a_breach_is_told_once_and_its_end_once(desk_of: Open) -> None:
    desk = desk_of()
    assert desk.check(breach()) == ["[sim] CRITICAL POSITION_LIMIT KXA"]
    assert desk.check(breach()) == []
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]
    assert desk.check() == []


def test_what_a_loop_recorded_is_told(desk_of: Open) -> None:
    desk = desk_of()
    desk.record("DRIFT", tier="critical")
    assert desk.tell() == ["[sim] CRITICAL DRIFT KXA"]
    assert desk.tell() == []
