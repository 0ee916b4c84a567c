"""A run of the loop in any mode: heartbeat, status, graceful stop, summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import KW_ONLY, InitVar, dataclass

import msgspec

from kalshi_cli.base.clock import Clock, stopwatch
from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts, show_money, show_price, show_qty
from kalshi_cli.core.engine.book_validity import can_trade, markets_without_book
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, Effect, FillBooked, OrderRefused, SettlementBooked, StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import Message, StateCommand, Tick
from kalshi_cli.core.monitoring.source_watch import Source, SourceWatch
from kalshi_cli.services.account.execution import median_placement_ms
from kalshi_cli.services.runner import RecorderProtocol, VenueProtocol, run
from kalshi_cli.services.trading.one_process import OneProcess
from kalshi_cli.services.trading.price_alerts import PriceAlertWatch
from kalshi_cli.services.trading.reports.live_events import LoopEvents, loop_view
from kalshi_cli.services.trading.reports.run_reporter import CycleReport, EventLog
from kalshi_cli.services.trading.reports.run_summary import RunPlan, RunSummary, StrategyResults, summarize
from kalshi_cli.services.trading.reports.sent_orders import SentOrderList
from kalshi_cli.services.trading.run_order_groups import RESET_GROUPS, resume_command
from kalshi_cli.services.trading.stop_signals import exit_code_of, truthful
from kalshi_cli.services.trading.wind_down import (
    MAX_WHY_LENGTH,
    WindDown,
    list_open_positions,
    own_live,
    tell_live,
    tell_unbooked,
)
from kalshi_cli.store.records import PAUSED, Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.store.state_store import ACCOUNT_READ, RUN_ENDS, pack_sources
from kalshi_cli.views.formats import format_clock
from kalshi_cli.views.live import LiveRunView

TRAFFIC_EVERY_S = 5.0


MAX_DENIALS = 20
"""Denials shown within one minute; each cause is shown once."""

ALL_FAILED = "strategy_failed"
"""The reason (`stopped_by`) of a run with a duration that ended because all its strategies were disabled."""

IN_EVERY_MARKET = ("GROUP_TRIGGERED", "REDUCING")
"""Codes of denials with one cause for all markets: they are shown for the first market only."""


@dataclass(eq=False, repr=False)
class ReportingRecorder:
    """Saves effects, and shows alerts, fills, settlements and denials to the user as they come."""

    store: RecorderProtocol
    engine: TradingEngine
    tell: Callable[[str], None]
    note: Callable[[str], None]
    events: LoopEvents | None = None
    price_alerts: PriceAlertWatch | None = None

    def __post_init__(self) -> None:
        self._moved = ("", "")
        """The code and reason of the last state change: the alert about it has the same text."""
        self._denied: set[tuple[str, str, str]] = set()
        self._denied_minute = 0
        self._is_block_told = False
        self.sent = SentOrderList()

    def record(self, effect: Effect) -> None:
        """Save an effect, then show it."""
        self.store.record(effect)
        self.sent.add(effect, self.engine.state)
        if isinstance(effect, FillBooked) and effect.order is None:  # only the last piece of an order changes it
            order = self.engine.state.orders.by_order_id(effect.fill.order_id)
            effect = msgspec.structs.replace(effect, order=order)
        if self.events is not None and isinstance(effect, AlertRaised | FillBooked):
            order = effect.order if isinstance(effect, FillBooked) else None
            self.events.note(effect, order.strategy if order is not None else "")
        if self.price_alerts is not None and isinstance(effect, FillBooked):
            self.price_alerts.note(effect)
        if isinstance(effect, AlertRaised):
            if (effect.code, effect.text) != self._moved:
                self.tell(effect.line)
        elif isinstance(effect, StateChanged):
            self._moved = (effect.code, effect.reason)
            self._is_block_told = False
            self.tell(_state_text(effect.state, effect.code, effect.reason))
        elif isinstance(effect, FillBooked):
            fill, order = effect.fill, effect.order
            terms, how = effect.terms, "taker" if fill.is_taker else "maker"
            what = f"{terms.verb} {show_qty(fill.qty)} {terms.side.upper()} {fill.ticker}"
            text = f"{what} at {show_price(terms.price)} ({how}, fee {show_money(fill.fee)})"
            self._show(fill.ts, order.strategy if order is not None else "", text)
        elif isinstance(effect, SettlementBooked):
            settled = effect.settlement
            if self.events is not None:
                self.events.note_settlement(settled, self.engine.state.ledger)
            self._show(
                settled.ts, "", f"settled {settled.ticker}: {settled.result}, paid {show_money(settled.revenue)}"
            )
        elif isinstance(effect, OrderRefused) and self._is_new(effect):
            self._show(effect.ts, effect.strategy, f"refused {effect.ticker}: {effect.detail} ({effect.code})")
            if effect.code == "GROUP_TRIGGERED" and not self._is_block_told:
                self._is_block_told = True
                self.tell(f"Orders are blocked, exits too: {effect.detail}. To let the loop trade: {RESET_GROUPS}")

    def _show(self, ts: Ts, strategy: str, text: str) -> None:
        today = show_money(self.engine.day_net, signed=True)
        self.note(" ".join(filter(None, (format_clock(ts), strategy, f"{text}; P&L today {today}"))))

    def _is_new(self, denial: OrderRefused) -> bool:
        """Return whether a denial is the first of its cause within this minute, in its market or in all."""
        ticker = "" if denial.code in IN_EVERY_MARKET else denial.ticker
        cause, minute = (denial.strategy, ticker, denial.code), denial.ts // 60_000
        if minute != self._denied_minute:
            self._denied, self._denied_minute = set(), minute
        if cause in self._denied or len(self._denied) == MAX_DENIALS:
            return False
        self._denied.add(cause)
        return True


@dataclass(eq=False, repr=False)
class Session:
    """Drives one run to its end. `ask` passes a command to the feed, from any thread or signal handler.

    `reported` is called once, after the alerts of this run say what holds now.
    """

    plan: RunPlan
    engine: TradingEngine
    feed: Iterable[Message]
    venue: VenueProtocol
    store: Store
    clock: Clock
    _: KW_ONLY
    ask: Callable[[StateCommand], None]
    tell: Callable[[str], None]
    note: Callable[[str], None]
    show: Callable[[RunSummary], None]
    feed_age_s: Callable[[], float | None]
    feed_lag_ms: Callable[[], int | None] = lambda: None
    journal: InitVar[EventLog | None] = None
    sources: Callable[[], tuple[Source, ...]] = tuple
    is_at_exchange: bool = True
    events: LoopEvents | None = None
    price_alerts: PriceAlertWatch | None = None
    reported: Callable[[], None] = lambda: None

    def __post_init__(self, journal: EventLog | None) -> None:
        self._journal = journal or EventLog(self.clock)
        self._recorder = ReportingRecorder(
            self.store, self.engine, self.tell, self.note, self.events, self.price_alerts
        )
        self._score = StrategyResults(self.engine)
        self.engine.hooks.timer = stopwatch
        self._started_at = self.clock.now()
        self._starting_balance = self.engine.cash
        self._started = self.clock.monotonic()
        self._shown = self._started
        self._cycles = 0
        self._stopped_by = ""
        self._has_reported = False
        self._traffic_written = self._started
        self._wind_down = WindDown(
            self.engine,
            self.venue,
            self._recorder,
            self.clock,
            self.plan.stop_budget_s,
            tell=self.tell,
            note=self.note,
            begun=self._journal.stopping,
        )
        self._halt = self.store.halt()
        self._opening_saved = (Ts(0), 0)
        self._source_watch = SourceWatch(self.store.alerts())

    def run(self) -> RunSummary:
        """Run until a command, the duration or the feed ends it; then cancel the live orders within the stop budget.

        Raises any other error that ended the run, or OutcomeUnknownError if orders may be live; those are listed first.
        A second SIGINT ends the stop at once.
        """
        if self.engine.state.trading is not TradingState.ACTIVE:
            self.tell(_state_text(self._halt.state, self._halt.code, self._halt.reason))
        self.store.alert_book.set_mark(RUN_ENDS, self.plan.ends(self._started_at) or 0)
        self._journal.on_start(self.plan, self.engine, self.store)
        why = "interrupted again while stopping"
        failure: BaseException | None = KeyboardInterrupt()
        try:
            try:
                run(self.feed, OneProcess(self.engine), self.venue, self._recorder, self._after)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                why = str(error) or type(error).__name__
                self._journal.failed(why)
                self._wind_down.run(error)
                raise
            self._wind_down.run()
            if self.is_at_exchange:
                tell_unbooked(self.engine, self.tell, is_account_read=self._wind_down.is_account_read)
            why, failure = "", None
        except BaseException as error:
            failure = truthful(error, len(own_live(self.engine)), self.tell)
            if failure is error:
                raise
            raise failure from error
        finally:
            held = self.engine.state.held
            tell_live(own_live(self.engine), self.tell, lambda order: held(order.ticker, order.subaccount))
            list_open_positions(self.engine, self.note, is_at_exchange=self.is_at_exchange)
            try:
                self._record_all(self._source_watch.stopped(self.clock.now()))
                self._write_traffic(is_last=True)
                self._halt = self.store.halt()
                self._beat(is_running=False, why=why, failure=failure)
            finally:
                self._journal.ended(self.summary(), why)
        sent, fills = self._recorder.sent.rows, self._recorder.sent.filled
        return msgspec.structs.replace(self.summary(), latency=self._latency(), sent=sent, run_fills=fills)

    def _latency(self) -> str | None:
        """Return the simulated latency of the run, or the measured median of its orders."""
        if self.plan.simulated_latency is not None:
            return self.plan.simulated_latency
        found = None
        with suppress(StateFileError):  # The results matter more than this figure.
            found = median_placement_ms(self.store, self._started_at)
        return None if found is None else f"{found}ms"

    def summary(self) -> RunSummary:
        """Return the results of the run so far."""
        summary = summarize(
            self.engine,
            self._score,
            self.plan,
            cycles=self._cycles,
            uptime_s=self.clock.monotonic() - self._started,
            day_net=self.engine.day_net,
            stopped_by=self._stopped_by,
            started=self._started_at,
            ended=self.clock.now(),
            starting_balance=self._starting_balance,
        )
        halt, state = self._halt, self.engine.state
        return msgspec.structs.replace(
            summary,
            halt=halt.code if halt.is_final else "",
            is_paused=halt.is_pause,
            reducing=f"{halt.code}: {halt.reason}" if halt.state is TradingState.REDUCING else "",
            triggered_groups=tuple(sorted(state.triggered_groups.intersection(state.groups.values()))),
        )

    def _after(self, message: Message) -> None:
        """Process the end of each message: the stop cause, and after a cycle heartbeat, halt, status and duration."""
        if isinstance(message, StateCommand) and message.state is None:
            self._stopped_by = message.source
        if self.events is not None and self.events.is_due:
            self.events.publish(self.engine, self._score, self._loop_view())
        if not isinstance(message, Tick):
            self._journal.heard(message)
            return
        self._cycles += 1
        self._write_traffic()
        self._record_all(self._source_watch.look(self.sources(), self.clock.now()))
        if self.price_alerts is not None:
            self._record_all(self.price_alerts.look_in_loop(self.engine))
        if self.engine.state.blind_since is None:  # A heartbeat says that the account is being managed.
            self._beat(is_running=True)
        self._report_once()
        self._obey_halt()
        self._journal.cycle(
            CycleReport(
                cycles=self._cycles,
                is_fresh=can_trade(self.engine.state, self.clock.now(), self.engine.limits.max_book_age_ms),
                day_net=self.engine.day_net,
                run_net=self._score.gained().net,
                unrealized=self._score.unrealized(),
                halt=self._halt,
                feed_age_s=self.feed_age_s(),
                feed_lag_ms=self.feed_lag_ms(),
            )
        )
        now = self.clock.monotonic()
        if now - self._shown >= self.plan.status_every_s:
            self._shown = now
            self.show(self.summary())
        if self.plan.duration_s is None:  # A service goes on without strategies: exits, fills, checks.
            return
        if now - self._started >= self.plan.duration_s:
            self.ask(StateCommand(self.clock.now(), None, "duration"))
        elif 0 < len(self.engine.strategies) == len(self.engine.failed) and not self.engine.exits.sell:
            self.ask(StateCommand(self.clock.now(), None, ALL_FAILED))

    def _loop_view(self) -> LiveRunView:
        return loop_view(
            self.engine,
            self.plan,
            self._halt,
            self.clock.now(),
            started=self._started_at,
            cycles=self._cycles,
            feed_age_s=self.feed_age_s(),
            feed_lag_ms=self.feed_lag_ms(),
        )

    def _report_once(self) -> None:
        """Call `reported` after the first cycle in which it is known whether the exchange is paused."""
        if not self._has_reported and (self.engine.state.exchange is not None or not self.is_at_exchange):
            self._has_reported = True
            self.reported()

    def _obey_halt(self) -> None:
        """Adopt the halt, pause or resume that another process saved in the state file."""
        before, self._halt = self._halt, self.store.halt()
        if self._halt.state is not self.engine.state.trading:
            self.ask(StateCommand(self.clock.now(), self._halt.state, self._halt.code, self._halt.reason))
        elif self._halt.is_final and before.is_pause:
            self.tell(_state_text(self._halt.state, self._halt.code, self._halt.reason))

    def _write_traffic(self, *, is_last: bool = False) -> None:
        """Save the request counts, also while the account cannot be read: they show why."""
        now = self.clock.monotonic()
        if is_last or now - self._traffic_written >= TRAFFIC_EVERY_S:
            self._traffic_written = now
            if minutes := self._journal.traffic.take():
                self.store.add_traffic(minutes)

    def _record_all(self, alerts: Iterable[AlertRaised]) -> None:
        for alert in alerts:
            self._recorder.record(alert)

    def _beat(self, *, is_running: bool, why: str = "", failure: BaseException | None = None) -> None:
        """Save the heartbeat row; `why` and `failure` say how the run ended, both empty after a graceful stop."""
        self._save_opening()
        plan, age_s, summary = self.plan, self.feed_age_s(), self.summary() if not is_running else None
        code = exit_code_of(failure) if failure is not None else summary.exit_code if summary is not None else None
        if is_running and self.engine.state.account_read is not None:
            self.store.alert_book.set_mark(ACCOUNT_READ, self.engine.state.account_read)
        self.store.beat(
            Heartbeat(
                run_id=plan.run_id,
                pid=plan.pid,
                mode=plan.mode,
                strategy=plan.strategy,
                started=self._started_at,
                completed=self.clock.now(),
                cycles=self._cycles,
                is_running=is_running,
                feed_age_ms=None if age_s is None else int(age_s * 1000),
                cash=self.engine.cash,
                day_pnl=self.engine.day_net,
                feed_lag_ms=self.feed_lag_ms(),
                no_book=markets_without_book(self.engine.state),
                waiting=self.engine.hooks.waiting,
                sources=pack_sources(self.sources()),
                gained=self.engine.gained,
                stopped_by=safe_text(why or summary.stopped_by, MAX_WHY_LENGTH) if summary is not None else "",
                exit_code=code,
            )
        )

    def _save_opening(self) -> None:
        """Save the prices at the start of the trading day once they are known, for every other program."""
        start, marks = self.engine.state.opening
        if (start, len(marks)) != self._opening_saved:
            self._opening_saved = (start, len(marks))
            self.store.opening_marks(start, marks)


def _state_text(state: TradingState, code: str, reason: str) -> str:
    """Return the line that announces a trading state."""
    if state is TradingState.ACTIVE:
        return "TRADING IS ACTIVE"
    if code == PAUSED:
        until = resume_command(resets="GROUP_TRIGGERED" in reason)
        return f"TRADING IS PAUSED: {reason or 'no reason given'}. No new orders until {until}"
    word = "REDUCE-ONLY" if state is TradingState.REDUCING else state.value.upper()
    return f"TRADING IS {word}: {code} {reason}".rstrip(": ")
