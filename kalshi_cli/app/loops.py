"""The composition of a run: which clock, feed and venue a loop, a backtest and a recording get."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kalshi_cli.app import App
from kalshi_cli.app.alerts import courier
from kalshi_cli.app.inputs import listening
from kalshi_cli.app.records import journal_of_loop
from kalshi_cli.base.errors import CredentialsError
from kalshi_cli.config.config import state_dir
from kalshi_cli.config.hosts import refuse_other_hosts
from kalshi_cli.core.engine.engine import Engine
from kalshi_cli.core.model.effects import Alert
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import Command, MarketChange
from kalshi_cli.core.state.exchange_state import shards
from kalshi_cli.desk import health
from kalshi_cli.desk.account import load_engine
from kalshi_cli.desk.backtest import BacktestReport, BacktestRequest
from kalshi_cli.desk.decision import DecisionDeadline
from kalshi_cli.desk.groups import RunGroups
from kalshi_cli.desk.halts import refuse_to_start
from kalshi_cli.desk.listing import universe
from kalshi_cli.desk.locks import with_locks
from kalshi_cli.desk.signals import PauseSignal, StopSignals, after_a_run
from kalshi_cli.desk.start import agree
from kalshi_cli.desk.summary import Plan, Summary
from kalshi_cli.desk.trade import Session, TradeRequest
from kalshi_cli.desk.watchdog import Watchdog, withdraw
from kalshi_cli.desk.wind_down import Start, cancel_left, left_on_file, own_live, starting
from kalshi_cli.exchange.rest.rate_limits import Rank
from kalshi_cli.runner import Venue
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Cycle
from kalshi_cli.store.sqlite_store import SqliteStore
from kalshi_cli.store.state_store import Store

if TYPE_CHECKING:
    from kalshi_cli.exchange.stream.reader import Stream
    from kalshi_cli.feeds.recorder import Recorder
    from kalshi_cli.strategies.base import Strategy


class RecordRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Markets to follow, and strategies whose inputs from outside the exchange are written down with them."""

    tickers: tuple[str, ...]
    path: Path
    strategies: tuple[str, ...] = ()
    params: dict[str, str] = {}
    duration_s: float | None = None


class Loops:
    """Runs of this program's parts: `Loops(app).trade(...)`."""

    def __init__(self, app: App) -> None:
        self.app = app

    def trade(self, request: TradeRequest, banner: Callable[[Plan], None], show: Callable[[Summary], None]) -> Summary:
        """Run strategies until something ends it. On prod without `live`, and with `paper`, fills are simulated.

        A signal before the loop began is a KeyboardInterrupt. Whatever ends the run is an OutcomeUnknownError where
        orders of it, or of a run before it, may be live.
        """
        from kalshi_cli.exchange.live.live_feed import LiveFeed

        app, config = self.app, self.app.config
        is_paper = request.fills == "paper" or (config.env == "prod" and request.fills != "live")
        home = state_dir(config, "paper") if is_paper else app.state_dir
        strategies = self._strategies(request)
        live: Callable[[], int] | None = None
        with ExitStack() as stack:
            stack.enter_context(after_a_run(lambda: live() if live is not None else None, app.tell))
            signals = stack.enter_context(StopSignals(app.clock))
            stack.enter_context(PauseSignal(home))
            stack.enter_context(lock(home / "trade.lock", app.clock))
            if not is_paper and not (home / "state.db").exists():
                app.note("no state file: what this account did is read from the exchange")
            store = self._open_paper(stack, home) if is_paper else app.store
            live = (lambda: 0) if is_paper else lambda: len(left_on_file(store))
            refuse_other_hosts(config, "exchange.rest_url", "exchange.ws_url")
            decision = DecisionDeadline(app.clock, config.trade.decision_limit_s, lambda: signals.heard)
            mode = "paper" if is_paper else "sim" if config.env == "sim" else "live"
            app.journal = journal_of_loop(
                app, stack, home, store, mode=mode, strategy=",".join(request.strategies), decision=decision
            )
            telling = courier(app, is_paper=is_paper)
            stack.enter_context(telling.running(",".join(request.strategies)))
            start = stack.enter_context(self._starting(store, signals, request, mode, is_paper=is_paper))
            refuse_to_start(store)
            app.limiter.rank = Rank.TRADER
            health.refuse_unless_fit(app.client, home, app.tell)
            if app.signer is not None:
                app.client.refresh_limits()
            markets = universe(app.client, app.clock.now(), request.tickers, request.series)
            fees = {market.ticker: app.families.fees(market) for market in markets}
            families = {market.event_ticker: app.families.family(market) for market in markets}
            stream = self._stream(stack, markets, has_account=not is_paper)
            feed = LiveFeed(
                stream, app.client, app.clock, markets=markets, interval_s=request.interval_s,
                suspended_s=config.trade.suspended_after_s,
                discover=lambda: self._newly_open(request, fees, groups), charge=app.families.fees_anew,
                quoted=lambda: [order.ticker for order in engine.state.orders.live()], tell=app.tell,
            )  # fmt: skip
            engine, venue, groups = self._account(store, stream, markets, fees, families, strategies, is_paper=is_paper)
            plan = self._plan(request.strategies, mode, len(markets), request)
            app.before_order = decision.refuse_if_late
            telling.begin(lambda: len(shards(engine.state.exchange)) if engine.state.exchange is not None else 0)
            sources = stack.enter_context(
                listening(app, strategies, feed.bring, lambda: tuple(engine.state.markets.values()))
            )
            banner(plan)
            session = Session(
                plan, engine, decision.over(with_locks(feed, store)), venue, store, app.clock,
                ask=feed.request, tell=app.tell, note=app.note, show=show,
                feed_age_s=lambda: feed.last_message_age_s, feed_lag_ms=lambda: feed.lag_ms,
                journal=app.journal, sources=sources,
            )  # fmt: skip
            live, signals.ask, start.is_over = lambda: len(own_live(engine)), feed.request, True
            with self._watched(engine, home, request.interval_s, is_paper=is_paper):
                summary = session.run()
            if groups is not None:
                groups.close(engine.state.orders.live())
        return summary

    def _starting(
        self, store: Store, signals: StopSignals, request: TradeRequest, mode: str, *, is_paper: bool
    ) -> AbstractContextManager[Start]:
        """Answer for a run until its loop begins."""
        app, now = self.app, self.app.clock.now()
        cycle = Cycle(
            run_id=app.run_id, pid=os.getpid(), mode=mode, strategy=",".join(request.strategies), started=now,
            completed=now, cycles=0, is_running=False,
        )  # fmt: skip

        def cancel() -> None:
            budget_s = app.config.trade.stop_budget_s
            cancel_left(app.learn_key(store), store, app.clock, app.new_id, budget_s, tell=app.tell, note=app.note)

        return starting(store, app.clock, signals, cycle, None if is_paper else cancel, app.tell)

    def _account(
        self,
        store: Store,
        stream: Stream | None,
        markets: Sequence[Market],
        fees: dict[str, FeeSchedule],
        families: dict[str, Family],
        strategies: Sequence[Strategy],
        *,
        is_paper: bool,
    ) -> tuple[Engine, Venue, RunGroups | None]:
        """The account that is traded on: that at the exchange, agreed with, in its order groups; or one on paper."""
        from kalshi_cli.desk.paper import load_paper
        from kalshi_cli.exchange.live.live_venue import LiveVenue

        app, config = self.app, self.app.config
        if is_paper:
            engine, paper = load_paper(
                store, app.clock, app.limits, cash=config.sim.starting_cash, markets=markets, fees=fees,
                new_id=app.new_id, strategies=strategies, references=config.references, families=families,
                order_expiry_s=config.trade.order_expiry_s,
                resync=stream.resync if stream is not None else lambda _ticker: None,
            )  # fmt: skip
            return engine, paper, None
        app.learn_key(store)
        engine = load_engine(
            app.client, store, app.clock, app.limits, markets=markets, fees=fees, new_id=app.new_order_id,
            strategies=strategies, references=config.references, families=families,
            order_expiry_s=config.trade.order_expiry_s, agree=partial(agree, tell=app.tell, note=app.note),
        )  # fmt: skip
        venue = LiveVenue(
            app.client, stream, app.clock,
            live=engine.state.orders.looked_for, known=engine.state.orders.by_order_id, since=engine.state.last_entry,
            elsewhere=engine.state.elsewhere, tell=app.tell,
        )  # fmt: skip
        groups = RunGroups(app.client, store, engine.state, config.trade.group_limit, app.tell)
        groups.open(markets)
        return engine, venue, groups

    @contextmanager
    def _watched(self, engine: Engine, home: Path, interval_s: float, *, is_paper: bool) -> Iterator[None]:
        """A strategy that does not come back is noticed. On paper nothing is at the exchange to be cancelled."""
        app = self.app

        def remember(alert: Alert) -> None:
            """From the thread of the watchdog, which needs a connection of its own."""
            account = "paper" if is_paper else app.account
            with SqliteStore.open(home / "state.db", account=account, environment=app.config.env) as store:
                store.on_record = app.journal.note
                store.record(alert)

        watchdog = Watchdog(
            lambda: engine.asked, max(2 * interval_s, app.config.trade.strategy_limit_s), app.clock,
            tell=app.tell, remember=remember,
            withdraw=(lambda: True) if is_paper else partial(withdraw, app.client, engine.state.orders.live, app.tell),
        )  # fmt: skip
        with watchdog.watching():
            yield

    def _newly_open(
        self, request: TradeRequest, fees: dict[str, FeeSchedule], groups: RunGroups | None
    ) -> list[MarketChange]:
        """What a loop would be started on now, without what it knows already; nothing where markets were named."""
        if request.tickers:
            return []
        now = self.app.clock.now()
        found = [m for m in universe(self.app.client, now, (), request.series) if m.ticker not in fees]
        found = groups.admit(found) if groups is not None else found
        fees.update({market.ticker: self.app.families.fees(market) for market in found})
        return [MarketChange(now, m, fees[m.ticker], self.app.families.family(m)) for m in found]

    def _open_paper(self, stack: ExitStack, home: Path) -> Store:
        """Paper has no account: whoever looks at the real books, through whichever key, has the same one."""
        store = SqliteStore.open(home / "state.db", account="paper", environment=self.app.config.env)
        stack.callback(store.close)
        store.on_record = lambda effect: self.app.journal.note(effect)
        return store

    def backtest(self, request: BacktestRequest) -> BacktestReport:
        """The same engine and strategies over recordings, with simulated fills, in recorded time."""
        from kalshi_cli.desk.paper import over_recordings

        numbers = random.Random(self.app.config.sim.seed)
        strategies = self._strategies(request)
        return over_recordings(
            request, self._plan(request.strategies, "backtest", 0),
            msgspec.structs.replace(self.app.limits, max_daily_loss=None, max_drawdown=None),  # nobody could resume
            strategies,
            cash=self.app.config.sim.starting_cash,
            new_id=lambda: str(uuid.UUID(int=numbers.getrandbits(128), version=4)),
            references=self.app.config.references, order_expiry_s=self.app.config.trade.order_expiry_s,
            inputs=[wanted for strategy in strategies for wanted in strategy.inputs()],
            tell=self.app.tell, note=self.app.note,
        )  # fmt: skip

    def record(self, request: RecordRequest) -> int:
        """Write the stream of some markets, and what strategies hear from outside, to a file until interrupted; how
        many lines there are."""
        from kalshi_cli.exchange.live.live_feed import LiveFeed
        from kalshi_cli.feeds.recorder import Recorder

        strategies, path = self._strategies(request), request.path
        with ExitStack() as stack:
            markets = universe(self.app.client, self.app.clock.now(), request.tickers, "")
            recorder = Recorder(path, self.app.clock)
            begun = stack.enter_context(ExitStack())
            begun.callback(path.unlink, missing_ok=True)  # what is refused here leaves no file in the way of the next
            stack.callback(recorder.close)
            for market in markets:
                recorder.watch(market, self.app.families.fees(market), self.app.families.family(market))
            stream = self._stream(stack, markets, recorder)
            if stream is None:
                raise CredentialsError("recording needs the stream, and the stream needs an API key")
            feed = LiveFeed(
                stream, self.app.client, self.app.clock, markets=markets, interval_s=1.0,
                charge=self.app.families.fees_anew, tell=self.app.tell,
            )  # fmt: skip
            stack.enter_context(listening(self.app, strategies, recorder.heard, lambda: markets))
            begun.pop_all()
            until = None if request.duration_s is None else self.app.clock.monotonic() + request.duration_s
            with StopSignals(self.app.clock, feed.request):
                for message in feed:
                    if isinstance(message, MarketChange):
                        recorder.watch(message.market, message.fees, message.family)
                    if recorder.is_full:
                        self.app.tell(f"{path} is full at {recorder.lines} lines; record on into another file")
                        break
                    if isinstance(message, Command) or (until is not None and self.app.clock.monotonic() >= until):
                        break
            return recorder.lines

    def _stream(
        self, stack: ExitStack, markets: Sequence[Market], tap: Recorder | None = None, *, has_account: bool = False
    ) -> Stream | None:
        """Start the stream; return None where no key signs its handshake: then the books are polled.

        Only a loop that trades on the account (`has_account`) subscribes to the account's own channels.
        """
        if self.app.signer is None or not self.app.ws_url:
            self.app.note("no API key: order books are polled, which is slower than the stream")
            return None
        from kalshi_cli.exchange.stream.reader import Stream
        from kalshi_cli.exchange.stream.sequencing import CHANNELS, MARKET_CHANNELS

        prefixes = self.app.config.references.items()
        indexes = {index for prefix, index in prefixes if any(m.ticker.startswith(prefix) for m in markets)}
        stream = Stream(
            self.app.ws_url, self.app.signer, self.app.clock, self.app.rng,
            tickers=[market.ticker for market in markets], channels=CHANNELS if has_account else MARKET_CHANNELS,
            index_ids=sorted(indexes), tell=self.app.tell, tap=tap,
        )  # fmt: skip
        stream.start()
        stack.callback(stream.stop)
        return stream

    def _strategies(self, request: TradeRequest | BacktestRequest | RecordRequest) -> list[Strategy]:
        """With the parameters of the configuration, then those of the command."""
        from kalshi_cli.strategies import registry

        configured = self.app.config.strategies
        allotted = self.app.config.allotments
        made = registry.make_all(request.strategies, configured, request.params, allotted)
        for name, meant in registry.misspelt((*configured, *allotted), made):
            self.app.tell(f"strategies.{name} in the configuration is of no strategy here; is {meant} meant?")
        return made

    def _plan(self, strategies: Sequence[str], mode: str, markets: int, request: TradeRequest | None = None) -> Plan:
        from kalshi_cli.strategies.registry import fingerprint

        env = self.app.config.env
        words = {
            "paper": f"PAPER: real books of {env}, simulated fills, no real money",
            "backtest": "BACKTEST: recorded books, simulated fills",
            "sim": "SIMULATED exchange: no real money",
            "live": "LIVE on Kalshi: REAL MONEY" if env == "prod" else "DEMO exchange: play money",
        }
        trade = self.app.config.trade
        return Plan(
            run_id=self.app.run_id, pid=os.getpid(), strategy=",".join(strategies), env=env, mode=mode,
            words=words[mode], code=tuple(filter(None, map(fingerprint, strategies))), markets=markets,
            duration_s=request.duration_s if request else None,
            status_every_s=request.status_every_s if request else trade.status_every_s,
            stop_budget_s=trade.stop_budget_s,
        )  # fmt: skip
