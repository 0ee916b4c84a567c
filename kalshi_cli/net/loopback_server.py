"""A web server for programs on this machine: a few small requests at a time, and nothing for web pages.

It listens on the loopback address and serves only requests to a name of this machine: a web page whose own name points
here is refused.
"""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK = "127.0.0.1"

REQUEST_S = 2.0
"""Time for one request, from its first byte to the last of its response."""

MAX_CLIENTS = 8
"""Requests served at a time; a further one ends the oldest connection."""

MAX_PAGE_BYTES = 10_000_000
"""The most that is read of a page."""


class LoopbackServer:
    """Serves each request in its own thread, at most MAX_CLIENTS; OSError if the port is in use."""

    def __init__(self, app: WSGIApplication, port: int, name: str) -> None:
        self._server = _Server((LOOPBACK, port), _Quiet)
        self._server.set_app(_guarded(app))
        self._is_over = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._is_over:
            self._server.handle_request()

    @property
    def port(self) -> int:
        """Return the port, as chosen by the system if 0 was requested."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop serving."""
        self._is_over = True
        with suppress(OSError):
            socket.create_connection((LOOPBACK, self.port), REQUEST_S).close()  # so that the thread looks at once
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()


class _Server(WSGIServer):
    timeout = 1.0  # seconds until the thread looks by itself whether it is to stop
    request_queue_size = 8 * MAX_CLIENTS
    """With the 5 of the standard library, a client of a burst waits for a second until its system tries again."""

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(MAX_CLIENTS)
        self._serving: dict[socket.socket, threading.Thread] = {}  # oldest first
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in another thread, so that a slow client holds up no other."""
        if not self._places.acquire(blocking=False):
            with self._lock:
                for oldest in list(self._serving)[:1]:
                    _end(oldest)
            if not self._places.acquire(timeout=REQUEST_S):
                self.shutdown_request(request)
                return
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._lock:
            self._serving[request] = thread
        try:
            thread.start()
        except RuntimeError:  # no thread can be started
            self._leave(request)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            with suppress(OSError, ValueError):  # the client disconnected, was too slow, or sent an invalid request
                self.finish_request(request, client_address)
        finally:
            self._leave(request)

    def _leave(self, request: socket.socket) -> None:
        with self._lock:
            self._serving.pop(request, None)
            self.shutdown_request(request)
        self._places.release()

    def hang_up(self) -> None:
        """End every request, and wait for its thread."""
        with self._lock:
            left = dict(self._serving)
            for request in left:
                _end(request)
        for thread in left.values():
            thread.join(REQUEST_S)

    def server_bind(self) -> None:
        """Bind without resolving this machine's name.

        The connections of a server that ended wait in TIME_WAIT for a minute, which must not keep its successor from
        the port. On Windows the option would let two servers share a port.
        """
        if os.name == "posix":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = LOOPBACK, int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect or are too slow."""


class _Quiet(WSGIRequestHandler):
    timeout = 1.0  # seconds without a byte

    def handle(self) -> None:
        """Bound the time of a client that sends or receives byte by byte, because threads are few."""
        over = threading.Timer(REQUEST_S, _end, (self.connection,))
        over.daemon = True
        over.start()
        try:
            super().handle()
        finally:
            over.cancel()

    def get_stderr(self) -> Any:
        """Discard the errors of a response."""
        return io.StringIO()

    def log_message(self, *_: Any) -> None:
        """Write nothing to stderr."""


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _guarded(app: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "")).rsplit(":", 1)[0]
        if host not in (LOOPBACK, "localhost"):
            return refuse(start, "403 Forbidden")
        return app(environ, start)

    return answer


def refuse(start: Callable[..., Any], status: str, why: str = "") -> Iterable[bytes]:
    """Return the response to a request that is not served."""
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{why or status}\n".encode()]


def read_page(port: int, path: str) -> str:
    """Return the page of a server on this machine; OSError if it does not serve one in time."""
    with closing(HTTPConnection(LOOPBACK, port, timeout=REQUEST_S)) as connection:
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            page = response.read(MAX_PAGE_BYTES).decode("utf-8", "replace")
        except HTTPException as error:
            raise OSError(f"not a web server: {type(error).__name__}") from error
    if response.status != 200:
        raise OSError(f"it responds with HTTP status {response.status}")
    return page
