"""Reads the head of the usual HTTP reply at a fifth of the cost of `http.client` (2026-11).

A head is plain where no two readers could understand it differently: one length, printable ASCII, nothing about the
connection but that it stays open. Every other head is left to `http.client`, with all its checks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_HEAD_LENGTH = 16 * 1024
"""Bytes of the longest plain head."""
MAX_HEADERS = 64
"""The most headers of a plain head."""

_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [ -~]*)?\r\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)\r\n")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_NO_BODY = (204, 304)


class PlainHead(NamedTuple):
    """The head of a reply: `size` is its own length in bytes, `length` that of its body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    length: int
    size: int


def read_plain_head(received: bytes) -> PlainHead | None:
    """Return the head at the start of these bytes; None if it is incomplete or not plain."""
    size = received.find(_END, 0, MAX_HEAD_LENGTH) + len(_END)
    found = _STATUS.match(received)
    if size < len(_END) or found is None or int(found[1]) in _NO_BODY:
        return None
    end, lengths = found.end(), []
    headers: list[tuple[bytes, bytes]] = []
    while end < size - 2:
        line = _HEADER.match(received, end)
        if line is None or len(headers) == MAX_HEADERS:
            return None
        header = name, value = line[1], line[2]
        headers.append(header)
        end = line.end()
        lower = name.lower()
        if lower == b"content-length":
            lengths.append(value)
        elif lower == b"transfer-encoding" or (lower == b"connection" and value.lower() != b"keep-alive"):
            return None
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
        return None
    return PlainHead(int(found[1]), headers, int(lengths[0]), size)
