"""Views of alerts. Rules as in `row`. The address of a channel is never shown in full."""

from __future__ import annotations

from typing import Literal

from kalshi_cli.base.units import Price, Ts
from kalshi_cli.core.model.effects import shown_subject
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow, names

NO_CHANNEL = "No alert channels configured"
ADD_CHANNEL = "`kalshi init --alert-channel URL` adds one"
"""The next step after NO_CHANNEL, the same wherever it is said."""


class AlertRow(OutputRow, frozen=True, kw_only=True):
    """An alert that is active (`firing`), has ended (`over`), or happened once (`event`).

    `count` is the number of times it was seen, `told` when a channel last accepted a notice of it, `waiting` the number
    of unsent notices; `silenced` means that no notice is sent now, because of a silence or a more severe alert that
    explains it. `end_due` is the time from which a loop or a check sends the end of an alert that is over; null once it
    was sent, or while it waits for a resume. `next_due` is the time from which an alert that returns again and again is
    sent again, and `last_sent` when a channel last accepted it; both are null for any other. `value` was measured where
    `limit` is allowed, in `unit`; they are empty without a number.
    """

    tier: str
    code: str
    subject: TruncatableText
    state: Literal["firing", "over", "event"]
    since: Ts
    count: int
    told: Ts | None
    waiting: int
    silenced: bool
    end_due: Ts | None = None
    last_sent: Ts | None = None
    next_due: Ts | None = None
    source: str
    value: TruncatableText
    limit: TruncatableText
    unit: str
    text: TruncatableText

    named = names(waiting="untold", limit="wanted")
    shown = ("code", "subject", "text", "state", "since", "told", "tier", "silenced")
    piped = ("since", "tier", "state", "code", "subject", "told", "text")
    vital = ("code", "subject", "text", "state", "since", "told", "tier")
    wraps = True

    @property
    def is_held_back(self) -> bool:
        """Return whether no notice of it is sent now."""
        return self.silenced or self.next_due is not None

    @property
    def short_subject(self) -> str:
        """Return the subject as people read it."""
        return shown_subject(self.code, self.subject)


class UndeliveredNoticeRow(OutputRow, frozen=True, kw_only=True):
    """A notice that a channel has not accepted: `waiting` for another try, or `dead` until `kalshi alerts retry`."""

    sink: str
    status: str
    tier: str
    code: str
    subject: str
    created: Ts
    tries: int
    error: TruncatableText
    notice_id: str
    channel: str

    named = names(code="notice.code", subject="notice.subject", channel="sink")
    shown = ("channel", "code", "status", "created", "error", "tries", "tier", "subject")
    piped = (*shown, "notice_id")
    vital = ("code", "status", "created")


class SilenceRow(OutputRow, frozen=True, kw_only=True):
    """A silence of an alert code; with `until_over` it ends with the alerts that were active when it began."""

    code: str
    subject: str
    until: Ts
    until_over: bool = False
    reason: TruncatableText


class AlertChannelRow(OutputRow, frozen=True, kw_only=True):
    """An alert channel and its deliveries: `failures` in a row; before `retry` no attempt is made."""

    sink: str
    address: str
    hears: str
    failures: int
    last_delivered: Ts | None
    last_failed: Ts | None
    retry: Ts | None
    error: TruncatableText
    channel: str

    named = names(retry="retry_at", channel="sink")
    shown = ("channel", "hears", "last_delivered", "failures", "error", "last_failed", "address")
    piped = (*shown, "retry")
    vital = ("hears", "last_delivered")
    wraps = True


class AlertsView(OutputRow, frozen=True, kw_only=True):
    """The alerts, channels, silences and undelivered notices. `dropped` notices were discarded from a full queue.

    `firing` and `ended` add up to the `alerts`; `held_back` counts the firing ones of which no notice is sent now.
    """

    firing: int
    held_back: int
    ended: int
    undelivered: int
    dead: int
    dropped: int
    alerts: tuple[AlertRow, ...]
    letters: tuple[UndeliveredNoticeRow, ...]
    silences: tuple[SilenceRow, ...]
    sinks: tuple[AlertChannelRow, ...]

    listed = "alerts"


class DeliveryRow(OutputRow, frozen=True, kw_only=True):
    """The delivery of a test notice."""

    sink: str
    delivered: bool
    detail: TruncatableText
    channel: str

    shown = piped = ("channel", "delivered", "detail")
    wraps = True


class RetriedView(OutputRow, frozen=True, kw_only=True):
    """The undeliverable notices that were queued again, and all notices that still wait for delivery."""

    queued: int
    waiting: int


class PriceAlertRow(OutputRow, frozen=True, kw_only=True):
    """A price or fill alert that has not fired. `price` is that of `side`; both are missing for `fills`."""

    alert_id: str
    ticker: str
    kind: Literal["above", "below", "fills"]
    side: Literal["yes", "no"] | None
    price: Price | None
    created: Ts
