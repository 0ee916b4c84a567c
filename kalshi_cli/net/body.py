"""Reads the body of an HTTP response: at most one encoding, and a maximum size that holds while it is decompressed.

httpx applies every encoding that a response names to a whole chunk at a time: `gzip, gzip` turned 7 kB into 8.4 GB
(2026-11).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator

import httpx

_PIECE = 64 * 1024
"""Bytes decompressed at a time."""


def read_body(response: httpx.Response, most: int) -> bytes:
    """Return the decompressed body; raise httpx.DecodingError for an unknown or second encoding, or a longer body."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise httpx.DecodingError("unrequested content encoding")
    assert isinstance(response.stream, httpx.SyncByteStream)
    body = io.BytesIO()  # unlike a bytearray, it gives its content away without a copy
    for piece in _unpacked(response.stream) if encoding == "gzip" else response.stream:
        body.write(piece)
        if body.tell() > most:
            raise httpx.DecodingError(f"response longer than {most} bytes")
    return body.getvalue()


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            packed = chunk
            while packed and not unpacker.eof:
                yield unpacker.decompress(packed, _PIECE)
                packed = unpacker.unconsumed_tail
    except zlib.error as error:
        raise httpx.DecodingError(f"response is not gzip: {error}") from error
    yield unpacker.flush(_PIECE)
    if not unpacker.eof:
        raise httpx.DecodingError("gzip response cut short")
