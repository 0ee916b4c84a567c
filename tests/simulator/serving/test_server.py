from __future__ import annotations

import contextlib
import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import websocket
from support.exchange import ORDERS, T0, TICKER, create_body, make_exchange, quote, signed
from support.served import NO_TLS, eventually

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.simulator.exchange import STREAM_PATH, SimulatedExchange
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.serving import server as server_module
from kalshi_cli.simulator.serving.in_process_transport import SimTransport
from kalshi_cli.simulator.serving.server import LOOPBACK_NAMES, MISDIRECTED, SimServer


@pytest.fixture
def exchange() -> SimulatedExchange:
    return make_exchange()


@pytest.fixture
def server(exchange: SimulatedExchange) -> Iterator[SimServer]:
    server = SimServer(exchange, ManualClock(T0))
    server.start()
    yield server
    server.stop()


def open_stream(server: SimServer, headers: dict[str, str]) -> websocket.WebSocket:
    return websocket.create_connection(server.ws_url, header=headers, timeout=30)


def test_requests_are_answered_over_a_real_socket(server: SimServer) -> None:
    with httpx.Client(base_url=server.rest_url, verify=NO_TLS) as client:
        headers = signed("alice", "GET", "/trade-api/v2/portfolio/balance", T0)
        answer = client.get("/portfolio/balance?subaccount=0", headers=headers)
        assert answer.json()["balance"] == 100_000
        assert parsedate_to_datetime(answer.headers["date"]).timestamp() == T0 / 1000
        assert len(answer.headers.get_list("date")) == 1
        assert client.get("/portfolio/balance").status_code == 401
        path = f"/trade-api/v2{ORDERS}"
        made = client.post(ORDERS, json=create_body("bid", "0.5", "1"), headers=signed("alice", "POST", path, T0))
        assert made.status_code == 201
        gone = client.delete(ORDERS, headers=signed("alice", "DELETE", path, T0))
        assert (gone.status_code, gone.content) == (204, b"")
        assert client.get("/nowhere").status_code == 404
        assert client.post(ORDERS, content=b"x" * ((1 << 20) + 1)).status_code == 413


def test_both_transports_give_the_same_answer(server: SimServer, exchange: SimulatedExchange) -> None:
    query = f"/markets?tickers={TICKER}&limit=5"
    with httpx.Client(base_url=server.rest_url, verify=NO_TLS) as over_socket:
        first = over_socket.get(query)
    transport = SimTransport(exchange, ManualClock(T0))
    with httpx.Client(base_url="http://sim/trade-api/v2", transport=transport) as straight:
        second = server.call(lambda: straight.get(query))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["date"] == first.headers["date"]


def test_the_transport_signs_and_posts(exchange: SimulatedExchange) -> None:
    transport = SimTransport(exchange, ManualClock(T0))
    with httpx.Client(base_url="http://sim/trade-api/v2", transport=transport) as client:
        headers = signed("bob", "POST", f"/trade-api/v2{ORDERS}", T0)
        assert client.post(ORDERS, json=create_body("bid", "0.5", "1"), headers=headers).status_code == 201


def test_frames_come_over_a_real_websocket(server: SimServer, exchange: SimulatedExchange) -> None:
    stream = open_stream(server, signed("alice", "GET", STREAM_PATH, T0))
    try:
        params = {"channels": ["orderbook_delta"], "market_tickers": [TICKER]}
        stream.send(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        assert [json.loads(stream.recv())["type"] for _ in range(2)] == ["subscribed", "orderbook_snapshot"]
        server.call(lambda: quote(exchange, ASK, "0.5", "1"))
        assert json.loads(stream.recv())["msg"]["delta_fp"] == "1.00"
    finally:
        stream.close()


def test_an_unsigned_upgrade_gets_a_401(server: SimServer) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        open_stream(server, {})
    assert refused.value.status_code == 401
    assert b"signature_is_missing_from_headers" in (refused.value.resp_body or b"")


def test_the_server_pings_with_the_word_heartbeat(exchange: SimulatedExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "PING_EVERY_S", 0.05)
    server = SimServer(exchange, ManualClock(T0))
    server.start()
    try:
        stream = open_stream(server, signed("alice", "GET", STREAM_PATH, T0))
        try:
            frames = [stream.recv_frame() for _ in range(2)]
            assert [(frame.opcode, frame.data) for frame in frames] == [(websocket.ABNF.OPCODE_PING, b"heartbeat")] * 2
        finally:
            stream.close()
    finally:
        server.stop()


def test_a_reader_who_never_reads_loses_its_subscription_not_the_server() -> None:
    exchange = make_exchange(ExchangeOptions(read_rate=0, write_rate=0, outbox_limit=50))
    server = SimServer(exchange, ManualClock(T0))
    server.start()
    try:
        stream = open_stream(server, signed("alice", "GET", STREAM_PATH, T0))
        try:
            params = {"channels": ["orderbook_delta"], "market_tickers": [TICKER]}
            stream.send(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
            stream.recv()
            server.call(lambda: [quote(exchange, ASK, "0.5", "1") for _ in range(100)])
            kinds: list[Any] = []
            while not kinds or kinds[-1] != "error":
                kinds.append(json.loads(stream.recv())["type"])
            assert kinds.count("orderbook_delta") <= 50
        finally:
            stream.close()
    finally:
        server.stop()


def test_the_world_is_moved_by_the_server(exchange: SimulatedExchange) -> None:
    moved = threading.Event()
    times: list[Ts] = []

    def on_advance(now: Ts) -> None:
        times.append(now)
        exchange.advance(now)
        moved.set()

    server = SimServer(exchange, ManualClock(T0), on_advance=on_advance)
    server.start()
    assert moved.wait(30)
    server.stop()
    assert times[0] == T0


def test_an_error_in_the_world_stops_the_server_and_is_raised(exchange: SimulatedExchange) -> None:
    def on_advance(now: Ts) -> None:
        raise ValueError("the world ended")

    server = SimServer(exchange, ManualClock(T0), on_advance=on_advance)
    server.start()
    with pytest.raises(ValueError, match="the world ended"):
        server.stop()


def test_it_ends_when_no_request_and_no_open_stream_was_there_for_a_while(exchange: SimulatedExchange) -> None:
    clock = ManualClock(T0)
    server = SimServer(exchange, clock, idle_s=60.0)
    server.start()

    def answers() -> bool:
        """A request is a use."""
        try:
            return httpx.get(f"{server.rest_url}/exchange/status", verify=NO_TLS).status_code == 200
        except httpx.TransportError:
            return False

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
        except ConnectionError:
            return False
        return True

    try:
        clock.advance(50)
        assert answers()
        stream = open_stream(server, signed("alice", "GET", STREAM_PATH, clock.now()))
        eventually(lambda: server.ends_in_s is None)
        clock.advance(600)
        time.sleep(10 * server_module.LOOK_EVERY_S)
        assert answers(), "the stream is open"
        stream.close()
        eventually(lambda: server.ends_in_s == 60.0)
        clock.advance(50)
        assert answers()
        clock.advance(50)
        time.sleep(10 * server_module.LOOK_EVERY_S)
        assert answers(), "50 s after the last request"
        eventually(lambda: server.ends_in_s == 60.0)  # the server notes its use after the reply is read
        clock.advance(61)
        eventually(lambda: not listens())
    finally:
        server.stop()


def test_without_an_interval_it_never_ends_by_itself(server: SimServer) -> None:
    assert server.ends_in_s is None


def test_a_visitor_who_reads_no_answer_is_disconnected_when_it_stops(
    exchange: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CLOSE_WITHIN_S", 0.1)
    server = SimServer(exchange, ManualClock(T0))
    server.start()
    port = int(server.rest_url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as visitor:
        visitor.setblocking(False)
        asked = f"GET /trade-api/v2/markets HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode() * 1_000
        with contextlib.suppress(BlockingIOError):
            for _ in range(1_000):  # until the server reads no more, because nobody takes its answers
                visitor.send(asked)
                time.sleep(0.01)
        server.stop()
        del server
        gc.collect()  # an open transport would be reported here


def test_a_visitor_who_comes_in_the_moment_it_stops_is_disconnected(exchange: SimulatedExchange) -> None:
    server = SimServer(exchange, ManualClock(T0))
    server.start()

    def come() -> socket.socket:
        """Nothing else runs in the server's thread meanwhile: it accepts the visitor and stops in one step."""
        visitor = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        server.end()
        time.sleep(10 * server_module.LOOK_EVERY_S)
        return visitor

    with server.call(come) as visitor:
        server.stop()
        assert visitor.recv(1) == b""


def test_an_error_in_a_call_reaches_the_caller(server: SimServer) -> None:
    with pytest.raises(ZeroDivisionError):
        server.call(lambda: 1 // 0)
    assert server.call(lambda: 7) == 7


def test_served_forever_it_ends_with_the_signal() -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from support.exchange import make_exchange, T0\n"
        "from kalshi_cli.base.clock import ManualClock\n"
        "from kalshi_cli.simulator.serving.server import SimServer\n"
        "server = SimServer(make_exchange(), ManualClock(T0))\n"
        "server.serve_forever(lambda: print(server.rest_url, flush=True))\n"
    )
    paths = [path for path in sys.path if path.endswith("tests")]
    process = subprocess.Popen([sys.executable, "-c", script, *paths], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/exchange/status", timeout=30, verify=NO_TLS).json()["trading_active"] is True
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()


# -- whom it answers ----------------------------------------------------------------------------------------------

PATHS = ("/trade-api/v2/exchange/status", "/sim/status", "/spot/kraken/0/public/Ticker")


def status_of(server: SimServer, path: str, *headers: str) -> int:
    """What a request with exactly these headers is answered with; 101 or 401 for a stream that was let in."""
    host, port = server.rest_url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), 30) as one:
        one.sendall("\r\n".join([f"GET {path} HTTP/1.1", *headers, "Connection: close", "", ""]).encode("latin-1"))
        return int(one.makefile("rb").readline().split()[1])


def upgraded(server: SimServer, *headers: str) -> int:
    host, port = server.rest_url.split("/")[2].split(":")
    lines = [
        f"GET {STREAM_PATH} HTTP/1.1", *headers, "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip
    with socket.create_connection((host, int(port)), 30) as one:
        one.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(one.makefile("rb").readline().split()[1])


STRANGE = (
    "evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost.evil.example:{port}",
    "127.0.0.1", "localhost", "127.0.0.1:1", "127.0.0.2:{port}", "2130706433:{port}", "[::ffff:127.0.0.1]:{port}",
    "evil.example@127.0.0.1:{port}", "127.0.0.1:{port}@evil.example",
)  # fmt: skip


@pytest.mark.parametrize("host", STRANGE)
def test_a_name_that_is_not_its_own_is_misdirected(server: SimServer, host: str) -> None:
    name = host.format(port=server.rest_url.split("/")[2].split(":")[1])
    for path in PATHS:
        assert status_of(server, path, f"Host: {name}") == MISDIRECTED
    assert upgraded(server, f"Host: {name}") == MISDIRECTED


@pytest.mark.parametrize("name", [*LOOPBACK_NAMES, "LOCALHOST"])
def test_every_name_of_this_machine_is_answered(server: SimServer, name: str) -> None:
    own = f"{name}:{server.rest_url.split('/')[2].split(':')[1]}"
    assert status_of(server, PATHS[0], f"Host: {own}") == 200
    assert status_of(server, PATHS[0], f"Host: {own}", f"Origin: http://{own}") == 200
    assert upgraded(server, f"Host: {own}") == 401, "it needs a key"


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://localhost:1", "http://evil.example:{port}"])
def test_a_page_of_another_server_is_not_answered(server: SimServer, origin: str) -> None:
    own = server.rest_url.split("/")[2]
    named = origin.format(port=own.split(":")[1])
    for path in PATHS:
        assert status_of(server, path, f"Host: {own}", f"Origin: {named}") == MISDIRECTED
    assert upgraded(server, f"Host: {own}", f"Origin: {named}") == MISDIRECTED


def test_the_address_that_it_was_bound_to_is_a_name_of_it(exchange: SimulatedExchange) -> None:
    server = SimServer(exchange, ManualClock(T0), host="127.0.0.3")
    server.start()
    try:
        own = server.rest_url.split("/")[2]
        assert own.startswith("127.0.0.3:")
        assert status_of(server, PATHS[0], f"Host: {own}") == 200
        assert status_of(server, PATHS[0], f"Host: 127.0.0.4:{own.split(':')[1]}") == MISDIRECTED
    finally:
        server.stop()
