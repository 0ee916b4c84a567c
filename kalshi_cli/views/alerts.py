"""Views of alerts. Rules as in `row`; the address of a sink is never shown whole."""

from __future__ import annotations

from typing import Literal

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow, names


class AlertRow(OutputRow, frozen=True, kw_only=True):
    """Something that holds (`firing`), did until lately (`over`), or happened (`event`). `count` is how often it was
    seen; `told` when a sink last took a notice of it; `waiting` how many were told to nobody yet; `silenced` says that
    nobody is told now, because of a silence or of something greater that explains it. `value` was found where `limit`
    is wanted, counted in `unit`; they are empty where there is no number.
    """

    tier: str
    code: str
    subject: str
    state: Literal["firing", "over", "event"]
    since: Ts
    count: int
    told: Ts | None
    waiting: int
    silenced: bool
    source: str
    value: TruncatableText
    limit: TruncatableText
    unit: str
    text: TruncatableText

    named = names(waiting="untold", limit="wanted")
    shown = ("code", "subject", "since", "told", "state", "tier", "silenced", "text")
    vital = ("code", "subject", "since", "told")


class UndeliveredNoticeRow(OutputRow, frozen=True, kw_only=True):
    """A notice that a sink has not got: `waiting` for another try, or `dead`, which `kalshi alerts retry` wakes."""

    sink: str
    status: str
    tier: str
    code: str
    subject: str
    created: Ts
    tries: int
    error: TruncatableText
    notice_id: str

    named = names(code="notice.code", subject="notice.subject")
    shown = ("sink", "status", "tier", "code", "subject", "created", "tries", "error")


class SilenceRow(OutputRow, frozen=True, kw_only=True):
    code: str
    subject: str
    until: Ts
    reason: TruncatableText


class AlertChannelRow(OutputRow, frozen=True, kw_only=True):
    """Somebody to tell, and how telling went: `failures` in a row; before `retry` nothing is tried."""

    sink: str
    address: str
    hears: str
    failures: int
    last_delivered: Ts | None
    last_failed: Ts | None
    retry: Ts | None
    error: TruncatableText

    named = names(retry="retry_at")
    shown = (
        "sink",
        "address",
        "hears",
        "failures",
        "last_delivered",
        "last_failed",
        "error",
    )


class AlertsView(OutputRow, frozen=True, kw_only=True):
    """All that is kept of alerts. `dropped` notices went unsent because too many waited."""

    firing: int
    undelivered: int
    dead: int
    dropped: int
    alerts: tuple[AlertRow, ...]
    letters: tuple[UndeliveredNoticeRow, ...]
    silences: tuple[SilenceRow, ...]
    sinks: tuple[AlertChannelRow, ...]


class DeliveryRow(OutputRow, frozen=True, kw_only=True):
    """What became of a test notice."""

    sink: str
    delivered: bool
    detail: TruncatableText
