"""The address where news may be posted: to whom it answers what, over real sockets."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from kalshi_cli.feeds.signal_hook import MAX_BODY, SignalHook

TOKEN = "a-token-that-nobody-guesses"
USUAL = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


class Desk:
    """A hook on a free port, and what came in."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.hook = SignalHook(0, TOKEN, self._take)

    def _take(self, body: bytes) -> None:
        if body == b"junk":
            raise ValueError("it is no signal")
        self.taken.append(body)

    def post(self, body: bytes = b"{}", *, method: str = "POST", path: str = "/signals", **headers: str | None) -> int:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (USUAL | given).items() if value is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.hook.port, timeout=60)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            self.said = answer.read().decode()
            return answer.status
        finally:
            connection.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.hook.stop()


def test_whoever_knows_the_token_may_post(desk: Desk) -> None:
    assert desk.post(b'{"id": 1}') == 202
    assert desk.post(b'{"id": 2}', Content_Type="Application/JSON; charset=utf-8", Host="localhost") == 202
    assert desk.taken == [b'{"id": 1}', b'{"id": 2}']


def test_a_body_that_is_no_signal_is_told_so(desk: Desk) -> None:
    assert desk.post(b"junk") == 400
    assert desk.said == "it is no signal\n"


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (401, {"Authorization": None}),
        (401, {"Authorization": "Bearer "}),
        (401, {"Authorization": "Bearer wrong"}),
        (401, {"Authorization": f"Basic {TOKEN}"}),
        (401, {"Authorization": f"Bearer {TOKEN}x"}),
        (401, {"Authorization": "Bearer \xff"}),
        (403, {"Host": "evil.example"}),
        (403, {"Host": "127.0.0.1.evil.example"}),
        (415, {"Content_Type": None}),
        (415, {"Content_Type": "text/plain"}),
        (415, {"Content_Type": "application/x-www-form-urlencoded"}),
        (413, {"Content_Length": str(MAX_BODY + 1)}),
        (413, {"Content_Length": "9" * 30}),
        (411, {"Content_Length": "-1"}),
        (411, {"Content_Length": "x"}),
        (404, {"path": "/"}),
        (404, {"path": "/signals/"}),
        (405, {"method": "GET"}),
        (405, {"method": "OPTIONS"}),
    ],
)
def test_anybody_else_is_refused(desk: Desk, status: int, changes: dict[str, str]) -> None:
    assert desk.post(**changes) == status  # type: ignore[arg-type]
    assert desk.taken == []
    assert TOKEN not in desk.said


def test_a_body_of_the_longest_length_is_taken(desk: Desk) -> None:
    assert desk.post(b"x" * MAX_BODY) == 202


def test_it_listens_on_this_machine_only(desk: Desk) -> None:
    """Another address of the loopback network is answered where a server listens on all addresses."""
    assert desk.post() == 202
    with pytest.raises(OSError, match=r"refused|unreachable|assign"):
        socket.create_connection(("127.0.0.2", desk.hook.port), 5)


def test_whoever_promises_a_body_and_does_not_send_it_does_not_hold_up_the_others(desk: Desk) -> None:
    with socket.create_connection(("127.0.0.1", desk.hook.port), 60) as slow:
        head = f"POST /signals HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        slow.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert desk.post(b'{"id": 1}') == 202
    assert desk.taken == [b'{"id": 1}']


def test_a_port_that_is_in_use_is_an_error(desk: Desk) -> None:
    with pytest.raises(OSError, match="in use"):
        SignalHook(desk.hook.port, TOKEN, desk.taken.append)
