"""Events on a Unix socket: only what changed, never a wait for a slow reader."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kalshi_cli.net.local_events import (
    MAX_READERS,
    EventPublisher,
    NoPublisherError,
    read_events,
)

SILENCE_S = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "e.sock"


@pytest.fixture
def publisher(path: Path) -> Iterator[EventPublisher]:
    made = EventPublisher(path)
    yield made
    made.close()


def until(claim: Any) -> None:
    deadline = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < deadline, "waited ten seconds"
        time.sleep(0.005)


def reading(path: Path, *topics: str) -> Iterator[dict[str, Any]]:
    return (json.loads(line or b"null") for line in read_events(path, topics, lambda: SILENCE_S))


def test_a_reader_gets_everything_first_and_then_what_changed(publisher: EventPublisher, path: Path) -> None:
    publisher.publish({"run": b'{"n":1}', "orders": b"[]"})
    events = reading(path)
    assert next(events) == {"run": {"n": 1}, "orders": [], "dropped": 0}
    publisher.publish({"run": b'{"n":2}', "orders": b"[]"})
    assert next(events) == {"run": {"n": 2}, "dropped": 0}


def test_silence_is_told(publisher: EventPublisher, path: Path) -> None:
    publisher.publish({"run": b"1"})
    events = read_events(path, (), lambda: 0.01)
    assert next(events) is not None
    assert next(events) is None


def test_topics_of_all_readers_are_known_and_forgotten(publisher: EventPublisher, path: Path) -> None:
    publisher.publish({"run": b"1"})
    one, other = reading(path, "A", "B"), reading(path, "B", "C")
    assert next(one) == next(other)
    assert publisher.topics == {"A", "B", "C"}
    one.close()  # type: ignore[attr-defined]
    del one
    until(lambda: publisher.topics == {"B", "C"})
    assert publisher.has_readers


def test_a_reader_that_does_not_read_holds_up_nobody_and_misses_only_what_is_old(
    publisher: EventPublisher, path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(os.fspath(path))
        _misses_only_what_is_old(slow, publisher, path)


def _misses_only_what_is_old(slow: socket.socket, publisher: EventPublisher, path: Path) -> None:
    slow.sendall(b'{"topics":[]}\n')
    slow.settimeout(SILENCE_S)
    publisher.publish({"run": b"-1"})
    assert slow.recv(1, socket.MSG_PEEK) == b"{", "what came before its first event was not dropped"
    quick = reading(path)
    value = b'"' + b"x" * 100_000 + b'"'
    for n in range(200):
        publisher.publish({"run": b"%d" % n, "big": value[:-1] + b'%d"' % n})
    while next(quick).get("run") != 199:
        pass
    kept = b""
    while not kept.endswith(b"\n") or b'"run":199' not in kept[-200_000:]:
        kept += slow.recv(1 << 20)
    events = [json.loads(line) for line in kept.splitlines()]
    assert events[-1]["run"] == 199
    assert len(events) < 100
    assert events[-1]["dropped"] >= 100


def test_nobody_but_the_owner_may_connect(publisher: EventPublisher, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("request_line", [b"nonsense\n", b'{"topics":7}\n', b"x" * 5000])
def test_a_reader_that_talks_nonsense_is_disconnected(
    publisher: EventPublisher, path: Path, request_line: bytes
) -> None:
    publisher.publish({"run": b"1"})
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(SILENCE_S)
        stranger.connect(os.fspath(path))
        stranger.sendall(request_line)
        with suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    assert next(reading(path)) == {"run": 1, "dropped": 0}


def test_the_number_of_readers_is_limited(publisher: EventPublisher, path: Path) -> None:
    publisher.publish({"run": b"1"})
    readers = [reading(path) for _ in range(MAX_READERS)]
    for each in readers:
        next(each)
    with pytest.raises(NoPublisherError):
        next(reading(path))


def test_a_socket_left_by_a_killed_program_is_replaced(path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(os.fspath(path))
    left.close()
    with pytest.raises(NoPublisherError, match="refused"):
        next(reading(path))
    publisher = EventPublisher(path)
    publisher.publish({"run": b"1"})
    assert next(reading(path)) == {"run": 1, "dropped": 0}
    publisher.close()
    assert not path.exists()


def test_the_end_of_the_publisher_ends_the_reader(path: Path) -> None:
    publisher = EventPublisher(path)
    publisher.publish({"run": b"1"})
    events = reading(path)
    next(events)
    threading.Timer(0.05, publisher.close).start()
    with pytest.raises(NoPublisherError, match="stopped"):
        next(events)
