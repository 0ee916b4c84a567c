"""An address of a sink is a password: no eight characters of it appear anywhere but at the sink itself."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import socket
import stat
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.receivers import BRIEFLY_S, PATIENCE_S, mail_server, nobody, notice, notifier, receiving

from kalshi_cli.base.errors import ConfigError, ExitCode
from kalshi_cli.base.text import redact
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.config.secret_file import read_address
from kalshi_cli.net.address_guard import AddressError, parse_web_address
from kalshi_cli.net.delivery import DeliveryResult

CANARY = "Kq7Zw2Xv9Jm4Rt6Bn1Lp"


def leaked(text: str, secret: str = CANARY) -> list[str]:
    lowered = text.lower()
    return [part for i in range(len(secret) - 7) if (part := secret[i : i + 8].lower()) in lowered]


class Heard(logging.Handler):
    """Everything that any library logs, at any level."""

    def __init__(self) -> None:
        super().__init__(0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.getMessage()} {record.exc_info} {record.__dict__}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    root, listening = logging.getLogger(), Heard()
    level = root.level
    root.addHandler(listening)
    root.setLevel(logging.DEBUG)
    yield listening
    root.removeHandler(listening)
    root.setLevel(level)


BEHAVIOURS = ["200", "404", "410", "429/60", "500", "302", "never", "drip", "garbage", "huge", "nobody"]


def attempted(
    url: str, heard: Heard, capfd: pytest.CaptureFixture[str], within_s: float, **more: Any
) -> DeliveryResult:
    """One attempt, and nothing of it anywhere."""
    sinks = notifier(a=AlertChannel(url=url, **more))
    problems = sinks.problems()
    outcome = sinks.deliver("a", notice(), within_s)
    out, err = capfd.readouterr()
    threads = " ".join(thread.name for thread in threading.enumerate())
    everything = f"{outcome!r} {outcome} {problems} {sinks!r} {vars(sinks)!r} {out} {err} {heard.lines} {threads}"
    assert leaked(everything) == []
    return outcome


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_web_address(behaviour: str, heard: Heard, capfd: pytest.CaptureFixture[str]) -> None:
    within_s = BRIEFLY_S if behaviour in ("never", "drip") else PATIENCE_S
    with receiving() as receiver, nobody() as unheard:
        base = unheard if behaviour == "nobody" else receiver.url(behaviour)
        url = f"{base}/{CANARY}?token={CANARY}"
        outcome = attempted(url, heard, capfd, within_s)
    assert "127.0.0.1" in outcome.text
    assert redact(f"see {url} and {CANARY}") == "see [hidden] and [hidden]"


def chats(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    for module, plugin, name in (
        ("slack", "NotifySlack", "webhook_url"),
        ("discord", "NotifyDiscord", "notify_url"),
        ("telegram", "NotifyTelegram", "notify_url"),
    ):
        found = importlib.import_module(f"apprise.plugins.{module}")
        monkeypatch.setattr(getattr(found, plugin), name, f"{base}/")


SERVICES = [
    f"slack://T1JJ3T3L2/A1BRTD4JD/{CANARY}7FQa",
    f"discord://4174216298/{CANARY}",
    f"tgram://123456789:{CANARY}{CANARY}/12315544",
    f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{CANARY}7FQa",
    f"https://discord.com/api/webhooks/4174216298/{CANARY}",
]


@pytest.mark.parametrize("behaviour", ["200", "404", "500", "302", "garbage", "nobody", "never"])
@pytest.mark.parametrize("url", SERVICES)
def test_an_address_of_a_chat(
    url: str, behaviour: str, heard: Heard, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver, nobody() as unheard:
        notifier(a=url).problems()  # apprise is imported by the program, not by the test
        chats(monkeypatch, unheard if behaviour == "nobody" else receiver.url(behaviour))
        attempted(url, heard, capfd, BRIEFLY_S if behaviour == "never" else PATIENCE_S)
        assert not [line for line in heard.lines if line.startswith(("apprise", "urllib3"))]
        if behaviour not in ("nobody", "never"):
            assert leaked(receiver.asked[0].path)  # so it is the address that was used


@pytest.mark.filterwarnings("ignore:Session.login_data:DeprecationWarning")  # the mail server's own
@pytest.mark.parametrize("password", ["", "another-one"])
def test_a_mail_password(password: str, heard: Heard, capfd: pytest.CaptureFixture[str]) -> None:
    with mail_server(password=password or CANARY) as box:
        url = f"mailto://bot:{CANARY}@127.0.0.1:{box.port}?from=a@example.com&to=b@example.com&mode=insecure"
        outcome = attempted(url, heard, capfd, PATIENCE_S)
    assert outcome.outcome == ("retry" if password else "delivered")


@pytest.mark.parametrize(
    "url",
    [
        f"https://{CANARY}@a.example/",
        f"https://a.example:{CANARY}/",
        f"https://a.example/{CANARY} ",
        f"https://a.example/#{CANARY}",
        f"https://[{CANARY}]/",
        f"json://a.example/{CANARY}",
        f"slack://{CANARY}",
        f"slack://T1JJ3T3L2/A1BRTD4JD/{CANARY}?verify={CANARY}",
        f"discord://{CANARY}",
        f"pagerduty://{CANARY}",
        f"mailto://{CANARY}",
        f"mailtos://u:{CANARY}@169.254.169.254?from=a@example.com&to=b@example.com",
        f"unknown.{CANARY}://x",
        f"{CANARY}",
        f"https://169.254.169.254/{CANARY}",
    ],
)
def test_an_address_that_is_refused(url: str, heard: Heard, capfd: pytest.CaptureFixture[str]) -> None:
    assert attempted(url, heard, capfd, PATIENCE_S).outcome == "refused"


def test_a_library_that_fails_in_an_unknown_way_says_no_more_than_that(
    heard: Heard, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ArithmeticError(f"cannot reach {SERVICES[0]}")

    monkeypatch.setattr(socket, "getaddrinfo", broken)
    assert attempted(SERVICES[0], heard, capfd, PATIENCE_S).text == "slack:// failed: ArithmeticError"
    web = attempted(f"https://a.example/{CANARY}", heard, capfd, PATIENCE_S)
    assert web == DeliveryResult(outcome="retry", text="POST to a.example failed: ArithmeticError")


@pytest.mark.parametrize(
    "url", [f"https://a.example:{CANARY}/", f"https://[{CANARY}]/", f"https://x:{CANARY}@a.example/"]
)
def test_a_traceback_of_a_refusal_has_no_address_in_it(url: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_web_address(url)
    shown = traceback.format_exception(caught.value)
    assert "AddressError" in shown[-1]
    assert leaked("".join(shown)) == []


def test_an_address_that_is_only_begun_hides_no_word() -> None:
    notifier(a="https://", b="slack://", c="discord", d=f"https://alerts.example.com/{CANARY}")
    said = "POST to alerts.example.com failed; write https:// or slack:// or discord"
    assert redact(said) == said


def test_the_tests_would_notice(heard: Heard) -> None:
    logging.getLogger("some.library").debug("GET https://a.example/%s", CANARY)
    assert leaked(str(heard.lines))
    assert leaked(f"...{CANARY[5:13]}...")
    assert not leaked(CANARY[5:12])


# -- an address in a file of its own -------------------------------------------------------------------------------


def test_an_address_is_read_from_a_file_that_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "hook.url"
    path.touch(mode=0o600)
    with receiving() as receiver:
        path.write_text(receiver.url(f"200/{CANARY}") + "\n")
        assert notifier(a=AlertChannel(url_file=path)).deliver("a", notice(), PATIENCE_S).outcome == "delivered"
    assert receiver.asked[0].path == f"/200/{CANARY}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_file_that_others_may_use_is_refused_with_the_line_that_helps(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "hook.url"
    path.write_text(f"https://a.example/{CANARY}")
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"accessible by other users \\(mode {mode:04o}\\)") as caught:
        read_address(path)
    assert (caught.value.hint, caught.value.exit_code) == (f"chmod 600 {path}", ExitCode.USAGE)
    sinks = notifier(a=AlertChannel(url_file=path))
    assert sinks.problems()["a"].endswith(f"chmod 600 {path}")
    assert leaked(f"{caught.value} {sinks.problems()}") == []
    assert sinks.deliver("a", notice()).outcome == "refused"


def test_a_link_is_as_good_as_the_file_that_it_leads_to(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("https://a.example/x")
    link.symlink_to(real)
    real.chmod(0o644)
    with pytest.raises(ConfigError, match="accessible by other users"):
        read_address(link)
    real.chmod(0o600)
    assert read_address(link) == "https://a.example/x"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "does not contain exactly one address"),
        ("\n\n", "does not contain exactly one address"),
        (f"https://a.example/{CANARY}\nhttps://b.example", "does not contain exactly one address"),
        (f"{CANARY} x" * 9_000, "does not contain exactly one address"),
    ],
)
def test_a_file_with_anything_else_than_one_address_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "hook.url"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=said) as caught:
        read_address(path)
    assert leaked(str(caught.value)) == []


def test_what_is_no_file_or_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        read_address(tmp_path / "missing")
    with pytest.raises(ConfigError, match="not a file"):
        read_address(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="not a file"):
        read_address(tmp_path / "pipe")
    path = tmp_path / "hook.url"
    path.write_text("https://a.example/x")
    path.chmod(stat.S_IRUSR)
    assert read_address(path) == "https://a.example/x"
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(ConfigError, match="owned by another user"):
        read_address(path)
    gc.collect()


@pytest.mark.parametrize("sink", [AlertChannel(), AlertChannel(url="https://a.example/x", url_file=Path("x"))])
def test_a_sink_has_one_address(sink: AlertChannel) -> None:
    assert notifier(a=sink).problems() == {"a": "needs either `url` or `url_file`"}
