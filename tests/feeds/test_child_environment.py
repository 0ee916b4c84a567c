"""A program that the configuration names gets the variables that every program needs, and none of the account's."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from support.resources import open_resources
from support.served import eventually

from kalshi_cli.app.inputs import run_inputs
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import ConfigError
from kalshi_cli.config.sources import load
from kalshi_cli.core.model.messages import Message
from kalshi_cli.feeds.fair_sources import child_environment, run_command
from kalshi_cli.strategies import registry

OURS = {
    "PATH": "/bin", "HOME": "/home/me", "LANG": "C.UTF-8", "LC_ALL": "C", "TZ": "UTC", "TMPDIR": "/tmp",
    "KALSHI_API_KEY_ID": "id", "KALSHI_PRIVATE_KEY_PATH": "/key", "Kalshi_Api_Key": "id", "MODEL_TOKEN": "t",
    "AWS_SECRET_ACCESS_KEY": "s", "LD_PRELOAD": "evil.so", "PYTHONPATH": "/evil",
}  # fmt: skip
USUAL = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"}
PRINT = "import os; print(*sorted(os.environ), sep=chr(10))"


def test_only_the_usual_variables_are_passed_and_those_that_are_named() -> None:
    assert set(child_environment(OURS)) == USUAL
    assert set(child_environment(OURS, ["MODEL_TOKEN", "ABSENT"])) == USUAL | {"MODEL_TOKEN"}
    assert set(child_environment(OURS, list(OURS))) == set(OURS) - {
        name for name in OURS if name.upper()[:7] == "KALSHI_"
    }


def test_the_program_sees_what_it_was_given_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_API_KEY_ID", "a-secret")
    environment = child_environment(OURS)
    page = run_command([sys.executable, "-SE", "-c", PRINT], environment, SystemClock(), threading.Event())
    assert set(page.body.decode().split()) == USUAL


def test_a_source_of_a_strategy_sees_no_variable_of_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KALSHI_API_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MODEL_TOKEN"):
        monkeypatch.setenv(name, "a-secret")
    seen = tmp_path / "seen"
    model = tmp_path / "model.py"
    model.write_text(f"import os, pathlib\npathlib.Path({str(seen)!r}).write_text(' '.join(os.environ) + ' .')\n")
    configured = tmp_path / "config.yaml"
    configured.write_text(f"env: demo\nstate: {tmp_path / 'state'}\ntrade: {{command_variables: [MODEL_TOKEN]}}\n")
    strategy = registry.make("model-edge", {"source": f"command:{sys.executable} -S {model}"})
    heard: list[Message] = []
    with open_resources(load(configured, {}, {})) as app, run_inputs(app, [strategy], heard.append, lambda: ()):
        eventually(lambda: seen.exists() and seen.read_text().endswith("."))
    passed = set(seen.read_text().split())
    assert {"PATH", "MODEL_TOKEN"} <= passed
    assert not {name for name in passed if name.startswith(("KALSHI", "AWS"))}


@pytest.mark.parametrize("name", ["KALSHI_API_KEY_ID", "kalshi_env", "A B", "A=B", "1A"])
def test_a_variable_that_is_not_passed_on_cannot_be_configured(name: str, tmp_path: Path) -> None:
    configured = tmp_path / "config.yaml"
    configured.write_text(f"trade: {{command_variables: ['{name}']}}\n")
    with pytest.raises(ConfigError, match=r"trade\.command_variables"):
        load(configured, {}, {})
