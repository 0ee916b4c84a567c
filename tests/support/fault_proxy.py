"""A proxy in front of a served exchange that breaks what a test asks it to break, and keeps every answer it saw.

HTTP/1.1 with Content-Length bodies; after the upgrade of a WebSocket, its frames one by one (`fault_frames`).
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

from support.fault_frames import StreamFault, StreamFaults, read_exactly, read_frame

Action = Literal[
    "drop_request", "hang_request", "reset", "status_500", "late", "drop_reply", "reset_reply", "hang", "status",
    "duplicate_first", "duplicate_second", "truncate", "garbage", "rewrite", "slow", "delay", "stale", "replay",
]  # fmt: skip
CHUNK = 65_536


@dataclass
class Fault:
    """What happens to the `nth` and the following requests, `times` in all, whose method and path match.

    The exchange never sees it:
    drop_request      the connection is closed
    hang_request      no answer, and the connection stays open
    reset             the connection is reset
    status_500        a gateway answers 500
    status            ... `status` with `body` and `headers`, unless `is_forwarded`: then the exchange acted on it
    replay            what the same path was answered with before, with its headers; 503 where that is not known.
                      The query does not matter, unless `is_by_query`
    It sees it:
    late              the connection is closed at once; the exchange gets the request `delay_s` later
    drop_reply        its answer is thrown away; the connection is closed
    reset_reply       ... or reset
    hang              no answer, and the connection stays open
    duplicate_first   it gets the request twice; the answer to the first comes back
    duplicate_second  ... or that to the second
    truncate          half of its answer comes, then the connection is closed
    garbage           its answer has `body` instead, with the status and length that fit
    rewrite           its answer is JSON that went through `edit`
    slow              its answer comes in ten pieces, `delay_s` apart
    delay             its answer comes `delay_s` later
    stale             the answer before this one to the same path comes again, where there was one
    """

    action: Action
    method: str
    path: str
    nth: int = 1
    times: int = 1
    delay_s: float = 0.2
    status: int = 503
    body: bytes = b"<html>Bad gateway</html>"
    headers: dict[str, str] = field(default_factory=dict)
    is_forwarded: bool = False
    is_by_query: bool = False
    edit: Callable[[Any], Any] = lambda body: body
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


_UNSEEN = ("drop_request", "hang_request", "reset", "status_500", "late", "replay")
_UNANSWERED = ("drop_reply", "reset_reply", "hang")


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
    edit_head: Callable[[bytes], bytes] = lambda head: head
    """What becomes of the head of each answer, to whatever verb."""
    stream_faults: list[StreamFault] = field(default_factory=list)
    """What happens to text frames of the exchange."""

    def __post_init__(self) -> None:
        self.is_stream_cut = False
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._streams: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._earlier: dict[str, tuple[bytes, bytes]] = {}
        self._frames = StreamFaults(self.stream_faults, self._stopped)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._port = self._listening.getsockname()[1]
        self._spawn(self._accept, self._listening)

    def moved(self, url: str) -> str:
        """The address of the exchange, by way of this proxy."""
        return re.sub(r"(?<=//)[^/]+", f"127.0.0.1:{self._port}", url)

    def refuse(self) -> None:
        """Nobody listens any more, and every connection ends; until `listen`."""
        _shut(self._listening)
        self._listening.close()
        with self._lock:
            for one in self._open:
                _shut(one)

    def listen(self) -> None:
        """Connections are taken again, on the same port."""
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._spawn(self._accept, self._listening)

    def cut_stream(self) -> None:
        """Every WebSocket ends now, and no other is let through until `mend_stream`."""
        self.is_stream_cut = True
        with self._lock:
            for one in self._streams:
                _shut(one)

    def mend_stream(self) -> None:
        self.is_stream_cut = False

    def freeze_stream(self, *, has_pulse: bool = False) -> None:
        """WebSockets stay open and nothing flows, until `thaw_stream`.

        With a pulse pings, pongs and whatever the client sends pass, and the text of the exchange is lost.
        """
        self._frames.freeze(has_pulse=has_pulse)

    def thaw_stream(self) -> None:
        self._frames.thaw()

    def stop(self) -> None:
        self._stopped.set()
        self._frames.thaw()
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

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), self._kept(client), self._kept(socket.create_connection(self.upstream, 10)) as server:
            server.settimeout(None)
            while head := _read_head(client):
                head = self._addressed(head)
                method, path, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
                body = _read_body(client, head)
                if b"\r\nupgrade: websocket" in head.lower():
                    self._tunnel(client, server, head)
                    return
                fault = next((fault for fault in self.faults if fault.takes(method, path)), None)
                if not self._forward(client, server, head + body, fault, method, path):
                    return

    def _addressed(self, head: bytes) -> bytes:
        """Put the exchange's own address where the client wrote that of the proxy."""
        there = f"{self.upstream[0]}:{self.upstream[1]}".encode()
        return re.sub(rb"(?i)(\r\n(?:host|origin): (?:http://)?)[^\r]*", rb"\g<1>" + there, head)

    def _forward(
        self, client: socket.socket, server: socket.socket, raw: bytes, fault: Fault | None, method: str, path: str
    ) -> bool:
        """One request and its answer; False where the connection ends with it."""
        action = fault.action if fault else ""
        if fault and (action in _UNSEEN or (action == "status" and not fault.is_forwarded)):
            return self._answer_alone(client, raw, fault, method, path)
        answer = self._ask(server, raw, method, path)
        if action.startswith("duplicate"):
            second = self._ask(server, raw, method, path)
            answer = answer if action == "duplicate_first" else second
        if answer is None:
            return False
        if fault and action in _UNANSWERED:
            if action == "hang":
                self._stopped.wait()
            elif action == "reset_reply":
                _reset_on_close(client)
            return False
        head, body = self.edit_head(answer[0]), answer[1]
        earlier = self._earlier.get(_without_limit(path))
        for key in (path, _without_limit(path), path.partition("?")[0]):
            self._earlier[key] = (head, body)
        if fault is None:
            client.sendall(self._edited(head, body, path) if method == "GET" else head + body)
            return True
        return self._spoil(client, head, body, fault, earlier)

    def _answer_alone(self, client: socket.socket, raw: bytes, fault: Fault, method: str, path: str) -> bool:
        """What happens to a request that the exchange does not see, or not yet."""
        if fault.action == "status_500":
            client.sendall(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops")
            return True
        if fault.action == "status":
            client.sendall(_page(fault))
            return True
        if fault.action == "replay":
            kept = self._earlier.get(path if fault.is_by_query else path.partition("?")[0])
            client.sendall(_page(fault) if kept is None else b"".join(kept))
            return True
        if fault.action == "late":
            self._spawn(self._send_later, raw, fault.delay_s, method, path)
        elif fault.action == "reset":
            _reset_on_close(client)
        elif fault.action == "hang_request":
            self._stopped.wait()
        return False

    def _send_later(self, raw: bytes, delay_s: float, method: str, path: str) -> None:
        if self._stopped.wait(delay_s):
            return
        with suppress(OSError), self._kept(socket.create_connection(self.upstream, 10)) as server:
            self._ask(server, raw, method, path)

    def _ask(self, server: socket.socket, raw: bytes, method: str, path: str) -> tuple[bytes, bytes] | None:
        """Head and body of the exchange's answer; None where it hung up."""
        server.sendall(raw)
        head = _read_head(server)
        if not head:
            return None
        body = _read_body(server, head)
        self.answers.append(Answer(method, path, int(head.split(b" ", 2)[1]), json.loads(body) if body else None))
        return head, body

    def _spoil(
        self, client: socket.socket, head: bytes, body: bytes, fault: Fault, earlier: tuple[bytes, bytes] | None
    ) -> bool:
        """Send an answer that is not as it was; False where the connection ends with it."""
        if fault.action == "status":
            client.sendall(_page(fault))
        elif fault.action == "truncate":
            client.sendall(head + body[: len(body) // 2])
            return False
        elif fault.action == "slow":
            client.sendall(head)
            step = max(1, len(body) // 10)
            for at in range(0, len(body), step):
                if self._stopped.wait(fault.delay_s):
                    return False
                client.sendall(body[at : at + step])
        else:
            if fault.action == "delay" and self._stopped.wait(fault.delay_s):
                return False
            if fault.action == "garbage":
                body = fault.body
            elif fault.action == "rewrite":
                body = json.dumps(fault.edit(json.loads(body))).encode()
            elif fault.action == "stale":
                body = body if earlier is None else earlier[1]
            client.sendall(_with_length(head, body) + body)
        return True

    def _edited(self, head: bytes, body: bytes, path: str) -> bytes:
        """The answer as the client gets it."""
        for pattern, edit in self.edits.items():
            if re.search(pattern, path):
                body = json.dumps(edit(json.loads(body))).encode()
        head = _with_length(head, body).removesuffix(b"\r\n")
        return head + b"".join(f"{name}: {text}\r\n".encode() for name, text in self.headers.items()) + b"\r\n" + body

    def _tunnel(self, client: socket.socket, server: socket.socket, head: bytes) -> None:
        if self.is_stream_cut:
            return
        server.sendall(head)
        with self._lock:
            self._streams |= {client, server}
        answer = _read_head(server)
        client.sendall(answer)
        if b" 101 " in answer.split(b"\r\n")[0]:
            self._spawn(self._pump, client, server)
            self._pump_frames(server, client)
        with self._lock:
            self._streams -= {client, server}

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        """Bytes of the client; where either end is gone neither way goes on."""
        with suppress(OSError):
            while chunk := client.recv(CHUNK):
                self._frames.wait()
                server.sendall(chunk)
        _shut(client)
        _shut(server)

    def _pump_frames(self, server: socket.socket, client: socket.socket) -> None:
        held: list[bytes] = []
        with suppress(OSError):
            while frame := read_frame(server):
                for each in self._frames.altered(frame, held):
                    client.sendall(each)
        _shut(client)
        _shut(server)

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


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def _reset_on_close(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _page(fault: Fault) -> bytes:
    """What a gateway says in the exchange's place."""
    lines = [f"HTTP/1.1 {fault.status} Instead", f"content-length: {len(fault.body)}"]
    lines += [f"{name}: {text}" for name, text in fault.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + fault.body


def _without_limit(path: str) -> str:
    """The client asks for another size of page each time."""
    return re.sub(r"limit=\d+", "", path)


def _with_length(head: bytes, body: bytes) -> bytes:
    return re.sub(rb"(?i)(content-length:) *\d+", b"\\1 %d" % len(body), head)


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
    return read_exactly(one, int(found[1]) if found else 0)


@contextmanager
def fault_proxy(url: str, *faults: Fault) -> Iterator[FaultProxy]:
    """A proxy in front of the exchange at this address."""
    host, _, port = url.split("/")[2].partition(":")
    proxy = FaultProxy((host, int(port)), list(faults))
    try:
        yield proxy
    finally:
        proxy.stop()
