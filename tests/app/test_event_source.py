"""The thread that reads what a screen shows."""

from __future__ import annotations

import os

import pytest
from support.served import Served, eventually

from kalshi_cli import Kalshi
from kalshi_cli.app.environment import Environment
from kalshi_cli.app.event_source import EventSource
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.config.sources import load


def test_after_a_change_the_account_is_read_at_once_and_again_at_the_next_event(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read only at the next event, a second later. A second read finds what the first came too soon for."""
    events = "kalshi_cli.services.trading.reports.live_events"
    monkeypatch.setattr(f"{events}.ACCOUNT_EVERY_S", 3600.0)
    monkeypatch.setattr(f"{events}.SILENCE_S", 1800.0)
    source = EventSource(lambda: Kalshi(Environment(load(None, os.environ, {}), lambda _: None)), SystemClock())
    reads: list[int] = []

    def has_read() -> bool:
        found = source.newest()
        if found is None or found.run is None or found.run.time in reads:
            return False
        reads.append(found.run.time)
        return True

    source.start()
    try:
        eventually(has_read)
        monkeypatch.setattr(f"{events}.SILENCE_S", 0.1)
        source.refresh()
        eventually(has_read)
        eventually(has_read)
    finally:
        source.stop()
