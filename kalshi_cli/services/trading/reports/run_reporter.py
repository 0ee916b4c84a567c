"""Reports of a run: effects and cycles as log lines, table rows, metrics and heartbeat pings.

`EventLog` receives each effect after it is saved (`Store.on_record`) and each completed cycle of a loop. It decides
nothing: a broken log or port does not affect trading. The fields of the lines are a contract: docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import ONE_DOLLAR, Money, Qty, Ts, format_money, format_price, format_qty, format_ts
from kalshi_cli.core.account.execution_quality import FillSample
from kalshi_cli.core.model import effects
from kalshi_cli.core.model.messages import FeedGap, Message, NewsSignal
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.store.records import Halt
from kalshi_cli.telemetry.log_fields import edge, limit_fields, money_field, order_fields, price_field, text_field
from kalshi_cli.telemetry.request_counts import RequestCounters

if TYPE_CHECKING:
    from kalshi_cli.core.engine.engine import TradingEngine
    from kalshi_cli.core.state.state import EngineState
    from kalshi_cli.services.trading.reports.run_summary import RunPlan, RunSummary
    from kalshi_cli.services.trading.reports.table_position import TablePosition
    from kalshi_cli.store.sqlite_store import Store
    from kalshi_cli.telemetry.heartbeat import HeartbeatPinger
    from kalshi_cli.telemetry.metrics import Metrics
    from kalshi_cli.telemetry.systemd import SystemdNotifier
    from kalshi_cli.telemetry.tables import Tables
    from kalshi_cli.telemetry.trade_book import TradeBook

DAYS_EVERY_S = 60.0
"""Seconds between writes of the day's row; it is also written after midnight and at the end."""

MAX_ORDERS = 10_000
"""Orders waiting for an acknowledgment, orders whose last reported terms are remembered, and orders with a fill."""

MAX_ANSWER_LENGTH = 2_000
"""Bytes of a response that are logged."""

MAX_CAUSES = 1_000
"""Distinct causes of refusals and gaps that are logged within one minute."""

_ENDS = {
    OrderStatus.REJECTED: "order_rejected",
    OrderStatus.NEVER_ARRIVED: "order_never_arrived",
    OrderStatus.UNKNOWN: "order_unknown",
}
"""Log events for orders that were sent but not acknowledged, by status."""


class CycleReport(msgspec.Struct, frozen=True, kw_only=True):
    """A completed cycle. `is_fresh`: the account and an order book are recent, and the state file saved the cycle."""

    cycles: int
    is_fresh: bool
    day_net: Money
    run_net: Money
    unrealized: Money
    halt: Halt
    feed_age_s: float | None
    feed_lag_ms: int | None


class LogOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of a report. `line` writes a log line; the others are None unless configured.

    With `is_debug`, every refused order request and every news signal is a log line.
    `opened` is called when the loop begins, to show the user where the outputs are.
    """

    line: Callable[..., None] = lambda _event, **_fields: None
    is_debug: bool = False
    tables: Tables | None = None
    metrics: Metrics | None = None
    heartbeat: HeartbeatPinger | None = None
    service: SystemdNotifier | None = None
    opened: Callable[[], None] = lambda: None


def count_open(state: EngineState) -> int:
    """Return the number of open positions; subaccounts count one by one."""
    return sum(1 for position in state.ledger.positions.values() if position.qty)


class EventLog:
    """The event log of one command or one run. For a run, call `open` and `on_start` first and `ended` last.

    `decided_s` returns when the decision in progress began, on the monotonic clock; None outside a loop, where a
    decision begins with its order request. `day_of` names the trading day of a time. A simulated latency is measured by
    the times of orders: it runs from the exchange's time of a message, which arrives later.
    """

    def __init__(
        self,
        clock: Clock,
        limits: RiskLimits | None = None,
        outputs: LogOutputs | None = None,
        *,
        decided_s: Callable[[], float | None] = lambda: None,
        day_of: Callable[[Ts], str] = format_ts,
    ) -> None:
        self._clock = clock
        self.traffic = RequestCounters(clock)
        self._limits = limit_fields(limits) if limits is not None else None
        self._out = LogOutputs()
        if outputs is not None:
            self.open(outputs)
        self._decided_s = decided_s
        self._has_order_times = False
        self._day_of = day_of
        self._waiting: dict[str, float | None] = {}
        """The decision time of each order without a response; None once it is unconfirmed, which has its own alert."""
        self._told: dict[str, tuple[object, ...]] = {}
        self._causes: dict[tuple[str, ...], int] = {}
        self._causes_minute = 0
        self._engine: TradingEngine | None = None
        self._book: TradeBook | None = None
        self._position: TablePosition | None = None
        self._days_due_at = self._heartbeat_due_at = 0.0
        self._heartbeat_every_s = DAYS_EVERY_S
        self._edge_kept = Money(0)
        self._traded: dict[str, None] = {}
        self._today = ""
        self._unrealized: Money | None = None
        self._is_failing = False
        self._reports: dict[type[effects.Effect], Callable[[Any], None]] = {
            effects.SubmitOrder: self._submitted,
            effects.CloseOrder: self._submitted,
            effects.AmendOrder: self._amended,
            effects.CancelOrder: self._canceling,
            effects.SettlementBooked: self._settled,
            effects.OrderRefused: self._denied,
            effects.AlertRaised: self._alerted,
            effects.StateChanged: self._moved,
        }

    def open(self, outputs: LogOutputs) -> None:
        """Write to these outputs from now on."""
        self._out = outputs
        if outputs.metrics is not None:
            from kalshi_cli.services.trading.reports.order_funnel import RULE_OF_CODE

            for code in RULE_OF_CODE:  # A counter must start at 0, so that the first refusal is an increase.
                outputs.metrics.denied.labels(code)

    # -- a run --------------------------------------------------------------------------------------------------------

    def on_start(self, plan: RunPlan, engine: TradingEngine, store: Store) -> None:
        """Report the start of a run, after the account is reconciled and before strategies are called."""
        self._engine = engine
        self._has_order_times = plan.simulated_latency is not None
        self._heartbeat_every_s = plan.status_every_s
        self._out.opened()
        self._out.line(
            "start", strategy=plan.strategy, strategy_files=list(plan.code) or None, markets=plan.markets, pid=plan.pid,
            limits=self._limits,
        )  # fmt: skip
        if self._out.heartbeat is not None:
            self._out.heartbeat.start()
        if self._out.tables is not None:
            from kalshi_cli.services.trading.reports.table_position import TablePosition

            self._position = TablePosition(self._out.tables, store, self._day_of)
            self._position.open()
            self._book = self._position.book

    def heard(self, message: Message) -> None:
        """Report a message after the loop has processed it; only feed gaps, and news with `is_debug`, are logged."""
        if self._out.metrics is not None:
            self._out.metrics.feed_messages.inc()
        if self._out.is_debug and isinstance(message, NewsSignal):
            self._out.line(
                "signal", ticker=message.ticker, side=message.side.value, reason=text_field(message.text),
                confidence=message.confidence / ONE_DOLLAR, detail=message.signal_id,
            )  # fmt: skip
        if isinstance(message, FeedGap):
            self.traffic.gap()
            if self._out.metrics is not None:
                self._out.metrics.feed_gaps.inc()
            ticker = message.tickers[0] if len(message.tickers) == 1 else None
            if self._is_first("feed_gap", message.reason, ticker or ""):
                count = len(message.tickers) or None
                self._out.line("feed_gap", ticker=ticker, markets=count, reason=message.reason)

    def cycle(self, pulse: CycleReport) -> None:
        """Report a completed cycle to the metrics, the tables, systemd and the heartbeat."""
        self._unrealized = pulse.unrealized
        if self._clock.monotonic() >= self._heartbeat_due_at:
            self._heartbeat_due_at = self._clock.monotonic() + self._heartbeat_every_s
            self._log_heartbeat(pulse)
        if self._out.metrics is not None:
            self._out.metrics.read(self._reading(pulse))
        if self._out.tables is not None:
            today = self._day_of(self._clock.now())
            if today != self._today or self._clock.monotonic() >= self._days_due_at:
                self._today, self._days_due_at = today, self._clock.monotonic() + DAYS_EVERY_S
                self._write_days()
        if self._out.service is not None:
            self._out.service.beat(f"{pulse.cycles} cycles, {pulse.halt.state.value} {pulse.halt.code}".rstrip())
        if self._out.heartbeat is None:
            return
        failed = self._engine.failed if self._engine is not None else ()
        if pulse.halt.is_wrong:
            self.failed(f"{pulse.halt.code}: {pulse.halt.reason}")
        elif failed:
            self.failed("; ".join(failed))
        elif pulse.is_fresh:
            self._is_failing = False
            self._out.heartbeat.success()

    def _log_heartbeat(self, pulse: CycleReport) -> None:
        """Log the state, the positions and the P&L of the run."""
        assert self._engine is not None
        state = self._engine.state
        self._out.line(
            "heartbeat", state=state.trading.value, code=text_field(pulse.halt.code), cycles=pulse.cycles,
            open_positions=count_open(state), live_orders=len(state.orders.live()),
            exposure=format_money(state.total_exposure()), day_net=format_money(pulse.day_net),
            run_net=format_money(pulse.run_net), unrealized=format_money(pulse.unrealized),
            balance=money_field(self._engine.cash), feed_age_s=pulse.feed_age_s,
            is_blind=True if state.blind_since is not None else None,
        )  # fmt: skip

    def stopping(self) -> None:
        """Report that the run is stopping and cancels its live orders."""
        if self._out.service is not None:
            self._out.service.stopping()

    def ended(self, summary: RunSummary, why: str = "") -> None:
        """Report the end of a run: a graceful one if `why` is empty and none of its orders is live."""
        if self._out.tables is not None:
            self._write_days()
        left = f"orders that may be live: {summary.live_orders}" if summary.live_orders else ""
        reason = "; ".join(filter(None, (why, left)))
        self._out.line(
            "stop", stopped_by=summary.stopped_by, reason=reason or None, cycles=summary.cycles, orders=summary.orders,
            fills=summary.fills, live_orders=summary.live_orders, realized=format_money(summary.realized),
            fees=format_money(summary.fees), balance=money_field(summary.balance),
        )  # fmt: skip
        if reason:
            self.failed(reason)
        if self._out.heartbeat is not None:
            self._out.heartbeat.close()

    def failed(self, reason: str) -> None:
        """Report a failure to the heartbeat, once until the next fresh cycle."""
        if self._out.heartbeat is not None and not self._is_failing:
            self._is_failing = True
            self._out.heartbeat.fail(reason)

    def _reading(self, pulse: CycleReport) -> Any:
        from kalshi_cli.telemetry.metrics import MetricsSnapshot

        assert self._engine is not None
        state, live = self._engine.state, self._engine.state.orders.live()
        return MetricsSnapshot(
            completed=self._clock.now(),
            cycles=pulse.cycles,
            state=state.trading,
            is_blind=state.blind_since is not None,
            balance=self._engine.cash,
            day_net=pulse.day_net,
            win_rate=self._engine.tally.win_rate,
            run_net=pulse.run_net,
            open_positions=count_open(state),
            largest_position=Qty(max((abs(each.qty) for each in state.ledger.positions.values()), default=0)),
            exposure=state.total_exposure(),
            live_orders=len(live),
            unknown_orders=sum(1 for order in live if order.status is OrderStatus.UNKNOWN),
            feed_age_s=pulse.feed_age_s,
            feed_lag_s=None if pulse.feed_lag_ms is None else pulse.feed_lag_ms / 1000,
        )

    # -- effects ------------------------------------------------------------------------------------------------------

    def note(self, effect: effects.Effect, store: Store | None = None) -> None:
        """Report an effect that `store` has saved."""
        if isinstance(effect, effects.OrderChanged):
            self._changed(effect, store)
        elif isinstance(effect, effects.FillBooked):
            self._filled(effect, store)
        elif (report := self._reports.get(type(effect))) is not None:
            report(effect)

    def requested(self, method: str, path: str, status: int, seconds: float, body: bytes) -> None:
        """Report a request and its response (status 0: no response).

        Requests other than GET are logged, with the response body unless it is a plain success.
        """
        self.traffic.requested(status, seconds)
        if self._out.metrics is not None:
            self._out.metrics.answered(method, path, status, seconds)
        if method != "GET":
            is_plain = 200 <= status < 300 and (b'"order_id"' in body or not path.endswith("/events/orders"))
            self._out.line(
                "request", method=method, path=path, status=status, latency_ms=round(seconds * 1000, 1),
                detail=text_field("" if is_plain else body[:MAX_ANSWER_LENGTH].decode(errors="replace")),
            )  # fmt: skip

    def _submitted(self, effect: effects.SubmitOrder | effects.CloseOrder) -> None:
        order = effect.order
        decided = self._decided_s()
        if len(self._waiting) < MAX_ORDERS:
            self._waiting[order.client_order_id] = self._clock.monotonic() if decided is None else decided
        self._count(OrderStatus.SUBMITTED.value)
        held = None if self._engine is None else format_qty(self._engine.state.held(order.ticker, order.subaccount))
        self._out.line("order_submitted", **order_fields(order), position=held, limits=self._limits)

    def _amended(self, effect: effects.AmendOrder) -> None:
        wanted = effect.wanted
        old = {"old_price": format_price(effect.before.price), "old_qty": format_qty(effect.before.qty)}
        self._out.line("amend", **order_fields(wanted), **old, limits=self._limits)

    def _canceling(self, effect: effects.CancelOrder) -> None:
        self._out.line("cancel_requested", **(order_fields(effect.order) | {"reason": effect.reason}))

    def _changed(self, effect: effects.OrderChanged, store: Store | None) -> None:
        order = effect.order
        if self._is_repeat(order):
            return
        is_waiting, since = order.client_order_id in self._waiting, self._waiting.get(order.client_order_id)
        event, latency_s = "order_changed", None
        if effect.repaired:
            event = "order_repaired"
        elif is_waiting:
            event = _ENDS.get(order.status, "order_acknowledged" if order.order_id else event)
        if since is not None and order.order_id:
            by_order_s = (order.updated - order.created) / 1000
            latency_s = by_order_s if self._has_order_times else self._clock.monotonic() - since
            if store is not None:
                with suppress(StateFileError):  # The next effect that must be saved reports a broken state file.
                    store.record_placement(order.client_order_id, round(latency_s * 1000))
            if self._out.metrics is not None:
                self._out.metrics.placement_seconds.observe(latency_s)
        if event == "order_unknown":
            self._waiting[order.client_order_id] = None
        if event == "order_acknowledged" or not order.status.is_live:
            self._waiting.pop(order.client_order_id, None)
        if event == "order_acknowledged":
            self._count("acknowledged")
        if event in _ENDS.values() or not (order.status.is_live or order.is_foreign):
            self._count(order.status.value)
        latency_ms = None if latency_s is None else round(latency_s * 1000, 1)
        self._out.line(
            event, **order_fields(order), latency_ms=latency_ms, exchange_ts_ms=order.updated,
            detail=text_field(effect.repaired),
        )  # fmt: skip

    def _filled(self, effect: effects.FillBooked, store: Store | None) -> None:
        fill = effect.fill
        realized = None if self._book is None else self._book.book(fill)
        order = effect.order or (store.order(fill.order_id) if store is not None else None)
        kept = FillSample(fill, order).kept if order is not None and order.fair is not None else None
        self._edge_kept = Money(self._edge_kept + (kept or 0))
        if self._out.metrics is not None:
            is_first = fill.order_id not in self._traded
            self._traded[fill.order_id] = None
            if len(self._traded) > MAX_ORDERS:
                del self._traded[next(iter(self._traded))]
            strategy = order.strategy if order is not None else ""
            self._out.metrics.traded(strategy, is_first=is_first, kept=kept, qty=fill.qty)
        self._out.line(
            "fill", ticker=fill.ticker, side=fill.side.value, price=format_price(fill.price), qty=format_qty(fill.qty),
            fee=format_money(fill.fee), is_taker=fill.is_taker, trade_id=fill.trade_id, order_id=fill.order_id,
            client_order_id=text_field(fill.client_order_id or (order.client_order_id if order else "")),
            strategy=text_field(order.strategy if order else ""), fair=price_field(order.fair if order else None),
            edge=price_field(edge(fill.side, order.fair, fill.price) if order else None),
            realized=money_field(realized), exchange_ts_ms=fill.ts, edge_total=money_field(self._edge_kept),
            latency_ms=None if order is None or order.is_foreign else max(0, fill.ts - order.created),
        )  # fmt: skip

    def _settled(self, effect: effects.SettlementBooked) -> None:
        settled = effect.settlement
        realized = None if self._book is None else self._book.book(settled)
        self._out.line(
            "settlement", ticker=settled.ticker, result=settled.result, price=format_price(settled.value),
            revenue=format_money(settled.revenue), realized=money_field(realized), exchange_ts_ms=settled.ts,
        )  # fmt: skip

    def _denied(self, effect: effects.OrderRefused) -> None:
        if self._out.metrics is not None:
            self._out.metrics.denied.labels(effect.code).inc()
        is_first = self._is_first("denied", effect.code, effect.strategy, effect.ticker)
        if is_first or self._out.is_debug:
            event, strategy = "denied" if is_first else "denied_repeat", text_field(effect.strategy)
            self._out.line(event, ticker=effect.ticker, strategy=strategy, code=effect.code, detail=effect.detail)

    def _alerted(self, effect: effects.AlertRaised) -> None:
        if self._out.metrics is not None:
            self._out.metrics.alerts.labels(effect.tier).inc()
        self._out.line("alert", tier=effect.tier, code=effect.code, subject=effect.subject, detail=effect.text)

    def _moved(self, effect: effects.StateChanged) -> None:
        self._out.line("state_changed", state=effect.state.value, code=effect.code, reason=text_field(effect.reason))
        if Halt(effect.state, effect.code, effect.reason, effect.ts).is_wrong:
            self.failed(f"{effect.code}: {effect.reason}")

    def _is_repeat(self, order: Order) -> bool:
        """Return whether the same terms were reported before: reply, stream and reads repeat each other."""
        key = order.client_order_id or order.order_id
        terms = (order.order_id, order.status, order.price, order.qty, order.filled, order.reduced)
        if self._told.pop(key, None) == terms:
            self._told[key] = terms
            return True
        if len(self._told) == MAX_ORDERS:
            del self._told[next(iter(self._told))]
        self._told[key] = terms
        return False

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _count(self, status: str) -> None:
        if self._out.metrics is not None:
            self._out.metrics.orders.labels(status).inc()

    def _is_first(self, *cause: str) -> bool:
        """Return whether this is the first event of its cause in this minute; log the number of repeats afterwards."""
        minute = self._clock.now() // 60_000
        if minute != self._causes_minute:
            for (event, *what), count in self._causes.items():
                if count > 1:
                    self._out.line(f"{event}_repeated", cause=" ".join(what), count=count - 1)
            self._causes, self._causes_minute = {}, minute
        if cause not in self._causes and len(self._causes) >= MAX_CAUSES:
            return False
        self._causes[cause] = self._causes.get(cause, 0) + 1
        return self._causes[cause] == 1

    def _write_days(self) -> None:
        if self._book is None or self._position is None or self._engine is None or self._unrealized is None:
            return
        if self._book.write_days(self._clock.now(), self._unrealized, self._engine.cash):
            self._position.save()
