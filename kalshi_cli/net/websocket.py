"""Opening a WebSocket: the handshake has one deadline and a largest size, and no proxy is used.

wsproto writes and judges the handshake; here are the socket, the time and the bytes. Frames are read by whoever asked
for the connection, from `early` first and then from `sock`.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, Pong, RejectConnection, Request, TextMessage
from wsproto.utilities import ProtocolError

from kalshi_cli.clock import Clock
from kalshi_cli.net.dialing import connect_in_turn

MAX_HEAD = 16 * 1024
"""Bytes of the server's answer to the handshake, up to the blank line; usual ones have a few hundred."""
_CHUNK = 4096
_HEAD_ENDS = re.compile(rb"\n\r?\n")


class HandshakeError(Exception):
    """The server did not open a WebSocket. `status` is its HTTP status, or 0 where there was none."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class WebSocket:
    """An open WebSocket of a client. `early` is what the server sent right after the handshake."""

    def __init__(self, sock: socket.socket, early: bytes) -> None:
        self.sock = sock
        self.early = early
        self._frames = Connection(ConnectionType.CLIENT)

    def send(self, text: bytes | str) -> None:
        """Send a text message."""
        message = TextMessage(data=text if isinstance(text, str) else text.decode())
        self.sock.sendall(self._frames.send(message))

    def pong(self, payload: bytes) -> None:
        """Answer a ping."""
        self.sock.sendall(self._frames.send(Pong(payload=payload)))

    def shutdown(self) -> None:
        """Hang up."""
        self.sock.close()


def connect(url: str, headers: Mapping[str, str], clock: Clock, within_s: float) -> WebSocket:
    """Open `url`, ws:// or wss://, with these headers, in `within_s` seconds from the first packet to the last.

    Raise HandshakeError where the server does not open it as the protocol wants, and OSError for everything below.
    """
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "wss"
    if not host or parts.scheme not in ("ws", "wss"):
        raise HandshakeError("the address of a WebSocket begins with wss://")
    ends_at = clock.monotonic() + within_s

    def left_s() -> float:
        left = ends_at - clock.monotonic()
        if left <= 0:
            raise HandshakeError(f"the handshake took longer than {within_s:g} s")
        return left

    port = parts.port or (443 if is_tls else 80)
    sock = connect_in_turn(host, port, left_s, partial(_dial, port=port))
    try:
        if is_tls:
            sock.settimeout(left_s())  # Python bounds the whole TLS handshake by it
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        protocol = WSConnection(ConnectionType.CLIENT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        sock.settimeout(left_s())
        sock.sendall(protocol.send(Request(host=parts.netloc, target=target, extra_headers=extra)))
        buffer = b""
        while (end := _HEAD_ENDS.search(buffer)) is None:
            if len(buffer) > MAX_HEAD:
                raise HandshakeError(f"an answer to the handshake of more than {MAX_HEAD} bytes")
            sock.settimeout(left_s())
            chunk = sock.recv(_CHUNK)
            if not chunk:
                raise HandshakeError("the server hung up during the handshake")
            buffer += chunk
        _judge(protocol, buffer[: end.end()])
    except BaseException:
        sock.close()
        raise
    return WebSocket(sock, buffer[end.end() :])


def _dial(address: str, timeout: float, *, port: int) -> socket.socket:
    sock = socket.create_connection((address, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _judge(protocol: WSConnection, head: bytes) -> None:
    """Raise HandshakeError where this answer does not open the connection."""
    try:
        protocol.receive_data(head)
        event = next(protocol.events(), None)
    except (ProtocolError, UnicodeError) as error:
        raise HandshakeError(f"the server does not speak WebSocket: {error}") from None
    if isinstance(event, RejectConnection):
        raise HandshakeError(f"the server answered {event.status_code} to the handshake", event.status_code)
    if not isinstance(event, AcceptConnection):
        raise HandshakeError("the server does not speak WebSocket")
