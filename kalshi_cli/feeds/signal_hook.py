"""A local server that accepts news from programs on this machine: `POST /signals`, one JSON object, with a token.

The token is in a file that only the user can read, which proves that a program runs as that user. A web page in a local
browser cannot post: it has no token, and a body not sent as JSON is rejected before it is read.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kalshi_cli.net.loopback_server import LoopbackServer, refuse

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PATH = "/signals"
MAX_BODY = 64 * 1024
"""Bytes of one signal, at most."""


class SignalHook(LoopbackServer):
    """A server that passes each accepted body to `take`; the text of its ValueError is the response to a bad body."""

    def __init__(self, port: int, token: str, take: Callable[[bytes], None]) -> None:
        self._expected = f"Bearer {token}".encode()
        self._take = take
        self._lock = threading.Lock()
        super().__init__(self._answer, port, "signals")

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return refuse(start, "404 Not Found")
        if environ.get("REQUEST_METHOD") != "POST":
            return refuse(start, "405 Method Not Allowed")
        given = str(environ.get("HTTP_AUTHORIZATION", "")).encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._expected):
            return refuse(start, "401 Unauthorized")
        if str(environ.get("CONTENT_TYPE", "")).split(";")[0].strip().lower() != "application/json":
            return refuse(start, "415 Unsupported Media Type")
        length = str(environ.get("CONTENT_LENGTH", ""))
        if not (length.isascii() and length.isdigit()):
            return refuse(start, "411 Length Required")
        if len(length) > 9 or int(length) > MAX_BODY:
            return refuse(start, "413 Content Too Large")
        try:
            body: bytes = environ["wsgi.input"].read(int(length))
        except OSError:  # The body did not arrive in time.
            return refuse(start, "408 Request Timeout")
        if len(body) != int(length):
            return refuse(start, "400 Bad Request")
        return self._given(body, start)

    def _given(self, body: bytes, start: Callable[..., Any]) -> Iterable[bytes]:
        try:
            with self._lock:  # Requests come from several threads.
                self._take(body)
        except ValueError as error:
            return refuse(start, "400 Bad Request", str(error))
        start("202 Accepted", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"accepted\n"]
