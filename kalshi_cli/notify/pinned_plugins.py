"""HTTP and SMTP for apprise over this program's own connections: checked addresses, a deadline, a size limit.

apprise uses requests and smtplib, which take proxies and passwords (.netrc) from the environment, resolve each name
again, and read and unpack any response. The plug-in modules get the replacements of this module instead.
"""

from __future__ import annotations

import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from kalshi_cli.base.clock import Clock
from kalshi_cli.net.address_guard import AddressError, Resolve, parse_web_address
from kalshi_cli.net.guarded_client import PinnedHttpClient

MAX_ANSWER = 256 * 1024
"""Bytes of a service's response, at most; usual responses have a few hundred."""
MAX_SMTP = 64 * 1024
"""Bytes of all replies of a mail server for one mail, at most."""
_CHUNK = 4096


class PinnedCall(NamedTuple):
    """A delivery attempt: its name resolution and its end. `mail` are the checked mail servers."""

    clock: Clock
    resolve: Resolve
    ends_at: float
    mail: tuple[str, ...] = ()

    def left_s(self) -> float:
        """Return the seconds left. Raises TimeoutError if there are none."""
        left = self.ends_at - self.clock.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


_of_thread = threading.local()


@contextmanager
def calling(call: PinnedCall) -> Iterator[None]:
    """Assign everything that apprise sends from this thread to this attempt."""
    _of_thread.call = call
    try:
        yield
    finally:
        del _of_thread.call


def _call() -> PinnedCall:
    """Return the attempt of this thread. Raises OSError without one, so that nothing is sent."""
    call: PinnedCall | None = getattr(_of_thread, "call", None)
    if call is None:
        raise OSError("nothing is sent outside a delivery attempt")
    return call


def pin(module: ModuleType) -> None:
    """Replace requests and smtplib in a module of apprise."""
    if hasattr(module, "requests"):
        setattr(module, "requests", _requests())  # noqa: B010 (mypy does not know this attribute)
    if hasattr(module, "smtplib"):
        names = {name: getattr(smtplib, name) for name in dir(smtplib) if not name.startswith("_")}
        pinned = SimpleNamespace(**names | {"SMTP": PinnedSmtp, "SMTP_SSL": PinnedSmtpSsl})
        setattr(module, "smtplib", pinned)  # noqa: B010


# -- web ----------------------------------------------------------------------------------------------------------


def _requests() -> SimpleNamespace:
    import requests
    from requests.adapters import BaseAdapter
    from requests.structures import CaseInsensitiveDict

    class Adapter(BaseAdapter):
        """Sends a request through PinnedHttpClient."""

        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            try:
                call = _call()
                sink = PinnedHttpClient(parse_web_address(request.url), call.clock, call.resolve)
                body = request.body or b""
                answer = sink.ask(
                    request.method,
                    body.encode() if isinstance(body, str) else body,
                    {name: value for name, value in request.headers.items() if name.lower() not in _OURS},
                    MAX_ANSWER,
                    within_s=call.left_s(),
                )
            except (AddressError, OSError) as error:
                raise requests.ConnectionError(str(error)) from error
            if not answer.is_whole:
                raise requests.ConnectionError(answer.delivery.text)
            response = requests.Response()
            response.status_code, response._content = answer.status, answer.body
            response.headers = CaseInsensitiveDict(answer.headers)
            response.request, response.url = request, request.url
            return response

        def close(self) -> None:
            """Do nothing: no connection stays open."""

    def ask(method: str, url: str, **options: Any) -> Any:
        with requests.Session() as session:
            session.trust_env = False  # no proxies, no .netrc
            session.adapters.clear()
            session.mount("https://", Adapter())
            session.mount("http://", Adapter())
            return session.request(method, url, **options | {"allow_redirects": False})

    def of(method: str) -> Any:
        return lambda url, *args, **options: ask(method, url, **dict(zip(("data",), args, strict=False)), **options)

    verbs = {name: of(name.upper()) for name in ("get", "post", "put", "patch", "delete", "head")}
    kept = {name: getattr(requests, name) for name in ("codes", "exceptions", "RequestException", "ConnectionError")}
    return SimpleNamespace(request=ask, **verbs, **kept)


_OURS = frozenset(("host", "accept-encoding", "connection", "content-length"))
"""Headers of requests that are dropped: the pinned client sets them."""


# -- mail ---------------------------------------------------------------------------------------------------------


class PinnedSmtp(smtplib.SMTP):
    """An SMTP client for the checked addresses, with TLS for the host name, within time and size limits."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        call = _call()
        failure: OSError = OSError(f"no address of {host} was checked")
        for address in call.mail:
            try:
                return socket.create_connection((address, port), min(timeout, call.left_s()))
            except OSError as error:
                failure = error
        raise failure

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply of the server."""
        if self.file is None and self.sock is not None:
            self.file = _Replies(self.sock, _call())
        return super().getreply()


class PinnedSmtpSsl(smtplib.SMTP_SSL, PinnedSmtp):
    """An SMTP client with TLS from the first byte."""


class _Replies:
    """The reply lines of a mail server."""

    def __init__(self, sock: socket.socket, call: PinnedCall) -> None:
        self._sock = sock
        self._call = call
        self._buffer = b""
        self._size = 0

    def readline(self, most: int) -> bytes:
        while b"\n" not in self._buffer and len(self._buffer) < most:
            self._sock.settimeout(self._call.left_s())
            chunk = self._sock.recv(_CHUNK)
            if not chunk:
                break
            self._size += len(chunk)
            if self._size > MAX_SMTP:
                raise OSError(f"the mail server sent more than {MAX_SMTP} bytes")
            self._buffer += chunk
        at = self._buffer.find(b"\n") + 1 or len(self._buffer)
        line, self._buffer = self._buffer[:at], self._buffer[at:]
        return line

    def close(self) -> None:
        """Leave the socket open: its creator closes it."""
