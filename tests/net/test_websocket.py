"""The handshake of a WebSocket against servers that drip, flood, lie and stall, over real sockets."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.served import eventually
from wsproto.utilities import generate_accept_token

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.core.model.messages import FeedState
from kalshi_cli.exchange.stream import reader
from kalshi_cli.net.dialing import MAX_ADDRESSES, connect_in_turn
from kalshi_cli.net.websocket import MAX_HEAD, HandshakeError, connect

GENEROUS_S = 60.0
WITHIN_S = 0.5
Behavior = Callable[[socket.socket, threading.Event], None]


def accepted(peer: socket.socket) -> bytes:
    """Read the request; return the answer that opens the connection, without its last blank line."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        chunk = peer.recv(4096)
        if not chunk:
            raise ConnectionError("the client left")  # else this thread would turn for as long as the tests run
        asked += chunk
    lines = dict(line.split(b": ", 1) for line in asked.split(b"\r\n")[1:] if line)
    token = generate_accept_token(lines[b"Sec-WebSocket-Key"])
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + token + b"\r\n"
    )


@contextlib.contextmanager
def serving(behave: Behavior) -> Iterator[int]:
    """A server that does this to whoever connects; its port."""
    ends = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    threading.Thread(target=one, args=(peer,), daemon=True).start()

        def one(peer: socket.socket) -> None:
            with peer, contextlib.suppress(OSError):
                behave(peer, ends)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ends.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def drip(peer: socket.socket, ends: threading.Event) -> None:
    """A byte of a header every now and then, each well within any timeout of a single read."""
    peer.sendall(accepted(peer) + b"X-Drip: ")
    while not ends.wait(0.02):
        peer.sendall(b"x")


def headers_without_end(peer: socket.socket, ends: threading.Event) -> None:
    peer.sendall(accepted(peer))
    while not ends.is_set():
        peer.sendall(b"X-More: and more\r\n" * 1_000)


def silent(peer: socket.socket, ends: threading.Event) -> None:
    ends.wait()


def a_line_without_end(peer: socket.socket, ends: threading.Event) -> None:
    accepted(peer)
    while not ends.is_set():
        peer.sendall(b"H" * 65_536)


def answer(text: bytes) -> Behavior:
    def behave(peer: socket.socket, ends: threading.Event) -> None:
        accepted(peer)
        peer.sendall(text)
        ends.wait()

    return behave


def early_frame(peer: socket.socket, ends: threading.Event) -> None:
    peer.sendall(accepted(peer) + b"\r\n\x81\x02hi")
    ends.wait()


def opened(port: int, within_s: float = GENEROUS_S, scheme: str = "ws") -> Any:
    return connect(f"{scheme}://127.0.0.1:{port}/stream", {"X-Key": "k"}, SystemClock(), within_s)


def odd_cookie(peer: socket.socket, ends: threading.Event) -> None:
    peer.sendall(accepted(peer) + b"Set-Cookie: a,b=1\r\n\r\n")
    ends.wait()


def test_a_cookie_that_cannot_be_read_is_no_websocket() -> None:
    with serving(odd_cookie) as port, pytest.raises(HandshakeError, match="does not speak WebSocket"):
        opened(port)


def test_a_server_that_pings_and_never_reads_is_a_lost_connection() -> None:
    def behave(peer: socket.socket, ends: threading.Event) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(accepted(peer) + b"\r\n")
        ends.wait()

    with serving(behave) as port:
        connection = opened(port)
        connection.sock.settimeout(0.2)
        with pytest.raises(OSError, match="cannot send"):
            [connection.pong(b"p" * 125) for _ in range(1_000_000)]
        connection.sock.close()


@pytest.mark.parametrize("behave", [drip, silent])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_server_that_takes_its_time_is_given_up_at_the_deadline(behave: Behavior, scheme: str) -> None:
    with serving(behave) as port:
        began = time.monotonic()
        with pytest.raises((HandshakeError, TimeoutError, ssl.SSLError)):
            opened(port, WITHIN_S, scheme)
        assert time.monotonic() - began < GENEROUS_S / 4


@pytest.mark.parametrize("behave", [headers_without_end, a_line_without_end])
def test_an_answer_without_end_is_given_up_at_its_largest_size(behave: Behavior) -> None:
    with serving(behave) as port, pytest.raises(HandshakeError, match=f"longer than {MAX_HEAD} bytes"):
        opened(port)


def test_an_answer_of_the_largest_size_is_taken() -> None:
    def behave(peer: socket.socket, ends: threading.Event) -> None:
        head = accepted(peer)
        peer.sendall(head + b"X-Pad: " + b"x" * (MAX_HEAD - len(head) - 11) + b"\r\n\r\n")
        ends.wait()

    with serving(behave) as port:
        opened(port).shutdown()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 999999999999\r\n\r\n", 401),
        (b"HTTP/1.1 503 Busy\r\n\r\n" + b"x" * 100_000, 503),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere.example/\r\n\r\n", 302),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 100),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n", 0),
        (b"HTTP/1.1 101 Yes\r\n\r\n", 0),
        (b"\x16\x03\x01 what?\r\n\r\n", 0),
        (b"HTTP/1.1 200\xff\xff OK\r\n\r\n", 0),
        (b"\r\n\r\n", 0),
    ],
)
def test_any_other_answer_is_refused_with_its_status_and_its_body_is_not_read(text: bytes, status: int) -> None:
    with serving(answer(text)) as port, pytest.raises(HandshakeError) as refused:
        opened(port)
    assert refused.value.status == status


@pytest.mark.parametrize("more", [b"", b"Content-Length: 9\r\n"])
def test_a_refusal_has_the_date_of_the_server(more: bytes) -> None:
    text = b"HTTP/1.1 401 Unauthorized\r\nDate: Wed, 25 Nov 2026 15:34:29 GMT\r\n" + more + b"\r\n"
    with serving(answer(text)) as port, pytest.raises(HandshakeError) as refused:
        opened(port)
    assert refused.value.date == "Wed, 25 Nov 2026 15:34:29 GMT"


def test_an_extension_that_was_not_asked_for_is_refused() -> None:
    def behave(peer: socket.socket, ends: threading.Event) -> None:
        peer.sendall(accepted(peer) + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        ends.wait()

    with serving(behave) as port, pytest.raises(HandshakeError, match="extension"):
        opened(port)


def test_a_frame_that_comes_with_the_handshake_is_kept() -> None:
    with serving(early_frame) as port:
        connection = opened(port)
        eventually(lambda: connection.sock.recv(4, socket.MSG_PEEK) == b"\x81\x02hi")
        connection.shutdown()


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = threading.Event()

    def note(_peer: socket.socket, _ends: threading.Event) -> None:
        reached.set()

    with serving(note) as proxy, serving(early_frame) as port:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        opened(port).shutdown()
    assert not reached.is_set()


class NoSigner:
    def headers(self, _method: str, _path: str) -> dict[str, str]:
        return {}


def test_the_stream_of_the_exchange_gives_up_a_handshake_that_drips() -> None:
    with serving(drip) as port:
        pace = reader.StreamTimings(connect_s=WITHIN_S, first_pause_s=0.01)
        stream = reader.Stream(
            f"ws://127.0.0.1:{port}/ws",
            NoSigner(),  # type: ignore[arg-type]
            SystemClock(),
            random.Random(1),
            pace=pace,
        )
        stream.start()
        found: list[Any] = []

        def told() -> bool:
            from collections import deque

            into: deque[Any] = deque()
            stream.inbox.take(into, 0.05)
            found.extend(into)
            return any(isinstance(message, FeedState) and not message.is_live for message in found)

        eventually(told)
        stream.stop()
    assert not stream.connections


# -- a name with several addresses ----------------------------------------------------------------------------------


def test_each_address_has_its_share_of_the_time_and_no_more_than_a_few_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 1)) for number in range(20)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: names)
    tried: list[tuple[str, float]] = []

    def refuse(address: str, timeout: float) -> None:
        tried.append((address, timeout))
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        connect_in_turn("many.example", 1, lambda: 8.0, refuse)
    assert tried == [(f"192.0.2.{number}", 8.0 / (MAX_ADDRESSES - number)) for number in range(MAX_ADDRESSES)]


def test_a_name_that_nobody_resolves_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(30))
    began = time.monotonic()
    with pytest.raises(OSError, match="not resolved in time"):
        connect_in_turn("silent.example", 1, lambda: 0.2, lambda *_: None)
    is_over.set()
    assert time.monotonic() - began < 20


def test_what_a_lookup_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnicodeError):
        connect_in_turn("a" * 70 + ".example", 1, lambda: 5.0, lambda *_: None)
