"""What a service manager hears on its socket."""

from __future__ import annotations

import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts
from kalshi_cli.telemetry.systemd import SystemdNotifier

PID = 4242


@contextmanager
def listening(name: str) -> Iterator[socket.socket]:
    """A datagram socket under this name (`@` for an abstract one); reading from it never waits."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as here:
        here.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        here.setblocking(False)
        yield here


def heard(here: socket.socket) -> list[list[str]]:
    """All messages so far, each in its lines."""
    found = []
    while True:
        try:
            found.append(here.recv(4_096).decode().split("\n"))
        except BlockingIOError:
            return found


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:  # the name of a socket has to be short
        yield str(Path(folder) / "notify")


@pytest.mark.parametrize("is_abstract", [False, True])
def test_ready_after_the_first_completed_cycle_and_a_watchdog_that_is_fed_in_time(path: str, is_abstract: bool) -> None:
    name = f"@kalshi-{uuid.uuid4()}" if is_abstract else path
    clock = ManualClock(Ts(0))
    with listening(name) as here:
        one = SystemdNotifier(
            {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(PID)}, PID, clock
        )
        assert heard(here) == []
        one.beat("1 cycles")
        assert heard(here) == [["READY=1", "WATCHDOG=1", "STATUS=1 cycles"]]
        for _ in range(4):
            clock.advance(2)
            one.beat("more")
        assert heard(here) == [], "nothing to say so soon"
        clock.advance(22)
        one.beat("2 cycles\nREADY=0")
        assert heard(here) == [["WATCHDOG=1", "STATUS=2 cycles READY=0"]]
        one.stopping()
        assert heard(here) == [["STOPPING=1"]]


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
def test_a_watchdog_that_is_not_ours_is_not_fed(path: str, more: dict[str, str]) -> None:
    with listening(path) as here:
        SystemdNotifier({"NOTIFY_SOCKET": path, **more}, PID, ManualClock(Ts(0))).beat("up")
        assert heard(here) == [["READY=1", "STATUS=up"]]


def test_a_socket_that_nobody_reads_holds_nothing_up(path: str) -> None:
    clock = ManualClock(Ts(0))
    with listening(path) as here:
        one = SystemdNotifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2"}, PID, clock)
        for _ in range(10_000):
            clock.advance(1)
            one.beat("x" * 200)
        assert 0 < len(heard(here)) < 10_000, "the rest found the queue full"


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "/nowhere/there"])
def test_without_a_socket_there_is_nobody_to_tell(name: str) -> None:
    one = SystemdNotifier({"NOTIFY_SOCKET": name}, PID, ManualClock(Ts(0)))
    one.beat("up")
    one.stopping()
