"""The runbooks: every step is a command that exists, and every one of them is run here as it is written.

On a served exchange, with a position, a resting order and a state file. A command may find out that nothing is
wrong, or say that it has nothing to do; what it may not be is misspelt.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import pytest
from support.places import ROOT
from support.served import TWO_SIDED, served, set_variables
from support.sources import parsed

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.main import PLUGINS, main
from kalshi_cli.core.monitoring.runbook_index import DEFAULT_RUNBOOK, EXIT_CODES, REMEDIES
from kalshi_cli.services.monitoring.health import DISK_CRITICAL
from kalshi_cli.services.monitoring.runbooks import runbook, runbooks
from kalshi_cli.services.trading.service import HALT_CODE

HERE = ROOT
NAMES = [each.name for each in runbooks()]
QUOTED = re.compile(r"`([^`]+)`")
SYSTEM = (
    "echo $?",
    "timedatectl",
    "sudo timedatectl set-ntp true",
    "df -h",
    "df -i",
    "chmod 600 FILE",
    "chmod go-w FILE",
    "sudo chown UID FILE",
    "kill -9",
    "systemctl start kalshi-trade",
    "systemctl stop kalshi-trade",
    "systemctl stop kalshi-check.timer",
    "systemctl start kalshi-check.timer",
    "journalctl -u kalshi-trade -n 50",
    "journalctl -k -n 50",
    "tail -n 50 logs/kalshi.jsonl",
)
"""Commands of the operating system."""

WANTED = {
    "alert-undelivered", "api-guard", "clock-skew", "credentials-refused", "daily-loss", "disk-full", "drift",
    "exchange-paused", "feed-stale", "heartbeat-lost", "kill-switch", "position-limit", "state-file", "unknown-order",
}  # fmt: skip


def commands(text: str) -> list[str]:
    """Ours in a text, in their order; a line break inside one is a space."""
    return [found for found in quoted(text) if found.startswith("kalshi ")]


def quoted(text: str) -> list[str]:
    """Whatever stands in backticks."""
    return [re.sub(r"\s+", " ", found) for found in QUOTED.findall(text)]


def test_what_can_go_wrong_has_a_runbook() -> None:
    assert set(NAMES) >= WANTED
    named = {
        remedy.runbook for remedy in (*REMEDIES.values(), DEFAULT_RUNBOOK) if remedy.runbook
    }  # good news needs none
    assert named <= set(NAMES)


def raised() -> set[str]:
    """Every code in the source that becomes an alert, a finding of a check, or a halt."""
    makers = (
        "AlertRaised",
        "Breach",
        "critical",
        "warning",
        "note",
        "breach",
        "Halt",
        "StateChanged",
        "Notice",
        "halt",
    )
    found: set[str] = set()
    for path in (HERE / "kalshi_cli").rglob("*.py"):
        text = path.read_text("utf-8") if "simulator" not in path.parts else ""
        for node in ast.walk(parsed(text)) if any(f"{maker}(" in text for maker in makers) else ():
            if isinstance(node, ast.Call) and _name(node.func) in makers:
                given = (*node.args, *(word.value for word in node.keywords))
                parts = (part for each in given for part in ast.walk(each) if isinstance(part, ast.Constant))
                found.update(str(part.value) for part in parts if is_code(part.value))
    return found - {"JSON"} | {HALT_CODE}


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def is_code(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[A-Z]{2,}(?:_[A-Z]+)*", value) is not None


def test_every_code_that_an_alert_may_carry_finds_a_page() -> None:
    codes = raised() | set(REMEDIES)
    assert len(codes) > 90
    pages = {code: runbook(code).text for code in sorted(codes)}
    assert all(page.startswith("# ") for page in pages.values())
    with pytest.raises(UsageError):
        runbook("NO_SUCH_CODE")


def test_the_disk_runbook_names_the_space_that_a_new_loop_needs() -> None:
    assert f"with {DISK_CRITICAL // 1_000_000} MB free" in runbook("disk-full").text


def codes_of(text: str) -> set[str]:
    """What a runbook is about: codes in its title, in bold, and at the head of a step."""
    title, _, rest = text.partition("\n")
    heads = re.findall(r"^\d+\. ((?:`[A-Z_]+`,? ?)+):", rest, re.MULTILINE)
    found = re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", " ".join((title, *re.findall(r"\*\*(.+?)\*\*", rest), *heads)))
    return {code for code in found if "_" in code or code in REMEDIES}


@pytest.mark.parametrize("name", NAMES)
def test_a_code_that_a_runbook_is_about_leads_there(name: str) -> None:
    assert {code: runbook(code).name for code in codes_of(runbook(name).text)} == dict.fromkeys(
        codes_of(runbook(name).text), name
    )


def test_that_runbooks_speak_of_codes_is_seen() -> None:
    assert codes_of("# A: A_CODE\n**BLIND**, **not one**: x\n1. `GONE`, `NO_KEY`: do\n`FEED_DOWN`") == {
        "A_CODE", "BLIND", "GONE", "NO_KEY",
    }  # fmt: skip
    assert len({code for name in NAMES for code in codes_of(runbook(name).text)}) > 25


def test_whatever_a_guard_says_has_a_remedy() -> None:
    (table,) = re.findall(
        r"## What the guards watch\n(.*?)\n\n[^|]", (HERE / "docs/reliability.md").read_text(), re.DOTALL
    )
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    codes = {code for row in rows for code in re.findall(r"`([A-Z_]+)`", row)}
    assert len(codes) > 20
    assert codes - set(REMEDIES) == set()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("COULD_NOT_LOOK", "could-not-look"), ("CONFIG_ERROR", "could-not-look"),
        ("CHECK_SKIPPED", "could-not-look"), ("REJECT_RATE", "execution"),
        ("API_SLOW", "api-guard"), ("RECENT_ERRORS", "recent-errors"), ("LOOP_FAILED", "heartbeat-lost"),
        ("PRICE_ALERT", "price-alert"), ("FILL_ALERT", "price-alert"), ("PRICE_ALERT_BLIND", "price-alert"),
        ("PAUSED", "halted"), ("REBUILT", "state-file"), ("GONE", "schema"), ("LATE_ORDER", "strangers"),
    ],
)  # fmt: skip
def test_a_code_finds_the_runbook_that_is_about_it(code: str, name: str) -> None:
    assert runbook(code.lower()).name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_is_short_and_numbered(name: str) -> None:
    lines = runbook(name).text.splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 40
    assert any(line.startswith("1. ") for line in lines)
    typed = [found for found in quoted(runbook(name).text) if " " in found and not found.startswith("kalshi ")]
    assert [
        found
        for found in typed
        if found not in SYSTEM and not found.startswith(("--", "sqlite3 ")) and ": " not in found
    ] == []


def test_an_alert_names_a_command_of_ours_that_exists(outcome: Outcomes) -> None:
    for remedy in REMEDIES.values():
        outcome.run(remedy.command)
    assert outcome.wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_every_step_of_a_runbook_can_be_done_as_it_is_written(name: str, outcome: Outcomes) -> None:
    for command in commands(runbook(name).text):
        outcome.run(command)
    assert outcome.wrong == []


def test_a_step_that_cannot_be_done_would_be_found(outcome: Outcomes) -> None:
    for command in commands(
        "1. `kalshi frobnicate`, `kalshi order\n   list --colour`, `kalshi check frob`, `kalshi status`"
    ):
        outcome.run(command)
    assert outcome.wrong == ["kalshi frobnicate: 2", "kalshi order list --colour: 2", "kalshi check frob: 3"]


class Outcomes:
    """Runs commands one after the other, each once, and keeps those that are usage errors or bugs."""

    def __init__(self, ticker: str, order_id: str) -> None:
        self.known = {"TICKER": ticker, "ID": order_id, "TEXT": "why", "NAME": "quoter", "FILE": "x"}
        self.wrong: list[str] = []
        self.right: set[str] = set()
        """Many runbooks begin with the same steps."""

    def run(self, command: str) -> None:
        if command in self.right:
            return
        words = [self.known.get(word, word) for word in shlex.split(command)[1:]]
        if words[0] == "cancel-all" and "--env" in words:
            return  # names another environment: nothing here could answer
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as err:
            ends = ["--duration", "1s"] if words == ["alerts", "run"] else []
            code = main([*words, *ends, *(["--no-notify"] if words[0] == "check" and "schema" not in words else [])])
        # What a check found is its exit code; one that is misspelt says so.
        is_wrong = "error:" in err.getvalue() if words[0] in PLUGINS else code in (2, 70)
        if is_wrong:
            self.wrong.append(f"{command}: {code}")
        else:
            self.right.add(command)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """An account of the simulated exchange with one order, for all of them: what one leaves behind, the next finds."""
    with pytest.MonkeyPatch.context() as patch, served(tmp_path_factory.mktemp("account")) as one:
        set_variables(patch, one.home, one.variables())
        words = ("--side", "yes", "--action", "buy", "--count", "1", "--price", "0.01")
        yield Outcomes(TWO_SIDED, said("order", "place", TWO_SIDED, *words)["order_id"])


@pytest.fixture
def outcome(account: Outcomes) -> Outcomes:
    account.wrong.clear()
    return account


def said(*words: str) -> Any:
    """The JSON of a command that works."""
    with redirect_stdout(StringIO()) as out:
        assert main([*words, "--json"]) == 0
    return json.loads(out.getvalue())


def test_an_unknown_name_is_told_with_the_nearest_and_a_code_finds_its_own() -> None:
    assert runbook("DAILY_LOSS").name == "daily-loss"
    assert runbook("kill-switch.md").name == "kill-switch"
    assert all(runbook(code).name == name for code, name in EXIT_CODES.items())
    with pytest.raises(UsageError) as caught:
        runbook("kil")
    assert caught.value.hint == "did you mean kill-switch?"


def test_they_are_in_the_wheel() -> None:
    built = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built["force-include"]["runbooks"] == "kalshi_cli/runbooks"
