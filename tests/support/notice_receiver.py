"""A web server on this machine that keeps what it is sent: pings, and notices of alerts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Received(NamedTuple):
    """One request."""

    path: str
    body: str


class Receiver:
    """`received` are the requests so far; `before_answer` is called with each, and may wait."""

    def __init__(self, status: int = 200) -> None:
        self.received: list[Received] = []
        self.status = status
        self.before_answer: Callable[[Received], object] = lambda _received: None
        receiver = self

        class Answers(BaseHTTPRequestHandler):
            timeout = 20

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                got = Received(self.path, body.decode())
                receiver.received.append(got)
                receiver.before_answer(got)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        """Of the requests so far, without their queries."""
        return [got.path.partition("?")[0] for got in self.received]

    @property
    def notices(self) -> list[dict[str, Any]]:
        """The requests so far, as JSON."""
        return [json.loads(got.body) for got in self.received]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The kind (firing, resolved, ...) and the code of each notice."""
        return [(notice["kind"], notice["code"]) for notice in self.notices]


@contextmanager
def receiving(status: int = 200) -> Iterator[Receiver]:
    """A receiver that answers everything with this status."""
    one = Receiver(status)
    one._thread.start()
    try:
        yield one
    finally:
        one._server.shutdown()
        one._server.server_close()
        one._thread.join()
