"""Frames of a WebSocket on their way from a server to its client, and what may happen to them there."""

from __future__ import annotations

import re
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Literal

TEXT, CONTROL = 1, 8
"""Opcodes; from `CONTROL` on: close, ping, pong."""

StreamAction = Literal["drop", "duplicate", "reorder", "delay", "corrupt", "inject"]


@dataclass
class StreamFault:
    """What happens to the `nth` and the following text frames, `times` in all, whose text matches `pattern`.

    drop       it never comes
    duplicate  it comes twice
    reorder    it comes after the next text frame
    delay      it, and so what follows it, comes `delay_s` later
    corrupt    `text` comes in its place; any bytes, as a text frame
    inject     `text` comes before it
    """

    action: StreamAction
    pattern: str = ""
    nth: int = 1
    times: int = 1
    delay_s: float = 0.2
    text: bytes = b"{"
    hits: int = 0

    def takes(self, text: str) -> bool:
        if not re.search(self.pattern, text):
            return False
        self.hits += 1
        return self.nth <= self.hits < self.nth + self.times


class StreamFaults:
    """Alters the frames of every stream of a proxy. `faults` may grow while it runs."""

    def __init__(self, faults: list[StreamFault], stopped: threading.Event) -> None:
        self._faults = faults
        self._stopped = stopped
        self._is_deaf = False
        self._flows = threading.Event()
        self._flows.set()

    def freeze(self, *, has_pulse: bool) -> None:
        if has_pulse:
            self._is_deaf = True
        else:
            self._flows.clear()

    def thaw(self) -> None:
        self._is_deaf = False
        self._flows.set()

    def wait(self) -> None:
        """Until nothing is frozen."""
        self._flows.wait()

    def altered(self, frame: bytes, held: list[bytes]) -> list[bytes]:
        """The frames that go on to the client now; `held` are those of this stream that wait for the next one."""
        self.wait()
        if frame[0] & 0x0F != TEXT:
            return [frame] if frame[0] & 0x0F >= CONTROL or not self._is_deaf else []
        if self._is_deaf:
            return []
        text = frame[len(frame) - _size(frame) :].decode(errors="replace")
        fault = next((fault for fault in self._faults if fault.takes(text)), None)
        if fault is not None and fault.action == "reorder":
            held.append(frame)
            return []
        frames = [*_spoiled(frame, fault), *held]
        held.clear()
        if fault is not None and fault.action == "delay":
            self._stopped.wait(fault.delay_s)
        return frames


def _spoiled(frame: bytes, fault: StreamFault | None) -> list[bytes]:
    if fault is None or fault.action == "delay":
        return [frame]
    if fault.action == "drop":
        return []
    if fault.action == "duplicate":
        return [frame, frame]
    return [text_frame(fault.text)] if fault.action == "corrupt" else [text_frame(fault.text), frame]


def text_frame(text: bytes) -> bytes:
    """One text frame as a server sends it: whole and not masked."""
    size = len(text)
    if size < 126:
        return bytes((0x80 | TEXT, size)) + text
    if size < 65_536:
        return bytes((0x80 | TEXT, 126)) + struct.pack("!H", size) + text
    return bytes((0x80 | TEXT, 127)) + struct.pack("!Q", size) + text


def read_frame(one: socket.socket) -> bytes:
    """The next frame of a server, header and all; empty where there is none any more."""
    head = read_exactly(one, 2)
    if len(head) < 2:
        return b""
    head += read_exactly(one, {126: 2, 127: 8}.get(head[1] & 0x7F, 0))
    return head + read_exactly(one, _size(head))


def _size(frame: bytes) -> int:
    """How many bytes the payload has."""
    short = frame[1] & 0x7F
    if short < 126:
        return short
    size: int = struct.unpack("!H", frame[2:4])[0] if short == 126 else struct.unpack("!Q", frame[2:10])[0]
    return size


def read_exactly(one: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer where the other end is done."""
    found = b""
    while len(found) < size:
        chunk = one.recv(size - len(found))
        if not chunk:
            break
        found += chunk
    return found
