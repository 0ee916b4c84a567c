"""WebSocket framing (RFC 6455) of what a server sends, with many frames per read.

wsproto writes frames, but reads them three times slower. Here a read takes everything that the socket has.
"""

from __future__ import annotations

from typing import Final

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_CONTINUATION: Final = 0x0
_FIN: Final = 0x80
_OPCODES = frozenset({_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

MAX_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes of the longest message; the exchange permits itself 64 MiB. A snapshot with every possible price of a market is
below 300 kB, and a decoded message takes up to nine times its bytes."""


class FramingError(Exception):
    """The bytes are not WebSocket frames, so nothing after them can be read either."""


class Framing:
    """Turns bytes into whole messages of at most `most` bytes. One instance per connection."""

    def __init__(self, most: int = MAX_MESSAGE) -> None:
        self._most = most
        self._chunks: list[bytes] = []  # of an incomplete frame
        self._have, self._need = 0, 2
        self._parts: list[bytes] = []  # of a fragmented message
        self._parts_size = 0
        self._kind = 0

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """Return the messages that are now complete: opcode (TEXT, BINARY, CLOSE, PING, PONG) and payload."""
        found: list[tuple[int, bytes]] = []
        self._chunks.append(chunk)
        self._have += len(chunk)
        if self._have < self._need:
            return found
        buffer = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        at, end = 0, len(buffer)
        self._need = 2
        while end - at >= 2:
            head, size = buffer[at], buffer[at + 1]
            start = at + 2
            if size == 126:
                start += 2
            elif size == 127:
                start += 8
            if size >= 126 and start <= end:
                size = self._long_size(size, buffer[at + 2 : start])
            if start + size > end:
                self._need = start + size - at
                break
            payload = buffer[start : start + size]
            at = start + size
            if head == _FIN | TEXT and not self._kind:
                found.append((TEXT, payload))
            else:
                self._rarer(head, payload, found)
        rest = buffer[at:]
        self._chunks, self._have = ([rest] if rest else []), len(rest)
        return found

    def _long_size(self, short: int, digits: bytes) -> int:
        if short > 127:
            raise FramingError("masked frame from a server")
        size = int.from_bytes(digits, "big")
        if size > self._most:
            raise FramingError(f"frame of {size} bytes")
        return size

    def _rarer(self, head: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        """Handle control frames and fragmented messages, between whose parts control frames may come."""
        opcode = head & 0x0F
        is_last = head & _FIN
        if head & 0x70 or opcode not in _OPCODES:
            raise FramingError(f"unknown frame type: {head:#04x}")
        if opcode >= CLOSE:
            if not is_last or len(payload) > 125:
                raise FramingError("control frame too long")
            found.append((opcode, payload))
            return
        if (opcode == _CONTINUATION) != bool(self._kind):
            raise FramingError("unexpected fragment")
        self._kind = self._kind or opcode
        self._parts.append(payload)
        self._parts_size += len(payload) + 1  # an empty fragment takes memory too
        if self._parts_size > self._most:
            raise FramingError(f"message longer than {self._most} bytes")
        if is_last:
            found.append((self._kind, b"".join(self._parts)))
            self._parts, self._parts_size, self._kind = [], 0, 0
