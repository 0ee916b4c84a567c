"""Clients of the servers on this machine that are slow on purpose: they hold up nobody, and are ended."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from kalshi_cli.feeds.signal_hook import SignalHook
from kalshi_cli.net import loopback_server
from kalshi_cli.net.loopback_server import MAX_CLIENTS, REQUEST_S, read_page
from kalshi_cli.telemetry.metrics import Metrics, MetricsServer

AT_ONCE_S = REQUEST_S
"""Less than three slow clients take one after the other, and far more than an answer does."""
HEAD = "POST /signals HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\n"
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def metrics() -> Iterator[MetricsServer]:
    server = MetricsServer(Metrics(env="sim").registry, 0)
    yield server
    server.stop()


def answered(port: int, request: bytes) -> tuple[bytes, float]:
    """The first line of the answer, and how long it took."""
    began = time.monotonic()
    with closing(socket.create_connection(("127.0.0.1", port), 30)) as one:
        one.sendall(request)
        head = one.makefile("rb").readline()
    return head, time.monotonic() - began


@contextmanager
def slow(port: int, number: int, beginning: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)) for _ in range(number)]
        for one in found:
            one.sendall(beginning)
        time.sleep(0.1)
        yield found


@pytest.mark.parametrize("beginning", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: local"])
def test_a_scrape_does_not_wait_for_slow_clients(metrics: MetricsServer, beginning: bytes) -> None:
    with slow(metrics.port, 3, beginning):
        head, seconds = answered(metrics.port, GET)
        assert b"200" in head
        assert seconds < AT_ONCE_S


def test_there_is_a_limit_of_threads_and_the_slowest_goes_first(metrics: MetricsServer) -> None:
    before = threading.active_count()
    with slow(metrics.port, 4 * MAX_CLIENTS, b"GET /metr") as clients:
        assert threading.active_count() - before <= 2 * MAX_CLIENTS, "one for the answer, one for its time"
        head, _ = answered(metrics.port, GET)
        assert b"200" in head
        clients[0].settimeout(30)
        assert clients[0].recv(1) == b"", "the first was ended"


def test_a_client_that_never_finishes_is_ended(metrics: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback_server, "REQUEST_S", 0.2)
    with slow(metrics.port, 1, b"GET /metr") as (client,):
        began = time.monotonic()
        client.settimeout(30)
        assert client.recv(1) in (b"", b"H")
        assert time.monotonic() - began < 10 * REQUEST_S


def test_a_body_that_is_shorter_than_it_says_holds_up_no_news(capfd: pytest.CaptureFixture[str]) -> None:
    taken: list[bytes] = []
    hook = SignalHook(0, "t", taken.append)
    try:
        with slow(hook.port, 3, f"{HEAD}Content-Length: 60000\r\n\r\n{{".encode()) as clients:
            whole = f"{HEAD}Content-Length: 2\r\n\r\n{{}}".encode()
            head, seconds = answered(hook.port, whole)
            assert b"202" in head
            assert seconds < AT_ONCE_S
            for client in clients:
                client.settimeout(30)
                assert client.makefile("rb").readline() in (b"", b"HTTP/1.0 408 Request Timeout\r\n")
        assert taken == [b"{}"]
    finally:
        hook.stop()
    assert capfd.readouterr().err == ""


def test_news_of_several_threads_are_taken_one_by_one() -> None:
    busy = threading.Lock()
    overlapped: list[bytes] = []

    def take(body: bytes) -> None:
        if not busy.acquire(blocking=False):
            overlapped.append(body)
            return
        time.sleep(0.05)
        busy.release()

    hook = SignalHook(0, "t", take)
    whole = f"{HEAD}Content-Length: 2\r\n\r\n{{}}".encode()
    threads = [threading.Thread(target=answered, args=(hook.port, whole)) for _ in range(MAX_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    hook.stop()
    assert overlapped == []


def test_a_server_that_stops_ends_its_slow_clients(metrics: MetricsServer) -> None:
    server = MetricsServer(Metrics(env="sim").registry, 0)
    with slow(server.port, MAX_CLIENTS, b"GET /metr") as clients:
        server.stop()
        for client in clients:
            client.settimeout(30)
            assert client.recv(1) in (b"", b"H")


def test_a_port_is_free_at_once_for_the_next_server_after_a_request() -> None:
    first = MetricsServer(Metrics(env="sim").registry, 0)
    with closing(socket.create_connection(("127.0.0.1", first.port), 30)) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        while client.recv(65_536):  # the server closes first, so its side of the connection stays in TIME_WAIT
            pass
    first.stop()
    second = MetricsServer(Metrics(env="sim").registry, first.port)
    assert second.port == first.port
    second.stop()


def test_two_servers_never_share_a_port(metrics: MetricsServer) -> None:
    with pytest.raises(OSError, match="in use"):
        MetricsServer(Metrics(env="sim").registry, metrics.port)


def test_a_page_of_a_local_server_can_be_read_and_anything_else_is_an_error(
    metrics: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "trading_run{" in read_page(metrics.port, "/metrics")
    with pytest.raises(OSError, match="404"):
        read_page(metrics.port, "/other")
    monkeypatch.setattr(loopback_server, "REQUEST_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OSError, match="timed out"):
        read_page(silent.getsockname()[1], "/metrics")
