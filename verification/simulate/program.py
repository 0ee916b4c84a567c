"""The program as composed for a run, with another wire, stream, clock and file below it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from kalshi_cli.app import trading as loops_module
from kalshi_cli.app.environment import Environment
from kalshi_cli.app.trading import RecordRequest, RunModes, TradeRequest
from kalshi_cli.base.units import Money, contracts, dollars
from kalshi_cli.config.config import Config
from kalshi_cli.config.limits import limits_of
from kalshi_cli.config.schema import Credentials, CredentialsByEnv, ExchangeConfig, RiskConfig, TradeConfig
from kalshi_cli.core.account.order_index import OWN_ID
from kalshi_cli.core.account.sizing import StrategyAllocation
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import AccountSnapshot, Message, Tick
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services.resources import Home, RefuseOrder, Resources
from kalshi_cli.services.trading.halts import refuse_if_halted
from kalshi_cli.services.trading.reports.run_reporter import EventLog
from kalshi_cli.services.trading.session import Session
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store
from verification.simulate.checker import Checker
from verification.simulate.exchange import KEY_ID, OWN_KEY, TICKERS
from verification.simulate.plan import ALL_ON, Plan
from verification.simulate.stage import Stage
from verification.simulate.strategies import Troubled, make, outside
from verification.simulate.stream import SteppedStream
from verification.simulate.stream_faults import StreamFaults
from verification.simulate.wire import Wire
from verification.simulate.world import World

BUDGETS = {
    "market-maker": StrategyAllocation(budget=dollars(4)),
    "threshold": StrategyAllocation(budget=dollars(6)),
    "flooder": StrategyAllocation(budget=dollars(10)),
}


def configuration(plan: Plan, home: Path) -> Config:
    """Limits that are reached within a minute. Where all strategies run, each of the limits binds in some sessions."""
    is_all_on = plan.seed % 10 == ALL_ON
    return Config(
        env="sim",
        state=home,
        credentials=CredentialsByEnv(sim=Credentials(key_id=KEY_ID)),
        exchange=ExchangeConfig(rest_url="http://localhost/trade-api/v2", ws_url="ws://localhost/trade-api/ws/v2"),
        risk=RiskConfig(
            max_position=contracts(10 if is_all_on else (30, 60)[plan.seed % 2]),
            max_exposure=dollars(((40, 60, 90), (9, 12, 90))[is_all_on][plan.seed % 3]),
            max_event_exposure=dollars(((20, 30, 250), (6, 250, 8))[is_all_on][plan.seed % 3]),
            max_category_exposure=dollars((250, 8, 12)[plan.seed % 3]) if is_all_on else None,
            max_market_exposure=dollars(2) if is_all_on and plan.seed % 7 == 3 else None,
            max_open_positions=2 if is_all_on and plan.seed % 7 == 5 else None,
            max_live_orders=4 if plan.seed % 5 == 2 else 6 if is_all_on and plan.seed % 4 == 3 else 200,
            max_churn=contracts(30 if is_all_on and plan.seed % 4 == 3 else 1_000),
            max_drawdown=dollars(3) if plan.seed % 9 == 4 else None,
            stop_loss_pct=70 if plan.seed % 4 == 2 else None,
            take_profit_pct=140 if plan.seed % 4 == 2 else None,
            cooldown_after_loss_s=(0.0, 5.0)[plan.seed % 2],
            max_order_count=contracts(25),
            max_order_cost=Money(20_000_000),
            max_daily_loss=dollars(2 if plan.seed % 8 == 3 else 100),
            max_orders_per_minute=300 if is_all_on and plan.seed % 4 == 3 else 25 if plan.seed % 4 == 1 else 60,
            max_market_orders_per_minute=300 if is_all_on else 60,
        ),
        trade=TradeConfig(interval_s=plan.interval_s, order_expiry_s=plan.expiry_s, stop_budget_s=5.0),
        references={},
        allotments=BUDGETS if is_all_on else {},
    )


class WatchedStore:
    """The state file of one process: nothing is written once it is dead, and every step can be the last."""

    def __init__(self, inner: Store, stage: Stage, checker: Checker, who: str) -> None:
        self._inner = inner
        self._stage = stage
        self._checker = checker
        self._who = who
        self._felt = ""
        inner._database._connection.execute("PRAGMA busy_timeout = 0")  # its five seconds would be real ones

    def record(self, effect: Effect) -> None:
        stage, kind = self._stage, type(effect).__name__
        stage.alive(self._who)
        stage.point(f"before_{kind}", self._who)
        self._feel_disk()
        self._inner.record(effect)
        self._checker.recorded(effect)
        stage.point(f"after_{kind}", self._who)

    def set_halt(self, halt: Halt) -> None:
        """A person halts, or resumes."""
        self._stage.alive(self._who)
        self._feel_disk()
        self._inner.set_halt(halt)
        self._checker.stops.moved(halt.state)

    def _feel_disk(self) -> None:
        """A disk that is full, or can only be read: as SQLite itself finds it."""
        execute, disk = self._inner._database._connection.execute, self._stage.disk
        if disk == self._felt == "":
            return
        self._felt = disk
        execute(f"PRAGMA query_only = {int(disk == 'readonly')}")
        pages = execute("PRAGMA page_count").fetchone()[0] if disk == "full" else 1 << 20
        execute(f"PRAGMA max_page_count = {pages}")

    def __getattr__(self, name: str) -> Any:
        self._stage.alive(self._who)
        if name == "beat":
            self._feel_disk()
        return getattr(self._inner, name)


@dataclass(frozen=True, eq=False, kw_only=True)
class VirtualResources(Resources):
    """What a program has, standing on the stage."""

    stage: Stage
    checker: Checker
    who: str

    @cached_property
    def store(self) -> Store:
        inner = self.open_store(self.home)
        self.stack.callback(inner.close)
        return WatchedStore(inner, self.stage, self.checker, self.who)  # type: ignore[return-value]

    def remembered(self, home: Home | None = None, busy_ms: int | None = None) -> Store | None:
        return self.store


class VirtualEnvironment(Environment):
    """The environment of a program, standing on the stage."""

    def __init__(self, stage: Stage, checker: Checker, world: World, who: str) -> None:
        super().__init__(
            configuration(stage.plan, stage.home), lambda text: stage.tell(who, text), lambda _text: None,
            machine=stage.clock,
        )  # fmt: skip
        self._stage = stage
        self._checker = checker
        self._world = world
        self._who = who
        self._rng = random.Random(stage.dice.random())

    def open(self, journal: EventLog | None = None, refuse_order: RefuseOrder | None = None) -> VirtualResources:
        reports, stage = journal or EventLog(self.clock, limits_of(self.config)), self._stage
        return VirtualResources(
            stage=stage, checker=self._checker, who=self._who, config=self.config, homes=self.homes, stack=self.stack,
            clock=self.clock, machine=self.machine, rng=self._rng, run_id=stage.new_id(), new_id=stage.new_id,
            new_order_id=lambda: f"{OWN_ID}{stage.new_id():0>32}",
            sign=lambda: Signer(KEY_ID, OWN_KEY, stage.clock),  # type: ignore[arg-type]
            find_rest_url=lambda: self.config.rest_url, find_ws_url=lambda: self.config.ws_url,
            needs_confirmation=False, refuse_order=refuse_order or refuse_if_halted, tell=self.tell, note=self.note,
            on_effect=reports.note, on_answer=reports.requested, traffic=reports.traffic,
            transport=Wire(stage, self._checker, self._world, self._who),
        )  # fmt: skip


class VirtualLoops(RunModes):
    """The loop, as it is composed; with the stream in step and strategies that make trouble."""

    def __init__(self, environment: VirtualEnvironment, stage: Stage, stream_faults: StreamFaults) -> None:
        super().__init__(environment)
        self._stage = stage
        self._stream_faults = stream_faults

    def _stream(
        self,
        resources: Resources,
        stack: ExitStack,
        markets: Sequence[Market],
        tap: Any = None,
        *,
        has_account: bool = False,
    ) -> Any:
        tickers = [market.ticker for market in markets]
        stream = SteppedStream(
            self._stage, self._stream_faults, resources.signer, resources.rng, tickers, resources.tell
        )
        stream.start()
        stack.callback(stream.stop)
        return stream

    @contextmanager
    def _watched(self, *_args: Any, **_options: Any) -> Iterator[None]:
        """Without the watchdog: its thread looks at real time, and here a strategy that hangs would hang everything."""
        yield

    def _strategies(self, request: TradeRequest | RecordRequest) -> list[Any]:
        stage = self._stage
        return [Troubled(make(name, random.Random(stage.dice.random())), stage.trouble) for name in request.strategies]


class WatchedSession(Session):
    """Tells the checker after each step."""

    def __init__(
        self,
        stage: Stage,
        checker: Checker,
        plan: Any,
        engine: Any,
        feed: Any,
        venue: Any,
        *args: Any,
        **options: Any,
    ) -> None:
        stage.ask = options["ask"]
        checker.begins(engine)
        watched = self._watched(feed, stage, checker)
        super().__init__(plan, engine, watched, _WatchedVenue(venue, checker), *args, **options)

    @staticmethod
    def _watched(feed: Any, stage: Stage, checker: Checker) -> Iterator[Message]:
        for message in outside(feed, TICKERS, stage.plan.seed) if stage.plan.seed % 10 == ALL_ON else feed:
            stage.alive("loop")
            stage.point("step", "loop")
            stage.clock.stop_if_due()
            yield message
            checker.step()
            if isinstance(message, Tick):
                checker.ticked()


class _WatchedVenue:
    """Notes the reads of the account."""

    def __init__(self, inner: Any, checker: Checker) -> None:
        self._inner = inner
        self._checker = checker

    def observe(self, message: Message) -> list[Message]:
        found = list(self._inner.observe(message))
        for each in found:
            if isinstance(each, AccountSnapshot):
                self._checker.looked(each)
        return found

    def perform(self, effect: Effect) -> Any:
        return self._inner.perform(effect)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _NoCourier:
    """Its thread lives in real time: on a busy machine it would write to the state file of a session now and then, and
    the session of a seed would be another one each time."""

    def __init__(self, _resources: Resources, home: Home) -> None:
        assert home.is_at_exchange

    def begin(self, _count_shards: Callable[[], int]) -> None:
        """Nothing is told."""

    def end_last(self, _last: int) -> None:
        """Nothing was told."""

    def running(self, _subject: str) -> AbstractContextManager[None]:
        return nullcontext()


class Programs:
    """Runs programs of the account: the loop, and commands beside it."""

    def __init__(self, stage: Stage, checker: Checker, world: World, stream_faults: StreamFaults) -> None:
        self._stage = stage
        self._checker = checker
        self._world = world
        self._stream_faults = stream_faults

    def _environment(self, who: str) -> VirtualEnvironment:
        return VirtualEnvironment(self._stage, self._checker, self._world, who)

    @contextmanager
    def open(self, who: str) -> Iterator[VirtualResources]:
        """Open a program beside the loop, for as long as it lasts."""
        with self._environment(who) as environment:
            yield environment.open()

    def trade(self, who: str = "loop", duration_s: float | None = None) -> None:
        """Run the loop until something ends it."""
        stage = self._stage
        request = TradeRequest(
            strategies=stage.plan.strategies,
            tickers=stage.tickers() or TICKERS,
            interval_s=stage.plan.interval_s,
            duration_s=duration_s,
            status_every_s=10_000,
        )
        before = loops_module.Session, loops_module.courier  # type: ignore[attr-defined]  # a loop may run in another
        loops_module.Session = partial(WatchedSession, stage, self._checker)  # type: ignore[attr-defined,assignment]
        loops_module.courier = _NoCourier  # type: ignore[assignment]
        try:
            with self._environment(who) as environment:
                loops = VirtualLoops(environment, stage, self._stream_faults)
                loops.trade(request, lambda _plan: None, lambda _summary: None)
        finally:
            loops_module.Session, loops_module.courier = before  # type: ignore[attr-defined]
