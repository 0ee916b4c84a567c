"""A signature made ahead is used once, while it is young, and only while the clocks are beyond doubt."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st
from support.scripted_server import DROP, NOW, Reply, ScriptedServer

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import HaltedError, OutcomeUnknownError
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import MAX_AGE_S, NEVER, READY, RENEW_S, ReadySignatures, SignedHeaders, Signer

KEY = Ed25519PrivateKey.generate()
PATH = "/trade-api/v2/portfolio/events/orders"
ORDER = Order(
    client_order_id="11111111-2222-4333-8444-555555555555", ticker="KXTEST-26NOV20-T1.5", side=BID, price=Price(4700),
    qty=Qty(1000), status=OrderStatus.SUBMITTED, created=NOW, updated=NOW,
)  # fmt: skip
CREATED = json.dumps({"order_id": "o", "fill_count": "0.00", "remaining_count": "10.00", "ts_ms": NOW})


class SetClock(ManualClock):
    """A clock whose wall time can be set without the monotonic one."""

    def step(self, ms: int) -> None:
        self._now_ms += ms


class Setting:
    """Ready signatures, each with a number, and what is known of the exchange's clock."""

    def __init__(self) -> None:
        self.clock = SetClock(NOW)
        self.made_at: list[float] = []
        self.set_by_ms = 0
        self.set_by_then: list[int] = []
        self.skew_ms: int | None = 0
        self.ready = ReadySignatures(self.clock, self.sign, lambda: self.skew_ms)

    def sign(self) -> SignedHeaders:
        self.made_at.append(self.clock.monotonic())
        self.set_by_then.append(self.set_by_ms)
        return SignedHeaders(self.clock.now(), ((b"NUMBER", b"%d" % (len(self.made_at) - 1)),))

    def take(self) -> int | None:
        """The number of the signature that was taken."""
        signed, until_s = self.ready.take()
        if signed is None:
            assert until_s == NEVER
            return None
        number = int(signed.headers[0][1])
        assert until_s == self.made_at[number] + MAX_AGE_S
        return number

    def step(self, ms: int) -> None:
        self.clock.step(ms)
        self.set_by_ms += ms


ACTIONS = st.one_of(
    st.tuples(st.just("make"), st.none()),
    st.tuples(st.just("take"), st.none()),
    st.tuples(st.just("advance"), st.sampled_from((0.0, 0.3, 0.999, 1.0, 1.999, 2.0, 5.0, 3600.0))),
    st.tuples(st.just("step"), st.sampled_from((-3_600_000, -2_500, -101, 101, 1_000, 1_999, 2_500, 3_600_000))),
    st.tuples(st.just("skew"), st.sampled_from((None, 0, 999, 1_000, 1_001, 9_999_999))),
)


@given(st.lists(ACTIONS, max_size=40))
@example([("make", None), ("advance", 2.0), ("take", None)])
@example([("make", None), ("step", 1_000), ("take", None)])
@example([("make", None), ("skew", 1_001), ("take", None)])
@example([("skew", None), ("make", None), ("take", None)])
def test_a_signature_is_used_once_young_and_with_clocks_in_step(actions: list[tuple[str, Any]]) -> None:
    setting, used = Setting(), []
    for action, value in actions:
        if action == "make":
            setting.ready.make()
        elif action == "advance":
            setting.clock.advance(value)
        elif action == "step":
            setting.step(value)
        elif action == "skew":
            setting.skew_ms = value
        elif (number := setting.take()) is not None:
            used.append(number)
            since = setting.made_at[number]
            assert setting.clock.monotonic() - since < 2.0
            assert setting.skew_ms is not None
            assert setting.skew_ms <= 1_000
            assert setting.set_by_ms == setting.set_by_then[number], "no clock was set since it was made"
    assert len(used) == len(set(used))


def test_while_idle_a_few_are_made_one_by_one_and_renewed() -> None:
    setting = Setting()
    assert [setting.ready.make() for _ in range(READY)] == [0.0] * READY
    assert setting.ready.make() == RENEW_S
    assert len(setting.made_at) == READY
    setting.clock.advance(RENEW_S)
    while setting.ready.make() == RENEW_S:
        pass
    assert len(setting.made_at) == 2 * READY
    assert [setting.take() for _ in range(READY + 1)] == [READY, READY + 1, READY + 2, None]


def test_a_step_back_and_forth_again_of_a_second_is_noticed_in_between() -> None:
    setting = Setting()
    setting.ready.make()
    setting.clock.step(-150)
    assert setting.take() is None
    setting.clock.step(150)
    assert setting.take() is None, "it was thrown away"


# -- through a client -------------------------------------------------------------------------------------------------


def dated(body: str, clock: ManualClock, status: int = 201, ahead_s: float = 0.0) -> Reply:
    return Reply(status, body, {"Date": formatdate(clock.now() // 1000 + ahead_s, usegmt=True)})


Connect = Callable[..., KalshiClient]
Serve = Callable[..., ScriptedServer]


@pytest.fixture
def clock() -> ManualClock:
    """Within a second, whose date the exchange sends: its clock is known to 0.6 s."""
    return SetClock(Ts(NOW // 1000 * 1000 + 400))


def ready_client(connect: Connect, server: ScriptedServer, clock: ManualClock, **more: object) -> KalshiClient:
    """A client that knows the exchange's clock and has signatures ready, of now; a second passes then."""
    client = connect(server.url, signer=Signer("key-id", KEY, clock), presign=True, **more)
    client.balance()
    while client.sign_ahead() <= clock.monotonic():
        pass
    clock.advance(0.5)
    return client


def sent(server: ScriptedServer) -> list[tuple[int, str]]:
    """The time and the signature of each POST, which must be valid."""
    found = []
    for seen in server.seen:
        if seen.method == "POST":
            headers = {name.lower(): value for name, value in seen.headers.items()}
            ts, signature = headers["kalshi-access-timestamp"], headers["kalshi-access-signature"]
            KEY.public_key().verify(base64.b64decode(signature), f"{ts}POST{seen.target}".encode())
            found.append((int(ts), signature))
    return found


BALANCE = json.dumps({"balance": 1, "balance_dollars": "0.0100", "portfolio_value": 0, "updated_ts": 1})


def test_creates_take_the_ready_signatures_one_each_and_then_sign_themselves(serve: Serve, connect: Connect, clock):
    begun = clock.now()
    server = serve(dated(BALANCE, clock, 200), *[dated(CREATED, clock)] * (READY + 1))
    client = ready_client(connect, server, clock)
    for _ in range(READY + 1):
        client.create_order(ORDER)
    assert [ts for ts, _ in sent(server)] == [begun] * READY + [begun + 500]
    assert len({each.headers["kalshi-access-signature"] for each in server.seen}) == len(server.seen) - READY + 1


def test_a_create_without_presign_is_signed_as_it_leaves(serve: Serve, connect: Connect, clock):
    server = serve(dated(BALANCE, clock, 200), dated(CREATED, clock))
    client = connect(server.url, signer=Signer("key-id", KEY, clock))
    client.balance()
    assert client.sign_ahead() == NEVER
    clock.advance(0.5)
    client.create_order(ORDER)
    assert [ts for ts, _ in sent(server)] == [clock.now()]


def test_only_a_create_takes_one(serve: Serve, connect: Connect, clock):
    server = serve(dated(BALANCE, clock, 200), dated("{}", clock), dated(CREATED, clock))
    client = ready_client(connect, server, clock)
    client.create_orders([ORDER])
    client.create_order(ORDER)
    assert [ts for ts, _ in sent(server)] == [clock.now(), clock.now() - 500]


@pytest.mark.parametrize("ms", [-3_600_000, -1_500, 1_500, 3_600_000])
def test_after_the_clock_was_set_a_create_is_signed_as_it_leaves(serve: Serve, connect: Connect, clock, ms: int):
    server = serve(dated(BALANCE, clock, 200), dated(CREATED, clock))
    client = ready_client(connect, server, clock)
    clock.step(ms)
    client.create_order(ORDER)
    assert [ts for ts, _ in sent(server)] == [clock.now()]
    assert client.sign_ahead() == clock.monotonic() + RENEW_S, "out of step, nothing is signed ahead"


@pytest.mark.parametrize("reply", ["none", "ahead"])
def test_without_certainty_about_the_exchange_s_clock_nothing_is_signed_ahead(
    serve: Serve, connect: Connect, clock, reply: str
):
    first = Reply(200, BALANCE) if reply == "none" else dated(BALANCE, clock, 200, ahead_s=2)
    server = serve(first, dated(CREATED, clock))
    client = ready_client(connect, server, clock)
    client.create_order(ORDER)
    assert [ts for ts, _ in sent(server)] == [clock.now()]


def test_a_signature_that_became_old_while_it_connected_is_not_sent(
    serve: Serve, connect: Connect, clock, monkeypatch: pytest.MonkeyPatch
):
    server = serve(dated(BALANCE, clock, 200), dated(CREATED, clock))
    client = ready_client(connect, server, clock)
    open_connection = socket.create_connection

    def connect_slowly(*words: Any, **more: Any) -> socket.socket:
        if clock.monotonic() < 2.0:
            clock.advance(1.6)
        return open_connection(*words, **more)

    client._rest.close()  # its idle connection is gone
    monkeypatch.setattr(socket, "create_connection", connect_slowly)
    client.create_order(ORDER)
    ((ts, _),) = sent(server)
    assert clock.now() - ts < 2_000


def test_a_halt_is_still_asked_for_before_the_first_byte(serve: Serve, connect: Connect, clock):
    asked = []

    def refuse(_reviewed: object) -> None:
        asked.append(clock.now())
        if len(asked) == 2:  # the first is before the attempt, the second before the first byte
            raise HaltedError("halted")

    server = serve(dated(BALANCE, clock, 200), dated(CREATED, clock))
    client = ready_client(connect, server, clock, before_create=refuse)
    with pytest.raises(HaltedError):
        client.create_order(ORDER)
    assert sent(server) == []


def test_a_refusal_for_pace_is_sent_again_with_another_signature(serve: Serve, connect: Connect, clock):
    busy = '{"error":{"code":"too_many_requests","message":"too many requests"}}'
    server = serve(dated(BALANCE, clock, 200), dated(busy, clock, 429), dated(CREATED, clock))
    client = ready_client(connect, server, clock)
    client.create_order(ORDER)
    times = sent(server)
    assert len(times) == 2


def test_a_lost_answer_is_not_sent_again(serve: Serve, connect: Connect, clock):
    server = serve(dated(BALANCE, clock, 200), DROP, dated(CREATED, clock))
    client = ready_client(connect, server, clock)
    with pytest.raises(OutcomeUnknownError):
        client.create_order(ORDER)
    assert server.count("POST") == 1
