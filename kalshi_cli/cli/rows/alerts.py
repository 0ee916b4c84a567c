"""What `kalshi alerts` prints. Rules as in `rows`; the address of a sink is never shown whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from kalshi_cli.base.units import Ts
from kalshi_cli.cli.rows.base import Row
from kalshi_cli.cli.screen.cells import Prose
from kalshi_cli.config.schema import Sink, hidden_address

if TYPE_CHECKING:
    from kalshi_cli.core.monitoring.incidents import Matter, Silence
    from kalshi_cli.desk.alerting import Overview
    from kalshi_cli.net.delivery import Delivery
    from kalshi_cli.store.alert_tables import Letter, SinkState


class AlertRow(Row, frozen=True, kw_only=True):
    """Something that holds (`firing`), did until lately (`over`), or happened (`event`). `count` is how often it was
    seen; `told` when a sink last took a notice of it; `waiting` how many were told to nobody yet; `silenced` says that
    nobody is told now, because of a silence or of something greater that explains it. `value` was found where `limit`
    is wanted, counted in `unit`; they are empty where there is no number."""

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
    value: Prose
    limit: Prose
    unit: str
    text: Prose

    shown: ClassVar[tuple[str, ...]] = ("code", "subject", "since", "told", "state", "tier", "silenced", "text")
    vital: ClassVar[tuple[str, ...]] = ("code", "subject", "since", "told")


class LetterRow(Row, frozen=True, kw_only=True):
    """A notice that a sink has not got: `waiting` for another try, or `dead`, which `kalshi alerts retry` wakes."""

    sink: str
    status: str
    tier: str
    code: str
    subject: str
    created: Ts
    tries: int
    error: Prose
    notice_id: str

    shown: ClassVar[tuple[str, ...]] = ("sink", "status", "tier", "code", "subject", "created", "tries", "error")


class SilenceRow(Row, frozen=True, kw_only=True):
    code: str
    subject: str
    until: Ts
    reason: Prose


class SinkRow(Row, frozen=True, kw_only=True):
    """Somebody to tell, and how telling went: `failures` in a row; before `retry` nothing is tried."""

    sink: str
    address: str
    hears: str
    failures: int
    last_delivered: Ts | None
    last_failed: Ts | None
    retry: Ts | None
    error: Prose

    shown: ClassVar[tuple[str, ...]] = (
        "sink",
        "address",
        "hears",
        "failures",
        "last_delivered",
        "last_failed",
        "error",
    )


class AlertsView(Row, frozen=True, kw_only=True):
    """All that is kept of alerts. `dropped` notices went unsent because too many waited."""

    firing: int
    undelivered: int
    dead: int
    dropped: int
    alerts: tuple[AlertRow, ...]
    letters: tuple[LetterRow, ...]
    silences: tuple[SilenceRow, ...]
    sinks: tuple[SinkRow, ...]


class DeliveryRow(Row, frozen=True, kw_only=True):
    """What became of a test notice."""

    sink: str
    delivered: bool
    detail: Prose


def alerts_view(found: Overview, sinks: Mapping[str, Sink]) -> AlertsView:
    return AlertsView(
        firing=sum(matter.is_firing for matter in found.matters),
        undelivered=len(found.waiting),
        dead=len(found.dead),
        dropped=found.dropped,
        alerts=tuple(_alert(matter, found) for matter in found.matters),
        letters=tuple(_letter(letter) for letter in (*found.waiting, *found.dead)),
        silences=tuple(silence_row(silence) for silence in found.silences),
        sinks=tuple(_sinks(found, sinks)),
    )


def _alert(matter: Matter, found: Overview) -> AlertRow:
    is_hushed = (matter.code, matter.subject) in found.hushed
    is_held_back = is_hushed and matter.lasts and matter.ended is None
    state: Literal["firing", "over", "event"] = (
        "firing" if matter.is_firing or is_held_back else "over" if matter.lasts else "event"
    )
    return AlertRow.of(
        matter,
        state=state,
        waiting=matter.untold,
        silenced=is_hushed,
        value=Prose(matter.value),
        limit=Prose(matter.wanted),
        text=Prose(matter.text),
    )


def _letter(letter: Letter) -> LetterRow:
    notice = letter.notice
    return LetterRow.of(letter, code=notice.code, subject=notice.subject, error=Prose(letter.error))


def silence_row(silence: Silence) -> SilenceRow:
    return SilenceRow.of(silence, reason=Prose(silence.reason))


def _sinks(found: Overview, sinks: Mapping[str, Sink]) -> Iterator[SinkRow]:
    states = {state.sink: state for state in found.sinks}
    for name, sink in sinks.items():
        address = hidden_address(sink.url) if sink.url else str(sink.url_file or "")
        yield _sink(name, address, " ".join((*sink.tiers, *sink.events)), states.get(name))


def _sink(name: str, address: str, hears: str, state: SinkState | None) -> SinkRow:
    return SinkRow(
        sink=name,
        address=address,
        hears=hears,
        failures=state.failures if state else 0,
        last_delivered=state.last_delivered if state else None,
        last_failed=state.last_failed if state else None,
        retry=state.retry_at or None if state else None,
        error=Prose(state.error if state else ""),
    )


def delivery_rows(found: Mapping[str, Delivery]) -> list[DeliveryRow]:
    return [
        DeliveryRow(sink=name, delivered=each.outcome == "delivered", detail=Prose(each.text))
        for name, each in found.items()
    ]
