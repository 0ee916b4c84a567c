"""Pings: what a cycle handed over is sent, the latest of what waits, and nothing by itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.notice_receiver import Received, receiving
from support.served import eventually

from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.net.address_guard import AddressError
from kalshi_cli.telemetry.heartbeat import HeartbeatPinger, try_connection

RUN = "0d338dcc-a054-11ec-b909-0242ac120002"


def no_warning(text: str) -> None:
    raise AssertionError(f"warned: {text}")


def heartbeat(url: str, tell: Callable[[str], None] = no_warning, **more: Any) -> HeartbeatPinger:
    return HeartbeatPinger(url, RUN, 60.0, more.pop("clock", SystemClock()), tell, **more)


def test_start_success_and_fail_carry_the_run_and_the_reason() -> None:
    with receiving() as there:
        pings = heartbeat(f"{there.url}/ping/secret?create=1")
        for number, ping in enumerate(
            (pings.start, pings.success, lambda: pings.fail("DAILY_LOSS: lost \x1b[31m$100"))
        ):
            ping()
            eventually(lambda number=number: len(there.received) > number)  # type: ignore[misc]
        pings.close()
    assert there.received == [
        Received(f"/ping/secret/start?create=1&rid={RUN}", ""),
        Received(f"/ping/secret?create=1&rid={RUN}", ""),
        Received(f"/ping/secret/fail?create=1&rid={RUN}", "DAILY_LOSS: lost [31m$100"),
    ]


def test_of_many_successes_one_is_sent_each_minute_and_a_failure_at_once() -> None:
    clock = ManualClock(Ts(0))
    with receiving() as there:
        pings = heartbeat(f"{there.url}/p", clock=clock)
        for _ in range(100):
            pings.success()
            eventually(lambda: there.received)
        clock.advance(60)
        pings.success()
        eventually(lambda: len(there.received) == 2)
        pings.fail("halted")
        eventually(lambda: len(there.received) == 3)
        pings.success()
        pings.close()
    assert there.paths == ["/p", "/p", "/p/fail", "/p"]


def test_while_one_is_under_way_only_the_latest_waits_and_nobody_waits_for_it() -> None:
    may_answer = threading.Event()
    with receiving() as there:
        there.before_answer = lambda _: may_answer.wait(4)
        pings = heartbeat(f"{there.url}/p")
        pings.start()
        eventually(lambda: there.received)
        for number in range(50):
            pings.fail(f"reason {number}")
        assert len(there.received) == 1, "handed over while the first is not answered yet"
        may_answer.set()
        pings.close()
    assert [got.body for got in there.received] == ["", "reason 49"]


def test_a_sender_that_is_handed_nothing_sends_nothing() -> None:
    with receiving() as there:
        pings = heartbeat(f"{there.url}/p", clock=ManualClock(Ts(0)))
        pings.success()
        pings.close()
        assert len(there.received) == 1
        assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_what_does_not_arrive_is_said_once_without_the_address() -> None:
    said: list[str] = []
    with receiving(500) as there:
        pings = heartbeat(f"{there.url}/ping/canary-secret", said.append)
        for number in range(3):
            pings.fail(f"{number}")
            eventually(lambda number=number: len(there.received) > number)  # type: ignore[misc]
        pings.close()
    assert said == ["Warning: heartbeat not delivered: POST to 127.0.0.1 failed: HTTP 500"]


@pytest.mark.parametrize(
    "url", ["ftp://example.com/x", "https://user:pw@example.com/x", "not an address", "https://2130706433/"]
)
def test_an_address_that_nothing_is_sent_to_is_refused_at_once(url: str) -> None:
    with pytest.raises(AddressError):
        heartbeat(url)


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "127.0.0.1"])
def test_a_name_that_stands_for_a_machine_it_must_not_is_not_talked_to(address: str) -> None:
    said: list[str] = []
    pings = heartbeat("https://hc.example.com/ping/x", said.append, resolve=lambda _host, _port: [address])
    pings.success()
    pings.close()
    assert len(said) == 1
    assert "refused" in said[0]
    assert "ping/x" not in said[0]


def test_a_connection_is_tried_without_a_ping() -> None:
    with receiving() as there:
        found = try_connection(f"{there.url}/ping/canary-secret", SystemClock())
    assert (found.outcome, found.text) == ("delivered", "127.0.0.1 accepts connections")
    assert there.received == []


def test_not_one_byte_is_sent_to_a_host_that_is_only_tried() -> None:
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            connection, _ = server.accept()
            with connection:
                got.append(connection.recv(100))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        assert try_connection(f"http://127.0.0.1:{server.getsockname()[1]}/p", SystemClock()).outcome == "delivered"
        thread.join(5)
    assert got == [b""], "the end of the connection, and nothing before it"


def test_a_host_that_cannot_be_reached_is_named_without_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = try_connection(f"http://127.0.0.1:{port}/ping/canary-secret", SystemClock())
    assert (found.outcome, found.text) == ("retry", "connection to 127.0.0.1 failed: no connection")

    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError

    found = try_connection("https://hc.example.com/canary-secret", SystemClock(), resolve=unknown)
    assert found.text == "connection to hc.example.com failed: the host name cannot be resolved"


def test_a_host_without_tls_is_no_host_of_an_https_address() -> None:
    with receiving() as there:
        found = try_connection(there.url.replace("http://", "https://"), SystemClock())
    assert found.outcome == "retry"
    assert there.received == []
