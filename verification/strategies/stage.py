"""One time for the seeded world and the program beside it, without a socket or a thread between them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kalshi_cli.base.units import Ts, dollars
from kalshi_cli.config.config import Config
from kalshi_cli.core.model.messages import FeedState
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.inbox import MessageQueue
from kalshi_cli.exchange.stream.sequencing import Said, StreamSession
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.serving.in_process_transport import SimTransport
from kalshi_cli.simulator.stream.connection import Connection
from kalshi_cli.simulator.world.families import Listing
from kalshi_cli.simulator.world.world import STEP_MS, MarketSimulation
from verification.keys import OwnKey

ME = "trader"
KEY_ID = "trader-key"
START_CASH = dollars(10_000)
SERIES = ("KXBTCD", "KXBTC15M", "KXETH15M", "KXFEDDECISION")
"""Eighteen of the world's markets: thresholds on a coin, up or down, and an event of which one market wins. With all of
them a session would cost three times as much."""

REFERENCES = Config().references
"""The index behind a market, by what its ticker begins with."""

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
FIRST = Ts(1_780_002_000_000)
"""2026-05-28, on the hour."""

ONE_WAY_S = 0.04
_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_OWN_KEY = OwnKey(_KEY)


class Stage:
    """The exchange with its world, and the program's clock, client and stream. Whoever waits lets the world go on."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._ms = float(FIRST + seed * HOUR_MS + (seed * 7 % 45) * MINUTE_MS)
        self._began = self._ms
        self._after: list[Callable[[Ts], None]] = []
        ids = count(1)
        self.new_id: Callable[[], str] = lambda: f"{next(ids):08d}-0000-4000-8000-000000000000"
        self.exchange = SimulatedExchange(new_id=self.new_id, options=ExchangeOptions())
        self.world = MarketSimulation(self.exchange, seed=seed, start=self.now())
        catalogue = self.world._catalogue
        everything = catalogue.open_at

        def some(now: Ts) -> list[Listing]:
            return [one for one in everything(now) if one.event.series_ticker in SERIES]

        catalogue.open_at = some  # type: ignore[method-assign]
        self.world.ensure_open(self.now())
        self.exchange.add_account(ME, START_CASH)
        public = _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.exchange.register_key(ME, KEY_ID, public)
        _OWN_KEY.admit(self.exchange, KEY_ID)
        self.signer = Signer(KEY_ID, _OWN_KEY, self)  # type: ignore[arg-type]
        self.client = KalshiClient(
            "http://localhost/trade-api/v2", clock=self, rng=random.Random(seed), signer=self.signer,
            transport=_Wire(self),
        )  # fmt: skip
        self.stream = InStep(self, sorted(set(REFERENCES.values())))

    # -- the clock of the program -----------------------------------------------------------------------------------

    def now(self) -> Ts:
        return Ts(int(self._ms))

    def monotonic(self) -> float:
        return (self._ms - self._began) / 1000

    def sleep(self, seconds: float) -> None:
        self.wait(seconds)

    def wait(self, seconds: float, is_done: Callable[[], bool] = lambda: False) -> None:
        """Let the world go on for so long, or until it is done."""
        until = self._ms + max(0.0, seconds) * 1000
        while self._ms < until and not is_done():
            step = (self._ms // STEP_MS + 1) * STEP_MS
            self._ms = min(step, until)
            if self._ms == step:
                self.world.advance(self.now())
                for look in self._after:
                    look(self.now())
            self.stream.deliver()

    def after_each_step(self, look: Callable[[Ts], None]) -> None:
        """Call this whenever the world moved."""
        self._after.append(look)


class _Wire(httpx.BaseTransport):
    """Requests and replies take their time, and the world does not wait for them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._inner = SimTransport(stage.exchange, stage)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._stage.wait(ONE_WAY_S)
        response = self._inner.handle_request(request)
        self._stage.wait(ONE_WAY_S)
        return response


class _Inbox(MessageQueue[Said]):
    def __init__(self, stage: Stage) -> None:
        super().__init__(1_000_000)
        self._stage = stage

    def take(self, into: deque[Said], timeout_s: float = 0.0) -> None:
        """Whoever waits for messages lets time pass instead."""
        if timeout_s > 0:
            self._stage.wait(timeout_s, self._batches_wait)
        super().take(into)

    def _batches_wait(self) -> bool:
        return self._batches.qsize() > 0


class InStep:
    """What the loop knows of a stream: the frames of the exchange's own connection, by the reader's own sequencer."""

    def __init__(self, stage: Stage, index_ids: Iterable[str]) -> None:
        self._stage = stage
        self._sequencer = StreamSession(index_ids=index_ids)
        self._connection: Connection | None = None
        self._held: list[Said] = []
        self.inbox: MessageQueue[Said] = _Inbox(stage)
        self.is_live = False
        self.failure = None

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def connect(self, tickers: Iterable[str]) -> None:
        """Dial, and ask for everything."""
        path = "/trade-api/ws/v2"
        headers = {name.lower(): value for name, value in self._stage.signer.headers("GET", path).items()}
        answer = self._stage.exchange.connect(headers, path, self._stage.now())
        assert isinstance(answer, Connection), answer
        self._connection = answer
        self._sequencer.follow(tickers)
        self._sequencer.connect()

    def deliver(self) -> None:
        """Whatever either side has to say to the other."""
        connection = self._connection
        if connection is None:
            return
        now, said = self._stage.now(), []
        if not self._sequencer.is_whole:
            self._sequencer.repair()
        while self._sequencer.outbox or connection.outbox:
            while self._sequencer.outbox:
                connection.receive(self._sequencer.outbox.pop(0).decode(), now)
            while connection.outbox:
                said += self._sequencer.on_frame(connection.outbox.popleft(), now)
        assert not connection.hung_up, connection.hung_up
        if self.is_live:
            if said:
                self.inbox.put(said)
            return
        self._held += said
        if self._sequencer.is_answered:
            self.is_live = True
            self.inbox.put((FeedState(now, True), *self._held))

    def subscribe(self, tickers: Iterable[str]) -> None:
        self._sequencer.follow(tuple(tickers))

    def unsubscribe(self, tickers: Iterable[str]) -> None:
        self._sequencer.unsubscribe_markets(tuple(tickers))

    def resync(self, ticker: str) -> None:
        self._sequencer.resync((ticker,))

    def reconnect(self, reason: str) -> None:
        raise AssertionError(f"nothing is wrong with this stream: {reason}")


def live_orders(stage: Stage) -> Iterator[tuple[str, int, int]]:
    """Ticker, sign and price of every order that rests for the account at the exchange."""
    for order in stage.exchange._state.members[ME].orders():
        yield order.ticker, order.side.sign, order.price
