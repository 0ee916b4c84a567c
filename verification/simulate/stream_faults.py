"""The connections of the stream, and faults of them and of the frames that they carry."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from kalshi_cli.net import websocket
from kalshi_cli.net.websocket import CLOSE, PING, TEXT
from kalshi_cli.simulator.stream.connection import Connection
from verification.simulate.plan import STREAM, Fault
from verification.simulate.stage import Stage

PING_S = 10.0
_ROWS = {"fill": "F25", "user_order": "F25", "orderbook_delta": "F34"}


class Line:
    """One connection from the exchange to the reader, and what befalls the frames on it."""

    def __init__(
        self,
        stage: Stage,
        faults: StreamFaults,
        connection: Connection,
        far: socket.socket,
        arrive: Callable[[], None],
    ) -> None:
        """`arrive` is called when there are bytes for the reader."""
        self._stage = stage
        self._faults = faults
        self._arrive = arrive
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
        faults.line = self
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
            for raw, delay in self._faults.frames(self, text.encode()):
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
                self._stage.events += 1
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
        self._arrive()

    def cut(self, *, is_polite: bool = False) -> None:
        """The exchange, or the network, ends it."""
        if not self.is_open:
            return
        if is_polite:
            self._backlog += _framed(CLOSE, struct.pack("!H", 1001))
            self._push()
        self.close()
        self._stage.timeline.after(0.001, self._arrive)

    def close(self) -> None:
        """Nothing goes either way any more."""
        if self.is_open:
            self.is_open = False
            self._connection.close()
            self._far.close()


class StreamFaults:
    """Takes from the plan what is due, frame by frame and connection by connection."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.line: Line | None = None
        self._refused_until = 0.0
        self._how = 0
        for fault in stage.faults.starts(STREAM):
            if not fault.target:
                stage.timeline.at(fault.at, lambda fault=fault: self._befall(fault))  # type: ignore[misc]

    # -- connections ------------------------------------------------------------------------------------------------

    def handshake(self) -> None:
        """Raises where this one is refused."""
        stage = self._stage
        if not stage.plan.has_stream:
            raise websocket.HandshakeError("refused", 503)
        if stage.timeline.seconds < self._refused_until:
            stage.hit("F33")
            if self._how % 4 == 0:
                raise ConnectionRefusedError("connection refused")
            raise websocket.HandshakeError("refused", (401, 429, 503)[self._how % 3])

    def _befall(self, fault: Fault) -> None:
        stage, line = self._stage, self.line
        if stage.faults.is_over or line is None or not line.is_open:
            return
        if not stage.faults.use(fault):
            return
        stage.fired(fault, {"stream"})
        if fault.kind == "ws_cut":
            stage.hit("F33")
            line.cut(is_polite=fault.size % 2 == 0)
        elif fault.kind == "ws_refuse":
            self._refused_until = stage.timeline.seconds + 1 + fault.size / 100
            self._how = fault.size
            line.cut()
        elif fault.kind == "ws_freeze":
            stage.hit("F31")
            line.is_frozen, line.has_pulse = True, False
        elif fault.kind == "ws_pulse":
            stage.hit("F32")
            line.is_frozen, line.has_pulse = True, True
        elif fault.kind == "ws_error":
            code = (10, 25)[fault.size % 2]
            stage.hit("F37")
            stage.exchange.break_channel("orderbook_delta", code, stage.timeline.now())
        elif fault.kind == "ws_command":
            stage.hit("F37")
            stage.exchange.fail_command((10, 18, 26, 27)[fault.size % 4])

    # -- frames -----------------------------------------------------------------------------------------------------

    def frames(self, line: Line, raw: bytes) -> list[tuple[bytes, float]]:
        """What becomes of a frame: it, none, two, another; each with how long it is held up."""
        stage = self._stage
        kind = _kind(raw)
        if line.held is not None:
            raw_before, line.held = line.held, None
            return [(raw, 0.0), (raw_before, 0.0)]
        fault = stage.faults.take(STREAM, {kind, "frame"}) if line.is_open else None
        if fault is None:
            return [(raw, 0.0)]
        stage.fired(fault, {kind})
        if fault.kind == "ws_drop":
            stage.hit(_ROWS.get(kind, ""))
            return []
        if fault.kind == "ws_dup":
            stage.hit("F23" if kind == "fill" else "F34")
            return [(raw, 0.0), (raw, 0.0)]
        if fault.kind == "ws_reorder":
            stage.hit("F34")
            line.held = raw
            return []
        if fault.kind == "ws_delay":
            stage.hit("F36")
            return [(raw, 0.5 + fault.size / 60)]
        if fault.kind == "ws_unknown":
            stage.hit("F35")
            return [(b'{"type":"brand_new","sid":1,"msg":{"a":[]}}', 0.0), (raw[:-1] + b',"brand_new":1}', 0.0)]
        stage.hit("F38" if fault.kind == "ws_impossible" else "F35")
        return [(_spoiled(raw, fault), 0.0)]


def _kind(raw: bytes) -> str:
    _, _, rest = raw.partition(b'"type":"')
    return rest.partition(b'"')[0].decode()


def _spoiled(raw: bytes, fault: Fault) -> bytes:
    """A frame that is no longer what it was."""
    if fault.kind == "ws_impossible":
        return raw.replace(b'"delta_fp":"', b'"delta_fp":"-99999')
    if fault.size % 3 == 0:
        return raw[: len(raw) // 2]
    if fault.size % 3 == 1:
        return raw[:20] + b"\xff\xfe" + raw[20:]
    return raw.replace(b'"msg":', b'"message":', 1)


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
