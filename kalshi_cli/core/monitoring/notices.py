"""The notice that every alert channel delivers.

`alert_board.py` decides when one is due, and `notify/notifier.py` delivers it. A plain webhook receives this struct as
JSON, with times as text; its fields are a contract (docs/alerts.md).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import shown_subject

Kind = Literal["firing", "reminder", "resolved", "event", "test"]
"""It started; it continues; it ended; it happened once; the user tests the channels."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice of `count` incidents of one code; `subjects` names the first of them.

    `notice_id` is the same for every delivery attempt, so a receiver can drop duplicates. `value` and `limit` are text
    for the user, empty if the code has none, and `unit` is their unit. `since` is the start of the incident, `ts` the
    time of this notice. `page` is the address of the web page, where one is configured, and `host` the name of the
    computer that sends it; both are filled in at delivery. `ticket` names the ticket of the notice at a receiver; the
    subject does if it is empty.
    """

    notice_id: str
    kind: Kind
    tier: str
    event: str
    code: str
    subject: str
    text: str
    env: str
    since: Ts
    ts: Ts
    value: str = ""
    limit: str = ""
    unit: str = ""
    count: int = 1
    subjects: tuple[str, ...] = ()
    runbook: str = ""
    command: str = ""
    page: str = ""
    host: str = ""
    ticket: str = ""

    @property
    def title(self) -> str:
        """Return one line for a phone: `[prod vps1] RESOLVED CRITICAL UNKNOWN_ORDER kcli...`."""
        words = {"resolved": "RESOLVED ", "reminder": "STILL ", "test": "TEST "}.get(self.kind, "")
        more = f" (+{self.count - 1} more)" if self.count > 1 else ""
        named = f"{self.code} {shown_subject(self.code, self.subject)}"
        origin = f"{self.env} {self.host.partition('.')[0]}".rstrip()
        return f"[{origin}] {words}{self.tier.upper()} {named}{more}".rstrip()


OVER = "over: "
"""The first word of an incident whose loop said how it ended."""


def shown_text(text: str, *, is_over: bool, is_end: bool) -> str:
    """Return the text of an incident for its notice; an end leaves out the sentences that say what to do."""
    if not is_end:
        return f"{text} (already resolved)" if is_over else text
    return text if text.startswith(OVER) else f"over; it was: {text.partition('. ')[0]}"
