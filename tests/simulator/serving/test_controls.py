"""The controls of the simulated exchange: in the process, over the loopback route, and what they do to sockets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import msgspec
import pytest
import websocket
from support.exchange import T0, new_ids, signed
from support.exchange import make_exchange as small_exchange
from support.served import NO_TLS, eventually

from kalshi_cli.base.clock import ManualClock, ShiftedClock
from kalshi_cli.base.units import Qty, contracts, dollars, parse_ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.simulator.exchange import STREAM_PATH, SimulatedExchange
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import ExchangeOptions, NewOrder, OrderReceipt
from kalshi_cli.simulator.protocol.replies import Request
from kalshi_cli.simulator.serving.control_route import ControlRoute
from kalshi_cli.simulator.serving.controls import ControlError, ControlReport, Controls, read_command
from kalshi_cli.simulator.serving.server import SimServer
from kalshi_cli.simulator.world.world import MarketSimulation

START = parse_ts("2026-11-21T19:20:00Z")
HOUR_MS = 3_600_000


@cache
def begun() -> dict[str, bytes]:
    """What the journal of a world holds after its first minute: to begin there takes a fifth of the time."""
    journal, ids = MemoryJournal(), new_ids()
    exchange = SimulatedExchange(new_id=lambda: next(ids), journal=journal)
    exchange.restore()
    MarketSimulation(exchange, seed=7, start=START).ensure_open(START)
    exchange.advance(START)
    return journal.items


class Upright:
    """A world with its exchange, on a clock that only the controls move."""

    def __init__(self, options: ExchangeOptions | None = None) -> None:
        ids = new_ids(1_000_000)
        self.offset_ms = 0
        self.machine = ManualClock(START)
        self.clock = ShiftedClock(self.machine, lambda: self.offset_ms)
        journal = MemoryJournal()
        journal.items = {} if options else dict(begun())
        self.exchange = SimulatedExchange(
            new_id=lambda: next(ids), options=options, journal=journal, offset_ms=lambda: self.offset_ms
        )
        self.exchange.restore()
        self.world = MarketSimulation(self.exchange, seed=7, start=START)
        self.world.ensure_open(START)
        self.exchange.add_account("user", dollars(1_000))
        self.controls = Controls(self.exchange, self.world, lambda: self.offset_ms, self.shift)

    def shift(self, offset_ms: int) -> None:
        self.offset_ms = offset_ms

    def do(self, name: str, **fields: Any) -> ControlReport:
        return self.controls.perform(read_command(name, msgspec.json.encode(fields)), self.clock.now())

    def pass_time(self, seconds: float) -> None:
        self.machine.advance(seconds)
        self.world.advance(self.clock.now())

    def wait(self, seconds: float) -> None:
        """Pass time for the exchange, where nobody trades meanwhile: a second of the world takes 30 ms."""
        self.machine.advance(seconds)
        self.exchange.advance(self.clock.now())


@pytest.fixture
def one() -> Upright:
    return Upright()


@pytest.fixture(scope="module")
def untouched() -> Upright:
    """For what must change nothing: one is enough."""
    return Upright()


def some(one: Upright, series: str = "KXBTCD") -> str:
    return next(ticker for ticker in sorted(one.exchange.tickers()) if ticker.startswith(series))


# -- what they do --


def test_looking_changes_nothing_and_says_how_things_stand(one: Upright) -> None:
    report = one.do("status")
    assert (report.done, report.pause, report.offset_ms, report.shuffle) == ("", "", 0, None)
    assert report.markets == len(one.exchange.tickers()) >= 40
    assert one.do("status") == report


def test_pauses_come_and_go(one: Upright) -> None:
    assert one.do("pause").pause == "trading"
    assert one.do("pause", is_whole=True, for_ms=5_000).resumes == START + 5_000
    one.pass_time(6)
    assert one.do("status").pause == ""
    ticker = some(one)
    assert one.do("pause", ticker=ticker).inactive == (ticker,)
    assert one.do("resume").inactive == (ticker,), "a market that was paused by itself stays so"
    assert one.do("resume", ticker=ticker).inactive == ()


def test_a_clock_set_forward_leaves_nothing_undone(one: Upright) -> None:
    """Recorded in review: three hours on, closed markets with a timer of 30 s were still determined."""
    closing = [t for t in one.exchange.tickers() if one.exchange.close_time(t) <= START + 3 * HOUR_MS - 61_000]
    one.do("clock", forward_ms=3 * HOUR_MS)
    assert closing
    left = set(one.exchange.tickers(""))
    assert {one.exchange.status(t) for t in closing if t in left} <= {MarketStatus.FINALIZED}
    assert one.exchange.tickers("determined") == []


def test_a_shard_is_paused_by_itself_if_there_is_one() -> None:
    one = Upright(ExchangeOptions(shards=3))
    assert one.do("pause", shard=2).shards == {2: "trading"}
    assert one.do("resume", shard=2).shards == {}
    with pytest.raises(ControlError, match="No shard 3"):
        one.do("pause", shard=3)


def test_a_market_is_closed_disputed_amended_and_paid(one: Upright) -> None:
    ticker = some(one, "KXHIGHNY")
    one.do("close", ticker=ticker)
    one.pass_time(5)
    assert one.exchange.status(ticker) is MarketStatus.CLOSED, "its own close is hours away: nobody decides it"
    one.do("settle", ticker=ticker, value="yes")
    assert one.do("dispute", ticker=ticker).disputed == (ticker,)
    assert "pays $0.63" in one.do("amend", ticker=ticker, value="0.63").done
    one.wait(61)
    assert one.exchange.status(ticker) is MarketStatus.FINALIZED
    for again in ("settle", "amend"):
        with pytest.raises(ControlError) as refused:
            one.do(again, ticker=ticker, value="no")
        assert refused.value.code == "conflict"


def test_a_market_that_was_closed_early_is_decided_when_it_would_have_closed(one: Upright) -> None:
    ticker = some(one)
    one.do("close", ticker=ticker)
    one.do("clock", to=parse_ts("2026-11-21T20:00:05Z"))
    one.wait(40)
    assert one.exchange.status(ticker) is MarketStatus.FINALIZED


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("dance", {}, "invalid"),
        ("close", {}, "invalid"),
        ("close", {"ticker": "NOTHING"}, "not_found"),
        ("close", {"ticker": "X" * 101}, "invalid"),
        ("dispute", {"ticker": "first"}, "conflict"),
        ("amend", {"ticker": "first", "value": "no"}, "conflict"),
        ("settle", {"ticker": "first", "value": "0.635"}, "invalid"),
        ("settle", {"ticker": "first", "value": "1.01"}, "invalid"),
        ("settle", {"ticker": "first", "value": "101c"}, "invalid"),
        ("settle", {"ticker": "first", "value": "37.5c"}, "invalid"),
        ("settle", {"ticker": "first", "value": "maybe"}, "invalid"),
        ("pause", {"for_ms": 0}, "invalid"),
        ("pause", {"ticker": "first", "is_whole": True}, "invalid"),
        ("pause", {"colour": "red"}, "invalid"),
        ("resume", {"ticker": "first"}, "conflict"),
        ("clock", {"forward_ms": -1}, "invalid"),
        ("clock", {"forward_ms": 367 * 24 * HOUR_MS}, "invalid"),
        ("clock", {"to": START}, "conflict"),
        ("clock", {"to": START + 1, "forward_ms": 1}, "invalid"),
        ("clock", {"to": START * 2}, "invalid"),
        ("shuffle", {"seed": -1}, "invalid"),
        ("stream", {}, "invalid"),
        ("stream", {"hang_up": "reset", "error": 10}, "invalid"),
        ("stream", {"error": 9}, "invalid"),
        ("stream", {"error": 10, "channel": "gossip"}, "invalid"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    untouched: Upright, name: str, fields: dict[str, Any], code: str
) -> None:
    one = untouched
    fields = {key: some(one) if value == "first" else value for key, value in fields.items()}
    before = one.do("status")
    with pytest.raises(ControlError) as refused:
        one.do(name, **fields)
    assert refused.value.code == code
    assert one.do("status") == before


# -- the clock --


def test_the_clock_goes_forward_and_markets_close_settle_and_open(one: Upright) -> None:
    old = set(one.exchange.tickers())
    hourly = [ticker for ticker in sorted(old) if ticker.startswith("KXBTCD")]
    ticker = next(ticker for ticker in hourly if one.exchange.top(ticker)[1] is not None)
    ask = one.exchange.top(ticker)[1]
    assert ask is not None
    order = NewOrder(ticker=ticker, side=BID, price=ask[0], qty=contracts(1))
    assert isinstance(one.exchange.submit("user", order, START), OrderReceipt)
    assert one.exchange.position("user", ticker) == contracts(1)
    report = one.do("clock", forward_ms=2 * HOUR_MS)
    assert (report.time, report.offset_ms) == (START + 2 * HOUR_MS, 2 * HOUR_MS)
    one.wait(61)
    assert one.exchange.position("user", ticker) == Qty(0), "it was paid"
    assert one.exchange.status(ticker) is MarketStatus.FINALIZED
    one.pass_time(121)  # a gap that the world takes in one step
    assert not one.exchange.tickers("closed")
    assert len(set(one.exchange.tickers()) - old) >= 20, "the hours after have markets of their own"
    assert one.do("clock", forward_ms=HOUR_MS).offset_ms == 3 * HOUR_MS


def test_the_clock_set_back_undoes_nothing_and_the_world_goes_on(one: Upright) -> None:
    ticker = some(one)
    one.do("clock", forward_ms=2 * HOUR_MS)
    one.pass_time(5)
    later = set(one.exchange.tickers())
    report = one.do("clock")
    assert (report.time, report.offset_ms) == (START + 5_000, 0)
    assert one.exchange.status(ticker) is MarketStatus.FINALIZED
    trading = one.exchange.tickers()
    assert trading
    assert all(one.exchange.status(name) is MarketStatus.INITIALIZED for name in later - set(trading))
    before = {order_id for order_id, *_ in one.exchange.resting("maker-1")}
    one.pass_time(65)  # a whole minute, at which markets are listed
    after = {name: {order_id for order_id, *_ in one.exchange.resting("maker-1", name)} for name in trading}
    renewed = [name for name, orders in after.items() if orders - before]
    assert len(renewed) > len(trading) / 2, "makers do not wait for the time they came from"
    assert any(name.startswith("KXQUICK") for name in one.exchange.tickers()), "and lists what comes"


# -- the route --


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Upright, SimServer]]:
    one = Upright()
    route = ControlRoute(one.controls, "secret")
    server = SimServer(one.exchange, one.clock, on_advance=one.world.advance, controls=route)
    server.start()
    yield one, server
    server.stop()


def ask(server: SimServer, name: str, token: str = "secret", method: str = "POST", **fields: Any) -> httpx.Response:
    url = server.rest_url.removesuffix("/trade-api/v2") + f"/sim/{name}"
    return httpx.request(method, url, json=fields, headers={"authorization": f"Bearer {token}"}, verify=NO_TLS)


def test_the_route_does_what_the_controls_do(served: tuple[Upright, SimServer]) -> None:
    _, server = served
    answer = ask(server, "pause", is_whole=True)
    assert (answer.status_code, answer.json()["pause"]) == (200, "exchange")
    status = httpx.get(f"{server.rest_url}/exchange/status", verify=NO_TLS).json()
    assert not status["exchange_active"]
    assert (
        msgspec.json.decode(ask(server, "clock", forward_ms=HOUR_MS).content, type=ControlReport).offset_ms == HOUR_MS
    )
    assert ask(server, "resume").json()["pause"] == ""


@pytest.mark.parametrize(
    ("name", "token", "method", "status"),
    [
        ("pause", "guess", "POST", 401),
        ("pause", "secret", "GET", 400),
        ("dance", "secret", "POST", 400),
        ("", "secret", "POST", 400),
    ],
)
def test_without_the_token_or_a_known_command_nothing_happens(
    served: tuple[Upright, SimServer], name: str, token: str, method: str, status: int
) -> None:
    _, server = served
    answer = ask(server, name, token, method)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert ask(server, "status").json()["pause"] == ""


def test_a_stop_ends_the_server_unless_others_are_connected(untouched: Upright) -> None:
    server = SimServer(untouched.exchange, untouched.clock, controls=ControlRoute(untouched.controls, "secret"))
    server.start()
    try:
        with httpx.Client(verify=NO_TLS) as other:
            other.get(f"{server.rest_url}/exchange/status")
            refused = ask(server, "stop")
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
            assert ask(server, "status").json()["connections"] == 1
        assert ask(server, "stop", token="guess").status_code == 401
        eventually(lambda: ask(server, "stop").status_code == 200)
        eventually(lambda: not answers(server))
    finally:
        server.stop()


def answers(server: SimServer) -> bool:
    try:
        return httpx.get(f"{server.rest_url}/exchange/status", verify=NO_TLS).status_code == 200
    except httpx.TransportError:
        return False


def test_from_another_machine_even_the_token_does_not_help(
    untouched: Upright, served: tuple[Upright, SimServer]
) -> None:
    _, server = served
    route = ControlRoute(untouched.controls, "secret")
    request = Request("POST", "/sim/status", headers={"authorization": "Bearer secret"})
    assert route.answer(request, "192.0.2.7", START, server).status == 403
    assert route.answer(request, "127.0.0.1", START, server).status == 200
    assert (
        ControlRoute(untouched.controls, "")
        .answer(Request("POST", "/sim/pause", headers={"authorization": "Bearer "}), "127.0.0.1", START, server)
        .status
        == 401
    )


@pytest.mark.parametrize("body", [b'{"forward_ms":10800000}', b"{}"])
def test_the_end_of_an_unused_server_is_in_the_machines_time_whatever_the_clock_does(body: bytes) -> None:
    one = Upright()
    one.do("clock", forward_ms=3_600_000)
    route = ControlRoute(one.controls, "secret")
    server = SimServer(one.exchange, one.clock, controls=route, idle_s=60)
    server.start()
    request = Request("POST", "/sim/clock", headers={"authorization": "Bearer secret"}, body=body)
    try:
        reply = server.call(lambda: route.answer(request, "127.0.0.1", one.clock.now(), server))
    finally:
        server.stop()
    assert reply.status == 200, reply.body
    assert msgspec.json.decode(reply.body)["ends"] == one.machine.now() + 60_000


def test_an_exchange_without_controls_has_no_such_route() -> None:
    server = SimServer(small_exchange(), ManualClock(T0))
    server.start()
    try:
        assert ask(server, "pause").status_code == 404
    finally:
        server.stop()


# -- sockets --


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_stream_is_ended_with_a_close_frame_or_without(how: str) -> None:
    exchange = small_exchange()
    server = SimServer(exchange, ManualClock(T0))
    server.start()
    try:
        stream = websocket.create_connection(server.ws_url, header=signed("alice", "GET", STREAM_PATH, T0), timeout=30)
        assert server.call(lambda: exchange.streams) == 1
        assert server.call(lambda: exchange.hang_up(how)) == 1
        if how == "close":
            opcode, frame = stream.recv_data_frame()
            assert (opcode, int.from_bytes(frame.data[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1001)
        else:
            with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionResetError)):
                stream.recv_data_frame()
        stream.shutdown()
        assert server.call(lambda: exchange.streams) == 0
    finally:
        server.stop()


def test_a_client_that_asks_for_compression_gets_it() -> None:
    server = SimServer(small_exchange(), ManualClock(T0))
    server.start()
    try:
        headers = {**signed("alice", "GET", STREAM_PATH, T0), "Sec-WebSocket-Extensions": "permessage-deflate"}
        stream = websocket.create_connection(server.ws_url, header=headers, timeout=30)
        assert "permessage-deflate" in stream.getheaders()["sec-websocket-extensions"]  # type: ignore[index]
        stream.shutdown()
        plain = websocket.create_connection(server.ws_url, header=signed("alice", "GET", STREAM_PATH, T0), timeout=30)
        assert "sec-websocket-extensions" not in plain.getheaders()  # type: ignore[operator]
        plain.shutdown()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("typed", "value"), [("0.29", "0.2900"), ("29c", "0.2900"), ("0c", "0.0000"), ("NO", "0.0000")]
)
def test_a_price_of_a_settlement_is_read_exactly(typed: str, value: str) -> None:
    one = Upright()
    ticker = some(one)
    one.do("settle", ticker=ticker, value=typed)
    quoted = one.exchange.handle(Request("GET", f"/trade-api/v2/markets/{ticker}"), START)
    market = msgspec.json.decode(quoted.body)["market"]
    assert (market["settlement_value_dollars"], market["result"]) == (value, "scalar" if "29" in typed else "no")
