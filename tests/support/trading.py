"""Trading on the exchange in this process: a loop moved tick by tick, a whole session, and strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import Message, StateCommand, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.runner import process_messages
from kalshi_cli.services.trading.reports.live_events import LoopEvents
from kalshi_cli.services.trading.reports.run_reporter import EventLog
from kalshi_cli.services.trading.reports.run_summary import RunPlan, RunSummary
from kalshi_cli.services.trading.session import Session
from kalshi_cli.services.trading.start import reconcile_at_start
from kalshi_cli.strategies.base import Strategy, StrategyParams
from support.simulation import TICKER, Simulation

INTERVAL_S = 2.0
LIMITS = RiskLimits(min_edge=None)


class Quoter(Strategy):
    """Rests one bid at 40 cents, again whenever there is none."""

    name = "quoter"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        if not view.orders(TICKER):
            yield Place(TICKER, BID, cents(40), contracts(10), reason="a bid")


class TradingLoop:
    """Engine, venue and store, started as `kalshi trade` does; `ticks` lets time pass."""

    def __init__(
        self, sim: Simulation, *strategies: Strategy, expiry_s: float | None = 90.0, limits: RiskLimits = LIMITS
    ) -> None:
        self.sim = sim
        self.said: list[str] = []
        self.heard: list[Message] = []
        self.engine: TradingEngine = load_engine(
            sim.client, sim.store, sim.clock, limits,
            markets=[sim.client.market(TICKER)], fees={}, new_id=sim.new_id,
            strategies=strategies or [Quoter(StrategyParams())], order_expiry_s=expiry_s,
            agree=lambda *parts: reconcile_at_start(*parts, tell=self.said.append, note=self.said.append),
        )  # fmt: skip
        self.venue = LiveVenue(
            sim.client, None, sim.clock,
            live=self.engine.state.orders.live, since=self.engine.state.last_entry,
            elsewhere=self.engine.state.untraded_held_markets, tell=self.said.append,
        )  # fmt: skip

    def take(self, *messages: Message) -> None:
        """As the runner does with what the feed brings."""
        for message in messages:
            found = list(self.venue.observe(message))
            self.heard += found
            process_messages((*found, message), self.engine, self.venue, self.sim.store)

    def ticks(self, number: int, every_s: float = INTERVAL_S) -> None:
        """So many intervals, each with a fresh book where it can be read."""
        for _ in range(number):
            self.sim.clock.advance(every_s)
            with suppress(KalshiError):
                self.take(self.sim.client.orderbook(TICKER))
            self.take(Tick(self.sim.clock.now()))

    def stop(self) -> None:
        """A person asks for an orderly end; ticks go on, and ask for each cancel again."""
        self.take(StateCommand(self.sim.clock.now(), None, "SIGTERM"))

    @property
    def live(self) -> list[Order]:
        return self.engine.state.orders.live(TICKER)

    def alerts(self, *codes: str) -> list[AlertRaised]:
        """What was told, oldest first."""
        return [alert for alert in reversed(self.sim.store.alerts()) if not codes or alert.code in codes]

    def sent(self, method: str) -> int:
        """Requests of this kind that reached the wire."""
        return sum(1 for sent, _ in self.sim.wire.sent if sent == method)


NO_EDGE = RiskLimits(min_edge=None)
PLAN = RunPlan(
    run_id="run-1",
    pid=4242,
    strategy="bidder",
    env="sim",
    mode="live",
    words="a test",
    markets=1,
    duration_s=None,
    status_every_s=60.0,
    stop_budget_s=10.0,
)


class Bidder(Strategy):
    """Rests one bid and never cancels it."""

    name = "bidder"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        if not view.orders(ticker) and not view.position(ticker):
            yield Place(ticker, BID, cents(40), contracts(10), reason="a bid")


class Broken(Bidder):
    """Raises at its third book."""

    name = "broken"
    seen = 0

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        self.seen += 1
        if self.seen == 3:
            raise LookupError("lost my way")
        yield from super().on_book(view, ticker)


class TradingSession:
    """A whole session, from its start to its summary: `over(feed)` runs it, and `ticks` makes a feed."""

    def __init__(self, sim: Simulation, *strategies: Strategy, **plan: Any) -> None:
        self.sim = sim
        self.shown: list[RunSummary] = []
        self.asked: list[StateCommand] = []
        self.noted: list[str] = []
        self.journal: EventLog | None = None
        self.events: LoopEvents | None = None
        self.reported: Callable[[], None] = lambda: None
        sim.market(39, 44)
        self.engine = load_engine(
            sim.client,
            sim.store,
            sim.clock,
            NO_EDGE,
            markets=[sim.client.market(TICKER)],
            fees={},
            new_id=sim.new_id,
            strategies=strategies or [Bidder(StrategyParams())],
        )
        self.venue = LiveVenue(
            sim.client, None, sim.clock, live=self.engine.state.orders.live, since=Ts(0), every_s=1.0
        )
        self.plan = msgspec.structs.replace(PLAN, **plan)

    def ticks(self, number: int, do: Callable[[int], object] = lambda _: None) -> Iterator[Message]:
        """A book and a tick every two seconds, as long as nobody asked for a stop."""
        for n in range(number):
            self.sim.clock.advance(2)
            do(n)
            yield self.sim.client.orderbook(TICKER)
            yield Tick(self.sim.clock.now())
            while self.asked:
                command = self.asked.pop(0)
                yield command
                if command.state is None:
                    return

    def over(self, feed: Iterable[Message]) -> RunSummary:
        sim = self.sim
        session = Session(
            self.plan,
            self.engine,
            feed,
            self.venue,
            sim.store,
            sim.clock,
            ask=self.asked.append,
            tell=sim.said.append,
            note=self.noted.append,
            feed_age_s=lambda: 0.5,
            show=self.shown.append,
            journal=self.journal,
            events=self.events,
            reported=self.reported,
        )
        return session.run()


class Many(Strategy):
    """Rests a dozen bids at once."""

    name = "many"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Place]:
        if not view.orders():
            for n in range(12):
                yield Place(ticker, BID, cents(20 + n), contracts(1), fair=cents(60), post_only=True)
