"""A run of the loop, whatever its clock, feed and venue: heartbeat, status, orderly stop, summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import show_money, show_price, show_qty
from kalshi_cli.core.engine.book_validity import can_trade, markets_without_book
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, Effect, FillBooked, SettlementBooked, StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import Message, StateCommand, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.monitoring.source_watch import Source, SourceWatch
from kalshi_cli.services.runner import RecorderProtocol, VenueProtocol, run
from kalshi_cli.services.trading.run_reporter import CycleReport, EventLog
from kalshi_cli.services.trading.run_score import StrategyResults
from kalshi_cli.services.trading.run_summary import RunPlan, RunSummary, summarize
from kalshi_cli.services.trading.stop_signals import exit_code_of, truthful
from kalshi_cli.services.trading.wind_down import MAX_WHY_LENGTH, WindDown, own_live, tell_live
from kalshi_cli.store.records import PAUSED, Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.store.state_store import pack_sources

TRAFFIC_EVERY_S = 5.0


class ReportingRecorder:
    """Writes effects down, and tells a person of alerts, fills and settlements as they come."""

    def __init__(self, store: RecorderProtocol, tell: Callable[[str], None], note: Callable[[str], None]) -> None:
        self._store = store
        self._tell = tell
        self._note = note
        self._moved = ("", "")
        """The code and reason of the last change of state: the alert about it says the same sentence."""

    def record(self, effect: Effect) -> None:
        self._store.record(effect)
        if isinstance(effect, AlertRaised):
            if (effect.code, effect.text) != self._moved:
                self._tell(f"{effect.tier.upper()} {effect.code} {effect.subject}: {effect.text}")
        elif isinstance(effect, StateChanged):
            self._moved = (effect.code, effect.reason)
            self._tell(_said(effect.state, effect.code, effect.reason))
        elif isinstance(effect, FillBooked):
            fill = effect.fill
            verb = "bought" if fill.side is BID else "sold"
            how = "taker" if fill.is_taker else "maker"
            price, fee = show_price(fill.price), show_money(fill.fee)
            self._note(f"{verb} {show_qty(fill.qty)} YES {fill.ticker} at {price} ({how}, fee {fee})")
        elif isinstance(effect, SettlementBooked):
            settled = effect.settlement
            self._note(f"settled {settled.ticker}: {settled.result}, paid {show_money(settled.revenue)}")


class Session:
    """Drives one run to its end. `ask` hands a command to the feed, from any thread or signal handler."""

    def __init__(
        self,
        plan: RunPlan,
        engine: TradingEngine,
        feed: Iterable[Message],
        venue: VenueProtocol,
        store: Store,
        clock: Clock,
        *,
        ask: Callable[[StateCommand], None],
        tell: Callable[[str], None],
        note: Callable[[str], None],
        show: Callable[[RunSummary], None],
        feed_age_s: Callable[[], float | None],
        feed_lag_ms: Callable[[], int | None] = lambda: None,
        journal: EventLog | None = None,
        sources: Callable[[], tuple[Source, ...]] = tuple,
    ) -> None:
        self._journal = journal or EventLog(clock)
        self._plan = plan
        self._engine = engine
        self._feed = feed
        self._venue = venue
        self._store = store
        self._recorder = ReportingRecorder(store, tell, note)
        self._clock = clock
        self._ask = ask
        self._tell = tell
        self._note = note
        self._show = show
        self._feed_age_s = feed_age_s
        self._feed_lag_ms = feed_lag_ms
        self._score = StrategyResults(engine)
        self._started_at = clock.now()
        self._started = clock.monotonic()
        self._shown = self._started
        self._cycles = 0
        self._stopped_by = ""
        self._traffic_written = self._started
        self._wind_down = WindDown(
            engine, venue, self._recorder, clock, plan.stop_budget_s, tell=tell, note=note, begun=self._journal.stopping
        )
        self._halt = store.halt()
        self._sources = sources
        self._source_watch = SourceWatch(store.alerts())

    def run(self) -> RunSummary:
        """Run until a command, the duration or the feed ends it; then cancel what is live, within the stop budget.

        Raises what ended it otherwise; OutcomeUnknownError in its place where orders may be live then, which are told.
        A second SIGINT ends it at once.
        """
        if self._engine.state.trading is not TradingState.ACTIVE:
            self._tell(_said(self._halt.state, self._halt.code, self._halt.reason))
        self._journal.on_start(self._plan, self._engine, self._store)
        why = "interrupted again while it was stopping"
        failure: BaseException | None = KeyboardInterrupt()
        try:
            try:
                run(self._feed, self._engine, self._venue, self._recorder, self._after)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                why = str(error) or type(error).__name__
                self._journal.failed(why)
                self._wind_down.run(error)
                raise
            self._wind_down.run()
            why, failure = "", None
        except BaseException as error:
            failure = truthful(error, len(own_live(self._engine)), self._tell)
            if failure is error:
                raise
            raise failure from error
        finally:
            tell_live(own_live(self._engine), self._tell)
            try:
                self._record_all(self._source_watch.stopped(self._clock.now()))
                self._write_traffic(is_last=True)
                self._halt = self._store.halt()
                self._beat(is_running=False, why=why, failure=failure)
            finally:
                self._journal.ended(self.summary(), why)
        return self.summary()

    def summary(self) -> RunSummary:
        """The run so far."""
        summary = summarize(
            self._engine,
            self._score,
            self._plan,
            cycles=self._cycles,
            uptime_s=self._clock.monotonic() - self._started,
            day_net=self._engine.day_net,
            stopped_by=self._stopped_by,
        )
        halt, state = self._halt, self._engine.state
        return msgspec.structs.replace(
            summary,
            halt=halt.code if halt.is_final else "",
            is_paused=halt.is_pause,
            reducing=f"{halt.code}: {halt.reason}" if halt.state is TradingState.REDUCING else "",
            triggered_groups=tuple(sorted(state.triggered_groups.intersection(state.groups.values()))),
        )

    def _after(self, message: Message) -> None:
        """After each message: why we stop. After each completed cycle: heartbeat, halt, status, duration."""
        if isinstance(message, StateCommand) and message.state is None:
            self._stopped_by = message.source
        if not isinstance(message, Tick):
            self._journal.heard(message)
            return
        self._cycles += 1
        self._write_traffic()
        self._record_all(self._source_watch.look(self._sources(), self._clock.now()))
        if self._engine.state.blind_since is None:  # a heart that beats says that the account is looked after
            self._beat(is_running=True)
        self._obey_halt()
        self._journal.cycle(
            CycleReport(
                cycles=self._cycles,
                is_fresh=can_trade(self._engine.state, self._clock.now(), self._engine.limits.max_book_age_ms),
                day_net=self._engine.day_net,
                unrealized=self._score.unrealized(),
                halt=self._halt,
                feed_age_s=self._feed_age_s(),
                feed_lag_ms=self._feed_lag_ms(),
            )
        )
        now = self._clock.monotonic()
        if now - self._shown >= self._plan.status_every_s:
            self._shown = now
            self._show(self.summary())
        if self._plan.duration_s is not None and now - self._started >= self._plan.duration_s:
            self._ask(StateCommand(self._clock.now(), None, "duration"))

    def _obey_halt(self) -> None:
        """Another process may have halted, paused or resumed this account: what is on file decides."""
        before, self._halt = self._halt, self._store.halt()
        if self._halt.state is not self._engine.state.trading:
            self._ask(StateCommand(self._clock.now(), self._halt.state, self._halt.code, self._halt.reason))
        elif self._halt.is_final and before.is_pause:
            self._tell(_said(self._halt.state, self._halt.code, self._halt.reason))

    def _write_traffic(self, *, is_last: bool = False) -> None:
        """Also while the account cannot be read: that is when somebody wants to know."""
        now = self._clock.monotonic()
        if is_last or now - self._traffic_written >= TRAFFIC_EVERY_S:
            self._traffic_written = now
            if minutes := self._journal.traffic.take():
                self._store.add_traffic(minutes)

    def _record_all(self, alerts: Iterable[AlertRaised]) -> None:
        for alert in alerts:
            self._recorder.record(alert)

    def _beat(self, *, is_running: bool, why: str = "", failure: BaseException | None = None) -> None:
        """`why` it ended and with which `failure`; neither where it did in good order."""
        plan, age_s, summary = self._plan, self._feed_age_s(), self.summary() if not is_running else None
        code = exit_code_of(failure) if failure is not None else summary.exit_code if summary is not None else None
        self._store.beat(
            Heartbeat(
                run_id=plan.run_id,
                pid=plan.pid,
                mode=plan.mode,
                strategy=plan.strategy,
                started=self._started_at,
                completed=self._clock.now(),
                cycles=self._cycles,
                is_running=is_running,
                feed_age_ms=None if age_s is None else int(age_s * 1000),
                cash=self._engine.cash,
                day_pnl=self._engine.day_net,
                feed_lag_ms=self._feed_lag_ms(),
                no_book=markets_without_book(self._engine.state),
                waiting=self._engine.waiting,
                sources=pack_sources(self._sources()),
                gained=self._engine.gained,
                stopped_by=safe_text(why or summary.stopped_by, MAX_WHY_LENGTH) if summary is not None else "",
                exit_code=code,
            )
        )


def _said(state: TradingState, code: str, reason: str) -> str:
    """The trading state, when it moves."""
    if state is TradingState.ACTIVE:
        return "TRADING IS ACTIVE AGAIN"
    if code == PAUSED:
        return f"TRADING IS PAUSED: {reason or 'somebody paused it'}. No new orders until: kalshi resume"
    return f"TRADING IS {state.value.upper()}: {code} {reason}".rstrip(": ")
