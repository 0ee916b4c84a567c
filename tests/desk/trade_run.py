"""A session over the simulated exchange in virtual time, and strategies for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from virtual import TICKER, Virtual

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import Command, Message, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.core.state.view import View
from kalshi_cli.desk.account import load_engine
from kalshi_cli.desk.journal import Journal
from kalshi_cli.desk.summary import Plan, Summary
from kalshi_cli.desk.trade import Session
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.strategies.base import Strategy, StrategyParams

NO_EDGE = Limits(min_edge=None)
PLAN = Plan(
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

    def on_book(self, view: View, ticker: str) -> Iterator[Intent]:
        if not view.orders(ticker) and not view.position(ticker):
            yield Place(ticker, BID, cents(40), contracts(10), reason="a bid")


class Broken(Bidder):
    """Raises at its third book."""

    name = "broken"
    seen = 0

    def on_book(self, view: View, ticker: str) -> Iterator[Intent]:
        self.seen += 1
        if self.seen == 3:
            raise LookupError("lost my way")
        yield from super().on_book(view, ticker)


class Run:
    """A session over the simulated exchange. The feed is what `script` yields, and commands that were asked for."""

    def __init__(self, virtual: Virtual, *strategies: Strategy, **plan: Any) -> None:
        self.virtual = virtual
        self.shown: list[Summary] = []
        self.asked: list[Command] = []
        self.noted: list[str] = []
        self.journal: Journal | None = None
        virtual.market(39, 44)
        self.engine = load_engine(
            virtual.client,
            virtual.store,
            virtual.clock,
            NO_EDGE,
            markets=[virtual.client.market(TICKER)],
            fees={},
            new_id=virtual.new_id,
            strategies=strategies or [Bidder(StrategyParams())],
        )
        self.venue = LiveVenue(
            virtual.client, None, virtual.clock, live=self.engine.state.orders.live, since=Ts(0), every_s=1.0
        )
        self.plan = msgspec.structs.replace(PLAN, **plan)

    def ticks(self, number: int, do: Callable[[int], None] = lambda _: None) -> Iterator[Message]:
        """A book and a tick every two seconds, as long as nobody asked for a stop."""
        for n in range(number):
            self.virtual.clock.advance(2)
            do(n)
            yield self.virtual.client.orderbook(TICKER)
            yield Tick(self.virtual.clock.now())
            while self.asked:
                command = self.asked.pop(0)
                yield command
                if command.state is None:
                    return

    def over(self, feed: Iterable[Message]) -> Summary:
        virtual = self.virtual
        session = Session(
            self.plan,
            self.engine,
            feed,
            self.venue,
            virtual.store,
            virtual.clock,
            ask=self.asked.append,
            tell=virtual.said.append,
            note=self.noted.append,
            feed_age_s=lambda: 0.5,
            show=self.shown.append,
            journal=self.journal,
        )
        return session.run()


class Many(Strategy):
    """Rests a dozen bids at once."""

    name = "many"

    def on_book(self, view: View, ticker: str) -> Iterator[Place]:
        if not view.orders():
            for n in range(12):
                yield Place(ticker, BID, cents(20 + n), contracts(1), fair=cents(60), post_only=True)
