"""A real HTTP server on loopback that does, request by request, what a test wrote down: answers, drops, hangs, lies."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from kalshi_cli.base.units import Ts

NOW = Ts(1_781_159_360_000)
"""When the tests take place, for the clocks they move by hand."""


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer. `is_cut` promises more bytes than it sends; `pause_s` waits before each byte of it."""

    status: int = 200
    body: bytes | str = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False
    pause_s: float = 0.0


DROP = "drop"  # close the connection without a byte of reply
HANG = "hang"  # never answer
Step = Reply | str


class ScriptedServer:
    """Serves one step per request, over all connections, in order; after the last it answers 599."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = list(steps)
        self.seen: list[Seen] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/trade-api/v2"

    def script(self, *steps: Step) -> None:
        """Begin anew with these steps; what was seen is forgotten."""
        with self._lock:
            self._steps, self.seen = list(steps), []

    def count(self, method: str) -> int:
        return sum(seen.method == method for seen in self.seen)

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            with self._lock:
                self.connections += 1
                self._open.append(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while (seen := _read(stream)) is not None:
                    with self._lock:
                        self.seen.append(seen)
                        step = self._steps.pop(0) if self._steps else Reply(599, "the script is over")
                    if step == DROP:
                        return
                    if step == HANG:
                        self._over.wait(10)
                        return
                    if not self._answer(connection, step):
                        return
            except OSError:
                return

    def _answer(self, connection: socket.socket, reply: Step) -> bool:
        assert isinstance(reply, Reply)
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
        length = len(body) + (100 if reply.is_cut else 0)
        headers = {"Content-Type": "application/json", "Content-Length": str(length), **reply.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        message = f"HTTP/1.1 {reply.status} Scripted\r\n{head}\r\n".encode() + body
        if not reply.pause_s:
            connection.sendall(message)
            return not reply.is_cut
        for at in range(len(message)):
            if self._over.wait(reply.pause_s):
                return False
            connection.sendall(message[at : at + 1])
        return True


def _read(stream: BinaryIO) -> Seen | None:
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode().split(" ")
    headers: dict[str, str] = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return Seen(method, target, headers, stream.read(int(headers.get("content-length", 0))))
