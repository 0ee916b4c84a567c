"""The transport sends a request once, and never takes the bytes of one reply for those of another."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
from support.scripted_server import NOW

from kalshi_cli.base.clock import Clock, ManualClock, SystemClock
from kalshi_cli.net.deadline_transport import MAX_CONNECTIONS, DeadlineTransport

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TIMES = {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 0.2}


class RawServer:
    """Answers the n-th request it receives with the n-th bytes; an empty reply closes the connection instead."""

    def __init__(self, *replies: bytes, ends: bool = False) -> None:
        self._ends = ends  # after its first reply
        self._replies = iter(replies)
        self.requests: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/x"

    def close(self) -> None:
        self._listener.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while request := connection.recv(65536):
                self.requests.append(request)
                reply = next(self._replies)
                if not reply:
                    return
                connection.sendall(reply)
                if self._ends:
                    return


@contextmanager
def talking(
    *replies: bytes, clock: Clock | None = None, ends: bool = False
) -> Iterator[tuple[RawServer, Callable[..., str]]]:
    """Yield a server, and a function that asks it and returns the body."""
    server, transport = RawServer(*replies, ends=ends), DeadlineTransport(clock or SystemClock(), is_tls=False)

    def ask(method: str = "GET", **more: object) -> str:
        content = b'{"count":"1"}' if method == "POST" else None
        extensions = {"timeout": TIMES, **more}
        response = transport.handle_request(httpx.Request(method, server.url, content=content, extensions=extensions))
        try:
            return b"".join(response.stream).decode()  # type: ignore[arg-type]
        finally:
            response.close()

    try:
        yield server, ask
    finally:
        transport.close()
        server.close()


def test_a_write_on_a_reused_connection_that_dies_is_not_repeated() -> None:
    with talking(WHOLE, b"", WHOLE) as (server, ask):
        ask()
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            ask("POST")
        assert sum(request.startswith(b"POST") for request in server.requests) == 1
        assert server.connections == 1


def test_one_connection_serves_calls_in_turn_and_a_request_leaves_in_one_piece() -> None:
    with talking(WHOLE, WHOLE) as (server, ask):
        assert [ask("POST"), ask("POST")] == ["ok", "ok"]
        assert server.connections == 1
        assert all(request.endswith(b'{"count":"1"}') for request in server.requests)


def test_an_idle_connection_is_left_behind() -> None:
    clock = ManualClock(NOW)
    with talking(WHOLE, WHOLE, WHOLE, clock=clock) as (server, ask):
        ask()
        clock.advance(29.0)
        ask()
        clock.advance(31.0)
        ask("POST")
        assert server.connections == 2


@pytest.mark.parametrize(
    "first",
    [
        WHOLE + WHOLE.replace(b"ok", b"no"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    ],
)
def test_bytes_after_a_reply_are_not_taken_for_the_next_one(first: bytes) -> None:
    with talking(first, WHOLE.replace(b"ok", b"OK")) as (server, ask):
        assert ask() == "ok"
        assert ask() == "OK"
        assert server.connections == 2


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 2oo OK\r\n\r\n",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_a_head_that_two_readers_could_understand_differently_is_refused(reply: bytes) -> None:
    with talking(reply) as (_server, ask), pytest.raises(httpx.RemoteProtocolError):
        ask()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nok",  # read by http.client
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok",
    ],
)
def test_a_body_cut_short_is_an_error(reply: bytes) -> None:
    with talking(reply, ends=True) as (_server, ask), pytest.raises(httpx.RemoteProtocolError):
        ask()


def test_a_call_that_finds_every_connection_in_use_sends_nothing() -> None:
    server, transport = RawServer(*[WHOLE] * MAX_CONNECTIONS), DeadlineTransport(SystemClock(), is_tls=False)

    def ask() -> httpx.Response:
        return transport.handle_request(httpx.Request("GET", server.url, extensions={"timeout": TIMES}))

    held = [ask() for _ in range(MAX_CONNECTIONS)]
    with pytest.raises(httpx.PoolTimeout):
        ask()
    assert len(server.requests) == MAX_CONNECTIONS
    transport.close()
    for response in held:
        response.close()
    server.close()


def test_a_deadline_that_passed_and_a_refusal_at_the_last_moment_send_nothing() -> None:
    def refuse() -> None:
        raise LookupError("halted")

    clock = SystemClock()
    with talking(WHOLE, WHOLE) as (server, ask):
        ask()
        with pytest.raises(httpx.ConnectTimeout):
            ask("POST", deadline=clock.monotonic() - 1)
        with pytest.raises(LookupError):
            ask("POST", before_write=refuse)
        ask("POST", deadline=clock.monotonic() + 5)
        assert [request[:4] for request in server.requests] == [b"GET ", b"POST"]


def test_a_header_that_would_end_the_head_is_not_sent() -> None:
    with talking(WHOLE) as (server, _ask):
        transport = DeadlineTransport(SystemClock(), is_tls=False)
        request = httpx.Request("GET", server.url, headers=[(b"X", b"a\r\nY: b")], extensions={"timeout": TIMES})
        with pytest.raises(httpx.ConnectError):
            transport.handle_request(request)
        assert server.requests == []
        transport.close()


def test_a_process_that_slept_while_it_connected_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, connect = ManualClock(NOW), socket.create_connection

    def sleep_through(*words: object, **more: object) -> socket.socket:
        connected = connect(*words, **more)  # type: ignore[arg-type]
        clock.advance(60.0)
        return connected

    with talking(WHOLE, clock=clock) as (server, ask):
        monkeypatch.setattr(socket, "create_connection", sleep_through)
        with pytest.raises(httpx.ConnectTimeout, match="before anything was sent"):
            ask("POST", deadline=clock.monotonic() + 10)
        assert server.requests == []
