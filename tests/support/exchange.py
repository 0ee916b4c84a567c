"""An exchange to test: one market, two users with real keys, ids that count."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kalshi_cli.base.units import Money, Ts, dollars, parse_price, parse_qty
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.simulator.exchange import STREAM_PATH, SimulatedExchange
from kalshi_cli.simulator.model.journal import ExchangeJournal, MemoryJournal
from kalshi_cli.simulator.model.listing import (
    EventSpec,
    ExchangeOptions,
    MarketSpec,
    NewOrder,
    OrderReceipt,
    SeriesSpec,
)
from kalshi_cli.simulator.protocol.replies import Request
from kalshi_cli.simulator.stream.connection import Connection
from support.specification import SPECS, check_frame, check_request, check_response

T0 = Ts(1_780_000_000_000)
DAY = 86_400_000
TICKER = "KXSIM-26JUN-T3.00"
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
ED_KEY = Ed25519PrivateKey.generate()
KEYS = {"alice": ("alice-key", ED_KEY), "bob": ("bob-key", RSA_KEY)}
ORDERS = "/portfolio/events/orders"


def new_ids(start: int = 1) -> Iterator[str]:
    return (str(uuid.UUID(int=number)) for number in itertools.count(start))


def make_exchange(
    options: ExchangeOptions | None = None,
    journal: ExchangeJournal | None = None,
    fees: FeeSchedule | None = None,
    *,
    first_id: int = 1,
) -> SimulatedExchange:
    """One market of one event, open for a day; alice (Ed25519), bob (RSA) and a maker of the world's, $1,000 each."""
    ids = new_ids(first_id)
    options = options or ExchangeOptions(read_rate=0, write_rate=0)
    exchange = SimulatedExchange(new_id=lambda: next(ids), options=options, journal=journal)
    exchange.list_series(SeriesSpec(ticker="KXSIM", title="Simulated", fees=fees or FeeSchedule()))
    exchange.list_event(EventSpec(event_ticker="KXSIM-26JUN", series_ticker="KXSIM", title="In June"), T0)
    exchange.list_market(make_market(), T0)
    for name in ("alice", "bob", "maker"):
        exchange.add_account(name, dollars(1000))
    for name, (key_id, key) in KEYS.items():
        exchange.register_key(name, key_id, public_pem(key))
    exchange.advance(T0)
    return exchange


def make_market(ticker: str = TICKER, **changes: Any) -> MarketSpec:
    values: dict[str, Any] = {
        "ticker": ticker,
        "event_ticker": "KXSIM-26JUN",
        "title": "Above 3?",
        "open_time": T0,
        "close_time": Ts(T0 + DAY),
        "strike_type": "greater",
        "floor_strike": 3.0,
    }
    return MarketSpec(**(values | changes))


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed(who: str, method: str, path: str, now: int) -> dict[str, str]:
    """The three headers, in lower case; `path` from the host root."""
    key_id = KEYS[who][0]
    text = f"{now}{method}{path}".encode()
    if who == "bob":
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        raw = RSA_KEY.sign(text, pss, hashes.SHA256())
    else:
        raw = ED_KEY.sign(text)

    return {
        "kalshi-access-key": key_id,
        "kalshi-access-timestamp": str(now),
        "kalshi-access-signature": base64.b64encode(raw).decode(),
    }


class Caller:
    """Calls an exchange as one user would, at a time that the test moves.

    Every answer is checked against the specification, and every request that was accepted.
    """

    def __init__(self, exchange: SimulatedExchange, who: str | None = "alice") -> None:
        self.exchange = exchange
        self.who = who
        self.now = T0

    def __call__(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        full = f"/trade-api/v2{path}"
        headers = signed(self.who, method, full, self.now) if self.who else {}
        raw = b""
        if body is not None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["content-type"] = "application/json"
        values = {
            name: [str(one) for one in (value if isinstance(value, list) else [value])]
            for name, value in (query or {}).items()
        }
        response = self.exchange.handle(Request(method, full, values, headers, raw), self.now)
        assert "date" in response.headers
        decoded = json.loads(response.body) if response.body else None
        if SPECS.exists() and response.status != 410:
            check_response(method, path, response.status, decoded)
            if response.status < 300:  # what the specification does not allow may not be taken
                check_request(method, path, values, raw)
        return response.status, decoded

    def get(self, path: str, **query: Any) -> Any:
        status, body = self("GET", path, query=query)
        assert status == 200, body
        return body

    def place(self, side: str, price: str, count: str, **changes: Any) -> tuple[int, Any]:
        return self("POST", ORDERS, create_body(side, price, count, **changes))

    def connect(self) -> Listener:
        connection = self.exchange.connect(signed(self.who or "", "GET", STREAM_PATH, self.now), STREAM_PATH, self.now)
        assert isinstance(connection, Connection)
        return Listener(connection, self)


class Listener:
    """One stream of a caller; every frame is checked against the spec."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self.connection = connection
        self._caller = caller

    def send(self, cmd: str, command_id: int = 1, **params: Any) -> list[dict[str, Any]]:
        self.connection.receive(json.dumps({"id": command_id, "cmd": cmd, "params": params}), self._caller.now)
        return self.frames()

    def frames(self) -> list[dict[str, Any]]:
        """Everything in the outbox, which is empty afterwards."""
        found = [json.loads(text) for text in self.connection.outbox]
        self.connection.outbox.clear()
        for frame in found:
            if SPECS.exists():
                check_frame(frame)
        return found


def create_body(side: str, price: str, count: str, **changes: Any) -> dict[str, Any]:
    body = {
        "ticker": TICKER,
        "side": side,
        "price": price,
        "count": count,
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    return body | changes


def order(side: Side, price: str, count: str, **changes: Any) -> NewOrder:
    fields: dict[str, Any] = {"ticker": TICKER, "side": side, "price": parse_price(price), "qty": parse_qty(count)}
    return NewOrder(**(fields | changes))


def quote(
    exchange: SimulatedExchange, side: Side, price: str, count: str, now: Ts = T0, **changes: Any
) -> OrderReceipt:
    """The world's maker rests an order; it must be taken."""
    receipt = exchange.submit("maker", order(side, price, count, **changes), now)
    assert isinstance(receipt, OrderReceipt), receipt
    return receipt


def total(exchange: SimulatedExchange) -> Money:
    """Cash of all accounts, fees collected, and a dollar for each open pair: never changes while nothing settles."""
    cash = sum(exchange.cash(account) for account in exchange.accounts())
    longs = sum(
        max(0, exchange.position(account, ticker, subaccount))
        for account in exchange.accounts()
        for subaccount in exchange.subaccounts(account)
        for ticker in exchange.tickers("")
    )
    return Money(cash + exchange.fees_collected() + longs * 10_000)


FREE = ExchangeOptions(read_rate=0, write_rate=0)


def killed(journal: MemoryJournal, first_id: int = 1_000_000) -> SimulatedExchange:
    """A new exchange from what the journal holds, as after `kill -9`."""
    survivor = MemoryJournal()
    survivor.items = dict(reversed(journal.items.items()))  # a database gives them in any order
    ids = new_ids(first_id)
    exchange = SimulatedExchange(new_id=lambda: next(ids), options=FREE, journal=survivor)
    assert exchange.restore()
    return exchange
