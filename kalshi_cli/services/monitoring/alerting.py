"""Alerting of one account: events become notices, and notices are delivered.

`observe` takes the findings of a check, `look` reads the events that a loop saved in the state file; both decide and
fill the outbox in one transaction. `deliver` empties the outbox. Several programs may do this at the same time, for
example the dispatcher of a loop and a check from cron: nothing is sent twice, and each continues what another left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.config.schema import AlertChannel, AlertsConfig
from kalshi_cli.core.model.effects import AlertRaised, shown_subject
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.alert_board import Board, Decision
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import (
    GUARDED,
    HALT,
    INHIBITS,
    LOOP,
    OTHER_SUBJECTS,
    REDUCING,
    UNCONFIRMED,
    AlertPolicy,
    AlertSilence,
    Incident,
    again_due,
    continued,
    severity_rank,
)
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.risk.guards import UNCONFIRMED_STATUSES
from kalshi_cli.services.monitoring.daily_summary import DailySummary, fill_alerts
from kalshi_cli.services.monitoring.open_alerts import OpenAlerts, SentBreach
from kalshi_cli.services.trading.halts import state_word
from kalshi_cli.services.trading.loop_limit import save_loop_limit
from kalshi_cli.store.alert_tables import (
    FLATTEN,
    LAST_RESUME,
    MAX_RETRY_MS,
    STOPPED,
    AlertChannelState,
    AlertStore,
    QueuedNotice,
)
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.store.state_store import RESUMED

if TYPE_CHECKING:
    from kalshi_cli.net.delivery import DeliveryResult

READ_BATCH_SIZE = 500
ROUNDS = 50
"""Rows of the state file read per batch, and batches per look: together more than the file keeps."""

HALTS_SEEN_BY = "check heartbeat"
"""The check that also reports a halt, under its code."""

LOOP_LIMITS = "loop_limits"
"""The mark of the limits that the last loop had from variables and options."""

ATTEMPT_S = 4.0
"""Seconds of one attempt: a critical notice must reach one channel within 5 s while another one hangs."""
MIN_ATTEMPT_S = 1.0

FIRST_RETRY_MS = 5_000
"""Pause after the first failure of a channel; it doubles with each failure, up to MAX_RETRY_MS."""

FALLBACK_AFTER = 2
"""Failed attempts after which the notice also goes to the fallback channel."""

FAILING_AFTER = 3
"""Failures in a row after which a channel counts as failing."""

LOOP_SEEN_MS = 60_000
"""Interval at which a loop's dispatcher saves that the loop is present."""


class NotifierProtocol(Protocol):
    """The part of `notify/notifier.py` that alerting needs."""

    def deliver(self, name: str, notice: Notice, within_s: float = ...) -> DeliveryResult:
        """Make one attempt within that time. Never raises."""


class AlertTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of alerting: the alert configuration, the channels, the environment and the day's time zone.

    `limits` identifies the limits that only this program has (`digest_of`), `daily_loss` is its risk.max_daily_loss.
    """

    alerts: AlertsConfig
    sinks: Mapping[str, AlertChannel]
    env: str
    zone: ZoneInfo
    limits: int = 0
    daily_loss: Money | None = None

    def hearers(self, notice: Notice) -> list[str]:
        """Return the channels that receive this notice."""
        return [name for name, sink in self.sinks.items() if receives(sink, notice.tier, notice.event)]

    def is_heard(self, tier: str, event: str) -> bool:
        """Return whether any channel receives this severity or event."""
        return any(receives(sink, tier, event) for sink in self.sinks.values())


def receives(sink: AlertChannel, tier: str, event: str) -> bool:
    """Return whether a channel receives notices of this severity or event."""
    return tier in sink.tiers or event in sink.events


class AlertOverview(msgspec.Struct, frozen=True, kw_only=True):
    """The saved state of alerts.

    `told` of an incident is when a channel accepted it. `hushed` are code and subject of silenced incidents, `ends` the
    times from which an end may be sent, and `held` the last delivery of one that returned again and again, and the time
    from which it is sent again; `dropped` counts the notices discarded because too many were waiting.
    """

    matters: tuple[Incident, ...] = ()
    hushed: frozenset[tuple[str, str]] = frozenset()
    ends: Mapping[tuple[str, str], Ts] = {}
    held: Mapping[tuple[str, str], tuple[Ts, Ts]] = {}
    waiting: tuple[QueuedNotice, ...] = ()
    dead: tuple[QueuedNotice, ...] = ()
    silences: tuple[AlertSilence, ...] = ()
    sinks: tuple[AlertChannelState, ...] = ()
    dropped: int = 0


def _delivered(matter: Incident, taken: Mapping[tuple[str, Ts | None], Ts | None]) -> Incident:
    """Return the incident with the time at which a channel accepted its notice; None while a return is not sent yet.

    `taken` maps code and time of a notice to its delivery time.
    """
    is_waiting = matter.lasts and matter.untold > 0
    told = None if is_waiting or matter.told is None else taken.get((matter.code, matter.told))
    return replace(matter, told=told)


@dataclass(eq=False, repr=False)
class Alerting:
    """The alerting of one account, for the thread that opened `book` and `store`, which are the same file.

    `stop` is called with an incident that must stop trading by configuration, before any notice about it is sent.
    """

    book: AlertStore
    store: Store
    terms: AlertTerms
    notifier: NotifierProtocol
    clock: Clock
    new_id: Callable[[], str]
    stop: Callable[[Incident], None]
    open_alerts: OpenAlerts

    def __post_init__(self) -> None:
        self._day = DailySummary(self.book, self.store, self.terms.alerts.drawdown, self.terms.zone)
        self._is_loop = False
        alerts = self.terms.alerts
        self._policy = AlertPolicy(
            int(alerts.group_s * 1000), int(alerts.repeat_s * 1000), int(alerts.give_up_s * 1000)
        )

    # -- deciding -------------------------------------------------------------------------------------------------

    def observe(self, source: str, breaches: Iterable[Breach], began: Ts | None = None) -> None:
        """Set the breaches of a source; its other incidents end, unless a breach is `unknown`.

        The source began to read at `began`, now by default. If the user resumed trading since, a breach stops trading
        only when the next look finds it again, and a halt that `check heartbeat` saw before is over.
        """
        found = list(breaches)

        def act(board: Board, now: Ts) -> None:
            stops = [each for each in board.all() if source == HALTS_SEEN_BY and each.source in (HALT, REDUCING)]
            over = {each.code for each in stops if each.ended is not None and each.ended >= (began or now)}
            board.observe(source, [each for each in found if each.code not in over], now)

        self._move(act, began)

    def take_over(self, sent: Sequence[SentBreach]) -> None:
        """Continue the alerts that were sent without this file, all before any decision, so that none is sent again."""
        for each in sent:
            self.book.record_delivered(each.notice(self.terms.env, self.new_id()), each.sink)

        def act(board: Board, _now: Ts) -> None:
            for each in sent:
                board.take_over(each.source, each.breach, each.at)

        self._move(act)
        self.open_alerts.save()

    def begin(self, last: int) -> None:
        """Start the alerts of a loop that has reported its state, in the alerts recorded after the number `last`.

        Incidents of the last loop end, unless this one raised them too, and the loop is no longer lost.
        """
        held = continued(self.book.alerts_after(0, READ_BATCH_SIZE * ROUNDS), last)
        if self.book.mark(FLATTEN):
            held.add(("FLATTEN_FAILED", "account"))
        self._is_loop = True
        self.book.set_mark(LOOP_LIMITS, self.terms.limits)
        save_loop_limit(self.book, self.terms.daily_loss)

        def act(board: Board, now: Ts) -> None:
            unconfirmed = [(code, subject) for code in UNCONFIRMED for subject in board.matters.get(code, ())]
            board.end(LOOP, now, held.union(unconfirmed))  # their orders end them
            board.end_code("HEARTBEAT_LOST", now)

        self._move(act)

    def record_loop_presence(self, shards: int) -> None:
        """Save once a minute that a loop is present, even if it cannot read the account; save the number of shards."""
        self._is_loop = True
        now = self.clock.now()
        if shards and shards != self.book.mark("shards"):
            self.book.set_mark("shards", shards)
        if not 0 <= now - self.book.mark("loop") < LOOP_SEEN_MS:
            self.book.set_mark("loop", now)

    def record(self, alert: AlertRaised) -> None:
        """Save an alert, as a loop does."""
        self.store.record(alert)

    def trading(self) -> TradingState:
        """Return the saved trading state."""
        return self.store.halt().state

    def look(self) -> None:
        """Process the events saved since the last look, and everything that is due by time."""
        for _ in range(ROUNDS):
            self._move(lambda _board, _now: None)
            if not self.has_news():
                break

    def has_news(self) -> bool:
        """Return whether events were saved since the last look. This is cheap."""
        book = self.book
        is_more = book.mark("alerts") < book.last_alert() or book.mark("booked") < book.last_booked()
        return is_more or book.mark(RESUMED) > 0

    def _move(self, act: Callable[[Board, Ts], None], began: Ts | None = None) -> None:
        """Process new events, call `act` and decide on notices, in one transaction; slow reads come before it."""
        book, now = self.book, self.clock.now()
        news, booked, day = self._recorded(), self._booked(), self._day.look(now, self.terms.is_heard)
        board = self._board()
        board.is_heard = self.terms.is_heard

        def rule() -> Decision:
            # Read within the transaction: another program may just have stopped trading or sent the same events.
            board.is_stopped = book.mark(STOPPED) > 0
            board.resumed_at = self._resumed_at(self.clock.now())
            self.open_alerts.take_over(board, self.store.order, now)
            for name, (begin, end, alerts) in {"alerts": news, "booked": booked}.items():
                if begin < end and book.mark(name) == begin:
                    book.set_mark(name, end)
                    for alert in alerts:
                        board.happen(alert, now)
            self._day.tell(board, day, now)
            self._see_stops(board, now)
            board.confirmed(self._is_unconfirmed, now)
            board.observe("sinks", self._failing(), now)
            book.discard_orphaned(list(self.terms.sinks), Ts(now - self._policy.stale_ms), now)
            act(board, now)
            decision = board.decide(now)
            stoppers = self._since_resume(board, decision.stoppers, now if began is None else began)
            return self._stopping(board, Decision(decision.notices, stoppers), now)

        book.decide(board, rule, self.terms.hearers, now)

    def _board(self) -> Board:
        board, book = Board(self._policy, self.terms.env, self.new_id), self.book
        board.loop_seen, board.shards = Ts(book.mark("loop")), book.mark("shards")
        board.is_stopped = book.mark(STOPPED) > 0
        board.shard_of = cache(book.shard_of)
        board.is_loop_here = self._is_loop
        return board

    def _recorded(self) -> tuple[int, int, list[AlertRaised]]:
        begin = self.book.mark("alerts")
        found = self.book.alerts_after(begin, READ_BATCH_SIZE)
        return begin, found[-1][0] if found else begin, [alert for _, alert in found]

    def _booked(self) -> tuple[int, int, list[AlertRaised]]:
        begin = self.book.mark("booked")
        end = min(self.book.last_booked(), begin + READ_BATCH_SIZE)
        big_win = self.terms.alerts.big_win if self.terms.is_heard("info", "big_win") else None
        is_heard = self.terms.is_heard("info", "trade_executed")
        news = fill_alerts(self.book, begin, READ_BATCH_SIZE, big_win, is_heard=is_heard) if begin < end else []
        return begin, end, news

    def _resumed_at(self, now: Ts) -> Ts:
        """Return the time of the last resume, and save it. The end of a pause file counts from the first look."""
        book = self.book
        is_over = book.mark(STOPPED) > 0 and self.trading() is not TradingState.HALTED
        resumed = max(book.mark(LAST_RESUME), self._resume_mark(), now if is_over else 0)
        book.set_mark(LAST_RESUME, min(resumed, now))  # a clock that is set back makes no event new forever
        return Ts(min(resumed, now))

    def _resume_mark(self) -> int:
        """Return the time of a resume that no look has seen yet, else 0. One under an older pause has not ended."""
        mark, halt = self.book.mark(RESUMED), self.store.halt()
        return 0 if halt.is_pause and halt.since <= mark else mark

    def _see_stops(self, board: Board, now: Ts) -> None:
        """Update the board with the saved halt, also below a pause, and with a resume since the last look."""
        stop, is_resumed = self.store.stop_under_pause(), self._resume_mark() > 0
        if is_resumed or stop.state is TradingState.ACTIVE:
            board.resumed(now)
        if is_resumed or self.trading() is not TradingState.HALTED:
            board.is_stopped = False
            board.end_code("FLATTEN_FAILED", now)
            for name in (RESUMED, STOPPED, FLATTEN):
                self.book.set_mark(name, 0)
        if stop.state is not TradingState.ACTIVE:
            value = f"trading is {state_word(stop)}: {stop.reason}".rstrip(": ")
            if stop.code == "CANCEL_ALL":
                value += ". A notice of its own says what was canceled"
            breach = Breach(subject="account", value=value, limit="", severity="critical", code=stop.code or "HALTED")
            board.stopped_by(HALT if stop.state is TradingState.HALTED else REDUCING, breach, now, stop.since)

    def _is_unconfirmed(self, client_order_id: str) -> bool:
        """Return whether the outcome of an order is unknown; one that is not on file is, but not all `others`."""
        order = self.store.order(client_order_id)
        return client_order_id != OTHER_SUBJECTS if order is None else order.status in UNCONFIRMED_STATUSES

    def _failing(self) -> list[Breach]:
        return [
            Breach(subject=state.sink, value=state.error, limit="", severity="warning", code="ALERT_UNDELIVERED")
            for state in self.book.sinks()
            if state.failures >= FAILING_AFTER and state.sink in self.terms.sinks
        ]

    def _stopping(self, board: Board, decision: Decision, now: Ts) -> Decision:
        """Stop trading first if the configuration says so; then add a notice about it, once per stop."""
        how = self.terms.alerts.on_critical
        stoppers = self._unstopped(decision) if how == "pause" else decision.stoppers
        if how == "none" or not stoppers:
            return decision
        cause = stoppers[0]
        self.stop(cause)
        why = f"after {cause.code} {shown_subject(cause.code, cause.subject)}"
        if self.trading() is not TradingState.HALTED:
            text = f"trading continues; it was to be paused {why}. Stop it now: kalshi cancel-all"
            told = AlertRaised(now, "critical", "PAUSE_FAILED", "account", text)
        elif self.book.mark(STOPPED):
            return decision  # Trading is stopped already.
        else:
            self.book.set_mark(STOPPED, now)
            board.is_stopped = True
            if how == "flatten":
                self.book.set_mark(FLATTEN, now)
            text = f"{why}.{_unmanaged(cause.code, how)} Trading does not resume by itself: kalshi resume --reason TEXT"
            # A channel for critical alerts receives every stop: the notice of its cause, or this if that one waits.
            stops = {each.code for each in stoppers}
            is_sent = any(each.tier == "critical" and each.code in stops for each in decision.notices)
            told = AlertRaised(now, "warning" if is_sent else "critical", "PAUSED_BY_ALERT", "account", text)
        board.happen(told, now)
        return Decision((*decision.notices, *board.decide(now).notices), decision.stoppers)

    def _since_resume(self, board: Board, stoppers: Iterable[Incident], began: Ts) -> tuple[Incident, ...]:
        """Return the incidents that the last resume did not end.

        It ended those of a guard that had stopped trading itself; the guard stops it again if it must. One of a check
        that began to read before the resume stops trading when the next look finds it again.
        """
        own, found = self.store.stop_under_pause().code, []
        for each in stoppers:
            is_event = each.source == LOOP
            seen = each.since if is_event else began
            if seen >= board.resumed_at or each.code == own or (is_event and each.code not in GUARDED):
                found.append(each)
            elif not is_event:
                board.put(replace(board.matters[each.code][each.subject], must_stop=True))
        return tuple(found)

    def _unstopped(self, decision: Decision) -> tuple[Incident, ...]:
        """Return the incidents that have not stopped trading already, under their own code or one that explains theirs.

        A daily loss makes trading reduce-only, so that exits work. A pause on top would leave open positions alone.
        """
        own = self.store.stop_under_pause().code
        return tuple(each for each in decision.stoppers if each.code not in (own, *INHIBITS.get(own, ())))

    def overview(self) -> AlertOverview:
        """Return the saved state of alerts as of now."""
        board, book, now = self._board(), self.book, self.clock.now()
        book.load(board)
        self.open_alerts.add_missing(board, self.store.order, now)
        causes = board.causes(now)
        matters = sorted(board.all(), key=lambda m: (not m.is_firing, -severity_rank(m.tier), m.since, m.subject))
        taken = self.open_alerts.delivered()
        return AlertOverview(
            matters=tuple(_delivered(matter, taken) for matter in matters),
            hushed=frozenset((m.code, m.subject) for m in matters if board.is_hushed(m, causes, now)),
            ends={(m.code, m.subject): due for m in matters if (due := board.end_due(m)) is not None},
            held={
                (m.code, m.subject): (sent, due)
                for m in matters
                if m.is_firing and m.untold and (due := again_due(m, self._policy)) is not None
                if (sent := taken.get((m.code, m.told))) is not None
            },
            waiting=tuple(book.letters("waiting")),
            dead=tuple(book.letters("dead")),
            silences=tuple(silence for silence in board.silences if now < silence.until),
            sinks=tuple(book.sinks()),
            dropped=book.mark("dropped"),
        )

    # -- delivering -----------------------------------------------------------------------------------------------

    @property
    def sinks(self) -> list[str]:
        """Return the names of the channels."""
        return list(self.terms.sinks)

    def deliver(self, within_s: float, only: Sequence[str] | None = None) -> int:
        """Deliver notices that are due, to all channels or `only` these, for `within_s` seconds.

        Returns the number of notices that still wait for these channels. Raises only StateFileError.
        """
        until = self.clock.monotonic() + within_s
        names = self.sinks if only is None else only
        if not self.book.count_waiting(names):  # Reading is cheap, claiming a notice is a write.
            return 0
        while (left := until - self.clock.monotonic()) >= MIN_ATTEMPT_S:
            claimed = self.book.claim_notice(names, self.clock.now())
            if claimed is None:
                break
            self._attempt(*claimed, min(left, ATTEMPT_S))
        return self.book.count_waiting(names)

    def is_delivering(self, name: str) -> bool:
        """Return whether a program delivers a notice to this channel now."""
        now = self.clock.now()
        return any(state.sink == name and state.is_claimed(now) for state in self.book.sinks())

    def _attempt(self, letter: QueuedNotice, state: AlertChannelState, within_s: float) -> None:
        delivery = self.notifier.deliver(letter.sink, letter.notice, within_s)
        now, tries = self.clock.now(), letter.tries + 1
        if delivery.outcome == "delivered":
            done = replace(letter, status="delivered", tries=tries, moved=now, error="")
            self.book.settle(
                done, AlertChannelState(sink=state.sink, last_delivered=now, last_failed=state.last_failed)
            )
            self.open_alerts.save()
            return
        failures = state.failures + 1
        wait_ms = min(FIRST_RETRY_MS << min(failures - 1, 20), MAX_RETRY_MS)
        wait_ms = min(max(wait_ms, int(delivery.retry_after_s * 1000)), MAX_RETRY_MS)
        after = replace(
            state, failures=failures, claimed_until=Ts(0), last_failed=now, error=delivery.text,
            retry_at=Ts(0) if delivery.outcome == "refused" else Ts(now + wait_ms),
        )  # fmt: skip
        is_dead = delivery.outcome != "retry" or now - letter.created >= self._policy.stale_ms
        tried = replace(letter, status="dead" if is_dead else "waiting", tries=tries, moved=now, error=delivery.text)
        self.book.settle(tried, after, fallback=self._fallback(tried))

    def _fallback(self, letter: QueuedNotice) -> str:
        """Return the fallback channel for a notice that is undeliverable or failed often enough, else ""."""
        name = self.terms.alerts.fallback
        is_needed = letter.status == "dead" or letter.tries >= FALLBACK_AFTER
        return name if is_needed and name in self.terms.sinks else ""


def _unmanaged(code: str, how: str) -> str:
    """Return what a pause after this code means for open positions, and how to close them; "" if the loop does."""
    if code == "CREDENTIALS":
        return " The key can neither cancel nor close anything: use the web site until it is accepted again."
    return "" if how == "flatten" else " Nothing manages open positions: kalshi flatten closes them."
