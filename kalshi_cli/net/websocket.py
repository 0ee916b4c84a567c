"""Opens a WebSocket and reads its messages (RFC 6455).

websocket-client makes the handshake over a socket of this module, with one deadline, a maximum size and no proxy.
wsproto would read frames three times slower than `Framing`, which takes everything that the socket has in one read.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.cookies import CookieError
from typing import Final
from urllib.parse import urlsplit

import websocket

from kalshi_cli.base.clock import Clock
from kalshi_cli.net.dialing import connect_in_turn

MAX_HEAD = 16 * 1024
"""Bytes of the server's handshake response, up to the blank line; usual ones have a few hundred."""
_HEAD_ENDS = re.compile(rb"\n\r?\n\Z")
_DATE = re.compile(rb"^date:[ \t]*([\w ,:]{1,40})\r?$", re.IGNORECASE | re.MULTILINE | re.ASCII)

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_CONTINUATION: Final = 0x0
_FIN: Final = 0x80
_OPCODES = frozenset({_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

MAX_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes of the longest message; the exchange permits itself 64 MiB. A snapshot with every possible price of a market is
below 300 kB, and a decoded message takes up to nine times its bytes."""


class HandshakeError(Exception):
    """The server did not open a WebSocket. `status` is its HTTP status, or 0 if there was none; `date` its date."""

    def __init__(self, text: str, status: int = 0, date: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.date = date


class WebSocket:
    """An open client WebSocket. The caller reads `sock`."""

    def __init__(self, opened: websocket.WebSocket, sock: socket.socket) -> None:
        opened.sock = self.sock = sock
        self._opened = opened

    def send(self, text: bytes | str) -> None:
        """Send a text message; raise OSError if the connection is lost or the server does not read."""
        with _as_os_error():
            self._opened.send(text)

    def pong(self, payload: bytes) -> None:
        """Answer a ping; raise OSError as `send` does."""
        with _as_os_error():
            self._opened.pong(payload)

    def shutdown(self) -> None:
        """Close the connection."""
        self._opened.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Convert errors of websocket-client, which have no common base with those of sockets."""
    try:
        yield
    except websocket.WebSocketException as error:
        raise ConnectionError(f"cannot send: {error}") from error


class _Bounded:
    """The socket of a handshake as websocket-client uses it: one deadline, and no read after the head."""

    def __init__(self, sock: socket.socket, left_s: Callable[[], float]) -> None:
        self._sock = sock
        self._left_s = left_s
        self._head = bytearray()

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes; raise HandshakeError at the maximum size, and after the end of the head."""
        if _HEAD_ENDS.search(self._head):
            status, date = re.match(rb"HTTP/\S+ (\d{3})\b", self._head), _DATE.search(self._head)
            raise _refused(int(status[1]) if status else 0, date=date[1].decode() if date else "")
        if len(self._head) >= MAX_HEAD:
            raise HandshakeError(f"handshake response longer than {MAX_HEAD} bytes")
        self._sock.settimeout(self._left_s())
        chunk = self._sock.recv(min(size, MAX_HEAD - len(self._head)))
        self._head += chunk
        return chunk

    def send(self, data: bytes) -> int:
        """Send as many bytes as the socket accepts."""
        self._sock.settimeout(self._left_s())
        return self._sock.send(data)

    def gettimeout(self) -> float:
        """Return the seconds that are left."""
        return self._left_s()

    def fileno(self) -> int:
        """Return the descriptor, to wait on."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def connect(url: str, headers: Mapping[str, str], clock: Clock, within_s: float) -> WebSocket:
    """Open `url`, ws:// or wss://, with these headers, within `within_s` seconds for the whole handshake.

    Raise HandshakeError if the server does not complete the handshake, and OSError for network errors.
    """
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "wss"
    if not host or parts.scheme not in ("ws", "wss"):
        raise HandshakeError("a WebSocket address must start with wss://")
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
            sock.settimeout(left_s())  # bounds the whole TLS handshake
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        opened = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
        _shake(opened, url, headers, _Bounded(sock, left_s))
    except BaseException:
        sock.close()
        raise
    return WebSocket(opened, sock)


def _dial(address: str, timeout: float, *, port: int) -> socket.socket:
    sock = socket.create_connection((address, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _shake(opened: websocket.WebSocket, url: str, headers: Mapping[str, str], sock: _Bounded) -> None:
    """Make the handshake; raise HandshakeError unless the response opens the connection."""
    try:
        # The headers are signed for this host, so redirects are not followed.
        opened.connect(  # type: ignore[no-untyped-call]
            url, socket=sock, header=dict(headers), suppress_origin=True, redirect_limit=0
        )
    except websocket.WebSocketBadStatusException as error:
        raise _refused(error.status_code or 0, date=(error.resp_headers or {}).get("date", "")) from None
    except websocket.WebSocketTimeoutException:
        raise HandshakeError("the handshake took too long") from None
    except (websocket.WebSocketException, CookieError, ValueError, IndexError) as error:
        raise _refused(int(getattr(opened.handshake_response, "status", 0)), error) from None
    if "sec-websocket-extensions" in (opened.getheaders() or {}):
        raise HandshakeError("the server uses an unrequested extension")


def _refused(status: int, why: object = "no response", date: str = "") -> HandshakeError:
    if status:
        return HandshakeError(f"the server answered {status} to the handshake", status, date)
    return HandshakeError(f"the server does not speak WebSocket: {why}")


class FramingError(Exception):
    """The bytes are not WebSocket frames, so nothing after them can be read either."""


class Framing:
    """Turns bytes into whole messages of at most `most` bytes. One instance per connection."""

    def __init__(self, most: int = MAX_MESSAGE) -> None:
        self._most = most
        self._chunks: list[bytes] = []  # of an incomplete frame
        self._have, self._need = 0, 2
        self._parts: list[bytes] = []  # of a fragmented message
        self._parts_size = 0
        self._kind = 0

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """Return the messages that are now complete: opcode (TEXT, BINARY, CLOSE, PING, PONG) and payload."""
        found: list[tuple[int, bytes]] = []
        self._chunks.append(chunk)
        self._have += len(chunk)
        if self._have < self._need:
            return found
        buffer = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        at, end = 0, len(buffer)
        self._need = 2
        while end - at >= 2:
            head, size = buffer[at], buffer[at + 1]
            start = at + 2
            if size == 126:
                start += 2
            elif size == 127:
                start += 8
            if size >= 126 and start <= end:
                size = self._long_size(size, buffer[at + 2 : start])
            if start + size > end:
                self._need = start + size - at
                break
            payload = buffer[start : start + size]
            at = start + size
            if head == _FIN | TEXT and not self._kind:
                found.append((TEXT, payload))
            else:
                self._rarer(head, payload, found)
        rest = buffer[at:]
        self._chunks, self._have = ([rest] if rest else []), len(rest)
        return found

    def _long_size(self, short: int, digits: bytes) -> int:
        if short > 127:
            raise FramingError("masked frame from a server")
        size = int.from_bytes(digits, "big")
        if size > self._most:
            raise FramingError(f"frame of {size} bytes")
        return size

    def _rarer(self, head: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        """Handle control frames and fragmented messages, between whose parts control frames may come."""
        opcode = head & 0x0F
        is_last = head & _FIN
        if head & 0x70 or opcode not in _OPCODES:
            raise FramingError(f"unknown frame type: {head:#04x}")
        if opcode >= CLOSE:
            if not is_last or len(payload) > 125:
                raise FramingError("control frame too long")
            found.append((opcode, payload))
            return
        if (opcode == _CONTINUATION) != bool(self._kind):
            raise FramingError("unexpected fragment")
        self._kind = self._kind or opcode
        self._parts.append(payload)
        self._parts_size += len(payload) + 1  # an empty fragment takes memory too
        if self._parts_size > self._most:
            raise FramingError(f"message longer than {self._most} bytes")
        if is_last:
            found.append((self._kind, b"".join(self._parts)))
            self._parts, self._parts_size, self._kind = [], 0, 0
