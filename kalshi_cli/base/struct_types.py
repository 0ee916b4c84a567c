"""Struct types that several threads may decode.

msgspec 0.22.0 learns the fields of a struct type when the type is decoded for the first time, and other threads can see
that before it is complete: two threads that decode a type for the first time at once crash the process (2026-11-26).
"""

from __future__ import annotations

import threading
from typing import TypeVar

import msgspec

T = TypeVar("T")

MAX_KNOWN = 10_000
"""Types that are remembered; after that they are prepared again, which costs little."""

_preparing = threading.RLock()
_known: set[object] = set()


def prepared(kind: T) -> T:
    """Return the type, which may contain structs, once msgspec knows it completely: any thread may then decode it."""
    if kind not in _known:
        with _preparing:
            msgspec.msgpack.Decoder(kind)
            if len(_known) >= MAX_KNOWN:
                _known.clear()
            _known.add(kind)
    return kind
