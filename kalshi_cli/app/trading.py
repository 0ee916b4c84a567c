"""The composition of a run: the clock, feed and venue of a loop or a recording."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.app.environment import Environment, opened
from kalshi_cli.app.inputs import run_inputs
from kalshi_cli.app.outputs import outputs_of_loop
from kalshi_cli.base.errors import CredentialsError
from kalshi_cli.base.units import pluralize
from kalshi_cli.config.config import refuse_other_hosts, refuse_unread_limits
from kalshi_cli.config.limits import limits_of
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import MarketChange, StateCommand
from kalshi_cli.core.state.exchange_state import shards
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.exchange.rest.rate_limits import Priority
from kalshi_cli.net.local_events import EventPublisher
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.services.monitoring.alert_dispatcher import AlertDispatcher
from kalshi_cli.services.monitoring.alerts import alerting, notify_directly
from kalshi_cli.services.monitoring.check_notices import failed_start_sent
from kalshi_cli.services.monitoring.config_check import require_usable_channels
from kalshi_cli.services.monitoring.health import require_ready_to_trade
from kalshi_cli.services.orders.flatten import flatten
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.runner import VenueProtocol
from kalshi_cli.services.trading.decision_deadline import DecisionDeadline
from kalshi_cli.services.trading.halts import refuse_to_start, with_locks
from kalshi_cli.services.trading.price_alerts import PriceAlertWatch
from kalshi_cli.services.trading.reports.live_events import LoopEvents, host_of
from kalshi_cli.services.trading.reports.run_reporter import EventLog
from kalshi_cli.services.trading.reports.run_summary import RunPlan, RunSummary
from kalshi_cli.services.trading.run_order_groups import RunOrderGroups
from kalshi_cli.services.trading.session import Session
from kalshi_cli.services.trading.start import reconcile_at_start, report_killed_loop
from kalshi_cli.services.trading.stop_signals import PauseSignal, RunEnd, StopSignals
from kalshi_cli.services.trading.strategy_watchdog import Watchdog, cancel_orders
from kalshi_cli.services.trading.wind_down import cancel_left, left_on_file, own_live, starting
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies.own_code import stdout_to_stderr

if TYPE_CHECKING:
    from kalshi_cli.core.monitoring.source_watch import Source
    from kalshi_cli.exchange.stream.reader import Stream
    from kalshi_cli.feeds.recorder import Recorder
    from kalshi_cli.services.research.journal import JournalRecorder
    from kalshi_cli.strategies.base import Strategy


class TradeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to trade. Without tickers and series: the most active open markets."""

    strategies: tuple[str, ...]
    tickers: tuple[str, ...] = ()
    series: str = ""
    fills: Literal["", "paper", "live"] = ""
    interval_s: float = 2.0
    duration_s: float | None = None
    status_every_s: float = 60.0
    params: dict[str, str] = {}


class RecordRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to record markets, and the data inputs of strategies with them: to the file `path`, or to a lake.

    Without tickers: the most active open markets of `series`.
    """

    tickers: tuple[str, ...] = ()
    series: str = ""
    path: Path | None = None
    lake: Path | None = None
    strategies: tuple[str, ...] = ()
    params: dict[str, str] = {}
    duration_s: float | None = None


class Recorded(NamedTuple):
    """A finished recording: its markets, the lines written, and the signal that ended it ("" without one)."""

    tickers: tuple[str, ...]
    lines: int
    stopped_by: str


class _Account(NamedTuple):
    """The account of a loop: its state file, its venue, and its order groups if it has any."""

    engine: TradingEngine
    venue: VenueProtocol
    groups: RunOrderGroups | None


class RunModes:
    """Runs the parts of an environment: `RunModes(environment).trade(...)`."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.config = environment.config

    def trade(
        self, request: TradeRequest, banner: Callable[[RunPlan], None], show: Callable[[RunSummary], None]
    ) -> RunSummary:
        """Run strategies until something ends it. On prod without `live`, and with `paper`, fills are simulated.

        A signal before the start of the loop is a KeyboardInterrupt. Any end of the run is an OutcomeUnknownError if
        orders of this run, or of an earlier one, may be live.
        """
        from kalshi_cli.exchange.live.live_feed import LiveFeed

        config, clock = self.config, self.environment.clock
        refuse_unread_limits(config)
        is_paper = request.fills == "paper" or (config.env == "prod" and request.fills != "live")
        strategies = self._strategies(request)
        signals, zone = StopSignals(clock), ZoneInfo(config.day_zone)
        decision = DecisionDeadline(clock, config.trade.decision_limit_s, lambda: signals.heard)
        journal = EventLog(
            clock, limits_of(config), decided_s=lambda: decision.begun_s, day_of=lambda ts: day_of(ts, zone)
        )
        resources = self.environment.open(journal, decision.refuse)
        home = resources.find_home(is_at_exchange=not is_paper)
        with RunEnd(resources.tell) as end, signals, PauseSignal(home.folder), ExitStack() as stack:
            with failed_start_sent(resources, home, ",".join(request.strategies)):
                stack.enter_context(lock(home.folder / "trade.lock", clock))
                store = self._store(resources, stack, home)
                last_alert = store.alert_book.last_alert()
            end.count_with(lambda: len(left_on_file(store)) if home.is_at_exchange else 0)
            refuse_other_hosts(config, "exchange.rest_url", "exchange.ws_url")
            journal.open(outputs_of_loop(resources, stack, home, ",".join(request.strategies)))
            telling = courier(resources, home)
            stack.enter_context(telling.running(",".join(request.strategies)))
            stack.enter_context(self._starting(resources, store, signals, request, home))
            refuse_to_start(store)
            resources.limiter.rank = Priority.TRADER
            require_ready_to_trade(resources.client, home.folder, resources.tell)
            if resources.signer is not None:
                resources.client.refresh_limits()
            markets = run_markets(resources.client, clock.now(), request.tickers, request.series, resources.tell)
            fees = {market.ticker: resources.families.fees(market) for market in markets}
            families = {market.event_ticker: resources.families.family(market) for market in markets}
            stream = self._stream(resources, stack, markets, has_account=home.is_at_exchange)
            engine, venue, groups = self._account(resources, home, store, stream, markets, fees, families, strategies)
            feed = LiveFeed(
                stream, resources.client, clock, markets=markets, interval_s=request.interval_s,
                suspended_s=config.trade.suspended_after_s, charge=resources.families.fees_anew,
                discover=partial(self._newly_open, resources, request, fees, groups),
                quoted=lambda: [order.ticker for order in engine.state.orders.live()],
                tell=resources.tell,
            )  # fmt: skip
            plan = self._plan(request, strategies, home.name, len(markets), resources.run_id)
            telling.begin(lambda: len(shards(engine.state.exchange)) if engine.state.exchange is not None else 0)
            sources = stack.enter_context(
                run_inputs(resources, strategies, feed.enqueue, lambda: tuple(engine.state.markets.values()))
            )
            banner(msgspec.structs.replace(plan, balance=engine.cash, feeds=_started(stream, sources())))
            session = Session(
                plan, engine, decision.over(with_locks(feed, store)), venue, store, clock,
                ask=feed.request, tell=resources.tell, note=resources.note, show=show, journal=journal,
                feed_age_s=lambda: feed.last_message_age_s, feed_lag_ms=lambda: feed.lag_ms, sources=sources,
                is_at_exchange=home.is_at_exchange, price_alerts=PriceAlertWatch(home.folder, store.alerts(), clock),
                events=_events(resources, stack, home, store), reported=partial(telling.end_last, last_alert),
            )  # fmt: skip
            end.count_with(lambda: len(own_live(engine)))
            signals.pass_to(feed.request)
            feed.tick_at(clock.monotonic() + (math.inf if request.duration_s is None else request.duration_s))
            with self._watched(resources, home, engine, request.interval_s), stdout_to_stderr():
                summary = session.run()
            if groups is not None:
                groups.close(engine.state.orders.live())
        return summary

    def _store(self, resources: Resources, stack: ExitStack, home: Home) -> Store:
        """Open the state file of the account, or that of paper trading, which all keys share."""
        if home.is_at_exchange:
            if not (home.folder / "state.db").exists():
                resources.note("No state file; reading the account history from the exchange")
            return resources.store
        return stack.enter_context(resources.open_store(home, is_reported=True))

    def _starting(
        self, resources: Resources, store: Store, signals: StopSignals, request: TradeRequest, home: Home
    ) -> AbstractContextManager[None]:
        """Handle signals until the loop starts."""
        clock, now = resources.clock, resources.clock.now()
        cycle = Heartbeat(
            run_id=resources.run_id, pid=os.getpid(), mode=home.name, strategy=",".join(request.strategies),
            started=now, completed=now, cycles=0, is_running=False,
        )  # fmt: skip

        def cancel() -> None:
            budget_s, client = self.config.trade.stop_budget_s, learn_key(resources, store)
            cancel_left(client, store, clock, resources.new_id, budget_s, tell=resources.tell, note=resources.note)

        return starting(store, clock, signals, cycle, cancel if home.is_at_exchange else None, resources.tell)

    def _account(
        self,
        resources: Resources,
        home: Home,
        store: Store,
        stream: Stream | None,
        markets: Sequence[Market],
        fees: dict[str, FeeSchedule],
        families: dict[str, Family],
        strategies: Sequence[Strategy],
    ) -> _Account:
        """Load and reconcile the account at the exchange, and open its order groups; or load the paper account."""
        from kalshi_cli.services.account.paper_account import load_paper, markets_held

        config, clock = self.config, resources.clock
        if not home.is_at_exchange:
            engine, paper = load_paper(
                store, clock, resources.limits, cash=config.sim.starting_cash, markets=markets, fees=fees,
                new_id=resources.new_id, strategies=strategies, references=config.references, families=families,
                order_expiry_s=config.trade.order_expiry_s, client=resources.client,
                resync=stream.resync if stream is not None else lambda _ticker: None,
                read_held=partial(markets_held, resources.client, tell=resources.tell), tell=resources.tell,
            )  # fmt: skip
            engine.state.simulated_group_limit = config.trade.group_limit
            return _Account(engine, paper, None)
        client, last = learn_key(resources, store), store.last_cycle()
        engine = load_engine(
            client, store, clock, resources.limits, markets=markets, fees=fees, new_id=resources.new_order_id,
            strategies=strategies, references=config.references, families=families,
            order_expiry_s=config.trade.order_expiry_s,
            agree=partial(reconcile_at_start, tell=resources.tell, note=resources.note, last=last),
        )  # fmt: skip
        report_killed_loop(store, last, clock.now())
        venue = LiveVenue(
            client, stream, clock,
            live=engine.state.orders.looked_for, known=engine.state.orders.by_order_id, since=engine.state.last_entry,
            elsewhere=engine.state.untraded_held_markets, tell=resources.tell,
        )  # fmt: skip
        groups = RunOrderGroups(client, store, engine.state, config.trade.group_limit, resources.tell)
        groups.open(markets)
        return _Account(engine, venue, groups)

    @contextmanager
    def _watched(self, resources: Resources, home: Home, engine: TradingEngine, interval_s: float) -> Iterator[None]:
        """Watch for a strategy that does not return. On paper the exchange has no orders to cancel."""

        def remember(alert: AlertRaised) -> None:
            """Cancel from the thread of the watchdog, over a separate connection."""
            with resources.open_store(home, is_reported=True) as store:
                store.record(alert)

        is_clear = partial(cancel_orders, resources.client, engine.state.orders.live, resources.tell)
        watchdog = Watchdog(
            lambda: engine.hooks.asked, max(2 * interval_s, self.config.trade.strategy_limit_s), resources.clock,
            tell=resources.tell, remember=remember, withdraw=is_clear if home.is_at_exchange else lambda: True,
        )  # fmt: skip
        with watchdog.watching():
            yield

    def _newly_open(
        self,
        resources: Resources,
        request: TradeRequest | RecordRequest,
        fees: dict[str, FeeSchedule],
        groups: RunOrderGroups | None = None,
    ) -> list[MarketChange]:
        """Return new markets that a loop would start on now, and add their `fees`; none if markets were named."""
        if request.tickers:
            return []
        now = resources.clock.now()
        found = [m for m in run_markets(resources.client, now, (), request.series) if m.ticker not in fees]
        found = groups.admit(found) if groups is not None else found
        fees.update({market.ticker: resources.families.fees(market) for market in found})
        return [MarketChange(now, m, fees[m.ticker], resources.families.family(m)) for m in found]

    def record(self, request: RecordRequest) -> Recorded:
        """Write the stream of some markets, and the inputs of strategies, to a file or lake until interrupted."""
        from kalshi_cli.exchange.live.live_feed import LiveFeed

        strategies = self._strategies(request)
        resources = self.environment.open()
        client, clock, families = resources.client, resources.clock, resources.families
        with ExitStack() as stack:
            markets = run_markets(client, clock.now(), request.tickers, request.series, resources.tell)
            recorder, upkeep = self._recorder(request, resources)
            begun = stack.enter_context(ExitStack())
            begun.callback(recorder.path.unlink, missing_ok=True)  # a refused start leaves no file behind
            stack.callback(recorder.close)
            fees = {market.ticker: families.fees(market) for market in markets}
            for market in markets:
                recorder.watch(market, fees[market.ticker], families.family(market))
            stream = self._stream(resources, stack, markets, recorder)
            if stream is None:
                raise CredentialsError("Recording requires an API key")

            def newly_open() -> list[MarketChange]:
                found = self._newly_open(resources, request, fees)
                for change in found:  # before the stream sends their books
                    recorder.watch(change.market, change.fees, change.family)
                markets.extend(change.market for change in found)
                return found

            feed = LiveFeed(
                stream, client, clock, markets=markets, interval_s=1.0,
                discover=newly_open, charge=families.fees_anew, tell=resources.tell,
            )  # fmt: skip
            stack.enter_context(run_inputs(resources, strategies, recorder.heard, lambda: tuple(markets)))
            begun.pop_all()
            until = math.inf if request.duration_s is None else clock.monotonic() + request.duration_s
            feed.tick_at(until)
            with StopSignals(clock, feed.request) as signals:  # before the line that names Ctrl-C
                where = request.path or "the lake"
                resources.note(f"Recording {pluralize(len(markets), 'market')} to {where}; press Ctrl-C to stop")
                for message in feed:
                    if isinstance(message, MarketChange):
                        recorder.watch(message.market, message.fees, message.family)
                    upkeep(stream.resync)
                    if recorder.is_full:
                        resources.tell(
                            f"{recorder.path} is full at {recorder.lines} lines; continue recording in another file"
                        )
                        break
                    if isinstance(message, StateCommand) or clock.monotonic() >= until:
                        break
        return Recorded(tuple(market.ticker for market in markets), recorder.lines, signals.heard)

    def _recorder(
        self, request: RecordRequest, resources: Resources
    ) -> tuple[Recorder | JournalRecorder, Callable[[Callable[[str], None]], None]]:
        """Return the recorder of a file or of a lake, and its upkeep, which may request snapshots of a market."""
        if request.path is not None:
            from kalshi_cli.feeds.recorder import Recorder

            return Recorder(request.path, resources.clock), lambda _resync: None
        from kalshi_cli.services.research.service import ResearchService

        lake = ResearchService(resources).lake(request.lake, is_new=True)
        from kalshi_cli.services.research.journal import JournalRecorder, add_leftovers

        add_leftovers(lake, resources.machine, resources.tell)
        journal = JournalRecorder(lake, resources.clock, resources.machine, resources.tell)
        return journal, journal.upkeep

    def _stream(
        self,
        resources: Resources,
        stack: ExitStack,
        markets: Sequence[Market],
        tap: Recorder | JournalRecorder | None = None,
        *,
        has_account: bool = False,
    ) -> Stream | None:
        """Start the stream; return None without a key to sign its handshake, or its address: then books are polled.

        Only a loop that trades on the account (`has_account`) subscribes to the account's own channels.
        """
        if resources.signer is None or not resources.ws_url:
            lacking = "API key" if resources.signer is None else "stream address (KALSHI_WS_URL, or exchange.ws_url)"
            resources.note(f"No {lacking}: order books are polled, which is slower than the stream")
            return None
        from kalshi_cli.exchange.stream.reader import Stream
        from kalshi_cli.exchange.stream.sequencing import CHANNELS, MARKET_CHANNELS

        prefixes = self.config.references.items()
        indexes = {index for prefix, index in prefixes if any(m.ticker.startswith(prefix) for m in markets)}
        stream = Stream(
            resources.ws_url, resources.signer, resources.clock, resources.rng,
            tickers=[market.ticker for market in markets], channels=CHANNELS if has_account else MARKET_CHANNELS,
            index_ids=sorted(indexes), tell=resources.tell, tap=tap,
        )  # fmt: skip
        stream.start()
        stack.callback(stream.stop)
        return stream

    def _strategies(self, request: TradeRequest | RecordRequest) -> list[Strategy]:
        """Create the strategies. ConfigError if a source of their data inputs is missing."""
        from kalshi_cli.strategies.registry import require_sources

        made = self.environment.strategies(request.strategies, request.params)
        require_sources(made)
        return made

    def _plan(
        self, request: TradeRequest, strategies: Sequence[Strategy], mode: str, markets: int, run_id: str
    ) -> RunPlan:
        from kalshi_cli.services.account.paper_account import PAPER_LATENCY_MS
        from kalshi_cli.services.trading.reports.run_settings import run_settings
        from kalshi_cli.strategies.registry import fingerprint, settings

        env = self.config.env
        words = {
            "paper": f"PAPER TRADING: real order books of {env}, simulated fills, no real money",
            "sim": "SIMULATED EXCHANGE: no real money",
            "live": "LIVE TRADING on Kalshi: REAL MONEY" if env == "prod" else "DEMO EXCHANGE: play money",
        }
        return RunPlan(
            run_id=run_id, pid=os.getpid(), strategy=",".join(request.strategies), env=env, mode=mode,
            words=words[mode], code=tuple(filter(None, map(fingerprint, request.strategies))), markets=markets,
            duration_s=request.duration_s, status_every_s=request.status_every_s,
            stop_budget_s=self.config.trade.stop_budget_s, params=settings(strategies),
            settings=run_settings(
                self.config, request.strategies, [each.name for each in strategies], request.interval_s
            ),
            simulated_latency={"paper": f"{PAPER_LATENCY_MS}ms"}.get(mode),
        )  # fmt: skip


def _events(resources: Resources, stack: ExitStack, home: Home, store: Store) -> LoopEvents | None:
    """Publish the events of a loop for screens; where that is impossible, the loop runs without."""
    problem = "the path of the state folder is too long; set XDG_RUNTIME_DIR"
    if home.events is not None:
        try:
            publisher = EventPublisher(home.events)
        except OSError as error:
            problem = str(error)
        else:
            stack.callback(publisher.close)
            return LoopEvents(
                publisher, resources.clock, store,
                host=host_of(resources) if home.is_at_exchange else "",
                has_real_money=home.is_at_exchange and resources.needs_confirmation,
            )  # fmt: skip
    resources.tell(f"`kalshi top` and `kalshi serve` cannot follow this loop: {problem}")
    return None


def _started(stream: Stream | None, sources: tuple[Source, ...]) -> tuple[str, ...]:
    """Return the state of the market data, and of the data inputs, at the start of a loop."""
    data = "order books polled" if stream is None else "stream connected" if stream.is_live else "stream connecting"
    return (data, *(f"{each.name} started" for each in sources))


def courier(resources: Resources, home: Home) -> AlertDispatcher:
    """Create the dispatcher of the alerts that a loop records. On paper the exchange has nothing to close.

    ConfigError for an invalid alert channel.
    """
    require_usable_channels(resources.config, resources.machine)
    own = partial(opened, resources.config, resources.tell, resources.note)
    return AlertDispatcher(
        partial(alerting, resources, home), resources.clock, resources.tell,
        partial(flatten, own) if home.is_at_exchange else None, partial(notify_directly, resources),
    )  # fmt: skip
