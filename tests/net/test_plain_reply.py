"""A head is read by the short way only where `http.client` reads the same."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kalshi_cli.net.plain_reply import MAX_HEAD_LENGTH, MAX_HEADERS, read_plain_head

PLAIN = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nDATE:x\r\ncontent-length: 12\r\nX: \ta b\r\n\r\n"
PIECES = (
    "HTTP/1.1 200 OK", "HTTP/1.1 201", "HTTP/1.1 500 \xe9", "HTTP/1.0 200 OK", "HTTP/1.1  200", "\r\n", "\n", "\r", ":",
    " ", "\t", "\x00", "\x0b", "\x1c", "\x85", "\xff", "Content-Length: 5\r\n", "content-length:5\r\n", "5", "+5",
    "Connection: close\r\n", "Connection: Keep-Alive\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length : 5\r\n",
    "Content-Length: 5 \r\n", " folded\r\n", "Date: Mon, 01 Jan 2026 00:00:00 GMT\r\n", "X-A: b\r\n", "From x\r\n",
)  # fmt: skip


class _Received:
    """Bytes that http.client reads as if from a socket."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)


def _by_http_client(received: bytes) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(_Received(received), method="POST")  # type: ignore[arg-type]
    answer.begin()
    return answer


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.sampled_from(("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "HTTP/1.1 429 \r\n", "")),
    st.booleans(),
)
@example("X: y\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", True)
def test_a_head_read_the_short_way_is_what_http_client_reads(text: str, start: str, is_ended: bool) -> None:
    received = (start + text + ("\r\n\r\n12345" if is_ended else "")).encode("latin-1")
    head = read_plain_head(received)
    if head is None:
        return
    answer = _by_http_client(received)
    pairs = [(name.decode(), value.decode()) for name, value in head.headers]
    assert (head.status, pairs, head.length) == (answer.status, answer.getheaders(), answer.length)
    assert not answer.will_close
    assert not answer.msg.defects
    assert received[head.size :] == answer.read(100) + received[head.size + head.length :]


def test_the_usual_head_is_read_the_short_way() -> None:
    head = read_plain_head(PLAIN + b"123456789012HTTP")
    assert head is not None
    assert (head.status, head.length, head.size) == (201, 12, len(PLAIN))
    assert (b"DATE", b"x") in head.headers
    assert (b"X", b"a b") in head.headers


@pytest.mark.parametrize(
    "received",
    [
        *[PLAIN[:size] for size in range(len(PLAIN))],
        PLAIN.replace(b"201 Created", b"204 No Content"),
        PLAIN.replace(b"201 Created", b"103 Early Hints"),
        PLAIN.replace(b"1.1", b"1.0"),
        PLAIN.replace(b"content-length: 12", b"content-length: 12\r\ncontent-length: 12"),
        PLAIN.replace(b"content-length: 12", b"content-length: 0x2"),
        PLAIN.replace(b"content-length: 12", b"content-length: " + b"1" * 16),
        PLAIN.replace(b"content-length", b"content-lengths"),
        PLAIN.replace(b"DATE", b"Transfer-Encoding"),
        PLAIN.replace(b"DATE:x", b"Connection: close"),
        PLAIN.replace(b"DATE:x", b"Connection: keep-alive, close"),
        PLAIN.replace(b"a b", b"a\rb"),
        PLAIN.replace(b"a b", b"a\nContent-Length: 3"),
        PLAIN.replace(b"a b", b"\x00"),
        PLAIN.replace(b"DATE:", b"DATE :"),
        PLAIN.replace(b"\r\nX:", b"\r\n X:"),
        PLAIN.replace(b"X: ", b"Y: z\r\n" * MAX_HEADERS + b"X: "),
        PLAIN.replace(b"a b", b"y" * MAX_HEAD_LENGTH),
    ],
)
def test_any_other_head_is_left_to_http_client(received: bytes) -> None:
    assert read_plain_head(received) is None
