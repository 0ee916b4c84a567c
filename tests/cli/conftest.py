"""Fixtures for the tests of the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process try again at once: how long a request waits for that is tested in tests/exchange."""
    monkeypatch.setattr("kalshi_cli.exchange.rest.call._FIRST_PAUSE_S", 0.001)


@pytest.fixture
def same_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel and a close do not wait until a date, of whole seconds, shows that the account is read newly enough.

    For tests of other things than that wait of half a second, which tests/services/orders has.
    """
    monkeypatch.setattr("kalshi_cli.services.orders.cancel.MARGIN_MS", -1_000)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person with nothing configured, in an empty directory."""
    for name in [name for name in os.environ if name.startswith("KALSHI_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path
