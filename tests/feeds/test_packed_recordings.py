"""A packed recording cannot become anything: what it unpacks to has a limit, and takes little memory."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from pathlib import Path

import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.feeds.recording_format import MAX_RATIO, MAX_UNPACKED, read_lines

MEGABYTE = 1 << 20


def packed(line: bytes, size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    block = line * (MEGABYTE // len(line))
    return b"".join(packer.compress(block) for _ in range(size // MEGABYTE)) + packer.flush()


def lines_in(path: Path) -> int:
    return sum(1 for _ in read_lines(path))


def test_a_recording_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl.gz"
    path.write_bytes(packed(b'{"frame":{"x":"' + b"a" * 4_000 + b'"}}\n', 8 * MAX_UNPACKED))
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=f"more than {MAX_RATIO} times its size"):
            lines_in(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_a_recording_that_shrank_as_real_ones_do_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl.gz"
    dice = random.Random(1)
    line = b'{"recv_ns": 1, "frame": {"x": "' + b"a" * 4_000 + b'%s"}}\n'
    count = MAX_UNPACKED // 4_000 + 1
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(count):
            file.write(line % dice.randbytes(20).hex().encode())
    assert lines_in(path) == count


def test_the_bytes_that_were_read_are_told_now_and_then(tmp_path: Path) -> None:
    path, line, sizes = tmp_path / "tape.jsonl", b'{"frame":{}}\n', list[int]()
    path.write_bytes(line * 5_000)
    assert sum(1 for _ in read_lines(path, on_read=sizes.append)) == 5_000
    assert sizes == [len(line) * 1024] * 4
