"""What a command does not import: start-up time is mostly other people's modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.receivers import receiving

HEAVY = (
    "apprise",
    "asyncio",
    "cryptography",
    "dataclasses",
    "decimal",
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
import gc, sys
from kalshi_cli.__main__ import run
try:
    run()
finally:
    print("\\nIMPORTED", *sorted(sys.modules), *["COLLECTING"] * gc.isenabled(), file=sys.stderr)
"""


def imported(*words: str, **variables: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
    )
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


BALANCE = (
    b'{"balance": 100, "balance_dollars": "1.000000", "portfolio_value": 0, "updated_ts": 1780000000,'
    b' "total_resting_order_value": 0, "resting_order_value_breakdown": []}'
)

UNUSED_BY_A_READ = (
    "apprise",
    "asyncio",
    "certifi",
    "kalshi_cli.core.engine.engine",
    "kalshi_cli.exchange.stream",
    "kalshi_cli.exchange.wire.candles",
    "kalshi_cli.exchange.wire.combos",
    "kalshi_cli.exchange.wire.events",
    "kalshi_cli.exchange.wire.groups",
    "kalshi_cli.exchange.wire.markets",
    "kalshi_cli.exchange.wire.programs",
    "kalshi_cli.exchange.wire.quotes",
    "kalshi_cli.services.account.rebuild",
    "kalshi_cli.services.account.summary",
    "kalshi_cli.services.trading.halts",
    "kalshi_cli.services.trading.reports.order_funnel",
    "kalshi_cli.simulator",
    "kalshi_cli.store.sqlite_store",
    "kalshi_cli.strategies",
    "prometheus_client",
    "rich",
    "sqlite3",
    "tabulate",
    "websocket",
    "yaml",
)


def test_one_signed_read_imports_only_what_it_uses(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.touch(0o600)
    key.write_bytes(pem)
    with receiving() as exchange:
        exchange.reply = BALANCE
        found = imported(
            "api",
            "GET",
            "/portfolio/balance",
            KALSHI_ENV="demo",
            KALSHI_REST_URL=exchange.url("trade-api/v2"),
            KALSHI_API_KEY_ID="00000000-0000-0000-0000-000000000000",
            KALSHI_PRIVATE_KEY_PATH=str(key),
            KALSHI_STATE=str(tmp_path / "state"),
        )
        assert [asked.path for asked in exchange.asked] == ["/trade-api/v2/portfolio/balance"]
    assert found & set(UNUSED_BY_A_READ) == set()


def test_the_garbage_collector_is_off_for_the_imports_only() -> None:
    assert "COLLECTING" not in imported("--help")
    assert "COLLECTING" in imported("config", "show", "--env", "sim")
