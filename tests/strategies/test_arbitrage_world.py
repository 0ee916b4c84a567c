"""The arbitrage strategy on the seeded world: it trades, and what it completes never loses."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts, cents, contracts, dollars, parse_ts
from kalshi_cli.core.model.markets import Family, FeeSchedule, FeeType
from kalshi_cli.core.model.messages import BookSnapshot, Message, Tick
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.runner import process_messages
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.serving.in_process_transport import SimTransport
from kalshi_cli.simulator.world.world import MarketSimulation
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies import registry

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SERIES = "KXNBAGAME"
"""Two days of games, twelve markets: enough, and quick."""


class Lived:
    """The strategy beside a world whose members push the markets of one event apart, a step of 250 ms at a time."""

    def __init__(self, folder: Path, seed: int, limits: RiskLimits, **given: object) -> None:
        ids = count(1)
        self.clock = ManualClock(parse_ts("2026-11-21T19:20:00Z"))
        self.exchange = SimulatedExchange(
            new_id=lambda: f"{next(ids):08d}-0000-4000-8000-000000000000",
            options=ExchangeOptions(read_rate=0, write_rate=0),
        )
        self.world = MarketSimulation(self.exchange, seed=seed, start=self.clock.now())
        catalogue = self.world._catalogue
        everything = catalogue.open_at
        catalogue.open_at = lambda now: [one for one in everything(now) if one.event.series_ticker == SERIES]  # type: ignore[method-assign]
        self.world.ensure_open(self.clock.now())
        self.exchange.add_account("alice", dollars(10_000))
        self.exchange.register_key("alice", "key", PUBLIC)
        self.client = KalshiClient(
            "http://localhost/trade-api/v2",
            clock=self.clock,
            rng=random.Random(1),
            signer=Signer("key", KEY, self.clock),
            transport=SimTransport(self.exchange, self.clock),
        )
        self.store = Store.open(folder / f"{seed}.db", account="alice", environment="sim")
        self.tickers = sorted(self.exchange.tickers())
        listed = [self.client.market(ticker) for ticker in self.tickers]
        exclusive = {each.event_ticker: Family(event_ticker=each.event_ticker, is_exclusive=True) for each in listed}
        self.engine = load_engine(
            self.client,
            self.store,
            self.clock,
            limits,
            markets=listed,
            fees={ticker: FeeSchedule(FeeType.WITH_MAKER) for ticker in self.tickers},
            families=exclusive,
            new_id=lambda: f"{next(ids):08d}-0000-4000-8000-000000000001",
            strategies=[registry.make("arbitrage", given)],
        )
        self.venue = LiveVenue(
            self.client, None, self.clock, live=self.engine.state.orders.live, since=Ts(0), every_s=0.25
        )

    def run(self, seconds: int) -> None:
        for _ in range(4 * seconds):
            self.clock.advance(0.25)
            now = self.clock.now()
            self.world.advance(now)
            for ticker in self.tickers:
                sides = (tuple(self.exchange.levels(ticker, side)) for side in (BID, ASK))
                self.hear(BookSnapshot(now, ticker, *sides))
            self.hear(Tick(now))

    def hear(self, message: Message) -> None:
        process_messages((*self.venue.observe(message), message), self.engine, self.venue, self.store)

    def orders(self) -> list[Order]:
        return [order for order in self.store.load().orders if order.strategy == "arbitrage"]

    def settle(self, days: int) -> None:
        """Let so many days go by, a day at a time."""
        for _ in range(days):
            self.clock.advance(86_400)
            self.world.advance(self.clock.now())

    def close(self) -> None:
        self.store.close()
        self.client.close()


def test_it_buys_a_whole_basket_that_pays_more_than_it_cost(tmp_path: Path) -> None:
    """Both teams of a game of seed 1 are bid for at more than a dollar together, for a moment."""
    lived = Lived(tmp_path, 1, RiskLimits(min_edge=cents(1)))
    try:
        before = lived.exchange.cash("alice")
        lived.run(25)
        first, second = lived.orders()
        assert {first.reason, second.reason} == {first.reason}
        assert first.reason.startswith("no of 2 earns ")
        assert [order.filled for order in (first, second)] == [contracts(5)] * 2
        assert first.ticker.rpartition("-")[0] == second.ticker.rpartition("-")[0]
        assert lived.engine.tally.denied == {}
        paid = before - lived.exchange.cash("alice")
        assert 0 < paid < dollars(5)
        lived.settle(2)
        assert lived.exchange.cash("alice") - before == dollars(5) - paid, "one team won"
    finally:
        lived.close()
