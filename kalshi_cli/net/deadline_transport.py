"""The HTTP transport: pooled connections of the standard library, one deadline for a whole exchange, no repetition.

httpx stays the interface (requests, responses, errors); `http.client` speaks HTTP below it, at a fifth of the CPU time
of httpcore and h11 (2026-11), and `plain_reply.py` reads the usual reply. It follows no redirect, uses no proxy, and
never sends a request a second time.
"""

from __future__ import annotations

import http.client
import io
import math
import os
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import httpx

from kalshi_cli.base.clock import Clock
from kalshi_cli.net import dialing, plain_reply

IDLE_S = 30.0
"""A connection that was idle for longer is not used again: the server may just be closing it."""

CONNECT_S = 10.0
"""Seconds to connect, where the request sets no timeout."""
MAX_CONNECTIONS = 8
READ_S = 30.0
"""Seconds to wait for the next bytes, where the request sets no timeout."""
_PIECE = 64 * 1024
_Origin = tuple[str, str, int | None]
_NOT_SENT = "timed out before anything was sent"


class DeadlineTransport(httpx.BaseTransport):
    """An HTTP/1.1 transport for one host at a time, with a deadline for each whole exchange. Threads may share it.

    A request carries its limits in `extensions`: `timeout` as httpx has it, `deadline` (monotonic seconds), and
    `before_write`, called at the last moment at which the request can be taken back; an error that it raises is raised.

    Raises httpx.ConnectError, ConnectTimeout or PoolTimeout only where nothing was sent. Every other httpx.RequestError
    leaves the outcome unknown.
    """

    def __init__(
        self, clock: Clock, *, is_tls: bool, context: ssl.SSLContext | None = None, addresses: Sequence[str] = ()
    ) -> None:
        """Connect with TLS verified by `context`, and to `addresses` where given, without resolving the host."""
        self._clock = clock
        self.context = (context or _tls_context()) if is_tls else None
        self._addresses = addresses
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._is_closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request once and return its response, whose body is read from `stream`."""
        limits = _Limits.of(request, self._clock)
        wait_s = limits.left("pool", CONNECT_S)
        if wait_s <= 0:
            raise httpx.ConnectTimeout(_NOT_SENT)
        if not self._slots.acquire(timeout=wait_s):
            raise httpx.PoolTimeout("every connection is in use")
        connection = None
        try:
            connection = self._idle_connection(request.url) or self._connect(request.url, limits)
            return connection.exchange(request, limits, self._release)
        except BaseException:
            if connection is not None:
                connection.close()
            self._slots.release()
            raise

    def close(self) -> None:
        """Close the idle connections; one in use is closed when its response is."""
        with self._lock:
            self._is_closed = True
            while self._idle:
                self._idle.pop().close()

    def _idle_connection(self, url: httpx.URL) -> _Connection | None:
        """Return an idle connection to this host that is still good, and close those that are not."""
        origin, now = _origin(url), self._clock.monotonic()
        with self._lock:
            for connection in reversed(self._idle):
                is_usable = connection.is_usable(now)
                if is_usable and connection.origin != origin:
                    continue
                self._idle.remove(connection)
                if is_usable:
                    return connection
                connection.close()
        return None

    def _release(self, connection: _Connection, *, is_reusable: bool) -> None:
        """Take back a connection whose response was closed."""
        with self._lock:
            if is_reusable and not self._is_closed:
                connection.idle_since = self._clock.monotonic()
                self._idle.append(connection)
            else:
                connection.close()
        self._slots.release()

    def _connect(self, url: httpx.URL, limits: _Limits) -> _Connection:
        """Return a new connection. Raises httpx.ConnectError or ConnectTimeout."""
        ends_at = self._clock.monotonic() + limits.left("connect", CONNECT_S)
        port = url.port or (443 if url.scheme == "https" else 80)

        def left_s() -> float:
            left = ends_at - self._clock.monotonic()
            if left <= 0:
                raise TimeoutError(_NOT_SENT)
            return left

        def connect(address: str, within_s: float) -> socket.socket:
            return socket.create_connection((address, port), within_s)

        try:
            connected = dialing.connect_in_turn(self._addresses or url.host, port, left_s, connect)
            try:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.context is not None:
                    connected.settimeout(left_s())
                    connected = self.context.wrap_socket(connected, server_hostname=url.host)
            except OSError:
                connected.close()
                raise
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return _Connection(connected, _origin(url))


class _Limits(NamedTuple):
    """The limits of one exchange, in seconds of the monotonic clock."""

    clock: Clock
    timeouts: dict[str, float | None]
    deadline: float | None
    before_write: Callable[[], None] | None

    @classmethod
    def of(cls, request: httpx.Request, clock: Clock) -> _Limits:
        """Read the limits from the extensions of a request."""
        more = request.extensions
        return cls(clock, more.get("timeout", {}), more.get("deadline"), more.get("before_write"))

    def left(self, what: str, default: float) -> float:
        """Return the seconds that `what` may take; zero or less once the deadline has passed."""
        timeout = self.timeouts.get(what)
        left = math.inf if self.deadline is None else self.deadline - self.clock.monotonic()
        return min(default if timeout is None else timeout, left)


class _Receiver(io.RawIOBase):
    """The receiving half of a socket; each receive is bounded by the limits of the exchange it serves."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.limits: _Limits | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if self.limits is None:  # between two exchanges: only what is buffered is looked at
            return 0
        left = self.limits.left("read", READ_S)
        if left <= 0:
            raise httpx.ReadTimeout("the call took longer than it may in all")
        self._socket.settimeout(left)
        try:
            return self._socket.recv_into(buffer)
        except TimeoutError as error:
            raise httpx.ReadTimeout("the read timed out") from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error


class _Reader(io.BufferedReader):
    """A buffered reader that outlives one response, since http.client closes what it has read to its end."""

    def close(self) -> None:
        pass


class _Socket:
    """The part of a socket that `http.client` uses: one reader for all responses."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader

    def makefile(self, _mode: str) -> _Reader:
        return self.reader


class _Connection:
    """A connection that serves one exchange after the other."""

    def __init__(self, connected: socket.socket, origin: _Origin) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self._socket = connected
        self._receiver = _Receiver(self._socket)
        self._reader = _Reader(self._receiver, _PIECE)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def is_usable(self, now: float) -> bool:
        """Tell whether it was idle for a short time only, and the server sent nothing since, its end included."""
        if now - self.idle_since >= IDLE_S or self._reader.peek(1):
            return False
        return not self._poll.poll(0)

    def close(self) -> None:
        self._socket.close()

    def exchange(self, request: httpx.Request, limits: _Limits, release: Callable[..., None]) -> httpx.Response:
        """Send the request in one write, and read the head of its response."""
        self._write(_written(request), limits)
        self._receiver.limits = limits
        if request.method != "HEAD" and (head := plain_reply.read_plain_head(self._reader.peek(1))) is not None:
            self._reader.read(head.size)
            body = _PlainBody(self._reader, head.length, partial(self._finish, release))
            return httpx.Response(head.status, headers=head.headers, stream=body, request=request)
        answer = http.client.HTTPResponse(_Socket(self._reader), method=request.method)  # type: ignore[arg-type]
        try:
            answer.begin()
        except (http.client.HTTPException, ConnectionResetError) as error:
            raise httpx.RemoteProtocolError(str(error)[:200] or type(error).__name__) from error
        _check(answer)
        return httpx.Response(
            answer.status,
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.getheaders()],
            stream=_Body(answer, partial(self._finish, release)),
            request=request,
        )

    def _finish(self, release: Callable[..., None], is_whole: bool) -> None:
        """Give the connection back, which can serve another exchange if the response was read whole."""
        self._receiver.limits = None
        release(self, is_reusable=is_whole)

    def _write(self, message: bytes, limits: _Limits) -> None:
        if limits.deadline is not None and limits.clock.monotonic() >= limits.deadline:
            raise httpx.ConnectTimeout(_NOT_SENT)
        if limits.before_write is not None:
            limits.before_write()
        self._socket.settimeout(limits.timeouts.get("write") or READ_S)  # the deadline cuts no write short
        try:
            self._socket.sendall(message)
        except TimeoutError as error:
            raise httpx.WriteTimeout("the request could not be written in time") from error
        except OSError as error:
            raise httpx.WriteError(str(error)) from error


class _Body(httpx.SyncByteStream):
    """The body of a response, read as it is wanted. `close` gives the connection back."""

    def __init__(self, answer: http.client.HTTPResponse, finish: Callable[[bool], None]) -> None:
        self._answer = answer
        self._finish = finish

    def __iter__(self) -> Iterator[bytes]:
        answer = self._answer
        try:
            while piece := answer.read(_PIECE):
                yield piece
        except (http.client.HTTPException, ValueError) as error:
            raise httpx.RemoteProtocolError(f"a body cut short: {str(error)[:200]}") from error
        if answer.length:
            raise httpx.RemoteProtocolError(f"a body cut short: {answer.length} bytes are missing")

    def close(self) -> None:
        finish, self._finish = self._finish, _nothing
        finish(self._answer.isclosed() and not self._answer.will_close)


class _PlainBody(httpx.SyncByteStream):
    """The body of a plain response, of a known length."""

    def __init__(self, reader: _Reader, length: int, finish: Callable[[bool], None]) -> None:
        self._reader = reader
        self._left = length
        self._finish = finish

    def __iter__(self) -> Iterator[bytes]:
        while self._left and (piece := self._reader.read(min(self._left, _PIECE))):
            self._left -= len(piece)
            yield piece
        if self._left:
            raise httpx.RemoteProtocolError(f"a body cut short: {self._left} bytes are missing")

    def close(self) -> None:
        finish, self._finish = self._finish, _nothing
        finish(not self._left)


def _nothing(_is_whole: bool) -> None:
    """Give back nothing: it was given back already."""


def _written(request: httpx.Request) -> bytes:
    """Return a request as it goes on the wire. Raises httpx.ConnectError where a header would end the head."""
    headers = request.headers.raw
    start = request.method.encode("ascii") + b" " + request.url.raw_path + b" HTTP/1.1"
    head = b"\r\n".join([start, *[b"%b: %b" % header for header in headers]])
    if head.count(b"\r") != len(headers) or head.count(b"\n") != len(headers):
        raise httpx.ConnectError("a request that cannot be sent: a header has a line break")
    return head + b"\r\n\r\n" + request.read()


def _check(answer: http.client.HTTPResponse) -> None:
    """Refuse a head that two readers could understand differently: a reply would be taken for that of another call."""
    head = answer.msg
    if answer.status < 200:
        raise httpx.RemoteProtocolError(f"status {answer.status}, which was not asked for")
    lengths, codings = head.get_all("content-length", []), head.get_all("transfer-encoding", [])
    if head.defects or len(lengths) + len(codings) > 1 or (codings and not answer.chunked):
        raise httpx.RemoteProtocolError("a malformed head")
    if lengths and not re.fullmatch("[0-9]{1,15}", lengths[0].strip()):
        raise httpx.RemoteProtocolError("a malformed length")


def _origin(url: httpx.URL) -> _Origin:
    return url.scheme, url.host, url.port


def _tls_context() -> ssl.SSLContext:
    """Return a verifying context, from the system's directory of authorities if any (18 ms less than a bundle)."""
    directory = ssl.get_default_verify_paths().capath
    if directory and os.path.isdir(directory):
        with os.scandir(directory) as entries:
            if any(re.fullmatch(r"[0-9a-f]{8}\.\d", entry.name) for entry in entries):
                return client_context(capath=directory)
    import certifi

    return client_context(cafile=certifi.where())


def client_context(*, cafile: str | None = None, capath: str | None = None) -> ssl.SSLContext:
    """Return a verifying context. One of ssl.create_default_context writes the keys where SSLKEYLOGFILE says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_TRUSTED_FIRST
    context.load_verify_locations(cafile, capath)
    return context
