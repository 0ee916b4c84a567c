"""The program, its exchange and the network, moved one step at a time; deterministic, so that a failure shrinks.

The program is real: client, engine, venue, state file and the sequence check of the stream. After every rule, its
records are compared with a plain dictionary of the events, and with the exchange's own records.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import httpx
from support.simulation import KEY as PLAIN_KEY
from support.simulation import TICKER, Simulation

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import ONE_DOLLAR, Money, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Intent
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import MarketChange, Message, StateCommand, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.sequencing import BOOK, StreamSession
from kalshi_cli.services.account.recovery import load_engine, read_account, reconcile_unknown
from kalshi_cli.services.runner import process_messages
from kalshi_cli.simulator.exchange import STREAM_PATH
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.stream.connection import Connection
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies.base import Strategy
from verification import invariants
from verification.invariants import Booked
from verification.keys import OwnKey
from verification.limits import Slack, within_limits

ME = "alice"
KEY = OwnKey(PLAIN_KEY)
CHANNELS = (BOOK, "fill", "user_orders", "order_group_updates")
CASH = dollars(1_000)
LIMITS = RiskLimits(
    max_position=3_000, max_exposure=Money(25_000_000), max_order_qty=2_000, max_orders_per_minute=None,  # type: ignore[arg-type]
    min_edge=None, price_collar=None,
)  # fmt: skip
"""Thirty contracts, and twenty-five dollars that all of it can lose: reached within a few orders."""

NOT_ARRIVED = ("refuse", "429")


class CrashError(BaseException):
    """The process is gone in the middle of what it did. Nothing of ours may catch this."""


class Wish(Strategy):
    """Wants what it is told to want, at the next tick."""

    name = "machine"

    def __init__(self) -> None:
        self.wanted: list[Intent] = []

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        wanted, self.wanted = self.wanted, []
        yield from wanted


class _Stream:
    """What the venue asks of the stream's reader."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.is_live = True

    def resync(self, ticker: str) -> None:
        self._stage.sequencer.resync(ticker)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Stage:
    """One exchange, one program that may crash and come back, and faults that wait for the next request."""

    def __init__(self, folder: Path, *, client_ids: Literal["forever", "open_only"], read_lag_ms: int) -> None:
        options = ExchangeOptions(
            read_rate=0, write_rate=0, client_ids=client_ids, read_lag_ms=read_lag_ms, clock_past_ms=60_000
        )
        self.sim = Simulation(folder, options=options, cash=CASH)
        self.clock, self.exchange = self.sim.clock, self.sim.exchange
        self.sim.wire.before = self._on_request
        KEY.admit(self.exchange, "alice-key")
        self.sim.client.close()
        self.sim.client = self.sim.connect(key=KEY)
        self.seen: Counter[str] = Counter()
        self.model: dict[str, dict[str, Any]] = {}
        """By client order id: how often it was sent, and how often it may be on the exchange at most."""
        self.next_fault = ""
        self.late: list[tuple[float, httpx.Request]] = []
        self.slack = Money(0)
        self.slack_qty = 0
        self.known: dict[str, Order] = {}
        self.stale: dict[str, bytes] = {}
        self.pending: deque[str] = deque()
        self.group_id = ""
        for ticker, bid, ask in ((TICKER, 40, 44), ("KXSIM-26JUL-T3", 60, 66)):
            self.sim.market(bid, ask, ticker=ticker)
        self.wealth = invariants.wealth(self.exchange)
        self.start()

    # -- the program --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A process begins: what the file remembers, brought together with the exchange; then the stream."""
        sim = self.sim
        self.strategy = Wish()
        self.next_fault = ""
        markets = [sim.client.market(ticker) for ticker in self.exchange.tickers("active")]
        self.engine: TradingEngine = load_engine(
            sim.client, sim.store, self.clock, LIMITS, markets=markets,
            fees={market.ticker: FeeSchedule() for market in markets}, new_id=sim.new_id,
            strategies=[self.strategy], order_expiry_s=60.0,
        )  # fmt: skip
        self.sequencer = StreamSession([market.ticker for market in markets], channels=CHANNELS)
        self.venue = LiveVenue(
            sim.client, _Stream(self), self.clock,  # type: ignore[arg-type]
            live=self.engine.state.orders.live, since=self.engine.state.last_entry, known=sim.store.order,
        )  # fmt: skip
        self.connect()

    def connect(self) -> None:
        """A stream from now on."""
        headers = Signer("alice-key", KEY, self.clock).headers("GET", STREAM_PATH)  # type: ignore[arg-type]
        stream = self.exchange.connect({name.lower(): text for name, text in headers.items()}, STREAM_PATH, self._now())
        assert isinstance(stream, Connection)
        self.stream = stream
        self.pending.clear()
        self.sequencer.connect()
        self.listen()

    def crash(self) -> None:
        """The memory is lost, the file stays; a new process begins."""
        self.stream.close()
        self.sim.store.close()
        self.sim.store = Store.open(self.sim.path, account=ME, environment="sim")
        self.seen["crash"] += 1
        self.start()

    def take(self, *messages: Message) -> None:
        """Let the program hear; it may be cut off in the middle."""
        with self._contained():
            for message in messages:
                process_messages((*self.venue.observe(message), message), self.engine, self.venue, self.sim.store)

    def call(self, act: Callable[[], object]) -> bool:
        """Something a person asks for; whether it went well."""
        with self._contained():
            try:
                act()
            except KalshiError as error:
                self.seen[f"told {type(error).__name__}"] += 1
                return False
            return True
        return False

    def _contained(self) -> Any:
        return _Contained(self)

    def tick(self, *wanted: Intent) -> None:
        """A second later; the strategy wants this now."""
        self.clock.advance(1.0)
        self.strategy.wanted.extend(wanted)
        self._obey_halt()
        self.take(Tick(self._now()))

    def _obey_halt(self) -> None:
        halt = self.sim.store.halt()
        if halt.state is not self.engine.state.trading:
            self.take(StateCommand(self._now(), halt.state, halt.code, halt.reason))

    def read_account(self) -> bool:
        """A complete read, and its repairs; False where none came."""
        return self.call(lambda: read_account(self.sim.client, self.sim.store, self.clock, self.engine))

    def look_up(self) -> None:
        """As `order reconcile` does: what became of the orders in doubt."""
        reconcile_unknown(self.sim.client, self.sim.store, self.clock, LIMITS, self.sim.new_id)

    def look_at_markets(self) -> None:
        """News of the markets, which come by REST here."""
        for ticker in list(self.engine.state.markets):
            with suppress(KalshiError):
                self.take(MarketChange(self._now(), self.sim.client.market(ticker)))

    def pass_a_moment(self) -> None:
        """No two things at the exchange share a millisecond: by it whoever reads tells old news from new."""
        self.clock.advance(0.001)

    def _now(self) -> Any:
        return self.clock.now()

    # -- the stream ---------------------------------------------------------------------------------------------------

    def fetch(self) -> None:
        """What the exchange has sent by now lies on the way."""
        self.exchange.advance(self._now())
        self.pending.extend(self.stream.outbox)
        self.stream.outbox.clear()

    def hear(self, text: str) -> None:
        """One frame arrives."""
        self.take(*(said for said in self.sequencer.on_frame(text, self._now()) if isinstance(said, Message)))
        for command in self.sequencer.outbox:
            self.stream.receive(command.decode(), self._now())
        self.sequencer.outbox.clear()

    def listen(self) -> None:
        """Everything on the way arrives, and what it sets off."""
        for _ in range(100):
            for command in self.sequencer.outbox:
                self.stream.receive(command.decode(), self._now())
            self.sequencer.outbox.clear()
            self.fetch()
            if not self.pending:
                return
            while self.pending:
                self.hear(self.pending.popleft())

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _on_request(self, request: httpx.Request) -> httpx.Response | None:
        self.pass_a_moment()
        self.deliver()
        names = _names(request)
        for name in names:
            record = self.model.setdefault(name, {"sent": 0, "most": 0, "is_close": False})
            record["most"] = max(record["most"], 1)
            record["sent"] += self.next_fault not in NOT_ARRIVED
            assert self.sim.store.order(name) is not None, f"{name} is sent and not on file"
            if not json.loads(request.read()).get("reduce_only"):
                state = self.sim.store.halt().state
                assert state is not TradingState.HALTED, f"{name} is sent after the halt was committed"
        if request.method == "GET":
            return self._on_read(request)
        if self.next_fault in ("", "stale"):
            return None
        fault, self.next_fault = self.next_fault, ""
        self.seen[f"{fault} on {'create' if names else request.method.lower()}"] += 1
        return self._break(fault, request, names)

    def _break(self, fault: str, request: httpx.Request, names: list[str]) -> httpx.Response:
        send = self.sim.checked.handle_request
        if fault == "refuse":
            raise httpx.ConnectError("refused", request=request)
        if fault == "429":
            return httpx.Response(429, json={"error": {"code": "too_many_requests"}}, request=request)
        if fault == "lose_request":
            raise httpx.ReadError("reset", request=request)
        if fault == "late":
            self.late.append((self.clock.monotonic() + 12.0, request))
            raise httpx.RemoteProtocolError("gone", request=request)
        answer = send(request)
        if fault == "twice":
            for name in names:
                self.model[name]["most"] = 2 if self.exchange.options.client_ids == "open_only" else 1
            second = send(request)
            for name in names:
                self._excuse(name)
            return second
        if fault == "crash":
            raise CrashError
        if fault == "garbage":
            return httpx.Response(answer.status_code, content=b"\x00", request=request)
        assert fault == "lose_reply", fault
        raise httpx.ReadTimeout("no answer", request=request)

    def _excuse(self, name: str) -> None:
        """Where the network made two orders of one (F09) nobody here could know: no reservation covers the second."""
        for order in invariants.truth(self.exchange, ME).named(name)[1:]:
            leg = order.price if order.side is BID else ONE_DOLLAR - order.price
            self.slack = Money(self.slack + leg * order.qty)
            self.slack_qty += order.qty

    def _on_read(self, request: httpx.Request) -> httpx.Response | None:
        """A stale read answers as the same question was answered before."""
        if "/portfolio/" not in request.url.path:
            return None
        key = str(request.url.copy_remove_param("limit"))  # which is another one each time
        old = self.stale.get(key) if self.next_fault == "stale" else None
        answer = self.sim.checked.handle_request(request)
        self.stale[key] = answer.read()
        if old is None or "user_data" in key:
            return answer
        self.next_fault = ""
        self.seen["stale read"] += 1
        return httpx.Response(answer.status_code, content=old, request=request)

    def deliver(self, *, everything: bool = False) -> None:
        """Requests that were held up reach the exchange."""
        due = [request for at, request in self.late if everything or at <= self.clock.monotonic()]
        self.late = [(at, request) for at, request in self.late if request not in due]
        for request in due:
            self.sim.checked.handle_request(request)
            self.seen["delivered late"] += 1

    # -- what must hold -----------------------------------------------------------------------------------------------

    def ours(self) -> dict[str, Order]:
        """Every order of ours, as the state file has it now."""
        return {order.client_order_id: order for order in self.sim.store.orders() if not order.is_foreign}

    def check(self) -> None:
        """After every rule."""
        found, ours = invariants.truth(self.exchange, ME), self.ours()
        fills = self.sim.store.fills()
        twice = [name for name, record in self.model.items() if record["most"] > 1]
        wrong = [
            *invariants.once(found, twice),
            *(f"{name} was sent {record['sent']} times" for name, record in self.model.items() if record["sent"] > 1),
            *invariants.fills_are_real(found, fills),
            *invariants.orders_add_up(found, ours.values()),
            *invariants.nothing_hidden(found, ours.values()),
            *invariants.statuses_follow(self.known, ours),
            *invariants.contracts(self.exchange),
            *invariants.cash_adds_up(self.exchange, found, CASH),
            *within_limits(self.exchange, ME, LIMITS, Slack(self.slack, self.slack_qty)),
        ]
        if invariants.wealth(self.exchange) != self.wealth:
            wrong.append("money came from nowhere, or went there")
        assert not wrong, "\n".join(wrong)
        self.known = ours

    def settle(self) -> None:
        """All is well again and time passes: then nothing may be in doubt, and both sides must be equal."""
        self.next_fault = ""
        self.deliver(everything=True)
        for _ in range(4):
            self.clock.advance(60.0)
            self.exchange.advance(self._now())
            self.listen()
            self.look_up()
            self.read_account()
        self.crash()
        found, orders, fills = invariants.truth(self.exchange, ME), self.ours(), self.sim.store.fills()
        ledger = self.engine.state.ledger
        booked = {
            ticker: Booked(each.qty, each.cost, each.realized, each.fees)
            for (_, ticker), each in ledger.positions.items()
        }
        wrong = [
            *invariants.every_intent_ended(orders.values()),
            *invariants.fills_are_all_booked(found, fills),
            *invariants.settlements_are_all_booked(found, self.sim.store.settlements()),
            *invariants.orders_agree(found, self.sim.store.orders()),
            *invariants.books_agree(self.exchange, ME, booked, Money(CASH + ledger.cash)),
        ]
        assert not wrong, "\n".join(wrong)

    def close(self) -> None:
        self.sim.close()


class _Contained:
    """A crash in here is a crash of the program; the next process begins."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, CrashError):
            self._stage.seen["crash in a request"] += 1
            self._stage.crash()
            return True
        return False


def _names(request: httpx.Request) -> list[str]:
    """The orders that a request would make."""
    if request.method != "POST" or not request.url.path.endswith("/portfolio/events/orders"):
        return []
    return [json.loads(request.read())["client_order_id"]]
