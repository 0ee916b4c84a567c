"""The simulated exchange in virtual time, a client of it without a socket, and faults of the wire between them."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services.orders.place import OrderEntry, OrderTicket
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import (
    EventSpec,
    ExchangeOptions,
    MarketSpec,
    NewOrder,
    OrderReceipt,
    SeriesSpec,
)
from kalshi_cli.simulator.serving.in_process_transport import SimTransport
from kalshi_cli.store.sqlite_store import Store
from support.specification import CheckedTransport
from support.state_files import new_state_file

T0 = Ts(1_780_000_000_000)
DAY_MS = 86_400_000
TICKER = "KXSIM-26JUN-T3"
OTHER = "KXSIM-26JUL-T3"
KEY = Ed25519PrivateKey.generate()


class Wire(httpx.BaseTransport):
    """Forwards to the simulated exchange. `before` may raise instead of sending, `after` instead of answering.

    Each is asked with the request, and each fault counts: a test sees that it really happened.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self.sent: list[tuple[str, str]] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.after: Callable[[httpx.Request], None] = lambda _: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.method, request.url.path))
        instead = self.before(request)
        if instead is not None:
            return instead
        response = self._inner.handle_request(request)
        self.after(request)
        return response

    def posts(self) -> int:
        """How many creates reached the wire."""
        return sum(1 for method, _ in self.sent if method == "POST")


class Simulation:
    """Two markets of two events, open for a day; alice with the client's key, bob and a maker with $10,000 each."""

    def __init__(
        self,
        folder: Path,
        *,
        options: ExchangeOptions | None = None,
        cash: Money | None = None,
        offset_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        ids = count(1)
        self.new_id: Callable[[], str] = lambda: f"{next(ids):08d}-0000-4000-8000-000000000000"
        self.clock = ManualClock(T0)
        options = options or ExchangeOptions(read_rate=0, write_rate=0)
        self.exchange = SimulatedExchange(new_id=self.new_id, options=options, offset_ms=offset_ms)
        self.exchange.list_series(SeriesSpec(ticker="KXSIM", title="Simulated"))
        for ticker in (TICKER, OTHER):
            event = ticker.rpartition("-")[0]
            self.exchange.list_event(EventSpec(event_ticker=event, series_ticker="KXSIM", title="In time"), T0)
            spec = MarketSpec(
                ticker=ticker, event_ticker=event, title="Above 3?", open_time=T0, close_time=Ts(T0 + DAY_MS)
            )
            self.exchange.list_market(spec, T0)
        for name in ("alice", "bob", "maker"):
            self.exchange.add_account(name, dollars(10_000) if cash is None or name != "alice" else cash)
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.exchange.register_key("alice", "alice-key", pem)
        self.exchange.advance(T0)
        self.checked = CheckedTransport(SimTransport(self.exchange, self.clock))
        self.wire = Wire(self.checked)
        self.client = self.connect()
        self.path = new_state_file(folder / "state.db")
        self.store = Store.open(self.path, account="alice", environment="sim")
        self.said: list[str] = []

    def connect(self, *, key: Any = KEY, **options: Any) -> KalshiClient:
        """A client of alice's."""
        signer = Signer("alice-key", key, self.clock)
        return KalshiClient(
            "http://localhost/trade-api/v2",
            clock=self.clock,
            rng=random.Random(1),
            signer=signer,
            transport=self.wire,
            **options,
        )

    def close(self) -> None:
        self.store.close()
        self.client.close()

    def desk(self, limits: RiskLimits | None = None) -> OrderEntry:
        schedule = FeeSchedule()
        return OrderEntry(
            self.client, self.store, self.clock, limits or RiskLimits(), lambda _market: schedule, self.new_id
        )

    def place(self, limits: RiskLimits | None = None, **changes: Any) -> Any:
        """Place an order by the desk, as a person would."""
        desk = self.desk(limits)
        return desk.send(*desk.propose(ticket(**changes)))

    def quote(self, side: Side, price: int, qty: int = 100, *, who: str = "maker", ticker: str = TICKER) -> str:
        """Somebody else rests (or takes); the exchange's id."""
        order = NewOrder(ticker=ticker, side=side, price=cents(price), qty=contracts(qty))
        receipt = self.exchange.submit(who, order, self.clock.now())
        assert isinstance(receipt, OrderReceipt), receipt
        return receipt.order_id

    def take(self, side: Side, price: int, qty: int, *, ticker: str = TICKER) -> Qty:
        """Bob takes what rests at the price or better; how much he got."""
        order = NewOrder(ticker=ticker, side=side, price=cents(price), qty=contracts(qty), tif=TimeInForce.IOC)
        receipt = self.exchange.submit("bob", order, self.clock.now())
        assert isinstance(receipt, OrderReceipt), receipt
        return receipt.filled

    def market(self, bid: int = 40, ask: int = 44, *, ticker: str = TICKER) -> None:
        """The maker's quotes are these now, and no others."""
        self.exchange.cancel_all("maker", self.clock.now(), ticker)
        self.quote(BID, bid, ticker=ticker)
        self.quote(ASK, ask, ticker=ticker)


def ticket(**changes: Any) -> OrderTicket:
    fields: dict[str, Any] = {
        "ticker": TICKER,
        "outcome": "yes",
        "action": "buy",
        "qty": contracts(10),
        "price": cents(40),
    }
    return OrderTicket(**(fields | changes))


def price(value: int) -> Price:
    return cents(value)


def intend(sim: Simulation, client_order_id: str, **changes: Any) -> Order:
    """An intent on file, as a process leaves it that is killed before the reply."""
    fields: dict[str, Any] = {
        "ticker": TICKER,
        "side": BID,
        "price": cents(40),
        "qty": contracts(10),
        "status": OrderStatus.SUBMITTED,
        "created": sim.clock.now(),
        "updated": sim.clock.now(),
        "strategy": "spike",
    }
    order = Order(client_order_id=client_order_id, **(fields | changes))
    sim.store.record(SubmitOrder(order))
    return order
