"""The simulated exchange behind real sockets: HTTP and WebSocket on one port, in one thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs

import uvicorn
import wsproto.events
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.exchange import STREAM_PATH, SimulatedExchange
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.simulator.protocol.routing import BASE
from kalshi_cli.simulator.serving.control_route import PREFIX, ControlRoute
from kalshi_cli.simulator.serving.spot import PREFIX as SPOT_PREFIX
from kalshi_cli.simulator.serving.spot import SpotStream, SpotVenues
from kalshi_cli.simulator.stream.connection import Connection

T = TypeVar("T")
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

ADVANCE_EVERY_S = 0.1
PING_EVERY_S = 10.0
LARGEST_BODY = 1 << 20
START_WITHIN_S = 10.0
CALL_WITHIN_S = 30.0
LOOK_EVERY_S = 0.02
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
MISDIRECTED = 421
_MISDIRECTED = b'{"error": {"code": "misdirected", "message": "the Host or Origin header names another server"}}'
HTTP_PORT = 80
"""The port that a Host header may omit."""
CLOSE_WITHIN_S = 1.0
"""The time limit for open requests when the server stops."""


class SimServer:
    """Serves an exchange until stopped. Everything the exchange does happens in the thread of the server.

    `on_advance` is called about ten times a second with the time: it moves the world, and must call `exchange.advance`.
    An error in it stops the server, and is raised again by `stop` and `serve_forever`.

    With `idle_s` it stops by itself after that many seconds without a request or an open stream; controls do not count.
    """

    def __init__(
        self,
        exchange: SimulatedExchange,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 0,
        on_advance: Callable[[Ts], None] | None = None,
        controls: ControlRoute | None = None,
        spots: SpotVenues | None = None,
        idle_s: float | None = None,
    ) -> None:
        self._exchange = exchange
        self._idle_s = idle_s
        self._users, self._used_at = 0, clock.monotonic()
        self._spots = spots
        self._controls = controls
        self._clock = clock
        self._on_advance = on_advance or exchange.advance
        self._socket = _listening(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._address = f"{host}:{self.port}"
        names = (*LOOPBACK_NAMES, host)
        self._names = frozenset(
            (*(f"{name}:{self.port}" for name in names), *(names if self.port == HTTP_PORT else ()))
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        config = uvicorn.Config(
            self._app,
            ws=_Heartbeat,
            http="h11",
            interface="asgi3",
            proxy_headers=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # the exchange sends the time of its own clock
            ws_ping_interval=PING_EVERY_S,
            ws_ping_timeout=None,
            ws_per_message_deflate=True,  # only for clients that ask for it
            timeout_keep_alive=60,
        )
        self._server = _Prompt(config)

    @property
    def rest_url(self) -> str:
        """Return the URL of the REST API."""
        return f"http://{self._address}{BASE}"

    @property
    def ws_url(self) -> str:
        """Return the URL of the message stream."""
        return f"ws://{self._address}{STREAM_PATH}"

    @property
    def connections(self) -> int:
        """Return the number of open connections, for requests and for streams."""
        return len(self._server.server_state.connections)

    @property
    def ends_in_s(self) -> float | None:
        """Return the seconds until the server stops if it stays unused; None while in use, or if it never stops."""
        if self._idle_s is None or self._users:
            return None
        return max(0.0, self._used_at + self._idle_s - self._clock.monotonic())

    def end(self) -> None:
        """Close the sockets and stop soon; for the thread of the server."""
        self._server.should_exit = True

    def start(self) -> None:
        """Serve from a new thread; return when requests are answered."""
        self._thread = threading.Thread(target=self._run, name="sim-server", daemon=True)
        self._thread.start()
        self._ready.wait(START_WITHIN_S)
        if not self._server.started:
            raise RuntimeError("The simulated exchange did not start") from self._error

    def stop(self) -> None:
        """Close the sockets and end the thread; raise the error of `on_advance`, if any."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._socket.close()
        if self._error is not None:
            raise self._error

    def serve_forever(self, on_ready: Callable[[], None] | None = None) -> None:
        """Serve from this thread until SIGINT or SIGTERM; call `on_ready` when requests are answered."""
        try:
            asyncio.run(self._serve(on_ready))
        finally:
            self._socket.close()
        if self._error is not None:
            raise self._error

    def call(self, what: Callable[[], T]) -> T:
        """Run a function in the thread of the server and return its result. Other threads must use this."""
        if self._loop is None:
            raise RuntimeError("The server is not running")

        async def run() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(CALL_WITHIN_S)

    # -- the thread --

    def _run(self) -> None:
        try:
            asyncio.run(self._serve(None))
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self, on_ready: Callable[[], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        advancing = asyncio.create_task(self._advance(on_ready))
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            advancing.cancel()
            await asyncio.gather(advancing, return_exceptions=True)
            self._loop = None

    async def _advance(self, on_ready: Callable[[], None] | None) -> None:
        while not self._server.started:
            await asyncio.sleep(0.005)
        self._ready.set()
        if on_ready is not None:
            on_ready()
        while True:
            try:
                self._on_advance(self._clock.now())
                if self._spots is not None:
                    self._spots.advance(self._clock.now())
            except Exception as error:
                self._error = error
                self.end()
                return
            if self.ends_in_s == 0:
                self.end()
                return
            await asyncio.sleep(ADVANCE_EVERY_S)

    # -- the sockets --

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_meant(scope):
            prefix = "http.response" if scope["type"] == "http" else "websocket.http.response"
            await _answer(send, Response(MISDIRECTED, {}, _MISDIRECTED), prefix=prefix)
            return
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._http(scope, receive, send)
            return
        self._users += 1
        try:
            await (self._http if scope["type"] == "http" else self._stream)(scope, receive, send)
        finally:
            self._users -= 1
            self._used_at = self._clock.monotonic()

    def _is_meant(self, scope: Scope) -> bool:
        """Return whether a request names this server and does not come from a page of another one.

        A web page can point its own name to this machine: its requests then come from here, with that name.
        """
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._names:
            return False
        return all(value.decode("latin-1").lower().removeprefix("http://") in self._names for value in origins)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part.get("body", b"")
            if len(body) > LARGEST_BODY:
                await _answer(send, Response(413, {}, b""))
                return
            if not part.get("more_body"):
                break
        request = Request(
            method=scope["method"],
            path=scope["raw_path"].decode("ascii"),
            query=parse_qs(scope["query_string"].decode("ascii"), keep_blank_values=True),
            headers=_headers(scope),
            body=body,
        )
        if self._controls is not None and request.path.startswith(PREFIX):
            peer = (scope.get("client") or ("",))[0]
            await _answer(send, self._controls.answer(request, peer, self._clock.now(), self))
            return
        if self._spots is not None and request.path.startswith(SPOT_PREFIX):
            await _answer(send, self._spots.read(request, self._clock.now()))
            return
        response = self._exchange.handle(request, self._clock.now())
        if response.late_ms:
            await asyncio.sleep(response.late_ms / 1000)
        await _answer(send, response)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        path, now = scope["raw_path"].decode("ascii"), self._clock.now()
        answer: Connection | SpotStream | Response
        if self._spots is not None and path.startswith(SPOT_PREFIX):
            answer = self._spots.connect(path, now)
        else:
            answer = self._exchange.connect(_headers(scope), path, now)
        if isinstance(answer, Response):
            await _answer(send, answer, prefix="websocket.http.response")
            return
        await send({"type": "websocket.accept"})
        woken = asyncio.Event()
        answer.wake = woken.set
        sending = asyncio.create_task(_drain(answer, woken, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                answer.receive(message.get("text") or "", self._clock.now())
        finally:
            answer.close()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


class _Prompt(uvicorn.Server):
    """A uvicorn server that stops at once when asked, after its connections are closed.

    uvicorn checks every tenth of a second whether to stop, and waits another tenth for connections: most of the life of
    an exchange that serves one command.
    """

    async def main_loop(self) -> None:
        while not self.should_exit:
            await asyncio.sleep(LOOK_EVERY_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        state, loop = self.server_state, asyncio.get_running_loop()
        for _ in range(ACCEPT_STEPS):
            await asyncio.sleep(0)
        for connection in list(state.connections):
            connection.shutdown()
        until = loop.time() + CLOSE_WITHIN_S
        while (state.connections or state.tasks) and loop.time() < until:
            await asyncio.sleep(LOOK_EVERY_S)
        for task in state.tasks:
            task.cancel()
        for connection in list(state.connections):  # one that takes no answer, or came meanwhile
            connection.transport.abort()


ACCEPT_STEPS = 3
"""Steps of the event loop from an accepted connection to one in the list of uvicorn, which closes only those."""

RESET = "websocket.reset"
"""Our message to the protocol class: end the connection without a close frame."""

GOING_AWAY = 1001


class _Heartbeat(WSProtocol):
    """Sends pings like the exchange: a control frame with `heartbeat`. A missing pong has no effect."""

    async def send(self, message: Any) -> None:
        if message["type"] == RESET:
            self.transport.abort()
            return
        await super().send(message)

    def send_keepalive_ping(self) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(self.conn.send(wsproto.events.Ping(payload=b"heartbeat")))
            self.schedule_ping()


def _listening(host: str, port: int) -> socket.socket:
    """Return a listening socket with its protocol set to TCP.

    asyncio disables Nagle's algorithm only if the protocol number is set. Without that every answer on a reused
    connection waits 40 ms for an acknowledgement.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


async def _drain(connection: Connection | SpotStream, woken: asyncio.Event, send: Send) -> None:
    """Send the messages of the outbox. `send` waits while the socket is full, and the outbox grows meanwhile."""
    while True:
        while connection.outbox:
            await send({"type": "websocket.send", "text": connection.outbox.popleft()})
        if connection.hung_up:
            is_reset = connection.hung_up == "reset"
            await send({"type": RESET} if is_reset else {"type": "websocket.close", "code": GOING_AWAY})
            return
        woken.clear()
        await woken.wait()


async def _answer(send: Send, response: Response, prefix: str = "http.response") -> None:
    headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    headers.append((b"content-length", str(len(response.body)).encode()))
    if response.status == 204:
        headers.pop()
    await send({"type": f"{prefix}.start", "status": response.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": response.body})


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
