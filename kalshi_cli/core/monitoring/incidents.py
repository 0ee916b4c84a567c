"""What there is to tell: one thing each, what explains it, what is silenced, and how urgent it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import msgspec

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.runbook_index import runbook_for

SEVERITY_RANK = ("info", "warning", "critical")
"""The tiers, from the least."""

LOOP, HALT, REDUCING = "loop", "halt", "reducing"
"""Sources: what a loop recorded, and the trading state on file. Any other is a check."""

ENDS: dict[str, tuple[str, ...]] = {
    "SIGHTED": ("BLIND",),
    "EXCHANGE_RESUMED": ("EXCHANGE_PAUSED", "TRADING_PAUSED"),
    "EXCHANGE_PAUSED": ("TRADING_PAUSED",),
    "TRADING_PAUSED": ("EXCHANGE_PAUSED",),
    "FLATTENED": ("FLATTEN_FAILED",),
    "SOURCE_ANSWERS": ("SOURCE_STALE",),
}
"""What a loop records -> what of the same subject is over with it. What can end lasts; all else is an event."""

CONDITION_CODES = {ended for codes in ENDS.values() for ended in codes}

PAUSES = ("EXCHANGE_PAUSED", "TRADING_PAUSED")
"""Codes of which each is said of one shard: `shard 1`."""

SEEN_BY: dict[str, tuple[str, ...]] = {"check exchange": PAUSES, "check feed": ("SOURCE_STALE",)}
"""A check -> what a loop says that it sees as well: once that loop is gone, the check knows when it is over."""

NOTIFY_EVERY_TIME = ("PAUSED_BY_ALERT", "FLATTENED", "FLATTEN_FAILED")
"""What trading does because of an alert is told at once each time; it takes a person before there is a next one."""

_NOISE = ("FEED*", "BOOK*", "POST_ONLY*", "API*", "UNANSWERED", "ORDER_UNKNOWN", "COULD_NOT_LOOK")
_IDLE = ("FILL_RATE", "REJECT_RATE", "PLACEMENT_SLOW", "EXECUTION_DROP", "NO_ORDERS", "DENIED_RATE")
INHIBITS: dict[str, tuple[str, ...]] = {
    "EXCHANGE_PAUSED": (*_NOISE, *_IDLE, "TRADING_PAUSED", "CYCLE_LATE"),
    "TRADING_PAUSED": (*_NOISE, *_IDLE),
    "BLIND": (*_NOISE, "CYCLE_LATE"),
    "DAILY_LOSS": ("DAY_LOSS",),
    "CANCEL_ALL": ("GROUP_TRIGGERED",),
    "HALTED": ("STRATEGY*", "LOOP_FAILED", "CYCLE_LATE", "HEARTBEAT_LOST", "FEED*", "BOOK*", *_IDLE),
}
"""A code that holds -> codes (as globs) that it explains. HALTED stands for every halt, whatever its own code."""

STOPS = (
    "POSITION_LIMIT", "EXPOSURE", "EVENT_EXPOSURE", "CATEGORY_EXPOSURE", "DAILY_LOSS", "DAY_LOSS", "DRAWDOWN",
    "DRIFT", "EDGE_DRIFT", "CASH_DRIFT", "FILLS_MISSING", "FILLS_NOT_THERE", "FILL_DIFFERS", "SETTLEMENT_MISSING",
    "FOREIGN_ACTIVITY", "OTHER_INSTANCE", "DOUBLE_ORDER", "DUPLICATE_ID",
    "ORDER_UNKNOWN_LONG", "ORDER_STALE", "ORDER_DIFFERS", "LATE_ORDER", "GROUP_TRIGGERED",
    "STRATEGY_STUCK", "CREDENTIALS",
)  # fmt: skip
"""Critical codes after which trading stops, where that is wished: what is held, lost, counted or sent is not as it must
be, the key is refused, so that orders cannot be canceled, or a strategy holds the whole loop up. No other code does: a
strategy that failed is taken out, and the others go on (F17); that something could not be found out, or what an
exchange that is slow, paused or out of sight brings with it, is no reason to close a position, and a code that nobody
thought of here is none either."""

MAX_SUBJECTS = 100
OTHER_SUBJECTS = "others"
"""Subjects of one code that are known one by one; any more are counted as one."""

NAMED = 20
"""Subjects that one notice names."""

MAX_REPEAT_ALERTS = 3
"""Critical things of one code that are told at once, within a window, when they are back after their end was told."""

MAX_TEXT_LENGTH, MAX_SUBJECT_LENGTH = 500, 200

LOOP_GONE_MS, CHECK_GONE_MS = 300_000, 3_600_000
"""What nobody has seen for so long (the loop that recorded it, the check that found it) explains nothing any more."""

RESUMED_MS = 30_000
"""How long a stop must stay away after a resume before it is resolved. A running loop looks at its limits again at its
next tick, at most ten seconds later, and stops again where one is still exceeded."""

AHEAD_MS = 60_000
"""Times so far ahead were written before the clock was set back."""

LOOKS = 2
"""A check that could not look is told of when it could not so often in a row."""


class AlertPolicy(msgspec.Struct, frozen=True):
    """How long is told together, after how long again, and how old an event may be."""

    group_ms: int
    repeat_ms: int
    stale_ms: int


class AlertSilence(msgspec.Struct, frozen=True):
    """Nobody is told of what has such a code and subject (globs) before `until`."""

    code: str
    subject: str
    until: Ts
    reason: str
    created: Ts

    def covers(self, matter: Incident, now: Ts) -> bool:
        is_current = self.created - now <= AHEAD_MS and now < self.until
        return is_current and fnmatchcase(matter.code, self.code) and fnmatchcase(matter.subject, self.subject)


class GroupingWindow(msgspec.Struct, frozen=True):
    """After something of a code was told: until when more of it waits, unless it is graver than `tier`."""

    code: str
    until: Ts
    tier: str


class IncidentCauses(msgspec.Struct, frozen=True):
    """Codes (as globs) that something greater explains: wherever they are said, and on which shard."""

    everywhere: frozenset[str]
    on_shard: Mapping[int, frozenset[str]] = {}

    def explain(self, code: str, shard: int | None) -> bool:
        """Whether they do; `shard` is None for what is of the whole account, or nobody knows where."""
        here = self.on_shard.get(shard, frozenset()) if shard is not None else frozenset()
        return any(fnmatchcase(code, glob) for glob in self.everywhere | here)


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell. `untold` times it began, or happened, since somebody was last told of it (`told`).

    It holds since `since`, and `is_known` once that was told; `ended` is since when it does not. `is_resolved`: its end
    was told too, or nobody had known of it. `has_returned`: it was back before its time. `hushed` is how often it was
    left untold for good. `must_stop`: it is to stop trading as soon as nothing greater explains it any more. `unit` is
    what `value` and `wanted` are counted in.
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

    @property
    def is_firing(self) -> bool:
        """It lasts, it is not over, and it is certain enough to be told."""
        return self.lasts and self.ended is None and (self.is_known or self.untold > 0)


def from_check(source: str, breach: Breach, now: Ts, event: str) -> Incident:
    """What a check found; of a breach that is unknown it is not yet sure that there is anything."""
    value, wanted = safe_text(breach.value, MAX_TEXT_LENGTH), safe_text(breach.wanted, MAX_SUBJECT_LENGTH)
    is_unknown = breach.severity == "unknown"
    return Incident(
        code=breach.code, subject=safe_text(breach.subject, MAX_SUBJECT_LENGTH), source=source,
        tier="warning" if is_unknown else breach.severity, event=event or runbook_for(breach.code).event,
        text=f"{value}, wanted is {wanted}" if wanted else value, value=value,
        wanted=safe_text(breach.limit, MAX_SUBJECT_LENGTH), unit=breach.unit,
        since=now, seen=now, lasts=True, is_unknown=is_unknown, untold=0 if is_unknown else 1,
    )  # fmt: skip


def recorded(alert: AlertRaised, now: Ts) -> Incident:
    """What a loop recorded, seen now."""
    return Incident(
        code=alert.code, subject=safe_text(alert.subject, MAX_SUBJECT_LENGTH), source=LOOP, tier=alert.tier,
        event=runbook_for(alert.code).event, text=safe_text(alert.text, MAX_TEXT_LENGTH), since=alert.ts, seen=now,
        lasts=alert.code in CONDITION_CODES,
    )  # fmt: skip


def stops_trading(matter: Incident) -> bool:
    """Whether it stops trading, where the configuration says that what is critical does."""
    return matter.tier == "critical" and matter.code in STOPS


def shard_named(subject: str) -> int | None:
    """The shard that a pause is said of."""
    found = _SHARD.fullmatch(subject)
    return int(found[1]) if found else None


_SHARD = re.compile(r"shard (\d{1,9})")


def severity_rank(tier: str) -> int:
    """More is graver."""
    return SEVERITY_RANK.index(tier)


def worst(tiers: Iterable[str]) -> str:
    """The gravest tier; that of news where there is none."""
    return max(tiers, key=severity_rank, default="info")
