"""What a command does not import: start-up time is mostly other people's modules."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "apprise",
    "asyncio",
    "cryptography",
    "httpcore",
    "httpx",
    "kalshi_cli.app",
    "msgspec",
    "platformdirs",
    "prometheus_client",
    "rich",
    "sqlite3",
    "tabulate",
    "uvicorn",
    "websocket",
    "yaml",
)

PROGRAM = """
import sys
from kalshi_cli.cli.main import main
code = main(sys.argv[1:])
print("\\nIMPORTED", *sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""


def imported(*words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split("IMPORTED")[1].split())


@pytest.mark.parametrize("words", [("--help",), ("--version",), (), ("order", "-h")])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    assert imported(*words) & set(HEAVY) == set()


def test_the_probe_does_see_what_is_imported() -> None:
    found = imported("config", "show", "--format", "table", "--env", "sim")
    assert {"rich", "msgspec", "platformdirs"} <= found


def test_a_small_command_imports_only_what_it_uses() -> None:
    found = imported("config", "show", "--format", "json", "--env", "sim")
    assert found & {"httpx", "cryptography", "sqlite3", "websocket", "rich", "tabulate", "kalshi_cli.app"} == set()


def test_click_itself_is_never_imported() -> None:
    assert "click" not in imported("config", "show", "--env", "sim")
