"""The stream's own reader, in step with everything else: its thread runs only while the rest waits for it."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kalshi_cli.exchange.stream import reader
from kalshi_cli.exchange.stream.inbox import MessageQueue
from kalshi_cli.net import websocket
from kalshi_cli.net.websocket_framing import CLOSE, PING, TEXT
from kalshi_cli.simulator.protocol.replies import Response
from kalshi_cli.simulator.stream.connection import Connection

if TYPE_CHECKING:
    from verification.simulate.stage import Stage

STREAM_PATH = "/trade-api/ws/v2"
PING_S = 10.0


class _KilledError(BaseException):
    """The process of the thread is gone."""


class SteppedInbox(MessageQueue[Any]):
    """Whoever waits for messages lets time pass instead."""

    stage: Stage

    def take(self, into: deque[Any], timeout_s: float = 0.0) -> None:
        if timeout_s > 0 and not self._batches.qsize():
            clock, timeline = self.stage.clock, self.stage.timeline
            self.stage.alive("loop")
            timeline.until(timeline._ms + timeout_s * 1000, is_done=lambda: bool(self._batches.qsize()))
            clock.stop_if_due()
            self.stage.alive("loop")
        super().take(into)


class SteppedStream(reader.Stream):
    """The reader as it is, but for three places where it would wait for the world: these wait for the timeline."""

    def __init__(
        self, stage: Stage, signer: Any, rng: random.Random, tickers: Iterable[str], tell: Callable[[str], None]
    ) -> None:
        super().__init__("ws://localhost" + STREAM_PATH, signer, stage.clock, rng, tickers=tickers, tell=tell)  # type: ignore[arg-type]
        self.stage = stage
        inbox = SteppedInbox(100_000)
        inbox.stage = stage
        self.inbox = inbox
        self._turn = threading.Lock()  # plain locks, handed over and back: semaphores cost five times as much
        self._back = threading.Lock()
        self._turn.acquire()
        self._back.acquire()
        self._is_over = self._is_dead = self._runs = self._was_woken = False
        self._waits_for_bytes = False
        self._appointment = 0
        self.line: Line | None = None

    # -- for the main thread ----------------------------------------------------------------------------------------

    def start(self) -> None:
        super().start()
        self.turn()

    def turn(self) -> None:
        """Let the thread run until it waits again."""
        if self._is_over or self._runs:
            return
        if self.stage.clock.is_stopped and not self._is_dead:
            self.stage.clock.when_it_goes_on.append(self.turn)
            return
        self._runs = True
        self._turn.release()
        self._back.acquire()
        self._runs = False

    def stop(self) -> None:
        self._stopping.set()
        self._is_dead = True
        while not self._is_over:
            self.turn()
        if self.line is not None:
            self.line.close()
        super().stop()

    def _wake(self) -> None:
        super()._wake()
        if threading.current_thread() is not self._thread and not self._was_woken:
            self._was_woken = True
            self.stage.timeline.after(0.001, self._after_wake)

    def _after_wake(self) -> None:
        self._was_woken = False
        self.turn()

    def arrive(self) -> None:
        """There are bytes on the socket."""
        if self._waits_for_bytes:
            self.turn()

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._turn.acquire()
            super()._run()
        except _KilledError:
            pass
        finally:
            self._is_over = True
            self._back.release()

    def _yield(self, seconds: float, *, for_bytes: bool) -> None:
        """Give the turn back for so long, or until something comes."""
        self._appointment += 1
        mine = self._appointment

        def due() -> None:
            if self._appointment == mine:
                self.turn()

        self.stage.timeline.after(seconds, due)
        self._waits_for_bytes = for_bytes
        self._back.release()
        self._turn.acquire()
        self._appointment += 1
        if self._is_dead:
            raise _KilledError

    def _rest(self, seconds: float) -> None:
        self._yield(seconds, for_bytes=False)

    def _wait(self, sock: socket.socket, selector: Any) -> bool:
        pace = self._pace
        if not selector.select(0):
            self._yield(min(pace.silence_s, pace.quiet_s, pace.repair_s) / 4, for_bytes=True)
        ready = False
        for key, _ in selector.select(0):
            if key.fileobj is self._woken:
                self._woken.recv(4096)
            else:
                ready = True
        return ready

    def _connect(self) -> websocket.WebSocket:
        """The real one; only the socket library is another."""
        before = reader.websocket
        reader.websocket = SimpleNamespace(  # type: ignore[assignment]
            HandshakeError=websocket.HandshakeError, connect=lambda _url, headers, *_: Dialed(self).connect(headers)
        )
        try:
            return super()._connect()
        finally:
            reader.websocket = before


class Dialed:
    """What the socket library gives: connects, masks, sends."""

    def __init__(self, stream: SteppedStream) -> None:
        self._stream = stream
        self.sock: socket.socket | None = None
        self._line: Line | None = None

    def connect(self, given: Mapping[str, str]) -> Dialed:
        stage = self._stream.stage
        stage.stream_faults.handshake()
        headers = {name.lower(): value for name, value in given.items()}
        answer = stage.exchange.connect(headers, STREAM_PATH, stage.timeline.now())
        if isinstance(answer, Response):
            raise websocket.HandshakeError("refused", answer.status)
        self.sock, far = socket.socketpair()
        self._line = self._stream.line = Line(self._stream, answer, far)
        return self

    def send(self, text: bytes) -> None:
        assert self._line is not None
        self._line.command(text)

    def pong(self, _payload: bytes) -> None:
        """Nobody is waiting for it."""

    def shutdown(self) -> None:
        if self._line is not None:
            self._line.close()
        if self.sock is not None:
            self.sock.close()


class Line:
    """One connection from the exchange to the reader, and what befalls the frames on it."""

    def __init__(self, stream: SteppedStream, connection: Connection, far: socket.socket) -> None:
        self._stream = stream
        self._stage = stream.stage
        self._connection = connection
        self._far = far
        self._ready_at = 0.0
        self._backlog = bytearray()
        self.is_open = True
        self.is_frozen = False
        self.has_pulse = True
        self.held: bytes | None = None
        far.setblocking(False)
        connection.wake = self._drain
        self._stage.stream_faults.line = self
        self._stage.timeline.after(PING_S, self._ping)
        self._drain()

    def command(self, text: bytes) -> None:
        """From the reader to the exchange."""

        def arrive() -> None:
            if self.is_open and not self.is_frozen:
                self._connection.receive(text.decode(), self._stage.timeline.now())

        self._stage.timeline.after(0.01, arrive)

    def _drain(self) -> None:
        """Whatever the exchange has put out, on its way."""
        while self._connection.outbox:
            text = self._connection.outbox.popleft()
            for raw, delay in self._stage.stream_faults.frames(self, text.encode()):
                self.send(TEXT, raw, delay)
        if self._connection.hung_up:
            self.cut()

    def _ping(self) -> None:
        if self.is_open:
            self.send(PING, b"heartbeat", 0.0)
            self._stage.timeline.after(PING_S, self._ping)

    def send(self, opcode: int, payload: bytes, delay: float) -> None:
        """In order, as a socket does: what waits holds up what follows."""
        timeline = self._stage.timeline
        self._ready_at = max(self._ready_at, timeline.seconds + 0.005 + delay)

        def arrive() -> None:
            is_lost = self.is_frozen and not (opcode == PING and self.has_pulse)
            if self.is_open and not is_lost:
                self._stage.checker.events += 1
                self._backlog += _framed(opcode, payload)
                self._push()

        timeline.at(self._ready_at, arrive)

    def _push(self) -> None:
        """As much as the socket takes: a reader that stands still fills it."""
        if not self.is_open or not self._backlog:
            return
        with suppress(BlockingIOError):
            del self._backlog[: self._far.send(self._backlog)]
        if self._backlog:
            self._stage.timeline.after(0.05, self._push)
        self._stream.arrive()

    def cut(self, *, is_polite: bool = False) -> None:
        """The exchange, or the network, ends it."""
        if not self.is_open:
            return
        if is_polite:
            self._backlog += _framed(CLOSE, struct.pack("!H", 1001))
            self._push()
        self.close()
        self._stage.timeline.after(0.001, self._stream.arrive)

    def close(self) -> None:
        """Nothing goes either way any more."""
        if self.is_open:
            self.is_open = False
            self._connection.close()
            self._far.close()


def _framed(opcode: int, payload: bytes) -> bytes:
    """A whole WebSocket frame of a server."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
    return head + payload
