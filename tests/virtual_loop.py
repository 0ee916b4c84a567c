"""A trade loop in virtual time: the real client, venue, engine and store, with books that are read each interval."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from virtual import TICKER, Virtual

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.engine.engine import Engine
from kalshi_cli.core.model.effects import Alert
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import Command, Message, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.core.state.view import View
from kalshi_cli.desk.account import load_engine
from kalshi_cli.desk.start import agree
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.runner import pump
from kalshi_cli.strategies.base import Strategy, StrategyParams

INTERVAL_S = 2.0
LIMITS = Limits(min_edge=None)


class Quoter(Strategy):
    """Rests one bid at 40 cents, again whenever there is none."""

    name = "quoter"

    def on_tick(self, view: View) -> Iterator[Intent]:
        if not view.orders(TICKER):
            yield Place(TICKER, BID, cents(40), contracts(10), reason="a bid")


class Loop:
    """Started as a loop is; then `ticks` lets time pass. `heard` is every message that the venue brought."""

    def __init__(
        self, virtual: Virtual, *strategies: Strategy, expiry_s: float | None = 90.0, limits: Limits = LIMITS
    ) -> None:
        self.virtual = virtual
        self.said: list[str] = []
        self.heard: list[Message] = []
        self.engine: Engine = load_engine(
            virtual.client, virtual.store, virtual.clock, limits,
            markets=[virtual.client.market(TICKER)], fees={}, new_id=virtual.new_id,
            strategies=strategies or [Quoter(StrategyParams())], order_expiry_s=expiry_s,
            agree=lambda *parts: agree(*parts, tell=self.said.append, note=self.said.append),
        )  # fmt: skip
        self.venue = LiveVenue(
            virtual.client, None, virtual.clock,
            live=self.engine.state.orders.live, since=self.engine.state.last_entry,
            elsewhere=self.engine.state.elsewhere, tell=self.said.append,
        )  # fmt: skip

    def take(self, *messages: Message) -> None:
        """As the runner does with what the feed brings."""
        for message in messages:
            found = list(self.venue.observe(message))
            self.heard += found
            pump((*found, message), self.engine, self.venue, self.virtual.store)

    def ticks(self, number: int, every_s: float = INTERVAL_S) -> None:
        """So many intervals, each with a fresh book where it can be read."""
        for _ in range(number):
            self.virtual.clock.advance(every_s)
            with suppress(KalshiError):
                self.take(self.virtual.client.orderbook(TICKER))
            self.take(Tick(self.virtual.clock.now()))

    def stop(self) -> None:
        """A person asks for an orderly end; ticks go on, and ask for each cancel again."""
        self.take(Command(self.virtual.clock.now(), None, "SIGTERM"))

    @property
    def live(self) -> list[Order]:
        return self.engine.state.orders.live(TICKER)

    def alerts(self, *codes: str) -> list[Alert]:
        """What was told, oldest first."""
        return [alert for alert in reversed(self.virtual.store.alerts()) if not codes or alert.code in codes]

    def sent(self, method: str) -> int:
        """Requests of this kind that reached the wire."""
        return sum(1 for sent, _ in self.virtual.wire.sent if sent == method)
