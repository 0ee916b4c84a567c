"""The faults of one request between the client and the exchange, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
from support.simulation import Simulation

from kalshi_cli.simulator.serving.in_process_transport import SimTransport

READ_TIMEOUT_S = 5.0
CREATES = ("/portfolio/events/orders", "/portfolio/events/orders/batched")

Answer = Callable[["Wires", httpx.Request], httpx.Response]


class Kind(NamedTuple):
    """A fault. `is_doubtful` says that nobody can know, from the answer alone, whether the request was acted on.

    `rows` are those of the fault matrix in RELIABILITY.md; `verbs` the methods that it is tried on.
    """

    name: str
    rows: str
    answer: Answer
    is_doubtful: bool = True
    verbs: tuple[str, ...] = ("GET", "POST", "PUT", "DELETE")
    is_looked_up: bool = False
    """What follows depends on how the exchange treats ids and how old its reads are."""
    is_replay: bool = False
    """It is for requests that were answered before, and for no others."""

    def hits(self, request: httpx.Request, earlier: httpx.Response | None) -> bool:
        return request.method in self.verbs and not (self.is_replay and earlier is None)


class Attempt(NamedTuple):
    """One request as it left the client. `kind` is the fault that it met, empty where it met none."""

    step: str
    method: str
    path: str
    client_ids: tuple[str, ...]
    kind: str

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


class Wires:
    """Between one client and its exchange: breaks the `nth` request that the fault is for, and remembers them all."""

    def __init__(self, sim: Simulation, kind: Kind | None, nth: int, page: int) -> None:
        self.sim = sim
        self.kind = kind
        self.attempts: list[Attempt] = []
        self.step = ""
        self.fired: Attempt | None = None
        self.was_doubtful = False
        self._nth = nth
        self._page = page
        self._seen = 0
        self._late: list[tuple[float, httpx.Request]] = []
        self._earlier: dict[str, httpx.Response] = {}
        self.cached_until = 0.0
        """Until then (monotonic seconds) a cache answers for the exchange, which nothing reaches."""
        self._exchange = SimTransport(sim.exchange, sim.clock)  # what is sent is held to the wire elsewhere
        sim.wire.before = self.pass_on

    def arm(self, kind: Kind | None) -> None:
        """From now on requests are counted, and the one is hit."""
        self.kind = kind
        self.attempts.clear()

    def pass_on(self, request: httpx.Request) -> httpx.Response:
        """What the client gets for this request; may raise, as a transport does."""
        self.deliver()
        request = _in_small_pages(request, self._page)
        kind = self.kind if self.kind is not None and self.kind.hits(request, self.earlier(request)) else None
        if kind is not None:
            self._seen += 1
        is_hit = kind is not None and (self._seen == self._nth or self.sim.clock.monotonic() < self.cached_until)
        attempt = Attempt(
            self.step, request.method, request.url.path, _client_ids(request), kind.name if kind and is_hit else ""
        )
        self.attempts.append(attempt)
        if kind is None or not is_hit:
            return self.forward(request)
        self.fired, self.was_doubtful = self.fired or attempt, kind.is_doubtful
        return kind.answer(self, request)

    def forward(self, request: httpx.Request) -> httpx.Response:
        response = self._exchange.handle_request(request)
        if request.method == "GET":
            response.read()
            self._earlier[str(request.url)] = response
        return response

    def earlier(self, request: httpx.Request) -> httpx.Response | None:
        """What the same question was answered with before."""
        return self._earlier.get(str(request.url))

    def send_later(self, request: httpx.Request, seconds: float) -> None:
        self._late.append((self.sim.clock.monotonic() + seconds, request))

    def deliver(self) -> None:
        """What is due by now reaches the exchange; nobody hears its answer."""
        due = [request for at, request in self._late if at <= self.sim.clock.monotonic()]
        self._late = [(at, request) for at, request in self._late if at > self.sim.clock.monotonic()]
        for request in due:
            self._exchange.handle_request(request)


def _in_small_pages(request: httpx.Request, page: int) -> httpx.Request:
    """Lists of the account come in pages of a few, so that a short session has many of them."""
    if not request.url.path.startswith("/trade-api/v2/portfolio/") or "limit" not in request.url.params:
        return request
    return httpx.Request(
        request.method, request.url.copy_set_param("limit", page), headers=request.headers,
        extensions=request.extensions,
    )  # fmt: skip


def _client_ids(request: httpx.Request) -> tuple[str, ...]:
    """The orders that a request would make."""
    path = request.url.path.removeprefix("/trade-api/v2")
    if request.method != "POST" or path not in CREATES:
        return ()
    body = json.loads(request.read())
    return tuple(order["client_order_id"] for order in body.get("orders", [body]))


# -- how an answer goes wrong ----------------------------------------------------------------------------------------


def _page(request: httpx.Request, status: int, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.Response(status, headers=named, content=body, request=request)


def _error(code: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": code.replace("_", " ")}}).encode()


def _lost(wires: Wires, request: httpx.Request, *, is_forwarded: bool, hangs: bool) -> httpx.Response:
    if is_forwarded:
        wires.forward(request)
    if hangs:
        wires.sim.clock.advance(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("no answer", request=request)
    raise httpx.RemoteProtocolError("server disconnected without sending a response", request=request)


def lost(*, is_forwarded: bool, hangs: bool) -> Answer:
    return lambda wires, request: _lost(wires, request, is_forwarded=is_forwarded, hangs=hangs)


def reset(wires: Wires, request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("connection reset by peer", request=request)


def refuse(wires: Wires, request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


def late(seconds: float) -> Answer:
    def answer(wires: Wires, request: httpx.Request) -> httpx.Response:
        wires.send_later(request, seconds)
        raise httpx.RemoteProtocolError("server disconnected without sending a response", request=request)

    return answer


def twice(which: int) -> Answer:
    def answer(wires: Wires, request: httpx.Request) -> httpx.Response:
        return (wires.forward(request), wires.forward(request))[which]

    return answer


def status(number: int, code: str, *, is_forwarded: bool = False, **headers: str) -> Answer:
    def answer(wires: Wires, request: httpx.Request) -> httpx.Response:
        if is_forwarded:
            wires.forward(request)
        return _page(request, number, _error(code), **headers)

    return answer


def instead(body: bytes) -> Answer:
    """The exchange acts, and something else comes back with the status of success."""

    def answer(wires: Wires, request: httpx.Request) -> httpx.Response:
        return _page(request, wires.forward(request).status_code, body)

    return answer


def page_alone(body: bytes) -> Answer:
    """A portal on the way answers 200; the exchange never hears of it."""
    return lambda _wires, request: _page(request, 200, body)


class _Half(httpx.SyncByteStream):
    """Half of a body, then the end of the connection."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


def truncate(wires: Wires, request: httpx.Request) -> httpx.Response:
    whole = wires.forward(request)
    return httpx.Response(whole.status_code, stream=_Half(whole.read()), request=request)


def cut_short(wires: Wires, request: httpx.Request) -> httpx.Response:
    """As `truncate`, by a proxy that makes the length fit."""
    whole = wires.forward(request)
    body = whole.read()
    return _page(request, whole.status_code, body[: len(body) // 2])


def slow(wires: Wires, request: httpx.Request) -> httpx.Response:
    answer = wires.forward(request)
    wires.sim.clock.advance(4.0)
    return answer


def too_slow(wires: Wires, request: httpx.Request) -> httpx.Response:
    """A byte now and then, until the call's own time is over."""
    wires.forward(request)
    wires.sim.clock.advance(max(0.0, request.extensions["deadline"] - wires.sim.clock.monotonic()))
    raise httpx.ReadTimeout("the request exceeded its time limit", request=request)


def stale(wires: Wires, request: httpx.Request) -> httpx.Response:
    before = wires.earlier(request)
    answer = wires.forward(request)
    return answer if before is None else _page(request, answer.status_code, before.content)


def replay(wires: Wires, request: httpx.Request) -> httpx.Response:
    """A cache on the way answers what it was answered before, with its headers; the exchange never hears of it."""
    before = wires.earlier(request)
    assert before is not None, "only such requests are hit"
    return httpx.Response(before.status_code, headers=before.headers, content=before.content, request=request)


def another_order(wires: Wires, request: httpx.Request) -> httpx.Response:
    """The answer is about an order of somebody else's (the exchange did that in May 2026)."""
    answer = wires.forward(request)
    body = json.loads(answer.read() or b"null")
    return _page(request, answer.status_code, json.dumps(_renamed(body)).encode())


def _renamed(body: Any) -> Any:
    if isinstance(body, list):
        return [_renamed(each) for each in body]
    if not isinstance(body, dict):
        return body
    other = {"order_id": "ffffffff-0000-4000-8000-000000000000", "client_order_id": "somebody-elses"}
    return {key: other[key] if key in other and value else _renamed(value) for key, value in body.items()}


def stale_if_error(seconds: float) -> Answer:
    """For so long nothing reaches the exchange: reads are answered from a cache that has them, all else fails."""

    def answer(wires: Wires, request: httpx.Request) -> httpx.Response:
        now = wires.sim.clock.monotonic()
        wires.cached_until = wires.cached_until if now < wires.cached_until else now + seconds
        if wires.earlier(request) is None:
            return _page(request, 503, b"<html>the origin is not reached</html>")
        return replay(wires, request)

    return answer


def repeat_cursor(wires: Wires, request: httpx.Request) -> httpx.Response:
    """A list that says that the page just read comes next."""
    answer = wires.forward(request)
    body = json.loads(answer.read() or b"null")
    if not isinstance(body, dict) or "cursor" not in request.url.params:
        return answer
    return _page(request, answer.status_code, json.dumps(body | {"cursor": request.url.params["cursor"]}).encode())


_HTML = b"<html><body>Sign in to the network</body></html>"
_WRITES = ("POST", "PUT", "DELETE")
_READS = ("GET",)

KINDS = (
    Kind("drop_reply close", "F01 F11 F20", lost(is_forwarded=True, hangs=False), is_looked_up=True),
    Kind("drop_reply hang", "F02 F20 F42", lost(is_forwarded=True, hangs=True), is_looked_up=True),
    Kind("hang", "F02 F42", lost(is_forwarded=False, hangs=True), is_looked_up=True),
    Kind("drop_request", "F03 F11", lost(is_forwarded=False, hangs=False), verbs=_WRITES, is_looked_up=True),
    Kind("reset_before", "F03", reset, is_looked_up=True),
    Kind("refuse", "F03", refuse, is_doubtful=False),
    Kind("late 0.2 s", "F04", late(0.2), verbs=_WRITES, is_looked_up=True),
    Kind("late 1 s", "F04", late(1.0), verbs=_WRITES, is_looked_up=True),
    Kind("late 5 s", "F04", late(5.0), verbs=_WRITES, is_looked_up=True),
    Kind("late 25 s", "F04", late(25.0), verbs=_WRITES, is_looked_up=True),
    Kind("duplicate first", "F09", twice(0), is_doubtful=False, verbs=_WRITES, is_looked_up=True),
    Kind("duplicate second", "F08 F09", twice(1), verbs=_WRITES, is_looked_up=True),
    Kind("429", "F06", status(429, "too_many_requests"), is_doubtful=False),
    Kind("429 retry-after", "F06", status(429, "too_many_requests", retry_after="2"), is_doubtful=False),
    Kind("500", "F05", status(500, "internal_server_error"), is_looked_up=True),
    Kind(
        "500 forwarded",
        "F05",
        status(500, "internal_server_error", is_forwarded=True),
        verbs=_WRITES,
        is_looked_up=True,
    ),
    Kind("502", "F05", status(502, "bad_gateway"), verbs=_WRITES),
    Kind("502 forwarded", "F05", status(502, "bad_gateway", is_forwarded=True), verbs=_WRITES),
    Kind("503", "F05", status(503, "service_unavailable"), verbs=_WRITES),
    Kind("503 forwarded", "F05", status(503, "service_unavailable", is_forwarded=True), verbs=_WRITES),
    Kind("504", "F05", status(504, "gateway_timeout"), verbs=_WRITES),
    Kind("504 forwarded", "F05", status(504, "gateway_timeout", is_forwarded=True), verbs=_WRITES),
    Kind("garbage", "F07", instead(b"\x00\xff garbage")),
    Kind("truncate", "F07", truncate, is_looked_up=True),
    Kind("cut short", "F07", cut_short),
    Kind("html 200", "F07", page_alone(_HTML)),
    Kind("html 200 forwarded", "F07", instead(_HTML), verbs=_WRITES),
    Kind("soft error", "F07", page_alone(_error("something_went_wrong"))),
    Kind("soft error forwarded", "F07", instead(_error("something_went_wrong")), verbs=_WRITES),
    Kind("empty object", "F07", instead(b"{}"), verbs=_WRITES, is_looked_up=True),
    Kind("another order", "F21", another_order, verbs=_WRITES, is_looked_up=True),
    Kind("slow", "F42", slow, is_doubtful=False),
    Kind("too slow", "F42", too_slow, is_looked_up=True),
    Kind("stale", "F20 F40", stale, verbs=_READS),
    Kind("replay", "F40", replay, verbs=_READS, is_replay=True),
    Kind("replay all 20 s", "F40 F43", stale_if_error(20.0)),
    Kind("repeated cursor", "F39", repeat_cursor, verbs=_READS),
    Kind("409", "F08", status(409, "order_already_exists"), verbs=_WRITES, is_looked_up=True),
    Kind(
        "409 forwarded", "F08", status(409, "order_already_exists", is_forwarded=True), verbs=_WRITES, is_looked_up=True
    ),
    Kind("401", "F51", status(401, "authentication_error"), is_doubtful=False),
)
