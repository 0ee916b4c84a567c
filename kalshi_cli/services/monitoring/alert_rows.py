"""The saved state of alerts as `kalshi alerts` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import AlertChannel, hidden_address
from kalshi_cli.core.monitoring.incidents import Incident
from kalshi_cli.services.monitoring.alerting import AlertOverview
from kalshi_cli.store.alert_tables import AlertChannelState, received
from kalshi_cli.views.alerts import AlertChannelRow, AlertRow, AlertsView, UndeliveredNoticeRow


def alerts_view(
    found: AlertOverview, sinks: Mapping[str, AlertChannel], sent_directly: Mapping[str, Ts] = MappingProxyType({})
) -> AlertsView:
    """Return the view of an overview, with the configured channels.

    `sent_directly` is when channels last accepted an alert that the state file does not know yet.
    """
    states = {state.sink: state for state in found.sinks}
    states |= {sink: received(found.sinks, sink, at) for sink, at in sent_directly.items()}
    rows = tuple(_alert(matter, found) for matter in found.matters)
    firing = [row for row in rows if row.state == "firing"]
    return AlertsView.of(
        found,
        firing=len(firing),
        held_back=sum(row.is_held_back for row in firing),
        ended=len(rows) - len(firing),
        undelivered=len(found.waiting),
        dead=len(found.dead),
        alerts=rows,
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
    state = "firing" if is_firing else "over" if matter.lasts else "event"
    sent, due = found.held.get((matter.code, matter.subject), (None, None))
    return AlertRow.of(
        matter, state=state, silenced=is_hushed, end_due=found.ends.get((matter.code, matter.subject)),
        told=matter.told or sent, last_sent=sent, next_due=due,
    )  # fmt: skip
