"""The tickets that notices open and close at a receiver, such as the incidents of PagerDuty.

A notice that starts several incidents opens one ticket, named after its first subject. Each incident saves the name of
its ticket, so that the ticket is closed when all of its incidents are over, whatever else was sent with them since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec.structs import replace

from kalshi_cli.core.monitoring.incidents import Incident, worst
from kalshi_cli.core.monitoring.notices import Notice


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
