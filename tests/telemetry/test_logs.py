"""The log: one JSON object a line, bounded, private, and never a reason to stop."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.text import MASK, mask
from kalshi_cli.base.units import Ts
from kalshi_cli.telemetry.logs import LOG, LineFile, Log

T0 = Ts(1_780_000_000_000)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def no_warning(text: str) -> None:
    raise AssertionError(f"warned: {text}")


def log_in(folder: Path, **bounds: int) -> Log:
    return Log(
        LineFile(folder / LOG, **({"max_bytes": 100_000, "files": 3} | bounds), tell=no_warning),
        ManualClock(T0),
        env="sim",
    )


def test_a_line_says_when_by_both_clocks_and_what_in_which_environment(tmp_path: Path) -> None:
    log_in(tmp_path / "logs").line("fill", ticker="KX", price="0.4000", fair=None, is_taker=False)
    assert lines(tmp_path / "logs" / LOG) == [
        {"ts": "2026-05-28T20:26:40Z", "mono_ms": 0, "level": "info", "event": "fill", "env": "sim", "ticker": "KX",
         "price": "0.4000", "is_taker": False},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "fields", "level"),
    [
        ("fill", {}, "info"), ("denied", {}, "warning"), ("signal", {}, "debug"), ("order_unknown", {}, "error"),
        ("alert", {"tier": "critical"}, "error"), ("alert", {"tier": "warning"}, "warning"),
        ("alert", {"tier": "info"}, "info"), ("state_changed", {"state": "halted"}, "error"),
        ("state_changed", {"state": "active"}, "info"), ("heartbeat", {"state": "reducing"}, "warning"),
    ],
)  # fmt: skip
def test_a_line_has_a_level_by_which_it_can_be_filtered(
    tmp_path: Path, event: str, fields: dict[str, str], level: str
) -> None:
    log_in(tmp_path / "logs").line(event, **fields)
    assert [line["level"] for line in lines(tmp_path / "logs" / LOG)] == [level]


def test_nobody_else_may_read_it_from_its_first_byte_on(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log_in(tmp_path / "logs").line("start")
    finally:
        os.umask(before)
    assert (tmp_path / "logs" / LOG).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("files", [1, 3])
def test_it_never_takes_more_than_its_bound(tmp_path: Path, files: int) -> None:
    log = log_in(tmp_path, max_bytes=2_000, files=files)
    for number in range(200):
        log.line("fill", number=number, ticker="K" * 30)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2_000 * files
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == files
    numbers = sorted(line["number"] for path in kept for line in lines(path))
    assert numbers == list(range(numbers[0], 200)), "the oldest are gone, and nothing in between"


def test_two_programs_write_to_one_log_and_no_line_is_lost_or_torn(tmp_path: Path) -> None:
    """Neither loses what the other writes when it turns the file over."""
    logs = [log_in(tmp_path, max_bytes=1_500, files=20) for _ in range(2)]
    for number in range(100):
        logs[number % 2].line("fill", number=number, ticker="K" * 20)
    found = [line["number"] for path in tmp_path.iterdir() for line in lines(path)]
    assert sorted(found) == list(range(100))
    assert len(list(tmp_path.iterdir())) > 5


def test_a_full_disk_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    """As far as a test can fill one: this process may make no file longer."""
    said: list[str] = []
    log = Log(LineFile(tmp_path / LOG, 100_000, 3, said.append), ManualClock(T0))
    log.line("fill")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / LOG).stat().st_size, limits[1]))
    try:
        for _ in range(5):
            log.line("fill")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert said == [f"Warning: cannot write the log {tmp_path / LOG} (File too large); kalshi goes on without it"]


def test_what_is_in_the_place_of_an_older_file_stops_no_lines(tmp_path: Path) -> None:
    for name in (f"{LOG}.2", f"{LOG}.1"):
        os.mkfifo(tmp_path / name)
    (tmp_path / f"{LOG}.2").unlink()
    (tmp_path / f"{LOG}.2" / "something").mkdir(parents=True)
    said: list[str] = []
    log = Log(LineFile(tmp_path / LOG, 1_500, 3, said.append), ManualClock(T0))
    for number in range(40):
        log.line("fill", number=number, ticker="K" * 20)
    assert said == []
    found = [line["number"] for path in (tmp_path / f"{LOG}.1", tmp_path / LOG) for line in lines(path)]
    assert found == list(range(40))[-len(found) :]
    assert len(found) > 10


def test_a_folder_that_cannot_be_is_said_once_and_later_lines_say_how_many_were_lost(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "logs").write_text("a file where the folder should be")
    log = Log(LineFile(tmp_path / "logs" / LOG, 100_000, 3, said.append), ManualClock(T0))
    log.line("first")
    log.line("second")
    assert len(said) == 1
    (tmp_path / "logs").unlink()
    log.line("third")
    events = lines(tmp_path / "logs" / LOG)
    assert [event["event"] for event in events] == ["lines_lost", "third"]
    assert events[0]["count"] == 2


def test_a_file_that_somebody_moved_away_is_begun_anew(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.line("first")
    (tmp_path / LOG).rename(tmp_path / "elsewhere")
    log.line("second")
    assert [line["event"] for line in lines(tmp_path / LOG)] == ["second"]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "theirs").write_text("")
    (tmp_path / LOG).symlink_to(tmp_path / "theirs")
    LineFile(tmp_path / LOG, 100_000, 3, said.append).write("mine")
    assert (tmp_path / "theirs").read_text() == ""
    assert len(said) == 1


SECRETS = {
    "a concealed value": "canary-5d0a2f77c1",
    "a key": "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----",
    "Slack": "https://hooks.slack.com/services/T0AAAAAAA/B0AAAAAAA/canaryslack",
    "Discord": "https://discord.com/api/webhooks/123456/canarydiscord",
    "Telegram": "https://api.telegram.org/bot123456789:AAcanarycanarycanarycanarycanary0/sendMessage",
    "a ping": "https://hc-ping.com/0d338dcc-a054-11ec-b909-0242ac120002",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_no_secret_is_in_a_line_whoever_wrote_it(tmp_path: Path, secret: str) -> None:
    mask("canary-5d0a2f77c1")
    log_in(tmp_path).line("alert", detail=f"could not send to {secret} today", reason="x" * 1_990 + secret)
    text = (tmp_path / LOG).read_text()
    assert MASK in text
    assert not [part for part in ("canary", "MIGH", "0242ac120002") if part in text]


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_outside_text_is_one_line_without_anything_that_a_terminal_obeys(text: str) -> None:
    written: list[str] = []

    class Kept:
        write = staticmethod(written.append)

    Log(Kept(), ManualClock(T0)).line("alert", detail=text)  # type: ignore[arg-type]
    assert written[0].isprintable()
    assert json.loads(written[0])["event"] == "alert"
