"""The status of the trading loop and of its orders, read from the state file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.error_check import disabled_strategies
from kalshi_cli.core.monitoring.incidents import PAUSES
from kalshi_cli.core.monitoring.runbook_index import DEFAULT_RUNBOOK, EXIT_CODES, REMEDIES, runbook_for
from kalshi_cli.core.monitoring.source_watch import Source
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.trading.halts import describe
from kalshi_cli.services.trading.run_order_groups import resume_command
from kalshi_cli.store.alert_tables import FLATTEN
from kalshi_cli.store.database import is_full
from kalshi_cli.store.halt_file import read_marker_files
from kalshi_cli.store.lock import LockHolder, holder
from kalshi_cli.store.records import ALERT_REASON_PREFIX, NO_HALT, Halt, Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.store.state_store import ACCOUNT_READ, RUN_ENDS
from kalshi_cli.views.formats import format_clock, format_time
from kalshi_cli.views.runs import StatusView

STALLED_MS = 15_000
STALLED_CYCLES = 5
"""A loop is stalled if its last cycle is older than this time and than this many of its average cycles."""

ACCOUNT_LATE_MS = 15_000
"""A loop reads the account every 10 seconds. If its last read is older than this, the next one failed or is slow."""

EXPIRE_SOON_MS = 180_000
"""Resting orders that expire within this time need no cancel."""

NO_STRATEGY = (
    "No strategy is enabled: nothing will be traded until a new run. Next: `kalshi stop`, fix the strategy, then"
    " `kalshi trade`. Until then the loop applies limits and exits only"
)

PAUSED_WITHIN_MS = 60_000
"""An alert raised at most this long before a pause is shown as its cause."""


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one home. `pid` is the process that holds its lock, `cycle` the last completed cycle of any run."""

    env: str
    mode: str
    """The mode of the home: `live`, `sim` or `paper`."""
    trading_day: str
    pid: int | None
    is_running: bool
    locked_since: Ts | None
    """When the running loop took its lock; None if none runs or the time is unknown."""
    halt: Halt
    stop_under_pause: Halt
    """The halt or reduce-only state that holds below a pause; ACTIVE without one."""
    cycle: Heartbeat | None
    open_positions: int
    unknown_orders: int
    resting_orders: int
    """Resting orders according to the state file, own and external; without a loop nothing manages them."""
    external_orders: int
    """The part of `resting_orders` that other programs placed, or the user on the web site."""
    resting_until: Ts | None
    """Time at which the last resting order expires; None without resting orders, or if one never expires."""
    triggered_groups: tuple[str, ...]
    """Order groups that accept no orders until the user resets them."""
    flatten_asked: Ts | None
    """When an alert requested that all positions be closed, until they are closed; None without such a request."""
    blind_since: Ts | None
    """Since when the running loop cannot read the account; None if it can, or if none runs."""
    account_read: Ts | None
    """The last account read of the running loop if it is late; None otherwise."""
    stalled_since: Ts | None
    """The last cycle of a running loop that is stalled; None otherwise."""
    paused_by: AlertRaised | None
    """The alert that paused trading; None if it is not paused, or by something else than an alert of a loop."""
    is_abandoned: bool
    """No loop runs, and the last run was killed instead of stopping gracefully."""
    ends: Ts | None = None
    """The planned end of the last run: its start plus its duration. None for a run without a duration."""
    as_of: Ts | None = None
    """The newest record on orders, fills and the account; None without one. If reads fail, the last account read."""
    failed: tuple[AlertRaised, ...] = ()
    """The alerts about strategies that were disabled in the last run, which continued without them."""
    exchange_pauses: tuple[AlertRaised, ...] = ()
    """The alerts about pauses of the exchange that the running loop sees, by shard."""
    is_at_exchange: bool = True
    """The resting orders are on the exchange, where other programs can see and cancel them."""
    is_new: bool = False
    """The state file does not exist, or has no run, order or fill: it is new, or the earlier one was lost."""
    full_disk: Path | None = None
    """The state directory if its disk is full: what is saved there may be old."""
    preface: str = ""
    """A line to show first if the user did not choose a home."""

    @property
    def state(self) -> str:
        """Return the trading state as shown: `blind` if trading is active and the account cannot be read."""
        is_blind = self.halt.state is TradingState.ACTIVE and self.blind_since is not None
        return "blind" if is_blind else self.halt.standing

    @property
    def ended(self) -> Ts | None:
        """Return the last cycle of the last run; None while a loop runs."""
        return self.cycle.completed if self.cycle is not None and not self.is_running else None

    @property
    def stopped_by(self) -> str:
        """Return the cause that ended the last run; "" while a loop runs or if the cause is unknown."""
        if self.cycle is None or self.running is not None:
            return ""
        killed = "killed, or still starting" if self.is_running else "killed, or it could not write the state file"
        return killed if self.cycle.is_running else self.cycle.stopped_by

    @property
    def exit_code(self) -> int | None:
        """Return the exit code of the last run; None while it runs, if it was killed or if the code is unknown."""
        return self.cycle.exit_code if self.cycle is not None else None

    @property
    def ended_in_order(self) -> bool | None:
        """Return whether the last run stopped gracefully with no live orders; None while a loop runs."""
        return self.cycle.ended_in_order if self.cycle is not None and not self.is_running else None

    @property
    def running(self) -> Heartbeat | None:
        """Return the last cycle of the running loop; None if none runs or it has not completed one."""
        return self.cycle if self.cycle is not None and self.cycle.is_running and self.cycle.pid == self.pid else None

    @property
    def trades_nothing(self) -> bool:
        """Return whether a loop runs all of whose strategies were disabled."""
        return self.running is not None and len(self.failed) >= len(self.running.strategy.split(","))

    @property
    def sources(self) -> tuple[Source, ...]:
        """Return the external sources that the running loop reads."""
        return self.running.listened_to if self.running is not None else ()

    @property
    def stale_sources(self) -> tuple[str, ...]:
        """Return a text for each external source that has stopped responding."""
        as_of = self.running.completed if self.running is not None else Ts(0)
        stale = (source for source in self.sources if source.is_stale(as_of))
        return tuple(f"{source.name}: {source.text(as_of)}" for source in stale)

    @property
    def in_short(self) -> str:
        """Return halt, open positions and resting orders in one line."""
        positions = pluralize(self.open_positions, "open position") if self.open_positions else ""
        state = describe(self.halt) if self.halt.state is not TradingState.ACTIVE else ""
        parts = [part for part in (state, positions, self.rest) if part]
        return "; ".join(parts) or "no open positions or resting orders known"

    @property
    def rest(self) -> str:
        """Return how many orders may be resting, and until when; "" if none is."""
        if not self.resting_orders:
            return ""
        until = f"until {format_clock(self.resting_until)}" if self.resting_until else "until canceled"
        external = f" ({self.external_orders} external)" if self.external_orders else ""
        return f"{pluralize(self.resting_orders, 'order')}{external} may be resting {until}"


def status_notes(status: RunStatus, now: Ts) -> Iterator[str]:
    """Yield a line for each problem that needs the user, with the command that solves it."""
    if status.full_disk is not None:
        yield (
            f"The disk of {status.full_disk} is full: the state file cannot be written, and this status may be old. "
            "What to do: kalshi runbook disk-full"
        )
    yield from _last_run_notes(status, now)
    if status.unknown_orders and not status.is_running and status.ended_in_order is not False:
        orders = pluralize(status.unknown_orders, "unconfirmed order")
        yield f"{orders} may be live: `kalshi order reconcile`, then `kalshi runbook unknown-order`"
    yield from stalled_notes(status, now)
    has_other = status.halt.state is not TradingState.ACTIVE and bool(first_steps(status.halt))
    is_lost = status.ended_in_order is False and status.is_at_exchange and not has_other
    if status.stalled_since is not None or is_lost:
        code = status.cycle.exit_code if is_lost and status.cycle is not None else None
        yield f"What to do: kalshi runbook {EXIT_CODES.get(str(code), 'heartbeat-lost')}"
    yield from _exchange_notes(status, now)
    yield from _strategy_notes(status)
    yield from (f"External source is stale: {source}" for source in status.stale_sources)
    if status.paused_by is not None:
        yield f"{status.paused_by.code}: {status.paused_by.text.split('. ')[0]}"
    if status.halt.is_pause:
        yield f"PAUSED: no new orders until {resume_command(resets=status.triggered_groups)}{first_steps(status.halt)}"
        if status.stop_under_pause.state is not TradingState.ACTIVE:
            yield f"Below the pause: {describe(status.stop_under_pause)}"
    elif status.halt.state is not TradingState.ACTIVE:
        limit = "HALTED: no new orders" if status.halt.state is TradingState.HALTED else "REDUCE-ONLY: no new positions"
        yield f"{limit} until {resume_command(resets=status.triggered_groups)}{first_steps(status.halt)}"
    if status.flatten_asked is not None:
        yield (
            f"An alert requested to close all positions at {format_time(status.flatten_asked, None)}; some may be open."
            " A running loop closes them. Close them now: `kalshi flatten`; keep them: `kalshi resume --reason TEXT`"
        )
    for group_id in status.triggered_groups:
        yield from triggered_group_text(group_id)


def urgent_notes(status: RunStatus, now: Ts) -> Iterator[str]:
    """Yield the notes about a killed or stalled loop, which are shown in quiet output too."""
    if status.ended_in_order is False:
        yield from _last_run_notes(status, now)
    yield from stalled_notes(status, now)


def stalled_notes(status: RunStatus, now: Ts) -> Iterator[str]:
    """Yield that the running loop completes no cycle, and what to do about its orders."""
    if status.stalled_since is not None:
        is_killed = status.halt.is_final and not (status.resting_orders or status.unknown_orders)
        left = "" if is_killed else ". Its orders may be live: `kalshi cancel-all` cancels them"
        seconds = (now - status.stalled_since) // 1000
        yield f"The loop (pid {status.pid}) is stalled: its last cycle was {seconds} s ago{left}"


def _last_run_notes(status: RunStatus, now: Ts) -> Iterator[str]:
    """Yield what the last run left, or that the state file knows of none."""
    if status.ended_in_order is False and not status.is_at_exchange:
        yield "The last run did not stop gracefully; it left no orders on the exchange"
    elif status.ended_in_order is False and status.cycle is not None:
        at = format_time(status.cycle.completed, now)
        yield f"The last run did not stop gracefully; its last cycle was on {at}: {_left_behind(status, now)}"
    elif status.is_new:
        yield (
            "The state file is new or missing: no run, order or fill is saved. `kalshi positions` asks the exchange."
            " If kalshi traded here before, the file was lost: `kalshi runbook state-file`"
        )
    elif not status.is_running and status.is_at_exchange and status.as_of is not None:
        known = status.rest or "no resting order is on record"
        yield (
            f"No loop is running. By the state file, as of {format_time(status.as_of, now)}, {known}."
            " `kalshi order list` and `kalshi positions` read the exchange"
        )


def _left_behind(status: RunStatus, now: Ts) -> str:
    """Return what a killed loop left by the state file, with the one next step that fits."""
    unknown = pluralize(status.unknown_orders, "unconfirmed order") if status.unknown_orders else ""
    left = ", ".join(part for part in (status.rest, unknown) if part) or "no resting order on record"
    if unknown:
        return f"{left}. Next: `kalshi order reconcile`"
    if status.rest and (status.resting_until is None or status.resting_until - now > EXPIRE_SOON_MS):
        return f"{left}. Next: `kalshi order list`; to halt trading and cancel them: `kalshi cancel-all`"
    expiry = ", when the last one expires" if status.rest else ""
    return f"{left}{expiry}. Next: `kalshi order list`"


def _strategy_notes(status: RunStatus) -> Iterator[str]:
    for alert in status.failed:
        yield disabled_strategy_text(alert)
    if status.failed:
        yield f"What to do: kalshi runbook {runbook_for(status.failed[0].code).runbook}"
    if status.trades_nothing:
        yield NO_STRATEGY


def _exchange_notes(status: RunStatus, now: Ts) -> Iterator[str]:
    if status.account_read is not None and status.stalled_since is None and status.full_disk is None:
        age_s = (now - status.account_read) // 1000
        yield (
            f"The account was last read {age_s} s ago: reads fail or are slow. Positions, cash and P&L are from then. "
            "`kalshi health-check` shows why"
        )
    if status.blind_since is not None:
        since = format_clock(status.blind_since)
        yield f"The account has been unreadable since {since}: no new positions; nothing watches its resting orders"
        yield "What to do: kalshi runbook BLIND"
    for alert in status.exchange_pauses:
        yield f"{alert.subject.capitalize()}: {alert.text}. What to do: kalshi runbook {alert.code}"


def first_steps(halt: Halt) -> str:
    """Return what to read before a resume; "" after a manual pause."""
    name = halt_runbook(halt)
    return f"; first: `kalshi runbook {name}`" if name else ""


def halt_runbook(halt: Halt) -> str:
    """Return the name of the runbook of the halt, or of the alert that paused; "" for a manual pause."""
    if not halt.is_pause:
        return runbook_for(halt.code).runbook or DEFAULT_RUNBOOK.runbook
    code = alert_of_pause(halt)
    return REMEDIES[code].runbook if code else ""


def alert_of_pause(halt: Halt) -> str:
    """Return the code of the alert that paused trading; "" for a manual pause, another stop or an unknown code."""
    return halt.alert if halt.alert in REMEDIES and REMEDIES[halt.alert].runbook else ""


def disabled_strategy_text(alert: AlertRaised) -> str:
    """Return a line about a disabled strategy: since when, code and cause."""
    return f"Strategy {alert.subject} has been disabled since {format_time(alert.ts, None)}: {alert.code} {alert.text}"


def triggered_group_text(group_id: str) -> tuple[str, str]:
    """Return a line about a triggered order group, and a line with the command that resets it."""
    name = group_id[:SHORT_ID_LENGTH]
    return (
        f"Order group {name} is triggered: no new orders in it, including exits. Run:",
        "    kalshi resume --reason TEXT --reset-groups",
    )


def read_status(
    home: Path,
    store: Store | None,
    env: str,
    trading_day: str,
    now: Ts,
    *,
    mode: str = "live",
    is_at_exchange: bool = True,
) -> RunStatus:
    """Return the status of one state directory. Without a state file no loop ever ran, but trading may be paused."""
    who = holder(home / "trade.lock")
    cycle = store.last_cycle() if store is not None else None
    known = store.history.counted() if store is not None else None
    ledger = build_ledger((*known.fills, *known.settlements) if known is not None else ())
    live = store.live_orders() if store is not None else ()
    halt = store.halt() if store is not None else read_marker_files(home) or NO_HALT
    if halt.is_pause and not halt.reason:
        halt = msgspec.structs.replace(halt, reason="no reason given")
    asked = store.alert_book.mark(FLATTEN) if store is not None else 0
    resting = [order for order in live if order.rests_at(now)]
    ends = [order.expires for order in resting if order.expires is not None]
    said = store.alerts(cycle.started) if store is not None and cycle is not None else ()
    blind_since = _blind_since(said) if who is not None else None
    stalled, late = stalled_since(who, cycle, said, now), _late_read(store, who, cycle, now)
    return RunStatus(
        env=env,
        mode=mode,
        is_at_exchange=is_at_exchange,
        trading_day=trading_day,
        pid=who.pid if who is not None else None,
        is_running=who is not None,
        locked_since=who.started if who is not None else None,
        halt=halt,
        stop_under_pause=store.stop_under_pause() if store is not None and halt.is_pause else NO_HALT,
        cycle=cycle,
        ends=(Ts(store.alert_book.mark(RUN_ENDS)) or None) if store is not None else None,
        open_positions=sum(1 for position in ledger.positions.values() if position.qty),
        unknown_orders=sum(_is_unknown(order, is_tended=who is not None and stalled is None) for order in live),
        resting_orders=len(resting),
        external_orders=sum(order.is_foreign for order in resting),
        resting_until=max(ends) if ends and len(ends) == len(resting) else None,
        triggered_groups=tuple(g.group_id for g in store.groups() if g.is_triggered) if store is not None else (),
        flatten_asked=Ts(asked) if asked and halt.state is TradingState.HALTED else None,
        blind_since=blind_since,
        account_read=late if blind_since is None else None,
        stalled_since=stalled,
        paused_by=_paused_by(halt, store),
        is_abandoned=who is None and cycle is not None and cycle.is_running,
        as_of=late or _as_of(store, cycle, live, [*known.fills, *known.settlements] if known is not None else []),
        is_new=is_at_exchange and cycle is None and who is None and not (store is not None and store.history.is_used),
        failed=disabled_strategies(said),
        exchange_pauses=_exchange_pauses(said) if who is not None else (),
        full_disk=home if is_full(home) else None,
    )


def _as_of(
    store: Store | None, cycle: Heartbeat | None, live: Iterable[Order], booked: Iterable[Fill | Settlement]
) -> Ts | None:
    """Return the time of the newest record: a cycle, an account read, an order, a fill or a settlement."""
    read = store.alert_book.mark(ACCOUNT_READ) if store is not None else 0
    cycles = [cycle.completed] if cycle is not None else []
    newest = max((read, *cycles, *(order.updated for order in live), *(each.ts for each in booked)))
    return Ts(newest) if newest else None


def _paused_by(halt: Halt, store: Store | None) -> AlertRaised | None:
    """Return the newest alert that the reason of a pause names."""
    if store is None or not (halt.is_pause and halt.reason.startswith(ALERT_REASON_PREFIX)):
        return None
    alerts = store.alerts(Ts(halt.since - PAUSED_WITHIN_MS))
    return next((each for each in alerts if halt.reason == f"{ALERT_REASON_PREFIX}{each.code} {each.subject}"), None)


def _is_unknown(order: Order, *, is_tended: bool) -> bool:
    """Return whether the outcome is unknown; unless a loop tends it, also for an order that was being sent."""
    is_sent = order.status is OrderStatus.SUBMITTED and not order.order_id
    return order.status is OrderStatus.UNKNOWN or (is_sent and not is_tended)


def stalled_since(who: LockHolder | None, cycle: Heartbeat | None, alerts: Sequence[AlertRaised], now: Ts) -> Ts | None:
    """Return the last cycle of a running loop if it is too old; None while the loop starts, by the alerts of its run.

    Nor does it count while the account cannot be read: then no cycle is saved.
    """
    if who is None or cycle is None or who.pid != cycle.pid or not cycle.is_running or _blind_since(alerts) is not None:
        return None
    return cycle.completed if now - cycle.completed > max(STALLED_MS, STALLED_CYCLES * _pace(cycle)) else None


def _pace(cycle: Heartbeat) -> int:
    """Return the average time of a cycle in milliseconds."""
    return (cycle.completed - cycle.started) // max(1, cycle.cycles)


def _late_read(store: Store | None, who: LockHolder | None, cycle: Heartbeat | None, now: Ts) -> Ts | None:
    """Return the last account read of the running loop if it is too old; None otherwise, and before the first."""
    if store is None or who is None or cycle is None or who.pid != cycle.pid or not cycle.is_running:
        return None
    read = Ts(store.alert_book.mark(ACCOUNT_READ))
    return read if read >= cycle.started and now - read > max(ACCOUNT_LATE_MS, 2 * _pace(cycle)) else None


def _blind_since(alerts: Sequence[AlertRaised]) -> Ts | None:
    """Return since when the account cannot be read, by the newest alert of this run about it."""
    newest = next((alert for alert in alerts if alert.code in ("BLIND", "SIGHTED")), None)
    return newest.ts if newest is not None and newest.code == "BLIND" else None


def _exchange_pauses(alerts: Sequence[AlertRaised]) -> tuple[AlertRaised, ...]:
    """Return the pauses that last, by the newest alert of this run about each shard."""
    about = (alert for alert in reversed(alerts) if alert.code in (*PAUSES, "EXCHANGE_RESUMED"))
    newest = {alert.subject: alert for alert in about}
    return tuple(alert for _, alert in sorted(newest.items()) if alert.code in PAUSES)


def run_status(resources: Resources, home: Home | None = None) -> RunStatus:
    """Return the status of the trading loop from the state file; sends no request."""
    return shown_account(resources, home)[0]


def shown_account(resources: Resources, home: Home | None = None) -> tuple[RunStatus, Store | None]:
    """Return the status to show, and the state file it comes from.

    Without a `home` it is the account's, unless the only running loop or the only past run is in the other home (paper
    trading). The `preface` of the status then says which home is shown.
    """
    if home is not None:
        return _look(resources, home)
    (account, store), (other, kept) = (_look(resources, each) for each in resources.homes)
    if preface := _why_other(account, store, other):
        return msgspec.structs.replace(other, preface=preface), kept
    return msgspec.structs.replace(account, preface=_beside(account, other)), store


def _look(resources: Resources, home: Home) -> tuple[RunStatus, Store | None]:
    now, config = resources.clock.now(), resources.config
    store, day = resources.remembered(home), day_of(now, ZoneInfo(config.day_zone))
    return read_status(
        home.folder, store, config.env, day, now, mode=home.name, is_at_exchange=home.is_at_exchange
    ), store


def _why_other(account: RunStatus, store: Store | None, other: RunStatus) -> str:
    """Return why the other home is shown although it was not requested; "" if it is not shown."""
    if other.is_running and not account.is_running:
        return f"Showing {other.mode} trading, the only loop that is running. Account: {account.in_short}"
    is_unused = store is None or not (account.cycle or store.history.is_used)
    if other.cycle is not None and not account.is_running and is_unused:
        return f"Showing {other.mode} trading, the only trading so far. Account: {account.in_short}"
    return ""


def _beside(account: RunStatus, other: RunStatus) -> str:
    """Return the option that shows the last run, if that was in the other home."""
    if (
        account.is_running
        or other.cycle is None
        or (account.cycle is not None and account.cycle.completed >= other.cycle.completed)
    ):
        return ""
    return f"Showing the account. The last run was on {other.mode}; use --{other.mode} to see it"


def status_view(status: RunStatus) -> StatusView:
    """Return the view of a status."""
    running = status.running
    ages = (None, None) if running is None else (running.feed_age_ms, running.feed_lag_ms)
    age, lag = (None if each is None else each / 1000 for each in ages)
    return StatusView.of(
        status,
        ends=None if running is None else status.ends,
        uptime_s=None if running is None else (running.completed - running.started) / 1000,
        feed_age_s=age,
        feed_lag_s=lag,
        failed_strategies=tuple(f"{alert.subject} {alert.code}" for alert in status.failed),
        sources=tuple(source.name for source in status.sources),
    )
