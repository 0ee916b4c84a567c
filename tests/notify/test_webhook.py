"""The plain webhook: what arrives, and what each answer of a receiver comes to."""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from email.utils import format_datetime
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from support.places import ROOT
from support.receivers import BRIEFLY_S, HUGE, PATIENCE_S, nobody, notice, notifier, receiving
from support.served import eventually

from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.net.delivery import MAX_WAIT_S, USUAL_WAIT_S, DeliveryResult, waiting_time
from kalshi_cli.notify.notice_text import alert_key, public_page, to_body, to_title
from kalshi_cli.notify.notifier import Notifier

NOW = Ts(1_795_258_800_000)


def delivered_to(path: str, within_s: float = PATIENCE_S) -> DeliveryResult:
    with receiving() as receiver:
        return notifier(a=receiver.url(path)).deliver("a", notice(), within_s)


# -- what arrives -------------------------------------------------------------------------------------------------


def test_the_json_is_what_the_contract_says() -> None:
    text = "an order whose fate is not known since 2026-11-21T10:59:30.250Z"
    told = notice(count=3, subjects=("A", "B", "C"), text=text)
    with receiving() as receiver:
        assert notifier(a=receiver.url("200/hook?token=x")).deliver("a", told, PATIENCE_S).outcome == "delivered"
    (asked,) = receiver.asked
    assert (asked.method, asked.path, asked.headers["Content-Type"]) == (
        "POST",
        "/200/hook?token=x",
        "application/json",
    )
    assert json.loads(asked.body) == {
        "version": 1,
        "key": "9e9ded690be4ed087e3e5fea2f080e38",
        "notice_id": "n-1",
        "kind": "firing",
        "tier": "critical",
        "event": "error",
        "code": "ORDER_UNKNOWN",
        "subject": "KXBTC-26NOV21",
        "text": "an order whose fate is not known since 2026-11-21 10:59:30 UTC",
        "env": "demo",
        "since": "2026-11-21T11:00:00.000Z",
        "ts": "2026-11-21T11:00:01.500Z",
        "value": "1",
        "limit": "0",
        "unit": "orders",
        "count": 3,
        "subjects": ["A", "B", "C"],
        "runbook": "unknown-order",
        "command": "kalshi order reconcile",
        "page": "",
        "host": "",
    }


def test_the_documentation_names_every_field_and_no_other() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    table = page.split("<!-- fields -->")[1]
    named = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    fields = {field.name for field in msgspec.structs.fields(Notice)} - {"ticket"}  # the key has it
    assert sorted(named) == sorted(["version", "key", *fields])


def test_one_alert_keeps_its_key_from_beginning_to_end_and_an_event_has_its_own() -> None:
    def key(**changes: object) -> str:
        with receiving() as receiver:
            notifier(a=receiver.url("200")).deliver("a", notice(**changes), PATIENCE_S)
        found: str = json.loads(receiver.asked[0].body)["key"]
        return found

    assert key(notice_id="n-1") == key(notice_id="n-2", kind="resolved", tier="info", ts=Ts(NOW + 9))
    assert len({key(), key(subject="other"), key(code="DRIFT"), key(env="prod")}) == 4
    assert key(kind="event", notice_id="n-1") != key(kind="event", notice_id="n-2")
    assert key() == key(subject="other", ticket=notice().subject)


# -- what an answer comes to ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "outcome", "said"),
    [
        ("200", "delivered", "POST to 127.0.0.1: delivered"),
        ("204", "delivered", "POST to 127.0.0.1: delivered"),
        ("slow", "delivered", "POST to 127.0.0.1: delivered"),
        ("404", "gone", "POST to 127.0.0.1 failed: the channel no longer exists (HTTP 404)"),
        ("410", "gone", "POST to 127.0.0.1 failed: the channel no longer exists (HTTP 410)"),
        ("400", "refused", "POST to 127.0.0.1 failed: HTTP 400"),
        ("401", "refused", "POST to 127.0.0.1 failed: HTTP 401"),
        ("408", "retry", "POST to 127.0.0.1 failed: HTTP 408"),
        ("500", "retry", "POST to 127.0.0.1 failed: HTTP 500"),
        ("503", "retry", "POST to 127.0.0.1 failed: HTTP 503"),
        ("garbage", "retry", "POST to 127.0.0.1 failed: connection lost, or not an HTTP server"),
    ],
)
def test_each_answer_comes_to_one_of_four_outcomes(path: str, outcome: str, said: str) -> None:
    assert delivered_to(path) == DeliveryResult(outcome=outcome, text=said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("120", 120.0),
        ("0", 1.0),
        ("86400", MAX_WAIT_S),
        ("999999999", MAX_WAIT_S),
        ("9" * 40, USUAL_WAIT_S),
        ("-5", USUAL_WAIT_S),
        ("soon", USUAL_WAIT_S),
        ("", USUAL_WAIT_S),
        (format_datetime(datetime.datetime.fromtimestamp(NOW / 1000 + 30, datetime.UTC)), 30.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT_S),
    ],
)
def test_a_sink_that_wants_fewer_is_given_the_time_it_asks_for_within_bounds(header: str, wait_s: float) -> None:
    assert waiting_time(header, NOW) == wait_s


def test_the_wait_that_a_receiver_asks_for_is_in_the_outcome() -> None:
    outcome = delivered_to("429/120")
    assert (outcome.outcome, outcome.retry_after_s) == ("retry", 120.0)


def test_a_huge_answer_is_not_read() -> None:
    with receiving() as receiver:
        assert notifier(a=receiver.url("huge")).deliver("a", notice(), PATIENCE_S).outcome == "delivered"
    assert receiver.written < HUGE


@pytest.mark.parametrize("path", ["never", "drip"])
def test_a_receiver_that_does_not_end_is_tried_later_and_its_thread_ends(path: str) -> None:
    with receiving() as receiver:
        sinks = notifier(hangs=receiver.url(path))
        outcome = sinks.deliver("hangs", notice(), BRIEFLY_S)
        assert outcome == DeliveryResult(outcome="retry", text="POST to 127.0.0.1 failed: timeout")
        eventually(lambda: "sink-hangs" not in {thread.name for thread in threading.enumerate()})


def test_nobody_listening_is_tried_later() -> None:
    with nobody() as base:
        outcome = notifier(a=f"{base}/x").deliver("a", notice(), PATIENCE_S)
    assert outcome == DeliveryResult(outcome="retry", text="POST to 127.0.0.1 failed: no connection")


def test_while_an_attempt_has_not_come_back_no_other_is_begun() -> None:
    free = threading.Event()
    asked: list[str] = []

    def stuck(host: str, _port: int) -> list[str]:
        asked.append(host)
        free.wait()
        raise OSError

    sinks = notifier(stuck, stuck="https://a.example/x", other="https://10.0.0.1/x")
    assert sinks.deliver("stuck", notice(), BRIEFLY_S).text == "POST to a.example failed: timeout"
    again = sinks.deliver("stuck", notice(), PATIENCE_S)
    assert (again.outcome, again.text) == (
        "retry", "POST to a.example failed: the previous attempt is still running",
    )  # fmt: skip
    assert sinks.deliver("other", notice(), PATIENCE_S).outcome == "refused"
    free.set()
    eventually(lambda: "cannot be resolved" in sinks.deliver("stuck", notice(), PATIENCE_S).text)
    assert len(asked) >= 2


def test_a_sink_that_is_not_there_is_refused() -> None:
    assert notifier().deliver("x", notice()) == DeliveryResult(outcome="refused", text="no alert channel x")


def test_a_clock_that_stands_still_does_not_make_an_attempt_last() -> None:
    with receiving() as receiver:
        sinks = Notifier({"a": AlertChannel(url=receiver.url("never"))}, ManualClock(NOW))
        assert sinks.deliver("a", notice(), BRIEFLY_S).outcome == "retry"


# -- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For alerts.example, by nobody that this machine trusts: key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alerts.example")])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("alerts.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "alerts.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path


def over_tls(certificate: Path, host: str) -> tuple[DeliveryResult, list[str | None], list[str]]:
    """What became of it, which name the handshake was for, and the Host headers that arrived."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names: list[str | None] = []

    def remember(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = remember
    with receiving(context) as receiver:
        sinks = notifier(
            lambda *_: ["127.0.0.1"], a=AlertChannel(url=receiver.url("200/x", host=host), allow_private=True)
        )
        outcome = sinks.deliver("a", notice(), PATIENCE_S)
    return outcome, names, [asked.headers["Host"].split(":")[0] for asked in receiver.asked]


def test_tls_is_for_the_name_while_the_connection_is_to_the_address(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    outcome, names, hosts = over_tls(certificate, "alerts.example")
    assert outcome.outcome == "delivered"
    assert names == ["alerts.example"]
    assert hosts == ["alerts.example"]


@pytest.mark.parametrize("trusted", [False, True])
def test_a_certificate_that_proves_nothing_is_not_accepted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    outcome, _, hosts = over_tls(certificate, "other.example" if trusted else "alerts.example")
    assert outcome.outcome == "retry"
    assert outcome.text.endswith("failed: certificate does not match this host")
    assert hosts == []


@pytest.mark.parametrize(
    ("configured", "carried"),
    [
        ("", ""),
        ("https://trade.example.com/", "https://trade.example.com"),
        ("https://me:secret@trade.example.com:8443/k/?token=secret#secret", "https://trade.example.com:8443/k"),
    ],
)
def test_every_notice_carries_the_page_and_never_a_secret(configured: str, carried: str) -> None:
    with receiving() as receiver:
        sinks = Notifier({"a": AlertChannel(url=receiver.url("200"))}, SystemClock(), page=configured)
        assert sinks.deliver("a", notice()).outcome == "delivered"
        body = receiver.asked[-1].body
    assert json.loads(body)["page"] == carried
    assert b"secret" not in body
    told = notice(page=public_page(configured), code="GROUP_TRIGGERED", subjects=("0123456789", "9876543210"), count=2)
    lines = to_body(told).splitlines()
    assert "2 of them: 01234567, 98765432" in lines
    assert [line for line in lines if line.startswith("page: ")] == ([f"page: {carried}"] if carried else [])


def test_every_notice_names_its_computer_a_title_briefly() -> None:
    with receiving() as receiver:
        sinks = Notifier({"a": AlertChannel(url=receiver.url("200"))}, SystemClock(), host="vps1.example.com")
        assert sinks.deliver("a", notice()).outcome == "delivered"
        body = json.loads(receiver.asked[-1].body)
    assert body["host"] == "vps1.example.com"
    assert body["key"] == alert_key(notice()), "whoever sends it"
    assert to_title(notice(host="vps1.example.com")) == "[demo vps1] CRITICAL ORDER_UNKNOWN KXBTC-26NOV21"
    assert to_title(notice()).startswith("[demo] ")
