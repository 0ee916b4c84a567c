"""The fault proxy does what each fault says: otherwise the tests that lean on it prove nothing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from support.fault_frames import StreamFault, StreamFaults, read_exactly, read_frame, text_frame
from support.fault_proxy import Action, Fault, FaultProxy, fault_proxy
from support.served import eventually

PING = bytes((0x89, 0))
UPGRADE = b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n\r\n"


class Counting:
    """A server that counts the requests it gets; after an upgrade it sends the frames that it is told to."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.streams: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with one, suppress(OSError):
            while head := b"".join(iter(lambda: line(one), b"\r\n")):
                if b"upgrade" in head:
                    one.sendall(b"HTTP/1.1 101 Switching\r\n\r\n")
                    self.streams.append(one)
                    while one.recv(1):
                        pass
                    return
                self.seen.append(head)
                body = json.dumps({"n": len(self.seen)}).encode()
                one.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    def close(self) -> None:
        self._listening.close()


def line(one: socket.socket) -> bytes:
    """One line, its end included; an empty line where the other end is done."""
    found = b""
    while not found.endswith(b"\r\n"):
        byte = one.recv(1)
        if not byte:
            raise OSError("gone")
        found += byte
    return found


@pytest.fixture
def server() -> Iterator[Counting]:
    one = Counting()
    yield one
    one.close()


@pytest.fixture
def proxy(server: Counting) -> Iterator[FaultProxy]:
    with fault_proxy(server.url) as one:
        yield one


def ask(server: Counting, proxy: FaultProxy, path: str = "/a", *, timeout_s: float = 30.0) -> Any:
    """The answer to one request; the name of the error where there is none."""
    with httpx.Client(trust_env=False, timeout=timeout_s) as client:
        try:
            response = client.get(proxy.moved(server.url) + path)
            return response.status_code, response.content
        except httpx.HTTPError as error:
            return type(error).__name__


@pytest.mark.parametrize(
    ("action", "answer", "seen"),
    [
        ("drop_request", "RemoteProtocolError", 0),
        ("reset", "ReadError", 0),
        ("status_500", (500, b"oops"), 0),
        ("status", (503, b"<html>Bad gateway</html>"), 0),
        ("drop_reply", "RemoteProtocolError", 1),
        ("reset_reply", "ReadError", 1),
        ("duplicate_first", (200, b'{"n": 1}'), 2),
        ("duplicate_second", (200, b'{"n": 2}'), 2),
        ("truncate", "RemoteProtocolError", 1),
        ("garbage", (200, b"<html>Bad gateway</html>"), 1),
        ("slow", (200, b'{"n": 1}'), 1),
        ("delay", (200, b'{"n": 1}'), 1),
    ],
)
def test_each_fault_breaks_one_request_as_it_says(
    server: Counting, proxy: FaultProxy, action: Action, answer: Any, seen: int
) -> None:
    proxy.faults.append(Fault(action, "GET", "/a", delay_s=0.01))
    assert ask(server, proxy) == answer
    assert len(server.seen) == seen
    assert ask(server, proxy) == (200, b'{"n": %d}' % (seen + 1)), "and only that one"


@pytest.mark.parametrize(("action", "seen"), [("hang_request", 0), ("hang", 1)])
def test_a_hang_leaves_the_client_waiting(server: Counting, proxy: FaultProxy, action: Action, seen: int) -> None:
    proxy.faults.append(Fault(action, "GET", "/a"))
    assert ask(server, proxy, timeout_s=0.3) == "ReadTimeout"
    eventually(lambda: len(server.seen) == seen)


def test_a_late_request_arrives_after_its_client_gave_up(server: Counting, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("late", "GET", "/a", delay_s=0.1))
    assert ask(server, proxy) == "RemoteProtocolError"
    eventually(lambda: len(server.seen) == 1)


def test_a_status_may_come_although_the_exchange_acted(server: Counting, proxy: FaultProxy) -> None:
    headers = {"retry-after": "2"}
    proxy.faults.append(Fault("status", "GET", "/a", status=429, body=b"{}", headers=headers, is_forwarded=True))
    assert ask(server, proxy) == (429, b"{}")
    assert len(server.seen) == 1


def test_an_answer_can_be_rewritten_or_be_an_older_one(server: Counting, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("rewrite", "GET", "/a", edit=lambda body: {"n": -body["n"]}))
    assert ask(server, proxy) == (200, b'{"n": -1}')
    assert ask(server, proxy) == (200, b'{"n": 2}')
    proxy.faults.append(Fault("stale", "GET", "/a"))
    assert ask(server, proxy) == (200, b'{"n": 2}')
    assert len(server.seen) == 3


def test_an_earlier_answer_is_replayed_whole_and_the_exchange_not_asked(server: Counting, proxy: FaultProxy) -> None:
    assert ask(server, proxy) == (200, b'{"n": 1}')
    proxy.edit_head = lambda head: head.replace(b"200 OK", b"203 Fine")
    assert ask(server, proxy, "/a?limit=7") == (203, b'{"n": 2}')
    proxy.edit_head = lambda head: head
    proxy.faults += [Fault("replay", "GET", "limit", is_by_query=True, times=2), Fault("replay", "GET", "/a")]
    assert ask(server, proxy, "/a?limit=8") == (503, b"<html>Bad gateway</html>"), "that was never asked"
    assert ask(server, proxy, "/a?limit=7") == (203, b'{"n": 2}')
    assert ask(server, proxy) == (203, b'{"n": 2}'), "whatever the query was"
    assert len(server.seen) == 2


def test_connections_are_refused_until_it_listens_again(server: Counting, proxy: FaultProxy) -> None:
    proxy.refuse()
    assert ask(server, proxy) == "ConnectError"
    proxy.listen()
    assert ask(server, proxy) == (200, b'{"n": 1}')


# -- streams ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stream(server: Counting, proxy: FaultProxy) -> Iterator[socket.socket]:
    """The client's end, after the upgrade."""
    with socket.create_connection(("127.0.0.1", int(proxy.moved(server.url).rpartition(":")[2])), 5) as one:
        one.sendall(UPGRADE)
        assert read_exactly(one, 26) == b"HTTP/1.1 101 Switching\r\n\r\n"
        eventually(lambda: server.streams)
        yield one


def test_a_frozen_stream_is_silent_and_open(server: Counting, proxy: FaultProxy, stream: socket.socket) -> None:
    proxy.freeze_stream()
    server.streams[0].sendall(PING + text_frame(b"a"))
    stream.settimeout(0.1)
    with pytest.raises(TimeoutError):
        stream.recv(1)
    proxy.thaw_stream()
    stream.settimeout(30)
    assert [read_frame(stream), read_frame(stream)] == [PING, text_frame(b"a")]


def test_a_zombie_with_a_pulse_passes_pings_and_nothing_else(
    server: Counting, proxy: FaultProxy, stream: socket.socket
) -> None:
    proxy.freeze_stream(has_pulse=True)
    server.streams[0].sendall(text_frame(b"lost") + PING)
    assert read_frame(stream) == PING
    proxy.thaw_stream()
    server.streams[0].sendall(text_frame(b"b" * 70_000))
    assert read_frame(stream) == text_frame(b"b" * 70_000)


def test_a_cut_stream_ends(proxy: FaultProxy, stream: socket.socket) -> None:
    proxy.cut_stream()
    assert stream.recv(1) == b""


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        (StreamFault("drop", "2"), ["1", "3", "4"]),
        (StreamFault("drop", nth=2, times=2), ["1", "4"]),
        (StreamFault("duplicate", "2"), ["1", "2", "2", "3", "4"]),
        (StreamFault("reorder", "2"), ["1", "3", "2", "4"]),
        (StreamFault("delay", "2", delay_s=0), ["1", "2", "3", "4"]),
        (StreamFault("corrupt", "2", text=b"x"), ["1", "x", "3", "4"]),
        (StreamFault("inject", "2", text=b"x"), ["1", "x", "2", "3", "4"]),
    ],
)
def test_text_frames_are_dropped_doubled_reordered_and_spoiled(fault: StreamFault, heard: list[str]) -> None:
    faults, held = StreamFaults([fault], threading.Event()), []  # type: ignore[var-annotated]
    frames = [each for text in b"1234" for each in faults.altered(text_frame(bytes((text,))), held)]
    assert [frame[2:].decode() for frame in frames] == heard
    assert faults.altered(PING, held) == [PING], "control frames pass as they are"
