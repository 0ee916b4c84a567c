"""`kalshi init`: set up by flags, and by answers on a terminal."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs
from support.notice_receiver import receiving
from support.served import Terminal, served
from support.unreadable import deleted_directory, unreadable_directory

from kalshi_cli.base.units import Money, contracts
from kalshi_cli.cli.commands import init
from kalshi_cli.cli.main import main
from kalshi_cli.config.sources import load
from kalshi_cli.services.monitoring import health


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: Callable[[Path], None]) -> Path:
    """A person whose simulated exchange is there already."""
    begin(tmp_path / "kalshi")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_terminal_defaults_hold_and_it_ends_with_a_green_health_check(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "made" / "config.yaml"
    words = ["init", "--config", str(path), "--max-daily-loss", "25", "--max-position", "7", "--json"]
    assert main(words) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {finding["status"] for finding in findings} == {"OK"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = load(path, {}, {})
    assert (config.env, config.risk.max_daily_loss, config.risk.max_position) == (
        "sim",
        Money(25_000_000),
        contracts(7),
    )
    assert "# dollars" in path.read_text(), "every setting is explained"
    assert main(["config", "show", "--config", str(path), "--format", "csv"]) == 0
    shown = capsys.readouterr().out
    assert f"file {path}" in next(line for line in shown.splitlines() if line.startswith('"risk.max_position"'))
    assert re.search(r'"risk.max_exposure","[^"]*","default"', shown), "what nobody answered stays a default"


def test_a_health_check_that_only_warns_is_no_failed_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(health, "DISK_WARN", 10**18)
    assert main(["init", "--config", str(home / "config.yaml")]) == 1
    said = capsys.readouterr().err
    assert re.search(r"1 of \d+ checks with a warning: disk\nEach line that is not OK shows its fix", said)


def test_it_writes_to_the_file_that_the_variable_names(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KALSHI_CONFIG", "c.yaml")
    assert main(["init", "--max-position", "7"]) == 0
    assert load(home / "c.yaml", {}, {}).risk.max_position == contracts(7)
    assert not list(home.rglob("config.yaml"))
    assert str(home / "c.yaml") in capsys.readouterr().err


def test_it_announces_only_what_it_will_ask() -> None:
    none = ("", "", "")
    assert init._topics("", has_key=False, limits=none, has_channel=False) == [
        "exchange", "API key (not for sim)", "3 risk limits", "alert channel",
    ]  # fmt: skip
    assert init._topics("sim", has_key=False, limits=none, has_channel=False) == ["3 risk limits", "alert channel"]
    assert init._topics("demo", has_key=False, limits=("1", "", "2"), has_channel=True) == ["API key", "1 risk limit"]
    assert init._topics("prod", has_key=True, limits=("1", "1", "1"), has_channel=True) == []


def test_it_works_in_a_directory_that_cannot_be_read_or_was_deleted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_CONFIG", str(home / "c.yaml"))
    with unreadable_directory(home):
        init._refuse_to_replace(Path("/nowhere/c.yaml"), is_forced=False)
    with deleted_directory(home):
        assert main(["init", "--max-position", "7"]) == 0
        assert main(["cancel-all"]) == 0
    assert load(home / "c.yaml", {}, {}).risk.max_position == contracts(7)


def test_the_exchange_that_the_variable_names_is_not_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KALSHI_ENV", "demo")
    assert main(["init", "--config", str(home / "made.yaml")]) == 2
    assert "demo requires an API key" in capsys.readouterr().err
    assert not (home / "made.yaml").exists()


def test_what_to_do_next_is_paper_only_where_it_would_be_real(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--config", str(home / "made.yaml")]) == 0
    said = capsys.readouterr().err
    assert "kalshi trade --strategy spike;" in said
    assert "Not set (optional): risk.stop_loss_pct" in said
    assert "--paper" not in said


def test_nothing_is_replaced_unasked_and_nothing_is_lost(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "config.yaml"
    path.write_text("env: sim # mine\n")
    assert main(["init", "--config", str(path)]) == 3
    assert path.read_text() == "env: sim # mine\n"
    assert "kalshi init --force" in capsys.readouterr().err
    assert main(["init", "--config", str(path), "--force"]) == 0
    assert (home / "config.yaml.before").read_text() == "env: sim # mine\n"


OLD = """\
env: sim
risk: {max_daily_loss: 2.50, max_exposure: 40, stop_loss_pct: 50, max_drawdown: null} # mine
checks:
  limit_used_pct: {warn: "70", crit: "90"}
alerts:
  sinks: {phone: {url: "https://alerts.example/hook", tiers: [critical]}}
  repeat_s: 7200
references: {KXHIGH: null}
strategies:
  spike: {budget: 50}
heartbeat: {url: "https://hc.example/ping"}
"""


@pytest.fixture
def old() -> Iterator[str]:
    """The configuration, with a heartbeat host that `init` can connect to."""
    with receiving() as there:
        yield OLD.replace("https://hc.example", there.url)
        assert there.received == [], "a ping says that a loop is alive"


def test_an_existing_configuration_keeps_every_value(home: Path, capsys: pytest.CaptureFixture[str], old: str) -> None:
    path = home / "config.yaml"
    path.write_text(old)
    path.chmod(0o600)
    before = load(path, {}, {})
    assert main(["init", "--config", str(path), "--force", "--max-exposure", "$1,000"]) == 0
    after = load(path, {}, {})
    assert after.risk == structs.replace(before.risk, max_exposure=Money(1_000_000_000))
    for section in ("env", "checks", "alerts", "references", "strategies", "heartbeat", "allotments"):
        assert getattr(after, section) == getattr(before, section)
    assert (home / "config.yaml.before").read_text() == old
    said = capsys.readouterr().err
    assert "its other values are kept" in said
    assert "Not set (optional): risk.take_profit_pct, risk.max_drawdown" in said


def test_a_new_alert_channel_replaces_none(home: Path) -> None:
    path = home / "config.yaml"
    words = ["init", "--config", str(path), "--force", "--alert-channel"]
    for host in ("a", "b"):
        assert main([*words, f"https://{host}.example/hook"]) == 0
    urls = {name: channel.url for name, channel in load(path, {}, {}).alerts.channels.items()}
    assert urls == {"main": "https://a.example/hook", "main-2": "https://b.example/hook"}


def test_a_move_to_another_exchange_keeps_the_limits_and_the_other_key(home: Path, old: str) -> None:
    with served(home) as exchange:
        variables = exchange.variables()
        path = home / "config.yaml"
        path.write_text(old.replace("env: sim", "credentials: {prod: {key_id: prod-key-1}}"))
        path.chmod(0o600)
        words = ["--key-id", variables["KALSHI_API_KEY_ID"], "--key", variables["KALSHI_PRIVATE_KEY_PATH"]]
        main(["init", "--config", str(path), "--env", "demo", "--force", *words])
        config = load(path, {}, {})
        assert (config.env, config.risk.max_daily_loss) == ("demo", Money(2_500_000))
        assert config.credentials.prod.key_id == "prod-key-1"
        path.with_name("config.yaml.before").unlink()
        main(["init", "--config", str(path), "--force", "--max-position", "5"])
        assert load(path, {}, {}).credential == config.credential, "the key of the file is used again"


@pytest.mark.parametrize("text", ["risk: [", "risk: {max_position: 1, max_position: 2}", "lots"])
def test_a_configuration_that_cannot_be_read_is_not_replaced(
    home: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = home / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    assert main(["init", "--config", str(path), "--force"]) == 2
    assert path.read_text() == text
    assert "move it away" in capsys.readouterr().err


def test_on_a_terminal_the_values_of_the_file_are_offered(home: Path, old: str) -> None:
    path = home / "config.yaml"
    path.write_text(old)
    path.chmod(0o600)
    terminal = Terminal("init", "--config", str(path), env={**os.environ, "COLUMNS": "200"})
    terminal.answer("Change it?", "y")
    terminal.answer("Exchange: sim", "")
    terminal.answer("[2.5]", "")
    terminal.answer("[40]", "1,000")
    terminal.answer("[100]", "")
    terminal.answer("empty keeps phone", "")
    assert terminal.finish() == 0, terminal.text
    config = load(path, {}, {})
    assert (config.risk.max_daily_loss, config.risk.max_exposure) == (Money(2_500_000), Money(1_000_000_000))
    assert list(config.alerts.channels) == ["phone"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--max-daily-loss", "lots"), 2, "risk.max_daily_loss: must be dollars"),
        (("--env", "demo"), 2, "--key-id ID --key FILE"),
        (("--env", "demo", "--key-id", "abc", "--key", "missing.key"), 5, "file not found"),
        (("--sink", "x" * 600), 2, "alerts.channels.main.url: must be one line"),
        (("--sink", "http://alerts.example/hook"), 2, "not encrypted; use https"),
    ],
)
def test_what_cannot_be_used_is_said_and_writes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    before = sorted(home.rglob("*"))
    assert main(["init", "--config", str(home / "new.yaml"), *words]) == code
    assert said in capsys.readouterr().err
    assert sorted(home.rglob("*")) == before


def test_a_key_that_others_can_read_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = home / "open.key"
    key.write_text("x")
    key.chmod(0o644)
    words = ["init", "--config", str(home / "new.yaml"), "--env", "demo", "--key-id", "abc", "--key", str(key)]
    assert main(words) == 5
    assert f"chmod 600 {key}" in capsys.readouterr().err
    assert stat.S_IMODE(key.stat().st_mode) == 0o644, "without a person nobody changes it"


def test_on_a_terminal_it_asks_again_until_an_answer_can_be_used(home: Path) -> None:
    with served(home) as exchange:
        variables = exchange.variables()
        key = Path(variables.pop("KALSHI_PRIVATE_KEY_PATH"))
        key_id = variables.pop("KALSHI_API_KEY_ID")
        variables.pop("KALSHI_ENV", None)
        key.chmod(0o640)
        path = home / "made.yaml"
        terminal = Terminal("init", "--config", str(path), env={**os.environ, **variables, "COLUMNS": "200"})
        terminal.answer("A few questions", "demoo")
        terminal.answer("Exchange: sim", "demo")
        terminal.answer("API key id:", "")
        terminal.answer("An API key id is required", key_id)
        terminal.answer("Private key file", str(home / "nowhere.key"))
        terminal.answer("Private key file", str(key))
        terminal.answer("chmod 600", "y")
        terminal.answer("Maximum loss per day", "20%")
        terminal.answer("not '20%'", "")
        terminal.answer("Maximum total loss", "200")
        terminal.answer("in one market", "")
        terminal.answer("Alert channel URL", "")
        assert terminal.finish() == 0, terminal.text
        assert "(flag)" not in terminal.text
        config = load(path, {}, {})
        assert (config.env, config.credential.key_id, config.credential.private_key_path) == ("demo", key_id, key)
        assert config.risk.max_exposure == Money(200_000_000)
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
