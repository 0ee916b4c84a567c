"""One session: strategies on the seeded world for some virtual minutes, as a loop runs them; then the accounts."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from kalshi_cli.base.units import Money, Qty, cents, contracts, dollars
from kalshi_cli.config.config import Config
from kalshi_cli.config.limits import limits_of
from kalshi_cli.core.account.sizing import StrategyAllocation
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, Effect, FillBooked, OrderRefused
from kalshi_cli.core.model.markets import FeeSchedule, Market
from kalshi_cli.core.model.messages import MarketChange, StateCommand, Tick
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.exchange.live.families import EventFamilyCache
from kalshi_cli.exchange.live.live_feed import LiveFeed
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account.recovery import load_engine, read_account
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.services.runner import process_messages
from kalshi_cli.services.trading.reports.run_summary import StrategyResults
from kalshi_cli.services.trading.start import reconcile_at_start
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from verification.strategies.accounts import account_agrees, baskets, parts_agree, stays_inside
from verification.strategies.baselines import Nothing, Random
from verification.strategies.outside import Outside
from verification.strategies.stage import ME, REFERENCES, Stage

INTERVAL_S, EXPIRY_S = 2.0, 90.0
REQUIRED = {"model-edge": {"source": "world"}, "news": {"source": "world"}}
"""Parameters without a default."""

BASELINES = ("nothing", "random")
BUDGET = dollars(60)
"""Of each strategy, where all of them run at once."""

Task = tuple[tuple[str, ...], int, float]
"""Names, seed, minutes."""


class Result(msgspec.Struct, kw_only=True):
    """What one session came to. Money is micro-dollars; `drawdown` is the deepest fall of what was gained from a peak,
    looked at every two seconds."""

    strategies: tuple[str, ...]
    seed: int
    minutes: float
    fills: int = 0
    contracts: Qty = Qty(0)
    net: Money = Money(0)
    fees: Money = Money(0)
    drawdown: Money = Money(0)
    denied: dict[str, int] = {}
    by_strategy: dict[str, int] = {}
    """Net of each strategy."""
    fills_of: dict[str, int] = {}
    baskets: int = 0
    """Of `arbitrage`: complete, at the end."""
    wrong: list[str] = []
    cpu_s: float = 0.0
    messages: int = 0


class _Notes:
    """The state file, and what a report wants to know of what goes into it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.denied: Counter[str] = Counter()
        self.critical: list[str] = []
        self.fills: list[FillBooked] = []

    def record(self, effect: Effect) -> None:
        self._store.record(effect)
        if isinstance(effect, OrderRefused):
            self.denied[effect.code] += 1
        elif isinstance(effect, FillBooked):
            self.fills.append(effect)
        elif isinstance(effect, AlertRaised) and effect.tier == "critical":
            self.critical.append(f"{effect.code} {effect.subject}: {effect.text}")


def make(name: str, seed: int) -> Strategy:
    """A strategy with its default parameters."""
    if name == "nothing":
        return Nothing(StrategyParams())
    if name == "random":
        return Random(random.Random(seed))
    return registry.make(name, REQUIRED.get(name, {}))


def run(names: Sequence[str], seed: int, minutes: float) -> Result:
    """Play it. Several strategies at once have a budget each, and a person beside them who trades half way through."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as home:
        session = _Session(names, seed, Path(home))
        try:
            session.play(minutes)
            result = session.result(minutes)
        finally:
            session.close()
    result.cpu_s = time.process_time() - began
    return result


def play(task: Task) -> Result:
    """Importable, for a process of its own."""
    return run(*task)


class _Session:
    def __init__(self, names: Sequence[str], seed: int, home: Path) -> None:
        self.names = tuple(names)
        self.stage = stage = Stage(seed)
        self.store = Store.open(home / "state.db", account=ME, environment="sim")
        self.notes = _Notes(self.store)
        self.families = EventFamilyCache(stage.client)
        self.limits = _limits(home, self.names)
        self.said: list[str] = []
        self.wrong: list[str] = []
        self.worst = self.best = 0
        self.messages = 0
        self.strategies = [make(name, seed) for name in names]
        stage.client.refresh_limits()
        markets = run_markets(stage.client, stage.now(), (), "")
        self.fees: dict[str, FeeSchedule] = {market.ticker: self.families.fees(market) for market in markets}
        self.stage.stream.connect(self.fees)
        self.engine = self._engine(markets)
        self.venue = LiveVenue(
            stage.client, stage.stream, stage,  # type: ignore[arg-type]
            live=self.engine.state.orders.live, known=self.engine.state.orders.by_order_id,
            since=self.engine.state.last_entry, elsewhere=self.engine.state.untraded_held_markets,
            tell=self.said.append,
        )  # fmt: skip
        self.feed = LiveFeed(
            stage.stream, stage.client, stage,  # type: ignore[arg-type]
            markets=markets, interval_s=INTERVAL_S, discover=self._newly_open, charge=self.families.fees_anew,
            quoted=lambda: [order.ticker for order in self.engine.state.orders.live()],
            tell=self.said.append,
        )  # fmt: skip
        Outside(stage, [each for one in self.strategies for each in one.inputs()], self.feed.enqueue)
        self.score = StrategyResults(self.engine)

    def _engine(self, markets: Sequence[Market]) -> TradingEngine:
        stage = self.stage
        return load_engine(
            stage.client, self.store, stage, self.limits, markets=markets, fees=self.fees, new_id=stage.new_id,
            families={market.event_ticker: self.families.family(market) for market in markets},
            references=REFERENCES, strategies=self.strategies, order_expiry_s=EXPIRY_S,
            agree=lambda *parts: reconcile_at_start(*parts, tell=self.said.append, note=self.said.append),
        )  # fmt: skip

    def _newly_open(self) -> list[MarketChange]:
        now = self.stage.now()
        found = [one for one in run_markets(self.stage.client, now, (), "") if one.ticker not in self.fees]
        self.fees.update({market.ticker: self.families.fees(market) for market in found})
        return [MarketChange(now, one, self.fees[one.ticker], self.families.family(one)) for one in found]

    def close(self) -> None:
        self.store.close()
        self.stage.client.close()

    def play(self, minutes: float) -> None:
        """Until the time is over and the orders are canceled."""
        is_person_due = len(self.names) > 1
        is_over = False
        for message in self.feed:
            self.messages += 1
            process_messages((*self.venue.observe(message), message), self.engine, self.venue, self.notes)
            if not isinstance(message, Tick):
                continue
            self._look()
            if is_person_due and self.stage.monotonic() >= minutes * 30:
                is_person_due = not self._trade_by_hand()
            if self.stage.monotonic() >= minutes * 60 and not is_over:
                is_over = True
                self.feed.request(StateCommand(self.stage.now(), None, "the end"))
        self.stage.wait(1.0)
        for _ in range(2):
            self.stage.wait(1.0)
            read_account(self.stage.client, self.store, self.stage, self.engine)
        self._look()

    def _look(self) -> None:
        net = self.score.gained().net
        self.best = max(self.best, net)
        self.worst = max(self.worst, self.best - net)
        if len(self.wrong) < 10:
            self.wrong += stays_inside(self.stage, self.limits, self.engine)

    def _trade_by_hand(self) -> bool:
        """A person buys something at the exchange, past this program; whether there was anything."""
        for ticker, book in self.engine.state.books.items():
            if book.best_ask is not None and cents(20) < book.best_ask < cents(80):
                order = NewOrder(ticker=ticker, side=BID, price=book.best_ask, qty=contracts(3), tif=TimeInForce.IOC)
                receipt = self.stage.exchange.submit(ME, order, self.stage.now())
                if isinstance(receipt, OrderReceipt) and receipt.filled:
                    return True
        return False

    def result(self, minutes: float) -> Result:
        engine = self.engine
        parts = self.score.parts()
        wrong = [*self.wrong, *account_agrees(self.stage, engine), *parts_agree(self.stage, engine, parts)]
        wrong += [f"{name} failed" for name in engine.failed]
        wrong += [f"critical: {text}" for text in self.notes.critical if "STRATEGY" in text]
        complete, lost = baskets(self.stage, engine)
        fills_of = Counter(effect.order.strategy if effect.order is not None else "" for effect in self.notes.fills)
        return Result(
            strategies=self.names,
            seed=self.stage.seed,
            minutes=minutes,
            fills=len(self.notes.fills),
            contracts=Qty(sum(effect.fill.qty for effect in self.notes.fills)),
            net=self.score.gained().net,
            fees=self.score.gained().fees,
            drawdown=Money(self.worst),
            denied=dict(self.notes.denied),
            by_strategy={part.strategy: part.net for part in parts},
            fills_of=dict(fills_of),
            baskets=complete,
            wrong=wrong + lost,
            messages=self.messages,
        )


def _limits(home: Path, names: Sequence[str]) -> RiskLimits:
    """Those of a program that nobody configured; with budgets where several strategies share the account."""
    found = limits_of(Config(env="sim", state=home))
    if len(names) == 1:
        return found
    allotments: Mapping[str, StrategyAllocation] = {name: StrategyAllocation(budget=BUDGET) for name in names}
    return msgspec.structs.replace(found, allotments=allotments)
