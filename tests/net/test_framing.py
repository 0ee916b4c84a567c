from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_cli.net.websocket import BINARY, CLOSE, MAX_MESSAGE, PING, TEXT, Framing, FramingError


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + length + payload


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([TEXT, BINARY, PING]),
        st.one_of(st.binary(max_size=125), st.sampled_from([b"x" * 126, b"y" * 70_000])),
        st.integers(1, 3),
    ),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(MESSAGES, st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_messages_come_out_whole_however_the_bytes_are_cut_and_the_messages_split(
    messages: list[tuple[int, bytes, int]], cuts: list[int]
):
    wire, expected = b"", []
    for opcode, body, parts in messages:
        payload = body[:125] if opcode == PING else body
        expected.append((opcode, payload))
        step = len(payload) if opcode == PING else -(-len(payload) // parts)
        pieces = [payload[at : at + step] for at in range(0, len(payload), step)] if payload else [b""]
        for index, piece in enumerate(pieces):
            wire += frame(opcode if index == 0 else 0, piece, fin=index == len(pieces) - 1)
    framing, found, at = Framing(), [], 0
    sizes = [*cuts, *([30_000] * (len(wire) // 30_000 + 1))]
    for size in sizes:
        found += framing.feed(wire[at : at + size])
        at += size
    assert found == expected


def test_a_ping_between_the_parts_of_a_message_comes_first():
    framing = Framing()
    wire = frame(TEXT, b"ab", fin=False) + frame(PING, b"heartbeat") + frame(0, b"cd")
    assert framing.feed(wire) == [(PING, b"heartbeat"), (TEXT, b"abcd")]


@pytest.mark.parametrize(
    "wire",
    [
        frame(TEXT | 0x40, b"deflated"),
        frame(0x3, b"reserved"),
        frame(0, b"a part of nothing"),
        frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
        frame(PING, b"a", fin=False),
        frame(CLOSE, b"x" * 126),
        b"\x81\x85abcd12345",
        b"\x81\x7f" + (MAX_MESSAGE + 1).to_bytes(8, "big"),
    ],
    ids=[
        "compressed",
        "reserved",
        "stray part",
        "message in message",
        "ping in parts",
        "long close",
        "masked",
        "endless",
    ],
)
def test_what_is_no_frame_of_a_server_is_an_error(wire: bytes):
    with pytest.raises(FramingError):
        Framing().feed(wire)
