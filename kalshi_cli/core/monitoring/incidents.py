"""Incidents that can raise alerts: their causes, silences, severities and tickets.

A notice opens a ticket at a receiver, such as PagerDuty, and a later notice closes it. A notice that starts several
incidents opens one ticket, named after its first subject. Each incident saves the name of its ticket. The ticket closes
when all of its incidents are over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

import msgspec
from msgspec.structs import replace

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.monitoring.runbook_index import runbook_for

SEVERITY_RANK = ("info", "warning", "critical")
"""The tiers, from the lowest."""

LOOP, HALT, REDUCING = "loop", "halt", "reducing"
"""Sources: the alerts of a loop, and the stored trading state. Any other source is a check."""

ENDS: dict[str, tuple[str, ...]] = {
    "SIGHTED": ("BLIND",),
    "EXCHANGE_RESUMED": ("EXCHANGE_PAUSED", "TRADING_PAUSED"),
    "EXCHANGE_PAUSED": ("TRADING_PAUSED",),
    "TRADING_PAUSED": ("EXCHANGE_PAUSED",),
    "FLATTENED": ("FLATTEN_FAILED",),
    "SOURCE_ANSWERS": ("SOURCE_STALE",),
    "PRICE_ALERT_SIGHTED": ("PRICE_ALERT_BLIND",),
}
"""The codes that each alert of a loop ends for its subject. Codes that can end are lasting; all others are events."""

UNCONFIRMED = ("ORDER_UNKNOWN", "ORDER_UNKNOWN_LONG")
"""The codes that end as soon as the state file knows what became of the order that is their subject."""

CONDITION_CODES = {*UNCONFIRMED, *(ended for codes in ENDS.values() for ended in codes)}

PAUSES = ("EXCHANGE_PAUSED", "TRADING_PAUSED")
"""Codes that name one shard as their subject: `shard 1`."""

SEEN_BY: dict[str, tuple[str, ...]] = {"check exchange": PAUSES, "check feed": ("SOURCE_STALE",)}
"""The loop's codes that a check can confirm too: after that loop ended, the check knows when they are over."""

NOTIFY_EVERY_TIME = ("PAUSED_BY_ALERT", "FLATTENED", "FLATTEN_FAILED", "CANCEL_ALL_RESULT")
"""Automatic actions and results, sent at once each time; the user must act before they can happen again."""

WATCHED = ("SOURCE_STALE", "PRICE_ALERT_BLIND")
"""The loop's codes whose watch starts from the recorded alerts: it ends those that are over, and raises none twice."""

_NOISE = ("FEED*", "BOOK*", "POST_ONLY*", "API*", "UNANSWERED", "ORDER_UNKNOWN", "COULD_NOT_LOOK")
_IDLE = ("FILL_RATE", "REJECT_RATE", "PLACEMENT_SLOW", "EXECUTION_DROP", "NO_ORDERS", "DENIED_RATE")
INHIBITS: dict[str, tuple[str, ...]] = {
    "EXCHANGE_PAUSED": (*_NOISE, *_IDLE, "TRADING_PAUSED", "CYCLE_LATE"),
    "TRADING_PAUSED": (*_NOISE, *_IDLE),
    "BLIND": (*_NOISE, "CYCLE_LATE"),
    "CYCLE_LATE": ("FEED_STALE", "SOURCE_STALE"),
    "DAILY_LOSS": ("DAY_LOSS",),
    "CANCEL_ALL": ("GROUP_TRIGGERED",),
    "HALTED": ("STRATEGY*", "LOOP_FAILED", "CYCLE_LATE", "HEARTBEAT_LOST", "FEED*", "BOOK*", *_IDLE),
}
"""The codes (globs) that a current code explains. HALTED stands for every halt, whatever its own code."""


def explained_by(codes: Collection[str]) -> frozenset[str]:
    """Return the codes and those that they explain."""
    return frozenset(codes).union(*(INHIBITS.get(code, ()) for code in codes))


STOPS = (
    "POSITION_LIMIT", "EXPOSURE", "MARKET_EXPOSURE", "EVENT_EXPOSURE", "CATEGORY_EXPOSURE", "OPEN_POSITIONS",
    "DAILY_LOSS", "DAY_LOSS", "DRAWDOWN",
    "DRIFT", "EDGE_DRIFT", "CASH_DRIFT", "FILLS_MISSING", "FILLS_NOT_THERE", "FILL_DIFFERS", "SETTLEMENT_MISSING",
    "RECOUNT", "FOREIGN_ACTIVITY", "OTHER_INSTANCE", "DOUBLE_ORDER", "DUPLICATE_ID",
    "ORDER_UNKNOWN_LONG", "ORDER_STALE", "ORDER_DIFFERS", "LATE_ORDER", "GROUP_TRIGGERED",
    "STRATEGY_STUCK", "CREDENTIALS",
)  # fmt: skip
"""Critical codes that stop trading, if that is configured: positions, losses, counts or orders are wrong, the key is
refused so that orders cannot be canceled, or a strategy blocks the loop. No other code stops trading: a failed strategy
is disabled and the others continue (F17), and a failed check, or a slow, paused or unreachable exchange, is no reason
to close a position."""

GUARDED = ("DAILY_LOSS", "DRAWDOWN", "DOUBLE_ORDER")
"""Codes of guards in the loop: the loop itself stops trading, with or without alerts. A resume ends such a stop."""

MAX_SUBJECTS = 100
OTHER_SUBJECTS = "others"
"""Subjects of one code that are known one by one; any more are counted as one."""

NAMED = 20
"""The most subjects that a notice names."""

MAX_REPEAT_ALERTS = 3
"""The most critical incidents of one code that are sent at once within a window when they return."""

QUIET_WINDOWS = 2
"""Grouping windows for which an incident that returned must stay away before its end is sent: longer than the usual
interval of a check from cron, so that one which every second check finds does not end each time."""

MAX_TEXT_LENGTH, MAX_SUBJECT_LENGTH = 500, 200

LOOP_GONE_MS, CHECK_GONE_MS = 300_000, 3_600_000
"""After this time without confirmation by its loop or check, an incident explains nothing."""

RESUMED_MS = 30_000
"""How long a stop must stay away after a resume before it is resolved. A running loop checks its limits at its next
tick, at most ten seconds later, and stops again if one is still exceeded."""

AHEAD_MS = 60_000
"""Times further in the future than this are from before the clock was set back."""

LOOKS = 2
"""An unknown result is sent after this many in a row."""


class AlertPolicy(msgspec.Struct, frozen=True):
    """The times for grouping and repeating notices, and the maximum age of an event."""

    group_ms: int
    repeat_ms: int
    stale_ms: int


class AlertSilence(msgspec.Struct, frozen=True):
    """A silence: incidents with a matching code and subject (globs) are not sent before `until`.

    With `until_over` it covers only the incidents that it found when it was `created`, and is removed when all of them
    have ended.
    """

    code: str
    subject: str
    until: Ts
    reason: str
    created: Ts
    until_over: bool = False

    def covers(self, matter: Incident, now: Ts) -> bool:
        """Return whether the silence is active and matches the incident."""
        is_current = self.created - now <= AHEAD_MS and now < self.until
        if self.until_over and (not matter.lasts or matter.ended is not None or matter.since > self.created):
            return False
        return is_current and fnmatchcase(matter.code, self.code) and fnmatchcase(matter.subject, self.subject)


class GroupingWindow(msgspec.Struct, frozen=True):
    """After a notice of a code: the time until which further ones wait, unless graver than `tier`."""

    code: str
    until: Ts
    tier: str


class IncidentCauses(msgspec.Struct, frozen=True):
    """Codes (globs) that greater incidents explain, everywhere or on one shard."""

    everywhere: frozenset[str]
    on_shard: Mapping[int, frozenset[str]] = {}

    def explain(self, code: str, shard: int | None) -> bool:
        """Return whether a code is explained; `shard` None means the whole account or unknown."""
        here = self.on_shard.get(shard, frozenset()) if shard is not None else frozenset()
        return any(fnmatchcase(code, glob) for glob in self.everywhere | here)


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident that alerts are sent for. `untold` counts its starts or occurrences since the last notice (`told`).

    It holds since `since` and until `ended`. `is_known`: its start was sent. `is_resolved`: its end was sent, or the
    start never was. `has_returned`: it returned soon after its end. `hushed` counts occurrences that were never sent.
    `must_stop`: it stops trading as soon as no greater incident explains it. `unit` is the unit of `value` and
    `wanted`. `ticket` names the ticket that its start opened at a receiver, and `ticket_tier` the gravest tier that was
    sent for that ticket; both are empty without one.
    """

    code: str
    subject: str
    source: str
    tier: str
    event: str
    text: str
    since: Ts
    seen: Ts
    value: str = ""
    wanted: str = ""
    unit: str = ""
    lasts: bool = False
    is_unknown: bool = False
    count: int = 1
    untold: int = 1
    told: Ts | None = None
    ended: Ts | None = None
    is_known: bool = False
    is_resolved: bool = False
    has_returned: bool = False
    hushed: int = 0
    must_stop: bool = False
    ticket: str = ""
    ticket_tier: str = ""

    @property
    def is_firing(self) -> bool:
        """Return whether it is lasting, current, and certain enough to be sent."""
        return self.lasts and self.ended is None and (self.is_known or self.untold > 0)

    @property
    def is_sent(self) -> bool:
        """Return whether it is lasting, its start was sent, and its end was not."""
        return self.lasts and self.is_known and not self.is_resolved and self.told is not None

    @property
    def last_sent(self) -> Ts:
        """Return when the last notice about a lasting incident was sent; 0 without one."""
        return Ts(max(self.told or 0, (self.ended or 0) if self.is_resolved else 0))

    @property
    def is_unstable(self) -> bool:
        """Return whether it returned, and this was sent; false for a halt, which only the user ends."""
        return self.is_known and self.has_returned and self.source not in (HALT, REDUCING)


def again_due(matter: Incident, policy: AlertPolicy) -> Ts | None:
    """Return from when an incident that returns again and again is sent again; None for any other.

    That is after it was unstable for as long again, and for a window at least.
    """
    if matter.told is None or not matter.is_unstable:
        return None
    unstable_ms = matter.told - matter.since
    wait_ms = min(max(unstable_ms, policy.group_ms), policy.repeat_ms) if unstable_ms >= 0 else 0
    return Ts(matter.told + wait_ms)


def from_check(source: str, breach: Breach, now: Ts, event: str) -> Incident:
    """Return the incident of a check's breach; an unknown result is not certain yet."""
    value, bound = safe_text(breach.value, MAX_TEXT_LENGTH), safe_text(breach.bound, MAX_SUBJECT_LENGTH)
    is_unknown = breach.severity == "unknown"
    return Incident(
        code=breach.code, subject=safe_text(breach.subject, MAX_SUBJECT_LENGTH), source=source,
        tier="warning" if is_unknown else breach.severity, event=event or runbook_for(breach.code).event,
        text=f"{value}, {bound}" if bound else value, value=value,
        wanted=safe_text(breach.limit, MAX_SUBJECT_LENGTH), unit=breach.unit,
        since=now, seen=now, lasts=True, is_unknown=is_unknown, untold=0 if is_unknown else 1,
    )  # fmt: skip


def recorded(alert: AlertRaised, now: Ts) -> Incident:
    """Return the incident of an alert that a loop recorded."""
    return Incident(
        code=alert.code, subject=safe_text(alert.subject, MAX_SUBJECT_LENGTH), source=LOOP, tier=alert.tier,
        event=runbook_for(alert.code).event, text=safe_text(alert.text, MAX_TEXT_LENGTH), since=alert.ts, seen=now,
        lasts=alert.code in CONDITION_CODES,
    )  # fmt: skip


def continued(recorded: Iterable[tuple[int, AlertRaised]], last: int) -> set[tuple[str, str]]:
    """Return code and subject of what a loop that starts continues: what it raised itself, and what its watches do.

    `recorded` are the stored alerts with their numbers, oldest first. The loop raised those after the number `last`.
    """
    found: dict[tuple[str, str], bool] = {}
    for number, alert in recorded:
        subject = safe_text(alert.subject, MAX_SUBJECT_LENGTH)
        found |= {(code, subject): False for code in ENDS.get(alert.code, ())}
        found[alert.code, subject] = number > last or alert.code in WATCHED
    return {key for key, is_continued in found.items() if is_continued}


def corrected(matter: Incident, now: Ts) -> Incident:
    """Return the incident with the current time for times in the future, from before the clock was set back."""
    told, ended = matter.told, matter.ended
    if max(matter.since, matter.seen, told or 0, ended or 0) <= now + AHEAD_MS:
        return matter
    return replace(
        matter, since=min(matter.since, now), seen=min(matter.seen, now),
        told=None if told is None else min(told, now), ended=None if ended is None else min(ended, now),
    )  # fmt: skip


def was_critical(known: Incident | None, matter: Incident) -> bool:
    """Return whether the incident was already critical without an end since; for an event, unsent or sent recently.

    An incident that could not stop trading the last time counts as new.
    """
    if known is None or known.tier != "critical" or known.must_stop:
        return False
    return known.ended is None if known.lasts else known.untold > 0 or matter.is_known


def stops_trading(matter: Incident) -> bool:
    """Return whether the incident stops trading, if that is configured."""
    return matter.tier == "critical" and matter.code in STOPS


def shard_named(subject: str) -> int | None:
    """Return the shard that the subject of a pause names."""
    found = _SHARD.fullmatch(subject)
    return int(found[1]) if found else None


_SHARD = re.compile(r"shard (\d{1,9})")


def severity_rank(tier: str) -> int:
    """Return the rank of a tier; higher is graver."""
    return SEVERITY_RANK.index(tier)


def worst(tiers: Iterable[str]) -> str:
    """Return the gravest tier, info without any."""
    return max(tiers, key=severity_rank, default="info")


def ends_by_ticket(ended: Collection[Incident], others: Collection[Incident]) -> list[tuple[str, list[Incident]]]:
    """Return the incidents that end together with the ticket that their end closes.

    The ticket is "" for those whose ticket stays open for one of the `others` of the code. Incidents that were never
    sent join the first end.
    """
    left = {matter.ticket for matter in others}
    ends: dict[str, list[Incident]] = {}
    for matter in ended:
        if matter.told is not None:
            ticket = matter.ticket or matter.subject
            ends.setdefault("" if ticket in left else ticket, []).append(matter)
    next(iter(ends.values())).extend(matter for matter in ended if matter.told is None)
    return list(ends.items())


def in_ticket(notice: Notice, named: Collection[str], group: Collection[Incident]) -> Iterator[Incident]:
    """Yield the incidents of the code that are in the ticket of a start or a reminder, with the gravest tier it had.

    The ticket is closed with that tier, because a channel may receive only that one. A lasting incident among the
    `named` subjects joins the ticket, unless it is in another one.
    """
    for matter in group:
        is_new = matter.lasts and not matter.ticket and matter.subject in named
        if is_new or matter.ticket == notice.ticket:
            tier = worst((matter.ticket_tier or notice.tier, notice.tier))
            yield replace(matter, ticket=notice.ticket, ticket_tier=tier)
