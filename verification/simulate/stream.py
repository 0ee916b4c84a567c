"""The stream's own reader, in step with everything else: its thread runs only while the rest waits for it."""

from __future__ import annotations

import random
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from kalshi_cli.exchange.stream import reader
from kalshi_cli.exchange.stream.inbox import MessageQueue
from kalshi_cli.net import websocket
from kalshi_cli.simulator.protocol.replies import Response
from verification.simulate.stage import Stage
from verification.simulate.stream_faults import Line, StreamFaults

STREAM_PATH = "/trade-api/ws/v2"


class _KilledError(BaseException):
    """The process of the thread is gone."""


class SteppedInbox(MessageQueue[Any]):
    """Whoever waits for messages lets time pass instead."""

    def __init__(self, stage: Stage, limit: int) -> None:
        super().__init__(limit)
        self._stage = stage

    def take(self, into: deque[Any], timeout_s: float = 0.0) -> None:
        if timeout_s > 0 and not self._batches.qsize():
            clock, timeline = self._stage.clock, self._stage.timeline
            self._stage.alive("loop")
            timeline.until(timeline._ms + timeout_s * 1000, is_done=lambda: bool(self._batches.qsize()))
            clock.stop_if_due()
            self._stage.alive("loop")
        super().take(into)


class SteppedStream(reader.Stream):
    """The reader as it is, but for three places where it would wait for the world: these wait for the timeline."""

    def __init__(
        self,
        stage: Stage,
        faults: StreamFaults,
        signer: Any,
        rng: random.Random,
        tickers: Iterable[str],
        tell: Callable[[str], None],
    ) -> None:
        super().__init__("ws://localhost" + STREAM_PATH, signer, stage.clock, rng, tickers=tickers, tell=tell)
        self.stage = stage
        self.faults = faults
        self.inbox = SteppedInbox(stage, 100_000)
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

    def stop(self, within_s: float | None = None) -> None:
        self._stopping.set()
        self._is_dead = True
        while not self._is_over:
            self.turn()
        if self.line is not None:
            self.line.close()
        super().stop(within_s)

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
        before = websocket
        reader.websocket = SimpleNamespace(  # type: ignore[attr-defined,assignment]
            HandshakeError=websocket.HandshakeError, connect=lambda _url, headers, *_: Dialed(self).connect(headers)
        )
        try:
            return super()._connect()
        finally:
            reader.websocket = before  # type: ignore[attr-defined]


class Dialed:
    """What the socket library gives: connects, masks, sends."""

    def __init__(self, stream: SteppedStream) -> None:
        self._stream = stream
        self.sock: socket.socket | None = None
        self._line: Line | None = None

    def connect(self, given: Mapping[str, str]) -> Dialed:
        stage, faults = self._stream.stage, self._stream.faults
        faults.handshake()
        headers = {name.lower(): value for name, value in given.items()}
        answer = stage.exchange.connect(headers, STREAM_PATH, stage.timeline.now())
        if isinstance(answer, Response):
            raise websocket.HandshakeError("refused", answer.status)
        self.sock, far = socket.socketpair()
        self._line = self._stream.line = Line(stage, faults, answer, far, self._stream.arrive)
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
