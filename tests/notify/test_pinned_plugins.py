"""What apprise sends goes to judged addresses, by no proxy, within its time and size: over real sockets."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.receivers import (
    ADDRESSES,
    PATIENCE_S,
    Receiver,
    in_place_of_theirs,
    mail_server,
    notice,
    notifier,
    receiving,
)
from support.served import eventually

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.net.address_guard import resolve_here
from kalshi_cli.notify.apprise_channels import SERVICES, _plugin_kind
from kalshi_cli.notify.pinned_plugins import MAX_ANSWER, MAX_SMTP, PinnedCall, calling, pin

MEGABYTE = 1 << 20
TO = "from=bot@example.com&to=desk@example.com"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SMTP_PROXY")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.mark.parametrize("scheme", sorted(SERVICES))
def test_every_plug_in_has_ours_in_the_place_of_its_libraries(scheme: str) -> None:
    import sys

    module, _ = SERVICES[scheme].split(".")
    _plugin_kind(scheme)
    package = f"apprise.plugins.{module}"
    loaded = [one for name, one in sys.modules.items() if name == package or name.startswith(f"{package}.")]
    used = [getattr(one, name) for one in loaded for name in ("requests", "smtplib") if hasattr(one, name)]
    assert used
    assert {type(one).__name__ for one in used} == {"SimpleNamespace"}


@pytest.mark.parametrize("scheme", ["slack", "discord", "tgram", "pagerduty", "opsgenie", "twilio"])
def test_no_proxy_and_no_netrc_of_the_environment_is_used(
    scheme: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login thief password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    in_place_of_theirs(monkeypatch, receiver)
    if scheme == "opsgenie":
        receiver.reply = b'{"requestId": "r-1"}'
    with receiving() as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.url(""))
            monkeypatch.setenv(name.lower(), proxy.url(""))
        outcome = notifier(a=ADDRESSES[scheme]).deliver("a", notice(), PATIENCE_S)
        assert (outcome.outcome, proxy.asked) == ("delivered", [])
    given = receiver.asked[0].headers.get("Authorization", "")
    assert "dGhpZWY6c2VjcmV0" not in given


def test_a_service_whose_name_stands_for_what_only_this_machine_reaches_gets_nothing() -> None:
    for address in ("127.0.0.1", "169.254.169.254", "10.0.0.1", "64:ff9b::7f00:1"):
        outcome = notifier(lambda *_, a=address: [a], a=ADDRESSES["slack"]).deliver("a", notice(), PATIENCE_S)
        assert outcome.outcome == "retry"


def test_a_service_is_reached_at_the_judged_address_under_its_name_and_resolved_once_a_request(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    from apprise.plugins.slack import NotifySlack

    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://localhost:{receiver.server_port}/200")
    assert notifier(resolve, a=ADDRESSES["slack"]).deliver("a", notice(), PATIENCE_S).outcome == "delivered"
    assert asked == ["localhost"]
    assert receiver.asked[0].headers["Host"] == f"localhost:{receiver.server_port}"


@pytest.mark.parametrize("path", ["huge", "drip", "garbage"])
def test_a_service_that_answers_without_end_is_given_up(
    path: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver, path)
    tracemalloc.start()
    try:
        outcome = notifier(a=ADDRESSES["discord"]).deliver("a", notice(), 3.0)
        assert outcome.outcome == "retry"
        eventually(lambda: "sink-a" not in {thread.name for thread in threading.enumerate()})
        assert tracemalloc.get_traced_memory()[1] < 40 * MEGABYTE
    finally:
        tracemalloc.stop()
    assert receiver.written < 16 * MAX_ANSWER + 8 * MEGABYTE


def test_an_answer_of_a_service_is_never_unpacked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    receiver.reply = gzip.compress(gzip.compress(bytes(64 * MEGABYTE)))
    tracemalloc.start()
    try:
        assert notifier(a=ADDRESSES["slack"]).deliver("a", notice(), PATIENCE_S).outcome in ("delivered", "refused")
        assert tracemalloc.get_traced_memory()[1] < 40 * MEGABYTE
    finally:
        tracemalloc.stop()
    assert receiver.asked[0].headers["Accept-Encoding"] == "identity"


def test_nothing_is_sent_outside_of_an_attempt(receiver: Receiver) -> None:
    from apprise.plugins import slack

    pin(slack)
    with pytest.raises(slack.requests.RequestException):
        slack.requests.post(receiver.url("200/x"), data="x")
    clock = SystemClock()
    with (
        calling(PinnedCall(clock, resolve_here, clock.monotonic() - 1)),
        pytest.raises(slack.requests.RequestException),
    ):
        slack.requests.post(receiver.url("200/x"), data="x")
    assert receiver.asked == []


# -- mail ---------------------------------------------------------------------------------------------------------


def test_a_letter_goes_to_the_judged_address_and_the_name_is_resolved_once() -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    with mail_server() as box:
        url = f"mailto://rebinds.example:{box.port}?{TO}&mode=insecure"
        sink = AlertChannel(url=url, allow_private=True)
        assert notifier(resolve, a=sink).deliver("a", notice(), PATIENCE_S).outcome == "delivered"
    assert asked == ["rebinds.example"]
    assert len(box.letters) == 1


@contextmanager
def mail_that(say: bytes, pause_s: float) -> Iterator[int]:
    """A mail server that says this again and again; its port."""
    ends = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                try:
                    while not ends.wait(pause_s):
                        peer.sendall(say)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ends.set()
            thread.join()


@pytest.mark.parametrize(("say", "pause_s"), [(b"220-more\r\n" * 10_000, 0.0), (b"2", 0.02), (b"x" * 65_536, 0.0)])
def test_a_mail_server_that_says_more_and_more_is_given_up(say: bytes, pause_s: float) -> None:
    with mail_that(say, pause_s) as port:
        sinks = notifier(a=f"mailto://127.0.0.1:{port}?{TO}&mode=insecure")
        tracemalloc.start()
        try:
            began = time.monotonic()
            assert sinks.deliver("a", notice(), 2.0).outcome == "retry"
            eventually(lambda: "sink-a" not in {thread.name for thread in threading.enumerate()})
            assert time.monotonic() - began < PATIENCE_S / 2
            assert tracemalloc.get_traced_memory()[1] < 40 * MEGABYTE + MAX_SMTP
        finally:
            tracemalloc.stop()
