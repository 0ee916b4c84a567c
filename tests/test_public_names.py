"""What `from kalshi_cli import ...` gives, and what it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kalshi_cli

SLOW = {
    "apprise", "cryptography", "httpx", "msgspec", "platformdirs", "prometheus_client", "rich", "sqlite3", "tabulate",
    "typer", "uvicorn", "websocket", "yaml",
}  # fmt: skip
"""Modules that take long to load."""

PROGRAM = "import sys\n{}\nprint(*sorted(sys.modules))"


def loaded_by(statement: str) -> set[str]:
    words = [sys.executable, "-c", PROGRAM.format(statement)]
    return set(subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.split())


@pytest.mark.parametrize(
    "statement", ["import kalshi_cli", "from kalshi_cli import Kalshi", "from kalshi_cli import errors, units"]
)
def test_an_import_loads_nothing_slow(statement: str) -> None:
    assert loaded_by(statement) & SLOW == set()


def test_the_probe_sees_what_is_loaded() -> None:
    assert {"msgspec", "kalshi_cli.services.orders.place"} <= loaded_by("from kalshi_cli import OrderTicket")


def test_an_open_account_loads_no_screen_and_no_server() -> None:
    found = loaded_by("from kalshi_cli import Kalshi\nwith Kalshi.open(env='demo') as kalshi: kalshi.orders")
    assert "httpx" in found
    assert found & {"typer", "tabulate", "apprise", "prometheus_client", "uvicorn"} == set()
    assert not any(name.startswith("kalshi_cli.cli") for name in found)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in kalshi_cli.__all__:
        assert getattr(kalshi_cli, name) is not None
    assert set(kalshi_cli.__all__) <= set(dir(kalshi_cli))
    with pytest.raises(AttributeError, match="has no attribute 'Exchange'"):
        _ = kalshi_cli.Exchange
