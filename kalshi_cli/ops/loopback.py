"""A web server for programs of this machine only: one small request at a time, and nothing for web pages.

It listens on the loopback address, and answers only whoever calls it by a name of this machine: a web page that made
its own name point here does not.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK = "127.0.0.1"

_LOOK_S = 0.1  # how soon the end is noticed

REQUEST_S = 2.0
"""One request, from its first byte to the last of its answer."""


class LoopbackServer:
    """Answers from a thread of its own, one at a time; OSError where the port is in use."""

    def __init__(self, app: WSGIApplication, port: int, name: str) -> None:
        self._server = _Server((LOOPBACK, port), _Quiet)
        self._server.set_app(_guarded(app))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK_S,), name=name, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The one that was chosen, where 0 was asked for."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(WSGIServer):
    def server_bind(self) -> None:
        """Without asking the network for our own name."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = LOOPBACK, int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Somebody who went away, or was too slow, is nothing to tell."""


class _Quiet(WSGIRequestHandler):
    timeout = 1.0  # seconds without a byte: the next one waits meanwhile

    def handle(self) -> None:
        """Whoever sends or takes byte by byte gets no longer than others: the next request waits, and the end does."""
        over = threading.Timer(REQUEST_S, self._hang_up)
        over.daemon = True
        over.start()
        try:
            super().handle()
        finally:
            over.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


def _guarded(app: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "")).rsplit(":", 1)[0]
        if host not in (LOOPBACK, "localhost"):
            return refuse(start, "403 Forbidden")
        return app(environ, start)

    return answer


def refuse(start: Callable[..., Any], status: str, why: str = "") -> Iterable[bytes]:
    """The answer to a request that is not served."""
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{why or status}\n".encode()]
