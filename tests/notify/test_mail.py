"""Mail, to a real mail server on this machine."""

from __future__ import annotations

import email
import email.policy
import socket
import threading

import pytest
from support.receivers import BRIEFLY_S, PATIENCE_S, Mailbox, mail_server, notice, notifier
from support.served import eventually

from kalshi_cli.config.schema import AlertChannel

TO = "from=bot@example.com&to=desk@example.com"


def mailto(box: Mailbox, who: str = "", more: str = "mode=insecure") -> str:
    return f"mailto://{who}127.0.0.1:{box.port}?{TO}&{more}"


def test_a_letter_says_what_happened_and_what_to_do() -> None:
    with mail_server() as box:
        outcome = notifier(a=mailto(box)).deliver("a", notice(), PATIENCE_S)
    assert (outcome.outcome, outcome.text) == ("delivered", "mailto://: delivered")
    (letter,) = box.letters
    assert (letter.sender, letter.to) == ("bot@example.com", ["desk@example.com"])
    read = email.message_from_bytes(letter.content, policy=email.policy.default)
    assert read["Subject"] == "[demo] CRITICAL ORDER_UNKNOWN KXBTC-26NOV21"
    assert read.get_content_type() == "text/plain"
    assert [line.rstrip() for line in read.get_content().splitlines() if line.strip()] == [
        "value 1, limit 0 orders",
        "command: kalshi order reconcile",
        "an order whose fate is not known",
        "since 2026-11-21 11:00:00 UTC",
        "runbook: kalshi runbook unknown-order",
    ]


def test_a_subject_from_outside_adds_no_header() -> None:
    with mail_server() as box:
        hostile = notice(subject="x\r\nBcc: thief@example.com\r\n\r\nbody")
        assert notifier(a=mailto(box)).deliver("a", hostile, PATIENCE_S).outcome == "delivered"
    (letter,) = box.letters
    assert letter.to == ["desk@example.com"]
    assert email.message_from_bytes(letter.content)["Bcc"] is None


@pytest.mark.filterwarnings("ignore:Session.login_data:DeprecationWarning")  # the mail server's own
def test_the_password_is_used() -> None:
    with mail_server(password="hunter2hunter2") as box:
        good = notifier(a=mailto(box, "bot:hunter2hunter2@")).deliver("a", notice(), PATIENCE_S)
        bad = notifier(a=mailto(box, "bot:somethingelse@")).deliver("a", notice(), PATIENCE_S)
    assert (good.outcome, bad.outcome) == ("delivered", "retry")
    assert len(box.letters) == 1


@pytest.mark.parametrize("answer", ["451 try later", "552 full", "550 no such person"])
def test_a_letter_that_is_not_taken_is_tried_again(answer: str) -> None:
    with mail_server() as box:
        box.refuses = answer
        outcome = notifier(a=mailto(box)).deliver("a", notice(), PATIENCE_S)
    assert (outcome.outcome, outcome.text) == ("retry", "mailto:// failed: no connection, or rejected")


@pytest.mark.parametrize("more", ["mode=starttls", "mode=ssl"])
def test_a_server_without_tls_gets_nothing_where_tls_is_wanted(more: str) -> None:
    with mail_server() as box:
        assert (
            notifier(a=mailto(box, "bot:hunter2hunter2@", more)).deliver("a", notice(), PATIENCE_S).outcome == "retry"
        )
    assert box.letters == []


def test_a_mail_server_that_says_nothing_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mailto://127.0.0.1:{silent.getsockname()[1]}?{TO}&mode=insecure"
        outcome = notifier(mail=url).deliver("mail", notice(), BRIEFLY_S)
        assert (outcome.outcome, outcome.text) == ("retry", "mailto:// failed: timeout")
    eventually(lambda: "sink-mail" not in {thread.name for thread in threading.enumerate()})


NAMES = {
    "mail.example": "93.184.216.34",
    "inside.example": "10.0.0.25",
    "cloud.example": "169.254.169.254",
    "here.example": "127.0.0.1",
}


def resolve(host: str, _port: int) -> list[str]:
    return [NAMES[host]]


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        f"mailtos://bot:hunter2@cloud.example?{TO}",
        f"mailtos://bot:hunter2@mail.example?{TO}&smtp=cloud.example",
        f"mailtos://bot:hunter2@mail.example?{TO}&smtp=169.254.169.254",
        f"mailtos://bot:hunter2@2852039166?{TO}",
        f"mailto://bot:hunter2@mail.example?{TO}&mode=insecure",
    ],
)
def test_no_letter_goes_to_what_only_this_machine_reaches_nor_unencrypted_through_the_world(
    url: str, allow_private: bool
) -> None:
    outcome = notifier(resolve, a=AlertChannel(url=url, allow_private=allow_private)).deliver("a", notice(), PATIENCE_S)
    assert outcome.outcome == "refused"
    assert "hunter2" not in outcome.text


@pytest.mark.parametrize("host", ["inside.example", "here.example", "10.0.0.25"])
def test_a_mail_server_in_a_private_network_is_refused_unless_permitted(host: str) -> None:
    outcome = notifier(resolve, a=f"mailtos://bot:hunter2@{host}?{TO}").deliver("a", notice(), PATIENCE_S)
    assert outcome.outcome == "refused"
    assert "allow_private: true" in outcome.text


def test_a_mail_server_in_a_private_network_is_reached_where_permitted() -> None:
    with mail_server() as box:
        url = f"mailto://localhost:{box.port}?{TO}&mode=insecure"
        resolved = {"localhost": ["127.0.0.1"]}
        outcome = notifier(lambda host, _: resolved[host], a=AlertChannel(url=url, allow_private=True)).deliver(
            "a", notice(), PATIENCE_S
        )
    assert outcome.outcome == "delivered"
