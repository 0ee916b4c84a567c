"""What `health-check` says of the key, the disk and of whom it would tell."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from msgspec import structs
from support.fault_proxy import Fault, fault_proxy
from support.notice_receiver import receiving
from support.resources import open_resources
from support.served import KEY_ID, Served

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import UnreachableError
from kalshi_cli.base.units import Ts
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import Credentials, CredentialsByEnv, ExchangeConfig, HeartbeatConfig
from kalshi_cli.core.monitoring.check_report import Verdict
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services.monitoring import health
from kalshi_cli.services.monitoring.alerting import AlertOverview
from kalshi_cli.services.trading.reports.status import RunStatus, read_status
from kalshi_cli.store.alert_tables import AlertChannelState, QueuedNotice
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.telemetry.metrics import Metrics, MetricsServer

FAST_KEY, SLOW_KEY = Ed25519PrivateKey.generate(), generate_private_key(65_537, 2_048)
NOW = Ts(1_780_000_000_000)


def letter(sink: str, created: Ts = NOW) -> QueuedNotice:
    return QueuedNotice(
        number=1, notice_id="n", sink=sink, status="waiting", created=created, tries=1, moved=NOW, error="",
        tier="critical", body=b"{}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("signer", "presign", "said"),
    [
        (Signer("k", FAST_KEY, SystemClock()), False, "readable by its owner only, well-formed"),
        (
            Signer("k", FAST_KEY, SystemClock()),
            True,
            "readable by its owner only, well-formed; idle loops sign orders ahead (exchange.presign)",
        ),
        (
            Signer("k", SLOW_KEY, SystemClock()),
            False,
            "readable by its owner only, well-formed; RSA; an Ed25519 key signs faster",
        ),
    ],
)
def test_an_rsa_key_is_named_and_so_is_signing_ahead(signer: Signer, presign: bool, said: str) -> None:
    assert health.key(signer, "demo", presign=presign) == (Verdict.OK, said, "")


def test_who_is_told_is_said_and_what_did_not_reach_them() -> None:
    assert health.sinks((), AlertOverview(), NOW)[:2] == (Verdict.OK, "no alert channels configured")
    verdict, said, hint = health.sinks((), AlertOverview(), NOW, is_needed=True)
    assert (verdict, said) == (
        Verdict.WARNING, "no alert channels configured: no halt or failure is reported to you",
    )  # fmt: skip
    assert hint == "`kalshi init --alert-channel URL` adds one"
    assert health.sinks(("desk", "phone"), AlertOverview(), NOW)[:2] == (
        Verdict.OK,
        "desk, phone; to test: `kalshi alerts test`",
    )
    verdict, said, hint = health.sinks(
        ("desk",), AlertOverview(dead=(letter("desk"), letter("desk"), letter("call"))), NOW
    )
    assert (verdict, said) == (Verdict.WARNING, "undelivered: call, desk")
    assert "kalshi alerts" in hint


def test_a_sink_whose_last_attempt_failed_is_no_ok_and_says_why() -> None:
    failed = AlertChannelState(sink="desk", failures=1, last_failed=NOW, error="connection refused")
    verdict, said, hint = health.sinks(
        ("desk", "phone"), AlertOverview(sinks=(failed, AlertChannelState(sink="phone"))), NOW
    )
    assert (verdict, said) == (Verdict.WARNING, "desk failed: connection refused")
    assert "alert-undelivered" in hint
    gone = AlertOverview(sinks=(failed,))
    assert health.sinks(("phone",), gone, NOW)[0] is Verdict.OK, "a sink that is no longer configured is nobody's"


def test_letters_that_wait_for_longer_than_a_minute_are_a_warning() -> None:
    fresh, late = letter("desk", Ts(NOW - 60_000)), letter("phone", Ts(NOW - 60_001))
    assert health.sinks(("desk", "phone"), AlertOverview(waiting=(fresh,)), NOW)[0] is Verdict.OK
    verdict, said, _ = health.sinks(("desk", "phone"), AlertOverview(waiting=(fresh, late)), NOW)
    assert (verdict, said) == (Verdict.WARNING, "waiting for more than a minute: phone")


@pytest.mark.parametrize(
    ("free", "verdict", "said"),
    [
        (35_600_000, Verdict.CRITICAL, "35 MB free, 100 MB needed"),
        (99_999_999, Verdict.CRITICAL, "99 MB free, 100 MB needed"),
        (100_000_000, Verdict.WARNING, "100 MB free, 1.0 GB recommended"),
        (999_999_999, Verdict.WARNING, "999 MB free, 1.0 GB recommended"),
        (1_000_000_000, Verdict.OK, "1.0 GB free"),
        (67_190_000_000, Verdict.OK, "67.1 GB free"),
    ],
)
def test_too_little_disk_space_names_the_amount_that_is_needed(free: int, verdict: Verdict, said: str) -> None:
    found = health.free_space(free, Path("/var"))
    assert found[:2] == (verdict, said)
    assert (found[2] == "") == (verdict is Verdict.OK)


def test_what_needs_the_key_names_the_line_with_the_problem() -> None:
    told = (Verdict.UNKNOWN, "not checked: requires a valid API key", "see the line `account` above")
    assert health.needs_key("account") == told


def test_the_host_of_the_heartbeat_is_tried_and_a_failure_is_a_warning() -> None:
    with receiving() as there:
        found = health.heartbeat(HeartbeatConfig(url=f"{there.url}/canary-secret"), SystemClock())
    assert found == (Verdict.OK, "127.0.0.1 accepts connections; no ping was sent", "")
    assert there.received == []
    verdict, said, hint = health.heartbeat(HeartbeatConfig(url=f"{there.url}/canary-secret"), SystemClock())
    assert (verdict, said) == (Verdict.WARNING, "connection to 127.0.0.1 failed: no connection")
    assert "heartbeat.url" in hint
    verdict, said, hint = health.heartbeat(HeartbeatConfig(url="https://canary:secret@hc.example.com/"), SystemClock())
    assert verdict is Verdict.CRITICAL
    assert "canary" not in said + hint


def test_a_killed_loop_and_one_that_cannot_read_the_account_are_not_ok(tmp_path: Path) -> None:
    fresh, config = read_status(tmp_path, None, "sim", "2026-11-24", NOW), Config(env="sim", state=tmp_path)
    assert health.feeds(fresh, NOW, config)[0] is Verdict.OK
    last = Heartbeat(
        run_id="r", pid=1, mode="sim", strategy="spike", started=NOW, completed=NOW, cycles=9, is_running=True
    )
    killed = structs.replace(fresh, cycle=last, is_abandoned=True)
    assert health.feeds(killed, Ts(NOW + 60_000), config)[:2] == (
        Verdict.WARNING, "the last loop was killed; its last cycle was 60 s ago",
    )  # fmt: skip
    blind = structs.replace(fresh, is_running=True, cycle=last, pid=1, blind_since=NOW)
    assert health.feeds(blind, Ts(NOW + 20_000), config)[0] is Verdict.CRITICAL


def test_metrics_that_the_loop_does_not_serve_are_a_warning(tmp_path: Path) -> None:
    def run(mode: str, *, is_running: bool = True) -> RunStatus:
        found = read_status(tmp_path, None, "sim", "2026-11-24", NOW, mode=mode)
        return structs.replace(found, is_running=is_running)

    server = MetricsServer(Metrics(env="sim", mode="sim").registry, 0)
    try:
        assert health.metrics(run("sim"), server.port) == (Verdict.OK, f"served on port {server.port}", "")
        verdict, said, hint = health.metrics(run("paper"), server.port)
        assert verdict is Verdict.WARNING
        assert said == f"another program has port {server.port} (metrics.port), so the loop serves no metrics"
        assert "metrics.port" in hint
    finally:
        server.stop()
    verdict, said, _ = health.metrics(run("sim"), server.port)
    assert (verdict, "no metrics" in said) == (Verdict.WARNING, True)
    assert health.metrics(run("sim", is_running=False), server.port)[0] is Verdict.OK


def test_an_exchange_that_does_not_respond_leaves_the_line_of_the_alert_channels_known(tmp_path: Path) -> None:
    def asked() -> str:
        raise UnreachableError("The simulated exchange does not respond")

    config = Config(env="sim", state=tmp_path / "state")
    with open_resources(config) as resources:
        there = dataclasses.replace(resources, find_rest_url=asked, find_ws_url=asked)
        found = {each.check: each.verdict for each in health.health_of(there)}
    assert (found["exchange"], found["sinks"]) == (Verdict.UNKNOWN, Verdict.OK)


@pytest.mark.parametrize(
    ("hanging", "first", "skipped"),
    [("/", "exchange", ("clock", "account", "limits")), ("/(api_keys|portfolio|account)", "account", ("limits",))],
)
def test_after_one_check_without_a_response_no_other_check_waits(
    exchange: Served, hanging: str, first: str, skipped: tuple[str, ...]
) -> None:
    key = Credentials(key_id=KEY_ID, private_key_path=exchange.key_path)
    with fault_proxy(exchange.server.rest_url) as proxy:
        proxy.faults.append(Fault("hang_request", "GET", hanging, times=100))
        urls = (proxy.moved(exchange.server.rest_url), proxy.moved(exchange.server.ws_url))
        config = Config(
            env="sim", state=exchange.state, credentials=CredentialsByEnv(sim=key),
            exchange=ExchangeConfig(rest_url=urls[0], ws_url=urls[1]),
        )  # fmt: skip
        with open_resources(config) as resources:
            found = {each.check: each for each in health.health_of(resources, within_s=1.5)}
    assert (found[first].verdict, found[first].is_unreachable) == (Verdict.UNKNOWN, True)
    assert (found[first].latency_ms or 0) < 1000 * config.exchange.read_timeout_s, "one attempt alone would take that"
    for name in skipped:
        told = (found[name].verdict, found[name].detail, found[name].hint)
        assert told == (
            Verdict.UNKNOWN, "not checked: the exchange does not respond", f"see the line `{first}` above",
        )  # fmt: skip


def test_without_a_network_the_stream_is_as_unknown_as_the_exchange(exchange: Served) -> None:
    key = Credentials(key_id=KEY_ID, private_key_path=exchange.key_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = Config(
            env="sim", state=exchange.state, credentials=CredentialsByEnv(sim=key),
            exchange=ExchangeConfig(rest_url=f"http://127.0.0.1:{port}", ws_url=f"ws://127.0.0.1:{port}"),
        )  # fmt: skip
        with open_resources(config) as resources:
            found = {each.check: each for each in health.health_of(resources, within_s=1.0)}
    assert (found["exchange"].verdict, found["stream"].verdict) == (Verdict.UNKNOWN, Verdict.UNKNOWN)
    assert found["stream"].hint == "see the line `exchange` above"
