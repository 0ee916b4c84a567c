"""A sink that cannot be used is refused before there is anything to tell: exit 2, the reason, and not the address."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.cli.main import main

CANARY = "Kq7Zw2Xv9Jm4Rt6Bn1Lp"
BAD = {
    f"{{url: 'https://169.254.169.254/{CANARY}'}}": "cloud metadata service",
    f"{{url: 'https://[::ffff:169.254.169.254]/{CANARY}'}}": "contains another address",
    f"{{url: 'https://10.0.0.1/{CANARY}'}}": "allow_private: true",
    f"{{url: 'http://93.184.216.34/{CANARY}'}}": "not encrypted; use https",
    f"{{url: 'http://alerts.example/{CANARY}'}}": "not encrypted; use https",
    f"{{url: 'https://0x7f000001/{CANARY}'}}": "the host is a number",
    f"{{url: 'json://a.example/{CANARY}'}}": "use an https:// address, to which JSON is posted",
    f"{{url: 'slack://{CANARY}'}}": "not a valid slack address",
    f"{{url: 'slack://T1JJ3T3L2/A1BRTD4JD/{CANARY}7FQa?verify=no'}}": "must not set verify",
    "{url_file: missing.url}": "check the path and its permissions",
    "{tiers: [critical]}": "needs either `url` or `url_file`",
}
REFUSES = [["config", "check"], ["alerts", "test"], ["trade", "--strategy", "spike", "--duration", "1s"]]


def written(tmp_path: Path, alerts: str, mode: int = 0o600) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(f"env: sim\nstate: {tmp_path / 'state'}\nalerts: {alerts}\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("sink", BAD)
def test_the_reason_is_said_and_the_address_is_not(
    sink: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, f"{{channels: {{desk: {sink}}}}}")
    assert main(["--config", str(file), "config", "check"]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert "alerts.channels.desk: " in shown.err
    assert BAD[sink] in " ".join(shown.err.split())
    assert CANARY[:8] not in shown.out + shown.err


@pytest.mark.parametrize("words", REFUSES, ids=" ".join)
def test_nothing_that_tells_begins(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, f"{{channels: {{desk: {{url: 'https://169.254.169.254/{CANARY}'}}}}}}")
    assert main(["--config", str(file), *words]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert "metadata service" in shown.err
    assert CANARY[:8] not in shown.out + shown.err


def test_a_fallback_is_one_of_the_sinks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "{channels: {desk: {url: 'https://a.example/x'}}, fallback: phone}")
    assert main(["--config", str(file), "config", "check"]) == ExitCode.USAGE
    assert "alerts.fallback: no such alert channel: phone" in capsys.readouterr().err


def test_good_sinks_are_good(tmp_path: Path) -> None:
    slack = f"slack://T1JJ3T3L2/A1BRTD4JD/{CANARY}7FQa"
    file = written(
        tmp_path, f"{{channels: {{desk: {{url: 'https://a.example/x'}}, chat: {{url: '{slack}'}}}}, fallback: chat}}"
    )
    assert main(["--config", str(file), "config", "check"]) == ExitCode.OK


def test_cancel_all_needs_no_sinks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it would say without sinks: that there is no simulated exchange to cancel at."""
    codes = []
    for mode, alerts in (
        (0o600, "{}"),
        (0o644, f"{{channels: {{desk: {{url: 'https://169.254.169.254/{CANARY}'}}}}}}"),
    ):
        codes.append(main(["--config", str(written(tmp_path, alerts, mode)), "cancel-all", "--yes"]))
    assert codes[0] == codes[1] != ExitCode.USAGE
    assert CANARY[:8] not in capsys.readouterr().err
