"""What runs on this account and how it is doing, as the state file tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.base.units import Ts, format_ts, pluralize
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.monitoring.error_check import disabled_strategies
from kalshi_cli.core.monitoring.source_watch import Source
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.trading.halts import describe
from kalshi_cli.store.alert_tables import FLATTEN
from kalshi_cli.store.halt_file import read_marker_files
from kalshi_cli.store.lock import LockHolder, holder
from kalshi_cli.store.pause import FILE as PAUSE_FILE
from kalshi_cli.store.records import NO_HALT, Halt, Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.runs import StatusView

STALLED_MS = 15_000
STALLED_CYCLES = 5
"""A loop whose last cycle is longer ago than that, and than so many of its cycles take, does not do its work."""


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`pid` is that of the process that holds the account's lock now; `cycle` the last completed one of any run."""

    env: str
    mode: str
    """Whose status it is, as a loop calls it: `live`, `sim` or `paper`."""
    trading_day: str
    pid: int | None
    is_running: bool
    halt: Halt
    cycle: Heartbeat | None
    open_positions: int
    unknown_orders: int
    resting_orders: int
    """Ours, as far as the state file knows: without a loop nobody looks after them."""
    resting_until: Ts | None
    """When the last of those expires by itself; None where nothing rests, or where one never does."""
    triggered_groups: tuple[str, ...]
    """Order groups in which nothing is placed until a person resets them."""
    flatten_asked: Ts | None
    """When an alert wanted all positions closed that are not closed yet; None where none did."""
    blind_since: Ts | None
    """The running loop cannot read the account since then; None where it can, or where none runs."""
    stalled_since: Ts | None
    """The last cycle of a running loop that has been without one for too long: stopped, or stuck."""
    is_abandoned: bool
    """Nothing runs, and what ran last did not end in good order: it was killed."""
    failed: tuple[AlertRaised, ...] = ()
    """What put each strategy out that failed in the last run, which went on without them."""
    is_at_exchange: bool = True
    """What is on file as resting is at the exchange: another program may look at it, and cancel it."""
    preface: str = ""
    """What a person must know first who did not say whose status is wanted."""

    @property
    def ended(self) -> Ts | None:
        """The last sign of what ran last, where nothing runs now."""
        return self.cycle.completed if self.cycle is not None and not self.is_running else None

    @property
    def stopped_by(self) -> str:
        """What ended the last run; "" while it runs, and where nobody knows any more."""
        if self.cycle is None or self.running is not None:
            return ""
        killed = "killed, or still starting" if self.is_running else "killed"
        return killed if self.cycle.is_running else self.cycle.stopped_by

    @property
    def exit_code(self) -> int | None:
        """What the last run ended with; None while it runs, where it was killed, and where nobody knows any more."""
        return self.cycle.exit_code if self.cycle is not None else None

    @property
    def ended_in_order(self) -> bool | None:
        """Whether the last run wrote down its end, with none of its orders live; None while one runs."""
        return self.cycle.ended_in_order if self.cycle is not None and not self.is_running else None

    @property
    def running(self) -> Heartbeat | None:
        """The last cycle of the loop that runs now, if it has completed one."""
        return self.cycle if self.cycle is not None and self.cycle.is_running and self.cycle.pid == self.pid else None

    @property
    def sources(self) -> tuple[Source, ...]:
        """The outside sources that the running loop listens to."""
        return self.running.listened_to if self.running is not None else ()

    @property
    def stale_sources(self) -> tuple[str, ...]:
        """Those that have stopped answering, in words."""
        as_of = self.running.completed if self.running is not None else Ts(0)
        stale = (source for source in self.sources if source.is_stale(as_of))
        return tuple(f"{source.name}: {source.text(as_of)}" for source in stale)

    @property
    def in_short(self) -> str:
        """What is on file, for a line about something else: the halt, what is held, what may rest."""
        held = pluralize(self.open_positions, "open position") if self.open_positions else ""
        state = describe(self.halt) if self.halt.state is not TradingState.ACTIVE else ""
        return (
            "; ".join(part for part in (state, held, self.rest) if part)
            or "nothing is held or rests, as far as is known"
        )

    @property
    def rest(self) -> str:
        """The orders that may rest, and how long, in words; "" where none does."""
        if not self.resting_orders:
            return ""
        until = f"until {format_ts(self.resting_until)[11:19]} UTC" if self.resting_until else "until they are canceled"
        return f"{pluralize(self.resting_orders, 'order')} may rest {until}"


def status_notes(status: RunStatus, now: Ts) -> Iterator[str]:
    """What a person has to do something about."""
    if status.ended_in_order is False and not status.is_at_exchange:
        yield "the last loop did not stop in good order; nothing of it is at the exchange"
    elif status.ended_in_order is False:
        doubt = f"{pluralize(status.unknown_orders, 'order')} in doubt" if status.unknown_orders else ""
        left = ", ".join(part for part in (status.rest, doubt) if part) or "no order of it is on file as resting"
        yield f"the last loop did not stop in good order: {left}. Look: kalshi order list; end it: kalshi cancel-all"
    if status.stalled_since is not None:
        seconds = (now - status.stalled_since) // 1000
        yield f"the loop (pid {status.pid}) is stalled: its last cycle was {seconds} s ago; what it placed may be live"
    yield from (disabled_strategy_text(alert) for alert in status.failed)
    yield from (f"outside source is stale: {source}" for source in status.stale_sources)
    if status.halt.is_pause:
        yield "PAUSED: no new orders until: kalshi resume --reason TEXT"
    if status.flatten_asked is not None:
        yield (
            f"positions that an alert wants closed since {format_ts(status.flatten_asked)} may be open: a loop closes "
            "them while it runs. Close them now: kalshi flatten; leave them open: kalshi resume --reason TEXT"
        )
    for group_id in status.triggered_groups:
        yield from triggered_group_text(group_id)


def disabled_strategy_text(alert: AlertRaised) -> str:
    """A strategy that failed, and by what."""
    return f"strategy {alert.subject} is out since {format_ts(alert.ts)}: {alert.code} {alert.text}"


def triggered_group_text(group_id: str) -> tuple[str, str]:
    """Return a line on an order group that takes nothing, and one with what ends that."""
    return (
        f"order group {group_id} is triggered: nothing new is placed in it, also no exits:",
        f"    kalshi order group reset {group_id}",
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
    """Of one state directory. Without a state file nothing ever ran here, but it may be paused."""
    who = holder(home / "trade.lock")
    cycle = store.last_cycle() if store is not None else None
    ledger = build_ledger((*store.fills(), *store.settlements())) if store is not None else build_ledger(())
    live = store.live_orders() if store is not None else ()
    halt = store.halt() if store is not None else read_marker_files(home) or NO_HALT
    if halt.is_pause and not halt.reason:
        halt = msgspec.structs.replace(halt, reason=f"there is a file {home / PAUSE_FILE}")
    asked = store.alert_book.mark(FLATTEN) if store is not None else 0
    resting = [order for order in live if _rests(order, now)]
    ends = [order.expires for order in resting if order.expires is not None]
    blind_since = _blind_since(store, cycle) if store is not None and cycle is not None and who is not None else None
    return RunStatus(
        env=env,
        mode=mode,
        is_at_exchange=is_at_exchange,
        trading_day=trading_day,
        pid=who.pid if who is not None else None,
        is_running=who is not None,
        halt=halt,
        cycle=cycle,
        open_positions=sum(1 for position in ledger.positions.values() if position.qty),
        unknown_orders=sum(1 for order in live if _is_unknown(order, is_running=who is not None)),
        resting_orders=len(resting),
        resting_until=max(ends) if ends and len(ends) == len(resting) else None,
        triggered_groups=tuple(g.group_id for g in store.groups() if g.is_triggered) if store is not None else (),
        flatten_asked=Ts(asked) if asked and halt.state is TradingState.HALTED else None,
        blind_since=blind_since,
        stalled_since=_stalled_since(who, cycle, now) if blind_since is None else None,  # no cycle counts while blind
        is_abandoned=who is None and cycle is not None and cycle.is_running,
        failed=disabled_strategies(store.alerts(cycle.started)) if store is not None and cycle is not None else (),
    )


def _rests(order: Order, now: Ts) -> bool:
    return bool(order.order_id) and not order.is_foreign and (order.expires is None or order.expires > now)


def _is_unknown(order: Order, *, is_running: bool) -> bool:
    """Nobody knows of it; where nobody waits for the answer, neither of one that was being sent."""
    is_sent = order.status is OrderStatus.SUBMITTED and not order.order_id
    return order.status is OrderStatus.UNKNOWN or (is_sent and not is_running)


def _stalled_since(who: LockHolder | None, cycle: Heartbeat | None, now: Ts) -> Ts | None:
    """Its last cycle, where that is too long ago. A loop that is still starting has none."""
    if who is None or cycle is None or who.pid != cycle.pid or not cycle.is_running:
        return None
    pace = (cycle.completed - cycle.started) // max(1, cycle.cycles)
    return cycle.completed if now - cycle.completed > max(STALLED_MS, STALLED_CYCLES * pace) else None


def _blind_since(store: Store, cycle: Heartbeat) -> Ts | None:
    """When the account was last seen, if the newest alert of this run about it says that it is not."""
    about = (alert for alert in store.alerts(cycle.started) if alert.code in ("BLIND", "SIGHTED"))
    newest = next(about, None)
    return newest.ts if newest is not None and newest.code == "BLIND" else None


def run_status(resources: Resources, home: Home | None = None) -> RunStatus:
    """Return what runs here and how it is doing, from the state file; nothing is asked of the exchange."""
    return shown_account(resources, home)[0]


def shown_account(resources: Resources, home: Home | None = None) -> tuple[RunStatus, Store | None]:
    """Return the status that is shown, and the state file that it is of.

    Without a `home` it is the account's; it is the other home's where nothing else ever was done here, or the one loop
    that runs now is there. Which it is then, and what it is not, is its `preface`.
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
    """Return why the other home is shown where it was not asked for; "" where it is not."""
    if other.is_running and not account.is_running:
        return (
            f"this is trading on {other.mode}, the only loop that runs now, not the account; "
            f"of the account itself: {account.in_short}"
        )
    is_unused = store is None or not (account.cycle or store.orders() or store.fills())
    if other.cycle is not None and not account.is_running and is_unused:
        return (
            f"this is trading on {other.mode}, the only thing that ran here, not the account; "
            f"of that: {account.in_short}"
        )
    return ""


def _beside(account: RunStatus, other: RunStatus) -> str:
    """Return where to look for what ran last, where that was in the other home."""
    if (
        account.is_running
        or other.cycle is None
        or (account.cycle is not None and account.cycle.completed >= other.cycle.completed)
    ):
        return ""
    return f"this is the account; what ran last ran on {other.mode}: --{other.mode} shows it"


def status_view(status: RunStatus) -> StatusView:
    """Return it as it is shown."""
    running = status.running
    ages = (None, None) if running is None else (running.feed_age_ms, running.feed_lag_ms)
    age, lag = (None if each is None else each / 1000 for each in ages)
    return StatusView.of(
        status,
        uptime_s=None if running is None else (running.completed - running.started) / 1000,
        feed_age_s=age,
        feed_lag_s=lag,
        failed_strategies=tuple(f"{alert.subject} {alert.code}" for alert in status.failed),
        sources=tuple(source.name for source in status.sources),
    )
