"""Faults of the stream's frames, and of the connections that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.net import websocket
from verification.simulate.plan import STREAM, Fault

if TYPE_CHECKING:
    from verification.simulate.stage import Stage
    from verification.simulate.stream import Line

_ROWS = {"fill": "F25", "user_order": "F25", "orderbook_delta": "F34"}


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
