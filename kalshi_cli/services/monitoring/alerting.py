"""Alerting of one account: what happened becomes notices, and notices are delivered.

`observe` says what a check found, `look` reads what a loop wrote into the state file; both decide and fill the outbox
in one transaction. `deliver` empties the outbox. Any program may do either at any time, a loop's courier and a check
from cron at once: nothing is told twice, and what one of them leaves undone the next one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import AlertChannel, AlertsConfig, hidden_address
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.alert_board import Board, Decision
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import (
    HALT,
    LOOP,
    REDUCING,
    AlertPolicy,
    AlertSilence,
    Incident,
    severity_rank,
)
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.services.monitoring.daily_summary import DailySummary, fill_alerts
from kalshi_cli.store.alert_tables import FLATTEN, MAX_RETRY_MS, STOPPED, AlertChannelState, AlertStore, QueuedNotice
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.store.state_store import RESUMED
from kalshi_cli.views.alerts import AlertChannelRow, AlertRow, AlertsView, UndeliveredNoticeRow

if TYPE_CHECKING:
    from kalshi_cli.net.delivery import DeliveryResult

READ_BATCH_SIZE = 500
ROUNDS = 50
"""Rows of the state file that are read at a time, and how often in one look: more than the file keeps."""

ATTEMPT_S = 4.0
"""So that what is critical reaches one sink within 5 s while another one hangs."""
MIN_ATTEMPT_S = 1.0

FIRST_RETRY_MS = 5_000
"""After the first failure of a sink; doubled with each, up to LONGEST_RETRY_MS."""

FALLBACK_AFTER = 2
"""Failed attempts after which the fallback sink hears of it too."""

FAILING_AFTER = 3
"""Failures in a row after which a sink is one that does not deliver."""

LOOP_SEEN_MS = 60_000
"""So often a loop's courier writes down that the loop is there."""


class NotifierProtocol(Protocol):
    """Whoever delivers: `notify/notifier.py`."""

    def deliver(self, name: str, notice: Notice, within_s: float = ...) -> DeliveryResult:
        """One attempt, within that time. Raises nothing."""
        ...


class AlertTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What alerting goes by: the policy, whom there is to tell, and whose account and day it is."""

    alerts: AlertsConfig
    sinks: Mapping[str, AlertChannel]
    env: str
    zone: ZoneInfo

    def hearers(self, notice: Notice) -> list[str]:
        """The sinks that asked for such a notice."""
        return [name for name, sink in self.sinks.items() if self._hears(sink, notice.tier, notice.event)]

    def is_heard(self, tier: str, event: str) -> bool:
        """Whether anybody asked for such."""
        return any(self._hears(sink, tier, event) for sink in self.sinks.values())

    @staticmethod
    def _hears(sink: AlertChannel, tier: str, event: str) -> bool:
        return tier in sink.tiers or event in sink.events


class AlertOverview(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of alerts. Of a matter, `told` is when a sink took it. `hushed` are code and subject of what nobody
    is told of now; `dropped` letters went because too many waited.
    """

    matters: tuple[Incident, ...] = ()
    hushed: frozenset[tuple[str, str]] = frozenset()
    waiting: tuple[QueuedNotice, ...] = ()
    dead: tuple[QueuedNotice, ...] = ()
    silences: tuple[AlertSilence, ...] = ()
    sinks: tuple[AlertChannelState, ...] = ()
    dropped: int = 0


def _delivered(matter: Incident, taken: Mapping[tuple[str, Ts], Ts]) -> Incident:
    """It with the moment at which a sink took what is told of it; none while it is back, and that is not told yet.

    `taken` is what was delivered: by code and time of the notice, when.
    """
    is_waiting = matter.lasts and matter.untold > 0
    told = None if is_waiting or matter.told is None else taken.get((matter.code, matter.told))
    return replace(matter, told=told)


class Alerting:
    """Of one account, for the thread that opened `book` and `store`, which are one file.

    `stop` is called, before anything is told, with what the configuration says must stop trading.
    """

    def __init__(
        self,
        book: AlertStore,
        store: Store,
        terms: AlertTerms,
        notifier: NotifierProtocol,
        clock: Clock,
        new_id: Callable[[], str],
        stop: Callable[[Incident], None],
    ) -> None:
        self.book = book
        self._store = store
        self._terms = terms
        self._notifier = notifier
        self._clock = clock
        self._new_id = new_id
        self._stop = stop
        self._day = DailySummary(book, store, terms.alerts.drawdown, terms.zone)
        alerts = terms.alerts
        self._policy = AlertPolicy(
            int(alerts.group_s * 1000), int(alerts.repeat_s * 1000), int(alerts.give_up_s * 1000)
        )

    # -- deciding -------------------------------------------------------------------------------------------------

    def observe(self, source: str, breaches: Iterable[Breach]) -> None:
        """These breaches hold now; what else of this source held is over, unless one of them is `unknown`."""
        found = list(breaches)
        self._move(lambda board, now: board.observe(source, found, now))

    def begin(self) -> None:
        """A loop begins, and has read the account: what the last one left open is over, or will be said again."""
        held = [("FLATTEN_FAILED", "account")] if self.book.mark(FLATTEN) else []
        self._move(lambda board, now: board.end(LOOP, now, held))

    def record_loop_presence(self, shards: int) -> None:
        """A loop is there, also while it does not beat because it is blind. Written down once a minute; and how many
        shards the exchange has, once it counted them.
        """
        now = self._clock.now()
        if shards and shards != self.book.mark("shards"):
            self.book.set_mark("shards", shards)
        if not 0 <= now - self.book.mark("loop") < LOOP_SEEN_MS:
            self.book.set_mark("loop", now)

    def record(self, alert: AlertRaised) -> None:
        """Leave something to be told, as a loop does."""
        self._store.record(alert)

    def trading(self) -> TradingState:
        """The trading state on file."""
        return self._store.halt().state

    def look(self) -> None:
        """What loops and commands wrote into the state file since the last look, and what time brings."""
        for _ in range(ROUNDS):
            self._move(lambda _board, _now: None)
            if not self.has_news():
                break

    def has_news(self) -> bool:
        """Whether something was recorded since the last look. Cheap."""
        book = self.book
        is_more = book.mark("alerts") < book.last_alert() or book.mark("booked") < book.last_booked()
        return is_more or book.mark(RESUMED) > 0

    def _move(self, act: Callable[[Board, Ts], None]) -> None:
        """One transaction: what is new, then `act`, then what is told. What takes long is read before it."""
        book, now = self.book, self._clock.now()
        news, booked, day = self._recorded(), self._booked(), self._day.look(now, self._is_heard)
        board = self._board()
        board.is_heard = self._is_heard

        def rule() -> Decision:
            board.is_stopped = book.mark(STOPPED) > 0  # within the transaction: another program may just have stopped
            for name, (begin, end, alerts) in {"alerts": news, "booked": booked}.items():
                if begin < end and book.mark(name) == begin:  # else another program has just told it
                    book.set_mark(name, end)
                    for alert in alerts:
                        board.happen(alert, now)
            self._day.tell(board, day, now)
            self._see_stops(board, now)
            board.observe("sinks", self._failing(), now)
            book.discard_orphaned(list(self._terms.sinks), Ts(now - self._policy.stale_ms), now)
            act(board, now)
            return self._stopping(board, board.decide(now), now)

        book.decide(board, rule, self._terms.hearers, now)

    def _board(self) -> Board:
        board, book = Board(self._policy, self._terms.env, self._new_id), self.book
        board.loop_seen, board.shards = Ts(book.mark("loop")), book.mark("shards")
        board.is_stopped = book.mark(STOPPED) > 0
        board.shard_of = cache(book.shard_of)
        return board

    def _recorded(self) -> tuple[int, int, list[AlertRaised]]:
        begin = self.book.mark("alerts")
        found = self.book.alerts_after(begin, READ_BATCH_SIZE)
        return begin, found[-1][0] if found else begin, [alert for _, alert in found]

    def _booked(self) -> tuple[int, int, list[AlertRaised]]:
        begin = self.book.mark("booked")
        end = min(self.book.last_booked(), begin + READ_BATCH_SIZE)
        big_win = self._terms.alerts.big_win if self._is_heard("info", "big_win") else None
        is_heard = self._is_heard("info", "trade_executed")
        news = fill_alerts(self.book, begin, READ_BATCH_SIZE, big_win, is_heard=is_heard) if begin < end else []
        return begin, end, news

    def _is_heard(self, tier: str, event: str) -> bool:
        return self._terms.is_heard(tier, event)

    def _see_stops(self, board: Board, now: Ts) -> None:
        """Learn which stop is on file, also under a pause, and whether a person resumed since the last look."""
        stop, is_resumed = self._store.stop_under_pause(), self.book.mark(RESUMED) > 0
        if is_resumed or stop.state is TradingState.ACTIVE:
            board.resumed(now)
        if is_resumed or self.trading() is not TradingState.HALTED:
            board.is_stopped = False
            board.end_code("FLATTEN_FAILED", now)
            for name in (RESUMED, STOPPED, FLATTEN):
                self.book.set_mark(name, 0)
        if stop.state is not TradingState.ACTIVE:
            value = f"trading is {stop.state.value}: {stop.reason}".rstrip(": ")
            breach = Breach(subject="account", value=value, limit="", severity="critical", code=stop.code or "HALTED")
            board.stopped_by(HALT if stop.state is TradingState.HALTED else REDUCING, breach, now)

    def _failing(self) -> list[Breach]:
        return [
            Breach(subject=state.sink, value=state.error, limit="", severity="warning", code="ALERT_UNDELIVERED")
            for state in self.book.sinks()
            if state.failures >= FAILING_AFTER and state.sink in self._terms.sinks
        ]

    def _stopping(self, board: Board, decision: Decision, now: Ts) -> Decision:
        """Stop trading first, if that is wished; then tell of that too, once for each time that it is stopped."""
        how = self._terms.alerts.on_critical
        if how == "none" or not decision.stoppers:
            return decision
        cause = decision.stoppers[0]
        self._stop(cause)
        why = f"because of {cause.code} {cause.subject}"
        if self.trading() is not TradingState.HALTED:
            told = AlertRaised(
                now, "critical", "PAUSE_FAILED", "account", f"trading goes on, and was to be paused {why}"
            )
        elif self.book.mark(STOPPED):
            return decision  # what comes on top of what stopped it stops nothing more
        else:
            self.book.set_mark(STOPPED, now)
            board.is_stopped = True
            if how == "flatten":
                self.book.set_mark(FLATTEN, now)
            text = f"{why}; nothing resumes by itself: kalshi resume --reason TEXT"
            told = AlertRaised(now, "warning", "PAUSED_BY_ALERT", "account", text)
        board.happen(told, now)
        return Decision((*decision.notices, *board.decide(now).notices), decision.stoppers)

    def overview(self) -> AlertOverview:
        """What is kept, as it is now."""
        book, now = self.book, self._clock.now()
        board = self._board()
        book.load(board)
        causes = board.causes(now)
        matters = sorted(board.all(), key=lambda m: (not m.is_firing, -severity_rank(m.tier), m.since, m.subject))
        taken = {(each.notice.code, each.notice.ts): each.moved for each in book.letters("delivered")}
        return AlertOverview(
            matters=tuple(_delivered(matter, taken) for matter in matters),
            hushed=frozenset((m.code, m.subject) for m in matters if board.is_hushed(m, causes, now)),
            waiting=tuple(book.letters("waiting")),
            dead=tuple(book.letters("dead")),
            silences=tuple(silence for silence in board.silences if now < silence.until),
            sinks=tuple(book.sinks()),
            dropped=book.mark("dropped"),
        )

    # -- delivering -----------------------------------------------------------------------------------------------

    @property
    def sinks(self) -> list[str]:
        """Their names."""
        return list(self._terms.sinks)

    def deliver(self, within_s: float, only: Sequence[str] | None = None) -> int:
        """Try what may be tried now, for so long, for all sinks or `only` these; how many notices wait for them
        afterwards. Raises only StateError.
        """
        until = self._clock.monotonic() + within_s
        names = self.sinks if only is None else only
        if not self.book.count_waiting(names):  # to look is cheap, to claim is to write
            return 0
        while (left := until - self._clock.monotonic()) >= MIN_ATTEMPT_S:
            claimed = self.book.claim_notice(names, self._clock.now())
            if claimed is None:
                break
            self._attempt(*claimed, min(left, ATTEMPT_S))
        return self.book.count_waiting(names)

    def _attempt(self, letter: QueuedNotice, state: AlertChannelState, within_s: float) -> None:
        delivery = self._notifier.deliver(letter.sink, letter.notice, within_s)
        now, tries = self._clock.now(), letter.tries + 1
        if delivery.outcome == "delivered":
            done = replace(letter, status="delivered", tries=tries, moved=now, error="")
            self.book.settle(
                done, AlertChannelState(sink=state.sink, last_delivered=now, last_failed=state.last_failed)
            )
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
        """Who hears of it as well, once it is dead or has failed often enough."""
        name = self._terms.alerts.fallback
        is_needed = letter.status == "dead" or letter.tries >= FALLBACK_AFTER
        return name if is_needed and name in self._terms.sinks else ""


def alerts_view(found: AlertOverview, sinks: Mapping[str, AlertChannel]) -> AlertsView:
    """Return it as it is shown, with the sinks of the configuration."""
    states = {state.sink: state for state in found.sinks}
    return AlertsView.of(
        found,
        firing=sum(matter.is_firing for matter in found.matters),
        undelivered=len(found.waiting),
        dead=len(found.dead),
        alerts=tuple(_alert(matter, found) for matter in found.matters),
        letters=tuple(map(UndeliveredNoticeRow.of, (*found.waiting, *found.dead))),
        sinks=tuple(
            AlertChannelRow.of(
                states.get(name) or AlertChannelState(sink=name),
                address=hidden_address(sink.url) if sink.url else str(sink.url_file or ""),
                hears=" ".join((*sink.tiers, *sink.events)),
            )
            for name, sink in sinks.items()
        ),
    )


def _alert(matter: Incident, found: AlertOverview) -> AlertRow:
    is_hushed = (matter.code, matter.subject) in found.hushed
    is_held_back = is_hushed and matter.lasts and matter.ended is None
    is_firing = matter.is_firing or is_held_back
    return AlertRow.of(matter, state="firing" if is_firing else "over" if matter.lasts else "event", silenced=is_hushed)
