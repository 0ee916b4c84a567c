"""A proxy in front of a served exchange that breaks what a test asks it to break, and keeps every answer it saw.

HTTP/1.1 with Content-Length bodies, and WebSockets as raw bytes after the upgrade: what the two ends here speak.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Action = Literal["drop_request", "drop_reply", "hang", "reset", "status_500"]
CHUNK = 65_536


@dataclass
class Fault:
    """What happens to the `nth` and the following requests, `times` in all, whose method and path match.

    drop_request   never reaches the exchange; the connection is closed
    drop_reply     the exchange acts, its answer is thrown away; the connection is closed
    hang           the exchange acts; no answer, and the connection stays open
    reset          never reaches the exchange; the connection is reset
    status_500     never reaches the exchange; a gateway answers 500
    """

    action: Action
    method: str
    path: str
    nth: int = 1
    times: int = 1
    hits: int = 0

    def takes(self, method: str, path: str) -> bool:
        if method != self.method or not re.search(self.path, path):
            return False
        self.hits += 1
        return self.nth <= self.hits < self.nth + self.times


class Answer(NamedTuple):
    """One answer of the exchange to a request that came through."""

    method: str
    path: str
    status: int
    body: Any


@dataclass
class FaultProxy:
    """Listens on a port of its own and forwards to `upstream`."""

    upstream: tuple[str, int]
    faults: list[Fault] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    edits: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    """A pattern of paths -> what becomes of the JSON that answers a GET there."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that every answer to a GET gets besides."""

    def __post_init__(self) -> None:
        self.is_stream_cut = False
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._streams: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._spawn(self._accept)

    def moved(self, url: str) -> str:
        """The address of the exchange, by way of this proxy."""
        return re.sub(r"(?<=//)[^/]+", f"127.0.0.1:{self._listening.getsockname()[1]}", url)

    def cut_stream(self) -> None:
        """Every WebSocket ends now, and no other is let through until `mend_stream`."""
        self.is_stream_cut = True
        with self._lock:
            for one in self._streams:
                _shut(one)

    def mend_stream(self) -> None:
        self.is_stream_cut = False

    def stop(self) -> None:
        self._stopped.set()
        _shut(self._listening)
        with self._lock:
            for one in self._open:
                _shut(one)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    # -- threads ----------------------------------------------------------------------------------------------------

    def _spawn(self, run: Any, *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), self._kept(client), self._kept(socket.create_connection(self.upstream, 10)) as server:
            server.settimeout(None)
            while head := _read_head(client):
                method, path, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
                body = _read_body(client, head)
                if b"\r\nupgrade: websocket" in head.lower():
                    self._tunnel(client, server, head)
                    return
                action = next((fault.action for fault in self.faults if fault.takes(method, path)), None)
                if not self._forward(client, server, head + body, action, method, path):
                    return

    def _forward(
        self, client: socket.socket, server: socket.socket, raw: bytes, action: Action | None, method: str, path: str
    ) -> bool:
        """One request and its answer; False where the connection ends with it."""
        if action == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if action in ("reset", "drop_request"):
            return False
        if action == "status_500":
            client.sendall(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops")
            return True
        server.sendall(raw)
        head = _read_head(server)
        if not head:
            return False
        body = _read_body(server, head)
        self.answers.append(Answer(method, path, int(head.split(b" ", 2)[1]), json.loads(body) if body else None))
        if action == "drop_reply":
            return False
        if action == "hang":
            self._stopped.wait()
            return False
        client.sendall(self._edited(head, body, path) if method == "GET" else head + body)
        return True

    def _edited(self, head: bytes, body: bytes, path: str) -> bytes:
        """The answer as the client gets it."""
        for pattern, edit in self.edits.items():
            if re.search(pattern, path):
                body = json.dumps(edit(json.loads(body))).encode()
        head = re.sub(rb"(?i)(content-length:) *\d+", b"\\1 %d" % len(body), head).removesuffix(b"\r\n")
        return head + b"".join(f"{name}: {text}\r\n".encode() for name, text in self.headers.items()) + b"\r\n" + body

    def _tunnel(self, client: socket.socket, server: socket.socket, head: bytes) -> None:
        if self.is_stream_cut:
            return
        server.sendall(head)
        with self._lock:
            self._streams |= {client, server}
        self._spawn(_pump, client, server)
        _pump(server, client)
        with self._lock:
            self._streams -= {client, server}

    @contextmanager
    def _kept(self, one: socket.socket) -> Iterator[socket.socket]:
        """Known to `stop` while it is open."""
        with self._lock:
            self._open.add(one)
        try:
            yield one
        finally:
            with self._lock:
                self._open.discard(one)
            one.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Bytes one way until either end is gone; then neither way goes on."""
    with suppress(OSError):
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
    _shut(source)
    _shut(sink)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def _read_head(one: socket.socket) -> bytes:
    """Up to and with the empty line; empty where the other end is done."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = one.recv(1)
        if not byte:
            return b""
        head += byte
    return head


def _read_body(one: socket.socket, head: bytes) -> bytes:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    left, body = int(found[1]) if found else 0, b""
    while len(body) < left:
        chunk = one.recv(left - len(body))
        if not chunk:
            break
        body += chunk
    return body


@contextmanager
def fault_proxy(url: str, *faults: Fault) -> Iterator[FaultProxy]:
    """A proxy in front of the exchange at this address."""
    host, _, port = url.split("/")[2].partition(":")
    proxy = FaultProxy((host, int(port)), list(faults))
    try:
        yield proxy
    finally:
        proxy.stop()
